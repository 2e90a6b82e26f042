"""Weights as values of a graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...variables import Variable
from ..trace import Value, parameter

__all__ = ["fixed"]


def weights_of(x: Value, *weights: Variable | None) -> tuple[Value, ...]:
    """Those that there are, as values; ValueError unless they are of x's dtype."""
    given = [w for w in weights if w is not None]
    for w in given:
        if w.dtype != x.dtype:
            raise ValueError(
                f"the weight '{w.path}' is {w.dtype} but its input is {x.dtype}; give all layers "
                "of a model the same dtype, by dtype=... or hotloop.config.set_floatx(...)"
            )
    return tuple(map(parameter, given))


def fixed(number: Any, dtype: str) -> Value:
    """Numbers that never change, as a value of no example."""
    return parameter(Variable(np.asarray(number, dtype), "constant", trainable=False, row_axes=0))
