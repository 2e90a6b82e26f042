"""What models are drawn on. Importing this imports the package graphviz."""

from __future__ import annotations

from typing import Any

from graphviz import Digraph


class Diagram(Digraph):
    """A graph whose SVG is not cut off: Graphviz 2.43 scales it by `dpi`, but not its page."""

    def pipe(self, format: str | None = None, *arguments: Any, **options: Any) -> Any:
        known = dict(self.graph_attr)
        if format in ("svg", "svgz"):
            self.graph_attr.pop("dpi", None)
        try:
            return super().pipe(format, *arguments, **options)
        finally:
            self.graph_attr.update(known)
