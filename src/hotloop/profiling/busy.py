"""Whether other programs kept the machine busy while something was timed.

Nothing can undo what they cost, so the profiles say so, wherever their numbers are shown.
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ADVICE = "Times may be too long and gains wrong: measure again on an idle machine."

# Above these the machine is called busy. An idle one stays below a quarter of each.
_OTHERS = 0.25  # of all cores
_INTERRUPTIONS = 30.0  # a second
_STOLEN = 0.05  # of all cores' time
_SLOWDOWN = 1.25

_LOOP = range(3000)  # summed up in 20 to 60 us
_ENDS_SECONDS = 0.01  # of loops at the start and at the end
_LOOK_SECONDS = 2e-4  # and at each look between them


@dataclass(frozen=True)
class Busyness:
    """What else went on while something was timed; 0, or 1 of `slowdown`, where nobody tells.

    Attributes
    ----------
    cores : int
        Of the machine.
    others : float
        Cores that other programs kept busy, on average (Linux).
    interruptions : float
        Times a second that the timing thread was taken off its core, or on systems that count
        only whole processes any thread of this one.
    stolen : float
        Part of the cores' time that a hypervisor gave to other machines (Linux).
    slowdown : float
        Mean over fastest time of a loop of fixed work, run again and again.

    Examples
    --------
    >>> Busyness(cores=2).warning
    ''
    >>> Busyness(cores=2, others=1.5).reasons
    ['other programs used 1.5 of 2 cores']
    """

    cores: int
    others: float = 0.0
    interruptions: float = 0.0
    stolen: float = 0.0
    slowdown: float = 1.0

    @property
    def reasons(self) -> list[str]:
        """Why the machine is called busy; none for one that was idle."""
        found = []
        if self.others > _OTHERS * self.cores:
            found.append(f"other programs used {self.others:.1f} of {self.cores} cores")
        if self.interruptions > _INTERRUPTIONS:
            found.append(f"the timing was interrupted {self.interruptions:.0f} times a second")
        if self.stolen > _STOLEN:
            found.append(f"the hypervisor took {self.stolen:.0%} of the time")
        if self.slowdown > _SLOWDOWN:
            found.append(f"a loop of fixed work took {self.slowdown:.1f} times its best time")
        return found

    @property
    def warning(self) -> str:
        """A sentence for whoever reads the times; empty for a machine that was idle."""
        reasons = ", ".join(self.reasons)
        return f"The machine was busy: {reasons}. {ADVICE}" if reasons else ""

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON takes it."""
        return asdict(self) | {"busy": bool(self.reasons)}


class Watch:
    """Watches the machine from its making to `stop`."""

    def __init__(self) -> None:
        self._loops: list[float] = []
        self._begin = _Counters.now()
        self.look(_ENDS_SECONDS)

    def look(self, seconds: float = _LOOK_SECONDS) -> None:
        """Runs the loop of fixed work for so long, once at least."""
        start = now = time.perf_counter()
        while now - start < seconds or now == start:
            sum(_LOOP)
            before, now = now, time.perf_counter()
            self._loops.append(now - before)

    def stop(self) -> Busyness:
        """What went on since."""
        self.look(_ENDS_SECONDS)
        return _busyness(self._begin, _Counters.now(), self._loops)


@dataclass(frozen=True)
class _Counters:
    """What the system has counted so far; seconds are those of all cores together."""

    elapsed: float
    own: float  # seconds of this process
    interruptions: int
    worked: float = 0.0  # seconds of all programs
    stolen: float = 0.0
    passed: float = 0.0  # worked, idle and stolen

    @classmethod
    def now(cls) -> _Counters:
        """At this moment."""
        counts = (time.perf_counter(), time.process_time(), _interruptions())
        return cls(*counts, *_system_seconds())


def _busyness(begin: _Counters, end: _Counters, loops: list[float]) -> Busyness:
    """What went on between two readings."""
    elapsed = max(end.elapsed - begin.elapsed, 1e-9)
    passed = end.passed - begin.passed
    others = end.worked - begin.worked - (end.own - begin.own)
    return Busyness(
        cores=os.cpu_count() or 1,
        others=max(0.0, others / elapsed) if passed else 0.0,
        interruptions=(end.interruptions - begin.interruptions) / elapsed,
        stolen=(end.stolen - begin.stolen) / passed if passed else 0.0,
        slowdown=sum(loops) / len(loops) / min(loops),
    )


def _interruptions() -> int:
    """How often this thread, or else this process, had to leave a core; 0 if nobody counts."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    whose = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)
    return resource.getrusage(whose).ru_nivcsw


def _system_seconds(file: Path = Path("/proc/stat")) -> tuple[float, float, float]:
    """Seconds that all cores worked, that were stolen, and that passed; zeros if nobody tells."""
    try:
        _, *ticks = file.read_text().split("\n", 1)[0].split()
        user, nice, system, idle, wait, interrupts, soft, stolen = map(int, ticks[:8])
        second = os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return 0.0, 0.0, 0.0
    worked = user + nice + system + interrupts + soft
    return worked / second, stolen / second, (worked + stolen + idle + wait) / second
