"""Functions of each element, as `keras.ops` has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..graph import ops as graph_ops
from ..graph.op import OPS
from ..graph.ops.functions import elementwise
from ..graph.trace import Value, apply
from ..variables import Variable
from .dtypes import name_of
from .tensors import (
    Tensor,
    array,
    cast_value,
    common_dtype,
    doc,
    done,
    float_dtype,
    joined,
    named,
    of_variable,
    only_arrays,
    recorded,
    symbolic,
    value,
)

# ------------------------------------------------------------------------- each element


def elements(name: str, *operands: Value) -> Value:
    """A function of each element, of values that are broadcast as a user means it."""
    aligned = joined(*operands, who=name)
    if all(x.dtype == "int32" for x in aligned) and OPS[name].takes[0] == "float":
        wide = (cast_value(x, "float64") for x in aligned)  # which holds all of them
        return cast_value(elementwise(name, *wide), "int32")
    return elementwise(name, *aligned)


def floats(name: str, summary: str, function: Callable[..., Any], op: str = "") -> Any:
    """A function of one float."""

    def call(x: Tensor) -> Any:
        dtype = float_dtype(x)
        if symbolic(x):
            return elements(op or name, value(x, dtype))
        with np.errstate(all="ignore"):
            return np.asarray(function(array(x, dtype))).astype(dtype, copy=False)

    return named(call, name, doc(summary, "x", "array of floats"))


def _numbers(name: str, summary: str, function: Callable[..., Any], op: str = "") -> Any:
    """A function of one number, which keeps its dtype; truth values become int32."""

    def call(x: Tensor) -> Any:
        dtype = common_dtype(x)
        dtype = "int32" if dtype == "bool" else dtype
        if symbolic(x):
            return elements(op or name, value(x, dtype))
        with np.errstate(all="ignore"):
            return np.asarray(function(array(x, dtype))).astype(dtype, copy=False)

    return named(call, name, doc(summary, "x", "array of x's dtype"))


def _rounding(name: str, summary: str, function: Callable[..., Any]) -> Any:
    """As `_numbers`, where whole numbers become floats."""
    return floats(name, summary, function)


def _tests(name: str, summary: str, function: Callable[..., Any], op: str = "") -> Any:
    """Whether something is true of each number."""

    def call(x: Tensor) -> Any:
        if symbolic(x):
            x = value(x)
            if name != "logical_not":
                x = cast_value(x, float_dtype(x))
            return cast_value(elements(op or name, x), "bool")
        return np.asarray(function(array(x)))

    return named(call, name, doc(summary, "x", "array of bool"))


exp = floats("exp", "e to the power x, element by element.", np.exp)
exp2 = floats("exp2", "2 to the power x, element by element.", np.exp2)
expm1 = floats("expm1", "exp(x) - 1, without cancellation.", np.expm1)
log = floats("log", "The natural logarithm of x.", np.log)
log2 = floats("log2", "The logarithm of x to the base 2.", np.log2)
log10 = floats("log10", "The logarithm of x to the base 10.", np.log10)
log1p = floats("log1p", "log(1 + x), without cancellation.", np.log1p)
sqrt = floats("sqrt", "The square root of x.", np.sqrt)
cbrt = floats("cbrt", "The cube root of x.", np.cbrt)
reciprocal = floats("reciprocal", "1 / x.", lambda x: 1 / x)
sin = floats("sin", "The sine of x, in radians.", np.sin)
cos = floats("cos", "The cosine of x, in radians.", np.cos)
tan = floats("tan", "The tangent of x, in radians.", np.tan)
arcsin = floats("arcsin", "The angle whose sine is x.", np.arcsin)
arccos = floats("arccos", "The angle whose cosine is x.", np.arccos)
arctan = floats("arctan", "The angle whose tangent is x.", np.arctan)
sinh = floats("sinh", "The hyperbolic sine of x.", np.sinh)
cosh = floats("cosh", "The hyperbolic cosine of x.", np.cosh)
tanh = floats("tanh", "The hyperbolic tangent of x.", np.tanh)
arcsinh = floats("arcsinh", "The number whose hyperbolic sine is x.", np.arcsinh)
arccosh = floats("arccosh", "The number whose hyperbolic cosine is x.", np.arccosh)
arctanh = floats("arctanh", "The number whose hyperbolic tangent is x.", np.arctanh)
sinc = floats("sinc", "sin(pi x) / (pi x), and 1 at 0.", np.sinc)
floor = _rounding("floor", "The largest whole number that is not above x.", np.floor)
ceil = _rounding("ceil", "The smallest whole number that is not below x.", np.ceil)
trunc = _numbers("trunc", "x without what stands behind the point.", np.trunc)
absolute = _numbers("absolute", "x without its sign.", np.abs)
abs = _numbers("abs", "x without its sign.", np.abs, "absolute")
fabs = floats("fabs", "x without its sign, as a float.", np.abs, "absolute")
negative = _numbers("negative", "-x.", np.negative)
square = _numbers("square", "x * x.", np.square)
sign = _numbers("sign", "-1, 0 or 1, as x is below, at or above 0.", np.sign)
isnan = _tests("isnan", "Whether x is NaN.", np.isnan)
isinf = _tests("isinf", "Whether x is infinite.", np.isinf)
isfinite = _tests("isfinite", "Whether x is neither infinite nor NaN.", np.isfinite)
isposinf = _tests("isposinf", "Whether x is infinity.", np.isposinf)
isneginf = _tests("isneginf", "Whether x is -infinity.", np.isneginf)
signbit = _tests("signbit", "Whether the sign of x is a minus.", np.signbit)
logical_not = _tests("logical_not", "Whether x is not true.", np.logical_not)


@recorded
def cast(x: Tensor, dtype: Any) -> Any:
    """The numbers in another dtype; whole ones are rounded towards 0.

    Examples
    --------
    >>> cast([1.7, 2.0], "int32")
    array([1, 2], dtype=int32)
    """
    kind = name_of(dtype)
    if symbolic(x):
        return cast_value(value(x), kind)
    with np.errstate(all="ignore"):
        return array(x).astype("int32" if kind == "int64" else kind)


@recorded
def deg2rad(x: Tensor) -> Any:
    """Degrees as radians."""
    return multiply(_as_float(x), math.pi / 180)


@recorded
def rad2deg(x: Tensor) -> Any:
    """Radians as degrees."""
    return multiply(_as_float(x), 180 / math.pi)


def _as_float(x: Tensor) -> Any:
    return cast(x, float_dtype(x))


@recorded
def round(x: Tensor, decimals: int = 0) -> Any:
    """The nearest number of so many decimals; of two, the even one.

    Examples
    --------
    >>> round([0.5, 1.5, 2.34], 1)
    array([0.5, 1.5, 2.3], dtype=float32)
    """
    if not symbolic(x):
        return np.round(array(x), decimals)
    x = value(x)
    if not x.dtype.startswith("float"):
        return x
    if not decimals:
        return elements("round", x)
    return divide(elements("round", multiply(x, 10.0**decimals)), 10.0**decimals)


def _two(
    name: str,
    summary: str,
    function: Callable[..., Any],
    kind: str = "number",
    op: str = "",
    names: tuple[str, str] = ("x1", "x2"),
) -> Any:
    """A function of two arrays; kind is number, float, whole, bool (its result) or any."""

    def work(x1: Tensor, x2: Tensor) -> Any:
        dtype = float_dtype(x1, x2) if kind == "float" else common_dtype(x1, x2)
        if kind == "number" and dtype == "bool" and name not in _OF_TRUTH:
            dtype = "int32"
        if symbolic(x1, x2):
            return _two_values(op or name, kind, dtype, x1, x2)
        if kind in ("whole", "number", "float", "compare"):
            x1, x2 = array(x1, dtype), array(x2, dtype)
        else:
            x1, x2 = array(x1), array(x2)
        with np.errstate(all="ignore"):
            return done(function(x1, x2))

    if names == ("x", "y"):

        def call(x: Tensor, y: Tensor) -> Any:
            return work(x, y)
    else:

        def call(x1: Tensor, x2: Tensor) -> Any:  # type: ignore[misc]
            return work(x1, x2)

    result = "array of bool" if kind in ("compare", "truth") else "array"
    return named(call, name, doc(summary, ", ".join(names), result))


def _two_values(name: str, kind: str, dtype: str, x1: Tensor, x2: Tensor) -> Value:
    if kind == "truth":
        return cast_value(elements(name, value(x1, "bool"), value(x2, "bool")), "bool")
    fast = _line(name, dtype, x1, x2)
    if fast is not None:
        return fast
    a, b = value(x1, dtype), value(x2, dtype)
    if kind == "number" and dtype == "bool":
        found = elements(
            {"add": "logical_or", "maximum": "logical_or", "fmax": "logical_or"}.get(
                name, "logical_and"
            ),
            a,
            b,
        )
    else:
        found = elements(name, a, b)
    return cast_value(found, "bool") if kind == "compare" else found


def _line(name: str, dtype: str, x1: Tensor, x2: Tensor) -> Value | None:
    """Of a value and one of Python's numbers, or a bias: what the core is quickest with."""
    if not dtype.startswith("float"):
        return None
    if isinstance(x2, int | float) and not isinstance(x2, bool) and isinstance(x1, Value):
        x, n = value(x1, dtype), float(x2)
        if name in ("add", "subtract"):
            return graph_ops.scale(x, 1.0, n if name == "add" else -n)
        if name == "multiply":
            return graph_ops.scale(x, n)
    if isinstance(x1, int | float) and not isinstance(x1, bool) and isinstance(x2, Value):
        x, n = value(x2, dtype), float(x1)
        if name in ("add", "multiply"):
            return _line(name, dtype, x2, x1)
        if name == "subtract":
            return graph_ops.scale(x, -1.0, n)
    if (
        name == "add"
        and isinstance(x2, Variable)
        and isinstance(x1, Value)
        and x1.batched
        and x2.shape == x1.dims[-1:]
        and x1.dtype == x2.dtype.name == dtype
    ):
        return apply(graph_ops.ADD_BIAS, value(x1), of_variable(x2))
    return None


