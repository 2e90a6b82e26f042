"""Sources of batches: what is one, how they are read ahead, and when they begin anew."""

from __future__ import annotations

import array
import itertools
import threading
import time
import traceback
from collections import deque

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import torch

from hotloop.data.batches import AHEAD, Prefetcher, Source, is_batches


def generator(count=3):
    yield from range(count)


class Iterable:
    """Can be iterated again and has no length."""

    def __iter__(self):
        return generator()


class Numbered:
    """As Keras's PyDataset, which need not be derived from."""

    def __init__(self, count=3):
        self.count = count
        self.told = []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return index

    def on_epoch_begin(self):
        self.told.append("begin")

    def on_epoch_end(self):
        self.told.append("end")


class Endless:
    """As a PyDataset without an end."""

    num_batches = None

    def __getitem__(self, index):
        return index


class OldSequence:
    """Python's oldest way to be iterated."""

    def __getitem__(self, index):
        if index >= 3:
            raise IndexError(index)
        return index


class TensorFlowData:
    """As far as anything asks a tf.data.Dataset: its batches, and how many there are."""

    def __init__(self, cardinality):
        self._cardinality = cardinality

    def __iter__(self):
        return itertools.count() if self._cardinality == -1 else generator()

    def __len__(self):
        if self._cardinality < 0:
            raise TypeError("unknown or infinite")
        return self._cardinality

    def cardinality(self):
        return np.int64(self._cardinality)


def loader():
    return torch.utils.data.DataLoader(torch.zeros(3, 2))


