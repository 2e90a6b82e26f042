"""The op record: all that is known of one operation of the core, in one place.

A graph's nodes, the backward pass, fusion, memory, the executors, profiles and tests ask the
record; none of them knows an op by its name. The records stand in `hotloop.graph.ops`, a file
for each family, every gradient beside its op.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from numpy.typing import NDArray

from .. import lengths

if TYPE_CHECKING:
    from ..optimizers import Optimizer
    from .plan import Plan
    from .trace import Node, Value

Array: TypeAlias = NDArray[Any]
Dims: TypeAlias = tuple[int, ...]
Gradients: TypeAlias = "tuple[Value | None, ...]"
Mask: TypeAlias = Literal["passes", "consumes", "stops"]
Windows: TypeAlias = "tuple[tuple[Value, Value, int], ...]"
Users: TypeAlias = Literal["", "scalar", "python"]

OPS: dict[str, Op] = {}
"""Every op by its name."""


class Run(Protocol):
    """What a reference can ask of the executor that runs its node for a batch.

    Attributes
    ----------
    rows : int
        Examples in this batch.
    updates : int
        Updates of the weights before this batch.
    batches : int
        Batches that one update is for.
    ends_with_update : bool
        Whether weights are updated in this batch.
    optimizer : Optimizer
    """

    rows: int

    @property
    def updates(self) -> int: ...

    @property
    def batches(self) -> int: ...

    @property
    def ends_with_update(self) -> bool: ...

    @property
    def optimizer(self) -> Optimizer: ...

    def array(self, value: Value) -> Array:
        """The numbers of a value: (rows, *dims) if it is batched, else (*dims,)."""

    def output(self, value: Value) -> Array | None:
        """The same of an output; None if nobody reads it."""

    def function(self, what: Node | str) -> Callable[..., Any]:
        """What the backend has for a node, or under a name of its table."""

    def call(self, node: Node, *inputs: Value | None, **options: Any) -> None:
        """Calls the function for a node, which writes the node's outputs."""

    def key(self, seed: int) -> int:
        """The random key of this batch for what has this seed."""

    def add(self, slot: int, amount: float) -> None:
        """Adds to a running sum."""

    def refuse(self) -> None:
        """Says that the loss is not finite: this batch changes nothing and ends the run."""


def like_first(node: Node) -> tuple[Dims, ...]:
    """Shape rule: that of the first input."""
    return (node.inputs[0].dims,)


def broadcast(node: Node) -> tuple[Dims, ...]:
    """Shape rule: that to which all inputs are broadcast, as NumPy does it.

    They are aligned at the last axis; the batch, of those that have one, stands in front of all.
    """
    dims = lengths.broadcast(*(value.dims for value in node.inputs))
    if dims is None:
        shapes = " and ".join(str(value.shape) for value in node.inputs)
        raise ValueError(
            f"{node.op.name} needs values of one shape, or of shapes that can be broadcast to one, "
            f"not of {shapes}"
        )
    return (dims,)


def nothing(node: Node) -> tuple[Dims, ...]:
    """Shape rule: no outputs, something is changed instead."""
    return ()


def of_first(node: Node) -> str:
    """Dtype rule: that of the first input."""
    return node.inputs[0].dtype


def plain(node: Node) -> int:
    """Layout rule: one number after another, as all that it reads has to be."""
    for value in node.inputs:
        if value.row_axes:
            raise ValueError(
                f"{node.op.name} reads one number after another, but {value} is kept as a matrix "
                "for products; make the variable with row_axes=0"
            )
    return 0


def any_layout(node: Node) -> int:
    """Layout rule: one number after another, of inputs in any layout."""
    return 0


def as_matrix(node: Node) -> int:
    """Layout rule: a weight's gradient, whose first axis is the rows of its matrix."""
    return 1


def like_inputs(node: Node) -> int:
    """Layout rule: that of its inputs if all have the same, and no batch."""
    first, *others = ((value.shape, value.rows) for value in node.inputs)
    return node.inputs[0].row_axes if all(other == first for other in others) else plain(node)


def like_gradient(node: Node) -> int:
    """Layout rule: that of the gradient, the first input, whatever else it reads."""
    return node.inputs[0].row_axes


