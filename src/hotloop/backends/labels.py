"""Class numbers as ops take them: int32, one a row."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


def check_labels(label: NDArray[Any], classes: int) -> None:
    """Raises a ValueError unless every label is in [0, classes).

    >>> import numpy as np
    >>> check_labels(np.array([0, 3]), 3)
    Traceback (most recent call last):
    ...
    ValueError: label: expected class numbers from 0 to 2, one a column of the scores; got 3
    """
    wrong = label[(label < 0) | (label >= classes)]
    if wrong.size:
        raise ValueError(
            f"label: expected class numbers from 0 to {classes - 1}, "
            f"one a column of the scores; got {wrong[0]}"
        )
