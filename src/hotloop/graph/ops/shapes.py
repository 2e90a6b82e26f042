"""The same numbers in another shape or order."""

from __future__ import annotations

import math

import numpy as np

from ...lengths import common, is_open
from ..op import (
    FLOATS,
    Array,
    Dims,
    Gradients,
    Op,
    Run,
    Windows,
    like_first,
    like_inputs,
    plain,
)
from ..trace import Node, Value, apply
from .constants import zeros_like

__all__ = [
    "CAST",
    "PERMUTE",
    "RESHAPE",
    "cast",
    "columns",
    "concatenate",
    "identity",
    "permute",
    "repeat",
    "reshape",
]

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


def _same_rows(node: Node) -> int:
    """Layout rule: a matrix keeps its rows and columns, whatever axes they have."""
    (x,), dims = node.inputs, node.attributes["dims"]
    rows = x.rows
    for row_axes in range(1, len(dims) + 1) if x.row_axes else (0,):
        if not row_axes or math.prod(dims[:row_axes]) == rows:
            return row_axes
    raise ValueError(
        f"cannot reshape {x.dims}, kept as a matrix of {rows} rows, into {dims}: the rows must stay"
    )


def _stand_where_they_are(run: Run, node: Node) -> None:
    """The input and the output share their bytes."""


def _reshaped(node: Node, array: Array, name: str) -> Array:
    return array.reshape(len(array), *node.output.dims)


RESHAPE = Op(
    "reshape",
    "The same elements of each example in another shape.",
    shape=_other_dims,
    layout=_same_rows,
    takes=("any",),
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
    rows = (reshape(v, (outer, v.size // outer)) for v in (a, b))
    y = apply(CONCATENATE, *rows, of=(a.dims, b.dims), axis=axis)
    return reshape(y, (*a.dims[:axis], a.dims[axis] + b.dims[axis], *a.dims[axis + 1 :]))


def columns(x: Value, first: int, count: int) -> Value:
    """So many columns from one on, along the last axis."""
    return apply(COLUMNS, x, first=first, count=count)


def _side_by_side(node: Node) -> tuple[Dims, ...]:
    a, b = node.inputs
    if "of" in node.attributes:  # what the rows are made of
        of, axis = node.attributes["of"], node.attributes["axis"]
        if common(*(dims[:axis] + dims[axis + 1 :] for dims in of)) is None:
            shapes = " and ".join(str((None, *dims)) for dims in of)
            raise ValueError(f"inputs may differ in axis {axis + 1} only, but have shapes {shapes}")
    return ((*a.dims[:-1], a.dims[-1] + b.dims[-1]),)


def _of_concatenate(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    first, second = (value.dims[-1] for value in node.inputs)
    return (
        apply(COLUMNS, dy, first=0, count=first),
        apply(COLUMNS, dy, first=first, count=second),
    )


def _beside_each_other(node: Node) -> Windows:
    a, b = node.inputs
    return (a, node.output, 0), (b, node.output, a.dims[-1])


CONCATENATE = Op(
    "concatenate",
    "The rows of a and b side by side.",
    shape=_side_by_side,
    takes=("same",),
    gradient=_of_concatenate,
    windows=_beside_each_other,
    reads_windows=range(2),
    writes_windows=True,
    mask="passes",
    why_not=_LOOP,
)


def _of_columns(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    (x,), first = node.inputs, node.attributes["first"]
    end = first + node.attributes["count"]
    dx = dy
    if first:
        dx = apply(CONCATENATE, zeros_like(apply(COLUMNS, x, first=0, count=first)), dx)
    if end < x.dims[-1]:
        behind = apply(COLUMNS, x, first=end, count=x.dims[-1] - end)
        dx = apply(CONCATENATE, dx, zeros_like(behind))
    return (dx,)


COLUMNS: Op = Op(
    "columns",
    "So many columns from one on.",
    shape=lambda node: ((*node.inputs[0].dims[:-1], node.attributes["count"]),),
    takes=("any",),
    windows=lambda node: ((node.output, node.inputs[0], node.attributes["first"]),),
    reads_windows=(0,),
    mask="passes",
    gradient=_of_columns,
    options=("first",),
    why_not=_LOOP,
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


def _permute(run: Run, node: Node) -> None:
    x, out = run.array(node.inputs[0]), run.array(node.output)
    if not node.output.batched:
        x, out = x[None], out[None]
    run.function(node)(x, axes=node.attributes["axes"], out=out)


PERMUTE = Op(
    "permute",
    "The axes of each example in another order.",
    shape=_permuted,
    reference=_permute,
    gradient=_of_permute,
    before_model=_moved,
    why_not=_LOOP,
)


def cast(x: Value, dtype: str) -> Value:
    """x as numbers of another dtype: float32, float64, int32, uint8 or bool."""
    return x if x.dtype == dtype else apply(CAST, x, dtype=dtype)


def _of_cast(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    dtype = node.inputs[0].dtype
    return (cast(dy, dtype) if {dtype, dy.dtype} <= {*FLOATS} else None,)


def _cast(run: Run, node: Node) -> None:
    x, out = run.array(node.inputs[0]), run.array(node.output)
    if out.dtype.kind in "fb":
        out[...] = x
        return
    most = np.iinfo(out.dtype)
    wide = np.nan_to_num(x.astype(np.float64), posinf=most.max, neginf=most.min)
    out[...] = np.clip(np.trunc(wide), most.min, most.max)


def _a_dtype(node: Node) -> str:
    dtype: str = node.attributes["dtype"]
    if dtype not in DTYPES:
        raise ValueError(f"cast knows the dtypes {', '.join(DTYPES)}, not {dtype!r}")
    return dtype


def _as_it_was(node: Node) -> int:
    """Layout rule: panels of two dtypes have other widths, so a matrix keeps its own."""
    same = node.attributes["dtype"] == node.inputs[0].dtype
    return like_inputs(node) if same else plain(node)


DTYPES = (*FLOATS, "int32", "uint8", "bool")

CAST = Op(
    "cast",
    "Numbers of another dtype: whole ones rounded towards 0, of NaN 0; true of all but 0.",
    shape=like_first,
    dtype=_a_dtype,
    layout=_as_it_was,
    takes=("any",),
    gradient=_of_cast,
    mask="passes",
    elementwise=True,
    reference=_cast,
    why_not={"profile": "a copy", "backends": "every executor copies numbers by itself"},
)
