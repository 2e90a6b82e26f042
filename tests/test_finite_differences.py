"""Central finite differences, in float64, of whole models.

The gradient is what one step of `SGD(learning_rate=1)` on one batch takes off the weights.
Its product with a direction must be the slope of the loss along that direction: for single
weights, picked at random, and for random directions through all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import activations, layers, losses, regularizers
from hotloop.layers import Activation, Dense, Dropout, Flatten, Input, Reshape

STEP = 1e-5
ROWS, FEATURES, HIDDEN, OUTPUTS = 9, 7, 5, 3
SIZES = (1, 2, 3, 7, 17, 31, 33, 257)


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    hotloop.config.set_floatx("float64")
    yield
    hotloop.config.set_floatx("float32")


# ----------------------------------------------------------------------------- tools


def training_loss(model: Any, x: Any, y: Any, **options: Any) -> float:
    """The loss of the first step: dropout draws the same numbers each time."""
    model.optimizer.iterations = 0
    return float(model.train_on_batch(x, y, return_dict=True, **options)["loss"])


def evaluated_loss(model: Any, x: Any, y: Any, **options: Any) -> float:
    return float(model.test_on_batch(x, y, return_dict=True, **options)["loss"])


def gradients(model: Any, x: Any, y: Any, **options: Any) -> list[Any]:
    """The gradient of each weight; the weights stay as they were."""
    before = model.get_weights()
    training_loss(model, x, y, **options)
    after = model.get_weights()
    model.set_weights(before)
    return [old - new for old, new in zip(before, after, strict=True)]


def directions(weights: list[Any], singles: int) -> Iterator[list[Any]]:
    """Some single elements of each weight, then two random directions of length 1."""
    rng = np.random.default_rng(3)
    for i, w in enumerate(weights):
        for element in rng.choice(w.size, min(singles, w.size), replace=False):
            direction = [np.zeros_like(v) for v in weights]
            direction[i].reshape(-1)[element] = 1.0
            yield direction
    for _ in range(2):
        direction = [rng.normal(size=w.shape) for w in weights]
        length = np.sqrt(sum(np.sum(d * d) for d in direction))
        yield [d / length for d in direction]


def check(
    model: Any, x: Any, y: Any, *, singles: int = 4, loss: Any = evaluated_loss, **options: Any
) -> None:
    """That the model's gradient is the slope of its loss."""
    rng = np.random.default_rng(5)
    here = [rng.normal(scale=w.shape[0] ** -0.5, size=w.shape) for w in model.get_weights()]
    model.set_weights(here)
    found = gradients(model, x, y, **options)
    for direction in directions(here, singles):
        ahead, behind = (
            [w + step * d for w, d in zip(here, direction, strict=True)] for step in (STEP, -STEP)
        )
        model.set_weights(ahead)
        slope = loss(model, x, y, **options)
        model.set_weights(behind)
        slope = (slope - loss(model, x, y, **options)) / (2 * STEP)
        product = sum(np.sum(g * d) for g, d in zip(found, direction, strict=True))
        assert product == pytest.approx(slope, rel=1e-6, abs=1e-8)


def compiled(model: Any, loss: Any, **options: Any) -> Any:
    model.compile(hotloop.optimizers.SGD(learning_rate=1.0), loss, **options)
    return model


def data(*shape: int, rows: int = ROWS) -> Any:
    return np.random.default_rng(1).normal(size=(rows, *shape))


def targets(kind: str, *shape: int, rows: int = ROWS) -> Any:
    """Targets for outputs of this shape."""
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(rows, *shape))
    shares = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    return {
        "numbers": scores,
        "bits": (scores > 0).astype(float),
        "signs": np.sign(scores),
        "classes": scores.argmax(axis=-1),
        "shares": shares,
        "counts": rng.poisson(1.5, scores.shape),
    }[kind]


# ------------------------------------------------------------ activations and losses

