"""``hotloop predict``."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..files.whole import text_written_whole
from ..tabular import files
from ..tabular.cells import Floats
from ..tabular.columns import Oddities
from ..tabular.model import TabularModel
from ..tabular.reading import read_table
from .options import add_format, text_format
from .outputs import check_outputs

DESCRIPTION = """\
Predict the rows of a table, one line for each, with a model from `hotloop train --save`.

The table needs the columns that the model was trained on, by name and in any order; others are
ignored.

  hotloop predict model.hotloop new.csv --output predictions.csv
"""
_MOST_UNSEEN = 3  # values that are listed


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may follow the command."""
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="file from train --save")
    add("table", metavar="FILE", help="rows to predict; - is standard input")
    add("--proba", action="store_true", help="the probability of each class instead of its name")
    add("--output", type=Path, metavar="FILE", help="write a CSV file (default: standard output)")
    add_format(parser)


def run(options: argparse.Namespace) -> None:
    """Predict each row of a file."""
    check_outputs({"--output": options.output}, [options.model, options.table])
    model = files.load(options.model)
    target = model.recipe.target
    if options.proba and target.classes is None:
        raise ValueError(f"--proba: the model predicts {target.name} as a quantity, not classes")
    table = read_table(options.table, text_format(options))
    oddities = Oddities()
    blocks = _lines(model, model.outputs(table, oddities), options.proba)
    header = (target.classes or ()) if options.proba else (target.name,)
    first = next(blocks)  # before anything is written: most mistakes are in the first rows too
    with _opened(options.output) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(first)
        for block in blocks:
            writer.writerows(block)
    _warn(oddities)


def _lines(
    model: TabularModel, outputs: Iterable[Floats], proba: bool
) -> Iterator[list[list[str]]]:
    """The cells of each row's line, a block of rows at a time."""
    for block in outputs:
        if proba:
            yield [[f"{value:.6g}" for value in row] for row in block.tolist()]
        else:
            yield [[_cell(value)] for value in model.predicted(block)]


def _cell(value: str | float) -> str:
    """A class's name, or a quantity with the digits that a network can tell."""
    return value if isinstance(value, str) else f"{value:.9g}"


@contextmanager
def _opened(path: Path | None) -> Iterator[IO[str]]:
    """The file to write to, which is there whole or not at all; standard output without one."""
    if path is None:
        yield sys.stdout
    else:
        with text_written_whole(path, newline="") as file:
            yield file


def _warn(oddities: Oddities) -> None:
    """Says what training has not seen."""
    for name, values in oddities.unseen.items():
        some = ", ".join(map(repr, [value for value, _ in values.most_common(_MOST_UNSEEN)]))
        more = ", ..." if len(values) > _MOST_UNSEEN else ""
        _note(f"column {name!r}: {values.total():,} cells hold a value that the model does not "
              f"know ({some}{more}); taken as average")  # fmt: skip
    for name, count in oddities.missing.items():
        _note(f"column {name!r}: {count:,} cells are missing, as none was in training; taken as "
              "average")  # fmt: skip


def _note(text: str) -> None:
    print(f"hotloop: note: {text}", file=sys.stderr)
