"""Optimizers, constraints, schedules and metrics of one's own, as Keras documents them."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop.optimizers import SGD

RNG = np.random.default_rng(0)
A, Y = RNG.normal(size=(12, 4)).astype("float32"), RNG.normal(size=(12, 3)).astype("float32")

on_each = pytest.mark.parametrize("backend", ["numpy", "cython"], indirect=True)


def libraries() -> list[Any]:
    return [hotloop, pytest.importorskip("keras")]


def trained(lib: Any, optimizer: Any, metrics: Any = None, **options: Any) -> list[Any]:
    layers = [lib.layers.Dense(5, "tanh", **options), lib.layers.Dense(3)]
    model = lib.Sequential([lib.Input((4,)), *layers])
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape).astype("float32") for w in model.get_weights()])
    model.compile(optimizer, "mse", metrics=metrics)
    data: Any = {"batch_size": 4, "verbose": 0}
    history = model.fit(A, Y, epochs=3, shuffle=False, validation_data=(A, Y), **data).history
    return [*(history[name] for name in sorted(history)), *model.get_weights()]


def same(make: Any) -> None:
    """That training is Keras's: `make` gives the arguments of `trained` for a library."""
    for got, expected in zip(*(trained(lib, **make(lib)) for lib in libraries()), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def own(lib: Any) -> Any:
    ops = lib.ops

    class Own(lib.optimizers.Optimizer):
        def __init__(self, learning_rate: Any = 0.1, beta: float = 0.9, **options: Any) -> None:
            super().__init__(learning_rate=learning_rate, **options)
            self.beta = beta

        def build(self, variables: Any) -> None:
            if self.built:
                return
            super().build(variables)
            self.m = [self.add_variable_from_reference(v, name="m") for v in variables]

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            rate = ops.cast(learning_rate, variable.dtype)
            turn = ops.cast(ops.add(self.iterations, 1), variable.dtype)
            m = self.m[self._get_variable_index(variable)]
            kept = ops.add(ops.multiply(m, self.beta), ops.multiply(gradient, 1 - self.beta))
            self.assign(m, kept)
            self.assign_sub(variable, ops.multiply(rate, ops.divide(m, ops.sqrt(turn))))

    return Own


@pytest.mark.parametrize(
    "options",
    [{}, {"clipnorm": 0.5}, {"weight_decay": 0.1, "global_clipnorm": 1.0}, {"use_ema": True}],
    ids=["plain", "clipnorm", "decay", "average"],
)
@on_each
def test_an_update_step(options: Any, backend: str) -> None:
    same(lambda lib: {"optimizer": own(lib)(**options)})


@on_each
def test_an_update_step_by_a_schedule(backend: str) -> None:
    def make(lib: Any) -> Any:
        return {"optimizer": own(lib)(lib.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5))}

    same(make)


@on_each
def test_gradients_of_ones_own_for_an_optimizer_of_ones_own(backend: str) -> None:
    found = []
    for lib in libraries():
        w = lib.Variable(np.ones((2, 3), "float32"), name="w")
        optimizer = own(lib)(0.5)
        gradient = np.arange(6, dtype="float32").reshape(2, 3)
        for _ in range(2):
            optimizer.apply([gradient if lib is hotloop else lib.ops.array(gradient)], [w])
        found.append(np.asarray(w.numpy()))
    np.testing.assert_allclose(*found, rtol=1e-6)


def test_what_an_update_step_cannot_do() -> None:
    class WithNumPy(hotloop.optimizers.Optimizer):
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            variable.assign(np.asarray(gradient))

    with pytest.raises(TypeError, match="needs numbers"):
        trained(hotloop, WithNumPy(0.1))
    with pytest.raises(ValueError, match="gradient_accumulation_steps is not supported"):
        trained(hotloop, own(hotloop)(gradient_accumulation_steps=2))
    with pytest.raises(NotImplementedError, match=r"Nothing has no update_step\(\)"):
        trained(hotloop, type("Nothing", (hotloop.optimizers.Optimizer,), {})(0.1))


@on_each
def test_a_schedule_that_knows_one_step(backend: str) -> None:
    def make(lib: Any) -> Any:
        class Steps(lib.optimizers.schedules.LearningRateSchedule):
            def __call__(self, step: Any) -> Any:
                return 0.1 / (1 + int(step) // 2)

            def get_config(self) -> dict[str, Any]:
                return {}

        return {"optimizer": lib.optimizers.SGD(Steps())}

    same(make)


@on_each
def test_constraints_of_ones_own(backend: str) -> None:
    def make(lib: Any) -> Any:
        class Box(lib.constraints.Constraint):
            def __call__(self, w: Any) -> Any:
                return lib.ops.clip(w, -0.5, 0.5)

        return {"optimizer": lib.optimizers.SGD(0.1), "kernel_constraint": Box()}

    same(make)


def test_a_constraint_of_numbers_says_what_it_needs() -> None:
    with pytest.raises(TypeError, match=r"the constraint of '.*kernel' must return"):
        trained(hotloop, "sgd", kernel_constraint=lambda w: 1.0)


@on_each
def test_metrics_of_ones_own(backend: str) -> None:
    def make(lib: Any) -> Any:
        ops = lib.ops

        class Share(lib.metrics.Metric):
            def __init__(self, name: str = "share", **options: Any) -> None:
                super().__init__(name=name, **options)
                self.above = self.add_variable(shape=(), initializer="zeros", name="above")
                self.all = self.add_weight(shape=(), initializer="zeros", name="all")

            def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
                above = ops.cast(ops.greater(y_pred, y_true), "float32")
                self.above.assign_add(ops.sum(above))
                self.all.assign_add(ops.sum(ops.ones_like(above)))

            def result(self) -> Any:
                return ops.divide(self.above, self.all)

        return {"optimizer": lib.optimizers.SGD(0.1), "metrics": [Share()]}

    same(make)


def test_the_learning_rate_is_a_number_that_may_be_assigned() -> None:
    optimizer = SGD(0.5)
    optimizer.learning_rate.assign(0.25)
    assert optimizer.learning_rate == 0.25
    assert float(optimizer.learning_rate) == optimizer.learning_rate.numpy() == 0.25
    assert optimizer.learning_rate.value == 0.25
    assert type(pickle.loads(pickle.dumps(optimizer.learning_rate))) is float
    assert SGD(lambda: 0.125).learning_rate == 0.125
    with pytest.raises(ValueError, match="at least 0"):
        optimizer.learning_rate.assign(-1.0)


def test_a_rule_may_leave_weights_alone(backend):
    """Gradients that it does not read have no room, and are not computed."""

    class OfMatrices(hotloop.optimizers.Optimizer):
        def update_step(self, gradient, variable, learning_rate):
            if len(variable.shape) == 2:
                variable.assign(variable - learning_rate * gradient)

    model = hotloop.Sequential(
        [hotloop.layers.Dense(1, kernel_initializer="zeros", input_dim=3, activation="linear")]
    )
    model.compile(OfMatrices(0.1), "mse")
    model.fit(np.ones((8, 3)), np.ones(8), 8, verbose=0)  # the gradient is -2
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(kernel, np.full((3, 1), 0.2), 1e-6)
    assert bias == [0]
