"""Metrics that are a weighted mean of one value a row: a backend can compute those itself."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from .. import backends
from .arrays import (
    Array,
    aligned,
    as_given,
    at_least_1,
    check_classes,
    class_numbers,
    floats,
    row_weights,
)
from .base import Ratio, _of_ops


class MeanRowMetric(Ratio):
    """Weighted mean over rows of an op that a backend can compute by itself.

    ``sum_i weight_i * op(y_true_i, y_pred_i) / sum_i weight_i``, where a row is the last axis.

    Attributes
    ----------
    op : str or None
        Name of the op; None where no op computes it and only `update_state` does.
    param : float
        The op's one option.
    sparse : bool
        Whether the op takes class numbers, int32 of shape (rows,), for y_true.
    """

    op: str | None
    param: float = 0.0
    sparse: bool = False
    default_name: ClassVar[str | None] = None

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(dtype, name or self.default_name)
        self.reset_state()

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add rows; weights have the shape of y_pred without its last axis, or of its first axes.

        Raises
        ------
        ValueError
            If shapes do not match, or class numbers are fractional or out of range.
        TypeError
            If an array does not hold numbers.
        """
        prediction = floats(self, "y_pred", y_pred)
        values = self.row_values(as_given(self, "y_true", y_true), prediction)
        weight = row_weights(self, sample_weight, values.shape)
        self.absorb(float((values * weight).sum(dtype=np.float64)), float(weight.sum()))

    _of_ops.add(update_state)

    @property
    def has_op(self) -> bool:  # type: ignore[override]
        """Whether an op computes its rows."""
        return self.op is not None

    def options(self) -> dict[str, float]:
        """The op's keyword arguments."""
        return {} if self.op is None else _options(self.op, self.param)

    def row_values(self, y_true: Array, y_pred: Array) -> Array:
        """Value of each row, in the shape of y_pred without its last axis."""
        assert self.op is not None
        if self.sparse:
            labels = class_numbers(self, y_true, y_pred.shape[:-1])
            return _evaluate(self.op, labels, y_pred, self.param)
        y_true = aligned(self, y_true, y_pred)
        if y_pred.ndim == 1 and self.op in _ELEMENTWISE:
            y_true, y_pred = y_true[:, None], y_pred[:, None]
        return _evaluate(self.op, y_true, y_pred, self.param)


class MeanSquaredError(MeanRowMetric):
    """Mean squared error: ``mean((y_true - y_pred) ** 2)``.

    Parameters
    ----------
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> MeanSquaredError()([[0, 1], [0, 0]], [[1, 1], [0, 0]])
    0.25
    """

    op = default_name = "mean_squared_error"
    _direction = "down"


class RootMeanSquaredError(MeanRowMetric):
    """Square root of the mean squared error: ``sqrt(mean((y_true - y_pred) ** 2))``.

    Parameters
    ----------
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> RootMeanSquaredError()([[0, 1], [0, 0]], [[1, 1], [0, 0]])
    0.5
    """

    op = "mean_squared_error"
    default_name = "root_mean_squared_error"
    _direction = "down"

    def of(self, total: Any, count: Any) -> Any:
        """Square root of the mean."""
        return np.sqrt(super().of(total, count))


class MeanAbsoluteError(MeanRowMetric):
    """Mean absolute error: ``mean(|y_true - y_pred|)``.

    Parameters
    ----------
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> MeanAbsoluteError()([[0, 1], [0, 0]], [[1, 1], [0, 0]])
    0.25
    """

    op = default_name = "mean_absolute_error"
    _direction = "down"


class MeanAbsolutePercentageError(MeanRowMetric):
    """Mean absolute error in percent: ``100 * mean(|y_true - y_pred| / max(|y_true|, 1e-7))``.

    Parameters
    ----------
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> MeanAbsolutePercentageError()([[2.0, 4.0]], [[3.0, 4.0]])
    25.0
    """

    op = default_name = "mean_absolute_percentage_error"
    _direction = "down"


class MeanSquaredLogarithmicError(MeanRowMetric):
    """Mean of ``(log(1 + y_true) - log(1 + y_pred)) ** 2``, both being at least 1e-7.

    Parameters
    ----------
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> round(MeanSquaredLogarithmicError()([[0.0]], [[1.0]]), 4)
    0.4805
    """

    op = default_name = "mean_squared_logarithmic_error"
    _direction = "down"


