"""Functions of the elements of one value, or of several that are broadcast to one shape.

They have `keras.ops`'s names. What they compute stands in `hotloop.backends.functions`; here are
their gradients, a line each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from ...backends.functions import BOOL, FUNCTIONS, Function
from ..op import OPS, Gradients, Op, Run, broadcast, like_inputs, of_first
from ..trace import Node, Value, apply
from .merges import broadcast_arrays, sum_to
from .terms import Term, exponential, function, sigmoid

__all__ = ["CONSTANT", "constant", "elementwise", "where"]

ALIASES = {
    "abs": "absolute",
    "bitwise_invert": "bitwise_not",
    "bitwise_left_shift": "left_shift",
    "bitwise_right_shift": "right_shift",
    "exp": "exponential",
    "fabs": "absolute",
    "true_divide": "divide",
}
"""Other names that Keras has, and what an op is called here."""

_WHY_NOT = {"backends": "it is an instruction of programs", "profile": "programs have one"}


def elementwise(name: str, *operands: Value | float) -> Value:
    """The function of this name, in Keras's words, of values and numbers that are broadcast.

    Numbers take the dtype of the values. Activations have it too, but for those that take alpha.
    """
    name = ALIASES.get(name, name)
    terms = [Term(x) if isinstance(x, Value) else x for x in operands]
    return function(name, *terms, **({"alpha": 0.0} if OPS[name].activation else {})).value


def where(condition: Value, a: Value | float, b: Value | float) -> Value:
    """a where the condition holds, else b, broadcast to one shape; one of them is a value."""
    return elementwise("where", condition, a, b)


def constant(number: float, dtype: str) -> Value:
    """One number, of no example."""
    return apply(CONSTANT, number=number, dtype=dtype)


def _constant(run: Run, node: Node) -> None:
    run.array(node.output)[...] = node.attributes["number"]


CONSTANT = Op(
    "constant",
    "One number.",
    shape=lambda node: ((),),
    dtype=lambda node: str(node.attributes["dtype"]),
    elementwise=True,
    reference=_constant,
    why_not=_WHY_NOT | {"gradient": "it depends on nothing"},
)


# ------------------------------------------------------------------------------ gradients
# Of a function of one value: from it, the result and dy. Of two: from both, the result and dy, the
# gradient of each before it is summed to its shape. Those that have none are flat.

_LN_2, _LN_10, _SQRT_PI = math.log(2), math.log(10), math.sqrt(math.pi)

_OF_ONE: Mapping[str, Callable[[Term, Term, Term], Term]] = {
    "exp2": lambda x, y, dy: dy * y * _LN_2,
    "expm1": lambda x, y, dy: dy * (y + 1),
    "log": lambda x, y, dy: dy / x,
    "log2": lambda x, y, dy: dy / (x * _LN_2),
    "log10": lambda x, y, dy: dy / (x * _LN_10),
    "log1p": lambda x, y, dy: dy / (x + 1),
    "sqrt": lambda x, y, dy: dy / (y * 2),
    "rsqrt": lambda x, y, dy: dy * (y * y * y) * -0.5,
    "cbrt": lambda x, y, dy: dy / (y * y * 3),
    "square": lambda x, y, dy: dy * (x * 2),
    "reciprocal": lambda x, y, dy: -(dy * (y * y)),
    "negative": lambda x, y, dy: -dy,
    "sin": lambda x, y, dy: dy * function("cos", x),
    "cos": lambda x, y, dy: -(dy * function("sin", x)),
    "tan": lambda x, y, dy: dy * (y * y + 1),
    "arcsin": lambda x, y, dy: dy * function("rsqrt", 1 - x * x),
    "arccos": lambda x, y, dy: -(dy * function("rsqrt", 1 - x * x)),
    "arctan": lambda x, y, dy: dy / (x * x + 1),
    "sinh": lambda x, y, dy: dy * function("cosh", x),
    "cosh": lambda x, y, dy: dy * function("sinh", x),
    "arcsinh": lambda x, y, dy: dy * function("rsqrt", x * x + 1),
    "arccosh": lambda x, y, dy: dy * function("rsqrt", x * x - 1),
    "arctanh": lambda x, y, dy: dy / (1 - x * x),
    "erf": lambda x, y, dy: dy * exponential(-(x * x)) * (2 / _SQRT_PI),
    "erfc": lambda x, y, dy: dy * exponential(-(x * x)) * (-2 / _SQRT_PI),
    "erfinv": lambda x, y, dy: dy * exponential(y * y) * (_SQRT_PI / 2),
    "sinc": lambda x, y, dy: function(
        "where",
        function("equal", x, 0.0),
        0.0,
        dy * (function("cos", x * math.pi) - y) / x,
    ),
}


def _of_power(a: Term, b: Term, y: Term, dy: Term) -> tuple[Term, Term]:
    """Where b is 0 it is 1 whatever a is; where a is 0, it is 0 for all b around."""
    of_a = dy * b * function("power", a, b - 1)
    flat = function("logical_and", function("equal", a, 0.0), function("greater_equal", b, 0.0))
    return (
        function("where", function("equal", b, 0.0), 0.0, of_a),
        function("where", flat, 0.0, dy * y * function("log", a)),
    )


def _of_arctan2(a: Term, b: Term, y: Term, dy: Term) -> tuple[Term, Term]:
    square = a * a + b * b
    slope = function("where", function("equal", square, 0.0), 0.0, dy / square)
    return slope * b, -(slope * a)


def _of_choice(wins: Callable[[Term, Term], Term]) -> Callable[..., tuple[Term, Term]]:
    """All goes to a where it wins, or b is NaN, and to b elsewhere."""

    def rule(a: Term, b: Term, y: Term, dy: Term) -> tuple[Term, Term]:
        chosen = function("logical_or", wins(a, b), function("isnan", b))
        return function("where", chosen, dy, 0.0), function("where", chosen, 0.0, dy)

    return rule


_OF_TWO: Mapping[str, Callable[[Term, Term, Term, Term], tuple[Term, Term]]] = {
    "divide": lambda a, b, y, dy: (dy / b, -(dy * y / b)),
    "mod": lambda a, b, y, dy: (dy, -(dy * function("floor", a / b))),
    "fmod": lambda a, b, y, dy: (dy, -(dy * function("trunc", a / b))),
    "power": _of_power,
    "arctan2": _of_arctan2,
    "hypot": lambda a, b, y, dy: (dy * (a / y), dy * (b / y)),
    "logaddexp": lambda a, b, y, dy: (dy * sigmoid(a - b), dy * sigmoid(b - a)),
    "logaddexp2": lambda a, b, y, dy: (
        dy * sigmoid((a - b) * _LN_2),
        dy * sigmoid((b - a) * _LN_2),
    ),
    "fmax": _of_choice(lambda a, b: function("greater_equal", a, b)),
    "fmin": _of_choice(lambda a, b: function("less_equal", a, b)),
}


def _rule(name: str) -> Callable[..., Gradients] | None:
    """The gradient rule of a record."""

    def of_one(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
        return (_OF_ONE[name](Term(node.inputs[0]), Term(node.output), Term(dy)).value,)

    def of_two(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
        a, b = node.inputs
        found = _OF_TWO[name](Term(a), Term(b), Term(node.output), Term(dy))
        return tuple(
            sum_to(term.value, value) if ask else None
            for term, value, ask in zip(found, node.inputs, wanted, strict=True)
        )

    return of_one if name in _OF_ONE else of_two if name in _OF_TWO else None


def _reference(of: Function) -> Callable[[Run, Node], None]:
    def reference(run: Run, node: Node) -> None:
        of(*broadcast_arrays(run, node), out=run.array(node.output))

    return reference


def _record(of: Function) -> None:
    rule = _rule(of.name)
    why_not = _WHY_NOT.copy()
    if rule is None:
        why_not["gradient"] = "what is true or not has none" if of.tells else "it is 0"
    if of.takes == "whole":
        why_not["cython"] = "NumPy has a loop for it"
    Op(
        of.name,
        of.summary,
        shape=broadcast,
        dtype=(lambda node: BOOL) if of.tells else of_first,
        layout=like_inputs,
        takes=("any", "same") if of.takes == "any" else (of.takes,),
        weights=range(of.arity) if of.arity > 1 else (),
        gradient=rule,
        in_place=True,
        mask="passes",
        elementwise=of.takes != "whole",
        reference=_reference(of),
        why_not=why_not,
    )


for _function in FUNCTIONS.values():
    _record(_function)


def _where(run: Run, node: Node) -> None:
    condition, a, b = broadcast_arrays(run, node)
    run.array(node.output)[...] = np.where(condition, a, b)


def _of_where(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    condition, a, b = node.inputs
    return (
        None,
        sum_to(where(condition, dy, 0.0), a) if wanted[1] else None,
        sum_to(where(condition, 0.0, dy), b) if wanted[2] else None,
    )


def _of_second(node: Node) -> str:
    """Dtype rule: that of a and b."""
    _, a, b = node.inputs
    if a.dtype != b.dtype:
        raise ValueError(f"where needs two values of one dtype, not {a} and {b}; cast one of them")
    return a.dtype


WHERE = Op(
    "where",
    "a where the condition holds, else b.",
    shape=broadcast,
    dtype=_of_second,
    takes=(BOOL, "any"),
    weights=range(3),
    gradient=_of_where,
    mask="passes",
    elementwise=True,
    reference=_where,
    why_not=_WHY_NOT,
)
