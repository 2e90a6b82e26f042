"""A bar for loops of the user's own."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from .. import console


class Progbar:
    """Shows how far a loop is, with the means of what it reports.

    Parameters
    ----------
    target : int or None
        Steps in all; None if that is not known.
    width : int
        Characters of the bar.
    verbose : {0, 1, 2}
        0 shows nothing, 1 a line that is written over, 2 a line at the end.
    interval : float
        Seconds between two drawings at least.
    stateful_metrics, stateless_metrics : iterable of str, optional
        Names whose last value is shown, or the mean of all. With stateless ones, all others are
        stateful; with neither, none is.
    unit_name : str
        What a step is called.

    Examples
    --------
    >>> bar = Progbar(3, width=6, verbose=2)
    >>> for step in range(3):
    ...     bar.update(step + 1, [("loss", 1.0 / (step + 1))])  # doctest: +ELLIPSIS
    3/3 - ... - loss: 0.6111
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError("Progbar: give stateful_metrics or stateless_metrics, and not both")
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self.stateful_metrics = set(stateful_metrics or ())
        self._stateless = None if stateless_metrics is None else set(stateless_metrics)
        self._seen_so_far = 0
        self._sums: dict[str, list[float]] = {}
        self._start = time.monotonic()
        self._drawn = -1.0
        self._length = 0

    def update(
        self,
        current: int,
        values: Iterable[tuple[str, Any]] | None = None,
        finalize: bool | None = None,
    ) -> None:
        """Shows that so many steps are done.

        Parameters
        ----------
        current : int
        values : iterable of (name, value), optional
            Means weigh each value by the steps since the last one.
        finalize : bool, optional
            Whether it was the last; if not given, where `current` is the target.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            steps = max(current - self._seen_so_far, 1)
            if self._keeps_last(name):
                self._sums[name] = [float(value), 1.0]
            else:
                total = self._sums.setdefault(name, [0.0, 0.0])
                total[0] += float(value) * steps
                total[1] += steps
        self._seen_so_far = current
        now = time.monotonic()
        if self.verbose == 1 and (finalize or now - self._drawn >= self.interval):
            self._drawn = now
            self._draw(current, now - self._start, finalize)
        elif self.verbose == 2 and finalize:
            console.say(self._line(current, now - self._start))

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """`update`, for so many more steps."""
        self.update(self._seen_so_far + n, values)

    def _keeps_last(self, name: str) -> bool:
        if self._stateless is not None:
            return name not in self._stateless
        return name in self.stateful_metrics

    def _line(self, current: int, seconds: float, bar: str = "") -> str:
        count = f"{current}/{self.target}" if self.target is not None else str(current)
        each = 1e3 * seconds / max(current, 1)
        left = [count, bar] if bar else [count]
        parts = [f"{seconds:.0f}s", f"{each:.3g}ms/{self.unit_name}"]
        shown = [f"{name}: {total / count:.4f}" for name, (total, count) in self._sums.items()]
        return " ".join(left) + " - " + " - ".join([" ".join(parts), *shown])

    def _draw(self, current: int, seconds: float, last: bool) -> None:
        bar = ""
        if self.target:
            done = self.width * min(current, self.target) // self.target
            bar = "[" + "=" * done + "." * (self.width - done) + "]"
        text = self._line(current, seconds, bar)
        if not console.is_terminal():
            if last:  # a file has no line that is written over
                console.say(text)
            return
        stream = console.Stream()
        stream.write("\r" + text.ljust(self._length) + ("\n" if last else ""))
        stream.flush()
        self._length = len(text)
