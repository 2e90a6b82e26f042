"""How the values of a batch become one loss: of arrays, and of values of a graph.

The same sentence twice: ``sum(weight * value)``, divided by how many values there are
(``"sum_over_batch_size"``, ``"mean"``), by the sum of the weights (``"mean_with_sample_weight"``),
or by nothing (``"sum"``). Weights have the first axes of the values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .graph import ops
from .graph.op import OPS
from .graph.trace import Value, apply

REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None)


def reduced(values: NDArray[Any], weight: NDArray[Any] | None, reduction: str | None) -> Any:
    """The loss of arrays: a number, or the values themselves where they are not reduced.

    Examples
    --------
    >>> reduced(np.array([1.0, 3.0]), np.array([3.0, 1.0]), "mean_with_sample_weight")
    1.5
    """
    each: Any = 1.0
    if weight is not None:
        if weight.ndim == values.ndim + 1 and weight.shape[-1] == 1:
            weight = weight[..., 0]
        each = weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
        values = values * each
    if reduction in (None, "none"):
        return values
    if reduction == "sum":
        return float(values.sum())
    if reduction == "mean_with_sample_weight" and weight is not None:
        weights = float(np.broadcast_to(each, values.shape).sum())
        return float(values.sum()) / weights if weights else 0.0
    return float(values.mean())


def recorded(values: Value, weight: Value | None, reduction: str | None) -> Value:
    """The same of values of a graph, of which weights are of each example: a single number."""
    if reduction in (None, "none"):
        raise ValueError(
            "reduction=None gives a value for each row, but training needs one number: give the "
            "loss another reduction, as 'sum_over_batch_size'"
        )
    if weight is not None:
        weight = ops.reshape(weight, (1,) * len(values.dims))
        values = ops.multiply(values, weight)
    total = ops.total(values)
    if reduction == "sum":
        return total
    total = ops.scale(total, 1.0 / values.size)
    if reduction == "mean_with_sample_weight" and weight is not None:
        return apply(OPS["divide"], total, ops.total(weight))
    return ops.over_examples(total) if values.batched else total
