"""What a cell means: nothing, a number, true or false, a date, a time of day.

Readers turn many cells at once into float64 and give NaN for a cell that they cannot read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Missing in any column; and in columns of numbers, dates and truth values only, since in a column
# of text they may be categories ("none" of three kinds of insurance).
_MISSING = frozenset({"", "na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "null", "?", "-"})
_NO_VALUE = frozenset(
    {"none", "nil", "missing", "unknown", "not available", "n.a.", ".", "..", "...", "--", "---"}
    | {"nat", "#value!", "#div/0!", "#ref!", "#null!", "#num!"}
)
DECIMALS = (".", ",")

_TRUTH = {"true": 1.0, "yes": 1.0, "t": 1.0, "y": 1.0, "on": 1.0, "1": 1.0}
_TRUTH |= {"false": 0.0, "no": 0.0, "f": 0.0, "n": 0.0, "off": 0.0, "0": 0.0}


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is nothing.

    Examples
    --------
    >>> [is_missing(cell) for cell in ("", "NA", "?", "0", "none")]
    [True, True, True, False, False]
    """
    return len(cell) <= 4 and cell.lower() in _MISSING


def is_no_value(cell: str) -> bool:
    """Whether a cell says that there is nothing where a number, date or truth value is expected."""
    return is_missing(cell) or cell.lower() in _NO_VALUE


# ------------------------------------------------------------------------ numbers

_GROUPS = r"[+-]?\d{{1,3}}([{groups}' \u00a0\u202f])\d{{3}}(?:\1\d{{3}})*(?:{point}\d*)?"
_GROUPED = {
    ".": re.compile(_GROUPS.format(groups=",", point=r"\.")),
    ",": re.compile(_GROUPS.format(groups=".", point=",")),
}
_DECIMAL_COMMA = re.compile(r"[+-]?(\d+,?\d*|,\d+)([eE][+-]?\d+)?")


def numbers(cells: Sequence[str], decimal: str = ".") -> Floats:
    """Finite numbers, with groups of three digits apart or not.

    Parameters
    ----------
    cells : sequence of str
    decimal : {".", ","}
        What stands before the fraction; the other one may stand between groups.

    Examples
    --------
    >>> numbers(["1,234.5", "-2e3", "x"])
    array([ 1234.5, -2000. ,     nan])
    >>> numbers(["1.234,5", "0,25"], ",")
    array([1.2345e+03, 2.5000e-01])
    """
    if decimal == ".":
        try:
            found = np.fromiter(map(float, cells), np.float64, len(cells))
        except ValueError:
            pass
        else:
            if not any("_" in cell for cell in cells):  # Python's own way to group digits
                return np.where(np.isfinite(found), found, np.nan)
    return np.array([_number(cell, decimal) for cell in cells], np.float64)


def _number(cell: str, decimal: str) -> float:
    cell = cell.replace("\N{MINUS SIGN}", "-")
    if grouped := _GROUPED[decimal].fullmatch(cell):
        cell = cell.replace(grouped.group(1), "")
    elif decimal == "," and not _DECIMAL_COMMA.fullmatch(cell):
        return math.nan
    if decimal == ",":
        cell = cell.replace(",", ".")
    try:
        value = float(cell)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) and "_" not in cell else math.nan


def truths(cells: Sequence[str]) -> Floats:
    """1 for true, yes and on, 0 for false, no and off, in any case and by their first letters.

    Examples
    --------
    >>> truths(["True", "NO", "y", "perhaps"])
    array([ 1.,  0.,  1., nan])
    """
    return np.array([_TRUTH.get(cell.lower(), math.nan) for cell in cells], np.float64)


