"""The public kernels: by hand, on every backend, into given arrays, and what they refuse."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import config, kernels
from hotloop.backends import numpy as reference
from hotloop.backends.formulas import ACTIVATIONS, OPTIMIZERS

Array = np.ndarray[Any, Any]
TOLERANCE = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 1e-12}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(9)


def function(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(kernels, name)
    return found


def assert_same(ours: Array, truth: Any, scale: float = 1.0) -> None:
    tolerance = TOLERANCE[ours.dtype]
    np.testing.assert_allclose(ours, truth, rtol=tolerance, atol=tolerance * scale)


# ---------------------------------------------------------------------------- by hand


def test_products_by_hand(backend: str) -> None:
    a, b = [[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [-1.0, 2.0]]
    np.testing.assert_array_equal(kernels.matmul(a, b), [[-1.0, 4.0], [-1.0, 8.0]])
    np.testing.assert_array_equal(
        kernels.matmul(a, b, transpose_a=True), [[-2.0, 6.0], [-2.0, 8.0]]
    )
    np.testing.assert_array_equal(kernels.matmul(a, b, transpose_b=True), [[1.0, 3.0], [3.0, 5.0]])
    y = kernels.dense_forward(a, b, [0.5, -5.0], activation="relu")
    np.testing.assert_array_equal(y, [[0.0, 0.0], [0.0, 3.0]])
    y = kernels.dense_forward(a, b, [0.5, -5.0], activation="leaky_relu", alpha=0.5)
    np.testing.assert_array_equal(y, [[-0.25, -0.5], [-0.25, 3.0]])
    dx, dw, db = kernels.dense_backward(a, b, [[1.0, 1.0], [0.0, 2.0]])
    np.testing.assert_array_equal(dx, [[1.0, 1.0], [0.0, 4.0]])
    np.testing.assert_array_equal(dw, [[1.0, 7.0], [2.0, 10.0]])
    np.testing.assert_array_equal(db, [1.0, 3.0])


def test_softmax_cross_entropy_by_hand(backend: str) -> None:
    logits = [[0.0, math.log(3.0)], [0.0, 0.0]]
    loss, gradient = kernels.softmax_cross_entropy(logits, [0, 1])
    assert loss == pytest.approx((math.log(4.0) + math.log(2.0)) / 2.0, rel=1e-14)
    assert_same(gradient, [[-0.375, 0.375], [0.25, -0.25]])
    loss, gradient = kernels.softmax_cross_entropy(logits, [0, 1], sample_weight=[2.0, 0.0])
    assert loss == pytest.approx(math.log(4.0), rel=1e-14)
    assert_same(gradient, [[-0.75, 0.75], [0.0, 0.0]])
    loss, gradient = kernels.softmax_cross_entropy(logits[1:], [[1.0, 0.0]], label_smoothing=0.5)
    assert loss == pytest.approx(math.log(2.0), rel=1e-14)
    assert_same(gradient, [[-0.25, 0.25]])


def test_an_update_works_in_place(backend: str) -> None:
    w, velocity = np.array([1.0, 2.0]), np.array([0.5, 0.0])
    update = function("sgd_momentum")
    assert update(w, [1.0, -1.0], (velocity,), learning_rate=0.5, momentum=0.5) is None
    np.testing.assert_array_equal(velocity, [-0.25, 0.5])
    np.testing.assert_array_equal(w, [0.75, 2.5])
    scalar = np.array(1.0)
    function("sgd")(scalar, 2.0, learning_rate=0.25)
    assert scalar == 0.5


# ------------------------------------------------------------------- against the reference


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (0, 3), (2, 3, 5), (257,)])
def test_activations_of_any_shape(
    backend: str, shape: tuple[int, ...], dtype: Any, rng: np.random.Generator
) -> None:
    for name in kernels.ACTIVATIONS:
        x, dy = (np.asarray(a, dtype) for a in rng.normal(size=(2, *shape)))
        truth = np.empty_like(x)
        reference.OPS[name](x, out=truth)
        y = function(name)(x)
        assert (y.shape, y.dtype) == (x.shape, x.dtype)
        assert_same(y, truth)
        out = np.empty_like(x)
        assert function(name)(x, out=out) is out
        assert_same(out, truth)
        saved = x if ACTIVATIONS[name].reads == "x" else y
        reference.OPS[name + "_gradient"](dy, saved, out=truth)
        assert_same(function(name + "_gradient")(dy, saved), truth, scale=10.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_update(backend: str, dtype: Any, rng: np.random.Generator) -> None:
    settings = {"learning_rate": 0.05, "momentum": 0.8, "beta_1": 0.9, "beta_2": 0.99}
    settings |= {"epsilon": 1e-7, "weight_decay": 0.01, "rho": 0.9, "learning_rate_power": -0.5}
    settings |= {"l1": 0.01, "l2": 0.02, "l2_shrinkage": 0.01, "beta": 0.1, "warmup_steps": 4}
    for name in kernels.OPTIMIZERS:
        rule = OPTIMIZERS[name]
        hyper = {key: settings[key] for key in rule.hyper}
        g = rng.uniform(0.5, 1.5, size=(7, 33)).astype(dtype)
        ours, truth = (
            [np.ones((7, 33), dtype), *np.zeros((rule.slots, 7, 33), dtype)] for _ in range(2)
        )
        for iteration in (1, 2):
            function(name)(ours[0], g, ours[1:], iteration=iteration, **hyper)
            reference.OPS[name](truth[0], g, tuple(truth[1:]), iteration=iteration, **hyper)
        for one, other in zip(ours, truth, strict=True):
            assert_same(one, other)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmaxes(backend: str, name: str, rng: np.random.Generator) -> None:
    for shape in [(1, 1), (7, 33), (0, 4), (4, 0)]:
        x, dy = rng.normal(size=(2, *shape))
        out = np.empty(shape)
        y = function(name)(x, out=out)
        assert y is out
        if y.size:
            truth = np.empty(shape)
            reference.OPS[name](x, out=truth)
            assert_same(y, truth)
            reference.OPS[name + "_gradient"](dy, y, out=truth)
            assert_same(function(name + "_gradient")(dy, y), truth, scale=20.0)


def test_the_named_backend_is_the_one_that_runs(backend: str, rng: np.random.Generator) -> None:
    x, w = rng.normal(size=(9, 31)), rng.normal(size=(31, 17))
    truth = x @ w
    for name in ("cython", "numba", "numpy"):
        try:
            ours = kernels.matmul(x, w, backend=name)
        except RuntimeError as error:
            assert f"the backend '{name}' cannot be used here" in str(error)  # noqa: PT017
            continue
        assert_same(ours, truth, scale=20.0)
    assert config.backend() == backend
    with pytest.raises(ValueError, match="unknown backend 'torch': choose 'cython', 'numba'"):
        kernels.matmul(x, w, backend="torch")


# ------------------------------------------------------------------------------ given arrays


@pytest.mark.parametrize("given", ["?", "b", "H", "q", "e", "f", ">f4", "d", ">f8"])
def test_inputs_of_any_real_dtype(backend: str, given: str) -> None:
    x = np.array([[0, 1], [1, 1]], given)
    wide = np.dtype(given).kind == "f" and np.dtype(given).itemsize == 8
    y = kernels.matmul(x, x)
    assert y.dtype == (np.float64 if wide else np.float32)
    np.testing.assert_array_equal(y, [[1, 1], [1, 2]])
    np.testing.assert_array_equal(function("relu")(x), x.astype(float))


def test_float32_and_float64_meet_in_float64(backend: str) -> None:
    assert kernels.matmul(np.ones((1, 1), np.float32), np.ones((1, 1))).dtype == np.float64
    assert kernels.matmul(np.ones((1, 1), np.float32), np.ones((1, 1), int)).dtype == np.float32
    hotloop.config.set_floatx("float64")
    try:
        assert kernels.matmul([[1]], [[1]]).dtype == np.float64
    finally:
        hotloop.config.set_floatx("float32")


def test_inputs_of_any_layout(backend: str, rng: np.random.Generator) -> None:
    x, w = rng.normal(size=(2, 14, 14))
    expected = x.T[::-1, ::2] @ w[::2, ::-1]
    fixed = w[::2, ::-1]
    fixed.flags.writeable = False
    assert_same(kernels.matmul(x.T[::-1, ::2], fixed), expected, scale=10.0)
    assert_same(kernels.dense_forward(x.T[::-1, ::2], fixed), expected, scale=10.0)


def test_out_may_be_an_input(backend: str, rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(2, 9, 9))
    expected = a @ b
    x = a.copy()
    assert kernels.matmul(x, b, out=x) is x
    assert_same(x, expected, scale=10.0)
    x = a.copy()
    kernels.dense_forward(x, b, activation="tanh", out=x)
    assert_same(x, np.tanh(expected), scale=10.0)
    for name in ("tanh", "softmax"):
        x, y = a.copy(), function(name)(a)
        function(name)(x, out=x)
        np.testing.assert_array_equal(x, y)


# --------------------------------------------------------------------------------- refusals

BAD_OUTPUTS = {
    "shape": np.empty((2, 3)),
    "dtype": np.empty((2, 2), np.float32),
    "layout": np.empty((2, 4))[:, ::2],
    "list": [[0.0, 0.0], [0.0, 0.0]],
}


@pytest.mark.parametrize("wrong", BAD_OUTPUTS)
def test_outputs_that_do_not_fit(backend: str, wrong: str) -> None:
    out: Any = BAD_OUTPUTS[wrong]
    x = np.ones((2, 2))
    message = r"must be a writeable, C-contiguous array of float64 \(2, 2\), got"
    calls: list[Callable[[], Any]] = [
        lambda: kernels.matmul(x, x, out=out),
        lambda: kernels.dense_forward(x, x, out=out),
        lambda: kernels.softmax(x, out=out),
        lambda: function("relu")(x, out=out),
        lambda: function("relu_gradient")(x, x, out=out),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="out " + message):
            call()
    for name in ("dx", "dw"):
        with pytest.raises(ValueError, match=f"{name} {message}"):
            kernels.dense_backward(x, x, x, **{name: out})
    with pytest.raises(ValueError, match="gradient " + message):
        kernels.softmax_cross_entropy(x, [0, 1], gradient=out)
    with pytest.raises(ValueError, match=r"slots\[0\] " + message):
        function("adagrad")(x, x, (out,), learning_rate=0.1, epsilon=0.0)
    fixed = np.zeros((2, 2))
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match="out " + message):
        function("relu")(x, out=fixed)
    assert not fixed.any()


def test_shapes_that_do_not_fit(backend: str) -> None:
    x = np.ones((2, 3))
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(2, 3\) do not fit: 3 is not 2"):
        kernels.matmul(x, x)
    with pytest.raises(ValueError, match="a must have 2 axes"):
        kernels.matmul(x[0], x)
    with pytest.raises(ValueError, match="b must have 2 axes"):
        kernels.matmul(x, 1.0)
    with pytest.raises(ValueError, match=r"dense_forward: x \(2, 3\), w \(3, 2\) and b \(3,\)"):
        kernels.dense_forward(x, x.T, np.ones(3))
    with pytest.raises(ValueError, match="dense_backward"):
        kernels.dense_backward(x, x.T, x)
    with pytest.raises(ValueError, match="the input must have 2 axes"):
        kernels.softmax(x[0])
    with pytest.raises(ValueError, match="softmax_gradient: shapes"):
        kernels.softmax_gradient(x, x[:1])
    with pytest.raises(ValueError, match="relu_gradient: shapes"):
        function("relu_gradient")(x, x[:1])
    with pytest.raises(ValueError, match="sgd: g has shape"):
        function("sgd")(x, x[:1], learning_rate=0.1)


def test_activations_and_dtypes_that_are_not_known(backend: str) -> None:
    with pytest.raises(ValueError, match=r"unknown activation 'rel'.*relu"):
        kernels.dense_forward([[1.0]], [[1.0]], activation="rel")
    for wrong in (np.ones((1, 1), complex), np.array([["a"]]), np.array([[None]])):
        with pytest.raises(TypeError, match="kernels work on numbers"):
            kernels.matmul(wrong, [[1.0]])


@pytest.mark.parametrize("name", kernels.OPTIMIZERS)
def test_updates_say_what_they_need(backend: str, name: str) -> None:
    rule = OPTIMIZERS[name]
    w = np.ones(3)
    slots = [np.zeros(3) for _ in range(rule.slots)]
    hyper = dict.fromkeys(rule.hyper, 0.5)
    with pytest.raises(TypeError, match=f"{name} takes .*learning_rate"):
        function(name)(w, w.copy(), slots, **hyper, decay=1.0)
    message = f"{name}: expected {rule.slots} slots, got "
    with pytest.raises(ValueError, match=message + str(rule.slots + 1)):
        function(name)(w, w.copy(), [*slots, np.zeros(3)], **hyper)
    if slots:
        with pytest.raises(ValueError, match=message + "0"):
            function(name)(w, w.copy(), **hyper)
    with pytest.raises(ValueError, match="w must be a writeable"):
        function(name)(np.ones(3, int), w.copy(), slots, **hyper)
    np.testing.assert_array_equal(w, 1.0)


@pytest.mark.parametrize(
    "labels", [[0, 2], [-1, 0], [0.5, 1.0], [np.nan, 0.0], [2**32, 0], [1e300, 0.0]]
)
def test_labels_that_are_no_classes(backend: str, labels: Any) -> None:
    with pytest.raises(ValueError, match="labels must be whole numbers from 0 to 1"):
        kernels.softmax_cross_entropy(np.ones((2, 2)), labels)


def test_cross_entropy_arguments_that_do_not_fit(backend: str) -> None:
    logits = np.ones((2, 3))
    with pytest.raises(ValueError, match=r"labels must have shape \(2,\) or \(2, 3\)"):
        kernels.softmax_cross_entropy(logits, [0, 1, 2])
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(2,\), got \(3,\)"):
        kernels.softmax_cross_entropy(logits, [0, 1], sample_weight=[1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="logits must have 2 axes"):
        kernels.softmax_cross_entropy(logits[0], [0])
    with pytest.raises(ValueError, match="logits have no columns"):
        kernels.softmax_cross_entropy(np.ones((2, 0)), np.ones((2, 0)))


def test_no_rows_have_no_loss(backend: str) -> None:
    for labels in (np.ones(0, int), np.ones((0, 3))):
        loss, gradient = kernels.softmax_cross_entropy(np.ones((0, 3)), labels)
        assert loss == 0.0
        assert gradient.shape == (0, 3)


# -------------------------------------------------------------------------------- the names


def test_every_kernel_says_what_it_is_and_takes_a_backend() -> None:
    names = [*kernels.ACTIVATIONS, *(n + "_gradient" for n in kernels.ACTIVATIONS)]
    names += [*kernels.OPTIMIZERS, "matmul", "dense_forward", "dense_backward", "softmax"]
    names += ["softmax_gradient", "log_softmax", "log_softmax_gradient", "softmax_cross_entropy"]
    names += ["adafactor", "lamb", "muon"]
    for name in names:
        found = function(name)
        assert found.__name__ == name
        assert found.__doc__
        assert inspect.signature(found).parameters["backend"].default is None
