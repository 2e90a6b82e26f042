"""Time two installations of hotloop against each other, job by job, in turn.

python benchmarks/compare.py a/bin/python b/bin/python [--rounds 9]

For instance an abi3 build and one for this Python version alone, or two commits. Each
installation is a process that stays alive; what counts is the median of the ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any


def jobs() -> Iterator[tuple[str, Callable[[], Any], int]]:
    """Name, what to time, and how many steps or calls that is."""
    import numpy as np

    import hotloop

    rng = np.random.default_rng(0)

    def fit(widths: list[int], batch: int, rows: int, epochs: int) -> tuple[Any, Any, Any, Any]:
        """A model that has trained once, its data, and a call that trains it again."""
        x = rng.random((rows, widths[0]), dtype=np.float32)
        classes = widths[-1] > 1
        y = rng.integers(0, widths[-1], rows) if classes else rng.random((rows, 1))
        model = hotloop.Sequential([hotloop.layers.Dense(w, "relu") for w in widths[1:-1]])
        model.add(hotloop.layers.Dense(widths[-1], "softmax" if classes else "linear"))
        model.compile("adam", "sparse_categorical_crossentropy" if classes else "mse")
        model.fit(x, y, batch_size=batch, verbose=0)
        return model, x, y, lambda: model.fit(x, y, batch, epochs, verbose=0)

    yield "toy, a step", fit([2, 5, 1], 32, 100, 200)[3], 800
    yield "boston, a step", fit([13, 1], 1, 404, 100)[3], 40_400
    yield "mlp128, a step", fit([784, 128, 10], 32, 32_000, 1)[3], 1_000
    model, x, y, _ = fit([784, 128, 10], 32, 32, 1)
    yield "mlp128, train_on_batch", lambda: [model.train_on_batch(x, y) for _ in range(300)], 300
    yield "mlp128, model(one row)", lambda: [model(x[:1]) for _ in range(1_000)], 1_000


def serve() -> None:
    """Times the job that each line of standard input names."""
    ready = {name: (call, count) for name, call, count in jobs()}
    print(json.dumps(list(ready)), flush=True)
    for line in sys.stdin:
        call, count = ready[line.strip()]
        start = time.perf_counter()
        call()
        print((time.perf_counter() - start) / count * 1e6, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("a", help="a Python that has the one hotloop installed")
    parser.add_argument("b", help="a Python that has the other")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [
        subprocess.Popen([python, __file__, "serve"], **pipes) for python in (options.a, options.b)
    ]
    names, _ = (json.loads(process.stdout.readline()) for process in both)
    print("| job | a, us | b, us | a / b |\n|---|---|---|---|")
    for name in names:
        times: list[list[float]] = [[], []]
        for _ in range(options.rounds):
            for process, taken in zip(both, times, strict=True):
                print(name, file=process.stdin, flush=True)
                taken.append(float(process.stdout.readline()))
        a, b = map(statistics.median, times)
        ratio = statistics.median(x / y for x, y in zip(*times, strict=True))
        print(f"| {name} | {a:.3g} | {b:.3g} | {ratio:.3f} |")
    for process in both:
        process.kill()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        main()
