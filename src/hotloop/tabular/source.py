"""Where a table's bytes come from: a file or standard input, packed or not, read more than once."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

STANDARD_INPUT = "-"

_UNPACK: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_REFUSED = {
    b"PK\x03\x04": "a zip archive, such as an Excel workbook or a model",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"ARROW1": "a Feather file",
}
_MAGIC_BYTES = 8


class Source:
    """Bytes that can be read again and again.

    What cannot, such as standard input and pipes, is copied to a temporary file first.

    Parameters
    ----------
    path : path-like
        ``"-"`` is standard input.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is a folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = str(path)
        self.path = Path(path)
        if self.name == STANDARD_INPUT:
            self.name = "standard input"
            self._keep(getattr(sys.stdin, "buffer", None) or io.BytesIO(sys.stdin.read().encode()))
        elif self.path.is_dir():
            raise ValueError(f"{path} is a folder; expected a file")
        elif self.path.exists() and not self.path.is_file():
            with open(path, "rb") as pipe:
                self._keep(pipe)
        with open(self.path, "rb") as file:
            self.magic = file.read(_MAGIC_BYTES)

    def _keep(self, stream: IO[bytes]) -> None:
        """Copies what can be read once only."""
        self._copy = tempfile.NamedTemporaryFile(prefix="hotloop-")  # noqa: SIM115
        shutil.copyfileobj(stream, self._copy)
        self._copy.flush()
        self.path = Path(self._copy.name)

    def open(self) -> IO[bytes]:
        """The bytes from their beginning, unpacked if their first ones say that they are packed.

        Raises
        ------
        ValueError
            For files of programs that write no text.
        """
        for magic, what in _REFUSED.items():
            if self.magic.startswith(magic):
                raise ValueError(f"{self.name} is {what}; save the table as CSV or Parquet")
        for magic, unpack in _UNPACK.items():
            if self.magic.startswith(magic):
                file: IO[bytes] = unpack(self.path, "rb")
                return file
        return open(self.path, "rb")