ACTIVATIONS = {
    name: name
    for name in activations._BY_NAME
    if name not in ("swish", "hard_swish", "threshold", "glu")
} | {
    "hard_shrink": lambda x: activations.hard_shrink(x, 0.2),
    "soft_shrink": lambda x: activations.soft_shrink(x, 0.2),
    "threshold": lambda x: activations.threshold(x, 0.1, 0.3),
    "relu_of_all": lambda x: activations.relu(x, 0.3, 0.7, 0.1),
    "glu_of_two": lambda x: activations.glu(layers.concatenate([x, x])),
    "relu_with_slope": lambda x: activations.relu(x, negative_slope=0.3),
    "elu_half": lambda x: activations.elu(x, alpha=0.5),
    "gelu_tanh": lambda x: activations.gelu(x, approximate=True),
}

OF_ANY = {
    "mse": (losses.MeanSquaredError(), "numbers"),
    "mse_sum": (losses.MeanSquaredError(reduction="sum"), "numbers"),
    "mae": (losses.MeanAbsoluteError(), "numbers"),
    "huber": (losses.Huber(0.7), "numbers"),
    "log_cosh": (losses.LogCosh(), "numbers"),
    "hinge": (losses.Hinge(), "signs"),
    "hinge_bits": (losses.Hinge(), "bits"),
    "binary_logits": (losses.BinaryCrossentropy(True, 0.1), "bits"),
    "categorical_logits": (losses.CategoricalCrossentropy(True, 0.1), "shares"),
    "sparse_logits": (losses.SparseCategoricalCrossentropy(True), "classes"),
    "percentage": (losses.MeanAbsolutePercentageError(), "signs"),
    "cosine": (losses.CosineSimilarity(), "numbers"),
    "squared_hinge": (losses.SquaredHinge(), "signs"),
    "categorical_hinge": (losses.CategoricalHinge(), "shares"),
    "binary_focal_logits": (losses.BinaryFocalCrossentropy(True, from_logits=True), "bits"),
    "focal_logits": (losses.CategoricalFocalCrossentropy(from_logits=True), "shares"),
}
OF_POSITIVE = {
    "categorical": (losses.CategoricalCrossentropy(False, 0.1), "shares"),
    "kl_divergence": (losses.KLDivergence(), "shares"),
    "poisson": (losses.Poisson(), "counts"),
    "logarithmic": (losses.MeanSquaredLogarithmicError(), "counts"),
    "focal": (losses.CategoricalFocalCrossentropy(gamma=1.5), "shares"),
    "dice": (losses.Dice(), "bits"),
    "tversky_of_rows": (losses.Tversky(0.2, 0.7, axis=-1), "bits"),
}
OF_PROBABILITIES = {
    "binary": (losses.BinaryCrossentropy(False, 0.1), "bits"),
    "sparse": (losses.SparseCategoricalCrossentropy(), "classes"),
    "binary_focal": (losses.BinaryFocalCrossentropy(label_smoothing=0.1), "bits"),
    "generalized": (losses.CategoricalGeneralizedCrossEntropy(0.6), "classes"),
    "sparse_sum": (losses.SparseCategoricalCrossentropy(reduction="sum"), "classes"),
}
LOSSES = OF_ANY | OF_POSITIVE | OF_PROBABILITIES
PROBABILITIES = ("sigmoid", "hard_sigmoid", "softmax")
POSITIVE = (*PROBABILITIES, "softplus", "exponential")
PAIRS = (
    [(activation, loss) for activation in ACTIVATIONS for loss in OF_ANY]
    + [(activation, loss) for activation in POSITIVE for loss in OF_POSITIVE]
    + [(activation, loss) for activation in PROBABILITIES for loss in OF_PROBABILITIES]
)


