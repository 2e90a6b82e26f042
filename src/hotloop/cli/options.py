"""Options that several commands have: their types, and those that say how a text file is read."""

from __future__ import annotations

import argparse

from ..tabular.text import SEPARATORS, Format


def at_least_one(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


def sizes(text: str) -> tuple[int, ...]:
    """Layer sizes such as ``128,64``; none for an empty text."""
    return tuple(at_least_one(size.strip()) for size in text.split(",")) if text else ()


def share(text: str) -> float:
    """A number from 0 to below 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to below 1, got {text!r}")
    return value


def positive(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def names(text: str) -> tuple[str, ...]:
    """Words between commas."""
    return tuple(name.strip() for name in text.split(","))


def separator(text: str) -> str:
    """One character, or its name."""
    found = {**SEPARATORS, "space": " ", "\\t": "\t"}.get(text, text)
    if len(found) != 1 or found in '"\r\n':
        known = ", ".join(SEPARATORS)
        raise argparse.ArgumentTypeError(
            f"expected one character, or {known} or space, got {text!r}"
        )
    return found


def add_format(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `text_format`."""
    group = parser.add_argument_group("how a text file is read (found out unless told)")
    add = group.add_argument
    add("--separator", type=separator, metavar="CHAR", help="between cells: , ; | or tab")
    add("--encoding", metavar="NAME", help="such as utf-8, cp1252 or utf-16")
    add(
        "--no-header",
        action="store_true",
        help="the first line is data; columns are called 1, 2, 3, ...",
    )


def text_format(options: argparse.Namespace) -> Format:
    """How a text file is to be read."""
    return Format(options.separator, options.encoding, not options.no_header)
