"""Batches that come one at a time, from generators and loaders, as a source for the loop.

Each goes through the plan and executor that arrays go through; what differs is that nothing is
known of the batches to come, neither their number nor their sizes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ..console import warn_user
from ..data import adapters
from ..data.batches import Source
from ..data.feed import Feed
from . import plans
from .examples import Examples, check_count, read_inputs, text_inputs
from .loop import Part

if TYPE_CHECKING:
    from .objective import Objective
    from .task import Task

Array = NDArray[Any]


class Batch:
    """What a source gave, as arrays of ours, unchecked: x and y one, a list or a dict of them."""

    __slots__ = ("number", "weight", "x", "y")

    def __init__(self, number: int, x: Any, y: Any = None, weight: Array | None = None) -> None:
        self.number, self.x, self.y, self.weight = number, x, y, weight


def _owned(number: int, given: Any, only_x: bool = False, text: bool = False) -> Batch:
    """A batch of a source, copied while its thread still has it; with `text` x may hold strings.

    A generator may fill the same arrays again for the next batch, and what is on a disk is to
    be read there and then.
    """
    parts = given if isinstance(given, tuple | list) else (given,)
    if not 1 <= len(parts) <= 3:
        raise ValueError(
            f"batch {number} is a {type(given).__name__} of {len(parts)}; expected x, (x, y) or "
            "(x, y, sample_weight), where x and y may be lists of arrays"
        )
    with _Naming(number):
        names = ("x",) if only_x else ("x", "y", "sample_weight")
        return Batch(
            number,
            *(
                _copy(part, name, text and name == "x")
                for part, name in zip(parts, names, strict=False)
            ),
        )


def _copy(part: Any, argument: str, text: bool) -> Any:
    if part is None:
        return None
    if isinstance(part, Mapping):
        return {name: _copy(value, f"{argument}['{name}']", text) for name, value in part.items()}
    if isinstance(part, list | tuple) and any(map(adapters.is_array, part)):
        return [_copy(value, f"{argument}[{i}]", text) for i, value in enumerate(part)]
    return np.array(adapters.as_array(part, argument, text=text, missing=text), order="C")


class _Naming:
    """Says of errors about data which batch they are about."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if kind in (TypeError, ValueError):
            raise kind(f"batch {self._number}: {error}") from None


