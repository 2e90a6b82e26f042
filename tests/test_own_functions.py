"""Activations and losses of one's own in models: the same numbers as built-in ones, everywhere."""

from __future__ import annotations

import json
import math
import os
import pickle
import subprocess
import sys
import threading
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest
from concurrency import in_child

import hotloop
from hotloop import activations, backends, config, losses, optimizers
from hotloop.backends import differences, own
from hotloop.layers import Activation, Dense, Input, Lambda

DTYPES = ["float32", "float64"]


def own_silu(x):
    return x / (1.0 + math.exp(-x))


def own_silu_slope(x):
    s = 1.0 / (1.0 + math.exp(-x))
    return s * (1.0 + x * (1.0 - s))


def own_squared_error(y_true, y_pred):
    return (y_true - y_pred) ** 2


def own_huber(y_true, y_pred):
    error = y_pred - y_true
    if abs(error) <= 1.0:
        return 0.5 * error**2
    return abs(error) - 0.5


def mean_squares(y_true, y_pred):
    return np.mean((y_true - y_pred) ** 2, axis=-1)


def mean_squares_slope(y_true, y_pred):
    return 2.0 * (y_pred - y_true) / y_pred.shape[-1]


@pytest.fixture(autouse=True)
def _names():
    """Names that are registered in a test are forgotten after it, and it knows no others."""
    tables = [activations._REGISTERED, losses._REGISTERED]
    before = [dict(table) for table in tables]
    for table in tables:
        table.clear()
    yield
    for table, names in zip(tables, before, strict=True):
        table.clear()
        table.update(names)


@pytest.fixture
def threads():
    before = config.num_threads()
    yield config.set_num_threads
    config.set_num_threads(before)


def data(dims=(7,), outputs=5, rows=50):
    rng = np.random.default_rng(5)
    return rng.normal(size=(rows, *dims)), rng.normal(size=(rows, *dims[:-1], outputs))


def trained(activation, loss, dtype, x, y, extra=(), **options):
    """Weights, predictions and logs of a small model after two epochs."""
    hotloop.utils.set_random_seed(8)
    layers = [Dense(11, activation, dtype=dtype), *extra, Dense(y.shape[-1], dtype=dtype)]
    model = hotloop.Sequential([Input(x.shape[1:], dtype=dtype), *layers])
    model.compile(optimizers.Adam(0.01), loss)
    history = model.fit(x, y, 16, epochs=2, verbose=0, validation_split=0.2, **options).history
    logs = [np.array(values) for values in history.values()]
    return [*model.get_weights(), model.predict(x, verbose=0), *logs]


def assert_same(ours, truth, dtype):
    tolerance = 2e-4 if dtype == "float32" else 1e-9
    for a, b in zip(ours, truth, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# ----------------------------------------------------------------- as built-in ones


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dims", [(7,), (3, 4)])
def test_an_activation_by_name_function_and_layer(backend, dtype, dims):
    x, y = data(dims)
    truth = trained("silu", "mse", dtype, x, y)
    registered = activations.register("own_silu", own_silu)
    assert activations.get("own_silu") is activations.get(own_silu) is registered
    for activation in ("own_silu", own_silu, lambda x: x / (1.0 + math.exp(-x))):
        assert_same(trained(activation, "mse", dtype, x, y), truth, dtype)
    for layer in (Activation("own_silu", dtype=dtype), Activation(own_silu, dtype=dtype)):
        assert_same(trained(None, "mse", dtype, x, y, [layer]), truth, dtype)
    given = activations.register("given", own_silu, derivative=own_silu_slope)
    assert_same(trained(given, "mse", dtype, x, y), truth, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dims", [(7,), (3, 4)])
def test_a_scalar_loss(backend, dtype, reduction, weighted, dims):
    x, y = data(dims)
    weight = np.linspace(0.0, 2.0, len(x)) if weighted else None
    truth = trained("tanh", losses.Huber(reduction=reduction), dtype, x, y, sample_weight=weight)
    loss = losses.ScalarLoss(own_huber, reduction=reduction)
    assert_same(trained("tanh", loss, dtype, x, y, sample_weight=weight), truth, dtype)


@pytest.mark.parametrize("outputs", [1, 5, 1500])
def test_losses_of_many_widths(backend, outputs):
    x, y = data(outputs=outputs)
    weight = np.linspace(0.5, 2.0, len(x))
    for options in ({}, {"sample_weight": weight}):
        truth = trained("tanh", "mse", "float64", x, y, **options)
        ours = trained("tanh", own_squared_error, "float64", x, y, **options)
        assert_same(ours, truth, "float64")


@pytest.mark.filterwarnings("ignore:the loss")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dims", [(7,), (3, 4)])
def test_an_array_loss(backend, dtype, dims):
    x, y = data(dims)
    for options in ({}, {"sample_weight": np.linspace(0.0, 2.0, len(x))}):
        truth = trained("tanh", "mse", dtype, x, y, **options)
        loss = losses.ArrayLoss(mean_squares, mean_squares_slope)
        assert_same(trained("tanh", loss, dtype, x, y, **options), truth, dtype)


@pytest.mark.filterwarnings("ignore:the loss")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dims", [(7,), (3, 4)])
def test_an_array_function_as_keras_has_it(backend, dtype, dims):
    x, y = data(dims)
    for options in ({}, {"sample_weight": np.linspace(0.0, 2.0, len(x))}):
        truth = trained("tanh", "mse", dtype, x, y, **options)
        assert_same(trained("tanh", mean_squares, dtype, x, y, **options), truth, dtype)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (9, 1), (33, 17), (4, 3, 5), (0, 3)])
