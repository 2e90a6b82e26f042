"""The roofline chart of a kernel profile, before it is drawn: its points, lines and ends.

Operations a byte to the right, operations a second upwards, both logarithmic. A kernel can be
no higher than the level roof of the peak, and no higher than the slope of the bandwidth of the
memory that its data is in (Williams, Waterman and Patterson, 2009).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from .kernels import KernelProfile, Timing
from .roof import LEVELS

# On white and on black; apart for readers who see few colours too.
COLOURS = {
    "numpy": ("#6b7280", "#a3abb8"),
    "numba": ("#d97706", "#fbbf24"),
    "cython": ("#2563eb", "#60a5fa"),
}


_ROOM = 7  # times the peak, above which the slopes' names stand

# Backends stand a little to the left and right of where they belong, not behind each other.
_ASIDE = {"numpy": 0.93, "numba": 1.0, "cython": 1.07}


@dataclass(frozen=True)
class Line:
    """A roof, from (x0, y0) to (x1, y1)."""

    name: str
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Axes:
    """Where the axes end: 1, 2 or 5 times a power of ten, around all points."""

    left: float
    right: float
    bottom: float
    top: float


def points(profile: KernelProfile) -> Iterator[tuple[float, float, Timing]]:
    """Where each timing stands: operations a byte, GFLOP/s, and the timing."""
    for timing in profile.timings:
        yield timing.intensity * _ASIDE[timing.backend], timing.gflops, timing


def axes(profile: KernelProfile) -> Axes:
    """The ends of the axes."""
    roof = profile.roof
    x = [place for place, _, _ in points(profile)]
    y = [place for _, place, _ in points(profile)]
    # Where the first slope meets the peak and where the last does are always to be seen.
    x += [roof.gflops / roof.bandwidth["L1"] / 2, roof.gflops / roof.bandwidth["memory"] * 2]
    y += [roof.gflops / 2, _ROOM * roof.gflops]
    return Axes(_below(min(x)), _above(max(x)), _below(min(y)), _above(max(y)))


def roofs(profile: KernelProfile) -> Iterator[Line]:
    """The slopes of all levels, each up to the peak, and the peak from the first of them on."""
    ends, roof = axes(profile), profile.roof
    for level in LEVELS:
        slope = roof.bandwidth[level]
        left = max(ends.left, ends.bottom / slope)
        right = min(ends.right, roof.gflops / slope)
        name = f"{level} {slope:.0f} GB/s"
        yield Line(name, left, slope * left, right, slope * right)
    start = roof.gflops / roof.bandwidth["L1"]
    yield Line(f"peak {roof.gflops:.0f} GFLOP/s", start, roof.gflops, ends.right, roof.gflops)


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
