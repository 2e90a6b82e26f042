"""Checked examples as a source of batches for the loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from .. import random
from ..console import warn_user
from ..data.feed import BLOCK_ROWS, Feed
from . import examples
from .loop import Part

if TYPE_CHECKING:
    from .examples import Examples
    from .plans import Ready
    from .task import Task


class Arrays:
    """Examples that are evaluated, or predicted for, once.

    Parameters
    ----------
    task : Task
    data : Examples
    batch_size : int or None
    steps : int or None
        The most batches to run.

    Attributes
    ----------
    steps : int
        Batches of a run.
    newest : Examples
        Those that were run last.
    objective : Objective or None
        None in prediction.
    """

    def __init__(
        self, task: Task, data: Examples, batch_size: int | None, steps: int | None
    ) -> None:
        size = examples.batch_size(batch_size, data.rows, steps)
        self.newest = data
        self.objective = None if task.compilation is None else task.objective(data)
        feed = Feed(data.x, data.rows) if self.objective is None else data.feed(self.objective)
        batches = feed.batches(size)
        self.steps = min(steps or batches, batches)
        ready = task.ready_for(data, size, self.objective)
        self._part = Part(ready, feed, data, self.objective, 0, self.steps)

    def begin(self) -> bool:
        """Whether there is anything to run: examples there are always."""
        return True

    def parts(self) -> tuple[Part]:
        """All batches at once."""
        return (self._part,)

    def end(self, done: int) -> None:
        """The run is over; that there may be fewer batches than `steps` is no fault."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class ArrayEpochs:
    """Examples that are trained on, epoch by epoch.

    An epoch runs all batches. With steps_per_epoch, it goes on where the last one stopped, and
    ends early, with a warning, where the examples run out.

    Parameters
    ----------
    task : Task
    data : Examples
    batch_size : int or None
    steps_per_epoch : int or None
    shuffle : bool
        Whether the examples come in a new order whenever they begin anew.

    Attributes
    ----------
    steps : int
        Batches of an epoch.
    batch_size : int
    newest : Examples
        All of them.
    objective : Objective
    ready : callable
        Returns the plan as layers and optimizer are now.
    at_once : int
        Epochs that may run as one part.
    """

    def __init__(
        self,
        task: Task,
        data: Examples,
        batch_size: int | None,
        steps_per_epoch: int | None,
        shuffle: bool,
    ) -> None:
        size = examples.batch_size(batch_size, data.rows, steps_per_epoch, "steps_per_epoch")
        self.newest, self.batch_size = data, size
        self.objective = task.objective(data)
        self.ready: Callable[[], Ready] = partial(task.ready_for, data, size, self.objective)
        self._feed = data.feed(self.objective)
        self._batches = self._feed.batches(size)
        self.steps = steps_per_epoch or self._batches
        self.at_once = 0 if steps_per_epoch else max(1, BLOCK_ROWS // data.rows)
        self._shuffle = shuffle
        self._first, self._count = 0, 0  # of the last epoch
        self._drawn_from: dict[str, Any] = {}  # the state of the generator
        self._repeats = False

    def epochs(self, planned: range) -> range:
        """Which epochs there are examples for: all."""
        return planned

    def parts(self) -> tuple[Part]:
        """The batches of the next epoch."""
        self._first = (self._first + self._count) % self._batches
        if self._first == 0 and self._shuffle and not self._repeats:
            self._draw()
        self._repeats = False
        self._count = min(self.steps, self._batches - self._first)
        if self._count < self.steps:
            warn_user(
                f"the data ran out after {self._count} of {self.steps} steps of this epoch; pass "
                "fewer steps_per_epoch or more data"
            )
        return (self._part(self._first, self._count),)

    def block(self, epochs: int) -> tuple[Part]:
        """So many whole epochs."""
        if self._shuffle:
            self._feed.order = random.orders(self._feed.rows, epochs)
        return (self._part(0, epochs * self._batches),)

    def _part(self, first: int, count: int) -> Part:
        return Part(self.ready(), self._feed, self.newest, self.objective, first, count)

    def end(self, done: int) -> None:
        """An epoch is over; whether examples run out is seen before they do."""

    def state(self) -> dict[str, Any]:
        """Where the running epoch, or the last one, was, and the order of its examples."""
        return {"first": self._first, "count": self._count, "drawn_from": self._drawn_from}

    def go_on(self, state: Mapping[str, Any], *, repeat: bool) -> None:
        """Goes on behind the epoch of a state, or begins with that epoch again."""
        if state["drawn_from"]:
            random.set_state(state["drawn_from"])
            self._draw()
        self._first, self._count = state["first"], 0 if repeat else state["count"]
        self._repeats = repeat

    def _draw(self) -> None:
        self._drawn_from = random.get_state()
        self._feed.order = random.orders(self._feed.rows, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass
