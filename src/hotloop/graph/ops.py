"""The ops that layers and losses are made of, each beside its gradient.

An op's function checks shapes and adds a node to the graph. Its gradient, registered
right below it, is given the node and the gradient of the node's first output, and adds
the nodes that compute the gradients of those inputs that are wanted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..backends.formulas import ACTIVATIONS
from ..variables import Variable
from .trace import Node, Value, emit, parameter

if TYPE_CHECKING:
    from ..backends.scalar_functions import ScalarFunction

Gradients = tuple[Value | None, ...]
GradientRule = Callable[[Node, Value, tuple[bool, ...]], Gradients]

GRADIENTS: dict[str, GradientRule] = {}

# Elementwise activations, and those of them whose gradient reads their input, not their output.
ELEMENTWISE = frozenset(ACTIVATIONS) - {"linear"}
READS_INPUT = frozenset(a.name for a in ACTIVATIONS.values() if a.reads == "x")

# What draws random numbers, in training only.
NOISE = frozenset({"dropout", "alpha_dropout", "gaussian_noise", "gaussian_dropout"})


def gradient_of(*ops: str) -> Callable[[GradientRule], GradientRule]:
    """Registers the gradient rule of ops."""

    def register(rule: GradientRule) -> GradientRule:
        for op in ops:
            GRADIENTS[op] = rule
        return rule

    return register


def _backward(op: str, node: Node, *inputs: Value, like: Value, **attributes: Any) -> Value:
    """One node of a backward pass; its output has the shape of `like`."""
    (out,) = emit(op, inputs, like.dims, batched=like.batched, layer=node.layer, **attributes)
    return out


# ------------------------------------------------------------------ matrix product


def matmul(x: Value, w: Variable) -> Value:
    """x @ w over the last axis of x: (..., inputs) with (inputs, units), both of one dtype."""
    (y,) = emit("matmul", (x, *_weights(x, w)), (*x.dims[:-1], w.shape[1]))
    return y


def _weights(x: Value, *weights: Variable | None) -> tuple[Value, ...]:
    """Those that there are, as values; ValueError unless they are of x's dtype."""
    given = [w for w in weights if w is not None]
    for w in given:
        if w.dtype != x.dtype:
            raise ValueError(
                f"the weight '{w.path}' is {w.dtype} but its input is {x.dtype}; give all layers "
                "of a model the same dtype, by dtype=... or hotloop.config.set_floatx(...)"
            )
    return tuple(map(parameter, given))


@gradient_of("matmul")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    x, w = node.inputs
    dx = _backward("input_gradient", node, dy, w, like=x) if wanted[0] else None
    dw = _backward("weight_gradient", node, x, dy, like=w) if wanted[1] else None
    return dx, dw


def add_bias(x: Value, b: Variable) -> Value:
    """x + b over the last axis."""
    (y,) = emit("add_bias", (x, parameter(b)), x.dims)
    return y


@gradient_of("add_bias")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    b = node.inputs[1]
    return dy, (_backward("bias_gradient", node, dy, like=b) if wanted[1] else None)


# --------------------------------------------------------------------- activations


def activation(kind: str, x: Value, alpha: float = 0.0) -> Value:
    """An elementwise activation, named as in `hotloop.kernels`; alpha is its one option."""
    (y,) = emit(kind, (x,), x.dims, alpha=alpha)
    return y


@gradient_of(*ELEMENTWISE)
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    saved = node.inputs[0] if node.op in READS_INPUT else node.output
    return (_backward(node.op + "_gradient", node, dy, saved, like=dy, **node.attributes),)


def softmax(x: Value) -> Value:
    """Softmax over the last axis."""
    (y,) = emit("softmax", (x,), x.dims)
    return y


def log_softmax(x: Value) -> Value:
    """Log of the softmax over the last axis."""
    (y,) = emit("log_softmax", (x,), x.dims)
    return y


def sparsemax(x: Value) -> Value:
    """The nearest point of the unit simplex over the last axis."""
    (y,) = emit("sparsemax", (x,), x.dims)
    return y


@gradient_of("softmax", "log_softmax", "sparsemax")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    return (_backward(node.op + "_gradient", node, dy, node.output, like=dy),)


def prelu(x: Value, alpha: Variable) -> Value:
    """x, times alpha where it is below 0; alpha (cols,) being the same for each row."""
    (y,) = emit("prelu", (x, *_weights(x, alpha)), x.dims)
    return y


