"""The reference: hand-computed numbers, then finite differences, then PyTorch's optimizers."""

import math

import numpy as np
import pytest

from hotloop.backends import numpy as reference
from hotloop.backends.formulas import ACTIVATIONS, LOSSES, OPTIMIZERS

OPS = reference.OPS
DTYPES = (np.float32, np.float64)
LOG2 = math.log(2.0)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def run(op, *arrays, shape=None, **keywords):
    """The op's output for float64 inputs."""
    out = np.full(arrays[0].shape if shape is None else shape, np.nan, arrays[0].dtype)
    assert OPS[op](*arrays, out=out, **keywords) is None
    return out


def loss(op, target, prediction, weight=None, *, outputs=("gradient",), **keywords):
    """(values, *outputs) of a loss op."""
    values = np.full(len(prediction), np.nan, prediction.dtype)
    arrays = {name: np.full_like(prediction, np.nan) for name in outputs}
    OPS[op](target, prediction, weight, values=values, **arrays, **keywords)
    return (values, *arrays.values())


def slope(f, x, h=1e-6):
    """Central differences of the scalar function f at every element of x."""
    result = np.empty_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = h
        result[index] = (f(x + step) - f(x - step)) / (2.0 * h)
    return result


# -------------------------------------------------------------------- matrix product

A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
B = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, -1.0]])


def test_matmul_by_hand():
    product = [[7.0, -1.0], [16.0, -1.0]]
    np.testing.assert_array_equal(run("matmul", A, B, shape=(2, 2)), product)
    np.testing.assert_array_equal(
        run("matmul", A.T.copy(), B, shape=(2, 2), transpose_a=True), product
    )
    np.testing.assert_array_equal(
        run("matmul", A, B.T.copy(), shape=(2, 2), transpose_b=True), product
    )


def test_matmul_over_nothing_is_zero():
    out = run("matmul", np.empty((2, 0)), np.empty((0, 3)), shape=(2, 3))
    np.testing.assert_array_equal(out, np.zeros((2, 3)))


def test_sums_by_hand():
    np.testing.assert_array_equal(
        run("add_bias", A, np.array([1.0, 0.0, -1.0])), [[2, 2, 2], [5, 5, 5]]
    )
    np.testing.assert_array_equal(run("bias_gradient", A, shape=(3,)), [5, 7, 9])
    np.testing.assert_array_equal(run("add", A, A), 2.0 * A)


def test_dense_by_hand():
    b = np.array([1.0, 0.0])
    y = run("dense", A, B, b, shape=(2, 2), activation="relu")
    np.testing.assert_array_equal(y, [[8.0, 0.0], [17.0, 0.0]])
    y = run("dense", A, B, None, shape=(2, 2), activation="leaky_relu", alpha=0.5)
    np.testing.assert_array_equal(y, [[7.0, -0.5], [16.0, -0.5]])


def test_gradients_of_dense_are_the_slope(rng):
    x, w, dy = rng.normal(size=(5, 3)), rng.normal(size=(3, 4)), rng.normal(size=(5, 4))
    b = rng.normal(size=4)
    dx = run("input_gradient", dy, w, shape=x.shape)
    dw = run("weight_gradient", x, dy, shape=w.shape)
    db = run("bias_gradient", dy, shape=b.shape)

    def value(x, w, b):
        return (run("dense", x, w, b, shape=(5, 4)) * dy).sum()

    np.testing.assert_allclose(dx, slope(lambda x: value(x, w, b), x), rtol=1e-7)
    np.testing.assert_allclose(dw, slope(lambda w: value(x, w, b), w), rtol=1e-7)
    np.testing.assert_allclose(db, slope(lambda b: value(x, w, b), b), rtol=1e-7)


# ----------------------------------------------------------------------- activations


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_gradient_is_the_slope(name, rng):
    x, dy = rng.normal(size=(2, 5, 7))
    saved = x if ACTIVATIONS[name].reads == "x" else run(name, x)
    gradient = run(name + "_gradient", dy, saved)
    expected = slope(lambda x: (run(name, x) * dy).sum(), x)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_in_place_and_without_warnings(name, dtype):
    x = np.array([[-np.inf, -1e30, -0.5, 0.0, 0.5, 1e30, np.inf, np.nan]], dtype)
    expected = run(name, x)
    OPS[name](x, out=x)
    np.testing.assert_array_equal(x, expected)
    assert np.isfinite(expected[0, 2:5]).all()
    assert np.isnan(expected[0, 7])


