"""Whole models in files: structure, weights, how they are trained, the optimizer's state.

A file is a zip archive of ``model.json`` and two safetensors files, ``weights.safetensors`` and
``optimizer.safetensors``. Reading one executes nothing from it: classes are looked up by name.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import losses, metrics, naming, optimizers
from ..layers.base import Layer
from .files import written_whole
from .weights import assign, names_of

if TYPE_CHECKING:
    from ..models.model import Model
    from ..optimizers import Optimizer
    from ..variables import Variable

FORMAT, VERSION = "hotloop-model", 1
_JSON, _WEIGHTS, _STATE = "model.json", "weights.safetensors", "optimizer.safetensors"


def save_model(model: Model, filepath: str | PathLike[str], overwrite: bool = True) -> None:
    """Writes a model to a file, atomically: see `load_model`.

    Parameters
    ----------
    model : Model
    filepath : path-like
        By custom ``NAME.hotloop``. ``NAME.keras`` is a file that Keras 3 reads, with the
        optimizer's state; it needs h5py (``pip install 'hotloop[keras]'``). Layers of your own
        are written by name: who reads the file passes them as custom_objects.
    overwrite : bool
        Whether a file that exists is replaced.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is false.
    ValueError
        If the model has no weights yet, or a part that cannot be written down.
    ImportError
        For ``.keras`` without h5py.
    """
    from .. import __version__
    from ..models.structure import layer_config

    path = Path(filepath)
    if path.suffix == ".h5":
        raise ValueError(
            f"{path.name}: hotloop writes no HDF5 files; name it {path.stem}.hotloop, or "
            f"{path.stem}.keras for Keras"
        )
    if path.suffix == ".keras":
        from . import keras_writing

        keras_writing.save(model, path, overwrite)
        return
    content = {
        "format": FORMAT,
        "version": VERSION,
        "hotloop": __version__,
        "model": layer_config(model, with_draws=True),
        "training": _training(model),
    }
    text = naming.to_json(content, indent=1)
    with (
        written_whole(path, overwrite) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
    ):
        # Of no date, so that the same model makes the same file.
        for name, data in (
            (_JSON, text.encode()),
            (_WEIGHTS, _tensors(dict(zip(names_of(model), model.weights, strict=True)))),
            (_STATE, _tensors(_state(model))),
        ):
            archive.writestr(zipfile.ZipInfo(name), data)


def load_model(
    filepath: str | PathLike[str],
    custom_objects: Mapping[str, type[Layer]] | None = None,
    compile: bool = True,
) -> Model:
    """The model that `save_model`, or ``model.save``, wrote, or Keras 3 did.

    It predicts to the bit what the saved one did, and goes on training from where that was: the
    optimizer's state and the random numbers of its layers come back too. Nothing in a file is
    ever executed.

    Parameters
    ----------
    filepath : path-like
        ``NAME.keras`` is read as Keras's, which needs h5py (``pip install 'hotloop[keras]'``):
        structure, weights, optimizer with its state, losses and metrics, but no seeds that Keras
        drew by itself. Keras's Lambda layers, and operations outside of layers, are refused.
    custom_objects : mapping of str to class, optional
        Layers that are not hotloop's, by the names of their classes.
    compile : bool
        Whether the model is compiled as it was, if it was.

    Raises
    ------
    ValueError
        If the file is truncated, corrupt, of another format or a newer version, or names a layer
        or an argument that is not known.
    ImportError
        For ``.keras`` without h5py.

    Examples
    --------
    >>> import hotloop, os, tempfile
    >>> model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=2)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(os.path.join(folder, "m.hotloop"))
    ...     hotloop.models.load_model(os.path.join(folder, "m.hotloop")).count_params()
    3
    """
    from ..models.model import Model
    from ..models.structure import layer_from_config

    path = Path(filepath)
    if path.suffix == ".keras":
        from . import keras_reading

        return keras_reading.load(path, custom_objects, compile)
    content, weights, state = _read(path)
    model = layer_from_config(content["model"], custom_objects)
    if not isinstance(model, Model):
        raise ValueError(f"{path} holds a {type(model).__name__}, not a model")
    assign(model, weights, str(path))
    if compile and content["training"] is not None:
        _compile(model, content["training"], state)
    return model


# ------------------------------------------------------------------------ writing


def training_arguments(model: Model) -> dict[str, Any] | None:
    """The arguments of compile as plain data; None before it was called."""
    if model.optimizer is None or (given := model.compile_arguments()) is None:
        return None
    return {"optimizer": naming.serialize(model.optimizer)} | {
        name: _plain(value) for name, value in given.items()
    }


def _training(model: Model) -> dict[str, Any] | None:
    """The arguments of compile, and the optimizer's step."""
    given = training_arguments(model)
    if given is None or model.optimizer is None:
        return None
    return given | {"iterations": model.optimizer.iterations}


def _plain(given: Any) -> Any:
    """Names, objects, and lists and dicts of them, as JSON can hold them."""
    if given is None or isinstance(given, str | int | float):
        return given
    if isinstance(given, Mapping):
        return {name: _plain(value) for name, value in given.items()}
    if isinstance(given, list | tuple):
        return [_plain(value) for value in given]
    return naming.serialize(given() if isinstance(given, type) else given)


def _state(model: Model) -> dict[str, Variable]:
    """The optimizer's arrays, by the name of their weight and their number."""
    if model.optimizer is None:
        return {}
    return {
        f"{name}.{i}": slot
        for name, weight in zip(names_of(model), model.weights, strict=True)
        for i, slot in enumerate(model.optimizer.slots_so_far(weight))
    }


def _tensors(variables: Mapping[str, Variable]) -> bytes:
    from safetensors.numpy import save

    return save({name: variable.numpy() for name, variable in variables.items()})


# ------------------------------------------------------------------------ reading


def _read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """What the file holds, after a look at its format."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        with zipfile.ZipFile(path) as archive:
            content = json.loads(archive.read(_JSON))
            if not isinstance(content, dict) or content.get("format") != FORMAT:
                raise ValueError(f"{path} is not a hotloop model")
            if content["version"] > VERSION:
                raise ValueError(
                    f"{path} was written by hotloop {content['hotloop']}, in a format that this "
                    "version does not know; install a newer one"
                )
            return content, load(archive.read(_WEIGHTS)), load(archive.read(_STATE))
    except (zipfile.BadZipFile, SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is not a complete hotloop model (truncated, corrupt or another format): "
            f"{error}"
        ) from None


def _compile(model: Model, training: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    optimizer = optimizers.get(training["optimizer"])
    compile_with(model, optimizer, training)
    optimizer.iterations = training["iterations"]
    for name, weight in zip(names_of(model), model.weights, strict=True):
        if f"{name}.0" in state:
            for i, slot in enumerate(optimizer.all_slots(weight)):
                slot.assign(np.asarray(state[f"{name}.{i}"]))


def compile_with(model: Model, optimizer: Optimizer, training: Mapping[str, Any]) -> None:
    """Compiles a model with an optimizer and the rest of `training_arguments`."""
    model.compile(
        optimizer,
        _objects(training["loss"], losses.get),
        training["loss_weights"],
        _objects(training["metrics"], metrics.get),
        _objects(training["weighted_metrics"], metrics.get),
    )


def _objects(given: Any, get: Any) -> Any:
    """The reverse of `_plain`: names stay names, configurations become objects."""
    if isinstance(given, Mapping):
        if "class_name" in given:
            return get(given)
        return {name: _objects(value, get) for name, value in given.items()}
    if isinstance(given, list):
        return [_objects(value, get) for value in given]
    return given
