"""Runs that overlap: each has metrics of its own, and none waits for itself."""

import signal
import threading
from typing import Any

import numpy as np
import pytest
from concurrency import in_threads
from sklearn.metrics import precision_score, recall_score

import hotloop
from hotloop.layers import Dense, Lambda
from hotloop.metrics import AUC, Precision, Recall

x = np.random.default_rng(0).normal(size=(600, 5)).astype("f4")
y = (x[:, :1] + np.random.default_rng(1).normal(size=(600, 1)) > 0).astype("f4")
halves = [(x[:200], y[:200]), (x[200:], y[200:])]


def new_model() -> hotloop.Sequential:
    model = hotloop.Sequential([Dense(1, "sigmoid", input_dim=5)])
    model.compile("sgd", "binary_crossentropy", metrics=[Precision(), Recall(), AUC()])
    return model


def expected(model: hotloop.Sequential, data: Any) -> list[float]:
    guess = model.predict(data[0], verbose=0) > 0.5
    return [precision_score(data[1], guess), recall_score(data[1], guess)]


def evaluated(model: hotloop.Sequential, data: Any) -> list[float]:
    return list(model.evaluate(*data, batch_size=8, verbose=0)[1:3])


def test_two_threads_evaluate(backend):
    model = new_model()
    wanted = [expected(model, data) for data in halves]
    found: dict[int, list[list[float]]] = {0: [], 1: []}

    def work(i: int) -> None:
        for _ in range(5):
            found[i].append(evaluated(model, halves[i]))

    in_threads(*[lambda i=i: work(i) for i in (0, 1)])
    for i in (0, 1):
        assert len(found[i]) == 5
        np.testing.assert_allclose(found[i], [wanted[i]] * 5)


def test_evaluate_in_a_callback_leaves_the_outer_run_alone(backend):
    model, other = new_model(), new_model()
    other.set_weights(model.get_weights())
    data = {"x": x, "y": y, "epochs": 2, "verbose": 0, "shuffle": False}
    seen = []

    class Nested(hotloop.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append((evaluated(model, halves[0]), expected(model, halves[0])))

    found = model.fit(**data, validation_data=halves[1], callbacks=[Nested()]).history
    plain = other.fit(**data, validation_data=halves[1]).history
    assert seen
    np.testing.assert_allclose([a for a, _ in seen], [b for _, b in seen])
    for one, two in zip(found.values(), plain.values(), strict=True):
        np.testing.assert_allclose(one, two)
    np.testing.assert_allclose(
        [found["val_" + m.name][-1] for m in model.metrics[:2]], expected(model, halves[1])
    )


def test_metrics_show_the_run_that_ended_last(backend):
    model = new_model()
    results = evaluated(model, halves[1])
    assert [metric.result() for metric in model.metrics[:2]] == results


def test_a_metric_that_cannot_be_copied_is_named():
    class Locked(Precision):
        def __init__(self) -> None:
            super().__init__(name="locked")
            self.lock = threading.Lock()

    model = hotloop.Sequential([Dense(1, "sigmoid", input_dim=5)])
    model.compile("sgd", "mse", metrics=[Locked()])

    class Nested(hotloop.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            model.evaluate(x, y, verbose=0)

    with pytest.raises(RuntimeError, match="locked"):
        model.fit(x, y, verbose=0, callbacks=[Nested()])
    model.evaluate(x, y, verbose=0)


def test_a_model_that_calls_itself_is_refused(backend):
    armed: list[bool] = []

    def function(values: np.ndarray) -> np.ndarray:
        if armed:
            model.predict(x, verbose=0)
        return values

    model = hotloop.Sequential([Dense(3, input_dim=5), Lambda(function)])
    model.predict(x, verbose=0)
    armed.append(True)
    with pytest.raises(RuntimeError, match="from within its own run"):
        model.predict(x, verbose=0)
    armed.clear()
    assert model.predict(x, verbose=0).shape == (600, 3)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
def test_a_signal_handler_calls_the_model(backend):
    model = new_model()
    model.fit(x, y, verbose=0)
    outcomes: list[str] = []

    def handle(*_: Any) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)  # on a busy machine it would come within itself
        try:
            model.train_on_batch(x, y)
            outcomes.append("ran")
        except RuntimeError as error:
            outcomes.append(str(error))
        signal.setitimer(signal.ITIMER_REAL, 0.003)

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.003)
    try:
        while len(outcomes) < 20:
            model.fit(x, y, batch_size=1024, epochs=3, verbose=0)
            model.train_on_batch(x, y)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert {o for o in outcomes if "from within its own run" not in o} <= {"ran"}
    assert np.isfinite(model.evaluate(x, y, verbose=0)).all()
