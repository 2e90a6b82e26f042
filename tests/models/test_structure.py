"""Models as plain data, and copies of models."""

import json

import numpy as np
import pytest

import hotloop
from hotloop import layers
from hotloop.models import clone_model, model_from_json


def chain():
    return hotloop.Sequential(
        [
            layers.Input((4,)),
            layers.Dense(5, "relu", kernel_regularizer=hotloop.regularizers.L2(0.01)),
            layers.Dropout(0.25, seed=3),
            layers.Dense(2, kernel_initializer=hotloop.initializers.RandomNormal(stddev=0.3)),
        ],
        name="chain",
    )


def unbuilt():
    return hotloop.Sequential([layers.Dense(3), layers.Dense(2)])


def residual():
    x = hotloop.Input((4,), name="x")
    y = layers.Dense(4, "tanh")(x)
    y = layers.Add()([x, y])
    return hotloop.Model(x, layers.Dense(2, trainable=False)(y))


def shared():
    x = hotloop.Input((4,))
    layer = layers.Dense(4, "tanh")
    return hotloop.Model(x, layers.concatenate([layer(layer(x)), layer(x)]))


def several():
    a, b = hotloop.Input((4,)), hotloop.Input((3,), name="second")
    joined = layers.Concatenate()([a, b])
    return hotloop.Model([a, b], [layers.Dense(2)(joined), layers.Subtract()([joined, joined]), a])


def nested():
    inner = shared()
    ends = several()
    a, b = hotloop.Input((4,)), hotloop.Input((3,))
    outputs = ends([inner.layers[1](a), b])
    return hotloop.Model([a, b], [chain()(outputs[2]), *outputs[:2]])


def by_name():
    a, b = hotloop.Input((4,), name="p"), hotloop.Input((3,), name="q")
    joined = layers.Concatenate()([a * 2, -b])
    return hotloop.Model(
        {"first": a, "second": b}, {"out": layers.Dense(2)(joined), "sum": joined + joined}
    )


MODELS = [chain, residual, shared, several, nested, by_name]


def data(model):
    rng = np.random.default_rng(4)
    arrays = [rng.normal(size=(6, *value.dims)) for value in model.inputs]
    if isinstance(model.input, dict):
        return dict(zip(model.input, arrays, strict=True))
    return arrays if len(arrays) > 1 else arrays[0]


def outputs(model):
    found = model.predict(data(model), verbose=0)
    if isinstance(found, dict):
        return list(found.values())
    return found if isinstance(found, list) else [found]


def same_computation(one, other):
    assert [layer.name for layer in one.layers] == [layer.name for layer in other.layers]
    assert [w.shape for w in one.weights] == [w.shape for w in other.weights]
    assert not {id(w) for w in one.weights} & {id(w) for w in other.weights}
    other.set_weights(one.get_weights())
    for a, b in zip(outputs(one), outputs(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make", MODELS)
def test_a_configuration_makes_the_same_model(make, backend):
    model = make()
    config = json.loads(json.dumps(model.get_config()))
    again = type(model).from_config(config)
    same_computation(model, again)
    assert again.get_config() == model.get_config()
    assert [w.trainable for w in again.weights] == [w.trainable for w in model.weights]
    assert len(again.trainable_weights) == len(model.trainable_weights)


def test_inputs_and_outputs_by_name():
    model = by_name()
    assert model.input_names == ["first", "second"]
    assert model.output_names == ["out", "sum"]
    assert model.output_shape == {"out": (None, 2), "sum": (None, 7)}
    again = type(model).from_config(json.loads(json.dumps(model.get_config())))
    again.set_weights(model.get_weights())
    for one in (model, again):
        one.compile("sgd", {"out": "mse", "sum": "mae"})
        history = one.fit(data(one), one.predict(data(one), verbose=0), verbose=0)
        assert list(history.history) == ["loss", "out_loss", "sum_loss"]
        assert history.history["loss"] == [pytest.approx(0.0, abs=1e-9)]
    a, b = hotloop.Input((4,)), hotloop.Input((3,))
    outer = hotloop.Model([a, b], model({"second": b, "first": a})["sum"])
    x = data(model)
    np.testing.assert_array_equal(
        outer.predict([x["first"], x["second"]], verbose=0), model.predict(x, verbose=0)["sum"]
    )
    with pytest.raises(ValueError, match="needs the inputs second too"):
        model({"first": a})


@pytest.mark.parametrize("make", MODELS)
def test_json_and_clones(make):
    model = make()
    same_computation(model, model_from_json(model.to_json(indent=1)))
    same_computation(model, clone_model(model))


def test_a_model_without_an_input_shape():
    again = clone_model(unbuilt())
    assert not again.built
    assert again.predict(np.ones((2, 7)), verbose=0).shape == (2, 2)


def test_a_clone_may_have_other_inputs_and_layers():
    x = hotloop.Input((4,), name="another")
    for make in (chain, residual):
        copied = clone_model(make(), input_tensors=x)
        assert copied.inputs == [x]

    def wider(layer):
        if isinstance(layer, layers.Dense) and layer.units == 5:
            return layers.Dense(50, name=layer.name)
        return type(layer).from_config(layer.get_config())

    assert clone_model(chain(), clone_function=wider).count_params() == 5 * 50 + 51 * 2


def test_training_a_clone_leaves_the_model_alone():
    model = chain()
    before = model.get_weights()
    copied = clone_model(model)
    copied.compile("adam", "mse")
    copied.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


class Twice(layers.Layer):
    def call(self, x):
        return layers.add([x, x])


def test_layers_of_ones_own_are_looked_up_by_name():
    x = hotloop.Input((3,))
    model = hotloop.Model(x, Twice()(x))
    text = model.to_json()
    with pytest.raises(ValueError, match="Unknown layer 'Twice'"):
        model_from_json(text)
    for again in (model_from_json(text, {"Twice": Twice}), clone_model(model)):
        np.testing.assert_array_equal(*outputs(again), *outputs(model))


def test_what_cannot_be_written_down_or_read_is_refused():
    x = hotloop.Input((3,))
    loose = hotloop.Model(x, layers.Dense(2)(hotloop.activations.relu(x)))
    with pytest.raises(ValueError, match="made outside of any layer"):
        loose.get_config()
    with pytest.raises(ValueError, match="needs the keys 'class_name' and 'config', got"):
        model_from_json("{}")
    with pytest.raises(ValueError, match="describes the layer Dense, not a model"):
        model_from_json('{"class_name": "Dense", "config": {"units": 3}}')


def test_deep_models_are_no_problem():
    x = y = hotloop.Input((2,))
    for _ in range(1500):
        y = layers.Activation("relu")(y)
    assert len(clone_model(hotloop.Model(x, y)).layers) == 1501
