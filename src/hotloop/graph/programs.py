"""Programs: runs of elementwise nodes that become one, so that what lies between reaches no memory.

This comes last, after products have taken their activations and updates. Nodes of one shape are
gathered as they come; a run ends where somebody else needs a value of it, and stands there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from . import ops
from .op import FLOATS
from .trace import Node, Value, named

Shape: TypeAlias = "tuple[tuple[int, ...], bool, int]"  # dims, batched and row_axes of all outputs

MOST_NODES = 32
"""In a program: beyond, registers take the cache that they are to spare."""


@dataclass
class _Run:
    """Nodes that are to be one, by their numbers."""

    shape: Shape
    dtype: str  # of their floats; "" if they have none
    nodes: list[int]


def fuse(nodes: Sequence[Node], kept: Iterable[Value]) -> list[Node]:
    """Each maximal run of elementwise nodes becomes a program; all else stays as it is.

    Parameters
    ----------
    nodes : sequence of Node
        In an order in which each comes after what it reads.
    kept : iterable of Value
        What is wanted besides what nodes read.
    """
    constants = {node.output: node for node in nodes if node.op is ops.CONSTANT}
    makers: dict[Value, _Run] = {}  # of values in runs that have not ended
    placed: list[tuple[tuple[int, int, int], list[int]]] = []

    def end(run: _Run, at: int) -> None:
        """Alone, a node stays where it was; else all stand in front of who needs them."""
        first = run.nodes[0]
        placed.append(((first, 1, 0) if len(run.nodes) == 1 else (at, 0, first), run.nodes))
        for i in run.nodes:
            makers.pop(nodes[i].output)

    for at, node in enumerate(nodes):
        if node.op is ops.CONSTANT:
            continue
        fits = _fits(node, constants)
        needed = _in_order(makers[v] for v in node.inputs if v in makers)
        joined: list[_Run] = []
        for run in needed:
            if fits and _may_join(run, node, joined):
                joined.append(run)
            else:
                end(run, at)
        if node.op.changes:
            changed = {named(value).variable for value in node.inputs} - {None}
            for run in _in_order(makers.values()):
                read = {named(v).variable for i in run.nodes for v in nodes[i].inputs}
                if changed & read:
                    end(run, at)
        if fits:
            dtype = next((run.dtype for run in joined if run.dtype), _float_of(node))
            members = sorted(i for run in joined for i in run.nodes)
            whole = _Run(_shape(node), dtype, [*members, at])
            makers.update((nodes[i].output, whole) for i in whole.nodes)
        else:
            placed.append(((at, 1, 0), [at]))
    for run in _in_order(makers.values()):
        end(run, len(nodes))
    placed.sort()
    return _with_programs([[nodes[i] for i in run] for _, run in placed], constants, kept)


def _in_order(runs: Iterable[_Run]) -> list[_Run]:
    """Each of these once, in the order of their first nodes."""
    return sorted({id(run): run for run in runs}.values(), key=lambda run: run.nodes[0])


def _fits(node: Node, constants: Iterable[Value]) -> bool:
    """Whether a node can be an instruction: of floats of one dtype, and of truth values."""
    if not node.op.elementwise:
        return False
    dtypes = {value.dtype for value in node.outputs}
    if node.op is ops.CAST:
        return dtypes <= {*FLOATS} and node.inputs[0].dtype not in FLOATS
    dtypes |= {value.dtype for value in node.inputs}
    packed = any(value.row_axes for value in (*node.inputs, *node.outputs))
    alike = {(v.dims, v.row_axes) for v in (*node.inputs, *node.outputs) if v not in constants}
    return dtypes <= {*FLOATS, "bool"} and (not packed or len(alike) == 1)


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


def _with_programs(
    runs: Sequence[Sequence[Node]], constants: dict[Value, Node], kept: Iterable[Value]
) -> list[Node]:
    """The nodes of these runs, several of which become one, as do constants and who reads them."""
    readers: dict[Value, set[int]] = {value: {-1} for value in kept}
    for at, run in enumerate(runs):
        for node in run:
            for value in node.inputs:
                readers.setdefault(value, set()).add(at)
    made: list[Node] = []
    alone = {value for value in constants if -1 in readers.get(value, set())}
    for at, run in enumerate(runs):
        numbers = dict.fromkeys(v for node in run for v in node.inputs if v in constants)
        if not _fits(run[0], constants):
            alone.update(numbers)
        elif len(run) + len(numbers) > 1:
            run = [_program([*(constants[v] for v in numbers), *run], readers, at)]
        made += run
    return [*(node for value, node in constants.items() if value in alone), *made]


def _program(nodes: Sequence[Node], readers: dict[Value, set[int]], at: int) -> Node:
    inner = {node.output for node in nodes}
    inputs = dict.fromkeys(v for node in nodes for v in node.inputs if v not in inner)
    outputs = tuple(
        node.output
        for node in nodes
        if node.op is not ops.CONSTANT and readers.get(node.output, set()) - {at}
    )
    attributes = {"nodes": tuple(nodes), "results": outputs}
    layer = next((node.layer for node in nodes if node.layer is not None), None)
    return Node(ops.PROGRAM, tuple(inputs), outputs, attributes, layer)
