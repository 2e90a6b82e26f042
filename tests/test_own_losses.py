"""Losses and regularizers of one's own, and whatever Keras's losses take."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import losses

RNG = np.random.default_rng(5)
A = RNG.normal(size=(11, 4)).astype("float32")
Y = RNG.uniform(0.1, 1, size=(11, 3)).astype("float32")
W = RNG.uniform(0.5, 2, size=11).astype("float32")
REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight"]

on_each = pytest.mark.parametrize("backend", ["numpy", "cython"], indirect=True)


def libraries() -> list[Any]:
    return [hotloop, pytest.importorskip("keras")]


def trained(lib: Any, loss: Any, weight: Any, regularizer: Any = None) -> list[Any]:
    layer = lib.layers.Dense(3, "sigmoid", kernel_regularizer=regularizer)
    model = lib.Sequential([lib.Input((4,)), layer])
    model.set_weights([np.full((4, 3), 0.1, "float32"), np.zeros(3, "float32")])
    model.compile(lib.optimizers.SGD(0.1), loss)
    options: Any = {"batch_size": 4, "verbose": 0, "sample_weight": weight}
    history = model.fit(A, Y, epochs=2, shuffle=False, **options).history["loss"]
    return [history, model.evaluate(A, Y, **options), *model.get_weights()]


def same(make: Any, weight: Any = None) -> None:
    """That a loss, and a regularizer, train as in Keras: `make` gives them of a library."""
    for got, expected in zip(
        *(trained(lib, *make(lib), weight=weight) for lib in libraries()), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=2e-4, atol=1e-5)


def own(lib: Any, **options: Any) -> Any:
    class Focal(lib.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            miss = lib.ops.abs(y_true - y_pred)
            return lib.ops.mean(lib.ops.square(miss) * lib.ops.log(1 + lib.ops.exp(miss)), axis=-1)

    return Focal(**options)


@pytest.mark.parametrize("weight", [None, W], ids=["plain", "weighted"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@on_each
def test_a_class_with_a_call(reduction: str, weight: Any, backend: str) -> None:
    same(lambda lib: [own(lib, reduction=reduction)], weight)


@pytest.mark.parametrize("weight", [None, W], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    "make",
    [
        lambda lib: lambda y, p: lib.ops.mean(lib.ops.square(y - p)),
        lambda lib: lambda y, p: lib.ops.square(y - p) * 2,
        lambda lib: lambda y, p: lib.ops.sum(lib.ops.abs(y - p), axis=-1),
    ],
    ids=["one mean", "a value for each number", "a value for each row"],
)
@on_each
def test_functions_written_with_ops(make: Any, weight: Any, backend: str) -> None:
    if weight is not None and np.ndim(make(hotloop)(Y, Y)) == 2:
        weight = None  # Keras has no weights of rows for a value of each number
    same(lambda lib: [make(lib)], weight)


def test_what_is_written_with_ops_is_compiled() -> None:
    model = hotloop.Sequential([hotloop.Input((4,)), hotloop.layers.Dense(3)])
    model.compile("sgd", own(hotloop))
    model.fit(A, Y, verbose=0)
    if hotloop.backends.available("cython"):
        assert not any(step.op.in_python for step in model.training_plan(11).steps)


@on_each
def test_a_call_that_wants_numbers_runs_in_python_and_says_so(backend: str) -> None:
    class WithNumPy(losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return np.square(np.asarray(y_true) - np.asarray(y_pred)).mean(axis=-1)

    with pytest.warns(UserWarning, match="runs in Python at every batch"):
        found = trained(hotloop, WithNumPy(), None)
    for got, expected in zip(found, trained(hotloop, "mse", None), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("reduction", [*REDUCTIONS, None, "none"])
@pytest.mark.parametrize("weight", [None, W], ids=["plain", "weighted"])
def test_losses_of_arrays_are_reduced_as_in_keras(reduction: Any, weight: Any) -> None:
    for make in (own, lambda lib, **options: lib.losses.MeanAbsoluteError(**options)):
        ours, theirs = (
            make(lib, reduction=reduction)(Y, A[:, :3], sample_weight=weight) for lib in libraries()
        )
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-5)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@on_each
def test_built_in_losses_have_every_reduction(reduction: str, backend: str) -> None:
    same(lambda lib: [lib.losses.MeanSquaredError(reduction=reduction)], W)


def test_training_needs_one_number() -> None:
    for loss in (own(hotloop, reduction=None), losses.MeanSquaredError(reduction="none")):
        with pytest.raises(ValueError, match="training needs one number"):
            trained(hotloop, loss, None)
    with pytest.raises(ValueError, match="reduction must be one of"):
        losses.MeanSquaredError(reduction="max")


BROADCAST = ["mse", "mae", "mape", "msle", "huber", "log_cosh", "poisson", "hinge", "squared_hinge"]


@pytest.mark.parametrize("name", BROADCAST)
def test_functions_give_a_value_for_each_row_and_broadcast(name: str) -> None:
    ours, theirs = (lib.losses.get(name) for lib in libraries())
    for y, p in ((Y, np.abs(A[:, :3])), (Y[:, :1], np.abs(A[:, :3])), (Y, np.abs(A[:, :1]))):
        found = ours(y, p)
        assert found.shape == (11,)
        np.testing.assert_allclose(found, theirs(y, p).detach().numpy(), rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("units", [1, 3])
@on_each
def test_a_target_that_is_broadcast_trains(units: int, backend: str) -> None:
    def found(lib: Any) -> list[Any]:
        model = lib.Sequential([lib.Input((4,)), lib.layers.Dense(units, "tanh")])
        model.set_weights([np.full((4, units), 0.1, "float32"), np.zeros(units, "float32")])
        model.compile(lib.optimizers.SGD(0.1), "mse")
        y = Y if units == 1 else Y[:, :1]
        history = model.fit(A, y, batch_size=4, shuffle=False, verbose=0).history["loss"]
        return [history, *model.get_weights()]

    for got, expected in zip(*map(found, libraries()), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_a_call_computes_in_the_dtype_that_it_is_given() -> None:
    loss = losses.MeanSquaredError(reduction=None, dtype="float64")
    assert loss(Y, A[:, :3]).dtype == np.float64
    assert (
        losses.LossFunctionWrapper(lambda y, p: abs(y - p), dtype="float64", reduction=None)(
            Y, A[:, :3]
        ).dtype
        == np.float64
    )


@on_each
def test_regularizers_of_ones_own(backend: str) -> None:
    def make(lib: Any) -> list[Any]:
        class Apart(lib.regularizers.Regularizer):
            def __call__(self, x: Any) -> Any:
                return 0.1 * lib.ops.sum(lib.ops.abs(x)) + 0.2 * lib.ops.sum(lib.ops.square(x - 1))

        return ["mse", Apart()]

    for got, expected in zip(
        *(
            trained(lib, loss, None, regularizer)
            for lib in libraries()
            for loss, regularizer in [make(lib)]
        ),
        strict=True,
    ):
        np.testing.assert_allclose(got, expected, rtol=2e-4, atol=1e-5)


def test_a_regularizer_of_numbers_says_what_it_needs() -> None:
    class Number(hotloop.regularizers.Regularizer):
        def __call__(self, x: Any) -> Any:
            return 1.0

    with pytest.raises(TypeError, match=r"the regularizer of '.*kernel' must return"):
        trained(hotloop, "mse", None, Number())


def test_every_loss_of_keras_takes_what_keras_s_takes() -> None:
    keras = pytest.importorskip("keras")
    for name in losses.__dict__:
        theirs = getattr(keras.losses, name, None)
        if not (inspect.isclass(theirs) and issubclass(theirs, keras.losses.Loss)):
            continue
        expected = set(inspect.signature(theirs).parameters) - {"kwargs"}
        found = set(inspect.signature(getattr(losses, name)).parameters) - {"kwargs"}
        assert expected <= found, name
