"""Train the seed jobs with hotloop and its peers, side by side; print tables, draw a chart.

python benchmarks/run.py [--cases mlp128 S0] [--peers hotloop torch-fused] [--threads 1 2]
    [--json FILE] [--chart FILE.png]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import cases
import floors
import machine
import report
from peers import PEERS
from turns import Turns

REFERENCE = "hotloop"
QUICK_ROWS = 2_000
WORKER = Path(__file__).with_name("worker.py")

Result = dict[str, Any]


def measure(
    case: cases.Case, peers: Sequence[str], threads: int, timings: int, rows: int
) -> Result:
    """Times, losses and floor of one case on at most so many rows."""
    data = cases.load(case, rows)
    with tempfile.TemporaryDirectory() as folder, Turns() as turns:
        np.save(f"{folder}/x.npy", data.x)
        np.save(f"{folder}/y.npy", data.y)
        for peer in peers:
            words = [peer, case.name, folder, str(case.epochs), str(threads)]
            turns.start(peer, WORKER, words, threads)
        turns.ask("train")
        losses = turns.ask("loss")  # now that all have trained for the same number of epochs
        seconds = turns.rounds("time", timings)
    steps = case.steps(len(data.x))
    result: Result = {
        "case": asdict(case),
        "data": data.source,
        "rows": len(data.x),
        "steps_per_timing": steps,
        "peers": {
            peer: {
                "us_per_step": 1e6 * statistics.median(seconds[peer]) / steps,
                "seconds": seconds[peer],
                "ratio": _ratio(seconds, peer),
                "loss": losses[peer],
            }
            for peer in losses
        },
        "failures": turns.failures,
    }
    return result | _verdict(result["peers"], case.target(threads))


def _ratio(seconds: dict[str, list[float]], peer: str) -> float | None:
    """How many times hotloop's time a peer takes: median over the rounds."""
    if REFERENCE not in seconds or peer == REFERENCE:
        return None
    pairs = zip(seconds[peer], seconds[REFERENCE], strict=True)
    return statistics.median(theirs / ours for theirs, ours in pairs)


def _verdict(peers: dict[str, Result], target: float | None) -> Result:
    """The ratio that counts, that of the fastest peer, and whether it reaches the target."""
    ratios = [result["ratio"] for result in peers.values() if result["ratio"]]
    best = min(ratios, default=None)
    met = None if best is None or target is None else best >= target
    return {"best_ratio": best, "target": target, "target_met": met}


def with_floor(result: Result, floor: floors.Floor) -> Result:
    """A result with its floor, and how much of hotloop's time that is."""
    own = result["peers"].get(REFERENCE)
    share = 1e8 * floor.seconds / own["us_per_step"] if own else None
    return result | {"floor": floor.record(), "percent_of_floor": share}


def tables(results: Sequence[Result], peers: Sequence[str]) -> str:
    """Markdown: microseconds a step and times hotloop's; the verdict; the losses."""
    times = [[_name(r), r["data"], *(_time(r, peer) for peer in peers)] for r in results]
    verdicts = [[_name(r), *_judged(r)] for r in results]
    losses = [[_name(r), *(_loss(r, peer) for peer in peers)] for r in results]
    return "\n\n".join(
        (
            "Microseconds a training step (times hotloop's):",
            report.table(["case", "data", *peers], times),
            "The ratio that counts, and the floor:",
            report.table(
                ["case", "best peer / hotloop", "target", "", "floor, us", "percent of floor"],
                verdicts,
            ),
            "Training loss after the same number of epochs:",
            report.table(["case", *peers], losses),
        )
    )


def _name(result: Result) -> str:
    """A case, its shape and batch."""
    case = result["case"]
    widths = "-".join(map(str, (cases.FEATURES[case["data"]], *case["units"])))
    return f"{case['name']} ({case['job']}) {widths}, batch {case['batch_size']}"


