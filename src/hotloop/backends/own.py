"""The ops that call functions of the user's own, and what is known of their nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import Function, available
from .differences import slopes
from .weights import row_factor, weighted

if TYPE_CHECKING:
    from ..graph.trace import Node
    from .scalar_functions import ScalarFunction

Array = NDArray[Any]


def has_numba() -> bool:
    """Whether functions can be compiled."""
    return available("numba")


# -------------------------------------------------------------------------------- ops
# As in `numpy`, with the user's function as one more keyword. No table of a backend has them:
# every executor knows them by itself.


def own_activation(x: Array, *, function: ScalarFunction, out: Array) -> None:
    """function(x), of any shape."""
    function.loops(x.dtype.name).value(x, out)


def own_activation_gradient(dy: Array, x: Array, *, function: ScalarFunction, out: Array) -> None:
    """dy times the derivative at x."""
    function.loops(x.dtype.name).gradient(dy, x, out)


def own_loss(
    y_true: Array,
    y_pred: Array,
    weight: Array | None,
    *,
    values: Array,
    gradient: Array | None = None,
    scale: float = 1.0,
    function: ScalarFunction,
) -> None:
    """The mean of function(y_true, y_pred) over each row, and its gradient."""
    loops = function.loops(y_pred.dtype.name)
    each = np.empty_like(y_pred)
    loops.value(y_true, y_pred, each)
    values[...] = weighted(each.mean(axis=-1, keepdims=True, dtype=np.float64), weight)
    if gradient is not None:
        loops.gradient(y_true, y_pred, gradient)
        gradient *= row_factor(weight, scale / y_pred.shape[-1], gradient)


def array_loss(
    y_true: Array,
    y_pred: Array,
    weight: Array | None,
    *,
    values: Array,
    gradient: Array | None = None,
    scale: float = 1.0,
    function: Function,
    derivative: Function | None,
    dims: tuple[int, ...],
    name: str,
) -> None:
    """function(y_true, y_pred) of whole arrays (rows, *dims), and its gradient."""
    y, p = (read_only(a.reshape(-1, *dims)) for a in (y_true, y_pred))
    found = np.asarray(function(y, p))
    if found.shape != p.shape[:-1]:
        raise ValueError(
            f"{name}: it must return one value for each row of y_pred, an array of shape "
            f"{p.shape[:-1]}, not {found.shape}; take the mean over axis=-1"
        )
    values[...] = weighted(found.reshape(*values.shape, 1), weight)
    if gradient is None:
        return
    slope = slopes(function, y, p, name) if derivative is None else np.asarray(derivative(y, p))
    if slope.shape != p.shape:
        raise ValueError(
            f"{name}: its gradient must have the shape of y_pred, {p.shape}, not {slope.shape}"
        )
    gradient[...] = slope.reshape(gradient.shape) * row_factor(weight, scale, gradient)


def read_only(array: Array) -> Array:
    """The same numbers, not to be written."""
    view = array.view()
    view.flags.writeable = False
    return view


OPS: Mapping[str, Function] = {
    op.__name__: op for op in (own_activation, own_activation_gradient, own_loss, array_loss)
}


def server(node: Node) -> str | None:
    """What runs a node that is, or calls, a function of the user's own, or that the core has no
    step for; None for others."""
    if node.op.in_python:
        return "python"
    users = node.op.users(node)
    return "numba" if users == "scalar" and has_numba() else "python" if users else None


def may_raise(node: Node) -> bool:
    """Whether a node can raise an error in the middle of a batch: Python runs it."""
    return server(node) == "python"
