"""A value that has numbers, once somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from numpy.typing import NDArray

from ..graph import ops
from ..graph.trace import Value

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
    # The same for all: a step of one's own makes many tensors for each batch.
    batched = False
    role = "temporary"
    name = ""
    node = variable = layer = use = None

    def __init__(self, recorder: Recorder, slot: int, value: Value) -> None:
        # As Value's, of which all was checked when the value was made.
        self.dims, self.dtype, self.row_axes = value.dims, value.dtype, value.row_axes
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

    def __eq__(self, other: object) -> Any:
        return _ops().equal(self, other)

    def __ne__(self, other: object) -> Any:
        return _ops().not_equal(self, other)

    __hash__ = Value.__hash__

    # -- operators: functions of `hotloop.ops`, which is not imported before -------------

    def __add__(self, other: Any) -> Any:
        return self._shifted(1.0, other) if self._scales(other) else _ops().add(self, other)

    def __radd__(self, other: Any) -> Any:
        return self._shifted(1.0, other) if self._scales(other) else _ops().add(other, self)

    def __sub__(self, other: Any) -> Any:
        return self._shifted(1.0, -other) if self._scales(other) else _ops().subtract(self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._shifted(-1.0, other) if self._scales(other) else _ops().subtract(other, self)

    def __mul__(self, other: Any) -> Any:
        return self._shifted(other) if self._scales(other) else _ops().multiply(self, other)

    def __rmul__(self, other: Any) -> Any:
        return self._shifted(other) if self._scales(other) else _ops().multiply(other, self)

    def __neg__(self) -> Any:
        return self._shifted(-1.0) if self._scales(1.0) else _ops().negative(self)

    def __getitem__(self, index: Any) -> Any:
        return _ops().get_item(self, index)

    def _scales(self, number: Any) -> bool:
        """Whether a number beside it is no more than a part of the op's record."""
        return type(number) in (int, float) and self.dtype in ("float32", "float64")

    def _shifted(self, factor: float, offset: float = 0.0) -> Any:
        return ops.scale(self, float(factor), float(offset))


def _ops() -> Any:
    return import_module("hotloop.ops")


def _operator(name: str, *, swapped: bool = False) -> Any:
    if swapped:
        return lambda self, other: getattr(_ops(), name)(other, self)
    return lambda self, *others: getattr(_ops(), name)(self, *others)


_OF_OPS = {
    "truediv": "true_divide",
    "floordiv": "floor_divide",
    "mod": "mod",
    "pow": "power",
    "matmul": "matmul",
    "and": "logical_and",
    "or": "logical_or",
    "xor": "logical_xor",
}
for _name, _function in _OF_OPS.items():
    setattr(Tensor, f"__{_name}__", _operator(_function))
    setattr(Tensor, f"__r{_name}__", _operator(_function, swapped=True))
for _name, _function in {
    "abs": "abs",
    "invert": "logical_not",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}.items():
    setattr(Tensor, f"__{_name}__", _operator(_function))