def _time(result: Result, peer: str) -> str:
    """One peer's time."""
    if peer in result["failures"]:
        return "failed"
    own = result["peers"][peer]
    ratio = f" ({own['ratio']:.2f}x)" if own["ratio"] else ""
    return report.number(own["us_per_step"]) + ratio


def _judged(result: Result) -> list[str]:
    """Best ratio, target, whether it is met, floor, percent of floor."""
    best, target, met = (result[key] for key in ("best_ratio", "target", "target_met"))
    share = result["percent_of_floor"]
    return [
        f"{best:.2f}x" if best else "-",
        f"{target:g}x" if target else "-",
        {None: "-", True: "met", False: "not met"}[met],
        report.number(1e6 * result["floor"]["seconds"]),
        f"{share:.0f}%" if share else "-",
    ]


def _loss(result: Result, peer: str) -> str:
    """One peer's final training loss."""
    loss = result["peers"].get(peer, {}).get("loss")
    return "-" if loss is None else f"{loss:.4f}"


def run(chosen: argparse.Namespace, peers: Sequence[str], threads: int) -> dict[str, Any]:
    """Every chosen case on so many threads."""
    from hotloop.profiling import roof as roofs

    roof = roofs.measure(threads)
    results = []
    for case in chosen.cases:
        print(f"{report.threads(threads)}, {case.name} ...", file=sys.stderr)
        short = cases.shortened(case) if chosen.quick else case
        rows = QUICK_ROWS if chosen.quick else cases.ROWS[case.data]
        result = measure(short, peers, threads, chosen.epochs, rows)
        results.append(with_floor(result, floors.floor(short, result["rows"], roof)))
        for peer, message in result["failures"].items():
            print(f"{case.name}: {peer} failed: {message}", file=sys.stderr)
    return {"threads": threads, "roof": asdict(roof), "results": results}


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="hotloop and its peers, side by side")
    add = parser.add_argument
    add("--cases", nargs="+", default=[case.name for case in cases.CASES], metavar="CASE")
    add(
        "--peers",
        nargs="+",
        default=list(PEERS),
        choices=PEERS,
        metavar="PEER",
        help=", ".join(PEERS),
    )
    add(
        "--threads",
        nargs="+",
        type=int,
        default=[os.cpu_count() or 1],
        help="of every library; several numbers: one run each (default: all cores)",
    )
    add("--epochs", type=int, default=3, help="timings a peer, after one warm-up (default: 3)")
    add("--json", type=report.output, metavar="FILE", help="also write all figures")
    add(
        "--chart", type=report.output, metavar="FILE", help="also draw ratios: FILE.png or FILE.svg"
    )
    add("--quick", action="store_true", help="few rows, one timing: shows that all of it works")
    chosen = parser.parse_args()
    if min(chosen.threads) < 1 or chosen.epochs < 1:
        parser.error("--threads and --epochs must be at least 1")
    chosen.threads = list(dict.fromkeys(chosen.threads))
    if chosen.quick:
        chosen.epochs = 1
    try:
        chosen.cases = [cases.find(name) for name in chosen.cases]
    except ValueError as error:
        parser.error(str(error))
    return chosen


def main() -> None:
    """Measure every chosen case on each number of threads and report."""
    chosen = options()
    peers = [peer for peer in chosen.peers if PEERS[peer].installed()]
    for peer in chosen.peers:
        if peer not in peers:
            print(f"{peer} is not installed", file=sys.stderr)
    about = report.caption(machine.describe())
    print(about)
    runs = []
    for threads in chosen.threads:
        runs.append(run(chosen, peers, threads))
        print(f"\n## {report.threads(threads)}\n\n{tables(runs[-1]['results'], peers)}", flush=True)
    if chosen.json:
        report.save(chosen.json, quick=chosen.quick, runs=runs)
    if chosen.chart:
        import charts

        charts.ratios(runs, peers, about, chosen.chart)


if __name__ == "__main__":
    main()
