"""A user's scalar functions as loops: numbers, checks of derivatives, what is refused."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from hotloop import backends
from hotloop.backends import own, scalar_functions
from hotloop.backends.differentiation import DifferentiationError

SIZES = (1, 2, 3, 7, 17, 33, 257, 100_003)


def swoosh(x):
    return math.log1p(math.exp(-abs(x - 1.0))) + max(x - 1.0, 0.0) - 0.08 * x - 0.313


def quantile(y_true, y_pred):
    error = y_true - y_pred
    return 0.9 * error if error > 0 else -0.1 * error


def looped(x):
    y = 0.0
    for i in range(3):
        y += x**i
    return y


def looped_slope(x):
    return 1.0 + 2.0 * x


def function(f, derivative=None, arguments=1):
    return scalar_functions.ScalarFunction(f, derivative, arguments, f.__name__)


# --------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_value_and_gradient(backend, dtype, size):
    rng = np.random.default_rng(size)
    x, dy = (rng.normal(size=size).astype(dtype) * 3 for _ in range(2))
    loops = function(swoosh).loops(dtype)
    y, dx = np.empty_like(x), np.empty_like(x)
    loops.value(x, y)
    loops.gradient(dy, x, dx)
    wide = x.astype(np.float64)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(y, [swoosh(v) for v in wide], rtol=tolerance, atol=tolerance)
    slope = np.where(wide > 1, 1.0, 0.0) - np.sign(wide - 1) / (1 + np.exp(np.abs(wide - 1)))
    np.testing.assert_allclose(dx, dy * (slope - 0.08), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_of_two_arguments(backend, dtype):
    y, p = np.array([[0.0, 2.0], [0.0, 1.0]]).astype(dtype)
    loops = function(quantile, arguments=2).loops(dtype)
    value, slope = np.empty_like(p), np.empty_like(p)
    loops.value(y, p, value)
    loops.gradient(y, p, slope)
    np.testing.assert_allclose(value, [0.0, 0.9], rtol=1e-6)
    np.testing.assert_allclose(slope, [0.1, -0.9], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numpy_and_numba_agree(dtype):
    if not own.has_numba():
        pytest.skip("numba is an optional dependency")
    x = np.linspace(-5, 5, 301).astype(dtype)

    def everything(x):
        y = math.tanh(x) + math.exp(-x * x) + math.log1p(abs(x)) * math.erf(x)
        y += x**3 / (1.0 + x**-2) + math.atan2(x, 2.0) + np.cbrt(x) * math.cosh(x / 4)
        return y if np.isfinite(y) and not -0.1 < x < 0.1 else min(x, math.erfc(x), 2.0) ** 1.5

    scalar = function(everything)
    found = []
    for loop, slope_loop in (
        (
            scalar_functions._interpreted(scalar.value, times=False),
            scalar_functions._interpreted(scalar.derivative, times=True),
        ),
        (
            scalar_functions._compiled(scalar.value, 1, dtype, times=False),
            scalar_functions._compiled(scalar.derivative, 1, dtype, times=True),
        ),
    ):
        out, slope = np.empty_like(x), np.empty_like(x)
        loop(x, out)
        slope_loop(x, x, slope)
        found.append((out, slope))
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    for ours, truth in zip(*found, strict=True):
        np.testing.assert_allclose(ours, truth, rtol=tolerance, atol=tolerance)


def every_function(x):
    """All that may be called, where each has a value."""
    u = 0.5 + 0.4 * math.sin(x)
    y = math.exp(u) + math.expm1(u) + math.exp2(u) + math.log(u) + math.log1p(u) + math.log2(u)
    y += math.log10(u) + math.sqrt(u) + math.cbrt(x) + math.sin(x) + math.cos(x) + math.tan(u)
    y += math.asin(u) + math.acos(u) + math.atan(x) + math.sinh(u) + math.cosh(u) + math.tanh(x)
    y += math.asinh(x) + math.acosh(1.0 + u) + math.atanh(u) + math.erf(x) + math.erfc(x)
    y += math.fabs(x) + math.floor(x) + math.ceil(x) + math.trunc(x) + math.hypot(x, u)
    y += math.atan2(x, u) + math.copysign(u, x) + math.pow(u, x) + u**1.5 + x**3 + u**-2 + 2.0**x
    y += np.maximum(x, u) + np.minimum(x, u) + np.clip(x, 0, 1) + np.sign(x) + np.square(x)
    y += np.where(np.logical_and(x > 0, u < 1), x, u) + np.reciprocal(u) + np.logaddexp(x, u)
    y += 1.0 if math.isnan(x) or math.isinf(x) or not math.isfinite(x) else 2.0
    y += 3.0 if np.logical_or(x > 0, u > 1) else x
    y += 5.0 * np.logical_not(x > 0) + 6.0 * (x == u) + 7.0 * (x != u) + 8.0 * (x <= u)
    return y + 9.0 * (x >= u) + max(x, u) + min(x, u) - abs(-x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_function_on_either_side(dtype):
    if not own.has_numba():
        pytest.skip("numba is an optional dependency")
    scalar = function(every_function)
    x = np.random.default_rng(2).normal(size=257).astype(dtype) * 2
    for program in (scalar.value, scalar.derivative):
        ours, truth = np.empty_like(x), np.empty_like(x)
        scalar_functions._compiled(program, 1, dtype, times=False)(x, ours)
        scalar_functions._interpreted(program, times=False)(x, truth)
        tolerance = 1e-4 if dtype == "float32" else 1e-11
        np.testing.assert_allclose(ours, truth, rtol=tolerance)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(scalar.value(wide), [every_function(v) for v in wide], rtol=1e-12)


def test_infinity_and_nan_are_values_not_errors(backend):
    def f(x):
        return math.log(x) / x

    x = np.array([0.0, -1.0, np.inf, np.nan, 1.0])
    out = np.empty_like(x)
    function(f).loops("float64").value(x, out)
    np.testing.assert_array_equal(out, [-np.inf, np.nan, np.nan, np.nan, 0.0])


def test_threads_of_the_numba_backend_change_no_bit():
    if not own.has_numba():
        pytest.skip("numba is an optional dependency")
    before, threads = backends.current(), backends.num_threads()
    x = np.random.default_rng(0).normal(size=400_001).astype(np.float32)
    loop = function(swoosh).loops("float32").value
    found = []
    try:
        backends.select("numba")
        for n in (1, 2, 3, 8):
            backends.set_num_threads(n)
            out = np.empty_like(x)
            loop(x, out)
            found.append(out)
    finally:
        backends.select(before)
        backends.set_num_threads(threads)
    for out in found[1:]:
        np.testing.assert_array_equal(out, found[0])


def test_functions_of_equal_source_are_compiled_once():
    def make(scale):
        return lambda x: scale * x

    one, two, other = (function(make(s)).loops("float32") for s in (2.0, 2.0, 3.0))
    assert one is two
    assert one is not other


def test_a_changed_constant_is_seen():
    scope = globals()
    scope["GAIN"] = 2.0

    def f(x):
        return GAIN * x  # noqa: F821

    x, out = np.array([1.0]), np.empty(1)
    function(f).loops("float64").value(x, out)
    assert out == 2.0
    scope["GAIN"] = 5.0
    function(f).loops("float64").value(x, out)
    assert out == 5.0
    del scope["GAIN"]


# ------------------------------------------------------ what cannot be read but compiled


def test_a_function_with_a_loop_and_its_derivative(backend):
    scalar = function(looped, looped_slope)
    x, dy = np.array([0.5, -2.0]), np.array([1.0, 10.0])
    out = np.empty_like(x)
    scalar.loops("float64").value(x, out)
    np.testing.assert_allclose(out, [1.75, 3.0])
    scalar.loops("float64").gradient(dy, x, out)
    np.testing.assert_allclose(out, [2.0, -30.0])


def test_without_a_derivative_it_is_refused_with_its_line():
    place = r"line \d+ of test_scalar_functions.py: a loop"
    with pytest.raises(DifferentiationError, match=place) as raised:
        function(looped)
    assert "Pass derivative=" in str(raised.value)


def test_what_numba_cannot_compile_either():
    if not own.has_numba():
        pytest.skip("numba is an optional dependency")

    def f(x):
        return np.fft.fft([x])[0].real

    with pytest.raises(DifferentiationError, match=r"test_scalar_functions.py") as raised:
        function(f, looped_slope)
    assert "Numba cannot compile it either" in str(raised.value)
    assert "np.fft" in str(raised.value)


def test_what_returns_no_number():
    if not own.has_numba():
        pytest.skip("numba is an optional dependency")

    def f(x):
        return (x, x)

    with pytest.raises(DifferentiationError, match="must return a number"):
        function(f, looped_slope)


# ------------------------------------------------------------------ checks of derivatives


def test_a_wrong_derivative_names_the_point_and_both_values():
    def square(x):
        return x * x

    with pytest.raises(ValueError, match=r"wrong at x = -7\.919: it gives -7\.919, fin") as raised:
        function(square, lambda x: x)
    assert "differences of the function -15.838" in str(raised.value)
    with pytest.raises(ValueError, match="wrong at y_true = 0, y_pred = "):
        function(quantile, lambda y, p: -0.9 if y > p else 0.2, arguments=2)


def test_a_derivative_that_is_nan_is_wrong():
    with pytest.raises(ValueError, match="it gives nan"):
        function(swoosh, lambda x: math.sqrt(x))


def test_a_function_without_values():
    with pytest.raises(ValueError, match="finite at none of the numbers tried"):
        function(lambda x: math.sqrt(-1.0 - x * x))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: abs(x),
        lambda x: math.floor(x) + x,
        lambda x: math.exp(3 * x),
        lambda x: math.log(x),
        lambda x: 1e6 * x + 1.0,
        lambda x: 1e-9 * x**2,
        lambda x: 3.0,
    ],
)
def test_right_derivatives_are_taken_as_such(f):
    function(f)


def test_pickling():
    scalar = pickle.loads(pickle.dumps(function(looped, looped_slope)))
    assert (scalar.name, scalar.function) == ("looped", looped)
    again = pickle.loads(pickle.dumps(function(swoosh)))
    assert again.loops("float32") is function(swoosh).loops("float32")