FLOATS = ("float32", "float64")
KINDS = {
    "float": FLOATS,
    "number": (*FLOATS, "int32", "uint8"),
    "whole": ("int32", "uint8", "bool"),
}
"""What an op may take where it does not say which dtype: the same for all such inputs."""


def no_flops(node: Node) -> int:
    """Its bytes decide how long it takes."""
    return 0


def all_once(node: Node, size: Callable[[Value], int]) -> int:
    """Bytes of all inputs and outputs, each value once, and twice of what is changed."""
    read = tuple(dict.fromkeys(node.inputs))
    changed = [v for v in read if v.variable is not None] if node.op.changes else []
    return sum(map(size, (*read, *node.outputs, *changed)))


def plainly(run: Run, node: Node) -> None:
    """Reference: the op's function, of all inputs and the op's options."""
    options = {name: node.attributes[name] for name in node.op.options if name in node.attributes}
    run.call(node, *node.inputs, **options)


def own_name(plan: Plan, node: Node) -> str:
    """Function: the one with the op's name."""
    return node.op.name


def no_windows(node: Node) -> Windows:
    """Nothing of it is there already."""
    return ()


def nothing_of_users(node: Node) -> Users:
    """No function of the user's is called."""
    return ""


def by_layer(plan: Plan, node: Node) -> tuple[str, str]:
    """Label: the op, and the layer that asked for it or that its first variable belongs to."""
    if node.layer is not None:
        return node.op.name, node.layer.name
    variable = next((v.variable for v in node.inputs if v.variable is not None), None)
    return node.op.name, "" if variable is None else variable.path.rpartition("/")[0]


