"""The ops that layers and losses are made of, each beside its gradient.

An op's function checks shapes and adds a node to the graph. Its gradient, registered
right below it, is given the node and the gradient of the node's first output, and adds
the nodes that compute the gradients of those inputs that are wanted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..backends.formulas import ACTIVATIONS
from ..variables import Variable
from .trace import Node, Value, emit, parameter

Gradients = tuple[Value | None, ...]
GradientRule = Callable[[Node, Value, tuple[bool, ...]], Gradients]

GRADIENTS: dict[str, GradientRule] = {}

# Elementwise activations, and those of them whose gradient reads their input, not their output.
ELEMENTWISE = frozenset(ACTIVATIONS) - {"linear"}
READS_INPUT = frozenset(a.name for a in ACTIVATIONS.values() if a.reads == "x")


def gradient_of(*ops: str) -> Callable[[GradientRule], GradientRule]:
    """Registers the gradient rule of ops."""

    def register(rule: GradientRule) -> GradientRule:
        for op in ops:
            GRADIENTS[op] = rule
        return rule

    return register


def _backward(op: str, node: Node, *inputs: Value, like: Value, **attributes: Any) -> Value:
    """One node of a backward pass; its output has the shape of `like`."""
    (out,) = emit(op, inputs, like.dims, batched=like.batched, layer=node.layer, **attributes)
    return out


# ------------------------------------------------------------------ matrix product


def matmul(x: Value, w: Variable) -> Value:
    """x @ w over the last axis of x: (..., inputs) with (inputs, units), both of one dtype."""
    if w.dtype != x.dtype:
        raise ValueError(
            f"the weight '{w.path}' is {w.dtype} but its input is {x.dtype}; give all layers of a "
            "model the same dtype, by dtype=... or hotloop.config.set_floatx(...)"
        )
    (y,) = emit("matmul", (x, parameter(w)), (*x.dims[:-1], w.shape[1]))
    return y


@gradient_of("matmul")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    x, w = node.inputs
    dx = _backward("input_gradient", node, dy, w, like=x) if wanted[0] else None
    dw = _backward("weight_gradient", node, x, dy, like=w) if wanted[1] else None
    return dx, dw


def add_bias(x: Value, b: Variable) -> Value:
    """x + b over the last axis."""
    (y,) = emit("add_bias", (x, parameter(b)), x.dims)
    return y


@gradient_of("add_bias")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    b = node.inputs[1]
    return dy, (_backward("bias_gradient", node, dy, like=b) if wanted[1] else None)


# --------------------------------------------------------------------- activations


def activation(kind: str, x: Value, alpha: float = 0.0) -> Value:
    """An elementwise activation, named as in `hotloop.kernels`; alpha is its one option."""
    (y,) = emit(kind, (x,), x.dims, alpha=alpha)
    return y


@gradient_of(*ELEMENTWISE)
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    saved = node.inputs[0] if node.op in READS_INPUT else node.output
    return (_backward(node.op + "_gradient", node, dy, saved, like=dy, **node.attributes),)


def softmax(x: Value) -> Value:
    """Softmax over the last axis."""
    (y,) = emit("softmax", (x,), x.dims)
    return y


def log_softmax(x: Value) -> Value:
    """Log of the softmax over the last axis."""
    (y,) = emit("log_softmax", (x,), x.dims)
    return y


@gradient_of("softmax", "log_softmax")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    return (_backward(node.op + "_gradient", node, dy, node.output, like=dy),)


# ---------------------------------------------------------------------- shape, noise


def reshape(x: Value, dims: tuple[int, ...]) -> Value:
    """The same elements of each example in another shape; one dimension may be -1."""
    if -1 in dims:
        known = -math.prod(dims)
        dims = tuple(x.size // known if known and d == -1 else d for d in dims)
    if math.prod(dims) != x.size:
        raise ValueError(
            f"cannot reshape {x.dims} ({x.size} elements) into {dims}: "
            "the number of elements must stay the same"
        )
    (y,) = emit("reshape", (x,), dims)
    return y


@gradient_of("reshape")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    return (_backward("reshape", node, dy, like=node.inputs[0]),)


def identity(x: Value) -> Value:
    """x itself, under the name of the current layer."""
    return reshape(x, x.dims)


def dropout(x: Value, rate: float, seed: int) -> Value:
    """Each element is zero with probability `rate`, else divided by 1 - rate; training only."""
    (y,) = emit("dropout", (x,), x.dims, rate=rate, seed=seed)
    return y


@gradient_of("dropout")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    # The same bits are drawn again: no mask is kept.
    return (_backward("dropout", node, dy, like=dy, **node.attributes),)


def add(a: Value, b: Value) -> Value:
    """a + b, of one shape."""
    (y,) = emit("add", (a, b), a.dims, batched=a.batched)
    return y


@gradient_of("add")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    return dy, dy


# ------------------------------------------------------------------------- merging


def subtract(a: Value, b: Value) -> Value:
    """a - b, of one shape."""
    (y,) = emit("subtract", (a, b), a.dims)
    return y


@gradient_of("subtract")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    return dy, (scale(dy, -1.0) if wanted[1] else None)


def multiply(a: Value, b: Value) -> Value:
    """a * b element by element, of one shape."""
    (y,) = emit("multiply", (a, b), a.dims)
    return y


@gradient_of("multiply")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    a, b = node.inputs
    return (
        _backward("multiply", node, dy, b, like=a) if wanted[0] else None,
        _backward("multiply", node, dy, a, like=b) if wanted[1] else None,
    )


def maximum(a: Value, b: Value) -> Value:
    """The larger of a and b element by element, of one shape."""
    (y,) = emit("maximum", (a, b), a.dims)
    return y


def minimum(a: Value, b: Value) -> Value:
    """The smaller of a and b element by element, of one shape."""
    (y,) = emit("minimum", (a, b), a.dims)
    return y


@gradient_of("maximum", "minimum")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    a, b = node.inputs
    op = node.op + "_gradient"
    return (
        _backward(op, node, dy, a, b, like=a) if wanted[0] else None,
        _backward(op, node, dy, b, a, like=b) if wanted[1] else None,
    )


def scale(x: Value, factor: float, offset: float = 0.0) -> Value:
    """x * factor + offset."""
    (y,) = emit("scale", (x,), x.dims, factor=factor, offset=offset)
    return y


@gradient_of("scale")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    factor = node.attributes["factor"]
    return (_backward("scale", node, dy, like=dy, factor=factor, offset=0.0),)


def concatenate(a: Value, b: Value, axis: int) -> Value:
    """a and b one after the other along an axis of an example, from 0."""
    outer = math.prod(a.dims[:axis])
    parts = [reshape(v, (outer, v.size // outer)) for v in (a, b)]
    (y,) = emit("concatenate", tuple(parts), (outer, parts[0].dims[1] + parts[1].dims[1]))
    return reshape(y, (*a.dims[:axis], a.dims[axis] + b.dims[axis], *a.dims[axis + 1 :]))


def repeat(x: Value, n: int) -> Value:
    """n copies of a vector, as rows."""
    y = reshape(x, (1, x.size))
    for bit in bin(n)[3:]:  # from the highest: twice as many rows, and one more where it is 1
        y = concatenate(y, y, 0)
        if bit == "1":
            y = concatenate(y, reshape(x, (1, x.size)), 0)
    return y


@gradient_of("concatenate")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    a, b = node.inputs
    return (
        _backward("columns", node, dy, like=a, first=0) if wanted[0] else None,
        _backward("columns", node, dy, like=b, first=a.dims[-1]) if wanted[1] else None,
    )


# -------------------------------------------------------------------------- losses


def loss(
    kind: str,
    y_true: Value,
    y_pred: Value,
    weight: Value | None,
    *,
    reduction: str,
    loss_weight: float = 1.0,
    **options: float,
) -> Node:
    """A loss node: its outputs are the weighted value of each row, and the gradient.

    A loss knows its own gradient: of ``loss_weight * reduce(weight * value)`` with respect
    to y_pred, where reduce is the mean over all rows of the batch or the sum.
    """
    inputs = (y_true, y_pred) if weight is None else (y_true, y_pred, weight)
    values, _ = emit(
        "loss",
        inputs,
        y_pred.dims[:-1],
        y_pred.dims,
        dtype=y_pred.dtype,
        kind=kind,
        reduction=reduction,
        loss_weight=loss_weight,
        options=options,
    )
    assert values.node is not None
    return values.node


def metric(
    kind: str, y_true: Value, y_pred: Value, weight: Value | None, **options: float
) -> Value:
    """The weighted value of a metric for each row; a loss can serve as a metric."""
    inputs = (y_true, y_pred) if weight is None else (y_true, y_pred, weight)
    (values,) = emit(
        "metric", inputs, y_pred.dims[:-1], dtype=y_pred.dtype, kind=kind, options=options
    )
    return values
