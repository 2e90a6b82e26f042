"""Programs: runs of elementwise nodes that become one, so that what lies between reaches no memory.

This comes last, after products have taken their activations and updates. Nodes of one shape are
gathered as they come; a run ends where another step needs a value of it, and stands there. Sums
over the last axis are part of it, and who needs no more than these waits until it ends: a loss and
its gradient are one program. What is repeated along the last axis is read as often as it is needed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ..variables import Variable
from . import ops
from .op import FLOATS
from .trace import Node, Value, named

Shape: TypeAlias = "tuple[tuple[int, ...], bool, int]"  # dims, batched and row_axes of all outputs

MOST_NODES = 32
"""In a program: beyond, registers take the cache that they are to spare."""

LONGEST_SUM = 1024
"""Numbers: blocks have whole rows, so that how they are cut changes no sum."""

SUMS = (ops.SUM_STEPS, ops.MEAN_STEPS)


@dataclass(eq=False)
class _Run:
    """Nodes that are to be one, and the place in the plan that the first of them had."""

    shape: Shape
    dtype: str  # of their floats; "" if they have none
    place: int
    nodes: list[Node]


def fuse(nodes: Sequence[Node], kept: Iterable[Value]) -> list[Node]:
    """Each maximal run of elementwise nodes becomes a program; all else stays as it is.

    Parameters
    ----------
    nodes : sequence of Node
        In an order in which each comes after what it reads.
    kept : iterable of Value
        What is wanted besides what nodes read.
    """
    return _Pass(nodes, kept).nodes()


class _Pass:
    """One walk over a plan's nodes.

    Attributes
    ----------
    makers : dict of Value to _Run
        Of values in runs that have not ended.
    sums : set of Value
        Those among them that are sums.
    names : dict of Value to Value
        What stands for a value that nobody makes: for a row as a column, to be summed, the row; for
        what is repeated, that which is.
    waiting : list of Node
        Those that need sums of runs that have not ended.
    placed : list of (int, list of Node)
        What is to be one node or is one already, by its place in the plan.
    """

    def __init__(self, nodes: Sequence[Node], kept: Iterable[Value]) -> None:
        self.kept = set(kept)
        self.constants = {node.output: node for node in nodes if node.op is ops.CONSTANT}
        self.readers: dict[Value, list[Node]] = {}
        for node in nodes:
            for value in node.inputs:
                self.readers.setdefault(value, []).append(node)
        self.makers: dict[Value, _Run] = {}
        self.sums: set[Value] = set()
        self.names: dict[Value, Value] = {}
        self.waiting: list[Node] = []
        self.late: set[Value] = set()  # what those make
        self.places = 0
        self.placed: list[tuple[int, list[Node]]] = []
        self.ahead = deque(node for node in nodes if node.op is not ops.CONSTANT)

    def nodes(self) -> list[Node]:
        """The nodes of the plan, programs among them."""
        while self.ahead or self.makers or self.waiting:
            if self.ahead:
                self._take(self.ahead.popleft())
            else:
                self._end_all()
        self.placed.sort(key=lambda item: item[0])
        return self._with_programs()

    def _take(self, node: Node) -> None:
        """One node more: of a run, or by itself, or one that waits."""
        if self._stands_for_another(node) or self._sums_a_run(node):
            return
        read = [self.names.get(value, value) for value in node.inputs]
        fits = self._fits(node)
        needed = _in_order(self.makers[value] for value in read if value in self.makers)
        joined: list[_Run] = []
        for run in needed:
            if fits and _may_join(run, node, joined):
                joined.append(run)
        waits = self.late.intersection(read) or self.sums.intersection(read)
        if (waits or self._is_column(node)) and not node.op.changes:
            self.waiting.append(node)
            self.late.update(node.outputs)
            return
        changed = {named(value).variable for value in node.inputs if node.op.changes} - {None}
        ending = [
            run
            for run in _in_order(self.makers.values())
            if (run in needed and run not in joined) or (changed and changed & _variables(run))
        ]
        if self.waiting and (node.op.changes or any(map(self._has_sums, ending))):
            self._end_all(node)
            return
        for run in ending:
            self._end(run)
        place = self._next_place()
        if not fits:
            self.placed.append((place, [node]))
            return
        dtype = next((run.dtype for run in joined if run.dtype), _float_of(node))
        members = [member for run in joined for member in run.nodes]
        whole = _Run(_shape(node), dtype, place, [*members, node])
        for member in whole.nodes:
            self.makers[member.output] = whole

    def _next_place(self) -> int:
        self.places += 1
        return self.places

    def _has_sums(self, run: _Run) -> bool:
        return any(node.output in self.sums for node in run.nodes)

    def _end(self, run: _Run) -> None:
        """Alone, a node stays where it was; else all stand in front of who needs them."""
        alone = len(run.nodes) == 1
        self.placed.append((run.place if alone else self._next_place(), run.nodes))
        for node in run.nodes:
            self.makers.pop(node.output)
            self.sums.discard(node.output)

    def _end_all(self, *then: Node) -> None:
        """Ends all runs, then goes on with what waited for them, and with another node."""
        for run in _in_order(self.makers.values()):
            self._end(run)
        self.ahead.extendleft(reversed([*self.waiting, *then]))
        self.waiting, self.late = [], set()

    # -- sums, and what is repeated -----------------------------------------------------

    def _is_column(self, node: Node) -> bool:
        """Whether a node makes a column of a row of a run, and nobody but a sum reads that."""
        if node.op is not ops.RESHAPE:
            return False
        (row,), column = node.inputs, node.output
        return (
            row in self.makers
            and row not in self.sums
            and row.batched
            and row.dims[-1:] <= (LONGEST_SUM,)
            and column.dims == (*row.dims, 1)
            and column not in self.kept
            and [reader.op in SUMS for reader in self.readers.get(column, [])] == [True]
        )

    def _sums_a_run(self, node: Node) -> bool:
        """Whether a node is a sum of such a column, which makes it part of the run."""
        if node.op not in SUMS:
            return False
        (column,) = node.inputs
        maker = next((n for n in self.waiting if any(v is column for v in n.outputs)), None)
        if maker is None or not self._is_column(maker):
            return False
        (row,) = maker.inputs
        run = self.makers[row]
        self.waiting.remove(maker)
        self.late.discard(column)
        self.names[column] = row
        run.nodes.append(node)
        self.makers[node.output] = run
        self.sums.add(node.output)
        return True

    def _stands_for_another(self, node: Node) -> bool:
        """Whether a node repeats numbers, or makes rows of them, for elementwise ones alone."""
        if node.op is ops.RESHAPE and node.output in self.names:
            return True
        if node.op is not ops.REPEAT_STEPS or node.output.dims[-1] != 1:
            return False
        dims = node.output.dims[:-1]
        reshapes = self.readers.get(node.output, [])
        rows = [reshape.output for reshape in reshapes if reshape.op is ops.RESHAPE]
        if len(rows) < len(reshapes) or any(value.dims != dims for value in rows):
            return False
        for value in (node.output, *rows):
            if value in self.kept:
                return False
        for value in rows:
            for reader in self.readers.get(value, []):
                if not self._fits(reader) or _shape(reader) != (dims, value.batched, 0):
                    return False
        self.names.update(dict.fromkeys(rows, node.inputs[0]))
        return True

    # -- elementwise nodes --------------------------------------------------------------

    def _fits(self, node: Node) -> bool:
        """Whether a node can be an instruction: of floats of one dtype, and of truth values."""
        if not node.op.elementwise:
            return False
        dtypes = {value.dtype for value in node.outputs}
        if node.op is ops.CAST:
            return dtypes <= {*FLOATS} and node.inputs[0].dtype not in FLOATS
        dtypes |= {value.dtype for value in node.inputs}
        values = [v for v in (*node.inputs, *node.outputs) if v not in self.constants]
        packed = any(value.row_axes for value in values)
        alike = {(value.dims, value.row_axes) for value in values}
        return dtypes <= {*FLOATS, "bool"} and (not packed or len(alike) == 1)

    def _with_programs(self) -> list[Node]:
        """What is placed, as nodes; constants become part of who reads them."""
        readers: dict[Value, set[int]] = {value: {-1} for value in self.kept}
        for at, (_, run) in enumerate(self.placed):
            for node in run:
                for value in node.inputs:
                    readers.setdefault(self.names.get(value, value), set()).add(at)
        made: list[Node] = []
        alone = self.kept & self.constants.keys()
        for at, (_, run) in enumerate(self.placed):
            read = dict.fromkeys(value for node in run for value in node.inputs)
            numbers = [value for value in read if value in self.constants]
            if not self._fits(run[0]):
                alone.update(numbers)
            elif len(run) > 1 or numbers or self.names.keys() & read.keys():
                outputs = tuple(
                    node.output for node in run if readers.get(node.output, set()) - {at}
                )
                run = [self._program([*(self.constants[v] for v in numbers), *run], outputs)]
            made += run
        return [*(node for value, node in self.constants.items() if value in alone), *made]

    def _program(self, nodes: Sequence[Node], outputs: tuple[Value, ...]) -> Node:
        inside = {node.output for node in nodes}
        read = dict.fromkeys(value for node in nodes for value in node.inputs)
        names = {value: self.names[value] for value in read if value in self.names}
        inputs = dict.fromkeys(names.get(value, value) for value in read)
        attributes = {"nodes": tuple(nodes), "results": outputs, "names": names}
        layer = next((node.layer for node in nodes if node.layer is not None), None)
        given = tuple(value for value in inputs if value not in inside)
        return Node(ops.PROGRAM, given, outputs, attributes, layer)


def _in_order(runs: Iterable[_Run]) -> list[_Run]:
    """Each of these once, in the order of their first nodes."""
    return sorted({id(run): run for run in runs}.values(), key=lambda run: run.place)


def _variables(run: _Run) -> set[Variable | None]:
    """What is read of variables, besides None."""
    return {named(value).variable for node in run.nodes for value in node.inputs}


def _shape(node: Node) -> Shape:
    return node.output.dims, node.output.batched, node.output.row_axes


def _float_of(node: Node) -> str:
    """The dtype of a node's floats; "" if it has none."""
    return next((v.dtype for v in (*node.outputs, *node.inputs) if v.dtype in FLOATS), "")


def _may_join(run: _Run, node: Node, others: Sequence[_Run]) -> bool:
    """Whether a node goes on with a run, and with others that it goes on with already."""
    dtypes = {run.dtype, _float_of(node), *(other.dtype for other in others)} - {""}
    n_nodes = len(run.nodes) + sum(len(other.nodes) for other in others)
    return run.shape == _shape(node) and len(dtypes) <= 1 and n_nodes < MOST_NODES
