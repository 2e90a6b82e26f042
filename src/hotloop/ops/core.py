"""Casts, conversions, control flow and gradients of one's own, as `keras.ops` has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..graph import ops as graph_ops
from ..graph.ops.users import own_gradient, without_gradient
from ..graph.trace import Value, current_layer, in_layer, replay
from ..variables import Variable
from .dtypes import name_of, narrowed
from .elements import cast, clip, equal, logical_and, where
from .shaping import concatenate, flip, stack, unstack
from .shaping import cut as _cut
from .tensors import (
    Tensor,
    array,
    cast_value,
    common_dtype,
    inner_axis,
    leaves,
    rank,
    recorded,
    shown,
    symbolic,
    together,
    value,
)


@recorded
def saturate_cast(x: Tensor, dtype: Any) -> Any:
    """As `cast`, with the nearest number that the dtype holds in the place of others."""
    kind = narrowed(name_of(dtype))
    if np.dtype(kind).kind in "iu":
        most = np.iinfo(kind)
        x = clip(x, float(most.min), float(most.max)) if _is_float(x) else x
        if not symbolic(x):
            wide = np.clip(array(x).astype(np.float64), most.min, most.max)
            return wide.astype(kind)
    return cast(x, kind)


def _is_float(x: Tensor) -> bool:
    return symbolic(x) and common_dtype(x).startswith("float")


@recorded
def convert_to_tensor(
    x: Tensor, dtype: Any = None, sparse: bool | None = None, ragged: bool | None = None
) -> Any:
    """An array of these numbers, of 32 bits if no dtype is given; a symbolic value stays one."""
    if sparse or ragged:
        raise ValueError("convert_to_tensor: there are no sparse or ragged arrays")
    kind = None if dtype is None else name_of(dtype)
    if symbolic(x):
        return value(x) if kind is None else cast_value(value(x), kind)
    return array(x) if kind is None else cast(x, kind)


@recorded
def array_(x: Tensor, dtype: Any = None) -> Any:
    """An array of these numbers; a symbolic value stays one."""
    return convert_to_tensor(x, dtype)


array_.__name__ = array_.__qualname__ = "array"


def convert_to_numpy(x: Tensor) -> Any:
    """An array of these numbers; TypeError of a symbolic value, which has none."""
    return array(x).copy() if isinstance(x, Variable) else array(x)


def is_tensor(x: Any) -> bool:
    """Whether it is an array or a symbolic value."""
    return isinstance(x, np.ndarray | Value)


def dtype(x: Tensor) -> str:
    """The name of the dtype."""
    return str(x.dtype) if isinstance(x, Value) else str(array(x).dtype.name)


@recorded
def stop_gradient(variable: Tensor) -> Any:
    """The same numbers, through which no gradient goes."""
    if not symbolic(variable):
        return array(variable)
    return without_gradient(value(variable))


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function that says its gradient itself.

    Parameters
    ----------
    f : callable
        f(*args) returns what it computes and a function of its gradient, which returns those of
        the arguments.

    Examples
    --------
    >>> @custom_gradient
    ... def log1pexp(x):
    ...     from hotloop import ops
    ...     e = ops.exp(x)
    ...     def grad(upstream):
    ...         return ops.multiply(upstream, 1.0 - 1.0 / ops.add(1.0, e))
    ...     return ops.log(1.0 + e), grad
    >>> log1pexp(0.0)
    array(0.6931472, dtype=float32)
    """

    def call(*args: Tensor, **kwargs: Any) -> Any:
        if not symbolic(args):
            return f(*args, **kwargs)[0]
        values = [value(x) for x in args]
        made, gradient = f(*values, **kwargs)
        return own_gradient(value(made), values, gradient)

    return call


# ------------------------------------------------------------------------------ control flow


def _mapped(function: Callable[..., Any], *nests: Any) -> Any:
    """A function of what stands in the same place of several nests of one form."""
    first = nests[0]
    if isinstance(first, Mapping):
        return {name: _mapped(function, *(nest[name] for nest in nests)) for name in first}
    if isinstance(first, list | tuple):
        parts = [_mapped(function, *together_) for together_ in zip(*nests, strict=True)]
        if hasattr(first, "_fields"):
            return type(first)(*parts)
        return type(first)(parts)
    return None if first is None else function(*nests)


