"""The Python executor: what a run does batch by batch, by hand."""

from __future__ import annotations

import itertools
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop.backends import interpreter as module
from hotloop.backends import numpy as reference
from hotloop.backends.interpreter import Interpreter
from hotloop.backends.plan_traits import IN_PYTHON
from hotloop.data.feed import Feed
from hotloop.graph.plan import LossTerm, build
from hotloop.graph.trace import Value

ROWS, BATCH, RATE = 7, 3, 0.25


class Counted:
    """Ops that count their calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getitem__(self, op: str) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            self.calls.append(op)
            return reference.OPS[op](*arguments, **keywords)

        return call


@pytest.fixture
def model() -> hotloop.Sequential:
    """y = w x + b from w = 2, b = 1."""
    model = hotloop.Sequential()
    model.add(hotloop.layers.Dense(1, input_dim=1, dtype="float64"))
    model.set_weights([np.array([[2.0]]), np.array([1.0])])
    return model


def interpreter(
    model: hotloop.Sequential, optimizer: Any = None, ops: Any = reference.OPS
) -> Interpreter:
    target = Value((1,), "float64", role="target")
    loss = hotloop.losses.MeanAbsoluteError()
    plan = build(
        model.inputs,
        model.outputs,
        BATCH,
        IN_PYTHON,
        losses=[LossTerm(loss, target, model.outputs[0])],
        trained=model.trainable_weights,
        optimizer=optimizer,
    )
    return Interpreter(plan, ops)


def feed(far: float = 100.0) -> Feed:
    """x = 0, 1, ... 6, and targets so far above that each gradient is -1."""
    return Feed([np.arange(ROWS)[:, None], np.full(ROWS, far)], ROWS)


def test_a_step_by_hand(model: hotloop.Sequential) -> None:
    sgd = hotloop.optimizers.SGD(RATE)
    sums = np.zeros(1)
    assert interpreter(model, sgd).run(feed(), 0, 1, sums) == (1, True)
    w, b = model.get_weights()
    # Predictions 1, 3, 5; the mean of x is 1.
    assert (w[0, 0], b[0]) == (2.0 + RATE, 1.0 + RATE)
    assert sums[0] == 99.0 + 97.0 + 95.0
    assert sgd.iterations == 1


def test_sums_are_added_to_and_the_last_batch_is_short(model: hotloop.Sequential) -> None:
    sums = np.full(1, 1000.0)
    assert interpreter(model).run(feed(), 0, 3, sums) == (3, True)
    assert sums[0] == 1000.0 + sum(100.0 - (2.0 * x + 1.0) for x in range(ROWS))
    assert interpreter(model).run(feed(), 2, 1, sums := np.zeros(1)) == (1, True)
    assert sums[0] == 100.0 - 13.0


def test_outputs_go_to_their_rows(model: hotloop.Sequential) -> None:
    order = np.random.default_rng(0).permutation(ROWS)
    given = feed()
    given.order = order
    out = np.full((ROWS - 2, 1), -1.0)
    interpreter(model).run(given, 1, 2, np.zeros(1), outputs=[out], outputs_first=2)
    np.testing.assert_array_equal(out[:, 0], [-1.0, *(2.0 * order[3:] + 1.0)])


def test_no_time_means_one_batch_and_the_next_run_goes_on(model: hotloop.Sequential) -> None:
    sgd = hotloop.optimizers.SGD(RATE)
    ours = interpreter(model, sgd)
    sums, whole = np.zeros((2, 1))
    assert [ours.run(feed(), k, 3 - k, sums, seconds=0.0) for k in range(3)] == [(1, True)] * 3
    assert sgd.iterations == 3
    found = model.get_weights()
    model.set_weights([np.array([[2.0]]), np.array([1.0])])
    assert interpreter(model, hotloop.optimizers.SGD(RATE)).run(feed(), 0, 3, whole) == (3, True)
    assert sums == whole
    for one, other in zip(found, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_changes_nothing(model: hotloop.Sequential, bad: float) -> None:
    sgd = hotloop.optimizers.SGD(RATE)
    x = np.arange(float(ROWS))
    x[4] = bad
    sums = np.zeros(1)
    given = Feed([x, np.full(ROWS, 100.0)], ROWS)
    assert interpreter(model, sgd).run(given, 0, 3, sums) == (1, False)
    assert sgd.iterations == 1
    assert sums[0] == 99.0 + 97.0 + 95.0
    assert model.get_weights()[1][0] == 1.0 + RATE


def test_ops_are_looked_up_in_the_given_table(model: hotloop.Sequential) -> None:
    ops = Counted()
    interpreter(model, hotloop.optimizers.SGD(RATE), ops).run(feed(), 0, 1, np.zeros(1))
    assert ops.calls[:4] == ["gather", "gather", "dense", "mean_absolute_error"]
    assert sorted(ops.calls[4:]) == ["bias_gradient", "sgd", "sgd", "weight_gradient"]


def test_no_batches_are_no_work(model: hotloop.Sequential) -> None:
    sums = np.zeros(1)
    assert interpreter(model).run(feed(), 0, 0, sums) == (0, True)
    assert sums[0] == 0.0


# ------------------------------------------------------------------------------- the clock

STEPS = [
    *("input", "target", "dense", "loss", "accumulate"),
    *("weight_gradient", "update", "bias_gradient", "update"),
]


def name(step: Any) -> str:
    return str(step.role if isinstance(step, Value) else step.op.name)


def test_nodes_say_what_each_step_is(model: hotloop.Sequential) -> None:
    ours = interpreter(model, hotloop.optimizers.SGD(RATE))
    assert sorted(map(name, ours.nodes)) == sorted([*STEPS, "temporary"])
    assert [name(step) for step in ours.nodes[:4]] == STEPS[:4]
    assert ours.nodes[-1] is model.outputs[0]
    assert ours.threads() == 1


def test_a_clock_adds_up_waiting_and_working(
    model: hotloop.Sequential, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each look at the clock is a nanosecond later: one lies before each step, one in it.
    ticks = itertools.count()
    looks = SimpleNamespace(monotonic=time.monotonic, perf_counter_ns=lambda: next(ticks))
    monkeypatch.setattr(module, "time", looks)
    ours = interpreter(model, hotloop.optimizers.SGD(RATE))
    clock = np.full((1, len(STEPS), 2), 100)
    assert ours.run(feed(), 0, 3, np.zeros(1), clock=clock) == (3, True)
    np.testing.assert_array_equal(clock, 103)

    with_outputs = np.zeros((1, len(ours.nodes), 2), np.int64)
    ours.run(feed(), 0, 2, np.zeros(1), outputs=[np.empty((ROWS, 1))], clock=with_outputs)
    np.testing.assert_array_equal(with_outputs, 2)


def test_a_clock_changes_no_number(model: hotloop.Sequential) -> None:
    sums, clocked = np.zeros((2, 1))
    interpreter(model, hotloop.optimizers.SGD(RATE)).run(feed(), 0, 3, sums)
    found = model.get_weights()
    model.set_weights([np.array([[2.0]]), np.array([1.0])])
    clock = np.zeros((1, len(STEPS), 2), np.int64)
    interpreter(model, hotloop.optimizers.SGD(RATE)).run(feed(), 0, 3, clocked, clock=clock)
    assert sums == clocked
    assert (clock[:, :, 1] > 0).all()
    for one, other in zip(found, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_clock_of_another_shape_is_refused(model: hotloop.Sequential) -> None:
    for shape in [(1, len(STEPS) + 1, 2), (2, len(STEPS), 2), (1, len(STEPS), 1)]:
        with pytest.raises(ValueError, match="clock must have the shape"):
            interpreter(model, hotloop.optimizers.SGD(RATE)).run(
                feed(), 0, 1, np.zeros(1), clock=np.zeros(shape, np.int64)
            )
