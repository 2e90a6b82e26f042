"""A loss of one's own, written with ten ops, beside a kernel written by hand and other libraries.

    python benchmarks/programs.py [--threads 1] [--rounds 200] [--json FILE] [--quick]

Of 4,096 rows of 64 numbers, what is timed is each row's value and the gradient with respect to the
predictions, in float32:

    d = y_true - y_pred,  a = |d|,  w = d^2 / 2 where a < 1, else a - 1/2
    the mean over a row of log(1 + w) + exp(-w)

- ``program`` is what hotloop makes of the ops: the steps of a plan, by the executor's clock.
- ``by hand`` is the step of Huber's loss, a kernel that reads and writes the same bytes.
- ``numpy`` is the same formula, and its derivative, written by hand.
- ``torch`` and ``torch compiled`` are PyTorch's autograd, ``jax`` JAX's value and gradient in one
  jitted function: where they are installed.

Goals on one thread: at most 1.5 times as long as by hand, a third of NumPy's time at most, and no
longer than JAX.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import hotloop
import machine
import report
from hotloop import backends, losses
from hotloop.data.feed import Feed
from hotloop.graph import ops
from hotloop.graph.gradients import backward
from hotloop.graph.memory import Placement
from hotloop.graph.plan import Plan
from hotloop.graph.programs import fuse
from hotloop.graph.trace import Node, Value, topological

ROWS, COLS = 4096, 64
GOALS = {"by hand": 1.5, "numpy": 1 / 3, "jax": 1.0}

Turn = Callable[[], float]


def own_loss(y_true: Value, y_pred: Value) -> Value:
    """Each row's value, of ten ops and the mean."""
    call = ops.elementwise
    d = call("subtract", y_true, y_pred)
    a = call("absolute", d)
    square = ops.scale(call("square", d), 0.5)
    w = ops.where(call("less", a, 1.0), square, ops.scale(a, 1.0, -0.5))
    each = call("add", call("log1p", w), call("exp", call("negative", w)))
    return ops.reshape(ops.mean_steps(ops.reshape(each, (COLS, 1))), ())


def clocked(plan: Plan, arrays: list[Any], steps: set[str]) -> Turn:
    """A turn is a batch; its time that of these steps alone."""
    executor = backends.executor(plan)
    feed, sums = Feed(arrays, ROWS), np.zeros(max(len(plan.slots), 1))
    counted = [
        i
        for i, node in enumerate(executor.nodes)
        if isinstance(node, Node) and node.op.name in steps
    ]
    of_outputs = len(plan.outputs)

    def turn() -> float:
        clock = np.zeros((executor.threads(), len(executor.nodes) - of_outputs, 2), np.int64)
        executor.run(feed, 0, 1, sums, clock=clock)
        return float(clock[:, counted, 1].sum(axis=1).max()) / 1e3

    return turn


def program(y_true: Any, y_pred: Any) -> Turn:
    """What hotloop makes of the ops, and of their gradient."""
    y, p = (Value((COLS,), "float32", role="input") for _ in range(2))
    values = own_loss(y, p)
    dy = Value((), "float32", role="input")
    gradient = backward(topological([values], [y, p]), [(values, dy)], [p])[p]
    kept = [values, gradient]
    steps = fuse(topological(kept, [y, p, dy]), kept)
    feeds = [y, p, dy]
    placement = Placement(steps, [*kept, *feeds], ROWS, backends.traits())
    plan = Plan(steps, feeds, kept, [], placement, ROWS, "float32")
    seed = np.full(ROWS, 1 / ROWS, np.float32)
    return clocked(plan, [y_true, y_pred, seed], {node.op.name for node in steps})


def by_hand(y_true: Any, y_pred: Any) -> Turn:
    """The step of Huber's loss."""
    y, p = (Value((COLS,), "float32", role=role) for role in ("target", "input"))
    node = losses.get("huber").emit(y, p, None, 1.0)
    kept = list(node.outputs)
    placement = Placement([node], [*kept, y, p], ROWS, backends.traits())
    plan = Plan([node], [y, p], kept, [], placement, ROWS, "float32")
    return clocked(plan, [y_true, y_pred], {"loss"})


