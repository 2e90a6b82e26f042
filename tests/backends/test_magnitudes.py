"""Norms, normalizations and correlations of numbers whose squares float32 does not have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import backends, constraints, layers

Array = np.ndarray[Any, Any]

SCALES = [1e20, 1e30, 1e-25, "one large", "mixed"]
COLS = [3, 7, 17, 33, 257]


def rows_of(scale: Any, cols: int) -> Array:
    rng = np.random.default_rng(cols)
    x = rng.normal(size=(5, cols))
    if scale == "one large":
        x[:, 1] = 1e30
    elif scale == "mixed":
        x *= 10.0 ** rng.integers(-25, 30, x.shape)
    else:
        x *= scale
    return x.astype("float32")


def compare(
    op: str, *given: Array | None, outputs: dict[str, Array], **options: Any
) -> list[Array]:
    """The selected backend's outputs, near those of float64."""
    wide = [None if a is None else a.astype("float64") for a in given]
    truth = {name: np.empty(a.shape) for name, a in outputs.items()}
    backends.operations("numpy")[op](*wide, **truth, **options)
    backends.call(op, *given, **outputs, **options)
    for name, expected in truth.items():
        size = np.abs(expected).max()
        np.testing.assert_allclose(
            outputs[name], expected, rtol=2e-4, atol=max(2e-4 * size, 1e-34), err_msg=f"{op} {name}"
        )
    return list(outputs.values())


@pytest.mark.parametrize("cols", COLS)
@pytest.mark.parametrize("scale", SCALES)
def test_rows(backend: str, scale: Any, cols: int) -> None:
    x, rng = rows_of(scale, cols), np.random.default_rng(1)
    dy, gamma = (rng.normal(size=n).astype("float32") for n in (x.shape, cols))
    y = (rng.normal(size=x.shape) * 1e20).astype("float32")

    def out() -> Array:
        return np.empty_like(x)

    def each() -> Array:
        return np.empty(len(x), "float32")

    for centered in (True, False):
        for epsilon in (1e-3, 0.0):
            options = {"epsilon": epsilon, "centered": centered}
            saved = {"out": out(), "mean": each(), "inverse": each()}
            _, mean, inverse = compare("layer_norm", x, gamma, None, outputs=saved, **options)
            compare(
                "layer_norm_gradient", dy, x, mean, inverse, gamma,
                outputs={"out": out()}, centered=centered,
            )  # fmt: skip
    compare("unit_rows", x, outputs={"out": out()})
    compare("unit_rows_gradient", dy, x, outputs={"out": out()})
    for other in (y, np.roll(x, 1)):
        compare("cosine_similarity", other, x, None, outputs={"values": each(), "gradient": out()})
        compare("pearson_correlation", other, x, None, outputs={"values": each()})
        compare("concordance_correlation", other, x, None, outputs={"values": each()})
    compare("softmax", x, outputs={"out": out()})


def test_variances_of_many_rows(backend: str) -> None:
    """Their sum is beyond float32, they are not; nor do the columns beside notice."""
    x = np.random.default_rng(0).normal(size=(3000, 37)).astype("float32")
    moments = [np.empty(37, "float32") for _ in range(4)]
    backends.call("column_moments", x, mean=moments[0], variance=moments[1])
    x[:, 5] *= 5e18
    backends.call("column_moments", x, mean=moments[2], variance=moments[3])
    np.testing.assert_allclose(moments[3][5], np.var(x[:, 5].astype("float64")), rtol=1e-4)
    others = np.arange(37) != 5
    np.testing.assert_array_equal(moments[3][others], moments[1][others])


@pytest.mark.parametrize("scale", [1e20, 1e30, 1e-25])
def test_updates_of_whole_weights(backend: str, scale: float) -> None:
    rng = np.random.default_rng(2)
    for shape in [(3, 5), (33, 17), (7, 1)]:
        w, g = (rng.normal(size=shape).astype("float32") for _ in range(2))
        settings: dict[str, dict[str, Any]] = {
            "lamb": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
            "adafactor": {
                "beta_2_decay": -0.8, "epsilon_1": 1e-30, "epsilon_2": 1e-3, "clip_threshold": 1.0,
            },
            "muon": {
                "momentum": 0.9, "nesterov": True, "muon_a": 1.5, "muon_b": -0.5, "muon_c": 0.0,
                "ns_steps": 3, "rms_rate": 0.0,
            },
        }  # fmt: skip
        for name, options in settings.items():
            weight, gradient = (w, g * np.float32(scale)) if name == "muon" else (w * scale, g)
            weight = weight.astype("float32")
            shapes = [w.shape[:1], w.shape[1:]] if name == "adafactor" else [w.shape] * 2
            shapes = shapes[:1] if name == "muon" else shapes
            ours, truth = weight.copy(), weight.astype("float64")
            for table, array in ((backends.table()[name][1], ours), (None, truth)):
                update = table or backends.operations("numpy")[name]
                slots = tuple(np.zeros(s, array.dtype) for s in shapes)
                given = gradient.astype(array.dtype)
                update(array, given, slots, iteration=1, learning_rate=0.1, **options)
            size = np.abs(truth).max()
            np.testing.assert_allclose(ours, truth, rtol=1e-3, atol=1e-4 * size, err_msg=name)
            if scale > 1 or name != "muon":
                assert np.abs(ours - weight).max() > 1e-4 * size, name


@pytest.mark.parametrize("made", [constraints.UnitNorm(), constraints.MaxNorm(2.0)])
@pytest.mark.parametrize("units", [1, 2, 17, 33])
def test_constraints(backend: str, made: Any, units: int) -> None:
    model = hotloop.Sequential([layers.Input((9,)), layers.Dense(units, kernel_constraint=made)])
    model.compile(hotloop.optimizers.SGD(0.0), "mse")
    w = np.random.default_rng(3).normal(size=(9, units)).astype("float32")
    w[:, 0] *= 1e20
    model.set_weights([w, np.zeros(units)])
    model.fit(np.zeros((4, 9)), np.zeros((4, units)), verbose=0)
    found = model.get_weights()[0]
    wide = w.astype("float64")
    norm = np.sqrt((wide**2).sum(axis=0))
    wanted = np.ones(units) if isinstance(made, constraints.UnitNorm) else np.minimum(norm, 2.0)
    np.testing.assert_allclose(found, wide * (wanted / (norm + 1e-7)), rtol=1e-5)
    np.testing.assert_allclose(made(w), found, rtol=1e-5)
    assert made(w).dtype == w.dtype
