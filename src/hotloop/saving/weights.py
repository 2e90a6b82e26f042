"""Weights in files: safetensors files of one's own, and whatever else is read."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import formats, tensors
from ..files.archives import Archive
from ..files.filling import Part, fill
from ..files.refusals import not_readable, refusals
from ..files.whole import written_whole

if TYPE_CHECKING:
    from ..layers.base import Layer
    from ..models.model import Model
    from ..variables import Variable

_FORMAT = {"format": "hotloop-weights", "version": "1"}
# The weights of a .hotloop archive.
MEMBER = "weights.safetensors"


def save_weights(model: Model, filepath: str | PathLike[str], overwrite: bool = True) -> None:
    """Writes all weights, in the format that the name asks for: see `Model.save_weights`."""
    path = Path(filepath)
    if formats.format_of_weights(path) == formats.HDF5:
        from . import keras_writing

        keras_writing.save_weights(model, path, overwrite)
        return
    with written_whole(path, overwrite) as file:
        tensors.write(file, sources(model), _FORMAT)


def load_weights(
    model: Model,
    filepath: str | PathLike[str],
    *,
    skip_mismatch: bool = False,
    by_name: bool = False,
) -> None:
    """Reads weights, whatever the format: see `Model.load_weights`."""
    path = Path(filepath)
    kind = formats.format_of(path)
    if kind is None:
        raise not_readable(path, "a file of weights")
    if by_name and kind != formats.HDF5:
        raise ValueError(
            f"{path}: by_name=True is for the HDF5 files of Keras 2; this one is not of its kind"
        )
    if kind in (formats.KERAS, formats.HDF5):
        from . import keras_reading

        keras_reading.load_weights(model, path, kind, skip_mismatch, by_name)
        return
    with open(path, "rb") as file:
        if kind == formats.HOTLOOP:
            with refusals(path, "hotloop model"):
                archive = Archive(file)
                with archive.open(MEMBER) as member:
                    found = tensors.Tensors(member, archive.size(MEMBER))
                    assign(model, found, str(path), skip_mismatch)
        else:
            with refusals(path, "safetensors file"):
                found = tensors.opened(file)
                assign(model, found, str(path), skip_mismatch)


def assign(model: Model, found: tensors.Tensors, source: str, skip_mismatch: bool = False) -> None:
    """Gives a model the weights that a file holds, if every name and shape fits."""
    pairs_of_all = _named(model)
    names = list(pairs_of_all)
    stored = tensors.stored(found)
    kept = [
        {name.split(".", 2)[2]: stored.pop(name) for name in list(stored) if name.startswith(mine)}
        for i in range(len(_keepers(model)))
        if (mine := f"own.{i}.")
    ]
    missing = [name for name in names if name not in stored]
    extra = sorted(stored.keys() - set(names))
    if (missing or extra) and not skip_mismatch:
        raise ValueError(
            f"{source} holds the weights of another model"
            + (f": it has no {_some(missing)}" if missing else "")
            + (f": the model has no {_some(extra)}" if extra else "")
        )
    by_layer: dict[str, list[tuple[str, Variable]]] = {}
    for name, weight in pairs_of_all.items():
        by_layer.setdefault(name.split(".")[0], []).append((name, weight))
    layers: dict[str, Layer] = {str(i): layer for i, layer in enumerate(model.layers)}
    parts = [
        Part(
            layers.get(position, model).describe(),
            source,
            [weight for _, weight in pairs],
            [stored[name] for name, _ in pairs if name in stored],
        )
        for position, pairs in by_layer.items()
    ]
    try:
        fill(parts, skip_mismatch=skip_mismatch)
    except ValueError as error:
        raise ValueError(f"{source} holds the weights of another model: {error}") from None
    for layer, own in zip(_keepers(model), kept, strict=True):
        layer.load_own_variables({key: one.read() for key, one in own.items()})


def sources(model: Model) -> dict[str, Any]:
    """What a file keeps, by name: weights, and what layers say themselves."""
    found: dict[str, Any] = dict(_named(model))
    for i, layer in enumerate(_keepers(model)):
        store: dict[str, Any] = {}
        layer.save_own_variables(store)
        found |= {f"own.{i}.{key}": np.asarray(value) for key, value in store.items()}
    return found


def _named(model: Model) -> dict[str, Variable]:
    """Weights by `names_of`, but for those of layers that keep theirs themselves."""
    kept = {id(weight) for layer in _keepers(model) for weight in layer.own_weights}
    pairs = zip(names_of(model), model.weights, strict=True)
    return {name: weight for name, weight in pairs if id(weight) not in kept}


def _keepers(model: Model) -> list[Layer]:
    """The layers, and the model, that say themselves what files have of them."""
    return [layer for layer in model.family if layer.keeps_variables_itself]


def names_of(model: Model) -> list[str]:
    """A name for each weight that does not depend on how many models were made before.

    It counts layers and their weights: ``0.0.kernel``, ``0.1.bias``, ``2.0.kernel`` ...
    """
    own = model._weights  # noqa: SLF001 - not those of its layers
    names = {id(w): f"model.{index}.{w.name}" for index, w in enumerate(own)}
    for position, layer in enumerate(model.layers):
        for index, weight in enumerate(layer.weights):
            names.setdefault(id(weight), f"{position}.{index}.{weight.name}")
    return [names[id(weight)] for weight in model.weights]


def _some(names: Sequence[str]) -> str:
    """A few of many names."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
