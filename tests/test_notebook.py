"""What notebooks show of models, histories and profiles."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import hotloop
from hotloop import notebook
from hotloop.callbacks import History
from hotloop.layers import Dense

NASTY = '<script>alert("a&b")</script>'


class Page(HTMLParser):
    """The elements of a page, checked to be closed, and its cells as texts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.cells, self.open = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.cells[-1] += data


def nothing_from_elsewhere(page):
    assert not {"script", "link", "img", "iframe", "style", "object"} & set(page.tags)
    assert not {"src", "href", "onload", "onclick"} & {name for name, _ in page.attributes}
    assert not any("url(" in (value or "") for _, value in page.attributes)


def model_of():
    x = hotloop.Input((4,), name="x")
    inner = hotloop.Sequential([Dense(3, input_dim=4, name="in")], name="inner")
    y = hotloop.layers.concatenate([inner(x), Dense(2, name=NASTY, trainable=False)(x)], name="j")
    return hotloop.Model(x, y, name=NASTY)


def test_a_model():
    text = model_of()._repr_html_()
    page = Page(text)
    nothing_from_elsewhere(page)
    assert "<script" not in text
    assert page.cells[:6] == [
        *("Layer", "Type", "Output shape", "Param #", "Trainable"),
        "Connected to",
    ]
    rows = [page.cells[i : i + 6] for i in range(6, len(page.cells), 6)]
    by_name = {row[0].strip(): row[1:] for row in rows}
    assert by_name["inner"] == ["Sequential", "(None, 3)", "15", "yes", "x"]
    assert by_name["in"] == ["Dense", "(None, 3)", "15", "yes", "input"]
    assert by_name[NASTY] == ["Dense", "(None, 2)", "10", "no", "x"]
    assert by_name["j"][-1] == f"inner, {NASTY}"
    assert "Total params: 25 (100.00 B)" in text
    assert "FLOPs per example" in text


def test_a_model_that_is_not_built():
    text = hotloop.Sequential([Dense(3, name="one")])._repr_html_()
    assert Page(text).cells[5:] == ["one", "Dense", "?", "0 (unbuilt)", "-"]


def history_of(**metrics):
    history = History()
    for epoch in range(len(next(iter(metrics.values())))):
        history.on_epoch_end(epoch, {name: values[epoch] for name, values in metrics.items()})
    return history


def test_a_history():
    text = history_of(
        **{"loss": [3.0, 2.0, 1.0], "val_loss": [5.0, 4.0, 4.5], NASTY: [1.0, math.nan, 2.0]}
    )._repr_html_()
    page = Page(text)
    nothing_from_elsewhere(page)
    assert "<script" not in text
    assert "History: 3 epochs" in text
    rows = [page.cells[i : i + 6] for i in range(6, len(page.cells), 6)]
    assert [[cell.removeprefix("\u25a0 ") for cell in row[:5]] for row in rows] == [
        ["loss", "3", "1", "1", "3"],
        ["val_loss", "5", "4.5", "4", "2"],
        [NASTY, "1", "2", "", ""],
    ]
    assert page.tags.count("svg") == 2
    assert page.tags.count("path") == 3


@pytest.mark.parametrize("values", [[1.0], [math.nan, math.inf], [1.0, math.nan]])
def test_a_history_without_a_curve(values):
    page = Page(history_of(loss=values)._repr_html_())
    assert "svg" not in page.tags
    assert "loss" in page.cells[6]


def test_an_empty_history():
    assert Page(History()._repr_html_()).cells[0] == "metric"


def test_curves_stay_inside_and_skip_what_is_no_number():
    text = notebook.curves([(range(1000), [math.sin(i / 50) for i in range(1000)], "red")])
    numbers = [
        tuple(map(float, point.strip("ML").split()))
        for point in text.split(' d="')[1].split('"')[0].replace("L", ",").split(",")
    ]
    assert len(numbers) <= 300
    x, y = np.array(numbers).T
    assert (x.min(), x.max() <= 148.0) == (2.0, True)
    assert (y.min(), y.max()) == (2.0, 14.0)
    gaps = notebook.curves([([1, 2, 3, 4], [1.0, math.nan, 2.0, math.inf], "red")])
    path = gaps.split(' d="')[1].split('"')[0]
    assert path.count("M") == 2
    assert path.count("L") == 0
    level = notebook.curves([([1, 2], [3.0, 3.0], "red")])
    assert "8.0L148.0 8.0" in level


def test_a_profile():
    model = hotloop.Sequential([Dense(3, input_dim=4, name=NASTY)], name=NASTY)
    model.compile("sgd", "mse")
    profile = model.profile(np.ones((32, 4)), np.ones((32, 3)), steps=3)
    text = profile._repr_html_()
    page = Page(text)
    nothing_from_elsewhere(page)
    assert "<script" not in text
    assert page.cells[:3] == ["op", "layer", "us"]
    assert len(page.cells) == 9 * (1 + len(profile.rows))
    assert NASTY in page.cells


def cells_run(*sources):
    """The outputs of each cell of a notebook that a real kernel ran."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbclient.NotebookClient(nbformat.v4.new_notebook(cells=cells), kernel_name="python3").execute()
    return [cell.outputs for cell in cells]


def test_a_fit_and_its_curves_in_a_kernel():
    setup = """
import numpy as np, hotloop
model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=2)])
model.compile("sgd", "mse", metrics=["mae"])
history = model.fit(np.ones((64, 2)), np.ones((64, 1)), epochs=2)
"""
    fitted, plotted, inline = cells_run(
        setup, "history.plot()", "%matplotlib inline\nhistory.plot()"
    )
    assert not [out for out in fitted if out.get("name") == "stderr"]
    bars = [out.data["text/plain"] for out in fitted if out.output_type == "display_data"]
    assert len(bars) == 2  # one an epoch, replaced in place, with the metrics as text
    assert all(bar.startswith("2/2 |") and "loss: " in bar and "mae: " in bar for bar in bars)
    for outputs in (plotted, inline):
        (shown,) = outputs
        assert shown.data["image/png"]


def test_a_diagram_is_not_cut_off():
    diagram = hotloop.utils.model_to_dot(model_of(), dpi=200)
    page = diagram._repr_image_svg_xml().split("<svg ")[1].split(">")[0]
    size = dict(re.findall(r'(\w+)="([^"]*)"', page))
    width, height = (float(size[name].removesuffix("pt")) for name in ("width", "height"))
    box = [float(number) for number in size["viewBox"].split()]
    assert box[2:] == pytest.approx([width, height], rel=0.01)
