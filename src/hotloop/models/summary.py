"""The table that `model.summary()` prints."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import backends
from ..graph.plan import build
from ..graph.trace import Use, Value, calls
from .examples import BATCH_SIZE
from .structure import is_model

if TYPE_CHECKING:
    from ..graph.plan import Plan
    from ..layers.base import Layer
    from ..variables import Variable
    from .model import Model

WIDTH = 80  # of a line

# Characters of the columns that need no more, and shares of the rest.
_PARAMS, _TRAINABLE = 14, 11
_NAME_OF_REST, _NAME_OF_THREE, _SHAPE_OF_THREE = 0.6, 0.42, 0.28


@dataclass(frozen=True)
class Row:
    """What a summary says of one layer."""

    name: str
    kind: str
    shape: str
    params: str
    sources: tuple[str, ...]  # whose outputs it reads
    trainable: str  # "Y", "N", or "-" without weights
    level: int = 0  # how many models it is inside of


def summarize(
    model: Model,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> str:
    """Layers, output shapes and parameters, in lines of at most `line_length` (80) characters.

    Where the layers are no chain, also whose outputs each one reads. Then the FLOPs of the matrix
    products, for one example, and the bytes of the arena, which
    holds all that is computed for a batch: of training where its plan is known, of a forward
    pass on 32 examples otherwise. Weights and optimizer state are not in the arena.
    """
    connected = not _is_chain(model)
    headings = ["Layer (type)", "Output shape", "Param #"]
    headings += ["Connected to"] * connected + ["Trainable"] * show_trainable
    widths = _widths(line_length or WIDTH, connected, show_trainable, positions, len(headings))
    width = sum(widths)
    found = list(rows(model, expand_nested, layer_range))
    lines = [f'Model: "{model.name}"', _line(headings, widths), "-" * width]
    for row in found:
        lines += _cells(row, widths, connected, show_trainable)
    return "\n".join([*lines, "-" * width, *_totals(model), *figures(model)])


def as_html(model: Model) -> str:
    """The same as a table for notebooks, with the layers of models inside."""
    from .. import notebook

    found = list(rows(model, expand_nested=True))
    connected = not _is_chain(model)
    headings = ["Layer", "Type", "Output shape", "Param #", "Trainable"]
    cells = [
        [
            "\u2003" * row.level + row.name,
            row.kind,
            row.shape,
            row.params,
            {"Y": "yes", "N": "no"}.get(row.trainable, row.trainable),
            *([", ".join(row.sources) or "-"] if connected else []),
        ]
        for row in found
    ]
    return notebook.table(
        f"{type(model).__name__}: {model.name}",
        headings + ["Connected to"] * connected,
        cells,
        [*_totals(model), *figures(model)],
        numbers=(3,),
    )


# --------------------------------------------------------------------------- rows


def rows(
    model: Model, expand_nested: bool = False, layer_range: Sequence[str] | None = None
) -> Iterator[Row]:
    """One for each layer, in the model's order; those inside of models after them."""
    yield from _rows(model, _in_range(model.layers, layer_range), expand_nested, 0)


def _rows(model: Model, layers: Sequence[Layer], expand: bool, level: int) -> Iterator[Row]:
    uses: dict[Layer, list[Use]] = {}
    for use in calls(model.outputs, known=model.inputs):
        uses.setdefault(use.layer, []).append(use)
    for layer in layers:
        mine = uses.get(layer, [])
        yield Row(
            layer.name,
            type(layer).__name__,
            _shape(layer, mine),
            f"{layer.count_params():,}" if layer.built else "0 (unbuilt)",
            tuple(dict.fromkeys(_source(value) for use in mine for value in use.inputs)),
            ("Y" if layer.trainable else "N") if layer.built and layer.weights else "-",
            level,
        )
        if expand and is_model(layer):
            yield from _rows(layer, layer.layers, expand, level + 1)


def _shape(layer: Layer, uses: Sequence[Use]) -> str:
    """The shape of its last use's output, or a list of several."""
    outputs = uses[-1].outputs if uses else ()
    if not uses and isinstance(layer.output, Value):
        outputs = (layer.output,)
    shapes = [str(value.shape) for value in outputs]
    if len(shapes) > 1:
        return f"[{', '.join(shapes)}]"
    return shapes[0] if shapes else "?"


def _source(value: Value) -> str:
    """The layer that makes a value, with the number of the output if it is not the first."""
    if value.use is None:
        return value.name or (value.node.op.name if value.node else value.role)
    use, output = value.use
    return f"{use.layer.name}[{output}]" if output else use.layer.name


def _is_chain(model: Model) -> bool:
    """Whether each layer reads what the one before it makes, and is used once."""
    if model.records_call:
        return True  # its attributes are listed, as they come
    uses = calls(model.outputs, known=model.inputs)
    read = [use.inputs for use in uses]
    made = [tuple(model.inputs), *(use.outputs for use in uses)]
    once = len({use.layer for use in uses}) == len(uses)
    return once and all(len(x) == 1 and x == y for x, y in zip(read, made, strict=False))


