"""A model as plain data, without weights, and back.

A layer is ``{"class_name": ..., "config": ...}``. A Sequential lists its layers. Any other model
lists its layers, each once, and their calls in the order of computation; a value is
``[call, output]``, the number of the call that made it and which of its outputs it is. A class
with a ``call`` of its own is told by its configuration and what it was built for. No data
from outside is ever executed: classes are looked up by name among hotloop's own and those that
the caller gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from .. import layers as builtin
from .. import naming, nests, registry
from ..graph.recording import Effect
from ..graph.trace import Use, Value, calls, replayed, values_in
from ..layers.base import Layer
from ..layers.input import InputLayer
from ..layers.operation import Operation
from ..metrics import Metric
from .trainer import Trainer

if TYPE_CHECKING:
    from .model import Model
    from .sequential import Sequential

Config = dict[str, Any]
Classes = Mapping[str, type[Layer]]

# The classes of models, by the names that configurations have. Each is put here where it is
# defined: models know this module, which need not know them.
kinds: dict[str, type[Model]] = {}


def is_model(layer: Layer) -> TypeGuard[Model]:
    """Whether a layer is a model."""
    return isinstance(layer, Trainer)


def layer_config(layer: Layer, *, with_draws: bool = False) -> Config:
    """What `layer_from_config` makes the same layer of, with weights of its own.

    With `with_draws`, it will draw the same random numbers too, seed or not.
    """
    described: Config = {"class_name": type(layer).__name__}
    registered = registry.get_registered_name(type(layer))
    if registered != described["class_name"]:
        described["registered_name"] = registered
    if is_model(layer) and layer.is_told_by_structure:
        return described | {"config": model_config(layer, with_draws=with_draws)}
    config = dict(layer.get_config())
    if "name" not in config:  # as a class of the user's own may say
        described["name"] = layer.name
    if with_draws and layer.random_key is not None:
        config["seed"] = layer.random_key
    if is_model(layer) and layer.built:
        described["input_shape"] = nests.mapped(lambda value: value.shape, layer.input_form)
    elif layer.says_how_to_build and (build := layer.get_build_config()):
        described["build_config"] = build
    if with_draws and (keys := [part.random_key for part in layer.drawing_parts()]):
        described["random_keys"] = keys
    return described | {"config": config}


def layer_from_config(config: Mapping[str, Any], custom_objects: Classes | None = None) -> Layer:
    """A new layer, or model.

    Raises
    ------
    ValueError
        If its class is not known; names the nearest one.
    """
    if not isinstance(config, Mapping) or not {"class_name", "config"} <= config.keys():
        raise ValueError(
            "the configuration of a layer needs the keys 'class_name' and 'config', got "
            f"{sorted(config) if isinstance(config, Mapping) else config!r}"
        )
    with registry.CustomObjectScope(custom_objects):
        return _layer(config)


def _layer(config: Mapping[str, Any]) -> Layer:
    """A new layer, or model, of classes that are hotloop's or registered."""
    cls: Any = registry.named_in(config) or _built_in_class(config["class_name"])
    if not (isinstance(cls, type) and issubclass(cls, Layer)):
        raise ValueError(f"{config['class_name']} is {cls!r}, and no class of layers")
    if issubclass(cls, kinds["Model"]) and cls.is_made_of_layers():
        return model_from_config(config["config"], cls=cls)
    layer = cls.from_config(dict(config["config"]))
    if "name" in config:
        layer.name = config["name"]
    for part, key in zip(layer.drawing_parts(), config.get("random_keys", ()), strict=False):
        part.random_key = key
    if "input_shape" in config:
        layer.build(config["input_shape"])
    elif "build_config" in config and not layer.built:
        layer.build_from_config(config["build_config"])
    return layer


def _built_in_class(name: Any) -> Any:
    own = {name: getattr(builtin, name) for name in builtin.__all__} | kinds
    own |= {"Operation": Operation}
    known = {name: thing for name, thing in own.items() if isinstance(thing, type)}
    try:
        return naming.lookup("layer", name, known)
    except ValueError as error:
        raise ValueError(f"{error}. One of your own: {registry.HOW_TO_NAME}") from None


