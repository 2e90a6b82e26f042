"""What functions of each element mean, in NumPy: those that programs have besides activations.

They have `keras.ops`'s names. Arrays are broadcast to one shape. What is true or not has the dtype
`BOOL`, of one byte.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .formulas import erf

Array: TypeAlias = NDArray[Any]
Kind: TypeAlias = Literal["float", "number", "whole", "any", "bool"]

BOOL = "bool"


@dataclass(frozen=True)
class Function:
    """One of them.

    Attributes
    ----------
    name, summary : str
    value : callable
        value(*arrays) is what it computes, in the arrays' precision.
    takes : str
        What its arrays may be: ``"float"``, ``"number"`` (whole ones too), ``"whole"`` (truth
        values too), ``"bool"`` or ``"any"``; all of them are the same.
    arity : int
        How many they are.
    tells : bool
        Whether what it returns is true or not.
    """

    name: str
    summary: str
    value: Callable[..., Any]
    takes: Kind = "float"
    arity: int = 1
    tells: bool = False

    def __call__(self, *arrays: Array, out: Array) -> None:
        """Writes it to `out`, which may be one of the arrays."""
        with np.errstate(all="ignore"):
            out[...] = self.value(*arrays)


def erfc(x: Array) -> Array:
    """1 - erf(x), without cancellation.

    >>> erfc(np.array([0.0, 10.0]))
    array([1.00000000e+00, 2.08848758e-45])
    """
    found: Array = np.vectorize(math.erfc, otypes=[x.dtype])(x)
    return found


def erfinv(x: Array) -> Array:
    """The number whose erf is x: infinite at -1 and 1, NaN beyond.

    Newton's method on erfc, whose digits near 1 are those of 1 - x, from Winitzki's formula (2008),
    whose error is below 0.005.

    >>> erfinv(np.array([0.0, 0.5, -1.0]))
    array([0.        , 0.47693628,       -inf])
    """
    inside = np.abs(x) < 1
    size = np.where(inside, np.abs(x), 0).astype(np.float64)
    rest = np.log1p(-size * size)
    half = 2 / (math.pi * 0.147) + rest / 2
    y = np.sqrt(np.sqrt(half * half - rest / 0.147) - half)
    for _ in range(3):
        tail = erfc(y) - (1 - size)
        step = np.where(size < 0.5, size - erf(y), tail) * (math.sqrt(math.pi) / 2) * np.exp(y * y)
        y += step / (1 - y * step)  # Halley's correction: erf'' is -2 y erf'
    found = np.where(inside, y, np.where(np.abs(x) == 1, np.inf, np.nan))
    return np.copysign(found, x).astype(x.dtype)


def sinc(x: Array) -> Array:
    """sin(pi x) / (pi x), and 1 at 0.

    >>> sinc(np.array([0.0, 0.5]))
    array([1.        , 0.63661977])
    """
    return np.sinc(x).astype(x.dtype)


def _unary(name: str, summary: str, value: Callable[..., Any], **how: Any) -> Function:
    return Function(name, summary, value, **how)


def _binary(name: str, summary: str, value: Callable[..., Any], **how: Any) -> Function:
    return Function(name, summary, value, arity=2, **how)


FUNCTIONS: Mapping[str, Function] = {
    function.name: function
    for function in (
        _unary("exp2", "2 to the power x.", np.exp2),
        _unary("expm1", "exp(x) - 1, without cancellation.", np.expm1),
        _unary("log", "The natural logarithm of x.", np.log),
        _unary("log2", "The logarithm of x to the base 2.", np.log2),
        _unary("log10", "The logarithm of x to the base 10.", np.log10),
        _unary("log1p", "log(1 + x), without cancellation.", np.log1p),
        _unary("sqrt", "The square root of x.", np.sqrt),
        _unary("rsqrt", "1 / sqrt(x).", lambda x: 1 / np.sqrt(x)),
        _unary("cbrt", "The cube root of x.", np.cbrt),
        _unary("square", "x * x.", np.square, takes="number"),
        _unary("reciprocal", "1 / x.", lambda x: 1 / x),
        _unary("negative", "-x.", np.negative, takes="number"),
        _unary("sign", "-1, 0 or 1, as x is below, at or above 0.", np.sign, takes="number"),
        _unary("floor", "The largest whole number that is not above x.", np.floor),
        _unary("ceil", "The smallest whole number that is not below x.", np.ceil),
        _unary("round", "The nearest whole number; of two, the even one.", np.rint),
        _unary("trunc", "x without what stands behind the point.", np.trunc),
        _unary("sin", "The sine of x.", np.sin),
        _unary("cos", "The cosine of x.", np.cos),
        _unary("tan", "The tangent of x.", np.tan),
        _unary("arcsin", "The angle whose sine is x.", np.arcsin),
        _unary("arccos", "The angle whose cosine is x.", np.arccos),
        _unary("arctan", "The angle whose tangent is x.", np.arctan),
        _unary("sinh", "The hyperbolic sine of x.", np.sinh),
        _unary("cosh", "The hyperbolic cosine of x.", np.cosh),
        _unary("arcsinh", "The number whose hyperbolic sine is x.", np.arcsinh),
        _unary("arccosh", "The number whose hyperbolic cosine is x.", np.arccosh),
        _unary("arctanh", "The number whose hyperbolic tangent is x.", np.arctanh),
        _unary("erf", "The error function of x.", erf),
        _unary("erfc", "1 - erf(x), without cancellation.", erfc),
        _unary("erfinv", "The number whose erf is x.", erfinv),
        _unary("sinc", "sin(pi x) / (pi x), and 1 at 0.", sinc),
        _unary("isnan", "Whether x is NaN.", np.isnan, tells=True),
        _unary("isinf", "Whether x is infinite.", np.isinf, tells=True),
        _unary("isfinite", "Whether x is neither infinite nor NaN.", np.isfinite, tells=True),
        _unary("isposinf", "Whether x is infinity.", np.isposinf, tells=True),
        _unary("isneginf", "Whether x is -infinity.", np.isneginf, tells=True),
        _unary("signbit", "Whether the sign of x is a minus.", np.signbit, tells=True),
        _unary("logical_not", "Whether x is not true.", np.logical_not, takes="any", tells=True),
        _unary("bitwise_not", "x with each bit turned.", np.invert, takes="whole"),
        _binary("divide", "a / b.", np.divide),
        _binary("floor_divide", "a / b, rounded down.", np.floor_divide, takes="number"),
        _binary("mod", "a - b floor(a / b): has the sign of b.", np.mod, takes="number"),
        _binary("fmod", "a - b trunc(a / b): has the sign of a.", np.fmod, takes="number"),
        _binary("power", "a to the power b.", np.power, takes="number"),
        _binary("arctan2", "The angle of the point (b, a).", np.arctan2),
        _binary("hypot", "sqrt(a a + b b), without overflow.", np.hypot),
        _binary("logaddexp", "log(exp(a) + exp(b)), without overflow.", np.logaddexp),
        _binary("logaddexp2", "log2(2^a + 2^b), without overflow.", np.logaddexp2),
        _binary("fmax", "The larger of a and b; the other where one is NaN.", np.fmax),
        _binary("fmin", "The smaller of a and b; the other where one is NaN.", np.fmin),
        _binary("heaviside", "0 where a < 0, 1 where a > 0, and b where a is 0.", np.heaviside),
        _binary("nextafter", "The next number after a on the way to b.", np.nextafter),
        _binary("equal", "Whether a = b.", np.equal, takes="any", tells=True),
        _binary("not_equal", "Whether a and b differ.", np.not_equal, takes="any", tells=True),
        _binary("less", "Whether a < b.", np.less, takes="any", tells=True),
        _binary("less_equal", "Whether a <= b.", np.less_equal, takes="any", tells=True),
        _binary("greater", "Whether a > b.", np.greater, takes="any", tells=True),
        _binary("greater_equal", "Whether a >= b.", np.greater_equal, takes="any", tells=True),
        _binary("logical_and", "Whether both are true.", np.logical_and, takes="any", tells=True),
        _binary("logical_or", "Whether one is true.", np.logical_or, takes="any", tells=True),
        _binary(
            "logical_xor", "Whether just one is true.", np.logical_xor, takes="any", tells=True
        ),
        _binary("bitwise_and", "The bits that a and b have.", np.bitwise_and, takes="whole"),
        _binary("bitwise_or", "The bits that a or b has.", np.bitwise_or, takes="whole"),
        _binary("bitwise_xor", "The bits that just one has.", np.bitwise_xor, takes="whole"),
        _binary("left_shift", "a, moved left by b bits.", np.left_shift, takes="whole"),
        _binary("right_shift", "a, moved right by b bits.", np.right_shift, takes="whole"),
        _binary("gcd", "The largest common divisor of a and b.", np.gcd, takes="whole"),
        _binary("lcm", "The smallest common multiple of a and b.", np.lcm, takes="whole"),
    )
}
