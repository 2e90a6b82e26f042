"""Layers and losses that are called on tensors: one branch for each call."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from ..graph import ops, recording, statistics
from ..graph.op import OPS
from ..graph.recording import Mode, Recording
from ..graph.trace import Node, Value, apply, in_layer
from ..graph.updates import penalty_factors
from ..variables import Variable
from .recorder import Entry, Recorder, frozen
from .tensor import Tensor

if TYPE_CHECKING:
    from ..layers.base import Layer
    from ..losses import Loss

FLOATS = ("float32", "float64")


def call_again(recorder: Recorder, layer: Layer, x: Tensor, training: Any) -> Any:
    """What a layer makes of one tensor, as it made it in another batch; None if it did not."""
    if recorder.at.written or x.turn != recorder.turn or x.recorder is not recorder:
        return None
    entry = recorder.at.children.get(("again", id(layer), training, x.slot))
    return None if entry is None else _made(recorder, layer, entry, recorder.take(entry))


def call_layer(recorder: Recorder, layer: Layer, arguments: Any, training: Any) -> Any:
    """What a layer or model makes of arrays and tensors, with all axes."""
    trains = bool(training)
    if recorder.at.written and not recorder.at.written.isdisjoint(layer.weights):
        recorder.finish()
    things = flat(arguments)
    comes_in = [_comes_in(thing) for thing in things]
    if not any(comes_in):  # lists of numbers
        (first, *rest), named = arguments if arguments[0] else ((None,), arguments[1])
        arguments = (np.asarray(first, layer.dtype), *rest), named
        things = flat(arguments)
        comes_in = [_comes_in(thing) for thing in things]
    leaves = [thing for thing, comes in zip(things, comes_in, strict=True) if comes]
    constants = [thing for thing, comes in zip(things, comes_in, strict=True) if not comes]
    slots = recorder.slots_of(lambda: [recorder.tensor(leaf).slot for leaf in leaves])

    def record() -> Entry:
        whole = [recorder.values[slot] for slot in slots]
        rows = _rows(layer.describe(), whole)
        examples = iter([ops.as_examples(_cast(value, layer.dtype)) for value in whole])
        given = [
            next(examples) if comes else thing
            for thing, comes in zip(things, comes_in, strict=True)
        ]
        with recording.within(Recording(Mode(forced=trains))) as made:
            args, kwargs = packed(arguments, given)
            form = layer.extend(*args, **kwargs)
        values = [*flat(form), *(effect.value for effect in made.effects)]
        outputs = [ops.as_whole(v, rows) if v.batched else v for v in values]
        nodes, after, seeds = _for_training(recorder, recorder.nodes_of(outputs), layer, trains)
        kept = (layer, packed(form, range(len(flat(form)))), made.effects, constants)
        return Entry(recorder.at, outputs, nodes, after, keeps=kept, seeds=seeds)

    key = ("call", id(layer), trains, shape_of(arguments), frozen(constants), *comes_in, *slots)
    before = recorder.at
    tensors = recorder.step(key, record)
    args, kwargs = arguments
    if len(args) == 1 and not kwargs and isinstance(args[0], Tensor):
        before.children["again", id(layer), training, slots[0]] = recorder.at
    return _made(recorder, layer, recorder.at, tensors)


def _made(recorder: Recorder, layer: Layer, entry: Entry, tensors: Sequence[Tensor]) -> Any:
    """What a call gives, once what it does besides is done."""
    _, form, effects, _ = entry.keeps
    if not effects:
        layer.heard([])
        return tensors[0] if form == 0 else packed(form, tensors)
    losses = []
    for effect, tensor in zip(effects, tensors[len(tensors) - len(effects) :], strict=True):
        if effect.variable is None:
            losses.append(tensor)
        else:
            recorder.assign(effect.variable, tensor)
    layer.heard(losses)
    return packed(form, tensors[: len(tensors) - len(effects)])


def _comes_in(thing: Any) -> bool:
    """Whether an argument is a tensor or an array, and no constant."""
    return isinstance(thing, Value | Variable) or np.ndim(thing) > 0


def _rows(who: str, whole: Sequence[Value]) -> int:
    """How many examples all of these arrays have."""
    counts = {value.dims[0] if value.dims else 0 for value in whole}
    if len(counts) != 1 or 0 in counts:
        shapes = " and ".join(str(value.dims) for value in whole)
        raise ValueError(f"{who} needs arrays of as many examples each, got shapes {shapes}")
    return counts.pop()


def _cast(value: Value, dtype: str) -> Value:
    return ops.cast(value, dtype)


def _for_training(
    recorder: Recorder, nodes: Sequence[Node], layer: Layer, training: bool
) -> tuple[list[Node], list[Node], tuple[int, ...]]:
    """The nodes as a call in training has them, or any other call; what follows; seeds."""
    found: list[Node] = []
    seeds: list[int] = []
    for node in nodes:
        trains = node.attributes.get("training", training)
        if node.op.draws and not trains:
            options = {"dims": node.output.dims}
            node = Node(ops.RESHAPE, node.inputs, node.outputs, options, node.layer)
        elif node.op.draws:
            seed = node.attributes["seed"]
            own = (recorder.own_seed(seed) + seeds.count(seed)) % 2**64
            seeds.append(seed)
            options = node.attributes | {"seed": own}
            options.pop("training", None)
            node = Node(node.op, node.inputs, node.outputs, options, node.layer)
        found.append(node)
    return *statistics.normalizations(found, layer.changed_weights, training), tuple(seeds)


def call_loss(recorder: Recorder, loss: Loss, y_true: Any, y_pred: Any, weight: Any) -> Tensor:
    """The loss of a batch, reduced to one number."""
    things = [y_true, y_pred] if weight is None else [y_true, y_pred, weight]
    slots = recorder.slots_of(lambda: [recorder.tensor(thing).slot for thing in things])

    def record() -> Entry:
        target, scores, *weights = [recorder.values[slot] for slot in slots]
        if len(scores.dims) == 1:
            scores = ops.reshape(scores, (*scores.dims, 1))
        rows = _rows(loss.name, [scores])
        dims = loss.target_dims(scores.dims[1:], target.dims[1:])
        assert dims is not None
        given = ops.as_examples(ops.reshape(target, (rows, *dims)))
        given = ops.cast(given, "int32" if loss.sparse else scores.dtype)
        weights = [
            ops.as_examples(ops.cast(ops.reshape(value, (rows,)), scores.dtype))
            for value in weights
        ]
        node = loss.emit(given, ops.as_examples(scores), weights[0] if weights else None)
        assert isinstance(node, Node)
        # What follows reduces the values.
        node.attributes.update(reduction="sum", loss_weight=1.0)
        values = ops.as_whole(node.output, rows)
        mean = loss.reduction != "sum"
        total = ops.scale(total_of(values), 1.0 / values.size if mean else 1.0)
        return recorder.entry([total], keeps=(loss,))

    return recorder.step(("loss", id(loss), *slots), record)[0]


def call_penalty(recorder: Recorder, weight: Variable) -> Tensor:
    """What a weight's regularizer adds to the loss."""
    factors = penalty_factors(weight)
    if factors is None:
        assert weight.regularizer is not None
        found: Tensor = weight.regularizer(recorder.tensor(weight))
        return found
    l1, l2 = factors
    slot = recorder.slots_of(lambda: recorder.tensor(weight).slot)

    def record() -> Entry:
        w = recorder.values[slot]
        plain = apply(OPS["unpack"], w) if w.row_axes else w
        terms = []
        if l1:
            terms.append(ops.scale(total_of(apply(OPS["absolute"], plain, alpha=0.0)), l1))
        if l2:
            terms.append(ops.scale(total_of(ops.multiply(plain, plain)), l2))
        total = reduce(ops.add, terms) if terms else ops.scale(total_of(plain), 0.0)
        return recorder.entry([total], keeps=(weight.regularizer,))

    return recorder.step(("penalty", id(weight.regularizer), slot), record)[0]


