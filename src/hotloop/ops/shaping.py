"""Shapes and places: slices, axes, concatenation, padding and the like, as `keras.ops` has them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..backends.movements import Numbers
from ..graph import ops as graph_ops
from ..graph.ops.matrices import triangle
from ..graph.ops.movements import each_example, move
from ..graph.trace import Value
from ..lengths import Length, is_open
from .elements import not_equal, subtract
from .tensors import (
    Tensor,
    alike,
    array,
    axis_of,
    batch_of,
    common_dtype,
    done,
    inner_axes,
    inner_axis,
    inner_shape,
    is_batch,
    joined_along,
    only_arrays,
    rank,
    recorded,
    shape_of,
    shown,
    size_of,
    stacked,
    symbolic,
    value,
)

# ----------------------------------------------------------------------------------- axes


@recorded
def reshape(x: Tensor, newshape: Any) -> Any:
    """The same numbers in another shape, of which one length may be -1.

    Parameters
    ----------
    x : array, Variable or symbolic value
    newshape : tuple of int
        Of a symbolic value, the batch stays the first axis: as -1, as None, or as
        ``ops.shape(x)[0]``.

    Examples
    --------
    >>> reshape([1.0, 2.0, 3.0, 4.0], (2, -1))
    array([[1., 2.],
           [3., 4.]], dtype=float32)
    """
    if not symbolic(x):
        return np.reshape(array(x), _whole_shape(newshape))
    x = value(x)
    if not x.batched:
        dims, _ = inner_shape(newshape, None, "reshape")
        return graph_ops.reshape(x, dims)
    dims = tuple(newshape) if isinstance(newshape, list | tuple) else (newshape,)
    first = dims[0] if dims else 0
    rest = tuple(dims[1:])
    if is_batch(first) or first is None:
        return _reshaped(x, rest, newshape)
    if first == -1 and _size_is(rest, x.size):
        return graph_ops.reshape(x, rest)
    raise ValueError(
        f"reshape: the shape {shown(x)} cannot become {tuple(dims)}: examples stay apart, so that "
        "the first axis is the batch, as -1 or ops.shape(x)[0], and the others hold one example"
    )


def _size_is(dims: tuple[Any, ...], size: Any) -> bool:
    return not any(d is None or d == -1 for d in dims) and size_of(dims) == size


def _reshaped(x: Value, dims: tuple[Any, ...], newshape: Any) -> Value:
    if any(d is None or is_batch(d) for d in dims):
        raise ValueError(f"reshape: the batch can only be the first axis, not as in {newshape}")
    return graph_ops.reshape(x, tuple(int(d) if isinstance(d, np.integer) else d for d in dims))


def _whole_shape(shape: Any) -> Any:
    return tuple(shape) if isinstance(shape, list) else shape


@recorded
def ravel(x: Tensor) -> Any:
    """All numbers in one row."""
    if not symbolic(x):
        return np.ravel(array(x))
    return reshape(x, (-1,))


@recorded
def expand_dims(x: Tensor, axis: Any) -> Any:
    """x with new axes of length 1 at these places of the result.

    Examples
    --------
    >>> expand_dims([1.0, 2.0], 1)
    array([[1.],
           [2.]], dtype=float32)
    """
    if not symbolic(x):
        return np.expand_dims(array(x), _whole_shape(axis))
    x = value(x)
    axes = axis if isinstance(axis, list | tuple) else (axis,)
    new = sorted(inner_axis(x, one, "expand_dims", more=len(axes)) for one in axes)
    dims = list(x.dims)
    for at in new:
        dims.insert(at, 1)
    return graph_ops.reshape(x, tuple(dims))


@recorded
def squeeze(x: Tensor, axis: Any = None) -> Any:
    """x without these axes, which have the length 1; without all such axes, if None."""
    if not symbolic(x):
        return np.squeeze(array(x), _whole_shape(axis))
    x = value(x)
    if axis is None:
        gone = [i for i, n in enumerate(x.dims) if n == 1]
    else:
        gone = [*inner_axes(x, axis, "squeeze")]
    if any(x.dims[i] != 1 for i in gone):
        raise ValueError(f"squeeze: axis {axis} of shape {shown(x)} has not the length 1")
    return graph_ops.reshape(x, tuple(n for i, n in enumerate(x.dims) if i not in gone))


def permuted(x: Value, axes: tuple[int, ...]) -> Value:
    """The axes of an example in another order."""
    if axes == tuple(range(len(axes))):
        return x
    if x.dtype.startswith("float"):
        return graph_ops.permute(x, axes)
    return move(x, "permute", axes=axes)


def last(x: Value, axis: int) -> Value:
    """An axis of an example moved to the end."""
    return permuted(x, (*(i for i in range(len(x.dims)) if i != axis), axis))


def back(x: Value, axis: int) -> Value:
    """The last axis of an example moved to where it was."""
    axes = [*range(len(x.dims) - 1)]
    axes.insert(axis, len(x.dims) - 1)
    return permuted(x, tuple(axes))


@recorded
def transpose(x: Tensor, axes: Any = None) -> Any:
    """The axes in another order: in the reverse one, if None.

    Of a symbolic value, the batch stays the first axis.
    """
    if not symbolic(x):
        return np.transpose(array(x), axes)
    x = value(x)
    order = range(rank(x))[::-1] if axes is None else axes
    given = [axis_of(x, axis, "transpose") for axis in order]
    if sorted(given) != [*range(rank(x))]:
        raise ValueError(f"transpose: axes={axes} are not all axes of shape {shown(x)}, each once")
    if x.batched and given[0] != 0:
        raise ValueError(
            f"transpose: axes={tuple(order)} of shape {shown(x)} move the batch, which stays the "
            "first axis; in a product of matrices, matmul(a, b) takes what stands in the last two"
        )
    return permuted(x, tuple(i - x.batched for i in given if i >= x.batched))


@recorded
def swapaxes(x: Tensor, axis1: int, axis2: int) -> Any:
    """x with two axes in each other's place."""
    if not symbolic(x):
        return np.swapaxes(array(x), axis1, axis2)
    x = value(x)
    order = [*range(rank(x))]
    a, b = axis_of(x, axis1, "swapaxes"), axis_of(x, axis2, "swapaxes")
    order[a], order[b] = order[b], order[a]
    return transpose(x, order)


