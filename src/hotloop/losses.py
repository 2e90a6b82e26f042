"""Losses: what training makes small.

Every loss gives one value for each row; `reduction` makes one number of the values of a
batch: their mean (``"sum_over_batch_size"``, also called ``"mean"``) or their ``"sum"``.
Sample weights multiply the values first. Value and gradient are one op of the core, so
both always mean the same reduction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import backends, naming
from .data.adapters import as_array, as_float, check_labels
from .graph import ops
from .graph.trace import Node, Value

REDUCTIONS = ("sum_over_batch_size", "mean", "sum")


class Loss:
    """Base of all losses: an op of the core with its options.

    Parameters
    ----------
    name : str, optional
        Its name; snake_case of the class if not given.
    reduction : {"sum_over_batch_size", "mean", "sum"}
        How the values of a batch become one number.

    Raises
    ------
    ValueError
        For another reduction.
    """

    op = ""
    sparse = False  # whether y_true holds class numbers

    def __init__(self, name: str | None = None, reduction: str = "sum_over_batch_size") -> None:
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"{type(self).__name__}: reduction must be one of {', '.join(REDUCTIONS)}, "
                f"not {reduction!r}"
            )
        self.name = name or naming.snake_case(type(self).__name__)
        self.reduction = reduction

    def options(self) -> dict[str, float]:
        """The op's keyword arguments."""
        return {}

    def emit(
        self, y_true: Value, y_pred: Value, weight: Value | None, loss_weight: float = 1.0
    ) -> Node:
        """Adds the loss to a graph."""
        return ops.loss(
            self.op,
            y_true,
            y_pred,
            weight,
            reduction=self.reduction,
            loss_weight=loss_weight,
            **self.options(),
        )

    def __call__(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """The loss of arrays of shape (..., features), as one number."""
        values = self.values(y_true, y_pred)
        if sample_weight is not None:
            weight = np.asarray(sample_weight, values.dtype)
            if weight.ndim == values.ndim + 1 and weight.shape[-1] == 1:
                weight = weight[..., 0]
            values = values * weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
        return float(values.sum() if self.reduction == "sum" else values.mean())

    def values(self, y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
        """The loss of each row: y_pred's shape without the last axis."""
        p = as_float(y_pred, f"{self.name}: y_pred")
        if p.ndim == 0:
            raise ValueError(f"{self.name}: y_pred must have at least one axis, got a number")
        shape = p.shape[:-1] if self.sparse else p.shape
        y = np.asarray(y_true)
        if y.size != np.prod(shape, dtype=int):
            raise ValueError(
                f"{self.name}: y_true of shape {y.shape} does not fit y_pred of shape {p.shape}; "
                f"expected {shape}"
            )
        cols = p.shape[-1]
        if self.sparse:
            y = as_array(y, f"{self.name}: y_true").reshape(-1)
            check_labels(y, (cols,), self.name)
            y = y.astype(np.int32)
        else:
            y = np.ascontiguousarray(as_array(y, f"{self.name}: y_true"), p.dtype).reshape(-1, cols)
        values = np.empty(p.size // cols if cols else 0, p.dtype)
        backends.call(self.op, y, p.reshape(-1, cols), None, values=values, **self.options())
        return values.reshape(p.shape[:-1])

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "reduction": self.reduction} | self._config()

    def _config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Loss:
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name} reduction={self.reduction}>"


# ---------------------------------------------------------------------- regression


class MeanSquaredError(Loss):
    r"""Mean of squared errors: ``1/n sum (y - yhat)^2``.

    Examples
    --------
    >>> MeanSquaredError()([[0.0, 1.0]], [[1.0, 1.0]])
    0.5
    """

    op = "mean_squared_error"

    def __init__(
        self, reduction: str = "sum_over_batch_size", name: str | None = "mean_squared_error"
    ) -> None:
        super().__init__(name, reduction)


class MeanAbsoluteError(Loss):
    """Mean of absolute errors: ``1/n sum |y - yhat|``; the gradient at 0 is 0.

    Examples
    --------
    >>> MeanAbsoluteError()([[0.0, 1.0]], [[1.0, 1.0]])
    0.5
    """

    op = "mean_absolute_error"

    def __init__(
        self, reduction: str = "sum_over_batch_size", name: str | None = "mean_absolute_error"
    ) -> None:
        super().__init__(name, reduction)


class Huber(Loss):
    """Quadratic near zero, linear beyond delta (Huber, 1964).

    With ``e = yhat - y``: ``e^2 / 2`` where ``|e| <= delta``, else
    ``delta |e| - delta^2 / 2``; the mean over the last axis.

    Examples
    --------
    >>> Huber(delta=1.0)([[0.0]], [[3.0]])
    2.5
    """

    op = "huber"

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str = "sum_over_batch_size",
        name: str | None = "huber_loss",
    ) -> None:
        super().__init__(name, reduction)
        if not delta > 0:
            raise ValueError(f"Huber: delta must be above 0, not {delta!r}")
        self.delta = float(delta)

    def options(self) -> dict[str, float]:
        return {"param": self.delta}

    def _config(self) -> dict[str, Any]:
        return {"delta": self.delta}


