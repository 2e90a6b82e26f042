"""Where the time of a training step of a model's own goes: its plans' ops, and Python."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import backends
from ..backends.interpreter import Interpreter
from ..data.feed import Feed
from .busy import Watch
from .roof import measure
from .step import FEWEST_STEPS, SECONDS, TRACED_STEPS, OpProfile, Profile, rows_of

# An executor that ran for a batch, its nanoseconds and what it read.
Ran = tuple[Any, NDArray[np.int64], Feed]


def profile(
    run: Callable[[list[Ran] | None], None],
    *,
    model: str,
    method: str,
    batch_size: int,
    dtype: str,
    steps: int | None,
) -> Profile:
    """Runs a model's own steps, clocked and not; whoever calls it puts back what they change.

    Parameters
    ----------
    run : callable
        Runs a batch, and adds each executor that ran to a list if it is given one.
    model, method : str
        What the profile calls the model, and its step.
    batch_size : int
    dtype : str
    steps : int, optional
        How many are clocked.
    """
    for _ in range(3):  # the first one records, and caches are cold
        run(None)
    watch = Watch()
    plain: list[float] = []
    clocked: list[tuple[float, list[Ran]]] = []

    def wanted() -> bool:
        if steps is not None:
            return len(clocked) < steps
        return len(clocked) < FEWEST_STEPS or sum(us for us, _ in clocked) < 1e6 * SECONDS

    while wanted():
        plain.append(_microseconds(run, None))
        ran: list[Ran] = []
        clocked.append((_microseconds(run, ran), ran))
    busy = watch.stop()
    fastest = sorted(clocked, key=lambda step: step[0])[: -(-len(clocked) // 4)]
    step_us = float(np.mean(sorted(plain)[: len(fastest)]))
    clocked_us = float(np.mean([us for us, _ in fastest]))
    threads = max((executor.threads() for executor, _, _ in fastest[0][1]), default=1)
    roof = measure(threads, dtype)
    rows: list[OpProfile] = []
    for place, (executor, _, feed) in enumerate(fastest[0][1]):
        laps = np.mean([step[place][1] for _, step in fastest], axis=0) / 1e3
        ops = [i for i in range(laps.shape[1]) if laps[:, i].any()]
        rows += rows_of(executor, feed, ops, laps, roof)
    known = sum(row.time_us + row.waiting_us for row in rows)
    python = max(clocked_us - known, 0.0)
    rows.insert(0, _of_python(method, python))
    total = math.fsum(row.time_us + row.waiting_us for row in rows)
    compiled = not any(isinstance(executor, Interpreter) for executor, _, _ in fastest[0][1])
    return Profile(
        model=model,
        backend=backends.current(),
        isa=backends.isa() if compiled else "",
        threads=threads,
        dtype=dtype,
        batch_size=batch_size,
        steps=len(clocked),
        step_us=step_us,
        clocked_step_us=clocked_us,
        rows=tuple(replace(row, share=(row.time_us + row.waiting_us) / total) for row in rows),
        roof=roof,
        laps=_laps(clocked[:TRACED_STEPS], threads, len(rows)),
        busy=busy,
    )


def _microseconds(run: Callable[[list[Ran] | None], None], ran: list[Ran] | None) -> float:
    start = time.perf_counter()
    run(ran)
    return 1e6 * (time.perf_counter() - start)


def _of_python(method: str, microseconds: float) -> OpProfile:
    """What the method itself takes, and the look-ups of what it does."""
    return OpProfile(
        op="python",
        layer=method,
        time_us=microseconds,
        waiting_us=0.0,
        share=0.0,
        flops=0,
        bytes=0,
        roof=0.0,
        backend="python",
        isa="",
    )


def _laps(steps: Sequence[tuple[float, list[Ran]]], threads: int, ops: int) -> NDArray[np.int64]:
    """Nanoseconds of waiting and working by step, thread and op, Python's first."""
    found = np.zeros((len(steps), threads, ops, 2), np.int64)
    for step, (us, ran) in enumerate(steps):
        place = 1
        for _, clock, _ in ran:
            done = [i for i in range(clock.shape[1]) if clock[:, i].any()][: ops - place]
            found[step, : len(clock), place : place + len(done)] = clock[:, done]
            place += len(done)
        found[step, 0, 0, 1] = max(0, int(1e3 * us) - int(found[step, 0].sum()))
    return found
