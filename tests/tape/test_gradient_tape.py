"""Tapes: what they give beside PyTorch's own gradients, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import hotloop
from hotloop import backends, layers, losses
from hotloop.graph import ops
from hotloop.graph.trace import apply
from hotloop.tape import GradientTape, Tensor, recorder
from hotloop.tape.calls import call_function
from hotloop.tape.gradient_tape import _of_thread
from hotloop.tape.recorder import Entry
from hotloop.variables import Variable

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4)).astype(np.float32)
Y = RNG.normal(size=(6, 2)).astype(np.float32)


def branches(entry: Entry) -> int:
    return 1 + sum(map(branches, entry.children.values()))


def total(x: Any) -> Any:
    """The sum of all of a tensor's numbers."""
    return ops.reshape(apply(ops.BIAS_GRADIENT, ops.reshape(x, (x.size, 1))), ())


def test_tensors_have_shapes_at_once_and_numbers_when_asked(backend: str) -> None:
    with GradientTape() as tape:
        x = tape.watch(X)
        y = (2.0 * x - 1.0) * x / 4.0
        assert isinstance(y, Tensor)
        assert (y.shape, y.dtype, y.ndim, len(y), y.size) == ((6, 4), "float32", 2, 6, 24)
        assert "numbers" not in repr(y)
    expected = (2 * X - 1) * X / 4
    np.testing.assert_allclose(np.asarray(y), expected, 1e-6)
    np.testing.assert_allclose(np.mean(y), expected.mean(), 1e-5)
    assert "numbers" in repr(y)
    np.testing.assert_allclose(tape.gradient(y, x), (4 * X - 1) / 4, 1e-6)
    assert float(total(y)) == pytest.approx(expected.sum(), rel=1e-4)


def test_what_is_done_again_is_found_and_not_recorded(backend: str) -> None:
    model = hotloop.Sequential([layers.Input((4,)), layers.Dense(3, "tanh"), layers.Dense(2)])
    loss, optimizer = losses.MeanSquaredError(), hotloop.optimizers.Adam(0.01)
    seen = []
    for step in range(5):
        with GradientTape() as tape:
            value = loss(Y + step, model(X * step, training=True))
        gradients = tape.gradient(value, model.trainable_weights)
        optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
        seen.append(branches(_of_thread.recorder.place.root))
    assert len(set(seen[1:])) == 1


def test_a_loop_of_ones_own_trains_as_fit_does(backend: str) -> None:
    models = []
    for _ in range(2):
        hotloop.utils.set_random_seed(3)
        parts = [layers.Dense(8, "relu"), layers.Dropout(0.3), layers.BatchNormalization()]
        models.append(hotloop.Sequential([layers.Input((4,)), *parts, layers.Dense(3, "softmax")]))
        models[-1].compile(
            hotloop.optimizers.Adam(0.01, clipnorm=0.5), "sparse_categorical_crossentropy"
        )
    labels = RNG.integers(0, 3, 6)
    loss = losses.SparseCategoricalCrossentropy()
    fitted, own = models
    for _ in range(4):
        expected = fitted.train_on_batch(X, labels)
        with GradientTape() as tape:
            value = loss(labels, own(X, training=True))
        own.optimizer.apply(tape.gradient(value, own.trainable_weights), own.trainable_weights)
        assert float(value) == pytest.approx(expected, rel=1e-5)
    for a, b in zip(fitted.get_weights(), own.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-6)
    np.testing.assert_allclose(fitted.predict(X, verbose=0), own(X), 1e-4, 1e-6)


def test_second_derivatives_beside_torch(backend: str) -> None:
    x, t = X.astype(np.float64), torch.tensor(X, dtype=torch.float64, requires_grad=True)
    with GradientTape() as outer:
        x = outer.watch(x)
        with GradientTape() as inner:
            inner.watch(x)
            y = total(ops.softmax(x) * x * x)
        slope = inner.gradient(y, x)
        value = total(slope * slope)
    found = outer.gradient(value, x)
    of_torch = (torch.softmax(t, -1) * t * t).sum()
    (first,) = torch.autograd.grad(of_torch, t, create_graph=True)
    (second,) = torch.autograd.grad((first * first).sum(), t)
    np.testing.assert_allclose(slope, first.detach(), 1e-9)
    np.testing.assert_allclose(found, second, 1e-8, 1e-12)


