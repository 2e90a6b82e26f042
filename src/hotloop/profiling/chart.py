"""The chart of a kernel profile, before it is drawn: a panel a family, a line a kernel.

The bytes that a call works on to the right, the share of the roof upwards, both logarithmic. The
roof is that of the roofline model (Williams, Waterman and Patterson, 2009): the peak, or the
bandwidth of the memory that the bytes fit in, whichever a call meets first. The panel names the
bandwidths where the bytes fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from .kernels import KernelProfile, Timing
from .roof import LEVELS, Roof


@dataclass(frozen=True)
class Style:
    """How a backend is drawn, everywhere: apart by colour, mark and dashes.

    Attributes
    ----------
    light, dark : str
        Colours on white and on black, after Okabe and Ito: apart with any colour vision.
    mark, marker : str
        The same mark as an SVG path around 0, and as Matplotlib calls it.
    dashes : tuple of float
        Lengths of dashes and gaps of its lines, in widths of a line; none for a whole line.
    """

    light: str
    dark: str
    mark: str
    marker: str
    dashes: tuple[float, ...] = ()


STYLES = {
    "numpy": Style("#6b7280", "#a3abb8", "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", "o", (1, 2)),
    "numba": Style("#c65300", "#f0a040", "M0-5 4.6 3.6h-9.2z", "^", (5, 2)),
    "cython": Style("#0072b2", "#56b4e9", "M0-5 5 0 0 5-5 0z", "D"),
}


_ROOM = 1.1  # for half a mark beside the first and last point


@dataclass(frozen=True)
class Line:
    """A kernel on a backend, over its shapes; a point for each timing: bytes, percent."""

    kernel: str
    backend: str
    timings: tuple[Timing, ...]

    @property
    def points(self) -> list[tuple[float, float]]:
        """Where its timings stand."""
        return [(_bytes(timing), timing.percent_of_roof) for timing in self.timings]


@dataclass(frozen=True)
class Band:
    """The bytes, from left to right, that a memory holds and the one before does not."""

    level: str
    speed: str
    left: float
    right: float


@dataclass(frozen=True)
class Axes:
    """Where the axes end: 1, 2 or 5 times a power of ten, around all points and the roof."""

    left: float
    right: float
    bottom: float
    top: float


@dataclass(frozen=True)
class Panel:
    """The chart of one family of kernels."""

    family: str
    axes: Axes
    bands: tuple[Band, ...]
    lines: tuple[Line, ...]


def panels(profile: KernelProfile) -> list[Panel]:
    """A panel for each family that was timed, in the order of the profile."""
    families = dict.fromkeys(timing.group for timing in profile.timings)
    return [_panel(profile, family) for family in families]


def _panel(profile: KernelProfile, family: str) -> Panel:
    timings = [timing for timing in profile.timings if timing.group == family]
    lines = tuple(_lines(timings))
    x, y = zip(*(point for line in lines for point in line.points), strict=True)
    ends = Axes(
        _below(min(x) / _ROOM), _above(max(x) * _ROOM), _below(min(y)), _above(max(*y, 100.0))
    )
    return Panel(family, ends, tuple(_bands(profile.roof, ends)), lines)


def _lines(timings: list[Timing]) -> Iterator[Line]:
    """The lines, those of one kernel next to each other."""
    order = {name: i for i, name in enumerate(dict.fromkeys(t.kernel for t in timings))}
    backends = list(STYLES)

    def key(timing: Timing) -> tuple[int, int]:
        return order[timing.kernel], backends.index(timing.backend)

    for _, group in groupby(sorted(timings, key=key), key):
        same = sorted(group, key=_bytes)
        yield Line(same[0].kernel, same[0].backend, tuple(same))


def _bands(roof: Roof, ends: Axes) -> Iterator[Band]:
    """The bands of the memories, as far as the axes show them."""
    left = ends.left
    for level in LEVELS:
        right = min(max(roof.sizes.get(level, math.inf), ends.left), ends.right)
        if right > left:
            yield Band(level, f"{roof.bandwidth[level]:.0f} GB/s", left, right)
            left = right


def _bytes(timing: Timing) -> float:
    return timing.held or timing.nbytes


def decades(low: float, high: float) -> Iterator[float]:
    """The powers of ten from low to high."""
    for exponent in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1):
        yield float(f"1e{exponent}")


def amount(nbytes: float) -> str:
    """A power of ten of bytes: ``100 B``, ``1 kB``, ``10 MB``."""
    power = min(int(math.log10(nbytes) / 3 + 1e-9), 4)
    return f"{nbytes / 1000**power:g} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def _below(value: float) -> float:
    """The nearest round number below."""
    return max(round_number for round_number in _round(value) if round_number < value)


def _above(value: float) -> float:
    """The nearest round number above."""
    return min(round_number for round_number in _round(value) if round_number > value)


def _round(value: float) -> list[float]:
    """The numbers around it that are 1, 2 or 5 times a power of ten."""
    exponent = math.floor(math.log10(value))
    return [float(f"{m}e{e}") for e in range(exponent - 1, exponent + 2) for m in (1, 2, 5)]
