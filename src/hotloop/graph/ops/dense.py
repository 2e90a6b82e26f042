"""Matrix products, what is fused with them, and their biases."""

from __future__ import annotations

from collections.abc import Callable

from ...lengths import common
from ...variables import Variable
from ..op import OPS, Dims, Gradients, Op, Run, as_matrix
from ..trace import Node, Value, apply
from .constants import zeros_like
from .weights import weights_of

__all__ = [
    "ADD_BIAS",
    "BATCH_MATMUL",
    "BIAS_GRADIENT",
    "DENSE",
    "INPUT_GRADIENT",
    "MATMUL",
    "WEIGHT_GRADIENT",
    "add_bias",
    "batch_matmul",
    "matmul",
]

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
    reads_windows=(0,),
    writes_windows=True,
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
    reads_windows=(0,),
    writes_windows=True,
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
    elementwise=True,
    why_not={"numba": "NumPy has a loop for it"},
)


# ----------------------------------------------------------------- the backward pass


def _input_gradient(run: Run, node: Node) -> None:
    dy, w, *saved = node.inputs
    run.call(node, dy, w)
    if saved:
        dx, function = run.array(node.output), node.attributes["activation"] + "_gradient"
        run.function(function)(dx, run.array(saved[0]), alpha=node.attributes["alpha"], out=dx)


def _of_input_gradient(node: Node, wanted: tuple[bool, ...], ddx: Value) -> Gradients:
    dy, w, *saved = node.inputs
    if saved:  # an activation's gradient is linear too
        function = OPS[node.attributes["activation"] + "_gradient"]
        ddx = apply(function, ddx, *saved, alpha=node.attributes["alpha"])
    return apply(MATMUL, ddx, w), apply(WEIGHT_GRADIENT, ddx, dy), *(None for _ in saved)


INPUT_GRADIENT: Op = Op(
    "input_gradient",
    "dy @ w', then the gradient of the activation in front if it is fused.",
    shape=lambda node: ((*node.inputs[0].dims[:-1], node.inputs[1].dims[0]),),
    layout=_plain_of_matrix,
    weights=(1,),
    flops=_flops,
    reads_windows=(0,),
    mask="passes",
    gradient=_of_input_gradient,
    reference=_input_gradient,
    why_not={"numba": "BLAS has it"},
)


def _of_weight_gradient(node: Node, wanted: tuple[bool, ...], ddw: Value) -> Gradients:
    x, dy = node.inputs
    return apply(INPUT_GRADIENT, dy, ddw), apply(MATMUL, x, ddw)


WEIGHT_GRADIENT: Op = Op(
    "weight_gradient",
    "x' @ dy over all rows of all examples.",
    shape=lambda node: ((node.inputs[0].dims[-1], node.inputs[1].dims[-1]),),
    layout=as_matrix,
    sums_examples=True,
    gradient=_of_weight_gradient,
    flops=lambda node: 2 * node.inputs[0].size * node.inputs[1].dims[-1],
    reads_windows=range(2),
    mask="consumes",
    why_not={"numba": "BLAS has it"},
)


def _of_bias_gradient(node: Node, wanted: tuple[bool, ...], ddb: Value) -> Gradients:
    return (apply(ADD_BIAS, zeros_like(node.inputs[0]), ddb),)


BIAS_GRADIENT: Op = Op(
    "bias_gradient",
    "The sum of dy over all rows of all examples.",
    shape=lambda node: (node.inputs[0].dims[-1:],),
    sums_examples=True,
    gradient=_of_bias_gradient,
    reads_windows=(0,),
    mask="consumes",
    why_not={"numba": "NumPy has a loop for it"},
)

# ------------------------------------------------------------- products of two values


def batch_matmul(
    a: Value, b: Value, *, transpose_a: bool = False, transpose_b: bool = False
) -> Value:
    """a @ b of the last two axes: (..., m, k) with (..., k, n), those in front being the same.

    With ``transpose_a`` or ``transpose_b`` the last two axes of one change places first.
    """
    return apply(BATCH_MATMUL, a, b, transpose_a=transpose_a, transpose_b=transpose_b)


def _product_of_two(node: Node) -> tuple[Dims, ...]:
    a, b = node.inputs
    written = " @ ".join(
        f"{value.dims}{' transposed' * node.attributes[transpose]}"
        for value, transpose in ((a, "transpose_a"), (b, "transpose_b"))
    )
    lead = common(a.dims[:-2], b.dims[:-2])
    if min(len(a.dims), len(b.dims)) < 2 or lead is None:
        raise ValueError(
            f"batch_matmul needs two values of matrices, with the same axes in front: {written}"
        )
    m, k = _sides(a, node.attributes["transpose_a"])
    inner, n = _sides(b, node.attributes["transpose_b"])
    if common((k,), (inner,)) is None:
        raise ValueError(f"batch_matmul of {written}: the sum is over {k} and over {inner} numbers")
    return ((*lead, m, n),)


def _sides(value: Value, transposed: bool) -> Dims:
    """Rows and columns, once transposed."""
    return value.dims[:-3:-1] if transposed else value.dims[-2:]


def of_product(product: Callable[..., Value], node: Node, dy: Value) -> Gradients:
    """Of y = a b they are dy b' and a' dy; of what is transposed, the transposes of these."""
    a, b = node.inputs
    ta, tb = node.attributes["transpose_a"], node.attributes["transpose_b"]
    return (
        product(b, dy, transpose_a=tb, transpose_b=True)
        if ta
        else product(dy, b, transpose_b=not tb),
        product(dy, a, transpose_a=True, transpose_b=ta)
        if tb
        else product(a, dy, transpose_a=not ta),
    )


def _flops_of_batch_matmul(node: Node) -> int:
    _, k = _sides(node.inputs[0], node.attributes["transpose_a"])
    return 2 * node.output.size * k


BATCH_MATMUL = Op(
    "batch_matmul",
    "a @ b over the last two axes of two values, each or neither of them transposed first.",
    shape=_product_of_two,
    of_examples=True,
    gradient=lambda node, wanted, dy: of_product(batch_matmul, node, dy),
    flops=_flops_of_batch_matmul,
    reads_windows=range(2),
    options=("transpose_a", "transpose_b"),
    why_not={"numba": "BLAS has it"},
)
