"""What layers do besides their outputs: losses that they add, variables that they assign."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import Variable

from .test_calls import A, Y, libraries, on_each, same, trained


@on_each
def test_activity_regularizers_are_those_of_keras(backend: str) -> None:
    def build(lib: Any) -> Any:
        x = lib.Input((4,))
        h = lib.layers.Dense(5, "tanh", activity_regularizer=lib.regularizers.L1L2(0.1, 0.2))(x)
        return lib.Model(x, lib.layers.Dense(3, kernel_regularizer="l2")(h))

    same(build, A)


def adding(lib: Any) -> Any:
    class Adding(lib.layers.Layer):
        def build(self, shape: Any) -> None:
            self.w = self.add_weight(shape=(shape[-1], 3), name="w")

        def call(self, x: Any, training: Any = None) -> Any:
            y = x @ self.w
            self.add_loss(0.1 * abs(y))
            if training:
                self.add_loss([0.01 * y, 0.02 * y])
            return y

    return Adding


@on_each
def test_losses_that_a_call_adds(backend: str) -> None:
    same(lambda lib: lib.Sequential([lib.Input((4,)), adding(lib)()]), A)
    inner = adding(hotloop)()
    plain = trained(hotloop, hotloop.Sequential([hotloop.Input((4,)), inner]), A)
    x = hotloop.Input((4,))
    part = hotloop.Model(x, adding(hotloop)()(x))
    z = hotloop.Input((4,))
    for again in (hotloop.Model(z, part(z)), hotloop.models.clone_model(part)):
        for got, expected in zip(trained(hotloop, again, A), plain, strict=True):
            np.testing.assert_array_equal(got, expected)


def test_losses_of_a_call_on_arrays() -> None:
    ours, theirs = (adding(lib)() for lib in libraries())
    for layer in (ours, theirs):
        layer.build((None, 4))
        layer.set_weights([np.ones((4, 3), "float32")])
    for training in (False, True):
        ours(A, training=training)
        theirs._clear_losses()
        theirs(A, training=training)
        expected = sum(float(loss.sum()) for loss in theirs.losses)
        assert len(ours.losses) == len(theirs.losses)
        assert sum(ours.losses) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match=r"add_loss\(\) can only be called from inside"):
        ours.add_loss(1.0)


@on_each
def test_states_that_a_call_assigns(backend: str) -> None:
    class Level(hotloop.layers.Layer):
        def build(self, shape: Any) -> None:
            self.level = self.add_weight(
                shape=(4,), initializer="ones", trainable=False, name="level"
            )

        def call(self, x: Any, training: Any = None) -> Any:
            before = self.level.value
            if training:
                self.level.assign(before * 0.5)
                self.level.assign_sub(self.level * 0.5)
            return x * before

    x = hotloop.Input((4,))
    layer = Level()
    model = hotloop.Model(x, hotloop.layers.Dense(3)(layer(x)))
    model.compile("sgd", "mse")
    np.testing.assert_array_equal(layer.level.numpy(), 1.0)
    model.predict(A, verbose=0)
    model.evaluate(A, Y, verbose=0)
    np.testing.assert_array_equal(layer.level.numpy(), 1.0)
    model.fit(A, Y, batch_size=4, verbose=0)
    np.testing.assert_array_equal(layer.level.numpy(), 0.25**3)
    model(A, training=True)
    np.testing.assert_array_equal(layer.level.numpy(), 0.25**4)
    np.testing.assert_array_equal(layer(A, training=True), A * np.float32(0.25**4))
    np.testing.assert_array_equal(layer.level.numpy(), 0.25**5)
    layer(A)
    np.testing.assert_array_equal(layer.level.numpy(), 0.25**5)


@on_each
def test_a_state_of_a_layer_that_is_used_twice(backend: str) -> None:
    class Half(hotloop.layers.Layer):
        def build(self, shape: Any) -> None:
            self.level = self.add_weight(shape=(4,), initializer="ones", trainable=False)

        def call(self, x: Any) -> Any:
            self.level.assign(self.level * 0.5)
            return x

    x = hotloop.Input((4,))
    layer = Half()
    model = hotloop.Model(x, layer(layer(x)))
    model.predict(A, verbose=0)
    np.testing.assert_array_equal(layer.level.numpy(), 0.25)


def test_what_cannot_be_a_state() -> None:
    class Keeps(hotloop.layers.Layer):
        def build(self, shape: Any) -> None:
            self.last = self.add_weight(shape=(4,), trainable=False, name="last")

        def call(self, x: Any) -> Any:
            self.last.assign(x)
            return x

    with pytest.raises(ValueError, match=r"'keeps/last' has shape .* is of no example"):
        Keeps(name="keeps")(hotloop.Input((4,)))


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64", "uint8"])
def test_weights_of_every_dtype(dtype: str) -> None:
    layer = hotloop.layers.Layer()
    weight = layer.add_weight(shape=(2, 3), dtype=dtype, name="w", autocast=False)
    assert weight.dtype == ("int32" if dtype == "int64" else dtype)
    assert weight.trainable == (dtype == "float32")
    if dtype != "float32":
        np.testing.assert_array_equal(weight.numpy(), 0)
    assert layer.add_weight().shape == ()


def test_a_variable_counts_as_keras_s_does() -> None:
    keras = pytest.importorskip("keras")
    for make in (Variable, keras.Variable):
        v = make(np.array([[1.0, 2.0], [3.0, 4.0]], "float32"), name="v")
        v.assign_add(np.ones((2, 2), "float32"))
        v.assign_sub(2 * np.ones((2, 2), "float32"))
        found = [v + 1, 1 - v, v * v, 2 / (v + 3), v**2, v @ v, -v, abs(v), v // 2, v % 2, v[0]]
        found += [v > 1, v.value, v.numpy()]
        if make is Variable:
            expected = found
    for got, theirs in zip(expected, found, strict=True):
        theirs = theirs if isinstance(theirs, np.ndarray) else theirs.detach().numpy()
        np.testing.assert_allclose(got, theirs, rtol=1e-6)
    assert float(Variable(2.5)) == 2.5
    assert int(Variable(7)) == 7
    assert Variable("zeros", shape=(2,)).dtype == hotloop.config.floatx()
    assert Variable([1.0], dtype="float64").dtype == "float64"
    assert Variable([1.0], "named").name == Variable([1.0], name="named").name == "named"
    with pytest.raises(ValueError, match="needs a shape"):
        Variable("zeros")
