"""Random models: the compiled backend against NumPy's, and the same bits on any number of threads.

Data comes in every layout and dtype that is allowed, and in some that is not. These tests also run
under sanitizers: see .ci/sanitize-package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import config, layers, losses, naming, optimizers, utils
from hotloop.errors import NonFiniteError

Array = np.ndarray[Any, Any]
Generator = np.random.Generator

WIDTHS = [1, 2, 3, 7, 17, 31, 33, 129, 257]
BATCHES = [1, 2, 3, 7, 16, 31, 33, 64, 100]
ROWS = [1, 2, 5, 17, 40, 64, 70, 129]
ACTIVATIONS = [
    "linear", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "softsign",
    "sigmoid", "hard_sigmoid", "tanh", "relu6", "celu", "mish", "hard_silu", "log_sigmoid",
    "squareplus", "hard_tanh", "tanh_shrink", "softmax", "log_softmax", "sparsemax", "soft_shrink",
]  # fmt: skip


def lamb(**options: Any) -> Any:
    return optimizers.Lamb(0.01, epsilon=1e-3, **options)


OPTIMIZERS: list[Callable[..., Any]] = [
    lambda **o: optimizers.SGD(0.02, **o),
    lambda **o: optimizers.SGD(0.01, momentum=0.8, **o),
    lambda **o: optimizers.SGD(0.01, momentum=0.8, nesterov=True, **o),
    lambda **o: optimizers.Adam(0.002, epsilon=1e-3, **o),
    lambda **o: optimizers.Adam(0.002, amsgrad=True, epsilon=1e-3, **o),
    lambda **o: optimizers.AdamW(0.002, epsilon=1e-3, **o),
    lambda **o: optimizers.RMSprop(0.002, epsilon=1e-3, **o),
    lambda **o: optimizers.RMSprop(0.002, momentum=0.5, centered=True, epsilon=1e-3, **o),
    lambda **o: optimizers.Adagrad(0.02, epsilon=1e-3, **o),
    lambda **o: optimizers.Adadelta(0.5, epsilon=1e-3, **o),
    lambda **o: optimizers.Adafactor(0.01, epsilon_1=1e-6, **o),
    lamb,
    lambda **o: optimizers.Adamax(0.002, epsilon=1e-3, **o),
    lambda **o: optimizers.Nadam(0.002, epsilon=1e-3, **o),
    lambda **o: optimizers.ScheduleFreeAdamW(0.002, epsilon=1e-3, **o),
    lambda **o: optimizers.Ftrl(0.05, **o),
]
# Steps whose size does not shrink with the gradient: rounding errors decide where it is near 0.
ERRATIC: list[Callable[..., Any]] = [
    lambda **o: optimizers.Lion(0.001, **o),
    lambda **o: optimizers.Muon(0.001, **o),
]
OPTIONS: list[dict[str, Any]] = [
    {}, {}, {}, {},
    {"clipnorm": 0.3},
    {"global_clipnorm": 0.5},
    {"clipvalue": 0.05},
    {"weight_decay": 0.02},
    {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 2},
    {"gradient_accumulation_steps": 2},
    {"gradient_accumulation_steps": 3, "global_clipnorm": 0.5, "weight_decay": 0.01},
]  # fmt: skip


def normal(rng: Generator, *shape: int) -> Array:
    return rng.normal(size=shape)


def one_hot(rng: Generator, rows: int, units: int) -> Array:
    return np.eye(units)[rng.integers(0, units, rows)]


@dataclass
class Task:
    """What an output is compared with."""

    activation: str | None
    losses: list[Callable[[], Any]]
    targets: Callable[[Generator, int, int], Array]
    metrics: list[str]
    least: int = 1  # units


TASKS = [
    Task(
        None,
        [lambda: "mse", lambda: losses.Huber(0.7), lambda: "log_cosh", lambda: "mae"],
        normal,
        ["mae", "mse"],
    ),
    Task(None, [lambda: "cosine_similarity"], normal, ["cosine_similarity"], least=3),
    Task(
        "softplus",
        [lambda: "poisson", lambda: "msle", lambda: "mape"],
        lambda rng, rows, units: rng.uniform(0.5, 3, (rows, units)),
        ["mse"],
    ),
    Task(
        "sigmoid",
        [
            lambda: "binary_crossentropy",
            lambda: losses.BinaryCrossentropy(label_smoothing=0.1),
            lambda: "binary_focal_crossentropy",
            lambda: losses.Tversky(0.3, 0.7),
            lambda: losses.Dice(),
        ],
        lambda rng, rows, units: rng.integers(0, 2, (rows, units)),
        ["binary_accuracy"],
    ),
    Task(
        "tanh",
        [lambda: "hinge", lambda: "squared_hinge"],
        lambda rng, rows, units: rng.choice([-1, 1], (rows, units)),
        ["mae"],
    ),
    Task(
        "softmax",
        [lambda: "sparse_categorical_crossentropy"],
        lambda rng, rows, units: rng.integers(0, units, rows),
        ["accuracy"],
        least=2,
    ),
    Task(
        None,
        [lambda: losses.SparseCategoricalCrossentropy(from_logits=True)],
        lambda rng, rows, units: rng.integers(0, units, (rows, 1)),
        [],
        least=2,
    ),
    Task(
        "softmax",
        [
            lambda: "categorical_crossentropy",
            lambda: losses.CategoricalCrossentropy(label_smoothing=0.2),
            lambda: losses.CategoricalFocalCrossentropy(),
            lambda: "kl_divergence",
            lambda: "categorical_hinge",
        ],
        one_hot,
        ["categorical_accuracy"],
        least=2,
    ),
]


def laid_out(rng: Generator, array: Array) -> Array:
    """The same numbers, standing in memory as one's own arrays may stand."""
    kind = int(rng.integers(8))
    if kind == 0:  # every second row
        wide = np.repeat(array, 2, axis=0)
        return wide[::2]
    if kind == 1:
        return np.ascontiguousarray(array[::-1])[::-1]
    if kind == 2:
        return np.asfortranarray(array)
    if kind == 3:
        array = array.copy()
        array.flags.writeable = False
        return array
    if kind == 4:
        return array.astype(array.dtype.newbyteorder())
    if kind == 5:  # unaligned
        room = np.zeros(array.nbytes + 1, np.uint8)
        view = room[1:].view(array.dtype) if array.size else array.reshape(-1).copy()
        view[:] = array.reshape(-1)
        return view.reshape(array.shape)
    if kind == 6 and array.ndim > 1:  # some columns of a wider array
        wide = np.concatenate([array, array], axis=-1)
        return wide[..., : array.shape[-1]]
    return array


