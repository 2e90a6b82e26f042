"""SciPy's sparse matrices, of which only the rows of a batch are ever dense."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from .. import random

if TYPE_CHECKING:
    from .common import Examples

Array = NDArray[Any]

NUMBERS_AT_ONCE = 1 << 22  # of examples that are dense together: 32 MB of float64


def is_sparse(x: Any) -> bool:
    """Whether this is a sparse matrix or array of SciPy's."""
    return bool(issparse(x))


def dense(x: Any) -> Array:
    """An array, of one or of a sparse matrix."""
    found: Array = x.toarray() if is_sparse(x) else x
    return found


def blocks(x: Any, most: int) -> list[slice]:
    """Which rows to walk together: at most so many, and few enough to be dense in 32 MB.

    The same for dense and sparse examples, so that results are the same bit for bit. A block
    has a power of two rows, but for the last one.

    Examples
    --------
    >>> blocks(np.zeros((5, 2)), most=2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    rows = max(1, min(most, NUMBERS_AT_ONCE // max(1, math.prod(x.shape[1:]))))
    rows = 1 << (rows.bit_length() - 1)
    count = x.shape[0]
    return [slice(start, min(start + rows, count)) for start in range(0, count, rows)]


class Batches:
    """Dense batches of examples, in a new random order in each epoch if they are shuffled.

    Orders are those that `Model.fit` would take of the same examples in an array.
    """

    def __init__(self, examples: Examples, batch_size: int, shuffle: bool) -> None:
        self._examples = examples
        self._size = min(batch_size, examples.rows)
        self._shuffle = shuffle

    def __len__(self) -> int:
        return -(-self._examples.rows // self._size)

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        # Drawn here and not by the generator, which another thread runs.
        order = random.orders(self._examples.rows, 1) if self._shuffle else None
        return self._gather(order)

    def _gather(self, order: NDArray[np.int64] | None) -> Iterator[tuple[Array, ...]]:
        given = self._examples
        for start in range(0, given.rows, self._size):
            rows: Any = slice(start, start + self._size)
            if order is not None:
                rows = order[rows]
            batch = (dense(given.x[rows]), given.y[rows])
            yield batch if given.weight is None else (*batch, given.weight[rows])
