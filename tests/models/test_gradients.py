"""loss_and_gradients, and steps that callers make from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import layers, losses


def network(dtype: str = "float64", seed: int = 3) -> hotloop.Sequential:
    hotloop.utils.set_random_seed(seed)
    return hotloop.Sequential(
        [
            layers.Input((7,), dtype=dtype),
            layers.Dense(33, "tanh", kernel_regularizer="l2", dtype=dtype),
            layers.Dense(5, "tanh", kernel_constraint="unit_norm", dtype=dtype),
            layers.Dropout(0.3, seed=2, dtype=dtype),
            layers.Dense(3, "softmax", dtype=dtype),
        ]
    )


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


@pytest.fixture
def batch(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.normal(size=(20, 7)), rng.integers(0, 3, 20)


def test_two_halves_are_a_step_of_training(backend: str, batch: tuple[Any, Any]) -> None:
    one, other = network(), network()
    for model in (one, other):
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    for _ in range(3):
        loss, gradients = one.loss_and_gradients(*batch)
        assert one.optimizer is not None
        one.optimizer.apply(gradients, one.trainable_weights)
        assert loss == pytest.approx(other.train_on_batch(*batch)[0], rel=1e-12)
    for ours, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_gradients_are_slopes_of_the_loss(backend: str, batch: tuple[Any, Any]) -> None:
    model = network()
    model.compile("sgd", "sparse_categorical_crossentropy")
    weight = np.linspace(0.5, 2, 20)
    loss, gradients = model.loss_and_gradients(*batch, sample_weight=weight)
    before = model.get_weights()
    for k, gradient in enumerate(gradients):
        assert gradient.shape == before[k].shape
        for index in [(0,) * gradient.ndim, tuple(n - 1 for n in gradient.shape)]:
            found = []
            for step in (1e-5, -1e-5):
                moved = [w.copy() for w in before]
                moved[k][index] += step
                model.set_weights(moved)
                found.append(model.loss_and_gradients(*batch, sample_weight=weight)[0])
            model.set_weights(before)
            assert gradient[index] == pytest.approx((found[0] - found[1]) / 2e-5, abs=1e-8)
    assert model.loss_and_gradients(*batch, sample_weight=weight)[0] == loss


def test_nothing_is_trained(backend: str, batch: tuple[Any, Any]) -> None:
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy")
    before = model.get_weights()
    model.loss_and_gradients(*batch)
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert model.optimizer is not None
    assert model.optimizer.iterations == 0
    assert model.optimizer.variables == []


def test_frozen_layers_have_no_gradient(batch: tuple[Any, Any]) -> None:
    model = network()
    model.layers[0].trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    _, gradients = model.loss_and_gradients(*batch)
    assert [g.shape for g in gradients] == [(33, 5), (5,), (5, 3), (3,)]
    model.layers[0].trainable = True
    assert len(model.loss_and_gradients(*batch)[1]) == 6


def test_small_networks_and_other_sizes(backend: str, rng: np.random.Generator) -> None:
    model = hotloop.Sequential([layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.compile("sgd", losses.MeanSquaredError())
    for rows in (1, 2, 31, 33, 257):
        x, y = rng.normal(size=(rows, 5)), rng.normal(size=(rows, 1))
        loss, (gradient,) = model.loss_and_gradients(x, y)
        error = x.sum(axis=1, keepdims=True) - y
        assert loss == pytest.approx((error**2).mean(), rel=1e-5)
        np.testing.assert_allclose(gradient, 2 * x.T @ error / rows, rtol=1e-4, atol=1e-5)


def test_a_loss_that_is_not_finite(batch: tuple[Any, Any]) -> None:
    model = network()
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = batch
    x[3, 2] = np.nan
    with pytest.raises(hotloop.NonFiniteError, match="not finite"):
        model.loss_and_gradients(x, y)


def test_a_model_that_is_not_compiled() -> None:
    with pytest.raises(ValueError, match="must be compiled before loss_and_gradients"):
        network().loss_and_gradients(np.ones((1, 7)), [0])
