"""Models in files: written, and read back."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .keras_writing import described
    from .model import load_model, save_model
    from .model_json import model_from_json
    from .pickling import reduced
    from .weights import load_weights, save_weights

__all__ = [
    "described",
    "load_model",
    "load_weights",
    "model_from_json",
    "reduced",
    "save_model",
    "save_weights",
]

_MODULES = {
    "described": ".keras_writing",
    "load_model": ".model",
    "load_weights": ".weights",
    "model_from_json": ".model_json",
    "reduced": ".pickling",
    "save_model": ".model",
    "save_weights": ".weights",
}


def __getattr__(name: str) -> Any:
    """Imports what files need, archives and checksums among it, when it is first used."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name], __name__), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
