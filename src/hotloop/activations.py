"""Activations: functions of arrays, and of the symbolic values inside a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from . import backends, config, naming, registry
from .backends import own
from .data.adapters import as_float
from .doors import door
from .files.models import model_files
from .graph import ops
from .graph.trace import Value

if TYPE_CHECKING:
    from .backends.differentiation import DifferentiationError

X = TypeVar("X", NDArray[Any], Value)
Activation = Callable[[Any], Any]


def _apply(op: str, x: Any, alpha: float = 0.0) -> Any:
    """An elementwise op on a value of a graph, or at once on an array."""
    if isinstance(x, Value):
        return ops.activation(op, x, alpha)
    array = as_float(x, "x")
    out = np.empty_like(array)
    backends.call(op, array.reshape(1, -1), out=out.reshape(1, -1), alpha=alpha)
    return out


def _apply_to_rows(op: str, x: Any) -> Any:
    """An op over the last axis."""
    if isinstance(x, Value):
        return _ROW_OPS[op](x)
    array = as_float(x, "x")
    if array.ndim == 0:
        raise ValueError(f"{op} works over the last axis; got a single number")
    out = np.empty_like(array)
    rows = (-1, array.shape[-1])
    if array.size:
        backends.call(op, array.reshape(rows), out=out.reshape(rows))
    return out


_ROW_OPS: dict[str, Callable[[Value], Value]] = {
    "softmax": ops.softmax,
    "log_softmax": ops.log_softmax,
    "sparsemax": ops.sparsemax,
}


def _scale(x: Any, factor: float, offset: float = 0.0) -> Any:
    """x * factor + offset."""
    return (
        ops.scale(x, factor, offset) if isinstance(x, Value) else as_float(x, "x") * factor + offset
    )


def _add(a: Any, b: Any) -> Any:
    return ops.add(a, b) if isinstance(a, Value) else a + b


def linear(x: X) -> X:
    """f(x) = x.

    Examples
    --------
    >>> linear(2.0)
    2.0
    """
    return x


def relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Any:
    """Rectified linear unit: f(x) = max(x, 0) (Nair and Hinton, 2010).

    With a threshold, f(x) = x where x > threshold, else 0; with a max_value, that clipped to
    [0, max_value]; with a negative_slope, less negative_slope * max(threshold - x, 0).

    Examples
    --------
    >>> relu([-1.0, 2.0])
    array([0., 2.])
    >>> relu([-1.0, 2.0, 8.0], negative_slope=0.5, max_value=6.0)
    array([-0.5,  2. ,  6. ])
    """
    if max_value is None and threshold == 0.0:
        return _apply("leaky_relu", x, negative_slope) if negative_slope else _apply("relu", x)
    y = _apply("threshold", x, threshold) if threshold else x
    if max_value is not None:
        y = _apply("clipped_relu", y, max_value)
    if not negative_slope:
        return y
    below = _apply("relu", _scale(x, -1.0, threshold))
    return _add(y, _scale(below, -negative_slope))


def relu6(x: Any) -> Any:
    """f(x) = min(max(x, 0), 6) (Krizhevsky, 2010).

    Examples
    --------
    >>> relu6([-1.0, 2.0, 8.0])
    array([0., 2., 6.])
    """
    return _apply("clipped_relu", x, 6.0)


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """f(x) = x where x > 0, else negative_slope * x (Maas et al., 2013).

    Examples
    --------
    >>> leaky_relu([-1.0, 2.0])
    array([-0.2,  2. ])
    """
    return _apply("leaky_relu", x, negative_slope)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """f(x) = x where x > 0, else alpha * (exp(x) - 1) (Clevert et al., 2015).

    Examples
    --------
    >>> elu([0.0, 2.0])
    array([0., 2.])
    """
    return _apply("elu", x, alpha)


def celu(x: Any, alpha: float = 1.0) -> Any:
    """f(x) = x where x > 0, else alpha * (exp(x / alpha) - 1) (Barron, 2017).

    Raises
    ------
    ValueError
        Unless alpha is above 0.

    Examples
    --------
    >>> celu([0.0, 2.0])
    array([0., 2.])
    """
    if not alpha > 0:
        raise ValueError(f"celu: alpha must be above 0, not {alpha!r}")
    return _apply("celu", x, alpha)


def selu(x: Any) -> Any:
    """Scaled ELU: 1.0507 * elu(x, 1.6733) (Klambauer et al., 2017).

    Examples
    --------
    >>> selu([1.0]).round(4)
    array([1.0507])
    """
    return _apply("selu", x)


def gelu(x: Any, approximate: bool = False) -> Any:
    """f(x) = x Phi(x), Phi being the normal distribution function (Hendrycks and Gimpel, 2016).

    approximate: by x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).

    Examples
    --------
    >>> gelu([1.0]).round(4)
    array([0.8413])
    """
    return _apply("gelu_tanh" if approximate else "gelu", x)


def silu(x: Any) -> Any:
    """f(x) = x sigmoid(x), also called swish (Elfwing et al., 2017).

    Examples
    --------
    >>> silu([0.0])
    array([0.])
    """
    return _apply("silu", x)


def hard_silu(x: Any) -> Any:
    """f(x) = x hard_sigmoid(x), also called hard swish (Howard et al., 2019).

    Examples
    --------
    >>> hard_silu([-1.5, 3.0])
    array([-0.375,  3.   ])
    """
    return _apply("hard_silu", x)


def mish(x: Any) -> Any:
    """f(x) = x tanh(softplus(x)) (Misra, 2019).

    Examples
    --------
    >>> mish([1.0]).round(4)
    array([0.8651])
    """
    return _apply("mish", x)


def softplus(x: Any) -> Any:
    """f(x) = log(1 + exp(x)).

    Examples
    --------
    >>> softplus([0.0]).round(4)
    array([0.6931])
    """
    return _apply("softplus", x)


def log_sigmoid(x: Any) -> Any:
    """f(x) = log(sigmoid(x)), computed without overflow.

    Examples
    --------
    >>> log_sigmoid([0.0]).round(4)
    array([-0.6931])
    """
    return _apply("log_sigmoid", x)


def squareplus(x: Any, b: float = 4) -> Any:
    """f(x) = (x + sqrt(x^2 + b)) / 2 (Barron, 2021).

    Raises
    ------
    ValueError
        If b is below 0.

    Examples
    --------
    >>> squareplus([0.0, 1.5])
    array([1., 2.])
    """
    if not b >= 0:
        raise ValueError(f"squareplus: b must be at least 0, not {b!r}")
    return _apply("squareplus", x, b)


def sparse_plus(x: Any) -> Any:
    """f(x) = 0 where x <= -1, x where x >= 1, else (x + 1)^2 / 4.

    Examples
    --------
    >>> sparse_plus([-2.0, 0.0, 2.0])
    array([0.  , 0.25, 2.  ])
    """
    return _apply("sparse_plus", x)


def softsign(x: Any) -> Any:
    """f(x) = x / (1 + |x|).

    Examples
    --------
    >>> softsign([1.0])
    array([0.5])
    """
    return _apply("softsign", x)


def sigmoid(x: Any) -> Any:
    """f(x) = 1 / (1 + exp(-x)).

    Examples
    --------
    >>> sigmoid([0.0])
    array([0.5])
    """
    return _apply("sigmoid", x)


def hard_sigmoid(x: Any) -> Any:
    """f(x) = x / 6 + 1/2, clipped to [0, 1].

    Examples
    --------
    >>> hard_sigmoid([-4.0, 0.0])
    array([0. , 0.5])
    """
    return _apply("hard_sigmoid", x)


def sparse_sigmoid(x: Any) -> Any:
    """f(x) = (x + 1) / 2, clipped to [0, 1] (Blondel et al., 2019).

    Examples
    --------
    >>> sparse_sigmoid([-4.0, 0.0])
    array([0. , 0.5])
    """
    return _apply("sparse_sigmoid", x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent: (exp(x) - exp(-x)) / (exp(x) + exp(-x)).

    Examples
    --------
    >>> tanh([0.0])
    array([0.])
    """
    return _apply("tanh", x)


