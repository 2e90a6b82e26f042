from hotloop.callbacks import History


class Model:
    history = None


def test_values_are_recorded_epoch_by_epoch_and_over_runs():
    history, model = History(), Model()
    history.set_model(model)
    history.on_train_begin()
    assert model.history is history
    history.on_epoch_end(0, {"loss": 3.0})
    history.on_epoch_end(1, {"loss": 2.0, "val_loss": 4.0})
    assert history.epoch == [0, 1]
    history.on_train_begin()
    history.on_epoch_end(2, {"loss": 1.0})
    assert history.epoch == [2]
    assert history.history == {"loss": [3.0, 2.0, 1.0], "val_loss": [4.0]}


def test_an_epoch_without_metrics_counts():
    history = History()
    history.on_epoch_end(0)
    assert (history.epoch, history.history) == ([0], {})
