"""HDF5 files, read with suspicion: no links to elsewhere, no memory beyond the file's size.

HDF5 checks nothing of what it reads. So files that hotloop writes have ``hotloop sha256:`` and
64 digits in an attribute of the root: the hash of the file, in which the digits count as zeros.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import os
from collections.abc import Callable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .filling import Stored
from .refusals import DamagedError

_ATTRIBUTE = "checksum"
_MARK = b"hotloop sha256:"
_ZEROS = b"0" * 64
# Filters whose code is in every HDF5 library: shuffle, checksums, gzip, lzf.
_FILTERS = {1, 2, 3, 32000}
_NUMBERS_RATIO, _ANY_SIZE = 100, 1 << 20
_CHUNK = 1 << 20


def h5py() -> Any:
    """The module, which only those need who read or write Keras's files."""
    try:
        import h5py
    except ImportError:
        raise ImportError(
            "files of Keras hold weights in HDF5, which needs h5py: pip install h5py"
        ) from None
    return h5py


def write(file: IO[bytes], fill: Callable[[Any], None]) -> None:
    """Writes an HDF5 file, whose content `fill` puts into the root group, with a checksum."""
    with h5py().File(file, "w") as root:
        root.attrs[_ATTRIBUTE] = np.bytes_(_MARK + _ZEROS)
        fill(root)
    file.flush()
    place = _find_mark(file)
    digest = _digest(file, place)
    file.seek(place)
    file.write(digest)
    file.seek(0, os.SEEK_END)


