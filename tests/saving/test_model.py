"""Whole models in files: what comes back, and files that are no models."""

import json
import zipfile

import numpy as np
import pytest
from safetensors.numpy import load as tensors_of

import hotloop
from hotloop import layers, losses, metrics, optimizers
from hotloop.models import load_model, save_model


def chain(optimizer="adam", **options):
    hotloop.utils.set_random_seed(7)
    model = hotloop.Sequential(
        [layers.Input((4,)), layers.Dense(9, "relu"), layers.Dropout(0.3), layers.Dense(3)]
    )
    options = {"loss": losses.CategoricalCrossentropy(True, 0.1), "metrics": ["acc"]} | options
    model.compile(optimizer, **options)
    return model


def branches():
    hotloop.utils.set_random_seed(7)
    x = hotloop.Input((4,))
    layer = layers.Dense(4, "tanh")
    joined = layers.Concatenate()([layer(x), layer(layer(x)), layers.Dropout(0.2)(x)])
    inner = hotloop.Sequential([layers.Input((12,)), layers.Dense(3)], name="inner")
    model = hotloop.Model(x, inner(joined))
    model.compile(optimizers.AdamW(0.01, amsgrad=True), "mse")
    return model


def data(rows=40):
    rng = np.random.default_rng(2)
    return rng.normal(size=(rows, 4)), np.eye(3)[rng.integers(0, 3, rows)]


def fit(model, epochs=2):
    x, y = data()
    return model.fit(x, y, 8, epochs=epochs, shuffle=False, verbose=0)


OPTIMIZERS = {
    "sgd": lambda: optimizers.SGD(0.1),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: optimizers.Adam(0.02),
    "amsgrad": lambda: optimizers.Adam(0.02, amsgrad=True),
    "rmsprop": lambda: optimizers.RMSprop(0.01, momentum=0.3, centered=True),
    "adagrad": lambda: optimizers.Adagrad(0.1),
    "adadelta": lambda: optimizers.Adadelta(1.0),
    "adamax": lambda: optimizers.Adamax(0.01),
    "nadam": lambda: optimizers.Nadam(0.01),
    "lion": lambda: optimizers.Lion(0.01),
    "ftrl": lambda: optimizers.Ftrl(0.1),
    "schedule-free": lambda: optimizers.ScheduleFreeAdamW(0.01, warmup_steps=5),
    "adafactor": lambda: optimizers.Adafactor(0.05),
    "lamb": lambda: optimizers.Lamb(0.01),
    "muon": lambda: optimizers.Muon(0.01),
    "schedule": lambda: optimizers.Adam(optimizers.schedules.CosineDecay(0.05, 12)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_to_the_bit(name, tmp_path, backend):
    unbroken = chain(OPTIMIZERS[name]())
    fit(unbroken, 4)
    model = chain(OPTIMIZERS[name]())
    fit(model, 2)
    model.save(tmp_path / "m.hotloop")
    loaded = load_model(tmp_path / "m.hotloop")
    assert loaded.optimizer.iterations == model.optimizer.iterations == 10
    x, y = data()
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    assert loaded.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    fit(loaded, 2)
    for one, other in zip(loaded.get_weights(), unbroken.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_that_is_no_chain(tmp_path, backend):
    unbroken = branches()
    fit(unbroken, 4)
    model = branches()
    fit(model, 2)
    save_model(model, str(tmp_path / "m.hotloop"))
    loaded = load_model(str(tmp_path / "m.hotloop"))
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    fit(loaded, 2)
    for one, other in zip(loaded.get_weights(), unbroken.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "options",
    [
        {"metrics": ["accuracy", metrics.TopKCategoricalAccuracy(2, name="top")]},
        {"loss": "categorical_crossentropy", "weighted_metrics": ["mae"], "metrics": None},
        {"loss": losses.Huber(0.5, reduction="sum"), "metrics": [metrics.AUC(name="auc")]},
    ],
)
def test_losses_and_metrics_come_back(options, tmp_path):
    model = chain(**options)
    model.save(tmp_path / "m.hotloop")
    x, y = data()
    y = np.abs(y - 0.1)
    logs = [
        m.evaluate(x, y, verbose=0, return_dict=True)
        for m in (model, load_model(tmp_path / "m.hotloop"))
    ]
    assert logs[0] == logs[1]


def test_models_that_were_never_compiled_or_trained(tmp_path):
    for model in (hotloop.Sequential([layers.Dense(2, input_dim=3)]), chain()):
        model.save(tmp_path / "m.hotloop")
        loaded = load_model(tmp_path / "m.hotloop")
        assert loaded.compiled == model.compiled
        assert not load_model(tmp_path / "m.hotloop", compile=False).compiled
        for one, other in zip(loaded.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_same_model_makes_the_same_file(tmp_path):
    model = chain()
    fit(model)
    model.save(tmp_path / "a.hotloop")
    model.save(tmp_path / "b.hotloop")
    assert (tmp_path / "a.hotloop").read_bytes() == (tmp_path / "b.hotloop").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.hotloop") as archive:
        assert json.loads(archive.read("model.json"))["version"] == 1
        held = tensors_of(archive.read("weights.safetensors"))
    np.testing.assert_array_equal(held["0.0.kernel"], model.get_weights()[0])


class Doubled(layers.Layer):
    def call(self, x):
        return layers.add([x, x])


def test_layers_of_ones_own_are_given_by_name(tmp_path):
    x = hotloop.Input((2,))
    hotloop.Model(x, Doubled()(x)).save(tmp_path / "m.hotloop")
    with pytest.raises(ValueError, match="Unknown layer 'Doubled'"):
        load_model(tmp_path / "m.hotloop")
    loaded = load_model(tmp_path / "m.hotloop", custom_objects={"Doubled": Doubled})
    np.testing.assert_array_equal(loaded.predict([[1.0, 2.0]], verbose=0), [[2.0, 4.0]])


# --------------------------------------------------------------------- bad files


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "m.hotloop"
    chain().save(path)
    return path


@pytest.mark.parametrize("size", [0, 1, 100, 1000, -1, -200])
def test_truncated_files_are_refused(saved, size):
    saved.write_bytes(saved.read_bytes()[:size])
    with pytest.raises(ValueError, match="is not a complete hotloop model"):
        load_model(saved)


def rewritten(path, change):
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    content = json.loads(parts["model.json"])
    change(content)
    parts["model.json"] = json.dumps(content).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def narrower(content):
    content["model"]["config"]["layers"][0]["config"]["units"] = 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format="else"), "is not a hotloop model"),
        (lambda c: c.update(version=2), "in a format that this version does not know"),
        (lambda c: c["model"].update(class_name="os.system"), "Unknown layer 'os.system'"),
        (lambda c: c["model"].update(class_name="Dense", config={"units": 2}), "not a model"),
        (narrower, "holds the weights of another model"),
    ],
)
def test_files_of_something_else_are_refused(saved, change, message):
    rewritten(saved, change)
    with pytest.raises(ValueError, match=message):
        load_model(saved)


