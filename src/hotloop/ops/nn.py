"""Functions of networks, as `keras.ops.nn` has them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import activations, config
from ..backends.movements import Numbers
from ..graph.ops.movements import MOVE_BACK
from ..graph.trace import Value, apply
from .choosing import one_hot, take
from .elements import (
    absolute,
    add,
    cast,
    clip,
    divide,
    greater,
    log,
    log10,
    logical_and,
    maximum,
    multiply,
    negative,
    power,
    sqrt,
    square,
    subtract,
    where,
)
from .elements import tanh as _tanh
from .indexing import get_item
from .products import matmul
from .reductions import mean, var
from .reductions import sum as _sum
from .shaping import moveaxis, pad, repeat, reshape, split, squeeze, swapaxes, transpose
from .tensors import (
    Tensor,
    array,
    doc,
    float_dtype,
    inner_axis,
    named,
    only_arrays,
    rank,
    recorded,
    shape_of,
    shown,
    size_of,
    symbolic,
    value,
)


def _floats(x: Tensor) -> Any:
    """x as floats: a value or an array."""
    dtype = float_dtype(x)
    return value(x, dtype) if symbolic(x) else array(x, dtype)


def _activation(name: str, function: Callable[..., Any], summary: str) -> Any:
    def call(x: Tensor) -> Any:
        return function(_floats(x))

    return named(call, name, doc(summary, "x", "array of floats"))


relu = _activation("relu", activations.relu, "max(x, 0).")
relu6 = _activation("relu6", activations.relu6, "min(max(x, 0), 6).")
selu = _activation("selu", activations.selu, "SELU, which keeps mean 0 and variance 1.")
sigmoid = _activation("sigmoid", activations.sigmoid, "1 / (1 + exp(-x)).")
silu = _activation("silu", activations.silu, "x sigmoid(x), also called swish.")
swish = _activation("swish", activations.silu, "x sigmoid(x), also called SiLU.")
softplus = _activation("softplus", activations.softplus, "log(1 + exp(x)).")
softsign = _activation("softsign", activations.softsign, "x / (1 + |x|).")
log_sigmoid = _activation("log_sigmoid", activations.log_sigmoid, "log(sigmoid(x)).")
hard_sigmoid = _activation("hard_sigmoid", activations.hard_sigmoid, "x / 6 + 1/2, from 0 to 1.")
hard_silu = _activation("hard_silu", activations.hard_silu, "x hard_sigmoid(x).")
hard_swish = _activation("hard_swish", activations.hard_silu, "x hard_sigmoid(x).")
hard_tanh = _activation("hard_tanh", activations.hard_tanh, "x, clipped to [-1, 1].")
tanh_shrink = _activation("tanh_shrink", activations.tanh_shrink, "x - tanh(x).")
sparse_plus = _activation("sparse_plus", activations.sparse_plus, "(x + 1)**2 / 4 near 0.")
sparse_sigmoid = _activation(
    "sparse_sigmoid", activations.sparse_sigmoid, "(x + 1) / 2, clipped to [0, 1]."
)


@recorded
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Any:
    """x where it is above 0, else negative_slope x."""
    return activations.leaky_relu(_floats(x), negative_slope)


@recorded
def elu(x: Tensor, alpha: float = 1.0) -> Any:
    """x where it is above 0, else alpha (exp(x) - 1)."""
    return activations.elu(_floats(x), alpha)


@recorded
def celu(x: Tensor, alpha: float = 1.0) -> Any:
    """x where it is above 0, else alpha (exp(x / alpha) - 1)."""
    return activations.celu(_floats(x), alpha)


@recorded
def gelu(x: Tensor, approximate: bool = True) -> Any:
    """x times the share of normal numbers below it; by tanh, if approximate."""
    return activations.gelu(_floats(x), approximate)


@recorded
def hard_shrink(x: Tensor, threshold: float = 0.5) -> Any:
    """x where |x| is above the threshold, else 0."""
    return activations.hard_shrink(_floats(x), threshold)


@recorded
def soft_shrink(x: Tensor, threshold: float = 0.5) -> Any:
    """x moved towards 0 by the threshold, 0 between -threshold and threshold."""
    return activations.soft_shrink(_floats(x), threshold)


@recorded
def squareplus(x: Tensor, b: float = 4) -> Any:
    """(x + sqrt(x**2 + b)) / 2."""
    return activations.squareplus(_floats(x), b)


@recorded
def threshold(x: Tensor, threshold: float, default_value: float) -> Any:
    """x where it is above the threshold, else the default value."""
    x = _floats(x)
    return where(greater(x, threshold), x, default_value)


@recorded
def glu(x: Tensor, axis: int = -1) -> Any:
    """The first half of an axis times the sigmoid of the second."""
    first, second = split(_floats(x), 2, axis)
    return multiply(first, sigmoid(second))


def _rows(name: str, function: Callable[..., Any], summary: str) -> Any:
    def call(x: Tensor, axis: Any = -1) -> Any:
        x = _floats(x)
        axes = rank(x) if isinstance(x, Value) else x.ndim
        if axis is None or isinstance(axis, list | tuple):
            return _over_several(call, x, axis, axes)
        if axes == 0 or axis in (-1, axes - 1):
            return function(x) if axes else function(reshape(x, (1,))).reshape(())
        return moveaxis(function(moveaxis(x, axis, -1)), -1, axis)

    return named(call, name, f"{summary}\n\nOver the last axis, another one, or several.")


def _over_several(call: Callable[..., Any], x: Any, axis: Any, axes: int) -> Any:
    """Over several axes as over one."""
    which = [*range(axes)] if axis is None else [i % axes for i in axis]
    rest = [i for i in range(axes) if i not in which]
    order = [*rest, *which]
    turned = transpose(x, order)
    dims = shape_of(turned)
    flat = reshape(turned, (*dims[: len(rest)], size_of(dims[len(rest) :])))
    back = [order.index(i) for i in range(axes)]
    return transpose(reshape(call(flat), dims), back)


softmax = _rows("softmax", activations.softmax, "exp(x) over its sum.")
log_softmax = _rows("log_softmax", activations.log_softmax, "log(softmax(x)), without overflow.")
sparsemax = _rows("sparsemax", activations.sparsemax, "The nearest probabilities.")


# --------------------------------------------------------------------------------- losses


def _alike(target: Tensor, output: Tensor, who: str) -> tuple[Any, Any]:
    dtype = float_dtype(target, output)
    a, b = (
        value(x, dtype) if symbolic(target, output) else array(x, dtype) for x in (target, output)
    )
    one, other = (x.shape for x in (a, b))
    if len(one) != len(other) or any(
        n != m and None not in (n, m) for n, m in zip(one, other, strict=True)
    ):
        raise ValueError(f"{who}: target and output must have one shape, not {one} and {other}")
    return a, b


def _clipped(p: Any) -> Any:
    epsilon = 1e-7
    return clip(p, epsilon, 1.0 - epsilon)


@recorded
def binary_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False) -> Any:
    """-t log(p) - (1 - t) log(1 - p), element by element.

    With from_logits, p is the sigmoid of the output.
    """
    t, p = _alike(target, output, "binary_crossentropy")
    if from_logits:
        return subtract(add(softplus(negative(absolute(p))), maximum(p, 0.0)), multiply(t, p))
    p = _clipped(p)
    return negative(add(multiply(t, log(p)), multiply(subtract(1.0, t), log(subtract(1.0, p)))))


@recorded
def categorical_crossentropy(
    target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1
) -> Any:
    """-sum(t log(p)) over an axis.

    With from_logits, p is the softmax of the output; otherwise it is divided by its sum.
    """
    t, p = _alike(target, output, "categorical_crossentropy")
    return negative(_sum(multiply(t, _log_probability(p, from_logits, axis)), axis=axis))


def _log_probability(p: Any, from_logits: bool, axis: int) -> Any:
    if from_logits:
        return log_softmax(p, axis)
    return log(_clipped(divide(p, _sum(p, axis=axis, keepdims=True))))


@recorded
def sparse_categorical_crossentropy(
    target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1
) -> Any:
    """-log(p) of the class that the target numbers; see `categorical_crossentropy`."""
    p = _floats(output) if not symbolic(target, output) else value(output, float_dtype(output))
    t = value(target, "int32") if symbolic(target, output) else array(target).astype("int32")
    axes = rank(p) if isinstance(p, Value) else p.ndim
    given = rank(t) if isinstance(t, Value) else t.ndim
    if given == axes and t.shape[-1] == 1:
        t = squeeze(t, -1)
    classes = p.dims[inner_axis(p, axis, "crossentropy")] if isinstance(p, Value) else p.shape[axis]
    if (rank(t) if isinstance(t, Value) else t.ndim) != axes - 1:
        raise ValueError(
            "sparse_categorical_crossentropy: target must have the shape of output without its "
            f"classes, not {shown(target)} for {shown(output)}"
        )
    hot = one_hot(t, classes, axis=axis, dtype=str(p.dtype))
    return negative(_sum(multiply(hot, _log_probability(p, from_logits, axis)), axis=axis))


# -------------------------------------------------------------------------- normalizations


@recorded
def moments(x: Tensor, axes: Any, keepdims: bool = False, synchronized: bool = False) -> Any:
    """The mean and the variance over axes."""
    if synchronized:
        raise ValueError("moments: there is one machine; leave synchronized out")
    x = _floats(x)
    return mean(x, axes, keepdims), var(x, axes, keepdims)


@recorded
def normalize(x: Tensor, axis: Any = -1, order: int = 2, epsilon: float | None = None) -> Any:
    """x over its norm along an axis, or over epsilon where that is larger."""
    if not isinstance(order, int) or not order >= 1:
        raise ValueError(f"normalize: order must be a whole number of at least 1, not {order!r}")
    x = _floats(x)
    least = config.epsilon() if epsilon is None and hasattr(config, "epsilon") else epsilon or 1e-7
    if order == 2:
        square_sum = _sum(square(x), axis=axis, keepdims=True)
        return multiply(x, divide(1.0, sqrt(maximum(square_sum, least**2))))
    size = power(_sum(power(absolute(x), order), axis=axis, keepdims=True), 1.0 / order)
    return divide(x, maximum(size, least))


def _beside(x: Any, part: Tensor, axis: int) -> Any:
    """What belongs to one axis, with axes of 1 behind it."""
    axes = rank(x) if isinstance(x, Value) else x.ndim
    after = axes - 1 - axis % axes
    return reshape(part, (-1, *(1,) * after)) if after else part


@recorded
def batch_normalization(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    axis: int,
    offset: Tensor = None,
    scale: Tensor = None,
    epsilon: float = 1e-3,
) -> Any:
    """(x - mean) / sqrt(variance + epsilon) along an axis, times a scale, plus an offset."""
    x = _floats(x)
    unit = divide(
        subtract(x, _beside(x, mean, axis)), sqrt(add(_beside(x, variance, axis), epsilon))
    )
    if scale is not None:
        unit = multiply(unit, _beside(x, scale, axis))
    return unit if offset is None else add(unit, _beside(x, offset, axis))


@recorded
def layer_normalization(
    x: Tensor,
    gamma: Tensor = None,
    beta: Tensor = None,
    axis: Any = -1,
    epsilon: float | None = None,
    **kwargs: Any,
) -> Any:
    """x less its mean, over its standard deviation, along axes; times gamma, plus beta."""
    if kwargs.pop("rms_scaling", False):
        return rms_normalization(x, gamma, axis, epsilon)
    if kwargs:
        raise TypeError(f"layer_normalization takes no argument {next(iter(kwargs))!r}")
    least = 1e-7 if epsilon is None else epsilon
    x = _floats(x)
    center = subtract(x, mean(x, axis, True))
    unit = divide(center, sqrt(add(mean(square(center), axis, True), least)))
    if gamma is not None:
        unit = multiply(unit, _along(unit, gamma, axis))
    return unit if beta is None else add(unit, _along(unit, beta, axis))


def _along(x: Any, part: Tensor, axis: Any) -> Any:
    if isinstance(axis, int):
        return _beside(x, part, axis)
    return part


@recorded
def rms_normalization(
    x: Tensor, scale: Tensor = None, axis: Any = -1, epsilon: float | None = None
) -> Any:
    """x over the root of its mean square along axes, times a scale."""
    least = 1e-7 if epsilon is None else epsilon
    x = _floats(x)
    unit = divide(x, sqrt(add(mean(square(x), axis, True), least)))
    return unit if scale is None else multiply(unit, _along(unit, scale, axis))


# ------------------------------------------------------------------------------- attention


@recorded
def dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor = None,
    mask: Tensor = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Any:
    """What queries find: values weighted by the softmax of scaled products of queries and keys.

    Parameters
    ----------
    query : array of shape (batch, steps, heads, size)
    key, value : array of shape (batch, other steps, heads, size)
        With as many heads, or a number of heads that divides theirs.
    bias : array, optional
        Added to the products, (batch, heads, steps, other steps).
    mask : array of bool, optional
        Of the same shape: where it is False, nothing is found.
    scale : float, optional
        Of the products; 1 / sqrt(size) if not given.
    is_causal : bool
        Whether a query finds nothing behind itself.
    flash_attention : bool, optional
        There is one way to compute it; True is refused.
    attn_logits_soft_cap : float, optional
        Products are kept below it by tanh.
    """
    if flash_attention:
        raise ValueError("dot_product_attention: there is no flash attention; leave it out")
    q, k, v = (swapaxes(_floats(x), 1, 2) for x in (query, key, value))
    size = shape_of(q)[-1]
    heads, groups = shape_of(q)[1], shape_of(k)[1]
    if heads != groups:
        k, v = (repeat(x, heads // groups, axis=1) for x in (k, v))
    logits = multiply(matmul(q, swapaxes(k, 2, 3)), 1 / math.sqrt(size) if scale is None else scale)
    if attn_logits_soft_cap is not None:
        logits = multiply(_tanh(divide(logits, attn_logits_soft_cap)), attn_logits_soft_cap)
    if bias is not None:
        logits = add(logits, bias)
    lowest = -0.7 * float(np.finfo(str(logits.dtype)).max)
    if is_causal:
        steps, others = shape_of(logits)[-2:]
        behind = np.tri(steps, others, dtype=bool)
        mask = behind if mask is None else logical_and(cast(mask, "bool"), behind)
    if mask is not None:
        logits = where(cast(mask, "bool"), logits, lowest)
    return swapaxes(matmul(softmax(logits), v), 1, 2)


@recorded
def psnr(x1: Tensor, x2: Tensor, max_val: float) -> Any:
    """The peak signal-to-noise ratio of two images, in decibels."""
    if shown(x1) != shown(x2):
        raise ValueError(f"psnr: images must have one shape, not {shown(x1)} and {shown(x2)}")
    error = mean(square(subtract(_floats(x1), _floats(x2))))
    return subtract(20 * math.log10(max_val), multiply(log10(error), 10.0))


@recorded
def polar(abs_: Tensor, angle: Tensor) -> Any:
    """Complex numbers of these sizes and angles; of arrays."""
    only_arrays("polar", abs_, angle)
    r, turn = array(abs_, float_dtype(abs_)), array(angle, float_dtype(angle))
    return (r * np.cos(turn) + 1j * r * np.sin(turn)).astype(
        "complex128" if r.dtype == np.float64 else "complex64"
    )


# ------------------------------------------------------------------------- images and blocks


@recorded
def space_to_depth(x: Tensor, block_size: int, data_format: str = "channels_last") -> Any:
    """Blocks of an image as channels of one place."""
    if data_format != "channels_last":
        turned = space_to_depth(moveaxis(x, 1, -1), block_size)
        return moveaxis(turned, -1, 1)
    n, (batch, h, w, c) = block_size, shape_of(x)
    parts = reshape(x, (batch, h // n, n, w // n, n, c))
    return reshape(moveaxis(parts, 3, 2), (batch, h // n, w // n, n * n * c))


@recorded
def depth_to_space(x: Tensor, block_size: int, data_format: str = "channels_last") -> Any:
    """Channels of one place as blocks of an image: the opposite of `space_to_depth`."""
    if data_format != "channels_last":
        turned = depth_to_space(moveaxis(x, 1, -1), block_size)
        return moveaxis(turned, -1, 1)
    n, (batch, h, w, c) = block_size, shape_of(x)
    parts = reshape(x, (batch, h, w, n, n, c // (n * n)))
    return reshape(moveaxis(parts, 3, 2), (batch, h * n, w * n, c // (n * n)))


def _pair(n: Any) -> tuple[int, int]:
    return (n, n) if isinstance(n, int) else tuple(n)


def _windows(
    h: int, w: int, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> tuple[Any, tuple[int, int]]:
    """For each number of each window, its place in the padded image."""
    (kh, kw), (dh, dw), (ph, pw), (sh, sw) = map(_pair, (kernel_size, dilation, padding, stride))
    high, wide = h + 2 * ph, w + 2 * pw
    rows = np.arange(0, high - dh * (kh - 1), sh)
    cols = np.arange(0, wide - dw * (kw - 1), sw)
    y = rows[:, None, None, None] + dh * np.arange(kh)[None, None, :, None]
    x = cols[None, :, None, None] + dw * np.arange(kw)[None, None, None, :]
    places = (y * wide + x).reshape(len(rows) * len(cols), kh * kw)
    return places.T, (high, wide)


@recorded
def unfold(
    x: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """The windows of images (batch, channels, height, width), as columns.

    Returns
    -------
    array of shape (batch, channels * window, windows)
    """
    batch, c, h, w = shape_of(x)
    places, (high, wide) = _windows(h, w, kernel_size, dilation, padding, stride)
    ph, pw = _pair(padding)
    flat = reshape(pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw))), (batch, c, high * wide))
    return reshape(take(flat, places, axis=2), (batch, c * places.shape[0], places.shape[1]))


@recorded
def fold(
    x: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Any:
    """Images in which windows are added up where they came from: the adjoint of `unfold`."""
    h, w = _pair(output_size)
    places, (high, wide) = _windows(h, w, kernel_size, dilation, padding, stride)
    ph, pw = _pair(padding)
    batch, rows, _ = shape_of(x)
    c = rows // places.shape[0]
    parts = reshape(_floats(x), (batch, c, places.size))
    flat: Any
    if isinstance(parts, Value):
        options = {"numbers": Numbers(places.ravel()), "axis": 1}
        flat = apply(MOVE_BACK, parts, how="at", options=options, dims=(c, high * wide))
    else:
        flat = np.zeros((batch, c, high * wide), parts.dtype)
        np.add.at(flat, (slice(None), slice(None), places.ravel()), parts)  # type: ignore[arg-type]
    image = reshape(flat, (batch, c, high, wide))
    return get_item(image, (slice(None), slice(None), slice(ph, high - ph), slice(pw, wide - pw)))
