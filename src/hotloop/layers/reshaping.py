"""Layers that change the shape of each example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..graph import ops
from ..graph.trace import Value
from .base import Layer, check_count


class Flatten(Layer):
    """Makes a vector of each example: (batch, 28, 28) becomes (batch, 784).

    Examples
    --------
    >>> from hotloop.layers import Flatten
    >>> Flatten()([[[1.0, 2.0], [3.0, 4.0]]])
    array([[1., 2., 3., 4.]], dtype=float32)
    """

    def __init__(self, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        if data_format not in (None, "channels_last"):
            raise ValueError(f"{self.describe()}: data_format must be 'channels_last'")

    def call(self, x: Value) -> Any:
        return ops.reshape(x, (x.size,))


class Reshape(Layer):
    """Gives each example another shape with as many elements.

    Parameters
    ----------
    target_shape : tuple of int
        Without the batch; one dimension may be -1.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        When called on examples with another number of elements.

    Examples
    --------
    >>> from hotloop.layers import Reshape
    >>> Reshape((2, -1))([[1.0, 2.0, 3.0, 4.0]])
    array([[[1., 2.],
            [3., 4.]]], dtype=float32)
    """

    def __init__(self, target_shape: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.target_shape = tuple(int(d) for d in target_shape)
        if self.target_shape.count(-1) > 1 or any(d < 1 and d != -1 for d in self.target_shape):
            raise ValueError(
                f"{self.describe()}: target_shape must hold whole numbers of at least 1, and at "
                f"most one -1, not {self.target_shape}"
            )

    def call(self, x: Value) -> Any:
        try:
            return ops.reshape(x, self.target_shape)
        except ValueError as error:
            raise ValueError(f"{self.describe()}: {error}") from None

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"target_shape": list(self.target_shape)}


class RepeatVector(Layer):
    """Repeats the vector of each example: (batch, features) becomes (batch, n, features).

    Parameters
    ----------
    n : int
        How often, at least 1.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        For n below 1, and when called on examples that are no vectors.

    Examples
    --------
    >>> from hotloop.layers import RepeatVector
    >>> RepeatVector(2)([[1.0, 2.0]])
    array([[[1., 2.],
            [1., 2.]]], dtype=float32)
    """

    def __init__(self, n: int, **options: Any) -> None:
        super().__init__(**options)
        self.n = check_count(self, "n", n)

    def call(self, x: Value) -> Any:
        if len(x.dims) != 1:
            raise ValueError(
                f"{self.describe()} needs inputs of shape (batch, features), got {x.shape}"
            )
        return ops.repeat(x, self.n)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"n": self.n}


class Permute(Layer):
    """Puts the axes of each example in another order.

    Parameters
    ----------
    dims : tuple of int
        The axes in their new order, counted from 1; the batch, which stays first, is axis 0.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        If dims are not the numbers from 1 on, each once, and when called on examples with
        another number of axes.

    Examples
    --------
    >>> from hotloop.layers import Permute
    >>> Permute((2, 1))([[[1.0, 2.0], [3.0, 4.0]]])
    array([[[1., 3.],
            [2., 4.]]], dtype=float32)
    """

    def __init__(self, dims: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"{self.describe()}: dims must be the numbers from 1 to the number of an example's "
                f"axes, each once, not {self.dims}"
            )

    def call(self, x: Value) -> Any:
        if len(x.dims) != len(self.dims):
            raise ValueError(
                f"{self.describe()} puts {len(self.dims)} axes besides the batch in order, got an "
                f"input of shape {x.shape}"
            )
        return ops.permute(x, tuple(axis - 1 for axis in self.dims))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"dims": list(self.dims)}
