"""Second derivatives of activations: how steep the derivative is in what it reads.

That is the activation's input, or its output y, of which relu's derivative is flat.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from .terms import Term, exponential, function, sigmoid

_ROOT = math.sqrt(2 / math.pi)


def _step(x: Term, relation: str, bound: float, height: float) -> Term:
    """height on this side of the bound, else 0."""
    return function("cast", function(relation, x, bound), dtype=x.value.dtype) * height


def _gelu(x: Term, alpha: float) -> Term:
    return exponential(x * x * -0.5) * (2 - x * x) * (1 / math.sqrt(2 * math.pi))


def _gelu_tanh(x: Term, alpha: float) -> Term:
    """x s(u), of u = sqrt(8 / pi) (x + 0.044715 x^3), s being the sigmoid."""
    s = sigmoid((x * x * 0.044715 + 1) * x * (2 * _ROOT))
    slope = (x * x * (3 * 0.044715) + 1) * (2 * _ROOT)  # u'
    bend = x * (12 * _ROOT * 0.044715)  # u''
    return s * (1 - s) * (slope * 2 + x * ((1 - s * 2) * slope * slope + bend))


def _silu(x: Term, alpha: float) -> Term:
    s = sigmoid(x)
    return s * (1 - s) * (x * (1 - s * 2) + 2)


def _mish(x: Term, alpha: float) -> Term:
    """x t, of t = tanh(softplus(x)), whose slope is (1 - t^2) s."""
    s = sigmoid(x)
    t = function("tanh", function("softplus", x, alpha=0.0), alpha=0.0)
    slope = (1 - t * t) * s
    return slope * (x * (1 - s - t * s * 2) + 2)


def _squareplus(y: Term, alpha: float) -> Term:
    """Of y^2 / (y^2 + alpha / 4)."""
    whole = y * y + alpha / 4
    return y * (alpha / 2) / (whole * whole)


def _tanh_shrink(x: Term, alpha: float) -> Term:
    t = function("tanh", x, alpha=0.0)
    return t * (1 - t * t) * 2


def _sparse_plus(y: Term, alpha: float) -> Term:
    inside = function("logical_and", function("greater", y, 0.0), function("less", y, 1.0))
    return function("where", inside, function("rsqrt", y) * 0.5, 0.0)


def _hard_silu(x: Term, alpha: float) -> Term:
    return _step(function("absolute", x, alpha=0.0), "less", 3.0, 1 / 3)


def _softsign(y: Term, alpha: float) -> Term:
    return function("sign", y) * (1 - function("absolute", y, alpha=0.0)) * -2


CURVATURES: Mapping[str, Callable[[Term, float], Term | float]] = {
    "elu": lambda y, alpha: _step(y, "less_equal", 0.0, 1.0),
    "celu": lambda y, alpha: _step(y, "less_equal", 0.0, 1.0 / alpha),
    "selu": lambda y, alpha: _step(y, "less_equal", 0.0, 1.0),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": _silu,
    "hard_silu": _hard_silu,
    "mish": _mish,
    "softplus": lambda y, alpha: exponential(-y),
    "log_sigmoid": lambda y, alpha: -exponential(y),
    "squareplus": _squareplus,
    "sparse_plus": _sparse_plus,
    "softsign": _softsign,
    "sigmoid": lambda y, alpha: 1 - y * 2,
    "tanh": lambda y, alpha: y * -2,
    "tanh_shrink": _tanh_shrink,
    "exponential": lambda y, alpha: 1.0,
}
"""curvature(x or y, alpha) of those that are not flat between their kinks."""
