"""Columns of a table as a network's inputs: what each becomes is kept with the model."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .cells import Floats, is_missing, is_no_value
from .study import DATES, MOST_DISTINCT, NUMBER, READERS, TEXT, TIME, TRUTH, Study

MOST_CATEGORIES = 50  # of a column of text that is taken as categories without being told
MOST_CATEGORIES_TOLD = 200  # with --categories; the most common ones

_EXPECTED = {NUMBER: "a number", TRUTH: "true or false", TIME: "a time such as 18:30"}
_MISSING_TERM = ""
_YEAR, _WEEK = 365.2425, 7.0


@dataclass
class Oddities:
    """What was found in a table's cells that training has not seen."""

    missing: Counter[str] = field(default_factory=Counter)
    unseen: dict[str, Counter[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """How one column becomes numbers.

    - A number stays one.
    - True is 1, false is 0.
    - A time of day is its share of the day, and sine and cosine of that.
    - A date is its days since 1970, and sine and cosine of the time of year and of the day of the
      week; of the time of day too if it has one.
    - A text is a 1 at the place of its term, as `layers.StringLookup` numbers them.

    NaN says that nothing is known, and becomes the mean of the training rows. A cell that is
    missing is a term of its own in text; otherwise one more number says that it is missing, if
    any was in training.

    Attributes
    ----------
    name, kind : str
    terms : tuple of str
        Of text, the most common ones first.
    marks_missing : bool
    has_clock : bool
        Whether dates have a time of day.
    """

    name: str
    kind: str = NUMBER
    terms: tuple[str, ...] = ()
    marks_missing: bool = False
    has_clock: bool = False

    @property
    def width(self) -> int:
        """How many numbers a cell becomes."""
        if self.kind == TEXT:
            return len(self.terms)
        values = 3 if self.kind == TIME else 5 + 2 * self.has_clock if self.kind in DATES else 1
        return values + self.marks_missing

    @property
    def is_scaled(self) -> list[bool]:
        """Which of them are to be divided by their standard deviation, having a unit."""
        return [i == 0 and self.kind in (NUMBER, *DATES) for i in range(self.width)]

    def encode(
        self,
        cells: Sequence[str],
        decimal: str,
        place: Callable[[int], str],
        oddities: Oddities,
    ) -> Floats:
        """The numbers of cells, shape (cells, width).

        Parameters
        ----------
        cells : sequence of str
        decimal : str
            The decimal mark.
        place : function
            Where the cell of this number is, for messages.
        oddities : Oddities
            Gets what was not seen in training.

        Raises
        ------
        ValueError
            For a cell that is neither missing nor of the column's kind, saying where it is.
        """
        if self.kind == TEXT:
            return self._encode_text(cells, oddities)
        values = read_values(self.kind, cells, decimal, place)
        missing = np.isnan(values)
        if missing.any() and not self.marks_missing:
            oddities.missing[self.name] += int(missing.sum())
        parts = [values]
        if self.kind == TIME:
            parts += _circle(values, 1.0)
        elif self.kind in DATES:
            parts += [*_circle(values, _YEAR), *_circle(values, _WEEK)]
            parts += _circle(values, 1.0) if self.has_clock else []
        if self.marks_missing:
            parts.append(missing.astype(np.float64))
        return np.stack(parts, axis=1)

    def _encode_text(self, cells: Sequence[str], oddities: Oddities) -> Floats:
        terms = [_MISSING_TERM if is_missing(cell) else cell for cell in cells]
        index = self._lookup(np.array(terms, object)) - 1
        out = np.zeros((len(cells), len(self.terms)))
        known = np.flatnonzero(index >= 0)
        out[known, index[known]] = 1.0
        others = np.flatnonzero(index < 0)
        out[others] = np.nan
        for term in (terms[i] for i in others):
            if term == _MISSING_TERM:
                oddities.missing[self.name] += 1
            else:
                oddities.unseen.setdefault(self.name, Counter())[term] += 1
        return out

    @cached_property
    def _lookup(self) -> Any:
        from ..layers import StringLookup

        # Cells are stripped, so that none is like the token for those that are no term.
        return StringLookup(vocabulary=list(self.terms), oov_token=" ")


def read_values(
    kind: str, cells: Sequence[str], decimal: str, place: Callable[[int], str]
) -> Floats:
    """Cells as numbers; NaN where one is missing.

    Raises
    ------
    ValueError
        For one that is something else, saying where.
    """
    values = READERS[kind + decimal if kind == NUMBER else kind](cells)
    for i in np.flatnonzero(np.isnan(values)).tolist():
        if not is_no_value(cells[i]):
            expected = _EXPECTED.get(kind, f"a {kind}")
            raise ValueError(
                f"{place(i)}: expected {expected}, got {cells[i]!r}; mend it, name it with "
                "--missing, or leave the column out with --drop"
            )
    return values


def _circle(values: Floats, period: float) -> list[Floats]:
    """Sine and cosine: the end of a period is as near to its beginning as it should be."""
    angle = values * (2 * math.pi / period)
    return [np.sin(angle), np.cos(angle)]


def column_of(study: Study, day_first: bool | None, as_categories: bool) -> Column | str:
    """How a column becomes numbers; or why it is left out.

    Raises
    ------
    ValueError
        If it has too many different cells for the categories that it is to be.
    """
    kind = study.kind(day_first)
    if kind == "empty":
        return "no cell has a value"
    if not as_categories and study.counts_rows:
        return "it numbers the rows"
    if kind != TEXT and not as_categories:
        return Column(study.name, kind, (), study.missing + study.no_values > 0, study.has_clock)
    most = MOST_CATEGORIES_TOLD if as_categories else MOST_CATEGORIES
    if study.texts is None and as_categories:
        raise ValueError(
            f"--categories {study.name}: it has more than {MOST_DISTINCT:,} different values"
        )
    if study.texts is None or (
        not as_categories and (study.distinct > most or 2 * study.distinct > study.present)
    ):
        count = f"{study.distinct:,}" if study.texts is not None else f"over {MOST_DISTINCT:,}"
        return f"text with {count} different values in {study.present:,} rows"
    terms = [term for term, _ in study.texts.most_common(most)]
    if study.missing:
        terms.append(_MISSING_TERM)
    return Column(study.name, TEXT, tuple(terms))
