"""Plain data with arrays in it, in files: numbers by name and JSON, no code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import strict_json, tensors
from .refusals import refusals
from .whole import written_whole

_FORMAT = "hotloop-state"
_ARRAY = "array number"


def save(state: Any, path: Path) -> None:
    """Writes dicts, lists, numbers, strings and arrays; the file appears whole or not at all."""
    arrays: dict[str, NDArray[Any]] = {}
    text = json.dumps(_without_arrays(state, arrays))
    with written_whole(path) as file:
        tensors.write(file, arrays, {"format": _FORMAT, "state": text})


def load(path: Path) -> Any:
    """What `save` wrote.

    Raises
    ------
    ValueError
        If the file is of another format, or not complete.
    """
    try:
        with open(path, "rb") as file, refusals(path, "state of a training"):
            found = tensors.opened(file)
            if found.metadata.get("format") != _FORMAT:
                raise ValueError("it is a safetensors file with another content")
            text = found.metadata.get("state", "")
            return _with_arrays(strict_json.loads(text, "its state", finite=False), found.read())
    except ValueError as error:
        raise ValueError(f"{path} does not hold the state of a training: {error}") from None


def _without_arrays(state: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """The same with a number in place of each array, which is put aside."""
    if isinstance(state, dict):
        return {key: _without_arrays(value, arrays) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [_without_arrays(value, arrays) for value in state]
    if isinstance(state, np.ndarray | np.generic):
        name = str(len(arrays))
        arrays[name] = np.asarray(state, order="C")
        return {_ARRAY: name}
    return state


def _with_arrays(state: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    if isinstance(state, list):
        return [_with_arrays(value, arrays) for value in state]
    if not isinstance(state, dict):
        return state
    if state.keys() == {_ARRAY}:
        return arrays[state[_ARRAY]]
    return {key: _with_arrays(value, arrays) for key, value in state.items()}
