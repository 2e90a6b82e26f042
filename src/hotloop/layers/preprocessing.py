"""Layers that prepare raw inputs."""

from __future__ import annotations

import math
from typing import Any

from ..graph import ops
from ..graph.trace import Value
from .base import Layer


class Rescaling(Layer):
    """``y = x * scale + offset``: pixels from 0 to 255 become numbers from 0 to 1, for one.

    Parameters
    ----------
    scale, offset : float
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        If one of them is no finite number.

    Examples
    --------
    >>> from hotloop.layers import Rescaling
    >>> Rescaling(0.5, offset=1.0)([[0, 2, 4]])
    array([[1., 2., 3.]], dtype=float32)
    """

    def __init__(self, scale: float, offset: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        for name, value in (("scale", scale), ("offset", offset)):
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(
                    f"{self.describe()}: {name} must be a finite number, not {value!r}"
                )
        self.scale = float(scale)
        self.offset = float(offset)

    def call(self, x: Value) -> Any:
        return ops.scale(x, self.scale, self.offset)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"scale": self.scale, "offset": self.offset}
