"""Graphs that hold gradients are differentiated as any others are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from hotloop.backends import numpy as reference
from hotloop.backends.interpreter import Interpreter
from hotloop.backends.plan_traits import IN_PYTHON
from hotloop.backends.scalar_functions import ScalarFunction
from hotloop.data.feed import Feed
from hotloop.graph import ops
from hotloop.graph.gradients import backward
from hotloop.graph.memory import Placement
from hotloop.graph.op import OPS
from hotloop.graph.ops.constants import ones_like, zeros_like
from hotloop.graph.plan import Plan, variables_of
from hotloop.graph.trace import Value, emit, parameter, topological
from hotloop.variables import Variable

ROWS = 3


def run(kept: Sequence[Value], feeds: dict[Value, Any]) -> list[Any]:
    """What the reference makes of values."""
    steps = topological(kept, feeds)
    plan = Plan(
        steps=steps,
        feeds=[*feeds],
        outputs=[],
        slots=[],
        placement=Placement(steps, [*kept, *feeds], ROWS, IN_PYTHON),
        batch_size=ROWS,
        dtype="float64",
        variables=variables_of(steps),
    )
    executor = Interpreter(plan, reference.OPS)
    executor.run(Feed([*feeds.values()], ROWS), 0, 1, np.zeros(0))
    return [executor.array(value).copy() for value in kept]


def layer_norm(x: Value) -> Value:
    return ops.layer_norm(x, None, None, epsilon=0.1)


def with_half(x: Value) -> Value:
    """Its columns meet again."""
    return ops.multiply(ops.columns(x, 0, 2), ops.columns(x, 2, 2))


def batch_norm(x: Value) -> Value:
    """As training has it: the batch's own mean and variance."""
    mean, variance = emit(OPS["column_moments"], x)
    options = {"epsilon": 0.1, "scale": False, "center": False, "own": True}
    return emit(OPS["normalize"], x, mean, variance, **options)[0]


FUNCTIONS: dict[str, Callable[[Value], Value]] = {
    "softmax": ops.softmax,
    "log_softmax": ops.log_softmax,
    "unit_rows": ops.unit_rows,
    "glu": ops.glu,
    "layer_norm": layer_norm,
    "batch_norm": batch_norm,
    "tanh": lambda x: ops.activation("tanh", x),
    "gelu": lambda x: ops.activation("gelu", x),
    "columns": with_half,
    "square": lambda x: ops.multiply(x, x),
    "permute": lambda x: ops.multiply(ops.permute(x, (1, 0)), ops.permute(x, (1, 0))),
    "batch_matmul": lambda x: ops.batch_matmul(x, x, transpose_b=True),
    "max_steps": lambda x: ops.max_steps(ops.multiply(x, ops.softmax(x))),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_and_third_derivatives_are_differences_of_the_one_before(name: str) -> None:
    rng = np.random.default_rng(0)
    x = Value((2, 4), "float64", role="input")
    w = Variable(rng.normal(size=(4, 4)), "w")
    b = Variable(rng.normal(size=4), "b")
    feeds: dict[Value, Any] = {x: rng.normal(size=(ROWS, 2, 4))}
    y = FUNCTIONS[name](ops.add_bias(ops.matmul(x, w), b))
    wanted = [x, parameter(w), parameter(b)]
    numbers = [feeds[x], w.array, b.array]
    for order in (1, 2, 3):
        # The derivative along one direction, which is a function of the same values.
        seed = Value(y.dims, y.dtype, y.batched, role="input")
        feeds[seed] = rng.normal(size=(ROWS, *y.dims) if y.batched else y.dims)
        found = backward(topological([y]), [(y, seed)], wanted)
        directions = [rng.normal(size=array.shape) for array in numbers]
        got = dict(zip(found, run([y, *found.values()], feeds)[1:], strict=True))
        expected = sum(
            (got[value] * direction).sum()
            for value, direction in zip(wanted, directions, strict=True)
            if value in got
        )
        step = 1e-5
        sides = []
        for sign in (1.0, -1.0):
            for array, direction in zip(numbers, directions, strict=True):
                array += sign * step * direction
            sides.append((run([y], feeds)[0] * feeds[seed]).sum())
            for array, direction in zip(numbers, directions, strict=True):
                array -= sign * step * direction
        slope = (sides[0] - sides[1]) / (2 * step)
        assert expected == pytest.approx(slope, rel=1e-5, abs=1e-6), order
        if x not in found:  # of a square the third derivative is 0
            break
        y = found[x]


def test_constants_do_not_depend_on_numbers() -> None:
    x = Value((4,), "float64", role="input")
    zeros, ones = run(
        [zeros_like(x), ones_like(x)], {x: np.array([[1.0, -2.0, np.inf, -np.inf]] * ROWS)}
    )
    np.testing.assert_array_equal(zeros, np.zeros((ROWS, 4)))
    np.testing.assert_array_equal(ones, np.ones((ROWS, 4)))


def test_a_value_that_is_read_twice_gets_the_gradient_of_both() -> None:
    """As a gradient's gradient is composed of other ops, it must tell its inputs apart."""
    x = Value((4,), "float64", role="input")
    seed = Value((4,), "float64", role="input")
    (y,) = emit(OPS["softmax_gradient"], x, x)
    found = backward(topological([y]), [(y, seed)], [x])[x]
    rng = np.random.default_rng(1)
    feeds = {x: rng.normal(size=(ROWS, 4)), seed: rng.normal(size=(ROWS, 4))}
    (got,) = run([found], feeds)
    a, direction, step = feeds[x].copy(), rng.normal(size=(ROWS, 4)), 1e-6
    sides = []
    for sign in (1.0, -1.0):
        feeds[x] = a + sign * step * direction
        sides.append((run([y], feeds)[0] * feeds[seed]).sum())
    assert (got * direction).sum() == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-6)


def test_a_function_of_the_user_s_has_one_derivative_and_says_so() -> None:
    x = Value((4,), "float64", role="input")
    seed = Value((4,), "float64", role="input")
    y = ops.own_activation(x, ScalarFunction(lambda a: a * a, None, 1, "square"))
    first = backward(topological([y]), [(y, seed)], [x])[x]
    with pytest.raises(NotImplementedError, match=r"own_activation_gradient: .* hotloop\.ops"):
        backward(topological([first]), [(first, seed)], [x])
