"""Train the seed jobs with hotloop and its peers, side by side, and print a table.

python benchmarks/run.py [--cases mlp128 S0] [--peers hotloop torch-fused] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

import cases
import machine
from peers import PEERS, limit_threads

REFERENCE = "hotloop"
QUICK_ROWS = 2_000
# Thread pools spin for a moment after their last task; the next peer must not feel it.
PAUSE_SECONDS = 0.05

Results = list[dict[str, Any]]


class PeerError(Exception):
    """A peer that could not train a case."""


class Worker:
    """The process in which one peer trains one case."""

    def __init__(self, peer: str, case: cases.Case, folder: str, threads: int) -> None:
        self.peer = peer
        self._errors: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115
        script = Path(__file__).with_name("worker.py")
        words = [peer, case.name, folder, str(case.epochs), str(threads)]
        self._process = subprocess.Popen(
            [sys.executable, str(script), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=limit_threads(threads),
        )

    def ready(self) -> None:
        """Wait until the model is built."""
        self._answer()

    def ask(self, command: str) -> Any:
        """Send a command and wait for the answer."""
        assert self._process.stdin is not None
        try:
            print(command, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise PeerError(self._last_words()) from None
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _answer(self) -> Any:
        """The next line that the worker sends."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(self._last_words())
        return json.loads(line)

    def _last_words(self) -> str:
        """Last line of the worker's errors."""
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().split("\n")
        return next((line for line in reversed(lines) if line.strip()), "no message")


def measure(case: cases.Case, peers: Sequence[str], options: argparse.Namespace) -> dict[str, Any]:
    """Times and losses of one case: a warm-up, then timings in turn, then the loss."""
    data = cases.load(case, QUICK_ROWS if options.quick else None)
    seconds: dict[str, list[float]] = {peer: [] for peer in peers}
    losses: dict[str, float | None] = {}
    failures: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/x.npy", data.x)
        np.save(f"{folder}/y.npy", data.y)
        workers: list[Worker] = []

        def attempt(worker: Worker, command: str) -> Any:
            """The worker's answer; a worker that fails takes no further part."""
            try:
                return worker.ready() if command == "ready" else worker.ask(command)
            except PeerError as error:
                failures[worker.peer] = str(error)
                return None

        try:
            for peer in peers:
                workers.append(Worker(peer, case, folder, options.threads))
                attempt(workers[-1], "ready")
            for timing in range(1 + options.epochs):
                for worker in workers:
                    if worker.peer in failures:
                        continue
                    time.sleep(PAUSE_SECONDS)
                    taken = attempt(worker, "train")
                    if timing > 0 and taken is not None:
                        seconds[worker.peer].append(taken)
            for worker in workers:
                if worker.peer not in failures:
                    losses[worker.peer] = attempt(worker, "loss")
        finally:
            for worker in workers:
                worker.close()
    steps = case.steps(len(data.x))
    results = {
        peer: {
            "us_per_step": 1e6 * statistics.median(seconds[peer]) / steps,
            "seconds": seconds[peer],
            "loss": losses[peer],
        }
        for peer in peers
        if peer not in failures
    }
    return {
        "case": asdict(case),
        "data": data.source,
        "rows": len(data.x),
        "steps_per_timing": steps,
        "peers": _with_ratios(results),
        "failures": failures,
    }


def _with_ratios(results: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Results with each peer's time over hotloop's."""
    own = results.get(REFERENCE)
    for result in results.values():
        result["ratio"] = result["us_per_step"] / own["us_per_step"] if own else None
    return results


def table(results: Results, peers: Sequence[str]) -> str:
    """Markdown: microseconds a step and, for peers, times hotloop's; then the losses."""
    head = ["case", "data", *peers, "best peer / hotloop"]
    times = [[_name(r), r["data"], *(_time(r, peer) for peer in peers), _best(r)] for r in results]
    losses = [[_name(r), *(_loss(r, peer) for peer in peers)] for r in results]
    return (
        "Microseconds a training step (times hotloop's):\n\n"
        + _markdown(head, times)
        + "\n\nTraining loss after the same number of epochs:\n\n"
        + _markdown(["case", *peers], losses)
    )


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _name(result: dict[str, Any]) -> str:
    """A case, its shape and batch."""
    case = result["case"]
    widths = "-".join(map(str, (cases.FEATURES[case["data"]], *case["units"])))
    return f"{case['name']} ({case['job']}) {widths}, batch {case['batch_size']}"


def _time(result: dict[str, Any], peer: str) -> str:
    """One peer's time."""
    if peer in result["failures"]:
        return "failed"
    own = result["peers"][peer]
    ratio = "" if own["ratio"] is None or peer == REFERENCE else f" ({own['ratio']:.2f}x)"
    time_us = own["us_per_step"]
    return f"{time_us:,.0f}{ratio}" if time_us >= 100 else f"{time_us:.3g}{ratio}"


def _best(result: dict[str, Any]) -> str:
    """The ratio that counts: of the fastest peer."""
    ratios = [r["ratio"] for peer, r in result["peers"].items() if peer != REFERENCE and r["ratio"]]
    return f"{min(ratios):.2f}x" if ratios else "-"


def _loss(result: dict[str, Any], peer: str) -> str:
    """One peer's final training loss."""
    loss = result["peers"].get(peer, {}).get("loss")
    return "-" if loss is None else f"{loss:.4f}"


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
    add("--threads", type=int, default=os.cpu_count(), help="of every library (default: all cores)")
    add("--epochs", type=int, default=3, help="timings a peer, after one warm-up (default: 3)")
    add("--json", type=Path, metavar="FILE", help="also write all figures and the machine")
    add("--quick", action="store_true", help="few rows, one timing: shows that all of it works")
    chosen = parser.parse_args()
    if chosen.threads < 1 or chosen.epochs < 1:
        parser.error("--threads and --epochs must be at least 1")
    if chosen.quick:
        chosen.epochs = 1
    try:
        chosen.cases = [cases.find(name) for name in chosen.cases]
    except ValueError as error:
        parser.error(str(error))
    return chosen


def main() -> None:
    """Measure every chosen case and print the tables."""
    chosen = options()
    peers = [peer for peer in chosen.peers if PEERS[peer].installed()]
    for peer in chosen.peers:
        if peer not in peers:
            print(f"{peer} is not installed", file=sys.stderr)
    results: Results = []
    for case in chosen.cases:
        print(f"{case.name} ...", file=sys.stderr)
        results.append(measure(cases.shortened(case) if chosen.quick else case, peers, chosen))
        for peer, message in results[-1]["failures"].items():
            print(f"{case.name}: {peer} failed: {message}", file=sys.stderr)
    about = machine.describe()
    print(
        f"{about['cpu']}, {chosen.threads} threads, Python {about['python']}, "
        f"commit {(about['commit'] or 'none')[:12]}{' + changes' if about['dirty'] else ''}\n"
    )
    print(table(results, peers))
    if chosen.json:
        record = {"machine": about, "threads": chosen.threads, "quick": chosen.quick}
        chosen.json.write_text(json.dumps(record | {"results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
