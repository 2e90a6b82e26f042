from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from hotloop import metrics
from sklearn import metrics as sk

# ------------------------------------------------------------ numbers by hand

BY_HAND = [
    (metrics.MeanSquaredError(), [[0, 1], [0, 0]], [[1, 1], [0, 2]], None, 1.25),
    (metrics.MeanSquaredError(), [[0, 1], [0, 0]], [[1, 1], [0, 2]], [3, 1], 0.875),
    (metrics.RootMeanSquaredError(), [[0, 0]], [[3, 4]], None, 12.5**0.5),
    (metrics.MeanAbsoluteError(), [[0, 1], [0, 0]], [[1, 1], [0, 2]], [3, 1], 0.625),
    (metrics.LogCoshError(), [[0.0]], [[1.0]], None, np.log(np.cosh(1.0))),
    (metrics.KLDivergence(), [[0.5, 0.5]], [[0.25, 0.75]], None, 0.5 * np.log(4 / 3)),
    (metrics.Poisson(), [[2.0]], [[1.0]], None, 1 - 2 * np.log(1 + 1e-7)),
    (metrics.Hinge(), [[0.0], [1.0]], [[-0.5], [2.0]], None, 0.25),
    (metrics.Hinge(), [[-1.0], [1.0]], [[-0.5], [2.0]], None, 0.25),
    (metrics.BinaryCrossentropy(), [[1.0], [0.0]], [[0.25], [0.5]], None, np.log(8) / 2),
    (metrics.BinaryCrossentropy(from_logits=True), [[1.0]], [[0.0]], None, np.log(2)),
    (metrics.BinaryCrossentropy(label_smoothing=0.5), [[1]], [[0.25]], None,
     -(0.75 * np.log(0.25) + 0.25 * np.log(0.75))),
    (metrics.CategoricalCrossentropy(), [[0, 1]], [[3.0, 1.0]], None, np.log(4)),
    (metrics.CategoricalCrossentropy(from_logits=True), [[0, 1]], [[5.0, 5.0]], None, np.log(2)),
    (metrics.SparseCategoricalCrossentropy(), [1], [[0.75, 0.25]], None, np.log(4)),
    (metrics.SparseCategoricalCrossentropy(from_logits=True), [1], [[5.0, 5.0]], None, np.log(2)),
    (metrics.SparseCategoricalCrossentropy(ignore_class=-1), [1, -1], [[0.75, 0.25], [1, 0]], None,
     np.log(4)),
    (metrics.Accuracy(), [[1], [2], [3], [4]], [[0], [2], [3], [4]], [1, 1, 0, 0], 0.5),
    (metrics.BinaryAccuracy(), [[1], [1], [0], [0]], [[0.98], [1], [0], [0.6]], [1, 0, 0, 1], 0.5),
    (metrics.BinaryAccuracy(), [[0, 1], [0, 0]], [[0.5, 0.6], [0.7, 0.8]], None, 0.5),
    (metrics.BinaryAccuracy(threshold=0.75), [1, 0], [0.7, 0.7], None, 0.5),
    (metrics.CategoricalAccuracy(), [[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0, 1, 0]],
     [0.7, 0.3], 0.3),
    (metrics.SparseCategoricalAccuracy(), [[2], [1]], [[0.1, 0.6, 0.3], [0, 1, 0]], None, 0.5),
    (metrics.TopKCategoricalAccuracy(k=2), [[0, 0, 1], [1, 0, 0]], [[0.1, 0.9, 0.8], [0, 1, 0.5]],
     None, 0.5),
    (metrics.SparseTopKCategoricalAccuracy(k=2), [2, 0], [[0.1, 0.9, 0.8], [0, 1, 0.5]], None, 0.5),
    (metrics.SparseTopKCategoricalAccuracy(k=2, from_sorted_ids=True), [2, 0],
     [[1, 2, 0], [1, 2, 0]], None, 0.5),
    (metrics.Precision(), [0, 1, 1, 1], [1, 0, 1, 1], None, 2 / 3),
    (metrics.Precision(), [0, 1, 1, 1], [1, 0, 1, 1], [0, 0, 1, 0], 1.0),
    (metrics.Precision(top_k=2), [[0, 0, 1, 1]], [[1, 1, 1, 1]], None, 0.0),
    (metrics.Precision(top_k=4), [[0, 0, 1, 1]], [[1, 1, 1, 1]], None, 0.5),
    (metrics.Recall(), [0, 1, 1, 1], [1, 0, 1, 1], [0, 0, 1, 0], 1.0),
    (metrics.Recall(class_id=1), [[1, 1], [0, 1]], [[0.1, 0.9], [0.9, 0.1]], None, 0.5),
    (metrics.Precision(thresholds=[0.9, 0.1]), [0, 1], [0.5, 0.95], None, [1.0, 0.5]),
    (metrics.Precision(), [1], [0.5], None, 0.0),
    (metrics.AUC(num_thresholds=3), [0, 0, 1, 1], [0, 0.5, 0.3, 0.9], None, 0.75),
    (metrics.AUC(num_thresholds=3), [0, 0, 1, 1], [0, 0.5, 0.3, 0.9], [1, 0, 0, 1], 1.0),
    (metrics.F1Score(threshold=0.5), [[1, 1, 1], [1, 0, 0], [1, 1, 0]],
     [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]], None, [0.5, 0.8, 2 / 3]),
    (metrics.FBetaScore(beta=2.0, threshold=0.5), [[1, 1, 1], [1, 0, 0], [1, 1, 0]],
     [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]], None, [5 / 13, 10 / 11, 5 / 6]),
    (metrics.R2Score(), [[1], [4], [3]], [[2], [4], [4]], None, 4 / 7),
    (metrics.Sum(), None, [1, 3, 5, 7], [1, 1, 0, 0], 4.0),
    (metrics.Mean(), None, [1, 3, 5, 7], [1, 1, 0, 0], 2.0),
    (metrics.Mean(), None, [[1, 3], [5, 7]], [3, 1], 3.0),
    (metrics.Mean(), None, 3.0, None, 3.0),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "y_true", "y_pred", "weight", "expected"), BY_HAND)
def test_values_are_the_hand_computed_ones(metric, y_true, y_pred, weight, expected):
    rows = [y_pred] if y_true is None else [y_true, y_pred]
    metric.reset_state()
    result = metric(*(np.asarray(a, np.float64) for a in rows), sample_weight=weight)
    assert_allclose(result, expected, rtol=1e-6, atol=1e-12)
    assert isinstance(result, np.ndarray if np.ndim(expected) else float)


# ------------------------------------------------- numbers that Keras 3.15 gave

N = 24
_t = np.arange(N)[:, None] + 0.5 * np.arange(4)[None, :]
LOGITS = (2.0 * np.sin(_t * _t)).astype(np.float32)
SOFT = (np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)).astype(np.float32)
SCORES = (0.5 + 0.499 * np.sin(7.0 * _t)).astype(np.float32)
MANY = (np.cos(3.0 * _t) > 0).astype(np.float32)
LABEL = (np.arange(N) * 5) % 4
ONE_HOT = np.eye(4, dtype=np.float32)[LABEL]
WEIGHT = (0.25 + 0.5 * (np.arange(N) % 4)).astype(np.float32)
ONE = (MANY[:, :1], SCORES[:, :1])
ALL = (MANY, SCORES)

CASES = [
    ("MeanSquaredError", {}, (SOFT, SCORES)),
    ("RootMeanSquaredError", {}, (SOFT, SCORES)),
    ("MeanAbsoluteError", {}, (MANY[:, 0], SCORES[:, :1])),
    ("LogCoshError", {}, (LOGITS, SCORES)),
    ("KLDivergence", {}, (SOFT, SOFT[::-1].copy())),
    ("Poisson", {}, ALL),
    ("Hinge", {}, (MANY, LOGITS)),
    ("BinaryCrossentropy", {}, ALL),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, (MANY, LOGITS)),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, (ONE_HOT, SCORES)),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, (ONE_HOT, LOGITS)),
    ("SparseCategoricalCrossentropy", {}, (LABEL, SOFT)),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, (LABEL[:, None], LOGITS)),
    ("BinaryAccuracy", {"threshold": 0.3}, ALL),
    ("CategoricalAccuracy", {}, (ONE_HOT, SOFT)),
    ("SparseCategoricalAccuracy", {}, (LABEL[:, None], SOFT)),
    ("TopKCategoricalAccuracy", {"k": 2}, (ONE_HOT, SOFT)),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, (LABEL, SOFT)),
    ("Precision", {}, ALL),
    ("Precision", {"thresholds": [0.9, 0.1, 0.4]}, ONE),
    ("Precision", {"top_k": 2, "class_id": 1}, ALL),
    ("Recall", {}, ALL),
    ("Recall", {"thresholds": [0.0, 0.5, 1.0]}, ONE),
    ("Recall", {"top_k": 1, "thresholds": 0.4}, ALL),
    ("AUC", {}, ONE),
    ("AUC", {"summation_method": "minoring"}, ONE),
    ("AUC", {"summation_method": "majoring", "thresholds": [0.7, 0.2, 0.3]}, ONE),
    ("AUC", {"curve": "PR"}, ONE),
    ("AUC", {"curve": "PR", "summation_method": "majoring"}, ALL),
    ("AUC", {"from_logits": True, "num_thresholds": 11}, (MANY, LOGITS)),
    ("AUC", {"multi_label": True}, ALL),
    ("AUC", {"multi_label": True, "curve": "PR", "label_weights": [0.1, 0.2, 0.3, 0.4]}, ALL),
    ("AUC", {"label_weights": [0.1, 0.2, 0.3, 0.4]}, ALL),
    ("F1Score", {}, (ONE_HOT, SOFT)),
    ("F1Score", {"average": "macro"}, (ONE_HOT, SOFT)),
    ("FBetaScore", {"average": "micro", "beta": 2.0, "threshold": 0.3}, ALL),
    ("FBetaScore", {"average": "weighted", "beta": 0.5}, (ONE_HOT, SOFT)),
    ("R2Score", {}, (SOFT, SCORES)),
    ("R2Score", {"class_aggregation": None}, (SOFT, SCORES)),
    ("R2Score", {"class_aggregation": "variance_weighted_average", "num_regressors": 3},
     (SOFT, SCORES)),
]  # fmt: skip

