"""Where a ``.keras`` file keeps what: the order of layers, of weights and of optimizer state.

The file is a zip archive of ``config.json`` (layers, their calls, what compile was given),
``metadata.json`` and ``model.weights.h5``. In the last one, and in files of weights alone, a
layer's weights are ``layers/<class>/vars/0``, ``.../1`` and so on, the class in snake case with a
number from the second of its kind on; what is inside a model inside a model has ``layers/...``
below that one. The optimizer's state is ``optimizer/vars/0`` and so on.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import naming
from ..optimizers import Adafactor, Nadam, Optimizer

if TYPE_CHECKING:
    from ..layers.base import Layer
    from ..models.model import Model
    from ..variables import Variable

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"

# State arrays that Keras keeps together, weight by weight; by default, all of an optimizer's.
_TOGETHER = {
    "Adam": [["momentum", "velocity"], ["velocity_hat"]],
    "RMSprop": [["velocity"], ["momentum"], ["average_gradient"]],
}


def groups(model: Model) -> Iterator[tuple[str, Layer]]:
    """The model and each layer in it, once, with its place in the file: that of ``vars``.

    A model made of inputs and outputs has its layers in ``layers``. A class of one's own, model or
    layer, has them by its attributes in the order of their names, lists and dicts included; of
    such a model, Keras counts ``layers`` as one of the attributes.
    """
    yield from _walk(model, "", set())


def _walk(layer: Layer, place: str, met: set[int]) -> Iterator[tuple[str, Layer]]:
    if id(layer) in met:
        return
    met.add(id(layer))
    yield place, layer
    for name, child in _children(layer):
        yield from _walk_thing(child, f"{place}{name}", met)


def _walk_thing(thing: Any, place: str, met: set[int]) -> Iterator[tuple[str, Layer]]:
    """A layer, or those in a list or dict, each called by its class and a number."""
    from ..layers.base import Layer

    if isinstance(thing, Layer):
        yield from _walk(thing, f"{place}/", met)
    elif isinstance(thing, Mapping | list | tuple):
        used: Counter[str] = Counter()
        for one in thing.values() if isinstance(thing, Mapping) else thing:
            if not isinstance(one, Layer | Mapping | list | tuple):
                continue
            kind = _kind(one) if isinstance(one, Layer) else "container"
            name = f"{kind}_{used[kind]}" if used[kind] else kind
            used[kind] += 1
            yield from _walk_thing(one, f"{place}/{name}", met)


def _children(layer: Layer) -> list[tuple[str, Any]]:
    from ..layers.base import Layer
    from ..models.model import Model

    if isinstance(layer, Model) and not layer.records_call:
        return [("layers", layer.layers)]
    base = _attributes_of(Model if isinstance(layer, Model) else Layer)
    named = {name: value for name, value in vars(layer).items() if name not in base}
    if isinstance(layer, Model):
        named["layers"] = layer.layers
    return sorted(named.items(), key=lambda item: (item[0].startswith("_"), item[0]))


@functools.cache
def _attributes_of(cls: type[Layer]) -> frozenset[str]:
    """What every layer, or model, keeps in attributes."""
    return frozenset(vars(cls(name="any"))) | {"_call_options", "_given", "_built_for"}


def _kind(layer: Layer) -> str:
    """Keras's name of a layer's class."""
    from ..models.model import Model

    return "functional" if type(layer) is Model else naming.snake_case(type(layer).__name__)


def state_order(
    optimizer: Optimizer, weights: Sequence[Variable]
) -> list[tuple[Variable, Variable | None]]:
    """The optimizer's state arrays as Keras orders them, each with its weight.

    None stands for what Keras keeps for Adafactor and hotloop does not: see `state`.
    """
    order: list[tuple[Variable, Variable | None]] = []
    if optimizer.use_ema:
        order += [(weight, optimizer.average(weight)) for weight in weights]
    if optimizer.gradient_accumulation_steps:
        order += [(weight, optimizer.accumulator(weight)) for weight in weights]
    classes = [cls.__name__ for cls in type(optimizer).__mro__]
    names = [list(optimizer.slot_values())]
    for group in next((_TOGETHER[name] for name in classes if name in _TOGETHER), names):
        for weight in weights:
            kept = dict(
                zip(optimizer.shapes_of_slots(weight), optimizer.slots(weight), strict=True)
            )
            all_of_them = isinstance(optimizer, Adafactor)
            order += [(weight, kept.get(n)) for n in group if all_of_them or n in kept]
    return order


def state(optimizer: Optimizer, weights: Sequence[Variable]) -> list[Any]:
    """What those arrays hold."""
    arrays: list[Any] = []
    for weight, slot in state_order(optimizer, weights):
        if slot is not None:
            arrays.append(slot.numpy())
        elif isinstance(optimizer, Adafactor) and len(weight.shape) > 1:
            arrays.append(optimizer.velocity(weight))
        else:
            arrays.append(np.int32(0))  # in place of a vector's rows and columns
    return arrays


def state_behind(optimizer: Optimizer) -> list[np.float32]:
    """What Keras keeps behind those arrays, and hotloop computes: Nadam's product of factors."""
    if not isinstance(optimizer, Nadam):
        return []
    steps = np.arange(1, optimizer.iterations + 1)
    return [np.float32(np.prod(optimizer.beta_1 * (1 - 0.5 * 0.96**steps)))]