def _in_range(layers: Sequence[Layer], names: Sequence[str] | None) -> Sequence[Layer]:
    """From the first layer that the first name matches to the last that the second one does."""
    if names is None:
        return layers
    if len(names) != 2 or not all(isinstance(name, str) for name in names):
        raise ValueError(f"layer_range must be the names of two layers, not {names!r}")
    first, last = ([i for i, x in enumerate(layers) if re.match(name, x.name)] for name in names)
    if not first or not last or first[0] > last[-1]:
        known = ", ".join(layer.name for layer in layers)
        raise ValueError(f"layer_range {tuple(names)} matches no layers; they are: {known}")
    return layers[first[0] : last[-1] + 1]


# -------------------------------------------------------------------------- lines


def _widths(
    width: int,
    connected: bool,
    show_trainable: bool,
    positions: Sequence[float] | None,
    columns: int,
) -> list[int]:
    """Of the columns; positions are their ends, as shares of a line or in characters."""
    if positions is not None:
        ends = [int(p * width) if p <= 1 else int(p) for p in positions]
        widths = [end - start for start, end in zip([0, *ends], ends, strict=False)]
        if len(widths) != columns or min(widths) < 4:
            raise ValueError(
                f"positions must be {columns} rising ends of columns of at least 4 characters, "
                f"not {positions!r}"
            )
        return widths
    last = _TRAINABLE if show_trainable else 0
    rest = width - _PARAMS - last
    if rest < 24:
        raise ValueError(f"line_length={width} is too short for a table")
    if connected:
        name, shape = int(rest * _NAME_OF_THREE), int(rest * _SHAPE_OF_THREE)
        widths = [name, shape, _PARAMS, rest - name - shape]
    else:
        name = width // 2 if not last else int(rest * _NAME_OF_REST)
        widths = [name, rest - name, _PARAMS]
    return [*widths, last] if last else widths


def _cells(row: Row, widths: Sequence[int], connected: bool, trainable: bool) -> list[str]:
    """The lines of a row: more than one where it reads more layers than fit."""
    sources = [""]
    if connected:
        room = widths[3] - 2
        names = ", ".join(_elided(source, room - 1) for source in row.sources)
        sources = textwrap.wrap(names, room, break_long_words=False, break_on_hyphens=False) or [
            "-"
        ]
    prefix = "   " * (row.level - 1) + "└ " if row.level else ""
    name = prefix + _elided(row.name, widths[0] - len(prefix) - len(row.kind) - 4)
    cells = [f"{name} ({row.kind})", row.shape, row.params]
    cells += sources[:1] * connected + [row.trainable] * trainable
    more = [["", "", "", source, *[""] * trainable] for source in sources[1:]]
    return [_line(line, widths) for line in (cells, *more)]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Numbers end at the right of their column, all else begins at the left."""
    left = "".join(map(_fitted, cells[:2], widths))
    right = (
        f"  {_elided(cell, width - 2):<{width - 2}}"
        for cell, width in zip(cells[3:], widths[3:], strict=True)
    )
    return f"{left}{cells[2]:>{widths[2]}}{''.join(right)}".rstrip()


def _fitted(text: str, width: int) -> str:
    """Exactly `width` characters, with at least one space at the end."""
    return _elided(text, width - 1).ljust(width)


def _elided(text: str, width: int) -> str:
    """At most `width` characters, and at least a few."""
    width = max(width, 6)
    return text if len(text) <= width else text[: width - 3] + "..."


def _totals(model: Model) -> list[str]:
    return [
        _total("Total params", model.weights),
        _total("Trainable params", model.trainable_weights),
        _total("Non-trainable params", model.non_trainable_weights),
    ]


def _total(label: str, variables: list[Variable]) -> str:
    count = sum(v.size for v in variables)
    return f"{label}: {count:,} ({_size(sum(v.size * v.dtype.itemsize for v in variables))})"


def figures(model: Model) -> list[str]:
    """FLOPs and memory, of a model that is built."""
    if not model.built:
        return []
    form = model.forms.only
    if form is None:
        return ["FLOPs per example: they depend on the lengths of the axes that are None"]
    forward = build(form.intake.values, form.outputs, BATCH_SIZE, backends.traits())
    training = model.training_plan(BATCH_SIZE)
    flops, purpose, plan = f"{_flops(forward):,}", "forward pass", forward
    if training is not None:
        flops += f" (training: {_flops(training):,})"
        purpose, plan = "training", training
    arena = f"{_size(plan.placement.arena_bytes)} ({purpose}, batch of {plan.batch_size})"
    return [f"FLOPs per example: {flops}", f"Arena: {arena}"]


def _flops(plan: Plan) -> int:
    return plan.flops // plan.batch_size


def _size(count: int) -> str:
    amount, unit = float(count), "B"
    for larger in ("KB", "MB", "GB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.2f} {unit}"
