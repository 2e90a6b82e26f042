"""Lambda: NumPy functions as layers."""

from __future__ import annotations

import numpy as np
import pytest

import hotloop
from hotloop.layers import Dense, Input, Lambda


def model_of(layer, features=4):
    return hotloop.Sequential([Input((features,)), Dense(5), layer, Dense(2)])


def test_by_hand(backend):
    x = np.array([[1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(Lambda(lambda x: x[:, :2] * 3)(x), [[3.0, 6.0]])
    np.testing.assert_array_equal(Lambda(lambda x, k: x + k, arguments={"k": 1})(x), x + 1)


def test_shapes_are_found_or_given():
    assert Lambda(lambda x: x[:, :2])(Input((3,))).shape == (None, 2)
    assert Lambda(lambda x: x.sum(axis=-1))(Input((4, 3))).shape == (None, 4)
    assert Lambda(lambda x: x.sum(axis=1))(Input((3,))).shape == (None,)
    for given in ((6,), [6], 6, (None, 6), lambda shape: (shape[1] * 2,)):
        assert Lambda(lambda x: x / 0, output_shape=given)(Input((3,))).shape == (None, 6)


def test_what_is_given_is_the_batch_and_cannot_be_written(backend):
    seen = []

    def look(x):
        seen.append((x.shape, x.dtype, x.flags.writeable))
        return x

    model = hotloop.Sequential([Input((2, 3)), Lambda(look, output_shape=(2, 3))])
    x = np.arange(30.0).reshape(5, 2, 3)
    np.testing.assert_array_equal(model.predict(x, batch_size=3, verbose=0), x)
    assert seen == [((3, 2, 3), np.float32, False), ((2, 2, 3), np.float32, False)]


def test_an_array_outlives_its_model(backend):
    kept = []

    def keep(x):
        kept.append(x)
        return x

    model = hotloop.Sequential([Input((3,)), Lambda(keep, output_shape=(3,))])
    model.predict(np.ones((2, 3)), verbose=0)
    del model
    np.testing.assert_array_equal(kept[0], np.ones((2, 3)))


def test_several_inputs(backend):
    a, b = Input((3,)), Input((2,))

    def joined(inputs):
        return np.concatenate(inputs, axis=1) * 2

    def parted(inputs, dy):
        return [2 * dy[:, :3], 2 * dy[:, 3:]]

    def trained(layer):
        hotloop.utils.set_random_seed(2)
        hidden = layer([Dense(3)(a), Dense(2)(b)])
        model = hotloop.Model([a, b], Dense(1)(hidden))
        model.compile("adam", "mse")
        rng = np.random.default_rng(0)
        x, z, y = (rng.normal(size=(20, n)) for n in (3, 2, 1))
        model.fit([x, z], y, epochs=3, verbose=0)
        return model.get_weights()

    def truth(values):
        return hotloop.layers.Rescaling(2.0)(hotloop.layers.Concatenate()(values))

    for ours, theirs in zip(trained(Lambda(joined, gradient=parted)), trained(truth), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_by_finite_differences(backend, dtype):
    """The update of plain SGD is the gradient: it is what central differences say."""
    hotloop.utils.set_random_seed(1)
    layer = Lambda(np.sin, gradient=lambda x, dy: dy * np.cos(x), dtype=dtype)
    dense = Dense(3, dtype=dtype)
    model = hotloop.Sequential([Input((4,), dtype=dtype), dense, layer])
    model.compile(hotloop.optimizers.SGD(1.0), "mse")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 3))
    w, b = dense.get_weights()
    wide = [v.astype(np.float64) for v in (w, b)]

    def loss(w):
        return np.mean((np.sin(x @ w + wide[1]) - y) ** 2)

    gradient = np.empty((4, 3))
    for i, j in np.ndindex(4, 3):
        step = np.zeros((4, 3))
        step[i, j] = 1e-5
        gradient[i, j] = (loss(wide[0] + step) - loss(wide[0] - step)) / 2e-5
    model.fit(x, y, 6, shuffle=False, verbose=0)
    tolerance = 1e-5 if dtype == "float32" else 1e-8
    np.testing.assert_allclose(w - dense.get_weights()[0], gradient, atol=tolerance)


def test_without_a_gradient(backend):
    x, y = np.ones((6, 4)), np.ones((6, 2))
    model = model_of(Lambda(np.tanh, name="squash"))
    model.compile("sgd", "mse")
    assert model.predict(x, verbose=0).shape == (6, 2)
    assert np.isfinite(model.evaluate(x, y, verbose=0))
    with pytest.raises(ValueError, match=r"Lambda 'squash' has no gradient.*pass gradient="):
        model.fit(x, y, verbose=0)
    model.layers[0].trainable = False  # nothing in front of it is trained now
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    assert (model.get_weights()[2] != before[2]).any()


def test_behind_the_inputs_it_needs_no_gradient(backend):
    model = hotloop.Sequential([Input((4,)), Lambda(lambda x: x**2), Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((6, 4)), np.ones((6, 1)), verbose=0)


def test_as_keras_has_it():
    keras = pytest.importorskip("keras")
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    arguments = {"factor": 3.0}
    ours = Lambda(lambda x, factor: x[:, 1:] * factor, (3,), arguments=arguments)
    theirs = keras.layers.Lambda(lambda x, factor: x[:, 1:] * factor, (3,), arguments=arguments)
    np.testing.assert_allclose(ours(x), np.asarray(theirs(x)))
    config = {"name", "trainable", "dtype", "function", "output_shape", "arguments"}
    assert config <= set(ours.get_config())
    assert config - {"dtype"} <= set(theirs.get_config())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"function": 3}, TypeError, "function must be a function, not 3"),
        ({"function": None}, TypeError, "function must be a function, not None"),
        ({"function": abs, "gradient": 3}, TypeError, "gradient must be a function, not 3"),
        ({"function": abs, "output_shape": (0,)}, ValueError, "output_shape must hold whole"),
        ({"function": lambda x: 1 / 0}, ValueError, "failed on two examples of ones"),
        ({"function": np.sum}, ValueError, r"returned the shape \(\) for two examples"),
    ],
)
def test_what_is_refused(options, error, words):
    with pytest.raises(error, match=words):
        Lambda(**options)(Input((3,)))


def test_what_returns_another_shape(backend):
    x, y = np.ones((6, 4)), np.ones((6, 2))
    model = model_of(Lambda(lambda x: x[:, :3], output_shape=(5,)))
    with pytest.raises(ValueError, match=r"its function must return .*\(6, 5\), not \(6, 3\)"):
        model.predict(x, verbose=0)
    model = model_of(Lambda(np.tanh, gradient=lambda x, dy: dy[:, :3]))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"its gradient must return .*\(6, 5\), not \(6, 3\)"):
        model.fit(x, y, verbose=0)


def test_a_model_with_it_is_copied_and_not_written(tmp_path):
    layer = Lambda(np.tanh, gradient=lambda x, dy: dy)
    model = model_of(layer)
    copy = hotloop.models.clone_model(model)
    copy.set_weights(model.get_weights())
    x = np.random.default_rng(0).normal(size=(5, 4))
    np.testing.assert_array_equal(copy.predict(x, verbose=0), model.predict(x, verbose=0))
    for write in (lambda: model.save(tmp_path / "m.hotloop"), model.to_json):
        with pytest.raises(ValueError, match=r"Lambda .*: function: .*cannot be written down"):
            write()
    for found in ("tanh", None, {"class_name": "function", "config": {}}):
        with pytest.raises(ValueError, match="'mine' cannot be made from a file"):
            Lambda.from_config({"name": "mine", "function": found})
