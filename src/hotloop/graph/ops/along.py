"""Along the last axis: in which order its numbers stand, and those that indices choose."""

from __future__ import annotations

import numpy as np

from ..op import Dims, Gradients, Op, Run, like_first
from ..trace import Node, Value, apply

__all__ = [
    "argmax",
    "argsort",
    "take_along",
]

_IN_PYTHON = {
    "cython": "Python sorts and chooses",
    "numba": "NumPy sorts and chooses",
    "profile": "Python does it",
}
_WHOLE = _IN_PYTHON | {"gradient": "whole numbers have none"}


def argsort(x: Value) -> Value:
    """The indices that sort the last axis, as int32; equal numbers stay in their order."""
    return apply(ARGSORT, x)


def _argsort(run: Run, node: Node) -> None:
    run.array(node.output)[...] = np.argsort(run.array(node.inputs[0]), -1, kind="stable")


ARGSORT = Op(
    "argsort",
    "The indices that sort the last axis.",
    shape=like_first,
    dtype=lambda node: "int32",
    takes=("any",),
    reference=_argsort,
    why_not=_WHOLE,
)


def argmax(x: Value) -> Value:
    """The index of the largest number along the last axis, as int32: the first of equal ones."""
    return apply(ARGMAX, x)


def _argmax(run: Run, node: Node) -> None:
    run.array(node.output)[...] = np.argmax(run.array(node.inputs[0]), -1)


ARGMAX = Op(
    "argmax",
    "The index of the largest number along the last axis.",
    shape=lambda node: (node.inputs[0].dims[:-1],),
    dtype=lambda node: "int32",
    takes=("any",),
    reference=_argmax,
    why_not=_WHOLE,
)


def take_along(x: Value, index: Value) -> Value:
    """The numbers of x (..., n) that an int32 index (..., k) chooses along the last axis.

    One below 0 counts from the end; the nearest number is taken for one that there is not.
    """
    return apply(TAKE_ALONG, x, index)


def _chosen_dims(node: Node) -> tuple[Dims, ...]:
    x, index = node.inputs
    if x.dims[:-1] != index.dims[:-1]:
        raise ValueError(
            f"{node.op.name} needs an index of the same axes but for the last one, not "
            f"{index.shape} for {x.shape}"
        )
    return (index.dims,)


def _index(run: Run, value: Value, n: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    index = run.array(value).astype(np.int64)
    return np.clip(np.where(index < 0, index + n, index), 0, n - 1)


def _take_along(run: Run, node: Node) -> None:
    x, index = node.inputs
    found = np.take_along_axis(run.array(x), _index(run, index, x.dims[-1]), -1)
    run.array(node.output)[...] = found


def _of_take_along(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    x, index = node.inputs
    return apply(PUT_ALONG, dy, index, n=x.dims[-1]), None


TAKE_ALONG = Op(
    "take_along",
    "The numbers that an index chooses along the last axis.",
    shape=_chosen_dims,
    takes=("any", "int32"),
    gradient=_of_take_along,
    reference=_take_along,
    why_not=_IN_PYTHON,
)


def _put_along(run: Run, node: Node) -> None:
    out, (value, index) = run.array(node.output), node.inputs
    x, n = run.array(value), node.attributes["n"]
    sums = np.zeros((x[..., 0].size, n))
    rows = np.arange(len(sums))[:, None]
    at = _index(run, index, n).reshape(len(sums), -1)
    np.add.at(sums, (rows, at), x.reshape(len(sums), -1))
    out[...] = sums.reshape(out.shape)


def _of_put_along(node: Node, wanted: tuple[bool, ...], ddx: Value) -> Gradients:
    return take_along(ddx, node.inputs[1]), None


PUT_ALONG: Op = Op(
    "put_along",
    "Each number, added where an index says along the last axis; 0 elsewhere.",
    shape=lambda node: ((*node.inputs[0].dims[:-1], node.attributes["n"]),),
    takes=("float", "int32"),
    gradient=_of_put_along,
    reference=_put_along,
    why_not=_IN_PYTHON,
)