def test_alpha_is_passed_on():
    x = np.array([[-1.0, 1.0]])
    np.testing.assert_array_equal(run("leaky_relu", x), [[-0.2, 1.0]])
    np.testing.assert_array_equal(run("leaky_relu", x, alpha=0.5), [[-0.5, 1.0]])
    np.testing.assert_array_equal(run("leaky_relu_gradient", x, x, alpha=0.5), [[-0.5, 1.0]])


# --------------------------------------------------------------------------- dropout


def test_dropout_by_hand():
    bits = reference.random_bits(7, 6)
    kept = [int(b) >> 40 >= 2**22 for b in bits]  # rate 1/4 of 2^24
    out = run("dropout", np.ones((2, 3)), rate=0.25, key=7)
    np.testing.assert_allclose(out.ravel(), [4.0 / 3.0 if k else 0.0 for k in kept], rtol=1e-15)


def test_random_bits_are_addressed_by_index():
    np.testing.assert_array_equal(
        reference.random_bits(5, 10)[4:], reference.random_bits(5, 6, first=4)
    )
    np.testing.assert_array_equal(reference.random_bits(-1, 3), reference.random_bits(2**64 - 1, 3))


def test_dropout_keeps_the_mean_and_the_share():
    out = run("dropout", np.ones((1000, 100), np.float32), rate=0.3, key=99)
    assert np.mean(out == 0.0) == pytest.approx(0.3, abs=0.006)  # four standard deviations
    assert out.mean() == pytest.approx(1.0, abs=0.01)


def test_dropout_at_its_ends():
    x = np.array([[1.0, -2.0, np.inf]])
    np.testing.assert_array_equal(run("dropout", x, rate=0.0, key=3), x)
    np.testing.assert_array_equal(run("dropout", x, rate=1.0, key=3), np.zeros((1, 3)))


def test_alpha_dropout_by_hand():
    lowest = -1.0507009873554805 * 1.6732632423543772
    factor = (0.5 * (1 + 0.5 * lowest**2)) ** -0.5
    x = np.array([[3.0, -1.0, 0.5, 2.0, 1.0, -2.0]])
    kept = run("dropout", np.ones((1, 6)), rate=0.5, key=7) > 0
    out = run("alpha_dropout", x, rate=0.5, key=7)
    expected = np.where(kept, x, lowest) * factor - factor * 0.5 * lowest
    np.testing.assert_allclose(out, expected, rtol=1e-14)
    gradient = run("alpha_dropout_gradient", x, rate=0.5, key=7)
    np.testing.assert_allclose(gradient, np.where(kept, x * factor, 0.0), rtol=1e-15)
    assert set(kept[0].tolist()) == {False, True}


def test_alpha_dropout_keeps_mean_and_variance():
    x = np.random.default_rng(3).standard_normal((1000, 100))
    out = run("alpha_dropout", x, rate=0.3, key=5)
    assert out.mean() == pytest.approx(0.0, abs=0.015)
    assert out.var() == pytest.approx(1.0, abs=0.015)


def test_gaussian_noise_by_hand():
    bits = [int(b) for b in reference.random_bits(7, 4)]
    normal = [
        np.sqrt(-2 * np.log(((b >> 40) + 1) / 2**24)) * np.cos(2 * np.pi * (b >> 16) / 2**24)
        for b in bits
    ]
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    noise = np.reshape(normal, (2, 2))
    found = run("gaussian_noise", x, stddev=0.5, key=7)
    np.testing.assert_allclose(found, x + 0.5 * noise, rtol=1e-7)
    found = run("gaussian_dropout", x, stddev=0.5, key=7)
    np.testing.assert_allclose(found, x * (1 + 0.5 * noise), rtol=1e-7)


def test_normal_numbers_are_normal():
    stats = pytest.importorskip("scipy.stats")
    n = 100_000
    found = run("gaussian_noise", np.zeros((1, n)), stddev=1.0, key=11)[0]
    moments = [np.mean(found**power) for power in (1, 2, 3, 4)]
    deviations = np.sqrt(np.array([1.0, 2.0, 15.0, 96.0]) / n)
    assert (np.abs(np.array(moments) - [0, 1, 0, 3]) < 4 * deviations).all()
    assert stats.kstest(found, "norm").pvalue > 0.01
    # Neighbours, and draws by neighbouring keys, have nothing to do with each other.
    other = run("gaussian_noise", np.zeros((1, n)), stddev=1.0, key=12)[0]
    for pair in ((found[1:], found[:-1]), (found, other)):
        assert abs(np.corrcoef(*pair)[0, 1]) < 4 / np.sqrt(n)


