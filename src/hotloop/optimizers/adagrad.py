"""Adagrad."""

from __future__ import annotations

from typing import Any, Unpack

from .optimizer import Optimizer, Options


class Adagrad(Optimizer):
    """Division by the root of all squared gradients so far (Duchi et al., 2011).

    ::

        s <- s + g^2
        W <- W - a g / sqrt(s + epsilon)

    Parameters
    ----------
    learning_rate : float
        a.
    initial_accumulator_value : float
        The first s.
    epsilon : float
        What keeps the division away from zero.
    **options
        As in `Optimizer`.

    Examples
    --------
    >>> Adagrad().slot_values()
    {'accumulator': 0.1}
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        *,
        name: str = "adagrad",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, name=name, **options)
        self.initial_accumulator_value = self._number(
            "initial_accumulator_value", initial_accumulator_value, 0.0
        )
        self.epsilon = self._number("epsilon", epsilon, 0.0)

    @property
    def op(self) -> str:
        return "adagrad"

    def hyper(self) -> dict[str, float]:
        return {"learning_rate": self.learning_rate, "epsilon": self.epsilon}

    def slot_values(self) -> dict[str, float]:
        return {"accumulator": self.initial_accumulator_value}

    def _config(self) -> dict[str, Any]:
        return {
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }
