"""How fast each op of each backend is on this machine, and how near to what it could be."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby
from statistics import median
from textwrap import wrap
from time import perf_counter, process_time
from typing import Any

from tqdm import tqdm

from .. import backends
from ..backends import Function
from ..naming import lookup
from .busy import Busyness, Watch
from .cases import KERNELS, Arrays, Kernel, Shape
from .roof import LEVELS, Roof, measure

# Characters of a name in a table of 100 columns.
LONGEST_NAME = 31
# From the reference to the fastest: the order of columns, legends and colours.
BACKENDS = tuple(reversed(backends.NAMES))

# Where the median repeat of a call takes so many times the fastest, its time is marked.
VARIED = 1.25

# So short that many repeats are over before something else interrupts one of them, and yet
# hundreds of times what reading the clock costs.
_REPEAT_SECONDS = 5e-5
_ROUND_SECONDS = 1e-3
_CASE_SECONDS = 20e-3  # of each backend
_MOST_ROUNDS = 11
_LEAST_ROUNDS = 3
# A repeat was interrupted where the processor worked for a smaller part of it than this.
_UNINTERRUPTED = 0.8
# How many times its seconds a case may take on a busy machine, and until a repeat comes through.
_PATIENCE, _MOST_PATIENCE = 2, 10


@dataclass(frozen=True)
class Timing:
    """What one op took on one backend and shape.

    Attributes
    ----------
    kernel, group, backend : str
    shape : tuple of int
        (rows, inputs, units) of a product, else (rows, columns).
    seconds : float
        Of one call, in the fastest of many repeats, each the mean of calls that take 50 us.
        They come in rounds, in which every backend has its turn, so that all meet the same
        machine.
    flops, nbytes : int
        Floating-point operations that the formula needs, and bytes that it must read and
        write; see `hotloop.profiling.cases.Call`.
    floor : float
        Seconds below which the machine cannot do it, see `Roof.floor_seconds`.
    level : str
        Smallest cache that holds the arrays, or ``"memory"``.
    speedup : float or None
        NumPy's time over this one; None where NumPy was not timed, or one of the two was
        interrupted.
    spread : float
        Seconds of the median repeat over those of the fastest: 1 where all were alike.
    interrupted : bool
        Whether no repeat came through: in the fastest, too, the process had to wait for a core.
    held : int
        Bytes of memory that the arrays are, each counted once; 0 if that is not known.
    """

    kernel: str
    group: str
    shape: Shape
    backend: str
    seconds: float
    flops: int
    nbytes: int
    floor: float
    level: str
    speedup: float | None
    spread: float = 1.0
    interrupted: bool = False
    held: int = 0

    @property
    def size(self) -> str:
        """The shape as text."""
        return "x".join(map(str, self.shape))

    @property
    def gflops(self) -> float:
        """10^9 operations a second."""
        return 1e-9 * self.flops / self.seconds

    @property
    def bandwidth(self) -> float:
        """10^9 bytes a second."""
        return 1e-9 * self.nbytes / self.seconds

    @property
    def intensity(self) -> float:
        """Operations a byte."""
        return self.flops / self.nbytes

    @property
    def percent_of_roof(self) -> float:
        """100 where it takes no longer than the floor."""
        return 100 * self.floor / self.seconds

    @property
    def varied(self) -> bool:
        """Whether something disturbed it so much that even the fastest repeat may be slow."""
        return self.interrupted or self.spread >= VARIED

    @property
    def rate(self) -> str:
        """GFLOP/s (GF/s) of a product, GB/s of anything else, as text."""
        if self.group == "products":
            return f"{_digits(self.gflops)} GF/s"
        return f"{_digits(self.bandwidth)} GB/s"

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON takes it."""
        return {
            "kernel": self.kernel,
            "group": self.group,
            "shape": list(self.shape),
            "backend": self.backend,
            "seconds": self.seconds,
            "flops": self.flops,
            "bytes": self.nbytes,
            "gflops": self.gflops,
            "gigabytes_per_second": self.bandwidth,
            "speedup_over_numpy": self.speedup,
            "floor_seconds": self.floor,
            "level": self.level,
            "percent_of_roof": self.percent_of_roof,
            "spread": self.spread,
            "interrupted": self.interrupted,
        }


