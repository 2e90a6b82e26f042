"""Metrics that count at thresholds: precision, recall, F-scores, AUC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from ..backends.formulas import EPSILON
from .arrays import (
    Array,
    Float64s,
    Result,
    aligned,
    as_given,
    at_least_1,
    divide,
    floats,
    row_weights,
)
from .base import Metric


class Confusion:
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
        return divide(self.true_positives, self.true_positives + self.false_positives)

    def recall(self) -> Float64s:
        """Share of true ones that are found."""
        return divide(self.true_positives, self.true_positives + self.false_negatives)

    def false_positive_rate(self) -> Float64s:
        """Share of false ones that are taken for true."""
        return divide(self.false_positives, self.false_positives + self.true_negatives)


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
        self.thresholds = thresholds_of(thresholds, default=0.5 if top_k is None else -np.inf)
        self.top_k = None if top_k is None else at_least_1("top_k", top_k)
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
        prediction = floats(self, "y_pred", y_pred)
        label = aligned(self, as_given(self, "y_true", y_true), prediction)
        weight = row_weights(self, sample_weight, prediction.shape)
        if self.top_k is not None:
            prediction = _keep_top_k(prediction, self.top_k)
        if self.class_id is not None:
            check_class(self, self.class_id, prediction.shape)
            label, prediction, weight = (a[..., self.class_id] for a in (label, prediction, weight))
        self._counts.add(label, prediction, weight)

    def result(self) -> Result:
        """Value at the threshold, or an array of one value for each of several."""
        values = self._values()[:, 0]
        return float(values[0]) if len(values) == 1 else values

    def reset_state(self) -> None:
        """Forget everything added."""
        self._counts = Confusion(self.thresholds)

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
            inner = sorted(thresholds_of(thresholds, default=0.5))
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
        prediction = floats(self, "y_pred", y_pred)
        label = aligned(self, as_given(self, "y_true", y_true), prediction)
        weight = row_weights(self, sample_weight, prediction.shape)
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
            return float(divide(areas @ self.label_weights, self.label_weights.sum()))
        return float(areas.mean())

    def reset_state(self) -> None:
        """Forget everything added."""
        self._counts = Confusion(self.thresholds, self.num_labels or 1)

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
        slope = divide(d_tp, p[:-1] - p[1:])
        intercept = tp[1:] - slope * p[1:]
        both = (p[:-1] > 0) & (p[1:] > 0)
        ratio = np.divide(p[:-1], p[1:], out=np.ones_like(d_tp), where=both)
        return divide(
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
        prediction = floats(self, "y_pred", y_pred)
        label = as_given(self, "y_true", y_true)
        if prediction.ndim != 2 or label.shape != prediction.shape:
            raise ValueError(
                f"{self.name} needs y_true and y_pred of one shape (rows, classes), got "
                f"{label.shape} and {prediction.shape}; make class numbers one-hot with "
                "utils.to_categorical"
            )
        weight = row_weights(self, sample_weight, prediction.shape)
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
        score = divide((1 + beta2) * tp, (1 + beta2) * tp + beta2 * fn + fp)
        if self.average == "weighted":
            support = tp + fn
            return float(divide((score * support).sum(), support.sum()))
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


def _keep_top_k(y_pred: Array, k: int) -> Array:
    """Predictions with all but the k largest of each row lowered to minus infinity."""
    first = np.argsort(-y_pred, axis=-1, kind="stable")[..., :k]
    kept = np.full_like(y_pred, -np.inf)
    np.put_along_axis(kept, first, np.take_along_axis(y_pred, first, axis=-1), axis=-1)
    return kept


def check_class(metric: Metric, class_id: int, shape: tuple[int, ...]) -> None:
    """Error where class_id is no class of predictions of that shape."""
    if len(shape) < 2 or not 0 <= class_id < shape[-1]:
        raise ValueError(
            f"{metric.name}: class_id={class_id} needs predictions of shape (rows, classes) with "
            f"more than {class_id} classes, got the shape {shape}"
        )


def thresholds_of(given: float | Sequence[float] | None, default: float) -> list[float]:
    """Thresholds as a list, checked to be from 0 to 1."""
    if given is None:
        return [default]
    values = [float(t) for t in np.atleast_1d(np.asarray(given, dtype=np.float64))]
    if not values or not all(0 <= t <= 1 for t in values):
        raise ValueError(f"thresholds must be from 0 to 1, got {given!r}")
    return values