class _LastAxisMetric(MeanRowMetric):
    """Base of those that compare the vectors along an axis."""

    _direction = "up"

    def __init__(self, name: str | None = None, dtype: Any = None, axis: int = -1) -> None:
        super().__init__(name, dtype)
        if axis != -1:
            raise ValueError(f"{self.name}: axis must be -1, the last one, not {axis!r}")


class CosineSimilarity(_LastAxisMetric):
    """Mean cosine of the angle between y_true and y_pred: 1 where they point one way.

    Unlike the loss of that name, which is its opposite.

    Parameters
    ----------
    name, dtype
        As in `Metric`.
    axis : int
        Only -1 is supported.

    Raises
    ------
    ValueError
        For another axis.

    Examples
    --------
    >>> round(CosineSimilarity()([[3.0, 4.0]], [[2.0, 0.0]]), 4)
    0.6
    """

    op = default_name = "cosine_similarity"

    def of(self, total: Any, count: Any) -> Any:
        """The mean; the op computes the loss."""
        return -super().of(total, count)


class PearsonCorrelation(_LastAxisMetric):
    """Mean over rows of Pearson's correlation of the row's columns (Pearson, 1895).

    ``cov(y_true, y_pred) / (std(y_true) * std(y_pred))``, NaN for a row of equal numbers.

    Parameters
    ----------
    name, dtype
        As in `Metric`.
    axis : int
        Only -1 is supported.

    Raises
    ------
    ValueError
        For another axis.

    Examples
    --------
    >>> round(PearsonCorrelation()([[0.0, 1.0, 2.0]], [[4.0, 2.0, 0.0]]), 4)
    -1.0
    """

    op = default_name = "pearson_correlation"


class ConcordanceCorrelation(_LastAxisMetric):
    """Mean over rows of the concordance correlation of the row's columns (Lin, 1989).

    ``2 cov(t, p) / (var(t) + var(p) + (mean(t) - mean(p)) ** 2 + 1e-7)``.

    Parameters
    ----------
    name, dtype
        As in `Metric`.
    axis : int
        Only -1 is supported.

    Raises
    ------
    ValueError
        For another axis.

    Examples
    --------
    >>> round(ConcordanceCorrelation()([[0.0, 2.0]], [[1.0, 3.0]]), 4)
    0.6667
    """

    op = default_name = "concordance_correlation"


class LogCoshError(MeanRowMetric):
    """Mean of ``log(cosh(y_pred - y_true))``.

    Parameters
    ----------
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> round(LogCoshError()([[0.0], [0.0]], [[1.0], [0.0]]), 4)
    0.2169
    """

    op = "log_cosh"
    default_name = "logcosh"
    _direction = "down"


class KLDivergence(MeanRowMetric):
    """Mean over rows of ``sum(t * log(t / p))``, t and p clipped to [1e-7, 1].

    Parameters
    ----------
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> round(KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]]), 4)
    0.1438
    """

    op = default_name = "kl_divergence"
    _direction = "down"


class Poisson(MeanRowMetric):
    """Mean of ``y_pred - y_true * log(y_pred + 1e-7)``.

    Parameters
    ----------
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> round(Poisson()([[0.0, 1.0]], [[1.0, 1.0]]), 4)
    1.0
    """

    op = default_name = "poisson"
    _direction = "down"


class Hinge(MeanRowMetric):
    """Mean of ``max(1 - y_true * y_pred, 0)``, labels being -1 and 1, or 0 and 1.

    Parameters
    ----------
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> Hinge()([[0.0], [1.0]], [[-0.5], [2.0]])
    0.25
    """

    op = default_name = "hinge"
    _direction = "down"


class SquaredHinge(MeanRowMetric):
    """Mean of ``max(1 - y_true * y_pred, 0) ** 2``, labels being -1 and 1, or 0 and 1.

    Parameters
    ----------
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> SquaredHinge()([[0.0], [1.0]], [[-0.5], [2.0]])
    0.125
    """

    op = default_name = "squared_hinge"
    _direction = "down"


class CategoricalHinge(MeanRowMetric):
    """Mean over rows of ``max(1 + max((1 - y_true) * y_pred) - sum(y_true * y_pred), 0)``.

    Parameters
    ----------
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.75]])
    0.75
    """

    op = default_name = "categorical_hinge"
    _direction = "down"


class BinaryCrossentropy(MeanRowMetric):
    """Mean of ``-(t * log(p) + (1 - t) * log(1 - p))``, p clipped to [1e-7, 1 - 1e-7].

    Parameters
    ----------
    name, dtype
        As in `Metric`.
    from_logits : bool
        Whether y_pred comes before the sigmoid.
    label_smoothing : float
        From 0 to 1; s moves labels to ``t * (1 - s) + s / 2``.

    Examples
    --------
    >>> round(BinaryCrossentropy()([[1.0], [0.0]], [[0.5], [0.5]]), 4)
    0.6931
    """

    _direction = "down"

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(name, dtype)
        self.from_logits = from_logits
        self.label_smoothing = _smoothing(label_smoothing)
        self.op = "binary_crossentropy_logits" if from_logits else "binary_crossentropy"
        self.param = self.label_smoothing

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "label_smoothing": self.label_smoothing,
        }


class CategoricalCrossentropy(MeanRowMetric):
    """Mean over rows of ``-sum(t * log(q))``, q being probabilities that sum to 1, clipped.

    Parameters
    ----------
    name, dtype
        As in `Metric`.
    from_logits : bool
        Whether y_pred comes before the softmax.
    label_smoothing : float
        From 0 to 1; s moves labels to ``t * (1 - s) + s / classes``.
    axis : int
        Axis of the classes.

    Examples
    --------
    >>> round(CategoricalCrossentropy()([[0, 1, 0]], [[0.25, 0.5, 0.25]]), 4)
    0.6931
    """

    _direction = "down"

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype)
        self.from_logits = from_logits
        self.label_smoothing = _smoothing(label_smoothing)
        self.axis = axis
        self._row_op = "softmax_crossentropy" if from_logits else "categorical_crossentropy"
        self.op = self._row_op if axis == -1 else None
        self.param = self.label_smoothing

    def row_values(self, y_true: Array, y_pred: Array) -> Array:
        """Value of each row, in the shape of y_pred without its class axis."""
        y_true = np.moveaxis(aligned(self, y_true, y_pred), self.axis, -1)
        return _evaluate(self._row_op, y_true, np.moveaxis(y_pred, self.axis, -1), self.param)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "label_smoothing": self.label_smoothing,
            "axis": self.axis,
        }


