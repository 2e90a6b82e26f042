"""The one loop over batches: for training, evaluation and prediction, of arrays and of streams.

A source gives parts, each of them batches that one plan can run at once: an epoch of arrays, or a
batch that came. An executor runs as many as a watch allows, and returns to Python after a slice of
time at the latest. The watch does what is to be done in between: callbacks, metrics that Python
computes, progress, backups; and it says when to stop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..data.feed import RECORDED_ROWS
from ..errors import NonFiniteError
from .diagnosis import non_finite

if TYPE_CHECKING:
    from ..callbacks import CallbackList, ProgressBar
    from ..data.feed import Feed
    from ..graph.plan import Slot
    from ..metrics import Metric
    from .examples import Examples
    from .objective import Objective
    from .plans import Ready
    from .scores import Scores
    from .task import Task

Array = NDArray[Any]
Logs = dict[str, Any]
BatchHook = Callable[[int, Any], None]

# An executor returns to Python this often, for progress, callbacks and Ctrl-C.
SLICE_SECONDS = 0.1


class Part:
    """Batches `first` to `first + count - 1` of a feed, for a plan.

    Attributes
    ----------
    data : Examples
        What the feed's arrays are made of.
    objective : Objective or None
        What is computed; None in prediction.
    """

    __slots__ = ("count", "data", "feed", "first", "objective", "ready")

    def __init__(
        self,
        ready: Ready,
        feed: Feed,
        data: Examples,
        objective: Objective | None,
        first: int = 0,
        count: int = 1,
    ) -> None:
        self.ready, self.feed = ready, feed
        self.data, self.objective = data, objective
        self.first, self.count = first, count

    def rows(self, done: int) -> int:
        """How many rows its first so many batches have, all of one epoch."""
        size = self.ready.plan.batch_size
        return min((self.first + done) * size, self.feed.rows) - self.first * size


if TYPE_CHECKING:

    class Backups(Protocol):
        """What keeps backups of an epoch, and may have begun it before."""

        def begin_epoch(self, sums: NDArray[np.float64], metrics: list[Metric]) -> int:
            """How many batches are done already; fills in what they added up to."""

        def batches_to_go(self, batches: int) -> int:
            """Of so many, how many may be run before the next backup."""

        def advance(self, batches: int, *, last: bool) -> None:
            """Batches were run."""

    class Watch(Protocol):
        """What is done around the slices of batches that run at once.

        Attributes
        ----------
        sums : ndarray of float64
            What the plan adds to.
        outputs : list of ndarray or None
            Where its outputs go; the first row is that at position `outputs_first` of the epoch.
        """

        sums: NDArray[np.float64]
        outputs: list[Array] | None
        outputs_first: int

        def begin(self, part: Part) -> int:
            """A part has come; returns how many of its batches are done already."""

        def before(self, part: Part, done: int) -> int:
            """So many batches of the part are done; returns how many may run at once."""

        def after(self, part: Part, done: int, ran: int, finite: bool) -> bool:
            """So many are done, `ran` of them just now; returns whether to stop."""


def run(parts: Iterable[Part], watch: Watch) -> None:
    """Runs parts, one after the other."""
    for part in parts:
        done = watch.begin(part)
        while done < part.count:
            count = watch.before(part, done)
            optimizer = part.ready.plan.optimizer
            if optimizer is not None and optimizer.is_own:
                count = 1  # after which the learning rate may be another one
                optimizer.prepare()
            work = methodcaller(
                "run",
                part.feed,
                part.first + done,
                count,
                watch.sums,
                seconds=SLICE_SECONDS,
                outputs=watch.outputs,
                outputs_first=watch.outputs_first,
            )
            ran, finite = part.ready.alone(work)
            done += ran
            if watch.after(part, done, ran, finite):
                return


# ------------------------------------------------------------- training and evaluation


class Epoch:
    """Watches the batches of an epoch, or of an evaluation.

    Parameters
    ----------
    task : Task
    scores : Scores
    on_begin, on_end : callable, optional
        Called before and after each batch.
    bar : ProgressBar, optional
    steps : int, optional
        How many batches the bar is to expect.
    during : str
        What error messages say before the number of a batch.
    backups : Backups, optional
    """

    outputs: list[Array] | None = None
    outputs_first = 0

    def __init__(
        self,
        task: Task,
        scores: Scores,
        on_begin: BatchHook | None = None,
        on_end: BatchHook | None = None,
        bar: ProgressBar | None = None,
        steps: int | None = None,
        during: str = "",
        backups: Backups | None = None,
    ) -> None:
        self._task, self._scores = task, scores
        self._on_begin, self._on_end = on_begin, on_end
        self._bar, self._steps, self._during = bar, steps, during
        self._backups = backups
        self._recorder: Recorder | None = None
        self._pace = None if bar is None or not bar.verbose else Pace()
        self._slots: list[Slot] | None = None
        self.done = self._rows = self._rows_before = 0
        self._logs: Logs = {}
        self._logs_of = 0  # batches

    def begin(self, part: Part) -> int:
        """Gets what is needed for the batches' sums and metrics."""
        done = 0
        if self._slots is None:
            assert part.objective is not None
            self._scores.begin(part.objective)
            self._slots = part.ready.plan.slots
            self._sums = np.zeros((1, len(self._slots)))
            self.sums = self._sums[0]
            if self._backups is not None:
                done = self._backups.begin_epoch(self.sums, self._scores.metrics)
                self.done, self._rows = done, part.rows(done)
        else:
            self._rows_before = self._rows
        if self._scores.records_outputs:
            self._recorder = Recorder(part, self._scores)
            self.outputs = self._recorder.outputs
        return done

    def before(self, part: Part, done: int) -> int:
        """All the rest, unless callbacks, metrics or a backup come between."""
        if self._on_begin is not None:
            self._on_begin(self.done, {})
        count = part.count - done
        if self._on_begin is not None or self._on_end is not None:
            count = 1
        if self._recorder is not None:
            count = min(count, self._recorder.batches)
            self.outputs_first = (part.first + done) * part.ready.plan.batch_size
        if self._backups is not None:
            count = self._backups.batches_to_go(count)
        return count

    def after(self, part: Part, done: int, ran: int, finite: bool) -> bool:
        """Updates metrics, and tells callbacks, backup and bar."""
        if ran:
            self.done += ran
            self._rows = self._rows_before + part.rows(done)
            if self._recorder is not None:
                self._recorder.update(done - ran, done)
        if not finite:
            raise self._non_finite(part, done)
        if self._on_end is not None:
            self._on_end(self.done - 1, self.logs())
        stopped = self._task.is_stopped()
        if self._backups is not None:
            self._backups.advance(ran, last=stopped or done == part.count)
        if not stopped and self._pace is not None and self.done != self._steps:
            self._show_progress()
        return stopped

    def _show_progress(self) -> None:
        assert self._pace is not None
        assert self._bar is not None
        if self._pace.is_time():
            self._bar.update(self.done, self._steps, self.logs())

    def logs(self) -> Logs:
        """Loss and metrics of the batches so far."""
        if self._slots is not None and self._logs_of != self.done:
            self._logs = last(self._scores.logs(self._slots, self._sums, self._rows))
            self._logs_of = self.done
        return self._logs

    def _non_finite(self, part: Part, done: int) -> NonFiniteError:
        """The error for the batch after those that are done; callbacks hear of it before."""
        assert self._slots is not None
        error = _error(self._task, part, done, f"{self._during}batch {self.done + 1}")
        error.logs = self._scores.cut_short(self._slots, self._sums, self._rows)
        if self._on_end is not None:
            self._on_end(self.done, error.logs)
        return error


