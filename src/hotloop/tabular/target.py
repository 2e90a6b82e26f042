"""The column that is predicted: classes or a quantity, and how its cells become numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cells import Floats, is_missing, numbers
from .columns import read_values
from .study import MOST_DISTINCT, NUMBER, Study

CLASSIFICATION, REGRESSION = "classification", "regression"
TOLD, TEXT_HELD = "you say so", "it holds text"

MOST_LABELS = 20  # whole numbers that may be classes if their name says so
_MOST_PLAIN_LABELS = 10  # from 0 or 1 without a gap
_LEAST_ROWS = 4  # of a class, on average
_BALANCE = 0.2  # the rarest label's share of the most common one's rows; counts thin out more
_MOST_UNTOLD_CLASSES = 20  # of text, if most of them are there once

_AMOUNTS = {
    "age", "amount", "amounts", "bathrooms", "baths", "beds", "bedrooms", "children", "cost",
    "count", "counts", "days", "height", "hours", "income", "length", "mass", "minutes", "n",
    "num", "number", "points", "price", "qty", "quantity", "rate", "rooms", "salary", "sales",
    "seconds", "size", "speed", "temperature", "total", "value", "volume", "weight", "width",
    "year", "years",
}  # fmt: skip
_LABELS = {
    "category", "class", "classes", "cluster", "diagnosis", "digit", "group", "kind", "label",
    "labels", "outcome", "segment", "species", "survived", "type", "variety",
}  # fmt: skip
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


@dataclass(frozen=True)
class Target:
    """What is predicted.

    Attributes
    ----------
    name : str
    classes : tuple of str or None
        The name of each class number; None for a quantity.
    of_numbers : bool
        Whether the classes are numbers, so that 1 and 1.0 are one.
    """

    name: str
    classes: tuple[str, ...] | None = None
    of_numbers: bool = False

    def read(self, cells: Sequence[str], decimal: str, place: Callable[[int], str]) -> Floats:
        """Class numbers, or quantities; NaN for missing cells.

        Raises
        ------
        ValueError
            For a cell that is no number where one is expected, saying where.
        """
        if self.classes is not None and not self.of_numbers:
            codes = {name: float(i) for i, name in enumerate(self.classes)}
            nothing = float("nan")
            return np.array([nothing if is_missing(cell) else codes[cell] for cell in cells])
        values = read_values(NUMBER, cells, decimal, place)
        if self.classes is None:
            return values
        known = np.array([float(name) for name in self.classes])
        codes_of_known = np.searchsorted(known, values).astype(np.float64)
        return np.where(np.isnan(values), np.nan, codes_of_known)


def target_of(study: Study, decimal: str, task: str | None = None) -> tuple[Target, str]:
    """What a column says about being predicted, and why.

    Text is classes. Numbers are a quantity, unless there are two whole ones, or whole ones from 0
    or 1 without a gap that are about equally frequent, as labels are and counts are not; a name
    such as "class" or "rooms" tells too.

    Raises
    ------
    ValueError
        If the column has one value only, or too many for classes.
    """
    if not study.present:
        raise ValueError(f"the target {study.name!r} has no values")
    if study.distinct == 1:
        assert study.texts is not None
        [only] = study.texts
        raise ValueError(f"the target {study.name!r} holds one value only, {only!r}")
    if task == REGRESSION:
        return Target(study.name), TOLD
    if study.kind() != NUMBER:
        return _of_text(study, task), TOLD if task else TEXT_HELD
    distinct, counts = _distinct(study, decimal)
    classes, why = _guess(study.name, distinct, counts)
    if task == CLASSIFICATION:
        _check_classes(study, len(distinct))
        classes, why = True, TOLD
    if not classes:
        return Target(study.name), why
    if len(distinct) == 1:
        raise ValueError(f"the target {study.name!r} holds one value only, {distinct[0]:g}")
    names = tuple(f"{v:.0f}" if v % 1 == 0 else repr(v) for v in distinct.tolist())
    return Target(study.name, names, of_numbers=True), why


def _of_text(study: Study, task: str | None) -> Target:
    """Classes of their own for all texts."""
    _check_classes(study, study.distinct)
    often_once = study.distinct > _MOST_UNTOLD_CLASSES and 2 * study.distinct > study.present
    if task is None and often_once:
        raise ValueError(
            f"the target {study.name!r} holds {study.distinct:,} different texts in "
            f"{study.present:,} rows, too many to be learned as classes; --classification "
            "does it all the same"
        )
    assert study.texts is not None
    return Target(study.name, tuple(sorted(study.texts)))


def _check_classes(study: Study, distinct: int) -> None:
    if study.texts is None or not distinct:
        raise ValueError(
            f"the target {study.name!r} holds more than {MOST_DISTINCT:,} different values, too "
            "many to be classes"
        )


def _distinct(study: Study, decimal: str) -> tuple[Floats, NDArray[Any]]:
    """The different numbers and how often each is there; none if there are too many."""
    if study.texts is None:
        return np.zeros(0), np.zeros(0)
    values = numbers(list(study.texts), decimal)
    often = np.array(list(study.texts.values()), np.float64)
    known = ~np.isnan(values)
    distinct, index = np.unique(values[known], return_inverse=True)
    return distinct, np.bincount(index, often[known])


def _guess(name: str, distinct: Floats, counts: NDArray[Any]) -> tuple[bool, str]:
    """Whether numbers are classes, and why."""
    if not len(distinct):
        return False, f"it holds more than {MOST_DISTINCT:,} different numbers"
    if (distinct % 1).any():
        return False, "its numbers have fractions"
    words = {word.lower() for word in _WORDS.findall(name)}
    if len(distinct) <= MOST_LABELS and words & _LABELS:
        return True, "its name sounds like one of labels"
    if words & _AMOUNTS and distinct.tolist() != [0, 1]:
        return False, "its name sounds like one of amounts"
    if len(distinct) <= 2:
        return True, "it holds two different numbers"
    first, last = distinct[0], distinct[-1]
    plain = first in (0, 1) and last - first == len(distinct) - 1 and last <= _MOST_PLAIN_LABELS
    enough = counts.sum() >= _LEAST_ROWS * len(distinct)
    if plain and enough and counts.min() >= _BALANCE * counts.max():
        return True, f"its numbers are {first:.0f} to {last:.0f} and about equally frequent"
    return False, f"it holds {len(distinct):,} different numbers that do not look like labels"
