"""Nests: lists, tuples and dicts of things, also within each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any


def is_nest(thing: Any) -> bool:
    """Whether it holds things, and is not one of them."""
    return isinstance(thing, list | tuple | Mapping)


def flat(nest: Any) -> tuple[Any, ...]:
    """What is in a nest, in the order in which it stands there; a single thing is one itself.

    Examples
    --------
    >>> flat({"a": [1, 2], "b": (3, {"c": 4})})
    (1, 2, 3, 4)
    """
    return tuple(_leaves(nest)) if is_nest(nest) else (nest,)


def _leaves(nest: Any) -> Iterator[Any]:
    for part in nest.values() if isinstance(nest, Mapping) else nest:
        if is_nest(part):
            yield from _leaves(part)
        else:
            yield part


def parts(nest: Any) -> list[Any]:
    """What a nest holds itself, not what those hold."""
    return list(nest.values() if isinstance(nest, Mapping) else nest)


def packed(like: Any, things: Sequence[Any]) -> Any:
    """Things in the form of another nest that has as many.

    Examples
    --------
    >>> packed({"a": [1, 2], "b": (3,)}, "xyz")
    {'a': ['x', 'y'], 'b': ('z',)}
    """
    rest = iter(things)
    return mapped(lambda _: next(rest), like)


def packed_shallow(like: Any, things: Sequence[Any]) -> Any:
    """Things in a list or tuple as another one."""
    if isinstance(like, list):
        return list(things)
    return type(like)(*things) if hasattr(like, "_fields") else tuple(things)


def mapped(function: Callable[[Any], Any], nest: Any) -> Any:
    """A nest of the same form, of what a function makes of each thing in it.

    Examples
    --------
    >>> mapped(lambda x: x + 1, {"a": [1, 2]})
    {'a': [2, 3]}
    """
    if isinstance(nest, Mapping):
        return {name: mapped(function, part) for name, part in nest.items()}
    if isinstance(nest, list | tuple):
        return packed_shallow(nest, [mapped(function, part) for part in nest])
    return function(nest)


def alike(a: Any, b: Any) -> bool:
    """Whether two nests have the same form.

    Examples
    --------
    >>> alike([1, {"a": 2}], [3, {"a": 4}]), alike([1], 2)
    (True, False)
    """
    if isinstance(a, Mapping):
        same = isinstance(b, Mapping) and list(a) == list(b)
        return same and all(alike(a[name], b[name]) for name in a)
    if isinstance(a, list | tuple):
        same = isinstance(b, list | tuple) and len(a) == len(b)
        return same and all(map(alike, a, b))
    return not is_nest(b)


def ordered(form: Any, nest: Any) -> list[Any] | None:
    """What is in a nest, in the order of another one of the same form; None if it has another form.

    Dicts are the same by their keys. What stands for a single thing in `form` may be a nest itself,
    as a list of numbers.

    Examples
    --------
    >>> ordered({"a": 0, "b": 0}, {"b": [3, 4], "a": 1})
    [1, [3, 4]]
    """
    if not is_nest(form):
        return [nest]
    if isinstance(form, Mapping):
        if not isinstance(nest, Mapping) or any(name not in nest for name in form):
            return None
        parts = [ordered(form[name], nest[name]) for name in form]
    else:
        if not isinstance(nest, list | tuple) or len(nest) != len(form):
            return None
        parts = [ordered(*pair) for pair in zip(form, nest, strict=True)]
    if any(part is None for part in parts):
        return None
    return [thing for part in parts for thing in part or ()]
