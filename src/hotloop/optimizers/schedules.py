"""Learning rates that change from step to step.

A schedule is a function of the number of steps done so far, from 0. It takes one number or an
array of them: the compiled core asks for the rates of many steps at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import naming, registry
from ..doors import door
from ..files.models import deserialized, serialized

Rates = NDArray[np.float64]


class LearningRateSchedule(registry.Configured):
    """Base of all schedules; a subclass defines `rate`.

    Examples
    --------
    >>> class Halves(LearningRateSchedule):
    ...     def rate(self, step):
    ...         return 0.5 ** (step // 100)
    >>> float(Halves()(250))
    0.25
    """

    def __call__(self, step: ArrayLike) -> Any:
        """The learning rate after so many steps; of an array, an array."""
        # Always an array: NumPy's functions may round single numbers differently.
        found = self.rate(np.atleast_1d(np.asarray(step, np.float64)))
        return found if np.ndim(step) else float(found[0])

    def rate(self, step: Rates) -> Any:
        """The rates, of an array of numbers of steps."""
        raise NotImplementedError(f"the schedule {type(self).__name__} has no rate()")

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs to make the same schedule."""
        return {}

    def _at_least(self, low: float, **arguments: float) -> None:
        """Raises ValueError unless these are numbers of at least `low`."""
        for name, value in arguments.items():
            if not isinstance(value, int | float | np.number) or not value >= low:
                raise ValueError(
                    f"{type(self).__name__}: {name} must be a number of at least {low:g}, "
                    f"not {value!r}"
                )


class Asked(LearningRateSchedule):
    """What a function without arguments returns, asked for as each run of batches begins."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function

    def rate(self, step: Rates) -> Any:
        return np.full(step.shape, float(self.function()))


def rates_of(schedule: LearningRateSchedule, steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """The rates of steps, by a schedule that may know single steps only, as Keras's do."""
    if type(schedule).__call__ is LearningRateSchedule.__call__:
        return np.asarray(schedule(steps), np.float64, order="C")
    return np.array([float(np.asarray(schedule(int(step)))) for step in steps], np.float64)


class _RateOfDecay(LearningRateSchedule):
    """What two schedules have in common: a rate of decay, each so many steps."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str | None = None,
    ) -> None:
        self._at_least(0, initial_learning_rate=initial_learning_rate, decay_rate=decay_rate)
        self._at_least(1, decay_steps=decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name or type(self).__name__

    def decays(self, step: Rates) -> Rates:
        """How often the decay has been done, whole times only on a staircase."""
        decays = step / self.decay_steps
        return np.floor(decays) if self.staircase else decays

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


class ExponentialDecay(_RateOfDecay):
    """``a * decay_rate ** (step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float
        a.
    decay_steps : int
        Steps after which the rate has been multiplied by `decay_rate`.
    decay_rate : float
    staircase : bool
        Whether ``step / decay_steps`` is rounded down.

    Examples
    --------
    >>> ExponentialDecay(0.1, decay_steps=100, decay_rate=0.5)(200)
    0.025
    """

    def rate(self, step: Rates) -> Any:
        return self.initial_learning_rate * np.power(float(self.decay_rate), self.decays(step))


class InverseTimeDecay(_RateOfDecay):
    """``a / (1 + decay_rate * step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float
        a.
    decay_steps : int
    decay_rate : float
    staircase : bool
        Whether ``step / decay_steps`` is rounded down.

    Examples
    --------
    >>> InverseTimeDecay(0.1, decay_steps=100, decay_rate=1.0)(100)
    0.05
    """

    def rate(self, step: Rates) -> Any:
        return self.initial_learning_rate / (1 + self.decay_rate * self.decays(step))


class PiecewiseConstantDecay(LearningRateSchedule):
    """One rate up to and including each boundary, and one after the last.

    Parameters
    ----------
    boundaries : list of int
        Numbers of steps, rising.
    values : list of float
        One more than boundaries.

    Raises
    ------
    ValueError
        If there are not, or boundaries do not rise.

    Examples
    --------
    >>> schedule = PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
    >>> schedule(100), schedule(101), schedule(500)
    (0.1, 0.01, 0.001)
    """

    def __init__(
        self,
        boundaries: Sequence[float],
        values: Sequence[float],
        name: str = "PiecewiseConstant",
    ) -> None:
        if len(values) != len(boundaries) + 1:
            raise ValueError(
                "PiecewiseConstantDecay: there must be one value more than boundaries, got "
                f"{len(values)} and {len(boundaries)}"
            )
        if any(a >= b for a, b in zip(boundaries, list(boundaries)[1:], strict=False)):
            raise ValueError(
                f"PiecewiseConstantDecay: boundaries must rise, got {list(boundaries)}"
            )
        self.boundaries = list(boundaries)
        self.values = list(values)
        self.name = name

    def rate(self, step: Rates) -> Any:
        return np.asarray(self.values, np.float64)[np.searchsorted(self.boundaries, step)]

    def get_config(self) -> dict[str, Any]:
        return {"boundaries": self.boundaries, "values": self.values, "name": self.name}


class PolynomialDecay(LearningRateSchedule):
    """``(a - end) * (1 - step / decay_steps) ** power + end``, and `end` from then on.

    Parameters
    ----------
    initial_learning_rate : float
        a.
    decay_steps : int
    end_learning_rate : float
        end.
    power : float
    cycle : bool
        Whether, past `decay_steps`, the rate rises again to what it would be at the same
        distance from the end of a decay that is a multiple of `decay_steps` long.

    Examples
    --------
    >>> round(PolynomialDecay(0.1, decay_steps=100, end_learning_rate=0.0)(50), 6)
    0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self._at_least(
            0,
            initial_learning_rate=initial_learning_rate,
            end_learning_rate=end_learning_rate,
            power=power,
        )
        self._at_least(1, decay_steps=decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def rate(self, step: Rates) -> Any:
        length = np.full_like(step, self.decay_steps)
        if self.cycle:
            length = length * np.maximum(1, np.ceil(step / self.decay_steps))
        left = 1 - np.minimum(step, length) / length
        span = self.initial_learning_rate - self.end_learning_rate
        return span * np.power(left, self.power) + self.end_learning_rate

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
            "cycle": self.cycle,
            "name": self.name,
        }


class CosineDecay(LearningRateSchedule):
    """Half a cosine down, after a linear warm-up if that is wanted (Loshchilov and Hutter, 2016).

    Without warm-up ``a * ((1 - alpha) * (1 + cos(pi t)) / 2 + alpha)``, where t is
    ``step / decay_steps``, at most 1. With it, the rate first rises from a to `warmup_target` in
    `warmup_steps`, and falls from there in `decay_steps` more.

    Parameters
    ----------
    initial_learning_rate : float
        a.
    decay_steps : int
    alpha : float
        The share of the rate that is left at the end.
    warmup_target : float, optional
        None is no warm-up.
    warmup_steps : int

    Examples
    --------
    >>> round(CosineDecay(0.1, decay_steps=100)(50), 6)
    0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self._at_least(0, initial_learning_rate=initial_learning_rate, alpha=alpha)
        self._at_least(1, decay_steps=decay_steps)
        self._at_least(0, warmup_steps=warmup_steps, warmup_target=warmup_target or 0)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps
        self.name = name

    def rate(self, step: Rates) -> Any:
        if self.warmup_target is None:
            return self._decayed(step, self.initial_learning_rate)
        rise = (self.warmup_target - self.initial_learning_rate) / max(self.warmup_steps, 1)
        return np.where(
            step < self.warmup_steps,
            self.initial_learning_rate + rise * step,
            self._decayed(step - self.warmup_steps, self.warmup_target),
        )

    def _decayed(self, step: Rates, peak: float) -> Any:
        return peak * _cosine(np.clip(step / self.decay_steps, 0, 1), self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "name": self.name,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
        }


class CosineDecayRestarts(LearningRateSchedule):
    """Half cosines down, one after the other (Loshchilov and Hutter, 2016).

    Parameters
    ----------
    initial_learning_rate : float
        Where the first one begins.
    first_decay_steps : int
        How long it is.
    t_mul : float
        How much longer each is than the one before, at least 1.
    m_mul : float
        What the rate that each begins with is multiplied by.
    alpha : float
        The share of the initial rate that is left at its end.

    Examples
    --------
    >>> schedule = CosineDecayRestarts(0.1, first_decay_steps=100, m_mul=0.5)
    >>> schedule(0), schedule(100), round(schedule(200), 6)
    (0.1, 0.05, 0.025)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self._at_least(0, initial_learning_rate=initial_learning_rate, m_mul=m_mul, alpha=alpha)
        self._at_least(1, first_decay_steps=first_decay_steps, t_mul=t_mul)
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self._t_mul = t_mul
        self._m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def rate(self, step: Rates) -> Any:
        firsts = step / self.first_decay_steps
        ratio = float(self._t_mul)
        if ratio == 1:
            number = np.floor(firsts)
            within = firsts - number
        else:
            # Decay i ends after 1 + ratio + ... + ratio^i, a geometric sum, of the first one's
            # length.
            number = np.floor(np.log1p(firsts * (ratio - 1)) / np.log(ratio))
            begun = (ratio**number - 1) / (ratio - 1)
            within = (firsts - begun) / ratio**number
        peak = np.power(float(self._m_mul), number)
        return self.initial_learning_rate * _cosine(within, self.alpha, peak)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "first_decay_steps": self.first_decay_steps,
            "t_mul": self._t_mul,
            "m_mul": self._m_mul,
            "alpha": self.alpha,
            "name": self.name,
        }


BY_NAME: dict[str, type[LearningRateSchedule]] = {
    cls.__name__: cls
    for cls in (
        CosineDecay,
        CosineDecayRestarts,
        ExponentialDecay,
        InverseTimeDecay,
        PiecewiseConstantDecay,
        PolynomialDecay,
    )
}


def _cosine(share: Rates, alpha: float, peak: Any = 1.0) -> Any:
    """From (1 - alpha) * peak + alpha at share 0 down to alpha at share 1."""
    return (1 - alpha) * peak * (1 + np.cos(np.pi * share)) / 2 + alpha


def serialize(learning_rate_schedule: LearningRateSchedule) -> Any:
    """Plain data in Keras's form, of which `deserialize` makes an equal schedule."""
    return serialized(learning_rate_schedule)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The schedule that `serialize` described, here or in Keras.

    Parameters
    ----------
    config : dict
    custom_objects : mapping of str to class, optional
        Those of your own that are not registered.
    """
    return deserialized(
        config, custom_objects, lambda one: naming.instantiate("schedule", one, BY_NAME)
    )


if not TYPE_CHECKING:  # which knows all names
    __getattr__ = door(__name__)
