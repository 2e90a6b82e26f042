"""The compiled ops against the reference: signatures, numbers, edges, instruction sets."""

from __future__ import annotations

import inspect
import itertools
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from concurrency import in_threads

import hotloop
from hotloop.backends import numpy as reference
from hotloop.backends.formulas import ACTIVATIONS, LOSSES, OPTIMIZERS
from hotloop.backends.numpy import WHOLE_UPDATES

compiled = pytest.importorskip(
    "hotloop.backends.compiled.kernels", reason="the compiled core is an optional part"
)
runtime = pytest.importorskip("hotloop.backends.compiled.runtime")

Array = np.ndarray[Any, Any]

SIZES = (1, 2, 3, 7, 17, 31, 33, 257)
SHAPES = [*zip(SIZES, SIZES[::-1], strict=True), (0, 5), (33, 33), (257, 1), (1, 257)]
UNITS = (3, 33, 1, 17, 0, 2, 31, 7, 5, 257, 4, 16)  # columns of the other factor
DTYPES = (np.float32, np.float64)
# Both backends compute in the arrays' own type. The C exp, log, tanh and erf are within 2 units
# in the last place (6e-8 and 1.1e-16 of the value), an op chains up to ten roundings, and
# NumPy's float32 reference has about as many of its own.
TOLERANCE = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 1e-12}
FINITE_EXTREMES = (-1e30, -90.0, -20.0, -1e-40, -0.0, 0.0, 1e-40, 20.0, 90.0, 1e30)
EXTREMES = (*FINITE_EXTREMES, -np.inf, np.inf, np.nan)
GUARD = 64  # elements around each output that no op may touch


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(23)


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = hotloop.config.num_threads()
    hotloop.set_num_threads(request.param)
    yield request.param
    hotloop.set_num_threads(before)


def assert_same(ours: Array, truth: Array, scale: float = 1.0) -> None:
    """Equal to TOLERANCE of the value, or of `scale`, the size of the terms it is made of."""
    assert ours.dtype == truth.dtype
    tolerance = TOLERANCE.get(truth.dtype, 0.0)
    np.testing.assert_allclose(ours, truth, rtol=tolerance, atol=tolerance * scale)


def guarded(like: Array) -> tuple[Array, Array]:
    """An output of the shape of `like` full of sevens, and the block that it stands in."""
    block = np.full(like.size + 2 * GUARD, 7.0, like.dtype)
    return block[GUARD : GUARD + like.size].reshape(like.shape), block