@dataclass
class Input:
    """One of a model's inputs: a vector, rows of steps, or numbers of an embedding."""

    kind: str
    shape: tuple[int, ...]
    depth: int = 0  # of the embedding's table


@dataclass
class Recipe:
    """A random model, its data and its training."""

    seed: int
    rng: Generator = field(init=False)

    def __post_init__(self) -> None:
        rng = self.rng = np.random.default_rng(self.seed)
        self.dtype = str(rng.choice(["float32", "float32", "float64"]))
        self.inputs = [self._input() for _ in range(rng.choice([1, 1, 1, 2, 3]))]
        self.width = self._width()
        self.join = str(rng.choice(["Concatenate", "Add", "Multiply", "Maximum", "Average"]))
        self.batch_size = int(rng.choice(BATCHES))
        self.rows = int(rng.choice(ROWS))
        self.blocks = [self._block() for _ in range(rng.integers(0, 4))]
        self.tasks = [self._one_of(TASKS) for _ in range(rng.choice([1, 1, 1, 2]))]
        self.units = [max(t.least, int(rng.choice([1, 2, 3, 10, 33]))) for t in self.tasks]
        self.losses = [self._one_of(t.losses) for t in self.tasks]
        self.decided = bool(rng.random() < 0.85)
        self.optimizer = self._one_of(OPTIMIZERS if self.decided else ERRATIC)
        if self.optimizer is lamb and any(kind == "batch norm" for kind, _ in self.blocks):
            # What a batch normalization takes off again has a gradient of 0 in theory; Lamb's step
            # is as long as the weight however small the gradient is, and rounding errors decide it.
            self.decided = False
        self.options = dict(self._one_of(OPTIONS))
        self.epochs = int(rng.integers(1, 3))
        self.x = [self._numbers(given) for given in self.inputs]
        self.y = [
            laid_out(rng, task.targets(rng, self.rows, units))
            for task, units in zip(self.tasks, self.units, strict=True)
        ]
        self.weights = None
        if rng.random() < 0.3:
            self.weights = laid_out(rng, rng.uniform(0.2, 2, self.rows))

    def _one_of(self, things: list[Any]) -> Any:
        return things[self.rng.integers(len(things))]

    def _width(self) -> int:
        return int(self.rng.choice(WIDTHS))

    def _input(self) -> Input:
        rng = self.rng
        kind = str(rng.choice(["vector"] * 4 + ["steps", "numbers"]))
        if kind == "vector":
            return Input(kind, (self._width(),))
        if kind == "steps":
            return Input(kind, (int(rng.choice([1, 2, 3, 7])), self._width()))
        return Input(kind, (int(rng.choice([1, 2, 5])),), int(rng.choice([1, 2, 7, 33])))

    def _numbers(self, given: Input) -> Array:
        rng = self.rng
        shape = (self.rows, *given.shape)
        if given.kind == "numbers":
            dtype = rng.choice(["int8", "uint8", "int32", "int64", "float32"])
            return laid_out(rng, rng.integers(0, given.depth, shape).astype(dtype))
        x = rng.normal(size=shape)
        dtype = str(
            rng.choice(["float32"] * 3 + ["float64"] * 2 + ["float16", "int8", "uint8", "?"])
        )
        return laid_out(rng, (np.abs(x) if dtype == "uint8" else x).astype(dtype))

    def _block(self) -> tuple[str, dict[str, Any]]:
        rng = self.rng
        kinds = ["dense"] * 6 + [
            "residual",
            "join",
            "batch norm",
            "layer norm",
            "rms norm",
            "prelu",
        ]
        kinds += ["unit norm", "dropout", "activation", "dot"]
        return str(rng.choice(kinds)), {
            "units": self._width(),
            "activation": str(rng.choice(ACTIVATIONS)),
            "bias": bool(rng.random() < 0.8),
            "regularizer": "l2" if rng.random() < 0.15 else None,
            "constraint": str(rng.choice(["max_norm", "unit_norm", "non_neg"]))
            if rng.random() < 0.15
            else None,
            "which": int(rng.integers(5)),
        }

    # -- the model -----------------------------------------------------------------------------

    def _vector(self, given: Input, x: Any) -> Any:
        if given.kind == "numbers":
            table = layers.Embedding(given.depth, 1 + self.width % 7)
            return layers.Flatten()(table(x))
        if given.kind == "steps":
            x = layers.Dense(self.width % 9 + 1, "tanh")(x)
            pools = [
                layers.GlobalAveragePooling1D,
                layers.GlobalMaxPooling1D,
                layers.Flatten,
            ]
            return pools[self.width % 3]()(x)
        return x

    def _after(self, kind: str, o: dict[str, Any], y: Any) -> Any:
        units, activation = o["units"], o["activation"]
        if kind == "dense":
            return layers.Dense(
                units,
                activation,
                use_bias=o["bias"],
                kernel_regularizer=o["regularizer"],
                kernel_constraint=o["constraint"],
            )(y)
        if kind == "residual":
            return layers.Add()([y, layers.Dense(y.shape[-1], "tanh")(y)])
        if kind == "join":
            return layers.Concatenate()([y, layers.Dense(units, activation)(y)])
        if kind == "batch norm":
            # Of few rows, all may be alike, and what is left of them is rounding errors.
            y = layers.Dense(units, use_bias=False)(y)
            few = min(self.batch_size, self.rows % self.batch_size or self.batch_size) < 5
            return y if few or self.rows < 5 else layers.BatchNormalization(momentum=0.9)(y)
        if kind in ("layer norm", "rms norm", "unit norm"):
            y = layers.Dense(max(units, 3), "tanh", bias_initializer="glorot_uniform")(y)
            made = {
                "layer norm": layers.LayerNormalization,
                "rms norm": layers.RMSNormalization,
                "unit norm": layers.UnitNormalization,
            }
            return made[kind]()(y)
        if kind == "prelu":
            return layers.PReLU(alpha_initializer="glorot_uniform")(y)
        if kind == "dropout":
            return [
                lambda: layers.Dropout(0.3),
                lambda: layers.AlphaDropout(0.2),
                lambda: layers.GaussianDropout(0.2),
                lambda: layers.GaussianNoise(0.1),
                lambda: layers.Dropout(0.0),
            ][o["which"]]()(y)
        if kind == "dot":
            one, other = (layers.Dense(max(units % 40, 2), "tanh")(y) for _ in range(2))
            return layers.Concatenate()([y, layers.Dot(axes=1, normalize=True)([one, other])])
        return layers.Activation(activation)(y)

    def model(self) -> Any:
        given = [
            layers.Input(i.shape, dtype="int32" if i.kind == "numbers" else None)
            for i in self.inputs
        ]
        parts = [self._vector(i, x) for i, x in zip(self.inputs, given, strict=True)]
        y = parts[0]
        if len(parts) > 1:
            parts = [layers.Dense(self.width, "tanh")(part) for part in parts]
            y = getattr(layers, self.join)()(parts)
        for kind, o in self.blocks:
            y = self._after(kind, o, y)
        # What comes out of these is of the size of 1, whatever the blocks make of it.
        y = layers.LayerNormalization()(y) if y.shape[-1] > 40 else y
        outputs = [
            layers.Dense(units, task.activation, bias_initializer="ones")(y)
            for task, units in zip(self.tasks, self.units, strict=True)
        ]
        made = hotloop.Model(given, outputs)
        metrics = [task.metrics for task in self.tasks]
        made.compile(
            self.optimizer(**self.options),
            [loss() for loss in self.losses],
            **{"metrics" if self.weights is None else "weighted_metrics": metrics},
        )
        return made

    # -- training ------------------------------------------------------------------------------

    def run(self, backend: str, threads: int) -> list[Array]:
        """All that comes out of training, evaluating and predicting."""
        config.set_backend(backend)
        config.set_num_threads(threads)
        config.set_floatx(self.dtype)
        utils.set_random_seed(self.seed % 2**31)
        naming.clear_names()  # which results are sorted by
        model = self.model()
        options = {"batch_size": self.batch_size, "sample_weight": self.weights, "verbose": 0}
        with np.errstate(all="ignore"):
            y = self.y if len(self.y) > 1 else self.y[0]
            history = model.fit(self.x, y, epochs=self.epochs, **options).history
            results = model.evaluate(self.x, y, **options)
            predictions = model.predict(self.x, batch_size=self.batch_size, verbose=0)
        if not isinstance(predictions, list):
            predictions = [predictions]
        return [
            np.array(list(history.values())),
            np.array(results),
            *predictions,
            *model.get_weights(),
        ]

    def __str__(self) -> str:
        return (
            f"{self.dtype} {self.inputs} {self.blocks} {self.units} rows {self.rows} in batches of "
            f"{self.batch_size}, {self.options}"
        )


