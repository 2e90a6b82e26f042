"""What the functions of `hotloop.ops` are given, and how they compute.

With a symbolic value among its arguments a function records; with arrays, numbers, lists and
variables it computes at once, with NumPy, and returns arrays. Within a call that is being recorded,
variables are symbolic too. Axes count the batch as axis 0.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from .. import config
from ..graph import ops as graph_ops
from ..graph.op import OPS
from ..graph.ops.movements import each_example, plainly_kept
from ..graph.trace import Value, apply, current_layer, is_recording, parameter, recorder_of_function
from ..lengths import Length
from ..variables import Variable
from .dtypes import name_of, narrowed, result_type

Array: TypeAlias = NDArray[Any]
Tensor: TypeAlias = Any
"""A symbolic value, or what NumPy makes an array of, or a Variable."""

P = ParamSpec("P")
R = TypeVar("R")

SYMBOLIC_DTYPES = ("bool", "uint8", "int32", "float32", "float64")


class Batch(Length):
    """How many examples a batch has, as `hotloop.ops.shape` says it of a symbolic value.

    Attributes
    ----------
    of : Value
        One that has this batch.
    """

    __slots__ = ("of",)

    def __init__(self, of: Value) -> None:
        super().__init__(_BATCH.terms)
        self.of = of


_BATCH = Length()


def is_batch(length: object) -> bool:
    """Whether a length of a shape is that of the batch."""
    return isinstance(length, Length) and length == _BATCH


def leaves(things: Any) -> Iterator[Any]:
    """What is in lists, tuples and dicts, also within each other."""
    if isinstance(things, Mapping):
        things = things.values()
    elif not isinstance(things, list | tuple):
        yield things
        return
    for thing in things:
        yield from leaves(thing)


def symbolic(*things: Any) -> bool:
    """Whether one of these is to be recorded."""
    variables = is_recording()
    return any(
        isinstance(leaf, Value | Batch) or (variables and isinstance(leaf, Variable))
        for leaf in leaves(things)
    )


def recorded(function: Callable[P, R]) -> Callable[P, R]:
    """A function of `hotloop.ops`: on a model's values, outside of all calls, a layer."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if is_recording():
            return function(*args, **kwargs)
        if (recorder := recorder_of_function(args, kwargs)) is not None:
            return cast(R, recorder.call_function(call, args, kwargs))
        if any(isinstance(leaf, Value) for leaf in leaves((args, kwargs))):
            return cast(R, Value.operators.as_layer(call, args, kwargs))
        return function(*args, **kwargs)

    return call


# --------------------------------------------------------------------------------- arrays


def array(x: Tensor, dtype: str | None = None) -> Any:
    """An array of numbers, of 64 bits only where floats have them by `hotloop.config.floatx`."""
    if isinstance(x, Value):
        raise TypeError(f"{x} has no numbers: it is symbolic")
    weak = isinstance(x, float | list | tuple)
    found = x.numpy() if isinstance(x, Variable) else np.asarray(x)
    if dtype is not None:
        return found.astype(name_of(dtype), copy=False)
    if isinstance(x, Variable):
        return found
    kind = config.floatx() if weak and found.dtype.kind == "f" else narrowed(found.dtype.name)
    return found.astype(kind, copy=False)


def done(found: Any) -> Any:
    """What NumPy made, with 32 bits; also of lists and tuples."""
    if isinstance(found, list | tuple):
        return (
            type(found)(map(done, found))
            if type(found) in (list, tuple)
            else tuple(map(done, found))
        )
    result = np.asarray(found)
    if result.dtype.kind in "iu":
        return result.astype(narrowed(result.dtype.name), copy=False)
    return result


# --------------------------------------------------------------------------------- dtypes


def dtype_of(x: Tensor) -> Any:
    """What `result_type` is told of it."""
    if isinstance(x, Value):
        return x.dtype
    if isinstance(x, bool | np.bool_):
        return "bool"
    if isinstance(x, int):
        return int
    if isinstance(x, float):
        return float
    return array(x).dtype.name if not isinstance(x, Variable) else x.dtype.name


def common_dtype(*tensors: Tensor, also: Sequence[Any] = ()) -> str:
    """The dtype of what is computed from these; of float64 values and variables, float64."""
    kinds = [dtype_of(x) for x in tensors if x is not None]
    found = result_type(*kinds, *also)
    if "float64" in kinds and found == "float32":
        wide = [x for x in tensors if isinstance(x, Value | Variable)]
        if any(str(x.dtype) == "float64" for x in wide):
            return "float64"
    return found


def float_dtype(*tensors: Tensor) -> str:
    """The same, of what computes with floats: whole numbers and truth values become floatx."""
    found = common_dtype(*tensors)
    return found if found.startswith(("float", "bfloat", "complex")) else config.floatx()


