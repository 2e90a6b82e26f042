"""A model's numbers: weights and optimizer state."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .forks import kept_over_forks
from .masks import refuse_masks

if TYPE_CHECKING:
    from .constraints import Constraint
    from .graph.trace import Value
    from .regularizers import Regularizer


# Held while numbers move between the two layouts, so that no thread meets them halfway.
_moving = kept_over_forks(threading.RLock())

# By thread: what does what is still to be done to variables, before somebody looks at them.
waiting: dict[int, Callable[[], None]] = {}


def settle() -> None:
    """Has this thread's changes of variables done that were to wait for the end of its step."""
    work = waiting.get(threading.get_ident())
    if work is not None:
        work()


_deferring: ContextVar[bool] = ContextVar("deferring", default=False)


@dataclass
class Deferred:
    """First values that are made when somebody asks for them, and not if others come before."""

    make: Callable[[], ArrayLike]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def array(self) -> NDArray[Any]:
        """The values."""
        return np.asarray(self.make(), self.dtype).reshape(self.shape)


@contextmanager
def deferring() -> Iterator[None]:
    """Inside, layers take no memory for weights: their numbers come from a file, if they fit."""
    token = _deferring.set(True)
    try:
        yield
    finally:
        _deferring.reset(token)


def first_values(make: Callable[[], ArrayLike], shape: tuple[int, ...], dtype: str) -> Any:
    """What `make` gives, in this shape and dtype: now, or when it is needed."""
    deferred = Deferred(make, shape, np.dtype(dtype))
    return deferred if _deferring.get() else deferred.array()


def _numbers(value: ArrayLike, name: str) -> NDArray[Any]:
    """The value of a variable as an array; TypeError if it holds anything but real numbers."""
    refuse_masks(value, f"the value of the variable '{name}'")
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"Variable '{name}' holds numbers and cannot take a value of dtype {array.dtype}: "
            "convert it first, for instance with .astype('float32')"
        )
    return array


class Variable:
    """One array that training changes.

    Its numbers live in a plain NumPy array until the compiled core first trains with
    them; from then on they live in the core's own layout (matrices in packed panels) and
    are unpacked when somebody asks. `numpy` and `assign` hide the difference.

    Parameters
    ----------
    value : array-like or Deferred
        The first value; its shape and dtype are the variable's for good.
    name : str
        As the layer calls it, for instance ``"kernel"``.
    trainable : bool
        Whether the optimizer updates it.
    regularizer : Regularizer, optional
        The penalty that the model's loss gains for it.
    constraint : Constraint, optional
        What it is made to be after each step.
    row_axes : int, optional
        How the compiled core keeps the numbers: so many leading axes are the rows of a matrix
        that products read, the others its columns, as 3 of a kernel (height, width, channels,
        filters) are; 0: one number after another. If not given, 1 of a matrix of floats, else 0.

    Raises
    ------
    ValueError
        Where there are not so many axes.

    Examples
    --------
    >>> v = Variable([[1.0, 2.0]], name="kernel")
    >>> v.assign([[3.0, 4.0]])
    >>> v.numpy()
    array([[3., 4.]])
    """

    def __init__(
        self,
        value: ArrayLike | Deferred,
        name: str = "variable",
        trainable: bool = True,
        regularizer: Regularizer | None = None,
        constraint: Constraint | None = None,
        row_axes: int | None = None,
    ) -> None:
        self._deferred = value if isinstance(value, Deferred) else None
        first = value if isinstance(value, Deferred) else np.array(_numbers(value, name), order="C")
        self._array: NDArray[Any] | None = None if isinstance(first, Deferred) else first
        self._packed: Any = None
        self.shape: tuple[int, ...] = first.shape
        self.dtype: np.dtype[Any] = first.dtype
        self.name = name
        self.path = name
        self.trainable = trainable
        self.regularizer = regularizer
        self.constraint = constraint
        self.row_axes = self._rows_are(row_axes)
        self.value: Value | None = None  # what stands for it in graphs (graph.trace.parameter)

    def _rows_are(self, row_axes: int | None) -> int:
        """How many of its axes are the rows of a matrix."""
        floats = self.dtype.kind == "f"
        if row_axes is None:
            return 1 if len(self.shape) == 2 and floats else 0
        if not 0 <= row_axes <= len(self.shape) or (row_axes and not floats):
            raise ValueError(
                f"Variable '{self.name}' of shape {self.shape} and dtype {self.dtype} cannot have "
                f"row_axes={row_axes}; 0 fits all, up to {len(self.shape)} those of floats"
            )
        return row_axes

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def array(self) -> NDArray[Any]:
        """The numbers as a plain array that the Python backends update in place."""
        if waiting:
            settle()
        with _moving:
            if self._array is None:
                if self._deferred is not None:
                    self._array = np.array(self._deferred.array(), order="C")
                    self._deferred = None
                else:
                    self._array = self.numpy()
                    self._packed = None
            return self._array

    def packed(self, make: Callable[[tuple[int, ...], np.dtype[Any], int], Any]) -> Any:
        """The numbers in the compiled core's layout, moved there by `make` the first time."""
        with _moving:
            if self._packed is None:
                packed = make(self.shape, self.dtype, self.row_axes)
                packed.load(self.array)
                self._packed, self._array = packed, None
            return self._packed

    def is_packed_as(self, packed: Any) -> bool:
        """Whether this is still where the numbers are."""
        return self._packed is packed

    def numpy(self) -> NDArray[Any]:
        """A copy of the numbers."""
        if waiting:
            settle()
        with _moving:
            if self._packed is None:
                return self.array.copy()
            out = np.empty(self.shape, self.dtype)
            self._packed.store(out)
            return out

    def is_finite(self) -> bool:
        """Whether none of the numbers is NaN or infinite."""
        packed = self._packed
        if packed is not None and packed.is_surely_finite():
            return True
        return bool(np.isfinite(self.numpy()).all())

    def assign(self, value: ArrayLike) -> None:
        """Replaces the numbers; `value` has the variable's shape (ValueError otherwise).

        TypeError for what holds no real numbers.
        """
        if (recorder := getattr(value, "recorder", None)) is not None:
            recorder.assign(self, value)
            return
        if waiting:
            settle()
        value = _numbers(value, self.path)
        if np.shape(value) != self.shape:
            raise ValueError(
                f"Variable '{self.path}' has shape {self.shape} and cannot take a value of "
                f"shape {np.shape(value)}; reshape it or use a layer of that size."
            )
        with _moving:
            if self._packed is not None:
                self._packed.load(np.ascontiguousarray(value, dtype=self.dtype))
            elif self._deferred is not None:
                self._array, self._deferred = np.array(value, self.dtype, order="C"), None
            else:
                self.array[...] = value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        value = self.numpy()
        return value if dtype is None else value.astype(dtype)

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}>"
