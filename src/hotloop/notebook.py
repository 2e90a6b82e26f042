"""Tables and small curves as HTML, for notebooks: no scripts, no styles or files from elsewhere.

Colours are those of the page around, light or dark, but for curves and bars.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape

# Okabe and Ito's blue and vermilion, told apart with any colour vision and in grey.
TRAINING, VALIDATION = "#0072b2", "#d55e00"

_CELL = "padding:2px 10px;text-align:{align};vertical-align:top;white-space:pre"
_RULE = "border-bottom:1px solid rgba(128,128,128,.5)"
_WARNING = f"border-left:4px solid {VALIDATION};padding:2px 8px;margin:4px 0"
_CURVE_WIDTH, _CURVE_HEIGHT, _CURVE_POINTS = 150, 16, 300


class Html(str):
    """A cell's content that is HTML already."""


def table(
    title: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[str | Html]],
    notes: Iterable[str] = (),
    numbers: Sequence[int] = (),
    warnings: Iterable[str] = (),
) -> str:
    """A table with a title, warnings above and lines of notes below.

    Columns of `numbers` are set to the right.
    """

    def line(kind: str, cells: Sequence[str | Html], style: str = "") -> str:
        found = (
            f'<{kind} style="{_CELL.format(align="right" if i in numbers else "left")};{style}">'
            f"{cell if isinstance(cell, Html) else escape(cell)}</{kind}>"
            for i, cell in enumerate(cells)
        )
        return f'<tr style="background:none">{"".join(found)}</tr>'

    above = "".join(f'<div style="{_WARNING}">{escape(warning)}</div>' for warning in warnings)
    below = "".join(f"<div>{escape(note)}</div>" for note in notes)
    return (
        '<div style="font-size:90%;overflow-x:auto">'
        f'<div style="font-weight:bold">{escape(title)}</div>'
        f"{above}"
        '<table style="border-collapse:collapse;margin:4px 0">'
        f"<thead>{line('th', headings, _RULE)}</thead>"
        f"<tbody>{''.join(line('td', row) for row in rows)}</tbody></table>"
        f"{below}</div>"
    )


def curves(lines: Sequence[tuple[Sequence[int], Sequence[float], str]]) -> Html:
    """Lines of (x, y, colour) in one small picture, if any has two points that can be drawn."""
    points = [
        (x, y) for xs, ys, _ in lines for x, y in zip(xs, ys, strict=True) if math.isfinite(y)
    ]
    if len({x for x, _ in points}) < 2:
        return Html("")
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)

    def place(x: float, y: float) -> str:
        across = (x - left) / (right - left)
        up = (y - low) / (high - low) if high > low else 0.5
        return f"{2 + across * (_CURVE_WIDTH - 4):.1f} {2 + (1 - up) * (_CURVE_HEIGHT - 4):.1f}"

    drawn = "".join(
        f'<path d="{_path(xs, ys, place)}" fill="none" stroke="{colour}" stroke-width="1.5" '
        'stroke-linecap="round"/>'
        for xs, ys, colour in lines
    )
    return Html(
        f'<svg width="{_CURVE_WIDTH}" height="{_CURVE_HEIGHT}" '
        f'viewBox="0 0 {_CURVE_WIDTH} {_CURVE_HEIGHT}" role="img">{drawn}</svg>'
    )


def bar(share: float) -> Html:
    """A share of 1 as a bar with its number."""
    width = 80 * min(max(share, 0.0), 1.0)
    return Html(
        f'<svg width="80" height="10"><rect width="{width:.1f}" height="10" fill="{TRAINING}"/>'
        f"</svg> {share:.1%}"
    )


def marked(text: str, colour: str) -> Html:
    """A text behind the mark of its curve."""
    return Html(f'<span style="color:{colour}">\u25a0</span> {escape(text)}')


def _path(xs: Sequence[int], ys: Sequence[float], place: Callable[[float, float], str]) -> str:
    """Of an SVG, through as many of the points as can be told apart."""
    step = -(-len(xs) // _CURVE_POINTS)
    parts, pen = [], "M"
    for x, y in zip(xs[::step], ys[::step], strict=True):
        if not math.isfinite(y):
            pen = "M"
            continue
        parts.append(f"{pen}{place(x, y)}")
        pen = "L"
    return "".join(parts)
