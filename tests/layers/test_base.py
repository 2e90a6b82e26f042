"""Layer: names, weights, errors; a layer of one's own."""

from __future__ import annotations

import numpy as np
import pytest

import hotloop
from hotloop import activations, layers
from hotloop.graph import ops
from hotloop.layers import Dense, Dropout, Flatten, Input, Layer, Reshape


class Scaled(Layer):
    """y = relu(x W), written by a user."""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight((input_shape[-1], self.units), "ones", "w")

    def call(self, x):
        return activations.relu(ops.matmul(x, self.w))


def test_a_layer_of_ones_own(backend):
    layer = Scaled(2)
    np.testing.assert_array_equal(layer([[1.0, 2.0], [-1.0, 0.0]]), [[3.0, 3.0], [0.0, 0.0]])
    model = hotloop.Sequential([Input((2,)), layer, Dense(1)])
    model.compile(hotloop.optimizers.SGD(0.1), "mse")
    model.fit([[1.0, 2.0]], [[5.0]], verbose=0)
    assert not np.array_equal(layer.get_weights()[0], np.ones((2, 2)))
    assert layer.name.startswith("scaled")
    assert layer.w.path == f"{layer.name}/w"


def of_ones_own(k):
    """A layer as Keras's guide to layers of one's own writes it, its parts, and a bottleneck."""

    class Linear(k.Layer):
        def __init__(self, units=32, **options):
            super().__init__(**options)
            self.units = units

        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1], self.units), name="w")
            self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")

        def call(self, inputs):
            return inputs @ self.w + self.b

    class Block(k.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.parts = [Linear(33), Linear(5)]

        def build(self, input_shape):
            self.shift = self.add_weight(shape=(5,), initializer="ones", name="shift")

        def call(self, inputs):
            for part in self.parts:
                inputs = k.activations.tanh(part(inputs))
            return self.shift + inputs

    return k.Sequential([k.Input((3, 4)), Linear(4), Block(), k.layers.Identity(), Linear(2)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_of_ones_own_as_in_keras(dtype, backend):
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(40, 3, 4)), rng.normal(size=(40, 3, 2))
    hotloop.config.set_floatx(dtype)
    ours = of_ones_own(hotloop)
    hotloop.config.set_floatx("float32")
    theirs = of_ones_own(keras)
    ours.set_weights(theirs.get_weights())
    for model, k in ((ours, hotloop), (theirs, keras)):
        model.compile(k.optimizers.Adam(0.01), "mse")
        model.fit(x, y, 16, epochs=3, shuffle=False, verbose=0)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, 1e-3, 1e-4)
    if backend == "cython":
        assert {row.backend for row in ours.profile(x, y, batch_size=16, steps=3).rows} == {backend}


def test_operators_and_weights_of_others():
    stray = Dense(4)
    stray.build((None, 3))
    x = Input((3,))
    with pytest.raises(TypeError, match=r"value and the weight 'dense.*/kernel': only the call"):
        x @ stray.kernel
    given, matrix = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    model = hotloop.Model(x, x @ matrix)
    np.testing.assert_allclose(model.predict(given, verbose=0), given @ matrix)

    class Using(Layer):
        def build(self, input_shape):
            self.w = self.add_weight((3, 2), name="w")
            self.b = self.add_weight((2,), name="b")
            self.c = self.add_weight((3,), "ones", name="c")

        def call(self, inputs):
            return self.using(inputs)

    for using, words in (
        (lambda layer, x: x @ layer.b, r"matmul: the shapes \(None, 3\) and \(2, 1\) do not fit"),
        (lambda layer, x: x + layer.b, r"add needs values of one shape.* \(None, 3\) and \(2,\)"),
        (lambda layer, x: x @ layer.w @ layer.w, r"shapes \(None, 2\) and \(3, 2\) do not fit"),
        (lambda layer, x: x + layer.w, r"add: .* \(None, 3\) and \(3, 2\) cannot be broadcast"),
        (lambda layer, x: x * layer.b, r"multiply needs values .* \(None, 3\) and \(2,\)"),
    ):
        layer = Using()
        layer.using = using.__get__(layer)
        with pytest.raises(ValueError, match=words):
            layer(x)
    layer = Using()
    layer.using = lambda x: x * (layer.c + 1) @ layer.w
    model = hotloop.Model(x, layer(x))
    np.testing.assert_allclose(
        model.predict(given, verbose=0), 2 * given @ layer.w.numpy(), 1e-5, 1e-5
    )


def test_build_makes_weights_once():
    layer = Scaled(2)
    layer.build((None, 3))
    layer.build((None, 3))
    layer(np.zeros((1, 3)))
    assert layer.built
    assert len(layer.weights) == 1


def test_a_layer_without_call():
    with pytest.raises(NotImplementedError, match=r"Layer has no call\(\)"):
        Layer()(Input((2,)))


def test_automatic_names_count():
    hotloop.naming.clear_names()
    assert [Dense(1).name, Dense(1).name, Flatten().name] == ["dense", "dense_1", "flatten"]
    assert Dense(1, name="mine").name == "mine"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Dense(1, activaton="relu"), "Dense takes no argument 'activaton'.*'activation'"),
        (lambda: Dense(1, input_shap=(3,)), "did you mean 'input_shape'"),
        (lambda: Dense(1, kernal_initializer="ones"), "did you mean 'kernel_initializer'"),
        (lambda: Dropout(0.5, sead=1), "Dropout takes no argument 'sead'.*did you mean 'seed'"),
        (lambda: Scaled(1, unitz=2), "Scaled takes no argument 'unitz'.*did you mean 'units'"),
        (lambda: Dense(1, qqqq=1), "it takes activation, .*units"),
    ],
)
def test_unknown_arguments(make, words):
    with pytest.raises(TypeError, match=words):
        make()


