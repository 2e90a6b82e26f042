"""What users pass to metrics, checked and brought into one shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..graph.trace import check_features
from ..masks import refuse_masks

if TYPE_CHECKING:
    from .base import Metric

Array = NDArray[Any]
Float64s = NDArray[np.float64]
Result = float | Float64s


def as_given(metric: Metric, name: str, x: ArrayLike) -> Array:
    """Array of the numbers that were passed, none of which may be masked."""
    refuse_masks(x, f"{metric.name}: {name}")
    array = np.asarray(x)
    if array.dtype.kind not in "biuf" and array.size:
        raise TypeError(f"{metric.name}: {name} must hold numbers, got dtype {array.dtype}")
    return array


def floats(metric: Metric, name: str, x: ArrayLike) -> Array:
    """Array in its own floating-point type, float32 or float64; numbers of other types too."""
    array = as_given(metric, name, x)
    if array.ndim == 0:
        raise ValueError(f"{metric.name}: {name} must have at least one axis, got a scalar")
    check_features(array.shape[1:], f"{metric.name}: {name}")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def aligned(metric: Metric, y_true: Array, y_pred: Array) -> Array:
    """Targets in the shape of the predictions; a last axis of length 1 may be missing in one."""
    if y_true.shape != y_pred.shape and _squeezed(y_true.shape) != _squeezed(y_pred.shape):
        raise ValueError(
            f"{metric.name}: y_true has the shape {y_true.shape} but y_pred {y_pred.shape}; they "
            "must be the same. Class numbers go with the metrics whose names begin with Sparse"
        )
    return floats(metric, "y_true", y_true).reshape(y_pred.shape)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape without a last axis of length 1."""
    return shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape


def class_numbers(metric: Metric, y_true: Array, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Class numbers in that shape; a further axis of length 1 is dropped."""
    if y_true.shape not in (shape, (*shape, 1)):
        raise ValueError(
            f"{metric.name}: y_true must hold one class number for each row, so have the shape "
            f"{shape}, got {y_true.shape}. One-hot labels go with the metrics whose names do not "
            "begin with Sparse"
        )
    labels = floats(metric, "y_true", y_true).reshape(shape)
    whole = np.trunc(labels) == labels
    fits = np.abs(labels) < 2**31
    if not (whole & fits).all():
        raise ValueError(
            f"{metric.name}: class numbers must be whole, got {labels[~(whole & fits)][0]}"
        )
    return labels.astype(np.int32)


def check_classes(metric: Metric, labels: NDArray[np.int32], classes: int) -> None:
    """Error where a label is no class."""
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        raise ValueError(
            f"{metric.name}: labels must be from 0 to {classes - 1} for {classes} classes, "
            f"got {labels[wrong][0]}"
        )


def row_weights(metric: Metric, weight: ArrayLike | None, shape: tuple[int, ...]) -> Float64s:
    """Weights as float64 in that shape; None means ones, missing last axes are repeated."""
    if weight is None:
        return np.ones(shape)
    array = as_given(metric, "sample_weight", weight).astype(np.float64)
    if array.ndim == len(shape) + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    padded = array.reshape(array.shape + (1,) * (len(shape) - array.ndim))
    try:
        return np.broadcast_to(padded, shape)
    except ValueError:
        raise ValueError(
            f"{metric.name}: sample_weight has the shape {array.shape}, but there is one weight "
            f"for each of {shape} values, or for each of their first axes"
        ) from None


def divide(a: ArrayLike, b: ArrayLike) -> Float64s:
    """a / b, and 0 where b is 0."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    out = np.zeros(np.broadcast_shapes(a.shape, b.shape))
    np.divide(a, b, out=out, where=b != 0)
    return out


def at_least_1(name: str, value: int) -> int:
    """Whole number of at least 1."""
    if int(value) != value or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    return int(value)
