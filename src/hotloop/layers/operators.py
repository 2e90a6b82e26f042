"""``x + y``, ``2 * x`` and the like on symbolic values, as layers that have Keras's names.

With a number, an operator is a `Rescaling`.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from .. import naming
from ..graph.trace import Value
from .merging import Add, Multiply, Subtract
from .preprocessing import Rescaling


def add(x: Value, other: Any) -> Any:
    """``x + other``"""
    if isinstance(other, Value):
        return Add()([x, other])
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


def divide(x: Value, number: Any) -> Any:
    """``x / number``"""
    divisor = _number("/", x, number)
    if divisor == 0:
        raise ZeroDivisionError(f"a symbolic value of shape {x.shape} is divided by 0")
    return _rescaled("true_divide", x, 1 / divisor)


def negative(x: Value) -> Any:
    """``-x``"""
    return _rescaled("negative", x, -1.0)


def _rescaled(name: str, x: Value, scale: float, offset: float = 0.0) -> Any:
    return Rescaling(scale, offset, name=naming.unique_name(name), dtype=x.dtype)(x)


def _number(operator: str, x: Value, other: Any) -> float:
    """The other side of an operator as a number."""
    if isinstance(other, np.ndarray) and other.ndim == 0:
        other = other[()]
    if not isinstance(other, Real):
        raise TypeError(
            f"{operator} of a symbolic value of shape {x.shape} and {type(other).__name__} is not "
            "supported; the other side must be a number"
            + ("" if operator == "/" else ", or a symbolic value")
        )
    return float(other)
