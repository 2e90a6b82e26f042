"""Models that are classes with a `call` of their own, beside the same classes in Keras."""

from __future__ import annotations

import json

import numpy as np
import pytest

import hotloop
from hotloop.models import clone_model, model_from_json

keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

RNG = np.random.default_rng(5)
X, Z = RNG.normal(size=(2, 23, 4)).astype("float32")
Y = RNG.normal(size=(23, 3)).astype("float32")


def residual(k):
    class Block(k.layers.Layer):
        def __init__(self, units):
            super().__init__()
            self.first, self.second = k.layers.Dense(units, "relu"), k.layers.Dense(units)

        def build(self, input_shape):
            self.first.build(input_shape)
            self.second.build(input_shape)
            self.built = True

        def call(self, x):
            return x + self.second(self.first(x))

    class Net(k.Model):
        def __init__(self):
            super().__init__()
            self.out = k.layers.Dense(3)
            self.blocks = [Block(4), Block(4)]
            self.named = {"widen": k.layers.Dense(6, "tanh"), "narrow": k.layers.Dense(4)}
            self.again = self.out
            self.drop = k.layers.Dropout(0.0)

        def call(self, inputs, training=None):
            x = inputs * 2 - 1
            for block in self.blocks:
                x = block(x)
            x = self.drop(self.named["narrow"](self.named["widen"](x)), training=training)
            if x.shape[-1] == 4:
                x = -x / 2
            return self.out(x)

    return Net()


def two_inputs_in_a_list(k):
    class Net(k.Model):
        def __init__(self):
            super().__init__()
            self.shared, self.join = k.layers.Dense(5, "tanh"), k.layers.Concatenate()
            self.out = k.layers.Dense(3)

        def call(self, inputs):
            a, b = inputs
            return self.out(self.join([self.shared(a), self.shared(b), a * b]))

    return Net()


def two_inputs_by_name(k):
    class Net(k.Model):
        def __init__(self):
            super().__init__()
            self.first, self.second = k.layers.Dense(3), k.layers.Dense(3)

        def call(self, inputs):
            return self.first(inputs["a"]) - self.second(inputs["b"])

    return Net()


def models_in_a_model(k):
    class Net(k.Model):
        def __init__(self):
            super().__init__()
            x = k.Input((4,))
            self.encoder = k.Model(x, k.layers.Dense(6, "selu")(x))
            self.decoder = k.Sequential([k.layers.Dense(5, "tanh"), k.layers.Dense(3)])

        def call(self, x):
            return self.decoder(self.encoder(x))

    return Net()


CASES = {
    "residual": (residual, X),
    "list": (two_inputs_in_a_list, [X, Z]),
    "dict": (two_inputs_by_name, {"a": X, "b": Z}),
    "nested": (models_in_a_model, X),
}


def few(x, count=2):
    if isinstance(x, dict):
        return {name: part[:count] for name, part in x.items()}
    return [part[:count] for part in x] if isinstance(x, list) else x[:count]


def pair(make, x):
    """The model in both, built by the data, with the same weights."""
    ours, theirs = make(hotloop), make(keras)
    np.testing.assert_equal(ours(few(x)).shape, theirs(few(x)).shape)
    weights = [RNG.normal(0, 0.4, w.shape).astype("float32") for w in theirs.get_weights()]
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in weights]
    for model in (ours, theirs):
        model.set_weights(weights)
        model.compile("adam", "mse", metrics=["mae"])
    return ours, theirs


@pytest.mark.parametrize("name", CASES)
def test_same_as_keras(name, backend):
    make, x = CASES[name]
    ours, theirs = pair(make, x)
    assert len(ours.layers) == len(theirs.layers)
    kinds = [[type(a).__name__ for a in model.layers] for model in (ours, theirs)]
    assert kinds[0] == [kind.replace("Functional", "Model") for kind in kinds[1]]
    assert ours.count_params() == theirs.count_params()
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), 1e-4, 1e-5)
    fit = {"epochs": 3, "batch_size": 8, "shuffle": False, "verbose": 0}
    histories = [model.fit(x, Y, **fit).history for model in (ours, theirs)]
    assert sorted(histories[0]) == sorted(histories[1])
    for key, values in histories[1].items():
        np.testing.assert_allclose(histories[0][key], values, 1e-3)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, 1e-3, 1e-4)
    np.testing.assert_allclose(
        ours.evaluate(x, Y, verbose=0), theirs.evaluate(x, Y, verbose=0), 1e-4
    )