_OF_TRUTH = {"add", "multiply", "maximum", "minimum", "fmax", "fmin"}

add = _two("add", "x1 + x2.", np.add)
subtract = _two("subtract", "x1 - x2.", np.subtract)
multiply = _two("multiply", "x1 * x2.", np.multiply)
maximum = _two("maximum", "The larger of x1 and x2; NaN where either is.", np.maximum)
minimum = _two("minimum", "The smaller of x1 and x2; NaN where either is.", np.minimum)
fmax = _two("fmax", "The larger of x1 and x2; the other where one is NaN.", np.fmax)
fmin = _two("fmin", "The smaller of x1 and x2; the other where one is NaN.", np.fmin)
divide = _two("divide", "x1 / x2.", np.true_divide, "float")
true_divide = _two("true_divide", "x1 / x2.", np.true_divide, "float", "divide")
floor_divide = _two("floor_divide", "x1 / x2, rounded down.", np.floor_divide)
mod = _two("mod", "What is left of x1 / x2; it has the sign of x2.", np.mod)
fmod = _two("fmod", "What is left of x1 / x2; it has the sign of x1.", np.fmod)
arctan2 = _two("arctan2", "The angle of the point (x2, x1).", np.arctan2, "float")
hypot = _two("hypot", "sqrt(x1**2 + x2**2), without overflow.", np.hypot, "float")
logaddexp = _two("logaddexp", "log(exp(x1) + exp(x2)).", np.logaddexp, "float")
logaddexp2 = _two("logaddexp2", "log2(2**x1 + 2**x2).", np.logaddexp2, "float")
heaviside = _two("heaviside", "0 where x1 < 0, 1 where x1 > 0, x2 at 0.", np.heaviside, "float")
nextafter = _two("nextafter", "The next float after x1 on the way to x2.", np.nextafter, "float")
equal = _two("equal", "Whether x1 = x2.", np.equal, "compare")
not_equal = _two("not_equal", "Whether x1 and x2 differ.", np.not_equal, "compare")
less = _two("less", "Whether x1 < x2.", np.less, "compare")
less_equal = _two("less_equal", "Whether x1 <= x2.", np.less_equal, "compare")
greater = _two("greater", "Whether x1 > x2.", np.greater, "compare")
greater_equal = _two("greater_equal", "Whether x1 >= x2.", np.greater_equal, "compare")
logical_and = _two("logical_and", "Whether both are true.", np.logical_and, "truth")
logical_or = _two("logical_or", "Whether one is true.", np.logical_or, "truth")
logical_xor = _two("logical_xor", "Whether just one is true.", np.logical_xor, "truth")
_XY = ("x", "y")
bitwise_and = _two("bitwise_and", "The bits that both have.", np.bitwise_and, "whole", names=_XY)
bitwise_or = _two("bitwise_or", "The bits that one has.", np.bitwise_or, "whole", names=_XY)
bitwise_xor = _two("bitwise_xor", "The bits that just one has.", np.bitwise_xor, "whole", names=_XY)
left_shift = _two("left_shift", "x moved left by y bits.", np.left_shift, "whole", names=_XY)
right_shift = _two("right_shift", "x moved right by y bits.", np.right_shift, "whole", names=_XY)
bitwise_left_shift = _two(
    "bitwise_left_shift", "x moved left by y bits.", np.left_shift, "whole", "left_shift", _XY
)
bitwise_right_shift = _two(
    "bitwise_right_shift", "x moved right by y bits.", np.right_shift, "whole", "right_shift", _XY
)
gcd = _two("gcd", "The largest common divisor.", np.gcd, "whole")
lcm = _two("lcm", "The smallest common multiple.", np.lcm, "whole")


