"""Losses: what training makes small.

Every loss gives one value for each row; `reduction` makes one number of the values of a
batch: their mean (``"sum_over_batch_size"``, also called ``"mean"``) or their ``"sum"``.
Sample weights multiply the values first. Value and gradient are one op of the core, so
both always mean the same reduction.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import backends, config, naming, registry
from .backends import own
from .backends.formulas import EPSILON
from .data.adapters import (
    as_array,
    as_float,
    check_alignable,
    check_labels,
    check_targets,
    check_whole_numbers,
)
from .doors import door
from .files.models import deserialized, serialized
from .graph import ops, recording
from .graph.op import OPS
from .graph.trace import Node, Value, apply, check_features, in_layer
from .masks import refuse_masks
from .reductions import REDUCTIONS, recorded, reduced

if TYPE_CHECKING:
    from .backends.scalar_functions import ScalarFunction


class Loss(registry.Configured):
    """Base of all losses.

    One of your own is a subclass with ``call(self, y_true, y_pred)``, which returns a value for
    each example, or for each row, or their mean. What it does with operators and `hotloop.ops` is
    recorded, differentiated and compiled. If it does something else, as with NumPy, Python calls
    it at every batch, which a warning says.

    Parameters
    ----------
    name : str, optional
        Its name; snake_case of the class if not given.
    reduction : {"sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", None}
        How the values of a batch become one number: their mean, their sum, or the mean by
        weights; with None, a call returns the values.
    dtype : {"float32", "float64"}, optional
        What a call on arrays computes in; that of y_pred if not given.

    Raises
    ------
    ValueError
        For another reduction.

    Examples
    --------
    >>> class Quartic(Loss):
    ...     def call(self, y_true, y_pred):
    ...         return (y_true - y_pred) ** 4
    >>> Quartic()([[0.0, 1.0]], [[2.0, 1.0]])
    8.0
    """

    op = ""
    sparse = False  # whether y_true holds class numbers
    broadcasts = False  # whether y_true and y_pred may have shapes that fit each other
    # Whether a call gives a value for each row, as the function does by whose name it was got.
    gives_rows = False
    # Axes of one example's values, where they are not those of y_pred but the last.
    rows: tuple[int, ...] | None = None

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"{type(self).__name__}: reduction must be one of "
                f"{', '.join(map(str, REDUCTIONS))}, not {reduction!r}"
            )
        self.name = name or naming.snake_case(type(self).__name__)
        self.reduction = reduction
        self.dtype = None if dtype is None else config.check_floatx(np.dtype(dtype).name)
        self._announced = False  # that Python runs at every batch

    @property
    def is_own(self) -> bool:
        """Whether its class says by a `call` of its own what it is."""
        return type(self).call is not Loss.call

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The values that are reduced: one for each row."""
        return self.values(y_true, y_pred)

    def options(self) -> dict[str, Any]:
        """The op's keyword arguments."""
        return {}

    def options_in_graph(self) -> dict[str, Any]:
        """Those of the op in a model's step, where it knows of the reduction."""
        return self.options()

    def target_dims(
        self, dims: tuple[int, ...], given: tuple[int, ...] | None = None
    ) -> tuple[int, ...] | None:
        """The axes of one example's y_true as the op reads it, for those of y_pred.

        `given` are the axes of the user's y; None where they are not known, and then the result is
        None if they decide.
        """
        if self.is_own:
            return given
        if self.broadcasts and given is not None and _fits_by_broadcasting(given, dims):
            return given
        return dims[:-1] if self.sparse else dims

    def check(self, y: NDArray[Any], dims: tuple[int, ...]) -> None:
        """That y holds what the loss expects for outputs of these axes; ValueError otherwise."""
        if self.is_own or (self.broadcasts and _fits_by_broadcasting(y.shape[1:], dims)):
            return
        (check_labels if self.sparse else check_targets)(y, dims, self.name)

    def emit(
        self, y_true: Value, y_pred: Value, weight: Value | None, loss_weight: float = 1.0
    ) -> Node | Value:
        """Adds the loss to a graph: a node of the op, or one number that is recorded."""
        if self.is_own:
            return self._recorded(y_true, y_pred, weight, loss_weight)
        if y_true.dims != y_pred.dims and self.broadcasts and y_true.size != y_pred.size:
            whole = ops.subtract(y_true, y_pred)
            y_true, y_pred = (ops.add(ops.zeros_like(whole), y) for y in (y_true, y_pred))
        if self.reduction in (None, "none"):
            recorded(y_pred, weight, None)  # which says why not
        if self.reduction == "mean_with_sample_weight" and weight is not None:
            share = ops.over_examples(ops.total(weight))
            weight = apply(OPS["divide"], weight, share)
        return ops.loss(
            self.op,
            y_true,
            y_pred,
            weight,
            reduction=self._in_training,
            loss_weight=loss_weight,
            rows=self.rows,
            **self.options_in_graph(),
        )

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss of arrays of shape (..., features), as `reduction` says."""
        for tensor in (y_pred, y_true):
            if self.is_own:
                break
            if (recorder := getattr(tensor, "recorder", None)) is not None:
                found: float = recorder.call_loss(self, y_true, y_pred, sample_weight)
                return found
        if self.dtype is not None:
            y_pred = np.asarray(y_pred, self.dtype)
        if self.is_own and not isinstance(y_pred, Value):
            y_pred = as_float(y_pred, f"{self.name}: y_pred")
            y_true = np.asarray(as_array(y_true, f"{self.name}: y_true"), y_pred.dtype)
        values = self.call(y_true, y_pred)
        if isinstance(values, Value):
            return self._of_tensors(values, sample_weight)
        values, weight = np.asarray(values), None
        if sample_weight is not None:
            weight = as_array(sample_weight, f"{self.name}: sample_weight").astype(values.dtype)
        return reduced(values, weight, None if self.gives_rows else self.reduction)

    @property
    def _in_training(self) -> str:
        """The reduction of an op; the others are made of weights before."""
        return "sum" if self.reduction == "sum" else "mean"

    def _of_tensors(self, values: Any, weight: Any) -> Any:
        """The reduction of what was computed of tensors, with all their axes."""
        from . import ops as public

        if weight is not None:
            rest = (1,) * (len(values.shape) - np.ndim(weight))
            weight = public.reshape(public.convert_to_tensor(weight), (*np.shape(weight), *rest))
            values = values * weight
        if self.reduction in (None, "none"):
            return values
        if self.reduction == "sum":
            return public.sum(values)
        if self.reduction == "mean_with_sample_weight" and weight is not None:
            return public.sum(values) / public.sum(weight + 0 * values)
        return public.mean(values)

    def _recorded(
        self, y_true: Value, y_pred: Value, weight: Value | None, loss_weight: float
    ) -> Node | Value:
        """What `call` makes of symbolic values; or an op that calls it, if it wants numbers."""
        try:
            with recording.within(recording.Recording()), in_layer(None):
                values = self.call(y_true, y_pred)
                if not isinstance(values, Value):
                    raise TypeError(
                        f"{self.name}: call() returned {type(values).__name__}, not what it "
                        "computed of y_true and y_pred"
                    )
                return recorded(ops.cast(values, y_pred.dtype), weight, self.reduction)
        except (TypeError, AttributeError):
            if not _gives_a_value_of_each_row(self.call, y_true.dims, y_pred.dims):
                raise
        return ArrayLoss(self.call, None, str(self.reduction), self.name).emit(
            y_true, y_pred, weight, loss_weight
        )

    def values(self, y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
        """The loss of each row: y_pred's shape without the last axis."""
        p = as_float(y_pred, f"{self.name}: y_pred")
        if self.broadcasts and np.shape(y_true) != p.shape and np.size(y_true) != p.size:
            try:
                y_true, p = np.broadcast_arrays(y_true, p)
                p = np.ascontiguousarray(p)
            except ValueError:
                pass  # which is said below
        if p.ndim == 0:
            raise ValueError(f"{self.name}: y_pred must have at least one axis, got a number")
        check_features(p.shape[1:] or p.shape, f"{self.name}: y_pred")
        shape = p.shape[:-1] if self.sparse else p.shape
        refuse_masks(y_true, f"{self.name}: y_true")
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
        values = np.empty(p.size // cols, p.dtype)
        self._compute(y, p.reshape(-1, cols), values)
        return values.reshape(p.shape[:-1])

    def _compute(self, y_true: NDArray[Any], y_pred: NDArray[Any], values: NDArray[Any]) -> None:
        """The loss of each row of matrices."""
        backends.call(self.op, y_true, y_pred, None, values=values, **self.options())

    def get_config(self) -> dict[str, Any]:
        config = {"name": self.name, "reduction": self.reduction} | self._config()
        return config if self.dtype is None else config | {"dtype": self.dtype}

    def _config(self) -> dict[str, Any]:
        return {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name} reduction={self.reduction}>"


def _fits_by_broadcasting(given: tuple[int, ...], dims: tuple[int, ...]) -> bool:
    """Whether one of the two shapes of an example becomes the other by broadcasting."""
    if len(given) != len(dims) or given == dims:
        return False
    return all(a == b or 1 in (a, b) for a, b in zip(given, dims, strict=True)) and (
        all(a <= b for a, b in zip(given, dims, strict=True))
        or all(a >= b for a, b in zip(given, dims, strict=True))
    )


# ---------------------------------------------------------------------- regression


class MeanSquaredError(Loss):
    r"""Mean of squared errors: ``1/n sum (y - yhat)^2``.

    Examples
    --------
    >>> MeanSquaredError()([[0.0, 1.0]], [[1.0, 1.0]])
    0.5
    """

    op = "mean_squared_error"
    broadcasts = True

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str | None = "mean_squared_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class MeanAbsoluteError(Loss):
    """Mean of absolute errors: ``1/n sum |y - yhat|``; the gradient at 0 is 0.

    Examples
    --------
    >>> MeanAbsoluteError()([[0.0, 1.0]], [[1.0, 1.0]])
    0.5
    """

    op = "mean_absolute_error"
    broadcasts = True

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str | None = "mean_absolute_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class MeanAbsolutePercentageError(Loss):
    """Mean of absolute errors in percent: ``100/n sum |y - yhat| / max(|y|, 1e-7)``.

    Examples
    --------
    >>> MeanAbsolutePercentageError()([[2.0, 4.0]], [[3.0, 4.0]])
    25.0
    """

    op = "mean_absolute_percentage_error"
    broadcasts = True

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str | None = "mean_absolute_percentage_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class MeanSquaredLogarithmicError(Loss):
    """Mean of squared errors of logarithms: ``1/n sum (log(1 + yhat) - log(1 + y))^2``.

    Both are moved up to 1e-7 first; what is below has no gradient.

    Examples
    --------
    >>> round(MeanSquaredLogarithmicError()([[0.0]], [[1.0]]), 4)
    0.4805
    """

    op = "mean_squared_logarithmic_error"
    broadcasts = True

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str | None = "mean_squared_logarithmic_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class CosineSimilarity(Loss):
    """Minus the cosine of the angle between y and yhat: -1 where they point one way.

    ``-sum y yhat / (|y| |yhat|)`` over the last axis; a length below 1e-7 counts as 1e-7.

    Parameters
    ----------
    axis : int
        Only -1 is supported.

    Examples
    --------
    >>> round(CosineSimilarity()([[3.0, 4.0]], [[2.0, 0.0]]), 4)
    -0.6
    """

    op = "cosine_similarity"

    def __init__(
        self,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str | None = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        _check_axis(self, axis)


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
    broadcasts = True

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
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
    broadcasts = True

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str | None = "log_cosh",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class Poisson(Loss):
    """Poisson loss: ``1/n sum (yhat - y log(yhat + 1e-7))``.

    Examples
    --------
    >>> round(Poisson()([[1.0]], [[1.0]]), 4)
    1.0
    """

    op = "poisson"
    broadcasts = True

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str | None = "poisson",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


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
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        _check_axis(self, axis)
        self.from_logits = bool(from_logits)
        self.label_smoothing = _check_share(self, "label_smoothing", label_smoothing)

    @property
    def op(self) -> str:  # type: ignore[override]
        return "binary_crossentropy_logits" if self.from_logits else "binary_crossentropy"

    def options(self) -> dict[str, float]:
        return {"param": self.label_smoothing}

    def _config(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing}


class BinaryFocalCrossentropy(Loss):
    """Cross-entropy of yes/no outputs that counts what is nearly right less (Lin et al., 2017).

    ``1/n sum u^gamma H``, H being `BinaryCrossentropy` of one output and u how wrong it is:
    ``u = y (1 - p) + (1 - y) p``. From logits, p is their sigmoid.

    Parameters
    ----------
    apply_class_balancing : bool
        Whether outputs that should be 1 count alpha times and those that should be 0
        ``1 - alpha`` times.
    alpha : float
        From 0 to 1.
    gamma : float
        At least 0; 0 gives the plain cross-entropy.
    from_logits : bool
        Whether y_pred are logits, not probabilities.
    label_smoothing : float
        s, from 0 to 1: y is read as ``y (1 - s) + s / 2``.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Examples
    --------
    >>> round(BinaryFocalCrossentropy()([[1.0]], [[0.5]]), 4)
    0.1733
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        _check_axis(self, axis)
        self.apply_class_balancing = bool(apply_class_balancing)
        self.alpha = _check_share(self, "alpha", alpha)
        self.gamma = _check_not_negative(self, "gamma", gamma)
        self.from_logits = bool(from_logits)
        self.label_smoothing = _check_share(self, "label_smoothing", label_smoothing)

    @property
    def op(self) -> str:  # type: ignore[override]
        return "binary_focal_crossentropy" + ("_logits" if self.from_logits else "")

    def options(self) -> dict[str, float]:
        balanced = self.apply_class_balancing
        return {
            "gamma": self.gamma,
            "positive": self.alpha if balanced else 1.0,
            "negative": 1.0 - self.alpha if balanced else 1.0,
            "smoothing": self.label_smoothing,
        }

    def _config(self) -> dict[str, Any]:
        return {
            "apply_class_balancing": self.apply_class_balancing,
            "alpha": self.alpha,
            "gamma": self.gamma,
            "from_logits": self.from_logits,
            "label_smoothing": self.label_smoothing,
        }


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
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        _check_axis(self, axis)
        self.from_logits = bool(from_logits)
        self.label_smoothing = _check_share(self, "label_smoothing", label_smoothing)

    @property
    def op(self) -> str:  # type: ignore[override]
        return "softmax_crossentropy" if self.from_logits else "categorical_crossentropy"

    def options(self) -> dict[str, float]:
        return {"smoothing": self.label_smoothing}

    def _config(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing}


class CategoricalFocalCrossentropy(Loss):
    """Cross-entropy of classes that counts what is nearly right less (Lin et al., 2017).

    ``-alpha sum p (1 - q)^gamma log q`` over the classes, p and q being those of
    `CategoricalCrossentropy`; from logits, q is their softmax, clipped too.

    Parameters
    ----------
    alpha : float
        At least 0; one number for all classes.
    gamma : float
        At least 0; with 0 and an alpha of 1 it is the plain cross-entropy.
    from_logits : bool
        Whether y_pred are logits, not probabilities.
    label_smoothing : float
        s, from 0 to 1: labels are read as ``p (1 - s) + s / classes``.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Examples
    --------
    >>> round(CategoricalFocalCrossentropy(alpha=1.0)([[0, 1]], [[0.5, 0.5]]), 4)
    0.1733
    """

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str | None = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        _check_axis(self, axis)
        if np.ndim(alpha):
            raise ValueError(
                "CategoricalFocalCrossentropy: alpha must be one number; give classes weights of "
                "their own by class_weight in fit"
            )
        self.alpha = _check_not_negative(self, "alpha", alpha)
        self.gamma = _check_not_negative(self, "gamma", gamma)
        self.from_logits = bool(from_logits)
        self.label_smoothing = _check_share(self, "label_smoothing", label_smoothing)

    @property
    def op(self) -> str:  # type: ignore[override]
        return "categorical_focal_crossentropy" + ("_logits" if self.from_logits else "")

    def options(self) -> dict[str, float]:
        return {"gamma": self.gamma, "alpha": self.alpha, "smoothing": self.label_smoothing}

    def _config(self) -> dict[str, Any]:
        return {
            "alpha": self.alpha,
            "gamma": self.gamma,
            "from_logits": self.from_logits,
            "label_smoothing": self.label_smoothing,
        }


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
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
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


class CategoricalGeneralizedCrossEntropy(Loss):
    """Loss of class numbers that forgives wrong labels: ``(1 - p[y]^q) / q``.

    Between the cross-entropy (q near 0) and the absolute error (q near 1); y_pred are
    probabilities (Zhang and Sabuncu, 2018).

    Parameters
    ----------
    q : float
        Above 0 and below 1.

    Raises
    ------
    ValueError
        If q is not.

    Examples
    --------
    >>> CategoricalGeneralizedCrossEntropy()([1], [[0.75, 0.25]])
    1.0
    """

    op = "generalized_crossentropy"
    sparse = True

    def __init__(
        self,
        q: float = 0.5,
        reduction: str = "sum_over_batch_size",
        name: str | None = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        if not 0 < q < 1:
            raise ValueError(
                f"CategoricalGeneralizedCrossEntropy: q must be between 0 and 1, not {q!r}"
            )
        self.q = float(q)

    def options(self) -> dict[str, float]:
        return {"q": self.q}

    def _config(self) -> dict[str, Any]:
        return {"q": self.q}


class KLDivergence(Loss):
    """Kullback-Leibler divergence: ``sum y log(y / yhat)``, both clipped to [1e-7, 1].

    Examples
    --------
    >>> round(KLDivergence()([[1.0, 0.0]], [[0.5, 0.5]]), 4)
    0.6931
    """

    op = "kl_divergence"

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str | None = "kl_divergence",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class Hinge(Loss):
    """Hinge loss: ``1/n sum max(1 - y yhat, 0)`` for labels -1 and 1 (or 0 and 1).

    Examples
    --------
    >>> Hinge()([[1.0]], [[0.25]])
    0.75
    """

    op = "hinge"
    broadcasts = True

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str | None = "hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class SquaredHinge(Loss):
    """Squared hinge loss: ``1/n sum max(1 - y yhat, 0)^2`` for labels -1 and 1 (or 0 and 1).

    Examples
    --------
    >>> SquaredHinge()([[1.0]], [[0.5]])
    0.25
    """

    op = "squared_hinge"
    broadcasts = True

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str | None = "squared_hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class CategoricalHinge(Loss):
    """Hinge loss of one-hot labels: ``max(1 + max((1 - y) yhat) - sum y yhat, 0)``.

    Examples
    --------
    >>> CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.75]])
    0.75
    """

    op = "categorical_hinge"

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str | None = "categorical_hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


# ------------------------------------------------------------------------- overlap


class _Overlap(Loss):
    """How little y and yhat overlap, over whole batches or over axes of them.

    Over a whole batch there is one value; it stands for each of its examples where they have
    weights, and is the batch's loss, whatever the reduction, where they have none.
    """

    op = "tversky"

    def __init__(
        self,
        name: str | None,
        reduction: str,
        axis: int | tuple[int, ...] | None,
        dtype: Any,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.axis = axis if axis is None or isinstance(axis, int) else tuple(axis)

    def emit(
        self, y_true: Value, y_pred: Value, weight: Value | None, loss_weight: float = 1.0
    ) -> Node:
        """Adds the loss to a graph."""
        op, reduction = self.op, self._in_training
        rank = len(y_pred.dims) + 1
        axes = tuple(range(1, rank)) if self.axis is None else _axes(self, rank)
        if axes == tuple(range(1, rank)):
            y_true, y_pred = (ops.reshape(v, (v.size,)) for v in (y_true, y_pred))
        elif axes != (rank - 1,):
            raise ValueError(
                f"{type(self).__name__}: in a model, axis must be None (the whole batch), -1 "
                f"(the last axis) or all axes but the first, which for outputs of shape "
                f"{y_pred.shape} are {tuple(range(1, rank))}; not {self.axis!r}"
            )
        if self.axis is None:
            op = "batch_tversky"
            reduction = reduction if weight is not None else "mean"
        return ops.loss(
            op,
            y_true,
            y_pred,
            weight,
            reduction=reduction,
            loss_weight=loss_weight,
            **self.options(),
        )

    def values(self, y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
        """The loss over the axes; one number, of shape (), over all of them."""
        p = as_float(y_pred, f"{self.name}: y_pred")
        y = as_array(y_true, f"{self.name}: y_true")
        if y.shape != p.shape:
            raise ValueError(
                f"{self.name}: y_true of shape {y.shape} does not fit y_pred of shape {p.shape}"
            )
        axes = tuple(range(p.ndim)) if self.axis is None else _axes(self, p.ndim)
        kept = tuple(size for i, size in enumerate(p.shape) if i not in axes)
        last = tuple(range(-len(axes), 0))
        y, p = (np.moveaxis(a, axes, last).reshape((*kept, -1)) for a in (y, p))
        return super().values(y, p) if kept else super().values(y[None], p[None])[0, ...]

    def _config(self) -> dict[str, Any]:
        return {"axis": self.axis}


def _axes(loss: _Overlap, rank: int) -> tuple[int, ...]:
    """The axes that a loss works over, counted from the first."""
    given = (loss.axis,) if isinstance(loss.axis, int) else loss.axis or ()
    if not given or any(not -rank <= axis < rank for axis in given):
        raise ValueError(
            f"{type(loss).__name__}: axis must be None or name axes of arrays that have {rank}, "
            f"not {loss.axis!r}"
        )
    return tuple(sorted({axis % rank for axis in given}))


class Dice(_Overlap):
    """1 less the Dice coefficient: ``1 - 2 sum y yhat / (sum y + sum yhat + 1e-7)``.

    Parameters
    ----------
    axis : int, tuple of int or None
        What the sums are over: a whole batch if not given. In a model, else -1 (the last axis)
        or all axes but the first.

    Raises
    ------
    ValueError
        For other axes.

    Examples
    --------
    >>> round(Dice()([[1.0, 0.0]], [[0.5, 0.5]]), 4)
    0.5
    """

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str | None = "dice",
        axis: int | tuple[int, ...] | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, axis, dtype)

    def options(self) -> dict[str, float]:
        # The coefficient's numerator and denominator are twice those of Tversky's index.
        return {"alpha": 0.5, "beta": 0.5, "epsilon": 0.5 * EPSILON}


class Tversky(_Overlap):
    """1 less Tversky's index (Salehi et al., 2017).

    ``1 - I / (I + alpha sum y (1 - yhat) + beta sum (1 - y) yhat + 1e-7)``, with
    ``I = sum y yhat``: alpha says what it costs to miss something, beta what it costs to see
    something that is not there.

    Parameters
    ----------
    alpha, beta : float
        At least 0.
    axis : int, tuple of int or None
        As in `Dice`.

    Raises
    ------
    ValueError
        If alpha or beta is below 0, or for other axes.

    Examples
    --------
    >>> round(Tversky(alpha=0.25, beta=0.75)([[1.0, 0.0]], [[0.5, 0.5]]), 4)
    0.5
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str = "sum_over_batch_size",
        name: str | None = "tversky",
        axis: int | tuple[int, ...] | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, axis, dtype)
        self.alpha = _check_not_negative(self, "alpha", alpha)
        self.beta = _check_not_negative(self, "beta", beta)

    def options(self) -> dict[str, float]:
        return {"alpha": self.alpha, "beta": self.beta, "epsilon": EPSILON}

    def _config(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "beta": self.beta, "axis": self.axis}


