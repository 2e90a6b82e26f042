"""Sums, means, extremes and their like over axes, as `keras.ops` has them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..graph import ops as graph_ops
from ..graph.op import OPS
from ..graph.ops import along
from ..graph.ops.movements import move, sum_of_examples
from ..graph.trace import Value
from .dtypes import name_of, narrowed
from .elements import (
    add,
    divide,
    elements,
    greater,
    isclose,
    isnan,
    less,
    logical_not,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    sqrt,
    square,
    subtract,
    where,
)
from .making import ones_like
from .shaping import back, cut, diagonal, last, permuted, stack
from .tensors import (
    Array,
    Tensor,
    array,
    array_function,
    axis_of,
    cast_value,
    common_dtype,
    done,
    float_dtype,
    inner_axes,
    inner_axis,
    joined_along,
    named,
    rank,
    recorded,
    shown,
    size_of,
    symbolic,
    value,
)

# ----------------------------------------------------------------------------- reductions


def _axes(x: Value, axis: Any, who: str) -> tuple[tuple[int, ...], bool]:
    """The axes of an example, from 0, and whether the batch is one too."""
    if axis is None:
        return tuple(range(len(x.dims))), x.batched
    given = [axis_of(x, one, who) for one in (axis if isinstance(axis, list | tuple) else [axis])]
    if len(set(given)) < len(given):
        raise ValueError(f"{who}: axis={axis} names an axis twice")
    inner = tuple(sorted(one - x.batched for one in given if one >= x.batched))
    return inner, x.batched and 0 in given


def _kept(x: Value, found: Value, inner: tuple[int, ...], batch: bool, keepdims: bool) -> Value:
    """A reduced value, with axes of 1 where they are to be kept."""
    if not keepdims:
        return found
    dims = tuple(1 if i in inner else n for i, n in enumerate(x.dims))
    return graph_ops.reshape(found, (1, *dims) if batch else dims)


def _over(x: Value, inner: tuple[int, ...], steps: Callable[[Value], Value]) -> Value:
    """A reduction of axes, one run of neighbours after another, the last one first."""
    runs: list[list[int]] = []
    for axis in inner:
        if runs and runs[-1][-1] == axis - 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    for run in reversed(runs):
        before, after = x.dims[: run[0]], x.dims[run[-1] + 1 :]
        n = size_of(x.dims[run[0] : run[-1] + 1])
        rows = graph_ops.reshape(x, (size_of(before), n, size_of(after)))
        x = graph_ops.reshape(steps(rows), (*before, *after))
    return x


def _sum_values(x: Value, axis: Any, keepdims: bool, who: str) -> Value:
    inner, batch = _axes(x, axis, who)
    found = _over(x, inner, graph_ops.sum_steps)
    if batch:
        found = sum_of_examples(found)
    return _kept(x, found, inner, batch, keepdims)


def _by_floats(x: Value, function: Callable[[Value], Value]) -> Value:
    """What is computed of whole numbers by floats that hold them all."""
    if x.dtype.startswith("float"):
        return function(x)
    return cast_value(function(cast_value(x, "float64")), x.dtype)


@recorded
def sum(x: Tensor, axis: Any = None, keepdims: bool = False) -> Any:
    """The sum over axes, over all of them if None; the batch is axis 0.

    Parameters
    ----------
    x : array, Variable or symbolic value
    axis : int or tuple of int, optional
    keepdims : bool
        Whether the axes stay, with a length of 1.

    Returns
    -------
    array
        Of x's dtype; of truth values, int32.

    Examples
    --------
    >>> sum([[1.0, 2.0], [3.0, 4.0]], axis=0)
    array([4., 6.], dtype=float32)
    """
    dtype = common_dtype(x)
    dtype = {"bool": "int32", "int8": "int32", "int16": "int32"}.get(dtype, dtype)
    dtype = {"uint8": "uint32", "uint16": "uint32"}.get(dtype, dtype)
    if not symbolic(x):
        return done(np.sum(array(x), axis=_axis(axis), keepdims=keepdims, dtype=dtype))
    whole = value(x, dtype if dtype != "uint32" else "int32")
    return _by_floats(whole, lambda v: _sum_values(v, axis, keepdims, "sum"))


@recorded
def trace(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sums of the diagonals of the matrices in two axes."""
    return sum(diagonal(x, offset, axis1, axis2), axis=-1)


