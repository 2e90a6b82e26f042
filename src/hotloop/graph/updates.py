"""What follows the gradients of a training plan: accumulation, clipping, updates, constraints."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from ..backends.own import may_raise
from ..variables import Variable
from . import ops, recording
from .gradients import backward
from .ops.movements import plainly_kept
from .trace import Node, Value, apply, in_layer, named, parameter, topological

if TYPE_CHECKING:
    from ..optimizers import Optimizer


def updates(
    forward: Sequence[Node],
    seeds: Sequence[tuple[Value, Value]],
    trained: Sequence[Variable],
    optimizer: Optimizer,
) -> list[Node]:
    """The backward pass and what it is for.

    It begins at loss nodes, and at `seeds`: values with their gradients.

    What changes a weight stands right behind the last node that the weight and its gradient
    need, so that it can be fused with the gradient and finds both in the cache.
    """
    # The values of a loss node are its first output and the gradient its second, with
    # respect to whatever it reads second: y_pred, or the input of a fused softmax.
    of_nodes = [(n.inputs[1], n.outputs[1]) for n in forward if n.op is ops.LOSS]
    gradients = backward(forward, [*of_nodes, *seeds], [parameter(v) for v in trained])
    changes = after_gradients({w: _with_penalty(w, g) for w, g in gradients.items()}, optimizer)

    known = [v for node in forward for v in (*node.inputs, *node.outputs)]
    return with_changes(topological(changes, known), changes, forward)


def with_changes(
    nodes: Sequence[Node],
    changes: Mapping[Value, tuple[Value, list[Node]]],
    before: Sequence[Node] = (),
) -> list[Node]:
    """The nodes, and what changes weights right behind the last one that reads a weight.

    Parameters
    ----------
    nodes : sequence of Node
        That the gradients are among, in order.
    changes : mapping
        From `after_gradients`.
    before : sequence of Node
        What stands in front of them, of which views matter.
    """
    if any(may_raise(node) for node in nodes):
        # All weights are updated or none.
        return [*nodes, *(node for _, changing in changes.values() for node in changing)]
    readers: dict[Value, Node] = {}
    seen: dict[Value, Value] = {}  # what a view is another name of
    for node in (*before, *nodes):
        if node.op.view:
            seen[node.output] = seen.get(node.inputs[0], node.inputs[0])
    for node in nodes:
        for value in (*node.inputs, *node.outputs):
            readers[value] = readers[seen.get(value, value)] = node
    ordered: list[Node] = []
    left = dict(changes)
    for node in nodes:
        ordered.append(node)
        for gradient, (weight, changing) in tuple(left.items()):
            needed = (readers.get(gradient, node), readers.get(weight, node))
            if node in needed and all(other in ordered for other in needed):
                ordered += changing
                del left[gradient]
    return ordered


def assignments(pairs: Sequence[tuple[Variable, Value]]) -> list[Node]:
    """The nodes that make variables these values, behind all others of a batch.

    What stands in a variable itself is first copied, before anything changes it.
    """
    changes = []
    for place, (variable, value) in enumerate(pairs):
        w = parameter(variable)
        if any(variable is other for other, _ in pairs[:place]):
            raise ValueError(f"the variable '{variable.path}' is given two values at once")
        if value.batched or value.dims != w.dims or value.dtype != w.dtype:
            raise ValueError(
                f"the variable '{variable.path}' of shape {w.dims} and dtype {w.dtype} cannot "
                f"become {value}: a state is of no example, and keeps its shape and dtype"
            )
        if value.rows and w.rows and value.rows != w.rows:
            raise ValueError(
                f"the variable '{variable.path}', kept as a matrix of {w.rows} rows, cannot become "
                f"{value}, kept as one of {value.rows}"
            )
        if named(value).variable is not None:
            value = apply(ops.CAST, value, dtype=value.dtype)
        changes.append(Node(ops.ASSIGN, (w, value), (), {}))
    return changes


def after_gradients(
    gradients: Mapping[Value, Value], optimizer: Optimizer
) -> dict[Value, tuple[Value, list[Node]]]:
    """From each weight's gradient to the gradient that its update reads.

    Returns
    -------
    dict
        That gradient -> the weight, and the nodes that change it, in order.
    """
    ready = dict(gradients)
    if optimizer.is_own:
        optimizer.prepare([_variable(w) for w in gradients])
        if optimizer.gradient_accumulation_steps:
            raise ValueError(
                f"{type(optimizer).__name__}: gradient_accumulation_steps is not supported for an "
                "optimizer with an update_step() of its own"
            )
    batches = optimizer.gradient_accumulation_steps
    if batches:
        for w, g in gradients.items():
            sum_so_far = parameter(optimizer.accumulator(_variable(w)))
            ready[w] = apply(ops.ACCUMULATE_GRADIENT, g, sum_so_far, batches=batches)
    if optimizer.clipnorm:
        ready = {
            w: _clipped_by_norm(g, _square_sum(g), optimizer.clipnorm) for w, g in ready.items()
        }
    if optimizer.global_clipnorm:
        squares = None
        for g in ready.values():
            squares = _square_sum(g, squares)
        for w, g in ready.items():
            assert squares is not None
            ready[w] = _clipped_by_norm(g, squares, optimizer.global_clipnorm)
    if optimizer.clipvalue:
        for w, g in ready.items():
            ready[w] = apply(ops.CLIP_BY_VALUE, g, limit=optimizer.clipvalue)
    return {g: (w, _changes(w, g, optimizer)) for w, g in ready.items()}


def only_updates(trained: Collection[Variable], optimizer: Optimizer) -> bool:
    """Whether each gradient's elements are followed by their update and nothing else."""
    return (
        optimizer.elementwise
        and not optimizer.is_own
        and optimizer.uses_gradients_as_they_are
        and not any(
            optimizer.use_ema or optimizer.decays(v) or v.constraint is not None for v in trained
        )
    )


