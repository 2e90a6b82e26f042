"""A value that has numbers, once somebody asks for them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..graph import ops
from ..graph.op import OPS
from ..graph.trace import Value, apply

if TYPE_CHECKING:
    from .recorder import Recorder


class Tensor(Value):
    """What operations on arrays make within a recorded step: shape and dtype now, numbers later.

    It is a value of no example, with all axes of its array, the batch too. Whatever takes symbolic
    values takes it, and whatever takes arrays, for which its numbers are computed.

    Attributes
    ----------
    recorder : Recorder
        What noted it down.
    slot : int
        Its number there.
    turn : int
        The recording that the number is of.
    known : ndarray or None
        Its numbers, once they are known.
    """

    __slots__ = ("__weakref__", "known", "recorder", "slot", "turn")

    recorder: Recorder

    def __init__(self, recorder: Recorder, slot: int, value: Value) -> None:
        # As Value's, of which all was checked when the value was made.
        self.dims, self.dtype, self.batched = value.dims, value.dtype, False
        self.role, self.name, self.row_axes = "temporary", "", value.row_axes
        self.node = self.variable = self.layer = self.use = None
        self.recorder, self.slot, self.turn = recorder, slot, recorder.turn
        self.known: NDArray[Any] | None = None

    @property
    def ndim(self) -> int:
        return len(self.dims)

    def numpy(self) -> NDArray[Any]:
        """The numbers: everything that they need is computed now, if it is not yet."""
        if self.known is None:
            self.recorder.compute(self)
        assert self.known is not None
        return self.known

    def item(self) -> Any:
        """The only number."""
        return self.numpy().item()

    def tolist(self) -> Any:
        return self.numpy().tolist()

    def backward(self, *_: Any, **__: Any) -> NoReturn:
        """Not here: see `hotloop.GradientTape`.

        Raises
        ------
        NotImplementedError
            Always, with what to write in its place.
        """
        raise NotImplementedError(
            "gradients are not kept in weights, as PyTorch's backward() keeps them: compute the "
            "loss within 'with hotloop.GradientTape() as tape:', then gradients = "
            "tape.gradient(loss, weights) and optimizer.apply(gradients, weights)"
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        numbers = self.numpy()
        if dtype is not None and numbers.dtype != dtype:
            return numbers.astype(dtype)
        return numbers.copy() if copy else numbers

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:  # type: ignore[override]
        return bool(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item() if spec and not self.dims else str(self), spec)

    def __len__(self) -> int:
        if not self.dims:
            raise TypeError("a tensor of no axes has no length")
        return self.dims[0]

    def __iter__(self) -> Iterator[Any]:
        return iter(self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        if self.known is None:
            return f"<Tensor shape={self.dims} dtype={self.dtype}>"
        return f"<Tensor shape={self.dims} dtype={self.dtype} numbers={self.known!r}>"

    # -- operators: see `_of_two` ---------------------------------------------------

    def __add__(self, other: Any) -> Any:
        return self._shifted(1.0, float(other)) if _plain(other) else self._of_two("add", other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        if _plain(other):
            return self._shifted(1.0, -float(other))
        return self._of_two("subtract", other)

    def __rsub__(self, other: Any) -> Any:
        if _plain(other):
            return self._shifted(-1.0, float(other))
        return self._of_two("subtract", other, swapped=True)

    def __mul__(self, other: Any) -> Any:
        return self._shifted(float(other)) if _plain(other) else self._of_two("multiply", other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        if _plain(other) and other != 0:
            return self._shifted(1.0 / float(other))
        return self._of_two("divide", other)

    def __neg__(self) -> Any:
        return self._shifted(-1.0)

    def __abs__(self) -> Any:
        return apply(OPS["absolute"], self, alpha=0.0)

    def __matmul__(self, other: Any) -> Any:
        other = self.recorder.tensor(other)
        if len(self.dims) >= 1 and other.row_axes == 1 and len(other.dims) == 2:
            return apply(OPS["matmul"], self, other)
        return self._of_two("matmul", other)

    def _shifted(self, factor: float, offset: float = 0.0) -> Any:
        if self.dtype not in ("float32", "float64"):
            return ops.scale(ops.cast(self, "float32"), factor, offset)
        return ops.scale(self, factor, offset)

    def _of_two(self, name: str, other: Any, *, swapped: bool = False) -> Any:
        """An op of this and another thing, which is a tensor, an array, a number or a variable."""
        other = self.recorder.tensor(other, self.dtype)
        first, second = (other, self) if swapped else (self, other)
        if first.dtype != second.dtype:
            dtype = np.result_type(first.dtype, second.dtype).name
            first, second = ops.cast(first, dtype), ops.cast(second, dtype)
        if name not in OPS:
            raise TypeError(
                f"{name} of tensors of shapes {first.dims} and {second.dims}: no such op"
            )
        return apply(OPS[name], first, second)

    def __getitem__(self, index: Any) -> Any:
        """A part along the first axis."""
        rows = range(len(self))[index] if isinstance(index, int | slice) else None
        if rows is None:
            raise TypeError(f"a tensor of shape {self.dims} has no part [{index!r}]")
        first = rows if isinstance(rows, int) else rows.start
        count = 1 if isinstance(rows, int) else len(rows)
        if not isinstance(rows, int) and rows.step != 1:
            raise TypeError(f"a tensor of shape {self.dims} has no part [{index!r}]")
        size = math.prod(self.dims[1:])
        part = ops.columns(ops.reshape(self, (1, self.size)), first * size, count * size)
        dims = self.dims[1:] if isinstance(rows, int) else (count, *self.dims[1:])
        return ops.reshape(part, dims)


def _plain(thing: Any) -> bool:
    """Whether it is a number that may stand in a recorded computation itself."""
    return isinstance(thing, int | float | np.integer | np.floating)
