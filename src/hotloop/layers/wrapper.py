"""Layers around another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from ..files.models import model_files
from .base import Layer, Shape, deserialize


class Wrapper(Layer):
    """Base of layers that change what another layer does; `call` is the subclass's.

    Parameters
    ----------
    layer : Layer
        Its weights are the wrapper's.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        If it is no layer.

    Examples
    --------
    >>> from hotloop.layers import Dense
    >>> class Twice(Wrapper):
    ...     def call(self, x):
    ...         return self.layer(self.layer(x))
    >>> Twice(Dense(2))([[1.0, 2.0]]).shape
    (1, 2)
    """

    def __init__(self, layer: Layer, **options: Any) -> None:
        super().__init__(**options)
        if not isinstance(layer, Layer):
            raise ValueError(f"{self.describe()} wraps a layer, not {layer!r}")
        self.layer = layer

    def build(self, input_shape: Shape) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"layer": model_files().described(self.layer)}

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Self:
        """A wrapper around the layer that the configuration describes."""
        given = dict(config)
        return cls(deserialize(given.pop("layer"), custom_objects), **given)