class Hdf5:
    """What an HDF5 file holds.

    Parameters
    ----------
    file : binary file

    Raises
    ------
    ValueError
        If its checksum is wrong.
    OSError
        If it is no HDF5 file.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._h5py = h5py()
        self._size = file.seek(0, os.SEEK_END)
        self._groups: dict[str, Any] = {}  # that were looked up
        verified = _verified(file)
        file.seek(0)
        self._root = self._h5py.File(file, "r")
        if not verified and _ATTRIBUTE in self._root.attrs:
            raise DamagedError("its checksum is damaged")

    def __enter__(self) -> Hdf5:
        return self

    def __exit__(self, *_: object) -> None:
        self._root.close()

    def find(self, place: str) -> Any:
        """What is at a place, if it is in this file and not a link to elsewhere; None if nothing.

        Raises
        ------
        ValueError
            For a link to elsewhere.
        """
        found: Any = self._root
        before = ""
        for name in filter(None, place.split("/")):
            here = f"{before}/{name}"
            if here not in self._groups:
                is_group = isinstance(found, self._h5py.Group)
                link = found.get(name, getlink=True) if is_group else None
                if link is None:
                    return None
                if not isinstance(link, self._h5py.HardLink):
                    raise ValueError(f"{place} is a link to elsewhere; it is not followed")
                below = found[name]
                if not isinstance(below, self._h5py.Group):
                    return below if here.strip("/") == place.strip("/") else None
                self._groups[here] = below
            found, before = self._groups[here], here
        return found

    def count(self, place: str) -> int:
        """How many things there are at a place."""
        group = self.find(place)
        return len(group) if isinstance(group, self._h5py.Group) else 0

    def stored(self, place: str) -> Stored:
        """The array at a place; its numbers are not read yet.

        Raises
        ------
        ValueError
            If there is none, or if it is not of a kind that is read.
        """
        found = self.find(place)
        if not isinstance(found, self._h5py.Dataset) or found.shape is None:
            raise ValueError(f"there is no array {place}")
        self._check_kept_here(found, place)
        return Stored(place, found.shape, found.dtype, lambda: self._read(found))

    def all_stored(self, place: str) -> list[Stored]:
        """The arrays ``0``, ``1`` and so on in a group."""
        return [self.stored(f"{place}/{i}") for i in range(self.count(place))]

    def all_named(self, place: str) -> list[Stored]:
        """The arrays in a group, whatever their names."""
        group = self.find(place)
        return [self.stored(f"{place}/{name}") for name in group] if self.count(place) else []

    def arrays(self) -> list[str]:
        """The places of all arrays."""
        found: list[str] = []

        def look(place: str, thing: Any) -> None:
            if isinstance(thing, self._h5py.Dataset):
                found.append(place)

        self._root.visititems(look)
        return found

    def text(self, attribute: str, place: str = "") -> str | None:
        """An attribute that is one text."""
        found = self._attribute(place, attribute)
        if found is None:
            return None
        if isinstance(found, np.ndarray) or not isinstance(found, str | bytes):
            raise ValueError(f"the attribute {attribute} of /{place} is no text")
        return found.decode() if isinstance(found, bytes) else found

    def texts(self, attribute: str, place: str = "") -> list[str] | None:
        """An attribute that lists texts; a long one is split into several, with numbers."""
        parts = [self._attribute(place, attribute)]
        if parts[0] is None:
            parts = []
            while (part := self._attribute(place, f"{attribute}{len(parts)}")) is not None:
                parts.append(part)
        if not parts:
            return None
        found = [one for part in parts for one in np.ravel(part).tolist()]
        if not all(isinstance(one, str | bytes) for one in found):
            raise ValueError(f"the attribute {attribute} of /{place} is no list of texts")
        return [one.decode() if isinstance(one, bytes) else one for one in found]

    def _attribute(self, place: str, name: str) -> Any:
        owner = self.find(place)
        if owner is None or name not in owner.attrs:
            return None
        kind = owner.attrs.get_id(name)
        if math.prod(kind.shape) * max(1, kind.dtype.itemsize) > self._size:
            raise DamagedError(f"the attribute {name} of /{place} claims the shape {kind.shape}")
        return owner.attrs[name]

    def _check_kept_here(self, found: Any, place: str) -> None:
        """That reading it takes memory in proportion to the file, and nothing from elsewhere."""
        if found.external or found.is_virtual:
            raise ValueError(f"{place} is kept in another file; it is not read")
        properties = found.id.get_create_plist()
        filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
        if set(filters) - _FILTERS:
            raise ValueError(f"{place} is packed by filters of the numbers {filters}; gzip is read")
        kept, claimed = found.id.get_storage_size(), math.prod(found.shape) * found.dtype.itemsize
        if kept > self._size or claimed > max(_ANY_SIZE, _NUMBERS_RATIO * kept):
            raise ValueError(
                f"{place} claims to hold {claimed} bytes in {kept} of a file of {self._size}; it "
                "is not read"
            )
        chunk = math.prod(found.chunks or (0,)) * found.dtype.itemsize
        if chunk > max(_ANY_SIZE, 4 * claimed):
            raise ValueError(f"{place} is packed in pieces of {chunk} bytes; it is not read")

    def _read(self, found: Any) -> NDArray[Any]:
        return np.asarray(found[()])


def _verified(file: IO[bytes]) -> bool:
    """Whether there is a checksum; a wrong one is refused."""
    place = _find_mark(file)
    if place < 0:
        return False
    file.seek(place)
    stored = file.read(len(_ZEROS))
    if _digest(file, place) != stored:
        raise DamagedError("its content does not have the checksum that it was written with")
    return True


def _find_mark(file: IO[bytes]) -> int:
    """Where the digits of the checksum are; -1 if there are none."""
    size = file.seek(0, os.SEEK_END)
    if not size:
        return -1
    try:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            place = content.find(_MARK)
    except OSError:  # not a file of the system, but bytes in memory
        file.seek(0)
        place = file.read().find(_MARK)
    return -1 if place < 0 else place + len(_MARK)


def _digest(file: IO[bytes], place: int) -> bytes:
    """Of all bytes, those of the checksum itself taken for zeros."""
    digest = hashlib.sha256()
    file.seek(0)
    left = place
    while left and (part := file.read(min(left, _CHUNK))):
        digest.update(part)
        left -= len(part)
    digest.update(_ZEROS)
    file.seek(place + len(_ZEROS))
    while part := file.read(_CHUNK):
        digest.update(part)
    return digest.hexdigest().encode()
