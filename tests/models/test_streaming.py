"""fit, evaluate and predict on batches that come one at a time: as on arrays, and clear errors."""

from __future__ import annotations

import itertools
import signal
import sys
import threading
import time
import traceback
import warnings
from contextlib import contextmanager

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

import hotloop
from hotloop import config, layers

SPARSE = "sparse_categorical_crossentropy"
ROWS, SIZE = 50, 8
STEPS = -(-ROWS // SIZE)


@pytest.fixture(autouse=True)
def no_thread_stays():
    yield
    assert [t.name for t in threading.enumerate() if t.name == "hotloop batches"] == []


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, 4)).astype("float32"), rng.integers(0, 3, ROWS)


def model(metrics=("accuracy",), **options):
    hotloop.utils.set_random_seed(1)
    found = hotloop.Sequential([layers.Dense(6, "tanh"), layers.Dense(3, "softmax")])
    found.compile("adam", SPARSE, metrics=list(metrics), **options)
    return found


def parts(*arrays, size=SIZE, times=1):
    """Batches of the arrays in order."""
    for _ in range(times):
        for start in range(0, len(arrays[0]), size):
            yield tuple(array[start : start + size] for array in arrays)


class Parts:
    """The same, as often as wanted."""

    def __init__(self, *arrays):
        self.arrays = arrays

    def __iter__(self):
        return parts(*self.arrays)


class Numbered(Parts):
    """The same by number."""

    def __len__(self):
        return STEPS

    def __getitem__(self, index):
        return next(itertools.islice(self, index, None))


def tensors(*arrays):
    return torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(*map(torch.from_numpy, arrays)), batch_size=SIZE
    )


class Tensor:
    """As a tensor of TensorFlow, as far as anything asks it."""

    def __init__(self, array):
        self._array = array

    def numpy(self):
        return self._array


class TensorFlowData(Parts):
    def __iter__(self):
        return (tuple(map(Tensor, batch)) for batch in super().__iter__())

    def cardinality(self):
        return Tensor(np.int64(STEPS)).numpy()


def frames(x, y, *weight):
    kinds = itertools.cycle([pd.DataFrame, pl.DataFrame])
    return (
        (kind(batch[0]), *map(pd.Series, batch[1:]))
        for kind, batch in zip(kinds, parts(x, y, *weight, times=3), strict=False)
    )


SOURCES = {
    "generator": lambda *arrays: parts(*arrays, times=3),
    "iterable": Parts,
    "numbered": Numbered,
    "torch": tensors,
    "TensorFlow": TensorFlowData,
    "tables": frames,
    "lists": lambda *arrays: map(list, parts(*arrays, times=3)),
}


def same_weights(a, b):
    return all(np.array_equal(v, w) for v, w in zip(a.get_weights(), b.get_weights(), strict=True))


# ------------------------------------------------------------------------------ as on arrays


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_train_bit_for_bit_as_arrays_do(make, weighted, data, backend):
    x, y = data
    weight = np.linspace(0, 2, ROWS) if weighted else None
    given = make(x, y, weight) if weighted else make(x, y)
    ours, theirs = (model(weighted_metrics=["accuracy"]) for _ in range(2))
    expected = theirs.fit(
        x, y, batch_size=SIZE, epochs=3, shuffle=False, sample_weight=weight, verbose=0
    )
    found = ours.fit(given, epochs=3, steps_per_epoch=STEPS, shuffle=False, verbose=0)
    assert found.history == expected.history
    assert found.epoch == expected.epoch == [0, 1, 2]
    assert found is ours.history
    assert same_weights(ours, theirs)
    assert ours.optimizer.iterations == 3 * STEPS


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_evaluate_and_predict_as_on_arrays(make, data, backend):
    x, y = data
    trained = model()
    expected = trained.evaluate(x, y, batch_size=SIZE, verbose=0)
    assert trained.evaluate(make(x, y), steps=STEPS, verbose=0) == expected
    found = trained.evaluate(make(x, y), steps=STEPS, verbose=0, return_dict=True)
    assert found == trained.evaluate(x, y, batch_size=SIZE, verbose=0, return_dict=True)
    expected = trained.predict(x, batch_size=SIZE, verbose=0)
    found = trained.predict(make(x, y), steps=STEPS, verbose=0)  # y is not looked at
    np.testing.assert_array_equal(found, expected)


