"""Reading Keras's files: ``.keras``, ``.weights.h5``, and the HDF5 files of Keras 2.

Nothing in a file is ever executed, and no weight takes memory before the file was found to hold
one of its shape.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..files import formats, strict_json
from ..files.archives import Archive
from ..files.configs import check, count
from ..files.filling import Part, Stored, check_numbers, fill
from ..files.hdf5 import Hdf5
from ..files.refusals import refusals
from ..variables import deferring
from . import keras_layout as layout
from .keras_configs import Translation, places

if TYPE_CHECKING:
    from ..models.model import Model

Config = dict[str, Any]

_WHAT = {
    formats.KERAS: ".keras file of Keras 3",
    formats.HDF5: "HDF5 file of Keras",
}
# Of an HDF5 file, what is not the model's weights.
_NOT_WEIGHTS = {"optimizer", "metrics", "loss", "_metrics", "_loss_tracker", "_compile_metrics"}


def load_model(path: Path, kind: str, compile: bool) -> Model:
    """The model in a file of Keras: see `hotloop.models.load_model`."""
    with open(path, "rb") as file, refusals(path, _WHAT[kind]):
        read = _model if kind == formats.KERAS else _legacy_model
        return read(file, compile)


def load_weights(model: Model, path: Path, kind: str, skip_mismatch: bool, by_name: bool) -> None:
    """The weights in a file of Keras: see `Model.load_weights`."""
    with open(path, "rb") as file, refusals(path, _WHAT[kind]):
        if kind == formats.KERAS:
            with _arrays(Archive(file)) as stored:
                _fill(model, stored, skip_mismatch)
            return
        with Hdf5(file) as stored:
            root = _legacy_root(stored)
            if root is not None:
                fill(_legacy_parts(model, stored, root, by_name), skip_mismatch=skip_mismatch)
            elif by_name:
                raise ValueError("by_name=True is for files of Keras 2, which name their layers")
            else:
                _fill(model, stored, skip_mismatch)


def _built(entry: Config) -> Model:
    """The model that a configuration describes; its weights have no numbers yet."""
    from ..models.model import Model
    from ..models.structure import layer_from_config

    check(entry)
    with deferring():
        model = layer_from_config(Translation().layer(entry))
    if not isinstance(model, Model):
        raise ValueError(f"it holds a {type(model).__name__}, not a model")
    return model


# ------------------------------------------------------------------------ Keras 3


def _model(file: IO[bytes], compile: bool) -> Model:
    archive = Archive(file)
    if layout.METADATA in archive.names:
        version = str(_json(archive, layout.METADATA).get("keras_version"))
        if version.startswith("2."):
            raise ValueError(
                f"it was written by Keras {version}; open it with Keras 3 and save it anew"
            )
    entry = _json(archive, layout.CONFIG)
    _fill_in_vocabularies(archive, entry)
    with _arrays(archive) as stored:
        model = _built(entry)
        _fill(model, stored)
        given = entry.get("compile_config") if compile else None
        if given:
            _compile(model, given, stored.all_stored("optimizer/vars"))
    return model


def _arrays(archive: Archive) -> Hdf5:
    with archive.open(layout.WEIGHTS) as member:
        return Hdf5(io.BytesIO(member.read()))


def _json(archive: Archive, name: str) -> Config:
    found = strict_json.loads(archive.read(name), f"its {name}")
    if not isinstance(found, dict):
        raise ValueError(f"its {name} does not hold what Keras 3 writes")
    return found


def _fill_in_vocabularies(archive: Archive, entry: Config) -> None:
    """Keras keeps vocabularies that a layer was not given, but learned, in files of text."""
    names = set(archive.names)
    for place, one in places(entry):
        name = f"assets/{place}/vocabulary.txt"
        if name in names and "vocabulary" in one["config"]:
            terms = archive.read(name).decode().split("\n")
            whole = one["class_name"] == "IntegerLookup"
            one["config"]["vocabulary"] = [int(term) for term in terms] if whole else terms


def _fill(model: Model, stored: Hdf5, skip_mismatch: bool = False) -> None:
    """Weights by their places; what the model has no place for is an error, or passed over."""
    parts = [
        Part(
            layer.describe(),
            place.rstrip("/") or "vars",
            layer.own_weights,
            stored.all_stored(f"{place}vars"),
        )
        for place, layer in layout.groups(model)
        if not layer.keeps_variables_itself
    ]
    kept = {
        layer: {one.place.rpartition("/")[2]: one for one in stored.all_named(f"{place}vars")}
        for place, layer in layout.groups(model)
        if layer.keeps_variables_itself
    }
    for part in parts:
        if part.weights and not part.stored:
            part.hint = "; layers that two models share are not supported"
    if not skip_mismatch:
        known = {one.place for part in parts for one in part.stored}
        known |= {one.place for found in kept.values() for one in found.values()}
        _check_all_read(stored, known)
    fill(parts, skip_mismatch=skip_mismatch)
    for layer, found in kept.items():
        layer.load_own_variables({key: one.read() for key, one in found.items()})


def _check_all_read(stored: Hdf5, known: set[str]) -> None:
    """The state of random numbers apart, which earlier releases of Keras wrote."""
    left = [
        place
        for place in stored.arrays()
        if place not in known
        and place.split("/")[0] not in _NOT_WEIGHTS
        and "seed_generator" not in place.split("/")
    ]
    if left:
        raise ValueError(
            f"it holds weights that the model has no place for: {', '.join(left[:5])}"
            + (f" and {len(left) - 5} more" if len(left) > 5 else "")
        )


# ------------------------------------------------------------------------ compile


def _compile(
    model: Model, given: Config, stored: Sequence[Stored], *, keras_2: bool = False
) -> None:
    """Compiles a model as it was, with the optimizer's state."""
    check(given)
    try:
        model.compile_from_config(given)
        optimizer = model.optimizer
        assert optimizer is not None
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(
            f"the model cannot be compiled as it was ({error}); load it with compile=False and "
            "compile it anew"
        ) from error
    if not stored:
        return
    trained = model.trainable_weights
    steps = stored[0]
    if steps.shape != () or steps.dtype.kind not in "iu":
        raise ValueError(f"{steps.place} is not the number of the optimizer's steps")
    optimizer.iterations = count(int(steps.read()), "the number of the optimizer's steps")
    first = 1 if optimizer.schedule is not None else 2
    if len(stored) <= first:
        return  # it was not trained: its state begins when it is
    order = layout.state_order(optimizer, trained)
    expected = first + len(order) + len(layout.state_behind(optimizer))
    if len(stored) != expected or keras_2:
        why = (
            "Keras 2 kept it in another order"
            if keras_2
            else f"the file holds {len(stored)} arrays where {expected} were expected"
        )
        warnings.warn(
            f"the state of {type(optimizer).__name__} is left out: {why}",
            UserWarning,
            stacklevel=5,
        )
        return
    for one in stored:
        check_numbers(one)
    fill(
        [
            Part(f"the state of {weight.path}", one.place, [slot], [one])
            for (weight, slot), one in zip(order, stored[first:], strict=False)
            if slot is not None
        ]
    )


