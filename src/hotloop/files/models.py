"""The way from models to their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from types import FunctionType
from typing import TYPE_CHECKING, Any, Protocol

from .. import registry

if TYPE_CHECKING:
    from ..layers.base import Layer
    from ..models.model import Model


class ModelFiles(Protocol):
    """What models and callbacks ask of `hotloop.saving`, which knows models, and stands above."""

    def save_model(
        self, model: Model, filepath: str | PathLike[str], overwrite: bool = True
    ) -> None:
        """Writes a whole model."""

    def save_weights(
        self, model: Model, filepath: str | PathLike[str], overwrite: bool = True
    ) -> None:
        """Writes the weights of a model."""

    def load_weights(
        self,
        model: Model,
        filepath: str | PathLike[str],
        *,
        skip_mismatch: bool = False,
        by_name: bool = False,
    ) -> None:
        """Reads them."""

    def reduced(self, model: Model) -> tuple[Any, ...]:
        """What ``__reduce__`` of a model returns."""

    def described(self, layer: Layer) -> dict[str, Any]:
        """A layer or model as Keras's files describe it."""

    def compile_config(self, model: Model) -> dict[str, Any] | None:
        """What compile was given, as Keras's files describe it."""

    def compile_from_config(self, model: Model, config: Mapping[str, Any]) -> None:
        """Compiles a model with that."""

    def serialize_keras_object(self, obj: Any) -> Any:
        """An object as plain data."""

    def deserialize_keras_object(
        self, config: Any, custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        """The object that a configuration describes."""


_entered: ModelFiles


def enter(files: ModelFiles) -> None:
    """Says what reads and writes models."""
    global _entered
    _entered = files


def model_files() -> ModelFiles:
    """What reads and writes models."""
    return _entered


def serialized(thing: Any) -> Any:
    """An object as plain data in Keras's form."""
    return model_files().serialize_keras_object(thing)


def deserialized(
    config: Any, custom_objects: Mapping[str, Any] | None, get: Callable[[Any], Any]
) -> Any:
    """The object that a configuration is of, here or in Keras; `get` is its module's."""
    with registry.CustomObjectScope(custom_objects):
        if isinstance(config, Mapping) and config.get("module"):
            config = model_files().deserialize_keras_object(config)
        return config if isinstance(config, FunctionType) else get(config)