# ------------------------------------------------------ of several rows of the outputs


class _OfSeveralRows(Loss):
    """Base of those in which more than one row of y_pred makes the value of an example."""

    sparse = True
    axes: tuple[str, ...] = ()  # those of y_pred behind the batch

    def check(self, y: NDArray[Any], dims: tuple[int, ...]) -> None:
        if len(dims) != len(self.axes):
            raise ValueError(
                f"{self.name} needs outputs of shape (batch, {', '.join(self.axes)}), but they "
                f"have shape (batch{''.join(f', {d}' for d in dims)})"
            )
        self._check_classes(y, dims)

    def _check_classes(self, y: NDArray[Any], dims: tuple[int, ...]) -> None:
        raise NotImplementedError

    def values(self, y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
        """The loss of each example, (batch,)."""
        p = as_float(y_pred, f"{self.name}: y_pred")
        y = as_array(y_true, f"{self.name}: y_true")
        self.check(y, p.shape[1:])
        if len(y) != len(p):
            raise ValueError(f"{self.name}: y_true has {len(y)} examples but y_pred has {len(p)}")
        values = np.empty(len(p), p.dtype)
        self._compute(y.astype(np.int32).reshape(-1), p.reshape(-1, p.shape[-1]), values)
        return values


class CTC(_OfSeveralRows):
    r"""Connectionist temporal classification (Graves et al., 2006): labels that have no places.

    ``-log sum_a prod_t softmax(yhat_t)[a_t]`` over all alignments a: a class for each of the steps
    t, which reads as the labels when first repetitions and then blanks are taken out of it. Class 0
    is the blank.

    y_pred are logits of shape (batch, steps, classes); y_true has shape (batch, length), its rows
    being class numbers from 1 on and zeros behind those that are shorter. Each example has one
    value, and one sample weight.

    Raises
    ------
    ValueError
        In a model, for outputs of another shape. For labels that are no class numbers, that follow
        a 0, or that need more steps than there are: one each, and one more between equal ones.

    Examples
    --------
    >>> import numpy as np
    >>> round(CTC()([[1]], np.zeros((1, 2, 2))), 4)  # 11, 01 and 10, of four
    0.2877
    """

    op = "ctc"
    axes = ("steps", "classes")
    rows = ()

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str | None = "ctc",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)

    def target_dims(
        self, dims: tuple[int, ...], given: tuple[int, ...] | None = None
    ) -> tuple[int, ...] | None:
        return given

    def _check_classes(self, y: NDArray[Any], dims: tuple[int, ...]) -> None:
        check_alignable(y, dims, self.name)


