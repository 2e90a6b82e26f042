"""Questions about symbolic values."""

from __future__ import annotations

from typing import Any

from ..graph.trace import Value, topological


def get_source_inputs(tensor: Value) -> list[Any]:
    """The inputs that a symbolic value is computed from, in the order in which they are met.

    Parameters
    ----------
    tensor : Value
        What layers made of an `Input`.

    Raises
    ------
    TypeError
        For what is not symbolic.

    Examples
    --------
    >>> import hotloop
    >>> x = hotloop.Input((3,), name="x")
    >>> [value.name for value in get_source_inputs(hotloop.layers.Dense(1)(x))]
    ['x']
    """
    if not isinstance(tensor, Value):
        raise TypeError(
            "get_source_inputs takes a symbolic value, as hotloop.Input and layers give, not "
            f"{type(tensor).__name__}"
        )
    met: dict[Value, None] = {tensor: None} if tensor.role == "input" else {}
    for node in topological([tensor]):
        met |= dict.fromkeys(value for value in node.inputs if value.role == "input")
    return list(met)
