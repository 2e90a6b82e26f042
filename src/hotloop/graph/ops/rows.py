"""Functions of each row: of all numbers along the last axis."""

from __future__ import annotations

from collections.abc import Callable

from ..gradients import composed
from ..op import OPS, Gradients, Op, like_first
from ..trace import Node, Value, apply, emit
from .elementwise import activation, scale
from .merges import multiply, subtract
from .reductions import sum_row
from .shapes import columns, concatenate, reshape

__all__ = ["glu", "log_softmax", "softmax", "sparsemax", "unit_rows"]

_SEVERAL = {"numba": "NumPy's loops over whole arrays do it"}


def _by_row(op: Op, x: Value) -> Value:
    """The op of each row of x; a number alone is a row of one."""
    return apply(op, x) if x.dims else reshape(apply(op, reshape(x, (1,))), ())


def softmax(x: Value) -> Value:
    """Softmax over the last axis."""
    return _by_row(OPS["softmax"], x)


def log_softmax(x: Value) -> Value:
    """Log of the softmax over the last axis."""
    return _by_row(OPS["log_softmax"], x)


def sparsemax(x: Value) -> Value:
    """The nearest point of the unit simplex over the last axis."""
    return _by_row(OPS["sparsemax"], x)


def _by_output(
    name: str,
    summary: str,
    gradient_summary: str,
    of_gradient: Callable[..., Gradients],
    why_not: dict[str, str],
) -> None:
    """The records of a function of rows and of its gradient, which reads its output."""
    gradient = Op(
        f"{name}_gradient",
        gradient_summary,
        shape=like_first,
        gradient=of_gradient,
        in_place=True,
        mask="passes",
        why_not=why_not,
    )

    def rule(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
        return (apply(gradient, dy, node.output),)

    Op(name, summary, shape=like_first, gradient=rule, mask="passes", why_not=why_not)


def _softmax_gradient(node: Node, dy: Value, y: Value) -> Value:
    return multiply(y, subtract(dy, sum_row(multiply(dy, y))))


def _log_softmax_gradient(node: Node, dy: Value, y: Value) -> Value:
    return subtract(dy, multiply(activation("exponential", y), sum_row(dy)))


def _of_sparsemax_gradient(node: Node, wanted: tuple[bool, ...], ddx: Value) -> Gradients:
    """It is a projection, whichever way."""
    return apply(node.op, ddx, node.inputs[1]), None


_by_output(
    "softmax",
    "exp(x) / sum(exp(x)) of each row.",
    "y (dy - sum(dy y)) of each row.",
    composed(_softmax_gradient),
    {},
)
_by_output(
    "log_softmax",
    "x - log(sum(exp(x))) of each row.",
    "dy - exp(y) sum(dy) of each row.",
    composed(_log_softmax_gradient),
    {},
)
_by_output(
    "sparsemax",
    "The point of the unit simplex that is nearest to each row.",
    "dy less its mean over the columns with y > 0, and 0 in the others.",
    _of_sparsemax_gradient,
    _SEVERAL,
)


def glu(x: Value) -> Value:
    """The first half of the last axis times the sigmoid of the second."""
    return apply(GLU, x)


GLU = Op(
    "glu",
    "The first half of each row times the sigmoid of the second.",
    shape=lambda node: ((*node.inputs[0].dims[:-1], node.inputs[0].dims[-1] // 2),),
    gradient=lambda node, wanted, dy: (apply(GLU_GRADIENT, dy, node.inputs[0]),),
    mask="passes",
    why_not=_SEVERAL,
)


def _glu_gradient(node: Node, dy: Value, x: Value) -> Value:
    half = dy.dims[-1]
    a, s = columns(x, 0, half), activation("sigmoid", columns(x, half, half))
    of_a = multiply(dy, s)
    of_b = multiply(multiply(of_a, a), scale(s, -1.0, 1.0))
    return concatenate(of_a, of_b, len(dy.dims) - 1)


GLU_GRADIENT: Op = Op(
    "glu_gradient",
    "dy s and dy a s (1 - s) side by side, a being the first half of x and s = sigmoid(second).",
    shape=lambda node: (node.inputs[1].dims,),
    gradient=composed(_glu_gradient),
    mask="passes",
    why_not=_SEVERAL,
)


def unit_rows(x: Value) -> Value:
    """x over its Euclidean length, or over 1e-7 where that is larger, along the last axis."""
    return _by_row(UNIT_ROWS, x)


UNIT_ROWS = Op(
    "unit_rows",
    "Each row over its Euclidean length, or over 1e-7 where that is larger.",
    shape=like_first,
    gradient=lambda node, wanted, dy: (apply(UNIT_ROWS_GRADIENT, dy, node.inputs[0]),),
    mask="passes",
    why_not=_SEVERAL,
)


def _unit_rows_gradient(node: Node, dy: Value, x: Value) -> Value:
    # Rows that are shorter than 1e-7 have the derivative of those that are just as long.
    n = x.dims[-1]
    options = {"epsilon": 1e-14 / n, "centered": False, "scale": False, "center": False}
    _, _, inverse = emit(OPS["layer_norm"], x, **options)
    inverse = reshape(scale(inverse, n**-0.5), (*x.dims[:-1], 1))
    u = multiply(x, inverse)
    return multiply(subtract(dy, multiply(u, sum_row(multiply(dy, u)))), inverse)


UNIT_ROWS_GRADIENT: Op = Op(
    "unit_rows_gradient",
    "(dy - u sum(dy u)) / |x| of each row, with u = x / |x|.",
    shape=like_first,
    gradient=composed(_unit_rows_gradient),
    mask="passes",
    why_not=_SEVERAL,
)
