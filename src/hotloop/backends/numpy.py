"""The reference backend: every op in plain NumPy, complete, for float32 and float64.

What an op means is what it does here; the other backends are tested against it. Arrays have
the shapes of a graph's values, (examples, ..., cols), of any rank unless a docstring says
otherwise; a row is what stands along the last axis. Outputs are keyword-only, owned by the
caller and written in place; where one may be None it is then not computed. An output may
be one of the inputs of the same shape. Arithmetic is IEEE's, without warnings: an
overflow is an infinity. Sums over a row, a column or an array are taken in float64.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from . import Function
from .formulas import (
    ACTIVATIONS,
    EPSILON,
    FOCAL_LOSSES,
    GOLDEN_GAMMA,
    LOSSES,
    OPTIMIZERS,
    SELU_ALPHA,
    SELU_SCALE,
    Activation,
    Formula,
    Loss,
    Optimizer,
    adam_step_size,
    clip,
    hinge_labels,
    normal_48,
    power_derivative,
    sigmoid,
    splitmix64,
    uniform_24,
    unless_clipped,
)
from .labels import check_labels
from .multirow_losses import circle, ctc
from .weights import over, row_factor, weighted

Array: TypeAlias = npt.NDArray[Any]

# -------------------------------------------------------------------- matrix product


def matmul(
    a: Array, b: Array, *, out: Array, transpose_a: bool = False, transpose_b: bool = False
) -> None:
    """The matrix product a b, with a or b transposed first where asked.

    >>> out = np.empty((1, 1))
    >>> matmul(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), out=out, transpose_b=True)
    >>> out
    array([[11.]])
    """
    x = matrix(a)
    product = (x.T if transpose_a else x) @ (b.T if transpose_b else b)
    out[...] = product.reshape(out.shape)


def batch_matmul(
    a: Array, b: Array, *, out: Array, transpose_a: bool = False, transpose_b: bool = False
) -> None:
    """a b, matrix by matrix: a (..., m, k), b (..., k, n), out (..., m, n).

    Where asked, the matrices of a or b are transposed first.

    >>> out = np.empty((1, 1, 1))
    >>> batch_matmul(np.array([[[1.0, 2.0]]]), np.array([[[3.0, 4.0]]]), out=out, transpose_b=True)
    >>> out
    array([[[11.]]])
    """
    x = np.swapaxes(a, -1, -2) if transpose_a else a
    np.matmul(x, np.swapaxes(b, -1, -2) if transpose_b else b, out=out)


def dense(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    out: Array,
    activation: str = "linear",
    alpha: float = 0.0,
) -> None:
    """f(x w + b): a fully connected layer with an elementwise activation f.

    x is (..., inputs), w (inputs, units), b (units,) or None, out (..., units).

    >>> out = np.empty((1, 1))
    >>> x, w = np.array([[1.0, 2.0]]), np.array([[3.0], [-4.0]])
    >>> dense(x, w, np.array([1.0]), out=out, activation="relu")
    >>> out
    array([[0.]])
    """
    z = matrix(x) @ w
    if b is not None:
        z = z + b
    OPS[activation](z.reshape(out.shape), out=out, alpha=alpha)


def input_gradient(dy: Array, w: Array, *, out: Array) -> None:
    """dy w^T: the gradient of x w with respect to x, dy being that with respect to the product."""
    matmul(dy, w, out=out, transpose_b=True)


def weight_gradient(x: Array, dy: Array, *, out: Array) -> None:
    """x^T dy over all rows, into out (inputs, units): the gradient with respect to w.

    >>> out = np.empty((2, 1))
    >>> weight_gradient(np.array([[[1.0, 2.0], [3.0, 4.0]]]), np.ones((1, 2, 1)), out=out)
    >>> out
    array([[4.],
           [6.]])
    """
    out[...] = matrix(x).T @ matrix(dy)


def add_bias(x: Array, b: Array, *, out: Array) -> None:
    """x + b, b (cols,) being added to each row."""
    np.add(x, b, out=out)


def bias_gradient(dy: Array, *, out: Array) -> None:
    """The sum of all rows of dy, into out (cols,)."""
    out[...] = matrix(dy).sum(axis=0, dtype=np.float64)


def matrix(x: Array) -> Array:
    """All rows of x, whatever axes they have.

    >>> matrix(np.zeros((2, 3, 4))).shape, matrix(np.zeros(5)).shape
    ((6, 4), (1, 5))
    """
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def add(a: Array, b: Array, *, out: Array) -> None:
    """a + b, of one shape, any rank."""
    np.add(a, b, out=out)


def subtract(a: Array, b: Array, *, out: Array) -> None:
    """a - b, of one shape, any rank."""
    np.subtract(a, b, out=out)


def multiply(a: Array, b: Array, *, out: Array) -> None:
    """a * b, of one shape, any rank."""
    np.multiply(a, b, out=out)


def maximum(a: Array, b: Array, *, out: Array) -> None:
    """The larger of a and b, of one shape, any rank; NaN where either is NaN."""
    np.maximum(a, b, out=out)


def minimum(a: Array, b: Array, *, out: Array) -> None:
    """The smaller of a and b, of one shape, any rank; NaN where either is NaN."""
    np.minimum(a, b, out=out)


MERGES = (add, subtract, multiply, maximum, minimum)
"""What becomes of two arrays of one shape, element by element."""


def maximum_gradient(dy: Array, a: Array, b: Array, *, out: Array) -> None:
    """With respect to a: dy where a > b, half of it where they are equal; out may be dy."""
    np.multiply(dy, (a > b) + (a == b) * dy.dtype.type(0.5), out=out)


def minimum_gradient(dy: Array, a: Array, b: Array, *, out: Array) -> None:
    """With respect to a: dy where a < b, half of it where they are equal; out may be dy."""
    np.multiply(dy, (a < b) + (a == b) * dy.dtype.type(0.5), out=out)


def scale(x: Array, *, factor: float, offset: float, out: Array) -> None:
    """x * factor + offset."""
    np.multiply(x, x.dtype.type(factor), out=out)
    out += x.dtype.type(offset)


def concatenate(a: Array, b: Array, *, out: Array) -> None:
    """Rows of two arrays side by side."""
    np.concatenate([a, b], axis=-1, out=out)


def columns(x: Array, *, first: int, out: Array) -> None:
    """As many columns as out has, from `first` on."""
    out[...] = x[..., first : first + out.shape[-1]]


# ------------------------------------------------- indices, and examples of several rows


def indices(x: Array, *, out: Array) -> None:
    """x as int32, of any shape: the nearest that there is, and the smallest of NaN.

    >>> out = np.empty(3, np.int32)
    >>> indices(np.array([2.7, -1.0, np.nan]), out=out)
    >>> out
    array([          2,          -1, -2147483648], dtype=int32)
    """
    out[...] = _nearest(x, out.dtype)


def lookup(index: Array, w: Array, *, out: Array) -> None:
    """Row index[i] of w (rows, cols) for each index, into out (*index.shape, cols).

    NaN where there is no such row.

    >>> out = np.empty((2, 1))
    >>> lookup(np.array([1, 7], np.int32), np.array([[10.0], [20.0]]), out=out)
    >>> out
    array([[20.],
           [nan]])
    """
    known = (index >= 0) & (index < len(w))
    out[...] = np.where(known[..., np.newaxis], w[np.where(known, index, 0)], np.nan)


def lookup_gradient(dy: Array, index: Array, *, out: Array) -> None:
    """With respect to w, into out (rows, cols): each row of dy, added to the row it came from."""
    known = (index >= 0) & (index < len(out))
    out[...] = 0
    np.add.at(out, index[known], dy[known])


def encode(index: Array, *, counts: bool, out: Array) -> None:
    """Which numbers, or how many of each, stand in a row: index (..., n), out (..., depth).

    >>> out = np.empty((1, 3))
    >>> encode(np.array([[2, 0, 2, 9]], np.int32), counts=True, out=out)
    >>> out
    array([[1., 0., 2.]])
    """
    rows = out.reshape(-1, out.shape[-1])
    flat = index.reshape(len(rows), index.shape[-1])
    rows[...] = 0
    row, _ = np.nonzero(known := (flat >= 0) & (flat < rows.shape[1]))
    np.add.at(rows, (row, flat[known]), 1)
    if not counts:
        np.minimum(rows, 1, out=rows)


def permute(x: Array, *, axes: tuple[int, ...], out: Array) -> None:
    """The axes of each example in another order, counted from 0, without the batch."""
    out[...] = x.transpose(0, *(axis + 1 for axis in axes))


def sum_steps(x: Array, *, out: Array) -> None:
    """The sum over all steps of x (..., steps, cols), into out (..., cols)."""
    out[...] = x.sum(axis=-2, dtype=np.float64)


def mean_steps(x: Array, *, out: Array) -> None:
    """The mean over all steps of x (..., steps, cols), into out (..., cols); NaN of none."""
    out[...] = x.sum(axis=-2, dtype=np.float64) / x.shape[-2]


def cumulative_sum(x: Array, *, axis: int, reverse: bool = False, out: Array) -> None:
    """The sums along an axis up to each element, or, where reverse, from each to the last.

    >>> out = np.empty((1, 3))
    >>> cumulative_sum(np.array([[1.0, 2.0, 4.0]]), axis=-1, reverse=True, out=out)
    >>> out
    array([[7., 6., 4.]])
    """
    if reverse:
        x, out = np.flip(x, axis), np.flip(out, axis)
    out[...] = x.cumsum(axis, dtype=np.float64)


def repeat_steps(x: Array, *, out: Array) -> None:
    """x (..., cols) in each step of out (..., steps, cols)."""
    out[...] = x[..., np.newaxis, :]


def max_steps(x: Array, *, out: Array) -> None:
    """The largest over all steps of x (..., steps, cols), into out (..., cols)."""
    x.max(axis=-2, out=out)


def max_steps_gradient(dy: Array, x: Array, y: Array, *, out: Array) -> None:
    """dy, shared evenly by all steps of x that equal y, `max_steps`' output."""
    equal = x == y[..., np.newaxis, :]
    share = dy / equal.sum(axis=-2, dtype=dy.dtype)
    out[...] = np.where(equal, share[..., np.newaxis, :], 0)


