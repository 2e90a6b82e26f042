"""The runtime of the compiled core: packed arrays, instruction sets, CPU and pool."""

from __future__ import annotations

import os
import platform
from typing import Any

import numpy as np
import pytest

from hotloop import config
from hotloop.variables import Variable

runtime = pytest.importorskip(
    "hotloop.backends.compiled.runtime", reason="the compiled core is an optional part"
)

# Around every multiple of every vector length: 2 (baseline, float64) to 16 (AVX-512, float32),
# a panel being two vectors wide.
COLUMNS = (*range(36), 47, 48, 49, 63, 64, 65, 127, 128, 129)
SHAPES = [(), (0,), (1,), (5,), (33,), (2, 3, 5), (0, 4, 2)]
SHAPES += [(rows, cols) for rows in (0, 1, 2, 7) for cols in COLUMNS]


def numbers(shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    return np.random.default_rng(3).integers(-99, 99, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_packing_there_and_back(dtype: str) -> None:
    for shape in SHAPES:
        given = numbers(shape, dtype)
        packed = runtime.PackedArray(shape, np.dtype(dtype))
        assert packed.shape == shape
        out = np.full(shape, 9.0, dtype)
        packed.store(out)
        np.testing.assert_array_equal(out, np.zeros(shape, dtype))
        packed.load(given)
        packed.store(out)
        np.testing.assert_array_equal(out, given)
        packed.load(-given)
        packed.store(out)
        np.testing.assert_array_equal(out, -given)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_packing_pads_matrices_to_less_than_a_panel(dtype: str) -> None:
    for shape in SHAPES:
        packed = runtime.PackedArray(shape, np.dtype(dtype))
        size = int(np.prod(shape))
        assert packed.nbytes == packed.nelements * np.dtype(dtype).itemsize
        if len(shape) == 2:
            assert size <= packed.nelements < size + max(shape[0], 1) * 32
        else:
            assert packed.nelements == size


def test_packing_refuses_arrays_that_do_not_fit() -> None:
    packed = runtime.PackedArray((3, 5), np.dtype("float32"))
    packed.load(np.ones((3, 5), np.float32))
    for wrong in (np.ones((3, 4), np.float32), np.ones((3, 5)), np.ones((0, 5), np.float32)):
        with pytest.raises(ValueError, match=r"shape \(3, 5\)"):
            packed.load(wrong)
        with pytest.raises(ValueError, match=r"shape \(3, 5\)"):
            packed.store(wrong)
    with pytest.raises((BufferError, ValueError), match="contiguous"):
        packed.load(np.ones((5, 3), np.float32).T)
    fixed = np.zeros((3, 5), np.float32)
    fixed.flags.writeable = False
    with pytest.raises((BufferError, ValueError), match="read-only"):
        packed.store(fixed)
    assert not fixed.any()


@pytest.mark.parametrize("shape", [(), (5,), (3, 5), (7, 33), (2, 3, 4)])
def test_a_variable_reads_and_writes_the_same_in_either_layout(shape: tuple[int, ...]) -> None:
    given = numbers(shape, np.float32)
    variable = Variable(given)
    plain = variable.array
    packed = variable.packed(runtime.PackedArray)
    assert variable.packed(runtime.PackedArray) is packed
    np.testing.assert_array_equal(variable.numpy(), given)
    variable.assign(given + 1)
    np.testing.assert_array_equal(variable.numpy(), given + 1)
    np.testing.assert_array_equal(plain, given)  # the numbers have left it

    array = variable.array
    np.testing.assert_array_equal(array, given + 1)
    array += 1
    np.testing.assert_array_equal(variable.numpy(), given + 2)
    assert variable.packed(runtime.PackedArray) is not packed
    np.testing.assert_array_equal(np.asarray(variable), given + 2)


# ------------------------------------------------------------------------------ machine


def test_the_best_instruction_set_comes_first_and_the_portable_one_last() -> None:
    names = runtime.isa_available()
    assert names[-1] == "baseline"
    assert set(names) <= {"baseline", "avx2", "avx512", "neon"}
    assert runtime.isa() == os.environ.get("HOTLOOP_ISA", names[0])
    if platform.machine() in ("x86_64", "AMD64"):
        assert names in [("avx512", "avx2", "baseline"), ("avx2", "baseline"), ("baseline",)]


def test_the_core_counts_the_cores_that_it_may_use() -> None:
    count = runtime.cpu_count()
    assert 1 <= count <= (os.cpu_count() or 1)
    if hasattr(os, "sched_getaffinity"):
        assert count <= len(os.sched_getaffinity(0))
    assert isinstance(runtime.cpu_name(), str)
    assert runtime.pool_size() >= 0
    assert config.num_threads() >= 1
