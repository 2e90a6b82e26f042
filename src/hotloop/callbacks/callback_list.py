"""The callbacks of a run, called as if they were one."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from .base import Callback, Logs
from .history import History

if TYPE_CHECKING:
    from .backup_and_restore import BackupAndRestore

# The hooks that make a run return to Python after each batch.
_TRAIN_BATCHES = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
_TEST_BATCHES = ("on_test_batch_begin", "on_test_batch_end")
_PREDICT_BATCHES = ("on_predict_batch_begin", "on_predict_batch_end")


class CallbackList(Callback):
    """Callbacks of one run, called in order as if they were one; a `History` is always among them.

    Parameters
    ----------
    callbacks : callback or iterable of callbacks, optional
        The user's own; lists may be nested. Those of other packages need no more than Keras's
        hooks.
    model : Model, optional
        Passed to each callback's `set_model`.
    params : mapping, optional
        Passed to each callback's `set_params`.

    Attributes
    ----------
    history : History
        The user's own if there is one.
    wants_train_batches, wants_test_batches, wants_predict_batches : bool
        Whether any callback overrides a hook of training, evaluation or prediction batches.
    wants_epochs : bool
        Whether any callback that is not passive overrides a hook of epochs or of validation.
        Otherwise many epochs may run first and be reported afterwards.

    Raises
    ------
    TypeError
        If something is not an instance of `Callback`.

    Examples
    --------
    >>> CallbackList([Callback()]).wants_train_batches
    False
    """

    def __init__(
        self,
        callbacks: Callback | Iterable[Any] | None = None,
        model: Any = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self.callbacks: list[Callback] = []
        _flatten(callbacks, self.callbacks)
        self._found: dict[tuple[str, ...], list[Callback]] = {}
        self.ends_at_nan = False
        history = None
        for callback in self.callbacks:
            self.ends_at_nan = self.ends_at_nan or callback.ends_at_nan
            if history is None and isinstance(callback, History):
                history = callback
        if history is None:
            history = History()
            self.callbacks.append(history)
        self.history = history
        if model is not None:
            self.set_model(model)
        if params is not None:
            self.set_params(params)

    @property
    def backup(self) -> BackupAndRestore | None:
        """The callback that backs the training up, if there is one."""
        found: list[Any] = [callback for callback in self.callbacks if callback.backs_up]
        if len(found) > 1:
            raise ValueError("callbacks: there can be only one BackupAndRestore")
        return found[0] if found else None

    @property
    def _at_epochs(self) -> list[Callback]:
        return self._those_with("on_epoch_begin", "on_epoch_end", "on_test_begin", "on_test_end")

    @property
    def wants_train_batches(self) -> bool:
        return bool(self._those_with(*_TRAIN_BATCHES))

    @property
    def wants_test_batches(self) -> bool:
        return bool(self._those_with(*_TEST_BATCHES))

    @property
    def wants_predict_batches(self) -> bool:
        return bool(self._those_with(*_PREDICT_BATCHES))

    @property
    def wants_epochs(self) -> bool:
        return not all(map(attrgetter("passive"), self._at_epochs))

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Pass the settings of the run on."""
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Pass the model on."""
        self.model = model
        for callback in self.callbacks:
            callback.set_model(model)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Call each callback's hook."""
        self._call(self.callbacks, "on_train_begin", logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Call each callback's hook."""
        self._call(self.callbacks, "on_train_end", logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Call each callback's hook."""
        self._call(self.callbacks, "on_epoch_begin", logs, epoch)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Call each callback's hook."""
        self._call(self.callbacks, "on_epoch_end", logs, epoch)

    def tell_epochs(self, epochs: range, logs: Mapping[str, list[float]]) -> None:
        """Tell the callbacks that look at epochs of several at once; all of them are passive."""
        for callback in self._at_epochs:
            callback.tell_epochs(epochs, logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of the callbacks that have it."""
        self._call(self._those_with(*_TRAIN_BATCHES), "on_train_batch_begin", logs, batch)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of the callbacks that have it."""
        self._call(self._those_with(*_TRAIN_BATCHES), "on_train_batch_end", logs, batch)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call each callback's hook."""
        self._call(self.callbacks, "on_batch_begin", logs, batch)

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call each callback's hook."""
        self._call(self.callbacks, "on_batch_end", logs, batch)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Call each callback's hook."""
        self._call(self.callbacks, "on_test_begin", logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Call each callback's hook."""
        self._call(self.callbacks, "on_test_end", logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of the callbacks that have it."""
        self._call(self._those_with(*_TEST_BATCHES), "on_test_batch_begin", logs, batch)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of the callbacks that have it."""
        self._call(self._those_with(*_TEST_BATCHES), "on_test_batch_end", logs, batch)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Call each callback's hook."""
        self._call(self.callbacks, "on_predict_begin", logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Call each callback's hook."""
        self._call(self.callbacks, "on_predict_end", logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of the callbacks that have it."""
        self._call(self._those_with(*_PREDICT_BATCHES), "on_predict_batch_begin", logs, batch)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of the callbacks that have it."""
        self._call(self._those_with(*_PREDICT_BATCHES), "on_predict_batch_end", logs, batch)

    def __iter__(self) -> Iterator[Callback]:
        return iter(self.callbacks)

    def _those_with(self, *hooks: str) -> list[Callback]:
        """Callbacks that override any of these hooks; looked for once."""
        found = self._found.get(hooks)
        if found is None:
            found = self._found[hooks] = []
            for callback in self.callbacks:
                if callback.overrides(*hooks):
                    found.append(callback)
        return found

    def _call(self, to: list[Callback], hook: str, logs: Logs | None, *position: int) -> None:
        """Call a hook of each; they share one sorted dict, so that each sees what others add."""
        shared = {name: _plain(value) for name, value in sorted(logs.items())} if logs else {}
        for callback in to:
            getattr(callback, hook)(*position, shared)


def _plain(value: Any) -> Any:
    """NumPy scalar as Python's own; anything else as it is."""
    return value.item() if isinstance(value, (np.generic, np.ndarray)) and not value.ndim else value


def _flatten(callbacks: Any, found: list[Callback]) -> None:
    """Adds the callbacks of a nested list in order, each checked."""
    if callbacks is None:
        return
    if isinstance(callbacks, (list, tuple, CallbackList)):
        for callback in callbacks:
            _flatten(callback, found)
    elif isinstance(callbacks, Callback):
        found.append(callbacks)
    elif inspect.isclass(callbacks) and issubclass(callbacks, Callback):
        raise TypeError(
            f"callbacks: got the class {callbacks.__name__}; "
            f"pass an instance, {callbacks.__name__}(...)"
        )
    elif (foreign := _as_foreign(callbacks)) is not None:
        found.append(foreign)
    else:
        raise TypeError(
            "callbacks: expected instances of hotloop.callbacks.Callback, got "
            f"{callbacks!r} of type {type(callbacks).__name__}; derive its class from Callback"
        )


def _as_foreign(thing: Any) -> Callback | None:
    """A callback of another package as one of hotloop's; None if it is none."""
    from .foreign import Foreign, is_foreign  # few programs have any

    return Foreign(thing) if is_foreign(thing) else None