def penalty_factors(variable: Variable) -> tuple[float, float] | None:
    """What a weight's absolute values and its squares are multiplied by in its penalty.

    None without a penalty, and for one of the user's own.
    """
    factors: tuple[float, float] | None = getattr(variable.regularizer, "factors", None)
    return factors


def own_penalties(trained: Sequence[Variable]) -> list[Value]:
    """The penalties that regularizers of the user's own say, recorded.

    Raises
    ------
    TypeError
        For one that computes with something else than operators and `hotloop.ops`.
    """
    found = []
    for variable in trained:
        regularizer = variable.regularizer
        if regularizer is None or penalty_factors(variable) is not None:
            continue
        with recording.within(recording.Recording()), in_layer(None):
            penalty: object = regularizer(plainly_kept(parameter(variable)))
        if not isinstance(penalty, Value):
            raise TypeError(
                f"the regularizer of '{variable.path}' must return what operators and hotloop.ops "
                f"make of the weight it is given, not {penalty!r}"
            )
        found.append(penalty)
    return found


def _variable(weight: Value) -> Variable:
    assert weight.variable is not None
    return weight.variable


def _with_penalty(weight: Value, gradient: Value) -> Value:
    factors = penalty_factors(_variable(weight))
    if factors is None:
        return gradient
    l1, l2 = factors
    return apply(ops.PENALTY_GRADIENT, gradient, weight, l1=l1, l2=l2)


def _square_sum(gradient: Value, so_far: Value | None = None) -> Value:
    inputs = (gradient,) if so_far is None else (gradient, so_far)
    return apply(ops.SQUARE_SUM, *inputs)


def _clipped_by_norm(gradient: Value, squares: Value, limit: float) -> Value:
    return apply(ops.CLIP_BY_NORM, gradient, squares, limit=limit)


def _changes(weight: Value, gradient: Value, optimizer: Optimizer) -> list[Node]:
    """What is done to a weight, in Keras's order."""
    variable = _variable(weight)
    nodes = []
    if optimizer.decays(variable):
        nodes.append(Node(ops.DECAY, (weight,), (), {"weight_decay": optimizer.decay_of(variable)}))
    if optimizer.is_own:
        nodes += _own_changes(weight, gradient, optimizer)
        return [*nodes, *_after_change(weight, optimizer)]
    state = tuple(parameter(s) for s in optimizer.slots(variable))
    # Only the first is fused with what makes the gradient piece by piece.
    op = ops.UPDATE if optimizer.by_element(variable) else ops.WHOLE_UPDATE
    nodes.append(Node(op, (weight, gradient, *state), (), {}))
    return [*nodes, *_after_change(weight, optimizer)]


def _own_changes(weight: Value, gradient: Value, optimizer: Optimizer) -> list[Node]:
    """What the user's own rule computes of a weight and its gradient, and assigns."""
    variable = _variable(weight)
    given, before = plainly_kept(gradient), plainly_kept(weight)
    with recording.within(recording.Recording(now={variable: before})) as made, in_layer(None):
        optimizer.update_step(given, variable, made.read(optimizer.rate))
    changing = assignments(
        [(effect.variable, effect.value) for effect in made.effects if effect.variable is not None]
    )
    values = [node.inputs[1] for node in changing]
    return [*topological(values, [gradient]), *changing]


def _after_change(weight: Value, optimizer: Optimizer) -> list[Node]:
    """What follows the change of a weight."""
    variable = _variable(weight)
    nodes = []
    if optimizer.use_ema:
        average = parameter(optimizer.average(variable))
        momentum, frequency = optimizer.ema_momentum, optimizer.ema_overwrite_frequency
        nodes.append(Node(ops.AVERAGE, (average, weight), (), {"momentum": momentum}))
        if frequency:
            nodes.append(Node(ops.OVERWRITE, (weight, average), (), {"frequency": frequency}))
    constraint = variable.constraint
    if constraint is None or not optimizer.changes_weights:
        return nodes
    if getattr(constraint, "is_built_in", False):
        return [*nodes, Node(ops.CONSTRAIN, (weight,), (), {"constraint": constraint})]
    with recording.within(recording.Recording()), in_layer(None):
        value: object = constraint(plainly_kept(weight))
    if not isinstance(value, Value):
        raise TypeError(
            f"the constraint of '{variable.path}' must return what operators and hotloop.ops make "
            f"of the weight it is given, not {value!r}"
        )
    return [*nodes, *topological([value]), *assignments([(variable, value)])]