# For each case the value without and with WEIGHT.
KERAS = [
    (0.2415601, 0.2579203),
    (0.4914877, 0.5078585),
    (0.5345084, 0.537789),
    (0.7639176, 0.7562684),
    (1.230072, 1.182885),
    (1.112206, 1.144109),
    (1.183123, 1.21284),
    (1.362421, 1.52398),
    (0.8879299, 0.9047047),
    (1.846009, 1.885456),
    (1.968507, 1.851076),
    (1.96318, 1.830443),
    (1.96318, 1.830443),
    (0.4895833, 0.4817708),
    (0.2916667, 0.3229167),
    (0.2916667, 0.3229167),
    (0.5833333, 0.6666667),
    (0.75, 0.8125),
    (0.4705882, 0.4729064),
    ([0.4, 0.5, 0.4666667], [0.4444444, 0.4736842, 0.4385965]),
    (0.4545455, 0.4042553),
    (0.5217391, 0.5274726),
    ([1, 0.5, 0], [1, 0.5, 0]),
    (0.2391304, 0.2032967),
    (0.4375, 0.4327257),
    (0.4375, 0.4327257),
    (0.5972222, 0.5902778),
    (0.4482157, 0.4529099),
    (0.4785793, 0.4612977),
    (0.496087, 0.4838973),
    (0.4825964, 0.479154),
    (0.4653852, 0.4575445),
    (0.4906279, 0.4843875),
    ([0.1538461, 0.2, 0.5714285, 0.1818181], [0.05405403, 0.2, 0.6451612, 0.2222222]),
    (0.2767732, 0.2803594),
    (0.5761317, 0.5374079),
    (0.2732387, 0.36433),
    (-2.952722, -3.551867),
    ([-2.427696, -2.692245, -1.960377, -4.730571], [-1.79947, -5.961702, -2.197469, -4.248827]),
    (-2.819031, -3.140165),
]  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("case", "expected"), list(zip(CASES, KERAS, strict=True)))
def test_values_are_those_of_keras_however_rows_are_split(case, expected, weighted):
    name, arguments, (y_true, y_pred) = case
    weight = WEIGHT if weighted else np.ones(N, np.float32)
    for cuts in ([0, N], [0, 7, 8, N]):
        metric = getattr(metrics, name)(**arguments)
        for a, b in pairwise(cuts):
            metric.update_state(y_true[a:b], y_pred[a:b], weight[a:b] if weighted else None)
        assert_allclose(metric.result(), expected[weighted], rtol=2e-5, atol=2e-6)


