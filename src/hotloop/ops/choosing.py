"""What stands where: taking, sorting, scattering and searching, as `keras.ops` has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends.movements import Numbers
from ..graph import ops as graph_ops
from ..graph.op import OPS
from ..graph.ops import along
from ..graph.ops.movements import as_matrix_kept, each_example, move, plainly_kept
from ..graph.trace import Value, apply
from ..variables import Variable
from . import elements
from .dtypes import name_of
from .elements import add, equal, less, less_equal, logical_not, multiply, negative, where
from .products import tensordot
from .reductions import any as some
from .reductions import max as largest
from .reductions import sum as _sum
from .shaping import back, cut, last, permuted
from .tensors import (
    Tensor,
    array,
    array_function,
    cast_value,
    common_dtype,
    done,
    inner_axes,
    inner_axis,
    of_variable,
    only_arrays,
    rank,
    recorded,
    shape_of,
    shown,
    size_of,
    symbolic,
    together,
    value,
)


@recorded
def sort(x: Tensor, axis: int | None = -1) -> Any:
    """The numbers along an axis in order; all of them in a row, if None."""
    if not symbolic(x):
        return np.sort(array(x), axis)
    x = value(x)
    if axis is None:
        inner_axes(x, None, "sort")
        x, axis = graph_ops.reshape(x, (x.size,)), 0
    at = inner_axis(x, axis, "sort")
    rows = last(x, at)
    return back(along.take_along(rows, along.argsort(rows)), at)


@recorded
def argsort(x: Tensor, axis: int | None = -1) -> Any:
    """The indices that sort an axis, as int32; equal numbers stay in their order."""
    if not symbolic(x):
        return done(np.argsort(array(x), axis, kind="stable"))
    x = value(x)
    if axis is None:
        inner_axes(x, None, "argsort")
        x, axis = graph_ops.reshape(x, (x.size,)), 0
    at = inner_axis(x, axis, "argsort")
    return back(along.argsort(last(x, at)), at)


@recorded
def argpartition(x: Tensor, kth: int, axis: int = -1) -> Any:
    """Indices along an axis that put the k-th number in its place, smaller ones before it."""
    if not symbolic(x):
        return done(np.argpartition(array(x), kth, axis))
    return argsort(x, axis)


@recorded
def top_k(x: Tensor, k: int, sorted: bool = True) -> Any:
    """The k largest numbers along the last axis, the largest first, and their indices.

    Examples
    --------
    >>> values, indices = top_k([1.0, 5.0, 3.0], 2)
    >>> values.tolist(), indices.tolist()
    ([5.0, 3.0], [1, 2])
    """
    if not symbolic(x):
        numbers = array(x)
        first = np.argsort(-_signed(numbers), -1, kind="stable")[..., :k]
        return np.take_along_axis(numbers, first, -1), first.astype("int32")
    x = value(x)
    order = along.argsort(negative(x))
    index = cut(order, len(x.dims) - 1, 0, k)
    return along.take_along(x, index), index


def _signed(x: Any) -> Any:
    return x if x.dtype.kind == "f" else x.astype(np.float64)


@recorded
def in_top_k(targets: Tensor, predictions: Tensor, k: int) -> Any:
    """Whether each target is among the k classes with the largest predictions."""
    if not symbolic(targets, predictions):
        scores, at = array(predictions), array(targets).astype(int)
        own = np.take_along_axis(scores, at[:, None], -1)
        with np.errstate(invalid="ignore"):
            return ((scores > own).sum(-1) < k) & np.isfinite(own[:, 0])
    found, classes = value(predictions), value(targets, "int32")
    of_target = along.take_along(found, graph_ops.reshape(classes, (*classes.dims, 1)))
    return less(_sum(less(of_target, found), axis=-1), k)


@recorded
def take(x: Tensor, indices: Tensor, axis: int | None = None) -> Any:
    """The parts of an array that whole numbers choose along an axis; of all numbers, if None.

    Parameters
    ----------
    x : array, Variable or symbolic value
    indices : array of whole numbers
        Those below 0 count from the end. They may be symbolic, of each example.
    axis : int, optional

    Examples
    --------
    >>> take([10.0, 20.0, 30.0], [2, 0])
    array([30., 10.], dtype=float32)
    """
    if not symbolic(x, indices):
        numbers, at = array(x), array(indices)
        if axis is None:
            numbers, axis = numbers.reshape(-1), 0
        n = numbers.shape[axis]
        return np.take(numbers, _within(at.astype(np.int64), n), axis)
    if isinstance(x, Variable) and axis == 0 and len(x.shape) == 2 and isinstance(indices, Value):
        index = value(indices, "int32")
        return apply(OPS["lookup"], _from_start(index, x.shape[0]), of_variable(x))
    numbers = value(x)
    if axis is None:
        inner_axes(numbers, None, "take")
        numbers, axis = graph_ops.reshape(numbers, (numbers.size,)), 0
    if not symbolic(indices):
        at = inner_axis(numbers, axis, "take")
        chosen = _within(array(indices).astype(np.int64), numbers.dims[at])
        return move(numbers, "at", numbers=Numbers(chosen), axis=at)
    index = value(indices, "int32")
    if not numbers.batched and index.batched:
        at = inner_axis(numbers, axis, "take")
        if at == 0 and numbers.dtype.startswith("float"):
            return _rows_of(numbers, index)
        numbers = each_example(numbers, index)
    else:
        at = inner_axis(numbers, axis, "take")
        if numbers.batched:
            index = each_example(index, numbers)
    rows = last(numbers, at)
    lead, chosen = rows.dims[:-1], graph_ops.reshape(index, (index.size,))
    wide = graph_ops.reshape(chosen, (*(1,) * len(lead), index.size))
    found = along.take_along(rows, _broadcast(wide, (*lead, index.size)))
    found = graph_ops.reshape(found, (*lead, *index.dims))
    k = len(index.dims)
    order = (*range(at), *range(len(lead), len(lead) + k), *range(at, len(lead)))
    return permuted(found, order)


def _broadcast(x: Value, dims: tuple[Any, ...]) -> Value:
    return x if x.dims == dims else move(x, "broadcast", dims=dims)


def _within(index: Any, n: int) -> Any:
    """Places from 0, as JAX clips them."""
    return np.clip(np.where(index < 0, index + n, index), 0, n - 1)


def _from_start(index: Value, n: int) -> Value:
    counted = where(less(index, 0), add(index, n), index)
    return cast_value(counted, "int32")


def _rows_of(table: Value, index: Value) -> Value:
    """Rows of a table of no example, which have any shape."""
    n, *rest = table.dims
    matrix = as_matrix_kept(graph_ops.reshape(table, (n, size_of(rest))))
    found = apply(OPS["lookup"], _from_start(index, n), matrix)
    return graph_ops.reshape(found, (*index.dims, *rest))


@recorded
def take_along_axis(x: Tensor, indices: Tensor, axis: int | None = None) -> Any:
    """The numbers that whole numbers of x's shape, but for one axis, choose along that axis."""
    if not symbolic(x, indices):
        numbers, at = array(x), array(indices).astype(np.int64)
        if axis is None:
            numbers, axis = numbers.reshape(-1), 0
            at = at.reshape(-1)
        at = _within(at, numbers.shape[axis])
        shape = list(np.broadcast_shapes(_but(numbers.shape, axis), _but(at.shape, axis)))
        wide = [*shape], [*shape]
        wide[0][axis], wide[1][axis] = numbers.shape[axis], at.shape[axis]
        numbers, at = np.broadcast_to(numbers, wide[0]), np.broadcast_to(at, wide[1])
        return np.take_along_axis(numbers, at, axis)
    numbers, index = together(value(x), value(indices, "int32"))
    if axis is None:
        inner_axes(numbers, None, "take_along_axis")
        numbers = graph_ops.reshape(numbers, (numbers.size,))
        index, axis = graph_ops.reshape(index, (index.size,)), 0
    at = inner_axis(numbers, axis, "take_along_axis")
    rows, chosen = last(numbers, at), last(index, at)
    lead = tuple(max(a, b) for a, b in zip(rows.dims[:-1], chosen.dims[:-1], strict=True))
    rows = _broadcast(rows, (*lead, rows.dims[-1]))
    chosen = _broadcast(chosen, (*lead, chosen.dims[-1]))
    return back(along.take_along(rows, chosen), at)