@recorded
def moveaxis(x: Tensor, source: Any, destination: Any) -> Any:
    """x with axes moved to other places; the others keep their order."""
    if not symbolic(x):
        return np.moveaxis(array(x), source, destination)
    x = value(x)
    of, to = (
        [axis_of(x, axis, "moveaxis") for axis in (a if isinstance(a, list | tuple) else (a,))]
        for a in (source, destination)
    )
    order = [i for i in range(rank(x)) if i not in of]
    for at, axis in sorted(zip(to, of, strict=True)):
        order.insert(at, axis)
    return transpose(x, order)


@recorded
def broadcast_to(x: Tensor, shape: Any) -> Any:
    """x, repeated along axes of length 1 and along new ones in front."""
    if not symbolic(x, shape):
        return np.broadcast_to(array(x), _whole_shape(shape)).copy()
    like = batch_of(shape)
    x = value(x)
    dims, batched = inner_shape(shape, x, "broadcast_to")
    if batched and not x.batched:
        if like is None:
            raise ValueError("broadcast_to: whose batch is meant by None? Write ops.shape(x)[0]")
        if rank(x) == len(dims) + 1:
            x = graph_ops.reshape(x, x.dims[1:])
        x = each_example(x, like)
    if len(x.dims) > len(dims) or x.batched != batched:
        raise ValueError(f"broadcast_to: the shape {shown(x)} cannot become {tuple(shape)}")
    padded = (1,) * (len(dims) - len(x.dims)) + x.dims
    dims = tuple(n if d == -1 or d is None else d for n, d in zip(padded, dims, strict=True))
    if any(n not in (1, d) and not is_open((n, d)) for n, d in zip(padded, dims, strict=True)):
        raise ValueError(f"broadcast_to: the shape {shown(x)} cannot become {tuple(shape)}")
    return _broadcast(graph_ops.reshape(x, padded), dims)


def _broadcast(x: Value, dims: tuple[Any, ...]) -> Value:
    return x if x.dims == dims else move(x, "broadcast", dims=dims)


# ------------------------------------------------------------------------------- movements


@recorded
def flip(x: Tensor, axis: Any = None) -> Any:
    """The numbers along axes, along all if None, in the reverse order."""
    if not symbolic(x):
        return np.flip(array(x), _whole_shape(axis))
    x = value(x)
    return move(x, "flip", axes=inner_axes(x, axis, "flip"))


@recorded
def fliplr(x: Tensor) -> Any:
    """The second axis in the reverse order."""
    return flip(x, 1)


@recorded
def flipud(x: Tensor) -> Any:
    """The first axis in the reverse order."""
    return flip(x, 0)