def _axis(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


@recorded
def mean(x: Tensor, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean over axes, over all of them if None; the batch is axis 0.

    Parameters and result are as those of `sum`; means are floats.

    Examples
    --------
    >>> mean([[1.0, 2.0], [3.0, 4.0]], axis=1)
    array([1.5, 3.5], dtype=float32)
    """
    dtype = float_dtype(x)
    if not symbolic(x):
        return np.asarray(np.mean(array(x, dtype), axis=_axis(axis), keepdims=keepdims))
    x = value(x, dtype)
    inner, batch = _axes(x, axis, "mean")
    found = _over(x, inner, graph_ops.mean_steps)
    if batch:
        found = graph_ops.over_examples(sum_of_examples(found))
    return _kept(x, found, inner, batch, keepdims)


def _largest(x: Value, axis: Any, keepdims: bool, who: str) -> Value:
    inner, batch = _axes(x, axis, who)
    if batch:
        raise ValueError(
            f"{who}: axis={axis} of shape {shown(x)} is over the batch; a model takes sums and "
            "means over its examples, and nothing else: name other axes"
        )
    return _kept(x, _over(x, inner, graph_ops.max_steps), inner, batch, keepdims)


def _negated(x: Value) -> Value:
    return graph_ops.scale(x, -1.0)


def _extreme(name: str, summary: str, function: Callable[..., Any], sign_: float) -> Any:
    def of_values(x: Value, axis: Any, keepdims: bool) -> Value:
        def largest(v: Value) -> Value:
            if sign_ > 0:
                return _largest(v, axis, keepdims, name)
            return _negated(_largest(_negated(v), axis, keepdims, name))

        return _by_floats(x, largest)

    def call(
        x: Tensor, axis: Any = None, keepdims: bool = False, initial: float | None = None
    ) -> Any:
        if not symbolic(x):
            options = {} if initial is None else {"initial": initial}
            return np.asarray(function(array(x), axis=_axis(axis), keepdims=keepdims, **options))
        found = of_values(value(x), axis, keepdims)
        if initial is None:
            return found
        return maximum(found, initial) if sign_ > 0 else minimum(found, initial)

    def short(x: Tensor, axis: Any = None, keepdims: bool = False) -> Any:
        return call(x, axis, keepdims)

    doc = (
        f"{summary} over axes, over all of them if None.\n\nParameters and result are as those of "
        "`sum`."
    )
    return named(call, name, doc), named(short, f"a{name}", doc)


max, amax = _extreme("max", "The largest number", np.max, 1.0)
min, amin = _extreme("min", "The smallest number", np.min, -1.0)


@recorded
def ptp(x: Tensor, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest number less the smallest one, over axes."""
    return subtract(max(x, axis, keepdims), min(x, axis, keepdims))


@recorded
def prod(x: Tensor, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The product over axes, over all of them if None.

    Parameters and result are as those of `sum`, besides the dtype of the result.
    """
    kind = common_dtype(x) if dtype is None else narrowed(name_of(dtype))
    if dtype is None:
        kind = {"bool": "int32", "int8": "int32", "int16": "int32"}.get(kind, kind)
        kind = {"uint8": "uint32", "uint16": "uint32"}.get(kind, kind)
    if not symbolic(x):
        return done(np.prod(array(x), axis=_axis(axis), keepdims=keepdims, dtype=kind))
    x = value(x, "int32" if kind == "uint32" else kind)
    inner, batch = _axes(x, axis, "prod")
    if batch:
        raise ValueError(f"prod: axis={axis} of shape {shown(x)} is over the batch; name others")
    return _kept(x, _over(x, inner, _product_of_steps), inner, batch, keepdims)


def _product_of_steps(x: Value) -> Value:
    """Halves times each other, until there is one."""
    _, n, _ = x.dims
    while n > 1:
        half = n // 2
        first, second = cut(x, 1, 0, half), cut(x, 1, half, 2 * half)
        folded = elements("multiply", first, second)
        rest = [cut(x, 1, 2 * half, n)] if n % 2 else []
        x = joined_along([folded, *rest], 1)
        n = half + n % 2
    return graph_ops.reshape(x, (x.dims[0], x.dims[2]))


@recorded
def var(x: Tensor, axis: Any = None, keepdims: bool = False) -> Any:
    """The variance over axes: the mean square of what numbers differ from their mean."""
    dtype = float_dtype(x)
    if not symbolic(x):
        return np.asarray(np.var(array(x, dtype), axis=_axis(axis), keepdims=keepdims))
    x = value(x, dtype)
    return mean(square(subtract(x, mean(x, axis, True))), axis, keepdims)


@recorded
def std(x: Tensor, axis: Any = None, keepdims: bool = False) -> Any:
    """The square root of the variance over axes."""
    return sqrt(var(x, axis, keepdims))


def _quantified(name: str, summary: str, function: Callable[..., Any]) -> Any:
    def call(x: Tensor, axis: Any = None, keepdims: bool = False) -> Any:
        if not symbolic(x):
            return np.asarray(function(array(x, "bool"), axis=_axis(axis), keepdims=keepdims))
        held = cast_value(value(x, "bool"), "float32")
        inner, batch = _axes(held, axis, name)
        if name == "all":
            held = subtract(1.0, held)
        found = _over(held, inner, graph_ops.max_steps)
        if batch:
            found = sum_of_examples(found)
        found = _kept(held, found, inner, batch, keepdims)
        return less(found, 0.5) if name == "all" else greater(found, 0.5)

    return named(call, name, f"{summary} over axes, over all of them if None.")


any = _quantified("any", "Whether any number is true", np.any)
all = _quantified("all", "Whether all numbers are true", np.all)


@recorded
def allclose(
    x1: Tensor, x2: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """Whether that holds for all elements."""
    return all(isclose(x1, x2, rtol, atol, equal_nan))


@recorded
def count_nonzero(x: Tensor, axis: Any = None) -> Any:
    """How many numbers are not 0, over axes; int32."""
    return sum(not_equal(x, 0), axis)


@recorded
def average(x: Tensor, axis: Any = None, weights: Tensor = None) -> Any:
    """The mean over axes, in which each number counts by its weight.

    Weights have the shape of x, or that of its one axis.
    """
    if weights is None:
        return mean(x, axis)
    if not symbolic(x, weights):
        dtype = float_dtype(x, weights)
        return np.asarray(np.average(array(x, dtype), _axis(axis), array(weights, dtype)))
    dtype = float_dtype(x, weights)
    numbers, w = value(x, dtype), value(weights, dtype)
    if rank(w) == 1 and rank(numbers) > 1 and not w.batched and isinstance(axis, int):
        after = rank(numbers) - 1 - axis_of(numbers, axis, "average")
        w = graph_ops.reshape(w, (*w.dims, *(1,) * after))
    w = multiply(ones_like(numbers), w)
    return divide(sum(multiply(numbers, w), axis), sum(w, axis))


def _sorted_along(name: str, summary: str, sign_: float) -> Any:
    def call(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Any:
        if not symbolic(x):
            function = np.argmax if sign_ > 0 else np.argmin
            return done(function(array(x), axis=axis, keepdims=keepdims))
        x = value(x)
        if x.dtype == "bool":
            x = cast_value(x, "uint8")
        numbers = (
            x if sign_ > 0 else negative(cast_value(x, "float64") if x.dtype == "uint8" else x)
        )
        if axis is None:
            if x.batched:
                inner_axes(x, None, name)
            found = along.argmax(graph_ops.reshape(numbers, (x.size,)))
            return _kept(x, found, tuple(range(len(x.dims))), False, keepdims)
        at = inner_axis(x, axis, name)
        return _kept(x, along.argmax(last(numbers, at)), (at,), False, keepdims)

    return named(call, name, f"{summary} along an axis, of all if None; int32.")


argmax = _sorted_along("argmax", "The index of the largest number", 1.0)
argmin = _sorted_along("argmin", "The index of the smallest number", -1.0)


def _cumulative(name: str, function: Callable[..., Any], summary: str) -> Any:
    def call(x: Tensor, axis: int | None = None, dtype: Any = None) -> Any:
        kind = common_dtype(x) if dtype is None else narrowed(name_of(dtype))
        kind = "int32" if kind == "bool" else kind
        if not symbolic(x):
            return done(function(array(x, kind), axis=axis, dtype=kind))
        numbers = value(x, kind)
        if axis is None:
            inner_axes(numbers, None, name)
            numbers, axis = graph_ops.reshape(numbers, (numbers.size,)), 0
        at = inner_axis(numbers, axis, name)
        if name == "cumsum":
            return _by_floats(numbers, lambda v: back(_cumulative_sum(last(v, at)), at))
        return _scanned(numbers, at, lambda a, b: elements("multiply", a, b), 1.0)

    return named(call, name, f"{summary} along an axis; of all numbers in a row, if None.")


def _cumulative_sum(x: Value) -> Value:
    """Along the last axis."""
    if "cumulative_sum" in OPS:
        return graph_ops.cumulative_sum(x)
    return _scanned(x, len(x.dims) - 1, lambda a, b: elements("add", a, b), 0.0)


def _scanned(
    x: Value, axis: int, combine: Callable[[Value, Value], Value], neutral: float
) -> Value:
    """All results of combining the first numbers along an axis, in as many rounds as n has bits."""
    n, shift = x.dims[axis], 1
    while shift < n:
        widths = tuple((shift, 0) if i == axis else (0, 0) for i in range(len(x.dims)))
        before = move(cut(x, axis, 0, n - shift), "pad", neutral, widths=widths, mode="constant")
        x = combine(before, x)
        shift *= 2
    return x


cumsum = _cumulative("cumsum", np.cumsum, "The sum of the first numbers")
cumprod = _cumulative("cumprod", np.cumprod, "The product of the first numbers")


@recorded
def quantile(
    x: Tensor, q: Tensor, axis: Any = None, method: str = "linear", keepdims: bool = False
) -> Any:
    """The numbers below which a share q, from 0 to 1, of the numbers along axes lies.

    Parameters
    ----------
    x : array, Variable or symbolic value
    q : array-like
        Several shares add an axis in front.
    axis : int or tuple of int, optional
        All if None.
    method : {"linear", "lower", "higher", "midpoint", "nearest"}
        What stands between two numbers.
    keepdims : bool
    """
    dtype = float_dtype(x)
    if not symbolic(x):
        return np.quantile(  # type: ignore[call-overload]
            array(x, dtype), array(q).astype(float), _axis(axis), method=method, keepdims=keepdims
        ).astype(dtype)
    numbers = value(x, dtype)
    inner, batch = _axes(numbers, axis, "quantile")
    if batch:
        raise ValueError(
            f"quantile: axis={axis} of {shown(numbers)} is over the batch; name others"
        )
    rest = tuple(i for i in range(len(numbers.dims)) if i not in inner)
    rows = graph_ops.reshape(
        permuted(numbers, (*rest, *inner)),
        (*(numbers.dims[i] for i in rest), size_of([numbers.dims[i] for i in inner])),
    )
    ordered = along.take_along(rows, along.argsort(rows))
    n = rows.dims[-1]
    found = []
    for share in np.atleast_1d(np.asarray(q, float)):
        at = share * (n - 1)
        low, high = math.floor(at), math.ceil(at)
        part = {
            "linear": at - low,
            "lower": 0.0,
            "higher": 1.0 if high > low else 0.0,
            "midpoint": 0.5 if high > low else 0.0,
            "nearest": float(np.round(at)) - low,
        }[method]
        a, b = (cut(ordered, len(rows.dims) - 1, i, i + 1) for i in (low, high))
        mixed = add(multiply(a, 1.0 - part), multiply(b, part))
        found.append(
            _kept(numbers, graph_ops.reshape(mixed, rows.dims[:-1]), inner, False, keepdims)
        )
    if np.ndim(q) == 0:
        return found[0]
    if numbers.batched:
        raise ValueError("quantile: several q put an axis before the batch; ask for one at a time")
    return stack(found)


@recorded
def percentile(
    x: Tensor, q: Tensor, axis: Any = None, method: str = "linear", keepdims: bool = False
) -> Any:
    """As `quantile`, with shares from 0 to 100."""
    return quantile(x, np.asarray(q, float) / 100, axis, method, keepdims)


@recorded
def median(x: Tensor, axis: Any = None, keepdims: bool = False) -> Any:
    """The number in the middle along axes, or the mean of the two there."""
    return quantile(x, 0.5, axis, "linear", keepdims)


def _without_nan(name: str, function: Callable[..., Any], by: Callable[..., Any]) -> Any:
    def call(x: Tensor, axis: Any = None, keepdims: bool = False) -> Any:
        if symbolic(x):
            return by(value(x), axis, keepdims)
        with np.errstate(all="ignore"):
            numbers = array(x)
            found = function(numbers, axis=_axis(axis), keepdims=keepdims)
        return np.asarray(found).astype(_reduced_dtype(name, numbers), copy=False)

    return named(call, name, f"As `{name[3:]}`, of the numbers that are not NaN.")


def _reduced_dtype(name: str, x: Array) -> str:
    if name in ("nansum", "nanprod"):
        return {"bool": "int32", "int8": "int32", "int16": "int32", "uint8": "uint32"}.get(
            x.dtype.name, x.dtype.name
        )
    if name in ("nanmax", "nanmin"):
        return x.dtype.name
    return float_dtype(x)


def _nan_mean(x: Value, axis: Any, keepdims: bool) -> Value:
    there = cast_value(logical_not(isnan(x)), x.dtype)
    return divide(sum(where(isnan(x), 0.0, x), axis, keepdims), sum(there, axis, keepdims))  # type: ignore[no-any-return]


def _nan_var(x: Value, axis: Any, keepdims: bool) -> Value:
    return _nan_mean(square(subtract(x, _nan_mean(x, axis, True))), axis, keepdims)


nansum = _without_nan(
    "nansum", np.nansum, lambda x, axis, keep: sum(where(isnan(x), 0.0, x), axis, keep)
)
nanprod = _without_nan(
    "nanprod", np.nanprod, lambda x, axis, keep: prod(where(isnan(x), 1.0, x), axis, keep)
)
nanmax = _without_nan(
    "nanmax", np.nanmax, lambda x, axis, keep: max(where(isnan(x), -math.inf, x), axis, keep)
)
nanmin = _without_nan(
    "nanmin", np.nanmin, lambda x, axis, keep: min(where(isnan(x), math.inf, x), axis, keep)
)
nanmean = _without_nan("nanmean", np.nanmean, _nan_mean)
nanvar = _without_nan("nanvar", np.nanvar, _nan_var)
nanstd = _without_nan("nanstd", np.nanstd, lambda x, axis, keep: sqrt(_nan_var(x, axis, keep)))


nanmedian = array_function("nanmedian", np.nanmedian, "As `median`, without NaN.", True)
nanquantile = array_function("nanquantile", np.nanquantile, "As `quantile`, without NaN.", True)
nanpercentile = array_function(
    "nanpercentile", np.nanpercentile, "As `percentile`, without NaN.", True
)
nancumsum = array_function("nancumsum", np.nancumsum, "As `cumsum`, without NaN.")
nancumprod = array_function("nancumprod", np.nancumprod, "As `cumprod`, without NaN.")
i0 = array_function("i0", np.i0, "The modified Bessel function of order 0.", True)
