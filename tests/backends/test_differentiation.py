"""Functions that are read from their source: what they mean, their derivatives, what is refused."""

from __future__ import annotations

import itertools
import linecache
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotloop.backends.differentiation import FUNCTIONS, DifferentiationError, differentiate, read

X = np.array([-2.3, -0.7, -0.01, 0.02, 0.4, 1.9])
SCALE = 1.5
_files = itertools.count()


def defined(text: str, name: str = "f") -> Callable[..., Any]:
    """A function of this source, which is as good as that of a file."""
    file = f"<made {next(_files)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    scope: dict[str, Any] = {"math": math, "np": np, "SCALE": SCALE}
    exec(compile(text, file, "exec"), scope)
    return scope[name]


def assert_reads(f: Callable[..., Any], *arrays: np.ndarray) -> None:
    """Its program gives what Python gives."""
    truth = [f(*map(float, row)) for row in zip(*arrays, strict=True)]
    np.testing.assert_allclose(read(f, len(arrays))(*arrays), truth, rtol=1e-14)


def assert_differentiates(f: Callable[..., Any], *arrays: np.ndarray, rtol: float = 1e-6) -> None:
    """Its derivatives are those that central differences find."""
    for i in range(len(arrays)):
        step = 1e-5
        up = [a + step * (k == i) for k, a in enumerate(arrays)]
        down = [a - step * (k == i) for k, a in enumerate(arrays)]
        program = read(f, len(arrays))
        truth = (program(*up) - program(*down)) / (2 * step)
        found = differentiate(f, len(arrays), i)(*arrays)
        np.testing.assert_allclose(found, truth, rtol=rtol, atol=1e-8)


# --------------------------------------------------------------------------- by hand


def cubic(x):
    return 2.0 * x**3 - x / 4 + 1


def logistic(x):
    return 1.0 / (1.0 + math.exp(-x))


def nested(x):
    return x * logistic(SCALE * x)


def stepped(x):
    """With a variable that each side sets, and a side that returns."""
    y: float = x * x
    if x > 1.0:
        return y + 1
    if x < -1.0:
        y += 3.0
        z = 2.0
    elif x == 0.0:
        z = 1.0
    else:
        y, z = y, -x
    return y * z


def chained(x):
    return x if -1.0 < x <= 1.0 and not x >= 0.5 else (1.0 if x > 0 or x != x else -1.0)


def test_by_hand():
    np.testing.assert_array_equal(read(cubic, 1)(np.array([2.0])), [16.5])
    np.testing.assert_array_equal(differentiate(cubic, 1, 0)(np.array([2.0])), [23.75])
    np.testing.assert_allclose(differentiate(logistic, 1, 0)(np.array([0.0])), [0.25])
    y, p = np.array([1.0]), np.array([3.0])
    for argument, truth in ((0, -4.0), (1, 4.0)):
        found = differentiate(lambda y, p: (y - p) ** 2, 2, argument)(y, p)
        np.testing.assert_array_equal(found, [truth])


@pytest.mark.parametrize("f", [cubic, logistic, nested, chained])
def test_what_python_computes(f):
    assert_reads(f, X)
    assert_differentiates(f, X)


def test_a_kink_has_the_derivative_of_the_side_that_is_taken():
    at = np.array([0.0])
    assert differentiate(lambda x: x if x > 0 else 0.1 * x, 1, 0)(at) == 0.1
    assert differentiate(lambda x: x if x >= 0 else 0.1 * x, 1, 0)(at) == 1.0
    assert differentiate(lambda x: max(x, 0.0), 1, 0)(at) == 1.0  # Python's max takes the first
    assert differentiate(lambda x: max(0.0, x), 1, 0)(at) == 0.0
    assert differentiate(lambda x: abs(x), 1, 0)(at) == 0.0


def test_the_side_that_is_not_taken_may_be_infinite():
    f = defined("def f(x):\n    return math.log(x) if x > 0 else 0.0\n")
    x = np.array([-1.0, 0.0, 2.0])
    np.testing.assert_allclose(read(f, 1)(x), [0.0, 0.0, math.log(2.0)])
    np.testing.assert_allclose(differentiate(f, 1, 0)(x), [0.0, 0.0, 0.5])


def test_constants_are_computed_once_and_outside():
    def f(x, gain=2.0 / 3**2):
        gain *= math.sqrt(0.25)
        limit = math.log(SCALE) if SCALE > 1 else 0.0
        return gain * x + limit

    program = read(f, 1)
    assert [name for name, _ in program.operations] == ["multiply", "add"]
    np.testing.assert_allclose(program(X), 1.0 / 9 * X + math.log(1.5))


def test_float32_stays_float32():
    for f in (nested, chained, lambda x: 1.0 if x > 0 else 0.5, lambda x: 3):
        for program in (read(f, 1), differentiate(f, 1, 0)):
            assert program(X.astype(np.float32)).dtype == np.float32


def test_one_and_the_number_one_are_different_operands():
    f = defined("def f(x):\n    y = x * 3.0\n    return (y if x > 0 else 1.0) + (1.0 - x)\n")
    assert_reads(f, X)
    assert_differentiates(f, X)


