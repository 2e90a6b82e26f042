"""What happens around the loop: epochs, validation and callbacks; whether it was arrays or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..console import say
from ..data.batches import is_batches
from ..errors import NonFiniteError
from . import examples
from .arrays import ArrayEpochs, Arrays
from .diagnosis import explain
from .loop import Block, last, run
from .scores import Scores
from .streaming import Stream, refuse

if TYPE_CHECKING:
    from ..callbacks import CallbackList, History, ProgressBar
    from .resumption import Resumption
    from .task import Task

Logs = dict[str, Any]


def evaluate(
    task: Task,
    source: Arrays | Stream,
    hooks: CallbackList,
    bar: ProgressBar | None = None,
    during: str = "",
) -> tuple[int, Logs]:
    """How many batches there were, and their loss and metrics."""
    with source:
        if not source.begin():
            return 0, {}
        task.begin()
        hooks.on_test_begin()
        wanted = hooks.wants_test_batches
        with Scores() as scores:
            watch = task.watch(
                task,
                scores,
                hooks.on_test_batch_begin if wanted else None,
                hooks.on_test_batch_end if wanted else None,
                bar,
                source.steps,
                during,
            )
            run(source.parts(), watch)
            logs = watch.logs()
        if bar is not None and source.steps is None:
            bar.update(watch.done, watch.done, logs)
        hooks.on_test_end(logs)
        source.end(watch.done)  # which may warn, and a warning may be an error
    return watch.done, logs


def predict(
    task: Task,
    source: Arrays | Stream,
    in_form: Callable[[list[NDArray[Any]]], Any],
    hooks: CallbackList,
    bar: ProgressBar,
) -> Any:
    """The outputs, as `in_form` makes them of a list."""
    task.begin()
    hooks.on_predict_begin()
    wanted = hooks.wants_predict_batches
    watch = task.prediction(
        task,
        in_form,
        hooks.on_predict_batch_begin if wanted else None,
        hooks.on_predict_batch_end if wanted else None,
        bar,
        source.steps,
    )
    try:
        with source:
            if not source.begin():
                raise ValueError("x gave no batches")
            run(source.parts(), watch)
            if source.steps is None:
                bar.update(watch.done, watch.done)
            found = in_form(watch.result())
            hooks.on_predict_end({"outputs": found})
            source.end(watch.done)
    finally:
        bar.close()
    return found


class Training:
    """A fit: epoch by epoch, or, where nobody looks at them, many epochs at once.

    Parameters
    ----------
    task : Task
    source : ArrayEpochs or Stream
    hooks : CallbackList
    bar : ProgressBar
    validate : callable, optional
        Given an epoch and the callbacks, returns loss and metrics of a validation.
    resumption : Resumption, optional
    """

    def __init__(
        self,
        task: Task,
        source: ArrayEpochs | Stream,
        hooks: CallbackList,
        bar: ProgressBar,
        validate: Validation | None = None,
        resumption: Resumption | None = None,
    ) -> None:
        self._task, self._source, self._hooks, self._bar = task, source, hooks, bar
        self._validate, self._resumption = validate, resumption

    def run(self, epochs: range) -> History:
        """Trains, and returns the history."""
        model, hooks = self._task.model, self._hooks
        self._task.begin()
        hooks.on_train_begin()
        try:
            if self._resumption is not None:
                self._resumption.restore(in_epoch=False)
            if self._is_unwatched():
                logs = self._attempt(partial(self._unwatched, epochs))
            else:
                logs = self._epochs(epochs)
            optimizer, weights = model.optimizer, model.trainable_weights
            assert optimizer is not None
            optimizer.finalize_variable_values(weights)
            for weight in weights:
                if not weight.is_finite():
                    self._end_at(self._weights_error(logs))
                    break
        finally:
            self._bar.close()
        hooks.on_train_end(logs)
        if self._resumption is not None:
            self._resumption.end()
        model.history = hooks.history
        return hooks.history

    def _is_unwatched(self) -> bool:
        return not (
            self._source.at_once == 0
            or self._resumption is not None
            or self._validate is not None
            or self._hooks.wants_train_batches
            or self._hooks.wants_epochs
            or self._source.objective is None
            or self._source.objective.records_outputs
        )

    def _epochs(self, epochs: range) -> Logs:
        """Runs epoch by epoch; returns the logs of the last one."""
        hooks, resumption = self._hooks, self._resumption
        logs: Logs = {}
        with self._source:
            for epoch in self._source.epochs(epochs):
                hooks.on_epoch_begin(epoch)
                if resumption is not None:
                    resumption.restore(in_epoch=True)
                logs = self._attempt(partial(self._epoch, epoch))
                if self._validate is not None:
                    logs |= self._attempt(partial(self._validate, epoch, hooks))
                hooks.on_epoch_end(epoch, logs)
                if resumption is not None:
                    resumption.end_epoch(epoch)
                if self._task.is_stopped():
                    break
        return logs

    def _epoch(self, epoch: int) -> Logs:
        """Runs the batches of an epoch."""
        source, hooks = self._source, self._hooks
        wanted = hooks.wants_train_batches
        with Scores() as scores:
            watch = self._task.watch(
                self._task,
                scores,
                hooks.on_train_batch_begin if wanted else None,
                hooks.on_train_batch_end if wanted else None,
                self._bar,
                source.steps,
                f"epoch {epoch + 1}, ",
                self._resumption,
            )
            run(source.parts(), watch)
            logs = watch.logs()
        if source.steps is None:
            self._bar.update(watch.done, watch.done, logs)
        source.end(watch.done)
        return logs

    def _unwatched(self, epochs: range) -> Logs:
        """Runs epochs that nobody looks at while they run, as many at once as fit a block."""
        source, hooks = self._source, self._hooks
        assert isinstance(source, ArrayEpochs)
        logs: dict[str, list[float]] = {}
        start = epochs.start
        with Scores() as scores:
            scores.begin(source.objective)
            while start < epochs.stop and not self._task.is_stopped():
                block = range(start, min(start + source.at_once, epochs.stop))
                watch = Block(self._task, scores, hooks, block, source.ready)
                run(source.block(len(block)), watch)
                start, logs = watch.ended, watch.logs
        return last(logs)

    def _attempt(self, work: Callable[[], Logs]) -> Logs:
        """What it gives, or its logs so far where training may end at a loss that is NaN."""
        try:
            return work()
        except NonFiniteError as error:
            return self._end_at(error)

    def _end_at(self, error: NonFiniteError) -> Logs:
        """Ends the training, and returns the logs so far, if callbacks want that; else raises."""
        if not self._hooks.ends_at_nan:
            raise error
        self._task.model.stop_training = True
        say(f"Training ends: {error}")
        return error.logs

    def _weights_error(self, logs: Logs) -> NonFiniteError:
        """That weights are not: the last loss is even where, behind a tanh, its gradient is not."""
        data = self._source.newest
        what, rows = "the weights are not finite after the last batch", np.arange(data.rows)
        weights = self._task.model.weights
        return NonFiniteError(explain(what, weights, data.x, data.y, rows, data.first_row), logs)


class Validation:
    """Evaluates after those epochs for which it is due.

    Parameters
    ----------
    task : Task
        To evaluate.
    given : Examples, tuple or iterable
        What the user passed as validation_data, or what was split off.
    batch_size, training_batch_size : int or None
    steps : int or None
    frequency : int, or list or tuple of int
    epochs : range
        That are planned.

    Raises
    ------
    ValueError
        For arguments that do not fit each other, and for data that do not fit the model.
    """

    def __init__(
        self,
        task: Task,
        given: Any,
        batch_size: int | None,
        training_batch_size: int | None,
        steps: int | None,
        frequency: int | Sequence[int],
        epochs: range,
    ) -> None:
        if not isinstance(frequency, list | tuple):
            examples.check_count("validation_freq", frequency, 1)
        self._task, self._steps, self._frequency = task, steps, frequency
        self._stream: Stream | None = None
        if is_batches(given):
            refuse("validation_data", validation_batch_size=batch_size)
            self._stream = self._stream_of(given, sum(map(self._is_due, epochs)))
            return
        if not isinstance(given, examples.Examples):
            given = examples.read_validation(task, given)
        size = training_batch_size if batch_size is None else batch_size
        self._data = given
        self._size = examples.batch_size(size, given.rows, steps, "validation_steps")

    def _stream_of(self, given: Any, times: int) -> Stream:
        """The batches of all validations."""
        stream = Stream(
            self._task,
            given,
            self._steps,
            argument="validation_data",
            steps_argument="validation_steps",
        )
        if stream.once and self._steps is None and times > 1:
            raise ValueError(
                f"validation_data gives its batches once, but is needed {times} times: say with "
                "validation_steps how many are for each time, or pass an object that can be "
                "iterated again"
            )
        return stream

    def _is_due(self, epoch: int) -> bool:
        """Whether to validate after this epoch."""
        if isinstance(self._frequency, list | tuple):
            return epoch + 1 in self._frequency
        assert isinstance(self._frequency, int)
        return (epoch + 1) % self._frequency == 0

    def __call__(self, epoch: int, hooks: CallbackList) -> Logs:
        """Loss and metrics after an epoch, none if it is not due."""
        if not self._is_due(epoch):
            return {}
        source = self._source()
        during = f"the validation after epoch {epoch + 1}, "
        try:
            done, logs = evaluate(self._task, source, hooks, during=during)
        except NonFiniteError as error:
            error.logs = _of_validation(error.logs)
            raise
        if not done:
            raise ValueError(
                f"validation_data has no batches for the validation after epoch {epoch + 1}; a "
                "generator must give as many as all validations need"
            )
        return _of_validation(logs)

    def _source(self) -> Arrays | Stream:
        """Of one validation."""
        if self._stream is not None:
            self._stream.restart()
            return self._stream
        return Arrays(self._task, self._data, self._size, self._steps)


def _of_validation(logs: Logs) -> Logs:
    return {f"val_{name}": value for name, value in logs.items()}
