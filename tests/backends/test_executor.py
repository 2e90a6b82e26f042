"""The compiled executor against the Python one: data layouts, batches, slices, verdicts."""

from __future__ import annotations

import json
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import backends, config, layers, losses, optimizers
from hotloop.backends import numpy as reference
from hotloop.backends.interpreter import Interpreter
from hotloop.backends.plan_traits import IN_PYTHON
from hotloop.data.feed import Feed
from hotloop.graph import ops
from hotloop.graph.plan import LossTerm, MetricTerm, Plan, build
from hotloop.graph.trace import Value

core = pytest.importorskip(
    "hotloop.backends.compiled.executor", reason="the compiled core is an optional part"
)

Array = np.ndarray[Any, Any]
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


@pytest.fixture(autouse=True)
def _compiled_backend() -> Any:
    before = config.backend()
    config.set_backend("cython")
    yield
    config.set_backend(before)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(17)


def dense_model(
    features: int, *units: int, dtype: str = "float64", activation: str = "tanh"
) -> hotloop.Sequential:
    hotloop.utils.set_random_seed(1)
    hidden = [layers.Dense(n, activation, dtype=dtype) for n in units[:-1]]
    return hotloop.Sequential(
        [layers.Input((features,), dtype=dtype), *hidden, layers.Dense(units[-1], dtype=dtype)]
    )


def for_backend(compiled: bool) -> dict[str, Any]:
    """What a plan for the core has that one for the interpreter has not.

    Networks that one step could train are not fused: test_network.py is about those.
    """
    return {"traits": backends.traits() if compiled else IN_PYTHON, "fuse_networks": False}


def plan_of(
    model: hotloop.Model,
    batch: int,
    loss: str | None = None,
    optimizer: Any = None,
    *,
    metric: str | None = None,
    weighted: bool = False,
    compiled: bool = True,
) -> Plan:
    (output,) = model.outputs
    weight = Value((), output.dtype, role="sample_weight") if weighted else None
    terms: list[LossTerm] = []
    metrics: list[MetricTerm] = []
    if loss:
        found = losses.get(loss)
        dims = output.dims[:-1] if found.sparse else output.dims
        target = Value(dims, "int32" if found.sparse else output.dtype, role="target")
        terms = [LossTerm(found, target, output, weight)]
        metrics = [MetricTerm(metric, {}, target, output, weight)] if metric else []
    return build(
        model.inputs,
        model.outputs,
        batch,
        losses=terms,
        metrics=metrics,
        trained=model.trainable_weights,
        optimizer=optimizer,
        **for_backend(compiled),
    )


def gathered(x: Array, order: Array | None, dtype: str, batch: int = 5) -> Array:
    """x as a model that does nothing sees it."""
    dims = x.shape[1:]
    model = hotloop.Sequential([layers.Input(dims, dtype=dtype), layers.Flatten(dtype=dtype)])
    executor = core.Executor(plan_of(model, batch))
    feed = Feed([x], len(x), order)
    out = np.full((len(x), int(np.prod(dims))), -77.0, dtype)
    count = feed.batches(batch)
    assert executor.run(feed, 0, count, np.zeros(0), outputs=[out]) == (count, True)
    return out


# ---------------------------------------------------------------------------- layouts

DTYPES = ["?", "b", "h", "i", "q", "B", "H", "I", "Q", "e", "f", "d"]


def integers(shape: tuple[int, ...], dtype: str) -> Array:
    """Numbers that every dtype holds exactly, some negative where there is a sign."""
    x = (np.arange(np.prod(shape)) * 37 % 101).reshape(shape)
    return (x - 50 if np.dtype(dtype).kind in "if" else x).astype(dtype)


