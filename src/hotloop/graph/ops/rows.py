"""Functions of each row: of all numbers along the last axis."""

from __future__ import annotations

from ..op import OPS, Gradients, Op, like_first
from ..trace import Node, Value, apply
from .shapes import reshape

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


def _by_output(name: str, summary: str, gradient_summary: str, why_not: dict[str, str]) -> None:
    """The records of a function of rows and of its gradient, which reads its output."""
    gradient = Op(
        f"{name}_gradient",
        gradient_summary,
        shape=like_first,
        in_place=True,
        mask="passes",
        why_not=why_not | {"gradient": "of a gradient"},
    )

    def rule(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
        return (apply(gradient, dy, node.output),)

    Op(name, summary, shape=like_first, gradient=rule, mask="passes", why_not=why_not)


_by_output("softmax", "exp(x) / sum(exp(x)) of each row.", "y (dy - sum(dy y)) of each row.", {})
_by_output(
    "log_softmax", "x - log(sum(exp(x))) of each row.", "dy - exp(y) sum(dy) of each row.", {}
)
_by_output(
    "sparsemax",
    "The point of the unit simplex that is nearest to each row.",
    "dy less its mean over the columns with y > 0, and 0 in the others.",
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
GLU_GRADIENT: Op = Op(
    "glu_gradient",
    "dy s and dy a s (1 - s) side by side, a being the first half of x and s = sigmoid(second).",
    shape=lambda node: (node.inputs[1].dims,),
    mask="passes",
    why_not=_SEVERAL | {"gradient": "of a gradient"},
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
UNIT_ROWS_GRADIENT: Op = Op(
    "unit_rows_gradient",
    "(dy - u sum(dy u)) / |x| of each row, with u = x / |x|.",
    shape=like_first,
    mask="passes",
    why_not=_SEVERAL | {"gradient": "of a gradient"},
)
