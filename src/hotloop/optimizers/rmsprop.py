"""RMSprop."""

from __future__ import annotations

from typing import Any, Unpack

from .optimizer import Optimizer, Options


class RMSprop(Optimizer):
    """Division by a running root mean square of the gradient (Hinton, lecture 6e, 2012).

    ::

        s <- rho s + (1 - rho) g^2
        W <- W - a g / sqrt(s + epsilon)

    centered: s is replaced by ``s - mean^2``, with mean the running mean of g (Graves,
    2013). With momentum b: ``V <- b V + a g / sqrt(.); W <- W - V``.

    Parameters
    ----------
    learning_rate : float
        a.
    rho : float
        From 0 up to, but not including, 1.
    momentum : float
        b, from 0 up to, but not including, 1.
    epsilon : float
        What keeps the division away from zero.
    centered : bool
        Whether to use the variance instead of the mean square.
    **options
        As in `Optimizer`.

    Examples
    --------
    >>> RMSprop(momentum=0.5).op
    'rmsprop_momentum'
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        *,
        name: str = "rmsprop",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, name=name, **options)
        self.rho = self._number("rho", rho, 0.0, 1.0)
        self.momentum = self._number("momentum", momentum, 0.0, 1.0)
        self.epsilon = self._number("epsilon", epsilon, 0.0)
        self.centered = bool(centered)

    @property
    def op(self) -> str:
        return (
            "rmsprop"
            + ("_centered" if self.centered else "")
            + ("_momentum" if self.momentum else "")
        )

    def hyper(self) -> dict[str, float]:
        hyper = {
            "learning_rate": self.learning_rate,
            "rho": self.rho,
            "epsilon": self.epsilon,
        }
        return hyper | {"momentum": self.momentum} if self.momentum else hyper

    def slot_values(self) -> dict[str, float]:
        slots = {"velocity": 0.0}
        if self.centered:
            slots["average_gradient"] = 0.0
        if self.momentum:
            slots["momentum"] = 0.0
        return slots

    def _config(self) -> dict[str, Any]:
        return {
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }
