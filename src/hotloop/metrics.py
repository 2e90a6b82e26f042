"""Metrics: numbers that judge a model, accumulated over batches in float64.

One storey holds the state (`Metric`, `Mean`, `Sum`), the next the metrics that are a weighted
mean of one value a row and that a backend can compute by itself (`MeanRowMetric`), the last the
ones that need counts: precision, recall, F-scores, AUC and R2.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import backends
from .naming import instantiate, snake_case, unique_name

Array = NDArray[Any]
Float64s = NDArray[np.float64]
Result = float | Float64s
TargetKind = Literal["binary", "sparse_categorical", "categorical"]

EPSILON = 1e-7

# ------------------------------------------------------------------- state


class Metric:
    """Base of all metrics: a state, a way to add rows to it, and the value so far.

    A subclass overrides `update_state`, `result` and `reset_state`, and calls `reset_state`
    at the end of its constructor.

    Parameters
    ----------
    dtype : str, optional
        Kept for Keras's sake, "float32" by default: states are float64 in every case.
    name : str, optional
        Key in logs and history; the class name in snake case by default, with a number
        where it is taken.

    Examples
    --------
    >>> class LargestError(Metric):
    ...     def __init__(self, name=None):
    ...         super().__init__(name=name)
    ...         self.reset_state()
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.largest = max(self.largest, float(np.abs(np.subtract(y_true, y_pred)).max()))
    ...     def result(self):
    ...         return self.largest
    ...     def reset_state(self):
    ...         self.largest = 0.0
    >>> LargestError()([1.0, 2.0], [1.5, 2.0])
    0.5
    """

    # What EarlyStopping's mode="auto" looks for: "up" where more is better, "down", or None.
    _direction: str | None = None

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or unique_name(snake_case(type(self).__name__))
        self.dtype = np.dtype(dtype or np.float32).name

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Add rows: (y_true, y_pred, sample_weight=None) for a metric that compiles."""
        raise NotImplementedError(f"{type(self).__name__} must override update_state")

    def result(self) -> Any:
        """Value of everything added since the last reset."""
        raise NotImplementedError(f"{type(self).__name__} must override result")

    def reset_state(self) -> None:
        """Forget everything added."""
        raise NotImplementedError(f"{type(self).__name__} must override reset_state")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add rows, then the value."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Metric with the arguments that `get_config` returned."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


