"""Settings of the library: backend, threads, float type; and a report of them."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from . import backends, console
from .backends.formulas import EPSILON
from .console import say
from .doors import door

# The user's own functions by kind and name: tables that the modules which have them enter here.
own_functions: dict[str, Mapping[str, Any]] = {}

_floatx = "float32"
_image_data_format = "channels_last"
# What takes its place within `computing_in`, in this thread or task alone.
_own_floatx: ContextVar[str | None] = ContextVar("hotloop_floatx", default=None)


def floatx() -> str:
    """The float type of new layers: ``"float32"`` (the default) or ``"float64"``."""
    return _own_floatx.get() or _floatx


def set_floatx(value: str) -> None:
    """Sets the float type of layers made from now on.

    Raises
    ------
    ValueError
        For anything but ``"float32"`` and ``"float64"``.

    Examples
    --------
    >>> set_floatx("float32")
    """
    global _floatx
    _floatx = check_floatx(value)


@contextmanager
def computing_in(value: str) -> Iterator[None]:
    """The float type of layers made within, in this thread.

    Examples
    --------
    >>> with computing_in("float64"):
    ...     floatx()
    'float64'
    """
    token = _own_floatx.set(check_floatx(value))
    try:
        yield
    finally:
        _own_floatx.reset(token)


def check_floatx(value: str) -> str:
    """`value` if it is a float type that layers can have; ValueError otherwise."""
    if value not in ("float32", "float64"):
        raise ValueError(f"layers compute in 'float32' or 'float64', not in {value!r}")
    return value


def epsilon() -> float:
    """The constant that keeps probabilities away from 0 and 1 in losses: 1e-7."""
    return EPSILON


def set_epsilon(value: float) -> None:
    """For Keras's sake: 1e-7, which is built into the kernels, is the one value that it takes.

    Raises
    ------
    ValueError
        For any other.
    """
    if value != EPSILON:
        raise ValueError(
            f"epsilon is {EPSILON}, which the kernels are built with, and cannot be {value!r}; "
            "layers and optimizers have an argument epsilon of their own"
        )


def image_data_format() -> str:
    """Where the channels of an image stand: ``"channels_last"``, unless it was set."""
    return _image_data_format


def set_image_data_format(data_format: str) -> None:
    """Sets what `image_data_format` returns.

    Raises
    ------
    ValueError
        For anything but ``"channels_last"`` and ``"channels_first"``.

    Examples
    --------
    >>> set_image_data_format("channels_last")
    """
    global _image_data_format
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(f"data_format is 'channels_last' or 'channels_first', not {data_format!r}")
    _image_data_format = data_format


def enable_interactive_logging() -> None:
    """Progress is printed, as it is by default."""
    console.to_log(False)


def disable_interactive_logging() -> None:
    """What would be printed goes to the logger ``"hotloop"``, a line for each epoch."""
    console.to_log(True)


def is_interactive_logging_enabled() -> bool:
    """Whether progress is printed."""
    return not console.is_to_log()


def backend() -> str:
    """The backend in use: ``"cython"``, ``"numba"`` or ``"numpy"``."""
    return backends.current()


def set_backend(backend: str) -> None:
    """Chooses what runs models from now on.

    Parameters
    ----------
    backend : {"auto", "cython", "numba", "numpy"}
        ``"auto"`` takes the fastest that is installed. The environment variable
        ``HOTLOOP_BACKEND`` sets the same before the first use.

    Raises
    ------
    ValueError
        For another name.
    RuntimeError
        If that backend cannot be loaded here; the reason is given.

    Examples
    --------
    >>> set_backend("numpy")
    >>> backend()
    'numpy'
    >>> set_backend("auto")
    """
    backends.select(backend)


def num_threads() -> int:
    """How many threads the compiled core may use."""
    return backends.num_threads()


def set_num_threads(n: int) -> None:
    """Sets how many threads the compiled core may use.

    The default is ``HOTLOOP_NUM_THREADS``, or else the number of cores that the process may
    use (affinity, cgroup limits and ``OMP_NUM_THREADS`` respected). Results do not depend
    on it.

    Raises
    ------
    ValueError
        If n is not a whole number of at least 1.
    """
    backends.set_num_threads(n)


def show_config() -> None:
    """Prints what serves each op and why, and the CPU, instruction set, threads, versions."""
    say("\n".join(report()))


def report(every_op: bool = True) -> list[str]:
    """The lines of `show_config`; of the ops only those that the backend does not serve itself."""
    lines = [f"hotloop {_version('hotloop')} on Python {platform.python_version()}"]
    facts = {
        "backend": f"{backends.current()} ({backends.reason()})",
        "cpu": backends.cpu_name() or platform.processor() or platform.machine(),
        "instruction set": backends.isa(),
        "threads": f"{num_threads()} of {os.cpu_count()} cores",
        "float type": floatx(),
    }
    lines += [f"  {name:<16}{fact}" for name, fact in facts.items()]
    lines += ["", "backends"]
    lines += [f"  {name:<16}{state}" for name, state in backends.availability().items()]
    lines += ["", "versions"]
    lines += [f"  {name:<16}{_version(name)}" for name in ("numpy", "numba", "safetensors", "tqdm")]
    lines += _own_functions()
    routes = list(backends.routes())
    if not every_op:
        count = len(routes)
        routes = [route for route in routes if route[1] != backend()]
        lines += ["", f"{count - len(routes)} of {count} ops are served by {backend()}"]
        if not routes:
            return lines
    width = max(len(op) for op, _, _ in routes) + 2
    lines += ["", f"{'op':<{width + 2}}{'served by':<12}why"]
    lines += [f"  {op:<{width}}{server:<12}{why}" for op, server, why in routes]
    return lines


def _own_functions() -> list[str]:
    """The user's own activations and losses, if there are any, and what serves each."""
    numba = backends.available("numba")
    by, why = ("numba", "compiled") if numba else ("python", "numba is not installed")
    functions = [(kind, name) for kind, table in own_functions.items() for name in table]
    rows = [f"  {f'{kind} {name!r}':<34}{by:<12}{why}" for kind, name in functions]
    return ["", "own functions", *rows] if rows else []


def _version(package: str) -> str:
    module = sys.modules.get(package)
    if module is not None and hasattr(module, "__version__"):
        return str(module.__version__)
    from importlib import metadata  # slow to import, and only reports need it

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


if not TYPE_CHECKING:  # which knows all names
    __getattr__ = door(__name__)
