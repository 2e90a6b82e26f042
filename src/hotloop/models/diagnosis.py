"""Why a loss stopped being finite: the first bad value among x, y and the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NonFiniteError
from ..variables import Variable

if TYPE_CHECKING:
    from .examples import Examples


def non_finite(
    where: str, weights: Sequence[Variable], data: Examples, rows: NDArray[np.int64]
) -> NonFiniteError:
    """The error for a batch of these rows of the examples, whose loss is not finite."""
    what = f"the loss is not finite at {where}"
    return NonFiniteError(explain(what, weights, data.x, data.y, rows, data.first_row))


def explain(
    what: str,
    weights: Sequence[Variable],
    x: Sequence[NDArray[Any]],
    y: Sequence[NDArray[Any]],
    batch: NDArray[np.int64],
    first_row: int = 0,
) -> str:
    """Says what stopped being finite, and which value was the first bad one.

    Parameters
    ----------
    what : str
        What is not finite and where, epoch and batch.
    weights : sequence of Variable
    x, y : sequences of ndarray
    batch : ndarray of int64
        Which rows of x and y the batch had.
    first_row : int
        What the user calls the first row of x and y.
    """
    found = _first_bad_row(x, y, batch, first_row)
    if found is None:
        found = _first_bad_weight(weights)
        if found is None:
            found = (
                "x, y and the weights of that batch are finite, so the model's outputs "
                "overflowed: lower the learning rate or scale x and y"
            )
        else:
            earlier = _first_bad_row(x, y, np.arange(len(x[0])), first_row)
            found += (
                f"; {earlier}" if earlier else "; lower the learning rate or set the weights anew"
            )
    return f"{what}: {found}"


def _first_bad_row(
    x: Sequence[NDArray[Any]], y: Sequence[NDArray[Any]], rows: NDArray[np.int64], first_row: int
) -> str | None:
    """The first value among these rows of x, then of y, that is not finite."""
    for name, arrays in (("x", x), ("y", y)):
        for i, array in enumerate(arrays):
            label = name if len(arrays) == 1 else f"{name}[{i}]"
            for row in rows if array.dtype.kind == "f" else ():
                bad = np.argwhere(~np.isfinite(array[row]))
                if len(bad):
                    place = ", ".join(str(p) for p in (row + first_row, *bad[0]))
                    column = np.ravel_multi_index(tuple(bad[0]), array.shape[1:])
                    value = array[row][tuple(bad[0])]
                    return (
                        f"{label}[{place}] (row {row + first_row}, column {column}) is {value}; "
                        "remove or fill such values first"
                    )
    return None


def _first_bad_weight(weights: Sequence[Variable]) -> str | None:
    for variable in weights:
        bad = np.argwhere(~np.isfinite(variable.numpy()))
        if len(bad):
            place = ", ".join(str(p) for p in bad[0])
            return f"the weight {variable.path}[{place}] was not finite before that batch"
    return None
