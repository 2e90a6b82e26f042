"""Dense, Activation and Identity."""

from __future__ import annotations

from typing import Any

from .. import activations, constraints, initializers, naming, regularizers
from ..graph import ops
from ..graph.trace import Value
from .base import Layer, Shape, check_count


class Dense(Layer):
    """A fully connected layer: ``y = f(xW + b)``.

    Parameters
    ----------
    units : int
        Features of the output, at least 1.
    activation : str or function, optional
        f; none is linear.
    use_bias : bool
        Whether there is a b.
    kernel_initializer, bias_initializer : str or Initializer
        First values of W (inputs, units) and b (units,).
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        Penalties that the loss gains for W and b.
    kernel_constraint, bias_constraint : str or Constraint, optional
        What W and b are made to be after each step.
    **options
        As in `Layer`: name, dtype, trainable, input_shape, input_dim.

    Raises
    ------
    ValueError
        For units below 1 or inputs without features.

    Examples
    --------
    >>> from hotloop.layers import Dense
    >>> Dense(3, "relu", kernel_initializer="ones")([[1.0, 2.0]])
    array([[3., 3., 3.]], dtype=float32)
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **options)
        self.units = check_count(self, "units", units)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def build(self, input_shape: Shape) -> None:
        features = input_shape[-1] if len(input_shape) > 1 else None
        if features is None:
            raise ValueError(
                f"{self.describe()} needs inputs of shape (batch, features), got {input_shape}"
            )
        self.kernel = self.add_weight(
            (features, self.units),
            self.kernel_initializer,
            "kernel",
            self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,),
                self.bias_initializer,
                "bias",
                self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def call(self, x: Value) -> Any:
        features = self.kernel.shape[0]
        if x.dims[-1:] != (features,):
            hint = "; add Flatten() before it" if x.size == features else ""
            raise ValueError(
                f"{self.describe()} was built for {features} input features but got an input of "
                f"shape {x.shape}{hint}"
            )
        y = ops.matmul(x, self.kernel)
        if self.use_bias:
            y = ops.add_bias(y, self.bias)
        return self.activation(y)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "units": self.units,
            "activation": naming.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": naming.serialize(self.kernel_initializer),
            "bias_initializer": naming.serialize(self.bias_initializer),
            "kernel_regularizer": naming.serialize(self.kernel_regularizer),
            "bias_regularizer": naming.serialize(self.bias_regularizer),
            "kernel_constraint": naming.serialize(self.kernel_constraint),
            "bias_constraint": naming.serialize(self.bias_constraint),
        }


class Activation(Layer):
    """An activation as a layer of its own: ``y = f(x)``.

    Parameters
    ----------
    activation : str or function
        f.
    **options
        As in `Layer`.

    Examples
    --------
    >>> from hotloop.layers import Activation
    >>> Activation("relu")([[-1.0, 2.0]])
    array([[0., 2.]], dtype=float32)
    """

    def __init__(self, activation: Any, **options: Any) -> None:
        super().__init__(**options)
        self.activation = activations.get(activation)

    def call(self, x: Value) -> Any:
        return self.activation(x)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"activation": naming.serialize(self.activation)}


class Identity(Layer):
    """Its input as it is: ``y = x``. Stands where another layer may, or may not, be.

    Parameters
    ----------
    **options
        As in `Layer`.

    Examples
    --------
    >>> from hotloop.layers import Identity
    >>> Identity()([[-1.0, 2.0]])
    array([[-1.,  2.]], dtype=float32)
    """

    def call(self, x: Value) -> Any:
        return x