# --------------------------------------------------------------------------------- values


def value(x: Tensor, dtype: str | None = None) -> Value:
    """A symbolic value: of a variable, or of numbers that do not change, where it is none."""
    if isinstance(x, Value):
        found = plainly_kept(x)
    elif isinstance(x, Variable):
        found = plainly_kept(of_variable(x))
    elif isinstance(x, Batch):
        found = number_of_examples(x.of)
    elif isinstance(x, Length):
        raise ValueError("a length that data decide is no number to compute with")
    elif isinstance(x, list | tuple) and any(isinstance(leaf, Value) for leaf in leaves(x)):
        found = stacked(x)
    else:
        found = constant(x, dtype)
    return found if dtype is None else cast_value(found, dtype)


def of_variable(variable: Variable) -> Value:
    """The value of a variable; it must be a weight of the layer whose call is recorded."""
    layer = current_layer()
    if layer is None or not variable.trainable or any(variable is own for own in layer.weights):
        return parameter(variable)
    raise TypeError(
        f"a symbolic value and the weight '{variable.path}': only the call() of the layer whose "
        "add_weight() has made it may use it"
    )


def constant(x: Any, dtype: str | None = None) -> Value:
    """Numbers that do not change."""
    numbers = array(x)
    name = numbers.dtype.name if dtype is None else dtype
    if name not in SYMBOLIC_DTYPES:
        whole = "float32" if name in ("float16", "bfloat16") else "int32"
        name = whole if numbers.dtype.kind in "iuf" else name
    return parameter(Variable(numbers.astype(name), "constant", trainable=False, row_axes=0))


def cast_value(x: Value, dtype: str) -> Value:
    """x in another dtype."""
    dtype = narrowed(name_of(dtype)) if dtype != "float64" else dtype
    if dtype not in SYMBOLIC_DTYPES:
        raise ValueError(
            f"a symbolic value cannot be {dtype}; it can be {', '.join(SYMBOLIC_DTYPES)}"
        )
    return graph_ops.cast(plainly_kept(x), dtype)


def number_of_examples(x: Value) -> Value:
    """How many examples the batch of x has, as a float of no example."""
    share = graph_ops.over_examples(constant(1.0, config.floatx()))
    # x is read, so that the plan knows whose batch it is.
    del x
    return apply(OPS["reciprocal"], share)


# --------------------------------------------------------------------------------- shapes


def rank(x: Value) -> int:
    """Its axes, that of the batch too."""
    return len(x.dims) + x.batched


def shape_of(x: Tensor) -> tuple[Any, ...]:
    """The shape, in which the batch, and what data decide, stand as `Length`s."""
    if isinstance(x, Value):
        return (Batch(x), *x.dims) if x.batched else x.dims
    return tuple(x.shape) if isinstance(x, Variable) else np.shape(x)


def shown(x: Tensor) -> str:
    """A shape as messages have it."""
    return str(x.shape if isinstance(x, Value | Variable) else np.shape(x))


def axis_of(x: Value, axis: int, who: str, *, more: int = 0) -> int:
    """Which of all axes that is, from 0; `more` are to be there beside those of x."""
    axes = rank(x) + more
    if isinstance(axis, bool) or not -axes <= axis < axes:
        raise ValueError(f"{who}: axis {axis} is not one of the {axes} axes of shape {shown(x)}")
    return int(axis) % axes


def inner_axis(x: Value, axis: int, who: str, *, more: int = 0) -> int:
    """The axis as one of an example, from 0; ValueError for that of the batch."""
    found = axis_of(x, axis, who, more=more) - x.batched
    if found < 0:
        raise ValueError(
            f"{who}: axis {axis} of shape {shown(x)} is that of the batch, whose examples a model "
            "does not put together so; use another axis"
        )
    return found


def inner_axes(x: Value, axis: Any, who: str) -> tuple[int, ...]:
    """Axes of an example, all of them if None."""
    if axis is None:
        if x.batched:
            raise ValueError(
                f"{who}: axis=None is over the batch too, of shape {shown(x)}; name the axes"
            )
        return tuple(range(len(x.dims)))
    axes = axis if isinstance(axis, list | tuple) else (axis,)
    return tuple(inner_axis(x, one, who) for one in axes)


def inner_shape(shape: Any, x: Value | None, who: str) -> tuple[tuple[Any, ...], bool]:
    """Of a shape in a user's words: that of an example, and whether the batch stands before it."""
    dims = tuple(shape) if isinstance(shape, list | tuple | np.ndarray) else (shape,)
    dims = tuple(int(d) if isinstance(d, np.integer) else d for d in dims)
    if any(isinstance(d, Value) for d in dims):
        raise ValueError(f"{who}: a shape must be known when a model is recorded, not computed")
    if dims and (is_batch(dims[0]) or (dims[0] is None and x is not None and x.batched)):
        return dims[1:], True
    if any(d is None or is_batch(d) for d in dims):
        raise ValueError(
            f"{who}: the batch can only be the first axis of a shape, not as in {dims}"
        )
    return dims, False


