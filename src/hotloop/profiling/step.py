"""What a training step spends its time on, op by op: what `model.profile` returns.

The step is the one that `fit` runs: the same plan, in the same executor. The executor reads a
clock before and after each op, which costs a little; the step is timed without it too, in
turns, so that the cost is known.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import backends, notebook
from ..backends import own
from ..backends.interpreter import Interpreter
from ..data.feed import Feed
from ..graph.plan import Plan, product_flops
from ..graph.trace import Node, Value
from ..graph.updates import CHANGES_VARIABLES
from ..models.diagnosis import NonFiniteError
from ..models.trainer import BLOCK_ROWS, RECORDED_ROWS
from ..random import orders
from ..saving.files import text_written_whole
from ..variables import Variable

if TYPE_CHECKING:
    from .roof import Roof

Laps = NDArray[np.float64]

# Without a number of steps they are clocked for so long, and as many are run without a clock.
SECONDS = 0.3
FEWEST_STEPS = 10
# The two kinds of runs take turns of this length, so that a busy machine slows down both.
TURN_SECONDS = 0.02
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
        Microseconds a step before it began, the mean over the threads: for other threads, and
        before the first op for the end of the last batch.
    share : float
        The part of the step: of all threads' time, working and waiting, what went to this op.
        The shares of a step sum to 1.
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

    Steps with and without the clock take turns, each of several steps. Times are those of the
    fastest turn of either kind: what the others took longer, other programs took.
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

    @property
    def overhead(self) -> float:
        """What the clock adds to a step, as a part of it; may be negative where it is noise."""
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
        served = f"{self.backend} {self.isa}".rstrip()
        head = (
            f"{served}, {_counted(self.threads, 'thread')}, {self.dtype}, batch of "
            f"{self.batch_size:,}, {_counted(self.steps, 'step')} clocked"
        )
        peaks = ", ".join(f"{level} {speed:.0f}" for level, speed in self.roof.bandwidth.items())
        return "\n".join(
            [
                f"Profile of '{_cut(self.model, WIDTH - 13)}'",
                head,
                "",
                *_table(self),
                "",
                f"a step takes {self.step_us:.2f} us, and {self.clocked_step_us:.2f} us with the "
                f"clock that these times need ({self.overhead:+.1%})",
                "us: work of the thread that worked longest; wait: before the op, mean of the "
                "threads;",
                "share: of all threads' time, waiting included; the step's rates: without the "
                "clock",
                f"roof: {self.roof.gflops:.0f} GFLOP/s; GB/s: {peaks}",
            ]
        )

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
                    f"{row.backend} {row.isa}",
                ]
                for row in self.rows
            ],
            [f"a step of {_counted(self.batch_size, 'example')} takes {self.step_us:.2f} us"],
            numbers=(2, 3, 5, 6, 7),
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
            "flops": self.flops,
            "bytes": self.bytes,
            "floor_us": self.floor_us,
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
        runs.warm_up()
        count, plain_us, clocked_us, laps_us = _in_turns(runs, steps)
        traced = [runs.clocked_step() for _ in range(min(count, TRACED_STEPS))]
    # The core reads rows of its own dtype where they stand: there was nothing to gather then.
    done = [i for i in range(laps_us.shape[1]) if laps_us[:, i].any()]
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
        rows=tuple(_rows(executor, feed, done, laps_us, roof)),
        roof=roof,
        laps=np.stack(traced)[:, :, done],
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

    def warm_up(self) -> None:
        """The first steps meet cold caches, sleeping threads and functions to be compiled."""
        self.turn(math.inf, None)

    def clocked_step(self) -> NDArray[np.int64]:
        """One step's nanoseconds, by thread and op, waiting and working."""
        clock = self.clock()
        self.turn(1, clock)
        return clock

    def turn(self, most: float, clock: NDArray[np.int64] | None) -> tuple[int, float]:
        """Runs up to so many steps, for the time of a turn; (steps, microseconds of one)."""
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
            seconds=TURN_SECONDS,
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
        return done, 1e6 * seconds / done


def _in_turns(runs: _Runs, steps: int | None) -> tuple[int, float, float, Laps]:
    """Clocked steps; a step's microseconds without and with clock, and of its ops."""
    plain_us = clocked_us = math.inf
    laps_us: Laps = np.zeros(0)
    count, seconds = 0, 0.0
    while count < (steps or FEWEST_STEPS) or (steps is None and seconds < SECONDS):
        most = math.inf if steps is None else steps - count
        plain_us = min(plain_us, runs.turn(most, None)[1])
        clock = runs.clock()
        done, step_us = runs.turn(most, clock)
        if step_us < clocked_us:
            clocked_us, laps_us = step_us, clock / (1e3 * done)
        count, seconds = count + done, seconds + 1e-6 * step_us * done
    return count, plain_us, clocked_us, laps_us


