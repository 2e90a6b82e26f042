"""The timing of single ops: which are timed, what the numbers mean, how they are shown."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from hotloop import backends
from hotloop.graph.op import OPS
from hotloop.profiling import cases
from hotloop.profiling import kernels as module
from hotloop.profiling.busy import Busyness
from hotloop.profiling.cases import KERNELS, Arrays
from hotloop.profiling.kernels import BACKENDS, profile_kernels

REFERENCE = backends.operations("numpy")
USABLE = [name for name, state in backends.availability().items() if state == "available"]


# -------------------------------------------------------------------------------- cases


def test_every_op_of_the_reference_is_timed():
    assert set(KERNELS) == set(REFERENCE)


def test_an_op_that_has_no_case_gets_one_from_its_record():
    kernel = KERNELS["cumulative_sum"]
    assert kernel.group == "others"
    call = kernel.prepare((3, 4, 5), Arrays("float32"))
    (given,) = call.arguments
    assert (given.shape, given.dtype) == ((3, 4, 5), np.float32)
    assert call.keywords["out"].shape == (3, 4, 5)
    assert (call.keywords["axis"], call.keywords["reverse"]) == (-2, False)
    assert (call.flops, call.nbytes) == (60, 480)


@pytest.mark.parametrize(
    ("name", "flops"), [("batch_matmul", 256), ("max_steps", 32), ("unit_rows_gradient", 32)]
)
def test_cases_from_records_are_of_the_right_arrays(name, flops):
    """Here of ops that have a better one."""
    call = cases._of_record(OPS[name], (2, 4, 4), Arrays("float64"))
    REFERENCE[name](*call.arguments, **call.keywords)
    assert call.flops == flops
    assert np.isfinite(call.keywords["out"]).all()


def test_no_group_is_named_like_a_kernel():
    assert not {kernel.group for kernel in KERNELS.values()} & set(KERNELS)


def small(kernel):
    """The smallest shape of a kernel, for tests that run it."""
    return kernel.shapes[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", USABLE)
@pytest.mark.parametrize("name", KERNELS)
def test_every_call_runs_and_computes_the_same_everywhere(name, backend, dtype):
    ops = backends.operations(backend)
    if name not in ops:
        assert backend == "numba" or name == "gather"
        return
    kernel = KERNELS[name]
    calls = [kernel.prepare(small(kernel), Arrays(dtype)) for _ in range(2)]
    for call, op in zip(calls, (REFERENCE[name], ops[name]), strict=True):
        result = op(*call.arguments, **call.keywords)
        assert result is None or isinstance(result, float)
    expected, got = (list(arrays(call)) for call in calls)
    assert expected
    for a, b in zip(expected, got, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        assert np.isfinite(b).all()


def arrays(call):
    """The arrays of a call, an optimizer's state too."""
    for value in (*call.arguments, *call.keywords.values()):
        if isinstance(value, tuple):
            yield from (part for part in value if isinstance(part, np.ndarray))
        elif isinstance(value, np.ndarray):
            yield value


@pytest.mark.parametrize("name", KERNELS)
def test_every_call_has_operations_and_no_more_memory_than_it_moves(name):
    kernel = KERNELS[name]
    assert list(kernel.shapes) == sorted(kernel.shapes, key=np.prod)
    call = kernel.prepare(small(kernel), Arrays("float32"))
    assert call.flops > 0
    assert call.nbytes > 0
    assert call.held == sum(array.nbytes for array in arrays(call)) - (
        call.arguments[1].nbytes + call.keywords["out"].nbytes if name == "gather" else 0
    )


