"""Stopping when a metric no longer improves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..console import say
from .base import Logs
from .monitor import MonitorCallback

_STATE = ("wait", "stopped_epoch", "best", "best_epoch", "best_weights")


class EarlyStopping(MonitorCallback):
    """Stop training when a metric has not improved for some epochs.

    An epoch improves where the metric is better than the best so far by more than `min_delta`.

    Parameters
    ----------
    monitor : str
        Name of the metric as in the logs, with ``val_`` for validation.
    min_delta : float
        Least change that counts; its sign does not matter.
    patience : int
        Epochs without improvement after which training stops.
    verbose : {0, 1}
        1 says when training stops and which weights are restored.
    mode : {"auto", "min", "max"}
        Whether less or more is better; "auto" asks the metric.
    baseline : float, optional
        The metric must also be better than this, or patience runs out.
    restore_best_weights : bool
        Whether the model ends with the weights of its best epoch, however training ends,
        instead of the last ones.
    start_from_epoch : int
        First epoch that is looked at, from 0.

    Attributes
    ----------
    stopped_epoch : int
        Epoch at which training was stopped, from 0; 0 where it was not.
    best : float or None
        Best value of the metric.
    best_epoch : int
        Epoch of that value.

    Raises
    ------
    ValueError
        If mode is none of these; after the first epoch, if "auto" cannot tell.

    Examples
    --------
    >>> stop = EarlyStopping(monitor="loss", patience=2)
    >>> stop.patience
    2
    """

    wait: int
    stopped_epoch: int
    best_epoch: int
    best_weights: list[Any] | None

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._forget()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew, so that one object serves several runs."""
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Judge the epoch, and stop the model where patience has run out."""
        value = self.monitored(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        # Even where nothing ever improves, as with NaN, there are weights to restore.
        if self.restore_best_weights and self.best_weights is None:
            self._remember_weights(epoch)
        self.wait += 1
        if self.improves(value, self.best):
            self.best = value
            self.best_epoch = epoch
            if self.restore_best_weights:
                self._remember_weights(epoch)
            if self.improves(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Restore the best weights where that is asked for."""
        if self.stopped_epoch and self.verbose:
            say(f"Epoch {self.stopped_epoch + 1}: stopped early, {self.monitor} did not improve")
        if self.best_weights is not None:
            if self.verbose:
                say(f"Restored the weights of the best epoch, {self.best_epoch + 1}")
            self.model.set_weights(self.best_weights)

    def get_state(self) -> dict[str, Any]:
        """The best epoch, its weights, and the epochs since."""
        return {name: getattr(self, name) for name in _STATE}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        for name in _STATE:
            setattr(self, name, state[name])

    def _forget(self) -> None:
        """State before the first epoch."""
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_epoch = 0
        self.best_weights = None

    def _remember_weights(self, epoch: int) -> None:
        """Take the current weights as the best."""
        self.best_weights = self.model.get_weights()
        self.best_epoch = epoch
