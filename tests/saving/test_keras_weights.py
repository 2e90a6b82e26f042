"""Weights in HDF5: ``.weights.h5`` of Keras 3, and the files of Keras 2."""

from __future__ import annotations

import json

import numpy as np
import pytest
from keras_models import CASES, go_on_alike, one_layer, random_model, same, trained

import hotloop
from hotloop.models import load_model, model_from_json

keras = pytest.importorskip("keras")
h5py = pytest.importorskip("h5py")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*structure of `inputs`.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*input_shape.*:UserWarning"),
    pytest.mark.usefixtures("schedule_free_as_in_the_paper"),
]


def shifted(model):
    """Other weights than it had."""
    model.set_weights([w + 1 if w.dtype.kind == "f" else w for w in model.get_weights()])


@pytest.mark.parametrize(("name", "case"), CASES)
def test_every_layer_goes_both_ways(name, case, tmp_path):
    theirs, x = one_layer(keras, name, case)
    ours, _ = one_layer(hotloop, name, case)
    shifted(ours)
    theirs.save_weights(tmp_path / "k.weights.h5")
    ours.load_weights(tmp_path / "k.weights.h5")
    same(theirs, ours, x)
    ours.save_weights(tmp_path / "h.weights.h5")
    again, _ = one_layer(keras, name, case)
    shifted(again)
    again.load_weights(tmp_path / "h.weights.h5")
    same(theirs, again, x)


@pytest.mark.parametrize("seed", range(12))
def test_random_models_go_both_ways(seed, tmp_path):
    theirs, x = random_model(keras, seed)
    ours, _ = random_model(hotloop, seed)
    shifted(ours)
    theirs.save_weights(tmp_path / "k.weights.h5")
    ours.load_weights(tmp_path / "k.weights.h5")
    same(theirs, ours, x)
    ours.save_weights(tmp_path / "h.weights.h5")
    shifted(theirs)
    theirs.load_weights(tmp_path / "h.weights.h5")
    same(theirs, ours, x)