class Circle(_OfSeveralRows):
    """Circle loss of embeddings (Sun et al., 2020): rows of one class near, others apart.

    ``log(1 + sum_p exp(a_p) sum_n exp(b_n))`` for each row i of a batch. With
    ``d = max(1 - yhat_i . yhat_j, 0)``, ``a = gamma (d + margin) (d - margin)`` over the rows p of
    the same class, and ``b = gamma max(1 + margin - d, 0) (1 - margin - d)`` over the others, n.

    y_pred has shape (batch, features), and its rows length 1: put a `UnitNormalization` last.
    y_true has a class number of at least 0 for each row; how many classes there are does not
    matter. A row that no other of the batch is like, or that none is unlike, is 0, and means are
    over the rows above 0.

    Parameters
    ----------
    gamma : float
        Above 0: how sharply the worst pairs count.
    margin : float
        At least 0.
    remove_diagonal : bool
        Whether a row is no pair with itself.

    Raises
    ------
    ValueError
        If gamma or margin is none of these; in a model, for outputs of another shape.

    Examples
    --------
    >>> same = [[1.0, 0.0], [1.0, 0.0]]
    >>> round(Circle(remove_diagonal=False)([1, 2], same), 4)  # 80 (1.4 * 0.6 - 0.4 * 0.4)
    54.4
    """

    op = "circle"
    axes = ("features",)

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str = "sum_over_batch_size",
        name: str | None = "circle",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        if not 0 < gamma < np.inf:
            raise ValueError(f"Circle: gamma must be a finite number above 0, not {gamma!r}")
        self.gamma = float(gamma)
        self.margin = _check_not_negative(self, "margin", margin)
        self.remove_diagonal = bool(remove_diagonal)

    def options(self) -> dict[str, Any]:
        return {
            "gamma": self.gamma,
            "margin": self.margin,
            "remove_diagonal": self.remove_diagonal,
        }

    def target_dims(
        self, dims: tuple[int, ...], given: tuple[int, ...] | None = None
    ) -> tuple[int, ...] | None:
        return ()

    def _check_classes(self, y: NDArray[Any], dims: tuple[int, ...]) -> None:
        check_whole_numbers(y, self.name)

    def options_in_graph(self) -> dict[str, Any]:
        return self.options() | {"over_positive": self.reduction != "sum"}

    def __call__(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """The loss of a batch, as one number."""
        values = self.values(y_true, y_pred)
        rows = 1 if self.reduction == "sum" else max(int(np.count_nonzero(values > 0)), 1)
        if sample_weight is not None:
            weight = as_array(sample_weight, f"{self.name}: sample_weight").astype(values.dtype)
            values = values * weight.reshape(values.shape)
        return float(values.sum() / rows)

    def _config(self) -> dict[str, Any]:
        return self.options()


# ------------------------------------------------------------------ of the user's own


class ScalarLoss(Loss):
    """A loss of the user's own: the mean of ``f(y_true, y_pred)`` over the last axis.

    What ``compile(loss=f)`` makes of a function. Numba compiles it, and a compiled step calls it
    as a C function, of several elements at once. Without Numba, NumPy does it, in a step that
    Python runs. ``docs/own-functions.md`` says what such a function may use.

    Parameters
    ----------
    function : callable or str
        Of two numbers, returning a number: arithmetic, comparisons, if and else, min, max, abs,
        and the functions of `math`. Or the name that `register` gave it.
    derivative : callable, optional
        The same of its derivative with respect to y_pred; derived from the source of `function` if
        not given. Either is compared with finite differences.

    Raises
    ------
    ValueError
        If the function cannot be compiled or has no derivative, saying which line; if the
        derivative is not that of the function, saying where; for a name that is not known.

    Examples
    --------
    >>> def quartic(y_true, y_pred):
    ...     return (y_true - y_pred) ** 4
    >>> ScalarLoss(quartic)([[0.0, 1.0]], [[2.0, 1.0]])
    8.0
    """

    op = "own_loss"

    def __init__(
        self,
        function: Callable[[Any, Any], Any] | str,
        derivative: Callable[[Any, Any], Any] | None = None,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        self.registered = function if isinstance(function, str) else None
        if isinstance(function, str):
            self.scalar = naming.lookup("loss", function, _REGISTERED)
        else:
            title = name or str(getattr(function, "__name__", "function"))
            self.scalar = _scalar(function, derivative, title)
        super().__init__(name or self.scalar.name, reduction)

    def options(self) -> dict[str, Any]:
        return {"function": self.scalar}

    def _compute(self, y_true: NDArray[Any], y_pred: NDArray[Any], values: NDArray[Any]) -> None:
        own.own_loss(y_true, y_pred, None, values=values, function=self.scalar)

    def _config(self) -> dict[str, Any]:
        if self.registered is not None:
            return {"function": self.registered}
        return {"function": self.scalar.function, "derivative": self.scalar.given_derivative}


def _scalar(
    function: Callable[[Any, Any], Any], derivative: Callable[[Any, Any], Any] | None, name: str
) -> ScalarFunction:
    from .backends.differentiation import DifferentiationError
    from .backends.scalar_functions import ScalarFunction

    try:
        return ScalarFunction(function, derivative, 2, name)
    except DifferentiationError as error:
        raise DifferentiationError(
            f"the loss '{name}' is no function of two numbers that can be compiled: {error}\n"
            "If it works on whole arrays, it must return one value for each row of y_pred; "
            "hotloop.losses.ArrayLoss(f) says more of what it returns."
        ) from None


def _of_function(function: Callable[[Any, Any], Any]) -> Loss:
    """The loss that a user's function is: of numbers if it can be, or else of whole arrays."""
    from .backends.differentiation import DifferentiationError

    try:
        return ScalarLoss(function)
    except DifferentiationError:
        if _records(function):
            return LossFunctionWrapper(function)
        if _gives_a_value_of_each_row(function):
            return ArrayLoss(function)
        raise


def _records(function: Callable[[Any, Any], Any]) -> bool:
    """Whether a function computes with symbolic values."""
    y, p = (Value((3,), "float32", role="input") for _ in range(2))
    try:
        with recording.within(recording.Recording()), in_layer(None):
            return isinstance(function(y, p), Value)
    except Exception:  # whatever a function of arrays raises
        return False


class LossFunctionWrapper(Loss):
    """A loss that a function says: ``fn(y_true, y_pred, **kwargs)``.

    Parameters
    ----------
    fn : callable
        As `Loss.call`. An axis of length 1 that one of its arguments lacks is added first.
    reduction, name, dtype
        As in `Loss`.
    **kwargs
        Passed on to fn.

    Examples
    --------
    >>> LossFunctionWrapper(lambda y_true, y_pred: abs(y_true - y_pred))([[0.0]], [[2.0]])
    2.0
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        if not callable(fn):
            raise TypeError(f"LossFunctionWrapper: fn must be a function, not {fn!r}")
        super().__init__(name or getattr(fn, "__name__", "loss"), reduction, dtype)
        self.fn, self._kwargs = fn, kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        ranks = len(y_true.shape), len(y_pred.shape)
        if ranks[0] == ranks[1] - 1 and y_pred.shape[-1] == 1:
            y_true = _reshaped(y_true, (*y_true.shape, 1))
        elif ranks[1] == ranks[0] - 1 and y_true.shape[-1] == 1:
            y_true = _reshaped(y_true, y_true.shape[:-1])
        return self.fn(y_true, y_pred, **self._kwargs)

    def _config(self) -> dict[str, Any]:
        return {"fn": self.fn, **self._kwargs}


def _reshaped(x: Any, shape: tuple[int, ...]) -> Any:
    """x of another shape, the first axis of a value with a batch being that."""
    if not isinstance(x, Value):
        return np.reshape(x, shape)
    return ops.reshape(x, shape[1:] if x.batched else shape)


def _gives_a_value_of_each_row(
    function: Callable[[Any, Any], Any],
    y_dims: tuple[int, ...] = (3,),
    p_dims: tuple[int, ...] = (3,),
) -> bool:
    """Whether a function takes arrays, and returns what Keras's losses do."""
    numbers = np.random.default_rng(0).random  # of classes, or nearly
    y, p = numbers((2, *y_dims)), numbers((2, *p_dims))
    try:
        with np.errstate(all="ignore"):
            return bool(np.shape(function(y, p)) == (2, *p_dims[:-1]))
    except Exception:  # whatever a function of other things raises
        return False


class ArrayLoss(Loss):
    """A loss of the user's own that NumPy computes of whole arrays, as Keras's functions do.

    It runs at every batch, takes the GIL, and one thread does it while all others wait: much
    slower than a `ScalarLoss`, which a warning says once.

    Parameters
    ----------
    function : callable
        ``function(y_true, y_pred)``: the value of each row, of y_pred's shape (batch, ...) without
        the last axis. The arrays must not be written to, and are other numbers after the call.
    gradient : callable, optional
        ``gradient(y_true, y_pred)``: the derivative of each row's value with respect to y_pred, of
        y_pred's shape. Without it, central differences in double precision take its place: right
        to float32's rounding where the loss is smooth, and the function's work two times for each
        feature of y_pred.

    Raises
    ------
    TypeError
        If one of them cannot be called.
    ValueError
        When it runs: if what is returned has another shape; in training without a gradient, if a
        row's value depends on other rows.

    Examples
    --------
    >>> import numpy as np
    >>> def largest_error(y_true, y_pred):
    ...     return np.max(np.abs(y_true - y_pred), axis=-1)
    >>> ArrayLoss(largest_error)([[0.0, 1.0]], [[2.0, 1.0]])
    2.0
    """

    op = "array_loss"

    def __init__(
        self,
        function: Callable[[Any, Any], Any],
        gradient: Callable[[Any, Any], Any] | None = None,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        for what, given in (("function", function), ("gradient", gradient)):
            if not callable(given) and (given is not None or what == "function"):
                raise TypeError(f"ArrayLoss: {what} must be a function, not {given!r}")
        super().__init__(name or getattr(function, "__name__", "array_loss"), reduction)
        self.function = function
        self.gradient = gradient

    def emit(
        self, y_true: Value, y_pred: Value, weight: Value | None, loss_weight: float = 1.0
    ) -> Node:
        """Adds the loss to a graph, and says that it is slow."""
        if not self._announced:
            self._announced = True
            warnings.warn(
                f"the loss '{self.name}' runs in Python at every batch, and no other thread works "
                "meanwhile; a scalar function of y_true and y_pred would be compiled"
                + ("" if self.gradient else "; ArrayLoss(f, gradient=g) spares finite differences"),
                UserWarning,
                stacklevel=2,
            )
        return ops.loss(
            self.op,
            y_true,
            y_pred,
            weight,
            reduction=self._in_training,
            loss_weight=loss_weight,
            **self._options(y_pred.dims),
        )

    def _options(self, dims: tuple[int, ...]) -> dict[str, Any]:
        return {
            "function": self.function,
            "derivative": self.gradient,
            "dims": dims,
            "name": self.name,
        }

    def values(self, y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
        p = as_float(y_pred, f"{self.name}: y_pred")
        y = np.ascontiguousarray(as_array(y_true, f"{self.name}: y_true"), p.dtype)
        if p.ndim == 0 or y.size != p.size:
            raise ValueError(
                f"{self.name}: y_true of shape {y.shape} does not fit y_pred of shape {p.shape}"
            )
        values = np.empty(math.prod(p.shape[:-1]), p.dtype)
        own.array_loss(y, p, None, values=values, **self._options(p.shape[1:]))
        return values.reshape(p.shape[:-1])

    def _config(self) -> dict[str, Any]:
        return {"function": self.function, "gradient": self.gradient}


# -------------------------------------------------------------------------- checks


def _check_axis(loss: Loss, axis: int) -> None:
    if axis != -1:
        raise ValueError(
            f"{type(loss).__name__}: classes must be on the last axis (-1), not {axis}"
        )


def _check_share(loss: Loss, name: str, share: float) -> float:
    if not 0 <= share <= 1:
        raise ValueError(f"{type(loss).__name__}: {name} must be from 0 to 1, not {share!r}")
    return float(share)


def _check_not_negative(loss: Loss, name: str, value: float) -> float:
    if not 0 <= value < np.inf:
        raise ValueError(
            f"{type(loss).__name__}: {name} must be a finite number of at least 0, not {value!r}"
        )
    return float(value)


# ----------------------------------------------------------------------- functions


def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
    """`MeanSquaredError` of each row."""
    return MeanSquaredError().values(y_true, y_pred)


def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
    """`MeanAbsoluteError` of each row."""
    return MeanAbsoluteError().values(y_true, y_pred)


def mean_absolute_percentage_error(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
    """`MeanAbsolutePercentageError` of each row."""
    return MeanAbsolutePercentageError().values(y_true, y_pred)


def mean_squared_logarithmic_error(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
    """`MeanSquaredLogarithmicError` of each row."""
    return MeanSquaredLogarithmicError().values(y_true, y_pred)


def cosine_similarity(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> NDArray[Any]:
    """`CosineSimilarity` of each row."""
    return CosineSimilarity(axis).values(y_true, y_pred)


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


def binary_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> NDArray[Any]:
    """`BinaryFocalCrossentropy` of each row."""
    loss = BinaryFocalCrossentropy(
        apply_class_balancing, alpha, gamma, from_logits, label_smoothing, axis
    )
    return loss.values(y_true, y_pred)


def categorical_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> NDArray[Any]:
    """`CategoricalCrossentropy` of each row."""
    return CategoricalCrossentropy(from_logits, label_smoothing, axis).values(y_true, y_pred)


def categorical_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> NDArray[Any]:
    """`CategoricalFocalCrossentropy` of each row."""
    loss = CategoricalFocalCrossentropy(alpha, gamma, from_logits, label_smoothing, axis)
    return loss.values(y_true, y_pred)


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


def categorical_generalized_cross_entropy(
    y_true: ArrayLike, y_pred: ArrayLike, q: float
) -> NDArray[Any]:
    """`CategoricalGeneralizedCrossEntropy` of each row."""
    return CategoricalGeneralizedCrossEntropy(q).values(y_true, y_pred)


def kl_divergence(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
    """`KLDivergence` of each row."""
    return KLDivergence().values(y_true, y_pred)


def hinge(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
    """`Hinge` of each row."""
    return Hinge().values(y_true, y_pred)


def squared_hinge(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
    """`SquaredHinge` of each row."""
    return SquaredHinge().values(y_true, y_pred)


def categorical_hinge(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
    """`CategoricalHinge` of each row."""
    return CategoricalHinge().values(y_true, y_pred)


def dice(
    y_true: ArrayLike, y_pred: ArrayLike, axis: int | tuple[int, ...] | None = None
) -> NDArray[Any]:
    """`Dice` over the axes, all of them by default."""
    return Dice(axis=axis).values(y_true, y_pred)


def tversky(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    alpha: float = 0.5,
    beta: float = 0.5,
    axis: int | tuple[int, ...] | None = None,
) -> NDArray[Any]:
    """`Tversky` over the axes, all of them by default."""
    return Tversky(alpha, beta, axis=axis).values(y_true, y_pred)


def ctc(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
    """`CTC` of each example."""
    return CTC().values(y_true, y_pred)


def circle(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    ref_labels: None = None,
    ref_embeddings: None = None,
    remove_diagonal: bool = True,
    gamma: float = 80.0,
    margin: float = 0.4,
) -> NDArray[Any]:
    """`Circle` of each row; rows are compared with each other only, not with others (`ref_...`)."""
    if ref_labels is not None or ref_embeddings is not None:
        raise ValueError(
            "circle: ref_labels and ref_embeddings are not supported; a row is compared with the "
            "other rows of y_pred"
        )
    return Circle(gamma, margin, remove_diagonal).values(y_true, y_pred)


# -------------------------------------------------------------------------- by name

_BY_NAME: dict[str, type[Loss]] = {
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "mae": MeanAbsoluteError,
    "mean_absolute_percentage_error": MeanAbsolutePercentageError,
    "mape": MeanAbsolutePercentageError,
    "mean_squared_logarithmic_error": MeanSquaredLogarithmicError,
    "msle": MeanSquaredLogarithmicError,
    "cosine_similarity": CosineSimilarity,
    "huber": Huber,
    "huber_loss": Huber,
    "log_cosh": LogCosh,
    "logcosh": LogCosh,
    "poisson": Poisson,
    "binary_crossentropy": BinaryCrossentropy,
    "bce": BinaryCrossentropy,
    "binary_focal_crossentropy": BinaryFocalCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "categorical_focal_crossentropy": CategoricalFocalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "categorical_generalized_cross_entropy": CategoricalGeneralizedCrossEntropy,
    "kl_divergence": KLDivergence,
    "kld": KLDivergence,
    "hinge": Hinge,
    "squared_hinge": SquaredHinge,
    "categorical_hinge": CategoricalHinge,
    "dice": Dice,
    "tversky": Tversky,
    "ctc": CTC,
    "circle": Circle,
}
_BY_FUNCTION: dict[Callable[..., Any], type[Loss]] = {
    mean_squared_error: MeanSquaredError,
    mean_absolute_error: MeanAbsoluteError,
    mean_absolute_percentage_error: MeanAbsolutePercentageError,
    mean_squared_logarithmic_error: MeanSquaredLogarithmicError,
    cosine_similarity: CosineSimilarity,
    huber: Huber,
    log_cosh: LogCosh,
    poisson: Poisson,
    binary_crossentropy: BinaryCrossentropy,
    binary_focal_crossentropy: BinaryFocalCrossentropy,
    categorical_crossentropy: CategoricalCrossentropy,
    categorical_focal_crossentropy: CategoricalFocalCrossentropy,
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy,
    kl_divergence: KLDivergence,
    hinge: Hinge,
    squared_hinge: SquaredHinge,
    categorical_hinge: CategoricalHinge,
    dice: Dice,
    tversky: Tversky,
    ctc: CTC,
    circle: Circle,
}

# Those of the user's own, and the classes that configurations name.
_REGISTERED: dict[str, ScalarFunction] = {}
config.own_functions["loss"] = _REGISTERED
_OWN: dict[str, type[Loss]] = {
    "ScalarLoss": ScalarLoss,
    "ArrayLoss": ArrayLoss,
    "LossFunctionWrapper": LossFunctionWrapper,
}


def register(
    name: str,
    f: Callable[[Any, Any], Any],
    derivative: Callable[[Any, Any], Any] | None = None,
) -> ScalarLoss:
    """Makes a scalar Python function a loss that is known by a name.

    Parameters
    ----------
    name : str
        By which `compile` finds it, and models in files; that of a loss of hotloop's is refused,
        one that was registered before is replaced.
    f, derivative : callable
        As in `ScalarLoss`.

    Returns
    -------
    ScalarLoss

    Raises
    ------
    ValueError
        If the name is taken, and as `ScalarLoss`.

    Examples
    --------
    >>> def quartic(y_true, y_pred):
    ...     return (y_true - y_pred) ** 4
    >>> register("quartic", quartic)
    <ScalarLoss name=quartic reduction=sum_over_batch_size>
    >>> get("quartic")([[0.0, 1.0]], [[2.0, 1.0]])
    8.0
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"the name of a loss must be a string, not {name!r}")
    if name in _BY_NAME:
        raise ValueError(f"'{name}' is a loss of hotloop's; register yours by another name")
    _REGISTERED[name] = _scalar(f, derivative, name)
    return ScalarLoss(name)


def get(identifier: str | Loss | type[Loss] | Mapping[str, Any] | Callable[..., Any]) -> Loss:
    """The loss for a name, a class, one of this module's functions, a config or a loss.

    Of a function's name, as ``"mse"``, a call gives a value for each row, as the function does;
    that of a class, as ``"MeanSquaredError"``, their mean. Any other plain function is a scalar one
    of the user's own, as in `ScalarLoss`, if it can be; or else it is recorded, as in
    `LossFunctionWrapper`, if it can be; or else one of whole arrays, as in `ArrayLoss`, if it
    returns one value for each row.

    Raises
    ------
    ValueError
        For a name that is not known; the nearest one is suggested. For a function that is neither,
        saying which line cannot be compiled, or whose derivative is wrong.
    TypeError
        For anything else.

    Examples
    --------
    >>> get("mse").name
    'mean_squared_error'
    """
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, str) and identifier in _REGISTERED:
        return ScalarLoss(identifier)
    if isinstance(identifier, str) and identifier in _BY_NAME:
        loss = _BY_NAME[identifier]()
        loss.gives_rows = True
        return loss
    known = {**_BY_NAME, **_OWN} if isinstance(identifier, Mapping) else _BY_NAME
    found = naming.instantiate("loss", identifier, known)
    if found in _BY_FUNCTION:
        return _BY_FUNCTION[found]()
    if isinstance(found, FunctionType) or hasattr(found, "py_func"):
        names = (name for name, scalar in _REGISTERED.items() if scalar.function is found)
        name = next(names, None)
        return ScalarLoss(name) if name else _of_function(found)
    if not isinstance(found, Loss):
        raise TypeError(
            f"a loss must be a name, a hotloop.losses.Loss or a function, not {identifier!r}"
        )
    return found


def serialize(loss: Any) -> Any:
    """Plain data in Keras's form, of which `deserialize` makes an equal object."""
    return serialized(loss)


def deserialize(name: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """What `serialize` described, here or in Keras: as `get`.

    Parameters
    ----------
    name : dict or str
    custom_objects : mapping of str to class or function, optional
        Those of your own that are not registered.
    """
    return deserialized(name, custom_objects, get)


if not TYPE_CHECKING:  # which knows all names
    __getattr__ = door(__name__)
