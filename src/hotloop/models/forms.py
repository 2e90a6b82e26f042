"""A model's computation with the length of every axis known: what plans and losses are made for."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from .. import forks
from ..data import adapters
from ..graph import recording
from ..graph.recording import Effect
from ..graph.trace import Value, replay, topological
from ..lengths import is_open
from .intake import Intake

if TYPE_CHECKING:
    from ..variables import Variable
    from .trainable import Trainable

# Forms that a model keeps where data decide lengths, more than it keeps plans: these are found by
# their forms. Each costs a few kilobytes for each layer.
KEPT = 256


def check_outputs(outputs: Sequence[Value]) -> None:
    """That there is one of each for every example; ValueError otherwise, naming the layer."""
    for value in outputs:
        if not value.batched:
            layer = value.node.layer if value.node is not None else None
            raise ValueError(
                f"{layer.describe() if layer is not None else 'a model'} has an output of shape "
                f"{value.shape} that is of no example; compute it from an input, as by adding it "
                "to one"
            )


class Form:
    """What a model computes, for examples of one shape.

    Attributes
    ----------
    inputs, outputs : list of Value
    output_names : list of str
    output_form : nest of Value, or None
        In which the model gives its outputs.
    effects : list of Effect
        What it does besides making outputs.
    intake : Intake
        What becomes of input arrays before a plan reads them.
    """

    __slots__ = (
        "_trained",
        "effects",
        "inputs",
        "intake",
        "output_form",
        "output_names",
        "outputs",
        "writes",
    )

    def __init__(
        self,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        output_names: list[str],
        effects: Sequence[Effect] = (),
        output_form: Any = None,
    ) -> None:
        check_outputs(outputs)
        self.inputs, self.outputs = list(inputs), list(outputs)
        self.output_names = output_names
        self.output_form = output_form
        self.effects = list(effects)
        self.intake = Intake(self.inputs, self.outputs, [effect.value for effect in effects])
        # Whether predictions may change what layers keep.
        self.writes = any(
            node.op.two_ways and node.attributes.get("training")
            for node in topological(self.outputs, training=False)
        )
        self._trained: Form | None = None

    def assigned(self, training: bool) -> list[tuple[Variable, Value]]:
        """What a batch assigns, in training or otherwise."""
        effects = (e for e in self.effects if e.is_in(training))
        found = {e.variable: e.value for e in effects if e.variable is not None}
        return list(found.items())

    def added_losses(self, training: bool) -> list[Value]:
        """The losses that layers add."""
        return [e.value for e in self.effects if e.variable is None and e.is_in(training)]

    def replayed(self, inputs: Sequence[Value]) -> Form:
        """The same of other inputs."""
        given = dict(zip(self.inputs, inputs, strict=True))
        mode = recording.mode()
        effects = [e for e in self.effects if mode.training is None or e.is_in(mode.training)]
        values = [*self.outputs, *(effect.value for effect in effects)]
        made = replay(values, given, keep_layers=True)
        ends = len(self.outputs)
        changed = [
            Effect(
                e.layer, value, e.variable, mode.way if mode.training is not None else e.training
            )
            for e, value in zip(effects, made[ends:], strict=True)
        ]
        return Form(inputs, made[:ends], self.output_names, changed, self.output_form)

    def in_training(self) -> Form:
        """What it computes in training, whatever the plan is for."""
        if self._trained is None:
            with recording.within(recording.Recording(recording.Mode(forced=True))):
                self._trained = self.replayed(self.inputs)
        return self._trained


class Forms:
    """The forms of a model: a single one, or those of the shapes that came last.

    Parameters
    ----------
    model : Trainable
        That is built.

    Attributes
    ----------
    recorded : Form
        As the model was recorded, of which axes may be open.
    only : Form or None
        The same, if none is.
    """

    def __init__(self, model: Trainable) -> None:
        self.recorded = Form(
            model.inputs, model.outputs, model.output_names, model.effects, model.output_form
        )
        open_axes = any(is_open(value.dims) for value in model.inputs)
        self.only = None if open_axes else self.recorded
        self._kept: dict[tuple[tuple[int, ...], ...], Form] = {}
        self._making = threading.RLock()
        forks.told_of_forks(self)

    def forked(self) -> None:
        """A form that another thread was making is not made in a child."""
        self._making = threading.RLock()

    def __iter__(self) -> Iterator[Form]:
        """All that there are, the recorded one first."""
        return iter([self.recorded, *self._kept.values()])

    def of(self, arrays: Sequence[NDArray[Any]]) -> Form:
        """The form for examples as in these arrays, which fit the model's inputs.

        Raises
        ------
        ValueError
            Where layers cannot take such lengths, naming the first one.
        """
        if self.only is not None:
            return self.only
        pairs = zip(arrays, self.recorded.inputs, strict=True)
        shapes = tuple(
            [adapters.as_expected(array.shape[1:], value.dims) or () for array, value in pairs]
        )
        with self._making:
            found = self._kept.pop(shapes, None) or self._made(shapes)
            while len(self._kept) >= KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[shapes] = found  # the newest last
        return found

    def _made(self, shapes: Sequence[tuple[int, ...]]) -> Form:
        inputs = [
            Value(shape, value.dtype, role="input", name=value.name)
            for value, shape in zip(self.recorded.inputs, shapes, strict=True)
        ]
        return self.recorded.replayed(inputs)
