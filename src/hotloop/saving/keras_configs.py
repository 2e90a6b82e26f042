"""Configurations of Keras 2 and 3 as hotloop's; nothing in one is ever executed."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Any

from .. import config as settings
from .. import naming, registry
from ..layers.base import Layer

Config = dict[str, Any]

# Keras's modules whose classes configurations name, and hotloop's that have the same names.
_MODULES = {
    "keras.activations": "hotloop.activations",
    "keras.constraints": "hotloop.constraints",
    "keras.initializers": "hotloop.initializers",
    "keras.layers": "hotloop.layers",
    "keras.losses": "hotloop.losses",
    "keras.metrics": "hotloop.metrics",
    "keras.optimizers": "hotloop.optimizers",
    "keras.optimizers.schedules": "hotloop.optimizers.schedules",
    "keras.regularizers": "hotloop.regularizers",
}
# Modules of what an argument holds, by the last word of its name.
MODULES_OF_ARGUMENTS = {
    "activation": "keras.layers",
    "constraint": "keras.constraints",
    "initializer": "keras.initializers",
    "loss": "keras.losses",
    "metrics": "keras.metrics",
    "optimizer": "keras.optimizers",
    "rate": "keras.optimizers.schedules",
    "regularizer": "keras.regularizers",
}
# Arguments that mean nothing while another one is off.
_DEPENDENT = {"ema_momentum": "use_ema", "renorm_momentum": "renorm"}
# What repeats other arguments.
_DERIVED = ("vocabulary_size",)
# What Keras 2 wrote, and Keras 3 has no more, that changes no result.
_OF_KERAS_2 = ("input_length", "is_legacy_optimizer", "jit_compile", "ragged", "sparse")


def is_of_keras(entry: Any) -> bool:
    """Whether a configuration of a model is one of Keras 2 or 3, and not hotloop's own."""
    return isinstance(entry, dict) and (
        bool({"module", "registered_name", "keras_version", "backend"} & entry.keys())
        or entry.get("class_name") == "Functional"
    )


def places(entry: Config, path: str = "") -> Iterator[tuple[str, Config]]:
    """What ``config.json`` says of each layer in a model, with its place in the file's assets."""
    used: Counter[str] = Counter()
    for one in entry["config"].get("layers", ()):
        if one["class_name"] == "InputLayer" and "inbound_nodes" not in one:
            continue  # a Sequential's, which Keras lists but does not count
        kind = naming.snake_case(one["class_name"])
        place = f"{path}layers/{kind}_{used[kind]}" if used[kind] else f"{path}layers/{kind}"
        used[kind] += 1
        yield place, one
        if "layers" in one["config"]:
            yield from places(one, f"{place}/")


def module_of(entry: Mapping[str, Any]) -> Any:
    """Hotloop's module that has the class or function of a configuration; None if none has it."""
    name = entry["config"] if entry["class_name"] == "function" else entry["class_name"]
    public = _public(entry.get("module") or "")
    for module in [public] if public in _MODULES else _MODULES:
        found = importlib.import_module(_MODULES[module])
        if isinstance(name, str) and name in getattr(found, "__all__", vars(found)):
            return found
    return None


