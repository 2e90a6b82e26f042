"""The executor of the Python backends: walks a plan, one call of each op's reference a step.

It runs the very plan that the compiled executor runs, so that the library means the same
without its extensions. What a step does stands in its op's record; what it does it with, in
the table of the backend. Nothing is cached between batches but the arena.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import Function, own
from .numpy import OPS, random_bits

if TYPE_CHECKING:
    from ..data.feed import Feed
    from ..graph.plan import Plan
    from ..graph.trace import Node, Value
    from ..optimizers import Optimizer
    from ..variables import Variable

Array = NDArray[Any]


class Interpreter:
    """Runs a plan with a table of NumPy-style functions.

    Parameters
    ----------
    plan : Plan
    ops : mapping of str to function
        With the signatures of `hotloop.backends.numpy`.
    arena : ndarray of uint8, optional
        Where values stand, if not in memory of its own.

    Attributes
    ----------
    nodes : list of Value or Node
        What is done for each batch: a value that is gathered, a node of the plan, or an output
        that is copied out. Steps of a clock are counted by it.
    """

    def __init__(self, plan: Plan, ops: Mapping[str, Function], arena: Array | None = None) -> None:
        self.plan = plan
        # A view's input and output share their bytes: there is nothing to do.
        self._steps = [step for step in plan.steps if not plan.placement.is_done(step)]
        self.nodes: list[Value | Node] = [*plan.feeds, *self._steps, *plan.outputs]
        self._ops = ops
        if arena is None:
            arena = np.empty(plan.placement.arena_bytes, np.uint8)
        self._views: dict[Value, Array] = {}
        self._variables: dict[Value, Variable] = {}  # under other names
        values = dict.fromkeys([*plan.feeds, *(v for s in plan.steps for v in s.outputs)])
        for value in values:
            variable = plan.placement.root(value).variable
            if variable is not None:
                self._variables[value] = variable
            offset = plan.placement.offset(value)
            if offset is not None:
                shape = (plan.batch_size, *value.dims) if value.batched else value.dims
                self._views[value] = np.ndarray(
                    shape, value.dtype, arena, offset, plan.placement.strides(value)
                )
        self.rows = 0
        self._iteration = 0
        self._sums: Array = np.empty(0)
        self._finite = True

    def threads(self) -> int:
        """How many threads walk the plan: one, whatever an op does inside."""
        return 1

    def run(
        self,
        feed: Feed,
        first: int,
        count: int,
        sums: NDArray[np.float64],
        *,
        seconds: float = np.inf,
        outputs: Sequence[Array] | None = None,
        outputs_first: int = 0,
        clock: NDArray[np.int64] | None = None,
    ) -> tuple[int, bool]:
        """Runs up to `count` batches from batch number `first` on.

        Parameters
        ----------
        feed : Feed
        first, count : int
            Which batches.
        sums : ndarray of float64, shape (epochs * slots,)
            The running sums, epoch after epoch, added to in place.
        seconds : float
            Stop after the batch in which this much time has passed.
        outputs : sequence of ndarray, optional
            Where the plan's outputs go: the row at position p of its epoch to
            ``outputs[k][p - outputs_first]``.
        clock : ndarray of int64, shape (threads, steps, 2), optional
            Nanoseconds are added to it, for each thread and entry of `nodes`: waiting before
            it began, and working. Without `outputs` there are no steps for the plan's outputs.

        Returns
        -------
        (batches, finite)
            How many batches were run, and whether the last loss was finite. A batch whose
            loss is not finite changes no weight and no sum, and ends the run. The optimizer
            counts the others in its `iterations`.
        """
        self._check_sources(feed)
        end = time.monotonic() + seconds
        do = _do if clock is None else _Clock(clock, self._clock_shape(outputs)).do
        steps_at, outputs_at = len(self.plan.feeds), len(self.plan.feeds) + len(self._steps)
        self._finite = True
        counter = self.plan.optimizer or self.plan.counter
        for done in range(count):
            epoch, start, stop = feed.place(first + done, self.plan.batch_size)
            self._iteration = 0 if counter is None else counter.iterations
            rows = feed.row_numbers(epoch, start, stop)
            self.rows = len(rows)
            for i, (value, source) in enumerate(zip(self.plan.feeds, feed.arrays, strict=True)):
                do(i, self._gather, value, source, rows)
            self._sums = np.zeros(len(self.plan.slots))
            for i, step in enumerate(self._steps, steps_at):
                do(i, self._step, step)
                if not self._finite:
                    return done, False
            slots = len(self._sums)
            sums[epoch * slots : (epoch + 1) * slots] += self._sums
            if counter is not None:
                counter.iterations += 1
            for i, out in enumerate(outputs or ()):
                part = out[start - outputs_first : stop - outputs_first]
                do(outputs_at + i, self._copy, self.plan.outputs[i], part)
            if time.monotonic() >= end:
                return done + 1, True
        return count, True

    def _check_sources(self, feed: Feed) -> None:
        """That the arrays are those of the plan's feeds, as the compiled executor has to ask."""
        if feed.rows < 1 or any(len(array) < feed.rows for array in feed.arrays):
            raise ValueError(f"a feed of {feed.rows} rows needs that many rows in each array")
        if len(feed.arrays) != len(self.plan.feeds):
            raise ValueError(
                f"the plan reads {len(self.plan.feeds)} arrays, not {len(feed.arrays)}"
            )
        for i, (value, array) in enumerate(zip(self.plan.feeds, feed.arrays, strict=True)):
            if math.prod(array.shape[1:]) != value.size:
                raise ValueError(
                    f"the plan reads rows of shape {value.dims} from array {i} of the feed, whose "
                    f"shape is {array.shape}"
                )

    def _clock_shape(self, outputs: Sequence[Array] | None) -> tuple[int, int, int]:
        copies = 0 if outputs is None else len(self.plan.outputs)
        return self.threads(), len(self.nodes) - len(self.plan.outputs) + copies, 2

    def _gather(self, value: Value, source: Array, rows: NDArray[np.int64]) -> None:
        self._ops["gather"](source, rows, out=self.array(value).reshape(self.rows, -1))

    def _copy(self, value: Value, out: Array) -> None:
        out[...] = self.array(value).reshape(out.shape)

    def _step(self, step: Node) -> None:
        step.op.reference(self, step)

    # -- what references ask for: see hotloop.graph.op.Run ----------------------------

    def array(self, value: Value) -> Array:
        variable = value.variable or self._variables.get(value)
        if variable is not None:
            return variable.array.reshape((self.rows, *value.dims) if value.batched else value.dims)
        view = self._views[value]
        return view[: self.rows] if value.batched else view

    def output(self, value: Value) -> Array | None:
        known = value in self._views or value in self._variables
        return self.array(value) if known else None

    def function(self, what: Node | str) -> Function:
        name = what if isinstance(what, str) else what.op.function(self.plan, what)
        return own.OPS[name] if name in own.OPS else self._ops[name]

    def call(self, node: Node, *inputs: Value | None, **options: Any) -> None:
        arrays = (None if value is None else self.array(value) for value in inputs)
        outputs = zip(node.op.outputs, map(self.output, node.outputs), strict=False)
        self.function(node)(*arrays, **dict(outputs), **options)

    def key(self, seed: int) -> int:
        return int(random_bits(seed, 1, first=self._iteration)[0])

    def add(self, slot: int, amount: float) -> None:
        self._sums[slot] += amount

    def refuse(self) -> None:
        self._finite = False

    @property
    def optimizer(self) -> Optimizer:
        assert self.plan.optimizer is not None
        return self.plan.optimizer

    @property
    def batches(self) -> int:
        return self.optimizer.gradient_accumulation_steps or 1

    @property
    def updates(self) -> int:
        return self._iteration // self.batches

    @property
    def ends_with_update(self) -> bool:
        return (self._iteration + 1) % self.batches == 0


