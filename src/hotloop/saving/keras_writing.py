"""Writing ``.keras`` files that Keras 3 reads."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import activations, layers, naming, registry
from ..files import archives, hdf5
from ..files.whole import written_whole
from ..graph.trace import Value
from ..layers.base import Layer
from ..layers.input import InputLayer
from ..models.model import Model
from ..models.sequential import Sequential
from ..models.structure import Calls, call_arguments
from ..version import __version__
from . import keras_layout as layout
from .keras_configs import MODULES_OF_ARGUMENTS
from .training import training_arguments

Config = dict[str, Any]
Places = list[Any]

# The release of Keras whose layout is written.
_KERAS_VERSION = "3.15.1"


def save(
    model: Model, path: Path, overwrite: bool, beside: Mapping[str, str] | None = None
) -> None:
    """Writes a ``.keras`` file, atomically: see `hotloop.models.save_model`."""
    entry = described(model)
    _check_not_shared(model)
    versions = {"keras_version": _KERAS_VERSION, "hotloop_version": __version__}
    known = {layout.METADATA: json.dumps(versions), layout.CONFIG: naming.to_json(entry)}
    weights = _weights(model)
    archives.write(
        path,
        overwrite,
        [
            *archives.texts(known),
            (layout.WEIGHTS, len(weights), lambda file: file.write(weights)),
            *archives.texts(beside or {}),
        ],
    )


def save_weights(model: Model, path: Path, overwrite: bool) -> None:
    """Writes a ``.weights.h5`` file, atomically: see `Model.save_weights`."""
    hdf5.h5py()
    with written_whole(path, overwrite) as file:
        hdf5.write(file, lambda root: _fill(root, model))


# ------------------------------------------------------------------------ config.json


def described(layer: Layer) -> Config:
    """Keras's configuration of a layer or model, with what it was compiled with."""
    entry = _layer(layer)
    if isinstance(layer, Model) and (given := layer.get_compile_config()):
        entry["compile_config"] = given
    return entry


def compile_config(model: Model) -> Config | None:
    """What compile was given, as Keras writes it."""
    training = training_arguments(model)
    if training is None:
        return None
    given = {name: marked(value, name) for name, value in training.items()}
    return given | {"run_eagerly": False, "steps_per_execution": 1, "jit_compile": False}


def _layer(layer: Layer) -> Config:
    """A layer or model, and what it was built for where only it can tell."""
    kind = type(layer)
    name = kind.__name__
    module: str | None = "keras.layers"
    registered: str | None = None
    if isinstance(layer, InputLayer):
        config = _input(layer.name, layer.shape, layer.dtype)
    elif isinstance(layer, Sequential) and layer.is_told_by_structure:
        config = _sequential(layer)
    elif isinstance(layer, Model) and layer.is_told_by_structure:
        config = _functional(layer)
    else:
        config = {key: marked(value, key) for key, value in layer.get_config().items()}
        if layer.trainable:  # some of Keras's layers do not take what others are by default
            config.pop("trainable", None)
    if kind is Model:
        name, module, registered = "Functional", "keras.src.models.functional", "Functional"
    elif kind is Sequential:
        module = "keras"
    elif kind is not getattr(layers, name, None):  # whoever reads it passes custom_objects
        module, registered = None, registry.get_registered_name(kind)
    entry = {
        "module": module,
        "class_name": name,
        "config": config,
        "registered_name": registered,
    }
    if registered and kind is not Model and (build := layer.get_build_config()) is not None:
        entry["build_config"] = build
    return entry


def _input(name: str, shape: Sequence[int | None], dtype: str) -> Config:
    return {"batch_shape": [None, *shape], "dtype": dtype, "sparse": False, "name": name}


def _sequential(model: Sequential) -> Config:
    entries = [_layer(one) for one in model.layers]
    for value in model.inputs:
        name = "input_layer"
        while any(one.name == name for one in model.layers):
            name += "_"
        first = InputLayer(value.shape[1:], dtype=value.dtype, name=name)
        entries.insert(0, _layer(first))
    return {"name": model.name, "trainable": model.trainable, "layers": entries}


def _functional(model: Model) -> Config:
    """Layers in Keras's order, with the calls of each; a value is [layer, which call, output]."""
    made = Calls(model)
    known = {layer.name: layer for layer in model.layers}
    of_layer: dict[str, list[int]] = {name: [] for name in known}
    which = []  # of its layer's calls each call is
    for number, call in enumerate(made.calls):
        which.append(len(of_layer[call["layer"]]))
        of_layer[call["layer"]].append(number)

    def history(value: Value) -> list[Any]:
        maker, output = made.reference(value)
        return [made.calls[maker]["layer"], which[maker], output]

    def node(number: int) -> Config:
        read = [
            {
                "class_name": "__keras_tensor__",
                "config": {
                    "shape": list(value.shape),
                    "dtype": value.dtype,
                    "keras_history": history(value),
                },
            }
            for value in made.inputs[number]
        ]
        args, kwargs = call_arguments(made.calls[number], read)
        return {"args": args, "kwargs": kwargs}

    def end(value: Value) -> list[Any]:
        name, call, output = history(value)
        # Only here, Keras counts the calls of a model within a model from 1.
        return [name, call + (type(known[name]) is Model), output]

    entries = []
    for name in _order(made.calls, [made.reference(value)[0] for value in model.outputs]):
        nodes = [node(number) for number in of_layer[name] if made.calls[number]["inputs"]]
        entries.append(_layer(known[name]) | {"name": name, "inbound_nodes": nodes})
    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": entries,
        "input_layers": _one_or_list([end(value) for value in model.inputs]),
        "output_layers": _one_or_list([end(value) for value in model.outputs]),
    }


