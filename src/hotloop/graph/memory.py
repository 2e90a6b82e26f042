"""Memory: every buffer of a plan gets its place in one arena before anything runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .trace import Node, Value

if TYPE_CHECKING:
    from ..backends.plan_traits import Traits

ALIGNMENT = 64  # bytes: one cache line, and the widest vector


class Placement:
    """Where each value of a plan stands: an offset in the arena, in bytes.

    Values that nobody reads have no place: `offset` is None and they need not be computed.
    Two values share bytes only where their lifetimes do not meet, or where one is a window of the
    other, as an op's record says: its rows are columns of the other's, and need not be copied. A
    weight's packed gradient gets the room that the backend needs for one.

    With a red zone, that many bytes behind each value are nobody's, and no two values share any:
    so that a sanitizer can tell who reads or writes beyond the end of its own.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        kept: Iterable[Value],
        batch_size: int,
        traits: Traits,
    ) -> None:
        self._base: dict[Value, Value] = {}
        self._column: dict[Value, int] = {}  # of its base, that a window begins with
        self._done: set[Node] = set()
        self._offset: dict[Value, int] = {}
        self.batch_size = batch_size
        self._packed_size = traits.packed_size
        self._red_zone = traits.red_zone
        kept = tuple(kept)
        last_read = {v: i for i, node in enumerate(nodes) for v in node.inputs}
        last_read.update((v, len(nodes)) for v in kept)
        for i, node in enumerate(nodes):
            if any(value in last_read for value in node.outputs):
                for which in node.op.always:
                    last_read.setdefault(node.outputs[which], i)
        if traits.windows:
            self._open_windows(nodes, {*kept}, last_read)
        self._share(nodes, last_read)
        self.arena_bytes = self._place(nodes, self._lifetimes(nodes, last_read))

    def offset(self, value: Value) -> int | None:
        first = 0
        while value in self._base:
            first += self._column.get(value, 0)
            value = self._base[value]
        start = self._offset.get(value)
        return None if start is None else start + first * np.dtype(value.dtype).itemsize

    def row(self, value: Value) -> int:
        """Elements from one row of the last axis to the next: more than it has, of a window."""
        last = value
        while value in self._base:
            window, value = value in self._column, self._base[value]
            if window:
                last = value
        return last.dims[-1] if last.dims else 1

    def is_window(self, value: Value) -> bool:
        """Whether it, or what it is another name of, is columns of another value."""
        return self.row(value) != (value.dims[-1] if value.dims else 1)

    def strides(self, value: Value) -> tuple[int, ...]:
        """Bytes from one index to the next of each axis, the batch's first if it has one."""
        steps = [np.dtype(value.dtype).itemsize]
        if value.dims:
            steps.append(steps[0] * self.row(value))
        for n in value.dims[-2::-1]:
            steps.append(steps[-1] * n)
        return tuple(reversed(steps[: len(value.dims) + value.batched]))

    def is_done(self, node: Node) -> bool:
        """Whether there is nothing to do for a node: what it makes is there under its name."""
        return node.op.view or node in self._done

    def bytes(self, value: Value) -> int:
        size = value.size
        if value.batched:
            size *= self.batch_size
        elif value.row_axes:
            size = self._packed_size(value.rows, size // value.rows, value.dtype)
        return size * np.dtype(value.dtype).itemsize

    def gaps(self) -> list[tuple[int, int]]:
        """The red zones, as offsets of their first byte and of the one behind them."""
        if not self._red_zone or not self._offset:
            return []
        placed = sorted((start, start + self.bytes(v)) for v, start in self._offset.items())
        behind = [*(start for start, _ in placed[1:]), self.arena_bytes]
        return [(end, start) for (_, end), start in zip(placed, behind, strict=True)]

    def root(self, value: Value) -> Value:
        """The value in whose bytes it stands: itself, or what it is another name of."""
        while value in self._base:
            value = self._base[value]
        return value

    def _open_windows(
        self, nodes: Sequence[Node], kept: set[Value], last_read: dict[Value, int]
    ) -> None:
        """Decides which values are windows of others, the last nodes first.

        What is written as a window is made for it by one node, and all that reads it, under any
        name, can read windows with rows of its length.
        """
        makers = {value: node for node in nodes for value in node.outputs}
        readers: defaultdict[Value, list[tuple[Node, int]]] = defaultdict(list)
        for node in nodes:
            for i, value in enumerate(node.inputs):
                readers[value].append((node, i))

        def fits(value: Value, cols: int, opener: Node) -> bool:
            if value in kept or value.dims[-1:] != (cols,):
                return False
            return all(
                (
                    node.output.batched and fits(node.output, cols, opener)
                    if node.op.view
                    else i in node.op.reads_windows
                )
                for node, i in readers[value]
                if node is not opener
            )

        for node in reversed(nodes):
            windows = node.op.windows(node)
            opened = 0
            for window, of, column in windows:
                made, cols = window, window.dims[-1]
                while made in makers and makers[made].op.view:
                    made = makers[made].inputs[0]
                if (
                    window.batched
                    and of.batched
                    and of in last_read
                    and made.batched
                    and made in last_read
                    and made in makers
                    and made not in self._base
                    and made is makers[made].output
                    and (makers[made] is node or makers[made].op.writes_windows)
                    and fits(made, cols, node)
                ):
                    self._base[made], self._column[made] = of, column
                    opened += 1
            if windows and opened == len(windows):
                self._done.add(node)

    @staticmethod
    def _stand_alike(a: Value, b: Value) -> bool:
        return (a.shape, a.dtype, a.rows) == (b.shape, b.dtype, b.rows)

    def _share(self, nodes: Sequence[Node], last_read: dict[Value, int]) -> None:
        """Decides which outputs stand where their input stood."""
        last_use: dict[Value, int] = {}  # of a buffer, whatever its names
        for value, last in last_read.items():
            root = self.root(value)
            last_use[root] = max(last_use.get(root, last), last)
        for i, node in enumerate(nodes):
            if (
                not node.inputs
                or not node.outputs
                or node.output not in last_read
                or node.output in self._base
            ):
                continue
            source = node.inputs[0]
            root = self.root(source)
            in_place = (
                node.op.in_place
                and root.role == "temporary"
                and last_use[root] == i
                and not self.is_window(source)
                and self._stand_alike(source, node.output)
            )
            if node.op.view or in_place:
                self._base[node.output] = source
                last_use[root] = max(last_use[root], last_read[node.output])

    def _lifetimes(
        self, nodes: Sequence[Node], last_read: dict[Value, int]
    ) -> dict[Value, tuple[int, int]]:
        """First write and last read of each buffer."""
        spans: dict[Value, tuple[int, int]] = {}
        for value, last in last_read.items():
            root = self.root(value)
            if root.role != "parameter":
                first, known = spans.get(root, (-1, -1))
                spans[root] = (first, max(known, last))
        made = {value for node in nodes for value in node.outputs}
        for i, node in reversed([*enumerate(nodes)]):  # so that the first one stays
            for root in map(self.root, node.outputs):
                if root in spans and root in made:
                    spans[root] = (i, spans[root][1])
        return spans

    def _place(self, nodes: Sequence[Node], spans: dict[Value, tuple[int, int]]) -> int:
        """First fit, in order of birth; returns the arena's size."""
        placed: list[tuple[int, int, int, int]] = []  # offset, end, first, last
        size = 0
        for value, (first, last) in sorted(spans.items(), key=lambda item: item[1][0]):
            need = -(-self.bytes(value) // ALIGNMENT) * ALIGNMENT + self._red_zone
            offset = 0
            for start, end, born, dies in sorted(placed):
                if self._red_zone or (dies >= first and born <= last):
                    if offset + need <= start:
                        break
                    offset = max(offset, end)
            placed.append((offset, offset + need, first, last))
            self._offset[value] = offset
            size = max(size, offset + need)
        return size
