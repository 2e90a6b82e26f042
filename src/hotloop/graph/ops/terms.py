"""Formulas of values: gradients that are written as one reads them, and recorded op by op."""

from __future__ import annotations

from typing import Any

from ..op import OPS
from ..trace import Value, apply


class Term:
    """A value with the operators of arithmetic, each of which adds a node.

    Symbolic values have operators too, but those are layers, for models to know them by.
    """

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value

    def __add__(self, other: Term | float) -> Term:
        return function("add", self, other) if isinstance(other, Term) else self._line(1.0, other)

    def __sub__(self, other: Term | float) -> Term:
        if isinstance(other, Term):
            return function("subtract", self, other)
        return self._line(1.0, -other)

    def __mul__(self, other: Term | float) -> Term:
        if isinstance(other, Term):
            return function("multiply", self, other)
        return self._line(other, 0.0)

    def __truediv__(self, other: Term | float) -> Term:
        if isinstance(other, Term):
            return function("divide", self, other)
        return self._line(1.0 / other, 0.0)

    def __rsub__(self, other: float) -> Term:
        return self._line(-1.0, other)

    def __rtruediv__(self, other: float) -> Term:
        return function("reciprocal", self)._line(other, 0.0)

    def __neg__(self) -> Term:
        return self._line(-1.0, 0.0)

    __radd__, __rmul__ = __add__, __mul__

    def _line(self, factor: float, offset: float) -> Term:
        if (factor, offset) == (1.0, 0.0):
            return self
        return Term(apply(OPS["scale"], self.value, factor=factor, offset=offset))


def function(name: str, *operands: Term | float, **attributes: Any) -> Term:
    """What an op of this name makes of these; numbers become those of the others' dtype.

    Parameters
    ----------
    name : str
    *operands : Term or float
        At least one Term; a number takes the dtype of the last of them.
    **attributes
        The op's.
    """
    dtype = next(x.value.dtype for x in reversed(operands) if isinstance(x, Term))
    values = [
        x.value if isinstance(x, Term) else apply(OPS["constant"], number=x, dtype=dtype)
        for x in operands
    ]
    return Term(apply(OPS[name], *values, **attributes))


def exponential(x: Term) -> Term:
    """exp(x)"""
    return function("exponential", x, alpha=0.0)


def sigmoid(x: Term) -> Term:
    """1 / (1 + exp(-x))"""
    return function("sigmoid", x, alpha=0.0)
