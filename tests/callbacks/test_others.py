"""Callbacks of other packages, by their hooks: Keras's own, tqdm's, Optuna's, MLflow's."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import hotloop

keras = pytest.importorskip("keras")

X = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
Y = X @ np.ones((3, 1), "float32")


def model_of(optimizer="sgd"):
    model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=3)])
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


def fit(model, callback, epochs=3, **options):
    options = {"validation_data": (X, Y), "batch_size": 8, "verbose": 0} | options
    return model.fit(X, Y, epochs=epochs, callbacks=[callback], **options)


# ------------------------------------------------------------------------ Keras's own


def test_early_stopping_of_keras():
    model = model_of(hotloop.optimizers.SGD(0.0))
    stop = keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True)
    assert len(fit(model, stop, epochs=9).epoch) == 3
    assert stop.stopped_epoch == 2


def test_rates_that_callbacks_of_keras_set():
    model = model_of(hotloop.optimizers.SGD(0.5))
    fit(model, keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2))
    assert float(model.optimizer.learning_rate) == pytest.approx(0.0625)
    plateau = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.1, patience=1, min_delta=1e9)
    model = model_of(hotloop.optimizers.SGD(0.5))
    fit(model, plateau)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.005)


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_checkpoints_of_keras(name, tmp_path):
    model = model_of()
    weights_only = name.endswith("weights.h5")
    fit(model, keras.callbacks.ModelCheckpoint(tmp_path / name, save_weights_only=weights_only))
    if weights_only:
        loaded = model_of()
        loaded.load_weights(tmp_path / name)
    else:
        loaded = hotloop.models.load_model(tmp_path / name)
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])


def test_logs_and_hooks_of_keras(tmp_path):
    model = model_of()
    history = fit(model, keras.callbacks.CSVLogger(tmp_path / "log.csv"))
    with open(tmp_path / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_loss"]) for row in rows] == pytest.approx(history.history["val_loss"])
    seen = []
    look = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: seen.append(epoch),
        on_train_batch_end=lambda batch, logs: seen.append(sorted(logs)),
    )
    fit(model, look, epochs=1)
    assert seen == [0, *[["loss", "mae"]] * 4]
    kept = keras.callbacks.History()
    ours = fit(model, kept)
    assert kept.history == ours.history


def test_the_end_on_nan_of_keras():
    model = model_of()
    fit(model, keras.callbacks.TerminateOnNaN())
    bar = keras.callbacks.ProgbarLogger()
    fit(model, bar)


def test_a_class_derived_from_keras():
    class Own(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                self.model.stop_training = True

    assert len(fit(model_of(), Own(), epochs=9).epoch) == 2


# ----------------------------------------------------------------------------- others


def test_the_bar_of_tqdm(capsys):
    bar = pytest.importorskip("tqdm.keras").TqdmCallback(verbose=2)
    fit(model_of(), bar, epochs=2)
    assert "val_loss" in capsys.readouterr().err


def test_pruning_of_optuna():
    optuna = pytest.importorskip("optuna")
    integration = pytest.importorskip("optuna_integration.keras")
    optuna.logging.disable_default_handler()

    def objective(trial):
        rate = trial.suggest_float("rate", 0.0, 0.1)
        callback = integration.KerasPruningCallback(trial, "val_loss")
        history = fit(model_of(hotloop.optimizers.SGD(rate)), callback, epochs=4)
        return history.history["val_loss"][-1]

    study = optuna.create_study(pruner=optuna.pruners.ThresholdPruner(upper=0.0, n_warmup_steps=2))
    study.optimize(objective, n_trials=2)
    states = [trial.state for trial in study.trials]
    assert states == [optuna.trial.TrialState.PRUNED] * 2
    assert [len(trial.intermediate_values) for trial in study.trials] == [3, 3]


def test_metrics_of_mlflow(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow = pytest.importorskip("mlflow")
    callbacks = pytest.importorskip("mlflow.keras").callback
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    with mlflow.start_run() as run:
        history = fit(model_of(), callbacks.MlflowCallback(run), epochs=2)
    found = mlflow.get_run(run.info.run_id).data.metrics
    assert found["validation_loss" if "validation_loss" in found else "val_loss"] == pytest.approx(
        history.history["val_loss"][-1], rel=1e-3
    )
