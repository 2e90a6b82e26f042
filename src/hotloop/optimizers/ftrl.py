"""FTRL."""

from __future__ import annotations

import math
from typing import Any, Unpack

from .optimizer import Optimizer, Options


class Ftrl(Optimizer):
    """Follow the regularized leader, for sparse linear models (McMahan et al., 2013).

    With gradient g and p = -learning_rate_power::

        n' <- n + g^2
        z <- z + g + 2 shrinkage W - (n'^p - n^p) / a * W
        W <- (clip(z, -l1, l1) - z) / (n'^p / a + 2 l2 + beta / a)

    Weights whose z stays within l1 are exactly zero.

    Parameters
    ----------
    learning_rate : float
        a, above 0.
    learning_rate_power : float
        At most 0; with 0, the learning rate stays as it is.
    initial_accumulator_value : float
        The first n.
    l1_regularization_strength, l2_regularization_strength : float
        l1 and l2.
    l2_shrinkage_regularization_strength : float
        shrinkage: a penalty of the gradient, where l2 is one of the weights.
    beta : float
        As in the paper.
    **options
        As in `Optimizer`.

    Raises
    ------
    ValueError
        For negative strengths or a power above 0.

    Examples
    --------
    >>> from hotloop.variables import Variable
    >>> w = Variable([0.0, 0.0])
    >>> Ftrl(0.5, l1_regularization_strength=1.0).apply([[0.9, 2.0]], [w])
    >>> w.numpy().round(4)
    array([ 0.    , -0.2469])
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        *,
        name: str = "ftrl",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, name=name, **options)
        if not learning_rate_power <= 0 or math.isinf(learning_rate_power):
            raise ValueError(
                f"Ftrl: learning_rate_power must be at most 0, not {learning_rate_power!r}"
            )
        self.learning_rate_power = float(learning_rate_power)
        self.initial_accumulator_value = self._number(
            "initial_accumulator_value", initial_accumulator_value, 0.0
        )
        self.l1_regularization_strength = self._number(
            "l1_regularization_strength", l1_regularization_strength, 0.0
        )
        self.l2_regularization_strength = self._number(
            "l2_regularization_strength", l2_regularization_strength, 0.0
        )
        self.l2_shrinkage_regularization_strength = self._number(
            "l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength, 0.0
        )
        self.beta = self._number("beta", beta, 0.0)

    @property
    def op(self) -> str:
        return "ftrl"

    def hyper(self) -> dict[str, float]:
        return {
            "learning_rate": self.learning_rate,
            "learning_rate_power": self.learning_rate_power,
            "l1": self.l1_regularization_strength,
            "l2": self.l2_regularization_strength,
            "l2_shrinkage": self.l2_shrinkage_regularization_strength,
            "beta": self.beta,
        }

    def slot_values(self) -> dict[str, float]:
        return {"accumulator": self.initial_accumulator_value, "linear": 0.0}

    def _config(self) -> dict[str, Any]:
        return {
            "learning_rate_power": self.learning_rate_power,
            "initial_accumulator_value": self.initial_accumulator_value,
            "l1_regularization_strength": self.l1_regularization_strength,
            "l2_regularization_strength": self.l2_regularization_strength,
            "l2_shrinkage_regularization_strength": self.l2_shrinkage_regularization_strength,
            "beta": self.beta,
        }
