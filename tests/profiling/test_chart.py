"""The roofline chart before it is drawn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hotloop.profiling.chart import axes, points, roofs
from hotloop.profiling.roof import LEVELS


def test_a_point_for_each_timing_near_its_intensity(made_up):
    places = list(points(made_up))
    assert len(places) == len(made_up.timings)
    for (x, y, timing), expected in zip(places, made_up.timings, strict=True):
        assert timing is expected
        assert x == pytest.approx(timing.intensity, rel=0.08)
        assert y == timing.gflops


def test_the_backends_of_one_call_stand_side_by_side(made_up):
    relu = [x for x, _, timing in points(made_up) if timing.kernel == "relu"]
    assert relu == sorted(set(relu))


def test_axes_end_at_round_numbers_around_everything(made_up):
    ends = axes(made_up)
    assert ends.left < min(x for x, _, _ in points(made_up))
    assert ends.right > max(x for x, _, _ in points(made_up))
    assert ends.bottom < min(y for _, y, _ in points(made_up))
    assert ends.top > 7 * made_up.roof.gflops
    for end in (ends.left, ends.right, ends.bottom, ends.top):
        assert f"{end:.0e}"[0] in "125"


@pytest.mark.parametrize("only", ["matmul", "relu", "gather", "none"])
def test_every_roof_is_inside_the_axes(made_up, only):
    timings = tuple(timing for timing in made_up.timings if timing.kernel == only)
    profile = replace(made_up, timings=timings)
    ends = axes(profile)
    *slopes, peak = roofs(profile)
    assert [line.name.split()[0] for line in slopes] == list(LEVELS)
    for line, level in zip(slopes, LEVELS, strict=True):
        assert ends.left <= line.x0 < line.x1 <= ends.right
        assert ends.bottom <= line.y0 * 1.000001
        speed = profile.roof.bandwidth[level]
        assert line.y0 == pytest.approx(speed * line.x0)
        assert line.y1 == pytest.approx(100.0)  # each reaches the peak
        assert f"{speed:.0f} GB/s" in line.name
    assert (peak.y0, peak.y1, peak.x1) == (100.0, 100.0, ends.right)
    assert peak.x0 == pytest.approx(0.5)  # where the first-level cache is fast enough
