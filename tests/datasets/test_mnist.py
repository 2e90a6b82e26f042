"""hotloop.datasets.mnist, from files that the tests make."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

import hotloop
from hotloop.datasets import files, mnist


def write(file, rows=5):
    rng = np.random.default_rng(0)
    file.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        "x_train": rng.integers(0, 256, (rows, 28, 28), dtype=np.uint8),
        "y_train": rng.integers(0, 10, rows, dtype=np.uint8),
        "x_test": rng.integers(0, 256, (2, 28, 28), dtype=np.uint8),
        "y_test": rng.integers(0, 10, 2, dtype=np.uint8),
    }
    np.savez(file, **arrays)
    return arrays


def assert_same(loaded, arrays):
    (x_train, y_train), (x_test, y_test) = loaded
    np.testing.assert_array_equal(x_train, arrays["x_train"])
    np.testing.assert_array_equal(y_train, arrays["y_train"])
    np.testing.assert_array_equal(x_test, arrays["x_test"])
    np.testing.assert_array_equal(y_test, arrays["y_test"])
    assert x_train.dtype == y_train.dtype == np.uint8


def test_it_is_reached_as_in_keras():
    assert hotloop.datasets.mnist.load_data is mnist.load_data


@pytest.mark.parametrize("as_folder", [True, False])
def test_path_is_a_file_or_its_folder(tmp_path, as_folder):
    arrays = write(tmp_path / "mnist.npz")
    assert_same(mnist.load_data(tmp_path if as_folder else tmp_path / "mnist.npz"), arrays)


@pytest.mark.parametrize("place", ["mnist.npz", "mnist/mnist.npz"])
def test_it_is_found_in_the_data_folder(tmp_path, monkeypatch, place):
    arrays = write(tmp_path / "data" / place)
    monkeypatch.setenv("HOTLOOP_DATA", str(tmp_path / "data"))
    assert_same(mnist.load_data(), arrays)


def test_path_comes_before_the_data_folder_and_that_before_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HOTLOOP_DATA", str(tmp_path / "data"))
    cached = write(files.cache_folder() / "mnist" / "mnist.npz", rows=3)
    assert_same(mnist.load_data(), cached)
    in_data = write(tmp_path / "data" / "mnist.npz", rows=4)
    assert_same(mnist.load_data(), in_data)
    given = write(tmp_path / "mine.npz", rows=6)
    assert_same(mnist.load_data(tmp_path / "mine.npz"), given)


def test_it_is_downloaded_once(server, monkeypatch):
    folder, address = server
    arrays = write(folder / "mnist.npz")
    sha256 = hashlib.sha256((folder / "mnist.npz").read_bytes()).hexdigest()
    source = replace(mnist._SOURCE, url=address + "mnist.npz", sha256=sha256)
    monkeypatch.setattr(mnist, "_SOURCE", source)
    assert_same(mnist.load_data(), arrays)
    (folder / "mnist.npz").unlink()
    assert_same(mnist.load_data(), arrays)


def test_nowhere_to_be_had():
    with pytest.raises(FileNotFoundError, match=r"mnist\.npz was not found"):
        mnist.load_data()


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "mnist.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ValueError, match=r"mnist\.npz"):
        mnist.load_data(tmp_path)
