"""Schedules of learning rates: their values, and training that follows them."""

import numpy as np
import pytest

import hotloop
from hotloop import layers, optimizers
from hotloop.optimizers import schedules

SCHEDULES = {
    "exponential": ("ExponentialDecay", (0.1, 40, 0.6), {}),
    "exponential stairs": ("ExponentialDecay", (0.1, 40, 0.6), {"staircase": True}),
    "inverse": ("InverseTimeDecay", (0.1, 40, 0.6), {}),
    "inverse stairs": ("InverseTimeDecay", (0.1, 40, 0.6), {"staircase": True}),
    "piecewise": ("PiecewiseConstantDecay", ([30, 100], [0.1, 0.05, 0.01]), {}),
    "one piece": ("PiecewiseConstantDecay", ([], [0.1]), {}),
    "polynomial": ("PolynomialDecay", (0.1, 100), {"end_learning_rate": 0.02, "power": 2.0}),
    "polynomial cycle": ("PolynomialDecay", (0.1, 40), {"cycle": True}),
    "cosine": ("CosineDecay", (0.1, 150), {"alpha": 0.1}),
    "cosine after a rise": (
        "CosineDecay", (0.0, 100), {"warmup_target": 0.3, "warmup_steps": 50, "alpha": 0.2},
    ),
    "cosine restarts": ("CosineDecayRestarts", (0.1, 20), {"m_mul": 0.8, "alpha": 0.05}),
    "equal restarts": ("CosineDecayRestarts", (0.1, 25), {"t_mul": 1.0, "m_mul": 0.5}),
    "restarts by half": ("CosineDecayRestarts", (0.1, 10), {"t_mul": 1.5}),
}  # fmt: skip
made = pytest.mark.parametrize(("name", "given", "options"), SCHEDULES.values(), ids=SCHEDULES)


def ours(name, given, options):
    return getattr(schedules, name)(*given, **options)


@made
def test_rates_are_those_of_keras(name, given, options):
    keras = pytest.importorskip("keras")
    if name == "PiecewiseConstantDecay" and not given[0]:
        return  # Keras cannot do without boundaries
    theirs = getattr(keras.optimizers.schedules, name)(*given, **options)
    # Keras computes in float32, where the border between two restarts may be a step off.
    steps = [s for s in range(300) if name != "CosineDecayRestarts" or s % 5]
    expected = [float(theirs(step)) for step in steps]
    np.testing.assert_allclose(ours(name, given, options)(steps), expected, rtol=2e-4, atol=1e-6)


@made
def test_one_step_and_many_are_the_same(name, given, options):
    schedule = ours(name, given, options)
    steps = np.arange(200)
    assert [schedule(int(step)) for step in steps] == schedule(steps).tolist()
    assert type(schedule(3)) is float


@made
def test_configurations_make_the_same_schedule(name, given, options):
    schedule = ours(name, given, options)
    again = type(schedule).from_config(schedule.get_config())
    np.testing.assert_array_equal(again(np.arange(200)), schedule(np.arange(200)))
    optimizer = optimizers.Adam(schedule)
    copied = optimizers.Adam.from_config(optimizer.get_config())
    np.testing.assert_array_equal(copied.learning_rates(50), optimizer.learning_rates(50))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.ExponentialDecay(-1, 10, 0.5), "initial_learning_rate must be"),
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), "decay_steps must be a number of at"),
        (lambda: schedules.PolynomialDecay("a", 10), "initial_learning_rate must be"),
        (lambda: schedules.PiecewiseConstantDecay([1], [0.1]), "one value more than boundaries"),
        (lambda: schedules.PiecewiseConstantDecay([2, 2], [1, 2, 3]), "boundaries must rise"),
        (lambda: schedules.CosineDecayRestarts(0.1, 10, t_mul=0.5), "t_mul must be"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --------------------------------------------------------------------- training


def model(module=hotloop, hidden=70):
    """Of two layers; with 3 units the compiled core trains it in one step."""
    return module.Sequential(
        [module.layers.Input((4,)), module.layers.Dense(hidden, "tanh"), module.layers.Dense(2)]
    )


def data(rows=50):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(rows, 4)).astype("float32")
    return x, x[:, :2] * 2 + 1