# --------------------------------------------------------------------- normalisation


def test_prelu_by_hand():
    x, dy, alpha = np.array([[-2.0, 3.0], [0.0, -4.0]]), np.full((2, 2), 10.0), np.array([0.5, 2.0])
    np.testing.assert_array_equal(run("prelu", x, alpha), [[-1.0, 3.0], [0.0, -8.0]])
    np.testing.assert_array_equal(run("prelu_gradient", dy, x, alpha), [[5.0, 10.0], [0.0, 20.0]])
    found = np.empty(2)
    OPS["prelu_alpha_gradient"](dy, x, out=found)
    np.testing.assert_array_equal(found, [-20.0, -40.0])


def test_normalize_by_hand():
    x, dy = np.array([[1.0, 0.0], [5.0, 0.0]]), np.array([[1.0, 2.0], [3.0, 4.0]])
    mean, variance, dgamma = np.empty((3, 2))
    OPS["column_moments"](x, mean=mean, variance=variance)
    np.testing.assert_array_equal([mean, variance], [[3.0, 0.0], [4.0, 0.0]])
    gamma, beta = np.array([3.0, 5.0]), np.array([1.0, 7.0])
    # Divided by the roots of 4 + 5 and of 0 + 5.
    found = run("normalize", x, mean, variance, gamma, beta, epsilon=5.0)
    np.testing.assert_allclose(found, [[-1.0, 7.0], [3.0, 7.0]])
    OPS["normalize_scale_gradient"](dy, x, mean, variance, epsilon=5.0, out=dgamma)
    np.testing.assert_allclose(dgamma, [4.0 / 3.0, 0.0])
    dbeta = dy.sum(axis=0)
    found = run("normalize_gradient", dy, x, mean, variance, gamma, dgamma, dbeta, epsilon=5.0)
    # First column: dy - 2 -+ (2/3)(4/3)/2; second: dy - 3.
    np.testing.assert_allclose(found, [[-5 / 9, -(5**0.5)], [5 / 9, 5**0.5]])
    found = run("normalize_gradient", dy, x, mean, variance, None, None, None, epsilon=5.0)
    np.testing.assert_allclose(found, dy / [3.0, 5**0.5])
    OPS["moving_average_update"](gamma, beta, momentum=0.75)
    np.testing.assert_array_equal(gamma, [2.5, 5.5])


def test_layer_norm_by_hand():
    x, dy = np.array([[1.0, 5.0]]), np.array([[1.0, 3.0]])
    gamma, beta = np.array([2.0, 4.0]), np.array([1.0, 0.0])
    mean, inverse = np.empty((2, 1))
    found = run("layer_norm", x, gamma, beta, epsilon=5.0, mean=mean, inverse=inverse)
    np.testing.assert_allclose(found, [[-4 / 3 + 1, 8 / 3]])
    np.testing.assert_allclose([mean[0], inverse[0]], [3.0, 1.0 / 3.0])
    dgamma = np.empty(2)
    OPS["layer_norm_scale_gradient"](dy, x, mean, inverse, out=dgamma)
    np.testing.assert_allclose(dgamma, [-2.0 / 3.0, 2.0])
    # g = (2, 12), of mean 7; mean of g n = (10 2/3) / 2.
    found = run("layer_norm_gradient", dy, x, mean, inverse, gamma)
    np.testing.assert_allclose(found, np.array([[-5 + 20 / 9, 5 - 20 / 9]]) / 3)
    found = run("layer_norm", x, None, None, epsilon=12.0, centered=False, mean=mean)
    np.testing.assert_allclose(found, [[0.2, 1.0]])
    assert mean[0] == 0.0


# --------------------------------------------------------------------------- softmax


