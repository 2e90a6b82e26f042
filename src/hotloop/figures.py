"""Empty figures of Matplotlib, which is only imported here and where something is drawn."""

from __future__ import annotations

from typing import Any


def empty(width: float, height: float) -> Any:
    """A figure of this size in inches, that no window, notebook or `pyplot` knows of.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "a plot needs Matplotlib, which is not installed: pip install 'hotloop[plot]'"
        ) from error
    return Figure(figsize=(width, height), dpi=120, layout="constrained")
