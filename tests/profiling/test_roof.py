"""The roofs: what a machine could do at most, and what it says about one piece of work."""

from __future__ import annotations

import dataclasses
import itertools
import sys

import pytest

from hotloop import backends
from hotloop.profiling import roof as module
from hotloop.profiling.roof import LEVELS, Roof, cache_sizes, measure

ROOF = Roof(
    gflops=100.0,
    bandwidth={"L1": 200.0, "L2": 100.0, "L3": 50.0, "memory": 10.0},
    threads=1,
    sizes={"L1": 1000, "L2": 10_000, "L3": 100_000},
)


@pytest.mark.parametrize(
    ("nbytes", "level"),
    [(0, "L1"), (1000, "L1"), (1001, "L2"), (100_000, "L3"), (100_001, "memory")],
)
def test_the_smallest_level_that_holds_the_bytes(nbytes, level):
    assert ROOF.level(nbytes) == level


@pytest.mark.parametrize(
    ("flops", "nbytes", "seconds"),
    [
        (100, 0, 1e-9),  # 100 operations at 100 a nanosecond
        (0, 200, 1e-9),  # 200 bytes from the first-level cache
        (0, 10_000, 1e-7),
        (0, 1_000_000, 1e-4),
        (100, 200, 1e-9),  # at the same time
        (1000, 200, 1e-8),
        (0, 0, 0.0),
    ],
)
def test_the_floor_is_the_larger_of_operations_and_bytes(flops, nbytes, seconds):
    assert ROOF.floor_seconds(flops, nbytes) == pytest.approx(seconds)


def test_memory_that_is_read_and_written_is_held_once():
    assert ROOF.floor_seconds(0, 2000, held=1000) == pytest.approx(1e-8)
    assert ROOF.floor_seconds(0, 2000) == pytest.approx(2e-8)


def test_a_roof_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ROOF.gflops = 1.0


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_measured_is_plausible_and_kept(threads, dtype):
    before = backends.num_threads()
    roof = measure(threads, dtype)
    assert roof is measure(threads=threads, dtype=dtype)
    assert (roof.threads, roof.dtype) == (threads, dtype)
    assert list(roof.bandwidth) == list(LEVELS)
    speeds = list(roof.bandwidth.values())
    assert speeds == sorted(speeds, reverse=True)
    assert 0.1 < speeds[-1] < 10_000
    assert 0.1 < roof.gflops < 100_000
    assert backends.num_threads() == before


def test_a_core_has_caches_of_its_own_and_a_share_of_the_last():
    one, three = measure(1).sizes, measure(3).sizes
    assert list(one) == ["L1", "L2", "L3"]
    assert three == {"L1": 3 * one["L1"], "L2": 3 * one["L2"], "L3": one["L3"]}


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_threads_must_be_a_whole_number(threads):
    with pytest.raises(ValueError, match="threads must be a whole number of at least 1"):
        measure(threads)


def test_only_the_two_float_types_are_measured():
    with pytest.raises(ValueError, match="'float16'"):
        measure(1, "float16")


def test_the_peak_needs_no_compiled_core(monkeypatch):
    def missing(name):
        raise RuntimeError(f"the backend {name!r} cannot be used here")

    monkeypatch.setattr(module.backends, "operations", missing)
    assert module._compiled_peak(1, "float32") == 0.0
    assert module._numpy_peak(1, "float32") > 0


@pytest.fixture
def clock(monkeypatch):
    """A clock that shows a second more each time it is read."""
    ticks = itertools.count()
    monkeypatch.setattr(module, "perf_counter", lambda: float(next(ticks)))
    monkeypatch.setattr(module, "_WINDOW", 5.0)


@pytest.mark.usefixtures("clock")
def test_bandwidth_counts_two_reads_and_a_write_an_element(monkeypatch):
    monkeypatch.setattr(module, "_BURST_BYTES", 1280)
    block = module._aligned(128, "float32")
    # Ten passes over 128 bytes take a second: 64 read twice and written once in each, and
    # written once before.
    assert module._bandwidth([block], 128) == pytest.approx(1e-9 * (10 * 3 + 1) * 64)


