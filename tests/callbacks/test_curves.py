"""The charts of a training run."""

from __future__ import annotations

import math
import pickle
import sys

import numpy as np
import pytest

import hotloop
from hotloop.callbacks import History

matplotlib = pytest.importorskip("matplotlib")


def history_of(**metrics):
    history = History()
    length = max(map(len, metrics.values()))
    for epoch in range(length):
        logs = {name: values[epoch] for name, values in metrics.items() if epoch < len(values)}
        history.on_epoch_end(epoch, logs)
    return history


def trained(epochs=6, **fit):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4))
    model = hotloop.Sequential([hotloop.layers.Dense(1, "sigmoid", input_dim=4)])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model.fit(x, x[:, :1] > 0, epochs=epochs, verbose=0, **fit)


def lines(chart):
    return {line.get_label(): line for line in chart.get_lines() if line.get_label()[0] != "_"}


def test_a_chart_for_each_metric_with_both_curves():
    history = trained(validation_split=0.3)
    figure = history.plot()
    assert [chart.get_title() for chart in figure.axes] == ["loss", "accuracy"]
    for chart in figure.axes:
        drawn = lines(chart)
        name = chart.get_title()
        for label, key in (("training", name), ("validation", f"val_{name}")):
            assert drawn[label].get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
            assert drawn[label].get_ydata().tolist() == history.history[key]
        texts = [text.get_text() for text in chart.get_legend().get_texts()]
        assert texts[:2] == ["training", "validation"]
        assert chart.get_xlabel() == "epoch"
        assert all(tick == int(tick) for tick in chart.get_xticks())


def test_the_best_epoch_is_that_of_validation():
    history = history_of(loss=[5.0, 4.0, 3.0], val_loss=[9.0, 6.5, 7.0])
    (chart,) = history.plot().axes
    best = lines(chart)["best: 6.5 in epoch 2"]
    assert (best.get_xdata(), best.get_ydata()) == ([2], [6.5])


def test_more_is_better_where_the_metric_says_so():
    history = trained(validation_split=0.3)
    values = history.history["val_accuracy"]
    assert history.rises("val_accuracy") is True
    assert history.best("val_accuracy") == values.index(max(values))
    assert history.best("loss") == int(np.argmin(history.history["loss"]))


def test_a_direction_that_nobody_knows_has_no_best_epoch():
    history = history_of(loss=[2.0, 1.0], learning_rate=[0.1, 0.01])
    assert history.rises("learning_rate") is None
    assert history.best("learning_rate") is None
    assert list(lines(history.plot("learning_rate").axes[0])) == ["training"]


def test_validation_now_and_then_stands_at_its_epochs():
    (chart,) = trained(validation_split=0.3, validation_freq=3).plot("loss").axes
    assert lines(chart)["validation"].get_xdata().tolist() == [3, 6]


def test_a_second_run_goes_on_after_the_first():
    history = history_of(loss=[3.0, 2.0])
    history.on_train_begin()
    history.tell_epochs(range(2), {"loss": [1.5, 1.0], "val_loss": [2.0, 1.0]})
    assert history.epoch == [0, 1]
    assert history.epochs_of("loss") == [1, 2, 3, 4]
    assert history.epochs_of("val_loss") == [3, 4]
    later = History()
    later.on_epoch_end(7, {"loss": 1.0})
    assert later.epochs_of("loss") == [8]
    later.history["loss"] = [1.0, 2.0]  # somebody else wrote it
    assert later.epochs_of("loss") == [1, 2]


@pytest.mark.parametrize("epochs", [1, 2, 1000])
def test_few_epochs_have_dots_and_many_have_none(epochs):
    history = history_of(loss=list(np.linspace(2, 1, epochs)))
    (chart,) = history.plot().axes
    drawn = lines(chart)
    assert drawn["training"].get_marker() == ("None" if epochs == 1000 else "o")
    assert len(drawn) == (1 if epochs == 1 else 2)  # of one epoch, none is the best


@pytest.mark.parametrize(
    ("values", "log", "scale"),
    [
        ([1000.0, 1.0], "auto", "log"),
        ([99.0, 1.0], "auto", "linear"),
        ([1000.0, 0.0], "auto", "linear"),
        ([1000.0, -1.0], "auto", "linear"),
        ([1000.0, 1.0], False, "linear"),
        ([2.0, 1.0], True, "log"),
        ([math.nan, math.inf], "auto", "linear"),
    ],
)
def test_scale(values, log, scale):
    (chart,) = history_of(loss=values).plot(log=log).axes
    assert chart.get_yscale() == scale


def test_numbers_that_are_none_leave_gaps_and_are_not_the_best():
    history = history_of(loss=[math.nan, 2.0, -math.inf, 3.0])
    (chart,) = history.plot().axes
    assert np.isnan(lines(chart)["training"].get_ydata()).tolist() == [True, False, True, False]
    assert "best: 2 in epoch 2" in lines(chart)
    (chart,) = history_of(loss=[math.nan]).plot().axes
    assert [text.get_text() for text in chart.texts] == ["no finite value"]


def test_on_axes_of_ones_own():
    from matplotlib.figure import Figure

    own = Figure()
    charts = own.subplots(1, 2)
    history = history_of(loss=[2.0, 1.0], mae=[4.0, 3.0])
    assert history.plot(axes=charts, title="mine") is own
    assert own.get_suptitle() == "mine"
    assert history.plot("val_mae", axes=Figure().add_subplot()).axes[0].get_title() == "mae"
    with pytest.raises(ValueError, match=r"axes are 2, but there are 1 metrics to draw: loss"):
        history.plot(["loss"], axes=charts)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_files(tmp_path, suffix):
    trained(2).plot(path=tmp_path / f"chart.{suffix}")
    start = (tmp_path / f"chart.{suffix}").read_bytes()[:5]
    assert start in (b"\x89PNG\r", b"<?xml", b"%PDF-")
    with pytest.raises(ValueError, match="xyz"):
        trained(2).plot(path=tmp_path / "chart.xyz")


def test_nothing_global_is_touched():
    before = dict(matplotlib.rcParams)
    loaded = "matplotlib.pyplot" in sys.modules
    trained(2).plot()
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == loaded


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"metrics": "los"}, "no metric los; it has loss"),
        ({"metrics": ["loss", "f1"]}, "no metric f1"),
        ({"metrics": []}, "no metric"),
        ({"log": "yes"}, "log must be"),
    ],
)
def test_what_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        history_of(loss=[1.0]).plot(**arguments)


def test_nothing_to_plot():
    with pytest.raises(ValueError, match="nothing to plot"):
        History().plot()


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install matplotlib"):
        history_of(loss=[1.0]).plot()


def test_a_plot_can_be_pickled():
    figure = history_of(loss=[3.0, 1.0]).plot()
    again = pickle.loads(pickle.dumps(figure))
    assert again._repr_png_() == figure._repr_png_()
