"""The roofs: what this machine can do at most, measured, for the profilers to compare with."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .. import backends
from ..backends.numpy import Array

LEVELS = ("L1", "L2", "L3", "memory")

_USUAL_SIZES = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}
_MACOS_SIZES = {"L1": "hw.l1dcachesize", "L2": "hw.l2cachesize", "L3": "hw.l3cachesize"}
_LARGEST_BUFFER = 256 << 20

_BURST_BYTES = 256 << 20  # enough that starting the threads does not show

# Something else that runs on the machine is likely to leave it alone in some of the sweeps;
# there are more of them until the best two of each speed agree.
_LEAST_SWEEPS = 3
_MOST_SWEEPS = 6
_AGREEING = 0.9  # times the best
_WINDOW = 0.01  # seconds of a sweep for each speed
_LEAST_ROUNDS = 2
_MOST_ROUNDS = 100

_Job = Callable[[], object]


@dataclass(frozen=True)
class Roof:
    """What this machine reached: the most that a kernel can hope for.

    Attributes
    ----------
    gflops : float
        Peak of multiply-adds, 10^9 operations a second, a multiply-add being two.
    bandwidth : dict of str to float
        10^9 bytes a second to and from ``"L1"``, ``"L2"``, ``"L3"`` and ``"memory"``.
    threads : int
        Threads that did it together.
    sizes : dict of str to int
        Bytes of each cache, those that each core has its own of times the threads.
    dtype : str
        ``"float32"`` or ``"float64"``.
    steady : bool
        Whether each speed was reached twice, give or take 10%; if not, the machine was busy and
        can do more.
    """

    gflops: float
    bandwidth: dict[str, float]
    threads: int
    sizes: dict[str, int]
    dtype: str = "float32"
    steady: bool = True

    def level(self, nbytes: float) -> str:
        """The smallest level that holds so many bytes: a cache, or ``"memory"``."""
        return next((name for name, size in self.sizes.items() if nbytes <= size), "memory")

    def floor_seconds(self, flops: float, nbytes: float, held: float | None = None) -> float:
        """The time below which this work cannot be done.

        It is the larger of ``flops / peak`` and ``nbytes / bandwidth``, the bandwidth being
        that of the smallest level that holds all of them.

        Parameters
        ----------
        flops : float
            Floating-point operations, a multiply-add being two.
        nbytes : float
            Bytes read and written.
        held : float, optional
            Bytes of memory that they are, fewer where what is read is also written; nbytes if
            not given.

        Examples
        --------
        >>> speeds = {"L1": 100.0, "L2": 100.0, "L3": 50.0, "memory": 10.0}
        >>> roof = Roof(80.0, speeds, 1, {"L1": 32768, "L2": 1048576, "L3": 33554432})
        >>> roof.floor_seconds(flops=8e9, nbytes=1e9)  # 0.1 s of operations, 0.1 s of bytes
        0.1
        >>> roof.floor_seconds(flops=0, nbytes=1e6)
        1e-05
        """
        bandwidth = self.bandwidth[self.level(nbytes if held is None else held)]
        return 1e-9 * max(flops / self.gflops, nbytes / bandwidth)


def measure(threads: int = 1, dtype: str = "float32") -> Roof:
    """Measure what this machine can do at most; once for each process, thread count and dtype.

    - The peak is the best speed seen of a matrix product whose tile and panel stay in the
      first-level cache: the better of the compiled core's product, on its own threads, and
      NumPy's, one small product a thread. It is what good code reaches, a few percent below
      what the CPU's data sheet promises.
    - A bandwidth is the best speed seen of adding one half of a buffer to the other, over and
      over, with NumPy: two reads and a write an element, all counted. The buffer is half as
      large as the cache, or eight times the last cache for memory (256 MiB at most); threads share
      the last cache and memory. NumPy's entry into its loop, some 20 ns a pass, counts too,
      so the figure of the first-level cache is low, and a kernel that only reads can be
      faster than it. No level is taken to be slower than the next larger one.

    Cache sizes are those that the operating system reports, or 32 KiB, 1 MiB and 32 MiB where
    it reports none. All of it takes half a second, twice
    that where the sweeps disagree, and is only as good as the machine is idle meanwhile.

    Parameters
    ----------
    threads : int
        Threads that work at the same time.
    dtype : str
        ``"float32"`` or ``"float64"``.

    Returns
    -------
    Roof

    Raises
    ------
    ValueError
        If there are no threads, or the dtype is another.

    Examples
    --------
    >>> roof = measure()
    >>> roof.bandwidth["L1"] >= roof.bandwidth["memory"] > 0
    True
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ValueError(f"threads must be a whole number of at least 1, not {threads!r}")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype must be 'float32' or 'float64', not {dtype!r}")
    return _measure(threads, dtype)


