"""JSON from files that nobody vouches for."""

from __future__ import annotations

import json
import math
from typing import Any


def loads(text: bytes | str, what: str, *, finite: bool = True) -> Any:
    """What the text says, if it says each thing once.

    Parameters
    ----------
    text : bytes or str
    what : str
        How errors call it.
    finite : bool
        Whether NaN, and numbers that are too large for floats, are refused.

    Raises
    ------
    ValueError
        For text that is not UTF-8 or not JSON, repeated keys, and nesting that is too deep.
    """

    def number(digits: str) -> float:
        found = float(digits)
        if not math.isfinite(found):
            raise ValueError(f"the number {digits[:20]} is too large")
        return found

    def constant(name: str) -> float:
        if name == "NaN" and finite:
            raise ValueError("NaN is no number")
        return float(name)

    try:
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_float=number if finite else None,
            parse_constant=constant,
        )
    except RecursionError:
        raise ValueError(f"{what} is no JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{what} is no JSON that can be read: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a dict says one key twice")
    return found