def unit_rows(x: Array, *, out: Array) -> None:
    """x / max(|x|, 1e-7) of each row, |x| being its Euclidean length.

    >>> out = np.empty((1, 2))
    >>> unit_rows(np.array([[3.0, 4.0]]), out=out)
    >>> out
    array([[0.6, 0.8]])
    """
    out[...] = x * _inverse_length(x)


def unit_rows_gradient(dy: Array, x: Array, *, out: Array) -> None:
    """(dy - u sum(dy u)) / |x| with u = x / |x|; dy / 1e-7 where |x| is no larger than that."""
    inverse = _inverse_length(x)
    u = x * inverse
    out[...] = (dy - u * np.where(inverse < 1.0 / EPSILON, _row_sum(dy * u), 0)) * inverse


def standardize(x: Array, mean: Array, variance: Array, *, invert: bool, out: Array) -> None:
    """(x - mean) / s with s = max(sqrt(variance), 1e-7); x s + mean with `invert`.

    x is (..., cols, run); mean and variance have cols elements.

    >>> out = np.empty((2, 1))
    >>> x, mean, variance = np.array([[1.0], [6.0]]), np.array([3.0, 4.0]), np.array([4.0, 1.0])
    >>> standardize(x, mean, variance, invert=False, out=out)
    >>> out
    array([[-1.],
           [ 2.]])
    """
    deviation = np.maximum(np.sqrt(variance), EPSILON).reshape(-1, 1)
    shift = mean.reshape(-1, 1)
    out[...] = x * deviation + shift if invert else (x - shift) / deviation


def standardize_gradient(dy: Array, variance: Array, *, invert: bool, out: Array) -> None:
    """With respect to x: dy / s, or dy s with `invert`."""
    standardize(dy, np.zeros_like(variance), variance, invert=invert, out=out)


# -------------------------------------------------------------------------- elementwise


def random_bits(key: int, n: int, *, first: int = 0) -> npt.NDArray[np.uint64]:
    """64 random bits for each index i from first to first + n - 1.

    They are SplitMix64's output at state key + (i + 1) 0x9E3779B97F4A7C15, modulo 2^64.

    >>> [hex(bits) for bits in random_bits(0, 2)]
    ['0xe220a8397b1dcdaf', '0x6e789e6aa1b965f4']
    """
    index = np.arange(first + 1, first + n + 1, dtype=np.uint64)
    state = index * GOLDEN_GAMMA + np.uint64(key % 2**64)
    bits: npt.NDArray[np.uint64] = splitmix64(state)
    return bits


def dropout_scale(rate: float) -> float:
    """What dropout multiplies the kept values by: 1 / (1 - rate); 0 where none is kept.

    >>> dropout_scale(0.5), dropout_scale(1.0)
    (2.0, 0.0)
    """
    return 1.0 / (1.0 - rate) if rate < 1.0 else 0.0


def dropout(x: Array, *, rate: float, key: int, out: Array) -> None:
    """x / (1 - rate), each element being 0 with probability rate; any rank.

    Element i, counted in C order, is kept where the top 24 of its `random_bits`, as a
    fraction, are at least rate. The gradient is the same op, with the same key, of dy.
    Srivastava et al. (2014).
    """
    kept = uniform_24(random_bits(key, x.size)).reshape(x.shape) >= rate
    out[...] = np.where(kept, x * dropout_scale(rate), 0.0)


def alpha_dropout_line(rate: float) -> tuple[float, float, float]:
    """(factor, offset, dropped): kept x become factor x + offset, all others dropped.

    They are such that numbers of mean 0 and variance 1 keep both. With s SELU's lowest value,
    -1.758...: factor = ((1 - rate) (1 + rate s^2))^-1/2, offset = -factor rate s, and dropped =
    factor s + offset. Klambauer et al. (2017).

    >>> [round(number, 4) for number in alpha_dropout_line(0.5)]
    [0.8864, 0.7792, -0.7792]
    """
    lowest = -SELU_SCALE * SELU_ALPHA
    factor = ((1.0 - rate) * (1.0 + rate * lowest**2)) ** -0.5
    offset = -factor * rate * lowest
    return factor, offset, factor * lowest + offset


def alpha_dropout(x: Array, *, rate: float, key: int, out: Array) -> None:
    """The elements that `dropout` keeps on the line of `alpha_dropout_line`, others at its end."""
    factor, offset, dropped = alpha_dropout_line(rate)
    kept = uniform_24(random_bits(key, x.size)).reshape(x.shape) >= rate
    out[...] = np.where(kept, x * x.dtype.type(factor) + x.dtype.type(offset), dropped)


def alpha_dropout_gradient(dy: Array, *, rate: float, key: int, out: Array) -> None:
    """dy times the factor of `alpha_dropout_line` where `alpha_dropout` keeps, else 0."""
    factor, _, _ = alpha_dropout_line(rate)
    kept = uniform_24(random_bits(key, dy.size)).reshape(dy.shape) >= rate
    out[...] = np.where(kept, dy * dy.dtype.type(factor), 0.0)


def gaussian_noise(x: Array, *, stddev: float, key: int, out: Array) -> None:
    """x + stddev n, n being the `normal_48` of each element's `random_bits`; any rank."""
    out[...] = x + _noise(x, stddev, key)