@pytest.mark.parametrize(
    ("name", "shape", "flops", "nbytes", "held"),
    [
        ("matmul", (2, 3, 4), 48, 4 * (6 + 12 + 8), 4 * (6 + 12 + 8)),
        ("dense", (2, 3, 4), 48 + 16, 4 * (6 + 12 + 4 + 8), 4 * (6 + 12 + 4 + 8)),
        ("input_gradient", (2, 3, 4), 48, 4 * (8 + 12 + 6), 4 * (8 + 12 + 6)),
        ("weight_gradient", (2, 3, 4), 48, 4 * (6 + 8 + 12), 4 * (6 + 8 + 12)),
        ("relu", (5, 2), 10, 80, 80),
        ("relu_gradient", (5, 2), 20, 120, 120),
        ("bias_gradient", (5, 2), 10, 48, 48),
        ("adam", (5, 2), 120, 4 * 10 * 7, 4 * 10 * 4),  # w, m and v read and written; g read
        ("sgd", (5, 2), 20, 4 * 10 * 3, 4 * 10 * 2),
        ("penalty_gradient", (5, 2), 50, 4 * 10 * 3, 4 * 10 * 2),
        ("sparse_categorical_accuracy", (5, 2), 10, 4 * (5 + 10 + 5), 4 * (5 + 10 + 5)),
        ("gather", (3, 2), 6, 3 * 8 + 2 * 24, 10_000 * 8),  # of a source that stands in memory
    ],
)
def test_operations_and_bytes_by_hand(name, shape, flops, nbytes, held):
    call = KERNELS[name].prepare(shape, Arrays("float32"))
    assert (call.flops, call.nbytes, call.held) == (flops, nbytes, held)


# ------------------------------------------------------------------------------- timing


class Machine:
    """A clock that advances only while a call runs, with a core or without one."""

    def __init__(self, monkeypatch):
        self.now = self.worked = 0.0
        monkeypatch.setattr(module, "perf_counter", lambda: self.now)
        monkeypatch.setattr(module, "process_time", lambda: self.worked)

    def work(self, seconds, waiting=0.0):
        self.now += seconds + waiting
        self.worked += seconds


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


def test_the_fastest_of_many_repeats_of_many_calls(machine):
    # 10 us, but for a first call that compiles, and then one call in ten that is disturbed.
    seconds = itertools.chain([1.0, 1e-5], itertools.cycle([1e-5] * 9 + [1e-3]))

    turns = module._interleaved({"numpy": lambda: machine.work(next(seconds))}, 0.02)["numpy"]
    assert turns.fastest == pytest.approx(1e-5)
    assert not turns.interrupted
    assert len(turns.seconds) >= module._LEAST_ROUNDS


def test_backends_take_turns(machine):
    order = []

    def call(name, seconds):
        def run():
            order.append(name)
            machine.work(seconds)

        return run

    turns = module._interleaved({"a": call("a", 2e-3), "b": call("b", 3e-3)}, 0.0195)
    # Two calls of each first, then one a round, until each has had its 19.5 ms.
    assert "".join(order) == "aabb" + "ab" * 7 + "aaa"
    assert [len(turns[name].seconds) for name in "ab"] == [10, 7]
    order.clear()
    module._interleaved({"a": call("a", 1e-4), "b": call("b", 1e-4)}, 0.02)
    rounds = "".join(order)[4:]
    runs = [len(list(group)) for _, group in itertools.groupby(rounds)]
    assert len(runs) == 2 * module._MOST_ROUNDS
    assert set(runs) == {11}  # 1 ms of calls, and one before that nobody times


def test_what_interrupts_one_round_changes_no_gain(machine):
    # Something else takes the machine for a while: in blocks, one backend would pay for it.
    started = []

    def call(seconds):
        def run():
            started.append(1)
            busy = 60 < len(started) < 160
            machine.work(seconds, waiting=1e-2 if busy else 0.0)

        return run

    turns = module._interleaved({"numpy": call(2e-4), "cython": call(1e-4)}, 0.02)
    assert turns["numpy"].fastest == pytest.approx(2e-4)
    assert turns["cython"].fastest == pytest.approx(1e-4)
    assert not turns["numpy"].interrupted


def test_a_first_call_that_is_interrupted_costs_no_repeats(machine):
    waits = itertools.chain([0.0, 0.5], itertools.repeat(0.0))
    turns = module._interleaved({"numpy": lambda: machine.work(1e-4, next(waits))}, 0.02)["numpy"]
    assert turns.fastest == pytest.approx(1e-4)
    assert len(turns.seconds) > 50


