"""The executor of the Python backends: walks a plan, one table look-up a step.

It runs the very plan that the compiled executor runs, so that the library means the same
without its extensions. Per step it makes views and calls one function; nothing is cached
between batches but the arena.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.feed import Feed
from ..graph.ops import NOISE
from ..graph.plan import Plan
from ..graph.trace import Node, Value
from ..optimizers import Optimizer
from . import Op, own
from .numpy import random_bits

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

    def __init__(self, plan: Plan, ops: Mapping[str, Op], arena: Array | None = None) -> None:
        self.plan = plan
        # A reshape's input and output share their bytes: there is nothing to do.
        self._steps = [step for step in plan.steps if step.op != "reshape"]
        self.nodes: list[Value | Node] = [*plan.feeds, *self._steps, *plan.outputs]
        self._ops = ops
        if arena is None:
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

    def threads(self) -> int:
        """How many threads walk the plan: one, whatever an op does inside."""
        return 1

    def op_of(self, step: Node) -> str:
        """The op of the table that a step calls; accumulate, which is in no table, calls none."""
        if step.op in ("loss", "metric"):
            return str(step.attributes["kind"])
        if step.op in ("update", "whole_update"):
            assert self.plan.optimizer is not None
            assert step.inputs[0].variable is not None
            return self.plan.optimizer.rule(step.inputs[0].variable)
        return _OTHER_NAMES.get(step.op, step.op)

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
        optimizer = self.plan.optimizer
        for done in range(count):
            epoch, start, stop = feed.place(first + done, self.plan.batch_size)
            self._iteration = 0 if optimizer is None else optimizer.iterations
            rows = feed.row_numbers(epoch, start, stop)
            self._rows = len(rows)
            for i, (value, source) in enumerate(zip(self.plan.feeds, feed.arrays, strict=True)):
                do(i, self._gather, value, source, rows)
            self._sums = np.zeros(len(self.plan.slots))
            for i, step in enumerate(self._steps, steps_at):
                do(i, self._step, step)
                if not self._finite:
                    return done, False
            slots = len(self._sums)
            sums[epoch * slots : (epoch + 1) * slots] += self._sums
            if optimizer is not None:
                optimizer.iterations += 1
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
        self._ops["gather"](source, rows, out=self._array(value).reshape(self._rows, -1))

    def _copy(self, value: Value, out: Array) -> None:
        out[...] = self._array(value).reshape(out.shape)

    def _array(self, value: Value) -> Array:
        """The numbers of a value for the current batch."""
        if value.variable is not None:
            return value.variable.array.reshape(value.dims)
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
            self._op(step)(*inputs, out=self._matrix(step.output), **step.attributes)

    def _op(self, step: Node) -> Op:
        name = self.op_of(step)
        return own.OPS[name] if name in own.OPS else self._ops[name]

    # -- steps that are more than one plain call ----------------------------------

    def _dense(self, step: Node) -> None:
        x, w, *b = (self._array(v) for v in step.inputs)
        x = self._matrix(step.inputs[0])
        bias = b[0] if b else None
        self._op(step)(x, w, bias, out=self._matrix(step.output), **step.attributes)

    def _input_gradient(self, step: Node) -> None:
        dy, w, *saved = map(self._matrix, step.inputs)
        dx = self._matrix(step.output)
        self._op(step)(dy, w, transpose_b=True, out=dx)
        if saved:
            gradient = self._ops[step.attributes["activation"] + "_gradient"]
            gradient(dx, saved[0], alpha=step.attributes["alpha"], out=dx)

    def _weight_gradient(self, step: Node) -> None:
        x, dy = map(self._matrix, step.inputs)
        self._op(step)(x, dy, transpose_a=True, out=self._matrix(step.output))

    def _bias_gradient(self, step: Node) -> None:
        self._op(step)(self._matrix(step.inputs[0]), out=self._vector(step.output))

    def _add_bias(self, step: Node) -> None:
        x, b = step.inputs
        self._op(step)(self._matrix(x), self._vector(b), out=self._matrix(step.output))

    def _noise(self, step: Node) -> None:
        options = dict(step.attributes)
        key = int(random_bits(options.pop("seed"), 1, first=self._iteration)[0])
        x, out = self._vector(step.inputs[0]), self._vector(step.output)
        self._op(step)(x, **options, key=key, out=out)

    def _prelu(self, step: Node) -> None:
        *matrices, alpha = step.inputs
        given = map(self._matrix, matrices)
        self._op(step)(*given, self._vector(alpha), out=self._matrix(step.output))

    def _prelu_alpha_gradient(self, step: Node) -> None:
        self._op(step)(*map(self._matrix, step.inputs), out=self._vector(step.output))

    def _column_moments(self, step: Node) -> None:
        mean, variance = map(self._vector, step.outputs)
        self._op(step)(self._matrix(step.inputs[0]), mean=mean, variance=variance)

    def _normalize(self, step: Node) -> None:
        x, *vectors = step.inputs
        statistics = map(self._vector, vectors[:2])
        weights = self._gamma_and_beta(step, vectors[2:])
        epsilon, out = step.attributes["epsilon"], self._matrix(step.output)
        self._op(step)(self._matrix(x), *statistics, *weights, epsilon=epsilon, out=out)

    def _normalize_scale_gradient(self, step: Node) -> None:
        matrices, vectors = map(self._matrix, step.inputs[:2]), map(self._vector, step.inputs[2:])
        out = self._vector(step.output)
        self._op(step)(*matrices, *vectors, **step.attributes, out=out)

    def _normalize_gradient(self, step: Node) -> None:
        matrices, vectors = map(self._matrix, step.inputs[:2]), map(self._vector, step.inputs[2:])
        mean, variance, *rest = vectors
        gamma = rest.pop(0) if step.attributes["scale"] else None
        dgamma, dbeta = rest or (None, None)
        epsilon, out = step.attributes["epsilon"], self._matrix(step.output)
        given = (*matrices, mean, variance, gamma, dgamma, dbeta)
        self._op(step)(*given, epsilon=epsilon, out=out)

    def _moving_average(self, step: Node) -> None:
        self._op(step)(*map(self._vector, step.inputs), **step.attributes)

    def _layer_norm(self, step: Node) -> None:
        x, *weights = step.inputs
        saved = (self._vector(v) if v in self._views else None for v in step.outputs[1:])
        outputs = dict(zip(("mean", "inverse"), saved, strict=True))
        options = {name: step.attributes[name] for name in ("epsilon", "centered")}
        outputs["out"] = self._matrix(step.output)
        given = self._gamma_and_beta(step, weights)
        self._op(step)(self._matrix(x), *given, **options, **outputs)

    def _layer_norm_gradient(self, step: Node) -> None:
        matrices, vectors = map(self._matrix, step.inputs[:2]), map(self._vector, step.inputs[2:4])
        gamma = self._vector(step.inputs[4]) if step.attributes["scale"] else None
        centered, out = step.attributes["centered"], self._matrix(step.output)
        self._op(step)(*matrices, *vectors, gamma, centered=centered, out=out)

    def _gamma_and_beta(self, step: Node, given: Sequence[Value]) -> list[Array | None]:
        """A normalisation's weights, None for what it does without."""
        vectors = iter([self._vector(value) for value in given])
        return [next(vectors) if step.attributes[name] else None for name in ("scale", "center")]

    def _examples(self, step: Node) -> None:
        """Steps that work on the axes of an example, not on rows and columns."""
        inputs = (self._array(v) for v in step.inputs)
        attributes = {k: v for k, v in step.attributes.items() if k not in _OF_THE_GRAPH}
        self._op(step)(*inputs, out=self._array(step.output), **attributes)

    def _loss(self, step: Node) -> None:
        reduction = 1 if step.attributes["reduction"] == "sum" else self._rows * step.output.size
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
        self._op(step)(
            targets,
            self._matrix(y_pred),
            np.repeat(self._vector(weight[0]), step.output.size) if weight else None,
            values=self._vector(step.output),
            **keywords,
            **step.attributes["options"],
        )

    def _lambda(self, step: Node) -> None:
        function = step.attributes["function"]
        y = function(*(own.read_only(self._array(v)) for v in step.inputs))
        _assign(self._array(step.output), y, step)

    def _lambda_gradient(self, step: Node) -> None:
        dy, *inputs = (own.read_only(self._array(v)) for v in step.inputs)
        gradients = step.attributes["gradient"](*inputs, dy)
        for value, gradient in zip(step.outputs, gradients, strict=True):
            if value in self._views:
                _assign(self._array(value), gradient, step)

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
        penalty = self._op(step)(self._array(step.inputs[0]), **options)
        self._sums[step.attributes["slot"]] += penalty * self._rows

    def _penalty_gradient(self, step: Node) -> None:
        gradient, w = map(self._array, step.inputs)
        out = self._array(step.output)
        if out.ctypes.data != gradient.ctypes.data:
            out[...] = gradient
        self._op(step)(w, out, **step.attributes)

    def _update(self, step: Node) -> None:
        w, gradient, *slots = map(self._array, step.inputs)
        hyper = self._optimizer.settings(self.op_of(step))
        self._op(step)(w, gradient, tuple(slots), iteration=self._updates + 1, **hyper)

    def _whole_update(self, step: Node) -> None:
        """Arrays have the axes of their variables, even where the core sees one row."""
        weight, gradient, *slots = step.inputs
        w, *state = (v.variable.array for v in (weight, *slots) if v.variable is not None)
        g = self._array(gradient).reshape(w.shape)
        hyper = self._optimizer.settings(self.op_of(step))
        self._op(step)(w, g, tuple(state), iteration=self._updates + 1, **hyper)

    # -- around an update: see hotloop.graph.updates --------------------------------

    @property
    def _optimizer(self) -> Optimizer:
        assert self.plan.optimizer is not None
        return self.plan.optimizer

    @property
    def _batches(self) -> int:
        """Batches that one update is for."""
        return self._optimizer.gradient_accumulation_steps or 1

    @property
    def _updates(self) -> int:
        """Updates done before this batch."""
        return self._iteration // self._batches

    @property
    def ends_with_update(self) -> bool:
        """Whether weights are updated in this batch."""
        return (self._iteration + 1) % self._batches == 0

    def _accumulate_gradient(self, step: Node) -> None:
        gradient, total = map(self._array, step.inputs)
        total += gradient
        if self.ends_with_update:
            np.divide(total, self._batches, out=self._array(step.output))
            total[...] = 0

    def _square_sum(self, step: Node) -> None:
        squares = self._ops["penalty"](self._array(step.inputs[0]), l1=0.0, l2=1.0)
        before = self._array(step.inputs[1])[0] if len(step.inputs) > 1 else 0.0
        self._array(step.output)[...] = before + squares

    def _clip_by_norm(self, step: Node) -> None:
        gradient, squares = map(self._array, step.inputs)
        limit = step.attributes["limit"]
        factor = limit / max(float(np.sqrt(squares[0])), limit)
        np.multiply(gradient, factor, out=self._array(step.output))

    def _clip_by_value(self, step: Node) -> None:
        limit = step.attributes["limit"]
        np.clip(self._array(step.inputs[0]), -limit, limit, out=self._array(step.output))

    def _decay(self, step: Node) -> None:
        w = self._array(step.inputs[0])
        w *= 1.0 - step.attributes["weight_decay"] * self._optimizer.learning_rate

    def _average(self, step: Node) -> None:
        average, w = map(self._array, step.inputs)
        # The first updates have nothing to average with.
        momentum = step.attributes["momentum"] if self._updates else 0.0
        self._ops["moving_average"](average, w, momentum=momentum)

    def _overwrite(self, step: Node) -> None:
        w, average = map(self._array, step.inputs)
        if (self._updates + 1) % step.attributes["frequency"] == 0:
            w[...] = average

    def _constrain(self, step: Node) -> None:
        variable = step.inputs[0].variable
        assert variable is not None
        variable.array[...] = step.attributes["constraint"](variable.array)