@pytest.mark.parametrize(("activation", "loss"), PAIRS)
def test_output_activation_and_loss(backend: str, activation: str, loss: str) -> None:
    function, kind = LOSSES[loss]
    model = compiled(
        hotloop.Sequential(
            [
                Dense(HIDDEN, "tanh", input_dim=FEATURES),
                Dense(OUTPUTS, ACTIVATIONS[activation]),
            ]
        ),
        function,
    )
    check(model, data(FEATURES), targets(kind, OUTPUTS), singles=2)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_hidden_activation(backend: str, activation: str) -> None:
    layers = [
        Dense(HIDDEN, ACTIVATIONS[activation], input_dim=FEATURES),
        Dense(HIDDEN, "tanh"),
        Dense(OUTPUTS),
    ]
    check(compiled(hotloop.Sequential(layers), "mse"), data(FEATURES), targets("numbers", OUTPUTS))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activation_of_an_activation(backend: str, activation: str) -> None:
    layers = [
        Dense(HIDDEN, "tanh", input_dim=FEATURES),
        Activation(ACTIVATIONS[activation]),
        Activation("softplus"),
        Dense(OUTPUTS, use_bias=False),
    ]
    check(compiled(hotloop.Sequential(layers), "mse"), data(FEATURES), targets("numbers", OUTPUTS))


@pytest.mark.parametrize("loss", LOSSES)
def test_sample_weights(backend: str, loss: str) -> None:
    function, kind = LOSSES[loss]
    layers = [Dense(HIDDEN, "tanh", input_dim=FEATURES), Dense(OUTPUTS, "softmax")]
    weight = np.array([0.0, 1.0, 2.0, 0.5, 1.0, 3.0, 0.1, 1.0, 0.0])
    model = compiled(hotloop.Sequential(layers), function)
    check(model, data(FEATURES), targets(kind, OUTPUTS), sample_weight=weight)


# ----------------------------------------------------------------------------- shapes


@pytest.mark.parametrize("units", SIZES)
@pytest.mark.parametrize("features", SIZES)
def test_odd_layer_sizes(backend: str, features: int, units: int) -> None:
    layers = [Dense(units, "sigmoid", input_dim=features), Dense(features)]
    model = compiled(hotloop.Sequential(layers), "mse")
    check(model, data(features), targets("numbers", features), singles=2)


@pytest.mark.parametrize("classes", SIZES)
@pytest.mark.parametrize("kind", ["classes", "shares"])
def test_odd_numbers_of_classes(backend: str, kind: str, classes: int) -> None:
    sparse = "sparse_" if kind == "classes" else ""
    layers = [Dense(HIDDEN, "relu", input_dim=FEATURES), Dense(classes, "softmax")]
    model = compiled(hotloop.Sequential(layers), f"{sparse}categorical_crossentropy")
    check(model, data(FEATURES), targets(kind, classes), singles=2)


@pytest.mark.parametrize("rows", SIZES)
def test_odd_batch_sizes(backend: str, rows: int) -> None:
    layers = [Dense(HIDDEN, "tanh", input_dim=FEATURES), Dense(OUTPUTS, "softmax")]
    model = compiled(hotloop.Sequential(layers), "sparse_categorical_crossentropy")
    check(model, data(FEATURES, rows=rows), targets("classes", OUTPUTS, rows=rows))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        ("linear", "mse"),
        ("tanh", "hinge"),
        ("sigmoid", "binary"),
        ("softmax", "categorical"),
        ("softmax", "sparse"),
        ("softmax", "sparse_sum"),
        ("linear", "sparse_logits"),
        ("log_softmax", "mae"),
    ],
)
def test_loss_of_rank_3_outputs(backend: str, activation: str, loss: str, weighted: bool) -> None:
    function, kind = LOSSES[loss]
    layers = [Dense(HIDDEN, "gelu", input_shape=(5, 7)), Dense(OUTPUTS, activation)]
    model = compiled(hotloop.Sequential(layers), function)
    weight = {"sample_weight": np.linspace(0.0, 2.0, ROWS)} if weighted else {}
    check(model, data(5, 7), targets(kind, 5, OUTPUTS), **weight)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_rank_3_then_flatten(backend: str, activation: str) -> None:
    layers = [
        Dense(HIDDEN, ACTIVATIONS[activation], input_shape=(5, 7)),
        Flatten(),
        Dense(OUTPUTS),
    ]
    check(compiled(hotloop.Sequential(layers), "mse"), data(5, 7), targets("numbers", OUTPUTS))


