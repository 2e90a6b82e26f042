"""``x + y``, ``2 * x`` and the like on symbolic values, as layers that have Keras's names.

With a number, an operator is a `Rescaling`; with a weight of a layer of one's own, a part of that;
``abs(x)`` is an `Activation`.
"""

from __future__ import annotations

import sys
from numbers import Real
from typing import Any

import numpy as np

from .. import naming
from ..graph import ops
from ..graph.trace import Value, current_layer
from ..variables import Variable
from .core import Activation
from .merging import Add, Multiply, Subtract
from .preprocessing import Rescaling


def add(x: Value, other: Any) -> Any:
    """``x + other``"""
    if isinstance(other, Value):
        return Add()([x, other])
    if isinstance(other, Variable):
        return ops.add_bias(x, _weight("+", x, other, x.dims[-1:]))
    return _rescaled("add", x, 1.0, _number("+", x, other))


def subtract(x: Value, other: Any) -> Any:
    """``x - other``"""
    if isinstance(other, Value):
        return Subtract()([x, other])
    return _rescaled("subtract", x, 1.0, -_number("-", x, other))


def subtract_from(number: Any, x: Value) -> Any:
    """``number - x``"""
    return _rescaled("subtract", x, -1.0, _number("-", x, number))


def multiply(x: Value, other: Any) -> Any:
    """``x * other``"""
    if isinstance(other, Value):
        return Multiply()([x, other])
    return _rescaled("multiply", x, _number("*", x, other))


def matmul(x: Value, w: Any) -> Any:
    """``x @ w``"""
    if not isinstance(w, Variable):
        raise TypeError(
            f"@ of a symbolic value of shape {x.shape} and {type(w).__name__} is not supported; "
            "the other side must be a weight that add_weight() has made (the layers Dense and Dot "
            "multiply, too)"
        )
    return ops.matmul(x, _weight("@", x, w, (*x.dims[-1:], *w.shape[1:2])))


def divide(x: Value, number: Any) -> Any:
    """``x / number``"""
    divisor = _number("/", x, number)
    if divisor == 0:
        raise ZeroDivisionError(f"a symbolic value of shape {x.shape} is divided by 0")
    return _rescaled("true_divide", x, 1 / divisor)


def negative(x: Value) -> Any:
    """``-x``"""
    return _rescaled("negative", x, -1.0)


def absolute(x: Value) -> Any:
    """``abs(x)``"""
    return Activation("absolute", name=naming.unique_name("absolute"), dtype=x.dtype)(x)


def _rescaled(name: str, x: Value, scale: float, offset: float = 0.0) -> Any:
    return Rescaling(scale, offset, name=naming.unique_name(name), dtype=x.dtype)(x)


def _weight(operator: str, x: Value, w: Variable, shape: tuple[int, ...]) -> Variable:
    """The weight on the other side of an operator, once it is sure that it can be trained."""
    layer = current_layer()
    if layer is None or not any(w is own for own in layer.weights):
        raise TypeError(
            f"{operator} of a symbolic value and the weight '{w.path}': only the call() of the "
            "layer whose add_weight() has made it may use it"
        )
    if w.shape != shape or len(shape) != (2 if operator == "@" else 1):
        expected = f"({x.dims[-1] if x.dims else 1}, units)" if operator == "@" else shape
        raise ValueError(
            f"{layer.describe()}: {operator} of an input of shape {x.shape} needs a weight of "
            f"shape {expected}, but '{w.path}' has shape {w.shape}"
        )
    return w


def _number(operator: str, x: Value, other: Any) -> float:
    """The other side of an operator as a number."""
    if isinstance(other, np.ndarray) and other.ndim == 0:
        other = other[()]
    if not isinstance(other, Real):
        raise TypeError(
            f"{operator} of a symbolic value of shape {x.shape} and {type(other).__name__} is not "
            "supported; the other side must be a number"
            + ("" if operator == "/" else ", or a symbolic value")
            + (", or a weight of the layer's own" if operator == "+" else "")
        )
    return float(other)


Value.operators = sys.modules[__name__]
