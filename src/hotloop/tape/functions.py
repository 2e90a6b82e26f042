"""Gradients of functions of arrays and variables."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..graph.trace import activate, active_recorder, deactivate
from ..variables import Variable
from .calls import flat, packed
from .gradient_tape import GradientTape
from .recorder import Place, Recorder
from .tensor import Tensor


def value_and_grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives what `function` does, and its gradient.

    Parameters
    ----------
    function : callable
        Returns a number, computed from its arguments by operations, layers and models: arrays,
        `Variable`\\ s, or nests of them. With `has_aux`, a tuple of that and of anything else.
    argnums : int or sequence of int
        Which arguments the gradient is for.
    has_aux : bool

    Returns
    -------
    callable
        Takes what `function` takes and returns ``(value, gradient)``, as arrays: the gradient in
        the nest of the argument, or a tuple of such, 0 where the value does not depend on it.
        It is recorded once for arguments of the same shapes, and may be differentiated again.

    Raises
    ------
    ValueError
        If the value is not one number.

    Examples
    --------
    >>> import hotloop, numpy as np
    >>> model = hotloop.Sequential([hotloop.Input((2,)), hotloop.layers.Dense(1)])
    >>> model.set_weights([[[1.0], [2.0]], [0.0]])
    >>> loss = lambda weights, x, y: hotloop.losses.MeanSquaredError()(y, model(x))
    >>> x, y = np.array([[1.0, 1.0]], np.float32), np.array([[1.0]], np.float32)
    >>> value, (kernel, bias) = hotloop.value_and_grad(loss)(model.trainable_weights, x, y)
    >>> float(value), kernel.ravel(), bias
    (4.0, array([4., 4.], dtype=float32), array([4.], dtype=float32))
    """
    place = Place()
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    @functools.wraps(function)
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        around = active_recorder()
        token = None if around is not None else activate(Recorder(place))
        try:
            with GradientTape() as tape:
                given = list(args)
                for number in numbers:
                    given[number] = tape.watch(args[number])
                found = function(*given, **kwargs)
            value, aux = found if has_aux else (found, None)
            if not isinstance(value, Tensor) or value.size != 1:
                raise ValueError(
                    f"{getattr(function, '__name__', 'a function')}() must return one number, "
                    f"computed from its arguments, to have a gradient; it returned {value!r}"
                )
            sources = [given[number] for number in numbers]
            gradients = tape.gradient(value, sources, unconnected_gradients="zero")
            made = (value, aux) if has_aux else value
            found = made, gradients[0] if isinstance(argnums, int) else tuple(gradients)
            if token is None:
                return found
            return packed(found, [_numbers(leaf) for leaf in flat(found)])
        finally:
            if token is not None:
                deactivate(token)

    return value_and_gradient


def _numbers(thing: Any) -> Any:
    return np.asarray(thing) if isinstance(thing, Tensor | Variable) else thing


def grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives the gradient of `function`: see `value_and_grad`.

    Examples
    --------
    >>> import hotloop, numpy as np
    >>> cube = lambda x: (x * x * x)[0]
    >>> hotloop.grad(cube)(np.array([2.0], np.float32))
    array([12.], dtype=float32)
    >>> slope = lambda x: hotloop.grad(cube)(x)[0]
    >>> hotloop.grad(slope)(np.array([2.0], np.float32))
    array([12.], dtype=float32)
    """
    both = value_and_grad(function, argnums, has_aux)

    @functools.wraps(function)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, found = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient
