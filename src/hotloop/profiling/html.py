"""A kernel profile as one HTML page: for each family of kernels a chart and a table.

The page needs nothing but itself: its styles, its few lines of script and the charts are in it.
Families and backends are chosen without the script; it adds searching, sorting and links.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from string import Template

from .chart import STYLES, Axes, Line, Panel, amount, decades, panels
from .kernels import VARIED, KernelProfile, Timing

# The chart's own units; it is as wide as the page.
_WIDTH, _HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 40, 46
# With more lines than this, one family is shown at first.
_LEGIBLE = 40


def page(profile: KernelProfile) -> str:
    """The page.

    Parameters
    ----------
    profile : KernelProfile

    Returns
    -------
    str
        A whole HTML document, readable in light and dark, on a telephone and on paper.
    """
    found = panels(profile)
    rows = {id(timing): i for i, timing in enumerate(profile.timings)}
    return _PAGE.substitute(
        title=escape(profile.title),
        roofs=escape(profile.roofs),
        warnings="".join(f'<p class="warning">{escape(w)}</p>' for w in profile.warnings),
        notes="".join(f"<p>{escape(note)}</p>" for note in profile.notes),
        light=_colours("light"),
        dark=_colours("dark"),
        styles="\n".join([*_backend_styles(), *map(_family_style, found)]),
        marks="".join(
            f'<symbol id="mark-{name}" viewBox="-7 -7 14 14"><path d="{style.mark}"/></symbol>'
            for name, style in STYLES.items()
        ),
        families=_families(found),
        backends="".join(map(_backend_box, profile.backends)),
        varied=VARIED,
        sections="\n".join(_section(profile, panel, rows) for panel in found),
    )


def _colours(mode: str) -> str:
    return "".join(f"--{name}:{getattr(style, mode)};" for name, style in STYLES.items())


def _backend_styles() -> Iterator[str]:
    """Colours and dashes, and what unchecked boxes hide."""
    for name, style in STYLES.items():
        yield f".{name}{{--own:var(--{name})}}"
        if style.dashes:
            yield f".{name} .way{{stroke-dasharray:{' '.join(f'{d:g}' for d in style.dashes)}}}"
        unchecked = f"body:has(#backend-{name}:not(:checked))"
        yield f"{unchecked} .line.{name},{unchecked} tr.{name}{{display:none}}"


def _family_style(panel: Panel) -> str:
    """What choosing a family hides: the others, unless all are searched."""
    chosen = f"body:not(.searching):has(#family-{panel.family}:checked)"
    return f"{chosen} section:not(#of-{panel.family}){{display:none}}"


def _families(found: list[Panel]) -> str:
    """A button for each family, and one for all of them."""
    if len(found) < 2:
        return ""
    many = sum(len(panel.lines) for panel in found) > _LEGIBLE
    first = found[0].family if many else "all"
    buttons = "".join(
        f'<label><input type="radio" name="family" id="family-{name}" value="{name}"'
        f"{' checked' * (name == first)}><span>{name}</span></label>"
        for name in (*(panel.family for panel in found), "all")
    )
    return f'<fieldset id="families"><legend>Family</legend>{buttons}</fieldset>'


def _backend_box(name: str) -> str:
    """A check box that shows or hides a backend."""
    return (
        f'<label class="{name}"><input type="checkbox" id="backend-{name}" value="{name}" checked>'
        f"{_mark(name)}{name}</label>"
    )


def _mark(backend: str) -> str:
    """The mark of a backend, in text."""
    return f'<svg class="mark" aria-hidden="true"><use href="#mark-{backend}"/></svg>'


def _section(profile: KernelProfile, panel: Panel, rows: dict[int, int]) -> str:
    """A family: its chart and its table."""
    timings = (timing for timing in profile.timings if timing.group == panel.family)
    table = "\n".join(_row(rows[id(t)], t, profile.doubtful(t)) for t in timings)
    return (
        f'<section id="of-{panel.family}"><h2>{panel.family}</h2>\n{_chart(panel, rows)}\n'
        f"<table>{_HEAD}<tbody>\n{table}\n</tbody></table></section>"
    )


# -------------------------------------------------------------------------------- chart


class _Scale:
    """From bytes and percent to the chart's units."""

    def __init__(self, ends: Axes) -> None:
        self.ends = ends
        self.x_decade = (_WIDTH - _LEFT - _RIGHT) / math.log10(ends.right / ends.left)
        self.y_decade = (_HEIGHT - _TOP - _BOTTOM) / math.log10(ends.top / ends.bottom)

    def x(self, value: float) -> float:
        return _LEFT + self.x_decade * math.log10(value / self.ends.left)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - self.y_decade * math.log10(value / self.ends.bottom)


