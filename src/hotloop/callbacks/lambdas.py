"""Functions as callbacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .base import Callback


class LambdaCallback(Callback):
    """A callback whose hooks are given as functions.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end : callable, optional
        Take the epoch, from 0, and the logs.
    on_train_begin, on_train_end : callable, optional
        Take the logs.
    on_train_batch_begin, on_train_batch_end : callable, optional
        Take the batch, from 0, and the logs.
    **hooks : callable
        Any other hook of `Callback`, by its name.

    Raises
    ------
    TypeError
        If something is not callable, or `Callback` has no such hook.

    Examples
    --------
    >>> show = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    >>> show.on_epoch_end(0, {"loss": 0.5})
    0 0.5
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **hooks: Callable[..., Any] | None,
    ) -> None:
        hooks = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **hooks,
        }
        for name, function in hooks.items():
            if not name.startswith("on_") or not hasattr(Callback, name):
                raise TypeError(f"LambdaCallback: Callback has no hook {name!r}")
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"LambdaCallback: {name} must be a function, not {function!r}")
            # Of the instance: a hook that is not given costs nothing, see Callback.overrides.
            setattr(self, name, function)
