"""A function of `hotloop.ops` as a layer: what a model made of functions and layers knows it by."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from .. import config, naming
from ..graph.trace import Value
from ..variables import Variable
from .base import Layer


class Operation(Layer):
    """A function of `hotloop.ops`, or of `hotloop.random`, of a model's values.

    It is made by itself where such a function is called on what `Input` and layers made.

    Parameters
    ----------
    function : str
        Its module in hotloop and its name, as ``"ops.expand_dims"``.
    arguments : list
        Positional and keyword arguments, in which ``{"value": i}`` stands for the layer's i-th
        input, ``{"array": [...], "dtype": "..."}`` for an array, and ``{"slice": [...]}`` for a
        slice.

    Examples
    --------
    >>> from hotloop import Input, ops
    >>> ops.expand_dims(Input((3,)), -1).shape
    (None, 3, 1)
    """

    takes_list = True

    def __init__(self, function: str, arguments: Any, **options: Any) -> None:
        super().__init__(**options)
        self.function = function
        self.arguments = arguments

    def call(self, x: Any) -> Any:
        """The function, of these values in their places."""
        module, _, name = self.function.rpartition(".")
        function = getattr(import_module(f"hotloop.{module}"), name)
        args, kwargs = _decoded(self.arguments, x if isinstance(x, list) else [x])
        return function(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "function": self.function,
            "arguments": _plain(self.arguments),
        }


def as_layer(function: Any, args: Any, kwargs: Any) -> Any:
    """A layer of a function, called on the values among its arguments."""
    values: list[Value] = []
    arguments = [_encoded(list(args), values, function.__name__), {}]
    arguments[1] = {name: _encoded(one, values, function.__name__) for name, one in kwargs.items()}
    floats = [x.dtype for x in values if x.dtype.startswith("float")]
    layer = Operation(
        f"{'random' if function.__module__ == 'hotloop.ops.draws' else 'ops'}.{function.__name__}",
        arguments,
        name=naming.unique_name(function.__name__),
        dtype=floats[0] if floats else config.floatx(),
    )
    made = layer(values)
    return tuple(made) if isinstance(made, list) else made


def _encoded(thing: Any, values: list[Value], who: str) -> Any:
    """An argument with values taken out of it."""
    from ..ops.tensors import Batch

    if isinstance(thing, Value | Batch):
        value = thing.of if isinstance(thing, Batch) else thing
        at = next((i for i, known in enumerate(values) if known is value), len(values))
        if at == len(values):
            values.append(value)
        return {"batch_of" if isinstance(thing, Batch) else "value": at}
    if isinstance(thing, Variable):
        raise TypeError(
            f"{who} of a symbolic value and the weight '{thing.path}': only the call() of the "
            "layer whose add_weight() has made it may use it"
        )
    if isinstance(thing, np.ndarray):
        return {"array": thing, "dtype": thing.dtype.name}
    if isinstance(thing, slice):
        return {"slice": [thing.start, thing.stop, thing.step]}
    if thing is Ellipsis:
        return {"slice": "..."}
    if isinstance(thing, tuple):
        return {"tuple": [_encoded(part, values, who) for part in thing]}
    if isinstance(thing, list):
        return [_encoded(part, values, who) for part in thing]
    if isinstance(thing, Mapping):
        return {"dict": {name: _encoded(part, values, who) for name, part in thing.items()}}
    return thing.item() if isinstance(thing, np.generic) else thing


def _decoded(thing: Any, values: list[Value]) -> Any:
    """The argument again."""
    from ..ops.tensors import Batch

    if isinstance(thing, list):
        return [_decoded(part, values) for part in thing]
    if not isinstance(thing, Mapping):
        return thing
    if len(thing) <= 2:
        kind = next(iter(thing), "")
        content = thing.get(kind)
        if kind == "value":
            return values[int(content)]  # type: ignore[arg-type]
        if kind == "batch_of":
            return Batch(values[int(content)])  # type: ignore[arg-type]
        if kind == "array" and "dtype" in thing:
            return np.asarray(content, thing["dtype"])
        if kind == "slice":
            return Ellipsis if content == "..." else slice(*content)  # type: ignore[misc]
        if kind == "tuple":
            return tuple(_decoded(content, values))
        if kind == "dict":
            return {name: _decoded(part, values) for name, part in content.items()}  # type: ignore[union-attr]
    return {name: _decoded(part, values) for name, part in thing.items()}


def _plain(thing: Any) -> Any:
    """Arguments as JSON has them."""
    if isinstance(thing, np.ndarray):
        return thing.tolist()
    if isinstance(thing, Mapping):
        return {name: _plain(part) for name, part in thing.items()}
    if isinstance(thing, list):
        return [_plain(part) for part in thing]
    if isinstance(thing, bool | int | float | str) or thing is None:
        return thing
    raise ValueError(
        f"a function of hotloop.ops was called with {thing!r}, which a model's configuration does "
        "not hold; do it in the call() of a layer of your own"
    )
