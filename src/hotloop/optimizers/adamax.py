"""Adamax."""

from __future__ import annotations

from typing import Any, Unpack

from .optimizer import Optimizer, Options


class Adamax(Optimizer):
    """Adam with the largest recent gradient for the mean square (Kingma and Ba, 2014, section 7.1).

    At step t, with gradient g::

        m <- b1 m + (1 - b1) g
        u <- max(b2 u, |g|)
        W <- W - a / (1 - b1^t) * m / (u + epsilon)

    Parameters
    ----------
    learning_rate : float
        a.
    beta_1, beta_2 : float
        b1 and b2, from 0 up to, but not including, 1.
    epsilon : float
        What keeps the division away from zero.
    **options
        As in `Optimizer`.

    Examples
    --------
    >>> Adamax().hyper()["beta_2"]
    0.999
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        *,
        name: str = "adamax",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, name=name, **options)
        self.beta_1 = self._number("beta_1", beta_1, 0.0, 1.0)
        self.beta_2 = self._number("beta_2", beta_2, 0.0, 1.0)
        self.epsilon = self._number("epsilon", epsilon, 0.0)

    @property
    def op(self) -> str:
        return "adamax"

    def hyper(self) -> dict[str, float]:
        return {"learning_rate": self.learning_rate} | self._config()

    def slot_values(self) -> dict[str, float]:
        return {"momentum": 0.0, "norm": 0.0}

    def _config(self) -> dict[str, Any]:
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