@pytest.fixture
def settings() -> Iterator[None]:
    """Backend, threads and float type are as before afterwards."""
    before = config.backend(), config.num_threads(), config.floatx()
    yield
    config.set_backend(before[0])
    config.set_num_threads(before[1])
    config.set_floatx(before[2])


def compiled() -> str:
    """The fastest backend here: the compiled one, but where that is hidden."""
    config.set_backend("auto")
    return config.backend()


def assert_same_bits(ones: list[Array], others: list[Array], what: str) -> None:
    for i, (one, other) in enumerate(zip(ones, others, strict=True)):
        np.testing.assert_array_equal(one, other, err_msg=f"{what}, part {i}")


def assert_near(ones: list[Array], others: list[Array], dtype: str) -> None:
    tolerance = 1e-6 if dtype == "float64" else 5e-3
    for i, (one, other) in enumerate(zip(ones, others, strict=True)):
        scale = max(1.0, float(np.max(np.abs(other), initial=0.0)))
        np.testing.assert_allclose(
            one, other, rtol=tolerance, atol=tolerance * scale, err_msg=f"part {i}"
        )


def assert_near_but_for_rounding(recipe: Recipe, ones: list[Array], others: list[Array]) -> None:
    """Some models make much of rounding: float64 shows how far off NumPy itself is."""
    try:
        assert_near(ones, others, recipe.dtype)
    except AssertionError:
        if recipe.dtype == "float64":
            raise
        exact = Recipe(recipe.seed)
        exact.dtype = "float64"
        for one, other, truth in zip(ones, others, exact.run("numpy", 1), strict=True):
            off = float(np.max(np.abs(other - truth), initial=0.0))
            np.testing.assert_allclose(one, other, rtol=5e-3, atol=max(5e-3, 3 * off))