# ------------------------------------------------------------ scikit-learn's numbers

rng = np.random.default_rng(1)
TRUTH = rng.integers(0, 2, 20_000)
# Multiples of 1/198 between two thresholds each, so that 200 thresholds lose nothing.
FINE = ((np.clip(rng.normal(0.3 + 0.4 * TRUTH, 0.3), 0, 0.999) * 198 // 1 + 0.5) / 199).astype(
    float
)
FINE_WEIGHT = rng.random(20_000)


@pytest.mark.parametrize("weight", [None, FINE_WEIGHT])
def test_roc_area_is_that_of_scikit_learn(weight):
    expected = sk.roc_auc_score(TRUTH, FINE, sample_weight=weight)
    assert metrics.AUC()(TRUTH, FINE, weight) == pytest.approx(expected, rel=1e-12)


def test_roc_area_of_200_thresholds_is_near_the_exact_one():
    y_pred = 1 / (1 + np.exp(-rng.normal(2 * TRUTH - 1, 1.5)))
    exact = sk.roc_auc_score(TRUTH, y_pred)
    assert metrics.AUC()(TRUTH, y_pred) == pytest.approx(exact, abs=1e-4)
    assert metrics.AUC(5)(TRUTH, y_pred) != pytest.approx(exact, abs=1e-4)


@pytest.mark.parametrize("weight", [None, FINE_WEIGHT])
@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9])
def test_precision_and_recall_are_those_of_scikit_learn(threshold, weight):
    chosen = np.greater(FINE, threshold)
    for ours, theirs in (
        (metrics.Precision, sk.precision_score),
        (metrics.Recall, sk.recall_score),
    ):
        expected = theirs(TRUTH, chosen, sample_weight=weight)
        assert ours(threshold)(TRUTH, FINE, weight) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
def test_f_scores_are_those_of_scikit_learn(average, weight):
    expected = sk.f1_score(LABEL, SOFT.argmax(1), average=average, sample_weight=weight)
    assert_allclose(metrics.F1Score(average)(ONE_HOT, SOFT, weight), expected, rtol=1e-12)
    expected = sk.fbeta_score(MANY, SCORES > 0.3, beta=3, average=average, sample_weight=weight)
    assert_allclose(metrics.FBetaScore(average, 3, 0.3)(MANY, SCORES, weight), expected, rtol=1e-12)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (None, "raw_values"),
        ("uniform_average", "uniform_average"),
        ("variance_weighted_average", "variance_weighted"),
    ],
)
def test_r2_is_that_of_scikit_learn_even_far_from_zero(ours, theirs, weight):
    y_true = SOFT.astype(float) + 1e7
    y_pred = y_true + 0.1 * LOGITS
    expected = sk.r2_score(y_true, y_pred, sample_weight=weight, multioutput=theirs)
    metric = metrics.R2Score(ours)
    for rows in np.array_split(np.arange(N), 5):
        metric.update_state(y_true[rows], y_pred[rows], None if weight is None else weight[rows])
    assert_allclose(metric.result(), expected, rtol=1e-6)


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_r2_of_targets_that_do_not_vary(rows):
    random = np.random.default_rng(rows)
    for _ in range(20):
        y_true = np.repeat(random.normal(size=(1, 3)), rows, axis=0)
        y_pred = y_true + random.normal(size=(rows, 3))
        metric = metrics.R2Score()
        metric.update_state(y_true, y_pred, random.uniform(size=rows))
        metric.update_state(y_true, y_pred)
        assert metric.result() == 0