def test_batches_of_all_sizes(data):
    x, y = data
    cuts = [1, 4, 20, 21, 40]
    batches = list(zip(np.split(x, cuts), np.split(y, cuts), strict=True))
    ours, theirs = model(), model()
    found = ours.fit(iter(batches), verbose=0).history
    for batch in batches:
        theirs.train_on_batch(*batch)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, 1e-5, 1e-7)
    assert set(found) == {"loss", "accuracy"}
    np.testing.assert_allclose(
        ours.evaluate(iter(batches), verbose=0), theirs.evaluate(x, y, verbose=0), 1e-4
    )
    predicted = ours.predict(iter(batches), verbose=0)
    np.testing.assert_allclose(predicted, ours.predict(x, verbose=0), 1e-5)


def test_metrics_that_python_updates(data):
    x, y = data
    y = (y > 0).astype("float32")

    def binary():
        hotloop.utils.set_random_seed(1)
        found = hotloop.Sequential([layers.Dense(1, "sigmoid")])
        found.compile("sgd", "binary_crossentropy", metrics=["AUC"], weighted_metrics=["Precision"])
        return found

    ours, theirs = binary(), binary()
    expected = theirs.fit(x, y, SIZE, 2, shuffle=False, class_weight={0: 3.0}, verbose=0)
    found = ours.fit(Parts(x, y), epochs=2, class_weight={0: 3.0}, verbose=0)
    assert found.history == expected.history
    assert same_weights(ours, theirs)


def test_several_inputs_and_outputs(data):
    x, y = data
    a, b = hotloop.Input((3,), name="a"), hotloop.Input((1,), name="b")
    hidden = layers.Concatenate()([a, b])
    outputs = [
        layers.Dense(3, "softmax", name="kind")(hidden),
        layers.Dense(1, name="amount")(hidden),
    ]
    both = hotloop.Model([a, b], outputs)
    both.compile("sgd", loss={"kind": SPARSE, "amount": "mse"})
    arrays = [x[:, :3], x[:, 3:]], [y, x[:, :1]]
    expected = both.evaluate(*arrays, verbose=0)
    for form in ("list", "dict"):
        batches = [
            (([p, q], [r, s]) if form == "list" else ({"b": q, "a": p}, {"amount": s, "kind": r}))
            for p, q, r, s in parts(*arrays[0], *arrays[1])
        ]
        np.testing.assert_allclose(both.evaluate(iter(batches), verbose=0), expected, 1e-5)
        found = both.predict(iter(batches), verbose=0)
        for ours, theirs in zip(found, both.predict(arrays[0], verbose=0), strict=True):
            np.testing.assert_allclose(ours, theirs, 1e-5, 1e-6)
        both.fit(iter(batches), verbose=0)
        both.set_weights([np.ones_like(w) for w in both.get_weights()])
        expected = both.evaluate(*arrays, verbose=0)


def test_x_alone_is_predicted(data):
    x, _ = data
    trained = model()
    expected = trained.predict(x, verbose=0)
    reader = pa.table({str(i): column for i, column in enumerate(x.T)}).to_reader(max_chunksize=7)
    for given in ((x[i : i + 7] for i in range(0, ROWS, 7)), iter([(x,)]), iter([[x]]), reader):
        np.testing.assert_allclose(trained.predict(given, verbose=0), expected, 1e-5, 1e-6)


def test_a_generator_may_fill_the_same_arrays_again(data):
    x, y = data

    def same():
        a, b = np.empty((10, 4), "float32"), np.empty(10, "int64")
        for start in range(0, ROWS, 10):
            a[:], b[:] = x[start : start + 10], y[start : start + 10]
            yield a, b

    ours, theirs = model(), model()
    ours.fit(same(), verbose=0)
    theirs.fit(x, y, batch_size=10, shuffle=False, verbose=0)
    assert same_weights(ours, theirs)


