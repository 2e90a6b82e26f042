"""Plans are made once for what decides them, and runs that overlap do not share an executor."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest
from concurrency import PATIENCE, in_threads

import hotloop
from hotloop import config
from hotloop.layers import Dense, Dropout, Lambda
from hotloop.models import plans

x = np.random.default_rng(0).normal(size=(40, 5)).astype("f4")
y = x[:, :1]


def new_model(*more: Any) -> hotloop.Sequential:
    model = hotloop.Sequential([Dense(3, input_dim=5), *more, Dense(1)])
    model.compile("sgd", "mse")
    return model


def kept(model: hotloop.Sequential) -> list[plans.Ready]:
    return list(model._plans)


# ------------------------------------------------------------------------- what decides


def test_the_same_call_finds_the_same_plan(backend):
    model = new_model()
    for call in (
        lambda: model.fit(x, y, verbose=0),
        lambda: model.evaluate(x, y, verbose=0),
        lambda: model.predict(x, verbose=0),
        lambda: model.train_on_batch(x, y),
        lambda: model.loss_and_gradients(x, y),
    ):
        call()
        before = kept(model)
        call()
        assert kept(model) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda model: setattr(model.layers[0], "trainable", False),
        lambda model: setattr(model, "optimizer", "adam"),
        lambda model: setattr(model.optimizer, "clipvalue", 0.5),
        lambda model: config.set_backend("numpy"),
    ],
    ids=["weights", "optimizer", "its settings", "backend"],
)
@pytest.mark.parametrize("backend", ["cython", "numba"], indirect=True)
def test_what_decides_a_plan_asks_for_another(change, backend):
    model = new_model()
    model.fit(x, y, verbose=0)
    [before] = kept(model)
    change(model)
    model.fit(x, y, verbose=0)
    assert len(kept(model)) == 2
    assert kept(model)[-1] is not before


def test_a_plan_for_each_purpose_batch_size_and_weighting():
    model = new_model()
    weight = np.ones(len(x))
    for i, call in enumerate(
        (
            lambda: model.fit(x, y, verbose=0),
            lambda: model.fit(x, y, batch_size=8, verbose=0),
            lambda: model.fit(x, y, sample_weight=weight, verbose=0),
            lambda: model.evaluate(x, y, verbose=0),
            lambda: model.predict(x, verbose=0),
            lambda: model.loss_and_gradients(x, y),
        )
    ):
        call()
        assert len(kept(model)) == i + 1


def test_few_are_kept_that_are_large(backend, monkeypatch):
    model = new_model()
    monkeypatch.setattr(plans, "KEPT_BYTES", 0)
    for size in range(1, 2 * plans.KEPT):
        model.predict(x, batch_size=size, verbose=0)
    assert sizes(model) == list(range(plans.KEPT, 2 * plans.KEPT))


def test_more_are_kept_that_are_small(monkeypatch):
    model = new_model()
    monkeypatch.setattr(plans, "MOST_KEPT", 12)
    for size in (*range(1, 13), 2, 13, 14, 2):
        model.predict(x, batch_size=size, verbose=0)
    assert sizes(model) == [*range(4, 13), 13, 14, 2]  # those that were used last


def sizes(model: hotloop.Sequential) -> list[int]:
    return [ready.plan.batch_size for ready in kept(model)]


def test_what_a_plan_is_found_by_lives_as_long():
    """Or something else could be given its id."""
    model = new_model()
    model.evaluate(x, y, verbose=0)
    objective = weakref.ref(model._compilation.newest)
    model._compilation = None
    gc.collect()
    assert objective() is not None
    model._plans.forget()
    gc.collect()
    assert objective() is None


# ------------------------------------------------------------------------- at once


@pytest.mark.parametrize(
    "call",
    [
        lambda model: model.predict(x, verbose=0),
        lambda model: model(x),
        lambda model: model.evaluate(x, y, verbose=0),
    ],
    ids=["predict", "call", "evaluate"],
)
def test_runs_that_change_nothing_do_not_wait_for_each_other(call, backend):
    armed: list[threading.Barrier] = []

    def meet(values: np.ndarray) -> np.ndarray:
        if armed:
            armed[0].wait(PATIENCE)  # BrokenBarrierError if the other one waits for this
        return values

    model = new_model(Lambda(meet))
    expected = call(model)
    armed.append(threading.Barrier(2))
    found = in_threads(*[lambda: call(model)] * 2)
    armed.clear()
    for one in found:
        np.testing.assert_array_equal(one, expected)
    assert [len(ready.executors) for ready in kept(model)] == [2]
    call(model)
    assert [len(ready.executors) for ready in kept(model)] == [2]


def test_runs_that_change_weights_take_turns(backend):
    model = new_model()
    model.train_on_batch(x, y)
    [ready] = kept(model)
    inside, most = [0], [0]
    wait = threading.Event()

    def work(executor: Any) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        wait.wait(0.01)
        inside[0] -= 1

    in_threads(*[lambda: ready.alone(work)] * 4)
    assert most == [1]
    assert len(ready.executors) == 1


def test_fits_at_once_lose_no_step(backend):
    model = new_model(Dropout(0.2))
    model.fit(x, y, 8, verbose=0)
    before = model.optimizer.iterations
    in_threads(*[lambda: model.fit(x, y, 8, epochs=20, verbose=0)] * 3)
    assert model.optimizer.iterations == before + 3 * 20 * 5
    assert all(np.isfinite(w).all() for w in model.get_weights())


@pytest.mark.parametrize("purpose", ["train", "predict"])
def test_a_run_within_itself_is_refused(purpose, backend):
    model = new_model()
    run = {"train": lambda: model.train_on_batch(x, y), "predict": lambda: model(x)}[purpose]
    run()
    [ready] = kept(model)
    with pytest.raises(RuntimeError, match=r"Sequential '.*' was called from within its own run"):
        ready.alone(lambda executor: run())
    run()
    assert len(ready.executors) == 1


def test_an_executor_comes_back_after_an_error(backend):
    model = new_model()
    model(x)
    [ready] = kept(model)
    [executor] = ready.executors

    def fail(executor: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ready.alone(fail)
    assert ready.executors == [executor]


@pytest.mark.parametrize(("rows", "size"), [(1, 1), (2, 2), (3, 4), (33, 64)])
def test_rounded_up(rows, size):
    assert plans.rounded_up(rows) == size
