"""Layers that make one value of several: the joints of models that are no chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from ..graph import ops
from ..graph.trace import Value
from ..variables import Variable
from .base import Layer


class Merge(Layer):
    """Base of the layers that are called on a list of values.

    Raises
    ------
    ValueError
        When called on something else than a list, on too few values or too many, or on values
        whose shapes do not fit.
    """

    takes_list = True
    _exactly_two = False

    def call(self, x: Sequence[Value]) -> Any:
        return self.merge(self._checked(x))

    def merge(self, values: Sequence[Value]) -> Value:
        """The one value, of values that were checked."""
        raise NotImplementedError

    def check_shapes(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Raises ValueError unless shapes of one example can be merged: here, if they differ."""
        if len(set(shapes)) > 1:
            raise ValueError(
                f"{self.describe()} needs inputs of one shape, got "
                + " and ".join(str((None, *shape)) for shape in shapes)
            )

    def _checked(self, x: Any) -> list[Value]:
        if not isinstance(x, list | tuple):
            raise ValueError(
                f"{self.describe()} is called on a list of inputs, as in layer([a, b])"
            )
        if self._exactly_two and len(x) != 2:
            raise ValueError(f"{self.describe()} takes exactly 2 inputs, got {len(x)}")
        if not x:
            raise ValueError(f"{self.describe()} needs at least 1 input, got an empty list")
        dtypes = {value.dtype for value in x}
        if len(dtypes) > 1:
            raise ValueError(
                f"{self.describe()} needs inputs of one dtype, got {' and '.join(sorted(dtypes))}; "
                "give all layers of a model the same dtype"
            )
        self.check_shapes([value.dims for value in x])
        return list(x)


class Add(Merge):
    """The sum of its inputs: a residual connection, for one.

    Parameters
    ----------
    **options
        As in `Layer`.

    Examples
    --------
    >>> from hotloop.layers import Add
    >>> Add()([[[1.0, 2.0]], [[10.0, 20.0]]])
    array([[11., 22.]], dtype=float32)
    """

    def merge(self, values: Sequence[Value]) -> Value:
        return reduce(ops.add, values)


class Subtract(Merge):
    """The first of two inputs less the second.

    Parameters
    ----------
    **options
        As in `Layer`.

    Examples
    --------
    >>> from hotloop.layers import Subtract
    >>> Subtract()([[[1.0, 2.0]], [[10.0, 20.0]]])
    array([[ -9., -18.]], dtype=float32)
    """

    _exactly_two = True

    def merge(self, values: Sequence[Value]) -> Value:
        return ops.subtract(*values)


class Multiply(Merge):
    """The product of its inputs, element by element: a gate, for one.

    Parameters
    ----------
    **options
        As in `Layer`.

    Examples
    --------
    >>> from hotloop.layers import Multiply
    >>> Multiply()([[[1.0, 2.0]], [[10.0, 20.0]]])
    array([[10., 40.]], dtype=float32)
    """

    def merge(self, values: Sequence[Value]) -> Value:
        return reduce(ops.multiply, values)


class Average(Merge):
    """The mean of its inputs, element by element.

    Parameters
    ----------
    **options
        As in `Layer`.

    Examples
    --------
    >>> from hotloop.layers import Average
    >>> Average()([[[1.0, 2.0]], [[10.0, 20.0]]])
    array([[ 5.5, 11. ]], dtype=float32)
    """

    def merge(self, values: Sequence[Value]) -> Value:
        return ops.scale(reduce(ops.add, values), 1 / len(values))


class Maximum(Merge):
    """The largest of its inputs, element by element.

    Where two are equal, each gets half of the gradient, as in JAX and PyTorch.

    Parameters
    ----------
    **options
        As in `Layer`.

    Examples
    --------
    >>> from hotloop.layers import Maximum
    >>> Maximum()([[[1.0, 20.0]], [[10.0, 2.0]]])
    array([[10., 20.]], dtype=float32)
    """

    def merge(self, values: Sequence[Value]) -> Value:
        return reduce(ops.maximum, values)


class Minimum(Merge):
    """The smallest of its inputs, element by element.

    Where two are equal, each gets half of the gradient, as in JAX and PyTorch.

    Parameters
    ----------
    **options
        As in `Layer`.

    Examples
    --------
    >>> from hotloop.layers import Minimum
    >>> Minimum()([[[1.0, 20.0]], [[10.0, 2.0]]])
    array([[1., 2.]], dtype=float32)
    """

    def merge(self, values: Sequence[Value]) -> Value:
        return reduce(ops.minimum, values)


