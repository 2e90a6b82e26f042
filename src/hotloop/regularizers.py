"""Penalties on weights that are added to the loss: L1, L2 and both."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import registry
from .doors import door
from .files.models import deserialized, serialized
from .graph import ops
from .graph.trace import Value
from .naming import instantiate

RegularizerLike = str | Mapping[str, Any] | Callable[[Any], float] | None


class Regularizer(registry.Configured):
    """Base of all regularizers: a callable from weights to a penalty.

    Attributes
    ----------
    l1, l2 : float
        Factors of the sum of absolute values and of the sum of squares.

    Examples
    --------
    >>> Regularizer()([1.0, -2.0])
    0.0
    """

    l1: float = 0.0
    l2: float = 0.0

    def __call__(self, w: Any) -> Any:
        """Penalty of the weights w: ``l1 * sum(|w|) + l2 * sum(w ** 2)``, summed in float64.

        Of a symbolic value it is recorded.
        """
        if isinstance(w, Value):
            return self._recorded(w)
        flat = np.asarray(w, dtype=np.float64).reshape(-1)
        return float(self.l1 * np.abs(flat).sum() + self.l2 * (flat @ flat))

    def _recorded(self, x: Value) -> Value:
        parts = []
        if self.l1:
            parts.append(ops.scale(ops.total(ops.activation("absolute", x)), self.l1))
        if self.l2:
            parts.append(ops.scale(ops.total(ops.multiply(x, x)), self.l2))
        return functools.reduce(ops.add, parts) if parts else ops.scale(ops.total(x), 0.0)

    @property
    def factors(self) -> tuple[float, float] | None:
        """l1 and l2, if they say all of it; None for a penalty of one's own."""
        own = type(self).__call__ is not Regularizer.__call__
        return None if own else (self.l1, self.l2)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {}


class L1L2(Regularizer):
    """Sum of absolute values and sum of squares of the weights.

    ``l1 * sum(|w|) + l2 * sum(w ** 2)``, with gradient ``l1 * sign(w) + 2 * l2 * w``.

    Parameters
    ----------
    l1, l2 : float
        Factors, finite and at least 0.

    Raises
    ------
    ValueError
        If a factor is negative or not finite.

    Examples
    --------
    >>> L1L2(l1=0.5, l2=0.25)([1.0, -2.0])
    2.75
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = _factor("l1", 0.0 if l1 is None else l1)
        self.l2 = _factor("l2", 0.0 if l2 is None else l2)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {"l1": self.l1, "l2": self.l2}


class L1(Regularizer):
    """Sum of absolute values of the weights: ``l1 * sum(|w|)``.

    Parameters
    ----------
    l1 : float
        Factor, finite and at least 0.

    Raises
    ------
    ValueError
        If the factor is negative or not finite.

    Examples
    --------
    >>> L1(0.5)([1.0, -2.0])
    1.5
    """

    def __init__(self, l1: float | None = 0.01) -> None:
        self.l1 = _factor("l1", 0.01 if l1 is None else l1)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {"l1": self.l1}


class L2(Regularizer):
    """Sum of squares of the weights: ``l2 * sum(w ** 2)``, with no factor 1/2.

    Parameters
    ----------
    l2 : float
        Factor, finite and at least 0.

    Raises
    ------
    ValueError
        If the factor is negative or not finite.

    Examples
    --------
    >>> L2(0.5)([1.0, -2.0])
    2.5
    """

    def __init__(self, l2: float | None = 0.01) -> None:
        self.l2 = _factor("l2", 0.01 if l2 is None else l2)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """Makes the rows, or columns, of a matrix point in different directions.

    ``factor * sum |g| / (n (n - 1))`` of the products g of any two different rows, each divided by
    its length; n being their number.

    Parameters
    ----------
    factor : float
        Finite and at least 0.
    mode : {"rows", "columns"}

    Raises
    ------
    ValueError
        For other arguments, and weights that are no matrix.

    Examples
    --------
    >>> float(OrthogonalRegularizer(factor=1.0)([[1.0, 0.0], [3.0, 0.0]]))
    1.0
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _factor("factor", factor)
        if mode not in ("rows", "columns"):
            raise ValueError(f"mode must be 'rows' or 'columns', not {mode!r}")
        self.mode = mode

    def __call__(self, w: Any) -> Any:
        """The penalty of a matrix, symbolic or not."""
        from . import ops as public  # which takes time to import, and few models need

        if len(public.shape(w)) != 2:
            raise ValueError(
                f"OrthogonalRegularizer is for matrices, not for weights of shape {public.shape(w)}"
            )
        vectors = w if self.mode == "rows" else public.transpose(w)
        vectors = public.normalize(vectors, axis=1)
        count = int(public.shape(vectors)[0])
        products = public.absolute(public.matmul(vectors, public.transpose(vectors)))
        others = public.multiply(products, 1.0 - np.eye(count, dtype="float32"))
        return self.factor * public.sum(others) / (count * (count - 1.0))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {"factor": self.factor, "mode": self.mode}


l1 = L1
l2 = L2
l1_l2 = L1L2
orthogonal_regularizer = OrthogonalRegularizer


def get(identifier: RegularizerLike) -> Any:
    """Regularizer of a name, a configuration, a class, an instance or a function; None of None.

    The names are ``"l1"``, ``"l2"`` and ``"l1_l2"``: factors 0.01, 0.01 and both 0, as in Keras.

    Raises
    ------
    ValueError
        If the name is unknown or the identifier is none of these.

    Examples
    --------
    >>> get("l2").l2
    0.01
    """
    if identifier is None:
        return None
    return instantiate("regularizer", identifier, _TABLE)


def serialize(regularizer: Any) -> Any:
    """Plain data in Keras's form, of which `deserialize` makes an equal object."""
    return serialized(regularizer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """What `serialize` described, here or in Keras: as `get`.

    Parameters
    ----------
    config : dict or str
    custom_objects : mapping of str to class or function, optional
        Those of your own that are not registered.
    """
    return deserialized(config, custom_objects, get)


def _factor(name: str, value: float) -> float:
    """Factor as a float, or an error that names it."""
    numeric = isinstance(value, (int, float, np.integer, np.floating))
    if not numeric or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")
    return float(value)


_TABLE = {"l1": L1, "l2": L2, "l1_l2": L1L2, "orthogonal_regularizer": OrthogonalRegularizer}


if not TYPE_CHECKING:  # which knows all names
    __getattr__ = door(__name__)
