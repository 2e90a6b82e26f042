"""Activations of arrays and in models: numbers by hand, edges, names."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hotloop import activations
from hotloop.layers import Input

E = math.e
BY_HAND = {  # values at -1, 0 and 2
    "linear": (-1.0, 0.0, 2.0),
    "relu": (0.0, 0.0, 2.0),
    "leaky_relu": (-0.2, 0.0, 2.0),
    "elu": (1 / E - 1, 0.0, 2.0),
    "selu": (1.0507009873554805 * 1.6732632423543772 * (1 / E - 1), 0.0, 2 * 1.0507009873554805),
    "gelu": (-0.5 * (1 + math.erf(-1 / math.sqrt(2))), 0.0, 1 + math.erf(math.sqrt(2))),
    "silu": (-1 / (1 + E), 0.0, 2 / (1 + E**-2)),
    "softplus": (math.log(1 + 1 / E), math.log(2), math.log(1 + E**2)),
    "softsign": (-0.5, 0.0, 2 / 3),
    "sigmoid": (1 / (1 + E), 0.5, 1 / (1 + E**-2)),
    "hard_sigmoid": (1 / 3, 0.5, 5 / 6),
    "tanh": (math.tanh(-1), 0.0, math.tanh(2)),
    "absolute": (1.0, 0.0, 2.0),
    "exponential": (1 / E, 1.0, E**2),
    "relu6": (0.0, 0.0, 2.0),
    "celu": (1 / E - 1, 0.0, 2.0),
    "hard_silu": (-1 / 3, 0.0, 5 / 3),
    "mish": (-math.tanh(math.log1p(1 / E)), 0.0, 2 * math.tanh(math.log1p(E**2))),
    "log_sigmoid": (-math.log(1 + E), -math.log(2), -math.log(1 + E**-2)),
    "squareplus": ((math.sqrt(5) - 1) / 2, 1.0, 1 + math.sqrt(2)),
    "sparse_plus": (0.0, 0.25, 2.0),
    "sparse_sigmoid": (0.0, 0.5, 1.0),
    "hard_tanh": (-1.0, 0.0, 1.0),
    "tanh_shrink": (math.tanh(1) - 1, 0.0, 2 - math.tanh(2)),
    "hard_shrink": (-1.0, 0.0, 2.0),
    "soft_shrink": (-0.5, 0.0, 1.5),
}
ROWS = ("softmax", "log_softmax", "sparsemax")


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_by_hand(name, dtype, backend):
    found = activations.get(name)(np.array([-1.0, 0.0, 2.0], dtype))
    assert found.dtype == dtype
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(found, BY_HAND[name], tolerance, tolerance)


def test_rows_by_hand(backend):
    x = np.array([[0.0, math.log(3.0)], [1000.0, 1000.0]])
    np.testing.assert_allclose(activations.softmax(x), [[0.25, 0.75], [0.5, 0.5]], 1e-14)
    np.testing.assert_allclose(
        activations.log_softmax(x), np.log([[0.25, 0.75], [0.5, 0.5]]), rtol=1e-12
    )


def test_sparsemax_by_hand(backend):
    x = np.array([[0.0, 1.0, 0.5], [2.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    expected = [[0.0, 0.75, 0.25], [1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]]
    np.testing.assert_allclose(activations.sparsemax(x), expected, 1e-14)
    np.testing.assert_allclose(activations.sparsemax(x + 1000.0), expected, 1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("classes", [1, 2, 7, 33, 257])
def test_sparsemax_is_the_nearest_distribution(classes, dtype, backend):
    rng = np.random.default_rng(classes)
    x = rng.normal(0, 2, (40, classes)).astype(dtype)
    x[:, -1] = x[:, 0]
    y = activations.sparsemax(x)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    assert (y >= 0).all()
    np.testing.assert_allclose(y.sum(axis=1), 1.0, tolerance)
    # Of a nearest point, no other one of the simplex is on the side that x is on.
    other = rng.dirichlet(np.ones(classes), 40)
    assert (((x - y) * (other - y)).sum(axis=1) <= 10 * tolerance).all()


def test_glu_by_hand(backend):
    x = np.array([[1.0, -2.0, 0.0, math.log(3.0)]])
    np.testing.assert_allclose(activations.glu(x), [[0.5, -1.5]], 1e-14)
    assert activations.glu(np.zeros((2, 3, 6), "float32")).shape == (2, 3, 3)
    assert activations.glu(np.zeros((0, 6))).shape == (0, 3)
    assert activations.glu(Input((4, 6))).shape == (None, 4, 3)


def test_thresholds(backend):
    x = np.array([-1.0, 0.75, 1.0, 2.0, np.nan, np.inf])
    y = activations.threshold(x, 0.75, -0.5)
    np.testing.assert_array_equal(y, [-0.5, -0.5, 1.0, 2.0, np.nan, np.inf])
    np.testing.assert_array_equal(activations.relu(x, threshold=0.75), [0, 0, 1, 2, np.nan, np.inf])


def test_options(backend):
    x = np.array([-2.0, 0.5, 9.0])
    np.testing.assert_allclose(activations.relu(x, 0.5), [-1.0, 0.5, 9.0])
    np.testing.assert_allclose(activations.relu(x, max_value=6.0), [0.0, 0.5, 6.0])
    np.testing.assert_allclose(activations.relu(x, 0.5, 6.0, 1.0), [-1.5, -0.25, 6.0])
    np.testing.assert_allclose(activations.leaky_relu(x, 0.01), [-0.02, 0.5, 9.0])
    np.testing.assert_allclose(activations.elu(x, 2.0), [2 * (E**-2 - 1), 0.5, 9.0])
    tanh = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    np.testing.assert_allclose(activations.gelu(x, approximate=True), x / 2 * (1 + tanh))


@pytest.mark.parametrize("name", [*BY_HAND, *ROWS])
@pytest.mark.parametrize("shape", [(0,), (1,), (3, 1), (2, 0, 3), (2, 3, 5), (257,)])
def test_shapes(name, shape, backend):
    x = np.linspace(-3, 3, math.prod(shape)).reshape(shape)
    found = activations.get(name)(x)
    assert found.shape == shape
    if x.size:
        flat = activations.get(name)(x.reshape(-1, shape[-1]))
        np.testing.assert_array_equal(found.reshape(flat.shape), flat)


@pytest.mark.parametrize("name", [*BY_HAND, *ROWS])
def test_nan_stays(name, backend):
    assert np.isnan(activations.get(name)(np.array([1.0, np.nan, 1.0]))[1])


@pytest.mark.parametrize("name", BY_HAND)
def test_strides_integers_and_lists(name):
    f = activations.get(name)
    x = np.arange(-6.0, 6.0).reshape(3, 4)
    np.testing.assert_array_equal(f(x.T), np.asarray(f(x)).T)
    np.testing.assert_array_equal(f(x[:, ::2]), np.asarray(f(x))[:, ::2])
    np.testing.assert_allclose(f(x.astype(int)), f(x), 1e-6, 1e-6)
    np.testing.assert_allclose(f(x.tolist()), f(x), 1e-6, 1e-6)
    assert np.shape(f(np.float64(0.5))) == ()


@pytest.mark.parametrize("name", [*BY_HAND, *ROWS])
def test_symbolic_values_keep_their_shape(name):
    assert activations.get(name)(Input((4, 3))).shape == (None, 4, 3)


def test_what_models_do_not_know():
    for f in (activations.softmax, activations.log_softmax, activations.sparsemax):
        with pytest.raises(ValueError, match="last axis"):
            f(np.zeros((2, 3)), axis=0)
        with pytest.raises(ValueError, match="last axis"):
            f(Input((2, 3)), axis=1)
        assert f(np.zeros((2, 3)), axis=1).shape == (2, 3)
        with pytest.raises(ValueError, match="single number"):
            f(1.0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: activations.celu(1.0, alpha=0.0), "celu: alpha must be above 0, not 0.0"),
        (lambda: activations.squareplus(1.0, b=-1), "squareplus: b must be at least 0, not -1"),
        (lambda: activations.hard_shrink(1.0, -0.5), "hard_shrink: threshold must be at least 0"),
        (lambda: activations.soft_shrink(1.0, np.nan), "soft_shrink: threshold must be at least 0"),
        (lambda: activations.glu(np.zeros((2, 3))), "an even length to be halved, not 3"),
        (lambda: activations.glu(1.0), "an even length to be halved, not 1"),
        (lambda: activations.glu(Input((3,))), "an even length to be halved, not 3"),
        (lambda: activations.glu(np.zeros((2, 4)), axis=0), r"last axis \(-1\), not 0"),
    ],
)
def test_bad_options(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_names():
    assert activations.get(None) is activations.linear
    assert activations.get("LeakyReLU") is activations.leaky_relu
    assert activations.get("swish") is activations.swish is activations.silu
    assert activations.get("hard_swish") is activations.hard_swish is activations.hard_silu
    assert activations.get(math.sin) is math.sin
    with pytest.raises(ValueError, match=r"Unknown activation 'sigmoud'\. Did you mean 'sigmoid'"):
        activations.get("sigmoud")
    with pytest.raises(TypeError, match="a name, a function or None, not 3"):
        activations.get(3)
