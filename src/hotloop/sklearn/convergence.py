"""When scikit-learn's MLP stops, and how its learning rate falls."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..callbacks import Callback
from ..callbacks.base import Logs
from ..console import say

if TYPE_CHECKING:
    from .perceptron import MultilayerPerceptron

# scikit-learn's: what an adaptive rate is divided by, and where it has come to an end.
ADAPTIVE_DIVISOR = 5.0
LEAST_RATE = 1e-6

# What an estimator that trains by epochs keeps.
RECORDS = (
    "loss_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
    "_no_improvement_count",
)


class Convergence(Callback):
    """Keeps an estimator's record of each epoch, and ends training when nothing improves.

    Parameters
    ----------
    estimator : MultilayerPerceptron
        Its settings hold, and its ``loss_curve_`` and the like are written.
    examples : int
        In an epoch.
    score : callable, optional
        Gives the score on the validation examples.
    """

    def __init__(
        self,
        estimator: MultilayerPerceptron,
        examples: int,
        score: Callable[[], float] | None = None,
    ) -> None:
        self._of = estimator
        self._examples = examples
        self._score = score
        own_rate = estimator.solver == "sgd" and isinstance(estimator.learning_rate, str)
        self._rate = estimator.learning_rate if own_rate else "constant"
        # Nothing here can end training or change it: epochs may run ahead.
        self.passive = (
            score is None
            and not estimator.verbose
            and estimator.n_iter_no_change == np.inf
            and self._rate != "invscaling"
        )

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        of = self._of
        assert logs is not None
        of.n_iter_ += 1
        of.t_ += self._examples
        of.loss_ = logs["loss"] + of._loss_offset
        of.loss_curve_.append(of.loss_)
        self._say(f"Iteration {of.n_iter_}: loss {of.loss_:.8f}")
        if self._score is not None:
            logs["val_score"] = self._score()
            self._note_score(logs["val_score"])
        if not of.early_stopping:
            assert of.best_loss_ is not None
            self._count(of.loss_ <= of.best_loss_ - of.tol)
            of.best_loss_ = min(of.best_loss_, of.loss_)
        if self._rate == "invscaling":
            rate = of.learning_rate_init / (of.t_ + 1) ** of.power_t
            self.model.optimizer.learning_rate = rate
        if of._no_improvement_count > of.n_iter_no_change:
            self._stop_or_slow_down()

    def _note_score(self, score: float) -> None:
        of = self._of
        assert of.validation_scores_ is not None
        assert of.best_validation_score_ is not None
        of.validation_scores_.append(score)
        self._say(f"Validation score: {score:.6f}")
        if of.early_stopping:
            self._count(score >= of.best_validation_score_ + of.tol)
        if score > of.best_validation_score_:
            of.best_validation_score_ = score
            if of.early_stopping:
                of._best_weights = self.model.get_weights()

    def _count(self, better: bool) -> None:
        self._of._no_improvement_count = 0 if better else self._of._no_improvement_count + 1

    def _stop_or_slow_down(self) -> None:
        optimizer = self.model.optimizer
        if self._rate == "adaptive" and optimizer.learning_rate > LEAST_RATE:
            optimizer.learning_rate /= ADAPTIVE_DIVISOR
            self._of._no_improvement_count = 0
            self._say(f"No more improvement: the learning rate is now {optimizer.learning_rate:g}")
            return
        self._say(f"No improvement by {self._of.tol:g} for {self._of.n_iter_no_change} iterations")
        self.model.stop_training = True

    def _say(self, what: str) -> None:
        if self._of.verbose:
            say(what)
