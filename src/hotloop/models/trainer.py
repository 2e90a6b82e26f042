"""compile, fit, evaluate, predict: Keras's meaning, over plans and executors."""

from __future__ import annotations

import math
import sys
import threading
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import backends, callbacks, forks, optimizers, overriding, random
from ..console import say
from ..data import adapters
from ..data.batches import is_batches
from ..data.feed import Feed
from ..graph.plan import Plan, build
from ..metrics import Metric
from ..optimizers import Optimizer
from ..optimizers.gradient_keeper import GradientKeeper
from ..optimizers.optimizer import UPDATE_ADVICE
from .diagnosis import NonFiniteError, explain
from .intake import Intake
from .objective import Compilation, Objective, by_slot
from .resumption import Resumption
from .scores import Scores

if TYPE_CHECKING:
    from ..callbacks import CallbackList, History, ProgressBar
    from ..graph.trace import Value
    from ..layers.base import Layer
    from ..profiling import Profile
    from ..variables import Variable

Array = NDArray[Any]
# Validates after an epoch of this number, with these callbacks; returns loss and metrics.
Validate = Callable[[int, "CallbackList"], dict[str, Any]]

# An executor returns to Python this often, for progress, callbacks and Ctrl-C.
SLICE_SECONDS = 0.1
# Outputs that are kept between two returns for the metrics that Python computes.
RECORDED_ROWS = 1 << 14
# Examples whose order is drawn ahead for epochs that run at once: 1 MB of row numbers.
BLOCK_ROWS = 1 << 17
# What Keras asks a model for loss and metrics by.
_OF_OBJECTIVE = (
    "compute_loss",
    "compute_metrics",
    "compute_loss_and_updates",
    "get_metrics_result",
    "metrics",
)
# All that Keras asks a model for while it trains, evaluates or predicts.
NOT_CALLED = frozenset(
    [
        *("train_step", "test_step", "predict_step"),
        *("make_train_function", "make_test_function", "make_predict_function"),
        *_OF_OBJECTIVE,
    ]
)
OVERRIDING_ADVICE = (
    "Remove it, and say what it does with compile(loss=..., metrics=...) and callbacks, in a class "
    "derived from Model that makes its layers in __init__ and has a call(), or in a loop of "
    "loss_and_gradients() and optimizer.apply()"
)
# Plans that a model keeps ready: training, evaluation and prediction at a few batch sizes.
PLANS_KEPT = 8


@dataclass
class _Data:
    """Checked examples."""

    x: list[Array]
    y: list[Array]
    weight: Array | None
    rows: int
    first_row: int = 0  # the number that the user knows the first row by

    def part(self, start: int, stop: int) -> _Data:
        weight = None if self.weight is None else self.weight[start:stop]
        x, y = [a[start:stop] for a in self.x], [a[start:stop] for a in self.y]
        return _Data(x, y, weight, stop - start, start)

    def with_class_weights(self, given: Mapping[int, float] | None) -> _Data:
        """The same, each example having the weight of its class."""
        if given is None:
            return self
        if self.weight is not None:
            raise ValueError("class_weight and sample_weight cannot both be given")
        if len(self.y) > 1:
            raise ValueError("class_weight needs a model with a single output")
        return replace(self, weight=adapters.class_weights(self.y[0], given))


class _Ready:
    """A plan with its executor; one run at a time.

    Parameters
    ----------
    who : str
        How error messages call the model.
    plan : Plan
    """

    def __init__(self, who: str, plan: Plan) -> None:
        self.plan = plan
        self.executor = backends.executor(plan)
        self._who = who
        # Reentrant, so that a thread that comes back into its own run is told and does not wait.
        self._lock = threading.RLock()
        self._runs_in: int | None = None  # the thread
        self._is_half_done = False
        forks.told_of_forks(self)

    def run(self, *arguments: Any, **options: Any) -> tuple[int, bool]:
        """`run` of the executor, `alone`."""
        ran: tuple[int, bool] = self.alone(lambda executor: executor.run(*arguments, **options))
        return ran

    def alone(self, work: Callable[[Any], Any]) -> Any:
        """What `work` makes of the executor; waits for runs of other threads.

        Raises
        ------
        RuntimeError
            If this very thread is in the middle of a run, which would wait for itself.
        """
        with self._lock:
            if self._runs_in is not None:
                raise RuntimeError(
                    f"{self._who} was called from within its own run: a signal handler, or a "
                    "function of yours that the run calls, wants the plan that is running in the "
                    "same thread. Callbacks may call a model; from elsewhere do so in another "
                    "thread, or call a copy (hotloop.models.clone_model)"
                )
            self._runs_in = threading.get_ident()
            try:
                if self._is_half_done:
                    self.executor, self._is_half_done = backends.executor(self.plan), False
                return work(self.executor)
            finally:
                self._runs_in = None

    def forked(self) -> None:
        """Another thread's run is not continued in a child: what it left half done is made anew."""
        if self._runs_in == threading.get_ident():
            return
        self._is_half_done |= self._runs_in is not None
        self._lock, self._runs_in = threading.RLock(), None


class _Changing:
    """What steps change, and by which optimizer; the same for all batches of an epoch.

    Attributes
    ----------
    key : tuple
        What tells plans apart.
    """

    def __init__(
        self, trained: list[Variable], written: list[Variable], optimizer: Optimizer | None
    ) -> None:
        self.trained, self.written, self.optimizer = trained, written, optimizer
        settings = () if optimizer is None else optimizer.structure
        self.key = (id(optimizer), settings, len(trained), *map(id, trained + written))


_NOTHING = _Changing([], [], None)


class _AtWork:
    """Notes a method as long as it runs; a context manager by generator costs three times that."""

    __slots__ = ("_method", "_running")

    def __init__(self, running: list[str], method: str) -> None:
        self._running, self._method = running, method

    def __enter__(self) -> None:
        self._running.append(self._method)

    def __exit__(self, *_: object) -> None:
        self._running.remove(self._method)


