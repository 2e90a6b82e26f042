"""Tables of any kind of file."""

from __future__ import annotations

from os import PathLike

from .parquet import is_parquet, read_parquet
from .source import Source
from .table import Table
from .text import USUAL, Format, read_text


def read_table(path: str | PathLike[str], given: Format = USUAL) -> Table:
    """Table in a file, ``"-"`` being standard input: Parquet by content or name, or else text.

    Raises
    ------
    ValueError, OSError
        If it cannot be read, or is no table.
    ImportError
        If nothing is installed that reads Parquet.
    """
    source = Source(path)
    return read_parquet(source) if is_parquet(source) else read_text(source, given)