def test_read_only_strided_and_swapped_batches(data):
    x, y = data
    odd = np.asfortranarray(x.astype(">f8"))
    odd.flags.writeable = False
    ours, theirs = model(), model()
    ours.fit(parts(odd, y.astype("u1")[::1]), verbose=0)
    theirs.fit(x, y, batch_size=SIZE, shuffle=False, verbose=0)
    assert same_weights(ours, theirs)


def test_a_data_loader_with_workers(data):
    x, y = data
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(*map(torch.from_numpy, (x, y))), SIZE, num_workers=1
    )
    ours, theirs = model(), model()
    ours.fit(loader, epochs=2, verbose=0)
    theirs.fit(x, y, batch_size=SIZE, epochs=2, shuffle=False, verbose=0)
    assert same_weights(ours, theirs)


# ------------------------------------------------------------------------------------- epochs


def test_epochs_go_on_where_the_last_one_stopped(data):
    x, y = data
    seen = []

    def numbers():
        for i, batch in enumerate(parts(x, y, times=3)):
            seen.append(i)
            yield batch

    history = model().fit(numbers(), epochs=4, steps_per_epoch=5, verbose=0)
    assert history.epoch == [0, 1, 2, 3]
    assert seen == list(range(20))  # not one more is asked for


def test_an_unknown_number_of_batches(data):
    history = model().fit(Parts(*data), epochs=3, verbose=0)
    assert history.epoch == [0, 1, 2]
    assert history.params == {"verbose": 0, "epochs": 3, "steps": None}
    assert model().fit(Numbered(*data), verbose=0).params["steps"] == STEPS