def both(op: str, *arrays: Any, out: dict[str, Array], **keywords: Any) -> list[dict[str, Array]]:
    """The named outputs of an op, compiled and by the reference; inputs must survive."""
    before = [np.copy(a) for a in arrays if isinstance(a, np.ndarray)]
    results = []
    for ops in (compiled.OPS, reference.OPS):
        outputs, blocks = {}, []
        for name, like in out.items():
            outputs[name], block = guarded(like)
            blocks.append(block)
        assert ops[op](*arrays, **outputs, **keywords) is None
        for block in blocks:
            assert (block[:GUARD] == 7.0).all()
            assert (block[-GUARD:] == 7.0).all()
        results.append(outputs)
    given = [a for a in arrays if isinstance(a, np.ndarray)]
    for array, copy in zip(given, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    return results


def assert_parity(
    op: str, *arrays: Any, out: dict[str, Array], scale: float = 1.0, **keywords: Any
) -> None:
    ours, truth = both(op, *arrays, out=out, **keywords)
    for name in out:
        assert_same(ours[name], truth[name], scale)


# ---------------------------------------------------------------------- the interface


def plain_signature(op: Any) -> list[tuple[str, Any, Any]]:
    """Names, kinds and defaults; compiled functions have no annotations."""
    return [(p.name, p.kind, p.default) for p in inspect.signature(op).parameters.values()]


def test_every_op_has_the_signature_of_the_reference() -> None:
    for name, op in compiled.OPS.items():
        assert plain_signature(op) == plain_signature(reference.OPS[name]), name


def test_the_core_serves_every_op_but_the_gathering_of_single_batches() -> None:
    assert set(reference.OPS) - set(compiled.OPS) == {"gather"}


# ------------------------------------------------------------------- matrix product


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_matmul(
    dtype: Any, transpose_a: bool, transpose_b: bool, threads: int, rng: np.random.Generator
) -> None:
    shapes = [(m, k, n) for (m, k), n in zip(SHAPES, UNITS, strict=True)]
    for m, k, n in [*shapes, (4, 0, 3), (65, 129, 130)]:
        a = rng.normal(size=(k, m) if transpose_a else (m, k)).astype(dtype)
        b = rng.normal(size=(n, k) if transpose_b else (k, n)).astype(dtype)
        assert_parity(
            "matmul",
            a,
            b,
            out={"out": np.empty((m, n), dtype)},
            scale=math.sqrt(k) + 1.0,
            transpose_a=transpose_a,
            transpose_b=transpose_b,
        )


# (m, k, n) of matrices that are multiplied one by one.
MATRICES = [
    *((1, 1, 1), (2, 3, 4), (8, 8, 8), (1, 40, 1), (5, 0, 3), (3, 2, 1), (1, 5, 33)),
    *((7, 16, 7), (33, 17, 16), (16, 33, 65), (100, 9, 3), (2, 1030, 5), (13, 64, 8)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_batch_matmul(
    dtype: Any, transpose_a: bool, transpose_b: bool, threads: int, rng: np.random.Generator
) -> None:
    for m, k, n in MATRICES:
        for lead in ((1,), (3,), (2, 5), (0,), (2, 3, 2)):
            a = rng.normal(size=(*lead, k, m) if transpose_a else (*lead, m, k)).astype(dtype)
            b = rng.normal(size=(*lead, n, k) if transpose_b else (*lead, k, n)).astype(dtype)
            assert_parity(
                "batch_matmul",
                a,
                b,
                out={"out": np.full((*lead, m, n), 7, dtype)},
                scale=math.sqrt(k) + 1.0,
                transpose_a=transpose_a,
                transpose_b=transpose_b,
            )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_batch_matmul_gives_the_same_bits_however_it_is_shared(
    dtype: Any, transpose_a: bool, transpose_b: bool, rng: np.random.Generator
) -> None:
    """By threads, and whatever matrices stand beside: attention of few and of many examples."""
    before = hotloop.config.num_threads()
    try:
        for m, k, n in [*MATRICES, (256, 32, 256), (256, 256, 32), (250, 60, 128), (31, 2050, 70)]:
            lead = (3,) if m * n * k > 10_000 else (400,)
            a = rng.normal(size=(*lead, k, m) if transpose_a else (*lead, m, k)).astype(dtype)
            b = rng.normal(size=(*lead, n, k) if transpose_b else (*lead, k, n)).astype(dtype)
            first = None
            for threads in (1, 2, 3, 4):
                hotloop.set_num_threads(threads)
                for count in (len(a), 1):
                    out = np.empty((count, m, n), dtype)
                    compiled.OPS["batch_matmul"](
                        a[:count],
                        b[:count],
                        out=out,
                        transpose_a=transpose_a,
                        transpose_b=transpose_b,
                    )
                    first = out if first is None else first
                    assert np.array_equal(out, first[:count]), (m, k, n, threads)
    finally:
        hotloop.set_num_threads(before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_dense(activation: str, dtype: Any, rng: np.random.Generator) -> None:
    for (rows, inputs), units in zip(SHAPES, UNITS, strict=True):
        x = rng.normal(size=(rows, inputs)).astype(dtype)
        w = (rng.normal(size=(inputs, units)) / math.sqrt(max(inputs, 1))).astype(dtype)
        for b in (None, rng.normal(size=units).astype(dtype)):
            out = {"out": np.empty((rows, units), dtype)}
            options = {"activation": activation, "alpha": 0.3}
            # An exponential passes the error of its argument on, times its value.
            assert_parity("dense", x, w, b, out=out, scale=20.0, **options)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_of_dense(dtype: Any, threads: int, rng: np.random.Generator) -> None:
    for (rows, inputs), units in zip(SHAPES, UNITS, strict=True):
        x = rng.normal(size=(rows, inputs)).astype(dtype)
        w = rng.normal(size=(inputs, units)).astype(dtype)
        dy = rng.normal(size=(rows, units)).astype(dtype)
        assert_parity("input_gradient", dy, w, out={"out": x}, scale=20.0)
        assert_parity("weight_gradient", x, dy, out={"out": w}, scale=20.0)
        db = np.empty(units, dtype)
        assert_parity("bias_gradient", dy, out={"out": db}, scale=20.0)


def test_an_infinity_stays_in_its_row_and_column() -> None:
    a = np.ones((9, 20), np.float32)
    a[4, 7] = np.inf
    b = np.ones((20, 19), np.float32)
    b[3, 18] = np.nan
    out = np.empty((9, 19), np.float32)
    compiled.OPS["matmul"](a, b, out=out)
    expected = np.full((9, 19), 20.0)
    expected[4] = np.inf
    expected[:, 18] = np.nan
    np.testing.assert_array_equal(out, expected)


def test_an_output_may_be_an_input_of_a_product(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(2, 33, 33))
    for position in (0, 1):
        given = [a.copy(), b.copy()]
        compiled.OPS["matmul"](*given, out=given[position])
        assert_same(given[position], a @ b, scale=10.0)
        given = [a.copy(), b.copy()]
        compiled.OPS["dense"](*given, None, out=given[position], activation="relu")
        assert_same(given[position], np.maximum(a @ b, 0.0), scale=10.0)
        given = [a.reshape(3, 11, 33)[:, :, :11].copy(), b.reshape(3, 11, 33)[:, :, :11].copy()]
        expected = np.matmul(*given)
        compiled.OPS["batch_matmul"](*given, out=given[position])
        assert_same(given[position], expected, scale=10.0)


# ---------------------------------------------------------------------- elementwise


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_and_biases(dtype: Any, threads: int, rng: np.random.Generator) -> None:
    for shape in [*SHAPES, (300, 301)]:
        x, other = rng.normal(size=(2, *shape)).astype(dtype)
        b = rng.normal(size=shape[1]).astype(dtype)
        assert_parity("add_bias", x, b, out={"out": x})
        assert_parity("add", x, other, out={"out": x})
        assert_parity("bias_gradient", x, out={"out": b}, scale=math.sqrt(shape[0]) * 4.0)
    for shape in [(), (5,), (2, 3, 4)]:
        x, other = rng.normal(size=(2, *shape)).astype(dtype)
        assert_parity("add", np.asarray(x), np.asarray(other), out={"out": np.asarray(x)})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str, dtype: Any, threads: int, rng: np.random.Generator) -> None:
    for shape in [*SHAPES, (301, 303)]:
        x, dy = (3.0 * rng.normal(size=(2, *shape))).astype(dtype)
        saved = x if ACTIVATIONS[name].reads == "x" else np.empty_like(x)
        if saved is not x:
            reference.OPS[name](x, out=saved)
        assert_parity(name, x, out={"out": x})
        assert_parity(name, x, out={"out": x}, alpha=0.3)
        # The derivative of gelu is a difference of terms of size 1.
        assert_parity(name + "_gradient", dy, saved, out={"out": x}, scale=10.0)
        assert_parity(name + "_gradient", dy, saved, out={"out": x}, alpha=0.3, scale=10.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_at_the_ends(name: str, dtype: Any) -> None:
    x = np.array([EXTREMES * 3], dtype)
    ours, truth = both(name, x, out={"out": x})
    assert_same(ours["out"], truth["out"], scale=1e-6)
    saved = x if ACTIVATIONS[name].reads == "x" else np.empty_like(x)
    if saved is not x:
        reference.OPS[name](x, out=saved)
    ours, truth = both(name + "_gradient", np.ones_like(x), saved, out={"out": x})
    assert_same(ours["out"], truth["out"])


@pytest.mark.parametrize("name", ["linear", "relu", "leaky_relu", "tanh", "sigmoid", "gelu"])
def test_an_activation_may_work_in_place(name: str, rng: np.random.Generator) -> None:
    x = rng.normal(size=(7, 33))
    truth = np.empty_like(x)
    reference.OPS[name](x, out=truth)
    compiled.OPS[name](x, out=x)
    assert_same(x, truth)
    for shared in (0, 1):
        given = list(rng.normal(size=(2, 7, 33)))
        reference.OPS[name + "_gradient"](*given, out=truth)
        compiled.OPS[name + "_gradient"](*given, out=given[shared])
        assert_same(given[shared], truth)


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("key", [0, 5, 2**64 - 3, 2**64 + 5, -1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dropout_keeps_the_very_same_elements(
    dtype: Any, key: int, rate: float, rng: np.random.Generator
) -> None:
    for shape in [*SHAPES, (), (2, 3, 5)]:
        x = np.asarray(rng.normal(size=shape), dtype)
        ours, truth = both("dropout", x, out={"out": x}, rate=rate, key=key)
        np.testing.assert_array_equal(ours["out"], truth["out"])


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("key", [0, 5, 2**64 - 3, 2**64 + 5, -1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_noise(dtype: Any, key: int, rate: float, rng: np.random.Generator) -> None:
    for shape in [*SHAPES, (), (2, 3, 5)]:
        x = np.asarray(rng.normal(size=shape), dtype)
        for op in ("alpha_dropout", "alpha_dropout_gradient"):
            assert_parity(op, x, out={"out": x}, rate=rate, key=key)
        for op in ("gaussian_noise", "gaussian_dropout"):
            assert_parity(op, x, out={"out": x}, stddev=rate, key=key)


@pytest.mark.parametrize("dtype", DTYPES)
def test_prelu(dtype: Any, threads: int, rng: np.random.Generator) -> None:
    for shape in [*SHAPES, (301, 303)]:
        x, dy = rng.normal(size=(2, *shape)).astype(dtype)
        alpha = rng.normal(size=shape[1]).astype(dtype)
        x[::3] = 0.0
        assert_parity("prelu", x, alpha, out={"out": x})
        assert_parity("prelu_gradient", dy, x, alpha, out={"out": x})
        assert_parity("prelu_alpha_gradient", dy, x, out={"out": alpha}, scale=math.sqrt(len(x)))


# ---------------------------------------------------------------------- normalisation


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_normalization_of_columns(
    dtype: Any, weighted: bool, threads: int, rng: np.random.Generator
) -> None:
    for shape in [*SHAPES, (301, 303)]:
        x, dy = rng.normal(1.0, 1.0, size=(2, *shape)).astype(dtype)
        mean, gamma, beta, dgamma, dbeta = rng.normal(size=(5, shape[1])).astype(dtype)
        variance = rng.uniform(0.1, 2.0, shape[1]).astype(dtype)
        if shape[0]:
            out = {"mean": mean, "variance": variance}
            assert_parity("column_moments", x, out=out, scale=3.0)
        weights = (gamma, beta) if weighted else (None, None)
        given = (x, mean, variance)
        assert_parity("normalize", *given, *weights, epsilon=0.1, out={"out": x}, scale=20.0)
        scale = 20.0 * math.sqrt(shape[0])
        out = {"out": mean}
        assert_parity("normalize_scale_gradient", dy, *given, epsilon=0.1, out=out, scale=scale)
        sums = (dgamma, dbeta) if weighted else (None, None)
        given = (dy, x, mean, variance, weights[0], *sums)
        assert_parity("normalize_gradient", *given, epsilon=0.1, out={"out": x}, scale=50.0)
        averages = beta.copy(), beta.copy()
        for average, ops in zip(averages, (compiled.OPS, reference.OPS), strict=True):
            assert ops["moving_average_update"](average, gamma, momentum=0.9) is None
        assert_same(*averages)


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_normalization_of_rows(
    dtype: Any, weighted: bool, centered: bool, threads: int, rng: np.random.Generator
) -> None:
    for shape in [*SHAPES, (301, 303)]:
        x, dy = rng.normal(1.0, 1.0, size=(2, *shape)).astype(dtype)
        gamma, beta = rng.normal(size=(2, shape[1])).astype(dtype) if weighted else (None, None)
        mean, inverse = np.empty((2, shape[0]), dtype)
        options = {"epsilon": 0.1, "centered": centered}
        out = {"out": x, "mean": mean, "inverse": inverse}
        assert_parity("layer_norm", x, gamma, beta, **options, out=out, scale=30.0)
        reference.OPS["layer_norm"](x, gamma, beta, **options, **out | {"out": np.empty_like(x)})
        given = (dy, x, mean, inverse)
        out = {"out": np.empty(shape[1], dtype)}
        scale = 20.0 * math.sqrt(shape[0])
        assert_parity("layer_norm_scale_gradient", *given, out=out, scale=scale)
        options = {"centered": centered, "out": {"out": x}, "scale": 60.0}
        assert_parity("layer_norm_gradient", *given, gamma, **options)


def test_normalizations_refuse_vectors_that_do_not_fit() -> None:
    ops, x, four, three = compiled.OPS, np.ones((4, 3)), np.ones(4), np.ones(3)
    with pytest.raises(ValueError, match=r"variance has shape \(4,\), expected \(3,\)"):
        ops["column_moments"](x, mean=three, variance=four)
    with pytest.raises(ValueError, match="gamma has shape"):
        ops["normalize"](x, three, three, four, None, epsilon=0.1, out=x)
    with pytest.raises(ValueError, match="dbeta has shape"):
        ops["normalize_gradient"](x, x, three, three, None, three, four, epsilon=0.1, out=x)
    with pytest.raises(ValueError, match=r"mean has shape \(3,\), expected \(4,\)"):
        ops["layer_norm_gradient"](x, x, three, four, None, out=x)
    with pytest.raises(ValueError, match="alpha has shape"):
        ops["prelu"](x, four, out=x)
    with pytest.raises(ValueError, match="out has shape"):
        ops["prelu_alpha_gradient"](x, x, out=four)


# ------------------------------------------------------------------------- row by row


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name: str, dtype: Any, threads: int, rng: np.random.Generator) -> None:
    for shape in [*SHAPES, (301, 303)]:
        x, dy = (5.0 * rng.normal(size=(2, *shape))).astype(dtype)
        y = np.empty_like(x)
        reference.OPS[name](x, out=y)
        assert_parity(name, x, out={"out": x}, scale=10.0)
        assert_parity(name + "_gradient", dy, y, out={"out": x}, scale=math.sqrt(shape[1]) * 10.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_at_the_ends(name: str, dtype: Any) -> None:
    x = np.zeros((2 * len(EXTREMES), 19), dtype)
    x[np.arange(len(x)), np.arange(len(x)) % 19] = EXTREMES * 2
    x = np.vstack([x, np.full((1, 19), -np.inf, dtype)])
    assert_parity(name, x, out={"out": x})
    for equal in (-1e30, 0.0, 1e30):
        x, y = np.full((1, 19), equal, dtype), np.empty((1, 19), dtype)
        compiled.OPS[name](x, out=y)
        expected = -math.log(19.0) if name == "log_softmax" else 1.0 / 19.0
        assert_same(y, np.full_like(y, expected))


def test_the_softmaxes_may_work_in_place(rng: np.random.Generator) -> None:
    for name in ("softmax", "log_softmax"):
        x, truth = rng.normal(size=(2, 7, 33))
        reference.OPS[name](x, out=truth)
        compiled.OPS[name](x, out=x)
        assert_same(x, truth)
        for shared in (0, 1):
            given = list(rng.normal(size=(2, 7, 33)))
            reference.OPS[name + "_gradient"](*given, out=truth)
            compiled.OPS[name + "_gradient"](*given, out=given[shared])
            assert_same(given[shared], truth, scale=20.0)


# ------------------------------------------------- indices, and examples of several rows


def some_indices(rng: np.random.Generator, most: int, *shape: int) -> Array:
    """Numbers of rows, some of them of none."""
    return rng.integers(-2, most + 2, shape).astype(np.int32)


@pytest.mark.parametrize("dtype", DTYPES)
def test_indices(dtype: Any, threads: int, rng: np.random.Generator) -> None:
    for rows, cols in [*SHAPES, (3000, 40)]:
        x = rng.normal(scale=1000, size=(rows, cols)).astype(dtype)
        x.reshape(-1)[::5] = np.resize([np.nan, np.inf, -0.5, 1e30, 2**31], len(x.reshape(-1)[::5]))
        assert_parity("indices", x, out={"out": np.empty(x.shape, np.int32)})


@pytest.mark.parametrize("dtype", DTYPES)
def test_lookup(dtype: Any, threads: int, rng: np.random.Generator) -> None:
    for rows, cols in [(r, c) for r, c in SHAPES if r] + [(300, 70), (3000, 40)]:
        w = rng.normal(size=(rows, cols)).astype(dtype)
        for shape in ((11,), (5, 7), (0, 3), (600, 9)):
            index = some_indices(rng, rows, *shape)
            assert_parity("lookup", index, w, out={"out": np.empty((*shape, cols), dtype)})
            dy = rng.normal(size=(*shape, cols)).astype(dtype)
            assert_parity(
                "lookup_gradient", dy, index, out={"out": np.empty_like(w)}, scale=math.sqrt(600)
            )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("counts", [False, True])
def test_encode(dtype: Any, counts: bool, threads: int, rng: np.random.Generator) -> None:
    for n, depth in [(n, d) for n, d in SHAPES if d] + [(5, 700)]:
        for rows in ((3,), (2, 5), (0,), (300,)):
            index = some_indices(rng, depth, *rows, n)
            out = {"out": np.empty((*rows, depth), dtype)}
            assert_parity("encode", index, out=out, counts=counts)


@pytest.mark.parametrize("dtype", DTYPES)
def test_permute(dtype: Any, threads: int, rng: np.random.Generator) -> None:
    for shape, axes in [
        ((7,), (0,)),
        ((17, 33), (1, 0)),
        ((2, 3, 4), (2, 0, 1)),
        ((2, 1, 5, 3), (3, 2, 1, 0)),
    ]:
        for rows in (0, 1, 5, 400):
            x = rng.normal(size=(rows, *shape)).astype(dtype)
            out = {"out": np.empty((rows, *(shape[a] for a in axes)), dtype)}
            assert_parity("permute", x, out=out, axes=axes)


@pytest.mark.parametrize("dtype", DTYPES)
def test_steps(dtype: Any, threads: int, rng: np.random.Generator) -> None:
    for steps, cols in [(s, c) for s, c in SHAPES if s and c]:
        for rows in ((3,), (2, 5), (0,), (60,)):
            x = rng.normal(size=(*rows, steps, cols)).astype(dtype)
            x[..., :: max(steps // 2, 1), :] = 0.5  # equal ones
            few = rng.normal(size=(*rows, cols)).astype(dtype)
            assert_parity("sum_steps", x, out={"out": few}, scale=steps)
            assert_parity("mean_steps", x, out={"out": few}, scale=steps)
            for how in itertools.product((-1, -2), (False, True)):
                options = dict(zip(("axis", "reverse"), how, strict=True))
                for out in (x, np.empty_like(x)):
                    assert_parity("cumulative_sum", x, out={"out": out}, scale=40, **options)
            assert_parity("repeat_steps", few, out={"out": x})
            assert_parity("max_steps", x, out={"out": few})
            y = x.max(axis=-2)
            assert_parity("max_steps_gradient", few, x, y, out={"out": x})


@pytest.mark.parametrize("dtype", DTYPES)
def test_examples_without_steps(dtype: Any, threads: int) -> None:
    """Sums of none are 0 and means NaN; the largest of none is an error, as in the reference."""
    x, few = np.empty((5, 0, 33), dtype), np.full((5, 33), 7, dtype)
    assert_parity("sum_steps", x, out={"out": few})
    assert_parity("mean_steps", x, out={"out": few})
    assert_parity("cumulative_sum", x, out={"out": x}, axis=-2)
    assert_parity("cumulative_sum", x, out={"out": x}, axis=-2, reverse=True)
    assert_parity("repeat_steps", few, out={"out": x})
    assert_parity("max_steps_gradient", few, x, few, out={"out": x})
    for ops in (compiled.OPS, reference.OPS):
        with pytest.raises(ValueError, match="max"):
            ops["max_steps"](x, out=few)


@pytest.mark.parametrize("dtype", DTYPES)
def test_unit_rows(dtype: Any, threads: int, rng: np.random.Generator) -> None:
    for rows, cols in [(r, c) for r, c in SHAPES if c] + [(2000, 40)]:
        x = (rng.uniform(0.5, 2, (rows, cols)) * rng.choice([-1, 1], (rows, cols))).astype(dtype)
        x[::3] = 0
        dy = rng.normal(size=(rows, cols)).astype(dtype)
        assert_parity("unit_rows", x, out={"out": x})
        assert_parity("unit_rows_gradient", dy, x, out={"out": x}, scale=cols)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("invert", [False, True])
def test_standardize(dtype: Any, invert: bool, threads: int, rng: np.random.Generator) -> None:
    for cols, run in [*SHAPES, (40, 1)]:
        for rows in ((3,), (2, 5), (900,)):
            x = rng.normal(size=(*rows, cols, run)).astype(dtype)
            mean = rng.normal(size=cols).astype(dtype)
            variance = rng.uniform(0.5, 2, size=cols).astype(dtype)
            variance[:1] = 0
            out, how = {"out": x}, {"invert": invert}
            assert_parity("standardize", x, mean, variance, out=out, scale=10, **how)
            assert_parity("standardize_gradient", x, variance, out=out, **how)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_mean_is_rounded_once(dtype: Any) -> None:
    """Sums of whole numbers are exact, and so is what is divided."""
    x = np.zeros((49, 49, 2), dtype)
    for steps in range(1, 50):
        x[:, 0] = np.arange(1, 99).reshape(49, 2)
        found, expected = np.empty((2, 49, 2), dtype)
        compiled.OPS["mean_steps"](x[:, :steps].copy(), out=found)
        reference.OPS["mean_steps"](x[:, :steps], out=expected)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(found, x[:, 0] / dtype(steps))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell")
def test_a_call_keeps_no_room_behind_it() -> None:
    """Muon's room for such a weight is three times as large as the weight, of 8 MB."""
    w, g, m = (np.ones((1024, 1024)) for _ in range(3))
    settings = dict.fromkeys(WHOLE_UPDATES["muon"].hyper, 1.0) | {"ns_steps": 0}

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    compiled.OPS["muon"](w, g, (m,), iteration=1, **settings)
    assert resident() - before < w.nbytes


TRANSPOSED = {"transpose_b": True}


def test_shapes_of_examples_that_do_not_fit_are_refused() -> None:
    x = np.ones((2, 3, 4), np.float32)
    index = np.zeros((2, 3), np.int32)
    for op, arrays, keywords in (
        ("indices", (x,), {"out": np.empty((2, 3), np.int32)}),
        ("indices", (x,), {"out": np.empty((2, 3, 4), np.int64)}),
        ("lookup", (index, x[0]), {"out": np.empty((2, 4), np.float32)}),
        ("lookup", (index.astype(float), x[0]), {"out": np.empty((2, 3, 4), np.float32)}),
        ("lookup_gradient", (x, index[:1]), {"out": x[0]}),
        ("encode", (index,), {"out": np.empty((3, 5), np.float32), "counts": True}),
        ("permute", (x,), {"out": x, "axes": (1, 0)}),
        ("sum_steps", (x,), {"out": np.empty((2, 3), np.float32)}),
        ("mean_steps", (x,), {"out": np.empty((2, 3), np.float32)}),
        ("cumulative_sum", (x,), {"out": np.empty((2, 4, 3), np.float32), "axis": -1}),
        ("repeat_steps", (x[0],), {"out": np.empty((2, 3, 4), np.float32)}),
        ("max_steps", (x,), {"out": np.empty((1, 4), np.float32)}),
        ("max_steps_gradient", (x[0], x, x[:, 0]), {"out": x}),
        ("batch_matmul", (x, x), {"out": np.empty((2, 3, 3), np.float32)}),
        ("batch_matmul", (x, x[:1]), {"out": np.empty((2, 3, 3), np.float32), **TRANSPOSED}),
        ("batch_matmul", (x, x), {"out": np.empty((2, 3, 4), np.float32), **TRANSPOSED}),
        ("batch_matmul", (x, x.astype(float)), {"out": np.empty((2, 3, 3), "f"), **TRANSPOSED}),
        ("standardize", (x, x[0, 0], x[0, 0]), {"out": x, "invert": False}),
    ):
        with pytest.raises(ValueError, match=r"expected|need C-contiguous arrays of one dtype"):
            compiled.OPS[op](*arrays, **keywords)
    for axis in (-3, 0):
        with pytest.raises(ValueError, match=f"along axes -1 to -2 here, not {axis}"):
            compiled.OPS["cumulative_sum"](x, out=x, axis=axis)


# ----------------------------------------------------------------------------- losses


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_loss(name: str, dtype: Any, threads: int, rng: np.random.Generator) -> None:
    for shape in [*SHAPES, (301, 303)]:
        y, p = rng.uniform(0.02, 0.98, size=(2, *shape)).astype(dtype)
        values = np.empty(shape[0], dtype)
        for weight in (None, rng.uniform(0.5, 2.0, size=shape[0]).astype(dtype)):
            for out in ({"values": values}, {"values": values, "gradient": p}):
                assert_parity(name, y, p, weight, out=out, scale=20.0)
                assert_parity(name, y, p, weight, out=out, scale=20.0, param=0.3)
            ours, truth = (
                {"values": np.empty_like(values), "gradient": np.empty_like(p)} for _ in range(2)
            )
            compiled.OPS[name](y, p, weight, **ours, scale=0.25)
            reference.OPS[name](y, p, weight, **truth, scale=0.25)
            assert_same(ours["gradient"], truth["gradient"], scale=5.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_loss_at_the_ends(name: str, dtype: Any) -> None:
    near = (0.0, 1.0, 1e-8, 1.0 - 1e-8, -1.0, 2.0, 0.3, 1e-40)
    column = np.array([*EXTREMES, *near], dtype)[:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        for label in (0.0, 1.0, -1.0, 0.5):
            for p in (column, np.repeat(column, 3, axis=1)):
                y = np.full_like(p, label)
                out = {"values": np.empty(len(p), dtype), "gradient": p}
                ours, truth = both(name, y, p, None, out=out, param=1.0)
                assert_same(ours["values"], truth["values"])
                # Where the loss is not finite, no gradient is used.
                used = np.isfinite(truth["values"])
                assert_same(ours["gradient"][used], truth["gradient"][used])


def test_a_loss_may_write_its_gradient_over_its_input(rng: np.random.Generator) -> None:
    for name in LOSSES:
        for shared in (0, 1):
            given = list(rng.uniform(0.1, 0.9, size=(2, 7, 33)))
            truth, values = np.empty((7, 33)), np.empty(7)
            reference.OPS[name](*given, None, values=values, gradient=truth)
            compiled.OPS[name](*given, None, values=values, gradient=given[shared])
            assert_same(given[shared], truth)


@pytest.mark.parametrize("dtype", DTYPES)
def test_hinge_looks_at_all_labels_at_once(dtype: Any, threads: int) -> None:
    # One -1 in the last row tells that the zeros above it are zeros and not -1.
    y = np.zeros((40_000, 2), dtype)
    p = np.full_like(y, 0.25)
    out = {"values": np.empty(len(y), dtype), "gradient": p}
    ours, truth = both("hinge", y, p, None, out=out)
    assert (truth["values"] == 1.25).all()
    np.testing.assert_array_equal(ours["values"], truth["values"])
    y[-1, -1] = -1.0
    ours, truth = both("hinge", y, p, None, out=out)
    assert (truth["values"][:-1] == 1.0).all()
    np.testing.assert_array_equal(ours["values"], truth["values"])
    np.testing.assert_array_equal(ours["gradient"], truth["gradient"])


CROSSENTROPIES: list[tuple[str, dict[str, Any]]] = [
    ("categorical_crossentropy", {"smoothing": 0.0}),
    ("categorical_crossentropy", {"smoothing": 0.2}),
    ("sparse_categorical_crossentropy", {}),
    ("softmax_crossentropy", {}),
    ("softmax_crossentropy", {"clip": False, "smoothing": 0.2}),
    ("softmax_crossentropy", {"clip": True, "smoothing": 0.2}),
    ("sparse_softmax_crossentropy", {"clip": False}),
    ("sparse_softmax_crossentropy", {"clip": True}),
]


def subsets(out: dict[str, Array]) -> list[dict[str, Array]]:
    """The values alone, and with each choice of the other outputs."""
    rest = [name for name in out if name != "values"]
    chosen = [[n for i, n in enumerate(rest) if bits >> i & 1] for bits in range(2 ** len(rest))]
    return [{name: out[name] for name in ("values", *names)} for names in chosen]


def crossentropy_outputs(op: str, scores: Array) -> dict[str, Array]:
    out = {"values": np.empty(len(scores), scores.dtype), "gradient": scores}
    return out | ({"probability": scores} if "softmax" in op else {})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("op", "options"), CROSSENTROPIES)
def test_crossentropy(
    op: str, options: dict[str, Any], dtype: Any, threads: int, rng: np.random.Generator
) -> None:
    for rows, cols in [*SHAPES, (301, 303)]:
        label = rng.integers(0, cols, rows).astype(np.int32)
        target = label if op.startswith("sparse") else rng.dirichlet(np.ones(cols), rows)
        target = np.asarray(target, None if op.startswith("sparse") else dtype)
        scores = rng.uniform(0.05, 0.95, size=(rows, cols)).astype(dtype)
        for weight in (None, rng.uniform(0.5, 2.0, size=rows).astype(dtype)):
            for out in subsets(crossentropy_outputs(op, scores)):
                assert_parity(op, target, scores, weight, out=out, scale=10.0, **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("op", "options"), CROSSENTROPIES)
def test_crossentropy_at_the_ends(op: str, options: dict[str, Any], dtype: Any) -> None:
    rows = [[0.0, 1.0], [1.0, 0.0], [0.0, 1e30], [np.nan, 1.0], [0.0, 0.0]]
    rows += [[1e-40, 1.0], [1e-7, 1 - 1e-7]]
    if "softmax" in op:
        rows += [[50.0, -50.0], [-np.inf, 0.0], [-1e30, 1e30], [800.0, 0.0]]
        options = options | ({"smoothing": 0.0} if "smoothing" in options else {})
    scores = np.array(rows, dtype)
    for label in (np.zeros(len(rows), np.int32), np.ones(len(rows), np.int32)):
        target = label if op.startswith("sparse") else np.eye(2, dtype=dtype)[label]
        out = crossentropy_outputs(op, scores)
        ours, truth = both(op, target, scores, None, out=out, **options)
        used = np.isfinite(truth.pop("values"))
        assert_parity(op, target, scores, None, out={"values": out["values"]}, **options)
        for name in truth:
            assert_same(ours[name][used], truth[name][used])


@pytest.mark.parametrize("op", ["softmax_crossentropy", "sparse_softmax_crossentropy"])
def test_outputs_may_share_memory_with_the_scores(op: str, rng: np.random.Generator) -> None:
    label = rng.integers(0, 19, 6).astype(np.int32)
    target = label if op.startswith("sparse") else np.eye(19)[label]
    for shared in ("gradient", "probability"):
        for clip in (False, True):
            x = rng.normal(size=(6, 19))
            out = crossentropy_outputs(op, x)
            for names in subsets(out):
                if shared not in names:
                    continue
                scores = x.copy()
                _, truth = both(op, target, scores, None, out=names, clip=clip)
                outputs = {name: np.empty_like(a) for name, a in names.items()}
                outputs[shared] = scores
                compiled.OPS[op](target, scores, None, clip=clip, **outputs)
                for name, array in outputs.items():
                    assert_same(array, truth[name])


SPARSE_LOSSES = ["sparse_categorical_crossentropy", "sparse_softmax_crossentropy"]


@pytest.mark.parametrize("label", [-1, 3, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("op", [*SPARSE_LOSSES, "sparse_top_k_accuracy"])
def test_labels_out_of_range_are_refused(op: str, label: int) -> None:
    scores, values = np.ones((2, 3)), np.empty(2)
    for ops in (compiled.OPS, reference.OPS):
        with pytest.raises(ValueError, match=f"from 0 to 2.*got {label}"):
            ops[op](np.array([0, label], np.int32), scores, None, values=values)


# ---------------------------------------------------------------------------- metrics

METRICS: list[tuple[str, dict[str, float]]] = [
    ("binary_accuracy", {}),
    ("binary_accuracy", {"param": 0.3}),
    ("categorical_accuracy", {}),
    ("sparse_categorical_accuracy", {}),
    ("top_k_accuracy", {}),
    ("top_k_accuracy", {"param": 2.0}),
    ("sparse_top_k_accuracy", {}),
    ("sparse_top_k_accuracy", {"param": 1.0}),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("op", "options"), METRICS)
def test_metric(
    op: str, options: dict[str, float], dtype: Any, threads: int, rng: np.random.Generator
) -> None:
    for rows, cols in [*SHAPES, (301, 303)]:
        # Few different scores: many of them are equal to another.
        scores = (rng.integers(0, 12, size=(rows, cols)) / 12.0).astype(dtype)
        label = rng.integers(0, cols, rows).astype(np.int32)
        one_hot = np.eye(cols, dtype=dtype)[label]
        target = label if op.startswith("sparse") else one_hot
        for weight in (None, rng.uniform(0.5, 2.0, size=rows).astype(dtype)):
            out = {"values": np.empty(rows, dtype)}
            assert_parity(op, target, scores, weight, out=out, **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("op", "options"), METRICS)
def test_metric_at_the_ends(op: str, options: dict[str, float], dtype: Any) -> None:
    n = len(EXTREMES)
    scores = np.tile(np.linspace(0.0, 1.0, n).astype(dtype), (2 * n, 1))
    scores[np.arange(2 * n), np.arange(2 * n) % n] = EXTREMES * 2
    label = np.repeat(np.array([0, n - 1], np.int32), n)
    target = label if op.startswith("sparse") else np.eye(n, dtype=dtype)[label]
    assert_parity(op, target, scores, None, out={"values": np.empty(2 * n, dtype)}, **options)


def test_an_impossible_label_is_no_match() -> None:
    label = np.array([1, 3, -1], np.int32)
    ours, truth = both(
        "sparse_categorical_accuracy",
        label,
        np.eye(3)[[1, 1, 2]],
        None,
        out={"values": np.empty(3)},
    )
    np.testing.assert_array_equal(truth["values"], [1.0, 0.0, 0.0])
    np.testing.assert_array_equal(ours["values"], truth["values"])


# ------------------------------------------------------------------------- optimizers

HYPER = {
    "learning_rate": 0.05,
    "momentum": 0.8,
    "learning_rate_power": -0.5,
    "l1": 0.01,
    "l2": 0.02,
    "l2_shrinkage": 0.01,
    "beta": 0.1,
    "beta_1": 0.9,
    "beta_2": 0.99,
    "epsilon": 1e-7,
    "weight_decay": 0.01,
    "rho": 0.9,
    "warmup_steps": 5,
}


def settings(name: str) -> dict[str, float]:
    return {setting: HYPER[setting] for setting in OPTIMIZERS[name].hyper}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(name: str, dtype: Any, threads: int, rng: np.random.Generator) -> None:
    for shape in [*SHAPES, (), (3, 2, 5), (301, 303)]:
        arrays = [
            [
                np.ones(shape, dtype),
                *(np.zeros(shape, dtype) for _ in range(OPTIMIZERS[name].slots)),
            ]
            for _ in range(2)
        ]
        for iteration in (1, 2, 3, 1000):
            g = np.asarray(rng.uniform(0.5, 1.5, size=shape), dtype)
            for (w, *slots), ops in zip(arrays, (compiled.OPS, reference.OPS), strict=True):
                ops[name](w, g, tuple(slots), iteration=iteration, **settings(name))
        for ours, truth in zip(*arrays, strict=True):
            assert_same(ours, truth)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_at_the_ends(name: str, dtype: Any) -> None:
    # Squares of 1e15 do not overflow in float32.
    g = np.clip(np.array(EXTREMES, dtype), -1e15, 1e15)
    arrays = [
        [np.ones_like(g), *(np.zeros_like(g) for _ in range(OPTIMIZERS[name].slots))]
        for _ in range(2)
    ]
    for (w, *slots), ops in zip(arrays, (compiled.OPS, reference.OPS), strict=True):
        ops[name](w, g, tuple(slots), iteration=1, **settings(name))
    for ours, truth in zip(*arrays, strict=True):
        assert_same(ours, truth)
    assert np.isnan(arrays[1][-1][-1])  # the last slot, or the weights of a rule without one


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_names_what_it_needs(name: str) -> None:
    w = np.ones(3)
    slots = tuple(np.zeros(3) for _ in range(OPTIMIZERS[name].slots))
    op = compiled.OPS[name]
    with pytest.raises(TypeError, match=f"{name} takes .*learning_rate"):
        op(w, w.copy(), slots, iteration=1, rate=0.1)
    wrong = (*slots, np.zeros(3)) if len(slots) < 3 else slots[:-1]
    with pytest.raises(ValueError, match=f"{name} .*{len(slots)}.*{len(wrong)}"):
        op(w, w.copy(), wrong, iteration=1, **settings(name))
    np.testing.assert_array_equal(w, np.ones(3))


@pytest.mark.parametrize("dtype", DTYPES)
def test_penalty(dtype: Any, threads: int, rng: np.random.Generator) -> None:
    for shape in [*SHAPES, (), (2, 3, 5), (301, 303)]:
        w, g = (np.asarray(a, dtype) for a in rng.normal(size=(2, *shape)))
        for l1, l2 in ((0.3, 0.0), (0.0, 0.2), (0.1, 0.2)):
            ours, truth = (ops["penalty"](w, l1=l1, l2=l2) for ops in (compiled.OPS, reference.OPS))
            assert type(ours) is float
            # Both sum in double: only the order differs.
            assert ours == pytest.approx(truth, rel=1e-12, abs=1e-15)
            gradients = g.copy(), g.copy()
            for gradient, ops in zip(gradients, (compiled.OPS, reference.OPS), strict=True):
                ops["penalty_gradient"](w, gradient, l1=l1, l2=l2)
            assert_same(*gradients)


# ---------------------------------------------------------------------------- refusals


def test_arrays_that_the_core_cannot_read_are_refused() -> None:
    x = np.ones((4, 6))
    relu = compiled.OPS["relu"]
    with pytest.raises(ValueError, match="float32 and float64, not on int64"):
        relu(x.astype(np.int64), out=x)
    with pytest.raises(ValueError, match="float32 and float64, not on >f8"):
        relu(x.astype(">f8"), out=x.astype(">f8"))
    with pytest.raises(ValueError, match=r"C-contiguous arrays of one dtype \(float64\)"):
        relu(x[:, ::2], out=np.empty((4, 3)))
    with pytest.raises(ValueError, match=r"C-contiguous arrays of one dtype \(float64\)"):
        relu(x, out=np.empty((4, 6), np.float32))
    with pytest.raises(ValueError, match="differ"):
        relu(x, out=np.empty((4, 5)))


def test_shapes_that_do_not_fit_are_refused() -> None:
    x, w = np.ones((4, 6)), np.ones((6, 3))
    ops = compiled.OPS
    with pytest.raises(ValueError, match="do not fit"):
        ops["matmul"](x, w, out=np.empty((3, 4)))
    with pytest.raises(ValueError, match="do not fit"):
        ops["matmul"](x, w, transpose_a=True, out=np.empty((4, 3)))
    with pytest.raises(ValueError, match="bias has shape"):
        ops["dense"](x, w, np.ones(4), out=np.empty((4, 3)))
    with pytest.raises(ValueError, match="out has shape"):
        ops["bias_gradient"](x, out=np.empty(4))
    with pytest.raises(ValueError, match="b has shape"):
        ops["add_bias"](x, np.ones(4), out=np.empty_like(x))
    loss = ops["mean_squared_error"]
    with pytest.raises(ValueError, match="do not fit"):
        loss(x, x[:, :5].copy(), None, values=np.empty(4))
    with pytest.raises(ValueError, match="do not fit"):
        loss(x, x, None, values=np.empty(5))
    with pytest.raises(ValueError, match="weight has shape"):
        loss(x, x, np.ones(3), values=np.empty(4))
    with pytest.raises(ValueError, match="gradient has shape"):
        loss(x, x, None, values=np.empty(4), gradient=np.empty((4, 5)))
    with pytest.raises(ValueError, match="no columns"):
        loss(np.empty((4, 0)), np.empty((4, 0)), None, values=np.empty(4))
    with pytest.raises(ValueError, match="slot 0 has shape"):
        ops["adagrad"](x, x, (np.ones(3),), iteration=1, learning_rate=0.1, epsilon=0.0)


# -------------------------------------------------------------- one call after another
# What calls of the same shapes and dtype have in common is kept from the first on.


def test_calls_of_more_shapes_than_are_remembered(rng: np.random.Generator) -> None:
    for _ in range(2):
        for rows in range(1, 100):
            for dtype in DTYPES:
                x = rng.normal(size=(rows, 3)).astype(dtype)
                assert_parity("softmax", x, out={"out": x})


def test_calls_of_one_shape_with_other_options(rng: np.random.Generator) -> None:
    x = rng.normal(size=(5, 8))
    for alpha in (0.1, 0.5, 0.1):
        assert_parity("leaky_relu", x, out={"out": x}, alpha=alpha)
    for first in (0, 3, 5):
        assert_parity("columns", x, out={"out": x[:, :3]}, first=first)
    for weight in (None, rng.uniform(size=5), None):
        out = {"values": np.empty(5), "gradient": x}
        assert_parity("mean_squared_error", x + 1, x, weight, out=out)


def test_a_call_that_fails_leaves_nothing_behind(rng: np.random.Generator) -> None:
    x, label = rng.normal(size=(4, 6)), np.arange(4, dtype=np.int32)
    out = {"values": np.empty(4), "gradient": x}
    loss = compiled.OPS["sparse_softmax_crossentropy"]
    for _ in range(2):
        assert_parity("sparse_softmax_crossentropy", label, x, None, out=out)
        for bad in (label + 3, label.astype(np.int64), label[:3], label[::-1]):
            with pytest.raises(ValueError, match=r"class numbers|C-contiguous|shapes"):
                loss(bad, x, None, values=np.empty(4), gradient=np.empty_like(x))
        with pytest.raises(ValueError, match="of one dtype"):
            loss(label, x, None, values=np.empty(4, "f4"), gradient=np.empty_like(x))
        with pytest.raises(TypeError, match="takes"):
            loss(label, x, None, values=np.empty(4), gradient=np.empty_like(x), colour="red")
    with pytest.raises(TypeError, match="needs rate, key"):
        compiled.OPS["dropout"](x, out=np.empty_like(x))


def test_calls_in_threads(rng: np.random.Generator) -> None:
    x = [rng.normal(size=(rows, 7)) for rows in range(1, 9)]

    def call(i: int) -> None:
        out, mean, variance = np.empty_like(x[i]), np.empty(7), np.empty(7)
        expected = np.exp(x[i]) / np.exp(x[i]).sum(axis=1, keepdims=True)
        for _ in range(300):
            compiled.OPS["softmax"](x[i], out=out)
            np.testing.assert_allclose(out, expected)
            compiled.OPS["column_moments"](x[i], mean=mean, variance=variance)
            np.testing.assert_allclose(mean, x[i].mean(axis=0))

    in_threads(*[lambda i=i: call(i) for i in range(8)])


def test_random_orders_need_a_key_each() -> None:
    out = np.empty((2, 5), np.int64)
    order = compiled.OPS["permutations"]
    with pytest.raises(ValueError, match="keys has shape"):
        order(np.zeros(1, np.uint64), out=out)
    with pytest.raises(ValueError, match="uint64"):
        order(np.zeros(2, np.int64), out=out)
    with pytest.raises(ValueError, match="int64"):
        order(np.zeros(2, np.uint64), out=out.astype(np.int32))
    order(np.arange(2, dtype=np.uint64), out=out)
    assert sorted(out[0]) == sorted(out[1]) == list(range(5))
    order(np.arange(2, dtype=np.uint64), out=np.empty((2, 0), np.int64))


# -------------------------------------------------------------------- instruction sets


def run_with_isa(isa: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"HOTLOOP_ISA": isa},
        cwd=os.path.dirname(os.path.dirname(os.path.dirname(__file__))),
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.skipif("HOTLOOP_ISA" in os.environ, reason="this is that run")
@pytest.mark.parametrize("isa", [n for n in runtime.isa_available() if n != runtime.isa()])
def test_the_other_instruction_sets_pass_this_file_too(isa: str) -> None:
    done = run_with_isa(isa, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout


def test_the_instruction_set_is_the_one_that_was_asked_for() -> None:
    for isa in runtime.isa_available():
        done = run_with_isa(isa, "-c", "from hotloop.backends import isa; print(isa())")
        assert done.stdout == isa + "\n"
    assert "baseline" in runtime.isa_available()


def test_an_unknown_instruction_set_is_an_error_each_time_it_is_asked_for() -> None:
    code = (
        "import hotloop\n"
        "for _ in range(2):\n"
        "    try: hotloop.config.backend()\n"
        "    except ValueError as error: print(error)"
    )
    done = run_with_isa("sse9", "-c", code)
    names = ", ".join(runtime.isa_available())
    message = f"HOTLOOP_ISA='sse9' cannot be used: this build and CPU have {names}\n"
    assert done.stdout == 2 * message
