"""The Numba backend: the formulas of `formulas.py` as compiled loops on several threads.

It serves what is a loop over elements or rows: activations, the softmax family, losses,
dropout, optimizers and penalties, with the signatures of `numpy.py`. Importing it imports
Numba; each loop is compiled when it is first called with an element type, and kept on disk
where Numba finds a place to write.

Threads are Python's own, running loops that hold no GIL, and not Numba's parallel regions:
of those, one threading layer is OpenMP, which hangs after a fork and clashes with other
packages' OpenMP, and another ends the process when two threads use it at once. An element
or row is always computed whole by one thread, so results do not depend on their number.
"""

from __future__ import annotations

import inspect
import math
import os
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import cache
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numba import njit
from numba.extending import overload, register_jitable

from ..forks import in_child
from . import Function, formulas, num_threads
from .formulas import (
    ACTIVATIONS,
    EPSILON,
    FOCAL_LOSSES,
    GOLDEN_GAMMA,
    LOSSES,
    OPTIMIZERS,
    Activation,
    Formula,
    Loss,
    Optimizer,
    clip,
    hinge_labels,
    normal_48,
    splitmix64,
    uniform_24,
    unless_clipped,
)
from .labels import check_labels
from .numpy import (
    Array,
    alpha_dropout_line,
    dropout_scale,
    matrix,
    one_hot,
    with_settings,
)
from .weights import over

Kernel = Callable[..., Any]

# ------------------------------------------------------- the formulas inside a loop

# Division by zero is infinity or NaN, as in NumPy, and not an exception: a loop that may
# raise one is not vectorised.
_IEEE: Any = {"error_model": "numpy"}


# How a loop says the words whose NumPy meaning is for arrays.
_WORDS: Mapping[Formula, Formula] = {
    formulas.where: lambda condition, a, b: a if condition else b,
    formulas.clip: lambda x, low, high: np.minimum(np.maximum(x, type(x)(low)), type(x)(high)),
    formulas.one: lambda x: type(x)(1.0),
    formulas.rounded: lambda value, x: type(x)(value),
    formulas.erf: lambda x: math.erf(x),
}


def _register_formulas() -> None:
    """Lets loops call the formulas, and formulas each other."""
    for _, function in inspect.getmembers(formulas, inspect.isfunction):
        if function.__module__ == formulas.__name__:
            _register(function, _WORDS.get(function, function))


def _register(function: Formula, meaning: Formula) -> None:
    @overload(function, jit_options=_IEEE, strict=False)
    def compiled(*arguments: Any) -> Formula:
        return meaning


_register_formulas()

# -------------------------------------------------------------- compiling and running

_EDITION = zlib.crc32(inspect.getsource(formulas).encode())

GRAIN = 1 << 15  # elements that a thread must have: 130 us of sigmoid; a hand-over costs 55 us


def _compile(function: Formula, name: str) -> Kernel:
    """function(..., start, stop) as a loop that holds no GIL."""
    # Numba renews a cached loop when this file changes; its name makes it new when
    # formulas.py does.
    function.__qualname__ = f"{name}_{_EDITION:08x}"
    kernel: Any = njit(nogil=True, **_IEEE)(function)
    with suppress(RuntimeError):  # no folder to write to: compiled anew in each process
        kernel.enable_caching()
    return cast(Kernel, kernel)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="hotloop")


in_child(_pool.cache_clear)  # a fork copies no threads