def test_one_epoch_of_a_generator_needs_no_number_and_no_warning(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model().fit(parts(*data), verbose=0).epoch == [0]


def test_training_ends_with_a_warning_when_a_generator_does(data):
    with pytest.warns(UserWarning, match="ran out of data after 1 of 5 epochs, and training ends"):
        assert model().fit(parts(*data), epochs=5, verbose=0).epoch == [0]
    with (
        pytest.warns(UserWarning, match="x ran out of data after 3 of 4 steps"),
        pytest.warns(UserWarning, match="x ran out of data after 2 of 5 epochs"),
    ):
        history = model().fit(parts(*data), epochs=5, steps_per_epoch=4, verbose=0)
    assert history.epoch == [0, 1]


def test_a_source_that_is_too_short_begins_anew(data):
    with pytest.warns(UserWarning, match="x ran out of data after 7 of 9 steps"):
        history = model().fit(Parts(*data), epochs=2, steps_per_epoch=9, verbose=0)
    assert history.epoch == [0, 1]
    with pytest.warns(UserWarning, match="x ran out of data after 7 of 9 steps"):
        model().evaluate(parts(*data), steps=9, verbose=0)
    with pytest.warns(UserWarning, match="x ran out of data after 7 of 9 steps"):
        assert len(model().predict(parts(*data), steps=9, verbose=0)) == ROWS


def test_steps_of_a_source_without_end(data):
    forever = itertools.cycle([data])
    assert model().fit(forever, epochs=2, steps_per_epoch=3, verbose=0).epoch == [0, 1]
    assert len(model().predict(forever, steps=2, verbose=0)) == 2 * ROWS
    with pytest.raises(ValueError, match="x never ends: say with steps_per_epoch"):
        model().fit(forever, verbose=0)
    with pytest.raises(ValueError, match="x never ends: say with steps where"):
        model().evaluate(forever, verbose=0)


def test_numbered_batches_are_shuffled_as_fit_says(data):
    x, y = data
    seen = []

    class Watched(Numbered):
        def __getitem__(self, index):
            seen.append(index)
            return super().__getitem__(index)

    model().fit(Watched(x, y), epochs=2, shuffle=False, verbose=0)
    assert seen == [*range(STEPS)] * 2
    seen.clear()
    model().fit(Watched(x, y), epochs=2, verbose=0)
    assert sorted(seen) == sorted([*range(STEPS)] * 2)
    assert seen[:STEPS] != seen[STEPS:]
    seen.clear()
    model().evaluate(Watched(x, y), verbose=0)
    assert seen == [*range(STEPS)]


# --------------------------------------------------------------------------------- validation


@pytest.mark.parametrize("training", ["arrays", "batches"])
@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_validation_on_batches(training, make, data):
    x, y = data
    ours, theirs = model(), model()
    options = {"epochs": 3, "verbose": 0, "shuffle": False}
    expected = theirs.fit(x, y, SIZE, validation_data=(x[:32], y[:32]), **options)
    given = (x, y, SIZE) if training == "arrays" else (Parts(x, y),)
    source = make(x[:32], y[:32])
    found = ours.fit(*given, validation_data=source, validation_steps=4, **options)
    assert found.history == expected.history


def test_validation_on_arrays_after_training_on_batches(data):
    x, y = data
    ours, theirs = model(), model()
    options = {"epochs": 2, "verbose": 0, "shuffle": False, "validation_data": (x[:9], y[:9])}
    expected = theirs.fit(x, y, SIZE, **options)
    assert ours.fit(Parts(x, y), **options).history == expected.history


def test_each_validation_begins_anew(data):
    x, y = data
    seen = []

    class Watched(Numbered):
        def __getitem__(self, index):
            seen.append(index)
            return super().__getitem__(index)

    model().fit(x, y, epochs=3, validation_data=Watched(x, y), validation_steps=2, verbose=0)
    assert seen == [0, 1] * 3


def test_a_generator_for_several_validations(data):
    x, y = data
    with pytest.raises(ValueError, match="gives its batches once, but is needed 2 times"):
        model().fit(x, y, epochs=4, validation_data=parts(x, y), validation_freq=2, verbose=0)
    history = model().fit(x, y, epochs=4, validation_data=parts(x, y), validation_freq=4, verbose=0)
    assert len(history.history["val_loss"]) == 1
    options = {"epochs": 3, "validation_steps": 3, "verbose": 0}
    with pytest.warns(UserWarning, match="validation_data ran out of data after 1 of 3 steps"):
        model().fit(x, y, validation_data=parts(x, y), **options)
    with (
        pytest.warns(UserWarning, match="after 1 of 3 steps"),
        pytest.raises(ValueError, match="no batches for the validation after epoch 4"),
    ):
        model().fit(x, y, validation_data=parts(x, y), **options | {"epochs": 4})


def test_early_stopping_on_batches(data):
    x, y = data
    stop = hotloop.callbacks.EarlyStopping("val_loss", min_delta=100, patience=1)
    loader = tensors(x, y)
    history = model().fit(loader, epochs=9, validation_data=loader, callbacks=[stop], verbose=0)
    assert history.epoch == [0, 1]


# ------------------------------------------------------------------------------ hooks, progress


def test_hooks_of_batches(data):
    x, y = data
    calls = [[], []]
    for seen, given in zip(calls, ((x, y, SIZE), (Parts(x, y),)), strict=True):

        class Watch(hotloop.callbacks.Callback):
            def on_train_batch_begin(self, batch, logs=None, seen=seen):
                seen.append(("train begin", batch))

            def on_train_batch_end(self, batch, logs=None, seen=seen):
                seen.append(("train end", batch, logs))

            def on_test_batch_end(self, batch, logs=None, seen=seen):
                seen.append(("test end", batch, logs))

        trained = model()
        validation = (x, y) if len(given) == 3 else Parts(x, y)
        options = {"callbacks": [Watch()], "epochs": 2, "shuffle": False, "verbose": 0}
        trained.fit(*given, validation_data=validation, validation_batch_size=None, **options)
    assert calls[0] == calls[1]
    assert len(calls[0]) == 2 * 3 * STEPS


def test_hooks_of_prediction(data):
    seen = []

    class Watch(hotloop.callbacks.Callback):
        def on_predict_batch_begin(self, batch, logs=None):
            seen.append(batch)

        def on_predict_batch_end(self, batch, logs=None):
            seen.append(logs["outputs"].shape)

        def on_predict_end(self, logs=None):
            seen.append(logs["outputs"].shape)

    model().predict(parts(*data, size=30), callbacks=[Watch()], verbose=0)
    assert seen == [0, (30, 3), 1, (20, 3), (50, 3)]


def test_training_can_stop_after_a_batch(data):
    class Stop(hotloop.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 2

    given = Numbered(*data)
    told = []
    given.on_epoch_end = lambda: told.append("end")
    trained = model()
    assert trained.fit(given, epochs=5, callbacks=[Stop()], verbose=0).epoch == [0]
    assert trained.optimizer.iterations == 3
    assert told == ["end"]
    trained.evaluate(given, verbose=0)  # is not stopped by what stopped training


def test_progress_of_an_unknown_number_of_batches(data, capsys):
    trained = model()
    trained.fit(parts(*data), verbose=2)
    assert "loss:" in capsys.readouterr().out
    trained.fit(parts(*data), verbose=1)
    trained.evaluate(parts(*data), verbose=1)
    trained.predict(parts(*data), verbose=1)
    shown = capsys.readouterr().out
    assert "Evaluation" in shown
    assert "Prediction" in shown


# ------------------------------------------------------------------------------------- errors


@contextmanager
def untrained(trained):
    before = [w.copy() for w in trained.get_weights()]
    yield
    assert all(map(np.array_equal, before, trained.get_weights()))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"y": np.zeros(3)}, r"^y cannot be given if x is an iterable.*tuple \(x, y\)"),
        ({"sample_weight": np.zeros(3)}, r"sample_weight cannot.*\(x, y, sample_weight\)"),
        ({"batch_size": 8}, "batch_size cannot be given.*its own size"),
    ],
)
def test_arguments_that_make_no_sense(options, words, data):
    for method in ("fit", "evaluate"):
        with pytest.raises(ValueError, match=words):
            getattr(model(), method)(parts(*data), verbose=0, **options)


