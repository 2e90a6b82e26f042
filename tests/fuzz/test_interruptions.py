"""Training that is disturbed at random moments: forks, signals, and callbacks that do anything.

Whatever happens, nothing hangs and nothing crashes, and the model can be used afterwards.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from concurrency import PATIENCE, in_child

import hotloop
from hotloop.callbacks import Callback
from hotloop.layers import BatchNormalization, Dense, Dropout

Act = Callable[[], Any]


class Case:
    """A random model with its data."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        hotloop.utils.set_random_seed(seed)
        features, units = self.rng.choice([1, 3, 17, 200]), self.rng.choice([1, 5, 33, 129])
        source = np.random.default_rng(seed)
        self.x = source.normal(size=(self.rng.choice([7, 300]), features)).astype("f4")
        self.y = (self.x[:, :1] > 0).astype("f4")
        self.batch_size = self.rng.choice([1, 8, 32])
        more = self.rng.choice([[], [Dropout(0.3)], [BatchNormalization()]])
        layers = [Dense(units, "relu", input_dim=features), *more, Dense(1, "sigmoid")]
        self.model = hotloop.Sequential(layers)
        metrics = self.rng.choice([[], ["accuracy"], ["accuracy", hotloop.metrics.AUC()]])
        self.model.compile(self.rng.choice(["sgd", "adam"]), "binary_crossentropy", metrics=metrics)

    def fit(self, epochs: int = 1, **options: Any) -> Any:
        return self.model.fit(
            self.x, self.y, self.batch_size, epochs, verbose=0, shuffle=True, **options
        )

    def acts(self) -> dict[str, Act]:
        """What may be done to the model at any moment."""
        model = self.model
        return {
            "fit": self.fit,
            "evaluate": lambda: model.evaluate(self.x, self.y, verbose=0),
            "predict": lambda: model.predict(self.x, verbose=0),
            "predict_on_batch": lambda: model.predict_on_batch(self.x[:5]),
            "train_on_batch": lambda: model.train_on_batch(self.x, self.y),
            "weights": lambda: model.set_weights(model.get_weights()),
            "draw": lambda: hotloop.random.generator().normal(size=3),
            "new model": lambda: Case(self.rng.getrandbits(32)).fit(),
        }

    def check(self) -> None:
        """The model trains and predicts."""
        self.fit()
        assert np.isfinite(self.model.predict(self.x, verbose=0)).all()


@contextmanager
def training(case: Case) -> Iterator[None]:
    """Another thread trains meanwhile."""
    over = threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            while not over.is_set():
                case.fit(epochs=3)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        case.model.stop_training = True
        thread.join(PATIENCE)
    assert not thread.is_alive()
    assert failed == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_forks(seeds: Any) -> None:
    for seed in seeds(12):
        case = Case(seed)
        with training(case):
            for _ in range(4):
                time.sleep(case.rng.uniform(0, 0.02))
                name, act = case.rng.choice(list(case.acts().items()))
                print(f"in a child: {name}")  # shown if it fails
                in_child(lambda act=act, case=case: (act(), case.check()))
        case.check()


class RaisedError(Exception):
    """What a handler or a callback raises."""


class Handler:
    """Of signals that arrive at random moments: it acts on the model, or raises an error."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.calls = 0
        self.raised = False

    def arm(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, self.case.rng.uniform(0.001, 0.02))

    def __call__(self, *_: Any) -> None:
        self.calls += 1
        if self.case.rng.random() < 0.1:
            self.raised = True
            raise RaisedError
        try:
            self.case.rng.choice(list(self.case.acts().values()))()
        except RuntimeError as error:  # it wants the very plan that is running
            if "from within its own run" not in str(error):
                raise
        self.arm()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # in a destructor
def test_signals(seeds: Any) -> None:
    before = signal.getsignal(signal.SIGALRM)
    for seed in seeds(12):
        case = Case(seed)
        handler = Handler(case)
        signal.signal(signal.SIGALRM, handler)
        handler.arm()
        until = time.monotonic() + PATIENCE
        try:
            while handler.calls < 3 and not handler.raised and time.monotonic() < until:
                case.fit(epochs=4)
                case.model.evaluate(case.x, case.y, verbose=0)
        except RaisedError:
            pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert handler.raised or handler.calls >= 3
        case.check()


HOOKS = [
    f"on_{what}_{when}"
    for what in ("epoch", "train_batch", "test_batch", "train", "test")
    for when in ("begin", "end")
]


class Anything(Callback):
    """Does something at random in some hooks."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.case = case
        self.inside = False
        for name in case.rng.sample(HOOKS, 3):
            setattr(self, name, self.act)

    def act(self, *_: Any) -> None:
        rng, model = self.case.rng, self.case.model
        if self.inside or rng.random() < 0.5:
            return
        if rng.random() < 0.03:
            raise RaisedError
        acts = self.case.acts() | {
            "stop": lambda: setattr(model, "stop_training", True),
            "rate": lambda: setattr(model.optimizer, "learning_rate", 0.01),
            "frozen": lambda: setattr(model.layers[0], "trainable", rng.random() < 0.5),
        }
        self.inside = True
        try:
            rng.choice(list(acts.values()))()
        finally:
            self.inside = False


@pytest.mark.filterwarnings("ignore:.*has no trainable weights:UserWarning")
def test_callbacks(seeds: Any) -> None:
    for seed in seeds(12):
        case = Case(seed)
        try:
            history = case.fit(
                epochs=3,
                callbacks=[Anything(case), Anything(case)],
                validation_data=(case.x, case.y),
            )
        except RaisedError:
            pass
        else:
            assert all(np.isfinite(values).all() for values in history.history.values())
        case.model.layers[0].trainable = True
        case.check()
