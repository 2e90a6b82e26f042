"""scikit-learn's own callbacks, which are told of a fit and of each of its epochs.

They came with scikit-learn 1.9; without them nothing here does anything.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from ..callbacks import Callback
from ..callbacks.base import Logs

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn is older

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """No ``set_callbacks``."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        return method


__all__ = ["CallbackSupportMixin", "FitTask", "with_callbacks"]


class FitTask:
    """The task of one fit in scikit-learn's tree of tasks, and a subtask for each epoch.

    Parameters
    ----------
    estimator : object
        Its callbacks are told.
    epochs : int
        How many there may be.
    """

    def __init__(self, estimator: Any, epochs: int) -> None:
        self._estimator = estimator
        start = getattr(estimator, "_init_callback_context", None)
        self._context = None if start is None else start(max_subtasks=epochs)
        self._facts: dict[str, Any] = {}

    def begin(self, X: Any, y: Any, sample_weight: Any) -> list[Callback]:
        """Tells of the beginning; returns what `Model.fit` is to be given, to tell of epochs."""
        if self._context is None:
            return []
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        self._facts = {"estimator": self._estimator, "X": X, "y": y, "metadata": metadata}
        self._context.call_on_fit_task_begin(**self._facts)
        listens = getattr(self._estimator, "_skl_callbacks", [])
        return [_EpochTasks(self._context, self._facts)] if listens else []

    def end(self) -> None:
        """Tells of the end."""
        if self._context is not None:
            self._context.call_on_fit_task_end(**self._facts, reconstruction_attributes=dict)


class _EpochTasks(Callback):
    """Makes each epoch a task; ends training where a callback of scikit-learn's says so."""

    def __init__(self, context: Any, facts: dict[str, Any]) -> None:
        self._context = context
        self._facts = facts
        self._task: Any = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._task = self._context.subcontext(task_name="epoch")
        self._task.call_on_fit_task_begin(**self._facts, reconstruction_attributes=self._as_it_is)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._end():
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._end()  # an epoch that was begun and came to nothing

    def _end(self) -> bool:
        task, self._task = self._task, None
        return task is not None and task.call_on_fit_task_end(
            **self._facts, reconstruction_attributes=self._as_it_is
        )

    def _as_it_is(self) -> dict[str, Any]:
        """What an estimator needs to predict as if training had ended now."""
        return {"model_": copy.deepcopy(self._facts["estimator"].model_)}
