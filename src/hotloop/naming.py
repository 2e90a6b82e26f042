"""Names: of things that are looked up, and of layers and models that were given none."""

from __future__ import annotations

import functools
import inspect
import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from .forks import kept_over_forks

Entry = TypeVar("Entry")

_used: Counter[str] = Counter()
_lock = kept_over_forks(threading.RLock())  # a signal handler may make layers


def lookup(kind: str, identifier: str, table: Mapping[str, Entry]) -> Entry:
    """Entry of a table by name; case and underscores do not matter.

    Parameters
    ----------
    kind : str
        What the table holds, in the singular; only used in the error.
    identifier : str
        The name, as ``"glorot_uniform"`` or ``"GlorotUniform"``.
    table : mapping of str to entry
        Every known name.

    Raises
    ------
    TypeError
        If the identifier is not a string.
    ValueError
        If there is no such name; names the nearest one and all known ones.

    Examples
    --------
    >>> lookup("activation", "leakyReLU", {"relu": 1, "leaky_relu": 2})
    2
    >>> lookup("activation", "rellu", {"relu": 1, "elu": 2})
    Traceback (most recent call last):
    ValueError: Unknown activation 'rellu'. Did you mean 'relu'? Known: elu, relu
    """
    if not isinstance(identifier, str):
        raise TypeError(
            f"Expected the name of one {kind}, a string, got {identifier!r} "
            f"of type {type(identifier).__name__}"
        )
    if identifier in table:
        return table[identifier]
    by_key = {_key(name): name for name in table}
    key = _key(identifier)
    if key in by_key:
        return table[by_key[key]]
    near = nearest(key, by_key)
    hint = f" Did you mean {by_key[near]!r}?" if near else ""
    known = ", ".join(sorted(table, key=str.lower))
    raise ValueError(f"Unknown {kind} {identifier!r}.{hint} Known: {known}")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that somebody may have meant; None if none is like it.

    Examples
    --------
    >>> nearest("momentun", ["momentum", "nesterov"])
    'momentum'
    """
    import difflib  # errors alone need it

    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def instantiate(kind: str, identifier: object, table: Mapping[str, Any]) -> Any:
    """Object that an identifier stands for, in every way Keras's ``get`` functions know.

    A name or a class gives a new instance with default settings, a configuration
    ``{"class_name": name, "config": {...}}`` gives ``from_config(config)``; any other
    callable is returned as it is.

    Raises
    ------
    ValueError
        If a name is unknown, or if the identifier is none of these.

    Examples
    --------
    >>> instantiate("number", "Float", {"float": float})
    0.0
    """
    if isinstance(identifier, str):
        found = lookup(kind, identifier, table)
        return found() if inspect.isclass(found) else found
    if isinstance(identifier, Mapping):
        if "class_name" not in identifier:
            raise ValueError(
                f"A configuration of one {kind} needs the keys 'class_name' and 'config', "
                f"got the keys {sorted(map(str, identifier))}"
            )
        cls = lookup(kind, identifier["class_name"], table)
        return cls.from_config(dict(identifier.get("config") or {}))
    if inspect.isclass(identifier):
        return identifier()
    if callable(identifier):
        return identifier
    raise ValueError(
        f"Could not interpret {identifier!r} as one {kind}: pass its name, an instance, "
        "a function or a configuration"
    )


def serialize(thing: Any) -> Any:
    """What `instantiate` makes an equal object of: a configuration, or a function's name.

    Examples
    --------
    >>> serialize(snake_case), serialize(None)
    ('snake_case', None)
    """
    if hasattr(thing, "serialized"):
        return thing.serialized()
    if hasattr(thing, "get_config"):
        return {"class_name": type(thing).__name__, "config": thing.get_config()}
    return thing if thing is None else getattr(thing, "__name__", type(thing).__name__)


def to_json(content: Any, **options: Any) -> str:
    """Configurations as JSON; options as of `json.dumps`.

    Raises
    ------
    ValueError
        For a function among them.

    Examples
    --------
    >>> to_json({"class_name": "Dense"})
    '{"class_name": "Dense"}'
    """
    import json

    def refuse(thing: Any) -> Any:
        raise ValueError(
            f"{thing!r} cannot be written down: functions are code, and files are data. Give an "
            "activation or a loss of your own a name (hotloop.activations.register, "
            "hotloop.losses.register); a model with a Lambda layer has to be made in Python, and "
            "its weights can be saved"
        )

    return json.dumps(content, **{"default": refuse} | options)


def snake_case(name: str) -> str:
    """Class name in the form that Keras uses for default names.

    Examples
    --------
    >>> snake_case("LeakyReLU"), snake_case("AUC"), snake_case("BatchNormalization")
    ('leaky_re_lu', 'auc', 'batch_normalization')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def unique_name(prefix: str) -> str:
    """Prefix itself at its first use, then ``prefix_1``, ``prefix_2`` and so on.

    Thread-safe.

    Examples
    --------
    >>> clear_names()
    >>> unique_name("dense"), unique_name("dense"), unique_name("sequential")
    ('dense', 'dense_1', 'sequential')
    """
    with _lock:
        number = _used[prefix]
        _used[prefix] += 1
    return f"{prefix}_{number}" if number else prefix


def clear_names() -> None:
    """Let `unique_name` count from the start again."""
    with _lock:
        _used.clear()


@functools.lru_cache(1024)  # of every known name, each time one is looked up
def _key(name: str) -> str:
    """Spelling that is the same for snake case and camel case."""
    return re.sub(r"[\W_]+", "", name).lower()
