"""CTC and circle loss: by hand, by finite differences, against Keras and PyTorch; every backend."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import backends, layers, losses
from hotloop.backends import numpy as reference

DTYPES = (np.float32, np.float64)
EXAMPLES, STEPS, FEATURES, CLASSES = 21, 6, 5, 4


@pytest.fixture
def rng():
    return np.random.default_rng(12)


def some_labels(rng: Any, examples: int, length: int, classes: int) -> Any:
    """Class numbers from 1 on, and zeros behind them."""
    y = rng.integers(1, max(classes, 2), (examples, length)) if classes > 1 else 0
    y = np.zeros((examples, length), np.int32) + y
    y[np.arange(length) >= rng.integers(0, length + 1, (examples, 1))] = 0
    return y.astype(np.int32)


def unit_rows(rng: Any, rows: int, cols: int) -> Any:
    x = rng.normal(size=(rows, cols))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


# ------------------------------------------------------------------------------ values


def test_ctc_by_hand(backend):
    # Of two steps, 11, 01 and 10 read as 1, and 12 as 1 2; nothing of two steps reads as 1 1.
    p = np.array([[[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]]])
    cases = (
        ([1, 0], 0.3 * 0.6 + 0.5 * 0.6 + 0.3 * 0.1),
        ([1, 2], 0.3 * 0.3),
        ([0, 0], 0.5 * 0.1),
    )
    for y, probability in cases:
        found = losses.ctc([y], np.log(p))
        np.testing.assert_allclose(found, [-math.log(probability)], 1e-12)


def test_ctc_adds_up_all_alignments(rng, backend):
    for steps, classes, length in ((1, 2, 1), (3, 2, 2), (5, 3, 3), (6, 4, 3)):
        x = rng.normal(0, 2, (3, steps, classes))
        y = some_labels(rng, 3, length, classes)
        p = np.exp(x) / np.exp(x).sum(axis=2, keepdims=True)
        values = np.empty(3)
        backends.call("ctc", y.reshape(-1), x.reshape(-1, classes), None, values=values)
        for i in range(3):
            total = 0.0
            for alignment in itertools.product(range(classes), repeat=steps):
                read = [k for k, _ in itertools.groupby(alignment) if k]
                if read == [k for k in y[i] if k]:
                    total += math.prod(p[i, t, k] for t, k in enumerate(alignment))
            np.testing.assert_allclose(values[i], -np.log(total) if total else np.inf, 1e-10)


def test_circle_by_hand(backend):
    # Rows 0 and 1 are alike and at a distance of 1 - 0.6, row 2 is another one at 1 and at 0.2.
    x = [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]

    def value(pull: float, *push: float) -> float:
        alike = math.exp(2.0 * (pull + 0.4) * (pull - 0.4))
        return math.log1p(alike * sum(math.exp(2.0 * (1.4 - d) * (0.6 - d)) for d in push))

    wanted = [value(0.4, 1.0), value(0.4, 0.2), 0.0]
    np.testing.assert_allclose(losses.circle([5, 5, 9], x, gamma=2.0), wanted, 1e-12)
    mean = losses.Circle(2.0)([5, 5, 9], x)
    np.testing.assert_allclose(mean, sum(wanted) / 2, 1e-12)  # of two that have both
    total = losses.Circle(2.0, reduction="sum")([5, 5, 9], x, [1.0, 2.0, 4.0])
    np.testing.assert_allclose(total, wanted[0] + 2.0 * wanted[1], 1e-12)


def cases(rng: Any, dtype: Any) -> Any:
    """Ops, inputs and options of odd sizes."""
    for examples, steps, classes, length in (
        *((1, 1, 1, 0), (1, 1, 2, 1), (2, 7, 3, 3), (3, 17, 31, 7), (7, 33, 2, 1)),
        *((2, 65, 33, 31), (17, 3, 257, 1)),
    ):
        y = some_labels(rng, examples, length, classes).reshape(-1)
        x = rng.normal(0, 3, (examples * steps, classes)).astype(dtype)
        yield "ctc", y, x, examples, {}
    for rows, cols in ((1, 1), (2, 3), (7, 31), (17, 1), (33, 17), (65, 2)):
        for options in (
            {"gamma": 8.0},
            {"margin": 0.1, "over_positive": True},
            {"gamma": 3.0, "remove_diagonal": False},
        ):
            y = rng.integers(0, 3, rows).astype(np.int32) * 10**9 // 2
            yield "circle", y, unit_rows(rng, rows, cols).astype(dtype), rows, options


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_backend_against_the_reference(dtype, rng, backend):
    for op, y, x, count, options in cases(rng, dtype):
        for weight in (None, rng.uniform(0.5, 2.0, count).astype(dtype)):
            values, gradients = np.empty((2, count), dtype), np.empty((2, *x.shape), dtype)
            for i, table in enumerate((backends.operations(None), reference.OPS)):
                alone = np.empty(count, dtype)
                table[op](y, x, weight, values=alone, **options)
                outputs = {"values": values[i], "gradient": gradients[i]}
                table[op](y, x, weight, scale=0.25, **outputs, **options)
                np.testing.assert_array_equal(alone, values[i])
            tolerance = 2e-5 if dtype == np.float32 else 1e-11
            np.testing.assert_allclose(*values, tolerance, tolerance)
            np.testing.assert_allclose(*gradients, 4 * tolerance, 4 * tolerance)


def test_gradients_are_slopes(rng, backend):
    for op, y, whole, count, options in cases(rng, np.float64):
        x = 0.9 * whole  # there is a kink where rows are the same and of length 1
        weight, h = rng.uniform(0.5, 2.0, count), 1e-6
        values, gradient = np.empty(count), np.empty_like(x)
        backends.call(op, y, x, weight, values=values, gradient=gradient, **options)
        if not np.isfinite(values).all():
            continue
        for at in rng.choice(x.size, min(x.size, 6), replace=False):
            sums = []
            for sign in (1, -1):
                near = x.copy()
                near.reshape(-1)[at] += sign * h
                backends.call(op, y, near, weight, values=values, **options)
                sums.append(sign * values.sum())
            slope = sum(sums) / (2 * h)
            np.testing.assert_allclose(gradient.reshape(-1)[at], slope, rtol=1e-5, atol=1e-5)


def test_sequences_whose_probability_no_number_holds(rng, backend):
    x = rng.normal(0, 40, (2, 400, 9)).astype(np.float32)
    y = rng.integers(1, 9, (2, 150))
    torch = pytest.importorskip("torch")
    wanted = torch.nn.functional.ctc_loss(
        torch.log_softmax(torch.tensor(x, dtype=torch.float64), dim=2).transpose(0, 1),
        *(torch.tensor(y), torch.tensor([400, 400]), torch.tensor([150, 150])),
        reduction="none",
    )
    assert wanted.min() > 5000
    np.testing.assert_allclose(losses.ctc(y, x), wanted.numpy(), 1e-6)


# ------------------------------------------------------------------------------ models


def reader(k: Any) -> Any:
    """A model of sequences."""
    inputs = k.Input((STEPS, FEATURES))
    hidden = k.layers.Dense(7, activation="tanh")(inputs)
    return k.Model(inputs, k.layers.Dense(CLASSES)(hidden))


def embedder(k: Any) -> Any:
    """A model of vectors of length 1."""
    inputs = k.Input((FEATURES,))
    hidden = k.layers.Dense(7, activation="tanh")(inputs)
    return k.Model(inputs, k.layers.UnitNormalization()(k.layers.Dense(3)(hidden)))


def problem(name: str) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(3)
    if name == "CTC":
        x = rng.normal(size=(EXAMPLES, STEPS, FEATURES)).astype("float32")
        return reader, x, some_labels(rng, EXAMPLES, 3, CLASSES)
    x = rng.normal(size=(EXAMPLES, FEATURES)).astype("float32")
    return embedder, x, rng.integers(0, 6, EXAMPLES)


RUNS = [("CTC", {}, 0.05), ("Circle", {}, 0.002)]
RUNS += [("Circle", {"gamma": 10.0, "margin": 0.25, "remove_diagonal": False}, 0.01)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum"])
@pytest.mark.parametrize(("name", "options", "rate"), RUNS)
def test_training_is_that_of_keras(name, options, rate, reduction, weighted, backend):
    keras = pytest.importorskip("keras")
    build, x, y = problem(name)
    weight = np.linspace(0.0, 2.0, EXAMPLES) if weighted else None
    results, start = [], None
    for k in (keras, hotloop):
        model = build(k)
        start = start or model.get_weights()
        model.set_weights(start)
        loss = getattr(k.losses, name)(reduction=reduction, **options)
        step = rate / (8 if reduction == "sum" else 1)
        model.compile(k.optimizers.SGD(step), loss=loss)
        more = {"batch_size": 8, "verbose": 0, "sample_weight": weight}
        history = model.fit(x, y, epochs=3, shuffle=False, **more).history
        results.append((history, model.evaluate(x, y, **more), model.get_weights()))
    (wanted, evaluated, theirs), (found, ours, weights) = results
    assert list(found) == list(wanted)
    np.testing.assert_allclose(found["loss"], wanted["loss"], 1e-4)
    np.testing.assert_allclose(ours, evaluated, 1e-4)
    for a, b, before in zip(weights, theirs, start, strict=True):
        np.testing.assert_allclose(a, b, 1e-3, 1e-4)
        assert np.abs(a - before).max() > 1e-4


@pytest.mark.parametrize("name", ["CTC", "Circle"])
def test_no_step_is_left_to_python(name):
    if not hotloop.backends.available("cython"):
        pytest.skip("the compiled core is an optional part")
    build, x, y = problem(name)
    model = build(hotloop)
    model.compile("adam", name.lower())
    assert {op.backend for op in model.profile(x, y).rows} == {"cython"}


@pytest.mark.parametrize("name", ["CTC", "Circle"])
def test_same_bits_on_any_number_of_threads(name, backend):
    build, x, y = problem(name)
    x, y = np.tile(x, (20, *[1] * (x.ndim - 1))), np.concatenate([y] * 20)
    before, found = hotloop.config.num_threads(), []
    for threads in (1, 2, 3, 8):
        hotloop.utils.set_random_seed(4)
        hotloop.set_num_threads(threads)
        try:
            model = build(hotloop)
            model.compile("adam", name.lower())
            model.fit(x, y, batch_size=210, epochs=2, verbose=0)
            found.append(model.get_weights())
        finally:
            hotloop.set_num_threads(before)
    for weights in found[1:]:
        for a, b in zip(weights, found[0], strict=True):
            np.testing.assert_array_equal(a, b)


def test_labels_learn_their_places(backend):
    # Each step shows one of three classes or none; the labels say what was seen, not when.
    rng = np.random.default_rng(0)
    shown = rng.integers(0, 4, (300, 8))
    x = np.eye(4, dtype="float32")[shown] + rng.normal(0, 0.1, (300, 8, 4)).astype("float32")
    read = [[k for k, _ in itertools.groupby(row) if k] for row in shown.tolist()]
    y = np.array([row + [0] * (8 - len(row)) for row in read])
    hotloop.utils.set_random_seed(1)
    model = hotloop.Sequential([layers.Input((8, 4)), layers.Dense(4)])
    model.compile(hotloop.optimizers.Adam(0.05), "ctc")
    model.fit(x, y, epochs=30, verbose=0)
    best = model.predict(x, verbose=0).argmax(axis=2)
    found = [[k for k, _ in itertools.groupby(row) if k] for row in best.tolist()]
    assert np.mean([a == b for a, b in zip(found, read, strict=True)]) > 0.95


@pytest.mark.parametrize(("name", "options", "rate"), RUNS)
def test_saved_models_keep_the_loss(name, options, rate, tmp_path):
    pytest.importorskip("h5py")
    build, x, y = problem(name)
    model = build(hotloop)
    model.compile("sgd", getattr(losses, name)(**options))
    wanted = model.evaluate(x, y, verbose=0)
    for file in ("m.hotloop", "m.keras"):
        model.save(tmp_path / file)
        again = hotloop.models.load_model(tmp_path / file)
        np.testing.assert_allclose(again.evaluate(x, y, verbose=0), wanted, 1e-6)
    keras = pytest.importorskip("keras")
    theirs = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(theirs.evaluate(x, y, verbose=0), wanted, 1e-4)


# ------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("y", "words"),
    [
        ([[1, 2, 4]], r"from 0 \(no label\) to 3.*y\[0, 2\] is 4"),
        ([[1, -1, 2]], r"y\[0, 1\] is -1"),
        ([[1.5, 0, 0]], r"y\[0, 0\] is 1.5"),
        ([[np.nan, 0, 0]], r"y\[0, 0\] is nan"),
        ([[1, 0, 2]], r"class 0 is the blank.*y\[0\] is \[1 0 2\]"),
        ([[1, 1, 2, 3, 3, 1]], r"labels of y\[0\] need 8 steps.*but the outputs have 6"),
        ([1], r"shape \(batch, length\), but y has shape \(1,"),
        ([[[1]]], r"shape \(batch, length\), but y has shape \(1, 1, 1\)"),
    ],
)
def test_labels_that_ctc_refuses(y, words, backend):
    model = reader(hotloop)
    model.compile("sgd", "ctc")
    x = np.zeros((1, STEPS, FEATURES), "float32")
    with pytest.raises(ValueError, match=words):
        model.fit(x, np.array(y), verbose=0)
    with pytest.raises(ValueError, match=words):
        losses.CTC()(y, np.zeros((1, STEPS, CLASSES)))


@pytest.mark.parametrize(
    ("y", "words"),
    [
        ([0, -1, 2], r"from 0 to 2147483647, but y\[1\] is -1"),
        ([0, 1, 2**31], r"y\[2\] is 2147483648"),
        ([0.5, 1, 2], r"y\[0\] is 0.5"),
        ([[0, 1], [2, 3], [4, 5]], r"class numbers of shape \(3,\), but y has shape \(3, 2\)"),
    ],
)
def test_labels_that_circle_refuses(y, words, backend):
    model = embedder(hotloop)
    model.compile("sgd", "circle")
    with pytest.raises(ValueError, match=words):
        model.fit(np.zeros((3, FEATURES)), np.array(y), verbose=0)
    with pytest.raises(ValueError, match=words):
        losses.Circle()(y, np.zeros((3, 2)))


def test_outputs_of_the_wrong_shape():
    model = embedder(hotloop)
    model.compile("sgd", "ctc")
    with pytest.raises(ValueError, match=r"ctc needs outputs of shape \(batch, steps, classes\)"):
        model.fit(np.zeros((2, FEATURES)), np.ones((2, 1)), verbose=0)
    model = reader(hotloop)
    model.compile("sgd", "circle")
    with pytest.raises(ValueError, match=r"circle needs outputs of shape \(batch, features\)"):
        model.fit(np.zeros((2, STEPS, FEATURES)), np.ones(2), verbose=0)
    with pytest.raises(ValueError, match="y_true has 2 examples but y_pred has 1"):
        losses.ctc([[1], [1]], np.zeros((1, 3, 2)))
    with pytest.raises(ValueError, match="y_true has 2 examples but y_pred has 1"):
        losses.circle([1, 1], np.zeros((1, 3)))


@pytest.mark.parametrize(
    ("options", "words"),
    [({"gamma": 0}, "gamma must be"), ({"margin": -0.1}, "margin must be")],
)
def test_options_that_circle_refuses(options, words):
    with pytest.raises(ValueError, match=f"Circle: {words}"):
        losses.Circle(**options)


def test_references_are_refused():
    with pytest.raises(ValueError, match="ref_labels and ref_embeddings are not supported"):
        losses.circle([1], [[1.0]], ref_labels=[1])
