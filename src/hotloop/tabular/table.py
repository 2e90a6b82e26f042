"""A table: names of columns, and blocks of rows, read as often as needed and never kept whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

BLOCK_CELLS = 1 << 18  # about 16 MB of Python strings


@dataclass(frozen=True)
class Block:
    """A few rows, as text.

    Attributes
    ----------
    lines : sequence of int
        Where each row is in the file.
    columns : list of sequence of str
        The cells of each column.
    """

    lines: Sequence[int]
    columns: list[Sequence[str]]


@dataclass(frozen=True)
class Table:
    """The cells of a file, as text.

    Attributes
    ----------
    source : str
        Name of the file, for messages.
    columns : tuple of str
        Their names.
    blocks : function
        The rows from the first one on, a block at a time.
    unit : str
        What rows are counted in.
    separator : str or None
        What stands between cells, if they are text.
    encoding : str or None
        Of text.
    named : bool
        Whether the file names its columns; otherwise they are numbered from 1.
    """

    source: str
    columns: tuple[str, ...]
    blocks: Callable[[], Iterator[Block]] = field(repr=False)
    unit: str = "line"
    separator: str | None = None
    encoding: str | None = None
    named: bool = True

    def place(self, line: int, column: str) -> str:
        """Where a cell is."""
        return f"{self.source}, {self.unit} {line}, column {column!r}"

    def index(self, name: str) -> int:
        """Position of a column.

        Raises
        ------
        ValueError
            If there is none of this name.
        """
        if name in self.columns:
            return self.columns.index(name)
        known = ", ".join(self.columns[:MOST_NAMED])
        more = len(self.columns) - MOST_NAMED
        if more > 0:
            known += f" and {more:,} more"
        hint = ""
        if self.named and all(map(_is_number, self.columns)):
            hint = "; if its first line is no line of names, pass --no-header"
        raise ValueError(f"{self.source} has no column {name!r}; its columns are {known}{hint}")


MOST_NAMED = 30  # columns that a message lists


def named_columns(source: str, names: Iterable[str]) -> tuple[str, ...]:
    """Names of columns, those without one being called after their number.

    Raises
    ------
    ValueError
        If there are none, or a name repeats.
    """
    columns = tuple(name or f"column {i}" for i, name in enumerate(names, 1))
    if repeated := {name for name in columns if columns.count(name) > 1}:
        raise ValueError(f"{source} names a column more than once: {', '.join(sorted(repeated))}")
    return columns


def in_blocks(rows: Iterable[tuple[int, list[str]]], width: int) -> Iterator[Block]:
    """Rows of so many cells, as blocks of columns."""
    rows = iter(rows)
    while block := list(islice(rows, max(1, BLOCK_CELLS // width))):
        cells = zip(*(row for _, row in block), strict=True)
        yield Block([line for line, _ in block], list(cells))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