def test_a_call_that_always_waits_for_a_core_is_interrupted_and_tried_longer(machine):
    turns = module._interleaved({"numpy": lambda: machine.work(1e-4, 0.012)}, 0.02)["numpy"]
    assert turns.interrupted
    assert len(turns.seconds) == module._MOST_ROUNDS
    calm = module._interleaved({"numpy": lambda: machine.work(0.012)}, 0.02)["numpy"]
    assert not calm.interrupted
    assert len(calm.seconds) == module._LEAST_ROUNDS


def test_a_slow_call_is_timed_one_by_one_and_not_often(machine):
    calls = []

    def call():
        calls.append(1)
        machine.work(0.5)

    assert module._interleaved({"numpy": call}, 0.02)["numpy"].fastest == 0.5
    assert len(calls) == 2 + module._LEAST_ROUNDS


def test_a_clock_too_coarse_for_a_call_does_no_harm(machine):
    steps = itertools.count()

    def call():
        machine.work(next(steps) % 1000 == 999)  # a second for every thousandth call

    assert module._interleaved({"numpy": call}, 0.02)["numpy"].fastest > 0


def test_times_that_varied_are_told_of_and_interrupted_ones_compare_with_nothing(monkeypatch):
    class Taken:
        fastest, interrupted, seconds = 1e-5, False, (1e-5, 1.3e-5, 1.4e-5)

    class Waited(Taken):
        interrupted = True

    for reference, varied, gain in ((Taken, True, 1.0), (Waited, True, None)):
        monkeypatch.setattr(
            module, "_interleaved", lambda *_, r=reference: {"numpy": r(), "x": r()}
        )
        for timing in profile_kernels(["relu"], quick=True, threads=1).timings:
            assert timing.varied is varied
            assert timing.spread == pytest.approx(1.3)
            assert timing.speedup == gain
            assert timing.to_dict()["interrupted"] is (reference is Waited)


@pytest.fixture
def instant(monkeypatch):
    """Calls are made once, and take as long as their number says."""
    numbers = itertools.count(1)

    class Turns:
        interrupted = False

        def __init__(self, call):
            call()
            self.fastest = next(numbers) * 1e-6
            self.seconds = [self.fastest]

    def interleaved(calls, _):
        return {name: Turns(call) for name, call in calls.items()}

    monkeypatch.setattr(module, "_interleaved", interleaved)


@pytest.mark.usefixtures("instant")
def test_each_shape_and_backend_is_timed_and_compared_with_numpy():
    profile = profile_kernels(["relu"], quick=True, threads=1)
    assert [(t.kernel, t.size, t.backend) for t in profile.timings] == [
        ("relu", size, backend) for size in ("32x10", "256x1024") for backend in profile.backends
    ]
    one, *others = profile.timings[: len(profile.backends)]
    assert (one.backend, one.seconds, one.speedup) == ("numpy", 1e-6, 1.0)
    for i, other in enumerate(others, 2):
        assert other.speedup == pytest.approx(1 / i)
    assert one.gflops == pytest.approx(0.32)
    assert one.bandwidth == pytest.approx(2.56)
    assert one.intensity == pytest.approx(1 / 8)
    floor = profile.roof.floor_seconds(320, 2560)
    assert one.percent_of_roof == pytest.approx(100 * floor / 1e-6)
    assert one.level == "L1"


@pytest.mark.usefixtures("instant")
def test_kernels_are_chosen_by_name_and_by_group_once():
    profile = profile_kernels(["gather", "metrics", "Binary-Accuracy"], quick=True, threads=1)
    names = list(dict.fromkeys(timing.kernel for timing in profile.timings))
    assert names[0] == "gather"
    assert set(names[1:]) == {k.name for k in KERNELS.values() if k.group == "metrics"}
    assert len(profile.timings) == len({(t.kernel, t.size, t.backend) for t in profile.timings})


@pytest.mark.usefixtures("instant")
def test_quick_takes_two_of_the_shapes():
    every = {t.shape for t in profile_kernels(["softmax"], threads=1).timings}
    quick = {t.shape for t in profile_kernels(["softmax"], quick=True, threads=1).timings}
    assert every == set(KERNELS["softmax"].shapes)
    assert quick == {KERNELS["softmax"].shapes[i] for i in (0, 2)}


def test_an_unknown_kernel_gets_the_nearest_name():
    with pytest.raises(
        ValueError, match=r"Unknown kernel 'weight_gradent'\. Did you mean 'weight_gradient'"
    ):
        profile_kernels(["relu", "weight_gradent"])


