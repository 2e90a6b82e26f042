"""A model whose class trains, tests or predicts in its own way: it is asked for each batch.

These stand in the loop's places: examples of any nest, an executor that calls the method, and what
watches its epochs.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import adapters
from ..data.feed import Feed
from ..graph.trace import Value, activate, deactivate
from ..optimizers import Optimizer
from .examples import Examples
from .loop import NO_SUMS, Epoch, Logs, Part, Prediction
from .step_methods import METHODS, parts, unpack
from .task import Task

if TYPE_CHECKING:
    from .objective import Objective

Array = NDArray[Any]


class OwnExamples(Examples):
    """Examples in whatever nest `fit` was given them.

    Attributes
    ----------
    nest : tuple
        Of numbers of the arrays: x, (x, y) or (x, y, sample_weight).
    """

    nest: Any

    @classmethod
    def of(cls, x: Any, y: Any, weight: Any) -> OwnExamples:
        """Checked arrays."""
        given = (x, y, weight) if weight is not None else (x, y) if y is not None else (x,)
        arrays: list[Array] = []

        def number_of(part: Any, name: str) -> Any:
            if part is None:
                return None
            if isinstance(part, Mapping):
                return {key: number_of(one, f"{name}[{key!r}]") for key, one in part.items()}
            if isinstance(part, list | tuple) and any(map(_is_array, part)):
                found = [number_of(one, f"{name}[{i}]") for i, one in enumerate(part)]
                return found if isinstance(part, list) else tuple(found)
            arrays.append(adapters.as_array(part, name))
            return len(arrays) - 1

        names = ("x", "y", "sample_weight")
        nest = tuple([number_of(part, name) for part, name in zip(given, names, strict=False)])
        rows = adapters.check_lengths(x=arrays)
        made = cls(arrays, [], None, rows, None)  # type: ignore[arg-type]
        made.nest = nest
        return made

    def feed(self, objective: Any) -> Feed:
        return Feed(list(self.x), self.rows)

    def part(self, start: int, stop: int) -> OwnExamples:
        found = super().part(start, stop)
        made = OwnExamples(found.x, [], None, found.rows, found.form, start)
        made.nest = self.nest
        return made

    def given(self) -> tuple[Any, ...]:
        """As the user gave them."""
        found: tuple[Any, ...] = mapped(lambda number: self.x[number], self.nest)
        return found

    def with_class_weights(self, given: Mapping[int, float] | None) -> OwnExamples:
        if given is None:
            return self
        x, y, weight = unpack(self.given())
        if weight is not None:
            raise ValueError("class_weight and sample_weight cannot both be given")
        if y is None or len(parts(y)) > 1:
            raise ValueError("class_weight needs a single y")
        return OwnExamples.of(x, y, adapters.class_weights(parts(y)[0], given))


def _is_array(thing: Any) -> bool:
    return isinstance(thing, list | tuple | Mapping) or adapters.is_array(thing)


def mapped(function: Callable[[Any], Any], nest: Any) -> Any:
    """A nest of what a function makes of each thing in it; None stays."""
    if type(nest) is int or nest is None:  # a number of an array, as most are
        return None if nest is None else function(nest)
    if isinstance(nest, Mapping):
        return {name: mapped(function, part) for name, part in nest.items()}
    if isinstance(nest, list | tuple):
        found = [mapped(function, part) for part in nest]
        if isinstance(nest, list):
            return found
        return type(nest)(*found) if hasattr(nest, "_fields") else tuple(found)
    return function(nest)


class OwnStep:
    """Calls a model's own step for one batch after the other.

    Parameters
    ----------
    model : Model
    method : str

    Attributes
    ----------
    logs : Any
        What the method returned last.
    """

    def __init__(self, model: Any, method: str) -> None:
        from ..tape.recorder import Place

        self._model, self._method = model, method
        self.place = Place()
        self._recorder: Any = None
        self.logs: Any = {}

    def __call__(
        self, nest: Any, array: Callable[[int], Array], method: Callable[[Any], Any] | None = None
    ) -> Any:
        """One batch: a nest of numbers of arrays that nobody else has."""
        from ..tape.recorder import Recorder

        recorder = self._recorder
        self._recorder = None  # a mistake in the middle leaves none behind
        if recorder is None:
            recorder = Recorder(self.place, whole_step=True)
        dtype = self._model.dtype

        def tensor(number: int) -> Any:
            numbers = array(number)
            return recorder.leaf(
                numbers, own=True, dtype=dtype if numbers.dtype.kind == "f" else None
            )

        token = activate(recorder)
        try:
            self.logs = (method or getattr(self._model, self._method))(mapped(tensor, nest))
        finally:
            deactivate(token)
        recorder.finish()
        self._recorder = recorder
        return self.logs


class OwnExecutor:
    """Runs an own step over the batches of a feed, as an executor runs its plan."""

    def __init__(self, step: OwnStep, nest: Any, batch_size: int) -> None:
        self._step, self._nest = step, nest
        self._batch_size = batch_size
        self.outputs: list[Any] = []

    def run(
        self,
        feed: Feed,
        first: int,
        count: int,
        sums: Any,
        *,
        seconds: float = math.inf,
        outputs: Any = None,
        outputs_first: int = 0,
    ) -> tuple[int, bool]:
        """Up to `count` batches, until so much time has passed."""
        end = time.monotonic() + seconds
        nest = self._nest[0] if len(self._nest) == 1 else self._nest
        for done in range(count):
            epoch, start, stop = feed.place(first + done, self._batch_size)
            if feed.order is None:
                rows: Any = slice(start, stop)
            else:
                rows = feed.row_numbers(epoch, start, stop)

            def batch(number: int, rows: Any = rows) -> Array:
                taken: Array = feed.arrays[number][rows]
                return taken

            found = self._step(nest, batch)
            if outputs is not None:
                self.outputs.append(found)
            if time.monotonic() >= end:
                return done + 1, True
        return count, True


class OwnReady:
    """In the place of a plan with its executors."""

    def __init__(self, step: OwnStep, nest: Any, batch_size: int) -> None:
        self.plan: Any = SimpleNamespace(
            batch_size=batch_size, slots=[], outputs=[], optimizer=None
        )
        self.step, self._executor = step, OwnExecutor(step, nest, batch_size)

    def taken(self) -> list[Any]:
        """What the method returned for each batch since this was asked last."""
        found, self._executor.outputs = self._executor.outputs, []
        return found

    def alone(self, work: Callable[[Any], Any]) -> Any:
        """What `work` makes of the executor."""
        return work(self._executor)


class OwnObjective:
    """In the place of losses and metrics: the method knows them."""

    metrics: Sequence[Any] = ()
    records_outputs = True

    def continues(self, other: object) -> bool:
        """Whether what batches of both add up to is one result: the method says."""
        return True


_OBJECTIVE: Any = OwnObjective()


class OwnTask(Task):
    """What a model is to do by a method of its own."""

    own = True

    def to(self, purpose: Any) -> Task:
        return task_for(self.model, self.plans, purpose, self.compilation)

    def read(self, x: Any, y: Any, weight: Any) -> Examples:
        return OwnExamples.of(x, y, weight)

    def read_inputs(self, x: Any) -> Examples:
        return OwnExamples.of(x, None, None)

    @property
    def in_form(self) -> Callable[[list[Any]], Any]:
        return lambda outputs: outputs[0]

    def objective(self, data: Examples) -> Objective:
        objective: Objective = _OBJECTIVE
        return objective

    def ready(self, form: Any, batch_size: int, objective: Any, changes: Any = None) -> Any:
        raise NotImplementedError  # it is made by nest, not by form

    def ready_for(
        self, data: Examples, batch_size: int, objective: Any, changes: Any = None
    ) -> Any:
        assert isinstance(data, OwnExamples)
        return OwnReady(self.step, data.nest, batch_size)

    @property
    def step(self) -> OwnStep:
        """What calls the method; kept by the model, with what it recorded."""
        steps: dict[str, OwnStep] = self.model.own_steps
        method = METHODS[self.purpose]
        if method not in steps:
            steps[method] = OwnStep(self.model, method)
        return steps[method]

    def watch(self, *arguments: Any) -> Epoch:
        return OwnEpoch(*arguments)

    def prediction(self, *arguments: Any) -> Prediction:
        return OwnPrediction(*arguments)


class OwnEpoch(Epoch):
    """Watches batches that a method of the model's own runs."""

    sums = NO_SUMS
    _step: OwnStep | None = None

    def begin(self, part: Part) -> int:
        """Has the model's metrics forget what they saw, before the first part."""
        if self._step is None:
            self._step = part.ready.step  # type: ignore[attr-defined]
            self._task.model.reset_metrics()
            self._step.logs = {}
        else:
            self._rows_before = self._rows
        return 0

    def before(self, part: Part, done: int) -> int:
        """All the rest, unless callbacks come between."""
        if self._on_begin is not None:
            self._on_begin(self.done, {})
        watched = self._on_begin is not None or self._on_end is not None
        return 1 if watched else part.count - done

    def after(self, part: Part, done: int, ran: int, finite: bool) -> bool:
        """Tells callbacks and bar."""
        self.done += ran
        if self._on_end is not None:
            self._on_end(self.done - 1, self.logs())
        stopped = self._task.is_stopped()
        if not stopped and self._pace is not None and self.done != self._steps:
            self._show_progress()
        return stopped

    def logs(self) -> Logs:
        """What the method returned last, as numbers."""
        return {} if self._step is None else numbers_in(self._step.logs)


