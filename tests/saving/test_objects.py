"""Objects as plain data: names of the user's own, automatic configurations, own files' content."""

import json
import pickle

import numpy as np
import pytest

import hotloop
from hotloop import (
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    regularizers,
    saving,
)
from hotloop.models import load_model

keras = pytest.importorskip("keras")


@pytest.fixture(autouse=True)
def nothing_registered():
    before = dict(saving.get_custom_objects())
    yield
    saving.get_custom_objects().clear()
    saving.get_custom_objects().update(before)


X = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


# ------------------------------------------------------------------------ the registry


def test_names_are_those_of_keras():
    for module in (saving, keras.saving):

        @module.register_keras_serializable("mine", "Other")
        class Named(hotloop.layers.Layer):
            pass

        @module.register_keras_serializable()
        def function(x):
            return x

        assert module.get_registered_name(Named) == "mine>Other"
        assert module.get_registered_name(function) == "Custom>function"
        assert module.get_registered_name(len) == "len"
        assert module.get_registered_object("mine>Other") is Named
        assert module.get_registered_object("Custom>function") is function
        assert module.get_registered_object("function") is None
        assert module.get_registered_object("a", {"a": 1}) == 1
        assert module.get_registered_object("a", None, {"a": 2}) == 2
        with module.custom_object_scope({"a": 3}):
            assert module.get_registered_object("a", {"a": 1}) == 3
        module.get_custom_objects().clear()
        assert module.get_registered_object("mine>Other") is None
        with pytest.raises(ValueError, match="get_config"):
            module.register_keras_serializable()(type("Bare", (), {}))


def test_scopes_nest_and_end():
    with saving.CustomObjectScope({"a": 1, "b": 2}):
        with saving.CustomObjectScope({"a": 3}):
            found = [saving.get_registered_object(name) for name in "ab"]
            assert found == [3, 2]
        assert saving.get_registered_object("a") == 1
    assert saving.get_registered_object("a") is None
    scope = saving.CustomObjectScope({"a": 4})
    with scope, scope:
        assert saving.get_registered_object("a") == 4
    assert saving.get_registered_object("a") is None


# ----------------------------------------------------------- automatic configurations


class Scaled(layers.Layer):
    def __init__(self, units, activation=None, kernel_regularizer=None, **options):
        super().__init__(**options)
        self.dense = layers.Dense(units, activation, kernel_regularizer=kernel_regularizer)

    def call(self, x):
        return self.dense(x)


class Bare(layers.Layer):
    def __init__(self, factor=2.0):
        super().__init__()
        self.factor = factor

    def call(self, x):
        return x * self.factor


def test_a_layer_is_told_by_its_arguments():
    layer = Scaled(3, "relu", kernel_regularizer=regularizers.L2(0.5), name="s")
    config = layer.get_config()
    assert config["units"] == 3
    assert config["activation"] == "relu"
    again = Scaled.from_config(json.loads(hotloop.naming.to_json(config)))
    assert again.name == "s"
    assert again.dense.kernel_regularizer.l2 == 0.5
    assert Bare(3.0).get_config() == {"factor": 3.0}
    assert Bare.from_config(Bare(3.0).get_config()).factor == 3.0


def test_what_has_no_names_has_no_configuration():
    class Rest(layers.Layer):
        def __init__(self, *sizes):
            super().__init__()

    with pytest.raises(NotImplementedError, match=r"Rest.*no names.*define get_config"):
        Rest(1, 2).get_config()


def test_a_class_derived_from_a_layer_keeps_its_arguments():
    class Wider(layers.Dense):
        def __init__(self, units, times=2, **options):
            super().__init__(units * times, **options)
            self.times = times

    class Ten(layers.Dense):
        def __init__(self):
            super().__init__(10, "relu")

    assert Wider(3, 4).get_config()["times"] == 4
    assert Ten.from_config(Ten().get_config()).units == 10


