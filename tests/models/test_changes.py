"""What callbacks and other threads change while a model runs: heeded, or refused; as in Keras."""

import itertools
import threading
import time
import warnings

import numpy as np
import pytest

import hotloop
from hotloop import layers, optimizers
from hotloop.callbacks import Callback, LambdaCallback

X, Y = np.ones((8, 3), "f4"), np.full((8, 1), 2.0, "f4")


def model(package=hotloop):
    made = package.Sequential(
        [package.layers.Input((3,)), package.layers.Dense(4), package.layers.Dense(1)]
    )
    made.compile(package.optimizers.SGD(0.01), "mse")
    start = [np.full(w.shape, 0.1, "f4") for w in made.get_weights()]
    made.set_weights(start)
    return made


def batches(count=None):
    counted = itertools.count() if count is None else range(count)
    return ((X[:2], Y[:2]) for _ in counted)


def at(hook, when, do, package=hotloop):
    """A callback that does something at one call of a hook."""
    made = package.callbacks.Callback()
    calls = itertools.count()

    def call(*position, logs=None):
        if next(calls) == when:
            do(made.model)

    setattr(made, hook, lambda *given, **logs: call(*given))
    return made


HOOKS = ["on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_batch_begin"]
HOOKS += ["on_train_batch_end", "on_test_begin", "on_test_batch_end", "on_test_end"]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("generated", [False, True])
@pytest.mark.parametrize(
    ("what", "do"),
    [
        ("compile", lambda m: m.compile("adam", "mse")),
        ("add", lambda m: m.add(layers.Dense(1))),
        ("pop", lambda m: m.pop()),
    ],
)
def test_a_fit_refuses_what_it_cannot_heed(hook, generated, what, do):
    one = model()
    before = one.optimizer
    data = {"x": batches(8), "steps_per_epoch": 2} if generated else {"x": X, "y": Y}
    with pytest.raises(
        RuntimeError, match=rf"{what}\(\) cannot be called while (fit|evaluate)\(\)"
    ):
        one.fit(**data, validation_data=(X, Y), epochs=2, verbose=0, callbacks=[at(hook, 0, do)])
    assert one.optimizer is before
    assert len(one.layers) == 2
    one.compile("adam", "mse")  # it is over, however it ended
    one.fit(X, Y, verbose=0)


def test_a_fit_refuses_it_in_another_thread_too():
    one = model()
    told = []

    def compile_it(trained):
        def run():
            try:
                trained.compile("adam", "mse")
            except RuntimeError as error:
                told.append(str(error))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

    one.fit(X, Y, verbose=0, callbacks=[at("on_epoch_begin", 0, compile_it)])
    assert "compile() cannot be called while fit() is running" in told[0]


@pytest.mark.parametrize(
    ("method", "hook"),
    [("evaluate", "on_test_batch_end"), ("predict", "on_predict_batch_end")],
)
@pytest.mark.parametrize("generated", [False, True])
def test_evaluate_and_predict_keep_their_layers(method, hook, generated):
    one = model()
    data = (
        {"x": batches(3)} if generated else {"x": X, "y": Y} if method == "evaluate" else {"x": X}
    )
    expected = getattr(one, method)(**data, verbose=0)
    for do in (lambda m: m.add(layers.Dense(1)), lambda m: m.pop()):
        data |= {"x": batches(3)} if generated else {}
        with pytest.raises(RuntimeError, match=rf"cannot be called while {method}\(\) is running"):
            getattr(one, method)(**data, verbose=0, callbacks=[at(hook, 0, do)])
    data |= {"x": batches(3)} if generated else {}
    new = at(hook, 0, lambda m: m.compile("adam", "mae"))
    np.testing.assert_array_equal(
        getattr(one, method)(**data, verbose=0, callbacks=[new]), expected
    )
    assert type(one.optimizer).__name__ == "Adam"
    assert one.evaluate(X, Y, verbose=0) != expected if method == "evaluate" else True


def course(package, do, generated):
    """The first weight after each of 5 epochs, in the second of which something is changed."""
    one = model(package)
    found = []
    note = package.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: found.append([w.copy() for w in one.get_weights()])
    )
    change = at("on_epoch_end", 1, lambda m: do(package, m), package)
    data = {"x": batches(10), "steps_per_epoch": 2} if generated else {"x": X, "y": Y}
    one.fit(**data, epochs=5, shuffle=False, verbose=0, callbacks=[note, change])
    return found, int(one.optimizer.iterations)


