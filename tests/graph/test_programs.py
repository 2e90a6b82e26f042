"""Programs: which nodes become one, and that every backend does what they did one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotloop import backends
from hotloop.backends import numpy as reference
from hotloop.backends.functions import FUNCTIONS
from hotloop.backends.interpreter import Interpreter
from hotloop.backends.plan_traits import IN_PYTHON
from hotloop.data.feed import Feed
from hotloop.graph import ops, programs
from hotloop.graph.gradients import backward
from hotloop.graph.memory import Placement
from hotloop.graph.ops import elementwise as call
from hotloop.graph.plan import Plan, variables_of
from hotloop.graph.trace import Node, Value, parameter, topological
from hotloop.variables import Variable

CORE = [name for name, function in FUNCTIONS.items() if function.takes != "whole"]
SIZES = (1, 2, 3, 7, 17, 31, 33, 257)
SPECIAL = [0.0, -0.0, np.nan, np.inf, -np.inf, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 1e30, -1e30, 1e-30]


class Wide(Plan):
    """A plan that several threads run, however little there is to do."""

    @property
    def flops(self) -> int:
        return 10_000_000


def plan(kept: Sequence[Value], feeds: dict[Value, Any], *, fuse: bool = True) -> Plan:
    """The plan that computes these values from what is fed."""
    steps: list[Node] = topological(kept, feeds)
    if fuse:
        steps = programs.fuse(steps, kept)
    rows = max((len(array) for array in feeds.values()), default=1)
    traits = backends.traits()
    placement = Placement(steps, [*kept, *feeds], rows, traits)
    dtype = kept[0].dtype if kept[0].dtype.startswith("float") else "float64"
    return Plan(
        list(steps), list(feeds), list(kept), [], placement, rows, dtype,
        variables=variables_of(steps),
    )  # fmt: skip


def by_reference(kept: Sequence[Value], feeds: dict[Value, Any], *, fuse: bool = True) -> list[Any]:
    made = plan(kept, feeds, fuse=fuse)
    made.placement = Placement(made.steps, [*kept, *feeds], made.batch_size, IN_PYTHON)
    run = Interpreter(made, reference.OPS)
    run.run(Feed([*feeds.values()], made.batch_size), 0, 1, np.zeros(0))
    return [run.array(value).copy() for value in kept]


def by_core(
    kept: Sequence[Value], feeds: dict[Value, Any], threads: int = 1, *, fuse: bool = True
) -> list[Any]:
    if not backends.available("cython"):
        pytest.skip("the compiled core is an optional part")
    from hotloop.backends.compiled.kernels import Executor

    made = plan(kept, feeds, fuse=fuse)
    found = [np.zeros((made.batch_size, *value.dims), value.dtype) for value in kept]
    flat = [array.reshape(made.batch_size, -1) for array in found]
    before = backends.num_threads()
    backends.set_num_threads(threads)
    try:
        executor = Executor(Wide(**vars(made)))
        assert executor.threads() == threads
        executor.run(Feed([*feeds.values()], made.batch_size), 0, 1, np.zeros(0), outputs=flat)
    finally:
        backends.set_num_threads(before)
    return found


def fed(*dims: int, dtype: str = "float64") -> Value:
    return Value(dims, dtype, role="input")


# ------------------------------------------------------------------------ which nodes become one


def names(nodes: Sequence[Node]) -> list[str]:
    return [
        "+".join(inner.op.name for inner in node.attributes.get("nodes", [node])) for node in nodes
    ]


def test_a_run_is_one_program_and_what_lies_between_has_no_place() -> None:
    x, y = fed(4), fed(4)
    z = call("square", call("subtract", x, y))
    out = call("sqrt", call("add", z, 1.0))
    made = plan([out], {x: np.zeros((2, 4)), y: np.zeros((2, 4))})
    assert names(made.steps) == ["constant+subtract+square+add+sqrt"]
    assert made.steps[0].inputs == (x, y)
    assert made.steps[0].outputs == (out,)
    assert made.placement.offset(z) is None


def total(x: Value) -> Value:
    """The sum of each row."""
    return ops.reshape(ops.sum_steps(ops.reshape(x, (*x.dims, 1))), x.dims[:-1])


def moved(x: Value) -> Value:
    """What is no program's: the elements in another order."""
    return ops.permute(ops.reshape(x, (2, 2)), (1, 0))


