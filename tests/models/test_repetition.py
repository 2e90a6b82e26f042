"""What calls cost besides their arithmetic: Python calls and memory, both counted."""

from __future__ import annotations

import gc
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import hotloop
from hotloop import config, layers
from hotloop.models import arrays, loop


def classifier(*sizes: int) -> hotloop.Sequential:
    hidden = [layers.Dense(n, "relu") for n in sizes[1:-1]]
    model = hotloop.Sequential(
        [layers.Input(sizes[:1]), *hidden, layers.Dense(sizes[-1], "softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


# ------------------------------------------------------------------------- Python calls


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled core, which comes back for nothing but a Ctrl-C or the end."""
    if config.backend() != "cython":
        pytest.skip("other backends call Python in every step")
    monkeypatch.setattr(loop, "SLICE_SECONDS", 1e9)


def calls(work: Callable[[], object]) -> int:
    """Calls of Python and C functions in work(), when it is done for the third time."""
    work()
    work()
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    gc.collect()
    gc.disable()  # what it finds may have finalizers, whose calls are not work's
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count - 1  # the last one is the call that ends the counting


@pytest.mark.usefixtures("core")
def test_a_call_on_a_ready_model_is_few_python_calls() -> None:
    """About as many as now: each costs 50 to 100 ns."""
    model = classifier(784, 128, 10)
    x, y = np.ones((640, 784), np.float32), np.arange(640) % 10
    one = x[:1]
    assert calls(lambda: model(one)) < 31
    assert calls(lambda: model.predict(one, verbose=0)) < 122
    assert calls(lambda: model.predict(x, verbose=0)) < 122
    assert calls(lambda: model.fit(x, y, verbose=0)) < 330
    assert calls(lambda: model.evaluate(x, y, verbose=0)) < 223
    assert calls(lambda: model.train_on_batch(x, y)) < 178


@pytest.mark.usefixtures("core")
def test_batches_and_unwatched_epochs_add_no_python_calls() -> None:
    model = classifier(5, 3, 2)
    x, y = np.ones((640, 5), np.float32), np.arange(640) % 2

    def fit(batch_size: int, epochs: int) -> int:
        return calls(lambda: model.fit(x, y, batch_size, epochs, verbose=0))

    assert fit(32, 2) == fit(8, 2) == fit(8, 100)
    block = arrays.BLOCK_ROWS // len(x)  # epochs whose order is drawn at once
    by_block = fit(32, 3 * block) - fit(32, 2 * block)
    assert (
        by_block == fit(8, 4 * block) - fit(8, 3 * block) < 120
    )  # at a block's begin, layers are asked anew


# -------------------------------------------------------------------------------- memory


def resident() -> int:
    """Bytes of memory that the process has; where nothing tells, the most it ever had."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def growth(work: Callable[[int], object], times: int) -> tuple[int, int]:
    """What work(0) to work(times - 1) add, as it goes on: Python's blocks, and bytes.

    The least that any part after the first adds: a leak is in all of them, while what the rest
    of the process takes or gives back is in one.
    """
    if config.backend() != "cython":
        times //= 10  # a tenth of the speed
    found = []
    for part in range(4):
        for i in range(part * times // 4, (part + 1) * times // 4):
            work(i)
        gc.collect()
        found.append((sys.getallocatedblocks(), resident()))
    blocks, held = zip(*found, strict=True)
    return int(min(np.diff(blocks))), int(min(np.diff(held)))


def test_ten_thousand_fits_leave_memory_flat() -> None:
    model = classifier(5, 3, 2)
    x, y = np.ones((40, 5)), np.arange(40) % 2
    blocks, held = growth(lambda i: model.fit(x, y, verbose=0), 10_000)
    assert blocks < 100
    assert held < 1_000_000


def test_predictions_leave_memory_flat() -> None:
    model = classifier(5, 3, 2)
    x = np.ones((40, 5))

    def work(i: int) -> None:
        model.predict(x, verbose=0)
        model(x)

    blocks, held = growth(work, 10_000)
    assert blocks < 100
    assert held < 1_000_000


def test_calls_of_all_sizes_leave_memory_flat() -> None:
    model = classifier(5, 30, 2)
    x, y = np.ones((50, 5)), np.arange(50) % 2

    def work(i: int) -> None:
        rows = 1 + i % 50
        model.fit(x, y, rows, verbose=0)  # more batch sizes than plans are kept
        model.train_on_batch(x[:rows], y[:rows])
        model.predict(x[:rows], verbose=0)
        model(x[:rows])

    blocks, held = growth(work, 1000)
    assert blocks < 500
    assert held < 1_000_000


def test_a_thousand_models_leave_memory_flat() -> None:
    """Their weights are large enough to share the core's huge pages, and one model stays."""
    x, y = np.ones((40, 31)), np.arange(40) % 3
    kept = classifier(31, 300, 3)
    kept.fit(x, y, verbose=0)

    def work(i: int) -> None:
        model = classifier(31, 300, 3)
        model.fit(x, y, verbose=0)
        model.predict(x, verbose=0)

    blocks, held = growth(work, 1000)
    assert blocks < 1000
    assert held < 5_000_000  # each has 0.3 MB
