"""Reading ``.keras`` files, of Keras 3 and of hotloop; nothing in one is ever executed."""

from __future__ import annotations

import importlib
import inspect
import io
import json
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import config as settings
from .. import optimizers
from ..layers.base import Layer
from . import keras_layout as layout
from .model import compile_with

if TYPE_CHECKING:
    from ..models.model import Model
    from ..variables import Variable

Config = dict[str, Any]
Classes = Mapping[str, type[Layer]]

# Keras's modules whose classes configurations name, and hotloop's that have the same names.
_MODULES = {
    "keras.constraints": "hotloop.constraints",
    "keras.initializers": "hotloop.initializers",
    "keras.layers": "hotloop.layers",
    "keras.losses": "hotloop.losses",
    "keras.metrics": "hotloop.metrics",
    "keras.optimizers": "hotloop.optimizers",
    "keras.optimizers.schedules": "hotloop.optimizers.schedules",
    "keras.regularizers": "hotloop.regularizers",
}
# Arguments that mean nothing while another one is off.
_DEPENDENT = {"ema_momentum": "use_ema", "renorm_momentum": "renorm"}
# What repeats other arguments.
_DERIVED = ("vocabulary_size",)
# Keras stores without compression; what shrinks like this was made to fill a memory.
_LARGEST_RATIO, _ANY_SIZE = 100, 1 << 20
# What corrupt files make zipfile, json, h5py and the layers raise.
_BROKEN = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    zipfile.BadZipFile,
    zlib.error,
)


def load(path: Path, custom_objects: Classes | None, compile: bool) -> Model:
    """The model in a ``.keras`` file: see `hotloop.models.load_model`."""
    with open(path, "rb") as file:
        try:
            return _load(file, custom_objects or {}, compile)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        except _BROKEN as error:
            raise ValueError(
                f"{path} is not a complete .keras file of Keras 3 (truncated, corrupt or another "
                f"format): {type(error).__name__}: {error}"
            ) from error


def _load(file: IO[bytes], custom_objects: Classes, compile: bool) -> Model:
    from ..models.model import Model
    from ..models.structure import layer_from_config

    h5py = layout.h5py()
    entry, arrays = _read(file)
    model = layer_from_config(_Translation(custom_objects).layer(entry), custom_objects)
    if not isinstance(model, Model):
        raise ValueError(f"it holds a {type(model).__name__}, not a model")
    places = list(layout.groups(entry, model))
    with h5py.File(io.BytesIO(arrays), "r") as stored:
        known = set()
        for place, layer in places:
            own = layout.own_weights(layer)
            _check_count(stored, place, layer, len(own))
            for i, weight in enumerate(own):
                known.add(f"{place}/vars/{i}")
                what = f"the {weight.name} of {layer.describe()}"
                weight.assign(_array(stored, f"{place}/vars/{i}", weight.shape, what))
        _check_all_read(stored, known)
        given = entry.get("compile_config") if compile else None
        if given:
            _compile(model, given, stored, layout.trained_weights(places, model))
    return model


# ------------------------------------------------------------------------ config.json