@pytest.mark.parametrize(
    ("base", "module"),
    [
        (losses.MeanSquaredError, losses),
        (metrics.Mean, metrics),
        (optimizers.SGD, optimizers),
        (regularizers.L2, regularizers),
        (constraints.NonNeg, None),
        (initializers.RandomNormal, initializers),
        (optimizers.schedules.CosineDecay, optimizers.schedules),
    ],
)
def test_every_kind_of_object_is_told_by_its_arguments(base, module):
    positional = (0.1, 5) if base is optimizers.schedules.CosineDecay else ()

    class Mine(base):
        def __init__(self, share=0.5):
            super().__init__(*positional)
            self.share = share

    made = Mine(0.25)
    assert made.get_config()["share"] == 0.25
    assert Mine.from_config(made.get_config()).share == 0.25
    if module is not None:
        saving.register_keras_serializable("own")(Mine)
        entry = json.loads(hotloop.naming.to_json(module.serialize(made)))
        assert entry["registered_name"] == "own>Mine"
        assert module.deserialize(entry).share == 0.25
        if hasattr(module, "get"):
            assert module.get(entry).share == 0.25


# ----------------------------------------------------------- serialize and deserialize


@pytest.mark.parametrize(
    ("module", "make"),
    [
        ("layers", lambda k: k.layers.Dense(3, "relu", kernel_regularizer=k.regularizers.L1(0.5))),
        ("losses", lambda k: k.losses.BinaryCrossentropy(True, 0.25)),
        ("losses", lambda k: k.losses.mean_squared_error),
        ("metrics", lambda k: k.metrics.Precision(0.3, name="p")),
        ("metrics", lambda k: k.metrics.mean_squared_error),
        ("optimizers", lambda k: k.optimizers.Adam(0.5)),
        ("optimizers", lambda k: k.optimizers.Adam(k.optimizers.schedules.CosineDecay(0.1, 9))),
        ("optimizers.schedules", lambda k: k.optimizers.schedules.CosineDecay(0.1, 9)),
        ("regularizers", lambda k: k.regularizers.L1L2(0.25, 0.5)),
        ("constraints", lambda k: k.constraints.MaxNorm(3)),
        ("initializers", lambda k: k.initializers.RandomNormal(0.0, 0.5, seed=3)),
        ("activations", lambda k: k.activations.relu),
        ("activations", lambda k: k.activations.linear),
    ],
)
def test_keras_and_hotloop_read_each_other(module, make):
    def at(root):
        for name in module.split("."):
            root = getattr(root, name)
        return root

    ours, theirs = at(hotloop).serialize(make(hotloop)), at(keras).serialize(make(keras))
    if isinstance(theirs, str):
        assert ours == theirs
    else:
        assert {k: v for k, v in ours.items() if k != "config"}.items() >= {
            "class_name": theirs["class_name"]
        }.items()
        assert ours["module"].split(".")[0] in ("keras", "builtins")
    text = json.loads(json.dumps(ours))
    for entry in (text, json.loads(json.dumps(theirs))):
        for root in (hotloop, keras):
            if "class_name" in entry and entry["class_name"] == "function" and root is keras:
                continue  # which refuses its own losses
            again = at(root).deserialize(entry)
            if hasattr(again, "get_config"):
                kept = at(root).serialize(again)["config"]
                wanted = at(root).serialize(make(root))["config"]
                for name in ("name", "dtype"):
                    kept.pop(name, None), wanted.pop(name, None)
                assert kept == wanted
            elif root is hotloop or module == "activations":
                assert again is make(root)


def test_data_of_every_kind():
    data = [1, (2, regularizers.L2(0.5)), {"a": np.ones(3), "b": b"x"}, slice(1, 2), ..., None]
    ours = saving.serialize_keras_object(data)
    theirs = keras.saving.serialize_keras_object(
        [1, (2, keras.regularizers.L2(0.5)), {"a": np.ones(3), "b": b"x"}, slice(1, 2), ..., None]
    )
    assert ours == theirs
    again = saving.deserialize_keras_object(json.loads(json.dumps(theirs)))
    assert again[1][1].l2 == 0.5
    np.testing.assert_array_equal(again[2]["a"], np.ones(3))
    assert again[2]["b"] == b"x"
    assert again[3:] == [slice(1, 2), ..., None]


