"""Training, evaluation and prediction on batches that come one at a time.

Each goes through the plan and executor that arrays go through; what differs is that nothing is
known of the batches to come, neither their number nor their sizes.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import adapters
from ..data.batches import Source
from ..data.feed import Feed
from . import trainer as of_arrays
from .diagnosis import NonFiniteError
from .scores import Scores

if TYPE_CHECKING:
    from ..callbacks import CallbackList, History, ProgressBar
    from .objective import Compilation, Objective
    from .trainer import Trainer, Validate, _Data

Array = NDArray[Any]


@dataclass(frozen=True)
class Batch:
    """What a source gave, as arrays of ours, unchecked: x and y one, a list or a dict of them."""

    number: int
    x: Any
    y: Any = None
    weight: Array | None = None


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


class _Pace:
    """Says when it is time to show progress again."""

    def __init__(self) -> None:
        self._next = time.monotonic() + of_arrays.SLICE_SECONDS

    def is_time(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + of_arrays.SLICE_SECONDS
        return True


class _Stream:
    """Runs a model on one batch after the other.

    Attributes
    ----------
    objective : Objective
        Of all batches, once there was one.
    last : _Data
        The newest batch.
    """

    objective: Objective
    last: _Data

    def __init__(
        self,
        trainer: Trainer,
        mode: str,
        compilation: Compilation,
        class_weight: Mapping[int, float] | None = None,
    ) -> None:
        self._trainer = trainer
        self._mode = mode
        self._compilation = compilation
        self._class_weight = class_weight
        self._size = 0  # of the plan that the batches share
        self._changing: of_arrays._Changing | None = None  # since the first batch of a run

    def run(
        self, batches: Iterable[Batch], steps: int | None, **options: Any
    ) -> tuple[int, dict[str, Any]]:
        """Runs all of some batches, at least one; returns how many, and loss and metrics."""
        with Scores() as self._scores:
            return self._run(batches, steps, **options)

    def _run(
        self,
        batches: Iterable[Batch],
        steps: int | None,
        *,
        on_begin: Callable[[int, Any], None] | None = None,
        on_end: Callable[[int, Any], None] | None = None,
        progress: ProgressBar | None = None,
        during: str = "",
    ) -> tuple[int, dict[str, Any]]:
        sums = np.zeros((1, 0))
        done, rows = 0, 0
        logs: dict[str, Any] = {}
        pace = _Pace()
        self._changing = None
        for batch in batches:
            if on_begin is not None:
                on_begin(done, {})
            ready = self._ready(batch)
            if done == 0:
                self._scores.begin(self.objective)
                sums = np.zeros((1, len(ready.plan.slots)))
            try:
                self._step(ready, sums[0], f"{during}batch {done + 1}")
            except NonFiniteError as error:
                error.logs = self._scores.cut_short(ready.plan.slots, sums, rows)
                if on_end is not None:
                    on_end(done, error.logs)
                raise
            done, rows = done + 1, rows + self.last.rows
            if on_end is not None:
                logs = self._logs(ready, sums, rows)
                on_end(done - 1, logs)
            if self._trainer._is_to_stop(ready.plan):
                break
            if progress is not None and progress.verbose and pace.is_time():
                progress.update(done, steps, self._logs(ready, sums, rows))
        logs = self._logs(ready, sums, rows)
        if progress is not None and steps is None:
            progress.update(done, done, logs)
        return done, logs

    def _ready(self, batch: Batch) -> of_arrays._Ready:
        """The plan for a batch, which is `last` from now on."""
        with _Naming(batch.number):
            if batch.y is None:
                raise ValueError("expected a tuple (x, y) or (x, y, sample_weight), got x alone")
            data = self._trainer._data(self._compilation, batch.x, batch.y, batch.weight)
            data = data.with_class_weights(self._class_weight)
            objective = self._trainer._objective(self._compilation, data)
            if self._size and objective is not self.objective:
                raise ValueError(
                    "y must have the same shape in all batches, but for the number of examples, "
                    "and all or none must have a sample_weight"
                )
        self.last, self.objective = data, objective
        self._size = _plan_size(self._size, data.rows)
        if self._changing is None:
            self._changing = self._trainer._changing(self._mode)
        return self._trainer._ready(self._mode, self._size, objective, self._changing)

    def _step(self, ready: of_arrays._Ready, sums: Array, where: str) -> None:
        """Runs `last`, and adds to the sums and metrics."""
        data, objective = self.last, self.objective
        feed = Feed([*data.x, *objective.feeds(data.y, data.weight)], data.rows)
        outputs = _outputs(ready, data.rows) if objective.records_outputs else None
        _, finite = ready.run(feed, 0, 1, sums, outputs=outputs)
        if not finite:
            raise self._trainer._non_finite(where, feed, data, 0, data.rows)
        if outputs is not None:
            self._scores.update(data.y, outputs, data.weight)

    def _logs(self, ready: of_arrays._Ready, sums: Array, rows: int) -> dict[str, Any]:
        return of_arrays._last(self._scores.logs(ready.plan.slots, sums, rows))


def _plan_size(size: int, rows: int) -> int:
    """Examples that a plan has room for: as many as the first batch, and more once they come."""
    if rows <= size:
        return size
    return of_arrays._rounded_up(rows) if size else rows


def _outputs(ready: of_arrays._Ready, rows: int) -> list[Array]:
    return [np.empty((rows, *value.dims), value.dtype) for value in ready.plan.outputs]


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


def _source(
    trainer: Trainer,
    given: Any,
    argument: str,
    steps: int | None,
    steps_argument: str = "steps",
    shuffle: bool = False,
    only_x: bool = False,
) -> Source[Batch]:
    # Whether a model that is not built yet takes strings is seen when it gets the first batch.
    make = partial(_owned, only_x=only_x, text=not trainer.built or bool(trainer._text_inputs()))
    if steps is not None:
        of_arrays._check_count(steps_argument, steps, 1)
    return Source(given, argument, make, steps, shuffle, steps_argument)


def fit(
    trainer: Trainer,
    compilation: Compilation,
    x: Any,
    *,
    epochs: range,
    hooks: Callable[[int | None], tuple[CallbackList, ProgressBar]],
    validate: Validate | None,
    shuffle: bool,
    class_weight: Mapping[int, float] | None,
    steps_per_epoch: int | None,
) -> History:
    """`Trainer.fit` for a source of batches."""
    source = _source(trainer, x, "x", steps_per_epoch, "steps_per_epoch", shuffle)
    stream = _Stream(trainer, "train", compilation, class_weight)
    callbacks, bar = hooks(source.steps)
    if callbacks.backup is not None:
        raise ValueError(
            "BackupAndRestore needs arrays: an iterable of batches cannot be told to go on where a "
            "killed program had stopped; save weights with ModelCheckpoint instead"
        )

    def train(epoch: int) -> dict[str, Any]:
        done, logs = stream.run(
            source,
            source.steps,
            on_begin=callbacks.on_train_batch_begin if callbacks.wants_train_batches else None,
            on_end=callbacks.on_train_batch_end if callbacks.wants_train_batches else None,
            progress=bar,
            during=f"epoch {epoch + 1}, ",
        )
        source.end()
        if not trainer.stop_training:
            _warn_if_short("x", done, steps_per_epoch, stacklevel=6)
        return logs

    with source, trainer._at_work("fit"):
        return trainer._train(
            _while_there_are_batches(epochs, source), train, validate, callbacks, bar,
            lambda: stream.last,
        )  # fmt: skip


def _while_there_are_batches(epochs: range, source: Source[Batch]) -> Iterator[int]:
    """Epochs, until a source that cannot be iterated again has no more batches."""
    for epoch in epochs:
        if not source.begin():
            if epoch == epochs.start:
                raise ValueError("x gave no batches")
            warnings.warn(
                f"x ran out of data after {epoch - epochs.start} of {len(epochs)} epochs, and "
                "training ends: a generator gives its batches once. Let it give steps_per_epoch * "
                "epochs batches, or pass an object that can be iterated again for each epoch",
                UserWarning,
                stacklevel=5,
            )
            return
        yield epoch


def _warn_if_short(argument: str, done: int, steps: int | None, stacklevel: int) -> None:
    """Warns of a source that gave fewer batches than it was asked for."""
    if steps is not None and done < steps:
        warnings.warn(
            f"{argument} ran out of data after {done} of {steps} steps; ask for fewer, or let it "
            "give more batches",
            UserWarning,
            stacklevel=stacklevel,
        )


def evaluate(
    trainer: Trainer,
    compilation: Compilation,
    x: Any,
    steps: int | None,
    hooks: Callable[[int | None], tuple[CallbackList, ProgressBar]],
) -> tuple[Objective, dict[str, Any]]:
    """`Trainer.evaluate` for a source of batches; also returns what was evaluated."""
    source = _source(trainer, x, "x", steps)
    stream = _Stream(trainer, "evaluate", compilation)
    callbacks, bar = hooks(source.steps)
    try:
        done, logs = _evaluate(trainer, stream, source, callbacks, bar)
    finally:
        bar.close()
    if not done:
        raise ValueError("x gave no batches")
    if not trainer.stop_evaluating:
        _warn_if_short("x", done, steps, stacklevel=4)
    return stream.objective, logs


def _evaluate(
    trainer: Trainer,
    stream: _Stream,
    source: Source[Batch],
    callbacks: CallbackList,
    bar: ProgressBar | None = None,
    during: str = "",
) -> tuple[int, dict[str, Any]]:
    """How many batches there were, and their loss and metrics."""
    with source, trainer._at_work("evaluate"):
        if not source.begin():
            return 0, {}
        trainer.stop_evaluating = False
        callbacks.on_test_begin()
        done, logs = stream.run(
            source,
            source.steps,
            on_begin=callbacks.on_test_batch_begin if callbacks.wants_test_batches else None,
            on_end=callbacks.on_test_batch_end if callbacks.wants_test_batches else None,
            progress=bar,
            during=during,
        )
        source.end()
        callbacks.on_test_end(logs)
    return done, logs


def validator(
    trainer: Trainer, compilation: Compilation, given: Any, steps: int | None, times: int
) -> Callable[[int, CallbackList], dict[str, Any]]:
    """What validates on a source of batches, after each of so many epochs.

    Raises
    ------
    ValueError
        If all its batches are for the first time, and there are more.
    """
    source = _source(trainer, given, "validation_data", steps, "validation_steps")
    if source.once and steps is None and times > 1:
        raise ValueError(
            f"validation_data gives its batches once, but is needed {times} times: say with "
            "validation_steps how many are for each time, or pass an object that can be iterated "
            "again"
        )

    def validate(epoch: int, callbacks: CallbackList) -> dict[str, Any]:
        stream = _Stream(trainer, "evaluate", compilation)
        source.restart()
        during = f"the validation after epoch {epoch + 1}, "
        done, logs = _evaluate(trainer, stream, source, callbacks, during=during)
        if not done:
            raise ValueError(
                f"validation_data has no batches for the validation after epoch {epoch + 1}; a "
                "generator must give as many as all validations need"
            )
        if not trainer.stop_evaluating:
            _warn_if_short("validation_data", done, steps, stacklevel=6)
        return logs

    return validate


def predict(
    trainer: Trainer,
    x: Any,
    steps: int | None,
    hooks: Callable[[int | None], tuple[CallbackList, ProgressBar]],
) -> list[Array]:
    """`Trainer.predict` for a source of batches: one array for each output."""
    source = _source(trainer, x, "x", steps, only_x=True)
    callbacks, bar = hooks(source.steps)
    parts: list[list[Array]] = []
    size = 0
    pace = _Pace()
    trainer.stop_predicting = False
    callbacks.on_predict_begin()
    try:
        with source, trainer._at_work("predict"):
            if not source.begin():
                raise ValueError("x gave no batches")
            for batch in source:
                if callbacks.wants_predict_batches:
                    callbacks.on_predict_batch_begin(len(parts))
                with _Naming(batch.number):
                    arrays, rows = trainer._inputs(batch.x)
                size = _plan_size(size, rows)
                ready = trainer._ready("predict", size, None)
                outputs = _outputs(ready, rows)
                feed = Feed(arrays, rows)
                ready.run(feed, 0, 1, of_arrays._NO_SUMS, outputs=outputs)
                parts.append(outputs)
                if callbacks.wants_predict_batches:
                    logs = {"outputs": trainer._in_output_form(outputs)}
                    callbacks.on_predict_batch_end(len(parts) - 1, logs)
                if trainer.stop_predicting:
                    break
                if pace.is_time():
                    bar.update(len(parts), source.steps)
            source.end()
    finally:
        bar.close()
    if not trainer.stop_predicting:
        _warn_if_short("x", len(parts), steps, stacklevel=4)
    found = [np.concatenate(output) for output in zip(*parts, strict=True)]
    callbacks.on_predict_end({"outputs": trainer._in_output_form(found)})
    return found
