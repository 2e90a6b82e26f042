"""Sequential: how the input shape becomes known, adding, removing, nesting."""

from __future__ import annotations

import numpy as np
import pytest

import hotloop
from hotloop.layers import Dense, Dropout, Flatten, Input, Reshape

X = np.arange(12.0).reshape(3, 4)


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [Input((4,)), Dense(2)],
        lambda: [Input(shape=(4,)), Dense(2)],
        lambda: [hotloop.Input((4,)), Dense(2)],
        lambda: [hotloop.layers.InputLayer((4,)), Dense(2)],
        lambda: [Dense(2, input_shape=(4,))],
        lambda: [Dense(2, input_shape=4)],
        lambda: [Dense(2, input_dim=4)],
        lambda: [Dropout(0.5, input_shape=(4,)), Dense(2)],
        lambda: [hotloop.Sequential([Dense(2, input_dim=4)])],
    ],
)
def test_the_input_shape_is_given(layers):
    model = hotloop.Sequential(layers())
    assert model.built
    assert model.input_shape == (None, 4)
    assert model.output_shape == (None, 2)
    assert [w.shape for w in model.get_weights()] == [(4, 2), (2,)]
    assert model.predict(X, verbose=0).shape == (3, 2)


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.predict(X, verbose=0),
        lambda model: model(X),
        lambda model: model.build((None, 4)),
        lambda model: model.fit(X, X[:, :2], verbose=0),
        lambda model: model.evaluate(X, X[:, :2], verbose=0),
        lambda model: model(Input((4,))),
    ],
)
def test_the_input_shape_is_found(use):
    model = hotloop.Sequential([Dense(3, "relu"), Dense(2)])
    model.compile("sgd", "mse")
    assert not model.built
    assert model.weights == []
    use(model)
    assert model.built
    assert model.input_shape == (None, 4)
    assert model.count_params() == 4 * 3 + 3 + 3 * 2 + 2


METHODS = {
    "get_weights": (),
    "set_weights": ([],),
    "count_params": (),
    "save_weights": ("weights.safetensors",),
    "load_weights": ("weights.safetensors",),
}


@pytest.mark.parametrize("method", METHODS)
def test_before_the_input_shape_is_known(method):
    model = hotloop.Sequential([Dense(2)])
    with pytest.raises(ValueError, match=r"Sequential 'sequential.*(input shape|on data)"):
        getattr(model, method)(*METHODS[method])


def test_add_is_the_same_as_a_list():
    model = hotloop.Sequential(name="chain")
    model.add(hotloop.Input(shape=(2, 2)))
    assert not model.built
    model.add(Flatten())
    model.add(Dense(3, name="last"))
    assert model.name == "chain"
    assert [layer.name for layer in model.layers][1:] == ["last"]
    assert len(model.layers) == 2  # as in Keras, the input is no layer of a Sequential
    assert model.output_shape == (None, 3)


def test_adding_after_training_goes_on_from_there():
    model = hotloop.Sequential([Dense(2, input_dim=4)])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :2], verbose=0)
    first = model.predict(X, verbose=0)
    model.add(Reshape((2, 1)))
    np.testing.assert_array_equal(model.predict(X, verbose=0)[..., 0], first)


def test_pop():
    model = hotloop.Sequential([Dense(3, input_dim=4, name="a"), Dense(2, name="b")])
    hidden = model.layers[0]
    expected = hidden(X)
    assert model.pop().name == "b"
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-6)
    model.add(Dense(5))
    assert model.output_shape == (None, 5)
    model.pop()
    model.pop()
    assert not model.built
    with pytest.raises(ValueError, match="has no layers"):
        model.pop()
    model.add(Dense(1))
    assert model.output_shape == (None, 1)


def test_pop_after_the_layer_was_used_elsewhere():
    model = hotloop.Sequential([Dense(3, input_dim=4), Dense(2)])
    model.layers[0](Input((4,)))
    model.pop()
    assert model.predict(X, verbose=0).shape == (3, 3)


def test_one_model_inside_another():
    inner = hotloop.Sequential([Dense(3, "tanh", input_dim=4), Dense(2)], name="inner")
    outer = hotloop.Sequential([inner, Dense(1)])
    assert next(layer.name for layer in outer.layers) == "inner"
    assert outer.count_params() == inner.count_params() + 3
    np.testing.assert_allclose(
        outer.predict(X, verbose=0), outer.layers[1](inner.predict(X, verbose=0)), rtol=1e-5
    )
    before = inner.get_weights()
    outer.compile("sgd", "mse")
    outer.fit(X, X[:, 0], verbose=0)
    assert not np.array_equal(inner.get_weights()[0], before[0])
    inner.trainable = False
    before = inner.get_weights()
    outer.fit(X, X[:, 0], verbose=0)
    assert np.array_equal(inner.get_weights()[0], before[0])


def test_a_model_without_input_shape_inside_another():
    inner = hotloop.Sequential([Dense(3), Dense(2)])
    outer = hotloop.Sequential([Dense(5, input_dim=4), inner])
    assert inner.built
    assert inner.input_shape == (None, 5)
    assert outer.output_shape == (None, 2)
    assert inner.predict(np.ones((1, 5)), verbose=0).shape == (1, 2)


def test_a_model_inside_another_checks_its_input():
    inner = hotloop.Sequential([Dense(2, input_dim=3)], name="inner")
    with pytest.raises(ValueError, match=r"'inner' expects an input of shape \(None, 3\)"):
        hotloop.Sequential([Dense(5, input_dim=4), inner])


@pytest.mark.parametrize(
    ("layers", "error", "words"),
    [
        (lambda: [Dense], TypeError, r"takes a layer.*did you mean Dense\(\)"),
        (lambda: ["relu"], TypeError, "takes a layer, not str"),
        (lambda: [None], TypeError, "takes a layer, not NoneType"),
        (lambda: [Dense(1, name="a"), Dense(1, name="a")], ValueError, "already has.*'a'"),
        (lambda: [Dense(1), Input((4,))], ValueError, "Input must come first"),
        (lambda: [Input((4,)), Input((4,))], ValueError, "Input already"),
        (lambda: [Input((4,)), Reshape((3, -1))], ValueError, "Reshape.*4 elements"),
    ],
)
def test_what_cannot_be_added(layers, error, words):
    with pytest.raises(error, match=words):
        hotloop.Sequential(layers())


def test_a_layer_that_does_not_fit_is_not_added():
    model = hotloop.Sequential([Dense(4, input_dim=4)])
    with pytest.raises(ValueError, match="Reshape"):
        model.add(Reshape((3,)))
    assert len(model.layers) == 1
    model.add(Dense(2))
    assert model.predict(X, verbose=0).shape == (3, 2)


def test_build_checks_the_shape():
    with pytest.raises(ValueError, match=r"Dense .* needs inputs of shape .*, got \(None, None\)"):
        hotloop.Sequential([Dense(1)]).build((None, None))
    with pytest.raises(ValueError, match="has no layers"):
        hotloop.Sequential().build((None, 2))


def test_a_model_of_reshapes_alone():
    model = hotloop.Sequential([Flatten(input_shape=(2, 2))])
    np.testing.assert_array_equal(model.predict(X.reshape(3, 2, 2), verbose=0), X)
