"""The matrix products of training, by hotloop, NumPy (OpenBLAS) and PyTorch in turn.

python benchmarks/products.py [--threads 1 2] [--rounds 5] [--json FILE]

For every layer of the seed jobs, at batch 1, the job's own and 256, the three products of
training (x: batch by inputs, w: inputs by units, dy: batch by units):

- ``forward``: x w
- ``weights``: x^T dy, the weight gradient
- ``inputs``: dy w^T, the input gradient

square products of 256 to 2,048, and the products of two values that attention is made of, of 32
examples with four heads each, T steps and heads of h numbers:

- ``scores``: (T, h) by (T, h) transposed
- ``context``: (T, T) by (T, h)
- ``keys``: (T, T) transposed by (T, h), the gradient of scores

Everybody writes into memory that is there already.

- ``hotloop`` is the product as training does it, one step of a plan: weights stand packed, and
  no Python runs. The time is `Model.profile`'s, of a layer behind another one; a penalty on its
  weights keeps the update out of the product that is their gradient.
- ``kernels`` is `hotloop.kernels.matmul`, which takes arrays as they are, as NumPy's and
  PyTorch's ``matmul`` do: one call from Python each. Many matrices go to the backend's
  ``batch_matmul``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import cases
import machine
import report
import turns

FORWARD, WEIGHTS, INPUTS = "forward", "weights", "inputs"
SCORES, CONTEXT, KEYS = "scores", "context", "keys"
HOTLOOP, KERNELS, NUMPY, TORCH = "hotloop", "kernels", "numpy", "torch"
LIBRARIES = (HOTLOOP, KERNELS, NUMPY, TORCH)
OTHERS = (NUMPY, TORCH)
BATCHES = (1, 256)
SQUARES = (256, 512, 1024, 2048)
MATRICES = 32 * 4
STEPS = (64, 128, 256)
HEADS = (16, 32, 64, 128)
# Hotloop's may be this much slower than another's before the table says so.
NOISE = 0.05
TIMING_SECONDS = 0.01

Call = Callable[[], Any]


@dataclass(frozen=True)
class Product:
    """One product of a dense layer, or of so many matrices: (batch, inputs) by (inputs, units)."""

    kind: str
    batch: int
    inputs: int
    units: int
    matrices: int = 1

    @property
    def flops(self) -> int:
        """Operations, two for a multiply-add."""
        return 2 * self.matrices * self.batch * self.inputs * self.units

    def __str__(self) -> str:
        return f"{self.kind} {self.batch} {self.inputs} {self.units} {self.matrices}"


def products(*, quick: bool) -> list[Product]:
    """What is measured: of each layer that a job has, squares, and attention."""
    shapes = {
        (batch, inputs, units)
        for case in cases.CASES
        for inputs, units in zip(case.widths, case.units, strict=False)
        for batch in (*BATCHES, case.batch_size)
        if not quick or (batch == case.batch_size and inputs < 1024 and units < 1024)
    }
    ordered = sorted(shapes, key=lambda shape: (shape[1] * shape[2], shape))
    layers = [Product(kind, *s) for s in ordered for kind in (FORWARD, WEIGHTS, INPUTS)]
    squares = [Product(FORWARD, n, n, n) for n in SQUARES[: 1 if quick else None]]
    return layers + squares + attention(quick=quick)


def attention(*, quick: bool) -> list[Product]:
    """The products of two values, head by head."""
    return [
        Product(kind, steps, head, steps, MATRICES)
        if kind == SCORES
        else Product(kind, steps, steps, head, MATRICES)
        for steps in STEPS[: 1 if quick else None]
        for head in HEADS[: 1 if quick else None]
        for kind in (SCORES, CONTEXT, KEYS)
    ]


# ------------------------------------------------------------------- one library at work


def operands(product: Product) -> tuple[Any, Any, bool, bool, tuple[int, ...]]:
    """Both arrays, which of them is transposed, and the result's shape."""
    rng = np.random.default_rng(0)
    b, i, o = product.batch, product.inputs, product.units
    lead = () if product.matrices == 1 else (product.matrices,)

    def array(*shape: int) -> Any:
        return rng.standard_normal((*lead, *shape), dtype=np.float32)

    if product.kind == SCORES:
        return array(b, i), array(o, i), False, True, (*lead, b, o)
    if product.kind == KEYS:
        return array(i, b), array(i, o), True, False, (*lead, b, o)
    if product.kind in (FORWARD, CONTEXT):
        return array(b, i), array(i, o), False, False, (*lead, b, o)
    if product.kind == WEIGHTS:
        return array(b, i), array(b, o), True, False, (i, o)
    return array(b, o), array(i, o), False, True, (b, i)