def name_of(entry: Mapping[str, Any]) -> Any:
    """The name of the layer that a configuration is of."""
    return entry["config"].get("name") or entry.get("name")


def model_config(model: Model, *, with_draws: bool = False) -> Config:
    """The structure of a model; `with_draws` as in `layer_config`.

    Raises
    ------
    ValueError
        If a value was made outside of any layer.
    """
    config: Config = {"name": model.name, "trainable": model.trainable}
    if isinstance(model, kinds["Sequential"]):
        config["layers"] = [layer_config(layer, with_draws=with_draws) for layer in model.layers]
        if model.inputs:
            config["input"] = {
                "shape": list(model.inputs[0].shape[1:]),
                "dtype": model.inputs[0].dtype,
            }
        return config
    made = Calls(model)
    return config | {
        "layers": [layer_config(layer, with_draws=with_draws) for layer in model.layers],
        "calls": made.calls,
        "inputs": made.references(model.input_form, model.inputs),
        "outputs": made.references(model.output_form, model.outputs),
    }


def model_from_config(
    config: Mapping[str, Any],
    custom_objects: Classes | None = None,
    *,
    cls: type[Model] | None = None,
    inputs: Sequence[Value] | None = None,
    make_layer: Callable[[Config], Layer] | None = None,
    call: Callable[..., Any] | None = None,
) -> Model:
    """A new model of this structure, with weights of its own.

    Parameters
    ----------
    config : mapping
        From `model_config`.
    custom_objects : mapping of str to class, optional
        Layers that are not hotloop's.
    inputs : list of Value, optional
        What the model is to begin with, instead of inputs of its own.
    make_layer : callable, optional
        Makes a layer of its configuration; `layer_from_config` if not given.
    call : callable, optional
        Calls a layer, as ``call(layer, *args, **kwargs)``.
    """
    make = make_layer or (lambda one: layer_from_config(one, custom_objects))
    name, trainable = config.get("name"), config.get("trainable", True)
    if "calls" not in config:
        chain = cast("Sequential", (cls or kinds["Sequential"])(name=name, trainable=trainable))
        if inputs is not None:
            chain.start(inputs[0])
        elif "input" in config:
            chain.add(InputLayer(**config["input"]))
        for layer in config["layers"]:
            chain.add(make(layer))
        return chain
    made = {name_of(layer): layer for layer in config["layers"]}
    new: dict[str, Layer] = {}
    values: list[list[Value]] = []
    given = dict(
        zip((call for call, _ in _references(config["inputs"])), inputs or (), strict=False)
    )
    for number, use in enumerate(config["calls"]):
        if use["layer"] not in new:
            new[use["layer"]] = make(made[use["layer"]])
        layer = new[use["layer"]]
        if isinstance(layer, InputLayer):
            values.append([given.get(number, layer.output)])
            continue
        read = [values[maker][output] for maker, output in use["inputs"]]
        args, kwargs = call_arguments(use, read)
        y = layer(*args, **kwargs) if call is None else call(layer, *args, **kwargs)
        values.append([*values_in(y)])
    first, last = (
        _of_references(config[key], lambda call, i: values[call][i])
        for key in ("inputs", "outputs")
    )
    return (cls or kinds["Model"])(first, last, name=name, trainable=trainable)


