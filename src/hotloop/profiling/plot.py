"""The chart of a kernel profile as a picture, drawn by Matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from .. import figures
from .chart import STYLES, Panel, amount, decades, panels

if TYPE_CHECKING:
    from .kernels import KernelProfile

_ROOF, _ALARM = "#8b1a4f", "#9a3b00"
_ACROSS = 4  # panels side by side
_ROOM = 0.1  # of a panel's width, for the name of a memory


def check(path: str | PathLike[str]) -> None:
    """Raise, before any work, what `save` would raise for this path."""
    formats = _empty().canvas.get_supported_filetypes()
    ending = Path(path).suffix.removeprefix(".").lower()
    if ending not in formats:
        raise ValueError(
            f"a plot's name must end in one of {', '.join(formats)}; got {str(path)!r}"
        )


def _empty(width: float = 10, height: float = 6.2) -> Any:
    return figures.empty(width, height)


def save(profile: KernelProfile, path: str | PathLike[str]) -> None:
    """Write the chart to a file, in the format that its name ends in.

    Parameters
    ----------
    profile : KernelProfile
    path : path-like
        ``.png``, ``.svg``, ``.pdf`` or what else Matplotlib writes.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    ValueError
        If Matplotlib does not write such files.
    """
    check(path)
    figures.save(_drawn(profile), path)


def _drawn(profile: KernelProfile) -> Any:
    """The figure: a panel for each family."""
    found = panels(profile)
    across = min(_ACROSS, len(found) or 1)
    down = -(-len(found) // across) or 1
    figure = _empty(max(10.0, 4.6 * across), max(6.2, 3.6 * down))
    warnings = [line for text in profile.warnings for line in wrap(text, 34 * across + 60)]
    figure.suptitle(f"hotloop kernels: {profile.title}\n{profile.roofs}")
    if warnings:
        figure.supxlabel("\n".join(warnings), color=_ALARM, fontsize=10, weight="bold")
    for place, panel in enumerate(found, 1):
        plane = figure.add_subplot(down, across, place, xscale="log", yscale="log")
        _draw(panel, plane)
    if profile.backends:
        handles = [_line(name, [], [], label=name) for name in profile.backends]
        figure.legend(handles=handles, loc="upper right", ncols=len(handles), frameon=False)
    return figure


def _draw(panel: Panel, plane: Any) -> None:
    """The lines of a family below its roof, and the memories behind them."""
    from matplotlib.ticker import FixedLocator, NullLocator

    ends = panel.axes
    x, y = list(decades(ends.left, ends.right)), list(decades(ends.bottom, ends.top))
    plane.set(xlim=(ends.left, ends.right), ylim=(ends.bottom, ends.top))
    plane.set_title(panel.family, loc="left", pad=18, weight="bold")
    plane.set(xlabel="bytes of the arrays", ylabel="of the roof")
    for axis, places, texts in (
        (plane.xaxis, x, [amount(value) for value in x]),
        (plane.yaxis, y, [f"{value:g}%" for value in y]),
    ):
        axis.set_major_locator(FixedLocator(places))
        axis.set_minor_locator(NullLocator())
        axis.set_ticklabels(texts, fontsize=8)
    plane.grid(color="#d8dee4", linewidth=0.6)
    plane.set_axisbelow(True)
    plane.axhline(100, color=_ROOF, linewidth=1.3)
    for i, band in enumerate(panel.bands):
        if i % 2:
            plane.axvspan(band.left, band.right, color="#f3f5f8", zorder=0)
        part = math.log(band.right / band.left) / math.log(ends.right / ends.left)
        if part > _ROOM:
            text = f"{band.level}\n{band.speed}" if part > 2 * _ROOM else band.level
            middle = math.sqrt(band.left * band.right)
            plane.text(middle, ends.top, text, color=_ROOF, fontsize=7, ha="center", va="bottom")
    for line in panel.lines:
        plane.add_line(_line(line.backend, *zip(*line.points, strict=True)))
        varied = [point for point, t in zip(line.points, line.timings, strict=True) if t.varied]
        if varied:
            hollow = _line(line.backend, *zip(*varied, strict=True), markerfacecolor="white")
            hollow.set_linestyle("none")
            plane.add_line(hollow)


def _line(backend: str, x: Sequence[float], y: Sequence[float], **options: Any) -> Any:
    """A line with the marks of a backend."""
    from matplotlib.lines import Line2D

    style = STYLES[backend]
    dashes = (0, style.dashes) if style.dashes else "solid"
    look = {"color": style.light, "marker": style.marker, "linestyle": dashes}
    return Line2D(x, y, **{"linewidth": 0.8, "markersize": 3.5, **look, **options})