def _inverted(name: str) -> Any:
    def call(x: Tensor) -> Any:
        return elements("bitwise_not", value(x)) if symbolic(x) else np.invert(array(x))

    return named(call, name, doc("x with each bit turned.", "x", "array of x's dtype"))


bitwise_not = _inverted("bitwise_not")
bitwise_invert = _inverted("bitwise_invert")


@recorded
def power(x1: Tensor, x2: Tensor) -> Any:
    """x1 to the power x2, element by element, broadcast to one shape.

    Examples
    --------
    >>> power([1.0, 2.0, 3.0], 2)
    array([1., 4., 9.], dtype=float32)
    """
    dtype = common_dtype(x1, x2)
    dtype = "int32" if dtype == "bool" else dtype
    if symbolic(x1, x2):
        if isinstance(x2, int | float) and dtype.startswith("float"):
            simple = {2.0: "square", 0.5: "sqrt", -1.0: "reciprocal"}.get(float(x2))
            if simple is not None:
                return elements(simple, value(x1, dtype))
        return elements("power", value(x1, dtype), value(x2, dtype))
    with np.errstate(all="ignore"):
        return done(np.power(array(x1, dtype), array(x2, dtype)))


@recorded
def ldexp(x1: Tensor, x2: Tensor) -> Any:
    """x1 times 2 to the power x2, which is a whole number."""
    return multiply(_as_float(x1), exp2(_as_float(x2)))


