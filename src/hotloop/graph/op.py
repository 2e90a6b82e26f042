"""The op record: all that is known of one operation of the core, in one place.

A graph's nodes, the backward pass, fusion, memory, the executors, profiles and tests ask the
record; none of them knows an op by its name. The records stand in `hotloop.graph.ops`, a file
for each family, every gradient beside its op.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from numpy.typing import NDArray

from ..lengths import common

if TYPE_CHECKING:
    from ..optimizers import Optimizer
    from .plan import Plan
    from .trace import Node, Value

Array: TypeAlias = NDArray[Any]
Dims: TypeAlias = tuple[int, ...]
Gradients: TypeAlias = "tuple[Value | None, ...]"
Mask: TypeAlias = Literal["passes", "consumes", "stops"]
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


def of_one_shape(node: Node) -> tuple[Dims, ...]:
    """Shape rule: that of all inputs."""
    dims = common(*(value.dims for value in node.inputs))
    if dims is None:
        shapes = " and ".join(str(value.shape) for value in node.inputs)
        raise ValueError(f"{node.op.name} needs values of one shape, not of {shapes}")
    return (dims,)


def nothing(node: Node) -> tuple[Dims, ...]:
    """Shape rule: no outputs, something is changed instead."""
    return ()


def of_first(node: Node) -> str:
    """Dtype rule: that of the first input."""
    return node.inputs[0].dtype


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
    sums_examples : bool
        Whether it adds up all examples, so that its outputs are of none. Others have a batch if
        one of their inputs has.
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
    draws : bool
        Whether it draws random numbers, by the attribute ``seed``, in training; it passes its
        input on otherwise.
    changes : bool
        Whether it changes those of its inputs that are variables, if the loss is finite.
    mask : str
        What becomes of a mask over the rows of its input: it ``"passes"`` to the output,
        ``"stops"`` because there are other rows, or the op ``"consumes"`` it.
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
    options : tuple of str
        The attributes that this function takes; others say where shapes or names come from.
    reference : callable
        reference(run, node) computes it with a backend's functions, on arrays of the values' own
        shapes.
    label : callable
        label(plan, node) is what a profile calls a node, and what the node belongs to.
    why_not : mapping of str to str
        Why there is none of what other ops have, by its name: a backend, ``"reference"``,
        ``"gradient"`` or a ``"profile"`` case.
    """

    name: str
    summary: str
    shape: Callable[[Node], Sequence[Dims]]
    dtype: Callable[[Node], str] = of_first
    sums_examples: bool = False
    gradient: Callable[..., Gradients] | None = None
    flops: Callable[[Node], int] = no_flops
    bytes: Callable[[Node, Callable[[Value], int]], int] = all_once
    in_place: bool = False
    view: bool = False
    draws: bool = False
    changes: bool = False
    mask: Mask = "stops"
    activation: bool = False
    activation_of_gradient: str = ""
    before_model: Callable[[Node, Array, str], Array] | None = None
    users: Callable[[Node], Users] = nothing_of_users
    function: Callable[[Plan, Node], str] = own_name
    outputs: tuple[str, ...] = ("out",)
    options: tuple[str, ...] = ()
    reference: Callable[[Run, Node], None] = plainly
    label: Callable[[Plan, Node], tuple[str, str]] = by_layer
    why_not: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name in OPS:
            raise ValueError(f"there is an op '{self.name}' already: {OPS[self.name].summary}")
        OPS[self.name] = self

    def __repr__(self) -> str:
        return f"<Op {self.name}>"
