"""Sparse examples: the same numbers as dense ones, without ever being dense as a whole."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

import hotloop
from hotloop.sklearn import (
    KerasStyleClassifier,
    KerasStyleRegressor,
    MLPClassifier,
    MLPRegressor,
)
from hotloop.sklearn.sparse import Batches, blocks
from sklearn import neural_network

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ROWS, FEATURES = 330, 40


def build(meta):
    classes = meta.get("n_classes_")
    return hotloop.Sequential(
        [
            hotloop.layers.Dense(10, "relu"),
            hotloop.layers.Dropout(0.2),
            hotloop.layers.Dense(classes or meta["n_outputs_"], "softmax" if classes else None),
        ]
    )


def data(dtype=np.float64):
    source = np.random.default_rng(0)
    x = source.normal(size=(ROWS, FEATURES)) * 5
    x[source.random(x.shape) > 0.2] = 0
    x[7] = x[ROWS - 1] = 0  # empty rows
    x = x.astype(dtype)
    classes = source.integers(0, 4, ROWS)
    quantities = x[:, :3].astype(float) @ source.normal(size=(3, 2))
    return x, classes, quantities, source.random(ROWS)


def targets(estimator):
    _, classes, quantities, _ = data()
    return classes if hasattr(estimator, "predict_proba") else quantities


ESTIMATORS = [
    MLPClassifier(max_iter=4, dropout=0.1, batch_size=64, random_state=0),
    MLPClassifier(max_iter=4, early_stopping=True, random_state=0),
    MLPClassifier(max_iter=4, solver="sgd", shuffle=False, random_state=0),
    MLPClassifier(max_iter=9, solver="lbfgs", random_state=0),
    MLPRegressor(max_iter=4, random_state=0, dtype="float64"),
    MLPRegressor(max_iter=9, solver="lbfgs", random_state=0),
    MLPRegressor(max_iter=4, early_stopping=True, random_state=0),
    KerasStyleClassifier(
        build, epochs=3, validation_split=0.2, metrics=["accuracy"], random_state=0
    ),
    KerasStyleRegressor(build, epochs=3, batch_size=50, random_state=0),
]


def records(estimator):
    names = ("loss_curve_", "validation_scores_", "history_", "n_iter_", "loss_", "t_")
    return {name: getattr(estimator, name, None) for name in names}


def check_same(dense, sparse):
    for a, b in zip(dense.model_.get_weights(), sparse.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert records(dense) == records(sparse)


def named(estimator):
    """The same in each process, which a function's address is not."""
    return re.sub(r" at 0x\w+", "", str(estimator))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=named)
def test_the_same_bits_as_dense(estimator, weighted):
    x, *_, weight = data()
    y, weight = targets(estimator), weight if weighted else None
    dense = clone(estimator).fit(x, y, weight)
    for form in (sp.csr_array, sp.csc_matrix):
        sparse = clone(estimator).fit(form(x), y, weight)
        check_same(dense, sparse)
        np.testing.assert_array_equal(dense.predict(x), sparse.predict(form(x)))
        if hasattr(dense, "predict_proba"):
            np.testing.assert_array_equal(dense.predict_proba(x), sparse.predict_proba(form(x)))
        assert dense.score(x, y, weight) == sparse.score(form(x), y, weight)
    if hasattr(dense, "partial_fit") and not getattr(dense, "early_stopping", False):
        check_same(dense.partial_fit(x, y, weight), sparse.partial_fit(form(x), y, weight))


FORMS = ["csr", "csc", "coo", "bsr", "lil", "dok", "dia"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_every_form(form, kind):
    x, y, *_ = data()
    given = getattr(sp, f"{form}_{kind}")(x)
    for estimator in ESTIMATORS[:1] + ESTIMATORS[-2:-1]:
        dense, sparse = clone(estimator).fit(x, y), clone(estimator).fit(given, y)
        check_same(dense, sparse)
        np.testing.assert_array_equal(dense.predict(x), sparse.predict(given))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.int64, np.uint8, bool])
def test_every_dtype(dtype):
    x, y, *_ = data(dtype)
    dense, sparse = ESTIMATORS[0], clone(ESTIMATORS[0])
    check_same(dense.fit(x, y), sparse.fit(sp.csr_array(x), y))
    assert dense.predict_proba(x).dtype == sparse.predict_proba(sp.csr_array(x)).dtype


def test_wide_floats():
    x, y, *_ = data(np.longdouble)
    dense = MLPClassifier(max_iter=2, random_state=0).fit(x, y)
    check_same(dense, MLPClassifier(max_iter=2, random_state=0).fit(sp.csr_array(x), y))


def unsorted(x):
    given = sp.csr_array(x)
    for row in range(ROWS):
        part = slice(given.indptr[row], given.indptr[row + 1])
        given.indices[part] = given.indices[part][::-1].copy()
        given.data[part] = given.data[part][::-1].copy()
    given.has_sorted_indices = False
    return given


