"""Losses said with other ops, for the gradients of their gradients.

The losses themselves are ops with kernels, which know their first derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...backends.formulas import EPSILON
from ..gradients import backward
from ..op import OPS
from ..trace import Value, apply, topological
from .constants import ones_like
from .elementwise import scale
from .merges import multiply
from .reductions import sum_row
from .rows import log_softmax
from .shapes import reshape
from .terms import Term, function

Options = Mapping[str, Any]


def _clipped(p: Term) -> Term:
    return function("minimum", function("maximum", p, EPSILON), 1.0 - EPSILON)


def _smooth(y: Term, options: Options) -> Term:
    share: float = options.get("param", 0.0)
    return y * (1.0 - share) + 0.5 * share


def _binary(y: Term, p: Term, options: Options) -> Term:
    t, q = _smooth(y, options), _clipped(p)
    return -(t * function("log", q)) - (1.0 - t) * function("log", 1.0 - q)


def _binary_logits(y: Term, x: Term, options: Options) -> Term:
    return _activation("softplus", x) - _smooth(y, options) * x


def _activation(name: str, x: Term) -> Term:
    return Term(apply(OPS[name], x.value, alpha=0.0))


def _classes(y: Term, options: Options) -> Term:
    share: float = options.get("smoothing", 0.0)
    return y * (1.0 - share) + share / y.value.dims[-1]


def _categorical(y: Term, p: Term, options: Options) -> Term:
    q = _clipped(p / Term(sum_row(p.value)))
    return -(_classes(y, options) * function("log", q))


def _categorical_logits(y: Term, x: Term, options: Options) -> Term:
    return -(_classes(y, options) * Term(log_softmax(x.value)))


# Means of functions of the elements of a row, and sums of such.
_MEANS: Mapping[str, Callable[[Term, Term, Options], Term]] = {
    "mean_squared_error": lambda y, p, options: (p - y) * (p - y),
    "mean_absolute_error": lambda y, p, options: _activation("absolute", p - y),
    "binary_crossentropy": _binary,
    "binary_crossentropy_logits": _binary_logits,
}
_SUMS: Mapping[str, Callable[[Term, Term, Options], Term]] = {
    "categorical_crossentropy": _categorical,
    "softmax_crossentropy": _categorical_logits,
    "sparse_categorical_crossentropy": _categorical,
    "sparse_softmax_crossentropy": _categorical_logits,
}

FORMULAS = {*_MEANS, *_SUMS}


def values(kind: str, y: Value, p: Value, options: Options) -> Value:
    """The loss of each row."""
    n = p.dims[-1]
    if y.dtype == "int32":
        index = reshape(y, (*p.dims[:-1], 1))
        y = apply(OPS["encode"], index, depth=n, counts=False, dtype=p.dtype)
    if kind in _MEANS:
        found = scale(sum_row(_MEANS[kind](Term(y), Term(p), options).value), 1.0 / n)
    else:
        found = sum_row(_SUMS[kind](Term(y), Term(p), options).value)
    return reshape(found, p.dims[:-1])


def differentiated_twice(
    kind: str, y: Value, p: Value, weight: Value | None, options: Options, ddp: Value
) -> tuple[Value | None, Value | None]:
    """Of the gradient with respect to p: its gradients with respect to y and p, for its own ddp."""
    y, p = (apply(OPS["reshape"], value, dims=value.dims) for value in (y, p))
    loss = values(kind, y, p, options)
    seed = ones_like(loss)
    if weight is not None:
        seed = multiply(seed, reshape(weight, (1,) * len(loss.dims)))
    known = [y, p]
    slope = backward(topological([loss], known), [(loss, seed)], [p])[p]
    found = backward(topological([slope], known), [(slope, ddp)], known)
    return found.get(y), found.get(p)
