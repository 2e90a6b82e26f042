"""The executor of the Python backends: walks a plan, one table look-up a step.

It runs the very plan that the compiled executor runs, so that the library means the same
without its extensions. Per step it makes views and calls one function; nothing is cached
between batches but the arena.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.feed import Feed
from ..graph.plan import Plan
from ..graph.trace import Node, Value
from . import Op
from .numpy import random_bits

Array = NDArray[Any]


class Interpreter:
    """Runs a plan with a table of NumPy-style functions.

    Parameters
    ----------
    plan : Plan
    ops : mapping of str to function
        With the signatures of `hotloop.backends.numpy`.
    """

    def __init__(self, plan: Plan, ops: Mapping[str, Op]) -> None:
        self.plan = plan
        self._ops = ops
        arena = np.empty(plan.placement.arena_bytes, np.uint8)
        self._views: dict[Value, Array] = {}
        values = dict.fromkeys([*plan.feeds, *(v for s in plan.steps for v in s.outputs)])
        for value in values:
            offset = plan.placement.offset(value)
            if offset is not None:
                flat = arena[offset : offset + plan.placement.bytes(value)].view(value.dtype)
                batch = (plan.batch_size,) if value.batched else ()
                self._views[value] = flat.reshape(batch + value.dims)
        self._rows = 0
        self._iteration = 0
        self._sums: Array = np.empty(0)
        self._finite = True

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

        Returns
        -------
        (batches, finite)
            How many batches were run, and whether the last loss was finite. A batch whose
            loss is not finite changes no weight and no sum, and ends the run. The optimizer
            counts the others in its `iterations`.
        """
        end = time.monotonic() + seconds
        self._finite = True
        optimizer = self.plan.optimizer
        for done in range(count):
            epoch, start, stop = feed.place(first + done, self.plan.batch_size)
            self._iteration = 0 if optimizer is None else optimizer.iterations
            self._gather(feed, feed.row_numbers(epoch, start, stop))
            self._sums = np.zeros(len(self.plan.slots))
            for step in self.plan.steps:
                self._step(step)
                if not self._finite:
                    return done, False
            slots = len(self._sums)
            sums[epoch * slots : (epoch + 1) * slots] += self._sums
            if optimizer is not None:
                optimizer.iterations += 1
            for value, out in zip(self.plan.outputs, outputs or (), strict=False):
                rows = slice(start - outputs_first, stop - outputs_first)
                out[rows] = self._array(value).reshape(out[rows].shape)
            if time.monotonic() >= end:
                return done + 1, True
        return count, True

    def _gather(self, feed: Feed, rows: NDArray[np.int64]) -> None:
        self._rows = len(rows)
        for value, source in zip(self.plan.feeds, feed.arrays, strict=True):
            out = self._array(value)
            self._ops["gather"](source, rows, out=out.reshape(self._rows, -1))

    def _array(self, value: Value) -> Array:
        """The numbers of a value for the current batch."""
        if value.variable is not None:
            return value.variable.array
        view = self._views[value]
        return view[: self._rows] if value.batched else view

    def _optional(self, value: Value) -> Array | None:
        """As `_matrix`, but None for an output that nobody reads."""
        return self._matrix(value) if value in self._views else None

    def _matrix(self, value: Value) -> Array:
        """The same as rows and columns."""
        array = self._array(value)
        return array.reshape(-1, value.dims[-1] if value.dims else 1)

    def _vector(self, value: Value) -> Array:
        """The same as one axis."""
        return self._array(value).reshape(-1)

    def _step(self, step: Node) -> None:
        runner = _RUNNERS.get(step.op)
        if runner is not None:
            runner(self, step)
        else:
            inputs = (self._matrix(v) for v in step.inputs)
            self._ops[step.op](*inputs, out=self._matrix(step.output), **step.attributes)

    # -- steps that are more than one plain call ----------------------------------

    def _dense(self, step: Node) -> None:
        x, w, *b = (self._array(v) for v in step.inputs)
        x = self._matrix(step.inputs[0])
        bias = b[0] if b else None
        self._ops["dense_forward"](x, w, bias, out=self._matrix(step.output), **step.attributes)

    def _input_gradient(self, step: Node) -> None:
        dy, w = map(self._matrix, step.inputs)
        self._ops["matmul"](dy, w, transpose_b=True, out=self._matrix(step.output))

    def _weight_gradient(self, step: Node) -> None:
        x, dy = map(self._matrix, step.inputs)
        self._ops["matmul"](x, dy, transpose_a=True, out=self._matrix(step.output))

    def _bias_gradient(self, step: Node) -> None:
        self._ops["sum_rows"](self._matrix(step.inputs[0]), out=self._vector(step.output))

    def _add_bias(self, step: Node) -> None:
        x, b = step.inputs
        self._ops["add_bias"](self._matrix(x), self._vector(b), out=self._matrix(step.output))

    def _view(self, step: Node) -> None:
        """Input and output share their bytes already."""

    def _dropout(self, step: Node) -> None:
        key = int(random_bits(step.attributes["seed"], 1, first=self._iteration)[0])
        self._ops["dropout"](
            self._vector(step.inputs[0]),
            rate=step.attributes["rate"],
            key=key,
            out=self._vector(step.output),
        )

    def _loss(self, step: Node) -> None:
        rows = self._rows * step.inputs[1].group
        reduction = 1 if step.attributes["reduction"] == "sum" else rows
        keywords = {
            "scale": step.attributes["loss_weight"] / reduction,
            "gradient": self._optional(step.outputs[1]),
        }
        if len(step.outputs) == 3:
            keywords["probability"] = self._optional(step.outputs[2])
        self._metric(step, **keywords)

    def _metric(self, step: Node, **keywords: Any) -> None:
        y_true, y_pred, *weight = step.inputs
        sparse = y_true.dtype == "int32"
        targets = self._vector(y_true)
        if not sparse:
            targets = targets.reshape(-1, y_pred.dims[-1])
        self._ops[step.attributes["kind"]](
            targets,
            self._matrix(y_pred),
            np.repeat(self._vector(weight[0]), y_pred.group) if weight else None,
            values=self._vector(step.output),
            **keywords,
            **step.attributes["options"],
        )

    def _accumulate(self, step: Node) -> None:
        (source,) = step.inputs
        total = float(np.sum(self._vector(source), dtype=np.float64))
        if step.attributes["check"] and not np.isfinite(total):
            self._finite = False
        if step.attributes["reduction"] == "sum":
            total *= self._rows
        else:
            total /= source.size
        self._sums[step.attributes["slot"]] += total

    def _penalty(self, step: Node) -> None:
        options = {k: step.attributes[k] for k in ("l1", "l2")}
        penalty = self._ops["penalty"](self._array(step.inputs[0]), **options)
        self._sums[step.attributes["slot"]] += penalty * self._rows

    def _penalty_gradient(self, step: Node) -> None:
        gradient, w = map(self._array, step.inputs)
        out = self._array(step.output)
        if out.ctypes.data != gradient.ctypes.data:
            out[...] = gradient
        self._ops["penalty_gradient"](w, out, **step.attributes)

    def _update(self, step: Node) -> None:
        w, gradient, *slots = map(self._array, step.inputs)
        optimizer = self.plan.optimizer
        assert optimizer is not None
        self._ops[optimizer.op](
            w, gradient, tuple(slots), iteration=self._iteration + 1, **optimizer.hyper()
        )


_RUNNERS: dict[str, Callable[[Interpreter, Node], None]] = {
    "accumulate": Interpreter._accumulate,
    "add_bias": Interpreter._add_bias,
    "bias_gradient": Interpreter._bias_gradient,
    "dense": Interpreter._dense,
    "dropout": Interpreter._dropout,
    "input_gradient": Interpreter._input_gradient,
    "loss": Interpreter._loss,
    "metric": Interpreter._metric,
    "penalty": Interpreter._penalty,
    "penalty_gradient": Interpreter._penalty_gradient,
    "reshape": Interpreter._view,
    "update": Interpreter._update,
    "weight_gradient": Interpreter._weight_gradient,
}