@recorded
def divide_no_nan(x1: Tensor, x2: Tensor) -> Any:
    """x1 / x2, and 0 where x2 is 0."""
    dtype = float_dtype(x1, x2)
    if not symbolic(x1, x2):
        a, b = np.broadcast_arrays(array(x1, dtype), array(x2, dtype))
        return np.divide(a, b, out=np.zeros_like(a), where=b != 0)
    divisor = value(x2, dtype)
    zero = equal(divisor, 0.0)
    return where(zero, 0.0, divide(value(x1, dtype), where(zero, 1.0, divisor)))


@recorded
def clip(x: Tensor, x_min: Tensor, x_max: Tensor) -> Any:
    """x, not below x_min and not above x_max.

    Examples
    --------
    >>> clip([-2.0, 0.5, 3.0], 0.0, 1.0)
    array([0. , 0.5, 1. ], dtype=float32)
    """
    dtype = common_dtype(x, x_min, x_max)
    dtype = "int32" if dtype == "bool" else dtype
    if symbolic(x, x_min, x_max):
        found = value(x, dtype)
        found = found if x_min is None else elements("maximum", found, value(x_min, dtype))
        return found if x_max is None else elements("minimum", found, value(x_max, dtype))
    return np.clip(
        array(x, dtype),
        None if x_min is None else array(x_min, dtype),
        None if x_max is None else array(x_max, dtype),
    )


