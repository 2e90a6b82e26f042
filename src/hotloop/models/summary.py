"""The table that `model.summary()` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..graph.plan import build

if TYPE_CHECKING:
    from ..graph.plan import Plan
    from ..layers.base import Layer
    from ..variables import Variable
    from .model import Model

BATCH_SIZE = 32  # of plans that are made for their figures only


def summarize(model: Model, line_length: int | None = None) -> str:
    """Layers, output shapes and parameters, in lines of at most `line_length` (80) characters.

    Then the FLOPs of the matrix products, for one example, and the bytes of the arena, which
    holds all that is computed for a batch: of training where its plan is known, of a forward
    pass on 32 examples otherwise. Weights and optimizer state are not in the arena.
    """
    width = line_length or 80
    columns = (width // 2, width - width // 2 - 14)
    rows = [
        (f"{layer.name} ({type(layer).__name__})", _shape(layer), f"{layer.count_params():,}")
        for layer in model.layers
    ]
    lines = [
        f'Model: "{model.name}"',
        _row(columns, "Layer (type)", "Output shape", "Param #"),
        "-" * width,
        *(_row(columns, *row) for row in rows),
        "-" * width,
        _total("Total params", model.weights),
        _total("Trainable params", model.trainable_weights),
        _total("Non-trainable params", model.non_trainable_weights),
        *_work(model),
    ]
    return "\n".join(lines)


def _shape(layer: Layer) -> str:
    return str(layer.output.shape) if layer.output is not None else "?"


def _row(columns: tuple[int, int], name: str, shape: str, params: str) -> str:
    name, shape = _fitted(name, columns[0]), _fitted(shape, columns[1])
    return f"{name}{shape}{params:>14}"


def _fitted(text: str, width: int) -> str:
    """Exactly `width` characters, with at least one space at the end."""
    short = text if len(text) < width else text[: width - 4] + "..."
    return short.ljust(width)


def _total(label: str, variables: list[Variable]) -> str:
    count = sum(v.size for v in variables)
    return f"{label}: {count:,} ({_size(sum(v.size * v.dtype.itemsize for v in variables))})"


def _work(model: Model) -> list[str]:
    """FLOPs and memory."""
    forward = build(model.intake.values, model.outputs, BATCH_SIZE)
    training = model._training_plan(BATCH_SIZE)
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