def own_class(api):
    """A model of one's own whose layers are in attributes, lists, dicts and within a layer."""
    layers = api.layers

    class Twice(layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.second, self.first = layers.Dense(3, "tanh"), layers.Dense(3)

        def build(self, input_shape):
            self.scale = self.add_weight(shape=(3,), initializer="ones", name="scale")

        def call(self, x):
            return self.second(self.first(x)) + self.scale

    class Own(api.Model):
        def __init__(self):
            super().__init__()
            self.blocks = [layers.Dense(3, "relu") for _ in range(2)]
            self.table = {"a": layers.Dense(3), "b": [layers.BatchNormalization()]}
            self.inner = api.Sequential([layers.Dense(3), layers.Dropout(0.2), layers.Dense(3)])
            self.early = Twice()
            self.out = layers.Dense(1, activation=layers.PReLU())

        def call(self, x):
            for block in self.blocks:
                x = x + block(x)
            x = self.early(self.table["b"][0](self.table["a"](x)))
            return self.out(self.inner(x))

    model = Own()
    model.build((None, 3)) if api is hotloop else model(np.ones((2, 3), "f4"))
    return model


@pytest.mark.parametrize("compiled", [False, True])
def test_classes_of_ones_own(compiled, tmp_path):
    x = [np.random.default_rng(0).normal(size=(5, 3)).astype("f4")]
    theirs, ours = own_class(keras), own_class(hotloop)
    if compiled:
        for model in (theirs, ours):
            model.compile("adam", "mse")
            model.fit(x[0], x[0][:, :1], verbose=0)
    theirs.save_weights(tmp_path / "k.weights.h5")
    ours.load_weights(tmp_path / "k.weights.h5")
    same(theirs, ours, x)
    shifted(theirs)
    ours.save_weights(tmp_path / "h.weights.h5")
    theirs.load_weights(tmp_path / "h.weights.h5")
    same(theirs, ours, x)


def test_float64(tmp_path):
    def build(api):
        x = api.Input((3,), dtype="float64")
        layers = [api.layers.Dense(4, dtype="float64"), api.layers.Dense(2, dtype="float64")]
        return api.Model(x, layers[1](layers[0](x)))

    theirs, ours = build(keras), build(hotloop)
    theirs.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in ours.get_weights()])
    theirs.save_weights(tmp_path / "k.weights.h5")
    ours.load_weights(tmp_path / "k.weights.h5")
    for a, b in zip(theirs.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    ours.save_weights(tmp_path / "h.weights.h5")
    with h5py.File(tmp_path / "h.weights.h5") as file:
        assert file["layers/dense/vars/0"].dtype == "float64"
    shifted(theirs)
    theirs.load_weights(tmp_path / "h.weights.h5")
    for a, b in zip(theirs.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# ------------------------------------------------------------------------ load_weights


def small(api=hotloop, hidden=4, names=("a", "b", "c")):
    layers = api.layers
    x = api.Input((3,))
    y = layers.Dense(hidden, "tanh", name=names[0])(x)
    y = layers.Dense(5, name=names[1])(y)
    return api.Model(x, layers.Dense(2, name=names[2])(y))


def saved_every_way(folder, api=hotloop):
    model = small(api)
    shifted(model)
    paths = [folder / "w.weights.h5"]
    model.save_weights(paths[0])
    for name in ("m.keras", *(("m.hotloop",) if api is hotloop else ("m.h5",))):
        model.save(folder / name)
        paths.append(folder / name)
    if api is hotloop:
        model.save_weights(folder / "w.safetensors")
        paths.append(folder / "w.safetensors")
    return model, paths


@pytest.mark.parametrize("api", [hotloop, keras], ids=["ours", "theirs"])
def test_weights_of_every_format_whatever_its_name(api, tmp_path):
    model, paths = saved_every_way(tmp_path, api)
    for path in paths:
        for name in (path.name, "x", "x.safetensors", "x.keras", "x.bin"):
            path = path.rename(tmp_path / name)
            other = small()
            other.load_weights(path)
            for a, b in zip(other.get_weights(), model.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)
        path.unlink()


def test_skip_mismatch(tmp_path):
    model, paths = saved_every_way(tmp_path)
    for path in paths:
        other = small(hidden=6)
        before = other.get_weights()
        with pytest.raises(ValueError, match=r"kernel of Dense 'a' has shape \(3, 4\)"):
            other.load_weights(path)
        for a, b in zip(other.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)
        with pytest.warns(UserWarning, match="is skipped") as caught:
            other.load_weights(path, skip_mismatch=True)
        said = [str(w.message) for w in caught]
        assert len(said) == 2, said
        assert "Dense 'a' is skipped: the kernel of Dense 'a'" in said[0]
        assert "Dense 'b' is skipped" in said[1]
        assert caught[0].filename == __file__
        found = other.get_weights()
        np.testing.assert_array_equal(found[0], before[0])
        np.testing.assert_array_equal(found[4], model.get_weights()[4])


def test_another_number_of_layers(tmp_path):
    model, paths = saved_every_way(tmp_path)
    x = hotloop.Input((3,))
    shorter = hotloop.Model(x, hotloop.layers.Dense(4)(x))
    for path in paths:
        before = shorter.get_weights()
        with pytest.raises(ValueError, match=r"no place for|another model"):
            shorter.load_weights(path)
        np.testing.assert_array_equal(before[0], shorter.get_weights()[0])
        shifted(shorter)
        shorter.load_weights(path, skip_mismatch=True)
    for a, b in zip(shorter.get_weights(), model.get_weights()[:2], strict=True):
        np.testing.assert_array_equal(a, b)


def test_names_that_promise_another_format(tmp_path):
    model = small()
    for name, words in {
        "w.h5": r"w\.weights\.h5, as Keras demands",
        "w.keras": "hold whole models, which save",
        "w.hotloop": "hold whole models, which save",
        "w.onnx": "writes no ONNX files",
        "w.pt": "writes no PyTorch files",
        "w.npz": "writes no NumPy files",
    }.items():
        with pytest.raises(ValueError, match=words):
            model.save_weights(tmp_path / name)
        with pytest.raises(ValueError, match=words):
            hotloop.callbacks.ModelCheckpoint(tmp_path / name, save_weights_only=True)
    for name in ("w.weights.h5", "w.safetensors", "w.onnx", "w.h5", "w.hdf5", "w.pkl"):
        with pytest.raises(ValueError, match=r"name it w\.hotloop, or w\.keras for Keras"):
            model.save(tmp_path / name)
        with pytest.raises(ValueError, match=r"name it w\.hotloop, or w\.keras for Keras"):
            hotloop.callbacks.ModelCheckpoint(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["m.weights.h5", "m.safetensors", "m.keras", "m.hotloop", "m.any"])
def test_checkpoints_by_name(name, tmp_path):
    for weights_only in (False, True):
        if (name.split(".", 1)[1] in ("keras", "hotloop")) == weights_only and name != "m.any":
            continue
        model = small()
        model.compile("sgd", "mse")
        keep = hotloop.callbacks.ModelCheckpoint(tmp_path / name, save_weights_only=weights_only)
        model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0, callbacks=keep)
        other = small()
        other.load_weights(tmp_path / name)
        for a, b in zip(other.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        if name == "m.weights.h5":
            theirs = small(keras)
            theirs.load_weights(tmp_path / name)
            np.testing.assert_array_equal(theirs.get_weights()[0], model.get_weights()[0])


# ------------------------------------------------------------------------ whole models of Keras 2


@pytest.mark.parametrize("seed", range(8))
def test_whole_models_in_hdf5(seed, tmp_path):
    theirs, x = random_model(keras, seed)
    theirs.save(tmp_path / "k.h5")
    same(theirs, load_model(tmp_path / "k.h5"), x)
    ours, _ = random_model(hotloop, seed)
    shifted(ours)
    ours.load_weights(tmp_path / "k.h5")
    same(theirs, ours, x)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Nadam"])
def test_training_of_a_model_in_hdf5_goes_on(name, tmp_path):
    theirs = trained(keras, getattr(keras.optimizers, name)(0.01))
    theirs.save(tmp_path / "k.keras")
    theirs.save(tmp_path / "k.h5")
    go_on_alike(keras.saving.load_model(tmp_path / "k.keras"), load_model(tmp_path / "k.h5"))
    assert not load_model(tmp_path / "k.h5", compile=False).compiled


# As Keras 2.15 with TensorFlow wrote them.
SEQUENTIAL_OF_KERAS_2 = {
    "class_name": "Sequential",
    "config": {
        "name": "sequential",
        "layers": [
            {
                "class_name": "InputLayer",
                "config": {
                    "batch_input_shape": [None, 3],
                    "dtype": "float32",
                    "sparse": False,
                    "ragged": False,
                    "name": "dense_input",
                },
            },
            {
                "class_name": "Dense",
                "config": {
                    "name": "dense",
                    "trainable": True,
                    "dtype": "float32",
                    "batch_input_shape": [None, 3],
                    "units": 4,
                    "activation": "relu",
                    "use_bias": True,
                    "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}},
                    "bias_initializer": {"class_name": "Zeros", "config": {}},
                    "kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.01}},
                    "bias_regularizer": None,
                    "activity_regularizer": None,
                    "kernel_constraint": None,
                    "bias_constraint": None,
                },
            },
            {
                "class_name": "BatchNormalization",
                "config": {
                    "name": "batch_normalization",
                    "trainable": True,
                    "dtype": "float32",
                    "axis": [1],
                    "momentum": 0.99,
                    "epsilon": 0.001,
                    "center": True,
                    "scale": True,
                    "beta_initializer": {"class_name": "Zeros", "config": {}},
                    "gamma_initializer": {"class_name": "Ones", "config": {}},
                    "moving_mean_initializer": {"class_name": "Zeros", "config": {}},
                    "moving_variance_initializer": {"class_name": "Ones", "config": {}},
                    "beta_regularizer": None,
                    "gamma_regularizer": None,
                    "beta_constraint": None,
                    "gamma_constraint": None,
                },
            },
            {
                "class_name": "Dropout",
                "config": {
                    "name": "dropout",
                    "trainable": True,
                    "dtype": {
                        "module": "keras.mixed_precision",
                        "class_name": "Policy",
                        "config": {"name": "float32"},
                        "registered_name": None,
                    },
                    "rate": 0.5,
                    "noise_shape": None,
                    "seed": None,
                },
            },
        ],
    },
    "keras_version": "2.15.0",
    "backend": "tensorflow",
}


def node(*names, index=0):
    return [[[name, index, 0, {}] for name in names]]


def functional_of_keras_2():
    dense = SEQUENTIAL_OF_KERAS_2["config"]["layers"][1]["config"]
    dense = {key: value for key, value in dense.items() if key != "batch_input_shape"}
    inner = json.loads(json.dumps(SEQUENTIAL_OF_KERAS_2["config"])) | {"name": "inner"}
    inner["layers"][0]["config"]["batch_input_shape"] = [None, 8]
    inner["layers"][1]["config"].pop("batch_input_shape")
    entry = SEQUENTIAL_OF_KERAS_2["config"]["layers"][0]
    start = {**entry, "config": entry["config"] | {"name": "input_1"}}
    layers = [
        start | {"name": "input_1", "inbound_nodes": []},
        {"class_name": "Dense", "name": "d", "config": dense | {"name": "d"}}
        | {"inbound_nodes": node("input_1")},
        {"class_name": "Dense", "name": "e", "config": dense | {"name": "e"}}
        | {"inbound_nodes": node("input_1")},
        {
            "class_name": "Concatenate",
            "name": "c",
            "config": {"name": "c", "trainable": True, "dtype": "float32", "axis": -1},
            "inbound_nodes": node("d", "e"),
        },
        {"class_name": "Sequential", "name": "inner", "config": inner, "inbound_nodes": node("c")},
    ]
    config = {"name": "model", "trainable": True, "layers": layers}
    ends = {"input_layers": [["input_1", 0, 0]], "output_layers": [["inner", 0, 0]]}
    return {"class_name": "Functional", "config": config | ends, "keras_version": "2.15.0"}


TRAINING_OF_KERAS_2 = {
    "loss": "mean_squared_error",
    "metrics": [[{"class_name": "MeanMetricWrapper", "config": {"name": "mae", "fn": "mae"}}]],
    "weighted_metrics": None,
    "loss_weights": None,
    "optimizer_config": {
        "class_name": "Custom>Adam",
        "config": {
            "name": "Adam",
            "weight_decay": None,
            "clipnorm": None,
            "global_clipnorm": None,
            "clipvalue": None,
            "use_ema": False,
            "ema_momentum": 0.99,
            "ema_overwrite_frequency": None,
            "jit_compile": False,
            "is_legacy_optimizer": False,
            "learning_rate": 0.003,
            "beta_1": 0.9,
            "beta_2": 0.999,
            "epsilon": 1e-07,
            "amsgrad": False,
        },
    },
}


def write_as_keras_2(path, model, entry=None, order=None):
    """A file as Keras 2 wrote it: of weights, or with `entry` of a whole model."""
    with h5py.File(path, "w") as file:
        root = file
        if entry is not None:
            file.attrs["model_config"] = json.dumps(entry)
            file.attrs["training_config"] = json.dumps(TRAINING_OF_KERAS_2)
            root = file.create_group("model_weights")
            state = file.create_group("optimizer_weights")
            state.attrs["weight_names"] = [b"Adam/iter:0"]
            state["Adam/iter:0"] = np.int64(7)
        file.attrs["keras_version"] = root.attrs["keras_version"] = b"2.15.0"
        layers = order or model.layers
        root.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        for layer in layers:
            group = root.create_group(layer.name)
            weights = layer.trainable_weights + layer.non_trainable_weights
            names = [f"{w.path}_{i}:0" for i, w in enumerate(weights)]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, weights, strict=True):
                group[name] = weight.numpy()


@pytest.mark.parametrize("entry", [SEQUENTIAL_OF_KERAS_2, functional_of_keras_2()])
def test_models_of_keras_2(entry, tmp_path):
    model = model_from_json(json.dumps(entry))
    model.set_weights([np.random.default_rng(0).uniform(0.5, 1, w.shape) for w in model.weights])
    write_as_keras_2(tmp_path / "m.h5", model, entry)
    loaded = load_model(tmp_path / "m.h5")
    x = np.random.default_rng(1).normal(size=(5, 3))
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    assert loaded.optimizer.learning_rate == pytest.approx(0.003)
    assert loaded.optimizer.iterations == 7
    loaded.fit(x, loaded.predict(x, verbose=0), verbose=0)
    assert "mae" in loaded.history.history


def test_weights_of_keras_2(tmp_path):
    model = model_from_json(json.dumps(SEQUENTIAL_OF_KERAS_2))
    model.set_weights([np.random.default_rng(0).uniform(0.5, 1, w.shape) for w in model.weights])
    write_as_keras_2(tmp_path / "w.h5", model)
    other = model_from_json(json.dumps(SEQUENTIAL_OF_KERAS_2))
    other.load_weights(tmp_path / "w.h5")
    for a, b in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_by_name(tmp_path):
    model = small(names=("a", "b", "c"))
    shifted(model)
    write_as_keras_2(tmp_path / "w.h5", model, order=model.layers[::-1])
    other = small(names=("a", "new", "c"))
    before = other.get_weights()
    other.load_weights(tmp_path / "w.h5", by_name=True)
    for i, (found, expected) in enumerate(
        zip(other.get_weights(), model.get_weights(), strict=True)
    ):
        np.testing.assert_array_equal(found, before[i] if i in (2, 3) else expected)
    with pytest.raises(ValueError, match=r"kernel of Dense 'a' has shape \(3, 4\)"):
        small(hidden=7).load_weights(tmp_path / "w.h5", by_name=True)
    with pytest.warns(UserWarning, match="Dense 'a' is skipped"):
        small(hidden=7).load_weights(tmp_path / "w.h5", by_name=True, skip_mismatch=True)
    for name in ("w.weights.h5", "w.safetensors"):
        model.save_weights(tmp_path / name)
        with pytest.raises(ValueError, match=r"by_name=True is for .*Keras 2"):
            other.load_weights(tmp_path / name, by_name=True)


def test_structures_of_keras_3_as_json():
    for seed in range(4):
        theirs, x = random_model(keras, seed)
        ours = model_from_json(theirs.to_json())
        ours.set_weights(theirs.get_weights())
        same(theirs, ours, x)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "[" * 100_000, '{"class_name": "Model", "config": {}}', '{"a": 1}']
)
def test_json_that_describes_no_model(text):
    with pytest.raises(ValueError, match="json_string"):
        model_from_json(text)


