"""Batch normalisation in a plan: by statistics of the batch, or by moving ones that stand still."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..variables import Variable
from . import ops
from .trace import Node, emit, in_layer


def normalizations(
    nodes: Sequence[Node], written: Collection[Variable], training: bool
) -> tuple[list[Node], list[Node]]:
    """The nodes with every batch normalisation in its form, and the updates of moving averages.

    Where a layer trains and its averages may be written, ``column_moments`` computes the batch's
    mean and variance before ``normalize``, and an update for each average is to follow once the
    loss is known to be finite. A layer that is used several times has as many of them, in order.
    """
    found: list[Node] = []
    updates: list[Node] = []
    for node in nodes:
        if node.op is not ops.BATCH_NORMALIZATION:
            found.append(node)
            continue
        x, *averages = node.inputs[:3]
        own = node.attributes.get("training", training)
        own = own and all(average.variable in written for average in averages)
        options = {name: node.attributes[name] for name in ("epsilon", "scale", "center")}
        statistics = tuple(averages)
        if own:
            with in_layer(node.layer):
                statistics = emit(ops.COLUMN_MOMENTS, x)
            assert statistics[0].node is not None
            found.append(statistics[0].node)
            momentum = {"momentum": node.attributes["momentum"]}
            updates += [
                Node(ops.MOVING_AVERAGE_UPDATE, pair, (), momentum, node.layer)
                for pair in zip(averages, statistics, strict=True)
            ]
        inputs = (x, *statistics, *node.inputs[3:])
        found.append(Node(ops.NORMALIZE, inputs, node.outputs, options | {"own": own}, node.layer))
    return found, updates
