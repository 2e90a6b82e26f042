"""Activations that have options, as layers of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import activations, constraints, initializers, naming, regularizers
from ..graph import ops
from ..graph.trace import Value
from .base import Layer, Shape


class ReLU(Layer):
    """Rectified linear unit: ``y = min(max(x, 0), max_value)``, with a slope below 0.

    Parameters
    ----------
    max_value : float, optional
        The largest output; none if not given.
    negative_slope : float
        Of inputs below 0.
    threshold : float
        Inputs up to it are 0, or, with a slope, ``negative_slope * (x - threshold)``.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        For a negative max_value, negative_slope or threshold.

    Examples
    --------
    >>> from hotloop.layers import ReLU
    >>> ReLU(max_value=6.0)([[-1.0, 2.0, 8.0]])
    array([[0., 2., 6.]], dtype=float32)
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if max_value is not None and max_value < 0:
            raise ValueError(f"{self.describe()}: max_value must be at least 0, not {max_value!r}")
        if negative_slope is None or negative_slope < 0:
            raise ValueError(
                f"{self.describe()}: negative_slope must be at least 0, not {negative_slope!r}"
            )
        if threshold is None or threshold < 0:
            raise ValueError(f"{self.describe()}: threshold must be at least 0, not {threshold!r}")
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def call(self, x: Value) -> Any:
        return activations.relu(x, self.negative_slope, self.max_value, self.threshold)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


class LeakyReLU(Layer):
    """``y = x`` where x > 0, else ``negative_slope * x`` (Maas et al., 2013).

    Parameters
    ----------
    negative_slope : float
        Above 0.
    **options
        As in `Layer`.

    Examples
    --------
    >>> from hotloop.layers import LeakyReLU
    >>> LeakyReLU(0.5)([[-1.0, 2.0]])
    array([[-0.5,  2. ]], dtype=float32)
    """

    def __init__(self, negative_slope: float = 0.3, **options: Any) -> None:
        super().__init__(**options)
        if negative_slope is None or negative_slope < 0:
            raise ValueError(
                f"{self.describe()}: negative_slope must be at least 0, not {negative_slope!r}"
            )
        self.negative_slope = negative_slope

    def call(self, x: Value) -> Any:
        return activations.relu(x, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"negative_slope": self.negative_slope}


class PReLU(Layer):
    """``y = x`` where x > 0, else ``alpha * x``, alpha being trained (He et al., 2015).

    The gradient where x is 0 is 0.

    Parameters
    ----------
    alpha_initializer : str or Initializer
        First values of alpha: one for each element of an example.
    alpha_regularizer : str or Regularizer, optional
        The penalty that the loss gains for it.
    alpha_constraint : str or Constraint, optional
        What it is made to be after each step; norms are taken over its first axis.
    shared_axes : int or list of int, optional
        Axes of the input, from 1, along which alpha has one value: the first ones of an example,
        as 1, or 1 and 2.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        For inputs without features, and other shared axes.

    Examples
    --------
    >>> from hotloop.layers import PReLU
    >>> PReLU("ones")([[-1.0, 2.0]]), PReLU()([[-1.0, 2.0]])
    (array([[-1.,  2.]], dtype=float32), array([[-0.,  2.]], dtype=float32))
    """

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        axes = [shared_axes] if isinstance(shared_axes, int) else shared_axes
        self.shared_axes = None if axes is None else list(axes)

    def build(self, input_shape: Shape) -> None:
        shape = list(input_shape[1:])
        shared = sorted(self.shared_axes or [])
        if not shape:
            raise ValueError(
                f"{self.describe()} needs inputs of shape (batch, features), got {input_shape}"
            )
        if shared != list(range(1, len(shared) + 1)) or len(shared) > len(shape):
            raise ValueError(
                f"{self.describe()}: shared_axes must be the first axes of an example, as 1, or 1 "
                f"and 2, of an input of shape {input_shape}; {self.shared_axes} is not supported"
            )
        shape[: len(shared)] = [1] * len(shared)
        self.alpha = self.add_weight(
            shape,
            self.alpha_initializer,
            "alpha",
            self.alpha_regularizer,
            constraint=self.alpha_constraint,
            row_axes=0,
        )

    def call(self, x: Value) -> Any:
        shared = len(self.shared_axes or [])
        if x.dims[shared:] != self.alpha.shape[shared:] or len(x.dims) != len(self.alpha.shape):
            raise ValueError(
                f"{self.describe()} has an alpha of shape {self.alpha.shape} but got an input of "
                f"shape {x.shape}"
            )
        rows = ops.reshape(x, (math.prod(x.dims[:shared]), self.alpha.size))
        return ops.reshape(ops.prelu(rows, self.alpha), x.dims)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "alpha_initializer": naming.serialize(self.alpha_initializer),
            "alpha_regularizer": naming.serialize(self.alpha_regularizer),
            "alpha_constraint": naming.serialize(self.alpha_constraint),
            "shared_axes": self.shared_axes,
        }


class ELU(Layer):
    """``y = x`` where x > 0, else ``alpha * (exp(x) - 1)`` (Clevert et al., 2015).

    Parameters
    ----------
    alpha : float
        Above 0.
    **options
        As in `Layer`.

    Examples
    --------
    >>> from hotloop.layers import ELU
    >>> ELU()([[0.0, 2.0]])
    array([[0., 2.]], dtype=float32)
    """

    def __init__(self, alpha: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        if not alpha > 0:
            raise ValueError(f"{self.describe()}: alpha must be above 0, not {alpha!r}")
        self.alpha = alpha

    def call(self, x: Value) -> Any:
        return activations.elu(x, self.alpha)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"alpha": self.alpha}


class Softmax(Layer):
    """``y_i = exp(x_i) / sum_j exp(x_j)`` over the last axis.

    Parameters
    ----------
    axis : int
        Only -1 is supported.
    **options
        As in `Layer`.

    Examples
    --------
    >>> from hotloop.layers import Softmax
    >>> Softmax()([[0.0, 0.0]])
    array([[0.5, 0.5]], dtype=float32)
    """

    def __init__(self, axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = axis

    def call(self, x: Value) -> Any:
        if self.axis not in (-1, len(x.dims)):
            raise ValueError(
                f"{self.describe()} works over the last axis of its input of shape {x.shape}; "
                f"axis={self.axis!r} is not supported"
            )
        return activations.softmax(x)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis}
