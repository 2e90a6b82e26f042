"""Small networks: a chain of dense layers, its loss and its updates as one step.

Where layers have a few units each, going from step to step takes longer than the arithmetic. The
compiled core has a kernel that trains such a network batch after batch in one call; here plans
that it can serve are recognised.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..variables import Variable
from . import ops
from .trace import Node, Value, parameter

if TYPE_CHECKING:
    from ..optimizers import Optimizer

# What the kernel has room for: see hl_network in csrc/hotloop.h.
MOST_LAYERS = 8
MOST_UNITS = 32
# With more weights, steps of their own are faster: their tiles keep more numbers in registers. A
# linear model has a kernel of its own, to which this does not apply.
MOST_WEIGHTS = 64
# Rows that are gathered at once: several small batches cost one call of each step.
ROWS_AT_ONCE = 256

LOSSES = frozenset(
    {
        "mean_squared_error",
        "mean_absolute_error",
        "mean_absolute_percentage_error",
        "mean_squared_logarithmic_error",
        "huber",
        "log_cosh",
        "binary_crossentropy",
        "binary_crossentropy_logits",
        "kl_divergence",
        "poisson",
        "softmax_crossentropy",
        "sparse_softmax_crossentropy",
    }
)


@dataclass
class Layer:
    """One layer of the chain: an activation of x w + b."""

    w: Variable
    b: Variable | None = None
    activation: str = "linear"
    alpha: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        """Inputs and units."""
        inputs, units = self.w.shape
        return inputs, units

    @property
    def weights(self) -> list[Variable]:
        """Kernel and, if there is one, bias."""
        return [self.w] if self.b is None else [self.w, self.b]


@dataclass
class _Chain:
    """The layers that lead from an input to an output, as far as they were followed."""

    output: Value
    layers: list[Layer] = field(default_factory=list)
    inner: list[Value] = field(default_factory=list)  # what only the chain itself may read

    def follow(self, node: Node) -> bool:
        """Goes on over a node; False where it does not belong to the chain."""
        if node.inputs[0] is not self.output or not self._takes(node):
            return False
        self.inner.append(self.output)
        self.output = node.output
        return True

    def _takes(self, node: Node) -> bool:
        layer = self.layers[-1] if self.layers else None
        if node.op is ops.RESHAPE:
            return True
        if node.op is ops.MATMUL:
            w = node.inputs[1].variable
            if w is None:
                return False
            self.layers.append(Layer(w))
            return len(node.output.dims) == 1
        if layer is None or layer.activation != "linear":
            return False
        if node.op is ops.ADD_BIAS and layer.b is None:
            layer.b = node.inputs[1].variable
            return True
        if node.op.activation:
            layer.activation, layer.alpha = node.op.name, node.attributes["alpha"]
            return True
        return False


def as_one_step(
    forward: Sequence[Node],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    trained: Collection[Variable],
    optimizer: Optimizer,
) -> list[Node] | None:
    """The forward pass with all that trains it in one node; None where that cannot be.

    The node ``network_update`` reads the input, the target, the sample weight if there is one,
    and all weights with their optimizer's state; its outputs are the loss of each row and the
    prediction. Metrics stay as they are.
    """
    losses = [node for node in forward if node.op is ops.LOSS]
    if len(losses) != 1 or len(inputs) != 1:
        return None
    (loss,), (x,) = losses, inputs
    chain = _Chain(x)
    metrics = [node for node in forward if node.op is ops.METRIC]
    for node in forward:
        if node is not loss and node.op is not ops.METRIC and not chain.follow(node):
            return None
    softmax = len(loss.outputs) == 3
    prediction = loss.outputs[2] if softmax else chain.output
    inner = {*chain.inner, *([chain.output] if softmax else [])} - {x}
    read = {*outputs, *(v for node in metrics for v in node.inputs)}
    if (
        loss.inputs[1] is not chain.output
        or loss.attributes["kind"] not in LOSSES
        or loss.attributes["reduction"] == "sum"
        or inner & read
        or not _is_small(chain.layers, trained)
    ):
        return None
    values = loss.output
    target, _, *sample_weight = loss.inputs
    parameters = [
        parameter(v)
        for layer in chain.layers
        for weight in layer.weights
        for v in (weight, *optimizer.slots(weight))
    ]
    attributes = loss.attributes | {"layers": chain.layers}
    update = Node(
        ops.NETWORK_UPDATE,
        (x, target, *sample_weight, *parameters),
        (values, prediction),
        attributes,
        loss.layer,
    )
    return [update, *metrics]


def _is_small(layers: Sequence[Layer], trained: Collection[Variable]) -> bool:
    """Whether the kernel has room for these layers, and all of their weights are trained."""
    weights = [weight for layer in layers for weight in layer.weights]
    return (
        0 < len(layers) <= MOST_LAYERS
        and all(max(layer.shape) <= MOST_UNITS for layer in layers)
        and (_is_linear(layers) or sum(math.prod(layer.shape) for layer in layers) <= MOST_WEIGHTS)
        and len(set(weights)) == len(weights)
        and set(weights) == set(trained)
        and all(weight.regularizer is None for weight in weights)
    )


def _is_linear(layers: Sequence[Layer]) -> bool:
    return len(layers) == 1 and layers[0].shape[1] == 1
