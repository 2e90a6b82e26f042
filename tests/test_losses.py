"""Losses of arrays: numbers by hand, reductions, weights, bad input, names."""

from __future__ import annotations

import math

import numpy as np
import pytest

import hotloop
from hotloop import layers, losses

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
    (losses.MeanAbsolutePercentageError(), [[1.0, -4.0]], [[3.0, -5.0]], (200 + 25) / 2),
    (losses.MeanAbsolutePercentageError(), [[0.0]], [[1e-7]], 100.0),
    (losses.MeanSquaredLogarithmicError(), [[0.0, 3.0]], [[1.0, -2.0]], 5 * LOG2**2 / 2),
    (losses.CosineSimilarity(), [[3.0, 4.0]], [[5.0, 12.0]], -63 / 65),
    (losses.CosineSimilarity(), [[0.0, 0.0]], [[5.0, 12.0]], 0.0),
    (losses.SquaredHinge(), [[1.0, -1.0]], [[0.25, 0.5]], (0.75**2 + 1.5**2) / 2),
    (losses.SquaredHinge(), [[1.0, 0.0]], [[0.25, 0.5]], (0.75**2 + 1.5**2) / 2),
    (losses.CategoricalHinge(), [[0.0, 1.0, 0.0]], [[0.5, 1.0, 0.75]], 0.75),
    (losses.BinaryFocalCrossentropy(), [[1.0, 0.0]], [[0.5, 0.5]], LOG2 / 4),
    (losses.BinaryFocalCrossentropy(gamma=0), [[1.0, 0.0]], [[0.5, 0.5]], LOG2),
    (losses.BinaryFocalCrossentropy(True, gamma=1.0), [[1.0, 0.0]], [[0.5, 0.5]], LOG2 / 4),
    (losses.BinaryFocalCrossentropy(True, 0.9, 1.0), [[1.0]], [[0.5]], 0.9 * LOG2 / 2),
    (losses.BinaryFocalCrossentropy(from_logits=True), [[1.0]], [[0.0]], LOG2 / 4),
    (losses.CategoricalFocalCrossentropy(), [[0.0, 1.0]], [[2.0, 2.0]], LOG2 / 16),
    (losses.CategoricalFocalCrossentropy(1.0, 1.0, True), [[0.0, 1.0]], [[5.0, 5.0]], LOG2 / 2),
    (losses.CategoricalGeneralizedCrossEntropy(0.5), [1], [[0.75, 0.25]], 1.0),
    (losses.Dice(), [[1.0, 0.0], [1.0, 1.0]], [[0.5, 0.5], [1.0, 0.0]], 0.4),
    (losses.Dice(axis=-1), [[1.0, 0.0], [1.0, 1.0]], [[0.5, 0.5], [1.0, 0.0]], (0.5 + 1 / 3) / 2),
    (losses.Tversky(0.25, 0.75), [[1.0, 1.0]], [[1.0, 0.0]], 1 - 1 / 1.25),
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


def test_overlap_over_axes():
    rng = np.random.default_rng(2)
    y, p = rng.integers(0, 2, (2, 3, 4)), rng.random((2, 3, 4))
    whole = losses.dice(y, p)
    assert whole.shape == ()
    both = (y * p).sum()
    np.testing.assert_allclose(whole, 1 - 2 * both / (y.sum() + p.sum() + 1e-7), 1e-14)
    for axis in (0, -1, (1, 2), (0, 2), (-1, 0)):
        sums = [a.sum(axis=axis) for a in (y * p, y, p)]
        expected = 1 - 2 * sums[0] / (sums[1] + sums[2] + 1e-7)
        np.testing.assert_allclose(losses.dice(y, p, axis), expected, 1e-14)
        np.testing.assert_allclose(losses.tversky(y, p, 0.5, 0.5, axis), expected, 1e-6)
    assert losses.Dice("sum")(y, p) == losses.Dice()(y, p) == whole
    np.testing.assert_allclose(losses.Dice("sum")(y, p, [1.0, 2.0]), 3 * whole)
    np.testing.assert_allclose(losses.Dice()(y, p, [1.0, 2.0]), 1.5 * whole)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("axis", [None, -1, (1, 2)])
def test_overlap_of_images_in_a_model(axis, weighted, backend):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(5, 3, 4))
    y = rng.integers(0, 2, (5, 3, 2)).astype(float)
    weight = np.array([1.0, 2.0, 0.0, 0.5, 1.0]) if weighted else None
    model = hotloop.Sequential(
        [hotloop.Input((3, 4), dtype="float64"), layers.Dense(2, "sigmoid", dtype="float64")]
    )
    for loss in (losses.Tversky(0.3, 0.6, axis=axis), losses.Dice(axis=axis, reduction="sum")):
        model.compile("sgd", loss)
        found = model.evaluate(x, y, sample_weight=weight, verbose=0)
        expected = loss(y, model.predict(x, verbose=0), weight)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("axis", [1, (0, 1), (0,), (2, 1, 0)])
