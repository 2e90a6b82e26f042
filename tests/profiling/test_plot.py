"""The roofline chart as a picture."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from hotloop.profiling import plot


def test_a_png_with_every_backends_colour_in_it(made_up, tmp_path):
    image = pytest.importorskip("matplotlib.image")
    file = tmp_path / "chart.png"
    plot.save(made_up, file)
    pixels = image.imread(file)[:, :, :3]
    assert pixels.shape[0] > 500
    assert pixels.shape[1] > 900
    assert (pixels[0, 0] == 1).all()  # white paper
    for colour in ("#8b1a4f", "#d97706", "#2563eb"):
        wanted = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        assert (np.abs(pixels - wanted).max(axis=2) < 0.3).any()


def test_the_names_of_roofs_and_backends_are_in_it(made_up):
    pytest.importorskip("matplotlib")
    (plane,) = plot._drawn(made_up).axes
    texts = [text.get_text() for text in plane.texts]
    assert texts == [
        "L1 200 GB/s",
        "L2 100 GB/s",
        "L3 50 GB/s",
        "memory 10 GB/s",
        "peak 100 GFLOP/s",
    ]
    legend = [text.get_text() for text in plane.get_legend().get_texts()]
    assert legend == ["numpy", "numba", "cython"]
    marks = [len(group.get_offsets()) for group in plane.collections]
    assert marks == [4, 1, 3]


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


def test_without_matplotlib_the_error_names_the_extra(made_up, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for attempt in (lambda: plot.check("x.png"), lambda: plot.save(made_up, tmp_path / "x.png")):
        with pytest.raises(ImportError, match=r"hotloop\[plot\]"):
            attempt()
