"""``.keras`` files: what Keras 3 saves predicts and trains on the same here, and the reverse."""

from __future__ import annotations

import inspect
import io
import json
import os
import zipfile

import numpy as np
import pytest
from keras_models import (
    CASES,
    LAYERS,
    data,
    go_on_alike,
    one_layer,
    random_model,
    same,
    trained,
)

import hotloop
from hotloop.models import load_model

keras = pytest.importorskip("keras")
h5py = pytest.importorskip("h5py")

# Keras's lookups need TensorFlow, and code is refused.
NOT_HERE = {
    "InputSpec",
    "Wrapper",
    "InputLayer",
    "IntegerLookup",
    "Lambda",
    "Layer",
    "StringLookup",
}

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*structure of `inputs`.*:UserWarning"),
    pytest.mark.usefixtures("schedule_free_as_in_the_paper"),
]


def test_every_layer_is_tried():
    public = {n for n in hotloop.layers.__all__ if inspect.isclass(getattr(hotloop.layers, n))}
    assert public - NOT_HERE <= LAYERS.keys()


@pytest.mark.parametrize(("name", "case"), CASES)
def test_layer_saved_by_keras(name, case, tmp_path):
    model, x = one_layer(keras, name, case)
    model.save(tmp_path / "m.keras")
    same(model, load_model(tmp_path / "m.keras"), x)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_layer_read_by_keras(name, case, tmp_path):
    model, x = one_layer(hotloop, name, case)
    model.save(tmp_path / "m.keras")
    same(model, keras.saving.load_model(tmp_path / "m.keras"), x)
    same(model, load_model(tmp_path / "m.keras"), x)


@pytest.mark.parametrize("seed", range(15))
def test_random_models_go_both_ways(seed, tmp_path):
    model, x = random_model(keras, seed)
    model.save(tmp_path / "k.keras")
    loaded = load_model(tmp_path / "k.keras")
    same(model, loaded, x)
    loaded.save(tmp_path / "h.keras")
    same(model, keras.saving.load_model(tmp_path / "h.keras"), x)
    same(model, load_model(tmp_path / "h.keras"), x)


@pytest.mark.parametrize("seed", range(100, 108))
def test_random_models_made_here(seed, tmp_path):
    model, x = random_model(hotloop, seed)
    model.save(tmp_path / "h.keras")
    same(model, keras.saving.load_model(tmp_path / "h.keras"), x)
    same(model, load_model(tmp_path / "h.keras"), x)


def test_models_within_models(tmp_path):
    def build(api):
        layers = api.layers
        inner = api.Sequential([api.Input((4,)), layers.Dense(4, "tanh"), layers.Dense(4)])
        x = api.Input((4,))
        deep = api.Model(x, layers.Add()([inner(x), inner(inner(x))]))
        chain = [layers.Dense(4, input_shape=(3,))] if api is hotloop else [api.Input((3,))]
        chain += [] if api is hotloop else [layers.Dense(4)]
        model = api.Sequential([*chain, deep, layers.Dense(2)])
        rng = np.random.default_rng(0)
        model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
        return model

    x = [np.random.default_rng(1).normal(size=(5, 3)).astype("f4")]
    theirs, ours = build(keras), build(hotloop)
    same(theirs, ours, x)
    theirs.save(tmp_path / "k.keras")
    same(theirs, load_model(tmp_path / "k.keras"), x)
    ours.save(tmp_path / "h.keras")
    same(theirs, keras.saving.load_model(tmp_path / "h.keras"), x)


@pytest.mark.parametrize("shape", [(None, 3), (None, None, 3), (None, 5, None, 3)])
def test_a_model_that_was_built_for_open_lengths(shape, tmp_path):
    theirs = keras.Sequential([keras.layers.Dense(4, "tanh"), keras.layers.Dense(2)])
    theirs.build(shape)
    theirs.save(tmp_path / "k.keras")
    ours = load_model(tmp_path / "k.keras")
    assert ours.input_shape == shape
    x = np.random.default_rng(1).normal(size=[n or 4 for n in shape]).astype("f4")
    same(theirs, ours, [x])


