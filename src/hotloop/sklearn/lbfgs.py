"""Training on all examples at once by L-BFGS, through SciPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from ..models import Model

Array = NDArray[Any]


@dataclass
class Minimum:
    """Where L-BFGS ended; the model has the weights."""

    loss: float
    iterations: int
    converged: bool
    message: str


def minimize(
    model: Model,
    x: Array,
    y: Array,
    sample_weight: Array | None = None,
    *,
    max_iter: int,
    max_fun: int,
    tol: float,
) -> Minimum:
    """Gives a compiled model the trainable weights of least loss on these examples.

    Limited-memory BFGS (Liu and Nocedal, 1989) with at most `max_iter` iterations and `max_fun`
    evaluations; it has converged where no component of the gradient is above `tol`.
    """
    weights = model.trainable_weights
    ends = np.cumsum([weight.size for weight in weights])

    def place(flat: Array) -> None:
        for weight, part in zip(weights, np.split(flat, ends[:-1]), strict=True):
            weight.assign(part.reshape(weight.shape))

    def evaluate(flat: Array) -> tuple[float, Array]:
        place(flat)
        loss, gradients = model.loss_and_gradients(x, y, sample_weight)
        return float(loss), np.concatenate([np.ravel(g) for g in gradients]).astype(np.float64)

    start = np.concatenate([weight.numpy().ravel() for weight in weights]).astype(np.float64)
    found = optimize.minimize(
        evaluate,
        start,
        method="L-BFGS-B",
        jac=True,
        options={"maxiter": max_iter, "maxfun": max_fun, "gtol": tol},
    )
    place(found.x)
    return Minimum(float(found.fun), int(found.nit), bool(found.success), str(found.message))
