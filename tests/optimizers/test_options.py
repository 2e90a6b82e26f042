"""Accumulation, clipping, decay, averages and constraints: what Keras does, on every backend."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop import backends, config, constraints, layers, optimizers
from hotloop.variables import Variable

keras = pytest.importorskip("keras")

pytestmark = pytest.mark.usefixtures("schedule_free_as_in_the_paper")

Array = np.ndarray[Any, Any]

OPTIONS: dict[str, dict[str, Any]] = {
    "clipnorm": {"clipnorm": 0.05},
    "global_clipnorm": {"global_clipnorm": 0.05},
    "norms that are not reached": {"global_clipnorm": 50.0},
    "clipvalue": {"clipvalue": 0.01},
    "weight_decay": {"weight_decay": 0.1},
    "use_ema": {"use_ema": True, "ema_momentum": 0.7},
    "ema_overwrite": {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 4},
    "accumulation": {"gradient_accumulation_steps": 3},
    "all of it": {
        "gradient_accumulation_steps": 3,
        "global_clipnorm": 0.05,
        "weight_decay": 0.1,
        "use_ema": True,
        "ema_overwrite_frequency": 2,
    },
}
RULES = (
    "SGD",
    "Adam",
    "AdamW",
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "Adafactor",
    "Adamax",
    "Nadam",
    "Lamb",
    "Muon",
    "Lion",
    "Ftrl",
    "ScheduleFreeAdamW",
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def network(k: Any, constraint: Any = None) -> Any:
    limited = {"kernel_constraint": constraint and constraint(k)}
    limited["bias_constraint"] = constraint and constraint(k)
    return k.Sequential(
        [
            k.Input((9,)),
            k.layers.Dense(37, "tanh", kernel_regularizer="l2", **limited),
            k.layers.Dense(1, "tanh", **limited),
            k.layers.Dense(3, "softmax", bias_initializer="ones"),
        ]
    )


def slopes(k: Any, constraint: Any, shape: tuple[int, ...], shared: list[int] | None) -> Any:
    """A network whose one limited weight has any number of axes."""
    return k.Sequential(
        [
            k.Input((9,)),
            k.layers.Dense(math.prod(shape)),
            k.layers.Reshape(shape),
            k.layers.PReLU(k.initializers.RandomNormal(0.0, 1.0), None, constraint(k), shared),
            k.layers.Flatten(),
            k.layers.Dense(3, "softmax"),
        ]
    )


def trained(
    k: Any, optimizer: Any, weights: list[Array] | None, make: Any = network, **options: Any
) -> Any:
    """A network after three epochs, the losses, and the weights before."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(70, 9)).astype("float32"), rng.integers(0, 3, 70)
    k.utils.set_random_seed(3)
    model = make(k, **options)
    if weights is not None:
        model.set_weights(weights)
    before = model.get_weights()
    model.compile(optimizer(k), "sparse_categorical_crossentropy")
    history = model.fit(x, y, 16, epochs=3, shuffle=False, verbose=0)
    return model.get_weights(), history.history["loss"], before


def assert_as_in_keras(optimizer: Any, **options: Any) -> None:
    """On every backend there is: Keras takes longest, and once is enough."""
    theirs, their_losses, before = trained(keras, optimizer, None, **options)
    now = config.backend()
    for name, state in backends.availability().items():
        if state != "available":
            continue
        config.set_backend(name)
        try:
            ours, our_losses, _ = trained(hotloop, optimizer, before, **options)
        finally:
            config.set_backend(now)
        np.testing.assert_allclose(our_losses, their_losses, rtol=1e-5, err_msg=name)
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("rule", RULES)
def test_rules_are_those_of_keras(rule: str) -> None:
    assert_as_in_keras(lambda k: getattr(k.optimizers, rule)(0.01))


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        *itertools.product(["SGD", "Adam", "ScheduleFreeAdamW"], OPTIONS),
        *itertools.product(["Adafactor", "Lamb", "Muon"], ["all of it"]),
    ],
)
def test_options_are_those_of_keras(rule: str, name: str) -> None:
    assert_as_in_keras(lambda k: getattr(k.optimizers, rule)(0.01, **OPTIONS[name]))


def test_every_argument_of_ftrl() -> None:
    assert_as_in_keras(lambda k: k.optimizers.Ftrl(0.05, -0.7, 0.2, 0.001, 0.002, 0.003, 0.1))


CONSTRAINTS = {
    "NonNeg": lambda k: k.constraints.NonNeg(),
    "UnitNorm": lambda k: k.constraints.UnitNorm(),
    "MaxNorm": lambda k: k.constraints.MaxNorm(0.6),
    "MinMaxNorm": lambda k: k.constraints.MinMaxNorm(0.3, 0.8, 0.3),
}


