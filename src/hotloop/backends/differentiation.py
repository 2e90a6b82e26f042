"""Scalar Python functions, read from their source, as programs without branches; derivatives.

A function of numbers that is written with arithmetic, comparisons, if, conditional expressions
and the functions of `math` and NumPy becomes a list of operations: both sides of a branch are
computed and one is chosen, so that a compiler can do several elements at once, and NumPy whole
arrays. The derivative is another such list, by the chain rule from the first operation to the
last: exact, where the function is smooth. At a kink it is that of the side that is taken.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
import math
import operator
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath
from types import FunctionType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import formulas

# The number of an operation, or a constant as Python writes it: 1 and 1.0 are not to be equal.
Operand: TypeAlias = "int | str"

# Whole powers up to this are products: exact for small ones, and several at a time.
LARGEST_PRODUCT = 16
# Calls of functions inside of functions.
DEEPEST = 40


class DifferentiationError(ValueError):
    """A function, or a part of it, that cannot be read or differentiated; says which line."""


@dataclass(frozen=True)
class Program:
    """Operations on numbers; each reads arguments, earlier ones and constants.

    Attributes
    ----------
    arguments : int
        How many; they are numbered from 0, and the operations go on from there.
    operations : tuple of (str, tuple of int or str)
        Name, and what it is applied to: numbers of operations, and constants.
    result : int or str
    """

    arguments: int
    operations: tuple[tuple[str, tuple[Operand, ...]], ...]
    result: Operand

    def lines(self, *, loop: bool = False) -> tuple[list[str], str]:
        """Python statements and the expression of the result, of the arguments v0, v1 and so on.

        Constants are written ``number(1.5)``, `number` being the type to compute in. With
        `loop`, they are for a compiled loop over elements, and else for whole arrays.
        """
        needed = self._needed()
        lines = []
        for i, (name, operands) in enumerate(self.operations, self.arguments):
            if i in needed:
                text = "{1} if {0} else {2}" if loop and name == "where" else _OPS[name].text
                lines.append(f"v{i} = " + text.format(*map(_written, operands)))
        return lines, _written(self.result)

    def _needed(self) -> set[int]:
        """The operations that the result depends on."""
        needed: set[Operand] = {self.result}
        for i in reversed(range(len(self.operations))):
            if i + self.arguments in needed:
                needed.update(v for v in self.operations[i][1] if isinstance(v, int))
        return {i for i in needed if isinstance(i, int)}

    def __call__(self, *arrays: NDArray[Any]) -> NDArray[Any]:
        """The result for arrays of one float dtype and shape, by NumPy, without warnings."""
        with np.errstate(all="ignore"):
            result = _on_arrays(self, arrays[0].dtype.name)(*arrays)
            return np.broadcast_to(result, arrays[0].shape)


def _written(operand: Operand) -> str:
    return f"v{operand}" if isinstance(operand, int) else f"number({operand})"


@lru_cache(maxsize=256)
def _on_arrays(program: Program, dtype: str) -> Callable[..., Any]:
    lines, result = program.lines()
    arguments = ", ".join(f"v{i}" for i in range(program.arguments))
    body = "".join(f"    {line}\n" for line in [*lines, f"return {result}"])
    names: dict[str, Any] = dict(ARRAY_NAMES) | {"number": getattr(np, dtype)}
    exec(f"def program({arguments}):\n{body}", names)
    made: Callable[..., Any] = names["program"]
    return made


# ------------------------------------------------------------------------ operations


class Symbol:
    """The result of an operation that is being written down; operators write down more."""

    __slots__ = ("index", "logical", "tape")

    def __init__(self, tape: Tape, index: int, logical: bool = False) -> None:
        self.tape = tape
        self.index = index
        self.logical = logical

    def __add__(self, other: Number) -> Number:
        return self.tape.apply("add", self, other)

    def __radd__(self, other: Number) -> Number:
        return self.tape.apply("add", other, self)

    def __sub__(self, other: Number) -> Number:
        return self.tape.apply("subtract", self, other)

    def __rsub__(self, other: Number) -> Number:
        return self.tape.apply("subtract", other, self)

    def __mul__(self, other: Number) -> Number:
        return self.tape.apply("multiply", self, other)

    def __rmul__(self, other: Number) -> Number:
        return self.tape.apply("multiply", other, self)

    def __truediv__(self, other: Number) -> Number:
        return self.tape.apply("divide", self, other)

    def __rtruediv__(self, other: Number) -> Number:
        return self.tape.apply("divide", other, self)

    def __neg__(self) -> Number:
        return self.tape.apply("negative", self)


Number: TypeAlias = "Symbol | float"
Partials: TypeAlias = Callable[..., Sequence["Number | None"]]


@dataclass(frozen=True)
class Op:
    """How an operation is written, and its derivatives with respect to its operands.

    `partials` is given the tape, the result and the operands. Without it the derivative is 0.
    """

    text: str
    partials: Partials | None = None
    logical: bool = False


def _operand(value: Number) -> Operand:
    return value.index if isinstance(value, Symbol) else repr(float(value))


class Tape:
    """Operations as they are written down, each once."""

    def __init__(self, arguments: int) -> None:
        self.arguments = [Symbol(self, i) for i in range(arguments)]
        self.operations: list[tuple[str, tuple[Operand, ...]]] = []
        self._known: dict[tuple[str, tuple[Operand, ...]], int] = {}

    def apply(self, name: str, *operands: Number) -> Number:
        """The result of an operation; at once if all operands are constants."""
        if name in _TRUTHS:
            first, *others = operands
            if not isinstance(first, Symbol) and name != "logical_not":
                return self._decided(name, bool(first), others)
            count = _TRUTHS[name]
            operands = (*map(self.truth, operands[:count]), *map(self.number, operands[count:]))
        else:
            operands = tuple(map(self.number, operands))
        if not any(isinstance(v, Symbol) for v in operands):
            return _of_constants(name, *(float(v) for v in operands))  # type: ignore[arg-type]
        if name == "multiply" and (1.0 in operands or -1.0 in operands):
            factor, other = operands if isinstance(operands[1], Symbol) else operands[::-1]
            return other if factor == 1.0 else self.apply("negative", other)
        operation = name, tuple(map(_operand, operands))
        new = len(self.arguments) + len(self.operations)
        index = self._known.setdefault(operation, new)
        if index == new:
            self.operations.append(operation)
        result: Number = self._read(index)
        return result

    def _read(self, operand: Operand) -> Any:
        """An operand as it was before it was written down."""
        if not isinstance(operand, int):
            return float(operand)
        at = operand - len(self.arguments)
        return Symbol(self, operand, at >= 0 and _OPS[self.operations[at][0]].logical)

    def truth(self, value: Number) -> Number:
        """Whether a number is not 0."""
        if isinstance(value, Symbol) and value.logical:
            return value
        return self.apply("not_equal", value, 0.0)

    def number(self, value: Number) -> Number:
        """1 for what is true, and 0 for what is false."""
        if isinstance(value, Symbol) and value.logical:
            return self.apply("where", value, 1.0, 0.0)
        return value

    def _decided(self, name: str, first: bool, others: Sequence[Number]) -> Number:
        """A choice or a conjunction whose first operand is a constant."""
        if name == "where":
            return others[0] if first else others[1]
        if first == (name == "logical_or"):
            return float(first)
        return self.truth(others[0])

    def program(self, result: Number) -> Program:
        return Program(len(self.arguments), tuple(self.operations), _operand(result))

    def derivative(self, result: Number, argument: int) -> Number:
        """The derivative of a result with respect to an argument."""
        if not isinstance(result, Symbol):
            return 0.0
        tangents: dict[int, Number] = {argument: 1.0}
        first = len(self.arguments)
        for i in range(first, result.index + 1):
            name, operands = self.operations[i - first]
            tangent = self._tangent(name, i, operands, tangents)
            if tangent is not None:
                tangents[i] = tangent
        return tangents.get(result.index, 0.0)

    def _tangent(
        self, name: str, index: int, operands: Sequence[Operand], tangents: Mapping[int, Number]
    ) -> Number | None:
        """What an operation adds to the chain; None where it does not depend on the argument."""
        inner = [tangents.get(v) if isinstance(v, int) else None for v in operands]
        partials = _OPS[name].partials
        if all(t is None for t in inner):
            return None
        symbols = [self._read(v) for v in operands]
        if name in _CHOICES:
            # Not by factors of 0 and 1: the other side may be infinite.
            condition, a, b = _CHOICES[name](self, *symbols), *inner[-2:]
            sides = [0.0 if t is None else t for t in (a, b)]
            return None if a is None and b is None else self.apply("where", condition, *sides)
        if partials is None:
            return None
        total: Number | None = None
        found = partials(self, self._read(index), *symbols)
        for tangent, partial in zip(inner, found, strict=True):
            if tangent is not None and partial is not None:
                term = partial * tangent
                total = term if total is None else total + term
        return total


_SQRT_PI = math.sqrt(math.pi)
_LN2, _LN10 = math.log(2.0), math.log(10.0)


def _power_partials(t: Tape, v: Symbol, a: Number, b: Number) -> Sequence[Number]:
    by_base = b * t.apply("power", a, b - 1.0)
    # 0 to a power stays 0 when the power changes.
    by_exponent = t.apply("where", t.apply("equal", v, 0.0), 0.0, v * t.apply("log", a))
    return by_base, by_exponent


def _unary(text: str, partial: Callable[[Tape, Any, Any], Number] | None = None) -> Op:
    if partial is None:
        return Op(f"{text}({{0}})")
    return Op(f"{text}({{0}})", lambda t, v, a: (partial(t, v, a),))


_OPS: dict[str, Op] = {
    "add": Op("{0} + {1}", lambda t, v, a, b: (1.0, 1.0)),
    "subtract": Op("{0} - {1}", lambda t, v, a, b: (1.0, -1.0)),
    "multiply": Op("{0} * {1}", lambda t, v, a, b: (b, a)),
    "divide": Op("{0} / {1}", lambda t, v, a, b: (1.0 / b, -v / b)),
    "negative": Op("-{0}", lambda t, v, a: (-1.0,)),
    "power": Op("power({0}, {1})", _power_partials),
    "where": Op("where({0}, {1}, {2})"),
    "maximum": Op("maximum({0}, {1})"),
    "minimum": Op("minimum({0}, {1})"),
    "less": Op("{0} < {1}", logical=True),
    "less_equal": Op("{0} <= {1}", logical=True),
    "greater": Op("{0} > {1}", logical=True),
    "greater_equal": Op("{0} >= {1}", logical=True),
    "equal": Op("{0} == {1}", logical=True),
    "not_equal": Op("{0} != {1}", logical=True),
    "logical_and": Op("{0} & {1}", logical=True),
    "logical_or": Op("{0} | {1}", logical=True),
    "logical_not": Op("logical_not({0})", logical=True),
    "isnan": Op("isnan({0})", logical=True),
    "isinf": Op("isinf({0})", logical=True),
    "isfinite": Op("isfinite({0})", logical=True),
    "sign": _unary("sign"),
    "floor": _unary("floor"),
    "ceil": _unary("ceil"),
    "trunc": _unary("trunc"),
    "absolute": _unary("absolute", lambda t, v, a: t.apply("sign", a)),
    "exp": _unary("exp", lambda t, v, a: v),
    "expm1": _unary("expm1", lambda t, v, a: v + 1.0),
    "exp2": _unary("exp2", lambda t, v, a: v * _LN2),
    "log": _unary("log", lambda t, v, a: 1.0 / a),
    "log1p": _unary("log1p", lambda t, v, a: 1.0 / (1.0 + a)),
    "log2": _unary("log2", lambda t, v, a: 1.0 / (a * _LN2)),
    "log10": _unary("log10", lambda t, v, a: 1.0 / (a * _LN10)),
    "sqrt": _unary("sqrt", lambda t, v, a: 0.5 / v),
    "cbrt": _unary("cbrt", lambda t, v, a: 1.0 / (3.0 * v * v)),
    "sin": _unary("sin", lambda t, v, a: t.apply("cos", a)),
    "cos": _unary("cos", lambda t, v, a: -t.apply("sin", a)),
    "tan": _unary("tan", lambda t, v, a: 1.0 + v * v),
    "arcsin": _unary("arcsin", lambda t, v, a: 1.0 / t.apply("sqrt", 1.0 - a * a)),
    "arccos": _unary("arccos", lambda t, v, a: -1.0 / t.apply("sqrt", 1.0 - a * a)),
    "arctan": _unary("arctan", lambda t, v, a: 1.0 / (1.0 + a * a)),
    "sinh": _unary("sinh", lambda t, v, a: t.apply("cosh", a)),
    "cosh": _unary("cosh", lambda t, v, a: t.apply("sinh", a)),
    "tanh": _unary("tanh", lambda t, v, a: 1.0 - v * v),
    "arcsinh": _unary("arcsinh", lambda t, v, a: 1.0 / t.apply("sqrt", 1.0 + a * a)),
    "arccosh": _unary("arccosh", lambda t, v, a: 1.0 / t.apply("sqrt", a * a - 1.0)),
    "arctanh": _unary("arctanh", lambda t, v, a: 1.0 / (1.0 - a * a)),
    "erf": _unary("erf", lambda t, v, a: 2.0 / _SQRT_PI * t.apply("exp", -a * a)),
    "erfc": _unary("erfc", lambda t, v, a: -2.0 / _SQRT_PI * t.apply("exp", -a * a)),
    "hypot": Op("hypot({0}, {1})", lambda t, v, a, b: (a / v, b / v)),
    "arctan2": Op(
        "arctan2({0}, {1})", lambda t, v, a, b: (b / (a * a + b * b), -a / (a * a + b * b))
    ),
    "copysign": Op(
        "copysign({0}, {1})",
        lambda t, v, a, b: (t.apply("sign", a) * t.apply("copysign", 1.0, b), None),
    ),
}

# What takes one of its last two operands as it is, and when it is the first of them.
_CHOICES: Mapping[str, Callable[..., Number]] = {
    "where": lambda t, condition, a, b: condition,
    "maximum": lambda t, a, b: t.apply("greater_equal", a, b),
    "minimum": lambda t, a, b: t.apply("less_equal", a, b),
}

# How many of the first operands are conditions.
_TRUTHS = {"where": 1, "logical_and": 2, "logical_or": 2, "logical_not": 1}

_COMPARISONS: Mapping[type[ast.cmpop], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Lt: ("less", operator.lt),
    ast.LtE: ("less_equal", operator.le),
    ast.Gt: ("greater", operator.gt),
    ast.GtE: ("greater_equal", operator.ge),
    ast.Eq: ("equal", operator.eq),
    ast.NotEq: ("not_equal", operator.ne),
}
_ARITHMETIC: Mapping[type[ast.operator], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("add", operator.add),
    ast.Sub: ("subtract", operator.sub),
    ast.Mult: ("multiply", operator.mul),
    ast.Div: ("divide", operator.truediv),
}

# What the written operations are called by, of arrays.
ARRAY_NAMES: Mapping[str, Any] = {name: getattr(np, name) for name in _OPS if hasattr(np, name)} | {
    "erf": formulas.erf,
    "erfc": lambda x: np.vectorize(math.erfc, otypes=[x.dtype])(x),
    "inf": math.inf,
    "nan": math.nan,
}


def _of_constants(name: str, *operands: float) -> float:
    arrays = (np.float64(v) for v in operands)
    with np.errstate(all="ignore"):
        if name == "negative":
            return -operands[0]
        return float(ARRAY_NAMES[name](*arrays))


# ------------------------------------------------------- the functions that may be called


def power(tape: Tape, a: Number, b: Number) -> Number:
    """a ** b, whole powers as products."""
    if isinstance(b, Symbol):
        return tape.apply("power", a, b)
    if b in (0.5, -0.5):
        root = tape.apply("sqrt", a)
        return root if b > 0 else 1.0 / root
    if b != math.floor(b) or abs(b) > LARGEST_PRODUCT:
        return tape.apply("power", a, b)
    product: Number = 1.0
    square = a
    for bit in bin(int(abs(b)))[:1:-1]:
        if bit == "1":
            product = square * product
        square = square * square
    return product if b >= 0 else 1.0 / product


def _largest(tape: Tape, *values: Number) -> Number:
    """As Python's max: the first of equals, and NaN where it comes first."""
    best = values[0]
    for value in values[1:]:
        best = tape.apply("where", tape.apply("greater", value, best), value, best)
    return best


