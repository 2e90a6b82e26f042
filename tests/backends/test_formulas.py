"""Hand-computed values, then finite differences, then behaviour at the ends of the number line."""

import ast
import inspect
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hotloop import activations, backends, kernels
from hotloop.backends import formulas
from hotloop.backends.formulas import ACTIVATIONS, LOSSES, OPTIMIZERS
from hotloop.backends.functions import FUNCTIONS
from hotloop.backends.numpy import MERGES
from hotloop.graph.op import OPS

E = math.e
LOG2 = math.log(2.0)

# x = -2, 0, 1; leaky_relu with alpha 0.2, elu with alpha 1.
VALUES = {
    "linear": (-2.0, 0.0, 1.0),
    "relu": (0.0, 0.0, 1.0),
    "clipped_relu": (0.0, 0.0, 1.0),
    "threshold": (0.0, 0.0, 1.0),
    "hard_shrink": (-2.0, 0.0, 1.0),
    "soft_shrink": (-1.5, 0.0, 0.5),
    "leaky_relu": (-0.4, 0.0, 1.0),
    "elu": (E**-2 - 1.0, 0.0, 1.0),
    "celu": (E**-2 - 1.0, 0.0, 1.0),
    "selu": (1.0507009873554805 * 1.6732632423543772 * (E**-2 - 1.0), 0.0, 1.0507009873554805),
    "gelu": (-0.04550026389635842, 0.0, 0.8413447460685429),
    "gelu_tanh": (-0.045402305912224981, 0.0, 0.8411919906082768),
    "silu": (-2.0 / (1.0 + E**2), 0.0, 1.0 / (1.0 + 1.0 / E)),
    "hard_silu": (-1.0 / 3.0, 0.0, 2.0 / 3.0),
    "mish": (-2.0 * math.tanh(math.log1p(E**-2)), 0.0, math.tanh(math.log1p(E))),
    "softplus": (math.log(1.0 + E**-2), LOG2, math.log(1.0 + E)),
    "log_sigmoid": (-math.log(1.0 + E**2), -LOG2, -math.log(1.0 + 1.0 / E)),
    "squareplus": (math.sqrt(2.0) - 1.0, 1.0, (1.0 + math.sqrt(5.0)) / 2.0),
    "sparse_plus": (0.0, 0.25, 1.0),
    "softsign": (-2.0 / 3.0, 0.0, 0.5),
    "sigmoid": (1.0 / (1.0 + E**2), 0.5, 1.0 / (1.0 + 1.0 / E)),
    "hard_sigmoid": (1.0 / 6.0, 0.5, 2.0 / 3.0),
    "sparse_sigmoid": (0.0, 0.5, 1.0),
    "tanh": (-0.9640275800758169, 0.0, 0.7615941559557649),
    "hard_tanh": (-1.0, 0.0, 1.0),
    "tanh_shrink": (-1.0359724199241831, 0.0, 0.2384058440442351),
    "absolute": (2.0, 0.0, 1.0),
    "exponential": (E**-2, 1.0, E),
}

LIMITS = {  # x = -inf, -1e30, 1e30, inf
    "linear": (-np.inf, -1e30, 1e30, np.inf),
    "relu": (0.0, 0.0, 1e30, np.inf),
    "clipped_relu": (0.0, 0.0, 6.0, 6.0),
    "threshold": (0.0, 0.0, 1e30, np.inf),
    "hard_shrink": (-np.inf, -1e30, 1e30, np.inf),
    "soft_shrink": (-np.inf, -1e30, 1e30, np.inf),
    "leaky_relu": (-np.inf, -2e29, 1e30, np.inf),
    "elu": (-1.0, -1.0, 1e30, np.inf),
    "celu": (-1.0, -1.0, 1e30, np.inf),
    "selu": (-1.7580993408473766, -1.7580993408473766, 1.0507009873554805e30, np.inf),
    "gelu": (0.0, 0.0, 1e30, np.inf),
    "gelu_tanh": (0.0, 0.0, 1e30, np.inf),
    "silu": (0.0, 0.0, 1e30, np.inf),
    "hard_silu": (0.0, 0.0, 1e30, np.inf),
    "mish": (0.0, 0.0, 1e30, np.inf),
    "softplus": (0.0, 0.0, 1e30, np.inf),
    "log_sigmoid": (-np.inf, -1e30, 0.0, 0.0),
    "squareplus": (0.0, 1e-30, 1e30, np.inf),
    "sparse_plus": (0.0, 0.0, 1e30, np.inf),
    "softsign": (-1.0, -1.0, 1.0, 1.0),
    "sigmoid": (0.0, 0.0, 1.0, 1.0),
    "hard_sigmoid": (0.0, 0.0, 1.0, 1.0),
    "sparse_sigmoid": (0.0, 0.0, 1.0, 1.0),
    "tanh": (-1.0, -1.0, 1.0, 1.0),
    "hard_tanh": (-1.0, -1.0, 1.0, 1.0),
    "tanh_shrink": (-np.inf, -1e30, 1e30, np.inf),
    "absolute": (np.inf, 1e30, 1e30, np.inf),
    "exponential": (0.0, 0.0, np.inf, np.inf),
}