def layouts(x: Array) -> dict[str, Array]:
    """Arrays of equal elements that stand in memory in other ways."""
    cols = x.shape[1]
    wide = np.repeat(np.repeat(x, 2, axis=0), 3, axis=1)
    fixed = x.copy()
    fixed.flags.writeable = False
    block = np.zeros(x.nbytes + 1, np.uint8)
    unaligned = block[1:].view(x.dtype).reshape(x.shape)
    unaligned[...] = x
    return {
        "contiguous": x,
        "swapped": x.astype(x.dtype.newbyteorder()),
        "swapped and strided": np.repeat(x, 2, axis=1).astype(x.dtype.newbyteorder())[:, ::2],
        "every other row": wide[::2, ::3].copy(),
        "strided": wide[::2, ::3],
        "backwards": x[::-1, ::-1].copy()[::-1, ::-1],
        "transposed": np.ascontiguousarray(x.T).T,
        "read-only": fixed,
        "unaligned": unaligned,
        "a part of the columns": np.hstack([x, x, x])[:, cols : 2 * cols],
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", DTYPES)
def test_rows_of_every_dtype_and_layout_are_gathered(
    given: str, dtype: str, rng: np.random.Generator
) -> None:
    x = integers((13, 19), given)
    order = rng.permutation(13)
    for name, array in layouts(x).items():
        np.testing.assert_array_equal(array, x)
        np.testing.assert_array_equal(gathered(array, None, dtype), x.astype(dtype), name)
        np.testing.assert_array_equal(gathered(array, order, dtype), x[order].astype(dtype), name)


@pytest.mark.parametrize("dtype", ["int32", "uint8"])
@pytest.mark.parametrize("given", [*DTYPES, ">f8", ">i4"])
def test_whole_numbers_are_gathered_as_by_the_reference(given: str, dtype: str) -> None:
    """Those that there are not become the nearest, whatever they mean."""
    with np.errstate(invalid="ignore", over="ignore"):
        numbers = [-np.inf, np.inf, np.nan, -3e9, 3e9, -7.5, -0.5, -300, 300, 255.5, 2.9]
        x = np.array(numbers).astype(given)[:, np.newaxis]
    value = Value((1,), dtype, role="input")
    found = []
    for kind, compiled in ((core.Executor, True), (reference_executor, False)):
        plan = build([value], [ops.cast(value, "float64")], 4, **for_backend(compiled))
        out = np.empty((11, 1))
        kind(plan).run(Feed([x], 11), 0, 3, np.zeros(0), outputs=[out])
        found.append(out)
    np.testing.assert_array_equal(*found)
    assert (found[0] < 0).any() == (dtype == "int32" and np.dtype(given).kind in "if")


def reference_executor(plan: Plan) -> Interpreter:
    return Interpreter(plan, reference.OPS)


@pytest.mark.parametrize("given", DTYPES)
def test_one_feature_is_gathered_from_vectors_too(given: str) -> None:
    x = integers((13, 1), given)
    for array in (x, np.repeat(x, 2, axis=0)[::2], x[::-1].copy()[::-1]):
        np.testing.assert_array_equal(gathered(array, None, "float64"), x.astype(float))
    target = integers((13,), given)[::-1]
    model = dense_model(1, 1)
    model.set_weights([np.zeros((1, 1)), np.zeros(1)])
    sums = np.zeros(1)
    core.Executor(plan_of(model, 4, "mae")).run(Feed([x, target], 13), 0, 4, sums)
    assert sums[0] == np.abs(target.astype(float)).sum()


def test_images_are_gathered_with_all_their_strides(rng: np.random.Generator) -> None:
    x = rng.integers(0, 255, (11, 6, 8, 3), dtype=np.uint8)
    order = rng.permutation(11)
    for array in (
        x,
        x[:, ::-1],
        x[..., ::-1],
        x.transpose(0, 3, 1, 2),
        x.transpose(0, 2, 1, 3)[::-1],
        x[:, 1:5, 2:7, :2],
        x[:, ::2, ::3],
        x[:, :, :, 1:2],
        np.asfortranarray(x),
        np.broadcast_to(x[:, :1], x.shape),
        np.broadcast_to(x[:1], x.shape),
    ):
        expected = array.reshape(len(array), -1).astype("float32")
        np.testing.assert_array_equal(gathered(array, None, "float32"), expected)
        np.testing.assert_array_equal(gathered(array, order, "float32"), expected[order])


def trained_on(x: Array, y: Array, made: Sequence[Any], dtype: str) -> list[Array]:
    """Weights after two epochs, and predictions in order and out of order."""
    hotloop.utils.set_random_seed(5)
    model = hotloop.Sequential([layers.Input(x.shape[1:], dtype=dtype), *(m() for m in made)])
    plan = plan_of(model, 5, "mse", optimizers.Adam(0.01))
    order = np.random.default_rng(1).permutation(2 * len(x)) % len(x)
    feed = Feed([x, y], len(x), order)
    core.Executor(plan).run(feed, 0, 2 * feed.batches(5), np.zeros(2))
    found = model.get_weights()
    for rows in (None, order[: len(x)]):
        out = np.zeros((len(x), *plan.outputs[0].dims), dtype)
        core.Executor(plan_of(model, 5)).run(
            Feed([x], len(x), rows), 0, -(-len(x) // 5), np.zeros(0), outputs=[out]
        )
        found.append(out)
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cols", [1, 19, 1024])
def test_rows_read_in_place_give_the_same_bits_as_gathered_ones(cols: int, dtype: str) -> None:
    x, y = integers((13, cols), "float32") / 64, np.ones((13, 2))
    made = [lambda: layers.Dense(7, "tanh", dtype=dtype), lambda: layers.Dense(2, dtype=dtype)]
    expected = trained_on(x.astype("float16"), y, made, dtype)
    for name, array in (layouts(x) | layouts(x.astype("float64"))).items():
        for one, other in zip(trained_on(array, y, made, dtype), expected, strict=True):
            np.testing.assert_array_equal(one, other, name)


def test_examples_of_several_rows_are_read_in_place_too() -> None:
    x, y = integers((13, 4, 6), "float32") / 64, np.ones((13, 4, 2))
    flat = [lambda: layers.Flatten(), lambda: layers.Dense(9, "relu"), lambda: layers.Dense(2)]
    for made, target in (([lambda: layers.Dense(2)], y), (flat, y[:, 0])):
        expected = trained_on(x.astype("float64"), target, made, "float32")
        for array in (x, x[::-1].copy()[::-1], np.broadcast_to(x, (2, *x.shape))[1]):
            for one, other in zip(
                trained_on(array, target, made, "float32"), expected, strict=True
            ):
                np.testing.assert_array_equal(one, other)


def test_too_many_scattered_axes_are_refused() -> None:
    x = np.zeros((3, *(4,) * 9))[(slice(None), *(slice(None, None, 2),) * 9)]
    with pytest.raises(ValueError, match="10 axes is too scattered; make it contiguous"):
        gathered(x, None, "float32")


@pytest.mark.parametrize(
    "value", [2.0**-24, 2.0**-14, 6e-5, 65504.0, -65504.0, np.inf, -np.inf, np.nan, -0.0]
)
def test_half_precision_is_read_exactly(value: float) -> None:
    x = np.full((3, 2), value, np.float16)
    np.testing.assert_array_equal(gathered(x, None, "float64"), x.astype(float))


def test_integers_are_rounded_as_numpy_rounds_them() -> None:
    x = np.array([[2**63 - 1, 2**24 + 1, -(2**63)]])
    for dtype in ("float32", "float64"):
        np.testing.assert_array_equal(gathered(x, None, dtype), x.astype(dtype))
    big = np.array([[2**64 - 1, 2**63 + 1]], np.uint64)
    for dtype in ("float32", "float64"):
        np.testing.assert_array_equal(gathered(big, None, dtype), big.astype(dtype))


def test_the_data_set_is_never_copied(tmp_path: Path) -> None:
    rows, features = 20_000, 100
    path = tmp_path / "x.bin"
    x = np.memmap(path, np.uint8, "w+", shape=(rows, features))
    x[:, 0] = 1
    x.flush()
    disk = np.memmap(path, np.uint8, "r", shape=(rows, features))
    arrays = [
        disk,
        np.ones((rows, features), np.float16)[::-1],
        np.broadcast_to(np.arange(features, dtype=">i2"), (rows, features)),
        np.ones((features, rows)).T,
    ]
    y = np.broadcast_to(np.float64(1.0), (rows, 1))
    for array in arrays:
        model = dense_model(features, 3, 1, dtype="float32")
        model.compile("sgd", "mse")
        model.fit(array, y, batch_size=100, epochs=1, verbose=0)
        tracemalloc.start()
        model.fit(array, y, batch_size=100, epochs=1, verbose=0)
        model.predict(array, batch_size=100, verbose=0)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # The order of the rows (8 bytes each), checks of y, the predictions; x has 2 MB or more.
        assert peak < 600_000 < array.size / 3


# ------------------------------------------------------------- against the Python executor


def train_both(
    make: Callable[[], hotloop.Model],
    loss: str,
    arrays: Sequence[Array],
    batch: int,
    *,
    order: Array | None = None,
    epochs: int = 3,
    optimizer: Callable[[], Any] = lambda: optimizers.Adam(0.01),
    **options: Any,
) -> list[tuple[Array, Array, list[Array]]]:
    """Sums, outputs and weights after a few epochs, compiled and interpreted."""
    results = []
    for compiled in (True, False):
        hotloop.utils.set_random_seed(5)
        model = make()
        rule = optimizer()
        plan = plan_of(model, batch, loss, rule, compiled=compiled, **options)
        executor = core.Executor(plan) if compiled else Interpreter(plan, reference.OPS)
        feed = Feed(list(arrays), len(arrays[0]), order)
        sums = np.zeros(len(plan.slots))
        (value,) = plan.outputs
        out = np.zeros((feed.rows, *value.dims), value.dtype)
        count = feed.batches(batch)
        for _ in range(epochs):
            assert executor.run(feed, 0, count, sums, outputs=[out]) == (count, True)
        assert rule.iterations == epochs * count
        results.append((sums, out, model.get_weights()))
    return results


def assert_alike(results: Any, dtype: str) -> None:
    (sums, out, weights), (sums2, out2, weights2) = results
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(sums, sums2, rtol=tolerance)
    np.testing.assert_allclose(out, out2, rtol=tolerance, atol=tolerance)
    for one, other in zip(weights, weights2, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("rows", "batch"), [(1, 1), (1, 4), (7, 7), (7, 8), (33, 32), (50, 7)])
def test_batches_of_all_sizes(rows: int, batch: int, dtype: str, rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(rows, 5)), rng.normal(size=(rows, 3))
    order = rng.permutation(rows)
    results = train_both(
        lambda: dense_model(5, 17, 3, dtype=dtype), "mse", [x, y], batch, order=order
    )
    assert_alike(results, dtype)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    ("widths", "rows", "batch", "dtype"),
    [
        ((1024, 1024, 3), 300, 33, "float32"),  # rows that share a cache set; weights beyond L2
        ((512, 257, 1024, 1), 70, 33, "float64"),
        ((784, 31, 10), 400, 17, "float32"),  # rows that are asked for ahead, in two places
        ((2048, 2, 1), 100, 64, "float32"),
        ((129, 16, 127, 9, 256, 32), 50, 33, "float32"),  # sums in parts, and too short for them
    ],
)
def test_wide_layers_and_large_data(
    widths: tuple[int, ...],
    rows: int,
    batch: int,
    dtype: str,
    threads: int,
    rng: np.random.Generator,
) -> None:
    config.set_num_threads(threads)
    x = rng.normal(size=(rows, widths[0])).astype(dtype)
    y = rng.normal(size=(rows, widths[-1])).astype(dtype)
    orders = np.concatenate([rng.permutation(rows) for _ in range(2)])
    results = train_both(
        lambda: dense_model(*widths, dtype=dtype),
        "mse", [x, y], batch, order=orders, epochs=1, optimizer=lambda: optimizers.SGD(0.01),
    )  # fmt: skip
    assert_alike(results, dtype)


LOSSES = ["mse", "mae", "huber", "log_cosh", "binary_crossentropy", "kl_divergence", "poisson"]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", [*LOSSES, "hinge", "categorical_crossentropy"])
def test_losses_with_sample_weights(loss: str, weighted: bool, rng: np.random.Generator) -> None:
    def make() -> hotloop.Sequential:
        model = dense_model(5, 17, 3)
        model.add(layers.Activation("softmax", dtype="float64"))
        return model

    x, y = rng.normal(size=(40, 5)), np.eye(3)[rng.integers(0, 3, 40)]
    weight = [rng.uniform(0.0, 2.0, 40).astype(np.float32)] if weighted else []
    results = train_both(
        make, loss, [x, y, *weight], 9, metric="categorical_accuracy", weighted=weighted
    )
    assert_alike(results, "float64")


@pytest.mark.parametrize("dtype", ["int8", "uint16", ">i4", "int64", "float32", "bool"])
def test_labels_of_any_dtype(dtype: str, rng: np.random.Generator) -> None:
    x = rng.normal(size=(40, 5))
    label = rng.integers(0, 2, 40).astype(dtype)
    results = train_both(
        lambda: dense_model(5, 17, 3),
        "sparse_categorical_crossentropy",
        [x, label],
        9,
        metric="sparse_categorical_accuracy",
    )
    assert_alike(results, "float64")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ["mse", "sparse_categorical_crossentropy"])