class Recorder:
    """Keeps the outputs of some batches of a part for the metrics that Python computes."""

    def __init__(self, part: Part, scores: Scores) -> None:
        plan = part.ready.plan
        self.batches = min(part.count, max(1, RECORDED_ROWS // plan.batch_size))
        rows = self.batches * plan.batch_size
        self.outputs = [np.empty((rows, *v.dims), v.dtype) for v in plan.outputs]
        self._part, self._scores = part, scores

    def update(self, start: int, stop: int) -> None:
        """Gives the metrics the rows of the part's batches start to stop - 1."""
        part = self._part
        feed, data, size = part.feed, part.data, part.ready.plan.batch_size
        first, end = (part.first + start) * size, min((part.first + stop) * size, feed.rows)
        rows: Any = slice(first, end) if feed.order is None else feed.order[first:end]
        y = [array[rows] for array in data.y]
        weight = None if data.weight is None else data.weight[rows]
        self._scores.update(y, [out[: end - first] for out in self.outputs], weight)


class Pace:
    """Says when it is time to show progress again."""

    def __init__(self) -> None:
        self._next = time.monotonic() + SLICE_SECONDS

    def is_time(self) -> bool:
        """Whether a slice of time has passed since it was time."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + SLICE_SECONDS
        return True


# ------------------------------------------------------------- epochs at once


class Block:
    """Watches a part of several epochs at which nobody looks while they run.

    Parameters
    ----------
    task : Task
    scores : Scores
        That have begun.
    hooks : CallbackList
        Told of epochs when they are over.
    epochs : range
    newest : callable
        The plan of what layers and optimizer are now: another thread may change them, which ends
        the block with its running epoch.

    Attributes
    ----------
    logs : dict
        For each epoch that was told of last.
    """

    outputs: list[Array] | None = None
    outputs_first = 0

    def __init__(
        self,
        task: Task,
        scores: Scores,
        hooks: CallbackList,
        epochs: range,
        newest: Callable[[], Ready],
    ) -> None:
        self._task, self._scores, self._hooks = task, scores, hooks
        self._epochs, self._newest = epochs, newest
        self._told = 0
        self.logs: dict[str, list[float]] = {}

    @property
    def ended(self) -> int:
        """The epoch behind the last one that is over."""
        return self._epochs.start + self._told

    def begin(self, part: Part) -> int:
        """A row of sums for each epoch."""
        self._slots = part.ready.plan.slots
        self._sums = np.zeros((len(self._epochs), len(self._slots)))
        self.sums = self._sums.reshape(-1)
        return 0

    def before(self, part: Part, done: int) -> int:
        """All the rest."""
        return part.count - done

    def after(self, part: Part, done: int, ran: int, finite: bool) -> bool:
        """Tells of the epochs that are over, and of one that is cut short."""
        plan = part.ready.plan
        batches = part.feed.batches(plan.batch_size)
        over, begun = divmod(done, batches)
        if over > self._told:
            sums = self._sums[self._told : over]
            self._tell(over, self._scores.logs(self._slots, sums, part.feed.rows))
        rows = begun * plan.batch_size
        if not finite:
            where = f"epoch {self._epochs[over] + 1}, batch {begun + 1}"
            error = _error(self._task, part, done, where)
            error.logs = self._scores.cut_short(self._slots, self._sums[over : over + 1], rows)
            if self._hooks.ends_at_nan:
                self._tell(over + 1, {name: [value] for name, value in error.logs.items()})
            raise error
        if self._task.is_stopped():
            if begun:
                sums = self._sums[over : over + 1]
                self._tell(over + 1, self._scores.logs(self._slots, sums, rows))
            return True
        if done < part.count and self._newest() is not part.ready:
            part.count = -(-done // batches) * batches
        return False

    def _tell(self, over: int, logs: dict[str, list[float]]) -> None:
        """Tells the callbacks of the epochs up to number `over` of the block."""
        self.logs = logs
        self._hooks.tell_epochs(self._epochs[self._told : over], logs)
        self._told = over


# ------------------------------------------------------------- prediction

NO_SUMS = np.zeros(0)


class Prediction:
    """Watches the batches of a prediction, and keeps what they give.

    Parameters
    ----------
    task : Task
    in_form : callable
        Makes of a list of outputs what the model returns.
    on_begin, on_end : callable, optional
        Called before and after each batch.
    bar : ProgressBar
    steps : int or None
        How many batches the bar is to expect.
    """

    sums = NO_SUMS
    outputs: list[Array] | None = None
    outputs_first = 0

    def __init__(
        self,
        task: Task,
        in_form: Callable[[list[Array]], Any],
        on_begin: BatchHook | None,
        on_end: BatchHook | None,
        bar: ProgressBar,
        steps: int | None,
    ) -> None:
        self._task, self._in_form = task, in_form
        self._on_begin, self._on_end = on_begin, on_end
        self._bar, self._steps = bar, steps
        self._pace = Pace() if bar.verbose else None
        self._kept: list[list[Array]] = []
        self.done = 0

    def begin(self, part: Part) -> int:
        """Room for the part's outputs."""
        rows = part.rows(part.count)
        self.outputs = [np.empty((rows, *v.dims), v.dtype) for v in part.ready.plan.outputs]
        self._kept.append(self.outputs)
        return 0

    def before(self, part: Part, done: int) -> int:
        """All the rest, unless callbacks come between."""
        if self._on_begin is not None:
            self._on_begin(self.done, None)
        return 1 if self._on_begin is not None or self._on_end is not None else part.count - done

    def after(self, part: Part, done: int, ran: int, finite: bool) -> bool:
        """Tells callbacks and bar."""
        assert self.outputs is not None
        self.done += ran
        if self._on_end is not None:
            rows = slice(part.rows(done - 1), part.rows(done))
            self._on_end(
                self.done - 1, {"outputs": self._in_form([out[rows] for out in self.outputs])}
            )
        if self._task.is_stopped():
            if done < part.count:
                self._kept[-1] = [out[: part.rows(done)] for out in self.outputs]
            return True
        if self._pace is not None and self.done != self._steps and self._pace.is_time():
            self._bar.update(self.done, self._steps)
        return False

    def result(self) -> list[Array]:
        """One array for each output."""
        if len(self._kept) == 1:
            return self._kept[0]
        for number, outputs in enumerate(self._kept, 1):
            for first, output in zip(self._kept[0], outputs, strict=True):
                if output.shape[1:] != first.shape[1:]:
                    raise ValueError(
                        f"batch {number}: an output has the shape {output.shape}, that of the "
                        f"first batch {first.shape}, which makes no one array; predict for batches "
                        "of one length at a time, or call the model on each batch"
                    )
        return [np.concatenate(output) for output in zip(*self._kept, strict=True)]


# ------------------------------------------------------------- what they share


def last(logs: Mapping[str, list[float]]) -> dict[str, float]:
    """The values of the last epoch."""
    return {name: values[-1] for name, values in logs.items()}


def _error(task: Task, part: Part, done: int, where: str) -> NonFiniteError:
    """That for the batch behind those that are done, whose loss is not finite."""
    size = part.ready.plan.batch_size
    rows = part.feed.row_numbers(*part.feed.place(part.first + done, size))
    return non_finite(where, task.model.weights, part.data, rows)
