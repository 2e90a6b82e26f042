"""Values and the nodes that produce them: a graph is what its outputs were made from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from .. import lengths, nests
from ..variables import Variable, recordings
from ..variables import activate as activate
from ..variables import active_recorder as active_recorder
from ..variables import deactivate as deactivate

if TYPE_CHECKING:
    from ..layers.base import Layer
    from .op import Op
    from .recording import Effect

_current_layer: ContextVar[Layer | None] = ContextVar("current_layer", default=None)
_is_recording: ContextVar[bool] = ContextVar("is_recording", default=False)


class Value:
    """One array of a graph, known by shape only.

    Attributes
    ----------
    dims : tuple of int
        The shape: of one example if `batched`, of the whole array otherwise. Data decide those
        that are a `hotloop.lengths.Length`, which an input has for each None.
    batched : bool
        Whether there is one such array for each example of the batch.
    role : str
        ``"input"``, ``"target"``, ``"sample_weight"``, ``"parameter"`` or ``"temporary"``.
    node : Node or None
        What produces it.
    variable : Variable or None
        Where a parameter's numbers are.
    layer : Layer or None
        The input layer that it stands for.
    use : (Use, int) or None
        The call of a layer that it is an output of, and which one.
    row_axes : int
        How many leading axes are the rows of a packed matrix, as of the variable that it stands
        for or is the gradient of; 0: one number after another.
    """

    __slots__ = (
        "batched",
        "dims",
        "dtype",
        "layer",
        "name",
        "node",
        "role",
        "row_axes",
        "use",
        "variable",
    )

    def __init__(
        self,
        dims: tuple[int | None, ...],
        dtype: str,
        batched: bool = True,
        role: str = "temporary",
        name: str = "",
        node: Node | None = None,
        variable: Variable | None = None,
        layer: Layer | None = None,
        row_axes: int = 0,
    ) -> None:
        check_features(dims, name)
        self.dims: tuple[int, ...] = lengths.opened(dims)
        self.dtype = dtype
        self.batched = batched
        self.role = role
        self.name = name
        self.node = node
        self.variable = variable
        self.layer = layer
        self.row_axes = row_axes
        self.use: tuple[Use, int] | None = None

    @property
    def shape(self) -> tuple[int | None, ...]:
        """As Keras shows it: None for the batch, and for what data decide."""
        dims = lengths.shown(self.dims)
        return (None, *dims) if self.batched else dims

    @property
    def size(self) -> int:
        """Elements, of one example if batched."""
        return math.prod(self.dims)

    @property
    def rows(self) -> int:
        """Rows of the matrix that it is kept as; 0 if one number stands after another."""
        return math.prod(self.dims[: self.row_axes]) if self.row_axes else 0

    @property
    def group(self) -> int:
        """Rows of its last axis in one example: 1 for vectors, T for (T, features)."""
        return math.prod(self.dims[:-1])

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(
            f"a symbolic value of shape {self.shape} was given to a function that needs "
            "numbers; inside a model use hotloop's layers and activations"
        )

    # What notes down each op of a tensor, a value that has numbers.
    recorder: Any = None

    # Operators, and functions of `hotloop.ops`, are layers, for models to know them by, and layers
    # stand above graphs: this is the module `hotloop.layers.operators`, which enters itself.
    operators: ClassVar[Any]

    __array_priority__ = 1000.0  # NumPy's numbers leave the operators to it

    def __add__(self, other: Value | Variable | float) -> Any:
        return self.operators.add(self, other)

    def __radd__(self, other: Variable | float) -> Any:
        return self.operators.add(self, other)

    def __sub__(self, other: Value | float) -> Any:
        return self.operators.subtract(self, other)

    def __rsub__(self, other: float) -> Any:
        return self.operators.subtract_from(other, self)

    def __mul__(self, other: Value | float) -> Any:
        return self.operators.multiply(self, other)

    def __rmul__(self, other: float) -> Any:
        return self.operators.multiply(self, other)

    def __matmul__(self, other: Variable) -> Any:
        return self.operators.matmul(self, other)

    def __truediv__(self, other: float) -> Any:
        return self.operators.divide(self, other)

    def __neg__(self) -> Any:
        return self.operators.negative(self)

    def __abs__(self) -> Any:
        return self.operators.absolute(self)

    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"a symbolic value of shape {self.shape} was asked whether it is true: a model's "
            "computation is recorded once, before there are numbers, so Python cannot branch on "
            "them; branch on shapes or options, or compute with layers"
        )

    def __repr__(self) -> str:
        return f"<Value {self.name or self.role} shape={self.shape} dtype={self.dtype}>"


def _refused(operator: str) -> Callable[..., NoReturn]:
    def refuse(self: Value, *_: Any) -> NoReturn:
        raise TypeError(
            f"{operator} is not supported for a symbolic value (here of shape {self.shape}), which "
            "has no numbers yet; use hotloop.ops, layers and activations"
        )

    return refuse


for _name, _operator in {
    "__float__": "float(x)",
    "__int__": "int(x)",
    "__iter__": "a loop over x",
    "__len__": "len(x)",
}.items():
    setattr(Value, _name, _refused(_operator))


def _by_function(name: str, turned: bool) -> Callable[..., Any]:
    def operator(self: Value, *others: Any) -> Any:
        operands = (*others, self) if turned else (self, *others)
        return self.operators.by_function(name, *operands)

    return operator


# Operators that a function of `hotloop.ops` does, whose name is Keras's.
for _name, _operator in {
    "and": "logical_and",
    "floordiv": "floor_divide",
    "mod": "mod",
    "or": "logical_or",
    "pow": "power",
    "xor": "logical_xor",
}.items():
    setattr(Value, f"__{_name}__", _by_function(_operator, False))
    setattr(Value, f"__r{_name}__", _by_function(_operator, True))
for _name, _operator in {
    "__ge__": "greater_equal",
    "__getitem__": "get_item",
    "__gt__": "greater",
    "__invert__": "logical_not",
    "__le__": "less_equal",
    "__lt__": "less",
}.items():
    setattr(Value, _name, _by_function(_operator, False))
setattr(Value, "__rmatmul__", _by_function("matmul", True))  # noqa: B010 - as the others
setattr(Value, "__rtruediv__", _by_function("divide", True))  # noqa: B010


class Node:
    """One use of an op: inputs, outputs, attributes, and the layer that asked for it."""

    __slots__ = ("attributes", "inputs", "layer", "op", "outputs")

    def __init__(
        self,
        op: Op,
        inputs: tuple[Value, ...],
        outputs: tuple[Value, ...],
        attributes: dict[str, Any],
        layer: Layer | None = None,
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.outputs = outputs
        self.attributes = attributes
        self.layer = layer

    @property
    def output(self) -> Value:
        return self.outputs[0]

    def __repr__(self) -> str:
        return f"<Node {self.op.name} of {self.layer} -> {[v.shape for v in self.outputs]}>"


class Use:
    """One call of a layer on symbolic values: what a model's structure is told by.

    Attributes
    ----------
    layer : Layer
    arguments : (tuple, dict)
        What it was called with: nests of values and of constants.
    training : bool or None
        What it was told of training.
    inputs, outputs : tuple of Value
    effects : list of Effect
        What it did besides.
    """

    __slots__ = ("arguments", "effects", "inputs", "layer", "outputs", "training")

    def __init__(
        self, layer: Layer, arguments: tuple[Any, ...], options: dict[str, Any], training: Any
    ) -> None:
        self.layer = layer
        self.arguments = (arguments, options)
        self.training = None if training is None else bool(training)
        self.inputs = values_in(self.arguments)
        self.outputs: tuple[Value, ...] = ()
        self.effects: list[Effect] = []

    def makes(self, outputs: Sequence[Value]) -> None:
        """Notes its outputs; they are known by the outermost call that made them."""
        self.outputs = tuple(outputs)
        for i, value in enumerate(self.outputs):
            value.use = (self, i)


def check_features(dims: Sequence[int | None], name: str = "") -> None:
    """That an array with these axes, besides that of the batch, holds numbers.

    Raises
    ------
    ValueError
        Naming the layer that is being called, or else what the array is called.
    """
    if 0 in dims:
        layer = current_layer()
        who = layer.describe() if layer is not None else name or "a model"
        axes = ", ".join(map(str, dims))
        raise ValueError(
            f"{who}: an example of shape ({axes}{',' if len(dims) == 1 else ''}) has no features; "
            "every axis but the batch's must have a length of at least 1. Check the array's shape, "
            "or which columns were selected"
        )


def values_in(nest: Any) -> tuple[Value, ...]:
    """The values in a nest, in order."""
    return tuple([leaf for leaf in nests.flat(nest) if isinstance(leaf, Value)])


def recorder_of(nest: Any) -> Any:
    """What notes down a call on these: of tensors, or of arrays where something listens.

    None for a model's symbolic values, and where nothing does.
    """
    active = active_recorder()
    if isinstance(nest, Value):
        return active or nest.recorder if nest.recorder is not None else None
    if isinstance(nest, Mapping):
        nest = tuple(nest.values())
    if isinstance(nest, list | tuple):
        for part in nest:
            if isinstance(part, Value):
                return recorder_of(part)
            if isinstance(part, list | tuple | Mapping):
                found = recorder_of(part)
                if found is not active:
                    return found
    return active


def recorder_of_function(*nests: Any) -> Any:
    """What notes down a function of these: of tensors, or of variables where something listens.

    None where there are only arrays, which nobody watches, and constants.
    """
    active = active_recorder()
    found = None
    waiting = list(nests)
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, Value):
            if thing.recorder is None:
                return None
            found = active or thing.recorder
        elif isinstance(thing, list | tuple):
            waiting += thing
        elif isinstance(thing, dict):
            waiting += thing.values()
        elif active is not None and (isinstance(thing, Variable) or active.watches(thing)):
            found = active
    return found


@contextmanager
def in_layer(layer: Layer | None) -> Iterator[None]:
    """Nodes that are made inside belong to this layer."""
    token, before = _current_layer.set(layer), _is_recording.set(True)
    try:
        yield
    finally:
        _is_recording.reset(before)
        _current_layer.reset(token)


def current_layer() -> Layer | None:
    """The layer whose call is being recorded."""
    return _current_layer.get()


def is_recording() -> bool:
    """Whether what is done belongs to a call that is being recorded, not to a model by itself."""
    return _is_recording.get()


def emit(op: Op, *inputs: Value, **attributes: Any) -> tuple[Value, ...]:
    """Makes a node of the layer that is being recorded; the record says what its outputs are."""
    for value in inputs:
        if value.recorder is not None:
            found: tuple[Value, ...] = value.recorder.emitted(op, inputs, attributes)
            return found
    around = recordings.get()
    if around is not None:
        if op.chooses and around.mode.training is not None:
            return (inputs[around.mode.training],)
        if around.mode.forced is not None and (op.draws or op.two_ways):
            attributes.setdefault("training", around.mode.forced)
    node = Node(op, inputs, (), attributes, current_layer())
    op.check(node)
    dtype, row_axes = op.dtype(node), op.layout(node)
    batched = op.makes_examples or (not op.sums_examples and any(value.batched for value in inputs))
    node.outputs = tuple(
        Value(dims, dtype, batched, node=node, row_axes=row_axes) for dims in op.shape(node)
    )
    return node.outputs


def apply(op: Op, *inputs: Value, **attributes: Any) -> Value:
    """The first output of such a node."""
    return emit(op, *inputs, **attributes)[0]


def parameter(variable: Variable) -> Value:
    """The one value that stands for a variable in every graph; what a call has assigned to it."""
    around = recordings.get()
    if around is not None and variable in around.now:
        now: Value = around.now[variable]
        return now
    if variable.symbol is None:
        variable.symbol = Value(
            variable.shape,
            variable.dtype.name,
            batched=False,
            role="parameter",
            name=variable.path,
            variable=variable,
            row_axes=variable.row_axes,
        )
    return variable.symbol


def named(value: Value) -> Value:
    """What a value is another name of."""
    while value.node is not None and value.node.op.view:
        value = value.node.inputs[0]
    return value


def topological(
    outputs: Iterable[Value], known: Iterable[Value] = (), training: bool | None = None
) -> list[Node]:
    """The nodes that the outputs depend on, each after what it reads.

    Values in `known` are taken as given, whatever made them. If it is said whether they are for
    training, those that only the other plans have are left out.
    """

    def reads(node: Node) -> Sequence[Value]:
        return node.inputs if training is None or not node.op.chooses else (node.inputs[training],)

    return _in_order(outputs, known, lambda value: value.node, reads)


def calls(outputs: Iterable[Value], known: Iterable[Value] = ()) -> list[Use]:
    """The calls of layers that the outputs depend on, each after what it reads.

    Not those that a layer makes inside its own call.
    """
    makers: list[Use | Node] = _in_order(
        outputs,
        known,
        lambda value: value.use[0] if value.use else value.node,
        lambda item: item.inputs,
    )
    return [maker for maker in makers if isinstance(maker, Use)]


Maker = TypeVar("Maker", Use, Node, Use | Node)


def _in_order(
    outputs: Iterable[Value],
    known: Iterable[Value],
    maker: Callable[[Value], Maker | None],
    reads: Callable[[Maker], Sequence[Value]],
) -> list[Maker]:
    """What makes the outputs, and what it reads, depth first; not what makes a known value."""
    given = set(known)

    def makers(values: Iterable[Value]) -> list[tuple[Maker, bool]]:
        found = (maker(value) for value in values if value not in given)
        return [(item, False) for item in found if item is not None]

    order: list[Maker] = []
    seen: set[Maker] = set()
    stack = makers(outputs)[::-1]
    while stack:
        item, ready = stack.pop()
        if ready:
            order.append(item)
        elif item not in seen:
            seen.add(item)
            stack.append((item, True))
            stack.extend(makers(reads(item))[::-1])
    return order


def replay(
    outputs: Sequence[Value], given: Mapping[Value, Value], *, keep_layers: bool = False
) -> list[Value]:
    """The same computation of other inputs: what a model does when it is used as a layer.

    Open axes of the inputs get the lengths of those that are given, and shapes are computed anew.

    Parameters
    ----------
    outputs : sequence of Value
    given : mapping of Value to Value
        What to take in the place of values.
    keep_layers : bool
        Whether nodes belong to the layers that they belonged to; to that which is being recorded
        otherwise.

    Raises
    ------
    ValueError
        Where shapes do not fit each other any more, naming the layer.
    """
    made = replayed(outputs, given, keep_layers=keep_layers)
    return [made.get(v, v) for v in outputs]


def replayed(
    outputs: Sequence[Value], given: Mapping[Value, Value], *, keep_layers: bool = False
) -> dict[Value, Value]:
    """As `replay`, what each value became."""
    made = dict(given)
    at = lengths.solved((old.dims, new.dims) for old, new in given.items())
    for node in topological(outputs, given):
        inputs = tuple(made.get(v, v) for v in node.inputs)
        attributes = lengths.resolved(node.attributes, at) if at else node.attributes
        try:
            with in_layer(node.layer if keep_layers else current_layer()):
                copies = emit(node.op, *inputs, **attributes)
            pairs = [(old.dims, new.dims) for old, new in zip(node.outputs, copies, strict=True)]
            for old, new in pairs:
                if len(old) != len(new):
                    raise ValueError(
                        f"its output was to have the shape {(None, *lengths.shown(old))}, but has "
                        f"{(None, *lengths.shown(new))}"
                    )
        except ValueError as error:
            if node.layer is None or str(error).startswith(node.layer.describe()):
                raise
            raise ValueError(f"{node.layer.describe()}: {error}") from None
        made.update(zip(node.outputs, copies, strict=True))
        if at:  # lengths that only the op's shape rule knows, as of a function of the user's own
            at = lengths.solved(pairs) | at
    return made