@pytest.mark.parametrize(
    "value",
    [
        generator(),
        iter([1]),
        zip([1], [2], strict=True),
        Iterable(),
        Numbered(),
        Endless(),
        OldSequence(),
        TensorFlowData(3),
        loader(),
        itertools.cycle([1]),
        pa.RecordBatchReader.from_batches(pa.schema([]), []),
    ],
    ids=lambda value: type(value).__name__,
)
def test_batches(value):
    assert is_batches(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        3.0,
        "abc",
        b"abc",
        [[1.0], [2.0]],
        (1, 2),
        range(3),
        {"a": [1]},
        np.zeros(3),
        np.float32(1),
        deque([1]),
        array.array("f", [1]),
        memoryview(b"abc"),
        torch.zeros(2),
        pd.DataFrame({"a": [1]}),
        pd.Series([1]),
        pl.DataFrame({"a": [1]}),
        pl.Series([1]),
        pl.LazyFrame({"a": [1]}),
        pa.table({"a": [1]}),
        pa.array([1]),
        scipy.sparse.eye(3),
        generator,
        object(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_batches(value):
    assert not is_batches(value)


# ------------------------------------------------------------------------------- the thread


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "hotloop batches"]


@pytest.fixture(autouse=True)
def no_thread_stays():
    yield
    assert not threads()


def test_items_come_in_order_from_another_thread():
    def items():
        for i in range(100):
            yield i, threading.get_ident()

    with Prefetcher(items()) as found:
        numbers, idents = zip(*found, strict=True)
    assert numbers == tuple(range(100))
    assert set(idents) != {threading.get_ident()}
    assert len(set(idents)) == 1


def test_only_so_many_items_are_made_ahead():
    made = []

    def items():
        for i in itertools.count():
            made.append(i)
            yield i

    def settled():
        """How many were made once no more are, or a look later if there are too many."""
        end = time.monotonic() + 5
        while len(made) < taken + AHEAD and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(0.02)
        return len(made)

    with Prefetcher(items()) as found:
        for taken in range(3):
            assert settled() == taken + AHEAD
            assert next(found) == taken
    assert len(made) <= 3 + AHEAD


def test_an_exception_comes_after_the_items_before_it_with_its_traceback():
    def culprit():
        raise ZeroDivisionError("no batch")

    def items():
        yield 1
        yield 2
        culprit()

    with Prefetcher(items()) as found:
        assert [next(found), next(found)] == [1, 2]
        assert found.has_next()  # the exception
        with pytest.raises(ZeroDivisionError, match="no batch") as caught:
            next(found)
        assert "culprit" in [f.name for f in traceback.extract_tb(caught.value.__traceback__)]
        assert not found.has_next()
        assert list(found) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_exceptions_that_are_no_errors(error):
    def items():
        raise error
        yield

    with Prefetcher(items()) as found, pytest.raises(error):
        next(found)


def test_a_thread_ends_that_waits_for_room():
    found = Prefetcher(itertools.count())
    found.start()
    assert next(found) == 0
    found.stop()
    assert not threads()
    assert list(found) == []
    found.stop()


def test_an_interrupted_run_does_not_wait_for_ever_for_a_batch(monkeypatch):
    monkeypatch.setattr("hotloop.data.batches.PATIENCE_SECONDS", 0.01)
    asked, go = threading.Event(), threading.Event()

    def items():
        asked.set()
        go.wait()
        yield 1

    def interrupted():
        with Prefetcher(items()):
            asked.wait()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    (thread,) = threads()
    assert thread.daemon
    go.set()
    thread.join()


# ------------------------------------------------------------------------------- the source


def runs(given, times, steps=None, **options):
    """What each of several runs takes."""
    found = []
    with Source(given, "x", lambda number, batch: batch, steps, **options) as source:
        for _ in range(times):
            if source.begin():
                found.append(list(source))
                source.end()
            else:
                found.append(None)
    return found


@pytest.mark.parametrize(
    "make", [Iterable, Numbered, OldSequence, lambda: TensorFlowData(3), lambda: TensorFlowData(-2)]
)
def test_what_can_be_iterated_again_is(make):
    assert runs(make(), 2) == [[0, 1, 2], [0, 1, 2]]
    assert runs(make(), 3, steps=3) == [[0, 1, 2]] * 3
    assert runs(make(), 4, steps=2) == [[0, 1], [2], [0, 1], [2]]
    assert runs(make(), 2, steps=7) == [[0, 1, 2]] * 2


def test_an_iterator_that_is_used_up_is_left_alone():
    class Strict:
        def __iter__(self):
            self.over = False
            return self

        def __next__(self):
            assert not self.over
            self.over = True
            raise StopIteration

    class Given:
        num_batches = len  # a method, which says nothing

        def __iter__(self):
            return itertools.chain([1], iter(Strict()))

    assert runs(Given(), 3) == [[1]] * 3


def test_an_iterator_gives_its_batches_once():
    assert runs(generator(), 2) == [[0, 1, 2], None]
    assert runs(generator(5), 4, steps=2) == [[0, 1], [2, 3], [4], None]
    assert runs(iter([]), 1) == [None]
    assert runs([], 1) == runs(Numbered(0), 1) == [None]


def test_runs_of_what_never_ends():
    for given in (Endless(), TensorFlowData(-1), itertools.count()):
        assert runs(given, 2, steps=2) == [[0, 1], [2, 3]]
        with pytest.raises(ValueError, match="x never ends: say with steps_per_epoch where"):
            Source(given, "x", lambda number, batch: batch, steps_argument="steps_per_epoch")


def test_batches_with_numbers_are_shuffled_on_request():
    first, second = runs(Numbered(20), 2, shuffle=True)
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second
    assert first != list(range(20))
    assert runs(Iterable(), 2, shuffle=True) == [[0, 1, 2]] * 2  # what has no numbers is not


def test_a_run_may_begin_anew_before_the_last_one_used_all():
    with Source(Iterable(), "x", lambda number, batch: batch, 2) as source:
        for _ in range(2):
            source.restart()
            assert source.begin()
            assert list(source) == [0, 1]
            source.end()


def test_hooks_are_called_in_the_thread_of_the_run_while_nothing_is_read():
    given = Numbered()
    assert runs(given, 2, steps=2) == [[0, 1], [2]]
    assert given.told == ["begin", "end"] * 2


def test_batches_are_made_in_the_background_and_counted_from_one():
    def make(number, batch):
        return number, batch, threading.current_thread().name

    with Source(Numbered(2), "x", make) as source:
        assert source.begin()
        assert list(source) == [(1, 0, "hotloop batches"), (2, 1, "hotloop batches")]


def test_known_and_unknown_numbers_of_steps():
    def steps(given, wanted=None):
        return Source(given, "x", lambda number, batch: batch, wanted).steps

    assert steps(Numbered(5)) == 5
    assert steps(loader()) == 3
    assert steps(TensorFlowData(3)) == 3
    assert steps(generator()) is steps(Iterable()) is steps(TensorFlowData(-2)) is None
    assert steps(generator(), 4) == steps(Numbered(5), 4) == 4


def test_a_torch_data_set_gives_no_batches():
    data = torch.utils.data.TensorDataset(torch.zeros(3, 2), torch.zeros(3))
    with pytest.raises(TypeError, match=r"x is a torch Dataset.*DataLoader\(x, batch_size=32\)"):
        Source(data, "x", lambda number, batch: batch)


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), KeyboardInterrupt()])
@pytest.mark.parametrize("started", [False, True])
def test_a_start_that_fails_leaves_no_thread(monkeypatch, error, started):
    start = threading.Thread.start

    def fail(thread):
        if started:
            start(thread)
        raise error

    taken = Prefetcher(itertools.count())
    monkeypatch.setattr(threading.Thread, "start", fail)
    with pytest.raises(type(error)), taken:
        pytest.fail("the block began")
    taken._thread.join(10) if started else None
    assert not taken._thread.is_alive()
