"""Stopping when a metric no longer improves."""

from __future__ import annotations

import warnings
from typing import Any

from .base import Callback, Logs


class EarlyStopping(Callback):
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
    best: float | None
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
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode must be 'auto', 'min' or 'max', got {mode!r}")
        self.monitor = monitor
        self.min_delta = abs(min_delta)
        self.patience = patience
        self.verbose = verbose
        self.mode = mode
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._forget()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew, so that one object serves several runs."""
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Judge the epoch, and stop the model where patience has run out."""
        value = self._monitored(logs or {})
        if value is None:
            return
        more_is_better = self._more_is_better()
        if epoch < self.start_from_epoch:
            return
        # Even where nothing ever improves, as with NaN, there are weights to restore.
        if self.restore_best_weights and self.best_weights is None:
            self._remember_weights(epoch)
        self.wait += 1
        if self._improves(value, self.best, more_is_better):
            self.best = value
            self.best_epoch = epoch
            if self.restore_best_weights:
                self._remember_weights(epoch)
            if self._improves(value, self.baseline, more_is_better):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Restore the best weights where that is asked for."""
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: stopped early, {self.monitor} did not improve")
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restored the weights of the best epoch, {self.best_epoch + 1}")
            self.model.set_weights(self.best_weights)

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

    def _monitored(self, logs: Logs) -> float | None:
        """Value of the monitored metric; warns where there is none."""
        value = logs.get(self.monitor)
        if value is None:
            warnings.warn(
                f"EarlyStopping watches {self.monitor!r}, which is not among the metrics of this "
                f"run: {', '.join(sorted(logs)) or 'none'}",
                stacklevel=2,
            )
        return value

    def _more_is_better(self) -> bool:
        """Whether the monitored metric should rise."""
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitor.removeprefix("val_")
        if name == "loss" or name.endswith("_loss"):
            return False
        for metric in getattr(self.model, "metrics", ()):
            direction = getattr(metric, "_direction", None)
            if metric.name == name and direction is not None:
                return bool(direction == "up")
        raise ValueError(
            f"EarlyStopping cannot tell whether {self.monitor!r} should rise or fall; "
            "pass mode='max' or mode='min'"
        )

    def _improves(self, value: float, reference: float | None, more_is_better: bool) -> bool:
        """Whether a value is better than a reference by more than min_delta."""
        if reference is None:
            return True
        if more_is_better:
            return value - self.min_delta > reference
        return value + self.min_delta < reference