class LogCosh(Loss):
    """Log of the hyperbolic cosine of the error: ``1/n sum log cosh(yhat - y)``.

    Examples
    --------
    >>> round(LogCosh()([[0.0]], [[1.0]]), 4)
    0.4338
    """

    op = "log_cosh"

    def __init__(
        self, reduction: str = "sum_over_batch_size", name: str | None = "log_cosh"
    ) -> None:
        super().__init__(name, reduction)


class Poisson(Loss):
    """Poisson loss: ``1/n sum (yhat - y log(yhat + 1e-7))``.

    Examples
    --------
    >>> round(Poisson()([[1.0]], [[1.0]]), 4)
    1.0
    """

    op = "poisson"

    def __init__(
        self, reduction: str = "sum_over_batch_size", name: str | None = "poisson"
    ) -> None:
        super().__init__(name, reduction)


# ------------------------------------------------------------------ classification


class BinaryCrossentropy(Loss):
    """Cross-entropy of independent yes/no outputs.

    ``-1/n sum (y log p + (1 - y) log(1 - p))`` with p clipped to [1e-7, 1 - 1e-7]; from
    logits x, ``1/n sum (max(x, 0) - x y + log(1 + exp(-|x|)))``. Label smoothing s reads
    y as ``y (1 - s) + s / 2``.

    Parameters
    ----------
    from_logits : bool
        Whether y_pred are logits, not probabilities.
    label_smoothing : float
        s, from 0 to 1.

    Examples
    --------
    >>> round(BinaryCrossentropy()([[1.0]], [[0.5]]), 4)
    0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
    ) -> None:
        super().__init__(name, reduction)
        _check_axis(self, axis)
        self.from_logits = bool(from_logits)
        self.label_smoothing = _check_smoothing(self, label_smoothing)

    @property
    def op(self) -> str:  # type: ignore[override]
        return "binary_crossentropy_logits" if self.from_logits else "binary_crossentropy"

    def options(self) -> dict[str, float]:
        return {"param": self.label_smoothing}

    def _config(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing}


class CategoricalCrossentropy(Loss):
    """Cross-entropy of one-hot (or soft) labels: ``-sum p log q`` over the classes.

    q is y_pred divided by its sum and clipped to [1e-7, 1 - 1e-7]; from logits,
    q = softmax(y_pred), exactly. Behind a softmax layer both become one step.

    Parameters
    ----------
    from_logits : bool
        Whether y_pred are logits, not probabilities.
    label_smoothing : float
        s, from 0 to 1: labels are read as ``p (1 - s) + s / classes``.

    Examples
    --------
    >>> round(CategoricalCrossentropy()([[0, 1]], [[0.5, 0.5]]), 4)
    0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
    ) -> None:
        super().__init__(name, reduction)
        _check_axis(self, axis)
        self.from_logits = bool(from_logits)
        self.label_smoothing = _check_smoothing(self, label_smoothing)

    @property
    def op(self) -> str:  # type: ignore[override]
        return "softmax_crossentropy" if self.from_logits else "categorical_crossentropy"

    def options(self) -> dict[str, float]:
        return {"smoothing": self.label_smoothing}

    def _config(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing}


class SparseCategoricalCrossentropy(Loss):
    """Cross-entropy of class numbers: ``-log q[y]``.

    q is y_pred divided by its sum and clipped to [1e-7, 1 - 1e-7]; from logits,
    q = softmax(y_pred), exactly. Behind a softmax layer both become one step.

    Parameters
    ----------
    from_logits : bool
        Whether y_pred are logits, not probabilities.

    Examples
    --------
    >>> round(SparseCategoricalCrossentropy()([1], [[0.5, 0.5]]), 4)
    0.6931
    """

    sparse = True

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
    ) -> None:
        super().__init__(name, reduction)
        _check_axis(self, axis)
        if ignore_class is not None:
            raise ValueError(
                "SparseCategoricalCrossentropy: ignore_class is not supported; give those "
                "rows a sample_weight of 0 instead"
            )
        self.from_logits = bool(from_logits)

    @property
    def op(self) -> str:  # type: ignore[override]
        return (
            "sparse_softmax_crossentropy" if self.from_logits else "sparse_categorical_crossentropy"
        )

    def _config(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits}


