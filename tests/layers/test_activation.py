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


@pytest.mark.parametrize(
    ("shared", "alpha"),
    [(None, (3, 2, 4)), (1, (1, 2, 4)), ([1, 2], (1, 1, 4)), ([2, 1, 3], (1, 1, 1))],
)
def test_prelu_and_what_its_slopes_are_shared_over(backend, shared, alpha):
    rng = np.random.default_rng(2)
    x, slopes = rng.normal(size=(5, 3, 2, 4)), rng.normal(size=alpha)
    layer = layers.PReLU(shared_axes=shared)
    layer(x)
    assert [w.shape for w in layer.weights] == [alpha]
    layer.set_weights([slopes])
    np.testing.assert_allclose(layer(x), np.where(x > 0, x, slopes * x), rtol=1e-6)


def test_the_state_of_prelu_is_the_same_on_every_backend():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(20, 3, 5)), rng.normal(size=(20, 3, 5))
    before, found = hotloop.config.backend(), []
    for name, state in hotloop.backends.availability().items():
        if state == "available":
            hotloop.config.set_backend(name)
            model = hotloop.Sequential([layers.Input((3, 5)), layers.PReLU("ones", "l1")])
            model.compile("adam", "mse")
            model.fit(x, y, 8, epochs=2, shuffle=False, verbose=0)
            found.append([*model.get_weights(), *(v.numpy() for v in model.optimizer.variables)])
            assert all(array.shape == (3, 5) for array in found[-1])
    hotloop.config.set_backend(before)
    for other in found:
        for one, another in zip(found[0], other, strict=True):
            np.testing.assert_allclose(one, another, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shared", [[2], [1, 3], [0], [-1], [1, 1], [1, 2, 3, 4]])
def test_slopes_that_cannot_be_shared(shared):
    with pytest.raises(ValueError, match=r"PReLU.*shared_axes must be the first axes"):
        layers.PReLU(shared_axes=shared)(np.ones((2, 3, 4, 5)))


def test_inputs_that_prelu_was_not_built_for():
    layer = layers.PReLU(shared_axes=1)
    layer(np.ones((2, 3, 4)))
    assert layer(np.ones((2, 7, 4))).shape == (2, 7, 4)
    for shape in ((2, 3, 5), (2, 4)):
        with pytest.raises(ValueError, match=r"an alpha of shape \(1, 4\) but got an input"):
            layer(np.ones(shape))
    with pytest.raises(ValueError, match=r"needs inputs of shape \(batch, features\)"):
        layers.PReLU()(np.ones(3))
    with pytest.raises(ValueError, match="Unknown constraint 'x'"):
        layers.PReLU(alpha_constraint="x")


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
        (lambda: layers.ReLU(threshold=-1.0), "threshold must be at least 0"),
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
        layers.PReLU("ones", "l2", "max_norm", [1]),
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


@pytest.mark.parametrize("backend", ["cython", "numba", "numpy"], indirect=True)
@pytest.mark.parametrize(("name", "each"), [("softmax", 1), ("log_softmax", 0), ("sparsemax", 1)])
def test_a_number_alone_is_a_row_of_one(backend, name, each):
    x = hotloop.Input(())
    model = hotloop.Model(x, layers.Activation(name)(x))
    assert model.predict(np.array([3.0, -1.0, 0.5]), verbose=0).tolist() == [each] * 3
