"""Structures of models as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import registry
from ..files import strict_json
from ..files.refusals import refusals
from ..models.model import Model
from ..models.structure import layer_from_config
from . import keras_configs


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Model:
    """The model that ``model.to_json()`` describes, here or in Keras 2 or 3, with new weights.

    Parameters
    ----------
    json_string : str
    custom_objects : mapping of str to class or function, optional
        Those that are not hotloop's, by their names.

    Raises
    ------
    ValueError
        If it is not JSON, or describes no model that can be made here.

    Examples
    --------
    >>> import hotloop
    >>> text = hotloop.Sequential([hotloop.layers.Dense(3, input_dim=2)]).to_json()
    >>> hotloop.models.model_from_json(text).count_params()
    9
    """
    with (
        refusals("json_string", "description of a model"),
        registry.CustomObjectScope(custom_objects),
    ):
        config = strict_json.loads(json_string, "it")
        if keras_configs.is_of_keras(config):
            config = keras_configs.Translation().layer(config)
        model = layer_from_config(config)
        if not isinstance(model, Model):
            raise ValueError(f"this describes the layer {type(model).__name__}, not a model")
    return model
