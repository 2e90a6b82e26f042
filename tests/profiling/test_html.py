"""The page of a kernel profile: whole, by itself, and with everything in it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from hotloop.profiling.html import page

VOID = {"meta", "input"}
DRAWN = {"circle", "path"}


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
    assert parsed.tags["html"] == parsed.tags["body"] == parsed.tags["table"] == 1
    assert "$" not in re.sub(r"<script>.*</script>", "", text, flags=re.S)


def test_it_loads_nothing(text, parsed):
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    assert not [tag for tag in ("link", "img", "iframe", "object") if parsed.tags[tag]]
    assert not parsed.having("script", "src")


def test_every_timing_is_a_row_and_a_mark_with_a_title(made_up, parsed):
    count = len(made_up.timings)
    assert parsed.tags["tr"] == count + 1
    assert parsed.having("tr", "data-backend") == [t.backend for t in made_up.timings]
    assert parsed.having("g", "data-row") == [str(i) for i in range(count)]
    titles = [data for tag, data in parsed.texts if tag == "title"][1:]
    for title, timing in zip(titles, made_up.timings, strict=True):
        assert f"{timing.kernel} {timing.size} on {timing.backend}" in title
    cells = {data for tag, data in parsed.texts if tag == "td"}
    assert {"matmul", "relu", "gather", "20x30x40", "8,000.00", "20.00"} <= cells


def test_marks_and_roofs_are_inside_the_chart(parsed):
    places = [
        tuple(map(float, re.findall(r"-?[\d.]+", place)[:2]))
        for place in parsed.having("g", "transform")
    ]
    for roof in parsed.having("path", "d"):
        numbers = re.fullmatch(r"M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)", roof)
        if numbers:
            x0, y0, x1, y1 = map(float, numbers.groups())
            places += [(x0, y0), (x1, y1)]
    assert len(places) == 8 + 2 * 5
    for x, y in places:
        assert 60 < x < 940
        assert 10 < y < 520


def test_the_roofs_have_names_that_are_apart(parsed):
    names = [data for tag, data in parsed.texts if tag == "text"]
    assert {"peak 100 GFLOP/s", "L1 200 GB/s", "L2 100 GB/s", "L3 50 GB/s"} <= set(names)
    starts = [
        float(re.findall(r"[\d.]+", place)[0])
        for place in parsed.having("text", "transform")
        if "-45" in place
    ]
    assert len(starts) == 4
    assert all(b - a >= 18.9 for a, b in pairwise(starts))


def test_names_stay_apart_where_all_levels_are_equally_fast(made_up):
    roof = replace(made_up.roof, bandwidth=dict.fromkeys(made_up.roof.bandwidth, 50.0))
    found = re.findall(
        r"translate\(([\d.]+) [\d.]+\) rotate\(-45\)", page(replace(made_up, roof=roof))
    )
    starts = [float(start) for start in found]
    assert all(b - a >= 18.9 for a, b in pairwise(starts))


def test_backends_can_be_hidden_and_columns_sorted(parsed):
    boxes = [a for tag, a in parsed.attributes if tag == "input" and a["type"] == "checkbox"]
    assert [box["value"] for box in boxes] == ["numpy", "numba", "cython"]
    heads = [data for tag, data in parsed.texts if tag == "button"]
    assert heads[:3] == ["kernel", "shape", "backend"]
    assert parsed.tags["button"] == parsed.tags["th"] == 9
    assert parsed.tags["script"] == 1


def test_light_and_dark_have_colours_of_their_own(text):
    light, dark = text.split("@media (prefers-color-scheme: dark)")
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
    assert parsed.tags["tr"] == 1
