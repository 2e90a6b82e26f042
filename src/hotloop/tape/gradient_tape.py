"""The tape: what was computed within it can be differentiated."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from ..graph import ops
from ..graph.gradients import backward
from ..graph.trace import Value, activate, active_recorder, deactivate, parameter
from ..variables import Variable
from .calls import flat, packed
from .recorder import Entry, Place, Recorder
from .tensor import Tensor


class _OfThread(threading.local):
    """What notes down the tapes of a thread that are in no step of a model."""

    def __init__(self) -> None:
        self.recorder = Recorder(Place())


_of_thread = _OfThread()


class GradientTape:
    """Notes down what is computed within it, so that it can be differentiated.

    Models, layers, losses and operations that are called within it on arrays or variables give
    tensors: shapes now, numbers when somebody asks for them, as by ``float(loss)``. What is done
    again, with other numbers of the same shapes, is not recorded again but found and run compiled.

    Parameters
    ----------
    persistent : bool
        Whether `gradient` may be called more than once.
    watch_accessed_variables : bool
        Whether trainable variables are watched without being asked for.

    Examples
    --------
    >>> import hotloop, numpy as np
    >>> x = np.array([3.0], np.float32)
    >>> with hotloop.GradientTape() as tape:
    ...     x = tape.watch(x)
    ...     y = x * x
    >>> tape.gradient(y, x).numpy()
    array([6.], dtype=float32)
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent, self._of_variables = persistent, watch_accessed_variables
        self._recorder: Recorder | None = None
        self._turn = 0
        self._parts: list[list[int]] = []  # from which call to which it listened
        self._watched: set[Value] = set()
        self._used = False
        self._stack: list[Any] = []

    def __enter__(self) -> Self:
        if self._stack:
            raise ValueError("this GradientTape is recording already: make another one")
        recorder: Recorder | None = active_recorder()
        if recorder is None:
            recorder = _of_thread.recorder
        recorder.add_tape(self)
        if self._recorder is not recorder or self._turn != recorder.turn:
            self._recorder, self._turn = recorder, recorder.turn
            self._parts, self._watched = [], set()
        self._used = False
        self._stack.append(activate(recorder))
        self._parts.append([recorder.at.depth, -1])
        return self

    def __exit__(self, *_: object) -> None:
        deactivate(self._stack.pop())
        self._close()

    def _close(self) -> None:
        assert self._recorder is not None
        if self._turn == self._recorder.turn:
            self._parts[-1][1] = self._recorder.at.depth

    @property
    def is_open(self) -> bool:
        """Whether somebody may still want what it listened to."""
        return bool(self._stack) or not (self._used or self._persistent)

    def watch(self, tensor: Any) -> Any:
        """Has arrays, tensors or variables differentiated for; returns the tensors of arrays.

        Parameters
        ----------
        tensor : array-like, Tensor or Variable, or a nest of them
        """
        recorder = self._listening("watch")
        found = []
        for thing in flat(tensor):
            watched = recorder.watch(thing)
            self._catch_up()
            self._watched.add(recorder.values[watched.slot])
            found.append(thing if isinstance(thing, Variable) else watched)
        return packed(tensor, found)

    def _catch_up(self) -> None:
        """A way that began anew within the tape has forgotten what was before."""
        assert self._recorder is not None
        if self._turn != self._recorder.turn:
            self._turn, self._parts, self._watched = self._recorder.turn, [[0, -1]], set()

    def _listening(self, method: str) -> Recorder:
        if self._recorder is None or not self._stack:
            raise RuntimeError(f"GradientTape.{method}() must be called within the tape")
        return self._recorder

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Inside, what is computed is not differentiated."""
        recorder = self._listening("stop_recording")
        self._close()
        try:
            yield
        finally:
            self._parts.append([recorder.at.depth, -1])

    def reset(self) -> None:
        """Forgets what it listened to."""
        recorder = self._listening("reset")
        self._parts, self._watched = [[recorder.at.depth, -1]], set()

    def watched_variables(self) -> tuple[Variable, ...]:
        """The variables that it watches."""
        return tuple([v.variable for v in self._watched if v.variable is not None])

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: str = "none",
    ) -> Any:
        """The gradient of the sum of the targets for each source.

        Parameters
        ----------
        target : Tensor, or a nest of them
        sources : Variable, Tensor, or a nest of them
        output_gradients : array-like, or a nest of them, optional
            What each target's gradient is to begin with, ones if not given.
        unconnected_gradients : {"none", "zero"}
            What stands for a source that the target does not depend on.

        Returns
        -------
        Tensor or None, in the nest of the sources

        Raises
        ------
        RuntimeError
            The second time, unless the tape is persistent; and where variables that the target
            depends on were changed since.
        """
        how = unconnected_gradients
        if how != "none":
            how = str(getattr(how, "value", how)).lower()
        if how not in ("none", "zero"):
            raise ValueError(
                f"unconnected_gradients must be 'none' or 'zero', not {unconnected_gradients!r}"
            )
        recorder = self._recorder
        if recorder is None:
            raise RuntimeError("this GradientTape has recorded nothing: compute within it")
        if self._used and not self._persistent:
            raise RuntimeError(
                "a GradientTape gives gradients once; pass persistent=True for several"
            )
        targets = [self._known(thing) for thing in flat(target)]
        things = flat(sources)
        seeds = None
        if output_gradients is not None:
            seeds = [
                recorder.tensor(thing, tensor.dtype).slot
                for thing, tensor in zip(
                    [output_gradients] if isinstance(target, Tensor) else flat(output_gradients),
                    targets,
                    strict=True,
                )
            ]
        if self._stack:
            self._close()
        parts = tuple([tuple(part) for part in self._parts])
        slots = tuple([tensor.slot for tensor in targets])
        asks = [self._of_variables, frozenset(self._watched)]
        asks += [
            (id(thing), thing.trainable) if isinstance(thing, Variable) else recorder.slot_in(thing)
            for thing in things
        ]
        key = ("gradient", slots, tuple(seeds or ()), parts, *asks, how)

        def record() -> Entry:
            asked = [self._source(thing) for thing in things]
            values = [recorder.values[slot] for slot in slots]
            return _gradients(recorder, values, seeds, asked, things, parts, how)

        found = iter(recorder.step(key, record))
        made = [next(found) if there else None for there in recorder.at.keeps[-1]]
        self._used = True
        if self._stack:
            self._parts.append([recorder.at.depth, -1])
        return (
            made if type(sources) is list and len(sources) == len(made) else packed(sources, made)
        )

    def jacobian(self, target: Any, sources: Any) -> Any:
        """The gradient of each number of a target, with the target's axes in front.

        Of a tape that is persistent. Each number is a gradient of its own.
        """
        rows = [
            self.gradient(target, sources, output_gradients=one.reshape(target.dims))
            for one in np.eye(target.size, dtype=target.dtype)
        ]
        nests = [flat(row) for row in rows]
        found: list[Any] = []
        for i, source in enumerate(flat(sources)):
            shape = (*target.dims, *(source.shape))
            if nests[0][i] is None:
                found.append(None)
            else:
                found.append(np.stack([np.asarray(nest[i]) for nest in nests]).reshape(shape))
        return packed(sources, found)

    def _known(self, thing: Any) -> Tensor:
        if not isinstance(thing, Tensor):
            raise TypeError(
                f"the target of a gradient must be computed within the tape, not {thing!r}"
            )
        if self._recorder is None or thing.turn != self._recorder.turn or thing.turn != self._turn:
            raise RuntimeError(
                "the gradient of what was computed before variables that it depends on were "
                "changed cannot be had any more: ask for gradients first, then change variables"
            )
        return thing

    def _source(self, thing: Any) -> Value | None:
        """The graph's value of a source; None if it is not watched."""
        assert self._recorder is not None
        if isinstance(thing, Variable):
            value = parameter(thing)
            trained = self._of_variables and thing.trainable
            return value if trained or value in self._watched else None
        tensor = self._recorder.watched(thing)
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"a gradient's source must be a variable or what the tape watches, not {thing!r}"
            )
        if tensor.turn != self._turn:
            return None
        value = self._recorder.values[tensor.slot]
        return None if value.role == "input" and value not in self._watched else value


def _gradients(
    recorder: Recorder,
    targets: list[Value],
    seeds: list[int] | None,
    asked: list[Value | None],
    sources: list[Any],
    parts: Any,
    how: str,
) -> Entry:
    """The branch that computes gradients; the last thing it keeps says which there are."""
    nodes = [
        node
        for entry in recorder.at.way()
        if any(first < entry.depth <= last for first, last in parts)
        for node in entry.nodes
    ]
    pairs = []
    for i, value in enumerate(targets):
        if seeds is not None:
            seed = ops.cast(recorder.values[seeds[i]], value.dtype)
        else:
            ones = Variable(np.ones(value.dims, value.dtype), "ones", row_axes=value.row_axes)
            seed = parameter(ones)
        pairs.append((value, seed))
    wanted = [value for value in asked if value is not None]
    gradients = backward(nodes, pairs, wanted)
    outputs, there = [], []
    for wish, source in zip(asked, sources, strict=True):
        found = None if wish is None else gradients.get(wish)
        if found is None and how == "zero":
            found = parameter(Variable(np.zeros(source.shape, source.dtype), "zeros"))
        there.append(found is not None)
        outputs += [] if found is None else [found]
    return recorder.entry(outputs, keeps=(*sources, tuple(there)))
