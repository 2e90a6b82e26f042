"""Arrays of given numbers: zeros, ranges, windows and the like, as `keras.ops` has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import config
from ..graph.ops.movements import each_example, move
from .dtypes import name_of, narrowed, result_type
from .elements import add, power
from .shaping import broadcast_to, expand_dims
from .tensors import (
    Tensor,
    array,
    batch_of,
    cast_value,
    common_dtype,
    constant,
    dtype_of,
    float_dtype,
    inner_shape,
    only_arrays,
    recorded,
    symbolic,
    value,
)


def _kind(dtype: Any) -> str:
    return config.floatx() if dtype is None else narrowed(name_of(dtype))


@recorded
def full(shape: Any, fill_value: Tensor, dtype: Any = None) -> Any:
    """An array of a shape, of one number, or of what is broadcast to it.

    Examples
    --------
    >>> full((2,), 3.0)
    array([3., 3.], dtype=float32)
    """
    kind = _kind(dtype) if dtype is not None else result_type(dtype_of(fill_value), float)
    if not symbolic(shape, fill_value):
        return np.full(tuple(shape) if isinstance(shape, list) else shape, array(fill_value), kind)
    return broadcast_to(value(fill_value, kind), shape)


def _filled(name: str, number: float, doc: str) -> Any:
    def call(shape: Any, dtype: Any = None) -> Any:
        like = batch_of(shape)
        if like is None:
            return np.full(tuple(shape) if isinstance(shape, list) else shape, number, _kind(dtype))
        dims, batched = inner_shape(shape, None, name)
        if not batched:
            raise ValueError(f"{name}: the batch can only be the first axis of a shape")
        numbers = constant(np.full(dims, number, "float32"), _kind(dtype))
        return each_example(numbers, like)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return recorded(call)


zeros = _filled("zeros", 0.0, "An array of a shape, of zeros; of floatx, if no dtype is given.")
ones = _filled("ones", 1.0, "An array of a shape, of ones; of floatx, if no dtype is given.")
empty = _filled("empty", 0.0, "An array of a shape, of any numbers (zeros, here).")


def _like(name: str, number: float, doc: str) -> Any:
    def call(x: Tensor, dtype: Any = None) -> Any:
        kind = common_dtype(x) if dtype is None else _kind(dtype)
        if not symbolic(x):
            return np.full(np.shape(array(x)), number, kind)
        x = value(x)
        found = constant(np.full((), number, "float32"), kind)
        wide = move(found, "broadcast", dims=x.dims) if x.dims else found
        return each_example(wide, x) if x.batched else wide

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return recorded(call)


zeros_like = _like("zeros_like", 0.0, "Zeros in the shape of x, and of its dtype if none is given.")
ones_like = _like("ones_like", 1.0, "Ones in the shape of x, and of its dtype if none is given.")
empty_like = _like("empty_like", 0.0, "Any numbers (zeros, here) in the shape of x.")


@recorded
def full_like(x: Tensor, fill_value: Tensor, dtype: Any = None) -> Any:
    """A number in the shape of x, and of its dtype if none is given."""
    if not symbolic(x, fill_value):
        kind = common_dtype(x) if dtype is None else _kind(dtype)
        return np.full(np.shape(array(x)), array(fill_value), kind)
    base = zeros_like(x, dtype)
    return add(base, cast_value(value(fill_value), base.dtype))


@recorded
def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Any:
    """Numbers from start, or 0, up to stop, which is not among them, a step apart.

    Examples
    --------
    >>> arange(3)
    array([0, 1, 2], dtype=int32)
    """
    only_arrays("arange", start, stop, step)
    if dtype is None:
        kinds = [dtype_of(x) for x in (start, stop, step) if x is not None]
        dtype = result_type(*kinds, int) if kinds else "int32"
    step = 1 if step is None else step
    first, end = (0, start) if stop is None else (start, stop)
    return np.arange(first, end, step, dtype=_kind(dtype))


@recorded
def linspace(
    start: Tensor,
    stop: Tensor,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """So many numbers at one distance, from start to stop, along a new axis.

    Parameters
    ----------
    start, stop : number or array
    num : int
    endpoint : bool
        Whether stop is the last one.
    retstep : bool
        Whether the distance is returned too.
    dtype : str, optional
        A float's if not given.
    axis : int
    """
    only_arrays("linspace", start, stop)
    kind = float_dtype(start, stop) if dtype is None else _kind(dtype)
    wide = [np.asarray(array(x), float) for x in (start, stop)]
    found, step = np.linspace(*wide, num, endpoint=endpoint, retstep=True, axis=axis)  # type: ignore[call-overload]
    return (found.astype(kind), step) if retstep else found.astype(kind)


@recorded
def logspace(
    start: Tensor,
    stop: Tensor,
    num: int = 50,
    endpoint: bool = True,
    base: float = 10,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """So many numbers whose logarithms to a base are at one distance; see `linspace`."""
    only_arrays("logspace", start, stop)
    kind = float_dtype(start, stop) if dtype is None else _kind(dtype)
    wide = [np.asarray(array(x), float) for x in (start, stop)]
    return np.logspace(*wide, num, endpoint=endpoint, base=base, axis=axis).astype(kind)  # type: ignore[call-overload]


@recorded
def geomspace(
    start: Tensor,
    stop: Tensor,
    num: int = 50,
    endpoint: bool = True,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """So many numbers, each the same multiple of the one before; see `linspace`."""
    only_arrays("geomspace", start, stop)
    kind = float_dtype(start, stop) if dtype is None else _kind(dtype)
    wide = [np.asarray(array(x), float) for x in (start, stop)]
    return np.geomspace(*wide, num, endpoint=endpoint, axis=axis).astype(kind)  # type: ignore[call-overload]


@recorded
def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """Ones on the k-th diagonal of an N x M matrix, zeros beside it."""
    return np.eye(N, M, k, dtype=_kind(dtype))


@recorded
def identity(n: int, dtype: Any = None) -> Any:
    """The n x n matrix with ones on its diagonal."""
    return np.eye(n, dtype=_kind(dtype))


@recorded
def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """Ones on and below the k-th diagonal of an N x M matrix, zeros above it."""
    return np.tri(N, M, k, dtype=_kind(dtype))


def _window(name: str, function: Any, doc: str) -> Any:
    def call(x: Tensor) -> Any:
        only_arrays(name, x)
        return np.asarray(function(int(np.asarray(x)))).astype(config.floatx())

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return recorded(call)


bartlett = _window("bartlett", np.bartlett, "The Bartlett window of x numbers.")
blackman = _window("blackman", np.blackman, "The Blackman window of x numbers.")
hamming = _window("hamming", np.hamming, "The Hamming window of x numbers.")
hanning = _window("hanning", np.hanning, "The Hann window of x numbers.")


@recorded
def kaiser(x: Tensor, beta: float) -> Any:
    """The Kaiser window of x numbers."""
    only_arrays("kaiser", x)
    return np.kaiser(int(np.asarray(x)), float(np.asarray(beta))).astype(config.floatx())


@recorded
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Any:
    """The powers of the numbers of a vector, a row for each: the highest first, or the lowest."""
    if not symbolic(x):
        numbers = array(x)
        return np.vander(numbers, N, increasing).astype(numbers.dtype)
    x = value(x)
    n = x.dims[0] if N is None else N
    powers = np.arange(n, dtype="float32")
    return power(expand_dims(x, -1), powers if increasing else powers[::-1].copy())
