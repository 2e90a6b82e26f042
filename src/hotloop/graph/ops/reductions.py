"""From the steps of an example, (..., steps, cols), to one row, (..., cols), and back."""

from __future__ import annotations

import numpy as np

from ..op import OPS, Dims, Gradients, Op, Run, like_first, like_inputs
from ..trace import Node, Value, apply
from .constants import ones_like
from .elementwise import scale
from .shapes import reshape

__all__ = [
    "MEAN_STEPS",
    "REPEAT_STEPS",
    "SUM_STEPS",
    "cumulative_sum",
    "max_steps",
    "mean_steps",
    "over_examples",
    "repeat_steps",
    "sum_row",
    "sum_steps",
]

_LOOP = {"numba": "NumPy has a loop for it"}


def _one_row(node: Node) -> tuple[Dims, ...]:
    """Shape rule: without the last axis but one."""
    dims = node.inputs[0].dims
    return ((*dims[:-2], dims[-1]),)


def sum_steps(x: Value) -> Value:
    """The sum over the last axis but one: (..., steps, cols) becomes (..., cols)."""
    return apply(SUM_STEPS, x)


def sum_row(x: Value) -> Value:
    """The sum over the last axis, which stays with a length of 1."""
    return reshape(sum_steps(reshape(x, (*x.dims, 1))), (*x.dims[:-1], 1))


SUM_STEPS = Op(
    "sum_steps",
    "The sum over the last axis but one.",
    shape=_one_row,
    gradient=lambda node, wanted, dy: (repeat_steps(dy, node.inputs[0].dims[-2]),),
    mask="consumes",
    why_not=_LOOP,
)


def mean_steps(x: Value) -> Value:
    """The mean over the last axis but one: (..., steps, cols) becomes (..., cols)."""
    return apply(MEAN_STEPS, x)


def _of_mean_steps(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    steps = node.inputs[0].dims[-2]
    return (repeat_steps(scale(dy, 1.0 / steps), steps),)


MEAN_STEPS = Op(
    "mean_steps",
    "The mean over the last axis but one.",
    shape=_one_row,
    gradient=_of_mean_steps,
    mask="consumes",
    why_not=_LOOP,
)


def cumulative_sum(x: Value, axis: int = -1, *, reverse: bool = False) -> Value:
    """The sums along an axis, counted from the last one, -1, up to each element or from it on."""
    rank = len(x.dims)
    if not -rank <= axis < 0:
        raise ValueError(f"cumulative_sum needs an axis from {-rank} to -1 of {x}, not {axis}")
    return apply(CUMULATIVE_SUM, x, axis=axis, reverse=reverse)


def _of_cumulative_sum(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    axis, reverse = node.attributes["axis"], node.attributes["reverse"]
    return (cumulative_sum(dy, axis, reverse=not reverse),)


CUMULATIVE_SUM = Op(
    "cumulative_sum",
    "The sums along an axis up to each element, or from each on.",
    shape=like_first,
    gradient=_of_cumulative_sum,
    in_place=True,
    mask="passes",
    options=("axis", "reverse"),
    why_not=_LOOP,
)


def repeat_steps(x: Value, steps: int) -> Value:
    """The same for each of so many steps: (..., cols) becomes (..., steps, cols)."""
    return apply(REPEAT_STEPS, x, steps=steps)


def _several(node: Node) -> tuple[Dims, ...]:
    dims = node.inputs[0].dims
    return ((*dims[:-1], node.attributes["steps"], dims[-1]),)


REPEAT_STEPS = Op(
    "repeat_steps",
    "Each row as often as there are steps, along a new last axis but one.",
    shape=_several,
    gradient=lambda node, wanted, dy: (sum_steps(dy),),
    why_not=_LOOP,
)


def max_steps(x: Value) -> Value:
    """The largest over the last axis but one: (..., steps, cols) becomes (..., cols)."""
    return apply(MAX_STEPS, x)


def _of_max_steps(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    return (apply(MAX_STEPS_GRADIENT, dy, node.inputs[0], node.output),)


MAX_STEPS = Op(
    "max_steps",
    "The largest over the last axis but one.",
    shape=_one_row,
    gradient=_of_max_steps,
    mask="consumes",
    why_not=_LOOP,
)


def _of_max_steps_gradient(node: Node, wanted: tuple[bool, ...], ddx: Value) -> Gradients:
    dy, *where = node.inputs
    shares = apply(MAX_STEPS_GRADIENT, ones_like(dy), *where)
    return sum_steps(apply(OPS["multiply"], ddx, shares)), None, None


MAX_STEPS_GRADIENT: Op = Op(
    "max_steps_gradient",
    "dy, shared evenly by all steps of x that equal the largest.",
    shape=lambda node: (node.inputs[1].dims,),
    gradient=_of_max_steps_gradient,
    why_not=_LOOP,
)


def over_examples(x: Value) -> Value:
    """x, of no example, divided by how many examples the batch has: of a sum, the mean."""
    if x.batched:
        raise ValueError(f"over_examples needs a value of no example, not {x}")
    return apply(OVER_EXAMPLES, x)


def _over_examples(run: Run, node: Node) -> None:
    x, out = run.array(node.inputs[0]), run.array(node.output)
    np.multiply(x, x.dtype.type(1.0 / run.rows), out=out)


OVER_EXAMPLES = Op(
    "over_examples",
    "What has no batch, divided by the number of examples in the batch.",
    shape=like_first,
    layout=like_inputs,
    gradient=lambda node, wanted, dy: (over_examples(dy),),
    in_place=True,
    reference=_over_examples,
    why_not={"profile": "a few numbers", "backends": "every executor knows its batch"},
)
