"""Profiles of training steps: what stands in them, and that nothing remains of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import backends, random
from hotloop.graph import network
from hotloop.layers import Dense, Dropout, Flatten, Input, Lambda
from hotloop.profiling import OpProfile, Profile
from hotloop.profiling import step as step_module
from hotloop.profiling.busy import Busyness

ROWS, BATCH = 20, 8


class FlatRoof:
    """A machine of one GFLOP/s and one GB/s, whatever the level."""

    gflops = 1.0
    bandwidth = dict.fromkeys(("L1", "L2", "L3", "memory"), 1.0)

    def floor_seconds(self, flops: float, nbytes: float) -> float:
        return 1e-9 * max(flops, nbytes)


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """What the roof was measured for, instead of measuring it."""
    calls: list[tuple[int, str]] = []

    def measure(threads: int = 1, dtype: str = "float32") -> FlatRoof:
        calls.append((threads, dtype))
        return FlatRoof()

    monkeypatch.setattr("hotloop.profiling.roof.measure", measure)
    return calls


def small(metrics: Any = None, **options: Any) -> hotloop.Sequential:
    layers = [Dense(4, "relu", name="hidden", input_dim=3, **options), Dense(2, name="out")]
    model = hotloop.Sequential(layers, name="small")
    model.compile("adam", "mse", metrics=metrics)
    return model


def data(rows: int = ROWS) -> tuple[Any, Any]:
    numbers = np.random.default_rng(0)
    return numbers.random((rows, 3)), numbers.random((rows, 2))


def profile_of(model: hotloop.Sequential, **options: Any) -> Profile:
    return model.profile(*data(), **{"batch_size": BATCH, "steps": 5} | options)


# By op and layer, of batches of 8: FLOPs, and bytes as read + written. x and y are float64.
BOTH = {
    ("gather", "input"): (0, 8 * 3 * 8 + 8 * 3 * 4),
    ("gather", "target"): (0, 8 * 2 * 8 + 8 * 2 * 4),
    ("dense", "hidden"): (8 * 2 * 3 * 4, (8 * 3 + 3 * 4 + 4) * 4 + 8 * 4 * 4),
    ("dense", "out"): (8 * 2 * 4 * 2, (8 * 4 + 4 * 2 + 2) * 4 + 8 * 2 * 4),
    ("mean_squared_error", "loss"): (0, 2 * 8 * 2 * 4 + (8 + 8 * 2) * 4),
    ("accumulate", "loss"): (0, 8 * 4),
    # The hidden layer's relu is undone in it, and its output read for that.
    ("input_gradient", "out"): (8 * 2 * 4 * 2, (8 * 2 + 4 * 2 + 8 * 4) * 4 + 8 * 4 * 4),
}
# A weight and Adam's two arrays of state are read and written.
FUSED = {
    ("weight_gradient_update", "hidden"): (8 * 2 * 3 * 4, (8 * 3 + 8 * 4 + 6 * 3 * 4) * 4),
    ("bias_gradient_update", "hidden"): (0, (8 * 4 + 6 * 4) * 4),
    ("weight_gradient_update", "out"): (8 * 2 * 4 * 2, (8 * 4 + 8 * 2 + 6 * 4 * 2) * 4),
    ("bias_gradient_update", "out"): (0, (8 * 2 + 6 * 2) * 4),
}
# Here a gradient is written, then read.
APART = {
    ("weight_gradient", "hidden"): (8 * 2 * 3 * 4, (8 * 3 + 8 * 4 + 3 * 4) * 4),
    ("bias_gradient", "hidden"): (0, (8 * 4 + 4) * 4),
    ("weight_gradient", "out"): (8 * 2 * 4 * 2, (8 * 4 + 8 * 2 + 4 * 2) * 4),
    ("bias_gradient", "out"): (0, (8 * 2 + 2) * 4),
    ("update", "hidden"): (0, 7 * (3 * 4 + 4) * 4),
    ("update", "out"): (0, 7 * (4 * 2 + 2) * 4),
}


def test_flops_and_bytes_by_hand(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "MOST_WEIGHTS", 0)  # step by step, as larger networks
    found: defaultdict[tuple[str, str], Any] = defaultdict(lambda: np.zeros(2, int))
    profile = profile_of(small())
    for row in profile.rows:
        found[row.op, row.layer] += (row.flops, row.bytes)
    expected = BOTH | (FUSED if backend == "cython" else APART)
    assert {key: tuple(amounts) for key, amounts in found.items()} == expected
    assert profile.flops == 8 * 2 * (2 * 3 * 4 + 3 * 4 * 2)
    assert profile.bytes == sum(moved for _, moved in expected.values())


def test_a_small_network_is_one_row() -> None:
    if backends.current() != "cython":
        pytest.skip("other backends go step by step")
    rows = {row.op: row for row in profile_of(small()).rows}
    row = rows["network_update"]
    assert row.flops == 8 * 2 * (2 * 3 * 4 + 3 * 4 * 2)
    # x, targets, all weights with Adam's state read; losses, predictions and weights written.
    weights = 3 * 4 + 4 + 4 * 2 + 2
    assert row.bytes == (8 * 3 + 8 * 2 + 6 * weights + 8 + 8 * 2) * 4
    assert row.layer == "hidden,out"
    assert set(rows) == {"gather", "network_update", "accumulate"}


def test_times_shares_and_rates(backend: str) -> None:
    profile = profile_of(small())
    assert (profile.steps, profile.batch_size, profile.dtype) == (5, BATCH, "float32")
    assert sum(row.share for row in profile.rows) == pytest.approx(1.0)
    assert all(row.time_us >= 0 and row.waiting_us >= 0 and row.share >= 0 for row in profile.rows)
    assert all(row.time_us > 0 for row in profile.rows if row.flops)
    for row in profile.rows:
        if row.time_us:
            assert row.gflops == pytest.approx(1e-3 * row.flops / row.time_us)
            assert row.gbytes == pytest.approx(1e-3 * row.bytes / row.time_us)
            # On a machine of one GB/s, a thousand bytes take a microsecond.
            floor = 1e-3 * max(row.flops, row.bytes)
            assert row.roof == pytest.approx(floor / row.time_us)
    # The ops and the waits between them fill the step.
    within = sum(row.time_us + row.waiting_us for row in profile.rows)
    assert 0 < within <= profile.clocked_step_us
    assert profile.step_us > 0
    assert balance(profile) == pytest.approx(profile.step_us)
    assert profile.overhead == profile.clocked_step_us / profile.step_us - 1


def test_who_served(backend: str, asked: list[tuple[int, str]]) -> None:
    profile = profile_of(small())
    served = {row.op: (row.backend, row.isa) for row in profile.rows}
    assert profile.backend == backend
    if backend == "cython":
        assert set(served.values()) == {("cython", backends.isa())}
        assert profile.isa == backends.isa()
    else:
        assert served["dense"] == served["gather"] == served["accumulate"] == ("numpy", "")
        assert served["update"] == served["mean_squared_error"] == (backend, "")
        assert profile.isa == ""
    threads = profile.threads if backend == "cython" else hotloop.config.num_threads()
    assert asked == [(threads, "float32")]


def dropped() -> hotloop.Sequential:
    random.set_random_seed(3)
    layers = [Dense(16, "tanh", input_dim=3), Dropout(0.5), Flatten(), Dense(2)]
    model = hotloop.Sequential(layers)
    model.compile("adam", "mse", metrics=["mae"])
    return model


def state_of(model: hotloop.Sequential) -> list[Any]:
    assert model.optimizer is not None
    arrays = [*model.get_weights(), *(v.numpy() for v in model.optimizer.variables)]
    generator = random.generator().bit_generator.state
    return [[a.tobytes() for a in arrays], model.optimizer.iterations, generator]


def test_nothing_remains(backend: str) -> None:
    x, y = data()
    model, twin = dropped(), dropped()
    random.set_random_seed(5)
    model.fit(x, y, batch_size=BATCH, verbose=0)
    before = state_of(model)
    model.profile(x, y, batch_size=BATCH, steps=7)
    assert state_of(model) == before
    model.fit(x, y, batch_size=BATCH, epochs=2, verbose=0)

    random.set_random_seed(5)
    twin.fit(x, y, batch_size=BATCH, verbose=0)
    twin.fit(x, y, batch_size=BATCH, epochs=2, verbose=0)
    assert state_of(model) == state_of(twin)


def test_nothing_remains_of_a_profile_that_fails(backend: str) -> None:
    x, y = data()
    x[13] = np.nan
    model = small()
    model.profile(*data(), steps=1)  # makes the optimizer's state
    before = state_of(model)
    with pytest.raises(hotloop.NonFiniteError, match="profiled"):
        model.profile(x, y, batch_size=1, steps=100)
    assert state_of(model) == before


def test_the_plan_of_fit_is_the_one_that_runs(backend: str) -> None:
    model = small()
    model.fit(*data(), batch_size=BATCH, verbose=0)
    plans = list(model._plans)
    profile_of(model)
    assert list(model._plans) == plans


@pytest.mark.parametrize(("rows", "batch_size", "expected"), [(20, 8, 8), (20, 64, 20), (1, 1, 1)])
def test_batches_are_whole(backend: str, rows: int, batch_size: int, expected: int) -> None:
    profile = small().profile(*data(rows), batch_size=batch_size, steps=3)
    assert profile.batch_size == expected
    assert (profile.steps, len(profile.laps)) == (3, 3)


def test_steps_until_figures_are_stable(backend: str) -> None:
    profile = small().profile(*data())
    assert profile.steps >= 10
    assert len(profile.laps) == 8


def test_outputs_are_copied_where_python_computes_a_metric(backend: str) -> None:
    model = small(metrics=[hotloop.metrics.R2Score()])
    profile = profile_of(model)
    last = profile.rows[-1]
    assert (last.op, last.layer, last.flops, last.bytes) == ("copy", "out", 0, 2 * 8 * 2 * 4)
    assert last.backend == ("cython" if backend == "cython" else "numpy")


def test_sample_weights_regularizers_and_metrics_have_rows(backend: str) -> None:
    model = small(metrics=["mae"], kernel_regularizer="l2")
    rows = profile_of(model, sample_weight=np.ones(ROWS)).rows
    names = {(row.op, row.layer): row.bytes for row in rows}
    assert names["gather", "sample_weight"] == 8 * (8 + 4)
    assert names["penalty", "hidden"] == 3 * 4 * 4
    assert names["mean_absolute_error", "metric"] == (2 * 8 * 2 + 8) * 4
    assert ("accumulate", "metric") in names
    assert ("accumulate", "loss") in names


def test_float64(backend: str, asked: list[tuple[int, str]]) -> None:
    model = hotloop.Sequential([Dense(2, input_dim=3, dtype="float64")])
    model.compile("sgd", "mse")
    profile = profile_of(model)
    assert profile.dtype == asked[0][1] == "float64"
    assert profile.rows[0].bytes == 2 * 8 * 3 * 8


def test_a_model_that_data_build(backend: str) -> None:
    model = hotloop.Sequential([Dense(2)])
    model.compile("sgd", "mse")
    assert profile_of(model).flops == 2 * 8 * 2 * 3 * 2
    assert model.built


# -------------------------------------------------------------------------------- errors


def test_a_model_that_is_not_compiled() -> None:
    model = hotloop.Sequential([Dense(2, input_dim=3)])
    with pytest.raises(ValueError, match=r"must be compiled before profile\(\)"):
        model.profile(*data())
    model.compile("sgd")
    with pytest.raises(ValueError, match="without a loss"):
        model.profile(*data())


@pytest.mark.parametrize("steps", [0, -1, 1.5, True])
def test_steps_that_are_no_count(steps: Any) -> None:
    with pytest.raises(ValueError, match="steps must be a whole number of at least 1"):
        small().profile(*data(), steps=steps)


def test_data_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="y"):
        small().profile(data()[0], np.zeros((ROWS, 3)))
    with pytest.raises(ValueError, match="batch_size"):
        small().profile(*data(), batch_size=0)


# ---------------------------------------------------------------------- what interrupts it


def balance(profile: Profile) -> float:
    """Microseconds of a step without the clock, added up from all parts."""
    rows = sum(row.time_us + row.waiting_us for row in profile.rows)
    return rows + profile.unaccounted_us - profile.clock_us


LAPS_NS = np.array([[[100, 2000], [50, 3000], [0, 400]], [[100, 1500], [550, 2800], [200, 0]]])


class FakeRuns(step_module._Runs):
    """Steps of 5.6 us, of 6 us with the clock, but for some that something interrupts."""

    interrupted: frozenset[int] = frozenset()
    done = 0

    def clock(self) -> Any:
        return np.zeros((2, self._ops, 2), np.int64)

    def _run(self, most: float, clock: Any) -> tuple[int, float]:
        count = 10 if most == float("inf") else int(most)
        seconds = 0.0
        for _ in range(count):
            late = 0.05 * (self.done in self.interrupted)
            FakeRuns.done += 1
            seconds += late + 1e-6 * (5.6 if clock is None else 6.0)
            if clock is not None:
                clock[:, :3] += LAPS_NS
                clock[:, 1, 1] += int(1e9 * late)
        return count, seconds


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeRuns]:
    monkeypatch.setattr(step_module, "_Runs", FakeRuns)
    monkeypatch.setattr(step_module, "SECONDS", 0.01)
    monkeypatch.setattr(FakeRuns, "done", 0)
    monkeypatch.setattr(network, "MOST_WEIGHTS", 0)
    return FakeRuns


@pytest.mark.parametrize("steps", [None, 5, 16, 101, 4000])
def test_interruptions_move_no_row(
    fake: type[FakeRuns], monkeypatch: pytest.MonkeyPatch, steps: int | None
) -> None:
    calm = profile_of(small(), steps=steps)
    assert [(row.time_us, row.waiting_us) for row in calm.rows] == [
        pytest.approx(us) for us in ((2.0, 0.1), (3.0, 0.05), (0.4, 0.0))
    ]
    assert calm.step_us == pytest.approx(5.6)
    assert calm.clocked_step_us == pytest.approx(6.0)
    assert calm.unaccounted_us == pytest.approx(0.45)
    # The traced steps come last: these are in turns before them.
    last, fake.done = fake.done, 0
    late = frozenset({last - 9, last - 12} if steps else {last // 3})
    monkeypatch.setattr(fake, "interrupted", late)
    busy = profile_of(small(), steps=steps)
    assert fake.done > max(late)
    for one, other in zip(busy.rows, calm.rows, strict=True):
        assert one.time_us == pytest.approx(other.time_us)
        assert one.waiting_us == pytest.approx(other.waiting_us)
        assert one.share == pytest.approx(other.share)
    assert busy.step_us == pytest.approx(5.6)
    assert busy.clocked_step_us == pytest.approx(6.0)
    if steps is not None:
        assert busy.steps == calm.steps == steps


def test_steps_are_cut_into_turns(fake: type[FakeRuns]) -> None:
    sizes: list[int] = []

    class Runs:
        def turn(self, steps: int, clock: Any = None) -> step_module.Turn:
            sizes.append(steps)
            return step_module.Turn(steps, 6.0, np.zeros(0))

        def clock(self) -> Any:
            return None

    watch = step_module.Watch()
    for steps, turn_steps, expected in (
        (10, 1, [1] * 10),
        (10, 4, [4, 6]),
        (12, 4, [4, 4, 4]),
        (3, 3, [3]),
    ):
        sizes.clear()
        step_module._in_turns(Runs(), steps, turn_steps, watch)  # type: ignore[arg-type]
        assert sizes[::2] == sizes[1::2] == expected


@pytest.mark.parametrize("accumulated", [1, 4])
def test_a_turn_has_whole_updates(accumulated: int) -> None:
    class Optimizer:
        gradient_accumulation_steps = accumulated
        ema_overwrite_frequency = None

    class Plan:
        optimizer = Optimizer()

    plan: Any = Plan()
    for steps, step_us, expected in (
        (None, 10.0, 200),
        (None, 5000.0, accumulated),
        (1000, 10.0, 128 if accumulated == 4 else 125),
        (16, 10.0, 4 if accumulated == 4 else 2),
        (3, 10.0, 3 if accumulated == 4 else 1),
    ):
        assert step_module._turn_steps(plan, steps, step_us) == expected


def test_updates_of_every_fourth_step_are_in_the_profile(backend: str) -> None:
    model = hotloop.Sequential([Dense(2, input_dim=3)])
    model.compile(hotloop.optimizers.SGD(gradient_accumulation_steps=4), "mse")
    profile = profile_of(model, steps=32, batch_size=4)
    updates = [row for row in profile.rows if "update" in row.op]
    assert updates
    assert all(row.time_us > 0 for row in updates)
    assert balance(profile) == pytest.approx(profile.step_us)


def test_a_python_step_that_sleeps_once_moves_no_row(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, sleeps = [0], [0]

    def sleepy(x: Any) -> Any:
        if turns[0] == 8 and not sleeps[0]:  # the fourth that is clocked
            sleeps[0] += 1
            time.sleep(0.5)
        return x * 2

    class Runs(step_module._Runs):
        def turn(self, *arguments: Any) -> step_module.Turn:
            turns[0] += 1
            return super().turn(*arguments)

    monkeypatch.setattr(step_module, "_Runs", Runs)
    layers = [Input((3,)), Dense(4), Lambda(sleepy, gradient=lambda x, dy: dy), Dense(2)]
    model = hotloop.Sequential(layers)
    model.compile("sgd", "mse")
    profile = profile_of(model, steps=12)
    assert (turns, sleeps) == ([24], [1])
    # A mean over all twelve would be 40,000 us more.
    assert all(row.time_us < 20_000 for row in profile.rows)
    assert profile.clocked_step_us < 20_000
    assert balance(profile) == pytest.approx(profile.step_us)


def test_the_parts_of_a_step_add_up(backend: str, two_threads: None) -> None:
    layers = [Dense(96, "relu", input_dim=64), Dense(8)]
    model = hotloop.Sequential(layers)
    model.compile("adam", "mse")
    x, y = np.ones((128, 64)), np.ones((128, 8))
    for profile in (
        profile_of(small()),
        model.profile(x, y, batch_size=64, steps=20),
        model.profile(x, y, batch_size=64),
    ):
        assert balance(profile) == pytest.approx(profile.step_us)
        assert profile.work_us + profile.waiting_us + profile.unaccounted_us == pytest.approx(
            profile.clocked_step_us
        )
        for row in profile.rows:
            total = profile.work_us + profile.waiting_us
            assert row.share == pytest.approx((row.time_us + row.waiting_us) / total)
        shown = profile.breakdown.split()
        parts = [float(number) for number in shown[::4]]
        signs = [-1 if sign == "-" else 1 for sign in ("+", *shown[3:-6:4])]
        assert len(parts) == 5
        *summands, step = parts
        assert sum(map(lambda s, p: s * p, signs, summands)) == pytest.approx(step, abs=0.03)


def test_a_busy_machine_is_told_of_everywhere() -> None:
    busy = Busyness(cores=2, others=1.5)
    profile = profile_with(row("dense", "a"), busy=busy)
    assert profile.warnings == [busy.warning]
    assert busy.warning in " ".join(str(profile).split("\n"))
    assert "Warning: The machine was busy" in profile.table(80)
    assert "The machine was busy: other programs used 1.5 of 2 cores" in profile._repr_html_()
    assert profile.to_dict()["machine"]["busy"] is True
    calm = profile_with(row("dense", "a"), busy=Busyness(cores=2))
    for text in (str(calm), calm._repr_html_()):
        assert "busy" not in text


def test_the_machine_is_watched_meanwhile() -> None:
    profile = profile_of(small())
    assert profile.busy is not None
    assert profile.busy.slowdown >= 1.0


# ------------------------------------------------------------------------------ the table


def test_the_table(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    profile = profile_of(small())
    lines = str(profile).splitlines()
    assert lines[0] == "Profile of 'small'"
    assert f"batch of {BATCH}, 5 steps clocked" in lines[1]
    assert lines[1].startswith(f"{backend} {profile.isa}".strip() + ", 1 thread, float32")
    heads = " ".join(lines[3].split())
    assert heads == "op layer us wait share FLOPs bytes GFLOP/s GB/s roof by"
    table = lines[5 : 5 + len(profile.rows)]
    for line, row in zip(table, profile.rows, strict=True):
        op, layer, us, wait, share, _, _, _, _, roof, by = line.split()
        assert (op, layer, by) == (row.op, row.layer, row.backend)
        assert (us, wait) == (f"{row.time_us:.2f}", f"{row.waiting_us:.2f}")
        assert (share, roof) == (f"{row.share:.1%}", f"{row.roof:.0%}")
    # Right-hand ends of numbers stand below each other.
    end = lines[3].index("FLOPs") + len("FLOPs")
    assert all(line[end] == " " and line[end - 1] != " " for line in table)
    total = lines[6 + len(profile.rows)].split()
    assert total[0] == "step"
    assert "100.0%" in total
    assert max(map(len, lines)) <= 100
    assert f"{profile.step_us:.2f} us, and {profile.clocked_step_us:.2f} us with" in str(profile)
    assert f"({profile.overhead:+.1%})" in str(profile)
    assert repr(profile).startswith("<Profile of 'small'")


def row(op: str, layer: str, time_us: float = 1.0, flops: int = 0, moved: int = 0) -> OpProfile:
    return OpProfile(op, layer, time_us, 0.5, 1.0, flops, moved, 0.25, "cython", "avx512")


def profile_with(*rows: OpProfile, **changes: Any) -> Profile:
    facts = {
        "model": "m" * 120,
        "backend": "cython",
        "isa": "avx512",
        "threads": 2,
        "dtype": "float32",
        "batch_size": 32,
        "steps": 1,
        "step_us": 10.0,
        "clocked_step_us": 11.0,
        "rows": rows,
        "roof": FlatRoof(),
        "laps": np.zeros((1, 2, len(rows), 2), np.int64),
    }
    return Profile(**facts | changes)


def test_a_wide_table_is_cut_to_100_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    rows = [
        row("sparse_softmax_crossentropy", "a_layer_with_a_long_name", 123456.78, 10**13, 10**10),
        row("dense", "short"),
    ]
    lines = str(profile_with(*rows, step_us=234567.89)).splitlines()
    assert max(map(len, lines)) == 100
    assert lines[5].startswith("sparse_softmax")
    assert "..." in lines[5]


@pytest.mark.parametrize("columns", ["80", "60", "100", "300", "20"])
def test_a_profile_is_as_wide_as_the_terminal(
    monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    rows = [
        row("sparse_softmax_crossentropy", "a_layer_with_a_long_name", 12345.67, 10**13, 10**10),
        row("weight_gradient_update", "dense_12"),
    ]
    busy = Busyness(cores=2, others=1.5, interruptions=99, stolen=0.3, slowdown=2.0)
    profile = profile_with(*rows, step_us=123456.78, clocked_step_us=234567.89, busy=busy)
    width = min(max(int(columns), 60), 100)
    text = str(profile)
    assert max(map(len, text.splitlines())) <= width
    assert text == profile.table(width)
    heads = next(line.split() for line in text.splitlines() if line.startswith("op "))
    assert heads[:5] == ["op", "layer", "us", "wait", "share"]
    assert heads[-2:] == ["roof", "by"]
    assert ("FLOPs" in heads) == (width == 100)
    assert ("GFLOP/s" in heads) == (width >= 80)


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "-"), (7, "7"), (999, "999"), (999_499, "999k"), (999_500, "1M"), (12_345_678, "12.3M")],
)
def test_amounts_have_three_digits(count: int, shown: str) -> None:
    line = str(profile_with(row("x", "y", 1.0, count, 1))).splitlines()[5]
    assert line.split()[5] == shown


def test_an_op_too_quick_for_the_clock() -> None:
    quick = row("accumulate", "loss", 0.0, 8, 8)
    assert (quick.gflops, quick.gbytes) == (0.0, 0.0)
    assert "accumulate" in str(profile_with(quick))


def test_dict_is_json(backend: str) -> None:
    profile = profile_of(small())
    found = json.loads(json.dumps(profile.to_dict()))
    assert found["overhead"] == profile.overhead
    assert found["flops"] == profile.flops
    assert [entry["op"] for entry in found["rows"]] == [row.op for row in profile.rows]
    assert found["rows"][2]["gflops"] == profile.rows[2].gflops
    assert found["roof"]["bandwidth"]["memory"] == 1.0


# ------------------------------------------------------------------------------ the trace


def test_trace_by_hand(tmp_path: Any) -> None:
    laps = np.array(
        [
            [[[1000, 2000], [0, 500]], [[1500, 1000], [700, 0]]],
            [[[10, 20], [30, 40]], [[5, 5], [5, 5]]],
        ]
    )
    path = tmp_path / "trace.json"
    profile_with(row("dense", "a"), row("loss", "b"), model="net", laps=laps).to_chrome_trace(path)
    events = json.loads(path.read_text())["traceEvents"]
    spans = [
        (e["name"], e["tid"], e["ts"], e["dur"], e["args"]["step"])
        for e in events
        if e["ph"] == "X"
    ]
    assert spans == [
        ("waiting", 0, 0.0, 1.0, 0),
        ("dense (a)", 0, 1.0, 2.0, 0),
        ("loss (b)", 0, 3.0, 0.5, 0),
        ("waiting", 1, 0.0, 1.5, 0),
        ("dense (a)", 1, 1.5, 1.0, 0),
        ("waiting", 1, 2.5, 0.7, 0),
        # The next step sets out when the last thread is through: at 3.5.
        ("waiting", 0, 3.5, 0.01, 1),
        ("dense (a)", 0, 3.51, 0.02, 1),
        ("waiting", 0, 3.53, 0.03, 1),
        ("loss (b)", 0, 3.56, 0.04, 1),
        ("waiting", 1, 3.5, 0.005, 1),
        ("dense (a)", 1, 3.505, 0.005, 1),
        ("waiting", 1, 3.51, 0.005, 1),
        ("loss (b)", 1, 3.515, 0.005, 1),
    ]


@pytest.fixture
def two_threads() -> Any:
    before = hotloop.config.num_threads()
    hotloop.set_num_threads(2)
    yield
    hotloop.set_num_threads(before)


def test_trace_of_a_real_step(backend: str, two_threads: None, tmp_path: Any) -> None:
    layers = [Dense(96, "relu", input_dim=64, name="hidden"), Dense(8, name="out")]
    model = hotloop.Sequential(layers, name="net")
    model.compile("adam", "mse")
    profile = model.profile(np.ones((128, 64)), np.ones((128, 8)), batch_size=64, steps=4)
    # The compiled core gives a batch of two million operations to both.
    assert profile.threads == (2 if backend == "cython" else 1)
    path = tmp_path / "trace.json"
    profile.to_chrome_trace(str(path))
    trace = json.loads(path.read_text())
    assert trace["displayTimeUnit"] in ("ms", "ns")
    events = trace["traceEvents"]
    names = {(e["name"], e["tid"]): e["args"]["name"] for e in events if e["ph"] == "M"}
    assert names["process_name", 0] == "hotloop: net"
    seen: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
    ends: defaultdict[int, float] = defaultdict(float)
    for event in events:
        assert {"name", "ph", "pid", "tid", "args"} <= event.keys()
        assert event["ph"] in "XM"
        assert (type(event["pid"]), type(event["tid"])) == (int, int)
        if event["ph"] == "X":
            thread = event["tid"]
            assert names["thread_name", thread] == f"thread {thread}"
            assert event["dur"] > 0
            assert event["ts"] >= ends[thread] - 1e-6
            ends[thread] = event["ts"] + event["dur"]
            seen[event["args"]["step"], thread].append(event["name"])
    assert {step for step, _ in seen} == {0, 1, 2, 3}
    assert {thread for _, thread in seen} == set(range(profile.threads))
    for step in range(4):
        assert "dense (hidden)" in seen[step, 0]
        assert {name for name in seen[step, 0] if "dense" in name} == {
            "dense (hidden)",
            "dense (out)",
        }


# --------------------------------------------------------------------------------- import


def test_importing_hotloop_does_not_import_profiling() -> None:
    code = "import hotloop, sys; print([m for m in sys.modules if 'profiling' in m])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_rows_of_the_cores_own_dtype_are_not_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "MOST_WEIGHTS", 0)
    x, y = data()
    for given, gathers in ((x, 2), (x.astype("float32"), 1)):
        profile = small().profile(given, y, batch_size=BATCH, steps=5)
        ops = [row.op for row in profile.rows]
        in_place = given.dtype == "float32" and backends.current() == "cython"
        assert ops.count("gather") == (gathers if in_place else 2)
        assert profile.laps.shape[2] == len(ops)
