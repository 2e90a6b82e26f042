import warnings

import numpy as np
import pytest

import hotloop
from hotloop import layers, metrics
from hotloop.callbacks import EarlyStopping


class Model:
    """Weights are the number of the epoch that has just ended."""

    def __init__(self, named=()):
        self.metrics = list(named)
        self.stop_training = False
        self.weights = None

    def get_weights(self):
        return [np.array(self.weights)]

    def set_weights(self, weights):
        self.weights = int(weights[0])


def _train(callback, values, name="val_loss", model=None):
    """Epochs that ran, and the model."""
    model = model or Model()
    callback.set_model(model)
    callback.on_train_begin()
    epoch = -1
    for epoch, value in enumerate(values):
        model.weights = epoch
        callback.on_epoch_end(epoch, {name: value})
        if model.stop_training:
            break
    callback.on_train_end()
    return epoch + 1, model


@pytest.mark.parametrize(
    ("arguments", "values", "epochs"),
    [
        ({}, [3, 2, 2, 1], 3),
        ({}, [3, 4, 1], 2),
        ({"patience": 2}, [3, 2, 2, 1, 1, 1, 0], 6),
        ({"patience": 2}, [3, 2, 2, 2, 0], 4),
        ({"min_delta": 0.5}, [3, 2, 1.6, 0], 3),
        ({"min_delta": -0.5}, [3, 2, 1.6, 0], 3),
        ({"min_delta": 0.5}, [3, 2, 1.4, 1.4], 4),
        ({"mode": "max"}, [1, 2, 2, 3], 3),
        ({"mode": "min"}, [1, 2, 0], 2),
        ({"patience": 2, "baseline": 1.0}, [5, 4, 3, 2], 4),
        ({"patience": 1, "baseline": 10.0}, [5, 4, 4, 3], 3),
        ({"patience": 2, "baseline": 1.0}, [5, 6, 0], 2),
        ({"start_from_epoch": 3}, [1, 2, 3, 4, 5, 6], 5),
        ({"patience": 1}, [np.nan, np.nan, np.nan], 2),
        ({}, [3, np.nan, 1], 2),
    ],
)
def test_training_stops_where_keras_stops(arguments, values, epochs):
    assert _train(EarlyStopping(**arguments), values)[0] == epochs


@pytest.mark.parametrize(
    ("values", "best"),
    [([3, 1, 2, 3, 4], 1), ([3, 2, 1], 2), ([np.nan, np.nan, np.nan], 0), ([1, 2], 0)],
)
def test_best_weights_come_back_however_training_ends(values, best):
    stop = EarlyStopping(patience=3, restore_best_weights=True)
    _, model = _train(stop, values)
    assert model.weights == best
    assert stop.best_epoch == best


def test_weights_are_left_alone_unless_asked_for():
    assert _train(EarlyStopping(patience=1), [1, 2, 3])[1].weights == 1


def test_one_object_serves_several_runs():
    stop = EarlyStopping(patience=1)
    for _ in range(2):
        assert _train(stop, [3, 2, 3, 3])[0] == 3
        assert stop.stopped_epoch == 2
        assert stop.best == 2
    assert _train(stop, [9, 8])[0] == 2
    assert stop.stopped_epoch == 0


@pytest.mark.parametrize(
    ("metric", "epochs"),
    [(metrics.BinaryAccuracy(name="acc"), 4), (metrics.MeanSquaredError(name="acc"), 2)],
)
def test_auto_asks_the_metric(metric, epochs):
    stop = EarlyStopping(monitor="val_acc")
    assert _train(stop, [1, 2, 3, 3], "val_acc", Model([metric]))[0] == epochs


def test_auto_needs_a_metric_that_knows():
    stop = EarlyStopping(monitor="val_other")
    with pytest.raises(ValueError, match="'val_other' should rise or fall; pass mode="):
        _train(stop, [1, 2], "val_other", Model([metrics.Mean(name="other")]))


def test_a_missing_metric_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="cannot tell whether 'val_los' should rise or fall"):
        _train(EarlyStopping(monitor="val_los"), [1, 2])
    stop = EarlyStopping(monitor="val_los", patience=1, mode="min")
    with pytest.warns(UserWarning, match="'val_los', which is not .* run: val_loss"):
        epochs, _ = _train(stop, [1, 2, 3, 4])
    assert epochs == 4


def test_a_number_is_better_than_nan():
    stop = EarlyStopping(patience=2)
    epochs, _ = _train(stop, [np.nan, 4, 3, 2, 1])
    assert epochs == 5
    assert stop.best == 1


def test_nothing_is_said_unless_asked_for(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _train(EarlyStopping(restore_best_weights=True), [1, 2])
    assert capsys.readouterr().out == ""
    _train(EarlyStopping(restore_best_weights=True, verbose=1), [1, 2])
    assert capsys.readouterr().out == (
        "Epoch 2: stopped early, val_loss did not improve\n"
        "Restored the weights of the best epoch, 1\n"
    )


def test_mode_is_checked():
    with pytest.raises(ValueError, match="mode must be 'auto', 'min' or 'max', got 'maximum'"):
        EarlyStopping(mode="maximum")


@pytest.mark.parametrize("monitor", ["val_accuracy", "val_auc", "val_mae", "val_loss"])
def test_a_models_own_metrics_say_whether_they_should_rise(monitor):
    rng = np.random.default_rng(3)
    model = hotloop.Sequential([layers.Input((2,)), layers.Dense(1, "sigmoid")])
    model.compile(
        "sgd", "binary_crossentropy", metrics=["accuracy", "mae", metrics.AUC(name="auc")]
    )
    x = rng.normal(size=(30, 2))
    stop = EarlyStopping(monitor, patience=9)
    history = model.fit(
        x, x[:, 0] > 0, epochs=3, verbose=0, callbacks=[stop], validation_split=0.3
    ).history[monitor]
    assert stop.best == (min if monitor in ("val_loss", "val_mae") else max)(history)
    assert [metric.name for metric in model.metrics] == ["accuracy", "mae", "auc"]


def test_names_of_outputs_and_numbers_are_no_part_of_a_metrics_name():
    x = hotloop.Input((2,))
    ends = [layers.Dense(2, "softmax", name=name)(x) for name in ("left", "right")]
    model = hotloop.Model(x, ends)
    model.compile(
        "sgd", ["sparse_categorical_crossentropy"] * 2, metrics=[["accuracy", "accuracy"]] * 2
    )
    stop = EarlyStopping("right_accuracy_1", patience=9)
    rng = np.random.default_rng(3)
    data = rng.normal(size=(30, 2))
    y = data[:, 0] > 0
    history = model.fit(data, [y, ~y], epochs=3, verbose=0, callbacks=[stop]).history
    assert stop.best == max(history["right_accuracy_1"])