@pytest.mark.parametrize("threads", [0, -2, 1.5])
def test_threads_must_be_a_whole_number(threads):
    with pytest.raises(ValueError, match="threads"):
        profile_kernels(["relu"], threads=threads)


def test_the_number_of_threads_is_set_meanwhile_and_put_back(monkeypatch):
    seen = []

    def interleaved(*_):
        seen.append(backends.num_threads())
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_interleaved", interleaved)
    before = backends.num_threads()
    with pytest.raises(KeyboardInterrupt):
        profile_kernels(["relu"], quick=True, threads=3)
    assert seen == [3]
    assert backends.num_threads() == before


@pytest.mark.usefixtures("instant")
def test_missing_backends_are_left_out_and_named(monkeypatch):
    monkeypatch.setattr(backends, "_modules", {"numpy": backends._load("numpy")})
    failures = {"cython": "it was not built", "numba": "no numba"}
    monkeypatch.setattr(backends, "_failures", failures)
    profile = profile_kernels(["relu"], quick=True, threads=1)
    assert profile.backends == ("numpy",)
    assert {t.backend for t in profile.timings} == {"numpy"}
    table = profile.table()
    assert "cython is missing: it was not built." in table
    assert "numba is missing: no numba." in table
    assert "gain over" not in table
    assert set(profile.to_dict()["missing_backends"]) == {"cython", "numba"}


def test_real_times_are_taken():
    profile = profile_kernels(["add"], quick=True, threads=1)
    assert all(0 < timing.seconds < 10 for timing in profile.timings)


# --------------------------------------------------------------------------------- text


def test_the_table(made_up):
    lines = made_up.table().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("kernel"))
    assert lines[1] == "peak 100 GFLOP/s; L1 200, L2 100, L3 50, memory 10 GB/s"
    assert [line.split() for line in lines[at:]] == [
        ["kernel", "shape", "numpy", "numba", "cython", "gain", "rate", "roof"],
        ["matmul", "2x3x4", "4.00", "-", "2.00", "2.00x", "1.00", "GF/s", "50%"],
        ["20x30x40", "8,000", "-", "400", "20.0x", "0.005", "GF/s", "0%"],
        ["relu", "32x10", "4.00", "8.00", "1.00", "4.00x", "1.00", "GB/s", "100%"],
        ["gather", "32x13", "5.00", "-", "-", "-", "0.200", "GB/s", "20%"],
    ]
    assert len({len(line) for line in lines[at:]}) == 1


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (100, ["numpy", "numba", "cython", "gain", "rate", "roof"]),
        (60, ["numpy", "numba", "cython", "gain", "roof"]),
        (48, ["numpy", "cython", "gain", "roof"]),
        (10, ["numpy", "cython", "gain"]),
    ],
)
def test_a_narrow_terminal_gets_fewer_columns(made_up, width, columns):
    heading = next(line for line in made_up.table(width).splitlines() if line.startswith("kernel"))
    assert heading.split()[2:] == columns


def test_the_longest_names_and_numbers_fit(made_up):
    first = made_up.timings[0]
    longest = max(KERNELS, key=len)
    timings = [
        replace(first, kernel=longest, shape=(2048, 2048, 2048), backend=backend, seconds=0.2)
        for backend in BACKENDS
    ]
    table = replace(made_up, timings=tuple(timings)).table()
    heading = next(line for line in table.splitlines() if line.startswith("kernel"))
    assert "rate" in heading
    assert max(map(len, table.splitlines())) <= 100


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0.000"),
        (0.01234, "0.012"),
        (1, "1.00"),
        (12.34, "12.3"),
        (123.4, "123"),
        (1234.5, "1,234"),
    ],
)
def test_three_digits(number, text):
    assert module._digits(number) == text


def test_a_busy_machine_is_told_of(made_up, monkeypatch):
    monkeypatch.setattr(module.os, "cpu_count", lambda: 2)
    assert made_up.notes == made_up.warnings == []
    assert replace(made_up, load=1.0).warnings == []
    (note,) = replace(made_up, load=1.54).warnings
    assert note == "The machine was busy before (load 1.5, 2 cores)."
    table = replace(made_up, load=1.54).table()
    assert f"Warning: {note}" in table
    assert replace(made_up, load=1.54).warnings == [note]


