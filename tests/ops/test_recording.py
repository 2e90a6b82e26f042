"""Functions of `hotloop.ops` and `hotloop.random` in models, layers and tapes; operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import Input, Model, backends, layers, ops, random

X = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")

OPERATORS = {
    "x / y": lambda x: x / (x * x + 1),
    "n / x": lambda x: 2 / (x + 5),
    "x ** n": lambda x: x**2,
    "n ** x": lambda x: 2.0**x,
    "x // n": lambda x: x // 0.5,
    "x % n": lambda x: x % 0.5,
    "-x": lambda x: -x,
    "abs": abs,
    "x[:, -1]": lambda x: x[:, -1],
    "x[..., None]": lambda x: x[..., None],
    "x[:, 1:]": lambda x: x[:, 1:],
    "x - array": lambda x: x - np.arange(3, dtype="float32"),
    "array - x": lambda x: np.arange(3, dtype="float32") - x,
    "x @ array": lambda x: x @ np.ones((3, 2), "float32"),
    "where": lambda x: ops.where((x > 0) & ~(x >= 1) | (x < -1), x, 0.5 * x),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_make_models_that_their_configurations_make_again(
    name: str, backend: str
) -> None:
    x = Input((3,))
    model = Model(x, OPERATORS[name](x))
    expected = OPERATORS[name](X)
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, 1e-5, 1e-5)
    again = Model.from_config(model.get_config())
    np.testing.assert_allclose(again.predict(X, verbose=0), expected, 1e-5, 1e-5)


class Mixed(layers.Layer):
    """Weights of several shapes, and the batch as a length."""

    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight((input_shape[-1], 4), name="w")
        self.b = self.add_weight((4,), name="b")
        self.g = self.add_weight((), "ones", name="g")

    def call(self, x: Any) -> Any:
        h = ops.tanh(ops.matmul(x, self.w) + self.b) * self.g
        h = ops.concatenate([h, ops.zeros((ops.shape(x)[0], 2))], -1)
        h = h - ops.mean(h, axis=-1, keepdims=True)
        return h * ops.sum(ops.square(self.w))


def test_layers_written_with_ops_train_alike_on_all_backends() -> None:
    found = []
    before = backends.current()
    for name in ("numpy", "cython"):
        if not backends.available(name):
            continue
        backends.select(name)
        hotloop.utils.set_random_seed(0)
        model = hotloop.Sequential([Input((3,)), Mixed(), layers.Dense(1)])
        model.compile("adam", "mse")
        first = [w.copy() for w in model.get_weights()]
        model.fit(X, X[:, :1], batch_size=4, epochs=3, verbose=0)
        found.append(model.get_weights())
        assert all((a != b).any() for a, b in zip(first, found[-1], strict=True))
    backends.select(before)
    for weights in found[1:]:
        for a, b in zip(found[0], weights, strict=True):
            np.testing.assert_allclose(a, b, 1e-5, 1e-6)


def test_a_tape_hears_ops() -> None:
    w = hotloop.Variable([[1.0], [2.0], [3.0]])
    with hotloop.GradientTape() as tape:
        loss = ops.mean(ops.square(ops.matmul(X, w)))
    (gradient,) = tape.gradient(loss, [w])
    expected = 2 * X.T @ (X @ w.numpy()) / len(X)
    np.testing.assert_allclose(gradient, expected, 1e-5, 1e-5)


def test_gradients_stop_or_are_ones_own(backend: str) -> None:
    @ops.custom_gradient
    def twice(x: Any) -> Any:
        return ops.multiply(x, 2.0), lambda dy: ops.multiply(dy, 5.0)

    class Layer(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.a = self.add_weight((3,), "ones", name="a")
            self.b = self.add_weight((3,), "ones", name="b")

        def call(self, x: Any) -> Any:
            return twice(x * self.a) + ops.stop_gradient(x * self.b)

    model = hotloop.Sequential([Input((3,)), Layer()])
    model.compile(hotloop.optimizers.SGD(1.0), "mse")
    model.train_on_batch(X, np.zeros_like(X))
    of_a, b = model.get_weights()
    np.testing.assert_allclose(1 - of_a, (5 * 3 * X * 2 * X / X.size).sum(0), 1e-4, 1e-5)
    np.testing.assert_array_equal(b, 1.0)


class Sampling(layers.Layer):
    """As Keras's guide to variational autoencoders has it."""

    def __init__(self) -> None:
        super().__init__()
        self.seed_generator = random.SeedGenerator(1337)

    def call(self, x: Any) -> Any:
        shape = (ops.shape(x)[0], ops.shape(x)[1])
        return x + random.normal(shape=shape, seed=self.seed_generator)