def test_reshapes_between_layers(backend: str) -> None:
    layers = [
        Flatten(input_shape=(5, 7)),
        Dense(6, "relu"),
        Reshape((2, 3)),
        Activation("silu"),
        Dense(4, "softmax"),
        Reshape((8, 1)),
        Flatten(),
        Activation("tanh"),
        Reshape((4, 2)),
        Dense(OUTPUTS, "softmax"),
    ]
    model = compiled(hotloop.Sequential(layers), "sparse_categorical_crossentropy")
    check(model, data(5, 7), targets("classes", 4, OUTPUTS))


# ----------------------------------------------------------------------------- models


def test_regularizers(backend: str) -> None:
    layers = [
        Dense(
            HIDDEN,
            "tanh",
            input_dim=FEATURES,
            kernel_regularizer=regularizers.L1L2(0.01, 0.02),
            bias_regularizer=regularizers.L2(0.03),
        ),
        Dense(OUTPUTS, "softmax", kernel_regularizer=regularizers.L1(0.04)),
    ]
    model = compiled(hotloop.Sequential(layers), "sparse_categorical_crossentropy")
    check(model, data(FEATURES), targets("classes", OUTPUTS))


@pytest.mark.parametrize("activation", ["linear", "relu", "gelu"])
def test_dropout(backend: str, activation: str) -> None:
    layers = [
        Dropout(0.3, seed=1, input_shape=(FEATURES,)),
        Dense(HIDDEN, activation),
        Dropout(0.5, seed=2),
        Dropout(0.2, seed=3),
        Dense(OUTPUTS, "softmax"),
    ]
    model = compiled(hotloop.Sequential(layers), "sparse_categorical_crossentropy")
    check(model, data(FEATURES), targets("classes", OUTPUTS), loss=training_loss)


def test_layer_used_twice(backend: str) -> None:
    shared = Dense(FEATURES, "tanh", kernel_regularizer="l2")
    x = Input((FEATURES,))
    model = compiled(hotloop.Model(x, Dense(OUTPUTS)(shared(shared(x)))), "mse")
    check(model, data(FEATURES), targets("numbers", OUTPUTS))


def test_several_losses_of_one_trunk(backend: str) -> None:
    x = Input((FEATURES,))
    trunk = Dense(HIDDEN, "relu")(x)
    outputs = [Dense(OUTPUTS, "softmax")(trunk), Dense(2, "silu")(trunk), trunk]
    model = compiled(
        hotloop.Model(x, outputs),
        ["sparse_categorical_crossentropy", "mse", "mae"],
        loss_weights=[0.5, 2.0, 1.5],
    )
    y = [targets("classes", OUTPUTS), targets("numbers", 2), targets("numbers", HIDDEN)]
    check(model, data(FEATURES), y)


def test_layers_behind_a_softmax_with_a_loss(backend: str) -> None:
    x = Input((FEATURES,))
    probabilities = Dense(OUTPUTS, "softmax")(x)
    model = compiled(
        hotloop.Model(x, [probabilities, Dense(2)(probabilities)]),
        ["categorical_crossentropy", "mse"],
    )
    check(model, data(FEATURES), [targets("shares", OUTPUTS), targets("numbers", 2)])


def test_two_losses_of_one_softmax(backend: str) -> None:
    x = Input((FEATURES,))
    probabilities = Dense(OUTPUTS, "softmax")(x)
    model = compiled(
        hotloop.Model(x, [probabilities, probabilities]),
        ["categorical_crossentropy", "sparse_categorical_crossentropy"],
    )
    check(model, data(FEATURES), [targets("shares", OUTPUTS), targets("classes", OUTPUTS)])


def test_model_inside_a_model(backend: str) -> None:
    inner = hotloop.Sequential([Dense(HIDDEN, "tanh", input_dim=FEATURES), Dense(FEATURES)])
    model = compiled(hotloop.Sequential([inner, Activation("elu"), Dense(OUTPUTS)]), "mse")
    check(model, data(FEATURES), targets("numbers", OUTPUTS))