class Stream:
    """The batches of one run after the other, each a part of its own.

    Parameters
    ----------
    task : Task
    given : iterable
        What the user passed.
    steps : int, optional
        Batches of a run.
    argument, steps_argument : str
        What the user calls these.
    shuffle : bool
        Whether batches that have numbers come in a new order each time.
    class_weight : mapping, optional

    Attributes
    ----------
    steps : int or None
        Batches that a run is expected to have, None if that is not known.
    at_once : int
        Epochs that may run as one part: none.
    newest : Examples
        The last batch, once there was one.
    objective : Objective or None
        That of all batches, once there was one.
    """

    at_once = 0
    newest: Examples

    def __init__(
        self,
        task: Task,
        given: Any,
        steps: int | None,
        *,
        argument: str = "x",
        steps_argument: str = "steps",
        shuffle: bool = False,
        class_weight: Mapping[int, float] | None = None,
    ) -> None:
        model, only_x = task.model, task.purpose == "predict"
        # Whether a model that is not built yet takes strings is seen when it gets the first batch.
        text = not model.built or bool(text_inputs(model))
        if steps is not None:
            check_count(steps_argument, steps, 1)
        make = partial(_owned, only_x=only_x, text=text)
        self._source = Source(given, argument, make, steps, shuffle, steps_argument)
        self._task, self._argument, self._wanted = task, argument, steps
        self._class_weight = class_weight
        self.steps, self.once = self._source.steps, self._source.once
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._size = 0  # of the plan that the batches share
        self.objective: Objective | None = None
        self._changing: plans.Changing | None = None  # since the first batch of a run

    def ready(self) -> None:
        """Nothing is known before the first batch has come."""

    def begin(self) -> bool:
        """Starts to read the batches of a run; False if there are none."""
        return self._source.begin()

    def restart(self) -> None:
        """Lets the next run begin anew, if that is possible; its batches may be of other kinds."""
        self._source.restart()
        self._begin_anew()

    def epochs(self, planned: range) -> Iterator[int]:
        """Those that there are batches for."""
        for epoch in planned:
            if not self.begin():
                if epoch == planned.start:
                    raise ValueError(f"{self._argument} gave no batches")
                warn_user(
                    f"{self._argument} ran out of data after {epoch - planned.start} of "
                    f"{len(planned)} epochs, and training ends: a generator gives its batches "
                    "once. Let it give steps_per_epoch * epochs batches, or pass an object that "
                    "can be iterated again for each epoch"
                )
                return
            yield epoch

    def parts(self) -> Iterator[Part]:
        """The batches of the run that has begun."""
        self._changing = None
        return map(self._part if self._task.compilation else self._part_of_x, self._source)

    def _part(self, batch: Batch) -> Part:
        """A batch to train on or to evaluate, which is the newest from now on."""
        task = self._task
        with _Naming(batch.number):
            if batch.y is None and not task.own:
                raise ValueError("expected a tuple (x, y) or (x, y, sample_weight), got x alone")
            data = task.read(batch.x, batch.y, batch.weight)
            data = data.with_class_weights(self._class_weight)
            objective = task.objective(data)
            if self.objective is not None and not objective.continues(self.objective):
                raise ValueError(
                    "y must have the same shape in all batches of one length, but for the number "
                    "of examples, all or none must have a sample_weight, and metrics must be of "
                    "one kind"
                )
        self.newest, self.objective = data, objective
        if self._changing is None:
            self._changing = plans.changing(task.model, task.purpose)
        size = self._size_for(data.rows)
        ready = task.ready_for(data, size, objective, self._changing)
        return Part(ready, data.feed(objective), data, objective)

    def _part_of_x(self, batch: Batch) -> Part:
        """A batch to predict for."""
        with _Naming(batch.number):
            if self._task.own:
                data = self._task.read(batch.x, None, None)
                ready = self._task.ready_for(data, data.rows, None)
                return Part(ready, Feed(data.x, data.rows), data, None)
            arrays, rows, form = read_inputs(self._task.model, batch.x)
        ready = self._task.ready(form, self._size_for(rows), None)
        return Part(ready, Feed(arrays, rows), Examples(arrays, [], None, rows, form), None)

    def _size_for(self, rows: int) -> int:
        """Examples that the plan has room for: as in the first batch, and more once they come."""
        if rows > self._size:
            self._size = plans.rounded_up(rows) if self._size else rows
        return self._size

    def end(self, done: int) -> None:
        """A run of so many batches is over; warns if it was asked for more and nobody stopped it.

        Nothing is read meanwhile.
        """
        self._source.end()
        if self._wanted is not None and done < self._wanted and not self._task.is_stopped():
            warn_user(
                f"{self._argument} ran out of data after {done} of {self._wanted} steps; ask for "
                "fewer, or let it give more batches"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._source.__exit__(kind, *rest)


# Why an argument cannot be given with batches, and what to do.
_REFUSED = {
    "y": "each batch is to be a tuple (x, y)",
    "sample_weight": "each batch is to be a tuple (x, y, sample_weight)",
    "batch_size": "each batch has its own size",
    "validation_batch_size": "each batch has its own size",
    "validation_split": "pass validation_data",
}


def refuse(batches: str = "x", **arguments: Any) -> None:
    """That arguments which make no sense with batches are None; ValueError otherwise."""
    for argument, value in arguments.items():
        if value is not None:
            raise ValueError(
                f"{argument} cannot be given if {batches} is an iterable of batches: "
                f"{_REFUSED[argument]}"
            )