# -------------------------------------------------------------------- properties

WITH_ROWS = sorted({name for name, _, _ in CASES})


def _first_case(name):
    return next((a, rows) for n, a, rows in CASES if n == name)


@pytest.mark.parametrize("name", WITH_ROWS)
def test_a_reset_forgets_and_no_rows_change_nothing(name):
    arguments, (y_true, y_pred) = _first_case(name)
    metric = getattr(metrics, name)(**arguments)
    first = metric(y_true, y_pred, WEIGHT)
    metric.update_state(y_true[:0], y_pred[:0])
    assert_array_equal(metric.result(), first)
    metric.reset_state()
    assert_array_equal(metric(y_true, y_pred, WEIGHT), first)


@pytest.mark.parametrize("name", WITH_ROWS)
def test_a_row_of_weight_0_does_not_count(name):
    arguments, (y_true, y_pred) = _first_case(name)
    make = getattr(metrics, name)
    weight = (np.arange(N) % 3 > 0).astype(float)
    kept = make(**arguments)(y_true[weight > 0], y_pred[weight > 0])
    assert_allclose(make(**arguments)(y_true, y_pred, weight), kept, rtol=1e-12)


@pytest.mark.parametrize("name", WITH_ROWS)
def test_a_configuration_gives_the_same_again(name):
    arguments, rows = _first_case(name)
    metric = getattr(metrics, name)(**arguments)
    again = type(metric).from_config(metric.get_config())
    assert again.get_config() == metric.get_config()
    assert again.name == metric.name
    assert_array_equal(again(*rows), metric(*rows))


@pytest.mark.parametrize("name", WITH_ROWS)
def test_lists_and_other_types_mean_the_same(name):
    arguments, (y_true, y_pred) = _first_case(name)
    make = getattr(metrics, name)
    expected = make(**arguments)(y_true, y_pred.astype(float))
    assert_allclose(make(**arguments)(y_true.tolist(), y_pred.tolist()), expected, rtol=1e-12)
    reversed_rows = make(**arguments)(y_true[::-1], y_pred.astype(float)[::-1])
    assert_allclose(reversed_rows, expected, rtol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        metrics.AUC,
        lambda: metrics.AUC(curve="PR"),
        metrics.Precision,
        metrics.Recall,
        metrics.MeanSquaredError,
        metrics.BinaryCrossentropy,
        metrics.R2Score,
        lambda: metrics.F1Score("macro", 0.5),
        lambda: metrics.F1Score("macro"),
    ],
)
@pytest.mark.parametrize("bad", ["y_true", "y_pred"])
def test_a_nan_never_looks_like_a_number(make, bad):
    y_true, y_pred = MANY[:, :1].copy(), SCORES[:, :1].copy()
    (y_true if bad == "y_true" else y_pred)[3] = np.nan
    assert np.isnan(make()(y_true, y_pred))


def test_sequences_are_rows_of_rows():
    y_true, y_pred = LABEL.reshape(6, 4), SOFT.reshape(6, 4, 4)
    expected = metrics.SparseCategoricalAccuracy()(LABEL, SOFT, np.repeat(WEIGHT[:6], 4))
    assert metrics.SparseCategoricalAccuracy()(y_true, y_pred, WEIGHT[:6]) == expected
    by_step = metrics.SparseCategoricalAccuracy()(y_true, y_pred, WEIGHT.reshape(6, 4))
    assert by_step == metrics.SparseCategoricalAccuracy()(LABEL, SOFT, WEIGHT)


