"""Lamb."""

from __future__ import annotations

from typing import Any, Unpack

from .optimizer import Optimizer, Options


class Lamb(Optimizer):
    """Adam, whose step for each weight is as long as the weight (You et al., 2020).

    For large batches (https://arxiv.org/abs/1904.00962). At step t, with gradient g, and ``|x|``
    the root of the sum of x^2 over all of a weight::

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        u <- m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + epsilon)
        W <- W - a |W| / |u| u

    If ``|W|`` or ``|u|`` is 0, as of a bias at first, the step is ``a u``.

    Parameters
    ----------
    learning_rate : float
        a, of which a step is the part of the weight's own length.
    beta_1, beta_2 : float
        b1 and b2, from 0 up to, but not including, 1.
    epsilon : float
        What keeps the division away from zero.
    **options
        As in `Optimizer`. Weights decay before their length is taken, as in Keras.

    Raises
    ------
    ValueError
        For numbers out of range.

    Examples
    --------
    >>> from hotloop.variables import Variable
    >>> w = Variable([3.0, 4.0])
    >>> Lamb(0.1, epsilon=0.0).apply([[7.0, -7.0]], [w])
    >>> w.numpy().round(4)
    array([2.6464, 4.3536])
    """

    elementwise = False

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        *,
        name: str = "lamb",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, name=name, **options)
        self.beta_1 = self._number("beta_1", beta_1, 0.0, 1.0)
        self.beta_2 = self._number("beta_2", beta_2, 0.0, 1.0)
        self.epsilon = self._number("epsilon", epsilon, 0.0)

    @property
    def op(self) -> str:
        return "lamb"

    def hyper(self) -> dict[str, float]:
        return {"learning_rate": self.learning_rate} | self._config()

    def slot_values(self) -> dict[str, float]:
        return {"momentum": 0.0, "velocity": 0.0}

    def _config(self) -> dict[str, Any]:
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
