"""``x[...]``: parts of an array, as `keras.ops.get_item` takes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graph import ops as graph_ops
from ..graph.ops.movements import move
from ..graph.trace import Value
from ..lengths import Length
from .choosing import take
from .tensors import Tensor, array, done, rank, recorded, shown, symbolic, value


@recorded
def get_item(x: Tensor, key: Any) -> Any:
    """``x[key]``: whole numbers, slices, ``...``, None and arrays of whole numbers."""
    if not symbolic(x, key):
        taken = _numbers_in(key)
        return done(array(x)[taken])
    x = value(x)
    return _item(x, key if isinstance(key, tuple) else (key,))


def _numbers_in(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(map(_numbers_in, key))
    if isinstance(key, list):
        return np.asarray(key)
    return key


def _item(x: Value, keys: tuple[Any, ...]) -> Value:
    """Basic indexing, and one array or value of indices."""
    axes = rank(x)
    used = [k for k in keys if k is not None and k is not Ellipsis]
    if len(used) > axes:
        raise IndexError(f"x[...]: {len(used)} indices are too many for the shape {shown(x)}")
    wide = axes - len(used)
    filled: list[Any] = []
    for k in keys:
        if k is Ellipsis:
            filled += [slice(None)] * wide
            wide = 0
        else:
            filled.append(k)
    filled += [slice(None)] * wide
    if x.batched:
        filled = _without_batch(x, filled)
    cuts: list[tuple[Any, Any, int]] = []
    dims: list[Any] = []  # what becomes of each axis: "keep", "drop" or "new"
    arrays: list[tuple[int, Any]] = []
    axis = 0
    for k in filled:
        if k is None:
            dims.append("new")
            continue
        n = x.dims[axis]
        if isinstance(k, slice):
            cuts.append((_index(k.start), _index(k.stop), 1 if k.step is None else int(k.step)))
            dims.append("keep")
        elif isinstance(k, int | np.integer) and not isinstance(k, bool):
            at = int(k)
            if not isinstance(n, Length) and not -n <= at < n:
                raise IndexError(
                    f"x[...]: there is no index {at} along an axis of {n} of {shown(x)}"
                )
            cuts.append((at, at + 1 if at != -1 else None, 1))
            dims.append("drop")
        else:
            cuts.append((None, None, 1))
            arrays.append((len(dims), k))
            dims.append("keep")
        axis += 1
    if any(cut != (None, None, 1) for cut in cuts):
        x = move(x, "cut", cuts=tuple(cuts))
    lengths = iter(x.dims)
    made = []
    for kind in dims:
        if kind == "new":
            made.append(1)
            continue
        n = next(lengths)
        if kind == "keep":
            made.append(n)
    x = graph_ops.reshape(x, tuple(made))
    if len(arrays) > 1:
        raise ValueError("x[...]: a symbolic value takes one array of indices at most")
    for at, k in arrays:
        kept = sum(1 for kind in dims[:at] if kind != "drop")
        x = take(x, k, axis=kept + x.batched)
    return x


def _index(k: Any) -> Any:
    if k is None or isinstance(k, Length):
        return k
    if isinstance(k, Value):
        raise ValueError("a slice needs bounds that are known when a model is recorded")
    return int(k)


def _without_batch(x: Value, keys: list[Any]) -> list[Any]:
    """The keys of an example, the first of which must take all examples."""
    first, *rest = keys
    whole = isinstance(first, slice) and first == slice(None)
    if first is None or not whole:
        raise ValueError(
            f"x[{first!r}, ...] of shape {shown(x)} is about the batch, whose examples are done "
            "each by itself; write x[:, ...], and put new axes behind the first"
        )
    return rest


@recorded
def slice_(inputs: Tensor, start_indices: Any, shape: Any) -> Any:
    """The part of an array that begins at these indices and has this shape."""
    if not symbolic(inputs, start_indices):
        x = array(inputs)
        starts = [int(np.asarray(i)) for i in start_indices]
        return x[
            tuple(
                slice(_clamped(i, n, m), _clamped(i, n, m) + n)
                for i, n, m in zip(starts, shape, x.shape, strict=True)
            )
        ].copy()
    x = value(inputs)
    keys: list[Any] = []
    for i, (start, n) in enumerate(zip(start_indices, shape, strict=True)):
        if x.batched and i == 0:
            if start != 0:
                raise ValueError("slice: a part of the batch is not taken; start at 0")
            keys.append(slice(None))
        else:
            keys.append(slice(int(start), int(start) + n))
    return _item(x, tuple(keys))


def _clamped(start: int, n: int, whole: int) -> int:
    return max(0, min(start, whole - n))


slice_.__name__ = slice_.__qualname__ = "slice"