def test_softmax_by_hand():
    x = np.log([[1.0, 2.0, 5.0]])
    np.testing.assert_allclose(run("softmax", x), [[0.125, 0.25, 0.625]], rtol=1e-15)
    np.testing.assert_allclose(run("log_softmax", x), np.log([[0.125, 0.25, 0.625]]), rtol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_of_extreme_rows(dtype):
    x = np.array([[1e30, 0.0], [-1e30, -1e30], [-np.inf, 0.0], [np.nan, 0.0]], dtype)
    expected = [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [np.nan, np.nan]]
    np.testing.assert_array_equal(run("softmax", x), expected)
    log = run("log_softmax", np.array([[0.0, 1e30], [-np.inf, 0.0]], dtype))
    np.testing.assert_allclose(log, [[-1e30, 0.0], [-np.inf, 0.0]], rtol=1e-6)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_gradient_is_the_slope(name, rng):
    x, dy = rng.normal(size=(2, 4, 5))
    gradient = run(name + "_gradient", dy, run(name, x))
    expected = slope(lambda x: (run(name, x) * dy).sum(), x)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


# ---------------------------------------------------------------------------- losses


def test_mean_squared_error_by_hand():
    y, p = np.array([[0.0, 1.0], [2.0, 2.0]]), np.array([[3.0, 1.0], [2.0, 4.0]])
    values, gradient = loss("mean_squared_error", y, p)
    np.testing.assert_array_equal(values, [4.5, 2.0])
    np.testing.assert_array_equal(gradient, [[3.0, 0.0], [0.0, 2.0]])
    values, gradient = loss("mean_squared_error", y, p, np.array([2.0, 0.0]), scale=0.5)
    np.testing.assert_array_equal(values, [9.0, 0.0])
    np.testing.assert_array_equal(gradient, [[3.0, 0.0], [0.0, 0.0]])


def test_kl_divergence_is_a_sum():
    y, p = np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]])
    values, gradient = loss("kl_divergence", y, p)
    np.testing.assert_allclose(values, [0.5 * math.log(4.0 / 3.0)], rtol=1e-14)
    np.testing.assert_allclose(gradient, [[-2.0, -2.0 / 3.0]], rtol=1e-14)


def test_hinge_reads_binary_labels_as_signs():
    p = np.array([[0.5, -0.5]])
    values, gradient = loss("hinge", np.array([[0.0, 1.0]]), p)
    np.testing.assert_array_equal(values, [1.5])
    np.testing.assert_array_equal(gradient, [[0.5, -0.5]])
    values, _ = loss("hinge", np.array([[0.0, -1.0]]), p)
    np.testing.assert_array_equal(values, [0.75])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_loss_gradient_is_the_slope(name, weighted, rng):
    y, p = rng.uniform(0.05, 0.95, size=(2, 4, 3))
    weight = rng.uniform(0.5, 2.0, size=4) if weighted else None
    _, gradient = loss(name, y, p, weight, scale=0.7, param=0.2)
    expected = slope(lambda p: 0.7 * loss(name, y, p, weight, param=0.2)[0].sum(), p)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_may_share_memory_with_the_prediction(name, rng):
    y, p = rng.uniform(0.05, 0.95, size=(2, 4, 3))
    values, gradient = loss(name, y, p)
    shared = np.empty(4)
    OPS[name](y, p, None, values=shared, gradient=p)
    np.testing.assert_array_equal(shared, values)
    np.testing.assert_array_equal(p, gradient)


def test_categorical_crossentropy_by_hand():
    y, p = np.array([[0.0, 1.0]]), np.array([[3.0, 1.0]])
    values, gradient = loss("categorical_crossentropy", y, p)
    np.testing.assert_allclose(values, [math.log(4.0)], rtol=1e-15)
    np.testing.assert_allclose(gradient, [[0.25, 0.25 - 1.0]], rtol=1e-15)
    values, _ = loss("categorical_crossentropy", y, p, smoothing=0.2)
    expected = -0.1 * math.log(0.75) - 0.9 * math.log(0.25)
    np.testing.assert_allclose(values, [expected], rtol=1e-15)


def test_sparse_categorical_crossentropy_by_hand():
    label, p = np.array([1, 0], np.int32), np.array([[3.0, 1.0], [0.0, 1.0]])
    values, gradient = loss("sparse_categorical_crossentropy", label, p, np.array([2.0, 1.0]))
    np.testing.assert_allclose(values, [2.0 * math.log(4.0), -math.log(1e-7)], rtol=1e-15)
    np.testing.assert_allclose(gradient, [[0.5, 0.5 - 2.0], [0.0, 0.0]], rtol=1e-15)


@pytest.mark.parametrize("clip", [False, True])
def test_softmax_crossentropy_by_hand(clip):
    x = np.log([[1.0, 3.0]])
    outputs = ("probability", "gradient")
    expected = ([math.log(4.0)], [[0.25, 0.75]], [[-0.75, 0.75]])
    dense = loss("softmax_crossentropy", np.array([[1.0, 0.0]]), x, outputs=outputs, clip=clip)
    sparse = loss(
        "sparse_softmax_crossentropy", np.array([0], np.int32), x, outputs=outputs, clip=clip
    )
    for result in (dense, sparse):
        for got, wanted in zip(result, expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-14)