def test_random_models(seeds: Any, settings: None) -> None:
    name = compiled()
    for seed in seeds(16):
        recipe = Recipe(seed)
        try:
            alone = recipe.run(name, 1)
            for threads in (2, 3):
                assert_same_bits(recipe.run(name, threads), alone, f"{threads} threads")
            reference = recipe.run("numpy", 1)
            if recipe.decided and all(np.isfinite(part).all() for part in reference):
                assert_near_but_for_rounding(recipe, alone, reference)
        except Exception as error:
            error.add_note(str(recipe))
            raise


def test_wide_models_on_several_threads(seeds: Any, settings: None) -> None:
    """Those that threads share: what one writes, another reads."""
    name = compiled()
    for seed in seeds(5):
        recipe = Recipe(seed)
        rng = np.random.default_rng(seed)
        recipe.inputs = [Input("vector", (int(rng.choice([129, 257, 300, 513])),))]
        recipe.rows, recipe.batch_size = (
            int(rng.choice([100, 129, 200])),
            int(rng.choice([64, 100])),
        )
        recipe.x = [laid_out(rng, rng.normal(size=(recipe.rows, *recipe.inputs[0].shape)))]
        widths = [129, 130, 257, 144, 17]
        recipe.blocks = [
            (kind, o | {"units": int(rng.choice(widths))}) for kind, o in recipe.blocks
        ] or [("dense", recipe._block()[1] | {"units": 129})]
        recipe.y = [
            task.targets(rng, recipe.rows, units)
            for task, units in zip(recipe.tasks, recipe.units, strict=True)
        ]
        recipe.weights = None if rng.random() < 0.5 else rng.uniform(0.2, 2, recipe.rows)
        try:
            alone = recipe.run(name, 1)
            for threads in (2, 3, 8):
                assert_same_bits(recipe.run(name, threads), alone, f"{threads} threads")
        except Exception as error:
            error.add_note(str(recipe))
            raise


