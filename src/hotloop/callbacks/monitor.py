"""Watching one metric: its value after each epoch, and whether that is better than before."""

from __future__ import annotations

import math
import re
import warnings

from .base import Callback, Logs


class MonitorCallback(Callback):
    """Base of the callbacks that judge epochs by one metric.

    Any number is better than NaN.

    Parameters
    ----------
    monitor : str
        Name of the metric as in the logs, with ``val_`` for validation.
    mode : {"auto", "min", "max"}
        Whether less or more is better; "auto" asks the metric.
    min_delta : float
        A value is better only if it is so by more than this; the sign does not matter.

    Attributes
    ----------
    best : float or None
        Best value of the metric so far.

    Raises
    ------
    ValueError
        If mode is none of these; after the first epoch, if "auto" cannot tell.

    Examples
    --------
    >>> MonitorCallback("val_accuracy", mode="max").improves(0.9, 0.8)
    True
    """

    best: float | None = None

    def __init__(self, monitor: str = "val_loss", mode: str = "auto", min_delta: float = 0) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(
                f"{type(self).__name__}: mode must be 'auto', 'min' or 'max', got {mode!r}"
            )
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(min_delta)

    def monitored(self, logs: Logs | None) -> float | None:
        """The metric's value in these logs; None, and a warning, where there is none."""
        logs = logs or {}
        self._more_is_better()
        value = logs.get(self.monitor)
        if value is None:
            warnings.warn(
                f"{type(self).__name__} watches {self.monitor!r}, which is not among the metrics "
                f"of this run: {', '.join(sorted(logs)) or 'none'}",
                stacklevel=3,
            )
        return value

    def improves(self, value: float, reference: float | None) -> bool:
        """Whether a value is better than a reference; anything is better than None.

        And any number is better than NaN, which would stay the best for ever.
        """
        more = self._more_is_better()
        if reference is None:
            return True
        if math.isnan(reference):
            return not math.isnan(value)
        if more:
            return value - self.min_delta > reference
        return value + self.min_delta < reference

    def _more_is_better(self) -> bool:
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitor.removeprefix("val_")
        if name == "loss" or name.endswith("_loss"):
            return False
        for metric in getattr(self.model, "metrics", ()):
            # Logs may have the output's name before a metric's, and a number behind it.
            alike = re.fullmatch(rf"(.+_)?{re.escape(metric.name)}(_\d+)?", name)
            direction = getattr(metric, "_direction", None)
            if alike and direction is not None:
                return bool(direction == "up")
        raise ValueError(
            f"{type(self).__name__} cannot tell whether {self.monitor!r} should rise or fall; "
            "pass mode='max' or mode='min'"
        )