def _chart(panel: Panel, rows: dict[int, int]) -> str:
    """The chart as SVG."""
    scale = _Scale(panel.axes)
    parts = [*_bands(panel, scale), *_grid(scale)]
    parts += [_line(line, scale, rows) for line in panel.lines]
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="group" '
        f'aria-label="{panel.family}: percent of the roof over bytes, both logarithmic">\n'
        + "\n".join(parts)
        + "\n</svg>"
    )


def _bands(panel: Panel, scale: _Scale) -> Iterator[str]:
    """The memories, every other one shaded, with their names and speeds above."""
    for i, band in enumerate(panel.bands):
        left, right = scale.x(band.left), scale.x(band.right)
        if i % 2:
            yield (
                f'<rect class="band" x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" '
                f'height="{_HEIGHT - _TOP - _BOTTOM}"/>'
            )
        if right - left > 28:
            middle = (left + right) / 2
            yield f'<text class="name" x="{middle:.1f}" y="15" {_MIDDLE}>{band.level}</text>'
        if right - left > 80:
            yield f'<text class="name" x="{middle:.1f}" y="32" {_MIDDLE}>{band.speed}</text>'


_MIDDLE = 'text-anchor="middle"'


def _grid(scale: _Scale) -> Iterator[str]:
    """Lines and numbers of whole powers of ten, the roof, and what the axes are."""
    ends = scale.ends
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    for value in decades(ends.left, ends.right):
        x = scale.x(value)
        yield f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>'
        inside = min(x, right - 18)
        yield f'<text x="{inside:.1f}" y="{bottom + 17}" {_MIDDLE}>{amount(value)}</text>'
    for value in decades(ends.bottom, ends.top):
        y = scale.y(value)
        yield f'<path class="{"roof" if value == 100 else "grid"}" d="M{_LEFT} {y:.1f}H{right}"/>'
        yield f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{value:g}%</text>'
    middle = (_LEFT + right) / 2
    yield f'<text x="{middle}" y="{_HEIGHT - 7}" {_MIDDLE}>bytes of the arrays</text>'
    yield (
        f'<text transform="translate(13 {(_TOP + bottom) / 2}) rotate(-90)" {_MIDDLE}>'
        "of the roof</text>"
    )


def _line(line: Line, scale: _Scale, rows: dict[int, int]) -> str:
    """A kernel's line and marks; its name shows while the mouse or the keyboard is on it."""
    places = [(scale.x(x), scale.y(y)) for x, y in line.points]
    way = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    marks = "".join(
        f'<g class="point{" varied" * timing.varied}" data-row="{rows[id(timing)]}">'
        f"<title>{escape(_hover(timing))}</title>"
        f'<use href="#mark-{line.backend}" x="{x - 6:.1f}" y="{y - 6:.1f}" '
        'width="12" height="12"/></g>'
        for (x, y), timing in zip(places, line.timings, strict=True)
    )
    name = f"{line.kernel} on {line.backend}"
    label = f'x="{_WIDTH - _RIGHT - 6}" y="{_HEIGHT - _BOTTOM - 8}" text-anchor="end"'
    return (
        f'<g class="line {line.backend}" tabindex="0" role="img" aria-label="{name}">'
        f'<path class="near" d="M{way}"/><path class="way" d="M{way}"/>{marks}'
        f'<text class="label" {label}>{name}</text></g>'
    )


def _hover(timing: Timing) -> str:
    faster = "" if timing.speedup is None else f", {timing.speedup:.2f}x numpy's speed"
    varied = f"\nvaried: median {timing.spread:.2f} times the fastest" if timing.varied else ""
    waited = "\ninterrupted in every repeat" if timing.interrupted else ""
    return (
        f"{timing.kernel} {timing.size} on {timing.backend}\n"
        f"{1e6 * timing.seconds:,.2f} us{faster}\n"
        f"{timing.gflops:.3g} GFLOP/s, {timing.bandwidth:.3g} GB/s\n"
        f"{timing.percent_of_roof:.0f}% of the roof of {timing.level}{varied}{waited}"
    )


# -------------------------------------------------------------------------------- table