def repeated(x):
    """Each number as two entries of the same place, which add up."""
    given = sp.coo_array(x)
    both = np.concatenate([given.data / 2, given.data / 2])
    places = tuple(np.concatenate([place, place]) for place in given.coords)
    given = sp.coo_array((both, places), shape=x.shape)
    order = np.lexsort((places[1], places[0]))
    indptr = np.r_[0, np.cumsum(np.bincount(places[0], minlength=ROWS))]
    return sp.csr_array((both[order], places[1][order], indptr), shape=x.shape)


def long_indices(x):
    given = sp.csr_array(x)
    given.indices, given.indptr = given.indices.astype(np.int64), given.indptr.astype(np.int64)
    return given


def explicit_zeros(x):
    given = sp.csr_array(x)
    given.data[::3] = 0
    return given


@pytest.mark.parametrize("change", [unsorted, repeated, long_indices, explicit_zeros])
def test_odd_but_valid(change):
    x, y, *_ = data()
    given = change(x)
    before = given.copy()
    dense = MLPClassifier(max_iter=3, random_state=0).fit(given.toarray(), y)
    sparse = MLPClassifier(max_iter=3, random_state=0).fit(given, y)
    check_same(dense, sparse)
    np.testing.assert_array_equal(given.data, before.data)
    np.testing.assert_array_equal(given.indices, before.indices)


@pytest.mark.parametrize("estimator", [ESTIMATORS[0], ESTIMATORS[4], *ESTIMATORS[-2:]], ids=named)
def test_numbers_that_are_none(estimator):
    x, *_ = data()
    y = targets(estimator)
    fitted = clone(estimator).fit(x, y)
    for bad, message in ((np.nan, "Input X contains NaN"), (np.inf, "contains infinity")):
        given = sp.csr_array(x)
        given.data[5] = bad
        for call in (
            lambda given=given: clone(estimator).fit(given, y),
            lambda given=given: fitted.predict(given),
            lambda given=given: fitted.partial_fit(given, y),
            lambda given=given: clone(estimator).fit(x, y, validation_data=(given, y)),
        ):
            with pytest.raises(ValueError, match=message):
                call()


def test_other_numbers_of_features():
    x, y, *_ = data()
    estimator = MLPClassifier(max_iter=1).fit(sp.csr_array(x), y)
    with pytest.raises(ValueError, match="X has 39 features, but MLPClassifier is expecting 40"):
        estimator.predict(sp.csr_array(x[:, 1:]))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        estimator.fit(sp.csr_array(x), y[1:])


def test_dense_and_sparse_take_turns():
    x, y, *_ = data()
    given = sp.csr_array(x)
    one = MLPClassifier(max_iter=2, random_state=0).fit(x, y)
    other = MLPClassifier(max_iter=2, random_state=0).fit(given, y)
    check_same(one.partial_fit(given, y), other.partial_fit(x, y))
    np.testing.assert_array_equal(one.predict(x), one.predict(given))


@pytest.mark.parametrize("estimator", [ESTIMATORS[1], ESTIMATORS[6], *ESTIMATORS[-2:]], ids=named)
def test_validation_data(estimator):
    x, *_, weight = data()
    y, given = targets(estimator), sp.csr_array(x)
    dense = clone(estimator).fit(x[:200], y[:200], validation_data=(x[200:], y[200:]))
    for train in (x[:200], given[:200]):
        for held_out in (x[200:], given[200:]):
            sparse = clone(estimator).fit(train, y[:200], validation_data=(held_out, y[200:]))
            check_same(dense, sparse)
    dense = clone(estimator).fit(x, y, weight, validation_data=(x, y, weight))
    check_same(dense, clone(estimator).fit(given, y, weight, validation_data=(given, y, weight)))


def test_several_labels_in_a_sparse_matrix():
    x, *_ = data()
    y = (x[:, :3] > 0).astype(int)
    for estimator in (MLPClassifier(max_iter=3, random_state=0),):
        dense = clone(estimator).fit(x, y)
        sparse = clone(estimator).fit(sp.csr_array(x), sp.csr_array(y))
        check_same(dense, sparse)


def test_quantities_in_a_sparse_matrix_are_refused():
    x, _, y, _ = data()
    for estimator in (MLPRegressor(), KerasStyleRegressor(build)):
        with pytest.raises((TypeError, ValueError), match=r"y is a sparse.*toarray"):
            estimator.fit(sp.csr_array(x), sp.csr_array(y))