def test_what_went_on_meanwhile_is_told_of(made_up):
    busy = replace(made_up, busy=Busyness(cores=2, others=1.5))
    assert busy.warnings == [busy.busy.warning]
    assert "Warning: The machine was busy: other programs used 1.5 of 2 cores" in busy.table(200)
    assert busy.to_dict()["machine"]["busy"] is True
    assert busy.to_dict()["warnings"] == busy.warnings
    calm = replace(made_up, busy=Busyness(cores=2))
    assert calm.warnings == []
    assert "Warning" not in calm.table()


def test_roofs_that_differed_are_told_of(made_up):
    (note,) = replace(made_up, roof=replace(made_up.roof, steady=False)).warnings
    assert "roofs differed" in note


def test_the_machine_is_watched_meanwhile():
    assert profile_kernels(["gather"], quick=True, threads=1).busy.slowdown >= 1.0


def test_times_that_varied_are_marked_and_gains_that_rest_on_them(made_up):
    timings = list(made_up.timings)
    timings[0] = replace(timings[0], spread=1.3)  # numpy's matmul 2x3x4
    timings[3] = replace(timings[3], spread=1.24)  # not enough
    timings[6] = replace(timings[6], interrupted=True, speedup=None)  # cython's relu
    profile = replace(made_up, timings=tuple(timings))
    lines = [line.split() for line in profile.table().splitlines()]
    assert ["matmul", "2x3x4", "4.00~", "-", "2.00", "2.00x~", "1.00", "GF/s", "50%"] in lines
    assert ["20x30x40", "8,000", "-", "400", "20.0x", "0.005", "GF/s", "0%"] in lines
    assert ["relu", "32x10", "4.00", "8.00", "1.00~", "-", "1.00", "GB/s", "100%"] in lines
    assert "~ marks 2 of 8 times that varied" in profile.table()
    heads = next(line for line in profile.table().splitlines() if line.startswith("kernel"))
    end = heads.index("cython") + len("cython")
    matmul, *_, relu, _ = profile.table().splitlines()[-4:]
    assert (matmul[end - 4 : end + 1], relu[end - 4 : end + 1]) == ("2.00 ", "1.00~")
    assert "~" not in made_up.table()


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_line_is_wider_than_the_terminal(made_up, width):
    busy = Busyness(cores=2, others=1.5, interruptions=99, stolen=0.3, slowdown=2.0)
    timings = tuple(replace(timing, spread=2.0) for timing in made_up.timings)
    table = replace(made_up, busy=busy, load=9.0, timings=timings).table(width)
    assert max(map(len, table.splitlines())) <= width


def test_threads_of_blas_are_told_of_where_they_may_be_others(made_up, monkeypatch):
    monkeypatch.setattr(module.os, "cpu_count", lambda: 8)
    (note,) = made_up.notes
    assert "BLAS" in note


def test_no_timings_make_a_table_too(made_up):
    empty = replace(made_up, timings=())
    assert empty.table().splitlines()[1] == made_up.roofs
    assert empty.to_dict()["timings"] == []


def test_json_holds_every_number(made_up):
    data = json.loads(json.dumps(made_up.to_dict()))
    assert data["threads"] == 2
    assert data["dtype"] == "float32"
    assert data["roof"]["gflops"] == 100.0
    assert set(data["roof"]["gigabytes_per_second"]) == {"L1", "L2", "L3", "memory"}
    assert len(data["timings"]) == len(made_up.timings)
    assert data["timings"][1] == {
        "kernel": "matmul",
        "group": "products",
        "shape": [2, 3, 4],
        "backend": "cython",
        "seconds": 2e-6,
        "flops": 2000,
        "bytes": 1000,
        "gflops": pytest.approx(1.0),
        "gigabytes_per_second": pytest.approx(0.5),
        "speedup_over_numpy": 2.0,
        "floor_seconds": 1e-6,
        "level": "L1",
        "percent_of_roof": pytest.approx(50.0),
        "spread": 1.0,
        "interrupted": False,
    }
