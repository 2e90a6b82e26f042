"""What a benchmark ran on: CPU, versions, commit."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("hotloop", "numpy", "numba", "torch", "jax", "keras", "scikit-learn")
_INSTRUCTION_SETS = ("avx", "avx2", "fma", "avx512f", "avx512bw", "amx_tile", "asimd", "sve")
# A run may write its results into the repository that it measures.
_MEASURED = (":(top)", ":(top,exclude)benchmarks/results")


def describe() -> dict[str, Any]:
    """Machine, versions, commit and date, as JSON takes them."""
    cpu = _cpu()
    return {
        "cpu": cpu.get("model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "usable_cores": _usable_cores(),
        "isa": [name for name in _INSTRUCTION_SETS if name in _flags(cpu)],
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "keras_backend": os.environ.get("KERAS_BACKEND", "jax"),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--", *_MEASURED)),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _cpu() -> dict[str, str]:
    """What Linux says about the first CPU; empty elsewhere."""
    file = Path("/proc/cpuinfo")
    if not file.exists():
        return {}
    lines = file.read_text().partition("\n\n")[0].splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _flags(cpu: dict[str, str]) -> set[str]:
    """Feature flags, under x86's name or Arm's."""
    return set((cpu.get("flags") or cpu.get("Features") or "").split())


def _usable_cores() -> int | None:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _version(package: str) -> str | None:
    """Installed version."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """What git prints about this repository; None without one."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
