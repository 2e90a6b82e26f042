"""What a compiled model computes besides its outputs: losses and metrics, bound to shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import losses as losses_module
from .. import metrics as metrics_module
from .. import nests, overriding
from ..graph.plan import LossTerm, MetricTerm, Slot
from ..graph.trace import Value
from ..losses import Loss
from ..metrics import MeanRowMetric, Metric
from .forms import KEPT, Form

Array = NDArray[Any]

# Names whose meaning depends on the shapes of targets and outputs.
ACCURACY = ("accuracy", "acc")
CROSSENTROPY = ("crossentropy", "ce")
_LOSS_ADVICE = (
    "A loss of your own says its values in call(self, y_true, y_pred), or is a function, as in "
    "compile(loss=f)"
)


@dataclass
class MetricUse:
    """A metric of one output, under the name that it has in logs."""

    metric: Metric
    name: str
    output: int
    weighted: bool
    term: int | None = None  # index of the plan's metric term; None if Python updates it


@dataclass(eq=False)  # plans are found by it
class Objective:
    """Losses and metrics for outputs and targets of known shapes.

    Attributes
    ----------
    losses : list of LossTerm
        Of the outputs that have one.
    terms : list of MetricTerm
        The metrics that the plan computes itself.
    metrics : list of MetricUse
        All metrics.
    targets : list of (int, Value)
        What the plan reads of y: which array, and as what.
    sample_weight : Value or None
    records_outputs : bool
        Whether some metric must be given the model's outputs, in Python.
    """

    form: Form
    loss_names: list[str]
    losses: list[LossTerm] = field(default_factory=list)
    terms: list[MetricTerm] = field(default_factory=list)
    metrics: list[MetricUse] = field(default_factory=list)
    targets: list[tuple[int, Value]] = field(default_factory=list)
    sample_weight: Value | None = None
    records_outputs: bool = False

    def continues(self, other: Objective) -> bool:
        """Whether what batches of both add up to is one result."""
        return self is other or (self.form is not other.form and self._sums() == other._sums())

    def _sums(self) -> tuple[Any, ...]:
        """What a plan adds up, and what Python does besides."""
        return (self.sample_weight is None, len(self.losses), [use.term for use in self.metrics])

    def feeds(self, y: Sequence[Array], weight: Array | None) -> list[Array]:
        """The arrays behind targets and sample weight, in the plan's order."""
        found = [y[index] for index, _ in self.targets]
        return found if weight is None else [*found, weight]

    def losses_of(self, sum_of: Mapping[tuple[str, int], Array], rows: int) -> dict[str, Array]:
        """The loss of epochs of `rows` examples each; of several outputs also the loss of each.

        Parameters
        ----------
        sum_of : mapping
            From `by_slot`.
        rows : int
        """
        values = [sum_of["loss", i] / rows for i in range(len(self.losses))]
        parts = [
            v if t.loss_weight == 1 else t.loss_weight * v
            for t, v in zip(self.losses, values, strict=True)
        ]
        parts += [amount / rows for (kind, _), amount in sum_of.items() if kind == "added"]
        if ("penalty", 0) in sum_of:
            parts.append(sum_of["penalty", 0] / rows)
        found: dict[str, Array] = {"loss": sum(parts[1:], start=parts[0])}
        if len(values) > 1:
            found |= zip(self.loss_names, values, strict=True)
        return found


def _kind(form: Form, y: Sequence[Array]) -> tuple[Any, ...]:
    """What losses and metrics depend on: the outputs, and the shape of a target."""
    return form, tuple([array.shape[1:] for array in y])


def by_slot(slots: Sequence[Slot], sums: NDArray[np.float64]) -> dict[tuple[str, int], Array]:
    """What a plan added up, (epochs, slots), by kind and index: an array of epochs for each."""
    return {(slot.kind, slot.index): s for slot, s in zip(slots, sums.T, strict=True)}


