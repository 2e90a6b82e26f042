"""Helpers for users' programs: labels, sequences, batches, files, progress."""

from typing import TYPE_CHECKING

from ..doors import door

if TYPE_CHECKING:
    from ..backend import clear_session, is_keras_tensor, standardize_dtype
    from ..config import (
        disable_interactive_logging,
        enable_interactive_logging,
        is_interactive_logging_enabled,
    )
    from ..models.diagram import model_to_dot, plot_model
    from ..random import set_random_seed
    from ..registry import (
        CustomObjectScope,
        custom_object_scope,
        get_custom_objects,
        get_registered_name,
        get_registered_object,
        register_keras_serializable,
    )
    from ..saving.objects import deserialize_keras_object, serialize_keras_object
    from .batches import (
        PyDataset,
        Sequence,
        pack_x_y_sample_weight,
        split_dataset,
        unpack_x_y_sample_weight,
    )
    from .downloads import get_file
    from .graphs import get_source_inputs
    from .labels import normalize, to_categorical
    from .progbar import Progbar
    from .sequences import pad_sequences, timeseries_dataset_from_array
    from .settings import Config

__all__ = [
    "Config",
    "CustomObjectScope",
    "Progbar",
    "PyDataset",
    "Sequence",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "is_interactive_logging_enabled",
    "is_keras_tensor",
    "model_to_dot",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]

_MODULES = {
    "..backend": "clear_session is_keras_tensor standardize_dtype",
    "..config": "disable_interactive_logging enable_interactive_logging "
    "is_interactive_logging_enabled",
    "..models.diagram": "model_to_dot plot_model",
    "..random": "set_random_seed",
    "..registry": "CustomObjectScope custom_object_scope get_custom_objects get_registered_name "
    "get_registered_object register_keras_serializable",
    "..saving.objects": "deserialize_keras_object serialize_keras_object",
    ".batches": "PyDataset Sequence pack_x_y_sample_weight split_dataset unpack_x_y_sample_weight",
    ".downloads": "get_file",
    ".graphs": "get_source_inputs",
    ".labels": "normalize to_categorical",
    ".progbar": "Progbar",
    ".sequences": "pad_sequences timeseries_dataset_from_array",
    ".settings": "Config",
}

__getattr__ = door(
    __name__, {name: module for module, names in _MODULES.items() for name in names.split()}
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
