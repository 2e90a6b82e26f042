"""hotloop.datasets.files: search order, downloads that are whole or not there, file formats."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from hotloop.datasets import files

SOURCE = files.Source(
    name="numbers.npz",
    url="http://127.0.0.1:9/numbers.npz",
    sha256="",
    folder="numbers",
    aliases=("numbers.csv",),
)


def test_places_come_in_the_promised_order(tmp_path, monkeypatch):
    monkeypatch.setenv("HOTLOOP_DATA", str(tmp_path / "env"))
    system = tmp_path / "system"
    source = files.Source("a.npz", "", "", folder="a", system=(system,))
    (tmp_path / "given").mkdir()
    assert source.places(tmp_path / "given") == [
        tmp_path / "given" / "a.npz",
        tmp_path / "given" / "a" / "a.npz",
        tmp_path / "env" / "a" / "a.npz",
        tmp_path / "env" / "a.npz",
        tmp_path / "cache" / "hotloop" / "a" / "a.npz",
        system / "a.npz",
    ]


def test_a_shared_name_counts_only_in_the_data_sets_own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOTLOOP_DATA", str(tmp_path))
    source = files.Source("a.gz", "", "", folder="a", unique=False)
    assert tmp_path / "a.gz" not in source.places()
    assert tmp_path / "a" / "a.gz" in source.places()


def test_the_name_is_preferred_to_an_alias_and_an_alias_to_nothing(tmp_path):
    (tmp_path / "numbers.csv").touch()
    assert SOURCE.find(tmp_path) == tmp_path / "numbers.csv"
    (tmp_path / "numbers.npz").touch()
    assert SOURCE.find(tmp_path) == tmp_path / "numbers.npz"


def test_a_bare_name_is_looked_for_in_the_cache_as_keras_does(tmp_path):
    cached = files.cache_folder() / "numbers" / "mine.npz"
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert SOURCE.find("mine.npz") == cached


@pytest.mark.parametrize(
    ("platform", "end"),
    [("linux", ".cache/hotloop"), ("darwin", "Caches/hotloop"), ("win32", "Local/hotloop")],
)
def test_cache_folder_of_each_platform(platform, end, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(files.sys, "platform", platform)
    assert files.cache_folder().as_posix().endswith(end)


def served(server: tuple[Path, str], name: str, content: bytes, packed: bool = False):
    folder, address = server
    (folder / name).write_bytes(gzip.compress(content, mtime=0) if packed else content)
    return files.Source(name, address + name, hashlib.sha256(content).hexdigest(), folder="n")


@pytest.mark.parametrize(("name", "packed"), [("n.bin", False), ("n.gz", True)])
def test_download_is_checked_kept_and_not_repeated(server, name, packed):
    source = served(server, name, bytes(range(256)) * 1000, packed)
    kept = source.fetch()
    assert kept == files.cache_folder() / "n" / name
    assert kept.read_bytes() == (server[0] / name).read_bytes()
    (server[0] / name).unlink()
    assert source.fetch() == kept
    assert [file.name for file in kept.parent.iterdir()] == [name]


def test_download_goes_where_path_says(server, tmp_path):
    target = tmp_path / "new" / "here.bin"
    assert served(server, "n.bin", b"abc").fetch(target) == target
    assert target.read_bytes() == b"abc"


def test_wrong_content_is_refused_and_nothing_is_kept(server):
    source = served(server, "n.bin", b"expected")
    (server[0] / "n.bin").write_bytes(b"tampered")
    with pytest.raises(files.ChecksumError, match="SHA-256"):
        source.fetch()
    assert not list((files.cache_folder() / "n").iterdir())


def test_a_body_that_is_no_gzip_is_refused(server):
    source = served(server, "n.gz", b"expected", packed=True)
    (server[0] / "n.gz").write_bytes(b"<html>log in first</html>")
    with pytest.raises(files.ChecksumError, match="unreadable"):
        source.fetch()


@pytest.mark.parametrize("missing", ["on the server", "server"])
def test_without_the_file_one_error_says_where_and_what_to_do(server, missing, tmp_path):
    source = SOURCE if missing == "server" else served(server, "numbers.npz", b"x")
    if missing == "on the server":
        (server[0] / "numbers.npz").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        source.fetch(tmp_path)
    message = str(caught.value)
    assert source.url in message
    assert str(tmp_path / "numbers.npz") in message
    assert "HOTLOOP_DATA" in message
    assert "path=" in message


def idx(values: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, values.ndim])
    return head + b"".join(int(n).to_bytes(4, "big") for n in values.shape) + values.tobytes()


@pytest.mark.parametrize("shape", [(3,), (2, 4, 5), (0, 4, 5)])
@pytest.mark.parametrize("packed", [False, True])
def test_read_idx_gives_back_the_array(tmp_path, shape, packed):
    values = (np.arange(np.prod(shape)) % 256).astype(np.uint8).reshape(shape)
    file = tmp_path / ("v.gz" if packed else "v")
    file.write_bytes(gzip.compress(idx(values), mtime=0) if packed else idx(values))
    read = files.read_idx(file)
    assert read.dtype == np.uint8
    assert read.flags.writeable
    np.testing.assert_array_equal(read, values)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v", b"", "not an idx file"),
        ("v", b"GIF89a", "not an idx file"),
        ("v", b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "not an idx file"),
        ("v", b"\0\0\x08\x02\0\0\0\x01", "get it again"),
        ("v", b"\0\0\x08\x01\0\0\0\x05abc", "should hold 5 values"),
        ("v", b"\0\0\x08\x01\0\0\0\x02abc", "should hold 2 values"),
        ("v.gz", b"\0\0\x08\x01\0\0\0\0", "not a whole gzip"),
        ("v.gz", gzip.compress(bytes(1000), mtime=0)[:-12], "not a whole gzip"),
    ],
)
def test_read_idx_names_a_damaged_file(tmp_path, name, content, message):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        files.read_idx(file)
    assert str(file) in str(caught.value)


def test_read_npz_names_a_damaged_file_and_a_missing_array(tmp_path):
    file = tmp_path / "a.npz"
    np.savez(file, x=np.arange(3))
    np.testing.assert_array_equal(files.read_npz(file, ["x"])[0], [0, 1, 2])
    with pytest.raises(ValueError, match="arrays x, y"):
        files.read_npz(file, ["x", "y"])
    whole = file.read_bytes()
    for content in (whole[:40], b"", b"hello", whole[:-30]):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="get it again"):
            files.read_npz(file, ["x"])


def test_read_npz_never_unpickles(tmp_path):
    file = tmp_path / "a.npz"
    np.savez(file, x=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        files.read_npz(file, ["x"])


def test_shuffled_split_is_a_fixed_partition():
    x = np.arange(506)
    (train, _), (test, _) = files.shuffled_split(x, x, 0.2, seed=113)
    assert (len(train), len(test)) == (404, 102)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), x)
    assert train[:4].tolist() == [22, 202, 368, 335]


@pytest.mark.parametrize("test_split", [-0.1, 1.0, 2.0, float("nan")])
def test_shuffled_split_refuses_a_share_outside_its_range(test_split):
    with pytest.raises(ValueError, match="test_split"):
        files.shuffled_split(np.arange(3), np.arange(3), test_split, seed=0)