class OwnPrediction(Prediction):
    """Watches batches of a prediction, and keeps what the method returned for each."""

    def begin(self, part: Part) -> int:
        """Room for as many as come."""
        self.outputs, self._nests = [], getattr(self, "_nests", [])
        return 0

    def after(self, part: Part, done: int, ran: int, finite: bool) -> bool:
        """Tells callbacks and bar."""
        self.done += ran
        ready: Any = part.ready
        for nest in ready.taken():
            self._nests.append(mapped(np.asarray, nest))
        if self._on_end is not None:
            self._on_end(self.done - 1, {"outputs": self._nests[-1]})
        if self._task.is_stopped():
            return True
        if self._pace is not None and self.done != self._steps and self._pace.is_time():
            self._bar.update(self.done, self._steps)
        return False

    def result(self) -> list[Array]:
        """One nest, of all batches."""
        leaves = zip(*map(parts, self._nests), strict=True)
        whole = iter([np.concatenate(arrays) for arrays in leaves])
        return [mapped(lambda _: next(whole), self._nests[0])]


def loss_and_gradients(
    model: Any, x: Any, y: Any, weight: Any, class_weight: Any
) -> tuple[float, list[Array]]:
    """What the model's own `compute_loss` gives for one batch, and its gradients."""
    from ..tape import GradientTape

    def step(data: Any) -> Any:
        x, y, weight = unpack(data)
        with GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=weight, training=True)
        weights = model.trainable_weights
        return loss, tape.gradient(loss, weights, unconnected_gradients="zero")

    data = OwnExamples.of(x, y, weight).with_class_weights(class_weight)
    nest = data.nest[0] if len(data.nest) == 1 else data.nest
    steps: dict[str, Any] = model.own_steps
    own = steps.setdefault("loss_and_gradients", OwnStep(model, ""))
    loss, gradients = own(nest, lambda number: np.array(data.x[number]), step)
    return float(loss), [np.asarray(gradient) for gradient in gradients]


