"""Where examples enter a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import config, naming
from ..graph.trace import Value
from .base import Layer, check_shape


class InputLayer(Layer):
    """The layer that stands for a model's input; `Input` makes one."""

    def __init__(
        self,
        shape: Sequence[int | None],
        batch_size: int | None = None,
        dtype: str | None = None,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.shape = check_shape(self, "shape", shape)
        self.built = True
        value = Value(self.shape, self.dtype, role="input", name=self.name, layer=self)
        self._last_use = (value, value)

    def call(self, x: Any) -> Any:
        return x

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}


def Input(  # noqa: N802  (Keras's name)
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: str | None = None,
    *,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
    tensor: Value | None = None,
    optional: bool = False,
) -> Value:
    """A model's input.

    Parameters
    ----------
    shape : tuple of int or None
        Of one example, without the batch. Data decide the length of an axis that is None, and may
        have another one in each call: steps of a sequence, for one.
    batch_size : int, optional
        Accepted as in Keras; batches may have any size all the same.
    dtype : {"float32", "float64"}, optional
        What the model computes in; data of any float or integer dtype are cast.
    sparse, ragged, optional
        Only what Keras has if they are not given is supported.
    batch_shape : tuple of int or None, optional
        In the place of `shape`: with the batch in front, which may have any size all the same.
    name : str, optional
    tensor : Value, optional
        Another input, whose shape and dtype it has.

    Raises
    ------
    ValueError
        Without a shape, with two of them, and for sparse, ragged and optional inputs.

    Examples
    --------
    >>> from hotloop.layers import Dense, Input
    >>> x = Input((4,))
    >>> Dense(2)(x).shape
    (None, 2)

    >>> Dense(2)(Input((None, 4))).shape
    (None, None, 2)
    """
    for argument, given in (("sparse", sparse), ("ragged", ragged), ("optional", optional)):
        if given:
            raise ValueError(f"Input: {argument}={given!r} is not supported")
    if tensor is not None:
        batch_shape, dtype = batch_shape or tensor.shape, dtype or tensor.dtype
    if batch_shape is not None:
        if shape is not None:
            raise ValueError("Input: give shape or batch_shape, not both")
        batch_size, *shape = batch_shape
    if shape is None:
        raise ValueError(
            "Input: shape is missing; give the shape of one example, as in Input((4,))"
        )
    if dtype is not None and dtype not in ("float32", "float64"):
        dtype = config.floatx()
    layer = InputLayer(shape, batch_size, dtype, name=name or naming.unique_name("input_layer"))
    value: Value = layer.output
    return value
