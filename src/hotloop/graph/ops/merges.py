"""Functions of the elements of two values, which are broadcast to one shape."""

from __future__ import annotations

import math
from typing import Any

from ..op import OPS, Array, Gradients, Op, Run, broadcast, like_inputs
from ..trace import Node, Value, apply
from .dense import BIAS_GRADIENT
from .elementwise import scale
from .reductions import sum_steps
from .shapes import reshape

__all__ = ["ADD", "add", "maximum", "minimum", "multiply", "subtract", "sum_to", "total"]

_LOOP = {"numba": "NumPy has a loop for it"}


def broadcast_arrays(run: Run, node: Node) -> list[Array]:
    """A node's inputs, aligned for NumPy to broadcast them: behind the batch where there is one."""
    rank = len(node.output.dims)
    arrays = []
    for value in node.inputs:
        array = run.array(value)
        batch = array.shape[: array.ndim - len(value.dims)]
        arrays.append(array.reshape(batch + (1,) * (rank - len(value.dims)) + value.dims))
    return arrays


def _broadcast(run: Run, node: Node) -> None:
    """Reference: a function of arrays that are broadcast."""
    run.function(node)(*broadcast_arrays(run, node), out=run.array(node.output))


_MERGED: dict[str, Any] = {
    "shape": broadcast,
    "layout": like_inputs,
    "weights": range(3),
    "reference": _broadcast,
    "reads_windows": range(3),
    "elementwise": True,
}


def sum_to(x: Value, like: Value) -> Value:
    """The sum over the axes, and the examples, along which `like` was broadcast to x."""
    rank = len(x.dims)
    for axis, n in zip(range(-1, -rank - 1, -1), reversed(x.dims), strict=True):
        before, after = x.dims[: axis + rank], x.dims[axis + rank + 1 :]
        if n != 1 and (len(like.dims) < -axis or like.dims[axis] == 1):
            rows = reshape(x, (math.prod(before), n, math.prod(after)))
            x = reshape(sum_steps(rows), (*before, 1, *after))
    if x.batched and not like.batched:
        x = apply(BIAS_GRADIENT, reshape(x, (x.size,)))
    return x if x.dims == like.dims else reshape(x, like.dims)


def total(x: Value) -> Value:
    """The sum of all numbers, over all examples, as a single number."""
    return sum_to(x, Value((), x.dtype, batched=False))


def add(a: Value, b: Value) -> Value:
    """a + b, broadcast to one shape."""
    return apply(ADD, a, b)


ADD = Op(
    "add",
    "a + b.",
    **_MERGED,
    gradient=lambda node, wanted, dy: tuple(sum_to(dy, value) for value in node.inputs),
    in_place=True,
    mask="passes",
    why_not=_LOOP,
)


def subtract(a: Value, b: Value) -> Value:
    """a - b, broadcast to one shape."""
    return apply(SUBTRACT, a, b)


def _of_subtract(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    a, b = node.inputs
    return sum_to(dy, a), scale(sum_to(dy, b), -1.0) if wanted[1] else None


SUBTRACT = Op(
    "subtract",
    "a - b.",
    **_MERGED,
    gradient=_of_subtract,
    in_place=True,
    mask="passes",
    why_not=_LOOP,
)


def multiply(a: Value, b: Value) -> Value:
    """a * b element by element, broadcast to one shape."""
    return apply(MULTIPLY, a, b)


def _of_multiply(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    a, b = node.inputs
    da = sum_to(apply(MULTIPLY, dy, b), a) if wanted[0] else None
    return da, sum_to(apply(MULTIPLY, dy, a), b) if wanted[1] else None


MULTIPLY = Op(
    "multiply",
    "a * b.",
    **_MERGED,
    gradient=_of_multiply,
    in_place=True,
    mask="passes",
    why_not=_LOOP,
)


def maximum(a: Value, b: Value) -> Value:
    """The larger of a and b element by element, broadcast to one shape."""
    return apply(OPS["maximum"], a, b)


def minimum(a: Value, b: Value) -> Value:
    """The smaller of a and b element by element, broadcast to one shape."""
    return apply(OPS["minimum"], a, b)


def _choice(name: str, chosen: str, relation: str) -> None:
    """The records of maximum or minimum, and of its gradient."""

    def of_gradient(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
        factor, a, b = node.inputs
        return sum_to(apply(node.op, dy, a, b), factor) if wanted[0] else None, None, None

    gradient = Op(
        f"{name}_gradient",
        f"With respect to a: dy where a {relation} b, and half of it where they are equal.",
        **_MERGED,
        gradient=of_gradient,
        in_place=True,
        mask="passes",
        why_not=_LOOP,
    )

    def rule(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
        a, b = node.inputs
        da = sum_to(apply(gradient, dy, a, b), a) if wanted[0] else None
        return da, sum_to(apply(gradient, dy, b, a), b) if wanted[1] else None

    Op(
        name,
        f"The {chosen} of a and b; NaN where either is.",
        **_MERGED,
        gradient=rule,
        in_place=True,
        mask="passes",
        why_not=_LOOP,
    )


_choice("maximum", "larger", ">")
_choice("minimum", "smaller", "<")