# -------------------------------------------------------------------------- dates

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CLOCK = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d+))?)?"
    r"\s?(?P<half>[AaPp]\.?[Mm]\.?)?"
)
_TIME = rf"(?:[T ,]\s*{_CLOCK}\s?(?P<zone>Z|UTC|GMT|[+-]\d{{2}}(?::?\d{{2}})?)?)?"
_NAME = r"(?P<name>[A-Za-z]{3,9})\.?"
_YEAR_FIRST = re.compile(
    rf"(?P<year>\d{{4}})(?P<mark>[-/.])(?P<month>\d{{1,2}})(?:(?P=mark)(?P<day>\d{{1,2}}){_TIME})?"
)
_NAMED = re.compile(
    rf"(?:[A-Za-z]{{3,9}},?\s)?(?P<day>\d{{1,2}})[-/ .]\s?{_NAME}[-/ ,]\s?(?P<year>\d{{4}}|\d\d)"
    rf"{_TIME}"
)
_NAMED_FIRST = re.compile(
    rf"(?:[A-Za-z]{{3,9}},\s)?{_NAME}[-/ ](?P<day>\d{{1,2}}),?[-/ ]\s?(?P<year>\d{{4}}){_TIME}"
)
_YEAR_LAST = {
    day_first: re.compile(
        rf"(?P<{a}>\d{{1,2}})(?P<mark>[-/.])(?P<{b}>\d{{1,2}})(?P=mark)"
        rf"(?P<year>\d{{4}}|\d\d){_TIME}"
    )
    for day_first, a, b in ((True, "day", "month"), (False, "month", "day"))
}
_CLOCK_ALONE = re.compile(_CLOCK)
_EPOCH = datetime(1970, 1, 1)
_DAY = timedelta(days=1)


def days(cells: Sequence[str], day_first: bool) -> Floats:
    """Dates, with a time of day or not, as days since 1970; those with a time zone in UTC.

    Read are ISO 8601 (``2024-05-31``, ``2024-05-31T18:30:00Z``, also with ``/`` and ``.``), names
    of months (``31 May 2024``, ``May 31, 2024``), and ``31/5/2024`` or ``5/31/2024``.

    Parameters
    ----------
    cells : sequence of str
    day_first : bool
        How the last form is meant.

    Examples
    --------
    >>> days(["1970-01-02", "3 Jan 1970", "4/1/1970", "1970-01-01 12:00"], day_first=True)
    array([1. , 2. , 3. , 0.5])
    """
    return np.array([_day(cell, day_first) for cell in cells], np.float64)


@lru_cache(1 << 16)
def _day(cell: str, day_first: bool) -> float:
    if len(cell) > 40:
        return math.nan
    for pattern in (_YEAR_FIRST, _YEAR_LAST[day_first], _NAMED, _NAMED_FIRST):
        if found := pattern.fullmatch(cell):
            return _since_epoch(found.groupdict())
    return math.nan


def _since_epoch(part: dict[str, str | None]) -> float:
    """Days from the parts of a date; NaN if there is no such day."""
    year = int(part["year"] or 0)
    if year < 100:
        year += 1900 if year >= 69 else 2000  # as POSIX has it
    if name := part.get("name"):
        if name[:3].lower() not in _MONTHS:
            return math.nan
        month = _MONTHS.index(name[:3].lower()) + 1
    else:
        month = int(part["month"] or 0)
    try:
        day = datetime(year, month, int(part["day"] or 1))
    except ValueError:
        return math.nan
    found = (day - _EPOCH) / _DAY
    if part["hour"] is not None:
        found += _share_of_day(part) - _offset(part["zone"])
    return found


def _share_of_day(part: dict[str, str | None]) -> float:
    """A time of day from 0 to 1; NaN if there is none such."""
    hour, minute, second = (int(part[name] or 0) for name in ("hour", "minute", "second"))
    if half := part["half"]:
        if not 1 <= hour <= 12:
            return math.nan
        hour = hour % 12 + (12 if half[0] in "pP" else 0)
    if hour > 24 or minute > 59 or second > 60:
        return math.nan
    fraction = float(f"0.{part['fraction'] or 0}")
    return (hour * 3600 + minute * 60 + second + fraction) / 86400


def _offset(zone: str | None) -> float:
    """How far a time zone is ahead of UTC, in days."""
    if zone is None or zone[0] not in "+-":
        return 0.0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    ahead = timedelta(hours=int(digits[:2]), minutes=int(digits[2:])) / _DAY
    return ahead if zone[0] == "+" else -ahead


def times(cells: Sequence[str]) -> Floats:
    """Times of day, from 0 at midnight to 1.

    Examples
    --------
    >>> times(["06:00", "6:00 PM"])
    array([0.25, 0.75])
    """
    found = [_CLOCK_ALONE.fullmatch(cell) for cell in cells]
    shares = [math.nan if match is None else _share_of_day(match.groupdict()) for match in found]
    return np.array(shares, np.float64)
