"""The page of a kernel profile: whole, by itself, and with everything in it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from hotloop.profiling.busy import Busyness
from hotloop.profiling.html import page

VOID = {"meta", "input", "wbr"}
DRAWN = {"path", "rect", "use"}


class Page(HTMLParser):
    """Tags, attributes and texts, each end matching its start."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], Counter(), [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags[tag] += 1
        self.attributes.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in DRAWN
        self.attributes.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def having(self, tag, name):
        """The values of an attribute of all tags of a kind that have it."""
        return [found[name] for kind, found in self.attributes if kind == tag and name in found]


@pytest.fixture
def text(made_up):
    return page(made_up)


@pytest.fixture
def parsed(text):
    return Page(text)


def test_the_page_is_well_formed(text, parsed):
    assert text.startswith("<!DOCTYPE html>")
    assert parsed.open == []
    assert parsed.tags["html"] == parsed.tags["body"] == 1
    assert parsed.tags["table"] == parsed.tags["section"] == 3
    assert "$" not in re.sub(r"<script>.*</script>", "", text, flags=re.S)


def test_it_loads_nothing(text, parsed):
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    assert not [tag for tag in ("link", "img", "iframe", "object") if parsed.tags[tag]]
    assert not parsed.having("script", "src")


def test_every_timing_is_a_row_and_a_mark_with_a_title(made_up, parsed):
    count = len(made_up.timings)
    assert parsed.tags["tr"] == count + 3  # and a heading for each family
    assert parsed.having("tr", "data-backend") == [t.backend for t in made_up.timings]
    marked = [int(row) for row in parsed.having("g", "data-row")]
    assert sorted(marked) == list(range(count))
    titles = [data for tag, data in parsed.texts if tag == "title"][1:]
    for title, row in zip(titles, marked, strict=True):
        timing = made_up.timings[row]
        assert f"{timing.kernel} {timing.size} on {timing.backend}" in title
    cells = {data for tag, data in parsed.texts if tag == "td"}
    assert {"matmul", "relu", "gather", "20x30x40", "8,000.00", "20.00"} <= cells


def test_a_line_is_a_kernel_on_a_backend_that_the_keyboard_reaches(parsed):
    lines = [a for tag, a in parsed.attributes if tag == "g" and "tabindex" in a]
    names = [line["aria-label"] for line in lines]
    assert names == [
        "matmul on numpy",
        "matmul on cython",
        "relu on numpy",
        "relu on numba",
        "relu on cython",
        "gather on numpy",
    ]
    labels = [data for tag, data in parsed.texts if tag == "text"]
    assert set(names) <= set(labels)


def test_legend_chart_and_table_show_the_same_mark(made_up, parsed):
    symbols = parsed.having("symbol", "id")
    assert symbols == ["mark-numpy", "mark-numba", "mark-cython"]
    used = Counter(parsed.having("use", "href"))
    for backend in made_up.backends:
        count = sum(timing.backend == backend for timing in made_up.timings)
        assert used[f"#mark-{backend}"] == 1 + 2 * count  # legend, chart, table
    assert set(used) == {f"#{symbol}" for symbol in symbols}


def test_everything_drawn_is_inside_the_chart(made_up):
    timings = [
        replace(made_up.timings[i % 8], kernel=f"k{i}", held=10**i, floor=10.0 ** (-14 + i))
        for i in range(2, 11)
    ]
    for found in (made_up, replace(made_up, timings=tuple(timings))):
        parsed = Page(page(found))
        uses = [a for tag, a in parsed.attributes if tag == "use" and "x" in a]
        assert len(uses) == len(found.timings)
        for use in uses:
            assert 52 <= float(use["x"]) <= 640 - 24
            assert 34 <= float(use["y"]) <= 380 - 52
        for text in (a for tag, a in parsed.attributes if tag == "text" and "x" in a):
            assert 0 < float(text["x"]) <= 640 - 12
            assert 0 < float(text["y"]) < 380


def test_the_memories_have_names_and_speeds(parsed):
    names = [data for tag, data in parsed.texts if tag == "text"]
    assert {"L1", "200 GB/s", "100%"} <= set(names)


