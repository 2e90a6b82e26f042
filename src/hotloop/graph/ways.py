"""Training and predicting, recorded apart where Python branches on it, and put together again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import nests
from . import ops, recording
from .recording import Effect, Mode, Recording
from .trace import Node, Value, parameter


class TwoWaysError(ValueError):
    """What is made in training does not stand beside what is made otherwise."""


def both(record: Callable[[bool], Any]) -> Any:
    """What a function of ``training`` makes, which may be something else in training.

    Where plans decide, it is recorded for both kinds, and what differs becomes a value that each
    kind of plan has its own input of. Values that are computed in one way are one value.

    Raises
    ------
    TwoWaysError
        If what it makes has another form or other shapes in training.
    """
    around = recording.current()
    assert around is not None
    if around.mode.training is not None:
        return record(around.mode.training)
    made, ways = [], []
    for training in (False, True):
        way = Recording(Mode(way=training), [], dict(around.now))
        with recording.within(way):
            made.append(record(training))
        ways.append(way)
    if not nests.alike(*made):
        raise TwoWaysError(
            "call() returns another number of values, or other names of them, in training than "
            "otherwise; return the same ones, of whatever numbers"
        )
    known: dict[Value, Value] = {}
    pairs = zip(*map(nests.flat, made), strict=True)
    values = [
        _joined(predicting, training, known)
        if isinstance(predicting, Value) and isinstance(training, Value)
        else predicting
        for predicting, training in pairs
    ]
    around.effects += _effects(ways[0].effects, ways[1].effects, known)
    for variable in {**ways[0].now, **ways[1].now}:
        before = parameter(variable)
        otherwise, trained = (way.now.get(variable, before) for way in ways)
        around.now[variable] = _joined(otherwise, trained, known)
    return nests.packed(made[0], values)


def _joined(predicting: Value, training: Value, known: dict[Value, Value]) -> Value:
    """One value for both kinds of plans."""
    if _same(predicting, training, known):
        return predicting
    if training.dims != predicting.dims or training.batched != predicting.batched:
        raise TwoWaysError(
            f"call() makes {training.shape} in training, but {predicting.shape} otherwise; both "
            "must have one shape"
        )
    return ops.by_training(predicting, training)


def _effects(
    predicting: Sequence[Effect], training: Sequence[Effect], known: dict[Value, Value]
) -> list[Effect]:
    """Those of both ways, each once."""
    found, left = [], list(training)
    for effect in predicting:
        for other in left:
            if other.variable is effect.variable and _same(effect.value, other.value, known):
                left.remove(other)
                found.append(Effect(effect.layer, effect.value, effect.variable))
                break
        else:
            found.append(effect)
    return found + left


def _same(a: Value, b: Value, known: dict[Value, Value]) -> bool:
    """Whether two values are computed from the same ones by the same ops."""
    stack = [(a, b)]
    while stack:
        a, b = stack.pop()
        if a is b or known.get(a) is b:
            continue
        if a.node is None or b.node is None or not _alike(a.node, b.node):
            return False
        if _number(a) != _number(b):
            return False
        stack += zip(a.node.inputs, b.node.inputs, strict=True)
        known[a] = b
    return True


def _number(value: Value) -> int:
    """Which output of its node it is."""
    assert value.node is not None
    return next(i for i, output in enumerate(value.node.outputs) if output is value)


def _alike(a: Node, b: Node) -> bool:
    """Whether two nodes do the same with their inputs."""
    if a.op is not b.op or len(a.inputs) != len(b.inputs):
        return False
    try:
        return bool(a.attributes == b.attributes)
    except ValueError:  # arrays among them
        return False


def of_plan(nodes: Sequence[Node], training: bool) -> list[Node]:
    """The nodes as they are in a plan that trains, or in one that does not.

    A layer of noise that is used several times draws anew for each use. Where nothing is drawn,
    the input is passed on.
    """
    found = []
    uses: dict[int, int] = {}
    for node in nodes:
        if node.op.chooses:
            node = _passing(node, node.inputs[training])
        elif node.op.draws:
            attributes = dict(node.attributes)
            if attributes.pop("training", training):
                seed = attributes["seed"]
                turn = uses[seed] = uses.get(seed, -1) + 1
                attributes["seed"] = (seed + turn) % 2**64
                node = Node(node.op, node.inputs, node.outputs, attributes, node.layer)
            else:
                node = _passing(node, node.inputs[0])
        found.append(node)
    return found


def _passing(node: Node, value: Value) -> Node:
    """What gives a node's output the bytes of a value."""
    return Node(ops.RESHAPE, (value,), node.outputs, {"dims": node.output.dims}, node.layer)
