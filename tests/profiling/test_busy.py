"""Whether the machine was busy: what is counted, and what is said of it."""

from __future__ import annotations

import json
import sys

import pytest

from hotloop.profiling import busy as module
from hotloop.profiling.busy import Busyness, Watch, _busyness, _Counters, _system_seconds

IDLE = Busyness(cores=4, others=0.1, interruptions=3.0, stolen=0.005, slowdown=1.05)


def test_an_idle_machine_gets_no_warning():
    assert IDLE.reasons == []
    assert IDLE.warning == ""
    assert IDLE.to_dict()["busy"] is False


@pytest.mark.parametrize(
    ("fact", "reason"),
    [
        ({"others": 1.5}, "other programs used 1.5 of 4 cores"),
        ({"interruptions": 120.4}, "the timing was interrupted 120 times a second"),
        ({"stolen": 0.12}, "the hypervisor took 12% of the time"),
        ({"slowdown": 2.04}, "a loop of fixed work took 2.0 times its best time"),
    ],
)
def test_each_sign_alone_is_a_reason(fact, reason):
    found = Busyness(cores=4, **fact)
    assert found.reasons == [reason]
    assert found.warning.startswith(f"The machine was busy: {reason}. ")
    assert "measure again" in found.warning
    assert json.loads(json.dumps(found.to_dict()))["busy"] is True


def test_all_reasons_are_named():
    found = Busyness(cores=2, others=1.0, interruptions=90, stolen=0.2, slowdown=3.0)
    assert len(found.reasons) == 4
    assert all(reason in found.warning for reason in found.reasons)


def test_own_work_is_not_that_of_others():
    begin = _Counters(10.0, own=5.0, interruptions=7, worked=100.0, stolen=1.0, passed=200.0)
    end = _Counters(12.0, own=8.0, interruptions=27, worked=103.5, stolen=1.4, passed=204.0)
    found = _busyness(begin, end, [2.0, 1.0, 3.0])
    assert found.others == pytest.approx(0.25)  # 3.5 s of all, 3 s of them our own, in 2 s
    assert found.interruptions == pytest.approx(10.0)
    assert found.stolen == pytest.approx(0.1)
    assert found.slowdown == pytest.approx(2.0)


def test_a_system_that_counts_nothing_is_not_busy():
    found = _busyness(_Counters(0.0, 0.0, 0), _Counters(1.0, 1.0, 0), [1.0])
    assert (found.others, found.stolen, found.interruptions) == (0.0, 0.0, 0.0)
    assert not found.warning


def test_linux_counts_the_seconds_of_all_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(module.os, "sysconf", lambda _: 10)
    file = tmp_path / "stat"
    file.write_text("cpu  10 20 30 400 50 60 70 80 90 100\ncpu0 1 2 3\n")
    assert _system_seconds(file) == (19.0, 8.0, 72.0)
    file.write_text("cpu 1 2\n")
    assert _system_seconds(file) == (0.0, 0.0, 0.0)
    assert _system_seconds(tmp_path / "none") == (0.0, 0.0, 0.0)


def test_without_the_module_resource_nobody_counts_interruptions(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert module._interruptions() == 0


def test_a_loop_that_is_held_up_shows(monkeypatch):
    now, loops = [0.0], iter([1e-4] * 50 + [5e-2] + [1e-4] * 1000)

    def work(_):
        now[0] += next(loops)

    with monkeypatch.context() as patched:
        patched.setattr(module, "sum", work, raising=False)
        patched.setattr(module.time, "perf_counter", lambda: now[0])
        watch = Watch()
    assert watch._loops == pytest.approx([1e-4] * 50 + [5e-2])
    assert _busyness(watch._begin, watch._begin, watch._loops).slowdown > 5


def test_a_real_watch_counts():
    watch = Watch()
    watch.look()
    found = watch.stop()
    assert found.cores >= 1
    assert found.slowdown >= 1.0
    assert min(found.others, found.interruptions, found.stolen) >= 0.0
