"""A kernel profile as one HTML page: the roofline chart, and the table below it.

The page needs nothing but itself: its styles, its few lines of script and the chart are in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from string import Template

from .chart import COLOURS, Axes, axes, points, roofs
from .kernels import KernelProfile, Timing

_WIDTH, _HEIGHT = 960, 560
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 12, 48

_MARKS = {
    "numpy": '<circle r="4"/>',
    "numba": '<path d="M0-5 4.5 3.5h-9z"/>',
    "cython": '<path d="M0-5 5 0 0 5-5 0z"/>',
}


def page(profile: KernelProfile) -> str:
    """The page.

    Parameters
    ----------
    profile : KernelProfile

    Returns
    -------
    str
        A whole HTML document, readable in light and dark.
    """
    return _PAGE.substitute(
        title=escape(profile.title),
        roofs=escape(profile.roofs),
        notes="".join(f"<p>{escape(note)}</p>" for note in profile.notes),
        light=_colours(0),
        dark=_colours(1),
        fills="".join(f".{name}{{fill:var(--{name});color:var(--{name})}}" for name in COLOURS),
        legend="".join(map(_legend_entry, profile.backends)),
        chart=_chart(profile),
        rows="\n".join(_row(i, timing) for i, timing in enumerate(profile.timings)),
    )


def _colours(i: int) -> str:
    return "".join(f"--{name}:{pair[i]};" for name, pair in COLOURS.items())


def _legend_entry(backend: str) -> str:
    """A check box that shows or hides a backend."""
    mark = (
        f'<svg viewBox="-7 -7 14 14" class="{backend}" aria-hidden="true">{_MARKS[backend]}</svg>'
    )
    return f'<label><input type="checkbox" value="{backend}" checked>{mark}{backend}</label>'


# -------------------------------------------------------------------------------- chart


class _Scale:
    """From operations a byte and GFLOP/s to pixels."""

    def __init__(self, ends: Axes) -> None:
        self.ends = ends
        self.x_decade = (_WIDTH - _LEFT - _RIGHT) / math.log10(ends.right / ends.left)
        self.y_decade = (_HEIGHT - _TOP - _BOTTOM) / math.log10(ends.top / ends.bottom)

    def x(self, value: float) -> float:
        return _LEFT + self.x_decade * math.log10(value / self.ends.left)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - self.y_decade * math.log10(value / self.ends.bottom)


def _chart(profile: KernelProfile) -> str:
    """The chart as SVG."""
    scale = _Scale(axes(profile))
    lines, names = _roofs(profile, scale)
    parts = [*_grid(scale), *lines, *_points(profile, scale), *names]
    return (
        f'<svg id="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        'aria-label="Roofline chart: GFLOP/s over operations a byte, both logarithmic">\n'
        + "\n".join(parts)
        + "\n</svg>"
    )


def _grid(scale: _Scale) -> Iterator[str]:
    """Lines and numbers of whole powers of ten, and what the axes are."""
    ends = scale.ends
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    for value in _decades(ends.left, ends.right):
        x = scale.x(value)
        yield f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{value:g}</text>'
    for value in _decades(ends.bottom, ends.top):
        y = scale.y(value)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
    middle = (_LEFT + right) / 2
    yield (
        f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">'
        "floating-point operations a byte</text>"
    )
    yield (
        f'<text transform="translate(16 {(_TOP + bottom) / 2}) rotate(-90)" '
        'text-anchor="middle">GFLOP/s</text>'
    )


def _decades(low: float, high: float) -> Iterator[float]:
    """The powers of ten from low to high."""
    for exponent in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1):
        yield float(f"1e{exponent}")


def _roofs(profile: KernelProfile, scale: _Scale) -> tuple[list[str], list[str]]:
    """The roofs, and their names: a slope's above its upper end, the peak's at its right."""
    *slopes, peak = roofs(profile)
    lines = [
        f'<path class="roof" d="M{scale.x(line.x0):.1f} {scale.y(line.y0):.1f}'
        f'L{scale.x(line.x1):.1f} {scale.y(line.y1):.1f}"/>'
        for line in (*slopes, peak)
    ]
    above, end = scale.y(peak.y1) - 7, scale.x(peak.x1) - 4
    places = [f'x="{end:.1f}" y="{above:.1f}" text-anchor="end"']
    x = -math.inf
    for line in slopes:
        x = max(scale.x(line.x1), x + 19)  # a line of text from the name before
        places.append(f'transform="translate({x:.1f} {above:.1f}) rotate(-45)"')
    names = [
        f'<text class="name" {place}>{escape(line.name)}</text>'
        for place, line in zip(places, (peak, *slopes), strict=True)
    ]
    return lines, names


def _points(profile: KernelProfile, scale: _Scale) -> Iterator[str]:
    """A mark for each timing, with what it is on hovering."""
    for i, (intensity, gflops, timing) in enumerate(points(profile)):
        x, y = scale.x(intensity), scale.y(gflops)
        yield (
            f'<g class="point {timing.backend}" data-row="{i}" '
            f'transform="translate({x:.1f} {y:.1f})"><title>{escape(_hover(timing))}</title>'
            f"{_MARKS[timing.backend]}</g>"
        )


def _hover(timing: Timing) -> str:
    faster = "" if timing.speedup is None else f", {timing.speedup:.2f}x numpy's speed"
    return (
        f"{timing.kernel} {timing.size} on {timing.backend}\n"
        f"{1e6 * timing.seconds:,.2f} us{faster}\n"
        f"{timing.gflops:.3g} GFLOP/s, {timing.bandwidth:.3g} GB/s\n"
        f"{timing.percent_of_roof:.0f}% of the roof of {timing.level}"
    )


# -------------------------------------------------------------------------------- table


def _row(i: int, timing: Timing) -> str:
    """A timing as a row; a cell sorts by its data-value where it has one."""
    numbers = (
        (1e6 * timing.seconds, ",.2f"),
        (timing.speedup or 0.0, ".2f"),
        (timing.gflops, ".3g" if timing.gflops < 100 else ".0f"),
        (timing.bandwidth, ".3g" if timing.bandwidth < 100 else ".0f"),
        (timing.percent_of_roof, ".0f"),
    )
    cells = "".join(f'<td data-value="{value:.6g}">{value:{form}}</td>' for value, form in numbers)
    return (
        f'<tr id="row{i}" data-backend="{timing.backend}"><td>{timing.kernel}</td>'
        f'<td data-value="{math.prod(timing.shape)}">{timing.size}</td>'
        f'<td><i class="{timing.backend}"></i>{timing.backend}</td>{cells}'
        f"<td>{timing.level}</td></tr>"
    )


_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>hotloop: kernels on $title</title>
<style>
:root { color-scheme: light dark; --paper: #fff; --ink: #1f2328; --faint: #59636e;
  --line: #d8dee4; --roof: #8b1a4f; --stripe: #f6f8fa; $light }
@media (prefers-color-scheme: dark) {
  :root { --paper: #0d1117; --ink: #e6edf3; --faint: #9aa4af; --line: #30363d;
    --roof: #ff8fb8; --stripe: #161b22; $dark }
}
body { margin: 0 auto; max-width: 1000px; padding: 1.5rem 1rem; background: var(--paper);
  color: var(--ink); font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; }
p { margin: .2rem 0; color: var(--faint); }
#controls { display: flex; flex-wrap: wrap; gap: 1rem; align-items: center;
  margin: 1rem 0 .25rem; }
#controls label { display: flex; gap: .35rem; align-items: center; }
#controls label svg { width: 15px; height: 15px; }
#controls input[type=search] { font: inherit; padding: .2rem .5rem; flex: 1 1 12rem;
  color: inherit; background: var(--stripe); border: 1px solid var(--line);
  border-radius: 6px; }
#chart { width: 100%; height: auto; display: block; }
#chart text { fill: var(--faint); font-size: 12px; }
#chart text.name { fill: var(--roof); paint-order: stroke; stroke: var(--paper);
  stroke-width: 4px; stroke-linejoin: round; }
.grid { stroke: var(--line); }
.roof { stroke: var(--roof); stroke-width: 1.5; fill: none; }
.point { stroke: var(--paper); stroke-width: .8; fill-opacity: .85; cursor: pointer; }
.point:hover, .point.chosen { fill-opacity: 1; stroke: var(--ink); stroke-width: 1.6; }
$fills
#scroll { overflow-x: auto; margin-top: 1rem; }
table { border-collapse: collapse; width: 100%; font-size: 14px;
  font-variant-numeric: tabular-nums; }
th { text-align: right; white-space: nowrap; border-bottom: 2px solid var(--line); }
th button { all: unset; cursor: pointer; padding: .35rem .4rem; }
th button:hover { text-decoration: underline; }
th button:focus-visible { outline: 2px solid currentColor; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
td { padding: .15rem .4rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left; }
td i { display: inline-block; width: .65rem; height: .65rem; border-radius: 50%;
  margin-right: .4rem; background: currentColor; }
tr:hover td, tr.chosen td { background: var(--stripe); }
tr.chosen td { font-weight: 600; }
[hidden] { display: none; }
</style>
</head>
<body>
<h1>hotloop kernels</h1>
<p>$title</p>
<p>$roofs</p>
$notes
<div id="controls">$legend
<input type="search" placeholder="show kernels by name or shape"
  aria-label="show kernels by name or shape"></div>
$chart
<p>Each mark is a kernel on one shape; the lines are what this machine reached when measured.
Small shapes are far below them: their time is that of the call.</p>
<div id="scroll">
<table>
<thead><tr>
<th><button>kernel</button></th><th><button>shape</button></th><th><button>backend</button></th>
<th><button>&micro;s</button></th><th><button>&times; numpy</button></th>
<th><button>GFLOP/s</button></th><th><button>GB/s</button></th>
<th><button>% of roof</button></th><th><button>data in</button></th>
</tr></thead>
<tbody>
$rows
</tbody>
</table>
</div>
<script>
"use strict";
const body = document.querySelector("tbody");
const rows = [...body.rows];
const points = [...document.querySelectorAll(".point")];
const boxes = [...document.querySelectorAll("#controls input[type=checkbox]")];
const search = document.querySelector("#controls input[type=search]");

function show() {
  const backends = new Set(boxes.filter(box => box.checked).map(box => box.value));
  const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  rows.forEach((row, i) => {
    const name = (row.cells[0].textContent + " " + row.cells[1].textContent).toLowerCase();
    const shown = backends.has(row.dataset.backend) && words.every(word => name.includes(word));
    row.hidden = !shown;
    points[i].style.display = shown ? "" : "none";
  });
}
boxes.forEach(box => box.addEventListener("change", show));
search.addEventListener("input", show);

function choose(i) {
  document.querySelectorAll(".chosen").forEach(one => one.classList.remove("chosen"));
  rows[i].classList.add("chosen");
  points[i].classList.add("chosen");
}
points.forEach((point, i) => point.addEventListener("click", () => {
  choose(i);
  rows[i].scrollIntoView({ block: "center" });
}));
rows.forEach((row, i) => row.addEventListener("click", () => choose(i)));

const key = cell => "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent;
document.querySelectorAll("th").forEach((head, column) => {
  head.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    document.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const order = (a, b) => {
      const [x, y] = [key(a.cells[column]), key(b.cells[column])];
      return (up ? 1 : -1) * (x < y ? -1 : x > y ? 1 : 0);
    };
    body.append(...[...rows].sort(order));
  });
});
</script>
</body>
</html>
""")
