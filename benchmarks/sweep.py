"""A training step over layer widths: are more threads ever slower than one, and is there a cliff?

python benchmarks/sweep.py [--batches 1 32] [--threads 2] [--json FILE] [--chart FILE.png]

The model is 784-width-10, relu and softmax, Adam, on random rows that stay in the caches.
Widths are powers of two up to 2,048, their neighbours, and round numbers between. One thread and
all threads take turns; two kinds of rows are flagged:

- ``slower``: more threads take longer than one, by more than `NOISE`;
- ``cliff``: on either, a step takes more than `CLIFF` times as long per FLOP as at a neighbouring
  width, which is one at most an eighth away.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import machine
import report

FEATURES, CLASSES = 784, 10
# fmt: off
WIDTHS = (
    1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 100, 127, 128, 129, 200,
    255, 256, 257, 384, 500, 511, 512, 513, 768, 1000, 1023, 1024, 1025, 1536, 2000, 2047, 2048,
)
# fmt: on
QUICK_WIDTHS = (1, 16, 17, 128, 129)
NOISE = 1.05
CLIFF = 1.25
NEIGHBOUR = 1.125
BATCHES_OF_DATA = 64
TIMING_SECONDS = 0.03

Result = dict[str, Any]


def flops(width: int, batch: int) -> int:
    """Operations of the products of a step: no input gradient in the first layer."""
    return 2 * batch * (2 * FEATURES * width + 3 * width * CLASSES)


def trainer(width: int, batch: int) -> Callable[[int], float]:
    """A function that trains for some epochs and gives the seconds of a step."""
    import hotloop

    rng = np.random.default_rng(0)
    x = rng.random((BATCHES_OF_DATA * batch, FEATURES), dtype=np.float32)
    y = rng.integers(0, CLASSES, len(x)).astype(np.uint8)
    model = hotloop.Sequential(
        [
            hotloop.layers.Dense(width, "relu", input_dim=FEATURES),
            hotloop.layers.Dense(CLASSES, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")

    def seconds(epochs: int) -> float:
        started = time.perf_counter()
        model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0)
        return (time.perf_counter() - started) / (epochs * BATCHES_OF_DATA)

    return seconds


def measure(width: int, batch: int, threads: int, timings: int) -> Result:
    """Seconds of a step on one thread and on several, in turn."""
    import hotloop

    train = trainer(width, batch)
    hotloop.set_num_threads(1)
    train(1)
    epochs = max(1, round(TIMING_SECONDS / (train(1) * BATCHES_OF_DATA)))
    taken: dict[int, list[float]] = {1: [], threads: []}
    for _ in range(timings):
        for count, seconds in taken.items():
            hotloop.set_num_threads(count)
            train(1)
            seconds.append(train(epochs))
    one, many = taken[1], taken[threads]
    work = flops(width, batch)
    return {
        "width": width,
        "batch": batch,
        "flops": work,
        "us": {str(count): 1e6 * statistics.median(s) for count, s in taken.items()},
        "seconds": {str(count): s for count, s in taken.items()},
        "ns_per_kflop": {str(n): 1e12 * statistics.median(s) / work for n, s in taken.items()},
        "speedup": statistics.median(a / b for a, b in zip(one, many, strict=True)),
    }


def flagged(results: list[Result]) -> list[Result]:
    """The results of one batch size, each with its flags."""
    return [result | {"flags": _flags(result, results)} for result in results]


def _flags(result: Result, results: list[Result]) -> list[str]:
    """What is wrong at one width."""
    flags = ["slower"] if result["speedup"] < 1 / NOISE else []
    for count, cost in result["ns_per_kflop"].items():
        for other in results:
            far = max(other["width"], result["width"]) / min(other["width"], result["width"])
            times = cost / other["ns_per_kflop"][count]
            if far <= NEIGHBOUR and times > CLIFF:
                on = report.threads(int(count))
                flags.append(f"cliff ({times:.2f}x of {other['width']}, {on})")
    return flags


def table(results: list[Result]) -> str:
    """Markdown: a row for each width."""
    counts = list(results[0]["us"])
    head = ["width", "batch"]
    head += [f"us, {report.threads(int(count))}" for count in counts]
    head += ["speed-up", *(f"ns per kFLOP, {report.threads(int(n))}" for n in counts), "flags"]
    rows = [
        [
            str(result["width"]),
            str(result["batch"]),
            *(report.number(result["us"][count]) for count in counts),
            f"{result['speedup']:.2f}x",
            *(report.number(result["ns_per_kflop"][count]) for count in counts),
            ", ".join(result["flags"]),
        ]
        for result in results
    ]
    return report.table(head, rows)


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="a training step over layer widths")
    add = parser.add_argument
    add("--widths", nargs="+", type=int, default=list(WIDTHS), metavar="WIDTH")
    add("--batches", nargs="+", type=int, default=[1, 32], metavar="ROWS")
    add("--threads", type=int, default=os.cpu_count() or 1, help="beside one (default: all cores)")
    add("--rounds", type=int, default=7, help="timings of a width (default: 7)")
    add("--json", type=report.output, metavar="FILE", help="also write all figures")
    add("--chart", type=report.output, metavar="FILE", help="also draw them: FILE.png or FILE.svg")
    add("--quick", action="store_true", help="few widths, one timing: shows that all of it works")
    chosen = parser.parse_args()
    if min(chosen.threads, chosen.rounds, *chosen.widths, *chosen.batches) < 1:
        parser.error("--widths, --batches, --threads and --rounds must be at least 1")
    if chosen.quick:
        chosen.widths, chosen.rounds = list(QUICK_WIDTHS), 1
    return chosen


def main() -> None:
    """Measure every width and report."""
    chosen = options()
    about = report.caption(machine.describe())
    print(about)
    results = []
    for batch in chosen.batches:
        one_batch = []
        for width in sorted(chosen.widths):
            print(f"batch {batch}, width {width}", file=sys.stderr)
            one_batch.append(measure(width, batch, chosen.threads, chosen.rounds))
        results += flagged(one_batch)
    wrong = [f"{r['width']} at batch {r['batch']}" for r in results if r["flags"]]
    print(f"\n{len(wrong)} of {len(results)} flagged: {', '.join(wrong) or 'none'}\n")
    print(table(results))
    if chosen.json:
        report.save(chosen.json, quick=chosen.quick, threads=chosen.threads, results=results)
    if chosen.chart:
        import charts

        charts.sweep(results, about, chosen.chart)


if __name__ == "__main__":
    main()