class Compilation:
    """The arguments of `compile`, checked as far as they can be without data."""

    def __init__(
        self,
        loss: Any,
        loss_weights: Any,
        metrics: Any,
        weighted_metrics: Any,
    ) -> None:
        self._loss = _with_own_losses(loss)
        self._loss_weights = loss_weights
        self._metrics = metrics
        self._weighted_metrics = weighted_metrics
        self._bound: dict[Any, Objective] = {}
        self.newest: Objective | None = None  # that was asked for last
        self._losses_of: dict[Any, list[Loss | None]] = {}
        for identifier in _leaves(loss):
            if not _is_one_of(identifier, CROSSENTROPY):
                losses_module.get(identifier)
        for identifier in [*_leaves(metrics), *_leaves(weighted_metrics)]:
            if not _is_one_of(identifier, ACCURACY):
                metrics_module.get(identifier)

    @property
    def arguments(self) -> dict[str, Any]:
        """As they were given, but for functions, which are losses here."""
        return {
            "loss": self._loss,
            "loss_weights": self._loss_weights,
            "metrics": self._metrics,
            "weighted_metrics": self._weighted_metrics,
        }

    @property
    def has_metrics(self) -> bool:
        return bool(_leaves(self._metrics) or _leaves(self._weighted_metrics))

    def uses(
        self, names: Sequence[str] | None, y: Sequence[Any], outputs: Sequence[Any], weighted: bool
    ) -> list[MetricUse]:
        """The metrics for targets and outputs that have shapes."""
        names = names or [f"output_{i}" for i in range(len(outputs))]
        return list(self._uses(names, outputs, y, weighted))

    def losses_for(
        self, names: Sequence[str] | None, y: Sequence[Any], outputs: Sequence[Any]
    ) -> list[tuple[Loss | None, float]]:
        """The loss, if any, and its factor for each output, of things that have shapes."""
        names = names or [f"output_{i}" for i in range(len(outputs))]
        key = (*names, *(thing.shape for thing in (*y, *outputs)))
        found = self._losses_of.get(key)
        if found is None:
            found = self._losses_of[key] = self._find_losses(outputs, names, y)
            _forget_oldest(self._losses_of)
        factors = _per_output(self._loss_weights, names, "loss_weights", default=1.0)
        return [(loss, float(factor)) for loss, factor in zip(found, factors, strict=True)]

    @property
    def has_loss(self) -> bool:
        return self._loss is not None

    def bind(self, form: Form, y: Sequence[Array], weighted: bool) -> Objective:
        """The objective for a model's outputs and targets of these shapes; made once for each."""
        key = (*_kind(form, y), weighted)
        found = self._bound.get(key)
        if found is None:
            # The first one stays, whichever thread made it: plans go by it.
            found = self._bound.setdefault(key, self._make(form, y, weighted))
            _forget_oldest(self._bound)
        self.newest = found
        return found

    def foresee(self, form: Form) -> Objective | None:
        """The objective for targets as the losses expect them; None if only targets can tell.

        Raises
        ------
        ValueError, TypeError
            Where losses, metrics and outputs do not fit each other.
        """
        if not self.has_loss or any(_is_one_of(leaf, CROSSENTROPY) for leaf in _leaves(self._loss)):
            return None
        y: list[Array] = [np.empty((1, *v.dims)) for v in form.outputs]
        for i, loss in enumerate(self._losses(form, y)):
            if loss is None:
                continue
            dims = loss.target_dims(form.outputs[i].dims)
            if dims is None:
                return None
            y[i] = np.empty((1, *dims))
        return self._make(form, y, weighted=False)

    def check(self, form: Form, y: Sequence[Array]) -> None:
        """That y holds what the losses expect; ValueError otherwise."""
        for array, output, loss in zip(y, form.outputs, self._losses(form, y), strict=True):
            if loss is not None:
                loss.check(array, output.dims)

    def needs(self, form: Form) -> list[bool]:
        """Which outputs have a loss or a metric, so that there are targets."""
        names, nest = form.output_names, form.output_form
        given = [
            _per_output(self._loss, names, "loss", nest=nest),
            _per_output(self._metrics, names, "metrics", nested=True, nest=nest),
            _per_output(self._weighted_metrics, names, "weighted_metrics", nested=True, nest=nest),
        ]
        return [any(part is not None for part in parts) for parts in zip(*given, strict=True)]

    def _losses(self, form: Form, y: Sequence[Array]) -> list[Loss | None]:
        """The loss of each output, None of one without; looked for once for each kind of data."""
        key = _kind(form, y)
        found = self._losses_of.get(key)
        if found is None:
            losses = self._find_losses(form.outputs, form.output_names, y, form.output_form)
            found = self._losses_of.setdefault(key, losses)
            _forget_oldest(self._losses_of)
        return found

    def _find_losses(
        self,
        outputs: Sequence[Value],
        names: Sequence[str],
        y: Sequence[Array],
        nest: Any = None,
    ) -> list[Loss | None]:
        if len(y) != len(outputs):
            raise ValueError(f"the model has {len(outputs)} outputs but y has {len(y)} arrays")
        losses: list[Loss | None] = []
        for given, output, array in zip(
            _per_output(self._loss, names, "loss", nest=nest), outputs, y, strict=True
        ):
            if given is None:
                losses.append(None)
                continue
            by_shape = _is_one_of(given, CROSSENTROPY) and output.dims
            loss = losses_module.get(
                metrics_module.resolve_crossentropy(array.shape, output.shape)
                if by_shape
                else given
            )
            if not output.dims:
                raise ValueError(
                    f"{loss.name} needs outputs of shape (batch, features), but the model's output "
                    f"has shape {output.shape}"
                )
            overriding.refuse(loss, "a model", ("__call__", "values"), _LOSS_ADVICE)
            losses.append(loss)
        return losses

    def _make(self, form: Form, y: Sequence[Array], weighted: bool) -> Objective:
        outputs, names = form.outputs, form.output_names
        losses = self._losses(form, y)
        factors = _per_output(
            self._loss_weights, names, "loss_weights", default=1.0, nest=form.output_form
        )
        trained = [name for name, loss in zip(names, losses, strict=True) if loss is not None]
        objective = Objective(form, [f"{name}_loss" for name in trained])
        if weighted:
            objective.sample_weight = Value((), outputs[0].dtype, role="sample_weight")
        targets: dict[Any, Value] = {}

        def target(index: int, sparse: bool, dims: tuple[int, ...]) -> Value:
            key = index, sparse, dims
            if key not in targets:
                dtype = "int32" if sparse else outputs[index].dtype
                targets[key] = Value(dims, dtype, role="target")
                objective.targets.append((index, targets[key]))
            return targets[key]

        for i, (loss, factor) in enumerate(zip(losses, factors, strict=True)):
            if loss is None:
                continue
            dims = loss.target_dims(outputs[i].dims, y[i].shape[1:])
            assert dims is not None
            objective.losses.append(
                LossTerm(
                    loss,
                    target(i, loss.sparse, dims),
                    outputs[i],
                    objective.sample_weight,
                    float(factor),
                )
            )
        if not objective.losses and not any(effect.variable is None for effect in form.effects):
            raise ValueError(
                "the model was compiled without a loss, and no layer adds one, so there is nothing "
                "to compute; pass loss=... to compile()"
            )
        for use in self._uses(names, outputs, y, weighted, form.output_form):
            metric = use.metric
            if _in_plan(metric, y[use.output], outputs[use.output]):
                assert isinstance(metric, MeanRowMetric)
                assert metric.op is not None
                use.term = len(objective.terms)
                weight = objective.sample_weight if use.weighted else None
                dims = outputs[use.output].dims
                y_true = target(use.output, metric.sparse, dims[:-1] if metric.sparse else dims)
                objective.terms.append(
                    MetricTerm(metric.op, metric.options(), y_true, outputs[use.output], weight)
                )
            else:
                objective.records_outputs = True
            objective.metrics.append(use)
        return objective

    def _uses(
        self,
        names: Sequence[str],
        outputs: Sequence[Value],
        y: Sequence[Array],
        weighted: bool,
        nest: Any = None,
    ) -> Iterator[MetricUse]:
        """All metrics, under names that differ: a second one has ``weighted_`` or a number."""
        taken: Counter[str] = Counter()
        for given, argument in (
            (self._metrics, "metrics"),
            (self._weighted_metrics, "weighted_metrics"),
        ):
            entries = _per_output(given, names, argument, default=(), nested=True, nest=nest)
            for i, entry in enumerate(entries):
                prefix = f"{names[i]}_" if len(names) > 1 else ""
                for identifier in entry if isinstance(entry, list | tuple) else [entry]:
                    if identifier is None:
                        continue
                    metric = metrics_module.resolve(identifier, y[i].shape, outputs[i].shape)
                    name = prefix + metric.name
                    if name in taken and argument == "weighted_metrics":
                        name = f"{prefix}weighted_{metric.name}"
                    number = f"_{taken[name]}" if taken[name] else ""
                    taken[name] += 1
                    weighs = weighted and argument == "weighted_metrics"
                    yield MetricUse(metric, name + number, i, weighs)