class Sum(Metric):
    """Weighted sum: ``sum(weight * value)``.

    Parameters
    ----------
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> Sum()([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
    4.0
    """

    def __init__(self, name: str = "sum", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.reset_state()

    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add values of any shape; weights have their shape or that of their first axes."""
        array = np.asarray(values, dtype=np.float64)
        self.total += float((array * _weights(self, sample_weight, array.shape)).sum())

    def result(self) -> float:
        """The sum; 0 before any value."""
        return self.total

    def reset_state(self) -> None:
        """Forget everything added."""
        self.total = 0.0


class _Ratio(Metric):
    """A weighted total over the sum of its weights."""

    def absorb(self, total: float, count: float) -> None:
        """Add a sum of ``weight * value`` over rows and the sum of their weights."""
        self.total += float(total)
        self.count += float(count)

    def result(self) -> float:
        """The mean; 0 where the weights sum to 0."""
        return self.total / self.count if self.count else 0.0

    def reset_state(self) -> None:
        """Forget everything added."""
        self.total = 0.0
        self.count = 0.0


class Mean(_Ratio):
    """Weighted mean: ``sum(weight * value) / sum(weight)``.

    Parameters
    ----------
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> Mean()([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
    2.0
    """

    def __init__(self, name: str = "mean", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.reset_state()

    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add samples along the first axis; a sample of several values counts as their mean."""
        array = np.asarray(values, dtype=np.float64)
        if array.size == 0:
            return
        weight = _weights(self, sample_weight, array.shape)
        values_per_sample = array.size / len(array) if array.ndim else 1
        self.absorb(
            float((array * weight).sum()) / values_per_sample,
            float(weight.sum()) / values_per_sample,
        )


class MeanMetricWrapper(_Ratio):
    """Weighted mean of what a function ``fn(y_true, y_pred, **kwargs)`` returns for each row.

    Parameters
    ----------
    fn : callable
        Returns one value, or several to be averaged, for each row.
    name : str, optional
        The function's own by default.
    dtype
        As in `Metric`.
    **kwargs
        Passed on to fn.

    Examples
    --------
    >>> MeanMetricWrapper(lambda t, p: abs(t - p))(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    1.0
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(dtype, name or _own_name(fn))
        self.fn = fn
        self.fn_kwargs = kwargs
        self.reset_state()

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add rows."""
        mean = Mean()
        mean.update_state(
            self.fn(np.asarray(y_true), np.asarray(y_pred), **self.fn_kwargs), sample_weight
        )
        self.absorb(mean.total, mean.count)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict; the function itself is in it."""
        return {**super().get_config(), "fn": self.fn, **self.fn_kwargs}


# ------------------------------------------------------- one value for each row


class MeanRowMetric(_Ratio):
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
        prediction = _floats(self, "y_pred", y_pred)
        values = self.row_values(np.asarray(y_true), prediction)
        weight = _weights(self, sample_weight, values.shape)
        self.absorb(float((values * weight).sum(dtype=np.float64)), float(weight.sum()))

    def options(self) -> dict[str, float]:
        """The op's keyword arguments."""
        return {} if self.op is None else _options(self.op, self.param)

    def row_values(self, y_true: Array, y_pred: Array) -> Array:
        """Value of each row, in the shape of y_pred without its last axis."""
        assert self.op is not None
        if self.sparse:
            labels = _labels(self, y_true, y_pred.shape[:-1])
            return _evaluate(self.op, labels, y_pred, self.param)
        y_true = _aligned(self, y_true, y_pred)
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

    op = "mean_squared_error"
    default_name = "mean_squared_error"
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

    def result(self) -> float:
        """Square root of the mean so far."""
        return float(np.sqrt(super().result()))


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

    op = "mean_absolute_error"
    default_name = "mean_absolute_error"
    _direction = "down"


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

    op = "kl_divergence"
    default_name = "kl_divergence"
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

    op = "poisson"
    default_name = "poisson"
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

    op = "hinge"
    default_name = "hinge"
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
        y_true = np.moveaxis(_aligned(self, y_true, y_pred), self.axis, -1)
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
        prediction = np.moveaxis(_floats(self, "y_pred", y_pred), self.axis, -1)
        labels = _labels(self, np.asarray(y_true), prediction.shape[:-1])
        weight = _weights(self, sample_weight, labels.shape)
        if self.ignore_class is not None:
            weight = np.where(labels == self.ignore_class, 0.0, weight)
            labels = np.where(labels == self.ignore_class, np.int32(0), labels)
        _check_classes(self, labels, prediction.shape[-1])
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
        equal: Array = _aligned(self, y_true, y_pred) == y_pred
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

    op = "categorical_accuracy"
    default_name = "categorical_accuracy"
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

    op = "sparse_categorical_accuracy"
    sparse = True
    default_name = "sparse_categorical_accuracy"
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
        self.k = _at_least_1("k", k)
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
        self.k = _at_least_1("k", k)
        self.from_sorted_ids = from_sorted_ids
        self.op = None if from_sorted_ids else "sparse_top_k_accuracy"
        self.param = float(self.k)

    def row_values(self, y_true: Array, y_pred: Array) -> Array:
        """1 for each row whose label is found, 0 for the others."""
        if not self.from_sorted_ids:
            return super().row_values(y_true, y_pred)
        labels = _labels(self, y_true, y_pred.shape[:-1])
        equal: Array = y_pred[..., : self.k] == labels[..., None]
        return equal.any(axis=-1).astype(y_pred.dtype)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {**super().get_config(), "k": self.k, "from_sorted_ids": self.from_sorted_ids}


# ------------------------------------------------------------- counts at thresholds


class _Confusion:
    """Weights of true and false positives and negatives, one row for each threshold.

    A prediction is positive where it is greater than the threshold. Instead of comparing every
    prediction with every threshold, each is put into the bucket between two thresholds, and
    the buckets are summed from the top.
    """

    def __init__(self, thresholds: Sequence[float], labels: int = 1) -> None:
        given = np.asarray(thresholds, dtype=np.float64)
        self.order = np.argsort(given)
        self.sorted = given[self.order]
        shape = (len(given), labels)
        self.true_positives = np.zeros(shape)
        self.false_positives = np.zeros(shape)
        self.true_negatives = np.zeros(shape)
        self.false_negatives = np.zeros(shape)

    def add(self, y_true: Array, y_pred: Array, weight: Float64s) -> None:
        """Count elements; with several labels the arrays are (rows, labels).

        A NaN makes every count NaN, and so the metric: it must not look like a low score.
        """
        labels = self.true_positives.shape[1]
        y_true, y_pred, weight = (a.reshape(-1, labels) for a in (y_true, y_pred, weight))
        above = np.searchsorted(self.sorted.astype(y_pred.dtype), y_pred)
        unknown = np.isnan(y_pred) | np.isnan(y_true)
        above[unknown] = len(self.sorted)
        weight = np.where(unknown, np.nan, weight)
        positive = y_true.astype(bool)
        for actual, found, missed in (
            (positive, self.true_positives, self.false_negatives),
            (~positive, self.false_positives, self.true_negatives),
        ):
            buckets = self._buckets(above, np.where(actual | unknown, weight, 0.0))
            over = np.cumsum(buckets[:0:-1], axis=0)[::-1]
            found[self.order] += over
            missed[self.order] += buckets.sum(axis=0) - over

    def _buckets(self, above: Array, weight: Float64s) -> Float64s:
        """Sum of the weights for each number of thresholds that lie below, label by label."""
        count, labels = len(self.sorted) + 1, above.shape[1]
        slot = above * labels + np.arange(labels)
        sums = np.bincount(slot.ravel(), weight.ravel(), minlength=count * labels)
        return np.asarray(sums, dtype=np.float64).reshape(count, labels)

    def precision(self) -> Float64s:
        """Share of true ones among the predictions that are positive."""
        return _divide(self.true_positives, self.true_positives + self.false_positives)

    def recall(self) -> Float64s:
        """Share of true ones that are found."""
        return _divide(self.true_positives, self.true_positives + self.false_negatives)

    def false_positive_rate(self) -> Float64s:
        """Share of false ones that are taken for true."""
        return _divide(self.false_positives, self.false_positives + self.true_negatives)


class _ThresholdMetric(Metric):
    """What precision and recall share."""

    _direction = "up"

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        self.init_thresholds = thresholds
        self.thresholds = _thresholds(thresholds, default=0.5 if top_k is None else -np.inf)
        self.top_k = None if top_k is None else _at_least_1("top_k", top_k)
        self.class_id = class_id
        self.reset_state()

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add elements; labels other than 0 are true, weights have y_pred's first axes.

        Raises
        ------
        ValueError
            If shapes do not match or `class_id` is not a class.
        """
        prediction = _floats(self, "y_pred", y_pred)
        label = _aligned(self, np.asarray(y_true), prediction)
        weight = _weights(self, sample_weight, prediction.shape)
        if self.top_k is not None:
            prediction = _keep_top_k(prediction, self.top_k)
        if self.class_id is not None:
            self._check_class(prediction.shape)
            label, prediction, weight = (a[..., self.class_id] for a in (label, prediction, weight))
        self._counts.add(label, prediction, weight)

    def result(self) -> Result:
        """Value at the threshold, or an array of one value for each of several."""
        values = self._values()[:, 0]
        return float(values[0]) if len(values) == 1 else values

    def reset_state(self) -> None:
        """Forget everything added."""
        self._counts = _Confusion(self.thresholds)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {
            **super().get_config(),
            "thresholds": self.init_thresholds,
            "top_k": self.top_k,
            "class_id": self.class_id,
        }

    def _values(self) -> Float64s:
        """Value at each threshold, of shape (thresholds, 1)."""
        raise NotImplementedError

    def _check_class(self, shape: tuple[int, ...]) -> None:
        """Error where class_id is no class of predictions of that shape."""
        assert self.class_id is not None
        if len(shape) < 2 or not 0 <= self.class_id < shape[-1]:
            raise ValueError(
                f"{self.name}: class_id={self.class_id} needs predictions of shape "
                f"(rows, classes) with more than {self.class_id} classes, got the shape {shape}"
            )


class Precision(_ThresholdMetric):
    """Share of the positive predictions that are right: ``TP / (TP + FP)``; 0 where there is none.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        From 0 to 1, 0.5 by default: a prediction above it is positive. Several give an array.
    top_k : int, optional
        Only the k largest predictions of a row can be positive; without `thresholds` they are.
    class_id : int, optional
        Count this class alone.
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> round(Precision()([0, 1, 1, 1], [0.7, 0.2, 0.8, 0.9]), 4)
    0.6667
    """

    def _values(self) -> Float64s:
        return self._counts.precision()


class Recall(_ThresholdMetric):
    """Share of the true elements that are found: ``TP / (TP + FN)``; 0 where there is none.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        From 0 to 1, 0.5 by default: a prediction above it is positive. Several give an array.
    top_k : int, optional
        Only the k largest predictions of a row can be positive; without `thresholds` they are.
    class_id : int, optional
        Count this class alone.
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> round(Recall()([0, 1, 1, 1], [0.7, 0.2, 0.8, 0.9]), 4)
    0.6667
    """

    def _values(self) -> Float64s:
        return self._counts.recall()


class AUC(Metric):
    """Area under the ROC or the precision-recall curve, approximated at fixed thresholds.

    The ROC curve is recall ``TP / (TP + FN)`` over the false positive rate ``FP / (FP + TN)``;
    the PR curve is precision ``TP / (TP + FP)`` over recall. Predictions are clipped to [0, 1].

    Parameters
    ----------
    num_thresholds : int
        At least 2; evenly spaced from 0 to 1, both included.
    curve : {"ROC", "PR"}
        The curve.
    summation_method : {"interpolation", "minoring", "majoring"}
        Height of the curve between two thresholds: their mean, the smaller or the larger one.
        For PR, interpolation is of true and false positives (Davis and Goadrich, 2006).
    name, dtype
        As in `Metric`.
    thresholds : sequence of float, optional
        From 0 to 1, used together with 0 and 1 in place of `num_thresholds` even ones.
    multi_label : bool
        Whether each column of y_pred has a curve of its own; the areas are then averaged.
    num_labels : int, optional
        Number of columns, with `multi_label`; found out from the first rows by default.
    label_weights : sequence of float, optional
        Weight of each column, in the average or, without `multi_label`, in the counts.
    from_logits : bool
        Whether y_pred comes before the sigmoid.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Examples
    --------
    >>> AUC(num_thresholds=3)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
    0.75
    """

    _direction = "up"
    _CURVES: ClassVar = ("ROC", "PR")
    _METHODS: ClassVar = ("interpolation", "minoring", "majoring")

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | Array | None = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(dtype, name)
        if str(curve).upper() not in self._CURVES:
            raise ValueError(f"curve must be one of {', '.join(self._CURVES)}, got {curve!r}")
        if str(summation_method).lower() not in self._METHODS:
            raise ValueError(
                f"summation_method must be one of {', '.join(self._METHODS)}, "
                f"got {summation_method!r}"
            )
        if num_labels and not multi_label:
            raise ValueError("num_labels needs multi_label=True")
        if thresholds is not None:
            inner = sorted(_thresholds(thresholds, default=0.5))
        elif num_thresholds >= 2:
            inner = [i / (num_thresholds - 1) for i in range(1, num_thresholds - 1)]
        else:
            raise ValueError(f"num_thresholds must be at least 2, got {num_thresholds}")
        self.thresholds = [-EPSILON, *inner, 1.0 + EPSILON]
        self.num_thresholds = len(self.thresholds)
        self.curve = str(curve).upper()
        self.summation_method = str(summation_method).lower()
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = None if label_weights is None else np.asarray(label_weights, float)
        self.from_logits = from_logits
        self._given_thresholds = thresholds is not None
        self.reset_state()

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add elements; labels other than 0 are true, weights have y_pred's first axes.

        Raises
        ------
        ValueError
            If shapes do not match, or not the number of labels.
        """
        prediction = _floats(self, "y_pred", y_pred)
        label = _aligned(self, np.asarray(y_true), prediction)
        weight = _weights(self, sample_weight, prediction.shape)
        if self.from_logits:
            prediction = np.exp(-np.logaddexp(0.0, -prediction))
        if self.multi_label:
            self._use_labels(prediction.shape)
        elif self.label_weights is not None:
            weight = weight * np.broadcast_to(self.label_weights, prediction.shape)
        self._counts.add(label, np.clip(prediction, 0.0, 1.0), weight)

    def result(self) -> float:
        """The area; with `multi_label` the mean of the labels' areas."""
        areas = self._areas().sum(axis=0)
        if self.multi_label and self.label_weights is not None:
            return float(_divide(areas @ self.label_weights, self.label_weights.sum()))
        return float(areas.mean())

    def reset_state(self) -> None:
        """Forget everything added."""
        self._counts = _Confusion(self.thresholds, self.num_labels or 1)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        config = {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": None if self.label_weights is None else self.label_weights.tolist(),
            "from_logits": self.from_logits,
        }
        return {**config, "thresholds": self.thresholds[1:-1]} if self._given_thresholds else config

    def _use_labels(self, shape: tuple[int, ...]) -> None:
        """Take the number of labels from the first predictions, and check it in all others."""
        if self.num_labels is None and len(shape) == 2:
            self.num_labels = shape[1]
            self.reset_state()
        if len(shape) != 2 or shape[1] != self.num_labels:
            raise ValueError(
                f"{self.name}: multi_label=True needs predictions of shape "
                f"(rows, {self.num_labels or 'labels'}), got {shape}"
            )

    def _areas(self) -> Float64s:
        """Area between each two thresholds, of shape (thresholds - 1, labels)."""
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._interpolated_pr_areas()
        recall = self._counts.recall()
        x, y = (
            (self._counts.false_positive_rate(), recall)
            if self.curve == "ROC"
            else (recall, self._counts.precision())
        )
        height = {
            "interpolation": (y[:-1] + y[1:]) / 2,
            "minoring": np.minimum(y[:-1], y[1:]),
            "majoring": np.maximum(y[:-1], y[1:]),
        }[self.summation_method]
        areas: Float64s = (x[:-1] - x[1:]) * height
        return areas

    def _interpolated_pr_areas(self) -> Float64s:
        """Areas where true and all positives vary linearly between two thresholds.

        With TP = slope * P + intercept the integral of TP / P over recall is
        slope * (dTP + intercept * log(P_low / P_high)) / (TP + FN).
        """
        tp = self._counts.true_positives
        p = tp + self._counts.false_positives
        d_tp = tp[:-1] - tp[1:]
        slope = _divide(d_tp, p[:-1] - p[1:])
        intercept = tp[1:] - slope * p[1:]
        both = (p[:-1] > 0) & (p[1:] > 0)
        ratio = np.divide(p[:-1], p[1:], out=np.ones_like(d_tp), where=both)
        return _divide(
            slope * (d_tp + intercept * np.log(ratio)),
            tp[1:] + self._counts.false_negatives[1:],
        )


class FBetaScore(Metric):
    """Weighted harmonic mean of precision and recall.

    ``(1 + beta ** 2) * precision * recall / (beta ** 2 * precision + recall)`` for each class,
    and 0 where that is 0 / 0.

    Parameters
    ----------
    average : {None, "micro", "macro", "weighted"}
        None gives an array of one score for each class; "micro" counts all classes together;
        "macro" is the mean of the scores; "weighted" weighs them by the classes' numbers of
        true rows.
    beta : float
        How much more recall counts than precision, greater than 0.
    threshold : float, optional
        Greater than 0, at most 1: predictions above it are positive. By default the largest
        one of each row is.
    name, dtype
        As in `Metric`.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Examples
    --------
    >>> y_true = [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
    >>> y_pred = [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]]
    >>> FBetaScore(beta=2.0, threshold=0.5)(y_true, y_pred).round(4)
    array([0.3846, 0.9091, 0.8333])
    """

    true_positives: Float64s
    false_positives: Float64s
    false_negatives: Float64s

    _direction = "up"
    _AVERAGES: ClassVar = (None, "micro", "macro", "weighted")

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        if average not in self._AVERAGES:
            raise ValueError(
                f"average must be None, 'micro', 'macro' or 'weighted', got {average!r}"
            )
        if not beta > 0:
            raise ValueError(f"beta must be greater than 0, got {beta!r}")
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(
                f"threshold must be greater than 0 and at most 1, or None, got {threshold!r}"
            )
        self.average = average
        self.beta = beta
        self.threshold = threshold
        self.reset_state()

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add rows of shape (rows, classes), labels being 0 or 1 for each class.

        Raises
        ------
        ValueError
            If shapes do not match.
        """
        prediction = _floats(self, "y_pred", y_pred)
        label = np.asarray(y_true)
        if prediction.ndim != 2 or label.shape != prediction.shape:
            raise ValueError(
                f"{self.name} needs y_true and y_pred of one shape (rows, classes), got "
                f"{label.shape} and {prediction.shape}; make class numbers one-hot with "
                "utils.to_categorical"
            )
        weight = _weights(self, sample_weight, prediction.shape)
        label = label.astype(np.float64)
        positive = self._positive(prediction)
        axis = None if self.average == "micro" else 0
        self.true_positives = self.true_positives + (weight * positive * label).sum(axis)
        self.false_positives = self.false_positives + (weight * positive * (1 - label)).sum(axis)
        self.false_negatives = self.false_negatives + (weight * (1 - positive) * label).sum(axis)

    def result(self) -> Result:
        """The score, or an array of one for each class where `average` is None."""
        beta2 = self.beta**2
        tp, fp, fn = self.true_positives, self.false_positives, self.false_negatives
        score = _divide((1 + beta2) * tp, (1 + beta2) * tp + beta2 * fn + fp)
        if self.average == "weighted":
            support = tp + fn
            return float(_divide((score * support).sum(), support.sum()))
        return score if self.average is None else float(score.mean())

    def reset_state(self) -> None:
        """Forget everything added."""
        self.true_positives = self.false_positives = self.false_negatives = np.zeros(())

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {
            **super().get_config(),
            "average": self.average,
            "beta": self.beta,
            "threshold": self.threshold,
        }

    def _positive(self, y_pred: Array) -> Float64s:
        """1 for each positive prediction, 0 for the others, NaN for NaN."""
        if self.threshold is not None:
            chosen = y_pred > self.threshold
        else:
            largest = y_pred.max(axis=1, keepdims=True, initial=-np.inf)
            chosen = (y_pred >= largest) & (np.abs(y_pred) > 1e-9)
        return np.where(np.isnan(y_pred), np.nan, chosen.astype(np.float64))


class F1Score(FBetaScore):
    """Harmonic mean of precision and recall: ``2 TP / (2 TP + FP + FN)`` for each class.

    Parameters
    ----------
    average, threshold
        As in `FBetaScore`.
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> y_true = [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
    >>> y_pred = [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]]
    >>> F1Score(threshold=0.5)(y_true, y_pred).round(4)
    array([0.5   , 0.8   , 0.6667])
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {key: value for key, value in super().get_config().items() if key != "beta"}


class R2Score(Metric):
    """Coefficient of determination.

    ``1 - sum(w * (y_true - y_pred) ** 2) / sum(w * (y_true - mean(y_true)) ** 2)`` for each
    column; 1 is perfect, 0 is as good as the mean, and it may be negative.

    Parameters
    ----------
    class_aggregation : {"uniform_average", "variance_weighted_average", None}
        How the columns' scores become one; None gives an array.
    num_regressors : int
        p > 0 gives the adjusted score, ``1 - (1 - R2) * (n - 1) / (n - p - 1)`` for n values.
    name, dtype
        As in `Metric`.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Examples
    --------
    >>> round(R2Score()([[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]]), 4)
    0.5714
    """

    num_samples: int
    weight: Float64s
    mean: Float64s
    spread: Float64s
    residual: Float64s

    _direction = "up"
    _AGGREGATIONS: ClassVar = (None, "uniform_average", "variance_weighted_average")

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        if class_aggregation not in self._AGGREGATIONS:
            raise ValueError(
                "class_aggregation must be None, 'uniform_average' or "
                f"'variance_weighted_average', got {class_aggregation!r}"
            )
        if num_regressors < 0:
            raise ValueError(f"num_regressors must be at least 0, got {num_regressors}")
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.reset_state()

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add rows of shape (rows,) or (rows, columns).

        Raises
        ------
        ValueError
            If shapes do not match.
        """
        prediction = _floats(self, "y_pred", y_pred).astype(np.float64)
        if prediction.ndim == 1:
            prediction = prediction[:, None]
        target = _aligned(self, np.asarray(y_true), prediction)
        if prediction.ndim != 2:
            raise ValueError(
                f"{self.name} needs y_pred of shape (rows, columns), got {prediction.shape}"
            )
        weight = _weights(self, sample_weight, prediction.shape)
        self.residual = self.residual + (weight * (target - prediction) ** 2).sum(axis=0)
        self.num_samples += prediction.size
        self._add_spread(target, weight)

    def result(self) -> Result:
        """The score, or an array of one for each column where `class_aggregation` is None."""
        with np.errstate(divide="ignore", invalid="ignore"):
            score = 1 - self.residual / self.spread
            score = np.where(np.isinf(score), 0.0, score)
            if self.class_aggregation == "uniform_average":
                score = score.mean()
            elif self.class_aggregation == "variance_weighted_average":
                score = (score * self.spread).sum() / self.spread.sum()
        adjusted = self._adjusted(score)
        return adjusted if self.class_aggregation is None else float(adjusted)

    def reset_state(self) -> None:
        """Forget everything added."""
        self.num_samples = 0
        self.weight = self.mean = self.spread = self.residual = np.zeros(())

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {
            **super().get_config(),
            "class_aggregation": self.class_aggregation,
            "num_regressors": self.num_regressors,
        }

    def _add_spread(self, target: Array, weight: Float64s) -> None:
        """Merge the targets' weighted sums of squares about their mean (Chan et al., 1979)."""
        added = weight.sum(axis=0)
        mean = _divide((weight * target).sum(axis=0), added)
        spread = (weight * (target - mean) ** 2).sum(axis=0)
        total = self.weight + added
        share = _divide(added, total)
        step = mean - self.mean
        self.spread = self.spread + spread + step**2 * self.weight * share
        self.mean = self.mean + step * share
        self.weight = total

    def _adjusted(self, score: Float64s) -> Float64s:
        """Score adjusted for the number of regressors, where there are enough samples."""
        if not self.num_regressors:
            return score
        freedom = self.num_samples - self.num_regressors - 1
        if freedom <= 0:
            warnings.warn(
                f"{self.name}: {self.num_samples} values are too few to adjust for "
                f"{self.num_regressors} regressors; this is the plain R2 score",
                stacklevel=3,
            )
            return score
        return 1 - (1 - score) * (self.num_samples - 1) / freedom


# ------------------------------------------------------------------- by name


def get(identifier: str | Mapping[str, Any] | Metric | Callable[..., Any] | None) -> Any:
    """Metric of a name, a configuration, a class, an instance or a function; None of None.

    A function ``fn(y_true, y_pred)`` becomes a `MeanMetricWrapper`. What ``"accuracy"`` means
    in ``compile`` depends on shapes: see `resolve`.

    Raises
    ------
    ValueError
        If the name is unknown or the identifier is none of these.

    Examples
    --------
    >>> get("mse")
    <MeanSquaredError name=mean_squared_error>
    """
    if identifier is None:
        return None
    found = instantiate("metric", identifier, _TABLE)
    return found if isinstance(found, Metric) else MeanMetricWrapper(found)


def resolve(
    identifier: str | Mapping[str, Any] | Metric | Callable[..., Any],
    y_true_shape: Sequence[int | None],
    y_pred_shape: Sequence[int | None],
) -> Metric:
    """Metric that an entry of ``compile(metrics=[...])`` means, under the name it has in logs.

    ``"accuracy"`` and ``"acc"`` are chosen by shape; any other name is `get`'s, and names the
    metric: ``"mse"`` is logged as ``mse``.

    Examples
    --------
    >>> resolve("acc", (None, 1), (None, 10)), resolve("mse", (None, 1), (None, 1))
    (<SparseCategoricalAccuracy name=acc>, <MeanSquaredError name=mse>)
    """
    if isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc"):
        return resolve_accuracy(identifier, y_true_shape, y_pred_shape)
    metric: Metric = get(identifier)
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


def resolve_accuracy(
    name: str, y_true_shape: Sequence[int | None], y_pred_shape: Sequence[int | None]
) -> MeanRowMetric:
    """Accuracy that suits the shapes, under the name given.

    Examples
    --------
    >>> resolve_accuracy("accuracy", (32, 10), (32, 10))
    <CategoricalAccuracy name=accuracy>
    """
    kinds: dict[TargetKind, type[Any]] = {
        "binary": BinaryAccuracy,
        "sparse_categorical": SparseCategoricalAccuracy,
        "categorical": CategoricalAccuracy,
    }
    metric: MeanRowMetric = kinds[target_kind(y_true_shape, y_pred_shape)](name=name)
    return metric


def resolve_crossentropy(
    y_true_shape: Sequence[int | None], y_pred_shape: Sequence[int | None]
) -> str:
    """Name of the cross-entropy that suits the shapes, for losses and metrics alike.

    Examples
    --------
    >>> resolve_crossentropy((32,), (32, 10))
    'sparse_categorical_crossentropy'
    """
    return f"{target_kind(y_true_shape, y_pred_shape)}_crossentropy"


def target_kind(
    y_true_shape: Sequence[int | None], y_pred_shape: Sequence[int | None]
) -> TargetKind:
    """What kind of labels the shapes speak of, by Keras's rule.

    Binary where y_pred's last axis has length 1; else sparse where y_true has fewer axes, or a
    last axis of length 1; else categorical, which is one-hot.

    Examples
    --------
    >>> target_kind((32, 1), (32, 1)), target_kind((32, 1), (32, 10))
    ('binary', 'sparse_categorical')
    """
    if y_pred_shape[-1] == 1:
        return "binary"
    if len(y_true_shape) < len(y_pred_shape) or y_true_shape[-1] == 1:
        return "sparse_categorical"
    return "categorical"


# ------------------------------------------------------------------- helpers

_ELEMENTWISE = {
    "mean_squared_error",
    "mean_absolute_error",
    "log_cosh",
    "poisson",
    "hinge",
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


def _floats(metric: Metric, name: str, x: ArrayLike) -> Array:
    """Array in its own floating-point type, float32 or float64; numbers of other types too."""
    array = np.asarray(x)
    if array.dtype.kind not in "biuf" and array.size:
        raise TypeError(f"{metric.name}: {name} must hold numbers, got dtype {array.dtype}")
    if array.ndim == 0:
        raise ValueError(f"{metric.name}: {name} must have at least one axis, got a scalar")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _aligned(metric: Metric, y_true: Array, y_pred: Array) -> Array:
    """Targets in the shape of the predictions; a last axis of length 1 may be missing in one."""
    if y_true.shape != y_pred.shape and _squeezed(y_true.shape) != _squeezed(y_pred.shape):
        raise ValueError(
            f"{metric.name}: y_true has the shape {y_true.shape} but y_pred {y_pred.shape}; they "
            "must be the same. Class numbers go with the metrics whose names begin with Sparse"
        )
    return _floats(metric, "y_true", y_true).reshape(y_pred.shape)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape without a last axis of length 1."""
    return shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape


def _labels(metric: Metric, y_true: Array, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Class numbers in that shape; a further axis of length 1 is dropped."""
    if y_true.shape not in (shape, (*shape, 1)):
        raise ValueError(
            f"{metric.name}: y_true must hold one class number for each row, so have the shape "
            f"{shape}, got {y_true.shape}. One-hot labels go with the metrics whose names do not "
            "begin with Sparse"
        )
    labels = _floats(metric, "y_true", y_true).reshape(shape)
    whole = np.trunc(labels) == labels
    fits = np.abs(labels) < 2**31
    if not (whole & fits).all():
        raise ValueError(
            f"{metric.name}: class numbers must be whole, got {labels[~(whole & fits)][0]}"
        )
    return labels.astype(np.int32)


def _check_classes(metric: Metric, labels: NDArray[np.int32], classes: int) -> None:
    """Error where a label is no class."""
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        raise ValueError(
            f"{metric.name}: labels must be from 0 to {classes - 1} for {classes} classes, "
            f"got {labels[wrong][0]}"
        )


def _weights(metric: Metric, weight: ArrayLike | None, shape: tuple[int, ...]) -> Float64s:
    """Weights as float64 in that shape; None means ones, missing last axes are repeated."""
    if weight is None:
        return np.ones(shape)
    array = np.asarray(weight, dtype=np.float64)
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


def _divide(a: ArrayLike, b: ArrayLike) -> Float64s:
    """a / b, and 0 where b is 0."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    out = np.zeros(np.broadcast_shapes(a.shape, b.shape))
    np.divide(a, b, out=out, where=b != 0)
    return out


def _keep_top_k(y_pred: Array, k: int) -> Array:
    """Predictions with all but the k largest of each row lowered to minus infinity."""
    first = np.argsort(-y_pred, axis=-1, kind="stable")[..., :k]
    kept = np.full_like(y_pred, -np.inf)
    np.put_along_axis(kept, first, np.take_along_axis(y_pred, first, axis=-1), axis=-1)
    return kept


def _thresholds(given: float | Sequence[float] | None, default: float) -> list[float]:
    """Thresholds as a list, checked to be from 0 to 1."""
    if given is None:
        return [default]
    values = [float(t) for t in np.atleast_1d(np.asarray(given, dtype=np.float64))]
    if not values or not all(0 <= t <= 1 for t in values):
        raise ValueError(f"thresholds must be from 0 to 1, got {given!r}")
    return values


def _smoothing(value: float) -> float:
    """Label smoothing as a float, checked to be from 0 to 1."""
    if not 0 <= value <= 1:
        raise ValueError(f"label_smoothing must be from 0 to 1, got {value!r}")
    return float(value)


def _at_least_1(name: str, value: int) -> int:
    """Whole number of at least 1."""
    if int(value) != value or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    return int(value)


def _own_name(fn: Any) -> str:
    """Name of a function, or of an object that has one."""
    name = getattr(fn, "name", None) or getattr(fn, "__name__", type(fn).__name__)
    return snake_case(str(name))


_TABLE: dict[str, Any] = {
    "mean": Mean,
    "sum": Sum,
    "mean_metric_wrapper": MeanMetricWrapper,
    "mean_squared_error": MeanSquaredError,
    "root_mean_squared_error": RootMeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "log_cosh_error": LogCoshError,
    "r2_score": R2Score,
    "kl_divergence": KLDivergence,
    "poisson": Poisson,
    "hinge": Hinge,
    "binary_crossentropy": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "accuracy": Accuracy,
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "top_k_categorical_accuracy": TopKCategoricalAccuracy,
    "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
    "precision": Precision,
    "recall": Recall,
    "auc": AUC,
    "f1_score": F1Score,
    "fbeta_score": FBetaScore,
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "rmse": RootMeanSquaredError,
    "bce": BinaryCrossentropy,
    "logcosh": LogCoshError,
}
