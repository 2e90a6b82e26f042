"""How every script reports: Markdown tables, a line about the machine, a JSON file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import machine


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float) -> str:
    """Three digits, more before the point if there are more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def threads(count: int) -> str:
    """A number of threads in words."""
    return "1 thread" if count == 1 else f"{count} threads"


def caption(about: dict[str, Any]) -> str:
    """Machine, versions and commit in one line."""
    commit = (about["commit"] or "none")[:12] + (" + changes" if about["dirty"] else "")
    cpu = " ".join([about["cpu"], f"({', '.join(about['isa'])})" if about["isa"] else ""]).strip()
    return (
        f"{cpu}, {about['usable_cores']} cores, Python {about['python']}, "
        f"commit {commit}, {about['date'][:10]}"
    )


def output(text: str) -> Path:
    """A file of the command line that can be written: said before the measuring, not after it."""
    file = Path(text)
    if not file.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {file.parent}")
    return file


def options(
    description: str, rounds: int, what: str, quick: int, on_threads: str = ""
) -> argparse.Namespace:
    """The command line of what is timed in rounds, in one process."""
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--threads", type=int, default=1, help=f"default: 1{on_threads}")
    add("--rounds", type=int, default=rounds, help=f"{what} (default: {rounds})")
    add("--json", type=output, metavar="FILE", help="also write all figures")
    add("--quick", action="store_true", help=f"{quick} rounds: shows that all of it works")
    chosen = parser.parse_args()
    if chosen.threads < 1 or chosen.rounds < 1:
        parser.error("--threads and --rounds must be at least 1")
    if chosen.quick:
        chosen.rounds = quick
    return chosen


def save(file: Path, **figures: Any) -> None:
    """Write figures, and what they were measured on."""
    record = {"machine": machine.describe(), **figures}
    file.write_text(json.dumps(record, indent=1) + "\n")
