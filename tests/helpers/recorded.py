"""What functions of `hotloop.ops` record, run on each backend, and differentiated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hotloop import backends, optimizers
from hotloop.backends import numpy as reference
from hotloop.backends.interpreter import Interpreter
from hotloop.backends.plan_traits import IN_PYTHON
from hotloop.data.feed import Feed
from hotloop.graph.gradients import backward
from hotloop.graph.memory import Placement
from hotloop.graph.ops import ASSIGN
from hotloop.graph.plan import Plan, variables_of
from hotloop.graph.trace import Node, Value, in_layer, parameter, topological
from hotloop.variables import Variable


class Wide(Plan):
    """A plan that several threads run, however little there is to do."""

    @property
    def flops(self) -> int:
        return 10_000_000


def record(function: Callable[..., Any], arrays: Sequence[Any]) -> tuple[Any, dict[Value, Any]]:
    """What a function records of values that have the arrays' examples, and what they hold."""
    feeds = {Value(a.shape[1:], a.dtype.name, role="input"): a for a in arrays}
    with in_layer(None):
        return function(*feeds), feeds


def run(
    kept: Sequence[Value], feeds: dict[Value, Any], backend: str, threads: int = 1
) -> list[Any]:
    """The numbers of these values."""
    asked, kept = kept, list(dict.fromkeys(kept))
    rows = len(next(iter(feeds.values())))
    steps = topological(kept, feeds)
    states = {
        v: Variable(np.zeros(v.dims, v.dtype), row_axes=v.row_axes) for v in kept if not v.batched
    }
    changes = [Node(ASSIGN, (parameter(state), v), (), {}) for v, state in states.items()]
    steps = [*steps, *changes]
    outputs = [v for v in kept if v.batched]
    traits = IN_PYTHON if backend == "numpy" else backends.traits()
    plan = Wide(
        steps=steps,
        feeds=list(feeds),
        outputs=outputs,
        slots=[],
        placement=Placement(steps, [*kept, *feeds], rows, traits),
        batch_size=rows,
        dtype=next((v.dtype for v in (*kept, *feeds) if v.dtype.startswith("float")), "float32"),
        optimizer=optimizers.SGD(0.1),
        variables=variables_of(steps),
    )
    found = {v: np.zeros((rows, *v.dims), v.dtype) for v in outputs}
    flat = [array.reshape(rows, -1) for array in found.values()]
    before = backends.num_threads()
    if backend == "numpy":
        executor: Any = Interpreter(plan, reference.OPS)
    else:
        from hotloop.backends.compiled.kernels import Executor

        backends.set_num_threads(threads)
        executor = Executor(plan)
    executor.run(Feed([*feeds.values()], rows), 0, 1, np.zeros(0), outputs=flat)
    backends.set_num_threads(before)
    return [states[v].numpy() if v in states else found[v] for v in asked]


def gradients(y: Value, feeds: dict[Value, Any], dy: Any) -> tuple[list[Value], dict[Value, Any]]:
    """Those of the feeds that are floats, where dy is that of y; and the feeds with dy."""
    wanted = [v for v in feeds if v.dtype.startswith("float")]
    if y.batched:
        seed = Value(y.dims, y.dtype, role="input")
        feeds = {**feeds, seed: dy}
    else:
        seed = parameter(Variable(dy, row_axes=y.row_axes))
    found = backward(topological([y], feeds), [(y, seed)], wanted)
    return [found[v] for v in wanted if v in found], feeds
