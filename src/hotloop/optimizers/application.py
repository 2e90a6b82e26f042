"""Updates by gradients that a caller computed: the end of a training plan, by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import backends
from ..data.feed import Feed
from ..graph.memory import Placement
from ..graph.plan import Plan, variables_of
from ..graph.trace import parameter, topological
from ..graph.updates import after_gradients
from ..variables import Variable

if TYPE_CHECKING:
    from .optimizer import Optimizer


class Application:
    """What an optimizer does with the gradients of some weights, all of one dtype.

    Raises
    ------
    ValueError
        For weights of several dtypes.
    """

    def __init__(self, weights: Sequence[Variable], optimizer: Optimizer) -> None:
        dtypes = {weight.dtype.name for weight in weights}
        if len(dtypes) != 1:
            raise ValueError(
                f"weights of one step must be of one dtype, not {' and '.join(sorted(dtypes))}"
            )
        self._gradients = [
            Variable(np.zeros(w.shape, w.dtype), f"{w.path}/gradient", row_axes=w.row_axes)
            for w in weights
        ]
        gradients = dict(zip(map(parameter, weights), map(parameter, self._gradients), strict=True))
        changes = after_gradients(gradients, optimizer)
        steps = topological(changes)
        for _, changing in changes.values():
            steps += changing
        plan = Plan(
            steps=steps,
            feeds=[],
            outputs=[],
            slots=[],
            placement=Placement(steps, [], 1, backends.traits()),
            batch_size=1,
            dtype=dtypes.pop(),
            optimizer=optimizer,
            variables=variables_of(steps),
        )
        self._executor = backends.executor(plan)

    def run(self, gradients: Sequence[Any]) -> None:
        """One step."""
        for kept, gradient in zip(self._gradients, gradients, strict=True):
            kept.assign(gradient)
        self._executor.run(Feed([], 1), 0, 1, np.zeros(0))
