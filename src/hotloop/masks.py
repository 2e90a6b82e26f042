"""NumPy's masked arrays: refused wherever arrays come in, as nothing here knows of masks."""

from __future__ import annotations

from typing import Any

import numpy as np


def refuse_masks(value: Any, argument: str) -> None:
    """That nothing in it is masked: an array made of it would not know; ValueError otherwise."""
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.is_masked(value):
            raise ValueError(
                f"{argument} is a NumPy masked array with masked values: fill them first, with "
                ".filled(value), or leave out their rows"
            )
    elif isinstance(value, list | tuple):
        kinds = set(map(type, value))
        if any(issubclass(kind, list | tuple | np.ma.MaskedArray) for kind in kinds):
            for part in value:
                refuse_masks(part, argument)