def test_closures_decorators_lambdas_and_defaults():
    import functools

    def twice(f):
        @functools.wraps(f)
        def inner(x):
            return f(x) + f(x)

        return inner

    @twice
    def g(x):
        return x * 3.0

    factor = np.float32(2.5)

    def h(x, *, power=2):
        return factor * x**power

    assert read(h, 1)(np.array([2.0])) == 10.0
    assert read(g, 1)(np.array([1.0])) == 6.0
    a, b = (lambda x: x + 1.0), (lambda x: x * 5.0)
    assert (read(a, 1)(np.array([1.0])), read(b, 1)(np.array([1.0]))) == (2.0, 5.0)


def test_what_a_name_means_is_looked_up_as_python_does():
    f = defined("def f(x):\n    abs = 2.0\n    return abs * x\n")
    assert read(f, 1)(np.array([3.0])) == 6.0


# ------------------------------------------------------------------- every function

# Where each is smooth, and has a value.
RANGES: dict[Any, tuple[float, float]] = {
    math.log: (0.1, 3), math.log2: (0.1, 3), math.log10: (0.1, 3), math.sqrt: (0.1, 3),
    math.log1p: (-0.9, 3), math.asin: (-0.9, 0.9), math.acos: (-0.9, 0.9),
    math.atanh: (-0.9, 0.9), math.acosh: (1.1, 3), np.reciprocal: (0.1, 3),
    math.pow: (0.1, 3), pow: (0.1, 3), np.power: (0.1, 3), np.cbrt: (0.1, 3),
    np.arcsin: (-0.9, 0.9), np.arccos: (-0.9, 0.9), np.arctanh: (-0.9, 0.9),
    np.arccosh: (1.1, 3), np.log: (0.1, 3), np.log2: (0.1, 3), np.log10: (0.1, 3),
    np.sqrt: (0.1, 3), np.log1p: (-0.9, 3), math.cbrt: (0.1, 3),
}  # fmt: skip
LOGICAL = {
    np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal, np.logical_and,
    np.logical_or, np.logical_not, np.isnan, np.isinf, np.isfinite, math.isnan, math.isinf,
    math.isfinite, np.where,
}  # fmt: skip


@pytest.mark.parametrize(
    "function", [f for f in FUNCTIONS if f not in LOGICAL], ids=lambda f: f"{f.__name__}"
)
def test_every_function(function):
    low, high = RANGES.get(function, (-2.0, 2.0))
    counts = FUNCTIONS[function][1]
    names = ["a", "b", "c"][: counts[0]]
    rng = np.random.default_rng(3)
    arrays = [rng.uniform(low, high, 40) for _ in names]
    text = f"def f({', '.join(names)}):\n    return function({', '.join(names)}) + 0.0\n"
    f = defined(text)
    f.__globals__["function"] = function
    assert_reads(f, *arrays)
    if function is not np.clip:  # its bounds may come in either order
        assert_differentiates(f, *arrays, rtol=1e-5)


@pytest.mark.parametrize("text", [
    "np.where(x > 0.3, x * x, -x)", "1.0 if np.logical_and(x > 0, x < 1) else x",
    "x if np.isfinite(x) else 0.0", "2.0 * (x > 0)", "x * (not x > 0)", "(x > 0) + x",
    "x ** -3", "x ** 0", "x ** 16", "x ** 17", "abs(x) ** 0.5", "abs(x) ** -0.5", "2.0 ** x",
    "abs(x) ** x", "+x - -x", "max(x, 0.1, x * x)", "min(x, 0.1, -x)", "np.clip(x, -1, 1)",
    "math.exp(x > 0)", "np.logical_or(x, x > 0) * x", "np.where(x, x, 1)", "x + (x > 0 > -x)",
    "np.logical_and(SCALE > 1, x > 0) * x", "np.logical_not(x) + x", "np.where(SCALE > 1, x, 1.0)",
    "np.logical_or(1, x) * x", "np.logical_and(0, x) * x", "(x > 0) == (x < 1)",
    "float(x)", "math.e ** x", "x if x else 1.0", "x / 3 / (x + 5)", "np.logaddexp(x, 2 * x)",
])  # fmt: skip
def test_expressions(text):
    f = defined(f"def f(x):\n    return {text}\n")
    assert_reads(f, X)
    assert_differentiates(f, X, rtol=1e-5)


def test_zero_to_a_power_that_depends_on_the_argument():
    f = defined("def f(y, p):\n    return y ** p\n")
    y, p = np.array([0.0, 2.0]), np.array([2.0, 3.0])
    np.testing.assert_allclose(differentiate(f, 2, 1)(y, p), [0.0, 8.0 * math.log(2.0)])