class PythonSteps(Interpreter):
    """The steps of a compiled executor's plan that only Python can do, in its arena."""

    def __init__(self, plan: Plan, memory: Any) -> None:
        super().__init__(plan, {}, np.frombuffer(memory, np.uint8))
        self._error: BaseException | None = None

    def attempt(self, step: Node, rows: int) -> bool:
        """Does a step for so many examples; False if it, or one before, raised an error."""
        if self._error is not None:
            return False
        self._rows = rows
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


def _assign(out: Array, result: Any, step: Node) -> None:
    """Takes what a user's function returned; ValueError if it has another shape."""
    found = np.asarray(result)
    if found.shape != out.shape:
        what = "gradient" if step.op == "lambda_gradient" else "function"
        who = step.layer.describe() if step.layer is not None else step.op
        raise ValueError(
            f"{who}: its {what} must return an array of shape {out.shape}, not {found.shape}"
        )
    out[...] = found


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


# Steps that call an op of the table under another name than their own.
_OTHER_NAMES = {
    "bias_gradient": "sum_rows",
    "dense": "dense_forward",
    "input_gradient": "matmul",
    "moving_average_update": "moving_average",
    "weight_gradient": "matmul",
}


def _at_updates(work: Callable[[Interpreter, Node], None]) -> Callable[[Interpreter, Node], None]:
    """What is done only for a batch that ends with an update of the weights."""

    def do(self: Interpreter, step: Node) -> None:
        if self.ends_with_update:
            work(self, step)

    return do


