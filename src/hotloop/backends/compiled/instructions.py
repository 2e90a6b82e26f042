"""The instructions of a program: what each node of a run does, and which registers it uses."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from ...graph.trace import Node, Value

# ("register", i), ("input", i) or ("output", i)
Place: TypeAlias = tuple[str, int]

Names: TypeAlias = Mapping[str, int]


@dataclass(frozen=True)
class Kinds:
    """What the core calls functions: the places of their names in its lists.

    Attributes
    ----------
    activations, merges, functions : mapping of str to int
    """

    activations: Names
    merges: Names
    functions: Names


@dataclass(frozen=True)
class Instruction:
    """One of them.

    Attributes
    ----------
    family : str
        As in `hl_family`, in small letters and without HL_DO.
    kind : int
        Which of the family; of what is loaded or told, which input or output.
    y : Place
        Where its result goes.
    operands : sequence of Place
        What it reads.
    alpha, offset : float
    """

    family: str
    kind: int
    y: Place
    operands: Sequence[Place] = ()
    alpha: float = 0.0
    offset: float = 0.0


@dataclass(frozen=True)
class _Line:
    """An instruction of values that have no places yet."""

    family: str
    value: Value
    operands: tuple[Value, ...]
    kind: int = 0
    alpha: float = 0.0
    offset: float = 0.0


def instructions(
    nodes: Sequence[Node],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    loaded: Collection[Value],
    names: Mapping[Value, Value],
    kinds: Kinds,
) -> tuple[list[Instruction], int]:
    """The instructions of nodes in order, and how many registers they use.

    Parameters
    ----------
    nodes : sequence of Node
        All of one shape.
    inputs, outputs : sequence of Value
        What they read that they do not make, and what others read of what they make.
    loaded : collection of Value
        The inputs that are not read where they stand, but cast or broadcast first.
    names : mapping of Value to Value
        What stands for values that nobody makes.
    kinds : Kinds
    """
    of_inputs, of_outputs = (
        {value: i for i, value in enumerate(values)} for values in (inputs, outputs)
    )
    lines = _lines(nodes, of_outputs, dict(names), kinds)
    return _placed(lines, of_inputs, of_outputs, loaded)


def _lines(
    nodes: Sequence[Node], outputs: Collection[Value], names: dict[Value, Value], kinds: Kinds
) -> list[_Line]:
    """A truth value or a whole number is a float in a register: its cast is another name of it."""
    lines = []
    for node in nodes:
        operands = tuple(names.get(value, value) for value in node.inputs)
        if node.op.name == "cast" and node.output not in outputs:
            names[node.output] = operands[0]
        else:
            lines.append(_line(node, operands, kinds))
            if node.op.name == "cast":
                names[node.output] = operands[0]
    return lines


def _line(node: Node, operands: tuple[Value, ...], kinds: Kinds) -> _Line:
    name, y, given = node.op.name, node.output, node.attributes
    alpha = given.get("alpha", 0.0)
    if name == "cast":
        return _Line("activation", y, operands, kinds.activations["linear"])
    if name == "constant":
        return _Line("fill", y, (), alpha=float(given["number"]))
    if name == "scale":
        return _Line("scale", y, operands, alpha=given["factor"], offset=given["offset"])
    if name == "where":
        return _Line("choose", y, operands)
    if name in ("sum_steps", "mean_steps"):
        return _Line("sum", y, operands, alpha=1.0 if name == "sum_steps" else operands[0].dims[-1])
    if name == "power" and _always(operands[1], 2.0):
        return _Line("merge", y, (operands[0], operands[0]), kinds.merges["multiply"])
    if name == "add_bias":
        return _Line("merge", y, operands, kinds.merges["add"])
    for family, of_family in (
        ("activation", kinds.activations),
        ("merge", kinds.merges),
        ("function", kinds.functions),
    ):
        if name in of_family:
            return _Line(family, y, operands, of_family[name], alpha)
    of = name.removesuffix("_gradient")
    if of in kinds.activations:
        return _Line("activation_gradient", y, operands, kinds.activations[of], alpha)
    return _Line("choice_gradient", y, operands, kinds.merges[of])


def _always(value: Value, number: float) -> bool:
    """Whether a value is this constant."""
    node = value.node
    return node is not None and node.op.name == "constant" and node.attributes["number"] == number


def _placed(
    lines: Sequence[_Line],
    inputs: Mapping[Value, int],
    outputs: Mapping[Value, int],
    loaded: Collection[Value],
) -> tuple[list[Instruction], int]:
    """Gives each value its place, a register only for as long as somebody reads it."""
    last = {value: i for i, line in enumerate(lines) for value in line.operands}
    places: dict[Value, Place] = {
        value: ("input", i) for value, i in inputs.items() if value not in loaded
    }
    found: list[Instruction] = []
    free: list[Place] = []
    registers = 0

    def register() -> Place:
        nonlocal registers
        if not free:
            free.append(("register", registers))
            registers += 1
        return free.pop()

    for i, line in enumerate(lines):
        value, wanted = line.value, line.value in outputs
        if value not in last and not wanted:
            continue
        for operand in line.operands:
            if operand not in places:
                places[operand] = register()
                found.append(Instruction("load", inputs[operand], places[operand]))
        read = [places[operand] for operand in line.operands]
        done = [places[v] for v in dict.fromkeys(line.operands) if last[v] == i]
        free += [place for place in done if place[0] == "register"]
        if line.family == "sum":
            found.append(Instruction("sum", outputs[value], read[0], read, line.alpha))
            continue
        tells = wanted and value.dtype == "bool"
        if wanted and not tells:
            places[value] = "output", outputs[value]
        else:
            places[value] = register()
        y = places[value]
        found.append(Instruction(line.family, line.kind, y, read, line.alpha, line.offset))
        if tells:
            found.append(Instruction("tell", outputs[value], y, [y]))
            if value not in last:
                free.append(y)
    return found, registers