@pytest.mark.parametrize("name", CONSTRAINTS)
@pytest.mark.parametrize("steps", [None, 2])
def test_constraints_are_those_of_keras(name: str, steps: int | None) -> None:
    assert_as_in_keras(
        lambda k: k.optimizers.SGD(0.1, gradient_accumulation_steps=steps),
        constraint=CONSTRAINTS[name],
    )


@pytest.mark.parametrize("name", CONSTRAINTS)
@pytest.mark.parametrize(
    ("shape", "shared"),
    [((35,), None), ((3, 35), None), ((3, 2, 17), None), ((3, 5), [1])],
)
def test_slopes_are_limited_as_in_keras(
    name: str, shape: tuple[int, ...], shared: list[int] | None
) -> None:
    assert_as_in_keras(
        lambda k: k.optimizers.SGD(0.1),
        make=slopes,
        constraint=CONSTRAINTS[name],
        shape=shape,
        shared=shared,
    )


def test_a_schedule_counts_batches_and_decay_follows_it() -> None:
    def optimizer(k: Any) -> Any:
        rate = k.optimizers.schedules.ExponentialDecay(0.5, 2, 0.5)
        return k.optimizers.SGD(rate, weight_decay=0.1, gradient_accumulation_steps=2)

    assert_as_in_keras(optimizer)


def test_exclusion_from_weight_decay() -> None:
    def optimizer(k: Any) -> Any:
        made = k.optimizers.AdamW(0.01, weight_decay=0.5)
        made.exclude_from_weight_decay(var_names=["bias"])
        return made

    assert_as_in_keras(optimizer)
    one = optimizer(hotloop)
    one.apply([[1.0]], [Variable([1.0])])
    with pytest.raises(ValueError, match="before the first step"):
        one.exclude_from_weight_decay(var_names=["kernel"])


# ------------------------------------------------------------------ in two halves, in parts


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("rule", ["AdamW", "Adadelta", "Lion"])
def test_apply_is_what_training_does(
    rule: str, name: str, backend: str, rng: np.random.Generator
) -> None:
    x, y = rng.normal(size=(8, 9)), rng.integers(0, 3, 8)
    models = []
    for _ in range(2):
        hotloop.utils.set_random_seed(3)
        models.append(network(hotloop, CONSTRAINTS["MaxNorm"]))
        optimizer = getattr(optimizers, rule)(0.01, **OPTIONS[name])
        models[-1].compile(optimizer, "sparse_categorical_crossentropy")
    one, other = models
    for _ in range(7):
        _, gradients = one.loss_and_gradients(x, y)
        one.optimizer.apply(gradients, one.trainable_weights)
        other.train_on_batch(x, y)
    assert one.optimizer.iterations == other.optimizer.iterations == 7
    for ours, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_accumulated_batches_are_one_larger_batch(backend: str, rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(48, 9)), rng.integers(0, 3, 48)
    found = []
    for size, steps in ((16, 3), (48, None)):
        hotloop.utils.set_random_seed(3)
        model = network(hotloop)
        optimizer = optimizers.Adam(0.01, gradient_accumulation_steps=steps)
        model.compile(optimizer, "sparse_categorical_crossentropy")
        model.fit(x, y, size, epochs=4, shuffle=False, verbose=0)
        found.append(model.get_weights())
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-6)


def test_a_long_gradient_is_scaled_to_its_limit(backend: str) -> None:
    w, v = Variable([0.0, 0.0]), Variable([[0.0]])
    gradients = [[3.0, 4.0], [[12.0]]]
    for option, expected in (
        ({"clipnorm": 1.0}, [-0.6, -0.8, -1.0]),
        ({"global_clipnorm": 1.3}, [-0.3, -0.4, -1.2]),
        ({"global_clipnorm": 130.0}, [-3.0, -4.0, -12.0]),
        ({"clipvalue": 3.5}, [-3.0, -3.5, -3.5]),
    ):
        for weight in (w, v):
            weight.assign(np.zeros(weight.shape))
        optimizers.SGD(1.0, **option).apply(gradients, [w, v])
        np.testing.assert_allclose([*w.numpy(), *v.numpy()[0]], expected, rtol=1e-12)


def test_nan_is_not_clipped_away(backend: str) -> None:
    for option in ("clipnorm", "global_clipnorm", "clipvalue"):
        w = Variable([0.0, 0.0])
        optimizers.SGD(1.0, **{option: 1.0}).apply([[np.nan, 1.0]], [w])
        assert np.isnan(w.numpy()[0])