def _but(shape: Any, axis: int) -> tuple[int, ...]:
    found = list(shape)
    found[axis] = 1
    return tuple(found)


@recorded
def one_hot(
    x: Tensor, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False
) -> Any:
    """1 in the place of each class number, and 0 elsewhere, along a new axis.

    Examples
    --------
    >>> one_hot([1, 0], 3)
    array([[0., 1., 0.],
           [1., 0., 0.]], dtype=float32)
    """
    from .. import config

    _refuse_sparse("one_hot", sparse)
    kind = config.floatx() if dtype is None else name_of(dtype)
    classes = np.arange(num_classes, dtype="int32")
    if not symbolic(x):
        found = array(x)[..., None] == classes
        return np.moveaxis(found, -1, axis).astype(kind)
    x = value(x, "int32")
    at = inner_axis(x, axis, "one_hot", more=1)
    found = equal(graph_ops.reshape(x, (*x.dims, 1)), classes)
    return back(cast_value(found, kind), at)


def _refuse_sparse(who: str, sparse: Any) -> None:
    if sparse:
        raise ValueError(f"{who}: there are no sparse arrays; leave sparse out")


@recorded
def multi_hot(
    inputs: Tensor,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: Any = None,
    sparse: bool = False,
    num_tokens: int | None = None,
) -> Any:
    """1 in the place of each class number that an axis holds, and 0 elsewhere."""
    classes = num_classes if num_tokens is None else num_tokens
    if classes is None:
        raise ValueError("multi_hot needs num_classes, how many classes there are")
    hot = one_hot(inputs, classes, dtype=dtype, sparse=sparse)
    if not isinstance(hot, Value):
        batch = 1 if np.ndim(inputs) >= 2 else 0
        return np.max(hot, axis=batch)
    if len(hot.dims) == 1:
        return hot
    return largest(hot, axis=rank(hot) - len(hot.dims))