@pytest.mark.parametrize("steps", [0, -1, 2.5, True])
def test_bad_steps(steps, data):
    for method, argument in (("fit", "steps_per_epoch"), ("evaluate", "steps")):
        with pytest.raises(ValueError, match=f"{argument} must be a whole number of at least 1"):
            getattr(model(), method)(parts(*data), verbose=0, **{argument: steps})


def test_a_part_of_the_batches_cannot_be_validated_on(data):
    with pytest.raises(ValueError, match=r"validation_split cannot be given.*validation_data"):
        model().fit(parts(*data), validation_split=0.2, verbose=0)


def test_batch_sizes_of_prediction_and_validation(data):
    with pytest.raises(ValueError, match="batch_size cannot be given if x is"):
        model().predict(parts(*data), batch_size=3, verbose=0)
    with pytest.raises(ValueError, match=r"validation_batch_size cannot .* if validation_data is"):
        model().fit(*data, validation_data=Parts(*data), validation_batch_size=3, verbose=0)


@pytest.mark.parametrize(
    ("second", "error", "words"),
    [
        (lambda x, y: x, ValueError, r"^batch 2: expected a tuple \(x, y\).*got x alone"),
        (lambda x, y: {"x": x}, ValueError, "batch 2: expected a tuple"),
        (lambda x, y: (x, None), ValueError, "batch 2: expected a tuple"),
        (lambda x, y: (x, y, y, y), ValueError, "batch 2 is a tuple of 4; expected x,"),
        (lambda x, y: (), ValueError, "batch 2 is a tuple of 0"),
        (lambda x, y: (x, y[1:]), ValueError, "batch 2: .*as many examples"),
        (lambda x, y: (x[:, 1:], y), ValueError, r"batch 2: Dense.*\(50, 3\)"),
        (lambda x, y: (x, y + 1), ValueError, r"batch 2: .* y\[\d+\] is 3"),
        (lambda x, y: (x, np.eye(3)[y]), ValueError, "batch 2: .*one-hot"),
        (lambda x, y: (x, y[:, None]), ValueError, "batch 2: y must have the same shape"),
        (lambda x, y: (x, y, y), ValueError, "batch 2: .*all or none .* sample_weight"),
        (lambda x, y: (x, y, x), ValueError, "batch 2: sample_weight must have shape"),
        (lambda x, y: (x.astype(str), y), TypeError, "batch 2: x holds strings"),
        (lambda x, y: (x[:0], y[:0]), ValueError, "batch 2: x is empty"),
        (lambda x, y: (pd.DataFrame({"a": ["q"]}), y), TypeError, "batch 2: x: the column 'a'"),
        (lambda x, y: (x, pl.Series([None, 1])), ValueError, "batch 2: y has a missing value"),
    ],
)
def test_bad_batches(second, error, words, data):
    for method in ("fit", "evaluate"):
        trained = model()
        trained.fit(*data, verbose=0)
        with pytest.raises(error, match=words):
            getattr(trained, method)(iter([data, second(*data)]), verbose=0)
    trained.fit(iter([data]), verbose=0)  # and all is well again


