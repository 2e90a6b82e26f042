"""A model's plans with their executors, kept by what decides them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from .. import backends, forks, optimizers
from ..console import warn_user
from ..graph.plan import Plan, build
from ..optimizers import Optimizer
from ..optimizers.gradient_keeper import GradientKeeper

if TYPE_CHECKING:
    from ..variables import Variable
    from .forms import Form
    from .objective import Compilation, Objective
    from .trainable import Trainable

Purpose = Literal["train", "evaluate", "predict", "gradients"]

# Plans that a model keeps: training, evaluation and prediction at a few batch sizes. Each costs,
# for as long as it is kept, the arena of each of its executors (`Model.summary` says how large:
# about the outputs of all layers for one batch, and their gradients in training), the threads'
# scratch memory, and some kilobytes of steps. It has as many executors as runs were in it at once:
# one, but where threads predict or evaluate. Weights and the optimizer's state are the model's.
KEPT = 8
# And more where their arenas are small: each of the lengths that data have needs plans of its own.
MOST_KEPT, KEPT_BYTES = 64, 1 << 26


class Ready:
    """A plan with its executors.

    Runs that change weights take turns. Others, as those of two threads that predict, have an
    executor each, so that none waits.

    Parameters
    ----------
    who : str
        How error messages call the model.
    plan : Plan

    Attributes
    ----------
    executors : list
        Those that no run has. What another thread was in the middle of when the process forked
        is not among them, and so never goes on in the child.
    """

    def __init__(self, who: str, plan: Plan) -> None:
        self.plan = plan
        self.executors = [backends.executor(plan)]
        self._who = who
        self._running: dict[int, bool] = {}  # by thread
        # Reentrant, so that a thread that comes back into its own run is told and does not wait.
        # None where runs take no turns.
        self._turns = threading.RLock() if plan.takes_turns else None
        forks.told_of_forks(self)

    def alone(self, work: Callable[[Any], Any]) -> Any:
        """What `work` makes of an executor that nobody else uses meanwhile.

        Raises
        ------
        RuntimeError
            If this very thread is in the middle of a run of the plan.
        """
        if self._turns is None:
            return self._with_executor(work)
        with self._turns:
            return self._with_executor(work)

    def _with_executor(self, work: Callable[[Any], Any]) -> Any:
        thread = threading.get_ident()
        if thread in self._running:
            raise RuntimeError(
                f"{self._who} was called from within its own run: a signal handler, or a "
                "function of yours that the run calls, wants the plan that is running in the "
                "same thread. Callbacks may call a model; from elsewhere do so in another "
                "thread, or call a copy (hotloop.models.clone_model)"
            )
        executor = None
        try:
            self._running[thread] = True
            try:
                executor = self.executors.pop()
            except IndexError:
                executor = backends.executor(self.plan)
            return work(executor)
        finally:
            if thread in self._running:
                del self._running[thread]
            if executor is not None:
                self.executors.append(executor)

    def forked(self) -> None:
        """Runs of other threads do not go on in a child."""
        thread = threading.get_ident()
        self._running = {thread: True} if thread in self._running else {}
        if self._turns is not None and not self._running:
            self._turns = threading.RLock()


class Changing:
    """What steps change, and by which optimizer; the same for all batches of an epoch.

    Attributes
    ----------
    key : tuple
        What tells plans apart.
    """

    def __init__(
        self, trained: list[Variable], written: list[Variable], optimizer: Optimizer | None
    ) -> None:
        self.trained, self.written, self.optimizer = trained, written, optimizer
        settings = () if optimizer is None else optimizer.structure
        # An optimizer of the user's class may be equal to another; the plan keeps this one.
        self.key = (id(optimizer), settings, len(trained), *trained, *written)


_NOTHING = Changing([], [], None)  # as a prediction does


def changing(model: Trainable, purpose: Purpose) -> Changing:
    """What steps for a purpose change, as layers and optimizer are now."""
    weights = model.changed_weights
    trained = [weight for weight in weights if weight.trainable]
    written = [weight for weight in weights if not weight.trainable]
    if purpose == "train" and not trained:
        warn_user(
            f"{model.describe()} has no trainable weights, so training changes nothing: are all "
            "its layers frozen (trainable = False), as those of a GAN's discriminator that "
            "the other model has frozen too? Set trainable = True before it trains"
        )
    return Changing(trained, written, model.optimizer if purpose == "train" else None)


class Plans:
    """The plans that a model keeps, of many those that were used last at the end."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], Ready] = {}
        self._many = False  # so that it matters which was used last
        # Held while a plan is made and no longer: whoever wants one that is there needs no lock.
        # Reentrant, as a signal handler may want a plan while one is made.
        self._making = threading.RLock()
        forks.told_of_forks(self)

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Ready]:
        return iter(list(self._kept.values()))

    def forked(self) -> None:
        """A plan that another thread was making is not made in a child."""
        self._making = threading.RLock()

    def forget(self) -> None:
        """Lets all of them go."""
        self._kept.clear()

    def ready(
        self,
        model: Trainable,
        form: Form,
        purpose: Purpose,
        batch_size: int,
        objective: Objective | None = None,
        changes: Changing | None = None,
    ) -> Ready:
        """The plan for a purpose, for batches of up to that size; made if it is not there.

        `changes` is what it was when an epoch began, for the batches of that epoch.
        """
        if changes is None:
            # A prediction costs little more than the question.
            reads = purpose == "predict" and not form.writes
            changes = _NOTHING if reads else changing(model, purpose)
        # All that decides a plan and its executor. Inputs and outputs, their dtype and lengths are
        # the form's. The number of threads is not among it: an executor heeds it in each run.
        key = (purpose, batch_size, form, objective, changes.key, backends.current())
        if ready := self._kept.get(key):
            if self._many:
                with self._making:
                    if self._kept.pop(key, None) is ready:
                        self._kept[key] = ready
            return ready
        with self._making:
            ready = self._kept.get(key)
            if ready is None:
                self._make_room()
                training = purpose in ("train", "gradients")
                plan = build(
                    form.intake.values,
                    form.outputs,
                    batch_size,
                    backends.traits(),
                    losses=objective.losses if objective else (),
                    metrics=objective.terms if objective else (),
                    trained=changes.trained,
                    written=changes.written,
                    optimizer=GradientKeeper() if purpose == "gradients" else changes.optimizer,
                    assigned=form.assigned(training),
                    added=form.added_losses(training) if objective else (),
                    counter=model.counter,
                )
                self._kept[key] = ready = Ready(model.describe(), plan)
                self._many = len(self._kept) > KEPT
            return ready

    def _make_room(self) -> None:
        """Lets the oldest plans go."""
        while (kept := len(self._kept)) >= KEPT:
            arenas = sum(ready.plan.placement.arena_bytes for ready in self)
            if kept < MOST_KEPT and arenas < KEPT_BYTES:
                return
            self._kept.pop(next(iter(self._kept), ()), None)

    def training(
        self, model: Trainable, compilation: Compilation | None, batch_size: int
    ) -> Plan | None:
        """The newest plan that trained, or else one as `fit` would make; None if unknown."""
        with self._making:
            trained = [ready.plan for key, ready in list(self._kept.items()) if key[0] == "train"]
        if trained or compilation is None:
            return trained[-1] if trained else None
        try:
            form = model.forms.only
            objective = None if form is None else compilation.foresee(form)
            if form is None or objective is None:
                return None
            return build(
                form.intake.values,
                form.outputs,
                batch_size,
                backends.traits(),
                losses=objective.losses,
                metrics=objective.terms,
                trained=model.trainable_weights,
                written=model.changed_weights,
                # As much work and memory as any other's, but nobody's state is made for it.
                optimizer=optimizers.SGD(),
                assigned=form.assigned(training=True),
                added=form.added_losses(training=True),
            )
        except (TypeError, ValueError):  # it is for fit to say what does not fit
            return None


def rounded_up(rows: int) -> int:
    """The next power of two, so that batches of many sizes share a few plans."""
    return 1 << (rows - 1).bit_length()
