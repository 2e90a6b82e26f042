"""Functions of each element."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...backends.formulas import ACTIVATIONS, Activation
from ...variables import Variable
from ..op import OPS, Gradients, Op, like_first, like_inputs
from ..trace import Node, Value, apply
from .dense import BIAS_GRADIENT
from .shapes import reshape
from .terms import Term
from .weights import weights_of

if TYPE_CHECKING:
    from ...backends.scalar_functions import ScalarFunction
    from ..plan import Plan

__all__ = ["activation", "own_activation", "prelu", "scale"]

# ----------------------------------------------------------------------- activations


def activation(kind: str, x: Value, alpha: float = 0.0) -> Value:
    """An elementwise activation, named as in `hotloop.kernels`; alpha is its one option."""
    return apply(OPS[kind], x, alpha=alpha)


def _activation(formula: Activation) -> None:
    """The records of an activation and of its gradient, which reads its input or its output."""
    reads_input = formula.reads == "x"

    def of_gradient(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
        from .curvatures import CURVATURES  # of ops that are made of these

        factor, saved = node.inputs
        of_factor = apply(node.op, dy, saved, **node.attributes) if wanted[0] else None
        if not wanted[1] or formula.name not in CURVATURES:
            return of_factor, None
        curvature = CURVATURES[formula.name](Term(saved), node.attributes["alpha"])
        return of_factor, (Term(dy) * Term(factor) * curvature).value

    gradient = Op(
        f"{formula.name}_gradient",
        f"dy times the derivative of {formula.name} at its {'in' if reads_input else 'out'}put.",
        shape=like_first,
        in_place=True,
        reads_windows=range(2),
        mask="passes",
        elementwise=True,
        activation_of_gradient=formula.name,
        options=("alpha",),
        gradient=of_gradient,
    )

    def rule(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
        saved = node.inputs[0] if reads_input else node.output
        return (apply(gradient, dy, saved, **node.attributes),)

    Op(
        formula.name,
        (formula.value.__doc__ or "").partition("\n")[0],
        shape=like_first,
        gradient=rule,
        reads_windows=(0,),
        writes_windows=True,
        mask="passes",
        elementwise=True,
        activation=True,
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


def _below(dy: Value, x: Value) -> Value:
    """dy where x is below 0, else 0."""
    return apply(OPS["relu_gradient"], dy, scale(x, -1.0), alpha=0.0)


def _of_prelu_gradient(node: Node, wanted: tuple[bool, ...], ddx: Value) -> Gradients:
    dy, x, alpha = node.inputs
    each = apply(OPS["multiply"], ddx, _below(dy, x)) if wanted[2] else None
    dalpha = None if each is None else apply(BIAS_GRADIENT, each)
    return apply(PRELU_GRADIENT, ddx, x, alpha), None, dalpha


def _of_prelu_alpha_gradient(node: Node, wanted: tuple[bool, ...], dda: Value) -> Gradients:
    dy, x = node.inputs
    negative = scale(activation("relu", scale(x, -1.0)), -1.0)
    return tuple(apply(OPS["multiply"], value, dda) for value in (negative, _below(dy, x)))


PRELU_GRADIENT: Op = Op(
    "prelu_gradient",
    "With respect to x: dy, times alpha where x is below 0, and 0 where x is.",
    shape=like_first,
    weights=(2,),
    gradient=_of_prelu_gradient,
    in_place=True,
    mask="passes",
)
PRELU_ALPHA_GRADIENT = Op(
    "prelu_alpha_gradient",
    "With respect to alpha: the sum over all rows of dy min(x, 0).",
    shape=lambda node: (node.inputs[0].dims[-1:],),
    sums_examples=True,
    gradient=_of_prelu_alpha_gradient,
    mask="consumes",
    why_not={"numba": "it is a sum over rows"},
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
    why_not=_OWN | {"gradient": "the user's function has its first derivative only"},
)


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
    elementwise=True,
    options=("factor", "offset"),
    why_not={"numba": "NumPy has a loop for it"},
)
