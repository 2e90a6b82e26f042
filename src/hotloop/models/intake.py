"""What becomes of a model's input arrays before a plan reads them.

Row numbers are checked and read as integers. Preprocessing that is no arithmetic, such as the
look-up of strings, is done here, in NumPy, once for all examples of a call: what then runs for
each batch is numbers only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from ..graph import ops
from ..graph.trace import Node, Value, topological
from ..layers.base import Layer

Array = NDArray[Any]

_MOVES = (ops.RESHAPE, ops.PERMUTE)  # what leaves the numbers as they are


class Intake:
    """From the arrays that callers pass to those that a plan reads.

    Parameters
    ----------
    inputs, outputs : sequence of Value
        Of a model.
    besides : sequence of Value
        What else it computes.

    Attributes
    ----------
    values : list of Value
        What the plan reads, in the order of the arrays that calling this returns: the inputs
        themselves, or what they are prepared to.
    text : mapping of int to bool
        Which of the inputs may hold strings, and whether some of them may be missing.
    dims : tuple of int or None
        The shape of an example, if there is one input and plans read it as it is.

    Raises
    ------
    ValueError
        If something is prepared that is not known before the model runs.
    """

    def __init__(
        self, inputs: Sequence[Value], outputs: Sequence[Value], besides: Sequence[Value] = ()
    ) -> None:
        ends = [*outputs, *besides]
        nodes = topological(ends)
        self.outputs = list(outputs)
        self._inputs = {value: i for i, value in enumerate(inputs)}
        self._layers = _with_state(node.layer for node in nodes)
        known = set(self._prepared(nodes))
        rest = topological(ends, known)
        read = {value for node in rest for value in node.inputs} | set(ends)
        self.values = [v for v in inputs if v in read or not known]
        self.values += [v for v in dict.fromkeys(n.output for n in nodes) if v in known & read]
        raw = {self._inputs[value] for value in self.values if value in self._inputs}
        self._plain = not known and not self._layers
        self.dims = inputs[0].dims if self._plain and len(inputs) == 1 else None
        of_text = self._of_text() if known else {}
        self.text = {i: missing for i, missing in of_text.items() if i not in raw}

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """The arrays of `values`, in place where nothing is to be done to them.

        Raises
        ------
        ValueError
            For indices out of range, and layers that have not seen the data that they adapt to.
        """
        if self._plain:
            return list(arrays)
        for layer in self._layers:
            layer.check_ready()
        prepared = []
        for value in self.values:
            source, nodes = ops.source_of(value)
            index = self._inputs[source]
            name = "x" if len(arrays) == 1 else f"x[{index}]"
            array = arrays[index]
            for node in _checked_first(nodes):
                assert node.op.before_model is not None
                array = node.op.before_model(node, array, name)
            prepared.append(array)
        return prepared

    def _prepared(self, nodes: Sequence[Node]) -> Iterator[Value]:
        """What can be made of the inputs before the model runs."""
        for node in nodes:
            if node.op.before_model is not None and node.op not in _MOVES:
                source, _ = ops.source_of(node.output)
                if source in self._inputs:
                    yield node.output
                elif node.op is ops.PREPARE:
                    who = node.layer.describe() if node.layer is not None else "a layer"
                    raise ValueError(
                        f"{who} looks its input up before the model runs, so it must be called "
                        "on one of the model's inputs, not on what other layers compute"
                    )

    def _of_text(self) -> dict[int, bool]:
        """The inputs that all uses take as strings, and whether all take missing ones."""
        found: dict[int, bool] = dict.fromkeys(self._inputs.values(), True)
        for value in self.values:
            source, nodes = ops.source_of(value)
            i = self._inputs[source]
            first = next((node for node in nodes if node.op not in _MOVES), None)
            reader = None if first is None else _reader(first)
            if reader is None:
                found.pop(i, None)
            elif i in found:
                found[i] = found[i] and reader.takes_missing
        return found


def _with_state(layers: Iterable[Layer | None]) -> list[Layer]:
    """Those that may not be ready."""
    return [
        layer
        for layer in dict.fromkeys(layers)
        if layer is not None and type(layer).check_ready is not Layer.check_ready
    ]


def _reader(node: Node) -> Layer | None:
    """The layer by which a node reads strings, if it does."""
    owner = getattr(node.attributes.get("function"), "__self__", None)
    return owner if isinstance(owner, Layer) and owner.takes_text else None


def _checked_first(nodes: Sequence[Node]) -> list[Node]:
    """The nodes, a check before axes are moved: it says where in the caller's array a value is."""
    ordered = list(nodes)
    for i in range(len(ordered) - 1, 0, -1):
        if ordered[i].op is ops.INDICES and ordered[i - 1].op is ops.PERMUTE:
            ordered[i - 1], ordered[i] = ordered[i], ordered[i - 1]
    return ordered
