"""What all estimators share."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import optimizers
from ..models import Model
from ..optimizers import Optimizer

Array = NDArray[Any]

PREDICTED_AT_ONCE = 1024


def outputs_of(model: Model, x: Array) -> Array:
    """A model's outputs for checked examples."""
    found: Array = (
        model.predict_on_batch(x)  # batches of all sizes share a few plans
        if len(x) <= PREDICTED_AT_ONCE
        else model.predict(x, batch_size=PREDICTED_AT_ONCE, verbose=0)
    )
    return found


def as_quantities(outputs: Array, X: Any) -> Array:
    """A regressor's outputs in scikit-learn's type: X's float32, and float64 of all else."""
    single = getattr(X, "dtype", None) == np.float32
    return outputs.astype(np.float32 if single else np.float64, copy=False)


def fresh_optimizer(identifier: Any) -> Optimizer:
    """An optimizer of these settings that has done no step; the one given stays as it is."""
    found = copy.deepcopy(optimizers.get(identifier))
    found.iterations = 0
    return found


def validation_parts(given: Any) -> tuple[Any, Any, Any]:
    """Examples, targets and weights, None if there are none."""
    if not isinstance(given, list | tuple) or len(given) not in (2, 3):
        raise ValueError("validation_data must be a tuple (X, y) or (X, y, sample_weight)")
    return given[0], given[1], given[2] if len(given) > 2 else None
