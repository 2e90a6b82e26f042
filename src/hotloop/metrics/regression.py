"""Metrics of regressions that are no mean over rows."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from .arrays import (
    Array,
    Float64s,
    Result,
    aligned,
    as_given,
    divide,
    floats,
    row_weights,
)
from .base import Metric


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
        prediction = floats(self, "y_pred", y_pred).astype(np.float64)
        if prediction.ndim == 1:
            prediction = prediction[:, None]
        target = aligned(self, as_given(self, "y_true", y_true), prediction)
        if prediction.ndim != 2:
            raise ValueError(
                f"{self.name} needs y_pred of shape (rows, columns), got {prediction.shape}"
            )
        weight = row_weights(self, sample_weight, prediction.shape)
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
        # From the first row on, so that targets that do not vary have a spread of exactly 0.
        origin = target[0] if len(target) else 0.0
        mean = origin + divide((weight * (target - origin)).sum(axis=0), added)
        spread = (weight * (target - mean) ** 2).sum(axis=0)
        total = self.weight + added
        share = divide(added, total)
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
