"""Small calls, whose cost is what surrounds the arithmetic: hotloop and its peers in turn.

python benchmarks/calls.py [--libraries hotloop torch] [--threads 2] [--json FILE]

The model is mlp128 (784-128-10), ready: built, compiled, and called before.

- ``model(x)``: one row. For PyTorch in inference mode, tensor to tensor.
- ``predict``: ``model.predict`` of one row, array to array; ``predict_proba`` of scikit-learn.
- ``train_on_batch``: a step on 32 rows with its loss; ``partial_fit`` of scikit-learn.
- ``fit``: what ``model.fit`` costs beyond its steps: the time with one batch, less a step, which
  is the slope between 1 batch and `MANY`.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cases
import machine
import report
import turns
from peers import PEERS, FusedTorch

CASE = cases.find("mlp128")
MODEL, PREDICT, BATCH, FIT = "model(x)", "predict", "train_on_batch", "fit"
CALLS = (MODEL, PREDICT, BATCH, FIT)
# Microseconds that hotloop is meant to stay under.
TARGETS = {MODEL: 10, PREDICT: 30, FIT: 300}
MANY = 65
TIMING_SECONDS = 0.02

Call = Callable[[], Any]


# ------------------------------------------------------------------- one library at work


def keras_calls(library: str, data: cases.Data) -> dict[str, Call | tuple[Call, Call]]:
    """What hotloop and Keras are asked for; for ``fit``, with one batch and with `MANY`."""
    model = _prepared(library, data).model
    x, y, size = data.x, data.y, CASE.batch_size
    row = x[:1]
    batch = x[:size], y[:size]
    return {
        MODEL: lambda: model(row),
        PREDICT: lambda: model.predict(row, verbose=0),
        BATCH: lambda: model.train_on_batch(*batch),
        FIT: (
            lambda: model.fit(*batch, batch_size=size, verbose=0),
            lambda: model.fit(x, y, batch_size=size, verbose=0),
        ),
    }


def torch_calls(library: str, data: cases.Data) -> dict[str, Call | tuple[Call, Call]]:
    """PyTorch has no ``fit``."""
    import torch

    peer = _prepared(FusedTorch.name, data)
    model, optimizer, loss = peer.model, peer.optimizer, peer.loss
    row = data.x[:1]
    tensor = torch.from_numpy(row)
    x, y = peer.x[: CASE.batch_size], peer.y[: CASE.batch_size]

    @torch.inference_mode()
    def forward() -> Any:
        return model(tensor)

    @torch.inference_mode()
    def predict() -> Any:
        return model(torch.from_numpy(row)).softmax(1).numpy()

    def step() -> float:
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        return float(value)

    return {MODEL: forward, PREDICT: predict, BATCH: step}


def sklearn_calls(library: str, data: cases.Data) -> dict[str, Call | tuple[Call, Call]]:
    """Its ``fit`` makes a new model, so there is no fixed cost to compare."""
    model = _prepared(library, data).model
    row = data.x[:1]
    batch = data.x[: CASE.batch_size], data.y[: CASE.batch_size]
    return {PREDICT: lambda: model.predict_proba(row), BATCH: lambda: model.partial_fit(*batch)}


LIBRARIES = {
    "hotloop": keras_calls,
    "torch": torch_calls,
    "keras": keras_calls,
    "sklearn": sklearn_calls,
}


def _prepared(name: str, data: cases.Data) -> Any:
    """A peer of the training benchmark with its model."""
    peer = PEERS[name]()
    peer.prepare(CASE, cases.first_weights(CASE), data, int(os.environ["OMP_NUM_THREADS"]))
    return peer


def serve(library: str, threads: int) -> None:
    """Be one library: answer seconds for each call; nothing for those that it has not."""

    def prepare() -> Callable[[str], float | None]:
        data = cases.load(CASE, MANY * CASE.batch_size)
        calls = LIBRARIES[library](library, data)
        counts: dict[Call, int] = {}

        def seconds(call: Call) -> float:
            if call not in counts:
                call()
                counts[call] = max(1, round(TIMING_SECONDS / _timed(call, 1)))
            turns.warm_up(call)
            return _timed(call, counts[call])

        def answer(name: str) -> float | None:
            call = calls.get(name)
            if call is None:
                return None
            if not isinstance(call, tuple):
                return seconds(call)
            one, many = map(seconds, call)
            return one - (many - one) / (MANY - 1)

        return answer

    turns.serve(threads, prepare)


def _timed(call: Call, count: int) -> float:
    """Seconds of a call, out of so many."""
    started = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - started) / count


# ------------------------------------------------------------------------------- the run


def measure(chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """Every call, of all libraries in turn."""
    seconds: dict[str, dict[str, list[float]]] = {}
    with turns.Turns() as everybody:
        for library in chosen.libraries:
            words = ["serve", library, str(chosen.threads)]
            everybody.start(library, Path(__file__), words, chosen.threads)
        for name in CALLS:
            print(name, file=sys.stderr)
            answers = everybody.rounds(name, chosen.rounds)
            seconds[name] = {who: t for who, t in answers.items() if t[0] is not None}
    for library, message in everybody.failures.items():
        print(f"{library} failed: {message}", file=sys.stderr)
    return [_result(name, taken) for name, taken in seconds.items()]


def _result(name: str, seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Medians, and ratios round by round."""
    own = seconds.get("hotloop", [])
    us = {who: 1e6 * statistics.median(taken) for who, taken in seconds.items()}
    target = TARGETS.get(name)
    return {
        "call": name,
        "us": us,
        "seconds": seconds,
        "ratios": {
            who: statistics.median(theirs / ours for theirs, ours in zip(taken, own, strict=True))
            for who, taken in seconds.items()
            if own and who != "hotloop"
        },
        "fastest_us": 1e6 * min(own) if own else None,
        "target_us": target,
        "target_met": us["hotloop"] < target if own and target else None,
    }