def test_numbers_of_examples_may_differ_within_a_computation(backend: str) -> None:
    """A network on three rows, on the other three, and on all six."""
    hotloop.utils.set_random_seed(1)
    model = hotloop.Sequential([layers.Input((4,)), layers.Dense(2)])
    w, b = (np.asarray(v) for v in model.get_weights())
    t, tb = torch.tensor(w, requires_grad=True), torch.tensor(b, requires_grad=True)
    with GradientTape() as tape:
        one, two = model(X[:2]), model(X[2:])
        both = ops.concatenate(one, two, 0)
        again = model(ops.concatenate(both, both, 1))
        value = total(again * again)
    found = tape.gradient(value, model.trainable_weights)
    h = torch.tensor(X) @ t + tb
    of_torch = ((torch.cat([h, h], 1) @ t + tb) ** 2).sum()
    expected = torch.autograd.grad(of_torch, [t, tb])
    assert float(value) == pytest.approx(of_torch.item(), rel=1e-4)
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, e, 1e-4, 1e-5)


def test_persistent_tapes_give_several_gradients_and_others_one() -> None:
    with GradientTape(persistent=True) as tape:
        x = tape.watch(X)
        y, z = x * x, x * 3.0
    np.testing.assert_allclose(tape.gradient(y, x), 2 * X)
    np.testing.assert_allclose(tape.gradient(z, x), np.full_like(X, 3))
    with GradientTape() as tape:
        x = tape.watch(X)
        y = x * x
    tape.gradient(y, x)
    with pytest.raises(RuntimeError, match="gives gradients once; pass persistent=True"):
        tape.gradient(y, x)


def test_what_is_not_connected_has_no_gradient_or_zero() -> None:
    with GradientTape(persistent=True) as tape:
        x, other = tape.watch((X, Y))
        y = x * 2.0
    assert tape.gradient(y, other) is None
    assert tape.gradient(y, {"a": x, "b": [other]})["b"] == [None]
    zero = tape.gradient(y, [other], unconnected_gradients="zero")[0]
    np.testing.assert_array_equal(zero, np.zeros_like(Y))
    with pytest.raises(ValueError, match="'none' or 'zero', not 'nothing'"):
        tape.gradient(y, x, unconnected_gradients="nothing")


def test_only_what_is_watched_and_listened_to_counts() -> None:
    w, frozen = Variable(X[0]), Variable(X[0], trainable=False)
    with GradientTape(persistent=True) as tape:
        a = tape.watch(X)
        y = a * w * frozen
        with tape.stop_recording():
            z = a * 2.0
    assert tape.gradient(y, frozen) is None
    np.testing.assert_allclose(tape.gradient(y, w), (X * X[0]).sum(0), 1e-5)
    assert tape.gradient(z, a) is None
    with GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(frozen)
        y = tape.watch(X) * w * frozen
    assert tape.watched_variables() == (frozen,)
    assert [g is None for g in tape.gradient(y, [w, frozen])] == [True, False]


def test_output_gradients_and_jacobian() -> None:
    with GradientTape(persistent=True) as tape:
        x = tape.watch(np.array([1.0, 2.0, 3.0], np.float32))
        y = x * x
    np.testing.assert_allclose(tape.gradient(y, x, output_gradients=[3.0, 0.0, 1.0]), [6, 0, 6])
    np.testing.assert_allclose(tape.jacobian(y, x), np.diag([2.0, 4.0, 6.0]))


def test_variables_are_read_when_the_program_runs_and_assigned_in_order(backend: str) -> None:
    w = Variable(np.array([1.0, 2.0], np.float32), "w")
    for step in range(3):
        before = w.numpy()
        with GradientTape() as tape:
            x = tape.watch(np.array([3.0, 4.0], np.float32))
            y = total(x * w * w)
        slope = tape.gradient(y, w)
        assert slope is not None
        w.assign(x * 0.0 + w - slope * 0.1)
        expected = before - 0.1 * 2 * before * np.array([3.0, 4.0])
        np.testing.assert_allclose(w, expected, 1e-5, err_msg=str(step))
    with pytest.raises(
        ValueError, match=r"has shape \(2,\) and cannot take a value of .* \(6, 4\)"
    ):
        w.assign(y_of(X))


def y_of(x: Any) -> Any:
    with GradientTape() as tape:
        return tape.watch(x) * 2.0


def test_gradients_of_the_past_are_refused() -> None:
    w = Variable(np.array([1.0], np.float32), "w")
    with GradientTape() as tape:
        x = tape.watch(np.array([3.0], np.float32))
        y = x * w
    w.assign(y)
    with pytest.raises(RuntimeError, match="ask for gradients first, then change variables"):
        tape.gradient(y, w)
    np.testing.assert_allclose(y, [3.0])  # its numbers were kept


@pytest.mark.parametrize(
    ("misuse", "message"),
    [
        (lambda: GradientTape().gradient(X, X), "has recorded nothing"),
        (lambda: GradientTape().watch(X), r"watch\(\) must be called within the tape"),
        (lambda: _tape().gradient(X, X), "the target of a gradient must be computed within"),
    ],
)
def test_misuse_is_told(misuse: Any, message: str) -> None:
    with pytest.raises((RuntimeError, TypeError), match=message):
        misuse()


def _tape() -> GradientTape:
    with GradientTape() as tape:
        tape.watch(X)
    return tape


