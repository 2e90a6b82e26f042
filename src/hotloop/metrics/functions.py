"""Metrics as functions of arrays: the value of each row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike, NDArray

from .. import losses
from . import rows
from .arrays import aligned, as_given, floats

Array = NDArray[Any]


def binary_accuracy(y_true: ArrayLike, y_pred: ArrayLike, threshold: float = 0.5) -> Array:
    """1 for each element with ``y_true == (y_pred > threshold)``, 0 for the others.

    Examples
    --------
    >>> binary_accuracy([[1, 0], [1, 1]], [[0.9, 0.2], [0.4, 0.6]])
    array([[1., 1.],
           [0., 1.]])
    """
    metric = rows.BinaryAccuracy(threshold=threshold)
    p = floats(metric, "y_pred", y_pred)
    equal: Array = aligned(metric, as_given(metric, "y_true", y_true), p) == (p > threshold)
    return equal.astype(p.dtype)


def categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """`CategoricalAccuracy` of each row."""
    return _values(rows.CategoricalAccuracy(), y_true, y_pred)


def sparse_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """`SparseCategoricalAccuracy` of each row."""
    return _values(rows.SparseCategoricalAccuracy(), y_true, y_pred)


def top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> Array:
    """`TopKCategoricalAccuracy` of each row."""
    return _values(rows.TopKCategoricalAccuracy(k), y_true, y_pred)


def sparse_top_k_categorical_accuracy(
    y_true: ArrayLike, y_pred: ArrayLike, k: int = 5, from_sorted_ids: bool = False
) -> Array:
    """`SparseTopKCategoricalAccuracy` of each row."""
    metric = rows.SparseTopKCategoricalAccuracy(k, from_sorted_ids=from_sorted_ids)
    return _values(metric, y_true, y_pred)


def pearson_correlation(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Array:
    """`PearsonCorrelation` of each row."""
    return _values(rows.PearsonCorrelation(axis=axis), y_true, y_pred)


def concordance_correlation(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Array:
    """`ConcordanceCorrelation` of each row."""
    return _values(rows.ConcordanceCorrelation(axis=axis), y_true, y_pred)


def _values(metric: rows.MeanRowMetric, y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """The value of each row, in the shape of y_pred without its last axis."""
    return metric.row_values(as_given(metric, "y_true", y_true), floats(metric, "y_pred", y_pred))


# The metric that a function means in `compile`, which the core computes.
METRICS: dict[Callable[..., Any], type[rows.MeanRowMetric]] = {
    binary_accuracy: rows.BinaryAccuracy,
    categorical_accuracy: rows.CategoricalAccuracy,
    sparse_categorical_accuracy: rows.SparseCategoricalAccuracy,
    top_k_categorical_accuracy: rows.TopKCategoricalAccuracy,
    sparse_top_k_categorical_accuracy: rows.SparseTopKCategoricalAccuracy,
    pearson_correlation: rows.PearsonCorrelation,
    concordance_correlation: rows.ConcordanceCorrelation,
    losses.binary_crossentropy: rows.BinaryCrossentropy,
    losses.categorical_crossentropy: rows.CategoricalCrossentropy,
    losses.categorical_hinge: rows.CategoricalHinge,
    losses.hinge: rows.Hinge,
    losses.kl_divergence: rows.KLDivergence,
    losses.log_cosh: rows.LogCoshError,
    losses.mean_absolute_error: rows.MeanAbsoluteError,
    losses.mean_absolute_percentage_error: rows.MeanAbsolutePercentageError,
    losses.mean_squared_error: rows.MeanSquaredError,
    losses.mean_squared_logarithmic_error: rows.MeanSquaredLogarithmicError,
    losses.poisson: rows.Poisson,
    losses.sparse_categorical_crossentropy: rows.SparseCategoricalCrossentropy,
    losses.squared_hinge: rows.SquaredHinge,
}
