"""Adafactor: weights of every shape, stored in every way, as in Keras and on every backend."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import backends, config, kernels, layers
from hotloop.backends import numpy as reference
from hotloop.optimizers import Adafactor
from hotloop.optimizers.schedules import PiecewiseConstantDecay
from hotloop.variables import Variable

Array = np.ndarray[Any, Any]

# A scalar, vectors, matrices of one panel and of several, of more rows than a block, and more axes.
SHAPES = [
    *[(), (1,), (7,), (300,), (1, 1), (5, 1), (1, 5), (40, 33), (3, 130), (1500, 3), (300, 70)],
    *[(1200, 1), (3, 1, 1), (3, 4, 5), (2, 3, 20, 17), (2, 1100, 2)],
]
SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "steps that are scaled down": {"clip_threshold": 0.3, "beta_2_decay": -0.5},
    "small weights, no memory": {"epsilon_2": 2.0, "beta_2_decay": 0.0},
    "a rate above 1 / sqrt(t)": {"learning_rate": 0.9, "relative_step": False},
}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def test_two_steps_by_hand(backend: str) -> None:
    matrix, vector = Variable(np.array([[3.0, 4.0], [0.0, 5.0]])), Variable(np.array([6.0, 8.0]))
    optimizer = Adafactor(0.5, beta_2_decay=-1.0, clip_threshold=0.5)
    optimizer.apply([[[1.0, 2.0], [2.0, 4.0]], [3.0, -4.0]], [matrix, vector])
    # Rows: 2.5 and 10, columns: 2.5 and 10; r c / mean(r) is g^2: every step is 0.5 rms(W) 0.5.
    rms = [math.sqrt(12.5), math.sqrt(50.0)]
    np.testing.assert_allclose(matrix.numpy(), [[3, 4], [0, 5]] - np.array(0.25 * rms[0]))
    np.testing.assert_allclose(vector.numpy(), np.array([6, 8]) + np.array([-0.25, 0.25]) * rms[1])
    row, column, velocity = (slot.numpy() for slot in optimizer.variables)
    np.testing.assert_allclose([row, column], [[2.5, 10.0]] * 2)
    np.testing.assert_allclose(velocity, [9.0, 16.0])
    np.testing.assert_allclose(optimizer.velocity(matrix), [[1.0, 4.0], [4.0, 16.0]])

    # Half of each mean is that of [[1, 1], [1, 1]].
    before = matrix.numpy()
    optimizer.apply([np.ones((2, 2)), [0.0, 0.0]], [matrix, vector])
    r = np.array([1.75, 5.5])
    np.testing.assert_allclose([s.numpy() for s in optimizer.slots(matrix)], [r, r])
    np.testing.assert_allclose(optimizer.velocity(vector), [4.5, 8.0])
    u = 1.0 / np.sqrt(np.outer(r, r) / 3.625)
    step = 0.5 * np.sqrt(np.mean(before**2)) * u / (np.sqrt(np.mean(u**2)) / 0.5)
    np.testing.assert_allclose(matrix.numpy(), before - step)


@pytest.mark.parametrize("name", SETTINGS)
def test_weights_of_any_shape_as_in_keras(
    name: str, backend: str, rng: np.random.Generator
) -> None:
    keras = pytest.importorskip("keras")
    settings = {"learning_rate": 0.05} | SETTINGS[name]
    for shape in SHAPES:
        start = np.asarray(rng.normal(size=shape), "float32")
        gradients = rng.uniform(0.1, 1.0, size=(4, *shape)).astype("float32")
        theirs, ours = keras.Variable(start), Variable(start)
        other, optimizer = keras.optimizers.Adafactor(**settings), Adafactor(**settings)
        for g in gradients:
            other.apply([keras.ops.convert_to_tensor(g)], [theirs])
            optimizer.apply([g], [ours])
        np.testing.assert_allclose(ours.numpy(), theirs, 1e-4, 1e-5, err_msg=str(shape))
        velocity = np.asarray(other._v[0])
        np.testing.assert_allclose(optimizer.velocity(ours), velocity, 1e-5, err_msg=str(shape))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 3])
def test_every_backend_is_the_reference(
    dtype: str, threads: int, backend: str, rng: np.random.Generator
) -> None:
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    before = config.num_threads()
    config.set_num_threads(threads)
    for shape in [*SHAPES, (301, 303), (0,), (0, 3), (3, 0)]:
        start = np.asarray(rng.normal(size=shape), dtype)
        slots = [np.zeros(kept, dtype) for kept in reference.factored_shapes(shape)]
        arrays = [[start.copy(), *map(np.copy, slots)] for _ in range(2)]
        for iteration in (1, 2, 1000):
            g = np.asarray(rng.normal(size=shape), dtype)
            for (w, *state), served in zip(arrays, (None, "numpy"), strict=True):
                kernels.adafactor(
                    w, g, state, learning_rate=0.1, iteration=iteration, backend=served
                )
        for ours, truth in zip(*arrays, strict=True):
            np.testing.assert_allclose(ours, truth, tolerance, tolerance, err_msg=str(shape))
    config.set_num_threads(before)


def test_gradients_that_are_zero_or_no_numbers(backend: str) -> None:
    for shape in [(40, 35), (20, 1), (50,), (3, 5, 2)]:
        start = np.ones(shape, "float32")
        weight, optimizer = Variable(start), Adafactor(0.1)
        optimizer.apply([np.zeros(shape)], [weight])
        np.testing.assert_array_equal(weight.numpy(), start)
        g = np.ones(shape)
        g[1] = 0.0
        for _ in range(3):
            optimizer.apply([g * 1e6], [weight])
        assert np.isfinite(weight.numpy()).all()
        np.testing.assert_array_equal(weight.numpy()[1], start[1])
        assert (weight.numpy()[0] < 1).all()
        g[1] = np.nan
        optimizer.apply([g], [weight])
        assert np.isnan(weight.numpy()).all()


def test_loss_and_gradients_then_apply_is_what_fit_does(
    backend: str, rng: np.random.Generator
) -> None:
    x, y = rng.normal(size=(20, 40)), rng.normal(size=(20, 3))
    one = hotloop.Sequential([layers.Input((40,)), layers.Dense(33, "tanh"), layers.Dense(3)])
    one.compile(Adafactor(0.05), "mse")
    other = copy.deepcopy(one)
    optimizer = Adafactor(0.05)
    for _ in range(3):
        one.train_on_batch(x, y)
        _, gradients = other.loss_and_gradients(x, y)
        optimizer.apply(gradients, other.trainable_weights)
    for ours, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, 1e-4, 1e-6)


def test_the_relative_step_changes_nothing_with_and_without_a_schedule() -> None:
    found = []
    for relative in (True, False):
        for rate in (0.3, PiecewiseConstantDecay([100], [0.3, 0.1])):
            weight = Variable(np.arange(6.0).reshape(2, 3))
            optimizer = Adafactor(rate, relative_step=relative)
            for _ in range(20):
                optimizer.apply([np.ones((2, 3))], [weight])
            found.append(weight.numpy())
    for one in found[1:]:
        np.testing.assert_array_equal(one, found[0])


def test_settings_come_back() -> None:
    optimizer = Adafactor(0.1, -0.7, 1e-20, 0.01, 2.0, False, weight_decay=0.1, clipnorm=1.0)
    again = Adafactor.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    assert again.get_config().items() >= {"relative_step": False, "beta_2_decay": -0.7}.items()


def test_the_kernel_says_what_it_needs(backend: str) -> None:
    w = np.ones((2, 3))
    slots = [np.zeros(2), np.zeros(3)]
    op = backends.operations(None)["adafactor"]
    settings: dict[str, float] = {"beta_2_decay": -0.8, "epsilon_1": 0.0, "epsilon_2": 0.0}
    settings |= {"learning_rate": 0.1, "clip_threshold": 1.0, "iteration": 1}
    with pytest.raises(ValueError, match=r"slots\[1\] has shape \(2,\), expected \(3,\)"):
        op(w, w.copy(), (slots[0], slots[0]), **settings)
    with pytest.raises(ValueError, match=r"keeps 2 arrays of a weight of shape .*, got 1"):
        op(w, w.copy(), (slots[0],), **settings)
    with pytest.raises(ValueError, match=r"adafactor: expected 1 slots, got 2"):
        kernels.adafactor(w[0], w[0], slots, learning_rate=0.1)
    with pytest.raises(ValueError, match=r"slots\[0\] must be a writeable"):
        kernels.adafactor(w, w, slots[::-1], learning_rate=0.1)
    with pytest.raises(ValueError, match="w must be a writeable"):
        kernels.adafactor(w.astype(int), w, slots, learning_rate=0.1)
    with pytest.raises(ValueError, match="adafactor: g has shape"):
        kernels.adafactor(w, w[:1], slots, learning_rate=0.1)
    np.testing.assert_array_equal(w, 1.0)
