"""Tables in text files: encoding and separator are found out, rows are read one after another."""

from __future__ import annotations

import codecs
import csv
import io
import lzma
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import IO

from .source import Source
from .table import Block, Table, in_blocks, named_columns

SEPARATORS = {"tab": "\t", "semicolon": ";", "bar": "|", "comma": ","}

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_FALLBACK = "cp1252"  # what Windows calls ANSI: latin-1 with quotes and the euro
_CHUNK = 1 << 20
_SAMPLE_LINES = 200
_SAMPLE_CHARACTERS = 1 << 16
_EXCEL_HINT = re.compile(r'"?sep=(.)"?\s*$')  # a first line that Excel reads and writes


@dataclass(frozen=True)
class Format:
    """How a text file is written; None is found out.

    Attributes
    ----------
    separator : str or None
        The character between cells.
    encoding : str or None
    header : bool
        Whether the first line names the columns.
    """

    separator: str | None = None
    encoding: str | None = None
    header: bool = True


USUAL = Format()


def read_text(source: Source, given: Format = USUAL) -> Table:
    """Table in a text file whose first line names the columns, or which numbers them from 1.

    Raises
    ------
    ValueError
        If the file is no text, is empty, or names a column twice; later, from ``blocks``, if a
        row has too few or too many cells.
    OSError
        If it cannot be read.
    """
    with _told(source):
        encoding = given.encoding or _find_encoding(source)
        with _opened(source, encoding) as file:
            sample = list(
                islice(iter(lambda: file.readline(_SAMPLE_CHARACTERS), ""), _SAMPLE_LINES)
            )
        if any("\0" in line for line in sample):
            raise ValueError(f"{source.name} is not a text file")
        hint = _EXCEL_HINT.match(sample[0]) if sample else None
        if hint is not None:
            sample = sample[1:]
        separator = given.separator or (hint.group(1) if hint else _find_separator(sample))
        layout = _Layout(source, encoding, separator, skipped=1 if hint else 0)
        first = list(islice(layout.rows(), 2 if given.header else 1))
        if len(first) < (2 if given.header else 1):
            what = "has no rows but the names of its columns" if first else "is empty"
            raise ValueError(
                f"{source.name} {what}; it needs columns with names and at least one row"
            )
        cells = first[0][1]
        names = cells if given.header else [str(i) for i in range(1, len(cells) + 1)]
        columns = named_columns(source.name, names)

    def blocks() -> Iterator[Block]:
        with _told(source):
            rows = layout.rows()
            if given.header:
                next(rows)
            yield from in_blocks(_whole_rows(source, rows, len(columns), separator), len(columns))

    return Table(
        source.name,
        columns,
        blocks,
        separator=separator,
        encoding=encoding,
        named=given.header,
    )


@dataclass(frozen=True)
class _Layout:
    """All that is needed to read rows of cells."""

    source: Source
    encoding: str
    separator: str
    skipped: int

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """The line in which each row that is not blank begins, and its cells."""
        with _opened(self.source, self.encoding) as file:
            for _ in range(self.skipped):
                file.readline()
            reader = csv.reader(file, delimiter=self.separator)
            line = self.skipped + 1
            while True:
                try:
                    cells = next(reader, None)
                except csv.Error as error:
                    raise ValueError(
                        f"{self.source.name}, line {line}: {error}; is a quote not closed?"
                    ) from None
                if cells is None:
                    return
                if cells:
                    yield line, [cell.strip() for cell in cells]
                line = self.skipped + reader.line_num + 1


def _whole_rows(
    source: Source, rows: Iterator[tuple[int, list[str]]], width: int, separator: str
) -> Iterator[tuple[int, list[str]]]:
    """Rows, all of as many cells."""
    for line, cells in rows:
        if len(cells) == width:
            yield line, cells
        elif len(cells) > 1 or cells[0]:
            raise ValueError(
                f"{source.name}, line {line}: expected {width} cells, got {len(cells)} "
                f"(separated by {separator!r}; --separator chooses another)"
            )


@contextmanager
def _told(source: Source) -> Iterator[None]:
    """Turns what is wrong with the bytes into an error that names the file."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(f"{source.name} is packed, and damaged: {error}") from None
    except UnicodeError as error:
        raise ValueError(
            f"{source.name} is not text in that encoding ({error}); --encoding chooses another"
        ) from None


@contextmanager
def _opened(source: Source, encoding: str) -> Iterator[IO[str]]:
    """The text from its beginning."""
    with source.open() as file:
        try:
            # cp1252 leaves five bytes without a meaning, which are no reason to stop.
            errors = "replace" if encoding == _FALLBACK else "strict"
            text = io.TextIOWrapper(file, encoding, errors, newline="")
        except LookupError:
            raise ValueError(
                f"--encoding: {encoding!r} is not known; use utf-8, cp1252, latin-1 or utf-16"
            ) from None
        with text:
            yield text


def _find_encoding(source: Source) -> str:
    """By a mark at the beginning; else UTF-8 if all of it is, UTF-16 by its zeros, or cp1252."""
    with source.open() as file:
        chunk = file.read(_CHUNK)
        for mark, encoding in _BYTE_ORDER_MARKS.items():
            if chunk.startswith(mark):
                return encoding
        head = chunk[:4096]
        even, odd = head[::2].count(0), head[1::2].count(0)
        if max(even, odd) > len(head) // 8 and min(even, odd) == 0:
            return "utf-16-le" if odd else "utf-16-be"
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while chunk:
                decoder.decode(chunk)
                chunk = file.read(_CHUNK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return _FALLBACK
        return "utf-8"


def _find_separator(sample: list[str]) -> str:
    """The one that cuts the first lines into most rows of as many cells as the first one has.

    Of several that do so equally well, a comma comes last: in European tables it is the decimal
    mark, and as regular as what stands between the cells.
    """
    shares = {separator: _regular(sample, separator) for separator in SEPARATORS.values()}
    best = max(shares.values())
    return next(s for s, share in shares.items() if share == best) if best else ","


def _regular(sample: list[str], separator: str) -> float:
    """Share of the rows that have as many cells as the first one; 0 if that has one only."""
    try:
        rows = [row for row in csv.reader(sample, delimiter=separator) if row]
    except csv.Error:
        return 0.0
    if not rows or len(rows[0]) == 1:
        return 0.0
    return sum(len(row) == len(rows[0]) for row in rows) / len(rows)
