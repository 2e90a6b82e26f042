"""Event files: what TensorBoard's own reader finds in them, and what Keras writes."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager

import numpy as np
import pytest

import hotloop
from hotloop import callbacks, layers

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
tensor_util = pytest.importorskip("tensorboard.util.tensor_util")


def model():
    hotloop.utils.set_random_seed(1)
    x = hotloop.Input((3,))
    joined = layers.Concatenate()([layers.Dense(4, "relu", name="first")(x), x])
    made = hotloop.Model(x, layers.Dense(1, name="last")(joined))
    made.compile(hotloop.optimizers.SGD(0.05), "mse", metrics=["mae"])
    return made


def data(rows=20):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 3)).astype("f4")
    return x, x[:, :1] * 2


def fit(folder, epochs=3, validate=True, **options):
    made = model()
    board = callbacks.TensorBoard(folder, **options)
    share = 0.25 if validate else 0.0
    history = made.fit(
        *data(), batch_size=4, epochs=epochs, verbose=0, validation_split=share, callbacks=[board]
    )
    return made, history


def read(folder):
    found = accumulator.EventAccumulator(str(folder), size_guidance={"tensors": 0})
    found.Reload()
    return {tag: found.Tensors(tag) for tag in found.Tags()["tensors"]}


def scalars(folder):
    """Steps and values by tag."""
    return {
        tag: [(event.step, float(tensor_util.make_ndarray(event.tensor_proto))) for event in events]
        for tag, events in read(folder).items()
        if tag.startswith(("epoch_", "batch_", "evaluation_"))
    }


def test_values_of_epochs(tmp_path):
    _, history = fit(tmp_path)
    known = history.history
    train, validation = scalars(tmp_path / "train"), scalars(tmp_path / "validation")
    assert train.keys() == {"epoch_loss", "epoch_mae", "epoch_learning_rate"}
    assert validation.keys() == {
        "epoch_loss",
        "epoch_mae",
        "evaluation_loss_vs_iterations",
        "evaluation_mae_vs_iterations",
    }
    for name in ("loss", "mae"):
        for found, values in ((train, known[name]), (validation, known[f"val_{name}"])):
            assert [step for step, _ in found[f"epoch_{name}"]] == [0, 1, 2]
            np.testing.assert_allclose([v for _, v in found[f"epoch_{name}"]], values, rtol=1e-6)
    steps = [step for step, _ in validation["evaluation_loss_vs_iterations"]]
    assert steps == [4, 8, 12]
    assert train["epoch_learning_rate"] == [(epoch, np.float32(0.05)) for epoch in range(3)]


def test_values_of_batches(tmp_path):
    fit(tmp_path / "all", update_freq="batch", write_steps_per_second=True, validate=False)
    fit(tmp_path / "some", update_freq=3, validate=False)
    every, some = scalars(tmp_path / "all" / "train"), scalars(tmp_path / "some" / "train")
    assert [step for step, _ in every["batch_loss"]] == list(range(1, 16))
    assert some["batch_loss"] == every["batch_loss"][2::3]
    assert some["batch_mae"] == every["batch_mae"][2::3]
    # The metrics of batches are those of the epoch so far.
    assert [v for _, v in every["batch_loss"]][4::5] == [v for _, v in every["epoch_loss"]]
    for tag in ("batch_steps_per_second", "epoch_steps_per_second"):
        assert all(value > 0 for _, value in every[tag])
        assert tag not in some


def test_histograms(tmp_path):
    made, _ = fit(tmp_path, epochs=5, histogram_freq=2)
    found = {tag: events for tag, events in read(tmp_path / "train").items() if "/" in tag}
    assert found.keys() == {
        f"{layer}/{weight}/histogram"
        for layer in ("first", "last")
        for weight in ("kernel", "bias")
    }
    events = found["first/kernel/histogram"]
    assert [event.step for event in events] == [0, 2, 4]
    left, right, counts = tensor_util.make_ndarray(events[-1].tensor_proto).T
    kernel = made.get_layer("first").kernel.numpy()
    np.testing.assert_allclose([left[0], right[-1]], [kernel.min(), kernel.max()], rtol=1e-6)
    np.testing.assert_array_equal(counts, np.histogram(kernel, 30)[0])
    (bias,) = [tensor_util.make_ndarray(e.tensor_proto) for e in found["last/bias/histogram"][:1]]
    assert bias[:, 2].sum() == 1


def test_the_graph_is_one_that_tensorboard_draws(tmp_path):
    from tensorboard.plugins.graph import keras_util

    fit(tmp_path)
    (event,) = read(tmp_path / "train")["keras"]
    text = tensor_util.make_ndarray(event.tensor_proto).item()
    graph = keras_util.keras_model_to_graph_def(json.loads(text))
    reads = {
        node.name.rsplit("/")[-1]: [n.rsplit("/")[-1] for n in node.input] for node in graph.node
    }
    (source,) = [name for name in reads if name.startswith("input_layer")]
    (join,) = [name for name in reads if name.startswith("concatenate")]
    assert reads["first"] == [source]
    assert reads[join] == ["first", source]
    assert reads["last"] == [join]
    fit(tmp_path / "none", write_graph=False)
    assert "keras" not in read(tmp_path / "none" / "train")


def test_evaluation_alone(tmp_path):
    made, _ = fit(tmp_path / "a")
    values = made.evaluate(
        *data(), verbose=0, return_dict=True, callbacks=[callbacks.TensorBoard(tmp_path / "b")]
    )
    assert os.listdir(tmp_path / "b") == ["validation"]
    assert scalars(tmp_path / "b" / "validation") == {
        f"evaluation_{name}_vs_iterations": [(12, np.float32(value))]
        for name, value in values.items()
    }


def test_one_callback_serves_several_trainings(tmp_path):
    board = callbacks.TensorBoard(tmp_path)
    for _ in range(2):
        model().fit(*data(), verbose=0, callbacks=[board])
    assert len(os.listdir(tmp_path / "train")) == 2


def test_an_interrupted_training_leaves_what_it_wrote(tmp_path):
    class Break(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise InterruptedError

    with pytest.raises(InterruptedError):
        model().fit(
            *data(), epochs=5, verbose=0, callbacks=[callbacks.TensorBoard(tmp_path), Break()]
        )
    assert [step for step, _ in scalars(tmp_path / "train")["epoch_loss"]] == [0, 1]


class Recorder:
    """What Keras's callback needs of ``tensorflow.summary``, keeping what it is given."""

    def __init__(self):
        self.kept, self._folder, self._records = {}, [None], [lambda: True]

    def create_file_writer(self, folder):
        recorder = self

        class Writer:
            @contextmanager
            def as_default(self, step=None):
                recorder._folder.append(os.path.basename(folder))
                yield
                recorder._folder.pop()

            def flush(self):
                pass

            close = flush

        return Writer()

    @contextmanager
    def record_if(self, condition):
        self._records.append(condition)
        yield
        self._records.pop()

    def scalar(self, tag, value, step):
        if self._folder[-1] and self._records[-1]():
            value = float(np.float32(value))
            self.kept.setdefault(self._folder[-1], {}).setdefault(tag, []).append(
                (int(step), value)
            )

    def histogram(self, tag, value, step):
        self.scalar(tag, np.asarray(value).sum(), step)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("update_freq", ["epoch", "batch", 3])
