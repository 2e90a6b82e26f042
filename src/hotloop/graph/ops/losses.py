"""Losses with their gradients, metrics, and the running sums that both go to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..op import Dims, Gradients, Op, Run, Users, nothing
from ..trace import Node, Value, apply, emit
from .elementwise import scale
from .loss_formulas import FORMULAS, differentiated_twice
from .merges import add, multiply
from .shapes import reshape

if TYPE_CHECKING:
    from ..plan import Plan

__all__ = ["ACCUMULATE", "LOSS", "METRIC", "loss", "metric"]


def loss(
    kind: str,
    y_true: Value,
    y_pred: Value,
    weight: Value | None,
    *,
    reduction: str,
    loss_weight: float = 1.0,
    rows: tuple[int, ...] | None = None,
    **options: Any,
) -> Node:
    """A loss node: its outputs are the weighted value of each row, and the gradient.

    A loss knows its own gradient: of ``loss_weight * reduce(weight * value)`` with respect
    to y_pred, where reduce is the mean over all values of the batch or the sum. `rows` are the
    axes of an example's values, if they are not those of y_pred but the last.
    """
    values, _ = emit(
        LOSS,
        *((y_true, y_pred) if weight is None else (y_true, y_pred, weight)),
        kind=kind,
        reduction=reduction,
        loss_weight=loss_weight,
        rows=y_pred.dims[:-1] if rows is None else rows,
        options=options,
    )
    assert values.node is not None
    return values.node


def _loss_dims(node: Node) -> tuple[Dims, ...]:
    scores = node.inputs[1].dims
    # Only a softmax that is fused is clipped, as it is in front of a loss of probabilities.
    probability = (scores,) if node.attributes["options"].get("clip") else ()
    return node.attributes["rows"], scores, *probability


def _kind(plan: Plan, node: Node) -> str:
    """The function of a loss or metric."""
    return str(node.attributes["kind"])


def _users(node: Node) -> Users:
    """A loss may be the user's, and any loss serve as a metric."""
    kinds: dict[str, Users] = {"own_loss": "scalar", "array_loss": "python"}
    return kinds.get(node.attributes["kind"], "")


def _label(plan: Plan, node: Node) -> tuple[str, str]:
    """The kind, or what the user calls a function of their own."""
    kind, options = node.attributes["kind"], node.attributes["options"]
    if kind == "own_loss":
        return options["function"].name, node.op.name
    return options["name"] if kind == "array_loss" else kind, node.op.name


def _loss(run: Run, node: Node) -> None:
    options = node.attributes
    divisor = 1 if options["reduction"] == "sum" else run.rows * node.output.size
    _of_rows(run, node, scale=options["loss_weight"] / divisor)


def _of_rows(run: Run, node: Node, **options: float) -> None:
    y_true, y_pred, *weight = node.inputs
    given = (y_true, y_pred, weight[0] if weight else None)
    run.call(node, *given, **options, **node.attributes["options"])


# Functions of y_true - y_pred.
_OF_DIFFERENCE = ("mean_squared_error", "mean_absolute_error", "huber", "log_cosh")


def _of_loss(node: Node, wanted: tuple[bool, ...], *dys: Value | None) -> Gradients:
    """Of the values, where they are reduced by other ops and the node's reduction is the sum."""
    kind, y_pred = node.attributes["kind"], node.inputs[1]
    dvalues, dgradient = dys[:2]
    if dgradient is not None and kind not in FORMULAS:
        raise NotImplementedError(
            f"the loss {kind} has its first derivative only; write the loss with operations whose "
            "gradients can be differentiated again, as ops.mean(ops.square(y - y_pred))"
        )
    if wanted[2:] == (True,) or (wanted[0] and kind not in _OF_DIFFERENCE):
        raise NotImplementedError(
            f"the loss {kind} has no gradient with respect to "
            f"{'y_true' if wanted[0] else 'sample_weight'}, which depends on what is watched or "
            "trained: stop the gradient there, or write the loss with operations"
        )
    dy: Value | None = None
    dx: Value | None = None
    if dgradient is not None:
        weight = node.inputs[2] if len(node.inputs) > 2 else None
        options = node.attributes["options"]
        dy, dx = differentiated_twice(kind, node.inputs[0], y_pred, weight, options, dgradient)
    if dvalues is not None:
        ones = (1,) * (len(y_pred.dims) - len(dvalues.dims))
        slope = multiply(node.outputs[1], reshape(dvalues, (*dvalues.dims, *ones)))
        dx = slope if dx is None else add(dx, slope)
        if wanted[0]:
            opposite = scale(slope, -1.0)
            dy = opposite if dy is None else add(dy, opposite)
    return dy, dx, *(None,) * (len(node.inputs) - 2)


_BY_KIND = {"profile": "each kind has a case", "backends": "each kind has functions"}

LOSS = Op(
    "loss",
    "A loss of each row, by its kind, the gradient, and the softmax in front if that is fused.",
    shape=_loss_dims,
    of_examples=True,
    dtype=lambda node: node.inputs[1].dtype,
    takes=("any", "float"),
    mask="consumes",
    outputs=("values", "gradient", "probability"),
    users=_users,
    gradient=_of_loss,
    function=_kind,
    reference=_loss,
    label=_label,
    why_not=_BY_KIND,
)


def metric(
    kind: str, y_true: Value, y_pred: Value, weight: Value | None, **options: float
) -> Value:
    """The weighted value of a metric for each row; a loss can serve as a metric."""
    inputs = (y_true, y_pred) if weight is None else (y_true, y_pred, weight)
    return apply(METRIC, *inputs, kind=kind, options=options)


METRIC = Op(
    "metric",
    "A metric of each row, by its kind.",
    shape=lambda node: (node.inputs[1].dims[:-1],),
    of_examples=True,
    dtype=lambda node: node.inputs[1].dtype,
    takes=("any", "float"),
    mask="consumes",
    outputs=("values",),
    users=_users,
    function=_kind,
    reference=_of_rows,
    label=_label,
    why_not=_BY_KIND | {"gradient": "nobody trains on a metric"},
)


def _accumulate(run: Run, node: Node) -> None:
    (source,) = node.inputs
    total = float(np.sum(run.array(source).reshape(-1), dtype=np.float64))
    if node.attributes["check"] and not np.isfinite(total):
        run.refuse()
    if node.attributes["reduction"] == "sum":
        total *= run.rows
    else:
        total *= (1 if source.batched else run.rows) / source.size
    run.add(node.attributes["slot"], total)


ACCUMULATE = Op(
    "accumulate",
    "A running sum: as many times the mean of a batch as it has examples.",
    shape=nothing,
    mask="consumes",
    reference=_accumulate,
    label=lambda plan, node: ("accumulate", plan.slots[node.attributes["slot"]].kind),
    why_not={
        "gradient": "it is behind the loss",
        "profile": "a sum of a few numbers",
        "backends": "every executor adds up its own sums",
    },
)
