"""The chart of a kernel profile before it is drawn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hotloop.profiling.chart import STYLES, amount, decades, panels
from hotloop.profiling.kernels import BACKENDS
from hotloop.profiling.roof import LEVELS


def test_a_panel_for_each_family_with_a_line_for_each_kernel_and_backend(made_up):
    found = panels(made_up)
    assert [panel.family for panel in found] == ["products", "activations", "data"]
    products, activations, data = ([(x.kernel, x.backend) for x in p.lines] for p in found)
    assert products == [("matmul", "numpy"), ("matmul", "cython")]
    assert activations == [("relu", "numpy"), ("relu", "numba"), ("relu", "cython")]
    assert data == [("gather", "numpy")]


def test_every_timing_is_on_one_line_from_few_bytes_to_many(made_up):
    timings = [replace(t, held=10 * t.shape[0]) for t in reversed(made_up.timings)]
    found = panels(replace(made_up, timings=tuple(timings)))
    lines = [line for panel in found for line in panel.lines]
    assert sorted(id(t) for line in lines for t in line.timings) == sorted(map(id, timings))
    for line in lines:
        assert {(t.kernel, t.backend) for t in line.timings} == {(line.kernel, line.backend)}
        assert line.points == sorted(line.points)
        assert line.points == [(t.held, t.percent_of_roof) for t in line.timings]


def test_bytes_moved_stand_for_bytes_that_nobody_counted(made_up):
    assert {x for panel in panels(made_up) for line in panel.lines for x, _ in line.points} == {
        1000
    }


def test_axes_end_at_round_numbers_around_everything_and_the_roof(made_up):
    for panel in panels(made_up):
        ends = panel.axes
        for line in panel.lines:
            for x, y in line.points:
                assert ends.left < x < ends.right
                assert ends.bottom < y < ends.top
        assert ends.bottom < 100 < ends.top
        for end in (ends.left, ends.right, ends.bottom, ends.top):
            assert f"{end:.0e}"[0] in "125"


def test_bands_fill_the_axes_in_the_order_of_the_memories(made_up):
    sizes = (500, 50_000, 5_000_000, 500_000_000)
    first = made_up.timings[0]
    timings = tuple(replace(first, held=size) for size in sizes)
    (panel,) = panels(replace(made_up, timings=timings))
    assert [band.level for band in panel.bands] == list(LEVELS)
    assert [band.speed for band in panel.bands] == [
        "200 GB/s",
        "100 GB/s",
        "50 GB/s",
        "10 GB/s",
    ]
    edges = [panel.axes.left, 1 << 15, 1 << 20, 1 << 25, panel.axes.right]
    assert [band.left for band in panel.bands] == edges[:-1]
    assert [band.right for band in panel.bands] == edges[1:]
    (narrow,) = panels(replace(made_up, timings=timings[:1]))
    assert [band.level for band in narrow.bands] == ["L1"]


def test_backends_differ_in_every_way_that_an_eye_can_tell():
    assert set(STYLES) == set(BACKENDS)
    for fact in ("light", "dark", "mark", "marker", "dashes"):
        assert len({getattr(style, fact) for style in STYLES.values()}) == len(STYLES)


@pytest.mark.parametrize("vision", ["full", "no red", "no green", "grey"])
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_colours_of_lines_that_cross_are_apart(mode, vision):
    # Vienot's simulation, in linear light, good enough to compare.
    matrices = {
        "full": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        "no red": ((0.11, 0.89, 0), (0.11, 0.89, 0), (0.004, -0.004, 1)),
        "no green": ((0.29, 0.71, 0), (0.29, 0.71, 0), (-0.02, 0.02, 1)),
        "grey": ((0.21, 0.72, 0.07),) * 3,
    }
    paper = (1.0, 1.0, 1.0) if mode == "light" else (0.005, 0.007, 0.01)

    def seen(linear):
        return [sum(m * c for m, c in zip(row, linear, strict=True)) for row in matrices[vision]]

    colours = [
        seen([(int(getattr(s, mode)[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5)])
        for s in STYLES.values()
    ]
    for colour in colours:
        assert max(abs(a - b) for a, b in zip(colour, seen(paper), strict=True)) > 0.2
    if vision != "grey":  # there, marks and dashes tell
        for i, one in enumerate(colours):
            for other in colours[:i]:
                assert max(abs(a - b) for a, b in zip(one, other, strict=True)) > 0.08


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(1, "1 B"), (100, "100 B"), (1e3, "1 kB"), (1e5, "100 kB"), (1e6, "1 MB"), (1e10, "10 GB")],
)
def test_amounts_of_bytes(nbytes, text):
    assert amount(nbytes) == text


def test_powers_of_ten():
    assert list(decades(0.05, 200)) == [0.1, 1, 10, 100]
