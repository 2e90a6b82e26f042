"""Labels as one-hot rows, and rows of length 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..masks import refuse_masks


def to_categorical(x: ArrayLike, num_classes: int | None = None) -> NDArray[np.float64]:
    """One-hot rows of class numbers.

    ``result[..., j] = 1 if x[...] == j else 0``

    Parameters
    ----------
    x : array_like
        Whole numbers from 0 to ``num_classes - 1``, of any shape; a last axis of length 1
        is dropped.
    num_classes : int, optional
        Length of the new last axis; ``max(x) + 1`` by default.

    Returns
    -------
    ndarray of float64
        Shape ``x.shape + (num_classes,)``: ``(n,)`` and ``(n, 1)`` both give ``(n, num_classes)``.

    Raises
    ------
    ValueError
        If a label is fractional, not finite, negative, or not below ``num_classes``, or if
        x is empty and ``num_classes`` is not given.
    TypeError
        If x does not hold numbers.

    Examples
    --------
    >>> to_categorical([0, 2, 1])
    array([[1., 0., 0.],
           [0., 0., 1.],
           [0., 1., 0.]])
    """
    refuse_masks(x, "to_categorical: x")
    labels = _whole_numbers(np.asarray(x))
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if num_classes is None:
        if labels.size == 0:
            raise ValueError("to_categorical: x is empty; pass num_classes")
        num_classes = int(labels.max()) + 1
    elif num_classes < 1:
        raise ValueError(f"to_categorical: num_classes must be at least 1, got {num_classes}")
    wrong = (labels < 0) | (labels >= num_classes)
    if wrong.any():
        raise ValueError(
            f"to_categorical: labels must be from 0 to {num_classes - 1}, got {labels[wrong][0]}; "
            "renumber the classes from 0 or pass a larger num_classes"
        )
    one_hot = np.zeros((labels.size, num_classes))
    one_hot[np.arange(labels.size), labels.reshape(-1)] = 1.0
    return one_hot.reshape(*labels.shape, num_classes)


def _whole_numbers(x: NDArray[np.generic]) -> NDArray[np.int64]:
    """Labels as int64, or an error that names the first one that is no whole number."""
    if x.size == 0:
        return x.astype(np.int64)
    if x.dtype.kind not in "biuf":
        raise TypeError(
            f"to_categorical: x must hold whole numbers, got dtype {x.dtype}; "
            "number the classes from 0, for example with np.unique(x, return_inverse=True)"
        )
    fractional = x != np.trunc(x) if x.dtype.kind == "f" else np.zeros(x.shape, dtype=bool)
    if fractional.any() or not np.isfinite(x).all():
        bad = x[fractional | ~np.isfinite(x)][0]
        raise ValueError(f"to_categorical: labels must be whole numbers, got {bad}")
    return x.astype(np.int64)


def normalize(x: ArrayLike, axis: int = -1, order: float = 2) -> NDArray[np.floating]:
    """Numbers of which each vector along an axis has the length 1.

    ``x / norm(x, order, axis)``; vectors of zeros stay as they are.

    Parameters
    ----------
    x : array_like
    axis : int
    order : float
        Of the norm: 2 is the Euclidean length.

    Raises
    ------
    TypeError
        If x does not hold numbers.

    Examples
    --------
    >>> normalize([[3.0, 4.0], [0.0, 0.0]])
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    refuse_masks(x, "normalize: x")
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"normalize: x must hold numbers, got dtype {array.dtype}")
    norm = np.linalg.norm(array, order, axis, keepdims=True)
    divided: NDArray[np.floating] = array / np.where(norm == 0, 1, norm)
    return divided
