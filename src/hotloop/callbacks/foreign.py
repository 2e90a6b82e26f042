"""Callbacks of other packages, which have Keras's hooks but are not of hotloop's class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .base import Callback

# What a run calls.
HOOKS = tuple(
    name
    for name in vars(Callback)
    if name.startswith("on_") and name not in ("on_batch_begin", "on_batch_end")
)


def is_foreign(thing: Any) -> bool:
    """Whether it has hooks, and is a callback of another package.

    Examples
    --------
    >>> is_foreign(Callback()), is_foreign("callback")
    (False, False)
    """
    return not isinstance(thing, Callback | type) and any(hasattr(thing, name) for name in HOOKS)


class Foreign(Callback):
    """A callback of another package, called as Keras would call it.

    Parameters
    ----------
    given : object
        With some of the hooks of `Callback`.

    Examples
    --------
    >>> class Announce:
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(epoch)
    >>> Foreign(Announce()).on_epoch_end(3)
    3
    >>> Foreign(Announce()).overrides("on_train_batch_end")
    False
    """

    def __init__(self, given: Any) -> None:
        self.given = given
        self.ends_at_nan = type(given).__name__ == "TerminateOnNaN"
        for name in HOOKS:
            if self._does(name):
                setattr(self, name, self._hook(name))

    def _hook(self, name: str) -> Callable[..., None]:
        hook = getattr(self.given, name)

        def call(*position: int, logs: Any = None) -> None:
            *place, given = position if len(position) > self._places(name) else (*position, logs)
            hook(*place, {} if given is None else given)

        return call

    @staticmethod
    def _places(name: str) -> int:
        """How many numbers stand before the logs."""
        return 1 if "batch" in name or "epoch" in name else 0

    def _does(self, name: str) -> bool:
        """Whether the hook does something: it is not that of the class's own base."""
        kind = type(self.given)
        names = [name]
        if name.startswith("on_train_batch"):  # which call these
            names.append(name.replace("train_", ""))
        base = kind.__mro__[-2]
        for one in names:
            if one in vars(self.given):
                return True
            found = getattr(kind, one, None)
            is_of_base = base.__name__ == "Callback" and found is getattr(base, one, None)
            if found is not None and not is_of_base:
                return True
        return False

    def overrides(self, *hooks: str) -> bool:
        return any(hook in vars(self) for hook in hooks)

    def set_params(self, params: Mapping[str, Any]) -> None:
        super().set_params(params)
        if hasattr(self.given, "set_params"):
            self.given.set_params(dict(params))

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        if hasattr(self.given, "set_model"):
            self.given.set_model(model)
