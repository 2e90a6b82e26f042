"""Models in files: written, and read back."""

from typing import TYPE_CHECKING

from ..doors import door

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

# What files need, archives and checksums among it, is imported when it is first used.
__getattr__ = door(
    __name__,
    {
        "described": ".keras_writing",
        "load_model": ".model",
        "load_weights": ".weights",
        "model_from_json": ".model_json",
        "reduced": ".pickling",
        "save_model": ".model",
        "save_weights": ".weights",
    },
)
