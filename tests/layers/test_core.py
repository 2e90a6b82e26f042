"""Dense and Activation."""

from __future__ import annotations

import numpy as np
import pytest

import hotloop
from hotloop.layers import Activation, Dense, Input


def test_by_hand(backend):
    layer = Dense(2, "relu", kernel_initializer=np.array([[1.0, -1.0], [2.0, 0.0]]))
    layer.build((None, 2))
    layer.set_weights([layer.get_weights()[0], [0.5, -0.5]])
    # (1, 2) W = (5, -1); with the bias (5.5, -1.5).
    np.testing.assert_array_equal(layer([[1.0, 2.0]]), [[5.5, 0.0]])


def test_without_bias(backend):
    layer = Dense(2, use_bias=False, kernel_initializer="ones")
    np.testing.assert_array_equal(layer([[1.0, 2.0]]), [[3.0, 3.0]])
    assert len(layer.weights) == 1
    assert not hasattr(layer, "bias")


def test_over_the_last_axis(backend):
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")
    layer = Dense(2, "sigmoid")
    y = layer(x)
    assert y.shape == (3, 4, 2)
    w, b = layer.get_weights()
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-(x @ w + b))), rtol=1e-5)
    assert Dense(7)(Input((4, 5))).shape == (None, 4, 7)


@pytest.mark.parametrize("units", [0, -1, 2.5, "3", None, True])
def test_bad_units(units):
    with pytest.raises(ValueError, match=r"Dense 'dense.*units must be a whole number"):
        Dense(units)


def test_numpy_integers_are_units():
    assert Dense(np.int64(3)).units == 3


def test_features_differ_from_those_it_was_built_for():
    layer = Dense(2, name="d")
    layer(np.zeros((1, 6)))
    with pytest.raises(ValueError, match=r"Dense 'd' was built for 6.*\(None, 5\)"):
        layer(np.zeros((1, 5)))
    with pytest.raises(ValueError, match=r"\(None, 2, 3\); add Flatten\(\) before it"):
        layer(np.zeros((1, 2, 3)))
    with pytest.raises(ValueError, match=r"needs inputs of shape \(batch, features\)"):
        Dense(2)(Input(()))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"activation": "rellu"}, ValueError, "Unknown activation 'rellu'. Did you mean 'relu'"),
        ({"activation": 5}, TypeError, "an activation must be a name, a function or None"),
        ({"kernel_initializer": "glorot_unifrom"}, ValueError, "Did you mean 'glorot_uniform'"),
        ({"bias_initializer": "zeroes"}, ValueError, "Did you mean 'zeros'"),
        ({"kernel_regularizer": "l22"}, ValueError, "Unknown regularizer 'l22'. Did you mean 'l2'"),
    ],
)
def test_unknown_names(options, error, words):
    with pytest.raises(error, match=words):
        Dense(3, **options)


def test_default_initial_weights_are_those_of_keras():
    hotloop.utils.set_random_seed(1)
    layer = Dense(200)
    layer(np.zeros((1, 300)))
    kernel, bias = layer.get_weights()
    limit = np.sqrt(6 / 500)
    assert not bias.any()
    assert np.abs(kernel).max() <= limit
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)


def test_activation_is_that_of_dense(backend):
    x = np.linspace(-3, 3, 12).reshape(3, 4)
    for name in ("relu", "softmax", "selu", hotloop.activations.tanh):
        dense = Dense(4, name, kernel_initializer="identity")
        np.testing.assert_allclose(Activation(name)(x), dense(x), rtol=1e-6)


def test_an_activation_of_ones_own():
    def hard(x):
        return hotloop.activations.relu(hotloop.activations.tanh(x))

    np.testing.assert_allclose(Activation(hard)([[-1.0, 1.0]]), [[0.0, np.tanh(1.0)]], rtol=1e-6)
