"""A `TabularModel` in a file: the network as any other model, and the recipe beside it.

``.hotloop`` and ``.keras`` are the files that ``model.save`` writes, and load as such;
``table.json`` in them is the recipe. A ``.safetensors`` file has the weights, and the rest in its
metadata.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from ..files import formats, tensors
from ..files.archives import Archive
from ..files.filling import Part, fill
from ..files.refusals import not_readable, refusals
from ..files.whole import written_whole
from ..saving import model as model_files
from ..variables import deferring
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
        raise ImportError("writing .keras files needs h5py: pip install h5py")


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
    else:
        model_files.write(model.network, path, beside={_MEMBER: model.recipe.to_json()})


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
    kind = formats.format_of(path)
    if kind not in (formats.HOTLOOP, formats.KERAS, formats.SAFETENSORS):
        raise not_readable(path, "a model of `hotloop train --save`")
    with refusals(path, "model of `hotloop train --save`"):
        return _load_tensors(path) if kind == formats.SAFETENSORS else _load_archive(path)


def _save_tensors(model: TabularModel, path: Path) -> None:
    weights = {str(i): weight for i, weight in enumerate(model.network.weights)}
    about = {
        "format": _FORMAT,
        "table": model.recipe.to_json(),
        "network": model.network.to_json(),
    }
    with written_whole(path) as file:
        tensors.write(file, weights, about)


def _load_archive(path: Path) -> TabularModel:
    with path.open("rb") as file:
        archive = Archive(file)
        if _MEMBER not in archive.names:
            raise ValueError(_FOREIGN)
        recipe = Recipe.from_json(archive.read(_MEMBER).decode())
    return TabularModel.restored(recipe, model_files.load_model(path, compile=False))


def _load_tensors(path: Path) -> TabularModel:
    from ..models import model_from_json

    with path.open("rb") as file:
        found = tensors.opened(file)
        about = found.metadata
        if about.get("format") != _FORMAT:
            raise ValueError(_FOREIGN)
        recipe = Recipe.from_json(about.get("table", ""))
        with deferring():  # a network larger than its file must not fill the memory
            network = model_from_json(about.get("network", ""))
        by_name = tensors.stored(found)
        if by_name.keys() != {str(i) for i in range(len(by_name))}:
            raise ValueError("its weights are not numbered")
        stored = [by_name[str(i)] for i in range(len(by_name))]
        fill([Part("the network", str(path), network.weights, stored)])
    return TabularModel.restored(recipe, network)


_FOREIGN = "it was not written by this version of `hotloop train --save`"
