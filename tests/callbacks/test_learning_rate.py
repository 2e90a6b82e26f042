"""Learning rates between epochs, against Keras's own callbacks."""

import numpy as np
import pytest

import hotloop
from hotloop import layers
from hotloop.callbacks import LearningRateScheduler, ReduceLROnPlateau


class Optimizer:
    def __init__(self, learning_rate):
        self.learning_rate = learning_rate


class Model:
    metrics = ()

    def __init__(self, learning_rate=0.5):
        self.optimizer = Optimizer(learning_rate)


def rates(callback, values, name="val_loss", learning_rate=0.5):
    """The rate of each epoch, and after the last one."""
    callback.set_model(Model(learning_rate))
    callback.on_train_begin()
    found = []
    for epoch, value in enumerate(values):
        callback.on_epoch_begin(epoch, {})
        logs = {name: value}
        callback.on_epoch_end(epoch, logs)
        found.append(logs["learning_rate"])
    return [*found, callback.model.optimizer.learning_rate]


def trained(**options):
    rng = np.random.default_rng(3)
    model = hotloop.Sequential([layers.Input((4,)), layers.Dense(1)])
    model.compile(hotloop.optimizers.SGD(0.5), "mse")
    x = rng.normal(size=(20, 4))
    return model, model.fit(x, x[:, 0], epochs=4, verbose=0, **options)


# -------------------------------------------------------------------- scheduler


def test_a_schedule_may_take_the_epoch_or_the_rate_too():
    assert rates(LearningRateScheduler(lambda epoch: 1 / (1 + epoch)), [0] * 3)[:3] == [
        1,
        0.5,
        pytest.approx(1 / 3),
    ]
    assert rates(LearningRateScheduler(lambda epoch, rate: rate / 2), [0] * 3)[:3] == [
        0.25,
        0.125,
        0.0625,
    ]


def test_a_type_error_inside_a_schedule_is_not_taken_for_a_missing_argument():
    def schedule(epoch, rate):
        raise TypeError("inside")

    with pytest.raises(TypeError, match="inside"):
        rates(LearningRateScheduler(schedule), [0])