# ------------------------------------------------------------------------------- scattering


@recorded
def scatter(indices: Tensor, values: Tensor, shape: Any) -> Any:
    """Zeros of a shape, to which values are added where indices (n, axes) say."""
    if not symbolic(indices, values, shape):
        numbers = array(values)
        out = np.zeros(tuple(shape), numbers.dtype)
        at = array(indices).astype(int)
        np.add.at(out, tuple(np.moveaxis(at, -1, 0)), numbers)
        return out
    numbers = value(values)
    if symbolic(indices) or numbers.batched:
        raise NotImplementedError(
            f"scatter of symbolic values of shape {shown(numbers)}: indices must be known when a "
            "model is recorded, and values of no batch; one_hot and matmul do it for each example"
        )
    return scatter_update(np.zeros(tuple(shape), "float32"), indices, numbers, "add")


@recorded
def scatter_update(
    inputs: Tensor, indices: Tensor, updates: Tensor, reduction: str | None = None
) -> Any:
    """An array in which numbers are replaced where indices (n, axes) say.

    Parameters
    ----------
    inputs : array, Variable or symbolic value
    indices : array of whole numbers, of shape (n, axes)
        Known when a model is recorded. Of a symbolic value with a batch they are of an example.
    updates : array, Variable or symbolic value
        n numbers, or n parts where there are fewer axes in an index than inputs have.
    reduction : {"add", "mul", "max", "min"}, optional
        What is done with the number that is there, instead of replacing it.
    """
    functions = {
        None: None,
        "add": np.add,
        "mul": np.multiply,
        "max": np.maximum,
        "min": np.minimum,
    }
    if reduction not in functions:
        raise ValueError(
            f"scatter_update: reduction must be add, mul, max, min or None: {reduction!r}"
        )
    function = functions[reduction]
    if not symbolic(inputs, indices, updates):
        out = array(inputs).copy()
        at = tuple(np.moveaxis(array(indices).astype(int), -1, 0))
        new = array(updates).astype(out.dtype)
        if function is None:
            out[at] = new
        else:
            function.at(out, at, new)
        return out
    only_arrays("indices of scatter_update", indices)
    x = value(inputs)
    new = value(updates, x.dtype)
    x, new = together(x, new)
    numbers = np.asarray(indices).astype(int)
    places = np.arange(x.size).reshape(x.dims)[tuple(np.moveaxis(numbers, -1, 0))]
    flat = graph_ops.reshape(x, (x.size,))
    came = np.full(x.size, -1)
    came[places.ravel()] = np.arange(places.size)
    fresh = graph_ops.reshape(new, (new.size,))
    if reduction == "add" and len(np.unique(places)) < places.size:
        _, inverse = np.unique(places, return_inverse=True)
        raise NotImplementedError(
            f"scatter_update: the index of {len(inverse)} numbers names some place twice, which a "
            "symbolic value does not add up; use segment_sum, or one_hot and matmul"
        )
    spread = move(fresh, "at", numbers=Numbers(np.maximum(came, 0)), axis=0)
    hit = came >= 0
    return graph_ops.reshape(where(hit, _merged(reduction, flat, spread), flat), x.dims)


