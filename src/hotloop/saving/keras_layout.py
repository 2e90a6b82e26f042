"""Where a ``.keras`` file keeps what: the order of layers, of weights and of optimizer state.

The file is a zip archive of ``config.json`` (layers, their calls, what compile was given),
``metadata.json`` and ``model.weights.h5``. In the last one, a layer's weights are
``layers/<class>/vars/0``, ``.../1`` and so on, the class in snake case with a number from the
second of its kind on; what is inside a model inside a model has ``layers/...`` below that one.
The optimizer's state is ``optimizer/vars/0`` and so on.
"""

from __future__ import annotations

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


def h5py() -> Any:
    """The module, which only those need who read or write Keras's files."""
    try:
        import h5py
    except ImportError:
        raise ImportError(
            "files of Keras hold weights in HDF5, which needs h5py: pip install 'hotloop[keras]'"
        ) from None
    return h5py


def places(
    entry: Mapping[str, Any], path: str = "", within: tuple[str, ...] = ()
) -> Iterator[tuple[str, tuple[str, ...], dict[str, Any]]]:
    """Each layer that ``config.json`` has in a model: its place in the file, its name behind
    those of the models that it is in, and what is said about it; in the order of the file.
    """
    used: Counter[str] = Counter()
    for one in entry["config"]["layers"]:
        if one["class_name"] == "InputLayer" and "inbound_nodes" not in one:
            continue  # a Sequential's, which Keras lists but does not count
        kind = naming.snake_case(one["class_name"])
        place = f"{path}layers/{kind}_{used[kind]}" if used[kind] else f"{path}layers/{kind}"
        used[kind] += 1
        names = (*within, one["config"]["name"])
        yield place, names, one
        if "layers" in one["config"]:
            yield from places(one, f"{place}/", names)


def groups(entry: Mapping[str, Any], model: Model) -> Iterator[tuple[str, Layer]]:
    """Each layer of a model with its place in the file."""
    for place, names, _ in places(entry):
        layer: Any = model
        for name in names:
            layer = layer.get_layer(name)
        yield place, layer


def own_weights(layer: Layer) -> list[Variable]:
    """A layer's weights, those of layers within it left out; Keras has trainable ones first."""
    from ..models.model import Model

    if isinstance(layer, Model):
        return []
    return sorted(layer.weights, key=lambda weight: not weight.trainable)


def trained_weights(places: Sequence[tuple[str, Layer]], model: Model) -> list[Variable]:
    """The weights that an optimizer has state for, each once, in Keras's order."""
    trained = {id(weight) for weight in model.trainable_weights}
    found = {id(w): w for _, layer in places for w in own_weights(layer) if id(w) in trained}
    return list(found.values())


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
