"""Random models, built here and in Keras with the same weights, trained on the same batches.

Other models in each run: a failure names its seed, and ``HOTLOOP_SEED=that pytest ...`` begins
with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import config, naming

keras = pytest.importorskip("keras")

pytestmark = pytest.mark.usefixtures("schedule_free_as_in_the_paper")

TESTS, MODELS_OF_EACH = 40, 5
FIRST = int(os.environ.get("HOTLOOP_SEED") or int.from_bytes(os.urandom(3), "little"))

ACTIVATIONS = [
    "linear", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "softsign",
    "sigmoid", "hard_sigmoid", "tanh", "exponential", "relu6", "celu", "mish", "hard_silu",
    "log_sigmoid", "squareplus", "hard_tanh", "tanh_shrink", "softmax", "log_softmax",
]  # fmt: skip
WIDTHS = [1, 2, 3, 5, 7, 8, 16, 17, 31, 33, 40]


@dataclass
class Task:
    """What comes out of a model, and what it is compared with."""

    activation: str | None
    losses: list[Callable[[Any], Any]]
    metrics: list[Callable[[Any], Any]]
    targets: Callable[[np.random.Generator, int, int], Any]
    least: int = 1  # units of the output
    least_rows: int = 1
    bias: str = "zeros"  # the output's, at first
    classes: bool = False


def _normal(rng: np.random.Generator, rows: int, units: int) -> Any:
    return rng.normal(size=(rows, units)).astype("float32")


def _one_hot(rng: np.random.Generator, rows: int, units: int) -> Any:
    return np.eye(units, dtype="float32")[rng.integers(0, units, rows)]


TASKS = [
    Task(
        None,
        [
            lambda k: "mse",
            lambda k: "mean_absolute_error",
            lambda k: k.losses.Huber(0.7),
            lambda k: "log_cosh",
            lambda k: k.losses.MeanSquaredError(reduction="sum"),  # see Recipe.model
        ],
        [
            lambda k: "mae",
            lambda k: k.metrics.RootMeanSquaredError(),
            lambda k: k.metrics.R2Score(),
            lambda k: "cosine_similarity",
        ],
        _normal,
        least_rows=5,  # of one or two, R2 is a share of rounding errors
    ),
    Task(
        None,
        [lambda k: k.losses.CosineSimilarity()],
        [lambda k: "mae", lambda k: "cosine_similarity"],
        _normal,
        least=2,  # the slope of a single unit's cosine is rounding errors, which Lamb scales up
        bias="ones",  # Keras's slope of a cosine with zeros is NaN
    ),
    Task(
        "softplus",
        [lambda k: "poisson", lambda k: "msle", lambda k: "mape"],
        [lambda k: "mse", lambda k: "mape"],
        lambda rng, rows, units: rng.uniform(0.5, 3, size=(rows, units)).astype("float32"),
    ),
    Task(
        "sigmoid",
        [
            lambda k: "binary_crossentropy",
            lambda k: k.losses.BinaryCrossentropy(label_smoothing=0.1),
            lambda k: "binary_focal_crossentropy",
            lambda k: k.losses.Tversky(0.3, 0.7),
            lambda k: "hinge",
        ],
        [
            lambda k: "accuracy",
            lambda k: k.metrics.Precision(),
            lambda k: k.metrics.Recall(),
            lambda k: k.metrics.AUC(num_thresholds=50),
        ],
        lambda rng, rows, units: rng.integers(0, 2, (rows, units)).astype("float32"),
    ),
    Task(
        "softmax",
        [lambda k: "sparse_categorical_crossentropy"],
        [lambda k: "accuracy", lambda k: k.metrics.SparseTopKCategoricalAccuracy(2)],
        lambda rng, rows, units: rng.integers(0, units, rows),
        least=2,
        classes=True,
    ),
    Task(
        None,
        [lambda k: k.losses.SparseCategoricalCrossentropy(from_logits=True)],
        [lambda k: "accuracy"],
        lambda rng, rows, units: rng.integers(0, units, (rows, 1)),
        least=2,
        classes=True,
    ),
    Task(
        "softmax",
        [
            lambda k: "categorical_crossentropy",
            lambda k: k.losses.CategoricalCrossentropy(label_smoothing=0.2),
            lambda k: k.losses.CategoricalFocalCrossentropy(),
            lambda k: "kl_divergence",
            lambda k: "categorical_hinge",
        ],
        [lambda k: "accuracy", lambda k: k.metrics.F1Score("macro")],
        _one_hot,
        least=2,
        classes=True,
    ),
]

OPTIMIZERS: list[Callable[[Any, dict[str, Any]], Any]] = [
    lambda k, o: k.optimizers.SGD(0.02, **o),
    lambda k, o: k.optimizers.SGD(0.01, momentum=0.8, **o),
    lambda k, o: k.optimizers.SGD(0.01, momentum=0.8, nesterov=True, **o),
    lambda k, o: k.optimizers.Adam(0.002, epsilon=1e-3, **o),
    lambda k, o: k.optimizers.Adam(0.002, amsgrad=True, epsilon=1e-3, **o),
    lambda k, o: k.optimizers.AdamW(0.002, epsilon=1e-3, **o),
    lambda k, o: k.optimizers.RMSprop(0.002, epsilon=1e-3, **o),
    lambda k, o: k.optimizers.RMSprop(0.002, momentum=0.5, epsilon=1e-3, **o),
    lambda k, o: k.optimizers.Adagrad(0.02, **o),
    lambda k, o: k.optimizers.Adadelta(0.5, epsilon=1e-3, **o),
    lambda k, o: k.optimizers.Adafactor(0.01, epsilon_1=1e-6, **o),
    lambda k, o: k.optimizers.Lamb(0.01, epsilon=1e-3, **o),
    lambda k, o: k.optimizers.Adamax(0.002, epsilon=1e-3, **o),
    lambda k, o: k.optimizers.Nadam(0.002, epsilon=1e-3, **o),
    lambda k, o: k.optimizers.ScheduleFreeAdamW(0.002, epsilon=1e-3, warmup_steps=3, **o),
    lambda k, o: k.optimizers.Ftrl(0.05, l1_regularization_strength=0.01, **o),
    lambda k, o: k.optimizers.Adam(
        k.optimizers.schedules.CosineDecay(0.003, 12, warmup_target=0.004, warmup_steps=4),
        epsilon=1e-3,
        **{name: value for name, value in o.items() if name != "gradient_accumulation_steps"},
    ),
]
OPTIONS: list[dict[str, Any]] = [
    {}, {}, {},
    {"clipnorm": 0.3},
    {"global_clipnorm": 0.5},
    {"clipvalue": 0.05},
    {"weight_decay": 0.02},
    {"use_ema": True, "ema_momentum": 0.8},
    {"use_ema": True, "ema_overwrite_frequency": 3},
    {"gradient_accumulation_steps": 2},
    {"gradient_accumulation_steps": 3, "global_clipnorm": 0.5, "weight_decay": 0.01},
]  # fmt: skip


@dataclass
class Recipe:
    """A random model, its data and its training, to be made by either library."""

    seed: int
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        rng = self.rng = np.random.default_rng(self.seed)
        self.task = TASKS[rng.integers(len(TASKS))]
        self.shape = tuple(int(rng.choice(WIDTHS)) for _ in range(1 + (rng.random() < 0.2)))
        self.blocks = [self._block() for _ in range(rng.integers(0, 4))]
        for before, (_, o) in enumerate(self.blocks):
            # An exponential's rounding errors, to the power of e, are as large as anything.
            exponentials = [p["activation"] == "exponential" for _, p in self.blocks[:before]]
            if o["activation"] == "exponential" and any(exponentials):
                o["activation"] = "softplus"
        self.units = max(self.task.least, int(rng.choice([1, 2, 3, 5, 10])))
        self.rows = max(self.task.least_rows, int(rng.choice([1, 5, 33, 64, 70])))
        self.loss = self._one_of(self.task.losses)
        self.metrics = [m for m in self.task.metrics if rng.random() < 0.4]
        self.optimizer = self._one_of(OPTIMIZERS)
        self.options = dict(self._one_of(OPTIONS))
        self.fit: dict[str, Any] = {
            "batch_size": int(rng.choice([1, 3, 7, 16, 32, 100])) if self.rows < 60 else 16,
            "epochs": int(rng.integers(1, 4)),
            "shuffle": False,
            "verbose": 0,
        }
        if any(kind == "batch norm" for kind, _ in self.blocks):
            # A batch of one row has no variance: all behind it is at 0, where activations bend and
            # libraries, even Keras's own backends, do not agree on the slope.
            self.rows, self.fit["batch_size"] = 64, 16
        if self.rows > 10 and rng.random() < 0.3:
            self.fit["validation_split"] = 0.3
        self.x = rng.normal(size=(self.rows, *self.shape)).astype("float32")
        self.y = self.task.targets(rng, self.rows, self.units)
        if rng.random() < 0.25:
            self.fit["sample_weight"] = rng.uniform(0.2, 2, self.rows)
        elif self.task.classes and rng.random() < 0.3:
            self.fit["class_weight"] = {i: float(rng.uniform(0.3, 2)) for i in range(self.units)}

    def _one_of(self, things: list[Any]) -> Any:
        return things[self.rng.integers(len(things))]

    def _block(self) -> tuple[str, dict[str, Any]]:
        rng = self.rng
        kinds = ["dense"] * 6 + ["residual", "join", "batch norm", "layer norm", "prelu", "layer"]
        kind = str(rng.choice(kinds))
        return kind, {
            "units": int(rng.choice(WIDTHS)),
            "activation": str(rng.choice(ACTIVATIONS)),
            "bias": bool(rng.random() < 0.8),
            # Not L1: a weight that it has brought to zero, rounding errors push to either side.
            "regularizer": "l2" if rng.random() < 0.15 else None,
            "constraint": str(rng.choice(["max_norm", "unit_norm", "non_neg"]))
            if rng.random() < 0.1
            else None,
            "which": int(rng.integers(6)),
        }

    def model(self, k: Any) -> Any:
        layers = k.layers
        x = y = k.Input(self.shape)
        if len(self.shape) > 1:
            y = layers.Flatten()(y)
        for kind, o in self.blocks:
            if kind == "dense":
                y = layers.Dense(
                    o["units"],
                    o["activation"],
                    use_bias=o["bias"],
                    kernel_regularizer=o["regularizer"],
                    kernel_constraint=o["constraint"],
                )(y)
            elif kind == "residual":
                y = layers.Add()([y, layers.Dense(y.shape[-1], "tanh")(y)])
            elif kind == "join":
                y = layers.Concatenate()([y, layers.Dense(o["units"], o["activation"])(y)])
            elif kind == "batch norm":
                # A bias in front of it has no gradient but rounding errors, and Adam makes steps
                # of those.
                y = layers.Dense(o["units"], use_bias=False)(y)
                y = layers.BatchNormalization(momentum=0.9)(y)
            elif kind == "layer norm":
                # Of one unit it makes 0, where Keras's slopes of norms and cosines are NaN.
                y = layers.LayerNormalization()(y) if y.shape[-1] > 1 else y
            elif kind == "prelu":
                y = layers.PReLU(alpha_initializer="glorot_uniform")(y)
            else:
                y = [
                    lambda: layers.LeakyReLU(negative_slope=0.2),
                    lambda: layers.ELU(0.7),
                    lambda: layers.ReLU(1.5, 0.1),
                    lambda: layers.Rescaling(0.5, 0.1),
                    lambda: layers.Softmax(),
                    lambda: layers.Activation("tanh"),
                ][o["which"]]()(y)
        output = layers.Dense(self.units, self.task.activation, bias_initializer=self.task.bias)
        made = k.Model(x, output(y))
        loss = self.loss(k)
        # Steps along the slope of a sum over a whole batch would make many a model diverge, and
        # rounding errors grow with it.
        summed = getattr(loss, "reduction", None) == "sum"
        weighted = "sample_weight" in self.fit or "class_weight" in self.fit
        made.compile(
            self.optimizer(k, self.options),
            loss,
            loss_weights=[1 / 16] if summed else None,
            **{"weighted_metrics" if weighted else "metrics": [m(k) for m in self.metrics]},
        )
        return made

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.shape} {self.blocks} {self.units} {self.fit} {self.options}"
        )


def compare(recipe: Recipe) -> None:
    # Names such as precision_1 count from the start in both.
    keras.utils.clear_session()
    naming.clear_names()
    theirs = recipe.model(keras)
    ours = recipe.model(hotloop)
    ours.set_weights(theirs.get_weights())
    expected = theirs.predict(recipe.x, verbose=0)
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(
        ours.predict(recipe.x, verbose=0), expected, rtol=1e-5, atol=1e-5 * scale
    )
    expected = theirs.fit(recipe.x, recipe.y, **recipe.fit).history
    found = ours.fit(recipe.x, recipe.y, **recipe.fit).history
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-3, atol=1e-3, err_msg=name)
    pairs = zip(ours.weights, theirs.get_weights(), strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-3, atol=1e-3, err_msg=one.path)


@pytest.mark.parametrize("number", range(TESTS))
def test_random_models(number: int) -> None:
    if config.backend() != "cython" and number >= TESTS // 10:
        pytest.skip("a tenth of them is enough where the compiled core is hidden")
    for seed in range(FIRST + number * MODELS_OF_EACH, FIRST + (number + 1) * MODELS_OF_EACH):
        recipe = Recipe(seed)
        try:
            compare(recipe)
        except Exception as error:
            error.add_note(str(recipe))
            raise
