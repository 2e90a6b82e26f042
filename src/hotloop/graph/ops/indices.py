"""Rows by their numbers, and what is made of an input before the model runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...variables import Variable
from ..op import Array, Dims, Gradients, Op, any_layout, as_matrix
from ..trace import Node, Value, apply
from .weights import weights_of

__all__ = ["INDICES", "PREPARE", "encode", "indices", "lookup", "prepare", "source_of"]

_CHUNK = 1 << 20  # numbers checked at once: bounds the memory that a check takes
_SCATTERED = {"numba": "NumPy's indexing does it"}


def prepare(x: Value, function: Callable[[Any], Any], dims: tuple[int, ...]) -> Value:
    """What a NumPy function makes of a model's input, before the model runs.

    The function is given the whole array that a caller passed, and returns one of shape
    (examples, *dims). `source_of` tells which values can be prepared.
    """
    return apply(PREPARE, x, function=function, dims=dims)


def _prepared(node: Node, array: Array, name: str) -> Array:
    function: Callable[[Array], Array] = node.attributes["function"]
    return function(array)


_BEFORE = "it is done before the model runs"

PREPARE = Op(
    "prepare",
    "What a function makes of a model's whole input.",
    shape=lambda node: (node.attributes["dims"],),
    before_model=_prepared,
    why_not=dict.fromkeys(("reference", "gradient", "profile"), _BEFORE),
)


def source_of(x: Value) -> tuple[Value, list[Node]]:
    """The value that x is prepared from, and the nodes that lead from it to x.

    It is a model's input where all that is done to one can be done before the model runs.
    """
    nodes: list[Node] = []
    while x.node is not None and x.node.op.before_model is not None:
        nodes.append(x.node)
        x = x.node.inputs[0]
    return x, nodes[::-1]


def indices(x: Value, most: int, layer: str, least: int = 0) -> Value:
    """x as int32: row numbers from `least` to `most`, for the layer that is described.

    Where x is a model's input, callers' arrays are checked before the model runs, and read as
    integers, so that no index loses a digit. What is computed is rounded towards 0.
    """
    return apply(INDICES, x, least=least, most=most, who=layer)


def _checked(node: Node, array: Array, name: str) -> Array:
    """The array, if it holds whole numbers from `least` to `most`."""
    who, least, most = (node.attributes[key] for key in ("who", "least", "most"))
    rows = max(1, _CHUNK // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array), rows):
        part = array[start : start + rows]
        if part.dtype.kind in "iu" and part.size and part.min() >= least and part.max() <= most:
            continue
        if part.dtype.kind == "b":
            part = part.astype(np.uint8)
        with np.errstate(invalid="ignore"):
            bad = ~((part >= least) & (part <= most))
            if part.dtype.kind == "f":
                bad |= part != np.floor(part)
        if bad.any():
            place = np.argwhere(bad)[0]
            value = part[tuple(place)]
            row = start + int(place[0])
            where = ", ".join(str(p) for p in (row, *place[1:].tolist()))
            raise ValueError(
                f"{who} needs whole numbers from {max(least, 0)} to {most}, but {name}[{where}] "
                f"(row {row}) is {value}"
            )
    return array


INDICES = Op(
    "indices",
    "x as int32, rounded towards 0; -1 for what is below 0, NaN or too large.",
    shape=lambda node: (node.inputs[0].dims,),
    dtype=lambda node: "int32",
    mask="passes",
    before_model=_checked,
    why_not=_SCATTERED | {"gradient": "whole numbers have none"},
)


def lookup(w: Variable, x: Value, layer: str) -> Value:
    """The rows of w (rows, cols) that x (...) numbers: (..., cols); NaN for those it has not."""
    (table,) = weights_of(x, w)
    return apply(LOOKUP, indices(x, w.shape[0] - 1, layer), table)


def _looked_up(node: Node) -> tuple[Dims, ...]:
    index, w = node.inputs
    return ((*index.dims, w.dims[1]),)


def _of_lookup(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    index, w = node.inputs
    return None, apply(LOOKUP_GRADIENT, dy, index, rows=w.dims[0])


def _lookup_bytes(node: Node, size: Callable[[Value], int]) -> int:
    """Of its table, one row for each that it writes."""
    return size(node.inputs[0]) + 2 * size(node.output)


LOOKUP = Op(
    "lookup",
    "The rows of w that the index numbers; NaN for those it has not.",
    shape=_looked_up,
    dtype=lambda node: node.inputs[1].dtype,
    layout=any_layout,
    takes=("int32", "float"),
    weights=(1,),
    gradient=_of_lookup,
    bytes=_lookup_bytes,
    mask="passes",
    why_not=_SCATTERED,
)
LOOKUP_GRADIENT: Op = Op(
    "lookup_gradient",
    "With respect to w: each row of dy, added to the row it came from.",
    shape=lambda node: ((node.attributes["rows"], node.inputs[0].dims[-1]),),
    layout=as_matrix,
    takes=("float", "int32"),
    sums_examples=True,
    gradient=lambda node, wanted, ddw: (apply(LOOKUP, node.inputs[1], ddw), None),
    mask="consumes",
    why_not=_SCATTERED,
)


def encode(x: Value, depth: int, layer: str, *, counts: bool, least: int = 0) -> Value:
    """Which of the numbers below `depth`, or how many of each, are in x (..., n): (..., depth)."""
    index = indices(x, depth - 1, layer, least)
    return apply(ENCODE, index, depth=depth, counts=counts, dtype=x.dtype)


ENCODE = Op(
    "encode",
    "Which numbers, or how many of each, stand in a row.",
    shape=lambda node: ((*node.inputs[0].dims[:-1], node.attributes["depth"]),),
    dtype=lambda node: str(node.attributes["dtype"]),
    takes=("int32",),
    mask="passes",
    options=("counts",),
    why_not=_SCATTERED | {"gradient": "whole numbers have none"},
)
