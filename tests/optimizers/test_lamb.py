"""Lamb: weights of every shape, stored in every way, as in Keras and on every backend."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import backends, config, kernels, layers
from hotloop.optimizers import Lamb
from hotloop.variables import Variable

Array = np.ndarray[Any, Any]

# A scalar, vectors, matrices of one panel and of several, of more rows than a block, and more axes.
SHAPES = [
    *[(), (1,), (7,), (300,), (1, 1), (5, 1), (1, 5), (40, 33), (3, 130), (1500, 3), (300, 70)],
    *[(1200, 1), (3, 1, 1), (3, 4, 5), (2, 3, 20, 17), (2, 1100, 2)],
]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def test_two_steps_by_hand(backend: str) -> None:
    weight, optimizer = Variable(np.array([[3.0, 0.0], [0.0, 4.0]])), Lamb(0.1, 0.5, 0.5, 0.0)
    # At first, every step is the gradient's sign: |u| is 2, and |W| is 5.
    optimizer.apply([[[2.0, -2.0], [0.5, 7.0]]], [weight])
    expected = np.array([[2.75, 0.25], [-0.25, 3.75]])
    np.testing.assert_allclose(weight.numpy(), expected, 1e-14)
    # m: 0, 0, 0.375, 1.75; corrected by 4/3. v: 3, 3, 0.1875, 12.25; corrected by 4/3.
    optimizer.apply([[[-1.0, 1.0], [0.5, 0.0]]], [weight])
    u = np.array([[0.0, 0.0], [0.5 / math.sqrt(0.25), (7 / 3) / math.sqrt(49 / 3)]])
    step = 0.1 * math.sqrt(2 * 2.75**2 + 2 * 0.25**2 + (3.75**2 - 2.75**2)) / math.hypot(*u[1]) * u
    np.testing.assert_allclose(weight.numpy(), expected - step, 1e-13)
    m, v = (slot.numpy() for slot in optimizer.slots(weight))
    np.testing.assert_allclose(m, [[0.0, 0.0], [0.375, 1.75]], atol=1e-15)
    np.testing.assert_allclose(v, [[1.5, 1.5], [0.1875, 12.25]])


def test_weights_and_steps_of_no_length(backend: str) -> None:
    """Then the ratio is 1, and so it is where a step is no number."""
    weight = Variable(np.zeros((3, 2)))
    Lamb(0.25, epsilon=0.0).apply([np.full((3, 2), -8.0)], [weight])
    np.testing.assert_allclose(weight.numpy(), 0.25, 1e-14)
    optimizer = Lamb(0.25)
    optimizer.apply([np.zeros((3, 2))], [weight])
    np.testing.assert_allclose(weight.numpy(), 0.25, 1e-14)
    Lamb(0.25, epsilon=0.0).apply([[[np.nan, 1.0], [1.0, 1.0], [1.0, 1.0]]], [weight])
    assert np.isnan(weight.numpy()[0, 0])
    np.testing.assert_allclose(weight.numpy().ravel()[1:], 0.0, atol=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_of_any_shape_as_in_keras(
    shape: tuple[int, ...], dtype: str, backend: str, rng: np.random.Generator
) -> None:
    keras = pytest.importorskip("keras")
    start = np.asarray(rng.normal(size=shape), dtype)
    theirs, other = keras.Variable(start, dtype=dtype), keras.optimizers.Lamb(0.05, 0.8, 0.9)
    ours, optimizer = Variable(start), Lamb(0.05, 0.8, 0.9)
    for g in rng.normal(size=(4, *shape)).astype(dtype):
        other.apply([keras.ops.convert_to_tensor(g)], [theirs])
        optimizer.apply([g], [ours])
    # Keras keeps the rate in single precision.
    expected = keras.ops.convert_to_numpy(theirs)
    np.testing.assert_allclose(ours.numpy(), expected, 1e-5 if dtype == "float32" else 1e-6, 1e-6)


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
        arrays = [[start.copy(), np.zeros_like(start), np.zeros_like(start)] for _ in range(2)]
        for iteration in (1, 2, 1000):
            g = np.asarray(rng.normal(size=shape), dtype)
            for (w, *state), served in zip(arrays, (None, "numpy"), strict=True):
                kernels.lamb(w, g, state, learning_rate=0.1, iteration=iteration, backend=served)
        for ours, truth in zip(*arrays, strict=True):
            np.testing.assert_allclose(ours, truth, tolerance, tolerance, err_msg=str(shape))
    config.set_num_threads(before)


def test_without_epsilon_padding_has_no_share(rng: np.random.Generator) -> None:
    """Panels of odd widths, whose padding divides 0 by 0."""
    x, y = rng.normal(size=(64, 40)), rng.normal(size=(64, 35))
    found = []
    before = config.backend()
    for name, state in backends.availability().items():
        if state == "available":
            config.set_backend(name)
            hotloop.utils.set_random_seed(1)
            model = hotloop.Sequential([layers.Input((40,)), layers.Dense(133), layers.Dense(35)])
            model.compile(Lamb(0.01, epsilon=0.0), "mse")
            model.fit(x, y, 16, epochs=3, shuffle=False, verbose=0)
            found.append(model.get_weights())
    config.set_backend(before)
    for other in found:
        for ours, theirs in zip(found[0], other, strict=True):
            assert np.isfinite(ours).all()
            np.testing.assert_allclose(ours, theirs, 1e-3, 1e-4)


def test_settings_come_back() -> None:
    optimizer = Lamb(0.1, 0.8, 0.99, 1e-6, weight_decay=0.1, clipnorm=1.0)
    again = Lamb.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    assert again.get_config().items() >= {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-6}.items()


def test_the_kernel_says_what_it_needs(backend: str) -> None:
    w = np.ones((2, 3))
    op = backends.operations(None)["lamb"]
    settings = {"learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 0.0}
    with pytest.raises(ValueError, match=r"slots\[1\] has shape \(3,\), expected \(2, 3\)"):
        op(w, w.copy(), (w.copy(), np.ones(3)), iteration=1, **settings)
    with pytest.raises(ValueError, match=r"lamb keeps 2 arrays of a weight of shape .*, got 1"):
        op(w, w.copy(), (w.copy(),), iteration=1, **settings)
    with pytest.raises(ValueError, match=r"lamb: expected 2 slots, got 1"):
        kernels.lamb(w, w, [w.copy()], learning_rate=0.1)
    with pytest.raises(ValueError, match="lamb: g has shape"):
        kernels.lamb(w, w[:1], [w.copy(), w.copy()], learning_rate=0.1)
    np.testing.assert_array_equal(w, 1.0)