@cache
def _measure(threads: int, dtype: str) -> Roof:
    caches = cache_sizes()
    sizes = _buffer_sizes(caches, threads)
    blocks = [_aligned(max(sizes.values()), dtype) for _ in range(threads)]
    peaks: list[float] = []
    speeds: dict[str, list[float]] = {name: [] for name in LEVELS}
    steady = False
    while len(peaks) < _LEAST_SWEEPS or (len(peaks) < _MOST_SWEEPS and not steady):
        peaks.append(max(_numpy_peak(threads, dtype), _compiled_peak(threads, dtype)))
        for name, found in speeds.items():
            found.append(_bandwidth(blocks, sizes[name]))
        steady = all(map(_agree, (peaks, *speeds.values())))
    bandwidth = {name: max(found) for name, found in speeds.items()}
    for farther, nearer in pairwise(reversed(LEVELS)):
        bandwidth[nearer] = max(bandwidth[nearer], bandwidth[farther])
    return Roof(max(peaks), bandwidth, threads, _shared_out(caches, threads), dtype, steady)


def _agree(speeds: list[float]) -> bool:
    """Whether the best was no accident."""
    *_, second, best = sorted([0.0, *speeds])
    return second >= _AGREEING * best


def _shared_out(caches: dict[str, int], threads: int) -> dict[str, int]:
    """Bytes that so many threads have of each cache: only the last is shared."""
    return {name: size * (1 if name == "L3" else threads) for name, size in caches.items()}


# ---------------------------------------------------------------------------- the peak


def _numpy_peak(threads: int, dtype: str) -> float:
    """GFLOP/s of small products, many a call, on threads of our own."""
    m, n, k, times = 48, 16, 96, 256  # too small for BLAS to start threads
    jobs: list[_Job] = []
    for _ in range(threads):
        a, b = np.ones((m, k), dtype), np.ones((k, n), dtype)
        out = np.empty((times, m, n), dtype)
        stacked = np.broadcast_to(a, (times, m, k)), np.broadcast_to(b, (times, k, n))
        jobs.append(partial(np.matmul, *stacked, out=out))
    return 2e-9 * m * n * k * times * threads / _best_time(jobs)


def _compiled_peak(threads: int, dtype: str) -> float:
    """GFLOP/s of the compiled product; 0 where there is none."""
    try:
        matmul = backends.operations("cython")["matmul"]
    except RuntimeError:
        return 0.0
    m, n, k = 1536 * threads, 32, 128
    a, b, out = np.ones((m, k), dtype), np.ones((k, n), dtype), np.empty((m, n), dtype)
    before = backends.num_threads()
    backends.set_num_threads(threads)
    try:
        return 2e-9 * m * n * k / _best_time([partial(matmul, a, b, out=out)])
    finally:
        backends.set_num_threads(before)


# ------------------------------------------------------------------------ the bandwidths


