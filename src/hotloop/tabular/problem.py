"""What is to be learned from a table: features and target as arrays, in two parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cells import Floats
from .columns import Column, Oddities, column_of
from .report import report
from .study import NUMBER, Study, decimals
from .table import Block, Table
from .target import Target, target_of

TEST_SHARE = 0.2
_STUDIED_BLOCKS = 4  # that must tell the decimal mark of new data
_LEAST_ROWS = 5


@dataclass(frozen=True)
class Choices:
    """What is decided about a table rather than guessed.

    Attributes
    ----------
    drop, categories : tuple of str
        Columns to leave out, and to take as categories even if they are numbers.
    missing : tuple of str
        Cells that count as missing, besides the usual ones.
    decimal : str or None
        ``"."`` or ``","``.
    day_first : bool or None
        Whether 1/2/2024 is in February.
    task : {"classification", "regression"} or None
    """

    drop: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    decimal: str | None = None
    day_first: bool | None = None
    task: str | None = None


GUESSES = Choices()  # nothing decided


@dataclass(frozen=True)
class Problem:
    """What is to be learned: rows split into a training and a test part, and their meaning.

    Attributes
    ----------
    x_train, x_test : ndarray of shape (rows, numbers)
        What `Column.encode` makes of the features, not yet scaled; NaN where nothing is known.
    y_train, y_test : ndarray of shape (rows,)
        Class numbers, or quantities as float64.
    columns : tuple of Column
        The features.
    target : Target
    full_scale : float or None
        Greatest value of features that share one unit, as pixels do: they are divided by
        it. None standardises each column by itself.
    choices : Choices
        By which the table was read; new data are read by them too.
    order : tuple of str
        All columns of the table, also those left out.
    decimal : str
        The usual decimal mark.
    remarks : tuple of str
        What was guessed, for the user to read.
    losses : tuple of str
        The part of it that says what is not used.
    """

    x_train: NDArray[Any]
    y_train: NDArray[Any]
    x_test: NDArray[Any]
    y_test: NDArray[Any]
    columns: tuple[Column, ...]
    target: Target
    full_scale: float | None = None
    choices: Choices = GUESSES
    order: tuple[str, ...] = ()
    decimal: str = "."
    remarks: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()


def problem_from_table(
    table: Table, target: str, seed: int = 0, choices: Choices = GUESSES
) -> Problem:
    """Problem of predicting one column from all others.

    The table is read twice: first to find out what its columns hold, then to turn them into
    numbers. A shuffled fifth of the rows is the test set.

    Raises
    ------
    ValueError
        If there are fewer than 5 rows that have a target, no columns to predict it from, fewer
        than two classes, or a cell that is not what its column holds.
    """
    _check_names(table, target, choices)
    table = with_missing(table, choices.missing)
    left_out = dict.fromkeys(choices.drop, "--drop")
    studies = study(table, [name for name in table.columns if name not in left_out])
    marks = decimals(studies.values())
    if choices.decimal:
        marks = dict.fromkeys(marks, choices.decimal)
    if studies[target].present < _LEAST_ROWS:
        raise ValueError(
            f"{table.source} has too few rows with a value of {target!r}: "
            f"{studies[target].present}; at least {_LEAST_ROWS} are needed"
        )
    goal, why = target_of(studies[target], marks[target], choices.task)
    columns = []
    for name, seen in studies.items():
        if name != target:
            made = column_of(seen, choices.day_first, name in choices.categories)
            if isinstance(made, Column):
                columns.append(made)
            else:
                left_out[name] = made
    if not columns:
        reasons = "".join(f"; {name}: {reason}" for name, reason in left_out.items())
        raise ValueError(
            f"{table.source} has no feature columns beside the target {target!r}{reasons}"
        )
    x, y = _arrays(table, columns, goal, marks, studies[target].rows)
    known = ~np.isnan(y)
    if not known.all():
        x, y = x[known], y[known]
    remarks, losses = report(
        table, studies, columns, goal, why, marks, left_out, int((~known).sum()), choices.day_first
    )
    order = np.random.RandomState(seed).permutation(len(y))
    test, train = np.split(order, [max(1, round(len(y) * TEST_SHARE))])
    if goal.classes is not None:
        y = y.astype(np.int64)
    return Problem(
        x[train],
        y[train],
        x[test],
        y[test],
        tuple(columns),
        goal,
        choices=choices,
        order=table.columns,
        decimal=decimals(studies.values())[target],
        remarks=remarks,
        losses=losses,
    )


def _check_names(table: Table, target: str, choices: Choices) -> None:
    """That the table has all columns that are named, and none is both wanted and not."""
    for name in (target, *choices.drop, *choices.categories):
        table.index(name)
    for name in choices.drop:
        if name == target or name in choices.categories:
            raise ValueError(f"--drop {name}: the column is also what another option names")


def study(table: Table, names: Sequence[str], blocks: int | None = None) -> dict[str, Study]:
    """What columns hold, by their first blocks or all."""
    found = {name: Study(name) for name in names}
    places = [table.index(name) for name in names]
    for block in islice(table.blocks(), blocks):
        for seen, place in zip(found.values(), places, strict=True):
            seen.add(block.columns[place])
    return {name: seen.finish() for name, seen in found.items()}


def with_missing(table: Table, words: Sequence[str]) -> Table:
    """The table, with these cells empty."""
    if not words:
        return table
    known = frozenset(words)

    def blocks() -> Iterator[Block]:
        for block in table.blocks():
            cells: list[Sequence[str]] = [
                ["" if cell in known else cell for cell in column] for column in block.columns
            ]
            yield Block(block.lines, cells)

    return replace(table, blocks=blocks)


def encoded(
    table: Table, columns: Sequence[Column], marks: dict[str, str], oddities: Oddities
) -> Iterator[tuple[Block, Floats]]:
    """Blocks of a table, and their columns as numbers."""
    places = [table.index(column.name) for column in columns]
    for block in table.blocks():
        parts = [
            column.encode(
                block.columns[place], marks[column.name], placer(table, block, column.name),
                oddities,
            )
            for column, place in zip(columns, places, strict=True)
        ]  # fmt: skip
        yield block, np.concatenate(parts, axis=1)


def decimal_marks(
    table: Table, columns: Sequence[Column], choices: Choices, default: str
) -> dict[str, str]:
    """The decimal mark of each column of new data."""
    names = [column.name for column in columns if column.kind == NUMBER]
    marks = dict.fromkeys((column.name for column in columns), choices.decimal or default)
    if names and not choices.decimal:
        marks |= decimals(study(table, names, _STUDIED_BLOCKS).values(), default)
    return marks


def placer(table: Table, block: Block, column: str) -> Callable[[int], str]:
    """Where a cell of a block is, by its number."""
    return lambda i: table.place(block.lines[i], column)


def _arrays(
    table: Table, columns: Sequence[Column], target: Target, marks: dict[str, str], rows: int
) -> tuple[Floats, Floats]:
    """Features and target of all rows."""
    x = np.empty((rows, sum(column.width for column in columns)))
    y = np.empty(rows)
    place = table.index(target.name)
    start = 0
    for block, numbers in encoded(table, columns, marks, Oddities()):
        end = start + len(numbers)
        x[start:end] = numbers
        where = placer(table, block, target.name)
        y[start:end] = target.read(block.columns[place], marks[target.name], where)
        start = end
    return x, y