def _forget_oldest(kept: dict[Any, Any]) -> None:
    """Lets go what was made for forms that the model has let go long ago."""
    for key in list(kept)[: -2 * KEPT]:  # a list at once: other threads add to it
        kept.pop(key, None)


def _in_plan(metric: Metric, y: Array, output: Value) -> bool:
    """Whether the plan can compute a metric: its op and shapes are known to the core."""
    if not isinstance(metric, MeanRowMetric) or metric.op is None:
        return False
    if type(metric).__module__ != MeanRowMetric.__module__ or "update_state" in vars(metric):
        return False  # a user may have given it another update_state
    per_example = int(np.prod(y.shape[1:]))
    return per_example == (output.group if metric.sparse else output.size)


def _is_one_of(identifier: Any, names: Sequence[str]) -> bool:
    return isinstance(identifier, str) and identifier.lower() in names


def _leaves(given: Any) -> list[Any]:
    """All losses or metrics in an argument of compile."""
    if given is None:
        return []
    if isinstance(given, Mapping) and "class_name" not in given:
        return [leaf for part in given.values() for leaf in _leaves(part)]
    if isinstance(given, list | tuple):
        return [leaf for part in given for leaf in _leaves(part)]
    return [given]


def _with_own_losses(given: Any) -> Any:
    """The argument `loss` with each function as the loss that it stands for, made once."""
    if isinstance(given, Mapping) and "class_name" not in given:
        return {name: _with_own_losses(part) for name, part in given.items()}
    if isinstance(given, list | tuple):
        return [_with_own_losses(part) for part in given]
    return losses_module.get(given) if isinstance(given, FunctionType) else given


