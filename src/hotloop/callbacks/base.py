"""The hooks that a training, evaluation or prediction run calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Logs = dict[str, Any]


class Callback:
    """Base of all callbacks: override the hooks that you need.

    Every hook gets ``logs``, a dict from metric names to values; in `on_epoch_end` those of
    validation begin with ``val_``. Overriding a hook of batches makes training return to Python
    after each batch, which costs speed; the hooks of epochs cost nothing to speak of.

    Attributes
    ----------
    model : Model
        The model in use, from `set_model` on.
    params : dict
        Settings of the run: ``verbose``, ``epochs``, ``steps``.
    passive : bool
        True in a class that only records its hooks' arguments and looks neither at the model
        nor at the clock: several epochs may then run before it hears of the first one.
    ends_at_nan : bool
        True in a class for which a loss that is not finite ends training and is no error.
    backs_up : bool
        True in `BackupAndRestore`, with which fit goes on where a killed program was.

    Examples
    --------
    >>> class Announce(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(epoch, logs["loss"])
    >>> Announce().on_epoch_end(0, {"loss": 0.5})
    0 0.5
    """

    model: Any = None
    params: Mapping[str, Any] | None = None
    passive: bool = False
    ends_at_nan: bool = False
    backs_up: bool = False

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Take the settings of the run that is about to begin."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Take the model of the run that is about to begin."""
        self.model = model

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called when training begins."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called when training ends, with the logs of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called when an epoch begins; epochs count from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called when an epoch and its validation end, with the values of all metrics."""

    def tell_epochs(self, epochs: range, logs: Mapping[str, list[float]]) -> None:
        """Several epochs that ran at once; only a passive callback is told so.

        `logs` has one value for each epoch. By default, the hooks of single epochs are called.
        """
        for i, epoch in enumerate(epochs):
            self.on_epoch_begin(epoch, {})
            self.on_epoch_end(epoch, {name: values[i] for name, values in logs.items()})

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a training batch; batches count from 0 in each epoch."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a training batch, with the metrics of the epoch so far."""
        self.on_batch_end(batch, logs=logs)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Older name of `on_train_batch_end`."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called when evaluation begins, and validation within training."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called when evaluation or validation ends, with the values of all metrics."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of evaluation or validation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of evaluation or validation, with the metrics so far."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Called when prediction begins."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Called when prediction ends."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of prediction, with ``logs["outputs"]``."""

    def get_state(self) -> dict[str, Any]:
        """What a backup of the training keeps of this callback: see `BackupAndRestore`.

        A dict of numbers, strings, arrays, and lists and dicts of them; nothing by default.
        """
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` gave: after the hooks that begin the training."""

    def overrides(self, *hooks: str) -> bool:
        """Whether any of these hooks does something here.

        Examples
        --------
        >>> Callback().overrides("on_epoch_end")
        False
        """
        own, kind = self.__dict__, type(self)  # and few calls: each run asks
        for hook in hooks:
            if hook in own or getattr(kind, hook) is not Callback.__dict__[hook]:
                return True
        return False