def test_vocabularies_in_files_of_text(tmp_path):
    x = hotloop.Input((2,))
    lookup = hotloop.layers.StringLookup(vocabulary=["a", "b", "c"], output_mode="multi_hot")
    hotloop.Model(x, hotloop.layers.Dense(2)(lookup(x))).save(tmp_path / "m.keras")
    model = load_model(tmp_path / "m.keras")
    words = np.array([["b", "z"], ["c", "a"]])
    expected = model.predict(words, verbose=0)

    def empty(vocabulary):
        def change(entry):
            entry["config"]["layers"][1]["config"] |= {"vocabulary": vocabulary}
            entry["config"]["layers"][1]["config"] |= {"vocabulary_size": 4, "salt": None}

        return change

    learned = changed(tmp_path / "m.keras", empty(None))
    with zipfile.ZipFile(learned, "a") as archive:
        archive.writestr("assets/layers/string_lookup/vocabulary.txt", "[UNK]\na\nb\nc")
    np.testing.assert_array_equal(load_model(learned).predict(words, verbose=0), expected)
    with pytest.raises(ValueError, match="'/etc/hostname' is another file; it is not read"):
        load_model(changed(tmp_path / "m.keras", empty("/etc/hostname")))


# ------------------------------------------------------------------------ optimizers, compile

OPTIMIZERS = {
    "sgd": ("SGD", {"learning_rate": 0.05}),
    "momentum": ("SGD", {"learning_rate": 0.05, "momentum": 0.8, "nesterov": True}),
    "adam": ("Adam", {"learning_rate": 0.01}),
    "amsgrad": ("Adam", {"learning_rate": 0.01, "amsgrad": True, "beta_1": 0.8}),
    "adamw": ("AdamW", {"learning_rate": 0.01, "weight_decay": 0.01}),
    "rmsprop": ("RMSprop", {"learning_rate": 0.01, "momentum": 0.3, "centered": True}),
    "rmsprop momentum": ("RMSprop", {"learning_rate": 0.01, "momentum": 0.3}),
    "adagrad": ("Adagrad", {"learning_rate": 0.1}),
    "average": ("Adam", {"learning_rate": 0.01, "use_ema": True, "ema_momentum": 0.9}),
    "accumulating": ("SGD", {"momentum": 0.9, "gradient_accumulation_steps": 3}),
    "adadelta": ("Adadelta", {"learning_rate": 1.0}),
    "adamax": ("Adamax", {"learning_rate": 0.01}),
    "nadam": ("Nadam", {"learning_rate": 0.01}),
    "lion": ("Lion", {"learning_rate": 0.01}),
    "ftrl": ("Ftrl", {"learning_rate": 0.1}),
    "schedule-free": ("ScheduleFreeAdamW", {"learning_rate": 0.01, "warmup_steps": 4}),
    "schedule-free with all": (
        "ScheduleFreeAdamW",
        {"weight_decay": 0.1, "use_ema": True, "gradient_accumulation_steps": 3},
    ),
    "adafactor": ("Adafactor", {"learning_rate": 0.05, "clip_threshold": 0.5}),
    "muon": ("Muon", {"learning_rate": 0.01, "exclude_layers": ["dense_1"]}),
    "muon with all": (
        "Muon",
        {"learning_rate": 0.01, "use_ema": True, "gradient_accumulation_steps": 3},
    ),
    "lamb": ("Lamb", {"learning_rate": 0.01, "weight_decay": 0.1}),
    "adafactor with all": (
        "Adafactor",
        {"learning_rate": 0.05, "use_ema": True, "gradient_accumulation_steps": 3},
    ),
}


@pytest.mark.parametrize("key", OPTIMIZERS)
def test_training_goes_on_here_and_there(key, tmp_path):
    name, arguments = OPTIMIZERS[key]
    theirs = trained(keras, getattr(keras.optimizers, name)(**arguments))
    theirs.save(tmp_path / "k.keras")
    loaded = load_model(tmp_path / "k.keras")
    loaded.save(tmp_path / "h.keras")
    back = keras.saving.load_model(tmp_path / "h.keras")
    # Keras cannot fit a second time with use_ema; what it loads it can.
    go_on_alike(keras.saving.load_model(tmp_path / "k.keras"), loaded)
    go_on_alike(back, load_model(tmp_path / "k.keras"))


