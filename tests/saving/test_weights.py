"""Weights in files: what comes back, and files that are no weights of this model."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import hotloop
from hotloop.layers import Dense, Flatten, Input


def model_of(units=3, dtype=None):
    return hotloop.Sequential(
        [
            Input((2, 2), dtype=dtype),
            Flatten(),
            Dense(units, dtype=dtype),
            Dense(2, use_bias=False, dtype=dtype),
        ]
    )


@pytest.fixture
def saved(tmp_path):
    model = model_of()
    model.save_weights(tmp_path / "w.safetensors")
    return model, tmp_path / "w.safetensors"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_round_trip(tmp_path, dtype, backend):
    a, b = model_of(dtype=dtype), model_of(dtype=dtype)
    a.compile("adam", "mse")
    a.fit(np.ones((4, 2, 2)), np.ones((4, 2)), verbose=0)
    a.save_weights(str(tmp_path / "w.safetensors"))
    b.load_weights(str(tmp_path / "w.safetensors"))
    assert all(map(np.array_equal, a.get_weights(), b.get_weights()))
    assert b.get_weights()[0].dtype == dtype
    x = np.random.default_rng(0).normal(size=(3, 2, 2))
    np.testing.assert_array_equal(a.predict(x, verbose=0), b.predict(x, verbose=0))


def test_names_count_layers_not_models(saved):
    names = ["1.0.kernel", "1.1.bias", "2.0.kernel"]
    assert sorted(load_file(saved[1])) == names
    assert sorted(path.name for path in saved[1].parent.iterdir()) == ["w.safetensors"]


def test_nested_models(tmp_path):
    def nested():
        inner = hotloop.Sequential([Dense(3, input_dim=4), Dense(3)])
        return hotloop.Sequential([inner, Dense(1)])

    a, b = nested(), nested()
    a.save_weights(tmp_path / "w")
    b.load_weights(tmp_path / "w")
    assert all(map(np.array_equal, a.get_weights(), b.get_weights()))


def test_other_floats_are_cast(saved):
    model, path = saved
    tensors = load_file(path)
    save_file({k: v.astype("float64") for k, v in tensors.items()}, path)
    other = model_of()
    other.load_weights(path)
    assert all(map(np.array_equal, model.get_weights(), other.get_weights()))


def test_overwrite(saved):
    model, path = saved
    before = path.read_bytes()
    model.set_weights([w + 1 for w in model.get_weights()])
    with pytest.raises(FileExistsError, match="exists already; pass overwrite=True"):
        model.save_weights(path, overwrite=False)
    assert path.read_bytes() == before
    model.save_weights(path)
    assert path.read_bytes() != before


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        model_of().load_weights(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        model_of().save_weights(tmp_path / "no" / "folder")


def spoiled(path, how):
    content = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "short": content[:-5],
            "half": content[: len(content) // 2],
            "header": content[:4],
            "text": b"these are no weights at all, but some words",
            "longer": content + b"more",
            "flipped": bytes([255] * 8) + content[8:],
        }[how]
    )


@pytest.mark.parametrize("how", ["empty", "short", "half", "header", "text", "longer", "flipped"])
def test_spoiled_files(saved, how):
    model, path = saved
    before = model.get_weights()
    spoiled(path, how)
    with pytest.raises(
        ValueError,
        match=r"w.safetensors is not a complete safetensors file.*(truncated, corrupt|but text)",
    ):
        model.load_weights(path)
    assert all(map(np.array_equal, before, model.get_weights()))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("1.1.bias"), "another model: it has no 1.1.bias"),
        (lambda t: t.update({"7.0.x": np.zeros(1, "f4")}), "another model: the model has no 7.0.x"),
        (
            lambda t: t.update({"1.0.kernel": np.zeros((4, 9), "f4")}),
            r"kernel of Dense '.*' has shape \(4, 9\) in 1.0.kernel; expected \(4, 3\)",
        ),
        (lambda t: t.clear(), "it has no 1.0.kernel, 1.1.bias, 2.0.kernel"),
    ],
)
def test_weights_of_another_model(saved, change, words):
    model, path = saved
    tensors = {name: np.full_like(value, 7.0) for name, value in load_file(path).items()}
    change(tensors)
    save_file(tensors, path)
    before = model.get_weights()
    with pytest.raises(ValueError, match=words):
        model.load_weights(path)
    assert all(map(np.array_equal, before, model.get_weights()))


def test_a_failing_write_leaves_the_old_file(saved, monkeypatch):
    import os

    model, path = saved
    before = path.read_bytes()
    model.set_weights([w + 1 for w in model.get_weights()])

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        model.save_weights(path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]