def table(results: list[dict[str, Any]], libraries: list[str]) -> str:
    """Markdown: microseconds, and times hotloop's; its fastest round is the least disturbed one."""
    rows = [
        [
            result["call"],
            *(_time(result, library) for library in libraries),
            report.number(result["fastest_us"]) if result["fastest_us"] else "-",
            f"{result['target_us']} us" if result["target_us"] else "-",
            {None: "-", True: "met", False: "not met"}[result["target_met"]],
        ]
        for result in results
    ]
    return report.table(["call, us", *libraries, "hotloop's fastest", "target", ""], rows)


def _time(result: dict[str, Any], library: str) -> str:
    """One library's time."""
    if library not in result["us"]:
        return "-"
    ratio = result["ratios"].get(library)
    return report.number(result["us"][library]) + (f" ({ratio:.3g}x)" if ratio else "")


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="small calls, side by side")
    add = parser.add_argument
    add("--libraries", nargs="+", default=list(LIBRARIES), choices=LIBRARIES)
    add("--threads", type=int, default=os.cpu_count() or 1, help="default: all cores")
    add("--rounds", type=int, default=9, help="timings of a call (default: 9)")
    add("--json", type=report.output, metavar="FILE", help="also write all figures")
    add("--quick", action="store_true", help="one timing: shows that all of it works")
    chosen = parser.parse_args()
    if chosen.threads < 1 or chosen.rounds < 1:
        parser.error("--threads and --rounds must be at least 1")
    if chosen.quick:
        chosen.rounds = 1
    chosen.libraries = [name for name in chosen.libraries if importlib.util.find_spec(name)]
    return chosen


def main() -> None:
    """Measure every call and report."""
    chosen = options()
    print(f"{report.caption(machine.describe())}, {report.threads(chosen.threads)}\n")
    results = measure(chosen)
    print(table(results, chosen.libraries))
    if chosen.json:
        report.save(chosen.json, quick=chosen.quick, threads=chosen.threads, results=results)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        main()