def _row(i: int, timing: Timing, doubtful: bool) -> str:
    """A timing as a row; a cell sorts by its data-value where it has one."""
    speedup = timing.speedup
    gain = "-" if speedup is None else f"{'~' * doubtful}{speedup:.2f}"
    # What it sorts by, what it shows, and whether a narrow page does without it.
    numbers = (
        (1e6 * timing.seconds, f"{'~' * timing.varied}{1e6 * timing.seconds:,.2f}", False),
        (speedup or 0.0, gain, False),
        (timing.gflops, _three_digits(timing.gflops), True),
        (timing.bandwidth, _three_digits(timing.bandwidth), True),
        (timing.percent_of_roof, f"{timing.percent_of_roof:.1f}", False),
    )
    cells = "".join(
        f'<td{_WIDE * wide} data-value="{value:.6g}">{text}</td>' for value, text, wide in numbers
    )
    return (
        f'<tr id="row{i}" class="{timing.backend}" data-backend="{timing.backend}">'
        f"<td>{timing.kernel.replace('_', '_<wbr>')}</td>"
        f'<td data-value="{math.prod(timing.shape)}">{timing.size}</td>'
        f"<td>{_mark(timing.backend)}{timing.backend}</td>{cells}"
        f"<td{_WIDE}>{timing.level}</td></tr>"
    )


_WIDE = ' class="wide"'


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


_HEAD = (
    "<thead><tr>"
    + "".join(
        f"<th{_WIDE * wide}><button>{name}</button></th>"
        for name, wide in (
            ("kernel", False),
            ("shape", False),
            ("backend", False),
            ("&micro;s", False),
            ("&times; numpy", False),
            ("GFLOP/s", True),
            ("GB/s", True),
            ("% of roof", False),
            ("data in", True),
        )
    )
    + "</tr></thead>"
)

_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>hotloop: kernels on $title</title>
<style>
:root { --paper: #fff; --ink: #1f2328; --faint: #59636e; --line: #d8dee4; --roof: #8b1a4f;
  --stripe: #f3f5f8; --alarm: #9a3b00; $light }
@media screen and (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --paper: #0d1117; --ink: #e6edf3; --faint: #9aa4af;
    --line: #30363d; --roof: #ff8fb8; --stripe: #161b22; --alarm: #ffb77c; $dark }
}
body { margin: 0 auto; max-width: 960px; padding: 1.25rem 1rem; background: var(--paper);
  color: var(--ink); font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 1.2rem 0 .2rem; }
p { margin: .2rem 0; color: var(--faint); }
p.warning { color: var(--alarm); border: 1px solid; border-left-width: 5px; border-radius: 4px;
  padding: .35rem .6rem; margin: .5rem 0; font-weight: 600; }
fieldset { border: 0; padding: 0; margin: .8rem 0 0; display: flex; flex-wrap: wrap;
  gap: .35rem; align-items: center; }
legend { float: left; margin-right: .4rem; color: var(--faint); }
#families input { position: absolute; opacity: 0; }
#families span { display: block; padding: .1rem .6rem; border: 1px solid var(--line);
  border-radius: 1rem; cursor: pointer; }
#families input:checked + span { background: var(--ink); color: var(--paper); }
#families input:focus-visible + span { outline: 3px solid var(--cython); }
#backends { gap: .35rem 1rem; }
#backends label { display: flex; gap: .3rem; align-items: center; }
input[type=search] { font: inherit; padding: .2rem .5rem; flex: 1 1 12rem; min-width: 0;
  color: inherit; background: var(--stripe); border: 1px solid var(--line);
  border-radius: 6px; }
.mark { width: .95em; height: .95em; vertical-align: -.1em; margin-right: .3em;
  fill: var(--own); }
.chart { width: 100%; height: auto; display: block; }
.chart text { fill: var(--faint); font-size: 15px; }
.chart text.name { fill: var(--roof); }
.chart text.label { fill: var(--ink); font-weight: 600; visibility: hidden; pointer-events: none;
  paint-order: stroke; stroke: var(--paper); stroke-width: 5px; stroke-linejoin: round; }
.band { fill: var(--stripe); }
.grid { stroke: var(--line); }
.roof { stroke: var(--roof); stroke-width: 1.5; }
.way { stroke: var(--own); stroke-width: 1.2; fill: none; opacity: .6; }
.near { stroke: transparent; stroke-width: 9; fill: none; }
.line { cursor: pointer; outline: none; }
.point { fill: var(--own); stroke: var(--paper); stroke-width: 1; }
.point.varied { fill: var(--paper); stroke: var(--own); stroke-width: 1.4; }
.chart:has(.line:is(:hover, :focus, .chosen)) .line:not(:hover, :focus, .chosen) {
  opacity: .18; }
