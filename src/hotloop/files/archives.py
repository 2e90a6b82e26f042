"""Zip archives that are written with a checksum of all their bytes, and read with suspicion.

Zip itself checks what members hold, but not their names, dates and sizes, nor where they are. So
the archive's comment, which is the end of the file, is ``hotloop sha256:`` and the hash of all
bytes before its 64 digits. Archives without one, as those of Keras, are read as well.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import IO, Any

from .refusals import DamagedError
from .whole import written_whole

Writer = Callable[[IO[bytes]], Any]

_MARK = b"hotloop sha256:"
_DIGITS = 64
_CHUNK = 1 << 20
# How many times its packed size a member may have. Configurations repeat themselves; numbers do
# not shrink, and what shrinks more than this was made to fill a memory.
_TEXT_RATIO, _NUMBERS_RATIO, _ANY_SIZE = 100, 10, 1 << 20


def write(
    path: str | PathLike[str], overwrite: bool, members: Sequence[tuple[str, int, Writer]]
) -> None:
    """Writes an archive; a member is its name, about how large it is, and what writes it."""
    with written_whole(path, overwrite) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, size, writer in members:
                info = zipfile.ZipInfo(name)  # of no date: the same model makes the same file
                info.file_size = size
                with archive.open(info, "w") as member:
                    writer(member)
            archive.comment = _MARK + b"0" * _DIGITS
        end = file.seek(-_DIGITS, os.SEEK_END)
        digest = _digest(file, end)
        file.seek(end)
        file.write(digest)


def texts(named: Mapping[str, str]) -> list[tuple[str, int, Writer]]:
    """Members that are texts, as `write` takes them."""

    def member(name: str, data: bytes) -> tuple[str, int, Writer]:
        return name, len(data), lambda file: file.write(data)

    return [member(name, text.encode()) for name, text in named.items()]


class Archive:
    """The members of an archive.

    Parameters
    ----------
    file : binary file

    Attributes
    ----------
    names : list of str

    Raises
    ------
    ValueError
        If two members have one name, or the checksum is wrong.
    zipfile.BadZipFile
        If it is no archive.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file)
        self._size = file.seek(0, os.SEEK_END)
        self.names = self._zip.namelist()
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise DamagedError(f"it holds {twice[0]!r} more than once")
        self._verify(file)

    def read(self, name: str) -> bytes:
        """A member that is text."""
        with self.open(name, _TEXT_RATIO) as member:
            return member.read()

    def open(self, name: str, ratio: int = _NUMBERS_RATIO) -> IO[bytes]:
        """A member that holds numbers."""
        info = self._member(name)
        if info.flag_bits & 1:
            raise ValueError(f"{name} is encrypted; hotloop reads no encrypted files")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(
                f"{name} is compressed in a way (number {info.compress_type}) that "
                "hotloop does not read; zip it anew without compression"
            )
        stored = info.compress_type == zipfile.ZIP_STORED
        if info.compress_size > self._size or (stored and info.compress_size != info.file_size):
            raise ValueError(
                f"{name} claims to fill {info.compress_size} bytes of {self._size} and to hold "
                f"{info.file_size}"
            )
        if info.file_size > max(_ANY_SIZE, ratio * info.compress_size):
            raise ValueError(
                f"{name} claims to hold {info.file_size} bytes in {info.compress_size}; it is not "
                "read. If it is honest, zip it anew without compression"
            )
        return self._zip.open(info)

    def size(self, name: str) -> int:
        """Bytes of a member."""
        return self._member(name).file_size

    def _member(self, name: str) -> zipfile.ZipInfo:
        try:
            return self._zip.getinfo(name)
        except KeyError:
            raise DamagedError(
                f"there is no {name} in it, but {', '.join(self.names[:5]) or 'nothing'}"
            ) from None

    def _verify(self, file: IO[bytes]) -> None:
        """Refuses a wrong checksum. A single damaged bit makes no comment empty, or another's."""
        length = len(_MARK) + _DIGITS
        comment = self._zip.comment
        if not comment.startswith(_MARK) and len(comment) != length:
            return
        file.seek(self._size - length)
        end = file.read(length)
        if not end.startswith(_MARK) or _digest(file, self._size - _DIGITS) != end[len(_MARK) :]:
            raise DamagedError("its content does not have the checksum that it was written with")


def _digest(file: IO[bytes], size: int) -> bytes:
    """Of the first bytes of a file, as hexadecimal digits."""
    file.seek(0)
    digest = hashlib.sha256()
    while size:
        part = file.read(min(size, _CHUNK))
        if not part:
            raise DamagedError("it ends early")
        digest.update(part)
        size -= len(part)
    return digest.hexdigest().encode()
