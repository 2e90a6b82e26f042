"""``hotloop train``."""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from ..tabular import files
from ..tabular.cells import DECIMALS
from ..tabular.model import Score, TabularModel, Training
from ..tabular.problem import Choices, Problem, problem_from_table
from ..tabular.reading import read_table
from ..tabular.source import STANDARD_INPUT
from ..tabular.target import CLASSIFICATION, REGRESSION
from .built_in import BUILT_IN
from .options import add_format, at_least_one, names, positive, share, sizes, text_format
from .outputs import check_outputs

DESCRIPTION = """\
Train a fully connected network on a table of your own, or on a built-in data set.

What the columns hold is found out and said: numbers, true or false, dates, times, text with few
different values. A fifth of the rows is kept for the test. With --save, all that is known of the
table is saved with the model, so that `hotloop predict` treats new rows the same way.

  hotloop train --data table.csv --target price --save model.hotloop
"""
_TABLE_EPOCHS = 50


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may follow the command."""
    add = parser.add_argument
    add(
        "--data",
        default="digits",
        metavar="NAME|FILE",
        help=f"{', '.join(BUILT_IN)}, or a file: CSV or other text, packed by gzip or not, or "
        "Parquet; - is standard input (default: digits)",
    )
    add("--save", type=Path, metavar="FILE", help="write the model: .hotloop, .keras, .safetensors")
    add("--quiet", action="store_true", help="no progress, the result only")
    _add_table(parser)
    add_format(parser)
    add = parser.add_argument_group("the network and its training").add_argument
    add(
        "--layers",
        type=sizes,
        default="128,64",
        metavar="N,N",
        help="units of each hidden layer; '' for none (default: 128,64)",
    )
    add("--activation", default="relu", metavar="NAME", help="of the hidden layers (default: relu)")
    add("--epochs", type=at_least_one, metavar="N", help="passes over the data (default: by data)")
    add(
        "--batch-size", type=at_least_one, default=32, metavar="N", help="rows a step (default: 32)"
    )
    add(
        "--optimizer", default="adam", metavar="NAME", help="such as sgd or rmsprop (default: adam)"
    )
    add("--learning-rate", type=positive, metavar="RATE", help="default: the optimizer's own")
    add(
        "--validation-split",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="share of the training rows to validate on after each epoch (default: 0)",
    )
    add(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of weights, batches and test rows (default: 0)",
    )


def _add_table(parser: argparse.ArgumentParser) -> None:
    """Options that say what columns mean."""
    group = parser.add_argument_group("the columns of a file")
    add = group.add_argument
    add("--target", metavar="COLUMN", help="the column to predict")
    task = group.add_mutually_exclusive_group()
    for name, what in (
        (CLASSIFICATION, "each value of the target is a class"),
        (REGRESSION, "the target is a quantity"),
    ):
        task.add_argument(
            f"--{name}",
            dest="task",
            action="store_const",
            const=name,
            help=f"{what} (else guessed)",
        )
    add("--drop", type=names, default=(), metavar="COLUMN,...", help="leave these out")
    add(
        "--categories",
        type=names,
        default=(),
        metavar="COLUMN,...",
        help="take these as categories, even if they are numbers or have many values",
    )
    add(
        "--missing",
        type=names,
        default=(),
        metavar="WORD,...",
        help="cells that mean nothing, besides empty ones, NA, N/A, NaN, null, ? and -",
    )
    add("--decimal", choices=DECIMALS, help="the decimal mark (else found out)")
    order = group.add_mutually_exclusive_group()
    for option, day_first in (("--day-first", True), ("--month-first", False)):
        order.add_argument(
            option,
            dest="day_first",
            action="store_const",
            const=day_first,
            help=f"1/2/2024 is in {'February' if day_first else 'January'} (else found out)",
        )


def run(options: argparse.Namespace) -> None:
    """Train, report, save."""
    is_file = options.data not in BUILT_IN
    check_outputs({"--save": options.save}, [options.data] if is_file else [])
    if options.save:
        files.check_ending(options.save)
    model = TabularModel(options.layers, options.activation)
    problem = _from_file(options) if is_file else _built_in(options)
    if not options.quiet:
        _print_paragraphs(_facts(options.data, problem), sys.stdout)
    epochs = _TABLE_EPOCHS if is_file else BUILT_IN[options.data].epochs
    training = Training(
        epochs=options.epochs or epochs,
        batch_size=options.batch_size,
        optimizer=options.optimizer,
        learning_rate=options.learning_rate,
        validation_split=options.validation_split,
        seed=options.seed,
        verbose=0 if options.quiet else "auto",
    )
    score = model.fit(problem, training)
    if options.save:
        files.save(model, options.save)
    if options.quiet:
        _print_paragraphs(problem.losses, sys.stderr)
    _report(score)
    if options.save:
        print(f"saved: {options.save}")


def _built_in(options: argparse.Namespace) -> Problem:
    """The problem of a data set that is known by name."""
    if options.target:
        raise ValueError(f"--target is for CSV and Parquet files; {options.data} has its own")
    return BUILT_IN[options.data].load()


def _from_file(options: argparse.Namespace) -> Problem:
    """The problem of a file's table."""
    path = Path(options.data)
    exists = options.data == STANDARD_INPUT or path.exists()
    if not exists and (options.target or not path.suffix):
        raise ValueError(
            f"--data: expected {', '.join(BUILT_IN)} or a file in .csv or .parquet, got "
            f"{options.data!r}, which does not exist"
        )
    if not options.target:
        raise ValueError("--target: name the column to predict")
    choices = Choices(
        options.drop,
        options.categories,
        options.missing,
        options.decimal,
        options.day_first,
        options.task,
    )
    table = read_table(options.data, text_format(options))
    return problem_from_table(table, options.target, options.seed, choices)


def _facts(data: str, problem: Problem) -> list[str]:
    """What is trained on."""
    name = "standard input" if data == STANDARD_INPUT else data
    first = (
        f"{name}: {len(problem.y_train):,} training rows, {len(problem.y_test):,} test rows, "
        f"{len(problem.columns)} features, target {problem.target.name}"
    )
    return [first, *problem.remarks]


def _print_paragraphs(lines: Iterable[str], file: IO[str]) -> None:
    """Lines, folded to the terminal's width."""
    width = shutil.get_terminal_size(fallback=(100, 24)).columns
    for line in lines:
        folded = textwrap.fill(
            line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
        print(folded, file=file)


def _report(score: Score) -> None:
    """Print what the training achieved."""
    print(f"test {score.metric}: {_figure(score.value)}")
    print(f"{score.baseline_of}: {_figure(score.baseline)}")
    if score.r2 is not None and math.isfinite(score.r2):
        print(f"test R2: {score.r2:.4f}")
    print(f"training speed: {score.samples_per_second:,.0f} samples/s")


def _figure(value: float) -> str:
    """A number of any size, readable."""
    return f"{value:,.4f}" if value == 0 or 1e-3 <= abs(value) < 1e7 else f"{value:.5g}"
