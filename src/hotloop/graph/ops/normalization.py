"""Means and variances taken out: of columns over the batch, of rows, of the user's data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from ...variables import Variable
from ..gradients import composed
from ..op import OPS, Dims, Gradients, Op, Run, like_first
from ..trace import Node, Value, apply, emit, parameter
from .dense import BIAS_GRADIENT
from .elementwise import scale
from .merges import add, multiply, subtract
from .reductions import over_examples, sum_row
from .shapes import reshape
from .weights import weights_of

__all__ = [
    "BATCH_NORMALIZATION",
    "COLUMN_MOMENTS",
    "NORMALIZE",
    "batch_normalization",
    "layer_norm",
    "standardize",
]

_SEVERAL = {"numba": "NumPy's loops over whole arrays do it"}


def _columns(node: Node) -> tuple[Dims, ...]:
    """Shape rule: a number for each column."""
    return (node.inputs[0].dims[-1:],)


def _gamma_and_beta(node: Node, given: Sequence[Value]) -> list[Value | None]:
    """The weights as functions take them: None for what the node does without."""
    values = iter(given)
    return [next(values) if node.attributes[name] else None for name in ("scale", "center")]


# --------------------------------------------------------------- columns over the batch


def batch_normalization(
    x: Value,
    mean: Variable,
    variance: Variable,
    gamma: Variable | None,
    beta: Variable | None,
    *,
    momentum: float,
    epsilon: float,
) -> Value:
    """Each column of x less its mean, by its standard deviation, times gamma, plus beta.

    Those of the batch in training, which the moving mean and variance then follow; the moving
    ones otherwise. A plan has one of two forms of it instead: see `graph.statistics`.
    """
    return apply(
        BATCH_NORMALIZATION,
        x,
        *weights_of(x, mean, variance, gamma, beta),
        momentum=momentum,
        epsilon=epsilon,
        scale=gamma is not None,
        center=beta is not None,
    )


_IN_PLANS = "a plan has column_moments and normalize in its place"

BATCH_NORMALIZATION = Op(
    "batch_normalization",
    "normalize, by the mean and variance of the batch in training, else by moving ones.",
    shape=like_first,
    weights=range(1, 5),
    two_ways=True,
    mask="passes",
    why_not=dict.fromkeys(("reference", "gradient", "profile"), _IN_PLANS),
)


def _of_column_moments(node: Node, wanted: tuple[bool, ...], *dys: Value | None) -> Gradients:
    """The gradient of normalize goes through them by itself; this is for any other use."""
    (x,), (mean, _) = node.inputs, node.outputs
    dmean, dvariance = (None if dy is None else _of_each_row(x, dy) for dy in dys)
    if dvariance is None:
        # Each row is as much of a mean as any other.
        return (None if dmean is None else add(scale(x, 0.0), dmean),)
    dx = multiply(subtract(x, mean), scale(dvariance, 2.0))
    return (dx if dmean is None else add(dx, dmean),)


def _of_each_row(x: Value, sums: Value) -> Value:
    """What is of all rows of all examples of x, divided by how many they are."""
    each = scale(sums, 1.0 / x.group)
    return over_examples(each) if x.batched else each


COLUMN_MOMENTS = Op(
    "column_moments",
    "The mean of each column and its biased variance, over all rows of all examples.",
    shape=lambda node: (*_columns(node), *_columns(node)),
    sums_examples=True,
    mask="consumes",
    outputs=("mean", "variance"),
    always=(0, 1),
    gradient=_of_column_moments,
    why_not=_SEVERAL,
)


def _of_normalize(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    x, mean, variance, *weights = node.inputs
    scale, center, own = (node.attributes[name] for name in ("scale", "center", "own"))
    epsilon = node.attributes["epsilon"]
    for_dx = own and wanted[0]  # the batch's own mean and variance change with x
    dgamma = dbeta = dx = None
    if for_dx or (scale and wanted[3]):
        dgamma = apply(NORMALIZE_SCALE_GRADIENT, dy, x, mean, variance, epsilon=epsilon)
    if for_dx or (center and wanted[-1]):
        dbeta = apply(BIAS_GRADIENT, dy)
    if wanted[0]:
        sums = (dgamma, dbeta) if own and dgamma is not None and dbeta is not None else ()
        given = (dy, x, mean, variance, *weights[:scale], *sums)
        dx = apply(NORMALIZE_GRADIENT, *given, epsilon=epsilon, scale=scale, own=own)
    return dx, None, None, *((dgamma,) if scale else ()), *((dbeta,) if center else ())


def _normalize(run: Run, node: Node) -> None:
    x, mean, variance, *weights = node.inputs
    given = _gamma_and_beta(node, weights)
    run.call(node, x, mean, variance, *given, epsilon=node.attributes["epsilon"])


NORMALIZE = Op(
    "normalize",
    "(x - mean) / sqrt(variance + epsilon) gamma + beta, column by column.",
    shape=like_first,
    weights=range(1, 5),
    gradient=_of_normalize,
    in_place=True,
    mask="passes",
    reference=_normalize,
    why_not=_SEVERAL,
)


def _inverse(variance: Value, epsilon: float) -> Value:
    return apply(OPS["rsqrt"], scale(variance, 1.0, epsilon))


def _normalize_scale_gradient(
    node: Node, dy: Value, x: Value, mean: Value, variance: Value
) -> Value:
    normal = multiply(subtract(x, mean), _inverse(variance, node.attributes["epsilon"]))
    return apply(BIAS_GRADIENT, multiply(dy, normal))


NORMALIZE_SCALE_GRADIENT = Op(
    "normalize_scale_gradient",
    "With respect to gamma: the sum of dy (x - mean) / sqrt(variance + epsilon).",
    shape=_columns,
    weights=(2, 3),
    sums_examples=True,
    gradient=composed(_normalize_scale_gradient),
    mask="consumes",
    options=("epsilon",),
    why_not=_SEVERAL,
)


def _normalize_gradient(run: Run, node: Node) -> None:
    dy, x, mean, variance, *rest = node.inputs
    gamma = rest.pop(0) if node.attributes["scale"] else None
    dgamma, dbeta = rest or (None, None)
    given = (dy, x, mean, variance, gamma, dgamma, dbeta)
    run.call(node, *given, epsilon=node.attributes["epsilon"])


def _normalize_gradient_of(
    node: Node, dy: Value, x: Value, mean: Value, variance: Value, *rest: Value
) -> Value:
    inverse = _inverse(variance, node.attributes["epsilon"])
    gamma, sums = rest[: node.attributes["scale"]], rest[node.attributes["scale"] :]
    if sums:
        dgamma, dbeta = (_of_each_row(x, value) for value in sums)
        normal = multiply(subtract(x, mean), inverse)
        dy = subtract(dy, add(dbeta, multiply(normal, dgamma)))
    return multiply(dy, reduce(multiply, gamma, inverse))


NORMALIZE_GRADIENT = Op(
    "normalize_gradient",
    "With respect to x, whose mean and variance they are, or which they have nothing to do with.",
    shape=like_first,
    weights=range(2, 7),
    gradient=composed(_normalize_gradient_of),
    in_place=True,
    mask="passes",
    reference=_normalize_gradient,
    why_not=_SEVERAL,
)

# ------------------------------------------------------------------------------ rows


def layer_norm(
    x: Value,
    gamma: Variable | None,
    beta: Variable | None,
    *,
    epsilon: float,
    centered: bool = True,
) -> Value:
    """Each row of x less its mean, if centered, by the root of its mean square and epsilon."""
    y, _, _ = emit(
        LAYER_NORM,
        x,
        *weights_of(x, gamma, beta),
        epsilon=epsilon,
        centered=centered,
        scale=gamma is not None,
        center=beta is not None,
    )
    return y


def _layer_norm_dims(node: Node) -> tuple[Dims, ...]:
    dims = node.inputs[0].dims
    return dims, dims[:-1], dims[:-1]


def _of_layer_norm(
    node: Node,
    wanted: tuple[bool, ...],
    dy: Value | None,
    dmean: Value | None,
    dinverse: Value | None,
) -> Gradients:
    x, *weights = node.inputs
    scaled, center, centered = (node.attributes[name] for name in ("scale", "center", "centered"))
    given = node.outputs[1:]
    gradients: list[Value | None] = [None] * len(node.inputs)
    terms = []
    if dy is not None:
        options = {"centered": centered, "scale": scaled}
        terms.append(apply(LAYER_NORM_GRADIENT, dy, x, *given, *weights[:scaled], **options))
        if scaled:
            gradients[1] = apply(LAYER_NORM_SCALE_GRADIENT, dy, x, *given)
        if center:
            gradients[-1] = apply(BIAS_GRADIENT, dy)
    mean, inverse = map(_column, given)
    if dinverse is not None:
        # r' = -r^3 (x - m) / n, m being 0 where nothing is centered
        cube = multiply(multiply(inverse, inverse), multiply(inverse, _column(dinverse)))
        terms.append(multiply(subtract(x, mean), scale(cube, -1.0 / x.dims[-1])))
    if dmean is not None and centered:
        terms.append(add(scale(x, 0.0), scale(_column(dmean), 1.0 / x.dims[-1])))
    gradients[0] = reduce(add, terms) if terms else None
    return tuple(gradients)


def _column(x: Value) -> Value:
    """Numbers of rows beside what those rows have."""
    return reshape(x, (*x.dims, 1))


def _layer_norm(run: Run, node: Node) -> None:
    x, *weights = node.inputs
    options = {name: node.attributes[name] for name in ("epsilon", "centered")}
    run.call(node, x, *_gamma_and_beta(node, weights), **options)


LAYER_NORM = Op(
    "layer_norm",
    "(x - m) r gamma + beta, row by row; the mean m and the inverse deviation r are kept.",
    shape=_layer_norm_dims,
    weights=(1, 2),
    gradient=_of_layer_norm,
    in_place=True,
    mask="passes",
    outputs=("out", "mean", "inverse"),
    reference=_layer_norm,
    why_not=_SEVERAL,
)


def _normal(x: Value, mean: Value, inverse: Value) -> Value:
    return multiply(subtract(x, _column(mean)), _column(inverse))


def _layer_norm_scale_gradient(node: Node, dy: Value, *given: Value) -> Value:
    return apply(BIAS_GRADIENT, multiply(dy, _normal(*given)))


LAYER_NORM_SCALE_GRADIENT = Op(
    "layer_norm_scale_gradient",
    "With respect to gamma: the sum of dy (x - m) r over all rows of all examples.",
    shape=_columns,
    sums_examples=True,
    gradient=composed(_layer_norm_scale_gradient),
    mask="consumes",
    why_not=_SEVERAL,
)


def _layer_norm_gradient_of(
    node: Node, dy: Value, x: Value, mean: Value, inverse: Value, *gamma: Value
) -> Value:
    g, n = reduce(multiply, gamma, dy), _normal(x, mean, inverse)

    def mean_of(rows: Value) -> Value:
        return scale(sum_row(rows), 1.0 / x.dims[-1])

    rest = subtract(g, multiply(n, mean_of(multiply(g, n))))
    if node.attributes["centered"]:
        rest = subtract(rest, mean_of(g))
    return multiply(rest, _column(inverse))


def _layer_norm_gradient(run: Run, node: Node) -> None:
    *given, gamma = node.inputs if node.attributes["scale"] else (*node.inputs, None)
    run.call(node, *given, gamma, centered=node.attributes["centered"])


LAYER_NORM_GRADIENT = Op(
    "layer_norm_gradient",
    "With respect to x: (g - mean(g) - n mean(g n)) r of each row, with g = dy gamma.",
    shape=like_first,
    weights=(4,),
    gradient=composed(_layer_norm_gradient_of),
    in_place=True,
    mask="passes",
    reference=_layer_norm_gradient,
    why_not=_SEVERAL,
)

# ------------------------------------------------------------------- the user's data


def standardize(x: Value, mean: Variable, variance: Variable, *, invert: bool) -> Value:
    """(x - mean) / max(sqrt(variance), 1e-7) of x (..., cols, run), or the reverse of it."""
    numbers = (reshape(parameter(given), (given.size,)) for given in (mean, variance))
    return apply(STANDARDIZE, x, *numbers, invert=invert)


def _of_standardize(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    # Mean and variance are those of the data: nobody trains them.
    return apply(STANDARDIZE_GRADIENT, dy, node.inputs[2], **node.attributes), None, None


STANDARDIZE = Op(
    "standardize",
    "(x - mean) / s with s = max(sqrt(variance), 1e-7), or x s + mean.",
    shape=like_first,
    weights=(1, 2),
    gradient=_of_standardize,
    options=("invert",),
    why_not=_SEVERAL,
)


def _of_standardize_gradient(node: Node, wanted: tuple[bool, ...], ddx: Value) -> Gradients:
    return apply(STANDARDIZE_GRADIENT, ddx, node.inputs[1], **node.attributes), None


STANDARDIZE_GRADIENT: Op = Op(
    "standardize_gradient",
    "dy / s, or dy s.",
    shape=like_first,
    weights=(1,),
    gradient=_of_standardize_gradient,
    options=("invert",),
    why_not=_SEVERAL,
)
