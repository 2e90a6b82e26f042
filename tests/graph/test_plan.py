"""Plans of whole models: what they compute, in which order, and where it stands in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import losses, optimizers, regularizers
from hotloop.backends.plan_traits import IN_PYTHON, Traits
from hotloop.graph import memory, programs
from hotloop.graph.op import Op
from hotloop.graph.plan import LossTerm, MetricTerm, Plan, Slot, build
from hotloop.graph.trace import Value, topological
from hotloop.layers import (
    Activation,
    Add,
    BatchNormalization,
    Dense,
    Dropout,
    Flatten,
    Input,
    Reshape,
)

BATCH = 4


def plan_of(
    model: hotloop.Model,
    *kinds: str,
    optimizer: str | None = "sgd",
    metric: str | None = None,
    weighted: bool = False,
    fuse_updates: bool = False,
    backwards: bool = False,
    padding: int = 1,
) -> Plan:
    """The plan of a model with one loss for each output (one kind stands for all), or none.

    backwards: the weights are given to the plan last first, so that the last layer's
    gradient is computed before that of its input, which reads its weights too.
    padding: what the number of elements of a stored weight is a multiple of.
    """
    weight = Value((), model.dtype, role="sample_weight") if weighted else None
    terms = []
    if kinds:
        for output, kind in zip(model.outputs, kinds * len(model.outputs), strict=False):
            loss = losses.get(kind)
            dims = output.dims[:-1] if loss.sparse else output.dims
            target = Value(dims, "int32" if loss.sparse else output.dtype, role="target")
            terms.append(LossTerm(loss, target, output, weight))
    metrics = [MetricTerm(metric, {}, t.y_true, t.y_pred, weight) for t in terms if metric]
    return build(
        model.inputs,
        model.outputs,
        BATCH,
        Traits(fuse_updates, lambda rows, cols, _: -(-rows * cols // padding) * padding),
        losses=terms,
        metrics=metrics,
        trained=model.trainable_weights[:: -1 if backwards else 1],
        optimizer=None if optimizer is None else optimizers.get(optimizer),
    )


def steps_of(plan: Plan) -> list[str]:
    """The ops in order, each with the activation that is fused into it."""
    return [
        "+".join([s.op.name, *filter(None, [s.attributes.get("activation")])]) for s in plan.steps
    ]


def kinds_of(plan: Plan) -> list[str]:
    """The losses that are really computed."""
    return [step.attributes["kind"] for step in plan.steps if step.op.name == "loss"]


def classifier() -> hotloop.Sequential:
    return hotloop.Sequential(
        [Flatten(input_shape=(28, 28)), Dense(128, "relu"), Dense(10, "softmax")]
    )


FORWARD = ["reshape", "dense+relu", "dense", "loss", "accumulate"]


# ----------------------------------------------------------------- steps, hand-checked


def test_training() -> None:
    plan = plan_of(classifier(), "sparse_categorical_crossentropy")
    assert steps_of(plan) == [
        *FORWARD,
        "input_gradient+relu",
        *["weight_gradient", "update", "bias_gradient", "update"] * 2,
    ]
    assert kinds_of(plan) == ["sparse_softmax_crossentropy"]
    assert plan.slots == [Slot("loss", 0)]


def test_training_with_fused_updates_keeps_no_gradient_of_weights() -> None:
    apart = plan_of(classifier(), "sparse_categorical_crossentropy")
    plan = plan_of(classifier(), "sparse_categorical_crossentropy", fuse_updates=True)
    assert steps_of(plan) == [
        *FORWARD,
        "input_gradient+relu",
        *["weight_gradient_update", "bias_gradient_update"] * 2,
    ]
    assert apart.placement.arena_bytes > 784 * 128 * 4 > 10 * plan.placement.arena_bytes


def test_evaluating() -> None:
    plan = plan_of(
        classifier(),
        "sparse_categorical_crossentropy",
        optimizer=None,
        metric="sparse_categorical_accuracy",
        weighted=True,
    )
    assert steps_of(plan) == [*FORWARD[:4], "metric", *["accumulate"] * 3]
    assert [slot.kind for slot in plan.slots] == ["loss", "metric", "weight"]
    assert plan.placement.offset(plan.steps[3].outputs[1]) is None  # nobody wants a gradient


def test_predicting() -> None:
    plan = plan_of(classifier(), optimizer=None)
    assert steps_of(plan) == ["reshape", "dense+relu", "dense", "softmax"]
    assert plan.flops == BATCH * 2 * (784 * 128 + 128 * 10)


def test_dropout_is_for_training_only() -> None:
    model = hotloop.Sequential([Dense(3, input_dim=2), Dropout(0.5), Dense(1)])
    assert steps_of(plan_of(model, "mse")).count("dropout") == 2  # forward and backward
    assert steps_of(plan_of(model, "mse", optimizer=None)) == [
        "dense",
        "reshape",
        "dense",
        "loss",
        "accumulate",
    ]


def test_updates_of_whole_weights_are_not_fused() -> None:
    loss = "sparse_categorical_crossentropy"
    plan = plan_of(classifier(), loss, optimizer="adafactor", fuse_updates=True)
    assert steps_of(plan) == [
        *FORWARD,
        "input_gradient+relu",
        *["weight_gradient", "whole_update", "bias_gradient", "whole_update"] * 2,
    ]


def test_only_what_trainable_weights_need_is_differentiated() -> None:
    model = hotloop.Sequential([Dense(3, "tanh", input_dim=2), Dense(3, "tanh"), Dense(1)])
    model.layers[0].trainable = False
    steps = steps_of(plan_of(model, "mse"))
    assert steps.count("update") == 4
    assert steps.count("input_gradient+tanh") == 1
    model.layers[1].trainable = model.layers[2].trainable = False
    assert not any("input_gradient" in step for step in steps_of(plan_of(model, "mse")))


def test_penalties_of_trainable_weights_only() -> None:
    model = hotloop.Sequential(
        [
            Dense(3, kernel_regularizer="l2", bias_regularizer="l1", input_dim=2),
            Dense(1, kernel_regularizer="l2"),
        ]
    )
    plan = plan_of(model, "mse")
    assert steps_of(plan).count("penalty") == steps_of(plan).count("penalty_gradient") == 3
    assert plan.slots == [Slot("loss", 0), Slot("penalty", 0)]
    model.layers[0].trainable = False
    for optimizer in ("sgd", None):
        assert steps_of(plan_of(model, "mse", optimizer=optimizer)).count("penalty") == 1
    assert "penalty" not in steps_of(plan_of(model, optimizer=None))


def test_gradients_of_weights_get_the_room_that_the_backend_needs() -> None:
    model = hotloop.Sequential([Dense(17, input_dim=7)])
    plain, padded = plan_of(model, "mse"), plan_of(model, "mse", padding=1000)
    for plan, elements in ((plain, 7 * 17), (padded, 1000)):
        (gradient,) = (s.output for s in plan.steps if s.op.name == "weight_gradient")
        assert plan.placement.bytes(gradient) == 4 * elements
        start = plan.placement.offset(gradient)
        assert start is not None
        assert start + 4 * elements <= plan.placement.arena_bytes


def test_a_layer_used_twice_is_updated_once() -> None:
    shared, x = Dense(3, "tanh", use_bias=False), Input((3,))
    for fuse_updates in (False, True):
        plan = plan_of(hotloop.Model(x, shared(shared(x))), "mse", fuse_updates=fuse_updates)
        steps = steps_of(plan)
        assert steps.count("weight_gradient") == 2
        assert steps[-2:] == ["add", "update"]


# ----------------------------------------------------------------------------- fusion


def test_each_activation_is_fused_once() -> None:
    """The second activation of a chain stays a step of its own: it would replace the first."""
    model = hotloop.Sequential([Dense(3, "relu", input_dim=2), Activation("tanh")])
    assert steps_of(plan_of(model, optimizer=None)) == ["dense+relu", "tanh"]
    x = np.array([[1.0, -2.0], [3.0, 0.5]], np.float32)
    kernel, bias = model.get_weights()
    expected = np.tanh(np.maximum(x @ kernel + bias, 0.0))
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5)


def test_activations_that_read_their_input_are_fused_for_predicting_only() -> None:
    model = hotloop.Sequential([Dense(3, "gelu", input_dim=2)])
    assert steps_of(plan_of(model, optimizer=None)) == ["dense+gelu"]
    assert steps_of(plan_of(model, "mse"))[:2] == ["dense", "gelu"]


def test_a_product_that_is_an_output_is_not_fused() -> None:
    x = Input((2,))
    logits = Dense(3)(x)
    plan = plan_of(hotloop.Model(x, [logits, Activation("relu")(logits)]), optimizer=None)
    assert steps_of(plan) == ["dense", "relu"]


def test_no_bias() -> None:
    model = hotloop.Sequential([Dense(3, "relu", use_bias=False, input_dim=2)])
    assert steps_of(plan_of(model, optimizer=None)) == ["dense+relu"]
    model = hotloop.Sequential([Dense(3, use_bias=False, input_dim=2)])
    assert steps_of(plan_of(model, optimizer=None)) == ["matmul"]


@pytest.mark.parametrize("kind", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_softmax_joins_its_loss(kind: str) -> None:
    model = hotloop.Sequential([Dense(3, "softmax", input_dim=2)])
    plan = plan_of(model, kind, metric=kind)
    assert kinds_of(plan) == [kind.replace("categorical", "softmax")]
    (loss,) = (step for step in plan.steps if step.op.name == "loss")
    assert loss.attributes["options"]["clip"] is True
    assert loss.outputs[2] is model.outputs[0]


def test_softmax_stays_where_others_need_its_gradient() -> None:
    x = Input((2,))
    p = Dense(3, "softmax")(x)
    kind = "categorical_crossentropy"
    behind = plan_of(hotloop.Model(x, [p, Dense(1)(p)]), kind, "mse")
    twice = plan_of(hotloop.Model(x, [p, p]), kind)
    for plan in (behind, twice):
        assert kind in kinds_of(plan)
        assert {"softmax", "softmax_gradient"} <= set(steps_of(plan))


# ------------------------------------------------------------------ bad combinations


def test_one_dtype() -> None:
    with pytest.raises(ValueError, match=r"'narrow/kernel' is float32 but its input is float64"):
        hotloop.Sequential(
            [Dense(3, dtype="float64", input_dim=2), Dense(1, dtype="float32", name="narrow")]
        )


def test_penalties_of_ones_own() -> None:
    class Own(regularizers.Regularizer):
        def __call__(self, w: Any) -> float:
            return 1.0

    for regularizer in (Own(), lambda w: 1.0):
        model = hotloop.Sequential(
            [Dense(1, kernel_regularizer=regularizer, input_dim=2, name="d")]
        )
        with pytest.raises(TypeError, match=r"regularizer of 'd/kernel' must return"):
            plan_of(model, "mse")


# ------------------------------------------------------------- properties of any plan


def random_model(rng: np.random.Generator) -> hotloop.Model:
    """Layers of all kinds in a random tree, some of them used more than once."""
    x = Input((2, 6))
    values, reused = [x], [Dense(6, "relu"), Dense(6, "silu", kernel_regularizer="l2")]
    for _ in range(int(rng.integers(2, 10))):
        value = values[int(rng.integers(max(0, len(values) - 3), len(values)))]
        layer = [
            Dense(
                value.dims[-1],
                str(rng.choice(["linear", "tanh", "gelu", "softmax", "log_softmax"])),
            ),
            Activation(str(rng.choice(["relu", "silu", "softmax", "exponential"]))),
            Dropout(0.5),
            Flatten(),
            Reshape((2, 6)),
            Reshape((-1, 3)),
            *reused,
        ][int(rng.integers(8))]
        if layer in reused and value.dims[-1] != 6:
            value = Reshape((2, 6))(value)
        values.append(layer(value))
    others = [values[int(i)] for i in rng.integers(1, len(values), int(rng.integers(3)))]
    return hotloop.Model(x, [values[-1], *others])


def plans(seed: int) -> list[Plan]:
    """Plans of one random model, for all modes."""
    rng = np.random.default_rng(seed)
    model = random_model(rng)
    kinds = ("categorical_crossentropy", "mse", "sparse_categorical_crossentropy")
    chosen = [str(kind) for kind in rng.choice(kinds, len(model.outputs))]
    metric = None if "sparse_categorical_crossentropy" in chosen else "categorical_accuracy"
    return [
        plan_of(model, optimizer=None),
        plan_of(model, *chosen, optimizer=None, metric=metric),
        plan_of(model, *chosen, optimizer="adam", metric=metric, weighted=True),
        plan_of(model, *chosen, optimizer="sgd", weighted=seed % 2 == 0, fuse_updates=True),
        plan_of(model, *chosen, backwards=True, padding=48),
        plan_of(model, *chosen, backwards=True, fuse_updates=True),
    ]


class Tape:
    """Plays a plan with names in the place of numbers: each byte knows what was written there."""

    def __init__(self, plan: Plan) -> None:
        self.placement = plan.placement
        self.bytes = np.full(plan.placement.arena_bytes, -1)
        self.names: dict[Value, int] = {}
        for feed in plan.feeds:
            self.write(feed)
        for step in plan.steps:
            self.play(step.op, step.inputs, step.outputs)
        for output in plan.outputs:
            self.read(output)

    def place(self, value: Value) -> slice:
        start = self.placement.offset(value)
        assert start is not None
        assert start % memory.ALIGNMENT == 0
        return slice(start, start + self.placement.bytes(value))

    def read(self, value: Value) -> None:
        if value.role != "parameter":
            assert value in self.names, "read before it was written"
            assert (self.bytes[self.place(value)] == self.names[value]).all(), "written over"

    def write(self, value: Value, name: int | None = None) -> None:
        self.names[value] = len(self.names) if name is None else name
        self.bytes[self.place(value)] = self.names[value]

    def play(self, op: Op, inputs: Sequence[Value], outputs: Sequence[Value]) -> None:
        for value in inputs:
            self.read(value)
        for i, value in enumerate(outputs):
            if self.placement.offset(value) is None:
                continue
            if op.view:
                assert self.place(value) == self.place(inputs[0])
                self.write(value, self.names[inputs[0]])
                continue
            for j, source in enumerate(inputs):
                same = source.role != "parameter" and _meet(self.place(source), self.place(value))
                assert not same or (op.in_place and i == j == 0)
            self.write(value)
        written = [self.place(v) for v in outputs if self.placement.offset(v) is not None]
        assert not any(_meet(a, b) for i, a in enumerate(written) for b in written[:i])


def _meet(a: slice, b: slice) -> bool:
    return bool(a.start < b.stop and b.start < a.stop)


@pytest.mark.parametrize("seed", range(60))
def test_every_value_is_intact_when_it_is_read(seed: int) -> None:
    for plan in plans(seed):
        Tape(plan)


@pytest.mark.parametrize("seed", range(20))
def test_steps_have_the_outputs_that_their_records_say(seed: int) -> None:
    """Those that are fused, too, which take the outputs of others."""
    for plan in plans(seed):
        for step in plan.steps:
            assert list(step.op.shape(step)) == [value.dims for value in step.outputs]
            assert {value.dtype for value in step.outputs} <= {step.op.dtype(step)}


@pytest.mark.parametrize("seed", range(60))
def test_a_weight_is_updated_once_and_not_read_afterwards(seed: int) -> None:
    for plan in plans(seed):
        updated: set[Value] = set()
        for step in plan.steps:
            parameters = {v for v in step.inputs if v.role == "parameter"}
            assert not parameters & updated
            if step.op.name.endswith("update"):
                updated |= parameters
        weights = {v for v in updated if v.variable is not None and v.variable.trainable}
        reached = {v for s in plan.steps if s.op.name in ("dense", "matmul") for v in s.inputs[1:]}
        assert weights <= reached
        assert bool(updated) == (plan.optimizer is not None and bool(reached))


@pytest.mark.parametrize("seed", range(20))
def test_fusion_changes_no_result(backend: str, seed: int) -> None:
    """Against a model that also returns what activations read, so that they cannot be fused."""
    model = random_model(np.random.default_rng(seed))
    between = [node.output for node in topological(model.outputs) if node.op.name == "add_bias"]
    plain = hotloop.Model(model.inputs, [*model.outputs, *between])
    x = np.random.default_rng(seed).normal(size=(3, 2, 6))
    found, expected = (_listed(m.predict(x, verbose=0)) for m in (model, plain))
    for got, want in zip(found, expected[: len(found)], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


def _listed(outputs: Any) -> list[Any]:
    return outputs if isinstance(outputs, list) else [outputs]


def test_red_zones_keep_all_values_apart() -> None:
    plan = plan_of(classifier(), "sparse_categorical_crossentropy")
    nodes, kept = plan.steps, [*plan.outputs, *plan.feeds]
    placement = memory.Placement(nodes, kept, 4, replace(IN_PYTHON, red_zone=64))
    free = np.ones(placement.arena_bytes, bool)
    for start, end in placement.gaps():
        assert end - start >= 64
        free[start:end] = False
    assert plan.placement.gaps() == []
    for value in {v for node in nodes for v in node.outputs}:
        start = placement.offset(value)
        if start is not None:
            assert free[start : start + placement.bytes(value)].all()


# --------------------------------------------------------------------------- programs


@pytest.mark.parametrize(
    ("layers", "loss"),
    [
        ([(5, "relu"), (1, "sigmoid")], "mean_squared_error"),
        ([(1, "linear")], "mean_squared_error"),
        ([(10, "softmax")], "categorical_crossentropy"),
        ([(128, "relu"), (10, "softmax")], "sparse_categorical_crossentropy"),
        ([(16, "gelu"), (16, "tanh"), (10, "softmax")], "sparse_categorical_crossentropy"),
    ],
)
@pytest.mark.parametrize("fuse_updates", [False, True])
def test_plans_of_plain_networks_have_none(
    layers: list[tuple[int, str]], loss: str, fuse_updates: bool
) -> None:
    """Products come first: activations and their gradients are part of them."""
    model = hotloop.Sequential([Input((20,)), *(Dense(*layer) for layer in layers)])
    made = plan_of(model, loss, optimizer="adam", fuse_updates=fuse_updates)
    assert "program" not in steps_of(made)
    assert programs.fuse(made.steps, made.outputs) == made.steps


def test_a_residual_network_s_additions_are_part_of_programs() -> None:
    x = Input((8,))
    h = Dense(8, "relu")(x)
    y = Dense(1)(Activation("relu")(Add()([h, Dropout(0.5)(Dense(8)(h))])))
    made = plan_of(hotloop.Model(x, BatchNormalization()(y)), "mean_squared_error")
    assert "program" in steps_of(made)