def test_axes_that_a_model_cannot_take(axis):
    model = hotloop.Sequential([hotloop.Input((3, 4)), layers.Dense(2, "sigmoid")])
    model.compile("sgd", losses.Dice(axis=axis))
    with pytest.raises(ValueError, match=r"Dice: in a model, axis must be None.*\(1, 2\); not"):
        model.evaluate(np.zeros((5, 3, 4)), np.zeros((5, 3, 2)), verbose=0)


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
            lambda: losses.mean_squared_error([[1.0, 2.0]], [[1.0, 2.0, 3.0]]),
            ValueError,
            r"\(1, 2\).*\(1, 3\)",
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
        (lambda: losses.BinaryFocalCrossentropy(alpha=1.5), ValueError, "alpha must be from 0"),
        (lambda: losses.BinaryFocalCrossentropy(gamma=-1.0), ValueError, "gamma must be a finite"),
        (lambda: losses.BinaryFocalCrossentropy(axis=0), ValueError, "last axis"),
        (lambda: losses.CategoricalFocalCrossentropy([0.1, 0.9]), ValueError, "class_weight"),
        (lambda: losses.CategoricalFocalCrossentropy(gamma=np.nan), ValueError, "not nan"),
        (lambda: losses.CategoricalFocalCrossentropy(axis=1), ValueError, "last axis"),
        (lambda: losses.CosineSimilarity(axis=0), ValueError, "last axis"),
        (lambda: losses.CategoricalGeneralizedCrossEntropy(q=1.0), ValueError, "between 0 and 1"),
        (lambda: losses.Tversky(beta=-0.1), ValueError, "Tversky: beta must be a finite"),
        (lambda: losses.dice([1.0], [0.5, 0.5]), ValueError, r"\(1,\) does not fit.*\(2,\)"),
        (lambda: losses.dice([1.0], [0.5], axis=2), ValueError, "Dice: axis.*not 2"),
        (lambda: losses.dice([1.0], [0.5], axis=()), ValueError, r"Dice: axis.*not \(\)"),
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
    "mape": losses.MeanAbsolutePercentageError,
    "MAPE": losses.MeanAbsolutePercentageError,
    "msle": losses.MeanSquaredLogarithmicError,
    "cosine_similarity": losses.CosineSimilarity,
    "squared_hinge": losses.SquaredHinge,
    "categorical_hinge": losses.CategoricalHinge,
    "BinaryFocalCrossentropy": losses.BinaryFocalCrossentropy,
    "categorical_focal_crossentropy": losses.CategoricalFocalCrossentropy,
    "categorical_generalized_cross_entropy": losses.CategoricalGeneralizedCrossEntropy,
    "dice": losses.Dice,
    "tversky": losses.Tversky,
}


@pytest.mark.parametrize("name", NAMES)
def test_names(name):
    assert type(losses.get(name)) is NAMES[name]


@pytest.mark.parametrize(
    "name", ["mean_squared_error", "huber", "hinge", "kl_divergence", "dice", "squared_hinge"]
)
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
        losses.BinaryFocalCrossentropy(True, 0.3, 1.5, True, 0.1),
        losses.CategoricalFocalCrossentropy(0.3, 1.5, True, 0.1),
        losses.CategoricalGeneralizedCrossEntropy(0.7),
        losses.CosineSimilarity(),
        losses.Dice(axis=(1, 2)),
        losses.Tversky(0.2, 0.7, axis=-1),
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
        (lambda a, b: [a], ValueError, "a list is not supported"),
        (int, TypeError, "a loss must be a name"),
        (3, ValueError, "Could not interpret 3"),
        (None, ValueError, "Could not interpret None"),
        ({"config": {}}, ValueError, "'class_name'"),
    ],
)
def test_what_is_no_loss(identifier, error, words):
    with pytest.raises(error, match=words):
        losses.get(identifier)


def test_a_class_with_a_call_of_its_own():
    class Mine(losses.Loss):
        def call(self, y_true, y_pred):
            return abs(y_true - y_pred)

    y, p = [[1.0, 2.0], [0.0, 0.0]], [[3.0, 2.5], [1.0, 0.0]]
    y, p = np.array(y, "float32"), np.array(p, "float32")
    assert Mine()(y, p) == pytest.approx(3.5 / 4)
    assert Mine(reduction="sum")(y, p) == pytest.approx(3.5)
    np.testing.assert_allclose(Mine(reduction=None)(y, p), [[2.0, 0.5], [1.0, 0.0]])
    np.testing.assert_allclose(losses.MeanSquaredError(reduction=None)(y, p), [2.125, 0.5])

    x = np.linspace(-1, 1, 12, dtype="float32").reshape(6, 2)
    results = []
    for loss in (Mine(), "mae"):
        model = hotloop.Sequential([layers.Input((2,)), layers.Dense(1)])
        model.set_weights([[[0.5], [2.0]], [0.25]])
        model.compile(hotloop.optimizers.SGD(0.1), loss)
        logs = model.fit(x, np.zeros((6, 1)), batch_size=4, shuffle=False, verbose=0).history
        results.append((logs["loss"], *model.get_weights()))
    for mine, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(mine, theirs, 1e-5)
