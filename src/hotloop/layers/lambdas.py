"""Any function of arrays as a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .. import registry
from ..graph import ops
from ..graph.trace import Value
from ..lengths import is_open
from .base import Layer, check_shape

Array = NDArray[Any]


class Lambda(Layer):
    """A function of whole arrays, which Python computes with NumPy: ``y = function(x)``.

    It runs at every batch, takes the GIL, and one thread waits for it with all others: slower than
    any other layer. Where one function of single numbers would do, `Activation` compiles it.

    Parameters
    ----------
    function : callable
        Given an array of shape (batch, ...), or a list of them if the layer was called on a list;
        returns an array of the output's shape. Inputs must not be written to, and are other
        numbers after the call: copy what is to be kept.
    output_shape : tuple of int or callable, optional
        Of one example, or a function of the input's shape (with None for the batch) that returns
        it with or without; found by a call on two examples of ones if not given.
    arguments : dict, optional
        Keyword arguments of `function`, and of `gradient`.
    gradient : callable, optional
        ``gradient(x, dy)``: the gradient with respect to x, dy being that with respect to y; a list
        of them for a list of inputs. Without it, no weight in front of the layer can be trained.
    **options
        As in `Layer`.

    Raises
    ------
    TypeError
        If `function` or `gradient` cannot be called.
    ValueError
        If the output's shape cannot be found, or what is returned has another one; in training,
        for a missing gradient.

    Notes
    -----
    A file names the function, which must have a name; `hotloop.saving` says how one is found that
    reads the file. A lambda cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> from hotloop.layers import Lambda
    >>> Lambda(lambda x: x[:, ::-1])(np.array([[1.0, 2.0]]))
    array([[2., 1.]], dtype=float32)
    """

    takes_list = True

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        *,
        arguments: Mapping[str, Any] | None = None,
        gradient: Callable[..., Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        for name, given in (("function", function), ("gradient", gradient)):
            if not callable(given) and (given is not None or name == "function"):
                raise TypeError(f"{self.describe()}: {name} must be a function, not {given!r}")
        self.function = function
        self.output_shape = output_shape
        self.arguments = dict(arguments or {})
        self.gradient = gradient

    def call(self, x: Value | Sequence[Value]) -> Value:
        several = not isinstance(x, Value)
        inputs: list[Value] = [x] if isinstance(x, Value) else list(x)
        function, gradient, arguments = self.function, self.gradient, self.arguments

        def value(*arrays: Array) -> Any:
            return function(list(arrays) if several else arrays[0], **arguments)

        def gradients(*arrays: Array) -> Any:
            assert gradient is not None
            *given, dy = arrays
            found = gradient(given if several else given[0], dy, **arguments)
            return found if several else [found]

        # Where axes are open, None in front of a shape is not taken for the batch.
        with_batch = callable(self.output_shape) or not any(is_open(v.dims) for v in inputs)
        dims = partial(self._dims, several, value, with_batch)
        return ops.python(inputs, dims, value, None if gradient is None else gradients)

    def _dims(
        self, several: bool, value: Callable[..., Any], with_batch: bool, inputs: Sequence[Value]
    ) -> tuple[int | None, ...]:
        """The output's shape, of one example; None where it depends on lengths that are open."""
        are_open = any(is_open(v.dims) for v in inputs)
        shapes = [v.shape for v in inputs]
        given = self.output_shape
        if callable(given):
            given = given(shapes if several else shapes[0])
        if given is not None:
            given = (given,) if isinstance(given, int) else tuple(given)
            given = given[1:] if with_batch and given[:1] == (None,) else given
            given = check_shape(self, "output_shape", given)
            if are_open or None not in given:
                return given
        shape = self._found_dims(value, inputs, 2)
        if not are_open:
            return shape
        other = self._found_dims(value, inputs, 3)
        if len(shape) != len(other):
            raise ValueError(
                f"{self.describe()}: its function returns arrays with other numbers of axes for "
                f"other lengths of its input, {shape} and {other}; pass output_shape=..."
            )
        return tuple([a if a == b else None for a, b in zip(shape, other, strict=True)])

    def _found_dims(
        self, value: Callable[..., Any], inputs: Sequence[Value], length: int
    ) -> tuple[int, ...]:
        """The output's shape where open axes are that long, by calling the function."""
        shapes = ([length if d is None else d for d in v.shape[1:]] for v in inputs)
        ones = [np.ones((2, *dims), v.dtype) for dims, v in zip(shapes, inputs, strict=True)]
        try:
            with np.errstate(all="ignore"):
                found = np.shape(value(*ones))
        except Exception as error:
            raise ValueError(
                f"{self.describe()}: its function failed on two examples of ones "
                f"({type(error).__name__}: {error}); pass output_shape=..."
            ) from error
        if found[:1] != (2,):
            raise ValueError(
                f"{self.describe()}: its function returned the shape {found} for two examples; "
                "expected (2, ...)"
            )
        return tuple(found[1:])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "function": self.function,
            "output_shape": self.output_shape,
            "arguments": self.arguments,
            "gradient": self.gradient,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        function = config.get("function")
        if isinstance(function, Mapping):
            function = registry.named_in(function)
        if not callable(function):
            raise ValueError(
                f"Lambda '{config.get('name')}' cannot be made from a file: its function is code, "
                "and files are data, which name it. One of your own: " + registry.HOW_TO_NAME
            )
        return super().from_config(config)
