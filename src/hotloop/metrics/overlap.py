"""Metrics of overlap: intersection over union of classes, from a matrix of counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .arrays import (
    Array,
    Float64s,
    at_least_1,
    divide,
    floats,
    row_weights,
)
from .base import Metric


class IoU(Metric):
    """Intersection over union, ``TP / (TP + FP + FN)``, averaged over some of the classes.

    A class that neither labels nor predictions have is left out of the mean. Labels and
    predictions that are no class count for nothing.

    Parameters
    ----------
    num_classes : int
        Classes are numbered from 0.
    target_class_ids : sequence of int
        The classes that the mean is over.
    name, dtype
        As in `Metric`.
    ignore_class : int, optional
        Elements with this label do not count.
    sparse_y_true, sparse_y_pred : bool
        Whether they hold class numbers, and not one score a class along `axis`.
    axis : int
        Where the scores are.

    Raises
    ------
    ValueError
        If a target class is no class.

    Examples
    --------
    >>> round(IoU(num_classes=2, target_class_ids=[0])([0, 0, 1, 1], [0, 1, 0, 1]), 4)
    0.3333
    """

    total_cm: Float64s

    _direction = "up"

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(dtype, name)
        self.num_classes = at_least_1("num_classes", num_classes)
        self.target_class_ids = [int(i) for i in target_class_ids]
        if not all(0 <= i < num_classes for i in self.target_class_ids):
            raise ValueError(
                f"target_class_ids must be from 0 to {num_classes - 1} for {num_classes} classes, "
                f"got {target_class_ids!r}"
            )
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis
        self.reset_state()

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add elements; weights have the shape of the class numbers, or of their first axes.

        Raises
        ------
        ValueError
            If there are not as many labels as predictions.
        """
        label = self._classes("y_true", y_true, self.sparse_y_true)
        prediction = self._classes("y_pred", y_pred, self.sparse_y_pred)
        if label.size != prediction.size:
            raise ValueError(
                f"{self.name}: there are {label.size} labels, of shape {label.shape}, but "
                f"{prediction.size} predictions, of shape {prediction.shape}"
            )
        weight = row_weights(self, sample_weight, prediction.shape).ravel()
        label, prediction = label.ravel(), prediction.ravel()
        n = self.num_classes
        counted = (label >= 0) & (label < n) & (prediction >= 0) & (prediction < n)
        if self.ignore_class is not None:
            counted &= label != self.ignore_class
        field = label[counted].astype(np.intp) * n + prediction[counted].astype(np.intp)
        self.total_cm += np.bincount(field, weight[counted], minlength=n * n).reshape(n, n)

    def result(self) -> float:
        """Mean over the target classes that occur; 0 if none does."""
        both = self.total_cm.diagonal()
        either = self.total_cm.sum(axis=0) + self.total_cm.sum(axis=1) - both
        both, either = both[self.target_class_ids], either[self.target_class_ids]
        return float(divide(divide(both, either).sum(), (either > 1e-9).sum()))

    def reset_state(self) -> None:
        """Forget everything added."""
        self.total_cm = np.zeros((self.num_classes, self.num_classes))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "target_class_ids": self.target_class_ids,
            "ignore_class": self.ignore_class,
            "sparse_y_true": self.sparse_y_true,
            "sparse_y_pred": self.sparse_y_pred,
            "axis": self.axis,
        }

    def _classes(self, name: str, given: ArrayLike, sparse: bool) -> Array:
        """Class numbers: those given, cut to whole ones, or the largest scores'; -1 of NaN."""
        array = floats(self, name, given)
        if not sparse:
            return np.where(np.isnan(array).any(axis=self.axis), -1, array.argmax(axis=self.axis))
        return np.where(np.isnan(array), -1, np.trunc(array))


class BinaryIoU(IoU):
    """Intersection over union of yes/no outputs, averaged over one or both of the classes.

    Parameters
    ----------
    target_class_ids : sequence of int
        (0, 1) for the mean of both, (1,) for that of what is there alone.
    threshold : float
        A prediction of at least so much is class 1.
    name, dtype
        As in `Metric`.

    Raises
    ------
    ValueError
        If a target class is neither 0 nor 1.

    Examples
    --------
    >>> round(BinaryIoU(threshold=0.3)([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7]), 4)
    0.3333
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add elements; weights have the shape of the predictions, or of their first axes.

        Raises
        ------
        ValueError
            If there are not as many labels as predictions.
        """
        prediction = floats(self, "y_pred", y_pred)
        positive = np.where(np.isnan(prediction), np.nan, prediction >= self.threshold)
        super().update_state(y_true, positive, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "target_class_ids": self.target_class_ids,
            "threshold": self.threshold,
        }


class MeanIoU(IoU):
    """Intersection over union, ``TP / (TP + FP + FN)``, averaged over all classes.

    Parameters
    ----------
    num_classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis
        As in `IoU`.

    Examples
    --------
    >>> round(MeanIoU(num_classes=2)([0, 0, 1, 1], [0, 1, 0, 1]), 4)
    0.3333
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes,
            range(num_classes),
            name,
            dtype,
            ignore_class,
            sparse_y_true,
            sparse_y_pred,
            axis,
        )

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return _without(super().get_config(), "target_class_ids")


class OneHotIoU(IoU):
    """`IoU` of one-hot labels and of one score a class.

    Parameters
    ----------
    num_classes, target_class_ids, name, dtype, ignore_class, sparse_y_pred, axis
        As in `IoU`.

    Raises
    ------
    ValueError
        If a target class is no class.

    Examples
    --------
    >>> OneHotIoU(num_classes=2, target_class_ids=[1])([[0, 1], [1, 0]], [[0.2, 0.8], [0.4, 0.6]])
    0.5
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis
        )

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return _without(super().get_config(), "sparse_y_true")


class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` of one-hot labels and of one score a class.

    Parameters
    ----------
    num_classes, name, dtype, ignore_class, sparse_y_pred, axis
        As in `IoU`.

    Examples
    --------
    >>> OneHotMeanIoU(num_classes=2)([[0, 1], [1, 0]], [[0.2, 0.8], [0.4, 0.6]])
    0.25
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return _without(super().get_config(), "sparse_y_true")


def _without(config: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != name}