@pytest.mark.parametrize(
    ("shape", "got"), [((None, 0), "0"), ((0, 2), "0"), ((2.5,), "2.5"), ("ab", "'a'"), (-1, "-1")]
)
def test_bad_input_shapes(shape, got):
    with pytest.raises(ValueError, match=f"Dense.*input_shape.*at least 1.*{got}"):
        Dense(1, input_shape=shape)


@pytest.mark.parametrize("dtype", ["int8", "float16", np.int32])
def test_bad_dtypes(dtype):
    with pytest.raises(ValueError, match="'float32' or 'float64'"):
        Dense(1, dtype=dtype)


def test_dtypes_by_name_and_class():
    assert Dense(1, dtype=np.float64).dtype == Dense(1, dtype="float64").dtype == "float64"


def test_weights_before_and_after_building():
    layer = Dense(2)
    assert layer.get_weights() == []
    with pytest.raises(ValueError, match=r"'dense.*has no weights yet"):
        layer.count_params()
    with pytest.raises(ValueError, match="0 weights, got 2; it is not built yet"):
        layer.set_weights([np.zeros((3, 2)), np.zeros(2)])
    layer(np.zeros((1, 3)))
    assert layer.count_params() == 8
    layer.set_weights([np.ones((3, 2)), [1, 2]])
    np.testing.assert_array_equal(layer([[1.0, 1.0, 1.0]]), [[4.0, 5.0]])
    assert layer.get_weights()[1].dtype == np.float32


def test_trainable_weights():
    layer = Dense(2)
    layer.build((None, 3))
    assert len(layer.trainable_weights) == 2
    layer.trainable = False
    assert layer.trainable_variables == []
    assert layer.non_trainable_weights == layer.variables == layer.weights