def crossentropy_arguments(op, rng):
    label = rng.integers(0, 5, 6).astype(np.int32)
    if op.startswith("sparse"):
        return label, {}
    soft = rng.uniform(size=(6, 5))
    return soft, {"smoothing": 0.1}  # rows that do not sum to 1


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("op", "options"),
    [
        ("categorical_crossentropy", {}),
        ("sparse_categorical_crossentropy", {}),
        ("softmax_crossentropy", {"clip": False}),
        ("softmax_crossentropy", {"clip": True}),
        ("sparse_softmax_crossentropy", {"clip": False}),
        ("sparse_softmax_crossentropy", {"clip": True}),
    ],
)
def test_crossentropy_gradient_is_the_slope(op, options, weighted, rng):
    x = rng.uniform(0.05, 0.95, size=(6, 5))
    target, smoothing = crossentropy_arguments(op, rng)
    weight = rng.uniform(0.5, 2.0, size=6) if weighted else None
    options = options | smoothing
    _, gradient = loss(op, target, x, weight, scale=0.7, **options)
    expected = slope(lambda x: 0.7 * loss(op, target, x, weight, **options)[0].sum(), x)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("sparse", [False, True])
def test_fused_crossentropy_is_the_composition(sparse, rng):
    # Scores so far apart that some probabilities are clipped at either end.
    x = rng.normal(size=(8, 4)) * 12.0
    label = rng.integers(0, 4, 8).astype(np.int32)
    target, prefix, options = (
        (label, "sparse_", {}) if sparse else (np.eye(4)[label], "", {"smoothing": 0.2})
    )
    p = run("softmax", x)
    values, dp = loss(prefix + "categorical_crossentropy", target, p, **options)
    dx = run("softmax_gradient", dp, p)
    fused = loss(prefix + "softmax_crossentropy", target, x, clip=True, **options)
    np.testing.assert_allclose(fused[0], values, rtol=1e-12)
    np.testing.assert_allclose(fused[1], dx, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
def test_clip_stops_the_gradient_and_exactness_does_not(dtype):
    x = np.array([[0.0, 100.0], [0.0, 1e30]], dtype)
    label = np.array([0, 0], np.int32)
    values, gradient = loss("sparse_softmax_crossentropy", label, x, clip=True)
    np.testing.assert_allclose(values, -np.log(dtype(1e-7)), rtol=1e-6)
    np.testing.assert_array_equal(gradient, np.zeros((2, 2)))
    values, gradient = loss("sparse_softmax_crossentropy", label, x, clip=False)
    np.testing.assert_allclose(values, [100.0, 1e30], rtol=1e-6)
    np.testing.assert_allclose(gradient, [[-1.0, 1.0], [-1.0, 1.0]], rtol=1e-6)


def test_impossible_class_costs_nothing_unless_it_is_true():
    x = np.array([[0.0, -np.inf], [0.0, -np.inf]])
    values, gradient = loss("sparse_softmax_crossentropy", np.array([0, 1], np.int32), x)
    np.testing.assert_array_equal(values, [0.0, np.inf])
    np.testing.assert_array_equal(gradient, [[0.0, 0.0], [1.0, -1.0]])


def test_nan_scores_give_nan_loss():
    x = np.array([[0.0, np.nan]])
    for clip in (False, True):
        values, _ = loss("sparse_softmax_crossentropy", np.array([0], np.int32), x, clip=clip)
        assert np.isnan(values).all()


@pytest.mark.parametrize(
    "op",
    ["sparse_categorical_crossentropy", "sparse_softmax_crossentropy", "sparse_top_k_accuracy"],
)
@pytest.mark.parametrize("wrong", [-1, 3])
def test_label_out_of_range(op, wrong):
    label = np.array([0, wrong], np.int32)
    with pytest.raises(ValueError, match=f"class numbers from 0 to 2, .* got {wrong}"):
        OPS[op](label, np.ones((2, 3)), None, values=np.empty(2))


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_rows(dtype):
    x, none = np.empty((0, 3), dtype), np.empty(0, dtype)
    label = np.empty(0, np.int32)
    for op in (*LOSSES, "categorical_crossentropy", "softmax_crossentropy"):
        assert loss(op, x, x)[1].shape == (0, 3)
    for op in ("sparse_categorical_crossentropy", "sparse_softmax_crossentropy"):
        assert loss(op, label, x, none)[0].shape == (0,)
    for op in ("softmax", "relu"):
        assert run(op, x).shape == (0, 3)


# --------------------------------------------------------------------------- metrics


def metric(op, target, prediction, weight=None, **keywords):
    values = np.full(len(prediction), np.nan)
    OPS[op](target, prediction, weight, values=values, **keywords)
    return values.tolist()


def test_binary_accuracy_by_hand():
    y, p = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[0.2, 0.5], [0.6, 0.9]])
    assert metric("binary_accuracy", y, p) == [0.5, 1.0]
    assert metric("binary_accuracy", y, p, param=0.7) == [0.5, 0.5]
    assert metric("binary_accuracy", y, p, np.array([2.0, 3.0])) == [1.0, 3.0]