@pytest.mark.parametrize("hidden", [3, 70])
@pytest.mark.parametrize(
    "optimizer",
    [
        "SGD",
        "Adam",
        "AdamW",
        "RMSprop",
        "Adagrad",
        "Adafactor",
        "Lamb",
        "Muon",
        "Nadam",
        "Lion",
        "Ftrl",
    ],
)
def test_training_follows_the_schedule_as_in_keras(optimizer, hidden, backend):
    keras = pytest.importorskip("keras")
    mine, theirs = model(hotloop, hidden), model(keras, hidden)
    theirs.set_weights(mine.get_weights())
    x, y = data()
    histories = []
    for module, one in ((hotloop, mine), (keras, theirs)):
        rate = module.optimizers.schedules.ExponentialDecay(0.05, 5, 0.7)
        one.compile(getattr(module.optimizers, optimizer)(rate), "mse")
        histories.append(one.fit(x, y, 8, epochs=3, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(*histories, rtol=1e-4)
    for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    assert mine.optimizer.learning_rate == pytest.approx(0.05 * 0.7 ** (21 / 5))


@pytest.mark.parametrize("hidden", [3, 70])
def test_batch_by_batch_is_the_same(hidden, backend):
    x, y = data()
    found = []
    for watched in (False, True):
        hotloop.utils.set_random_seed(1)
        one = model(hidden=hidden)
        one.compile(optimizers.Adam(schedules.CosineDecay(0.05, 20)), "mse")
        callbacks = [hotloop.callbacks.LambdaCallback(on_train_batch_end=print)] if watched else []
        one.fit(x, y, 8, epochs=3, verbose=0, callbacks=callbacks)
        found.append(one.get_weights())
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_step_with_the_rate_zero_changes_nothing(backend):
    one = model()
    one.compile(optimizers.SGD(schedules.PiecewiseConstantDecay([2], [0.1, 0.0])), "mse")
    x, y = data()
    for step in range(6):
        before = one.get_weights()
        one.train_on_batch(x, y)
        same = all(np.array_equal(a, b) for a, b in zip(before, one.get_weights(), strict=True))
        assert same == (step > 2)


def test_more_batches_than_rates_are_asked_for_at_once():
    rate = schedules.InverseTimeDecay(0.01, 1000, 1.0)
    one = hotloop.Sequential([layers.Input((1,)), layers.Dense(1)])
    one.compile(optimizers.SGD(rate), "mse")
    rows = (1 << 14) + 100
    one.fit(np.ones((rows, 1)), np.ones((rows, 1)), 1, epochs=2, verbose=0)
    assert one.optimizer.iterations == 2 * rows


def test_a_schedule_of_ones_own(backend):
    class Halves(schedules.LearningRateSchedule):
        def rate(self, step):
            return 0.5 ** (1 + step)

    optimizer = optimizers.SGD(Halves())
    assert optimizer.learning_rate == 0.5
    weight = hotloop.variables.Variable([1.0])
    for _ in range(2):
        optimizer.apply([[1.0]], [weight])
    assert weight.numpy() == pytest.approx(1 - 0.5 - 0.25)
    with pytest.raises(TypeError, match=r"follows the schedule Halves and cannot be set to 0\.125"):
        optimizer.learning_rate = 0.125
    assert optimizer.schedule is not None


@pytest.mark.parametrize("rates", [lambda s: -1.0 - s, lambda s: s * np.nan, lambda s: 0.1])
def test_a_schedule_that_gives_no_rates_is_refused(rates, backend):
    class Bad(schedules.LearningRateSchedule):
        def rate(self, step):
            return rates(step)

    one = model()
    one.compile(optimizers.SGD(Bad()), "mse")
    with pytest.raises(ValueError, match="the schedule Bad must give a learning rate"):
        one.fit(*data(), verbose=0)
