"""MLPClassifier and MLPRegressor beside scikit-learn's: same meaning, same numbers."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    make_multilabel_classification,
)
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.metrics import r2_score
from sklearn.preprocessing import scale
from sklearn.utils._param_validation import InvalidParameterError

import hotloop
from hotloop.optimizers.schedules import ExponentialDecay
from hotloop.sklearn import MLPClassifier, MLPRegressor
from sklearn import neural_network

# With shuffle=False and whole batches, everything is decided by random_state, as in scikit-learn.
SAME = {"shuffle": False, "random_state": 3, "max_iter": 15}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def digits(rows=600):
    x, y = load_digits(return_X_y=True)
    return x[:rows] / 16, y[:rows]


def cancer():
    x, y = load_breast_cancer(return_X_y=True)
    return scale(x)[:560], np.where(y == 1, "benign", "malignant")[:560]


def diabetes(targets=1):
    x, y = load_diabetes(return_X_y=True)
    y = scale(y)
    return x[:440], (y if targets == 1 else np.c_[y, x[:, 0] * 20, y**2])[:440]


def both(kind, x, y, weight=None, **settings):
    """scikit-learn's estimator and hotloop's, trained alike."""
    ours = getattr(hotloop.sklearn, kind)(**SAME | settings)
    settings.pop("dtype", None)
    theirs = getattr(neural_network, kind)(**SAME | settings)
    return theirs.fit(x, y, weight), ours.fit(x, y, weight)


def check_alike(theirs, ours, x, tolerance=1e-5):
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.t_ == theirs.t_
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=tolerance)
    for a, b in zip(
        ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True
    ):
        np.testing.assert_allclose(a, b, atol=20 * tolerance)
    how = "predict_proba" if hasattr(ours, "predict_proba") else "predict"
    found, expected = getattr(ours, how)(x), getattr(theirs, how)(x)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=5 * tolerance)


# ------------------------------------------------------------------- the same arguments


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_parameters_are_a_superset_with_the_same_defaults(kind):
    theirs = inspect.signature(getattr(neural_network, kind)).parameters
    ours = inspect.signature(getattr(hotloop.sklearn, kind)).parameters
    assert {n: p.default for n, p in theirs.items()} == {n: ours[n].default for n in theirs}
    positional = [n for n, p in theirs.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [n for n, p in ours.items() if p.kind is p.POSITIONAL_OR_KEYWORD] == positional
    new = {"dropout", "dtype", "callbacks"} | (
        {"class_weight"} if kind == "MLPClassifier" else set()
    )
    assert set(ours) - set(theirs) == new


def learned(estimator):
    names = [name for name in dir(estimator) if name.endswith("_") and name[0] != "_"]
    return {name: getattr(estimator, name) for name in names}


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize(
    "settings", [{}, {"early_stopping": True}, {"solver": "lbfgs"}, {"solver": "sgd"}], ids=str
)
def test_attributes_are_scikit_learns(kind, settings):
    """No more and no fewer after each solver, and all that its documentation names."""
    theirs, ours = both(kind, *digits(100), **settings)
    expected, found = learned(theirs), learned(ours)
    assert set(found) == set(expected) | {"model_"}
    for name, value in expected.items():
        if value is None or isinstance(value, str | int):
            assert found[name] == value, name
        elif isinstance(value, list):
            assert [np.shape(v) for v in found[name]] == [np.shape(v) for v in value], name
        else:
            assert np.shape(found[name]) == np.shape(value), name
    documented = re.findall(r"^    (\w+_) : ", type(theirs).__doc__, re.MULTILINE)
    assert len(documented) > 8
    for name in set(documented) - {"feature_names_in_"}:
        assert name in type(ours).__doc__, name


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_methods_are_scikit_learns(kind):
    theirs, ours = getattr(neural_network, kind), getattr(hotloop.sklearn, kind)
    assert {name for name in dir(theirs) if name[0] != "_"} <= set(dir(ours))
    for name in ("fit", "partial_fit", "predict", "score"):
        expected = list(inspect.signature(getattr(theirs, name)).parameters)
        found = list(inspect.signature(getattr(ours, name)).parameters)
        assert found[: len(expected)] == expected, name


def test_attributes_of_an_earlier_solver_are_gone():
    x, y = digits(100)
    estimator = MLPClassifier(max_iter=2).fit(x, y)
    assert hasattr(estimator, "loss_curve_")
    estimator.set_params(solver="lbfgs").fit(x, y)
    assert not hasattr(estimator, "loss_curve_")


# --------------------------------------------------------------------- the same numbers


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"hidden_layer_sizes": (30, 7), "activation": "tanh", "alpha": 1.0},
        {"hidden_layer_sizes": 12, "activation": "logistic", "batch_size": 60},
        {"hidden_layer_sizes": (), "activation": "identity"},
        {"solver": "sgd", "learning_rate_init": 0.05},
        {"solver": "sgd", "learning_rate_init": 0.05, "nesterovs_momentum": False},
        {"solver": "sgd", "learning_rate_init": 0.05, "momentum": 0.0},
        {"solver": "sgd", "learning_rate_init": 0.5, "learning_rate": "invscaling"},
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.1, "n_iter_no_change": 1},
        {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-4, "learning_rate_init": 0.01},
        {"tol": 0.05, "n_iter_no_change": 2, "max_iter": 60},
    ],
    ids=str,
)
def test_a_classifier_trains_as_scikit_learns(settings):
    x, y = digits()
    theirs, ours = both("MLPClassifier", x, y, **settings)
    check_alike(theirs, ours, x)
    assert ours.best_loss_ == pytest.approx(theirs.best_loss_, rel=1e-5)
    assert ours.validation_scores_ is theirs.validation_scores_ is None
    assert (ours.n_layers_, ours.n_outputs_) == (theirs.n_layers_, theirs.n_outputs_)
    assert ours.out_activation_ == theirs.out_activation_ == "softmax"
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
    assert ours.score(x, y) == theirs.score(x, y)


def test_two_classes_of_strings_and_weights():
    x, y = cancer()
    weight = np.random.default_rng(0).integers(0, 4, len(x))
    theirs, ours = both("MLPClassifier", x, y, weight, batch_size=560)
    check_alike(theirs, ours, x)
    assert ours.out_activation_ == "logistic"
    assert ours.n_outputs_ == 1
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
    # float32 knows no probability between 1 - 6e-8 and 1, whose logarithm is large
    np.testing.assert_allclose(
        ours.predict_log_proba(x)[:, 0], theirs.predict_log_proba(x)[:, 0], atol=1e-3
    )


def test_several_labels():
    x, y = make_multilabel_classification(300, n_classes=4, random_state=0)
    theirs, ours = both("MLPClassifier", x, y, batch_size=150)
    check_alike(theirs, ours, x)
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
    np.testing.assert_array_equal(ours.classes_, np.arange(4))
    assert ours.score(x, y) == theirs.score(x, y)


@pytest.mark.parametrize("settings", [{}, {"solver": "sgd"}, {"loss": "poisson"}], ids=str)
def test_a_regressor_trains_as_scikit_learns(settings):
    x, y = diabetes()
    y = y - y.min()
    weight = np.random.default_rng(0).uniform(0.5, 2, len(x))
    for given in (None, weight):
        theirs, ours = both("MLPRegressor", x, y, given, batch_size=440, **settings)
        check_alike(theirs, ours, x, 2e-5)
        assert ours.out_activation_ == theirs.out_activation_


def test_several_quantities():
    x, y = diabetes(3)
    theirs, ours = both("MLPRegressor", x, y, batch_size=110)
    for a, b in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), atol=1e-5)
    assert ours.score(x, y) == pytest.approx(theirs.score(x, y), abs=1e-5)
    # What is minimised is the sum over the quantities; theirs shows the mean. alpha is small.
    np.testing.assert_allclose(ours.loss_curve_, 3 * np.array(theirs.loss_curve_), rtol=1e-3)


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize("weighted", [False, True])
def test_early_stopping(kind, weighted):
    x, y = cancer() if kind == "MLPClassifier" else diabetes()
    weight = np.random.default_rng(0).uniform(0.5, 2, len(x)) if weighted else None
    rows = len(x) - round(0.1 * len(x))
    theirs, ours = both(
        kind, x, y, weight, early_stopping=True, n_iter_no_change=3, max_iter=200, batch_size=rows,
        learning_rate_init=0.01, dtype="float64",
    )  # fmt: skip
    check_alike(theirs, ours, x, 2e-5)
    np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_, atol=1e-4)
    assert ours.best_validation_score_ == pytest.approx(theirs.best_validation_score_, abs=1e-4)
    assert ours.best_loss_ is theirs.best_loss_ is None
    assert ours.n_iter_ < 200


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_lbfgs(kind):
    x, y = digits(200) if kind == "MLPClassifier" else diabetes()
    weight = np.random.default_rng(0).integers(0, 3, len(x))
    for given in (None, weight):
        theirs, ours = both(kind, x, y, given, solver="lbfgs", alpha=0.5, hidden_layer_sizes=(20,))
        assert ours.n_iter_ == theirs.n_iter_
        assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-8)
        how = "predict_proba" if kind == "MLPClassifier" else "predict"
        np.testing.assert_allclose(getattr(ours, how)(x), getattr(theirs, how)(x), atol=1e-6)
        assert ours.coefs_[0].dtype == np.float64


def test_lbfgs_minimises_what_it_says_of_several_quantities_and_labels():
    x, y = diabetes(3)
    ours = MLPRegressor(
        hidden_layer_sizes=8, solver="lbfgs", max_iter=500, alpha=0, random_state=0
    ).fit(x, y)
    expected = 0.5 * ((ours.predict(x) - y) ** 2).sum(axis=1).mean()
    assert ours.loss_ == pytest.approx(expected, rel=1e-9)
    x, y = make_multilabel_classification(100, n_classes=3, random_state=0)
    theirs, ours = both("MLPClassifier", x, y, solver="lbfgs", max_iter=20)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-8)


def test_warm_start_goes_on_with_a_new_optimizer():
    x, y = digits()
    theirs, ours = both("MLPClassifier", x, y, warm_start=True)
    theirs.fit(x, y)
    ours.set_params(alpha=0.0001).fit(x, y)
    check_alike(theirs, ours, x)
    assert len(ours.loss_curve_) == 30
    ours.set_params(early_stopping=True).fit(x, y)
    assert len(ours.validation_scores_) == ours.n_iter_


@pytest.mark.parametrize("weighted", [False, True])
def test_partial_fit(weighted):
    x, y = digits()
    weight = np.random.default_rng(0).uniform(0.5, 2, len(x)) if weighted else None
    theirs = neural_network.MLPClassifier(shuffle=False, random_state=1, batch_size=100)
    ours = MLPClassifier(shuffle=False, random_state=1, batch_size=100, dtype="float64")
    for start in (0, 100, 200, 400):
        part = slice(start, start + 100)
        w = None if weight is None else weight[part]
        for estimator in (theirs, ours):
            estimator.partial_fit(x[part], y[part], w, classes=np.arange(10))
    check_alike(theirs, ours, x)
    assert ours.n_iter_ == 1
    assert ours.t_ == 400


def test_partial_fit_of_a_regressor_with_batches_of_other_sizes():
    x, y = diabetes()
    theirs = neural_network.MLPRegressor(shuffle=False, random_state=1, alpha=10)
    ours = MLPRegressor(shuffle=False, random_state=1, alpha=10)
    for rows in (100, 200, 50, 50):
        theirs.partial_fit(x[:rows], y[:rows])
        ours.partial_fit(x[:rows], y[:rows])
    check_alike(theirs, ours, x)


def test_the_same_weights_predict_the_same():
    x, y = digits()
    theirs = neural_network.MLPClassifier((20, 9), max_iter=5, random_state=0).fit(x, y)
    ours = MLPClassifier((20, 9), max_iter=1).fit(x, y)
    pairs = zip(theirs.coefs_, theirs.intercepts_, strict=True)
    ours.model_.set_weights([array for pair in pairs for array in pair])
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-6)


def test_shuffled_training_is_as_good_as_scikit_learns():
    x, y = load_digits(return_X_y=True)
    x = x / 16
    curves, scores = {}, {}
    for source in (neural_network, hotloop.sklearn):
        fitted = [
            source.MLPClassifier(40, max_iter=12, random_state=seed).fit(x[:1200], y[:1200])
            for seed in range(6)
        ]
        curves[source] = np.array([one.loss_curve_ for one in fitted])
        scores[source] = np.array([one.score(x[1200:], y[1200:]) for one in fitted])
    theirs, ours = curves[neural_network], curves[hotloop.sklearn]
    spread = np.sqrt((theirs.var(axis=0, ddof=1) + ours.var(axis=0, ddof=1)) / 6)
    # Same first weights, so that curves differ by the order of the examples alone.
    assert (np.abs(theirs.mean(axis=0) - ours.mean(axis=0)) < 4 * spread + 0.002).all()
    theirs, ours = scores[neural_network], scores[hotloop.sklearn]
    assert abs(theirs.mean() - ours.mean()) < 0.02


# ---------------------------------------------------------------- weights and validation


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_a_weight_of_two_is_having_an_example_twice(kind):
    x, y = digits(150) if kind == "MLPClassifier" else diabetes()
    x, y = x[:150], y[:150]
    weight = np.random.default_rng(0).integers(0, 4, 150)
    estimator = getattr(hotloop.sklearn, kind)
    settings = {"alpha": 1.0, "dtype": "float64", "max_iter": 50, "random_state": 0}
    one = estimator(batch_size=150, **settings).fit(x, y, weight)
    repeated = np.repeat(np.arange(150), weight)
    other = estimator(batch_size=len(repeated), **settings).fit(x[repeated], y[repeated])
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(one.coefs_[0], other.coefs_[0], atol=1e-8)


def test_class_weights_are_weights_of_their_examples():
    x, y = cancer()
    settings = {"dtype": "float64", "max_iter": 20, "random_state": 0}
    factors = {"benign": 1.0, "malignant": 3.0}
    one = MLPClassifier(class_weight=factors, **settings).fit(x, y)
    other = MLPClassifier(**settings).fit(x, y, np.where(y == "benign", 1, 3))
    np.testing.assert_array_equal(one.coefs_[0], other.coefs_[0])
    # Both at once multiply.
    w = np.random.default_rng(0).uniform(0.5, 2, len(x))
    one = MLPClassifier(class_weight=factors, **settings).fit(x, y, w)
    other = MLPClassifier(**settings).fit(x, y, w * np.where(y == "benign", 1, 3))
    np.testing.assert_allclose(one.coefs_[0], other.coefs_[0], atol=1e-12)


def test_balanced_classes():
    x, y = cancer()
    keep = (y == "benign") | (np.arange(len(y)) % 10 == 0)
    x, y = x[keep], y[keep]
    settings = {"dtype": "float64", "max_iter": 20, "random_state": 0}
    rare = y == "malignant"
    by_hand = np.where(rare, len(y) / (2 * rare.sum()), len(y) / (2 * (~rare).sum()))
    one = MLPClassifier(class_weight="balanced", **settings).fit(x, y)
    other = MLPClassifier(**settings).fit(x, y, by_hand)
    np.testing.assert_allclose(one.coefs_[0], other.coefs_[0], atol=1e-9)
    with pytest.raises(ValueError, match="balance"):
        one.partial_fit(x, y)


def test_validation_data_takes_the_place_of_a_share():
    x, y = digits()
    estimator = MLPClassifier(
        early_stopping=True, n_iter_no_change=2, max_iter=200, random_state=0
    ).fit(x[:400], y[:400], validation_data=(x[400:], y[400:]))
    assert len(estimator.validation_scores_) == estimator.n_iter_ < 200
    assert estimator.best_validation_score_ == max(estimator.validation_scores_)
    # The weights are those of the best epoch.
    assert estimator.score(x[400:], y[400:]) == estimator.best_validation_score_
    assert estimator.t_ == 400 * estimator.n_iter_


def test_validation_data_without_early_stopping_are_only_scored():
    x, y = diabetes()
    w = np.random.default_rng(0).uniform(0.5, 2, 140)
    one = MLPRegressor(max_iter=7, random_state=0, shuffle=False)
    one.fit(x[:300], y[:300], validation_data=(x[300:], y[300:], w))
    plain = MLPRegressor(max_iter=7, random_state=0, shuffle=False).fit(x[:300], y[:300])
    np.testing.assert_array_equal(one.coefs_[0], plain.coefs_[0])
    expected = r2_score(y[300:], one.predict(x[300:]), sample_weight=w)
    assert one.validation_scores_[-1] == pytest.approx(expected, abs=1e-6)
    assert len(one.validation_scores_) == 7


# ------------------------------------------------------------------------ what is new


@pytest.mark.parametrize("solver", ["rmsprop", "adamw", hotloop.optimizers.Adagrad(0.05)])
def test_other_optimizers(solver):
    x, y = digits()
    estimator = MLPClassifier(solver=solver, max_iter=30, random_state=0).fit(x, y)
    assert estimator.score(x, y) > 0.9
    assert estimator.model_.optimizer is not solver
    if isinstance(solver, hotloop.optimizers.Adagrad):
        assert solver.iterations == 0
        assert estimator.model_.optimizer.iterations == 90
    else:
        assert estimator.model_.optimizer.learning_rate == 0.001


def test_other_activations_dropout_and_schedules():
    x, y = digits()
    estimator = MLPClassifier(
        (32, 16), "gelu", dropout=0.25, learning_rate=ExponentialDecay(0.01, 10, 0.9),
        max_iter=30, random_state=0,
    ).fit(x, y)  # fmt: skip
    assert estimator.score(x, y) > 0.9
    assert sum("Dropout" in repr(layer) for layer in estimator.model_.layers) == 2
    assert len(estimator.coefs_) == len(estimator.intercepts_) == 3
    assert estimator.model_.optimizer.learning_rate == pytest.approx(0.01 * 0.9 ** (90 / 10))


@pytest.mark.parametrize("loss", ["mae", hotloop.losses.Huber(2.0)])
def test_other_losses(loss):
    x, y = diabetes()
    estimator = MLPRegressor(loss, 5, max_iter=3, alpha=0, batch_size=440, random_state=0)
    estimator.fit(x, y)
    estimator.partial_fit(x, y)
    before = estimator.predict(x)
    estimator.partial_fit(x, y)
    expected = np.mean(hotloop.losses.get(loss)(y[:, None], before[:, None]))
    assert estimator.loss_ == pytest.approx(expected, rel=1e-5)


def test_the_network_is_a_hotloop_model():
    x, y = digits()
    estimator = MLPClassifier(max_iter=3, random_state=0).fit(x, y)
    assert isinstance(estimator.model_, hotloop.Sequential)
    found = estimator.model_.predict(x, verbose=0)
    np.testing.assert_allclose(found, estimator.predict_proba(x), atol=1e-6)
    loss = estimator.model_.evaluate(x, y, verbose=0)
    assert 0 < loss < estimator.loss_curve_[0]


def test_the_same_seed_gives_the_same_network():
    x, y = digits()
    settings = {"max_iter": 3, "dropout": 0.1, "early_stopping": True}
    one, other = (MLPClassifier(random_state=5, **settings).fit(x, y) for _ in range(2))
    np.testing.assert_array_equal(one.coefs_[0], other.coefs_[0])
    assert one.loss_curve_ == other.loss_curve_
    third = MLPClassifier(random_state=6, **settings).fit(x, y)
    assert third.loss_curve_ != one.loss_curve_
    # The library's own random numbers are as if nothing had been drawn.
    hotloop.utils.set_random_seed(1)
    expected = hotloop.random.next_key()
    hotloop.utils.set_random_seed(1)
    MLPClassifier(random_state=5, max_iter=1).fit(x, y)
    assert hotloop.random.next_key() == expected


def test_each_partial_fit_takes_another_order():
    x, y = digits()
    one = MLPClassifier(random_state=0).partial_fit(x, y, classes=range(10))
    keys = [one._generator.bit_generator.state["state"]["state"]]
    one.partial_fit(x, y)
    keys.append(one._generator.bit_generator.state["state"]["state"])
    assert keys[0] != keys[1]


def test_epochs_that_nobody_judges_run_at_once():
    """The record of epochs that ran ahead is that of epochs looked at one by one."""
    x, y = digits(200)
    free = MLPClassifier(n_iter_no_change=np.inf, max_iter=30, random_state=0).fit(x, y)
    judged = MLPClassifier(n_iter_no_change=1000, max_iter=30, random_state=0).fit(x, y)
    np.testing.assert_array_equal(free.loss_curve_, judged.loss_curve_)
    assert (free.n_iter_, free.t_, free.best_loss_) == (30, 6000, judged.best_loss_)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, np.int64, bool])
def test_examples_of_any_dtype(dtype):
    x, y = load_digits(return_X_y=True)
    x = x[:200].astype(dtype)
    estimator = MLPClassifier(max_iter=3, random_state=0).fit(x, y[:200])
    again = MLPClassifier(max_iter=3, random_state=0).fit(x.astype(np.float32), y[:200])
    for ours, other in zip(estimator.coefs_, again.coefs_, strict=True):
        np.testing.assert_array_equal(ours, other)
    np.testing.assert_allclose(estimator.predict_proba(x), again.predict_proba(x), atol=1e-7)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("fitted", ["f4", "f8", "i4", "u1", "f2"])
@pytest.mark.parametrize("target", ["f4", "f8", "i8"])
def test_predictions_have_scikit_learns_types(fitted, target, solver):
    x, y = digits(60)
    x = np.round(x * 8)
    settings = {"max_iter": 2, "solver": solver}
    for kind, how in (("MLPClassifier", "predict_proba"), ("MLPRegressor", "predict")):
        theirs = getattr(neural_network, kind)(**settings)
        ours = getattr(hotloop.sklearn, kind)(**settings)
        for estimator in (theirs, ours):
            estimator.fit(x.astype(fitted), y.astype(target))
        for given in ("f4", "f8", "i8", "i2", "f2", "?"):
            expected = getattr(theirs, how)(x.astype(given))
            found = getattr(ours, how)(x.astype(given))
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape), given
        assert ours.predict(x).dtype == theirs.predict(x).dtype
        assert getattr(ours, how)(x.tolist()).dtype == np.float64


@pytest.mark.parametrize("columns", [None, 1, 3])
def test_predictions_have_scikit_learns_shapes(columns):
    x, y = diabetes()
    y = y if columns is None else np.repeat(y[:, None], columns, axis=1)
    theirs, ours = neural_network.MLPRegressor(max_iter=2), MLPRegressor(max_iter=2)
    for estimator in (theirs, ours):
        if columns == 1:
            with pytest.warns(DataConversionWarning, match="column-vector y was passed"):
                estimator.fit(x, y)
        else:
            estimator.fit(x, y)
    assert ours.predict(x).shape == theirs.predict(x).shape


def test_probabilities_in_float64_add_up():
    x, y = digits(200)
    estimator = MLPClassifier(max_iter=3).fit(x, y)
    assert abs(estimator.predict_proba(x).sum(axis=1) - 1).max() < 1e-15
    assert estimator.predict_proba(x.astype(np.float32)).dtype == np.float64
    estimator = MLPClassifier(max_iter=3).fit(x.astype(np.float32), y)
    assert estimator.predict_proba(x.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("layout", ["strided", "fortran", "readonly"])
def test_examples_of_any_layout(layout):
    x, y = digits(200)
    given = {
        "strided": np.repeat(x, 2, axis=1)[:, ::2],
        "fortran": np.asfortranarray(x),
        "readonly": x.copy(),
    }[layout]
    given.flags.writeable = layout != "readonly"
    a = MLPClassifier(max_iter=2, random_state=0).fit(given, y)
    b = MLPClassifier(max_iter=2, random_state=0).fit(x, y)
    np.testing.assert_array_equal(a.predict_proba(given), b.predict_proba(x))


# ----------------------------------------------------------------------------- messages


def test_verbose(capsys):
    x, y = digits()
    settings = {"verbose": True, "random_state": 0}
    MLPClassifier(early_stopping=True, max_iter=2, **settings).fit(x, y)
    lines = capsys.readouterr().out.splitlines()
    begin = ["Iteration 1", "Validation score", "Iteration 2", "Validation score"]
    assert [line.split(":")[0] for line in lines] == begin
    MLPClassifier(tol=10, n_iter_no_change=1, **settings).fit(x, y)
    assert "No improvement by 10 for 1 iterations" in capsys.readouterr().out
    MLPClassifier(
        solver="sgd", learning_rate="adaptive", tol=10, n_iter_no_change=1, max_iter=5, **settings
    ).fit(x, y)
    assert "the learning rate is now 0.0002" in capsys.readouterr().out
    MLPClassifier(solver="lbfgs", max_iter=2, **settings).fit(x, y)
    assert "L-BFGS ended after 2 iterations" in capsys.readouterr().out


@pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")
def test_warnings():
    x, y = digits(100)
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        MLPClassifier(max_iter=2).fit(x, y)
    with pytest.warns(ConvergenceWarning, match="L-BFGS ended"):
        MLPClassifier(solver="lbfgs", max_iter=2).fit(x, y)
    with pytest.warns(UserWarning, match="batch_size=101 is more than the 100 examples"):
        MLPClassifier(max_iter=2, batch_size=101).fit(x, y)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dropout": 1.0}, r"'dropout' .* in the range \[0.0, 1.0\). Got 1.0"),
        ({"hidden_layer_sizes": (3, 0)}, "'hidden_layer_sizes' .* whole numbers of at least 1"),
        ({"hidden_layer_sizes": (3, 1.5)}, "'hidden_layer_sizes' .* whole numbers"),
        ({"hidden_layer_sizes": (3, True)}, "'hidden_layer_sizes' .* whole numbers"),
        ({"dtype": "float16"}, "'dtype' parameter of MLPClassifier must be"),
        ({"callbacks": "early"}, "'callbacks' parameter of MLPClassifier must be"),
        ({"class_weight": "even"}, "'class_weight' parameter of MLPClassifier must be"),
        ({"learning_rate": 0.01}, "the rate itself is learning_rate_init"),
        ({"solver": "adamm"}, "Did you mean 'adam'"),
        ({"activation": "rleu"}, "Did you mean 'relu'"),
        ({"solver": "lbfgs", "dropout": 0.5}, "dropout"),
        ({"early_stopping": True, "validation_fraction": 0.001}, "less than 2|validation_fraction"),
    ],
)
def test_parameters_without_meaning(settings, message):
    x, y = digits(50)
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**settings).fit(x, y)


# What scikit-learn refuses, of each of its parameters.
WITHOUT_MEANING = [
    {"hidden_layer_sizes": "relu"},
    {"hidden_layer_sizes": None},
    {"hidden_layer_sizes": 0},
    {"hidden_layer_sizes": -3},
    {"activation": 3},
    {"activation": None},
    {"solver": 3},
    {"solver": None},
    {"alpha": -1},
    {"alpha": "small"},
    {"alpha": None},
    {"batch_size": 0},
    {"batch_size": 2.5},
    {"batch_size": "all"},
    {"batch_size": None},
    {"learning_rate": "fast"},
    {"learning_rate": None},
    {"learning_rate_init": 0},
    {"learning_rate_init": "slow"},
    {"power_t": -0.5},
    {"max_iter": 0},
    {"max_iter": 1.5},
    {"max_iter": None},
    {"shuffle": "yes"},
    {"shuffle": 2},
    {"random_state": -1},
    {"random_state": 0.5},
    {"random_state": "seed"},
    {"tol": -1e-3},
    {"tol": "small"},
    {"verbose": -1},
    {"verbose": "loud"},
    {"warm_start": None},
    {"momentum": 1.5},
    {"momentum": -0.1},
    {"nesterovs_momentum": "no"},
    {"early_stopping": "yes"},
    {"validation_fraction": 1.0},
    {"validation_fraction": -0.1},
    {"beta_1": 1.0},
    {"beta_1": -0.1},
    {"beta_2": 1.0},
    {"epsilon": 0.0},
    {"epsilon": None},
    {"n_iter_no_change": 0},
    {"n_iter_no_change": 2.5},
    {"max_fun": 0},
    {"max_fun": 1.5},
]


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize("settings", WITHOUT_MEANING, ids=str)
def test_parameters_that_scikit_learn_refuses(settings, kind):
    x, y = digits(50)
    (name,) = settings
    for module in (neural_network, hotloop.sklearn):
        estimator = getattr(module, kind)(**settings)
        expected = f"The '{name}' parameter of {kind} must be .* instead"
        with pytest.raises(InvalidParameterError, match=expected):
            estimator.fit(x, y)
        assert not hasattr(estimator, "n_features_in_")
    with pytest.raises(InvalidParameterError, match=expected):
        estimator.partial_fit(x, y, **({"classes": range(10)} if kind == "MLPClassifier" else {}))


def test_every_parameter_is_checked():
    for kind in (MLPClassifier, MLPRegressor):
        checked = set(kind._parameter_constraints) | {"loss"}
        assert set(kind().get_params()) <= checked
    assert {name for settings in WITHOUT_MEANING for name in settings} == (
        set(neural_network.MLPClassifier().get_params())
    )


@pytest.mark.parametrize("given", [100, (100,), [50, 10], np.array([3])])
def test_sizes_where_the_loss_stands(given):
    x, y = diabetes()
    with pytest.raises(InvalidParameterError, match=r"'loss' .* write hidden_layer_sizes="):
        MLPRegressor(given).fit(x, y)
    with pytest.raises(InvalidParameterError, match=r"'loss' .* write hidden_layer_sizes="):
        MLPRegressor(given, "relu").fit(x, y)


def test_arguments_by_place():
    x, y = digits(50)
    assert MLPClassifier(7, max_iter=1).fit(x, y).coefs_[0].shape == (64, 7)
    assert MLPClassifier((7, 3), "tanh", max_iter=1).fit(x, y).n_layers_ == 4
    assert MLPClassifier(np.array(7), max_iter=1).fit(x, y).coefs_[0].shape == (64, 7)
    with pytest.raises(TypeError, match="positional"):
        MLPClassifier((7,), "relu", "adam")
    with pytest.raises(InvalidParameterError, match=r"'loss' .* Did you mean"):
        MLPRegressor("squared_errors").fit(x, y)


def test_calls_without_meaning():
    x, y = digits(50)
    with pytest.raises(ValueError, match="needs classes"):
        MLPClassifier().partial_fit(x, y)
    with pytest.raises(ValueError, match="does not stop early"):
        MLPClassifier(early_stopping=True).partial_fit(x, y, classes=range(10))
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")
    assert not hasattr(MLPRegressor(solver="lbfgs"), "partial_fit")
    with pytest.raises(ValueError, match="no epochs to validate after"):
        MLPClassifier(solver="lbfgs").fit(x, y, validation_data=(x, y))
    with pytest.raises(ValueError, match="validation_data must be a tuple"):
        MLPClassifier().fit(x, y, validation_data=x)
    with pytest.raises(ValueError, match="negative"):
        MLPClassifier().fit(x, y, np.r_[-1, np.ones(49)])
    for kind in (MLPClassifier, MLPRegressor):
        estimator = kind(early_stopping=True, validation_fraction=0.3, random_state=0)
        with pytest.raises(ValueError, match=r"weights .*zero"):
            estimator.fit(x, y % 2, np.eye(50)[0])
    with pytest.raises(ValueError, match=r"weights .*zero"):
        MLPRegressor("poisson", early_stopping=True).fit(x, y, np.eye(50)[1])
    with pytest.raises(ValueError, match="all sample weights are zero"):
        MLPClassifier(class_weight=dict.fromkeys(range(10), 0)).fit(x, y)
    with pytest.raises(ValueError, match="at least 0"):
        MLPRegressor("poisson").fit(x, -1.0 - y)
    with pytest.raises(ValueError, match="2 quantities, but"):
        MLPRegressor().partial_fit(x, y).partial_fit(x, np.c_[y, y])


def test_a_loss_that_is_not_finite_says_why():
    x, y = diabetes()
    with pytest.raises(hotloop.NonFiniteError):
        MLPRegressor(solver="sgd", learning_rate_init=1e30).fit(x, y * 1e30)


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_training_has_no_step_in_python(kind):
    pytest.importorskip("hotloop.backends.compiled.runtime")
    x, y = digits() if kind == "MLPClassifier" else diabetes()
    weight = np.ones(len(x))
    estimator = getattr(hotloop.sklearn, kind)(max_iter=1, dropout=0.1, solver="rmsprop")
    estimator.fit(x, y, weight)
    y = y if kind == "MLPClassifier" else y[:, None]
    profile = estimator._trained.profile(x, y, batch_size=100, steps=2, sample_weight=weight)
    assert {row.backend for row in profile.rows} == {"cython"}
