"""Adadelta."""

from __future__ import annotations

from typing import Any, Unpack

from .optimizer import Optimizer, Options


class Adadelta(Optimizer):
    """Steps of the size of recent steps, by the size of recent gradients (Zeiler, 2012).

    ::

        s <- rho s + (1 - rho) g^2
        d <- g sqrt(u + epsilon) / sqrt(s + epsilon)
        u <- rho u + (1 - rho) d^2
        W <- W - a d

    Parameters
    ----------
    learning_rate : float
        a; 1 in the paper.
    rho : float
        From 0 up to, but not including, 1.
    epsilon : float
        What keeps the division away from zero, and lets the first step be one.
    **options
        As in `Optimizer`.

    Examples
    --------
    >>> Adadelta(1.0).slot_values()
    {'accumulated_grad': 0.0, 'accumulated_delta_var': 0.0}
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        *,
        name: str = "adadelta",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, name=name, **options)
        self.rho = self._number("rho", rho, 0.0, 1.0)
        self.epsilon = self._number("epsilon", epsilon, 0.0)

    @property
    def op(self) -> str:
        return "adadelta"

    def hyper(self) -> dict[str, float]:
        return {"learning_rate": self.learning_rate, "rho": self.rho, "epsilon": self.epsilon}

    def slot_values(self) -> dict[str, float]:
        return {"accumulated_grad": 0.0, "accumulated_delta_var": 0.0}

    def _config(self) -> dict[str, Any]:
        return {"rho": self.rho, "epsilon": self.epsilon}
