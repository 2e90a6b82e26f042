"""The command ``hotloop``: what is installed and how fast, train a model, predict with it."""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from .datasets.files import Split
from .saving.files import text_written_whole
from .tabular import (
    Problem,
    Score,
    TabularModel,
    Training,
    is_parquet,
    problem_from_table,
    read_table,
)

FAILED = 2
INTERRUPTED = 130


@dataclass(frozen=True)
class BuiltIn:
    """A data set that ``--data`` knows by name."""

    load: Callable[[], Problem]
    epochs: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after ``hotloop``; by default those the process was started with.

    Returns
    -------
    int
        0 if all went well, 2 after one line on standard error that says what did not,
        130 after Ctrl-C.

    Examples
    --------
    >>> main(["train", "--epochs", "2", "--quiet"])  # doctest: +SKIP
    test accuracy: 0.8194
    training speed: 411,802 samples/s
    0
    """
    try:
        options = _parser().parse_args(arguments)
        options.run(options)
    except (ValueError, TypeError, ArithmeticError, ImportError, OSError) as error:
        print("hotloop: " + " ".join(str(error).split()), file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("hotloop: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


class _Parser(argparse.ArgumentParser):
    """A parser whose errors take the same way out as all others."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (see `{self.prog} --help`)")


def _parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = _Parser(prog="hotloop", description="Train neural networks on the CPU.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_info(commands.add_parser("info", help="show backends, CPU, threads and versions"))
    _add_train(commands.add_parser("train", help="train a fully connected network"))
    _add_predict(commands.add_parser("predict", help="predict the rows of a CSV or Parquet file"))
    _add_profile(commands.add_parser("profile", help="time every kernel on every backend"))
    return parser


def _add_info(parser: argparse.ArgumentParser) -> None:
    """`hotloop info`."""
    parser.set_defaults(run=_info)


def _add_train(parser: argparse.ArgumentParser) -> None:
    """`hotloop train`."""
    parser.set_defaults(run=_train)
    add = parser.add_argument
    add(
        "--data",
        default="digits",
        metavar="NAME|FILE",
        help=f"{', '.join(_BUILT_IN)}, or a file: CSV with a line of names, or Parquet "
        "(default: digits)",
    )
    add("--target", metavar="COLUMN", help="column of the file to predict")
    add(
        "--layers",
        type=_sizes,
        default="128,64",
        metavar="N,N",
        help="units of each hidden layer; '' for none (default: 128,64)",
    )
    add("--activation", default="relu", help="of the hidden layers (default: relu)")
    add("--epochs", type=_at_least_one, help="passes over the data (default: by data set)")
    add("--batch-size", type=_at_least_one, default=32, help="rows a step (default: 32)")
    add("--optimizer", default="adam", help="by name (default: adam)")
    add("--learning-rate", type=float, help="default: the optimizer's own")
    add(
        "--validation-split",
        type=float,
        default=0.0,
        help="share of the training rows to validate on after each epoch (default: 0)",
    )
    add("--seed", type=int, default=0, help="of weights, batches and test rows (default: 0)")
    add("--save", type=Path, metavar="FILE", help="write the model to a .safetensors file")
    add("--quiet", action="store_true", help="no progress, the result only")


def _add_predict(parser: argparse.ArgumentParser) -> None:
    """`hotloop predict`."""
    parser.set_defaults(run=_predict)
    parser.add_argument("model", type=Path, metavar="MODEL", help="file from train --save")
    parser.add_argument("table", type=Path, metavar="FILE", help="rows to predict")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write a CSV file (default: standard output)"
    )


def _add_profile(parser: argparse.ArgumentParser) -> None:
    """`hotloop profile`."""
    parser.set_defaults(run=_profile)
    add = parser.add_argument
    add("--kernels", nargs="+", default=(), metavar="NAME", help="these only, or groups of them")
    add("--quick", action="store_true", help="two shapes of each, fewer repeats")
    add("--threads", type=_at_least_one, metavar="N", help="default: all that may be used")
    add("--json", type=Path, metavar="FILE", help="write every number")
    add("--html", type=Path, metavar="FILE", help="write a page with a chart and a table")
    add("--plot", type=Path, metavar="FILE.png", help="write the chart (needs Matplotlib)")