def test_what_is_not_known_is_named():
    for entry in (
        {"class_name": "Nope", "config": {}},
        {"class_name": "Nope", "config": {}, "module": "keras.layers", "registered_name": None},
        {"class_name": "Nope", "config": {}, "module": "keras.losses", "registered_name": None},
        {"class_name": "function", "config": "Nope", "module": "m", "registered_name": "Nope"},
    ):
        with pytest.raises(ValueError, match=r"Nope.*register_keras_serializable"):
            saving.deserialize_keras_object(entry)
    for module in (losses, metrics, optimizers, regularizers, initializers, constraints, layers):
        with pytest.raises(ValueError, match=r"Nope.*register_keras_serializable"):
            module.deserialize({"class_name": "Nope", "config": {}})
    with pytest.raises(ValueError, match="code"):
        saving.deserialize_keras_object({"class_name": "__lambda__", "config": {"value": "x"}})


# ------------------------------------------------------------------------ files


class Net(hotloop.Model):
    def __init__(self, units=3, **options):
        super().__init__(**options)
        self.hidden = layers.Dense(units, "tanh")
        self.out = layers.Dense(1)

    def call(self, x):
        return self.out(self.hidden(x))


class Stack(hotloop.Model):
    """Builds itself of inputs and outputs."""

    def __init__(self, units, **options):
        x = hotloop.Input((4,))
        super().__init__(x, layers.Dense(1)(layers.Dense(units, "tanh")(x)), **options)


class Chain(hotloop.Sequential):
    def __init__(self, units):
        super().__init__([layers.Input((4,)), layers.Dense(units), layers.Dense(1)])


class Passing(hotloop.Model):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)


def passing(units):
    x = hotloop.Input((4,))
    return Passing(x, layers.Dense(1)(layers.Dense(units)(x)))


@pytest.mark.parametrize("make", [Net, Stack, Chain, passing])
@pytest.mark.parametrize("way", ["hotloop", "keras", "pickle", "clone", "in a model"])
def test_classes_of_models(make, way, tmp_path):
    model = make(5)
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    own = {type(model).__name__: type(model)}
    x = X
    if way == "pickle":
        again = pickle.loads(pickle.dumps(model))
    elif way == "clone":
        again = hotloop.models.clone_model(model)
        again.set_weights(model.get_weights())
    elif way == "in a model":
        given = hotloop.Input((4,))
        model = hotloop.Model(given, model(given))
        model.save(tmp_path / "m.hotloop")
        again = load_model(tmp_path / "m.hotloop", own)
        own = {"Model": hotloop.Model}
    else:
        model.save(tmp_path / f"m.{way}")
        again = load_model(tmp_path / f"m.{way}", own)
    assert type(again) is next(iter(own.values()))
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def halved(y_true, y_pred):
    return 0.5 * (y_true - y_pred) ** 2


def largest(y_true, y_pred):
    return np.abs(y_true - y_pred).max(axis=-1)


def halves(shape, dtype=None):
    return np.full(shape, 0.5, dtype)


SUFFIXES = pytest.mark.parametrize("suffix", ["hotloop", "keras"])


@SUFFIXES
def test_a_class_of_ones_own_with_own_loss_and_metric(suffix, tmp_path):
    path = tmp_path / f"m.{suffix}"
    model = Net(5)
    model.compile("adam", halved, metrics=[largest])
    model.fit(X, Y, epochs=2, verbose=0)
    model.save(path)
    own = {"Net": Net, "halved": halved, "largest": largest}
    loaded = load_model(path, custom_objects=own)
    assert type(loaded) is Net
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    assert loaded.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    assert loaded.optimizer.iterations == 2
    for one in (model, loaded):
        one.fit(X, Y, epochs=1, shuffle=False, verbose=0)
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with saving.custom_object_scope(own):
        assert type(load_model(path)) is Net
    for name in own:
        rest = {key: thing for key, thing in own.items() if key != name}
        with pytest.raises(ValueError, match=rf"{name}.*register_keras_serializable"):
            load_model(path, custom_objects=rest)


