"""Where values stand: what shares bytes with what, and windows of other values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import layers
from hotloop.backends import traits
from hotloop.backends.interpreter import Interpreter
from hotloop.backends.numpy import OPS as NUMPY
from hotloop.backends.plan_traits import IN_PYTHON
from hotloop.data.feed import Feed
from hotloop.graph import ops
from hotloop.graph.op import OPS
from hotloop.graph.plan import Plan, build
from hotloop.graph.trace import Node, Value, apply
from hotloop.variables import Variable

pytest.importorskip("hotloop.backends.compiled.executor", reason="windows are the core's")
pytestmark = pytest.mark.usefixtures("core")


@pytest.fixture
def core() -> Iterator[None]:
    """The compiled backend; it and the number of threads are what they were afterwards."""
    backend, threads = hotloop.config.backend(), hotloop.config.num_threads()
    hotloop.config.set_backend("cython")
    yield
    hotloop.config.set_backend(backend)
    hotloop.config.set_num_threads(threads)


SIZES = (1, 2, 3, 7, 17, 31, 33, 257)


def windows(plan: Plan) -> int:
    """How many values of a plan are windows."""
    values = {value for node in plan.steps for value in (*node.inputs, *node.outputs)}
    place = plan.placement
    return len({place.offset(value) for value in values if place.is_window(value)})


def both_ways(
    inputs: list[Value], outputs: list[Value], rows: int, random: np.random.Generator
) -> tuple[Plan, list[list[Any]]]:
    """A plan of the core, and what it and a plan without windows make of the same numbers."""
    arrays = [random.standard_normal((rows, *v.dims)).astype(v.dtype) for v in inputs]
    core = build(inputs, outputs, rows, traits())
    made = []
    for plan, backend in ((core, "cython"), (build(inputs, outputs, rows, IN_PYTHON), "numpy")):
        hotloop.config.set_backend(backend)
        outs = [np.empty((rows, *v.dims), v.dtype) for v in outputs]
        hotloop.backends.executor(plan).run(Feed(arrays, rows), 0, 1, np.zeros(0), outputs=outs)
        made.append(outs)
    hotloop.config.set_backend("cython")
    return core, made


def weight(random: np.random.Generator, *shape: int, dtype: str = "float32") -> Variable:
    return Variable(random.standard_normal(shape).astype(dtype))


def executed(plan: Plan) -> list[str]:
    """The names of the steps that the core does."""
    nodes = hotloop.backends.executor(plan).nodes
    return [node.op.name for node in nodes if isinstance(node, Node)]


def close(got: list[Any], expected: list[Any], terms: int) -> None:
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5 * terms)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("dims", [(), (5,)])
def test_what_is_concatenated_is_written_there(dtype: str, dims: tuple[int, ...]) -> None:
    random = np.random.default_rng()
    for _ in range(8):
        inner, left, right, rows = (int(random.choice(SIZES)) for _ in range(4))
        x = Value((*dims, inner), dtype, role="input")
        a = ops.activation("tanh", ops.matmul(x, weight(random, inner, left, dtype=dtype)))
        b = ops.matmul(x, weight(random, inner, right, dtype=dtype))
        joined = ops.concatenate(a, b, len(dims))
        y = ops.matmul(joined, weight(random, left + right, 3, dtype=dtype))
        plan, (got, expected) = both_ways([x], [y], rows, random)
        assert windows(plan) == 2
        assert "concatenate" not in executed(plan)
        close(got, expected, inner * (left + right))


def test_windows_of_windows() -> None:
    random = np.random.default_rng()
    x = Value((4, 7), "float32", role="input")
    a, b, c = (ops.matmul(x, weight(random, 7, units)) for units in (3, 17, 2))
    joined = ops.concatenate(ops.concatenate(a, b, 1), c, 1)
    y = ops.matmul(joined, weight(random, 22, 5))
    plan, (got, expected) = both_ways([x], [y], 9, random)
    assert windows(plan) == 3  # the first of the inner one begins where that does
    assert "concatenate" not in executed(plan)
    close(got, expected, 100)


def test_half_of_it_may_be_copied() -> None:
    random = np.random.default_rng()
    x = Value((7,), "float32", role="input")
    made = ops.matmul(x, weight(random, 7, 3))
    for pair in ((x, made), (made, x), (made, made)):
        y = ops.matmul(ops.concatenate(*pair, 0), weight(random, pair[0].size + pair[1].size, 5))
        plan, (got, expected) = both_ways([x], [y], 33, random)
        assert windows(plan) == 1
        assert "concatenate" in executed(plan)
        close(got, expected, 50)


def test_what_others_cannot_read_as_a_window_is_copied() -> None:
    """Softmax reads row after row; outputs are copied out whole; so are rows of another length."""
    random = np.random.default_rng()
    x = Value((2, 6), "float32", role="input")
    a, b = (ops.matmul(x, weight(random, 6, 4)) for _ in range(2))
    joined = ops.concatenate(a, b, 1)
    y = ops.matmul(joined, weight(random, 8, 5))
    for other in (
        ops.matmul(apply(OPS["softmax"], a), weight(random, 4, 2)),
        a,
        ops.matmul(ops.reshape(a, (4, 2)), weight(random, 2, 3)),
    ):
        plan, (got, expected) = both_ways([x], [y, other], 17, random)
        assert windows(plan) == 1
        close(got, expected, 50)


@pytest.mark.parametrize("dims", [(), (3,)])
def test_columns_are_read_where_they_stand(dims: tuple[int, ...]) -> None:
    """By products, activations, functions of two values and others' columns."""
    random = np.random.default_rng()
    for _ in range(8):
        first, wide, rows = (int(random.choice(SIZES)) for _ in range(3))
        x = Value((*dims, 5), "float32", role="input")
        h = ops.matmul(x, weight(random, 5, first + wide + 2))
        part = apply(OPS["columns"], h, first=first, count=wide)
        small = apply(OPS["columns"], part, first=wide - 1, count=1)
        outs = [
            ops.matmul(part, weight(random, wide, 3)),
            ops.activation("relu", part),
            ops.add(part, ops.activation("tanh", part)),
            ops.multiply(part, small),
            ops.batch_matmul(
                *(ops.reshape(v, (*dims, 1, wide)) for v in (part, part)), transpose_b=True
            )
            if not dims
            else ops.batch_matmul(part, part, transpose_a=True),
        ]
        plan, (got, expected) = both_ways([x], outs, rows, random)
        assert windows(plan) == 1 + (wide > 1)  # the last column of one is that one
        assert "columns" not in executed(plan)
        close(got, expected, 5 * wide)


