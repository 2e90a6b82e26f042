"""What a plan depends on of the backend that is to run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

PackedSize = Callable[[int, int, str], int]


@dataclass(frozen=True)
class Traits:
    """What `graph.plan.build` is told of a backend.

    Attributes
    ----------
    fuses_updates : bool
        Whether it updates weights as part of computing their gradient.
    packed_size : callable
        packed_size(rows, cols, dtype) is the elements in which it stores a weight's matrix, padding
        included.
    windows : bool
        Whether it can do with rows of a value that stand further apart than they are long.
    red_zone : int
        Bytes to leave unused behind each buffer: none, but where a sanitizer watches.
    """

    fuses_updates: bool
    packed_size: PackedSize
    windows: bool = False
    red_zone: int = 0


# Of the backends in Python, which keep a matrix row after row.
IN_PYTHON = Traits(fuses_updates=False, packed_size=lambda rows, cols, dtype: rows * cols)
