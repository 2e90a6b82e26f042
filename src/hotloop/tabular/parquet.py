"""Tables in Parquet files, read by PyArrow or else by polars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from .source import Source
from .table import BLOCK_CELLS, Block, Table, named_columns

_MAGIC = b"PAR1"


def is_parquet(source: Source) -> bool:
    """Whether this is Parquet, by its first bytes or else by its name."""
    return source.magic.startswith(_MAGIC) or source.name.lower().endswith(".parquet")


def read_parquet(source: Source) -> Table:
    """Table in a Parquet file.

    Raises
    ------
    ValueError
        If the file is no Parquet, has no rows, or names a column twice.
    ImportError
        If neither library is installed.
    """
    if find_spec("pyarrow"):
        names, rows, columns = _open_with_pyarrow(source)
    elif find_spec("polars"):
        names, rows, columns = _open_with_polars(source)
    else:
        raise ImportError("reading Parquet needs PyArrow (or polars): pip install pyarrow")
    if not names or not rows:
        raise ValueError(f"{source.name} needs columns with names and at least one row")

    def blocks() -> Iterator[Block]:
        start = 1
        for part in columns(max(1, BLOCK_CELLS // len(names))):
            cells: list[Sequence[str]] = [list(map(_text, column)) for column in part]
            yield Block(range(start, start + len(cells[0])), cells)
            start += len(cells[0])

    return Table(source.name, named_columns(source.name, names), blocks, unit="row")


def _open_with_pyarrow(source: Source) -> tuple[list[str], int, Any]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(source.path)
    except ArrowException as error:
        raise ValueError(f"{source.name} is not a Parquet file: {error}") from error

    def columns(rows: int) -> Iterator[list[list[Any]]]:
        try:
            for batch in ParquetFile(source.path).iter_batches(rows):
                if batch.num_rows:
                    yield [column.to_pylist() for column in batch.columns]
        except ArrowException as error:
            raise ValueError(f"{source.name} cannot be read as Parquet: {error}") from error

    return file.schema_arrow.names, file.metadata.num_rows, columns


def _open_with_polars(source: Source) -> tuple[list[str], int, Any]:
    from polars import exceptions, read_parquet

    try:
        table = read_parquet(source.path, glob=False, hive_partitioning=False)
    except exceptions.PolarsError as error:
        raise ValueError(f"{source.name} is not a Parquet file: {error}") from error

    def columns(rows: int) -> Iterator[list[list[Any]]]:
        for part in table.iter_slices(rows):
            yield [column.to_list() for column in part]

    return table.columns, len(table), columns


def _text(value: object) -> str:
    """A value as a text file has it: truth values as 0 and 1, nothing for missing ones."""
    if value is None or value != value:
        return ""
    return str(int(value) if isinstance(value, bool) else value).strip()
