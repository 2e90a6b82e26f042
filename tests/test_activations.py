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
    "exponential": (1 / E, 1.0, E**2),
}
ROWS = ("softmax", "log_softmax")


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
    with pytest.raises(ValueError, match="a threshold is not supported inside a model"):
        activations.relu(Input((3,)), threshold=1.0)
    for f in (activations.softmax, activations.log_softmax):
        with pytest.raises(ValueError, match="last axis"):
            f(np.zeros((2, 3)), axis=0)
        with pytest.raises(ValueError, match="last axis"):
            f(Input((2, 3)), axis=1)
        assert f(np.zeros((2, 3)), axis=1).shape == (2, 3)
        with pytest.raises(ValueError, match="single number"):
            f(1.0)


def test_names():
    assert activations.get(None) is activations.linear
    assert activations.get("LeakyReLU") is activations.leaky_relu
    assert activations.get("swish") is activations.silu
    assert activations.get(math.sin) is math.sin
    with pytest.raises(ValueError, match=r"Unknown activation 'sigmoud'\. Did you mean 'sigmoid'"):
        activations.get("sigmoud")
    with pytest.raises(TypeError, match="a name, a function or None, not 3"):
        activations.get(3)