# Attributes that no op needs: what is said about the arrays before they come here.
_OF_THE_GRAPH = frozenset({"least", "most", "who"})

_RUNNERS: dict[str, Callable[[Interpreter, Node], None]] = {
    "accumulate": Interpreter._accumulate,
    "accumulate_gradient": Interpreter._accumulate_gradient,
    "add_bias": Interpreter._add_bias,
    "average": Interpreter._average,
    "bias_gradient": Interpreter._bias_gradient,
    "clip_by_norm": _at_updates(Interpreter._clip_by_norm),
    "clip_by_value": _at_updates(Interpreter._clip_by_value),
    "constrain": Interpreter._constrain,
    "decay": _at_updates(Interpreter._decay),
    "column_moments": Interpreter._column_moments,
    "dense": Interpreter._dense,
    "input_gradient": Interpreter._input_gradient,
    "layer_norm": Interpreter._layer_norm,
    "layer_norm_gradient": Interpreter._layer_norm_gradient,
    "layer_norm_scale_gradient": Interpreter._normalize_scale_gradient,
    "lambda": Interpreter._lambda,
    "lambda_gradient": Interpreter._lambda_gradient,
    "loss": Interpreter._loss,
    "metric": Interpreter._metric,
    "overwrite": Interpreter._overwrite,
    "penalty": Interpreter._penalty,
    "penalty_gradient": Interpreter._penalty_gradient,
    "square_sum": _at_updates(Interpreter._square_sum),
    "update": _at_updates(Interpreter._update),
    "moving_average_update": Interpreter._moving_average,
    "normalize": Interpreter._normalize,
    "normalize_gradient": Interpreter._normalize_gradient,
    "normalize_scale_gradient": Interpreter._normalize_scale_gradient,
    "prelu": Interpreter._prelu,
    "prelu_alpha_gradient": Interpreter._prelu_alpha_gradient,
    "prelu_gradient": Interpreter._prelu,
    "weight_gradient": Interpreter._weight_gradient,
    "whole_update": _at_updates(Interpreter._whole_update),
}
_RUNNERS |= dict.fromkeys((*NOISE, "alpha_dropout_gradient"), Interpreter._noise)
_RUNNERS |= dict.fromkeys(
    (
        "encode",
        "indices",
        "lookup",
        "lookup_gradient",
        "max_steps",
        "max_steps_gradient",
        "permute",
        "repeat_steps",
        "row_products",
        "standardize",
        "standardize_gradient",
        "sum_steps",
    ),
    Interpreter._examples,
)