@dataclass(frozen=True, eq=False)
class Op:
    """One operation; making the record registers it in `OPS`.

    Rules are functions of a node, whose `inputs` and `attributes` they read.

    Attributes
    ----------
    name : str
        The one name that it has in graphs, backends, profiles and docs.
    summary : str
        What it computes, in one line.
    shape : callable
        shape(node) is the dims of each output, of one example where that is batched.
    dtype : callable
        dtype(node) is the outputs' dtype; that of the first input if not given.
    layout : callable
        layout(node) is how many leading axes of the outputs are the rows of a packed matrix, 0
        for one number after another; ValueError where it cannot read its inputs' layouts.
    takes : tuple of str
        The dtypes of its inputs in order, the last one standing for all that follow: a dtype,
        one of `KINDS`, which is the same for all such inputs, ``"same"`` as the first, or
        ``"any"``.
    weights : collection of int
        Which inputs may be of no example where others have a batch.
    of_examples : bool
        Whether it is about the examples of a batch, so that what has none is no input.
    sums_examples : bool
        Whether it adds up all examples, so that its outputs are of none. Others have a batch if
        one of their inputs has.
    makes_examples : bool
        Whether its outputs are of each example though its inputs are of none.
    gradient : callable, optional
        gradient(node, wanted, *dys) adds the nodes that compute the gradients of the wanted
        inputs, and returns one, or None, for each input. There is a dy for each output, None where
        nobody reads it. Without a rule, no gradient goes through.
    flops : callable
        flops(node) is the multiplications and additions of its products, for one example.
    bytes : callable
        bytes(node, size) is what it reads and writes, from what each value takes.
    in_place : bool
        Whether it may write its first output over its first input if nobody reads that later.
    view : bool
        Whether its output is its first input under another name: nothing is done.
    windows : callable
        windows(node) is what there would be nothing to do for, if the first value of each triple
        were a window of the second: its columns from the third on.
    reads_windows : collection of int
        Which inputs may be windows in the core: rows that stand further apart than they are long.
    writes_windows : bool
        Whether its first output may be one.
    draws : bool
        Whether it draws random numbers, by the attribute ``seed``, in training; it passes its
        input on otherwise.
    two_ways : bool
        Whether it does something else in training. Of such ops, and of those that draw, the
        attribute ``training`` says so where the plan does not.
    chooses : bool
        Whether it is its second input in training, and its first one otherwise.
    changes : bool
        Whether it changes those of its inputs that are variables, if the loss is finite.
    mask : str
        What becomes of a mask over the rows of its input: it ``"passes"`` to the output,
        ``"stops"`` because there are other rows, or the op ``"consumes"`` it.
    elementwise : bool
        Whether each element of its output is made from those in the same place of its inputs, which
        are broadcast to one shape, so that it can be an instruction of a program.
    activation : bool
        Whether it is a function of each element, with the option ``alpha``, that a product does to
        its own result where the two are fused.
    activation_of_gradient : str
        The name of such a function if it computes the gradient of one, which a product does too.
    before_model : callable, optional
        before_model(node, array, name) is what becomes of a whole array that a model is given, and
        that messages call so, where the op can be done before the model runs.
    users : callable
        users(node) is what a node calls of the user's: a ``"scalar"`` function, which Numba
        compiles where it is there, one that ``"python"`` runs, or ``""`` for neither.
    function : callable
        function(plan, node) is the name in the backends' tables of what does it; the op's own if
        not given.
    outputs : tuple of str
        What the function in the backends' tables calls its outputs.
    always : collection of int
        Which outputs it writes even if nobody reads them, as long as another one is read.
    options : tuple of str
        The attributes that this function takes; others say where shapes or names come from.
    reference : callable
        reference(run, node) computes it with a backend's functions, on arrays of the values' own
        shapes.
    label : callable
        label(plan, node) is what a profile calls a node, and what the node belongs to.
    why_not : mapping of str to str
        Why there is none of what other ops have, by its name: a backend, ``"reference"``,
        ``"gradient"`` or a ``"profile"`` case. Without the backend ``"cython"``, Python runs the
        reference in a step of the compiled executor.
    """

    name: str
    summary: str
    shape: Callable[[Node], Sequence[Dims]]
    dtype: Callable[[Node], str] = of_first
    layout: Callable[[Node], int] = plain
    takes: tuple[str, ...] = ("float",)
    weights: Collection[int] = ()
    of_examples: bool = False
    sums_examples: bool = False
    makes_examples: bool = False
    gradient: Callable[..., Gradients] | None = None
    flops: Callable[[Node], int] = no_flops
    bytes: Callable[[Node, Callable[[Value], int]], int] = all_once
    in_place: bool = False
    view: bool = False
    windows: Callable[[Node], Windows] = no_windows
    reads_windows: Collection[int] = ()
    writes_windows: bool = False
    draws: bool = False
    two_ways: bool = False
    chooses: bool = False
    changes: bool = False
    mask: Mask = "stops"
    elementwise: bool = False
    activation: bool = False
    activation_of_gradient: str = ""
    before_model: Callable[[Node, Array, str], Array] | None = None
    users: Callable[[Node], Users] = nothing_of_users
    function: Callable[[Plan, Node], str] = own_name
    outputs: tuple[str, ...] = ("out",)
    always: Collection[int] = (0,)
    options: tuple[str, ...] = ()
    reference: Callable[[Run, Node], None] = plainly
    label: Callable[[Plan, Node], tuple[str, str]] = by_layer
    why_not: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name in OPS:
            raise ValueError(f"there is an op '{self.name}' already: {OPS[self.name].summary}")
        OPS[self.name] = self

    @property
    def in_python(self) -> bool:
        """Whether the compiled executor has its reference run by Python."""
        return "cython" in self.why_not

    def check(self, node: Node) -> None:
        """ValueError unless a node's inputs have dtypes that it takes, and a batch where needed."""
        batched = self.of_examples or any(value.batched for value in node.inputs)
        for i, value in enumerate(node.inputs):
            kind = self.takes[min(i, len(self.takes) - 1)]
            expected = kind
            if kind in KINDS:
                of_kind = (v.dtype for v in node.inputs if v.dtype in KINDS[kind])
                expected = next(of_kind, " or ".join(KINDS[kind]))
            elif kind == "same":
                expected = node.inputs[0].dtype
            if kind != "any" and value.dtype != expected:
                raise ValueError(
                    f"{self.name}: its input {i} must be {expected}, not {value.dtype} as {value}; "
                    "cast it, or give all layers of a model the same dtype"
                )
            if batched and not value.batched and i not in self.weights:
                raise ValueError(f"{self.name}: its input {i} must have a batch, not be {value}")

    def __repr__(self) -> str:
        return f"<Op {self.name}>"