def test_an_optimizer_of_any_backend(tmp_path):
    """Keras calls Adam by another module where its backend has its own."""
    theirs = trained(keras, keras.optimizers.Adam(0.01, beta_1=0.8))
    theirs.save(tmp_path / "k.keras")
    with zipfile.ZipFile(tmp_path / "k.keras") as file:
        parts = {name: file.read(name) for name in file.namelist()}
    config = json.loads(parts["config.json"])
    modules = ("keras.optimizers", "keras.src.backend.torch.optimizers.torch_adam")
    assert config["compile_config"]["optimizer"]["module"] in modules
    for module in modules:
        config["compile_config"]["optimizer"]["module"] = module
        parts["config.json"] = json.dumps(config).encode()
        with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
            for name, content in parts.items():
                file.writestr(name, content)
        go_on_alike(load_model(tmp_path / "m.keras"), keras.saving.load_model(tmp_path / "k.keras"))


@pytest.mark.parametrize("key", OPTIMIZERS)
def test_training_begun_here_goes_on_there(key, tmp_path):
    name, arguments = OPTIMIZERS[key]
    ours = trained(hotloop, getattr(hotloop.optimizers, name)(**arguments))
    ours.save(tmp_path / "h.keras")
    go_on_alike(ours, keras.saving.load_model(tmp_path / "h.keras"))


def test_schedules_losses_and_metrics(tmp_path):
    def options(api):
        return {
            "loss": api.losses.Huber(2.0),
            "metrics": ["mae", api.metrics.RootMeanSquaredError(name="off")],
            "weighted_metrics": [api.metrics.MeanSquaredError()],
        }

    def schedule(api):
        return api.optimizers.schedules.ExponentialDecay(0.1, 7, 0.5, staircase=True)

    ours = trained(hotloop, hotloop.optimizers.SGD(schedule(hotloop)), **options(hotloop))
    ours.save(tmp_path / "h.keras")
    go_on_alike(ours, keras.saving.load_model(tmp_path / "h.keras"))
    plain = {"loss": "mse", "metrics": [keras.metrics.LogCoshError(name="off")]}
    theirs = trained(keras, keras.optimizers.SGD(schedule(keras)), **plain)
    theirs.save(tmp_path / "k.keras")
    loaded = load_model(tmp_path / "k.keras")
    assert isinstance(loaded.optimizer.schedule, hotloop.optimizers.schedules.ExponentialDecay)
    go_on_alike(theirs, loaded)
    assert not load_model(tmp_path / "k.keras", compile=False).compiled


def test_several_outputs_and_frozen_layers(tmp_path):
    def build(api):
        layers = api.layers
        a, b = api.Input((4,), name="a"), api.Input((3,), name="b")
        frozen = layers.Dense(4, "tanh", name="frozen", trainable=False)(a)
        joined = layers.Concatenate()([frozen, b])
        ends = [layers.Dense(1, name="u")(joined), layers.Dense(3, "softmax", name="v")(joined)]
        model = api.Model([a, b], ends)
        rng = np.random.default_rng(3)
        model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
        model.compile(
            api.optimizers.Adam(0.01),
            loss={"u": "mse", "v": "categorical_crossentropy"},
            loss_weights={"u": 0.5, "v": 2.0},
            metrics={"u": ["mae"], "v": ["accuracy"]},
        )
        return model

    x, y = data()
    x = [x, np.ascontiguousarray(y * 2)]
    targets = [y[:, :1], np.eye(3)[np.arange(37) % 3]]
    theirs = build(keras)
    theirs.fit(x, targets, batch_size=8, shuffle=False, verbose=0)
    theirs.save(tmp_path / "k.keras")
    ours = load_model(tmp_path / "k.keras")
    assert not ours.get_layer("frozen").trainable
    ours.save(tmp_path / "h.keras")
    back = keras.saving.load_model(tmp_path / "h.keras")
    for model in (theirs, ours, back):
        model.fit(x, targets, batch_size=8, shuffle=False, verbose=0)
    for model in (ours, back):
        for p, q in zip(model.predict(x, verbose=0), theirs.predict(x, verbose=0), strict=True):
            np.testing.assert_allclose(p, q, rtol=1e-4, atol=1e-5)
        found = model.evaluate(x, targets, verbose=0, return_dict=True)
        expected = theirs.evaluate(x, targets, verbose=0, return_dict=True)
        assert found == pytest.approx(expected, rel=1e-4)


