"""Layers called in every way that Keras knows: several inputs, nests, keywords, training or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hotloop

RNG = np.random.default_rng(3)
A, B = RNG.normal(size=(2, 12, 4)).astype("float32")
Y = RNG.normal(size=(12, 3)).astype("float32")

on_each = pytest.mark.parametrize("backend", ["numpy", "cython"], indirect=True)


def libraries() -> list[Any]:
    return [hotloop, pytest.importorskip("keras")]


def trained(lib: Any, model: Any, x: Any, y: Any = Y, epochs: int = 3) -> list[Any]:
    """Losses, predictions and weights of a model whose first weights are the same everywhere."""
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape).astype("float32") for w in model.get_weights()])
    model.compile(lib.optimizers.SGD(0.05), "mse")
    history = model.fit(x, y, batch_size=5, epochs=epochs, shuffle=False, verbose=0)
    found = [history.history["loss"], model.evaluate(x, y, batch_size=5, verbose=0)]
    return [*found, model.predict(x, verbose=0), *model.get_weights()]


def same(build: Any, x: Any) -> None:
    """That hotloop trains a model as Keras does."""
    ours, theirs = (trained(lib, build(lib), x) for lib in libraries())
    for got, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-5)


def pair(lib: Any) -> Any:
    """A class of layers of two inputs, with an option."""

    class Pair(lib.layers.Layer):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.left = lib.layers.Dense(3)
            self.right = lib.layers.Dense(3)

        def call(self, a: Any, b: Any = None, minus: bool = False) -> Any:
            right = self.right(b)
            return self.left(a) - right if minus else self.left(a) + right

    return Pair


@pytest.mark.parametrize(
    "call",
    [
        lambda layer, a, b: layer(a, b),
        lambda layer, a, b: layer(a, b=b),
        lambda layer, a, b: layer(a=a, b=b),
        lambda layer, a, b: layer(a, b=b, minus=True),
    ],
)
@on_each
def test_several_arguments(call: Any, backend: str) -> None:
    def build(lib: Any) -> Any:
        inputs = [lib.Input((4,)), lib.Input((4,))]
        return lib.Model(inputs, call(pair(lib)(), *inputs))

    same(build, [A, B])


def nested(lib: Any) -> Any:
    class Nested(lib.layers.Layer):
        def build(self, shape: Any) -> None:
            (first, _), _ = shape["deep"], shape["flat"]
            self.w = self.add_weight(shape=(first[-1], 3), initializer="ones", name="w")

        def call(self, x: Any) -> Any:
            a, b = x["deep"]
            return {"sum": (a + b + x["flat"]) @ self.w, "rest": [a]}

    return Nested


@on_each
def test_nests_of_values_come_as_they_are_given(backend: str) -> None:
    def build(lib: Any) -> Any:
        a, b = lib.Input((4,), name="a"), lib.Input((4,), name="b")
        made = nested(lib)()({"deep": (a, b), "flat": a})
        assert sorted(made) == ["rest", "sum"]
        assert made["rest"][0].shape == (None, 4)
        return lib.Model([a, b], made["sum"])

    same(build, [A, B])
    y = nested(hotloop)()({"deep": [A, B], "flat": A})
    np.testing.assert_allclose(y["sum"], np.repeat((A + B + A).sum(1, keepdims=True), 3, 1), 1e-5)
    np.testing.assert_array_equal(y["rest"][0], A)


def test_build_is_given_the_shapes_by_the_names_of_call() -> None:
    class Shapes(hotloop.layers.Layer):
        def build(self, query_shape: Any, value_shape: Any) -> None:
            self.seen = query_shape, value_shape

        def call(self, query: Any, value: Any) -> Any:
            return query

    for call in (lambda layer: layer(A, B[:, :2]), lambda layer: layer(value=B[:, :2], query=A)):
        layer = Shapes()
        call(layer)
        assert layer.seen == ((None, 4), (None, 2))

    class First(hotloop.layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.seen = input_shape

        def call(self, a: Any, b: Any) -> Any:
            return a

    layer = First()
    layer(A, b=B[:, :2])
    assert layer.seen == (None, 4)

    class Wrong(Shapes):
        def build(self, query_shape: Any, other_shape: Any) -> None:
            pass

    with pytest.raises(ValueError, match=r"build\(\) takes 'other_shape', but .*value_shape"):
        Wrong()(A, B)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda layer: layer(), TypeError, "called on nothing"),
        (lambda layer: layer(A, B, True, 1), TypeError, "cannot be given this"),
        (lambda layer: layer(A, c=B), TypeError, "unexpected keyword argument 'c'"),
        (lambda layer: layer(A, B[:3]), ValueError, "as many examples each, got 12 and 3"),
        (lambda layer: layer(A, b=B, training="yes"), TypeError, "must be True, False or None"),
    ],
)
def test_wrong_calls_are_told_what_call_takes(call: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        call(pair(hotloop)())


@on_each
def test_a_call_may_branch_on_training(backend: str) -> None:
    def build(lib: Any) -> Any:
        class Louder(lib.layers.Layer):
            def call(self, x: Any, training: Any = None) -> Any:
                return x * 2.0 if training else x

        class Net(lib.Model):
            def __init__(self) -> None:
                super().__init__()
                self.hidden, self.out = lib.layers.Dense(5, "tanh"), lib.layers.Dense(3)
                self.louder = Louder()

            def call(self, x: Any, training: bool = False) -> Any:
                h = self.louder(self.hidden(x))
                if training is True:
                    h = h - 0.5
                return self.out(h, training=training)

        net = Net()
        net(A)
        return net

    same(build, A)
    ours, theirs = map(build, libraries())
    theirs.set_weights(ours.get_weights())
    for training in (None, False, True):
        expected = theirs(A, training=training).detach().numpy()
        np.testing.assert_allclose(ours(A, training=training), expected, 1e-4, 1e-5)


def test_what_is_the_same_in_training_is_recorded_once() -> None:
    class Passing(hotloop.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.dense, self.drop = hotloop.layers.Dense(4), hotloop.layers.Dropout(0.5)

        def call(self, x: Any, training: Any = None) -> Any:
            return self.drop(self.dense(x), training=training)

    x = hotloop.Input((4,))
    y = Passing()(x)
    ops = [node.op.name for node in hotloop.graph.trace.topological([y])]
    assert ops == ["matmul", "add_bias", "dropout"]


def base(lib: Any) -> Any:
    """A model with all that differs in training."""
    x = lib.Input((4,))
    h = lib.layers.BatchNormalization(momentum=0.5)(lib.layers.Dense(4)(x))
    return lib.Model(x, lib.layers.Dropout(0.4)(h))


@pytest.mark.parametrize("trainable", [False, True])
@on_each
def test_a_base_predicts_in_training(trainable: bool, backend: str) -> None:
    """In a call; Keras's functional models forget it, as `fit` tells all of their layers."""

    def build(lib: Any) -> Any:
        class Net(lib.Model):
            def __init__(self) -> None:
                super().__init__()
                self.base, self.out = base(lib), lib.layers.Dense(3)
                self.base.trainable = trainable

            def call(self, x: Any) -> Any:
                return self.out(self.base(x, training=False))

        net = Net()
        net(A)
        return with_positive_weights(net)

    same(build, A)


