"""Derivatives of a user's functions of whole arrays, by finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Of central differences in double precision: errors of rounding and of cutting off are alike.
_STEP = float(np.cbrt(np.finfo(np.float64).eps))
_SMALLEST = 1e-3  # what numbers count as that are nearer to 0
_AT_ONCE = 2**20  # numbers of one call


def slopes(function: Callable[[Array, Array], Array], y: Array, p: Array, name: str) -> Array:
    """The derivative of each row's value with respect to that row of p, in double precision.

    Central differences ``(f(p + h) - f(p - h)) / 2h`` of one column after another, with h a part
    of the number itself, of many columns in one call; where one side is not finite, as a logarithm
    beyond 0, the difference is between the other one and p.

    Parameters
    ----------
    function : callable
        Of y and p, returning the value of each row: p's shape without the last axis.
    y, p : ndarray
        Of one shape (rows, ..., features).
    name : str
        What the function is called in an error.

    Returns
    -------
    ndarray
        Of p's shape.

    Raises
    ------
    ValueError
        If a row's value depends on other rows, of which this would know nothing.

    Examples
    --------
    >>> y, p = np.zeros((1, 2)), np.array([[1.0, 2.0]])
    >>> slopes(lambda y, p: np.sum((y - p) ** 2, axis=-1), y, p, "squares").round(6)
    array([[2., 4.]])
    """
    y, p = np.asarray(y, np.float64), np.asarray(p, np.float64)
    value = _values(function, y, p)
    some = (len(p) + 1) // 2
    if not np.allclose(_values(function, y[:some], p[:some]), value[:some], 1e-9, 1e-12, True):
        raise ValueError(
            f"{name}: the value of a row changes with the other rows of the batch, so its "
            "derivative has to be given: hotloop.losses.ArrayLoss(f, gradient=g)"
        )
    found = np.empty_like(p)
    steps = _STEP * np.maximum(np.abs(p), _SMALLEST)
    columns_at_once = max(1, _AT_ONCE // max(2 * p.size, 1))
    for start in range(0, p.shape[-1], columns_at_once):
        columns = range(start, min(start + columns_at_once, p.shape[-1]))
        moved = np.stack([p] * (2 * len(columns))).reshape(2, len(columns), *p.shape)
        for i, column in enumerate(columns):
            moved[0, i, ..., column] -= steps[..., column]
            moved[1, i, ..., column] += steps[..., column]
        targets = np.concatenate([y] * (2 * len(columns)))
        values = _values(function, targets, moved.reshape(-1, *p.shape[1:]))
        values = values.reshape(2, len(columns), *value.shape)
        for i, column in enumerate(columns):
            usable = np.isfinite(values[:, i])
            low, high = np.where(usable, values[:, i], value)
            left, right = np.where(usable, moved[:, i, ..., column], p[..., column])
            with np.errstate(invalid="ignore"):  # 0 / 0 is NaN where there is nothing to go by
                found[..., column] = (high - low) / (right - left)
    return found


def _values(function: Callable[[Array, Array], Array], y: Array, p: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(function(y, p))
