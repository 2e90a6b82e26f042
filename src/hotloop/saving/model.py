"""Whole models in files: structure, weights, how they are trained, the optimizer's state.

A file is a zip archive of ``model.json`` and two safetensors files, ``weights.safetensors`` and
``optimizer.safetensors``, with a checksum (see `archives`). Reading one executes nothing from it:
classes are looked up by name, and no weight takes memory before the file is found to hold it.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from .. import naming, registry
from ..files import archives, formats, strict_json, tensors
from ..files.archives import Archive
from ..files.configs import check, count
from ..files.filling import Part, fill
from ..files.refusals import not_readable, refusals
from ..variables import deferring
from ..version import __version__
from .training import compile_with, says_how_to_compile, training_arguments
from .weights import MEMBER as _WEIGHTS
from .weights import assign, names_of, sources

if TYPE_CHECKING:
    from ..models.model import Model
    from ..variables import Variable

FORMAT, VERSION = "hotloop-model", 1
_JSON, _STATE = "model.json", "optimizer.safetensors"


def save_model(model: Model, filepath: str | PathLike[str], overwrite: bool = True) -> None:
    """Writes a model to a file, atomically: see `load_model`.

    Parameters
    ----------
    model : Model
    filepath : path-like
        By custom ``NAME.hotloop``. ``NAME.keras`` is a file that Keras 3 reads, with the
        optimizer's state; it needs h5py (``pip install h5py``). Layers of your own
        are written by name: who reads the file passes them as custom_objects.
    overwrite : bool
        Whether a file that exists is replaced.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is false.
    ValueError
        If the model has no weights yet, or a part that cannot be written down; and for a name
        that promises another format, as ``m.h5`` or ``m.onnx``.
    ImportError
        For ``.keras`` without h5py.
    """
    write(model, Path(filepath), overwrite)


def write(
    model: Model, path: Path, overwrite: bool = True, beside: Mapping[str, str] | None = None
) -> None:
    """Writes a model's file, with further texts as members `beside` the model's own."""
    from ..models.structure import layer_config

    if formats.format_of_model(path) == formats.KERAS:
        from . import keras_writing

        keras_writing.save(model, path, overwrite, beside)
        return
    content = {
        "format": FORMAT,
        "version": VERSION,
        "hotloop": __version__,
        "model": layer_config(model, with_draws=True),
        "training": _training(model),
    }
    text = naming.to_json(content, indent=1)
    weights = sources(model)
    state = _state(model)
    archives.write(
        path,
        overwrite,
        [
            *archives.texts({_JSON: text}),
            (_WEIGHTS, _bytes(weights), lambda file: tensors.write(file, weights, checksum=False)),
            (_STATE, _bytes(state), lambda file: tensors.write(file, state, checksum=False)),
            *archives.texts(beside or {}),
        ],
    )


def load_model(
    filepath: str | PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Model:
    """The model that `save_model`, or ``model.save``, wrote, or Keras 3 did.

    It predicts to the bit what the saved one did, and goes on training from where that was: the
    optimizer's state and the random numbers of its layers come back too. Nothing in a file is
    ever executed.

    Parameters
    ----------
    filepath : path-like
        ``NAME.keras`` is read as Keras's, which needs h5py (``pip install h5py``):
        structure, weights, optimizer with its state, losses and metrics, but no seeds that Keras
        drew by itself. Whole models in HDF5, as Keras 2 wrote them, are read too; the content
        says what a file is, not the name. Keras's Lambda layers, and operations outside of
        layers, are refused.
    custom_objects : mapping of str to class or function, optional
        Layers, losses, metrics, functions ... that are not hotloop's, by their names. Those that
        `hotloop.saving.register_keras_serializable` knows are found without.
    compile : bool
        Whether the model is compiled as it was, if it was.
    safe_mode : bool
        For Keras's sake: code in a file, as a lambda, is refused in either case.

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

    path = Path(filepath)
    with registry.CustomObjectScope(custom_objects):
        return _read(path, compile)


