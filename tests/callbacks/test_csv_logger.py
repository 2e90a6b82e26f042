"""The table that CSVLogger writes."""

import csv

import numpy as np
import pytest

import hotloop
from hotloop import layers
from hotloop.callbacks import CSVLogger, LearningRateScheduler


def fit(callback, **options):
    rng = np.random.default_rng(3)
    model = hotloop.Sequential([layers.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    x = rng.normal(size=(20, 4))
    callbacks = callback if isinstance(callback, list) else [callback]
    options = {"epochs": 3, "verbose": 0} | options
    return model.fit(x, x[:, 0], callbacks=callbacks, **options).history


def rows(path, separator=","):
    with path.open(newline="") as file:
        return list(csv.reader(file, delimiter=separator))


def test_each_epoch_is_a_row_of_the_history(tmp_path):
    path = tmp_path / "new" / "log.csv"
    history = fit(CSVLogger(path), validation_split=0.2)
    head, *body = rows(path)
    assert head == ["epoch", *sorted(history)]
    for i, name in enumerate(head[1:], 1):
        assert [float(row[i]) for row in body] == history[name]
    assert [row[0] for row in body] == ["0", "1", "2"]


def test_a_row_is_there_as_soon_as_its_epoch_ends(tmp_path):
    path = tmp_path / "log.csv"
    logger = CSVLogger(str(path), separator=";")
    logger.on_train_begin()
    logger.on_epoch_end(0, {"loss": 0.5, "name; with": 'a quote " and ;'})
    assert rows(path, ";") == [["epoch", "loss", "name; with"], ["0", "0.5", 'a quote " and ;']]
    logger.on_train_end()
    logger.on_epoch_end(1, {"loss": 0.25})  # after the end: nowhere to write to
    assert len(rows(path, ";")) == 2


def test_what_comes_later_gets_a_column(tmp_path):
    path = tmp_path / "log.csv"
    history = fit(CSVLogger(path), validation_split=0.2, validation_freq=2)
    head, *body = rows(path)
    assert set(head) == {"epoch", *history}
    column = [row[head.index("val_loss")] for row in body]
    assert column[0] == column[2] == "NA"
    assert [float(column[1])] == history["val_loss"]
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


def test_a_second_run_replaces_the_file_or_goes_on(tmp_path):
    path = tmp_path / "log.csv"
    fit(CSVLogger(path))
    fit(CSVLogger(path), epochs=1)
    assert len(rows(path)) == 2
    fit(CSVLogger(path, append=True), epochs=2)
    head, *body = rows(path)
    assert [row[0] for row in body] == ["0", "0", "1"]
    again = [CSVLogger(path, append=True), LearningRateScheduler(lambda epoch: 0.5)]
    fit(again[::-1], epochs=1)
    wider, *body = rows(path)
    assert wider == [*head, "learning_rate"]
    assert [row[-1] for row in body] == ["NA", "NA", "NA", "0.5"]


def test_bad_arguments_and_places_are_refused(tmp_path):
    with pytest.raises(ValueError, match="separator must be one character"):
        CSVLogger("x", separator=", ")
    with pytest.raises(OSError, match="Is a directory"):
        fit(CSVLogger(tmp_path))
