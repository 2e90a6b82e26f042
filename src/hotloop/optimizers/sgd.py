"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any, Unpack

from .optimizer import Optimizer, Options


class SGD(Optimizer):
    """Gradient descent, optionally with momentum.

    Plain: ``W <- W - a dL/dW``. With momentum b: ``V <- b V - a dL/dW; W <- W + V``
    (Polyak, 1964). Nesterov: ``V <- b V - a dL/dW; W <- W + b V - a dL/dW``
    (Sutskever et al., 2013).

    Parameters
    ----------
    learning_rate : float
        a.
    momentum : float
        b, from 0 up to, but not including, 1.
    nesterov : bool
        Whether to look ahead.
    **options
        As in `Optimizer`.

    Examples
    --------
    >>> SGD(0.1, momentum=0.9).op
    'sgd_momentum'
    """

    def __init__(
        self,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        *,
        name: str = "SGD",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, name=name, **options)
        self.momentum = self._number("momentum", momentum, 0.0, 1.0)
        self.nesterov = bool(nesterov)

    @property
    def op(self) -> str:
        if not self.momentum:
            return "sgd"
        return "sgd_nesterov" if self.nesterov else "sgd_momentum"

    def hyper(self) -> dict[str, float]:
        hyper = {"learning_rate": self.learning_rate}
        return hyper | {"momentum": self.momentum} if self.momentum else hyper

    def slot_values(self) -> dict[str, float]:
        return {"velocity": 0.0} if self.momentum else {}

    def _config(self) -> dict[str, Any]:
        return {"momentum": self.momentum, "nesterov": self.nesterov}
