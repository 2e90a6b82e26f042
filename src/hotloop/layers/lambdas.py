"""Any function of arrays as a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..graph import ops
from ..graph.trace import Value
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
    It cannot be written to a file: functions are code. `clone_model` copies it.

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

        dims = self._dims(inputs, several, value)
        return ops.python(inputs, dims, value, None if gradient is None else gradients)

    def _dims(
        self, inputs: Sequence[Value], several: bool, value: Callable[..., Any]
    ) -> tuple[int, ...]:
        """The output's shape, of one example."""
        shapes = [v.shape for v in inputs]
        given = self.output_shape
        if callable(given):
            given = given(shapes if several else shapes[0])
        if given is not None:
            given = (given,) if isinstance(given, int) else tuple(given)
            return check_shape(self, "output_shape", given[1:] if given[:1] == (None,) else given)
        try:
            with np.errstate(all="ignore"):
                found = np.shape(value(*(np.ones((2, *v.dims), v.dtype) for v in inputs)))
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
    def from_config(cls, config: Mapping[str, Any]) -> Layer:
        if not callable(config.get("function")):
            raise ValueError(
                f"Lambda '{config.get('name')}' cannot be made from a file: its function is code, "
                "and files are data. Make the model in Python and load its weights"
            )
        return cls(**config)
