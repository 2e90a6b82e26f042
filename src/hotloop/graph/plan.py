"""The plan: a graph with its backward pass, fused, every buffer placed; a flat list of steps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..variables import Variable
from . import fusion, network, ops, programs, statistics, ways
from .memory import Placement
from .op import Op
from .trace import Node, Value, parameter, topological
from .updates import assignments, only_updates, own_penalties, penalty_factors, updates

if TYPE_CHECKING:
    from ..backends.plan_traits import Traits
    from ..losses import Loss
    from ..optimizers import Optimizer
    from ..random import Counter


@dataclass(frozen=True)
class LossTerm:
    """One output's loss: what it is compared with, and how much it counts."""

    loss: Loss
    y_true: Value
    y_pred: Value
    sample_weight: Value | None = None
    loss_weight: float = 1.0


@dataclass(frozen=True)
class MetricTerm:
    """A metric that the plan computes itself: an op with one value for each row."""

    op: str
    options: dict[str, float]
    y_true: Value
    y_pred: Value
    sample_weight: Value | None = None


@dataclass(frozen=True)
class Slot:
    """One running sum that a plan keeps over batches.

    What a batch of n examples adds to it is n times the batch's mean, so that the sum
    over examples is the weighted mean over batches that Keras reports.
    """

    kind: str  # "loss", "added", "penalty", "metric" or "weight"
    index: int  # of the loss, added loss or metric term


@dataclass
class Plan:
    """What an executor runs for each batch.

    Attributes
    ----------
    steps : list of Node
        In order; every value they read was fed, is a parameter, or was written before.
    feeds : list of Value
        What each batch brings along: inputs, then targets, then sample weights.
    outputs : list of Value
        What can be copied out after each batch.
    slots : list of Slot
        The running sums.
    placement : Placement
        Where each value stands in the arena.
    counter : Counter or None
        What counts batches where no optimizer does.
    batches_at_once : int
        Batches that one walk over the steps may handle: the arena has room for their rows.
    """

    steps: list[Node]
    feeds: list[Value]
    outputs: list[Value]
    slots: list[Slot]
    placement: Placement
    batch_size: int
    dtype: str
    batches_at_once: int = 1
    optimizer: Optimizer | None = None
    counter: Counter | None = None
    variables: list[Variable] = field(default_factory=list)

    @property
    def takes_turns(self) -> bool:
        """Whether a batch changes what the next one finds: what is kept, or how much was drawn."""
        return any(step.op.changes or step.op.draws for step in self.steps)

    @property
    def flops(self) -> int:
        """Floating-point operations of the matrix products for one full batch."""
        return self.batch_size * sum(step.op.flops(step) for step in self.steps)