.line:is(:hover, :focus, .chosen) .way { opacity: 1; stroke-width: 2.4; }
.line:is(:hover, :focus) .label, .chart:not(:has(.line:is(:hover, :focus))) .chosen .label {
  visibility: visible; }
.point.picked { stroke: var(--ink); stroke-width: 2; }
table { border-collapse: collapse; width: 100%; font-size: 14px; margin-top: .4rem;
  font-variant-numeric: tabular-nums; }
th { text-align: right; border-bottom: 2px solid var(--line); vertical-align: bottom; }
th button { all: unset; cursor: pointer; padding: .3rem .4rem; }
th button:hover { text-decoration: underline; }
th button:focus-visible { outline: 2px solid currentColor; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
td { padding: .15rem .4rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
td:first-child { white-space: normal; }
th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left; }
tr:hover td, tr.picked td { background: var(--stripe); }
tr.picked td { font-weight: 600; }
[hidden] { display: none; }
@media (min-width: 800px) { .chart text { font-size: 10px; } }
@media (max-width: 640px) {
  .wide { display: none; }
  table { font-size: 13px; }
  td, th button { padding-left: .15rem; padding-right: .15rem; }
}
@media print {
  body { max-width: none; padding: 0; }
  #families, input { display: none; }
  .chart, tr, h2 { break-inside: avoid; }
  h2 { break-after: avoid; }
  .chart text { font-size: 11px; }
}
$styles
</style>
</head>
<body>
<svg width="0" height="0" style="position:absolute" aria-hidden="true">$marks</svg>
<h1>hotloop kernels</h1>
<p>$title</p>
<p>$roofs</p>
$warnings
$notes
$families
<fieldset id="backends"><legend>Backends</legend>$backends
<input type="search" placeholder="all kernels by name or shape" hidden
  aria-label="show kernels of all families by name or shape"></fieldset>
<p>A line is a kernel over its shapes. The roof is what this machine reached when measured: its
peak, or the bandwidth of the memory that the bytes fit in. Small shapes are far below it: their
time is that of the call. Hollow marks and ~ are times that varied: the median repeat took $varied
times the fastest or more.</p>
$sections
<script>
"use strict";
const rows = [...document.querySelectorAll("tbody tr")];
const lines = [...document.querySelectorAll(".line")];
const points = [...document.querySelectorAll(".point")];
const sections = [...document.querySelectorAll("section")];
const families = [...document.querySelectorAll("#families input")];
const search = document.querySelector("input[type=search]");
const rowOf = point => document.getElementById("row" + point.dataset.row);

function find() {
  const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  document.body.classList.toggle("searching", words.length > 0);
  for (const row of rows) {
    const name = (row.cells[0].textContent + " " + row.cells[1].textContent).toLowerCase();
    row.hidden = !words.every(word => name.includes(word));
  }
  for (const line of lines) {
    const shown = [...line.querySelectorAll(".point")].some(point => !rowOf(point).hidden);
    line.style.display = shown ? "" : "none";
  }
  for (const section of sections)
    section.hidden = !section.querySelector("tbody tr:not([hidden])");
}
search.hidden = false;
search.addEventListener("input", find);

function openLinked() {
  const linked = families.find(one => "#" + one.value === location.hash);
  if (linked) linked.checked = true;
}
for (const one of families)
  one.addEventListener("change", () => history.replaceState(null, "", "#" + one.value));
addEventListener("hashchange", openLinked);
openLinked();

function pick(point) {
  for (const name of ["picked", "chosen"])
    document.querySelectorAll("." + name).forEach(one => one.classList.remove(name));
  point.classList.add("picked");
  point.closest(".line").classList.add("chosen");
  rowOf(point).classList.add("picked");
}
for (const point of points) {
  point.addEventListener("click", () => {
    pick(point);
    rowOf(point).scrollIntoView({ block: "center" });
  });
  rowOf(point).addEventListener("click", () => pick(point));
}

const key = cell => "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent;
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.querySelectorAll("th")];
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const order = (a, b) => {
      const [x, y] = [key(a.cells[column]), key(b.cells[column])];
      return (up ? 1 : -1) * (x < y ? -1 : x > y ? 1 : 0);
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
  }));
}
</script>
</body>
</html>
""")