def hard_tanh(x: Any) -> Any:
    """f(x) = x, clipped to [-1, 1].

    Examples
    --------
    >>> hard_tanh([-4.0, 0.5])
    array([-1. ,  0.5])
    """
    return _apply("hard_tanh", x)


def tanh_shrink(x: Any) -> Any:
    """f(x) = x - tanh(x).

    Examples
    --------
    >>> tanh_shrink([0.0, 1.0]).round(4)
    array([0.    , 0.2384])
    """
    return _apply("tanh_shrink", x)


def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    """f(x) = x where abs(x) > threshold, else 0.

    Raises
    ------
    ValueError
        If the threshold is below 0.

    Examples
    --------
    >>> hard_shrink([-1.0, 0.25, 2.0])
    array([-1.,  0.,  2.])
    """
    return _apply("hard_shrink", x, _not_negative("hard_shrink", threshold))


def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    """f(x) = x moved towards 0 by the threshold, and 0 where that is further than 0.

    Raises
    ------
    ValueError
        If the threshold is below 0.

    Examples
    --------
    >>> soft_shrink([-1.0, 0.25, 2.0])
    array([-0.5,  0. ,  1.5])
    """
    return _apply("soft_shrink", x, _not_negative("soft_shrink", threshold))


def _not_negative(name: str, threshold: float) -> float:
    if not threshold >= 0:
        raise ValueError(f"{name}: threshold must be at least 0, not {threshold!r}")
    return threshold