@SUFFIXES
def test_what_is_registered_is_found(suffix, tmp_path):
    @saving.register_keras_serializable("mine")
    class Own(layers.Layer):
        def __init__(self, units, **options):
            super().__init__(**options)
            self.units = units

        def build(self, input_shape):
            self.w = self.add_weight((input_shape[-1], self.units), halves, "w")

        def call(self, x):
            return x @ self.w

        def get_config(self):
            return {"units": self.units}  # without a name

    saving.register_keras_serializable("mine")(halves)
    x = hotloop.Input((4,))
    model = hotloop.Model(x, layers.Dense(1, kernel_initializer=halves)(Own(3, name="first")(x)))
    model.save(tmp_path / f"m.{suffix}")
    loaded = load_model(tmp_path / f"m.{suffix}")
    assert loaded.layers[1].name == "first"
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    copy = hotloop.models.clone_model(model)
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    again = hotloop.models.model_from_json(model.to_json())
    assert again.layers[2].kernel_initializer is halves


@SUFFIXES
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.Dense(1, kernel_initializer=lambda shape, dtype=None: np.ones(shape)),
         r"Dense 'd': kernel_initializer.*lambda"),
        (lambda: layers.Dense(1, kernel_regularizer=lambda w: 0.0),
         r"Dense 'd': kernel_regularizer.*lambda"),
        (lambda: layers.Dense(1, lambda x: 2.0 * x), r"Dense 'd': activation.*lambda"),
        (lambda: Scaled(1, kernel_regularizer=_Unnamed()), "Scaled 'd'.*_Unnamed.*get_config"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_named(suffix, make, words, tmp_path):
    layer = make()
    layer.name = "d"
    x = hotloop.Input((4,))
    with pytest.raises(ValueError, match=words):
        hotloop.Model(x, layer(x)).save(tmp_path / f"m.{suffix}")
    assert not list(tmp_path.iterdir())


class _Unnamed:
    def __call__(self, w):
        return 0.0


def test_a_lambda_as_a_loss_is_named(tmp_path):
    model = hotloop.Sequential([layers.Dense(1, input_dim=4)])
    model.compile("sgd", loss=lambda t, p: (t - p) ** 2)
    for name in ("m.keras", "m.hotloop"):
        with pytest.raises(ValueError, match=r"ScalarLoss .*: function: .*lambda"):
            model.save(tmp_path / name)


class Counting(layers.Layer):
    """Has more in files than its weights."""

    seen = 0

    def build(self, input_shape):
        self.w = self.add_weight((input_shape[-1],), "ones", "w")

    def call(self, x):
        return x + self.w

    def save_own_variables(self, store):
        super().save_own_variables(store)
        store["seen"] = np.array(self.seen)

    def load_own_variables(self, store):
        self.w.assign(store["0"])
        self.seen = int(store["seen"])


@pytest.mark.parametrize("name", ["m.hotloop", "m.keras", "w.safetensors", "w.weights.h5"])
def test_own_variables(name, tmp_path):
    def make():
        return hotloop.Sequential([layers.Input((4,)), Counting(), layers.Dense(1)])

    model = make()
    model.layers[0].seen = 7
    model.layers[0].w.assign([1.0, 2.0, 3.0, 4.0])
    if name.startswith("w"):
        model.save_weights(tmp_path / name)
        loaded = make()
        loaded.load_weights(tmp_path / name)
    else:
        model.save(tmp_path / name)
        loaded = load_model(tmp_path / name, {"Counting": Counting})
    assert loaded.layers[0].seen == 7
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


@SUFFIXES
def test_own_compile_and_build_configurations(suffix, tmp_path):
    class Compiled(Net):
        def get_build_config(self):
            return {"features": self.inputs[0].shape[1]}

        def build_from_config(self, config):
            self.build((None, config["features"]))

        def compile(self, rate=0.1, **options):
            self.rate = rate
            super().compile(optimizers.SGD(rate), "mse")

        def get_compile_config(self):
            return {"rate": self.rate}

        def compile_from_config(self, config):
            self.compile(config["rate"])

    model = Compiled()
    model.compile(0.25)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / f"m.{suffix}")
    loaded = load_model(tmp_path / f"m.{suffix}", {"Compiled": Compiled})
    assert loaded.rate == 0.25
    assert loaded.optimizer.learning_rate == 0.25
    assert loaded.optimizer.iterations == 1


