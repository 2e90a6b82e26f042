"""The methods of a model that its class may override to train, test or predict in its own way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import overriding
from ..graph import ops
from ..graph.trace import Value, active_recorder
from ..metrics import Mean, Metric

if TYPE_CHECKING:
    from .objective import Compilation
    from .trainable import Trainable
else:
    Trainable = object

# By which of these its class says that it computes losses or metrics in its own way.
_OF_ANY = (
    "compute_loss",
    "compute_metrics",
    "get_metrics_result",
    "metrics",
    "reset_metrics",
)
# And what it does with a batch.
OWN_STEPS = {
    "train": ("train_step", *_OF_ANY),
    "gradients": ("compute_loss",),
    "evaluate": ("test_step", *_OF_ANY),
    "predict": ("predict_step",),
}
METHODS = {"train": "train_step", "evaluate": "test_step", "predict": "predict_step"}


class CompiledMetrics(Metric):
    """The metrics that `compile` was given, as one, which knows them once it saw a batch."""

    waits = False  # its metrics do

    def __init__(self, compilation: Compilation) -> None:
        super().__init__(name="compile_metrics")
        self._compilation = compilation
        self.metrics: list[Any] = []  # uses of metrics

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Gives each its output's rows."""
        targets, outputs = parts(y_true), parts(y_pred)
        if not self.metrics:
            names = list(y_pred) if isinstance(y_pred, dict) else None
            self.metrics = self._compilation.uses(
                names, targets, outputs, sample_weight is not None
            )
        for use in self.metrics:
            weight = sample_weight if use.weighted else None
            target, output = targets[use.output], outputs[use.output]
            if target.shape != output.shape and target.size == output.size:
                reshape: Any = ops.reshape if isinstance(target, Value) else np.reshape
                target = reshape(target, output.shape)
            use.metric.update_state(target, output, weight)

    def result(self) -> dict[str, Any]:
        """The value of each, by its name in logs."""
        return {use.name: use.metric.result() for use in self.metrics}

    def reset_state(self) -> None:
        """Forgets everything added."""
        for use in self.metrics:
            use.metric.reset_state()


