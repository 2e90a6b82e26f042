"""Layers that keep a model from learning its data by heart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import random
from ..graph import ops
from ..graph.trace import Value
from .base import Layer


class Dropout(Layer):
    """In training, sets a share of its inputs to zero (Srivastava et al., 2014).

    Each element is 0 with probability `rate`, else divided by ``1 - rate``, so that the
    expected sum stays the same; outside of training nothing changes. The draws depend on
    the seed, the step and the element only, not on threads or backend.

    Parameters
    ----------
    rate : float
        From 0 up to, but not including, 1.
    seed : int, optional
        From `hotloop.utils.set_random_seed` if not given.
    **options
        As in `Layer`.

    Examples
    --------
    >>> from hotloop.layers import Dropout
    >>> Dropout(0.5)([[1.0, 2.0]])
    array([[1., 2.]], dtype=float32)
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if not isinstance(rate, int | float) or not 0 <= rate < 1:
            raise ValueError(
                f"{self.describe()}: rate must be at least 0 and below 1, not {rate!r}"
            )
        if noise_shape is not None:
            raise ValueError(f"{self.describe()}: noise_shape is not supported")
        self.rate = float(rate)
        self.seed = seed
        self.random_key = random.next_key() if seed is None else int(seed) % 2**64

    def call(self, x: Value) -> Any:
        assert self.random_key is not None
        return ops.dropout(x, self.rate, self.random_key) if self.rate else x

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.rate, "seed": self.seed}
