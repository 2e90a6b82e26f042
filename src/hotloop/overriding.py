"""Methods that Keras would call and hotloop does not: refused in a user's class, not ignored."""

from __future__ import annotations

import functools
from typing import Any

_PACKAGE = __name__.partition(".")[0]


def is_built_in(kind: Any) -> bool:
    """Whether a class, function or method is hotloop's."""
    module: str = kind.__module__
    return module.partition(".")[0] == _PACKAGE


def refuse(thing: Any, use: str, names: tuple[str, ...], advice: str) -> None:
    """That none of these methods is of the user's own class, or set on the very object.

    Parameters
    ----------
    thing : object
        Of a class of hotloop's, or of one derived from it.
    use : str
        What would ignore them, as ``"fit()"``.
    names : tuple of str
    advice : str
        What to do instead, as sentences.

    Raises
    ------
    NotImplementedError
        Naming class and method.
    """
    kind, own = type(thing), thing.__dict__
    if own.keys() & names:
        for name in names:
            if callable(own.get(name)):
                raise error(kind, name, f"{use} would ignore what the object was given", advice)
    refuse_in_class(kind, use, names, advice)


def refuse_in_class(kind: type, use: str, names: tuple[str, ...], advice: str) -> None:
    """As `refuse`, of a class alone."""
    if found := _overridden(kind, names):
        raise error(*found, f"{use} would ignore it", advice)


def overrides(thing: Any, names: tuple[str, ...]) -> bool:
    """Whether one of these is of the user's own class, or set on the very object."""
    own: dict[str, Any] = thing.__dict__
    kind: Any = type(thing)
    return _overridden(kind, names) is not None or bool(own.keys() & names)


@functools.cache
def _overridden(kind: type, names: tuple[str, ...]) -> tuple[type, str] | None:
    """The first of these methods that is not hotloop's, and the class that it is of."""
    for base in kind.__mro__:
        if is_built_in(base):
            break
        for name in names:
            if name in vars(base):
                return base, name
    return None


def error(kind: type, name: str, why: str, advice: str) -> NotImplementedError:
    """The error for a method that is never called."""
    return NotImplementedError(
        f"{kind.__name__}.{name} is never called: hotloop runs whole plans, and {why}. {advice}"
    )
