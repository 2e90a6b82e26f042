"""Fusion: chains of nodes that become one, by a small table of patterns.

A chain is fused only where each inner value has one reader, so nothing that anybody else
needs disappears. Activations whose gradient reads their input (gelu, silu) are thereby
left alone in a training plan, and fused in a plan that only predicts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

from . import ops
from .op import OPS, Op
from .trace import Node, Value, named

Fuse = Callable[[Node, Node], Node | None]  # None where this pair cannot be one
Patterns = Mapping[tuple[Op, Op], Fuse]

CROSSENTROPIES = {
    "categorical_crossentropy": "softmax_crossentropy",
    "sparse_categorical_crossentropy": "sparse_softmax_crossentropy",
}


def softmax_into_crossentropy(nodes: list[Node]) -> list[Node]:
    """Softmax and the cross-entropy of its output become one node.

    Its outputs are those of the loss, the gradient being with respect to the softmax's
    input, and the probabilities, which metrics and callers may still read. This comes
    before the backward pass: the softmax then has no gradient of its own, so no other
    node that has one may read it.
    """
    readers: defaultdict[Value, list[Node]] = defaultdict(list)
    for node in nodes:
        for value in node.inputs:
            if node.op is not ops.METRIC:
                readers[value].append(node)
    losses = {
        node.inputs[1]: node
        for node in nodes
        if node.op is ops.LOSS
        and node.attributes["kind"] in CROSSENTROPIES
        and _made_by_softmax(node.inputs[1])
        and readers[node.inputs[1]] == [node]
    }
    fused = []
    for node in nodes:
        if node.output in losses:
            loss = losses[node.output]
            target, _, *weight = loss.inputs
            attributes = loss.attributes | {
                "kind": CROSSENTROPIES[loss.attributes["kind"]],
                "options": loss.attributes["options"] | {"clip": True},
            }
            fused.append(
                Node(
                    ops.LOSS,
                    (target, node.inputs[0], *weight),
                    (*loss.outputs, node.output),
                    attributes,
                    loss.layer,
                )
            )
        elif node not in losses.values():
            fused.append(node)
    return fused


def _made_by_softmax(value: Value) -> bool:
    return value.node is not None and value.node.op.name == "softmax"


def dense(nodes: list[Node], kept: Iterable[Value]) -> list[Node]:
    """matmul, then add_bias, then an activation become one product with an epilogue."""
    nodes = _fuse_pairs(nodes, kept, _BIASES)
    return _fuse_pairs(nodes, kept, _activations())


@cache
def _activations() -> Patterns:
    return {
        (product, activation): _product_and_activation
        for product in (ops.MATMUL, ops.DENSE)
        for activation in OPS.values()
        if activation.activation
    }


def activation_gradients(nodes: list[Node], kept: Iterable[Value]) -> list[Node]:
    """The gradient of an activation becomes an epilogue of the product that it follows.

    Both are done where the product was: behind it, the weight that it reads is updated.
    """
    return _fuse_pairs(nodes, kept, _activation_gradients(), early=True)


@cache
def _activation_gradients() -> Patterns:
    return {
        (ops.INPUT_GRADIENT, gradient): _product_and_gradient
        for gradient in OPS.values()
        if gradient.activation_of_gradient
    }


def updates(nodes: list[Node], kept: Iterable[Value]) -> list[Node]:
    """A gradient and the update it is for become one: it never reaches memory."""
    return _fuse_pairs(nodes, kept, _UPDATES)


def _product_and_bias(product: Node, bias: Node) -> Node:
    return Node(ops.DENSE, (*product.inputs, bias.inputs[1]), bias.outputs, {}, product.layer)


def _product_and_activation(product: Node, activation: Node) -> Node | None:
    if "activation" in product.attributes:
        return None
    attributes = {"activation": activation.op.name, **activation.attributes}
    return Node(ops.DENSE, product.inputs, activation.outputs, attributes, product.layer)


def _product_and_gradient(product: Node, gradient: Node) -> Node | None:
    if "activation" in product.attributes or gradient.inputs[0] is not product.output:
        return None
    attributes = {"activation": gradient.op.activation_of_gradient, **gradient.attributes}
    inputs = (*product.inputs, gradient.inputs[1])
    return Node(product.op, inputs, gradient.outputs, attributes, product.layer)


def _weight_gradient_and_update(gradient: Node, update: Node) -> Node:
    return _with_update(ops.WEIGHT_GRADIENT_UPDATE, gradient, update)


def _bias_gradient_and_update(gradient: Node, update: Node) -> Node:
    return _with_update(ops.BIAS_GRADIENT_UPDATE, gradient, update)


def _with_update(op: Op, gradient: Node, update: Node) -> Node:
    weight, _, *slots = update.inputs
    inputs = (*gradient.inputs, weight, *slots)
    return Node(op, inputs, update.outputs, update.attributes, gradient.layer)


_BIASES: Patterns = {(ops.MATMUL, ops.ADD_BIAS): _product_and_bias}
_UPDATES: Patterns = {
    (ops.WEIGHT_GRADIENT, ops.UPDATE): _weight_gradient_and_update,
    (ops.BIAS_GRADIENT, ops.UPDATE): _bias_gradient_and_update,
}


def _is_changed(node: Node, later: Sequence[Node]) -> bool:
    """Whether what a node reads of variables is changed by nodes behind it."""
    read = {named(value).variable for value in node.inputs} - {None}
    return bool(read) and any(
        other.op.changes and any(value.variable in read for value in other.inputs)
        for other in later
    )


def _fuse_pairs(
    nodes: list[Node],
    kept: Iterable[Value],
    patterns: Patterns,
    *,
    early: bool = False,
) -> list[Node]:
    """Fuses each pair producer -> only reader that stands in the table, at the reader's place.

    With `early`, at the producer's.
    """
    readers = Counter(v for node in nodes for v in node.inputs)
    readers.update(kept)
    made: dict[Value, Node] = {}
    fused: list[Node] = []
    for node in nodes:
        for value in node.inputs:
            producer = made.get(value)
            fuse = patterns.get((producer.op, node.op)) if producer else None
            if producer and fuse and readers[value] == 1:
                place = fused.index(producer)
                both = None
                if early or not _is_changed(producer, fused[place + 1 :]):
                    both = fuse(producer, node)
                if both is not None:
                    fused.remove(producer)
                    node = both
                    break
        else:
            place = len(fused)
        made.update((v, node) for v in node.outputs)
        fused.insert(place if early else len(fused), node)
    return fused