def build(
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    batch_size: int,
    traits: Traits,
    *,
    losses: Sequence[LossTerm] = (),
    metrics: Sequence[MetricTerm] = (),
    trained: Sequence[Variable] = (),
    written: Collection[Variable] = (),
    optimizer: Optimizer | None = None,
    assigned: Sequence[tuple[Variable, Value]] = (),
    added: Sequence[Value] = (),
    counter: Counter | None = None,
    fuse_networks: bool | None = None,
) -> Plan:
    """Makes the plan that predicts (no losses), evaluates (no optimizer) or trains.

    Parameters
    ----------
    inputs, outputs : sequence of Value
        The model's forward pass; inputs may be what others are prepared to.
    batch_size : int
        The most examples that one batch has; any smaller number may be run.
    traits : Traits
        Of the backend that is to run it.
    losses, metrics : sequences
        What is computed from the outputs and targets.
    trained : sequence of Variable
        The trainable weights: the optimizer, if there is one, updates them, and those with
        a regularizer add their penalty to the loss. Frozen ones add none, as in Keras.
    written : collection of Variable
        Others that a step may write: the moving averages of batch normalisation. Layers whose
        averages are not among them use those as they are.
    optimizer : Optimizer, optional
        Its rule, hyper-parameters and state.
    assigned : sequence of (Variable, Value)
        States: what each is to be at the end of a batch, if the loss is finite. Whatever reads one
        in this batch reads what it was before.
    added : sequence of Value
        Losses that layers add; of one that is no single number, the sum.
    counter : Counter, optional
        Counts batches where there is no optimizer, so that each has random numbers of its own.
    fuse_networks : bool, optional
        Whether a small network is trained in one step (see `network.as_one_step`); if updates
        are fused too, if not given.
    """
    if batch_size < 1:
        raise ValueError(f"a plan is for batches of at least 1 example, not of {batch_size}")
    if fuse_networks is None:
        fuse_networks = traits.fuses_updates
    dtype = outputs[0].dtype
    training = optimizer is not None
    emitted = [
        term.loss.emit(term.y_true, term.y_pred, term.sample_weight, term.loss_weight)
        for term in losses
    ]
    loss_values = [one.output if isinstance(one, Node) else one for one in emitted]
    metric_values = [
        ops.metric(term.op, term.y_true, term.y_pred, term.sample_weight, **term.options)
        for term in metrics
    ]
    changes = assignments(assigned)
    states = [value for node in changes for value in node.inputs]
    added = [*added, *(own_penalties(trained) if losses or added else ())]
    totals = [ops.total(value) for value in added]
    forward = topological(
        [*outputs, *loss_values, *metric_values, *totals, *states],
        inputs,
        training,
    )
    forward = ways.of_plan(forward, training)
    forward, averages = statistics.normalizations(forward, written, training)
    forward = fusion.softmax_into_crossentropy(forward)

    slots, sums = _running_sums(losses, emitted, totals, metrics, metric_values, trained)
    # What has no node that knows its gradient.
    seeds = [(total, ops.fixed(1.0, total.dtype)) for total in totals]
    for term, one in zip(losses, emitted, strict=True):
        if isinstance(one, Value):
            seeds.append((one, ops.fixed(term.loss_weight, one.dtype)))
    update_nodes = averages
    whole = None
    if optimizer is not None:
        if fuse_networks and not (assigned or seeds) and only_updates(trained, optimizer):
            whole = network.as_one_step(forward, inputs, outputs, trained, optimizer)
        if whole is None:
            update_nodes = [*updates(forward, seeds, trained, optimizer), *averages]
        else:
            forward = whole
    batches_at_once = max(1, network.ROWS_AT_ONCE // batch_size) if whole is not None else 1

    kept = tuple(outputs)
    nodes = fusion.dense(_read([*forward, *sums, *update_nodes, *changes], kept), kept)
    nodes = fusion.activation_gradients(nodes, kept)
    if traits.fuses_updates:
        nodes = fusion.updates(nodes, kept)
    nodes = programs.fuse(nodes, kept)
    feeds = _feeds(inputs, losses, metrics)
    return Plan(
        steps=nodes,
        feeds=feeds,
        outputs=list(outputs),
        slots=slots,
        placement=Placement(
            nodes,
            [*kept, *feeds],
            batch_size * batches_at_once,
            traits,
        ),
        batch_size=batch_size,
        dtype=dtype,
        batches_at_once=batches_at_once,
        optimizer=optimizer,
        counter=counter,
        variables=variables_of(nodes),
    )


def _read(nodes: Sequence[Node], kept: Sequence[Value]) -> list[Node]:
    """The nodes that make what somebody reads, or that change something.

    Others have no room to write to: an update of one's own may read no gradient.
    """
    read = set(kept)
    found = []
    for node in reversed(nodes):
        if not node.outputs or node.op.changes or not read.isdisjoint(node.outputs):
            found.append(node)
            read.update(node.inputs)
    return found[::-1]


def _running_sums(
    losses: Sequence[LossTerm],
    emitted: Sequence[Node | Value],
    totals: Sequence[Value],
    metrics: Sequence[MetricTerm],
    metric_values: Sequence[Value],
    trained: Sequence[Variable],
) -> tuple[list[Slot], list[Node]]:
    """The slots of a plan and the nodes that add to them."""
    slots: list[Slot] = []
    nodes: list[Node] = []

    def accumulate(op: Op, source: Value, kind: str, index: int, **attributes: Any) -> None:
        if kind != "penalty" or not any(slot.kind == "penalty" for slot in slots):
            slots.append(Slot(kind, index))
        nodes.append(Node(op, (source,), (), attributes | {"slot": len(slots) - 1}))

    for i, one in enumerate(emitted):
        if isinstance(one, Node):
            reduction = one.attributes["reduction"]
            accumulate(ops.ACCUMULATE, one.output, "loss", i, reduction=reduction, check=True)
        else:
            accumulate(ops.ACCUMULATE, one, "loss", i, reduction="sum", check=True)
    for i, total in enumerate(totals):
        accumulate(ops.ACCUMULATE, total, "added", i, reduction="sum", check=True)
    for i, (metric, values) in enumerate(zip(metrics, metric_values, strict=True)):
        accumulate(ops.ACCUMULATE, values, "metric", i, reduction="rows", check=False)
        if metric.sample_weight is not None:
            weight = metric.sample_weight
            accumulate(ops.ACCUMULATE, weight, "weight", i, reduction="rows", check=False)
    if losses or totals:
        for variable in trained:
            if (factors := penalty_factors(variable)) is not None:
                l1, l2 = factors
                accumulate(ops.PENALTY, parameter(variable), "penalty", 0, l1=l1, l2=l2)
    return slots, nodes


def _feeds(
    inputs: Sequence[Value], losses: Sequence[LossTerm], metrics: Sequence[MetricTerm]
) -> list[Value]:
    terms: list[LossTerm | MetricTerm] = [*losses, *metrics]
    targets = dict.fromkeys(term.y_true for term in terms)
    weights = dict.fromkeys(t.sample_weight for t in terms if t.sample_weight is not None)
    return [*inputs, *targets, *weights]


def variables_of(nodes: Sequence[Node]) -> list[Variable]:
    """What the nodes read and change that is kept from batch to batch."""
    found = dict.fromkeys(v.variable for node in nodes for v in node.inputs if v.variable)
    return list(found)