def expressions() -> st.SearchStrategy[str]:
    """Smooth expressions of x and z, of values that stay small."""
    leaves = st.sampled_from(["x", "z", "0.5", "1.25", "2", "math.pi"])

    def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.one_of(
            st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: "({}{}{})".format(*t)),
            st.tuples(inner, inner).map(lambda t: f"({t[0]} / (2.0 + math.cos({t[1]})))"),
            inner.map(lambda t: f"math.tanh({t})"),
            inner.map(lambda t: f"math.sin({t})"),
            inner.map(lambda t: f"math.exp(-({t}) ** 2)"),
            inner.map(lambda t: f"math.log1p(({t}) ** 2)"),
            inner.map(lambda t: f"math.sqrt(1.0 + ({t}) ** 2)"),
            st.tuples(inner, inner).map(lambda t: "({} if x > 0.5 else {})".format(*t)),
        )

    return st.recursive(leaves, larger, max_leaves=12)


@settings(max_examples=150, deadline=None)
@given(expressions())
def test_random_expressions(text):
    f = defined(f"def f(x, z):\n    y = {text}\n    return y\n")
    rng = np.random.default_rng(0)
    x, z = rng.uniform(-1, 0.4, 8), rng.uniform(-1, 1, 8)
    with np.errstate(all="ignore"):
        truth = [f(float(a), float(b)) for a, b in zip(x, z, strict=True)]
        np.testing.assert_allclose(read(f, 2)(x, z), truth, rtol=1e-12, atol=1e-12)
        step = 1e-4
        for i in (0, 1):
            at = [(x + k * step, z) if i == 0 else (x, z + k * step) for k in (-2, -1, 1, 2)]
            a, b, c, d = (read(f, 2)(*values) for values in at)
            slope = (8 * (c - b) - (d - a)) / (12 * step)
            found = differentiate(f, 2, i)(x, z)
            scale = 1.0 + np.abs(slope) + np.abs(truth)
            assert (np.abs(found - slope) < 1e-5 * scale**3).all()


# ------------------------------------------------------------------------ what is refused

REFUSED = {
    "    for i in range(3):\n        x = x + 1\n    return x": (2, "a loop is not supported"),
    "    y = 1.0\n    while x > 0:\n        x -= 1\n    return y": (3, "a loop"),
    "    return x % 2": (2, "the operator % is not supported"),
    "    return x // 2": (2, "the operator // is not supported"),
    "    return np.mean(x)": (2, r"'np.mean\(x\)' cannot be read"),
    "    return math.gamma(x)": (2, r"'math.gamma\(x\)' cannot be read"),
    "    return unknown(x)": (2, "'unknown' is not defined"),
    "    y = [x]\n    return y[0]": (2, "a list is not supported"),
    "    if x > 0:\n        return x": (1, "does not return a number in every case"),
    "    if x > 0:\n        y = x\n    return y": (4, "'y' may have no value here"),
    "    return": (2, "it must return a number"),
    "    return 'a'": (2, "expected a number here, not 'a'"),
    "    return x.real": (2, "no attribute 'real'"),
    "    return 1 / 0 * x": (2, "division by zero"),
    "    return math.sqrt(-1) + x": (2, "domain error"),
    "    assert x > 0\n    return x": (2, "assert is not supported"),
    "    print(x)\n    return x": (2, "a call for its effect is not supported"),
    "    return max(*[x, 1.0])": (2, "by \\* and"),
    "    return f(x)": (2, "more than 40 deep"),
    "    return x in (1, 2)": (2, "expected a number|not supported"),
}


@pytest.mark.parametrize("body", REFUSED)
def test_what_cannot_be_read_names_its_line(body):
    line, words = REFUSED[body]
    text = f"def f(x):\n{body}\n"
    with pytest.raises(DifferentiationError, match=words) as raised:
        read(defined(text), 1)
    assert f"'f', line {line} of <made" in str(raised.value)
    assert text.splitlines()[line - 1].strip() in str(raised.value)


def test_a_line_of_a_function_that_is_called():
    text = "def g(x):\n    return x % 2\n\ndef f(x):\n    return g(x)\n"
    with pytest.raises(DifferentiationError, match=r"'g', line 2 of .*the operator %"):
        read(defined(text), 1)


def test_functions_without_source():
    scope: dict[str, Any] = {}
    exec("def f(x):\n    return x\n", scope)
    with pytest.raises(DifferentiationError, match="the source of 'f' cannot be found"):
        read(scope["f"], 1)
    with pytest.raises(DifferentiationError, match="'sin' is no plain Python function"):
        read(math.sin, 1)


def test_the_wrong_number_of_arguments():
    with pytest.raises(DifferentiationError, match="cubic: too many positional arguments"):
        read(cubic, 2)
    with pytest.raises(DifferentiationError, match="missing a required argument: 'p'"):
        read(defined("def f(y, p):\n    return y\n"), 1)


def test_several_lambdas_in_a_line():
    pair = [lambda x: x + 1.0, lambda x: x + 2.0]
    assert [float(read(f, 1)(np.array([0.0]))[0]) for f in pair] == [1.0, 2.0]
    outer = lambda k: lambda x: k * x + 3.0  # noqa: E731
    assert read(outer(2.0), 1)(np.array([5.0])) == 13.0
    one, two = (
        (lambda x: x
         + 1.0), (lambda x: 7.0)
    )  # fmt: skip
    assert [float(read(f, 1)(np.array([0.0]))[0]) for f in (one, two)] == [1.0, 7.0]