def gaussian_dropout(x: Array, *, stddev: float, key: int, out: Array) -> None:
    """x (1 + stddev n), with n as in `gaussian_noise`. The gradient is the same op of dy."""
    out[...] = x * (1.0 + _noise(x, stddev, key))


def _noise(x: Array, stddev: float, key: int) -> Array:
    """Normal numbers of that deviation in x's shape and type."""
    normal = normal_48(random_bits(key, x.size)).reshape(x.shape)
    return np.asarray(stddev * normal).astype(x.dtype)


def prelu(x: Array, alpha: Array, *, out: Array) -> None:
    """x, times alpha (cols,) where it is below 0."""
    out[...] = np.where(x < 0.0, x * alpha, x)


def prelu_gradient(dy: Array, x: Array, alpha: Array, *, out: Array) -> None:
    """dy where x > 0, dy alpha where x < 0, and 0 where x is 0."""
    out[...] = np.where(x < 0.0, dy * alpha, np.where(x == 0.0, 0.0, dy))


def prelu_alpha_gradient(dy: Array, x: Array, *, out: Array) -> None:
    """The sum over the rows of dy min(x, 0), into out (cols,)."""
    out[...] = matrix(np.where(x < 0.0, dy * x, 0.0)).sum(axis=0, dtype=np.float64)


def _activation(activation: Activation) -> tuple[Function, Function]:
    """The ops that compute an activation of `ACTIVATIONS` and its gradient."""
    default = 0.0 if activation.alpha is None else activation.alpha

    def value(x: Array, *, out: Array, alpha: float = default) -> None:
        out[...] = activation.value(x, *activation.options(alpha))

    def gradient(dy: Array, saved: Array, *, out: Array, alpha: float = default) -> None:
        out[...] = dy * activation.derivative(saved, *activation.options(alpha))

    value.__doc__ = activation.value.__doc__
    gradient.__doc__ = f"dy times the derivative, saved being {activation.reads}."
    return value, gradient


# ------------------------------------------------------------- over the columns of a row


def softmax(x: Array, *, out: Array) -> None:
    """exp(x_j) / sum_k exp(x_k) over each row.

    >>> out = np.empty((1, 2))
    >>> softmax(np.array([[1000.0, 1000.0]]), out=out)
    >>> out
    array([[0.5, 0.5]])
    """
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    out[...] = e / _row_sum(e)


def softmax_gradient(dy: Array, y: Array, *, out: Array) -> None:
    """y_j (dy_j - sum_k dy_k y_k), y being softmax's output."""
    out[...] = y * (dy - _row_sum(dy * y))


def log_softmax(x: Array, *, out: Array) -> None:
    """x_j - log(sum_k exp(x_k)) over each row.

    >>> out = np.empty((1, 2))
    >>> log_softmax(np.array([[0.0, 1000.0]]), out=out)
    >>> out
    array([[-1000.,     0.]])
    """
    shifted = x - x.max(axis=-1, keepdims=True)
    out[...] = shifted - np.log(_row_sum(np.exp(shifted)))


def log_softmax_gradient(dy: Array, y: Array, *, out: Array) -> None:
    """dy_j - exp(y_j) sum_k dy_k, y being log_softmax's output."""
    out[...] = dy - np.exp(y) * _row_sum(dy)


def sparsemax(x: Array, *, out: Array) -> None:
    """The point of the unit simplex nearest to each row (Martins & Astudillo 2016).

    max(x_j - tau, 0), tau being such that these sum to 1. With x in falling order, the k
    largest count, k being the last that has 1 + k x_k > x_1 + ... + x_k.

    >>> out = np.empty((1, 3))
    >>> sparsemax(np.array([[2.0, 1.5, 0.0]]), out=out)
    >>> out
    array([[0.75, 0.25, 0.  ]])
    """
    shifted = x - x.max(axis=-1, keepdims=True)
    falling = -np.sort(-shifted, axis=-1)
    sums = falling.cumsum(axis=-1, dtype=np.float64)
    k = np.arange(1, x.shape[-1] + 1)
    count = (1.0 + k * falling > sums).sum(axis=-1, keepdims=True)
    tau = (np.take_along_axis(sums, np.maximum(count - 1, 0), axis=-1) - 1.0) / count
    out[...] = np.maximum(shifted - tau, 0.0)


def sparsemax_gradient(dy: Array, y: Array, *, out: Array) -> None:
    """dy_j less the mean of dy where y > 0, and 0 elsewhere, y being sparsemax's output."""
    counted = y > 0.0
    mean = _row_sum(np.where(counted, dy, 0.0)) / counted.sum(axis=-1, keepdims=True)
    out[...] = np.where(counted, dy - mean, 0.0)


def glu(x: Array, *, out: Array) -> None:
    """a sigmoid(b), a and b being the halves of each row: out has half of x's columns.

    Dauphin et al. (2017).

    >>> out = np.empty((1, 1))
    >>> glu(np.array([[3.0, 0.0]]), out=out)
    >>> out
    array([[1.5]])
    """
    a, b = np.split(x, 2, axis=-1)
    out[...] = a * sigmoid(b)


def glu_gradient(dy: Array, x: Array, *, out: Array) -> None:
    """dy s and dy a s (1 - s) side by side, with s = sigmoid(b); x is glu's input."""
    a, b = np.split(x, 2, axis=-1)
    s = sigmoid(b)
    out[...] = np.concatenate([dy * s, dy * a * s * sigmoid(-b)], axis=-1)


def _row_sum(x: Array) -> Array:
    """The sum of each row, (..., 1), in float64."""
    total: Array = x.sum(axis=-1, keepdims=True, dtype=np.float64)
    return total


def _squares(x: Array) -> Array:
    """The square of each element, in float64: float32 has none of a number beyond 1e19."""
    return np.square(x, dtype=np.float64)


def _log_sum_exp(x: Array) -> Array:
    """log(sum_k exp(x_k)) of each row, (..., 1), in float64."""
    largest = x.max(axis=-1, keepdims=True)
    total: Array = largest + np.log(_row_sum(np.exp(x - largest)))
    return total


# ----------------------------------------------------------------------- normalisation
# gamma and beta (cols,) may be None, which means ones and zeros.


def column_moments(x: Array, *, mean: Array, variance: Array) -> None:
    """The mean of each column and its biased variance, mean((x - mean)^2); both (cols,).

    >>> mean, variance = np.empty((2, 1))
    >>> column_moments(np.array([[1.0], [4.0]]), mean=mean, variance=variance)
    >>> mean, variance
    (array([2.5]), array([2.25]))
    """
    rows = matrix(x)
    center = rows.mean(axis=0, dtype=np.float64)
    mean[...] = center
    variance[...] = ((rows - center) ** 2).mean(axis=0)


def normalize(
    x: Array,
    mean: Array,
    variance: Array,
    gamma: Array | None,
    beta: Array | None,
    *,
    epsilon: float,
    out: Array,
) -> None:
    """(x - mean) / sqrt(variance + epsilon) gamma + beta, column by column.

    Ioffe & Szegedy (2015).

    >>> out = np.empty((2, 1))
    >>> x, two = np.array([[1.0], [4.0]]), np.array([2.0])
    >>> normalize(x, two, two, two, None, epsilon=2.0, out=out)
    >>> out
    array([[-1.],
           [ 2.]])
    """
    out[...] = _affine((x - mean) / np.sqrt(variance + epsilon), gamma, beta)


def normalize_scale_gradient(
    dy: Array, x: Array, mean: Array, variance: Array, *, epsilon: float, out: Array
) -> None:
    """With respect to gamma: the sum over rows of dy (x - mean) / sqrt(variance + epsilon)."""
    normal = (x - mean) / np.sqrt(variance + epsilon)
    out[...] = matrix(dy * normal).sum(axis=0, dtype=np.float64)