def _read(path: Path, compile: bool) -> Model:
    kind = formats.format_of(path)
    if kind in (formats.KERAS, formats.HDF5):
        from . import keras_reading

        return keras_reading.load_model(path, kind, compile)
    if kind == formats.SAFETENSORS:
        raise ValueError(
            f"{path} is not a model, but a safetensors file, that is, weights alone: make the "
            "model and call its load_weights()"
        )
    if kind != formats.HOTLOOP:
        raise not_readable(path, "a model of hotloop or Keras")
    with open(path, "rb") as file, refusals(path, "hotloop model"):
        return _load(file, compile)


# ------------------------------------------------------------------------ writing


def _training(model: Model) -> dict[str, Any] | None:
    """The arguments of compile, and the optimizer's step."""
    if model.optimizer is None or not model.compiled:
        return None
    if says_how_to_compile(type(model)):
        given = {"own": model.get_compile_config()}
    else:
        given = training_arguments(model) or {}
    return given | {"iterations": model.optimizer.iterations}


def _state(model: Model) -> dict[str, Variable]:
    """The optimizer's arrays, by the name of their weight and their number."""
    if model.optimizer is None:
        return {}
    return {
        f"{name}.{i}": slot
        for name, weight in zip(names_of(model), model.weights, strict=True)
        for i, slot in enumerate(model.optimizer.slots_so_far(weight))
    }


def _bytes(variables: Mapping[str, Any]) -> int:
    """About how long a file of them is."""
    return sum(
        int(variable.size) * variable.dtype.itemsize + 200 for variable in variables.values()
    )


# ------------------------------------------------------------------------ reading


def _load(file: IO[bytes], compile: bool) -> Model:
    from ..models.model import Model
    from ..models.structure import layer_from_config

    archive = Archive(file)
    content = strict_json.loads(archive.read(_JSON), f"its {_JSON}")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError("it is not a hotloop model")
    version = content.get("version")
    if type(version) is not int:
        raise ValueError(f"its format has the version {version!r}; expected a number")
    if version > VERSION:
        raise ValueError(
            f"it was written by hotloop {content.get('hotloop')}, in a format that this version "
            "does not know; install a newer one"
        )
    check(content.get("model"))
    with deferring():  # a model larger than its file must not fill the memory
        model = layer_from_config(content["model"])
    if not isinstance(model, Model):
        raise ValueError(f"it holds a {type(model).__name__}, not a model")
    with archive.open(_WEIGHTS) as member:
        assign(model, tensors.Tensors(member, archive.size(_WEIGHTS)), _WEIGHTS)
    with archive.open(_STATE) as member:
        state = tensors.Tensors(member, archive.size(_STATE))
        if compile and content.get("training") is not None:
            check(content["training"])
            _compile(model, content["training"], state)
    return model


def _compile(model: Model, training: Mapping[str, Any], state: tensors.Tensors) -> None:
    try:
        if "own" in training:
            model.compile_from_config(training["own"])
        else:
            compile_with(model, training)
        optimizer = model.optimizer
        if optimizer is None:
            return  # its class compiles otherwise
        optimizer.iterations = count(training["iterations"], "the number of steps done")
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"the model cannot be compiled as it was ({type(error).__name__}: {error}); load it "
            "with compile=False and compile it anew"
        ) from error
    stored = tensors.stored(state)
    parts = []
    for name, weight in zip(names_of(model), model.weights, strict=True):
        if f"{name}.0" in stored:
            slots = optimizer.all_slots(weight)
            known = [
                stored.pop(f"{name}.{i}") for i in range(len(slots)) if f"{name}.{i}" in stored
            ]
            parts.append(Part(f"the optimizer's state of {weight.path}", _STATE, slots, known))
    if stored:
        raise ValueError(f"{_STATE} holds arrays that belong to no weight: {', '.join(stored)}")
    fill(parts)