@pytest.mark.parametrize("at_once", [1, 300, 2**20])
def test_differences_of_array_functions(monkeypatch, shape, at_once):
    monkeypatch.setattr(differences, "_AT_ONCE", at_once)
    rng = np.random.default_rng(5)
    y, p = rng.integers(0, 2, shape), rng.uniform(1e-6, 1 - 1e-6, shape)
    p[: len(p) // 2, ..., -1] = 1e-6 * rng.uniform(0.1, 1.0, p[: len(p) // 2, ..., -1].shape)

    def entropy(y, p):
        return -np.mean(y * np.log(p) + (1 - y) * np.log1p(-p), axis=-1)

    found = differences.slopes(entropy, y, p, "entropy")
    np.testing.assert_allclose(found, ((1 - y) / (1 - p) - y / p) / shape[-1], 1e-3, 1e-7)
    for large in (1.0, 1e6):
        y, p = large * rng.normal(size=(2, *shape))
        found = differences.slopes(mean_squares, y, p, "mean_squares")
        np.testing.assert_allclose(found, mean_squares_slope(y, p), 1e-6, 1e-6 * large)


def test_differences_at_the_end_of_what_is_finite():
    p = np.array([[0.0, 1.0], [1.0, 0.25]])
    found = differences.slopes(lambda y, p: np.sum(np.sqrt(1 - p), axis=-1), p, p, "root")
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[[0, 1], [0, 1]], [-0.5, -0.5 / np.sqrt(0.75)], 1e-6)
    assert (found[[0, 1], [1, 0]] < -100).all()  # infinite, and an end of the range
    nowhere = differences.slopes(lambda y, p: np.sum(np.log(-p), axis=-1), p, p + 1, "nowhere")
    assert np.isnan(nowhere).all()


