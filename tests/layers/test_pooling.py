"""Pooling over the steps of sequences, on every backend."""

import numpy as np
import pytest

import hotloop
from hotloop import layers

SHAPES = [(1, 1), (1, 5), (3, 1), (7, 3), (17, 33), (4, 257)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("made", "function"),
    [(layers.GlobalAveragePooling1D, np.mean), (layers.GlobalMaxPooling1D, np.max)],
)
def test_steps_are_pooled_as_numpy_does(backend, made, function, shape):
    x = np.random.default_rng(2).normal(size=(11, *shape)).astype("float32")
    for data_format, axis in (("channels_last", 1), ("channels_first", 2)):
        for keepdims in (False, True):
            expected = function(x, axis=axis, keepdims=keepdims)
            found = made(data_format, keepdims)(x)
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
            assert found.shape == expected.shape


def test_nan_is_kept(backend):
    x = np.array([[[1.0, np.nan], [np.nan, 2.0], [3.0, 4.0]]])
    for made in (layers.GlobalAveragePooling1D, layers.GlobalMaxPooling1D):
        assert np.isnan(made()(x)).all()


def test_equal_steps_share_the_gradient(backend):
    layer = layers.Embedding(3, 1, weights=[[1.0], [1.0], [0.0]])
    model = hotloop.Sequential([layer, layers.GlobalMaxPooling1D()])
    model.compile(hotloop.optimizers.SGD(1.0), "mae")
    model.train_on_batch(np.array([[0, 1, 2]]), [[0.0]])
    np.testing.assert_allclose(layer.get_weights()[0], [[0.5], [0.5], [0.0]])


def test_bad_calls_are_refused():
    for made in (layers.GlobalAveragePooling1D, layers.GlobalMaxPooling1D):
        with pytest.raises(ValueError, match=r"needs inputs of shape \(batch, steps, features\)"):
            made()(hotloop.Input((3,)))
        with pytest.raises(ValueError, match="data_format must be 'channels_last'"):
            made("channels")
        layer = made("channels_first", True, name="pool")
        assert made.from_config(layer.get_config()).get_config() == layer.get_config()