def _merged(reduction: str | None, a: Value, b: Value) -> Value:
    name = {None: "", "add": "add", "mul": "multiply", "max": "maximum", "min": "minimum"}[
        reduction
    ]
    merged: Value = getattr(elements, name)(a, b) if name else b
    return merged


@recorded
def slice_update(inputs: Tensor, start_indices: Any, updates: Tensor) -> Any:
    """An array in which the part that begins at these indices is replaced."""
    if not symbolic(inputs, start_indices, updates):
        out, new = array(inputs).copy(), array(updates)
        starts = [int(np.asarray(i)) for i in start_indices]
        starts = [
            max(0, min(i, n - m)) for i, n, m in zip(starts, out.shape, new.shape, strict=True)
        ]
        out[tuple(slice(i, i + n) for i, n in zip(starts, new.shape, strict=True))] = new
        return out
    x = value(inputs)
    x, new = together(x, value(updates, x.dtype))
    starts = [int(i) for i in start_indices][x.batched :]
    widths = tuple((i, n - i - m) for i, n, m in zip(starts, x.dims, new.dims, strict=True))
    spread = move(new, "pad", 0.0, widths=widths, mode="constant")
    hit = np.zeros(x.dims, bool)
    hit[tuple(slice(i, i + n) for i, n in zip(starts, new.dims, strict=True))] = True
    return where(hit, spread, x)


# -------------------------------------------------------------------------------- segments


def _segments(name: str, function: Any, first: Any, doc: str) -> Any:
    def call(
        data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False
    ) -> Any:
        if symbolic(data, segment_ids):
            return _segment_values(name, value(data), value(segment_ids, "int32"), num_segments)
        numbers, ids = array(data), array(segment_ids).astype(int)
        n = int(ids.max(initial=-1)) + 1 if num_segments is None else num_segments
        out = np.full((n, *numbers.shape[1:]), first(numbers.dtype), numbers.dtype)
        inside = (ids >= 0) & (ids < n)
        function.at(out, ids[inside], numbers[inside])
        return out

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return recorded(call)


def _segment_values(name: str, data: Value, ids: Value, n: int | None) -> Value:
    if name != "segment_sum" or n is None:
        raise NotImplementedError(
            f"{name} of symbolic values: segment_sum with num_segments is there; of shape "
            f"{shown(data)} use one_hot and reductions"
        )
    hot = one_hot(ids, n, dtype=data.dtype)
    if data.batched and rank(ids) == 1:
        rows = graph_ops.reshape(data, (1, data.size))
        found = apply(OPS["weight_gradient"], graph_ops.reshape(hot, (1, n)), rows)
        return graph_ops.reshape(plainly_kept(found), (n, *data.dims))
    return tensordot(hot, data, axes=[[0], [0]])  # type: ignore[no-any-return]


def _lowest(dtype: Any) -> Any:
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _highest(dtype: Any) -> Any:
    return np.inf if dtype.kind == "f" else np.iinfo(dtype).max


segment_sum = _segments(
    "segment_sum", np.add, lambda dtype: 0, "The sums of the rows with the same segment number."
)
segment_prod = _segments(
    "segment_prod", np.multiply, lambda dtype: 1, "The products of rows of the same segment."
)
segment_max = _segments(
    "segment_max", np.maximum, _lowest, "The largest numbers of rows of the same segment."
)
segment_min = _segments(
    "segment_min", np.minimum, _highest, "The smallest numbers of rows of the same segment."
)

# ------------------------------------------------------------------------------- searching


@recorded
def searchsorted(sorted_sequence: Tensor, values: Tensor, side: str = "left") -> Any:
    """Where numbers would stand in a sorted row, as int32."""
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side must be 'left' or 'right', not {side!r}")
    if not symbolic(sorted_sequence, values):
        return done(np.searchsorted(array(sorted_sequence), array(values), side)).astype("int32")  # type: ignore[call-overload]
    numbers, row = value(values), value(sorted_sequence)
    if rank(row) != 1 or row.batched:
        raise ValueError(f"searchsorted: the sorted row must be a vector, not {shown(row)}")
    wide = graph_ops.reshape(numbers, (*numbers.dims, 1))
    return _sum(less(row, wide) if side == "left" else less_equal(row, wide), axis=-1)


