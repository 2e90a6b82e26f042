"""``hotloop profile``."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from ..files.whole import text_written_whole
from .options import at_least_one
from .outputs import check_outputs

DESCRIPTION = (
    "Time every kernel on every backend, beside what this machine can do. Let the machine be idle "
    "meanwhile."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may follow the command."""
    add = parser.add_argument
    add("--kernels", nargs="+", default=(), metavar="NAME", help="these only, or groups of them")
    add("--quick", action="store_true", help="two shapes of each, fewer repeats")
    add("--threads", type=at_least_one, metavar="N", help="default: all that may be used")
    add("--json", type=Path, metavar="FILE", help="write every number")
    add("--html", type=Path, metavar="FILE", help="write a page with a chart and a table")
    add("--plot", type=Path, metavar="FILE.png", help="write the chart (needs Matplotlib)")


def run(options: argparse.Namespace) -> None:
    """Time the kernels, print the table, write the files."""
    from ..profiling import html, plot
    from ..profiling.kernels import profile_kernels

    check_outputs({f"--{name}": getattr(options, name) for name in ("json", "html", "plot")})
    if options.plot:
        plot.check(options.plot)
    profile = profile_kernels(
        options.kernels, quick=options.quick, threads=options.threads, progress=True
    )
    print(profile.table(shutil.get_terminal_size(fallback=(100, 24)).columns))
    if options.json:
        with text_written_whole(options.json) as file:
            file.write(json.dumps(profile.to_dict(), indent=1) + "\n")
    if options.html:
        with text_written_whole(options.html) as file:
            file.write(html.page(profile))
    if options.plot:
        plot.save(profile, options.plot)