def threshold(x: Any, threshold: float, default_value: float) -> Any:
    """f(x) = x where x > threshold, else default_value.

    With a default_value that is not 0, x comes back as (x - default_value) + default_value:
    rounded by as much as these two differ in size.

    Examples
    --------
    >>> threshold([-1.0, 0.5, 2.0], 1.0, 0.25)
    array([0.25, 0.25, 2.  ])
    """
    if not default_value:
        return _apply("threshold", x, threshold)
    above = _apply("threshold", _scale(x, 1.0, -default_value), threshold - default_value)
    return _scale(above, 1.0, default_value)


def absolute(x: Any) -> Any:
    """f(x) = abs(x), whose derivative at 0 is 0.

    Examples
    --------
    >>> absolute([-1.0, 2.0])
    array([1., 2.])
    """
    return _apply("absolute", x)


def exponential(x: Any) -> Any:
    """f(x) = exp(x).

    Examples
    --------
    >>> exponential([0.0])
    array([1.])
    """
    return _apply("exponential", x)


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) divided by its sum over the last axis: probabilities of classes.

    Examples
    --------
    >>> softmax([1.0, 1.0])
    array([0.5, 0.5])
    """
    _check_axis("softmax", x, axis)
    return _apply_to_rows("softmax", x)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """log(softmax(x)), computed without overflow.

    Examples
    --------
    >>> log_softmax([1.0, 1.0]).round(4)
    array([-0.6931, -0.6931])
    """
    _check_axis("log_softmax", x, axis)
    return _apply_to_rows("log_softmax", x)


def sparsemax(x: Any, axis: int = -1) -> Any:
    """The probabilities over the last axis that are nearest to x: many are exactly 0.

    f(x)_i = max(x_i - tau, 0), tau being such that they sum to 1 (Martins and Astudillo, 2016).

    Examples
    --------
    >>> sparsemax([2.0, 1.5, 0.0])
    array([0.75, 0.25, 0.  ])
    """
    _check_axis("sparsemax", x, axis)
    return _apply_to_rows("sparsemax", x)


def glu(x: Any, axis: int = -1) -> Any:
    """Gated linear unit: a sigmoid(b), a and b being the halves of the last axis.

    The result has half of its elements (Dauphin et al., 2017).

    Raises
    ------
    ValueError
        If that axis has an odd length.

    Examples
    --------
    >>> glu([3.0, 0.0])
    array([1.5])
    """
    _check_axis("glu", x, axis)
    array = x if isinstance(x, Value) else as_float(x, "x")
    length = array.shape[-1] if array.shape else 1
    if length is None or length % 2:
        raise ValueError(f"glu: the last axis must have an even length to be halved, not {length}")
    if isinstance(array, Value):
        return ops.glu(array)
    out = np.empty((*array.shape[:-1], length // 2), array.dtype)
    if out.size:
        backends.call("glu", array.reshape(-1, length), out=out.reshape(-1, length // 2))
    return out


def _check_axis(name: str, x: Any, axis: int) -> None:
    rank = len(x.shape) if isinstance(x, Value) else np.ndim(x)
    if axis not in (-1, rank - 1):
        raise ValueError(f"{name} works over the last axis (-1), not {axis}; transpose x first")


swish = silu
hard_swish = hard_silu

_BY_NAME: dict[str, Activation] = {
    f.__name__: f
    for f in (
        linear,
        relu,
        relu6,
        leaky_relu,
        elu,
        celu,
        selu,
        gelu,
        silu,
        hard_silu,
        mish,
        softplus,
        log_sigmoid,
        squareplus,
        sparse_plus,
        softsign,
        sigmoid,
        hard_sigmoid,
        sparse_sigmoid,
        tanh,
        hard_tanh,
        tanh_shrink,
        hard_shrink,
        soft_shrink,
        threshold,
        absolute,
        exponential,
        softmax,
        log_softmax,
        sparsemax,
        glu,
    )
} | {"swish": silu, "hard_swish": hard_silu}
# Those of ours that Keras has under no name.
_NOT_OF_KERAS = {"absolute"}
# Those of the user's own.
_REGISTERED: dict[str, OwnActivation] = {}
config.own_functions["activation"] = _REGISTERED


def register(
    name: str, f: Callable[[Any], Any], derivative: Callable[[Any], Any] | None = None
) -> OwnActivation:
    """Makes a scalar Python function an activation that is known by a name.

    Numba compiles it, and a compiled step calls it as a C function, of several elements at once.
    Without Numba, NumPy does it, in a step that Python runs. ``docs/own-functions.md`` says what
    such a function may use.

    Parameters
    ----------
    name : str
        By which layers find it, and models in files; that of an activation of hotloop's is
        refused, one that was registered before is replaced.
    f : callable
        Of one number, returning a number: arithmetic, comparisons, if and else, min, max, abs,
        and the functions of `math`.
    derivative : callable, optional
        The same of its derivative; derived from the source of `f` if not given. Either is compared
        with finite differences.

    Returns
    -------
    OwnActivation
        What `get` returns for the name, and for `f` itself.

    Raises
    ------
    ValueError
        If the name is taken; if `f` cannot be compiled or has no derivative, saying which line;
        if the derivative is not that of `f`, saying where.

    Examples
    --------
    >>> import math
    >>> def swoosh(x):
    ...     return math.log1p(math.exp(x - 1.0)) - 0.08 * x - 0.313
    >>> register("swoosh", swoosh)
    <OwnActivation swoosh>
    >>> get("swoosh")([1.0]).round(4)
    array([0.3001])
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"the name of an activation must be a string, not {name!r}")
    if name in _BY_NAME:
        raise ValueError(f"'{name}' is an activation of hotloop's; register yours by another name")
    activation = OwnActivation(f, derivative, name)
    _REGISTERED[name] = activation
    return activation