def test_weights_of_several_dtypes_are_refused() -> None:
    weights = [Variable(np.zeros(2, np.float32)), Variable(np.zeros(2))]
    with pytest.raises(ValueError, match="one dtype, not float32 and float64"):
        optimizers.SGD().apply([[1.0, 1.0], [1.0, 1.0]], weights)


# ------------------------------------------------------------------------ the compiled core


def many(threads: int, option: dict[str, Any], name: str, dtype: str) -> list[Array]:
    config.set_num_threads(threads)
    hotloop.utils.set_random_seed(6)
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(300, 131)), rng.normal(size=(300, 35))
    limited = {"kernel_constraint": name, "bias_constraint": name, "dtype": dtype}
    model = hotloop.Sequential(
        [
            layers.Input((131,), dtype=dtype),
            layers.Dense(259, "tanh", **limited),
            layers.Dense(35, **limited),
        ]
    )
    model.compile(optimizers.AdamW(0.01, **option), "mse")
    model.fit(x, y, 70, epochs=3, verbose=0)
    return model.get_weights()


@pytest.mark.parametrize(
    ("option", "constraint"),
    list(zip(OPTIONS, itertools.cycle(["max_norm", "non_neg", "unit_norm", "min_max_norm"]))),
)
def test_the_same_bits_on_any_number_of_threads(option: str, constraint: str) -> None:
    before = config.num_threads()
    dtype = "float32" if len(option) % 2 else "float64"
    try:
        alone = many(1, OPTIONS[option], constraint, dtype)
        for threads in (2, 3, 8):
            for ours, expected in zip(
                many(threads, OPTIONS[option], constraint, dtype), alone, strict=True
            ):
                np.testing.assert_array_equal(ours, expected)
    finally:
        config.set_num_threads(before)


def test_the_profile_shows_every_step() -> None:
    model = network(hotloop, CONSTRAINTS["UnitNorm"])
    options = OPTIONS["all of it"]
    model.compile(optimizers.SGD(0.01, **options), "sparse_categorical_crossentropy")
    profile = model.profile(np.ones((64, 9), np.float32), np.zeros(64, int), steps=200)
    ops = {row.op for row in profile.rows}
    assert ops >= {
        "accumulate_gradient", "square_sum", "clip_by_norm", "decay", "update", "average",
        "overwrite", "constrain",
    }  # fmt: skip
    if config.backend() == "cython":
        assert {row.backend for row in profile.rows} == {"cython"}