@pytest.mark.parametrize("name", CASES)
def test_the_first_fit_builds(name):
    make, x = CASES[name]
    model = make(hotloop)
    assert not model.built
    model.compile("sgd", "mse")
    model.fit(x, Y, verbose=0)
    assert model.built
    assert model.output_shape == (None, 3)
    profile = model.profile(x, Y, steps=3)
    assert not any("python" in row.op for row in profile.rows)


@pytest.mark.parametrize(
    ("name", "shape", "inputs"),
    [
        ("residual", (None, 4), (None, 4)),
        ("list", [(None, 4), (None, 4)], [(None, 4), (None, 4)]),
        ("dict", {"a": (None, 4), "b": [None, 4]}, {"a": (None, 4), "b": (None, 4)}),
    ],
)
def test_build(name, shape, inputs):
    make, x = CASES[name]
    model = make(hotloop)
    model.build(shape)
    assert model.input_shape == inputs
    assert model.predict(x, verbose=0).shape == (23, 3)
    if name == "dict":
        assert model.input_names == ["a", "b"]
        with pytest.raises(ValueError, match="x has no entry for b"):
            model.predict({"a": X}, verbose=0)


def outputs_of(k, form):
    class Net(k.Model):
        def __init__(self):
            super().__init__()
            self.one, self.two = k.layers.Dense(3), k.layers.Dense(1)

        def call(self, x):
            one, two = self.one(x), self.two(x)
            return {"one": one, "two": two} if form is dict else form([one, two])

    return Net()


def test_outputs_by_name_as_in_keras():
    y = {"one": Y, "two": Y[:, :1]}
    histories, predictions, lists = [], [], []
    for k in (hotloop, keras):
        model = outputs_of(k, dict)
        model(X[:1])
        model.set_weights([np.full(w.shape, 0.1, "float32") for w in model.get_weights()])
        model.compile("sgd", {"one": "mse", "two": "mae"}, metrics={"two": ["mse"]})
        histories.append(model.fit(X, y, shuffle=False, epochs=2, verbose=0).history)
        predictions.append(model.predict(X, verbose=0))
        lists.append(model.evaluate(X, y, verbose=0))
    assert sorted(histories[0]) == sorted(histories[1])
    for key in histories[1]:
        np.testing.assert_allclose(histories[0][key], histories[1][key], 1e-4)
    assert list(predictions[0]) == ["one", "two"]
    for key in predictions[1]:
        np.testing.assert_allclose(predictions[0][key], predictions[1][key], 1e-4, 1e-5)
    np.testing.assert_allclose(*lists, rtol=1e-4)
    ours = outputs_of(hotloop, dict)
    ours.build((None, 4))
    assert ours.output_shape == {"one": (None, 3), "two": (None, 1)}


@pytest.mark.parametrize("form", [list, tuple])
def test_outputs_in_a_list(form):
    model = outputs_of(hotloop, form)
    a, b = model.predict(X, verbose=0)
    assert (a.shape, b.shape) == ((23, 3), (23, 1))
    model.compile("sgd", ["mse", "mae"])
    assert set(model.fit(X, [Y, Y[:, :1]], verbose=0).history) == {
        "loss",
        f"{model.one.name}_loss",
        f"{model.two.name}_loss",
    }