def _buffer_sizes(caches: dict[str, int], threads: int) -> dict[str, int]:
    """Bytes of each thread's buffer, whole cache lines."""
    sizes = {name: size // 2 for name, size in caches.items()}
    sizes["L3"] = min(sizes["L3"], _LARGEST_BUFFER) // threads
    sizes["memory"] = min(8 * caches["L3"], _LARGEST_BUFFER) // threads
    return {name: max(size // 128, 1) * 128 for name, size in sizes.items()}


def _bandwidth(blocks: list[Array], nbytes: int) -> float:
    """GB/s of passes over the first `nbytes` of each block, all at the same time."""
    passes = max(1, _BURST_BYTES // nbytes)
    jobs: list[_Job] = []
    for block in blocks:
        half = nbytes // 2 // block.itemsize
        out = block[half : 2 * half]
        # The same half, as often as there are passes.
        again = as_strided(block[:half], (passes, half), (0, block.itemsize))
        jobs.append(partial(np.add.reduce, again, axis=0, out=out))
    moved = (3 * passes + 1) * (nbytes // 2) * len(blocks)  # out is set to 0 first
    return 1e-9 * moved / _best_time(jobs)


def _aligned(nbytes: int, dtype: str) -> Array:
    """Zeros that begin on a cache line, in memory of their own rather than the zero page."""
    block = np.full(nbytes + 64, 0, np.uint8)
    start = -block.ctypes.data % 64
    return block[start : start + nbytes].view(dtype)


# ------------------------------------------------------------------------------- timing


def _best_time(jobs: list[_Job]) -> float:
    """Seconds from the first job's start to the last one's end, all at once; best of several."""
    warm = max(_seconds(job) for job in jobs)
    rounds = min(max(_LEAST_ROUNDS, round(_WINDOW / max(warm, 1e-9))), _MOST_ROUNDS)
    if len(jobs) == 1:
        return min(_seconds(jobs[0]) for _ in range(rounds))
    barrier = threading.Barrier(len(jobs))

    def spans(number: int, job: _Job) -> list[tuple[float, float]]:
        _take_core(number)
        result = []
        for _ in range(rounds):
            barrier.wait()
            start = perf_counter()
            job()
            result.append((start, perf_counter()))
        return result

    with ThreadPoolExecutor(len(jobs)) as pool:
        together = zip(*pool.map(spans, range(len(jobs)), jobs), strict=True)
        times: list[float] = [
            max(end for _, end in each) - min(start for start, _ in each) for each in together
        ]
    return min(times)


def _take_core(number: int) -> None:
    """Binds the calling thread to a core; the system would take longer to spread them."""
    if sys.platform == "linux":
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {allowed[number % len(allowed)]})


def _seconds(job: _Job) -> float:
    start = perf_counter()
    job()
    return perf_counter() - start


# -------------------------------------------------------------------------- cache sizes


def cache_sizes() -> dict[str, int]:
    """Bytes of the data caches that one core sees, as the system reports them.

    A level that it does not report gets a usual size.

    Examples
    --------
    >>> list(cache_sizes())
    ['L1', 'L2', 'L3']
    """
    reported = _sysctl_sizes() if sys.platform == "darwin" else _sysfs_sizes()
    return _USUAL_SIZES | {name: size for name, size in reported.items() if size > 0}


def _sysfs_sizes(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> dict[str, int]:
    """What Linux reports."""
    sizes = {}
    for index in folder.glob("index*"):
        try:
            level, kind, size = (
                (index / name).read_text().strip() for name in ("level", "type", "size")
            )
            if kind != "Instruction":
                sizes[f"L{level}"] = _bytes(size)
        except (OSError, ValueError):  # not every kernel and virtual machine tells
            continue
    return {name: size for name, size in sizes.items() if name in _USUAL_SIZES}


def _bytes(text: str) -> int:
    """`32K` as 32768."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return int(text[:-1]) * units[text[-1]] if text[-1:] in units else int(text)


def _sysctl_sizes() -> dict[str, int]:
    """What macOS reports."""
    sizes = {}
    for name, key in _MACOS_SIZES.items():
        try:
            answer = subprocess.run(
                ["sysctl", "-n", key], capture_output=True, text=True, check=True
            )
            sizes[name] = int(answer.stdout)
        except (OSError, ValueError, subprocess.CalledProcessError):
            continue
    return sizes