def test_the_same_as_keras_writes(update_freq, tmp_path):
    keras = pytest.importorskip("keras")
    ours = model()
    ours.save(tmp_path / "m.keras")
    theirs = keras.saving.load_model(tmp_path / "m.keras")
    x, y = data()
    options = {"batch_size": 4, "epochs": 3, "verbose": 0, "validation_split": 0.25}
    options["shuffle"] = False
    board = keras.callbacks.TensorBoard(str(tmp_path), write_graph=False, update_freq=update_freq)
    recorder = board._summary_module = Recorder()
    theirs.fit(x, y, callbacks=[board], **options)
    ours.fit(x, y, callbacks=[callbacks.TensorBoard(tmp_path, update_freq=update_freq)], **options)
    assert recorder.kept.keys() == {"train", "validation"}
    for folder, expected in recorder.kept.items():
        found = scalars(tmp_path / folder)
        assert found.keys() == expected.keys()
        for tag, events in expected.items():
            known = found[tag]
            if update_freq == 3:  # Keras drops an epoch whose last batch it drops
                known = [event for event in known if event[0] in dict(events)]
            np.testing.assert_allclose(known, events, rtol=1e-4, err_msg=f"{folder}/{tag}")


def test_arguments():
    for update_freq in (0, -1, True, "step", 2.5):
        with pytest.raises(ValueError, match="update_freq must be 'epoch', 'batch' or a whole"):
            callbacks.TensorBoard(update_freq=update_freq)
    with pytest.raises(ValueError, match="histogram_freq must be a whole number of epochs"):
        callbacks.TensorBoard(histogram_freq=-1)
    for option in ({"write_images": True}, {"profile_batch": 2}, {"embeddings_freq": 1}):
        with pytest.raises(ValueError, match=f"{next(iter(option))}=.* is not supported"):
            callbacks.TensorBoard(**option)


def test_only_batches_cost_speed():
    hooks = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
    assert not callbacks.TensorBoard().overrides(*hooks)
    assert callbacks.TensorBoard(update_freq=100).overrides(*hooks)


def test_without_tensorboard_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)
    with pytest.raises(ImportError, match=r"pip install tensorboard"):
        fit(tmp_path)
