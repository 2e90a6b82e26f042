"""Threads of the compiled core and of the program around it: same bits, no waiting, no harm."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from concurrency import in_child, in_threads
from threadpoolctl import threadpool_limits

import hotloop
from hotloop import backends, config, layers, naming, optimizers, variables
from hotloop.models import examples, loop

runtime = pytest.importorskip(
    "hotloop.backends.compiled.runtime", reason="the compiled core is an optional part"
)

pytestmark = pytest.mark.usefixtures("compiled")

Array = np.ndarray[Any, Any]


def data(rows: int, features: int, outputs: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(8)
    return rng.normal(size=(rows, features)), rng.normal(size=(rows, outputs))


# -------------------------------------------------------------------- equal to the bit
# Batches of these models are several times larger than what eight threads pay for.


def regression(dtype: str = "float32") -> list[Array]:
    hotloop.utils.set_random_seed(6)
    x, y = data(700, 131, 35)
    dense = {"dtype": dtype, "kernel_regularizer": "l1_l2"}
    model = hotloop.Sequential(
        [
            layers.Input((131,), dtype=dtype),
            layers.Dense(129, "tanh", **dense),
            layers.Dropout(0.3, seed=2, dtype=dtype),
            layers.Dense(67, "gelu", dtype=dtype),
            layers.Dense(35, dtype=dtype),
        ]
    )
    model.compile(optimizers.Adam(0.01), "huber", metrics=["mae"])
    weight = np.linspace(0.0, 2.0, len(x))
    found = model.fit(x, y, 96, epochs=2, sample_weight=weight, verbose=0, validation_split=0.2)
    logs = [np.array(values) for values in found.history.values()]
    return [*model.get_weights(), model.predict(x, verbose=0), *logs]


def regression_in_double() -> list[Array]:
    return regression("float64")


def classification() -> list[Array]:
    hotloop.utils.set_random_seed(6)
    x, y = data(500, 100, 9)
    model = hotloop.Sequential(
        [
            layers.Input((100,)),
            layers.Dense(300, "relu"),
            layers.Dropout(0.5),
            layers.Dense(9, "softmax", bias_regularizer="l2"),
        ]
    )
    model.compile(
        optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    found = model.fit(x, y.argmax(axis=1), 64, epochs=2, verbose=0, class_weight={0: 3.0, 4: 0.5})
    return [*model.get_weights(), *(np.array(v) for v in found.history.values())]


def rows_within_examples() -> list[Array]:
    hotloop.utils.set_random_seed(6)
    x, y = data(100 * 11, 40, 90)
    model = hotloop.Sequential(
        [
            layers.Input((11, 40)),
            layers.Dense(130, "silu"),
            layers.Dense(90, "log_softmax", activity_regularizer=None),
        ]
    )
    model.compile(optimizers.RMSprop(0.001, centered=True, momentum=0.5), "mae")
    model.fit(x.reshape(100, 11, 40), y.reshape(100, 11, 90), 33, epochs=2, verbose=0)
    return model.get_weights()


def margins() -> list[Array]:
    """Batches of zeros and ones, and of zeros, ones and one -1: hinge reads them apart."""
    hotloop.utils.set_random_seed(6)
    x, y = data(512, 100, 40)
    label = (y > 0).astype(float)
    label[128:256][77, 33] = -1.0
    label[384:][127, 39] = -1.0
    model = hotloop.Sequential([layers.Input((100,)), layers.Dense(40)])
    model.compile(optimizers.SGD(0.1), "hinge")
    found = model.fit(x, label, 128, shuffle=False, verbose=0)
    return [*model.get_weights(), np.array(found.history["loss"])]


def one_layer(rows: int, features: int, units: int, batch_size: int) -> list[Array]:
    hotloop.utils.set_random_seed(6)
    x, y = data(rows, features, units)
    model = hotloop.Sequential([layers.Input((features,)), layers.Dense(units, "tanh")])
    model.compile("adam", "mse")
    model.fit(x, y, batch_size, verbose=0)
    return model.get_weights()


def large_products() -> list[Array]:
    """Weights beyond the second-level cache."""
    return one_layer(300, 1100, 1030, 200)


def many_rows() -> list[Array]:
    """Sums over thousands of rows."""
    return one_layer(5000, 131, 67, 3000)


def long_sums(shape: tuple[int, ...], dtype: str = "float32") -> list[Array]:
    """Layers too narrow for panels to share out, with sums that are cut into parts instead."""
    hotloop.utils.set_random_seed(6)
    x, y = data(300, math.prod(shape), 7 * math.prod(shape[:-1]))
    x, y = x.reshape(300, *shape), y.reshape(300, *shape[:-1], 7)
    model = hotloop.Sequential(
        [
            layers.Input(shape, dtype=dtype),
            layers.Dense(13, "relu", dtype=dtype),
            layers.Dense(150, "tanh", dtype=dtype),
            layers.Dropout(0.3, seed=2, dtype=dtype),
            layers.Dense(5, "softplus", dtype=dtype),
            layers.Dense(150, use_bias=False, dtype=dtype),
            layers.Dense(7, dtype=dtype),
        ]
    )
    model.compile("adam", "mse")
    found = model.fit(x, y, 96, epochs=2, verbose=0)
    return [*model.get_weights(), model.predict(x, verbose=0), np.array(found.history["loss"])]


def long_sums_in_double() -> list[Array]:
    return long_sums((1024,), "float64")


def long_sums_of_rows_within_examples() -> list[Array]:
    return long_sums((3, 517))


def words(dtype: str = "float32") -> list[Array]:
    """Many numbers of few and of many rows, and what is made of their vectors."""
    hotloop.utils.set_random_seed(6)
    rng = np.random.default_rng(8)
    x = np.minimum(rng.geometric(0.01, (400, 50)), 1999)
    first, second = layers.Input((50,), dtype=dtype), layers.Input((1,), dtype=dtype)
    vectors = layers.Embedding(2000, 37, embeddings_regularizer="l2", dtype=dtype)(first)
    one = layers.Embedding(3, 37, dtype=dtype)(second)
    similar = layers.Dot(2, normalize=True, dtype=dtype)([vectors, one])
    seen = layers.multiply([vectors, similar, one], dtype=dtype)
    parts = [
        layers.GlobalAveragePooling1D(dtype=dtype)(seen),
        layers.GlobalMaxPooling1D(dtype=dtype)(layers.Permute((2, 1), dtype=dtype)(vectors)),
        layers.CategoryEncoding(2000, "count", dtype=dtype)(first),
    ]
    joined = layers.concatenate(parts, dtype=dtype)
    joined = layers.Normalization(mean=0.1, variance=4.0, dtype=dtype)(joined)
    model = hotloop.Model([first, second], layers.Dense(2, "softmax", dtype=dtype)(joined))
    model.compile("adam", "sparse_categorical_crossentropy")
    data = [x, rng.integers(0, 3, (400, 1))]
    found = model.fit(data, x[:, 0] % 2, 96, epochs=2, verbose=0)
    return [*model.get_weights(), model.predict(data, verbose=0), np.array(found.history["loss"])]


def words_in_double() -> list[Array]:
    return words("float64")


TRAININGS = [regression, regression_in_double, classification, rows_within_examples, margins]
TRAININGS += [large_products, many_rows, long_sums_in_double, long_sums_of_rows_within_examples]
TRAININGS += [words, words_in_double]


def assert_same_bits_on_any_number_of_threads(train: Callable[[], list[Array]]) -> None:
    config.set_num_threads(1)
    alone = train()
    for threads in (1, 2, 3, 8):
        config.set_num_threads(threads)
        for ours, expected in zip(train(), alone, strict=True):
            np.testing.assert_array_equal(ours, expected)
    assert runtime.pool_size() >= 7  # so all eight were at work


@pytest.mark.parametrize("train", TRAININGS)
def test_weights_are_the_same_bits_on_any_number_of_threads(
    train: Callable[[], list[Array]],
) -> None:
    assert_same_bits_on_any_number_of_threads(train)


def random_network(seed: int) -> tuple[Callable[[], list[Array]], str]:
    """A training of layers of any width and batches of any size, and what it is."""
    rng = np.random.default_rng(seed)

    def size(most: int) -> int:
        return int(most ** rng.uniform(0, 1))

    widths = [size(700) for _ in range(rng.integers(2, 5))]
    rows, batch_size = size(120), size(120)
    dtype = str(rng.choice(["float32", "float64"]))
    x = rng.normal(size=(rows, widths[0])).astype(dtype)
    y = rng.normal(size=(rows, widths[-1]))

    def train() -> list[Array]:
        hotloop.utils.set_random_seed(seed)
        # What is done twice to a row shows with an activation like this.
        dense = [layers.Dense(n, "tanh", dtype=dtype) for n in widths[1:]]
        model = hotloop.Sequential([layers.Input(widths[:1], dtype=dtype), *dense])
        model.compile("adam", "mse")
        model.fit(x, y, batch_size, verbose=0)
        return [*model.get_weights(), model.predict(x, batch_size=batch_size, verbose=0)]

    return train, f"seed {seed}: {widths}, {rows} rows, batches of {batch_size}, {dtype}"


def test_random_networks_get_the_same_bits_on_any_number_of_threads() -> None:
    """Other networks in each run."""
    first = int.from_bytes(os.urandom(4), "little")
    for seed in range(first, first + 60):
        train, what = random_network(seed)
        config.set_num_threads(1)
        alone = train()
        for threads in (2, 3, 5, 8):
            config.set_num_threads(threads)
            for ours, expected in zip(train(), alone, strict=True):
                np.testing.assert_array_equal(ours, expected, f"{what}, {threads} threads")


def random_rows(seed: int) -> tuple[Callable[[], list[Array]], str]:
    """A training of few examples of many rows, cut by rows and by examples in turn, and its
    layers."""
    rng = np.random.default_rng(seed)
    steps, cols = (int(rng.integers(*limits)) for limits in ((30, 70), (33, 70)))
    dtype = str(rng.choice(["float32", "float64"]))
    batch_size, rows = int(rng.integers(1, 4)), int(rng.integers(1, 6))
    own = {"dtype": dtype}

    def another(y: Any) -> Any:
        return layers.Dense(y.shape[-1], "tanh", **own)(y)

    def reshaped(y: Any) -> Any:
        """The same bytes with other rows."""
        turned = layers.Reshape(y.shape[:0:-1], **own)(y)
        return layers.Reshape(y.shape[1:], **own)(layers.Activation("tanh", **own)(turned))

    def attended(y: Any) -> Any:
        scores = layers.Softmax(**own)(layers.Dot(2, **own)([y, another(y)]))
        return layers.Dot((2, 1), **own)([scores, y])

    makes: dict[str, Callable[[Any], Any]] = {
        "dense": another,
        "narrow": lambda y: another(layers.Dense(int(rng.integers(2, 17)), **own)(y)),
        "gelu": lambda y: layers.Activation("gelu", **own)(y),
        "prelu": lambda y: layers.PReLU(shared_axes=[1], **own)(y),
        "softmax": lambda y: layers.Softmax(**own)(y),
        "layer norm": lambda y: layers.LayerNormalization(**own)(y),
        "batch norm": lambda y: layers.BatchNormalization(**own)(y),
        "unit": lambda y: layers.UnitNormalization(**own)(y),
        "dropout": lambda y: layers.Dropout(0.3, seed=2, **own)(y),
        "noise": lambda y: layers.GaussianNoise(0.3, seed=2, **own)(y),
        "alpha dropout": lambda y: layers.AlphaDropout(0.3, seed=2, **own)(y),
        "add": lambda y: layers.Add(**own)([y, another(y)]),
        "multiply": lambda y: layers.Multiply(**own)([y, another(y)]),
        "maximum": lambda y: layers.Maximum(**own)([y, another(y)]),
        "concatenate": lambda y: layers.Concatenate(**own)([y, layers.Dense(5, **own)(y)]),
        "permute": lambda y: layers.Permute((2, 1), **own)(another(y)),
        "reshape": reshaped,
        "attention": attended,
    }
    chosen = [str(name) for name in rng.choice([*makes], size=6)]
    x = rng.normal(size=(rows, steps, cols))
    target = rng.normal(size=(rows, 3))
    draws = rng.bit_generator.state

    def train() -> list[Array]:
        hotloop.utils.set_random_seed(seed)
        rng.bit_generator.state = draws
        given = layers.Input((steps, cols), **own)
        y = another(given)
        for name in chosen:
            y = makes[name](y)
        pooled = layers.GlobalAveragePooling1D(**own)(another(y))
        model = hotloop.Model(given, layers.Dense(3, **own)(pooled))
        model.compile("adam", "mse")
        model.fit(x, target, batch_size, epochs=2, verbose=0)
        return [*model.get_weights(), model.predict(x, batch_size=batch_size, verbose=0)]

    what = f"seed {seed}: {chosen} of {rows} x {steps} x {cols}, batches of {batch_size}, {dtype}"
    return train, what


def test_random_examples_of_many_rows_get_the_same_bits_on_any_number_of_threads() -> None:
    """Other models in each run."""
    first = int.from_bytes(os.urandom(4), "little")
    for seed in range(first, first + 25):
        train, what = random_rows(seed)
        config.set_num_threads(1)
        alone = train()
        for threads in (2, 3, 4):
            config.set_num_threads(threads)
            for ours, expected in zip(train(), alone, strict=True):
                np.testing.assert_array_equal(ours, expected, f"{what}, {threads} threads")


@pytest.mark.parametrize(("widths", "threads"), [((512, 257, 512), 3), ((100, 65, 9000), 8)])
def test_no_two_threads_work_on_one_element(widths: tuple[int, ...], threads: int) -> None:
    """One row of a few panels, often, with more threads than CPUs, so that they get in step
    in many ways."""
    x = np.random.default_rng(8).normal(size=(1, widths[0]))
    dense = [layers.Dense(n, "tanh", dtype="float64") for n in widths[1:]]
    model = hotloop.Sequential([layers.Input(widths[:1], dtype="float64"), *dense])
    config.set_num_threads(1)
    alone = model.predict(x, verbose=0)
    config.set_num_threads(threads)
    for _ in range(300):
        np.testing.assert_array_equal(model.predict(x, verbose=0), alone)


OPTIMIZERS: dict[str, Callable[[], optimizers.Optimizer]] = {
    "sgd": lambda: optimizers.SGD(0.1),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9),
    "nesterov": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: optimizers.Adam(0.01),
    "amsgrad": lambda: optimizers.Adam(0.01, amsgrad=True),
    "adamw": lambda: optimizers.AdamW(0.01, weight_decay=0.1),
    "rmsprop": lambda: optimizers.RMSprop(0.01),
    "rmsprop with momentum": lambda: optimizers.RMSprop(0.01, momentum=0.5),
    "centered rmsprop": lambda: optimizers.RMSprop(0.01, centered=True),
    "adagrad": lambda: optimizers.Adagrad(0.1),
    "adadelta": lambda: optimizers.Adadelta(1.0),
    "adamax": lambda: optimizers.Adamax(0.01),
    "nadam": lambda: optimizers.Nadam(0.01),
    "lion": lambda: optimizers.Lion(0.01),
    "ftrl": lambda: optimizers.Ftrl(0.1),
    "schedule-free": lambda: optimizers.ScheduleFreeAdamW(0.01, warmup_steps=5),
    "adafactor": lambda: optimizers.Adafactor(0.1),
    "lamb": lambda: optimizers.Lamb(0.01),
    "muon": lambda: optimizers.Muon(0.01),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_are_the_same_bits_on_any_number_of_threads(name: str, dtype: str) -> None:
    x, y = data(700, 131, 35)
    assert x.nbytes > 256 * 1024  # larger arrays are asked for ahead

    def train() -> list[Array]:
        hotloop.utils.set_random_seed(6)
        model = hotloop.Sequential(
            [
                layers.Input((131,), dtype=dtype),
                layers.Dense(129, "relu", dtype=dtype),
                layers.Dropout(0.3, dtype=dtype),
                layers.Dense(35, dtype=dtype),
            ]
        )
        model.compile(OPTIMIZERS[name](), "mse")
        found = model.fit(x, y, 96, epochs=2, verbose=0)
        (ready,) = model._plans
        assert ready.executors[0].threads() == config.num_threads()
        return [*model.get_weights(), np.array(found.history["loss"])]

    assert_same_bits_on_any_number_of_threads(train)


def test_a_new_process_gets_the_same_bits(python: Callable[..., list[str]]) -> None:
    code = """
