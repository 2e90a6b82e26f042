"""Functions of each element: activations, sums and products of values of one shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...backends.formulas import ACTIVATIONS, Activation
from ...variables import Variable
from ..op import OPS, Gradients, Op, like_first, of_one_shape
from ..trace import Node, Value, apply
from .weights import weights_of

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
        activation_of_gradient=formula.name,
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
        activation=True,
        options=("alpha",),
    )


for _formula in ACTIVATIONS.values():
    if _formula.name != "linear":
        _activation(_formula)


def prelu(x: Value, alpha: Variable) -> Value:
    """x, times alpha where it is below 0; alpha (cols,) being the same for each row."""
    return apply(PRELU, x, *weights_of(x, alpha))


def _of_prelu(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    x, alpha = node.inputs
    return apply(PRELU_GRADIENT, dy, x, alpha), apply(PRELU_ALPHA_GRADIENT, dy, x)


PRELU = Op(
    "prelu",
    "x, times alpha, of each column, where x is below 0.",
    shape=like_first,
    gradient=_of_prelu,
    in_place=True,
    mask="passes",
)
PRELU_GRADIENT = Op(
    "prelu_gradient",
    "With respect to x: dy, times alpha where x is below 0, and 0 where x is.",
    shape=like_first,
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
    users=lambda node: "scalar",
    label=_own_label,
    why_not=_OWN,
)
OWN_ACTIVATION_GRADIENT = Op(
    "own_activation_gradient",
    "dy times the derivative of the user's function.",
    shape=like_first,
    mask="passes",
    options=("function",),
    users=lambda node: "scalar",
    label=_own_label,
    why_not=_OWN | {"gradient": "of a gradient"},
)

# ---------------------------------------------------------------------------- merges

_LOOP = {"numba": "NumPy has a loop for it"}


def add(a: Value, b: Value) -> Value:
    """a + b, of one shape."""
    return apply(ADD, a, b)


ADD = Op(
    "add",
    "a + b.",
    shape=of_one_shape,
    gradient=lambda node, wanted, dy: (dy, dy),
    in_place=True,
    mask="passes",
    why_not=_LOOP,
)


def subtract(a: Value, b: Value) -> Value:
    """a - b, of one shape."""
    return apply(SUBTRACT, a, b)


SUBTRACT = Op(
    "subtract",
    "a - b.",
    shape=of_one_shape,
    gradient=lambda node, wanted, dy: (dy, scale(dy, -1.0)),
    in_place=True,
    mask="passes",
    why_not=_LOOP,
)


def multiply(a: Value, b: Value) -> Value:
    """a * b element by element, of one shape."""
    return apply(MULTIPLY, a, b)


def _of_multiply(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    a, b = node.inputs
    return apply(MULTIPLY, dy, b), apply(MULTIPLY, dy, a)


MULTIPLY = Op(
    "multiply",
    "a * b.",
    shape=of_one_shape,
    gradient=_of_multiply,
    in_place=True,
    mask="passes",
    why_not=_LOOP,
)


def maximum(a: Value, b: Value) -> Value:
    """The larger of a and b element by element, of one shape."""
    return apply(OPS["maximum"], a, b)


def minimum(a: Value, b: Value) -> Value:
    """The smaller of a and b element by element, of one shape."""
    return apply(OPS["minimum"], a, b)


def _choice(name: str, chosen: str, relation: str) -> None:
    """The records of maximum or minimum, and of its gradient."""
    gradient = Op(
        f"{name}_gradient",
        f"With respect to a: dy where a {relation} b, and half of it where they are equal.",
        shape=of_one_shape,
        in_place=True,
        mask="passes",
        why_not=_LOOP | {"gradient": "of a gradient"},
    )

    def rule(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
        a, b = node.inputs
        return apply(gradient, dy, a, b), apply(gradient, dy, b, a)

    Op(
        name,
        f"The {chosen} of a and b; NaN where either is.",
        shape=of_one_shape,
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
    gradient=lambda node, wanted, dy: (scale(dy, node.attributes["factor"]),),
    in_place=True,
    mask="passes",
    options=("factor", "offset"),
    why_not=_LOOP,
)
