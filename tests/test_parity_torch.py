"""Whole trainings against PyTorch: equal weights, order and data must give equal weights.

Each training is 200 steps: 25 epochs of 257 rows in batches of 33, the last batch of an
epoch having 26. Where PyTorch has the same loss or update rule, its own is used; Keras's
forms that it lacks are written here in its operations, so that autograd finds gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import activations, losses, optimizers, regularizers

torch = pytest.importorskip("torch")
functional = torch.nn.functional

ROWS, BATCH, EPOCHS = 257, 33, 25
FEATURES, HIDDEN, OUTPUTS = 7, 17, 5
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}
EPSILON = 1e-7

Step = Callable[[], None]


@pytest.fixture(autouse=True)
def _one_torch_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# ----------------------------------------------------------------------- activations

ACTIVATIONS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "linear": ("linear", lambda x: x),
    "relu": ("relu", torch.relu),
    "relu_with_slope": (
        lambda x: activations.relu(x, negative_slope=0.1),
        lambda x: functional.leaky_relu(x, 0.1),
    ),
    "leaky_relu": ("leaky_relu", lambda x: functional.leaky_relu(x, 0.2)),
    "elu": ("elu", functional.elu),
    "elu_half": (lambda x: activations.elu(x, alpha=0.5), lambda x: functional.elu(x, 0.5)),
    "selu": ("selu", functional.selu),
    "gelu": ("gelu", functional.gelu),
    "gelu_tanh": (
        lambda x: activations.gelu(x, approximate=True),
        lambda x: functional.gelu(x, approximate="tanh"),
    ),
    "silu": ("silu", functional.silu),
    "softplus": ("softplus", functional.softplus),
    "softsign": ("softsign", functional.softsign),
    "sigmoid": ("sigmoid", torch.sigmoid),
    # functional.hardsigmoid knows 1/6 in float32 only.
    "hard_sigmoid": ("hard_sigmoid", lambda x: torch.clamp(x / 6 + 0.5, 0, 1)),
    "tanh": ("tanh", torch.tanh),
    "absolute": ("absolute", torch.abs),
    "exponential": ("exponential", torch.exp),
    "softmax": ("softmax", lambda x: torch.softmax(x, -1)),
    "log_softmax": ("log_softmax", lambda x: torch.log_softmax(x, -1)),
}


# ---------------------------------------------------------------------------- losses
# The value of each row, from targets and outputs.


def _log_of_clipped(p: Any) -> Any:
    return torch.log(torch.clamp(p, EPSILON, 1 - EPSILON))


def _binary(y: Any, p: Any) -> Any:
    return -(y * _log_of_clipped(p) + (1 - y) * _log_of_clipped(1 - p)).mean(-1)


def _binary_logits(y: Any, x: Any) -> Any:
    loss = functional.binary_cross_entropy_with_logits(x, y, reduction="none")
    return loss.mean(-1)


def _categorical(y: Any, p: Any) -> Any:
    return -(y * _log_of_clipped(p / p.sum(-1, keepdim=True))).sum(-1)


def _categorical_logits(y: Any, x: Any) -> Any:
    return functional.cross_entropy(x, y, reduction="none")


def _sparse(y: Any, p: Any) -> Any:
    return _categorical(functional.one_hot(y, OUTPUTS), p)


def _kl_divergence(y: Any, p: Any) -> Any:
    t, q = torch.clamp(y, EPSILON, 1), torch.clamp(p, EPSILON, 1)
    return (t * torch.log(t / q)).sum(-1)


def _elementwise(loss: Callable[..., Any], **options: float) -> Callable[[Any, Any], Any]:
    return lambda y, p: loss(p, y, reduction="none", **options).mean(-1)


@dataclass(frozen=True)
class LossCase:
    make: Callable[[], losses.Loss]
    values: Callable[[Any, Any], Any]
    targets: str = "numbers"
    output: str = "linear"


LOSSES = {
    "mse": LossCase(losses.MeanSquaredError, _elementwise(functional.mse_loss)),
    "mse_sum": LossCase(
        lambda: losses.MeanSquaredError(reduction="sum"), _elementwise(functional.mse_loss)
    ),
    "mae": LossCase(losses.MeanAbsoluteError, _elementwise(functional.l1_loss)),
    "huber": LossCase(losses.Huber, _elementwise(functional.huber_loss)),
    "huber_half": LossCase(
        lambda: losses.Huber(delta=0.5), _elementwise(functional.huber_loss, delta=0.5)
    ),
    "log_cosh": LossCase(losses.LogCosh, lambda y, p: torch.log(torch.cosh(p - y)).mean(-1)),
    "binary": LossCase(losses.BinaryCrossentropy, _binary, "bits", "sigmoid"),
    "binary_smoothed": LossCase(
        lambda: losses.BinaryCrossentropy(label_smoothing=0.2),
        lambda y, p: _binary(0.8 * y + 0.1, p),
        "bits",
        "sigmoid",
    ),
    "binary_logits": LossCase(
        lambda: losses.BinaryCrossentropy(from_logits=True), _binary_logits, "bits"
    ),
    "binary_logits_smoothed": LossCase(
        lambda: losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2),
        lambda y, x: _binary_logits(0.8 * y + 0.1, x),
        "bits",
    ),
    "categorical": LossCase(losses.CategoricalCrossentropy, _categorical, "one_hot", "softmax"),
    "categorical_smoothed": LossCase(
        lambda: losses.CategoricalCrossentropy(label_smoothing=0.2),
        lambda y, p: _categorical(0.8 * y + 0.2 / OUTPUTS, p),
        "one_hot",
        "softmax",
    ),
    "categorical_normalised": LossCase(
        losses.CategoricalCrossentropy, _categorical, "one_hot", "sigmoid"
    ),
    "categorical_soft_labels": LossCase(
        losses.CategoricalCrossentropy, _categorical, "shares", "softmax"
    ),
    "categorical_logits": LossCase(
        lambda: losses.CategoricalCrossentropy(from_logits=True), _categorical_logits, "one_hot"
    ),
    "categorical_logits_smoothed": LossCase(
        lambda: losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2),
        lambda y, x: functional.cross_entropy(x, y, reduction="none", label_smoothing=0.2),
        "one_hot",
    ),
    "sparse": LossCase(losses.SparseCategoricalCrossentropy, _sparse, "classes", "softmax"),
    "sparse_of_sigmoid": LossCase(
        losses.SparseCategoricalCrossentropy, _sparse, "classes", "sigmoid"
    ),
    "sparse_logits": LossCase(
        lambda: losses.SparseCategoricalCrossentropy(from_logits=True),
        _categorical_logits,
        "classes",
    ),
    "kl_divergence": LossCase(losses.KLDivergence, _kl_divergence, "shares", "softmax"),
    "poisson": LossCase(
        losses.Poisson,
        _elementwise(functional.poisson_nll_loss, log_input=False, eps=EPSILON),
        "counts",
        "softplus",
    ),
    "hinge": LossCase(
        losses.Hinge, lambda y, p: torch.clamp(1 - y * p, min=0).mean(-1), "signs", "tanh"
    ),
    "hinge_bits": LossCase(
        losses.Hinge, lambda y, p: torch.clamp(1 - (2 * y - 1) * p, min=0).mean(-1), "bits", "tanh"
    ),
}


# ------------------------------------------------------------------------ optimizers


def _torch_optimizer(make: Callable[..., Any], **options: Any) -> Callable[[list[Any]], Step]:
    return lambda weights: make(weights, **options).step


def _torch_adam(make: Callable[..., Any], **options: Any) -> Callable[[list[Any]], Step]:
    """PyTorch adds epsilon after the bias correction, Keras before: it is scaled each step."""

    def bind(weights: list[Any]) -> Step:
        optimizer = make(weights, **options)
        (group,) = optimizer.param_groups
        count = 0

        def step() -> None:
            nonlocal count
            count += 1
            group["eps"] = EPSILON / (1 - group["betas"][1] ** count) ** 0.5
            optimizer.step()

        return step

    return bind


def _epsilon_under_root(
    update: Callable[..., tuple[Any, Any]], start: float = 0.0
) -> Callable[[list[Any]], Step]:
    """A rule of Keras that divides by sqrt(s + epsilon), which PyTorch has nowhere.

    update makes of (gradient, state) what is subtracted, and the new state.
    """

    def bind(weights: list[Any]) -> Step:
        states = [{"s": torch.full_like(w, start)} for w in weights]

        def step() -> None:
            with torch.no_grad():
                for i, w in enumerate(weights):
                    change, states[i] = update(w.grad, states[i])
                    w -= change

        return step

    return bind


def _adagrad(g: Any, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    s = state["s"] + g * g
    return 0.05 * g / torch.sqrt(s + EPSILON), {"s": s}


def _rmsprop(centered: bool, momentum: float) -> Callable[..., tuple[Any, Any]]:
    def update(g: Any, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        s = 0.9 * state["s"] + 0.1 * g * g
        mean = 0.9 * state.get("mean", 0.0) + 0.1 * g if centered else 0.0
        change = 1e-3 * g / torch.sqrt(s - mean * mean + EPSILON)
        change = change + momentum * state.get("change", 0.0)
        return change, {"s": s, "mean": mean, "change": change}

    return update


@dataclass(frozen=True)
class OptimizerCase:
    make: Callable[[], optimizers.Optimizer]
    bind: Callable[[list[Any]], Step]


def _rmsprop_cases() -> dict[str, OptimizerCase]:
    """Each variant twice: Keras's epsilon, and one so small that PyTorch's rule is the same."""
    cases = {}
    for name, options in {
        "rmsprop": {},
        "rmsprop_momentum": {"momentum": 0.8},
        "rmsprop_centered": {"centered": True},
        "rmsprop_centered_momentum": {"centered": True, "momentum": 0.8},
    }.items():
        own = _rmsprop(bool(options.get("centered")), float(options.get("momentum", 0.0)))
        theirs = _torch_optimizer(torch.optim.RMSprop, lr=1e-3, alpha=0.9, eps=1e-15, **options)
        cases[name] = OptimizerCase(
            lambda options=options: optimizers.RMSprop(**options), _epsilon_under_root(own)
        )
        cases[name + "_of_torch"] = OptimizerCase(
            lambda options=options: optimizers.RMSprop(epsilon=1e-30, **options), theirs
        )
    return cases


OPTIMIZERS = {
    "sgd": OptimizerCase(lambda: optimizers.SGD(0.05), _torch_optimizer(torch.optim.SGD, lr=0.05)),
    "sgd_slow": OptimizerCase(
        lambda: optimizers.SGD(1e-3), _torch_optimizer(torch.optim.SGD, lr=1e-3)
    ),
    "sgd_momentum": OptimizerCase(
        lambda: optimizers.SGD(0.01, momentum=0.9),
        _torch_optimizer(torch.optim.SGD, lr=0.01, momentum=0.9),
    ),
    "sgd_nesterov": OptimizerCase(
        lambda: optimizers.SGD(0.01, momentum=0.9, nesterov=True),
        _torch_optimizer(torch.optim.SGD, lr=0.01, momentum=0.9, nesterov=True),
    ),
    "adam": OptimizerCase(optimizers.Adam, _torch_adam(torch.optim.Adam)),
    "adam_betas": OptimizerCase(
        lambda: optimizers.Adam(0.002, beta_1=0.8, beta_2=0.95),
        _torch_adam(torch.optim.Adam, lr=0.002, betas=(0.8, 0.95)),
    ),
    "adam_amsgrad": OptimizerCase(
        lambda: optimizers.Adam(beta_2=0.9, amsgrad=True),
        _torch_adam(torch.optim.Adam, betas=(0.9, 0.9), amsgrad=True),
    ),
    "adamw": OptimizerCase(
        lambda: optimizers.AdamW(0.002, weight_decay=0.1),
        _torch_adam(torch.optim.AdamW, lr=0.002, weight_decay=0.1),
    ),
    "adamw_amsgrad": OptimizerCase(
        lambda: optimizers.AdamW(amsgrad=True),
        _torch_adam(torch.optim.AdamW, weight_decay=0.004, amsgrad=True),
    ),
    **_rmsprop_cases(),
    "adagrad": OptimizerCase(
        lambda: optimizers.Adagrad(0.05), _epsilon_under_root(_adagrad, start=0.1)
    ),
    "adagrad_of_torch": OptimizerCase(
        lambda: optimizers.Adagrad(0.05, epsilon=1e-30),
        _torch_optimizer(torch.optim.Adagrad, lr=0.05, initial_accumulator_value=0.1, eps=1e-15),
    ),
}


# ------------------------------------------------------------------------- trainings


@dataclass(frozen=True)
class Training:
    """One model and how it is trained, by names in the tables above."""

    loss: str = "mse"
    optimizer: str = "sgd"
    hidden: str = "tanh"
    output: str = "linear"
    weighted: bool = False
    regularized: bool = False

    def data(self) -> tuple[Any, Any, Any]:
        """Inputs, targets and sample weights, in float64 or whole numbers."""
        rng = np.random.default_rng(7)
        x = rng.normal(size=(ROWS, FEATURES))
        scores = np.tanh(x @ rng.normal(size=(FEATURES, OUTPUTS))) + 0.3 * rng.normal(
            size=(ROWS, OUTPUTS)
        )
        targets = {
            "numbers": scores,
            "bits": (scores > 0).astype(float),
            "signs": np.sign(scores),
            "classes": scores.argmax(axis=1),
            "one_hot": np.eye(OUTPUTS)[scores.argmax(axis=1)],
            "shares": np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True),
            "counts": rng.poisson(np.exp(scores)).astype(float),
        }
        weight = rng.uniform(0.1, 2.0, ROWS) if self.weighted else None
        return x, targets[LOSSES[self.loss].targets], weight

    def first_weights(self) -> list[Any]:
        rng = np.random.default_rng(11)
        shapes = [(FEATURES, HIDDEN), (HIDDEN,), (HIDDEN, OUTPUTS), (OUTPUTS,)]
        return [rng.normal(scale=0.3, size=shape) for shape in shapes]

    def with_hotloop(self, dtype: str) -> list[Any]:
        kernel = regularizers.L1L2(1e-3, 1e-2) if self.regularized else None
        bias = regularizers.L2(0.02) if self.regularized else None
        last = regularizers.L1(2e-3) if self.regularized else None
        model = hotloop.Sequential(
            [
                hotloop.layers.Dense(
                    HIDDEN,
                    ACTIVATIONS[self.hidden][0],
                    kernel_regularizer=kernel,
                    bias_regularizer=bias,
                    input_shape=(FEATURES,),
                    dtype=dtype,
                ),
                hotloop.layers.Dense(
                    OUTPUTS, ACTIVATIONS[self.output][0], kernel_regularizer=last, dtype=dtype
                ),
            ]
        )
        model.set_weights(self.first_weights())
        model.compile(OPTIMIZERS[self.optimizer].make(), LOSSES[self.loss].make())
        x, y, weight = self.data()
        model.fit(
            x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0, sample_weight=weight
        )
        weights: list[Any] = model.get_weights()
        return weights

    def with_torch(self, dtype: str) -> list[Any]:
        kind = getattr(torch, dtype)
        x, y, weight = self.data()
        x = torch.tensor(x, dtype=kind)
        y = torch.tensor(y, dtype=torch.int64 if y.dtype.kind == "i" else kind)
        weight = torch.tensor(np.ones(ROWS) if weight is None else weight, dtype=kind)
        weights = [torch.tensor(w, dtype=kind, requires_grad=True) for w in self.first_weights()]
        w1, b1, w2, b2 = weights
        hidden, output = ACTIVATIONS[self.hidden][1], ACTIVATIONS[self.output][1]
        step = OPTIMIZERS[self.optimizer].bind(weights)
        for start in list(range(0, ROWS, BATCH)) * EPOCHS:
            rows = slice(start, start + BATCH)
            p = output(hidden(x[rows] @ w1 + b1) @ w2 + b2)
            values = weight[rows] * LOSSES[self.loss].values(y[rows], p)
            loss = values.sum() if self.loss.endswith("_sum") else values.mean()
            if self.regularized:
                loss = loss + 1e-3 * w1.abs().sum() + 1e-2 * (w1 * w1).sum()
                loss = loss + 0.02 * (b1 * b1).sum() + 2e-3 * w2.abs().sum()
            gradients = torch.autograd.grad(loss, weights)
            for w, gradient in zip(weights, gradients, strict=True):
                w.grad = gradient
            step()
        return [w.detach().numpy() for w in weights]


@cache
def _torch_weights(training: Training, dtype: str) -> list[Any]:
    return training.with_torch(dtype)


def _check(training: Training, dtype: str) -> None:
    expected = _torch_weights(training, dtype)
    assert all(np.isfinite(w).all() for w in expected)
    assert not np.allclose(expected[0], training.first_weights()[0], atol=1e-3)
    for name, w, want in zip(
        ("kernel", "bias", "kernel_1", "bias_1"),
        training.with_hotloop(dtype),
        expected,
        strict=True,
    ):
        assert w.dtype == dtype
        error = np.linalg.norm(w - want) / np.linalg.norm(want)
        assert error <= TOLERANCE[dtype], f"{name}: relative error {error:.2e}"


dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])


@dtypes
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("loss", LOSSES)
def test_losses(backend: str, loss: str, weighted: bool, dtype: str) -> None:
    optimizer = "sgd_slow" if loss.endswith("_sum") else "sgd"
    output = LOSSES[loss].output
    _check(Training(loss, optimizer, output=output, weighted=weighted), dtype)


@dtypes
@pytest.mark.parametrize("regularized", [False, True], ids=["plain", "regularized"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers(backend: str, optimizer: str, regularized: bool, dtype: str) -> None:
    training = Training(
        "sparse", optimizer, output="softmax", weighted=regularized, regularized=regularized
    )
    _check(training, dtype)


@dtypes
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_hidden_activations(backend: str, activation: str, dtype: str) -> None:
    _check(Training(hidden=activation, optimizer="sgd_momentum"), dtype)


@dtypes
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_output_activations(backend: str, activation: str, dtype: str) -> None:
    _check(Training(hidden="relu", output=activation, optimizer="adam"), dtype)