class PythonSteps(Interpreter):
    """The steps of a compiled executor's plan that only Python can do, in its arena."""

    def __init__(self, plan: Plan, memory: Any) -> None:
        super().__init__(plan, OPS, np.frombuffer(memory, np.uint8))
        self._error: BaseException | None = None

    def array(self, value: Value) -> Array:
        variable = value.variable or self._variables.get(value)
        if variable is not None:  # a copy: its numbers stay where the core has them
            return variable.numpy().reshape(value.dims)
        return super().array(value)

    def attempt(self, step: Node, rows: int, batch: int) -> bool:
        """Does a step for so many examples, after so many batches.

        False if it, or one before, raised an error.
        """
        if self._error is not None:
            return False
        self.rows, self._iteration = rows, batch
        process = os.getpid()
        try:
            self._step(step)
            if os.getpid() != process:
                raise RuntimeError(
                    "a function of a model forked the process, and the child came back into the "
                    "run: its other threads are the parent's. Leave the child by os._exit(), or "
                    "fork in a callback, whose child may go on with the fit"
                )
        except BaseException as error:
            self._error = error
            return False
        return True

    def raise_error(self) -> None:
        """Raises that error, if there was one."""
        error, self._error = self._error, None
        if error is not None:
            raise error


def _do(_: int, work: Callable[..., None], *arguments: Any) -> None:
    work(*arguments)


class _Clock:
    """Does steps and adds up the time before and in each."""

    def __init__(self, nanoseconds: NDArray[np.int64], shape: tuple[int, int, int]) -> None:
        if nanoseconds.shape != shape:
            raise ValueError(f"clock must have the shape {shape}, not {nanoseconds.shape}")
        self._waiting, self._working = nanoseconds[0].T
        self._then = time.perf_counter_ns()

    def do(self, step: int, work: Callable[..., None], *arguments: Any) -> None:
        start = time.perf_counter_ns()
        work(*arguments)
        stop = time.perf_counter_ns()
        self._waiting[step] += start - self._then
        self._working[step] += stop - start
        self._then = stop
