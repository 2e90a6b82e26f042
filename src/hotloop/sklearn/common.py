"""What all estimators share: checked examples, training on them, and outputs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.validation import validate_data

from .. import optimizers
from ..callbacks import History
from ..masks import refuse_masks
from ..models import Model
from ..optimizers import Optimizer
from . import sparse

Array = NDArray[Any]

PREDICTED_AT_ONCE = 1024


@dataclass
class Examples:
    """Checked examples, the targets encoded; x is an array or a sparse matrix of rows."""

    x: Any
    y: Array
    weight: Array | None

    @property
    def rows(self) -> int:
        found: int = self.x.shape[0]
        return found

    def part(self, rows: slice) -> Examples:
        weight = None if self.weight is None else self.weight[rows]
        return Examples(self.x[rows], self.y[rows], weight)


def checked_pair(estimator: Any, X: Any, y: Any, *, reset: bool, **how: Any) -> tuple[Any, Array]:
    """X and y as scikit-learn checks them, X as it is or as rows of a sparse matrix (CSR).

    Raises
    ------
    ValueError
        In scikit-learn's words; for masked values; and where X has one axis and y two, as if they
        were swapped.
    TypeError
        For quantities in a sparse matrix.
    """
    refuse_masks(X, "X")
    refuse_masks(y, "y")
    shape: tuple[int, ...] = getattr(X, "shape", ())
    other: tuple[int, ...] = getattr(y, "shape", ())
    if len(shape) == 1 and len(other) == 2 and other[1] > 1:
        raise ValueError(
            f"Expected 2D array, got 1D array instead: X has shape {shape} and y {other}; are "
            "they swapped? It is fit(X, y)"
        )
    if how["y_numeric"] and sparse.is_sparse(y):
        raise TypeError("y is a sparse matrix; quantities are dense, pass y.toarray()")
    X, y = validate_data(
        estimator, X, y, accept_sparse="csr", dtype="numeric", multi_output=True, reset=reset, **how
    )
    return _usual(X), y


def checked(estimator: Any, X: Any, **how: Any) -> Any:
    """Examples to predict for, as scikit-learn checks them."""
    refuse_masks(X, "X")
    return _usual(
        validate_data(estimator, X, accept_sparse="csr", dtype="numeric", reset=False, **how)
    )


def _usual(X: Any) -> Any:
    """Floats wider than float64 become that, as the core has none."""
    return X.astype(np.float64) if X.dtype.itemsize > 8 and X.dtype.kind == "f" else X


def train(
    model: Model,
    examples: Examples,
    validation: Examples | None,
    *,
    batch_size: int,
    epochs: int,
    verbose: int | str,
    callbacks: Any,
    shuffle: bool,
) -> History:
    """`Model.fit`, which gets the rows of a sparse matrix batch by batch."""
    data: dict[str, Any] = {
        "x": examples.x,
        "y": examples.y,
        "sample_weight": examples.weight,
        "batch_size": batch_size,
    }
    if sparse.is_sparse(examples.x):
        data = {"x": sparse.Batches(examples, batch_size, shuffle)}
    validation_data: Any = None
    if validation is not None:
        validation_data = (validation.x, validation.y)
        if validation.weight is not None:
            validation_data += (validation.weight,)
        if sparse.is_sparse(validation.x):
            validation_data = sparse.Batches(validation, batch_size, shuffle=False)
    return model.fit(
        **data,
        epochs=epochs,
        verbose=verbose,
        callbacks=callbacks,
        validation_data=validation_data,
        shuffle=shuffle,
    )


def outputs_of(model: Model, x: Any) -> Array:
    """A model's outputs for checked examples, of which a block at a time is dense."""
    blocks = sparse.blocks(x, PREDICTED_AT_ONCE)
    # predict_on_batch lets batches of all sizes share a few plans.
    parts: list[Array] = [model.predict_on_batch(sparse.dense(x[rows])) for rows in blocks]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def float_type(X: Any, *, double: bool = False) -> np.dtype[Any]:
    """What scikit-learn's MLP computes in for these examples: float64, unless X is float32."""
    return np.dtype(np.float32 if X.dtype == np.float32 and not double else np.float64)


def fresh_optimizer(identifier: Any) -> Optimizer:
    """An optimizer of these settings that has done no step; the one given stays as it is."""
    found = copy.deepcopy(optimizers.get(identifier))
    found.iterations = 0
    return found


def validation_parts(given: Any) -> tuple[Any, Any, Any]:
    """Examples, targets and weights, None if there are none."""
    if not isinstance(given, list | tuple) or len(given) not in (2, 3):
        raise ValueError("validation_data must be a tuple (X, y) or (X, y, sample_weight)")
    return given[0], given[1], given[2] if len(given) > 2 else None


def check_classes(estimator: Any, y: Any, classes: Any) -> None:
    """That the first call of partial_fit is told of all classes, and no later one of others."""
    name = type(estimator).__name__
    if estimator.class_weight == "balanced":
        raise ValueError(
            f"{name}: partial_fit does not see all examples, so that it cannot balance classes; "
            "pass class_weight as a dict, from sklearn.utils.compute_class_weight"
        )
    if not hasattr(estimator, "model_"):
        if classes is None and np.ndim(y) < 2:
            raise ValueError(
                f"{name}: classes must be passed on the first call to partial_fit: it needs "
                "classes=..., all there are"
            )
    elif classes is not None and not np.array_equal(np.unique(classes), estimator.classes_):
        raise ValueError(
            f"{name}: classes={classes!r} is not the same as on last call to partial_fit, was: "
            f"{estimator.classes_!r}"
        )


def invalid(estimator: Any, name: str, expected: str, hint: object = "") -> InvalidParameterError:
    """scikit-learn's error for a parameter, and what we know besides."""
    return InvalidParameterError(
        f"The {name!r} parameter of {type(estimator).__name__} must be {expected}. Got "
        f"{getattr(estimator, name)!r} instead.{f' {hint}' if hint else ''}"
    )


def check_known(estimator: Any, name: str, get: Callable[[Any], Any], expected: str) -> None:
    """That `get` knows what a parameter says; its error says what is near."""
    try:
        get(getattr(estimator, name))
    except (TypeError, ValueError) as error:
        raise invalid(estimator, name, expected, error) from None
