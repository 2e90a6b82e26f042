"""Functions of each element: activations, sums and products of values of one shape."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...backends.formulas import ACTIVATIONS, Activation
from ...variables import Variable
from ..op import OPS, Gradients, Op, Run, broadcast, like_first, like_inputs
from ..trace import Node, Value, apply
from .dense import BIAS_GRADIENT, weights_of
from .reductions import sum_steps
from .shapes import reshape

if TYPE_CHECKING:
    from ...backends.scalar_functions import ScalarFunction
    from ..plan import Plan

# ----------------------------------------------------------------------- activations


def activation(kind: str, x: Value, alpha: float = 0.0) -> Value:
    """An elementwise activation, named as in `hotloop.kernels`; alpha is its one option."""
    return apply(OPS[kind], x, alpha=alpha)


def _activation(formula: Activation) -> None:
    """The records of an activation and of its gradient, which reads its input or its output."""
    reads_input = formula.reads == "x"
    gradient = Op(
        f"{formula.name}_gradient",
        f"dy times the derivative of {formula.name} at its {'in' if reads_input else 'out'}put.",
        shape=like_first,
        in_place=True,
        mask="passes",
        activation=formula.name,
        options=("alpha",),
        why_not={"gradient": "of a gradient"},
    )

    def rule(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
        saved = node.inputs[0] if reads_input else node.output
        return (apply(gradient, dy, saved, **node.attributes),)

    Op(
        formula.name,
        (formula.value.__doc__ or "").partition("\n")[0],
        shape=like_first,
        gradient=rule,
        mask="passes",
        activation=formula.name,
        options=("alpha",),
    )


for _formula in ACTIVATIONS.values():
    if _formula.name != "linear":
        _activation(_formula)


def prelu(x: Value, alpha: Variable) -> Value:
    """x, times alpha where it is below 0; alpha, of cols numbers, being the same for each row."""
    (given,) = weights_of(x, alpha)
    return apply(PRELU, x, reshape(given, (alpha.size,)))


def _of_prelu(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    x, alpha = node.inputs
    return apply(PRELU_GRADIENT, dy, x, alpha), apply(PRELU_ALPHA_GRADIENT, dy, x)


PRELU = Op(
    "prelu",
    "x, times alpha, of each column, where x is below 0.",
    shape=like_first,
    weights=(1,),
    gradient=_of_prelu,
    in_place=True,
    mask="passes",
)
PRELU_GRADIENT = Op(
    "prelu_gradient",
    "With respect to x: dy, times alpha where x is below 0, and 0 where x is.",
    shape=like_first,
    weights=(2,),
    in_place=True,
    mask="passes",
    why_not={"gradient": "of a gradient"},
)
PRELU_ALPHA_GRADIENT = Op(
    "prelu_alpha_gradient",
    "With respect to alpha: the sum over all rows of dy min(x, 0).",
    shape=lambda node: (node.inputs[0].dims[-1:],),
    sums_examples=True,
    mask="consumes",
    why_not={
        "numba": "it is a sum over rows",
        "gradient": "of a gradient",
    },
)


def own_activation(x: Value, function: ScalarFunction) -> Value:
    """A function of the user's own, of each element."""
    return apply(OWN_ACTIVATION, x, function=function)


def _own_label(plan: Plan, node: Node) -> tuple[str, str]:
    name: str = node.attributes["function"].name
    gradient = "_gradient" if node.op is OWN_ACTIVATION_GRADIENT else ""
    return name + gradient, node.layer.name if node.layer is not None else ""


