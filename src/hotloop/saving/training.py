"""What a model was compiled with, as plain data and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import losses, metrics, naming

if TYPE_CHECKING:
    from ..models.model import Model
    from ..optimizers import Optimizer


def training_arguments(model: Model) -> dict[str, Any] | None:
    """The arguments of compile as plain data; None before it was called."""
    if model.optimizer is None or (given := model.compile_arguments()) is None:
        return None
    return {"optimizer": naming.serialize(model.optimizer)} | {
        name: _plain(value) for name, value in given.items()
    }


def _plain(given: Any) -> Any:
    """Names, objects, and lists and dicts of them, as JSON can hold them."""
    if given is None or isinstance(given, str | int | float):
        return given
    if isinstance(given, Mapping):
        return {name: _plain(value) for name, value in given.items()}
    if isinstance(given, list | tuple):
        return [_plain(value) for value in given]
    return naming.serialize(given() if isinstance(given, type) else given)


def compile_with(model: Model, optimizer: Optimizer, training: Mapping[str, Any]) -> None:
    """Compiles a model with an optimizer and the rest of `training_arguments`."""
    model.compile(
        optimizer,
        _objects(training["loss"], losses.get),
        training["loss_weights"],
        _objects(training["metrics"], metrics.get),
        _objects(training["weighted_metrics"], metrics.get),
    )


def _objects(given: Any, get: Any) -> Any:
    """The reverse of `_plain`: names stay names, configurations become objects."""
    if isinstance(given, Mapping):
        if "class_name" in given:
            return get(given)
        return {name: _objects(value, get) for name, value in given.items()}
    if isinstance(given, list):
        return [_objects(value, get) for value in given]
    return given
