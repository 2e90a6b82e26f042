"""``.keras`` files: what Keras 3 saves predicts and trains on the same here, and the reverse."""

from __future__ import annotations

import inspect
import io
import json
import os
import zipfile

import numpy as np
import pytest

import hotloop
from hotloop.models import load_model

keras = pytest.importorskip("keras")
h5py = pytest.importorskip("h5py")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*structure of `inputs`.*:UserWarning"),
    pytest.mark.usefixtures("schedule_free_as_in_the_paper"),
]

# For each layer: its arguments, and the shapes of what it is called on.
LAYERS = {
    "Activation": [({"activation": a}, [(5,)]) for a in ("relu", "gelu", "softmax", "log_softmax")],
    "Add": [({}, [(5,), (5,), (5,)])],
    "AlphaDropout": [({"rate": 0.3}, [(5,)])],
    "Average": [({}, [(3, 5), (3, 5)])],
    "BatchNormalization": [
        ({}, [(5,)]),
        ({"center": False, "epsilon": 0.01}, [(5,)]),
        ({"scale": False, "momentum": 0.9}, [(3, 5)]),
    ],
    "CategoryEncoding": [({"num_tokens": 4, "output_mode": "multi_hot"}, [(3,)])],
    "Concatenate": [({}, [(5,), (1,), (2,)]), ({"axis": 1}, [(2, 3), (1, 3)])],
    "Dense": [
        ({"units": 7, "activation": "tanh"}, [(5,)]),
        ({"units": 1, "use_bias": False}, [(3, 5)]),
        (
            {
                "units": 3,
                "kernel_initializer": "he_normal",
                "bias_initializer": "ones",
                "kernel_regularizer": "l1",
                "bias_regularizer": "l2",
                "trainable": False,
            },
            [(5,)],
        ),
    ],
    "Discretization": [({"bin_boundaries": [-0.5, 0.1, 0.7]}, [(5,)])],
    "Dot": [({"axes": 1}, [(5,), (5,)]), ({"axes": -1}, [(5,), (5,)])],
    "Dropout": [({"rate": 0.3}, [(5,)]), ({"rate": 0.0, "seed": 4}, [(5,)])],
    "ELU": [({"alpha": 0.7}, [(5,)])],
    "Embedding": [({"input_dim": 4, "output_dim": 3}, [(3,)])],
    "Flatten": [({}, [(3, 5)]), ({}, [(5,)])],
    "GaussianDropout": [({"rate": 0.3}, [(5,)])],
    "GaussianNoise": [({"stddev": 0.3}, [(5,)])],
    "GlobalAveragePooling1D": [({}, [(3, 5)])],
    "GlobalMaxPooling1D": [({}, [(3, 5)])],
    "Identity": [({}, [(3, 5)])],
    "LayerNormalization": [
        ({}, [(5,)]),
        ({"epsilon": 0.01, "center": False}, [(3, 5)]),
        ({"scale": False}, [(5,)]),
    ],
    "LeakyReLU": [({"negative_slope": 0.1}, [(5,)])],
    "Maximum": [({}, [(5,), (5,)])],
    "Minimum": [({}, [(5,), (5,)])],
    "Multiply": [({}, [(5,), (5,), (5,)])],
    "Normalization": [({}, [(5,)]), ({"mean": 0.5, "variance": 2.0}, [(5,)])],
    "PReLU": [({}, [(5,)]), ({"shared_axes": [1], "alpha_constraint": "non_neg"}, [(3, 5)])],
    "Permute": [({"dims": [2, 1]}, [(3, 5)])],
    "RMSNormalization": [({}, [(5,)]), ({"epsilon": 0.01}, [(3, 5)])],
    "ReLU": [({"max_value": 0.5, "negative_slope": 0.1}, [(5,)])],
    "RepeatVector": [({"n": 3}, [(5,)])],
    "Rescaling": [({"scale": 0.3, "offset": -0.1}, [(5,)])],
    "Reshape": [({"target_shape": (5, 3)}, [(3, 5)]), ({"target_shape": (-1,)}, [(3, 5)])],
    "Softmax": [({}, [(5,)])],
    "Subtract": [({}, [(5,), (5,)])],
    "UnitNormalization": [({}, [(3, 5)])],
}
# Keras's lookups need TensorFlow, and code is refused.
NOT_HERE = {"InputLayer", "IntegerLookup", "Lambda", "Layer", "StringLookup"}
CASES = [
    (name, i)
    for name, cases in LAYERS.items()
    if hasattr(hotloop.layers, name)
    for i in range(len(cases))
]


def test_every_layer_is_tried():
    public = {n for n in hotloop.layers.__all__ if inspect.isclass(getattr(hotloop.layers, n))}
    assert public - NOT_HERE <= LAYERS.keys()


def one_layer(api, name, case):
    """A model of one layer, and data for it."""
    arguments, shapes = LAYERS[name][case]
    inputs = [api.Input(shape) for shape in shapes]
    layer = getattr(api.layers, name)(**arguments)
    model = api.Model(inputs, layer(inputs if len(inputs) > 1 else inputs[0]))
    rng = np.random.default_rng(case)
    model.set_weights([draw(rng, w) for w in model.get_weights()])
    if hasattr(model.layers[-1], "finalize_state"):  # Keras's Normalization computes from weights
        model.layers[-1].finalize_state()
    whole = name in ("Embedding", "CategoryEncoding")
    x = [
        rng.integers(0, 4, (6, *shape)) if whole else rng.normal(size=(6, *shape)).astype("f4")
        for shape in shapes
    ]
    return model, x


