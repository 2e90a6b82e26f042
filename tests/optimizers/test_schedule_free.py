"""ScheduleFreeAdamW: what it keeps begins as the weights are, whenever training begins."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

import hotloop
from hotloop import layers
from hotloop.optimizers import ScheduleFreeAdamW
from hotloop.variables import Variable


def compiled(units: int = 40) -> hotloop.Sequential:
    hotloop.utils.set_random_seed(2)
    model = hotloop.Sequential([layers.Input((9,)), layers.Dense(units, "tanh"), layers.Dense(1)])
    model.compile(ScheduleFreeAdamW(0.01), "mse")
    return model


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def test_z_is_a_copy_of_the_weight(backend: str) -> None:
    start = np.arange(6.0).reshape(2, 3)
    weight, optimizer = Variable(start), ScheduleFreeAdamW(0.0)
    optimizer.apply([np.ones((2, 3))], [weight])
    z, v = optimizer.slots(weight)
    np.testing.assert_array_equal(z.numpy(), start)
    np.testing.assert_allclose(v.numpy(), 0.001)
    weight.assign(start + 1.0)
    np.testing.assert_array_equal(z.numpy(), start)


@pytest.mark.parametrize("units", [3, 40, 130])
def test_z_begins_as_the_weights_when_training_begins(
    units: int, backend: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    x, y = rng.normal(size=(30, 9)), rng.normal(size=(30, 1))
    ready = compiled(units)
    ready.predict(x, verbose=0)
    weights = [rng.normal(size=w.shape) for w in ready.get_weights()]
    found = []
    ready.save(tmp_path / "m.hotloop")
    loaded = hotloop.models.load_model(tmp_path / "m.hotloop")
    for one in (compiled(units), copy.deepcopy(ready), loaded, ready):
        one.set_weights(weights)
        one.fit(x, y, 8, shuffle=False, verbose=0)
        found.append(one.get_weights())
    for other in found[1:]:
        for ours, theirs in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_the_mean_of_all_z_is_what_the_weights_follow(
    backend: str, rng: np.random.Generator
) -> None:
    weight, optimizer = Variable(rng.normal(size=(3, 5))), ScheduleFreeAdamW(0.1, 0.75)
    points = []
    for _ in range(20):
        optimizer.apply([rng.normal(size=(3, 5))], [weight])
        points.append(optimizer.slots(weight)[0].numpy())
    mean = np.mean(points, axis=0)
    np.testing.assert_allclose(weight.numpy(), 0.25 * points[-1] + 0.75 * mean, 1e-12)


def test_the_rate_rises(backend: str) -> None:
    weight, optimizer = Variable([1.0]), ScheduleFreeAdamW(0.8, 0.0, warmup_steps=4)
    steps = [1.0]
    for _ in range(6):
        optimizer.apply([[2.0]], [weight])
        steps.append(float(weight.numpy()[0]))
    np.testing.assert_allclose(np.diff(steps), [-0.2, -0.4, -0.6, -0.8, -0.8, -0.8], 1e-6)


def test_settings_come_back() -> None:
    optimizer = ScheduleFreeAdamW(0.1, 0.8, 0.99, 1e-6, 7, weight_decay=0.1, clipnorm=1.0)
    again = ScheduleFreeAdamW.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    assert again.get_config().items() >= {"warmup_steps": 7, "beta_1": 0.8}.items()
