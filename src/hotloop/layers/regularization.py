"""Layers that keep a model from learning its data by heart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import random
from ..graph import ops
from ..graph.trace import Value
from ..regularizers import L1L2
from .base import Layer


class _Noise(Layer):
    """Random numbers in training; outside of it nothing changes."""

    def __init__(self, seed: int | None, **options: Any) -> None:
        super().__init__(**options)
        self.seed = seed
        self.random_key: int = random.next_key() if seed is None else int(seed) % 2**64

    def _rate(self, rate: float) -> float:
        """A share of the elements that is to be dropped."""
        if not isinstance(rate, int | float) or not 0 <= rate < 1:
            raise ValueError(
                f"{self.describe()}: rate must be at least 0 and below 1, not {rate!r}"
            )
        return float(rate)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"seed": self.seed}


class Dropout(_Noise):
    """In training, sets a share of its inputs to zero (Srivastava et al., 2014).

    Each element is 0 with probability `rate`, else divided by ``1 - rate``, so that the
    expected sum stays the same; outside of training nothing changes. The draws depend on
    the seed, the step and the element only, not on threads or backend.

    Parameters
    ----------
    rate : float
        From 0 up to, but not including, 1.
    seed : int, optional
        From `hotloop.utils.set_random_seed` if not given.
    **options
        As in `Layer`.

    Examples
    --------
    >>> from hotloop.layers import Dropout
    >>> Dropout(0.5)([[1.0, 2.0]])
    array([[1., 2.]], dtype=float32)
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(seed, **options)
        self.rate = self._rate(rate)
        if noise_shape is not None:
            raise ValueError(f"{self.describe()}: noise_shape is not supported")

    def call(self, x: Value) -> Any:
        return ops.dropout(x, self.rate, self.random_key) if self.rate else x

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.rate}


class AlphaDropout(_Noise):
    """In training, sets a share of its inputs to SELU's lowest value (Klambauer et al., 2017).

    Inputs of mean 0 and variance 1 keep both: with ``s = -1.7581``, each element is s with
    probability `rate`, and then all of them become ``a x + b``, where ``a = ((1 - rate) (1 + rate
    s^2))^(-1/2)`` and ``b = -a rate s``. Outside of training nothing changes. Draws are those of
    `Dropout` with the same seed.

    Parameters
    ----------
    rate : float
        From 0 up to, but not including, 1.
    noise_shape : None
        Not supported.
    seed : int, optional
        From `hotloop.utils.set_random_seed` if not given.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        For a rate out of range.

    Examples
    --------
    >>> from hotloop.layers import AlphaDropout
    >>> AlphaDropout(0.5)([[1.0, 2.0]])
    array([[1., 2.]], dtype=float32)
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(seed, **options)
        self.rate = self._rate(rate)
        if noise_shape is not None:
            raise ValueError(f"{self.describe()}: noise_shape is not supported")

    def call(self, x: Value) -> Any:
        return ops.alpha_dropout(x, self.rate, self.random_key) if self.rate else x

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.rate}


class GaussianNoise(_Noise):
    """In training, ``y = x + n``, n being normal with mean 0 and a standard deviation.

    Outside of training nothing changes. The draws depend on the seed, the step and the element
    only, not on threads or backend.

    Parameters
    ----------
    stddev : float
        The standard deviation, from 0 to 1.
    seed : int, optional
        From `hotloop.utils.set_random_seed` if not given.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        For a stddev out of range.

    Examples
    --------
    >>> from hotloop.layers import GaussianNoise
    >>> GaussianNoise(0.1)([[1.0, 2.0]])
    array([[1., 2.]], dtype=float32)
    """

    def __init__(self, stddev: float, seed: int | None = None, **options: Any) -> None:
        super().__init__(seed, **options)
        if not isinstance(stddev, int | float) or not 0 <= stddev <= 1:
            raise ValueError(f"{self.describe()}: stddev must be from 0 to 1, not {stddev!r}")
        self.stddev = float(stddev)

    def call(self, x: Value) -> Any:
        return ops.gaussian_noise(x, self.stddev, self.random_key) if self.stddev else x

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"stddev": self.stddev}


class GaussianDropout(_Noise):
    """In training, ``y = x * n``, n being normal with mean 1 (Srivastava et al., 2014).

    Its standard deviation is ``sqrt(rate / (1 - rate))``, that of the factors of `Dropout`.
    Outside of training nothing changes. The draws depend on the seed, the step and the element
    only, not on threads or backend.

    Parameters
    ----------
    rate : float
        From 0 up to, but not including, 1.
    seed : int, optional
        From `hotloop.utils.set_random_seed` if not given.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        For a rate out of range.

    Examples
    --------
    >>> from hotloop.layers import GaussianDropout
    >>> GaussianDropout(0.5)([[1.0, 2.0]])
    array([[1., 2.]], dtype=float32)
    """

    def __init__(self, rate: float, seed: int | None = None, **options: Any) -> None:
        super().__init__(seed, **options)
        self.rate = self._rate(rate)

    def call(self, x: Value) -> Any:
        stddev = math.sqrt(self.rate / (1.0 - self.rate))
        return ops.gaussian_dropout(x, stddev, self.random_key) if self.rate else x

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.rate}


class ActivityRegularization(Layer):
    """Its input as it is, for which the loss gains a penalty: ``l1 sum |x| + l2 sum x^2``.

    The sums are over the batch, and divided by its size.

    Parameters
    ----------
    l1, l2 : float
        Factors, at least 0.
    **options
        As in `Layer`.

    Examples
    --------
    >>> from hotloop.layers import ActivityRegularization
    >>> ActivityRegularization(l2=0.01)([[1.0, 2.0]])
    array([[1., 2.]], dtype=float32)
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **options: Any) -> None:
        super().__init__(activity_regularizer=L1L2(l1, l2), **options)
        self.l1, self.l2 = l1, l2

    def call(self, x: Value) -> Any:
        return x

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("activity_regularizer", None)
        return config | {"l1": self.l1, "l2": self.l2}
