"""The roofline chart as a picture."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from hotloop.profiling import plot
from hotloop.profiling.busy import Busyness
from hotloop.profiling.chart import STYLES, panels


def test_a_png_with_every_backends_colour_in_it(made_up, tmp_path):
    image = pytest.importorskip("matplotlib.image")
    file = tmp_path / "chart.png"
    plot.save(made_up, file)
    pixels = image.imread(file)[:, :, :3]
    assert pixels.shape[0] > 500
    assert pixels.shape[1] > 900
    assert (pixels[0, 0] == 1).all()  # white paper
    for colour in ("#8b1a4f", *(style.light for style in STYLES.values())):
        wanted = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        assert (np.abs(pixels - wanted).max(axis=2) < 0.3).any()


def test_every_family_is_a_panel_with_its_lines_and_one_legend_for_all(made_up):
    pytest.importorskip("matplotlib")
    figure = plot._drawn(made_up)
    assert [plane.get_title("left") for plane in figure.axes] == ["products", "activations", "data"]
    for plane, panel in zip(figure.axes, panels(made_up), strict=True):
        roof, *lines = plane.lines
        assert list(roof.get_ydata()) == [100, 100]
        assert [list(map(tuple, line.get_xydata())) for line in lines] == [
            line.points for line in panel.lines
        ]
        assert [line.get_marker() for line in lines] == [
            STYLES[line.backend].marker for line in panel.lines
        ]
        assert "L1" in plane.texts[0].get_text()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["numpy", "numba", "cython"]
    for handle, name in zip(legend.get_lines(), made_up.backends, strict=True):
        assert handle.get_marker() == STYLES[name].marker
        assert handle.get_color() == STYLES[name].light


def test_a_busy_machine_and_times_that_varied_are_told_of(made_up):
    pytest.importorskip("matplotlib")
    timings = (replace(made_up.timings[0], spread=2.0), *made_up.timings[1:])
    busy = replace(made_up, busy=Busyness(cores=2, others=1.5), timings=timings)
    figure = plot._drawn(busy)
    assert " ".join(figure.get_supxlabel().split()) == busy.busy.warning
    hollow = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert [list(map(tuple, line.get_xydata())) for line in hollow] == [
        [(1000, made_up.timings[0].percent_of_roof)]
    ]
    assert plot._drawn(made_up).get_supxlabel() == ""


def test_no_timings_make_a_picture_too(made_up, tmp_path):
    pytest.importorskip("matplotlib")
    plot.save(replace(made_up, timings=()), tmp_path / "chart.png")
    assert (tmp_path / "chart.png").stat().st_size > 1000


@pytest.mark.parametrize("name", ["chart.xyz", "chart"])
def test_an_unknown_kind_of_file_is_refused_with_the_known_ones(made_up, tmp_path, name):
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match=r"pdf.*png.*svg.*got '.*chart"):
        plot.save(made_up, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_without_matplotlib_the_error_says_what_to_install(made_up, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for attempt in (lambda: plot.check("x.png"), lambda: plot.save(made_up, tmp_path / "x.png")):
        with pytest.raises(ImportError, match=r"pip install matplotlib"):
            attempt()
