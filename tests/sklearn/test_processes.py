"""Estimators that travel: pickle, joblib, searches in several processes, imports."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import hotloop
from hotloop.sklearn import KerasStyleClassifier, MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

FIT = {"max_iter": 5, "random_state": 0}


def digits(rows=400):
    x, y = load_digits(return_X_y=True)
    return x[:rows], y[:rows]


def by_pickle(estimator, folder):
    return pickle.loads(pickle.dumps(estimator))


def by_joblib(estimator, folder):
    joblib.dump(estimator, folder / "estimator.joblib")
    return joblib.load(folder / "estimator.joblib")


def by_copy(estimator, folder):
    return copy.deepcopy(estimator)


@pytest.mark.parametrize("way", [by_pickle, by_joblib, by_copy])
@pytest.mark.parametrize(
    "estimator",
    [
        MLPClassifier(dropout=0.2, solver="adamw", **FIT),
        MLPClassifier(solver=hotloop.optimizers.SGD(0.1, momentum=0.9), **FIT),
        MLPRegressor(solver="sgd", learning_rate="invscaling", **FIT),
        MLPClassifier(solver="lbfgs", **FIT),
        KerasStyleClassifier(
            hotloop.Sequential([hotloop.layers.Dense(10, "softmax")]), epochs=3, random_state=0
        ),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_a_copy_predicts_the_same_and_goes_on_alike(estimator, way, tmp_path):
    x, y = digits()
    x = x / 16
    estimator = clone(estimator).fit(x, y)
    other = way(estimator, tmp_path)
    how = "predict_proba" if hasattr(estimator, "predict_proba") else "predict"
    np.testing.assert_array_equal(getattr(other, how)(x), getattr(estimator, how)(x))
    if hasattr(estimator, "partial_fit"):  # optimizer, order and dropout are where they were
        estimator.partial_fit(x, y)
        other.partial_fit(x, y)
    else:
        estimator.set_params(warm_start=True).fit(x, y)
        other.set_params(warm_start=True).fit(x, y)
    np.testing.assert_array_equal(getattr(other, how)(x), getattr(estimator, how)(x))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_searches_in_processes(n_jobs):
    x, y = digits()
    pipeline = make_pipeline(MinMaxScaler(), MLPClassifier(learning_rate_init=0.02, random_state=0))
    grid = {"mlpclassifier__hidden_layer_sizes": [(1,), (30,)], "mlpclassifier__alpha": [1e-4, 10]}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=n_jobs).fit(x, y)
    assert search.best_params_ == {
        "mlpclassifier__hidden_layer_sizes": (30,),
        "mlpclassifier__alpha": 1e-4,
    }
    assert search.score(x, y) > 0.9
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    drawn = RandomizedSearchCV(pipeline, grid, n_iter=2, cv=2, n_jobs=n_jobs, random_state=0)
    assert drawn.fit(x, y).score(x, y) > 0.5


def test_a_search_in_processes_finds_what_a_search_in_one_does():
    x, y = digits()
    scores = [
        cross_val_score(MLPClassifier(**FIT), x / 16, y, cv=3, n_jobs=n_jobs) for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*scores)


def test_model_functions_travel_to_processes():
    def build(units=5):
        return hotloop.Sequential(
            [hotloop.layers.Dense(units, "relu"), hotloop.layers.Dense(10, "softmax")]
        )

    x, y = digits()
    estimator = KerasStyleClassifier(build, epochs=10, random_state=0)
    search = GridSearchCV(estimator, {"model__units": [1, 40]}, cv=2, n_jobs=2).fit(x / 16, y)
    assert search.best_params_ == {"model__units": 40}


def test_many_fits_in_threads_of_one_process():
    x, y = digits()
    expected = BaggingClassifier(MLPClassifier(max_iter=3), 4, random_state=0).fit(x, y)
    with joblib.parallel_config("threading"):
        found = BaggingClassifier(MLPClassifier(max_iter=3), 4, random_state=0, n_jobs=4).fit(x, y)
    np.testing.assert_allclose(found.predict_proba(x), expected.predict_proba(x), atol=1e-5)


# ------------------------------------------------------------------------------- threads


def test_processes_of_joblib_share_the_cpus(monkeypatch):
    monkeypatch.delenv("HOTLOOP_NUM_THREADS", raising=False)
    for each in (1, 3):
        with joblib.parallel_config("loky", inner_max_num_threads=each):
            found = joblib.Parallel(2)(joblib.delayed(hotloop.config.num_threads)() for _ in "ab")
        expected = min(each, len(os.sched_getaffinity(0)))
        assert found == [expected] * 2


# ------------------------------------------------------------------------------- imports


def python(code: str) -> subprocess.CompletedProcess[str]:
    path = str(Path(hotloop.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


def test_hotloop_alone_does_not_import_scikit_learn():
    done = python("import sys, hotloop; print({'sklearn', 'scipy', 'joblib'} & set(sys.modules))")
    assert done.stdout == "set()\n"


def test_it_is_found_without_an_import_of_its_own():
    done = python("import hotloop; print(hotloop.sklearn.MLPClassifier())")
    assert done.stdout == "MLPClassifier()\n"


def test_without_scikit_learn_the_error_says_what_to_install():
    done = python("import sys; sys.modules['sklearn'] = None; import hotloop.sklearn")
    assert (
        "ImportError: hotloop.sklearn needs scikit-learn 1.6 or newer: pip install" in done.stderr
    )
    assert "scikit-learn" in done.stderr
