"""Forks while other threads train, from callbacks and from signal handlers."""

import gc
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from concurrency import exit_code, in_child

import hotloop
from hotloop import forks, random
from hotloop.layers import Dense, Dropout, Lambda

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]

x = np.random.default_rng(0).normal(size=(400, 12)).astype("f4")
y = (x[:, :1] > 0).astype("f4")


def new_model(*more: Any) -> hotloop.Sequential:
    layers = [Dense(16, "relu", input_dim=12), Dropout(0.3), *more, Dense(1, "sigmoid")]
    model = hotloop.Sequential(layers)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy", hotloop.metrics.AUC()])
    return model


@contextmanager
def training(model: hotloop.Sequential, **options: Any) -> Iterator[None]:
    """Another thread fits the model meanwhile, again and again."""
    over = threading.Event()

    def train() -> None:
        while not over.is_set():
            model.fit(x, y, epochs=50, verbose=0, **options)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        yield
    finally:
        over.set()
        model.stop_training = True
        while thread.is_alive():
            model.stop_training = True  # a fit that has just begun sets it back
            thread.join(0.05)


def fit(model: hotloop.Sequential) -> None:
    losses = model.fit(x, y, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all()


def predict(model: hotloop.Sequential) -> None:
    assert np.isfinite(model.predict(x, verbose=0)).all()
    assert np.isfinite(model.predict_on_batch(x)).all()


def draw() -> None:
    random.next_key()
    random.orders(5, 3)
    hotloop.utils.set_random_seed(1)
    hotloop.initializers.GlorotUniform()((2, 2))
    np.random.normal(size=3)  # noqa: NPY002


def work_of_a_child(model: hotloop.Sequential) -> None:
    draw()
    predict(model)
    fit(model)
    fit(new_model())
    assert np.isfinite(model.evaluate(x, y, verbose=0)).all()


def test_a_child_does_anything_while_another_thread_trains(backend):
    model = new_model()
    fit(model)
    with training(model):
        for _ in range(4):
            time.sleep(0.01)
            in_child(lambda: work_of_a_child(model))


def test_a_child_of_a_thread_while_another_reads_batches(backend):
    model = new_model()
    fit(model)

    class Batches:
        def __len__(self) -> int:
            return 10

        def __getitem__(self, number: int) -> Any:
            part = slice(40 * number, 40 * number + 40)
            return x[part], y[part]

    batches = Batches()
    over = threading.Event()

    def train() -> None:
        while not over.is_set():
            model.fit(batches, epochs=2, verbose=0)

    def work() -> None:
        model.fit(batches, epochs=1, verbose=0)
        work_of_a_child(model)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for _ in range(2):
            time.sleep(0.01)
            in_child(work)
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("hook", ["on_epoch_end", "on_train_batch_end"])
def test_a_callback_forks(backend, hook):
    model = new_model()
    parent = os.getpid()
    told = []

    class Forks(hotloop.callbacks.Callback):
        def fork(self, *_: Any) -> None:
            if os.getpid() == parent and not told:
                told.append(True)
                in_child(lambda: work_of_a_child(model))

    callback = Forks()
    setattr(callback, hook, callback.fork)
    history = model.fit(x, y, epochs=3, verbose=0, callbacks=[callback])
    assert told
    assert len(history.history["loss"]) == 3


def test_a_child_goes_on_with_the_fit_that_its_callback_forked_in(backend):
    model = new_model()
    parent = os.getpid()
    forked = []

    class Forks(hotloop.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                forked.append(os.fork())

    history = model.fit(x, y, epochs=4, verbose=0, callbacks=[Forks()])
    if os.getpid() != parent:
        os._exit(0 if len(history.history["loss"]) == 4 else 1)
    assert exit_code(forked[0]) == 0


def test_batches_that_a_thread_of_the_parent_reads_are_an_error_in_the_child():
    model = new_model()
    parent = os.getpid()
    forked = []

    def batches() -> Iterator[Any]:
        for _ in range(50):
            yield x[:40], y[:40]

    class Forks(hotloop.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 3:
                forked.append(os.fork())

    try:
        model.fit(batches(), verbose=0, callbacks=[Forks()])
    except RuntimeError as error:
        os._exit(7 if os.getpid() != parent and "parent" in str(error) else 1)
    if os.getpid() != parent:
        os._exit(1)
    assert exit_code(forked[0]) == 7


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
def test_a_signal_handler_forks(backend):
    model = new_model()
    fit(model)
    parent = os.getpid()
    forks_of: list[bool] = []
    under_way: list[bool] = []

    def handle(*_: Any) -> None:
        # Not within a fork: the locks of Python's own modules are not reentrant.
        if os.getpid() == parent and not under_way:
            under_way.append(True)
            in_child(lambda: fit(new_model()))
            forks_of.append(under_way.pop())

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        while len(forks_of) < 3:
            model.fit(x, y, epochs=5, verbose=0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_function_inside_a_model_forks(backend):
    parent = os.getpid()
    forked: list[int] = []
    armed = []

    def function(values: np.ndarray) -> np.ndarray:
        if armed and not forked:
            forked.append(-1)
            forked[0] = os.fork()
        return values

    # Wide enough for several threads, which a child has not.
    model = hotloop.Sequential(
        [Dense(256, "relu", input_dim=256), Lambda(function, gradient=lambda _, dy: dy), Dense(1)]
    )
    model.compile("sgd", "mse")
    wide = np.ones((512, 256), "f4")
    model.fit(wide, np.ones((512, 1)), batch_size=256, verbose=0)
    armed.append(True)
    try:
        model.fit(wide, np.ones((512, 1)), batch_size=256, verbose=0)
    except RuntimeError as error:
        if os.getpid() != parent:
            os._exit(7 if "os._exit" in str(error) else 1)
        raise
    if os.getpid() != parent:
        os._exit(7 if backend != "cython" else 1)
    assert exit_code(forked[0]) == 7


def test_a_fork_waits_for_locks_in_any_order():
    first, second = (forks.kept_over_forks(threading.RLock()) for _ in range(2))
    over = threading.Event()

    def take(one: Any, other: Any) -> None:
        while not over.is_set():
            with one, other:
                pass

    # One order for both threads, and with it any for the fork.
    threads = [threading.Thread(target=take, args=(second, first)) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(30):
            in_child(lambda: first.acquire() and second.acquire())
    finally:
        over.set()
        for thread in threads:
            thread.join()
        forks._kept.remove(first)
        forks._kept.remove(second)


def test_a_fork_waits_for_a_generator_that_another_thread_draws_from():
    source, library = np.random.default_rng(0), random.generator()
    drawn = threading.Event()

    def hold(lock: Any) -> None:
        with lock:
            drawn.set()
            time.sleep(0.2)

    with random.drawing_from(source):
        for lock in (
            source.bit_generator.lock,
            library.bit_generator.lock,
            np.random.get_bit_generator().lock,
        ):
            drawn.clear()
            thread = threading.Thread(target=hold, args=(lock,))
            thread.start()
            drawn.wait()
            in_child(draw)
            in_child(lambda: source.random())
            thread.join()
    assert not random._sources


def test_owners_are_told_as_long_as_they_live():
    class Owner:
        told = 0

        def forked(self) -> None:
            Owner.told += 1

    owner = forks.told_of_forks(Owner())

    def check(times: int) -> None:
        assert Owner.told == times

    in_child(lambda: check(1))
    del owner
    in_child(lambda: check(0))


def test_models_leave_nothing_behind():
    fit(new_model())
    gc.collect()  # of other tests' models too
    known = len(forks._owners), len(forks._kept), len(forks._more), len(forks._in_child)
    for _ in range(3):
        fit(new_model())
    gc.collect()
    assert (len(forks._owners), len(forks._kept), len(forks._more), len(forks._in_child)) == known


def test_a_child_may_fork_again(backend):
    model = new_model()
    with training(model):
        in_child(lambda: in_child(lambda: work_of_a_child(model)))
