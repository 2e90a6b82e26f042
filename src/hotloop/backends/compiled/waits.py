"""Before which steps the threads of a team wait for each other.

Threads walk the steps of a plan together, each doing its share of every step. They wait only where
a step touches bytes that another thread wrote or read since the last wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

# Bytes from a start to an end, and into how many pieces an example of them is cut where each thread
# touches its own pieces alone, else 0: a thread meets only itself in the same bytes that are cut
# alike.
Access = tuple[int, int, int]

# Stands for the bytes that say whether the loss is finite.
VERDICT: Access = (-1, 0, 0)


@dataclass
class Touched:
    """What a step reads and writes, and whether it decides if the run goes on.

    Examples
    --------
    >>> step = Touched(reads=[(0, 64, 1)], writes=[(64, 128, 1)])
    >>> step.decides
    False
    """

    reads: list[Access] = field(default_factory=list)
    writes: list[Access] = field(default_factory=list)
    decides: bool = False


def waits(steps: Sequence[Touched], left_out: int = -1) -> list[tuple[bool, bool]]:
    """Which steps the team waits before, and where after that the verdict on the loss is known.

    Parameters
    ----------
    steps : sequence of Touched
        In order.
    left_out : int
        A step that is not done, if there is one.

    Returns
    -------
    list of (bool, bool)
        For each step: wait, verdict.

    Examples
    --------
    The second step reads what the first wrote, each thread what it wrote itself; the third is cut
    by examples, no longer by their four rows.

    >>> rows, examples = (0, 64, 4), (0, 64, 1)
    >>> waits([Touched(writes=[rows]), Touched(reads=[rows]), Touched(reads=[examples])])
    [(False, False), (False, False), (True, False)]
    """
    read: list[Access] = []
    written: list[Access] = []
    undecided = False
    found = []
    for at, step in enumerate(steps):
        if at == left_out:
            found.append((False, False))
            continue
        wait = _meet(step.reads, written) or _meet(step.writes, written) or _meet(step.writes, read)
        if wait:
            read, written = [], []
        read += step.reads
        written += step.writes
        verdict = undecided and wait and not step.decides
        if verdict:
            read.append(VERDICT)
        undecided = (undecided or step.decides) and not verdict
        found.append((wait, verdict))
    return found


def _meet(these: Sequence[Access], those: Sequence[Access]) -> bool:
    return any(
        one[0] < other[1] and other[0] < one[1] and not (one == other and one[2])
        for one in these
        for other in those
    )
