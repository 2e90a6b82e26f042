"""Losses with several options, of rows and of whole batches; sparsemax, glu and correlations.

By hand, by finite differences, and every backend against the reference.
"""

import math

import numpy as np
import pytest

import hotloop
from hotloop import backends
from hotloop.backends import numpy as reference

SHAPES = [
    (1, 1),
    (2, 257),
    (3, 33),
    (7, 31),
    (17, 17),
    (31, 7),
    (33, 3),
    (257, 2),
    (301, 1),
    (0, 5),
]
DTYPES = (np.float32, np.float64)
EXTREMES = (-1e30, -90.0, -0.0, 1e-40, 90.0, 1e30, -np.inf, np.inf, np.nan)

LOSSES = [
    ("binary_focal_crossentropy", {}),
    ("binary_focal_crossentropy", {"gamma": 0.0, "smoothing": 0.1}),
    ("binary_focal_crossentropy", {"gamma": 1.5, "positive": 0.25, "negative": 0.75}),
    ("binary_focal_crossentropy_logits", {}),
    ("binary_focal_crossentropy_logits", {"gamma": 0.5, "smoothing": 0.1}),
    ("categorical_focal_crossentropy", {}),
    ("categorical_focal_crossentropy", {"gamma": 0.0, "alpha": 1.0, "smoothing": 0.1}),
    ("categorical_focal_crossentropy_logits", {}),
    ("categorical_focal_crossentropy_logits", {"gamma": 2.5, "smoothing": 0.1}),
    ("generalized_crossentropy", {}),
    ("generalized_crossentropy", {"q": 0.9}),
    ("categorical_hinge", {}),
    ("cosine_similarity", {}),
    ("tversky", {}),
    ("tversky", {"alpha": 0.2, "beta": 0.9, "epsilon": 1e-3}),
    ("batch_tversky", {}),
    ("batch_tversky", {"alpha": 0.2, "beta": 0.9}),
]
METRICS = ["pearson_correlation", "concordance_correlation"]


@pytest.fixture
def rng():
    return np.random.default_rng(4)


@pytest.fixture(params=[1, 3])
def threads(request):
    before = hotloop.config.num_threads()
    hotloop.set_num_threads(request.param)
    yield request.param
    hotloop.set_num_threads(before)


def assert_same(ours, truth, dtype, scale=1.0):
    tolerance = 1e-5 if dtype == np.float32 else 1e-11
    assert ours.dtype == truth.dtype == dtype
    np.testing.assert_allclose(ours, truth, rtol=tolerance, atol=tolerance * scale)


def both(op, *inputs, out, **options):
    """The named outputs of an op, by the selected backend and by the reference."""
    results = []
    for ops in (backends.operations(None), reference.OPS):
        outputs = {name: np.full_like(like, 7.0) for name, like in out.items()}
        before = [np.copy(a) for a in inputs if a is not None]
        ops[op](*inputs, **outputs, **options)
        for array, copy in zip((a for a in inputs if a is not None), before, strict=True):
            np.testing.assert_array_equal(array, copy)
        results.append(outputs)
    return results


def arguments(op, rows, cols, dtype, rng):
    """Targets and predictions that suit a loss."""
    label = rng.integers(0, cols, rows).astype(np.int32)
    if op == "cosine_similarity":
        return rng.normal(size=(2, rows, cols)).astype(dtype)
    logits = op.endswith("_logits") or op == "categorical_hinge"
    p = rng.normal(size=(rows, cols)) if logits else rng.uniform(0.05, 0.95, (rows, cols))
    if op == "generalized_crossentropy":
        y = label
    elif op.startswith("categorical"):
        y = np.eye(cols, dtype=dtype)[label]
    else:
        y = rng.integers(0, 2, (rows, cols)).astype(dtype)
    return y, p.astype(dtype)


# ------------------------------------------------------------------------------ losses