def test_frozen_layers_pass_gradients_on(backend: str) -> None:
    frozen = Dense(HIDDEN, "tanh", kernel_regularizer="l2")
    frozen.trainable = False
    layers = [Dense(HIDDEN, "relu", input_dim=FEATURES), frozen, Dense(OUTPUTS)]
    model = compiled(hotloop.Sequential(layers), "mse")
    x, y = data(FEATURES), targets("numbers", OUTPUTS)
    found = gradients(model, x, y)
    assert [bool(g.any()) for g in found] == [True, True, False, False, True, True]
    frozen.trainable = True
    whole = gradients(model, x, y)
    for i in (0, 1, 4, 5):
        np.testing.assert_allclose(found[i], whole[i], rtol=1e-12, atol=1e-15)


# -------------------------------------------------------------------- merged branches


@pytest.mark.parametrize("size", SIZES)
def test_merged_branches(backend: str, size: int) -> None:
    x = Input((size,))
    a, b, c = (Dense(size, kind)(x) for kind in ("tanh", "softplus", "sigmoid"))
    parts = [
        layers.add([a, b, c]),
        layers.subtract([a, c]),
        layers.multiply([a, b, c]),
        layers.average([a, b]),
        layers.maximum([a, b, c]),
        layers.minimum([a, c]),
        layers.dot([b, c]),
        layers.Rescaling(-1.5, 0.5)(a),
        layers.ReLU(max_value=0.5)(b),
        layers.Flatten()(layers.RepeatVector(3)(c)),
    ]
    model = hotloop.Model(x, Dense(OUTPUTS)(layers.concatenate(parts)))
    check(compiled(model, "mse"), data(size), targets("numbers", OUTPUTS), singles=1)


def test_branches_joined_along_every_axis(backend: str) -> None:
    x = Input((3, 4))
    a, b = (Dense(4, kind)(x) for kind in ("tanh", "softplus"))
    joined = [layers.Concatenate(axis)([a, b, a]) for axis in (1, 2)]
    y = layers.concatenate([Flatten()(value) for value in joined])
    model = hotloop.Model(x, Dense(OUTPUTS)(y))
    check(compiled(model, "mse"), data(3, 4), targets("numbers", OUTPUTS))


# ------------------------------------------------------------ normalisation and noise


def normalized(kind: str, size: int, **options: Any) -> Any:
    """The layer first, in the middle and twice in a row."""
    make = getattr(layers, kind)
    parts = [make(**options), Dense(size, "tanh"), make(**options), make(**options)]
    return hotloop.Sequential([Input((size,)), *parts, Dense(OUTPUTS)])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["LayerNormalization", "RMSNormalization", "UnitNormalization"])
def test_normalized_rows(backend: str, kind: str, size: int) -> None:
    model = compiled(normalized(kind, size), "mse")
    check(model, data(size), targets("numbers", OUTPUTS), singles=2)


@pytest.mark.parametrize("rows", [1, 2, 9, 70])
@pytest.mark.parametrize("size", SIZES)
def test_normalized_batches(backend: str, size: int, rows: int) -> None:
    # The averages stay as they are: check moves in every weight, and the loss reads none of them.
    options = {"momentum": 1.0, "epsilon": 0.01}
    model = compiled(normalized("BatchNormalization", size, **options), "mse")
    x, y = data(size, rows=rows), targets("numbers", OUTPUTS, rows=rows)
    check(model, x, y, singles=2, loss=training_loss_of_the_same_weights)


def training_loss_of_the_same_weights(model: Any, x: Any, y: Any) -> float:
    before = model.get_weights()
    loss = training_loss(model, x, y)
    model.set_weights(before)
    return loss


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize("kind", ["BatchNormalization", "LayerNormalization"])
def test_parts_of_a_normalization(backend: str, kind: str, scale: bool, center: bool) -> None:
    make = getattr(layers, kind)
    options = {"scale": scale, "center": center, "gamma_regularizer": "l2"}
    if kind == "BatchNormalization":
        options["momentum"] = 1.0
    parts = [Dense(HIDDEN, "tanh"), make(**options), Dense(HIDDEN), make(**options), Flatten()]
    model = compiled(hotloop.Sequential([Input((4, 7)), *parts, Dense(OUTPUTS)]), "mse")
    x, y = data(4, 7), targets("numbers", OUTPUTS)
    check(model, x, y, loss=training_loss_of_the_same_weights)


