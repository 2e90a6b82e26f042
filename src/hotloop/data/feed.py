"""A feed: the arrays that batches are gathered from, in place, and the order of their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class Feed:
    """What an executor reads batches from.

    Attributes
    ----------
    arrays : list of ndarray
        One for each of the plan's feeds, of any float or integer dtype and any strides;
        never copied whole.
    rows : int
        Rows of one epoch.
    order : ndarray of int64, optional
        Which row stands at each position of the epoch; as they are if None.
    """

    arrays: list[NDArray[Any]]
    rows: int
    order: NDArray[np.int64] | None = None

    def batches(self, batch_size: int) -> int:
        """Batches of one epoch, the short last one included."""
        return -(-self.rows // batch_size)