def _order(calls: Sequence[Config], outputs: Sequence[int]) -> list[str]:
    """The layers in the order that Keras, which numbers them by it, will find.

    It sorts them by their distance from the outputs, the longest first; of layers at the same
    distance, that one comes first which a walk from the outputs to the inputs meets first. All
    calls of a layer count as being at the longest distance of any.
    """
    met: dict[str, int] = {}
    finished: list[int] = []
    begun: set[int] = set()
    for output in outputs:
        waiting = [(output, False)]
        while waiting:
            number, over = waiting.pop()
            if over:
                finished.append(number)
            elif number not in begun:
                begun.add(number)
                met.setdefault(calls[number]["layer"], len(met))
                waiting.append((number, True))
                waiting += [(maker, False) for maker, _ in reversed(calls[number]["inputs"])]
    distances = dict.fromkeys(finished, 0)
    farthest: dict[str, int] = {}
    for number in reversed(finished):
        name = calls[number]["layer"]
        farthest[name] = max(distances[number], farthest.get(name, 0))
        for maker, _ in calls[number]["inputs"]:
            distances[maker] = max(farthest[name] + 1, distances[maker])
    for call in calls:
        if call["layer"] not in farthest:  # inputs that lead nowhere come before their like
            farthest[call["layer"]], met[call["layer"]] = 0, -1
    return sorted(farthest, key=lambda name: (-farthest[name], met[name]))


def marked(value: Any, argument: str) -> Any:
    """The value of an argument, each object in it with the module that Keras has it in."""
    if isinstance(value, list):
        return [marked(one, argument) for one in value]
    if argument.rsplit("_", 1)[-1] == "activation" and isinstance(value, str):
        return value if activations.is_of_keras(value) else _function(value)
    if isinstance(value, Layer):
        return _layer(value)
    if not isinstance(value, Mapping):
        return value
    if "class_name" not in value:
        return {key: marked(one, argument) for key, one in value.items()}
    return {
        "module": value.get("module") or MODULES_OF_ARGUMENTS.get(argument.rsplit("_", 1)[-1]),
        "class_name": value["class_name"],
        "config": {key: marked(one, key) for key, one in value["config"].items()},
        "registered_name": value.get("registered_name"),
    }


def _function(name: str) -> Config:
    """A function that Keras finds among the custom_objects of whoever reads the file."""
    return {
        "module": "builtins",
        "class_name": "function",
        "config": name,
        "registered_name": "function",
    }


def _one_or_list(references: Places) -> Places:
    return references[0] if len(references) == 1 else references


# ------------------------------------------------------------------------ model.weights.h5


def _weights(model: Model) -> memoryview:
    content = io.BytesIO()
    with hdf5.h5py().File(content, "w") as root:
        _fill(root, model)
    return content.getbuffer()


def _fill(root: Any, model: Model) -> None:
    """Puts all weights, and the optimizer's state, where Keras has them."""
    for place, layer in layout.groups(model):
        group = root.create_group(f"{place}vars")
        group.attrs["name"] = layer.name
        layer.save_own_variables(group)
    if model.optimizer is not None:
        group = root.create_group("optimizer/vars")
        group.attrs["name"] = model.optimizer.name
        for i, value in enumerate(_state(model)):
            group[str(i)] = value


def _check_not_shared(model: Model) -> None:
    """That no layer is part of two models: each of them would make one of its own."""
    seen: set[int] = set()
    waiting: list[Layer] = [model]
    while waiting:
        layer = waiting.pop()
        for part in layer.layers if isinstance(layer, Model) else ():
            if id(part) in seen:
                raise ValueError(
                    f"{part.describe()} is part of two models, one within the other; a .keras "
                    "file of hotloop cannot say so. Save as .hotloop, or share layers within one "
                    "model"
                )
            seen.add(id(part))
            waiting.append(part)


def _state(model: Model) -> list[Any]:
    """The steps done, the learning rate unless a schedule gives it, then the state arrays."""
    optimizer = model.optimizer
    assert optimizer is not None
    if optimizer.applies_in_parts:  # each part begins its state anew
        return [np.int32(optimizer.iterations)]
    weights = model.trainable_weights
    head: list[Any] = [np.int32(optimizer.iterations)]
    if optimizer.schedule is None:
        head.append(np.float32(optimizer.learning_rate))
    return head + layout.state(optimizer, weights) + layout.state_behind(optimizer)
