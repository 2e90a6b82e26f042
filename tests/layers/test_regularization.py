"""Layers of noise."""

from __future__ import annotations

import numpy as np
import pytest

import hotloop
from hotloop.data.feed import Feed
from hotloop.graph.plan import LossTerm, build
from hotloop.graph.trace import Value
from hotloop.layers import AlphaDropout, Dense, Dropout, GaussianDropout, GaussianNoise, Input


def weights_after_a_step(rate, seed=1, batches=1):
    """Kernel of ones after steps on zeros' targets: an element moves where its input was kept."""
    layers = [Input((400,)), Dropout(rate, seed=seed), Dense(1, kernel_initializer="zeros")]
    model = hotloop.Sequential(layers)
    model.compile(hotloop.optimizers.SGD(0.5), "mse")
    for _ in range(batches):
        model.set_weights([np.zeros((400, 1)), [0.0]])
        model.train_on_batch(np.ones((1, 400)), [[1.0]])
    return model.get_weights()[0][:, 0]


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_share_and_scale(rate, backend):
    moved = weights_after_a_step(rate)
    kept = moved != 0
    np.testing.assert_allclose(moved[kept], 1 / (1 - rate), rtol=1e-5)
    assert abs(kept.mean() - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / 400)


def test_draws_depend_on_seed_and_step(backend):
    first = weights_after_a_step(0.5)
    np.testing.assert_array_equal(first, weights_after_a_step(0.5))
    assert not np.array_equal(first, weights_after_a_step(0.5, seed=2))
    assert not np.array_equal(first, weights_after_a_step(0.5, batches=2))


def test_the_global_seed_is_the_default():
    draws = []
    for _ in range(2):
        hotloop.utils.set_random_seed(9)
        draws.append(weights_after_a_step(0.5, seed=None))
    np.testing.assert_array_equal(*draws)


def test_rate_zero_does_nothing():
    np.testing.assert_allclose(weights_after_a_step(0.0), np.ones(400), rtol=1e-6)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, np.nan, "half", None])
def test_bad_rates(rate):
    with pytest.raises(ValueError, match=r"Dropout.*rate must be at least 0 and below 1"):
        Dropout(rate)


def test_noise_shape():
    with pytest.raises(ValueError, match="noise_shape is not supported"):
        Dropout(0.5, (None, 1))


def test_each_use_of_a_layer_draws_anew(backend):
    x = Input((200,))
    dropout = Dropout(0.5, seed=3)
    model = hotloop.Model(x, [dropout(x), dropout(x)])
    ready_plan = build(
        model.inputs,
        model.outputs,
        1,
        hotloop.backends.traits(),
        losses=[
            LossTerm(hotloop.losses.MeanSquaredError(), Value((200,), "float32", role="target"), y)
            for y in model.outputs
        ],
        optimizer=hotloop.optimizers.SGD(),
    )
    ones = np.ones((1, 200), np.float32)
    first, second = np.empty((2, 1, 200), np.float32)
    feed = Feed([ones, ones, ones], 1)
    hotloop.backends.executor(ready_plan).run(feed, 0, 1, np.zeros(2), outputs=[first, second])
    assert set(first.ravel()) == set(second.ravel()) == {0.0, 2.0}
    assert (first != second).any()


# ---------------------------------------------------------------------- other noise

NOISY = [AlphaDropout, GaussianDropout, GaussianNoise]


def outputs_in_training(layer, x):
    """What the layer makes of x in a training step: the targets of zeros tell it by the loss."""
    value = Input(x.shape[1:])
    model = hotloop.Model(value, layer(value))
    loss = hotloop.losses.MeanSquaredError()
    target = Value(x.shape[1:], "float32", role="target")
    plan = build(
        model.inputs,
        model.outputs,
        len(x),
        hotloop.backends.traits(),
        losses=[LossTerm(loss, target, model.outputs[0])],
        optimizer=hotloop.optimizers.SGD(),
    )
    out = np.empty(x.shape, np.float32)
    executor = hotloop.backends.executor(plan)
    executor.run(Feed([x, np.zeros_like(x)], len(x)), 0, 1, np.zeros(1), outputs=[out])
    return out


@pytest.mark.parametrize("made", NOISY)
def test_noise_is_for_training_only(made, backend):
    x = np.random.default_rng(1).normal(size=(40, 30)).astype("float32")
    layer = made(0.4, seed=1)
    np.testing.assert_array_equal(layer(x), x)
    noisy = outputs_in_training(layer, x)
    assert (noisy != x).mean() > 0.9
    np.testing.assert_array_equal(noisy, outputs_in_training(made(0.4, seed=1), x))
    assert (noisy != outputs_in_training(made(0.4, seed=2), x)).any()
    np.testing.assert_array_equal(outputs_in_training(made(0.0), x), x)


def test_moments_of_the_noise(backend):
    x = np.ones((300, 400), np.float32)
    close = {"abs": 5 / np.sqrt(x.size)}
    noisy = outputs_in_training(GaussianNoise(0.5, seed=1), x)
    assert noisy.mean() == pytest.approx(1.0, **close)
    assert noisy.std() == pytest.approx(0.5, **close)
    noisy = outputs_in_training(GaussianDropout(0.2, seed=1), 2 * x)
    assert noisy.mean() == pytest.approx(2.0, **close)
    assert noisy.std() == pytest.approx(2 * 0.5, **close)  # sqrt(0.2 / 0.8)
    normal = np.random.default_rng(1).standard_normal(x.shape).astype("float32")
    noisy = outputs_in_training(AlphaDropout(0.3, seed=1), normal)
    assert noisy.mean() == pytest.approx(0.0, **close)
    assert noisy.std() == pytest.approx(1.0, **close)
    assert len(np.unique(noisy)) < 0.75 * x.size  # the dropped ones are equal


def test_the_global_seed_is_the_default_of_every_noise():
    for made in NOISY:
        keys = []
        for _ in range(2):
            hotloop.utils.set_random_seed(9)
            keys.append(made(0.5).random_key)
        assert keys[0] == keys[1]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: AlphaDropout(1.0), "AlphaDropout.*rate must be at least 0 and below 1, not 1.0"),
        (lambda: GaussianDropout(-0.1), "GaussianDropout.*rate must be at least 0 and below 1"),
        (lambda: GaussianNoise(1.5), "GaussianNoise.*stddev must be from 0 to 1, not 1.5"),
        (lambda: GaussianNoise("much"), "stddev must be from 0 to 1, not 'much'"),
        (lambda: AlphaDropout(0.5, (None, 1)), "noise_shape is not supported"),
    ],
)
def test_bad_noise(made, message):
    with pytest.raises(ValueError, match=message):
        made()


def test_activity_regularization_beside_keras(backend):
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(0)
    w = rng.normal(size=(4, 3)).astype("float32")
    x, y = rng.normal(size=(8, 4)).astype("float32"), rng.normal(size=(8, 3)).astype("float32")
    results = []
    for k in (hotloop, keras):
        model = k.Sequential(
            [
                k.layers.Input((4,)),
                k.layers.Dense(3),
                k.layers.ActivityRegularization(l1=0.1, l2=0.2),
            ]
        )
        model.set_weights([w, np.zeros(3)])
        model.compile(k.optimizers.SGD(0.3), "mse")
        fit = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        results.append((fit.history["loss"], *model.get_weights()))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, 1e-4, 1e-5)
    layer = hotloop.layers.ActivityRegularization(0.1, 0.2)
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
