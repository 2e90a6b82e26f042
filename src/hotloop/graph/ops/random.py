"""What draws random numbers, in training only."""

from __future__ import annotations

from typing import Any

from ..op import Op, Run, like_first
from ..trace import Node, Value, apply

__all__ = ["alpha_dropout", "dropout", "gaussian_dropout", "gaussian_noise"]


def _with_key(run: Run, node: Node) -> None:
    """The op's function, with the key that its seed has in this batch."""
    options: dict[str, Any] = dict(node.attributes)
    run.call(node, *node.inputs, key=run.key(options.pop("seed")), **options)


def dropout(x: Value, rate: float, seed: int) -> Value:
    """Each element is zero with probability `rate`, else divided by 1 - rate; training only."""
    return apply(DROPOUT, x, rate=rate, seed=seed)


DROPOUT: Op = Op(
    "dropout",
    "Each element 0 with probability rate, else divided by 1 - rate.",
    shape=like_first,
    # The same bits are drawn again: no mask is kept.
    gradient=lambda node, wanted, dy: (apply(DROPOUT, dy, **node.attributes),),
    in_place=True,
    draws=True,
    mask="passes",
    reference=_with_key,
)


def alpha_dropout(x: Value, rate: float, seed: int) -> Value:
    """Dropout to SELU's lowest value, keeping mean and variance; training only."""
    return apply(ALPHA_DROPOUT, x, rate=rate, seed=seed)


ALPHA_DROPOUT = Op(
    "alpha_dropout",
    "Each element SELU's lowest value with probability rate; mean 0 and variance 1 are kept.",
    shape=like_first,
    gradient=lambda node, wanted, dy: (apply(ALPHA_DROPOUT_GRADIENT, dy, **node.attributes),),
    in_place=True,
    draws=True,
    mask="passes",
    reference=_with_key,
)
ALPHA_DROPOUT_GRADIENT: Op = Op(
    "alpha_dropout_gradient",
    "dy times what alpha_dropout multiplies by where it keeps an element, else 0.",
    shape=like_first,
    gradient=lambda node, wanted, dy: (apply(ALPHA_DROPOUT_GRADIENT, dy, **node.attributes),),
    in_place=True,
    mask="passes",
    reference=_with_key,
)


def gaussian_noise(x: Value, stddev: float, seed: int) -> Value:
    """x + stddev * n, n being normal numbers; training only."""
    return apply(GAUSSIAN_NOISE, x, stddev=stddev, seed=seed)


GAUSSIAN_NOISE = Op(
    "gaussian_noise",
    "x + stddev n, n being normal numbers.",
    shape=like_first,
    gradient=lambda node, wanted, dy: (dy,),
    in_place=True,
    draws=True,
    mask="passes",
    reference=_with_key,
)


def gaussian_dropout(x: Value, stddev: float, seed: int) -> Value:
    """x * (1 + stddev * n), n being normal numbers; training only."""
    return apply(GAUSSIAN_DROPOUT, x, stddev=stddev, seed=seed)


GAUSSIAN_DROPOUT: Op = Op(
    "gaussian_dropout",
    "x (1 + stddev n), n being normal numbers.",
    shape=like_first,
    gradient=lambda node, wanted, dy: (apply(GAUSSIAN_DROPOUT, dy, **node.attributes),),
    in_place=True,
    draws=True,
    mask="passes",
    reference=_with_key,
)
