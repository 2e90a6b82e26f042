"""What a training step spends its time on, op by op: what `model.profile` returns.

The step is the one that `fit` runs: the same plan, in the same executor. The executor reads a
clock before and after each op, which costs a little; the step is timed without it too, in
turns, so that the cost is known. Of all turns the fastest quarter counts: what interrupts others
moves no number, and the times of one and the same steps add up.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from os import PathLike
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import backends, notebook
from ..backends import own
from ..backends.interpreter import Interpreter
from ..data.feed import BLOCK_ROWS, RECORDED_ROWS, Feed
from ..errors import NonFiniteError
from ..files.whole import text_written_whole
from ..graph.plan import Plan
from ..graph.trace import Node, Value
from ..random import orders
from .busy import Busyness, Watch

if TYPE_CHECKING:
    from .roof import Roof

Laps = NDArray[np.float64]

# Without a number of steps they are clocked for so long, and as many are run without a clock.
SECONDS = 0.3
FEWEST_STEPS = 10
# The two kinds of runs take turns of this length, so that a busy machine slows down both: short
# enough that many are not interrupted, and 200 times what it takes to enter the executor.
TURN_SECONDS = 0.002
# It is tried for so long how many steps a turn has.
TRIES_SECONDS = 0.01
# Turns that a given number of steps is cut into, if it is as many; without one, more time is
# spent until there are so many, up to this factor.
FEWEST_TURNS = 8
PATIENCE = 10
# Steps that are run one by one for the trace.
TRACED_STEPS = 8

WIDTH = 100


@dataclass(frozen=True)
class OpProfile:
    """One op of a training step.

    Attributes
    ----------
    op : str
        The op; of a loss or metric, its kind.
    layer : str
        The layer that it is part of, or the layers of a small network that is trained in one
        op; for what belongs to none, what it is about: ``"input"``,
        ``"target"``, ``"sample_weight"``, ``"loss"``, ``"metric"`` or ``"weight"``.
    time_us : float
        Microseconds of work a step, of the thread that worked longest at it.
    waiting_us : float
        Microseconds a step before it began in which no thread worked at an op: of the thread
        that waited least. Threads that wait for a slower one wait longer; that is in the slower
        one's work. Before the first op it is the end of the last batch.
    share : float
        Work and waiting over those of all ops. The shares of a step sum to 1.
    flops : int
        Multiplications and additions of a matrix product; 0 for other ops, whose bytes count.
    bytes : int
        Bytes that are read and written, each value once: inputs, outputs, and of what is
        updated, weight and optimizer state, both ways. Estimated from the values' sizes, padding
        left out, wherever they are.
    roof : float
        The least time that this machine needs for those FLOPs and bytes, over `time_us`. Bytes
        that the op before has left in a nearer cache than they fit in can push it above 1.
    backend : str
        What served it: ``"cython"``, ``"numba"`` or ``"numpy"``; for a function of the user's own,
        ``"numba"``, or ``"python"`` where it takes the GIL.
    isa : str
        The instruction set of the compiled core; empty for the others, which choose their own.
    """

    op: str
    layer: str
    time_us: float
    waiting_us: float
    share: float
    flops: int
    bytes: int
    roof: float
    backend: str
    isa: str

    @property
    def gflops(self) -> float:
        """GFLOP/s."""
        return _rate(self.flops, self.time_us)

    @property
    def gbytes(self) -> float:
        """GB/s."""
        return _rate(self.bytes, self.time_us)


@dataclass(frozen=True, eq=False, repr=False)
class Profile:
    """Where the time of a model's training step goes; ``print`` shows it as a table.

    Attributes
    ----------
    model : str
        The model's name.
    backend, isa : str
        The backend that was selected and, for the compiled core, its instruction set.
    threads : int
        Threads that walked the plan.
    dtype : str
    batch_size : int
        Examples in each step that was clocked.
    steps : int
        How many were.
    step_us, clocked_step_us : float
        Microseconds a step takes without the clock and with it.
    rows : tuple of OpProfile
        The ops, in the order in which they run.
    roof : Roof
        What the machine can do, with as many threads.
    laps : ndarray of int64, shape (steps, threads, ops, 2)
        Nanoseconds of waiting and working in a few steps that were run one by one: the trace.
    busy : Busyness, optional
        What else the machine did meanwhile.

    Steps with and without the clock take turns, each of several steps. Times are the means of
    the fastest quarter of the turns of either kind: what others took longer, other programs
    took. They add up: the `time_us` and `waiting_us` of all rows and `unaccounted_us` are
    `clocked_step_us`, and that less `clock_us` is `step_us`.
    """

    model: str
    backend: str
    isa: str
    threads: int
    dtype: str
    batch_size: int
    steps: int
    step_us: float
    clocked_step_us: float
    rows: tuple[OpProfile, ...]
    roof: Roof
    laps: NDArray[np.int64]
    busy: Busyness | None = None

    @property
    def work_us(self) -> float:
        """Microseconds a step of all ops' work."""
        return sum(row.time_us for row in self.rows)

    @property
    def waiting_us(self) -> float:
        """Microseconds a step of all ops' waiting."""
        return sum(row.waiting_us for row in self.rows)

    @property
    def unaccounted_us(self) -> float:
        """Microseconds of a clocked step that are in no row.

        It is what a turn takes to enter and leave the executor, a step's part of it; `fit` does
        that ten times a second. Where threads go on to the next op without waiting for each
        other, the work of the longest overlaps, and it may be negative.
        """
        return self.clocked_step_us - self.work_us - self.waiting_us

    @property
    def clock_us(self) -> float:
        """Microseconds that reading the clock adds to a step; negative where it is noise."""
        return self.clocked_step_us - self.step_us

    @property
    def overhead(self) -> float:
        """What the clock adds to a step, as a part of it; negative where it is noise."""
        return self.clocked_step_us / self.step_us - 1.0

    @property
    def flops(self) -> int:
        """FLOPs of a step."""
        return sum(row.flops for row in self.rows)

    @property
    def bytes(self) -> int:
        """Bytes that a step reads and writes."""
        return sum(row.bytes for row in self.rows)

    @property
    def floor_us(self) -> float:
        """Microseconds that this machine needs at least, op after op."""
        return sum(row.roof * row.time_us for row in self.rows)

    def __repr__(self) -> str:
        return f"<Profile of '{self.model}': {self.step_us:.2f} us a step, {len(self.rows)} ops>"

    def __str__(self) -> str:
        return self.table(shutil.get_terminal_size(fallback=(WIDTH, 24)).columns)

    def table(self, width: int = WIDTH) -> str:
        """The ops as text, a line each, and below what a step takes and why.

        ``print(profile)`` shows it as wide as the terminal.

        Parameters
        ----------
        width : int
            Columns of the terminal, 60 to 100. Where the table needs more, it cuts names, then
            does without FLOPs and bytes, then without their rates.
        """
        width = min(max(width, NARROWEST_TABLE), WIDTH)
        served = f"{self.backend} {self.isa}".rstrip()
        head = [
            f"Profile of '{_cut(self.model, width - 13)}'",
            f"{served}, {_counted(self.threads, 'thread')}, {self.dtype}, batch of "
            f"{self.batch_size:,}, {_counted(self.steps, 'step')} clocked",
        ]
        peaks = ", ".join(f"{level} {speed:.0f}" for level, speed in self.roof.bandwidth.items())
        foot = [
            self.breakdown,
            f"a step takes {self.step_us:.2f} us, and {self.clocked_step_us:.2f} us with the "
            f"clock that these times need ({self.overhead:+.1%})",
            "us: work of the thread that worked longest; wait: before the op, of the thread that "
            "waited least; share: of both; the step's rates: without the clock",
            f"roof: {self.roof.gflops:.0f} GFLOP/s; GB/s: {peaks}",
            *(f"Warning: {warning}" for warning in self.warnings),
        ]
        above, below = (
            [line for text in texts for line in wrap(text, width)] for texts in (head, foot)
        )
        return "\n".join([*above, "", *_table(self, width), "", *below])

    @property
    def breakdown(self) -> str:
        """How the times add up, in one line."""
        parts = (
            (self.work_us, "work"),
            (self.waiting_us, "waiting"),
            (self.unaccounted_us, "unaccounted"),
            (-self.clock_us, "clock"),
        )
        first, *others = (f"{'-' if us < 0 else '+'} {abs(us):.2f} us {name}" for us, name in parts)
        return " ".join([first.removeprefix("+ "), *others, f"= {self.step_us:.2f} us a step"])

    @property
    def warnings(self) -> list[str]:
        """Why the numbers may mislead: what other programs did."""
        return [self.busy.warning] if self.busy is not None and self.busy.warning else []

    def _repr_html_(self) -> str:
        """The ops as a table, in notebooks."""
        return notebook.table(
            f"Profile of '{self.model}'",
            ["op", "layer", "us", "wait us", "share", "GFLOP/s", "GB/s", "of roof", "backend"],
            [
                [
                    row.op,
                    row.layer,
                    f"{row.time_us:.2f}",
                    f"{row.waiting_us:.2f}",
                    notebook.bar(row.share),
                    f"{row.gflops:.1f}" if row.flops else "",
                    f"{row.gbytes:.1f}",
                    f"{row.roof:.0%}",
                    f"{row.backend} {row.isa}".rstrip(),
                ]
                for row in self.rows
            ],
            [
                f"a step of {_counted(self.batch_size, 'example')} takes {self.step_us:.2f} us:",
                self.breakdown,
            ],
            numbers=(2, 3, 5, 6, 7),
            warnings=self.warnings,
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything that the table shows, as numbers and strings that JSON can hold."""
        return {
            "model": self.model,
            "backend": self.backend,
            "isa": self.isa,
            "threads": self.threads,
            "dtype": self.dtype,
            "batch_size": self.batch_size,
            "steps": self.steps,
            "step_us": self.step_us,
            "clocked_step_us": self.clocked_step_us,
            "overhead": self.overhead,
            "work_us": self.work_us,
            "waiting_us": self.waiting_us,
            "unaccounted_us": self.unaccounted_us,
            "clock_us": self.clock_us,
            "flops": self.flops,
            "bytes": self.bytes,
            "floor_us": self.floor_us,
            "machine": self.busy.to_dict() if self.busy is not None else None,
            "roof": {"gflops": self.roof.gflops, "bandwidth": dict(self.roof.bandwidth)},
            "rows": [
                asdict(row) | {"gflops": row.gflops, "gbytes": row.gbytes} for row in self.rows
            ],
        }

    def to_chrome_trace(self, path: str | PathLike[str]) -> None:
        """Writes a file that Perfetto and ``chrome://tracing`` show, a line for each thread.

        It holds a few steps that were run and clocked one by one, laid out one after another:
        what happens between steps is not in it, and they found less in the caches than the
        steps of `rows`. The format is the JSON object form of the Trace Event Format.

        Parameters
        ----------
        path : path-like
            Replaced if it exists.
        """
        facts = {key: value for key, value in self.to_dict().items() if key != "rows"}
        trace = {
            "traceEvents": list(self._events()),
            "displayTimeUnit": "ns",
            "otherData": facts,
        }
        with text_written_whole(path) as file:
            json.dump(trace, file)

    def _events(self) -> Iterator[dict[str, Any]]:
        common = {"pid": 1, "cat": "hotloop"}
        name = {"name": f"hotloop: {self.model}"}
        yield common | {"name": "process_name", "ph": "M", "tid": 0, "args": name}
        for thread in range(self.threads):
            name = {"name": f"thread {thread}"}
            yield common | {"name": "thread_name", "ph": "M", "tid": thread, "args": name}
        start = 0
        for step, laps in enumerate(self.laps):
            # Both ends of each wait and each op: threads set out together.
            ends = start + np.cumsum(laps.reshape(self.threads, -1), axis=1)
            starts = ends - laps.reshape(self.threads, -1)
            for thread in range(self.threads):
                for i, row in enumerate(self.rows):
                    facts = {"step": step, "layer": row.layer}
                    work = {"flops": row.flops, "bytes": row.bytes, "backend": row.backend}
                    for event, at, args in (
                        ("waiting", 2 * i, facts),
                        (f"{row.op} ({row.layer})", 2 * i + 1, facts | work),
                    ):
                        if ends[thread, at] > starts[thread, at]:
                            yield common | {
                                "name": event,
                                "ph": "X",
                                "ts": int(starts[thread, at]) / 1e3,
                                "dur": int(ends[thread, at] - starts[thread, at]) / 1e3,
                                "tid": thread,
                                "args": args,
                            }
            start = int(ends.max())


# ---------------------------------------------------------------------------- measuring


def profile(
    executor: Any, feed: Feed, *, model: str, copies_outputs: bool, steps: int | None = None
) -> Profile:
    """Runs training steps, clocked and not, and leaves everything as it was.

    Weights and optimizer state, its `iterations` included, are put back whatever happens, and
    the library's random generator is not drawn from.

    Parameters
    ----------
    executor
        Of a plan that trains.
    feed : Feed
        What `fit` would read; whole batches of it are run, in a random order.
    model : str
        What the profile calls the model.
    copies_outputs : bool
        Whether `fit` copies the outputs out, for metrics that Python computes.
    steps : int, optional
        How many are clocked.

    Raises
    ------
    NonFiniteError
        If the loss is not finite.
    """
    from .roof import measure

    compiled = not isinstance(executor, Interpreter)
    threads = executor.threads()
    # The Python backends walk the plan alone, and may compute on all threads.
    roof = measure(threads if compiled else backends.num_threads(), executor.plan.dtype)
    with _unchanged(executor.plan):
        runs = _Runs(executor, feed, copies_outputs)
        step_us = runs.warm_up()
        watch = Watch()
        plain, clocked = _in_turns(runs, steps, _turn_steps(executor.plan, steps, step_us), watch)
        busy = watch.stop()
        count = sum(turn.steps for turn in clocked)
        plain_us, _ = _typical(plain)
        clocked_us, laps_us = _typical(clocked)
        traced = [runs.clocked_step() for _ in range(min(count, TRACED_STEPS))]
    # The core reads rows of its own dtype where they stand: there was nothing to gather then.
    # An op that runs in few steps is listed, though it may be in none of the fastest turns.
    done = [i for i in range(laps_us.shape[1]) if any(turn.laps_us[:, i].any() for turn in clocked)]
    return Profile(
        model=model,
        backend=backends.current(),
        isa=backends.isa() if compiled else "",
        threads=threads,
        dtype=executor.plan.dtype,
        batch_size=executor.plan.batch_size,
        steps=count,
        step_us=plain_us,
        clocked_step_us=clocked_us,
        rows=tuple(rows_of(executor, feed, done, laps_us, roof)),
        roof=roof,
        laps=np.stack(traced)[:, :, done],
        busy=busy,
    )


@contextmanager
def _unchanged(plan: Plan) -> Iterator[None]:
    """Puts back what a plan changes: weights, the optimizer's state, its count of steps."""
    assert plan.optimizer is not None
    saved = [(variable, variable.numpy()) for variable in plan.variables]
    iterations = plan.optimizer.iterations
    try:
        yield
    finally:
        for variable, numbers in saved:
            variable.assign(numbers)
        plan.optimizer.iterations = iterations


class _Runs:
    """Runs whole batches of a feed, one turn after another, through epochs of random order."""

    def __init__(self, executor: Any, feed: Feed, copies_outputs: bool) -> None:
        self._executor = executor
        plan: Plan = executor.plan
        self._size = plan.batch_size
        self._epoch = feed.rows // self._size  # batches
        rows = self._epoch * self._size
        epochs = max(1, BLOCK_ROWS // rows)
        order = orders(rows, epochs, np.random.default_rng(0))
        self._feed = Feed(feed.arrays, rows, order)
        self._sums = np.zeros(epochs * len(plan.slots))
        self._batches = epochs * self._epoch
        self._next = 0
        self._outputs: list[NDArray[Any]] | None = None
        if copies_outputs:
            kept = max(1, min(RECORDED_ROWS // self._size, self._epoch)) * self._size
            self._outputs = [np.empty((kept, *v.dims), v.dtype) for v in plan.outputs]
        self._ops = len(executor.nodes) - (0 if copies_outputs else len(plan.outputs))

    def clock(self) -> NDArray[np.int64]:
        """One that has not run yet."""
        return np.zeros((self._executor.threads(), self._ops, 2), np.int64)

    def warm_up(self) -> float:
        """Microseconds of a step at best.

        The first ones meet cold caches, sleeping threads and functions to be compiled.
        """
        done, seconds = self._run(math.inf, None)
        step, tries = seconds / done, 0.0
        while tries < TRIES_SECONDS:
            done, seconds = self._run(max(1, TURN_SECONDS // step), None)
            step, tries = min(step, seconds / done), tries + seconds
        return 1e6 * step

    def clocked_step(self) -> NDArray[np.int64]:
        """One step's nanoseconds, by thread and op, waiting and working."""
        clock = self.clock()
        self._run(1, clock)
        return clock

    def turn(self, steps: int, clock: NDArray[np.int64] | None = None) -> Turn:
        """Runs so many steps."""
        left, seconds = steps, 0.0
        while left:
            done, taken = self._run(left, clock)
            left, seconds = left - done, seconds + taken
        laps = np.zeros(0) if clock is None else clock / (1e3 * steps)
        return Turn(steps, 1e6 * seconds / steps, laps)

    def _run(self, most: float, clock: NDArray[np.int64] | None) -> tuple[int, float]:
        """Runs up to so many steps, for the time of a turn if that is no number; (steps, s)."""
        within = self._next % self._epoch
        count = min(most, self._batches - self._next)
        if self._outputs is not None:
            count = min(count, len(self._outputs[0]) // self._size, self._epoch - within)
        start = time.perf_counter()
        done, finite = self._executor.run(
            self._feed,
            self._next,
            int(count),
            self._sums,
            seconds=TURN_SECONDS if math.isinf(most) else math.inf,
            outputs=self._outputs,
            outputs_first=within * self._size,
            clock=clock,
        )
        seconds = time.perf_counter() - start
        if not finite:
            raise NonFiniteError(
                "the loss is not finite while the training step is profiled, so its times mean "
                "nothing; fit() finds the first bad value"
            )
        self._next = (self._next + done) % self._batches
        return done, seconds


@dataclass(frozen=True)
class Turn:
    """Some steps that were run at once: microseconds of one, and of its ops if clocked."""

    steps: int
    step_us: float
    laps_us: Laps  # (threads, ops, 2)


def _turn_steps(plan: Plan, steps: int | None, step_us: float) -> int:
    """How many steps a turn has.

    They are a multiple of those that one update of the weights is for, and of those from one
    overwriting by averages to the next, where there are enough of them: turns with and without an
    update cannot be compared.
    """
    fitting = max(1, round(1e6 * TURN_SECONDS / step_us))
    if steps is not None:
        fitting = min(fitting, max(1, steps // FEWEST_TURNS))
    assert plan.optimizer is not None
    for_update = plan.optimizer.gradient_accumulation_steps or 1
    cycle = math.lcm(for_update, plan.optimizer.ema_overwrite_frequency or 1)
    if cycle <= fitting:
        for_update = cycle
    whole = -(-fitting // for_update) * for_update
    return whole if steps is None else min(whole, steps)


def _in_turns(
    runs: _Runs, steps: int | None, turn_steps: int, watch: Watch
) -> tuple[list[Turn], list[Turn]]:
    """Turns without and with the clock, one after the other; `steps` of either kind if given."""
    plain: list[Turn] = []
    clocked: list[Turn] = []
    count, seconds = 0, 0.0

    def wanted() -> bool:
        if steps is not None:
            return count < steps
        too_few = len(clocked) < FEWEST_TURNS and seconds < PATIENCE * SECONDS
        return count < FEWEST_STEPS or seconds < SECONDS or too_few

    while wanted():
        watch.look()
        size = turn_steps
        if steps is not None and steps - count < 2 * turn_steps:
            size = steps - count  # the last turn takes the rest
        plain.append(runs.turn(size))
        clocked.append(runs.turn(size, runs.clock()))
        count, seconds = count + size, seconds + 1e-6 * clocked[-1].step_us * size
    return plain, clocked


def _typical(turns: Sequence[Turn]) -> tuple[float, Laps]:
    """The means of the fastest quarter of the turns: of a step, and of its ops."""
    fastest = sorted(turns, key=lambda turn: turn.step_us)[: -(-len(turns) // 4)]
    weights = [turn.steps for turn in fastest]
    step_us = float(np.average([turn.step_us for turn in fastest], weights=weights))
    return step_us, np.average([turn.laps_us for turn in fastest], axis=0, weights=weights)


# ------------------------------------------------------------------------------- the ops


def rows_of(
    executor: Any, feed: Feed, ops: Sequence[int], laps: Laps, roof: Roof
) -> Iterator[OpProfile]:
    """A row for each of these ops; laps (threads, ops, 2) is in microseconds a step."""
    plan: Plan = executor.plan
    working, waiting = laps[:, :, 1].max(axis=0), laps[:, :, 0].min(axis=0)
    total = working.sum() + waiting.sum()
    for i in ops:
        node = executor.nodes[i]
        time_us, waiting_us = float(working[i]), float(waiting[i])
        flops = node.op.flops(node) * plan.batch_size if isinstance(node, Node) else 0
        moved = _bytes(plan, feed, i, node)
        op, layer = _names(plan, i, node)
        backend, isa = _server(executor, i, node)
        floor_us = 1e6 * roof.floor_seconds(flops, moved)
        yield OpProfile(
            op=op,
            layer=layer,
            time_us=time_us,
            waiting_us=waiting_us,
            share=(time_us + waiting_us) / total,
            flops=flops,
            bytes=moved,
            roof=floor_us / time_us if time_us else 0.0,
            backend=backend,
            isa=isa,
        )


def _names(plan: Plan, i: int, node: Node | Value) -> tuple[str, str]:
    """The op, and the layer or what else it belongs to."""
    if isinstance(node, Value):
        op = "gather" if i < len(plan.feeds) else "copy"
        layer = node.node.layer if node.node is not None else node.layer
        return op, layer.name if layer is not None else node.role
    return node.op.label(plan, node)


def _server(executor: Any, i: int, node: Node | Value) -> tuple[str, str]:
    """The backend that runs an op, and its instruction set."""
    interpreted = isinstance(executor, Interpreter)
    if isinstance(node, Node) and not (interpreted and node.op.in_python):
        server = own.server(node)
        if server is not None:
            return server, ""
    if not interpreted:
        return "cython", backends.isa()
    if isinstance(node, Node):
        op = node.op.function(executor.plan, node)
    else:
        op = "gather" if i < len(executor.plan.feeds) else "copy"
    # What is in no table, the executor does with NumPy.
    return backends.table().get(op, ("numpy",))[0], ""


def _bytes(plan: Plan, feed: Feed, i: int, node: Node | Value) -> int:
    """Bytes that an op reads and writes in a batch."""

    def size(value: Value) -> int:
        """0 of what nobody reads: it is not written."""
        place = plan.placement
        if place.root(value).variable is None and place.offset(value) is None:
            return 0
        return _example_bytes(value) * (plan.batch_size if value.batched else 1)

    if isinstance(node, Value):
        if i < len(plan.feeds):
            source = feed.arrays[i]
            row = source.itemsize * math.prod(source.shape[1:])
            return row * plan.batch_size + size(node)
        return 2 * size(node)
    return node.op.bytes(node, size)


def _example_bytes(value: Value) -> int:
    return value.size * np.dtype(value.dtype).itemsize


# ----------------------------------------------------------------------------- the table

COLUMNS = ("op", "layer", "us", "wait", "share", "FLOPs", "bytes", "GFLOP/s", "GB/s", "roof", "by")
# How far each of the names may be cut where the table is too wide.
NAMES = {"layer": 8, "op": 16}
# What a narrow table does without: the first of these that are enough.
SPARED = ((), ("FLOPs", "bytes"), ("FLOPs", "bytes", "GFLOP/s", "GB/s"))
NARROWEST_TABLE = 60


def _table(given: Profile, width: int) -> list[str]:
    """Lines of at most `width` characters: a row for each op, and one for the step."""
    cells = [
        [
            row.op,
            row.layer,
            f"{row.time_us:.2f}",
            f"{row.waiting_us:.2f}",
            f"{row.share:.1%}",
            *_amounts(row.flops, row.bytes, row.time_us),
            f"{row.roof:.0%}",
            row.backend,
        ]
        for row in given.rows
    ]
    step = [
        "step",
        "",
        f"{given.work_us:.2f}",
        f"{given.waiting_us:.2f}",
        f"{sum(row.share for row in given.rows):.1%}",
        *_amounts(given.flops, given.bytes, given.step_us),
        f"{given.floor_us / given.step_us:.0%}",
        "",
    ]
    lines = [list(COLUMNS), *cells, step]
    for spared in SPARED:
        keep = [i for i, name in enumerate(COLUMNS) if name not in spared]
        kept = [[line[i] for i in keep] for line in lines]
        widths = [max(map(len, column)) for column in zip(*kept, strict=True)]
        for name, least in NAMES.items():
            column = COLUMNS.index(name)
            excess = sum(widths) + len(widths) - 1 - width
            widths[column] = max(min(widths[column], least), widths[column] - max(excess, 0))
        if sum(widths) + len(widths) - 1 <= width:
            break
    shown = [_line(line, widths) for line in kept]
    rule = "-" * (sum(widths) + len(widths) - 1)
    return [shown[0], rule, *shown[1:-1], rule, shown[-1]]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Names to the left, numbers to the right."""
    names, last = (0, 1), len(cells) - 1
    placed = [
        _cut(cell, width).ljust(width) if i in names else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells[:last], widths[:last], strict=True))
    ]
    return " ".join([*placed, cells[last]]).rstrip()


def _amounts(flops: int, moved: int, microseconds: float) -> list[str]:
    """FLOPs, bytes and the rates of both; a dash for what there is none of."""
    return [
        _short(flops),
        _short(moved),
        f"{_rate(flops, microseconds):.1f}" if flops else "-",
        f"{_rate(moved, microseconds):.1f}" if moved else "-",
    ]


def _rate(amount: float, microseconds: float) -> float:
    """10^9 a second."""
    return 1e-3 * amount / microseconds if microseconds else 0.0


def _short(count: int) -> str:
    """Three digits and a power of a thousand."""
    amount, unit = float(count), ""
    for larger in "kMGTP":
        if amount < 999.5:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.3g}{unit}" if count else "-"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}" + ("" if count == 1 else "s")