def _of_own_activation(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    return (apply(OWN_ACTIVATION_GRADIENT, dy, node.inputs[0], **node.attributes),)


_OWN = {"profile": "the user's function", "backends": "every executor calls the user's function"}

OWN_ACTIVATION = Op(
    "own_activation",
    "The user's function of each element.",
    shape=like_first,
    gradient=_of_own_activation,
    mask="passes",
    options=("function",),
    label=_own_label,
    why_not=_OWN,
)
OWN_ACTIVATION_GRADIENT = Op(
    "own_activation_gradient",
    "dy times the derivative of the user's function.",
    shape=like_first,
    mask="passes",
    options=("function",),
    label=_own_label,
    why_not=_OWN | {"gradient": "of a gradient"},
)

# ---------------------------------------------------------------------------- merges

_LOOP = {"numba": "NumPy has a loop for it"}


def _broadcast(run: Run, node: Node) -> None:
    """Reference: a function of arrays that are broadcast, behind the batch where there is one."""
    rank = len(node.output.dims)
    arrays = []
    for value in node.inputs:
        array = run.array(value)
        batch = array.shape[: array.ndim - len(value.dims)]
        arrays.append(array.reshape(batch + (1,) * (rank - len(value.dims)) + value.dims))
    run.function(node)(*arrays, out=run.array(node.output))


_MERGED: dict[str, Any] = {
    "shape": broadcast,
    "layout": like_inputs,
    "weights": range(3),
    "reference": _broadcast,
}


def sum_to(x: Value, like: Value) -> Value:
    """The sum over the axes, and the examples, along which `like` was broadcast to x."""
    rank = len(x.dims)
    for axis, n in zip(range(-1, -rank - 1, -1), reversed(x.dims), strict=True):
        before, after = x.dims[: axis + rank], x.dims[axis + rank + 1 :]
        if n != 1 and (len(like.dims) < -axis or like.dims[axis] == 1):
            rows = reshape(x, (math.prod(before), n, math.prod(after)))
            x = reshape(sum_steps(rows), (*before, 1, *after))
    if x.batched and not like.batched:
        x = apply(BIAS_GRADIENT, reshape(x, (x.size,)))
    return x if x.dims == like.dims else reshape(x, like.dims)


def add(a: Value, b: Value) -> Value:
    """a + b, broadcast to one shape."""
    return apply(ADD, a, b)


ADD = Op(
    "add",
    "a + b.",
    **_MERGED,
    gradient=lambda node, wanted, dy: tuple(sum_to(dy, value) for value in node.inputs),
    in_place=True,
    mask="passes",
    why_not=_LOOP,
)


def subtract(a: Value, b: Value) -> Value:
    """a - b, broadcast to one shape."""
    return apply(SUBTRACT, a, b)


def _of_subtract(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    a, b = node.inputs
    return sum_to(dy, a), scale(sum_to(dy, b), -1.0) if wanted[1] else None


SUBTRACT = Op(
    "subtract",
    "a - b.",
    **_MERGED,
    gradient=_of_subtract,
    in_place=True,
    mask="passes",
    why_not=_LOOP,
)


def multiply(a: Value, b: Value) -> Value:
    """a * b element by element, broadcast to one shape."""
    return apply(MULTIPLY, a, b)


def _of_multiply(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    a, b = node.inputs
    da = sum_to(apply(MULTIPLY, dy, b), a) if wanted[0] else None
    return da, sum_to(apply(MULTIPLY, dy, a), b) if wanted[1] else None


MULTIPLY = Op(
    "multiply",
    "a * b.",
    **_MERGED,
    gradient=_of_multiply,
    in_place=True,
    mask="passes",
    why_not=_LOOP,
)


def maximum(a: Value, b: Value) -> Value:
    """The larger of a and b element by element, broadcast to one shape."""
    return apply(OPS["maximum"], a, b)


def minimum(a: Value, b: Value) -> Value:
    """The smaller of a and b element by element, broadcast to one shape."""
    return apply(OPS["minimum"], a, b)


def _choice(name: str, chosen: str, relation: str) -> None:
    """The records of maximum or minimum, and of its gradient."""
    gradient = Op(
        f"{name}_gradient",
        f"With respect to a: dy where a {relation} b, and half of it where they are equal.",
        **_MERGED,
        in_place=True,
        mask="passes",
        why_not=_LOOP | {"gradient": "of a gradient"},
    )

    def rule(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
        a, b = node.inputs
        da = sum_to(apply(gradient, dy, a, b), a) if wanted[0] else None
        return da, sum_to(apply(gradient, dy, b, a), b) if wanted[1] else None

    Op(
        name,
        f"The {chosen} of a and b; NaN where either is.",
        **_MERGED,
        gradient=rule,
        in_place=True,
        mask="passes",
        why_not=_LOOP,
    )


_choice("maximum", "larger", ">")
_choice("minimum", "smaller", "<")


def scale(x: Value, factor: float, offset: float = 0.0) -> Value:
    """x * factor + offset."""
    return apply(SCALE, x, factor=factor, offset=offset)


SCALE = Op(
    "scale",
    "x * factor + offset.",
    shape=like_first,
    layout=like_inputs,
    gradient=lambda node, wanted, dy: (scale(dy, node.attributes["factor"]),),
    in_place=True,
    mask="passes",
    options=("factor", "offset"),
    why_not=_LOOP,
)
