"""compile, fit, evaluate, predict: hand-checked numbers, then properties, then bad input."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import hotloop
from hotloop.layers import Activation, Dense, Dropout, Flatten, Input

SPARSE = "sparse_categorical_crossentropy"


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def data(rng):
    """23 examples of 4 features in 3 classes."""
    return rng.normal(size=(23, 4)).astype("float32"), rng.integers(0, 3, 23)


def line(rate=0.1, loss="mse", metrics=None, weighted_metrics=None):
    """y = 2 x + 1, to be trained by plain gradient descent."""
    model = hotloop.Sequential([Input((1,)), Dense(1)])
    model.set_weights([[[2.0]], [1.0]])
    model.compile(hotloop.optimizers.SGD(rate), loss, None, metrics, weighted_metrics)
    return model


def classifier(loss=SPARSE, units=3, last="softmax", metrics=("accuracy",), **options):
    hotloop.utils.set_random_seed(5)
    model = hotloop.Sequential([Dense(6, "relu", input_shape=(4,)), Dense(units, last)])
    model.compile("adam", loss, metrics=list(metrics), **options)
    return model


def weights_are(model, weights):
    return all(np.array_equal(a, b) for a, b in zip(model.get_weights(), weights, strict=True))


# ---------------------------------------------------------------- numbers by hand


def test_one_step_by_hand(backend):
    model = line()
    # Predictions 1 and 3 for targets 0 and 0: loss (1 + 9) / 2, dL/dW = 3, dL/db = 1 + 3.
    history = model.fit([[0.0], [1.0]], [[0.0], [0.0]], verbose=0).history
    assert history == {"loss": [5.0]}
    np.testing.assert_allclose(model.get_weights()[0], [[2.0 - 0.1 * 3]], rtol=1e-6)
    np.testing.assert_allclose(model.get_weights()[1], [1.0 - 0.1 * 4], rtol=1e-6)
    assert model.optimizer.iterations == 1


def test_evaluate_by_hand(backend):
    model = line(metrics=["mae"])
    assert model.evaluate([[0.0], [1.0]], [0.0, 0.0], verbose=0) == [5.0, 2.0]
    logs = model.evaluate([[0.0], [1.0]], [0.0, 0.0], verbose=0, return_dict=True)
    assert logs == {"loss": 5.0, "mae": 2.0}
    assert line().evaluate([[0.0], [1.0]], [0.0, 0.0], verbose=0) == 5.0


def test_sample_weights_multiply_the_loss_and_average_weighted_metrics(backend):
    model = line(metrics=["mae"], weighted_metrics=["mae"])
    logs = model.evaluate(
        [[0.0], [1.0]], [0.0, 0.0], sample_weight=[3.0, 1.0], verbose=0, return_dict=True
    )
    assert logs == {"loss": (3 * 1 + 1 * 9) / 2, "mae": 2.0, "weighted_mae": (3 * 1 + 3) / 4}
    column = model.evaluate([[0.0], [1.0]], [0.0, 0.0], sample_weight=[[3.0], [1.0]], verbose=0)
    assert column == [6.0, 2.0, 1.5]


def test_the_short_last_batch_counts_by_its_examples(backend):
    # Batches (1, 9) and (25): the loss is the mean over examples, not over batches.
    model = line(rate=0.0)
    history = model.fit([[0.0], [1.0], [2.0]], [0.0] * 3, batch_size=2, shuffle=False, verbose=0)
    assert history.history["loss"] == [pytest.approx((1 + 9 + 25) / 3)]
    assert model.optimizer.iterations == 2


def test_class_weights(backend):
    model = hotloop.Sequential([Input((1,)), Dense(2, "softmax", kernel_initializer="zeros")])
    model.compile("sgd", SPARSE)
    # All losses are log 2; the weights are 4, 4 and 1.
    logs = model.train_on_batch([[0.0]] * 3, [0, 0, 1], class_weight={0: 4.0}, return_dict=True)
    assert logs["loss"] == pytest.approx(np.log(2) * 3, rel=1e-6)


def test_penalties_are_part_of_the_loss(backend):
    model = hotloop.Sequential(
        [Input((1,)), Dense(1, kernel_regularizer="l2", bias_regularizer="l1")]
    )
    model.set_weights([[[2.0]], [1.0]])
    model.compile(hotloop.optimizers.SGD(0.5), "mse")
    assert model.evaluate([[1.0]], [[3.0]], verbose=0) == pytest.approx(0.01 * 4 + 0.01)
    model.train_on_batch([[1.0]], [[3.0]])
    np.testing.assert_allclose(model.get_weights()[0], [[2.0 - 0.5 * 0.01 * 2 * 2]], rtol=1e-6)
    np.testing.assert_allclose(model.get_weights()[1], [1.0 - 0.5 * 0.01], rtol=1e-6)


def test_predict_by_hand(backend):
    model = line()
    np.testing.assert_array_equal(model.predict([[0.0], [0.5]], verbose=0), [[1.0], [2.0]])
    np.testing.assert_array_equal(model([[0.5]]), [[2.0]])
    np.testing.assert_array_equal(model.predict_on_batch([[0.5]]), [[2.0]])
    assert model.predict([[0.0]], verbose=0).dtype == np.float32


# ---------------------------------------------------------------- layouts and types


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.astype("float64"),
        lambda x: x.astype("float16"),
        lambda x: np.asfortranarray(x),
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: np.repeat(x, 3, axis=1)[:, 1::3],
        lambda x: x[::-1][::-1],
        lambda x: x.tolist(),
        lambda x: x.astype("float32").astype(">f4"),
        lambda x: x.astype("int64"),
        lambda x: x.astype("int8"),
        lambda x: np.lib.stride_tricks.as_strided(x, writeable=False),
    ],
    ids=[
        "f64",
        "f16",
        "fortran",
        "rows",
        "columns",
        "reversed",
        "list",
        "swapped",
        "i64",
        "i8",
        "read-only",
    ],
)
def test_any_layout_and_dtype_trains_the_same(change, rng, backend):
    x = rng.integers(-3, 4, size=(23, 4)).astype("float32")  # exact in all of these types
    y = rng.integers(0, 3, 23)
    results = []
    for given in (x, change(x)):
        model = classifier()
        history = model.fit(given, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
        results.append((history.history, model.get_weights()))
    assert results[0][0] == results[1][0]
    assert all(map(np.array_equal, results[0][1], results[1][1]))


def test_a_memmap_is_read_in_place(tmp_path, data, backend):
    x, y = data
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    a, b = classifier(), classifier()
    a.fit(x, y, epochs=2, shuffle=False, verbose=0)
    b.fit(mapped, y, epochs=2, shuffle=False, verbose=0)
    assert weights_are(b, a.get_weights())


@pytest.mark.parametrize("shape", [(23,), (23, 1)])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "float32", "float64"])
def test_labels_of_any_shape_and_dtype(shape, dtype, data):
    x, y = data
    a, b = classifier(), classifier()
    a.fit(x, y, epochs=1, shuffle=False, verbose=0)
    b.fit(x, y.reshape(shape).astype(dtype), epochs=1, shuffle=False, verbose=0)
    assert weights_are(b, a.get_weights())


def test_booleans_are_labels(rng):
    x = rng.normal(size=(9, 4))
    model = classifier("binary_crossentropy", 1, "sigmoid")
    listed = model.evaluate(x, x[:, 0] > 0, verbose=0)
    assert listed == model.evaluate(x, (x[:, 0] > 0).astype("float32"), verbose=0)


def test_pandas_frames(data):
    pandas = pytest.importorskip("pandas")
    x, y = data
    frame = pandas.DataFrame(x, columns=list("abcd"))
    a, b = classifier(), classifier()
    assert a.evaluate(x, y, verbose=0) == b.evaluate(frame, pandas.Series(y), verbose=0)


def test_float64(rng, backend):
    x, y = rng.normal(size=(9, 2)), rng.normal(size=(9, 1))
    model = hotloop.Sequential([Input((2,), dtype="float64"), Dense(1, dtype="float64")])
    model.compile(hotloop.optimizers.SGD(0.1), "mse")
    w, b = model.get_weights()
    assert w.dtype == b.dtype == np.float64
    error = x @ w + b - y
    loss = model.train_on_batch(x, y)
    assert loss == pytest.approx(float(np.mean(error**2)), rel=1e-14)
    np.testing.assert_allclose(model.get_weights()[0], w - 0.1 * 2 / 9 * x.T @ error, rtol=1e-13)


def test_dtypes_do_not_mix():
    with pytest.raises(ValueError, match=r"dense.*float64 but its input is float32"):
        hotloop.Sequential([Input((2,)), Dense(1, dtype="float64")])


# ---------------------------------------------------------------- fit's arguments


def test_history(data):
    x, y = data
    model = classifier()
    history = model.fit(x, y, epochs=3, validation_split=0.2, verbose=0)
    assert history is model.history
    assert list(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert [len(v) for v in history.history.values()] == [3] * 4
    assert history.epoch == [0, 1, 2]
    assert history.params == {"verbose": 0, "epochs": 3, "steps": 1}


def test_initial_epoch(data):
    history = classifier().fit(*data, epochs=5, initial_epoch=3, verbose=0)
    assert history.epoch == [3, 4]
    assert classifier().fit(*data, epochs=2, initial_epoch=2, verbose=0).history == {}


def test_validation_split_takes_the_end(data):
    x, y = data
    a, b = classifier(), classifier()
    split = a.fit(x, y, epochs=2, validation_split=0.3, shuffle=False, verbose=0)
    at = int(23 * 0.7)
    given = (x[at:], y[at:])
    data_given = b.fit(x[:at], y[:at], epochs=2, validation_data=given, shuffle=False, verbose=0)
    assert split.history == data_given.history
    assert weights_are(a, b.get_weights())


def test_class_weights_do_not_weigh_validation(data):
    x, y = data
    model = classifier(weighted_metrics=["accuracy"])
    rates = {"class_weight": {0: 5.0, 1: 0.1}, "validation_split": 0.4}
    history = model.fit(x, y, verbose=0, **rates).history
    at = int(23 * 0.6)
    logs = model.evaluate(x[at:], y[at:], verbose=0, return_dict=True)
    assert history["val_loss"] == [logs["loss"]]
    assert history["val_weighted_accuracy"] == [logs["weighted_accuracy"]]


def test_validation_data_may_have_weights(data):
    x, y = data
    model = classifier()
    weight = np.arange(23.0)
    history = model.fit(x, y, validation_data=(x, y, weight), verbose=0).history
    assert history["val_loss"] == [model.evaluate(x, y, sample_weight=weight, verbose=0)[0]]


@pytest.mark.parametrize(("frequency", "epochs"), [(1, 5), (2, 2), (3, 1), ([1, 5], 2), ((2,), 1)])
def test_validation_freq(frequency, epochs, data):
    history = classifier().fit(
        *data, epochs=5, validation_split=0.3, validation_freq=frequency, verbose=0
    )
    assert len(history.history["val_loss"]) == epochs
    assert len(history.history["loss"]) == 5


def test_shuffling_depends_on_the_seed_alone(data):
    runs = []
    for seed in (1, 1, 2):
        model = classifier()
        hotloop.utils.set_random_seed(seed)
        runs.append(model.fit(*data, batch_size=4, epochs=2, verbose=0).history["loss"])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_every_epoch_sees_every_example_once():
    x = np.arange(10.0)[:, None]
    model = line(rate=0.0, metrics=["mae"])
    history = model.fit(x, np.zeros(10), batch_size=3, epochs=4, verbose=0).history
    np.testing.assert_allclose(history["mae"], [float(np.mean(2 * x + 1))] * 4, rtol=1e-6)


def test_shuffling_leaves_the_users_arrays_alone(data):
    x, y = data
    before = x.copy(), y.copy()
    classifier().fit(x, y, epochs=2, verbose=0)
    assert np.array_equal(x, before[0])
    assert np.array_equal(y, before[1])


def test_steps_continue_where_the_last_epoch_stopped():
    x = np.arange(6.0)[:, None]
    model = line(rate=0.0, metrics=["mae"])
    history = model.fit(
        x, np.zeros(6), batch_size=2, epochs=4, steps_per_epoch=1, shuffle=False, verbose=0
    ).history
    assert history["mae"] == [2.0, 6.0, 10.0, 2.0]


def test_steps_that_run_out_warn(data):
    model = classifier()
    with pytest.warns(UserWarning, match="ran out after 1 of 2 steps"):
        model.fit(*data, batch_size=8, steps_per_epoch=2, epochs=2, verbose=0)
    assert model.optimizer.iterations == 3


def test_steps_without_a_batch_size_divide_the_examples(data):
    model = classifier()
    model.fit(*data, steps_per_epoch=5, verbose=0)
    assert model.optimizer.iterations == 5
    assert model.predict(data[0], steps=2, verbose=0).shape == (23, 3)
    assert model.predict(data[0], 4, steps=2, verbose=0).shape == (8, 3)


def test_a_batch_larger_than_the_data(data):
    model = classifier()
    model.fit(*data, batch_size=1000, verbose=0)
    assert model.optimizer.iterations == 1


@pytest.mark.parametrize("rows", [1, 2, 3, 31, 32, 33])
@pytest.mark.parametrize("batch_size", [1, 2, 32, 64])
def test_odd_sizes(rows, batch_size, rng, backend):
    x = rng.normal(size=(rows, 4))
    model = classifier()
    model.fit(x, rng.integers(0, 3, rows), batch_size=batch_size, verbose=0)
    assert model.optimizer.iterations == -(-rows // batch_size)
    whole = model.predict(x, batch_size=batch_size, verbose=0)
    np.testing.assert_allclose(whole, model.predict_on_batch(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(whole.sum(axis=1), np.ones(rows), rtol=1e-5)


def test_a_second_fit_goes_on(data):
    a, b = classifier(), classifier()
    for _ in range(2):
        a.fit(*data, epochs=1, shuffle=False, verbose=0)
    b.fit(*data, epochs=2, shuffle=False, verbose=0)
    assert weights_are(a, b.get_weights())
    assert a.optimizer.iterations == b.optimizer.iterations == 2


def test_train_on_batch_is_a_step_of_fit(data):
    x, y = data
    a, b = classifier(), classifier()
    a.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    for start in (0, 8, 16):
        b.train_on_batch(x[start : start + 8], y[start : start + 8])
    for ours, theirs in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_frozen_layers_stay(data):
    model = classifier()
    model.layers[0].trainable = False
    before = model.get_weights()
    model.fit(*data, epochs=2, verbose=0)
    after = model.get_weights()
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[2], after[2])
    model.layers[0].trainable = True
    model.fit(*data, verbose=0)
    assert not np.array_equal(before[0], model.get_weights()[0])


def test_dropout_is_for_training_alone(rng):
    x = np.ones((64, 8))
    hotloop.utils.set_random_seed(4)
    model = hotloop.Sequential([Input((8,)), Dropout(0.5), Dense(1, kernel_initializer="ones")])
    model.compile(hotloop.optimizers.SGD(0.0), "mse")
    np.testing.assert_allclose(model.predict(x, verbose=0), np.full((64, 1), 8.0))
    assert model.evaluate(x, np.full(64, 8.0), verbose=0) == 0.0
    losses = [model.train_on_batch(x, np.full(64, 8.0)) for _ in range(2)]
    assert min(losses) > 1.0  # the variance of 8 sums of 0 or 2 is 8
    assert losses[0] != losses[1] or model.optimizer.iterations == 0


def test_recompiling_starts_a_new_optimizer(data):
    model = classifier()
    model.fit(*data, verbose=0)
    weights = model.get_weights()
    model.compile("adam", SPARSE)
    assert weights_are(model, weights)
    assert model.optimizer.iterations == 0


# ---------------------------------------------------------------- callbacks


class Recorder(hotloop.callbacks.Callback):
    def __init__(self, at=None):
        self.weights, self.batches, self.at = [], [], at

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append((batch, logs["loss"]))
        self.weights.append(self.model.get_weights()[0])
        if batch == self.at:
            self.model.stop_training = True


def test_batch_hooks_see_the_weights_of_that_moment(data, backend):
    record = Recorder()
    a, b = classifier(), classifier()
    a.fit(*data, batch_size=8, epochs=2, shuffle=False, callbacks=[record], verbose=0)
    b.fit(*data, batch_size=8, epochs=2, shuffle=False, verbose=0)
    assert [batch for batch, _ in record.batches] == [0, 1, 2, 0, 1, 2]
    assert all(
        not np.array_equal(p, q) for p, q in zip(record.weights, record.weights[1:], strict=False)
    )
    assert weights_are(a, b.get_weights())


def test_stop_training_in_a_batch_hook(data, backend):
    model = classifier()
    history = model.fit(*data, batch_size=8, epochs=5, callbacks=Recorder(at=1), verbose=0)
    assert history.epoch == [0]
    assert model.optimizer.iterations == 2
    assert len(model.fit(*data, epochs=2, verbose=0).epoch) == 2


def test_a_learning_rate_that_a_callback_changes(backend):
    class Slower(hotloop.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = (0.1, 0.0)[epoch]

    model = line()
    record = Recorder()
    history = model.fit(
        [[0.0], [1.0]], [0.0, 0.0], epochs=2, callbacks=[Slower(), record], verbose=0
    )
    assert history.history["loss"][0] == 5.0
    assert float(record.weights[0][0, 0]) == pytest.approx(1.7)
    assert float(record.weights[1][0, 0]) == pytest.approx(1.7)
    assert model.optimizer.learning_rate == 0.0


def test_weights_that_a_callback_sets(backend):
    class Reset(hotloop.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.set_weights([[[2.0]], [1.0]])

    history = line().fit(
        [[0.0], [1.0]], [0.0, 0.0], epochs=3, batch_size=2, callbacks=[Reset()], verbose=0
    )
    assert history.history["loss"] == [5.0] * 3


def test_early_stopping(data):
    model = classifier()
    stop = hotloop.callbacks.EarlyStopping("loss", patience=1, min_delta=10.0)
    history = model.fit(*data, epochs=9, callbacks=[stop], verbose=0)
    assert len(history.epoch) == 2


def test_hooks_of_evaluate_and_predict(data):
    calls = []

    class Watch(hotloop.callbacks.Callback):
        def on_test_batch_end(self, batch, logs=None):
            calls.append(("test", batch, sorted(logs)))

        def on_predict_batch_end(self, batch, logs=None):
            calls.append(("predict", batch, logs["outputs"].shape))

    model = classifier()
    model.evaluate(*data, batch_size=12, callbacks=[Watch()], verbose=0)
    model.predict(data[0], batch_size=12, callbacks=[Watch()], verbose=0)
    assert calls == [
        ("test", 0, ["accuracy", "loss"]),
        ("test", 1, ["accuracy", "loss"]),
        ("predict", 0, (12, 3)),
        ("predict", 1, (11, 3)),
    ]


def test_an_error_in_a_callback_reaches_the_user(data):
    class Broken(hotloop.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        classifier().fit(*data, callbacks=[Broken()], verbose=0)


def test_metrics_that_python_updates_see_every_row(data, rng):
    class Rows(hotloop.metrics.Metric):
        def __init__(self):
            super().__init__(name="rows")
            self.count = 0

        def update_state(self, y_true, y_pred, sample_weight=None):
            assert y_true.shape[0] == y_pred.shape[0]
            self.count += len(y_pred)

        def result(self):
            return self.count

        def reset_state(self):
            self.count = 0

    x, y = data
    model = classifier(metrics=[Rows()])
    history = model.fit(x, y, batch_size=8, epochs=2, verbose=0, validation_split=0.3).history
    assert history["rows"] == [16, 16]
    assert history["val_rows"] == [7, 7]
    model.fit(x, y, batch_size=8, callbacks=[Recorder()], verbose=0)
    assert model.evaluate(x, y, verbose=0)[1] == 23


# ---------------------------------------------------------------- compile


def test_what_compile_ignores():
    model = hotloop.Sequential([Input((4,)), Dense(1)])
    with pytest.warns(UserWarning, match="run_eagerly=True.* is ignored"):
        model.compile("sgd", "mse", run_eagerly=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.compile("sgd", "mse", steps_per_execution=10, jit_compile=True)


def test_default_optimizer_is_keras_s():
    model = hotloop.Sequential([Dense(1)])
    model.compile(loss="mse")
    assert isinstance(model.optimizer, hotloop.optimizers.RMSprop)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"optimizer": "adamm", "loss": "mse"}, "Unknown optimizer 'adamm'. Did you mean 'adam'"),
        ({"optimizer": "adam", "loss": "msee"}, "Unknown loss 'msee'. Did you mean 'mse'"),
        (
            {"optimizer": "adam", "loss": "mse", "metrics": ["acuracy"]},
            "Unknown metric 'acuracy'. Did you mean 'accuracy'",
        ),
        (
            {"optimizer": "adam", "loss": "mse", "weighted_metrics": ["reccall"]},
            "Did you mean 'recall'",
        ),
    ],
)
def test_unknown_names_leave_the_last_compile_in_force(arguments, words, data):
    model = classifier()
    optimizer = model.optimizer
    with pytest.raises(ValueError, match="Unknown") as error:
        model.compile(**arguments)
    assert words in str(error.value)
    assert model.optimizer is optimizer
    assert len(model.evaluate(*data, verbose=0)) == 2


def test_names_of_metrics_differ(data):
    model = classifier(metrics=["accuracy", "accuracy"], weighted_metrics=["accuracy", "acc"])
    model.evaluate(*data, verbose=0)
    names = ["loss", "accuracy", "accuracy_1", "weighted_accuracy", "acc"]
    assert model.metrics_names == names


def test_loss_by_shape(data):
    x, y = data
    by_shape = classifier("crossentropy").evaluate(x, y, verbose=0)
    assert by_shape == classifier(SPARSE).evaluate(x, y, verbose=0)
    one_hot = hotloop.utils.to_categorical(y, 3)
    assert classifier("ce").evaluate(x, one_hot, verbose=0) == pytest.approx(by_shape, rel=1e-6)


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_before_compile(method, data):
    model = hotloop.Sequential([Dense(3, input_shape=(4,))])
    with pytest.raises(ValueError, match=rf"must be compiled before {method}\(\)"):
        getattr(model, method)(*data)
    model.compile("adam")
    with pytest.raises(ValueError, match="without a loss"):
        getattr(model, method)(*data)


# ---------------------------------------------------------------- bad input


def bad(error, *words):
    """Expects this error, with every one of these words."""
    return pytest.raises(error, match="".join(f"(?=.*{w})" for w in words))


@pytest.fixture
def trained(data):
    """A model in the middle of training, and a check that nothing has touched it."""
    model = classifier()
    model.fit(*data, verbose=0)
    weights, state = model.get_weights(), [v.numpy() for v in model.optimizer.variables]
    yield model
    assert weights_are(model, weights)
    assert model.optimizer.iterations == 1
    assert all(map(np.array_equal, state, [v.numpy() for v in model.optimizer.variables]))


METHODS = ("fit", "evaluate", "train_on_batch", "test_on_batch")


def quiet(method):
    return {"verbose": 0} if method in ("fit", "evaluate") else {}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (
            lambda x, y: (x[:, :3], y),
            ValueError,
            ["Dense 'dense", "4 input features", r"\(23, 3\)"],
        ),
        (lambda x, y: (x[0], y), ValueError, ["4 input features", r"pass x\[None, :\]"]),
        (lambda x, y: (x, y[:5]), ValueError, ["as many examples", "x has 23", "y has 5"]),
        (lambda x, y: (x, y + 1), ValueError, ["0 to 2", r"y\[\d+\] is 3", "numbered from 1"]),
        (lambda x, y: (x, y - 1), ValueError, ["0 to 2", r"y\[\d+\] is -1"]),
        (lambda x, y: (x, y + 0.5), ValueError, ["whole numbers", r"y\[0\] is \d.5"]),
        (lambda x, y: (x, y * np.nan), ValueError, ["whole numbers", r"y\[0\] is nan"]),
        (lambda x, y: (x, np.eye(3)[y]), ValueError, ["looks one-hot", "'categorical_cross"]),
        (lambda x, y: (x, x), ValueError, [r"class numbers of shape \(23,\)", r"\(23, 4\)"]),
        (lambda x, y: (x[:0], y[:0]), ValueError, ["x is empty"]),
        (lambda x, y: ([], []), ValueError, ["x is empty"]),
        (lambda x, y: (x.astype(str), y), TypeError, ["x holds strings", "float"]),
        (lambda x, y: (x, y.astype(str)), TypeError, ["y holds strings"]),
        (lambda x, y: (x.astype(object), y), TypeError, ["x holds Python objects", "astype"]),
        (lambda x, y: (x.astype(complex), y), TypeError, ["x holds complex"]),
        (lambda x, y: (x.astype("M8[s]"), y), TypeError, ["x holds datetime64"]),
        (lambda x, y: ([[1, 2], [3]], [0, 1]), ValueError, ["x cannot be made an array"]),
        (lambda x, y: (None, y), TypeError, ["x is None"]),
        (lambda x, y: (x, None), ValueError, ["y is missing"]),
        (lambda x, y: (3.0, 1), ValueError, ["x is a single number"]),
        (lambda x, y: ({"other": x}, y), ValueError, ["no entry for", "other"]),
    ],
)
def test_bad_data(method, change, error, words, trained, data):
    with bad(error, *words):
        getattr(trained, method)(*change(*data), **quiet(method))


@pytest.mark.parametrize("method", METHODS)
def test_scipy_sparse_matrices(method, trained, data):
    sparse = pytest.importorskip("scipy.sparse")
    x, y = data
    for kind in (sparse.csr_matrix, sparse.coo_array):
        with bad(TypeError, "sparse matrix", r"\.toarray\(\)"):
            getattr(trained, method)(kind(x), y, **quiet(method))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"batch_size": 0}, ValueError, ["batch_size", "at least 1", "not 0"]),
        ({"batch_size": -3}, ValueError, ["batch_size", "not -3"]),
        ({"batch_size": 2.5}, ValueError, ["batch_size", "whole number"]),
        ({"batch_size": "8"}, ValueError, ["batch_size", "'8'"]),
        ({"epochs": 0}, ValueError, ["epochs", "at least 1"]),
        ({"epochs": True}, ValueError, ["epochs", "True"]),
        ({"initial_epoch": -1}, ValueError, ["initial_epoch", "at least 0"]),
        ({"steps_per_epoch": 0}, ValueError, ["steps_per_epoch", "at least 1"]),
        ({"validation_split": 1.0}, ValueError, ["validation_split", "below 1"]),
        ({"validation_split": -0.1}, ValueError, ["validation_split", "at least 0"]),
        ({"validation_split": "half"}, ValueError, ["validation_split", "half"]),
        ({"validation_split": 0.99}, ValueError, ["leaves nothing"]),
        ({"validation_data": np.zeros((3, 4))}, ValueError, ["validation_data", r"tuple \(x, y\)"]),
        (
            {"validation_data": (np.zeros((3, 4)), [0, 1])},
            ValueError,
            ["validation_data: ", "x has 3, y has 2"],
        ),
        (
            {"validation_data": (np.zeros((2, 4)), [0, 7])},
            ValueError,
            ["validation_data: ", r"y\[1\] is 7"],
        ),
        ({"validation_split": 0.3, "validation_freq": 0}, ValueError, ["validation_freq"]),
        ({"validation_split": 0.3, "validation_batch_size": 0}, ValueError, ["batch_size"]),
        ({"validation_split": 0.3, "validation_steps": 0}, ValueError, ["validation_steps"]),
        ({"class_weight": "balanced"}, TypeError, ["class_weight", "dict"]),
        ({"class_weight": {"a": 1.0}}, ValueError, ["class_weight", "'a'"]),
        ({"class_weight": {0: -1.0}}, ValueError, ["class_weight", "at least 0"]),
        (
            {"class_weight": {0: 1.0}, "sample_weight": np.ones(23)},
            ValueError,
            ["class_weight and sample_weight"],
        ),
        ({"sample_weight": np.ones(4)}, ValueError, ["sample_weight has 4"]),
        ({"sample_weight": np.ones((23, 2))}, ValueError, [r"shape \(23,\)", r"\(23, 2\)"]),
        ({"sample_weight": [1.0] * 22 + [np.nan]}, ValueError, [r"sample_weight\[22\] is nan"]),
        ({"callbacks": ["log"]}, TypeError, ["callbacks", "'log'"]),
        ({"callbacks": hotloop.callbacks.History}, TypeError, ["History"]),
        ({"verbose": 7}, ValueError, ["verbose", "7"]),
    ],
)
def test_bad_options(options, error, words, trained, data):
    with bad(error, *words):
        trained.fit(*data, **{"verbose": 0, **options})


@pytest.mark.parametrize("size", [0, -1, 1.5, "all"])
def test_bad_batch_sizes_of_evaluate_and_predict(size, trained, data):
    with bad(ValueError, "batch_size", "at least 1"):
        trained.evaluate(*data, batch_size=size, verbose=0)
    with bad(ValueError, "batch_size", "at least 1"):
        trained.predict(data[0], batch_size=size, verbose=0)


def test_a_missing_flatten():
    """S3 given images: a model of 784 features on arrays of shape (n, 28, 28)."""
    layers = [Dense(256, "relu", input_shape=(784,)), Dense(128, "relu"), Dense(10, "softmax")]
    model = hotloop.Sequential(layers)
    model.compile("adam", SPARSE, metrics=["accuracy"])
    x, y = np.zeros((6, 28, 28), "uint8"), np.zeros(6, int)
    for method in (lambda: model.fit(x, y, epochs=5), lambda: model.predict(x), lambda: model(x)):
        with bad(
            ValueError, "Dense 'dense", "784 input features", r"\(6, 28, 28\)", r"add Flatten\(\)"
        ):
            method()
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize("loss", [SPARSE, "categorical_crossentropy"])
def test_a_missing_flatten_in_a_model_without_input_shape(loss):
    model = hotloop.Sequential([Dense(16, "relu"), Dense(10, "softmax")])
    model.compile("adam", loss)
    y = np.zeros(6, int) if loss == SPARSE else np.eye(10)[:6]
    with bad(ValueError, loss, r"is a Flatten\(\) missing"):
        model.fit(np.zeros((6, 28, 28)), y, verbose=0)


def test_class_numbers_given_to_other_losses(data):
    x, y = data
    for given in (y, y[:, None]):
        with bad(ValueError, r"y of shape \(23, 3\)", "'sparse_cat", r"to_categorical\(y, 3\)"):
            classifier("categorical_crossentropy").fit(x, given, verbose=0)
    with bad(ValueError, r"y of shape \(23, 2\)", "1 unit", "sparse_categorical"):
        classifier("binary_crossentropy", 2).fit(x, y % 2, verbose=0)
    with bad(ValueError, r"mean_squared_error expects y of shape \(23, 3\)", r"\(23, 4\)"):
        classifier("mse").fit(x, x, verbose=0)


def test_no_layers():
    with bad(ValueError, "has no layers", r"add\(\)"):
        hotloop.Sequential().predict(np.zeros((2, 4)), verbose=0)


def test_wrong_numbers_of_inputs_and_outputs(rng):
    a, b = Input((2,), name="a"), Input((3,), name="b")
    out = Dense(1, name="out")
    other = Dense(1, name="other")
    model = hotloop.Model([a, b], [out(a), other(b)])
    model.compile("sgd", ["mse", "mae"])
    x, y = [np.zeros((4, 2)), np.zeros((4, 3))], [np.zeros(4), np.zeros(4)]
    assert len(model.predict(x, verbose=0)) == 2
    assert len(model.evaluate({"a": x[0], "b": x[1]}, y, verbose=0)) == 3
    with bad(ValueError, "2 inputs", r"\(a, b\)"):
        model.predict(x[0], verbose=0)
    with bad(ValueError, "2 outputs", r"\(out, other\)"):
        model.fit(x, y[0], verbose=0)
    with bad(ValueError, "as many examples", r"x\[1\] has 3"):
        model.predict([x[0], x[1][:3]], verbose=0)
    with bad(ValueError, "class_weight", "single output"):
        model.fit(x, y, class_weight={0: 1.0}, verbose=0)


# ---------------------------------------------------------------- what people type


def test_a_program_from_memory(rng):
    keras = hotloop
    x, y = rng.normal(size=(40, 4)), rng.integers(0, 2, 40)
    model = keras.Sequential()
    model.add(keras.Input(shape=(4,)))
    model.add(keras.layers.Dense(10, activation=keras.activations.relu))
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    model.compile(
        optimizer=keras.optimizers.SGD(0.5),
        loss=keras.losses.BinaryCrossentropy(),
        metrics=["accuracy", keras.metrics.AUC()],
    )
    history = model.fit(x.tolist(), y.tolist(), epochs=2, batch_size=8, verbose=0).history
    auc = next(name for name in history if name.startswith("auc"))  # auc_1 for the second one
    assert list(history) == ["accuracy", auc, "loss"]
    assert model.count_params() == 4 * 10 + 10 + 10 + 1
    assert model.layers[0].get_weights()[0].shape == (4, 10)
    assert model.layers[0].kernel.shape == (4, 10)
    assert np.asarray(model.layers[0].bias).shape == (10,)
    assert model.predict(x[:1], verbose=0).shape == (1, 1)
    np.testing.assert_allclose(model(x[:1]), model.predict(x[:1], verbose=0), rtol=1e-6)
    assert model.metrics_names == ["loss", "accuracy", auc]
    score = model.evaluate(x, y, verbose=0)
    assert score[1] == np.mean((model.predict(x, verbose=0)[:, 0] > 0.5) == y)


def test_softmax_as_a_layer_of_its_own(data):
    x, y = data
    hotloop.utils.set_random_seed(5)
    model = hotloop.Sequential(
        [Flatten(input_shape=(4,)), Dense(6), Activation("relu"), Dense(3), Activation("softmax")]
    )
    model.compile("adam", SPARSE, metrics=["accuracy"])
    model.fit(x, y, shuffle=False, verbose=0)
    other = classifier()
    other.fit(x, y, shuffle=False, verbose=0)
    assert weights_are(model, other.get_weights())


def test_calling_a_model_in_training_mode(trained, data):
    np.testing.assert_array_equal(trained(data[0], training=False), trained(data[0]))
    np.testing.assert_allclose(trained(data[0], training=True), trained(data[0]), 1e-6)
    x = data[0]
    model = hotloop.Sequential([Input((4,)), hotloop.layers.BatchNormalization()])
    found, mean, var = model(x, training=True), x.mean(axis=0), x.var(axis=0)
    np.testing.assert_allclose(found, (x - mean) / np.sqrt(var + 1e-3), 1e-4, 1e-5)
    np.testing.assert_allclose(model.get_weights()[2], 0.01 * mean, 1e-4, 1e-6)
    np.testing.assert_allclose(model.get_weights()[3], 0.99 + 0.01 * var, 1e-5)


@pytest.mark.parametrize("watched", [False, True])
def test_another_thread_ends_a_fit(watched, backend):
    import threading

    model = hotloop.Sequential([Input((4,)), Dense(3), Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((64, 4), "float32")
    model.fit(x, x[:, 0], verbose=0)
    began, over = threading.Event(), threading.Event()

    class Began(hotloop.callbacks.Callback):
        passive = not watched

        def on_train_begin(self, logs=None):
            began.set()

    def cancel():
        assert began.wait(60)
        while not over.is_set():
            model.stop_training = True

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        history = model.fit(x, x[:, 0], epochs=10**7, verbose=0, callbacks=[Began()])
    finally:
        over.set()
        thread.join()
    assert 1 <= len(history.epoch) < 10**7
    assert len(history.history["loss"]) == len(history.epoch)
    assert np.isfinite(history.history["loss"]).all()
    # The next one runs, and what was asked of the last says nothing to an evaluation.
    assert model.fit(x, x[:, 0], epochs=3, verbose=0).epoch == [0, 1, 2]
    model.stop_training = True
    assert model.evaluate(np.ones((7, 4)), np.ones(7), batch_size=2, verbose=0) >= 0


def test_a_long_epoch_is_cut_short():
    model = hotloop.Sequential([Input((4,)), Dense(1, kernel_initializer="zeros")])
    model.compile(hotloop.optimizers.SGD(0.0), "mse")
    x = np.ones((10, 4), "float32")

    class Cancel(hotloop.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 2

    history = model.fit(x, x[:, 0], batch_size=2, epochs=4, verbose=0, callbacks=[Cancel()])
    assert model.optimizer.iterations == 3
    assert history.history == {"loss": [1.0]}