def of_numpy(y: Any, p: Any) -> Turn:
    """The formula and its derivative, a line each."""

    def work() -> Any:
        d = y - p
        a = np.abs(d)
        inside = a < 1
        w = np.where(inside, d * d * np.float32(0.5), a - np.float32(0.5))
        e = np.exp(-w)
        values = (np.log1p(w) + e).mean(axis=-1)
        slope = (1 / (1 + w) - e) * np.where(inside, d, np.sign(d))
        return values, slope * np.float32(-1 / COLS / ROWS)

    return timed(work)


def of_torch(y_true: Any, y_pred: Any, compiled: bool) -> Turn:
    """PyTorch's autograd."""
    import torch

    y, p = torch.from_numpy(y_true), torch.from_numpy(y_pred).requires_grad_()

    def loss(y: Any, p: Any) -> Any:
        d = y - p
        a = d.abs()
        w = torch.where(a < 1, d.square() * 0.5, a - 0.5)
        return (w.log1p() + (-w).exp()).mean(-1)

    function = torch.compile(loss) if compiled else loss
    seed = torch.full((ROWS,), 1 / ROWS)
    return timed(lambda: torch.autograd.grad(function(y, p), p, seed))


def of_jax(y_true: Any, y_pred: Any) -> Turn:
    """JAX's value and gradient in one jitted function."""
    import jax
    import jax.numpy as jnp

    def loss(p: Any, y: Any) -> Any:
        d = y - p
        a = jnp.abs(d)
        w = jnp.where(a < 1, d * d * 0.5, a - 0.5)
        values = (jnp.log1p(w) + jnp.exp(-w)).mean(-1)
        return values.mean(), values

    both = jax.jit(jax.value_and_grad(loss, has_aux=True))
    y, p = jnp.asarray(y_true), jnp.asarray(y_pred)
    return timed(lambda: jax.block_until_ready(both(p, y)))


def timed(work: Callable[[], Any]) -> Turn:
    """A turn is a call; its time, in microseconds."""

    def turn() -> float:
        start = time.perf_counter()
        work()
        return (time.perf_counter() - start) * 1e6

    return turn


def turns(y_true: Any, y_pred: Any, threads: int) -> dict[str, Turn]:
    """What is timed, of those that are here."""
    made = {
        "program": program(y_true, y_pred),
        "by hand": by_hand(y_true, y_pred),
        "numpy": of_numpy(y_true, y_pred),
    }
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(threads)
        made["torch"] = of_torch(y_true, y_pred, compiled=False)
        made["torch compiled"] = of_torch(y_true, y_pred, compiled=True)
    if importlib.util.find_spec("jax"):
        made["jax"] = of_jax(y_true, y_pred)
    return made


def main() -> None:
    """Time all in turns and report."""
    chosen = report.options(
        "a loss of one's own beside other ways", 200, "turns of each", 5, "; JAX takes its own"
    )
    hotloop.set_num_threads(chosen.threads)
    print(f"{report.caption(machine.describe())}, {report.threads(chosen.threads)}\n")
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((ROWS, COLS), np.float32) for _ in range(2)]
    made = turns(*arrays, chosen.threads)
    found: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(chosen.rounds):
        for name, turn in made.items():
            found[name].append(turn())
    fastest = {name: min(times) for name, times in found.items()}
    rows = []
    for name, best in fastest.items():
        goal = f"at most {GOALS[name]:.2f}" if name in GOALS else ""
        ratio = fastest["program"] / best
        rows.append([name, report.number(best), f"{ratio:.2f}", goal])
    print(report.table(["", "microseconds", "program / this", "goal"], rows))
    if chosen.json:
        report.save(
            chosen.json,
            quick=chosen.quick,
            threads=chosen.threads,
            rows=ROWS,
            cols=COLS,
            microseconds=found,
        )


if __name__ == "__main__":
    main()
