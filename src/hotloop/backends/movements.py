"""Movements: what becomes of the places of an array's numbers when it is cut, flipped, tiled ...

A movement is done to the places 0, 1, 2 ... of an array's numbers, once; the numbers follow. A
place of -1 is where no number goes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..lengths import is_open

Array: TypeAlias = NDArray[Any]
Dims: TypeAlias = tuple[int, ...]


class Numbers:
    """Whole numbers that an attribute holds: equal where they are the same."""

    __slots__ = ("array",)

    def __init__(self, array: Array) -> None:
        self.array = array

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Numbers) and np.array_equal(self.array, other.array)

    def __hash__(self) -> int:
        return hash((self.array.shape, self.array.tobytes()))


@dataclass(frozen=True)
class Movement:
    """One kind of movement.

    Attributes
    ----------
    places : callable
        places(array, **options) is the array that holds, for each place of the output, the number
        of an array of the input's shape that goes there, or -1.
    dims : callable, optional
        dims(dims, **options) is the output's shape; of lengths that are known, `places` says it.
    """

    places: Callable[..., Array]
    dims: Callable[..., Dims] | None = None


def _cut(places: Array, cuts: tuple[tuple[Any, Any, int], ...]) -> Array:
    cut: Array = places[tuple(slice(*bounds) for bounds in cuts)]
    return cut


def _cut_dims(dims: Dims, cuts: tuple[tuple[Any, Any, int], ...]) -> Dims:
    return tuple(_cut_length(n, *bounds) for n, bounds in zip(dims, cuts, strict=True))


def _cut_length(n: Any, start: Any, stop: Any, step: int) -> Any:
    """How many numbers a slice has; an open length counts as one that is long enough."""
    if not is_open((n,)):
        return len(range(*slice(start, stop, step).indices(n)))
    if step < 0:
        if start is not None or stop is not None:
            raise ValueError("of an axis whose length data decide, a slice backwards takes all")
        return (n - step - 1) // -step
    first = 0 if start is None else start if start >= 0 else n + start
    last = n if stop is None else stop if stop >= 0 else n + stop
    length = last - first
    return length if step == 1 else (length + (step - 1)) // step


def _pad(places: Array, widths: tuple[tuple[int, int], ...], mode: str) -> Array:
    if mode == "constant":
        return np.pad(places, widths, constant_values=-1)
    padded: Array = np.pad(places, widths, mode=mode)  # type: ignore[call-overload]
    return padded


def _pad_dims(dims: Dims, widths: tuple[tuple[int, int], ...], mode: str) -> Dims:
    return tuple(n + sum(pair) for n, pair in zip(dims, widths, strict=True))


def _triangle(places: Array, k: int, upper: bool) -> Array:
    inside = np.tri(*places.shape[-2:], k - 1 if upper else k, dtype=bool)  # type: ignore[call-overload]
    return np.where(inside != upper, places, -1)


def _diagonal_matrix(places: Array, k: int) -> Array:
    n = len(places) + abs(k)
    matrix = np.full((n, n), -1, places.dtype)
    rows = np.arange(len(places)) + max(-k, 0)
    matrix[rows, rows + k] = places
    return matrix


MOVEMENTS: Mapping[str, Movement] = {
    "at": Movement(
        lambda places, numbers, axis: np.take(places, numbers.array, axis),
        lambda dims, numbers, axis: (*dims[:axis], *numbers.array.shape, *dims[axis + 1 :]),
    ),
    "broadcast": Movement(lambda places, dims: np.broadcast_to(places, dims), lambda _, dims: dims),
    "cut": Movement(_cut, _cut_dims),
    "diagonal": Movement(
        lambda places, offset, axes: np.diagonal(places, offset, *axes),
    ),
    "diagonal_matrix": Movement(_diagonal_matrix),
    "flip": Movement(lambda places, axes: np.flip(places, axes), lambda dims, axes: dims),
    "pad": Movement(_pad, _pad_dims),
    "permute": Movement(
        lambda places, axes: places.transpose(axes),
        lambda dims, axes: tuple(dims[axis] for axis in axes),
    ),
    "repeat": Movement(
        lambda places, n, axis: np.repeat(places, n, axis),
        lambda dims, n, axis: (*dims[:axis], dims[axis] * n, *dims[axis + 1 :]),
    ),
    "roll": Movement(
        lambda places, shifts, axes: np.roll(places, shifts, axes), lambda dims, shifts, axes: dims
    ),
    "tile": Movement(
        lambda places, repeats: np.tile(places, repeats),
        lambda dims, repeats: tuple(n * times for n, times in zip(dims, repeats, strict=True)),
    ),
    "triangle": Movement(_triangle, lambda dims, k, upper: dims),
}


@functools.lru_cache(64)
def places(how: str, options: tuple[tuple[str, Any], ...], dims: Dims) -> Array:
    """For each place of the output, the place in the input whose number goes there, or -1."""
    numbered = np.arange(math.prod(dims), dtype=np.int64).reshape(dims)
    found = np.ascontiguousarray(MOVEMENTS[how].places(numbered, **dict(options)))
    found.flags.writeable = False
    return found


def moved_dims(how: str, options: Mapping[str, Any], dims: Dims) -> Dims:
    """The shape of what a movement makes of an array of this one.

    Raises
    ------
    ValueError
        Where data decide a length that must be known.
    """
    movement = MOVEMENTS[how]
    if movement.dims is not None:
        return movement.dims(dims, **options)
    if is_open(dims):
        raise ValueError(
            f"{how} needs lengths that are known, not the shape {tuple(dims)}; give Input its "
            "lengths"
        )
    return places(how, tuple(options.items()), dims).shape
