"""Elementary functions that a compiler can do for several elements at once.

Numba's own are calls into the C library, element by element. These are straight lines of
arithmetic, for float32 and float64, within 3 units in the last place of the true value; below
the smallest normal number is zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

# Of each type: a whole number as wide, bits of the mantissa, terms of the series of exp and log
# that make less than half a unit in the last place, and ln 2 in two parts, the first so short
# that its product with any exponent is exact.
_TYPES: Mapping[str, tuple[Any, int, int, int, float, float]] = {
    "float32": (np.int32, 23, 7, 5, 0.693359375, -2.12194440054690583e-4),
    "float64": (np.int64, 52, 13, 11, 0.693145751953125, 1.42860682030941723212e-6),
}


@lru_cache
def functions(dtype: str) -> dict[str, Callable[..., Any]]:
    """Name -> function of one number of this dtype, for use inside of compiled loops."""
    from numba import njit

    whole, bits, exp_terms, log_terms, ln2_high, ln2_low = _TYPES[dtype]
    number = getattr(np, dtype)
    info = np.finfo(number)
    bias = -int(info.minexp) + 1
    one, two, half = number(1.0), number(2.0), number(0.5)
    zero, infinity, nan = number(0.0), number(np.inf), number(np.nan)
    most_power = number(info.maxexp - 1)
    most, least = number(math.log(info.max)), number(math.log(info.tiny))
    smallest, root_half = number(info.tiny), number(math.sqrt(0.5))
    log2_e, high, low = number(1.0 / math.log(2.0)), number(ln2_high), number(ln2_low)
    # exp(r) - 1 = r + r^2 (1/2! + r (1/3! + ...)), the last first.
    taylor = tuple(number(1.0 / math.factorial(n)) for n in range(exp_terms, 1, -1))
    # log m = 2 atanh s = 2 s + 2 s^3 (1/3 + s^2 (1/5 + ...)), s = (m - 1) / (m + 1).
    odd = tuple(number(1.0 / (2 * n + 1)) for n in range(log_terms, 0, -1))
    mantissa = whole((1 << bits) - 1)
    shift, offset, exponent_of_one = whole(bits), whole(bias), np.int32(bias)
    one_bits = whole(bias << bits)
    compiled = njit(error_model="numpy")
    horner_exp, horner_log = _horner(taylor, compiled), _horner(odd, compiled)

    @compiled
    def bits_of(x: Any) -> Any:
        return number(x).view(whole)

    @compiled
    def from_bits(x: Any) -> Any:
        return whole(x).view(number)

    @compiled
    def power_of_two(n: Any) -> Any:
        return from_bits((whole(np.int32(n)) + offset) << shift)

    @compiled
    def parts(x: Any) -> Any:
        """exp(r) - 1 and n, with x = n ln 2 + r."""
        n = np.floor(x * log2_e + half)
        r = (x - n * high) - n * low
        return r + r * r * horner_exp(r), n

    @compiled
    def exp(x: Any) -> Any:
        within = x if x > least else least  # NaN too: it has no exponent
        within = within if within < most else most
        p, n = parts(within)
        # The largest factor is no number.
        within_n = n - one if n > most_power else n
        y = (p + one) * power_of_two(within_n) * (two if n > most_power else one)
        y = y if x > least else zero
        y = y if x < most else infinity
        return y if x == x else nan

    @compiled
    def expm1(x: Any) -> Any:
        within = x if x > least else least
        within = within if within < most else most
        p, n = parts(within)
        factor = power_of_two(n - one)
        y = (p * factor + (factor - half)) * two
        y = y if x > least else -one
        y = y if x < most else infinity
        return y if x == x else nan

    @compiled
    def log(x: Any) -> Any:
        within = x if x > smallest else smallest
        within = within if within < infinity else one
        raw = bits_of(within)
        m = from_bits((raw & mantissa) | one_bits)  # 1 to 2
        # By way of int32: few CPUs convert several int64 at once.
        n = number(np.int32(np.int32(raw >> shift) - exponent_of_one))
        large = m * root_half > one
        m = m * half if large else m
        n = n + one if large else n
        s = (m - one) / (m + one)
        square = s * s
        y = n * high + (two * s + (two * s * square * horner_log(square) + n * low))
        y = y if x >= smallest else -infinity
        y = y if x < infinity else infinity
        return y if x >= zero else nan

    @compiled
    def log1p(x: Any) -> Any:
        u = one + x
        # What was lost of x in the sum.
        y = log(u)
        y = y + (x - (u - one)) / u if u > zero else y
        return y if u < infinity else u

    @compiled
    def tanh(x: Any) -> Any:
        magnitude = abs(x)
        magnitude = magnitude if magnitude < number(20.0) else number(20.0)
        e = expm1(two * magnitude)
        y = e / (e + two)
        y = y if x >= zero else -y
        return y if x == x else nan

    return {"exp": exp, "expm1": expm1, "log": log, "log1p": log1p, "tanh": tanh}


def _horner(coefficients: tuple[Any, ...], compiled: Callable[..., Any]) -> Callable[..., Any]:
    """The polynomial of these coefficients, the last power first, as one expression."""
    text = "c0"
    for i in range(1, len(coefficients)):
        text = f"({text}) * x + c{i}"
    names: dict[str, Any] = {f"c{i}": c for i, c in enumerate(coefficients)}
    exec(f"def polynomial(x):\n    return {text}", names)
    made: Callable[..., Any] = compiled(names["polynomial"])
    return made
