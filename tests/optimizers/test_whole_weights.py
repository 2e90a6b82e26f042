"""Adafactor, Lamb and Muon, whose steps are of whole weights: models with weights of every kind."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import backends, config, layers, optimizers

Array = np.ndarray[Any, Any]

LOOSE = {"epochs": 2, "tolerances": (1e-3, 1e-2, 1e-3)}  # losses, and weights: relative, absolute
CLOSE = {"epochs": 3, "tolerances": (1e-4, 1e-3, 1e-4)}
OFTEN = {"gradient_accumulation_steps": 2, "use_ema": True, "global_clipnorm": 0.2}

AS_IN_KERAS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("Adafactor", {"epsilon_1": 1e-4}, CLOSE),
    ("Adafactor", {"epsilon_1": 1e-4, "clipnorm": 0.1, "weight_decay": 0.02}, CLOSE),
    ("Lamb", {"epsilon": 1e-4}, CLOSE),
    ("Lamb", {"epsilon": 1e-4, "clipnorm": 0.1, "weight_decay": 0.02}, CLOSE),
    ("Lamb", {"epsilon": 1e-4, **OFTEN}, CLOSE),
    ("Muon", {"epsilon": 1e-4}, LOOSE),
    ("Muon", {"epsilon": 1e-4, "exclude_layers": ["last", "^hid"]}, LOOSE),
    (
        "Muon",
        {
            "epsilon": 1e-4,
            "exclude_embeddings": False,
            "clipnorm": 0.1,
            "exclude_layers": ["last"],
        },
        LOOSE,
    ),
    ("Muon", {"epsilon": 1e-4, **OFTEN}, LOOSE),
]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def each_backend() -> Iterator[str]:
    """Selects one after another: Keras takes longest, and once is enough."""
    before = config.backend()
    for name, state in backends.availability().items():
        if state == "available":
            config.set_backend(name)
            yield name
    config.set_backend(before)


def of_every_kind(k: Any) -> Any:
    """A table of an embedding, packed and flat weights, scalings of one axis, a single column."""
    words = k.Input((6,), dtype="int32")
    x = k.layers.Embedding(50, 5)(words)
    x = k.layers.PReLU(alpha_initializer="ones")(x)
    x = k.layers.LayerNormalization()(x)
    x = k.layers.Flatten()(x)
    x = k.layers.BatchNormalization()(k.layers.Dense(70, "tanh", name="hidden")(x))
    return k.Model(words, k.layers.Dense(1, name="last")(x))


@pytest.mark.parametrize(("name", "settings", "training"), AS_IN_KERAS)
def test_trained_as_in_keras(
    name: str, settings: dict[str, Any], training: dict[str, Any], rng: np.random.Generator
) -> None:
    keras = pytest.importorskip("keras")
    words, y = rng.integers(0, 50, (60, 6)), rng.normal(size=(60, 1)).astype("float32")
    # Biases and shifts of zero would have steps of 0.001 that are relative to nothing.
    weights = [w + rng.uniform(0.1, 0.3, w.shape) for w in of_every_kind(hotloop).get_weights()]

    def trained(k: Any) -> tuple[list[float], list[Array]]:
        model = of_every_kind(k)
        model.set_weights(weights)
        model.compile(getattr(k.optimizers, name)(0.01, **settings), "mse")
        history = model.fit(words, y, 16, epochs=training["epochs"], shuffle=False, verbose=0)
        return history.history["loss"], model.get_weights()

    of_losses, *of_weights = training["tolerances"]
    their_losses, theirs = trained(keras)
    for backend in each_backend():
        losses, ours = trained(hotloop)
        np.testing.assert_allclose(losses, their_losses, of_losses, err_msg=backend)
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, *of_weights, err_msg=backend)


@pytest.mark.parametrize(
    ("name", "settings", "state"),
    [
        ("Adafactor", {}, {0: [(50,), (5,)], 1: [(6,), (5,)]}),
        ("Lamb", {}, {0: [(50, 5), (50, 5)], 2: [(5,), (5,)]}),
        # Adam's are the table, vectors and the last layer.
        (
            "Muon",
            {"exclude_layers": ["last"]},
            {0: [(50, 5), (50, 5)], 1: [(6, 5)], 2: [(5,)] * 2, 4: [(30, 70)], 8: [(70, 1)] * 2},
        ),
    ],
)
def test_the_state_has_its_shapes_and_survives_copies(
    name: str,
    settings: dict[str, Any],
    state: dict[int, list[tuple[int, ...]]],
    backend: str,
    rng: np.random.Generator,
) -> None:
    model = of_every_kind(hotloop)
    cls = getattr(optimizers, name)
    model.compile(cls(0.01, use_ema=True, gradient_accumulation_steps=2, **settings), "mse")
    words, y = rng.integers(0, 50, (60, 6)), rng.normal(size=(60, 1))
    model.fit(words, y, 16, verbose=0)
    for index, shapes in state.items():
        weight = model.trainable_weights[index]
        average_and_accumulated = [weight.shape] * 2
        kept = [slot.shape for slot in model.optimizer.all_slots(weight)]
        assert kept == shapes + average_and_accumulated
    again = copy.deepcopy(model)
    for one in (model, again):
        one.fit(words, y, 16, shuffle=False, verbose=0)
    for ours, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, other)


@pytest.mark.parametrize(
    ("name", "settings", "whole"),
    [("Adafactor", {}, 4), ("Lamb", {}, 4), ("Muon", {"exclude_layers": ["last"]}, 1)],
)
def test_the_compiled_core_does_it_all(name: str, settings: dict[str, Any], whole: int) -> None:
    pytest.importorskip("hotloop.backends.compiled.executor")
    last = layers.Dense(1, name="last")
    model = hotloop.Sequential([layers.Input((140,)), layers.Dense(130), last])
    model.compile(getattr(optimizers, name)(**settings), "mse")
    rows = model.profile(np.ones((64, 140)), np.ones((64, 1)), steps=5).rows
    assert {row.backend for row in rows} == {"cython"}
    assert sum(row.op == "whole_update" for row in rows) == whole
