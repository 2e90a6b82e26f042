"""A dense layer whose product is told by letters for axes."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Sequence
from typing import Any, NamedTuple

from .. import activations, constraints, initializers, naming, regularizers
from ..graph import ops
from ..graph.ops.weights import weights_of
from ..graph.trace import Value, apply
from .base import Layer, Shape

_LETTERS = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


class _Letters(NamedTuple):
    """Axes of input, sum, kernel's columns and output, without the batch."""

    read: str
    over: str
    new: str
    made: str


def _in_order(x: Value, letters: str, wanted: list[str]) -> Value:
    axes = tuple(letters.index(c) for c in wanted)
    return x if axes == tuple(range(len(axes))) else ops.permute(x, axes)


class EinsumDense(Layer):
    """``y = f(einsum(equation, x, kernel) + bias)``.

    Parameters
    ----------
    equation : str
        Letters for the axes of input, kernel and output, the batch being the first of the input:
        ``"abc,cd->abd"``. ``...`` may stand in front of, or behind, those of input and output.
    output_shape : int or tuple of int
        Lengths of the output's axes but the batch and those that ``...`` stands for; None where the
        input decides.
    activation : str or function, optional
        f; `linear` if not given.
    bias_axes : str, optional
        The letters of the output's axes that the bias has; no bias if not given.
    kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, kernel_constraint, \
bias_constraint
        As in `Dense`.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        For an equation of another form, or that does not fit the input.

    Examples
    --------
    >>> import numpy as np
    >>> EinsumDense("abc,cd->abd", (None, 4), bias_axes="d")(np.ones((2, 5, 3))).shape
    (2, 5, 4)
    """

    def __init__(
        self,
        equation: str,
        output_shape: int | Sequence[int | None],
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.equation = equation
        self.partial_output_shape = (
            (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        )
        self.activation = activations.get(activation)
        self.bias_axes = bias_axes
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.bias: Any = None
        self._letters: _Letters | None = None

    def build(self, input_shape: Shape) -> None:
        kernel, bias = self._shapes(input_shape)
        self._letters = self._of_product(len(input_shape))
        self.kernel = self.add_weight(
            kernel,
            self.kernel_initializer,
            "kernel",
            self.kernel_regularizer,
            constraint=self.kernel_constraint,
            row_axes=0 if self._letters is None else len(self._letters.over),
        )
        if bias is not None:
            self.bias = self.add_weight(
                bias,
                self.bias_initializer,
                "bias",
                self.bias_regularizer,
                constraint=self.bias_constraint,
                row_axes=0,
            )

    def call(self, x: Value) -> Any:
        from .. import ops as public  # which takes time to import, and few models need

        if self._letters is None:
            y = public.einsum(self.equation, x, self.kernel)
        else:
            y = self._product(x, self._letters)
        if self.bias is not None:
            one_axis = len(self.bias.shape) == 1
            y = ops.add_bias(y, self.bias) if one_axis else ops.add(y, *weights_of(y, self.bias))
        return self.activation(y)

    def _of_product(self, axes: int) -> _Letters | None:
        """The letters of input, kernel and output without the batch, if it is one product.

        It is, where each of the kernel's axes is the input's or the output's, those of the input
        first: the kernel is kept as a matrix then.
        """
        found = _LETTERS.fullmatch(self.equation.replace(" ", ""))
        assert found is not None
        before, read, behind, of_kernel, _, made, _ = found.groups()
        free = "".join(c for c in string.ascii_letters if c not in self.equation)
        more = free[: axes - len(read)]
        read = (more if before else "") + read + (more if behind else "")
        made = (more if before else "") + made + (more if behind else "")
        over = "".join(c for c in of_kernel if c in read)
        new = of_kernel[len(over) :]
        one_product = (
            of_kernel == over + new
            and not set(over) & set(made)
            and read[0] == made[0]
            and all(len(set(part)) == len(part) for part in (read, of_kernel, made))
            and set(made) == set(read) - set(over) | set(new)
            and over
            and new
        )
        return _Letters(read[1:], over, new, made[1:]) if one_product else None

    def _product(self, x: Value, letters: _Letters) -> Value:
        kept = [c for c in letters.read if c not in letters.over]
        x = _in_order(x, letters.read, [*kept, *letters.over])
        dims = dict(zip([*kept, *letters.over], x.dims, strict=True))
        inputs = math.prod(self.kernel.shape[: len(letters.over)])
        x = ops.reshape(x, (*x.dims[: len(kept)], inputs))
        (kernel,) = weights_of(x, self.kernel)
        y = apply(ops.MATMUL, x, ops.reshape(kernel, (inputs, self.kernel.size // inputs)))
        new = self.kernel.shape[len(letters.over) :]
        y = ops.reshape(y, (*(dims[c] for c in kept), *new))
        return _in_order(y, "".join([*kept, *letters.new]), list(letters.made))

    def _shapes(
        self, input_shape: Shape
    ) -> tuple[tuple[int | None, ...], tuple[int | None, ...] | None]:
        """Those of kernel and bias."""
        found = _LETTERS.fullmatch(self.equation.replace(" ", ""))
        if found is None or (found[1], found[3]) != (found[5], found[7]) or (found[1] and found[3]):
            raise ValueError(
                f"{self.describe()}: equation={self.equation!r} must be of the form 'ab,bc->ac', "
                "'...ab,bc->...ac' or 'ab...,bc->ac...'"
            )
        before, read, behind, of_kernel, _, made, _ = found.groups()
        more = len(input_shape) - len(read)
        if more < 0 or (more and not (before or behind)):
            raise ValueError(
                f"{self.describe()}: equation={self.equation!r} names {len(read)} axes of an input "
                f"of shape {input_shape}"
            )
        first = more if before else 0
        lengths = dict(zip(read, input_shape[first:], strict=False))
        inner = made if before and more else made[1:]  # without the batch
        if len(inner) != len(self.partial_output_shape):
            raise ValueError(
                f"{self.describe()}: output_shape={self.partial_output_shape} has "
                f"{len(self.partial_output_shape)} axes; expected those of '{inner}'"
            )
        for letter, length in zip(inner, self.partial_output_shape, strict=True):
            known = lengths.get(letter)
            if length is None and letter not in lengths:
                raise ValueError(
                    f"{self.describe()}: the length of the output's axis '{letter}' is not known; "
                    "output_shape must say it"
                )
            if length is not None and known is not None and known != length:
                raise ValueError(
                    f"{self.describe()}: the axis '{letter}' has the length {known} in the input "
                    f"and {length} in output_shape"
                )
            if length is not None:
                lengths[letter] = length
        for letter in of_kernel:
            if letter not in lengths:
                raise ValueError(
                    f"{self.describe()}: the kernel's axis '{letter}' is in neither input nor "
                    f"output of {self.equation!r}"
                )
        for letter in made:
            if letter not in read and letter not in of_kernel:
                raise ValueError(
                    f"{self.describe()}: the output's axis '{letter}' is in neither input nor "
                    f"kernel of {self.equation!r}"
                )
        kernel = tuple(lengths[letter] for letter in of_kernel)
        if self.bias_axes is None:
            return kernel, None
        for letter in self.bias_axes:
            if letter not in made:
                raise ValueError(
                    f"{self.describe()}: bias_axes has '{letter}', which is no axis of the output"
                )
        rest = made[min(made.index(letter) for letter in self.bias_axes) :]
        bias = tuple(lengths[letter] if letter in self.bias_axes else 1 for letter in rest)
        return kernel, bias + (1,) * (more if behind else 0)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "equation": self.equation,
            "output_shape": self.partial_output_shape,
            "activation": naming.serialize(self.activation),
            "bias_axes": self.bias_axes,
            "kernel_initializer": naming.serialize(self.kernel_initializer),
            "bias_initializer": naming.serialize(self.bias_initializer),
            "kernel_regularizer": naming.serialize(self.kernel_regularizer),
            "bias_regularizer": naming.serialize(self.bias_regularizer),
            "kernel_constraint": naming.serialize(self.kernel_constraint),
            "bias_constraint": naming.serialize(self.bias_constraint),
        }
