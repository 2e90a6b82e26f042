"""From what users pass as x, y and sample_weight to checked arrays that plans read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import nests
from ..data import adapters
from ..data.feed import Feed

if TYPE_CHECKING:
    from .forms import Form
    from .objective import Compilation, Objective
    from .task import Task
    from .trainable import Trainable

Array = NDArray[Any]

# Examples a step where nobody says how many.
BATCH_SIZE = 32


@dataclass
class Examples:
    """Checked examples, and the form of the model that they are for."""

    x: list[Array]
    y: list[Array]
    weight: Array | None
    rows: int
    form: Form
    first_row: int = 0  # the number that the user knows the first row by

    def feed(self, objective: Objective) -> Feed:
        """What a plan with this objective reads them from."""
        return Feed([*self.x, *objective.feeds(self.y, self.weight)], self.rows)

    def part(self, start: int, stop: int) -> Examples:
        """Rows start to stop - 1."""
        weight = None if self.weight is None else self.weight[start:stop]
        x, y = [a[start:stop] for a in self.x], [a[start:stop] for a in self.y]
        return Examples(x, y, weight, stop - start, self.form, start)

    def split(self, share: float) -> tuple[Examples, Examples]:
        """Training examples, and the last `share` of them for validation."""
        if not isinstance(share, int | float) or not 0 < share < 1:
            raise ValueError(f"validation_split must be at least 0 and below 1, not {share!r}")
        at = math.floor(self.rows * (1.0 - share))
        if at in (0, self.rows):
            raise ValueError(
                f"validation_split={share} of {self.rows} examples leaves nothing to train or "
                "validate on; pass more data or another share"
            )
        return self.part(0, at), self.part(at, self.rows)

    def with_class_weights(self, given: Mapping[int, float] | None) -> Examples:
        """The same, each example having the weight of its class."""
        if given is None:
            return self
        if self.weight is not None:
            raise ValueError("class_weight and sample_weight cannot both be given")
        if len(self.y) > 1:
            raise ValueError("class_weight needs a model with a single output")
        dims = self.form.outputs[0].dims
        if (rows := math.prod(dims[:-1])) != 1:
            raise ValueError(
                "class_weight weighs each example by its one class, but the outputs, of shape "
                f"{dims} for each example, have {rows} rows with a class each; pass the weights of "
                "the examples as sample_weight"
            )
        return replace(self, weight=adapters.class_weights(self.y[0], given))


# ------------------------------------------------------------------------- reading


def read(
    model: Trainable, compilation: Compilation, x: Any, y: Any, sample_weight: Any = None
) -> Examples:
    """The examples, after every check that needs no training; builds the model if need be."""
    if y is None and compilation.has_loss:
        what = type(x).__name__
        raise ValueError(
            f"y is missing: expected arrays x and y (x is a {what}); fit and evaluate also "
            "take an iterable of batches (x, y) alone, and of a list iter(batches)"
        )
    if hasattr(x, "__next__"):
        raise TypeError("x is an iterator; expected arrays, as y was given")
    if y is not None and not model.built and not model.records_call:
        adapters.check_lengths(
            x=adapters.as_arrays(x, ["x"], "x", text=text_inputs(model)),
            y=[adapters.as_array(y, "y")],
        )
    inputs, rows, form = read_inputs(model, x)
    if len(model.outputs) == 1 and adapters.is_plain(y):
        targets = [y]
    else:
        targets = _targets(form, compilation, y, rows)
    weight = None
    if sample_weight is None:
        adapters.check_lengths(x=inputs, y=targets)
    else:
        weight = adapters.as_array(sample_weight, "sample_weight")
        adapters.check_lengths(x=inputs, y=targets, sample_weight=[weight])
        adapters.check_weights(weight)
        weight = weight.reshape(-1)
    compilation.check(form, targets)
    return Examples(inputs, targets, weight, rows, form)


def _targets(form: Form, compilation: Compilation, y: Any, rows: int) -> list[Array]:
    """An array for each output; one of no bytes for an output that has no loss and no metric."""
    needed = compilation.needs(form)
    y = nests_in_order(form.output_form, y)
    names = form.output_names
    if y is None:
        y = dict.fromkeys(names)
    if isinstance(y, Mapping):
        given = {i: y.get(name) for i, name in enumerate(names) if name in y}
    elif isinstance(y, list | tuple) and len(y) == len(names) > 1:
        given = dict(enumerate(y))
    else:
        return adapters.as_arrays(y, names, "y")
    wanted = [i for i in range(len(names)) if needed[i] or given.get(i) is not None]
    labels = [names[i] for i in wanted]
    parts: Any = {names[i]: given[i] for i in wanted if i in given}
    if len(set(labels)) < len(wanted):  # outputs that are one value
        parts = [given[i] for i in wanted]
    found = dict(zip(wanted, adapters.as_arrays(parts, labels, "y"), strict=True)) if wanted else {}
    return [
        found[i] if i in found else np.broadcast_to(np.float32(0), (rows, *value.dims))
        for i, value in enumerate(form.outputs)
    ]


def nests_in_order(form: Any, y: Any) -> Any:
    """Targets in a flat list if they are a nest as the model's outputs are."""
    if not nests.is_nest(form) or not any(map(nests.is_nest, nests.parts(form))):
        return y
    found = nests.ordered(form, y)
    return y if found is None else found