# ------------------------------------------------------------------------ damage


def test_a_flipped_bit_anywhere_is_found(tmp_path):
    model = small()
    model.save_weights(tmp_path / "w.weights.h5")
    whole = (tmp_path / "w.weights.h5").read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 300):
        data = bytearray(whole)
        data[place] ^= 1 << rng.integers(8)
        (tmp_path / "bad.weights.h5").write_bytes(data)
        with pytest.raises(ValueError, match=r"bad\.weights\.h5"):
            model.load_weights(tmp_path / "bad.weights.h5")


def spoil(path, change):
    """Changes a file, and takes its checksum away."""
    with h5py.File(path, "r+") as file:
        del file.attrs["checksum"]
        change(file)
    path.write_bytes(path.read_bytes().replace(b"hotloop sha256:", b"not any more .."))


def test_hdf5_that_takes_more_than_it_holds(tmp_path):
    model = small()

    def replaced(make):
        def change(file):
            del file["layers/dense/vars/0"]
            make(file["layers/dense/vars"])

        return change

    def hollow(group):  # promised, never written
        group.create_dataset("0", (1 << 20, 1 << 10), "f4")

    def bomb(group):
        group.create_dataset("0", data=np.zeros((4096, 4096), "f4"), compression="gzip")

    def pieces(group):
        group.create_dataset("0", (3, 4), "f4", chunks=(1 << 12, 1 << 12), maxshape=(None, None))

    def virtual(group):
        source = h5py.VirtualSource("other.h5", "x", (3, 4))
        made = h5py.VirtualLayout((3, 4), "f4")
        made[:] = source
        group.create_virtual_dataset("0", made)

    def external(group):
        group.create_dataset("0", (3, 4), "f4", external=[("/etc/hostname", 0, 48)])

    def objects(group):
        group.create_dataset("0", data=np.full((3, 4), "a", object), dtype=h5py.string_dtype())

    def complexes(group):
        group["0"] = np.zeros((3, 4), complex)

    def references(group):
        group.create_dataset("0", (3, 4), h5py.ref_dtype)

    for make, words in (
        (hollow, "claims to hold"),
        (bomb, "claims to hold"),
        (pieces, r"packed in pieces|claims to hold"),
        (virtual, "in another file"),
        (external, "in another file"),
        (objects, "holds object"),
        (complexes, "holds complex128"),
        (references, "holds object"),
    ):
        path = tmp_path / f"{make.__name__}.weights.h5"
        model.save_weights(path)
        spoil(path, replaced(make))
        with pytest.raises(ValueError, match=words):
            model.load_weights(path)
