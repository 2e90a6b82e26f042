"""The roofline chart of a kernel profile as a picture, drawn by Matplotlib."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import figures
from .chart import COLOURS, axes, points, roofs

if TYPE_CHECKING:
    from .kernels import KernelProfile

_MARKS = {"numpy": "o", "numba": "^", "cython": "D"}
_ROOF = "#8b1a4f"


def check(path: str | PathLike[str]) -> None:
    """Raise, before any work, what `save` would raise for this path."""
    formats = _empty().canvas.get_supported_filetypes()
    ending = Path(path).suffix.removeprefix(".").lower()
    if ending not in formats:
        raise ValueError(
            f"a plot's name must end in one of {', '.join(formats)}; got {str(path)!r}"
        )


def _empty() -> Any:
    return figures.empty(10, 6.2)


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
    """The figure."""
    figure = _empty()
    figure.suptitle(f"hotloop kernels: {profile.title}")
    plane = figure.add_subplot(xscale="log", yscale="log")
    ends = axes(profile)
    plane.set(
        xlim=(ends.left, ends.right),
        ylim=(ends.bottom, ends.top),
        xlabel="floating-point operations a byte",
        ylabel="GFLOP/s",
    )
    plane.grid(color="#d8dee4", linewidth=0.6)
    plane.set_axisbelow(True)
    _draw_roofs(profile, plane)
    _draw_points(profile, plane)
    return figure


def _draw_roofs(profile: KernelProfile, plane: Any) -> None:
    """The roofs; a slope's name stands above its upper end, the peak's at its right."""
    from matplotlib.patheffects import withStroke

    *slopes, peak = roofs(profile)
    for line in (*slopes, peak):
        plane.plot([line.x0, line.x1], [line.y0, line.y1], color=_ROOF, linewidth=1.3)
    halo = [withStroke(linewidth=3, foreground="white")]
    text = {
        "textcoords": "offset points",
        "color": _ROOF,
        "fontsize": 8,
        "path_effects": halo,
        "zorder": 4,
    }
    taken = 0.0
    for line in slopes:
        # No nearer than the height of a letter to the one before.
        taken = max(line.x1, 1.2 * taken)
        plane.annotate(line.name, (taken, line.y1), (0, 4), rotation=45, **text)
    plane.annotate(peak.name, (peak.x1, peak.y1), (-4, 4), ha="right", **text)


def _draw_points(profile: KernelProfile, plane: Any) -> None:
    """The marks of each backend, and what they stand for."""
    for name in profile.backends:
        places = [(x, y) for x, y, timing in points(profile) if timing.backend == name]
        plane.scatter(
            *zip(*places, strict=True),
            s=22,
            marker=_MARKS[name],
            color=COLOURS[name][0],
            alpha=0.75,
            edgecolors="white",
            linewidths=0.5,
            label=name,
            zorder=3,
        )
    if profile.backends:
        plane.legend(loc="lower right")
