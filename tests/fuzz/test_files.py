"""Good files of every format are damaged at random: they load as they were, or are refused."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import layers
from hotloop.models import load_model

h5py = pytest.importorskip("h5py")

# What loading may take beside some multiples of the file's size: plans, imports, caches.
ROOM = 100 << 20
HUGE = [10**12, 2**31, 2**63, 2**64, 10**30, -1, 0, 1e308, 0.5, float("nan"), float("inf")]
ODD: list[Any] = [*HUGE, None, True, "", "x", "/etc/passwd", [], {}, [[]], "os.system", "Lambda"]
ODD += [[10**12], {"class_name": "Lambda", "config": {}}, ["a"], "float16", "__lambda__", "Dense"]


def model_of() -> Any:
    hotloop.utils.set_random_seed(1)
    x = layers.Input((3,), name="in")
    y = layers.Dense(4, "relu", name="a")(x)
    y = layers.BatchNormalization(name="n")(layers.Dropout(0.1, name="d")(y))
    inner = hotloop.Sequential([layers.Input((4,)), layers.Dense(4, name="i")], name="inner")
    y = layers.Add(name="sum")([inner(y), y])
    model = hotloop.Model(x, layers.Dense(2, name="b")(y))
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    return model


X = np.random.default_rng(0).normal(size=(5, 3))


class Files:
    """A model, and good files of it: with checksums, and as other programs write them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.model = folder, model_of()
        self.expected = self.model.predict(X, verbose=0)
        self.config = self.model.get_config()
        for name in ("m.hotloop", "m.keras"):
            self.model.save(folder / name)
        for name in ("w.safetensors", "w.weights.h5"):
            self.model.save_weights(folder / name)
        backup = hotloop.callbacks.BackupAndRestore(folder, delete_checkpoint=False)
        self.model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0, callbacks=backup)
        self.model.load_weights(folder / "w.safetensors")
        files = ("m.hotloop", "m.keras", "w.safetensors", "w.weights.h5", "backup.safetensors")
        self.good = {name: (folder / name).read_bytes() for name in files}

    def load(self, name: str, data: bytes) -> Any:
        """What a file of this name and content predicts; None for a backup."""
        path = self.folder / f"bad-{name}"
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            if name.startswith("m."):
                model = load_model(path)
            elif name.startswith("backup"):
                return hotloop.files.state.load(path) and None
            else:
                model = hotloop.Model.from_config(self.config)
                model.load_weights(path)
        return model.predict(X, verbose=0)

    def refused(self, name: str, data: bytes) -> bool:
        """Whether it is refused, with an error that names the file, in little memory."""
        tracemalloc.start()
        try:
            self.load(name, data)
        except ValueError as error:
            if f"bad-{name}" not in str(error):
                raise AssertionError(f"an error without the file's name: {error}") from error
            return True
        except OSError as error:
            raise AssertionError(f"{type(error)}: {error}") from error
        finally:
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert most < ROOM + 200 * len(data), most
        return False


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("files"))


@pytest.fixture(autouse=True)
def nothing_is_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a file was executed")

    for module, name in ((os, "system"), (pickle, "loads"), (pickle, "load")):
        monkeypatch.setattr(module, name, refuse)


NAMES = ["m.hotloop", "m.keras", "w.safetensors", "w.weights.h5", "backup.safetensors"]