def test_no_batches(data):
    trained = model()
    for method in ("fit", "evaluate", "predict"):
        with pytest.raises(ValueError, match="x gave no batches"):
            getattr(trained, method)(iter([]), verbose=0)
    with pytest.raises(ValueError, match="no batches for the validation after epoch 1"):
        trained.fit(*data, validation_data=iter([]), verbose=0)


def test_a_list_of_batches_is_taken_for_an_array(data):
    with pytest.raises(ValueError, match=r"y is missing.*of a list iter\(batches\)"):
        model().fit([data], verbose=0)


def test_an_exception_of_the_generator_arrives_with_its_traceback(data):
    def culprit():
        raise LookupError("the file is gone")

    def broken():
        yield data
        culprit()

    trained = model()
    for method in ("fit", "evaluate", "predict"):
        with pytest.raises(LookupError, match="the file is gone") as caught:
            getattr(trained, method)(broken(), verbose=0)
        assert "culprit" in [f.name for f in traceback.extract_tb(caught.value.__traceback__)]
    assert trained.optimizer.iterations == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_nothing_runs_on_after_an_exception_of_a_callback(error, data):
    class Raise(hotloop.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise error

    given = itertools.cycle([data])
    with pytest.raises(error):
        model().fit(given, steps_per_epoch=5, callbacks=[Raise()], verbose=0)


def test_ctrl_c_while_a_batch_is_waited_for(data, monkeypatch, ctrl_c):
    monkeypatch.setattr("hotloop.data.batches.PATIENCE_SECONDS", 0.01)
    go = threading.Event()

    def late():
        yield data
        while not trained.optimizer.iterations:
            time.sleep(0.001)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        go.wait()

    trained = model()
    with pytest.raises(KeyboardInterrupt):
        trained.fit(late(), verbose=0)
    assert trained.optimizer.iterations == 1
    (thread,) = [t for t in threading.enumerate() if t.name == "hotloop batches"]
    go.set()
    thread.join()


def test_a_loss_that_is_not_finite(data, backend):
    x, y = data
    bad = x.copy()
    bad[3, 2] = np.nan
    trained = model()
    trained.fit(x, y, verbose=0)
    with (
        untrained(trained),
        pytest.raises(hotloop.NonFiniteError, match=r"epoch 1, batch 1: x\[3, 2\]"),
    ):
        trained.fit(iter([(bad, y), (x, y)]), verbose=0)
    ends = hotloop.callbacks.TerminateOnNaN()
    trained.fit(iter([(x, y), (bad, y)]), callbacks=[ends], verbose=0)
    assert trained.stop_training


def test_class_weight_and_sample_weight_exclude_each_other(data):
    x, y = data
    with pytest.raises(ValueError, match="batch 1: class_weight and sample_weight cannot both"):
        model().fit(iter([(x, y, y + 1.0)]), class_weight={0: 2.0}, verbose=0)


def test_a_batch_is_few_python_calls(data):
    """Each costs 50 to 100 ns; there are 125, and more where the batch must be waited for."""
    if config.backend() != "cython":
        pytest.skip("other backends call Python in every step")
    x, y = data
    trained = model()

    def calls(times):
        count = 0

        def note(frame, event, argument):
            nonlocal count
            count += event in ("call", "c_call")

        batches = [(x, y)] * times
        trained.fit(iter(batches), verbose=0)
        sys.setprofile(note)
        try:
            trained.fit(iter(batches), verbose=0)
        finally:
            sys.setprofile(None)
        return count

    assert (calls(300) - calls(100)) / 200 < 200
