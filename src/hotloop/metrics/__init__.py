"""Metrics: numbers that judge a model, accumulated over batches in float64.

`base` holds the state, `rows` the metrics that are a weighted mean of one value a row and that
a backend can compute by itself, `counts`, `confusion`, `overlap` and `regression` the ones that
need more. `functions` are rows without a state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ..doors import door
from ..files.models import deserialized, serialized
from ..losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from ..naming import instantiate
from .base import (
    Mean,
    MeanMetricWrapper,
    Metric,
    Sum,
)
from .confusion import (
    FalseNegatives,
    FalsePositives,
    PrecisionAtRecall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
)
from .counts import (
    AUC,
    F1Score,
    FBetaScore,
    Precision,
    Recall,
)
from .functions import (
    METRICS,
    binary_accuracy,
    categorical_accuracy,
    concordance_correlation,
    pearson_correlation,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from .overlap import (
    BinaryIoU,
    IoU,
    MeanIoU,
    OneHotIoU,
    OneHotMeanIoU,
)
from .regression import (
    R2Score,
)
from .rows import (
    Accuracy,
    BinaryAccuracy,
    BinaryCrossentropy,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    CategoricalHinge,
    ConcordanceCorrelation,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanRowMetric,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    PearsonCorrelation,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
    SparseTopKCategoricalAccuracy,
    SquaredHinge,
    TopKCategoricalAccuracy,
)

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "BinaryIoU",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConcordanceCorrelation",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "IoU",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanIoU",
    "MeanMetricWrapper",
    "MeanRowMetric",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "OneHotIoU",
    "OneHotMeanIoU",
    "PearsonCorrelation",
    "Poisson",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "concordance_correlation",
    "deserialize",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "pearson_correlation",
    "poisson",
    "resolve",
    "resolve_accuracy",
    "resolve_crossentropy",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "target_kind",
    "top_k_categorical_accuracy",
]

TargetKind = Literal["binary", "sparse_categorical", "categorical"]


def get(identifier: str | Mapping[str, Any] | Metric | Callable[..., Any] | None) -> Any:
    """Metric of a name, a configuration, a class, an instance or a function; None of None.

    A function of this module becomes the metric that it is the value of; another, ``fn(y_true,
    y_pred)``, a `MeanMetricWrapper`. What ``"accuracy"`` means
    in ``compile`` depends on shapes: see `resolve`.

    Raises
    ------
    ValueError
        If the name is unknown or the identifier is none of these.

    Examples
    --------
    >>> get("mse")
    <MeanSquaredError name=mean_squared_error>
    """
    if identifier is None:
        return None
    found = instantiate("metric", identifier, _TABLE)
    if isinstance(found, Metric):
        return found
    if found in METRICS:
        return METRICS[found](name=found.__name__)
    return MeanMetricWrapper(found)


def serialize(metric: Any) -> Any:
    """Plain data in Keras's form, of which `deserialize` makes an equal object."""
    return serialized(metric)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """What `serialize` described, here or in Keras: as `get`.

    Parameters
    ----------
    config : dict or str
    custom_objects : mapping of str to class or function, optional
        Those of your own that are not registered.
    """
    return deserialized(config, custom_objects, get)


def resolve(
    identifier: str | Mapping[str, Any] | Metric | Callable[..., Any],
    y_true_shape: Sequence[int | None],
    y_pred_shape: Sequence[int | None],
) -> Metric:
    """Metric that an entry of ``compile(metrics=[...])`` means, under the name it has in logs.

    ``"accuracy"`` and ``"acc"`` are chosen by shape; any other name is `get`'s, and names the
    metric: ``"mse"`` is logged as ``mse``.

    Examples
    --------
    >>> resolve("acc", (None, 1), (None, 10)), resolve("mse", (None, 1), (None, 1))
    (<SparseCategoricalAccuracy name=acc>, <MeanSquaredError name=mse>)
    """
    if isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc"):
        return resolve_accuracy(identifier, y_true_shape, y_pred_shape)
    metric: Metric = get(identifier)
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