class _Translation:
    """Makes hotloop's configurations of Keras's."""

    def __init__(self, custom_objects: Classes) -> None:
        self._custom_objects = custom_objects

    def layer(self, entry: Config) -> Config:
        """Of a layer, or of a model."""
        name, module = entry["class_name"], entry.get("module") or ""
        if name in ("Lambda", "__lambda__"):
            raise ValueError(
                "it has a Lambda layer, that is, code; files are never executed. Build the model "
                "in Python and load weights instead"
            )
        if name in self._custom_objects:
            return {"class_name": name, "config": self._plain(entry["config"])}
        if ".ops" in module:
            raise ValueError(
                f"it uses the operation {name} outside of any layer (as in x + y); hotloop reads "
                "models made of layers, as with Add()([x, y])"
            )
        if name in ("Functional", "Model"):
            return {"class_name": "Model", "config": self._functional(entry["config"])}
        if name == "Sequential":
            return {"class_name": name, "config": self._sequential(entry["config"])}
        if name == "InputLayer":
            return {"class_name": name, "config": self._input(entry["config"])}
        return self._thing(entry, "keras.layers")

    def _sequential(self, given: Config) -> Config:
        kept = {key: given[key] for key in ("name", "trainable") if key in given}
        return kept | {"layers": [self.layer(one) for one in given["layers"]]}

    def _input(self, given: Config) -> Config:
        dtype = given.get("dtype")
        shape = given.get("batch_shape") or given["batch_input_shape"]
        return {
            "name": given["name"],
            "shape": shape[1:],
            "dtype": dtype if dtype in ("float32", "float64") else settings.floatx(),
        }

    def _functional(self, given: Config) -> Config:
        """Layers, and their calls in an order in which each comes after what it reads."""
        layers = [self.layer(one) for one in given["layers"]]
        calls: list[Config] = []
        numbers: dict[tuple[str, int], int] = {}
        waiting = {one["config"]["name"]: _nodes(one) for one in given["layers"]}
        while any(waiting.values()):
            before = len(calls)
            for name, nodes in waiting.items():
                while nodes and all((maker, node) in numbers for maker, node, _ in nodes[0][0]):
                    read, several = nodes.pop(0)
                    made = sum(maker == name for maker, _ in numbers)
                    numbers[name, made] = len(calls)
                    inputs = [[numbers[maker, node], output] for maker, node, output in read]
                    calls.append({"layer": name, "inputs": inputs, "list": several})
            if len(calls) == before:
                stuck = ", ".join(name for name, nodes in waiting.items() if nodes)
                raise ValueError(f"the inputs of {stuck} come from nowhere or go in circles")
        nested = {
            one["config"]["name"] for one in given["layers"] if one["class_name"] == "Functional"
        }
        return {
            "name": given["name"],
            "trainable": given.get("trainable", True),
            "layers": layers,
            "calls": calls,
            "inputs": [[numbers[name, node], i] for name, node, i in _inputs(given)],
            # Only here, Keras counts the calls of a model within a model from 1.
            "outputs": [
                [numbers[name, node - (name in nested)], i] for name, node, i in _outputs(given)
            ],
        }

    def _thing(self, entry: Config, module: str) -> Config:
        """Of an object, its arguments reduced to those that hotloop's class has."""
        name, where = entry["class_name"], importlib.import_module(_MODULES[module])
        cls: Any = getattr(where, name, None)
        if not _is_ours(cls):
            names = getattr(where, "__all__", vars(where))
            known = ", ".join(n for n in sorted(names) if _is_ours(getattr(where, n)))
            kind = module.removeprefix("keras.")
            raise ValueError(f"hotloop has no {name} among its {kind}; it has {known}")
        given = self._plain(entry["config"])
        accepted = _parameters(cls)
        for argument, value in given.items():
            off = value is None or value is False or given.get(_DEPENDENT.get(argument)) is False
            off = off or argument in _DERIVED
            if argument == "vocabulary" and isinstance(value, str):
                raise ValueError(f"{name}: vocabulary={value!r} is another file; it is not read")
            if argument not in accepted and not off:
                raise ValueError(
                    f"{name} '{given.get('name', '')}': hotloop has no argument {argument}="
                    f"{value!r}; it has {', '.join(sorted(accepted))}"
                )
        return {
            "class_name": name,
            "config": {key: value for key, value in given.items() if key in accepted},
        }

    def _plain(self, value: Any) -> Any:
        """Names, numbers, lists, and configurations as hotloop's classes take them."""
        if isinstance(value, list):
            return [self._plain(one) for one in value]
        if not isinstance(value, dict):
            return value
        if not {"class_name", "config"} <= value.keys():
            return {key: self._plain(one) for key, one in value.items()}
        name, module = value["class_name"], _public(value.get("module") or "")
        if name == "function":
            return str(value["config"])
        if name in ("__tensor__", "__numpy__"):
            return value["config"]["value"]
        if name.endswith("DTypePolicy"):
            return value["config"]["name"]
        if name in self._custom_objects or module not in _MODULES:
            where = f" (of {module})" if module else ""
            raise ValueError(f"hotloop has no {name}{where}, which an argument holds")
        if module == "keras.layers":  # as an activation
            from ..models.structure import layer_from_config

            return layer_from_config(self.layer(value), self._custom_objects)
        return self._thing(value, module)

    def compiled(self, given: Config) -> Config:
        """What compile was given."""
        names = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics")
        return {name: self._plain(given.get(name)) for name in names}


