"""A model's numbers: weights and optimizer state."""

from __future__ import annotations

import math
import operator
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
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


# The call that is being recorded, innermost first, in which variables stand for values: what has
# `read` and `assign` for them (see hotloop.graph.recording).
recordings: ContextVar[Any] = ContextVar("recording", default=None)

# What notes down computations on arrays and variables, where something does: see `hotloop.tape`.
_active: ContextVar[Any] = ContextVar("recorder", default=None)


def active_recorder() -> Any:
    """What notes down computations on arrays and variables here; None outside of all."""
    return _active.get()


def activate(recorder: Any) -> Any:
    """Has this note down what follows; what it returns is for `deactivate`."""
    return _active.set(recorder)


def deactivate(token: Any) -> None:
    """Has that note it down again that did before."""
    _active.reset(token)


Initialize = Callable[[Any, tuple[int, ...], Any], NDArray[Any]]

_initialize: Initialize


def enter_initialize(initialize: Initialize) -> None:
    """Says what makes the first value, from an initializer, a shape and a dtype or None.

    Initializers stand above variables, so these are told.
    """
    global _initialize
    _initialize = initialize


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


def _first(
    initializer: Any, shape: Sequence[int] | None, dtype: Any, name: str
) -> NDArray[Any] | Deferred:
    """The first value of a variable."""
    if isinstance(initializer, Deferred):
        return initializer
    if callable(initializer) or isinstance(initializer, str | Mapping):
        if shape is None:
            raise ValueError(
                f"Variable '{name}': an initializer, {initializer!r}, needs a shape; give "
                "shape=..., or a first value"
            )
        return _initialize(initializer, tuple(shape), dtype)
    numbers = _numbers(initializer, name)
    kept = numbers.dtype if dtype is None else np.dtype(kept_dtype(dtype))
    return np.array(numbers, kept, order="C").reshape(numbers.shape if shape is None else shape)


def kept_dtype(dtype: Any) -> str:
    """The name of a dtype, as variables have it that plans compute with."""
    name = np.dtype(dtype).name
    return "int32" if name in ("int64", "uint32", "uint64") else name


class Variable:
    """One array that is kept: a weight, or a state that layers, metrics or optimizers assign.

    Its numbers live in a plain NumPy array until the compiled core first trains with
    them; from then on they live in the core's own layout (matrices in packed panels) and
    are unpacked when somebody asks. `numpy` and `assign` hide the difference.

    In a `call` that is recorded, a variable stands for its value in each batch: arithmetic with it
    is recorded, and so is what `assign` is given. Outside, both are done at once, with NumPy.

    Parameters
    ----------
    initializer : array-like or callable or str
        The first value; its shape and dtype are the variable's for good. Or what makes it, with a
        `shape`: an initializer or its name.
    shape : tuple of int, optional
        For an initializer.
    dtype : str, optional
        The value's own if not given, of an initializer `hotloop.config.floatx`. Of 64-bit
        whole numbers int32, as for all that plans compute with.
    trainable : bool
        Whether the optimizer updates it. One of whole numbers never is.
    autocast, aggregation, synchronization
        Accepted as in Keras and ignored.
    name : str
        As the layer calls it, for instance ``"kernel"``.
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
        Where there are not so many axes, and for an initializer without a shape.

    Examples
    --------
    >>> v = Variable([[1.0, 2.0]], name="kernel")
    >>> v.assign([[3.0, 4.0]])
    array([[3., 4.]])
    >>> v.assign_add([[1.0, 1.0]])
    array([[4., 5.]])
    >>> v * 2
    array([[ 8., 10.]])
    """

    def __init__(
        self,
        initializer: Any,
        shape: Sequence[int] | str | None = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str = "none",
        synchronization: str = "auto",
        name: str | None = None,
        *,
        regularizer: Regularizer | None = None,
        constraint: Constraint | None = None,
        row_axes: int | None = None,
    ) -> None:
        if isinstance(shape, str):
            name, shape = shape, None
        self.name = self.path = name = name or "variable"
        first = _first(initializer, shape, dtype, name)
        self._deferred = first if isinstance(first, Deferred) else None
        self._array: NDArray[Any] | None = None if isinstance(first, Deferred) else first
        self._packed: Any = None
        self.shape: tuple[int, ...] = first.shape
        self.dtype: np.dtype[Any] = first.dtype
        self.trainable = trainable
        self.regularizer = regularizer
        self.constraint = constraint
        self.row_axes = self._rows_are(row_axes)
        self.symbol: Value | None = None  # what stands for it in graphs (graph.trace.parameter)

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
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def value(self) -> Any:
        """The numbers; in a call that is recorded, what stands for them."""
        recording = recordings.get()
        if recording is not None:
            return recording.read(self)
        recorder = active_recorder()
        return self.numpy() if recorder is None else recorder.tensor(self)

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

    def assign(self, value: Any) -> Any:
        """Replaces the numbers; `value` has the variable's shape (ValueError otherwise).

        In a call that is recorded, that is done at the end of each batch; what is read after it in
        the call is the new value. Returns the value. TypeError for what holds no real numbers.
        """
        if (recorder := getattr(value, "recorder", None)) is not None:
            recorder.assign(self, value)
            return value
        recording = recordings.get()
        if recording is not None:
            return recording.assign(self, value)
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
        return np.asarray(value, self.dtype)

    def assign_add(self, value: Any) -> Any:
        """Adds to the numbers; see `assign`."""
        return self.assign(self.value + value)

    def assign_sub(self, value: Any) -> Any:
        """Takes something off the numbers; see `assign`."""
        return self.assign(self.value - value)

    def __getitem__(self, index: Any) -> Any:
        return self.value[index]

    def __float__(self) -> float:
        return float(self.numpy())

    def __int__(self) -> int:
        return int(self.numpy())

    __array_priority__ = 999.0  # NumPy's arrays leave the operators to it, and it to values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        value = self.numpy()
        return value if dtype is None else value.astype(dtype)

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}>"


def _operator(function: Callable[..., Any], name: str) -> None:
    """Gives variables an operator, which is that of their value."""

    def forward(self: Variable, *others: Any) -> Any:
        return function(self.value, *others)

    def reflected(self: Variable, other: Any) -> Any:
        return function(other, self.value)

    setattr(Variable, f"__{name}__", forward)
    if name in _BINARY:
        setattr(Variable, f"__r{name}__", reflected)


_BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul")
for _name in (*_BINARY, "neg", "abs", "lt", "le", "gt", "ge"):
    _operator(getattr(operator, f"__{_name}__"), _name)