class SparseCategoricalCrossentropy(MeanRowMetric):
    """Mean over rows of ``-log(p[label])``, p clipped to [1e-7, 1 - 1e-7].

    Parameters
    ----------
    name, dtype
        As in `Metric`.
    from_logits : bool
        Whether y_pred comes before the softmax.
    ignore_class : int, optional
        Rows of this label do not count.
    axis : int
        Axis of the classes.

    Examples
    --------
    >>> round(SparseCategoricalCrossentropy()([1], [[0.25, 0.5, 0.25]]), 4)
    0.6931
    """

    sparse = True
    _direction = "down"

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype)
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis
        self._row_op = (
            "sparse_softmax_crossentropy" if from_logits else "sparse_categorical_crossentropy"
        )
        self.op = self._row_op if ignore_class is None and axis == -1 else None

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add rows, as `MeanRowMetric.update_state` does; those of `ignore_class` weigh 0."""
        prediction = np.moveaxis(floats(self, "y_pred", y_pred), self.axis, -1)
        labels = class_numbers(self, as_given(self, "y_true", y_true), prediction.shape[:-1])
        weight = row_weights(self, sample_weight, labels.shape)
        if self.ignore_class is not None:
            weight = np.where(labels == self.ignore_class, 0.0, weight)
            labels = np.where(labels == self.ignore_class, np.int32(0), labels)
        check_classes(self, labels, prediction.shape[-1])
        values = _evaluate(self._row_op, labels, prediction, self.param)
        self.absorb(float((values * weight).sum(dtype=np.float64)), float(weight.sum()))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "ignore_class": self.ignore_class,
            "axis": self.axis,
        }


class Accuracy(MeanRowMetric):
    """Share of elements with ``y_true == y_pred``.

    Parameters
    ----------
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> Accuracy()([[1], [2], [3], [4]], [[0], [2], [3], [4]])
    0.75
    """

    op = None
    default_name = "accuracy"
    _direction = "up"

    def row_values(self, y_true: Array, y_pred: Array) -> Array:
        """1 for each element that is equal, 0 for the others."""
        equal: Array = aligned(self, y_true, y_pred) == y_pred
        return equal.astype(y_pred.dtype)


class BinaryAccuracy(MeanRowMetric):
    """Share of elements with ``y_true == (y_pred > threshold)``.

    Parameters
    ----------
    name, dtype
        As in `Metric`.
    threshold : float
        Predictions above it mean class 1.

    Examples
    --------
    >>> BinaryAccuracy()([[1], [1], [0], [0]], [[0.98], [1], [0], [0.6]])
    0.75
    """

    op = "binary_accuracy"
    _direction = "up"

    def __init__(
        self, name: str = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ) -> None:
        super().__init__(name, dtype)
        self.threshold = threshold
        self.param = float(threshold)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {**super().get_config(), "threshold": self.threshold}


class CategoricalAccuracy(MeanRowMetric):
    """Share of rows with ``argmax(y_true) == argmax(y_pred)``.

    Parameters
    ----------
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> CategoricalAccuracy()([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.05, 0.95, 0]])
    0.5
    """

    op = default_name = "categorical_accuracy"
    _direction = "up"


class SparseCategoricalAccuracy(MeanRowMetric):
    """Share of rows with ``label == argmax(y_pred)``.

    Parameters
    ----------
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> SparseCategoricalAccuracy()([[2], [1]], [[0.1, 0.6, 0.3], [0.05, 0.95, 0]])
    0.5
    """

    op = default_name = "sparse_categorical_accuracy"
    sparse = True
    _direction = "up"


class TopKCategoricalAccuracy(MeanRowMetric):
    """Share of rows whose class, the argmax of y_true, is among the k largest of y_pred.

    Parameters
    ----------
    k : int
        At least 1.
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> TopKCategoricalAccuracy(k=1)([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.05, 0.95, 0]])
    0.5
    """

    op = "top_k_accuracy"
    _direction = "up"

    def __init__(
        self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(name, dtype)
        self.k = at_least_1("k", k)
        self.param = float(self.k)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {**super().get_config(), "k": self.k}


class SparseTopKCategoricalAccuracy(MeanRowMetric):
    """Share of rows whose label is among the k largest of y_pred.

    Parameters
    ----------
    k : int
        At least 1.
    name, dtype
        As in `Metric`.
    from_sorted_ids : bool
        Whether y_pred holds class numbers, best first, and not one score a class.

    Examples
    --------
    >>> SparseTopKCategoricalAccuracy(k=2)([2, 0], [[0.1, 0.9, 0.8], [0.05, 0.95, 0.1]])
    0.5
    """

    sparse = True
    _direction = "up"

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(name, dtype)
        self.k = at_least_1("k", k)
        self.from_sorted_ids = from_sorted_ids
        self.op = None if from_sorted_ids else "sparse_top_k_accuracy"
        self.param = float(self.k)

    def row_values(self, y_true: Array, y_pred: Array) -> Array:
        """1 for each row whose label is found, 0 for the others."""
        if not self.from_sorted_ids:
            return super().row_values(y_true, y_pred)
        labels = class_numbers(self, y_true, y_pred.shape[:-1])
        equal: Array = y_pred[..., : self.k] == labels[..., None]
        return equal.any(axis=-1).astype(y_pred.dtype)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {**super().get_config(), "k": self.k, "from_sorted_ids": self.from_sorted_ids}


_ELEMENTWISE = {
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "log_cosh",
    "poisson",
    "hinge",
    "squared_hinge",
    "binary_crossentropy",
    "binary_crossentropy_logits",
    "binary_accuracy",
}

# What an op calls the option that `MeanRowMetric.param` holds.
_OPTION = {
    "binary_crossentropy": "param",
    "binary_crossentropy_logits": "param",
    "categorical_crossentropy": "smoothing",
    "softmax_crossentropy": "smoothing",
    "binary_accuracy": "param",
    "top_k_accuracy": "param",
    "sparse_top_k_accuracy": "param",
}


def _options(op: str, param: float) -> dict[str, float]:
    """Keyword arguments of an op whose one option is param."""
    return {_OPTION[op]: param} if op in _OPTION else {}


def _evaluate(op: str, target: Array, y_pred: Array, param: float) -> Array:
    """Values of an op on every row, in the shape of y_pred without its last axis."""
    classes = y_pred.shape[-1]
    rows = np.ascontiguousarray(y_pred).reshape(-1, classes)
    targets = (
        np.ascontiguousarray(target, dtype=np.int32).reshape(-1)
        if target.ndim < y_pred.ndim
        else np.ascontiguousarray(target, dtype=y_pred.dtype).reshape(rows.shape)
    )
    values = np.empty(len(rows), y_pred.dtype)
    backends.call(op, targets, rows, None, values=values, **_options(op, param))
    return values.reshape(y_pred.shape[:-1])


def _smoothing(value: float) -> float:
    """Label smoothing as a float, checked to be from 0 to 1."""
    if not 0 <= value <= 1:
        raise ValueError(f"label_smoothing must be from 0 to 1, got {value!r}")
    return float(value)
