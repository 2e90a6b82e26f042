"""Keras's configurations of any object: written, and made objects of again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import naming, registry
from ..layers.base import Layer
from .keras_configs import Translation, module_of
from .keras_writing import described, marked

_PLAIN = (str, int, float, bool, type(None))


def serialize_keras_object(obj: Any) -> Any:
    """An object as plain data, in Keras's form: class, arguments, where the class is from.

    Parameters
    ----------
    obj : object
        A layer, model, loss, metric, optimizer ..., a function with a name, an array, or lists,
        tuples and dicts of these.

    Raises
    ------
    ValueError
        For what has no name that a file could have, as a lambda.

    Examples
    --------
    >>> from hotloop.regularizers import L2
    >>> serialize_keras_object(L2(0.5))["config"]
    {'l2': 0.5}
    """
    if isinstance(obj, _PLAIN):
        return obj
    if isinstance(obj, list | tuple):
        return type(obj)([serialize_keras_object(one) for one in obj])
    if isinstance(obj, Mapping) and not hasattr(obj, "get_config"):
        return {key: serialize_keras_object(value) for key, value in obj.items()}
    if isinstance(obj, Layer):
        return described(obj)
    written = naming.plain(obj)
    if isinstance(written, dict) and isinstance(written["config"], Mapping):
        config = {key: marked(value, key) for key, value in written["config"].items()}
        written["config"] = serialize_keras_object(config)
    return written


def deserialize_keras_object(
    config: Any,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool = True,
    **options: Any,
) -> Any:
    """The object that `serialize_keras_object` described, here or in Keras. Executes no code.

    Parameters
    ----------
    config : dict, or list or dict of dicts
    custom_objects : mapping of str to class or function, optional
        Those of your own that are not registered.
    safe_mode : bool
        For Keras's sake: code in a configuration is refused in either case.
    **options
        ``module_objects``: a mapping as `custom_objects`, that comes last.

    Raises
    ------
    ValueError
        If a class or function is not known, or it holds code.
    TypeError
        For what is no configuration.

    Examples
    --------
    >>> from hotloop.regularizers import L2
    >>> deserialize_keras_object(serialize_keras_object(L2(0.5))).l2
    0.5
    """
    module_objects = options.pop("module_objects", None) or {}
    with registry.CustomObjectScope({**module_objects, **(custom_objects or {})}):
        return _made(config)


def _made(config: Any) -> Any:
    if isinstance(config, str):
        own = registry.get_registered_object(config)
        return config if own is None else own
    if isinstance(config, _PLAIN):
        return config
    if isinstance(config, list | tuple):
        return type(config)([_made(one) for one in config])
    if not isinstance(config, Mapping):
        return config  # an object already
    if not {"class_name", "config"} <= config.keys():
        return {key: _made(value) for key, value in config.items()}
    name, given = config["class_name"], config["config"]
    match name:
        case "__numpy__" | "__tensor__":
            return np.array(given["value"], given["dtype"])
        case "__bytes__":
            return given["value"].encode()
        case "__ellipsis__":
            return ...
        case "__slice__":
            return slice(given["start"], given["stop"], given["step"])
        case "__lambda__":
            raise ValueError(
                "it holds a lambda, that is, code; files are never executed, whatever safe_mode "
                "says. Make the object in Python"
            )
        case "function":
            return _function(config)
    own = registry.named_in(config)
    if own is not None:
        return _own(own, config)
    return Translation().thing(dict(config))


def _function(config: Mapping[str, Any]) -> Any:
    own = registry.named_in(config)
    if own is not None:
        return own
    module = module_of(config)
    found = getattr(module, config["config"], None) if module else None
    if not callable(found):
        raise ValueError(
            f"there is no function {config['config']!r} known. One of your own: "
            f"{registry.HOW_TO_NAME}"
        )
    return found


def _own(cls: Any, config: Mapping[str, Any]) -> Any:
    """An object of a user's class."""
    if not isinstance(cls, type):
        return cls
    if issubclass(cls, Layer):
        from ..models.structure import layer_from_config

        return layer_from_config(Translation().layer(dict(config)))
    make = getattr(cls, "from_config", None)
    if make is None:
        raise TypeError(f"{cls.__name__} has no from_config(), so no configuration makes one")
    return make(dict(config["config"] or {}))