@recorded
def rot90(array: Tensor, k: int = 1, axes: Any = (0, 1)) -> Any:
    """Turned by k right angles, from the first of two axes to the second."""
    a, b = axes
    x, k = array, k % 4
    if k == 2:
        return flip(flip(x, a), b)
    if k == 1:
        return swapaxes(flip(x, b), a, b)
    return flip(swapaxes(x, a, b), b) if k == 3 else x


@recorded
def roll(x: Tensor, shift: Any, axis: Any = None) -> Any:
    """The numbers moved on along axes; those at the end come in again at the start."""
    if not symbolic(x):
        return np.roll(array(x), shift, _whole_shape(axis))
    x = value(x)
    if axis is None:
        inner_axes(x, None, "roll")
        flat = graph_ops.reshape(x, (x.size,))
        return graph_ops.reshape(move(flat, "roll", shifts=shift, axes=0), x.dims)
    axes = inner_axes(x, axis, "roll")
    shifts = tuple(shift) if isinstance(shift, list | tuple) else (int(shift),) * len(axes)
    return move(x, "roll", shifts=shifts, axes=axes)


@recorded
def tile(x: Tensor, repeats: Any) -> Any:
    """The whole array several times along each axis."""
    times = tuple(repeats) if isinstance(repeats, list | tuple | np.ndarray) else (repeats,)
    if not symbolic(x, times):
        return np.tile(array(x), times)
    x, like = value(x), batch_of(times)
    if like is not None and not x.batched:
        if len(times) != rank(x) or x.dims[0] != 1 or not is_batch(times[0]):
            raise ValueError(f"tile: {shown(x)} cannot be repeated {times} times for a batch")
        x = each_example(graph_ops.reshape(x, x.dims[1:]), like)
        times = (1, *times[1:])
    times = (1,) * (rank(x) - len(times)) + tuple(map(int, times))
    if x.batched and (len(times) != rank(x) or times[0] != 1):
        raise ValueError(
            f"tile: {times} of shape {shown(x)} repeats the batch, which stays as it is"
        )
    if x.batched:
        times = times[1:]
    x = graph_ops.reshape(x, (1,) * (len(times) - len(x.dims)) + x.dims)
    return move(x, "tile", repeats=times)


@recorded
def repeat(x: Tensor, repeats: Any, axis: int | None = None) -> Any:
    """Each number several times along an axis; of all numbers in a row, if None."""
    if not symbolic(x):
        return np.repeat(array(x), repeats, axis)
    x = value(x)
    if axis is None:
        inner_axes(x, None, "repeat")
        x, axis = graph_ops.reshape(x, (x.size,)), 0
    at = inner_axis(x, axis, "repeat")
    if np.size(repeats) == 1:
        return move(x, "repeat", n=int(np.ravel(repeats)[0]), axis=at)
    return move(x, "at", numbers=Numbers(np.repeat(np.arange(x.dims[at]), repeats)), axis=at)


