"""``hotloop info``."""

from __future__ import annotations

import argparse

from .. import config

DESCRIPTION = (
    "Show the backend, CPU, threads and versions, and the ops that the best backend does not serve."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may follow the command."""
    parser.add_argument("--all", action="store_true", help="show what serves every op, and why")


def run(options: argparse.Namespace) -> None:
    """Print the configuration."""
    print("\n".join(config.report(every_op=options.all)))
