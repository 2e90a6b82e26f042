"""What a model was compiled with, as plain data and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import losses, metrics, naming, optimizers

if TYPE_CHECKING:
    from ..models.model import Model


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


def says_how_to_compile(kind: type[Model]) -> bool:
    """Whether a class of the user's own says itself what it is compiled with."""
    from ..models.model import Model

    return kind.get_compile_config is not Model.get_compile_config


def compile_from_config(model: Model, config: Mapping[str, Any]) -> None:
    """Compiles a model with what `Model.get_compile_config` said, here or in Keras."""
    from .keras_configs import Translation

    compile_with(model, Translation().compiled(dict(config)))


def compile_with(model: Model, training: Mapping[str, Any]) -> None:
    """Compiles a model with its `training_arguments`."""
    model.compile(
        optimizers.get(training["optimizer"]),
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
