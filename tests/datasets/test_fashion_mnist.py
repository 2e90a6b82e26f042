"""hotloop.datasets.fashion_mnist, from idx files that the tests make."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import replace

import numpy as np
import pytest

from hotloop.datasets import fashion_mnist, files, mnist

SHAPES = {
    "train-images-idx3-ubyte": (5, 28, 28),
    "train-labels-idx1-ubyte": (5,),
    "t10k-images-idx3-ubyte": (3, 28, 28),
    "t10k-labels-idx1-ubyte": (3,),
}


def write(folder, packed=True):
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for name, shape in SHAPES.items():
        values = np.random.default_rng(len(name)).integers(0, 10, shape, dtype=np.uint8)
        sizes = b"".join(size.to_bytes(4, "big") for size in shape)
        content = bytes([0, 0, 8, len(shape)]) + sizes + values.tobytes()
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
        arrays[name] = (values, hashlib.sha256(content).hexdigest())
    return arrays


def assert_same(loaded, arrays):
    for pair, part in zip(loaded, ("train", "t10k"), strict=True):
        np.testing.assert_array_equal(pair[0], arrays[f"{part}-images-idx3-ubyte"][0])
        np.testing.assert_array_equal(pair[1], arrays[f"{part}-labels-idx1-ubyte"][0])


def test_ten_classes():
    assert len(set(fashion_mnist.CLASSES)) == 10


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("inner", [".", "fashion-mnist"])
def test_path_is_a_folder_of_idx_files(tmp_path, packed, inner):
    arrays = write(tmp_path / inner, packed)
    assert_same(fashion_mnist.load_data(tmp_path), arrays)


def test_path_may_be_one_npz_file(tmp_path):
    x, y = np.zeros((2, 28, 28), np.uint8), np.ones(2, np.uint8)
    np.savez(tmp_path / "f.npz", x_train=x, y_train=y, x_test=x[:1], y_test=y[:1])
    (x_train, _), (_, y_test) = fashion_mnist.load_data(tmp_path / "f.npz")
    assert x_train.shape == (2, 28, 28)
    assert y_test.tolist() == [1]


def test_a_path_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="path"):
        fashion_mnist.load_data(tmp_path / "nothing")


def test_the_data_folder_needs_the_sets_own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOTLOOP_DATA", str(tmp_path))
    write(tmp_path)
    with pytest.raises(FileNotFoundError):
        fashion_mnist.load_data()
    arrays = write(tmp_path / "fashion-mnist")
    assert_same(fashion_mnist.load_data(), arrays)


def test_its_files_are_never_taken_for_mnist(tmp_path):
    write(tmp_path)
    with pytest.raises(FileNotFoundError):
        mnist.load_data(tmp_path)


def test_a_system_package_is_found(tmp_path, monkeypatch):
    arrays = write(tmp_path / "package")
    sources = tuple(
        replace(source, system=(tmp_path / "package",)) for source in fashion_mnist._SOURCES
    )
    monkeypatch.setattr(fashion_mnist, "_SOURCES", sources)
    assert_same(fashion_mnist.load_data(), arrays)


def test_all_four_files_are_downloaded(server, monkeypatch):
    folder, address = server
    arrays = write(folder)
    sources = tuple(
        replace(source, url=address + source.name, sha256=arrays[source.aliases[0]][1])
        for source in fashion_mnist._SOURCES
    )
    monkeypatch.setattr(fashion_mnist, "_SOURCES", sources)
    assert_same(fashion_mnist.load_data(), arrays)
    kept = {file.name for file in (files.cache_folder() / "fashion-mnist").iterdir()}
    assert kept == {f"{name}.gz" for name in SHAPES}


def test_images_and_labels_must_belong_together(tmp_path):
    write(tmp_path, packed=False)
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 4]) + bytes(4))
    with pytest.raises(ValueError, match="5 images but there are 4 labels"):
        fashion_mnist.load_data(tmp_path)