BY_HAND = [
    (
        "binary_focal_crossentropy",
        {"gamma": 2.0, "positive": 0.5, "negative": 2.0},
        [[1.0, 0.0]],
        [[0.25, 0.25]],
        (0.5 * 0.75**2 * math.log(4.0) + 2.0 * 0.25**2 * math.log(4 / 3)) / 2,
    ),
    (
        "categorical_focal_crossentropy",
        {"gamma": 2.0, "alpha": 0.5, "smoothing": 0.5},
        [[0.0, 1.0]],
        [[3.0, 1.0]],
        0.5 * (0.25 * 0.25**2 * math.log(4 / 3) + 0.75 * 0.75**2 * math.log(4.0)),
    ),
    (
        "categorical_focal_crossentropy_logits",
        {"gamma": 1.0, "alpha": 1.0},
        [[0.0, 1.0]],
        [[math.log(3.0), 0.0]],
        0.75 * math.log(4.0),
    ),
    ("generalized_crossentropy", {"q": 0.5}, [1], [[0.75, 0.25]], 1.0),
    ("categorical_hinge", {}, [[0.0, 1.0, 0.0]], [[0.5, 1.0, 0.75]], 0.75),
    ("categorical_hinge", {}, [[0.0, 1.0]], [[0.5, 2.0]], 0.0),
    ("cosine_similarity", {}, [[3.0, 4.0]], [[2.0, 0.0]], -0.6),
    ("cosine_similarity", {}, [[3.0, 4.0]], [[0.0, 0.0]], 0.0),
    (
        "tversky",
        {"alpha": 0.25, "beta": 0.75, "epsilon": 0.0},
        [[1.0, 0.0]],
        [[0.5, 0.25]],
        1.0 - 0.5 / (0.5 + 0.25 * 0.5 + 0.75 * 0.25),
    ),
    ("batch_tversky", {"epsilon": 0.0}, [[1.0, 0.0]], [[0.5, 0.5]], 0.5),
]


@pytest.mark.parametrize(("op", "options", "y", "p", "expected"), BY_HAND)
def test_loss_by_hand(op, options, y, p, expected, backend):
    target = np.array(y, np.int32 if op == "generalized_crossentropy" else float)
    values = np.empty(1)
    backends.call(op, target, np.array(p), None, values=values, **options)
    np.testing.assert_allclose(values, [expected], rtol=1e-13, atol=1e-15)


def test_a_batch_has_one_value(backend):
    y, p = np.array([[1.0], [0.0], [1.0]]), np.array([[0.5], [0.5], [1.0]])
    weight = np.array([1.0, 0.5, 0.0])
    values, gradient = np.empty(3), np.empty((3, 1))
    call = {"values": values, "gradient": gradient, "epsilon": 0.0}
    backends.call("batch_tversky", y, p, weight, **call)
    # 1 - 1.5 / (1.5 + 0.25 + 0.25)
    np.testing.assert_allclose(values, 0.25 * weight, rtol=1e-14)
    # d/dp of 1 - 2 I / (sum y + sum p), times the sum of the weights.
    np.testing.assert_allclose(gradient[:, 0], 1.5 * (2 * 1.5 / 16 - 2 * y[:, 0] / 4), rtol=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("op", "options"), LOSSES)
def test_gradient_is_the_slope(op, options, weighted, rng, backend):
    y, p = arguments(op, 5, 7, np.float64, rng)
    weight = rng.uniform(0.5, 2.0, 5) if weighted else None
    gradient, values = np.empty_like(p), np.empty(5)
    backends.call(op, y, p, weight, values=values, gradient=gradient, scale=0.3, **options)
    h = 1e-6
    for at in np.ndindex(p.shape):
        sums = []
        for step in (h, -h):
            moved = p.copy()
            moved[at] += step
            backends.call(op, y, moved, weight, values=values, **options)
            sums.append(values.sum())
        slope = 0.3 * (sums[0] - sums[1]) / (2 * h)
        np.testing.assert_allclose(gradient[at], slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("op", "options"), LOSSES)