class KLDivergence(Loss):
    """Kullback-Leibler divergence: ``sum y log(y / yhat)``, both clipped to [1e-7, 1].

    Examples
    --------
    >>> round(KLDivergence()([[1.0, 0.0]], [[0.5, 0.5]]), 4)
    0.6931
    """

    op = "kl_divergence"

    def __init__(
        self, reduction: str = "sum_over_batch_size", name: str | None = "kl_divergence"
    ) -> None:
        super().__init__(name, reduction)


class Hinge(Loss):
    """Hinge loss: ``1/n sum max(1 - y yhat, 0)`` for labels -1 and 1 (or 0 and 1).

    Examples
    --------
    >>> Hinge()([[1.0]], [[0.25]])
    0.75
    """

    op = "hinge"

    def __init__(self, reduction: str = "sum_over_batch_size", name: str | None = "hinge") -> None:
        super().__init__(name, reduction)


def _check_axis(loss: Loss, axis: int) -> None:
    if axis != -1:
        raise ValueError(
            f"{type(loss).__name__}: classes must be on the last axis (-1), not {axis}"
        )


def _check_smoothing(loss: Loss, smoothing: float) -> float:
    if not 0 <= smoothing <= 1:
        raise ValueError(
            f"{type(loss).__name__}: label_smoothing must be from 0 to 1, not {smoothing!r}"
        )
    return float(smoothing)


# ----------------------------------------------------------------------- functions


def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
    """`MeanSquaredError` of each row."""
    return MeanSquaredError().values(y_true, y_pred)


def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
    """`MeanAbsoluteError` of each row."""
    return MeanAbsoluteError().values(y_true, y_pred)


def huber(y_true: ArrayLike, y_pred: ArrayLike, delta: float = 1.0) -> NDArray[Any]:
    """`Huber` of each row."""
    return Huber(delta).values(y_true, y_pred)


def log_cosh(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
    """`LogCosh` of each row."""
    return LogCosh().values(y_true, y_pred)


def poisson(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
    """`Poisson` of each row."""
    return Poisson().values(y_true, y_pred)


def binary_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> NDArray[Any]:
    """`BinaryCrossentropy` of each row."""
    return BinaryCrossentropy(from_logits, label_smoothing, axis).values(y_true, y_pred)


def categorical_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> NDArray[Any]:
    """`CategoricalCrossentropy` of each row."""
    return CategoricalCrossentropy(from_logits, label_smoothing, axis).values(y_true, y_pred)


def sparse_categorical_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> NDArray[Any]:
    """`SparseCategoricalCrossentropy` of each row."""
    return SparseCategoricalCrossentropy(from_logits, ignore_class, axis=axis).values(
        y_true, y_pred
    )


def kl_divergence(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
    """`KLDivergence` of each row."""
    return KLDivergence().values(y_true, y_pred)


def hinge(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
    """`Hinge` of each row."""
    return Hinge().values(y_true, y_pred)


# -------------------------------------------------------------------------- by name

_BY_NAME: dict[str, type[Loss]] = {
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "mae": MeanAbsoluteError,
    "huber": Huber,
    "huber_loss": Huber,
    "log_cosh": LogCosh,
    "logcosh": LogCosh,
    "poisson": Poisson,
    "binary_crossentropy": BinaryCrossentropy,
    "bce": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "kl_divergence": KLDivergence,
    "kld": KLDivergence,
    "hinge": Hinge,
}
_BY_FUNCTION: dict[Callable[..., Any], type[Loss]] = {
    mean_squared_error: MeanSquaredError,
    mean_absolute_error: MeanAbsoluteError,
    huber: Huber,
    log_cosh: LogCosh,
    poisson: Poisson,
    binary_crossentropy: BinaryCrossentropy,
    categorical_crossentropy: CategoricalCrossentropy,
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy,
    kl_divergence: KLDivergence,
    hinge: Hinge,
}


def get(identifier: str | Loss | type[Loss] | Mapping[str, Any] | Callable[..., Any]) -> Loss:
    """The loss for a name, a class, one of this module's functions, a config or a loss.

    Raises
    ------
    ValueError
        For a name that is not known; the nearest one is suggested.
    TypeError
        For anything else.

    Examples
    --------
    >>> get("mse").name
    'mean_squared_error'
    """
    if isinstance(identifier, Loss):
        return identifier
    found = naming.instantiate("loss", identifier, _BY_NAME)
    if found in _BY_FUNCTION:
        return _BY_FUNCTION[found]()
    if not isinstance(found, Loss):
        raise TypeError(
            f"a loss must be a name, a hotloop.losses.Loss or a function of hotloop.losses, "
            f"not {identifier!r}"
        )
    return found