@recorded
def digitize(x: Tensor, bins: Tensor) -> Any:
    """In which interval between bins each number lies, as int32."""
    return searchsorted(bins, x, side="right")


@recorded
def isin(x1: Tensor, x2: Tensor, assume_unique: bool = False, invert: bool = False) -> Any:
    """Whether each number of x1 is among those of x2."""
    if not symbolic(x1, x2):
        return np.isin(array(x1), array(x2), assume_unique=assume_unique, invert=invert)
    numbers, among = value(x1), value(x2)
    flat = graph_ops.reshape(among, (among.size,))
    held = some(equal(graph_ops.reshape(numbers, (*numbers.dims, 1)), flat), axis=-1)
    return logical_not(held) if invert else held


@recorded
def bincount(x: Tensor, weights: Tensor = None, minlength: int = 0, sparse: bool = False) -> Any:
    """How often each whole number from 0 on is there, or the sum of its weights."""
    _refuse_sparse("bincount", sparse)
    if not symbolic(x, weights):
        numbers = array(x).astype(int)
        w = None if weights is None else array(weights)
        if numbers.ndim == 1:
            found = np.bincount(numbers, w, minlength)
        else:
            n = max(int(numbers.max(initial=0)) + 1, minlength)
            rows = [
                np.bincount(row, None if w is None else w[i], n)[:n]
                for i, row in enumerate(numbers)
            ]
            found = np.stack(rows)
        return found.astype("int32" if w is None else w.dtype)
    numbers = value(x, "int32")
    if not minlength:
        raise ValueError("bincount of a symbolic value needs minlength, how many numbers there are")
    hot = one_hot(numbers, minlength)
    if weights is not None:
        w = value(weights, hot.dtype)
        hot = multiply(hot, graph_ops.reshape(w, (*w.dims, 1)))
    found = _sum(hot, axis=-2)
    return cast_value(found, "int32") if weights is None else found


@recorded
def histogram(x: Tensor, bins: Any = 10, range: Any = None) -> Any:
    """How many numbers lie in each of so many intervals, and the intervals' bounds."""
    only_arrays("histogram", x)
    counts, edges = np.histogram(array(x), bins=bins, range=range)
    return counts.astype("int32"), edges.astype(array(x, common_dtype(x, also=[float])).dtype)


@recorded
def unique(
    x: Tensor,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The different numbers of an array, in order.

    Parameters are NumPy's; with ``size`` the result has so many, the rest ``fill_value`` or the
    smallest. Of arrays, not of symbolic values.
    """
    only_arrays("unique", x)
    found = np.unique(array(x), return_index, return_inverse, return_counts, axis=axis)  # type: ignore[call-overload]
    several = return_index or return_inverse or return_counts
    parts = [*found] if several else [found]
    if size is not None:
        n, at = parts[0].shape[axis or 0], axis or 0
        if n >= size:
            parts[0] = np.take(parts[0], np.arange(size), at)
        else:
            fill = parts[0].min() if fill_value is None else fill_value
            widths = [(0, size - n if i == at else 0) for i in np.arange(parts[0].ndim)]
            parts[0] = np.pad(parts[0], widths, constant_values=fill)
    ready = tuple(map(done, parts))
    return ready if several else ready[0]


unravel_index = array_function(
    "unravel_index", np.unravel_index, "Places of an array as an index for each axis."
)
nanargmax = array_function("nanargmax", np.nanargmax, "As `argmax`, without NaN.")
nanargmin = array_function("nanargmin", np.nanargmin, "As `argmin`, without NaN.")


@recorded
def extract_sequences(x: Tensor, sequence_length: int, sequence_stride: int) -> Any:
    """Parts of the last axis, of one length, that begin so many numbers apart."""
    n = shape_of(x)[-1]
    starts = np.arange(0, n - sequence_length + 1, sequence_stride)
    at = starts[:, None] + np.arange(sequence_length)
    return take(x, at, axis=-1)


__all__ = [
    "argpartition", "argsort", "bincount", "digitize", "extract_sequences", "histogram", "in_top_k",
    "isin", "multi_hot", "nanargmax", "nanargmin", "one_hot", "scatter",
    "scatter_update", "searchsorted", "segment_max", "segment_min", "segment_prod", "segment_sum",
    "slice_update", "sort", "take", "take_along_axis", "top_k", "unique", "unravel_index",
]  # fmt: skip
