"""The same programs in Keras and in hotloop: predictions, logs and weights are the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import hotloop

keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

ROWS, FEATURES, CLASSES = 37, 5, 3  # no multiple of any batch size here


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def classes(rng):
    x = rng.normal(size=(ROWS, FEATURES)).astype("float32")
    return x, rng.integers(0, CLASSES, ROWS)


def one_hot(rng):
    x, y = classes(rng)
    return x, np.eye(CLASSES, dtype="float32")[y]


def binary(rng):
    x = rng.normal(size=(ROWS, FEATURES)).astype("float32")
    return x, (x[:, :1] + rng.normal(size=(ROWS, 1)) > 0).astype("int32")


def binary_vector(rng):
    x, y = binary(rng)
    return x, y[:, 0]


def numbers(rng):
    x = rng.normal(size=(ROWS, FEATURES)).astype("float32")
    return x, (x[:, :2] * [1.0, -2.0] + 0.1).astype("float32")


def one_number(rng):
    x, y = numbers(rng)
    return x, y[:, 0]


def images(rng):
    x = rng.integers(0, 256, size=(ROWS, 4, 3), dtype=np.uint8)
    return x / 255.0, rng.integers(0, CLASSES, ROWS)


def counts(rng):
    x = rng.normal(size=(ROWS, FEATURES)).astype("float32")
    return x, rng.poisson(2.0, size=(ROWS, 1)).astype("float32")


def sequences(rng):
    x = rng.normal(size=(ROWS, 4, FEATURES)).astype("float32")
    return x, rng.integers(0, CLASSES, (ROWS, 4))


def sequence_classes(rng):
    x, y = sequences(rng)
    return x, y[:, 0]


def mlp(k, units=CLASSES, last="softmax", hidden="relu", **options):
    return k.Sequential(
        [
            k.layers.Dense(7, activation=hidden, input_shape=(FEATURES,), **options),
            k.layers.Dense(units, activation=last),
        ]
    )


def flattened(k):
    return k.Sequential(
        [
            k.layers.Input((4, 3)),
            k.layers.Flatten(),
            k.layers.Dense(6, "tanh"),
            k.layers.Reshape((2, 3)),
            k.layers.Activation("sigmoid"),
            k.layers.Flatten(),
            k.layers.Dense(CLASSES, "softmax"),
        ]
    )


def over_time(k):
    return k.Sequential(
        [k.layers.Input((4, FEATURES)), k.layers.Dense(6, "gelu"), k.layers.Dense(CLASSES)]
    )


def regularized(k):
    return k.Sequential(
        [
            k.layers.Input((FEATURES,)),
            k.layers.Dense(7, "elu", kernel_regularizer=k.regularizers.L2(0.02)),
            k.layers.Dense(
                2, kernel_regularizer=k.regularizers.L1L2(0.01, 0.03), bias_regularizer="l1"
            ),
        ]
    )


def shared(k):
    x = k.Input((FEATURES,))
    layer = k.layers.Dense(FEATURES, "tanh")
    return k.Model(x, k.layers.Dense(2)(layer(layer(x))))


def nested(k):
    inner = k.Sequential([k.layers.Input((7,)), k.layers.Dense(4, "selu"), k.layers.Dense(3)])
    return k.Sequential(
        [k.layers.Input((FEATURES,)), k.layers.Dense(7, "relu"), inner, k.layers.Dense(2)]
    )


def residual(k):
    x = k.Input((FEATURES,))
    hidden = k.layers.Dense(7, "tanh")(x)
    for _ in range(2):
        hidden = k.layers.Add()([hidden, k.layers.Dense(7, "relu")(hidden)])
    return k.Model(x, k.layers.Dense(2)(hidden))


def merged(k):
    """Every layer that merges, on branches that share their input."""
    x = k.Input((FEATURES,))
    a, b, c = (k.layers.Dense(6, kind)(x) for kind in ("tanh", "relu", "sigmoid"))
    parts = [
        k.layers.add([a, b, c]),
        k.layers.subtract([a, c]),
        k.layers.multiply([a, b, c]),
        k.layers.average([a, b, c]),
        k.layers.maximum([a, b, c]),
        k.layers.minimum([a, c]),
        k.layers.dot([a, c], axes=1),
        x,
    ]
    return k.Model(x, k.layers.Dense(2)(k.layers.concatenate(parts)))


def joined_in_time(k):
    x = k.Input((4, FEATURES))
    a, b = (k.layers.Dense(3, "tanh")(x) for _ in range(2))
    y = k.layers.Concatenate(axis=1)([a, b])
    y = k.layers.Concatenate(axis=-1)([y, y])
    y = k.layers.Flatten()(y)
    repeated = k.layers.Flatten()(k.layers.RepeatVector(3)(k.layers.Dense(2)(y)))
    return k.Model(x, k.layers.Dense(CLASSES, "softmax")(repeated))


def rescaled(k):
    return k.Sequential(
        [
            k.layers.Input((4, 3)),
            k.layers.Rescaling(2.0, offset=-1.0),
            k.layers.Flatten(),
            k.layers.Dense(8),
            k.layers.LeakyReLU(),
            k.layers.Dense(8),
            k.layers.ELU(0.7),
            k.layers.Dense(8),
            k.layers.ReLU(max_value=0.4, negative_slope=0.1),
            k.layers.Dense(CLASSES),
            k.layers.Softmax(),
        ]
    )


def frozen(k):
    model = regularized(k)
    model.layers[0].trainable = False
    return model


def words(rng):
    return rng.integers(0, 50, (ROWS, 9)), rng.integers(0, 2, (ROWS, 1))


def embedded(k, pool="GlobalAveragePooling1D", **options):
    return k.Sequential(
        [
            k.layers.Input((9,)),
            k.layers.Embedding(50, 6, **options),
            getattr(k.layers, pool)(),
            k.layers.Dense(8, "relu"),
            k.layers.Dense(1, "sigmoid"),
        ]
    )


def ratings(rng):
    """Users and things, and what the first think of the second."""
    return [rng.integers(0, n, (ROWS, 1)) for n in (8, 5)], rng.normal(size=(ROWS, 1))


def recommender(k, normalize=False):
    user, thing = k.Input((1,)), k.Input((1,))
    flat = k.layers.Flatten()
    a = flat(k.layers.Embedding(8, 4, embeddings_regularizer=k.regularizers.L2(0.01))(user))
    b = flat(k.layers.Embedding(5, 4)(thing))
    similar = k.layers.Dot(1, normalize=normalize)([a, b])
    biases = [flat(k.layers.Embedding(n, 1)(x)) for n, x in ((8, user), (5, thing))]
    return k.Model([user, thing], k.layers.Add()([similar, *biases]))


def attended(k):
    """Weights of steps by inner products, and steps averaged by them."""
    x = k.Input((4, FEATURES))
    keys, values = k.layers.Dense(3, "tanh")(x), k.layers.Dense(3)(x)
    scores = k.layers.Softmax()(k.layers.Dot(2)([keys, values]))
    seen = k.layers.Dot((2, 1))([scores, values])
    mean = k.layers.Reshape((1, 3))(k.layers.GlobalAveragePooling1D()(seen))
    y = k.layers.Multiply()([k.layers.Add()([seen, mean]), k.layers.Dense(1)(x)])
    y = k.layers.Permute((2, 1))(k.layers.Subtract()([y, mean]))
    return k.Model(x, k.layers.Dense(CLASSES, "softmax")(k.layers.Flatten()(y)))


def encoded(k):
    x = k.Input((9,))
    parts = [k.layers.CategoryEncoding(50, mode)(x) for mode in ("multi_hot", "count")]
    y = k.layers.Concatenate()(parts)
    return k.Model(x, k.layers.Dense(1, "sigmoid")(k.layers.Dense(4, "tanh")(y)))


def normalized(k):
    parts = [
        k.layers.Input((FEATURES,)),
        k.layers.Normalization(mean=[0.0, 1.0, -1.0, 2.0, 0.5], variance=[1.0, 4.0, 0.1, 2.0, 9.0]),
        k.layers.Dense(8, "relu"),
        k.layers.Dense(CLASSES, "softmax"),
    ]
    return k.Sequential(parts)


@dataclass
class Case:
    """A program: what differs between the modules is the module alone."""

    model: Callable[[Any], Any]
    data: Callable[[np.random.Generator], tuple[Any, Any]]
    compile: Callable[[Any], Mapping[str, Any]]
    fit: Mapping[str, Any] = field(default_factory=dict)
    weighted: bool = False  # a sample_weight, in fit and evaluate


def compiled(optimizer="sgd", loss="mse", **options):
    return lambda k: {"optimizer": optimizer, "loss": loss, **options}


SPARSE = "sparse_categorical_crossentropy"
CASES = {
    "sparse, short last batch": Case(
        mlp, classes, compiled("adam", SPARSE, metrics=["accuracy"]), {"batch_size": 8}
    ),
    "one batch": Case(mlp, one_hot, compiled("sgd", "categorical_crossentropy", metrics=["acc"])),
    "crossentropy by shape": Case(mlp, one_hot, compiled("rmsprop", "crossentropy")),
    "binary, metrics that Python updates": Case(
        lambda k: mlp(k, 1, "sigmoid"),
        binary,
        lambda k: {
            "optimizer": k.optimizers.SGD(0.5),
            "loss": k.losses.BinaryCrossentropy(),
            "metrics": ["accuracy", k.metrics.Precision(name="p"), k.metrics.AUC(name="auc")],
        },
        {"batch_size": 10},
    ),
    "targets without the last axis": Case(
        lambda k: mlp(k, 1, None),
        one_number,
        compiled("adam", "mse", metrics=["mae", "mse"]),
        {"batch_size": 16},
    ),
    "binary labels of shape (n,)": Case(
        lambda k: mlp(k, 1, "sigmoid"),
        binary_vector,
        compiled("adam", "mse", metrics=["accuracy", "binary_accuracy"]),
        {"batch_size": 16},
    ),
    "from logits, smoothed": Case(
        lambda k: mlp(k, last=None, hidden="silu"),
        one_hot,
        lambda k: {
            "optimizer": k.optimizers.Adam(0.01),
            "loss": k.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
            "metrics": ["accuracy", k.metrics.TopKCategoricalAccuracy(2, name="top")],
        },
        {"batch_size": 9},
    ),
    "binary from logits": Case(
        lambda k: mlp(k, 1, None, "softplus"),
        binary,
        lambda k: {
            "optimizer": k.optimizers.RMSprop(0.01, momentum=0.9, centered=True),
            "loss": k.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2),
        },
        {"batch_size": 9},
    ),
    "sum of the batch": Case(
        lambda k: mlp(k, 2, None, "leaky_relu"),
        numbers,
        lambda k: {
            "optimizer": k.optimizers.SGD(0.001, momentum=0.9, nesterov=True),
            "loss": k.losses.Huber(delta=0.5, reduction="sum"),
        },
        {"batch_size": 8},
    ),
    "validation split": Case(
        mlp,
        classes,
        compiled("adam", SPARSE, metrics=["accuracy"]),
        {"batch_size": 8, "validation_split": 0.3},
    ),
    "class weights and validation split": Case(
        mlp,
        classes,
        compiled("sgd", SPARSE, metrics=["accuracy"], weighted_metrics=["accuracy", "acc"]),
        {"batch_size": 8, "validation_split": 0.3, "class_weight": {0: 2.0, 2: 0.5}},
    ),
    "class weights of one-hot labels": Case(
        mlp,
        one_hot,
        compiled("sgd", "categorical_crossentropy", weighted_metrics=["accuracy"]),
        {"batch_size": 8, "class_weight": {0: 2.0, 1: 0.0}},
    ),
    "sample weights": Case(
        lambda k: mlp(k, 2, None, "tanh"),
        numbers,
        lambda k: {
            "optimizer": k.optimizers.Adagrad(0.05),
            "loss": "log_cosh",
            "metrics": ["mae"],
            "weighted_metrics": ["mae", k.metrics.RootMeanSquaredError(name="rmse")],
        },
        {"batch_size": 8, "validation_split": 0.2},
        weighted=True,
    ),
    "later epochs only": Case(
        mlp, classes, compiled("adam", SPARSE), {"initial_epoch": 2, "epochs": 4, "batch_size": 8}
    ),
    "steps continue across epochs": Case(
        mlp,
        classes,
        compiled("sgd", SPARSE, metrics=["accuracy"]),
        {"batch_size": 8, "steps_per_epoch": 2, "epochs": 5},
    ),
    "steps give the batch size": Case(
        mlp, classes, compiled("sgd", SPARSE), {"steps_per_epoch": 4, "epochs": 3}
    ),
    "validation now and then": Case(
        mlp,
        classes,
        compiled("sgd", SPARSE),
        {"validation_split": 0.25, "validation_freq": 2, "epochs": 4},
    ),
    "validation at listed epochs": Case(
        mlp,
        classes,
        compiled("sgd", SPARSE, metrics=["accuracy"]),
        {
            "validation_split": 0.4,
            "validation_freq": [1, 4],
            "validation_batch_size": 4,
            "validation_steps": 2,
            "epochs": 4,
        },
    ),
    "regularizers": Case(
        regularized, numbers, compiled("adam", "mae", metrics=["mse"]), {"batch_size": 8}
    ),
    "regularizer of a frozen layer": Case(frozen, numbers, compiled(), {"batch_size": 8}),
    "images": Case(flattened, images, compiled("adam", SPARSE, metrics=["accuracy"])),
    "a class for every step": Case(
        over_time,
        sequences,
        lambda k: {
            "optimizer": "adam",
            "loss": k.losses.SparseCategoricalCrossentropy(from_logits=True),
        },
        {"batch_size": 8},
    ),
    "a layer used twice": Case(shared, numbers, compiled("adam"), {"batch_size": 8}),
    "residual connections": Case(residual, numbers, compiled("adam"), {"batch_size": 8}),
    "branches merged in every way": Case(merged, numbers, compiled("adam"), {"batch_size": 8}),
    "joined along time": Case(joined_in_time, sequence_classes, compiled("adam", SPARSE)),
    "rescaling and activation layers": Case(rescaled, images, compiled("sgd", SPARSE)),
    "words": Case(embedded, words, compiled("adam", "binary_crossentropy", metrics=["accuracy"])),
    "words, the largest": Case(
        lambda k: embedded(k, "GlobalMaxPooling1D"),
        words,
        lambda k: {
            "optimizer": k.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
            "loss": "binary_crossentropy",
        },
        {"batch_size": 8},
    ),
    "words, regularized": Case(
        lambda k: embedded(k, embeddings_regularizer=k.regularizers.L2(0.02)),
        words,
        compiled("rmsprop", "mse"),
        {"batch_size": 8, "validation_split": 0.3},
        weighted=True,
    ),
    "recommendations": Case(recommender, ratings, compiled("adam"), {"batch_size": 8}),
    "recommendations by cosine": Case(
        lambda k: recommender(k, normalize=True), ratings, compiled("adam"), {"batch_size": 8}
    ),
    "attention": Case(attended, sequence_classes, compiled("adam", SPARSE), {"batch_size": 8}),
    "encoded categories": Case(
        encoded, words, compiled("adam", "binary_crossentropy"), {"batch_size": 8}
    ),
    "normalization": Case(normalized, classes, compiled("adam", SPARSE), {"batch_size": 8}),
    "a model as a layer": Case(nested, numbers, compiled("adam"), {"batch_size": 8}),
    "decay and AMSGrad": Case(
        lambda k: mlp(k, 2, "linear", "softsign"),
        numbers,
        lambda k: {
            "optimizer": k.optimizers.AdamW(0.01, weight_decay=0.1, amsgrad=True),
            "loss": "mse",
        },
        {"batch_size": 8},
    ),
    "poisson": Case(
        lambda k: mlp(k, 1, "exponential", "hard_sigmoid"),
        counts,
        compiled("rmsprop", "poisson"),
        {"batch_size": 8},
    ),
    "hinge": Case(lambda k: mlp(k, 1, "tanh"), binary, compiled("sgd", "hinge"), {"batch_size": 8}),
    "divergence": Case(mlp, one_hot, compiled("sgd", "kl_divergence"), {"batch_size": 8}),
}


def same_logs(ours, theirs, tolerance=1e-4):
    assert list(ours) == list(theirs)
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], tolerance, tolerance, err_msg=name)


def same_weights(ours, theirs, tolerance=1e-4):
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, tolerance, tolerance)


def pair(case, rng):
    """The model in both, compiled, with the same random weights (biases too)."""
    ours, theirs = case.model(hotloop), case.model(keras)
    weights = [rng.normal(0, 0.4, w.shape).astype("float32") for w in theirs.get_weights()]
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in weights]
    for k, model in ((hotloop, ours), (keras, theirs)):
        model.set_weights(weights)
        model.compile(**case.compile(k))
    return ours, theirs


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_same_as_keras(case, rng):
    ours, theirs = pair(case, rng)
    x, y = case.data(rng)
    weight = rng.uniform(0.1, 3.0, ROWS).astype("float32") if case.weighted else None
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), 1e-5, 1e-5)

    options = {"epochs": 3, "verbose": 0, "shuffle": False, "sample_weight": weight, **case.fit}
    histories = [model.fit(x, y, **options) for model in (ours, theirs)]
    assert histories[0].epoch == histories[1].epoch
    same_logs(histories[0].history, histories[1].history)
    assert all(type(v) is float for values in histories[0].history.values() for v in values)
    same_weights(ours, theirs)
    assert ours.optimizer.iterations == int(theirs.optimizer.iterations)

    how = {"batch_size": 8, "verbose": 0, "sample_weight": weight}
    logs = [model.evaluate(x, y, return_dict=True, **how) for model in (ours, theirs)]
    same_logs(*logs)
    listed = ours.evaluate(x, y, **how)
    names = ours.metrics_names
    np.testing.assert_allclose(np.atleast_1d(listed), [logs[0][name] for name in names])
    if not any(name.startswith("weighted_") for name in names):  # Keras lists the first twice
        np.testing.assert_allclose(listed, theirs.evaluate(x, y, **how), 1e-4, 1e-4)


@pytest.mark.parametrize(
    "name",
    ["sparse, short last batch", "regularizers", "sample weights", "hinge", "sum of the batch"],
)
def test_single_batches_are_those_of_keras(name, rng):
    case = CASES[name]
    ours, theirs = pair(case, rng)
    x, y = case.data(rng)
    weight = rng.uniform(0.1, 3.0, ROWS).astype("float32") if case.weighted else None
    for rows in (slice(0, 8), slice(8, 21), slice(21, 22)):
        w = None if weight is None else weight[rows]
        for method in ("test_on_batch", "train_on_batch"):
            logs = [
                getattr(model, method)(x[rows], y[rows], sample_weight=w, return_dict=True)
                for model in (ours, theirs)
            ]
            same_logs(*(dict(sorted(found.items())) for found in logs))
        listed = np.atleast_1d(ours.test_on_batch(x[rows], y[rows], w))
        assert listed[0] == ours.test_on_batch(x[rows], y[rows], w, return_dict=True)["loss"]
        assert len(listed) == len(ours.metrics_names)
        np.testing.assert_allclose(
            ours.predict_on_batch(x[rows]), theirs.predict_on_batch(x[rows]), 1e-5, 1e-5
        )
        same_weights(ours, theirs)


def test_several_outputs(rng):
    x, y = classes(rng)
    targets = [y, x[:, 0] + 0.5]
    weights, histories, lists = None, [], []
    for k in (hotloop, keras):
        inputs = k.Input((FEATURES,))
        hidden = k.layers.Dense(6, "relu", name="hidden")(inputs)
        model = k.Model(
            inputs,
            [
                k.layers.Dense(CLASSES, "softmax", name="kind")(hidden),
                k.layers.Dense(1, name="amount")(hidden),
            ],
        )
        weights = weights or [rng.normal(0, 0.4, w.shape) for w in model.get_weights()]
        model.set_weights(weights)
        model.compile(
            "adam",
            loss={"kind": SPARSE, "amount": "mse"},
            loss_weights={"kind": 1.0, "amount": 0.3},
            metrics={"kind": ["accuracy"], "amount": ["mse", "mae"]},
        )
        histories.append(
            model.fit(x, targets, epochs=3, batch_size=8, shuffle=False, verbose=0).history
        )
        lists.append(model.evaluate(x, targets, verbose=0))
    same_logs(*histories)
    np.testing.assert_allclose(*lists, rtol=1e-4)


HOOKS = [
    f"on_{mode}_{what}{when}"
    for mode, what in (("train", ""), ("train", "batch_"), ("test", ""), ("test", "batch_"))
    for when in ("begin", "end")
] + ["on_epoch_begin", "on_epoch_end"]


def recording(hook, calls):
    def record(self, *args, **kwargs):
        position = [a for a in args if isinstance(a, int)]
        logs = kwargs.get("logs") or next((a for a in args if isinstance(a, dict)), {})
        calls.append((hook, *position, sorted(logs)))

    return record


def test_callbacks_see_what_they_see_in_keras(rng):
    x, y = classes(rng)
    seen: list[list[Any]] = [[], []]
    for k, calls in zip((hotloop, keras), seen, strict=True):
        watch = type("Watch", (k.callbacks.Callback,), {h: recording(h, calls) for h in HOOKS})()
        model = mlp(k)
        model.compile("sgd", SPARSE, metrics=["accuracy"])
        fit = {"epochs": 2, "batch_size": 16, "validation_split": 0.4, "verbose": 0}
        model.fit(x, y, callbacks=[watch], **fit)
        model.evaluate(x, y, callbacks=[watch], verbose=0)
    assert seen[0] == seen[1]


def test_activations_and_losses_of_ones_own(rng):
    def swoosh(x):
        return math.log1p(math.exp(x - 1.0)) - 0.08 * x

    def keras_swoosh(x):
        return keras.ops.softplus(x - 1.0) - 0.08 * x

    def asymmetric(y_true, y_pred):
        error = y_true - y_pred
        return 0.9 * error if error > 0 else -0.1 * error

    def keras_asymmetric(y_true, y_pred):
        error = y_true - y_pred
        return keras.ops.mean(keras.ops.where(error > 0, 0.9 * error, -0.1 * error), axis=-1)

    x, y = numbers(rng)
    logs, weights = [], []
    for library, activation, loss in (
        (hotloop, swoosh, asymmetric),
        (keras, keras_swoosh, keras_asymmetric),
    ):
        dense = library.layers.Dense
        model = library.Sequential([library.Input((FEATURES,)), dense(9, activation), dense(2)])
        if weights:
            model.set_weights(weights)
        weights = model.get_weights()
        model.compile(library.optimizers.SGD(0.1), loss)
        history = model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0).history
        logs.append([history["loss"], *model.get_weights(), model.predict(x, verbose=0)])
    for ours, truth in zip(*logs, strict=True):
        np.testing.assert_allclose(ours, truth, rtol=1e-4, atol=1e-5)
