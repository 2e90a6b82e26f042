"""The base of all optimizers: hyper-parameters, state, step count."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .. import backends
from ..variables import Variable


class Optimizer:
    """An update rule of the core, its hyper-parameters, and its state for each weight.

    Subclasses name the rule (`op`), what it is called with (`hyper`), and the first value
    of each state array (`slot_values`).

    Parameters
    ----------
    learning_rate : float
        Step size; may be changed at any time between batches.
    name : str, optional
        The class's in lower case if not given.

    Attributes
    ----------
    iterations : int
        Steps done so far.
    """

    def __init__(self, learning_rate: float, *, name: str | None = None) -> None:
        self.name = name or type(self).__name__.lower()
        self.learning_rate = learning_rate
        self.iterations = 0
        self._slots: dict[int, tuple[Variable, tuple[Variable, ...]]] = {}

    @property
    def learning_rate(self) -> float:
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate = self._number("learning_rate", value, 0.0)

    def _number(self, argument: str, value: float, low: float, high: float = math.inf) -> float:
        """`value` as a float from `low` up to, but not including, `high`."""
        if callable(value) or isinstance(value, str | bytes):
            raise TypeError(f"{type(self).__name__}: {argument} must be a number, not {value!r}")
        number = float(value)
        if not low <= number < high:
            limit = "" if math.isinf(high) else f" and below {high:g}"
            raise ValueError(
                f"{type(self).__name__}: {argument} must be at least {low:g}{limit}, not {value!r}"
            )
        return number

    @property
    def op(self) -> str:
        """The update rule, as named in `hotloop.kernels`."""
        raise NotImplementedError

    def hyper(self) -> dict[str, float]:
        """The rule's keyword arguments, in the rule's order."""
        raise NotImplementedError

    def slot_values(self) -> dict[str, float]:
        """Name and first value of each state array that a weight has."""
        return {}

    def slots(self, weight: Variable) -> tuple[Variable, ...]:
        """The state arrays of a weight, made when first asked for."""
        if id(weight) not in self._slots:
            state = tuple(
                Variable(
                    np.full(weight.shape, value, weight.dtype),
                    name=f"{weight.path}/{slot}",
                    trainable=False,
                )
                for slot, value in self.slot_values().items()
            )
            self._slots[id(weight)] = (weight, state)
        return self._slots[id(weight)][1]

    @property
    def variables(self) -> list[Variable]:
        """All state arrays, weight by weight."""
        return [slot for _, slots in self._slots.values() for slot in slots]

    def apply(self, gradients: Iterable[Any], weights: Iterable[Variable]) -> None:
        """One step with gradients that the caller computed.

        Parameters
        ----------
        gradients : iterable of array-like
            One for each weight, of its shape.
        weights : iterable of Variable

        Examples
        --------
        >>> from hotloop.optimizers import SGD
        >>> from hotloop.variables import Variable
        >>> w = Variable([1.0, 2.0])
        >>> SGD(learning_rate=0.5).apply([[1.0, 1.0]], [w])
        >>> w.numpy()
        array([0.5, 1.5])
        """
        self.iterations += 1
        for gradient, weight in zip(gradients, weights, strict=True):
            values = weight.numpy()
            slots = self.slots(weight)
            state = tuple(slot.numpy() for slot in slots)
            g = np.ascontiguousarray(gradient, weight.dtype)
            if g.shape != weight.shape:
                raise ValueError(
                    f"the gradient of '{weight.path}' has shape {g.shape}; expected {weight.shape}"
                )
            backends.call(self.op, values, g, state, iteration=self.iterations, **self.hyper())
            weight.assign(values)
            for slot, array in zip(slots, state, strict=True):
                slot.assign(array)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "learning_rate": self.learning_rate} | self._config()

    def _config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Optimizer:
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} learning_rate={self.learning_rate}>"
