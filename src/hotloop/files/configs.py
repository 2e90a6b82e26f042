"""Configurations from files that nobody vouches for: what must not even be tried."""

from __future__ import annotations

from typing import Any

# The most of what arguments that take memory by themselves may ask for. Numbers of weights are
# not among them: those are compared with the file before there is memory for them.
_MOST = {
    "num_classes": 4096,  # a matrix of as many rows and columns
    "num_oov_indices": 1_000_000,
    "num_thresholds": 1_000_000,
}
# Arguments that may be the path of another file, which would be read.
_PATHS = ("vocabulary", "idf_weights")


def check(config: Any) -> None:
    """Looks through a configuration before anything is made of it.

    Raises
    ------
    ValueError
        For numbers that no size can be, and for paths of other files.
    """
    waiting = [(config, "")]
    while waiting:
        value, key = waiting.pop()
        if isinstance(value, dict):
            waiting += [(inner, name) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(inner, key if isinstance(inner, int | float) else "") for inner in value]
        elif isinstance(value, int) and abs(value) >= 1 << 63 and not key.endswith(_KEYS):
            raise ValueError(f"its configuration says {key}={str(value)[:30]}, which is no size")
        elif isinstance(value, int | float) and abs(value) > _MOST.get(key, float("inf")):
            raise ValueError(
                f"its configuration says {key}={value}; a file may ask for {_MOST[key]} at most"
            )
        elif key in _PATHS and isinstance(value, str):
            raise ValueError(f"{key}={value!r} is another file; it is not read")


# Random numbers are drawn by keys of any size.
_KEYS = ("seed", "random_keys")


def count(value: Any, what: str) -> int:
    """A number of things done; ValueError if it is none."""
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise ValueError(f"{what} is {value!r}; expected a whole number of at least 0")
    return value
