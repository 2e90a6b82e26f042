"""Gradients as a user wants them: none at all, or those of a function of one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..op import Gradients, Op, Run, like_first, like_inputs
from ..trace import Node, Value, apply

__all__ = [
    "own_gradient",
    "without_gradient",
]

_NOTHING = {"profile": "nothing is done", "backends": "nothing is done"}


def _stays(run: Run, node: Node) -> None:
    """The input and the output share their bytes."""


def without_gradient(x: Value) -> Value:
    """x, through which no gradient goes."""
    return apply(STOP_GRADIENT, x)


STOP_GRADIENT = Op(
    "stop_gradient",
    "The same numbers, through which no gradient goes.",
    shape=like_first,
    layout=like_inputs,
    takes=("any",),
    bytes=lambda node, size: 0,
    view=True,
    mask="passes",
    reference=_stays,
    why_not=_NOTHING | {"gradient": "that is what it is for"},
)


def own_gradient(y: Value, inputs: Sequence[Value], gradient: Callable[..., Any]) -> Value:
    """y, whose gradients with respect to these inputs a function of its own gradient returns."""
    return apply(OWN_GRADIENT, y, *inputs, gradient=gradient)


def _of_own_gradient(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    made = node.attributes["gradient"](dy)
    found = tuple(made) if isinstance(made, list | tuple) else (made,)
    if len(found) != len(node.inputs) - 1:
        raise ValueError(
            f"custom_gradient: its gradient returned {len(found)} values, not one for each of "
            f"{len(node.inputs) - 1} arguments"
        )
    return None, *found


OWN_GRADIENT = Op(
    "own_gradient",
    "The same numbers, with a gradient that the user says.",
    shape=like_first,
    takes=("any",),
    weights=range(64),
    gradient=_of_own_gradient,
    bytes=lambda node, size: 0,
    view=True,
    reference=_stays,
    why_not=_NOTHING,
)
