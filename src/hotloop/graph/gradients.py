"""The backward pass: reverse-mode differentiation of a list of nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .op import OPS, Gradients
from .trace import Node, Value, apply, in_layer, topological


def backward(
    nodes: Sequence[Node], seeds: Iterable[tuple[Value, Value]], wanted: Iterable[Value]
) -> dict[Value, Value]:
    """Adds the nodes that compute the gradient of every wanted value.

    Parameters
    ----------
    nodes : sequence of Node
        The forward pass, in topological order.
    seeds : iterable of (Value, Value)
        Outputs of the forward pass, each with its gradient.
    wanted : iterable of Value
        The values, usually parameters, to differentiate with respect to.

    Returns
    -------
    dict
        Value -> its gradient, for each wanted value that the seeds depend on.

    Raises
    ------
    NotImplementedError
        Where a function of the user's is to be differentiated twice.
    """
    needed = set(wanted)
    for node in nodes:
        if any(v in needed for v in node.inputs):
            needed.update(node.outputs)

    gradient: dict[Value, Value] = {}

    def accumulate(value: Value, term: Value) -> None:
        so_far = gradient.get(value)
        gradient[value] = term if so_far is None else apply(OPS["add"], so_far, term)

    for value, seed in seeds:
        if value in needed:
            accumulate(value, seed)
    for node in reversed(nodes):
        given = [gradient.get(value) for value in node.outputs]
        asked = tuple(v in needed for v in node.inputs)
        if not any(asked) or all(dy is None for dy in given):
            continue
        if node.op.gradient is None and node.op.users(node):
            raise NotImplementedError(
                f"{node.op.name}: the gradient of a gradient is asked for, but a function of your "
                "own has its first derivative only; write it with hotloop.ops, which have all"
            )
        if node.op.gradient is not None:
            with in_layer(node.layer):
                terms = node.op.gradient(node, asked, *given)
            for value, ask, term in zip(node.inputs, asked, terms, strict=True):
                if ask and term is not None:
                    accumulate(value, term)
    return {value: gradient[value] for value in wanted if value in gradient}


def composed(formula: Callable[..., Value]) -> Callable[..., Gradients]:
    """Gradient rule of an op whose output `formula` says with other ops.

    It is formula(node, *inputs). Gradients of gradients have it: they are asked for so rarely that
    nobody wrote kernels for theirs.
    """

    def rule(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
        # Each under a name of its own: a node may read one value twice.
        inputs = [apply(OPS["reshape"], value, dims=value.dims) for value in node.inputs]
        y = formula(node, *inputs)
        asked = [value for value, ask in zip(inputs, wanted, strict=True) if ask]
        found = backward(topological([y], inputs), [(y, dy)], asked)
        return tuple(found.get(value) for value in inputs)

    return rule
