"""What is done to gradients, weights and what is kept of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..op import Array, Dims, Op, Run, any_layout, like_first, like_gradient, nothing
from ..trace import Node, Value
from .dense import WEIGHT_GRADIENT

if TYPE_CHECKING:
    from ..plan import Plan

__all__ = [
    "ACCUMULATE_GRADIENT",
    "ASSIGN",
    "AVERAGE",
    "BIAS_GRADIENT_UPDATE",
    "CLIP_BY_NORM",
    "CLIP_BY_VALUE",
    "CONSTRAIN",
    "DECAY",
    "MOVING_AVERAGE_UPDATE",
    "NETWORK_UPDATE",
    "OVERWRITE",
    "PENALTY",
    "PENALTY_GRADIENT",
    "SQUARE_SUM",
    "UPDATE",
    "WEIGHT_GRADIENT_UPDATE",
    "WHOLE_UPDATE",
]

_BEHIND = {"gradient": "it is behind the gradients"}
_WITHOUT_FUNCTION = _BEHIND | {
    "profile": "a walk over a weight",
    "backends": "every executor does it by itself",
}

# ------------------------------------------------------------------------- penalties


def _penalty(run: Run, node: Node) -> None:
    options = {name: node.attributes[name] for name in ("l1", "l2")}
    penalty = run.function(node)(run.array(node.inputs[0]), **options)
    run.add(node.attributes["slot"], penalty * run.rows)


PENALTY = Op(
    "penalty",
    "l1 sum |w| + l2 sum w^2, added to the running sum of penalties.",
    shape=nothing,
    layout=any_layout,
    reference=_penalty,
    why_not={"gradient": "penalty_gradient is added to the weight's"},
)


def _penalty_gradient(run: Run, node: Node) -> None:
    gradient, w = map(run.array, node.inputs)
    out = run.array(node.output)
    if out.ctypes.data != gradient.ctypes.data:
        out[...] = gradient
    run.function(node)(w, out, **node.attributes)


PENALTY_GRADIENT = Op(
    "penalty_gradient",
    "A weight's gradient plus l1 sign(w) + 2 l2 w.",
    shape=like_first,
    layout=like_gradient,
    in_place=True,
    reference=_penalty_gradient,
    why_not=_BEHIND,
)

# ------------------------------------- gradients, in batches that end with an update


def _at_updates(work: Callable[[Run, Node], None]) -> Callable[[Run, Node], None]:
    """Reference: what is done only for a batch that ends with an update of the weights."""

    def reference(run: Run, node: Node) -> None:
        if run.ends_with_update:
            work(run, node)

    return reference


def _accumulate_gradient(run: Run, node: Node) -> None:
    gradient, total = map(run.array, node.inputs)
    total += gradient
    if run.ends_with_update:
        np.divide(total, run.batches, out=run.array(node.output))
        total[...] = 0


ACCUMULATE_GRADIENT = Op(
    "accumulate_gradient",
    "The mean of the gradients of several batches, of which the sum is kept.",
    shape=like_first,
    layout=like_gradient,
    changes=True,
    reference=_accumulate_gradient,
    why_not=_WITHOUT_FUNCTION,
)


@_at_updates
def _square_sum(run: Run, node: Node) -> None:
    gradient, *before = map(run.array, node.inputs)
    squares = run.function("penalty")(gradient, l1=0.0, l2=1.0)
    run.array(node.output)[...] = (before[0][0] if before else 0.0) + squares


SQUARE_SUM = Op(
    "square_sum",
    "The sum of a gradient's squares, added to that of others.",
    shape=lambda node: ((1,),),
    dtype=lambda node: "float64",
    layout=any_layout,
    takes=("float", "float64"),
    reference=_square_sum,
    why_not=_WITHOUT_FUNCTION,
)


@_at_updates
def _clip_by_norm(run: Run, node: Node) -> None:
    gradient, squares = map(run.array, node.inputs)
    limit = node.attributes["limit"]
    factor = limit / max(float(np.sqrt(squares[0])), limit)
    np.multiply(gradient, factor, out=run.array(node.output))


CLIP_BY_NORM = Op(
    "clip_by_norm",
    "A gradient times limit / max(norm, limit), from the sum of squares.",
    shape=like_first,
    layout=like_gradient,
    takes=("float", "float64"),
    reference=_clip_by_norm,
    why_not=_WITHOUT_FUNCTION,
)


@_at_updates
def _clip_by_value(run: Run, node: Node) -> None:
    limit = node.attributes["limit"]
    np.clip(run.array(node.inputs[0]), -limit, limit, out=run.array(node.output))


CLIP_BY_VALUE = Op(
    "clip_by_value",
    "A gradient moved into [-limit, limit].",
    shape=like_first,
    layout=like_gradient,
    reference=_clip_by_value,
    why_not=_WITHOUT_FUNCTION,
)

# --------------------------------------------------------------------------- weights


def _rule(plan: Plan, node: Node) -> str:
    """The function of an update: the optimizer's rule for this weight."""
    weight = next(v.variable for v in node.inputs if v.variable is not None)
    assert plan.optimizer is not None
    return plan.optimizer.rule(weight)


def _step(run: Run, node: Node, weight: Value, gradient: Array, state: list[Value]) -> None:
    """One step of the rule."""
    w, *slots = map(run.array, (weight, *state))
    assert weight.variable is not None
    settings = run.optimizer.settings(run.optimizer.rule(weight.variable))
    update = run.function(node)
    update(w, gradient, tuple(slots), iteration=run.updates + 1, **settings)


@_at_updates
def _update(run: Run, node: Node) -> None:
    weight, gradient, *state = node.inputs
    _step(run, node, weight, run.array(gradient), state)