def test_a_last_panel_of_one_column(settings: None) -> None:
    """Sums of layers that are cut into parts, behind whose last row nothing stands."""
    for units in (17, 33, 65, 129):
        for batch_size in (1, 2, 5):
            results = []
            for backend in (compiled(), "numpy"):
                config.set_backend(backend)
                utils.set_random_seed(0)
                model = hotloop.Sequential([layers.Dense(units), layers.Dense(1)])
                model.compile("sgd", "mse")
                rng = np.random.default_rng(0)
                x, y = rng.normal(size=(5, 300)) / 20, rng.normal(size=(5, 1))
                model.fit(x, y, batch_size=batch_size, epochs=2, shuffle=False, verbose=0)
                results.append([model.predict(x, verbose=0), *model.get_weights()])
            assert_near(*results, "float32")


HOSTILE: list[Callable[[Generator, Array], Any]] = [
    lambda rng, x: np.where(rng.random(x.shape) < 0.1, np.nan, x),
    lambda rng, x: np.where(rng.random(x.shape) < 0.1, np.inf, x),
    lambda rng, x: x * 1e30,
    lambda rng, x: x * 1e300,
    lambda rng, x: x * 1e-40,
    lambda rng, x: x.astype(object),
    lambda rng, x: x.astype(str),
    lambda rng, x: x.astype(complex),
    lambda rng, x: x[:, :-1],
    lambda rng, x: x[:0],
    lambda rng, x: x[:-1],
    lambda rng, x: x.reshape(-1),
    lambda rng, x: np.broadcast_to(x[:1], x.shape),
    lambda rng, x: np.lib.stride_tricks.as_strided(x, strides=(0, 0)),
    lambda rng, x: x.astype("longdouble"),
    lambda rng, x: (x * 1e9).astype("int64"),
    lambda rng, x: x.tolist(),
    lambda rng, x: None,
    lambda rng, x: x.astype("datetime64[s]"),
]
# Said in Python, by name: what a user can act on.
SAID = (ValueError, TypeError, OverflowError, NonFiniteError)


