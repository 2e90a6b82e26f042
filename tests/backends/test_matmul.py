"""Products of many rows: what the order of blocks may not change, and what a thread needs."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import backends, config, layers, losses, optimizers
from hotloop.backends import numpy as reference
from hotloop.backends.interpreter import Interpreter
from hotloop.backends.plan_traits import IN_PYTHON
from hotloop.data.feed import Feed
from hotloop.graph.plan import LossTerm, Plan, build
from hotloop.graph.trace import Value

core = pytest.importorskip(
    "hotloop.backends.compiled.executor", reason="the compiled core is an optional part"
)

pytestmark = pytest.mark.usefixtures("compiled")

Array = np.ndarray[Any, Any]
DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 3e-5, np.float64: 1e-12}
# Rows that are summed at once, and of a block of more: see matmul.pxd.
AT_ONCE, BLOCK = 1024, 256


def model_of(rows: int, widths: tuple[int, ...], dtype: Any) -> hotloop.Sequential:
    """Dense layers on examples of so many rows, with the same weights in every dtype."""
    rng = np.random.default_rng(4)
    name = np.dtype(dtype).name
    model = hotloop.Sequential(
        [
            layers.Input((rows, widths[0]), dtype=name),
            *(layers.Dense(width, dtype=name) for width in widths[1:]),
        ]
    )
    model.set_weights([rng.normal(size=w.shape) / 8 for w in model.get_weights()])
    return model


def plan_of(model: hotloop.Sequential, *, fused: bool, compiled: bool = True) -> Plan:
    """One update on a batch of one example."""
    (output,) = model.outputs
    target = Value(output.dims, output.dtype, role="target")
    return build(
        model.inputs,
        model.outputs,
        1,
        replace(backends.traits() if compiled else IN_PYTHON, fuses_updates=fused),
        losses=[LossTerm(losses.get("mse"), target, output, None)],
        trained=model.trainable_weights,
        optimizer=optimizers.SGD(8.0),
        fuse_networks=False,
    )


def trained(
    rows: int, widths: tuple[int, ...], dtype: Any, threads: int, *, fused: bool = True
) -> list[Array]:
    """The weights after one update; with no threads, by the interpreter."""
    model = model_of(rows, widths, dtype)
    rng = np.random.default_rng(5)
    x, y = (rng.normal(size=(1, rows, n)).astype(dtype) for n in (widths[0], widths[-1]))
    plan = plan_of(model, fused=fused and threads > 0, compiled=threads > 0)
    config.set_num_threads(max(threads, 1))
    executor = core.Executor(plan) if threads else Interpreter(plan, reference.OPS)
    assert executor.run(Feed([x, y], 1, None), 0, 1, np.zeros(1)) == (1, True)
    return model.get_weights()


def assert_trained_well(
    rows: int, widths: tuple[int, ...], dtype: Any, threads: tuple[int, ...] = (1, 2, 3, 4)
) -> None:
    """Near the interpreter's weights in float64, and the same bits however it is done."""
    expected = trained(rows, widths, np.float64, 0)
    found = {
        (n, fused): trained(rows, widths, dtype, n, fused=fused)
        for n, fused in itertools.product(threads, (False, True))
    }
    first = found[1, False]
    for one, other in zip(first, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE[dtype] * np.abs(other).max())
    for key, weights in found.items():
        for one, other in zip(weights, first, strict=True):
            assert np.array_equal(one, other), key


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "rows",
    [
        *(AT_ONCE - 1, AT_ONCE, AT_ONCE + 1),
        *(5 * BLOCK - 1, 5 * BLOCK, 5 * BLOCK + 1, 5 * BLOCK + 7),
    ],
)
def test_sums_over_blocks_of_rows(rows: int, dtype: Any) -> None:
    for widths in [(24, 40, 7), (13, 1, 50), (130, 3, 1), (1, 33, 2)]:
        assert_trained_well(rows, widths, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_over_the_rows_of_an_image(dtype: Any) -> None:
    assert_trained_well(25_088, (27, 32, 8), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_that_meet_in_one_set_of_the_cache_are_moved_apart_block_by_block(dtype: Any) -> None:
    for rows in (BLOCK - 1, BLOCK + 1, 2 * BLOCK + 3, AT_ONCE + 1):
        assert_trained_well(rows, (5, 9, 1024), dtype, threads=(1, 3))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_blocked_gradient_may_be_a_running_sum(dtype: Any) -> None:
    """A last batch of few rows, after those of many, sums them at once."""
    rng = np.random.default_rng(5)
    name = np.dtype(dtype).name
    x, y = rng.normal(size=(1500 + 40, 20)), rng.normal(size=(1500 + 40, 3))
    found = []
    for backend, threads in (("numpy", 1), ("cython", 1), ("cython", 3)):
        config.set_backend(backend)
        config.set_num_threads(threads)
        hotloop.utils.set_random_seed(2)
        model = hotloop.Sequential([layers.Input((20,), dtype=name), layers.Dense(3, dtype=name)])
        model.compile(optimizers.Adam(0.1), "mse")
        model.fit(x, y, 1500, epochs=3, shuffle=False, verbose=0)
        found.append(model.get_weights())
    for one, other, again in zip(*found, strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=100 * TOLERANCE[dtype])
        assert np.array_equal(other, again)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_a_thread_needs_does_not_grow_with_the_rows(dtype: Any) -> None:
    def scratch(rows: int, *widths: int) -> int:
        plan = plan_of(model_of(rows, widths, dtype), fused=True)
        return int(core.Executor(plan).scratch_bytes)

    for widths in [(288, 64, 8), (27, 32, 8), (8, 8, 1024), (1024, 8, 8), (100, 5, 130)]:
        assert scratch(25_088, *widths) == scratch(3000, *widths)
    assert scratch(25_088, 288, 64, 8) <= 256 * 1024


@pytest.mark.parametrize("isa", ["", "baseline"])
def test_a_last_slice_of_few_terms_has_room(isa: str, python: Any) -> None:
    """A sum of 1,025 terms, of which one is left over, on many rows."""
    script = """
import numpy as np
from hotloop import kernels
rng = np.random.default_rng(0)
for m, n, k in ((32768, 32, 1025), (30001, 9, 1025), (700, 17, 2049)):
    a, b = rng.normal(size=(k, m)).astype("f4"), rng.normal(size=(k, n)).astype("f4")
    expected = a.T @ b
    for left, transposed in ((a, True), (np.ascontiguousarray(a.T), False)):
        found = kernels.matmul(left, b, transpose_a=transposed)
        assert np.allclose(found, expected, rtol=0, atol=2e-3), (m, n, k, transposed)
"""
    python(script, **({"HOTLOOP_ISA": isa} if isa else {}))