def kernels_call(product: Product) -> Call:
    from hotloop import backends, kernels

    a, b, ta, tb, shape = operands(product)
    out = np.empty(shape, np.float32)
    matmul = kernels.matmul
    if product.matrices > 1:
        matmul = backends.operations("cython")["batch_matmul"]
    return lambda: matmul(a, b, transpose_a=ta, transpose_b=tb, out=out)


def numpy_call(product: Product) -> Call:
    a, b, ta, tb, shape = operands(product)
    a, b, out = (
        a.swapaxes(-1, -2) if ta else a,
        b.swapaxes(-1, -2) if tb else b,
        np.empty(shape, np.float32),
    )
    return lambda: np.matmul(a, b, out=out)


def torch_call(product: Product) -> Call:
    import torch

    a, b, ta, tb, shape = operands(product)
    x, y = torch.from_numpy(a), torch.from_numpy(b)
    x, y, out = x.mT if ta else x, y.mT if tb else y, torch.empty(shape)
    return lambda: torch.matmul(x, y, out=out)


CALLS = {KERNELS: kernels_call, NUMPY: numpy_call, TORCH: torch_call}


def timed_call(make: Callable[[Product], Call]) -> Callable[[Product], float]:
    """The function that times a product: seconds of one call, out of many."""

    @cache
    def ready(product: Product) -> tuple[Call, int]:
        call = make(product)
        call()
        started = time.perf_counter()
        call()
        return call, max(1, round(TIMING_SECONDS / (time.perf_counter() - started)))

    def seconds(product: Product) -> float:
        call, count = ready(product)
        turns.warm_up(call)
        started = time.perf_counter()
        for _ in range(count):
            call()
        return (time.perf_counter() - started) / count

    return seconds


def plan_seconds(product: Product) -> float:
    """Seconds of a product as a step of a training plan."""
    if product.matrices > 1:
        return _dot_seconds(product)
    model, x, y, steps = _model(product.batch, product.inputs, product.units)
    ops = {FORWARD: "dense", WEIGHTS: "weight_gradient", INPUTS: "input_gradient"}
    turns.warm_up(lambda: model.profile(x, y, batch_size=product.batch, steps=steps))
    profile = model.profile(x, y, batch_size=product.batch, steps=steps)
    (row,) = [r for r in profile.rows if (r.op, r.layer) == (ops[product.kind], "measured")]
    return float(row.time_us * 1e-6)


def _dot_seconds(product: Product) -> float:
    """Seconds of the products of a layer of two inputs, with an example for each matrix."""
    model, given, y, steps = _dot(product)
    turns.warm_up(lambda: model.profile(given, y, batch_size=product.matrices, steps=steps))
    profile = model.profile(given, y, batch_size=product.matrices, steps=steps)
    (row,) = [r for r in profile.rows if r.op == "batch_matmul"]
    return float(row.time_us * 1e-6)


@cache
def _dot(product: Product) -> tuple[Any, Any, Any, int]:
    """A model of that layer, its data, and how many steps a timing needs."""
    from hotloop import Model, layers

    *given, transpose_a, transpose_b, shape = operands(product)
    inputs = [layers.Input(x.shape[1:]) for x in given]
    axes = (1 if transpose_a else 2, 2 if transpose_b else 1)
    model = Model(inputs, layers.Dot(axes)(inputs))
    model.compile("sgd", "mse")
    y = np.zeros(shape, np.float32)
    step = 1e-6 * model.profile(given, y, batch_size=product.matrices, steps=1).step_us
    return model, given, y, max(1, round(TIMING_SECONDS / step))


@cache
def _model(batch: int, inputs: int, units: int) -> tuple[Any, Any, Any, int]:
    """A model with such a layer behind another, its data, and how many steps a timing needs."""
    from hotloop import Sequential, layers

    model = Sequential(
        [
            layers.Dense(inputs, input_dim=1, name="before"),
            layers.Dense(units, kernel_regularizer="l2", name="measured"),
        ]
    )
    model.compile("sgd", "mse")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4 * batch, 1), dtype=np.float32)
    y = rng.standard_normal((4 * batch, units), dtype=np.float32)
    step = 1e-6 * model.profile(x, y, batch_size=batch, steps=1).step_us
    return model, x, y, max(1, round(TIMING_SECONDS / step))


def serve(library: str, threads: int) -> None:
    """Be one library: answer seconds for each product."""

    def prepare() -> Callable[[str], float]:
        if library == TORCH:
            import torch

            torch.set_num_threads(threads)
        measured = plan_seconds if library == HOTLOOP else timed_call(CALLS[library])

        def answer(command: str) -> float:
            kind, *sizes = command.split()
            return measured(Product(kind, *map(int, sizes)))

        return answer

    turns.serve(threads, prepare)