def clone_model(
    model: Model,
    input_tensors: Any = None,
    clone_function: Callable[[Layer], Layer] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
) -> Model:
    """A model of the same structure with weights of its own, new ones; compiled if the model is.

    Parameters
    ----------
    model : Model
    input_tensors : nest of Value
        From `Input`: what the copy is to begin with, instead of inputs of its own.
    clone_function : callable, optional
        Takes each layer but the inputs and returns what the copy has in its place.
    call_function : callable, optional
        ``call_function(layer, *args, **kwargs)`` calls a layer of the copy: what it returns takes
        the place of the call's outputs. Not for a Sequential.
    recursive : bool
        Whether models among the layers are cloned by these functions, too; as wholes otherwise.

    Raises
    ------
    ValueError
        If a value of the model was made outside of any layer; for functions where the model
        cannot be made by them.

    Examples
    --------
    >>> import hotloop
    >>> model = hotloop.Sequential([hotloop.layers.Dense(3, input_dim=2)])
    >>> hotloop.models.clone_model(model).count_params()
    9
    """
    layers = {layer.name: layer for layer in model.layers}

    def make(config: Config) -> Layer:
        layer = layers[name_of(config)]
        if recursive and is_model(layer) and not layer.records_call:
            inner = None if isinstance(layer, kinds["Sequential"]) else call_function
            return clone_model(layer, None, clone_function, inner, recursive)
        if clone_function is not None and not isinstance(layer, InputLayer):
            return clone_function(layer)
        return layer_from_config(config, classes_of(layer))

    if not model.is_told_by_structure:
        if clone_function is not None or call_function is not None:
            raise ValueError(
                f"{model.describe()} says itself what its layers are, in __init__ and call(), so "
                "it is cloned as a whole, without clone_function and call_function"
            )
        made = layer_from_config(layer_config(model), classes_of(model))
        assert is_model(made)
        copied = made
    else:
        if call_function is not None and isinstance(model, kinds["Sequential"]):
            raise ValueError(
                f"{model.describe()} calls its layers one after the other: call_function is for "
                "models that are made of inputs and outputs"
            )
        inputs = None if input_tensors is None else values_in(input_tensors)
        copied = model_from_config(
            model_config(model),
            cls=type(model),
            inputs=inputs,
            make_layer=make,
            call=call_function,
        )
    arguments = model.compile_arguments()
    if arguments is not None and model.optimizer is not None:
        optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
        copied.compile(optimizer, **nests.mapped(_copy_of, arguments))
    return copied


def _copy_of(thing: Any) -> Any:
    """A metric has a state of its own in each model; anything else is itself."""
    return type(thing).from_config(thing.get_config()) if isinstance(thing, Metric) else thing


def classes_of(layer: Layer) -> dict[str, type[Layer]]:
    """The classes of a layer and of all its parts, by name."""
    return {type(part).__name__: type(part) for part in layer.family}


class Calls:
    """The calls of layers between a model's inputs and outputs.

    Attributes
    ----------
    calls : list of dict
        In the order of computation: ``layer``, ``inputs`` (references), ``list``.
    inputs : list of list of Value
        What each call reads.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.calls: list[Config] = []
        self.inputs: list[list[Value]] = []
        self._numbers: dict[Use | Value, int] = {}
        for value in model.inputs:
            if not isinstance(value.layer, InputLayer):
                raise ValueError(f"{model.describe()}: its inputs must be made by Input")
            self._add(value, value.layer, [], list=False)
        for use in calls(model.outputs, known=model.inputs):
            self._add(use, use.layer, list(use.inputs), **_form_of(use))

    def reference(self, value: Value) -> list[int]:
        """How calls name a value."""
        if value in self._numbers:
            return [self._numbers[value], 0]
        if value.use is None:
            raise ValueError(
                f"{self.model.describe()}: a value of shape {value.shape} was made outside of "
                "any layer, so the model's structure cannot be written down; use a layer such as "
                "Activation"
            )
        use, output = value.use
        return [self._numbers[use], output]

    def references(self, form: Any, values: Sequence[Value]) -> Any:
        """Those of a model's inputs or outputs; by name if they are."""
        found = [self.reference(value) for value in values]
        plain = isinstance(form, Value) or (
            isinstance(form, list | tuple) and not any(map(nests.is_nest, form))
        )
        return found if plain else nests.packed(form, found)

    def _add(self, key: Use | Value, layer: Layer, read: list[Value], **form: Any) -> None:
        inputs = [self.reference(value) for value in read]
        self._numbers[key] = len(self.calls)
        self.calls.append({"layer": layer.name, "inputs": inputs} | form)
        self.inputs.append(read)


