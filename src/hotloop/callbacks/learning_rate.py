"""Changing the learning rate between epochs."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable, Mapping
from typing import Any

from ..console import say
from .base import Callback, Logs
from .monitor import MonitorCallback


class LearningRateScheduler(Callback):
    """Set the learning rate before each epoch.

    The rate of an epoch is among its logs, as ``learning_rate``.

    Parameters
    ----------
    schedule : callable
        Takes the number of the epoch, from 0, and the rate so far, or the number alone; returns
        the new rate.
    verbose : {0, 1}
        1 prints each epoch's rate.

    Raises
    ------
    TypeError
        When an epoch begins, if the schedule returns something else than a number.

    Examples
    --------
    >>> halve = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(
                "LearningRateScheduler: schedule must be a function of the epoch and the "
                f"learning rate, not {schedule!r}"
            )
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = _takes(schedule, 2)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Ask the schedule, and set what it says."""
        optimizer = self.model.optimizer
        known = (epoch, optimizer.learning_rate) if self._takes_rate else (epoch,)
        rate = self.schedule(*known)
        if not isinstance(rate, numbers.Real):
            raise TypeError(
                f"LearningRateScheduler: the schedule returned {rate!r} for epoch {epoch}; it "
                "must return the learning rate, a number"
            )
        optimizer.learning_rate = float(rate)
        if self.verbose:
            say(f"Epoch {epoch + 1}: the learning rate is {optimizer.learning_rate:g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add the rate to the logs."""
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate


class ReduceLROnPlateau(MonitorCallback):
    """Lower the learning rate when a metric has not improved for some epochs.

    The new rate is ``max(rate * factor, min_lr)``. The rate of an epoch is among its logs, as
    ``learning_rate``.

    Parameters
    ----------
    monitor : str
        Name of the metric as in the logs, with ``val_`` for validation.
    factor : float
        What the rate is multiplied by, below 1.
    patience : int
        Epochs without improvement after which the rate is lowered.
    verbose : {0, 1}
        1 says when.
    mode : {"auto", "min", "max"}
        Whether less or more is better; "auto" asks the metric.
    min_delta : float
        Least change that counts; its sign does not matter.
    cooldown : int
        Epochs after a change that do not count.
    min_lr : float
        The rate never falls below this.

    Raises
    ------
    ValueError
        If factor is 1 or more, or mode is none of these.

    Examples
    --------
    >>> ReduceLROnPlateau(factor=0.5, patience=3).factor
    0.5
    """

    wait: int
    cooldown_counter: int

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if not 0 <= factor < 1:
            raise ValueError(
                f"ReduceLROnPlateau: factor must be at least 0 and below 1, not {factor!r}"
            )
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self._forget()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew, so that one object serves several runs."""
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Judge the epoch, and lower the rate where patience has run out."""
        rate = self.model.optimizer.learning_rate
        if logs is not None:
            logs["learning_rate"] = rate
        value = self.monitored(logs)
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.improves(value, self.best):
            self.best = value
            self.wait = 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                self._lower(epoch, rate)

    def get_state(self) -> dict[str, Any]:
        """The best value, and the epochs since and until."""
        return {"best": self.best, "wait": self.wait, "cooldown_counter": self.cooldown_counter}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.best, self.wait = state["best"], state["wait"]
        self.cooldown_counter = state["cooldown_counter"]

    def _lower(self, epoch: int, rate: float) -> None:
        self.model.optimizer.learning_rate = max(rate * self.factor, self.min_lr)
        self.cooldown_counter = self.cooldown
        self.wait = 0
        if self.verbose:
            say(
                f"Epoch {epoch + 1}: {self.monitor} did not improve, the learning rate is now "
                f"{self.model.optimizer.learning_rate:g}"
            )

    def _forget(self) -> None:
        """State before the first epoch."""
        self.best = None
        self.wait = 0
        self.cooldown_counter = 0


def _takes(function: Callable[..., object], count: int) -> bool:
    """Whether a function takes so many arguments by position; yes where that cannot be told."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # no signature, as of some built-in functions
        return True
    return True