def test_models_draw_anew_for_each_batch(backend: str) -> None:
    model = hotloop.Sequential([Input((3,)), Sampling()])
    zeros = np.zeros((2000, 3), "float32")
    first, second = (model.predict(zeros, batch_size=500, verbose=0) for _ in range(2))
    assert (first != second).all()
    assert (first[:500] != first[500:1000]).all()
    assert abs(first.mean()) < 0.05
    assert abs(first.std() - 1) < 0.05
    other = hotloop.Sequential([Input((3,)), Sampling()])
    np.testing.assert_array_equal(other.predict(zeros, batch_size=500, verbose=0), first)


def test_random_numbers_of_arrays() -> None:
    n = (4000,)
    assert abs(random.uniform(n, 1.0, 3.0, seed=1).mean() - 2) < 0.05
    assert set(random.randint(n, 2, 5, seed=1).tolist()) == {2, 3, 4}
    assert np.abs(random.truncated_normal(n, seed=1)).max() <= 2
    assert abs(random.gamma(n, 2.0, seed=1).mean() - 2) < 0.1
    assert abs(random.beta(n, 1.0, 3.0, seed=1).mean() - 0.25) < 0.02
    assert abs(random.binomial(n, 10, 0.3, seed=1).mean() - 3) < 0.1
    assert sorted(random.shuffle(np.arange(5), seed=1).tolist()) == [0, 1, 2, 3, 4]
    drawn = random.categorical(np.log([[0.2, 0.8]]), 4000, seed=1)
    assert abs(drawn.mean() - 0.8) < 0.05
    kept = random.dropout(np.ones(n), 0.25, seed=1)
    assert sorted(set(kept.tolist())) == pytest.approx([0.0, 4 / 3])
    np.testing.assert_array_equal(random.normal((3,), seed=5), random.normal((3,), seed=5))
    with pytest.raises(ValueError, match="normal: seed must be a whole number of at least 0"):
        random.normal((3,), seed="a")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: ops.max(x, axis=0), "max: axis=0 of shape .None, 3. is over the batch"),
        (lambda x: ops.reshape(x, (3, -1)), "reshape: the shape .None, 3. cannot become"),
        (lambda x: ops.transpose(x), "transpose: .* move the batch"),
        (lambda x: x[0], "is about the batch"),
        (lambda x: x + ops.sum(x, axis=1), "add: the shapes .None, 3. and .None,. cannot be"),
        (lambda x: ops.matmul(x, x), "are the examples of a batch"),
        (lambda x: ops.expand_dims(x, 0), "expand_dims: axis 0 .* is that of the batch"),
        (lambda x: ops.concatenate([x, x], 0), "concatenate: axis 0 .* is that of the batch"),
        (lambda x: ops.sum(x, axis=5), "sum: axis 5 is not one of the 2 axes of shape"),
        (lambda x: ops.cast(x, "float16"), "a symbolic value cannot be float16"),
    ],
)
def test_what_a_batch_does_not_do_is_said(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call(Input((3,)))


def test_functions_of_arrays_alone_say_so() -> None:
    with pytest.raises(NotImplementedError, match=r"unique is for arrays: .* shape .None, 3."):
        ops.unique(Input((3,)))


def test_dtypes_are_promoted_as_in_keras() -> None:
    assert ops.add(np.ones(2, "int64"), 1).dtype == "int32"
    assert ops.add(np.ones(2, "int8"), np.ones(2, "uint8")).dtype == "int16"
    assert ops.exp(np.ones(2)).dtype == "float32"
    assert (Input((3,), dtype="float64") + 1.0).dtype == "float64"
    with hotloop.config.computing_in("float64"):
        assert ops.exp(np.ones(2)).dtype == "float64"
