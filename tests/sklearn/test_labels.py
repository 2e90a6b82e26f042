"""Class labels, their numbers, and back."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from hotloop.sklearn.labels import Labels


@pytest.mark.parametrize(
    ("y", "kind", "classes"),
    [
        (["b", "a", "b"], "binary", ["a", "b"]),
        ([True, False], "binary", [False, True]),
        ([2.0, 7.0, 2.0], "binary", [2.0, 7.0]),
        ([[3], [5], [9]], "multiclass", [3, 5, 9]),
        (np.array(["x", "y", "z"], object), "multiclass", ["x", "y", "z"]),
        ([4, 4], "binary", [4]),
    ],
)
@pytest.mark.filterwarnings("ignore:A column-vector")
def test_labels_of_any_kind(y, kind, classes):
    labels = Labels(y)
    assert (labels.kind, labels.classes.tolist()) == (kind, classes)
    numbers = labels.encode(y)
    np.testing.assert_array_equal(labels.classes[numbers], np.ravel(y))


def test_outputs_and_probabilities_of_two_classes():
    labels = Labels(["no", "yes"])
    outputs = np.array([[0.2], [0.5], [0.75]], np.float32)
    assert labels.outputs == 1
    assert labels.decode(outputs).tolist() == ["no", "no", "yes"]
    np.testing.assert_allclose(
        labels.probabilities(outputs), [[0.8, 0.2], [0.5, 0.5], [0.25, 0.75]]
    )
    two = np.array([[0.9, 0.1], [0.3, 0.7]])
    assert labels.decode(two).tolist() == ["no", "yes"]
    assert labels.probabilities(two) is two


def test_outputs_of_one_class_and_of_many():
    one = Labels([7, 7])
    assert one.decode(np.array([[0.9], [0.1]])).tolist() == [7, 7]
    assert one.probabilities(np.array([[0.9], [0.1]])).tolist() == [[1], [1]]
    many = Labels([1, 2, 5])
    assert many.outputs == 3
    assert many.decode(np.array([[0.1, 0.2, 0.7]])).tolist() == [5]


def test_several_labels_at_once():
    y = np.array([[1, 0, 1], [0, 0, 1]])
    for given in (y, sparse.csr_array(y), y.tolist()):
        labels = Labels(given)
        assert (labels.kind, labels.outputs, labels.classes.tolist()) == (
            "multilabel",
            3,
            [0, 1, 2],
        )
        np.testing.assert_array_equal(labels.encode(given), y)
    outputs = np.array([[0.9, 0.1, 0.5], [0.2, 0.6, 0.51]])
    assert labels.decode(outputs).tolist() == [[1, 0, 0], [0, 1, 1]]
    assert labels.probabilities(outputs) is outputs
    assert labels.accuracy(np.array([[1, 0, 0], [0, 1, 0]]), outputs, None) == 0.5
    with pytest.raises(ValueError, match=r"shape \(examples, 3\)"):
        labels.encode(y[:, :2])


def test_accuracy_is_weighted():
    labels = Labels([0, 1, 2])
    outputs = np.eye(3)
    assert labels.accuracy(np.array([0, 1, 0]), outputs, np.array([1.0, 2.0, 1.0])) == 0.75


def test_targets_that_are_no_labels():
    with pytest.raises(ValueError, match="Unknown label type"):
        Labels([0.5, 1.5])
    with pytest.raises(ValueError, match="MultiOutputClassifier"):
        Labels([[1, 2], [3, 4], [0, 5]])
    with pytest.raises(ValueError, match=r"classes \['c'\], which are not among"):
        Labels(["a", "b"]).encode(["a", "c"])


def test_classes_that_are_told():
    labels = Labels([1, 2], [3, 1, 2])
    assert (labels.kind, labels.classes.tolist()) == ("multiclass", [1, 2, 3])
