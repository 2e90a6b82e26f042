"""The base of all optimizers: hyper-parameters, state, step count."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import backends, naming
from ..variables import Variable
from . import schedules
from .schedules import LearningRateSchedule


class Optimizer:
    """An update rule of the core, its hyper-parameters, and its state for each weight.

    Subclasses name the rule (`op`), what it is called with (`hyper`), and the first value
    of each state array (`slot_values`).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Step size; may be changed at any time between batches. Of a schedule, the attribute is
        the rate of the next step.
    name : str, optional
        The class's in lower case if not given.

    Attributes
    ----------
    iterations : int
        Steps done so far.
    schedule : LearningRateSchedule or None
        What the learning rate follows.
    """

    def __init__(
        self, learning_rate: float | LearningRateSchedule, *, name: str | None = None
    ) -> None:
        self.name = name or type(self).__name__.lower()
        self.schedule: LearningRateSchedule | None = None
        self.learning_rate = learning_rate
        self.iterations = 0
        self._slots: dict[int, tuple[Variable, tuple[Variable, ...]]] = {}

    @property
    def learning_rate(self) -> float:
        rates = self.learning_rates(1)
        return self._learning_rate if rates is None else float(rates[0])

    @learning_rate.setter
    def learning_rate(self, value: float | LearningRateSchedule | Mapping[str, Any]) -> None:
        given: Any = value
        if isinstance(value, Mapping):
            given = naming.instantiate("schedule", value, schedules.BY_NAME)
        if isinstance(given, LearningRateSchedule):
            self.schedule = given
        else:
            self.schedule = None
            self._learning_rate = self._number("learning_rate", given, 0.0)

    def learning_rates(self, count: int) -> NDArray[np.float64] | None:
        """Those of the next steps; None where all are the same.

        Raises
        ------
        ValueError
            If the schedule gives something else than a number of at least 0 for each.
        """
        if self.schedule is None:
            return None
        steps = np.arange(self.iterations, self.iterations + count)
        rates = np.asarray(self.schedule(steps), np.float64, order="C")
        if rates.shape != steps.shape or not (rates >= 0).all():
            raise ValueError(
                f"{type(self).__name__}: the schedule {type(self.schedule).__name__} must give a "
                "learning rate of at least 0 for each step of an array of steps"
            )
        return rates

    def _number(self, argument: str, value: float, low: float, high: float = math.inf) -> float:
        """`value` as a float from `low` up to, but not including, `high`."""
        if callable(value) or isinstance(value, str | bytes):
            hint = " or a LearningRateSchedule" if argument == "learning_rate" else ""
            raise TypeError(
                f"{type(self).__name__}: {argument} must be a number{hint}, not {value!r}"
            )
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

    def slots_so_far(self, weight: Variable) -> tuple[Variable, ...]:
        """The state arrays of a weight; none if they have not been made."""
        return self._slots[id(weight)][1] if id(weight) in self._slots else ()

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
        hyper = self.hyper()
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
            backends.call(self.op, values, g, state, iteration=self.iterations, **hyper)
            weight.assign(values)
            for slot, array in zip(slots, state, strict=True):
                slot.assign(array)

    def get_config(self) -> dict[str, Any]:
        rate = self._learning_rate if self.schedule is None else naming.serialize(self.schedule)
        return {"name": self.name, "learning_rate": rate} | self._config()

    def _config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Optimizer:
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} learning_rate={self.learning_rate}>"