# ------------------------------------------------------------------------------- the run


def measure(chosen: argparse.Namespace, threads: int) -> dict[str, Any]:
    """Every product on so many threads."""
    from hotloop.profiling import roof as roofs

    roof = roofs.measure(threads)
    results = []
    with turns.Turns() as everybody:
        for library in chosen.libraries:
            words = ["serve", library, str(threads)]
            everybody.start(library, Path(__file__), words, threads)
        for product in products(quick=chosen.quick):
            print(f"{report.threads(threads)}, {product}", file=sys.stderr)
            seconds = everybody.rounds(str(product), chosen.rounds)
            results.append(_result(product, seconds, roof.gflops))
    for library, message in everybody.failures.items():
        print(f"{library} failed: {message}", file=sys.stderr)
    return {"threads": threads, "gflops": roof.gflops, "results": results}


def _result(product: Product, seconds: dict[str, list[float]], peak: float) -> dict[str, Any]:
    """Medians, and how many times hotloop's time the faster of the others takes."""
    gflops = {who: 1e-9 * product.flops / statistics.median(t) for who, t in seconds.items()}
    others = [seconds[who] for who in OTHERS if who in seconds]
    ratios = {}
    for own in (HOTLOOP, KERNELS):
        if own in seconds and others:
            ratios[own] = min(
                statistics.median(t / s for t, s in zip(other, seconds[own], strict=True))
                for other in others
            )
    return {
        "product": asdict(product),
        "seconds": seconds,
        "gflops": gflops,
        "percent_of_peak": {who: 100 * speed / peak for who, speed in gflops.items()},
        "ratios": ratios,
    }


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: GFLOP/s and percent of peak, then the ratios."""
    libraries = list(results[0]["gflops"])
    owns = list(results[0]["ratios"])
    head = ["product", "batch", "inputs", "units", "matrices", *libraries]
    head += [f"best other / {own}" for own in owns]
    rows = [
        [
            *map(str, result["product"].values()),
            *(_speed(result, library) for library in libraries),
            *(_ratio(result["ratios"][own]) for own in owns),
        ]
        for result in results
    ]
    return report.table(head, rows)


def _speed(result: dict[str, Any], library: str) -> str:
    """GFLOP/s (percent of peak)."""
    gflops, percent = result["gflops"][library], result["percent_of_peak"][library]
    return f"{report.number(gflops)} ({percent:.0f}%)"


def _ratio(ratio: float) -> str:
    """A ratio; bold where hotloop is slower by more than noise."""
    return f"**{ratio:.2f}x**" if ratio < 1 - NOISE else f"{ratio:.2f}x"


def summary(results: Sequence[dict[str, Any]]) -> str:
    """One line for each of hotloop's two forms: how often it is slower, and the mean ratio."""
    lines = []
    for own in results[0]["ratios"]:
        ratios = [result["ratios"][own] for result in results]
        slower = sum(ratio < 1 - NOISE for ratio in ratios)
        lines.append(
            f"{own}: {slower} of {len(ratios)} products are slower than the faster of the others "
            f"by more than {NOISE:.0%}; geometric mean {statistics.geometric_mean(ratios):.2f}x."
        )
    return "\n".join(lines)


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="matrix products, side by side")
    add = parser.add_argument
    add("--libraries", nargs="+", default=list(LIBRARIES), choices=LIBRARIES)
    add("--threads", nargs="+", type=int, default=[os.cpu_count() or 1])
    add("--rounds", type=int, default=5, help="timings of a product (default: 5)")
    add("--json", type=report.output, metavar="FILE", help="also write all figures")
    add("--quick", action="store_true", help="few shapes, one timing: shows that all of it works")
    chosen = parser.parse_args()
    if min(chosen.threads) < 1 or chosen.rounds < 1:
        parser.error("--threads and --rounds must be at least 1")
    chosen.threads = list(dict.fromkeys(chosen.threads))
    if chosen.quick:
        chosen.rounds = 1
    return chosen


def main() -> None:
    """Measure on each number of threads and report."""
    chosen = options()
    print(report.caption(machine.describe()))
    runs = []
    for threads in chosen.threads:
        run = measure(chosen, threads)
        runs.append(run)
        print(f"\n## {report.threads(threads)}\n\nPeak {run['gflops']:.0f} GFLOP/s.")
        print(f"{summary(run['results'])}\n\n{table(run['results'])}", flush=True)
    if chosen.json:
        report.save(chosen.json, quick=chosen.quick, runs=runs)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        main()
