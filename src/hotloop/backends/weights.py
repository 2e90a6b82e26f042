"""Weights of examples, or of their rows, beside arrays of more axes."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


def over(weight: Array, rank: int) -> Array:
    """The weights of examples, or of rows, for an array of so many axes.

    Examples
    --------
    >>> import numpy as np
    >>> over(np.ones(3), 3).shape
    (3, 1, 1)
    """
    return weight.reshape(weight.shape + (1,) * (rank - weight.ndim))


def weighted(value: Array, weight: Array | None) -> Array:
    """The values (..., 1) of rows as (...), each times its weight, or that of its example."""
    return value[..., 0] if weight is None else value[..., 0] * over(weight, value.ndim - 1)


def row_factor(weight: Array | None, scale: float, gradient: Array) -> Any:
    """What multiplies each row of a gradient."""
    return scale if weight is None else scale * over(weight, gradient.ndim)