def test_compiled_but_never_trained(tmp_path):
    for api, load in ((keras, load_model), (hotloop, keras.saving.load_model)):
        model = api.Sequential([api.Input((3,)), api.layers.Dense(2)])
        model.compile(api.optimizers.Adam(0.25), "mse")
        model.save(tmp_path / "m.keras")
        loaded = load(tmp_path / "m.keras")
        assert float(np.asarray(loaded.optimizer.learning_rate)) == 0.25
        assert int(np.asarray(loaded.optimizer.iterations)) == 0


# ------------------------------------------------------------------------ files


def simple():
    return hotloop.Sequential([hotloop.Input((3,)), hotloop.layers.Dense(2, name="last")])


def rewritten(source, target, **members):
    """A copy of an archive with some members replaced (or left out: None)."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as copy:
        for name in archive.namelist():
            data = members.get(name, archive.read(name))
            if data is not None:
                copy.writestr(name, data)


def changed(path, change):
    """The same file with another config.json."""
    with zipfile.ZipFile(path) as archive:
        entry = json.loads(archive.read("config.json"))
    change(entry)
    other = path.with_name("changed.keras")
    rewritten(path, other, **{"config.json": json.dumps(entry)})
    return other


def reweighted(path, change):
    """The same file with other arrays."""
    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content, "r+") as file:
        change(file)
    other = path.with_name("changed.keras")
    rewritten(path, other, **{"model.weights.h5": content.getvalue()})
    return other


@pytest.fixture
def saved(tmp_path):
    simple().save(tmp_path / "m.keras")
    return tmp_path / "m.keras"


def test_the_same_model_makes_the_same_file(tmp_path):
    model = trained(hotloop, "adam")
    model.save(tmp_path / "a.keras")
    model.save(tmp_path / "b.keras")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(tmp_path / "a.keras", overwrite=False)
    assert sorted(os.listdir(tmp_path)) == ["a.keras", "b.keras"]


def test_a_layer_of_ones_own(tmp_path):
    class Twice(hotloop.layers.Layer):
        def call(self, x):
            return hotloop.layers.Rescaling(2.0)(x)

    model = hotloop.Sequential([hotloop.Input((3,)), Twice(), hotloop.layers.Dense(2)])
    model.save(tmp_path / "m.keras")
    x = [np.ones((2, 3), "f4")]
    same(model, load_model(tmp_path / "m.keras", {"Twice": Twice}), x)
    with pytest.raises(ValueError, match=r"hotloop has no Twice among its layers; it has "):
        load_model(tmp_path / "m.keras")

    class Theirs(keras.layers.Layer):
        def call(self, x):
            return 2 * x

    same(model, keras.saving.load_model(tmp_path / "m.keras", {"Twice": Theirs}), x)


def test_activation_that_is_a_layer(tmp_path):
    layer = keras.layers.Dense(4, activation=keras.layers.LeakyReLU(negative_slope=0.4))
    model = keras.Sequential([keras.Input((3,)), layer])
    model.save(tmp_path / "m.keras")
    x = [np.random.default_rng(0).normal(size=(6, 3)).astype("f4")]
    loaded = load_model(tmp_path / "m.keras")
    same(model, loaded, x)
    loaded.save(tmp_path / "h.keras")
    same(model, keras.saving.load_model(tmp_path / "h.keras"), x)


def test_what_hotloop_does_not_have(tmp_path):
    def refused(*layers, shape=(4, 4, 1)):
        keras.Sequential([keras.Input(shape), *layers]).save(tmp_path / "m.keras")
        with pytest.raises(ValueError, match=r"m\.keras") as caught:
            load_model(tmp_path / "m.keras")
        return str(caught.value)

    assert "no Conv2D among its layers; it has Activation, Act" in refused(
        keras.layers.Conv2D(2, 3)
    )
    assert "files are never executed" in refused(keras.layers.Lambda(lambda x: 2 * x))
    assert "mixed_float16" in refused(keras.layers.Dense(2, dtype="mixed_float16"), shape=(3,))
    assert "'sin'" in refused(keras.layers.Activation(keras.ops.sin))


def test_operations_outside_of_layers_are_refused(tmp_path):
    x = keras.Input((3,))
    keras.Model(x, x + keras.layers.Dense(3)(x)).save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"the operation Add outside of any layer.*Add\(\)"):
        load_model(tmp_path / "m.keras")


def test_layers_shared_by_two_models_are_refused(tmp_path):
    def build(api):
        layer = api.layers.Dense(3, name="both")
        a, x = api.Input((3,)), api.Input((3,))
        return api.Model(x, layer(api.Model(a, layer(a))(x)))

    build(keras).save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"Dense 'both' has 2 weights.*two models share"):
        load_model(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="'both' is part of two"):
        build(hotloop).save(tmp_path / "h.keras")
    assert not (tmp_path / "h.keras").exists()


@pytest.mark.parametrize(
    ("name", "of_keras"),
    [("absolute", lambda x: keras.ops.absolute(x)), ("own_cubes", lambda x: x * x * x)],
)
def test_an_activation_that_keras_does_not_have(name, of_keras, tmp_path):
    """Keras takes it from custom_objects, as functions of its own."""
    if name not in dir(hotloop.activations):
        hotloop.activations.register(name, lambda x: x * x * x)
    x = hotloop.Input((3,))
    y = hotloop.layers.Activation(name)(hotloop.layers.Dense(2, name)(x))
    model = hotloop.Model(x, y)
    model.save(tmp_path / "m.keras")
    given = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    expected = model.predict(given, verbose=0)
    theirs = keras.models.load_model(tmp_path / "m.keras", custom_objects={name: of_keras})
    np.testing.assert_allclose(theirs.predict(given, verbose=0), expected, 1e-5, 1e-6)
    ours = load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(ours.predict(given, verbose=0), expected)


@pytest.mark.parametrize("name", hotloop.activations._BY_NAME)
def test_whether_keras_has_an_activation(name):
    try:
        known = callable(keras.activations.get(name))
    except ValueError:
        known = False
    assert hotloop.activations.is_of_keras(name) == known


def test_a_loss_that_hotloop_does_not_have(tmp_path):
    @keras.saving.register_keras_serializable()
    class Quartic(keras.losses.Loss):
        def call(self, y_true, y_pred):
            return keras.ops.mean((y_true - y_pred) ** 4, axis=-1)

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", loss=Quartic())
    model.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"Quartic.*compile=False"):
        load_model(tmp_path / "m.keras")
    assert not load_model(tmp_path / "m.keras", compile=False).compiled


def test_a_file_cut_anywhere_gives_a_clear_error(saved, tmp_path):
    whole = saved.read_bytes()
    for part in (0, 10, len(whole) // 3, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        (tmp_path / "cut.keras").write_bytes(whole[:part])
        with pytest.raises(ValueError, match=r"cut.keras is not a complete \.keras file"):
            load_model(tmp_path / "cut.keras")
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "none.keras")


def test_a_damaged_file_never_crashes(saved):
    with zipfile.ZipFile(saved) as archive:
        whole = archive.read("model.weights.h5")
    rng = np.random.default_rng(0)
    other = saved.with_name("damaged.keras")
    refused = 0
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 12):
            data[place] = rng.integers(256)
        rewritten(saved, other, **{"model.weights.h5": bytes(data)})
        try:
            load_model(other)
        except ValueError as error:
            refused += 1
            assert "damaged.keras" in str(error)  # noqa: PT017
    assert refused > 10


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_a_missing_part(name, saved, tmp_path):
    rewritten(saved, tmp_path / "part.keras", **{name: None})
    with pytest.raises(
        ValueError, match=rf"part.keras is not a complete \.keras file.*no {name} in it"
    ):
        load_model(tmp_path / "part.keras")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1, 2]",
        "{}",
        '{"class_name": 3, "config": 4}',
        '{"class_name": "Sequential"}',
        '{"class_name": "Sequential", "config": {"name": "a", "layers": [{}]}}',
        "[" * 100_000,
    ],
)
def test_a_config_that_is_none(text, saved, tmp_path):
    rewritten(saved, tmp_path / "odd.keras", **{"config.json": text})
    with pytest.raises(ValueError, match=r"odd\.keras"):
        load_model(tmp_path / "odd.keras")


def test_files_of_keras_2_are_refused(saved, tmp_path):
    metadata = json.dumps({"keras_version": "2.15.0"})
    rewritten(saved, tmp_path / "old.keras", **{"metadata.json": metadata})
    with pytest.raises(ValueError, match=r"Keras 2\.15\.0; open it with Keras 3"):
        load_model(tmp_path / "old.keras")


def test_arguments_that_change_something_are_not_passed_over(saved):
    def set_argument(value):
        def change(entry):
            entry["config"]["layers"][1]["config"]["quantization_config"] = value

        return change

    assert load_model(changed(saved, set_argument(None))).count_params() == 8
    with pytest.raises(ValueError, match=r"Dense 'last': hotloop has no argument quantization_con"):
        load_model(changed(saved, set_argument({"mode": "int8"})))


def test_code_in_a_config_is_not_run(saved):
    def name_a_function(entry):
        entry["config"]["layers"][1]["config"]["activation"] = {
            "module": "os",
            "class_name": "function",
            "config": "system",
            "registered_name": "system",
        }

    def name_a_class(entry):
        entry["config"]["layers"][1]["config"]["kernel_initializer"] = {
            "module": "keras.initializers",
            "class_name": "Any",
            "config": {},
        }

    def pack_a_lambda(entry):
        entry["config"]["layers"][1]["config"]["activation"] = {
            "class_name": "__lambda__",
            "config": {"value": ["4wAAAAA", None, None]},
        }

    for change, what in (
        (name_a_function, "there is no function 'system' known"),
        (name_a_class, "hotloop has no Any among its initializers"),
        (pack_a_lambda, "it has a Lambda layer, that is, code; files are never executed"),
    ):
        with pytest.raises(ValueError, match=what):
            load_model(changed(saved, change))


def test_weights_that_do_not_fit(saved):
    def reshape(file):
        del file["layers/dense/vars/0"]
        file["layers/dense/vars/0"] = np.zeros((2, 2))

    def remove(file):
        del file["layers/dense/vars/1"]

    def text(file):
        del file["layers/dense/vars/1"]
        file["layers/dense/vars/1"] = np.array([b"a", b"b"])

    def add(file):
        file["layers/dense_1/vars/0"] = np.zeros(3)

    def soft(file):
        del file["layers/dense/vars/1"]
        file["layers/dense/vars/1"] = h5py.SoftLink("/layers/dense/vars/0")

    def elsewhere(file):
        del file["layers/dense/vars/1"]
        file["layers/dense/vars/1"] = h5py.ExternalLink("other.h5", "/secret")

    def raw(file):
        del file["layers/dense/vars/1"]
        outside = [("/etc/hostname", 0, 8)]
        file.create_dataset("layers/dense/vars/1", (2,), "f4", external=outside)

    for change, what in (
        (reshape, r"the kernel of Dense 'last' has shape \(2, 2\).*expected \(3, 2\)"),
        (remove, r"Dense 'last' has 2 weights, the file holds 1"),
        (text, "holds .S1; expected numbers"),
        (add, "no place for: layers/dense_1/vars/0"),
        (soft, "is a link to elsewhere"),
        (elsewhere, "is a link to elsewhere"),
        (raw, "kept in another file"),
    ):
        with pytest.raises(ValueError, match=what):
            load_model(reweighted(saved, change))


def test_a_member_that_unpacks_to_a_thousand_times_its_size_is_not_read(saved, tmp_path):
    other = tmp_path / "bomb.keras"
    with zipfile.ZipFile(saved) as archive, zipfile.ZipFile(other, "w") as copy:
        copy.writestr("config.json", b" " * (1 << 24), zipfile.ZIP_DEFLATED)
        copy.writestr("model.weights.h5", archive.read("model.weights.h5"))
    with pytest.raises(ValueError, match="claims to hold 16777216 bytes"):
        load_model(other)


def test_without_h5py_the_error_says_what_to_install(saved, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install h5py"):
        load_model(saved)
    with pytest.raises(ImportError, match=r"pip install h5py"):
        simple().save(saved)


def test_h5_files_are_not_written(tmp_path):
    with pytest.raises(ValueError, match=r"m\.keras for Keras"):
        simple().save(tmp_path / "m.h5")
