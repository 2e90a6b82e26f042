"""Why a loss stopped being finite: the first bad value among x, y and the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data.feed import Feed

if TYPE_CHECKING:
    from .trainer import Trainer


class NonFiniteError(ArithmeticError):
    """The loss became NaN or infinite; the model has the weights from before that batch."""


def explain(
    model: Trainer,
    feed: Feed,
    x: Sequence[NDArray[Any]],
    y: Sequence[NDArray[Any]],
    batch: int,
    batch_size: int,
    epoch: int,
    training: bool,
) -> str:
    """Names the epoch and batch, and the first value that is not finite."""
    start = batch * batch_size
    rows = np.arange(start, min(start + batch_size, feed.rows))
    if feed.order is not None:
        rows = feed.order[rows]
    where = f"epoch {epoch + 1}, batch {batch + 1}" if training else f"batch {batch + 1}"
    found = (
        _first_bad_row("x", x, rows)
        or _first_bad_row("y", y, rows)
        or _first_bad_weight(model)
        or "x, y and the weights of that batch are finite, so the model's outputs overflowed: "
        "lower the learning rate or scale x and y"
    )
    return f"the loss is not finite at {where}: {found}"


def _first_bad_row(
    name: str, arrays: Sequence[NDArray[Any]], rows: NDArray[np.int64]
) -> str | None:
    for i, array in enumerate(arrays):
        if array.dtype.kind != "f":
            continue
        batch = array[rows].reshape(len(rows), -1)
        bad = ~np.isfinite(batch)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            label = name if len(arrays) == 1 else f"{name}[{i}]"
            position = np.unravel_index(column, array.shape[1:]) if array.ndim > 2 else (column,)
            place = ", ".join(str(int(p)) for p in (rows[row], *position))
            return (
                f"{label}[{place}] (row {rows[row]}, column {column}) is {batch[row, column]}; "
                "remove or fill such values first"
            )
    return None


def _first_bad_weight(model: Trainer) -> str | None:
    for variable in model.weights:
        bad = ~np.isfinite(variable.numpy())
        if bad.any():
            place = ", ".join(str(int(p)) for p in np.argwhere(bad)[0])
            return (
                f"the weight {variable.path}[{place}] was not finite before; lower the learning "
                "rate or set the weights anew"
            )
    return None