def test_what_others_need_is_an_output_too() -> None:
    x = fed(4)
    a = call("exp", x)
    b, c = call("sin", a), moved(a)
    steps = programs.fuse(topological([b, c]), [b, c])
    assert names(steps) == ["exponential+sin", "reshape", "permute"]
    assert steps[0].outputs == (a, b)


def test_a_run_ends_where_another_step_needs_it() -> None:
    x = fed(4)
    a = call("negative", call("exp", x))
    out = call("sin", call("multiply", a, ops.reshape(moved(a), (4,))))
    assert names(programs.fuse(topological([out]), [out])) == [
        "exponential+negative", "reshape", "permute", "reshape", "multiply+sin",
    ]  # fmt: skip


def own_loss(y: Value, p: Value) -> tuple[Value, Value, Value]:
    """Each row's value, and the gradient with respect to p, along a value of each row."""
    d = call("subtract", y, p)
    a = call("absolute", d)
    w = ops.where(call("less", a, 1.0), ops.scale(call("square", d), 0.5), ops.scale(a, 1.0, -0.5))
    each = call("add", call("log1p", w), call("exp", call("negative", w)))
    column = ops.reshape(each, (*each.dims, 1))
    values = ops.reshape(ops.mean_steps(column), each.dims[:-1])
    dy = fed(*values.dims, dtype=y.dtype)
    gradient = backward(topological([values], [y, p]), [(values, dy)], [p])[p]
    return values, gradient, dy


def test_a_loss_and_its_gradient_are_one_program() -> None:
    y, p = fed(64), fed(64)
    values, gradient, _ = own_loss(y, p)
    steps = programs.fuse(topological([values, gradient]), [values, gradient])
    (program,) = [node for node in steps if node.op is ops.PROGRAM]
    assert [value.dims for value in program.outputs] == [(1,), (64,)]
    assert {"repeat_steps", "mean_steps"}.isdisjoint(names(steps))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("dims", [(1,), (3,), (64,), (2, 65), (1000,)])
def test_sums_and_what_is_repeated_are_those_of_single_steps(
    dims: tuple[int, ...], dtype: str
) -> None:
    y, p = fed(*dims, dtype=dtype), fed(*dims, dtype=dtype)
    values, gradient, dy = own_loss(y, p)
    rng = np.random.default_rng(0)
    feeds = {v: rng.normal(size=(7, *v.dims)).astype(dtype) for v in (y, p, dy)}
    kept = [values, gradient, total(call("exp", y))]
    expected = by_reference(kept, feeds, fuse=False)
    tolerance = {"float32": 2e-5, "float64": 1e-13}[dtype]
    first = by_core(kept, feeds)
    for found in (by_reference(kept, feeds), by_core(kept, feeds, fuse=False), first):
        for got, array in zip(found, expected, strict=True):
            np.testing.assert_allclose(got, array, tolerance, tolerance)
    for threads in (2, 3):
        for got, array in zip(by_core(kept, feeds, threads), first, strict=True):
            np.testing.assert_array_equal(got, array)


def test_what_needs_a_sum_is_behind_it_and_goes_on_as_another_program() -> None:
    x = fed(3, 4)
    e = call("exp", x)
    share = call("divide", e, ops.reshape(total(e), (3, 1)))
    out = call("multiply", share, call("sin", share))
    steps = programs.fuse(topological([out]), [out])
    assert names(steps) == ["exponential+sum_steps", "reshape", "reshape", "divide+sin+multiply"]
    feeds = {x: np.random.default_rng(0).normal(size=(5, 3, 4))}
    np.testing.assert_allclose(*by_core([out], feeds), by_reference([out], feeds, fuse=False)[0])


def test_what_is_repeated_for_others_too_is_made() -> None:
    x = fed(4, 1)
    rows = ops.reshape(ops.repeat_steps(ops.reshape(x, (4, 1)), 3), (4, 3, 1))
    plain = ops.reshape(rows, (4, 3))
    out, other = call("sin", call("exp", plain)), ops.permute(plain, (1, 0))
    steps = programs.fuse(topological([out, other]), [out, other])
    assert "repeat_steps" in names(steps)


def test_other_shapes_and_dtypes_are_other_programs() -> None:
    x, b = fed(3, 4), fed(4)
    small = call("sin", call("exp", b))
    out = call("sin", call("add", x, small))
    assert names(programs.fuse(topological([out]), [out])) == ["exponential+sin", "add+sin"]
    other = call("sin", ops.cast(call("exp", b), "float32"))
    assert names(programs.fuse(topological([other]), [other])) == ["exponential", "cast", "sin"]