def _public(module: str) -> str:
    """Keras's public name of a module: some of its backends have their own Adam, called Adam."""
    own = module.startswith("keras.src.backend.") and ".optimizers." in module
    return "keras.optimizers" if own else module


def _nodes(entry: Config) -> list[tuple[list[tuple[str, int, int]], bool]]:
    """For each call of a layer, what it reads, and whether that is a list."""
    if entry["class_name"] == "InputLayer":
        return [([], False)]
    return [_node(entry["config"]["name"], call) for call in entry["inbound_nodes"]]


def _node(name: str, call: Config) -> tuple[list[tuple[str, int, int]], bool]:
    args, options = call["args"], call["kwargs"]
    if len(args) != 1 or any(_is_set(option) for option in options.values()):
        raise ValueError(
            f"the layer '{name}' is called with {len(args)} arguments and the options {options}; "
            "hotloop calls layers on one value or one list of values"
        )
    several = isinstance(args[0], list)
    read = [one["config"]["keras_history"] for one in (args[0] if several else args)]
    return [(str(maker), int(node), int(output)) for maker, node, output in read], several


def _is_set(option: Any) -> bool:
    """Whether an option of a call (a mask, or several) is there."""
    if isinstance(option, list):
        return any(_is_set(one) for one in option)
    return option is not None and option is not False


def _inputs(given: Config) -> Iterator[list[Any]]:
    layers = given["input_layers"]
    if isinstance(layers, dict):
        for key, (name, _, _) in layers.items():
            if key != name:
                raise ValueError(f"the input '{name}' is called '{key}' in a dict; rename it")
    return _references(layers)


def _outputs(given: Config) -> Iterator[list[Any]]:
    if isinstance(given["output_layers"], dict):
        raise ValueError("its outputs are a dict; hotloop's models have one output or a list")
    return _references(given["output_layers"])


def _references(layers: Any) -> Iterator[list[Any]]:
    """Triples of a layer, its call and its output, however they are nested."""
    if isinstance(layers, list) and layers and isinstance(layers[0], str):
        yield layers
        return
    for one in layers.values() if isinstance(layers, dict) else layers:
        yield from _references(one)


def _is_ours(thing: Any) -> bool:
    """Whether it is a class that configurations may name."""
    return inspect.isclass(thing) and hasattr(thing, "from_config")


def _parameters(cls: type) -> set[str]:
    """The arguments of a class and its bases, on which it passes the rest."""
    return {
        parameter.name
        for base in cls.__mro__
        if "__init__" in vars(base)
        for parameter in inspect.signature(base).parameters.values()
        if parameter.kind is not parameter.VAR_KEYWORD
    }


# ------------------------------------------------------------------------ compile


def _compile(model: Model, given: Config, stored: Any, trained: list[Variable]) -> None:
    try:
        training = _Translation({}).compiled(given)
        optimizer = optimizers.get(training["optimizer"])
        compile_with(model, optimizer, training)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the model cannot be compiled as it was ({error}); load it with compile=False and "
            "compile it anew"
        ) from error
    count = _count(stored, "optimizer")
    if not count:
        return
    optimizer.iterations = int(_array(stored, "optimizer/vars/0", (), "the number of steps"))
    first = 1 if optimizer.schedule is not None else 2
    if count <= first:
        return  # it was not trained: its state begins when it is
    order = layout.state_order(optimizer, trained)
    expected = first + len(order) + len(layout.state_behind(optimizer))
    if count == expected:
        for i, (weight, slot) in enumerate(order, first):
            if slot is not None:
                what = f"the state of {weight.path}"
                slot.assign(_array(stored, f"optimizer/vars/{i}", slot.shape, what))
    else:
        warnings.warn(
            f"the state of {type(optimizer).__name__} is left out: the file holds {count} arrays "
            f"where {expected} were expected",
            UserWarning,
            stacklevel=5,
        )