def normalize_gradient(
    dy: Array,
    x: Array,
    mean: Array,
    variance: Array,
    gamma: Array | None,
    dgamma: Array | None,
    dbeta: Array | None,
    *,
    epsilon: float,
    out: Array,
) -> None:
    """With respect to x: gamma (dy - (dbeta + n dgamma) / rows) / sqrt(variance + epsilon).

    n is (x - mean) / sqrt(variance + epsilon), mean and variance being those of x, and dgamma
    and dbeta the gradients with respect to gamma and beta. Where these are None, mean and
    variance are constants: gamma dy / sqrt(variance + epsilon).
    """
    deviation = np.sqrt(variance + epsilon)
    rest = dy
    if dgamma is not None and dbeta is not None:
        rest = dy - (dbeta + (x - mean) / deviation * dgamma) / len(matrix(x))
    out[...] = _affine(rest / deviation, gamma, None)


def moving_average_update(average: Array, value: Array, *, momentum: float) -> None:
    """average = average momentum + value (1 - momentum), in place."""
    average[...] = average * momentum + value * (1.0 - momentum)


def layer_norm(
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    *,
    epsilon: float,
    centered: bool = True,
    out: Array,
    mean: Array | None = None,
    inverse: Array | None = None,
) -> None:
    """(x - m) r gamma + beta, with r = 1 / sqrt(mean((x - m)^2) + epsilon), row by row.

    m is the mean of the row, or 0 unless centered. mean and inverse (...) receive m and r.
    Ba, Kiros & Hinton (2016); unless centered, Zhang & Sennrich (2019).

    >>> out = np.empty((1, 2))
    >>> layer_norm(np.array([[1.0, 3.0]]), None, None, epsilon=0.0, out=out)
    >>> out
    array([[-1.,  1.]])
    """
    wide = x.astype(np.float64)
    m = wide.mean(axis=-1) if centered else np.zeros(x.shape[:-1])
    r = 1.0 / np.sqrt(np.mean((wide - m[..., np.newaxis]) ** 2, axis=-1) + epsilon)
    out[...] = _affine((wide - m[..., np.newaxis]) * r[..., np.newaxis], gamma, beta)
    if mean is not None:
        mean[...] = m
    if inverse is not None:
        inverse[...] = r


def layer_norm_scale_gradient(
    dy: Array, x: Array, mean: Array, inverse: Array, *, out: Array
) -> None:
    """With respect to gamma: the sum over rows of dy (x - mean) inverse."""
    normal = (x - mean[..., np.newaxis]) * inverse[..., np.newaxis]
    out[...] = matrix(dy * normal).sum(axis=0, dtype=np.float64)


def layer_norm_gradient(
    dy: Array,
    x: Array,
    mean: Array,
    inverse: Array,
    gamma: Array | None,
    *,
    centered: bool = True,
    out: Array,
) -> None:
    """With respect to x: (g - mean(g) - n mean(g n)) inverse, row by row.

    g = dy gamma and n = (x - mean) inverse; without mean(g) unless centered.
    """
    g = _affine(dy, gamma, None)
    normal = (x - mean[..., np.newaxis]) * inverse[..., np.newaxis]
    rest = g - normal * (_row_sum(g * normal) / x.shape[-1])
    if centered:
        rest = rest - _row_sum(g) / x.shape[-1]
    out[...] = rest * inverse[..., np.newaxis]


def _affine(x: Array, gamma: Array | None, beta: Array | None) -> Array:
    """x gamma + beta."""
    x = x if gamma is None else x * gamma
    return x if beta is None else x + beta


# ------------------------------------------------------------------------------ losses
# values[i] = weight[i] * loss of row i, and
# gradient[i, :] = scale * weight[i] * its derivative with respect to the prediction.
# weight has a number for each row or, of several rows, for each example; None means ones.


def _loss(loss: Loss) -> Function:
    """The op that computes a loss of `LOSSES` and its gradient."""
    default = 0.0 if loss.param is None else loss.param

    def value(
        y_true: Array,
        y_pred: Array,
        weight: Array | None,
        *,
        values: Array,
        gradient: Array | None = None,
        scale: float = 1.0,
        param: float = default,
    ) -> None:
        y = hinge_labels(y_true) if loss.signed else y_true
        options = loss.options(param)
        divisor = loss.divisor(y_pred.shape[-1])
        values[...] = weighted(_row_sum(loss.value(y, y_pred, *options)) / divisor, weight)
        if gradient is not None:
            derivative = loss.derivative(y, y_pred, *options)
            gradient[...] = derivative * row_factor(weight, scale / divisor, gradient)

    value.__doc__ = loss.value.__doc__
    return value


def _binary_focal(formula: Formula, slope: Formula) -> Function:
    """The op of an entry of `FOCAL_LOSSES`: the mean over the columns, and its gradient."""

    def value(
        y_true: Array,
        y_pred: Array,
        weight: Array | None,
        *,
        values: Array,
        gradient: Array | None = None,
        scale: float = 1.0,
        gamma: float = 2.0,
        positive: float = 1.0,
        negative: float = 1.0,
        smoothing: float = 0.0,
    ) -> None:
        options = (gamma, positive, negative, smoothing)
        cols = y_pred.shape[-1]
        values[...] = weighted(_row_sum(formula(y_true, y_pred, *options)) / cols, weight)
        if gradient is not None:
            derivative = slope(y_true, y_pred, *options)
            gradient[...] = derivative * row_factor(weight, scale / cols, gradient)

    value.__doc__ = formula.__doc__
    return value


def categorical_crossentropy(
    y_true: Array,
    y_pred: Array,
    weight: Array | None,
    *,
    values: Array,
    gradient: Array | None = None,
    scale: float = 1.0,
    smoothing: float = 0.0,
) -> None:
    """-sum_j t_j log(clip(q_j)), with q = y_pred / sum(y_pred) over each row.

    t = y_true (1 - smoothing) + smoothing / cols, and clip is to [1e-7, 1 - 1e-7]. The
    gradient goes through the normalisation; clipped terms have none.

    >>> values = np.empty(1)
    >>> y_true, y_pred = np.array([[0.0, 1.0]]), np.array([[3.0, 1.0]])
    >>> categorical_crossentropy(y_true, y_pred, None, values=values)
    >>> values
    array([1.38629436])
    """
    t = _smooth_classes(y_true, smoothing)
    total = _row_sum(y_pred).astype(y_pred.dtype)
    p = y_pred / total
    q = _clip_probability(p)
    values[...] = weighted(_row_sum(-t * np.log(q)), weight)
    if gradient is not None:
        inner = _row_sum(unless_clipped(p, q, t))
        derivative = (inner - unless_clipped(p, q, t / q)) / total
        gradient[...] = derivative * row_factor(weight, scale, gradient)


def sparse_categorical_crossentropy(
    label: Array,
    y_pred: Array,
    weight: Array | None,
    *,
    values: Array,
    gradient: Array | None = None,
    scale: float = 1.0,
) -> None:
    """-log(clip(q[label])), with q = y_pred / sum(y_pred) over each row; label is int32, (...).

    It is `categorical_crossentropy` of one-hot labels.

    Raises
    ------
    ValueError
        If a label is not in [0, cols).
    """
    y_true = one_hot(label, y_pred)
    categorical_crossentropy(y_true, y_pred, weight, values=values, gradient=gradient, scale=scale)


