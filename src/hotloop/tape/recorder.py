"""The tree of what was done before in one place, and the way through it that is being taken.

A way begins with nothing. Each call is a branch: of an op on the tensors with these numbers, of a
layer, of a gradient, or an array of some shape that comes in. A branch that was taken before gives
its outputs without further ado. At its end, or when somebody asks for numbers, the way has a
program, which is compiled once for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from .. import backends, forks, variables
from ..data.adapters import as_array
from ..graph import ops
from ..graph.op import Op
from ..graph.trace import Node, Value, activate, deactivate, emit, parameter, topological
from ..variables import Variable
from .program import Change, Program
from .tensor import Tensor

if TYPE_CHECKING:
    from .gradient_tape import GradientTape

_T = TypeVar("_T")
Array = NDArray[Any]
Key = tuple[Any, ...]

# Branches that a place keeps: a step of a hundred calls has as many. Where more are made, each
# step is another one, as with a Python number that changes from step to step, and all are let go.
# So they are where models come and go: a few programs whose arenas are large are enough.
MOST_BRANCHES, MOST_PROGRAMS = 4096, 128
FEW_PROGRAMS, MOST_BYTES = 16, 1 << 26


class Entry:
    """A branch of the tree: what one call does.

    Attributes
    ----------
    before : Entry or None
        The call before.
    outputs : tuple of Value
        What it makes, in the graph; their numbers as slots follow those of the calls before.
    nodes : list of Node
        What computes them.
    after : list of Node
        What is done at the end of a batch: moving averages.
    change : Change or None
        What it does to variables.
    written : frozenset of Variable
        What it and the calls before write.
    keeps : tuple
        What keys know by its address, which must not become another's.
    seeds : tuple of int
        What it draws by, before each use got a seed of its own.
    depth : int
        How many calls are before it.
    """

    __slots__ = (
        "after",
        "before",
        "change",
        "children",
        "depth",
        "keeps",
        "nodes",
        "outputs",
        "programs",
        "seeds",
        "written",
    )

    def __init__(
        self,
        before: Entry | None,
        outputs: Sequence[Value] = (),
        nodes: Sequence[Node] = (),
        after: Sequence[Node] = (),
        change: Change | None = None,
        keeps: tuple[Any, ...] = (),
        seeds: tuple[int, ...] = (),
    ) -> None:
        self.before = before
        self.depth: int = 0 if before is None else before.depth + 1
        self.seeds = seeds
        self.outputs = tuple(outputs)
        self.nodes: list[Node] = list(nodes)
        self.after: list[Node] = list(after)
        self.change: Change | None = change
        self.keeps = keeps
        self.children: dict[Key, Entry] = {}
        self.programs: dict[Key, Program] = {}
        written = [value.variable for node in after for value in node.inputs[:1]]
        written += [] if change is None else change.variables
        known = frozenset[Any]() if before is None else before.written
        self.written: frozenset[Any] = known.union(written) if written else known

    def way(self) -> list[Entry]:
        """The calls up to this one, in order."""
        found: list[Entry] = []
        entry: Entry | None = self
        while entry is not None:
            found.append(entry)
            entry = entry.before
        return found[::-1]


class Place:
    """The tree of one place: a model's own training step, a function, all tapes of a thread."""

    def __init__(self) -> None:
        self.root = Entry(None)
        self.branches = self.programs = self.bytes = 0
        self.batches = 0  # that it ran, by which programs without an optimizer draw
        self.ran: list[Any] | None = None  # where programs note what they run, for a profile
        self.lock = threading.RLock()
        forks.told_of_forks(self)

    def forked(self) -> None:
        """A program that another thread was running does not go on in a child."""
        self.lock = threading.RLock()

    def begin(self) -> Entry:
        """Where a way begins."""
        large = self.programs > FEW_PROGRAMS and self.bytes > MOST_BYTES
        if large or self.branches > MOST_BRANCHES or self.programs > MOST_PROGRAMS:
            self.root = Entry(None)
            self.branches = self.programs = self.bytes = 0
        return self.root


