"""Activations that have options, as layers of their own."""

from __future__ import annotations

from typing import Any

from .. import activations
from ..graph.trace import Value
from .base import Layer


class ReLU(Layer):
    """Rectified linear unit: ``y = min(max(x, 0), max_value)``, with a slope below 0.

    Parameters
    ----------
    max_value : float, optional
        The largest output; none if not given.
    negative_slope : float
        Of inputs below 0.
    threshold : float
        Only 0 is supported.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        For a negative max_value or negative_slope, and a threshold other than 0.

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
        if threshold:
            raise ValueError(f"{self.describe()}: threshold must be 0, not {threshold!r}")
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def call(self, x: Value) -> Any:
        return activations.relu(x, self.negative_slope, self.max_value)

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