def outcome(run: Callable[[], Any]) -> Any:
    """What a call returns, or the type of the error that it raises."""
    try:
        with np.errstate(all="ignore"):
            return run()
    except SAID as error:
        return type(error)


def train_on(x: Any, y: Any, width: int, units: int, norm: str, loss: str, backend: str) -> Any:
    """The errors of training, if there are any, and the shape of what is predicted."""
    config.set_backend(backend)
    utils.set_random_seed(1)
    model = hotloop.Sequential(
        [
            layers.Input((width,)),
            layers.Dense(17, "relu"),
            getattr(layers, norm)(),
            layers.Dense(units, "softmax" if units > 1 else "sigmoid"),
        ]
    )
    model.compile("adam", loss)
    fitted = outcome(lambda: model.fit(x, y, batch_size=7, verbose=0).history["loss"])
    predicted = outcome(lambda: model.predict(x, verbose=0).shape)
    return (fitted if isinstance(fitted, type) else None), predicted


@pytest.mark.filterwarnings("ignore")
def test_hostile_data(seeds: Any, settings: None) -> None:
    """Training and predicting end with numbers or with an error, the same on both backends."""
    name = compiled()
    for seed in seeds(20):
        rng = np.random.default_rng(seed)
        width, units, rows = (int(rng.choice(WIDTHS)) for _ in range(3))
        x, y = rng.normal(size=(rows, width)), rng.integers(0, 2, (rows, units)).astype(float)
        spoil = HOSTILE[rng.integers(len(HOSTILE))]
        where = int(rng.integers(3))
        loss = str(rng.choice(["mse", "binary_crossentropy", "categorical_crossentropy", "hinge"]))
        given = [(spoil(rng, x), y), (x, spoil(rng, y)), (spoil(rng, x), spoil(rng, y))][where]
        norm = rng.choice(["LayerNormalization", "BatchNormalization", "UnitNormalization"])

        both = [train_on(*given, width, units, norm, loss, backend) for backend in (name, "numpy")]
        assert both[0] == both[1], (where, loss, norm, HOSTILE.index(spoil))
