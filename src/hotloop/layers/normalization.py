"""Layers that bring their inputs to a common mean and size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import constraints, initializers, naming, regularizers
from ..graph import ops
from ..graph.trace import Value
from ..variables import Variable
from .base import Layer, Shape


class _Normalization(Layer):
    """Over the last axis, with weights of as many numbers as it has features."""

    def __init__(self, axis: int | Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.axis = axis
        self._features = 0

    def _begin(self, input_shape: Shape) -> tuple[int, ...]:
        """The shape that its weights are to have."""
        features = input_shape[-1] if len(input_shape) > 1 else None
        if features is None:
            raise ValueError(
                f"{self.describe()} needs inputs of shape (batch, features), got {input_shape}"
            )
        axes = self.axis if isinstance(self.axis, list | tuple) else [self.axis]
        if list(axes) not in ([-1], [len(input_shape) - 1]):
            raise ValueError(
                f"{self.describe()} works over the last axis of its input of shape {input_shape}; "
                f"axis={self.axis!r} is not supported: transpose or reshape before it"
            )
        self._features = features
        return (features,)

    def _check(self, x: Value) -> None:
        if x.dims[-1:] != (self._features,):
            raise ValueError(
                f"{self.describe()} was built for {self._features} input features but got an "
                f"input of shape {x.shape}"
            )

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis}


class _Affine(_Normalization):
    """With a factor gamma and a summand beta for each feature."""

    def __init__(
        self,
        axis: int | Sequence[int],
        epsilon: float,
        center: bool,
        scale: bool,
        beta: tuple[Any, Any, Any],  # initializer, regularizer, constraint
        gamma: tuple[Any, Any, Any],
        **options: Any,
    ) -> None:
        super().__init__(axis, **options)
        self.epsilon = _at_least_zero(self, "epsilon", epsilon)
        self.center = bool(center)
        self.scale = bool(scale)
        self.beta_initializer = initializers.get(beta[0])
        self.gamma_initializer = initializers.get(gamma[0])
        self.beta_regularizer = regularizers.get(beta[1])
        self.gamma_regularizer = regularizers.get(gamma[1])
        self.beta_constraint = constraints.get(beta[2])
        self.gamma_constraint = constraints.get(gamma[2])
        self.gamma: Variable | None = None
        self.beta: Variable | None = None

    def _add_gamma_and_beta(self, shape: tuple[int, ...]) -> None:
        if self.scale:
            self.gamma = self.add_weight(
                shape,
                self.gamma_initializer,
                "gamma",
                self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )
        if self.center:
            self.beta = self.add_weight(
                shape,
                self.beta_initializer,
                "beta",
                self.beta_regularizer,
                constraint=self.beta_constraint,
            )

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": naming.serialize(self.beta_initializer),
            "gamma_initializer": naming.serialize(self.gamma_initializer),
            "beta_regularizer": naming.serialize(self.beta_regularizer),
            "gamma_regularizer": naming.serialize(self.gamma_regularizer),
            "beta_constraint": naming.serialize(self.beta_constraint),
            "gamma_constraint": naming.serialize(self.gamma_constraint),
        }


class BatchNormalization(_Affine):
    """``y = (x - mean) / sqrt(variance + epsilon) * gamma + beta``, feature by feature.

    In training, mean and (biased) variance are those of the batch, over all its axes but the
    last, and the layer keeps moving averages of both: ``moving = moving * momentum + batch * (1 -
    momentum)`` with each step. Elsewhere (predict, evaluate, a call on data), and also in
    training while ``trainable`` is False, it uses the moving averages as they are (Ioffe &
    Szegedy, 2015). Its weights are gamma, beta, moving_mean and moving_variance; no gradient
    flows to the last two, which count as non-trainable.

    Parameters
    ----------
    axis : int
        Of the features: only the last one is supported.
    momentum : float
        From 0 to 1: how slowly the moving averages follow.
    epsilon : float
        Keeps the divisor from 0.
    center, scale : bool
        Whether there are a beta and a gamma.
    beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer : \
str or Initializer
        First values, each of shape (features,).
    beta_regularizer, gamma_regularizer : str or Regularizer, optional
        Penalties that the loss gains.
    beta_constraint, gamma_constraint : str or Constraint, optional
        What they are made to be after each step.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        For another axis, a momentum or epsilon out of range, and inputs without features.

    Examples
    --------
    >>> import hotloop
    >>> layer = hotloop.layers.BatchNormalization(momentum=0.5, input_shape=(1,))
    >>> model = hotloop.Sequential([layer])
    >>> model.compile("sgd", "mse")
    >>> _ = model.train_on_batch([[1.0], [5.0]], [[0.0], [0.0]])
    >>> layer.moving_mean.numpy(), layer.moving_variance.numpy()
    (array([1.5], dtype=float32), array([2.5], dtype=float32))
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **options: Any,
    ) -> None:
        beta = (beta_initializer, beta_regularizer, beta_constraint)
        gamma = (gamma_initializer, gamma_regularizer, gamma_constraint)
        super().__init__(axis, epsilon, center, scale, beta, gamma, **options)
        if not isinstance(momentum, int | float) or not 0 <= momentum <= 1:
            raise ValueError(f"{self.describe()}: momentum must be from 0 to 1, not {momentum!r}")
        self.momentum = float(momentum)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, input_shape: Shape) -> None:
        shape = self._begin(input_shape)
        self._add_gamma_and_beta(shape)
        self.moving_mean = self.add_weight(
            shape, self.moving_mean_initializer, "moving_mean", trainable=False
        )
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, "moving_variance", trainable=False
        )

    def call(self, x: Value) -> Any:
        self._check(x)
        return ops.batch_normalization(
            x,
            self.moving_mean,
            self.moving_variance,
            self.gamma,
            self.beta,
            momentum=self.momentum,
            epsilon=self.epsilon,
        )

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "momentum": self.momentum,
            "moving_mean_initializer": naming.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": naming.serialize(self.moving_variance_initializer),
        }


