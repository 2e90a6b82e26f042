"""Every activation, loss and metric of Keras's lists: values, gradients and logs are its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hotloop

keras = pytest.importorskip("keras")
torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

ROWS, FEATURES = 37, 5  # no multiple of the batch size
MODULES = (hotloop, keras)


def assert_same(ours: Any, theirs: Any, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), tolerance, tolerance)


# ------------------------------------------------------------------------- activations

ACTIVATIONS: dict[str, dict[str, Any]] = {
    name: {}
    for name in (
        *("linear", "relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu"),
        *("hard_silu", "mish", "softplus", "log_sigmoid", "squareplus", "sparse_plus", "softsign"),
        *("sigmoid", "hard_sigmoid", "sparse_sigmoid", "tanh", "hard_tanh", "tanh_shrink"),
        *("hard_shrink", "soft_shrink", "exponential", "softmax", "log_softmax", "glu"),
        *("swish", "hard_swish"),
    )
}
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    *ACTIVATIONS.items(),
    ("celu", {"alpha": 0.3}),
    ("squareplus", {"b": 0.5}),
    ("squareplus", {"b": 0}),
    ("hard_shrink", {"threshold": 1.25}),
    ("soft_shrink", {"threshold": 1.25}),
    ("threshold", {"threshold": 0.75, "default_value": 0.0}),
    ("threshold", {"threshold": -0.75, "default_value": 0.25}),
    ("threshold", {"threshold": 0.75, "default_value": -3.0}),
    ("relu", {"negative_slope": 0.3}),
    ("relu", {"max_value": 2.5}),
    ("relu", {"threshold": 0.8}),
    ("relu", {"threshold": -0.8}),
    ("relu", {"threshold": 0.8, "max_value": 2.5}),
    ("relu", {"threshold": 0.8, "negative_slope": 0.3}),
    ("relu", {"threshold": 0.8, "negative_slope": 0.3, "max_value": 2.5}),
    ("relu", {"threshold": -0.8, "negative_slope": 0.3, "max_value": 2.5}),
]


def test_no_activation_of_keras_is_missing():
    names = {name for name in dir(keras.activations) if not name.startswith("_")}
    ours = {name for name in dir(hotloop.activations) if not name.startswith("_")}
    assert names - ours == set()


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_activation_and_its_gradient(name, options, backend):
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(0, 2, (ROWS, 6)), rng.normal(0, 20, (3, 6))]).astype("float32")
    theirs = getattr(keras.activations, name)
    ours = getattr(hotloop.activations, name)
    want = keras.ops.convert_to_numpy(theirs(x, **options))
    assert_same(ours(x, **options), want)

    dy = rng.normal(size=want.shape).astype("float32")
    point = torch.tensor(x, requires_grad=True)
    (theirs(point, **options) * torch.tensor(dy)).sum().backward()
    slope = point.grad
    inputs = hotloop.Input((6,))
    layer = hotloop.layers.Dense(6, use_bias=False)
    outputs = hotloop.layers.Activation(lambda v: ours(v, **options))(layer(inputs))
    model = hotloop.Model(inputs, hotloop.layers.Dense(1, use_bias=False)(outputs))
    for i in (0, 7, len(x) - 1):
        # For the input 1 0 0 0 0 0, x is a weight itself; the loss is f(x) dy and a constant.
        kernel = np.zeros((6, 6), "float32")
        kernel[0] = x[i]
        model.set_weights([kernel, dy[i][:, None]])
        model.compile(hotloop.optimizers.SGD(1.0), "mae")
        one = np.eye(6, dtype="float32")[:1]
        np.testing.assert_allclose(model.predict(one, verbose=0)[0, 0], want[i] @ dy[i], 1e-4, 1e-4)
        model.fit(one, [[-1e6]], verbose=0)
        assert_same(kernel[0] - model.get_weights()[0][0], slope[i], 2e-4)


def test_relu_layer_with_a_threshold(backend):
    x = np.linspace(-4, 4, 60, dtype="float32").reshape(10, 6)
    results = []
    for k in MODULES:
        model = k.Sequential([k.layers.Input((6,)), k.layers.ReLU(3.0, 0.25, 1.5)])
        results.append(model.predict(x, verbose=0))
    assert_same(*results)


# ------------------------------------------------------------------------------ losses

# Class, options, kind of data.
LOSSES: list[tuple[str, dict[str, Any], str]] = [
    ("MeanAbsolutePercentageError", {}, "numbers"),
    ("MeanSquaredLogarithmicError", {}, "positive"),
    ("MeanSquaredLogarithmicError", {}, "numbers"),
    ("CosineSimilarity", {}, "numbers"),
    ("SquaredHinge", {}, "signs"),
    ("SquaredHinge", {}, "bits"),
    ("CategoricalHinge", {}, "classes"),
    ("BinaryFocalCrossentropy", {}, "bits"),
    ("BinaryFocalCrossentropy", {"gamma": 1.5, "label_smoothing": 0.1}, "bits"),
    ("BinaryFocalCrossentropy", {"gamma": 0.0}, "bits"),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.4}, "bits"),
    ("BinaryFocalCrossentropy", {"from_logits": True, "gamma": 3.0}, "bit logits"),
    ("CategoricalFocalCrossentropy", {}, "classes"),
    ("CategoricalFocalCrossentropy", {"alpha": 0.7, "gamma": 0.5}, "classes"),
    ("CategoricalFocalCrossentropy", {"alpha": 1.0, "gamma": 0.0}, "classes"),
    (
        "CategoricalFocalCrossentropy",
        {"from_logits": True, "gamma": 1.0, "label_smoothing": 0.2},
        "logits",
    ),
    ("CategoricalGeneralizedCrossEntropy", {}, "labels"),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.9}, "labels"),
    ("Dice", {}, "bits"),
    ("Dice", {"axis": -1}, "bits"),
    ("Tversky", {}, "bits"),
    ("Tversky", {"alpha": 0.2, "beta": 0.9}, "bits"),
    ("Tversky", {"alpha": 0.2, "beta": 0.9, "axis": 1}, "bits"),
]
LAST = {"numbers": None, "positive": "softplus", "signs": "tanh", "bit logits": None}
LAST |= {"logits": None, "classes": "softmax", "labels": "softmax", "bits": "sigmoid"}
IDS = [f"{name}-{options}-{kind}" for name, options, kind in LOSSES]


def targets(kind: str, rows: int, units: int) -> Any:
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(rows, units)).astype("float32")
    return {
        "numbers": scores,
        "positive": np.abs(scores),
        "signs": np.where(scores > 0, 1, -1),
        "bits": (scores > 0).astype("float32"),
        "bit logits": (scores > 0).astype("float32"),
        "classes": np.eye(units, dtype="float32")[scores.argmax(axis=1)],
        "logits": np.eye(units, dtype="float32")[scores.argmax(axis=1)],
        "labels": scores.argmax(axis=1),
    }[kind]


def predictions(kind: str, rows: int, units: int) -> Any:
    scores = np.random.default_rng(6).normal(size=(rows, units)).astype("float32")
    if LAST[kind] is None:
        return scores
    return np.asarray(getattr(keras.activations, LAST[kind])(scores))


def loss_of(k: Any, name: str, options: dict[str, Any], **more: Any) -> Any:
    if k is keras and not hasattr(keras.losses, name):
        from keras.src.losses import losses

        return getattr(losses, name)(**options, **more)
    return getattr(k.losses, name)(**options, **more)


def test_no_loss_of_keras_is_missing():
    names = {name for name in dir(keras.losses) if not name.startswith("_")}
    ours = {name for name in dir(hotloop.losses) if not name.startswith("_")}
    assert names - ours == set()


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "sum"])
@pytest.mark.parametrize(("name", "options", "kind"), LOSSES, ids=IDS)
def test_loss_of_arrays(name, options, kind, reduction, backend):
    y, p = targets(kind, ROWS, 4), predictions(kind, ROWS, 4)
    weight = np.linspace(0.0, 3.0, ROWS, dtype="float32")
    found, wanted = (loss_of(k, name, options, reduction=reduction) for k in MODULES)
    assert found.name == wanted.name
    np.testing.assert_allclose(found(y, p), wanted(y, p), 1e-5)
    np.testing.assert_allclose(found(y, p, weight), wanted(y, p, weight), 1e-5)


# Units, reduction, whether examples have weights.
WAYS = [(1, "sum_over_batch_size", True), (4, "sum_over_batch_size", True), (4, "sum", False)]
WAYS += [(4, "sum", True), (4, "sum_over_batch_size", False)]
NEEDS_CLASSES = ("classes", "labels", "logits")


def training_runs() -> list[Any]:
    """Each loss in one way, and those of a whole batch in all ways."""
    runs = []
    for i, (loss, name) in enumerate(zip(LOSSES, IDS, strict=True)):
        alone = loss[2] not in NEEDS_CLASSES and loss[0] != "CosineSimilarity"
        ways = WAYS if loss[0] == "Dice" else [WAYS[i % 4 if alone else 1 + i % 4]]
        runs += [pytest.param(loss, way, id=f"{name}-{way}") for way in ways]
    return runs


def train(k: Any, loss: Any, way: tuple[int, str, bool]) -> tuple[Any, Any, list[Any]]:
    """History, evaluation and weights, and how far those are from where they began."""
    name, options, kind = loss
    units, reduction, weighted = way
    x = np.random.default_rng(9).normal(size=(ROWS, FEATURES)).astype("float32")
    y = targets(kind, ROWS, units)
    model = k.Sequential(
        [k.layers.Input((FEATURES,)), k.layers.Dense(6, "tanh"), k.layers.Dense(units, LAST[kind])]
    )
    rng = np.random.default_rng(1)
    start = [rng.normal(0, 0.4, w.shape).astype("float32") for w in model.get_weights()]
    model.set_weights(start)
    rate = 0.001 if name == "MeanAbsolutePercentageError" else 0.05
    rate /= 8 if reduction == "sum" else 1
    settings = {"run_eagerly": True} if k is keras else {}
    model.compile(
        k.optimizers.SGD(rate), loss_of(k, name, options, reduction=reduction), **settings
    )
    more = {"sample_weight": np.linspace(0.1, 2.0, ROWS)} if weighted else {}
    fit = model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0, **more)
    evaluation = model.evaluate(x, y, batch_size=10, verbose=0, **more)
    assert max(np.abs(a - b).max() for a, b in zip(model.get_weights(), start, strict=True)) > 1e-4
    return fit.history, evaluation, model.get_weights()


@pytest.mark.parametrize(("loss", "way"), training_runs())
def test_training_with_a_loss(loss, way):
    wanted = train(keras, loss, way)
    before = hotloop.config.backend()
    for backend, state in hotloop.backends.availability().items():
        if state != "available":
            continue
        hotloop.config.set_backend(backend)
        try:
            found = train(hotloop, loss, way)
        finally:
            hotloop.config.set_backend(before)
        assert list(found[0]) == list(wanted[0])
        assert_same(found[0]["loss"], wanted[0]["loss"], 1e-4)
        assert_same(found[1], wanted[1], 1e-4)
        for ours, theirs in zip(found[2], wanted[2], strict=True):
            assert_same(ours, theirs, 1e-4)


# ----------------------------------------------------------------------------- metrics

METRICS: list[tuple[str, dict[str, Any], str]] = [
    ("MeanAbsolutePercentageError", {}, "numbers"),
    ("MeanSquaredLogarithmicError", {}, "positive"),
    ("CosineSimilarity", {}, "numbers"),
    ("PearsonCorrelation", {}, "numbers"),
    ("ConcordanceCorrelation", {}, "numbers"),
    ("SquaredHinge", {}, "bits"),
    ("CategoricalHinge", {}, "classes"),
    ("TruePositives", {}, "bits"),
    ("TrueNegatives", {"thresholds": 0.3}, "bits"),
    ("FalsePositives", {"thresholds": [0.3, 0.6, 0.1]}, "bits"),
    ("FalseNegatives", {}, "bits"),
    ("SensitivityAtSpecificity", {"specificity": 0.4}, "bits"),
    ("SensitivityAtSpecificity", {"specificity": 0.4, "num_thresholds": 1}, "bits"),
    ("SpecificityAtSensitivity", {"sensitivity": 0.7, "class_id": 2}, "bits"),
    ("PrecisionAtRecall", {"recall": 0.6, "num_thresholds": 50}, "bits"),
    ("RecallAtPrecision", {"precision": 0.55}, "bits"),
    ("RecallAtPrecision", {"precision": 1.0}, "bits"),
    ("IoU", {"num_classes": 4, "target_class_ids": [0, 2], "sparse_y_pred": False}, "labels"),
    ("MeanIoU", {"num_classes": 4, "sparse_y_pred": False}, "labels"),
    ("MeanIoU", {"num_classes": 4, "sparse_y_pred": False, "ignore_class": 1}, "labels"),
    ("BinaryIoU", {}, "bits"),
    ("BinaryIoU", {"target_class_ids": [1], "threshold": 0.3}, "bits"),
    ("OneHotIoU", {"num_classes": 4, "target_class_ids": [3, 1]}, "classes"),
    ("OneHotMeanIoU", {"num_classes": 4}, "classes"),
    ("OneHotMeanIoU", {"num_classes": 4, "ignore_class": 2}, "classes"),
]


def test_no_metric_of_keras_is_missing():
    names = {name for name in dir(keras.metrics) if not name.startswith("_")}
    assert names - set(dir(hotloop.metrics)) == set()


FUNCTIONS = [
    ("binary_accuracy", {"threshold": 0.3}, "bits"),
    ("categorical_accuracy", {}, "classes"),
    ("sparse_categorical_accuracy", {}, "labels"),
    ("top_k_categorical_accuracy", {"k": 2}, "classes"),
    ("sparse_top_k_categorical_accuracy", {"k": 2}, "labels"),
    ("pearson_correlation", {}, "numbers"),
    ("concordance_correlation", {}, "numbers"),
    ("categorical_crossentropy", {"label_smoothing": 0.1}, "classes"),
    ("huber", {"delta": 0.5}, "numbers"),
]


@pytest.mark.parametrize(("name", "options", "kind"), FUNCTIONS)
def test_metric_as_a_function(name, options, kind, backend):
    y, p = targets(kind, ROWS, 4), predictions(kind, ROWS, 4)
    found, wanted = (getattr(k.metrics, name)(y, p, **options) for k in MODULES)
    assert_same(found, wanted)
    if "k" in options:
        return  # 5, where it is not given, is too much for four units
    # In a model it has its own name, and is computed as the metric that it stands for.
    logs = []
    for k in MODULES:
        model = k.Sequential([k.layers.Input((5,)), k.layers.Dense(4, LAST[kind])])
        model.set_weights([np.eye(5, 4, dtype="float32"), np.zeros(4, "float32")])
        loss = "sparse_categorical_crossentropy" if kind == "labels" else "mse"
        model.compile("sgd", loss, metrics=[getattr(k.metrics, name)])
        x = np.random.default_rng(2).normal(size=(ROWS, 5)).astype("float32")
        logs.append(model.evaluate(x, y, return_dict=True, verbose=0))
    assert list(logs[0]) == list(logs[1])
    assert_same(logs[0][name], logs[1][name])


@pytest.mark.parametrize(("name", "options", "kind"), METRICS)
def test_metric_of_arrays(name, options, kind, backend):
    y, p = targets(kind, ROWS, 4), predictions(kind, ROWS, 4)
    whole = name.endswith("IoU")  # whose weights Keras makes whole numbers
    weight = np.arange(ROWS) % 4 if whole else np.linspace(0.0, 3.0, ROWS, dtype="float32")
    for weighted in (False, True):
        results = []
        for k in MODULES:
            metric = getattr(k.metrics, name)(**options)
            assert metric.name == k.metrics.get(metric).name
            for rows in (slice(0, 20), slice(20, 21), slice(21, ROWS)):
                w = weight[rows] if weighted else None
                if name == "BinaryIoU" and weighted:  # Keras wants a weight for each element
                    w = np.repeat(w[:, None], 4, axis=1)
                metric.update_state(y[rows], p[rows], sample_weight=w)
            results.append(np.asarray(metric.result()))
        assert results[0].shape == results[1].shape
        assert_same(*results, 1e-5)
        metric = getattr(hotloop.metrics, name)(**options)
        again = type(metric).from_config(metric.get_config())
        assert again.get_config() == metric.get_config()


def test_logs_of_metrics_by_name():
    names = ["mape", "msle", "CosineSimilarity", "SquaredHinge", "categorical_hinge"]
    names += ["pearson_correlation", "concordance_correlation", "true_positives"]
    rng = np.random.default_rng(2)
    x = rng.normal(size=(ROWS, FEATURES)).astype("float32")
    y = targets("bits", ROWS, 4)
    logs = []
    for k in MODULES:
        model = k.Sequential([k.layers.Input((FEATURES,)), k.layers.Dense(4, "sigmoid")])
        model.set_weights([np.linspace(-1, 1, 20).reshape(5, 4), np.zeros(4)])
        given = [*names, k.metrics.FalseNegatives(name="missed"), k.metrics.BinaryIoU(name="iou")]
        model.compile(k.optimizers.SGD(0.1), "mse", metrics=given)
        fit = model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
        logs.append(fit.history | model.evaluate(x, y, verbose=0, return_dict=True))
    assert list(logs[0]) == list(logs[1])
    for name, values in logs[1].items():
        np.testing.assert_allclose(logs[0][name], values, 1e-4, err_msg=name)


# -------------------------------------------------------------------------- the others


def test_no_regularizer_of_keras_is_missing():
    names = {name for name in dir(keras.regularizers) if name[0].isupper()}
    assert names - set(dir(hotloop.regularizers)) == set()
