"""Class labels of any kind, what a network is trained on instead, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target

Array = NDArray[Any]

ROUNDING = 1e-5  # that of float32, in sums over many classes


class Labels:
    """Classes, and how labels are numbered by them.

    Parameters
    ----------
    y : array-like
        Labels (examples,), or for several labels at once zeros and ones (examples, labels).
    classes : array-like, optional
        All classes, where y need not have each of them.

    Attributes
    ----------
    kind : {"binary", "multiclass", "multilabel"}
    classes : ndarray of shape (classes,)
        Sorted; of several labels at once, their column numbers.

    Raises
    ------
    ValueError
        For quantities, and for several columns that hold more than zeros and ones.

    Examples
    --------
    >>> labels = Labels(["b", "a", "b"])
    >>> labels.encode(["a", "b"]), labels.decode(np.array([[0.9], [0.2]]))
    (array([0, 1]), array(['b', 'a'], dtype='<U1'))
    """

    def __init__(self, y: Any, classes: Any = None) -> None:
        kind = type_of_target(y, input_name="y")
        if kind == "multilabel-indicator":
            self.kind = "multilabel"
            self.classes: Array = np.arange(np.shape(y)[1])
            return
        if kind == "multiclass-multioutput":
            raise ValueError(
                "y has several columns of classes; train one classifier for each column, as with "
                "sklearn.multioutput.MultiOutputClassifier"
            )
        check_classification_targets(y)
        self.classes = np.unique(column_or_1d(y) if classes is None else np.asarray(classes))
        self.kind = "binary" if len(self.classes) <= 2 else "multiclass"

    @property
    def outputs(self) -> int:
        """Units that a network needs to tell them apart: one for two classes."""
        return 1 if self.kind == "binary" else len(self.classes)

    def encode(self, y: Any) -> Array:
        """Class numbers (examples,); several labels at once as they are, dense.

        Raises
        ------
        ValueError
            For labels that are not among the classes.
        """
        if self.kind == "multilabel":
            dense = np.asarray(y.toarray() if hasattr(y, "toarray") else y)
            if dense.ndim != 2 or dense.shape[1] != len(self.classes):
                raise ValueError(
                    f"y must have shape (examples, {len(self.classes)}), one column for each "
                    f"label that the classifier knows, but it has shape {dense.shape}"
                )
            return dense
        y = column_or_1d(y, warn=True)
        unknown = np.setdiff1d(y, self.classes)
        if len(unknown):
            raise ValueError(
                f"y has the classes {unknown.tolist()}, which are not among those that the "
                f"classifier was told of: {self.classes.tolist()}"
            )
        found: Array = np.searchsorted(self.classes, y)
        return found

    def numbers(self, outputs: Array) -> Array:
        """The most probable class numbers, or labels, of a network's outputs."""
        if outputs.shape[1] > 1 and self.kind != "multilabel":
            best: Array = outputs.argmax(axis=1)
            return best
        above: Array = (outputs > 0.5).astype(int)
        if self.kind == "multilabel":
            return above
        index: Array = np.minimum(above[:, 0], len(self.classes) - 1)  # of one class only, 0
        return index

    def decode(self, outputs: Array) -> Array:
        """The labels of a network's outputs."""
        numbers = self.numbers(outputs)
        labels: Array = numbers if self.kind == "multilabel" else self.classes[numbers]
        return labels

    def probabilities(self, outputs: Array, dtype: Any = None) -> Array:
        """One column for each class, or label, of a network's outputs.

        In `dtype` if it is given. Rows that add up to 1 in float32 do so in float64 too.
        """
        narrow, outputs = outputs, outputs.astype(dtype or outputs.dtype, copy=False)
        if self.kind == "multilabel":
            return outputs
        if outputs.shape[1] > 1:
            if outputs is not narrow:
                sums = outputs.sum(axis=1, keepdims=True)
                outputs = outputs / np.where(abs(sums - 1) < ROUNDING, sums, 1)
            return outputs
        if len(self.classes) == 1:
            return np.ones_like(outputs)
        return np.hstack([1 - outputs, outputs])

    def accuracy(self, y: Array, outputs: Array, weight: Array | None) -> float:
        """Share of examples that are right, in every label; y is encoded."""
        right = self.numbers(outputs) == y
        if self.kind == "multilabel":
            right = right.all(axis=1)
        return float(np.average(right, weights=weight))