UPDATE = Op(
    "update",
    "A step of the optimizer's rule, each element by its own gradient.",
    shape=nothing,
    layout=any_layout,
    changes=True,
    function=_rule,
    reference=_update,
    why_not=_BEHIND | {"profile": "each rule has a case", "backends": "each rule has functions"},
)
WHOLE_UPDATE = Op(
    "whole_update",
    "A step of the optimizer's rule, by sums over the whole weight.",
    shape=nothing,
    layout=any_layout,
    changes=True,
    function=_rule,
    reference=_update,
    why_not=_BEHIND | {"profile": "each rule has a case", "backends": "each rule has functions"},
)


def _with_gradient(op: str, values: int) -> Callable[[Run, Node], None]:
    """Reference: a gradient of so many values, and the update by it."""

    def reference(run: Run, node: Node) -> None:
        given, (weight, *state) = node.inputs[:values], node.inputs[values:]
        gradient = np.empty(weight.dims, weight.dtype)
        run.function(op)(*map(run.array, given), out=gradient)
        _step(run, node, weight, gradient, state)

    return reference


_FUSED = _BEHIND | {"profile": "the gradient and the rule have one each", "numba": "it fuses none"}

WEIGHT_GRADIENT_UPDATE = Op(
    "weight_gradient_update",
    "weight_gradient, and the update by it, tile by tile.",
    shape=nothing,
    layout=any_layout,
    weights=range(2, 99),
    flops=WEIGHT_GRADIENT.flops,
    reads_windows=WEIGHT_GRADIENT.reads_windows,
    changes=True,
    mask="consumes",
    reference=_with_gradient("weight_gradient", 2),
    function=_rule,
    why_not=_FUSED,
)
BIAS_GRADIENT_UPDATE = Op(
    "bias_gradient_update",
    "bias_gradient, and the update by it.",
    shape=nothing,
    layout=any_layout,
    weights=range(1, 99),
    reads_windows=(0,),
    changes=True,
    mask="consumes",
    reference=_with_gradient("bias_gradient", 1),
    function=_rule,
    why_not=_FUSED,
)


def _network_dims(node: Node) -> tuple[Dims, ...]:
    units = node.attributes["layers"][-1].shape[1]
    return node.attributes["rows"], (units,)


def _network_flops(node: Node) -> int:
    sizes: list[int] = [math.prod(layer.shape) for layer in node.attributes["layers"]]
    return 2 * (3 * sum(sizes) - sizes[0])  # the first layer's input has no gradient


def _network_label(plan: Plan, node: Node) -> tuple[str, str]:
    layers = (layer.w.path.rpartition("/")[0] for layer in node.attributes["layers"])
    return node.op.name, ",".join(layers)


_IN_ONE = "the steps that it takes the place of have one each"

NETWORK_UPDATE = Op(
    "network_update",
    "A small network: all layers, the loss, the gradients and the updates in one step.",
    shape=_network_dims,
    layout=any_layout,
    takes=("float", "any", "float"),
    weights=range(1, 99),
    flops=_network_flops,
    changes=True,
    mask="consumes",
    label=_network_label,
    why_not=_BEHIND | dict.fromkeys(("reference", "profile", "numba"), _IN_ONE),
)

# ------------------------------------------------------- around an update of a weight


@_at_updates
def _decay(run: Run, node: Node) -> None:
    w = run.array(node.inputs[0])
    w *= 1.0 - node.attributes["weight_decay"] * run.optimizer.learning_rate


DECAY = Op(
    "decay",
    "w (1 - weight_decay learning_rate).",
    shape=nothing,
    layout=any_layout,
    changes=True,
    reference=_decay,
    why_not=_WITHOUT_FUNCTION,
)

MOVING_AVERAGE_UPDATE = Op(
    "moving_average_update",
    "average momentum + value (1 - momentum), in place.",
    shape=nothing,
    layout=any_layout,
    changes=True,
    outputs=(),
    options=("momentum",),
    why_not=_BEHIND | {"numba": "NumPy has a loop for it"},
)


def _average(run: Run, node: Node) -> None:
    average, w = map(run.array, node.inputs)
    # The first updates have nothing to average with.
    momentum = node.attributes["momentum"] if run.updates else 0.0
    run.function("moving_average_update")(average, w, momentum=momentum)


AVERAGE = Op(
    "average",
    "The moving average of a weight.",
    shape=nothing,
    layout=any_layout,
    changes=True,
    reference=_average,
    why_not=_WITHOUT_FUNCTION,
)


def _overwrite(run: Run, node: Node) -> None:
    w, average = map(run.array, node.inputs)
    if (run.updates + 1) % node.attributes["frequency"] == 0:
        w[...] = average


OVERWRITE = Op(
    "overwrite",
    "A weight becomes its average, every so many updates.",
    shape=nothing,
    layout=any_layout,
    changes=True,
    reference=_overwrite,
    why_not=_WITHOUT_FUNCTION,
)


def _constrain(run: Run, node: Node) -> None:
    w = run.array(node.inputs[0])
    w[...] = node.attributes["constraint"](w)


CONSTRAIN = Op(
    "constrain",
    "A weight is moved to where its constraint wants it.",
    shape=nothing,
    layout=any_layout,
    changes=True,
    reference=_constrain,
    why_not=_WITHOUT_FUNCTION,
)


def _assign(run: Run, node: Node) -> None:
    w, value = map(run.array, node.inputs)
    w[...] = value


ASSIGN = Op(
    "assign",
    "A variable becomes a value, whichever way the two are kept.",
    shape=nothing,
    layout=any_layout,
    takes=("any", "same"),
    bytes=lambda node, size: sum(map(size, node.inputs)),
    changes=True,
    reference=_assign,
    why_not=_WITHOUT_FUNCTION,
)
