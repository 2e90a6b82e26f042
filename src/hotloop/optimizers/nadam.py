"""Nadam."""

from __future__ import annotations

from typing import Any, Unpack

from .optimizer import Optimizer, Options


class Nadam(Optimizer):
    """Adam with Nesterov momentum that warms up (Dozat, 2016).

    At step t, with gradient g, ``u_t = b1 (1 - 0.96^t / 2)`` and p the product of u_1 to u_t::

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        n <- u_{t+1} m / (1 - p u_{t+1}) + (1 - u_t) g / (1 - p)
        W <- W - a n / (sqrt(v / (1 - b2^t)) + epsilon)

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
    >>> Nadam().op
    'nadam'
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        *,
        name: str = "nadam",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, name=name, **options)
        self.beta_1 = self._number("beta_1", beta_1, 0.0, 1.0)
        self.beta_2 = self._number("beta_2", beta_2, 0.0, 1.0)
        self.epsilon = self._number("epsilon", epsilon, 0.0)

    @property
    def op(self) -> str:
        return "nadam"

    def hyper(self) -> dict[str, float]:
        return {"learning_rate": self.learning_rate} | self._config()

    def slot_values(self) -> dict[str, float]:
        return {"momentum": 0.0, "velocity": 0.0}

    def _config(self) -> dict[str, Any]:
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
