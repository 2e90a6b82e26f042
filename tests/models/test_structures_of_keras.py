"""Models in every structure of Keras: nests, inner values, outputs without a loss, clones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hotloop

RNG = np.random.default_rng(1)
A, B = RNG.normal(size=(2, 10, 4)).astype("float32")
Y, Z = RNG.normal(size=(10, 3)).astype("float32"), RNG.normal(size=(10, 2)).astype("float32")

on_each = pytest.mark.parametrize("backend", ["numpy", "cython"], indirect=True)


def libraries() -> list[Any]:
    return [hotloop, pytest.importorskip("keras")]


def two_headed(lib: Any, form: Any) -> Any:
    """A model of one input and the outputs a and b in a form."""
    x = lib.Input(batch_shape=(None, 4), name="x")
    h = lib.layers.Dense(5, "tanh", name="h")(x)
    return lib.Model(x, form(lib.layers.Dense(3, name="a")(h), lib.layers.Dense(2, name="b")(h)))


def set_weights(model: Any) -> None:
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape).astype("float32") for w in model.get_weights()])


FORMS = {
    "list": (lambda a, b: [a, b], ["mse", "mae"], [Y, Z]),
    "dict": (lambda a, b: {"a": a, "b": b}, {"a": "mse", "b": "mae"}, {"a": Y, "b": Z}),
    "a loss left out": (lambda a, b: {"a": a, "b": b}, {"a": "mse"}, {"a": Y, "b": Z}),
    "a loss of None": (lambda a, b: [a, b], ["mse", None], [Y, Z]),
}


@pytest.mark.parametrize("name", FORMS)
@on_each
def test_outputs_in_every_form_train_as_in_keras(name: str, backend: str) -> None:
    form, loss, y = FORMS[name]
    found = []
    for lib in libraries():
        model = two_headed(lib, form)
        set_weights(model)
        model.compile(lib.optimizers.SGD(0.05), loss)
        history = model.fit(A, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        found.append([history.history["loss"], *model.get_weights()])
    for got, expected in zip(*found, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_what_has_no_loss_needs_no_target() -> None:
    for form, loss, y in (
        (lambda a, b: {"a": a, "b": b}, {"a": "mse"}, {"a": Y}),
        (lambda a, b: [a, b], ["mse", None], [Y, None]),
    ):
        model = two_headed(hotloop, form)
        model.compile("sgd", loss, metrics=None)
        assert len(model.fit(A, y, verbose=0).history["loss"]) == 1
    model = two_headed(hotloop, lambda a, b: {"a": a, "b": b})
    model.compile("sgd", {"a": "mse", "b": "mse"})
    with pytest.raises(ValueError, match="y has no entry for b"):
        model.fit(A, {"a": Y}, verbose=0)


@on_each
def test_nested_inputs_and_outputs(backend: str) -> None:
    def build(lib: Any) -> Any:
        a, b = lib.Input((4,), name="a"), lib.Input((4,), name="b")
        y = lib.layers.Dense(3, name="y")(a)
        z = lib.layers.Dense(2, name="z")(lib.layers.Add()([a, b]))
        return lib.Model({"deep": [a, {"b": b}]}, {"first": [y, {"z": z}]})

    x, targets = {"deep": [A, {"b": B}]}, {"first": [Y, {"z": Z}]}
    found = []
    for lib in libraries():
        model = build(lib)
        set_weights(model)
        model.compile(lib.optimizers.SGD(0.05), {"first": ["mse", {"z": "mae"}]})
        history = model.fit(x, targets, batch_size=4, shuffle=False, verbose=0)
        made = model.predict(x, verbose=0)
        found.append([history.history["loss"], made["first"][0], made["first"][1]["z"]])
    for got, expected in zip(*found, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    model = build(hotloop)
    copied = hotloop.models.clone_model(model)
    copied.set_weights(model.get_weights())
    np.testing.assert_array_equal(copied(x)["first"][1]["z"], model(x)["first"][1]["z"])


@on_each
def test_a_model_from_inner_values(backend: str) -> None:
    def halves(lib: Any) -> Any:
        model = two_headed(lib, lambda a, b: a)
        set_weights(model)
        h = model.get_layer("h").output
        return lib.Model(model.input, h), lib.Model(h, model.output), model

    for lib in libraries():
        front, back, whole = halves(lib)
        hidden = front.predict(A, verbose=0)
        np.testing.assert_allclose(
            back.predict(hidden, verbose=0), whole.predict(A, verbose=0), rtol=1e-6, atol=1e-6
        )
    front, back, whole = halves(hotloop)
    back.compile("sgd", "mse")
    before = whole.predict(A, verbose=0)
    back.fit(front.predict(A, verbose=0), Y, verbose=0)
    assert (whole.predict(A, verbose=0) != before).any()  # the layers are shared
    assert [layer.name for layer in back.layers][1:] == ["a"]
    assert hotloop.models.clone_model(back).count_params() == back.count_params()


def test_a_subclass_that_builds_itself_from_inputs_and_outputs() -> None:
    class Own(hotloop.Model):
        def __init__(self, units: int) -> None:
            x = hotloop.Input((4,))
            super().__init__(inputs=x, outputs=hotloop.layers.Dense(units)(x))
            self.units = units

    model = Own(3)
    model.compile("sgd", "mse")
    model.fit(A, Y, verbose=0)
    assert model.predict(A, verbose=0).shape == (10, 3)
    assert model.units == 3


def test_inputs_as_keras_has_them() -> None:
    assert hotloop.Input(batch_shape=(32, 4)).shape == (None, 4)
    like = hotloop.Input((2, 3))
    assert hotloop.Input(tensor=like).shape == (None, 2, 3)
    with pytest.raises(ValueError, match="not both"):
        hotloop.Input((4,), batch_shape=(None, 4))
    with pytest.raises(ValueError, match="sparse=True is not supported"):
        hotloop.Input((4,), sparse=True)


def test_clones_are_compiled_and_have_states_of_their_own() -> None:
    model = two_headed(hotloop, lambda a, b: a)
    metric = hotloop.metrics.MeanAbsoluteError()
    model.compile(hotloop.optimizers.Adam(0.01), "mse", metrics=[metric])
    model.fit(A, Y, verbose=0)
    copied = hotloop.models.clone_model(model)
    assert copied.compiled
    assert copied.optimizer is not model.optimizer
    assert copied.optimizer.learning_rate == pytest.approx(0.01)
    assert copied.optimizer.iterations == 0
    history = copied.fit(A, Y, verbose=0).history
    assert set(history) == {"loss", "mean_absolute_error"}
    assert copied.metrics[0] is not metric


def test_clones_by_functions_of_ones_own() -> None:
    for lib in libraries():
        model = two_headed(lib, lambda a, b: a)

        def call(layer: Any, *args: Any, lib: Any = lib, **kwargs: Any) -> Any:
            y = layer(*args, **kwargs)
            return lib.layers.Dropout(0.5)(y) if layer.name == "h" else y

        copied = lib.models.clone_model(model, call_function=call)
        kinds = [type(layer).__name__ for layer in copied.layers]
        assert kinds == ["InputLayer", "Dense", "Dropout", "Dense"]

        x = lib.Input((4,))
        outer = lib.Model(x, model(x))
        seen: list[str] = []

        def clone(layer: Any, seen: Any = seen) -> Any:
            seen.append(layer.name)
            return type(layer).from_config(layer.get_config())

        lib.models.clone_model(outer, clone_function=clone, recursive=True)
        assert {"h", "a"} <= set(seen)
    with pytest.raises(ValueError, match="call_function"):
        hotloop.models.clone_model(
            hotloop.Sequential([hotloop.layers.Dense(1, input_dim=2)]), call_function=call
        )


def test_a_model_without_a_loss_and_without_layers_that_add_one() -> None:
    model = two_headed(hotloop, lambda a, b: a)
    model.compile("sgd")
    with pytest.raises(ValueError, match="compiled without a loss"):
        model.fit(A, Y, verbose=0)
