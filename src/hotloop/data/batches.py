"""Examples that come batch by batch, from generators and loaders, read ahead by a thread."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from .. import forks, random
from . import tables

T = TypeVar("T")

_EXAMPLES = (np.ndarray, Sequence, Mapping)
# Batches that are ready before they are asked for: one is enough for a steady source, the
# other for one that is late now and then.
AHEAD = 2
# How long an interrupted run waits for its thread, which ends after the batch it is making.
PATIENCE_SECONDS = 5.0
# How often a wait looks for a Ctrl-C, which need not end it: not on Windows, nor where a library
# such as polars has its own handler for it.
CTRL_C_SECONDS = 0.1


def is_batches(value: Any) -> bool:
    """Whether this gives batches of examples, and is not itself examples."""
    if isinstance(value, _EXAMPLES) or value is None:
        return False
    if hasattr(value, "__next__"):
        return True
    if not (hasattr(value, "__iter__") or hasattr(value, "__getitem__")):
        return False
    return not (_is_array(value) or tables.is_table(value))


def _is_array(value: Any) -> bool:
    """Whether NumPy, or at least an error message of ours, knows what this is."""
    if any(hasattr(value, name) for name in ("__array__", "to_numpy", "numpy", "tocsr")):
        return True
    try:
        memoryview(value)
    except TypeError:
        return False
    return True


class Prefetcher(Generic[T]):
    """The items of an iterator, made ahead by a background thread.

    The thread runs from `start`, which a ``with`` block calls, to `stop`. An exception of the
    iterator is raised where its item would have come, with the traceback of where it happened. A
    process that is forked meanwhile has no such thread: there, asking for an item is an error.

    Parameters
    ----------
    items : iterator
    ahead : int
        How many items are made before they are asked for.

    Examples
    --------
    >>> with Prefetcher(iter("ab")) as items:
    ...     list(items)
    ['a', 'b']
    """

    def __init__(self, items: Iterator[T], ahead: int = AHEAD) -> None:
        self._items = items
        self._ahead = ahead
        self._ready: deque[T] = deque()
        self._error: BaseException | None = None
        self._over = False  # no more items will come
        self._stopped = False  # no more items are wanted
        self._changed = threading.Condition()
        # A daemon: a source that never gives another batch must not keep the process alive.
        self._thread = threading.Thread(target=self._work, name="hotloop batches", daemon=True)

    def start(self) -> None:
        """Starts the thread; none is left behind if that fails or is interrupted."""
        forks.told_of_forks(self)
        try:
            self._thread.start()
        except BaseException:
            self.stop(0.0)
            raise

    def forked(self) -> None:
        """The thread that makes items is the parent's; this one may be that very thread."""
        self._changed = threading.Condition()
        self._ready.clear()
        self._stopped = True
        self._error = RuntimeError(
            "the batches are read by a thread of the parent process, which a forked child has not; "
            "call fit, evaluate or predict anew in the child"
        )
        self._over = True

    def _work(self) -> None:
        try:
            while self._has_room():
                item = next(self._items)
                with self._changed:
                    self._ready.append(item)
                    self._changed.notify_all()
        except StopIteration:
            pass
        except BaseException as error:  # whatever it is, it belongs to who asks for items
            self._error = error
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _has_room(self) -> bool:
        """Waits for room for another item; False once no more are wanted."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._ready) < self._ahead)
            return not self._stopped

    def has_next(self) -> bool:
        """Whether another item, or an exception, comes; waits until that is known."""
        with self._changed:
            self._await_item()
            return bool(self._ready) or self._error is not None

    def _await_item(self) -> None:
        """Waits until there is an item, or no more will come; a Ctrl-C is raised meanwhile."""
        while not self._changed.wait_for(lambda: self._ready or self._over, CTRL_C_SECONDS):
            pass

    def __iter__(self) -> Prefetcher[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            self._await_item()
            if self._ready:
                item = self._ready.popleft()
                self._changed.notify_all()
                return item
        if self._error is None:
            raise StopIteration
        error, self._error = self._error, None
        try:
            raise error
        finally:
            del error  # its traceback holds this frame

    def stop(self, seconds: float | None = None) -> None:
        """Lets the thread end after the item that it is making, and waits that long for it."""
        with self._changed:
            self._stopped = True
            self._ready.clear()
            self._changed.notify_all()
        if seconds is not None and self._thread.is_alive():
            self._thread.join(seconds)
        while seconds is None and self._thread.is_alive():
            self._thread.join(CTRL_C_SECONDS)

    def __enter__(self) -> Prefetcher[T]:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop(None if kind is None else PATIENCE_SECONDS)


class Source(Generic[T]):
    """Where the batches of one run after the other come from.

    A run takes all batches, or `steps` of them and leaves the rest to the next one. What can be
    iterated again is, once it is used up; a generator or another iterator cannot.

    Parameters
    ----------
    given : iterable, or object with ``__len__`` and ``__getitem__``
        Its methods ``on_epoch_begin`` and ``on_epoch_end`` are called if it has them.
    argument : str
        What the user calls it.
    make : function
        What is to be made of a batch, in the background: of its number, which counts from 1
        each time that the source begins anew, and of the batch.
    steps : int, optional
        Batches in a run.
    shuffle : bool
        Whether batches that have a number come in a new random order each time.
    steps_argument : str
        What the user calls `steps`.

    Attributes
    ----------
    steps : int or None
        Batches that a run is expected to have, None if that is not known.
    once : bool
        Whether it cannot be iterated again.

    Raises
    ------
    ValueError
        If it never ends and there are no `steps`.
    """

    def __init__(
        self,
        given: Any,
        argument: str,
        make: Callable[[int, Any], T],
        steps: int | None = None,
        shuffle: bool = False,
        steps_argument: str = "steps",
    ) -> None:
        if _is_torch_dataset(given):
            raise TypeError(
                f"{argument} is a torch Dataset, which gives single examples; pass "
                f"torch.utils.data.DataLoader({argument}, batch_size=32), which gives batches"
            )
        self._given = given
        self._make = make
        self._shuffle = shuffle
        self._wanted = steps
        self._iterator: Iterator[T] | None = None
        self._prefetcher: Prefetcher[T] | None = None
        self._length = _length(given)
        self.once = hasattr(given, "__next__")
        if steps is None and self._length == np.inf:
            raise ValueError(f"{argument} never ends: say with {steps_argument} where a run does")
        self.steps = steps if steps is not None or self._length is None else int(self._length)

    def begin(self) -> bool:
        """Starts to read the batches of a run; False if there are none."""
        self._tell("on_epoch_begin")
        if self._wanted is None:
            self.restart()  # the last run took all
        if self._iterator is not None:
            found = self._read(self._iterator)
            if found or self.once:
                return found
        self._iterator = map(self._make, itertools.count(1), self._batches())
        return self._read(self._iterator)

    def _read(self, iterator: Iterator[T]) -> bool:
        """Starts the thread; False if there is nothing to read."""
        self._stop()
        self._prefetcher = Prefetcher(itertools.islice(iterator, self._wanted))
        self._prefetcher.start()
        return self._prefetcher.has_next()

    def __iter__(self) -> Iterator[T]:
        """The batches of the run that has begun."""
        assert self._prefetcher is not None
        return self._prefetcher

    def end(self) -> None:
        """Ends a run; nothing is read meanwhile."""
        self._stop()
        self._tell("on_epoch_end")

    def restart(self) -> None:
        """Lets the next run begin anew, if that is possible."""
        if not self.once:
            self._iterator = None

    def _tell(self, event: str) -> None:
        hook = getattr(self._given, event, None)
        if hook is not None:
            hook()

    def _batches(self) -> Iterator[Any]:
        """All batches anew."""
        if self._length is None or not hasattr(self._given, "__getitem__"):
            return iter(self._given)
        if self._length == np.inf:
            return map(self._given.__getitem__, itertools.count())
        numbers: Any = range(int(self._length))
        if self._shuffle and numbers:
            numbers = random.orders(len(numbers), 1).tolist()
        workers = getattr(self._given, "workers", 1)
        if type(workers) is int and workers > 1:
            most = max(workers, getattr(self._given, "max_queue_size", 0))
            return _made_by(workers, self._given.__getitem__, numbers, most)
        return map(self._given.__getitem__, numbers)

    def __enter__(self) -> Source[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop(None if kind is None else PATIENCE_SECONDS)

    def _stop(self, seconds: float | None = None) -> None:
        if self._prefetcher is not None:
            self._prefetcher.stop(seconds)
            self._prefetcher = None


def _made_by(
    workers: int, make: Callable[[int], Any], numbers: Sequence[int], most: int
) -> Iterator[Any]:
    """The batches of these numbers in their order, several made at a time, `most` of them ahead."""
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(workers, thread_name_prefix="hotloop-batches")
    waiting: deque[Any] = deque()
    try:
        for number in numbers:
            waiting.append(pool.submit(make, number))
            if len(waiting) >= most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _length(given: Any) -> float | None:
    """How many batches there are, inf if they never end; None if that is not known."""
    if isinstance(given, itertools.cycle | itertools.count):
        return np.inf
    if hasattr(given, "num_batches") and not callable(given.num_batches):
        # As Keras's PyDataset has it: None is "no end".
        return np.inf if given.num_batches is None else int(given.num_batches)
    try:
        return len(given)
    except TypeError:
        pass
    cardinality = getattr(given, "cardinality", None)  # of tf.data, whose -1 is "no end"
    return np.inf if callable(cardinality) and int(cardinality()) == -1 else None


def _is_torch_dataset(given: Any) -> bool:
    return any(
        kind.__name__ == "Dataset" and kind.__module__.startswith("torch.utils.data")
        for kind in type(given).__mro__
    )
