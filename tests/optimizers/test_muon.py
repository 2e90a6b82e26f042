"""Muon: matrices by orthogonal steps, all else by Adam, as in Keras and on every backend."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import backends, config, kernels, layers
from hotloop.optimizers import Adam, Muon
from hotloop.variables import Variable

Array = np.ndarray[Any, Any]

# Wide and tall, of one panel and of several, of more rows than a block, a single row or column.
MATRICES = [
    *[(1, 1), (5, 1), (1, 5), (4, 4), (40, 33), (3, 130), (1500, 3), (300, 70), (70, 130)],
    (1200, 1),
]
OTHERS = [(), (1,), (7,), (300,), (3, 1, 1), (3, 4, 5)]
SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "another way": {"nesterov": False, "rms_rate": None, "ns_steps": 2, "momentum": 0.5},
    "no decay": {"weight_decay": None, "adam_weight_decay": None, "adam_lr_ratio": 0.3},
    "decay": {"weight_decay": 0.5, "adam_weight_decay": 0.2, "muon_c": 2.0},
}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def orthogonal(x: Array) -> Array:
    """The nearest matrix whose singular values are 1."""
    u, _, v = np.linalg.svd(x, full_matrices=False)
    return u @ v


@pytest.mark.parametrize("shape", [(4, 4), (3, 7), (50, 20)])
def test_a_step_is_an_orthogonal_matrix(
    shape: tuple[int, int], backend: str, rng: np.random.Generator
) -> None:
    """By coefficients with which the iteration ends there; the other ones only come near."""
    start, g = rng.normal(size=(2, *shape))
    weight = Variable(start)
    curve = {"muon_a": 1.5, "muon_b": -0.5, "muon_c": 0.0, "ns_steps": 40, "rms_rate": None}
    optimizer = Muon(0.25, momentum=0.5, weight_decay=None, **curve)
    optimizer.apply([g], [weight])
    np.testing.assert_allclose(start - weight.numpy(), 0.25 * orthogonal(g), 1e-9, 1e-12)
    second = rng.normal(size=shape)
    before = weight.numpy()
    optimizer.apply([second], [weight])
    m = 0.5 * g + second
    expected = 0.25 * orthogonal(second + 0.5 * m)
    np.testing.assert_allclose(before - weight.numpy(), expected, 1e-9, 1e-12)
    np.testing.assert_allclose(optimizer.slots(weight)[0].numpy(), m, 1e-14)


def test_one_step_by_hand(backend: str) -> None:
    """Of a diagonal matrix, each element goes its own way."""
    weight = Variable(np.zeros((2, 3)))
    optimizer = Muon(0.5, weight_decay=None, muon_a=3, muon_b=-4, muon_c=2, ns_steps=1)
    optimizer.apply([[[6.0, 0.0, 0.0], [0.0, 8.0, 0.0]]], [weight])
    x, y = ((3 * t - 4 * t**3 + 2 * t**5) * 0.5 * 0.2 * math.sqrt(3) for t in (0.6, 0.8))
    np.testing.assert_allclose(weight.numpy(), [[-x, 0, 0], [0, -y, 0]], 1e-7)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_of_any_shape_as_in_keras(
    name: str, dtype: str, backend: str, rng: np.random.Generator
) -> None:
    keras = pytest.importorskip("keras")
    settings = {"learning_rate": 0.05} | SETTINGS[name]
    starts = [np.asarray(rng.normal(size=shape), dtype) for shape in (*MATRICES, *OTHERS)]
    theirs = [keras.Variable(start, dtype=dtype) for start in starts]
    ours = [Variable(start) for start in starts]
    other, optimizer = keras.optimizers.Muon(**settings), Muon(**settings)
    for _ in range(4):
        gradients = [rng.normal(size=start.shape).astype(dtype) for start in starts]
        other.apply([keras.ops.convert_to_tensor(g) for g in gradients], theirs)
        optimizer.apply(gradients, ours)
    tolerance = 1e-4 if dtype == "float32" else 2e-6  # Keras has single numbers among doubles
    for one, their in zip(ours, theirs, strict=True):
        expected = keras.ops.convert_to_numpy(their)
        np.testing.assert_allclose(one.numpy(), expected, tolerance, tolerance, str(one.shape))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 3])
def test_every_backend_is_the_reference(
    dtype: str, threads: int, backend: str, rng: np.random.Generator
) -> None:
    tolerance = 1e-3 if dtype == "float32" else 1e-11
    before = config.num_threads()
    config.set_num_threads(threads)
    for shape in [*MATRICES, (201, 203), (0, 3), (3, 0)]:
        start = np.asarray(rng.normal(size=shape), dtype)
        arrays = [[start.copy(), np.zeros_like(start)] for _ in range(2)]
        for iteration in (1, 2):
            g = np.asarray(rng.normal(size=shape), dtype)
            for (w, m), served in zip(arrays, (None, "numpy"), strict=True):
                kernels.muon(w, g, [m], learning_rate=0.1, iteration=iteration, backend=served)
        for ours, truth in zip(*arrays, strict=True):
            np.testing.assert_allclose(ours, truth, tolerance, tolerance, err_msg=str(shape))
    config.set_num_threads(before)


def test_no_gradient_and_one_that_is_no_number(backend: str) -> None:
    weight, optimizer = Variable(np.ones((5, 3))), Muon(0.1, weight_decay=None)
    optimizer.apply([np.zeros((5, 3))], [weight])
    np.testing.assert_array_equal(weight.numpy(), 1.0)
    optimizer.apply([np.full((5, 3), np.nan)], [weight])
    assert np.isnan(weight.numpy()).all()


@pytest.mark.parametrize(
    "rate", [0.02, lambda k: k.optimizers.schedules.ExponentialDecay(0.05, 5, 0.7)]
)
def test_the_rest_is_adams(
    rate: float | Callable[[Any], Any], backend: str, rng: np.random.Generator
) -> None:
    x, y = rng.normal(size=(40, 9)), rng.normal(size=(40, 3))
    found = []
    for cls, options in (
        (Muon, {"exclude_layers": ["dense"], "weight_decay": None, "adam_weight_decay": None}),
        (Adam, {}),
    ):
        hotloop.utils.set_random_seed(2)
        model = hotloop.Sequential([layers.Input((9,)), layers.Dense(40, "tanh"), layers.Dense(3)])
        model.compile(cls(rate(hotloop) if callable(rate) else rate, **options), "mse")
        model.fit(x, y, 8, epochs=2, shuffle=False, verbose=0)
        found.append(model.get_weights())
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, 1e-5, 1e-6)


def test_decay_leaves_out_what_is_excluded(backend: str) -> None:
    w, v, b = Variable(np.ones((2, 2)), "w"), Variable(np.ones((2, 2)), "v"), Variable([1.0], "b")
    optimizer = Muon(0.5, weight_decay=0.5, adam_weight_decay=0.25)
    optimizer.exclude_from_weight_decay([v])
    optimizer.apply([np.zeros((2, 2)), np.zeros((2, 2)), [0.0]], [w, v, b])
    np.testing.assert_array_equal(w.numpy(), 0.75)
    np.testing.assert_array_equal(v.numpy(), 1.0)
    np.testing.assert_array_equal(b.numpy(), 0.875)


def test_settings_come_back() -> None:
    settings = {"exclude_layers": ["a", "b"], "rms_rate": None, "nesterov": False, "ns_steps": 3}
    optimizer = Muon(0.1, 0.8, 0.99, None, 1e-6, 0.3, **settings, clipnorm=1.0)
    again = Muon.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    assert again.get_config().items() >= {"adam_beta_1": 0.8, "weight_decay": 0.3}.items()
    assert again.get_config().items() >= settings.items()


def test_bad_patterns() -> None:
    with pytest.raises(TypeError, match="exclude_layers must be a list of regular expressions"):
        Muon(exclude_layers="dense")
    with pytest.raises(ValueError, match=r"'\(' of exclude_layers is no regular expression"):
        Muon(exclude_layers=["("])


def test_the_kernel_says_what_it_needs(backend: str) -> None:
    w = np.ones((2, 3))
    op = backends.operations(None)["muon"]
    settings = {"learning_rate": 0.1, "momentum": 0.9, "nesterov": 1.0, "rms_rate": 0.0}
    settings |= {"muon_a": 1.0, "muon_b": 1.0, "muon_c": 1.0, "ns_steps": 1.0}
    with pytest.raises(ValueError, match=r"slots\[0\] has shape \(3,\), expected \(2, 3\)"):
        op(w, w.copy(), (np.ones(3),), iteration=1, **settings)
    with pytest.raises(ValueError, match=r"muon updates matrices, not a weight of shape \(3,\)"):
        op(w[0], w[0].copy(), (np.ones(3),), iteration=1, **settings)
    with pytest.raises(ValueError, match=r"muon updates matrices, not a weight of shape \(3,\)"):
        kernels.muon(w[0], w[0], [w[0].copy()], learning_rate=0.1)
    with pytest.raises(ValueError, match=r"muon: expected 1 slots, got 2"):
        kernels.muon(w, w, [w.copy(), w.copy()], learning_rate=0.1)
    np.testing.assert_array_equal(w, 1.0)
