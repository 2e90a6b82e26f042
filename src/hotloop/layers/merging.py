"""Layers that make one value of several: the joints of models that are no chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from ..graph import ops
from ..graph.trace import Value
from ..lengths import broadcast, common, shown
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
        """Raises ValueError unless shapes of one example can be merged."""
        raise NotImplementedError

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

    def _axis_of_example(self, axis: int, shape: tuple[int, ...]) -> int:
        """Which axis of one example it is that counts the batch as 0."""
        found = axis - 1 if axis > 0 else axis + len(shape)
        if not 0 <= found < len(shape):
            raise ValueError(
                f"{self.describe()}: there is no axis {axis} in inputs of shape {(None, *shape)}"
            )
        return found


class Elementwise(Merge):
    """Base of the layers that merge element by element, two values at a time.

    Inputs of several shapes are broadcast as in NumPy: aligned at the last axis, those with fewer
    axes are repeated along the ones that they lack, which stand behind the batch, and those with
    a length of 1 along that axis.
    """

    _of_two: Callable[[Value, Value], Value]

    def check_shapes(self, shapes: Sequence[tuple[int, ...]]) -> None:
        if broadcast(*shapes) is None:
            raise ValueError(
                f"{self.describe()} needs inputs of one shape, or of shapes that can be broadcast "
                f"to one, got {_written(shapes)}"
            )

    def merge(self, values: Sequence[Value]) -> Value:
        return reduce(self._of_two, values)


class Add(Elementwise):
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

    _of_two = staticmethod(ops.add)


class Subtract(Elementwise):
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
    _of_two = staticmethod(ops.subtract)


class Multiply(Elementwise):
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

    _of_two = staticmethod(ops.multiply)


class Average(Elementwise):
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

    _of_two = staticmethod(ops.add)

    def merge(self, values: Sequence[Value]) -> Value:
        return ops.scale(super().merge(values), 1 / len(values))


class Maximum(Elementwise):
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

    _of_two = staticmethod(ops.maximum)


class Minimum(Elementwise):
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

    _of_two = staticmethod(ops.minimum)


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
        axis = self._axis_of_example(self.axis, shapes[0])
        rest = [shape[:axis] + shape[axis + 1 :] for shape in shapes]
        if len(set(map(len, shapes))) > 1 or common(*rest) is None:
            raise ValueError(
                f"{self.describe()} needs inputs whose shapes differ in axis {self.axis} only, got "
                f"{_written(shapes)}"
            )

    def merge(self, values: Sequence[Value]) -> Value:
        axis = self._axis_of_example(self.axis, values[0].dims)
        return _halved(values, lambda a, b: ops.concatenate(a, b, axis))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis}


class Dot(Merge):
    """Inner products of the vectors of two inputs, along one axis of each.

    Of (batch, i, k) and (batch, j, k) with ``axes=2`` it is the product of the first matrix and
    the second one transposed, (batch, i, j). Axes that are not summed over stay: first those of
    the first input, then those of the second. Of two vectors, (batch, 1).

    Parameters
    ----------
    axes : int or pair of int
        The axis of each input that is summed over; the batch is axis 0.
    normalize : bool
        Whether the vectors are first scaled to length 1, so that the result is their cosine
        similarity. A vector shorter than 1e-7 is divided by that.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        For other axes, and when called on inputs that do not have them or of which they have
        different lengths.

    Examples
    --------
    >>> from hotloop.layers import Dot
    >>> Dot(axes=1)([[[1.0, 2.0]], [[10.0, 20.0]]])
    array([[50.]], dtype=float32)
    """

    _exactly_two = True

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self._pair = tuple(axes) if isinstance(axes, list | tuple) else (axes, axes)
        whole = all(isinstance(axis, int) and not isinstance(axis, bool) for axis in self._pair)
        if len(self._pair) != 2 or not whole or 0 in self._pair:
            raise ValueError(
                f"{self.describe()}: axes must be one or two whole numbers other than 0, which is "
                f"the batch, not {axes!r}"
            )
        self.axes = axes
        self.normalize = bool(normalize)

    def check_shapes(self, shapes: Sequence[tuple[int, ...]]) -> None:
        summed = [shape[axis] for shape, axis in zip(shapes, self._axes(shapes), strict=True)]
        if common(*((length,) for length in summed)) is None:
            raise ValueError(
                f"{self.describe()} needs inputs whose axes {self.axes} have one length, got "
                f"{_written(shapes)}"
            )

    def merge(self, values: Sequence[Value]) -> Value:
        axes = self._axes([value.dims for value in values])
        matrices: list[Value] = []
        in_columns: list[bool] = []  # the vectors, as those of an axis in front are: not copied
        rest: tuple[int, ...] = ()
        for value, axis in zip(values, axes, strict=True):
            length, others = value.dims[axis], [a for a in range(len(value.dims)) if a != axis]
            rest += tuple(value.dims[a] for a in others)
            in_columns.append(axis == 0 and bool(others) and not self.normalize)
            if in_columns[-1]:
                matrices.append(ops.reshape(value, (length, -1)))
                continue
            rows = ops.reshape(ops.permute(value, (*others, axis)), (-1, length))
            matrices.append(ops.unit_rows(rows) if self.normalize else rows)
        first, second = in_columns
        product = ops.batch_matmul(*matrices, transpose_a=first, transpose_b=not second)
        return ops.reshape(product, rest or (1,))

    def _axes(self, shapes: Sequence[tuple[int, ...]]) -> list[int]:
        """The axis of one example of each input."""
        return list(map(self._axis_of_example, self._pair, shapes))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axes": self.axes, "normalize": self.normalize}


def _written(shapes: Sequence[tuple[int, ...]]) -> str:
    """For messages: with the batch in front."""
    return " and ".join(str((None, *shown(shape))) for shape in shapes)


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