@pytest.mark.parametrize("name", NAMES)
def test_one_flipped_bit_is_always_found(name: str, files: Files, seeds: Any) -> None:
    for seed in seeds(60):
        rng = np.random.default_rng(seed)
        data = bytearray(files.good[name])
        place = int(rng.integers(len(data)))
        data[place] ^= 1 << int(rng.integers(8))
        assert files.refused(name, bytes(data)), f"byte {place}"


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """A few flips, cuts, copies, insertions, or numbers in place of others."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        size = len(out)
        if size < 20:
            break
        begin, length = int(rng.integers(size - 9)), int(rng.integers(1, 200))
        match int(rng.integers(6)):
            case 0:
                out[begin] = int(rng.integers(256))
            case 1:
                del out[begin:]
            case 2:
                del out[begin : begin + length]
            case 3:
                part = out[begin : begin + length]
                place = int(rng.integers(size))
                out[place:place] = part
            case 4:
                value = int(rng.choice([0, 1, 255, 1 << 16, 1 << 31, (1 << 32) - 1, 1 << 40]))
                out[begin : begin + 8] = value.to_bytes(8, "little")
            case 5:
                out[begin : begin + length] = rng.bytes(length)
    return bytes(out)


@pytest.mark.parametrize("name", NAMES)
def test_damage(name: str, files: Files, seeds: Any) -> None:
    for seed in seeds(60):
        data = damaged(files.good[name], np.random.default_rng(seed))
        assert files.refused(name, data) or data == files.good[name]


def unchecked(name: str, data: bytes) -> bytes:
    """The same file without a checksum: what comes to the checks behind it."""
    if name.endswith("safetensors"):
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        del header["__metadata__"]["checksum"], header["__metadata__"]["sha256"]
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + data[8 + length :]
    if name.endswith("h5"):
        with h5py.File(io.BytesIO(data)) as old, h5py.File(made := io.BytesIO(), "w") as new:
            for key in old:
                old.copy(key, new)
        return made.getvalue()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return zipped({one: archive.read(one) for one in archive.namelist()})


def zipped(members: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", how) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, how)
    return made.getvalue()


@pytest.mark.parametrize("name", ["w.safetensors", "w.weights.h5", "m.hotloop", "m.keras"])
def test_damage_behind_the_checksum(name: str, files: Files, seeds: Any) -> None:
    good = unchecked(name, files.good[name])
    np.testing.assert_array_equal(files.load(name, good), files.expected)
    for seed in seeds(80):
        files.refused(name, damaged(good, np.random.default_rng(seed)))


@pytest.mark.parametrize("name", ["m.hotloop", "m.keras"])
def test_members_of_archives(name: str, files: Files, seeds: Any) -> None:
    with zipfile.ZipFile(io.BytesIO(files.good[name])) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    for seed in seeds(80):
        rng = np.random.default_rng(seed)
        changed = dict(members)
        which = str(rng.choice(list(changed)))
        match int(rng.integers(3)):
            case 0:
                changed[which] = damaged(changed[which], rng)
            case 1:
                changed[which] = changed[str(rng.choice(list(changed)))]
            case 2:
                del changed[which]
        how = zipfile.ZIP_DEFLATED if rng.integers(2) else zipfile.ZIP_STORED
        files.refused(name, zipped(changed, how))


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places_in(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            found += places_in(inner, (*path, i))
    return found


def mutated(content: Any, rng: np.random.Generator) -> Any:
    """A configuration in which a few things are others."""
    content = json.loads(json.dumps(content))
    for _ in range(int(rng.integers(1, 4))):
        places = places_in(content)
        path = places[int(rng.integers(len(places)))]
        owner = content
        for key in path[:-1]:
            owner = owner[key]
        key = path[-1]
        match int(rng.integers(4)):
            case 0 | 1:
                owner[key] = ODD[int(rng.integers(len(ODD)))]
            case 2:
                del owner[key]
            case 3:
                other = content
                for step in places[int(rng.integers(len(places)))]:
                    other = other[step]
                owner[key] = json.loads(json.dumps(other))
    return content


@pytest.mark.parametrize("name", ["m.hotloop", "m.keras"])
def test_configurations(name: str, files: Files, seeds: Any) -> None:
    with zipfile.ZipFile(io.BytesIO(files.good[name])) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    which = "model.json" if name == "m.hotloop" else "config.json"
    content = json.loads(members[which])
    for seed in seeds(120):
        rng = np.random.default_rng(seed)
        text = json.dumps(mutated(content, rng)).encode()
        files.refused(name, zipped(members | {which: text}))


def test_headers_of_safetensors(files: Files, seeds: Any) -> None:
    good = unchecked("w.safetensors", files.good["w.safetensors"])
    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])
    for seed in seeds(150):
        text = json.dumps(mutated(header, np.random.default_rng(seed))).encode()
        files.refused("w.safetensors", len(text).to_bytes(8, "little") + text + good[8 + length :])


@pytest.mark.parametrize("name", ["m.hotloop", "m.keras"])
def test_directories_of_archives(name: str, files: Files, seeds: Any) -> None:
    """Sizes, places, flags and methods that lie; the numbers are those of zip's records."""
    good = unchecked(name, files.good[name])
    records = [i for mark in (b"PK\1\2", b"PK\3\4", b"PK\5\6") for i in _all(good, mark)]
    for seed in seeds(100):
        rng = np.random.default_rng(seed)
        data = bytearray(good)
        for _ in range(int(rng.integers(1, 3))):
            place = records[int(rng.integers(len(records)))] + int(rng.integers(4, 46))
            wide = int(rng.choice([1, 2, 4]))
            value = int(rng.choice([0, 1, 8, 14, 99, 255, 65535, 1 << 31, (1 << 32) - 1]))
            if place + wide <= len(data):
                data[place : place + wide] = (value % (1 << 8 * wide)).to_bytes(wide, "little")
        files.refused(name, bytes(data))


def _all(data: bytes, mark: bytes) -> list[int]:
    found, place = [], data.find(mark)
    while place >= 0:
        found.append(place)
        place = data.find(mark, place + 1)
    return found


@pytest.mark.parametrize("name", ["m.hotloop", "m.keras"])
def test_bombs(name: str, files: Files) -> None:
    with zipfile.ZipFile(io.BytesIO(files.good[name])) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    for which in members:
        bomb = members | {which: bytes(300 << 20)}
        assert files.refused(name, zipped(bomb, zipfile.ZIP_DEFLATED))
        lies = bytearray(zipped(members))  # of a size that is not there
        for mark, offset in ((b"PK\1\2", 20), (b"PK\3\4", 18)):
            for place in _all(bytes(lies), mark):
                lies[place + offset : place + offset + 8] = struct.pack("<II", 1 << 30, 1 << 30)
        assert files.refused(name, bytes(lies))


@pytest.mark.parametrize("name", ["m.hotloop", "m.keras"])
def test_two_members_of_one_name_and_encryption(name: str, files: Files) -> None:
    with zipfile.ZipFile(io.BytesIO(files.good[name])) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    made = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with zipfile.ZipFile(made, "w") as archive:
            for one, data in [*members.items(), *members.items()]:
                archive.writestr(one, data)
    assert files.refused(name, made.getvalue())
    data = bytearray(zipped(members))
    for mark, offset in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        for place in _all(bytes(data), mark):
            data[place + offset] |= 1
    assert files.refused(name, bytes(data))


def test_the_crc_of_members_is_heeded(files: Files) -> None:
    """Archives without a checksum of their own still have zip's."""
    for name in ("m.hotloop", "m.keras"):
        data = bytearray(unchecked(name, files.good[name]))
        weights = files.model.get_weights()[0].tobytes()
        place = bytes(data).index(weights)
        data[place + 2] ^= 4
        assert zlib.crc32(data) != zlib.crc32(files.good[name])
        assert files.refused(name, bytes(data))
