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

import machine
import report


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
    yield "softreg, a step", fit([784, 10], 256, 25_600, 2)[3], 200
    yield "mlp256, a step", fit([784, 256, 128, 10], 64, 12_800, 1)[3], 200
    yield "mlp1024, a step", fit([784, 1024, 1024, 10], 256, 2_560, 1)[3], 10
    for batch in (1, 32):
        for width in (16, 17, 64, 257, 1024):
            steps = max(10, 20_000 // (batch * width))
            job = fit([width, width, 10], batch, batch * steps, 1)[3]
            yield f"width {width}, batch {batch}, a step", job, steps

    def product(m: int, n: int, k: int, **how: bool) -> tuple[Callable[[], Any], int]:
        """A product of arrays, about a hundredth of a second of it."""
        a, b = rng.random((k, m) if how else (m, k), np.float32), rng.random((k, n), np.float32)
        out, times = np.empty((m, n), np.float32), max(1, 200_000_000 // (m * n * k))
        times = min(times, 1_000)
        matmul = hotloop.kernels.matmul
        return lambda: [matmul(a, b, out=out, **how) for _ in range(times)], times

    for m, n, k in ((8, 8, 8), (32, 128, 784), (64, 64, 64), (257, 257, 257), (1024, 1024, 1024)):
        yield f"matmul {m} x {n} x {k}", *product(m, n, k)
    yield "matmul 784 x 128 x 32, transposed", *product(784, 128, 32, transpose_a=True)

    def steps_of(*layers: Any, rows: int = 640) -> tuple[Callable[[], Any], int]:
        """A fit of a model of sequences."""
        model = hotloop.Sequential([hotloop.layers.Input((30, 16)), *layers])
        model.add(hotloop.layers.GlobalMaxPooling1D())
        model.add(hotloop.layers.Dense(1))
        model.compile("adam", "mse")
        x, y = rng.random((rows, 30, 16), np.float32), rng.random((rows, 1))
        model.fit(x, y, verbose=0)
        return lambda: model.fit(x, y, 32, 2, verbose=0), 2 * rows // 32

    layers = hotloop.layers
    yield "dense of 30 steps, a step", *steps_of(layers.Dense(32, "relu"), layers.Dense(32, "gelu"))
    yield (
        "normalizations, a step",
        *steps_of(layers.Dense(32), layers.BatchNormalization(), layers.LayerNormalization()),
    )
    wide = layers.Input((64,))
    branches = [layers.Dense(64, "relu")(wide) for _ in range(4)]
    joined = hotloop.Model(wide, layers.Dense(10)(layers.Concatenate()(branches)))
    joined.compile("adam", "mse")
    x4, y4 = rng.random((3_200, 64), np.float32), rng.random((3_200, 10))
    joined.fit(x4, y4, verbose=0)
    yield "four branches, a step", lambda: joined.fit(x4, y4, 32, 2, verbose=0), 200
    yield "dropout, a step", *steps_of(layers.Dense(32, "relu"), layers.Dropout(0.3))


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
    print(f"{report.caption(machine.describe())}\n")
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
