"""Names: of things that are looked up, and of layers and models that were given none."""

from __future__ import annotations

import functools
import inspect
import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from . import registry
from .forks import kept_over_forks
from .overriding import is_built_in

Entry = TypeVar("Entry")

_used: Counter[str] = Counter()
_lock = kept_over_forks(threading.RLock())  # a signal handler may make layers


def lookup(kind: str, identifier: str, table: Mapping[str, Entry]) -> Entry:
    """Entry of a table by name; case and underscores do not matter.

    What is registered under the name, or given as a custom object, comes first.

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
    if (own := registry.get_registered_object(identifier)) is not None:
        return own  # type: ignore[no-any-return]
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
        return _configured(kind, identifier, table)
    if inspect.isclass(identifier):
        return identifier()
    if callable(identifier):
        return identifier
    raise ValueError(
        f"Could not interpret {identifier!r} as one {kind}: pass its name, an instance, "
        "a function or a configuration"
    )


def _configured(kind: str, entry: Mapping[str, Any], table: Mapping[str, Any]) -> Any:
    """The object that a configuration describes, or the function that it names."""
    own = registry.named_in(entry)
    is_function = entry["class_name"] == "function"
    try:
        cls = own or lookup(kind, entry["config" if is_function else "class_name"], table)
    except ValueError as error:
        raise ValueError(f"{error}. One of your own: {registry.HOW_TO_NAME}") from None
    if isinstance(cls, type):
        made: Any = cls
        return made() if is_function else made.from_config(dict(entry.get("config") or {}))
    return cls


def serialize(thing: Any) -> Any:
    """What `instantiate` makes an equal object of: a configuration, or a function's name.

    A function of the user's own is left as it is: copies have it, and files name it.

    Examples
    --------
    >>> serialize(snake_case), serialize(None)
    ('snake_case', None)
    """
    if hasattr(thing, "serialized"):
        return thing.serialized()
    if hasattr(thing, "get_config") and not inspect.isclass(thing):
        entry = {"class_name": type(thing).__name__, "config": thing.get_config()}
        name = registry.get_registered_name(type(thing))
        return entry if name == type(thing).__name__ else entry | {"registered_name": name}
    routine: Any = thing if inspect.isroutine(thing) else None
    return routine.__name__ if routine and is_built_in(routine) else thing


def to_json(content: Any, **options: Any) -> str:
    """Configurations as JSON; options as of `json.dumps`.

    Raises
    ------
    ValueError
        For what has no name that a file could have, as a lambda; says where it stands.

    Examples
    --------
    >>> to_json({"class_name": "Dense"})
    '{"class_name": "Dense"}'
    """
    import json

    def write(thing: Any) -> Any:
        try:
            return plain(thing)
        except ValueError as error:
            place = _place_of(thing, content)
            raise ValueError(f"{place}: {error}" if place else str(error)) from None

    return json.dumps(content, **{"default": write} | options)


def plain(thing: Any) -> Any:
    """An object of a configuration as Keras writes it: arrays, functions, objects.

    Raises
    ------
    ValueError
        For what has no name, or no `get_config`.

    Examples
    --------
    >>> plain(slice(3))
    {'class_name': '__slice__', 'config': {'start': None, 'stop': 3, 'step': None}}
    """
    import numpy as np

    if isinstance(thing, np.ndarray) and thing.ndim:
        numbers = {"value": thing.tolist(), "dtype": thing.dtype.name}
        return {"class_name": "__numpy__", "config": numbers}
    if isinstance(thing, np.generic | np.ndarray):
        return thing.item()
    if isinstance(thing, np.dtype):
        return thing.name
    if isinstance(thing, bytes):
        return {"class_name": "__bytes__", "config": {"value": thing.decode()}}
    if isinstance(thing, slice):
        ends = {"start": thing.start, "stop": thing.stop, "step": thing.step}
        return {"class_name": "__slice__", "config": ends}
    if thing is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    return registry.described(thing)


def _place_of(thing: Any, content: Any) -> str:
    """Where an object stands in a configuration: the layer or object, and its argument."""
    waiting: list[tuple[Any, str, str]] = [(content, "", "")]
    while waiting:
        part, owner, key = waiting.pop()
        if part is thing:
            return ": ".join(filter(None, (owner, key)))
        if isinstance(part, Mapping):
            kind, config = part.get("class_name"), part.get("config")
            waiting += [(value, owner, str(name)) for name, value in part.items()]
            if isinstance(kind, str) and isinstance(config, Mapping):
                name = f" '{config['name']}'" if config.get("name") else ""
                waiting += [(value, f"{kind}{name}", str(one)) for one, value in config.items()]
        elif isinstance(part, list | tuple):
            waiting += [(value, owner, key) for value in part]
    return ""


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
    number = next_number(prefix) - 1
    return f"{prefix}_{number}" if number else prefix


def next_number(prefix: str) -> int:
    """How often a prefix was used, this time included.

    Examples
    --------
    >>> clear_names()
    >>> next_number("dense"), next_number("dense")
    (1, 2)
    """
    with _lock:
        _used[prefix] += 1
        return _used[prefix]


def clear_names() -> None:
    """Let `unique_name` count from the start again."""
    with _lock:
        _used.clear()


@functools.lru_cache(1024)  # of every known name, each time one is looked up
def _key(name: str) -> str:
    """Spelling that is the same for snake case and camel case."""
    return re.sub(r"[\W_]+", "", name).lower()