LIMIT_SLOPES = {  # x = -inf, -1e30, 1e30, inf
    "linear": (1.0, 1.0, 1.0, 1.0),
    "relu": (0.0, 0.0, 1.0, 1.0),
    "clipped_relu": (0.0, 0.0, 0.0, 0.0),
    "threshold": (0.0, 0.0, 1.0, 1.0),
    "hard_shrink": (1.0, 1.0, 1.0, 1.0),
    "soft_shrink": (1.0, 1.0, 1.0, 1.0),
    "leaky_relu": (0.2, 0.2, 1.0, 1.0),
    "elu": (0.0, 0.0, 1.0, 1.0),
    "celu": (0.0, 0.0, 1.0, 1.0),
    "selu": (0.0, 0.0, 1.0507009873554805, 1.0507009873554805),
    "gelu": (0.0, 0.0, 1.0, 1.0),
    "gelu_tanh": (0.0, 0.0, 1.0, 1.0),
    "silu": (0.0, 0.0, 1.0, 1.0),
    "hard_silu": (0.0, 0.0, 1.0, 1.0),
    "mish": (0.0, 0.0, 1.0, 1.0),
    "softplus": (0.0, 0.0, 1.0, 1.0),
    "log_sigmoid": (1.0, 1.0, 0.0, 0.0),
    "squareplus": (0.0, 0.0, 1.0, 1.0),
    "sparse_plus": (0.0, 0.0, 1.0, 1.0),
    "softsign": (0.0, 0.0, 0.0, 0.0),
    "sigmoid": (0.0, 0.0, 0.0, 0.0),
    "hard_sigmoid": (0.0, 0.0, 0.0, 0.0),
    "sparse_sigmoid": (0.0, 0.0, 0.0, 0.0),
    "tanh": (0.0, 0.0, 0.0, 0.0),
    "hard_tanh": (0.0, 0.0, 0.0, 0.0),
    "tanh_shrink": (1.0, 1.0, 1.0, 1.0),
    "absolute": (-1.0, -1.0, 1.0, 1.0),
    "exponential": (0.0, 0.0, np.inf, np.inf),
}

# (y, p, param): loss of one element.
LOSS_VALUES = {
    "mean_squared_error": (1.0, 3.0, 0.0, 4.0),
    "mean_absolute_error": (1.0, 3.0, 0.0, 2.0),
    "mean_absolute_percentage_error": (2.0, 3.0, 0.0, 50.0),
    "mean_squared_logarithmic_error": (1.0, E - 1.0, 0.0, (1.0 - LOG2) ** 2),
    "huber": (1.0, 4.0, 2.0, 2.0 * (3.0 - 1.0)),
    "log_cosh": (1.0, 2.0, 0.0, math.log((E + 1.0 / E) / 2.0)),
    "binary_crossentropy": (1.0, 0.25, 0.2, -0.9 * math.log(0.25) - 0.1 * math.log(0.75)),
    "binary_crossentropy_logits": (
        1.0,
        math.log(3.0),
        0.2,
        -0.9 * math.log(0.75) - 0.1 * math.log(0.25),
    ),
    "kl_divergence": (0.5, 0.25, 0.0, 0.5 * LOG2),
    "poisson": (2.0, 1.0, 0.0, 1.0 - 2.0 * math.log(1.0 + 1e-7)),
    "hinge": (-1.0, 0.5, 0.0, 1.5),
    "squared_hinge": (-1.0, 0.5, 0.0, 2.25),
}

