"""exp, log and tanh that a compiler can vectorise: near the truth everywhere, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest

numba = pytest.importorskip("numba", reason="numba is an optional dependency")

from hotloop.backends.vector_math import functions  # noqa: E402

NAMES = ("exp", "expm1", "log", "log1p", "tanh")
EDGES = [0.0, -0.0, np.inf, -np.inf, np.nan, -1.0, 1.0, 1e-30, -1e-30, 88.0, -87.0, 1e5, -1e5]


def computed(name: str, x: np.ndarray) -> np.ndarray:
    function = functions(x.dtype.name)[name]

    @numba.njit
    def loop(x, y):
        for i in range(x.size):
            y[i] = function(x[i])

    y = np.empty_like(x)
    loop(x, y)
    return y


def arguments(name: str, dtype: str) -> np.ndarray:
    rng = np.random.default_rng(4)
    x = np.concatenate([rng.normal(size=20_000) * s for s in (1e-6, 1e-3, 0.1, 1, 10, 90)])
    if name == "log":
        x = np.concatenate([np.abs(x), 10.0 ** rng.uniform(-37, 37, 20_000)])
    if name == "log1p":
        x = np.concatenate([x[x > -1], 10.0 ** rng.uniform(-37, 37, 20_000)])
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_within_three_units_in_the_last_place(name, dtype):
    x = arguments(name, dtype)
    x = x[np.abs(x) > 4 * np.finfo(dtype).tiny]
    with np.errstate(all="ignore"):
        exact = getattr(np, name)(x.astype(np.longdouble))
        rounded = exact.astype(dtype)
    y = computed(name, x)
    normal = np.isfinite(rounded) & (np.abs(rounded) > 4 * np.finfo(dtype).tiny)
    units = np.abs(y[normal] - exact[normal]) / np.spacing(np.abs(rounded[normal]))
    assert units.max() < 3.0
    others = ~normal & ~np.isfinite(rounded)
    np.testing.assert_array_equal(y[others], rounded[others])
    assert (np.abs(y[~normal & ~others]) <= 4 * np.finfo(dtype).tiny).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_edges(name, dtype):
    x = np.array(EDGES, dtype)
    with np.errstate(all="ignore"):
        truth = getattr(np, name)(x)
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(computed(name, x), truth, rtol=tolerance)