def call_metric(
    recorder: Recorder, metric: Any, y_true: Any, y_pred: Any, weight: Any = None
) -> tuple[Tensor, Any] | None:
    """The weighted total of a mean of rows, and the weights' sum; None where no op computes it."""
    things = [y_true, y_pred] if weight is None else [y_true, y_pred, weight]
    given = recorder.slots_of(lambda: [recorder.tensor(thing) for thing in things])
    target, scores = given[:2]
    rows = scores.dims[0] if len(scores.dims) > 1 else 0
    dims = scores.dims[1:-1] if metric.sparse else scores.dims[1:]
    if not rows or target.size != rows * math.prod(dims) or scores.dtype not in FLOATS:
        return None
    if weight is not None and given[2].dims != (rows,):
        return None
    slots = [tensor.slot for tensor in given]

    def record() -> Entry:
        target, scores, *weights = [recorder.values[slot] for slot in slots]
        labels = ops.reshape(target, (rows, *dims))
        labels = ops.cast(labels, "int32" if metric.sparse else scores.dtype)
        weights = [ops.as_examples(ops.cast(value, scores.dtype)) for value in weights]
        values = ops.metric(
            metric.op,
            ops.as_examples(labels),
            ops.as_examples(scores),
            weights[0] if weights else None,
            **metric.options(),
        )
        each = values.size
        found = [total_of(ops.as_whole(values, rows))]
        if weights:
            found.append(ops.scale(total_of(recorder.values[slots[2]]), float(each)))
        return recorder.entry(found, keeps=(metric,))

    total, *count = recorder.step(("metric", id(metric), *slots), record)
    return total, count[0] if count else float(rows * math.prod(scores.dims[1:-1]))