DTYPES = (np.float32, np.float64)


def saved(activation, x, *options):
    return x if activation.reads == "x" else activation.value(x, *options)


def test_tables_are_complete():
    assert set(ACTIVATIONS) == set(VALUES) == set(LIMITS) == set(LIMIT_SLOPES)
    assert set(LOSSES) == set(LOSS_VALUES)
    for table in (ACTIVATIONS, LOSSES, OPTIMIZERS):
        assert all(name == entry.name for name, entry in table.items())
    assert {name for name, a in ACTIVATIONS.items() if a.reads == "x"} == {
        "absolute",
        "threshold",
        "gelu",
        "gelu_tanh",
        "silu",
        "hard_silu",
        "mish",
        "tanh_shrink",
    }


# ----------------------------------------------------------------------- activations


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_by_hand(name):
    activation = ACTIVATIONS[name]
    options = () if activation.alpha is None else (activation.alpha,)
    y = activation.value(np.array([-2.0, 0.0, 1.0]), *options)
    np.testing.assert_allclose(y, VALUES[name], rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 1.7])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivative_is_the_slope(name, alpha):
    activation = ACTIVATIONS[name]
    options = activation.options(alpha)
    x = np.linspace(-4.0, 4.0, 34)  # no kink (-3, 0, 3) among them
    h = 1e-5
    slope = (activation.value(x + h, *options) - activation.value(x - h, *options)) / (2.0 * h)
    derivative = activation.derivative(saved(activation, x, *options), *options)
    np.testing.assert_allclose(derivative, slope, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_at_the_ends(name, dtype):
    activation = ACTIVATIONS[name]
    options = () if activation.alpha is None else (activation.alpha,)
    x = np.array([-np.inf, -1e30, 1e30, np.inf], dtype)
    with np.errstate(over="ignore" if name == "exponential" else "raise", invalid="raise"):
        y = activation.value(x, *options)
        slope = activation.derivative(saved(activation, x, *options), *options)
    assert y.dtype == slope.dtype == dtype
    np.testing.assert_allclose(y, LIMITS[name], rtol=1e-6)
    np.testing.assert_allclose(slope, LIMIT_SLOPES[name], atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_of_nan_is_nan(name):
    activation = ACTIVATIONS[name]
    assert np.isnan(activation.value(np.array([np.nan]), *activation.options(0.5))).all()


def test_erf_is_accurate():
    x = np.concatenate([np.linspace(-7.0, 7.0, 2801), np.geomspace(1e-300, 6.0, 500)])
    expected = np.array([math.erf(value) for value in x])
    np.testing.assert_allclose(formulas.erf(x), expected, rtol=1e-15, atol=0.0)


def test_erf_of_special_values():
    y = formulas.erf(np.array([-np.inf, -0.0, np.inf, np.nan], np.float32))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, [-1.0, 0.0, 1.0, np.nan])
    assert np.signbit(y[1])
    assert formulas.erf(np.empty((0, 3))).shape == (0, 3)


def test_gelu_tanh_keeps_precision_in_its_tail():
    # Computed with 40 digits; 1 + tanh(z) would leave 9 correct ones here.
    expected = -2.2917961966295046e-07
    assert formulas.gelu_tanh(np.array([-5.0]))[0] == pytest.approx(expected, rel=1e-13)


# ---------------------------------------------------------------------------- losses


@pytest.mark.parametrize("name", LOSSES)
def test_loss_by_hand(name):
    loss = LOSSES[name]
    y, p, param, expected = LOSS_VALUES[name]
    value = loss.value(np.array([y]), np.array([p]), *loss.options(param))
    np.testing.assert_allclose(value, [expected], rtol=1e-14)


@pytest.mark.parametrize("param", [0.1, 0.5])
@pytest.mark.parametrize("name", LOSSES)
def test_loss_derivative_is_the_slope(name, param):
    loss = LOSSES[name]
    rng = np.random.default_rng(3)
    y, p = rng.uniform(0.05, 0.95, size=(2, 40))
    options = loss.options(param)
    h = 1e-6
    slope = (loss.value(y, p + h, *options) - loss.value(y, p - h, *options)) / (2.0 * h)
    np.testing.assert_allclose(loss.derivative(y, p, *options), slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_loss_keeps_precision(name, dtype):
    loss = LOSSES[name]
    y, p = np.array([[0.0, 1.0], [0.25, 0.75]], dtype)
    options = loss.options(0.5)
    assert loss.value(y, p, *options).dtype == dtype
    assert loss.derivative(y, p, *options).dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_losses_of_large_errors(dtype):
    y, p = np.zeros(2, dtype), np.array([-1e30, 1e30], dtype)
    with np.errstate(all="raise", under="ignore"):
        for name in ("mean_absolute_error", "huber", "log_cosh"):
            loss = LOSSES[name]
            np.testing.assert_allclose(loss.value(y, p, *loss.options(1.0)), 1e30, rtol=1e-6)
            np.testing.assert_array_equal(loss.derivative(y, p, *loss.options(1.0)), [-1.0, 1.0])
        np.testing.assert_allclose(
            formulas.binary_crossentropy_logits(y, p, 0.0), [0.0, 1e30], rtol=1e-6
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_clipped_probabilities_have_no_gradient(dtype):
    y = np.array([1.0, 0.0, 1.0], dtype)
    p = np.array([0.0, 1.0, 0.5], dtype)
    low, high = dtype(1e-7), dtype(1.0 - 1e-7)
    np.testing.assert_allclose(
        formulas.binary_crossentropy(y, p, 0.0), [-np.log(low), -np.log1p(-high), LOG2], rtol=1e-6
    )
    np.testing.assert_array_equal(
        formulas.binary_crossentropy_derivative(y, p, 0.0), [0.0, 0.0, -2.0]
    )
    np.testing.assert_array_equal(
        formulas.kl_divergence_derivative(y, np.array([0.0, 1.5, 0.5], dtype)), [0.0, 0.0, -2.0]
    )


def test_nan_prediction_is_not_clipped_away():
    y, p = np.array([1.0]), np.array([np.nan])
    for name in ("binary_crossentropy", "kl_divergence"):
        loss = LOSSES[name]
        assert np.isnan(loss.value(y, p, *loss.options(0.0))).all()
        assert np.isnan(loss.derivative(y, p, *loss.options(0.0))).all()


def test_hinge_labels():
    np.testing.assert_array_equal(formulas.hinge_labels(np.array([0.0, 1.0])), [-1.0, 1.0])
    np.testing.assert_array_equal(formulas.hinge_labels(np.array([1.0, 1.0])), [1.0, 1.0])
    np.testing.assert_array_equal(formulas.hinge_labels(np.array([0.0, 0.5])), [0.0, 0.5])
    labels = np.array([0.0, 1.0], np.float32)
    assert formulas.hinge_labels(labels).dtype == np.float32


# gamma, positive, negative, smoothing
FOCAL_OPTIONS = ((2.0, 1.0, 1.0, 0.0), (0.0, 1.0, 1.0, 0.1), (0.5, 0.25, 0.75, 0.0))


def test_binary_focal_by_hand():
    y, p = np.array([1.0, 0.0]), np.array([0.25, 0.25])
    value = formulas.binary_focal_crossentropy(y, p, 2.0, 0.5, 2.0, 0.0)
    expected = [0.5 * 0.75**2 * -math.log(0.25), 2.0 * 0.25**2 * -math.log(0.75)]
    np.testing.assert_allclose(value, expected, rtol=1e-14)
    logits = np.log(p / (1.0 - p))
    value = formulas.binary_focal_crossentropy_logits(y, logits, 2.0, 0.5, 2.0, 0.0)
    np.testing.assert_allclose(value, expected, rtol=1e-13)


@pytest.mark.parametrize("options", FOCAL_OPTIONS)
@pytest.mark.parametrize("name", formulas.FOCAL_LOSSES)
def test_binary_focal_derivative_is_the_slope(name, options):
    value, derivative = formulas.FOCAL_LOSSES[name]
    y, p = np.random.default_rng(3).uniform(0.05, 0.95, size=(2, 40))
    y = np.round(y)
    h = 1e-6
    slope = (value(y, p + h, *options) - value(y, p - h, *options)) / (2.0 * h)
    np.testing.assert_allclose(derivative(y, p, *options), slope, rtol=1e-6, atol=1e-8)
    y, p = y.astype(np.float32), p.astype(np.float32)
    assert value(y, p, *options).dtype == derivative(y, p, *options).dtype == np.float32


def test_binary_focal_with_gamma_0_is_the_crossentropy():
    y, p = np.array([0.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.3])
    options = (0.0, 1.0, 1.0, 0.0)
    for name in ("", "_derivative"):
        focal = getattr(formulas, "binary_focal_crossentropy" + name)(y, p, *options)
        plain = getattr(formulas, "binary_crossentropy" + name)(y, p, 0.0)
        np.testing.assert_array_equal(focal, plain)


# ------------------------------------------------------------------------ optimizers

SETTINGS = {
    "sgd": ("learning_rate",),
    "sgd_momentum": ("learning_rate", "momentum"),
    "sgd_nesterov": ("learning_rate", "momentum"),
    "adam": ("learning_rate", "beta_1", "beta_2", "epsilon", "weight_decay"),
    "adam_amsgrad": ("learning_rate", "beta_1", "beta_2", "epsilon", "weight_decay"),
    "rmsprop": ("learning_rate", "rho", "epsilon"),
    "rmsprop_momentum": ("learning_rate", "rho", "epsilon", "momentum"),
    "rmsprop_centered": ("learning_rate", "rho", "epsilon"),
    "rmsprop_centered_momentum": ("learning_rate", "rho", "epsilon", "momentum"),
    "adagrad": ("learning_rate", "epsilon"),
    "adadelta": ("learning_rate", "rho", "epsilon"),
    "adamax": ("learning_rate", "beta_1", "beta_2", "epsilon"),
    "nadam": ("learning_rate", "beta_1", "beta_2", "epsilon"),
    "lion": ("learning_rate", "beta_1", "beta_2"),
    "ftrl": ("learning_rate", "learning_rate_power", "l1", "l2", "l2_shrinkage", "beta"),
    "schedule_free_adamw": ("learning_rate", "beta_1", "beta_2", "epsilon", "warmup_steps"),
    "keep_gradient": ("learning_rate",),
}


def test_optimizer_settings():
    assert {name: rule.hyper for name, rule in OPTIMIZERS.items()} == SETTINGS


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_returns_weights_and_slots_in_their_precision(name):
    rule = OPTIMIZERS[name]
    w, g, *slots = np.ones((2 + rule.slots, 3), np.float32)
    new = rule.update(w, g, *slots, *rule.settings(1, dict.fromkeys(rule.hyper, 0.5)))
    assert len(new) == 1 + rule.slots
    assert all(array.dtype == np.float32 for array in new)


def test_optimizer_refuses_other_settings():
    with pytest.raises(TypeError, match="sgd_momentum takes the settings learning_rate, momentum"):
        OPTIMIZERS["sgd_momentum"].settings(1, {"learning_rate": 0.1})
    with pytest.raises(TypeError, match="got learning_rate, epsilon"):
        OPTIMIZERS["sgd"].settings(1, {"learning_rate": 0.1, "epsilon": 0.1})


def test_adam_step_size():
    # 0.1 sqrt(1 - 0.75^2) / (1 - 0.5^2)
    assert formulas.adam_step_size(0.1, 0.5, 0.75, 2) == pytest.approx(0.1 * 0.4375**0.5 / 0.75)


# -------------------------------------------------------------------- random numbers


def test_splitmix64_of_the_published_generator():
    # The first three outputs of splitmix64.c seeded with 1234567.
    state = np.uint64(1234567) + np.arange(1, 4, dtype=np.uint64) * formulas.GOLDEN_GAMMA
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert formulas.splitmix64(state).tolist() == expected


def test_uniform_24_is_below_one():
    bits = np.array([0, 2**40 - 1, 2**40, 2**64 - 1], dtype=np.uint64)
    assert formulas.uniform_24(bits).tolist() == [0.0, 0.0, 2.0**-24, 1.0 - 2.0**-24]


# ------------------------------------------------------- a function stands in three files

ROOT = Path(__file__).parents[2]
FORMULAS = "src/hotloop/backends/formulas.py"
LISTS = "csrc/kernels/elementwise.h"
PUBLIC = "src/hotloop/activations.py"
CURVATURES = "src/hotloop/graph/ops/curvatures.py"
# Keras's names for them as functions of symbolic values, and their list.
OPERATIONS = ("src/hotloop/ops/__init__.py", "src/hotloop/ops/nn.py")


def listed(macro: str) -> set[str]:
    """The functions of a list of csrc/kernels/elementwise.h."""
    text = (ROOT / LISTS).read_text()
    (body,) = re.findall(rf"^#define {macro}\(X\)(.*(?:\n    X\(.*)+)", text, re.MULTILINE)
    rows = re.findall(r"X\((\w+), (\w+)", body)
    assert all(member == name.upper() for member, name in rows)
    return {name for _, name in rows}


def applied() -> set[str]:
    """The functions that those of `hotloop.activations` apply."""
    calls = [
        node.args[0]
        for node in ast.walk(ast.parse(inspect.getsource(activations)))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_apply"
    ]
    named = [node for call in calls for node in ast.walk(call)]
    return {str(node.value) for node in named if isinstance(node, ast.Constant)}


SIDES: dict[str, tuple[Callable[[], set[str]], str]] = {
    "formula": (
        lambda: {*ACTIVATIONS} - {"linear"},
        f"ACTIVATIONS of {FORMULAS} lacks Activation(...) of",
    ),
    "kernel": (
        lambda: listed("HL_ACTIVATIONS"),
        f"HL_ACTIVATIONS of {LISTS} lacks X(NAME, name, name_gradient, output) of",
    ),
    "public": (applied, f"{PUBLIC} lacks a function that returns _apply(name, x) of"),
}


@pytest.mark.parametrize("side", SIDES)
def test_a_function_has_formula_kernel_and_public_name(side: str) -> None:
    names, lacks = SIDES[side]
    missing = set().union(*(others() for others, _ in SIDES.values())) - names()
    assert not missing, f"{lacks} {', '.join(sorted(missing))}"


def test_a_merge_has_a_reference_and_a_kernel() -> None:
    assert listed("HL_MERGES") == {merge.__name__ for merge in MERGES}


def test_all_else_follows_from_formulas_and_lists() -> None:
    names = {*ACTIVATIONS} - {"linear"}
    gradients = {name + "_gradient" for name in names}
    assert {op.name for op in OPS.values() if op.activation} == names
    assert {op.name for op in OPS.values() if op.activation_of_gradient} == gradients
    for name in gradients:
        assert OPS[name].activation_of_gradient + "_gradient" == name
    assert names | gradients <= {*dir(kernels)}
    for name in backends.NAMES:
        if backends.available(name):
            assert names | gradients <= backends.operations(name).keys()


def test_the_core_reads_its_names_from_the_lists() -> None:
    steps = pytest.importorskip("hotloop.backends.compiled.steps")
    assert steps.ACTIVATIONS.keys() == {"linear", *listed("HL_ACTIVATIONS")}
    assert steps.MERGES.keys() == listed("HL_MERGES")
    assert steps.FUNCTIONS.keys() == {n for n, f in FUNCTIONS.items() if f.takes != "whole"}


def test_no_other_file_lists_functions() -> None:
    """Adding one would touch that file too; second derivatives stand there of those that bend."""
    found = set()
    for folder in ("src", "csrc"):
        for path in (ROOT / folder).rglob("*.*"):
            if path.suffix in (".py", ".pyx", ".pxd", ".pxi", ".h", ".c"):
                words = set(re.findall(r"\w+", path.read_text()))
                named = [n for n in ACTIVATIONS if words & {n, n + "_gradient", f"HL_{n.upper()}"}]
                # A few are named where they are the default, or what a loss is made for.
                if len(named) > 5:
                    found.add(path.relative_to(ROOT).as_posix())
    assert found == {FORMULAS, LISTS, PUBLIC, CURVATURES, *OPERATIONS}
