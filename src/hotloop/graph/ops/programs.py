"""A run of elementwise nodes as one: what `hotloop.graph.programs` makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..op import Array, Op, Run, any_layout
from ..trace import Node, Value

if TYPE_CHECKING:
    from ..plan import Plan

__all__ = ["PROGRAM"]

NAMES_SHOWN = 4


class _Inside:
    """What references of the nodes inside ask for: a program's inner values are its own."""

    def __init__(self, run: Run, program: Node) -> None:
        self._run = run
        self._outside = {*program.inputs, *program.outputs}
        self._names: dict[Value, Value] = program.attributes["names"]
        self._made: dict[Value, Array] = {}

    def array(self, value: Value) -> Array:
        if value in self._outside:
            return self._run.array(value)
        if value in self._names:
            return self._named(value, self._names[value])
        if value not in self._made:
            shape = (self._run.rows, *value.dims) if value.batched else value.dims
            self._made[value] = np.empty(shape, value.dtype)
        return self._made[value]

    def _named(self, value: Value, of: Value) -> Array:
        """The same numbers as a column, or repeated along the last axis."""
        array = self.array(of)
        shape = array.shape[: array.ndim - len(of.dims)] + value.dims
        return array.reshape(shape) if value.size == of.size else np.broadcast_to(array, shape)

    def call(self, node: Node, *inputs: Value, **options: Any) -> None:
        self.function(node)(*map(self.array, inputs), out=self.array(node.output), **options)

    def function(self, what: Node | str) -> Callable[..., Any]:
        return self._run.function(what)


def _one_by_one(run: Run, node: Node) -> None:
    """Reference: the references of the nodes inside."""
    inside: Any = _Inside(run, node)
    for instruction in node.attributes["nodes"]:
        instruction.op.reference(inside, instruction)


def _label(plan: Plan, node: Node) -> tuple[str, str]:
    """The ops inside, the commonest first, and the layer that asked for the first."""
    counts = Counter(inner.op.name for inner in node.attributes["nodes"])
    counts.pop("constant", None)
    names = [name if n == 1 else f"{n} {name}" for name, n in counts.most_common()]
    if len(names) > NAMES_SHOWN:
        rest = sum(n for _, n in counts.most_common()[NAMES_SHOWN:])
        names = [*names[:NAMES_SHOWN], f"{rest} more"]
    return "program: " + ", ".join(names), "" if node.layer is None else node.layer.name


PROGRAM = Op(
    "program",
    "Several functions of each element, one after the other.",
    shape=lambda node: [value.dims for value in node.attributes["results"]],
    layout=any_layout,
    takes=("any",),
    weights=range(1000),
    reads_windows=range(1000),
    mask="passes",
    reference=_one_by_one,
    label=_label,
    why_not={
        "gradient": "it is made when there are gradients already",
        "backends": "it has the functions of its instructions",
        "profile": "each has instructions of its own",
    },
)