def test_a_frozen_batch_normalization(backend: str) -> None:
    frozen = layers.BatchNormalization(moving_variance_initializer="ones")
    parts = [Dense(HIDDEN, "tanh", input_dim=FEATURES), frozen, Dense(OUTPUTS)]
    model = compiled(hotloop.Sequential(parts), "mse")
    rng = np.random.default_rng(7)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])
    frozen.trainable = False
    x, y = data(FEATURES), targets("numbers", OUTPUTS)
    here = model.get_weights()
    found = gradients(model, x, y)
    assert [bool(g.any()) for g in found] == [True, True, *[False] * 4, True, True]
    for i in (0, 1, 6, 7):
        losses = []
        for step in (STEP, -STEP):
            moved = [w.copy() for w in here]
            moved[i].reshape(-1)[1] += step
            model.set_weights(moved)
            losses.append(evaluated_loss(model, x, y))
        slope = (losses[0] - losses[1]) / (2 * STEP)
        assert found[i].reshape(-1)[1] == pytest.approx(slope, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("shape", [(1,), (7,), (33,), (3, 5), (2, 3, 4)])
@pytest.mark.parametrize("shared", [0, 1, 2])
def test_prelu(backend: str, shape: tuple[int, ...], shared: int) -> None:
    axes = list(range(1, 1 + min(shared, len(shape))))
    parts = [layers.PReLU(shared_axes=axes), Dense(HIDDEN), layers.PReLU(), Flatten()]
    model = compiled(hotloop.Sequential([Input(shape), *parts, Dense(OUTPUTS)]), "mse")
    check(model, data(*shape), targets("numbers", OUTPUTS))


def test_noise(backend: str) -> None:
    parts = [
        layers.GaussianNoise(0.3, seed=1),
        Dense(HIDDEN, "gelu"),
        layers.GaussianDropout(0.5, seed=2),
        Dense(HIDDEN, "selu"),
        layers.AlphaDropout(0.4, seed=3),
        layers.GaussianNoise(0.2, seed=3),
        Dense(OUTPUTS, "softmax"),
    ]
    model = compiled(
        hotloop.Sequential([Input((FEATURES,)), *parts]), "sparse_categorical_crossentropy"
    )
    check(model, data(FEATURES), targets("classes", OUTPUTS), loss=training_loss)


@pytest.mark.parametrize("size", SIZES)
def test_branches_of_several_shapes(backend: str, size: int) -> None:
    x = Input((3, size))
    a, b = (Dense(size, kind)(x) for kind in ("tanh", "softplus"))
    row = Reshape((1, size))(Dense(size, "tanh")(layers.GlobalAveragePooling1D()(b)))
    column = Dense(1, "sigmoid")(a)
    vector = layers.GlobalMaxPooling1D()(a)
    parts = [
        layers.add([a, row]),
        layers.subtract([row, column]),
        layers.multiply([column, b, vector]),
        layers.maximum([a, row]),
        layers.minimum([row, column, vector]),
        layers.average([a, column]),
    ]
    y = layers.concatenate([Flatten()(part) for part in parts])
    check(
        compiled(hotloop.Model(x, Dense(OUTPUTS)(y)), "mse"),
        data(3, size),
        targets("numbers", OUTPUTS),
        singles=1,
    )


# ---------------------------------------------------------- indices, steps, matrices


def indices(most: int, *shape: int, rows: int = ROWS) -> Any:
    return np.random.default_rng(4).integers(0, most, (rows, *shape))


@pytest.mark.parametrize("size", SIZES)
def test_embeddings(backend: str, size: int) -> None:
    x = Input((5,))
    vectors = layers.Embedding(6, size, embeddings_regularizer="l2")
    parts = [
        layers.GlobalAveragePooling1D()(vectors(x)),
        layers.GlobalMaxPooling1D()(Activation("tanh")(vectors(x))),
        Flatten()(Dense(2, "tanh")(vectors(x))),
    ]
    model = hotloop.Model(x, Dense(OUTPUTS)(layers.concatenate(parts)))
    check(compiled(model, "mse"), indices(6, 5), targets("numbers", OUTPUTS))


def test_one_embedding_of_two_inputs(backend: str) -> None:
    vectors = layers.Embedding(7, HIDDEN)
    a, b = Input((4,)), Input(())
    joined = layers.multiply([vectors(a), vectors(b)])
    model = hotloop.Model([a, b], Dense(OUTPUTS)(Flatten()(joined)))
    check(compiled(model, "mse"), [indices(7, 4), indices(7)], targets("numbers", OUTPUTS))


def test_encoded_categories(backend: str) -> None:
    x = Input((4,))
    parts = [layers.CategoryEncoding(7, mode)(x) for mode in ("multi_hot", "count")]
    hidden = Dense(HIDDEN, "tanh")(layers.concatenate(parts))
    one_hot = Flatten()(Dense(2, "tanh")(layers.CategoryEncoding(7, "one_hot")(x)))
    model = hotloop.Model(x, Dense(OUTPUTS)(layers.concatenate([hidden, one_hot])))
    check(compiled(model, "mse"), indices(7, 4), targets("numbers", OUTPUTS))


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_inner_products(backend: str, size: int, normalize: bool) -> None:
    x = Input((3, 4))
    a, b = Dense(size, "tanh")(x), Dense(size, "softplus")(x)
    pooled = layers.GlobalAveragePooling1D()(a)
    parts = [
        layers.Dot(2, normalize)([a, b]),
        layers.Dot(1, normalize)([a, b]),
        layers.Dot((2, 1), normalize)([b, layers.Permute((2, 1))(a)]),
        layers.Dot((1, 2), normalize)([pooled, b]),
        layers.Dot(1, normalize)([pooled, pooled]),
    ]
    y = layers.concatenate([Flatten()(part) for part in parts])
    check(
        compiled(hotloop.Model(x, Dense(OUTPUTS)(y)), "mse"),
        data(3, 4),
        targets("numbers", OUTPUTS),
        singles=1,
    )


def test_axes_in_another_order(backend: str) -> None:
    x = Input((2, 3, 4))
    y = layers.Permute((2, 3, 1))(Dense(4, "tanh")(x))
    model = hotloop.Model(x, Dense(OUTPUTS)(Flatten()(Dense(3, "softplus")(y))))
    check(compiled(model, "mse"), data(2, 3, 4), targets("numbers", OUTPUTS))


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("axis", [-1, 1, (1, 2), None])
def test_normalization_between_trained_layers(backend: str, axis: Any, invert: bool) -> None:
    norm = layers.Normalization(axis, invert=invert)
    norm.adapt(2 * data(3, HIDDEN, rows=50) + 1)
    parts = [Dense(HIDDEN, "tanh", input_shape=(3, 7)), norm, Flatten(), Dense(OUTPUTS)]
    model = compiled(hotloop.Sequential(parts), "mse")
    statistics = norm.get_weights()
    x, y = data(3, 7), targets("numbers", OUTPUTS)
    found = gradients(model, x, y)
    assert [bool(g.any()) for g in found] == [True, True, False, False, False, True, True]
    for i in (0, 5):
        weights = model.get_weights()
        direction = np.random.default_rng(6).normal(size=weights[i].shape)
        losses = []
        for step in (STEP, -STEP):
            moved = [w.copy() for w in weights]
            moved[i] += step * direction
            model.set_weights(moved)
            losses.append(evaluated_loss(model, x, y))
        model.set_weights(weights)
        slope = (losses[0] - losses[1]) / (2 * STEP)
        assert np.sum(found[i] * direction) == pytest.approx(slope, rel=1e-6, abs=1e-8)
    for one, other in zip(norm.get_weights(), statistics, strict=True):
        np.testing.assert_array_equal(one, other)
