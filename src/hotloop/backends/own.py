"""A user's own scalar functions as loops over arrays: compiled by Numba, or else by NumPy.

A loop is a C function of pointers and a count. The compiled executor calls it by its address, the
others through ctypes, so that all mean the same to the bit. Without Numba, NumPy does the same
operations array by array.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..differentiation import (
    ALLOWED,
    ARRAY_NAMES,
    DifferentiationError,
    Program,
    differentiate,
    read,
)
from . import Function, available, current
from .differences import slopes
from .numpy import over

if TYPE_CHECKING:
    from ..graph.trace import Node

Array = NDArray[Any]

# Where values and derivatives are compared with finite differences. None is a round number:
# there are the kinks.
_NEAR = np.array([0.0137, 0.113, 0.371, 0.737, 1.193, 1.731, 2.713, 4.307, 7.919])
_CHECKED = np.concatenate([-_NEAR[::-1], _NEAR])
_TARGETS = np.array([0.0, 1.0, -1.0, 0.2903, 2.7011])
# Steps of the differences, and how far they may be from the derivative, as a part of it.
_STEP = 1e-3
_TOLERANCE = 1e-5

# As in `loops`: infinities instead of exceptions.
_IEEE: Any = {"error_model": "numpy"}
# Numba's messages may hold colours for a terminal.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def has_numba() -> bool:
    """Whether functions can be compiled."""
    return available("numba")


class ScalarFunction:
    """A function of one number, or of two, and its derivative with respect to the last.

    Parameters
    ----------
    function : callable
    derivative : callable, optional
        Of the same arguments; derived from the source of `function` if not given.
    arguments : {1, 2}
    name : str

    Raises
    ------
    DifferentiationError
        Where the function can be neither read nor compiled, saying which line, or has no
        derivative.
    ValueError
        If the derivative is not that of the function; says where.
    """

    def __init__(
        self, function: Function, derivative: Function | None, arguments: int, name: str
    ) -> None:
        self.function = function
        self.given_derivative = derivative
        self.arguments = arguments
        self.name = name
        self.value: Program | Function
        self.derivative: Program | Function
        if derivative is None:
            try:
                self.value = read(function, arguments)
                self.derivative = differentiate(function, arguments, arguments - 1)
            except DifferentiationError as error:
                raise DifferentiationError(
                    f"{error}\nPass derivative=... if '{name}' cannot be written so."
                ) from None
        else:
            self.value = _read_or_compile(function, arguments)
            self.derivative = _read_or_compile(derivative, arguments)
        self._check()

    def loops(self, dtype: str) -> Loops:
        """Its loops over arrays of this dtype, compiled when they are first asked for."""
        return _loops(self.value, self.derivative, self.arguments, dtype, has_numba())

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.function, self.given_derivative, self.arguments, self.name)

    def _check(self) -> None:
        """That the derivative is that of the value, by finite differences in float64."""
        x = _CHECKED
        fixed: tuple[Array, ...] = ()
        if self.arguments == 2:
            x, targets = (a.reshape(-1) for a in np.meshgrid(_CHECKED, _TARGETS))
            fixed = (targets,)

        def differences(step: float) -> Array:
            near, far = (
                _on_numbers(self.value, *fixed, x + k * step)
                - _on_numbers(self.value, *fixed, x - k * step)
                for k in (1, 2)
            )
            found: Array = (8.0 * near - far) / (12.0 * step)
            return found

        given = _on_numbers(self.derivative, *fixed, x)
        with np.errstate(all="ignore"):
            coarse, fine = differences(_STEP), differences(_STEP / 2)
            doubt = np.abs(coarse - fine)
            scale = 1.0 + np.abs(fine)
            # Where the two differ there is a kink or a jump in between.
            smooth = np.isfinite(fine) & (doubt < 1e-3 * scale)
            wrong = smooth & ~(np.abs(given - fine) < 10.0 * doubt + _TOLERANCE * scale)
        if not np.isfinite(_on_numbers(self.value, *fixed, x)).any():
            raise ValueError(f"'{self.name}' is finite at none of the numbers tried: {_CHECKED}")
        if wrong.any():
            i = int(np.argmax(wrong))
            at = [*(float(a[i]) for a in fixed), float(x[i])]
            names = ("x",) if self.arguments == 1 else ("y_true", "y_pred")
            where = ", ".join(f"{n} = {v:.6g}" for n, v in zip(names, at, strict=True))
            raise ValueError(
                f"the derivative of '{self.name}' is wrong at {where}: it gives {given[i]:.6g}, "
                f"finite differences of the function {fine[i]:.6g}"
            )


def _on_numbers(function: Program | Function, *arrays: Array) -> Array:
    """A function of float64 arrays; NaN where Python's own functions raise."""
    if isinstance(function, Program):
        return function(*arrays)

    def value(*numbers: float) -> float:
        try:
            return float(function(*numbers))
        except (ArithmeticError, ValueError):
            return np.nan

    with np.errstate(all="ignore"):
        return np.array([value(*map(float, row)) for row in zip(*arrays, strict=True)])


