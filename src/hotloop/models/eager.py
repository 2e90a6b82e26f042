"""One layer at once on arrays: a plan that is made, run and forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import backends, nests
from ..data.adapters import as_array
from ..data.feed import Feed
from ..graph import recording
from ..graph.plan import build
from ..graph.recording import Mode, Recording
from ..graph.trace import Value, in_layer, values_in
from ..layers.base import Arguments, Layer, enter_call_on_arrays
from .forms import Form


def call_layer(layer: Layer, arguments: Arguments, training: Any) -> Any:
    """What the layer makes of a batch, as it does when predicting unless it is told to train."""
    arrays: dict[str, Any] = {}
    called = _symbolic(layer, arguments, arrays)
    if not arrays:
        if next(iter((*arguments[0], *arguments[1].values()))) in ([], ()):
            raise ValueError(f"{layer.describe()} needs at least 1 input, got an empty list")
        raise TypeError(f"{layer.describe()} was called on no arrays; it needs a batch of examples")
    for array in arrays.values():
        if array.ndim == 0:
            raise ValueError(f"{layer.describe()} needs a batch of examples, got a single number")
    rows = len(next(iter(arrays.values())))
    if any(len(array) != rows for array in arrays.values()):
        raise ValueError(
            f"{layer.describe()} needs inputs of as many examples each, got "
            + " and ".join(str(len(array)) for array in arrays.values())
        )
    inputs = values_in(called)
    trains = bool(training)
    with recording.within(Recording(Mode(forced=trains))) as made:
        args, kwargs = called
        y = layer.extend(*args, **kwargs)
    form = Form(inputs, values_in(y), [], made.effects)
    outputs = [np.empty((rows, *value.dims), value.dtype) for value in form.outputs]
    losses: Any = form.added_losses(trains)
    if rows:
        plan = build(
            form.intake.values,
            form.outputs,
            rows,
            backends.traits(),
            written=layer.changed_weights,
            assigned=form.assigned(trains),
            added=losses,
            counter=layer.counter,
        )
        sums = np.zeros(len(plan.slots))
        feed = Feed(form.intake(list(arrays.values())), rows)
        backends.executor(plan).run(feed, 0, 1, sums, outputs=outputs)
        losses = [float(amount) / rows for amount in sums]
    layer.heard(losses)
    return nests.packed(y, outputs)


def _symbolic(layer: Layer, arguments: Arguments, arrays: dict[str, Any]) -> Arguments:
    """The arguments with a value in the place of each array, which are put under their names."""

    def value_of(part: Any, name: str) -> Any:
        arrays[name] = array = as_array(
            part, name, text=layer.takes_text, missing=layer.takes_missing
        )
        with in_layer(layer):
            return Value(array.shape[1:], layer.dtype, role="input", name=name)

    def of(part: Any, name: str) -> Any:
        if _is_array(part):
            return value_of(part, name)
        if isinstance(part, Mapping):
            return {key: of(one, f"{name}[{key!r}]") for key, one in part.items()}
        if isinstance(part, list | tuple):
            return nests.packed_shallow(part, [of(p, f"{name}[{i}]") for i, p in enumerate(part)])
        return part

    def first(part: Any, name: str) -> Any:
        """The first argument is an array, or a nest of them, even if it is a list of numbers."""
        if isinstance(part, list | tuple) and layer.takes_list:
            parts = [first_of(p, f"{name}[{i}]") for i, p in enumerate(part)]
            return nests.packed_shallow(part, parts)
        return first_of(part, name)

    def first_of(part: Any, name: str) -> Any:
        holds = nests.is_nest(part) and (
            isinstance(part, Mapping) or any(map(_is_array, nests.flat(part)))
        )
        return of(part, name) if holds else value_of(part, name)

    args, kwargs = arguments
    names = list(kwargs)
    if args:
        args = (first(args[0], "x"), *(of(p, f"argument {i}") for i, p in enumerate(args[1:], 2)))
        return args, {name: of(kwargs[name], name) for name in names}
    made = {name: (first if name == names[0] else of)(kwargs[name], name) for name in names}
    return args, made


def _is_array(thing: Any) -> bool:
    """Whether it is an array of at least one axis, of whatever package."""
    return hasattr(thing, "__array__") and np.ndim(thing) > 0


enter_call_on_arrays(call_layer)
