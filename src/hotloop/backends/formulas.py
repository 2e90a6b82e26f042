"""Every elementwise activation, loss and update rule, each defined once.

The functions here are pure and take whole arrays (the NumPy backend) or single numbers
(inside the Numba backend's loops): they are written with operators, NumPy's ufuncs and
the five words below, which a backend may say in its own way. Python numbers in a formula
leave the precision of an array as it is: float32 in, float32 out.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

Number: TypeAlias = Any  # an array, or one number inside a compiled loop
Formula: TypeAlias = Callable[..., Any]

EPSILON = 1e-7  # Keras's `backend.epsilon()`: how near to 0 and 1 a probability may come


# ------------------------------------------------------------------------- the words


def where(condition: Number, a: Number, b: Number) -> Number:
    """a where condition holds, else b."""
    return np.where(condition, a, b)


def clip(x: Number, low: float, high: float) -> Number:
    """x moved into [low, high], the bounds rounded to x's precision; NaN stays NaN."""
    return np.minimum(np.maximum(x, low), high)


def one(x: Number) -> Number:
    """1 in x's precision and shape."""
    return np.ones_like(x)


def rounded(value: Number, x: Number) -> Number:
    """value in x's precision, where loops compute it in a wider one."""
    return value


def erf(x: Number) -> Number:
    """The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.

    A Taylor series around the nearest of 49 nodes; within 1e-15 of the true value.

    >>> erf(np.array([0.0, 0.5, np.inf]))
    array([0.        , 0.52049988, 1.        ])
    """
    x = np.asarray(x)
    magnitude = np.fmin(np.abs(x.astype(np.float64)), _ERF_END)
    node = np.rint(magnitude / _ERF_STEP).astype(np.intp)
    offset = magnitude - node * _ERF_STEP
    result = np.zeros_like(offset)
    for coefficients in _ERF_TAYLOR[::-1]:
        result = result * offset + coefficients[node]
    return np.where(np.isnan(x), x, np.copysign(result, x)).astype(x.dtype)


_ERF_STEP = 0.125
_ERF_END = 6.0  # erf(6) rounds to 1
_ERF_TERMS = 14  # the first term left out is below 1e-19


def _erf_taylor() -> np.ndarray[Any, np.dtype[np.float64]]:
    """Taylor coefficients of erf, (terms, nodes), by f''(x) = -2 x f'(x)."""
    x = np.arange(0.0, _ERF_END + _ERF_STEP, _ERF_STEP)
    terms = [np.array([math.erf(node) for node in x]), 2.0 / math.sqrt(math.pi) * np.exp(-x * x)]
    for n in range(_ERF_TERMS - 2):
        terms.append(-2.0 * (x * (n + 1) * terms[n + 1] + n * terms[n]) / ((n + 1) * (n + 2)))
    return np.array(terms)


_ERF_TAYLOR = _erf_taylor()


# ----------------------------------------------------------------------- activations
# Value, then derivative. The derivative reads the output y where that is enough, since
# the input then need not be kept; its argument's name says which.


def linear(x: Number) -> Number:
    """x.

    >>> linear(np.array([-2.0, 3.0]))
    array([-2.,  3.])
    """
    return x


def linear_derivative(y: Number) -> Number:
    """1."""
    return one(y)


def relu(x: Number) -> Number:
    """max(x, 0) (Nair & Hinton 2010).

    >>> relu(np.array([-2.0, 3.0]))
    array([0., 3.])
    """
    return np.maximum(x, 0.0)


def relu_derivative(y: Number) -> Number:
    """1 where y > 0, else 0."""
    return where(y > 0.0, one(y), 0.0)


def clipped_relu(x: Number, alpha: float) -> Number:
    """min(max(x, 0), alpha), with alpha >= 0; alpha 6 is ReLU6 (Krizhevsky 2010).

    >>> clipped_relu(np.array([-2.0, 3.0, 8.0]), alpha=6.0)
    array([0., 3., 6.])
    """
    return clip(x, 0.0, alpha)


def clipped_relu_derivative(y: Number, alpha: float) -> Number:
    """1 where 0 < y < alpha, else 0."""
    return where((y > 0.0) & (y < alpha), one(y), 0.0)


def threshold(x: Number, alpha: float) -> Number:
    """x where x > alpha, else 0.

    >>> threshold(np.array([-1.0, 0.5, 2.0]), alpha=1.0)
    array([0., 0., 2.])
    """
    return where(x <= alpha, 0.0, x)


def threshold_derivative(x: Number, alpha: float) -> Number:
    """1 where x > alpha, else 0."""
    return where(x > alpha, one(x), 0.0)


def hard_shrink(x: Number, alpha: float) -> Number:
    """x where |x| > alpha, else 0, with alpha >= 0.

    >>> hard_shrink(np.array([-1.0, 0.25, 2.0]), alpha=0.5)
    array([-1.,  0.,  2.])
    """
    return where(np.abs(x) <= alpha, 0.0, x)


def soft_shrink(x: Number, alpha: float) -> Number:
    """x - alpha where x > alpha, x + alpha where x < -alpha, else 0, with alpha >= 0.

    >>> soft_shrink(np.array([-1.0, 0.25, 2.0]), alpha=0.5)
    array([-0.5,  0. ,  1.5])
    """
    return x - clip(x, -alpha, alpha)


def shrink_derivative(y: Number, alpha: float) -> Number:
    """1 where y is not 0, else 0; of `hard_shrink` and of `soft_shrink`."""
    return where(y != 0.0, one(y), 0.0)


def leaky_relu(x: Number, alpha: float) -> Number:
    """x where x > 0, else alpha x, with alpha > 0 (Maas, Hannun & Ng 2013).

    >>> leaky_relu(np.array([-2.0, 3.0]), alpha=0.25)
    array([-0.5,  3. ])
    """
    return where(x > 0.0, x, alpha * x)


def leaky_relu_derivative(y: Number, alpha: float) -> Number:
    """1 where y > 0, else alpha."""
    return where(y > 0.0, one(y), alpha)


