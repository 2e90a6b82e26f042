"""The library's one source of random numbers, and `keras.random`'s functions.

Initial weights, shuffling and dropout keys come from here. The functions, such as `normal`, stand
in `hotloop.ops.draws`, which is imported when one of them is first used.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import backends, forks

# A Generator takes a lock of its own in every draw, and replacing it is one assignment: that is
# all the thread safety that is needed, once there is one. It is made when it is first needed, as
# NumPy's random numbers take long to import.
_generator: np.random.Generator | None = None
_making = forks.kept_over_forks(threading.RLock())
# What takes its place within `drawing_from`, in this thread or task alone.
_own: ContextVar[np.random.Generator | None] = ContextVar("hotloop_generator", default=None)
_sources: list[np.random.Generator] = []  # of all threads' `drawing_from`


class Counter:
    """Counts the batches of plans that draw and have no optimizer, which counts them otherwise."""

    def __init__(self) -> None:
        self._iterations = 0

    @property
    def iterations(self) -> int:
        """So many so far. The core sets the attribute behind it, as an optimizer's."""
        return self._iterations

    @iterations.setter
    def iterations(self, count: int) -> None:
        self._iterations = count


def _locks() -> list[Any]:
    """Those of the generators that some thread may be drawing from."""
    sources = [*_sources] if _generator is None else [_generator, *_sources]
    return [source.bit_generator.lock for source in sources]


forks.also_waits_for(_locks)


def set_random_seed(seed: int) -> None:
    """Seed Python's ``random``, NumPy's global generator and hotloop's own.

    Call it before a model is built: initial weights are drawn from the same source.

    Parameters
    ----------
    seed : int
        From 0 to 2**32 - 1, the range of NumPy's global generator.

    Raises
    ------
    ValueError
        If the seed is not a whole number in that range.

    Examples
    --------
    >>> set_random_seed(7); first = next_key()
    >>> set_random_seed(7); first == next_key()
    True
    """
    import random as python_random

    global _generator
    number = as_seed(seed)
    if number >= 2**32:
        raise ValueError(f"seed must be from 0 to 2**32 - 1, got {seed!r}")
    python_random.seed(number)
    np.random.seed(number)  # noqa: NPY002 - users' own code draws from it
    with _making:
        _generator = np.random.default_rng(number)


def generator() -> np.random.Generator:
    """Generator that everything random in the library draws from.

    Seeded from the operating system's entropy until `set_random_seed` is called. Do not
    keep it: `set_random_seed` and `drawing_from` replace it.

    Examples
    --------
    >>> set_random_seed(0)
    >>> generator().permutation(3).tolist()
    [2, 0, 1]
    """
    return _own.get() or _generator or _first()


def _first() -> np.random.Generator:
    """The generator, of the operating system's entropy if there is none yet."""
    global _generator
    with _making:
        if _generator is None:
            _generator = np.random.default_rng()
        return _generator


@contextmanager
def drawing_from(source: np.random.Generator) -> Iterator[None]:
    """Everything random draws from `source` instead, in this thread.

    Examples
    --------
    >>> with drawing_from(np.random.default_rng(0)):
    ...     first = next_key()
    >>> with drawing_from(np.random.default_rng(0)):
    ...     first == next_key()
    True
    """
    token = _own.set(source)
    _sources.append(source)
    try:
        yield
    finally:
        _sources.remove(source)
        _own.reset(token)


def get_state() -> dict[str, Any]:
    """What `set_state` makes the generator go on from.

    Examples
    --------
    >>> state = get_state(); first = next_key()
    >>> set_state(state); first == next_key()
    True
    """
    return dict(generator().bit_generator.state)


def set_state(state: Mapping[str, Any]) -> None:
    """Let the generator go on from where it was when `get_state` was called."""
    generator().bit_generator.state = dict(state)


def orders(rows: int, epochs: int, source: np.random.Generator | None = None) -> NDArray[np.int64]:
    """Random orders of row numbers, one for each epoch, one after the other.

    How many are asked for at a time makes no difference. They are drawn from the library's
    generator if no other is given.

    Examples
    --------
    >>> set_random_seed(0)
    >>> both = orders(3, 2)
    >>> set_random_seed(0)
    >>> [*orders(3, 1), *orders(3, 1)] == both.tolist()
    True
    """
    # The very bits that `integers` would give for all of 64 bits, at a twelfth of its cost.
    keys = (source or generator()).bit_generator.random_raw(epochs)
    numbers = np.empty((epochs, rows), np.int64)
    backends.call("permutations", keys, out=numbers)
    return numbers.reshape(-1)


def next_key() -> int:
    """Next 64-bit key, from 0 to 2**64 - 1, for a stream of counter-based random numbers.

    Examples
    --------
    >>> 0 <= next_key() < 2**64
    True
    """
    return int(generator().integers(0, 2**64, dtype=np.uint64))


def as_seed(seed: object) -> int:
    """Seed as an int of Python's.

    Raises
    ------
    ValueError
        If it is not a whole number of at least 0.

    Examples
    --------
    >>> as_seed(np.int64(3))
    3
    """
    try:
        number = operator.index(seed)  # type: ignore[arg-type]
    except TypeError:
        number = -1
    if number < 0:
        raise ValueError(f"seed must be a whole number of at least 0, got {seed!r}")
    return number


def __getattr__(name: str) -> Any:
    """Keras's functions, of `hotloop.ops.draws`."""
    if not name.startswith("_"):
        from importlib import import_module

        draws = import_module(".ops.draws", __package__)
        if name in draws.__all__:
            return getattr(draws, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
