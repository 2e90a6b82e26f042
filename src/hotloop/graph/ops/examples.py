"""Between an array whose first axis is that of examples and a value of each example.

Both are views: in a plan for n examples, the n that a batch has stand one after the other.
"""

from __future__ import annotations

from ..op import Dims, Op, Run
from ..trace import Node, Value, apply

__all__ = ["AS_EXAMPLES", "AS_WHOLE", "as_examples", "as_whole"]

_NOTHING = {"profile": "nothing is done", "backends": "nothing is done"}


def as_examples(x: Value) -> Value:
    """x, of shape (n, ...) and of no example, as a value (...) of each of n examples."""
    return apply(AS_EXAMPLES, x, rows=x.dims[0] if x.dims else 0)


def as_whole(x: Value, rows: int) -> Value:
    """x, of each of so many examples, as one array with an axis of examples in front."""
    return apply(AS_WHOLE, x, rows=rows)


def _of_one(node: Node) -> tuple[Dims, ...]:
    (x,), rows = node.inputs, node.attributes["rows"]
    if x.batched or not rows or x.dims[:1] != (rows,):
        raise ValueError(f"as_examples needs an array with an axis of {rows} examples, not {x}")
    return (x.dims[1:],)


def _of_all(node: Node) -> tuple[Dims, ...]:
    (x,) = node.inputs
    if not x.batched:
        raise ValueError(f"as_whole needs a value of each example, not {x}")
    return ((node.attributes["rows"], *x.dims),)


def _stand_where_they_are(run: Run, node: Node) -> None:
    """The input and the output share their bytes."""


AS_EXAMPLES: Op = Op(
    "as_examples",
    "An array as a value of each example, its first axis being that of examples.",
    shape=_of_one,
    takes=("any",),
    makes_examples=True,
    gradient=lambda node, wanted, dy: (as_whole(dy, node.attributes["rows"]),),
    bytes=lambda node, size: 0,
    view=True,
    reference=_stand_where_they_are,
    why_not=_NOTHING,
)
AS_WHOLE: Op = Op(
    "as_whole",
    "A value of each example as one array, with an axis of examples in front.",
    shape=_of_all,
    takes=("any",),
    sums_examples=True,
    gradient=lambda node, wanted, dy: (as_examples(dy),),
    bytes=lambda node, size: 0,
    view=True,
    reference=_stand_where_they_are,
    why_not=_NOTHING,
)
