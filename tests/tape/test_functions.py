"""Functions that give gradients of functions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import hotloop
from hotloop import layers, losses

X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
Y = np.ones((5, 1), np.float32)


def first(x):
    return (x * x * x)[0]


def test_gradients_of_gradients_of_gradients(backend):
    x = np.array([2.0, 5.0], np.float32)
    np.testing.assert_allclose(hotloop.grad(first)(x), [12.0, 0.0])
    second = hotloop.grad(lambda x: hotloop.grad(first)(x)[0])
    np.testing.assert_allclose(second(x), [12.0, 0.0])
    third = hotloop.grad(lambda x: second(x)[0])
    np.testing.assert_allclose(third(x), [6.0, 0.0])


def test_several_arguments_and_auxiliary_results():
    def product(a, b):
        return (a * b)[0], a + b

    a, b = np.array([2.0], np.float32), np.array([3.0], np.float32)
    both = hotloop.value_and_grad(product, argnums=(0, 1), has_aux=True)
    (value, aux), gradients = both(a, b)
    assert (float(value), aux.tolist()) == (6.0, [5.0])
    assert [g.tolist() for g in gradients] == [[3.0], [2.0]]
    gradient, aux = hotloop.grad(product, argnums=1, has_aux=True)(a, b)
    assert (gradient.tolist(), aux.tolist()) == ([2.0], [5.0])


def test_of_weights_it_is_what_loss_and_gradients_gives(backend):
    model = hotloop.Sequential([layers.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)])
    model.compile("sgd", "mse")
    expected = model.loss_and_gradients(X, Y)
    both = hotloop.value_and_grad(lambda weights, x, y: losses.MeanSquaredError()(y, model(x)))
    for _ in range(2):
        value, gradients = both(model.trainable_weights, X, Y)
        assert float(value) == pytest.approx(expected[0], rel=1e-6)
        for a, b in zip(gradients, expected[1], strict=True):
            np.testing.assert_allclose(a, b, 1e-5, 1e-7)


def test_what_is_no_number_is_refused():
    with pytest.raises(ValueError, match=r"must return one number, .* it returned <Tensor shape"):
        hotloop.grad(lambda x: x * 2.0)(X)
    with pytest.raises(ValueError, match="must return one number"):
        hotloop.grad(lambda x: 3.0)(X)


def test_lists_of_numbers_are_arrays_for_a_layer():
    layer = layers.Dense(1, kernel_initializer="ones")
    layer(X)
    value, _ = hotloop.value_and_grad(lambda w: hotloop.ops.sum(layer([[1.0, 2.0, 3.0]])))(
        layer.trainable_weights
    )
    assert float(value) == 6.0


def test_threads_share_what_a_function_recorded():
    """They take turns with its programs."""
    model = hotloop.Sequential([layers.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)])
    both = hotloop.value_and_grad(lambda w, x: hotloop.ops.sum(model(x)))
    expected = [float(both(model.trainable_weights, X + i)[0]) for i in range(4)]

    def work(i):
        return [float(both(model.trainable_weights, X + i)[0]) for _ in range(30)]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(4)))
    for values, value in zip(found, expected, strict=True):
        np.testing.assert_array_equal(values, value)