def _read_or_compile(function: Function, arguments: int) -> Program | Function:
    """The program of a function, or what Numba makes of it where it cannot be read."""
    try:
        return read(function, arguments)
    except DifferentiationError as error:
        if not has_numba():
            return function
        try:
            return _compiled_whole(function, arguments)
        except DifferentiationError as refused:
            raise DifferentiationError(
                f"{error}\nNumba cannot compile it either: {refused}"
            ) from None


@lru_cache(maxsize=64)
def _compiled_whole(function: Function, arguments: int) -> Function:
    """A function as Numba compiles it."""
    from numba import njit, types
    from numba.core.errors import NumbaError

    try:
        compiled: Any = function if hasattr(function, "py_func") else njit(**_IEEE)(function)
        compiled.compile((types.float64,) * arguments)
    except (NumbaError, TypeError) as refused:
        raise DifferentiationError(_COLOURS.sub("", str(refused))) from None
    result = str(compiled.overloads[compiled.signatures[-1]].signature.return_type)
    if result.rstrip("0123456789") not in ("float", "int", "uint", "bool"):
        raise DifferentiationError(f"it must return a number, but returns {result}. {ALLOWED}")
    made: Function = compiled
    return made


# ------------------------------------------------------------------------------ loops


class Loop:
    """One function over arrays: the last is written, the others are read.

    Attributes
    ----------
    address : int
        Of the C function ``void (..., ptrdiff_t n)``; 0 where NumPy does it.
    """

    address = 0

    def __call__(self, *arrays: Array) -> None:
        """Fills the last array, all being contiguous and of one size, and sharing no memory."""
        raise NotImplementedError


class _ArrayLoop(Loop):
    """A loop that NumPy does, array by array."""

    def __init__(self, work: Function) -> None:
        self._work = work

    def __call__(self, *arrays: Array) -> None:
        arrays[-1][...] = self._work(*arrays[:-1])


class _CompiledLoop(Loop):
    """A loop that Numba compiled, as a C function."""

    def __init__(self, made: Any, operands: int) -> None:
        self.address = int(made.address)
        self._made = made  # owns the code
        types = [ctypes.c_void_p] * operands + [ctypes.c_ssize_t]
        self._call = ctypes.CFUNCTYPE(None, *types)(self.address)

    def __call__(self, *arrays: Array) -> None:
        if current() == "numba":
            from .loops import in_parts

            in_parts(lambda start, stop: self._part(arrays, start, stop), arrays[-1].size)
        else:
            self._part(arrays, 0, arrays[-1].size)

    def _part(self, arrays: Sequence[Array], start: int, stop: int) -> None:
        self._call(*(a.ctypes.data + start * a.itemsize for a in arrays), stop - start)


class Loops:
    """The loops of a scalar function: its value, and its gradient.

    ``value(x, out)`` and ``gradient(dy, x, out)``, which is dy times the derivative; of two
    arguments, ``value(y_true, y_pred, out)`` and ``gradient(y_true, y_pred, out)``.
    """

    def __init__(self, value: Loop, gradient: Loop) -> None:
        self.value = value
        self.gradient = gradient

    @property
    def compiled(self) -> bool:
        """Whether they need no Python."""
        return bool(self.value.address)


@lru_cache(maxsize=256)
def _loops(
    value: Program | Function,
    derivative: Program | Function,
    arguments: int,
    dtype: str,
    compiled: bool,
) -> Loops:
    times = arguments == 1
    if not compiled:
        return Loops(_interpreted(value, times=False), _interpreted(derivative, times=times))
    return Loops(
        _compiled(value, arguments, dtype, times=False),
        _compiled(derivative, arguments, dtype, times=times),
    )


def _interpreted(function: Program | Function, *, times: bool) -> Loop:
    """A loop that NumPy runs; with `times`, times its first array."""

    def work(*arrays: Array) -> Array:
        with np.errstate(all="ignore"):
            result = np.asarray(_on_arrays(function, *arrays[times:]))
            return arrays[0] * result if times else result

    return _ArrayLoop(work)


def _on_arrays(function: Program | Function, *arrays: Array) -> Any:
    if isinstance(function, Program):
        return function(*arrays)
    return np.frompyfunc(function, len(arrays), 1)(*arrays).astype(arrays[0].dtype)


