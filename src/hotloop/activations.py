"""Activations: functions of arrays, and of the symbolic values inside a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from . import backends, naming
from .data.adapters import as_float
from .graph import ops
from .graph.trace import Value

X = TypeVar("X", NDArray[Any], Value)
Activation = Callable[[Any], Any]


def _apply(op: str, x: Any, alpha: float = 0.0) -> Any:
    """An elementwise op on a value of a graph, or at once on an array."""
    if isinstance(x, Value):
        return ops.activation(op, x, alpha)
    array = as_float(x, "x")
    out = np.empty_like(array)
    backends.call(op, array.reshape(1, -1), out=out.reshape(1, -1), alpha=alpha)
    return out


def _apply_to_rows(op: str, x: Any) -> Any:
    """An op over the last axis."""
    if isinstance(x, Value):
        return ops.softmax(x) if op == "softmax" else ops.log_softmax(x)
    array = as_float(x, "x")
    if array.ndim == 0:
        raise ValueError(f"{op} works over the last axis; got a single number")
    out = np.empty_like(array)
    rows = (-1, array.shape[-1])
    if array.size:
        backends.call(op, array.reshape(rows), out=out.reshape(rows))
    return out


def linear(x: X) -> X:
    """f(x) = x.

    Examples
    --------
    >>> linear(2.0)
    2.0
    """
    return x


def relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Any:
    """Rectified linear unit: f(x) = max(x, 0) (Nair and Hinton, 2010).

    With options, f(x) = max_value where x >= max_value, x where threshold <= x, and
    negative_slope * (x - threshold) below; inside a model the threshold can only be 0.

    Examples
    --------
    >>> relu([-1.0, 2.0])
    array([0., 2.])
    """
    if isinstance(x, Value) or (max_value is None and threshold == 0.0):
        if threshold != 0.0:
            raise ValueError("relu: a threshold is not supported inside a model")
        y = _apply("leaky_relu", x, negative_slope) if negative_slope else _apply("relu", x)
        return y if max_value is None else _at_most(y, max_value)
    array = as_float(x, "x")
    out = np.where(array >= threshold, array, negative_slope * (array - threshold))
    return out if max_value is None else np.minimum(out, max_value)


def _at_most(x: Value, most: float) -> Value:
    """The smaller of x and a number: m - max(m - x, 0)."""
    return ops.scale(ops.activation("relu", ops.scale(x, -1.0, most)), -1.0, most)


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """f(x) = x where x > 0, else negative_slope * x (Maas et al., 2013).

    Examples
    --------
    >>> leaky_relu([-1.0, 2.0])
    array([-0.2,  2. ])
    """
    return _apply("leaky_relu", x, negative_slope)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """f(x) = x where x > 0, else alpha * (exp(x) - 1) (Clevert et al., 2015).

    Examples
    --------
    >>> elu([0.0, 2.0])
    array([0., 2.])
    """
    return _apply("elu", x, alpha)


def selu(x: Any) -> Any:
    """Scaled ELU: 1.0507 * elu(x, 1.6733) (Klambauer et al., 2017).

    Examples
    --------
    >>> selu([1.0]).round(4)
    array([1.0507])
    """
    return _apply("selu", x)


def gelu(x: Any, approximate: bool = False) -> Any:
    """f(x) = x Phi(x), Phi being the normal distribution function (Hendrycks and Gimpel, 2016).

    approximate: by x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).

    Examples
    --------
    >>> gelu([1.0]).round(4)
    array([0.8413])
    """
    return _apply("gelu_tanh" if approximate else "gelu", x)


def silu(x: Any) -> Any:
    """f(x) = x sigmoid(x), also called swish (Elfwing et al., 2017).

    Examples
    --------
    >>> silu([0.0])
    array([0.])
    """
    return _apply("silu", x)


def softplus(x: Any) -> Any:
    """f(x) = log(1 + exp(x)).

    Examples
    --------
    >>> softplus([0.0]).round(4)
    array([0.6931])
    """
    return _apply("softplus", x)


def softsign(x: Any) -> Any:
    """f(x) = x / (1 + |x|).

    Examples
    --------
    >>> softsign([1.0])
    array([0.5])
    """
    return _apply("softsign", x)


def sigmoid(x: Any) -> Any:
    """f(x) = 1 / (1 + exp(-x)).

    Examples
    --------
    >>> sigmoid([0.0])
    array([0.5])
    """
    return _apply("sigmoid", x)


def hard_sigmoid(x: Any) -> Any:
    """f(x) = x / 6 + 1/2, clipped to [0, 1].

    Examples
    --------
    >>> hard_sigmoid([-4.0, 0.0])
    array([0. , 0.5])
    """
    return _apply("hard_sigmoid", x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent: (exp(x) - exp(-x)) / (exp(x) + exp(-x)).

    Examples
    --------
    >>> tanh([0.0])
    array([0.])
    """
    return _apply("tanh", x)


def exponential(x: Any) -> Any:
    """f(x) = exp(x).

    Examples
    --------
    >>> exponential([0.0])
    array([1.])
    """
    return _apply("exponential", x)


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) divided by its sum over the last axis: probabilities of classes.

    Examples
    --------
    >>> softmax([1.0, 1.0])
    array([0.5, 0.5])
    """
    _check_axis("softmax", x, axis)
    return _apply_to_rows("softmax", x)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """log(softmax(x)), computed without overflow.

    Examples
    --------
    >>> log_softmax([1.0, 1.0]).round(4)
    array([-0.6931, -0.6931])
    """
    _check_axis("log_softmax", x, axis)
    return _apply_to_rows("log_softmax", x)


def _check_axis(name: str, x: Any, axis: int) -> None:
    rank = len(x.shape) if isinstance(x, Value) else np.ndim(x)
    if axis not in (-1, rank - 1):
        raise ValueError(f"{name} works over the last axis (-1), not {axis}; transpose x first")


_BY_NAME: dict[str, Activation] = {
    f.__name__: f
    for f in (
        linear,
        relu,
        leaky_relu,
        elu,
        selu,
        gelu,
        silu,
        softplus,
        softsign,
        sigmoid,
        hard_sigmoid,
        tanh,
        exponential,
        softmax,
        log_softmax,
    )
} | {"swish": silu}


def get(identifier: str | Activation | None) -> Activation:
    """The activation for a name or a function; None is `linear`.

    Raises
    ------
    ValueError
        For a name that is not known; the nearest one is suggested.
    TypeError
        For something that is neither.

    Examples
    --------
    >>> get("relu") is relu
    True
    """
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        found: Activation = naming.lookup("activation", identifier, _BY_NAME)
        return found
    if callable(identifier):
        return identifier
    raise TypeError(f"an activation must be a name, a function or None, not {identifier!r}")
