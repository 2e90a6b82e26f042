"""What a way through the tree compiles to: one plan, or several where it has to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import backends
from ..data.feed import Feed
from ..graph import fusion, ops
from ..graph.memory import Placement
from ..graph.plan import Plan, variables_of
from ..graph.trace import Node, Value, parameter, topological
from ..graph.updates import after_gradients, with_changes
from ..optimizers.gradient_keeper import GradientKeeper
from ..variables import Variable

if TYPE_CHECKING:
    from ..optimizers import Optimizer
    from .recorder import Entry

Array = NDArray[Any]

_NO_SUMS = np.zeros(0)


class Change:
    """What a call does to variables.

    Attributes
    ----------
    optimizer : Optimizer or None
        Whose step it is; None where variables become values.
    values : dict of Variable to Value
        The gradient of each, or what it becomes.
    """

    def __init__(self, optimizer: Optimizer | None, values: Mapping[Variable, Value]) -> None:
        self.optimizer, self.values = optimizer, dict(values)

    @property
    def variables(self) -> list[Variable]:
        return list(self.values)

    @property
    def keeps(self) -> tuple[Any, ...]:
        """What keys know by its address."""
        return (self.optimizer, *self.values)


class Program:
    """Computes values of a way, and changes variables.

    Steps that examples are counted by differently, as where a batch of real images meets one of
    real and made ones, cannot be in one plan, nor can the updates of two optimizers: these become
    several plans, which hand numbers on in variables.

    Parameters
    ----------
    way : list of Entry
    wanted : list of Value
        What is to become known.
    ran : bool
        Whether a part of the way was run before: random numbers are drawn as then.

    Attributes
    ----------
    leaves : list of Value
        The arrays that it reads.
    slots : list of int or None
        Their slots, once they are looked up.
    """

    def __init__(self, way: Sequence[Entry], wanted: Sequence[Value], ran: bool) -> None:
        self.slots: list[int] | None = None
        changes = [entry.change for entry in way if entry.change is not None]
        after = [node for entry in way for node in entry.after]
        ends = [*wanted, *(value for change in changes for value in change.values.values())]
        ends += [value for node in after for value in node.inputs]
        nodes = _needed([node for entry in way for node in entry.nodes], ends)
        self.leaves = _leaves(nodes, ends)
        rows = _rows_of(nodes)
        stages = _stages(nodes, rows)
        steps = [change for change in changes if change.optimizer is not None]
        draws = any(node.op.draws for node in nodes)
        alone = len(stages) == 1 and len(steps) == 1 and not (ran and draws)
        self._clock = GradientKeeper() if draws and not alone else None
        self._kept: dict[Value, Variable] = {}  # what stages hand on
        made: dict[Value, int] = {}  # which stage makes a value
        for number, (_, stage) in enumerate(stages):
            made.update((value, number) for node in stage for value in node.outputs)
        handed = set[Value]()
        for number, (_, stage) in enumerate(stages):
            handed.update(v for n in stage for v in n.inputs if made.get(v, number) != number)
        last = len(stages) - 1
        if not alone:
            for change in steps:
                handed.update(value for value in change.values.values() if value in made)
        handed.update(v for n in after for v in n.inputs if made.get(v, last) != last)
        for change in changes:
            if change.optimizer is None:
                handed.update(v for v in change.values.values() if made.get(v, last) != last)
        self._stages: list[_Stage] = []
        for number, (n, stage) in enumerate(stages):
            here = [value for value in wanted if made.get(value, last) == number]
            self._stages.append(
                _Stage(
                    n,
                    stage,
                    here,
                    self._handed((v for v in handed if made.get(v) == number), rows),
                    self._handed((v for v in handed if made.get(v, last + 1) < number), rows),
                    steps[0] if alone else None,
                    after if number == last else (),
                    [c for c in changes if c.optimizer is None] if number == last else (),
                    self._clock,
                    rows,
                )
            )
        if not alone:
            for change in steps:
                given = self._handed((v for v in change.values.values() if v in made), rows)
                self._stages.append(_Stage(0, [], [], {}, given, change, (), (), None, rows))
        order = {value: place for place, value in enumerate(wanted)}
        self._places = [[order[value] for value in stage.outputs] for stage in self._stages]

    @property
    def bytes(self) -> int:
        """Of the arenas of its plans."""
        return sum(stage.plan.placement.arena_bytes for stage in self._stages)

    def _handed(self, values: Iterable[Value], rows: Mapping[Value, int]) -> dict[Value, Variable]:
        """The variables that values are handed on in."""
        found = {}
        for value in dict.fromkeys(values):
            if value not in self._kept:
                self._kept[value] = _room_for(value, rows.get(value, 0))
            found[value] = self._kept[value]
        return found

    def run(self, arrays: Sequence[Array], batch: int, ran: list[Any] | None = None) -> list[Array]:
        """The numbers of what was wanted, for the arrays of `leaves`.

        Each executor that runs is added to `ran`, if that is given, with a clock of its steps.
        """
        if self._clock is not None:
            self._clock.iterations = batch
        given = dict(zip(self.leaves, arrays, strict=True))
        found: dict[int, Array] = {}
        for stage, places in zip(self._stages, self._places, strict=True):
            if self._clock is not None:
                self._clock.iterations = batch
            found.update(zip(places, stage.run(given, ran), strict=True))
        return [found[place] for place in range(len(found))]


class _Stage:
    """One plan of a program."""

    def __init__(
        self,
        rows: int,
        nodes: Sequence[Node],
        wanted: Sequence[Value],
        gives: Mapping[Value, Variable],
        takes: Mapping[Value, Variable],
        step: Change | None,
        after: Sequence[Node],
        assigns: Sequence[Change],
        clock: Any,
        rows_of: Mapping[Value, int],
    ) -> None:
        optimizer = clock if step is None else step.optimizer
        assigned = [pair for change in assigns for pair in change.values.items()]
        ends = [*wanted, *gives, *(value for _, value in assigned)]
        ends += [value for node in after for value in node.inputs]
        if step is not None:
            ends += step.values.values()
        front: list[Node] = []
        self._feeds: list[Value] = []
        self._sources: list[tuple[Value, Variable]] = []
        feeds: list[Value] = []
        inner = {value for node in nodes for value in node.outputs}
        for value in _leaves(nodes, ends):
            if value in takes or value in inner:
                continue
            if rows and value.dims[:1] == (rows,):
                feed = Value(value.dims[1:], value.dtype, role="input")
                feeds.append(feed)
                self._feeds.append(value)
                front.append(Node(ops.AS_WHOLE, (feed,), (value,), {"rows": rows}))
            else:
                room = _room_for(value)
                self._sources.append((value, room))
                front.append(_named(room, value))
        read = {value for node in nodes for value in node.inputs} | set(ends)
        for value, room in takes.items():
            if value in read:
                front.append(_named(room, value, rows_of.get(value, 0)))
        views = {node.output: node.inputs[0] for node in (*front, *nodes) if node.op.view}
        behind: list[Node] = list(after)
        copies: list[Node] = []

        def settled(value: Value) -> Value:
            """The value, copied before anything changes if it stands in a variable."""
            root = value
            while root in views:
                root = views[root]
            if root.variable is None:
                return value
            copy = Value(value.dims, value.dtype, value.batched, row_axes=value.row_axes)
            copies.append(Node(ops.CAST, (value,), (copy,), {"dtype": value.dtype}))
            return copy

        self.outputs = list(wanted)
        self._rooms: list[Variable | int] = []  # where the numbers of outputs are
        copied_out: list[Value] = []
        for value in wanted:
            node_of = {v: node for node in nodes for v in node.outputs}
            maker = node_of.get(value)
            if maker is not None and maker.op is ops.AS_WHOLE:
                source = settled(maker.inputs[0])
                self._rooms.append(len(copied_out))
                copied_out.append(source)
            else:
                room = _room_for(value)
                behind.append(Node(ops.ASSIGN, (parameter(room), settled(value)), (), {}))
                self._rooms.append(room)
        for value, room in gives.items():
            whole = settled(value)
            if value.batched:
                whole = Value((rows, *value.dims), value.dtype, False)
                behind.append(Node(ops.AS_WHOLE, (settled(value),), (whole,), {"rows": rows}))
            behind.append(Node(ops.ASSIGN, (parameter(room), whole), (), {}))
        for variable, value in assigned:
            behind.append(Node(ops.ASSIGN, (parameter(variable), settled(value)), (), {}))
        steps = [*front, *copies, *nodes] if not copies else _with_copies(front, nodes, copies)
        if step is not None:
            assert step.optimizer is not None
            gradients: dict[Value, Value] = {}
            for weight, gradient in step.values.items():
                if gradient in gradients.values():  # changes go by the gradient
                    copy = Value(gradient.dims, gradient.dtype, False, row_axes=gradient.row_axes)
                    steps.append(Node(ops.CAST, (gradient,), (copy,), {"dtype": copy.dtype}))
                    gradient = copy
                gradients[parameter(weight)] = gradient
            changes = after_gradients(gradients, step.optimizer)
            known = {value for node in steps for value in (*node.inputs, *node.outputs)}
            known.update(gradients.values())
            steps += topological(changes, known)
            placed = with_changes(steps, changes)
            left = {id(node) for node in placed}
            for _, changing in changes.values():
                placed += [node for node in changing if id(node) not in left]
            steps = placed
        steps = [*steps, *behind]
        traits = backends.traits()
        kept = tuple(copied_out)
        steps = fusion.activation_gradients(fusion.dense(steps, kept), kept)
        if traits.fuses_updates:
            steps = fusion.updates(steps, kept)
        size = max(rows, 1)
        floats = [v.dtype for node in steps for v in node.inputs if v.dtype.startswith("float")]
        self.plan = Plan(
            steps=steps,
            feeds=feeds,
            outputs=copied_out,
            slots=[],
            placement=Placement(steps, [*kept, *feeds], size, traits),
            batch_size=size,
            dtype=floats[0] if floats else "float32",
            optimizer=optimizer,
            variables=variables_of(steps),
        )
        self._rows = size
        self._executor = backends.executor(self.plan)

    def run(self, given: Mapping[Value, Array], ran: list[Any] | None = None) -> list[Array]:
        """The numbers of `outputs`."""
        for value, room in self._sources:
            room.assign(given[value])
        optimizer = self.plan.optimizer
        if optimizer is not None and optimizer.is_own:
            optimizer.prepare()
        outs = [np.empty((self._rows, *v.dims), v.dtype) for v in self.plan.outputs]
        feed = Feed([given[value] for value in self._feeds], self._rows)
        if ran is None:
            self._executor.run(feed, 0, 1, _NO_SUMS, outputs=outs)
        else:
            clock = np.zeros((self._executor.threads(), len(self._executor.nodes), 2), np.int64)
            self._executor.run(feed, 0, 1, _NO_SUMS, outputs=outs, clock=clock)
            ran.append((self._executor, clock, feed))
        return [outs[room] if isinstance(room, int) else room.numpy() for room in self._rooms]


def _with_copies(front: list[Node], nodes: Sequence[Node], copies: list[Node]) -> list[Node]:
    """The nodes, and each copy right behind what it copies."""
    made = {value for node in front for value in node.outputs}
    found = list(front)
    left = list(copies)

    def ready() -> None:
        for copy in list(left):
            source = copy.inputs[0]
            if source in made or source.variable is not None:
                found.append(copy)
                left.remove(copy)

    ready()
    for node in nodes:
        found.append(node)
        made.update(node.outputs)
        ready()
    return found


def _room_for(value: Value, rows: int = 0) -> Variable:
    """A variable that holds the numbers of a value, of all examples."""
    dims = (rows, *value.dims) if value.batched else value.dims
    return Variable(np.zeros(dims, value.dtype), "room", trainable=False, row_axes=value.row_axes)


def _named(room: Variable, value: Value, rows: int = 0) -> Node:
    """What makes a value another name of a variable."""
    if value.batched:
        return Node(ops.AS_EXAMPLES, (parameter(room),), (value,), {"rows": rows})
    return Node(ops.RESHAPE, (parameter(room),), (value,), {"dims": value.dims})


def _needed(nodes: Sequence[Node], ends: Iterable[Value]) -> list[Node]:
    """Those that the ends depend on."""
    wanted = set(ends)
    found = []
    for node in reversed(nodes):
        if any(value in wanted for value in node.outputs):
            wanted.update(node.inputs)
            found.append(node)
    return found[::-1]


def _leaves(nodes: Sequence[Node], ends: Iterable[Value]) -> list[Value]:
    """What comes in: no node makes it, and it is no variable."""
    made = {value for node in nodes for value in node.outputs}
    read = dict.fromkeys([*(value for node in nodes for value in node.inputs), *ends])
    return [value for value in read if value not in made and value.variable is None]


def _rows_of(nodes: Sequence[Node]) -> dict[Value, int]:
    """How many examples each value has that has some."""
    found: dict[Value, int] = {}
    for node in nodes:
        rows = node.attributes["rows"] if node.op is ops.AS_EXAMPLES else 0
        rows = rows or next((found[value] for value in node.inputs if value in found), 0)
        found.update((value, rows) for value in node.outputs if value.batched)
    return found


def _stages(nodes: Sequence[Node], rows: Mapping[Value, int]) -> list[tuple[int, list[Node]]]:
    """The nodes in as few parts as they need, each of one number of examples."""
    maker = {value: node for node in nodes for value in node.outputs}
    done: set[Node] = set()
    left = list(nodes)
    stages: list[tuple[int, list[Node]]] = []
    while left:
        count, stage, rest = 0, [], []
        for node in left:
            counts = {rows[value] for value in (*node.inputs, *node.outputs) if value in rows}
            ready = all(value not in maker or maker[value] in done for value in node.inputs)
            if ready and not (count and counts - {count}):
                count = max(counts, default=count)
                stage.append(node)
                done.add(node)
            else:
                rest.append(node)
        stages.append((count, stage))
        left = rest
    return stages or [(0, [])]
