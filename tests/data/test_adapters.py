"""What users pass, as arrays: in place where possible, and an error that says what to do."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hotloop.data import adapters


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 2), "float16"),
        np.zeros((3, 2), ">f8"),
        np.zeros((6, 2))[::2],
        np.asfortranarray(np.zeros((3, 2))),
        np.zeros(3, bool),
        np.zeros(0, "uint8"),
    ],
)
def test_arrays_are_not_copied(array):
    array.flags.writeable = False
    assert adapters.as_array(array, "x") is array


def test_lists_and_things_with_an_array_interface():
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return np.array([1.0, 2.0])

    class Frame:
        def to_numpy(self):
            return np.array([3.0])

    np.testing.assert_array_equal(adapters.as_array([1, 2], "x"), [1, 2])
    np.testing.assert_array_equal(adapters.as_array(Tensor(), "x"), [1.0, 2.0])
    np.testing.assert_array_equal(adapters.as_array(Frame(), "x"), [3.0])


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (None, TypeError, "x is None"),
        (["a", "b"], TypeError, "x holds strings .*StringLookup"),
        ([b"a"], TypeError, "x holds bytes"),
        ([{}, 1], TypeError, "x holds Python objects"),
        ([1j], TypeError, "x holds complex numbers"),
        (np.zeros(2, "M8[D]"), TypeError, "x holds datetime64"),
        (np.zeros(2, np.longdouble), TypeError, "x holds (long|float128)"),
        ([[1, 2], [3]], ValueError, "x cannot be made an array"),
    ],
)
def test_what_is_no_array_of_numbers(value, error, words):
    with pytest.raises(error, match=words):
        adapters.as_array(value, "x")


def test_one_input_in_every_form():
    x = np.zeros((3, 2))
    for given in (x, [x], (x,), {"a": x}):
        (found,) = adapters.as_arrays(given, ["a"], "x")
        assert found is x
    (rows,) = adapters.as_arrays([np.zeros(2), np.ones(2)], ["a"], "x")
    assert rows.shape == (2, 2)


def test_several_inputs():
    x, z = np.zeros((3, 2)), np.zeros((3, 1))
    for given in ([x, z], (x, z), {"b": z, "a": x}):
        found = adapters.as_arrays(given, ["a", "b"], "x")
        assert found[0] is x
        assert found[1] is z
    with pytest.raises(ValueError, match="x has no entry for b; it has a, c"):
        adapters.as_arrays({"a": x, "c": z}, ["a", "b"], "x")
    with pytest.raises(ValueError, match=r"2 outputs \(a, b\): y must be a list"):
        adapters.as_arrays([x], ["a", "b"], "y")
    with pytest.raises(TypeError, match=r"x\[1\] holds strings"):
        adapters.as_arrays([x, ["q"] * 3], ["a", "b"], "x")


def test_lengths():
    assert adapters.check_lengths(x=[np.zeros((3, 2))], y=[np.zeros(3)], sample_weight=[]) == 3
    with pytest.raises(ValueError, match="x has 3, y has 4"):
        adapters.check_lengths(x=[np.zeros(3)], y=[np.zeros(4)])
    with pytest.raises(ValueError, match=r"x\[0\] has 3, x\[1\] has 2"):
        adapters.check_lengths(x=[np.zeros(3), np.zeros(2)])
    with pytest.raises(ValueError, match="x is empty"):
        adapters.check_lengths(x=[np.zeros((0, 4))])
    with pytest.raises(ValueError, match="y is a single number"):
        adapters.check_lengths(x=[np.zeros(3)], y=[np.zeros(())])


@pytest.mark.parametrize(
    ("got", "dims"),
    [((5, 4), (4,)), ((5, 4, 1), (4,)), ((5,), (1,)), ((5, 28, 28), (28, 28, 1)), ((5, 1), ())],
)
def test_inputs_that_fit(got, dims):
    adapters.check_inputs([np.zeros(got)], [dims], "model", "first")


@pytest.mark.parametrize(
    ("got", "dims", "words"),
    [
        ((5, 3), (4,), r"first of model expects 4 input features.*\(batch, 4\).*\(5, 3\)$"),
        ((5, 2, 2), (4,), r"add Flatten\(\) before it, or reshape x to \(5, 4\)"),
        ((4,), (4,), r"pass x\[None, :\]"),
        ((5, 4), (2, 2), r"array of shape \(batch, 2, 2\)"),
    ],
)
def test_inputs_that_do_not(got, dims, words):
    with pytest.raises(ValueError, match=words):
        adapters.check_inputs([np.zeros(got)], [dims], "model", "first")


@pytest.mark.parametrize("dtype", ["int8", "uint64", "float32", ">i2"])
@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_labels(dtype, shape):
    y = np.array([0, 2, 1, 2]).astype(dtype).reshape(shape)
    adapters.check_labels(y, (3,), "loss")
    with pytest.raises(ValueError, match=r"0 to 1 \(the last layer has 2 units\), but y\[1\] is 2"):
        adapters.check_labels(y, (2,), "loss")


@pytest.mark.parametrize("value", [-1, 0.5, np.nan, np.inf, 3, 1e30])
def test_bad_labels_far_behind(value):
    y = np.zeros(adapters._CHUNK + 5)
    y[-2] = value
    with pytest.raises(ValueError, match=re.escape(f"y[{adapters._CHUNK + 3}] is {value}")):
        adapters.check_labels(y, (3,), "loss")


def test_booleans_need_two_classes():
    adapters.check_labels(np.array([True, False]), (2,), "loss")
    with pytest.raises(ValueError, match=r"y\[0\] is True"):
        adapters.check_labels(np.array([True, False]), (1,), "loss")


def test_targets():
    adapters.check_targets(np.zeros(3), (1,), "mse")
    adapters.check_targets(np.zeros((3, 2, 2)), (4,), "mse")
    with pytest.raises(ValueError, match=r"mse expects y of shape \(3, 4\), but got \(3, 5\)$"):
        adapters.check_targets(np.zeros((3, 5)), (4,), "mse")
    with pytest.raises(ValueError, match=r"is a Flatten\(\) missing"):
        adapters.check_targets(np.zeros((3, 4)), (7, 4), "mse")


def test_targets_in_other_axes_are_refused():
    for shape, dims in (((9, 7, 3), (7, 3)), ((9, 7, 1, 3), (7, 3)), ((9, 21), (7, 3))):
        adapters.check_targets(np.zeros(shape), dims, "mse")
    for shape, dims in (((9, 3, 7), (7, 3)), ((9, 2, 2, 3), (4, 3)), ((9, 4, 3), (2, 2, 3))):
        with pytest.raises(ValueError, match=r"mse expects y of shape \(9, .*, but got \(9, "):
            adapters.check_targets(np.zeros(shape), dims, "mse")


def test_class_weights():
    weights = adapters.class_weights(np.array([0, 1, 2, 1]), {0: 2.0, 1: 0.5})
    np.testing.assert_array_equal(weights, [2.0, 0.5, 1.0, 0.5])
    np.testing.assert_array_equal(adapters.class_weights(np.eye(3), {2: 7}), [1.0, 1.0, 7.0])
    np.testing.assert_array_equal(adapters.class_weights(np.array([[1.0], [0.0]]), {1: 3}), [3, 1])
    np.testing.assert_array_equal(adapters.class_weights(np.array([1]), {np.int64(1): 2}), [2.0])


@pytest.mark.parametrize(
    ("weights", "error"),
    [
        ([1.0, 2.0], TypeError),
        ("balanced", TypeError),
        ({"a": 1.0}, ValueError),
        ({0.5: 1.0}, ValueError),
        ({0: "b"}, ValueError),
        ({0: -1.0}, ValueError),
        ({0: np.nan}, ValueError),
        ({0: np.inf}, ValueError),
    ],
)
def test_bad_class_weights(weights, error):
    with pytest.raises(error, match="class_weight must"):
        adapters.class_weights(np.array([0, 1]), weights)


def test_sample_weights():
    adapters.check_weights(np.array([1, 0, -1]))
    adapters.check_weights(np.ones((3, 1)))
    with pytest.raises(ValueError, match=r"shape \(3,\).*\(3, 2\)"):
        adapters.check_weights(np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"sample_weight\[1\] is inf"):
        adapters.check_weights(np.array([[1.0], [np.inf]]))


@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: [a[0], a[1]], lambda a: [[a[0]], [a[1]]]])
def test_masked_values_are_refused(wrap):
    masked = np.ma.array([[1.0, 2.0], [3.0, 4.0]], mask=[[False, False], [False, True]])
    with pytest.raises(ValueError, match=r"x is a NumPy masked array .* \.filled\(value\)"):
        adapters.as_array(wrap(masked), "x")
    assert adapters.as_array(wrap(np.ma.array([[1.0], [2.0]])), "x").size == 2
