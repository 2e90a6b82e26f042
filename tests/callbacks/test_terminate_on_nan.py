"""A loss that is not finite ends training without an error."""

import numpy as np
import pytest

import hotloop
from hotloop import layers
from hotloop.callbacks import CSVLogger, TerminateOnNaN


def fit(y, *others, **options):
    model = hotloop.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
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
    assert history.history.get("loss", []) == []
    # One step was done: d(mse)/dw is 2 * 3 for each weight, the rate 0.01.
    np.testing.assert_allclose(model.get_weights()[0], [[0.94], [1.94]], rtol=1e-6)


def test_epochs_before_it_are_in_the_history(capsys):
    class Spoil(hotloop.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                self.model.set_weights([[[1e30], [1e30]], [0.0]])

    _, history = fit(np.zeros(4), Spoil(), epochs=9)
    assert len(history.history["loss"]) == 2
    assert "at epoch 3, batch 1" in capsys.readouterr().out


def test_without_trouble_nothing_changes(capsys):
    model, history = fit(np.zeros(4))
    assert len(history.history["loss"]) == 3
    assert not model.stop_training
    assert capsys.readouterr().out == ""
