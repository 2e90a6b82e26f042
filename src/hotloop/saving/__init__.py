"""Models in files: written, and read back; objects as plain data, and made of it again."""

from typing import TYPE_CHECKING

from ..doors import door
from ..registry import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)

if TYPE_CHECKING:
    from .keras_writing import compile_config, described
    from .model import load_model, save_model
    from .model_json import model_from_json
    from .objects import deserialize_keras_object, serialize_keras_object
    from .pickling import reduced
    from .training import compile_from_config
    from .weights import load_weights, save_weights

__all__ = [
    "CustomObjectScope",
    "compile_config",
    "compile_from_config",
    "custom_object_scope",
    "described",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "load_weights",
    "model_from_json",
    "reduced",
    "register_keras_serializable",
    "save_model",
    "save_weights",
    "serialize_keras_object",
]

# What files need, archives and checksums among it, is imported when it is first used.
__getattr__ = door(
    __name__,
    {
        "compile_config": ".keras_writing",
        "compile_from_config": ".training",
        "described": ".keras_writing",
        "deserialize_keras_object": ".objects",
        "load_model": ".model",
        "load_weights": ".weights",
        "model_from_json": ".model_json",
        "reduced": ".pickling",
        "save_model": ".model",
        "save_weights": ".weights",
        "serialize_keras_object": ".objects",
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
