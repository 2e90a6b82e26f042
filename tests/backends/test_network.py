"""Small networks that are trained in one step, against the same networks step by step."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hotloop
from hotloop import activations, backends, layers, losses, optimizers, regularizers
from hotloop.data.feed import Feed
from hotloop.graph import network as small
from hotloop.graph.plan import LossTerm, MetricTerm, Plan, build
from hotloop.graph.trace import Value

core = pytest.importorskip("hotloop.backends.compiled.executor")

Array = NDArray[Any]

# Functions of each element, by the names that layers know.
_OTHERS = ("swish", "hard_swish", "threshold", "softmax", "log_softmax", "sparsemax", "glu")
ACTIVATIONS = [name for name in activations._BY_NAME if name not in _OTHERS]
OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda: optimizers.SGD(0.05),
    "momentum": lambda: optimizers.SGD(0.02, momentum=0.9),
    "nesterov": lambda: optimizers.SGD(0.02, momentum=0.9, nesterov=True),
    "adam": lambda: optimizers.Adam(0.02),
    "amsgrad": lambda: optimizers.Adam(0.02, amsgrad=True),
    "adamw": lambda: optimizers.AdamW(0.02),
    "rmsprop": lambda: optimizers.RMSprop(0.01),
    "rmsprop_all": lambda: optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "adagrad": lambda: optimizers.Adagrad(0.05),
    "adadelta": lambda: optimizers.Adadelta(1.0),
    "adamax": lambda: optimizers.Adamax(0.01),
    "nadam": lambda: optimizers.Nadam(0.01),
    "lion": lambda: optimizers.Lion(0.01),
    "ftrl": lambda: optimizers.Ftrl(0.1),
    "schedule-free": lambda: optimizers.ScheduleFreeAdamW(0.01, warmup_steps=5),
}
# Loss: the last activation, and targets of a shape.
LOSSES: dict[str, tuple[str, str]] = {
    "mean_squared_error": ("linear", "real"),
    "mean_absolute_error": ("linear", "real"),
    "mean_absolute_percentage_error": ("linear", "unit"),
    "mean_squared_logarithmic_error": ("softplus", "unit"),
    "huber": ("linear", "real"),
    "log_cosh": ("linear", "real"),
    "binary_crossentropy": ("sigmoid", "binary"),
    "kl_divergence": ("sigmoid", "unit"),
    "poisson": ("exponential", "unit"),
    "categorical_crossentropy": ("softmax", "one_hot"),
    "sparse_categorical_crossentropy": ("softmax", "class"),
}


def network(widths: tuple[int, ...], activations: tuple[str, ...], **options: Any) -> Any:
    """Dense layers of these widths, the first being the inputs."""
    hotloop.utils.set_random_seed(3)
    dtype = options.setdefault("dtype", "float64")
    return hotloop.Sequential(
        [
            layers.Input(widths[:1], dtype=dtype),
            *(
                layers.Dense(n, activation, **options)
                for n, activation in zip(widths[1:], activations, strict=True)
            ),
        ]
    )


def plan_of(
    model: Any, batch: int, loss: Any, optimizer: Any, *, fused: bool, weighted: bool = False
) -> Plan:
    """A training plan with a metric, for the core."""
    (output,) = model.outputs
    found = losses.get(loss)
    dims = output.dims[:-1] if found.sparse else output.dims
    target = Value(dims, "int32" if found.sparse else output.dtype, role="target")
    weight = Value((), output.dtype, role="sample_weight") if weighted else None
    metric = "sparse_categorical_accuracy" if found.sparse else "mean_squared_error"
    return build(
        model.inputs,
        model.outputs,
        batch,
        backends.traits(),
        losses=[LossTerm(found, target, output, weight, loss_weight=0.7)],
        metrics=[MetricTerm(metric, {}, target, output, weight)],
        trained=model.trainable_weights,
        optimizer=optimizer,
        fuse_networks=fused,
    )


def targets(rng: np.random.Generator, kind: str, rows: int, units: int) -> Array:
    """Random targets of a kind."""
    if kind == "class":
        return rng.integers(0, units, rows)
    if kind == "one_hot":
        return np.eye(units)[rng.integers(0, units, rows)]
    if kind == "binary":
        return rng.integers(0, 2, (rows, units)).astype(float)
    return rng.random((rows, units)) if kind == "unit" else rng.normal(size=(rows, units))


def trained(
    plan: Plan, model: Any, arrays: list[Array], slices: list[int] | None = None
) -> tuple[list[Array], Array, Array]:
    """Weights, sums and predictions of two epochs."""
    rows = len(arrays[0])
    order = np.concatenate([np.random.default_rng(e).permutation(rows) for e in range(2)])
    feed = Feed(arrays, rows, order)
    executor = core.Executor(plan)
    sums = np.zeros(2 * len(plan.slots))
    batches = feed.batches(plan.batch_size)
    for i, n in enumerate(slices or [2 * batches]):
        done = sum((slices or [])[:i])
        assert executor.run(feed, done, n, sums) == (n, True)
    weights = [w.astype(float) for w in model.get_weights()]
    out = np.zeros((rows, *plan.outputs[0].dims), plan.dtype)
    assert executor.run(feed, 0, batches, np.zeros_like(sums), outputs=[out]) == (batches, True)
    return weights, sums, out.astype(float)


def is_fused(plan: Plan) -> bool:
    return any(step.op.name == "network_update" for step in plan.steps)


@pytest.fixture
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks too, for which steps of their own are faster: the kernel must still be right."""
    monkeypatch.setattr(small, "MOST_WEIGHTS", 10**6)


