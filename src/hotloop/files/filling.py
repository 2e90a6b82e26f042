"""Stored arrays become a model's weights, if they fit: all of them, or none."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..variables import Variable


@dataclass
class Stored:
    """An array in a file: known by shape and dtype, read when it is certain that it fits."""

    place: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], NDArray[Any]]


@dataclass
class Part:
    """The weights of one layer, and what a file holds for them.

    Attributes
    ----------
    what : str
        The layer, as errors call it.
    place : str
        Where the file holds its arrays.
    """

    what: str
    place: str
    weights: Sequence[Variable]
    stored: Sequence[Stored]
    hint: str = ""


def fill(parts: Sequence[Part], *, skip_mismatch: bool = False) -> None:
    """Assigns what is stored, after every count, shape and dtype was compared.

    Raises
    ------
    ValueError
        If something does not fit; with `skip_mismatch`, there is a warning for each layer
        that does not fit, and the others are filled.
    """
    fitting: list[Part] = []
    for part in parts:
        problem = _problem(part)
        if problem is None:
            fitting.append(part)
        elif skip_mismatch:
            warnings.warn(f"{part.what} is skipped: {problem}", UserWarning, _callers_level())
        else:
            raise ValueError(problem)
    pairs = [
        (weight, stored)
        for part in fitting
        for weight, stored in zip(part.weights, part.stored, strict=True)
    ]
    values = [stored.read() for _, stored in pairs]
    for (weight, _), value in zip(pairs, values, strict=True):
        weight.assign(value)


def _callers_level() -> int:
    """The stack level of the first function that is not this package's, for warnings."""
    level, frame = 1, inspect.currentframe()
    while frame and (frame := frame.f_back):
        if not frame.f_globals.get("__name__", "").startswith("hotloop."):
            break
        level += 1
    return level


def check_numbers(stored: Stored) -> None:
    """Raises ValueError for an array that holds anything but integers and floats."""
    if stored.dtype.kind not in "fiu" or not np.can_cast(stored.dtype, np.float64):
        raise ValueError(f"{stored.place} holds {stored.dtype}; expected numbers, as float32")


def _problem(part: Part) -> str | None:
    """What does not fit, if anything does not."""
    wanted, found = len(part.weights), len(part.stored)
    if wanted != found:
        return (
            f"{part.what} has {wanted} weights, the file holds {found} for it in {part.place}"
            + (part.hint)
        )
    for weight, stored in zip(part.weights, part.stored, strict=True):
        if stored.shape != weight.shape:
            return (
                f"the {weight.name} of {part.what} has shape {stored.shape} in {stored.place}; "
                f"expected {weight.shape}"
            )
        try:
            check_numbers(stored)
        except ValueError as error:
            return str(error)
    return None