@on_each
def test_a_model_made_of_a_base_that_predicts(backend: str) -> None:
    frozen = base(hotloop)
    frozen.trainable = False
    x = hotloop.Input((4,))
    h = frozen(x, training=False)
    model = hotloop.Model(x, hotloop.layers.Dense(3)(h))
    model.compile("sgd", "mse")
    before = frozen.get_weights()
    loss = model.evaluate(A, Y, verbose=0)
    assert model.train_on_batch(A, Y) == pytest.approx(loss)
    for got, expected in zip(frozen.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, expected)


def with_positive_weights(model: Any) -> Any:
    """The same model, whose set_weights makes what it is given small and positive."""
    set_weights = model.set_weights
    object.__setattr__(
        model, "set_weights", lambda given: set_weights([0.3 * np.abs(w) for w in given])
    )
    return model


@on_each
def test_a_model_called_in_training_normalizes_by_the_batch(backend: str) -> None:
    def build(lib: Any) -> Any:
        x = lib.Input((4,))
        return lib.Model(x, lib.layers.BatchNormalization(momentum=0.5)(x))

    ours, theirs = map(build, libraries())
    np.testing.assert_allclose(ours(A), theirs(A).detach().numpy(), 1e-5, 1e-6)
    for _ in range(2):
        np.testing.assert_allclose(
            ours(A, training=True), theirs(A, training=True).detach().numpy(), 1e-4, 1e-5
        )
        for got, expected in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(got, expected, 1e-4, 1e-5)
    layer = hotloop.layers.BatchNormalization(momentum=0.5)
    np.testing.assert_allclose(layer(A, training=True).mean(0), np.zeros(4), atol=1e-6)
    np.testing.assert_allclose(layer.get_weights()[2], 0.5 * A.mean(0), 1e-4, 1e-6)


