"""The command ``hotloop``: what is installed and how fast, train a model, predict with it."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from . import info, predict, profile, train

FAILED = 2
INTERRUPTED = 130  # 128 and the signal's number, as shells have it
NOBODY_READS = 141

_DESCRIPTION = """\
Train neural networks on the CPU. For a table of your own:

  hotloop train --data table.csv --target COLUMN --save model.hotloop
  hotloop predict model.hotloop new.csv
"""


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
        130 after Ctrl-C, 141 if what read standard output has gone, as ``head`` does.

    Examples
    --------
    >>> main(["train", "--epochs", "2", "--quiet"])  # doctest: +SKIP
    test accuracy: 0.8194
    accuracy of always saying 3, the most common class: 0.1083
    training speed: 411,802 samples/s
    0
    """
    try:
        options = _parser().parse_args(arguments)
        options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_output()
        return NOBODY_READS
    except (
        ValueError,
        TypeError,
        ArithmeticError,
        ImportError,
        OSError,
        MemoryError,
        RuntimeError,
    ) as error:
        print("hotloop: " + _one_line(error), file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("hotloop: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def _one_line(error: BaseException) -> str:
    """What an error says; how Python puts the operating system's is for programmers."""
    if isinstance(error, MemoryError) and not str(error):
        return "there is not enough memory"
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _silence_output() -> None:
    """Keeps Python from complaining once more, when it closes standard output at its end."""
    with contextlib.suppress(OSError, ValueError):  # not a file of the operating system
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Formatter(argparse.HelpFormatter):
    """Folds a description's paragraphs, and leaves indented ones, which are commands, alone."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.strip().split("\n\n")
        fill = super()._fill_text
        return "\n\n".join(p if p.startswith(" ") else fill(p, width, indent) for p in paragraphs)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors take the same way out as all others."""

    def __init__(self, **options: Any) -> None:
        # An option that is a part of another one's name would be taken for that.
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **options)

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (see `{self.prog} --help`)")


class _Version(argparse.Action):
    """Prints the version, which is looked up only then."""

    def __call__(self, *_: Any) -> None:
        from ..version import __version__

        print(f"hotloop {__version__}")
        raise SystemExit(0)


def _parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = _Parser(prog="hotloop", description=_DESCRIPTION)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, module, what in (
        ("train", train, "train a fully connected network on a table or a built-in data set"),
        ("predict", predict, "predict the rows of a table with a model from train --save"),
        ("info", info, "show backend, CPU, threads and versions"),
        ("profile", profile, "time every kernel on every backend"),
    ):
        command = commands.add_parser(name, help=what, description=module.DESCRIPTION)
        command.set_defaults(run=module.run)
        module.add_options(command)
    return parser
