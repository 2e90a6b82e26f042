"""hotloop's MLP beside scikit-learn's, on scikit-learn's own data: as good, and how much faster?

python benchmarks/sklearn_mlp.py [--cases digits] [--threads 1 2] [--seeds 10] [--json FILE]

Both get the same parameters, the defaults but for `Case.settings`, and so the same first weights
for a seed; for each seed the data are split anew. They train until they have converged, and are
scored on the held-out part. scikit-learn computes in the examples' float64, hotloop in float32
(its default; in float64 with L-BFGS).

- **score**: accuracy, or R^2, on a third of the data; mean of the seeds.
- **noise**: two standard errors of the mean difference of the pairs. A difference within it says
  nothing; ``differs`` marks those beyond.
- **epochs**, **seconds**: medians of a whole fit. **epoch**: median of the seeds' ratios of the
  time of an epoch, so that stopping sooner does not count; above 1, hotloop is faster.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import machine
import report
import turns

LIBRARIES = {"hotloop": "hotloop.sklearn", "scikit-learn": "sklearn.neural_network"}
TEST_SHARE = 1 / 3

Result = dict[str, Any]


@dataclass
class Case:
    """A data set of scikit-learn's, and what is trained on it."""

    name: str
    data: str
    estimator: str
    settings: dict[str, Any] = field(default_factory=dict)


CASES = [
    Case("digits", "digits", "MLPClassifier"),
    Case("digits, sgd", "digits", "MLPClassifier", {"solver": "sgd", "learning_rate_init": 0.05}),
    Case(
        "digits, early stopping", "digits", "MLPClassifier",
        {"early_stopping": True, "hidden_layer_sizes": (256, 128)},
    ),
    Case("breast cancer", "breast_cancer", "MLPClassifier", {"max_iter": 500}),
    Case("breast cancer, lbfgs", "breast_cancer", "MLPClassifier", {"solver": "lbfgs"}),
    Case(
        "diabetes", "diabetes", "MLPRegressor",
        {"max_iter": 2000, "alpha": 1.0, "learning_rate_init": 0.01, "early_stopping": True},
    ),
    Case(
        "diabetes, lbfgs", "diabetes", "MLPRegressor",
        {"solver": "lbfgs", "alpha": 100.0, "hidden_layer_sizes": (10,), "max_iter": 1000},
    ),
]  # fmt: skip


# ------------------------------------------------------------------- one library at work


def fit(case: Case, library: str, seed: int) -> dict[str, float]:
    """Score, epochs and seconds of a fit on a split of its own."""
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    from sklearn import datasets

    x, y = getattr(datasets, f"load_{case.data}")(return_X_y=True)
    if case.estimator == "MLPRegressor":
        y = (y - y.mean()) / y.std()
    x, x_test, y, y_test = train_test_split(x, y, test_size=TEST_SHARE, random_state=seed)
    scaler = StandardScaler().fit(x)
    x, x_test = scaler.transform(x), scaler.transform(x_test)
    make = getattr(importlib.import_module(LIBRARIES[library]), case.estimator)
    estimator = make(random_state=seed, **case.settings)
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fits that end before they converge
        estimator.fit(x, y)
    seconds = time.perf_counter() - started
    return {
        "score": float(estimator.score(x_test, y_test)),
        "epochs": float(estimator.n_iter_),
        "seconds": seconds,
    }


def serve(library: str, threads: int) -> None:
    """Be one library: answer ``CASE SEED``, by number, with what a fit was like."""

    def answer(command: str) -> dict[str, float]:
        case, seed = map(int, command.split())
        return fit(CASES[case], library, seed)

    turns.serve(threads, lambda: answer)


# ------------------------------------------------------------------------------- the run


def measure(case: Case, threads: int, seeds: int) -> Result:
    """All seeds, the libraries in turn; one fit before is not counted."""
    print(f"{case.name}, {report.threads(threads)}", file=sys.stderr)
    number = CASES.index(case)
    with turns.Turns() as everybody:
        for library in LIBRARIES:
            everybody.start(library, Path(__file__), ["serve", library, str(threads)], threads)
        everybody.ask(f"{number} 0")
        fits = [everybody.ask(f"{number} {seed}") for seed in range(seeds)]
        if everybody.failures:
            raise SystemExit(f"{case.name}: {everybody.failures}")
    pairs = [(one["hotloop"], one["scikit-learn"]) for one in fits]
    differences = [ours["score"] - theirs["score"] for ours, theirs in pairs]
    spread = statistics.stdev(differences) if seeds > 1 else float("inf")
    return {
        "case": case.name,
        "threads": threads,
        "settings": case.settings,
        "difference": statistics.mean(differences),
        "noise": 2 * spread / seeds**0.5,
        "speed": _median(pairs, lambda fitted: fitted["seconds"]),
        "speed_of_an_epoch": _median(pairs, lambda fitted: fitted["seconds"] / fitted["epochs"]),
        "fits": fits,
    }


def _median(
    pairs: list[tuple[dict[str, float], dict[str, float]]],
    cost: Callable[[dict[str, float]], float],
) -> float:
    """Of the ratios, scikit-learn's over hotloop's."""
    return statistics.median(cost(theirs) / cost(ours) for ours, theirs in pairs)


def table(results: list[Result]) -> str:
    """Markdown: scores, then times, side by side."""
    head = ["case", "threads", *(f"{name}, score" for name in LIBRARIES), "difference", "noise", ""]
    head += [f"{name}, {what}" for what in ("epochs", "seconds") for name in LIBRARIES]
    rows = []
    for result in results:
        scores = [_of(result, library, "score", statistics.mean) for library in LIBRARIES]
        times = [
            _of(result, library, what, statistics.median)
            for what in ("epochs", "seconds")
            for library in LIBRARIES
        ]
        differs = abs(result["difference"]) > result["noise"]
        rows.append(
            [
                result["case"],
                str(result["threads"]),
                *(f"{score:.4f}" for score in scores),
                f"{result['difference']:+.4f}",
                f"{result['noise']:.4f}",
                "differs" if differs else "",
                *map(report.number, times),
                f"{result['speed']:.3g}x",
                f"{result['speed_of_an_epoch']:.3g}x",
            ]
        )
    return report.table([*head, "fit", "epoch"], rows)


def _of(result: Result, library: str, what: str, summary: Callable[[list[float]], float]) -> float:
    return summary([one[library][what] for one in result["fits"]])


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="MLPs of hotloop and scikit-learn")
    add = parser.add_argument
    names = [case.name for case in CASES]
    add("--cases", nargs="+", default=names, choices=names, metavar="CASE", help=", ".join(names))
    add("--threads", type=int, nargs="+", default=[1, os.cpu_count() or 1])
    add("--seeds", type=int, default=10, help="fits of each (default: 10)")
    add("--json", type=report.output, metavar="FILE", help="also write all figures")
    add("--quick", action="store_true", help="two seeds: shows that all of it works")
    chosen = parser.parse_args()
    if min(chosen.threads) < 1 or chosen.seeds < 1:
        parser.error("--threads and --seeds must be at least 1")
    if chosen.quick:
        chosen.seeds = 2
    return chosen


def main() -> None:
    """Measure every case and report."""
    chosen = options()
    print(f"{report.caption(machine.describe())}\n")
    results = [
        measure(case, threads, chosen.seeds)
        for threads in dict.fromkeys(chosen.threads)
        for case in CASES
        if case.name in chosen.cases
    ]
    print(table(results))
    if chosen.json:
        report.save(chosen.json, quick=chosen.quick, results=results)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        main()
