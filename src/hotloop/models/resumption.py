"""Where a fit is, as plain data that another process can go on from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import random
from ..graph.trace import topological
from .arrays import ArrayEpochs

if TYPE_CHECKING:
    from ..callbacks import BackupAndRestore, CallbackList
    from ..metrics import Metric
    from .plans import Plans
    from .streaming import Stream
    from .trainable import Trainable

State = dict[str, Any]


def resumption(
    hooks: CallbackList,
    model: Trainable,
    plans: Plans,
    source: ArrayEpochs | Stream,
    epoch: int,
) -> Resumption | None:
    """What backs a fit up that is to begin with an epoch; None if no callback wants that.

    Raises
    ------
    ValueError
        If the source cannot be told where to go on.
    """
    backup = hooks.backup
    if backup is None:
        return None
    if not isinstance(source, ArrayEpochs):
        raise ValueError(
            "BackupAndRestore needs arrays: an iterable of batches cannot be told to go on where a "
            "killed program had stopped; save weights with ModelCheckpoint instead"
        )
    return Resumption(backup, hooks, model, plans, source, epoch)


class Resumption:
    """The position and the whole state of a fit that is backed up.

    Attributes
    ----------
    epoch : int
        The first that is to be run; later the one that runs, or, between two, the next one.
    """

    def __init__(
        self,
        backup: BackupAndRestore,
        hooks: CallbackList,
        model: Trainable,
        plans: Plans,
        source: ArrayEpochs,
        epoch: int,
    ) -> None:
        self._backup, self._hooks, self._model, self._plans = backup, hooks, model, plans
        self._source = source
        # Those of the run, if one runs.
        self._metrics = [use.metric for use in source.objective.metrics]
        self.epoch = epoch
        self._batch = 0  # how many of the epoch are done
        self._sums: NDArray[np.float64] | None = None  # what they added up to
        self._waiting: State | None = None  # for the moment when it can be restored
        self._take_up()

    @property
    def over(self) -> bool:
        """Whether a callback had stopped the training that is taken up."""
        return self._waiting is not None and self._waiting["stop_training"]

    def _take_up(self) -> None:
        """Reads the backup, and restores what must be there before plans are made."""
        found = self._backup.begin()
        if found is None:
            return
        source, state = found
        for name, value in self._signature().items():
            if state["training"].get(name) != value:
                raise ValueError(
                    f"{source} is of another training: its {name} was "
                    f"{state['training'].get(name)!r}, now it is {value!r}; delete it, or name "
                    "another backup_dir"
                )
        self.epoch, self._batch = state["epoch"], state["batch"]
        self._waiting = state
        if _change_keys(self._model, state["keys"]):
            self._plans.forget()

    def restore(self, *, in_epoch: bool) -> None:
        """Restores the state when callbacks have begun the training, or the epoch, anew."""
        state = self._waiting
        if state is None or in_epoch != (self._batch > 0):
            return
        optimizer = self._model.optimizer
        assert optimizer is not None
        for weight, value in zip(self._model.weights, state["weights"], strict=True):
            weight.assign(value)
        for weight, values in zip(self._model.weights, state["slots"], strict=True):
            slots = optimizer.all_slots(weight) if values else ()
            for slot, value in zip(slots, values, strict=True):
                slot.assign(value)
        optimizer.iterations = state["iterations"]
        if state["learning_rate"] is not None:
            optimizer.learning_rate = state["learning_rate"]
        for callback, known in zip(self._hooks, state["callbacks"], strict=True):
            callback.set_state(known)
        self._source.go_on(state["steps"], repeat=in_epoch)
        random.set_state(state["random"])
        if not in_epoch:
            self._waiting = None

    # -- what fit tells -----------------------------------------------------------

    def begin_epoch(self, sums: NDArray[np.float64], metrics: list[Metric]) -> int:
        """How many batches of the epoch are done already; fills in what they added up to."""
        self._sums, self._metrics = sums, metrics
        if self._waiting is None:
            self._batch = 0
        else:
            sums[...] = self._waiting["sums"]
            for metric, known in zip(metrics, self._waiting["metrics"], strict=True):
                _set_attributes(metric, known)
            self._waiting = None
        return self._batch

    def batches_to_go(self, batches: int) -> int:
        """Of so many, how many may be run before the next backup."""
        due = self._backup.batches_to_go()
        return batches if due is None else min(batches, due)

    def advance(self, batches: int, *, last: bool) -> None:
        """Batches were run; behind the last of an epoch, a backup waits until that is over."""
        self._batch += batches
        if self._backup.count(batches) and not last:
            self._backup.save(self._state())

    def end_epoch(self, epoch: int) -> None:
        """An epoch is over, with all that callbacks do then."""
        self.epoch, self._batch, self._sums = epoch + 1, 0, None
        if self._backup.count(0) or self._backup.batches_to_go() is None:
            self._backup.save(self._state())

    def end(self) -> None:
        """The training is over."""
        self._backup.end()

    # -- the state ----------------------------------------------------------------

    def _state(self) -> State:
        """All that decides how the training goes on."""
        optimizer = self._model.optimizer
        assert optimizer is not None
        weights = self._model.weights
        return {
            "training": self._signature(),
            "epoch": self.epoch,
            "batch": self._batch,
            "sums": self._sums,
            "metrics": [_attributes(metric) for metric in self._metrics],
            "weights": [weight.numpy() for weight in weights],
            "slots": [[slot.numpy() for slot in optimizer.slots_so_far(w)] for w in weights],
            "iterations": optimizer.iterations,
            "learning_rate": None if optimizer.schedule else optimizer.learning_rate,
            "callbacks": [callback.get_state() for callback in self._hooks],
            "steps": self._source.state(),
            "random": random.get_state(),
            "keys": [layer.random_key for layer in self._model.drawing_parts()],
            "stop_training": self._model.stop_training,
        }

    def _signature(self) -> State:
        """What must be the same for a state to fit."""
        return {
            "rows": self._source.newest.rows,
            "batch_size": self._source.batch_size,
            "optimizer": type(self._model.optimizer).__name__,
            "list of callbacks": [type(callback).__name__ for callback in self._hooks],
            "list of weights": [[w.name, *w.shape] for w in self._model.weights],
        }


def _change_keys(model: Trainable, keys: list[int]) -> bool:
    """Makes layers draw by these keys, here and in graphs; returns whether any has changed."""
    layers = model.drawing_parts()
    new = {a.random_key: key for a, key in zip(layers, keys, strict=True) if a.random_key != key}
    for layer in layers:
        layer.random_key = new.get(layer.random_key, layer.random_key)
    for form in model.forms:
        for node in topological(form.outputs):
            if node.attributes.get("seed") in new:
                node.attributes["seed"] = new[node.attributes["seed"]]
    return bool(new)


def _attributes(thing: Any) -> State:
    """The numbers and arrays that an object keeps, by itself and in parts of its own."""
    found: State = {}
    for name, value in vars(thing).items():
        if isinstance(value, np.ndarray | np.generic | int | float):
            found[name] = np.copy(value) if isinstance(value, np.ndarray) else value
        elif type(value).__module__.startswith("hotloop.") and hasattr(value, "__dict__"):
            found[name] = _attributes(value)
    return found


def _set_attributes(thing: Any, known: Mapping[str, Any]) -> None:
    for name, value in known.items():
        if isinstance(value, Mapping):
            _set_attributes(getattr(thing, name), value)
        else:
            setattr(thing, name, value)
