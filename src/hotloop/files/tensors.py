"""Arrays by name in safetensors files: written and read one array at a time, with a checksum.

A file is the length of its header in 8 bytes, the header, and the arrays' bytes, all of it little
endian. The header is JSON: for each name ``dtype``, ``shape`` and ``data_offsets``, and under
``__metadata__`` a dict of strings. There, ``sha256`` is the hash of the whole file, in which its
own 64 digits count as zeros, and ``checksum`` says that there is one: of the two, damage may hide
one. Files without either, of other programs, are read as well.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
from collections.abc import Mapping
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from . import strict_json
from .filling import Stored
from .refusals import DamagedError

_DTYPES = {
    "BOOL": "|b1", "U8": "|u1", "I8": "|i1", "U16": "<u2", "I16": "<i2", "U32": "<u4",
    "I32": "<i4", "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
    "C64": "<c8",
}  # fmt: skip
_NAMES = {np.dtype(code): name for name, code in _DTYPES.items()}
_METADATA = "__metadata__"
_NO_DIGEST = "0" * 64
_LARGEST_HEADER = 100_000_000  # bytes; that of the library safetensors
_CHUNK = 1 << 20


class Source(Protocol):
    """An array, or what gives one when it is asked: a variable."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...


def write(
    file: IO[bytes],
    sources: Mapping[str, Source],
    metadata: Mapping[str, str] | None = None,
    *,
    checksum: bool = True,
) -> None:
    """Writes arrays to a file; holds one of them at a time.

    Parameters
    ----------
    file : binary file
    sources : dict of str to array or Variable
    metadata : dict of str to str, optional
    checksum : bool
        Whether there is one, for which the file must be one that can be seeked.

    Raises
    ------
    ValueError
        For a dtype that safetensors does not have.
    """
    order = sorted(sources, key=lambda name: (-sources[name].dtype.itemsize, name))
    facts = {"checksum": "sha256", "sha256": _NO_DIGEST} if checksum else {}
    header: dict[str, Any] = {}
    if metadata or checksum:
        header[_METADATA] = dict(metadata or {}) | facts
    end = 0
    for name in order:
        source = sources[name]
        begin, end = end, end + source.dtype.itemsize * math.prod(source.shape)
        header[name] = {
            "dtype": _name_of(source.dtype, name),
            "shape": list(source.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    begins = file.tell() if checksum else 0
    digest = hashlib.sha256()
    for part in (len(text).to_bytes(8, "little"), text):
        digest.update(part)
        file.write(part)
    for name in order:
        array = np.ascontiguousarray(sources[name]).astype(
            sources[name].dtype.newbyteorder("<"), copy=False
        )
        data = array.reshape(-1).view(np.uint8).data if array.size else b""
        digest.update(data)
        file.write(data)
    if not checksum:
        return
    after = file.tell()
    file.seek(begins + 8 + text.index(_NO_DIGEST.encode()))
    file.write(digest.hexdigest().encode())
    file.seek(after)


class Tensors:
    """What a safetensors file holds, or a part of a file; every fact is checked before use.

    Parameters
    ----------
    file : binary file
        At its beginning.
    size : int
        Its length in bytes.

    Attributes
    ----------
    metadata : dict of str to str

    Raises
    ------
    ValueError
        If it is not a safetensors file, or damaged.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._begins = file, file.tell()
        length = int.from_bytes(_exactly(file, min(size, 8)), "little")
        if size < 8 or length > min(size - 8, _LARGEST_HEADER):
            raise DamagedError("its header is longer than the file")
        text = _exactly(file, length)
        header = strict_json.loads(text, "its header")
        if not isinstance(header, dict):
            raise DamagedError("its header is not a dict")
        self.metadata: dict[str, str] = header.pop(_METADATA, {})
        if not isinstance(self.metadata, dict) or not all(
            isinstance(value, str) for value in self.metadata.values()
        ):
            raise DamagedError("the metadata in its header are not a dict of strings")
        self._first = 8 + length
        self._entries = _checked(header, size - self._first)
        if {"checksum", "sha256"} & self.metadata.keys():
            self._verify(text, size)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of each array, before any is read."""
        return {name: shape for name, (_, shape, _) in self._entries.items()}

    @property
    def dtypes(self) -> dict[str, np.dtype[Any]]:
        """Of each array, before any is read."""
        return {name: dtype for name, (dtype, _, _) in self._entries.items()}

    def read(self) -> dict[str, NDArray[Any]]:
        """All arrays, by name."""
        found = {}
        in_order = sorted(self._entries.items(), key=lambda entry: entry[1][2])
        for name, (dtype, shape, begin) in in_order:
            place = self._begins + self._first + begin
            if self._file.tell() != place:  # a member of an archive is checked if read in order
                self._file.seek(place)
            array = np.empty(shape, dtype)
            if array.size:
                _fill(self._file, array.reshape(-1).view(np.uint8).data)
            found[name] = array.astype(dtype.newbyteorder("="), copy=False)
        return found

    def _verify(self, text: bytes, size: int) -> None:
        stored = self.metadata.get("sha256", "").encode()
        if self.metadata.get("checksum") != "sha256" or text.count(stored) != 1:
            raise DamagedError("its checksum is damaged")
        digest = hashlib.sha256(len(text).to_bytes(8, "little"))
        digest.update(text.replace(stored, _NO_DIGEST.encode()))
        left = size - self._first
        while left:
            part = self._file.read(min(left, _CHUNK))
            if not part:
                raise DamagedError("it ends early")
            digest.update(part)
            left -= len(part)
        if digest.hexdigest().encode() != stored:
            raise DamagedError("its content does not have the checksum that it was written with")


def stored(found: Tensors) -> dict[str, Stored]:
    """The arrays by name, all of them read when the first one is wanted."""
    arrays, dtypes = functools.cache(found.read), found.dtypes

    def read(name: str) -> NDArray[Any]:
        return arrays()[name]

    return {
        name: Stored(name, shape, dtypes[name], functools.partial(read, name))
        for name, shape in found.shapes.items()
    }


def opened(file: IO[bytes]) -> Tensors:
    """The tensors of a whole file.

    Raises
    ------
    ValueError
        As `Tensors`.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return Tensors(file, size)


Entry = tuple[np.dtype[Any], tuple[int, ...], int]


def _checked(header: Mapping[str, Any], size: int) -> dict[str, Entry]:
    """dtype, shape and offset of each array; they fill the rest of the file without gaps."""
    found: dict[str, Entry] = {}
    parts: list[tuple[int, int, str]] = []
    for name, entry in header.items():
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            raise DamagedError(f"its header says of {name!r} not dtype, shape and data_offsets")
        code = _DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
        if code is None:
            raise ValueError(f"{name!r} holds {entry['dtype']!r}, which NumPy does not have")
        shape, offsets = entry["shape"], entry["data_offsets"]
        if not (_counts(shape) and _counts(offsets) and len(offsets) == 2 and len(shape) <= 32):
            raise DamagedError(f"shape {shape!r} or data_offsets {offsets!r} of {name!r} are none")
        dtype = np.dtype(code)
        if offsets[1] - offsets[0] != dtype.itemsize * math.prod(shape):
            raise DamagedError(f"the data_offsets {offsets} of {name!r} do not fit shape {shape}")
        found[name] = dtype, tuple(shape), offsets[0]
        parts.append((offsets[0], offsets[1], name))
    end = 0
    for begin, after, name in sorted(parts):
        if begin != end:
            raise DamagedError(f"{name!r} begins at byte {begin} of the data; expected {end}")
        end = after
    if end != size:
        raise DamagedError(f"its header describes {end} bytes of data, the file holds {size}")
    return found


def _counts(values: Any) -> bool:
    """Whether this is a list of whole numbers that can be sizes."""
    return isinstance(values, list) and all(type(v) is int and 0 <= v < 1 << 62 for v in values)


def _name_of(dtype: np.dtype[Any], name: str) -> str:
    found = _NAMES.get(dtype.newbyteorder("<"))
    if found is None:
        raise ValueError(f"{name!r} holds {dtype}, which safetensors files cannot hold")
    return found


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise DamagedError("it ends early")
    return data


def _fill(file: IO[bytes], into: memoryview) -> None:
    while into:
        part = file.read(min(len(into), _CHUNK))
        if not part:
            raise DamagedError("it ends early")
        into[: len(part)] = part
        into = into[len(part) :]