def test_one_node_alone_stays_the_step_that_it_is() -> None:
    x = fed(4)
    out = ops.activation("relu", ops.reshape(ops.scale(x, 2.0), (2, 2)))
    nodes = topological([out])
    assert programs.fuse(nodes, [out]) == nodes


def test_a_program_reads_a_weight_before_it_is_changed() -> None:
    w = parameter(Variable(np.zeros(4), "w"))
    x = fed(4)
    early = call("exp", call("multiply", x, w))
    change = Node(ops.ASSIGN, (w, call("sin", parameter(Variable(np.zeros(4), "v")))), (), {})
    late = call("sin", early)
    nodes = [*topological([early]), *topological(change.inputs), change, *topological([late])[-1:]]
    assert names(programs.fuse(nodes, [late])) == [
        "sin", "multiply+exponential", "assign", "sin",
    ]  # fmt: skip


def test_long_runs_are_cut() -> None:
    x = fed(4)
    out = x
    for _ in range(100):
        out = call("sin", out)
    found = programs.fuse(topological([out]), [out])
    assert [len(node.attributes["nodes"]) for node in found] == [32, 32, 32, 4]
    numbers = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_allclose(*by_core([out], {x: numbers}), by_reference([out], {x: numbers})[0])


# --------------------------------------------------------------------------------- what they do


def operands(arity: int, size: int, dtype: str) -> list[Any]:
    """Numbers of a function's domain, and those that are special."""
    rng = np.random.default_rng(size)
    made = []
    for i in range(arity):
        numbers = rng.normal(size=size) * 3
        if size > 30:
            numbers[: len(SPECIAL)] = np.roll(SPECIAL, 3 * i)
            numbers[14:20] = [0.3, 0.7, 100.25, -7.5, 2.5, 1e5]
        made.append(numbers.astype(dtype).reshape(1, size))
    return made


TOLERANCE = {"float32": 3e-6, "float64": 4e-15}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", CORE)
def test_every_instruction_is_the_reference(name: str, dtype: str) -> None:
    """NumPy's, in double; sizes that fill no vector, and numbers that are special."""
    function = FUNCTIONS[name]
    for size in SIZES:
        arrays = operands(function.arity, size, dtype)
        values = [fed(size, dtype=dtype) for _ in arrays]
        out = call(name, *values)
        feeds = dict(zip(values, arrays, strict=True))
        (found,) = by_core([out], feeds)
        expected = np.empty_like(found, "bool" if function.tells else "float64")
        exact = name in ("nextafter", "floor_divide")  # which depend on the dtype
        wide = arrays if exact else [array.astype("float64") for array in arrays]
        function(*wide, out=expected)
        with np.errstate(all="ignore"):
            expected = expected.astype(found.dtype)
        np.testing.assert_allclose(found, expected, TOLERANCE[dtype], TOLERANCE[dtype] / 10)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_where_and_casts_of_truth_values_and_whole_numbers(dtype: str) -> None:
    for size in SIZES:
        rng = np.random.default_rng(size)
        c, a = fed(size, dtype="bool"), fed(size, dtype=dtype)
        n, m = fed(size, dtype="int32"), fed(size, dtype="uint8")
        feeds: dict[Value, Any] = {
            c: rng.random((2, size)) < 0.5,
            a: rng.normal(size=(2, size)).astype(dtype),
            n: rng.integers(0, 2**31, (2, size)).astype("int32"),
            m: rng.integers(0, 256, (2, size)).astype("uint8"),
        }
        chosen = ops.where(call("logical_or", c, call("greater", a, 0.5)), a, 3.0)
        whole = call("add", ops.cast(n, dtype), call("multiply", ops.cast(m, dtype), 2.0))
        truth = ops.cast(call("logical_not", c), dtype)
        kept = [chosen, whole, truth, call("equal", n, n), call("less", m, m)]
        for got, array in zip(by_core(kept, feeds), by_reference(kept, feeds), strict=True):
            np.testing.assert_array_equal(got, array)
            assert got.dtype == array.dtype


# ----------------------------------------------------------------------------- random programs