def test_files_are_only_replaced_where_that_is_wanted(saved, tmp_path):
    before = saved.read_bytes()
    with pytest.raises(FileExistsError, match="pass overwrite=True"):
        chain("sgd").save(saved, overwrite=False)
    assert saved.read_bytes() == before
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "nothing.hotloop")
    with pytest.raises(ValueError, match=r"name it m\.hotloop"):
        chain().save(tmp_path / "m.h5")
    with pytest.raises(ValueError, match="does not know its input shape yet"):
        hotloop.Sequential([layers.Dense(2)]).save(tmp_path / "n.hotloop")
    assert [path.name for path in tmp_path.iterdir()] == ["m.hotloop"]


def test_a_part_that_cannot_be_written_leaves_the_old_file(saved):
    before = saved.read_bytes()
    x = hotloop.Input((2,))
    loose = hotloop.Model(x, layers.Dense(2)(hotloop.activations.relu(x)))
    with pytest.raises(ValueError, match="made outside of any layer"):
        loose.save(saved)
    assert saved.read_bytes() == before
    assert len(list(saved.parent.iterdir())) == 1


@pytest.mark.parametrize("units", [10**6, 10**9, 10**12, 10**30])
def test_a_configuration_larger_than_the_file_takes_no_memory(units, saved):
    import tracemalloc

    def wider(content):
        for layer in content["model"]["config"]["layers"]:
            if layer["class_name"] == "Dense":
                layer["config"]["units"] = units

    rewritten(saved, wider)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"m\.hotloop"):
        load_model(saved)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 10 << 20


def test_a_configuration_names_no_other_files(saved):
    def look_up(content):
        config = {"name": "s", "vocabulary": "/etc/hostname"}
        content["model"]["config"]["layers"][0] = {"class_name": "StringLookup", "config": config}

    rewritten(saved, look_up)
    with pytest.raises(ValueError, match="'/etc/hostname' is another file; it is not read"):
        load_model(saved)


def test_nesting_that_is_too_deep(saved):
    def nest(content):
        for i in range(2000):
            outer = {"name": f"n{i}", "trainable": True, "layers": [content["model"]]}
            content["model"] = {"class_name": "Sequential", "config": outer}

    import sys

    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)  # to write it
    try:
        rewritten(saved, nest)
    finally:
        sys.setrecursionlimit(before)
    with pytest.raises(ValueError, match="nested too deeply"):
        load_model(saved)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"\x80\x04\x95" + bytes(50), "a pickle"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "HDF5 file"),
        (b"\x93NUMPY\x01\x00" + bytes(50), "an array of NumPy"),
        (b"\x08\x08\x12\x07pytorch\x1a\x05", "an ONNX model"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"some words", "but text"),
    ],
)
def test_files_of_other_kinds_are_called_what_they_are(content, words, tmp_path):
    pytest.importorskip("h5py")
    path = tmp_path / "other"
    path.write_bytes(content)
    for load in (load_model, chain().load_weights):
        with pytest.raises(ValueError, match=words) as caught:
            load(path)
        assert str(path) in str(caught.value)


def test_folders_and_archives_of_others_are_called_what_they_are(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ValueError, match="a TensorFlow SavedModel"):
        load_model(tmp_path)
    for member, words in {"a/data.pkl": "PyTorch", "x.npy": "npz archive of NumPy"}.items():
        with zipfile.ZipFile(tmp_path / "z", "w") as archive:
            archive.writestr(member, b"x")
        with pytest.raises(ValueError, match=words):
            chain().load_weights(tmp_path / "z")