def test_families_and_backends_are_chosen_without_a_script(made_up, text, parsed):
    styles = text[text.index("<style>") : text.index("</style>")]
    radios = [a for tag, a in parsed.attributes if tag == "input" and a["type"] == "radio"]
    assert [radio["value"] for radio in radios] == ["products", "activations", "data", "all"]
    assert [radio["value"] for radio in radios if "checked" in radio] == ["all"]
    for radio in radios[:-1]:
        assert f"#{radio['id']}:checked) section:not(#of-{radio['value']})" in styles
        assert f"of-{radio['value']}" in parsed.having("section", "id")
    boxes = [a for tag, a in parsed.attributes if tag == "input" and a["type"] == "checkbox"]
    assert [box["value"] for box in boxes] == ["numpy", "numba", "cython"]
    for box in boxes:
        assert "checked" in box
        assert f"#{box['id']}:not(:checked)) tr.{box['value']}" in styles
    # What only the script can do is not there without it.
    (search,) = [a for tag, a in parsed.attributes if tag == "input" and a["type"] == "search"]
    assert "hidden" in search


def test_of_many_lines_one_family_is_shown_at_first(made_up):
    many = [replace(t, kernel=f"{t.kernel}_{i}") for i in range(20) for t in made_up.timings]
    parsed = Page(page(replace(made_up, timings=tuple(many))))
    radios = [a for tag, a in parsed.attributes if tag == "input" and a["type"] == "radio"]
    assert [radio["value"] for radio in radios if "checked" in radio] == ["products"]


def test_one_family_is_not_chosen_from(made_up):
    parsed = Page(page(replace(made_up, timings=made_up.timings[:4])))
    assert "radio" not in parsed.having("input", "type")
    assert parsed.tags["section"] == 1


def test_every_table_can_be_sorted(parsed):
    heads = [data for tag, data in parsed.texts if tag == "button"]
    assert heads[:3] == ["kernel", "shape", "backend"]
    assert parsed.tags["button"] == parsed.tags["th"] == 9 * parsed.tags["table"]
    assert parsed.tags["script"] == 1


def test_a_narrow_page_does_without_some_columns(made_up, text, parsed):
    narrow = text[text.index("(max-width: 640px)") :]
    assert ".wide { display: none; }" in narrow
    wide = [a for tag, a in parsed.attributes if tag == "td" and a.get("class") == "wide"]
    assert len(wide) == 3 * len(made_up.timings)


def test_paper_is_white_whatever_the_screen(text):
    assert "@media screen and (prefers-color-scheme: dark)" in text
    assert "@media print" in text


def test_a_busy_machine_and_times_that_varied_are_told_of(made_up):
    first = replace(made_up.timings[0], spread=1.7)
    waited = replace(made_up.timings[3], interrupted=True, speedup=None)
    timings = (first, *made_up.timings[1:3], waited, *made_up.timings[4:])
    busy = replace(made_up, timings=timings, busy=Busyness(cores=2, others=1.5))
    text = page(busy)
    assert f'<p class="warning">{busy.busy.warning}</p>' in text
    assert text.count('class="point varied"') == 2
    assert "varied: median 1.70 times the fastest" in text
    assert "interrupted in every repeat" in text
    assert ">~4.00</td>" in text
    assert ">~2.00</td>" in text  # a gain over a time that varied
    calm = page(made_up)
    assert 'class="warning"' not in calm
    assert "point varied" not in calm.replace(".point.varied", "")


def test_light_and_dark_have_colours_of_their_own(text):
    light, dark = text.split("@media screen and (prefers-color-scheme: dark)")
    for name in ("--paper", "--ink", "--roof", "--numpy", "--numba", "--cython"):
        colours = [re.search(rf"{name}: ?(#[0-9a-f]+)", part) for part in (light, dark)]
        assert all(colours)
        assert colours[0].group(1) != colours[1].group(1)


def test_text_from_outside_is_escaped(made_up):
    text = page(replace(made_up, missing={"numba": "<script>alert(1)</script> & more"}))
    assert "<script>alert" not in text
    assert "numba is missing: &lt;script&gt;" in text
    assert Page(text).tags["script"] == 1


def test_no_timings_make_a_page_too(made_up):
    parsed = Page(page(replace(made_up, timings=())))
    assert parsed.open == []
    assert parsed.tags["tr"] == parsed.tags["section"] == 0