class Recorder:
    """Notes down computations, way after way.

    Parameters
    ----------
    place : Place
    whole_step : bool
        Whether changes of variables may wait for the end of the step, so that all of it is one
        program; they are made at once otherwise.

    Attributes
    ----------
    turn : int
        Counts ways: a tensor of an earlier one has its numbers, or never will.
    values : list of Value
        The graph's values of this way, by slot.
    """

    # What layers, losses and functions make of tensors: `hotloop.tape.calls` enters them.
    call_layer: ClassVar[Callable[..., Any]]
    call_loss: ClassVar[Callable[..., Tensor]]
    call_function: ClassVar[Callable[..., Any]]
    call_again: ClassVar[Callable[..., Any]]
    call_metric: ClassVar[Callable[..., Any]]
    call_penalty: ClassVar[Callable[..., Tensor]]

    def __init__(self, place: Place, *, whole_step: bool = False) -> None:
        self.place, self._whole_step = place, whole_step
        self.turn = 0
        self._tapes: list[Any] = []  # weak references
        self._later: list[tuple[Any, Callable[[], Any]]] = []
        self._begin()

    def _begin(self) -> None:
        """A new way."""
        self.turn += 1
        self.at = self.place.begin()
        self.values: list[Value] = []
        self._tensors: list[Any] = []  # weak references, by slot
        self._given: dict[int, Array] = {}  # numbers of arrays that came in, by slot
        self._of_variables: dict[Variable, Tensor] = {}
        self._ran = False
        self._tapes = [tape for tape in self._tapes if tape() is not None]
        self._watched: dict[int, tuple[Any, Tensor]] = {}  # arrays, by their address

    # -- branches --------------------------------------------------------------------

    def step(self, key: Key, record: Callable[[], Entry]) -> tuple[Tensor, ...]:
        """One call more: the branch with this key, which is recorded if it is not there."""
        entry = self.at.children.get(key)
        if entry is None:
            with _paused():
                entry = record()
            self.at.children[key] = entry
            self.place.branches += 1
        return self.take(entry)

    def take(self, entry: Entry) -> tuple[Tensor, ...]:
        """Goes on to a branch; returns what it makes."""
        self.at = entry
        values, references = self.values, self._tensors
        found = []
        for value in entry.outputs:
            tensor = Tensor(self, len(values), value)
            values.append(value)
            references.append(ref(tensor))
            found.append(tensor)
        return tuple(found)

    def entry(self, outputs: Sequence[Value], **options: Any) -> Entry:
        """A branch from here that makes these values of those that are known."""
        return Entry(self.at, outputs, self.nodes_of(outputs), **options)

    def nodes_of(self, outputs: Sequence[Value]) -> list[Node]:
        """What this way has not computed yet of such values."""
        known = {v for entry in self.at.way() for node in entry.nodes for v in node.outputs}
        return topological(outputs, known.union(self.values))

    def slots_of(self, find: Callable[[], _T]) -> _T:
        """What `find` makes of slots; again if that has begun a new way, as reads may do."""
        while True:
            turn = self.turn
            found = find()
            if turn == self.turn:
                return found

    def emitted(self, op: Op, inputs: Sequence[Value], attributes: dict[str, Any]) -> Any:
        """What an op makes of tensors, and of values that stand for variables."""
        slots = self.slots_of(lambda: [self.slot(value) for value in inputs])

        def record() -> Entry:
            options = dict(attributes)
            seeds = (options["seed"],) if op.draws else ()
            if op.draws:
                options["seed"] = self.own_seed(options["seed"])
            made = emit(op, *(self.values[slot] for slot in slots), **options)
            return self.entry(made, seeds=seeds)

        return self.step((op, *slots, frozen(attributes)), record)

    def own_seed(self, seed: int) -> int:
        """What is drawn several times in a way draws anew each time."""
        return (seed + sum(entry.seeds.count(seed) for entry in self.at.way())) % 2**64

    # -- what comes in ---------------------------------------------------------------

    def slot(self, value: Value) -> int:
        """The number of a value in this way, which it joins if it is not in it."""
        if isinstance(value, Tensor):
            if value.recorder is self and value.turn == self.turn:
                return value.slot
            return self.leaf(value.numpy(), own=True).slot
        if value.variable is not None:
            return self.variable(value.variable).slot
        if value.node is None:
            raise TypeError(
                f"{value}, a symbolic value of a model, cannot be computed with tensors, which "
                "have numbers: call the model on arrays"
            )
        outputs = self.emitted(value.node.op, value.node.inputs, value.node.attributes)
        place = next(i for i, made in enumerate(value.node.outputs) if made is value)
        return int(outputs[place].slot)

    def leaf(self, array: Array, *, own: bool = False, dtype: str | None = None) -> Tensor:
        """An array that comes in; a copy of it unless it is nobody else's."""
        kind = dtype or _DTYPES.get(array.dtype.kind) or array.dtype.name
        numbers = array if own else np.array(array, order="C")

        def record() -> Entry:
            return Entry(self.at, [Value(array.shape, kind, False, role="input")])

        (tensor,) = self.step(("leaf", array.shape, kind), record)
        self._given[tensor.slot] = numbers
        tensor.known = numbers if numbers.dtype == kind else None
        return tensor

    def variable(self, variable: Variable) -> Tensor:
        """What stands for a variable here."""
        if variable in self.at.written:
            self.finish()
        tensor = self._of_variables.get(variable)
        if tensor is None:
            (tensor,) = self.step(
                ("variable", id(variable)),
                lambda: Entry(self.at, [parameter(variable)], keeps=(variable,)),
            )
            self._of_variables[variable] = tensor
        return tensor

    def tensor(self, thing: Any, dtype: str | None = None) -> Tensor:
        """A tensor of what may be one, a variable, an array, a list or a number."""
        if isinstance(thing, Tensor):
            if thing.recorder is self and thing.turn == self.turn:
                return thing
            return self.leaf(thing.numpy(), own=True)
        if isinstance(thing, Variable):
            return self.variable(thing)
        if id(thing) in self._watched:
            return self._watched[id(thing)][1]
        if isinstance(thing, Value):
            slot = self.slot(thing)
            found = self._tensors[slot]()
            return found if found is not None else self._again(slot)
        if isinstance(thing, int | float):
            return self.leaf(np.asarray(thing, dtype or "float32"), own=True)
        return self.leaf(as_array(thing, "an array of a recorded step"))

    def watch(self, thing: Any) -> Tensor:
        """The tensor of an array, also where the array itself is used later."""
        tensor = self.tensor(thing)
        if not isinstance(thing, Tensor | Variable):
            self._watched[id(thing)] = (thing, tensor)
        return tensor

    def watches(self, thing: Any) -> bool:
        """Whether a tape watches an array."""
        return id(thing) in self._watched

    def watched(self, thing: Any) -> Any:
        """The tensor of an array that is watched; anything else is itself."""
        found = self._watched.get(id(thing))
        return thing if found is None else found[1]

    def slot_in(self, thing: Any) -> int | None:
        """The number that a tensor, or a watched array, has in this way; None if it is not in."""
        tensor = self.watched(thing)
        if isinstance(tensor, Tensor) and tensor.recorder is self and tensor.turn == self.turn:
            return tensor.slot
        return None

    def _again(self, slot: int) -> Tensor:
        """Another tensor of a slot whose own is gone."""
        tensor = Tensor(self, slot, self.values[slot])
        self._tensors[slot] = ref(tensor)
        return tensor

    # -- changes ---------------------------------------------------------------------

    def change(self, key: Key, make: Callable[[], Change]) -> None:
        """Variables become something else, at the end of the way or at once."""
        change = None

        def record() -> Entry:
            nonlocal change
            change = make()
            return Entry(self.at, change=change, keeps=change.keeps)

        self.step(key, record)
        if self._whole_step:
            variables.waiting[threading.get_ident()] = self.finish
        else:
            self.finish()

    def apply(self, optimizer: Any, gradients: Sequence[Any], weights: Sequence[Variable]) -> None:
        """A step of an optimizer."""
        if self.at.written and not self.at.written.isdisjoint(weights):
            self.finish()
        slots = tuple(self.slots_of(lambda: [self.tensor(one).slot for one in gradients]))
        for slot, weight in zip(slots, weights, strict=True):
            if self.values[slot].dims != weight.shape:
                raise ValueError(
                    f"the gradient of '{weight.path}' has shape {self.values[slot].dims}; expected "
                    f"{weight.shape}"
                )
        key = ("apply", id(optimizer), optimizer.structure, slots, tuple(map(id, weights)))
        self.change(
            key,
            lambda: Change(
                optimizer, {w: self.values[s] for w, s in zip(weights, slots, strict=True)}
            ),
        )

    def assign(self, variable: Variable, value: Any) -> None:
        """A variable becomes a tensor."""
        tensor = self.tensor(value)
        if tensor.dims != variable.shape:
            raise ValueError(
                f"Variable '{variable.path}' has shape {variable.shape} and cannot take a value of "
                f"shape {tensor.dims}; reshape it"
            )
        if tensor.dtype != variable.dtype.name:
            tensor = self.tensor(ops.cast(tensor, variable.dtype.name))
        slot = tensor.slot
        self.change(
            ("assign", id(variable), slot), lambda: Change(None, {variable: self.values[slot]})
        )

    # -- numbers ---------------------------------------------------------------------

    def compute(self, tensor: Tensor) -> None:
        """Makes the numbers of a tensor known, and all others that somebody still has."""
        if tensor.turn != self.turn:
            raise RuntimeError(
                f"{tensor} was computed with before variables that it depends on were changed, and "
                "its numbers were not kept"
            )
        if self._given.get(tensor.slot) is not None:
            array = self._given[tensor.slot]
            tensor.known = array.astype(tensor.dtype)
        elif (variable := self.values[tensor.slot].variable) is not None:
            tensor.known = variable.numpy()
        else:
            self.run()

    def run(self) -> None:
        """Runs the program of the way so far; a way that changed variables is over with it."""
        entry, values = self.at, self.values
        variables.waiting.pop(threading.get_ident(), None)
        wanted = []
        tensors = []
        for slot, reference in enumerate(self._tensors):
            tensor = reference()
            if tensor is None or tensor.known is not None or slot in self._given:
                continue
            variable = values[slot].variable
            if variable is not None:
                if variable in entry.written:
                    tensor.known = variable.numpy()
                continue
            wanted.append(slot)
            tensors.append(tensor)
        changes = bool(entry.written)
        if wanted or changes:
            key = (*wanted, self._ran, backends.current())
            program = entry.programs.get(key)
            if program is None:
                self.place.programs += 1
                with _paused():
                    program = entry.programs[key] = Program(
                        entry.way(), [values[slot] for slot in wanted], self._ran
                    )
                self.place.bytes += program.bytes
            with self.place.lock:
                arrays = self._arrays(program)
                numbers = program.run(arrays, self.place.batches, self.place.ran)
            for tensor, array in zip(tensors, numbers, strict=True):
                tensor.known = array
            self._ran = True
        if changes:
            for slot, array in self._given.items():
                tensor = self._tensors[slot]()
                if tensor is not None and tensor.known is None:
                    tensor.known = array.astype(tensor.dtype)
            self.place.batches += 1
            self._begin()

    def _arrays(self, program: Program) -> list[Array]:
        if program.slots is None:
            slots = {value: slot for slot, value in enumerate(self.values)}
            program.slots = [slots[value] for value in program.leaves]
        return [self._given[slot] for slot in program.slots]

    def finish(self) -> None:
        """Does what is still to be done to variables, and begins anew."""
        variables.waiting.pop(threading.get_ident(), None)
        if self.at is not self.place.root:
            self.run()
            if self.values:
                self.place.batches += 1
                for reference in self._tensors:
                    tensor = reference()
                    if tensor is not None and tensor.known is None:
                        self.compute(tensor)
                self._begin()
        later, self._later = self._later, []
        if later:
            with _paused():
                for _, work in later:
                    work()

    def add_tape(self, new: GradientTape) -> None:
        """A tape listens; where none else does, the way begins anew rather than in its middle."""
        for reference in self._tapes:
            tape = reference()
            if tape is not None and tape.is_open:
                break
        else:
            if not self._whole_step or self.at.written:
                self.finish()
            self._tapes.clear()
        self._tapes.append(ref(new))

    # -- metrics ---------------------------------------------------------------------

    def waits_for(self, *nests: Any) -> bool:
        """Whether numbers among these are known at the end of the step, and not before."""
        return self._whole_step and _holds_tensors(nests)

    def later(self, metric: Any, update: Callable[[], Any]) -> None:
        """Has a metric updated once numbers are known, at the end of the step at the latest."""
        self._later.append((metric, update))

    def mean_later(self, metric: Any, numbers: tuple[Any, ...]) -> bool:
        """The same of a mean of rows that an op computes: False where none does."""
        found = self.call_metric(metric, *numbers)
        if found is None:
            return False
        total, count = found
        self._later.append((metric, lambda: metric.absorb(float(total), float(count))))
        return True

    def is_to_update(self, metric: Any) -> bool:
        """Whether a metric waits for numbers."""
        return any(waiting is metric for waiting, _ in self._later)

    def result(self, metric: Any, result: Callable[[], Any]) -> Later:
        """What a metric that waits for numbers will give."""
        return Later(self, metric, result)


