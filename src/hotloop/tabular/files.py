"""A `TabularModel` in a file: the network as any other model, and the recipe beside it.

``.hotloop`` and ``.keras`` are the files that ``model.save`` writes, and load as such;
``table.json`` in them is the recipe. A ``.safetensors`` file has the weights, and the rest in its
metadata.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ..saving.files import written_whole
from .model import TabularModel
from .recipe import Recipe

ENDINGS = (".hotloop", ".keras", ".safetensors")

_FORMAT = "hotloop.tabular.2"
_MEMBER = "table.json"


def check_ending(path: str | Path) -> None:
    """That `save` can write a file of this name, as far as that depends on its ending.

    Raises
    ------
    ValueError
        For an ending that is not known.
    ImportError
        For ``.keras`` without h5py.
    """
    ending = Path(path).suffix
    if ending not in ENDINGS:
        known = ", ".join(ENDINGS[:-1])
        raise ValueError(
            f"{path}: a model's file must end in {known} or {ENDINGS[-1]}"
            + (f", not in {ending}" if ending else "")
        )
    if ending == ".keras" and not find_spec("h5py"):
        raise ImportError("writing .keras files needs h5py: pip install 'hotloop[keras]'")


def save(model: TabularModel, path: str | Path) -> None:
    """Write a trained model to one file, atomically.

    Raises
    ------
    ValueError, ImportError
        As `check_ending`.
    OSError
        If it cannot be written.
    """
    check_ending(path)
    path = Path(path)
    if path.suffix == ".safetensors":
        _save_tensors(model, path)
        return
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".hotloop-") as folder:
        draft = Path(folder) / f"model{path.suffix}"
        model.network.save(draft)
        with zipfile.ZipFile(draft, "a") as archive:
            # Of no date, so that the same model makes the same file.
            archive.writestr(zipfile.ZipInfo(_MEMBER), model.recipe.to_json())
        os.replace(draft, path)


def load(path: str | Path) -> TabularModel:
    """Model that `save` wrote.

    Raises
    ------
    ValueError
        If the file is damaged, or is not one that `save` wrote.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder; expected a model's file")
    path.open("rb").close()  # a missing file gets Python's own error
    try:
        return _load_archive(path) if zipfile.is_zipfile(path) else _load_tensors(path)
    except (zipfile.BadZipFile, EOFError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def _save_tensors(model: TabularModel, path: Path) -> None:
    from safetensors.numpy import save

    weights = {str(i): np.asarray(w) for i, w in enumerate(model.network.get_weights())}
    about = {
        "format": _FORMAT,
        "table": model.recipe.to_json(),
        "network": model.network.to_json(),
    }
    with written_whole(path) as file:
        file.write(save(weights, metadata=about))


def _load_archive(path: Path) -> TabularModel:
    from ..models import load_model

    with zipfile.ZipFile(path) as archive:
        if _MEMBER not in archive.namelist():
            raise ValueError(_foreign(path))
        text = archive.read(_MEMBER).decode()
    return TabularModel.restored(_recipe(path, text), load_model(path, compile=False))


def _load_tensors(path: Path) -> TabularModel:
    from safetensors import SafetensorError, safe_open

    from ..models import model_from_json

    try:
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            if about.get("format") != _FORMAT:
                raise ValueError(_foreign(path))
            weights = [file.get_tensor(str(i)) for i in range(len(file.keys()))]
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole model's file: {error}") from None
    network = model_from_json(about["network"])
    network.set_weights(weights)
    return TabularModel.restored(_recipe(path, about["table"]), network)


def _recipe(path: Path, text: str) -> Recipe:
    try:
        return Recipe.from_json(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _foreign(path: Path) -> str:
    return f"{path} was not written by this version of `hotloop train --save`"