@gradient_of("prelu")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    x, alpha = node.inputs
    return (
        _backward("prelu_gradient", node, dy, x, alpha, like=x) if wanted[0] else None,
        _backward("prelu_alpha_gradient", node, dy, x, like=alpha) if wanted[1] else None,
    )


# ------------------------------------------------------------------- normalisation


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
    (y,) = emit(
        "batch_normalization",
        (x, *_weights(x, mean, variance, gamma, beta)),
        x.dims,
        momentum=momentum,
        epsilon=epsilon,
        scale=gamma is not None,
        center=beta is not None,
    )
    return y


@gradient_of("normalize")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    x, mean, variance, *weights = node.inputs
    scale, center, own = (node.attributes[name] for name in ("scale", "center", "own"))
    options = {"epsilon": node.attributes["epsilon"]}
    for_dx = own and wanted[0]
    dgamma = dbeta = dx = None
    if for_dx or (scale and wanted[3]):
        given = (dy, x, mean, variance)
        dgamma = _backward("normalize_scale_gradient", node, *given, like=mean, **options)
    if for_dx or (center and wanted[-1]):
        dbeta = _backward("bias_gradient", node, dy, like=mean)
    if wanted[0]:
        # The batch's own mean and variance change with x.
        sums = (dgamma, dbeta) if own and dgamma is not None and dbeta is not None else ()
        all_given = (dy, x, mean, variance, *weights[:scale], *sums)
        options |= {"scale": scale, "own": own}
        dx = _backward("normalize_gradient", node, *all_given, like=x, **options)
    return dx, None, None, *((dgamma,) if scale else ()), *((dbeta,) if center else ())


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
        "layer_norm",
        (x, *_weights(x, gamma, beta)),
        x.dims,
        x.dims[:-1],
        x.dims[:-1],
        epsilon=epsilon,
        centered=centered,
        scale=gamma is not None,
        center=beta is not None,
    )
    return y


@gradient_of("layer_norm")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    x, *weights = node.inputs
    scale, center, centered = (node.attributes[name] for name in ("scale", "center", "centered"))
    given = (dy, x, *node.outputs[1:])
    found: list[Value | None] = [None] * len(wanted)
    if wanted[0]:
        options = {"centered": centered, "scale": scale}
        found[0] = _backward(
            "layer_norm_gradient", node, *given, *weights[:scale], like=x, **options
        )
    if scale and wanted[1]:
        found[1] = _backward("layer_norm_scale_gradient", node, *given, like=weights[0])
    if center and wanted[-1]:
        found[-1] = _backward("bias_gradient", node, dy, like=weights[-1])
    return tuple(found)