def test_categorical_accuracy_by_hand():
    p = np.array([[0.1, 0.9], [0.5, 0.5], [0.5, 0.5], [np.nan, 0.9]])
    label = np.array([1, 0, 1, 0], np.int32)
    expected = [1.0, 1.0, 0.0, 0.0]
    assert metric("sparse_categorical_accuracy", label, p) == expected
    assert metric("categorical_accuracy", np.eye(2)[label], p) == expected
    assert metric("sparse_categorical_accuracy", label, p, np.full(4, 2.0)) == [2.0, 2.0, 0.0, 0.0]
    assert metric("categorical_accuracy", np.full((1, 2), np.nan), p[:1]) == [0.0]


def test_top_k_accuracy_by_hand():
    p = np.array([[0.1, 0.2, 0.3, 0.4]] * 3 + [[0.0, np.inf, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0]])
    label = np.array([3, 2, 1, 1, 2], np.int32)
    assert metric("sparse_top_k_accuracy", label, p, param=1) == [1.0, 0.0, 0.0, 0.0, 1.0]
    assert metric("sparse_top_k_accuracy", label, p, param=2) == [1.0, 1.0, 0.0, 0.0, 1.0]
    assert metric("top_k_accuracy", np.eye(4)[label], p, param=2) == [1.0, 1.0, 0.0, 0.0, 1.0]


# ------------------------------------------------------------------------ optimizers


def steps(name, w, gradients, **hyper):
    """Weights after each step from w, slots starting at 0."""
    rule = OPTIMIZERS[name]
    w = np.array(w)
    slots = tuple(np.zeros_like(w) for _ in range(rule.slots))
    history = []
    for iteration, g in enumerate(gradients, 1):
        OPS[name](w, np.asarray(g), slots, iteration=iteration, **hyper)
        history.append(w.copy())
    return history