def softmax_crossentropy(
    y_true: Array,
    x: Array,
    weight: Array | None,
    *,
    values: Array,
    probability: Array | None = None,
    gradient: Array | None = None,
    scale: float = 1.0,
    smoothing: float = 0.0,
    clip: bool = False,
) -> None:
    """The categorical cross-entropy of softmax(x), its gradient being with respect to x.

    With clip=False, exact from the logits: sum_j t_j (log(sum_k exp(x_k)) - x_j), and the
    gradient p sum(t) - t, with t as in `categorical_crossentropy` and p = softmax(x).
    With clip=True, as a softmax layer followed by that loss: -sum_j t_j log(clip(p_j)),
    and the gradient p_k sum_j(t_j u_j) - t_k u_k, u_j being 0 where p_j is clipped, else 1.
    probability receives p.

    >>> values, gradient = np.empty(1), np.empty((1, 2))
    >>> softmax_crossentropy(
    ...     np.array([[0.0, 1.0]]), np.array([[5.0, 5.0]]), None, values=values, gradient=gradient
    ... )
    >>> values, gradient
    (array([0.69314718]), array([[ 0.5, -0.5]]))
    """
    t = _smooth_classes(y_true, smoothing)
    p = np.empty_like(x)
    softmax(x, out=p)
    if clip:
        q = _clip_probability(p)
        terms = -t * np.log(q)
        t = unless_clipped(p, q, t)
    else:
        # A class of probability 0 that is not the true one costs nothing: 0 log 0 = 0.
        terms = np.where(t == 0.0, 0.0, t * (_log_sum_exp(x) - x))
    values[...] = weighted(_row_sum(terms), weight)
    if probability is not None:
        probability[...] = p
    if gradient is not None:
        gradient[...] = (p * _row_sum(t) - t) * row_factor(weight, scale, gradient)


def sparse_softmax_crossentropy(
    label: Array,
    x: Array,
    weight: Array | None,
    *,
    values: Array,
    probability: Array | None = None,
    gradient: Array | None = None,
    scale: float = 1.0,
    clip: bool = False,
) -> None:
    """`softmax_crossentropy` for one true class a row, label being int32, (...).

    Raises
    ------
    ValueError
        If a label is not in [0, cols).
    """
    softmax_crossentropy(
        one_hot(label, x),
        x,
        weight,
        values=values,
        probability=probability,
        gradient=gradient,
        scale=scale,
        clip=clip,
    )


def categorical_focal_crossentropy(
    y_true: Array,
    y_pred: Array,
    weight: Array | None,
    *,
    values: Array,
    gradient: Array | None = None,
    scale: float = 1.0,
    gamma: float = 2.0,
    alpha: float = 0.25,
    smoothing: float = 0.0,
) -> None:
    """-alpha sum_j t_j (1 - q_j)^gamma log(q_j), with q = clip(p), p = y_pred / sum(y_pred).

    t and clip are those of `categorical_crossentropy`. Lin et al. (2017).

    >>> values = np.empty(1)
    >>> y_true, y_pred = np.array([[0.0, 1.0]]), np.array([[1.0, 1.0]])
    >>> categorical_focal_crossentropy(y_true, y_pred, None, values=values, alpha=1.0)
    >>> values
    array([0.1732868])
    """
    total = _row_sum(y_pred).astype(y_pred.dtype)
    p = y_pred / total
    loss, slope = _focal_classes(y_true, p, gamma, alpha, smoothing)
    values[...] = weighted(loss, weight)
    if gradient is not None:
        gradient[...] = (slope - _row_sum(slope * p)) / total * row_factor(weight, scale, gradient)


def categorical_focal_crossentropy_logits(
    y_true: Array,
    y_pred: Array,
    weight: Array | None,
    *,
    values: Array,
    gradient: Array | None = None,
    scale: float = 1.0,
    gamma: float = 2.0,
    alpha: float = 0.25,
    smoothing: float = 0.0,
) -> None:
    """`categorical_focal_crossentropy` of softmax(y_pred), and its gradient by y_pred."""
    p = np.empty_like(y_pred)
    softmax(y_pred, out=p)
    loss, slope = _focal_classes(y_true, p, gamma, alpha, smoothing)
    values[...] = weighted(loss, weight)
    if gradient is not None:
        gradient[...] = p * (slope - _row_sum(slope * p)) * row_factor(weight, scale, gradient)


def _focal_classes(
    y_true: Array, p: Array, gamma: float, alpha: float, smoothing: float
) -> tuple[Array, Array]:
    """The categorical focal loss of each row, and its slope by each probability."""
    t = _smooth_classes(y_true, smoothing)
    q = _clip_probability(p)
    focus = np.power(1.0 - q, gamma)
    slope = -alpha * t * (focus / q - power_derivative(1.0 - q, gamma) * np.log(q))
    return _row_sum(-alpha * t * focus * np.log(q)), unless_clipped(p, q, slope)


def generalized_crossentropy(
    label: Array,
    y_pred: Array,
    weight: Array | None,
    *,
    values: Array,
    gradient: Array | None = None,
    scale: float = 1.0,
    q: float = 0.5,
) -> None:
    """(1 - y_pred[label]^q) / q; label is int32, (...). Zhang & Sabuncu (2018).

    >>> values = np.empty(1)
    >>> label = np.array([1], np.int32)
    >>> generalized_crossentropy(label, np.array([[0.75, 0.25]]), None, values=values)
    >>> values
    array([1.])

    Raises
    ------
    ValueError
        If a label is not in [0, cols).
    """
    own = one_hot(label, y_pred)
    p = np.take_along_axis(y_pred, label[..., np.newaxis], axis=-1)
    slope = -np.power(p, q - 1.0)
    values[...] = weighted((1.0 - np.power(p, q)) / q, weight)
    if gradient is not None:
        gradient[...] = np.where(own == 1.0, slope, 0.0) * row_factor(weight, scale, gradient)


def categorical_hinge(
    y_true: Array,
    y_pred: Array,
    weight: Array | None,
    *,
    values: Array,
    gradient: Array | None = None,
    scale: float = 1.0,
) -> None:
    """max(1 + max_j (1 - y_j) p_j - sum_j y_j p_j, 0), p being y_pred.

    Where several columns have the inner maximum, each gets its share of the gradient.

    >>> values = np.empty(1)
    >>> categorical_hinge(np.array([[0.0, 1.0]]), np.array([[0.5, 0.75]]), None, values=values)
    >>> values
    array([0.75])
    """
    wrong = (1.0 - y_true) * y_pred
    most = wrong.max(axis=-1, keepdims=True)
    margin = most - _row_sum(y_true * y_pred) + 1.0
    values[...] = weighted(np.maximum(margin, 0.0), weight)
    if gradient is not None:
        chosen = wrong == most
        share = chosen / chosen.sum(axis=-1, keepdims=True)
        slope = np.where(margin > 0.0, share * (1.0 - y_true) - y_true, 0.0)
        gradient[...] = slope * row_factor(weight, scale, gradient)


def cosine_similarity(
    y_true: Array,
    y_pred: Array,
    weight: Array | None,
    *,
    values: Array,
    gradient: Array | None = None,
    scale: float = 1.0,
) -> None:
    """Minus the cosine of the angle between y_true and y_pred: -1 where they point one way.

    A vector shorter than 1e-7 counts as one of that length.

    >>> values = np.empty(1)
    >>> cosine_similarity(np.array([[3.0, 4.0]]), np.array([[2.0, 0.0]]), None, values=values)
    >>> values
    array([-0.6])
    """
    of_y, of_p = _inverse_length(y_true), _inverse_length(y_pred)
    cosine = _row_sum((y_true * of_y) * (y_pred * of_p))
    values[...] = weighted(-cosine, weight)
    if gradient is not None:
        own = np.where(of_p < 1.0 / EPSILON, cosine * of_p * of_p, 0.0)
        gradient[...] = (y_pred * own - y_true * (of_y * of_p)) * row_factor(
            weight, scale, gradient
        )


def _inverse_length(x: Array) -> Array:
    """1 / length of each row, (rows, 1), in float64; a length below 1e-7 counts as 1e-7."""
    inverse: Array = np.minimum(1.0 / np.sqrt(_row_sum(_squares(x))), 1.0 / EPSILON)
    return inverse