INPUT = {"input": True}  # stands for a value among arguments


def _form_of(use: Use) -> Config:
    """How a layer was called: on one value, on a list of them, or with other arguments."""
    args, kwargs = use.arguments
    if len(args) == 1 and not kwargs and use.training is None:
        if isinstance(args[0], Value):
            return {"list": False}
        if isinstance(args[0], list | tuple) and len(use.inputs) == len(args[0]):
            return {"list": True}
    args, kwargs = nests.mapped(
        lambda leaf: _Input() if isinstance(leaf, Value) else leaf, (args, kwargs)
    )
    if use.training is not None:
        kwargs = kwargs | {"training": use.training}
    return {"list": False, "arguments": [_plain(args), _plain(kwargs)]}


class _Input:
    """A value among arguments, before it is written down."""


def _plain(nest: Any) -> Any:
    """Arguments as JSON has them."""
    if isinstance(nest, _Input):
        return dict(INPUT)
    if isinstance(nest, Mapping):
        return {name: _plain(part) for name, part in nest.items()}
    return [_plain(part) for part in nest] if isinstance(nest, list | tuple) else nest


def call_arguments(call: Config, read: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
    """What a layer is called with, of a call and what stands for the values that it reads."""
    if "arguments" not in call:
        return [list(read) if call["list"] else read[0]], {}
    rest = iter(read)

    def filled(nest: Any) -> Any:
        if nest == INPUT:
            return next(rest)
        if isinstance(nest, Mapping):
            return {name: filled(part) for name, part in nest.items()}
        return [filled(part) for part in nest] if isinstance(nest, list | tuple) else nest

    args, kwargs = call["arguments"]
    return filled(args), filled(kwargs)


def _is_reference(thing: Any) -> bool:
    return (
        isinstance(thing, list | tuple)
        and len(thing) == 2
        and all(isinstance(part, int) for part in thing)
    )


def _of_references(nest: Any, of: Callable[[int, int], Any]) -> Any:
    """A nest of what a function makes of each reference."""
    if _is_reference(nest):
        return of(*nest)
    if isinstance(nest, Mapping):
        return {name: _of_references(part, of) for name, part in nest.items()}
    return [_of_references(part, of) for part in nest]


def _references(nest: Any) -> list[Any]:
    """The references in a nest, in order."""
    found: list[Any] = []
    _of_references(nest, lambda call, output: found.append([call, output]))
    return found


def from_inputs(inputs: Any, outputs: Any) -> tuple[Any, Any]:
    """A model's inputs and outputs, beginning with inputs of its own where values are given.

    What other layers make may be an input too: the layers behind it are then used once more, on an
    `Input` of that shape.
    """
    given = [value for value in values_in(inputs) if not isinstance(value.layer, InputLayer)]
    if not given:
        return inputs, outputs
    new: dict[Value, Value] = {}
    for value in given:
        layer = InputLayer(value.shape[1:], dtype=value.dtype)
        new[value] = layer.output
    same = {value: value for value in values_in(inputs) if value not in new}
    ends = values_in(outputs)
    uses = calls(ends, known=[*new, *same])
    effects = [effect.value for use in uses for effect in use.effects]
    made = replayed([*ends, *effects], new | same, keep_layers=True)
    for use in uses:
        if not any(value in made for value in use.outputs):
            continue
        args, kwargs = nests.mapped(
            lambda leaf: made.get(leaf, leaf) if isinstance(leaf, Value) else leaf, use.arguments
        )
        again = Use(use.layer, args, kwargs, use.training)
        again.makes([made.get(value, value) for value in use.outputs])
        again.effects = [
            Effect(e.layer, made.get(e.value, e.value), e.variable, e.training) for e in use.effects
        ]
    first, last = (
        nests.mapped(lambda leaf: made.get(leaf, leaf) if isinstance(leaf, Value) else leaf, nest)
        for nest in (inputs, outputs)
    )
    return first, last