def elu(x: Number, alpha: float) -> Number:
    """x where x > 0, else alpha (exp(x) - 1), with alpha > 0 (Clevert et al. 2016).

    >>> elu(np.array([-np.inf, 3.0]), alpha=0.5)
    array([-0.5,  3. ])
    """
    return where(x > 0.0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def elu_derivative(y: Number, alpha: float) -> Number:
    """1 where y > 0, else y + alpha."""
    return where(y > 0.0, one(y), y + alpha)


def celu(x: Number, alpha: float) -> Number:
    """x where x > 0, else alpha (exp(x / alpha) - 1), with alpha > 0 (Barron 2017).

    >>> celu(np.array([-np.inf, 3.0]), alpha=0.5)
    array([-0.5,  3. ])
    """
    return where(x > 0.0, x, alpha * np.expm1(np.minimum(x, 0.0) / alpha))


def celu_derivative(y: Number, alpha: float) -> Number:
    """1 where y > 0, else y / alpha + 1."""
    return where(y > 0.0, one(y), y / alpha + 1.0)


SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def selu(x: Number) -> Number:
    """SELU_SCALE elu(x, SELU_ALPHA): keeps mean 0 and variance 1 (Klambauer et al. 2017).

    >>> selu(np.array([-np.inf, 1.0]))
    array([-1.75809934,  1.05070099])
    """
    return SELU_SCALE * elu(x, SELU_ALPHA)


def selu_derivative(y: Number) -> Number:
    """SELU_SCALE where y > 0, else y + SELU_SCALE SELU_ALPHA."""
    return where(y > 0.0, SELU_SCALE * one(y), y + SELU_SCALE * SELU_ALPHA)


# Beyond +-40 the normal distribution is 0 or 1 to the last bit, and beyond +-1000 the
# logistic one: arguments are clipped there so that infinity times zero does not occur.
_NORMAL_END = 40.0
_LOGISTIC_END = 1000.0


def gelu(x: Number) -> Number:
    """x (1 + erf(x / sqrt(2))) / 2 (Hendrycks & Gimpel 2016).

    >>> gelu(np.array([0.0, 1.0]))
    array([0.        , 0.84134475])
    """
    return np.maximum(x, -_NORMAL_END) * normal_cdf(x)


def gelu_derivative(x: Number) -> Number:
    """Phi(x) + x phi(x), with phi the standard normal density and Phi its integral."""
    u = clip(x, -_NORMAL_END, _NORMAL_END)
    return normal_cdf(u) + u * np.exp(-0.5 * u * u) * (1.0 / math.sqrt(2.0 * math.pi))


def normal_cdf(x: Number) -> Number:
    """(1 + erf(x / sqrt(2))) / 2, the standard normal distribution function."""
    return 0.5 * (1.0 + erf(x * math.sqrt(0.5)))


def gelu_tanh(x: Number) -> Number:
    """x (1 + tanh(z)) / 2, with z = sqrt(2 / pi) (x + 0.044715 x^3) (Hendrycks & Gimpel 2016).

    Written x sigmoid(2 z), which is the same and keeps its precision for negative x.

    >>> gelu_tanh(np.array([0.0, 1.0]))
    array([0.        , 0.84119199])
    """
    u = clip(x, -_NORMAL_END, _NORMAL_END)
    z = math.sqrt(2.0 / math.pi) * u * (1.0 + 0.044715 * u * u)
    return np.maximum(x, -_NORMAL_END) * sigmoid(2.0 * z)


def gelu_tanh_derivative(x: Number) -> Number:
    """s (1 + 2 x (1 - s) dz/dx), with s = sigmoid(2 z) and z as in the value."""
    u = clip(x, -_NORMAL_END, _NORMAL_END)
    z = math.sqrt(2.0 / math.pi) * u * (1.0 + 0.044715 * u * u)
    slope = math.sqrt(2.0 / math.pi) * (1.0 + 3.0 * 0.044715 * u * u)
    return sigmoid(2.0 * z) * (1.0 + 2.0 * u * sigmoid(-2.0 * z) * slope)


def silu(x: Number) -> Number:
    """x sigmoid(x), also called swish (Elfwing, Uchibe & Doya 2018).

    >>> silu(np.array([0.0, 1.0]))
    array([0.        , 0.73105858])
    """
    return np.maximum(x, -_LOGISTIC_END) * sigmoid(x)


def silu_derivative(x: Number) -> Number:
    """s (1 + x (1 - s)), with s = sigmoid(x)."""
    u = clip(x, -_LOGISTIC_END, _LOGISTIC_END)
    return sigmoid(u) * (1.0 + u * sigmoid(-u))


def hard_silu(x: Number) -> Number:
    """x hard_sigmoid(x), also called hard swish (Howard et al. 2019).

    >>> hard_silu(np.array([-1.5, 1.5, 9.0]))
    array([-0.375,  1.125,  9.   ])
    """
    return np.maximum(x, -3.0) * hard_sigmoid(x)


def hard_silu_derivative(x: Number) -> Number:
    """x / 3 + 1/2 where -3 < x < 3, 0 below and 1 above."""
    return where(x <= -3.0, 0.0, where(x >= 3.0, one(x), x / 3.0 + 0.5))


def mish(x: Number) -> Number:
    """x tanh(softplus(x)) (Misra 2019).

    >>> mish(np.array([0.0, 1.0]))
    array([0.        , 0.86509839])
    """
    numerator, rest = _tanh_softplus(x)
    return np.maximum(x, -_LOGISTIC_END) * (numerator / (numerator + rest))


def mish_derivative(x: Number) -> Number:
    """t + x (1 - t^2) sigmoid(x), with t = tanh(softplus(x))."""
    u = clip(x, -_LOGISTIC_END, _LOGISTIC_END)
    numerator, rest = _tanh_softplus(u)
    t = numerator / (numerator + rest)
    return t + u * (rest / (numerator + rest)) * (1.0 + t) * sigmoid(u)


def _tanh_softplus(x: Number) -> Number:
    """a and b of tanh(softplus(x)) = a / (a + b) = ((1 + e^x)^2 - 1) / ((1 + e^x)^2 + 1)."""
    e = np.exp(-np.abs(x))
    return where(x < 0.0, e * (e + 2.0), 1.0 + 2.0 * e), where(x < 0.0, 2.0 * one(x), 2.0 * e * e)


def softplus(x: Number) -> Number:
    """log(1 + exp(x)) (Dugas et al. 2001).

    >>> softplus(np.array([0.0, 1000.0]))
    array([6.93147181e-01, 1.00000000e+03])
    """
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def softplus_derivative(y: Number) -> Number:
    """1 - exp(-y)."""
    return -np.expm1(-y)


def log_sigmoid(x: Number) -> Number:
    """log(sigmoid(x)) = -softplus(-x).

    >>> log_sigmoid(np.array([-1000.0, 0.0]))
    array([-1.00000000e+03, -6.93147181e-01])
    """
    return np.minimum(x, 0.0) - np.log1p(np.exp(-np.abs(x)))


def log_sigmoid_derivative(y: Number) -> Number:
    """1 - exp(y)."""
    return -np.expm1(y)


def squareplus(x: Number, alpha: float) -> Number:
    """(x + sqrt(x^2 + alpha)) / 2, with alpha >= 0 (Barron 2021).

    Below 0 written (alpha / 4) / ((|x| + sqrt(x^2 + alpha)) / 2), which does not cancel.

    >>> squareplus(np.array([-1.5, 0.0, 1.5]), alpha=4.0)
    array([0.5, 1. , 2. ])
    """
    larger = np.maximum(np.abs(x), math.sqrt(alpha))
    smaller = np.minimum(np.abs(x), math.sqrt(alpha))
    ratio = smaller / where(larger > 0.0, larger, one(x))
    half = 0.5 * np.abs(x) + 0.5 * larger * np.sqrt(1.0 + ratio * ratio)
    return where(x < 0.0, 0.25 * alpha / where(x < 0.0, half, one(x)), half)


def squareplus_derivative(y: Number, alpha: float) -> Number:
    """y^2 / (y^2 + alpha / 4)."""
    ratio = 0.5 * math.sqrt(alpha) / clip(y, 1e-15, 1e15)  # whose square does not overflow
    return where(y == 0.0, 0.0, 1.0 / (1.0 + ratio * ratio))


def sparse_plus(x: Number) -> Number:
    """0 where x <= -1, x where x >= 1, else (x + 1)^2 / 4.

    >>> sparse_plus(np.array([-2.0, 0.0, 3.0]))
    array([0.  , 0.25, 3.  ])
    """
    u = clip(x, -1.0, 1.0) + 1.0
    return where(x > 1.0, x, 0.25 * u * u)


def sparse_plus_derivative(y: Number) -> Number:
    """sqrt(y), at most 1."""
    return np.sqrt(np.minimum(y, 1.0))


_SOFTSIGN_END = 1e30  # where 1 + |x| = |x| in both precisions


def softsign(x: Number) -> Number:
    """x / (1 + |x|) (Turian, Bergstra & Bengio 2009).

    >>> softsign(np.array([-1.0, 3.0]))
    array([-0.5 ,  0.75])
    """
    u = clip(x, -_SOFTSIGN_END, _SOFTSIGN_END)
    return u / (1.0 + np.abs(u))


def softsign_derivative(y: Number) -> Number:
    """(1 - |y|)^2."""
    return (1.0 - np.abs(y)) * (1.0 - np.abs(y))


def sigmoid(x: Number) -> Number:
    """1 / (1 + exp(-x)).

    >>> sigmoid(np.array([0.0, 1000.0]))
    array([0.5, 1. ])
    """
    e = np.exp(-np.abs(x))
    return where(x < 0.0, e, 1.0) / (1.0 + e)


def sigmoid_derivative(y: Number) -> Number:
    """y (1 - y)."""
    return y * (1.0 - y)


def hard_sigmoid(x: Number) -> Number:
    """x / 6 + 1/2, clipped to [0, 1]: Keras's piecewise linear sigmoid.

    >>> hard_sigmoid(np.array([-9.0, 0.0, 1.5]))
    array([0.  , 0.5 , 0.75])
    """
    return clip(x / 6.0 + 0.5, 0.0, 1.0)


def hard_sigmoid_derivative(y: Number) -> Number:
    """1/6 where 0 < y < 1, else 0."""
    return where((y > 0.0) & (y < 1.0), one(y) / 6.0, 0.0)


def sparse_sigmoid(x: Number) -> Number:
    """(x + 1) / 2, clipped to [0, 1] (Blondel, Martins & Niculae 2019).

    >>> sparse_sigmoid(np.array([-9.0, 0.0, 0.5]))
    array([0.  , 0.5 , 0.75])
    """
    return clip(0.5 * x + 0.5, 0.0, 1.0)


def sparse_sigmoid_derivative(y: Number) -> Number:
    """1/2 where 0 < y < 1, else 0."""
    return where((y > 0.0) & (y < 1.0), 0.5 * one(y), 0.0)


def tanh(x: Number) -> Number:
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x)).

    >>> tanh(np.array([0.0, 1.0]))
    array([0.        , 0.76159416])
    """
    return np.tanh(x)


def tanh_derivative(y: Number) -> Number:
    """1 - y^2."""
    return (1.0 - y) * (1.0 + y)


def hard_tanh(x: Number) -> Number:
    """x, clipped to [-1, 1].

    >>> hard_tanh(np.array([-9.0, 0.5]))
    array([-1. ,  0.5])
    """
    return clip(x, -1.0, 1.0)


def hard_tanh_derivative(y: Number) -> Number:
    """1 where |y| < 1, else 0."""
    return where(np.abs(y) < 1.0, one(y), 0.0)


def tanh_shrink(x: Number) -> Number:
    """x - tanh(x).

    >>> tanh_shrink(np.array([0.0, 1.0]))
    array([0.        , 0.23840584])
    """
    return x - np.tanh(x)


def tanh_shrink_derivative(x: Number) -> Number:
    """tanh(x)^2."""
    return np.tanh(x) * np.tanh(x)


def absolute(x: Number) -> Number:
    """|x|.

    >>> absolute(np.array([-2.0, 3.0]))
    array([2., 3.])
    """
    return np.abs(x)


def absolute_derivative(x: Number) -> Number:
    """1 where x > 0, -1 where x < 0, else 0."""
    return where(x > 0.0, one(x), where(x < 0.0, -one(x), 0.0))


def exponential(x: Number) -> Number:
    """exp(x).

    >>> exponential(np.array([0.0, 1.0]))
    array([1.        , 2.71828183])
    """
    return np.exp(x)


def exponential_derivative(y: Number) -> Number:
    """y."""
    return y


@dataclass(frozen=True)
class Activation:
    """One elementwise activation.

    Attributes
    ----------
    name : str
    value : callable
        y = value(x), or value(x, alpha) where there is an alpha.
    derivative : callable
        dy/dx = derivative(saved), or derivative(saved, alpha).
    reads : {"x", "y"}
        What `saved` is: the activation's input or its output.
    alpha : float or None
        The default of the activation's one option, if it has one.
    """

    name: str
    value: Formula
    derivative: Formula
    reads: Literal["x", "y"]
    alpha: float | None = None

    def options(self, alpha: float) -> tuple[float, ...]:
        """What the formulas take after their first argument."""
        return () if self.alpha is None else (float(alpha),)


ACTIVATIONS: Mapping[str, Activation] = {
    activation.name: activation
    for activation in (
        Activation("linear", linear, linear_derivative, "y"),
        Activation("relu", relu, relu_derivative, "y"),
        Activation("clipped_relu", clipped_relu, clipped_relu_derivative, "y", alpha=6.0),
        Activation("threshold", threshold, threshold_derivative, "x", alpha=0.0),
        Activation("hard_shrink", hard_shrink, shrink_derivative, "y", alpha=0.5),
        Activation("soft_shrink", soft_shrink, shrink_derivative, "y", alpha=0.5),
        Activation("leaky_relu", leaky_relu, leaky_relu_derivative, "y", alpha=0.2),
        Activation("elu", elu, elu_derivative, "y", alpha=1.0),
        Activation("celu", celu, celu_derivative, "y", alpha=1.0),
        Activation("selu", selu, selu_derivative, "y"),
        Activation("gelu", gelu, gelu_derivative, "x"),
        Activation("gelu_tanh", gelu_tanh, gelu_tanh_derivative, "x"),
        Activation("silu", silu, silu_derivative, "x"),
        Activation("hard_silu", hard_silu, hard_silu_derivative, "x"),
        Activation("mish", mish, mish_derivative, "x"),
        Activation("softplus", softplus, softplus_derivative, "y"),
        Activation("log_sigmoid", log_sigmoid, log_sigmoid_derivative, "y"),
        Activation("squareplus", squareplus, squareplus_derivative, "y", alpha=4.0),
        Activation("sparse_plus", sparse_plus, sparse_plus_derivative, "y"),
        Activation("softsign", softsign, softsign_derivative, "y"),
        Activation("sigmoid", sigmoid, sigmoid_derivative, "y"),
        Activation("hard_sigmoid", hard_sigmoid, hard_sigmoid_derivative, "y"),
        Activation("sparse_sigmoid", sparse_sigmoid, sparse_sigmoid_derivative, "y"),
        Activation("tanh", tanh, tanh_derivative, "y"),
        Activation("hard_tanh", hard_tanh, hard_tanh_derivative, "y"),
        Activation("tanh_shrink", tanh_shrink, tanh_shrink_derivative, "x"),
        Activation("absolute", absolute, absolute_derivative, "x"),
        Activation("exponential", exponential, exponential_derivative, "y"),
    )
}


# ---------------------------------------------------------------------------- losses
# The loss of one element, then its derivative with respect to the prediction p. The loss
# of a row is the mean of its elements', except where the table at the end says "sum".


def squared_error(y: Number, p: Number) -> Number:
    """(p - y)^2.

    >>> squared_error(np.array([1.0]), np.array([3.0]))
    array([4.])
    """
    return (p - y) * (p - y)


def squared_error_derivative(y: Number, p: Number) -> Number:
    """2 (p - y)."""
    return 2.0 * (p - y)


def absolute_error(y: Number, p: Number) -> Number:
    """|p - y|.

    >>> absolute_error(np.array([1.0]), np.array([3.0]))
    array([2.])
    """
    return np.abs(p - y)


def absolute_error_derivative(y: Number, p: Number) -> Number:
    """sign(p - y)."""
    return np.sign(p - y)


def percentage_error(y: Number, p: Number) -> Number:
    """100 |p - y| / max(|y|, 1e-7).

    >>> percentage_error(np.array([2.0]), np.array([3.0]))
    array([50.])
    """
    return 100.0 * np.abs((p - y) / np.maximum(np.abs(y), EPSILON))


def percentage_error_derivative(y: Number, p: Number) -> Number:
    """100 sign(p - y) / max(|y|, 1e-7)."""
    return 100.0 * np.sign(p - y) / np.maximum(np.abs(y), EPSILON)


def squared_logarithmic_error(y: Number, p: Number) -> Number:
    """(log(1 + q) - log(1 + t))^2, with q = max(p, 1e-7), t = max(y, 1e-7).

    >>> squared_logarithmic_error(np.array([0.0]), np.array([math.e - 1.0])).round(6)
    array([1.])
    """
    e = np.log1p(np.maximum(p, EPSILON)) - np.log1p(np.maximum(y, EPSILON))
    return e * e


def squared_logarithmic_error_derivative(y: Number, p: Number) -> Number:
    """2 (log(1 + q) - log(1 + t)) / (1 + q), and 0 where p is below 1e-7."""
    q = np.maximum(p, EPSILON)
    e = np.log1p(q) - np.log1p(np.maximum(y, EPSILON))
    return unless_clipped(p, q, 2.0 * e / (1.0 + q))


def huber(y: Number, p: Number, delta: float) -> Number:
    """e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2), with e = p - y (Huber 1964).

    >>> huber(np.array([1.0, 1.0]), np.array([1.5, 3.0]), 1.0)
    array([0.125, 1.5  ])
    """
    e = p - y
    c = clip(e, -delta, delta)
    return c * (e - 0.5 * c)


def huber_derivative(y: Number, p: Number, delta: float) -> Number:
    """p - y, clipped to [-delta, delta]."""
    return clip(p - y, -delta, delta)


def log_cosh(y: Number, p: Number) -> Number:
    """log(cosh(e)) = |e| + log(1 + exp(-2 |e|)) - log(2), with e = p - y.

    >>> log_cosh(np.array([1.0]), np.array([2.0]))
    array([0.43378083])
    """
    e = np.abs(p - y)
    return e + np.log1p(np.exp(-2.0 * e)) - math.log(2.0)


def log_cosh_derivative(y: Number, p: Number) -> Number:
    """tanh(p - y)."""
    return np.tanh(p - y)


def smooth(y: Number, smoothing: float) -> Number:
    """Binary labels moved towards 1/2: y (1 - s) + s / 2 (Szegedy et al. 2016)."""
    return y * (1.0 - smoothing) + 0.5 * smoothing


def unless_clipped(p: Number, q: Number, derivative: Number) -> Number:
    """The derivative with respect to p of a function of q = clip(p)."""
    return where((p < q) | (p > q), 0.0, derivative)


def binary_crossentropy(y: Number, p: Number, smoothing: float) -> Number:
    """-t log(q) - (1 - t) log(1 - q), with t = smooth(y), q = p clipped to [1e-7, 1 - 1e-7].

    >>> binary_crossentropy(np.array([1.0, 0.0]), np.array([0.5, 0.2]), 0.0)
    array([0.69314718, 0.22314355])
    """
    t = smooth(y, smoothing)
    q = clip(p, EPSILON, 1.0 - EPSILON)
    return -t * np.log(q) - (1.0 - t) * np.log1p(-q)


def binary_crossentropy_derivative(y: Number, p: Number, smoothing: float) -> Number:
    """(q - t) / (q (1 - q)), and 0 where p is clipped."""
    q = clip(p, EPSILON, 1.0 - EPSILON)
    return unless_clipped(p, q, (q - smooth(y, smoothing)) / (q * (1.0 - q)))


def binary_crossentropy_logits(y: Number, p: Number, smoothing: float) -> Number:
    """-t log(s) - (1 - t) log(1 - s), with t = smooth(y), s = sigmoid(p), p being a logit.

    Written max(p, 0) - t p + log(1 + exp(-|p|)), which is exact for any finite p.

    >>> binary_crossentropy_logits(np.array([1.0]), np.array([0.0]), 0.0)
    array([0.69314718])
    """
    return np.maximum(p, 0.0) - smooth(y, smoothing) * p + np.log1p(np.exp(-np.abs(p)))


def binary_crossentropy_logits_derivative(y: Number, p: Number, smoothing: float) -> Number:
    """sigmoid(p) - t."""
    return sigmoid(p) - smooth(y, smoothing)


def binary_focal_crossentropy(
    y: Number, p: Number, gamma: float, positive: float, negative: float, smoothing: float
) -> Number:
    """b u^gamma H, H being `binary_crossentropy` (Lin et al. 2017).

    With t = smooth(y): u = t (1 - p) + (1 - t) p is how wrong p is, and
    b = t positive + (1 - t) negative what it counts.

    >>> binary_focal_crossentropy(np.array([1.0]), np.array([0.5]), 2.0, 1.0, 1.0, 0.0)
    array([0.1732868])
    """
    t = smooth(y, smoothing)
    u = t * (1.0 - p) + (1.0 - t) * p
    balance = t * positive + (1.0 - t) * negative
    return balance * np.power(u, gamma) * binary_crossentropy(y, p, smoothing)


def binary_focal_crossentropy_derivative(
    y: Number, p: Number, gamma: float, positive: float, negative: float, smoothing: float
) -> Number:
    """b (gamma u^(gamma - 1) (1 - 2 t) H + u^gamma dH/dp)."""
    t = smooth(y, smoothing)
    u = t * (1.0 - p) + (1.0 - t) * p
    of_focus = power_derivative(u, gamma) * (1.0 - 2.0 * t) * binary_crossentropy(y, p, smoothing)
    of_entropy = np.power(u, gamma) * binary_crossentropy_derivative(y, p, smoothing)
    return (t * positive + (1.0 - t) * negative) * (of_focus + of_entropy)


def power_derivative(u: Number, gamma: float) -> Number:
    """gamma u^(gamma - 1), and 0 where gamma is 0."""
    return gamma * np.power(u, gamma - 1.0 if gamma != 0.0 else 0.0)


def binary_focal_crossentropy_logits(
    y: Number, p: Number, gamma: float, positive: float, negative: float, smoothing: float
) -> Number:
    """`binary_focal_crossentropy` of sigmoid(p), p being a logit.

    >>> binary_focal_crossentropy_logits(np.array([1.0]), np.array([0.0]), 2.0, 1.0, 1.0, 0.0)
    array([0.1732868])
    """
    s = rounded(sigmoid(p), p)
    return binary_focal_crossentropy(y, s, gamma, positive, negative, smoothing)


def binary_focal_crossentropy_logits_derivative(
    y: Number, p: Number, gamma: float, positive: float, negative: float, smoothing: float
) -> Number:
    """The derivative of `binary_focal_crossentropy` times s (1 - s), with s = sigmoid(p)."""
    s = rounded(sigmoid(p), p)
    slope = binary_focal_crossentropy_derivative(y, s, gamma, positive, negative, smoothing)
    return slope * (s * sigmoid(-p))


def kl_divergence(y: Number, p: Number) -> Number:
    """t log(t / q), t and q being y and p clipped to [1e-7, 1] (Kullback & Leibler 1951).

    >>> kl_divergence(np.array([0.5]), np.array([0.25]))
    array([0.34657359])
    """
    t = clip(y, EPSILON, 1.0)
    return t * np.log(t / clip(p, EPSILON, 1.0))


def kl_divergence_derivative(y: Number, p: Number) -> Number:
    """-t / q, and 0 where p is clipped."""
    q = clip(p, EPSILON, 1.0)
    return unless_clipped(p, q, -clip(y, EPSILON, 1.0) / q)


def poisson(y: Number, p: Number) -> Number:
    """p - y log(p + 1e-7): minus the log-likelihood of a Poisson count, up to a constant.

    >>> poisson(np.array([2.0]), np.array([1.0]))
    array([0.9999998])
    """
    return p - y * np.log(p + EPSILON)


def poisson_derivative(y: Number, p: Number) -> Number:
    """1 - y / (p + 1e-7)."""
    return 1.0 - y / (p + EPSILON)


def hinge(y: Number, p: Number) -> Number:
    """max(1 - y p, 0), for labels -1 and +1 (see `hinge_labels`).

    >>> hinge(np.array([-1.0, 1.0]), np.array([0.5, 3.0]))
    array([1.5, 0. ])
    """
    return np.maximum(1.0 - y * p, 0.0)


def hinge_derivative(y: Number, p: Number) -> Number:
    """-y where y p < 1, else 0."""
    return where(y * p < 1.0, -y, 0.0)


def squared_hinge(y: Number, p: Number) -> Number:
    """max(1 - y p, 0)^2, for labels -1 and +1 (see `hinge_labels`).

    >>> squared_hinge(np.array([-1.0, 1.0]), np.array([0.5, 3.0]))
    array([2.25, 0.  ])
    """
    return hinge(y, p) * hinge(y, p)


def squared_hinge_derivative(y: Number, p: Number) -> Number:
    """-2 y max(1 - y p, 0)."""
    return -2.0 * y * hinge(y, p)


def hinge_labels(y: Number) -> Number:
    """Labels as hinge losses read them: 0/1 become -1/+1 where all of the array is 0 or 1.

    >>> hinge_labels(np.array([0.0, 1.0])), hinge_labels(np.array([-1.0, 1.0]))
    (array([-1.,  1.]), array([-1.,  1.]))
    """
    return 2.0 * y - 1.0 if np.all((y == 0) | (y == 1)) else y


@dataclass(frozen=True)
class Loss:
    """One loss that is a mean or a sum over the elements of a row.

    Attributes
    ----------
    name : str
    value, derivative : callable
        Of (y, p), or of (y, p, param) where there is a param.
    reduction : {"mean", "sum"}
        Over the elements of a row.
    param : float or None
        The default of the loss's one option (delta, or label smoothing), if it has one.
    signed : bool
        Whether y is read as `hinge_labels` of the whole batch.
    """

    name: str
    value: Formula
    derivative: Formula
    reduction: Literal["mean", "sum"] = "mean"
    param: float | None = None
    signed: bool = False

    def options(self, param: float) -> tuple[float, ...]:
        """What the formulas take after y and p."""
        return () if self.param is None else (float(param),)

    def divisor(self, cols: int) -> float:
        """What the sum over the cols elements of a row is divided by."""
        return float(cols) if self.reduction == "mean" else 1.0


LOSSES: Mapping[str, Loss] = {
    loss.name: loss
    for loss in (
        Loss("mean_squared_error", squared_error, squared_error_derivative),
        Loss("mean_absolute_error", absolute_error, absolute_error_derivative),
        Loss("mean_absolute_percentage_error", percentage_error, percentage_error_derivative),
        Loss(
            "mean_squared_logarithmic_error",
            squared_logarithmic_error,
            squared_logarithmic_error_derivative,
        ),
        Loss("huber", huber, huber_derivative, param=1.0),
        Loss("log_cosh", log_cosh, log_cosh_derivative),
        Loss("binary_crossentropy", binary_crossentropy, binary_crossentropy_derivative, param=0.0),
        Loss(
            "binary_crossentropy_logits",
            binary_crossentropy_logits,
            binary_crossentropy_logits_derivative,
            param=0.0,
        ),
        Loss("kl_divergence", kl_divergence, kl_divergence_derivative, reduction="sum"),
        Loss("poisson", poisson, poisson_derivative),
        Loss("hinge", hinge, hinge_derivative, signed=True),
        Loss("squared_hinge", squared_hinge, squared_hinge_derivative, signed=True),
    )
}


# Losses of one element with several options: value and derivative.
FOCAL_LOSSES: Mapping[str, tuple[Formula, Formula]] = {
    "binary_focal_crossentropy": (
        binary_focal_crossentropy,
        binary_focal_crossentropy_derivative,
    ),
    "binary_focal_crossentropy_logits": (
        binary_focal_crossentropy_logits,
        binary_focal_crossentropy_logits_derivative,
    ),
}


# ------------------------------------------------------------------------ optimizers
# One step from the weights w, their gradient g and the slots (the optimizer's memory) to
# the new weights and slots. Settings are Python floats; iteration counts from 1.


def sgd(w: Number, g: Number, learning_rate: float) -> tuple[Number]:
    """Gradient descent: w - learning_rate g (Robbins & Monro 1951).

    >>> sgd(1.0, 2.0, learning_rate=0.25)
    (0.5,)
    """
    return (w - learning_rate * g,)


def sgd_momentum(
    w: Number, g: Number, velocity: Number, learning_rate: float, momentum: float
) -> tuple[Number, Number]:
    """Velocity v = momentum v - learning_rate g; w + v (Polyak 1964).

    >>> sgd_momentum(1.0, 2.0, -1.0, learning_rate=0.25, momentum=0.5)
    (0.0, -1.0)
    """
    velocity = momentum * velocity - learning_rate * g
    return w + velocity, velocity


def sgd_nesterov(
    w: Number, g: Number, velocity: Number, learning_rate: float, momentum: float
) -> tuple[Number, Number]:
    """v = momentum v - learning_rate g; w + momentum v - learning_rate g (Nesterov 1983).

    Sutskever et al. (2013), in the form that Keras uses.

    >>> sgd_nesterov(1.0, 2.0, -1.0, learning_rate=0.25, momentum=0.5)
    (0.0, -1.0)
    """
    velocity = momentum * velocity - learning_rate * g
    return w + momentum * velocity - learning_rate * g, velocity


def adam(
    w: Number,
    g: Number,
    m: Number,
    v: Number,
    learning_rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    weight_decay: float,
    iteration: float,
) -> tuple[Number, Number, Number]:
    """Adam (Kingma & Ba 2015); with weight_decay, AdamW (Loshchilov & Hutter 2019).

    m = m + (g - m) (1 - beta_1); v = v + (g^2 - v) (1 - beta_2);
    w (1 - weight_decay learning_rate) - a m / (sqrt(v) + epsilon),
    with a = learning_rate sqrt(1 - beta_2^iteration) / (1 - beta_1^iteration).
    epsilon stands as in Keras: in the paper's "epsilon hat" place.

    >>> settings = dict(beta_1=0.5, beta_2=0.75, epsilon=0.0, weight_decay=0.0, iteration=1)
    >>> w, *slots = adam(1.0, 2.0, 0.0, 0.0, learning_rate=0.25, **settings)
    >>> float(w), [float(slot) for slot in slots]
    (0.75, [1.0, 1.0])
    """
    step = adam_step_size(learning_rate, beta_1, beta_2, iteration)
    w = w - w * (weight_decay * learning_rate)
    m = m + (g - m) * (1.0 - beta_1)
    v = v + (g * g - v) * (1.0 - beta_2)
    return w - step * m / (np.sqrt(v) + epsilon), m, v


def adam_amsgrad(
    w: Number,
    g: Number,
    m: Number,
    v: Number,
    v_max: Number,
    learning_rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    weight_decay: float,
    iteration: float,
) -> tuple[Number, Number, Number, Number]:
    """Adam whose denominator is the largest v so far (Reddi, Kale & Kumar 2018).

    As `adam`, with v_max = max(v_max, v) in the place of v in the step.

    >>> settings = dict(beta_1=0.5, beta_2=0.75, epsilon=0.0, weight_decay=0.0, iteration=1)
    >>> w, *slots = adam_amsgrad(1.0, 2.0, 0.0, 0.0, 4.0, learning_rate=0.25, **settings)
    >>> float(w), [float(slot) for slot in slots]
    (0.875, [1.0, 1.0, 4.0])
    """
    step = adam_step_size(learning_rate, beta_1, beta_2, iteration)
    w = w - w * (weight_decay * learning_rate)
    m = m + (g - m) * (1.0 - beta_1)
    v = v + (g * g - v) * (1.0 - beta_2)
    v_max = np.maximum(v_max, v)
    return w - step * m / (np.sqrt(v_max) + epsilon), m, v, v_max


def adam_step_size(learning_rate: float, beta_1: float, beta_2: float, iteration: float) -> float:
    """learning_rate sqrt(1 - beta_2^iteration) / (1 - beta_1^iteration)."""
    step: float = learning_rate * math.sqrt(1.0 - beta_2**iteration) / (1.0 - beta_1**iteration)
    return step


def rmsprop(
    w: Number, g: Number, mean_square: Number, learning_rate: float, rho: float, epsilon: float
) -> tuple[Number, Number]:
    """s = rho s + (1 - rho) g^2; w - learning_rate g / sqrt(s + epsilon) (Hinton 2012).

    >>> w, *slots = rmsprop(1.0, 2.0, 0.0, learning_rate=0.25, rho=0.75, epsilon=0.0)
    >>> float(w), slots
    (0.5, [1.0])
    """
    mean_square = rho * mean_square + (1.0 - rho) * g * g
    return w - learning_rate * g / np.sqrt(mean_square + epsilon), mean_square


def rmsprop_momentum(
    w: Number,
    g: Number,
    mean_square: Number,
    velocity: Number,
    learning_rate: float,
    rho: float,
    epsilon: float,
    momentum: float,
) -> tuple[Number, Number, Number]:
    """As `rmsprop`, with v = momentum v + learning_rate g / sqrt(s + epsilon); w - v.

    >>> w, *slots = rmsprop_momentum(1.0, 2.0, 0.0, 1.0, 0.25, rho=0.75, epsilon=0.0, momentum=0.5)
    >>> float(w), [float(slot) for slot in slots]
    (0.0, [1.0, 1.0])
    """
    mean_square = rho * mean_square + (1.0 - rho) * g * g
    velocity = momentum * velocity + learning_rate * g / np.sqrt(mean_square + epsilon)
    return w - velocity, mean_square, velocity


def rmsprop_centered(
    w: Number,
    g: Number,
    mean_square: Number,
    mean_gradient: Number,
    learning_rate: float,
    rho: float,
    epsilon: float,
) -> tuple[Number, Number, Number]:
    """RMSprop by the gradient's variance s - a^2, with a = rho a + (1 - rho) g (Graves 2013).

    w - learning_rate g / sqrt(s - a^2 + epsilon).

    >>> w, *slots = rmsprop_centered(1.0, 2.0, 0.0, 0.0, learning_rate=0.25, rho=0.5, epsilon=0.0)
    >>> float(w), [float(slot) for slot in slots]
    (0.5, [2.0, 1.0])
    """
    mean_square = rho * mean_square + (1.0 - rho) * g * g
    mean_gradient = rho * mean_gradient + (1.0 - rho) * g
    variance = mean_square - mean_gradient * mean_gradient
    return w - learning_rate * g / np.sqrt(variance + epsilon), mean_square, mean_gradient


def rmsprop_centered_momentum(
    w: Number,
    g: Number,
    mean_square: Number,
    mean_gradient: Number,
    velocity: Number,
    learning_rate: float,
    rho: float,
    epsilon: float,
    momentum: float,
) -> tuple[Number, Number, Number, Number]:
    """As `rmsprop_centered`, with v = momentum v + learning_rate g / sqrt(...); w - v.

    >>> settings = dict(learning_rate=0.25, rho=0.5, epsilon=0.0, momentum=0.5)
    >>> w, *slots = rmsprop_centered_momentum(1.0, 2.0, 0.0, 0.0, 1.0, **settings)
    >>> float(w), [float(slot) for slot in slots]
    (0.0, [2.0, 1.0, 1.0])
    """
    mean_square = rho * mean_square + (1.0 - rho) * g * g
    mean_gradient = rho * mean_gradient + (1.0 - rho) * g
    variance = mean_square - mean_gradient * mean_gradient
    velocity = momentum * velocity + learning_rate * g / np.sqrt(variance + epsilon)
    return w - velocity, mean_square, mean_gradient, velocity


def adagrad(
    w: Number, g: Number, accumulator: Number, learning_rate: float, epsilon: float
) -> tuple[Number, Number]:
    """s = s + g^2; w - learning_rate g / sqrt(s + epsilon) (Duchi, Hazan & Singer 2011).

    >>> w, *slots = adagrad(1.0, 3.0, 16.0, learning_rate=0.5, epsilon=0.0)
    >>> float(w), slots
    (0.7, [25.0])
    """
    accumulator = accumulator + g * g
    return w - learning_rate * g / np.sqrt(accumulator + epsilon), accumulator


def adadelta(
    w: Number,
    g: Number,
    mean_square: Number,
    mean_step: Number,
    learning_rate: float,
    rho: float,
    epsilon: float,
) -> tuple[Number, Number, Number]:
    """Steps of the size of recent ones: w - learning_rate d (Zeiler 2012).

    s = rho s + (1 - rho) g^2; d = g sqrt(u + epsilon) / sqrt(s + epsilon);
    u = rho u + (1 - rho) d^2.

    >>> w, *slots = adadelta(1.0, 2.0, 0.0, 3.0, learning_rate=0.5, rho=0.5, epsilon=1.0)
    >>> round(float(w), 6), [round(float(slot), 6) for slot in slots]
    (-0.154701, [2.0, 4.166667])
    """
    mean_square = rho * mean_square + (1.0 - rho) * g * g
    step = np.sqrt(mean_step + epsilon) / np.sqrt(mean_square + epsilon) * g
    mean_step = rho * mean_step + (1.0 - rho) * step * step
    return w - learning_rate * step, mean_square, mean_step


def adamax(
    w: Number,
    g: Number,
    m: Number,
    most: Number,
    learning_rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    iteration: float,
) -> tuple[Number, Number, Number]:
    """Adam by the largest gradient in place of the mean square (Kingma & Ba 2015, section 7.1).

    m = m + (g - m) (1 - beta_1); u = max(beta_2 u, abs(g));
    w - learning_rate / (1 - beta_1^iteration) m / (u + epsilon).

    >>> settings = dict(beta_1=0.5, beta_2=0.5, epsilon=0.0, iteration=1)
    >>> w, *slots = adamax(1.0, 2.0, 0.0, 8.0, learning_rate=0.5, **settings)
    >>> float(w), [float(slot) for slot in slots]
    (0.75, [1.0, 4.0])
    """
    step = learning_rate / (1.0 - beta_1**iteration)
    m = m + (g - m) * (1.0 - beta_1)
    most = np.maximum(beta_2 * most, np.abs(g))
    return w - step * m / (most + epsilon), m, most


def nadam(
    w: Number,
    g: Number,
    m: Number,
    v: Number,
    learning_rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    iteration: float,
) -> tuple[Number, Number, Number]:
    """Adam with Nesterov momentum that warms up (Dozat 2016).

    m = m + (g - m) (1 - beta_1); v = v + (g^2 - v) (1 - beta_2);
    w - learning_rate (u' m / (1 - p u') + (1 - u) g / (1 - p)) / (sqrt(v / (1 - beta_2^t)) +
    epsilon), with t = iteration, u = beta_1 (1 - 0.96^t / 2), u' the same of t + 1, and p the
    product of all u so far.

    >>> settings = dict(beta_1=0.5, beta_2=0.75, epsilon=0.0, iteration=1)
    >>> w, *slots = nadam(1.0, 2.0, 0.0, 0.0, learning_rate=0.25, **settings)
    >>> round(float(w), 6), [float(slot) for slot in slots]
    (0.71376, [1.0, 1.0])
    """
    of_m, of_g, root = nadam_step_sizes(learning_rate, beta_1, beta_2, iteration)
    m = m + (g - m) * (1.0 - beta_1)
    v = v + (g * g - v) * (1.0 - beta_2)
    return w - (of_m * m + of_g * g) / (np.sqrt(v) + epsilon * root), m, v


# The product of 1 - 0.96^i / 2 for i up to the index: the rest of the factors are 1.
NADAM_PRODUCTS = np.cumprod(np.append(1.0, 1.0 - 0.5 * np.cumprod(np.full(999, 0.96))))


def nadam_step_sizes(
    learning_rate: float, beta_1: float, beta_2: float, iteration: float
) -> tuple[float, float, float]:
    """What m, g and epsilon are multiplied by in `nadam`, its v being divided by 1 - beta_2^t."""
    root = math.sqrt(1.0 - beta_2**iteration)
    now = beta_1 * (1.0 - 0.5 * 0.96**iteration)
    then = beta_1 * (1.0 - 0.5 * 0.96 ** (iteration + 1.0))
    product = beta_1**iteration * float(NADAM_PRODUCTS[min(int(iteration), 999)])
    rate = learning_rate * root
    return rate * then / (1.0 - product * then), rate * (1.0 - now) / (1.0 - product), root


def lion(
    w: Number,
    g: Number,
    m: Number,
    learning_rate: float,
    beta_1: float,
    beta_2: float,
) -> tuple[Number, Number]:
    """Steps of one size: w - learning_rate sign(beta_1 m + (1 - beta_1) g) (Chen et al. 2023).

    m = beta_2 m + (1 - beta_2) g.

    >>> w, m = lion(1.0, 2.0, -1.0, learning_rate=0.25, beta_1=0.5, beta_2=0.75)
    >>> float(w), m
    (0.75, -0.25)
    """
    way = beta_1 * m + (1.0 - beta_1) * g
    return w - learning_rate * np.sign(way), beta_2 * m + (1.0 - beta_2) * g


def ftrl(
    w: Number,
    g: Number,
    accumulator: Number,
    linear: Number,
    learning_rate: float,
    learning_rate_power: float,
    l1: float,
    l2: float,
    l2_shrinkage: float,
    beta: float,
) -> tuple[Number, Number, Number]:
    """Follow the regularized leader: sparse weights by an L1 penalty (McMahan et al. 2013).

    n' = n + g^2; z = z + g + 2 l2_shrinkage w - (n'^p - n^p) w / learning_rate, with
    p = -learning_rate_power; the new w is (clip(z, -l1, l1) - z) / (n'^p / learning_rate + 2 l2 +
    beta / learning_rate).

    >>> settings = dict(learning_rate_power=-0.5, l1=1.0, l2=0.5, l2_shrinkage=0.0, beta=0.0)
    >>> w, *slots = ftrl(0.0, 3.0, 16.0, 0.0, learning_rate=0.5, **settings)
    >>> round(float(w), 6), [float(slot) for slot in slots]
    (-0.181818, [25.0, 3.0])
    """
    power = -learning_rate_power
    total = accumulator + g * g
    root = total**power
    linear = linear + g + 2.0 * l2_shrinkage * w
    linear = linear - (root - accumulator**power) / learning_rate * w
    curvature = root / learning_rate + (2.0 * l2 + beta / learning_rate)
    clipped = np.minimum(np.maximum(linear, -l1), l1)
    return (clipped - linear) / curvature, total, linear


def schedule_free_adamw(
    w: Number,
    g: Number,
    z: Number,
    v: Number,
    learning_rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    warmup_steps: float,
    iteration: float,
) -> tuple[Number, Number, Number]:
    """Adam's steps from z, and w between z and the mean of all z (Defazio et al. 2024).

    v = v + (g^2 - v) (1 - beta_2); d = r g / (sqrt(v / (1 - beta_2^t)) + epsilon), with
    t = iteration and r = learning_rate min(t / warmup_steps, 1); w + (z - w) / t -
    (1 - beta_1 (1 - 1 / t)) d; z = z - d. That is (1 - beta_1) z + beta_1 x, without x, the mean of
    the z behind each step; z begins as w.

    >>> settings = dict(beta_1=0.5, beta_2=0.75, epsilon=0.0, warmup_steps=0, iteration=1)
    >>> w, *slots = schedule_free_adamw(1.0, 2.0, 1.0, 0.0, learning_rate=0.25, **settings)
    >>> float(w), [float(slot) for slot in slots]
    (0.75, [0.75, 1.0])
    """
    root = math.sqrt(1.0 - beta_2**iteration)
    rate = learning_rate * min(iteration / max(warmup_steps, 1.0), 1.0) * root
    share = 1.0 / iteration
    v = v + (g * g - v) * (1.0 - beta_2)
    step = rate * g / (np.sqrt(v) + epsilon * root)
    w = w + (z - w) * share - (1.0 - beta_1 * (1.0 - share)) * step
    return w, z - step, v


def keep_gradient(w: Number, g: Number, kept: Number, learning_rate: float) -> Any:
    """No update: the gradient is kept for whoever asks, and w stays.

    >>> keep_gradient(1.0, 2.0, 0.0, learning_rate=0.0)
    (1.0, 2.0)
    """
    return w, g


@dataclass(frozen=True)
class Optimizer:
    """One update rule.

    Attributes
    ----------
    name : str
    update : callable
        new_w, *new_slots = update(w, g, *slots, *settings).
    slots : int
        How many arrays of w's shape the rule remembers.
    """

    name: str
    update: Formula
    slots: int

    @property
    def hyper(self) -> tuple[str, ...]:
        """The names of what the user sets, in order."""
        return tuple(name for name in self._settings if name != "iteration")

    @property
    def _settings(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.update).parameters)[2 + self.slots :]

    def settings(self, iteration: int, hyper: Mapping[str, float]) -> tuple[float, ...]:
        """What update takes after the slots.

        Raises
        ------
        TypeError
            If hyper does not hold exactly the names of `Optimizer.hyper`.
        """
        if hyper.keys() != set(self.hyper):
            raise TypeError(
                f"{self.name} takes the settings {', '.join(self.hyper)}; "
                f"got {', '.join(hyper) or 'none'}"
            )
        given = {**hyper, "iteration": iteration}
        return tuple(float(given[name]) for name in self._settings)


OPTIMIZERS: Mapping[str, Optimizer] = {
    optimizer.name: optimizer
    for optimizer in (
        Optimizer("sgd", sgd, slots=0),
        Optimizer("sgd_momentum", sgd_momentum, slots=1),
        Optimizer("sgd_nesterov", sgd_nesterov, slots=1),
        Optimizer("adam", adam, slots=2),
        Optimizer("adam_amsgrad", adam_amsgrad, slots=3),
        Optimizer("rmsprop", rmsprop, slots=1),
        Optimizer("rmsprop_momentum", rmsprop_momentum, slots=2),
        Optimizer("rmsprop_centered", rmsprop_centered, slots=2),
        Optimizer("rmsprop_centered_momentum", rmsprop_centered_momentum, slots=3),
        Optimizer("adagrad", adagrad, slots=1),
        Optimizer("adadelta", adadelta, slots=2),
        Optimizer("adamax", adamax, slots=2),
        Optimizer("nadam", nadam, slots=2),
        Optimizer("lion", lion, slots=1),
        Optimizer("ftrl", ftrl, slots=2),
        Optimizer("schedule_free_adamw", schedule_free_adamw, slots=2),
        Optimizer("keep_gradient", keep_gradient, slots=1),
    )
}


# -------------------------------------------------------------------- random numbers

GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def splitmix64(state: Number) -> Number:
    """SplitMix64's output for a uint64 state (Steele, Lea & Flood 2014).

    >>> hex(splitmix64(np.array([GOLDEN_GAMMA]))[0])
    '0xe220a8397b1dcdaf'
    """
    z = (state ^ (state >> _SHIFTS[0])) * _FACTORS[0]
    z = (z ^ (z >> _SHIFTS[1])) * _FACTORS[1]
    return z ^ (z >> _SHIFTS[2])


def uniform_24(bits: Number) -> Number:
    """The top 24 of 64 random bits as a fraction in [0, 1).

    >>> uniform_24(np.array([2**63], dtype=np.uint64))
    array([0.5])
    """
    return (bits >> np.uint64(40)) * 2.0**-24


def normal_48(bits: Number) -> Number:
    """A normal number of the top 48 of 64 random bits, by Box & Muller (1958); in float64.

    sqrt(-2 log u) cos(2 pi t), with u = (a + 1) / 2^24 and t = b / 2^24, a and b being the top
    24 bits and the next 24.

    >>> normal_48(np.array([2**63, 2**63 + 2**39], dtype=np.uint64)).round(4)
    array([ 1.1774, -1.1774])
    """
    u = ((bits >> np.uint64(40)) + np.uint64(1)) * 2.0**-24
    turn = ((bits >> np.uint64(16)) & np.uint64(2**24 - 1)) * 2.0**-24
    return np.sqrt(-2.0 * np.log(u)) * np.cos(2.0 * math.pi * turn)