class Trainer:
    """What a model can do once it is compiled."""

    if TYPE_CHECKING:
        inputs: list[Value]
        outputs: list[Value]
        built: bool
        dtype: str
        name: str
        _build_for: Callable[[Any], None]
        describe: Callable[[], str]
        _in_output_form: Callable[[list[Any]], Any]
        _drawing_parts: Callable[[], list[Layer]]

        @property
        def _records_call(self) -> bool: ...

        @property
        def input_names(self) -> list[str]: ...

        @property
        def output_names(self) -> list[str]: ...

        @property
        def layers(self) -> list[Layer]: ...

        @property
        def weights(self) -> list[Variable]: ...

        @property
        def trainable_weights(self) -> list[Variable]: ...

        @property
        def changed_weights(self) -> list[Variable]: ...

    def __init__(self) -> None:
        self._optimizer: Optimizer | None = None
        self.history: History | None = None
        self.stop_training = False
        self.stop_evaluating = False
        self.stop_predicting = False
        self._running: list[str] = []  # the methods that are at work, in whatever thread
        self._compilation: Compilation | None = None
        self._intake: Intake | None = None
        self._plans: dict[Any, _Ready] = {}
        # Reentrant, as a signal handler may want a plan while one is made.
        self._plans_lock = threading.RLock()
        forks.told_of_forks(self)

    def forked(self) -> None:
        """A plan that another thread was making is not made in a child."""
        self._plans_lock = threading.RLock()

    # -- compile ----------------------------------------------------------------

    @property
    def optimizer(self) -> Optimizer | None:
        """What trains the weights; a `fit` that is running heeds a new one from its next epoch."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, given: Any) -> None:
        self._optimizer = None if given is None else optimizers.get(given)

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: str | bool = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Says how the model is to be trained.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str, Loss, or a list or dict of them for several outputs
        loss_weights : list or dict of float, optional
            Factors of the losses of several outputs.
        metrics, weighted_metrics : list of str or Metric, optional
            What to report; the weighted ones take sample and class weights into account.
            ``"accuracy"`` is resolved from the shapes.
        run_eagerly, steps_per_execution, jit_compile, auto_scale_loss
            Accepted as in Keras and ignored, run_eagerly with a warning: a model always runs
            compiled, many steps at a time.

        Raises
        ------
        ValueError
            For names that are not known; the nearest one is suggested.
        RuntimeError
            While `fit` is running, as from a callback.
        """
        self._require_idle("compile", ["fit"])
        if run_eagerly:
            warnings.warn(
                "compile(run_eagerly=True) is ignored: hotloop always runs whole plans",
                UserWarning,
                stacklevel=2,
            )
        compilation = Compilation(loss, loss_weights, metrics, weighted_metrics)
        self.optimizer, self._compilation = optimizers.get(optimizer), compilation
        self._forget_plans()

    def compile_arguments(self) -> dict[str, Any] | None:
        """The losses and metrics that `compile` was given; None before it was called."""
        return None if self._compilation is None else self._compilation.arguments

    @property
    def compiled(self) -> bool:
        return self._compilation is not None

    def _refuse_overridden(self, method: str, *names: str) -> None:
        """That none of these is of the user's own, as Keras would call it and nothing does here."""
        overriding.refuse_in_class(type(self), f"{method}()", names, OVERRIDING_ADVICE)

    def _require_compiled(self, method: str) -> Compilation:
        steps = ("train_step", "make_train_function")
        if method in ("evaluate", "test_on_batch"):
            steps = ("test_step", "make_test_function")
        elif self.optimizer is not None and method != "loss_and_gradients":
            overriding.refuse(self.optimizer, f"{method}()", ("apply",), UPDATE_ADVICE)
        self._refuse_overridden(method, *steps, *_OF_OBJECTIVE)
        if self._compilation is None:
            raise ValueError(
                f"{self.describe()} must be compiled before {method}(): call "
                "model.compile(optimizer=..., loss=...) first"
            )
        if not self._compilation.has_loss:
            raise ValueError(
                f"{self.describe()} was compiled without a loss, so {method}() has nothing to "
                "compute; pass loss=... to compile()"
            )
        return self._compilation

    def _at_work(self, method: str) -> _AtWork:
        return _AtWork(self._running, method)

    def _require_idle(self, what: str, methods: Collection[str] = ()) -> None:
        """That none of these methods, or none at all, is at work; RuntimeError otherwise."""
        for method in list(self._running):
            if not methods or method in methods:
                raise RuntimeError(
                    f"{self.describe()}: {what}() cannot be called while {method}() is running, as "
                    f"from a callback or another thread: call it when {method}() has returned. "
                    "model.stop_training = True ends a fit; model.optimizer and trainable may be "
                    "set while it runs, and are heeded from its next epoch on"
                )

    # -- fit --------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
    ) -> History:
        """Trains the model.

        Parameters
        ----------
        x, y : array-like, or a list or dict of them
            Examples and targets, of any float or integer dtype and any layout; read in place.
            Tables and columns of pandas, polars and Arrow are among them. Or x is an iterable
            of batches ``(x, y)`` or ``(x, y, sample_weight)``, such as a generator, a torch
            DataLoader or an object with ``__len__`` and ``__getitem__``, and y is not given.
        batch_size : int, optional
            Examples a step, 32 if not given; the last batch of an epoch may be smaller.
            An iterable's batches have their own sizes.
        epochs : int
            Where to stop: epochs from `initial_epoch` to `epochs` - 1 are run.
        verbose : {"auto", 0, 1, 2}
            Nothing, a progress bar, or a line for each epoch; "auto" is 1.
        callbacks : list of Callback, optional
        validation_split : float
            The share of examples, taken from the end, that is only validated on.
        validation_data : tuple (x, y) or (x, y, sample_weight), or iterable, optional
            Validated on after each epoch (`validation_freq` says after which).
        shuffle : bool
            Whether each epoch takes the examples in a new random order. Of an iterable's
            batches the order is changed if they have numbers, and never what is in them.
        class_weight : dict of int to float, optional
            A weight for the examples of each class.
        sample_weight : array-like of shape (examples,), optional
            A weight for each example.
        steps_per_epoch : int, optional
            Batches in an epoch; the next epoch goes on where the last one stopped. An iterable
            that never ends needs it.

        Returns
        -------
        History
            ``history.history`` maps each name to its values, one for each epoch.

        Another thread, or a callback, ends it by ``model.stop_training = True``: within a tenth
        of a second, or at the end of the batch if that is longer.

        Raises
        ------
        ValueError
            For data that do not fit the model or each other, and arguments out of range;
            nothing is trained then.
        NonFiniteError
            When the loss is no longer finite; the weights are those before that batch. With the
            callback `TerminateOnNaN`, training ends there instead.
        """
        compilation = self._require_compiled("fit")
        _check_count("epochs", epochs, 1)
        _check_count("initial_epoch", initial_epoch, 0)
        planned = range(initial_epoch, epochs)

        def validator(given: Any) -> Validate | None:
            return self._validator(
                compilation, given, validation_batch_size, batch_size, validation_steps,
                validation_freq, planned,
            )  # fmt: skip

        if is_batches(x):
            from . import streaming

            streaming.refuse(
                y=y,
                sample_weight=sample_weight,
                batch_size=batch_size,
                validation_split=validation_split or None,
            )
            return streaming.fit(
                self,
                compilation,
                x,
                epochs=planned,
                hooks=lambda steps: self._callbacks(callbacks, verbose, epochs, steps),
                validate=validator(validation_data),
                shuffle=shuffle,
                class_weight=class_weight,
                steps_per_epoch=steps_per_epoch,
            )
        data = self._data(compilation, x, y, sample_weight)
        if validation_split and validation_data is None:
            data, validation_data = _split(data, validation_split)
        validate = validator(validation_data)
        data = data.with_class_weights(class_weight)
        batch_size = _batch_size(batch_size, data.rows, steps_per_epoch, "steps_per_epoch")

        objective = self._objective(compilation, data)
        feed = Feed([*data.x, *objective.feeds(data.y, data.weight)], data.rows)
        steps = steps_per_epoch or feed.batches(batch_size)
        hooks, bar = self._callbacks(callbacks, verbose, epochs, steps)
        epoch_steps = EpochSteps(feed, batch_size, steps_per_epoch, shuffle)
        resumption: Resumption | None = None
        if hooks.backup is not None:
            resumption = Resumption(
                hooks.backup, self, hooks, objective, epoch_steps, initial_epoch,
                rows=data.rows, batch_size=batch_size,
            )  # fmt: skip
            planned = range(epochs if resumption.over else resumption.epoch, epochs)
        self._ready("train", batch_size, objective)  # so that errors come before any callback
        watched = (
            resumption is not None
            or hooks.wants_train_batches
            or hooks.wants_epochs
            or validate is not None
            or steps_per_epoch is not None
            or objective.records_outputs
        )

        def train(epoch: int) -> dict[str, Any]:
            first, count = epoch_steps.begin()
            return self._run(
                self._ready("train", batch_size, objective), feed, first, count, objective, data,
                on_begin=hooks.on_train_batch_begin if hooks.wants_train_batches else None,
                on_end=hooks.on_train_batch_end if hooks.wants_train_batches else None,
                progress=bar, steps=steps, during=f"epoch {epoch + 1}, ", resumption=resumption,
            )  # fmt: skip

        def train_unwatched() -> dict[str, Any]:
            with Scores() as scores:
                scores.begin(objective)
                return self._run_unwatched(
                    lambda: self._ready("train", batch_size, objective), feed, planned, shuffle,
                    scores, data, hooks,
                )  # fmt: skip

        with self._at_work("fit"):
            return self._train(
                planned, train, validate, hooks, bar, lambda: data,
                at_once=None if watched else train_unwatched, resumption=resumption,
            )  # fmt: skip

    def _train(
        self,
        epochs: Iterable[int],
        train: Callable[[int], dict[str, Any]],
        validate: Validate | None,
        hooks: CallbackList,
        bar: ProgressBar,
        newest: Callable[[], _Data],
        at_once: Callable[[], dict[str, Any]] | None = None,
        resumption: Resumption | None = None,
    ) -> History:
        """Trains epoch by epoch, or `at_once` what nobody watches.

        `newest` gives the examples that were trained on last.
        """
        self.stop_training = False
        logs: dict[str, Any] = {}

        def attempt(run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
            """What a run gives, or its logs so far where it may end at a loss that is NaN."""
            try:
                return run()
            except NonFiniteError as error:
                if not hooks.ends_at_nan:
                    raise
                self.stop_training = True
                say(f"Training ends: {error}")
                return error.logs

        hooks.on_train_begin()
        try:
            if resumption is not None:
                resumption.restore(in_epoch=False)
            if at_once is not None:
                logs = attempt(at_once)
                epochs = ()
            for epoch in epochs:
                hooks.on_epoch_begin(epoch)
                if resumption is not None:
                    resumption.restore(in_epoch=True)
                logs = attempt(partial(train, epoch))
                if validate is not None:
                    logs |= attempt(partial(validate, epoch, hooks))
                hooks.on_epoch_end(epoch, logs)
                if resumption is not None:
                    resumption.end_epoch(epoch)
                if self.stop_training:
                    break
            assert self.optimizer is not None
            weights = self.trainable_weights
            self.optimizer.finalize_variable_values(weights)
            attempt(partial(self._check_finite, weights, newest, logs))
        finally:
            bar.close()
        hooks.on_train_end(logs)
        if resumption is not None:
            resumption.end()
        self.history = hooks.history
        return hooks.history

    def _check_finite(
        self, weights: list[Variable], newest: Callable[[], _Data], logs: dict[str, Any]
    ) -> dict[str, Any]:
        """That weights are: the last loss is even where, behind a tanh, its gradient is not."""
        if not all(weight.is_finite() for weight in weights):
            what, data = "the weights are not finite after the last batch", newest()
            rows = np.arange(data.rows)
            found = explain(what, self.weights, data.x, data.y, rows, data.first_row)
            raise NonFiniteError(found, logs)
        return logs

    def _validator(
        self,
        compilation: Compilation,
        given: Any,
        batch_size: int | None,
        training_batch_size: int | None,
        steps: int | None,
        frequency: int | Sequence[int],
        epochs: range,
    ) -> Validate | None:
        """What validates after an epoch, if it is due; None without anything to validate on."""
        if given is None:
            return None
        self._refuse_overridden("fit", "test_step", "make_test_function")
        if not isinstance(frequency, list | tuple):
            _check_count("validation_freq", frequency, 1)
        if is_batches(given):
            from . import streaming

            streaming.refuse("validation_data", validation_batch_size=batch_size)
            times = sum(_due(frequency, epoch) for epoch in epochs)
            run = streaming.validator(self, compilation, given, steps, times)
        else:
            data = given if isinstance(given, _Data) else self._validation_data(compilation, given)
            size = training_batch_size if batch_size is None else batch_size
            size = _batch_size(size, data.rows, steps, "validation_steps")

            def run(epoch: int, hooks: CallbackList) -> dict[str, Any]:
                during = f"the validation after epoch {epoch + 1}, "
                objective = self._objective(compilation, data)
                return self._evaluate(data, objective, size, steps, hooks, during=during)

        def validate(epoch: int, hooks: CallbackList) -> dict[str, Any]:
            if not _due(frequency, epoch):
                return {}
            try:
                return _of_validation(run(epoch, hooks))
            except NonFiniteError as error:
                error.logs = _of_validation(error.logs)
                raise

        return validate

    # -- evaluate, predict ------------------------------------------------------

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics on examples, without training.

        Parameters
        ----------
        x, y, batch_size, sample_weight
            As in `fit`; x may be an iterable of batches.
        verbose : {"auto", 0, 1, 2}
        steps : int, optional
            Batches after which to stop. An iterable that never ends needs it.
        callbacks : list of Callback, optional
        return_dict : bool

        Returns
        -------
        float, list of float or dict
            The loss; with metrics, a list of the loss and the metrics in the order of
            compile; with `return_dict`, a dict by name.

        Another thread, or a callback, ends it by ``model.stop_evaluating = True``, as
        `stop_training` ends `fit`; the result is that of the batches so far.

        Raises
        ------
        ValueError
            For data that do not fit the model or each other.
        """
        compilation = self._require_compiled("evaluate")
        if is_batches(x):
            from . import streaming

            streaming.refuse(y=y, sample_weight=sample_weight, batch_size=batch_size)
            objective, logs = streaming.evaluate(
                self, compilation, x, steps, lambda n: self._callbacks(callbacks, verbose, None, n)
            )
            return logs if return_dict else _in_order(objective, logs)
        data = self._data(compilation, x, y, sample_weight)
        batch_size = _batch_size(batch_size, data.rows, steps)
        objective = self._objective(compilation, data)
        batches = -(-data.rows // batch_size)
        hooks, bar = self._callbacks(callbacks, verbose, None, min(steps or batches, batches))
        try:
            logs = self._evaluate(data, objective, batch_size, steps, hooks, bar)
        finally:
            bar.close()
        return logs if return_dict else _in_order(objective, logs)

    def _evaluate(
        self,
        data: _Data,
        objective: Objective,
        batch_size: int,
        steps: int | None,
        hooks: CallbackList,
        bar: ProgressBar | None = None,
        during: str = "",
    ) -> dict[str, Any]:
        self.stop_evaluating = False
        ready = self._ready("evaluate", batch_size, objective)
        feed = Feed([*data.x, *objective.feeds(data.y, data.weight)], data.rows)
        count = min(steps or data.rows, feed.batches(ready.plan.batch_size))
        with self._at_work("evaluate"):
            hooks.on_test_begin()
            logs = self._run(
                ready, feed, 0, count, objective, data,
                on_begin=hooks.on_test_batch_begin if hooks.wants_test_batches else None,
                on_end=hooks.on_test_batch_end if hooks.wants_test_batches else None,
                progress=bar, steps=count, during=during,
            )  # fmt: skip
            hooks.on_test_end(logs)
        return logs

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The model's outputs for examples.

        Parameters
        ----------
        x : array-like, or a list or dict of them, or iterable
            As in `fit`. A batch of an iterable may be x alone; y and sample_weight are ignored.
        batch_size : int, optional
            Examples a step, 32 if not given.
        verbose : {"auto", 0, 1, 2}
        steps : int, optional
            Batches after which to stop. An iterable that never ends needs it.
        callbacks : list of Callback, optional

        Returns
        -------
        ndarray, or a list or dict of them for several outputs

        Another thread, or a callback, ends it by ``model.stop_predicting = True``, as
        `stop_training` ends `fit`; the result is that of the batches so far.

        Raises
        ------
        ValueError
            For examples that do not have the model's input shape.
        """
        self._refuse_overridden("predict", "predict_step", "make_predict_function")
        if is_batches(x):
            from . import streaming

            streaming.refuse(batch_size=batch_size)
            return self._in_output_form(
                streaming.predict(
                    self, x, steps, lambda n: self._callbacks(callbacks, verbose, None, n)
                )
            )
        arrays, rows = self._inputs(x)
        size = _batch_size(batch_size, rows, steps)
        ready = self._ready("predict", size, None)
        feed = Feed(arrays, rows)
        batches = min(steps or rows, feed.batches(size))
        rows = min(rows, batches * size)
        outs = [np.empty((rows, *v.dims), v.dtype) for v in self.outputs]
        hooks, bar = self._callbacks(callbacks, verbose, None, batches)
        with self._at_work("predict"):
            done = self._predict(ready, feed, batches, outs, hooks, bar)
            found = self._in_output_form([out[: done * size] for out in outs])
            hooks.on_predict_end({"outputs": found})
        return found

    def _predict(
        self,
        ready: _Ready,
        feed: Feed,
        batches: int,
        outs: list[Array],
        hooks: CallbackList,
        bar: ProgressBar,
    ) -> int:
        """Writes outputs to `outs`; returns of how many batches."""
        size = ready.plan.batch_size
        self.stop_predicting = False
        hooks.on_predict_begin()
        done = 0
        try:
            while done < batches and not (done and self.stop_predicting):
                if hooks.wants_predict_batches:
                    hooks.on_predict_batch_begin(done)
                count = 1 if hooks.wants_predict_batches else batches - done
                ran, _ = ready.run(feed, done, count, _NO_SUMS, seconds=SLICE_SECONDS, outputs=outs)
                done += ran
                if hooks.wants_predict_batches:
                    part = [out[(done - 1) * size : done * size] for out in outs]
                    hooks.on_predict_batch_end(done - 1, {"outputs": self._in_output_form(part)})
                if done < batches:
                    bar.update(done, batches)
        finally:
            bar.close()
        return done

    # -- single batches ---------------------------------------------------------

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step on one batch; returns what `evaluate` returns, before the step."""
        return self._on_batch("train", x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Loss and metrics of one batch."""
        return self._on_batch("evaluate", x, y, sample_weight, None, return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """The model's outputs for one batch."""
        self._refuse_overridden("predict_on_batch", "predict_step", "make_predict_function")
        arrays, rows = self._inputs(x)
        ready = self._ready("predict", _rounded_up(rows), None)
        outs = [np.empty((rows, *v.dims), v.dtype) for v in self.outputs]
        ready.run(Feed(arrays, rows), 0, 1, _NO_SUMS, outputs=outs)
        return self._in_output_form(outs)

    def loss_and_gradients(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
    ) -> tuple[float, list[Array]]:
        """The loss of one batch and its gradient for each trainable weight; trains nothing.

        With ``model.optimizer.apply(gradients, model.trainable_weights)`` behind it, this is
        `train_on_batch` in two halves: noise such as dropout's is that of the next step, and the
        loss includes the penalties of regularizers. The moving averages of batch normalisation
        follow the batch, as in any forward pass of training.

        Parameters
        ----------
        x, y, sample_weight, class_weight
            As in `fit`; all of it is one batch.

        Returns
        -------
        loss : float
        gradients : list of ndarray
            Of the shapes and in the order of `trainable_weights`.

        Raises
        ------
        ValueError
            For data that do not fit the model or each other.
        NonFiniteError
            If the loss is not finite.

        Examples
        --------
        >>> from hotloop import Sequential, layers
        >>> model = Sequential([layers.Dense(1, use_bias=False, kernel_initializer="ones")])
        >>> model.compile("sgd", "mse")
        >>> model.loss_and_gradients([[3.0]], [[1.0]])  # (3 w - 1)^2 and 2 (3 w - 1) 3 at w = 1
        (4.0, [array([[12.]], dtype=float32)])
        """
        compilation = self._require_compiled("loss_and_gradients")
        data = self._data(compilation, x, y, sample_weight).with_class_weights(class_weight)
        objective = self._objective(compilation, data)
        ready = self._ready("gradients", _rounded_up(data.rows), objective)
        keeper = ready.plan.optimizer
        assert isinstance(keeper, GradientKeeper)
        optimizer = self.optimizer
        assert optimizer is not None
        feed = Feed([*data.x, *objective.feeds(data.y, data.weight)], data.rows)
        sums = np.zeros(len(ready.plan.slots))

        def compute(executor: Any) -> tuple[bool, list[Array]]:
            keeper.iterations = optimizer.iterations
            _, finite = executor.run(feed, 0, 1, sums)
            return finite, [keeper.gradient(weight) for weight in self.trainable_weights]

        finite, gradients = ready.alone(compute)
        if not finite:
            raise self._non_finite("this batch", feed, data, 0, data.rows)
        losses = objective.losses_of(by_slot(ready.plan.slots, sums[np.newaxis]), data.rows)
        return float(losses["loss"][-1]), gradients

    def _on_batch(
        self,
        mode: str,
        x: Any,
        y: Any,
        sample_weight: Any,
        class_weight: Mapping[int, float] | None,
        return_dict: bool,
    ) -> Any:
        method = "train_on_batch" if mode == "train" else "test_on_batch"
        compilation = self._require_compiled(method)
        data = self._data(compilation, x, y, sample_weight).with_class_weights(class_weight)
        objective = self._objective(compilation, data)
        ready = self._ready(mode, _rounded_up(data.rows), objective)
        feed = Feed([*data.x, *objective.feeds(data.y, data.weight)], data.rows)
        logs = self._run(ready, feed, 0, 1, objective, data)
        return logs if return_dict else _in_order(objective, logs)

    # -- profile ----------------------------------------------------------------

    def profile(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        steps: int | None = None,
        sample_weight: Any = None,
    ) -> Profile:
        """Where the time of a training step goes, op by op.

        Real steps are run, by the very plan and executor that `fit` uses. Afterwards weights,
        optimizer state and the optimizer's `iterations` are bit for bit what they were, and no
        random number was drawn, so that a fit goes on as if there had been no profile. Only a
        model that has no weights yet gets its first ones, as in `fit`.

        Parameters
        ----------
        x, y : array-like, or a list or dict of them
            Examples and targets; an incomplete last batch is left out.
        batch_size : int, optional
            Examples a step, 32 if not given.
        steps : int, optional
            How many steps are clocked; if not given, as many as take 0.3 s and at least 10. As
            many again are run without the clock, which tells what it costs.
        sample_weight : array-like of shape (examples,), optional
            A weight for each example.

        Returns
        -------
        Profile
            ``print(profile)`` shows a table.

        Raises
        ------
        ValueError
            If the model is not compiled, and for data that do not fit it.
        NonFiniteError
            When the loss is not finite.

        Examples
        --------
        >>> import hotloop
        >>> model = hotloop.Sequential([hotloop.layers.Dense(2, input_dim=40)])
        >>> model.compile("sgd", "mse")
        >>> profile = model.profile(np.zeros((64, 40)), np.ones((64, 2)), steps=5)
        >>> [(row.op, row.flops) for row in profile.rows if row.flops][0]
        ('dense', 5120)
        """
        from ..profiling import step

        compilation = self._require_compiled("profile")
        if steps is not None:
            _check_count("steps", steps, 1)
        data = self._data(compilation, x, y, sample_weight)
        objective = self._objective(compilation, data)
        ready = self._ready("train", _batch_size(batch_size, data.rows, None), objective)
        feed = Feed([*data.x, *objective.feeds(data.y, data.weight)], data.rows)
        profile: Profile = ready.alone(
            lambda executor: step.profile(
                executor,
                feed,
                model=self.name,
                copies_outputs=objective.records_outputs,
                steps=steps,
            )
        )
        return profile

    # -- data -------------------------------------------------------------------

    @property
    def metrics_names(self) -> list[str]:
        """Names of the loss and metrics, as `evaluate` lists them, once data were seen."""
        if self._compilation is None or not self._compilation.bound:
            return ["loss"]
        return _names(self._compilation.bound[-1])

    @property
    def metrics(self) -> list[Metric]:
        """The metrics given to `compile`, output by output, once data were seen."""
        if self._compilation is None or not self._compilation.bound:
            return []
        return [use.metric for use in self._compilation.bound[-1].metrics]

    @property
    def intake(self) -> Intake:
        """What becomes of input arrays before a plan reads them."""
        if self._intake is None or self._intake.outputs != self.outputs:
            self._intake = Intake(self.inputs, self.outputs)
        return self._intake

    def _inputs(self, x: Any) -> tuple[list[Array], int]:
        """The arrays that plans read, of x; builds the model if its input shape was not known."""
        if self.built and (rows := self.intake.examples(x)):
            return [x], rows
        arrays, rows = self._checked_inputs(x)
        return self.intake(arrays), rows

    def _checked_inputs(self, x: Any) -> tuple[list[Array], int]:
        if not self.built:
            self._build_for(x)
        arrays = adapters.as_arrays(x, self.input_names, "x", text=self._text_inputs())
        rows = adapters.check_lengths(x=arrays)
        first = next((layer for layer in self.layers if layer.weights), None)
        who = first.describe() if first is not None else self.describe()
        adapters.check_inputs(arrays, [v.dims for v in self.inputs], self.describe(), who)
        return arrays, rows

    def _text_inputs(self) -> adapters.TextInputs:
        """Which of the inputs may hold strings, and whether some may be missing."""
        if self.built:
            return self.intake.text
        first = [layer for layer in self.layers[:1] if layer.takes_text]
        return {i: layer.takes_missing for i, layer in enumerate(first)}

    def _data(self, compilation: Compilation, x: Any, y: Any, sample_weight: Any) -> _Data:
        """The examples, after every check that needs no training."""
        if y is None:
            what = type(x).__name__
            raise ValueError(
                f"y is missing: expected arrays x and y (x is a {what}); fit and evaluate also "
                "take an iterable of batches (x, y) alone, and of a list iter(batches)"
            )
        if hasattr(x, "__next__"):
            raise TypeError("x is an iterator; expected arrays, as y was given")
        if not self.built and not self._records_call:
            adapters.check_lengths(
                x=adapters.as_arrays(x, ["x"], "x", text=self._text_inputs()),
                y=[adapters.as_array(y, "y")],
            )
        inputs, rows = self._inputs(x)
        names = self.output_names
        targets = adapters.as_arrays(y, names, "y")
        given = None if sample_weight is None else adapters.as_array(sample_weight, "sample_weight")
        weights = [] if given is None else [given]
        adapters.check_lengths(x=inputs, y=targets, sample_weight=weights)
        for weight in weights:
            adapters.check_weights(weight)
        compilation.check(self.outputs, names, targets)
        return _Data(inputs, targets, None if given is None else given.reshape(-1), rows)

    def _validation_data(self, compilation: Compilation, given: Any) -> _Data:
        if not isinstance(given, list | tuple) or len(given) not in (2, 3):
            raise ValueError(
                "validation_data must be a tuple (x, y) or (x, y, sample_weight), or an iterable "
                "of such batches"
            )
        try:
            return self._data(compilation, given[0], given[1], given[2] if given[2:] else None)
        except (TypeError, ValueError) as error:
            raise type(error)(f"validation_data: {error}") from None

    def _objective(self, compilation: Compilation, data: _Data) -> Objective:
        return compilation.bind(self.outputs, self.output_names, data.y, data.weight is not None)

    def _callbacks(
        self, given: Any, verbose: int | str, epochs: int | None, steps: int | None
    ) -> tuple[CallbackList, ProgressBar]:
        bar = callbacks.ProgressBar(verbose)
        params = {"verbose": bar.verbose, "epochs": epochs, "steps": steps}
        return callbacks.CallbackList([given, bar], self, params), bar

    # -- plans ------------------------------------------------------------------

    def _forget_plans(self) -> None:
        self._plans.clear()

    def _changing(self, mode: str) -> _Changing:
        """What steps of a mode change, as layers and optimizer are now."""
        changed = self.changed_weights
        trained = [weight for weight in changed if weight.trainable]
        if mode == "train" and not trained:
            _warn_user(
                f"{self.describe()} has no trainable weights, so training changes nothing: are all "
                "its layers frozen (trainable = False), as those of a GAN's discriminator that "
                "the other model has frozen too? Set trainable = True before it trains"
            )
        written = [weight for weight in changed if not weight.trainable]
        return _Changing(trained, written, self.optimizer if mode == "train" else None)

    def _ready(
        self,
        mode: str,
        batch_size: int,
        objective: Objective | None,
        changing: _Changing | None = None,
    ) -> _Ready:
        """The plan and executor for a mode, batch size and objective; made once for each.

        `changing` is what it was when an epoch began, for the batches of that epoch.
        """
        if changing is None:  # a prediction costs little more than the question
            changing = _NOTHING if mode == "predict" else self._changing(mode)
        key = (mode, batch_size, id(objective), changing.key, backends.current())
        if ready := self._plans.get(key):
            return ready
        optimizer = GradientKeeper() if mode == "gradients" else changing.optimizer
        with self._plans_lock:
            ready = self._plans.get(key)
            if ready is None:
                while len(self._plans) >= PLANS_KEPT:
                    self._plans.pop(next(iter(self._plans), None), None)
                plan = build(
                    self.intake.values,
                    self.outputs,
                    batch_size,
                    losses=objective.losses if objective else (),
                    metrics=objective.terms if objective else (),
                    trained=changing.trained,
                    written=changing.written,
                    optimizer=optimizer,
                )
                self._plans[key] = ready = _Ready(self.describe(), plan)
            return ready

    def _training_plan(self, batch_size: int) -> Plan | None:
        """The newest plan that trained, or else one as `fit` would make; None if unknown."""
        with self._plans_lock:
            trained = [ready.plan for key, ready in list(self._plans.items()) if key[0] == "train"]
        if trained or self._compilation is None:
            return trained[-1] if trained else None
        try:
            objective = self._compilation.foresee(self.outputs, self.output_names)
            if objective is None:
                return None
            return build(
                self.intake.values,
                self.outputs,
                batch_size,
                losses=objective.losses,
                metrics=objective.terms,
                trained=self.trainable_weights,
                written=self.changed_weights,
                # As much work and memory as any other's, but nobody's state is made for it.
                optimizer=optimizers.SGD(),
            )
        except (TypeError, ValueError):  # it is for fit to say what does not fit
            return None

    def _run(
        self,
        ready: _Ready,
        feed: Feed,
        first: int,
        count: int,
        objective: Objective,
        data: _Data,
        **options: Any,
    ) -> dict[str, Any]:
        """Runs batches first to first + count - 1, with metrics that no other run has."""
        with Scores() as scores:
            scores.begin(objective)
            return self._run_batches(ready, feed, first, count, scores, data, **options)

    def _run_batches(
        self,
        ready: _Ready,
        feed: Feed,
        first: int,
        count: int,
        scores: Scores,
        data: _Data,
        *,
        on_begin: Callable[[int, Any], None] | None = None,
        on_end: Callable[[int, Any], None] | None = None,
        progress: ProgressBar | None = None,
        steps: int = 1,
        during: str = "",
        resumption: Resumption | None = None,
    ) -> dict[str, Any]:
        """Runs batches first to first + count - 1, a slice of time at a time."""
        plan = ready.plan
        size = plan.batch_size
        sums = np.zeros((1, len(plan.slots)))
        record = _Recorder(plan, feed, scores, data) if scores.records_outputs else None
        done, rows = 0, 0
        if resumption is not None:
            done = resumption.begin_epoch(sums, scores.metrics)
            rows = min((first + done) * size, feed.rows) - first * size
        logs: dict[str, Any] = {}
        by_batch = on_begin is not None or on_end is not None
        while done < count:
            if on_begin is not None:
                on_begin(done, {})
            at_once = 1 if by_batch else count - done
            if record is not None:
                at_once = min(at_once, record.batches)
            if resumption is not None:
                at_once = resumption.batches_to_go(at_once)
            ran, finite = ready.run(
                feed,
                first + done,
                at_once,
                sums[0],
                seconds=SLICE_SECONDS,
                outputs=record.outputs if record else None,
                outputs_first=(first + done) * size,
            )
            start = (first + done) * size
            stop = min(start + ran * size, feed.rows)
            if record is not None:
                record.update(start, stop)
            done += ran
            rows += stop - start
            if not finite:
                where = f"{during}batch {done + 1}"
                error = self._non_finite(where, feed, data, first + done, size)
                error.logs = scores.cut_short(plan.slots, sums, rows)
                if on_end is not None:
                    on_end(done, error.logs)
                raise error
            last = done >= count or self._is_to_stop(plan)
            if last or on_end is not None or (progress is not None and progress.verbose):
                logs = _last(scores.logs(plan.slots, sums, rows))
            if on_end is not None:
                on_end(done - 1, logs)
            if progress is not None and not last:
                progress.update(done, steps, logs)
            if last or (on_end is not None and self._is_to_stop(plan)):
                break
            if resumption is not None:
                resumption.advance(ran, last=last)
        return logs

    def _is_to_stop(self, plan: Plan) -> bool:
        return self.stop_evaluating if plan.optimizer is None else self.stop_training

    def _run_unwatched(
        self,
        newest: Callable[[], _Ready],
        feed: Feed,
        epochs: range,
        shuffle: bool,
        scores: Scores,
        data: _Data,
        hooks: CallbackList,
    ) -> dict[str, Any]:
        """Runs epochs that nobody looks at while they run, as many at once as fit a block.

        `newest` gives the plan of what layers and optimizer are now: another thread may change
        them, which ends a block with its running epoch.
        """
        at_once = max(1, BLOCK_ROWS // feed.rows)
        logs: dict[str, list[float]] = {}
        start = epochs.start
        while start < epochs.stop and not self.stop_training:
            ready = newest()
            plan = ready.plan
            batches = feed.batches(plan.batch_size)
            block = range(start, min(start + at_once, epochs.stop))
            if shuffle:
                feed.order = random.orders(feed.rows, len(block))
            sums = np.zeros((len(block), len(plan.slots)))
            done, told = 0, 0
            while told < len(block):
                if done and newest() is not ready:
                    block = block[: -(-done // batches)]
                    if told == len(block):
                        break
                ran, finite = ready.run(
                    feed,
                    done,
                    len(block) * batches - done,
                    sums.reshape(-1),
                    seconds=SLICE_SECONDS,
                )
                done += ran
                over = done // batches
                if over > told:
                    logs = scores.logs(plan.slots, sums[told:over], feed.rows)
                    hooks.tell_epochs(block[told:over], logs)
                    told = over
                if not finite:
                    where = f"epoch {block[told] + 1}, batch {done % batches + 1}"
                    error = self._non_finite(where, feed, data, done, plan.batch_size)
                    rows = (done % batches) * plan.batch_size
                    error.logs = scores.cut_short(plan.slots, sums[told : told + 1], rows)
                    if hooks.ends_at_nan:
                        logs = {name: [value] for name, value in error.logs.items()}
                        hooks.tell_epochs(block[told : told + 1], logs)
                    raise error
                if self.stop_training:
                    rows = (done % batches) * plan.batch_size
                    if rows:  # of an epoch that was cut short
                        logs = scores.logs(plan.slots, sums[told : told + 1], rows)
                        hooks.tell_epochs(block[told : told + 1], logs)
                    break
            start = block.stop
        return _last(logs)

    def _non_finite(
        self, where: str, feed: Feed, data: _Data, batch: int, batch_size: int
    ) -> NonFiniteError:
        """The error for a batch whose loss is not finite."""
        rows = feed.row_numbers(*feed.place(batch, batch_size))
        what = f"the loss is not finite at {where}"
        return NonFiniteError(explain(what, self.weights, data.x, data.y, rows, data.first_row))


class _Recorder:
    """Keeps the outputs of some batches for the metrics that Python computes."""

    def __init__(self, plan: Plan, feed: Feed, scores: Scores, data: _Data) -> None:
        self.batches = max(1, RECORDED_ROWS // plan.batch_size)
        rows = min(self.batches * plan.batch_size, feed.rows + plan.batch_size)
        self.outputs = [np.empty((rows, *v.dims), v.dtype) for v in plan.outputs]
        self._feed, self._scores, self._data = feed, scores, data

    def update(self, start: int, stop: int) -> None:
        """Gives the metrics the rows at positions start to stop - 1 of the epoch."""
        order = self._feed.order
        rows: Any = slice(start, stop) if order is None else order[start:stop]
        y = [array[rows] for array in self._data.y]
        weight = None if self._data.weight is None else self._data.weight[rows]
        self._scores.update(y, [out[: stop - start] for out in self.outputs], weight)


class EpochSteps:
    """Which batches an epoch runs, and when the examples are shuffled anew.

    Without steps_per_epoch, all of them. With it, an epoch goes on where the last one
    stopped, and ends early, with a warning, where the data run out.
    """

    def __init__(
        self, feed: Feed, batch_size: int, steps_per_epoch: int | None, shuffle: bool
    ) -> None:
        self._feed = feed
        self._batches = feed.batches(batch_size)
        self._steps = steps_per_epoch
        self._shuffle = shuffle
        self._first, self._count = 0, 0  # of the last epoch
        self._drawn_from: dict[str, Any] = {}  # the state of the generator
        self._repeats = False

    def begin(self) -> tuple[int, int]:
        """First batch and number of batches of the next epoch."""
        self._first = (self._first + self._count) % self._batches
        if self._first == 0 and self._shuffle and not self._repeats:
            self._draw()
        self._repeats = False
        wanted = self._steps or self._batches
        self._count = min(wanted, self._batches - self._first)
        if self._count < wanted:
            warnings.warn(
                f"the data ran out after {self._count} of {wanted} steps of this epoch; pass "
                "fewer steps_per_epoch or more data",
                UserWarning,
                stacklevel=5,
            )
        return self._first, self._count

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


def _of_validation(logs: Mapping[str, Any]) -> dict[str, Any]:
    return {f"val_{name}": value for name, value in logs.items()}


def _warn_user(what: str) -> None:
    """A warning that points at the line that called into this package."""
    depth, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals["__name__"].startswith(_PACKAGE):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(what, UserWarning, stacklevel=depth)


_PACKAGE = __name__.partition(".")[0] + "."


def _last(logs: Mapping[str, list[float]]) -> dict[str, float]:
    """The values of the last epoch."""
    return {name: values[-1] for name, values in logs.items()}


_NO_SUMS = np.zeros(0)


def _split(data: _Data, share: float) -> tuple[_Data, _Data]:
    """Training examples, and the last `share` of them for validation."""
    if not isinstance(share, int | float) or not 0 < share < 1:
        raise ValueError(f"validation_split must be at least 0 and below 1, not {share!r}")
    at = math.floor(data.rows * (1.0 - share))
    if at in (0, data.rows):
        raise ValueError(
            f"validation_split={share} of {data.rows} examples leaves nothing to train or "
            "validate on; pass more data or another share"
        )
    return data.part(0, at), data.part(at, data.rows)


def _due(frequency: int | Sequence[int], epoch: int) -> bool:
    """Whether to validate after this epoch."""
    if isinstance(frequency, list | tuple):
        return epoch + 1 in frequency
    assert isinstance(frequency, int)
    return (epoch + 1) % frequency == 0


def _batch_size(
    given: int | None, rows: int, steps: int | None, steps_argument: str = "steps"
) -> int:
    """Examples a step, no more than there are: 32, or as many as make `steps` of all rows."""
    if steps is not None:
        _check_count(steps_argument, steps, 1)
    if given is None:
        return min(rows, math.ceil(rows / steps) if steps else 32)
    _check_count("batch_size", given, 1)
    return min(rows, int(given))


def _check_count(argument: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{argument} must be a whole number of at least {least}, not {value!r}")


def _rounded_up(rows: int) -> int:
    """The next power of two, so that batches of many sizes share a few plans."""
    return 1 << (rows - 1).bit_length()


def _names(objective: Objective) -> list[str]:
    """The loss, then metrics in the order of compile; of several outputs as Keras has them."""
    metrics = [use.name for use in objective.metrics]
    if len(objective.losses) == 1:
        return ["loss", *metrics]
    return ["loss", *objective.loss_names, *sorted(metrics)]


def _in_order(objective: Objective, logs: Mapping[str, Any]) -> Any:
    """The loss, or a list of the loss and the metrics in the order of compile."""
    return _one_or_list([logs[name] for name in _names(objective)])


def _one_or_list(items: list[Any]) -> Any:
    return items[0] if len(items) == 1 else items