def tversky(
    y_true: Array,
    y_pred: Array,
    weight: Array | None,
    *,
    values: Array,
    gradient: Array | None = None,
    scale: float = 1.0,
    alpha: float = 0.5,
    beta: float = 0.5,
    epsilon: float = EPSILON,
) -> None:
    """1 - I / (I + alpha sum (1 - p) y + beta sum p (1 - y) + epsilon), with I = sum y p.

    The sums are over a row. Salehi, Erdogmus & Gholipour (2017); with alpha = beta = 1/2 it
    is the Dice loss.

    >>> values = np.empty(1)
    >>> tversky(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]]), None, values=values)
    >>> values.round(6)
    array([0.5])
    """
    value, slope = _tversky(y_true, y_pred, alpha, beta, epsilon, axis=-1)
    values[...] = weighted(value, weight)
    if gradient is not None:
        gradient[...] = slope * row_factor(weight, scale, gradient)


def batch_tversky(
    y_true: Array,
    y_pred: Array,
    weight: Array | None,
    *,
    values: Array,
    gradient: Array | None = None,
    scale: float = 1.0,
    alpha: float = 0.5,
    beta: float = 0.5,
    epsilon: float = EPSILON,
) -> None:
    """`tversky` with sums over all rows, whose one value each row has.

    >>> values = np.empty(2)
    >>> y_true, y_pred = np.array([[1.0], [0.0]]), np.array([[0.5], [0.5]])
    >>> batch_tversky(y_true, y_pred, None, values=values)
    >>> values.round(6)
    array([0.5, 0.5])
    """
    value, slope = _tversky(y_true, y_pred, alpha, beta, epsilon, axis=None)
    rows = np.ones(values.shape)
    if weight is not None:
        rows = np.broadcast_to(over(weight, values.ndim), values.shape)
    values[...] = value.reshape(()) * rows
    if gradient is not None:
        gradient[...] = slope * (scale * rows.sum(dtype=np.float64))


def _tversky(
    y: Array, p: Array, alpha: float, beta: float, epsilon: float, axis: int | None
) -> tuple[Array, Array]:
    """The loss over that axis, and its slope by each prediction, in float64."""

    def total(x: Array) -> Array:
        return np.asarray(x.sum(axis=axis, keepdims=True, dtype=np.float64))

    both = total(y * p)
    whole = both + alpha * (total(y) - both) + beta * (total(p) - both) + epsilon
    slope = (both * ((1.0 - alpha) * y + beta * (1.0 - y)) - y * whole) / (whole * whole)
    return 1.0 - both / whole, slope


def _smooth_classes(y_true: Array, smoothing: float) -> Array:
    """Labels moved towards the uniform distribution over the columns."""
    t: Array = y_true * (1.0 - smoothing) + smoothing / y_true.shape[-1]
    return t


def _clip_probability(p: Array) -> Array:
    """p moved into [1e-7, 1 - 1e-7]."""
    q: Array = clip(p, EPSILON, 1.0 - EPSILON)
    return q


def one_hot(label: Array, scores: Array) -> Array:
    """1 for each row's label and 0 for the rest, in the shape and type of the scores.

    >>> one_hot(np.array([1]), np.zeros((1, 3)))
    array([[0., 1., 0.]])
    """
    check_labels(label, scores.shape[-1])
    y_true = np.zeros_like(scores)
    np.put_along_axis(y_true, label[..., np.newaxis], 1.0, axis=-1)
    return y_true


# ----------------------------------------------------------------------------- metrics
# values[i] = weight[i] * metric of row i.


def binary_accuracy(
    y_true: Array, y_pred: Array, weight: Array | None, *, values: Array, param: float = 0.5
) -> None:
    """The share of a row's columns where y_true == (y_pred > param).

    >>> values = np.empty(1)
    >>> binary_accuracy(np.array([[0.0, 1.0]]), np.array([[0.2, 0.5]]), None, values=values)
    >>> values
    array([0.5])
    """
    values[...] = weighted(_row_sum(y_true == (y_pred > param)) / y_true.shape[-1], weight)


def categorical_accuracy(
    y_true: Array, y_pred: Array, weight: Array | None, *, values: Array
) -> None:
    """1 where the largest of y_true and of y_pred stand in one column, else 0.

    The first of equals counts as the largest; a row with a NaN never matches.
    """
    matches = (y_true.argmax(axis=-1) == y_pred.argmax(axis=-1)) & ~_has_nan(y_true)
    values[...] = weighted((matches & ~_has_nan(y_pred))[..., np.newaxis], weight)


def sparse_categorical_accuracy(
    label: Array, y_pred: Array, weight: Array | None, *, values: Array
) -> None:
    """1 where the largest of y_pred stands in column label, else 0; as `categorical_accuracy`."""
    matches = (label == y_pred.argmax(axis=-1)) & ~_has_nan(y_pred)
    values[...] = weighted(matches[..., np.newaxis], weight)


def top_k_accuracy(
    y_true: Array, y_pred: Array, weight: Array | None, *, values: Array, param: float = 5.0
) -> None:
    """`sparse_top_k_accuracy`, the label being the column of the largest of y_true."""
    matches = _in_top_k(y_true.argmax(axis=-1), y_pred, param) & ~_has_nan(y_true)
    values[...] = weighted(matches[..., np.newaxis], weight)


def sparse_top_k_accuracy(
    label: Array, y_pred: Array, weight: Array | None, *, values: Array, param: float = 5.0
) -> None:
    """1 where fewer than param columns of y_pred are greater than column label, else 0.

    A label whose score is not finite is never among the first.

    Raises
    ------
    ValueError
        If a label is not in [0, cols).
    """
    check_labels(label, y_pred.shape[-1])
    values[...] = weighted(_in_top_k(label, y_pred, param)[..., np.newaxis], weight)


def _in_top_k(label: Array, scores: Array, k: float) -> Array:
    """Whether each row's label is among its k best scores."""
    score = np.take_along_axis(scores, label[..., np.newaxis], axis=-1)
    return np.asarray(((scores > score).sum(axis=-1) < k) & np.isfinite(score[..., 0]))


def pearson_correlation(
    y_true: Array, y_pred: Array, weight: Array | None, *, values: Array
) -> None:
    """Covariance over the product of the standard deviations of a row's columns (Pearson 1895).

    >>> values = np.empty(1)
    >>> y_true, y_pred = np.array([[0.0, 1.0, 2.0]]), np.array([[4.0, 2.0, 0.0]])
    >>> pearson_correlation(y_true, y_pred, None, values=values)
    >>> values.round(6)
    array([-1.])
    """
    _, y_variance, p_variance, covariance = _moments(y_true, y_pred)
    values[...] = weighted(covariance / (np.sqrt(y_variance) * np.sqrt(p_variance)), weight)


def concordance_correlation(
    y_true: Array, y_pred: Array, weight: Array | None, *, values: Array
) -> None:
    """2 covariance / (both variances + squared difference of the means + 1e-7) (Lin 1989).

    >>> values = np.empty(1)
    >>> concordance_correlation(np.array([[0.0, 2.0]]), np.array([[1.0, 3.0]]), None, values=values)
    >>> values.round(6)
    array([0.666667])
    """
    apart, y_variance, p_variance, covariance = _moments(y_true, y_pred)
    spread = y_variance + p_variance + apart * apart + EPSILON
    values[...] = weighted(2.0 * covariance / spread, weight)


def _moments(y: Array, p: Array) -> tuple[Array, Array, Array, Array]:
    """Difference of the means, both variances and the covariance of each row, in float64."""
    cols = y.shape[-1]
    y_mean, p_mean = _row_sum(y) / cols, _row_sum(p) / cols
    u, v = y - y_mean, p - p_mean
    return y_mean - p_mean, _row_sum(u * u) / cols, _row_sum(v * v) / cols, _row_sum(u * v) / cols