def _run(kernel: Kernel, n: int, cost: int, *arguments: Any) -> None:
    """kernel(*arguments, start, stop) over range(n), each step being `cost` elements."""
    threads = min(num_threads(), n, n * cost // GRAIN)
    if threads < 2:
        kernel(*arguments, 0, n)
        return
    first, *rest = pairwise(n * thread // threads for thread in range(threads + 1))
    futures: list[Future[Any]] = []
    try:
        for part in rest:
            futures.append(_pool().submit(kernel, *arguments, *part))
        kernel(*arguments, *first)
    finally:
        wait(futures)
    for future in futures:
        future.result()


def in_parts(work: Callable[[int, int], None], n: int) -> None:
    """work(start, stop), over parts of range(n) on several threads."""
    _run(work, n, 1)


def _flat(outputs: Mapping[str, Array], inputs: Mapping[str, Array]) -> list[Array]:
    """Named arrays of one shape as vectors, the outputs first."""
    shape = next(iter(outputs.values())).shape
    for name, array in (*outputs.items(), *inputs.items()):
        _expect(name, array, shape)
    for name, array in outputs.items():
        if not array.flags.c_contiguous:
            raise ValueError(f"{name}: expected a C-contiguous array, since it is written to")
    return [array.reshape(-1) for array in (*outputs.values(), *inputs.values())]


def _matrices(*arrays: Array) -> list[Array]:
    """The rows of arrays that were checked; what is written to is contiguous or of two axes."""
    for array in arrays:
        if array.ndim != 2 and not array.flags.c_contiguous:
            raise ValueError(
                f"an array of shape {array.shape} must be C-contiguous: only matrices may be others"
            )
    # Of one axis, each number is a row: labels, and values.
    return [matrix(array if array.ndim > 1 else array.reshape(-1, 1)) for array in arrays]


def _expect(name: str, array: Array, shape: tuple[int, ...]) -> None:
    """Compiled loops check no bounds."""
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")


# -------------------------------------------------------------------------- elementwise


@cache
def _value_kernel(value: Formula) -> Kernel:
    def kernel(out: Any, x: Any, options: Any, start: int, stop: int) -> None:
        for i in range(start, stop):
            out[i] = value(x[i], *options)

    return _compile(kernel, value.__name__)


@cache
def _gradient_kernel(derivative: Formula) -> Kernel:
    def kernel(out: Any, dy: Any, saved: Any, options: Any, start: int, stop: int) -> None:
        for i in range(start, stop):
            out[i] = dy[i] * derivative(saved[i], *options)

    return _compile(kernel, derivative.__name__)


def _activation(activation: Activation) -> tuple[Function, Function]:
    """The ops that compute an activation of `ACTIVATIONS` and its gradient."""
    default = 0.0 if activation.alpha is None else activation.alpha

    def value(x: Array, *, out: Array, alpha: float = default) -> None:
        arrays = _flat({"out": out}, {"x": x})
        kernel = _value_kernel(activation.value)
        _run(kernel, x.size, 1, *arrays, activation.options(alpha))

    def gradient(dy: Array, saved: Array, *, out: Array, alpha: float = default) -> None:
        arrays = _flat({"out": out}, {"dy": dy, "saved": saved})
        kernel = _gradient_kernel(activation.derivative)
        _run(kernel, dy.size, 1, *arrays, activation.options(alpha))

    return value, gradient


@cache
def _dropout_kernel() -> Kernel:
    def kernel(
        out: Any, x: Any, rate: float, key: Any, scale: float, start: int, stop: int
    ) -> None:
        for i in range(start, stop):
            bits = splitmix64(key + np.uint64(i + 1) * GOLDEN_GAMMA)
            out[i] = x[i] * scale if uniform_24(bits) >= rate else 0.0

    return _compile(kernel, "dropout")


def dropout(x: Array, *, rate: float, key: int, out: Array) -> None:
    """As `hotloop.backends.numpy.dropout`."""
    arrays = _flat({"out": out}, {"x": x})
    scale = x.dtype.type(dropout_scale(rate))
    _run(_dropout_kernel(), x.size, 1, *arrays, float(rate), np.uint64(key % 2**64), scale)


@cache
def _alpha_dropout_kernel() -> Kernel:
    def kernel(out: Any, x: Any, rate: float, key: Any, line: Any, start: int, stop: int) -> None:
        factor, offset, dropped = line
        for i in range(start, stop):
            bits = splitmix64(key + np.uint64(i + 1) * GOLDEN_GAMMA)
            out[i] = x[i] * factor + offset if uniform_24(bits) >= rate else dropped

    return _compile(kernel, "alpha_dropout")


def _alpha_dropout(
    x: Array, rate: float, key: int, out: Array, line: tuple[float, float, float]
) -> None:
    arrays = _flat({"out": out}, {"x": x})
    typed = tuple(map(x.dtype.type, line))
    _run(_alpha_dropout_kernel(), x.size, 1, *arrays, float(rate), np.uint64(key % 2**64), typed)


def alpha_dropout(x: Array, *, rate: float, key: int, out: Array) -> None:
    """As `hotloop.backends.numpy.alpha_dropout`."""
    _alpha_dropout(x, rate, key, out, alpha_dropout_line(rate))


def alpha_dropout_gradient(dy: Array, *, rate: float, key: int, out: Array) -> None:
    """As `hotloop.backends.numpy.alpha_dropout_gradient`."""
    _alpha_dropout(dy, rate, key, out, (alpha_dropout_line(rate)[0], 0.0, 0.0))


@cache
def _gaussian_kernel(multiply: bool) -> Kernel:
    def add(out: Any, x: Any, stddev: Any, key: Any, start: int, stop: int) -> None:
        for i in range(start, stop):
            out[i] = x[i] + stddev * normal_48(splitmix64(key + np.uint64(i + 1) * GOLDEN_GAMMA))

    def scale(out: Any, x: Any, stddev: Any, key: Any, start: int, stop: int) -> None:
        for i in range(start, stop):
            normal = normal_48(splitmix64(key + np.uint64(i + 1) * GOLDEN_GAMMA))
            out[i] = x[i] * (1.0 + stddev * normal)

    return _compile(scale, "gaussian_dropout") if multiply else _compile(add, "gaussian_noise")


def gaussian_noise(x: Array, *, stddev: float, key: int, out: Array) -> None:
    """As `hotloop.backends.numpy.gaussian_noise`."""
    arrays = _flat({"out": out}, {"x": x})
    _run(_gaussian_kernel(False), x.size, 1, *arrays, float(stddev), np.uint64(key % 2**64))


def gaussian_dropout(x: Array, *, stddev: float, key: int, out: Array) -> None:
    """As `hotloop.backends.numpy.gaussian_dropout`."""
    arrays = _flat({"out": out}, {"x": x})
    _run(_gaussian_kernel(True), x.size, 1, *arrays, float(stddev), np.uint64(key % 2**64))


@cache
def _prelu_kernel() -> Kernel:
    def kernel(out: Any, x: Any, alpha: Any, start: int, stop: int) -> None:
        for i in range(start, stop):
            for j in range(x.shape[1]):
                out[i, j] = x[i, j] * alpha[j] if x[i, j] < 0.0 else x[i, j]

    return _compile(kernel, "prelu")


@cache
def _prelu_gradient_kernel() -> Kernel:
    def kernel(out: Any, dy: Any, x: Any, alpha: Any, start: int, stop: int) -> None:
        for i in range(start, stop):
            for j in range(x.shape[1]):
                if x[i, j] == 0.0:
                    out[i, j] = 0.0
                else:
                    out[i, j] = dy[i, j] * alpha[j] if x[i, j] < 0.0 else dy[i, j]

    return _compile(kernel, "prelu_gradient")


def prelu(x: Array, alpha: Array, *, out: Array) -> None:
    """As `hotloop.backends.numpy.prelu`."""
    _expect("out", out, x.shape)
    _expect("alpha", alpha, x.shape[-1:])
    out, x = _matrices(out, x)
    _run(_prelu_kernel(), *x.shape, out, x, alpha)


def prelu_gradient(dy: Array, x: Array, alpha: Array, *, out: Array) -> None:
    """As `hotloop.backends.numpy.prelu_gradient`."""
    _expect("dy", dy, x.shape)
    _expect("out", out, x.shape)
    _expect("alpha", alpha, x.shape[-1:])
    out, dy, x = _matrices(out, dy, x)
    _run(_prelu_gradient_kernel(), *x.shape, out, dy, x, alpha)


# ------------------------------------------------------------- over the columns of a row


@register_jitable(**_IEEE)
def _largest(x: Any, i: int) -> Any:
    """The largest number of row i; NaN where there is one."""
    result = x[i, 0]
    for j in range(1, x.shape[1]):
        result = np.maximum(result, x[i, j])
    return result


@register_jitable(**_IEEE)
def _sum_exp(x: Any, i: int, largest: Any) -> Any:
    """The sum of exp(x - largest) over row i, in float64."""
    total = 0.0
    for j in range(x.shape[1]):
        total += np.exp(x[i, j] - largest)
    return total


@cache
def _softmax_kernel() -> Kernel:
    def kernel(out: Any, x: Any, start: int, stop: int) -> None:
        for i in range(start, stop):
            largest = _largest(x, i)
            total = _sum_exp(x, i, largest)
            for j in range(x.shape[1]):
                out[i, j] = np.exp(x[i, j] - largest) / total

    return _compile(kernel, "softmax")


@cache
def _softmax_gradient_kernel() -> Kernel:
    def kernel(out: Any, dy: Any, y: Any, start: int, stop: int) -> None:
        for i in range(start, stop):
            inner = 0.0
            for j in range(y.shape[1]):
                inner += dy[i, j] * y[i, j]
            for j in range(y.shape[1]):
                out[i, j] = y[i, j] * (dy[i, j] - inner)

    return _compile(kernel, "softmax_gradient")


@cache
def _log_softmax_kernel() -> Kernel:
    def kernel(out: Any, x: Any, start: int, stop: int) -> None:
        for i in range(start, stop):
            largest = _largest(x, i)
            log_total = np.log(_sum_exp(x, i, largest))
            for j in range(x.shape[1]):
                out[i, j] = x[i, j] - largest - log_total

    return _compile(kernel, "log_softmax")


@cache
def _log_softmax_gradient_kernel() -> Kernel:
    def kernel(out: Any, dy: Any, y: Any, start: int, stop: int) -> None:
        for i in range(start, stop):
            total = 0.0
            for j in range(y.shape[1]):
                total += dy[i, j]
            for j in range(y.shape[1]):
                out[i, j] = dy[i, j] - np.exp(y[i, j]) * total

    return _compile(kernel, "log_softmax_gradient")


def softmax(x: Array, *, out: Array) -> None:
    """As `hotloop.backends.numpy.softmax`."""
    _expect("out", out, x.shape)
    out, x = _matrices(out, x)
    _run(_softmax_kernel(), *x.shape, out, x)


def softmax_gradient(dy: Array, y: Array, *, out: Array) -> None:
    """As `hotloop.backends.numpy.softmax_gradient`."""
    _expect("dy", dy, y.shape)
    _expect("out", out, y.shape)
    out, dy, y = _matrices(out, dy, y)
    _run(_softmax_gradient_kernel(), *y.shape, out, dy, y)


def log_softmax(x: Array, *, out: Array) -> None:
    """As `hotloop.backends.numpy.log_softmax`."""
    _expect("out", out, x.shape)
    out, x = _matrices(out, x)
    _run(_log_softmax_kernel(), *x.shape, out, x)


def log_softmax_gradient(dy: Array, y: Array, *, out: Array) -> None:
    """As `hotloop.backends.numpy.log_softmax_gradient`."""
    _expect("dy", dy, y.shape)
    _expect("out", out, y.shape)
    out, dy, y = _matrices(out, dy, y)
    _run(_log_softmax_gradient_kernel(), *y.shape, out, dy, y)


# ------------------------------------------------------------------------------ losses
# Inside a loop, an array of no elements stands for an argument that is None: a second
# type would be a second compilation.


def _present(
    scores: Array, weight: Array | None, values: Array, **matrices: Array | None
) -> list[Array]:
    """weight and values of each row, matrices of scores' shape; None becomes an empty array."""
    rows = scores.shape[:-1]
    _expect("values", values, rows)
    if weight is None:
        weight = np.empty(0, scores.dtype)
    elif len(rows) > 1:
        _expect("weight", weight, rows[: weight.ndim])
        weight = np.broadcast_to(over(weight, len(rows)), rows).reshape(-1)
    else:
        _expect("weight", weight, rows)
    present = [weight, values if len(rows) == 1 else _matrices(values)[0].reshape(-1)]
    for name, given in matrices.items():
        if given is None:
            present.append(np.empty((0, 0), scores.dtype))
        else:
            _expect(name, given, scores.shape)
            present += _matrices(given)
    return present


@cache
def _loss_kernel(value: Formula, derivative: Formula) -> Kernel:
    def kernel(
        y_true: Any,
        y_pred: Any,
        weight: Any,
        values: Any,
        gradient: Any,
        scale: float,
        divisor: float,
        options: Any,
        start: int,
        stop: int,
    ) -> None:
        for i in range(start, stop):
            row_weight = weight[i] if weight.size else 1.0
            total = 0.0
            for j in range(y_pred.shape[1]):
                y, p = y_true[i, j], y_pred[i, j]
                total += value(y, p, *options)
                if gradient.size:
                    factor = scale * row_weight / divisor
                    gradient[i, j] = factor * derivative(y, p, *options)
            values[i] = row_weight * total / divisor

    return _compile(kernel, value.__name__)


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
        _expect("y_true", y_true, y_pred.shape)
        y, p = _matrices(hinge_labels(y_true) if loss.signed else y_true, y_pred)
        rows, cols = p.shape
        _run(
            _loss_kernel(loss.value, loss.derivative),
            rows,
            cols,
            y,
            p,
            *_present(y_pred, weight, values, gradient=gradient),
            float(scale),
            loss.divisor(cols),
            loss.options(param),
        )

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
        _expect("y_true", y_true, y_pred.shape)
        y, p = _matrices(y_true, y_pred)
        rows, cols = p.shape
        _run(
            _loss_kernel(formula, slope),
            rows,
            cols,
            y,
            p,
            *_present(y_pred, weight, values, gradient=gradient),
            float(scale),
            float(cols),
            (float(gamma), float(positive), float(negative), float(smoothing)),
        )

    return value


@cache
def _categorical_crossentropy_kernel() -> Kernel:
    def kernel(
        y_true: Any,
        y_pred: Any,
        weight: Any,
        values: Any,
        gradient: Any,
        scale: float,
        smoothing: float,
        start: int,
        stop: int,
    ) -> None:
        cols = y_pred.shape[1]
        number = y_pred.dtype.type
        for i in range(start, stop):
            row_weight = weight[i] if weight.size else 1.0
            wide_total = 0.0
            for j in range(cols):
                wide_total += y_pred[i, j]
            total = number(wide_total)
            value = 0.0
            inner = 0.0
            for j in range(cols):
                t = y_true[i, j] * (1.0 - smoothing) + smoothing / cols
                p = y_pred[i, j] / total
                q = clip(p, EPSILON, 1.0 - EPSILON)
                value -= t * np.log(q)
                inner += unless_clipped(p, q, t)
            values[i] = row_weight * value
            if gradient.size:
                for j in range(cols):
                    t = y_true[i, j] * (1.0 - smoothing) + smoothing / cols
                    p = y_pred[i, j] / total
                    q = clip(p, EPSILON, 1.0 - EPSILON)
                    derivative = (inner - unless_clipped(p, q, t / q)) / total
                    gradient[i, j] = scale * row_weight * derivative

    return _compile(kernel, "categorical_crossentropy")


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
    """As `hotloop.backends.numpy.categorical_crossentropy`."""
    _expect("y_true", y_true, y_pred.shape)
    y, p = _matrices(y_true, y_pred)
    _run(
        _categorical_crossentropy_kernel(),
        *p.shape,
        y,
        p,
        *_present(y_pred, weight, values, gradient=gradient),
        float(scale),
        float(smoothing),
    )


def sparse_categorical_crossentropy(
    label: Array,
    y_pred: Array,
    weight: Array | None,
    *,
    values: Array,
    gradient: Array | None = None,
    scale: float = 1.0,
) -> None:
    """As `hotloop.backends.numpy.sparse_categorical_crossentropy`."""
    _expect("label", label, y_pred.shape[:-1])
    y_true = one_hot(label, y_pred)
    categorical_crossentropy(y_true, y_pred, weight, values=values, gradient=gradient, scale=scale)


@cache
def _softmax_crossentropy_kernel() -> Kernel:
    def kernel(
        y_true: Any,
        label: Any,
        x: Any,
        weight: Any,
        values: Any,
        probability: Any,
        gradient: Any,
        scale: float,
        smoothing: float,
        clipped: bool,
        start: int,
        stop: int,
    ) -> None:
        cols = x.shape[1]
        number = x.dtype.type
        for i in range(start, stop):
            row_weight = weight[i] if weight.size else 1.0
            largest = _largest(x, i)
            total = _sum_exp(x, i, largest)
            log_total = largest + np.log(total)
            value = 0.0
            inner = 0.0
            for j in range(cols):
                t = _target(y_true, label, smoothing, i, j)
                if clipped:
                    p = number(np.exp(x[i, j] - largest) / total)
                    q = clip(p, EPSILON, 1.0 - EPSILON)
                    value -= t * np.log(q)
                    inner += unless_clipped(p, q, t)
                else:
                    value += t * (log_total - x[i, j]) if t != 0.0 else 0.0
                    inner += t
            values[i] = row_weight * value
            # Last, and each element read before it is written: outputs may share memory with x.
            for j in range(cols):
                p = number(np.exp(x[i, j] - largest) / total)
                t = _target(y_true, label, smoothing, i, j)
                if clipped:
                    t = unless_clipped(p, clip(p, EPSILON, 1.0 - EPSILON), t)
                if probability.size:
                    probability[i, j] = p
                if gradient.size:
                    gradient[i, j] = scale * row_weight * (p * inner - t)

    return _compile(kernel, "softmax_crossentropy")


@register_jitable(**_IEEE)
def _target(y_true: Any, label: Any, smoothing: float, i: int, j: int) -> Any:
    """The true probability of class j in row i, given by y_true or by label."""
    if label.size:
        return 1.0 if label[i] == j else 0.0
    return y_true[i, j] * (1.0 - smoothing) + smoothing / y_true.shape[1]


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
    """As `hotloop.backends.numpy.softmax_crossentropy`."""
    _expect("y_true", y_true, x.shape)
    y, logits = _matrices(y_true, x)
    _run(
        _softmax_crossentropy_kernel(),
        *logits.shape,
        y,
        np.empty(0, np.int32),
        logits,
        *_present(x, weight, values, probability=probability, gradient=gradient),
        float(scale),
        float(smoothing),
        bool(clip),
    )


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
    """As `hotloop.backends.numpy.sparse_softmax_crossentropy`."""
    _expect("label", label, x.shape[:-1])
    check_labels(label, x.shape[-1])
    (logits,) = _matrices(x)
    _run(
        _softmax_crossentropy_kernel(),
        *logits.shape,
        np.empty((0, 0), x.dtype),
        label.reshape(-1),
        logits,
        *_present(x, weight, values, probability=probability, gradient=gradient),
        float(scale),
        0.0,
        bool(clip),
    )


# --------------------------------------------------------------------------- optimizers


@cache
def _update_kernel(optimizer: Optimizer) -> Kernel:
    """One loop for each number of slots: a compiled loop cannot iterate over arrays."""
    update = optimizer.update

    def kernel_0(w: Any, g: Any, settings: Any, start: int, stop: int) -> None:
        for i in range(start, stop):
            (w[i],) = update(w[i], g[i], *settings)

    def kernel_1(w: Any, a: Any, g: Any, settings: Any, start: int, stop: int) -> None:
        for i in range(start, stop):
            w[i], a[i] = update(w[i], g[i], a[i], *settings)

    def kernel_2(w: Any, a: Any, b: Any, g: Any, settings: Any, start: int, stop: int) -> None:
        for i in range(start, stop):
            w[i], a[i], b[i] = update(w[i], g[i], a[i], b[i], *settings)

    def kernel_3(
        w: Any, a: Any, b: Any, c: Any, g: Any, settings: Any, start: int, stop: int
    ) -> None:
        for i in range(start, stop):
            w[i], a[i], b[i], c[i] = update(w[i], g[i], a[i], b[i], c[i], *settings)

    kernels = (kernel_0, kernel_1, kernel_2, kernel_3)
    return _compile(kernels[optimizer.slots], optimizer.name)


def _optimizer(optimizer: Optimizer) -> Function:
    """The op that makes one step of a rule of `OPTIMIZERS` in place."""

    def update(
        w: Array, g: Array, slots: tuple[Array, ...], *, iteration: int, **hyper: float
    ) -> None:
        settings = optimizer.settings(iteration, hyper)
        named = {f"slots[{k}]": slot for k, slot in enumerate(slots)}
        arrays = _flat({"w": w, **named}, {"g": g})
        _run(_update_kernel(optimizer), w.size, 1, *arrays, settings)

    return with_settings(update, optimizer.hyper)


@cache
def _penalty_kernel() -> Kernel:
    def kernel(w: Any, l1: float, l2: float) -> Any:
        absolute = 0.0
        square = 0.0
        for value in w:
            wide = np.float64(value)
            absolute += np.abs(wide)
            square += wide * wide
        return l1 * absolute + l2 * square

    return _compile(kernel, "penalty")


@cache
def _penalty_gradient_kernel() -> Kernel:
    def kernel(g: Any, w: Any, l1: float, l2: float, start: int, stop: int) -> None:
        for i in range(start, stop):
            g[i] += l1 * np.sign(w[i]) + 2.0 * l2 * w[i]

    return _compile(kernel, "penalty_gradient")


def penalty(w: Array, *, l1: float, l2: float) -> float:
    """As `hotloop.backends.numpy.penalty`."""
    return float(_penalty_kernel()(w.reshape(-1), float(l1), float(l2)))


def penalty_gradient(w: Array, g: Array, *, l1: float, l2: float) -> None:
    """As `hotloop.backends.numpy.penalty_gradient`."""
    arrays = _flat({"g": g}, {"w": w})
    _run(_penalty_gradient_kernel(), g.size, 1, *arrays, float(l1), float(l2))


# ---------------------------------------------------------------------------- the table


def _table() -> dict[str, Function]:
    table: dict[str, Function] = {
        op.__name__: op
        for op in (
            dropout,
            alpha_dropout,
            alpha_dropout_gradient,
            gaussian_noise,
            gaussian_dropout,
            prelu,
            prelu_gradient,
            softmax,
            softmax_gradient,
            log_softmax,
            log_softmax_gradient,
            categorical_crossentropy,
            sparse_categorical_crossentropy,
            softmax_crossentropy,
            sparse_softmax_crossentropy,
            penalty,
            penalty_gradient,
        )
    }
    for activation in ACTIVATIONS.values():
        table[activation.name], table[activation.name + "_gradient"] = _activation(activation)
    table |= {loss.name: _loss(loss) for loss in LOSSES.values()}
    table |= {name: _binary_focal(*pair) for name, pair in FOCAL_LOSSES.items()}
    table |= {optimizer.name: _optimizer(optimizer) for optimizer in OPTIMIZERS.values()}
    return table


OPS: Mapping[str, Function] = _table()
