"""Layers that make one vector of the steps of a sequence."""

from __future__ import annotations

from typing import Any

from ..graph import ops
from ..graph.trace import Value
from .base import Layer


class GlobalPooling1D(Layer):
    """Base of the layers that go from (batch, steps, features) to (batch, features).

    Parameters
    ----------
    data_format : {"channels_last", "channels_first"}, optional
        The latter for inputs of shape (batch, features, steps).
    keepdims : bool
        Whether the axis of the steps stays, with length 1.

    Raises
    ------
    ValueError
        For another data_format, and when called on inputs without steps.
    """

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        self.data_format = "channels_last" if data_format is None else data_format
        if self.data_format not in ("channels_last", "channels_first"):
            raise ValueError(
                f"{self.describe()}: data_format must be 'channels_last' or 'channels_first', not "
                f"{data_format!r}"
            )
        self.keepdims = bool(keepdims)

    def call(self, x: Value) -> Any:
        if len(x.dims) != 2:
            raise ValueError(
                f"{self.describe()} needs inputs of shape (batch, steps, features), got {x.shape}"
            )
        last = self.data_format == "channels_last"
        # Of features that come first, steps are the last axis: columns of one.
        steps = x if last else ops.reshape(x, (*x.dims, 1))
        y = self.pool(steps)
        features = y.size
        if not self.keepdims:
            return ops.reshape(y, (features,))
        return ops.reshape(y, (1, features) if last else (features, 1))

    def pool(self, x: Value) -> Value:
        """Of (..., steps, columns), (..., columns)."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"data_format": self.data_format, "keepdims": self.keepdims}


class GlobalAveragePooling1D(GlobalPooling1D):
    """The mean over the steps of each example: (batch, steps, features) to (batch, features).

    Parameters
    ----------
    data_format : {"channels_last", "channels_first"}, optional
        The latter for inputs of shape (batch, features, steps).
    keepdims : bool
        Whether the axis of the steps stays, with length 1.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        For another data_format, and when called on inputs without steps.

    Examples
    --------
    >>> from hotloop.layers import GlobalAveragePooling1D
    >>> GlobalAveragePooling1D()([[[1.0, 2.0], [3.0, 6.0]]])
    array([[2., 4.]], dtype=float32)
    """

    def pool(self, x: Value) -> Value:
        return ops.mean_steps(x)


class GlobalMaxPooling1D(GlobalPooling1D):
    """The largest over the steps of each example: (batch, steps, features) to (batch, features).

    Steps that are equal share the gradient evenly, as in JAX.

    Parameters
    ----------
    data_format : {"channels_last", "channels_first"}, optional
        The latter for inputs of shape (batch, features, steps).
    keepdims : bool
        Whether the axis of the steps stays, with length 1.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        For another data_format, and when called on inputs without steps.

    Examples
    --------
    >>> from hotloop.layers import GlobalMaxPooling1D
    >>> GlobalMaxPooling1D()([[[1.0, 6.0], [3.0, 2.0]]])
    array([[3., 6.]], dtype=float32)
    """

    def pool(self, x: Value) -> Value:
        return ops.max_steps(x)