@pytest.mark.parametrize("name", ["residual", "nested"])
def test_weights_in_a_file(name, tmp_path):
    make, x = CASES[name]
    model, again = make(hotloop), make(hotloop)
    expected = model.predict(x, verbose=0)
    model.save_weights(tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="does not know its input shape yet"):
        again.load_weights(tmp_path / "w.safetensors")
    again.build((None, 4))
    again.load_weights(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(again.predict(x, verbose=0), expected)


class Configured(hotloop.Model):
    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = units
        self.hidden = hotloop.layers.Dense(units, "relu")
        self.drop = hotloop.layers.Dropout(0.5)
        self.out = hotloop.layers.Dense(3)

    def call(self, x):
        return self.out(self.drop(self.hidden(x)))

    def get_config(self):
        return {"name": self.name, "units": self.units}


def test_a_whole_model_in_a_file_goes_on_as_it_was(tmp_path):
    model = Configured(7, name="mine")
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m.hotloop")
    again = hotloop.models.load_model(tmp_path / "m.hotloop", {"Configured": Configured})
    assert (type(again), again.name, again.units) == (Configured, "mine", 7)
    for one in (model, again):
        one.fit(X, Y, shuffle=False, epochs=2, verbose=0)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_clones_and_json():
    model = Configured(7)
    x = hotloop.Input((4,))
    outer = hotloop.Model(x, model(x))
    for copied in (
        clone_model(model),
        model_from_json(model.to_json(), {"Configured": Configured}),
        clone_model(outer),
        model_from_json(json.dumps(json.loads(outer.to_json())), {"Configured": Configured}),
    ):
        copied.set_weights(model.get_weights())
        np.testing.assert_array_equal(copied.predict(X, verbose=0), model.predict(X, verbose=0))
        assert not {id(w) for w in copied.weights} & {id(w) for w in model.weights}


def test_configurations_that_are_known_and_those_that_are_not():
    class Plain(hotloop.Model):
        def __init__(self, name=None):
            super().__init__(name=name)
            self.out = hotloop.layers.Dense(2)

        def call(self, x):
            return self.out(x)

    class Any_(Plain):  # noqa: N801
        def __init__(self, **options):
            super().__init__(options.get("name"))

    class Wide(Plain):
        def __init__(self, units=3):
            super().__init__()

    assert Plain("p").get_config() == {"name": "p"}
    assert Plain.from_config({"name": "q"}).name == "q"
    assert Any_(name="a").get_config() == {"name": "a", "trainable": True, "dtype": "float32"}
    assert Wide().get_config() == {"units": 3}  # what it was made with


def test_a_subclass_in_another_model_and_shared(backend):
    make, x = CASES["list"]
    inner = make(hotloop)
    a, b = hotloop.Input((4,)), hotloop.Input((4,))
    outer = hotloop.Model([a, b], inner([a, b]) + inner([b, a]))
    assert [layer.name for layer in outer.layers].count(inner.name) == 1
    assert len(outer.weights) == len(inner.weights) == 4
    expected = inner.predict(x, verbose=0) + inner.predict(x[::-1], verbose=0)
    np.testing.assert_allclose(outer.predict(x, verbose=0), expected, 1e-4, 1e-5)
    named = two_inputs_by_name(hotloop)
    outer = hotloop.Model({"p": a, "q": b}, {"r": named({"a": a, "b": b})})
    got = outer.predict({"p": X, "q": Z}, verbose=0)["r"]
    np.testing.assert_allclose(got, named.predict({"a": X, "b": Z}, verbose=0), 1e-5, 1e-6)
    assert outer.input_names == ["p", "q"]
    assert outer.output_names == ["r"]


def test_a_build_of_ones_own():
    class Late(hotloop.Model):
        def build(self, input_shape):
            self.out = hotloop.layers.Dense(input_shape[-1])
            super().build(input_shape)
            self.built = True

        def call(self, x):
            return self.out(x)

    model = Late()
    assert model.predict(X, verbose=0).shape == X.shape
    assert model.count_params() == 20
    model = Late()
    model.build((None, 4))
    assert model.output_shape == (None, 4)


def net(call, **attributes):
    model = type("Net", (hotloop.Model,), {"call": call})()
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda self, x: hotloop.layers.Dense(1)(x), ValueError, "no attribute of the model"),
        (lambda self, x: None, TypeError, r"call\(\) returned NoneType"),
        (lambda self, x: np.ones(3), TypeError, r"call\(\) returned ndarray"),
        (lambda self, x: x if x > 0 else -x, TypeError, "cannot branch"),
        (lambda self, x: x if x else -x, TypeError, "cannot branch"),
        (lambda self, x: x @ x, ValueError, r"the rows of \(None, 4\) are the examples"),
        (lambda self, x: x[0], ValueError, "about the batch, whose examples are done each by"),
        (lambda self, x: x[:, 7], IndexError, "no index 7 along an axis of 4"),
        (lambda self, x: x / 0, ZeroDivisionError, "divided by 0"),
        (lambda self, x: x + "a", TypeError, "and str is not supported"),
        (lambda self, x: x + np.ones(5), ValueError, r"\(None, 4\) and \(5,\)"),
        (lambda self, x: np.ones(5) * x, ValueError, r"\(5,\)"),
        (lambda self, x: x + self.wide(x), ValueError, "inputs of one shape"),
        (
            lambda self, x, training=None: self.wide(x) if training else x,
            ValueError,
            r"makes \(None, 5\) in training, but \(None, 4\) otherwise",
        ),
        (lambda self, x: self.wide(x, training="yes"), TypeError, "must be True, False or None"),
        (lambda self, x: self.missing(x), AttributeError, "Net 'net.*no attribute 'missing'"),
    ],
)
def test_what_cannot_be_recorded_says_why_and_leaves_the_model_unbuilt(call, error, words):
    model = net(call, wide=hotloop.layers.Dense(5))
    for _ in range(2):
        with pytest.raises(error, match=words):
            model.predict(X, verbose=0)
        assert not model.built
        assert not model.outputs


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[:, :2],
        lambda x: 1 / x,
        lambda x: x / x,
        lambda x: x**2 - x,
        lambda x: x + np.arange(4, dtype="float32"),
        lambda x: np.arange(4, dtype="float32") * x,
        lambda x: x > 0.5,
        lambda x: x @ np.arange(8, dtype="float32").reshape(4, 2),
    ],
)
def test_operators_in_call_compute_what_they_do_on_arrays(function):
    found = net(lambda self, x: function(x)).predict(X, verbose=0)
    np.testing.assert_allclose(found, function(X), 1e-5, 1e-6)


