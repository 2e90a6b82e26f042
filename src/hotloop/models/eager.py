"""One layer at once on arrays: a plan that is made, run and forgotten."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import backends
from ..data.adapters import as_array
from ..data.feed import Feed
from ..graph.plan import build
from ..graph.trace import Value
from ..layers.base import Layer


def call_layer(layer: Layer, x: ArrayLike) -> NDArray[Any]:
    """What the layer makes of a batch, as it does when predicting."""
    array = as_array(x, "x")
    if array.ndim == 0:
        raise ValueError(f"{layer.describe()} needs a batch of examples, got a single number")
    value = Value(array.shape[1:], layer.dtype, role="input")
    outputs = [layer.extend(value)]
    out = np.empty((len(array), *outputs[0].dims), layer.dtype)
    if len(array):
        plan = build([value], outputs, len(array))
        executor = backends.executor(plan)
        executor.run(Feed([array], len(array)), 0, 1, np.zeros(0), outputs=[out])
    return out