def test_rows_within_an_example(loss: str, weighted: bool, rng: np.random.Generator) -> None:
    def make() -> hotloop.Sequential:
        return hotloop.Sequential(
            [
                layers.Input((4, 6), dtype="float64"),
                layers.Dense(7, "relu", dtype="float64"),
                layers.Dense(3, "softmax", dtype="float64"),
            ]
        )

    x = rng.normal(size=(20, 4, 6))[:, ::-1]
    y = rng.integers(0, 3, (20, 4)) if loss.startswith("sparse") else rng.random((20, 4, 3))
    weight = [rng.uniform(0.0, 2.0, 20)] if weighted else []
    assert_alike(train_both(make, loss, [x, y, *weight], 6, weighted=weighted), "float64")


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: optimizers.SGD(0.1),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9),
    "nesterov": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: optimizers.Adam(0.01),
    "adam_without_epsilon": lambda: optimizers.Adam(0.01, epsilon=0.0),
    "amsgrad": lambda: optimizers.Adam(0.01, amsgrad=True),
    "adamw": lambda: optimizers.AdamW(0.01, weight_decay=0.1),
    "rmsprop": lambda: optimizers.RMSprop(0.01),
    "rmsprop_centered": lambda: optimizers.RMSprop(0.01, centered=True, momentum=0.5),
    "adagrad": lambda: optimizers.Adagrad(0.1),
    "adadelta": lambda: optimizers.Adadelta(1.0),
    "adamax": lambda: optimizers.Adamax(0.01),
    "nadam": lambda: optimizers.Nadam(0.01),
    "lion": lambda: optimizers.Lion(0.01),
    "ftrl": lambda: optimizers.Ftrl(0.1),
    "schedule_free": lambda: optimizers.ScheduleFreeAdamW(0.01, warmup_steps=5),
    "adafactor": lambda: optimizers.Adafactor(0.1),
    "lamb": lambda: optimizers.Lamb(0.01),
    "muon": lambda: optimizers.Muon(0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_regularizers_and_dropout(name: str, rng: np.random.Generator) -> None:
    def make() -> hotloop.Sequential:
        dense = {"kernel_regularizer": "l1_l2", "bias_regularizer": "l2", "dtype": "float64"}
        return hotloop.Sequential(
            [
                layers.Input((5,), dtype="float64"),
                layers.Dense(17, "gelu", **dense),
                layers.Dropout(0.4, seed=3, dtype="float64"),
                layers.Dense(3, "softplus", **dense),
            ]
        )

    x, y = rng.normal(size=(40, 5)), rng.normal(size=(40, 3))
    results = train_both(make, "mse", [x, y], 9, optimizer=OPTIMIZERS[name])
    assert np.isfinite(results[0][0]).all()
    assert_alike(results, "float64")


def test_a_layer_that_is_used_twice(rng: np.random.Generator) -> None:
    shared = layers.Dense(5, "tanh", dtype="float64")

    def make() -> hotloop.Model:
        given = layers.Input((5,), dtype="float64")
        model = hotloop.Model(given, shared(shared(given)))
        start = np.random.default_rng(2).normal(size=(5, 5))
        model.set_weights([start, np.zeros(5)])
        return model

    x, y = rng.normal(size=(40, 5)), rng.normal(size=(40, 5))
    assert_alike(train_both(make, "mse", [x, y], 9), "float64")


def test_several_outputs_and_losses(rng: np.random.Generator) -> None:
    x = rng.normal(size=(20, 5))
    targets = [rng.normal(size=(20, 3)), rng.integers(0, 4, 20)]
    results = []
    for compiled in (True, False):
        hotloop.utils.set_random_seed(1)
        first = layers.Dense(3, dtype="float64")
        second = layers.Dense(4, "softmax", dtype="float64")
        trunk = layers.Input((5,), dtype="float64")
        hidden = layers.Dense(7, "tanh", dtype="float64")(trunk)
        model = hotloop.Model(trunk, [first(hidden), second(hidden)])
        kinds = [losses.get("mse"), losses.get("sparse_categorical_crossentropy")]
        values = [Value((3,), "float64", role="target"), Value((), "int32", role="target")]
        terms = [
            LossTerm(kind, value, output, None, factor)
            for kind, value, output, factor in zip(
                kinds, values, model.outputs, (0.5, 2.0), strict=True
            )
        ]
        rule = optimizers.Adam(0.01)
        plan = build(
            model.inputs,
            model.outputs,
            6,
            losses=terms,
            trained=model.trainable_weights,
            optimizer=rule,
            **for_backend(compiled),
        )
        executor = core.Executor(plan) if compiled else Interpreter(plan, reference.OPS)
        sums, outs = np.zeros(2), [np.zeros((20, 3)), np.zeros((20, 4))]
        assert executor.run(Feed([x, *targets], 20), 0, 4, sums, outputs=outs) == (4, True)
        results.append((sums, np.hstack(outs), model.get_weights()))
    assert_alike(results, "float64")


def test_an_output_may_be_an_input_or_come_twice(rng: np.random.Generator) -> None:
    given = layers.Input((5,), dtype="float64")
    y = layers.Dense(3, dtype="float64")(given)
    executor = core.Executor(build([given], [given, y, y], 4, **for_backend(True)))
    x = rng.normal(size=(10, 5))
    outs = [np.zeros((10, 5)), np.zeros((10, 3)), np.zeros((10, 3))]
    executor.run(Feed([x], 10), 0, 3, np.zeros(0), outputs=outs)
    np.testing.assert_array_equal(outs[0], x)
    np.testing.assert_array_equal(outs[1], outs[2])


def test_a_plan_has_as_many_outputs_and_running_sums_as_it_likes(
    rng: np.random.Generator,
) -> None:
    given, target = layers.Input((3,)), Value((1,), "float32", role="target")
    y = layers.Dense(1)(given)
    metrics = [
        MetricTerm("mean_squared_error", {}, target, y),
        MetricTerm("mean_absolute_error", {}, target, y),
    ]
    plan = build([given], [given, y] * 40, 4, metrics=metrics * 70, **for_backend(True))
    x, targets = (rng.normal(size=(10, n)).astype("float32") for n in (3, 1))
    outs = [np.zeros((10, n), "float32") for n in (3, 1)] * 40
    outs = [out.copy() for out in outs]
    sums = np.zeros(140)
    executor = core.Executor(plan)
    assert executor.run(Feed([x, targets], 10), 0, 3, sums, outputs=outs) == (3, True)
    for out, again in zip(outs[::2], outs[1::2], strict=True):
        np.testing.assert_array_equal(out, x)
        np.testing.assert_array_equal(again, outs[1])
    error = outs[1].astype("float64") - targets
    np.testing.assert_allclose(sums[::2], (error**2).sum(), rtol=1e-5)
    np.testing.assert_allclose(sums[1::2], np.abs(error).sum(), rtol=1e-5)


# ------------------------------------------------------------------ slices, rows, verdicts


def trained_in_slices(x: Array, y: Array, slices: Sequence[int] | float) -> tuple[Any, ...]:
    """Weights and sums of one epoch, cut as asked: batches of each call, or seconds."""
    model = dense_model(x.shape[1], 17, y.shape[1])
    rule = optimizers.Adam(0.01)
    plan = plan_of(model, 4, "mse", rule)
    executor = core.Executor(plan)
    feed = Feed([x, y], len(x), np.random.default_rng(0).permutation(len(x)))
    sums, done, calls = np.zeros(1), 0, 0
    while done < feed.batches(4):
        rest = feed.batches(4) - done
        if isinstance(slices, float):
            ran, finite = executor.run(feed, done, rest, sums, seconds=slices)
        else:
            ran, finite = executor.run(feed, done, min(rest, slices[calls]), sums)
        assert finite
        assert ran >= 1
        done, calls = done + ran, calls + 1
        assert rule.iterations == done
    return sums[0], calls, model.get_weights()


def test_slices_change_nothing(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(50, 5)), rng.normal(size=(50, 3))
    whole, calls, weights = trained_in_slices(x, y, [13])
    assert calls == 1
    for slices in ([1] * 13, [5, 1, 7], 0.0):
        sums, calls, others = trained_in_slices(x, y, slices)
        assert calls == (13 if slices == 0.0 else len(slices))
        assert sums == whole
        for one, other in zip(weights, others, strict=True):
            np.testing.assert_array_equal(one, other)


def test_time_ends_a_run_between_two_batches() -> None:
    rows = 400_000_000
    model = dense_model(3, 2)
    x = np.broadcast_to(np.ones(3), (rows, 3))
    executor = core.Executor(plan_of(model, 1))
    ran, finite = executor.run(Feed([x], rows), 0, rows, np.zeros(0), seconds=0.01)
    assert finite
    assert 1 <= ran < rows


def test_no_batches_are_no_work() -> None:
    model = dense_model(3, 2)
    feed = Feed([np.ones((4, 3))], 4)
    assert core.Executor(plan_of(model, 2)).run(feed, 0, 0, np.zeros(0)) == (0, True)


def test_outputs_go_to_their_rows(rng: np.random.Generator) -> None:
    x = rng.normal(size=(50, 5))
    model = dense_model(5, 3)
    w, b = model.get_weights()
    order = rng.permutation(50)
    executor = core.Executor(plan_of(model, 7))
    out = np.full((50, 3), -77.0)
    executor.run(Feed([x], 50, order), 2, 3, np.zeros(0), outputs=[out], outputs_first=11)
    np.testing.assert_array_equal(out[:3], -77.0)
    np.testing.assert_array_equal(out[24:], -77.0)
    np.testing.assert_allclose(out[3:24], (x @ w + b)[order[14:35]], rtol=1e-12, atol=1e-12)
    executor.run(Feed([x], 50, order), 7, 1, np.zeros(0), outputs=[out], outputs_first=0)
    np.testing.assert_allclose(out[49:], (x @ w + b)[order[49:]], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_loss_that_is_not_finite_changes_nothing(
    bad: float, threads: int, rng: np.random.Generator
) -> None:
    before = config.num_threads()
    config.set_num_threads(threads)
    try:
        x, y = rng.normal(size=(600, 65)), rng.normal(size=(600, 3))
        clean = trained_until(x, y, 4)
        x[4 * 128 - 1 + 60, 3] = bad
        ran, finite, sums, weights, state, iterations = trained_until(x, y, 5)
        assert (ran, finite, iterations) == (4, False, 4)
        assert (sums == clean[2]).all()
        for one, other in zip([*weights, *state], [*clean[3], *clean[4]], strict=True):
            np.testing.assert_array_equal(one, other)
    finally:
        config.set_num_threads(before)


def trained_until(x: Array, y: Array, count: int) -> tuple[Any, ...]:
    model = dense_model(65, 130, 3, activation="linear")
    rule = optimizers.Adam(0.01)
    plan = plan_of(model, 128, "mse", rule, metric="mean_absolute_error")
    sums = np.zeros(2)
    ran, finite = core.Executor(plan).run(Feed([x, y], len(x)), 0, count, sums)
    state = [v.numpy() for v in rule.variables]
    return ran, finite, sums, model.get_weights(), state, rule.iterations


def test_training_goes_on_after_a_bad_batch(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(20, 5)), rng.normal(size=(20, 3))
    model = dense_model(5, 3)
    rule = optimizers.SGD(0.1)
    executor = core.Executor(plan_of(model, 4, "mse", rule))
    sums = np.zeros(1)
    spoilt = x.copy()
    spoilt[9] = np.nan
    assert executor.run(Feed([spoilt, y], 20), 0, 5, sums) == (2, False)
    assert executor.run(Feed([x, y], 20), 2, 3, sums) == (3, True)
    assert rule.iterations == 5
    assert np.isfinite(sums).all()


# ------------------------------------------------------------------------------ switching


def test_the_backend_may_change_in_the_middle_of_training(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(40, 5)), rng.normal(size=(40, 3))

    def trained(*names: str) -> tuple[list[Array], list[float]]:
        hotloop.utils.set_random_seed(4)
        model = dense_model(5, 33, 3)
        model.compile(optimizers.Adam(0.01), "mse")
        found = []
        for name in names:
            config.set_backend(name)
            found += model.fit(x, y, batch_size=7, epochs=2, verbose=0).history["loss"]
        assert model.optimizer is not None
        assert model.optimizer.iterations == 36
        return model.get_weights(), found

    weights, history = trained("cython", "cython", "cython")
    for names in (("cython", "numpy", "cython"), ("numpy", "cython", "numpy")):
        others, losses_found = trained(*names)
        np.testing.assert_allclose(losses_found, history, rtol=1e-12)
        for one, other in zip(weights, others, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12)


def test_weights_may_be_set_between_runs(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(40, 5)), rng.normal(size=(40, 3))
    model = dense_model(5, 33, 3)
    start = model.get_weights()
    rule = optimizers.SGD(0.1)
    executor = core.Executor(plan_of(model, 7, "mse", rule))
    feed = Feed([x, y], 40)
    sums = np.zeros((2, 1))
    executor.run(feed, 0, 6, sums[0])
    after = model.get_weights()
    for how in ("assign", "array"):
        for weight, value in zip(model.weights, start, strict=True):
            if how == "assign":
                weight.assign(value)
            else:
                weight.array[...] = value
        sums[1] = 0.0
        executor.run(feed, 0, 6, sums[1])
        assert sums[0] == sums[1]
        for one, other in zip(after, model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


# ------------------------------------------------------------------------------ allocation


@pytest.mark.parametrize("threads", [1, 2])
def test_a_batch_allocates_nothing(threads: int, rng: np.random.Generator) -> None:
    before = config.num_threads()
    config.set_num_threads(threads)
    try:
        model = dense_model(65, 130, 3, dtype="float32")
        plan = plan_of(model, 32, "mse", optimizers.Adam(0.001), metric="mean_absolute_error")
        executor = core.Executor(plan)
        x = rng.normal(size=(32_000, 65))
        feed = Feed([x, x[:, :3]], len(x), rng.permutation(len(x)))
        sums = np.zeros(2)

        def blocks_and_peak(count: int) -> tuple[int, int]:
            tracemalloc.start()
            start = sys.getallocatedblocks()
            executor.run(feed, 0, count, sums)
            blocks = sys.getallocatedblocks() - start
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return blocks, peak

        for count in (10, 1000, 10, 1000):  # integers and lists of spare objects settle
            blocks_and_peak(count)
        assert blocks_and_peak(1000) == blocks_and_peak(10)
    finally:
        config.set_num_threads(before)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_a_batch_calls_no_malloc(threads: str, preloaded: Callable[..., list[str]]) -> None:
    code = """
import ctypes
import numpy as np
import hotloop
from hotloop import layers
from hotloop.data.feed import Feed
from hotloop.models import examples

allocations = ctypes.CDLL(None).preload_allocations
allocations.restype = ctypes.c_long
noise = [layers.Dropout(0.5), layers.AlphaDropout(0.1), layers.GaussianNoise(0.1)]
weighted = [layers.BatchNormalization(), layers.LayerNormalization(), layers.PReLU()]
parts = [layers.Dense(130, "tanh"), *noise, *weighted, layers.Dense(3, "softmax")]
model = hotloop.Sequential([hotloop.Input((65,)), *parts])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
data = examples.read(model, model._compilation, np.ones((32_000, 65)), np.arange(32_000) % 3)
objective = model._compilation.bind(data.form, data.y, False)
run = model._plans.ready(model, model.forms.only, "train", 32, objective).executors[0].run
feed = Feed([*data.x, *objective.feeds(data.y, data.weight)], data.rows, np.arange(data.rows))
sums = np.zeros(2)
def count(batches):
    before = allocations()
    run(feed, 0, batches, sums)
    return allocations() - before
print(count(10) > 0)  # the first run's scratch memory and threads
print([count(batches) for batches in (1, 1000, 1, 1000)])
"""
    counted, counts = preloaded(code, HOTLOOP_NUM_THREADS=threads)
    assert counted == "True"
    one, thousand, *again = json.loads(counts)
    assert one == thousand
    assert again == [one, thousand]


@pytest.mark.parametrize("threads", ["1", "3"])
def test_a_batch_of_words_calls_no_malloc(
    threads: str, preloaded: Callable[..., list[str]]
) -> None:
    code = """
import ctypes
import numpy as np
import hotloop
from hotloop import layers
from hotloop.data.feed import Feed
from hotloop.models import examples

allocations = ctypes.CDLL(None).preload_allocations
allocations.restype = ctypes.c_long
norm = layers.Normalization(mean=0.5, variance=2.0)
parts = [layers.Embedding(5000, 40), norm, layers.Permute((2, 1)), layers.Permute((2, 1))]
parts += [layers.GlobalAveragePooling1D(), layers.Dense(3, "softmax")]
model = hotloop.Sequential([hotloop.Input((9,)), *parts])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
x = np.arange(32_000 * 9).reshape(-1, 9) % 5000
data = examples.read(model, model._compilation, x, np.arange(32_000) % 3)
objective = model._compilation.bind(data.form, data.y, False)
run = model._plans.ready(model, model.forms.only, "train", 32, objective).executors[0].run
feed = Feed([*data.x, *objective.feeds(data.y, data.weight)], data.rows, np.arange(data.rows))
sums = np.zeros(2)
def count(batches):
    before = allocations()
    run(feed, 0, batches, sums)
    return allocations() - before
print(count(10) > 0)  # the first run's scratch memory and threads
print([count(batches) for batches in (1, 300, 1, 300)])
"""
    counted, counts = preloaded(code, HOTLOOP_NUM_THREADS=threads)
    assert counted == "True"
    one, many, *again = json.loads(counts)
    assert one == many
    assert again == [one, many]


# ------------------------------------------------------------------------------- threads


@pytest.mark.parametrize("mode", ["train", "predict"])
def test_more_work_gets_more_threads_and_little_work_one(mode: str) -> None:
    before = config.num_threads()
    config.set_num_threads(8)
    try:
        found = []
        for width in (1, 2, 5, 16, 33, 64, 100, 128, 200, 256, 400, 512, 700, 1024, 1500, 2048):
            model = dense_model(width, width, dtype="float32")
            loss, rule = ("mse", optimizers.SGD(0.1)) if mode == "train" else (None, None)
            found.append(core.Executor(plan_of(model, 32, loss, rule)).threads())
            config.set_num_threads(3)
            assert core.Executor(plan_of(model, 1)).threads() <= min(found[-1], 3)
            config.set_num_threads(8)
        assert found == sorted(found)
        assert found[:5] == [1] * 5
        assert found[-1] == 8
    finally:
        config.set_num_threads(before)


def test_large_tables_of_embeddings_are_updated_by_several_threads() -> None:
    before = config.num_threads()
    config.set_num_threads(8)
    try:
        found = []
        for rows in (10, 100, 10_000, 100_000):
            table = layers.Embedding(rows, 16, "zeros", input_shape=(5,))
            parts = [table, layers.GlobalAveragePooling1D(), layers.Dense(1)]
            model = hotloop.Sequential(parts)
            found.append(core.Executor(plan_of(model, 32, "mse", optimizers.SGD(0.1))).threads())
        assert found == sorted(found)
        assert found[0] == 1
        assert found[-1] == 8
    finally:
        config.set_num_threads(before)


def test_a_run_that_is_interrupted_before_it_begins_can_be_run_again(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that NumPy had in hand are packed again, and all steps are made anew."""
    x, y = rng.normal(size=(20, 5)), rng.normal(size=(20, 1))
    weights = []
    for interrupted in (False, True):
        hotloop.utils.set_random_seed(3)
        model = hotloop.Sequential([layers.Dense(64, "tanh"), layers.Dense(1)])
        model.compile(optimizers.SGD(0.1, momentum=0.5), "mse")
        model.fit(x, y, shuffle=False, verbose=0)
        model.layers[0].weights[0].array[...] *= 0.5
        if interrupted:

            def interrupt(*_: Any) -> Any:
                raise KeyboardInterrupt

            with monkeypatch.context() as during:
                during.setattr(optimizers.SGD, "rule", interrupt)
                with pytest.raises(KeyboardInterrupt):
                    model.fit(x, y, shuffle=False, verbose=0)
        model.fit(x, y, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
