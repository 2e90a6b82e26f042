"""The record of a training run that ``fit`` returns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from .base import Callback, Logs
from .monitor import MonitorCallback

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
        self._count = 0  # epochs of all runs
        self._epochs: dict[str, list[int]] = {}  # those that each metric was told of, from 1

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Become the model's history; the values of earlier runs are kept, as in Keras."""
        self.epoch = []
        if self.model is not None:
            self.model.history = self

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Append the values of an epoch."""
        self.tell_epochs(
            range(epoch, epoch + 1), {name: [value] for name, value in (logs or {}).items()}
        )

    def tell_epochs(self, epochs: range, logs: Mapping[str, list[float]]) -> None:
        """Append the values of several epochs."""
        self.epoch.extend(epochs)
        # A later run goes on after the one before, whatever it calls its epochs.
        first = max(epochs.start, self._count) + 1
        self._count = first + len(epochs) - 1
        for name, values in logs.items():
            self.history.setdefault(name, []).extend(values)
            self._epochs.setdefault(name, []).extend(range(first, self._count + 1))

    def epochs_of(self, name: str) -> list[int]:
        """The epochs, from 1, that the values of a metric belong to."""
        values, epochs = self.history[name], self._epochs.get(name, [])
        return epochs if len(epochs) == len(values) else list(range(1, len(values) + 1))

    def plot(
        self,
        metrics: str | Sequence[str] | None = None,
        axes: Any = None,
        path: str | PathLike[str] | None = None,
        *,
        log: bool | str = "auto",
        title: str | None = None,
    ) -> Figure:
        """Draws the course of the training: a chart for each metric, with its best epoch marked.

        Nothing is shown and no global setting is touched: the figure is the caller's. Needs
        Matplotlib: ``pip install matplotlib``.

        Parameters
        ----------
        metrics : str or list of str, optional
            Which, without ``val_``; all if not given. Training and validation share a chart.
        axes : matplotlib Axes or list of them, optional
            Where to draw, one for each metric; axes of a new figure if not given.
        path : path-like, optional
            A file to write too, in the format that its name ends in: ``.png``, ``.svg``, ``.pdf``.
        log : bool or "auto"
            Whether values have a logarithmic scale; "auto" where a metric that should fall, as a
            loss, spans a factor of 100.
        title : str, optional
            Above all charts.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImportError
            If Matplotlib is not installed.
        ValueError
            If nothing was recorded, for a metric that was not, for axes that are not as many as
            the metrics, and for files that Matplotlib does not write.

        Examples
        --------
        >>> history = History()
        >>> history.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.6})
        >>> history.on_epoch_end(1, {"loss": 0.4, "val_loss": 0.7})
        >>> figure = history.plot()
        >>> [chart.get_title() for chart in figure.axes]
        ['loss']
        """
        from . import curves

        figure: Figure = curves.draw(self, metrics, axes, path, log, title)
        return figure

    def rises(self, name: str) -> bool | None:
        """Whether more of a metric is better; None if that is not known."""
        judge = MonitorCallback(name)
        judge.set_model(self.model)
        try:
            return judge.improves(1.0, 0.0)
        except ValueError:
            return None

    def best(self, name: str) -> int | None:
        """Which of a metric's values is its best, from 0; None if that is not known."""
        values, rises = self.history[name], self.rises(name)
        finite = [i for i, value in enumerate(values) if math.isfinite(value)]
        if rises is None or not finite:
            return None
        return (max if rises else min)(finite, key=values.__getitem__)

    def metric_names(self) -> list[str]:
        """The metrics without ``val_``, the loss first."""
        names = dict.fromkeys(name.removeprefix("val_") for name in self.history)
        return sorted(names, key=lambda name: name != "loss")

    def _repr_html_(self) -> str:
        """A table with a small curve for each metric, in notebooks."""
        from .. import notebook

        rows = []
        for name in self.metric_names():
            known = [key for key in (name, f"val_{name}") if key in self.history]
            colours = [notebook.VALIDATION if key != name else notebook.TRAINING for key in known]
            pairs = list(zip(known, colours, strict=True))
            picture = notebook.curves(
                [(self.epochs_of(key), self.history[key], colour) for key, colour in pairs]
            )
            for key, colour in pairs:
                values, best = self.history[key], self.best(key)
                rows.append(
                    [
                        notebook.marked(key, colour),
                        f"{values[0]:.4g}" if values else "",
                        f"{values[-1]:.4g}" if values else "",
                        "" if best is None else f"{values[best]:.4g}",
                        "" if best is None else str(self.epochs_of(key)[best]),
                        picture if key == known[0] else "",
                    ]
                )
        epochs = max(map(len, self.history.values()), default=0)
        count = f"{epochs} epoch" + ("s" if epochs != 1 else "")
        headings = ["metric", "first", "last", "best", "in epoch", ""]
        return notebook.table(f"History: {count}", headings, rows, numbers=(1, 2, 3, 4))

    def get_state(self) -> dict[str, Any]:
        """All values so far."""
        return {
            "history": self.history,
            "epoch": self.epoch,
            "epochs": self._epochs,
            "count": self._count,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from these values."""
        self.history = {name: list(values) for name, values in state["history"].items()}
        self.epoch = list(state["epoch"])
        self._epochs = {name: list(epochs) for name, epochs in state["epochs"].items()}
        self._count = state["count"]
