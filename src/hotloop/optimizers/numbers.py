"""An optimizer's numbers: plain ones that may be assigned as Keras's variables are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


class _Assignable:
    """What a number has of a variable."""

    _assign: Callable[[Any], None]
    _dtype: str

    def assign(self, value: Any) -> None:
        """Sets the optimizer's number."""
        self._assign(value)

    def numpy(self) -> NDArray[Any]:
        """The number as an array without axes."""
        return np.asarray(self, self._dtype)

    @property
    def value(self) -> NDArray[Any]:
        return self.numpy()

    def __reduce__(self) -> Any:
        """A plain number: what it was a number of is not copied with it."""
        kind = type(self).__mro__[2]
        return kind, (kind(self),)


class Rate(_Assignable, float):
    """A learning rate.

    Examples
    --------
    >>> from hotloop.optimizers import SGD
    >>> optimizer = SGD(0.5)
    >>> optimizer.learning_rate.assign(0.25)
    >>> optimizer.learning_rate, float(optimizer.learning_rate)
    (0.25, 0.25)
    """

    _dtype = "float32"

    def __new__(cls, number: float, assign: Callable[[Any], None]) -> Self:
        made = super().__new__(cls, number)
        made._assign = assign
        return made
