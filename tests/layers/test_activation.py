"""Activation layers with options."""

import numpy as np
import pytest

import hotloop
from hotloop import layers

X = np.array([[-3.0, -0.5, 0.0, 0.5, 3.0, np.inf]], "float32")


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.ReLU(), [0, 0, 0, 0.5, 3, np.inf]),
        (layers.ReLU(max_value=1.0), [0, 0, 0, 0.5, 1, 1]),
        (layers.ReLU(max_value=0.0), [0, 0, 0, 0, 0, 0]),
        (layers.ReLU(negative_slope=0.5), [-1.5, -0.25, 0, 0.5, 3, np.inf]),
        (layers.ReLU(1.0, 0.5), [-1.5, -0.25, 0, 0.5, 1, 1]),
        (layers.LeakyReLU(), [-0.9, -0.15, 0, 0.5, 3, np.inf]),
        (layers.LeakyReLU(0.0), [0, 0, 0, 0.5, 3, np.inf]),
        (layers.ELU(2.0), [2 * np.expm1(-3), 2 * np.expm1(-0.5), 0, 0.5, 3, np.inf]),
    ],
)
def test_values(layer, expected):
    np.testing.assert_allclose(layer(X), [expected], rtol=1e-6)


def test_softmax_of_the_last_axis():
    x = np.random.default_rng(0).normal(size=(3, 4, 5))
    expected = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
    for axis in (-1, 2):
        np.testing.assert_allclose(layers.Softmax(axis)(x), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="works over the last axis"):
        layers.Softmax(1)(x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.ReLU(max_value=-1.0), "max_value must be at least 0"),
        (lambda: layers.ReLU(negative_slope=-1.0), "negative_slope must be at least 0"),
        (lambda: layers.ReLU(threshold=1.0), "threshold must be 0"),
        (lambda: layers.LeakyReLU(-0.1), "negative_slope must be at least 0"),
        (lambda: layers.ELU(0.0), "alpha must be above 0"),
        (lambda: layers.Rescaling(np.nan), "scale must be a finite number"),
        (lambda: layers.Rescaling("a"), "scale must be a finite number"),
        (lambda: layers.Rescaling(1.0, np.inf), "offset must be a finite number"),
        (lambda: layers.RepeatVector(0), "n must be a whole number of at least 1"),
        (lambda: layers.RepeatVector(2)(np.ones((2, 3, 4))), r"\(batch, features\)"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("scale", [1 / 255, -2.0, 0.0])
def test_rescaling(scale):
    x = np.random.default_rng(0).integers(0, 256, (5, 3, 7), dtype=np.uint8)
    np.testing.assert_allclose(
        layers.Rescaling(scale, 0.5)(x), (x * scale + 0.5).astype("float32"), rtol=1e-6
    )


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 33])
def test_a_vector_is_repeated(n):
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    np.testing.assert_array_equal(layers.RepeatVector(n)(x), np.repeat(x[:, np.newaxis], n, axis=1))


@pytest.mark.parametrize(
    "layer",
    [
        layers.ReLU(3.0, 0.1),
        layers.LeakyReLU(0.2),
        layers.ELU(0.5),
        layers.Softmax(),
        layers.Rescaling(0.5, 1.0),
        layers.RepeatVector(3),
    ],
)
def test_configurations_make_the_same_layer(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_the_new_layers_are_no_steps_of_python():
    x = hotloop.Input((6,))
    y = layers.Rescaling(0.5)(x)
    y = layers.ReLU(max_value=6.0)(layers.Dense(8)(y))
    y = layers.LeakyReLU()(layers.ELU()(y))
    y = layers.Flatten()(layers.RepeatVector(2)(y))
    y = layers.Softmax()(layers.Dense(3)(layers.Add()([y, y])))
    model = hotloop.Model(x, y)
    model.compile("adam", "categorical_crossentropy")
    data = np.random.default_rng(0).normal(size=(64, 6))
    profile = model.profile(data, np.eye(3)[np.arange(64) % 3])
    served = {row.backend for row in profile.rows}
    assert served == {"cython"} or hotloop.config.backend() != "cython"
