"""What holds no real numbers, or no class numbers, is an error wherever it comes in."""

import numpy as np
import pytest

import hotloop
from hotloop import layers, losses, metrics, optimizers, utils
from hotloop.variables import Variable

X, Y = np.ones((4, 2), "f4"), np.ones((4, 1), "f4")
SPARSE = "sparse_categorical_crossentropy"


def _model(loss="mse", units=1, activation=None):
    model = hotloop.Sequential([layers.Input((2,)), layers.Dense(units, activation)])
    model.compile("sgd", loss)
    return model


def _all_uses(x, y, loss="mse", units=1, activation=None, **options):
    """Every way in: whole arrays, one batch, and batches of a generator."""
    yield lambda: _model(loss, units, activation).fit(x, y, verbose=0, **options)
    yield lambda: _model(loss, units, activation).evaluate(x, y, verbose=0, **options)
    yield lambda: _model(loss, units, activation).train_on_batch(x, y, **options)
    batch = (x, y, *options.values())
    yield lambda: _model(loss, units, activation).fit(iter([batch]), steps_per_epoch=1, verbose=0)


def _with_none():
    array = np.ones((4, 2), object)
    array[1, 0] = None
    return array


NO_NUMBERS = {
    "structured": np.zeros(4, [("a", "f4"), ("b", "f4")]),
    "record": np.zeros(4, [("a", "f4")]).view(np.recarray),
    "dates": np.zeros((4, 2), "datetime64[D]"),
    "durations": np.zeros((4, 2), "timedelta64[s]"),
    "objects with None": _with_none(),
    "a list with None": [[1.0, None]] * 4,
    "complex": X + 0j,
    "strings": np.full((4, 2), "1"),
    "bytes": np.full((4, 2), b"1"),
}


@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_what_holds_no_numbers_is_refused_as_x_y_and_weights(kind):
    given = NO_NUMBERS[kind]
    for x, y, options, name in [
        (given, Y, {}, "x"),
        (X, given, {}, "y"),
        (X, Y, {"sample_weight": given}, "sample_weight"),
    ]:
        for use in _all_uses(x, y, **options):
            with pytest.raises(TypeError, match=rf"\b{name} holds .*expected numbers"):
                use()


@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_what_holds_no_numbers_is_refused_in_direct_calls(kind):
    given = NO_NUMBERS[kind]
    zeros = np.zeros((4, 2))
    for use in [
        lambda: losses.MeanSquaredError()(zeros, given),
        lambda: losses.MeanSquaredError()(zeros, zeros, given),
        lambda: metrics.Mean()(given),
        lambda: metrics.Sum()(given),
        lambda: metrics.Mean()(np.zeros(4), sample_weight=given),
        lambda: metrics.MeanSquaredError()(zeros, given),
        lambda: Variable(given),
        lambda: Variable(zeros).assign(given),
        lambda: optimizers.SGD().apply([given], [Variable(np.zeros(np.shape(given)))]),
        lambda: hotloop.activations.relu(given),
        lambda: layers.Dense(1)(given),
        lambda: utils.to_categorical(given),
    ]:
        with pytest.raises(TypeError, match=r"numbers"):
            use()


def test_a_matrix_of_numpy_is_an_array():
    with pytest.warns(PendingDeprecationWarning):
        x, y = np.matrix(X), np.matrix(Y)
    model = _model()
    assert model.evaluate(x, y, verbose=0) == model.evaluate(X, Y, verbose=0)


def _tables():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    arrow = pytest.importorskip("pyarrow")
    numbers = [1, 2, None, 4]
    for dtype in ("Int64", "Float64", "UInt8"):
        yield pandas.DataFrame({"a": pandas.array(numbers, dtype), "b": [1, 2, 3, 4]})
    yield pandas.DataFrame({"a": pandas.array([True, None, False, True], "boolean"), "b": 1.0})
    yield pandas.DataFrame({"a": [1.0, 2.0, np.nan, 4.0], "b": 1.0})
    yield polars.DataFrame({"a": numbers, "b": [1, 2, 3, 4]})
    yield arrow.table({"a": numbers, "b": [1, 2, 3, 4]})


def test_missing_values_of_tables_are_refused_and_the_column_is_named():
    for table in _tables():
        for use in _all_uses(table, Y):
            with pytest.raises(ValueError, match=r"x: the column 'a' has a missing value"):
                use()
        column = table["a"]
        for use in _all_uses(X, column):
            with pytest.raises(ValueError, match=r"y has a missing value"):
                use()


NO_LABELS = {
    "uint64 above int64": np.array([0, 1, 2, 2**64 - 1], "u8"),
    "int64 that would wrap to 0": np.array([0, 1, 2, 2**32]),
    "uint64 that would wrap to 0": np.array([0, 1, 2, 2**32], "u8"),
    "one too large": np.array([0, 1, 2, 3]),
    "a float32 above 2**24": np.array([0, 1, 2, 2**24 + 2], "f4"),
    "an int32 above 2**24": np.array([0, 1, 2, 2**24 + 1], "i4"),
    "a fraction": np.array([0, 1, 2, 1.5]),
    "negative": np.array([0, 1, 2, -1]),
    "negative int8": np.array([0, 1, 2, -1], "i1"),
    "NaN": np.array([0, 1, 2, np.nan]),
    "infinite": np.array([0, 1, 2, np.inf]),
}


@pytest.mark.parametrize("kind", NO_LABELS)
def test_what_is_no_label_is_refused(kind):
    labels = NO_LABELS[kind]
    for use in _all_uses(X, labels, SPARSE, 3, "softmax"):
        with pytest.raises(ValueError, match=r"labels must be whole numbers from 0 to 2.*y\[3\]"):
            use()
    with pytest.raises(ValueError, match=r"labels must be whole numbers from 0 to 2"):
        losses.SparseCategoricalCrossentropy()(labels, np.full((4, 3), 1 / 3))
    with pytest.raises(ValueError, match=r"to_categorical: labels must be"):
        utils.to_categorical(labels, 3)


def test_labels_above_2_to_24_are_told_apart():
    """float32 holds not all of them: labels are compared as they are."""
    near = np.array([2**24, 2**24 + 1])
    assert metrics.Accuracy()(near, near[::-1]) == 0.0
    assert metrics.Accuracy()(near, near) == 1.0
    row = np.zeros((1, 3), "f4")
    assert metrics.SparseCategoricalAccuracy()(near[1:], row) == 0.0


def test_booleans_are_labels():
    truth = np.array([True, False, True, True])
    model = _model(SPARSE, 3, "softmax")
    assert model.evaluate(X, truth, verbose=0) == model.evaluate(X, truth.astype(int), verbose=0)


def test_nan_in_y_or_weights_is_found():
    bad = np.array([1.0, 1.0, np.nan, 1.0])
    for use in _all_uses(X, bad):
        with pytest.raises(hotloop.NonFiniteError, match=r"y\[2\].* is nan"):
            use()
    for use in _all_uses(X, Y, sample_weight=bad):
        with pytest.raises(ValueError, match=r"sample_weight\[2\] is nan"):
            use()
