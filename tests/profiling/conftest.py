"""A profile that nobody had to wait for."""

from __future__ import annotations

import pytest


def timing(kernel, group, shape, backend, seconds, speedup, *, flops=2000, nbytes=1000):
    from hotloop.profiling.kernels import Timing  # not before --without has hidden anything

    return Timing(
        kernel=kernel,
        group=group,
        shape=shape,
        backend=backend,
        seconds=seconds,
        flops=flops,
        nbytes=nbytes,
        floor=1e-6,
        level="L1",
        speedup=speedup,
    )


@pytest.fixture
def made_up():
    """Two kernels, of which Numba serves one, and NumPy alone a third."""
    from hotloop.profiling.kernels import KernelProfile
    from hotloop.profiling.roof import Roof

    roof = Roof(
        gflops=100.0,
        bandwidth={"L1": 200.0, "L2": 100.0, "L3": 50.0, "memory": 10.0},
        threads=2,
        sizes={"L1": 1 << 15, "L2": 1 << 20, "L3": 1 << 25},
    )
    timings = (
        timing("matmul", "products", (2, 3, 4), "numpy", 4e-6, 1.0),
        timing("matmul", "products", (2, 3, 4), "cython", 2e-6, 2.0),
        timing("matmul", "products", (20, 30, 40), "numpy", 8e-3, 1.0),
        timing("matmul", "products", (20, 30, 40), "cython", 4e-4, 20.0),
        timing("relu", "activations", (32, 10), "numpy", 4e-6, 1.0, flops=100),
        timing("relu", "activations", (32, 10), "numba", 8e-6, 0.5, flops=100),
        timing("relu", "activations", (32, 10), "cython", 1e-6, 4.0, flops=100),
        timing("gather", "data", (32, 13), "numpy", 5e-6, 1.0, flops=10),
    )
    return KernelProfile(timings, roof, {})
