"""Backends: one table from op to implementation, and who serves what.

Three backends mean the same and differ in speed. `numpy` is the complete reference;
`numba` replaces its elementwise ops, row ops, losses and optimizers by parallel loops;
`cython` runs whole plans in the compiled core. The table is made once, when it is first
needed, from the best backend downwards, so that each op has exactly one server.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .. import threadpool
from ..forks import kept_over_forks

if TYPE_CHECKING:
    from .plan_traits import Traits

Function = Callable[..., Any]

NAMES = ("cython", "numba", "numpy")

_modules: dict[str, ModuleType] = {}
_failures: dict[str, str] = {}
_selected: str | None = None
_reason = ""
_table: dict[str, tuple[str, Function]] = {}
_threads: int | None = None


# A fork waits for it: a child could import nothing of what another thread was importing.
_loading = kept_over_forks(threading.RLock())


def _load(name: str) -> ModuleType | None:
    """The module that holds a backend's OPS; None, and why in _failures, if it will not load."""
    if name in _modules or name in _failures:
        return _modules.get(name)
    with _loading:
        if name in _modules or name in _failures:  # another thread was faster
            return _modules.get(name)
        try:
            if name == "cython":
                from . import compiled

                _modules[name] = compiled.load()
                threadpool.announce(num_threads, set_num_threads)
            else:
                module = {"numba": ".loops", "numpy": ".numpy"}[name]
                _modules[name] = importlib.import_module(module, __name__)
        except ImportError as error:
            _failures[name] = str(error).splitlines()[0]
    return _modules.get(name)


def available(name: str) -> bool:
    """Whether a backend can be had, without importing numba just to find out."""
    if name == "numba" and name not in _modules and name not in _failures:
        try:
            found = importlib.util.find_spec("numba") is not None
        except ValueError:  # sys.modules["numba"] is None
            found = False
        if not found:
            _failures[name] = "numba is not installed"
    elif name != "numba":
        _load(name)
    return name not in _failures


def current() -> str:
    """The selected backend; the first call selects it."""
    if _selected is None:
        select(os.environ.get("HOTLOOP_BACKEND", "auto"))
    assert _selected is not None
    return _selected


def reason() -> str:
    """Why that backend was selected."""
    current()
    return _reason


def select(name: str) -> None:
    """Makes `name` the backend; see `hotloop.config.set_backend`."""
    global _selected, _reason
    if name not in ("auto", *NAMES):
        raise ValueError(
            f"unknown backend {name!r}: choose 'auto', 'cython', 'numba' or 'numpy' "
            "(HOTLOOP_BACKEND or hotloop.config.set_backend)"
        )
    if name == "auto":
        _selected = next(n for n in NAMES if available(n))
        _reason = "the fastest that is installed"
        _announce_missing()
    else:
        if not available(name) or _load(name) is None:
            raise RuntimeError(f"the backend '{name}' cannot be used here: {_failures[name]}")
        _selected, _reason = name, "chosen by name"
    _table.clear()


def _announce_missing() -> None:
    """Says once, visibly, that training is slower than it could be."""
    if "cython" in _failures and not getattr(_announce_missing, "done", False):
        _announce_missing.done = True  # type: ignore[attr-defined]
        warnings.warn(
            f"hotloop's compiled core is missing ({_failures['cython']}); models run on "
            f"{_selected}, more slowly. Mend that and reinstall: in hotloop's source folder, "
            "pip install --no-cache-dir --force-reinstall --no-deps .",
            UserWarning,
            stacklevel=2,
        )


def table() -> dict[str, tuple[str, Function]]:
    """op -> (backend, function) for the selected backend."""
    if not _table:
        chain = NAMES[NAMES.index(current()) :]
        if current() == "cython":
            chain = ("cython", "numpy")  # numba is not imported where it adds nothing
        made: dict[str, tuple[str, Function]] = {}
        for name in reversed(chain):
            module = _load(name)
            if module is not None:
                made.update((op, (name, f)) for op, f in module.OPS.items())
        _table.update(made)  # at once: another thread must not see half a table
    return _table


def call(op: str, *arguments: Any, **keywords: Any) -> Any:
    """Runs one op with whatever serves it."""
    return table()[op][1](*arguments, **keywords)


def operations(name: str | None) -> dict[str, Function]:
    """op -> function of one backend alone, or of the selected table."""
    if name is None:
        return {op: function for op, (_, function) in table().items()}
    if name not in NAMES:
        raise ValueError(f"unknown backend {name!r}: choose 'cython', 'numba' or 'numpy'")
    module = _load(name)
    if module is None:
        raise RuntimeError(f"the backend '{name}' cannot be used here: {_failures[name]}")
    ops: dict[str, Function] = module.OPS
    return ops


def executor(plan: Any) -> Any:
    """What runs a plan on the selected backend."""
    if current() == "cython":
        return _modules["cython"].Executor(plan)
    from .interpreter import Interpreter

    return Interpreter(plan, operations(None))


def traits() -> Traits:
    """What plans for the selected backend depend on."""
    from .plan_traits import IN_PYTHON, Traits

    if current() != "cython":
        return IN_PYTHON
    runtime = importlib.import_module(".compiled.runtime", __name__)
    return Traits(True, runtime.packed_elements, windows=True, red_zone=runtime.red_zone)


# ------------------------------------------------------------------------- reports


def availability() -> dict[str, str]:
    """Each backend and whether it can be used, with the reason if not."""
    return {
        name: "available" if available(name) else f"missing: {_failures[name]}" for name in NAMES
    }


def routes() -> Iterator[tuple[str, str, str]]:
    """(op, backend, why) of the table, sorted by op."""
    wanted = current()
    for op, (server, _) in sorted(table().items()):
        if server == wanted:
            yield op, server, reason()
        else:
            yield op, server, f"{wanted} has no such op"


def isa() -> str:
    """The instruction set of the compiled kernels."""
    module = _load("cython")
    return str(module.isa()) if module is not None else "none (no compiled core)"


def cpu_name() -> str:
    """What the CPU calls itself, as far as the compiled core can tell."""
    module = _load("cython")
    return str(module.cpu_name()) if module is not None else ""


def num_threads() -> int:
    """Threads that the compiled core may use."""
    global _threads
    if _threads is None:
        setting = os.environ.get("HOTLOOP_NUM_THREADS")
        if setting:
            if not setting.isdecimal() or int(setting) < 1:
                raise ValueError(
                    f"HOTLOOP_NUM_THREADS must be a whole number of at least 1, not {setting!r}"
                )
            _threads = int(setting)
        else:
            module = _load("cython")
            cpus = module.cpu_count() if module is not None else _cpu_count()
            _threads = min(cpus, _openmp_limit() or cpus)
    assert _threads is not None
    return _threads


def _openmp_limit() -> int | None:
    """What OMP_NUM_THREADS allows: joblib shares the CPUs out to its processes with it."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None


def _cpu_count() -> int:
    """CPUs that this process may use, as far as Python knows."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_num_threads(n: Any) -> None:
    """Sets that number; ValueError unless it is a whole number of at least 1."""
    global _threads
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"the number of threads must be a whole number of at least 1, not {n!r}")
    _threads = n