def test_loss_is_that_of_the_reference(op, options, dtype, threads, rng, backend):
    for rows, cols in SHAPES:
        y, p = arguments(op, rows, cols, dtype, rng)
        values = np.empty(rows, dtype)
        for weight in (None, rng.uniform(0.5, 2.0, rows).astype(dtype)):
            for out in ({"values": values}, {"values": values, "gradient": p}):
                ours, truth = both(op, y, p, weight, out=out, scale=0.25, **options)
                for name in out:
                    assert_same(ours[name], truth[name], dtype, 4.0)
            over = p.copy()
            backends.call(op, y, over, weight, values=values, gradient=over, scale=0.25, **options)
            assert_same(over, truth["gradient"], dtype, 4.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("op", "options"), [(op, options) for op, options in LOSSES if op != "batch_tversky"]
)
def test_loss_at_the_ends(op, options, dtype, rng, backend):
    y, p = arguments(op, 2 * len(EXTREMES), 5, dtype, rng)
    p[np.arange(len(p)), np.arange(len(p)) % 5] = EXTREMES * 2
    out = {"values": np.empty(len(p), dtype), "gradient": p}
    ours, truth = both(op, y, p, None, out=out, **options)
    # A sum of squares or of numbers that cancel may overflow in one order and not in another.
    usual = np.isfinite(p).all(axis=1) & (np.abs(p).max(axis=1) < 1e9)
    for name in out:
        assert_same(ours[name][usual], truth[name][usual], dtype, 4.0)
    if op == "generalized_crossentropy":
        return  # it looks at one column
    assert np.isnan(ours["values"][np.isnan(p).any(axis=1)]).all()
    assert np.isnan(truth["values"][np.isnan(p).any(axis=1)]).all()


def test_a_nan_is_a_nan_of_the_whole_batch(backend):
    y, p = np.ones((4, 3)), np.full((4, 3), 0.5)
    p[2, 1] = np.nan
    values = np.empty(4)
    backends.call("batch_tversky", y, p, None, values=values)
    assert np.isnan(values).all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 3.0])
def test_focal_losses_of_certain_predictions(gamma, backend):
    y = np.array([[0.0, 1.0]])
    for op in ("binary_focal_crossentropy", "categorical_focal_crossentropy"):
        for p, least, most in (([[0.0, 1.0]], 0.0, 1e-6), ([[1.0, 0.0]], 0.1, 20.0)):
            values, gradient = np.empty(1), np.empty((1, 2))
            backends.call(op, y, np.array(p), None, values=values, gradient=gradient, gamma=gamma)
            assert least <= values[0] <= most
            if gamma >= 1.0:
                assert np.isfinite(gradient).all()


def test_predictions_that_are_no_probabilities(backend):
    # (1 - 1.5)^2 is a number, (1 - 1.5)^1.5 is none.
    y, p, values = np.array([[1.0]]), np.array([[1.5]]), np.empty(1)
    for gamma, expected in ((2.0, 0.25), (3.0, -0.125), (1.5, np.nan)):
        backends.call("binary_focal_crossentropy", y, p, None, values=values, gamma=gamma)
        np.testing.assert_allclose(values, [expected * -math.log1p(-1e-7)], rtol=1e-6)


@pytest.mark.parametrize("label", [-1, 3, 2**31 - 1, -(2**31)])
def test_labels_out_of_range_are_refused(label, backend):
    with pytest.raises(ValueError, match=f"from 0 to 2.*got {label}"):
        backends.call(
            "generalized_crossentropy",
            np.array([0, label], np.int32),
            np.ones((2, 3)),
            None,
            values=np.empty(2),
        )


