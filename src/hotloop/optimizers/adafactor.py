"""Adafactor."""

from __future__ import annotations

import math
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from ..variables import Variable
from .optimizer import Optimizer, Options


class Adafactor(Optimizer):
    """RMSprop with little memory, whose steps grow with the weights (Shazeer and Stern, 2018).

    Of a matrix it keeps the mean square of each row's and of each column's gradients, rather than
    of each element's. At step t, with gradient g, ``f = t^beta_2_decay`` and ``rms(x)`` the square
    root of the mean of x^2 over all of a weight::

        r <- (1 - f) r + f mean(g^2 + epsilon_1)        over the columns of each row
        c <- (1 - f) c + f mean(g^2 + epsilon_1)        over the rows of each column
        u <- g / sqrt(r c / mean(r))
        W <- W - min(a, 1 / sqrt(t)) max(epsilon_2, rms(W)) u / max(1, rms(u) / clip_threshold)

    Of a weight of more axes the last two are rows and columns, and mean(r) is that of each such
    matrix. A vector has a mean square v of each element, which takes the place of r c / mean(r).

    Parameters
    ----------
    learning_rate : float
        a, of which a step is the part of the weight's own size.
    beta_2_decay : float
        At most 0: how fast means come to change slowly; with 0, they are those of the last step.
    epsilon_1 : float
        What keeps squares away from zero.
    epsilon_2 : float
        The least size that a weight is taken to have.
    clip_threshold : float
        Above 0: steps whose rms is larger are scaled down to it. Clipping by the norm of gradients
        is another thing.
    relative_step : bool
        Changes nothing, as in Keras: no rate, constant or not, is above 1 / sqrt(t) either way.
    **options
        As in `Optimizer`.

    Raises
    ------
    ValueError
        For numbers out of range.

    Examples
    --------
    >>> from hotloop.variables import Variable
    >>> w = Variable([[3.0, 4.0], [0.0, 5.0]])
    >>> optimizer = Adafactor(0.1)
    >>> optimizer.apply([[[1.0, 1.0], [-1.0, 1.0]]], [w])
    >>> w.numpy().round(4)
    array([[2.6464, 3.6464],
           [0.3536, 4.6464]])
    >>> [slot.shape for slot in optimizer.variables]
    [(2,), (2,)]
    """

    elementwise = False

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        *,
        name: str = "adafactor",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, name=name, **options)
        if not -math.inf < beta_2_decay <= 0:
            raise ValueError(f"Adafactor: beta_2_decay must be at most 0, not {beta_2_decay!r}")
        self.beta_2_decay = float(beta_2_decay)
        self.epsilon_1 = self._number("epsilon_1", epsilon_1, 0.0)
        self.epsilon_2 = self._number("epsilon_2", epsilon_2, 0.0)
        self.clip_threshold = self._number("clip_threshold", clip_threshold, 0.0)
        if not self.clip_threshold:
            raise ValueError(f"Adafactor: clip_threshold must be above 0, not {clip_threshold!r}")
        self.relative_step = bool(relative_step)

    @property
    def op(self) -> str:
        return "adafactor"

    def hyper(self) -> dict[str, float]:
        return {
            "learning_rate": self.learning_rate,
            "beta_2_decay": self.beta_2_decay,
            "epsilon_1": self.epsilon_1,
            "epsilon_2": self.epsilon_2,
            "clip_threshold": self.clip_threshold,
        }

    def slot_values(self) -> dict[str, float]:
        return {"row": 0.0, "column": 0.0, "velocity": 0.0}

    def slot_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        from ..backends.numpy import factored_shapes

        names = ("velocity",) if len(shape) < 2 else ("row", "column")
        return dict(zip(names, factored_shapes(shape), strict=True))

    def velocity(self, weight: Variable) -> NDArray[Any]:
        """The mean square that each element of a weight's gradient was last divided by."""
        *rows, last = (slot.numpy() for slot in self.slots(weight))
        if not rows:
            return last
        (r,) = rows
        mean = r.mean(axis=-1, keepdims=True)
        share = np.divide(r, mean, out=np.zeros_like(r), where=mean != 0)
        product: NDArray[Any] = share[..., None] * last[..., None, :]
        return product

    def _config(self) -> dict[str, Any]:
        return {
            "beta_2_decay": self.beta_2_decay,
            "epsilon_1": self.epsilon_1,
            "epsilon_2": self.epsilon_2,
            "clip_threshold": self.clip_threshold,
            "relative_step": self.relative_step,
        }