SMOOTH = (
    *("sin", "cos", "tanh", "sigmoid", "softplus", "gelu_tanh", "arctan", "arcsinh", "erf"),
    *("square", "negative", "silu", "expm1"),
)
MERGED = ("add", "subtract", "multiply", "logaddexp", "hypot", "arctan2", "divide")
SHAPES = ((), (1,), (4,), (3, 1), (3, 4), (1, 4), (2, 1, 4), (2, 3, 4))

lines = st.lists(
    st.tuples(st.sampled_from(SMOOTH + MERGED), st.integers(0, 20), st.integers(0, 20)),
    min_size=2,
    max_size=9,
)
inputs = st.lists(st.tuples(st.sampled_from(SHAPES), st.booleans()), min_size=1, max_size=3)


def record(given: Sequence[tuple[tuple[int, ...], bool]], code: Any, dtype: str) -> Any:
    """What a random program computes, and of what: the first input is of each example."""
    rng = np.random.default_rng(0)
    feeds: dict[Value, Any] = {}
    made: list[Value] = []
    for i, (dims, batched) in enumerate(given):
        if batched or not i:
            made.append(fed(*dims, dtype=dtype))
            feeds[made[-1]] = rng.uniform(0.3, 1.2, (3, *dims)).astype(dtype)
        else:
            numbers = rng.uniform(0.3, 1.2, dims).astype(dtype)
            made.append(parameter(Variable(numbers, f"w{i}", row_axes=0)))
    read = list(made)
    for name, i, j in code:
        a, b = made[-1 - i % len(made)], made[-1 - j % len(made)]
        if name not in MERGED:
            made.append(call(name, a))
        elif name in ("divide", "hypot", "arctan2"):
            made.append(call(name, a, call("add", call("square", b), 0.5)))
        else:
            made.append(call(name, a, call("sin", b)))
    out = made[-1] if made[-1].batched else call("add", made[-1], made[0])
    return read, feeds, out


def with_gradients(read: Sequence[Value], feeds: dict[Value, Any], out: Value) -> list[Value]:
    """The result and its gradients with respect to what has a batch, along random numbers."""
    dy = fed(*out.dims, dtype=out.dtype)
    feeds[dy] = np.random.default_rng(1).normal(size=(3, *out.dims)).astype(out.dtype)
    wanted = [value for value in read if value.batched]
    gradients = backward(topological([out], feeds), [(out, dy)], wanted)
    return [out, *(gradients[value] for value in wanted if value in gradients)]


@settings(max_examples=30, deadline=None)
@given(inputs, lines)
def test_random_programs_do_what_their_nodes_do(given: Any, code: Any) -> None:
    for dtype in TOLERANCE:
        read, feeds, out = record(given, code, dtype)
        kept = with_gradients(read, feeds, out)
        first, one_by_one = by_core(kept, feeds), by_core(kept, feeds, fuse=False)
        tolerance = {"float32": 2e-4, "float64": 1e-11}[dtype]  # sums have another order
        for got, array in zip(first, one_by_one, strict=True):
            np.testing.assert_allclose(got, array, tolerance, tolerance)
        np.testing.assert_array_equal(first[0], one_by_one[0])
        for threads in (2, 3):
            for got, array in zip(by_core(kept, feeds, threads), first, strict=True):
                np.testing.assert_array_equal(got, array)
        if dtype == "float64":
            fused, apart = by_reference(kept, feeds), by_reference(kept, feeds, fuse=False)
            for got, array, ours in zip(fused, apart, one_by_one, strict=True):
                np.testing.assert_array_equal(got, array)
                np.testing.assert_allclose(ours, array, 1e-9, 1e-9)


@settings(max_examples=30, deadline=None)
@given(inputs, lines)
def test_gradients_of_random_programs_are_finite_differences(given: Any, code: Any) -> None:
    (first, *_), feeds, out = record(given, code, "float64")
    kept = with_gradients([first], feeds, out)
    if len(kept) == 1:  # the result does not depend on it
        return
    dy, found = feeds[list(feeds)[-1]], by_core(kept, feeds)[1]
    direction = np.random.default_rng(2).normal(size=feeds[first].shape)
    numbers = feeds[first].copy()

    def loss(step: float) -> float:
        feeds[first] = numbers + step * direction
        return float((by_core([out], feeds)[0] * dy).sum())

    slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
    assert (found * direction).sum() == pytest.approx(slope, rel=1e-4, abs=1e-4)