def read_inputs(model: Trainable, x: Any) -> tuple[list[Array], int, Form]:
    """The arrays that plans read, of x, how many examples they hold, and the form for them.

    Builds the model if its input shape was not known.
    """
    if not model.built:
        _build_for(model, x)
    elif (
        (form := model.forms.only) is not None
        and (dims := form.intake.dims) is not None
        and (rows := adapters.examples(x, dims))
    ):
        return [x], rows, form
    names, given = model.input_names, model.in_order(x)
    keys = _keys(model.input_form, names) if given is not x and isinstance(x, Mapping) else None
    arrays = adapters.as_arrays(given, names, "x", text=text_inputs(model), keys=keys)
    rows = adapters.check_lengths(x=arrays)
    first = next((layer for layer in model.layers if layer.weights), None)
    who = first.describe() if first is not None else model.describe()
    adapters.check_inputs(arrays, [v.dims for v in model.inputs], model.describe(), who)
    form = model.forms.of(arrays)
    return form.intake(arrays), rows, form


def _keys(form: Any, names: list[str]) -> list[Any] | None:
    """By which a dict has the model's inputs; None where some of them are in nests within it."""
    keys = list(form) if isinstance(form, Mapping) else names
    return keys if len(keys) == len(names) else None


def read_validation(task: Task, given: Any) -> Examples:
    """The examples of the argument validation_data."""
    if task.own and not isinstance(given, list | tuple):
        given = (given,)
    if not isinstance(given, list | tuple) or len(given) not in ((1, 2, 3) if task.own else (2, 3)):
        raise ValueError(
            "validation_data must be a tuple (x, y) or (x, y, sample_weight), or an iterable "
            "of such batches"
        )
    try:
        return task.read(*given, *(None,) * (3 - len(given)))
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation_data: {error}") from None


def text_inputs(model: Trainable) -> adapters.TextInputs:
    """Which of the inputs may hold strings, and whether some may be missing."""
    if model.built:
        return model.forms.recorded.intake.text
    first = [layer for layer in model.layers[:1] if layer.takes_text]
    return {i: layer.takes_missing for i, layer in enumerate(first)}


def _build_for(model: Trainable, x: Any) -> None:
    """Builds the model for inputs like these."""
    if model.records_call:
        model.build(adapters.shapes(x))
    else:
        [array] = adapters.as_arrays(x, ["x"], "x", text=text_inputs(model))
        adapters.check_lengths(x=[array])
        model.build((None, *array.shape[1:]))


# ------------------------------------------------------------------------- counts


def batch_size(
    given: int | None, rows: int, steps: int | None, steps_argument: str = "steps"
) -> int:
    """Examples a step, no more than there are: 32, or as many as make `steps` of all rows."""
    if steps is not None:
        check_count(steps_argument, steps, 1)
    if given is None:
        return min(rows, math.ceil(rows / steps) if steps else BATCH_SIZE)
    check_count("batch_size", given, 1)
    return min(rows, int(given))


def check_count(argument: str, value: Any, least: int) -> None:
    """That an argument is a whole number of at least `least`; ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{argument} must be a whole number of at least {least}, not {value!r}")