def _compiled(function: Program | Function, arguments: int, dtype: str, *, times: bool) -> Loop:
    """A loop that Numba compiles; with `times`, times its first array."""
    from numba import cfunc, types
    from numba.np.numpy_support import carray

    inputs = arguments + times
    names = [f"a{i}" for i in range(inputs)]
    read = [f"v{i} = {name}[i]" for i, name in enumerate(names[times:])]
    if isinstance(function, Program):
        lines, result = function.lines(loop=True)
    else:
        lines, result = [], f"function({', '.join(f'v{i}' for i in range(arguments))})"
    if times:
        result = f"a0[i] * ({result})"
    source = "\n".join(
        [
            f"def loop({', '.join(f'p{i}' for i in range(inputs))}, q, n):",
            *(f"    {name} = carray(p{i}, n)" for i, name in enumerate(names)),
            "    out = carray(q, n)",
            "    for i in range(n):",
            *(f"        {line}" for line in [*read, *lines]),
            f"        out[i] = {result}",
        ]
    )
    scope = _compiled_names(dtype) | {
        "carray": carray,
        "number": getattr(np, dtype),
        "function": function,
    }
    exec(source, scope)
    pointer: Any = types.CPointer(getattr(types, dtype))  # type: ignore[no-untyped-call]
    made = cfunc(types.void(*[pointer] * (inputs + 1), types.intp), **_IEEE)(scope["loop"])
    return _CompiledLoop(made, inputs + 1)


def _compiled_names(dtype: str) -> dict[str, Any]:
    """What programs call their operations by, inside a compiled loop."""
    from .vector_math import functions

    return dict(ARRAY_NAMES) | {"erf": math.erf, "erfc": math.erfc} | functions(dtype)


# -------------------------------------------------------------------------------- ops
# As in `numpy`, with the user's function as one more keyword. No table of a backend has them:
# every executor knows them by itself.


def own_activation(x: Array, *, function: ScalarFunction, out: Array) -> None:
    """function(x), of any shape."""
    function.loops(x.dtype.name).value(x, out)


def own_activation_gradient(dy: Array, x: Array, *, function: ScalarFunction, out: Array) -> None:
    """dy times the derivative at x."""
    function.loops(x.dtype.name).gradient(dy, x, out)


def own_loss(
    y_true: Array,
    y_pred: Array,
    weight: Array | None,
    *,
    values: Array,
    gradient: Array | None = None,
    scale: float = 1.0,
    function: ScalarFunction,
) -> None:
    """The mean of function(y_true, y_pred) over each row, and its gradient."""
    loops = function.loops(y_pred.dtype.name)
    each = np.empty_like(y_pred)
    loops.value(y_true, y_pred, each)
    mean = each.mean(axis=-1, dtype=np.float64)
    values[...] = mean if weight is None else mean * over(weight, mean.ndim)
    if gradient is not None:
        loops.gradient(y_true, y_pred, gradient)
        gradient *= _factors(weight, scale / y_pred.shape[-1], gradient)


def array_loss(
    y_true: Array,
    y_pred: Array,
    weight: Array | None,
    *,
    values: Array,
    gradient: Array | None = None,
    scale: float = 1.0,
    function: Function,
    derivative: Function | None,
    dims: tuple[int, ...],
    name: str,
) -> None:
    """function(y_true, y_pred) of whole arrays (rows, *dims), and its gradient."""
    y, p = (read_only(a.reshape(-1, *dims)) for a in (y_true, y_pred))
    found = np.asarray(function(y, p))
    if found.shape != p.shape[:-1]:
        raise ValueError(
            f"{name}: it must return one value for each row of y_pred, an array of shape "
            f"{p.shape[:-1]}, not {found.shape}; take the mean over axis=-1"
        )
    found = found.reshape(values.shape)
    values[...] = found if weight is None else found * over(weight, found.ndim)
    if gradient is None:
        return
    slope = slopes(function, y, p, name) if derivative is None else np.asarray(derivative(y, p))
    if slope.shape != p.shape:
        raise ValueError(
            f"{name}: its gradient must have the shape of y_pred, {p.shape}, not {slope.shape}"
        )
    gradient[...] = slope.reshape(gradient.shape) * _factors(weight, scale, gradient)


def _factors(weight: Array | None, scale: float, gradient: Array) -> Any:
    """What each row of a gradient is multiplied by."""
    return gradient.dtype.type(scale) if weight is None else scale * over(weight, gradient.ndim)


def read_only(array: Array) -> Array:
    """The same numbers, not to be written."""
    view = array.view()
    view.flags.writeable = False
    return view


OPS: Mapping[str, Function] = {
    op.__name__: op for op in (own_activation, own_activation_gradient, own_loss, array_loss)
}


def server(node: Node) -> str | None:
    """What runs a node that is, or calls, a function of the user's own; None for others."""
    kind = node.attributes.get("kind", node.op.name)
    if kind in ("array_loss", "lambda", "lambda_gradient"):
        return "python"
    if kind not in OPS:
        return None
    return "numba" if has_numba() else "python"


def may_raise(node: Node) -> bool:
    """Whether a node can raise an error of the user's in the middle of a batch."""
    return server(node) == "python"