class OwnActivation:
    """An activation of the user's own, from `register`, or of a function that a layer was given.

    Parameters
    ----------
    f, derivative : callable
    name : str, optional
        Under which it was registered.

    Raises
    ------
    ValueError
        As `register`.
    """

    def __init__(
        self,
        f: Callable[[Any], Any],
        derivative: Callable[[Any], Any] | None = None,
        name: str | None = None,
    ) -> None:
        from .backends.scalar_functions import ScalarFunction

        self.__name__ = name or str(getattr(f, "__name__", "function"))
        self.registered = name is not None
        self.scalar = ScalarFunction(f, derivative, 1, self.__name__)

    def __call__(self, x: Any) -> Any:
        if isinstance(x, Value):
            return ops.own_activation(x, self.scalar)
        array = as_float(x, "x")
        out = np.empty(array.shape, array.dtype)
        flat = np.ascontiguousarray(array).reshape(-1)
        own.own_activation(flat, function=self.scalar, out=out.reshape(-1))
        return out

    def serialized(self) -> Any:
        """Its name, or itself where it has none that others could find it by."""
        return self.__name__ if self.registered else self

    def __reduce__(self) -> tuple[Any, ...]:
        if self.registered:
            return get, (self.__name__,)
        return OwnActivation, (self.scalar.function, self.scalar.given_derivative)

    def __repr__(self) -> str:
        return f"<OwnActivation {self.__name__}>"


