"""Matrix products, what is fused with them, and their biases."""

from __future__ import annotations

import math

from ...variables import Variable
from ..op import Gradients, Op, Run, as_matrix
from ..trace import Node, Value, apply
from .shapes import permute
from .weights import weights_of

# ------------------------------------------------------------------ the forward pass


def matmul(x: Value, w: Variable) -> Value:
    """x @ w over the last axis of x: (..., inputs) with (inputs, units), both of one dtype."""
    return apply(MATMUL, x, *weights_of(x, w))


def _of_matmul(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    x, w = node.inputs
    return apply(INPUT_GRADIENT, dy, w), apply(WEIGHT_GRADIENT, x, dy)


def _plain_of_matrix(node: Node) -> int:
    """Layout rule: one number after another, by a weight that is kept as a matrix."""
    w = node.inputs[1]
    if w.row_axes != 1:
        raise ValueError(
            f"{node.op.name} needs a weight that is kept as a matrix of its first axis and its "
            f"second, not {w}; reshape it, or make the variable with as many row_axes"
        )
    return 0


def _flops(node: Node) -> int:
    """Of rows with a weight, either way."""
    return 2 * node.inputs[0].group * node.inputs[1].size


MATMUL = Op(
    "matmul",
    "x @ w over the last axis of x.",
    shape=lambda node: ((*node.inputs[0].dims[:-1], node.inputs[1].dims[1]),),
    layout=_plain_of_matrix,
    weights=(1,),
    gradient=_of_matmul,
    flops=_flops,
    mask="passes",
    why_not={"numba": "BLAS has it"},
)

DENSE = Op(
    "dense",
    "f(x @ w + b) over the last axis of x, with or without b, f being an activation.",
    shape=MATMUL.shape,
    layout=_plain_of_matrix,
    weights=(1, 2),
    flops=_flops,
    mask="passes",
    options=("activation", "alpha"),
    why_not={"numba": "BLAS has it", "gradient": "it is fused when there are gradients already"},
)


def add_bias(x: Value, b: Variable) -> Value:
    """x + b over the last axis."""
    return apply(ADD_BIAS, x, *weights_of(x, b))


ADD_BIAS = Op(
    "add_bias",
    "x + b over the last axis of x.",
    shape=lambda node: (node.inputs[0].dims,),
    weights=(1,),
    gradient=lambda node, wanted, dy: (dy, apply(BIAS_GRADIENT, dy)),
    mask="passes",
    why_not={"numba": "NumPy has a loop for it"},
)


# ----------------------------------------------------------------- the backward pass


def _input_gradient(run: Run, node: Node) -> None:
    dy, w, *saved = node.inputs
    run.call(node, dy, w)
    if saved:
        dx, function = run.array(node.output), node.attributes["activation"] + "_gradient"
        run.function(function)(dx, run.array(saved[0]), alpha=node.attributes["alpha"], out=dx)


INPUT_GRADIENT = Op(
    "input_gradient",
    "dy @ w', then the gradient of the activation in front if it is fused.",
    shape=lambda node: ((*node.inputs[0].dims[:-1], node.inputs[1].dims[0]),),
    layout=_plain_of_matrix,
    weights=(1,),
    flops=_flops,
    mask="passes",
    reference=_input_gradient,
    why_not={"numba": "BLAS has it", "gradient": "of a gradient"},
)

WEIGHT_GRADIENT = Op(
    "weight_gradient",
    "x' @ dy over all rows of all examples.",
    shape=lambda node: ((node.inputs[0].dims[-1], node.inputs[1].dims[-1]),),
    layout=as_matrix,
    sums_examples=True,
    flops=lambda node: 2 * node.inputs[0].size * node.inputs[1].dims[-1],
    mask="consumes",
    why_not={"numba": "BLAS has it", "gradient": "of a gradient"},
)

BIAS_GRADIENT: Op = Op(
    "bias_gradient",
    "The sum of dy over all rows of all examples.",
    shape=lambda node: (node.inputs[0].dims[-1:],),
    sums_examples=True,
    mask="consumes",
    why_not={"numba": "NumPy has a loop for it", "gradient": "of a gradient"},
)

# ------------------------------------------------------------- products of two values


def row_products(a: Value, b: Value) -> Value:
    """The inner product of each row of a (m, k) with each of b (n, k): (m, n)."""
    return apply(ROW_PRODUCTS, a, b)


def _of_row_products(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    a, b = (permute(value, (1, 0)) for value in node.inputs)
    return apply(ROW_PRODUCTS, dy, b), apply(ROW_PRODUCTS, permute(dy, (1, 0)), a)


ROW_PRODUCTS = Op(
    "row_products",
    "The inner product of each row of a with each row of b, example by example.",
    shape=lambda node: ((node.inputs[0].dims[0], node.inputs[1].dims[0]),),
    gradient=_of_row_products,
    flops=lambda node: 2 * math.prod(node.output.dims) * node.inputs[0].dims[-1],
    why_not={"numba": "BLAS has it"},
)