# Two steps from w = 1 with gradients 2 and -1, learning rate 0.1, worked out by hand.
MEAN_SQUARES = (0.5 * 4.0, 0.5 * 2.0 + 0.5 * 1.0)  # rho = 0.5: 2, then 1.5
MEANS = (0.5 * 2.0, 0.5 * 1.0 - 0.5 * 1.0)  # 1, then 0
BY_HAND = {
    "sgd": ({}, (0.8, 0.9)),
    # velocity: -0.2, then -0.1 + 0.1 = 0
    "sgd_momentum": ({"momentum": 0.5}, (0.8, 0.8)),
    # -0.1 - 0.2, then 0 + 0.1
    "sgd_nesterov": ({"momentum": 0.5}, (0.7, 0.8)),
    # m: 1, 0; v: 1, 1; the second step is therefore 0
    "adam": (
        {"beta_1": 0.5, "beta_2": 0.75, "epsilon": 1.0, "weight_decay": 0.0},
        (1.0 - 0.1 * (0.5 / 0.5) * 1.0 / (1.0 + 1.0), 0.95),
    ),
    # v: 3, then 0.75 + 0.75 = 1.5, so that the largest stays 3; m: 1.5, then 0.875
    "adam_amsgrad": (
        {"beta_1": 0.25, "beta_2": 0.25, "epsilon": 0.0, "weight_decay": 0.5},
        (
            0.95 - 0.1 * math.sqrt(0.75) / 0.75 * 1.5 / math.sqrt(3.0),
            0.95 * (0.95 - 0.1 * math.sqrt(0.75) / 0.75 * 1.5 / math.sqrt(3.0))
            - 0.1 * math.sqrt(1.0 - 1.0 / 16.0) / (1.0 - 1.0 / 16.0) * -0.375 / math.sqrt(3.0),
        ),
    ),
    "rmsprop": (
        {"rho": 0.5, "epsilon": 0.0},
        (1.0 - 0.2 / math.sqrt(2.0), 1.0 - 0.2 / math.sqrt(2.0) + 0.1 / math.sqrt(1.5)),
    ),
    "rmsprop_momentum": (
        {"rho": 0.5, "epsilon": 0.0, "momentum": 0.5},
        (1.0 - 0.2 / math.sqrt(2.0), 1.0 - 0.3 / math.sqrt(2.0) + 0.1 / math.sqrt(1.5)),
    ),
    "rmsprop_centered": (
        {"rho": 0.5, "epsilon": 0.0},
        (1.0 - 0.2 / math.sqrt(2.0 - 1.0), 1.0 - 0.2 + 0.1 / math.sqrt(1.5 - 0.0)),
    ),
    "rmsprop_centered_momentum": (
        {"rho": 0.5, "epsilon": 0.0, "momentum": 0.5},
        (1.0 - 0.2, 1.0 - 0.2 - 0.1 + 0.1 / math.sqrt(1.5)),
    ),
    "adagrad": ({"epsilon": 0.0}, (1.0 - 0.2 / 2.0, 0.9 + 0.1 / math.sqrt(5.0))),
    # squares: 2, 1.5; steps: 2 / sqrt(3), then -sqrt(2/3 + 1) / sqrt(1.5 + 1)
    "adadelta": (
        {"rho": 0.5, "epsilon": 1.0},
        (1.0 - 0.2 / math.sqrt(3.0), 1.0 - 0.2 / math.sqrt(3.0) + 0.1 * math.sqrt(2.0 / 3.0)),
    ),
    # m: 1, 0; largest: 2
    "adamax": ({"beta_1": 0.5, "beta_2": 0.5, "epsilon": 0.0}, (0.9, 0.9)),
    # m: 1, 0; v: 1, 1; u: 0.5 (1 - 0.48) = 0.26, then 0.5 (1 - 0.4608) = 0.2696
    "nadam": (
        {"beta_1": 0.5, "beta_2": 0.75, "epsilon": 1.0},
        (
            1.0 - 0.1 * (0.2696 / (1.0 - 0.26 * 0.2696) + 2.0) / 3.0,
            1.0
            - 0.1 * (0.2696 / (1.0 - 0.26 * 0.2696) + 2.0) / 3.0
            + 0.1 * (0.7304 / (1.0 - 0.26 * 0.2696)) / (1.0 / math.sqrt(0.4375) + 1.0),
        ),
    ),
    # Of the second gradient and what is left of the first, nothing remains.
    "lion": ({"beta_1": 0.5, "beta_2": 0.5}, (0.9, 0.9)),
    # linear: 2 - 2 / 0.1 = -18; -19 - (sqrt(5) - 2) / 0.1 * 0.85
    "ftrl": (
        {"learning_rate_power": -0.5, "l1": 1.0, "l2": 0.0, "l2_shrinkage": 0.0, "beta": 0.0},
        (17.0 / 20.0, (18.0 + 8.5 * (math.sqrt(5.0) - 2.0)) / (10.0 * math.sqrt(5.0))),
    ),
    # z: 0, -0.1, of which the weight is all, then half of both; v: 1, 1
    "schedule_free_adamw": (
        {"beta_1": 0.5, "beta_2": 0.75, "epsilon": 0.0, "warmup_steps": 0.0},
        (-0.1, -0.1 + 0.75 * 0.1 * math.sqrt(0.4375)),
    ),
    "keep_gradient": ({}, (1.0, 1.0)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_two_steps_by_hand(name):
    hyper, expected = BY_HAND[name]
    history = steps(name, [[1.0]], ([[2.0]], [[-1.0]]), learning_rate=0.1, **hyper)
    np.testing.assert_allclose(np.ravel(history), expected, rtol=1e-14)


# name -> (PyTorch's optimizer, its settings, ours). Where PyTorch adds epsilon elsewhere
# than Keras, it is 0 on both sides.
IN_TORCH = [
    ("sgd", "SGD", {}, {}),
    ("sgd_momentum", "SGD", {"momentum": 0.9}, {"momentum": 0.9}),
    ("sgd_nesterov", "SGD", {"momentum": 0.9, "nesterov": True}, {"momentum": 0.9}),
    ("adam", "Adam", {"eps": 0.0}, {"weight_decay": 0.0}),
    ("adam", "AdamW", {"eps": 0.0, "weight_decay": 0.04}, {"weight_decay": 0.04}),
    ("adam_amsgrad", "Adam", {"eps": 0.0, "amsgrad": True}, {"weight_decay": 0.0}),
    ("rmsprop", "RMSprop", {}, {}),
    ("rmsprop_momentum", "RMSprop", {"momentum": 0.8}, {"momentum": 0.8}),
    ("rmsprop_centered", "RMSprop", {"centered": True}, {}),
    (
        "rmsprop_centered_momentum",
        "RMSprop",
        {"momentum": 0.8, "centered": True},
        {"momentum": 0.8},
    ),
    ("adagrad", "Adagrad", {"eps": 0.0}, {}),
]


@pytest.mark.parametrize(("name", "peer", "theirs", "ours"), IN_TORCH)
def test_steps_as_in_torch(name, peer, theirs, ours, rng):
    torch = pytest.importorskip("torch")
    if name.startswith("adam"):
        ours = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 0.0} | ours
    elif name.startswith("rmsprop"):
        theirs = {"alpha": 0.9, "eps": 0.0} | theirs
        ours = {"rho": 0.9, "epsilon": 0.0} | ours
    elif name == "adagrad":
        ours = {"epsilon": 0.0}
    w = rng.normal(size=(3, 5))
    gradients = rng.normal(size=(20, 3, 5))
    parameter = torch.tensor(w, requires_grad=True)
    optimizer = getattr(torch.optim, peer)([parameter], lr=0.02, **theirs)
    history = steps(name, w, gradients, learning_rate=0.02, **ours)
    for g, ours_now in zip(gradients, history, strict=True):
        parameter.grad = torch.tensor(g)
        optimizer.step()
        np.testing.assert_allclose(ours_now, parameter.detach().numpy(), rtol=1e-10)


def test_update_refuses_unknown_settings():
    with pytest.raises(TypeError, match="sgd takes the settings learning_rate; got rate"):
        OPS["sgd"](np.ones(1), np.ones(1), (), iteration=1, rate=0.1)


def test_penalty_and_its_gradient(rng):
    w = rng.normal(size=(4, 3))
    assert OPS["penalty"](np.array([[-1.0, 2.0]]), l1=2.0, l2=0.5) == 8.5
    g = np.ones_like(w)
    OPS["penalty_gradient"](w, g, l1=0.3, l2=0.2)
    expected = 1.0 + slope(lambda w: OPS["penalty"](w, l1=0.3, l2=0.2), w)
    np.testing.assert_allclose(g, expected, rtol=1e-7)
    assert OPS["penalty"](np.empty((0, 3)), l1=1.0, l2=1.0) == 0.0


def test_penalty_gradient_at_zero_is_zero():
    g = np.zeros(2, np.float32)
    OPS["penalty_gradient"](np.zeros(2, np.float32), g, l1=1.0, l2=1.0)
    np.testing.assert_array_equal(g, [0.0, 0.0])


# ------------------------------------------------------------------------------ data


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, ">f8", bool])
def test_gather_casts_and_flattens(dtype):
    source = np.arange(24).reshape(4, 2, 3).astype(dtype)[::-1, :, ::2]
    out = np.empty((3, 4), np.float32)
    OPS["gather"](source, np.array([0, 3, 0]), out=out)
    np.testing.assert_array_equal(out, source.reshape(4, 4)[[0, 3, 0]].astype(np.float32))


def test_gather_of_labels():
    out = np.empty(2, np.int32)
    OPS["gather"](np.array([[3.0], [1.0], [2.0]]), np.array([2, 0]), out=out)
    assert out.tolist() == [2, 3]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_gather_takes_the_nearest_whole_number(dtype):
    given = np.array([-np.inf, -1e4, -1.5, -0.5, 2.9, 300.0, np.inf, np.nan], dtype)
    for whole, expected in (
        (np.uint8, [0, 0, 0, 0, 2, 255, 255, 0]),
        (np.int32, [-(2**31), -(10**4), -1, 0, 2, 300, 2**31 - 1, -(2**31)]),
        (np.bool_, [True] * 8),
    ):
        out = np.empty(8, whole)
        OPS["gather"](given, np.arange(8), out=out)
        assert out.tolist() == expected
    out = np.empty(4, np.uint8)
    OPS["gather"](np.array([-1, 7, 256, 2**40]), np.arange(4), out=out)
    assert out.tolist() == [0, 7, 255, 255]