# ------------------------------------------------------------------------ Keras 2


def _legacy_root(stored: Hdf5) -> str | None:
    """The group in which a file of Keras 2 has its layers; None for one of Keras 3."""
    for place in ("", "model_weights"):
        if stored.texts("layer_names", place) is not None:
            return place
    return None


def _legacy_model(file: IO[bytes], compile: bool) -> Model:
    with Hdf5(file) as stored:
        text = stored.text("model_config")
        root = _legacy_root(stored)
        if text is None or root is None:
            raise ValueError(
                "it is an HDF5 file of weights alone; make the model and call its load_weights()"
                if stored.count("layers") or stored.count("vars") or root is not None
                else "it is an HDF5 file, but none of Keras: there is no model_config in it"
            )
        entry = strict_json.loads(text, "its model_config")
        if not isinstance(entry, dict):
            raise ValueError("its model_config describes no model")
        model = _built(entry)
        fill(_legacy_parts(model, stored, root))
        training = stored.text("training_config") if compile else None
        if training:
            given = strict_json.loads(training, "its training_config")
            given["optimizer"] = given.pop("optimizer_config")
            names = stored.texts("weight_names", "optimizer_weights") or []
            state = [stored.stored(f"optimizer_weights/{name}") for name in names]
            version = stored.text("keras_version") or stored.text("keras_version", root) or "1"
            _compile(model, given, state, keras_2=not version.startswith("3"))
    return model


def _legacy_parts(model: Model, stored: Hdf5, root: str, by_name: bool = False) -> list[Part]:
    """Layers with weights in their order, or by name; a model that is a layer counts as one."""
    found: dict[str, list[Stored]] = {}
    for name in stored.texts("layer_names", root) or []:
        place = f"{root}/{name}".lstrip("/")
        arrays = [stored.stored(f"{place}/{one}") for one in _weight_names(stored, place)]
        if arrays:
            found[name] = arrays
    layers = [layer for layer in model.layers if layer.weights]
    if by_name:
        pairs = [(layer, layer.name) for layer in layers if layer.name in found]
    else:
        if len(found) != len(layers):
            raise ValueError(
                f"it holds the weights of {len(found)} layers, the model has {len(layers)} with "
                "weights; with by_name=True, layers are found by their names"
            )
        pairs = list(zip(layers, found, strict=True))
    parts = [
        Part(
            layer.describe(),
            f"{root}/{name}".lstrip("/"),
            layer.trainable_weights + layer.non_trainable_weights,
            found[name],
        )
        for layer, name in pairs
    ]
    if own := model.own_weights:
        place = f"{root}/top_level_model_weights".lstrip("/")
        arrays = [stored.stored(f"{place}/{one}") for one in _weight_names(stored, place)]
        parts.append(Part(model.describe(), place, own, arrays))
    return parts


def _weight_names(stored: Hdf5, place: str) -> list[str]:
    return stored.texts("weight_names", place) or []