def cond(pred: Tensor, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """What one of two functions returns, as a truth value says.

    Where that is symbolic, both are computed, and one is taken for each example.
    """
    if not symbolic(pred):
        return true_fn() if bool(np.asarray(array(pred))) else false_fn()
    return _mapped(lambda a, b: where(_beside(pred, a, b), a, b), true_fn(), false_fn())


def _beside(pred: Tensor, *others: Tensor) -> Any:
    """A truth value of each example, with as many axes as what it chooses from."""
    held = value(pred, "bool")
    axes = max(
        [rank(x) for x in others if isinstance(x, Value)]
        + [np.ndim(x) if not isinstance(x, Value) else 0 for x in others]
    )
    if held.batched and rank(held) < axes:
        return graph_ops.reshape(held, (*held.dims, *(1,) * (axes - rank(held))))
    return held


def switch(index: Tensor, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """What one of several functions makes of the operands; the nearest one of those there are.

    Where the index is symbolic, all are computed, and one is taken for each example.
    """
    last = len(branches) - 1
    if not symbolic(index):
        return branches[min(max(int(np.asarray(array(index))), 0), last)](*operands)
    at = clip(value(index, "int32"), 0, last)
    found = branches[0](*operands)
    for i, branch in enumerate(branches[1:], 1):
        here = equal(at, i)
        found = _mapped(
            lambda a, b, here=here: where(_beside(here, a, b), a, b), branch(*operands), found
        )
    return found


def fori_loop(lower: int, upper: int, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """body_fun(i, value) for each i from lower up to upper, which is not among them.

    In a model the loop is unrolled when it is recorded, so its bounds must be known then.
    """
    found = init_val
    for i in range(_known(lower, "fori_loop"), _known(upper, "fori_loop")):
        found = body_fun(i, found)
    return found


def _known(n: Any, who: str) -> int:
    if symbolic(n):
        raise ValueError(f"{who}: its bounds must be known when a model is recorded")
    return int(np.asarray(n))


def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    maximum_iterations: int | None = None,
) -> Any:
    """body(*loop_vars) as long as cond(*loop_vars) holds, at most so many times.

    In a model, where the condition is symbolic, so many rounds are recorded, and each changes
    nothing where the condition does not hold any more.
    """
    several = isinstance(loop_vars, list | tuple)
    held = tuple(loop_vars) if several else (loop_vars,)
    rounds, going = 0, None
    while maximum_iterations is None or rounds < maximum_iterations:
        goes = cond(*held)
        if symbolic(goes):
            if maximum_iterations is None:
                raise ValueError(
                    "while_loop: its condition is symbolic, so say at most how many rounds there "
                    "are: maximum_iterations=..."
                )
            going = goes if going is None else logical_and(going, goes)
        elif not bool(np.asarray(array(goes))):
            break
        made = body(*held)
        new = tuple(made) if isinstance(made, list | tuple) else (made,)
        if going is not None:
            new = _mapped(lambda a, b, going=going: where(_beside(going, a, b), a, b), new, held)
        held, rounds = new, rounds + 1
    return held if several else held[0]


def scan(
    f: Callable[[Any, Any], Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: Any = 1,
) -> Any:
    """f(carry, x) for each x along the first axis of xs; the last carry, and all results.

    In a model it is unrolled when it is recorded. xs have no batch there, whose axis is the first;
    a list of values, as `unstack` makes it of another axis, may stand for each of them.
    """
    n = length
    rows: list[Any] = []
    if xs is not None:
        lists = _mapped(_rows_of, xs) if not _is_rows(xs) else xs
        if _is_rows(xs):
            rows = list(xs)
        else:
            counts = {len(x) for x in _row_lists(lists)}
            rows = [_mapped_rows(lists, i) for i in range(min(counts))]
        n = len(rows)
    if n is None:
        raise ValueError("scan needs xs, or length, how many rounds there are")
    order = range(n)[::-1] if reverse else range(n)
    carry, results = init, [None] * n
    for i in order:
        carry, results[i] = f(carry, rows[i] if rows else None)
    if n and results[0] is None:
        return carry, None
    return carry, _mapped(lambda *parts: stack(parts), *results)


class _Rows(list[Any]):
    """The rows of one of xs."""


def _is_rows(xs: Any) -> bool:
    return (
        isinstance(xs, list)
        and bool(xs)
        and all(isinstance(x, Value) for x in xs)
        and all(x.batched for x in xs)
    )


def _rows_of(x: Tensor) -> Any:
    return _Rows(unstack(x, axis=0))


def _row_lists(nest: Any) -> list[_Rows]:
    if isinstance(nest, _Rows):
        return [nest]
    parts = nest.values() if isinstance(nest, Mapping) else nest
    return [rows for part in parts for rows in _row_lists(part)]


def _mapped_rows(nest: Any, i: int) -> Any:
    if isinstance(nest, _Rows):
        return nest[i]
    if isinstance(nest, Mapping):
        return {name: _mapped_rows(part, i) for name, part in nest.items()}
    return type(nest)(_mapped_rows(part, i) for part in nest)


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """f of each element along the first axis, put together again: in a model, of each example."""
    if symbolic(xs):
        return vectorized_map(f, xs)
    lists = _mapped(_rows_of, xs)
    n = min(len(x) for x in _row_lists(lists))
    return _mapped(lambda *parts: stack(parts), *(f(_mapped_rows(lists, i)) for i in range(n)))


def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """As `map`: in a model, the function is recorded once, of one example without the batch."""
    if not symbolic(elements):
        return map(function, elements)
    given: dict[Value, Value] = {}

    def one(x: Tensor) -> Value:
        x = value(x)
        if not x.batched:
            raise ValueError(f"vectorized_map: {shown(x)} has no batch to go along")
        stand_in = Value(x.dims, x.dtype, batched=False)
        given[stand_in] = x
        return stand_in

    with in_layer(current_layer()):
        made = function(_mapped(one, elements))
        made = _mapped(value, made)
    like = next(iter(given.values()))
    found = iter(replay([x for x in leaves(made) if x is not None], given))
    return _mapped(lambda _: together(next(found), like)[0], made)


def associative_scan(
    f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0
) -> Any:
    """All results of combining the first elements along an axis by an associative function.

    Examples
    --------
    >>> from hotloop import ops
    >>> associative_scan(ops.add, ops.arange(4))
    array([0, 1, 3, 6], dtype=int32)
    """
    if reverse:
        elems = _mapped(lambda x: flip(x, axis), elems)
    first = next(leaves(elems))
    n = _length(first, axis)
    shift = 1
    while shift < n:
        head = _mapped(lambda x, n=shift: _part(x, axis, 0, n), elems)
        before = _mapped(lambda x, n=n - shift: _part(x, axis, 0, n), elems)
        after = _mapped(lambda x, n=shift: _part(x, axis, n, None), elems)
        made = f(before, after)
        elems = _mapped(lambda a, b: concatenate([a, b], axis), head, made)
        shift *= 2
    return _mapped(lambda x: flip(x, axis), elems) if reverse else elems


def _length(x: Tensor, axis: int) -> int:
    if not symbolic(x):
        return int(array(x).shape[axis])
    x = value(x)
    n: int = x.dims[inner_axis(x, axis, "associative_scan")]
    return n


def _part(x: Tensor, axis: int, start: int, stop: int | None) -> Any:
    if symbolic(x):
        x = value(x)
        return _cut(x, inner_axis(x, axis, "associative_scan"), start, stop)
    numbers = np.moveaxis(array(x), axis, 0)[start:stop]
    return np.moveaxis(numbers, 0, axis)


def vectorize(pyfunc: Callable[..., Any], *, excluded: Any = None, signature: Any = None) -> Any:
    """A function of numbers as one of arrays, element by element; of symbolic values, itself."""
    by_numpy = np.vectorize(pyfunc, excluded=excluded, signature=signature)

    def call(*args: Any, **kwargs: Any) -> Any:
        if symbolic(args, kwargs):
            return pyfunc(*args, **kwargs)
        found = by_numpy(*(array(x) for x in args), **kwargs)
        return tuple(found) if isinstance(found, tuple) else np.asarray(found)

    return call