def _has_nan(x: Array) -> Array:
    """Whether each row has a NaN."""
    return np.asarray(np.isnan(x).any(axis=-1))


# --------------------------------------------------------------------------- optimizers


def _optimizer(optimizer: Optimizer) -> Function:
    """The op that makes one step of a rule of `OPTIMIZERS` in place."""

    def update(
        w: Array, g: Array, slots: tuple[Array, ...], *, iteration: int, **hyper: float
    ) -> None:
        settings = optimizer.settings(iteration, hyper)
        new = optimizer.update(w, g, *slots, *settings)
        for array, value in zip((w, *slots), new, strict=True):
            array[...] = value

    update.__doc__ = optimizer.update.__doc__
    return with_settings(update, optimizer.hyper)


def with_settings(update: Function, names: tuple[str, ...]) -> Function:
    """update, saying by its signature that **hyper is the keyword-only settings `names`."""
    signature = inspect.signature(update)
    *fixed, _ = signature.parameters.values()
    settings = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation="float")
        for name in names
    ]
    update.__signature__ = signature.replace(parameters=[*fixed, *settings])  # type: ignore[attr-defined]
    return update


def factored_shapes(shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Shapes of the slots that `adafactor` has for a weight: its rows' and columns', or its own.

    >>> factored_shapes((3, 4, 5)), factored_shapes((5,))
    (((3, 4), (3, 5)), ((5,),))
    """
    return (shape[:-1], (*shape[:-2], shape[-1])) if len(shape) > 1 else (shape,)


def check_whole(name: str, w: Array, g: Array, slots: Sequence[Array]) -> None:
    """ValueError unless a gradient and slots fit a weight that a rule here updates whole."""
    expected = WHOLE_UPDATES[name].slot_shapes(w.shape)
    if len(slots) != len(expected):
        raise ValueError(
            f"{name} keeps {len(expected)} arrays of a weight of shape {w.shape}, got {len(slots)}"
        )
    names = ("g", *(f"slots[{i}]" for i in range(len(slots))))
    for array_name, array, shape in zip(names, (g, *slots), (w.shape, *expected), strict=True):
        if array.shape != shape:
            raise ValueError(f"{name}: {array_name} has shape {array.shape}, expected {shape}")


def adafactor(
    w: Array,
    g: Array,
    slots: tuple[Array, ...],
    *,
    iteration: int,
    learning_rate: float,
    beta_2_decay: float,
    epsilon_1: float,
    epsilon_2: float,
    clip_threshold: float,
) -> None:
    """Steps that grow with the weights, by mean squares of rows and columns (Shazeer & Stern 2018).

    With f = iteration^beta_2_decay, the slots r = (1 - f) r + f mean(g^2 + epsilon_1) over the last
    axis and c, the same over the last but one; u = g / sqrt(r c / mean(r)), the mean being over the
    last axis; w - min(learning_rate, 1 / sqrt(iteration)) max(epsilon_2, rms(w)) u / max(1,
    rms(u) / clip_threshold). A vector has one slot, its own mean square, in place of r c / mean(r).

    >>> w, r, c = np.array([[3.0, 4.0], [0.0, 5.0]]), np.zeros(2), np.zeros(2)
    >>> settings = dict(beta_2_decay=-0.8, epsilon_1=1e-30, epsilon_2=1e-3, clip_threshold=1.0)
    >>> adafactor(w, np.full((2, 2), 3.0), (r, c), iteration=1, learning_rate=0.1, **settings)
    >>> w.round(4).tolist(), r.tolist(), c.tolist()
    ([[2.6464, 3.6464], [-0.3536, 4.6464]], [9.0, 9.0], [9.0, 9.0])
    """
    check_whole("adafactor", w, g, slots)
    if w.size == 0:
        return
    fade = float(iteration) ** beta_2_decay
    squares = g * g + epsilon_1
    *rows, c = slots
    if rows:
        (r,) = rows
        r[...] = (1.0 - fade) * r + fade * np.mean(squares, axis=-1, dtype=np.float64)
        c[...] = (1.0 - fade) * c + fade * np.mean(squares, axis=-2, dtype=np.float64)
        mean = np.mean(r, axis=-1, keepdims=True, dtype=np.float64).astype(r.dtype)
        # Each root by itself: of a row without gradients, r / mean(r) may be too small a number.
        u = g * (np.sqrt(mean) / np.sqrt(r))[..., None] / np.sqrt(c)[..., None, :]
    else:
        c[...] = (1.0 - fade) * c + fade * squares
        u = g / np.sqrt(c)
    rate = min(learning_rate, float(iteration) ** -0.5) * np.maximum(_rms(w), epsilon_2)
    w -= u * float(rate / np.maximum(_rms(u) / clip_threshold, 1.0))


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(_squares(x))))


def lamb(
    w: Array,
    g: Array,
    slots: tuple[Array, ...],
    *,
    iteration: int,
    learning_rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> None:
    """Adam's steps, of the length that the weight has (You et al. 2020).

    m = m + (g - m) (1 - beta_1); v = v + (g^2 - v) (1 - beta_2); with t = iteration and
    u = m / (1 - beta_1^t) / (sqrt(v / (1 - beta_2^t)) + epsilon), w - learning_rate |w| / |u| u,
    the norms being those of the whole weight; learning_rate u unless both are above 0.

    >>> w, m, v = np.array([3.0, 4.0]), np.zeros(2), np.zeros(2)
    >>> settings = dict(learning_rate=0.5, beta_1=0.9, beta_2=0.999, epsilon=0.0)
    >>> lamb(w, np.array([2.0, 0.0]) + 1.0, (m, v), iteration=1, **settings)
    >>> w.round(4).tolist(), m.round(4).tolist(), v.round(4).tolist()
    ([1.2322, 2.2322], [0.3, 0.1], [0.009, 0.001])
    """
    check_whole("lamb", w, g, slots)
    m, v = slots
    m += (g - m) * (1.0 - beta_1)
    v += (g * g - v) * (1.0 - beta_2)
    root = math.sqrt(1.0 - beta_2**iteration)
    u = adam_step_size(1.0, beta_1, beta_2, iteration) * m / (np.sqrt(v) + epsilon * root)
    of_weight, of_step = _norm(w), _norm(u)
    ratio = of_weight / of_step if of_weight > 0 and of_step > 0 else 1.0
    w -= u * (learning_rate * ratio)


def muon(
    w: Array,
    g: Array,
    slots: tuple[Array, ...],
    *,
    iteration: int,
    learning_rate: float,
    momentum: float,
    nesterov: float,
    muon_a: float,
    muon_b: float,
    muon_c: float,
    ns_steps: float,
    rms_rate: float,
) -> None:
    """Steps that are nearly orthogonal matrices (Jordan et al. 2024).

    m = momentum m + g; x = g + momentum m, or m unless nesterov, divided by its norm + 1e-7. As
    often as ns_steps says, with S = x x', x = muon_a x + (muon_b S + muon_c S S) x; of more rows
    than columns, S = x' x, and it is multiplied from the right. w - learning_rate rms_rate
    sqrt(max(rows, columns)) x, or learning_rate x where rms_rate is 0.

    >>> w, m = np.ones((2, 2)), np.zeros((2, 2))
    >>> settings = dict(muon_a=1.5, muon_b=-0.5, muon_c=0.0, ns_steps=20, rms_rate=0.0)
    >>> settings |= dict(learning_rate=1.0, momentum=0.5, nesterov=True)
    >>> muon(w, np.array([[0.0, 2.0], [5.0, 0.0]]), (m,), iteration=1, **settings)
    >>> w.round(4).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    check_whole("muon", w, g, slots)
    (m,) = slots
    m[...] = momentum * m + g
    x = g + momentum * m if nesterov else m
    tall = w.shape[0] > w.shape[1]
    x = (x.T if tall else x) * (1.0 / (_norm(x) + 1e-7))
    for _ in range(int(ns_steps)):
        gram = x @ x.T
        x = muon_a * x + (muon_b * gram + muon_c * (gram @ gram)) @ x
    rate = learning_rate * (math.sqrt(max(w.shape)) * rms_rate if rms_rate else 1.0)
    w -= rate * (x.T if tall else x)


def of_matrix(shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """The shape of the slot that `muon` has for a weight.

    >>> of_matrix((3, 4))
    ((3, 4),)
    """
    if len(shape) != 2:
        raise ValueError(f"muon updates matrices, not a weight of shape {shape}")
    return (shape,)


def newton_schulz_flops(rows: int, cols: int) -> int:
    """Operations of the products of one step of `muon`'s iteration.

    >>> newton_schulz_flops(10, 2) == 2 * (2 * 2 * 10 + 2 * 2 * 2 + 10 * 2 * 2)
    True
    """
    side = min(rows, cols)
    return 2 * side * side * (2 * max(rows, cols) + side)


def _norm(x: Array) -> float:
    return float(np.sqrt(np.sum(_squares(x))))


@dataclass(frozen=True)
class WholeUpdate:
    """A rule that updates whole weights, by sums over them.

    Attributes
    ----------
    update : callable
        update(w, g, slots, *, iteration, **settings) makes one step in place.
    slot_shapes : callable
        The shapes of what it keeps of a weight, from the weight's.
    """

    update: Function
    slot_shapes: Callable[[tuple[int, ...]], tuple[tuple[int, ...], ...]]

    @property
    def hyper(self) -> tuple[str, ...]:
        """The names of what the user sets, in order."""
        return tuple(inspect.signature(self.update).parameters)[4:]


WHOLE_UPDATES: Mapping[str, WholeUpdate] = {
    "adafactor": WholeUpdate(adafactor, factored_shapes),
    "lamb": WholeUpdate(lamb, lambda shape: (shape, shape)),
    "muon": WholeUpdate(muon, of_matrix),
}


def penalty(w: Array, *, l1: float, l2: float) -> float:
    """l1 sum |w| + l2 sum w^2, of any shape.

    >>> penalty(np.array([-1.0, 2.0]), l1=1.0, l2=0.5)
    5.5
    """
    wide = w.astype(np.float64)
    return float(l1 * np.abs(wide).sum() + l2 * (wide * wide).sum())


def penalty_gradient(w: Array, g: Array, *, l1: float, l2: float) -> None:
    """Adds l1 sign(w) + 2 l2 w, the gradient of `penalty`, to g in place."""
    g += l1 * np.sign(w) + 2.0 * l2 * w


# --------------------------------------------------------------------------------- data


def gather(source: Array, rows: Array, *, out: Array) -> None:
    """out[i] = source[rows[i]], cast to out's type and flattened to out's row.

    Bytes and int32 are the nearest that there are, rounded towards 0. NaN is 0 as a byte, and the
    smallest int32, which is no class. All but 0 is true.

    >>> out = np.empty((2, 2), dtype=np.float32)
    >>> gather(np.arange(12, dtype=np.uint8).reshape(3, 2, 2)[:, :, 0], np.array([2, 0]), out=out)
    >>> out
    array([[ 8., 10.],
           [ 0.,  2.]], dtype=float32)
    """
    taken = source[rows].reshape(out.shape)
    out[...] = taken if out.dtype.kind in "fb" else _nearest(taken, out.dtype)


def _nearest(x: Array, dtype: np.dtype[Any]) -> Array:
    """x rounded towards 0, to the nearest whole number that dtype has; the smallest of NaN."""
    if x.dtype == dtype:
        return x
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    return np.clip(np.where(np.isnan(wide := x.astype(np.float64)), least, wide), least, most)


def permutations(keys: npt.NDArray[np.uint64], *, out: npt.NDArray[np.int64]) -> None:
    """The numbers 0 .. n - 1 in random order in each row of out (m, n), by m keys; int64.

    Each i in turn takes the place ``floor(bits_i (i + 1) / 2^64)``, bits being the key's
    `random_bits`, and the number that stood there moves to the end: the shuffle of Fisher and
    Yates, inside out.

    >>> out = np.empty((1, 4), np.int64)
    >>> permutations(np.array([7], np.uint64), out=out)
    >>> sorted(out[0].tolist())
    [0, 1, 2, 3]
    """
    half = np.uint64(32)
    count = np.arange(1, out.shape[1] + 1, dtype=np.uint64)
    for key, row in zip(keys, out, strict=True):
        bits = random_bits(int(key), len(row))
        low = (bits & np.uint64(2**32 - 1)) * count >> half
        places = ((bits >> half) * count + low) >> half
        order: list[int] = []
        for i, place in enumerate(places.tolist()):
            order.append(i)
            order[i] = order[place]
            order[place] = i
        row[:] = order


# ---------------------------------------------------------------------------- the table


def _table() -> dict[str, Function]:
    table: dict[str, Function] = {
        op.__name__: op
        for op in (
            matmul,
            batch_matmul,
            dense,
            input_gradient,
            weight_gradient,
            add_bias,
            bias_gradient,
            *MERGES,
            maximum_gradient,
            minimum_gradient,
            scale,
            concatenate,
            columns,
            indices,
            lookup,
            lookup_gradient,
            encode,
            permute,
            sum_steps,
            mean_steps,
            cumulative_sum,
            repeat_steps,
            max_steps,
            max_steps_gradient,
            unit_rows,
            unit_rows_gradient,
            standardize,
            standardize_gradient,
            dropout,
            alpha_dropout,
            alpha_dropout_gradient,
            gaussian_noise,
            gaussian_dropout,
            prelu,
            prelu_gradient,
            prelu_alpha_gradient,
            column_moments,
            normalize,
            normalize_scale_gradient,
            normalize_gradient,
            moving_average_update,
            layer_norm,
            layer_norm_scale_gradient,
            layer_norm_gradient,
            softmax,
            softmax_gradient,
            log_softmax,
            log_softmax_gradient,
            sparsemax,
            sparsemax_gradient,
            glu,
            glu_gradient,
            categorical_crossentropy,
            sparse_categorical_crossentropy,
            softmax_crossentropy,
            sparse_softmax_crossentropy,
            categorical_focal_crossentropy,
            categorical_focal_crossentropy_logits,
            generalized_crossentropy,
            categorical_hinge,
            cosine_similarity,
            tversky,
            batch_tversky,
            circle,
            ctc,
            binary_accuracy,
            categorical_accuracy,
            sparse_categorical_accuracy,
            top_k_accuracy,
            sparse_top_k_accuracy,
            pearson_correlation,
            concordance_correlation,
            penalty,
            penalty_gradient,
            gather,
            permutations,
        )
    }
    for activation in ACTIVATIONS.values():
        table[activation.name], table[activation.name + "_gradient"] = _activation(activation)
    table |= {loss.name: _loss(loss) for loss in LOSSES.values()}
    table |= {name: _binary_focal(*formulas) for name, formulas in FOCAL_LOSSES.items()}
    table |= {optimizer.name: _optimizer(optimizer) for optimizer in OPTIMIZERS.values()}
    table |= {name: rule.update for name, rule in WHOLE_UPDATES.items()}
    # IEEE arithmetic, as in compiled code: infinities and NaN are values, not warnings.
    return {name: np.errstate(all="ignore")(op) for name, op in table.items()}


OPS: Mapping[str, Function] = _table()
