"""The same numbers in another shape or order."""

from __future__ import annotations

import math

from ...lengths import is_open
from ..op import Array, Dims, Gradients, Op, Run
from ..trace import Node, Value, apply
from .reductions import repeat_steps

_LOOP = {"numba": "NumPy has a loop for it"}


def reshape(x: Value, dims: tuple[int, ...]) -> Value:
    """The same elements of each example in another shape; one dimension may be -1."""
    if -1 in dims:
        known = -math.prod(dims)
        dims = tuple(x.size // known if known and d == -1 else d for d in dims)
    return apply(RESHAPE, x, dims=dims)


def _other_dims(node: Node) -> tuple[Dims, ...]:
    (x,), dims = node.inputs, node.attributes["dims"]
    size = math.prod(dims)
    if size != x.size and not is_open((size, x.size)):
        raise ValueError(
            f"cannot reshape {x.dims} ({x.size} elements) into {dims}: "
            "the number of elements must stay the same"
        )
    return (dims,)


def _stand_where_they_are(run: Run, node: Node) -> None:
    """The input and the output share their bytes."""


def _reshaped(node: Node, array: Array, name: str) -> Array:
    return array.reshape(len(array), *node.output.dims)


RESHAPE = Op(
    "reshape",
    "The same elements of each example in another shape.",
    shape=_other_dims,
    gradient=lambda node, wanted, dy: (reshape(dy, node.inputs[0].dims),),
    bytes=lambda node, size: 0,
    view=True,
    before_model=_reshaped,
    reference=_stand_where_they_are,
    why_not={"profile": "nothing is done", "backends": "nothing is done"},
)


def identity(x: Value) -> Value:
    """x itself, under the name of the current layer."""
    return reshape(x, x.dims)


def concatenate(a: Value, b: Value, axis: int) -> Value:
    """a and b one after the other along an axis of an example, from 0."""
    outer = math.prod(a.dims[:axis])
    y = apply(CONCATENATE, *(reshape(v, (outer, v.size // outer)) for v in (a, b)))
    return reshape(y, (*a.dims[:axis], a.dims[axis] + b.dims[axis], *a.dims[axis + 1 :]))


def _side_by_side(node: Node) -> tuple[Dims, ...]:
    a, b = node.inputs
    return ((*a.dims[:-1], a.dims[-1] + b.dims[-1]),)


def _of_concatenate(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    first, second = (value.dims[-1] for value in node.inputs)
    return (
        apply(COLUMNS, dy, first=0, count=first),
        apply(COLUMNS, dy, first=first, count=second),
    )


CONCATENATE = Op(
    "concatenate",
    "The rows of a and b side by side.",
    shape=_side_by_side,
    gradient=_of_concatenate,
    mask="passes",
    why_not=_LOOP,
)
COLUMNS = Op(
    "columns",
    "So many columns from one on.",
    shape=lambda node: ((*node.inputs[0].dims[:-1], node.attributes["count"]),),
    mask="passes",
    options=("first",),
    why_not=_LOOP | {"gradient": "of a gradient"},
)


def repeat(x: Value, n: int) -> Value:
    """n copies of a vector, as rows."""
    y = reshape(x, (1, x.size))
    for bit in bin(n)[3:]:  # from the highest: twice as many rows, and one more where it is 1
        y = concatenate(y, y, 0)
        if bit == "1":
            y = concatenate(y, reshape(x, (1, x.size)), 0)
    return y


def permute(x: Value, axes: tuple[int, ...]) -> Value:
    """The axes of each example in another order, counted from 0."""
    if axes == tuple(range(len(x.dims))):
        return x
    return apply(PERMUTE, x, axes=axes)


def _permuted(node: Node) -> tuple[Dims, ...]:
    return (tuple(node.inputs[0].dims[axis] for axis in node.attributes["axes"]),)


def _of_permute(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    axes = node.attributes["axes"]
    return (permute(dy, tuple(axes.index(axis) for axis in range(len(axes)))),)


def _moved(node: Node, array: Array, name: str) -> Array:
    return array.transpose(0, *(axis + 1 for axis in node.attributes["axes"]))


PERMUTE = Op(
    "permute",
    "The axes of each example in another order.",
    shape=_permuted,
    gradient=_of_permute,
    before_model=_moved,
    options=("axes",),
    why_not=_LOOP,
)


def broadcast(x: Value, dims: tuple[int, ...]) -> Value:
    """Repeats x along axes of length 1, and along those that it lacks in front."""
    if x.dims == dims:
        return x
    x = reshape(x, (1,) * (len(dims) - len(x.dims)) + x.dims)
    for axis, size in enumerate(dims):
        if x.dims[axis] == 1 and size != 1:
            before, after = x.dims[:axis], x.dims[axis + 1 :]
            flat = reshape(x, (math.prod(before), math.prod(after)))
            x = reshape(repeat_steps(flat, size), (*before, size, *after))
    return x