@pytest.mark.usefixtures("clock")
def test_one_job_is_timed_from_its_start_to_its_end():
    calls = []
    assert module._best_time([lambda: calls.append(1)]) == 1.0
    assert len(calls) == 1 + 5


def test_jobs_run_together_and_equally_often():
    calls = ([], [], [])
    seconds = module._best_time([lambda c=c: c.append(1) for c in calls])
    assert seconds > 0
    assert len({len(c) for c in calls}) == 1


def test_buffers_begin_on_a_cache_line():
    block = module._aligned(4096, "float64")
    assert block.ctypes.data % 64 == 0
    assert block.nbytes == 4096
    assert not block.any()


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_buffers_are_whole_lines_whatever_the_caches(threads):
    caches = {"L1": 48 * 1024 + 7, "L2": 2 << 20, "L3": 33 << 20}
    sizes = module._buffer_sizes(caches, threads)
    assert list(sizes) == list(LEVELS)
    assert all(size > 0 and size % 128 == 0 for size in sizes.values())
    assert sizes["L1"] <= caches["L1"] / 2
    assert sizes["L3"] * threads <= caches["L3"] / 2
    assert sizes["memory"] * threads >= 4 * caches["L3"] * 0.99


@pytest.mark.parametrize(
    ("peaks", "sweeps", "steady"),
    [
        ([100, 95, 99], 3, True),
        ([50, 60, 100, 95], 4, True),
        ([100, 50, 60, 70, 80, 85], 6, False),
        ([1, 2, 4, 8, 16, 32], 6, False),
    ],
)
def test_there_are_sweeps_until_two_agree(monkeypatch, peaks, sweeps, steady):
    left = iter(peaks)
    monkeypatch.setattr(module, "_numpy_peak", lambda *_: float(next(left)))
    monkeypatch.setattr(module, "_compiled_peak", lambda *_: 0.0)
    monkeypatch.setattr(module, "_bandwidth", lambda *_: 10.0)
    roof = module._measure.__wrapped__(1, "float32")
    assert len(peaks) - len(list(left)) == sweeps
    assert (roof.gflops, roof.steady) == (max(peaks), steady)


# -------------------------------------------------------------------------- cache sizes


def cache_folder(path, *caches):
    for i, (level, kind, size) in enumerate(caches):
        folder = path / f"index{i}"
        folder.mkdir()
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(f"{text}\n")
    return path


def test_linux_reports_its_caches(tmp_path):
    folder = cache_folder(
        tmp_path,
        (1, "Data", "48K"),
        (1, "Instruction", "32K"),
        (2, "Unified", "2M"),
        (3, "Unified", "1G"),
    )
    assert module._sysfs_sizes(folder) == {"L1": 48 << 10, "L2": 2 << 20, "L3": 1 << 30}


def test_what_linux_does_not_say_is_left_out(tmp_path):
    folder = cache_folder(
        tmp_path, (1, "Data", "nonsense"), (2, "Unified", "512"), (4, "Unified", "9G")
    )
    (tmp_path / "index9").mkdir()
    assert module._sysfs_sizes(folder) == {"L2": 512}
    assert module._sysfs_sizes(tmp_path / "none") == {}


def test_sizes_that_nobody_reports_are_usual_ones(monkeypatch):
    monkeypatch.setattr(module, "_sysfs_sizes", lambda: {"L2": 512 << 10, "L3": 0})
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_sizes() == {"L1": 32 << 10, "L2": 512 << 10, "L3": 32 << 20}


def test_macos_is_asked_by_its_own_command(monkeypatch):
    def run(command, **_):
        sizes = {"hw.l1dcachesize": "131072\n", "hw.l2cachesize": "4194304\n"}
        if command[-1] not in sizes:
            raise module.subprocess.CalledProcessError(1, command)
        return module.subprocess.CompletedProcess(command, 0, sizes[command[-1]])

    monkeypatch.setattr(module.subprocess, "run", run)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_sizes() == {"L1": 131072, "L2": 4194304, "L3": 32 << 20}