class Concatenate(Merge):
    """Its inputs one after the other along an axis.

    Parameters
    ----------
    axis : int
        The batch is axis 0, along which nothing can be joined; -1 is the last one.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        When called on inputs whose shapes differ in another axis.

    Examples
    --------
    >>> from hotloop.layers import Concatenate
    >>> Concatenate()([[[1.0, 2.0]], [[3.0]]])
    array([[1., 2., 3.]], dtype=float32)
    """

    def __init__(self, axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        if isinstance(axis, bool) or not isinstance(axis, int | np.integer) or axis == 0:
            raise ValueError(
                f"{self.describe()}: axis must be a whole number other than 0, which is the "
                f"batch, not {axis!r}"
            )
        self.axis = int(axis)

    def check_shapes(self, shapes: Sequence[tuple[int, ...]]) -> None:
        axis = self._axis(shapes[0])
        rest = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
        if len(rest) > 1 or len({len(shape) for shape in shapes}) > 1:
            raise ValueError(
                f"{self.describe()} needs inputs whose shapes differ in axis {self.axis} only, got "
                + " and ".join(str((None, *shape)) for shape in shapes)
            )

    def merge(self, values: Sequence[Value]) -> Value:
        axis = self._axis(values[0].dims)
        return _halved(values, lambda a, b: ops.concatenate(a, b, axis))

    def _axis(self, shape: tuple[int, ...]) -> int:
        """The axis of one example."""
        axis = self.axis - 1 if self.axis > 0 else self.axis + len(shape)
        if not 0 <= axis < len(shape):
            raise ValueError(
                f"{self.describe()}: there is no axis {self.axis} in inputs of shape "
                f"{(None, *shape)}"
            )
        return axis

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis}


class Dot(Merge):
    """The inner product of two vectors of each example: ``y = sum_j a_j b_j``, of shape (batch, 1).

    Parameters
    ----------
    axes : int or pair of int
        The axis that is summed over: that of the features, 1 or -1.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        For `normalize`, other axes and inputs that are no vectors: these are not supported.

    Examples
    --------
    >>> from hotloop.layers import Dot
    >>> Dot(axes=1)([[[1.0, 2.0]], [[10.0, 20.0]]])
    array([[50.]], dtype=float32)
    """

    _exactly_two = True

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **options: Any) -> None:
        super().__init__(**options)
        pair = tuple(axes) if isinstance(axes, list | tuple) else (axes, axes)
        if len(pair) != 2 or not all(axis in (1, -1) for axis in pair):
            raise ValueError(
                f"{self.describe()}: axes must be 1 or -1, the features of two vectors; "
                f"{axes!r} is not supported"
            )
        if normalize:
            raise ValueError(f"{self.describe()}: normalize=True is not supported")
        self.axes = axes

    def check_shapes(self, shapes: Sequence[tuple[int, ...]]) -> None:
        super().check_shapes(shapes)
        if len(shapes[0]) != 1:
            raise ValueError(
                f"{self.describe()} needs inputs of shape (batch, features), got "
                f"{(None, *shapes[0])}"
            )

    def merge(self, values: Sequence[Value]) -> Value:
        a, b = values
        # Features are added up by a product with ones, which nobody trains.
        ones = Variable(np.ones((a.dims[0], 1), a.dtype), f"{self.name}/ones", trainable=False)
        return ops.matmul(ops.multiply(a, b), ones)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axes": self.axes, "normalize": False}


def _halved(values: Sequence[Value], join: Callable[[Value, Value], Value]) -> Value:
    """Joins neighbours in pairs, then those: each value is copied few times."""
    if len(values) == 1:
        return values[0]
    middle = len(values) // 2
    return join(_halved(values[:middle], join), _halved(values[middle:], join))


def add(inputs: Sequence[Any], **options: Any) -> Any:
    """`Add` of a list of values, at once."""
    return Add(**options)(inputs)


def subtract(inputs: Sequence[Any], **options: Any) -> Any:
    """`Subtract` of a list of two values, at once."""
    return Subtract(**options)(inputs)


def multiply(inputs: Sequence[Any], **options: Any) -> Any:
    """`Multiply` of a list of values, at once."""
    return Multiply(**options)(inputs)


def average(inputs: Sequence[Any], **options: Any) -> Any:
    """`Average` of a list of values, at once."""
    return Average(**options)(inputs)


def maximum(inputs: Sequence[Any], **options: Any) -> Any:
    """`Maximum` of a list of values, at once."""
    return Maximum(**options)(inputs)


def minimum(inputs: Sequence[Any], **options: Any) -> Any:
    """`Minimum` of a list of values, at once."""
    return Minimum(**options)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **options: Any) -> Any:
    """`Concatenate` of a list of values, at once."""
    return Concatenate(axis, **options)(inputs)


def dot(inputs: Sequence[Any], axes: int | Sequence[int] = -1, **options: Any) -> Any:
    """`Dot` of a list of two values, at once."""
    return Dot(axes, **options)(inputs)
