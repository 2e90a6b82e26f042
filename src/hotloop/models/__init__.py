"""Models: layers put together, compiled, trained."""

from typing import TYPE_CHECKING, Any

from ..layers.base import enter_call_on_arrays
from .eager import call_layer
from .model import Model
from .sequential import Sequential
from .structure import clone_model, model_from_json

if TYPE_CHECKING:
    from ..saving.model import load_model, save_model

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]

enter_call_on_arrays(call_layer)


def __getattr__(name: str) -> Any:
    """Imports what files need, archives and checksums among it, when it is first used."""
    if name in ("load_model", "save_model"):
        from ..saving import model

        return getattr(model, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
