"""Programs that are killed and run again end as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import hotloop
from hotloop import callbacks, layers, optimizers

PROGRAM = '''
import json, os, signal, sys
import numpy as np

options = json.loads(sys.argv[1])
sys.modules.update(dict.fromkeys(options["hidden"]))

import hotloop
from hotloop import callbacks, layers, metrics, optimizers

hotloop.utils.set_random_seed(options["seed"])  # another one in each run of a broken training


class Kill(callbacks.Callback):
    """Ends the process at a moment, counted in batches over all epochs, or in backups."""

    def __init__(self):
        if options["kill_at_batch"] is not None:
            self.on_train_batch_end = self.count

    def count(self, batch, logs=None):
        if self.model.optimizer.iterations == options["kill_at_batch"]:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_epoch_end(self, epoch, logs=None):
        if epoch == options["kill_at_epoch"]:
            os.kill(os.getpid(), signal.SIGKILL)


if options["kill_in_write"]:
    replace, writes = os.replace, []

    def replace_or_die(source, target):
        writes.append(target)
        if len(writes) == options["kill_in_write"]:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = replace_or_die

rng = np.random.default_rng(1)
x = rng.normal(size=(101, 5)).astype("f4")
y = (x[:, :1] + rng.normal(size=(101, 1)) > 0).astype("f4")
inner = hotloop.Sequential([layers.Dense(7, "tanh", input_dim=6), layers.Dropout(0.2)])
value = hotloop.Input((5,))
value_2 = inner(layers.Dropout(0.3)(layers.Dense(6, "relu")(value)))
model = hotloop.Model(value, layers.Dense(1, "sigmoid")(value_2))
model.compile(
    optimizers.Adam(0.02),
    "binary_crossentropy",
    metrics=["accuracy", metrics.AUC(name="auc"), metrics.Precision(name="precision")],
)
stop = callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True)
slow = callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1)
keep = callbacks.ModelCheckpoint("best.hotloop", "val_loss", save_best_only=True)
history = model.fit(
    x, y, batch_size=8, epochs=9, verbose=0, validation_split=0.2,
    steps_per_epoch=options["steps_per_epoch"],
    callbacks=[
        callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.99),
        callbacks.BackupAndRestore("backup", options["save_freq"]),
        stop, slow, keep, callbacks.CSVLogger("log.csv"), Kill(),
    ],
)
np.savez(
    "result.npz",
    *model.get_weights(),
    *[slot.numpy() for slot in model.optimizer.variables],
    json.dumps([
        history.history, history.epoch, model.optimizer.iterations,
        model.optimizer.learning_rate, hotloop.random.next_key(), stop.best, stop.wait,
        stop.stopped_epoch, slow.best, slow.wait, keep.best, open("log.csv").read(),
        os.path.exists("backup"),
    ]),
    hotloop.models.load_model("best.hotloop").predict(x, verbose=0),
)
'''
DEFAULTS = {
    "seed": 3,
    "save_freq": "epoch",
    "steps_per_epoch": None,
    "kill_at_batch": None,
    "kill_at_epoch": None,
    "kill_in_write": None,
}


@pytest.fixture(scope="module")
def hidden():
    """What this run of the suite goes without, for the programs to go without it too."""
    ours = ("hotloop.", "numba")
    return [name for name, m in sys.modules.items() if m is None and name.startswith(ours)]


def start(folder, hidden, **options):
    arguments = json.dumps(DEFAULTS | {"hidden": hidden} | options)
    # One thread: what is compared are bits, and other threads would take the tests' CPUs.
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, arguments],
        cwd=folder,
        env=os.environ | {"HOTLOOP_NUM_THREADS": "1"},
    )


def run(folder, hidden, **options):
    """Runs the program to its end or its death; returns whether it lived."""
    code = start(folder, hidden, **options).wait()
    assert code in (0, -signal.SIGKILL)
    return code == 0


def result(folder):
    with np.load(folder / "result.npz") as found:
        return [found[name] for name in found.files]


def assert_same(folder, expected):
    for one, other in zip(result(folder), expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module", params=[None, 4])
def unbroken(request, hidden, tmp_path_factory):
    """Steps of an epoch, and how an unbroken run with them ends."""
    folder = tmp_path_factory.mktemp("unbroken")
    assert run(folder, hidden, steps_per_epoch=request.param)
    return request.param, result(folder)


@pytest.mark.parametrize(
    ("save_freq", "deaths"),
    [
        ("epoch", [{"kill_at_batch": 1}, {"kill_at_epoch": 2}, {"kill_at_epoch": 3}]),
        ("epoch", [{"kill_in_write": 3}, {"kill_in_write": 5}, {"kill_in_write": 2}]),
        (3, [{"kill_at_batch": 5}, {"kill_at_epoch": 1}, {"kill_at_epoch": 3}]),
        (1, [{"kill_at_batch": 7}, {"kill_in_write": 4}, {"kill_at_epoch": 3}]),
    ],
)
def test_killed_and_run_again(unbroken, hidden, save_freq, deaths, tmp_path):
    steps, expected = unbroken
    options = {"save_freq": save_freq, "steps_per_epoch": steps}
    for death in [*deaths, {}]:
        # Once there is a backup, nothing comes from the seed any more.
        seed = 77 if (tmp_path / "backup" / "backup.safetensors").exists() else 3
        assert run(tmp_path, hidden, seed=seed, **options, **death) == (not death)
    assert seed == 77
    assert_same(tmp_path, expected)


def test_killed_from_outside_at_any_moment(unbroken, hidden, tmp_path):
    steps, expected = unbroken
    rng = np.random.default_rng(0 if steps is None else steps)
    options = {"save_freq": 2, "steps_per_epoch": steps}
    for _ in range(4):
        process = start(tmp_path, hidden, **options)
        before = (tmp_path / "backup").exists()
        while process.poll() is None and (tmp_path / "backup").exists() is before is False:
            time.sleep(0.002)
        time.sleep(rng.uniform(0.0, 0.05 if not before else 1.0))
        process.kill()
        if process.wait() == 0:
            break
    else:
        assert run(tmp_path, hidden, **options)
    assert_same(tmp_path, expected)


# ------------------------------------------------------------------------ in one process


def small(units=2, optimizer="adam"):
    model = hotloop.Sequential([layers.Dense(units, input_dim=3), layers.Dropout(0.5)])
    model.compile(optimizer, "mse")
    return model


def data(rows=20, units=2):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, 3)), rng.normal(size=(rows, units))


class Break(callbacks.Callback):
    """Raises an error before an epoch."""

    def __init__(self, epoch=None):
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise InterruptedError


@pytest.mark.parametrize("schedule", [False, True])
@pytest.mark.parametrize(
    "name",
    ["SGD", "AdamW", "RMSprop", "Nadam", "Ftrl", "Adafactor", "Lamb", "Muon", "ScheduleFreeAdamW"],
)
def test_every_optimizer_goes_on(name, schedule, tmp_path, backend):
    def model():
        hotloop.utils.set_random_seed(5)
        rate = optimizers.schedules.ExponentialDecay(0.01, 3, 0.9) if schedule else 0.01
        return small(optimizer=getattr(optimizers, name)(rate))

    def fit(model, epoch=None):
        backup = callbacks.BackupAndRestore(tmp_path, delete_checkpoint=epoch is None)
        history = model.fit(
            *data(), batch_size=7, epochs=5, verbose=0, callbacks=[backup, Break(epoch)]
        )
        return history, model.get_weights()

    history, expected = fit(model())
    with pytest.raises(InterruptedError):
        fit(model(), 3)
    hotloop.utils.set_random_seed(77)
    resumed = small(optimizer=getattr(optimizers, name)(0.01))
    resumed.optimizer.schedule = model().optimizer.schedule
    found, weights = fit(resumed)
    assert found.history == history.history
    assert found.epoch == [0, 1, 2, 3, 4]
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not tmp_path.exists()


def test_a_kept_backup_goes_on_with_more_epochs(tmp_path):
    backup = callbacks.BackupAndRestore(tmp_path / "b", delete_checkpoint=False)
    model = small()
    model.fit(*data(), epochs=2, verbose=0, callbacks=backup)
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["backup.safetensors"]
    before = model.get_weights()
    again = small()
    history = again.fit(*data(), epochs=2, verbose=0, callbacks=backup)
    assert history.epoch == [0, 1]
    np.testing.assert_array_equal(again.get_weights()[0], before[0])
    assert again.fit(*data(), epochs=3, verbose=0, callbacks=backup).epoch == [0, 1, 2]


def test_a_stopped_training_stays_stopped(tmp_path):
    class Stop(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    def fit():
        backup = callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
        return small().fit(*data(), epochs=5, verbose=0, callbacks=[backup, Stop()])

    assert fit().epoch == [0, 1]
    assert fit().epoch == [0, 1]


def test_other_files_in_the_folder_stay(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    small().fit(*data(), verbose=0, callbacks=callbacks.BackupAndRestore(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_backups_of_another_training_are_refused(tmp_path):
    backup = callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
    small().fit(*data(), verbose=0, callbacks=backup)

    def refused(what, model, arrays, **options):
        before = model.get_weights()
        with pytest.raises(ValueError, match=f"another training: its {what} was .* delete it"):
            model.fit(*arrays, verbose=0, **({"callbacks": backup} | options))
        np.testing.assert_array_equal(model.get_weights()[0], before[0])

    refused("list of weights", small(3), data(units=3))
    refused("optimizer", small(optimizer="sgd"), data())
    refused("rows", small(), data(21))
    refused("batch_size", small(), data(), batch_size=5)
    refused("list of callbacks", small(), data(), callbacks=[backup, callbacks.TerminateOnNaN()])
    for content in (b"", b"\x08\0\0\0\0\0\0\0{}      ", backup.path.read_bytes()[:100]):
        backup.path.write_bytes(content)
        with pytest.raises(ValueError, match="does not hold the state of a training"):
            small().fit(*data(), verbose=0, callbacks=backup)


def test_arguments():
    with pytest.raises(ValueError, match="backup_dir is empty"):
        callbacks.BackupAndRestore("")
    for save_freq in (0, -1, True, "batch", 1.5):
        with pytest.raises(ValueError, match="save_freq must be 'epoch' or a whole number"):
            callbacks.BackupAndRestore("b", save_freq)
    two = [callbacks.BackupAndRestore("a"), callbacks.BackupAndRestore("b")]
    with pytest.raises(ValueError, match="only one BackupAndRestore"):
        small().fit(*data(), verbose=0, callbacks=two)


@pytest.mark.parametrize(("save_freq", "expected"), [(1, 10), (2, 5), (5, 2), (7, 1), (10, 1)])
def test_batches_are_counted_through_all_epochs(save_freq, expected, tmp_path, monkeypatch):
    """Also those behind the last backup of an epoch: after 2 epochs of 5 batches."""
    saved = []
    monkeypatch.setattr(callbacks.BackupAndRestore, "save", count_saves(saved))
    backup = callbacks.BackupAndRestore(tmp_path / "backup", save_freq, delete_checkpoint=False)
    x, y = data()
    small().fit(x[:20], y[:20], 4, epochs=2, verbose=0, callbacks=[backup])
    assert len(saved) == expected


def count_saves(saved):
    original = callbacks.BackupAndRestore.save

    def save(self, training):
        saved.append((training["epoch"], training["batch"]))
        original(self, training)

    return save
