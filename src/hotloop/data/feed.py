"""A feed: the arrays that batches are gathered from, in place, and the order of their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Examples whose order is drawn ahead for epochs that run at once: 1 MB of row numbers.
BLOCK_ROWS = 1 << 17
# Outputs that are kept between two returns to Python for the metrics that it computes.
RECORDED_ROWS = 1 << 14


@dataclass(slots=True)
class Feed:
    """What an executor reads batches from.

    Attributes
    ----------
    arrays : list of ndarray
        One for each of the plan's feeds, of any float or integer dtype and any strides;
        never copied whole.
    rows : int
        Rows of one epoch.
    order : ndarray of int64, shape (epochs * rows,), optional
        Which row stands at each position, epoch after epoch; as they are if None. Batches
        are numbered through all epochs, and none reaches from one into the next.
    """

    arrays: list[NDArray[Any]]
    rows: int
    order: NDArray[np.int64] | None = None

    def place(self, batch: int, batch_size: int) -> tuple[int, int, int]:
        """Epoch of a batch, and where in it the batch starts and stops."""
        epoch, number = divmod(batch, self.batches(batch_size))
        start = number * batch_size
        return epoch, start, min(start + batch_size, self.rows)

    def row_numbers(self, epoch: int, start: int, stop: int) -> NDArray[np.int64]:
        """Which rows stand at positions start to stop - 1 of an epoch."""
        if self.order is None:
            return np.arange(start, stop)
        return self.order[epoch * self.rows + start : epoch * self.rows + stop]

    def batches(self, batch_size: int) -> int:
        """Batches of one epoch, the short last one included."""
        return -(-self.rows // batch_size)
