"""What was found out about a table, in words: guesses, and how to change them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .columns import Column
from .study import DATES, NUMBER, TEXT, TIME, TRUTH, Study
from .table import MOST_NAMED, Table
from .target import CLASSIFICATION, REGRESSION, TEXT_HELD, TOLD, Target

_SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas", "|": "bars", " ": "spaces"}
_MOST_CLASSES = 6  # that are listed


def report(
    table: Table,
    studies: Mapping[str, Study],
    columns: Sequence[Column],
    target: Target,
    why: str,
    decimals: Mapping[str, str],
    left_out: Mapping[str, str],
    without_target: int,
    day_first: bool | None,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """All lines, and those of them that say what is not used."""
    losses = []
    if without_target:
        losses.append(f"left out: {without_target:,} rows without a value of {target.name}")
    if left_out:
        reasons = [f"{name} ({reason})" for name, reason in left_out.items()]
        line = f"left out: {_listed(reasons)}"
        if any(reason.startswith("text") for reason in left_out.values()):
            line += "; --categories COLUMN takes the most common values all the same"
        losses.append(line)
    lines = [*_layout(table, decimals), _predicted(target, why)]
    for kind, words in _WORDS.items():
        if names := [_described(c, kind) for c in columns if c.kind in kind]:
            lines.append(f"{words}: {_listed(names)}")
    guessed = [c.name for c in columns if c.kind in DATES and studies[c.name].guesses_dates]
    if guessed and day_first is None:
        first = next(c for c in columns if c.name in guessed).kind
        lines.append(
            f"guessed: {_listed(guessed)} is a {first}; --day-first or --month-first decides"
        )
    missing = {c.name: _missing(studies[c.name], c) for c in columns}
    if some := [f"{name} ({count:,})" for name, count in missing.items() if count]:
        lines.append(
            f"missing cells, taken as the mean and marked by a column of their own: {_listed(some)}"
        )
    if table.named and all(_looks_like_data(name) for name in table.columns):
        lines.append("the first line, of numbers only, is taken as names; --no-header reads it")
    return (*lines, *losses), tuple(losses)


_WORDS: dict[tuple[str, ...], str] = {
    (NUMBER,): "numbers",
    (TRUTH,): "true or false",
    DATES: "dates, as days, time of year, day of week",
    (TIME,): "times of day",
    (TEXT,): "text, as categories",
}


def _layout(table: Table, decimals: Mapping[str, str]) -> list[str]:
    """How the file is written, if it is text and not in the usual way."""
    facts = []
    if table.separator not in (None, ","):
        facts.append(f"cells between {_SEPARATORS.get(table.separator, repr(table.separator))}")
    if table.encoding not in (None, "utf-8", "utf-8-sig"):
        facts.append(f"encoding {table.encoding}")
    if "," in decimals.values():
        facts.append("decimal commas")
    return [f"read as: {', '.join(facts)}"] if facts else []


def _predicted(target: Target, why: str) -> str:
    if target.classes is None:
        what, other = "a quantity (regression)", f"--{CLASSIFICATION} makes classes of it"
    else:
        names = ", ".join(target.classes[:_MOST_CLASSES])
        if len(target.classes) > _MOST_CLASSES:
            names += ", ..."
        what = f"one of {len(target.classes)} classes (classification): {names}"
        other = f"--{REGRESSION} makes a quantity of it"
    line = f"predicts {target.name}, {what}; since {why}"
    return line if why in (TOLD, TEXT_HELD) else f"{line}; {other}"


def _described(column: Column, kind: Iterable[str]) -> str:
    if column.kind == TEXT:
        return f"{column.name} ({len([term for term in column.terms if term])})"
    return column.name


def _missing(study: Study, column: Column) -> int:
    return study.missing + (0 if column.kind == TEXT else study.no_values)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _looks_like_data(name: str) -> bool:
    return name.replace(".", "", 1).lstrip("-").isdigit()