@pytest.mark.filterwarnings("ignore:the loss")
def test_an_array_loss_of_rows_together_needs_its_gradient(backend):
    def against_the_mean(y_true, y_pred):
        return np.mean((y_pred - y_pred.mean(axis=0)) ** 2, axis=-1)

    x, y = data()
    model = hotloop.Sequential([Input((7,)), Dense(5)])
    model.compile("sgd", against_the_mean)
    assert model.evaluate(x, y, verbose=0) > 0
    before = model.get_weights()
    with pytest.raises(ValueError, match="against_the_mean: the value of a row changes with the"):
        model.fit(x, y, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
def test_arrays_of_any_shape_and_layout(backend, shape):
    f = activations.get(lambda x: x**3)
    x = np.random.default_rng(0).normal(size=shape)
    np.testing.assert_allclose(f(x), x**3)
    np.testing.assert_allclose(f(x.T), x.T**3)
    fixed = x.astype(np.float32)
    fixed.flags.writeable = False
    assert f(fixed).dtype == np.float32
    assert f(fixed).shape == shape


def test_by_hand(backend):
    activations.register("cube", lambda x: x**3)
    np.testing.assert_array_equal(activations.get("cube")([2.0, -1.0]), [8.0, -1.0])
    np.testing.assert_array_equal(Activation("cube")([[2.0, -3.0]]), [[8.0, -27.0]])
    loss = losses.register("cubed", lambda y, p: abs(y - p) ** 3)
    np.testing.assert_allclose(loss.values([[0, 1], [2, 2]], [[2, 1], [2, 3]]), [4.0, 0.5])
    assert loss([[0.0, 1.0]], [[2.0, 1.0]], sample_weight=[0.5]) == 2.0
    array = losses.ArrayLoss(mean_squares)
    np.testing.assert_allclose(array.values([[0, 1], [2, 2]], [[2, 1], [2, 3]]), [2.0, 0.5])


def test_several_outputs_with_losses_of_every_kind(backend):
    def model(kinds):
        hotloop.utils.set_random_seed(4)
        x = Input((7,))
        hidden = Dense(9, "tanh")(x)
        found = hotloop.Model(x, [Dense(5, name="a")(hidden), Dense(2, name="b")(hidden)])
        found.compile("sgd", kinds, loss_weights=[0.5, 2.0])
        return found

    x, y = data(outputs=7)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        array = losses.ArrayLoss(mean_squares, mean_squares_slope)
        for kinds in (["mse", "mse"], [own_squared_error, array]):
            one = model(kinds)
            history = one.fit(x, [y[:, :5], y[:, 5:]], epochs=2, verbose=0).history
            found.append([*one.get_weights(), *map(np.array, history.values())])
    assert_same(found[1], found[0], "float32")


# ------------------------------------------------------------------ plans and profiles


def test_the_profile_shows_who_does_what(backend):
    x, y = data()
    activations.register("own_silu", own_silu)
    layers = [Input((7,)), Dense(9, "own_silu"), Dense(5)]
    model = hotloop.Sequential(layers)
    model.compile("sgd", own_huber)
    by = {row.op: row.backend for row in model.profile(x, y, steps=2).rows}
    server = "numba" if own.has_numba() else "python"
    assert [by[op] for op in ("own_silu", "own_silu_gradient", "own_huber")] == [server] * 3
    assert "python" not in by.values() or not own.has_numba()


def test_python_steps_are_shown_as_such(backend):
    x, y = data()
    layers = [Input((7,)), Dense(9), Lambda(np.tanh, gradient=lambda x, dy: dy), Dense(5)]
    model = hotloop.Sequential(layers)
    model.compile("sgd", losses.ArrayLoss(mean_squares, mean_squares_slope))
    with pytest.warns(UserWarning, match="the loss 'mean_squares' runs in Python"):
        profile = model.profile(x, y, steps=2)
    by = {row.op: row.backend for row in profile.rows}
    assert [by[op] for op in ("lambda", "lambda_gradient", "mean_squares")] == ["python"] * 3


def test_an_array_loss_warns_once():
    loss = losses.ArrayLoss(mean_squares, mean_squares_slope)
    x, y = data()
    with pytest.warns(UserWarning, match="a scalar function of y_true and y_pred would be.*d$"):
        trained("tanh", loss, "float32", x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained("tanh", loss, "float32", x, y)


def test_show_config_lists_them(capsys):
    hotloop.show_config()
    assert "own functions" not in capsys.readouterr().out
    activations.register("own_silu", own_silu)
    losses.register("own_huber", own_huber)
    hotloop.show_config()
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("own functions")
    assert lines[at + 1].startswith("  activation 'own_silu'")
    assert lines[at + 2].startswith("  loss 'own_huber'")


# ------------------------------------------------------------------------ threads


def big_model():
    hotloop.utils.set_random_seed(6)
    x, y = data((131,), 35, rows=400)

    def halves(x):
        return 0.5 * x

    layers = [
        Input((131,)),
        Dense(129, own_silu),
        Lambda(halves, gradient=lambda x, dy: 0.5 * dy),
        Dense(67, own_silu),
        Dense(35),
    ]
    model = hotloop.Sequential(layers)
    return model, x, y


@pytest.mark.filterwarnings("ignore:the loss")
@pytest.mark.parametrize("scalar", [True, False])
def test_threads_change_no_bit(backend, threads, scalar):
    found = []
    for n in (1, 2, 3, 8):
        threads(n)
        model, x, y = big_model()
        loss = own_huber if scalar else losses.ArrayLoss(mean_squares, mean_squares_slope)
        model.compile(optimizers.Adam(0.01), loss)
        history = model.fit(x, y, 96, epochs=2, verbose=0, sample_weight=np.linspace(0, 1, len(x)))
        found.append([*model.get_weights(), np.array(history.history["loss"])])
    for other in found[1:]:
        for a, b in zip(other, found[0], strict=True):
            np.testing.assert_array_equal(a, b)


def test_another_thread_works_meanwhile():
    if backends.current() != "cython" or not own.has_numba():
        pytest.skip("only compiled steps hold no GIL")
    x, y = data((131,), 35, rows=400)
    model = hotloop.Sequential([Input((131,)), Dense(129, own_silu), Dense(35)])
    model.compile("sgd", own_huber)
    model.fit(x, y, 400, verbose=0)
    ready = next(iter(model._plans))
    objective = model._compilation.newest
    feed = hotloop.data.feed.Feed([x, *objective.feeds([y], None)], len(x))
    counted, counts, over = 0, [], threading.Event()

    def run():
        # One call of the executor, which returns to Python at its end and not before.
        before = counted
        ready.executors[0].run(feed, 0, 300, np.zeros(300))
        counts.append(counted - before)
        over.set()

    worker = threading.Thread(target=run)
    worker.start()
    while not over.is_set():
        counted += 1
    worker.join()
    assert counts[0] > 1000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_trains_to_the_same_bits(tmp_path):
    def weights():
        model, x, y = big_model()
        model.compile("sgd", own_huber)
        model.fit(x, y, 96, verbose=0)
        return model.get_weights()

    ours = weights()
    in_child(lambda: np.savez(tmp_path / "child.npz", *weights()))
    with np.load(tmp_path / "child.npz") as theirs:
        for a, b in zip(ours, theirs.values(), strict=True):
            np.testing.assert_array_equal(a, b)


# ------------------------------------------------------------- errors in Python steps


class Failing:
    """A function that raises at its third call."""

    def __init__(self, function, error):
        self.calls, self.function, self.error = 0, function, error

    def __call__(self, *arrays):
        self.calls += 1
        if self.calls == 3:
            raise self.error
        return self.function(*arrays)


@pytest.mark.filterwarnings("ignore:the loss")
@pytest.mark.parametrize("where", ["function", "gradient", "loss", "loss gradient"])
@pytest.mark.parametrize("n", [1, 3])
def test_an_error_reaches_the_caller_and_no_weight_is_half_updated(backend, threads, where, n):
    threads(n)
    error = RuntimeError("in my function")
    fails = Failing({
        "function": lambda x: 2.0 * x, "gradient": lambda x, dy: 2.0 * dy,
        "loss": mean_squares, "loss gradient": mean_squares_slope,
    }[where], error)  # fmt: skip
    parts = {"function": lambda x: 2.0 * x, "gradient": lambda x, dy: 2.0 * dy}
    parts |= {"loss": mean_squares, "loss gradient": mean_squares_slope, where: fails}
    x, y = data((131,), 35, rows=96 * 3)
    double = Lambda(parts["function"], output_shape=(129,), gradient=parts["gradient"])
    model = hotloop.Sequential([Input((131,)), Dense(129, "tanh"), double, Dense(35)])
    model.compile("adam", losses.ArrayLoss(parts["loss"], parts["loss gradient"]))
    before = []

    class Watch(hotloop.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            before[:] = [w.copy() for w in self.model.get_weights()]

    with pytest.raises(RuntimeError, match="in my function") as raised:
        model.fit(x, y, 96, verbose=0, callbacks=[Watch()], shuffle=False)
    assert raised.value is error
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert names[-1] == "__call__"
    assert model.optimizer.iterations == 2
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    # Batches are counted from where it stopped, and the model goes on.
    model.fit(x, y, 96, verbose=0)
    assert model.optimizer.iterations == 5
    assert np.isfinite(model.predict(x, verbose=0)).all()


def test_an_interrupt_inside_of_a_python_step(backend):
    def interrupted(x):
        raise KeyboardInterrupt

    model = hotloop.Sequential([Input((3,)), Lambda(interrupted, output_shape=(3,))])
    with pytest.raises(KeyboardInterrupt):
        model.predict(np.ones((2, 3)), verbose=0)


def test_a_model_predicts_inside_of_a_step_of_another(backend):
    inner = hotloop.Sequential([Input((3,)), Dense(3, "tanh")])
    outer = hotloop.Sequential([Input((3,)), Lambda(lambda x: inner.predict(x, verbose=0))])
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    np.testing.assert_array_equal(outer.predict(x, verbose=0), inner.predict(x, verbose=0))


def test_numbers_below_the_smallest_normal_one_are_kept_in_python(backend):
    model = hotloop.Sequential([Input((1,)), Lambda(lambda x: x * 0 + np.float32(1e-40) * 2 > 0)])
    assert model.predict(np.ones((1, 1)), verbose=0) == 1.0


# ------------------------------------------------------------------------ what is refused


def test_names(backend):
    for module, taken in ((activations, "relu"), (losses, "mse")):
        with pytest.raises(ValueError, match="register yours by another name"):
            module.register(taken, own_silu)
        with pytest.raises(ValueError, match="must be a string, not 3"):
            module.register(3, own_silu)
    with pytest.raises(ValueError, match=r"Unknown activation 'swosh'.*activations.register"):
        Dense(3, "swosh")
    activations.register("swoosh", own_silu)
    with pytest.raises(ValueError, match="Did you mean 'swoosh'"):
        Dense(3, "swosh")
    again = activations.register("swoosh", own_silu)
    assert activations.get("swoosh") is again


def test_a_function_that_is_no_loss_says_what_to_do():
    def mean_of_all(y_true, y_pred):
        return np.mean((y_true - y_pred) ** 2)

    model = hotloop.Sequential([Input((3,)), Dense(2)])
    with pytest.raises(ValueError, match=r"line \d+ of test_own_functions.py") as raised:
        model.compile("sgd", mean_of_all)
    assert "must return one value for each row" in str(raised.value)
    assert "np.mean((y_true - y_pred) ** 2)" in str(raised.value)


def test_an_activation_that_is_neither():
    def broken(x):
        return np.fft.fft(x)

    with pytest.raises(TypeError, match=r"'broken' is neither made of .* 'np.fft.fft\(x\)' cannot"):
        hotloop.Sequential([Input((3,)), Dense(2, broken)])


def test_activations_made_of_activations_are_as_before(backend):
    model = hotloop.Sequential([Input((3,)), Dense(2, lambda x: activations.relu(x, 0.1))])
    truth = hotloop.Sequential([Input((3,)), Dense(2, lambda x: activations.leaky_relu(x, 0.1))])
    truth.set_weights(model.get_weights())
    x = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_array_equal(model.predict(x, verbose=0), truth.predict(x, verbose=0))


@pytest.mark.filterwarnings("ignore:the loss")
def test_an_array_loss_that_returns_another_shape(backend):
    x, y = data()
    model = hotloop.Sequential([Input((7,)), Dense(5)])
    model.compile("sgd", losses.ArrayLoss(lambda y, p: np.mean((y - p) ** 2)))
    with pytest.raises(ValueError, match=r"one value for each row of y_pred, .*\(32,\), not \(\)"):
        model.evaluate(x, y, verbose=0)
    model.compile("sgd", losses.ArrayLoss(mean_squares, lambda y, p: y[:1]))
    with pytest.raises(ValueError, match=r"shape of y_pred, \(32, 5\), not \(1, 5\)"):
        model.fit(x, y, verbose=0)
    for wrong in ({"function": 3}, {"function": mean_squares, "gradient": 3}):
        with pytest.raises(TypeError, match="must be a function, not 3"):
            losses.ArrayLoss(**wrong)


# ------------------------------------------------------------------------------ files


def saved(path, activation, loss):
    model = hotloop.Sequential([Input((7,)), Dense(9, activation), Dense(5)])
    model.compile("adam", loss)
    x, y = data()
    model.fit(x, y, verbose=0)
    model.save(path)
    return model, x, y


def test_registered_functions_are_saved_by_name(tmp_path):
    activations.register("own_silu", own_silu)
    losses.register("own_huber", own_huber)
    model, x, y = saved(tmp_path / "m.hotloop", own_silu, losses.ScalarLoss("own_huber"))
    again = hotloop.models.load_model(tmp_path / "m.hotloop")
    for one in (model, again):
        one.fit(x, y, 25, shuffle=False, verbose=0)
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    activations._REGISTERED.clear()
    with pytest.raises(ValueError, match="must first be registered"):
        hotloop.models.load_model(tmp_path / "m.hotloop")
    activations.register("own_silu", own_silu)
    losses._REGISTERED.clear()
    with pytest.raises(ValueError, match="'own_huber'"):
        hotloop.models.load_model(tmp_path / "m.hotloop")


def test_a_loss_given_by_its_name_or_as_a_function(tmp_path):
    losses.register("mine", own_huber)
    for given in ("mine", own_huber):
        saved(tmp_path / "m.hotloop", "tanh", given)
        again = hotloop.models.load_model(tmp_path / "m.hotloop")
        assert losses.get(again.compile_arguments()["loss"]).scalar.function is own_huber


@pytest.mark.parametrize(
    ("activation", "loss"),
    [(own_silu, "mse"), ("tanh", losses.ScalarLoss(own_huber)), ("tanh", own_huber)],
)
def test_functions_are_saved_by_their_names(tmp_path, activation, loss):
    saved(tmp_path / "m.hotloop", activation, loss)
    with pytest.raises(ValueError, match=r"own_(silu|huber).*custom_objects"):
        hotloop.models.load_model(tmp_path / "m.hotloop")
    own = {"own_silu": own_silu, "own_huber": own_huber}
    again = hotloop.models.load_model(tmp_path / "m.hotloop", custom_objects=own)
    if loss != "mse":
        assert losses.get(again.compile_arguments()["loss"]).scalar.function is own_huber


def test_a_clone_needs_no_name():
    model = hotloop.Sequential([Input((7,)), Dense(9, own_silu), Dense(5)])
    copy = hotloop.models.clone_model(model)
    copy.set_weights(model.get_weights())
    x, _ = data()
    np.testing.assert_array_equal(copy.predict(x, verbose=0), model.predict(x, verbose=0))


def test_pickling_activations():
    named = activations.register("own_silu", own_silu)
    assert pickle.loads(pickle.dumps(named)) is named
    alone = pickle.loads(pickle.dumps(activations.get(own_huber_of_zero)))
    np.testing.assert_array_equal(alone([3.0]), [2.5])


def own_huber_of_zero(x):
    return own_huber(0.0, x)


def test_configurations_of_losses():
    for loss in (
        losses.ScalarLoss(own_huber, reduction="sum", name="mine"),
        losses.ArrayLoss(mean_squares, mean_squares_slope),
    ):
        again = losses.get({"class_name": type(loss).__name__, "config": loss.get_config()})
        assert again.get_config() == loss.get_config()
        assert again([[1.0]], [[3.0]]) == loss([[1.0]], [[3.0]])


# ------------------------------------------------------- without numba, without memory

WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None
import json, math
import numpy as np
import hotloop
def silu(x):
    return x / (1.0 + math.exp(-x))
def squares(y, p):
    return (y - p) ** 2
hotloop.activations.register("own", silu)
x = np.random.default_rng(0).normal(size=(64, 5)).astype("float32")
found = []
for activation, loss in (("silu", "mse"), ("own", squares)):
    hotloop.utils.set_random_seed(1)
    parts = [hotloop.layers.Dense(9, activation), hotloop.layers.Dense(2)]
    model = hotloop.Sequential([hotloop.Input((5,)), *parts])
    model.compile("adam", loss)
    model.fit(x, x[:, :2], epochs=3, verbose=0)
    found.append(model.predict(x, verbose=0).tolist())
by = {row.op: row.backend for row in model.profile(x, x[:, :2], steps=2).rows}
print(json.dumps([found, by["own"], by["squares"]]))
hotloop.show_config()
"""


def fresh_python(code: str) -> list[str]:
    source = str(Path(hotloop.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=os.environ | {"PYTHONPATH": source},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_without_numba_python_does_it_and_says_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(WITHOUT_NUMBA)
    line, *report = fresh_python(f"import runpy; runpy.run_path({str(script)!r})")
    (truth, ours), *servers = json.loads(line)
    np.testing.assert_allclose(ours, truth, rtol=1e-4, atol=1e-5)
    assert servers == ["python", "python"]
    own_line = next(line for line in report if "activation 'own'" in line)
    assert own_line.split()[-5:] == ["python", "numba", "is", "not", "installed"]
