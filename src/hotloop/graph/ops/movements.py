"""Numbers in other places: slices, flips, tiles, diagonals and the like, one op for all of them.

What a movement does is said by what it makes of the places of an example's numbers, 0, 1, 2 ...:
the numbers follow. A place of -1 is where no number goes: there stands a number that is given.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backends.movements import moved_dims, places
from ..op import Array, Dims, Gradients, Op, Run, any_layout, like_first
from ..trace import Node, Value, apply

__all__ = [
    "as_matrix_kept",
    "each_example",
    "move",
    "plainly_kept",
    "sum_of_examples",
]

IN_PYTHON = {"numba": "NumPy's indexing does it", "profile": "its bytes are those that it moves"}


def places_of(node: Node) -> Array:
    """Those of a node that moves numbers, or moves gradients back; of the output's shape."""
    dims = node.output.dims if node.op is MOVE_BACK else node.inputs[0].dims
    return places(node.attributes["how"], tuple(node.attributes["options"].items()), dims)


def move(x: Value, how: str, fill: float = 0.0, **options: Any) -> Value:
    """The numbers of each example in other places; see `hotloop.backends.movements`.

    Where no number goes, `fill` stands.
    """
    return apply(MOVE, x, how=how, options=options, fill=fill)


def _moved_dims(node: Node) -> tuple[Dims, ...]:
    how, options = node.attributes["how"], node.attributes["options"]
    return (moved_dims(how, options, node.inputs[0].dims),)


def _of_move(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    how, options = node.attributes["how"], node.attributes["options"]
    return (apply(MOVE_BACK, dy, how=how, options=options, dims=node.inputs[0].dims),)


def _move(run: Run, node: Node) -> None:
    out, at = run.array(node.output), places_of(node).ravel()
    rows = run.array(node.inputs[0]).reshape(-1, node.inputs[0].size)
    found = rows[:, at]
    if at.size and at.min() < 0:
        found[:, at < 0] = node.attributes["fill"]
    out[...] = found.reshape(out.shape)


MOVE = Op(
    "move",
    "The numbers of each example in other places.",
    shape=_moved_dims,
    takes=("any",),
    gradient=_of_move,
    reference=_move,
    why_not=IN_PYTHON,
)


def _of_move_back(node: Node, wanted: tuple[bool, ...], ddx: Value) -> Gradients:
    return (move(ddx, node.attributes["how"], **node.attributes["options"]),)


def _move_back(run: Run, node: Node) -> None:
    dx, at = run.array(node.output), places_of(node).ravel()
    dy = run.array(node.inputs[0]).reshape(-1, at.size)
    sums = np.zeros((node.output.size, len(dy)), np.float64)
    np.add.at(sums, at[at >= 0], dy.T[at >= 0])
    dx[...] = sums.T.reshape(dx.shape)


MOVE_BACK: Op = Op(
    "move_back",
    "Each number added where it came from, in a movement.",
    shape=lambda node: (node.attributes["dims"],),
    gradient=_of_move_back,
    reference=_move_back,
    why_not=IN_PYTHON,
)


def each_example(x: Value, like: Value) -> Value:
    """x, of no example, for each example of `like`, which has a batch."""
    return x if x.batched else apply(EACH_EXAMPLE, x, like)


def sum_of_examples(x: Value) -> Value:
    """The sum over all examples: of no example, in the shape of one."""
    from .dense import BIAS_GRADIENT
    from .shapes import reshape

    return reshape(apply(BIAS_GRADIENT, reshape(x, (x.size,))), x.dims)


def _each_example(run: Run, node: Node) -> None:
    run.array(node.output)[...] = run.array(node.inputs[0])


EACH_EXAMPLE = Op(
    "each_example",
    "What has no batch, for each example of another value.",
    shape=like_first,
    takes=("any",),
    weights=(0,),
    of_examples=True,
    gradient=lambda node, wanted, dy: (sum_of_examples(dy), None),
    bytes=lambda node, size: size(node.inputs[0]) + size(node.output),
    reference=_each_example,
    why_not=IN_PYTHON,
)


# ----------------------------------------------------------------------------- layouts


def plainly_kept(x: Value) -> Value:
    """x with one number after another, where it is kept as a matrix for products."""
    return apply(UNPACK, x) if x.row_axes else x


def as_matrix_kept(x: Value) -> Value:
    """x, of no example, as products read a weight: its first axis the rows of a matrix."""
    return x if x.row_axes else apply(PACK, x, row_axes=1)


def _copy(run: Run, node: Node) -> None:
    run.array(node.output)[...] = run.array(node.inputs[0])


def _of_unpack(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    return (apply(PACK, dy, row_axes=node.inputs[0].row_axes),)


UNPACK = Op(
    "unpack",
    "A matrix that products read, one number after another.",
    shape=like_first,
    layout=any_layout,
    gradient=_of_unpack,
    reference=_copy,
    why_not={"numba": "NumPy copies it", "profile": "a copy"},
)
PACK: Op = Op(
    "pack",
    "Numbers one after another, as the matrix that products read.",
    shape=like_first,
    layout=lambda node: node.attributes["row_axes"],
    gradient=lambda node, wanted, dy: (plainly_kept(dy),),
    reference=_copy,
    why_not={"numba": "NumPy copies it", "profile": "a copy"},
)