def _of_function(f: Callable[..., Any]) -> Activation:
    """A registered function, a scalar one, or one that calls activations."""
    for activation in _REGISTERED.values():
        if activation.scalar.function is f:
            return activation
    if not (isinstance(f, FunctionType) or hasattr(f, "py_func")) or f in _BY_NAME.values():
        return f
    from .backends.differentiation import DifferentiationError

    try:
        return OwnActivation(f)
    except DifferentiationError as error:
        return _Composed(f, error)


class _Composed:
    """A function that is called on a symbolic value, to make of it what it can."""

    def __init__(self, f: Callable[..., Any], refused: DifferentiationError) -> None:
        self.__name__ = f.__name__
        self._f = f
        self._refused = refused

    def __call__(self, x: Any) -> Any:
        try:
            return self._f(x)
        except (TypeError, AttributeError) as error:
            raise TypeError(
                f"the activation '{self.__name__}' is neither made of hotloop's activations "
                f"({error}) nor a scalar function: {self._refused}"
            ) from error


def is_of_keras(name: str) -> bool:
    """Whether Keras knows an activation by this name.

    Examples
    --------
    >>> is_of_keras("relu"), is_of_keras("absolute")
    (True, False)
    """
    return name in _BY_NAME and name not in _NOT_OF_KERAS


def get(identifier: str | Activation | Mapping[str, Any] | None) -> Activation:
    """The activation for a name, a function or a configuration; None is `linear`.

    A name may have been given to `register`. A function that is not known may be a scalar one, as
    for `register`, or call the activations of this module.

    Raises
    ------
    ValueError
        For a name that is not known; the nearest one is suggested. For a function whose
        derivative is wrong.
    TypeError
        For something that is neither.

    Examples
    --------
    >>> get("relu") is relu
    True
    """
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        if identifier in _REGISTERED:
            return _REGISTERED[identifier]
        try:
            known: dict[str, Activation] = {**_BY_NAME, **_REGISTERED}
            return naming.lookup("activation", identifier, known)
        except ValueError as error:
            raise ValueError(
                f"{error}. One of your own must first be registered: "
                f"hotloop.activations.register({identifier!r}, f)"
            ) from None
    if isinstance(identifier, Mapping):
        identifier = model_files().deserialize_keras_object(identifier)
    if callable(identifier):
        return _of_function(identifier)
    raise TypeError(f"an activation must be a name, a function or None, not {identifier!r}")


def serialize(activation: Any) -> Any:
    """The name of an activation, or plain data of which `deserialize` makes an equal object."""
    written = model_files().serialize_keras_object(activation)
    known = isinstance(activation, FunctionType) and activation.__name__ in _BY_NAME
    return written["config"] if known else written


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """What `serialize` described, here or in Keras: as `get`.

    Parameters
    ----------
    config : dict or str
    custom_objects : mapping of str to class or function, optional
        Those of your own that are not registered.
    """
    with registry.CustomObjectScope(custom_objects):
        return get(config)


if not TYPE_CHECKING:  # which knows all names
    __getattr__ = door(__name__)
