"""A model at work: for one purpose, on examples that come as arrays or as batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from . import examples
from .loop import Epoch, Part, Prediction
from .plans import rounded_up

if TYPE_CHECKING:
    from .examples import Examples
    from .forms import Form
    from .objective import Compilation, Objective
    from .plans import Changing, Plans, Purpose, Ready
    from .trainable import Trainable

# By which attribute callbacks and other threads end what a model does.
_FLAGS: dict[Purpose, str] = {
    "train": "stop_training",
    "evaluate": "stop_evaluating",
    "predict": "stop_predicting",
    "gradients": "stop_training",  # the first half of a step
}


class Task:
    """What a model is to do, and the plans and losses that it does it with.

    Parameters
    ----------
    model : Trainable
    plans : Plans
    purpose : {"train", "evaluate", "predict", "gradients"}
    compilation : Compilation, optional
        For all but predictions.

    Attributes
    ----------
    is_stopped : callable
        Whether a callback or another thread has ended it.
    """

    own = False  # whether a method of the model's own does it

    def __init__(
        self,
        model: Trainable,
        plans: Plans,
        purpose: Purpose,
        compilation: Compilation | None = None,
    ) -> None:
        self.model, self.plans = model, plans
        self.purpose, self.compilation = purpose, compilation
        # Asked for after each slice of batches.
        self.is_stopped: Callable[[], bool] = partial(getattr, model, _FLAGS[purpose])

    def to(self, purpose: Purpose) -> Task:
        """The same for another purpose."""
        return Task(self.model, self.plans, purpose, self.compilation)

    def read(self, x: Any, y: Any, weight: Any) -> Examples:
        """Checked examples."""
        assert self.compilation is not None
        return examples.read(self.model, self.compilation, x, y, weight)

    def part(
        self, x: Any, y: Any, weight: Any, class_weight: Mapping[int, float] | None = None
    ) -> Part:
        """A checked batch with the plan for it."""
        data = self.read(x, y, weight).with_class_weights(class_weight)
        objective = self.objective(data)
        ready = self.ready_for(data, rounded_up(data.rows), objective)
        return Part(ready, data.feed(objective), data, objective)

    def read_inputs(self, x: Any) -> Examples:
        """Checked examples to predict for."""
        arrays, rows, form = examples.read_inputs(self.model, x)
        return examples.Examples(arrays, [], None, rows, form)

    @property
    def in_form(self) -> Callable[[list[Any]], Any]:
        """What makes of a list of outputs what the model returns."""
        return self.model.in_output_form

    def objective(self, data: Examples) -> Objective:
        """Losses and metrics for such examples."""
        assert self.compilation is not None
        return self.compilation.bind(data.form, data.y, data.weight is not None)

    def ready(
        self,
        form: Form,
        batch_size: int,
        objective: Objective | None,
        changes: Changing | None = None,
    ) -> Ready:
        """The plan as layers and optimizer are now, or were when there were these `changes`."""
        return self.plans.ready(self.model, form, self.purpose, batch_size, objective, changes)

    def ready_for(
        self,
        data: Examples,
        batch_size: int,
        objective: Objective | None,
        changes: Changing | None = None,
    ) -> Ready:
        """The same, for examples."""
        plans, form = self.plans, data.form
        return plans.ready(self.model, form, self.purpose, batch_size, objective, changes)

    def watch(self, *arguments: Any) -> Epoch:
        """What watches the batches of an epoch: see `Epoch`."""
        return Epoch(*arguments)

    def prediction(self, *arguments: Any) -> Prediction:
        """What watches the batches of a prediction: see `Prediction`."""
        return Prediction(*arguments)

    def begin(self) -> None:
        """From now on it can be stopped."""
        setattr(self.model, _FLAGS[self.purpose], False)