@pytest.mark.parametrize(
    "layer",
    [
        Dense(3, "tanh", False, "ones", kernel_regularizer=hotloop.regularizers.L2(0.1)),
        Dense(3, kernel_initializer=hotloop.initializers.RandomNormal(0.0, 0.2, seed=1)),
        hotloop.layers.Activation("gelu"),
        Dropout(0.25, seed=3),
        Flatten(),
        Reshape((2, -1)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_config_makes_the_same_layer(layer):
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    assert again.name == layer.name
    x = np.arange(8.0).reshape(2, 4)
    assert again(x).shape == layer(x).shape


def test_empty_batches_and_single_numbers():
    assert Dense(3)(np.zeros((0, 2))).shape == (0, 3)
    with pytest.raises(ValueError, match="needs a batch of examples"):
        Dense(3)(1.0)
    with pytest.raises(TypeError, match="holds strings"):
        Dense(3)([["a"]])


SETTINGS = [
    (lambda: layers.Dropout(0.5), "rate", 0.1),
    (lambda: layers.Dense(2), "activation", "relu"),
    (lambda: layers.Dense(2), "use_bias", False),
    (lambda: layers.BatchNormalization(), "epsilon", 0.1),
    (lambda: layers.BatchNormalization(), "momentum", 0.1),
    (lambda: layers.LayerNormalization(), "epsilon", 0.1),
    (lambda: layers.Dense(2), "call", lambda x: x),
]


@pytest.mark.parametrize(("make", "name", "value"), SETTINGS)
def test_what_is_recorded_cannot_be_set_any_more(make, name, value):
    layer = make()
    if name != "call":
        setattr(layer, name, getattr(layer, name))
    hotloop.Sequential([layers.Input((3,)), layer])
    if name != "call":
        setattr(layer, name, getattr(layer, name))  # as it is
    with pytest.raises(ValueError, match=rf"'{layer.name}': {name} cannot be set"):
        setattr(layer, name, value)
    layer.trainable, layer.note = False, "a note"


def test_an_own_layers_arguments_too_but_not_what_its_call_sets():
    class Scale(layers.Layer):
        def __init__(self, factor, **options):
            super().__init__(**options)
            self.factor = factor

        def call(self, x):
            self.factor = float(self.factor)
            self.calls = getattr(self, "calls", 0) + 1
            return x * self.factor

    layer = Scale(2)
    x = hotloop.Input((3,))
    layer(layer(x))
    with pytest.raises(ValueError, match=r"factor cannot be set to 3\.0"):
        layer.factor = 3.0
    assert layer.calls == 2


def test_and_what_its_call_reads_but_not_what_it_does_not_read():
    class Scale(layers.Layer):
        def __init__(self):
            super().__init__()
            self.factor, self.epoch = 2.0, 0

        def call(self, x):
            return x * self.factor

    layer = Scale()
    layer.factor = 3.0
    assert layer(np.ones((1, 1))).item() == 3.0
    with pytest.raises(ValueError, match=r"factor cannot be set to 4\.0"):
        layer.factor = 4.0
    layer.epoch = 1


def _own(**methods):
    return type("Own", (layers.Layer,), {"call": lambda self, x: x * 2.0, **methods})()


def test_a_mask_that_an_own_layer_makes_is_said_to_be_for_nobody():
    x = hotloop.Input((3,))
    with pytest.warns(UserWarning, match=r"compute_mask\(\) is kept, but not asked"):
        _own(compute_mask=lambda self, x, mask=None: x)(x)
    assert _own(compute_mask=lambda self, x, mask=None: mask)(x).shape == (None, 3)


def test_an_output_spec_of_ones_own_changes_nothing():
    x = hotloop.Input((3,))
    assert _own(compute_output_spec=lambda self, x: x)(x).shape == (None, 3)


def test_an_output_shape_that_an_own_layer_claims_must_be_that_of_its_call():
    x = hotloop.Input((3,))
    for claim in (lambda self, shape: shape, lambda self, shape: (None, None)):
        assert _own(compute_output_shape=claim)(x).shape == (None, 3)
    with pytest.raises(ValueError, match=r"compute_output_shape\(\) says \(None, 4\), but call"):
        _own(compute_output_shape=lambda self, shape: (*shape[:-1], 4))(x)