def _per_output(
    given: Any,
    names: Sequence[str],
    argument: str,
    default: Any = None,
    nested: bool = False,
    nest: Any = None,
) -> list[Any]:
    """One entry of a compile argument for each output, given as one, a list, a dict or a nest.

    `nest` is that of the outputs.
    """
    if given is None:
        return [default] * len(names)
    if nests.is_nest(nest) and any(map(nests.is_nest, nests.parts(nest))):
        found = nests.ordered(nest, given)
        if found is not None:
            return [default if one is None else one for one in found]
    if isinstance(given, Mapping) and "class_name" not in given:
        unknown = [name for name in given if name not in names]
        if unknown:
            raise ValueError(
                f"{argument} names the outputs {', '.join(unknown)}; the model's outputs are "
                f"{', '.join(names)}"
            )
        return [given.get(name, default) for name in names]
    if len(names) == 1:
        if nested:
            flat = isinstance(given, list | tuple) and len(given) == 1
            return [given[0] if flat and isinstance(given[0], list | tuple) else given]
        return [given[0] if isinstance(given, list | tuple) and len(given) == 1 else given]
    if isinstance(given, list | tuple) and len(given) == len(names):
        return list(given)
    raise ValueError(
        f"{argument} must have one entry for each of the model's {len(names)} outputs "
        f"({', '.join(names)}), in a list or a dict"
    )