def both(
    rng: np.random.Generator,
    widths: tuple[int, ...],
    activations: tuple[str, ...],
    *,
    loss: str = "mean_squared_error",
    optimizer: str = "adam",
    rows: int = 50,
    batch: int = 7,
    weighted: bool = False,
    **options: Any,
) -> None:
    """Trains in both ways; everything must agree."""
    last, kind = LOSSES[loss]
    activations = (*activations, last)
    x = rng.normal(size=(rows, widths[0]))
    arrays = [x, targets(rng, kind, rows, widths[-1])]
    if weighted:
        arrays.append(rng.random(rows))
    results = []
    for fused in (True, False):
        model = network(widths, activations, **options)
        rule = OPTIMIZERS[optimizer]()
        plan = plan_of(model, batch, loss, rule, fused=fused, weighted=weighted)
        assert is_fused(plan) is fused
        results.append(trained(plan, model, arrays))
        assert rule.iterations == 3 * math.ceil(rows / batch)
    tolerance = 1e-9 if options.get("dtype", "float64") == "float64" else 3e-4
    for ours, theirs in zip(results[0], results[1], strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("widths", [(3, 1), (13, 2), (2, 5, 1), (7, 17, 4), (32, 3, 9, 2, 3)])
def test_every_loss(
    rng: np.random.Generator, widths: tuple[int, ...], loss: str, dtype: str
) -> None:
    both(rng, widths, ("tanh",) * (len(widths) - 2), loss=loss, dtype=dtype)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("widths", [(13, 1), (31, 1), (3, 6, 2)])
def test_every_optimizer(rng: np.random.Generator, widths: tuple[int, ...], optimizer: str) -> None:
    both(rng, widths, ("relu",) * (len(widths) - 2), optimizer=optimizer)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(rng: np.random.Generator, activation: str) -> None:
    both(rng, (4, 6, 2), (activation,))


@pytest.mark.parametrize("activation", ["sigmoid", "gelu", "softplus"])
@pytest.mark.parametrize("batch", [1, 5, 40])
def test_linear_models_with_an_activation(
    rng: np.random.Generator, activation: str, batch: int
) -> None:
    x, y = rng.normal(size=(30, 9)), rng.normal(size=(30, 1))
    results = []
    for fused in (True, False):
        model = network((9, 1), (activation,))
        plan = plan_of(model, batch, "mse", optimizers.Adam(0.01), fused=fused)
        results.append(trained(plan, model, [x, y]))
    for one, other in zip(*(r[0] for r in results), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("rows", [1, 2, 31, 33, 257])
@pytest.mark.parametrize("batch", [1, 2, 3, 17, 32, 300])
@pytest.mark.parametrize("widths", [(1, 1), (15, 1), (16, 1), (2, 5, 1), (3, 8, 8, 2)])
def test_odd_sizes(
    rng: np.random.Generator, widths: tuple[int, ...], batch: int, rows: int
) -> None:
    both(rng, widths, ("relu",) * (len(widths) - 2), rows=rows, batch=batch)


@pytest.mark.parametrize("widths", [(5, 1), (4, 6, 2)])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("use_bias", [True, False])
def test_weights_of_examples_and_layers_without_bias(
    rng: np.random.Generator, widths: tuple[int, ...], weighted: bool, use_bias: bool
) -> None:
    hidden = ("relu",) * (len(widths) - 2)
    for batch in (1, 7):
        both(rng, widths, hidden, weighted=weighted, use_bias=use_bias, batch=batch)


@pytest.mark.parametrize("widths", [(5, 1), (4, 6, 2)])
def test_how_a_run_is_cut_changes_no_bit(rng: np.random.Generator, widths: tuple[int, ...]) -> None:
    x, y = rng.normal(size=(50, widths[0])), rng.normal(size=(50, widths[-1]))
    results = []
    for slices in ([26], [1] * 26, [5, 1, 12, 8]):
        model = network(widths, ("linear",) * (len(widths) - 1))
        plan = plan_of(model, 4, "mse", optimizers.Adam(0.01), fused=True)
        results.append(trained(plan, model, [x, y], slices))
    for weights, sums, out in results[1:]:
        for one, other in zip(weights, results[0][0], strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(sums, results[0][1])
        np.testing.assert_array_equal(out, results[0][2])


@pytest.mark.parametrize("widths", [(3, 1), (3, 4, 1)])
@pytest.mark.parametrize("bad", [0, 1, 6, 12])
def test_a_loss_that_is_not_finite_stops_before_its_batch(
    rng: np.random.Generator, widths: tuple[int, ...], bad: int
) -> None:
    x, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 1))
    model = network(widths, ("linear",) * (len(widths) - 1))
    rule = optimizers.Adam(0.01)
    plan = plan_of(model, 4, "mse", rule, fused=True)
    sums = np.zeros(len(plan.slots))
    core.Executor(plan).run(Feed([x, y], 50), 0, bad, sums)
    weights = model.get_weights()

    y[4 * bad + 1] = np.nan
    other = network(widths, ("linear",) * (len(widths) - 1))
    rule = optimizers.Adam(0.01)
    plan = plan_of(other, 4, "mse", rule, fused=True)
    found = np.zeros_like(sums)
    assert core.Executor(plan).run(Feed([x, y], 50), 0, 13, found) == (bad, False)
    assert rule.iterations == bad
    np.testing.assert_array_equal(found, sums)
    for one, two in zip(other.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, two)


def test_padding_stays_out_of_a_model_whose_optimizer_divides_zero_by_zero() -> None:
    """Epsilon 0 makes 0 / 0 of what no weight has."""
    x, y = np.ones((20, 3)), np.ones((20, 1))
    for widths in ((3, 1), (3, 5, 1)):
        model = network(widths, ("linear",) * (len(widths) - 1))
        plan = plan_of(model, 4, "mse", optimizers.Adam(0.01, epsilon=0.0), fused=True)
        weights, _, _ = trained(plan, model, [x, y])
        assert all(np.isfinite(w).all() for w in weights)


def steps_of(model: Any, loss: Any = "mse", trainable: Any = None) -> bool:
    plan = build(
        model.inputs,
        model.outputs,
        8,
        replace(backends.traits(), fuses_updates=True),
        losses=[
            LossTerm(
                losses.get(loss),
                Value(model.outputs[0].dims, "float32", role="target"),
                model.outputs[0],
            )
        ],
        trained=model.trainable_weights if trainable is None else trainable,
        optimizer=optimizers.SGD(),
    )
    return is_fused(plan)


def test_which_models_are_small_networks() -> None:
    def model(*made: Any, inputs: int = 4) -> Any:
        return hotloop.Sequential([layers.Input((inputs,)), *made])

    dense = layers.Dense
    assert steps_of(model(dense(5, "relu"), dense(1)))
    assert steps_of(model(dense(5), layers.Activation("relu"), layers.Flatten(), dense(1)))
    assert steps_of(model(*(dense(2) for _ in range(8))))
    assert not steps_of(model(*(dense(2) for _ in range(9))))  # too deep
    assert steps_of(model(dense(32), inputs=2))
    assert not steps_of(model(dense(33), inputs=1))  # too wide
    assert steps_of(model(dense(1), inputs=31))
    assert not steps_of(model(dense(1), inputs=33))
    assert not steps_of(model(dense(8), dense(8), inputs=1))  # 8 + 64 weights: too many
    assert not steps_of(model(dense(5), layers.Dropout(0.5), dense(1)))
    assert not steps_of(model(dense(5, kernel_regularizer=regularizers.L2(0.1)), dense(1)))
    assert not steps_of(model(dense(1)), "hinge")
    assert not steps_of(model(dense(1)), losses.MeanSquaredError(reduction="sum"))
    frozen = model(dense(5), dense(1))
    assert not steps_of(frozen, trainable=frozen.trainable_weights[:2])


def test_other_backends_never_see_one() -> None:
    model = network((3, 1), ("linear",))
    backend = backends.current()
    try:
        backends.select("numpy")
        plan = plan_of(model, 4, "mse", optimizers.SGD(), fused=backends.traits().fuses_updates)
        assert not is_fused(plan)
    finally:
        backends.select(backend)