def _smallest(tape: Tape, *values: Number) -> Number:
    best = values[0]
    for value in values[1:]:
        best = tape.apply("where", tape.apply("less", value, best), value, best)
    return best


def _clip(tape: Tape, x: Number, low: Number, high: Number) -> Number:
    return tape.apply("minimum", tape.apply("maximum", x, low), high)


def _logaddexp(tape: Tape, a: Number, b: Number) -> Number:
    distance = tape.apply("absolute", a - b)
    return tape.apply("maximum", a, b) + tape.apply("log1p", tape.apply("exp", -distance))


def _plain(name: str) -> Callable[..., Number]:
    return lambda tape, *values: tape.apply(name, *values)


_IN_MATH = {
    "absolute": "fabs", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh",
}  # fmt: skip


def _functions() -> dict[Any, tuple[Callable[..., Number], range]]:
    """Function -> how it is written down, and how many arguments it takes."""
    found: dict[Any, tuple[Callable[..., Number], range]] = {}
    for name, op in _OPS.items():
        count = 1 + max(i for i in range(3) if f"{{{i}}}" in op.text)
        for module, called in ((np, name), (math, _IN_MATH.get(name, name))):
            if hasattr(module, called):
                found[getattr(module, called)] = _plain(name), range(count, count + 1)
    one, two, three = range(1, 2), range(2, 3), range(3, 4)
    return found | {
        abs: (_plain("absolute"), one),
        np.fabs: (_plain("absolute"), one),
        float: (lambda tape, x: x, one),
        max: (_largest, range(2, 99)),
        min: (_smallest, range(2, 99)),
        pow: (power, two),
        math.pow: (power, two),
        np.power: (power, two),
        np.square: (lambda tape, x: x * x, one),
        np.reciprocal: (lambda tape, x: 1.0 / x, one),
        np.clip: (_clip, three),
        np.logaddexp: (_logaddexp, two),
    }


