"""Losses of arrays: numbers by hand, reductions, weights, bad input, names."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hotloop import losses

LOG2 = math.log(2.0)

BY_HAND = [
    (losses.MeanSquaredError(), [[1.0, 2.0]], [[3.0, 1.0]], (4 + 1) / 2),
    (losses.MeanAbsoluteError(), [[1.0, 2.0]], [[3.0, 1.0]], (2 + 1) / 2),
    (losses.Huber(), [[0.0, 0.0]], [[0.5, 3.0]], (0.125 + 2.5) / 2),
    (losses.Huber(delta=2.0), [[0.0, 0.0]], [[0.5, 3.0]], (0.125 + 4.0) / 2),
    (losses.LogCosh(), [[0.0, 1.0]], [[1.0, 1.0]], math.log(math.cosh(1.0)) / 2),
    (losses.LogCosh(), [[0.0]], [[1000.0]], 1000.0 - LOG2),
    (losses.Poisson(), [[2.0, 0.0]], [[1.0, 3.0]], (1.0 + 3.0) / 2),
    (losses.BinaryCrossentropy(), [[1.0, 0.0]], [[0.5, 0.25]], (LOG2 - math.log(0.75)) / 2),
    (losses.BinaryCrossentropy(), [[1.0]], [[0.0]], -math.log(1e-7)),
    (losses.BinaryCrossentropy(True), [[1.0, 0.0]], [[0.0, 0.0]], LOG2),
    (losses.BinaryCrossentropy(True), [[1.0]], [[-800.0]], 800.0),
    (
        losses.BinaryCrossentropy(label_smoothing=0.5),
        [[1.0]],
        [[0.25]],
        -0.75 * math.log(0.25) - 0.25 * math.log(0.75),
    ),
    (losses.CategoricalCrossentropy(), [[0.0, 1.0, 0.0]], [[0.25, 0.5, 0.25]], LOG2),
    (losses.CategoricalCrossentropy(), [[0.0, 1.0]], [[2.0, 2.0]], LOG2),
    (losses.CategoricalCrossentropy(True), [[0.0, 1.0]], [[5.0, 5.0]], LOG2),
    (losses.CategoricalCrossentropy(True), [[0.0, 1.0]], [[1000.0, 0.0]], 1000.0),
    (
        losses.CategoricalCrossentropy(label_smoothing=0.5),
        [[0.0, 1.0]],
        [[0.25, 0.75]],
        -0.25 * math.log(0.25) - 0.75 * math.log(0.75),
    ),
    (losses.SparseCategoricalCrossentropy(), [1], [[0.25, 0.5, 0.25]], LOG2),
    (losses.SparseCategoricalCrossentropy(), [[1]], [[1.0, 0.0]], -math.log(1e-7)),
    (losses.SparseCategoricalCrossentropy(True), [1], [[1000.0, 0.0]], 1000.0),
    (losses.KLDivergence(), [[0.5, 0.5]], [[0.25, 0.75]], 0.5 * math.log(2.0 * 2 / 3)),
    (losses.Hinge(), [[1.0, -1.0]], [[0.25, 0.5]], (0.75 + 1.5) / 2),
    (losses.Hinge(), [[1.0, 0.0]], [[0.25, 0.5]], (0.75 + 1.5) / 2),  # 0 and 1 mean -1 and 1
]


@pytest.mark.parametrize(
    ("loss", "y_true", "y_pred", "value"),
    BY_HAND,
    ids=[f"{case[0].name}-{i}" for i, case in enumerate(BY_HAND)],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_by_hand(loss, y_true, y_pred, value, dtype, backend):
    found = loss(y_true, np.array(y_pred, dtype))
    assert type(found) is float
    assert found == pytest.approx(value, rel=2e-6 if dtype == "float32" else 1e-6)


def test_values_of_rows_and_their_reductions():
    y_true, y_pred = [[0.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [3.0, 3.0]]
    values = losses.mean_squared_error(y_true, y_pred)
    np.testing.assert_array_equal(values, [1.0, 9.0])
    assert losses.MeanSquaredError()(y_true, y_pred) == 5.0
    assert losses.MeanSquaredError("mean")(y_true, y_pred) == 5.0
    assert losses.MeanSquaredError("sum")(y_true, y_pred) == 10.0


def test_sample_weights():
    y_true, y_pred, weight = [[0.0], [0.0]], [[1.0], [3.0]], [3.0, 1.0]
    for given in (weight, np.array(weight)[:, None]):
        flat = np.reshape(given, -1)
        assert losses.MeanSquaredError()(y_true, y_pred, flat) == (3 * 1 + 9) / 2
    assert losses.MeanSquaredError("sum")(y_true, y_pred, weight) == 12.0
    rows = np.zeros((2, 3, 1))
    assert losses.MeanSquaredError()(rows, rows + 1, weight) == 2.0


def test_more_axes_than_two():
    y_pred = np.full((2, 3, 4), 0.25)
    values = losses.sparse_categorical_crossentropy(np.zeros((2, 3)), y_pred)
    np.testing.assert_allclose(values, np.full((2, 3), math.log(4.0)), rtol=1e-6)
    assert losses.mean_absolute_error(y_pred, y_pred).shape == (2, 3)


def test_targets_without_the_last_axis():
    assert losses.MeanSquaredError()([1.0, 2.0], [[1.0], [4.0]]) == 2.0


def test_no_rows():
    assert losses.mean_squared_error(np.zeros((0, 3)), np.zeros((0, 3))).shape == (0,)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: losses.mean_squared_error([[1.0]], [[1.0, 2.0]]),
            ValueError,
            r"\(1, 1\).*\(1, 2\)",
        ),
        (lambda: losses.mean_squared_error(1.0, 1.0), ValueError, "at least one axis"),
        (lambda: losses.sparse_categorical_crossentropy([2], [[0.5, 0.5]]), ValueError, "0 to 1"),
        (lambda: losses.sparse_categorical_crossentropy([-1], [[0.5, 0.5]]), ValueError, "is -1"),
        (lambda: losses.sparse_categorical_crossentropy([0.5], [[0.5, 0.5]]), ValueError, "is 0.5"),
        (lambda: losses.sparse_categorical_crossentropy([[0, 1]], [[0.5, 0.5]]), ValueError, "fit"),
        (lambda: losses.mean_squared_error([["a"]], [[1.0]]), TypeError, "y_true holds strings"),
        (lambda: losses.MeanSquaredError("median"), ValueError, "sum_over_batch_size.*'median'"),
        (lambda: losses.Huber(0.0), ValueError, "delta must be above 0"),
        (lambda: losses.Huber(np.nan), ValueError, "delta must be above 0"),
        (lambda: losses.BinaryCrossentropy(label_smoothing=1.5), ValueError, "from 0 to 1"),
        (lambda: losses.CategoricalCrossentropy(axis=1), ValueError, "last axis"),
        (lambda: losses.SparseCategoricalCrossentropy(ignore_class=0), ValueError, "ignore_class"),
    ],
)
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()


NAMES = {
    "mse": losses.MeanSquaredError,
    "MSE": losses.MeanSquaredError,
    "mean_squared_error": losses.MeanSquaredError,
    "MeanSquaredError": losses.MeanSquaredError,
    "mae": losses.MeanAbsoluteError,
    "huber": losses.Huber,
    "huber_loss": losses.Huber,
    "log_cosh": losses.LogCosh,
    "logcosh": losses.LogCosh,
    "poisson": losses.Poisson,
    "bce": losses.BinaryCrossentropy,
    "binary_crossentropy": losses.BinaryCrossentropy,
    "categorical_crossentropy": losses.CategoricalCrossentropy,
    "sparse_categorical_crossentropy": losses.SparseCategoricalCrossentropy,
    "kl_divergence": losses.KLDivergence,
    "kld": losses.KLDivergence,
    "hinge": losses.Hinge,
}


@pytest.mark.parametrize("name", NAMES)
def test_names(name):
    assert type(losses.get(name)) is NAMES[name]


@pytest.mark.parametrize("name", ["mean_squared_error", "huber", "hinge", "kl_divergence"])
def test_functions_classes_and_objects(name):
    loss = losses.get(name)
    assert type(losses.get(getattr(losses, name))) is type(loss)
    assert type(losses.get(type(loss))) is type(loss)
    assert losses.get(loss) is loss


@pytest.mark.parametrize(
    "loss",
    [
        losses.Huber(2.0, "sum", "mine"),
        losses.BinaryCrossentropy(True, 0.1),
        losses.CategoricalCrossentropy(True, 0.2),
        losses.SparseCategoricalCrossentropy(True),
        losses.Poisson(),
    ],
)
def test_config(loss):
    again = losses.get({"class_name": type(loss).__name__, "config": loss.get_config()})
    assert again.get_config() == loss.get_config()
    assert again.name == loss.name


@pytest.mark.parametrize(
    ("identifier", "error", "words"),
    [
        ("meen_squared_error", ValueError, "Did you mean 'mean_squared_error'"),
        ("qqq", ValueError, "Unknown loss 'qqq'. Known: bce"),
        (lambda a, b: a, TypeError, "a loss must be a name"),
        (int, TypeError, "a loss must be a name"),
        (3, ValueError, "Could not interpret 3"),
        (None, ValueError, "Could not interpret None"),
        ({"config": {}}, ValueError, "'class_name'"),
    ],
)
def test_what_is_no_loss(identifier, error, words):
    with pytest.raises(error, match=words):
        losses.get(identifier)