def test_absorbed_sums_are_as_good_as_rows():
    metric = metrics.RootMeanSquaredError()
    metric.absorb(np.float64(18.0), np.float64(2.0))
    assert metric.result() == 3.0
    assert type(metrics.Mean().result()) is type(metric.result()) is float
    metric.absorb(14.0, 2.0)
    assert metric.result() == 8**0.5


@pytest.mark.parametrize(
    ("metric", "op", "options", "sparse"),
    [
        (metrics.RootMeanSquaredError(), "mean_squared_error", {}, False),
        (metrics.BinaryAccuracy(threshold=0.3), "binary_accuracy", {"param": 0.3}, False),
        (metrics.CategoricalAccuracy(), "categorical_accuracy", {}, False),
        (metrics.SparseCategoricalAccuracy(), "sparse_categorical_accuracy", {}, True),
        (metrics.TopKCategoricalAccuracy(3), "top_k_accuracy", {"param": 3.0}, False),
        (metrics.SparseTopKCategoricalAccuracy(3), "sparse_top_k_accuracy", {"param": 3.0}, True),
        (metrics.CategoricalCrossentropy(label_smoothing=0.1), "categorical_crossentropy",
         {"smoothing": 0.1}, False),
        (metrics.CategoricalCrossentropy(axis=1), None, {}, False),
        (metrics.SparseCategoricalCrossentropy(ignore_class=0), None, {}, True),
        (metrics.Accuracy(), None, {}, False),
    ],
)  # fmt: skip
def test_ops_that_a_backend_may_compute(metric, op, options, sparse):
    assert (metric.op, metric.options(), metric.sparse) == (op, options, sparse)


# ------------------------------------------------------------------- by name


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("mse", metrics.MeanSquaredError),
        ("MSE", metrics.MeanSquaredError),
        ("mae", metrics.MeanAbsoluteError),
        ("bce", metrics.BinaryCrossentropy),
        ("AUC", metrics.AUC),
        ("precision", metrics.Precision),
        ("KLDivergence", metrics.KLDivergence),
        ("kl_divergence", metrics.KLDivergence),
        ("TopKCategoricalAccuracy", metrics.TopKCategoricalAccuracy),
        ("r2_score", metrics.R2Score),
        ("F1Score", metrics.F1Score),
    ],
)
def test_get_by_name(name, cls):
    assert type(metrics.get(name)) is cls


def test_get_takes_instances_classes_configurations_and_functions():
    metric = metrics.MeanSquaredError(name="mine")
    assert metrics.get(None) is None
    assert metrics.get(metric) is metric
    assert type(metrics.get(metrics.Recall)) is metrics.Recall
    config = {"class_name": "Precision", "config": {"thresholds": 0.7}}
    assert metrics.get(config).thresholds == [0.7]

    def largest_error(y_true, y_pred):
        return np.abs(y_true - y_pred).max(axis=-1)

    wrapped = metrics.get(largest_error)
    assert wrapped.name == "largest_error"
    assert wrapped([[1.0, 2.0], [0.0, 0.0]], [[1.0, 3.0], [3.0, 0.0]], [1, 3]) == 2.5
    with pytest.raises(ValueError, match="Unknown metric 'mean_square_error'"):
        metrics.get("mean_square_error")


@pytest.mark.parametrize(
    ("y_true", "y_pred", "kind"),
    [
        ((5, 1), (5, 1), "binary"),
        ((5,), (5, 1), "binary"),
        ((5, 3), (5, 1), "binary"),
        ((5,), (5, 3), "sparse_categorical"),
        ((5, 1), (5, 3), "sparse_categorical"),
        ((5, 7), (5, 7, 3), "sparse_categorical"),
        ((5, 3), (5, 3), "categorical"),
        ((None, 3), (None, 3), "categorical"),
    ],
)
def test_accuracy_and_crossentropy_are_chosen_by_shape(y_true, y_pred, kind):
    assert metrics.resolve_crossentropy(y_true, y_pred) == f"{kind}_crossentropy"
    for name in ("accuracy", "acc"):
        metric = metrics.resolve_accuracy(name, y_true, y_pred)
        assert (metric.op, metric.name) == (f"{kind}_accuracy", name)
        assert type(metrics.resolve(name, y_true, y_pred)) is type(metric)