def _at_least_one(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


def _sizes(text: str) -> tuple[int, ...]:
    """Layer sizes such as ``128,64``; none for an empty text."""
    return tuple(_at_least_one(size.strip()) for size in text.split(",")) if text else ()


def _info(_: argparse.Namespace) -> None:
    """Print the configuration."""
    from . import show_config

    show_config()


def _train(options: argparse.Namespace) -> None:
    """Train, report, save."""
    _check_folder("--save", options.save)
    problem, epochs = _problem(options)
    model = TabularModel(options.layers, options.activation)
    training = Training(
        epochs=options.epochs or epochs,
        batch_size=options.batch_size,
        optimizer=options.optimizer,
        learning_rate=options.learning_rate,
        validation_split=options.validation_split,
        seed=options.seed,
        verbose=0 if options.quiet else "auto",
    )
    if not options.quiet:
        print(
            f"{options.data}: {len(problem.x_train):,} training rows, {len(problem.x_test):,} "
            f"test rows, {len(problem.features)} features, target {problem.target}"
        )
    _report(model.fit(problem, training))
    if options.save:
        model.save(options.save)
        print(f"saved: {options.save}")


def _check_folder(option: str, file: Path | None) -> None:
    """Says before the work, rather than after it, that a file cannot be written."""
    if file and not file.absolute().parent.is_dir():
        raise ValueError(f"{option}: there is no folder {file.absolute().parent}")


def _problem(options: argparse.Namespace) -> tuple[Problem, int]:
    """What to learn, and for how many epochs unless told."""
    if built_in := _BUILT_IN.get(options.data):
        if options.target:
            raise ValueError(f"--target is for CSV and Parquet files; {options.data} has its own")
        return built_in.load(), built_in.epochs
    if not options.data.lower().endswith(".csv") and not is_parquet(options.data):
        known = ", ".join(_BUILT_IN)
        raise ValueError(
            f"--data: expected {known} or a file in .csv or .parquet, got {options.data!r}"
        )
    if not options.target:
        raise ValueError("--target: name the column to predict")
    return problem_from_table(read_table(options.data), options.target, options.seed), 50


def _report(score: Score) -> None:
    """Print what the training achieved."""
    print(f"test {score.metric}: {score.value:.4f}")
    print(f"training speed: {score.samples_per_second:,.0f} samples/s")


def _predict(options: argparse.Namespace) -> None:
    """Predict each row of a file."""
    model = TabularModel.load(options.model)
    predictions = model.predict(read_table(options.table))
    lines: list[list[str | float]] = [[model.target], *([value] for value in predictions)]
    if options.output is None:
        csv.writer(sys.stdout, lineterminator="\n").writerows(lines)
        return
    with text_written_whole(options.output, newline="") as file:
        csv.writer(file).writerows(lines)


def _profile(options: argparse.Namespace) -> None:
    """Time the kernels, print the table, write the files."""
    from .profiling import html, plot
    from .profiling.kernels import profile_kernels

    for name in ("json", "html", "plot"):
        _check_folder(f"--{name}", getattr(options, name))
    if options.plot:
        plot.check(options.plot)
    profile = profile_kernels(
        options.kernels, quick=options.quick, threads=options.threads, progress=True
    )
    print(profile.table(shutil.get_terminal_size(fallback=(100, 24)).columns))
    if options.json:
        with text_written_whole(options.json) as file:
            file.write(json.dumps(profile.to_dict(), indent=1) + "\n")
    if options.html:
        with text_written_whole(options.html) as file:
            file.write(html.page(profile))
    if options.plot:
        plot.save(profile, options.plot)


def _digits() -> Problem:
    """The shipped 8x8 digits."""
    from .datasets import digits

    return _pixels(digits.load_data(), tuple("0123456789"), full_scale=16.0)


def _mnist() -> Problem:
    """MNIST."""
    from .datasets import mnist

    return _pixels(mnist.load_data(), tuple("0123456789"), full_scale=255.0)


def _fashion_mnist() -> Problem:
    """Fashion-MNIST."""
    from .datasets import fashion_mnist

    return _pixels(fashion_mnist.load_data(), fashion_mnist.CLASSES, full_scale=255.0)


def _boston() -> Problem:
    """Boston housing."""
    from .datasets import boston_housing

    (x_train, y_train), (x_test, y_test) = boston_housing.load_data()
    names = boston_housing.FEATURES
    return Problem(x_train, y_train, x_test, y_test, names, "MEDV", None)


def _pixels(split: Split, classes: tuple[str, ...], full_scale: float) -> Problem:
    """Problem of telling images apart, a column for each pixel."""
    (x_train, y_train), (x_test, y_test) = split
    x_train, x_test = x_train.reshape(len(x_train), -1), x_test.reshape(len(x_test), -1)
    names = tuple(f"pixel_{i}" for i in range(x_train.shape[1]))
    return Problem(x_train, y_train, x_test, y_test, names, "label", classes, full_scale)


_BUILT_IN = {
    "digits": BuiltIn(_digits, epochs=20),
    "mnist": BuiltIn(_mnist, epochs=5),
    "fashion-mnist": BuiltIn(_fashion_mnist, epochs=5),
    "boston": BuiltIn(_boston, epochs=100),
}