def freeze(package, trained):
    trained.layers[0].trainable = False


def new_optimizer(package, trained):
    trained.optimizer = package.optimizers.Adam(0.1)


def new_rate(package, trained):
    trained.optimizer.learning_rate = 0.002


def new_weights(package, trained):
    trained.set_weights([w * 0.5 for w in trained.get_weights()])


def new_kernel(package, trained):
    trained.layers[1].set_weights([np.full((4, 1), 0.3), np.zeros(1)])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("do", [freeze, new_optimizer, new_rate, new_weights, new_kernel])
@pytest.mark.parametrize("generated", [False, True])
def test_changes_between_epochs_are_heeded_as_in_keras(do, generated):
    keras = pytest.importorskip("keras")
    (ours, steps), (theirs, their_steps) = (
        course(package, do, generated) for package in (hotloop, keras)
    )
    assert steps == their_steps
    for one, other in zip(ours, theirs, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("generated", [False, True])
def test_a_layer_frozen_within_an_epoch_is_trained_to_its_end(generated, backend):
    one = model()
    first, found = one.layers[0], []
    note = LambdaCallback(on_train_batch_end=lambda b, logs: found.append(first.get_weights()[0]))
    change = at("on_train_batch_end", 0, lambda m: setattr(first, "trainable", False))
    data = {"x": batches(8), "steps_per_epoch": 4} if generated else {"x": X, "y": Y}
    data |= {} if generated else {"batch_size": 2}
    one.fit(**data, epochs=2, verbose=0, callbacks=[note, change])
    moved = [bool((a != b).any()) for a, b in itertools.pairwise(found)]
    assert moved == [True] * 3 + [False] * 4
    first.trainable = True
    one.fit(X, Y, verbose=0)
    assert (first.get_weights()[0] != found[-1]).any()


def test_a_weight_that_is_frozen_alone_stays(backend):
    one = model()
    one.fit(X, Y, verbose=0)
    one.layers[0].weights[0].trainable = False
    before = one.get_weights()
    one.fit(X, Y, verbose=0)
    moved = [bool((a != b).any()) for a, b in zip(before, one.get_weights(), strict=True)]
    assert moved == [False, True, True, True]


def test_a_new_optimizer_trains_from_then_on(backend):
    one = model()
    one.train_on_batch(X, Y)
    one.optimizer = optimizers.SGD(0.0)
    before = one.get_weights()
    one.train_on_batch(X, Y)
    for a, b in zip(before, one.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.optimizer.iterations == 1
    one.optimizer = "adam"
    assert isinstance(one.optimizer, optimizers.Adam)
    with pytest.raises(ValueError, match="adan"):
        one.optimizer = "adan"


def test_another_thread_freezes_a_layer_of_a_fit_that_nobody_watches(backend):
    one, seen = model(), []

    def freeze():
        while one.optimizer.iterations < 100:
            time.sleep(0.01)
        one.layers[0].trainable = False
        for _ in range(50):  # a new plan takes its time
            one.set_weights([np.full(w.shape, 0.3) for w in one.get_weights()])
            time.sleep(0.3)
            seen[:] = one.get_weights()
            # A step of the old plan may have been in the middle of its updates.
            frozen = all((w == np.float32(0.3)).all() for w in seen[:2])
            if frozen and (seen[2] != np.float32(0.3)).any():
                break
        one.stop_training = True

    thread = threading.Thread(target=freeze)
    thread.start()
    one.fit(X, Y, epochs=10_000_000, verbose=0)
    thread.join()
    assert [bool((w == np.float32(0.3)).all()) for w in seen] == [True, True, False, False]


# ------------------------------------------------------------------ stopping


class Stop(Callback):
    def on_test_batch_end(self, batch, logs=None):
        self.model.stop_evaluating = batch == 2

    def on_predict_batch_end(self, batch, logs=None):
        self.model.stop_predicting = batch == 2


def test_a_callback_ends_evaluate_and_predict():
    one = model()
    for data in ({"x": batches()}, {"x": X, "y": Y, "batch_size": 2}):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert one.evaluate(**data, verbose=0, callbacks=[Stop()]) == pytest.approx(
                one.evaluate(X[:6], Y[:6], verbose=0)
            )
    rows = np.random.default_rng(0).normal(size=(8, 3))
    endless = (rows[i % 4 * 2 : i % 4 * 2 + 2] for i in itertools.count())
    for data in ({"x": endless}, {"x": rows, "batch_size": 2}):
        found = one.predict(**data, verbose=0, callbacks=[Stop()])
        np.testing.assert_allclose(found, one.predict(rows[:6], verbose=0), rtol=1e-6)
    assert len(one.predict(rows, batch_size=2, verbose=0)) == 8  # said anew each time


@pytest.mark.parametrize(
    ("method", "flag"), [("evaluate", "stop_evaluating"), ("predict", "stop_predicting")]
)
@pytest.mark.parametrize("generated", [False, True])
def test_another_thread_ends_evaluate_and_predict(method, flag, generated):
    one = model()
    rows = 4_000_000
    given = np.broadcast_to(np.float32(1), (rows, 3))
    data = (
        {"x": given} if method == "predict" else {"x": given, "y": np.broadcast_to(Y[0], (rows, 1))}
    )
    data = {"x": batches()} if generated else data | {"batch_size": 1}
    begun = threading.Event()
    hook = "on_test_begin" if method == "evaluate" else "on_predict_begin"

    def stop():
        begun.wait()
        setattr(one, flag, True)

    thread = threading.Thread(target=stop)
    thread.start()
    found = getattr(one, method)(**data, verbose=0, callbacks=[at(hook, 0, lambda m: begun.set())])
    thread.join()
    if method == "evaluate":
        assert found == pytest.approx(one.evaluate(X, Y, verbose=0), rel=1e-3)
    else:
        assert 0 < len(found) < rows
        np.testing.assert_array_equal(found, np.full_like(found, found[0, 0]))


def test_a_fit_that_was_stopped_cuts_no_evaluation_short():
    one = model()
    one.fit(
        X,
        Y,
        verbose=0,
        callbacks=[at("on_epoch_end", 0, lambda m: setattr(m, "stop_training", True))],
    )
    seen = []
    count = LambdaCallback(on_test_batch_end=lambda batch, logs: seen.append(batch))
    one.evaluate(X, Y, batch_size=2, verbose=0, callbacks=[count])
    assert seen == [0, 1, 2, 3]


# ---------------------------------------------------- models with nothing to train


@pytest.mark.parametrize(
    "train",
    [
        lambda m: m.fit(X, Y, verbose=0),
        lambda m: m.fit(batches(3), verbose=0),
        lambda m: m.train_on_batch(X, Y),
    ],
)
def test_a_model_with_nothing_to_train_says_so(train):
    one = model()
    one.trainable = False
    with pytest.warns(UserWarning, match="has no trainable weights, so training changes") as told:
        train(one)
    assert told[0].filename == __file__
    for layer in one.layers:
        layer.trainable = True
    one.trainable = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(one)


def gan(package, *, thaw):
    """Which of discriminator and both is trained by whom, put together in the old way."""
    kinds = package.layers
    start = np.full((3, 3), 0.1), np.full(3, 0.1)
    generator = package.Sequential([kinds.Input((3,)), kinds.Dense(3)])
    judge = package.Sequential([kinds.Input((3,)), kinds.Dense(1)])
    generator.set_weights(start)
    judge.set_weights([np.full((3, 1), 0.1), np.zeros(1)])
    judge.compile(package.optimizers.SGD(0.01), "mse")
    judge.trainable = False
    both = package.Sequential([generator, judge])
    both.compile(package.optimizers.SGD(0.01), "mse")
    found = []
    for _ in range(2):
        if thaw:
            judge.trainable = True
        judge.train_on_batch(X, Y)
        found += [w.copy() for w in judge.get_weights()]
        if thaw:
            judge.trainable = False
        both.train_on_batch(X, Y)
        found += [w.copy() for w in both.get_weights()]
    return found


@pytest.mark.parametrize("thaw", [False, True])
def test_a_gan_trains_what_keras_trains(thaw):
    keras = pytest.importorskip("keras")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        ours = gan(hotloop, thaw=thaw)
    assert any("no trainable weights" in str(w.message) for w in told) != thaw
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = gan(keras, thaw=thaw)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