def test_a_name_given_to_compile_is_the_name_in_logs():
    assert metrics.resolve("mse", (5, 1), (5, 1)).name == "mse"
    assert metrics.resolve("AUC", (5, 1), (5, 1)).name == "AUC"
    mine = metrics.Recall(name="mine")
    assert metrics.resolve(mine, (5, 1), (5, 1)).name == "mine"


# ------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.Precision(1.5), "thresholds must be from 0 to 1"),
        (lambda: metrics.Recall([0.5, -0.1]), "thresholds must be from 0 to 1"),
        (lambda: metrics.Recall([0.5, np.nan]), "thresholds must be from 0 to 1"),
        (lambda: metrics.Precision(top_k=0), "top_k must be"),
        (lambda: metrics.AUC(num_thresholds=1), "num_thresholds must be at least 2"),
        (lambda: metrics.AUC(curve="RCO"), "curve must be one of ROC, PR"),
        (lambda: metrics.AUC(summation_method="x"), "summation_method must be one of"),
        (lambda: metrics.AUC(num_labels=3), "num_labels needs multi_label"),
        (lambda: metrics.AUC(thresholds=[2.0]), "thresholds must be from 0 to 1"),
        (lambda: metrics.F1Score("mean"), "average must be"),
        (lambda: metrics.F1Score(threshold=0.0), "threshold must be"),
        (lambda: metrics.FBetaScore(beta=0), "beta must be"),
        (lambda: metrics.R2Score("mean"), "class_aggregation must be"),
        (lambda: metrics.R2Score(num_regressors=-1), "num_regressors must be"),
        (lambda: metrics.TopKCategoricalAccuracy(0), "k must be"),
        (lambda: metrics.TopKCategoricalAccuracy(1.5), "k must be"),
        (lambda: metrics.BinaryCrossentropy(label_smoothing=2), "label_smoothing must be"),
    ],
)
def test_arguments_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("metric", "y_true", "y_pred", "weight", "message"),
    [
        (metrics.MeanSquaredError(), [[1], [2]], [[1], [2], [3]], None, r"\(2, 1\).*\(3, 1\)"),
        (metrics.CategoricalAccuracy(), LABEL, SOFT, None, "begin with Sparse"),
        (metrics.SparseCategoricalAccuracy(), ONE_HOT, SOFT, None, "do not begin with Sparse"),
        (metrics.SparseCategoricalAccuracy(), LABEL + 0.5, SOFT, None, "must be whole, got 0.5"),
        (metrics.SparseCategoricalAccuracy(), LABEL * np.nan, SOFT, None, "must be whole, got nan"),
        (metrics.SparseCategoricalAccuracy(), LABEL + 2**40, SOFT, None, "must be whole"),
        (metrics.SparseCategoricalCrossentropy(), LABEL + 1, SOFT, None, "from 0 to 3.*got 4"),
        (metrics.SparseCategoricalCrossentropy(), LABEL - 1, SOFT, None, "from 0 to 3.*got -1"),
        (metrics.MeanSquaredError(), SOFT, SCORES, np.ones(N + 1), "sample_weight has the shape"),
        (metrics.AUC(), *ONE, np.ones((2, N)), "sample_weight has the shape"),
        (metrics.MeanSquaredError(), 1.0, 2.0, None, "at least one axis"),
        (metrics.Precision(class_id=4), *ALL, None, "class_id=4 needs"),
        (metrics.Precision(class_id=0), [1, 0], [0.1, 0.2], None, "class_id=0 needs"),
        (metrics.AUC(multi_label=True, num_labels=3), *ALL, None, r"\(rows, 3\), got \(24, 4\)"),
        (metrics.AUC(multi_label=True), [1, 0], [0.1, 0.2], None, r"got \(2,\)"),
        (metrics.F1Score(), LABEL, SOFT, None, "to_categorical"),
        (metrics.R2Score(), np.ones((2, 2, 2)), np.ones((2, 2, 2)), None, r"\(rows, columns\)"),
    ],
)
def test_rows_are_checked(metric, y_true, y_pred, weight, message):
    with pytest.raises(ValueError, match=message):
        metric.update_state(y_true, y_pred, weight)