def glu(x: Value) -> Value:
    """The first half of the last axis times the sigmoid of the second."""
    (y,) = emit("glu", (x,), (*x.dims[:-1], x.dims[-1] // 2))
    return y


@gradient_of("glu")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    (x,) = node.inputs
    return (_backward("glu_gradient", node, dy, x, like=x),)


def own_activation(x: Value, function: ScalarFunction) -> Value:
    """A function of the user's own, of each element."""
    (y,) = emit("own_activation", (x,), x.dims, function=function)
    return y


@gradient_of("own_activation")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    op = "own_activation_gradient"
    return (_backward(op, node, dy, node.inputs[0], like=dy, **node.attributes),)


# ------------------------------------------------------------------ whole arrays in Python


def python(
    inputs: Sequence[Value],
    dims: tuple[int, ...],
    function: Callable[..., Any],
    gradient: Callable[..., Any] | None,
) -> Value:
    """A function of whole arrays that Python computes.

    It is called on the inputs, of shape (rows, ...), and returns the output; `gradient` on the
    inputs and the output's gradient, and returns a list of theirs.
    """
    (y,) = emit("lambda", tuple(inputs), dims, function=function, gradient=gradient)
    return y


@gradient_of("lambda")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    if node.attributes["gradient"] is None:
        assert node.layer is not None
        raise ValueError(
            f"{node.layer.describe()} has no gradient, but weights in front of it are trained: "
            "pass gradient=... (a function of x and dy), or set trainable = False on the layers "
            "in front of it"
        )
    dims = (v.dims for v in node.inputs)
    return emit("lambda_gradient", (dy, *node.inputs), *dims, layer=node.layer, **node.attributes)


# ---------------------------------------------------------------------- shape, noise


def reshape(x: Value, dims: tuple[int, ...]) -> Value:
    """The same elements of each example in another shape; one dimension may be -1."""
    if -1 in dims:
        known = -math.prod(dims)
        dims = tuple(x.size // known if known and d == -1 else d for d in dims)
    if math.prod(dims) != x.size:
        raise ValueError(
            f"cannot reshape {x.dims} ({x.size} elements) into {dims}: "
            "the number of elements must stay the same"
        )
    (y,) = emit("reshape", (x,), dims)
    return y


@gradient_of("reshape")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    return (_backward("reshape", node, dy, like=node.inputs[0]),)


def identity(x: Value) -> Value:
    """x itself, under the name of the current layer."""
    return reshape(x, x.dims)


def dropout(x: Value, rate: float, seed: int) -> Value:
    """Each element is zero with probability `rate`, else divided by 1 - rate; training only."""
    (y,) = emit("dropout", (x,), x.dims, rate=rate, seed=seed)
    return y


@gradient_of("dropout")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    # The same bits are drawn again: no mask is kept.
    return (_backward("dropout", node, dy, like=dy, **node.attributes),)


def alpha_dropout(x: Value, rate: float, seed: int) -> Value:
    """Dropout to SELU's lowest value, keeping mean and variance; training only."""
    (y,) = emit("alpha_dropout", (x,), x.dims, rate=rate, seed=seed)
    return y


@gradient_of("alpha_dropout")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    return (_backward("alpha_dropout_gradient", node, dy, like=dy, **node.attributes),)


def gaussian_noise(x: Value, stddev: float, seed: int) -> Value:
    """x + stddev * n, n being normal numbers; training only."""
    (y,) = emit("gaussian_noise", (x,), x.dims, stddev=stddev, seed=seed)
    return y


@gradient_of("gaussian_noise")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    return (dy,)


def gaussian_dropout(x: Value, stddev: float, seed: int) -> Value:
    """x * (1 + stddev * n), n being normal numbers; training only."""
    (y,) = emit("gaussian_dropout", (x,), x.dims, stddev=stddev, seed=seed)
    return y


@gradient_of("gaussian_dropout")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    return (_backward("gaussian_dropout", node, dy, like=dy, **node.attributes),)


def add(a: Value, b: Value) -> Value:
    """a + b, of one shape."""
    (y,) = emit("add", (a, b), a.dims, batched=a.batched)
    return y


@gradient_of("add")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    return dy, dy


# ------------------------------------------------------------------------- merging


def subtract(a: Value, b: Value) -> Value:
    """a - b, of one shape."""
    (y,) = emit("subtract", (a, b), a.dims)
    return y


@gradient_of("subtract")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    return dy, (scale(dy, -1.0) if wanted[1] else None)


def multiply(a: Value, b: Value) -> Value:
    """a * b element by element, of one shape."""
    (y,) = emit("multiply", (a, b), a.dims)
    return y


@gradient_of("multiply")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    a, b = node.inputs
    return (
        _backward("multiply", node, dy, b, like=a) if wanted[0] else None,
        _backward("multiply", node, dy, a, like=b) if wanted[1] else None,
    )


def maximum(a: Value, b: Value) -> Value:
    """The larger of a and b element by element, of one shape."""
    (y,) = emit("maximum", (a, b), a.dims)
    return y


def minimum(a: Value, b: Value) -> Value:
    """The smaller of a and b element by element, of one shape."""
    (y,) = emit("minimum", (a, b), a.dims)
    return y


@gradient_of("maximum", "minimum")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    a, b = node.inputs
    op = node.op + "_gradient"
    return (
        _backward(op, node, dy, a, b, like=a) if wanted[0] else None,
        _backward(op, node, dy, b, a, like=b) if wanted[1] else None,
    )


def scale(x: Value, factor: float, offset: float = 0.0) -> Value:
    """x * factor + offset."""
    (y,) = emit("scale", (x,), x.dims, factor=factor, offset=offset)
    return y


@gradient_of("scale")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    factor = node.attributes["factor"]
    return (_backward("scale", node, dy, like=dy, factor=factor, offset=0.0),)


def concatenate(a: Value, b: Value, axis: int) -> Value:
    """a and b one after the other along an axis of an example, from 0."""
    outer = math.prod(a.dims[:axis])
    parts = [reshape(v, (outer, v.size // outer)) for v in (a, b)]
    (y,) = emit("concatenate", tuple(parts), (outer, parts[0].dims[1] + parts[1].dims[1]))
    return reshape(y, (*a.dims[:axis], a.dims[axis] + b.dims[axis], *a.dims[axis + 1 :]))


def repeat(x: Value, n: int) -> Value:
    """n copies of a vector, as rows."""
    y = reshape(x, (1, x.size))
    for bit in bin(n)[3:]:  # from the highest: twice as many rows, and one more where it is 1
        y = concatenate(y, y, 0)
        if bit == "1":
            y = concatenate(y, reshape(x, (1, x.size)), 0)
    return y


@gradient_of("concatenate")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    a, b = node.inputs
    return (
        _backward("columns", node, dy, like=a, first=0) if wanted[0] else None,
        _backward("columns", node, dy, like=b, first=a.dims[-1]) if wanted[1] else None,
    )


# ------------------------------------------------- indices, and examples of several rows


def prepare(x: Value, function: Callable[[Any], Any], dims: tuple[int, ...]) -> Value:
    """What a NumPy function makes of a model's input, before the model runs.

    The function is given the whole array that a caller passed, and returns one of shape
    (examples, *dims). `source_of` tells which values can be prepared.
    """
    (y,) = emit("prepare", (x,), dims, function=function)
    return y


def source_of(x: Value) -> tuple[Value, list[Node]]:
    """The value that x is prepared from, and the nodes that lead from it to x.

    It is a model's input where all that is done to one can be done before the model runs.
    """
    nodes: list[Node] = []
    while x.node is not None and x.node.op in ("reshape", "permute", "prepare", "indices"):
        nodes.append(x.node)
        x = x.node.inputs[0]
    return x, nodes[::-1]


def indices(x: Value, most: int, layer: str, least: int = 0) -> Value:
    """x as int32: row numbers from `least` to `most`, for the layer that is described.

    Where x is a model's input, callers' arrays are checked before the model runs, and read as
    integers, so that no index loses a digit. What is computed is rounded towards 0.
    """
    (y,) = emit("indices", (x,), x.dims, dtype="int32", least=least, most=most, who=layer)
    return y


def lookup(w: Variable, x: Value, layer: str) -> Value:
    """The rows of w (rows, cols) that x (...) numbers: (..., cols); NaN for those it has not."""
    if w.dtype != x.dtype:
        raise ValueError(
            f"the weight '{w.path}' is {w.dtype} but its input is {x.dtype}; give all layers of a "
            "model the same dtype, by dtype=... or hotloop.config.set_floatx(...)"
        )
    rows, cols = w.shape
    index = indices(x, rows - 1, layer)
    (y,) = emit("lookup", (index, parameter(w)), (*x.dims, cols), dtype=x.dtype)
    return y


@gradient_of("lookup")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    index, w = node.inputs
    return None, (_backward("lookup_gradient", node, dy, index, like=w) if wanted[1] else None)


def encode(x: Value, depth: int, layer: str, *, counts: bool, least: int = 0) -> Value:
    """Which of the numbers below `depth`, or how many of each, are in x (..., n): (..., depth)."""
    index = indices(x, depth - 1, layer, least)
    (y,) = emit("encode", (index,), (*x.dims[:-1], depth), dtype=x.dtype, counts=counts)
    return y


def permute(x: Value, axes: tuple[int, ...]) -> Value:
    """The axes of each example in another order, counted from 0."""
    if axes == tuple(range(len(x.dims))):
        return x
    (y,) = emit("permute", (x,), tuple(x.dims[axis] for axis in axes), axes=axes)
    return y


@gradient_of("permute")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    axes = node.attributes["axes"]
    back = tuple(axes.index(axis) for axis in range(len(axes)))
    return (_backward("permute", node, dy, like=node.inputs[0], axes=back),)


def sum_steps(x: Value) -> Value:
    """The sum over the last axis but one: (..., steps, cols) becomes (..., cols)."""
    (y,) = emit("sum_steps", (x,), (*x.dims[:-2], x.dims[-1]))
    return y


@gradient_of("sum_steps")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    return (_backward("repeat_steps", node, dy, like=node.inputs[0]),)


def repeat_steps(x: Value, steps: int) -> Value:
    """The same for each of so many steps: (..., cols) becomes (..., steps, cols)."""
    (y,) = emit("repeat_steps", (x,), (*x.dims[:-1], steps, x.dims[-1]))
    return y


@gradient_of("repeat_steps")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    return (_backward("sum_steps", node, dy, like=node.inputs[0]),)


def broadcast(x: Value, dims: tuple[int, ...]) -> Value:
    """Repeats x along axes of length 1, and along those that it lacks in front."""
    if x.dims == dims:
        return x
    x = reshape(x, (1,) * (len(dims) - len(x.dims)) + x.dims)
    for axis, size in enumerate(dims):
        if x.dims[axis] != size:
            before, after = x.dims[:axis], x.dims[axis + 1 :]
            flat = reshape(x, (math.prod(before), math.prod(after)))
            x = reshape(repeat_steps(flat, size), (*before, size, *after))
    return x


def max_steps(x: Value) -> Value:
    """The largest over the last axis but one: (..., steps, cols) becomes (..., cols)."""
    (y,) = emit("max_steps", (x,), (*x.dims[:-2], x.dims[-1]))
    return y


@gradient_of("max_steps")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    (x,) = node.inputs
    return (_backward("max_steps_gradient", node, dy, x, node.output, like=x),)


def row_products(a: Value, b: Value) -> Value:
    """The inner product of each row of a (m, k) with each of b (n, k): (m, n)."""
    (y,) = emit("row_products", (a, b), (a.dims[0], b.dims[0]))
    return y


@gradient_of("row_products")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    a, b = (permute(v, (1, 0)) for v in node.inputs)
    return (
        _backward("row_products", node, dy, b, like=node.inputs[0]) if wanted[0] else None,
        _backward("row_products", node, permute(dy, (1, 0)), a, like=node.inputs[1])
        if wanted[1]
        else None,
    )


def unit_rows(x: Value) -> Value:
    """x over its Euclidean length, or over 1e-7 where that is larger, along the last axis."""
    (y,) = emit("unit_rows", (x,), x.dims)
    return y


@gradient_of("unit_rows")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    return (_backward("unit_rows_gradient", node, dy, node.inputs[0], like=dy),)


def standardize(x: Value, mean: Variable, variance: Variable, *, invert: bool) -> Value:
    """(x - mean) / max(sqrt(variance), 1e-7) of x (..., cols, run), or the reverse of it."""
    inputs = (x, parameter(mean), parameter(variance))
    (y,) = emit("standardize", inputs, x.dims, invert=invert)
    return y


@gradient_of("standardize")
def _(node: Node, dy: Value, wanted: tuple[bool, ...]) -> Gradients:
    variance = node.inputs[2]
    # Mean and variance are those of the data: nobody trains them.
    return (
        _backward("standardize_gradient", node, dy, variance, like=dy, **node.attributes),
        None,
        None,
    )


# -------------------------------------------------------------------------- losses


def loss(
    kind: str,
    y_true: Value,
    y_pred: Value,
    weight: Value | None,
    *,
    reduction: str,
    loss_weight: float = 1.0,
    rows: tuple[int, ...] | None = None,
    **options: Any,
) -> Node:
    """A loss node: its outputs are the weighted value of each row, and the gradient.

    A loss knows its own gradient: of ``loss_weight * reduce(weight * value)`` with respect
    to y_pred, where reduce is the mean over all values of the batch or the sum. `rows` are the
    axes of an example's values, if they are not those of y_pred but the last.
    """
    inputs = (y_true, y_pred) if weight is None else (y_true, y_pred, weight)
    values, _ = emit(
        "loss",
        inputs,
        y_pred.dims[:-1] if rows is None else rows,
        y_pred.dims,
        dtype=y_pred.dtype,
        kind=kind,
        reduction=reduction,
        loss_weight=loss_weight,
        options=options,
    )
    assert values.node is not None
    return values.node


def metric(
    kind: str, y_true: Value, y_pred: Value, weight: Value | None, **options: float
) -> Value:
    """The weighted value of a metric for each row; a loss can serve as a metric."""
    inputs = (y_true, y_pred) if weight is None else (y_true, y_pred, weight)
    (values,) = emit(
        "metric", inputs, y_pred.dims[:-1], dtype=y_pred.dtype, kind=kind, options=options
    )
    return values
