"""Every update rule, by hand: the first two steps of one weight from 1.0."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hotloop.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop, ScheduleFreeAdamW
from hotloop.variables import Variable

G1, G2 = 0.5, -2.0  # the gradients of the two steps
TINY = 1e-7


def adam(decay=0.0, amsgrad=False):
    w, m, v, top = 1.0, 0.0, 0.0, 0.0
    for t, g in enumerate((G1, G2), start=1):
        w -= 0.1 * decay * w
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        top = max(top, v)
        size = 0.1 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        w -= size * m / (math.sqrt(top if amsgrad else v) + TINY)
        yield w


def rmsprop(momentum=0.0, centered=False):
    w, s, mean, velocity = 1.0, 0.0, 0.0, 0.0
    for g in (G1, G2):
        s = 0.9 * s + 0.1 * g * g
        mean = 0.9 * mean + 0.1 * g
        step = 0.1 * g / math.sqrt(s - (mean * mean if centered else 0.0) + TINY)
        velocity = momentum * velocity + step
        w -= velocity
        yield w


def schedule_free(beta_1, warmup=0, decay=0.0):
    """With the mean of all z kept."""
    w = z = x = 1.0
    v = 0.0
    for t, g in enumerate((G1, G2), start=1):
        rate = 0.1 * (min(t / warmup, 1.0) if warmup else 1.0)
        if decay:  # which Keras does to what it takes for a point between z and x
            w -= 0.1 * decay * w
            x = (w - (1 - beta_1) * z) / beta_1
        v = 0.999 * v + 0.001 * g * g
        z -= rate * g / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
        x = (1 - 1 / t) * x + z / t
        w = (1 - beta_1) * z + beta_1 * x
        yield w


CASES = [
    (SGD(0.1), [1 - 0.1 * G1, 1 - 0.1 * (G1 + G2)]),
    (SGD(0.1, 0.9), [0.95, 0.95 + (0.9 * -0.05 - 0.1 * G2)]),
    (
        SGD(0.1, 0.9, nesterov=True),
        [1 + 0.9 * -0.05 - 0.05, 0.905 + 0.9 * (0.9 * -0.05 + 0.2) + 0.2],
    ),
    (Adam(0.1), list(adam())),
    (Adam(0.1, weight_decay=0.3), list(adam(decay=0.3))),
    (Adam(0.1, amsgrad=True), list(adam(amsgrad=True))),
    (AdamW(0.1), list(adam(decay=0.004))),
    (ScheduleFreeAdamW(0.1), list(schedule_free(0.9))),
    (ScheduleFreeAdamW(0.1, 0.0), list(schedule_free(0.0))),
    (ScheduleFreeAdamW(0.1, 0.5, warmup_steps=4), list(schedule_free(0.5, 4))),
    (ScheduleFreeAdamW(0.1, weight_decay=0.3), list(schedule_free(0.9, 0, 0.3))),
    (RMSprop(0.1), list(rmsprop())),
    (RMSprop(0.1, momentum=0.5), list(rmsprop(momentum=0.5))),
    (RMSprop(0.1, centered=True), list(rmsprop(centered=True))),
    (RMSprop(0.1, momentum=0.5, centered=True), list(rmsprop(0.5, True))),
    (
        Adagrad(0.1),
        [
            1 - 0.1 * G1 / math.sqrt(0.35 + TINY),
            1 - 0.1 * G1 / math.sqrt(0.35 + TINY) - 0.1 * G2 / math.sqrt(4.35 + TINY),
        ],
    ),
]


@pytest.mark.parametrize(
    ("optimizer", "expected"), CASES, ids=[f"{c[0].op}-{i}" for i, c in enumerate(CASES)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_two_steps(optimizer, expected, dtype, backend):
    optimizer = type(optimizer).from_config(optimizer.get_config())
    weight = Variable(np.full((2, 3), 1.0, dtype))
    for g, value in zip((G1, G2), expected, strict=True):
        optimizer.apply([np.full((2, 3), g)], [weight])
        tolerance = 1e-6 if dtype == "float32" else 1e-13
        np.testing.assert_allclose(weight.numpy(), np.full((2, 3), value), tolerance)


@pytest.mark.parametrize(
    "optimizer", [c[0] for c in CASES], ids=[f"{c[0].op}-{i}" for i, c in enumerate(CASES)]
)
def test_no_gradient_and_a_rate_of_zero(optimizer, backend):
    optimizer = type(optimizer).from_config(optimizer.get_config() | {"learning_rate": 0.0})
    weight = Variable([1.5])
    optimizer.apply([[3.0]], [weight])
    assert weight.numpy() == [1.5]
