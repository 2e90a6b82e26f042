"""The runtime of the compiled core: packed arrays, instruction sets, CPU and pool."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path
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
        packed = runtime.PackedArray(shape, np.dtype(dtype), int(len(shape) == 2))
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
        packed = runtime.PackedArray(shape, np.dtype(dtype), int(len(shape) == 2))
        size = int(np.prod(shape))
        assert packed.nbytes == packed.nelements * np.dtype(dtype).itemsize
        if len(shape) == 2:
            assert size <= packed.nelements < size + max(shape[0], 1) * 32
        else:
            assert packed.nelements == size


def test_packing_refuses_arrays_that_do_not_fit() -> None:
    packed = runtime.PackedArray((3, 5), np.dtype("float32"), 1)
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


V1 = "12:memory:/a/b\n3:cpu,cpuacct:/a/b\n1:name=systemd:/a\n"
# Whether /proc/self/cgroup is that of version 2 or 1; files below /sys/fs/cgroup; CPUs of 8.
GROUPS: dict[str, tuple[str, dict[str, str], int]] = {
    "no file at all": ("", {}, 8),
    "no limit": ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n"}, 8),
    "three CPUs": ("0::/a/b\n", {"a/b/cpu.max": "300000 100000\n"}, 3),
    "a part counts as one": ("0::/a/b\n", {"a/b/cpu.max": "150000 100000\n"}, 2),
    "less than one": ("0::/a/b\n", {"a/b/cpu.max": "1000 100000\n"}, 1),
    "more than there are": ("0::/a/b\n", {"a/b/cpu.max": "6400000 100000\n"}, 8),
    "a group further up": (
        "0::/a/b\n",
        {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "200000 100000\n"},
        2,
    ),
    "the least of several": (
        "0::/a/b\n",
        {"a/b/cpu.max": "500000 100000\n", "a/cpu.max": "400000 100000\n"},
        4,
    ),
    "in a container": ("0::/../../host/only\n", {"cpu.max": "200000 100000\n"}, 2),
    "the root group": ("0::/\n", {"cpu.max": "500000 100000\n"}, 5),
    "nonsense": ("0::/a\nx\n\n:", {"a/cpu.max": "many\n"}, 8),
    "version 1": (
        V1,
        {"cpu/a/b/cpu.cfs_quota_us": "250000\n", "cpu/a/b/cpu.cfs_period_us": "50000\n"},
        5,
    ),
    "version 1, no limit": (
        V1,
        {"cpu/a/b/cpu.cfs_quota_us": "-1\n", "cpu/a/b/cpu.cfs_period_us": "100000\n"},
        8,
    ),
    "version 1, further up": (
        V1,
        {
            "cpu/a/b/cpu.cfs_quota_us": "-1\n",
            "cpu/a/b/cpu.cfs_period_us": "100000\n",
            "cpu/cpu.cfs_quota_us": "300000\n",
            "cpu/cpu.cfs_period_us": "100000\n",
        },
        3,
    ),
}


def test_limits_of_control_groups_are_kept(
    tmp_path: Path, preloaded: Callable[..., list[str]]
) -> None:
    for name, (membership, files, _) in GROUPS.items():
        sources = {f"sys/fs/cgroup/{path}": text for path, text in files.items()}
        for path, text in (sources | {"proc/self/cgroup": membership}).items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    code = """
import os, sys
from hotloop.backends.compiled import runtime
for root in sys.argv[1:]:
    os.environ["PRELOAD_ROOT"] = root
    print(runtime.cpu_count())
"""
    found = preloaded(code, *(str(tmp_path / name) for name in GROUPS), PRELOAD_CPUS="8")
    assert dict(zip(GROUPS, map(int, found), strict=True)) == {
        name: cpus for name, (_, _, cpus) in GROUPS.items()
    }


THREADS = """
import os, sys
import numpy as np
import hotloop
from hotloop.backends.compiled import runtime
if len(sys.argv) > 1:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
model = hotloop.Sequential([hotloop.Input((256,)), hotloop.layers.Dense(256)])
model.compile("sgd", "mse")
def train():
    model.fit(np.ones((256, 256)), np.ones((256, 256)), 256, verbose=0)
    print(hotloop.config.num_threads(), runtime.pool_size())
train()
hotloop.set_num_threads(6)
train()
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_a_process_bound_to_one_cpu_trains_on_one_thread(python: Callable[..., list[str]]) -> None:
    """Threads that may be used, and threads that the pool has started."""
    assert python(THREADS, "bind") == ["1 0", "6 5"]
    # A wish of the user's comes first.
    assert python(THREADS, "bind", HOTLOOP_NUM_THREADS="3") == ["3 2", "6 5"]


def test_the_pool_has_as_many_threads_as_the_process_may_use(
    preloaded: Callable[..., list[str]],
) -> None:
    assert preloaded(THREADS, PRELOAD_CPUS="4", PRELOAD_ROOT="/nowhere") == ["4 3", "6 5"]


def test_a_small_model_starts_no_threads(python: Callable[..., list[str]]) -> None:
    code = THREADS.replace("256", "16")
    assert python(code, HOTLOOP_NUM_THREADS="8") == ["8 0", "6 0"]


# ------------------------------------------------------------------------------- memory


def test_buffers_in_a_ring_are_collected(python: Callable[..., list[str]]) -> None:
    """Large ones are pieces of a chunk, which none of them may give back alone."""
    code = """
import gc
from hotloop.backends.compiled import runtime
buffers = [runtime.Buffer(100_000) for _ in range(3)]
ring = [*buffers]
ring.append(ring)
del buffers, ring
gc.collect()
print("alive")
"""
    assert python(code) == ["alive"]