# ---------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"clipnorm": -1.0}, "clipnorm must be at least 0"),
        ({"clipnorm": 1.0, "clipvalue": 1.0}, "give one of clipnorm, clipvalue and global"),
        ({"weight_decay": -0.1}, "weight_decay must be at least 0"),
        ({"use_ema": True, "ema_momentum": 1.1}, "ema_momentum must be at least 0"),
        ({"ema_overwrite_frequency": 0}, "ema_overwrite_frequency must be a whole number"),
        ({"gradient_accumulation_steps": 1}, "gradient_accumulation_steps must be a whole number"),
        ({"gradient_accumulation_steps": 2.5}, "at least 2 or None, not 2.5"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        optimizers.SGD(0.1, **options)


def test_a_loss_that_is_not_finite_changes_nothing(backend: str) -> None:
    model = network(hotloop, CONSTRAINTS["UnitNorm"])
    options = OPTIONS["all of it"] | {"gradient_accumulation_steps": 2}
    model.compile(optimizers.SGD(0.01, **options), "sparse_categorical_crossentropy")
    x, y = np.ones((4, 9)), np.zeros(4, int)
    model.train_on_batch(x, y)
    before = [v.numpy() for v in (*model.weights, *model.optimizer.variables)]
    x[0, 0] = np.nan
    with pytest.raises(hotloop.NonFiniteError):
        model.train_on_batch(x, y)
    for v, value in zip((*model.weights, *model.optimizer.variables), before, strict=True):
        np.testing.assert_array_equal(v.numpy(), value)


# ------------------------------------------------------------------------------- constraints


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraints_called_directly(name: str, rng: np.random.Generator) -> None:
    for shape in [(7, 3), (5,), (1, 1), (33, 257)]:
        w = rng.normal(size=shape).astype(np.float32)
        ours, theirs = (np.asarray(CONSTRAINTS[name](k)(w)) for k in (hotloop, keras))
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_constraints_by_name_and_config() -> None:
    for name in ("max_norm", "MaxNorm", "min_max_norm", "non_neg", "unit_norm"):
        made = constraints.get(name)
        assert made is not None
        config = {"class_name": type(made).__name__, "config": made.get_config()}
        again = constraints.get(config)
        assert type(again) is type(made)
        assert again.get_config() == made.get_config()
    assert constraints.get(None) is None
    dense = layers.Dense(2, kernel_initializer="ones", kernel_constraint=lambda w: w * 0.5)
    model = hotloop.Sequential([layers.Input((3,)), dense])
    model.compile(optimizers.SGD(0.0), "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    np.testing.assert_array_equal(dense.get_weights()[0], np.full((3, 2), 0.5))
    with pytest.raises(ValueError, match="axis must be 0, not 1"):
        constraints.MaxNorm(1.0, axis=1)
    with pytest.raises(ValueError, match="min_value must be at least 0 and at most 1"):
        constraints.MinMaxNorm(2.0, 1.0)


def test_a_saved_model_goes_on_to_the_bit(tmp_path: Any, rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(40, 9)), rng.integers(0, 3, 40)
    model = network(hotloop, CONSTRAINTS["MaxNorm"])
    options = OPTIONS["all of it"]
    model.compile(optimizers.Nadam(0.01, **options), "sparse_categorical_crossentropy")
    model.fit(x, y, 8, epochs=2, verbose=0)  # ten batches: one is left in the accumulator
    model.save(tmp_path / "m.hotloop")
    again = hotloop.models.load_model(tmp_path / "m.hotloop")
    for one in (model, again):
        one.fit(x, y, 8, epochs=2, shuffle=False, verbose=0)
    for ours, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


LATER = [
    (optimizers.SGD, {}, "clipnorm", 0.01),
    (optimizers.SGD, {}, "clipvalue", 0.01),
    (optimizers.SGD, {}, "global_clipnorm", 0.01),
    (optimizers.SGD, {}, "weight_decay", 5.0),
    (optimizers.SGD, {"momentum": 0.5}, "momentum", 0.9),
    (optimizers.SGD, {"momentum": 0.5}, "nesterov", True),
    (optimizers.SGD, {"use_ema": True, "ema_momentum": 0.5}, "ema_momentum", 0.1),
    (optimizers.Adam, {}, "beta_1", 0.1),
    (optimizers.Adam, {}, "epsilon", 1.0),
]


@pytest.mark.parametrize(("kind", "options", "name", "value"), LATER)
def test_a_setting_changed_between_fits_is_heeded_as_in_keras(kind, options, name, value):
    def trained(api, optimizer):
        dense = api.layers.Dense(1, kernel_initializer="ones")
        model = api.Sequential([api.layers.Input((3,)), dense])
        model.compile(optimizer, "mse")
        x, y = np.ones((4, 3), "f4"), np.ones((4, 1), "f4")
        model.fit(x, y, batch_size=4, verbose=0)
        setattr(optimizer, name, value)
        for _ in range(2):
            model.fit(x, y, batch_size=4, verbose=0)
        return model.get_weights()[0]

    theirs = trained(keras, getattr(keras.optimizers, kind.__name__)(**options))
    np.testing.assert_allclose(trained(hotloop, kind(**options)), theirs, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (optimizers.SGD, "momentum", 0.9),
        (optimizers.SGD, "use_ema", True),
        (optimizers.SGD, "gradient_accumulation_steps", 2),
        (optimizers.Adam, "amsgrad", True),
    ],
)
def test_what_decides_which_arrays_are_kept_cannot_change_after_a_step(kind, name, value):
    optimizer = kind()
    before = getattr(optimizer, name)
    setattr(optimizer, name, value)
    setattr(optimizer, name, before)
    weight = Variable([1.0])
    optimizer.apply([[1.0]], [weight])
    with pytest.raises(ValueError, match=rf"{name} cannot be changed from .* after the first step"):
        setattr(optimizer, name, value)
    assert getattr(optimizer, name) == before
    optimizer.apply([[1.0]], [weight])


def test_a_setting_out_of_range_is_refused_when_a_step_reads_it():
    optimizer = optimizers.SGD()
    optimizer.clipnorm = -1.0
    with pytest.raises(ValueError, match="clipnorm must be at least 0"):
        optimizer.apply([[1.0]], [Variable([1.0])])


def test_steps_by_hand_heed_a_setting_too():
    optimizer, weight = optimizers.SGD(1.0), Variable([1.0])
    optimizer.apply([[0.5]], [weight])
    optimizer.clipvalue = 0.125
    optimizer.apply([[0.5]], [weight])
    assert weight.numpy() == 0.375
