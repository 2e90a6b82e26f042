"""AdamW without a schedule."""

from __future__ import annotations

from typing import Any, Unpack

from .optimizer import Optimizer, Options


class ScheduleFreeAdamW(Optimizer):
    """Adam with a mean in place of a schedule (Defazio et al., 2024, arxiv.org/abs/2405.15682).

    Adam's steps, without momentum, lead from z to z; x is the mean of all z so far. Gradients are
    taken between the two, and that is what the weights of the model are: at step t, with gradient
    g and ``r = a min(t / warmup_steps, 1)``::

        v <- b2 v + (1 - b2) g^2
        z <- z - r g / (sqrt(v / (1 - b2^t)) + epsilon)
        x <- (1 - 1 / t) x + z / t
        W <- (1 - b1) z + b1 x

    z begins as the weights are when training begins. x is not kept: it follows from W and z.

    Parameters
    ----------
    learning_rate : float
        a.
    beta_1 : float
        b1, from 0 up to, but not including, 1: how far weights are from z towards the mean.
    beta_2 : float
        b2, from 0 up to, but not including, 1.
    epsilon : float
        What keeps the division away from zero.
    warmup_steps : int
        Steps in which the learning rate rises to a.
    **options
        As in `Optimizer`. Weights decay before the step, and z does not, as in Keras.

    Raises
    ------
    ValueError
        For numbers out of range.

    Examples
    --------
    >>> from hotloop.variables import Variable
    >>> w = Variable([1.0, 2.0])
    >>> optimizer = ScheduleFreeAdamW(0.5, beta_1=0.5)
    >>> for _ in range(2):
    ...     optimizer.apply([[3.0, -3.0]], [w])
    >>> w.numpy().round(4)
    array([0.125, 2.875])
    """

    def __init__(
        self,
        learning_rate: float = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        *,
        name: str = "schedule_free_adam_w",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, name=name, **options)
        self.beta_1 = self._number("beta_1", beta_1, 0.0, 1.0)
        self.beta_2 = self._number("beta_2", beta_2, 0.0, 1.0)
        self.epsilon = self._number("epsilon", epsilon, 0.0)
        self.warmup_steps = self._count("warmup_steps", warmup_steps, 0) or 0

    @property
    def op(self) -> str:
        return "schedule_free_adamw"

    def hyper(self) -> dict[str, float]:
        return {"learning_rate": self.learning_rate} | self._config()

    def slot_values(self) -> dict[str, float | None]:
        return {"momentum": None, "velocity": 0.0}

    def _config(self) -> dict[str, Any]:
        return {
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "warmup_steps": self.warmup_steps,
        }