import hashlib
import numpy as np
import hotloop
from hotloop import layers
hotloop.utils.set_random_seed(6)
x = np.random.default_rng(8).normal(size=(700, 131))
model = hotloop.Sequential([layers.Input((131,)), layers.Dense(129, "gelu"), layers.Dropout(0.3)])
model.add(layers.Dense(35))
model.compile("adam", "huber", metrics=["mae"])
model.fit(x, x[:, :35], 96, epochs=2, verbose=0)
print(*(hashlib.sha256(weight.tobytes()).hexdigest() for weight in model.get_weights()))
"""
    first = python(code, HOTLOOP_NUM_THREADS="1", PYTHONHASHSEED="1")
    assert python(code, HOTLOOP_NUM_THREADS="3", PYTHONHASHSEED="2") == first


def test_the_kernels_give_the_same_bits_on_any_number_of_threads() -> None:
    x, y = data(700, 131, 140)
    w = np.random.default_rng(0).normal(size=(131, 140))

    def run() -> list[Array]:
        z = hotloop.kernels.dense_forward(x, w, y[0], activation="gelu", backend="cython")
        loss, gradient = hotloop.kernels.softmax_cross_entropy(
            z, y.argmax(axis=1), backend="cython"
        )
        gradients = hotloop.kernels.dense_backward(x, w, gradient, backend="cython")
        return [z, np.array(loss), gradient, *gradients]

    config.set_num_threads(1)
    alone = run()
    for threads in (2, 3, 8):
        config.set_num_threads(threads)
        for ours, expected in zip(run(), alone, strict=True):
            np.testing.assert_array_equal(ours, expected)


def test_an_absurd_number_of_threads_does_no_harm() -> None:
    config.set_num_threads(1)
    alone = margins()
    config.set_num_threads(10**30)
    for ours, expected in zip(margins(), alone, strict=True):
        np.testing.assert_array_equal(ours, expected)


# --------------------------------------------------------------- threads of the program


def endless(features: int = 4) -> tuple[Array, Array]:
    """A hundred million examples in a few bytes: an epoch that only an interruption ends."""
    rows = 100_000_000
    return np.broadcast_to(np.ones(features), (rows, features)), np.broadcast_to(1e9, (rows,))


def counter(features: int = 4) -> hotloop.Sequential:
    """Its bias grows by 2**-20 a step: targets above it give -1, the mean over 4 or 8 exactly."""
    model = hotloop.Sequential([layers.Input((features,), dtype="float64")])
    model.add(layers.Dense(1, kernel_initializer="zeros", dtype="float64"))
    model.layers[-1].kernel.trainable = False
    model.compile(optimizers.SGD(2.0**-20), "mae")
    return model


def steps_of(model: hotloop.Sequential) -> float:
    return float(model.get_weights()[1][0] * 2.0**20)


def test_python_goes_on_while_a_model_trains() -> None:
    rows = 20_000
    model = hotloop.Sequential([layers.Input((300,)), layers.Dense(300)])
    model.compile("adam", "mse")
    x = np.broadcast_to(np.float32(1.0), (rows, 300))
    data = examples.read(model, model._compilation, x, x)
    objective = model._compilation.bind(data.form, data.y, False)
    run = model._plans.ready(model, model.forms.only, "train", 2000, objective).executors[0].run
    feed = data.feed(objective)
    turns, over = [0], threading.Event()

    def count() -> None:
        while not over.is_set():
            turns[0] += 1
            time.sleep(0)  # gives the GIL away

    interval = sys.getswitchinterval()
    other = threading.Thread(target=count)
    try:
        sys.setswitchinterval(1000.0)  # from now on nobody takes it
        other.start()
        before = turns[0]
        run(feed, 0, 10, np.zeros(1))
        during = turns[0] - before
    finally:
        over.set()
        sys.setswitchinterval(interval)
        other.join()
    assert during > 10


def test_models_that_train_at_once_get_what_each_gets_alone(backend: str) -> None:
    config.set_num_threads(2)

    def train(seed: int) -> list[Array]:
        model = make[seed]
        x, y = data(600, 131, 35)
        order = np.random.default_rng(seed).permutation(600)
        model.fit(x[order], y[order], 96, epochs=4, shuffle=False, verbose=0)
        return model.get_weights()

    def models() -> dict[int, hotloop.Sequential]:
        result = {}
        for seed in range(4):
            hotloop.utils.set_random_seed(seed)
            result[seed] = hotloop.Sequential(
                [
                    layers.Input((131,)),
                    layers.Dense(129, "tanh"),
                    layers.Dropout(0.2, seed=seed),
                    layers.Dense(35),
                ]
            )
            result[seed].compile("adam", "mse")
        return result

    with threadpool_limits(1, "blas"):  # how a BLAS cuts its sums depends on what else runs
        make = models()
        alone = [train(seed) for seed in range(4)]
        make = models()
        together = in_threads(*(lambda seed=seed: train(seed) for seed in range(4)))
    for ours, expected in zip(together, alone, strict=True):
        for one, other in zip(ours, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_predicting_and_reading_weights_while_the_same_model_trains() -> None:
    x, y = data(400, 131, 35)
    for _ in range(5):  # the first moments, when weights move into the core, count most
        model = hotloop.Sequential(
            [layers.Input((131,)), layers.Dense(129, "tanh"), layers.Dense(35)]
        )
        model.compile("adam", "mse")
        over = threading.Event()

        def fit(model: hotloop.Sequential = model, over: threading.Event = over) -> int:
            try:
                model.fit(x, y, 32, epochs=6, verbose=0)
            finally:
                over.set()
            return model.optimizer.iterations

        def watch(
            look: Callable[[], list[Array]], over: threading.Event = over
        ) -> Callable[[], int]:
            def run() -> int:
                n = 0
                while n == 0 or not over.is_set():
                    assert all(np.isfinite(a).all() for a in look())
                    n += 1
                return n

            return run

        steps, *looks = in_threads(
            fit,
            watch(lambda model=model: [model.predict(x, verbose=0)]),
            watch(lambda model=model: [model.predict_on_batch(x[:7])]),
            watch(model.get_weights),
        )
        assert steps == 6 * 13
        assert min(looks) >= 1


def test_no_step_is_lost_when_another_thread_looks_first() -> None:
    x, y = np.ones((500, 4)), np.full(500, 1e9)
    for _ in range(20):
        model = counter()
        in_threads(
            lambda model=model: model.fit(x, y, 4, verbose=0),
            lambda model=model: model.predict(x[:3], verbose=0),
            model.get_weights,
        )
        assert steps_of(model) == model.optimizer.iterations == 125


# ----------------------------------------------------------------------------- Ctrl-C


class Watched:
    """An executor, and the seconds that each of its runs was given."""

    def __init__(self, executor: Any) -> None:
        self.executor = executor
        self.seconds: list[float] = []

    def run(self, *arguments: Any, seconds: float, **options: Any) -> Any:
        self.seconds.append(seconds)
        return self.executor.run(*arguments, seconds=seconds, **options)


@pytest.mark.parametrize("verbose", [0, 2])
@pytest.mark.parametrize(
    ("name", "features", "threads"),
    [("cython", 4, 1), ("cython", 1 << 17, 3), ("numba", 4, 1), ("numpy", 4, 1)],
)
def test_an_interrupted_fit_leaves_a_usable_model(
    name: str, features: int, threads: int, verbose: int, ctrl_c: None
) -> None:
    if backends.availability()[name] != "available":
        pytest.skip(f"{name} is not installed")
    config.set_backend(name)
    config.set_num_threads(threads)
    x, y = endless(features)
    model = counter(features)
    model.fit(x[:40], y[:40], 8, verbose=0)
    assert model.optimizer.iterations == 5
    (ready,) = model._plans
    if name == "cython":
        assert ready.executors[0].threads() == threads
    ready.executors[:] = [watched := Watched(ready.executors[0])]
    over, before_the_signal = threading.Event(), [0]

    def interrupt() -> None:
        while model.optimizer.iterations == 5:
            if over.wait(0.001):
                return
        before_the_signal[0] = len(watched.seconds)
        os.kill(os.getpid(), signal.SIGINT)

    other = threading.Thread(target=interrupt)
    try:
        other.start()
        with pytest.raises(KeyboardInterrupt):
            model.fit(x, y, 8, shuffle=False, verbose=verbose)
    finally:
        over.set()
        other.join()
    # Not more than the slice that was running, and one that began with the signal on its way.
    assert set(watched.seconds) == {loop.SLICE_SECONDS}
    assert loop.SLICE_SECONDS <= 0.1
    assert len(watched.seconds) <= before_the_signal[0] + 1

    steps = steps_of(model)
    assert steps > 5
    if name == "cython":
        assert steps == model.optimizer.iterations
    else:  # it may have been in the middle of a step
        assert steps - model.optimizer.iterations in (0, 1)
    model.fit(x[:40], y[:40], 8, verbose=0)
    assert steps_of(model) == steps + 5
    assert np.isfinite(model.predict(x[:10], verbose=0)).all()


# ------------------------------------------------------------------------------- fork


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_trains_to_the_same_bits(tmp_path: Path) -> None:
    config.set_num_threads(3)
    expected = classification()
    path = tmp_path / "child.npz"

    def work() -> None:
        np.savez(path, *classification())
        assert runtime.pool_size() >= 2

    in_child(work)
    with np.load(path) as found:
        for i, array in enumerate(expected):
            np.testing.assert_array_equal(found[f"arr_{i}"], array)
    for ours, again in zip(classification(), expected, strict=True):  # and so does the parent
        np.testing.assert_array_equal(ours, again)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_waits_for_locks_that_its_child_needs() -> None:
    """As if another thread were just giving a name, moving a weight or taking memory."""

    def take(lock: Any) -> None:
        assert lock.acquire(timeout=10)

    for lock in (naming._lock, variables._moving):
        taken = threading.Event()

        def hold(lock: Any = lock, taken: threading.Event = taken) -> None:
            with lock:
                taken.set()
                time.sleep(0.05)

        thread = threading.Thread(target=hold)
        thread.start()
        assert taken.wait(10)
        in_child(lambda lock=lock: take(lock))
        thread.join()


def test_a_fork_while_another_thread_trains() -> None:
    config.set_num_threads(2)
    over = threading.Event()
    model = hotloop.Sequential([layers.Input((131,)), layers.Dense(300), layers.Dense(35)])
    model.compile("sgd", "mse")
    x, y = data(96, 131, 35)

    def train() -> None:
        while not over.is_set():
            model.fit(x, y, 96, verbose=0)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for _ in range(5):
            in_child(margins)
    finally:
        over.set()
        thread.join()