# ------------------------------------------------------------------------ the archive


def _read(file: IO[bytes]) -> tuple[Config, bytes]:
    """config.json, and model.weights.h5 as it is."""
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        if layout.CONFIG not in names or layout.WEIGHTS not in names:
            raise ValueError(
                f"it is not a .keras file of Keras 3: there is no {layout.CONFIG} or no "
                f"{layout.WEIGHTS} in it, but {', '.join(names[:5]) or 'nothing'}"
            )
        metadata = _json(archive, layout.METADATA) if layout.METADATA in names else {}
        version = str(metadata.get("keras_version"))
        if version.startswith("2."):
            raise ValueError(
                f"it was written by Keras {version}; open it with Keras 3 and save it anew"
            )
        entry = _json(archive, layout.CONFIG)
        _fill_in_vocabularies(archive, entry)
        return entry, _member(archive, layout.WEIGHTS)


def _fill_in_vocabularies(archive: zipfile.ZipFile, entry: Config) -> None:
    """Keras keeps vocabularies that a layer was not given, but learned, in files of text."""
    for place, _, one in layout.places(entry):
        name = f"assets/{place}/vocabulary.txt"
        if "vocabulary" in one["config"] and name in archive.namelist():
            terms = _member(archive, name).decode().split("\n")
            whole = one["class_name"] == "IntegerLookup"
            one["config"]["vocabulary"] = [int(term) for term in terms] if whole else terms


def _json(archive: zipfile.ZipFile, name: str) -> Config:
    try:
        found = json.loads(_member(archive, name))
    except ValueError as error:
        raise ValueError(f"its {name} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"its {name} does not hold what Keras 3 writes")
    return found


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > max(_ANY_SIZE, _LARGEST_RATIO * info.compress_size):
        raise ValueError(
            f"{name} claims to hold {info.file_size} bytes in {info.compress_size}; it is not read"
        )
    return archive.read(info)


# ------------------------------------------------------------------------ model.weights.h5


def _find(stored: Any, place: str) -> Any:
    """What is at a place, if it is in this file and not a link to elsewhere; None if nothing is."""
    h5py = layout.h5py()
    for name in place.split("/"):
        link = stored.get(name, getlink=True) if isinstance(stored, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{place} is a link to elsewhere; it is not followed")
        stored = stored[name]
    return stored


def _count(stored: Any, place: str) -> int:
    """How many arrays there are at a place."""
    group = _find(stored, f"{place}/vars")
    return 0 if group is None else len(group)


def _check_count(stored: Any, place: str, layer: Layer, expected: int) -> None:
    count = _count(stored, place)
    if count != expected:
        raise ValueError(
            f"{layer.describe()} has {expected} weights, the file holds {count} for it in {place}"
            + ("; layers that two models share are not supported" if not count else "")
        )


def _array(stored: Any, place: str, shape: tuple[int, ...], what: str) -> NDArray[Any]:
    """The numbers at a place; not read before their shape and type are known to fit."""
    found = _find(stored, place)
    if not isinstance(found, layout.h5py().Dataset):
        raise ValueError(f"there is no array {place}, {what}")
    if found.external or found.is_virtual:
        raise ValueError(f"{place} is kept in another file; it is not read")
    if found.shape != shape:
        raise ValueError(f"{what} has shape {found.shape} in {place}; expected {shape}")
    if not np.can_cast(found.dtype, np.float64):
        raise ValueError(f"{place} holds {found.dtype}; expected numbers")
    return np.asarray(found[()])


def _check_all_read(stored: Any, known: set[str]) -> None:
    """The state of random numbers apart, which earlier releases of Keras wrote."""
    left: list[str] = []

    def look(place: str, found: Any) -> None:
        of_layer = place.startswith("layers/") and "/seed_generator/" not in place
        if of_layer and isinstance(found, layout.h5py().Dataset) and place not in known:
            left.append(place)

    stored.visititems(look)
    if left:
        raise ValueError(f"it holds weights that the model has no place for: {', '.join(left)}")
