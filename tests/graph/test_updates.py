"""Training of weights that are kept as matrices of several axes, through whole plans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from hotloop import backends, config, losses, optimizers, regularizers
from hotloop.data.feed import Feed
from hotloop.graph import ops
from hotloop.graph.plan import LossTerm, Plan, build
from hotloop.graph.trace import Value, apply, parameter
from hotloop.graph.updates import assignments
from hotloop.variables import Variable

Array = np.ndarray[Any, Any]
BATCH = 5


def plan_of(
    x: Value,
    y: Value,
    target: Value,
    trained: list[Variable],
    optimizer: optimizers.Optimizer,
    rows: int = BATCH,
    assigned: Sequence[tuple[Variable, Value]] = (),
) -> Plan:
    """One that trains these variables, so that y comes near the target."""
    term = LossTerm(losses.get("mse"), target, y)
    return build(
        [x],
        [y],
        rows,
        backends.traits(),
        losses=[term],
        trained=trained,
        optimizer=optimizer,
        assigned=assigned,
    )


def trained(
    backend: str, shape: tuple[int, ...], row_axes: int, threads: int, dtype: str = "float64"
) -> tuple[list[Array], float]:
    """A kernel and a bias after three batches of a dense layer, and the sum of the losses."""
    before = config.backend(), config.num_threads()
    config.set_backend(backend)
    config.set_num_threads(threads)
    try:
        rng = np.random.default_rng(3)
        kernel = Variable(
            rng.normal(size=shape).astype(dtype),
            "layer/kernel",
            regularizer=regularizers.L1L2(0.01, 0.02),
            row_axes=row_axes,
        )
        bias = Variable(np.zeros(int(np.prod(shape[row_axes:])), dtype), "layer/bias")
        rows, cols = int(np.prod(shape[:row_axes])), int(np.prod(shape[row_axes:]))
        x, target = Value((rows,), dtype, role="input"), Value((cols,), dtype, role="target")
        matrix = ops.reshape(parameter(kernel), (rows, cols))
        product = apply(ops.MATMUL, ops.activation("tanh", x), matrix)
        # Used twice, so that its gradient is a sum.
        both = ops.add(product, apply(ops.MATMUL, x, matrix))
        y = ops.activation("tanh", ops.add_bias(both, bias))
        adam = optimizers.Adam(0.05, clipnorm=1.0)
        plan = plan_of(x, y, target, [kernel, bias], adam)
        feed = Feed([rng.normal(size=(13, rows)), rng.normal(size=(13, cols))], 13)
        sums = np.zeros(len(plan.slots))
        assert backends.executor(plan).run(feed, 0, 3, sums) == (3, True)
        return [kernel.numpy(), bias.numpy()], float(sums.sum())
    finally:
        config.set_backend(before[0])
        config.set_num_threads(before[1])


LAYOUTS = [((4, 3), 1), ((2, 3, 4, 5), 3), ((2, 3, 4, 5), 2), ((6, 3, 11), 1), ((3, 3, 2, 37), 3)]


@pytest.mark.parametrize(("shape", "row_axes"), LAYOUTS)
@pytest.mark.parametrize("backend", ["cython", "numba"])
def test_a_kernel_of_any_axes_is_trained_as_by_the_reference(
    backend: str, shape: tuple[int, ...], row_axes: int
) -> None:
    if not backends.available(backend):
        pytest.skip(f"{backend} is an optional part")
    expected, loss = trained("numpy", shape, row_axes, 1)
    found, other = trained(backend, shape, row_axes, 1)
    assert other == pytest.approx(loss, rel=1e-9)
    for got, array in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, array, 1e-9, 1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "row_axes"), [((5, 5, 64, 96), 3), ((400, 7, 33), 1)])
def test_its_bits_do_not_depend_on_threads(
    shape: tuple[int, ...], row_axes: int, dtype: str
) -> None:
    if not backends.available("cython"):
        pytest.skip("the compiled core is an optional part")
    (kernel, bias), loss = trained("cython", shape, row_axes, 1, dtype)
    for threads in (2, 3, 4):
        found, other = trained("cython", shape, row_axes, threads, dtype)
        assert other == loss
        np.testing.assert_array_equal(found[0], kernel)
        np.testing.assert_array_equal(found[1], bias)


def test_a_kernel_of_several_axes_has_the_numbers_of_its_matrix() -> None:
    """Trained as (18, 5) it becomes the same as trained as (3, 3, 2, 5)."""
    (matrix, _), _ = trained("numpy", (18, 5), 1, 1)
    (kernel, _), _ = trained("numpy", (3, 3, 2, 5), 3, 1)
    np.testing.assert_array_equal(kernel.reshape(18, 5), matrix)


# ------------------------------------------------------------------------------- states


class Wide(Plan):
    """A plan that several threads run, however little there is to do."""

    @property
    def flops(self) -> int:
        return 10_000_000


STATES = ("plain", "packed", "left", "right", "seen", "count")


def states_after(
    backend: str, threads: int, batches: int, broken: int | None = None
) -> tuple[dict[str, Array], Array, tuple[int, bool]]:
    """States of a plan made by hand after some batches, the output, and what the run says.

    A mean over the examples, kept plain, and as a matrix with what it was before; two that change
    places; what the first example is, in bytes; and the number of batches.
    """
    before = config.backend(), config.num_threads()
    config.set_backend(backend)
    config.set_num_threads(threads)
    try:
        rng = np.random.default_rng(7)
        first = [np.zeros((3, 35)), np.zeros((3, 35)), rng.normal(size=(3, 35)), np.ones((3, 35))]
        plain, packed, left, right = (
            Variable(numbers, name, row_axes=int(name != "plain"))
            for name, numbers in zip(STATES, first, strict=False)
        )
        seen, count = Variable(np.zeros((3, 35), np.uint8)), Variable(np.zeros((), np.int32))
        kernel = Variable(rng.normal(size=(35, 2)), "kernel")
        x = Value((3, 35), "float64", role="input")
        target = Value((3, 2), "float64", role="target")
        mean = ops.over_examples(ops.sum_to(x, parameter(plain)))
        # It reads the state as the batch before left it.
        y = ops.matmul(ops.add(x, parameter(plain)), kernel)
        so_far = ops.scale(ops.cast(parameter(count), "float64"), 1.0, 1.0)
        plan = plan_of(
            x,
            y,
            target,
            [kernel],
            optimizers.SGD(0.1),
            assigned=[
                (plain, mean),
                (packed, ops.add(mean, parameter(plain))),
                (left, parameter(right)),
                (right, parameter(left)),
                (seen, ops.cast(ops.scale(mean, 100.0), "uint8")),
                (count, ops.cast(so_far, "int32")),
            ],
        )
        rows = rng.normal(size=(18, 3, 35))
        if broken is not None:
            rows[broken] = np.nan
        out = np.zeros((18, 6))
        feed = Feed([rows, rng.normal(size=(18, 3, 2))], 18)
        executor = backends.executor(Wide(**vars(plan)))
        assert executor.threads() == (threads if backend == "cython" else 1)
        said = executor.run(feed, 0, batches, np.zeros(1), outputs=[out])
        found = (plain, packed, left, right, seen, count)
        states = {name: state.numpy() for name, state in zip(STATES, found, strict=True)}
        return states | {"rows": rows, "kernel": kernel.numpy()}, out, said
    finally:
        config.set_backend(before[0])
        config.set_num_threads(before[1])


@pytest.mark.parametrize("backend", backends.NAMES)
def test_states_are_what_a_batch_makes_of_them(backend: str) -> None:
    if not backends.available(backend):
        pytest.skip(f"{backend} is an optional part")
    start, _, _ = states_after("numpy", 1, 0)
    found, out, said = states_after(backend, 1, 4)
    assert said == (4, True)
    means = [found["rows"][i : i + BATCH].mean(axis=0) for i in range(0, 18, BATCH)]
    np.testing.assert_allclose(found["plain"], means[3], 1e-12, 1e-12)
    np.testing.assert_allclose(found["packed"], means[3] + means[2], 1e-12, 1e-12)
    np.testing.assert_array_equal(found["left"], start["left"])  # there and back, twice
    np.testing.assert_array_equal(found["right"], start["right"])
    np.testing.assert_array_equal(found["seen"], np.clip(means[3] * 100, 0, 255).astype(np.uint8))
    assert found["count"] == 4
    first = (found["rows"][:BATCH] @ start["kernel"]).reshape(BATCH, -1)
    np.testing.assert_allclose(out[:BATCH], first, 1e-9, 1e-9)
    _, expected, _ = states_after("numpy", 1, 4)
    np.testing.assert_allclose(out, expected, 1e-9, 1e-9)


@pytest.mark.parametrize("backend", backends.NAMES)
def test_two_states_change_places(backend: str) -> None:
    if not backends.available(backend):
        pytest.skip(f"{backend} is an optional part")
    start, _, _ = states_after("numpy", 1, 0)
    found, _, _ = states_after(backend, 1, 3)
    np.testing.assert_array_equal(found["left"], start["right"])
    np.testing.assert_array_equal(found["right"], start["left"])


@pytest.mark.parametrize("backend", backends.NAMES)
def test_a_loss_that_is_not_finite_changes_no_state(backend: str) -> None:
    if not backends.available(backend):
        pytest.skip(f"{backend} is an optional part")
    expected, _, _ = states_after(backend, 1, 2)
    found, _, said = states_after(backend, 1, 4, broken=2 * BATCH)
    assert said == (2, False)
    for name in STATES:
        np.testing.assert_array_equal(found[name], expected[name])


def test_states_do_not_depend_on_threads() -> None:
    if not backends.available("cython"):
        pytest.skip("the compiled core is an optional part")
    expected, out, _ = states_after("cython", 1, 4)
    for threads in (2, 3, 4):
        found, other, _ = states_after("cython", threads, 4)
        np.testing.assert_array_equal(other, out)
        for name in STATES:
            np.testing.assert_array_equal(found[name], expected[name])


def test_a_state_keeps_its_shape_dtype_and_matrix() -> None:
    kernel = Variable(np.zeros((2, 3, 4)), "kernel", row_axes=2)
    x = Value((2, 3, 4), "float64", role="input")
    for value in (
        x,
        parameter(Variable(np.zeros((2, 3)))),
        parameter(Variable(np.zeros((2, 3, 4), np.float32))),
    ):
        with pytest.raises(ValueError, match=r"'kernel' of shape \(2, 3, 4\) .* cannot become"):
            assignments([(kernel, value)])
    other = parameter(Variable(np.zeros((2, 3, 4)), row_axes=1))
    with pytest.raises(ValueError, match="kept as a matrix of 6 rows, cannot become"):
        assignments([(kernel, other)])


# -------------------------------------------------------------- values of no example, trained


def of_no_example(name: str, p: Value, w: Variable, b: Variable) -> Value:
    """(3, 4) made of p (3, 5) or of p (3, 4), and of weights."""
    if name == "bias":
        return ops.add_bias(p, b)
    product = ops.matmul(p, w)
    return ops.add_bias(product, b) if name == "both" else product


@pytest.mark.parametrize("rows", [1, 4, 64])
@pytest.mark.parametrize("name", ["bias", "product", "both"])
@pytest.mark.parametrize("backend", ["cython", "numba"])
def test_weights_of_what_has_no_batch_are_trained(backend: str, name: str, rows: int) -> None:
    """And what they are multiplied by, which is changed behind the gradients that read it."""
    if not backends.available(backend):
        pytest.skip(f"{backend} is an optional part")
    found = []
    before = config.backend()
    for chosen in ("numpy", backend):
        config.set_backend(chosen)
        try:
            rng = np.random.default_rng(3)
            inner = 4 if name == "bias" else 5
            p = Variable(rng.normal(size=(3, inner)), "p", row_axes=0)
            w, b = Variable(rng.normal(size=(5, 4)), "w"), Variable(rng.normal(size=4), "b")
            x, target = (Value((3, 4), "float64", role=role) for role in ("input", "target"))
            y = ops.add(x, of_no_example(name, parameter(p), w, b))
            trained = [p, *[b] * (name != "product"), *[w] * (name != "bias")]
            plan = plan_of(x, y, target, trained, optimizers.SGD(1.0), rows)
            feed = Feed([rng.normal(size=(rows, 3, 4)), rng.normal(size=(rows, 3, 4))], rows)
            backends.executor(plan).run(feed, 0, 1, np.zeros(1))
            found.append([weight.numpy() for weight in trained])
        finally:
            config.set_backend(before)
    for got, expected in zip(*found, strict=True):
        np.testing.assert_allclose(got, expected, 1e-9, 1e-9)


def test_a_variable_has_one_value_at_a_time() -> None:
    state = Variable(np.zeros(3), "state")
    value = parameter(Variable(np.zeros(3), "other"))
    with pytest.raises(ValueError, match="'state' is given two values at once"):
        assignments([(state, value), (state, value)])


def test_a_matrix_is_cast_to_no_other_dtype() -> None:
    matrix = parameter(Variable(np.zeros((6, 17)), "matrix"))
    with pytest.raises(ValueError, match="kept as a matrix"):
        ops.cast(matrix, "float32")


def test_a_kernel_of_one_channel_is_a_matrix_of_as_many_rows() -> None:
    """Its gradient comes back through a reshape, which counts rows and not their axes."""
    kernel = parameter(Variable(np.ones((3, 3, 1, 5)), "kernel", row_axes=3))
    there = ops.reshape(ops.reshape(kernel, (9, 5)), (3, 3, 1, 5))
    assert ops.multiply(there, kernel).rows == 9
