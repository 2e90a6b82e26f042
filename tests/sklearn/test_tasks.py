"""Callbacks of hotloop's and of scikit-learn's own, on all estimators."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

import hotloop
from hotloop.callbacks import Callback, EarlyStopping, LambdaCallback
from hotloop.sklearn import (
    KerasStyleClassifier,
    KerasStyleRegressor,
    MLPClassifier,
    MLPRegressor,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def build(meta):
    last = "softmax" if "n_classes_" in meta else None
    return hotloop.Sequential([hotloop.layers.Dense(meta["n_outputs_"], last)])


ESTIMATORS = [
    MLPClassifier(5, max_iter=3, random_state=0),
    MLPClassifier(5, max_iter=3, random_state=0, solver="lbfgs"),
    MLPRegressor(hidden_layer_sizes=5, max_iter=3, random_state=0),
    MLPRegressor(hidden_layer_sizes=5, max_iter=3, random_state=0, solver="lbfgs"),
    KerasStyleClassifier(build, epochs=3, random_state=0),
    KerasStyleRegressor(build, epochs=3, random_state=0),
]


def named(estimator):
    """The same in each process, which a function's address is not."""
    return re.sub(r" at 0x\w+", "", str(estimator))


each_estimator = pytest.mark.parametrize("estimator", ESTIMATORS, ids=named)


def digits():
    x, y = load_digits(return_X_y=True)
    return x[:100] / 16, y[:100]


class Recorder(Callback):
    def __init__(self):
        self.events = []

    def on_train_begin(self, logs=None):
        self.events.append("begin")

    def on_epoch_begin(self, epoch, logs=None):
        self.events.append(f"epoch {epoch}")

    def on_epoch_end(self, epoch, logs=None):
        self.events.append(round(logs["loss"], 6))

    def on_train_end(self, logs=None):
        self.events.append("end")


@each_estimator
@pytest.mark.parametrize("sparse", [False, True])
def test_callbacks_hear_of_each_epoch(estimator, sparse):
    x, y = digits()
    recorder = Recorder()
    given = sp.csr_array(x) if sparse else x
    estimator = clone(estimator).set_params(callbacks=[recorder]).fit(given, y)
    events = recorder.events
    assert [e for e in events if isinstance(e, str)] == [
        "begin", "epoch 0", "epoch 1", "epoch 2", "end"
    ]  # fmt: skip
    losses = [e for e in events if not isinstance(e, str)]
    if hasattr(estimator, "loss_curve_"):
        np.testing.assert_allclose(losses, estimator.loss_curve_, atol=1e-5)
    elif not hasattr(estimator, "history_"):
        assert losses == sorted(losses, reverse=True)
        assert abs(losses[-1] - estimator.loss_) < 1e-5
    # They change nothing.
    plain = clone(estimator).set_params(callbacks=None).fit(given, y)
    for a, b in zip(estimator.model_.get_weights(), plain.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@each_estimator
def test_a_callback_ends_training(estimator):
    def stop(epoch, logs):
        if epoch == 1:
            caller.model.stop_training = True

    caller = LambdaCallback(on_epoch_end=stop)
    recorder = Recorder()
    clone(estimator).set_params(callbacks=[recorder]).fit(*digits())
    estimator = clone(estimator)
    estimator.callbacks = [caller, recorder]
    estimator.fit(*digits())
    assert recorder.events.count("epoch 1") == 2
    assert recorder.events.count("epoch 2") == 1
    assert getattr(estimator, "n_iter_", 2) == 2


def test_validation_scores_are_among_the_logs():
    x, y = digits()
    seen = []
    record = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["val_score"]))
    estimator = MLPClassifier(max_iter=3, random_state=0)
    estimator.callbacks = [record, EarlyStopping("val_score", patience=50, mode="max")]
    estimator.fit(x, y, validation_data=(x, y))
    assert seen == estimator.validation_scores_


@each_estimator
def test_what_is_no_callback(estimator):
    for bad in ("early", 3, print):
        with pytest.raises(ValueError, match="'callbacks' parameter"):
            clone(estimator).set_params(callbacks=bad).fit(*digits())
    with pytest.raises(TypeError, match="Callback"):
        clone(estimator).set_params(callbacks=[3]).fit(*digits())


# ---------------------------------------------------------------------- scikit-learn's own

skl = pytest.importorskip("sklearn.callback", reason="came with scikit-learn 1.9")


class Told:
    """One of scikit-learn's protocol."""

    def __init__(self, stop_at=None):
        self.told, self.stop_at = [], stop_at

    def setup(self, estimator, context):
        self.told.append("setup")

    def teardown(self, estimator, context):
        self.told.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.told.append(f"begin {context.task_name}")
        assert (X.shape[0], len(y)) == (100, 100)

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.told.append(f"end {context.task_name}")
        assert np.isfinite(fitted_estimator.score(X, y))
        return context.task_name == "epoch" and context.task_id == self.stop_at


@each_estimator
def test_scikit_learns_callbacks(estimator):
    told = Told()
    estimator = clone(estimator).set_callbacks(told).fit(*digits())
    assert told.told == [
        "setup", "begin fit", *["begin epoch", "end epoch"] * 3, "end fit", "teardown"
    ]  # fmt: skip
    plain = clone(estimator).set_callbacks().fit(*digits())
    for a, b in zip(estimator.model_.get_weights(), plain.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@each_estimator
def test_scikit_learns_callbacks_end_training(estimator):
    told = Told(stop_at=1)
    clone(estimator).set_callbacks(told).fit(*digits())
    assert told.told.count("end epoch") == 2


@each_estimator
def test_teardown_after_an_error(estimator):
    told = Told()
    with pytest.raises(ValueError, match="NaN"):
        clone(estimator).set_callbacks(told).fit(np.full((100, 3), np.nan), digits()[1])
    assert told.told == ["setup", "teardown"]


def test_no_callbacks_of_scikit_learns_in_partial_fit():
    told = Told()
    x, y = digits()
    MLPClassifier(max_iter=2).set_callbacks(told).partial_fit(x, y, classes=range(10))
    assert told.told == []


def test_scores_of_each_epoch():
    monitor = skl.ScoringMonitor(scoring="accuracy")
    estimator = MLPClassifier(max_iter=4, random_state=0).set_callbacks(monitor)
    estimator.fit(*digits())
    assert len(pickle.dumps(estimator)) > 0


def test_progress_through_a_search():
    pytest.importorskip("rich")
    search = GridSearchCV(MLPClassifier(max_iter=2), {"alpha": [0.1, 1.0]}, cv=2)
    search.set_callbacks(skl.ProgressBar()).fit(*digits())
    assert search.best_params_["alpha"] in (0.1, 1.0)
