"""``x + y``, ``2 * x`` and the like on symbolic values, as layers that have Keras's names.

Outside of all calls, an operator with a number is a `Rescaling`, of two values a layer that merges,
and ``abs(x)`` an `Activation`; all else is a function of `hotloop.ops`.
"""

from __future__ import annotations

import sys
from numbers import Real
from typing import Any

import numpy as np

from .. import naming
from ..graph.trace import Value, is_recording
from ..lengths import Length
from ..variables import Variable
from .core import Activation
from .merging import Add, Multiply, Subtract
from .operation import as_layer as as_layer
from .preprocessing import Rescaling


def by_function(name: str, *operands: Any) -> Any:
    """What a function of `hotloop.ops` makes of the operands."""
    from .. import ops as functions

    for operand in operands:
        _check(name, operand)
    return getattr(functions, name)(*operands)


def _check(name: str, operand: Any) -> None:
    """TypeError for what no operator takes."""
    if name == "get_item" or isinstance(operand, Value | Variable | np.ndarray | list):
        return
    if not isinstance(operand, Real | np.generic | Length):
        raise TypeError(
            f"{name} of a symbolic value and {type(operand).__name__} is not supported; the other "
            "side must be a number, an array, a weight or a symbolic value"
        )


def _is_number(x: Value, other: Any) -> bool:
    """Whether a `Rescaling` does it: outside of all calls, of a model's floats and a number."""
    if is_recording() or x.recorder is not None or not x.dtype.startswith("float"):
        return False
    if isinstance(other, np.ndarray) and other.ndim == 0:
        other = other[()]
    return isinstance(other, Real) and not isinstance(other, bool)


def _is_merge(x: Value, other: Any) -> bool:
    """Whether a layer that merges does it: of two values of one shape outside of all calls."""
    if is_recording() or x.recorder is not None or not isinstance(other, Value):
        return False
    return x.batched and other.batched and len(x.dims) == len(other.dims)


def add(x: Value, other: Any) -> Any:
    """``x + other``"""
    if _is_merge(x, other):
        return Add()([x, other])
    if _is_number(x, other):
        return _rescaled("add", x, 1.0, float(other))
    return by_function("add", x, other)


def subtract(x: Value, other: Any) -> Any:
    """``x - other``"""
    if _is_merge(x, other):
        return Subtract()([x, other])
    if _is_number(x, other):
        return _rescaled("subtract", x, 1.0, -float(other))
    return by_function("subtract", x, other)


def subtract_from(number: Any, x: Value) -> Any:
    """``number - x``"""
    if _is_number(x, number):
        return _rescaled("subtract", x, -1.0, float(number))
    return by_function("subtract", number, x)


def multiply(x: Value, other: Any) -> Any:
    """``x * other``"""
    if _is_merge(x, other):
        return Multiply()([x, other])
    if _is_number(x, other):
        return _rescaled("multiply", x, float(other))
    return by_function("multiply", x, other)


def matmul(x: Value, w: Any) -> Any:
    """``x @ w``"""
    return by_function("matmul", x, w)


def divide(x: Value, other: Any) -> Any:
    """``x / other``"""
    if _is_number(x, other):
        if other == 0:
            raise ZeroDivisionError(f"a symbolic value of shape {x.shape} is divided by 0")
        return _rescaled("true_divide", x, 1 / float(other))
    return by_function("divide", x, other)


def negative(x: Value) -> Any:
    """``-x``"""
    if _is_number(x, -1.0):
        return _rescaled("negative", x, -1.0)
    return by_function("negative", x)


def absolute(x: Value) -> Any:
    """``abs(x)``"""
    if is_recording() or not x.dtype.startswith("float"):
        return by_function("absolute", x)
    return Activation("absolute", name=naming.unique_name("absolute"), dtype=x.dtype)(x)


def _rescaled(name: str, x: Value, scale: float, offset: float = 0.0) -> Any:
    return Rescaling(scale, offset, name=naming.unique_name(name), dtype=x.dtype)(x)


Value.operators = sys.modules[__name__]
