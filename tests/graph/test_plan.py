"""Plans of whole models: what they compute, in which order, and where it stands in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import losses, optimizers, regularizers
from hotloop.graph import memory, ops
from hotloop.graph.plan import LossTerm, MetricTerm, Plan, build
from hotloop.graph.trace import Value
from hotloop.layers import Activation, Dense, Dropout, Flatten, Input, Reshape


def plan_of(
    inputs: Value | list[Value],
    outputs: Value | list[Value],
    loss: str | None = "mse",
    *,
    trained: list[Any] | None = None,
    optimizer: Any = "sgd",
    weighted: bool = False,
    metrics: tuple[MetricTerm, ...] = (),
    fuse_updates: bool = False,
) -> Plan:
    """A plan of batches of 4, with the same loss for each output."""
    model = hotloop.Model(inputs, outputs)
    weight = Value((), model.dtype, role="sample_weight") if weighted else None
    terms = []
    for output in model.outputs if loss else ():
        function = losses.get(loss)
        dims, dtype = (output.dims[:-1], "int32") if function.sparse else (output.dims, model.dtype)
        target = Value(dims, dtype, role="target")
        terms.append(LossTerm(function, target, output, weight))
    return build(
        model.inputs,
        model.outputs,
        4,
        losses=terms,
        metrics=metrics,
        trained=model.trainable_weights if trained is None else trained,
        optimizer=None if optimizer is None else optimizers.get(optimizer),
        fuse_updates=fuse_updates,
    )


def steps_of(plan: Plan) -> list[str]:
    """The ops in order, each with the activation that is fused into it."""
    return [f"{s.op}+{s.attributes['activation']}" if "activation" in s.attributes else s.op for s in plan.steps]


def classifier() -> tuple[Value, Value]:
    x = Input((28, 28))
    y = Dense(10, "softmax")(Dense(128, "relu")(Flatten()(x)))
    return x, y


# --------------------------------------------------------------------- the whole plan


def test_training_a_classifier() -> None:
    plan = plan_of(*classifier(), "sparse_categorical_crossentropy")
    assert steps_of(plan) == [
        "reshape",
        "dense+relu",
        "dense",
        "loss",
        "accumulate",
        "input_gradient",
        "relu_gradient",
        "weight_gradient",
        "update",
        "bias_gradient",
        "update",
        "weight_gradient",
        "update",
        "bias_gradient",
        "update",
    ]
    assert [s.attributes["kind"] for s in plan.steps if s.op == "loss"] == [
        "sparse_softmax_crossentropy"
    ]
