"""Names of packages that are imported when they are first used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def door(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package that takes each of these names from a module of its own.

    Examples
    --------
    >>> door("hotloop", {"relu": ".activations"})("relu").__name__
    'relu'
    """

    def get(name: str) -> Any:
        if name in modules:
            return getattr(import_module(modules[name], package), name)
        raise AttributeError(f"module '{package}' has no attribute '{name}'")

    return get
