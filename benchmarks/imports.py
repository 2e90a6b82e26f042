"""What an import costs: NumPy's alone, then hotloop's and others' on top of it.

    python benchmarks/imports.py [--rounds 30] [--json FILE] [--quick]

Each import runs in a process of its own, in turns, so that a noisy minute hits all alike. The time
is that of the import statement, without Python's own start; NumPy is there before the others. The
first round, which writes the bytecode that an installation has, is not counted.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from typing import Any

import machine
import report

# What each row imports, and what is there before.
NUMPY = "numpy"
MODULES = {
    NUMPY: "numpy",
    "hotloop": "hotloop",
    "torch": "torch",
    "keras": "keras",
    "scikit-learn's MLP": "sklearn.neural_network",
}
PROGRAM = """
import json, sys, time
before = set(sys.modules)
started = time.perf_counter()
import {module}
seconds = time.perf_counter() - started
print(json.dumps([seconds, len(set(sys.modules) - before)]))
"""


def measure(name: str) -> tuple[float, int]:
    """Seconds of an import in a new process, and the modules that it adds."""
    program = PROGRAM.format(module=MODULES[name])
    if name != NUMPY:
        program = f"import numpy\n{program}"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds, modules = json.loads(answer.stdout.splitlines()[-1])
    return seconds, modules


def in_turns(names: list[str], rounds: int) -> dict[str, Any]:
    """Milliseconds of every round, and how many modules, by what is imported."""
    results: dict[str, Any] = {name: {"ms": []} for name in names}
    for number in range(1 + rounds):
        for name in list(results):
            try:
                seconds, results[name]["modules"] = measure(name)
            except subprocess.CalledProcessError:
                print(f"{name} cannot be imported", file=sys.stderr)
                del results[name]
                continue
            if number:
                results[name]["ms"].append(1e3 * seconds)
    return results


def table(results: dict[str, Any]) -> str:
    """Markdown: the median and the fastest round."""
    rows = [
        [
            name if name == NUMPY else f"{name}, after NumPy",
            report.number(statistics.median(result["ms"])),
            report.number(min(result["ms"])),
            str(result["modules"]),
        ]
        for name, result in results.items()
    ]
    return report.table(["import", "ms", "fastest", "modules"], rows)


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="what an import costs")
    add = parser.add_argument
    add("--rounds", type=int, default=30, help="imports of each (default: 30)")
    add("--json", type=report.output, metavar="FILE", help="also write all figures")
    add("--quick", action="store_true", help="one import of each: shows that all of it works")
    chosen = parser.parse_args()
    if chosen.rounds < 1:
        parser.error("--rounds must be at least 1")
    if chosen.quick:
        chosen.rounds = 1
    return chosen


def main() -> None:
    """Import everything that is installed in turns and report."""
    chosen = options()
    about = machine.describe()
    packages = {name: module.partition(".")[0] for name, module in MODULES.items()}
    installed = [name for name, package in packages.items() if importlib.util.find_spec(package)]
    results = in_turns(installed, chosen.rounds)
    versions = (f"{name} {version}" for name, version in about["packages"].items())
    print(f"{report.caption(about)}\n\n{', '.join(versions)}\n\n{table(results)}")
    if chosen.json:
        report.save(chosen.json, quick=chosen.quick, results=results)


if __name__ == "__main__":
    main()
