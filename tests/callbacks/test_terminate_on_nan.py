"""A loss that is not finite ends training without an error."""

import numpy as np
import pytest

import hotloop
from hotloop import layers
from hotloop.callbacks import CSVLogger, TerminateOnNaN


def fit(y, *others, **options):
    model = hotloop.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    x = np.ones((len(y), 2))
    model.set_weights([[[1.0], [2.0]], [0.0]])
    options = {"batch_size": 2, "epochs": 3, "shuffle": False, "verbose": 0} | options
    return model, model.fit(x, y, callbacks=[TerminateOnNaN(), *others], **options)


@pytest.mark.parametrize("watched", [False, True])
def test_training_ends_where_the_loss_is_not_finite(watched, backend, capsys, tmp_path):
    others = [CSVLogger(tmp_path / "log.csv")] if watched else []
    y = np.array([0.0, 0.0, 1e30, 0.0, 0.0, 0.0])
    model, history = fit(y, *others)
    assert "Training ends: the loss is not finite at epoch 1, batch 2" in capsys.readouterr().out
    assert model.stop_training
    # Of the step that was done, 3^2; the loss says why it ended.
    assert list(history.history) == ["loss", "mae"]
    assert np.isnan(history.history["loss"]).tolist() == [True]
    assert history.history["mae"] == [3.0]
    assert history.epoch == [0]
    if watched:
        assert (tmp_path / "log.csv").read_text() == "epoch,loss,mae\n0,nan,3.0\n"
    # One step was done: d(mse)/dw is 2 * 3 for each weight, the rate 0.01.
    np.testing.assert_allclose(model.get_weights()[0], [[0.94], [1.94]], rtol=1e-6)


def test_epochs_before_it_are_in_the_history(capsys):
    class Spoil(hotloop.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                self.model.set_weights([[[1e30], [1e30]], [0.0]])

    _, history = fit(np.zeros(4), Spoil(), epochs=9)
    assert np.isnan(history.history["loss"]).tolist() == [False, False, True]
    assert np.isnan(history.history["mae"]).tolist() == [False, False, True]
    assert "at epoch 3, batch 1" in capsys.readouterr().out


def arrays(x, y):
    return {"x": x, "y": y}


def generated(x, y):
    return {"x": ((x, y) for _ in range(1))}


def calls_at_nan(package, **data):
    """The hooks that are called, with the names of logs and whether their loss is finite."""
    found = []

    class Note(package.callbacks.Callback):
        def note(self, hook, logs):
            found.append((hook, sorted(logs), bool(np.isfinite(logs["loss"]))))

        def on_train_batch_end(self, batch, logs=None):
            self.note(f"batch {batch}", logs)

        def on_epoch_end(self, epoch, logs=None):
            self.note(f"epoch {epoch}", logs)

        def on_train_end(self, logs=None):
            self.note("end", logs)

    model = package.Sequential([package.layers.Input((2,)), package.layers.Dense(1)])
    model.compile("sgd", "mse")
    ends = package.callbacks.TerminateOnNaN()
    history = model.fit(**data, epochs=3, verbose=0, callbacks=[Note(), ends])
    return found, history.epoch, sorted(history.history)


@pytest.mark.parametrize("give", [arrays, generated])
def test_the_hooks_are_called_that_keras_calls(give):
    keras = pytest.importorskip("keras")
    x, y = np.ones((4, 2), "f4"), np.full((4, 1), np.inf, "f4")
    assert calls_at_nan(hotloop, **give(x, y)) == calls_at_nan(keras, **give(x, y))


def test_a_validation_whose_loss_is_not_finite_is_in_the_history():
    bad = (np.ones((1, 2)), np.array([np.inf]))
    _, history = fit(np.zeros(4), validation_data=bad)
    assert np.isfinite(history.history["loss"]).tolist() == [True]
    assert np.isnan(history.history["val_loss"]).tolist() == [True]


def test_an_error_is_raised_if_asked_for():
    assert TerminateOnNaN().raise_error is False
    model = hotloop.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(RuntimeError, match="not finite at epoch 1") as caught:
        model.fit(
            np.ones((1, 2)), [np.inf], verbose=0, callbacks=[TerminateOnNaN(raise_error=True)]
        )
    assert isinstance(caught.value, hotloop.NonFiniteError)


def test_without_trouble_nothing_changes(capsys):
    model, history = fit(np.zeros(4))
    assert len(history.history["loss"]) == 3
    assert not model.stop_training
    assert capsys.readouterr().out == ""
