"""Metrics of true and false positives and negatives: their counts, and one rate at another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from .arrays import (
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
from .counts import (
    Confusion,
    check_class,
    thresholds_of,
)


class _Count(Metric):
    """How many elements fall into one field of the confusion matrix, at each threshold."""

    _field: ClassVar[str]

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        self.init_thresholds = thresholds
        self.thresholds = thresholds_of(thresholds, default=0.5)
        self.reset_state()

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add elements; labels other than 0 are true, weights have y_pred's first axes.

        Raises
        ------
        ValueError
            If shapes do not match.
        """
        prediction = floats(self, "y_pred", y_pred)
        label = aligned(self, as_given(self, "y_true", y_true), prediction)
        self._counts.add(label, prediction, row_weights(self, sample_weight, prediction.shape))

    def result(self) -> Result:
        """Sum of the weights, or an array of one sum for each of several thresholds."""
        counts: Float64s = getattr(self._counts, self._field)[:, 0]
        return float(counts[0]) if len(counts) == 1 else counts.copy()

    def reset_state(self) -> None:
        """Forget everything added."""
        self._counts = Confusion(self.thresholds)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {**super().get_config(), "thresholds": self.init_thresholds}


class TruePositives(_Count):
    """Number of true elements whose prediction is above the threshold.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        From 0 to 1, 0.5 by default. Several give an array.
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> TruePositives()([0, 1, 1, 1], [0.7, 0.2, 0.8, 0.9])
    2.0
    """

    _field = "true_positives"
    _direction = "up"


class TrueNegatives(_Count):
    """Number of false elements whose prediction is not above the threshold.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        From 0 to 1, 0.5 by default. Several give an array.
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> TrueNegatives()([0, 0, 1, 0], [0.7, 0.2, 0.8, 0.1])
    2.0
    """

    _field = "true_negatives"
    _direction = "up"


class FalsePositives(_Count):
    """Number of false elements whose prediction is above the threshold.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        From 0 to 1, 0.5 by default. Several give an array.
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> FalsePositives()([0, 1, 0, 0], [0.7, 0.2, 0.8, 0.1])
    2.0
    """

    _field = "false_positives"
    _direction = "down"


class FalseNegatives(_Count):
    """Number of true elements whose prediction is not above the threshold.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        From 0 to 1, 0.5 by default. Several give an array.
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> FalseNegatives()([0, 1, 1, 1], [0.7, 0.2, 0.1, 0.9])
    2.0
    """

    _field = "false_negatives"
    _direction = "down"


class _BestAt(Metric):
    """The best value of one rate among the thresholds at which another is large enough.

    The thresholds are evenly spaced from 0 to 1, both included; a single one is 1/2. The rate
    is 0 where no threshold will do.
    """

    _direction = "up"
    _given: ClassVar[str]  # the argument that says how large the other rate must be

    def __init__(
        self, least: float, num_thresholds: int, class_id: int | None, name: str | None, dtype: Any
    ) -> None:
        super().__init__(dtype, name)
        if not 0 <= least <= 1:
            raise ValueError(f"{self._given} must be from 0 to 1, got {least!r}")
        self.num_thresholds = at_least_1("num_thresholds", num_thresholds)
        self.class_id = class_id
        self.thresholds = (
            [0.5] if num_thresholds == 1 else np.linspace(0, 1, num_thresholds).tolist()
        )
        self._least = float(least)
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
        if self.class_id is not None:
            check_class(self, self.class_id, prediction.shape)
            label, prediction, weight = (a[..., self.class_id] for a in (label, prediction, weight))
        self._counts.add(label, prediction, weight)

    def result(self) -> float:
        """The best rate; 0 if the other one is never large enough, NaN of NaN predictions."""
        found, other = (rates[:, 0] for rates in self._rates())
        allowed = np.where(other >= self._least, found, 0.0)
        return float(np.where(np.isnan(other), np.nan, allowed).max())

    def reset_state(self) -> None:
        """Forget everything added."""
        self._counts = Confusion(self.thresholds)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {
            **super().get_config(),
            self._given: self._least,
            "num_thresholds": self.num_thresholds,
            "class_id": self.class_id,
        }

    def _rates(self) -> tuple[Float64s, Float64s]:
        """The rate that is wanted, and the one that must be large enough, at each threshold."""
        raise NotImplementedError

    def _specificity(self) -> Float64s:
        counts = self._counts
        return divide(counts.true_negatives, counts.true_negatives + counts.false_positives)


class SensitivityAtSpecificity(_BestAt):
    """Best sensitivity ``TP / (TP + FN)`` where specificity ``TN / (TN + FP)`` is large enough.

    Parameters
    ----------
    specificity : float
        The least that will do, from 0 to 1.
    num_thresholds : int
        Evenly spaced from 0 to 1; a single one is 1/2.
    class_id : int, optional
        Count this class alone.
    name, dtype
        As in `Metric`.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Examples
    --------
    >>> SensitivityAtSpecificity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
    0.5
    """

    _given = "specificity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)
        self.specificity = self._least

    def _rates(self) -> tuple[Float64s, Float64s]:
        return self._counts.recall(), self._specificity()


class SpecificityAtSensitivity(_BestAt):
    """Best specificity ``TN / (TN + FP)`` where sensitivity ``TP / (TP + FN)`` is large enough.

    Parameters
    ----------
    sensitivity : float
        The least that will do, from 0 to 1.
    num_thresholds, class_id, name, dtype
        As in `SensitivityAtSpecificity`.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Examples
    --------
    >>> round(SpecificityAtSensitivity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8]), 4)
    0.6667
    """

    _given = "sensitivity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)
        self.sensitivity = self._least

    def _rates(self) -> tuple[Float64s, Float64s]:
        return self._specificity(), self._counts.recall()


class PrecisionAtRecall(_BestAt):
    """Best precision ``TP / (TP + FP)`` where recall ``TP / (TP + FN)`` is large enough.

    Parameters
    ----------
    recall : float
        The least that will do, from 0 to 1.
    num_thresholds, class_id, name, dtype
        As in `SensitivityAtSpecificity`.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Examples
    --------
    >>> PrecisionAtRecall(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
    0.5
    """

    _given = "recall"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)
        self.recall = self._least

    def _rates(self) -> tuple[Float64s, Float64s]:
        return self._counts.precision(), self._counts.recall()


class RecallAtPrecision(_BestAt):
    """Best recall ``TP / (TP + FN)`` where precision ``TP / (TP + FP)`` is large enough.

    Parameters
    ----------
    precision : float
        The least that will do, from 0 to 1.
    num_thresholds, class_id, name, dtype
        As in `SensitivityAtSpecificity`.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Examples
    --------
    >>> RecallAtPrecision(0.8)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
    0.5
    """

    _given = "precision"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)
        self.precision = self._least

    def _rates(self) -> tuple[Float64s, Float64s]:
        return self._counts.recall(), self._counts.precision()
