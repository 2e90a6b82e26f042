"""compile, fit, evaluate, predict: Keras's meaning, over plans and executors."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import callbacks, optimizers, overriding
from ..data.batches import is_batches
from ..data.feed import Feed
from ..optimizers.gradient_keeper import GradientKeeper
from ..optimizers.optimizer import UPDATE_ADVICE
from . import examples, own_steps
from .arrays import ArrayEpochs, Arrays
from .diagnosis import non_finite
from .forms import Forms
from .loop import NO_SUMS, Part, run
from .objective import Compilation, Objective, by_slot
from .own_steps import OwnObjective, task_for
from .plans import Plans, rounded_up
from .resumption import resumption
from .runs import Training, Validation, evaluate, predict
from .scores import Scores
from .step_methods import StepMethods
from .streaming import Stream, refuse
from .task import Task

if TYPE_CHECKING:
    from ..callbacks import CallbackList, History, ProgressBar
    from ..graph.plan import Plan
    from ..graph.trace import Value
    from ..optimizers import Optimizer
    from ..profiling import Profile

Array = NDArray[Any]

# What Keras asks a model for, and nothing here does.
_NOT_CALLED = (
    "compute_loss_and_updates",
    "make_predict_function",
    "make_test_function",
    "make_train_function",
    "stateless_compute_loss",
)
NOT_CALLED = frozenset(_NOT_CALLED)
OVERRIDING_ADVICE = (
    "Remove it, and say what it does in train_step(), test_step(), predict_step() or "
    "compute_loss(), which take tensors and may use hotloop.GradientTape"
)


class _AtWork:
    """Notes a method as long as it runs; a context manager by generator costs three times that."""

    __slots__ = ("_method", "_running")

    def __init__(self, running: list[str], method: str) -> None:
        self._running, self._method = running, method

    def __enter__(self) -> None:
        self._running.append(self._method)

    def __exit__(self, *_: object) -> None:
        self._running.remove(self._method)


class Trainer(StepMethods):
    """What a model can do once it is compiled."""

    def __init__(self) -> None:
        self._optimizer: Optimizer | None = None
        self.history: History | None = None
        self.stop_training = False
        self.stop_evaluating = False
        self.stop_predicting = False
        self._running: list[str] = []  # the methods that are at work, in whatever thread
        self._compilation: Compilation | None = None
        self._forms: Forms | None = None
        self._forms_made: dict[tuple[Value, ...], Forms] = {}
        self._plans = Plans()
        self.own_steps: dict[str, Any] = {}  # what calls the class's own train_step and its like

    def in_output_form(self, outputs: list[Any]) -> Any:
        """One thing for each output, as the model gives them."""
        raise NotImplementedError

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
        self._plans.forget()
        self.own_steps.clear()

    def compile_arguments(self) -> dict[str, Any] | None:
        """The losses and metrics that `compile` was given; None before it was called."""
        return None if self._compilation is None else self._compilation.arguments

    @property
    def compiled(self) -> bool:
        return self._compilation is not None

    def _require_compiled(self, method: str) -> Compilation:
        evaluates = method in ("evaluate", "test_on_batch")
        purpose = "gradients" if method == "loss_and_gradients" else "train"
        own = self.overrides("evaluate" if evaluates else purpose)
        if not (evaluates or own or self._optimizer is None or method == "loss_and_gradients"):
            overriding.refuse(self._optimizer, f"{method}()", ("apply",), UPDATE_ADVICE)
        overriding.refuse_in_class(type(self), f"{method}()", _NOT_CALLED, OVERRIDING_ADVICE)
        if self._compilation is None:
            raise ValueError(
                f"{self.describe()} must be compiled before {method}(): call "
                "model.compile(optimizer=..., loss=...) first"
            )
        if not (own or self._compilation.has_loss or self._may_add_losses()):
            raise ValueError(
                f"{self.describe()} was compiled without a loss, so {method}() has nothing to "
                "compute; pass loss=... to compile()"
            )
        return self._compilation

    def _may_add_losses(self) -> bool:
        """Whether layers add losses, as far as that is known before the model is built."""
        return not self.built or any(effect.variable is None for effect in self.effects)

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
        examples.check_count("epochs", epochs, 1)
        examples.check_count("initial_epoch", initial_epoch, 0)
        planned = range(initial_epoch, epochs)
        task = task_for(self, self._plans, "train", compilation)

        def validation(given: Any) -> Validation | None:
            if given is None:
                return None
            return Validation(
                task.to("evaluate"), given, validation_batch_size, batch_size, validation_steps,
                validation_freq, planned,
            )  # fmt: skip

        source: ArrayEpochs | Stream
        if is_batches(x):
            refuse(
                y=y,
                sample_weight=sample_weight,
                batch_size=batch_size,
                validation_split=validation_split or None,
            )
            validate = validation(validation_data)
            source = Stream(
                task, x, steps_per_epoch, steps_argument="steps_per_epoch", shuffle=shuffle,
                class_weight=class_weight,
            )  # fmt: skip
        else:
            data = task.read(x, y, sample_weight)
            if validation_split and validation_data is None:
                data, validation_data = own_steps.for_task(
                    task.to("evaluate"), *data.split(validation_split)
                )
            validate = validation(validation_data)
            data = data.with_class_weights(class_weight)
            source = ArrayEpochs(task, data, batch_size, steps_per_epoch, shuffle)
        hooks, bar = self._callbacks(callbacks, verbose, epochs, source.steps)
        resumed = resumption(hooks, self, self._plans, source, initial_epoch)
        if resumed is not None:
            planned = range(epochs if resumed.over else resumed.epoch, epochs)
        source.ready()  # so that errors come before any callback
        with _AtWork(self._running, "fit"):
            return Training(task, source, hooks, bar, validate, resumed).run(planned)

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
        task = task_for(self, self._plans, "evaluate", compilation)
        source: Arrays | Stream
        if is_batches(x):
            refuse(y=y, sample_weight=sample_weight, batch_size=batch_size)
            source = Stream(task, x, steps)
        else:
            source = Arrays(task, task.read(x, y, sample_weight), batch_size, steps)
        hooks, bar = self._callbacks(callbacks, verbose, None, source.steps)
        try:
            with _AtWork(self._running, "evaluate"):
                done, logs = evaluate(task, source, hooks, bar)
        finally:
            bar.close()
        if not done:
            raise ValueError("x gave no batches")
        return logs if return_dict else _in_order(source.objective, logs)

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
        overriding.refuse_in_class(type(self), "predict()", _NOT_CALLED, OVERRIDING_ADVICE)
        task = task_for(self, self._plans, "predict", None)
        source: Arrays | Stream
        if is_batches(x):
            refuse(batch_size=batch_size)
            source = Stream(task, x, steps)
        else:
            source = Arrays(task, task.read_inputs(x), batch_size, steps)
        hooks, bar = self._callbacks(callbacks, verbose, None, source.steps)
        with _AtWork(self._running, "predict"):
            return predict(task, source, task.in_form, hooks, bar)

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
        compilation = self._require_compiled("train_on_batch")
        task = task_for(self, self._plans, "train", compilation)
        return _on_batch(task, task.part(x, y, sample_weight, class_weight), return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Loss and metrics of one batch."""
        compilation = self._require_compiled("test_on_batch")
        task = task_for(self, self._plans, "evaluate", compilation)
        return _on_batch(task, task.part(x, y, sample_weight), return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """The model's outputs for one batch."""
        overriding.refuse_in_class(type(self), "predict_on_batch()", _NOT_CALLED, OVERRIDING_ADVICE)
        if self.overrides("predict"):
            return own_steps.predict_batch(self, x)
        return self._outputs_for(x)

    def _outputs_for(self, x: Any, training: bool = False) -> Any:
        """What a call makes of one batch, whatever `predict_step` does."""
        arrays, rows, form = examples.read_inputs(self, x)
        if training:
            form = form.in_training()
        ready = self._plans.ready(self, form, "predict", rounded_up(rows))
        outs = [np.empty((rows, *v.dims), v.dtype) for v in form.outputs]
        ready.alone(methodcaller("run", Feed(arrays, rows), 0, 1, NO_SUMS, outputs=outs))
        return self.in_output_form(outs)

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
        if self.overrides("gradients"):
            return own_steps.loss_and_gradients(self, x, y, sample_weight, class_weight)
        task = Task(self, self._plans, "gradients", compilation)
        part = task.part(x, y, sample_weight, class_weight)
        plan, objective, optimizer = part.ready.plan, part.objective, self._optimizer
        keeper = plan.optimizer
        assert isinstance(keeper, GradientKeeper)
        assert optimizer is not None
        assert objective is not None
        sums = np.zeros(len(plan.slots))

        def compute(executor: Any) -> tuple[bool, list[Array]]:
            keeper.iterations = optimizer.iterations
            _, finite = executor.run(part.feed, 0, 1, sums)
            return finite, [keeper.gradient(weight) for weight in self.trainable_weights]

        finite, gradients = part.ready.alone(compute)
        if not finite:
            rows = np.arange(part.data.rows)
            raise non_finite("this batch", self.weights, part.data, rows)
        losses = objective.losses_of(by_slot(plan.slots, sums[np.newaxis]), part.data.rows)
        return float(losses["loss"][-1]), gradients

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

        task = task_for(self, self._plans, "train", self._require_compiled("profile"))
        if steps is not None:
            examples.check_count("steps", steps, 1)
        data = task.read(x, y, sample_weight)
        if task.own:
            size = examples.batch_size(batch_size, data.rows, None)
            found: Profile = own_steps.profile(task, data, size, steps)
            return found
        objective = task.objective(data)
        size = examples.batch_size(batch_size, data.rows, None)
        ready = task.ready(data.form, size, objective)
        feed = data.feed(objective)
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

    # -- what others ask --------------------------------------------------------

    @property
    def metrics_names(self) -> list[str]:
        """Names of the loss and metrics, as `evaluate` lists them, once data were seen."""
        if self._compilation is None or self._compilation.newest is None:
            return ["loss"]
        return _names(self._compilation.newest)

    @property
    def forms(self) -> Forms:
        """What it computes, for examples of each shape."""
        forms = self._forms
        if forms is None or forms.recorded.outputs != self.outputs:
            # The first one stays, whichever thread made it: plans go by it.
            forms = self._forms_made.setdefault(tuple(self.outputs), Forms(self))
            for outputs in list(self._forms_made):
                if outputs != tuple(self.outputs):
                    self._forms_made.pop(outputs, None)
            self._forms = forms
        return forms

    def training_plan(self, batch_size: int) -> Plan | None:
        """The newest plan that trained, or else one as `fit` would make; None if unknown."""
        return self._plans.training(self, self._compilation, batch_size)

    def _callbacks(
        self, given: Any, verbose: int | str, epochs: int | None, steps: int | None
    ) -> tuple[CallbackList, ProgressBar]:
        bar = callbacks.ProgressBar(verbose)
        params = {"verbose": bar.verbose, "epochs": epochs, "steps": steps}
        return callbacks.CallbackList([given, bar], self, params), bar


def _on_batch(task: Task, part: Part, return_dict: bool) -> Any:
    """Loss and metrics of a batch, which is run."""
    with Scores() as scores:
        watch = task.watch(task, scores)
        run((part,), watch)
        logs = watch.logs()
    return logs if return_dict else _in_order(part.objective, logs)


def _names(objective: Objective) -> list[str]:
    """The loss, then metrics in the order of compile; of several outputs as Keras has them."""
    metrics = [use.name for use in objective.metrics]
    if len(objective.losses) <= 1:
        return ["loss", *metrics]
    return ["loss", *objective.loss_names, *sorted(metrics)]


def _in_order(objective: Objective | None, logs: Mapping[str, Any]) -> Any:
    """The loss, or a list of the loss and the metrics in the order of compile."""
    assert objective is not None
    names = list(logs) if isinstance(objective, OwnObjective) else _names(objective)
    if len(names) == 1:
        return logs[names[0]]
    return [logs[name] for name in names] if len(names) > 1 else logs["loss"]
