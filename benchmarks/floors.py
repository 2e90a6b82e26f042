"""The floor of a training step: what this machine needs for its arithmetic and its bytes alone.

python benchmarks/floors.py [--cases mlp128] [--threads 1 2]

``floor = operations / peak + sum of bytes / bandwidth``, with the peak of multiply-adds and the
bandwidth of each level of memory as measured on this machine, on as many threads.

Operations, two for a multiply-add, of an average batch of B rows:

- products: ``2 B i o`` for each product of a layer with i inputs and o units. There are three
  of them (forward, weight gradient, input gradient), and no input gradient in the first layer;
- update: those of the optimizer for each weight (`UPDATE`), a root or a division as one.

Bytes, each kind in the smallest level of memory that holds all of it:

- weights and the optimizer's slots: read once and written once;
- rows: gathered once from the data set;
- activations: what each product reads and writes of the batch, save the rows' first reading.

It is a floor for code that either computes or moves bytes: what overlaps the two can come
under it. It counts no activation function, no loss, no metric, no labels, no indices and no
call, so small cases, which have little else, stay far above theirs.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import cases
import report

if TYPE_CHECKING:
    from hotloop.profiling.roof import Roof

FLOAT = 4


@dataclass(frozen=True)
class Rule:
    """What an optimizer does to one weight: its operations, and the numbers that it keeps."""

    operations: int
    slots: int


UPDATE = {
    # m += (g - m)(1 - b1); v += (g g - v)(1 - b2); w -= rate m / (sqrt(v) + epsilon)
    "adam": Rule(operations=12, slots=2),
    # w -= rate g
    "sgd": Rule(operations=2, slots=0),
}


@dataclass(frozen=True)
class Floor:
    """Seconds of an average step, by part, and what they were computed from.

    Attributes
    ----------
    flops : dict of float
        Operations: ``products``, ``update``.
    nbytes : dict of float
        Bytes that move: ``weights``, ``rows``, ``activations``.
    level : dict of str
        Where those bytes live.
    parts : dict of float
        Seconds of each of these.
    """

    flops: dict[str, float]
    nbytes: dict[str, float]
    level: dict[str, str]
    parts: dict[str, float]

    @property
    def seconds(self) -> float:
        """The whole floor."""
        return sum(self.parts.values())

    def record(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {**asdict(self), "seconds": self.seconds}


def floor(case: cases.Case, rows: int, roof: Roof) -> Floor:
    """The floor of a case's average step, the short last batch included."""
    batch = rows * case.epochs / case.steps(rows)
    layers = list(zip(case.widths, case.units, strict=False))
    first = layers[0]
    weights = sum(i * o + o for i, o in layers)
    rule = UPDATE[case.optimizer]
    products = sum((2 if layer is first else 3) * layer[0] * layer[1] for layer in layers)
    flops = {"products": 2 * batch * products, "update": float(weights * rule.operations)}

    state = FLOAT * weights * (1 + rule.slots)
    # A product reads one side of its layer and writes the other; the weight gradient reads both.
    moved = sum((2 if layer is first else 3) * sum(layer) for layer in layers) - first[0]
    kept = sum(case.widths) + sum(case.units)
    nbytes = {
        "weights": 2.0 * state,
        "rows": FLOAT * batch * first[0],
        "activations": FLOAT * batch * moved,
    }
    live = {
        "weights": state,
        "rows": FLOAT * rows * first[0],
        "activations": FLOAT * batch * kept,
    }
    level = {part: roof.level(size) for part, size in live.items()}
    parts = {part: count / (roof.gflops * 1e9) for part, count in flops.items()}
    parts |= {p: nbytes[p] / (roof.bandwidth[level[p]] * 1e9) for p in nbytes}
    return Floor(flops, nbytes, level, parts)


def table(floors: dict[str, Floor]) -> str:
    """Markdown: microseconds of each part, and where its bytes live."""
    first = next(iter(floors.values()))
    rows = [
        [
            name,
            *(_part(one, part) for part in first.parts),
            report.number(1e6 * one.seconds),
        ]
        for name, one in floors.items()
    ]
    return report.table(["case", *first.parts, "floor, us"], rows)


def _part(one: Floor, part: str) -> str:
    """Microseconds of a part, and its level if it is bytes."""
    level = f" ({one.level[part]})" if part in one.level else ""
    return report.number(1e6 * one.parts[part]) + level


def main() -> None:
    """Measure the roof and print each case's floor."""
    from hotloop.profiling import roof as roofs

    parser = argparse.ArgumentParser(description="floors of the seed jobs on this machine")
    names = [case.name for case in cases.CASES]
    parser.add_argument("--cases", nargs="+", default=names, metavar="CASE")
    parser.add_argument("--threads", nargs="+", type=int, default=[os.cpu_count() or 1])
    chosen = parser.parse_args()
    for threads in chosen.threads:
        roof = roofs.measure(threads)
        found = map(cases.find, chosen.cases)
        floors = {case.name: floor(case, cases.ROWS[case.data], roof) for case in found}
        bandwidths = ", ".join(f"{level} {gb:.3g}" for level, gb in roof.bandwidth.items())
        print(f"{report.threads(threads)}: {roof.gflops:.4g} GFLOP/s, GB/s: {bandwidths}\n")
        print(table(floors) + "\n")


if __name__ == "__main__":
    main()
