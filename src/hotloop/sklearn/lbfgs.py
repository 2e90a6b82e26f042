"""Training on all examples at once by L-BFGS, through SciPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from ..callbacks import CallbackList
from ..models import Model
from . import sparse
from .common import Examples

Array = NDArray[Any]

# Rows whose activations are in memory together; the loss and its gradient are sums over them.
ROWS_AT_ONCE = 1 << 14


@dataclass
class Minimum:
    """Where L-BFGS ended; the model has the weights."""

    loss: float
    iterations: int
    converged: bool
    message: str


class _Stopped(Exception):  # noqa: N818 - no error
    """A callback ends training."""


class _Descent:
    """The loss of a model as a function of its weights in one array, and the iterations so far."""

    def __init__(self, model: Model, examples: Examples, hooks: CallbackList) -> None:
        self._model = model
        self._weights = model.trainable_weights
        self._ends = np.cumsum([weight.size for weight in self._weights])
        self._blocks = sparse.blocks(examples.x, ROWS_AT_ONCE)
        self._examples = examples
        self._hooks = hooks
        self._begun = -1  # the last iteration that callbacks were told of
        self.iterations = 0
        self.loss = np.nan  # where the function was asked last

    def start(self) -> Array:
        flat = np.concatenate([weight.numpy().ravel() for weight in self._weights])
        return flat.astype(np.float64)

    def place(self, flat: Array) -> None:
        for weight, part in zip(self._weights, np.split(flat, self._ends[:-1]), strict=True):
            weight.assign(part.reshape(weight.shape))

    def evaluate(self, flat: Array) -> tuple[float, Array]:
        """Loss and gradient: the means over blocks of examples, each by its share of them."""
        if self._begun < self.iterations:
            self._begun = self.iterations
            self._hooks.on_epoch_begin(self.iterations)
        self.place(flat)
        self.loss, gradient = 0.0, np.zeros_like(flat)
        for rows in self._blocks:
            part = self._examples.part(rows)
            share = part.rows / self._examples.rows
            loss, gradients = self._model.loss_and_gradients(
                sparse.dense(part.x), part.y, part.weight
            )
            self.loss += share * loss
            gradient += share * np.concatenate([np.ravel(g) for g in gradients])
        return self.loss, gradient

    def end_iteration(self, flat: Array) -> None:
        """SciPy tells of the weights after each iteration; they were evaluated last."""
        self.place(flat)
        self.iterations += 1
        self._hooks.on_epoch_end(self.iterations - 1, {"loss": self.loss})
        if self._model.stop_training:
            raise _Stopped


def minimize(
    model: Model,
    examples: Examples,
    *,
    max_iter: int,
    max_fun: int,
    tol: float,
    callbacks: Any = None,
) -> Minimum:
    """Gives a compiled model the trainable weights of least loss on these examples.

    Limited-memory BFGS (Liu and Nocedal, 1989) with at most `max_iter` iterations and `max_fun`
    evaluations; it has converged where no component of the gradient is above `tol`. To callbacks
    an iteration is an epoch.
    """
    hooks = CallbackList(callbacks, model, {"verbose": 0, "epochs": max_iter, "steps": 1})
    descent = _Descent(model, examples, hooks)
    model.stop_training = False
    hooks.on_train_begin()
    try:
        found = optimize.minimize(
            descent.evaluate,
            descent.start(),
            method="L-BFGS-B",
            jac=True,
            callback=descent.end_iteration,
            options={"maxiter": max_iter, "maxfun": max_fun, "gtol": tol},
        )
    except _Stopped:
        end = Minimum(descent.loss, descent.iterations, True, "a callback ended it")
    else:
        descent.place(found.x)
        end = Minimum(float(found.fun), int(found.nit), bool(found.success), str(found.message))
    hooks.on_train_end({"loss": end.loss})
    return end
