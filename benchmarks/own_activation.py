"""An activation and a loss of one's own beside built-in ones that compute the same.

    python benchmarks/own_activation.py [--threads 1] [--rounds 30] [--json FILE] [--quick]

A 784-256-10 model is trained on random numbers with each, in turns, so that a noisy minute hits
all alike; a ratio is that of the fastest epochs. The goal is at most 1.3.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import hotloop
import machine
import report
from hotloop.layers import Dense

ROWS, BATCH = 12_800, 128
GOAL = 1.3


def own_silu(x: float) -> float:
    return x / (1.0 + math.exp(-x))


def own_tanh(x: float) -> float:
    return math.tanh(x)


def own_leaky_relu(x: float) -> float:
    return x if x > 0.0 else 0.2 * x


def own_squared_error(y_true: float, y_pred: float) -> float:
    return (y_true - y_pred) ** 2


# Built-in name -> (activation, loss) of the user's own and built in.
PAIRS: dict[str, tuple[tuple[Any, Any], tuple[Any, Any]]] = {
    "silu": ((own_silu, "mse"), ("silu", "mse")),
    "tanh": ((own_tanh, "mse"), ("tanh", "mse")),
    "leaky_relu": ((own_leaky_relu, "mse"), ("leaky_relu", "mse")),
    "mse": (("relu", own_squared_error), ("relu", "mse")),
}


def epoch(activation: Any, loss: Any) -> Callable[[], float]:
    """A function that trains a model for an epoch and says how many seconds that took."""
    hotloop.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, 784), np.float32)
    y = rng.standard_normal((ROWS, 10), np.float32)
    model = hotloop.Sequential([Dense(256, activation, input_dim=784), Dense(10)])
    model.compile(hotloop.optimizers.SGD(1e-3), loss)

    def seconds() -> float:
        start = time.perf_counter()
        model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)
        return time.perf_counter() - start

    seconds()  # plans are made and functions compiled
    return seconds


def main() -> None:
    """Train both of each pair in turns and report."""
    chosen = report.options("functions of one's own beside built-in ones", 30, "epochs of each", 2)
    hotloop.set_num_threads(chosen.threads)
    print(f"{report.caption(machine.describe())}, {report.threads(chosen.threads)}\n")
    results: dict[str, dict[str, float]] = {}
    rows = []
    for name, pair in PAIRS.items():
        own, built_in = (epoch(*arguments) for arguments in pair)
        times = np.array([(own(), built_in()) for _ in range(chosen.rounds)]).min(axis=0) * 1e3
        results[name] = {"own_ms": times[0], "built_in_ms": times[1], "ratio": times[0] / times[1]}
        rows.append([name, f"{times[0]:.2f}", f"{times[1]:.2f}", f"{times[0] / times[1]:.3f}"])
    head = ["computes", "own, ms an epoch", "built in", f"ratio (goal: at most {GOAL})"]
    print(report.table(head, rows))
    if chosen.json:
        report.save(
            chosen.json,
            quick=chosen.quick,
            threads=chosen.threads,
            rows=ROWS,
            batch_size=BATCH,
            results=results,
        )


if __name__ == "__main__":
    main()