class Translation:
    """Makes hotloop's configurations of Keras's."""

    def thing(self, entry: Config) -> Any:
        """The object, of a class of hotloop's, that a configuration describes.

        Raises
        ------
        ValueError
            If there is no such class.
        """
        name, public = entry["class_name"], _public(entry.get("module") or "")
        if name not in ("Functional", "Model", "Sequential") and public != "keras.layers":
            module = module_of(entry)
            if module is None:
                raise ValueError(
                    f"there is no class {name!r} known. One of your own: {registry.HOW_TO_NAME}"
                )
            public = _public_name(module)
            if public != "keras.layers":
                plain = self._thing(entry, public)
                return getattr(module, plain["class_name"]).from_config(plain["config"])
        from ..models.structure import layer_from_config

        return layer_from_config(self.layer(entry) if is_of_keras(entry) else entry)

    def layer(self, entry: Config) -> Config:
        """Of a layer, or of a model."""
        name, module = entry["class_name"], entry.get("module") or ""
        if name == "Lambda" and _is_named(entry["config"].get("function")):
            return self._thing(entry, "keras.layers")
        if name in ("Lambda", "__lambda__", "TFOpLambda", "SlicingOpLambda"):
            raise ValueError(
                f"it has a {name.strip('_').capitalize() if name == '__lambda__' else name} layer, "
                "that is, code; files are never executed. Build the model in Python and load "
                "weights instead"
            )
        if registry.named_in(entry) is not None:
            return self._own(entry)
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

    def _own(self, entry: Config) -> Config:
        """Of a class of the user's own, whose arguments are its own affair."""
        config = dict(entry["config"])
        if isinstance(config.get("dtype"), dict):  # Keras's policy
            config["dtype"] = config["dtype"]["config"]["name"]
        if isinstance(config.get("layers"), list) and "input_layers" in config:
            config = self._functional(config)
        elif isinstance(config.get("layers"), list) and "build_input_shape" in config:
            config = self._sequential(config)
        kept = {
            key: entry[key]
            for key in ("registered_name", "name", "build_config")
            if entry.get(key) is not None
        }
        return kept | {"class_name": entry["class_name"], "config": config}

    def _sequential(self, given: Config | list[Config]) -> Config:
        if isinstance(given, list):  # of the first releases of Keras 2
            given = {"layers": given}
        kept = {key: given[key] for key in ("name", "trainable") if key in given}
        made: Config = kept | {"layers": [self.layer(one) for one in given["layers"]]}
        shape = given.get("build_input_shape")
        first: Config = made["layers"][0] if made["layers"] else {"class_name": "InputLayer"}
        starts = first["class_name"] in ("InputLayer", "Model", "Sequential")
        if not starts and "input_shape" not in first["config"] and shape:
            dtype = first["config"].get("dtype") or settings.floatx()
            made["input"] = {"shape": shape[1:], "dtype": dtype}
        return made

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
        if len({one["config"].get("name") for one in layers}) < len(layers):
            raise ValueError("two of its layers have one name")
        calls: list[Config] = []
        numbers: dict[tuple[str, int], int] = {}
        waiting = {name_of(one): deque(_nodes(one)) for one in given["layers"]}
        made: Counter[str] = Counter()
        readers: dict[tuple[str, int], list[str]] = {}  # layers that wait for a call's outputs
        ready = deque(waiting)
        while ready:
            name = ready.popleft()
            nodes = waiting[name]
            while nodes:
                read, form = nodes[0]
                missing = next((r[:2] for r in read if r[:2] not in numbers), None)
                if missing is not None:
                    readers.setdefault(missing, []).append(name)
                    break
                nodes.popleft()
                call = name, made[name]
                made[name] += 1
                numbers[call] = len(calls)
                inputs = [[numbers[maker, node], output] for maker, node, output in read]
                calls.append({"layer": name, "inputs": inputs} | form)
                ready.extend(readers.pop(call, ()))
        if stuck := [name for name, nodes in waiting.items() if nodes]:
            raise ValueError(
                f"the inputs of {', '.join(stuck[:5])} come from nowhere or go in circles"
            )
        nested = {
            name_of(one)
            for one in given["layers"]
            if one["class_name"] == "Functional" and not _is_of_keras_2(one)
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
            raise ValueError(
                f"hotloop has no {name} among its {kind}; it has {known}. One of your own: "
                f"{registry.HOW_TO_NAME}"
            )
        given = self._plain(entry["config"])
        accepted = _parameters(cls)
        if issubclass(cls, Layer):
            _take_shape(given)
            if cls.__name__ in ("BatchNormalization", "LayerNormalization"):
                axis = given.get("axis")
                if isinstance(axis, list) and len(axis) == 1:  # as Keras 2 wrote it
                    given["axis"] = axis[0]
        for argument, value in given.items():
            off = value is None or value is False or given.get(_DEPENDENT.get(argument)) is False
            off = off or argument in _DERIVED or argument in _OF_KERAS_2
            off = off or (argument == "decay" and value == 0)
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

    def _plain(self, value: Any, argument: str = "") -> Any:
        """Names, numbers, lists, and configurations as hotloop's classes take them."""
        if isinstance(value, list):
            return [self._plain(one, argument) for one in value]
        if not isinstance(value, dict):
            return value
        if not {"class_name", "config"} <= value.keys():
            by_name = argument in ("loss", "metrics", "weighted_metrics")  # of outputs
            return {
                key: self._plain(one, argument if by_name else key) for key, one in value.items()
            }
        by_argument = MODULES_OF_ARGUMENTS.get(argument.rsplit("_", 1)[-1], "")
        name = value["class_name"].rsplit(">", 1)[-1]  # Keras 2 wrote Custom>Adam
        module = _public(value.get("module") or by_argument)
        if name == "MeanMetricWrapper" and isinstance(value["config"].get("fn"), str):
            return value["config"]["fn"]
        if name == "function":
            return self._function(value)
        if name in ("__tensor__", "__numpy__"):
            return value["config"]["value"]
        if name.endswith("Policy"):
            return value["config"]["name"]
        if registry.named_in(value) is not None:
            return value
        value = value | {"class_name": name}
        if not module and (found := module_of(value)) is not None:
            module = _public_name(found)
        if module not in _MODULES:
            where = f" (of {module})" if module else ""
            raise ValueError(
                f"hotloop has no {name}{where}, which an argument holds. One of your own: "
                f"{registry.HOW_TO_NAME}"
            )
        if module == "keras.layers":  # as an activation
            from ..models.structure import layer_from_config

            return layer_from_config(self.layer(value))
        return self._thing(value, module)

    def _function(self, entry: Config) -> Any:
        """A function, or the name of one of hotloop's modules or that was registered with them."""
        own = registry.named_in(entry)
        if own is not None:
            return own
        name = entry["config"]
        tables = settings.own_functions.values()
        if module_of(entry) is None and not any(name in table for table in tables):
            raise ValueError(
                f"there is no function {name!r} known. One of your own: {registry.HOW_TO_NAME}"
            )
        return str(name)

    def compiled(self, given: Config) -> Config:
        """What compile was given."""
        names = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics")
        found = {name: self._plain(given.get(name), name) for name in names}
        for name in ("metrics", "weighted_metrics"):  # Keras 2 lists those of the one output
            match found[name]:
                case [list() as of_output]:
                    found[name] = of_output
        return found


def _public_name(module: Any) -> str:
    """What Keras calls a module."""
    return next(key for key, own in _MODULES.items() if own == module.__name__)


def _is_named(function: Any) -> bool:
    """Whether it is the configuration of a function that the user gave."""
    is_function = isinstance(function, dict) and function.get("class_name") == "function"
    return is_function and registry.named_in(function) is not None


def _public(module: str) -> str:
    """Keras's public name of a module: some of its backends have their own Adam, called Adam."""
    own = module.startswith("keras.src.backend.") and ".optimizers." in module
    return "keras.optimizers" if own else module


def _nodes(entry: Config) -> list[tuple[list[tuple[str, int, int]], Config]]:
    """For each call of a layer, what it reads, and how: see `hotloop.models.structure`."""
    if entry["class_name"] == "InputLayer":
        return [([], {"list": False})]
    return [_node(name_of(entry), call) for call in entry["inbound_nodes"]]


def name_of(entry: Config) -> str:
    """The name of a layer in a model; Keras 2 has it beside the configuration too."""
    name = entry["config"].get("name") or entry.get("name")
    if not isinstance(name, str):
        raise ValueError(f"the name of a {entry['class_name']} is {name!r}")
    return name


def _is_of_keras_2(entry: Config) -> bool:
    """Whether a layer's calls are written as Keras 2 wrote them: as lists."""
    return any(isinstance(call, list) for call in entry.get("inbound_nodes", ()))


def _take_shape(given: Config) -> None:
    """The argument of Keras 2 for the first layer of a Sequential, without the batch."""
    shape = given.pop("batch_input_shape", None) or given.pop("batch_shape", None)
    length = given.get("input_length")
    if shape and len(shape) == 2 and shape[1] is None and isinstance(length, int):
        shape = [None, length]
    if shape and None not in shape[1:]:
        given["input_shape"] = shape[1:]


def _node(name: str, call: Any) -> tuple[list[tuple[str, int, int]], Config]:
    if isinstance(call, list):  # [[name, node, output, options], ...], as Keras 2 wrote it
        given = [option for one in call for option in (*one[3:4], {})[0].values()]
        if any(_is_set(option) for option in given):
            raise ValueError(f"the layer '{name}' is called with options: {given}")
        read = [(str(maker), int(node), int(output)) for maker, node, output, *_ in call]
        return read, {"list": len(read) > 1}
    from ..models.structure import INPUT

    read = []

    def plain(nest: Any) -> Any:
        if isinstance(nest, dict) and nest.get("class_name") == "__keras_tensor__":
            maker, node, output = nest["config"]["keras_history"]
            read.append((str(maker), int(node), int(output)))
            return dict(INPUT)
        if isinstance(nest, dict):
            return {key: plain(part) for key, part in nest.items()}
        return [plain(part) for part in nest] if isinstance(nest, list) else nest

    options = {
        key: option
        for key, option in call["kwargs"].items()
        if _is_set(option) or (key == "training" and option is not None)
    }
    args, kwargs = plain(call["args"]), plain(options)
    if len(args) == 1 and not kwargs:
        if args[0] == INPUT:
            return read, {"list": False}
        if isinstance(args[0], list) and all(one == INPUT for one in args[0]):
            return read, {"list": True}
    return read, {"list": False, "arguments": [args, kwargs]}


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


@functools.cache
def _parameters(cls: type) -> set[str]:
    """The arguments of a class and its bases, on which it passes the rest."""
    return {
        parameter.name
        for base in cls.__mro__
        if "__init__" in vars(base)
        for parameter in inspect.signature(base).parameters.values()
        if parameter.kind is not parameter.VAR_KEYWORD
    }