def test_build_and_compile_configurations_as_in_keras():
    for k in (hotloop, keras):
        model = k.Sequential([k.layers.Dense(2)])
        assert not model.get_compile_config()
        model.build((None, 4))
        model.compile("adam", "mse", metrics=["mae"])
        assert model.get_build_config()["input_shape"] == (None, 4)
        assert model.layers[0].get_build_config()["input_shape"] == (None, 4)
        given = model.get_compile_config()
        assert given["optimizer"]["class_name"] == "Adam"
        assert given["loss"] == "mse"
        again = k.Sequential([k.layers.Dense(2)])
        again.build_from_config(model.get_build_config())
        again.compile_from_config(given)
        assert again.count_params() == 10


def test_keras_reads_a_class_that_both_have(tmp_path):
    class Twice(layers.Layer):
        def __init__(self, times=2.0, **options):
            super().__init__(**options)
            self.times = times

        def call(self, x):
            return x * self.times

    class TheirTwice(keras.layers.Layer):
        def __init__(self, times=2.0, **options):
            super().__init__(**options)
            self.times = times

        def call(self, x):
            return x * self.times

    x = hotloop.Input((4,))
    model = hotloop.Model(x, Twice(3.0)(x))
    model.save(tmp_path / "m.keras")
    theirs = keras.models.load_model(tmp_path / "m.keras", {"Twice": TheirTwice})
    np.testing.assert_allclose(theirs.predict(X, verbose=0), 3 * X, 1e-6)
    theirs.save(tmp_path / "t.keras")
    ours = load_model(tmp_path / "t.keras", {"TheirTwice": Twice, "Twice": Twice})
    np.testing.assert_allclose(ours.predict(X, verbose=0), 3 * X, 1e-6)


class Largest(metrics.Metric):
    """The largest error."""

    def __init__(self, factor=1.0, name="largest", **options):
        super().__init__(name=name, **options)
        self.factor = factor
        self.reset_state()

    def update_state(self, y_true, y_pred, sample_weight=None):
        error = np.abs(np.asarray(y_true) - np.asarray(y_pred)).max()
        self.value = max(self.value, float(error))

    def result(self):
        return self.factor * self.value

    def reset_state(self):
        self.value = 0.0


class Slow(optimizers.SGD):
    def __init__(self, share=0.5, **options):
        super().__init__(**options)
        self.share = share


class Steps(optimizers.schedules.LearningRateSchedule):
    def __init__(self, first):
        self.first = first

    def rate(self, step):
        return self.first / (1.0 + step)


class Halves(initializers.Initializer):
    def __init__(self, half=0.5):
        self.half = half

    def __call__(self, shape, dtype=None):
        return np.full(shape, self.half, dtype)


@SUFFIXES
@pytest.mark.parametrize("way", ["custom_objects", "registered"])
def test_own_objects_of_every_kind(suffix, way, tmp_path):
    kinds = (Largest, Slow, Steps, Halves)
    if way == "registered":
        for kind in kinds:
            saving.register_keras_serializable("mine")(kind)
    model = hotloop.Sequential(
        [layers.Input((4,)), layers.Dense(1, kernel_initializer=Halves(0.25))]
    )
    rate = Steps(0.1)
    model.compile(Slow(0.75, learning_rate=rate, momentum=0.9), "mse", metrics=[Largest(2.0)])
    model.fit(X, Y, batch_size=5, epochs=2, verbose=0)
    model.save(tmp_path / f"m.{suffix}")
    given = {kind.__name__: kind for kind in kinds} if way == "custom_objects" else None
    loaded = load_model(tmp_path / f"m.{suffix}", custom_objects=given, safe_mode=False)
    assert loaded.layers[0].kernel_initializer.half == 0.25
    assert (type(loaded.optimizer), loaded.optimizer.share) == (Slow, 0.75)
    assert (type(loaded.optimizer.schedule), loaded.optimizer.schedule.first) == (Steps, 0.1)
    assert loaded.optimizer.momentum == 0.9
    assert loaded.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    for one in (model, loaded):
        one.fit(X, Y, epochs=1, shuffle=False, verbose=0)
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])


def test_code_in_a_file_is_refused_whatever_safe_mode_says(tmp_path):
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Lambda(lambda v: v * 2)(x))
    model.save(tmp_path / "m.keras")
    for safe_mode in (True, False):
        with pytest.raises(ValueError, match="code; files are never executed"):
            load_model(tmp_path / "m.keras", safe_mode=safe_mode)