def test_a_forgotten_super_is_named():
    class Forgetful(hotloop.Model):
        def __init__(self):
            self.out = hotloop.layers.Dense(1)

    with pytest.raises(AttributeError, match=r"must call super\(\).__init__\(\) first"):
        Forgetful().compile("sgd", "mse")


def test_without_a_call_it_says_what_to_do():
    model = hotloop.Model()
    model.compile("sgd", "mse")
    for use in (
        lambda: model.fit(X, Y, verbose=0),
        lambda: model(X),
        lambda: model(hotloop.Input((4,))),
    ):
        with pytest.raises(TypeError, match=r"Model\(inputs, outputs\), or define call"):
            use()


def test_dropout_drops_in_training_alone():
    class Net(hotloop.Model):
        def __init__(self):
            super().__init__()
            self.drop = hotloop.layers.Dropout(0.5)

        def call(self, x, training=None):
            return self.drop(x, training=training)

    model = Net()
    np.testing.assert_array_equal(model.predict(X, verbose=0), X)
    np.testing.assert_array_equal(model(X, training=False), X)
    model.compile("sgd", "mse")
    assert model.evaluate(X, X, verbose=0) == 0
    assert model.fit(X, X, verbose=0).history["loss"][0] > 0
    dropped = model(X, training=True)
    assert (dropped != X).any()
    assert ((dropped == 0) | (dropped == 2 * X)).all()


def test_float64():
    class Net(hotloop.Model):
        def __init__(self):
            super().__init__(dtype="float64")
            self.out = hotloop.layers.Dense(2, dtype="float64")

        def call(self, x):
            return self.out(x * 3)

    assert Net().predict(X, verbose=0).dtype == np.float64