@dataclass(frozen=True)
class KernelProfile:
    """What `profile_kernels` measured.

    Attributes
    ----------
    timings : tuple of Timing
        By kernel, shape and backend, in the order in which they were taken.
    roof : Roof
    missing : dict of str to str
        The backends that cannot be used here, and why.
    load : float
        Processes that kept the machine busy in the minute before.
    busy : Busyness, optional
        What else the machine did meanwhile.
    """

    timings: tuple[Timing, ...]
    roof: Roof
    missing: dict[str, str]
    load: float = 0.0
    busy: Busyness | None = None

    @property
    def backends(self) -> tuple[str, ...]:
        """The backends that were timed, the fastest last."""
        timed = {timing.backend for timing in self.timings}
        return tuple(name for name in BACKENDS if name in timed)

    @property
    def title(self) -> str:
        """What it was measured on, in one line."""
        cpu = backends.cpu_name() or platform.processor() or platform.machine()
        threads = f"{self.roof.threads} thread{'s' * (self.roof.threads > 1)}"
        return f"{cpu}, {backends.isa()}, {threads}, {self.roof.dtype}"

    @property
    def roofs(self) -> str:
        """Peak and bandwidths, in one line."""
        speeds = ", ".join(f"{level} {self.roof.bandwidth[level]:.0f}" for level in LEVELS)
        return f"peak {self.roof.gflops:.0f} GFLOP/s; {speeds} GB/s"

    @property
    def warnings(self) -> list[str]:
        """Why the numbers may mislead: what other programs did."""
        warnings = [self.busy.warning] if self.busy is not None and self.busy.warning else []
        cores = os.cpu_count() or 1
        if self.load > cores / 2:
            warnings.append(f"The machine was busy before (load {self.load:.1f}, {cores} cores).")
        if not self.roof.steady:
            warnings.append("The roofs differed from sweep to sweep: shares of them are rough.")
        return warnings

    @property
    def notes(self) -> list[str]:
        """What else to know when reading the numbers."""
        notes = [f"{name} is missing: {why}." for name, why in self.missing.items()]
        cores = os.cpu_count() or 1
        if count := sum(timing.varied for timing in self.timings):
            notes.append(
                f"~ marks {count:,} of {len(self.timings):,} times that varied: their median "
                f"repeat took {VARIED} times the fastest or more, or none was uninterrupted."
            )
        if self.roof.threads != cores:
            notes.append("numpy's matrix products use as many threads as its BLAS likes.")
        return notes

    def doubtful(self, timing: Timing) -> bool:
        """Whether a timing's gain compares times of which one varied."""
        return timing.varied or (timing.kernel, timing.shape) in self._varied_references

    @cached_property
    def _varied_references(self) -> set[tuple[str, Shape]]:
        """Where NumPy's time varied."""
        return {(t.kernel, t.shape) for t in self.timings if t.varied and t.backend == "numpy"}

    def table(self, width: int = 100) -> str:
        """The timings as text, a line for each kernel and shape.

        Parameters
        ----------
        width : int
            Columns of the terminal. Where the table needs more, it does without the rate, then
            without Numba's time, then without the share of the roof; other lines are wrapped.
        """
        fastest = self.backends[-1] if self.timings else ""
        warnings = [f"Warning: {warning}" for warning in self.warnings]
        head = [self.title, self.roofs, *warnings, *self.notes]
        if self.timings:
            head.append("Microseconds a call, of the fastest repeat.")
        if len(self.backends) > 1:
            head[-1] += (
                f" Gain over numpy, rate and share of the roof are {fastest}'s, or numpy's where "
                "only that serves the op."
            )
        lines = [line for text in head for line in wrap(text, max(width, 40))]
        if not self.timings:
            return "\n".join(lines)
        lines.append("")
        rows = list(self._rows())
        for left_out in ((), ("rate",), ("rate", "numba"), ("rate", "numba", "roof")):
            keep = [i for i, name in enumerate(rows[0]) if name.strip() not in left_out]
            text = _aligned([[row[i] for i in keep] for row in rows])
            if len(text[0]) <= width:
                break
        return "\n".join([*lines, *text])

    def _rows(self) -> Iterator[list[str]]:
        """The cells of the table."""
        # Behind the numbers, so that they stand below each other with a mark and without.
        space = " " * any(timing.varied for timing in self.timings)

        def marked(text: str, varied: bool = False) -> str:
            return f"{text}~" if varied else f"{text}{space}"

        heads = map(marked, (*self.backends, "gain"))
        yield ["kernel", "shape", *heads, "rate", "roof"]
        before = ""
        for (kernel, size), group in groupby(self.timings, lambda t: (t.kernel, t.size)):
            by_backend = {timing.backend: timing for timing in group}
            times = [
                marked(_digits(1e6 * timing.seconds), timing.varied) if timing else marked("-")
                for timing in map(by_backend.get, self.backends)
            ]
            best = next(by_backend[n] for n in reversed(self.backends) if n in by_backend)
            yield [
                _shortened(kernel) if kernel != before else "",
                size,
                *times,
                marked("-")
                if best.backend == "numpy" or best.speedup is None
                else marked(_times(best.speedup), self.doubtful(best)),
                best.rate,
                f"{best.percent_of_roof:.0f}%",
            ]
            before = kernel

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON takes it."""
        return {
            "title": self.title,
            "cpu": backends.cpu_name(),
            "isa": backends.isa(),
            "threads": self.roof.threads,
            "dtype": self.roof.dtype,
            "roof": {
                "gflops": self.roof.gflops,
                "gigabytes_per_second": self.roof.bandwidth,
                "cache_bytes": self.roof.sizes,
            },
            "load": self.load,
            "machine": self.busy.to_dict() if self.busy is not None else None,
            "warnings": self.warnings,
            "missing_backends": self.missing,
            "timings": [timing.to_dict() for timing in self.timings],
        }


def profile_kernels(
    names: Sequence[str] = (),
    *,
    quick: bool = False,
    threads: int | None = None,
    dtype: str = "float32",
    progress: bool = False,
) -> KernelProfile:
    """Time the ops of all backends, on shapes from a toy's layer to what fills the caches.

    Each op is called on arrays that are there already, as `hotloop.kernels` calls it: the
    time includes the call itself, 1 to 10 us. The arrays of one call are used again by the
    next, so small ones are in a cache. The backends take turns, round after round, and the
    fastest repeat of each counts: what the others took longer, other programs took. A model
    does less for each op: it makes no calls, and keeps its weights in the order that the
    compiled products want, into which these calls bring them first; ``model.profile`` times
    that.

    Parameters
    ----------
    names : sequence of str
        Kernels, or groups of kernels such as ``"products"`` or ``"optimizers"``; all of them
        by default, which takes about half a minute, and longer where Numba compiles its loops
        for the first time.
    quick : bool
        Two shapes of each kernel, and fewer repeats.
    threads : int, optional
        For the Numba and compiled backends; by default what `hotloop.config.num_threads` says.
        NumPy's matrix products run on the threads of its BLAS, as always.
    dtype : str
        ``"float32"`` or ``"float64"``.
    progress : bool
        Show a progress bar on standard error, where that is a terminal.

    Returns
    -------
    KernelProfile

    Raises
    ------
    ValueError
        If there is no such kernel, naming the nearest one, or threads or dtype are wrong.

    Examples
    --------
    >>> profile = profile_kernels(["adam"], quick=True, threads=1)
    >>> sorted({timing.shape for timing in profile.timings})
    [(128, 10), (1024, 1024)]
    >>> profile_kernels(["matmull"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: Unknown kernel 'matmull'. Did you mean 'matmul'? ...
    """
    kernels = _named(names)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    watch = Watch()
    roof = measure(backends.num_threads() if threads is None else threads, dtype)
    tables, missing = _tables()
    todo = [(kernel, shape) for kernel in kernels for shape in _shapes(kernel, quick)]
    shown = tqdm(todo, unit="case", leave=False, disable=None if progress else True)
    seconds = _CASE_SECONDS / 4 if quick else _CASE_SECONDS
    timings: list[Timing] = []
    with _threads(roof.threads):
        for kernel, shape in shown:
            timings += _timings(kernel, shape, tables, roof, seconds)
            watch.look()
    return KernelProfile(tuple(timings), roof, missing, load, watch.stop())


def _tables() -> tuple[dict[str, Mapping[str, Function]], dict[str, str]]:
    """The ops of each backend that can be used, and why the others cannot."""
    tables: dict[str, Mapping[str, Function]] = {}
    missing = {}
    for name in BACKENDS:
        try:
            tables[name] = backends.operations(name)
        except RuntimeError:
            missing[name] = backends.availability()[name].removeprefix("missing: ")
    return tables, missing


def _named(names: Iterable[str]) -> list[Kernel]:
    """The kernels of these names and groups, each once; all of them for none."""
    known = {name: [kernel] for name, kernel in KERNELS.items()}
    for kernel in KERNELS.values():
        known.setdefault(kernel.group, []).append(kernel)
    chosen = [kernel for name in names for kernel in lookup("kernel", name, known)]
    return list(dict.fromkeys(chosen)) if names else list(KERNELS.values())


def _shapes(kernel: Kernel, quick: bool) -> tuple[Shape, ...]:
    """The shapes to time it on: the first and third are the ones that say most."""
    return kernel.shapes[:3:2] if quick else kernel.shapes


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """Lets the backends use n threads meanwhile."""
    before = backends.num_threads()
    backends.set_num_threads(n)
    try:
        yield
    finally:
        backends.set_num_threads(before)


def _timings(
    kernel: Kernel,
    shape: Shape,
    tables: Mapping[str, Mapping[str, Function]],
    roof: Roof,
    seconds: float,
) -> Iterator[Timing]:
    """One call on each backend that serves it."""
    call = kernel.prepare(shape, Arrays(roof.dtype))
    turns = _interleaved(
        {
            name: partial(ops[kernel.name], *call.arguments, **call.keywords)
            for name, ops in tables.items()
            if kernel.name in ops
        },
        seconds,
    )
    reference = turns.get("numpy")
    for backend, taken in turns.items():
        compared = reference and not (reference.interrupted or taken.interrupted)
        yield Timing(
            kernel=kernel.name,
            group=kernel.group,
            shape=shape,
            backend=backend,
            seconds=taken.fastest,
            flops=call.flops,
            nbytes=call.nbytes,
            floor=roof.floor_seconds(call.flops, call.nbytes, call.held),
            level=roof.level(call.held),
            speedup=reference.fastest / taken.fastest if reference and compared else None,
            spread=median(taken.seconds) / taken.fastest,
            interrupted=taken.interrupted,
            held=call.held,
        )


def _interleaved(calls: Mapping[str, Callable[[], object]], budget: float) -> dict[str, _Turns]:
    """Times the calls of some backends in rounds: one has its turn, then the next.

    A backend has as many turns as the budget, in seconds, allows for it, within bounds.
    """
    turns = {name: _Turns(call, budget) for name, call in calls.items()}
    while waiting := [each for each in turns.values() if each.wants_another]:
        for each in waiting:
            each.take()
    return turns


class _Turns:
    """One backend's turns at a call.

    Attributes
    ----------
    seconds : list of float
        Of one call, in each repeat.
    fastest : float
        The least of them.
    interrupted : bool
        Whether the process had to wait for a core in that one, too.
    """

    def __init__(self, call: Callable[[], object], budget: float) -> None:
        self._call, self._budget = call, budget
        self._rounds, self._spent = 0, 0.0
        self.seconds: list[float] = []
        _repeat(call, 1)  # compiles, and brings the arrays into the caches
        self.fastest, self.interrupted = math.inf, True
        self._guess, _ = _repeat(call, 1)

    @property
    def wants_another(self) -> bool:
        """Whether there is time for another turn, or should be had nothing interrupted them."""
        uninterrupted = self._rounds * max(self._per_call, _ROUND_SECONDS)
        patience = _MOST_PATIENCE if self.interrupted else _PATIENCE
        in_time = uninterrupted < self._budget or self.interrupted
        in_time = in_time and self._spent < patience * self._budget
        return self._rounds < _LEAST_ROUNDS or (self._rounds < _MOST_ROUNDS and in_time)

    def take(self) -> None:
        """Repeats the call for the time of a round."""
        if self._per_call < _ROUND_SECONDS:
            self._call()  # wakes threads and finds what other backends left in the caches
        self._rounds += 1
        end = self._spent + _ROUND_SECONDS
        for _ in range(round(_ROUND_SECONDS / _REPEAT_SECONDS)):
            calls = math.ceil(_REPEAT_SECONDS / self._per_call)
            taken, worked = _repeat(self._call, calls)
            self._spent += taken
            self.seconds.append(max(taken / calls, 1e-9))  # of a clock that did not move
            if self.seconds[-1] < self.fastest:
                self.fastest = self.seconds[-1]
                self.interrupted = worked < _UNINTERRUPTED * taken
            if self._spent >= end:
                break

    @property
    def _per_call(self) -> float:
        """Seconds that a call takes, as far as is known: its first one may have been slow."""
        return max(min(self._guess, self.fastest), 1e-9)


def _repeat(call: Callable[[], object], times: int) -> tuple[float, float]:
    """Seconds that so many calls took, and that the processor worked at them, all threads."""
    worked = process_time()
    start = perf_counter()
    for _ in range(times):
        call()
    taken = perf_counter() - start
    return taken, process_time() - worked


# --------------------------------------------------------------------------------- text


def _digits(number: float) -> str:
    """Three digits, or more before the point and fewer far behind it: 0.012, 1.23, 1,234."""
    decimals = 3 if number < 1 else 2 if number < 10 else 1 if number < 100 else 0
    return f"{number:,.{decimals}f}"


def _times(speedup: float) -> str:
    """A factor: 0.95x, 12.3x."""
    return f"{speedup:.{2 if speedup < 10 else 1}f}x"


def _shortened(name: str) -> str:
    """A kernel's name, cut in the middle where it would take the place of a column."""
    return name if len(name) <= LONGEST_NAME else f"{name[:16]}..{name[-11:]}"


def _aligned(rows: list[list[str]]) -> list[str]:
    """Rows of cells as lines; names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
