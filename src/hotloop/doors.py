"""Names that a module imports when they are first used, and what is said of those it has not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

_nothing: Mapping[str, str] = {}


def door(package: str, modules: Mapping[str, str] = _nothing) -> Callable[[str], Any]:
    """The ``__getattr__`` of a module that takes each of these names from a module of its own.

    For any other name, the AttributeError has the nearest one, or says why hotloop does not have
    what Keras has.

    Examples
    --------
    >>> door("hotloop", {"relu": ".activations"})("relu").__name__
    'relu'
    >>> door("hotloop.layers")("Masking")
    Traceback (most recent call last):
    AttributeError: module 'hotloop.layers' has no attribute 'Masking'. Keras has it, hotloop \
has not: comes next: masks
    """

    def get(name: str) -> Any:
        if name in modules:
            return getattr(import_module(modules[name], package), name)
        raise AttributeError(f"module '{package}' has no attribute '{name}'{_hint(package, name)}")

    return get


def _hint(package: str, name: str) -> str:
    """What may have been meant, or why it is not there."""
    if name.startswith("_"):  # as Python itself asks for
        return ""
    from .absent import reason

    path = f"{package.partition('.')[2]}.{name}".lstrip(".")
    if why := reason(path):
        return f". Keras has it, hotloop has not: {why.replace('`', '')}"
    from .naming import nearest

    module = sys.modules[package]
    known = getattr(module, "__all__", None) or [one for one in vars(module) if one[0] != "_"]
    near = nearest(name, known)
    return f". Did you mean '{near}'?" if near else ""
