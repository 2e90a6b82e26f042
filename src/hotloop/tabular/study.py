"""What a column may hold, found out a block of cells at a time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np

from . import cells as read
from .cells import DECIMALS, Floats

NUMBER, TRUTH, TIME, TEXT, EMPTY = "number", "truth", "time", "text", "empty"
DAY_FIRST, MONTH_FIRST = "date, day first", "date, month first"
DATES = (DAY_FIRST, MONTH_FIRST)

READERS: dict[str, Callable[[Sequence[str]], Floats]] = {
    **{NUMBER + decimal: partial(read.numbers, decimal=decimal) for decimal in DECIMALS},
    TRUTH: read.truths,
    DAY_FIRST: partial(read.days, day_first=True),
    MONTH_FIRST: partial(read.days, day_first=False),
    TIME: read.times,
}

MOST_DISTINCT = 10_000  # different cells of a column that are kept; bounds the memory
_MOSTLY = 0.9  # a column of which this share can be read is of that kind, the rest are mistakes
_HOPELESS = 0.5  # a reader that can read less of what came so far is not asked again
_ROW_NAMES = re.compile(r"(column \d+|unnamed:.*|index|id|row.*|.*[ _]id|.*[a-z]Id)?", re.I)


class Study:
    """What is known of a column.

    Attributes
    ----------
    name : str
    rows, missing, no_values : int
        Cells; those that are missing; those that have no value unless the column is text.
    texts : Counter or None
        How often each cell is there, missing ones aside; None if too many differ.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows = 0
        self.missing = 0
        self.no_values = 0
        self.texts: Counter[str] | None = Counter()
        self.has_clock = False
        self._dates_differ = False
        self._example = ""
        self._readable = dict.fromkeys(READERS, 0)
        self._new: Counter[str] = Counter()
        self._counts_rows = bool(_ROW_NAMES.fullmatch(name))
        self._first_number: int | None = None

    def add(self, cells: Sequence[str]) -> None:
        """Looks at more cells."""
        if self._counts_rows:
            self._counts_rows = self._goes_on(cells)
        self.rows += len(cells)
        self._new.update(cells)
        if len(self._new) > MOST_DISTINCT:
            self._settle()
            self.texts = None

    def finish(self) -> Study:
        """Looks at what `add` has left."""
        self._settle()
        return self

    def _goes_on(self, cells: Sequence[str]) -> bool:
        """Whether cells count rows from 0 or 1, as they did so far."""
        if self._first_number is None and cells[0] in ("0", "1"):
            self._first_number = int(cells[0])
        if self._first_number is None:
            return False
        start = self._first_number + self.rows
        return all(cell == str(i) for i, cell in enumerate(cells, start))

    def _settle(self) -> None:
        """Counts which of the new cells can be read as what."""
        counts, self._new = self._new, Counter()
        for cell in [cell for cell in counts if read.is_missing(cell)]:
            self.missing += counts.pop(cell)
        if self.texts is not None:
            self.texts.update(counts)
            if len(self.texts) > MOST_DISTINCT:
                self.texts = None
        for cell in [cell for cell in counts if read.is_no_value(cell)]:
            self.no_values += counts.pop(cell)
        cells, often = list(counts), np.array(list(counts.values()))
        if not cells:
            return
        self._example = self._example or cells[0]
        found = {kind: READERS[kind](cells) for kind in self._readable}
        for kind, values in found.items():
            self._readable[kind] += int(often[~np.isnan(values)].sum())
        for days in (found[kind] for kind in DATES if kind in found):
            self.has_clock |= bool((np.nan_to_num(days) % 1 != 0).any())
        if all(kind in found for kind in DATES):
            a, b = (found[kind] for kind in DATES)
            self._dates_differ |= bool((~np.isnan(a) & ~np.isnan(b) & (a != b)).any())
        for kind, readable in list(self._readable.items()):
            if readable < self._values * _HOPELESS:
                del self._readable[kind]

    @property
    def present(self) -> int:
        """Cells that are not missing."""
        return self.rows - self.missing - self._new.total()

    @property
    def _values(self) -> int:
        return self.present - self.no_values

    @property
    def distinct(self) -> int:
        """How many cells differ, or more than MOST_DISTINCT."""
        return MOST_DISTINCT + 1 if self.texts is None else len(self.texts)

    @property
    def counts_rows(self) -> bool:
        """Whether it has no name, or that of a row number, and the cells count 0, 1, 2, ..."""
        return self._counts_rows and self.rows > 1

    def readable(self, kind: str) -> int:
        """How many cells can be read as this."""
        if kind == NUMBER:
            return max(self.readable(NUMBER + decimal) for decimal in DECIMALS)
        return self._readable.get(kind, 0)

    def decimal(self) -> str | None:
        """The decimal mark; None if both may be meant."""
        points, commas = (self.readable(NUMBER + decimal) for decimal in DECIMALS)
        return None if points == commas else "." if points > commas else ","

    def kind(self, day_first: bool | None = None) -> str:
        """What the column holds.

        Parameters
        ----------
        day_first : bool, optional
            What 1/2/2024 means, where other cells of the column do not tell.
        """
        if not self.present:
            return EMPTY
        if not self._values:
            return TEXT
        if self.texts is not None and self.readable(TRUTH) == self._values:
            words = [cell for cell in self.texts if not read.is_no_value(cell)]
            if self.readable(NUMBER) < self._values and set(read.truths(words)) == {0.0, 1.0}:
                return TRUTH
        kinds = (NUMBER, TIME, *self._dates(day_first))
        for least in (self._values, self._values * _MOSTLY):
            for kind in kinds:
                if self.readable(kind) >= max(least, 1):
                    return kind
        return TEXT

    def _dates(self, day_first: bool | None) -> tuple[str, ...]:
        """The ways to read dates, the more likely one first."""
        if day_first is None:
            day_first = "/" not in self._example
        return DATES if day_first else DATES[::-1]

    @property
    def guesses_dates(self) -> bool:
        """Whether day and month could be meant the other way round."""
        return self._dates_differ and self.readable(DAY_FIRST) == self.readable(MONTH_FIRST)


def decimals(studies: Iterable[Study], default: str = ".") -> dict[str, str]:
    """The decimal mark of each column.

    Where a column does not tell, such as one of whole numbers, most others decide.
    """
    told = {study.name: study.decimal() for study in studies}
    votes = Counter(decimal for decimal in told.values() if decimal)
    usual = votes.most_common(1)[0][0] if votes else default
    return {name: decimal or usual for name, decimal in told.items()}