def draw(rng, weight):
    """Above 0, as the variances among the weights must be; counts stay as they are."""
    return rng.uniform(0.3, 1.5, weight.shape) if weight.dtype.kind == "f" else weight


def same(one, other, x):
    """Asserts that two models, of whatever library, predict the same."""
    found = predictions(one, x)
    for a, b in zip(found, predictions(other, x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    assert all(np.isfinite(a).all() for a in found)


def predictions(model, x):
    x = x if len(x) > 1 else x[0]
    # Keras's predict compiles for seconds what its call computes at once.
    found = model.predict(x, verbose=0) if isinstance(model, hotloop.Model) else model(x)
    found = found if isinstance(found, list) else [found]
    return [keras.ops.convert_to_numpy(a) for a in found]


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


def random_model(api, seed):
    """A model of several inputs and outputs, shared layers, models within, the same in both."""
    rng = np.random.default_rng(seed)
    layers = api.layers
    known = [api.Input((int(rng.integers(1, 12)),)) for _ in range(rng.integers(1, 4))]
    inputs = list(known)
    shared = []
    for _ in range(rng.integers(3, 14)):
        x = known[rng.integers(len(known))]
        width = x.shape[-1]
        units = int(rng.integers(1, 12))
        kind = rng.integers(9)
        alike = [v for v in known if v.shape[-1] == width]
        other = alike[rng.integers(len(alike))]
        if kind == 0:
            merge = ("Add", "Multiply", "Average", "Maximum", "Subtract")[rng.integers(5)]
            y = getattr(layers, merge)()([x, other])
        elif kind == 1:
            y = layers.Concatenate()([x, known[rng.integers(len(known))]])
        elif kind == 2:
            chain = [api.Input((width,)), layers.Dense(units, "relu"), layers.Dense(3, "tanh")]
            y = api.Sequential(chain[bool(seed % 2) :])(x)
        elif kind == 3:
            a, b = api.Input((width,)), api.Input((width,))
            ends = [layers.Dense(units)(layers.Add()([a, b])), layers.Dense(2)(b)]
            inner = api.Model([a, b], ends)
            y = inner([x, other])[0]
            known.append(inner([other, x])[rng.integers(2)])
        elif kind == 4 and shared:
            fitting = [layer for layer, features in shared if features == width]
            y = fitting[0](x) if fitting else layers.LeakyReLU(0.2)(x)
        elif kind == 5:
            y = layers.Flatten()(layers.Dense(units, "elu")(layers.RepeatVector(3)(x)))
        else:
            names = ("relu", "sigmoid", "selu", "softplus", "gelu", "linear", "silu", "softsign")
            layer = layers.Dense(units, names[rng.integers(8)], use_bias=bool(rng.integers(2)))
            shared.append((layer, width))
            y = layer(x)
        known.append(y)
    made = known[len(inputs) :]
    outputs = [made[-1], *(made[i] for i in rng.choice(len(made), min(2, len(made) - 1), False))]
    outputs = list({id(value): value for value in outputs}.values())
    model = api.Model(inputs, outputs)
    model.set_weights([rng.uniform(-1, 1, w.shape) for w in model.get_weights()])
    return model, [rng.normal(size=(5, *v.shape[1:])).astype("f4") for v in inputs]


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


def trained(api, optimizer, **options):
    layers = api.layers
    x = api.Input((4,))
    shared = layers.Dense(4, "tanh")
    joined = layers.Concatenate()([shared(x), shared(shared(x))])
    model = api.Model(x, layers.Dense(3)(joined))
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    model.compile(optimizer, **({"loss": "mse"} | options))
    fit(model)
    return model


def data():
    rng = np.random.default_rng(2)
    return rng.normal(size=(37, 4)).astype("f4"), rng.normal(size=(37, 3)).astype("f4")


def fit(model):
    x, y = data()
    return model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)


def go_on_alike(one, other):
    for model in (one, other):  # Keras's `iterations` are updates, `_iterations` are batches
        steps = getattr(model.optimizer, "_iterations", model.optimizer.iterations)
        assert int(np.asarray(steps)) == 10
    mine, theirs = fit(one).history, fit(other).history
    assert mine.keys() == theirs.keys()
    for name in mine:
        np.testing.assert_allclose(mine[name], theirs[name], rtol=1e-4, err_msg=name)
    x = [data()[0]]
    for a, b in zip(predictions(one, x), predictions(other, x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)


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

    assert "no Conv2D among its layers; it has Activation, Add" in refused(
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
    with pytest.raises(ValueError, match=rf"part.keras is not a complete \.keras file.*no {name} in it"):
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
        (name_a_function, "Unknown activation 'system'"),
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
    with pytest.raises(ImportError, match=r"pip install 'hotloop\[keras\]'"):
        load_model(saved)
    with pytest.raises(ImportError, match=r"pip install 'hotloop\[keras\]'"):
        simple().save(saved)


def test_h5_files_are_not_written(tmp_path):
    with pytest.raises(ValueError, match=r"m\.keras for Keras"):
        simple().save(tmp_path / "m.h5")