class LayerNormalization(_Affine):
    """``y = (x - mean) / sqrt(variance + epsilon) * gamma + beta``, each row by itself.

    Mean and (biased) variance are those of a row: of the features of one example, or of one place
    in it. Training and prediction are the same (Ba, Kiros & Hinton, 2016). Its weights are gamma
    and beta.

    Parameters
    ----------
    axis : int
        Of the features: only the last one is supported.
    epsilon : float
        Keeps the divisor from 0.
    center, scale : bool
        Whether there are a beta and a gamma.
    beta_initializer, gamma_initializer : str or Initializer
        First values, each of shape (features,).
    beta_regularizer, gamma_regularizer : str or Regularizer, optional
        Penalties that the loss gains.
    beta_constraint, gamma_constraint : str or Constraint, optional
        What they are made to be after each step.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        For another axis, a negative epsilon, and inputs without features.

    Examples
    --------
    >>> from hotloop.layers import LayerNormalization
    >>> LayerNormalization(epsilon=0.0)([[1.0, 3.0], [5.0, 1.0]])
    array([[-1.,  1.],
           [ 1., -1.]], dtype=float32)
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **options: Any,
    ) -> None:
        beta = (beta_initializer, beta_regularizer, beta_constraint)
        gamma = (gamma_initializer, gamma_regularizer, gamma_constraint)
        super().__init__(axis, epsilon, center, scale, beta, gamma, **options)

    def build(self, input_shape: Shape) -> None:
        self._add_gamma_and_beta(self._begin(input_shape))

    def call(self, x: Value) -> Any:
        self._check(x)
        return ops.layer_norm(x, self.gamma, self.beta, epsilon=self.epsilon)


class RMSNormalization(_Normalization):
    """``y = x / sqrt(mean(x^2) + epsilon) * scale``, each row by itself.

    The mean is over the features of a row (Zhang & Sennrich, 2019). Its one weight is scale, ones
    at first.

    Parameters
    ----------
    axis : int
        Of the features: only the last one is supported.
    epsilon : float
        Keeps the divisor from 0.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        For another axis, a negative epsilon, and inputs without features.

    Examples
    --------
    >>> from hotloop.layers import RMSNormalization
    >>> RMSNormalization(epsilon=0.0)([[1.0, 7.0]])
    array([[0.2, 1.4]], dtype=float32)
    """

    def __init__(
        self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **options: Any
    ) -> None:
        super().__init__(axis, **options)
        self.epsilon = _at_least_zero(self, "epsilon", epsilon)

    def build(self, input_shape: Shape) -> None:
        self.scale = self.add_weight(self._begin(input_shape), "ones", "scale")

    def call(self, x: Value) -> Any:
        self._check(x)
        return ops.layer_norm(x, self.scale, None, epsilon=self.epsilon, centered=False)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"epsilon": self.epsilon}


class UnitNormalization(_Normalization):
    """``y = x / sqrt(sum(x^2))``, each row by itself; a row of zeros stays one.

    Parameters
    ----------
    axis : int
        Of the features: only the last one is supported.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        For another axis, and inputs without features.

    Examples
    --------
    >>> from hotloop.layers import UnitNormalization
    >>> UnitNormalization()([[3.0, 4.0], [0.0, 0.0]])
    array([[0.6, 0.8],
           [0. , 0. ]], dtype=float32)
    """

    def __init__(self, axis: int | Sequence[int] = -1, **options: Any) -> None:
        super().__init__(axis, **options)

    def build(self, input_shape: Shape) -> None:
        self._begin(input_shape)

    def call(self, x: Value) -> Any:
        self._check(x)
        # The sum of n squares is n times their mean. Lengths below 1e-12 count as that, nearly.
        n = self._features
        y = ops.layer_norm(x, None, None, epsilon=1e-24 / n, centered=False)
        return ops.scale(y, n**-0.5)


def _at_least_zero(layer: Layer, argument: str, value: float) -> float:
    if not isinstance(value, int | float) or not value >= 0:
        raise ValueError(f"{layer.describe()}: {argument} must be at least 0, not {value!r}")
    return float(value)
