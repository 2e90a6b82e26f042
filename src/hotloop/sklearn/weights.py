"""Weights of examples, as scikit-learn means them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _check_sample_weight

from ..masks import refuse_masks

Array = NDArray[Any]


def checked(sample_weight: Any, X: Array) -> Array | None:
    """One number for each example; ValueError otherwise and for negative ones."""
    if sample_weight is None:
        return None
    refuse_masks(sample_weight, "sample_weight")
    weight: Array = _check_sample_weight(sample_weight, X)
    if (weight < 0).any():
        raise ValueError("sample_weight holds negative numbers; weights are at least 0")
    return weight


def normalised(*factors: Array | None) -> tuple[Array | None, float]:
    """The product of what is given, scaled to a mean of 1, and its mean before.

    The core divides a loss by the number of examples; scikit-learn by the sum of the weights.
    """
    given = [factor for factor in factors if factor is not None]
    if not given:
        return None, 1.0
    weight = np.prod(given, axis=0)
    mean = float(weight.mean())
    if not mean > 0:
        raise ValueError("all sample weights are zero; there is nothing to learn")
    return weight / mean, mean