def test_what_is_no_number_is_refused():
    with pytest.raises(TypeError, match="y_pred must hold numbers"):
        metrics.MeanSquaredError()([[1.0]], [["a"]])
    with pytest.raises(TypeError, match="y_true must hold numbers"):
        metrics.MeanSquaredError()([["a"]], [[1.0]])


def test_too_few_rows_for_an_adjusted_score():
    metric = metrics.R2Score(num_regressors=3)
    with pytest.warns(UserWarning, match="too few to adjust for 3 regressors"):
        assert metric([1, 4, 3], [2, 4, 4]) == pytest.approx(4 / 7)


def test_a_base_class_says_what_to_override():
    class Empty(metrics.Metric):
        pass

    for use in (Empty().update_state, Empty().result, Empty().reset_state):
        with pytest.raises(NotImplementedError, match="Empty must override"):
            use()
    assert repr(Empty(name="e")) == "<Empty name=e>"
    assert Empty(dtype="float64").dtype == "float64"


# ------------------------------------------------------- confusion and overlap


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: metrics.TruePositives(thresholds=[0.5, 1.5]), "thresholds must be from 0 to 1"),
        (lambda: metrics.PrecisionAtRecall(1.5), "recall must be from 0 to 1, got 1.5"),
        (lambda: metrics.SensitivityAtSpecificity(0.5, 0), "num_thresholds must be a whole number"),
        (lambda: metrics.IoU(2, [2]), "target_class_ids must be from 0 to 1 for 2 classes"),
        (lambda: metrics.BinaryIoU([3]), "target_class_ids must be from 0 to 1"),
        (lambda: metrics.MeanIoU(0), "num_classes must be a whole number of at least 1"),
        (lambda: metrics.MeanIoU(2)([0, 1], [0, 1, 1]), "2 labels.*3 predictions"),
        (lambda: metrics.RecallAtPrecision(0.5, class_id=1)([0, 1], [0, 1]), "class_id=1 needs"),
        (lambda: metrics.CosineSimilarity(axis=0), "axis must be -1"),
        (lambda: metrics.PearsonCorrelation(axis=1), "axis must be -1"),
        (lambda: metrics.FalseNegatives()([0, 1], [0.5]), "must be the same"),
    ],
)
def test_errors_of_confusion_and_overlap(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_nan_is_no_low_rate_and_no_class():
    y, p = [0.0, 1.0, 1.0], [0.1, np.nan, 0.9]
    for metric in (metrics.TruePositives(), metrics.PrecisionAtRecall(0.5)):
        assert np.isnan(metric(y, p))
    assert metrics.BinaryIoU()(y, p) == metrics.BinaryIoU()([0.0, 1.0], [0.1, 0.9]) == 1.0
    scores = np.array([[0.2, 0.8], [np.nan, 0.1]])
    assert metrics.MeanIoU(2, sparse_y_pred=False)([1, 0], scores) == 1.0


def test_nothing_added_yet():
    assert metrics.FalsePositives(thresholds=[0.1, 0.2])([], []).tolist() == [0.0, 0.0]
    assert metrics.SpecificityAtSensitivity(0.5)([], []) == 0.0
    assert metrics.MeanIoU(3)([], []) == 0.0


def test_classes_that_nobody_has_are_left_out():
    metric = metrics.MeanIoU(4, ignore_class=2)
    assert metric([0, 0, 1, 2, 9], [0, 1, 1, 2, 0]) == (1 / 2 + 1 / 2) / 2
    metric.reset_state()
    assert metric([0, 0], [0, 1], sample_weight=[3.0, 1.0]) == (3 / 4 + 0) / 2
