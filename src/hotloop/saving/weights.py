"""Weights in safetensors files: plain numbers by name, no code."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .files import written_whole

if TYPE_CHECKING:
    from ..models.model import Model

_FORMAT = {"format": "hotloop-weights", "version": "1"}


def save(model: Model, filepath: str | PathLike[str], overwrite: bool = True) -> None:
    """Writes all weights under the names of their layers; the file appears whole or not at all."""
    from safetensors.numpy import save as to_bytes

    tensors = {name: w.numpy() for name, w in zip(names_of(model), model.weights, strict=True)}
    with written_whole(filepath, overwrite) as file:
        file.write(to_bytes(tensors, metadata=_FORMAT))


def load(model: Model, filepath: str | PathLike[str]) -> None:
    """Reads weights that `save` wrote, after checking that every name and shape fits."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    path = Path(filepath)
    try:
        tensors = from_bytes(path.read_bytes())
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a complete safetensors file (truncated, corrupt or another format): "
            f"{error}"
        ) from None
    assign(model, tensors, str(path))


def assign(model: Model, tensors: Mapping[str, NDArray[Any]], source: str) -> None:
    """Gives a model the weights that a file held, if every name and shape fits."""
    names = names_of(model)
    missing = [name for name in names if name not in tensors]
    extra = sorted(set(tensors) - set(names))
    if missing or extra:
        raise ValueError(
            f"{source} holds the weights of another model"
            + (f": it has no {', '.join(missing)}" if missing else "")
            + (f": the model has no {', '.join(extra)}" if extra else "")
        )
    for name, variable in zip(names, model.weights, strict=True):
        if tensors[name].shape != variable.shape:
            raise ValueError(
                f"{source} holds the weights of another model: {name} has shape "
                f"{tensors[name].shape}, expected {variable.shape}"
            )
        if not np.can_cast(tensors[name].dtype, np.float64):
            raise ValueError(f"{source}: {name} holds {tensors[name].dtype}, expected floats")
    for name, variable in zip(names, model.weights, strict=True):
        variable.assign(tensors[name])


def names_of(model: Model) -> list[str]:
    """A name for each weight that does not depend on how many models were made before.

    It counts layers and their weights: ``0.0.kernel``, ``0.1.bias``, ``2.0.kernel`` ...
    """
    names: dict[int, str] = {}
    for position, layer in enumerate(model.layers):
        for index, weight in enumerate(layer.weights):
            names.setdefault(id(weight), f"{position}.{index}.{weight.name}")
    return [names[id(weight)] for weight in model.weights]
