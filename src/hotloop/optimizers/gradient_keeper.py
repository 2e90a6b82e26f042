"""No optimizer: what `loss_and_gradients` trains with."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ..variables import Variable
from .optimizer import Optimizer


class GradientKeeper(Optimizer):
    """Leaves the weights as they are, and keeps their gradients where others keep state.

    Examples
    --------
    >>> from hotloop.variables import Variable
    >>> keeper, w = GradientKeeper(), Variable([1.0])
    >>> keeper.apply([[3.0]], [w])
    >>> keeper.gradient(w), w.numpy()
    (array([3.]), array([1.]))
    """

    changes_weights = False

    def __init__(self) -> None:
        super().__init__(0.0)

    @property
    def op(self) -> str:
        return "keep_gradient"

    @property
    def structure(self) -> tuple[Any, ...]:
        """Always the same: it has no settings."""
        return (self.op,)

    def hyper(self) -> dict[str, float]:
        return {"learning_rate": 0.0}

    def slot_values(self) -> dict[str, float]:
        return {"gradient": 0.0}

    def gradient(self, weight: Variable) -> NDArray[Any]:
        """That of the last batch."""
        return self.slots(weight)[0].numpy()
