"""Nested lists, tuples and dicts: their leaves, and the same structure with other leaves.

A leaf is whatever is no list, tuple, named tuple or dict. A dict's leaves are in the order of its
sorted keys; those of an `OrderedDict` in its own order.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .doors import door

__all__ = [
    "MAP_TO_NONE",
    "assert_same_paths",
    "assert_same_structure",
    "flatten",
    "flatten_with_path",
    "is_nested",
    "lists_to_tuples",
    "map_shape_structure",
    "map_structure",
    "map_structure_up_to",
    "pack_sequence_as",
    "traverse",
]


class MAP_TO_NONE:  # noqa: N801 - Keras's name
    """What a function of `traverse` returns for None in the result."""


def is_nested(structure: Any) -> bool:
    """Whether it is a list, tuple or dict.

    Examples
    --------
    >>> is_nested((1, 2)), is_nested(1), is_nested({})
    (True, False, True)
    """
    return isinstance(structure, list | tuple | dict)


def flatten(structure: Any) -> list[Any]:
    """The leaves.

    Examples
    --------
    >>> flatten({"b": [1, (2, 3)], "a": 0})
    [0, 1, 2, 3]
    """
    return [leaf for _, leaf in _walk(structure, ())]


def flatten_with_path(structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """The leaves, each with the keys and indices that lead to it.

    Examples
    --------
    >>> flatten_with_path({"b": [1], "a": 0})
    [(('a',), 0), (('b', 0), 1)]
    """
    return list(_walk(structure, ()))


def pack_sequence_as(structure: Any, flat_sequence: Iterable[Any]) -> Any:
    """The structure with other leaves, in the order of `flatten`.

    Raises
    ------
    ValueError
        If there are not as many.
    TypeError
        If they are no sequence.

    Examples
    --------
    >>> pack_sequence_as({"b": [1, 2], "a": 0}, "xyz")
    {'b': ['y', 'z'], 'a': 'x'}
    """
    if not isinstance(flat_sequence, Iterable):
        raise TypeError(f"flat_sequence must be a list of leaves, got {flat_sequence!r}")
    leaves = list(flat_sequence)
    count = len(flatten(structure))
    if count != len(leaves):
        raise ValueError(f"the structure has {count} leaves, flat_sequence {len(leaves)}")
    following = iter(leaves)
    return _rebuilt(structure, lambda _: next(following))


def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """The structure with ``func(leaf, ...)`` for each leaf, or for those in the same place.

    Parameters
    ----------
    func : callable
    *structures
        One at least, all of the same structure.
    none_is_leaf : bool
        If not, None stays None.

    Examples
    --------
    >>> map_structure(lambda a, b: a + b, {"x": 1, "y": [2]}, {"x": 10, "y": [20]})
    {'x': 11, 'y': [22]}
    """
    _check(func, structures)
    for other in structures[1:]:
        assert_same_structure(structures[0], other)

    def call(*leaves: Any) -> Any:
        return None if leaves[0] is None and not none_is_leaf else func(*leaves)

    return _mapped(call, structures)


def map_structure_up_to(shallow_structure: Any, func: Callable[..., Any], *structures: Any) -> Any:
    """As `map_structure`, down to the leaves of another structure.

    Examples
    --------
    >>> map_structure_up_to([0, 0], len, [[1, 2], [3]])
    [2, 1]
    """
    _check(func, structures)
    rest = [_up_to(shallow_structure, one) for one in structures]
    results = [func(*leaves) for leaves in zip(*rest, strict=True)]
    return pack_sequence_as(shallow_structure, results)


def map_shape_structure(func: Callable[[Any], Any], structure: Any) -> Any:
    """As `map_structure`, where tuples and lists of whole numbers and None are leaves: shapes.

    Examples
    --------
    >>> map_shape_structure(len, {"x": (None, 3), "y": (1, 2, 3)})
    {'x': 2, 'y': 3}
    """
    _check(func, [structure])
    return _rebuilt(structure, func, lambda part: _is_shape(part) or not is_nested(part))


def assert_same_structure(a: Any, b: Any, check_types: bool | None = None) -> None:
    """That both are nested alike, with the same types and keys.

    Raises
    ------
    ValueError
        Where they are not.

    Examples
    --------
    >>> assert_same_structure([1, (2, 3)], [4, (5, 6)])
    """
    if is_nested(a) != is_nested(b):
        raise ValueError(f"one is nested and the other is not: {a!r} and {b!r}")
    if not is_nested(a):
        return
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            raise ValueError(f"the keys differ: {list(a)} and {list(b)}")
        for key in a:
            assert_same_structure(a[key], b[key])
        return
    if type(a) is not type(b):
        raise ValueError(f"the types differ: {type(a).__name__} and {type(b).__name__}")
    if len(a) != len(b):
        raise ValueError(f"the lengths differ: {len(a)} and {len(b)}")
    for one, other in zip(a, b, strict=True):
        assert_same_structure(one, other)


def assert_same_paths(a: Any, b: Any) -> None:
    """That the leaves of both have the same keys and indices, whatever the types.

    Raises
    ------
    ValueError
        Where they have not.

    Examples
    --------
    >>> assert_same_paths([1, 2], (3, 4))
    """
    first, second = ({path for path, _ in flatten_with_path(one)} for one in (a, b))
    if first != second:
        raise ValueError(f"the paths differ in {sorted(first ^ second, key=str)}")


def lists_to_tuples(structure: Any) -> Any:
    """The structure with tuples for lists.

    Examples
    --------
    >>> lists_to_tuples([1, {"a": [2]}])
    (1, {'a': (2,)})
    """
    made = _rebuilt(structure, lambda leaf: leaf)
    if isinstance(made, dict):
        return type(made)((key, lists_to_tuples(value)) for key, value in made.items())
    if isinstance(made, list):
        return tuple(lists_to_tuples(one) for one in made)
    return _remade(made, [lists_to_tuples(one) for one in made]) if is_nested(made) else made


def traverse(func: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """Calls a function on each part, and puts what it returns in the part's place.

    Parameters
    ----------
    func : callable
        Returns what is to stand there, `MAP_TO_NONE` for None, or None to go on into the part.
    structure
    top_down : bool
        Whether a part comes before what is in it.

    Examples
    --------
    >>> traverse(lambda part: sum(part) if isinstance(part, tuple) else None, [(1, 2), 3])
    [3, 3]
    """
    _check(func, [structure])
    if top_down:
        found = func(structure)
        if found is not None:
            return None if _is_none(found) else found
    made = structure
    if is_nested(structure):
        if isinstance(structure, dict):
            made = {key: traverse(func, structure[key], top_down) for key in _keys(structure)}
            made = _in_order_of(structure, made)
        else:
            made = _remade(structure, [traverse(func, one, top_down) for one in structure])
    if top_down:
        return made
    found = func(made)
    if found is None:
        return made
    return None if _is_none(found) else found


def _is_none(found: Any) -> bool:
    return found is MAP_TO_NONE or isinstance(found, MAP_TO_NONE)


def _check(func: Any, structures: Iterable[Any]) -> None:
    if not callable(func):
        raise TypeError(f"func must be callable, got {func!r}")
    if not list(structures):
        raise ValueError("at least one structure is needed")


def _keys(part: Mapping[Any, Any]) -> list[Any]:
    if isinstance(part, OrderedDict):
        return list(part)
    try:
        return sorted(part)
    except TypeError:  # keys that have no order
        return list(part)


def _children(part: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(part, dict):
        return ((key, part[key]) for key in _keys(part))
    return iter(enumerate(part))


def _walk(part: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if not is_nested(part):
        yield path, part
        return
    for key, child in _children(part):
        yield from _walk(child, (*path, key))


def _remade(part: Any, children: list[Any]) -> Any:
    """A list or tuple of the same type."""
    return type(part)(*children) if hasattr(part, "_fields") else type(part)(children)


def _in_order_of(part: dict[Any, Any], made: dict[Any, Any]) -> dict[Any, Any]:
    """A dict of the same type, its keys in the same order."""
    copied = part.copy()
    copied.update(made)
    return copied


def _rebuilt(
    part: Any, func: Callable[[Any], Any], is_leaf: Callable[[Any], bool] | None = None
) -> Any:
    if is_leaf(part) if is_leaf else not is_nested(part):
        return func(part)
    if isinstance(part, dict):
        made = {key: _rebuilt(child, func, is_leaf) for key, child in _children(part)}
        return _in_order_of(part, made)
    return _remade(part, [_rebuilt(child, func, is_leaf) for child in part])


def _mapped(func: Callable[..., Any], parts: tuple[Any, ...]) -> Any:
    first = parts[0]
    if not is_nested(first):
        return func(*parts)
    if isinstance(first, dict):
        made = {key: _mapped(func, tuple(part[key] for part in parts)) for key in _keys(first)}
        return _in_order_of(first, made)
    return _remade(first, [_mapped(func, each) for each in zip(*parts, strict=True)])


def _up_to(shallow: Any, part: Any) -> list[Any]:
    """What stands at the leaves of another structure."""
    if not is_nested(shallow):
        return [part]
    if not is_nested(part):
        raise ValueError(f"the structure ends at {part!r}, where shallow_structure goes on")
    if isinstance(shallow, dict) != isinstance(part, dict) or len(shallow) != len(part):
        raise ValueError(f"the structures differ: {shallow!r} and {part!r}")
    if isinstance(shallow, dict):
        if shallow.keys() != part.keys():
            raise ValueError(f"the keys differ: {list(shallow)} and {list(part)}")
        return [leaf for key in _keys(shallow) for leaf in _up_to(shallow[key], part[key])]
    pairs = zip(shallow, part, strict=True)
    return [leaf for one, other in pairs for leaf in _up_to(one, other)]


def _is_shape(part: Any) -> bool:
    known = (int, type(None))
    return isinstance(part, list | tuple) and all(isinstance(one, known) for one in part)


if not TYPE_CHECKING:  # which knows all names
    __getattr__ = door(__name__)
