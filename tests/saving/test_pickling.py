"""Models in pickles and deep copies."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import hotloop
from hotloop import Model, Sequential, layers
from hotloop.layers import Layer


class Doubled(Layer):
    """A layer of the user's own."""

    def call(self, x):
        return layers.add([x, x])


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 3)), rng.integers(0, 2, 40)


def trained(model):
    x, y = data()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=2, verbose=0)
    return model


def chain():
    return Sequential([layers.Dense(5, "relu"), layers.Dropout(0.3), layers.Dense(2, "softmax")])


def graph():
    x = hotloop.Input((3,))
    inner = Sequential([layers.Input((3,)), Doubled(), layers.Dense(3, "tanh")])
    return Model(x, layers.Dense(2, "softmax")(layers.Add()([x, inner(x)])))


WAYS = [copy.deepcopy, copy.copy, lambda model: pickle.loads(pickle.dumps(model))]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", [chain, graph])
def test_a_copy_is_the_same_model_and_goes_on_alike(make, way):
    model = trained(make())
    other = way(model)
    x, y = data()
    assert type(other) is type(model)
    np.testing.assert_array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))
    assert other.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    for one in (model, other):
        one.fit(x, y, epochs=2, verbose=0, shuffle=False)
    np.testing.assert_array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))
    assert other.optimizer.iterations == model.optimizer.iterations == 8


def test_models_that_are_not_built_or_not_compiled():
    other = copy.deepcopy(chain())
    assert not other.built
    assert not other.compiled
    model = graph()
    other = pickle.loads(pickle.dumps(model))
    assert not other.compiled
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


def test_a_copy_of_an_optimizer_has_no_arrays_of_the_first_model():
    model = trained(chain())
    found = copy.deepcopy(model.optimizer)
    assert found.variables == []
    assert model.optimizer.variables
    assert found.get_config() == model.optimizer.get_config()
    assert found.iterations == 4


def test_frozen_layers_stay_frozen():
    model = trained(chain())
    model.layers[0].trainable = False
    other = pickle.loads(pickle.dumps(model))
    assert len(other.trainable_weights) == 2


def test_what_accumulation_and_averaging_keep_is_copied_too():
    x, y = data()
    model = chain()
    optimizer = hotloop.optimizers.Adam(use_ema=True, gradient_accumulation_steps=2)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    model.fit(x, y, 8, epochs=1, verbose=0)  # five batches: one is left in the accumulator
    other = pickle.loads(pickle.dumps(model))
    for one in (model, other):
        one.fit(x, y, 8, epochs=2, shuffle=False, verbose=0)
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