def resolve_accuracy(
    name: str, y_true_shape: Sequence[int | None], y_pred_shape: Sequence[int | None]
) -> MeanRowMetric:
    """Accuracy that suits the shapes, under the name given.

    Examples
    --------
    >>> resolve_accuracy("accuracy", (32, 10), (32, 10))
    <CategoricalAccuracy name=accuracy>
    """
    kinds: dict[TargetKind, type[Any]] = {
        "binary": BinaryAccuracy,
        "sparse_categorical": SparseCategoricalAccuracy,
        "categorical": CategoricalAccuracy,
    }
    metric: MeanRowMetric = kinds[target_kind(y_true_shape, y_pred_shape)](name=name)
    return metric


def resolve_crossentropy(
    y_true_shape: Sequence[int | None], y_pred_shape: Sequence[int | None]
) -> str:
    """Name of the cross-entropy that suits the shapes, for losses and metrics alike.

    Examples
    --------
    >>> resolve_crossentropy((32,), (32, 10))
    'sparse_categorical_crossentropy'
    """
    return f"{target_kind(y_true_shape, y_pred_shape)}_crossentropy"


def target_kind(
    y_true_shape: Sequence[int | None], y_pred_shape: Sequence[int | None]
) -> TargetKind:
    """What kind of labels the shapes speak of, by Keras's rule.

    Binary where y_pred's last axis has length 1; else sparse where y_true has fewer axes, or a
    last axis of length 1; else categorical, which is one-hot.

    Examples
    --------
    >>> target_kind((32, 1), (32, 1)), target_kind((32, 1), (32, 10))
    ('binary', 'sparse_categorical')
    """
    if y_pred_shape[-1] == 1:
        return "binary"
    if len(y_true_shape) < len(y_pred_shape) or y_true_shape[-1] == 1:
        return "sparse_categorical"
    return "categorical"


_TABLE: dict[str, Any] = {
    "mean": Mean,
    "sum": Sum,
    "mean_metric_wrapper": MeanMetricWrapper,
    "mean_squared_error": MeanSquaredError,
    "root_mean_squared_error": RootMeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "mean_absolute_percentage_error": MeanAbsolutePercentageError,
    "mean_squared_logarithmic_error": MeanSquaredLogarithmicError,
    "cosine_similarity": CosineSimilarity,
    "log_cosh_error": LogCoshError,
    "r2_score": R2Score,
    "pearson_correlation": PearsonCorrelation,
    "concordance_correlation": ConcordanceCorrelation,
    "kl_divergence": KLDivergence,
    "poisson": Poisson,
    "hinge": Hinge,
    "squared_hinge": SquaredHinge,
    "categorical_hinge": CategoricalHinge,
    "binary_crossentropy": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "accuracy": Accuracy,
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "top_k_categorical_accuracy": TopKCategoricalAccuracy,
    "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
    "precision": Precision,
    "recall": Recall,
    "true_positives": TruePositives,
    "true_negatives": TrueNegatives,
    "false_positives": FalsePositives,
    "false_negatives": FalseNegatives,
    "sensitivity_at_specificity": SensitivityAtSpecificity,
    "specificity_at_sensitivity": SpecificityAtSensitivity,
    "precision_at_recall": PrecisionAtRecall,
    "recall_at_precision": RecallAtPrecision,
    "auc": AUC,
    "f1_score": F1Score,
    "fbeta_score": FBetaScore,
    "iou": IoU,
    "binary_iou": BinaryIoU,
    "mean_iou": MeanIoU,
    "one_hot_iou": OneHotIoU,
    "one_hot_mean_iou": OneHotMeanIoU,
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "rmse": RootMeanSquaredError,
    "mape": MeanAbsolutePercentageError,
    "msle": MeanSquaredLogarithmicError,
    "bce": BinaryCrossentropy,
    "logcosh": LogCoshError,
}


if not TYPE_CHECKING:  # which knows all names
    __getattr__ = door(__name__)
