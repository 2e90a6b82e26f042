"""What weights must be after each step: non-negative, or of a limited norm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import naming, registry
from .backends.formulas import EPSILON
from .doors import door
from .files.models import deserialized, serialized


class Constraint(registry.Configured):
    """Base of all constraints: a callable from weights to weights that keep to it.

    One of your own computes with operators and `hotloop.ops`, which is recorded and compiled.

    Attributes
    ----------
    is_built_in : bool
        Whether the training step has an op for it.
    """

    @property
    def is_built_in(self) -> bool:
        return type(self) in _BY_NAME.values()

    def __call__(self, w: ArrayLike) -> NDArray[Any]:
        """The weights w, of any shape, changed as little as the constraint asks for."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


class NonNeg(Constraint):
    """No weight is below zero: ``max(w, 0)``.

    Examples
    --------
    >>> NonNeg()([-1.0, 2.0])
    array([0., 2.])
    """

    def __call__(self, w: ArrayLike) -> NDArray[Any]:
        return np.maximum(w, 0)


class NormConstraint(Constraint):
    """Base of those that limit the norm of what leads to a unit.

    ``w * c / (norm + 1e-7)`` with ``norm = sqrt(sum(w ** 2))`` over the first axis, and
    ``c = rate * clip(norm, low, high) + (1 - rate) * norm``: of a dense layer's kernel
    (inputs, units), each unit's weights; of a bias, all of it.

    Attributes
    ----------
    low, high, rate : float
    """

    low: float
    high: float
    rate: float = 1.0

    def __init__(self, axis: int = 0) -> None:
        if axis not in (0, [0], (0,)):
            raise ValueError(
                f"{type(self).__name__}: axis must be 0, not {axis!r}: norms are taken over the "
                "inputs of each unit"
            )

    def __call__(self, w: ArrayLike) -> NDArray[Any]:
        weights = np.asarray(w)
        # In float64: float32 has no square of a number beyond 1e19.
        norm = np.sqrt(np.sum(np.square(weights, dtype=np.float64), axis=0, keepdims=True))
        wanted = self.rate * np.clip(norm, self.low, self.high) + (1 - self.rate) * norm
        return np.asarray(weights * (wanted / (norm + EPSILON)), np.result_type(weights, 1.0))

    def _number(self, argument: str, value: float, high: float = math.inf) -> float:
        number = float(value)
        if not 0 <= number <= high:
            limit = "" if math.isinf(high) else f" and at most {high:g}"
            raise ValueError(
                f"{type(self).__name__}: {argument} must be at least 0{limit}, not {value!r}"
            )
        return number


class MaxNorm(NormConstraint):
    """Norms of at most `max_value` (Srivastava et al. 2014, with dropout).

    Parameters
    ----------
    max_value : float
    axis : int
        0.

    Raises
    ------
    ValueError
        For a negative limit, or another axis.

    Examples
    --------
    >>> MaxNorm(1.0)([[3.0, 0.1], [4.0, 0.0]]).round(4)
    array([[0.6, 0.1],
           [0.8, 0. ]])
    """

    def __init__(self, max_value: float = 2, axis: int = 0) -> None:
        super().__init__(axis)
        self.low, self.high = 0.0, self._number("max_value", max_value)

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.high, "axis": 0}


class UnitNorm(NormConstraint):
    """Norms of 1.

    Parameters
    ----------
    axis : int
        0.

    Examples
    --------
    >>> UnitNorm()([3.0, 4.0]).round(4)
    array([0.6, 0.8])
    """

    def __init__(self, axis: int = 0) -> None:
        super().__init__(axis)
        self.low = self.high = 1.0

    def get_config(self) -> dict[str, Any]:
        return {"axis": 0}


class MinMaxNorm(NormConstraint):
    """Norms between two limits, reached in steps of a share of what is missing.

    Parameters
    ----------
    min_value, max_value : float
    rate : float
        From 0 to 1: the share; 1 reaches the limit at once.
    axis : int
        0.

    Raises
    ------
    ValueError
        For limits that are negative or in the wrong order, a rate that is no share, or another
        axis.

    Examples
    --------
    >>> MinMaxNorm(0.0, 1.0, rate=0.5)([3.0, 4.0]).round(4)  # of norm 5, then 3
    array([1.8, 2.4])
    """

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: int = 0
    ) -> None:
        super().__init__(axis)
        self.high = self._number("max_value", max_value)
        self.low = self._number("min_value", min_value, self.high)
        self.rate = self._number("rate", rate, 1.0)

    def get_config(self) -> dict[str, Any]:
        return {"min_value": self.low, "max_value": self.high, "rate": self.rate, "axis": 0}


_BY_NAME: dict[str, type[Constraint]] = {
    "max_norm": MaxNorm,
    "min_max_norm": MinMaxNorm,
    "non_neg": NonNeg,
    "unit_norm": UnitNorm,
}

max_norm = MaxNorm
min_max_norm = MinMaxNorm
non_neg = NonNeg
unit_norm = UnitNorm


def get(identifier: Any) -> Any:
    """The constraint for a name, a config, a constraint or a function; None for None.

    Raises
    ------
    ValueError
        For a name that is not known; the nearest one is suggested.
    TypeError
        For anything else that cannot be called.

    Examples
    --------
    >>> get("max_norm")
    MaxNorm(max_value=2.0, axis=0)
    """
    if identifier is None:
        return None
    made = naming.instantiate("constraint", identifier, _BY_NAME)
    if callable(made):
        return made
    raise TypeError(
        f"a constraint must be one of {', '.join(c.__name__ for c in _BY_NAME.values())} from "
        f"hotloop.constraints, or a function of a weight, not {identifier!r}"
    )


def serialize(constraint: Any) -> Any:
    """Plain data in Keras's form, of which `deserialize` makes an equal object."""
    return serialized(constraint)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """What `serialize` described, here or in Keras: as `get`.

    Parameters
    ----------
    config : dict or str
    custom_objects : mapping of str to class or function, optional
        Those of your own that are not registered.
    """
    return deserialized(config, custom_objects, get)


if not TYPE_CHECKING:  # which knows all names
    __getattr__ = door(__name__)
