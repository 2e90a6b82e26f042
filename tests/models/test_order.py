"""Which layers and weights a model has, in which order, and which are trained: as in Keras."""

from __future__ import annotations

import numpy as np
import pytest

import hotloop

keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def chain(k):
    return k.Sequential([k.layers.Dense(3, input_shape=(4,)), k.layers.Dense(2)])


def uneven(k):
    """Branches of different lengths, from inputs of different distances."""
    a, b, c = k.Input((4,), name="a"), k.Input((3,), name="b"), k.Input((2,), name="c")
    long = k.layers.Dense(5, name="one")(k.layers.Dense(6, name="two")(a))
    short = k.layers.Dense(5, name="three")(b)
    joined = k.layers.Add(name="sum")([short, long])
    late = k.layers.Concatenate(name="join")([c, joined])
    return k.Model([b, c, a], [k.layers.Dense(2, name="four")(late), short])


def shared(k):
    x = k.Input((4,), name="x")
    twice = k.layers.Dense(4, name="twice")
    y = k.layers.Dense(4, name="between")(twice(x))
    return k.Model(x, [twice(y), k.layers.Dense(7, name="side")(x)])


def unread(k):
    a, b = k.Input((4,), name="a"), k.Input((3,), name="b")
    return k.Model([b, a], k.layers.Dense(2, name="out")(a))


def nested(k):
    inner = uneven(k)
    a, b, c = k.Input((4,), name="d"), k.Input((3,), name="e"), k.Input((2,), name="f")
    first, second = inner([b, c, a])
    model = k.Model([a, b, c], k.layers.concatenate([first, second, chain(k)(a)], name="all"))
    inner.name = "inner"
    return model


def composed(k):
    class Block(k.layers.Layer):
        def __init__(self, units, **options):
            super().__init__(**options)
            self.wide = k.layers.Dense(units, "relu")
            self.more = [k.layers.Dense(units), {"last": k.layers.Dense(units)}]

        def call(self, x):
            return x + self.more[1]["last"](self.more[0](self.wide(x)))

    x = k.Input((4,), name="x")
    model = k.Model(x, k.layers.Dense(2, name="out")(Block(4, name="block")(x)))
    model(np.zeros((1, 4)))
    return model


def residual(k):
    x = k.Input((4,), name="x")
    y = k.layers.Dense(4, name="hidden")(x)
    return k.Model(x, k.layers.Dense(2, name="out")((x + y) * 2))


MODELS = [chain, uneven, shared, unread, nested, composed, residual]


def operations(model):
    """Keras's summary shows these; ours has no operations that are not layers."""
    return getattr(model, "_operations", model.layers)


@pytest.mark.parametrize("make", MODELS)
def test_layers_and_weights_are_in_keras_order(make):
    ours, theirs = make(hotloop), make(keras)
    if make is not chain:
        names = [layer.name for layer in operations(theirs)]
        kept = [name for name in names if not name.startswith(("sequential", "add", "multiply"))]
        assert [layer.name for layer in ours.layers if layer.name in kept] == kept
    assert len(ours.layers) == len(operations(theirs))
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in theirs.get_weights()]
    assert ours.count_params() == theirs.count_params()


def flags(model):
    """How many weights are trained here, in each layer, and not."""
    return (
        [len(layer.trainable_weights) for layer in model.layers],
        [layer.trainable for layer in model.layers],
        len(model.trainable_weights),
        len(model.non_trainable_weights),
    )


def set_trainable(path, value):
    def change(model):
        for index in path:
            model = model.layers[index]
        model.trainable = value

    return change


CHANGES = {
    "a layer": [set_trainable([1], False)],
    "the model": [set_trainable([], False)],
    "the model and back": [set_trainable([], False), set_trainable([], True)],
    "all but one layer": [set_trainable([], False), set_trainable([-1], True)],
}


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("name", CHANGES)
def test_freezing(make, name):
    ours, theirs = make(hotloop), make(keras)
    for change in CHANGES[name]:
        for model in (ours, theirs):
            change(model)
    if make is not residual:  # what is an operation there is a layer here
        assert flags(ours)[:2] == flags(theirs)[:2]
    assert flags(ours)[2:] == flags(theirs)[2:]


def around(k, inner):
    x = k.Input((4,))
    return k.Model(x, k.layers.Dense(1)(inner(x)))


@pytest.mark.parametrize(
    "changes",
    [
        [set_trainable([1], False)],
        [set_trainable([1], False), set_trainable([1, 0], True)],
        [set_trainable([1, 0], False)],
        [set_trainable([1, 0], False), set_trainable([1], True)],
    ],
)
def test_freezing_a_model_in_a_model(changes):
    models = [around(k, chain(k)) for k in (hotloop, keras)]
    for change in changes:
        for model in models:
            change(model)
    ours, theirs = models
    assert flags(ours) == flags(theirs)
    assert flags(ours.layers[1]) == flags(theirs.layers[1])
    assert [w.shape for w in ours.trainable_weights] == [
        tuple(w.shape) for w in theirs.trainable_weights
    ]


def test_what_is_frozen_stays_and_what_is_not_learns(backend):
    model = around(hotloop, chain(hotloop))
    model.compile("sgd", "mse")
    x = np.ones((8, 4))

    def changed():
        before = model.get_weights()
        model.fit(x, x[:, 0] * 5, verbose=0)
        return [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]

    model.layers[1].trainable = False
    assert changed() == [False] * 4 + [True] * 2
    model.layers[1].layers[1].trainable = True
    assert changed() == [False] * 2 + [True] * 4
    model.layers[1].trainable = True
    assert changed() == [True] * 6


def test_parts_that_are_found_after_the_first_look():
    class Growing(hotloop.layers.Layer):
        def build(self, input_shape):
            self.parts = [hotloop.layers.Dense(4)]

        def call(self, x):
            return self.parts[0](x)

    layer = Growing()
    assert layer.weights == []
    layer(hotloop.Input((4,)))
    assert len(layer.weights) == 2
    layer.trainable = False
    assert layer.trainable_weights == []
    assert len(layer.non_trainable_weights) == 2


def test_layers_that_know_each_other():
    first, second = hotloop.layers.Dense(1, input_dim=2), hotloop.layers.Dense(1)
    first.friend, second.friend = second, first
    model = hotloop.Sequential([first, second])
    assert len(model.weights) == 4