class StepMethods(Trainable):
    """What `fit`, `evaluate` and `predict` do with a batch, where the model's class says so.

    A class that overrides one of these methods is asked for each batch, in Python. Arrays are
    tensors within it (`hotloop.tape`), so that all that a step computes is recorded the first time
    and compiled. The methods here are what overriding ones may call.
    """

    _compilation: Compilation | None
    _own_loss: Mean
    _own_metrics: CompiledMetrics

    def overrides(self, purpose: str) -> bool:
        """Whether the class, or the very object, does something of its own for a purpose."""
        if purpose == "train":
            optimizer = self.optimizer
            if optimizer is not None and optimizer.applies_in_parts:
                return True
        return overriding.overrides(self, OWN_STEPS[purpose])

    # -- steps ------------------------------------------------------------------

    def train_step(self, data: Any) -> Any:
        """Trains on one batch; returns what is to stand in the logs.

        Parameters
        ----------
        data : Tensor, tuple (x, y) or (x, y, sample_weight)
            As `fit` was given it.
        """
        from ..tape import GradientTape

        x, y, weight = unpack(data)
        with GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=weight, training=True)
        self._track_loss(loss, x)
        weights = self.trainable_weights
        assert self.optimizer is not None
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        return self.compute_metrics(x, y, y_pred, sample_weight=weight)

    def test_step(self, data: Any) -> Any:
        """Loss and metrics of one batch."""
        x, y, weight = unpack(data)
        y_pred = self(x, training=False)
        loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=weight, training=False)
        self._track_loss(loss, x)
        return self.compute_metrics(x, y, y_pred, sample_weight=weight)

    def predict_step(self, data: Any) -> Any:
        """The model's outputs for one batch."""
        return self(unpack(data)[0], training=False)

    def _track_loss(self, loss: Any, x: Any) -> None:
        """Adds a batch's loss to the mean that logs show."""
        self._metrics_of_compile()
        if loss is not None:
            self._own_loss.update_state(loss, sample_weight=len(parts(x)[0]))

    # -- losses and metrics -----------------------------------------------------

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The loss that `compile` was given, and what is added to it, as one number.

        Parameters
        ----------
        x, y, y_pred, sample_weight
            A batch, and what the model makes of it.
        training : bool

        Raises
        ------
        ValueError
            If there is no loss.
        """
        terms = []
        if self._compilation is not None and self._compilation.has_loss and y is not None:
            names = list(y_pred) if isinstance(y_pred, dict) else None
            given = self._compilation.losses_for(names, parts(y), parts(y_pred))
            for (loss, factor), target, output in zip(given, parts(y), parts(y_pred), strict=True):
                if loss is None:
                    continue
                term = loss(target, output, sample_weight)
                terms.append(term if factor == 1.0 else term * factor)
        recorder = active_recorder()
        if recorder is not None:
            terms += [
                recorder.call_penalty(weight)
                for weight in self.trainable_weights
                if weight.regularizer is not None
            ]
        if not terms:
            raise ValueError(
                f"{self.describe()}: there is no loss to compute; pass loss=... to compile(), or "
                "define compute_loss()"
            )
        return sum(terms[1:], start=terms[0])

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Gives a batch to the metrics of `compile`; returns what all metrics are now."""
        metrics = self._metrics_of_compile()
        if metrics is not None and y is not None:
            metrics.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Any]:
        """What all `metrics` are now, by name."""
        found: dict[str, Any] = {}
        for metric in self.metrics:
            result = metric.result()
            if isinstance(result, dict):
                found.update(result)
            else:
                found[metric.name] = result
        return found

    def reset_metrics(self) -> None:
        """Has all `metrics` forget what they saw, as at the beginning of an epoch."""
        for metric in self.metrics:
            metric.reset_state()

    def _metrics_of_compile(self) -> CompiledMetrics | None:
        """Those that `compile` was given, besides the loss; None if it was given none."""
        kept = vars(self)
        if kept.get("_compiled_for") is not self._compilation or "_own_loss" not in kept:
            object.__setattr__(self, "_own_loss", Mean(name="loss"))
            object.__setattr__(self, "_compiled_for", self._compilation)
            if self._compilation is not None:
                object.__setattr__(self, "_own_metrics", CompiledMetrics(self._compilation))
        if self._compilation is None or not self._compilation.has_metrics:
            return None
        return self._own_metrics

    @property
    def metrics(self) -> list[Metric]:
        """The metrics given to `compile`, output by output, once data were seen.

        Of a class with steps of its own, the mean of the loss, those of `compile` as one, and the
        metrics that are its attributes.
        """
        if not (self.overrides("train") or self.overrides("evaluate")):
            if self._compilation is None or self._compilation.newest is None:
                return []
            return [use.metric for use in self._compilation.newest.metrics]
        compiled = self._metrics_of_compile()
        found: list[Metric] = [] if self._compilation is None else [self._own_loss]
        found += [] if compiled is None else [compiled]
        known = {id(metric) for metric in found}
        own = [thing for thing in vars(self).values() if isinstance(thing, Metric)]
        own += [
            thing
            for things in vars(self).values()
            if isinstance(things, list)
            for thing in things
            if isinstance(thing, Metric)
        ]
        return found + [m for m in own if id(m) not in known and not isinstance(m, CompiledMetrics)]

    # -- what Keras on PyTorch has ----------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Not here: gradients are not kept in weights, so there are none to forget.

        Raises
        ------
        NotImplementedError
            Always, with what to write in its place.
        """
        raise NotImplementedError(
            f"{self.describe()}: gradients are not kept in weights, as PyTorch keeps them. In "
            "train_step(), compute the loss within 'with hotloop.GradientTape() as tape:', then "
            "gradients = tape.gradient(loss, self.trainable_weights) and "
            "self.optimizer.apply(gradients, self.trainable_weights)"
        )


def unpack(data: Any) -> tuple[Any, Any, Any]:
    """x, y and sample_weight of what a step is given, None for what there is not."""
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            f"a step is given x, (x, y) or (x, y, sample_weight), not a tuple of {len(data)}"
        )
    x, y, weight = (*data, None, None)[:3]
    return x, y, weight


def parts(nest: Any) -> list[Any]:
    """The leaves of one thing, a list or a dict."""
    if isinstance(nest, Value) or not isinstance(nest, list | tuple | dict):
        return [nest]
    things = nest.values() if isinstance(nest, dict) else nest
    return [leaf for thing in things for leaf in parts(thing)]
