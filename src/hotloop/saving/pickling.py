"""Models in pickles and deep copies: everything `hotloop.models.save_model` writes, in memory.

Unlike a file, a pickle may hold classes, functions and objects of the user's own.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..layers.base import Layer
    from ..models.model import Model
    from ..optimizers import Optimizer


@dataclass
class Content:
    """What a model is made of again."""

    config: dict[str, Any]
    classes: dict[str, type[Layer]]
    weights: list[NDArray[Any]] | None
    optimizer: Optimizer | None
    slots: list[list[NDArray[Any]]]
    arguments: dict[str, Any] | None


def reduced(model: Model) -> tuple[Any, ...]:
    """What ``__reduce__`` of a model returns."""
    return restore, (content(model),)


def content(model: Model) -> Content:
    """The model's parts, none of them with locks or plans."""
    from ..models.structure import classes_of, layer_config

    optimizer = model.optimizer
    return Content(
        layer_config(model, with_draws=True),
        classes_of(model),
        model.get_weights() if model.built else None,
        optimizer,
        [[s.numpy() for s in optimizer.slots_so_far(w)] for w in model.weights]
        if optimizer
        else [],
        model.compile_arguments(),
    )


def restore(of: Content) -> Model:
    """A model of these parts."""
    from ..models.structure import is_model, layer_from_config

    model = layer_from_config(of.config, of.classes)
    assert is_model(model)
    if of.weights is not None:
        model.set_weights(of.weights)
    optimizer = copy.deepcopy(of.optimizer)  # not shared, even if the copy is a shallow one
    if of.arguments is not None:
        model.compile(optimizer, **of.arguments)
    if optimizer is not None:
        for weight, arrays in zip(model.weights, of.slots, strict=True):
            if arrays:
                for slot, array in zip(optimizer.all_slots(weight), arrays, strict=True):
                    slot.assign(np.asarray(array))
    return model