def test_beside_scikit_learn():
    x, y, *_ = data()
    settings = {"shuffle": False, "random_state": 3, "max_iter": 10, "batch_size": 110}
    theirs = neural_network.MLPClassifier(**settings).fit(sp.csr_array(x), y)
    ours = MLPClassifier(dtype="float64", **settings).fit(sp.csr_array(x), y)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(
        ours.predict_proba(sp.csr_array(x)), theirs.predict_proba(sp.csr_array(x)), atol=1e-9
    )


def test_in_a_pipeline():
    x, y, *_ = data()
    pipeline = make_pipeline(MaxAbsScaler(), MLPClassifier(max_iter=5, random_state=0))
    scores = cross_val_score(pipeline, sp.csc_array(x), y, cv=3)
    np.testing.assert_array_equal(scores, cross_val_score(pipeline, x, y, cv=3))


def test_blocks_are_bounded_by_their_numbers():
    assert blocks(np.zeros((5, 2)), 1024) == [slice(0, 5)]
    assert [b.stop - b.start for b in blocks(np.zeros((2000, 2)), 1024)] == [1024, 976]
    wide = sp.csr_array((3, 1 << 30))
    assert blocks(wide, 1024) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert [b.stop - b.start for b in blocks(sp.csr_array((100, 1 << 17)), 1024)][:2] == [32, 32]


def test_predictions_do_not_depend_on_blocks(monkeypatch):
    x, y, *_ = data()
    estimator = MLPClassifier(max_iter=3, random_state=0).fit(x, y)
    whole = estimator.predict_proba(x)
    monkeypatch.setattr("hotloop.sklearn.sparse.NUMBERS_AT_ONCE", 40 * FEATURES)
    np.testing.assert_allclose(estimator.predict_proba(x), whole, atol=1e-6)
    estimator = MLPRegressor(solver="lbfgs", max_iter=20, random_state=0)
    few = clone(estimator).fit(sp.csr_array(x), y)
    monkeypatch.undo()
    np.testing.assert_allclose(few.predict(x), estimator.fit(x, y).predict(x), rtol=1e-6)
    assert abs(few.loss_ - estimator.loss_) < 1e-9


def test_orders_of_batches_are_those_of_arrays():
    x, y, *_ = data()
    from hotloop.sklearn.common import Examples

    batches = Batches(Examples(sp.csr_array(x), y, None), 100, shuffle=True)
    assert len(batches) == 4
    with hotloop.random.drawing_from(np.random.default_rng(0)):
        given = np.concatenate([rows for rows, _ in batches])
        again = np.concatenate([rows for rows, _ in batches])
    with hotloop.random.drawing_from(np.random.default_rng(0)):
        order = hotloop.random.orders(ROWS, 2)
    np.testing.assert_array_equal(given, x[order[:ROWS]])
    np.testing.assert_array_equal(again, x[order[ROWS:]])


# 6,000 x 60,000 is 2.9 GB of float64; what is more than the limit ends the process.
GIANT = """
import resource, warnings
import numpy as np, scipy.sparse as sp
import hotloop
from hotloop.sklearn import *

warnings.simplefilter("ignore")
rows, features = 6000, 60_000
source = np.random.default_rng(0)
columns = source.integers(0, features, rows * 3)
starts = np.arange(0, rows * 3 + 1, 3)
x = sp.csr_array((source.random(rows * 3), columns, starts), (rows, features))
y = (columns[::3] > features // 2).astype(int)
few = slice(0, 500)

def build(meta):
    return hotloop.Sequential([hotloop.layers.Dense(1, "sigmoid" if "classes_" in meta else None)])

used = int(next(line for line in open("/proc/self/status") if "VmSize" in line).split()[1]) << 10
resource.setrlimit(resource.RLIMIT_AS, (used + (5 << 28), used + (5 << 28)))
"""

USES = {
    "classifier": """
model = MLPClassifier(2, max_iter=1, early_stopping=True, validation_fraction=0.98, batch_size=50)
model.fit(x, y)
model.set_params(early_stopping=False).partial_fit(x[few], y[few])
print(model.predict_proba(x).shape, model.score(x, y) > 0)
""",
    "lbfgs": """
model = MLPRegressor(hidden_layer_sizes=2, solver="lbfgs", max_iter=1, max_fun=1).fit(x, y)
print(model.predict(x).shape)
""",
    "keras_style": """
model = KerasStyleClassifier(build, batch_size=50, validation_split=0.95).fit(x, y)
model.partial_fit(x[few], y[few])
print(model.predict_proba(x).shape, model.score(x, y) > 0)
model = KerasStyleRegressor(build, batch_size=50)
model.fit(x[few], y[few], validation_data=(x[few], y[few]))
print(model.predict(x).shape)
""",
}


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
@pytest.mark.parametrize("use", USES)
def test_nothing_is_dense_as_a_whole(use):
    found = subprocess.run(
        [sys.executable, "-c", GIANT + USES[use]], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert "6000" in found.stdout