def test_ties_share_the_gradient_of_the_categorical_hinge(backend):
    y, p = np.array([[1.0, 0.0, 0.0, 0.0]]), np.array([[0.5, 0.75, 0.75, 0.0]])
    values, gradient = np.empty(1), np.empty((1, 4))
    backends.call("categorical_hinge", y, p, None, values=values, gradient=gradient)
    np.testing.assert_array_equal(gradient, [[-1.0, 0.5, 0.5, 0.0]])


# ---------------------------------------------------------------- rows, without a loss


@pytest.mark.parametrize("dtype", DTYPES)
def test_sparsemax_is_that_of_the_reference(dtype, threads, rng, backend):
    for shape in SHAPES:
        x, dy = rng.normal(0, 2, (2, *shape)).astype(dtype)
        ours, truth = both("sparsemax", x, out={"out": x})
        assert_same(ours["out"], truth["out"], dtype)
        ours, truth = both("sparsemax_gradient", dy, truth["out"], out={"out": x})
        assert_same(ours["out"], truth["out"], dtype)


def test_gradients_of_rows_are_slopes(rng, backend):
    h = 1e-6
    for op, cols in (("sparsemax", 6), ("glu", 3)):
        x, dy = rng.normal(size=(4, 6)), rng.normal(size=(4, cols))
        y, dx, moved = np.empty((4, cols)), np.empty((4, 6)), np.empty((4, cols))
        backends.call(op, x, out=y)
        backends.call(op + "_gradient", dy, y if op == "sparsemax" else x, out=dx)
        for j in range(6):
            steps = []
            for sign in (1, -1):
                near = x.copy()
                near[:, j] += sign * h
                backends.call(op, near, out=moved)
                steps.append(sign * (moved * dy).sum(axis=1))
            np.testing.assert_allclose(dx[:, j], sum(steps) / (2 * h), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_sparsemax_of_no_numbers(value, backend):
    x = np.array([[0.0, value, 1.0, 0.5], [0.0, 0.0, 1.0, 0.5]])
    y = np.empty_like(x)
    backends.call("sparsemax", x, out=y)
    np.testing.assert_allclose(y[1], [0.0, 0.0, 0.75, 0.25])
    np.testing.assert_allclose(y[0], [0, 0, 0.75, 0.25] if value == -np.inf else np.full(4, np.nan))


@pytest.mark.parametrize("dtype", DTYPES)
def test_glu_is_that_of_the_reference(dtype, threads, rng, backend):
    for rows, cols in SHAPES:
        x = rng.normal(0, 4, (rows, 2 * cols)).astype(dtype)
        dy = rng.normal(size=(rows, cols)).astype(dtype)
        ours, truth = both("glu", x, out={"out": dy})
        assert_same(ours["out"], truth["out"], dtype)
        ours, truth = both("glu_gradient", dy, x, out={"out": x})
        assert_same(ours["out"], truth["out"], dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", METRICS)
def test_correlation_is_that_of_the_reference(op, dtype, threads, rng, backend):
    for rows, cols in SHAPES:
        y, p = rng.normal(size=(2, rows, cols)).astype(dtype)
        for weight in (None, rng.uniform(0.5, 2.0, rows).astype(dtype)):
            ours, truth = both(op, y, p, weight, out={"values": np.empty(rows, dtype)})
            # Two numbers that are nearly equal leave little of their variance.
            assert_same(ours["values"], truth["values"], dtype, 10.0)


def test_correlations_by_hand(backend):
    y = np.array([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0], [1.0, 1.0, 1.0]])
    p = np.array([[1.0, 3.0, 5.0], [5.0, 3.0, 1.0], [0.0, 1.0, 2.0]])
    values = np.empty(3)
    backends.call("pearson_correlation", y, p, None, values=values)
    np.testing.assert_allclose(values, [1.0, -1.0, np.nan], rtol=1e-14)
    backends.call("concordance_correlation", y, p, None, values=values)
    spread = 2 / 3 + 8 / 3 + 4 + 1e-7
    np.testing.assert_allclose(values, [8 / 3 / spread, -8 / 3 / spread, 0.0], rtol=1e-14)
