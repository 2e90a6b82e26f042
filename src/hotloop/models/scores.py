"""The metrics of one run: state of its own, whatever else runs at the same time."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .. import forks
from ..graph.plan import Slot
from ..metrics import MeanRowMetric, Metric
from .objective import Objective, by_slot

Array = NDArray[Any]

# Which run has a metric, by the metric's id; changed by single operations of dict only, so that
# threads and signal handlers need no lock.
_lent: dict[int, Scores] = {}


class Scores:
    """The metrics of one run over batches, from `begin` to the end of a ``with`` block.

    A run has the metrics that the user knows, unless another run has them: one in another thread,
    or one that is being interrupted by a callback. Then it has copies. The user's show the results
    of the run that ended last, as in Keras.

    Attributes
    ----------
    metrics : list of Metric
        One for each of the objective's.
    thread : int
        That it runs in.
    """

    def __init__(self) -> None:
        self.metrics: list[Metric] = []
        self._objective: Objective
        self._of_user: list[Metric] = []
        self.thread = threading.get_ident()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._publish()
        finally:
            for metric in self._of_user:
                if _lent.get(id(metric)) is self:
                    del _lent[id(metric)]

    def begin(self, objective: Objective) -> None:
        """Takes the metrics of an objective, or copies, and resets them."""
        self._objective = objective
        self._of_user = [use.metric for use in objective.metrics]
        copies: dict[int, Metric] = {}
        for metric in self._of_user:
            if not self._has(metric) and id(metric) not in copies:
                copies[id(metric)] = _copy_of(metric)
        self.metrics = [copies.get(id(metric), metric) for metric in self._of_user]
        for metric in self.metrics:
            metric.reset_state()

    def _has(self, metric: Metric) -> bool:
        """Whether this run has the metric, from now on if no other has it."""
        return _lent.setdefault(id(metric), self) is self

    def _publish(self) -> None:
        """Lets the user's metrics show the results of copies."""
        for metric, own in zip(self._of_user, self.metrics, strict=True):
            if own is not metric and self._has(metric):
                vars(metric).update(vars(own))

    @property
    def records_outputs(self) -> bool:
        """Whether some metric must be given the model's outputs, in Python."""
        return self._objective.records_outputs

    def update(self, y: Sequence[Array], outputs: Sequence[Array], weight: Array | None) -> None:
        """Gives rows of targets and outputs to the metrics that Python updates."""
        for use, metric in zip(self._objective.metrics, self.metrics, strict=True):
            if use.term is None:
                target = y[use.output]
                output = outputs[use.output]
                if target.size == output.size:
                    target = target.reshape(output.shape)
                metric.update_state(target, output, weight if use.weighted else None)

    def logs(
        self, slots: Sequence[Slot], sums: NDArray[np.float64], rows: int
    ) -> dict[str, list[float]]:
        """Loss and metrics of epochs of `rows` examples each, by name, in the order of names.

        sums (epochs, slots) is what a plan added up. Metrics that Python updates know of one
        epoch only.
        """
        sum_of = by_slot(slots, sums)
        found = self._objective.losses_of(sum_of, rows)
        for use, metric in zip(self._objective.metrics, self.metrics, strict=True):
            if use.term is None:
                found[use.name] = np.array([np.asarray(metric.result()).item()])
                continue
            assert isinstance(metric, MeanRowMetric)
            total = sum_of["metric", use.term]
            count = sum_of.get(("weight", use.term), float(rows))
            found[use.name] = metric.of(total, count)
            metric.reset_state()
            metric.absorb(total[-1], count if isinstance(count, float) else count[-1])
        return {name: found[name].tolist() for name in sorted(found)}

    def cut_short(
        self, slots: Sequence[Slot], sums: NDArray[np.float64], rows: int
    ) -> dict[str, float]:
        """The logs of `rows` examples before a batch whose loss is not finite; the loss is NaN."""
        known = self.logs(slots, sums, max(rows, 1))
        last = {name: values[-1] if rows else np.nan for name, values in known.items()}
        return last | {"loss": np.nan}


def _copy_of(metric: Metric) -> Metric:
    """A metric of the same class and attributes, with none of its state shared."""
    made = type(metric).__new__(type(metric))
    try:
        # Its owner goes on meanwhile: a copy of the dict is made at once.
        made.__dict__ = copy.deepcopy(dict(vars(metric)))
    except Exception as error:
        raise RuntimeError(
            f"the metric '{metric.name}' is in use by another run of fit or evaluate, and cannot "
            f"be copied for this one ({error}): run one after the other, or give each a model "
            "with metrics of its own"
        ) from error
    return made


def _forget_other_threads() -> None:
    """A forked child has none of the parent's other runs."""
    for key, scores in list(_lent.items()):
        if scores.thread != threading.get_ident():
            del _lent[key]


forks.in_child(_forget_other_threads)