def test_a_mistake_leaves_the_tape_as_it_was() -> None:
    model = hotloop.Sequential([layers.Input((4,)), layers.Dense(2)])
    with GradientTape() as tape:
        with pytest.raises(ValueError, match="expects an input of shape"):
            model(RNG.normal(size=(3, 5)).astype(np.float32))
        value = losses.MeanSquaredError()(Y, model(X))
    gradients = tape.gradient(value, model.trainable_weights)
    assert [g.shape for g in gradients] == [(4, 2), (2,)]


def test_a_loss_has_no_second_derivative_and_says_so() -> None:
    with GradientTape() as outer:
        x = outer.watch(X)
        with GradientTape() as inner:
            inner.watch(x)
            y = losses.Poisson()(X * X, x * x)
        slope = inner.gradient(y, x)
    with pytest.raises(NotImplementedError, match="the loss poisson has its first derivative only"):
        outer.gradient(slope, x)
    with GradientTape() as tape:
        x = tape.watch(X)
        y = losses.Poisson()(x, np.abs(X))
    with pytest.raises(NotImplementedError, match="no gradient with respect to y_true"):
        tape.gradient(y, x)
    with GradientTape() as tape:
        x = tape.watch(X)
        y = losses.MeanSquaredError()(x, X * 2)
    np.testing.assert_allclose(tape.gradient(y, x), 2 * (X - 2 * X) / X.size, 1e-5)


def test_functions_of_values_are_one_branch_each() -> None:
    def softened(x: Any, factors: list[float], y: Any = None) -> Any:
        parts = [ops.scale(ops.softmax(x), factor) for factor in factors]
        return {"parts": parts, "rank": len(x.dims), "y": ops.multiply(x, y)}

    with GradientTape() as tape:
        x = tape.watch(X)
        mine = _of_thread.recorder
        for _ in range(2):
            made = call_function(mine, softened, (x, [1.0, 2.0]), {"y": X[0]})
    assert made["rank"] == 2
    np.testing.assert_allclose(made["parts"][1], 2 * np.asarray(made["parts"][0]), 1e-6)
    np.testing.assert_allclose(made["y"], X * X[0], 1e-6)
    np.testing.assert_allclose(tape.gradient(made["y"], x), np.broadcast_to(X[0], X.shape), 1e-6)


def test_gradients_of_tensors_and_watched_arrays_are_found_again_too() -> None:
    seen = []
    for step in range(4):
        x = X + step
        with GradientTape() as tape:
            tape.watch(x)
            with GradientTape() as inner:
                z = inner.watch(x) * 2.0
                y = z * z
            found = inner.gradient(y, {"z": z, "x": x})
        np.testing.assert_allclose(found["z"], 4 * x, 1e-5)
        np.testing.assert_allclose(found["x"], 8 * x, 1e-5)
        np.testing.assert_allclose(tape.gradient(found["x"], x), np.full_like(X, 8), 1e-5)
        seen.append(branches(_of_thread.recorder.place.root))
    assert len(set(seen[1:])) == 1


def test_what_is_another_computation_each_time_does_not_pile_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorder, "MOST_BRANCHES", 30)
    monkeypatch.setattr(recorder, "MOST_PROGRAMS", 10)
    for step in range(40):
        with GradientTape() as tape:
            x = tape.watch(X)
            y = x * (1.0 + step)
        np.testing.assert_allclose(tape.gradient(y, x), np.full_like(X, 1.0 + step))
    place = _of_thread.recorder.place
    assert branches(place.root) < 40
    assert place.programs <= 12
    assert place.bytes > 0


@pytest.mark.parametrize("threads", [2, 3])
def test_the_bits_do_not_depend_on_threads(threads: int) -> None:
    if not backends.available("cython"):
        pytest.skip("the compiled core is an optional part")
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(256, 96)).astype("f4"), rng.integers(0, 5, 256)

    def train() -> list[Any]:
        hotloop.utils.set_random_seed(2)
        model = hotloop.Sequential(
            [layers.Input((96,)), layers.Dense(128, "relu"), layers.Dropout(0.2), layers.Dense(5)]
        )
        optimizer = hotloop.optimizers.Adam(0.01)
        loss = losses.SparseCategoricalCrossentropy(from_logits=True)
        found = []
        for _ in range(3):
            with GradientTape() as tape:
                scores = model(x, training=True)
                value = loss(y, scores) + hotloop.ops.mean(hotloop.ops.square(scores)) * 0.1
            optimizer.apply(tape.gradient(value, model.trainable_weights), model.trainable_weights)
            found.append(np.asarray(value))
        return [*found, *model.get_weights()]

    before = backends.num_threads()
    try:
        backends.set_num_threads(1)
        expected = train()
        backends.set_num_threads(threads)
        for a, b in zip(train(), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    finally:
        backends.set_num_threads(before)