def test_columns_of_what_is_fed() -> None:
    """Products read the user's array where it stands, but not as rows of another length."""
    random = np.random.default_rng()
    x = Value((8,), "float32", role="input")
    left = apply(OPS["columns"], x, first=0, count=4)
    y = ops.matmul(left, weight(random, 4, 3))
    plan, (got, expected) = both_ways([x], [y], 31, random)
    assert windows(plan) == 1
    close(got, expected, 8)


def _branches(units: int) -> hotloop.Model:
    x = hotloop.Input((6, 5))
    a = layers.Dense(units, "tanh")(x)
    b = layers.Dense(3)(x)
    h = layers.Concatenate()([a, b, layers.Dense(2, "relu")(a)])
    h = layers.Concatenate(axis=1)([h, layers.Dense(units + 5)(h)])
    return hotloop.Model(x, layers.Dense(1)(layers.Flatten()(h)))


@pytest.mark.parametrize("units", [1, 7, 33])
@pytest.mark.parametrize("rows", [3, 40])
def test_training_with_windows_is_training(units: int, rows: int) -> None:
    """As without them, and the same bits on any number of threads."""
    random = np.random.default_rng()
    x = random.standard_normal((rows, 6, 5)).astype(np.float32)
    y = random.standard_normal((rows, 1)).astype(np.float32)
    found = {}
    for backend, threads in (("numpy", 1), ("cython", 1), ("cython", 2), ("cython", 3)):
        hotloop.config.set_backend(backend)
        hotloop.config.set_num_threads(threads)
        hotloop.utils.set_random_seed(1)
        model = _branches(units)
        model.compile("sgd", "mse")
        model.fit(x, y, epochs=3, batch_size=16, verbose=0)
        found[backend, threads] = [w.copy() for w in model.get_weights()]
    for threads in (2, 3):
        for one, other in zip(found["cython", 1], found["cython", threads], strict=True):
            np.testing.assert_array_equal(one, other)
    close(found["cython", 1], found["numpy", 1], 10)


def test_windows_are_left_shut_by_backends_that_cannot_read_them() -> None:
    model = _branches(7)
    plan = build(model.inputs, model.outputs, 4, IN_PYTHON)
    assert windows(plan) == 0
    assert windows(build(model.inputs, model.outputs, 4, traits())) > 0


def test_a_python_step_finds_a_window() -> None:
    """The interpreter's arrays have the window's strides."""
    random = np.random.default_rng()
    x = Value((2, 3), "float32", role="input")
    joined = ops.concatenate(
        ops.matmul(x, weight(random, 3, 4)), ops.matmul(x, weight(random, 3, 5)), 1
    )
    y = ops.matmul(joined, weight(random, 9, 2))
    plan = build([x], [y], 5, replace(IN_PYTHON, windows=True))
    assert windows(plan) == 2
    numbers = random.standard_normal((5, 2, 3)).astype(np.float32)
    out, want = np.empty((5, 2, 2), np.float32), np.empty((5, 2, 2), np.float32)
    for each, target in ((plan, out), (build([x], [y], 5, IN_PYTHON), want)):
        Interpreter(each, NUMPY).run(Feed([numbers], 5), 0, 1, np.zeros(0), outputs=[target])
    np.testing.assert_allclose(out, want, rtol=1e-5, atol=1e-5)