class Later:
    """The result of a metric that is updated at the end of the step: a number when asked."""

    def __init__(self, recorder: Recorder, metric: Any, result: Callable[[], Any]) -> None:
        self._recorder, self._metric, self._result = recorder, metric, result

    def now(self) -> Any:
        """The result, after all updates."""
        if self._recorder.is_to_update(self._metric):
            self._recorder.finish()
        return self._result()

    def numpy(self) -> Array:
        return np.asarray(self.now())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.now(), dtype)

    def __float__(self) -> float:
        return float(self.now())

    def __format__(self, spec: str) -> str:
        return format(self.now(), spec)

    def __repr__(self) -> str:
        return repr(self.now())


def _holds_tensors(nest: Any) -> bool:
    if isinstance(nest, dict):
        nest = tuple(nest.values())
    if isinstance(nest, list | tuple):
        return any(map(_holds_tensors, nest))
    return isinstance(nest, Tensor) and nest.known is None


@contextmanager
def _paused() -> Iterator[None]:
    """Inside, nothing is noted down: what is recorded are plain values."""
    token = activate(None)
    try:
        yield
    finally:
        deactivate(token)


_DTYPES = {"i": "int32", "u": "int32", "b": "uint8"}


def frozen(thing: Any) -> Any:
    """Something that tells attributes apart."""
    if isinstance(thing, dict):
        return tuple([(name, frozen(thing[name])) for name in sorted(thing)])
    if isinstance(thing, list | tuple):
        return tuple(map(frozen, thing))
    if isinstance(thing, slice):
        return "slice", frozen((thing.start, thing.stop, thing.step))
    if isinstance(thing, np.ndarray):
        return thing.shape, thing.dtype.str, thing.tobytes()
    try:
        hash(thing)
    except TypeError:
        return id(thing)
    return type(thing), thing  # 1, 1.0 and True are equal


def tensors_in(things: Iterable[Any]) -> list[Tensor]:
    """The tensors among these."""
    return [thing for thing in things if isinstance(thing, Tensor)]
