"""Files that ModelCheckpoint writes, and when."""

import numpy as np
import pytest

import hotloop
from hotloop import layers
from hotloop.callbacks import Callback, CallbackList, ModelCheckpoint
from hotloop.models import load_model


class Scripted(Callback):
    """Gives each epoch the val_loss of a list."""

    def __init__(self, values):
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs["val_loss"] = self.values[epoch]


def fit(*callbacks, epochs=3, **options):
    hotloop.utils.set_random_seed(3)
    model = hotloop.Sequential([layers.Input((4,)), layers.Dense(3, "tanh"), layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    x = np.random.default_rng(3).normal(size=(20, 4))
    model.fit(x, x[:, 0], 8, epochs=epochs, verbose=0, callbacks=list(callbacks), **options)
    return model


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_each_epoch_is_saved_under_its_name(tmp_path):
    model = fit(ModelCheckpoint(tmp_path / "new" / "m{epoch:02d}-{loss:.1f}.hotloop"))
    found = names(tmp_path / "new")
    assert [name[:3] for name in found] == ["m01", "m02", "m03"]
    last = load_model(tmp_path / "new" / found[-1])
    for one, other in zip(last.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert last.optimizer.iterations == model.optimizer.iterations


@pytest.mark.parametrize(
    ("values", "options", "saved"),
    [
        ([3, 2, 2, 1], {}, [1, 2, 4]),
        ([1, 2, 3, 3], {"mode": "max"}, [1, 2, 3]),
        ([3, 2, 2, 1], {"initial_value_threshold": 1.5}, [4]),
        ([3, float("nan"), 2, 1], {}, [1, 3, 4]),
    ],
)
def test_the_best_are_saved(values, options, saved, tmp_path, capsys):
    keep = ModelCheckpoint(
        str(tmp_path / "{epoch}.hotloop"), save_best_only=True, verbose=1, **options
    )
    fit(Scripted(values), keep, epochs=4)
    assert names(tmp_path) == [f"{epoch}.hotloop" for epoch in saved]
    assert capsys.readouterr().out.count("Epoch ") == len(saved)


def test_batches_may_say_when(tmp_path):
    fit(ModelCheckpoint(tmp_path / "{epoch}-{batch}.hotloop", save_freq=2))
    assert names(tmp_path) == ["1-2.hotloop", "2-1.hotloop", "2-3.hotloop", "3-2.hotloop"]


def test_weights_alone(tmp_path):
    model = fit(ModelCheckpoint(tmp_path / "w.safetensors", save_weights_only=True))
    other = fit(epochs=1)
    other.load_weights(tmp_path / "w.safetensors")
    for a, b in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_only_batches_that_are_asked_for_cost_anything(tmp_path):
    assert not CallbackList([ModelCheckpoint(tmp_path / "m")]).wants_train_batches
    assert CallbackList([ModelCheckpoint(tmp_path / "m", save_freq=5)]).wants_train_batches


def test_bad_arguments_are_refused(tmp_path):
    for frequency in (0, -1, True, "batch", 2.0):
        with pytest.raises(ValueError, match="save_freq must be 'epoch' or a whole number"):
            ModelCheckpoint(tmp_path / "m", save_freq=frequency)
    with pytest.raises(ValueError, match="names 'val_acc', which is not there; there are epoch"):
        fit(ModelCheckpoint(tmp_path / "{val_acc}.hotloop"))
    with pytest.warns(UserWarning, match="ModelCheckpoint watches 'val_loss'"):
        fit(ModelCheckpoint(tmp_path / "m.hotloop", save_best_only=True), epochs=1)
    assert names(tmp_path) == ["m.hotloop"]  # as in Keras: nothing tells which is the best
    with pytest.raises(ValueError, match="cannot tell whether 'nothing' should rise or fall"):
        fit(ModelCheckpoint(tmp_path / "m.hotloop", "nothing", save_best_only=True))


@pytest.mark.filterwarnings("ignore:ModelCheckpoint watches 'val_loss'")
def test_the_best_model_stays_where_the_metric_is_not_there(tmp_path):
    keep = ModelCheckpoint(tmp_path / "{epoch}.hotloop", save_best_only=True)
    keep.set_model(fit(ModelCheckpoint(tmp_path / "first.hotloop"), epochs=1))
    values = [None, None, np.nan, 3, None, 4, 2]
    for epoch, value in enumerate(values):
        keep.on_epoch_end(epoch, {"loss": 1.0} if value is None else {"val_loss": value})
    assert names(tmp_path) == [
        "1.hotloop",
        "2.hotloop",
        "3.hotloop",
        "4.hotloop",
        "7.hotloop",
        "first.hotloop",
    ]
