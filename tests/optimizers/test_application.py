"""Every rule, and all that stands around updates, on weights in every layout, on every backend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from hotloop import backends, config, optimizers
from hotloop.constraints import MaxNorm, MinMaxNorm, NonNeg, UnitNorm
from hotloop.optimizers import Optimizer
from hotloop.variables import Variable

Array = np.ndarray[Any, Any]

RULES = {
    "sgd": lambda **o: optimizers.SGD(0.1, **o),
    "momentum": lambda **o: optimizers.SGD(0.1, momentum=0.9, nesterov=True, **o),
    "adam": lambda **o: optimizers.Adam(0.1, **o),
    "amsgrad": lambda **o: optimizers.Adam(0.1, amsgrad=True, **o),
    "adamw": lambda **o: optimizers.AdamW(0.1, weight_decay=0.1, **o),
    "rmsprop": lambda **o: optimizers.RMSprop(0.1, momentum=0.5, centered=True, **o),
    "adagrad": lambda **o: optimizers.Adagrad(0.1, **o),
    "adadelta": lambda **o: optimizers.Adadelta(0.1, **o),
    "adamax": lambda **o: optimizers.Adamax(0.1, **o),
    "nadam": lambda **o: optimizers.Nadam(0.1, **o),
    "lion": lambda **o: optimizers.Lion(0.1, **o),
    "ftrl": lambda **o: optimizers.Ftrl(0.1, **o),
    "schedule_free": lambda **o: optimizers.ScheduleFreeAdamW(0.1, **o),
    "adafactor": lambda **o: optimizers.Adafactor(0.1, **o),
    "lamb": lambda **o: optimizers.Lamb(0.1, **o),
    "muon": lambda **o: optimizers.Muon(0.1, **o),
}
# Sizes at which panels are full, narrow, or one column wide.
SHAPES = [(7, 5), (3, 2, 5), (2, 3, 4, 33), (3, 3, 2, 1)]
LAYOUTS = [(shape, row_axes) for shape in SHAPES for row_axes in range(len(shape) + 1)]


@pytest.fixture
def _two_threads() -> Iterator[None]:
    before = config.num_threads()
    config.set_num_threads(2)
    yield
    config.set_num_threads(before)


def steps(
    backend: str, optimizer: Optimizer, shape: tuple[int, ...], row_axes: int, constraint: Any
) -> list[Array]:
    """A weight and all that the optimizer keeps of it after three steps."""
    before = config.backend()
    config.set_backend(backend)
    try:
        rng = np.random.default_rng(5)
        w = Variable(rng.normal(size=shape), "kernel", constraint=constraint, row_axes=row_axes)
        for _ in range(4):
            optimizer.apply([rng.normal(size=shape)], [w])
        return [w.numpy(), *(slot.numpy() for slot in optimizer.all_slots(w))]
    finally:
        config.set_backend(before)


def compare(make: Any, shape: tuple[int, ...], row_axes: int, constraint: Any = None) -> None:
    if not backends.available("cython"):
        pytest.skip("the compiled core is an optional part")
    expected = steps("numpy", make(), shape, row_axes, constraint)
    found = steps("cython", make(), shape, row_axes, constraint)
    for got, array in zip(found, expected, strict=True):
        assert got.shape == array.shape
        np.testing.assert_allclose(got, array, 1e-9, 1e-9)


@pytest.mark.parametrize(("shape", "row_axes"), LAYOUTS)
@pytest.mark.parametrize("rule", RULES)
def test_rules(rule: str, shape: tuple[int, ...], row_axes: int) -> None:
    compare(RULES[rule], shape, row_axes)


@pytest.mark.parametrize("rule", ["adafactor", "lamb", "muon"])
@pytest.mark.parametrize("row_axes", range(4))
@pytest.mark.usefixtures("_two_threads")
def test_rules_that_all_threads_do_at_once(rule: str, row_axes: int) -> None:
    compare(RULES[rule], (130, 3, 67), row_axes)
    compare(RULES[rule], (130, 131), min(row_axes, 2))


@pytest.mark.parametrize(("shape", "row_axes"), LAYOUTS)
@pytest.mark.parametrize(
    "options",
    [
        {"clipnorm": 0.1},
        {"global_clipnorm": 0.1},
        {"clipvalue": 0.1},
        {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
        {"gradient_accumulation_steps": 2},
        {"weight_decay": 0.1},
    ],
    ids=str,
)
def test_what_stands_around_updates(
    options: dict[str, Any], shape: tuple[int, ...], row_axes: int
) -> None:
    compare(lambda: RULES["adam"](**options), shape, row_axes)


@pytest.mark.parametrize(("shape", "row_axes"), LAYOUTS)
@pytest.mark.parametrize(
    "constraint", [MaxNorm(1.0), MinMaxNorm(0.5, 1.0, rate=0.5), NonNeg(), UnitNorm()], ids=str
)
def test_constraints(constraint: Any, shape: tuple[int, ...], row_axes: int) -> None:
    compare(RULES["sgd"], shape, row_axes, constraint)
