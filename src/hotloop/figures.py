"""Empty figures of Matplotlib, which is only imported here and where something is drawn."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from .files.whole import written_whole


def empty(width: float, height: float) -> Any:
    """A figure of this size in inches, that no window, notebook or `pyplot` knows of.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "a plot needs Matplotlib, which is not installed: pip install matplotlib"
        ) from error

    from .plots import Plot

    return Plot(figsize=(width, height), dpi=120, layout="constrained")


def save(figure: Any, path: str | PathLike[str]) -> None:
    """Writes a figure of Matplotlib in the format that the name ends in, a PNG if in none."""
    target = Path(path)
    if not target.suffix:
        target = target.with_name(f"{target.name}.png")
    known = figure.canvas.get_supported_filetypes()
    if (kind := target.suffix[1:].lower()) not in known:
        raise ValueError(
            f"{target.name}: Matplotlib does not write .{kind} files; it writes "
            f"{', '.join(sorted(known))}"
        )
    with written_whole(target) as file:
        figure.savefig(file, format=kind)