def profile(task: Task, data: Examples, batch_size: int, steps: int | None) -> Any:
    """Where the time of the model's own training step goes; changes nothing that is kept."""
    from ..profiling.own_step import profile as clocked

    assert isinstance(task, OwnTask)
    assert isinstance(data, OwnExamples)
    nest, step, model = data.nest, task.step, task.model
    nest = nest[0] if len(nest) == 1 else nest
    batches = data.rows // batch_size
    done = 0

    def run(ran: list[Any] | None) -> None:
        nonlocal done
        first = done % batches * batch_size
        done += 1
        step.place.ran = ran
        try:
            step(nest, lambda number: np.array(data.x[number][first : first + batch_size]))
        finally:
            step.place.ran = None

    with _unchanged(model):
        return clocked(
            run,
            model=model.name,
            method=METHODS[task.purpose],
            batch_size=batch_size,
            dtype=model.dtype,
            steps=steps,
        )


@contextmanager
def _unchanged(model: Any) -> Iterator[None]:
    """Puts back weights, the state of the model's optimizers and its metrics."""
    optimizers = [thing for thing in vars(model).values() if isinstance(thing, Optimizer)]
    weights = [(weight, weight.numpy()) for weight in model.weights]
    state = [(slot, slot.numpy()) for one in optimizers for slot in one.variables]
    known = {id(slot) for slot, _ in state}
    counts = [one.iterations for one in optimizers]
    metrics = [(metric, copy.deepcopy(vars(metric))) for metric in model.metrics]
    try:
        yield
    finally:
        for variable, numbers in (*weights, *state):
            variable.assign(numbers)
        for one, count in zip(optimizers, counts, strict=True):
            one.iterations = count
            one.forget_except(known)
        for metric, before in metrics:
            vars(metric).clear()
            vars(metric).update(before)


def predict_batch(model: Any, x: Any) -> Any:
    """What the model's own predict_step makes of one batch."""
    data = OwnExamples.of(x, None, None)
    task = OwnTask(model, None, "predict")  # type: ignore[arg-type]
    return mapped(np.asarray, task.step(data.nest[0], lambda number: np.array(data.x[number])))


def for_task(task: Task, data: Examples, validation: Examples) -> tuple[Examples, Any]:
    """Two parts of examples, the second one for a task that may read them otherwise."""
    if isinstance(validation, OwnExamples) and not task.own:
        return data, validation.given()
    if task.own and not isinstance(validation, OwnExamples):
        y = validation.y[0] if len(validation.y) == 1 else validation.y
        x = validation.x[0] if len(validation.x) == 1 else validation.x
        return data, (x, y) if validation.weight is None else (x, y, validation.weight)
    return data, validation


def numbers_in(logs: Any) -> Logs:
    """Logs by name as numbers of Python's; those of a dict in them stand beside the others."""
    if not isinstance(logs, Mapping):
        return {} if logs is None else {"loss": _number(logs)}
    found: Logs = {}
    for name, value in logs.items():
        if isinstance(value, Mapping):
            found.update(numbers_in(value))
            continue
        value = value.now() if hasattr(value, "now") else value
        if isinstance(value, Mapping):
            found.update(numbers_in(value))
        else:
            found[name] = _number(value)
    return found


def _number(value: Any) -> Any:
    if isinstance(value, Value):
        value = np.asarray(value)
    return value.item() if isinstance(value, np.generic | np.ndarray) and not value.ndim else value


def task_for(model: Any, plans: Any, purpose: Any, compilation: Any) -> Task:
    """A task by plans, or by the model's own method."""
    kind = OwnTask if model.overrides(purpose) else Task
    return kind(model, plans, purpose, compilation)
