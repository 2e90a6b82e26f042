"""Random numbers that a model draws anew for each batch, training or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..op import Op, Run
from ..trace import Node, Value, apply

__all__ = ["drawn"]


def drawn(
    draw: Callable[[tuple[int, ...]], Any], dims: Sequence[int], dtype: str, like: Value | None
) -> Value:
    """What draw(shape) returns: of each example of `like`, or of no example."""
    inputs = () if like is None else (like,)
    return apply(DRAWN, *inputs, draw=draw, dims=tuple(dims), dtype=dtype)


def _drawn(run: Run, node: Node) -> None:
    out = run.array(node.output)
    out[...] = node.attributes["draw"](out.shape)


DRAWN = Op(
    "drawn",
    "Random numbers, drawn anew for each batch.",
    shape=lambda node: (node.attributes["dims"],),
    dtype=lambda node: str(node.attributes["dtype"]),
    takes=("any",),
    reference=_drawn,
    why_not={
        "cython": "Python draws, by NumPy's generators",
        "numba": "NumPy draws",
        "profile": "Python does it",
        "gradient": "random numbers depend on nothing",
    },
)