def batch_of(shape: Any) -> Value | None:
    """The value whose batch a shape begins with, if it begins with one."""
    dims = shape if isinstance(shape, list | tuple) else (shape,)
    return next((d.of for d in dims if isinstance(d, Batch)), None)


def joined(*tensors: Value, who: str) -> tuple[Value, ...]:
    """Values as the graph broadcasts them: NumPy's rules, the batch being the first axis."""
    batched = [x for x in tensors if x.batched]
    if not batched:
        return tensors
    axes = max(rank(x) for x in batched)
    found = []
    for x in tensors:
        fits = x.batched and rank(x) == axes
        if not x.batched and rank(x) < axes:
            fits = True
        elif not x.batched and rank(x) == axes and x.dims[0] == 1:
            x, fits = graph_ops.reshape(x, x.dims[1:]), True
        if not fits:
            shapes = " and ".join(map(shown, tensors))
            raise ValueError(
                f"{who}: the shapes {shapes} cannot be broadcast to each other: the batch, None, "
                "is the first axis, and stands beside itself or 1; add axes with expand_dims"
            )
        found.append(x)
    return tuple(found)


def together(*tensors: Value) -> tuple[Value, ...]:
    """Values that all have a batch, or none."""
    like = next((x for x in tensors if x.batched), None)
    return tensors if like is None else tuple(each_example(x, like) for x in tensors)


def alike(values: Sequence[Value]) -> list[Value]:
    """All of them with a batch, or none; what has none and an axis of 1 in its place loses that."""
    batched = next((x for x in values if x.batched), None)
    if batched is None:
        return [*values]
    ready = [
        graph_ops.reshape(x, x.dims[1:])
        if not x.batched and rank(x) == rank(batched) and x.dims[0] == 1
        else x
        for x in values
    ]
    return [*together(*ready)]


def joined_along(values: Sequence[Value], axis: int) -> Value:
    """Values one after the other along an axis of an example, as a tree of pairs."""
    values = [*values]
    while len(values) > 1:
        pairs = zip(values[::2], values[1::2], strict=False)
        odd = values[-1:] if len(values) % 2 else []
        values = [graph_ops.concatenate(a, b, axis) for a, b in pairs] + odd
    return values[0]


def stacked(things: Sequence[Tensor], axis: int = 0) -> Value:
    """Values, variables and numbers of one shape along a new axis, as one value."""
    dtype = common_dtype(*things)
    values = alike([value(x, dtype) for x in things])
    at = inner_axis(values[0], axis, "stack", more=1)
    rows = [graph_ops.reshape(x, (*x.dims[:at], 1, *x.dims[at:])) for x in values]
    return joined_along(rows, at)


def size_of(dims: Sequence[Any]) -> Any:
    """Numbers of an array of this shape."""
    return math.prod(dims)


# ------------------------------------------------------------------------ functions of a table


def named(function: Callable[..., Any], name: str, doc: str) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return recorded(function)


def doc(summary: str, arguments: str, result: str) -> str:
    return (
        f"{summary}\n\nParameters\n----------\n{arguments} : array, number, Variable or symbolic "
        "value\n    Of any shape; several are broadcast to one.\n\nReturns\n-------\n"
        f"{result}\n    Of that shape; symbolic if an argument is.\n"
    )


def array_function(
    name: str, function: Callable[..., Any], summary: str, floats: bool = False
) -> Any:
    """A function of NumPy's that takes arrays only."""

    def call(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        only_arrays(name, x, args, kwargs)
        numbers = array(x, float_dtype(x)) if floats else array(x)
        with np.errstate(all="ignore"):
            found = done(function(numbers, *args, **kwargs))
        return found.astype(numbers.dtype) if floats and isinstance(found, np.ndarray) else found

    return named(call, name, f"{summary} Of arrays, not of symbolic values.")


def only_arrays(name: str, *things: Any) -> None:
    """Refuses symbolic values."""
    if symbolic(*things):
        shapes = ", ".join(shown(x) for x in values_in(things))
        raise NotImplementedError(
            f"{name} is for arrays: of a symbolic value of shape {shapes} it is not known when a "
            "model is recorded, or not supported; do it before the model, or in a Lambda layer"
        )


def values_in(things: Any) -> list[Value]:
    return [x for x in leaves(things) if isinstance(x, Value)]
