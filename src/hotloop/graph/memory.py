"""Memory: every buffer of a plan gets its place in one arena before anything runs."""

from __future__ import annotations

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
    Two values share bytes only where their lifetimes do not meet. A weight's packed gradient gets
    the room that the backend needs for one.

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
        self._share(nodes, last_read)
        self.arena_bytes = self._place(nodes, self._lifetimes(nodes, last_read))

    def offset(self, value: Value) -> int | None:
        return self._offset.get(self.root(value))

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

    @staticmethod
    def _stand_alike(a: Value, b: Value) -> bool:
        return (a.shape, a.dtype, a.rows) == (b.shape, b.dtype, b.rows)

    def _share(self, nodes: Sequence[Node], last_read: dict[Value, int]) -> None:
        """Decides which outputs stand where their input stood."""
        last_use = dict(last_read)  # of a buffer, whatever its names
        for i, node in enumerate(nodes):
            if not node.inputs or not node.outputs or node.output not in last_read:
                continue
            source = node.inputs[0]
            root = self.root(source)
            in_place = (
                node.op.in_place
                and root.role == "temporary"
                and last_use[root] == i
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
        for i, node in enumerate(nodes):
            for value in node.outputs:
                if value in spans:
                    spans[value] = (i, spans[value][1])
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