@recorded
def nonzero(x: Tensor) -> Any:
    """The indices of the numbers that are not 0, an array for each axis; of arrays."""
    only_arrays("nonzero", x)
    return tuple(found.astype("int32") for found in np.nonzero(array(x)))


@recorded
def where(condition: Tensor, x1: Tensor = None, x2: Tensor = None) -> Any:
    """x1 where the condition holds, else x2; without these, where it holds, as `nonzero`.

    Examples
    --------
    >>> where([True, False], [1.0, 2.0], 0.0)
    array([1., 0.], dtype=float32)
    """
    if x1 is None and x2 is None:
        return nonzero(condition)
    dtype = common_dtype(x1, x2)
    if symbolic(condition, x1, x2):
        chosen = value(condition, "bool")
        a, b = value(x1, dtype), value(x2, dtype)
        c, a, b = joined(chosen, a, b, who="where")
        if dtype == "bool":
            return cast_value(
                apply(OPS["where"], c, cast_value(a, "uint8"), cast_value(b, "uint8")), "bool"
            )
        return apply(OPS["where"], c, a, b)
    return np.where(array(condition, "bool"), array(x1, dtype), array(x2, dtype))


@recorded
def select(condlist: Sequence[Tensor], choicelist: Sequence[Tensor], default: Tensor = 0) -> Any:
    """For each element the choice whose condition is the first that holds, else the default."""
    if len(condlist) != len(choicelist):
        raise ValueError(
            f"select: {len(condlist)} conditions need as many choices, not {len(choicelist)}"
        )
    found = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        found = where(condition, choice, found)
    return found


@recorded
def nan_to_num(
    x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """x with numbers in the place of NaN and of infinities: the largest there are, if not given."""
    dtype = common_dtype(x)
    if not symbolic(x):
        return np.nan_to_num(array(x), nan=nan, posinf=posinf, neginf=neginf)
    x = value(x)
    if not dtype.startswith("float"):
        return x
    most = float(np.finfo(dtype).max)
    found = where(isnan(x), nan, x)
    found = where(isposinf(found), most if posinf is None else posinf, found)
    return where(isneginf(found), -most if neginf is None else neginf, found)


@recorded
def isclose(
    x1: Tensor, x2: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """Whether x1 and x2 differ by at most atol + rtol |x2|, element by element."""
    dtype = float_dtype(x1, x2)
    if not symbolic(x1, x2):
        return np.isclose(array(x1, dtype), array(x2, dtype), rtol, atol, equal_nan)
    a, b = value(x1, dtype), value(x2, dtype)
    near = less_equal(absolute(subtract(a, b)), add(multiply(absolute(b), rtol), atol))
    near = logical_or(logical_and(near, logical_and(isfinite(a), isfinite(b))), equal(a, b))
    return logical_or(near, logical_and(isnan(a), isnan(b))) if equal_nan else near


def _complex(
    name: str, summary: str, function: Callable[..., Any], real: Callable[..., Any]
) -> Any:
    def call(x: Tensor) -> Any:
        return real(value(x)) if symbolic(x) else function(array(x))

    return named(call, name, doc(summary, "x", "array"))


def _conjugate(x: Any) -> Any:
    return np.conj(x) if x.dtype.kind == "c" else x


real = _complex("real", "The real part of x.", np.real, lambda x: x)
imag = _complex("imag", "The imaginary part of x.", np.imag, lambda x: multiply(x, 0.0))
conj = _complex("conj", "The complex conjugate of x.", _conjugate, lambda x: x)
conjugate = _complex("conjugate", "The complex conjugate of x.", _conjugate, lambda x: x)
isreal = _complex("isreal", "Whether x is real.", np.isreal, lambda x: equal(x, x))
angle = _complex(
    "angle",
    "The angle of a complex number, in radians.",
    lambda x: np.angle(x).astype(float_dtype(x.real)),
    lambda x: where(less(x, 0), math.pi, 0.0),
)


@recorded
def view(x: Tensor, dtype: Any = None) -> Any:
    """The bytes of an array as numbers of another dtype."""
    only_arrays("view", x)
    return array(x).view(None if dtype is None else name_of(dtype))
