"""What holds while a call is recorded: whether it trains, and what it does besides its outputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..variables import recordings
from . import ops
from .trace import Value, current_layer, parameter

if TYPE_CHECKING:
    from ..layers.base import Layer
    from ..variables import Variable


@dataclass(frozen=True)
class Mode:
    """Whether what is recorded trains or predicts: as its plan does, unless somebody said so.

    Attributes
    ----------
    forced : bool or None
        What a call was given as ``training``, whatever the plan is for; None: as the plan.
    way : bool or None
        Which plans will have what is recorded: only those that train, or only the others; None:
        all.
    """

    forced: bool | None = None
    way: bool | None = None

    @property
    def training(self) -> bool | None:
        """Whether it trains; None if only the plan knows."""
        return self.way if self.forced is None else self.forced

    def given(self, training: Any) -> Mode:
        """That of a call with this argument."""
        if training is None or bool(training) is self.training:
            return self
        return Mode(bool(training), self.way)


@dataclass(eq=False)
class Effect:
    """What a call does besides its outputs: it assigns a variable, or adds a loss.

    Attributes
    ----------
    layer : Layer or None
        That was called.
    value : Value
        What the variable becomes, or the loss.
    variable : Variable or None
        None for a loss.
    training : bool or None
        Which plans have it: those that train, those that do not, or all.
    """

    layer: Layer | None
    value: Value
    variable: Variable | None = None
    training: bool | None = None

    def is_in(self, training: bool) -> bool:
        """Whether a plan that trains, or one that does not, has it."""
        return self.training is None or self.training is training


@dataclass(eq=False)
class Recording:
    """A call that is being recorded.

    Attributes
    ----------
    mode : Mode
    effects : list of Effect
        Those of this call and of all within it, in order.
    now : dict of Variable to Value
        What was assigned: whoever reads such a variable from here on reads this.
    """

    mode: Mode = Mode()
    effects: list[Effect] = field(default_factory=list)
    now: dict[Variable, Value] = field(default_factory=dict)

    def read(self, variable: Variable) -> Value:
        """What stands for a variable here."""
        return parameter(variable)

    def assign(self, variable: Variable, value: Any) -> Value:
        """Notes that a variable becomes a value; the last one counts."""
        if not isinstance(value, Value):
            numbers = np.broadcast_to(np.asarray(value, variable.dtype), variable.shape)
            value = ops.fixed(numbers, variable.dtype.name)
        if value.batched or value.dims != variable.shape:
            raise ValueError(
                f"Variable '{variable.path}' has shape {variable.shape} and cannot take a value of "
                f"shape {value.shape}; what is kept is of no example: reduce it over the batch"
            )
        if value.dtype != variable.dtype:
            value = ops.cast(value, variable.dtype.name)
        way = self.mode.way
        self.effects[:] = [
            effect
            for effect in self.effects
            if effect.variable is not variable or effect.training not in (None, way)
        ]
        self.effects.append(Effect(current_layer(), value, variable, way))
        self.now[variable] = value
        made: Value = value
        return made

    def add_loss(self, layer: Layer | None, value: Value) -> None:
        """Notes a loss."""
        self.effects.append(Effect(layer, value, None, self.mode.way))


_recording: ContextVar[Recording | None] = recordings
_OUTSIDE = Mode()


def current() -> Recording | None:
    """The call that is being recorded, the innermost one; None outside of all."""
    return _recording.get()


def mode() -> Mode:
    """Whether what is recorded now trains."""
    recording = _recording.get()
    return _OUTSIDE if recording is None else recording.mode


@contextmanager
def within(recording: Recording | None) -> Iterator[Any]:
    """What is done inside is recorded there; nothing is, if that is None."""
    token = _recording.set(recording)
    try:
        yield recording
    finally:
        _recording.reset(token)


def call(training: Any = None) -> Recording:
    """The recording of a call with this argument: part of the call around it, if there is one."""
    around = _recording.get()
    if around is None:
        return Recording(_OUTSIDE.given(training))
    if training is None:
        return around
    return Recording(around.mode.given(training), around.effects, around.now)
