"""Figures that notebooks show. Importing this imports Matplotlib."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class Plot(Figure):
    """A figure that a notebook shows, though nobody has told Matplotlib that it is in one."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png")
        return picture.getvalue()
