"""The way from models to their files."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol

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


_entered: ModelFiles


def enter(files: ModelFiles) -> None:
    """Says what reads and writes models."""
    global _entered
    _entered = files


def model_files() -> ModelFiles:
    """What reads and writes models."""
    return _entered