@recorded
def pad(x: Tensor, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Any:
    """More numbers at the ends of axes.

    Parameters
    ----------
    x : array, Variable or symbolic value
    pad_width : int or pairs of int
        How many before and behind, for each axis or for all.
    mode : {"constant", "edge", "reflect", "symmetric", "wrap"}
    constant_values : float, optional
        What they are, with ``"constant"``; 0 if not given.
    """
    if constant_values is not None and mode != "constant":
        raise ValueError(f"pad: constant_values are for mode='constant', not for {mode!r}")
    if not symbolic(x):
        options = {"constant_values": constant_values or 0} if mode == "constant" else {}
        return np.pad(array(x), pad_width, mode, **options)  # type: ignore[call-overload]
    x = value(x)
    widths = np.broadcast_to(np.asarray(pad_width, int), (rank(x), 2)).tolist()
    if x.batched:
        if widths[0] != [0, 0]:
            raise ValueError("pad: the batch, the first axis, is not padded: (0, 0)")
        widths = widths[1:]
    pairs = tuple(map(tuple, widths))
    return move(x, "pad", float(constant_values or 0), widths=pairs, mode=mode)


@recorded
def concatenate(xs: Sequence[Tensor], axis: int | None = 0) -> Any:
    """Arrays one after the other along an axis.

    Examples
    --------
    >>> concatenate([[1.0, 2.0], [3.0]], axis=0)
    array([1., 2., 3.], dtype=float32)
    """
    dtype = common_dtype(*xs)
    if not symbolic(xs):
        return np.concatenate([array(x, dtype) for x in xs], axis)
    values = alike([value(x, dtype) for x in xs])
    if axis is None:
        axis, values = 0, [graph_ops.reshape(x, (x.size,)) for x in values]
    at = inner_axis(values[0], axis, "concatenate")
    ranks = {len(x.dims) for x in values}
    if len(ranks) > 1:
        shapes = " and ".join(map(shown, values))
        raise ValueError(f"concatenate: the shapes {shapes} have not the same number of axes")
    return joined_along(values, at)


@recorded
def append(x1: Tensor, x2: Tensor, axis: int | None = None) -> Any:
    """x2 behind x1 along an axis; all numbers in a row, if None."""
    if not symbolic(x1, x2):
        dtype = common_dtype(x1, x2)
        return np.append(array(x1, dtype), array(x2, dtype), axis)
    return concatenate([x1, x2], axis)


@recorded
def stack(x: Sequence[Tensor], axis: int = 0) -> Any:
    """Arrays of one shape along a new axis.

    Examples
    --------
    >>> stack([[1.0, 2.0], [3.0, 4.0]], axis=1)
    array([[1., 3.],
           [2., 4.]], dtype=float32)
    """
    if not symbolic(x):
        dtype = common_dtype(*x)
        return np.stack([array(one, dtype) for one in x], axis)
    return stacked(x, axis)


def _stacked(name: str, function: Callable[..., Any], axes: int, axis: int, doc: str) -> Any:
    def call(xs: Sequence[Tensor]) -> Any:
        if not symbolic(xs):
            dtype = common_dtype(*xs)
            return function([array(x, dtype) for x in xs])
        values = [value(x) for x in xs]
        wide = [_at_least(v, axes) for v in values]
        return concatenate(wide, axis if rank(wide[0]) > 1 else 0)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return recorded(call)


def _at_least(x: Value, axes: int) -> Value:
    while rank(x) < axes:
        x = expand_dims(x, -1 if rank(x) == 2 else 0)
    return x


hstack = _stacked("hstack", np.hstack, 1, 1, "Arrays side by side, along the second axis.")
vstack = _stacked("vstack", np.vstack, 2, 0, "Arrays one below the other, along the first axis.")
dstack = _stacked("dstack", np.dstack, 3, 2, "Arrays one behind the other, along the third axis.")


@recorded
def split(x: Tensor, indices_or_sections: Any, axis: int = 0) -> Any:
    """Parts of an array along an axis: so many of one length, or those between indices.

    Examples
    --------
    >>> [part.tolist() for part in split([1.0, 2.0, 3.0, 4.0], 2)]
    [[1.0, 2.0], [3.0, 4.0]]
    """
    if not symbolic(x):
        return np.split(array(x), indices_or_sections, axis)
    x = value(x)
    at = inner_axis(x, axis, "split")
    n = x.dims[at]
    if isinstance(indices_or_sections, int):
        parts = indices_or_sections
        if not isinstance(n, Length) and n % parts:
            raise ValueError(f"split: an axis of {n} of {shown(x)} has not {parts} equal parts")
        bounds = [n // parts * i for i in range(parts + 1)]
    else:
        bounds = [0, *(int(i) for i in indices_or_sections), n]
    return [cut(x, at, a, b) for a, b in itertools.pairwise(bounds)]


def cut(x: Value, axis: int, start: Any, stop: Any, step: int = 1) -> Value:
    """A slice along an axis of an example."""
    cuts = tuple((start, stop, step) if i == axis else (None, None, 1) for i in range(len(x.dims)))
    return move(x, "cut", cuts=cuts)


@recorded
def array_split(x: Tensor, indices_or_sections: Any, axis: int = 0) -> Any:
    """As `split`, into parts whose lengths may differ by one."""
    if not symbolic(x):
        return np.array_split(array(x), indices_or_sections, axis)
    x = value(x)
    if isinstance(indices_or_sections, int):
        n, parts = x.dims[inner_axis(x, axis, "array_split")], indices_or_sections
        lengths = [n // parts + (i < n % parts) for i in range(parts)]
        indices_or_sections = np.cumsum(lengths)[:-1].tolist()
    return split(x, indices_or_sections, axis)


def _split(name: str, axis: int, doc: str) -> Any:
    def call(x: Tensor, indices_or_sections: Any) -> Any:
        axes = rank(x) if isinstance(x, Value) else np.ndim(x)
        return split(x, indices_or_sections, axis if axes > axis else 0)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return recorded(call)


hsplit = _split("hsplit", 1, "Parts along the second axis, as `split`.")
vsplit = _split("vsplit", 0, "Parts along the first axis, as `split`.")
dsplit = _split("dsplit", 2, "Parts along the third axis, as `split`.")


@recorded
def unstack(x: Tensor, num: int | None = None, axis: int = 0) -> Any:
    """The arrays along an axis, as a list."""
    if not symbolic(x):
        return [one.copy() for one in np.moveaxis(array(x), axis, 0)]
    x = value(x)
    at = inner_axis(x, axis, "unstack")
    n = x.dims[at] if num is None else num
    if isinstance(n, Length):
        raise ValueError(f"unstack: data decide the length of axis {axis} of {shown(x)}; give num")
    dims = (*x.dims[:at], *x.dims[at + 1 :])
    return [graph_ops.reshape(cut(x, at, i, i + 1), dims) for i in range(n)]


def take_last(x: Value) -> list[Value]:
    """The parts of the last axis, without it."""
    found: list[Value] = unstack(x, axis=-1)
    return found


def _triangle(name: str, upper: bool, doc: str) -> Any:
    def call(x: Tensor, k: int = 0) -> Any:
        if not symbolic(x):
            return (np.triu if upper else np.tril)(array(x), k)
        return triangle(value(x), upper=upper, k=k)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return recorded(call)


tril = _triangle("tril", False, "The last two axes with 0 above the k-th diagonal.")
triu = _triangle("triu", True, "The last two axes with 0 below the k-th diagonal.")


@recorded
def diagonal(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The diagonals of the matrices in two axes, along a new last axis."""
    if not symbolic(x):
        return np.diagonal(array(x), offset, axis1, axis2).copy()
    x = value(x)
    axes = (inner_axis(x, axis1, "diagonal"), inner_axis(x, axis2, "diagonal"))
    return move(x, "diagonal", offset=offset, axes=axes)


@recorded
def diag(x: Tensor, k: int = 0) -> Any:
    """The k-th diagonal of a matrix, or the matrix with a vector on its k-th diagonal."""
    if not symbolic(x):
        return np.diag(array(x), k).copy()
    x = value(x)
    if rank(x) == 2 and not x.batched:
        return diagonal(x, k)
    if x.batched or rank(x) != 1:
        raise ValueError(f"diag: expected a vector or a matrix without a batch, not {shown(x)}")
    return move(x, "diagonal_matrix", k=k)


@recorded
def diagflat(x: Tensor, k: int = 0) -> Any:
    """The matrix with all numbers on its k-th diagonal."""
    if not symbolic(x):
        return np.diagflat(array(x), k)
    return diag(ravel(x), k)


@recorded
def diff(a: Tensor, n: int = 1, axis: int = -1) -> Any:
    """What neighbours along an axis differ by, n times."""
    if not symbolic(a):
        return np.diff(array(a), n, axis)
    x = value(a)
    at = inner_axis(x, axis, "diff")
    for _ in range(n):
        before, after = cut(x, at, None, -1), cut(x, at, 1, None)
        x = not_equal(after, before) if x.dtype == "bool" else subtract(after, before)
    return x


@recorded
def copy(x: Tensor) -> Any:
    """The same numbers in an array of their own."""
    return graph_ops.identity(value(x)) if symbolic(x) else array(x).copy()


@recorded
def meshgrid(*x: Tensor, indexing: str = "xy") -> Any:
    """Grids of the points whose coordinates are given, an array for each coordinate."""
    if not symbolic(x):
        return [*map(done, np.meshgrid(*map(array, x), indexing=indexing))]  # type: ignore[call-overload]
    only_arrays("meshgrid", x)
    return None


# ------------------------------------------------------------------------------ questions


@recorded
def ndim(x: Tensor) -> int:
    """How many axes it has, with that of the batch."""
    return rank(x) if isinstance(x, Value) else np.ndim(array(x))


@recorded
def size(x: Tensor) -> Any:
    """How many numbers it has; None of a batch whose size is not known."""
    if isinstance(x, Value):
        return None if None in x.shape else size_of(x.dims)
    return array(x).size


def shape(x: Tensor) -> tuple[Any, ...]:
    """The shape, as a tuple.

    Of a symbolic value, the batch and lengths that data decide stand there as objects that are
    printed as None, and that `reshape`, `zeros`, `broadcast_to`, random numbers and the like take
    as a length.

    Examples
    --------
    >>> shape([[1, 2, 3]])
    (1, 3)
    """
    return shape_of(x)
