"""The layers between a model's inputs and outputs, in Keras's order."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph.trace import Node, Use, Value
from ..layers.base import Layer

Maker = Use | Node | Value  # of a value: the call of a layer, an op outside of any, or an input


def in_order(inputs: Sequence[Value], outputs: Sequence[Value]) -> list[Layer]:
    """Each layer once, those furthest from the outputs first.

    How far a layer is, is its longest way to an output. Of those that are equally far, the first
    is the one that is found first, backwards from the outputs and depth first. An input that
    nobody reads is not far at all.
    """
    given = set(inputs)

    def makers(values: Sequence[Value]) -> list[Maker]:
        found: list[Maker | None] = [
            value if value in given else value.use[0] if value.use else value.node
            for value in values
        ]
        return [maker for maker in found if maker is not None]

    found: dict[Maker, list[Maker]] = {}  # what it reads, in the order of discovery
    finished: list[Maker] = []
    waiting = [(maker, False) for maker in reversed(makers(outputs))]
    while waiting:
        maker, done = waiting.pop()
        if done:
            finished.append(maker)
        elif maker not in found:
            found[maker] = [] if isinstance(maker, Value) else makers(maker.inputs)
            waiting.append((maker, True))
            waiting.extend((before, False) for before in reversed(found[maker]))

    steps: dict[Maker, int] = {}  # to an output
    far: dict[Layer, int] = {value.layer: 0 for value in inputs if value.layer}
    for maker in reversed(finished):
        distance = steps.get(maker, 0)
        if maker.layer is not None:
            distance = far[maker.layer] = max(distance, far.get(maker.layer, 0))
        for before in found[maker]:
            steps[before] = max(steps.get(before, 0), distance + 1)
    place: dict[Layer | None, int] = {}
    for i, maker in enumerate(found):
        place.setdefault(maker.layer, i)
    return sorted(far, key=lambda layer: (-far[layer], place.get(layer, -1)))
