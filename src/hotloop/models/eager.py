"""One layer at once on arrays: a plan that is made, run and forgotten."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import backends
from ..data.adapters import as_array
from ..data.feed import Feed
from ..graph.plan import build
from ..graph.trace import Value, in_layer
from ..layers.base import Layer, enter_call_on_arrays
from .forms import check_outputs
from .intake import Intake


def call_layer(layer: Layer, x: Any) -> NDArray[Any]:
    """What the layer makes of a batch, as it does when predicting."""
    several = layer.takes_list and isinstance(x, list | tuple)
    parts = {f"x[{i}]": part for i, part in enumerate(x)} if several else {"x": x}
    arrays = [
        as_array(part, name, text=layer.takes_text, missing=layer.takes_missing)
        for name, part in parts.items()
    ]
    for array in arrays:
        if array.ndim == 0:
            raise ValueError(f"{layer.describe()} needs a batch of examples, got a single number")
    rows = len(arrays[0]) if arrays else 0
    if any(len(array) != rows for array in arrays):
        raise ValueError(
            f"{layer.describe()} needs inputs of as many examples each, got "
            + " and ".join(str(len(array)) for array in arrays)
        )
    with in_layer(layer):
        values = [Value(array.shape[1:], layer.dtype, role="input") for array in arrays]
    outputs = [layer.extend(values if several else values[0])]
    check_outputs(outputs)
    out = np.empty((rows, *outputs[0].dims), layer.dtype)
    if rows:
        intake = Intake(values, outputs)
        executor = backends.executor(build(intake.values, outputs, rows, backends.traits()))
        executor.run(Feed(intake(arrays), rows), 0, 1, np.zeros(0), outputs=[out])
    return out


enter_call_on_arrays(call_layer)