# ------------------------------------------------------------------------------- the ops


def _rows(
    executor: Any, feed: Feed, ops: Sequence[int], laps: Laps, roof: Roof
) -> Iterator[OpProfile]:
    """A row for each of these ops; laps (threads, ops, 2) is in microseconds a step."""
    plan: Plan = executor.plan
    total = laps.sum()
    for i in ops:
        node = executor.nodes[i]
        waiting, working = laps[:, i, 0], laps[:, i, 1]
        time_us = float(working.max())
        flops = product_flops(node) * plan.batch_size if isinstance(node, Node) else 0
        moved = _bytes(plan, feed, i, node)
        op, layer = _names(plan, i, node)
        backend, isa = _server(executor, i, node)
        floor_us = 1e6 * roof.floor_seconds(flops, moved)
        yield OpProfile(
            op=op,
            layer=layer,
            time_us=time_us,
            waiting_us=float(waiting.mean()),
            share=float((waiting + working).sum() / total),
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
    if node.op in ("loss", "metric"):
        return own.name_of(node) or node.attributes["kind"], node.op
    if node.op == "accumulate":
        return node.op, plan.slots[node.attributes["slot"]].kind
    if node.op == "network_update":
        return node.op, ",".join(_layer_of(layer.w) for layer in node.attributes["layers"])
    if node.layer is not None:
        return own.name_of(node) or node.op, node.layer.name
    variable = next((v.variable for v in node.inputs if v.variable is not None), None)
    return node.op, _layer_of(variable) if variable is not None else ""


def _layer_of(variable: Variable) -> str:
    """The name of the layer that a weight belongs to."""
    return variable.path.rpartition("/")[0]


def _server(executor: Any, i: int, node: Node | Value) -> tuple[str, str]:
    """The backend that runs an op, and its instruction set."""
    if isinstance(node, Node) and (server := own.server(node)) is not None:
        return server, ""
    if not isinstance(executor, Interpreter):
        return "cython", backends.isa()
    if isinstance(node, Node):
        op = executor.op_of(node)
    else:
        op = "gather" if i < len(executor.plan.feeds) else "copy"
    # What is in no table, the executor does with NumPy.
    return backends.table().get(op, ("numpy",))[0], ""


def _bytes(plan: Plan, feed: Feed, i: int, node: Node | Value) -> int:
    """Bytes that an op reads and writes in a batch."""

    def size(value: Value) -> int:
        return _example_bytes(value) * (plan.batch_size if value.batched else 1)

    if isinstance(node, Value):
        if i < len(plan.feeds):
            source = feed.arrays[i]
            row = source.itemsize * math.prod(source.shape[1:])
            return row * plan.batch_size + size(node)
        return 2 * size(node)
    read = list(dict.fromkeys(node.inputs))
    if node.op == "lookup":  # of its table, one row for each that it writes
        return size(node.inputs[0]) + 2 * size(node.output)
    written = [v for v in node.outputs if plan.placement.offset(v) is not None]
    if node.op in CHANGES_VARIABLES:
        written += [v for v in read if v.variable is not None]
    return sum(map(size, [*read, *written]))


def _example_bytes(value: Value) -> int:
    return value.size * np.dtype(value.dtype).itemsize


# ----------------------------------------------------------------------------- the table

COLUMNS = ("op", "layer", "us", "wait", "share", "FLOPs", "bytes", "GFLOP/s", "GB/s", "roof", "by")
# Where names stand, and how far each may be cut where the table is too wide.
NARROWEST = {1: 8, 0: 16}


def _table(given: Profile) -> list[str]:
    """Lines of at most `WIDTH` characters: a row for each op, and one for the step."""
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
        f"{sum(row.time_us for row in given.rows):.2f}",
        f"{sum(row.waiting_us for row in given.rows):.2f}",
        f"{sum(row.share for row in given.rows):.1%}",
        *_amounts(given.flops, given.bytes, given.step_us),
        f"{given.floor_us / given.step_us:.0%}",
        "",
    ]
    lines = [list(COLUMNS), *cells, step]
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    for column, least in NARROWEST.items():
        excess = sum(widths) + len(widths) - 1 - WIDTH
        widths[column] = max(min(widths[column], least), widths[column] - max(excess, 0))
    shown = [_line(line, widths) for line in lines]
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