@on_each
def test_monte_carlo_dropout(backend: str) -> None:
    ones = np.ones((200, 4), "float32")
    x = hotloop.Input((4,))
    always = hotloop.Model(x, hotloop.layers.Dropout(0.5, seed=1)(x, training=True))
    plain = hotloop.Model(x, hotloop.layers.Dropout(0.5, seed=1)(x))
    for draw in (
        lambda: always.predict(ones, verbose=0),
        lambda: always(ones),
        lambda: plain(ones, training=True),
    ):
        first, second = draw(), draw()
        assert (first != second).any()
        for found in (first, second):
            assert set(np.unique(found)) == {0.0, 2.0}
            assert 0.4 < (found > 0).mean() < 0.6
    np.testing.assert_array_equal(plain.predict(ones, verbose=0), ones)
    layer = hotloop.layers.Dropout(0.5, seed=1)
    assert (layer(ones, training=True) != layer(ones, training=True)).any()
    np.testing.assert_array_equal(layer(ones), ones)
    # The nearest argument decides: noise that is always there stays where a model predicts.
    z = hotloop.Input((4,))
    outer = hotloop.Model(z, always(z, training=False))
    assert (outer.predict(ones, verbose=0) != ones).any()
    np.testing.assert_array_equal(
        hotloop.Model(z, plain(z, training=False)).predict(ones, verbose=0), ones
    )
    assert (hotloop.Model(z, plain(z, training=True)).predict(ones, verbose=0) != ones).any()


def test_draws_of_two_models_with_one_seed_are_the_same_on_every_backend() -> None:
    def draws(name: str) -> list[Any]:
        before = hotloop.config.backend()
        hotloop.config.set_backend(name)
        x = hotloop.Input((4,))
        model = hotloop.Model(x, hotloop.layers.Dropout(0.5, seed=7)(x, training=True))
        found = [model.predict(A, batch_size=5, verbose=0) for _ in range(2)]
        hotloop.config.set_backend(before)
        return found

    np.testing.assert_array_equal(draws("numpy"), draws("numpy"))
    if hotloop.backends.available("cython"):
        np.testing.assert_array_equal(draws("numpy"), draws("cython"))


def test_a_structure_tells_how_layers_were_called() -> None:
    x, z = hotloop.Input((4,), name="x"), hotloop.Input((4,), name="z")
    h = pair(hotloop)(name="pair")(x, b=z, minus=True)
    y = hotloop.layers.Dropout(0.5, seed=1)(h, training=True)
    model = hotloop.Model([x, z], y)
    copied = hotloop.models.clone_model(model)
    copied.set_weights(model.get_weights())
    np.testing.assert_array_equal(
        model.predict([A, B], verbose=0), copied.predict([A, B], verbose=0)
    )


def test_files_of_keras_tell_how_layers_were_called(tmp_path: Any) -> None:
    keras = pytest.importorskip("keras")
    x = hotloop.Input((4,), name="x")
    h = hotloop.layers.BatchNormalization(name="bn")(x, training=False)
    y = hotloop.layers.Add(name="sum")([h, hotloop.layers.Dropout(0.5, name="d")(h, training=True)])
    model = hotloop.Model(x, y)
    model.save(tmp_path / "m.keras")
    theirs = keras.models.load_model(tmp_path / "m.keras")
    calls = {
        layer["name"]: layer["inbound_nodes"][0]["kwargs"]
        for layer in theirs.get_config()["layers"]
        if layer["inbound_nodes"]
    }
    assert calls["bn"]["training"] is False
    assert calls["d"]["training"] is True
    again = hotloop.models.load_model(tmp_path / "m.keras")
    assert (again.predict(A, verbose=0) != again.predict(A, verbose=0)).any()
    theirs.save(tmp_path / "theirs.keras")
    again = hotloop.models.load_model(tmp_path / "theirs.keras")
    assert (again.predict(A, verbose=0) != again.predict(A, verbose=0)).any()


def test_output_shapes_without_weights() -> None:
    layer = pair(hotloop)()
    assert hotloop.layers.Dense(3).compute_output_shape((None, 5, 2)) == (None, 5, 3)
    assert layer.compute_output_shape((None, 4), (None, 7)) == (None, 3)
    assert not layer.built
    assert layer.compute_output_spec(hotloop.Input((4,)), hotloop.Input((2,))).shape == (None, 3)
    assert not layer.built
    shapes = nested(hotloop)().compute_output_shape({"deep": [(None, 4)] * 2, "flat": (None, 4)})
    assert shapes == {"sum": (None, 3), "rest": [(None, 4)]}
