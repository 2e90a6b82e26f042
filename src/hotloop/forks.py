"""What becomes of locks, and of half done work, when the process forks.

A fork copies the thread that forks and no other, but every lock as it is: what another thread
holds, the child would wait for for ever. There are two kinds of locks, and every one of the
library's is one of them:

- Those that are held for a moment, while numbers are moved or counted. A fork waits for them, so
  that what they guard is whole in the child: `kept_over_forks`, `also_waits_for`.
- Those that are held as long as something runs: an executor, a thread that reads batches. A fork
  does not wait. Their owners are told in the child, where they make new locks and start anew what
  another thread left half done: `told_of_forks`.

Python has hooks of forks that can never be taken back, so this module has the only ones.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Protocol, TypeVar
from weakref import WeakSet


class Owner(Protocol):
    """What has something that it must not share with a parent's threads."""

    def forked(self) -> None:
        """Drops what other threads held; called in the child, in the one thread that it has."""


O = TypeVar("O", bound=Owner)  # noqa: E741

_kept: list[Any] = []
_more: list[Callable[[], Iterable[Any]]] = []
_owners: WeakSet[Any] = WeakSet()
_in_child: list[Callable[[], object]] = []


class _Held(threading.local):
    """The locks that each fork under way has taken; a signal handler may fork within a fork."""

    def __init__(self) -> None:
        self.by_forks: list[list[Any]] = []


_held = _Held()


def kept_over_forks(lock: Any) -> Any:
    """The lock itself, which a fork waits for from now on.

    Who holds it must not wait for anything that is told of forks. A lock that a signal handler or
    a ``__del__`` may want again in the same thread must be reentrant.
    """
    _kept.append(lock)
    return lock


def also_waits_for(locks: Callable[[], Iterable[Any]]) -> None:
    """A fork waits for those locks too that this function returns at that moment."""
    _more.append(locks)


def told_of_forks(owner: O) -> O:
    """The owner itself, whose `forked` is called in a child for as long as the owner lives."""
    _owners.add(owner)
    return owner


def in_child(function: Callable[[], object]) -> None:
    """Calls a function in each child, for what is there as long as the process."""
    _in_child.append(function)


def _locks_of_others() -> Iterator[Any]:
    """Those of libraries that threads of ours use, as far as they are loaded.

    NumPy's global random numbers, which `hotloop.utils.set_random_seed` seeds; what Numba compiles
    under, for seconds, but in a state that nobody else could put right; what tqdm draws under.
    """
    numbers = getattr(sys.modules.get("numpy.random"), "get_bit_generator", None)
    if numbers is not None:
        yield numbers().lock
    for module, owner, lock in (
        ("numba.core.compiler_lock", "global_compiler_lock", "_lock"),
        ("tqdm.std", "TqdmDefaultWriteLock", "th_lock"),
    ):
        found = getattr(getattr(sys.modules.get(module), owner, None), lock, None)
        if found is not None:
            yield found


def _locks() -> list[Any]:
    more = (lock for locks in _more for lock in locks())
    return [*_kept, *more, *_locks_of_others()]


def _take_all(taken: list[Any]) -> None:
    """Takes all the locks; never waits for one while it holds another.

    A thread may hold one and want another, in any order.
    """
    busy = None
    while True:
        if busy is not None:
            busy.acquire()
            taken.append(busy)
        busy = next((lock for lock in _locks() if not _take(lock, taken)), None)
        # Those of generators may be others by now.
        if busy is None and all(map(partial(_is_among, taken), _locks())):
            return
        _release(taken)


def _take(lock: Any, taken: list[Any]) -> bool:
    """Whether this thread has the lock, now if it is free."""
    if not _is_among(taken, lock):
        if not lock.acquire(blocking=False):
            return False
        taken.append(lock)
    return True


def _is_among(taken: list[Any], lock: Any) -> bool:
    return any(lock is other for other in taken)


def _release(taken: list[Any]) -> None:
    while taken:
        taken.pop().release()


def _before() -> None:
    taken: list[Any] = []
    _held.by_forks.append(taken)  # at once: a Ctrl-C in here leaves nothing locked
    _take_all(taken)


def _after_in_parent() -> None:
    _release(_held.by_forks.pop())


def _after_in_child() -> None:
    _release(_held.by_forks.pop())
    for owner in list(_owners):
        owner.forked()
    for function in _in_child:
        function()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
