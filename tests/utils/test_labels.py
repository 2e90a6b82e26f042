import numpy as np
import pytest

from hotloop import random, utils


def test_rows_are_one_hot():
    expected = [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
    result = utils.to_categorical([0, 2, 1])
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(utils.to_categorical(np.array([[0], [2], [1]])), expected)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), (4,)), ((1,), (1, 4)), ((3, 1), (3, 4)), ((3, 2), (3, 2, 4)), ((2, 1, 1), (2, 1, 4))],
)
def test_shapes_are_those_of_keras(shape, expected):
    assert utils.to_categorical(np.zeros(shape, int), 4).shape == expected


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float16", "bool", ">i4"])
def test_any_kind_of_number_will_do(dtype):
    result = utils.to_categorical(np.array([1, 0], dtype), 2)
    np.testing.assert_array_equal(result, [[0, 1], [1, 0]])


def test_no_labels_give_no_rows():
    assert utils.to_categorical([], 3).shape == (0, 3)
    with pytest.raises(ValueError, match="pass num_classes"):
        utils.to_categorical([])


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([0, -1], None, "from 0 to 0, got -1"),
        ([0, 5, 1], 3, "from 0 to 2, got 5"),
        ([0, 1.5], None, "whole numbers, got 1.5"),
        ([0, np.nan], None, "whole numbers, got nan"),
        ([0, np.inf], None, "whole numbers, got inf"),
        ([0], 0, "at least 1, got 0"),
    ],
)
def test_labels_that_are_no_classes_are_named(labels, classes, message):
    with pytest.raises(ValueError, match=message):
        utils.to_categorical(labels, classes)


@pytest.mark.parametrize("labels", [["a", "b"], np.array([None, 1], object), [1j]])
def test_what_is_no_number_is_refused(labels):
    with pytest.raises(TypeError, match="number the classes"):
        utils.to_categorical(labels)


def test_set_random_seed_is_the_one_of_random():
    assert utils.set_random_seed is random.set_random_seed


def test_vectors_of_length_one():
    keras = pytest.importorskip("keras")
    x = np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0], [1.0, -2.0, 2.0]])
    for axis in (-1, 0, 1):
        for order in (1, 2, np.inf):
            wanted = keras.utils.normalize(x, axis or -2, order)
            np.testing.assert_allclose(utils.normalize(x, axis, order), wanted)
    assert utils.normalize([3, 4]).tolist() == [0.6, 0.8]
    with pytest.raises(TypeError, match="must hold numbers"):
        utils.normalize(["a"])