FUNCTIONS = _functions()

# -------------------------------------------------------------------- reading functions


def read(function: Callable[..., Any], arguments: int) -> Program:
    """The program of a scalar function of so many numbers.

    Raises
    ------
    DifferentiationError
        Naming the line that cannot be read, and what is allowed.

    Examples
    --------
    >>> import math
    >>> def swish(x):
    ...     return x / (1.0 + math.exp(-x))
    >>> read(swish, 1)(np.array([0.0, 1.0])).round(4)
    array([0.    , 0.7311])
    """
    tape = Tape(arguments)
    return tape.program(_Reader(tape, function).value(tape.arguments))


def differentiate(function: Callable[..., Any], arguments: int, argument: int) -> Program:
    """The program of a scalar function's derivative with respect to one argument, from 0.

    Raises
    ------
    DifferentiationError
        As `read`.

    Examples
    --------
    >>> def cube(x):
    ...     return x**3
    >>> differentiate(cube, 1, 0)(np.array([2.0]))
    array([12.])
    """
    tape = Tape(arguments)
    result = _Reader(tape, function).value(tape.arguments)
    return tape.program(tape.derivative(result, argument))


class _Reader:
    """Reads one function, and by others of its kind those that it calls."""

    def __init__(self, tape: Tape, function: Callable[..., Any], depth: int = 0) -> None:
        self.tape = tape
        self.function = getattr(function, "py_func", function)  # what Numba compiled
        self.name = getattr(self.function, "__name__", repr(self.function))
        self.depth = depth
        if not isinstance(self.function, FunctionType):
            raise DifferentiationError(
                f"{self.name!r} is no plain Python function, whose source could be read"
            )
        self.code = self.function.__code__
        self.definition = self._find_definition(self.function)

    def value(self, positional: Sequence[Any], keywords: Mapping[str, Any] | None = None) -> Number:
        """What the function returns for these arguments."""
        try:
            # Not of what a decorator wraps: it is the wrapper that is read.
            signature = inspect.signature(self.function, follow_wrapped=False)
            bound = signature.bind(*positional, **(keywords or {}))
        except TypeError as error:
            raise DifferentiationError(f"{self.name}: {error}") from None
        bound.apply_defaults()
        body = self.definition.body
        if not isinstance(body, list):
            return self._number(body, dict(bound.arguments))
        result = self._block(body, dict(bound.arguments))
        if result is None:
            raise self._error(self.definition, "it does not return a number in every case")
        return result

    # -- source -----------------------------------------------------------------

    def _find_definition(self, function: FunctionType) -> ast.FunctionDef | ast.Lambda:
        lines = linecache.getlines(self.code.co_filename, function.__globals__)
        try:
            tree = _parsed("".join(lines))
        except SyntaxError:
            tree = None
        found = [
            node
            for node in (ast.walk(tree) if tree is not None else ())
            if isinstance(node, ast.FunctionDef | ast.Lambda)
            and _first_line(node) == self.code.co_firstlineno
            and getattr(node, "name", "<lambda>") == self.code.co_name
        ]
        if len(found) > 1:
            found = self._around_code(found)
        if not found:
            raise DifferentiationError(
                f"the source of '{self.name}' cannot be found; define it in a file or a notebook"
            )
        return found[0]

    def _around_code(
        self, lambdas: Sequence[ast.FunctionDef | ast.Lambda]
    ) -> list[ast.FunctionDef | ast.Lambda]:
        """Of several in a line, the innermost whose body all of the code stands in."""
        places = [
            (line, column)
            for line, _, column, end in self.code.co_positions()
            if line is not None and column is not None and end
        ]

        def begin(node: ast.FunctionDef | ast.Lambda) -> tuple[int, int]:
            body: Any = node.body
            return body.lineno, body.col_offset

        def holds(node: ast.FunctionDef | ast.Lambda) -> bool:
            body: Any = node.body
            return all(
                begin(node) <= place < (body.end_lineno, body.end_col_offset) for place in places
            )

        inner = [node for node in lambdas if isinstance(node, ast.Lambda) and holds(node)]
        return [max(inner, key=begin)] if places and inner else []

    def _error(self, node: ast.AST, problem: str) -> DifferentiationError:
        line = getattr(node, "lineno", self.code.co_firstlineno)
        file = self.code.co_filename
        text = linecache.getline(file, line, self.function.__globals__).strip()
        where = f"'{self.name}', line {line} of {PurePath(file).name}"
        return DifferentiationError(f"{where}: {problem}" + (f"\n    {text}" if text else ""))

    # -- statements -------------------------------------------------------------

    def _block(self, statements: Sequence[ast.stmt], known: dict[str, Any]) -> Number | None:
        """What the statements return; None if they do not, and then `known` is changed."""
        for i, statement in enumerate(statements):
            if isinstance(statement, ast.Return):
                if statement.value is None:
                    raise self._error(statement, "it must return a number")
                return self._number(statement.value, known)
            if isinstance(statement, ast.If):
                condition = self._truth(statement.test, known)
                rest = statements[i + 1 :]
                if not isinstance(condition, Symbol):
                    taken = statement.body if condition else statement.orelse
                    return self._block([*taken, *rest], known)
                if any(isinstance(n, ast.Return) for n in ast.walk(statement)):
                    return self._either(condition, statement, rest, known)
                self._merge(condition, statement, known)
            else:
                self._assign(statement, known)
        return None

    def _either(
        self, condition: Symbol, branch: ast.If, rest: Sequence[ast.stmt], known: Mapping[str, Any]
    ) -> Number | None:
        """What a branch returns that may end the function, each side with all that follows."""
        yes = self._block([*branch.body, *rest], dict(known))
        no = self._block([*branch.orelse, *rest], dict(known))
        return None if yes is None or no is None else self.tape.apply("where", condition, yes, no)

    def _merge(self, condition: Symbol, branch: ast.If, known: dict[str, Any]) -> None:
        """The variables after a branch."""
        yes, no = dict(known), dict(known)
        self._block(branch.body, yes)
        self._block(branch.orelse, no)
        known.clear()
        for name in yes.keys() & no.keys():
            if yes[name] is no[name]:
                known[name] = yes[name]
            elif _is_number(yes[name]) and _is_number(no[name]):
                known[name] = self.tape.apply("where", condition, yes[name], no[name])

    def _assign(self, statement: ast.stmt, known: dict[str, Any]) -> None:
        """A statement that is no branch and does not return."""
        targets: list[ast.expr]
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets, value = [statement.target], statement.value
        elif isinstance(statement, ast.AugAssign):
            before = ast.Name(getattr(statement.target, "id", ""), ast.Load())
            targets = [statement.target]
            value = ast.BinOp(before, statement.op, statement.value)
            for node in (before, value):
                ast.copy_location(node, statement)
        elif isinstance(statement, ast.Pass) or _is_docstring(statement):
            return
        else:
            raise self._error(statement, f"{_kind(statement)} is not supported. {ALLOWED}")
        if not all(isinstance(target, ast.Name) for target in targets):
            raise self._error(statement, f"only plain names can be assigned to. {ALLOWED}")
        found = self._expression(value, known)
        known.update((target.id, found) for target in targets if isinstance(target, ast.Name))

    # -- expressions ------------------------------------------------------------

    def _number(self, node: ast.expr, known: Mapping[str, Any]) -> Number:
        value = self._expression(node, known)
        if not _is_number(value):
            raise self._error(node, f"expected a number here, not {value!r}. {ALLOWED}")
        return self.tape.number(value)

    def _truth(self, node: ast.expr, known: Mapping[str, Any]) -> Symbol | bool:
        """A condition; numbers other than 0 are true."""
        value = self._expression(node, known)
        if not isinstance(value, Symbol):
            return bool(value)
        found = self.tape.truth(value)
        assert isinstance(found, Symbol)
        return found

    def _expression(self, node: ast.expr, known: Mapping[str, Any]) -> Any:
        """A symbol, or anything that is known without the arguments."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return self._look_up(node, known)
        if isinstance(node, ast.Attribute):
            return self._attribute(node, known)
        if isinstance(node, ast.BinOp):
            return self._arithmetic(node, known)
        if isinstance(node, ast.UnaryOp):
            return self._unary(node, known)
        if isinstance(node, ast.Compare):
            return self._comparison(node, known)
        if isinstance(node, ast.BoolOp):
            return self._logic(node, known)
        if isinstance(node, ast.IfExp):
            condition = self._truth(node.test, known)
            if not isinstance(condition, Symbol):
                return self._expression(node.body if condition else node.orelse, known)
            yes, no = self._number(node.body, known), self._number(node.orelse, known)
            return self.tape.apply("where", condition, yes, no)
        if isinstance(node, ast.Call):
            return self._call(node, known)
        raise self._error(node, f"{_kind(node)} is not supported. {ALLOWED}")

    def _look_up(self, node: ast.Name, known: Mapping[str, Any]) -> Any:
        name = node.id
        if name in known:
            return known[name]
        if name in self.code.co_varnames or name in self.code.co_cellvars:
            raise self._error(node, f"'{name}' may have no value here")
        cells = zip(self.code.co_freevars, self.function.__closure__ or (), strict=True)
        for free, cell in cells:
            if free == name:
                return _unwrapped(cell.cell_contents)
        for names in (self.function.__globals__, vars(builtins)):
            if name in names:
                return _unwrapped(names[name])
        raise self._error(node, f"'{name}' is not defined")

    def _attribute(self, node: ast.Attribute, known: Mapping[str, Any]) -> Any:
        owner = self._expression(node.value, known)
        if isinstance(owner, Symbol) or not hasattr(owner, node.attr):
            raise self._error(node, f"a number has no attribute '{node.attr}' here. {ALLOWED}")
        return _unwrapped(getattr(owner, node.attr))

    def _arithmetic(self, node: ast.BinOp, known: Mapping[str, Any]) -> Any:
        a, b = self._number(node.left, known), self._number(node.right, known)
        if isinstance(node.op, ast.Pow):
            if isinstance(a, Symbol) or isinstance(b, Symbol):
                return power(self.tape, a, b)
            return self._known_result(node, operator.pow, a, b)
        if type(node.op) not in _ARITHMETIC:
            raise self._error(node, f"the operator {_kind(node.op)} is not supported. {ALLOWED}")
        name, plain = _ARITHMETIC[type(node.op)]
        if isinstance(a, Symbol) or isinstance(b, Symbol):
            return self.tape.apply(name, a, b)
        return self._known_result(node, plain, a, b)

    def _known_result(self, node: ast.expr, function: Callable[..., Any], *values: Any) -> Any:
        """What a function gives for numbers that do not depend on the arguments."""
        try:
            return _unwrapped(function(*values))
        except (ArithmeticError, ValueError, TypeError) as error:
            raise self._error(node, str(error)) from None

    def _unary(self, node: ast.UnaryOp, known: Mapping[str, Any]) -> Any:
        if isinstance(node.op, ast.Not):
            condition = self._truth(node.operand, known)
            if isinstance(condition, Symbol):
                return self.tape.apply("logical_not", condition)
            return not condition
        value = self._number(node.operand, known)
        if isinstance(node.op, ast.UAdd):
            return value
        if isinstance(node.op, ast.USub):
            return -value
        raise self._error(node, f"the operator {_kind(node.op)} is not supported. {ALLOWED}")

    def _comparison(self, node: ast.Compare, known: Mapping[str, Any]) -> Any:
        values = [self._number(v, known) for v in (node.left, *node.comparators)]
        parts: list[Any] = []
        for op, a, b in zip(node.ops, values, values[1:], strict=False):
            if type(op) not in _COMPARISONS:
                raise self._error(node, f"the comparison {_kind(op)} is not supported. {ALLOWED}")
            name, plain = _COMPARISONS[type(op)]
            symbolic = isinstance(a, Symbol) or isinstance(b, Symbol)
            parts.append(self.tape.apply(name, a, b) if symbolic else plain(a, b))
        return self._all(parts)

    def _logic(self, node: ast.BoolOp, known: Mapping[str, Any]) -> Any:
        parts = [self._truth(v, known) for v in node.values]
        if isinstance(node.op, ast.And):
            return self._all(parts)
        if any(v is True for v in parts):
            return True
        return self._join("logical_or", [v for v in parts if isinstance(v, Symbol)], False)

    def _all(self, parts: Iterable[Any]) -> Any:
        parts = list(parts)
        if any(not isinstance(v, Symbol) and not v for v in parts):
            return False
        return self._join("logical_and", [v for v in parts if isinstance(v, Symbol)], True)

    def _join(self, name: str, parts: Sequence[Symbol], empty: bool) -> Any:
        if not parts:
            return empty
        result: Number = parts[0]
        for part in parts[1:]:
            result = self.tape.apply(name, result, part)
        return result

    def _call(self, node: ast.Call, known: Mapping[str, Any]) -> Any:
        function = self._expression(node.func, known)
        if any(isinstance(v, ast.Starred) for v in node.args) or any(
            k.arg is None for k in node.keywords
        ):
            raise self._error(node, f"arguments by * and ** are not supported. {ALLOWED}")
        positional = [self._expression(v, known) for v in node.args]
        keywords = {str(k.arg): self._expression(k.value, known) for k in node.keywords}
        function = getattr(function, "py_func", function)
        if isinstance(function, Hashable) and function in FUNCTIONS and not keywords:
            if not any(isinstance(v, Symbol) for v in positional):
                return self._known_result(node, function, *positional)  # type: ignore[arg-type]
            write, counts = FUNCTIONS[function]
            if len(positional) in counts:
                return write(self.tape, *positional)
        elif isinstance(function, FunctionType):
            if self.depth == DEEPEST:
                raise self._error(node, f"functions call each other more than {DEEPEST} deep")
            return _Reader(self.tape, function, self.depth + 1).value(positional, keywords)
        raise self._error(node, f"'{ast.unparse(node)}' cannot be read. {ALLOWED}")


ALLOWED = (
    "A scalar function may use numbers, + - * / **, comparisons, and, or, not, if, conditional "
    "expressions, min, max, abs, functions of math (and their NumPy names), and functions like it"
)


@lru_cache(maxsize=8)
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def _first_line(node: ast.FunctionDef | ast.Lambda) -> int:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    return min([node.lineno, *(d.lineno for d in decorators)])


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_number(value: Any) -> bool:
    return isinstance(value, Symbol | int | float)


def _unwrapped(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    return value.item() if isinstance(value, np.generic) else value


def _kind(node: ast.AST) -> str:
    return {
        "For": "a loop", "While": "a loop", "ListComp": "a list", "List": "a list",
        "Tuple": "a tuple", "Dict": "a dict", "Subscript": "an index", "Raise": "raise",
        "Assert": "assert", "FloorDiv": "//", "Mod": "%", "MatMult": "@", "Expr": "a call for "
        "its effect", "JoinedStr": "a string", "Lambda": "a function inside of it",
        "FunctionDef": "a function inside of it",
    }.get(type(node).__name__, type(node).__name__)  # fmt: skip
