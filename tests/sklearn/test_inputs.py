"""Data in odd forms, and scikit-learn's tools around the estimators."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import StackingClassifier
from sklearn.exceptions import DataConversionWarning
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RandomizedSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import hotloop
from hotloop.sklearn import (
    KerasStyleClassifier,
    KerasStyleRegressor,
    MLPClassifier,
    MLPRegressor,
)
from sklearn import config_context

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def build(meta):
    last = "softmax" if "n_classes_" in meta else None
    units = meta.get("n_classes_") or meta["n_outputs_"]
    return hotloop.Sequential([hotloop.layers.Dense(units, last)])


ESTIMATORS = [
    MLPClassifier(5, max_iter=3, random_state=0),
    MLPRegressor(hidden_layer_sizes=5, max_iter=3, random_state=0),
    KerasStyleClassifier(build, epochs=2, random_state=0),
    KerasStyleRegressor(build, epochs=2, random_state=0),
]
each_estimator = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
each_classifier = pytest.mark.parametrize(
    "estimator", ESTIMATORS[::2], ids=lambda e: type(e).__name__
)


def iris(frame=False):
    return load_iris(return_X_y=True, as_frame=frame)


@each_estimator
def test_examples_that_are_none(estimator):
    x, y = iris()
    estimator = clone(estimator)
    with pytest.raises(
        ValueError, match=r"X has shape \(150,\) and y \(150, 4\); are they swapped"
    ):
        estimator.fit(y, x)
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array instead"):
        estimator.fit(x[:, 0], y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        estimator.fit(x, y[:-1])
    with pytest.raises(ValueError, match="not compatible with arrays of bytes/strings"):
        estimator.fit([["a", "b"], ["c", "d"]], [0, 1])
    with pytest.raises(ValueError, match="Input X contains NaN"):
        estimator.fit(np.where(x > 5, np.nan, x), y)
    with pytest.raises(ValueError, match="Found array with 0 sample"):
        estimator.fit(x[:0], y[:0])
    with pytest.warns(DataConversionWarning, match="column-vector y was passed"):
        estimator.fit(x, y[:, None])
    assert estimator.predict(x).shape == (150,)
    with pytest.raises(ValueError, match=r"X has 3 features, but .* is expecting 4 features"):
        estimator.predict(x[:, :3])
    with pytest.raises(ValueError, match="Input X contains infinity"):
        estimator.predict(np.full((2, 4), np.inf))


@each_estimator
def test_names_of_features(estimator):
    x, y = iris(frame=True)
    estimator = clone(estimator).fit(x, y)
    assert list(estimator.feature_names_in_) == list(x.columns)
    assert estimator.n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names should match those that were passed"):
        estimator.predict(x[x.columns[::-1]])
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.fit(x, y, validation_data=(x.rename(columns=str.upper), y))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        estimator.predict(x.to_numpy())
    scaled = make_pipeline(StandardScaler().set_output(transform="pandas"), clone(estimator))
    assert list(scaled.fit(x, y)[-1].feature_names_in_) == list(x.columns)


LABELS = [
    np.array(["a", "b", "c"]),
    np.array(["a", "b", "c"], object),
    np.array([-3, 7, 100]),
    np.array([0.0, 1.0, 2.0]),
    np.array([False, True]),
    np.array([b"x", b"y"], object).astype(str),
]


@each_classifier
@pytest.mark.parametrize("labels", LABELS, ids=str)
def test_labels_of_every_kind(estimator, labels):
    x, y = iris()
    y = labels[y % len(labels)]
    estimator = clone(estimator).fit(x, y)
    np.testing.assert_array_equal(estimator.classes_, np.unique(y))
    assert estimator.predict(x).dtype == y.dtype
    assert set(estimator.predict(pd.DataFrame(x).to_numpy())) <= set(y)
    again = clone(estimator).fit(x, pd.Series(y).to_numpy())
    np.testing.assert_array_equal(again.predict_proba(x), estimator.predict_proba(x))


@each_classifier
def test_classes_of_partial_fit(estimator):
    x, y = iris()
    estimator = clone(estimator)
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        estimator.partial_fit(x, y)
    estimator.partial_fit(x[:50], y[:50], classes=[0, 1, 2]).partial_fit(x, y, classes=[2, 1, 0])
    with pytest.raises(ValueError, match="is not the same as on last call to partial_fit"):
        estimator.partial_fit(x, y, classes=[0, 1, 2, 3])
    with pytest.raises(ValueError, match="not among those"):
        estimator.partial_fit(x, y + 1)


@each_estimator
def test_routed_weights(estimator):
    x, y = iris()
    order = np.random.default_rng(0).permutation(150)  # each fold has all classes
    x, y, weight = x[order], y[order], np.random.default_rng(0).random(150)
    with config_context(enable_metadata_routing=True):
        routed = clone(estimator).set_fit_request(sample_weight=True)
        routed.set_score_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), routed)
        found = cross_validate(pipeline, x, y, params={"sample_weight": weight}, cv=3)
        plain = cross_validate(pipeline, x, y, params={"sample_weight": np.ones(150)}, cv=3)
    assert not np.array_equal(found["test_score"], plain["test_score"])
    if hasattr(estimator, "partial_fit") and hasattr(estimator, "predict_proba"):
        with config_context(enable_metadata_routing=True):
            clone(estimator).set_partial_fit_request(classes=True)


@each_estimator
def test_clones_and_pickles(estimator):
    x, y = iris()
    fitted = clone(estimator).fit(x, y)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(x), fitted.predict(x))
    fresh = clone(fitted)
    assert not hasattr(fresh, "model_")
    assert fresh.get_params() == fitted.get_params()


@each_classifier
def test_meta_estimators(estimator):
    x, y = iris()
    for around in (
        StackingClassifier([("ours", clone(estimator))], LogisticRegression(), cv=2),
        CalibratedClassifierCV(clone(estimator), cv=2),
    ):
        shares = around.fit(x, y).predict_proba(x)
        np.testing.assert_allclose(shares.sum(axis=1), 1)
    fitted = clone(estimator).fit(x, y)
    assert permutation_importance(fitted, x, y, n_repeats=2).importances.shape == (4, 2)


@each_estimator
def test_columns_of_a_table(estimator):
    x, y = iris(frame=True)
    x = x.assign(kind=np.where(y == 1, "one", "other"))
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), list(x.columns[:4])), ("kind", OneHotEncoder(), ["kind"])],
        sparse_threshold=1.0,  # a sparse matrix
    )
    pipeline = make_pipeline(columns, clone(estimator)).fit(x, y)
    assert pipeline.predict(x).shape == (150,)


def test_a_random_search_in_two_processes():
    x, y = iris()
    search = RandomizedSearchCV(
        MLPClassifier(max_iter=3), {"alpha": [0.1, 1.0, 3.0]}, n_iter=2, cv=2, n_jobs=2,
        random_state=0,
    )  # fmt: skip
    assert search.fit(x, y).best_score_ >= 0
