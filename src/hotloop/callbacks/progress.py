"""The progress of training, evaluation and prediction: in a terminal, a notebook or a log."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from ..console import Stream, columns, is_terminal, say
from .base import Callback, Logs

Surface = Literal["terminal", "notebook", "log"]


class ProgressBar(Callback):
    """Progress bar on tqdm that shows steps, time and the metrics so far.

    The trainer reports through `update`, a few times a second; no hook of batches is used, so
    that the bar costs nothing. It stays silent while training validates.

    Parameters
    ----------
    verbose : {0, 1, 2, "auto"}
        0 shows nothing. 1 (the same as "auto") shows a bar in a terminal or a notebook and, in
        a file or a pipe, one line for each epoch. 2 shows such a line everywhere.

    Raises
    ------
    ValueError
        If verbose is none of these.

    Examples
    --------
    >>> bar = ProgressBar(verbose=2)
    >>> bar.set_params({"epochs": 3, "steps": 10})
    >>> bar.on_epoch_begin(0)
    >>> bar.on_epoch_end(0, {"loss": 0.5})  # doctest: +ELLIPSIS
    Epoch 1/3 - ...s - loss: 0.5000
    """

    _surface: Surface = "log"
    _step: int = 0
    _steps: int | None = None
    _started: float = 0.0

    def __init__(self, verbose: int | str = "auto") -> None:
        if verbose not in (0, 1, 2, "auto"):
            raise ValueError(f"verbose must be 0, 1, 2 or 'auto', got {verbose!r}")
        self.verbose = 1 if verbose == "auto" else int(verbose)
        self.passive = self.verbose == 0
        self._training = False
        self._validating = False
        self._title = ""
        self._bar: Any = None

    def update(self, step: int, steps: int | None, logs: Logs | None = None) -> None:
        """Show that `step` of `steps` batches are done, None being an unknown number."""
        if self._validating:
            return
        self._step, self._steps = step, steps
        if self._live():
            self._draw(logs)
            self._bar.refresh()

    def close(self) -> None:
        """End a bar that was left in the middle, so that an error's text begins on a new line."""
        if self._bar is not None:
            bar, self._bar = self._bar, None
            _close_bar(bar)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Keep quiet about evaluation until training ends: it is validation."""
        self._training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """End the bar if training ended within an epoch."""
        self._training = False
        self.close()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begin a bar, under a line that counts the epochs."""
        epochs = self._param("epochs")
        self._title = f"Epoch {epoch + 1}/{epochs}"
        self._begin()
        if self._live() and epochs != 1:
            say(self._title)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Leave the bar with the final values."""
        self._finish(logs)

    def tell_epochs(self, epochs: range, logs: Mapping[str, list[float]]) -> None:
        """Nothing: only a silent bar, which is passive, hears of epochs this way."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Begin a bar, unless this is validation."""
        self._validating = self._training
        if not self._validating:
            self._title = "Evaluation"
            self._begin()

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Leave the bar with the final values, unless this was validation."""
        if not self._validating:
            self._finish(logs)
        self._validating = False

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Begin a bar."""
        self._title = "Prediction"
        self._begin()

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Leave the bar."""
        self._finish(None)

    def _param(self, name: str) -> Any:
        """Setting of the run, None where it is unknown."""
        params: Mapping[str, Any] = self.params or {}
        return params.get(name)

    def _live(self) -> bool:
        """Whether there is a bar that moves, and not just a line at the end."""
        return self.verbose == 1 and self._surface != "log"

    def _begin(self) -> None:
        """Start the clock of a new bar or line."""
        self.close()
        self._surface = _surface() if self.verbose else "log"
        self._step = 0
        self._steps = self._param("steps")
        self._started = time.perf_counter()

    def _finish(self, logs: Logs | None) -> None:
        """Show the final values."""
        self._step = self._steps = self._steps or self._step
        if self._live():
            self._draw(logs)
            # The last line is shown whole, however long: nothing will be written over it.
            self._bar.ncols, self._bar.dynamic_ncols = None, None
            self.close()
        elif self.verbose:
            say(f"{self._title} - {self._summary(logs or {}, per_step=False)}")

    def _draw(self, logs: Logs | None) -> None:
        """Put the current step and metrics into the bar, which shows them when it is refreshed."""
        if self._bar is None:
            self._bar = _open_bar(self._steps, self._surface)
        if self._surface == "terminal":
            self._bar.ncols = columns()
        self._bar.total, self._bar.n = self._steps, self._step
        self._bar.set_description_str(self._summary(logs or {}, per_step=True), refresh=False)

    def _summary(self, logs: Logs, per_step: bool) -> str:
        """Time, time per step where that is wanted, and metrics."""
        seconds = time.perf_counter() - self._started
        parts = [f"{seconds:.2f}s"]
        if per_step and self._step:
            parts.append(f"{_duration(seconds / self._step)}/step")
        parts += [f"{name}: {_number(value)}" for name, value in logs.items()]
        return " - ".join(parts)


def _surface() -> Surface:
    """What standard output is shown on."""
    if "ipykernel" in sys.modules:
        from IPython.core.getipython import get_ipython

        if get_ipython() is not None:  # programs that are no notebook's may have imported it
            return "notebook"
    return "terminal" if is_terminal() else "log"


_thread = threading.local()  # its `bars` are those of this thread that are open


class _NotebookBar:
    """A bar that the notebook shows as text and replaces in place.

    It needs no widgets, which exported pages would show without the metrics.
    """

    def __init__(self, total: int | None) -> None:
        from IPython.display import display

        self.total, self.n, self.ncols, self.dynamic_ncols = total, 0, None, None
        self._description = ""
        self._shown: Any = display(self._content(), raw=True, display_id=True)

    def set_description_str(self, text: str, refresh: bool) -> None:
        """What stands behind the bar, the metrics; shown by the next `refresh`."""
        self._description = text

    def refresh(self) -> None:
        """Shows step and description."""
        self._shown.update(self._content(), raw=True)

    def close(self) -> None:
        """Leaves the bar as it is."""
        self.refresh()

    def _content(self) -> dict[str, str]:
        from tqdm.std import tqdm

        bar = tqdm.format_meter(
            self.n,
            self.total,
            0,
            prefix=self._description,
            bar_format=f"{_STEPS}{{bar:20}}| {{desc}}",
        )
        return {"text/plain": bar}


_STEPS = "{n_fmt}/{total_fmt} |"


def _open_bar(steps: int | None, surface: Surface) -> Any:
    """New bar on standard output, or in the notebook."""
    if surface == "notebook":
        return _NotebookBar(steps)
    # Imported here: tqdm takes longer to import than the rest of the package's Python.
    from tqdm.std import tqdm

    # A prediction in the middle of a fit has its bar on the fit's line, which goes on below it.
    outer = getattr(_thread, "bars", [])
    for other in outer:
        other.clear()
    # Without tqdm's monitor thread, which lives on after the bar and would not survive a fork.
    bar_class = type("Bar", (tqdm,), {"monitor_interval": 0})
    opened = bar_class(
        total=steps,
        position=abs(outer[-1].pos) if outer else None,
        bar_format=f"{_STEPS}{{bar:20}}| {{desc}}",
        file=Stream(),
        ncols=columns(),
        nrows=_ALL_ROWS,
    )
    _thread.bars = [*outer, opened]
    return opened


def _close_bar(bar: Any) -> None:
    """Leaves a bar as it is, and begins a new line."""
    _thread.bars = [other for other in getattr(_thread, "bars", []) if other is not bar]
    bar.close()


# tqdm shows nothing on a terminal that says it has no rows, or one.
_ALL_ROWS = 1 << 16


def _duration(seconds: float) -> str:
    """Short time with its unit."""
    if seconds >= 1:
        return f"{seconds:.1f}s"
    return f"{seconds * 1e3:.1f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"


def _number(value: Any) -> str:
    """Value of a metric in four decimals, or in exponents where those would not tell."""
    mean = float(np.mean(value))
    return f"{mean:.4f}" if mean == 0 or not abs(mean) < 1e-3 else f"{mean:.4e}"
