"""The record of a training run that ``fit`` returns."""

from __future__ import annotations

from collections.abc import Mapping

from .base import Callback, Logs


class History(Callback):
    """Values of all metrics, epoch by epoch.

    Attributes
    ----------
    history : dict of str to list
        For each metric its value after each epoch; those of validation begin with ``val_``.
    epoch : list of int
        Numbers of the epochs of the last run, from 0.

    Examples
    --------
    >>> history = History()
    >>> history.on_train_begin()
    >>> history.on_epoch_end(0, {"loss": 0.5})
    >>> history.history, history.epoch
    ({'loss': [0.5]}, [0])
    """

    passive = True

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Become the model's history; the values of earlier runs are kept, as in Keras."""
        self.epoch = []
        if self.model is not None:
            self.model.history = self

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Append the values of an epoch."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def tell_epochs(self, epochs: range, logs: Mapping[str, list[float]]) -> None:
        """Append the values of several epochs."""
        self.epoch.extend(epochs)
        for name, values in logs.items():
            self.history.setdefault(name, []).extend(values)
