"""Functions of whole arrays that Python computes: steps that take the GIL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...backends.own import read_only
from ..op import Array, Gradients, Op, Run
from ..trace import Node, Value, apply, emit

__all__ = ["python"]


def python(
    inputs: Sequence[Value],
    dims: Callable[[Sequence[Value]], tuple[int | None, ...]],
    function: Callable[..., Any],
    gradient: Callable[..., Any] | None,
) -> Value:
    """A function of whole arrays that Python computes.

    It is called on the inputs, of shape (rows, ...), and returns the output; `gradient` on the
    inputs and the output's gradient, and returns a list of theirs. `dims` is the shape rule.
    """
    return apply(LAMBDA, *inputs, dims=dims, function=function, gradient=gradient)


def _of_lambda(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    if node.attributes["gradient"] is None:
        assert node.layer is not None
        raise ValueError(
            f"{node.layer.describe()} has no gradient, but weights in front of it are trained: "
            "pass gradient=... (a function of x and dy), or set trainable = False on the layers "
            "in front of it"
        )
    return emit(LAMBDA_GRADIENT, dy, *node.inputs, gradient=node.attributes["gradient"])


def _value(run: Run, node: Node) -> None:
    y = node.attributes["function"](*(read_only(run.array(v)) for v in node.inputs))
    _assign(run.array(node.output), y, node, "function")


def _gradients(run: Run, node: Node) -> None:
    dy, *inputs = (read_only(run.array(v)) for v in node.inputs)
    found = node.attributes["gradient"](*inputs, dy)
    for value, gradient in zip(node.outputs, found, strict=True):
        out = run.output(value)
        if out is not None:
            _assign(out, gradient, node, "gradient")


def _assign(out: Array, result: Any, node: Node, what: str) -> None:
    """Takes what the user's function returned; ValueError if it has another shape."""
    found = np.asarray(result)
    if found.shape != out.shape:
        who = node.layer.describe() if node.layer is not None else node.op.name
        raise ValueError(
            f"{who}: its {what} must return an array of shape {out.shape}, not {found.shape}"
        )
    out[...] = found


_USERS = {"profile": "the user's function", "backends": "every executor calls the user's function"}

LAMBDA = Op(
    "lambda",
    "The user's function of whole arrays.",
    shape=lambda node: (node.attributes["dims"](node.inputs),),
    of_examples=True,
    gradient=_of_lambda,
    users=lambda node: "python",
    reference=_value,
    why_not=_USERS,
)
LAMBDA_GRADIENT = Op(
    "lambda_gradient",
    "The user's function of whole arrays and dy, for the gradients of all inputs.",
    shape=lambda node: tuple(value.dims for value in node.inputs[1:]),
    always=(),
    of_examples=True,
    users=lambda node: "python",
    reference=_gradients,
    why_not=_USERS | {"gradient": "the user gives the first derivative only"},
)