def test_the_rate_trains_and_is_in_the_history():
    halve = LearningRateScheduler(lambda epoch, rate: rate / 2)
    model, history = trained(callbacks=[halve])
    assert history.history["learning_rate"] == [0.25, 0.125, 0.0625, 0.03125]
    assert model.optimizer.learning_rate == 0.03125
    still, _ = trained(callbacks=[LearningRateScheduler(lambda epoch: 0.0)])
    untrained = hotloop.Sequential([layers.Input((4,)), layers.Dense(1)])
    untrained.set_weights(still.get_weights())
    before = still.get_weights()
    still.fit(np.ones((2, 4)), np.ones(2), verbose=0)
    for one, other in zip(still.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_no_rate_is_refused():
    with pytest.raises(TypeError, match="schedule must be a function"):
        LearningRateScheduler(0.1)
    with pytest.raises(TypeError, match="returned None for epoch 0"):
        rates(LearningRateScheduler(lambda epoch: None), [0])
    with pytest.raises(ValueError, match="learning_rate must be at least 0"):
        trained(callbacks=[LearningRateScheduler(lambda epoch: -1.0)])


def test_a_schedule_tells_its_rates(capsys):
    rates(LearningRateScheduler(lambda epoch: 0.125, verbose=1), [0])
    assert capsys.readouterr().out == "Epoch 1: the learning rate is 0.125\n"


# ---------------------------------------------------------------------- plateau

PLATEAUS = [
    ({"patience": 1}, [3, 3, 3, 2, 2, 2]),
    ({"patience": 2}, [3, 3, 3, 3, 3, 3]),
    ({"patience": 2, "factor": 0.5}, [3, 2, 2, 2, 1, 1, 1, 1]),
    ({"patience": 1, "cooldown": 2}, [3, 3, 3, 3, 3, 3, 3, 3]),
    ({"patience": 2, "cooldown": 1}, [3, 3, 3, 3, 2, 3, 3, 3, 3]),
    ({"patience": 1, "min_delta": 0.5}, [3, 2.6, 2.4, 2.3, 1.0]),
    ({"patience": 1, "min_delta": -0.5}, [3, 2.6, 2.4, 2.3, 1.0]),
    ({"patience": 1, "min_lr": 0.2, "factor": 0.5}, [3] * 6),
    ({"patience": 1, "mode": "max"}, [1, 2, 2, 3, 2, 2]),
    ({"patience": 0}, [1, 2, 2]),
]


@pytest.mark.parametrize(("arguments", "values"), PLATEAUS)
def test_the_rate_falls_where_kerass_does(arguments, values):
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    theirs = keras.callbacks.ReduceLROnPlateau(**arguments)
    theirs.set_model(model)
    theirs.on_train_begin()
    expected = []
    for epoch, value in enumerate(values):
        logs = {"val_loss": value}
        theirs.on_epoch_end(epoch, logs)
        expected.append(float(logs["learning_rate"]))
    expected.append(float(model.optimizer.learning_rate))
    np.testing.assert_allclose(rates(ReduceLROnPlateau(**arguments), values), expected, rtol=1e-6)


def test_a_number_is_better_than_nan():
    # Keras keeps NaN as the best for ever, and lowers the rate all the time.
    assert rates(ReduceLROnPlateau(patience=2), [np.nan, 4, 3, 2, 1]) == [0.5] * 6


def test_a_schedule_is_not_replaced():
    keras = pytest.importorskip("keras")
    for package in (hotloop, keras):
        found = package.callbacks
        for change in (
            found.ReduceLROnPlateau("loss", patience=0, min_delta=100),
            found.LearningRateScheduler(lambda epoch, rate: rate / 2),
        ):
            rate = package.optimizers.schedules.ExponentialDecay(0.01, 10, 0.5)
            model = package.Sequential([package.layers.Input((4,)), package.layers.Dense(1)])
            model.compile(package.optimizers.SGD(rate), "mse")
            with pytest.raises(TypeError, match=r"(?i)schedule"):
                model.fit(np.ones((2, 4)), np.ones(2), epochs=3, verbose=0, callbacks=[change])
            idle = package.callbacks.ReduceLROnPlateau("loss")
            history = model.fit(np.ones((2, 4)), np.ones(2), epochs=3, verbose=0, callbacks=[idle])
            assert len(history.history["learning_rate"]) == 3
            other = package.optimizers.schedules.ExponentialDecay(0.25, 10, 0.5)
            model.optimizer.learning_rate = other
            with pytest.raises(TypeError, match=r"(?i)schedule"):
                model.optimizer.learning_rate = 0.1


def test_one_object_serves_several_runs():
    plateau = ReduceLROnPlateau(patience=2)
    assert rates(plateau, [1, 2]) == rates(plateau, [1, 2]) == [0.5, 0.5, 0.5]


def test_a_plateau_is_told(capsys):
    rates(ReduceLROnPlateau(patience=1, verbose=1), [1, 2])
    assert capsys.readouterr().out == (
        "Epoch 2: val_loss did not improve, the learning rate is now 0.05\n"
    )


def test_a_metric_that_is_not_there_is_warned_about():
    with pytest.warns(UserWarning, match="ReduceLROnPlateau watches 'val_loss'.*loss"):
        _, history = trained(callbacks=[ReduceLROnPlateau()])
    assert history.history["learning_rate"] == [0.5] * 4


@pytest.mark.parametrize("factor", [1.0, 2.0, -0.1])
def test_factors_that_do_not_lower_are_refused(factor):
    with pytest.raises(ValueError, match="factor must be at least 0 and below 1"):
        ReduceLROnPlateau(factor=factor)


def test_accuracy_should_rise():
    rng = np.random.default_rng(3)
    model = hotloop.Sequential([layers.Input((2,)), layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    plateau = ReduceLROnPlateau("accuracy", patience=1)
    x = rng.normal(size=(10, 2))
    model.fit(x, x[:, 0] > 0, epochs=2, verbose=0, callbacks=[plateau])
    assert plateau.best == max(model.history.history["accuracy"])