def total_of(x: Value) -> Value:
    """The sum of all numbers of an array."""
    return ops.reshape(apply(ops.BIAS_GRADIENT, ops.reshape(x, (x.size, 1))), ())


def call_function(recorder: Recorder, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """What a function of symbolic values makes of tensors: one branch for all that it records.

    Arrays among its arguments are tensors too; numbers, and lists of them, are a part of the key.
    """
    things = flat((args, kwargs))
    comes_in = [isinstance(thing, Value | Variable | np.ndarray) for thing in things]
    slots = recorder.slots_of(
        lambda: [
            recorder.tensor(thing).slot
            for thing, comes in zip(things, comes_in, strict=True)
            if comes
        ]
    )
    constants = [thing for thing, comes in zip(things, comes_in, strict=True) if not comes]

    def record() -> Entry:
        numbers = iter(slots)
        given = [
            recorder.values[next(numbers)] if comes else thing
            for thing, comes in zip(things, comes_in, strict=True)
        ]
        positional, named = packed((args, kwargs), given)
        with in_layer(None):
            made = function(*positional, **named)
        leaves = flat(made)
        outputs = [leaf for leaf in leaves if isinstance(leaf, Value)]
        form = packed(made, range(len(leaves)))
        return recorder.entry(outputs, keeps=(constants, form, leaves))

    key = (function, shape_of((args, kwargs)), frozen(constants), *comes_in, *slots)
    tensors = iter(recorder.step(key, record))
    _, form, leaves = recorder.at.keeps
    return packed(form, [next(tensors) if isinstance(v, Value) else v for v in leaves])


# ------------------------------------------------------------------------------ nests


def flat(nest: Any) -> list[Any]:
    """What is in a nest of lists, tuples and dicts."""
    if isinstance(nest, Mapping):
        return [leaf for part in nest.values() for leaf in flat(part)]
    if isinstance(nest, list | tuple):
        return [leaf for part in nest for leaf in flat(part)]
    return [nest]


def packed(like: Any, things: Iterable[Any]) -> Any:
    """Things in the form of a nest that has as many."""
    return _packed(like, iter(things))


def _packed(like: Any, rest: Iterator[Any]) -> Any:
    # No function within `packed`, which would be a circle that keeps tensors.
    if isinstance(like, Mapping):
        return {name: _packed(part, rest) for name, part in like.items()}
    if isinstance(like, list):
        return [_packed(part, rest) for part in like]
    if isinstance(like, tuple):
        found = [_packed(part, rest) for part in like]
        return type(like)(*found) if hasattr(like, "_fields") else tuple(found)
    return next(rest)


def shape_of(nest: Any) -> Any:
    """What tells the forms of nests apart."""
    if isinstance(nest, Mapping):
        return tuple([(name, shape_of(part)) for name, part in nest.items()])
    return tuple(map(shape_of, nest)) if isinstance(nest, list | tuple) else None


Recorder.call_layer = call_layer
Recorder.call_loss = call_loss
Recorder.call_function = call_function
Recorder.call_metric = call_metric
Recorder.call_penalty = call_penalty
Recorder.call_again = call_again
