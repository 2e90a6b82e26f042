"""What is said, and what is left, when a loss stops being finite."""

from __future__ import annotations

import numpy as np
import pytest

import hotloop
from hotloop import NonFiniteError
from hotloop.layers import Dense, Input

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

# All that take rows of any length and have defaults, once each.
ACTIVATIONS = sorted({*hotloop.activations._BY_NAME} - {"swish", "hard_swish", "threshold", "glu"})


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(20, 4)), rng.normal(size=(20, 2))


def model_of(activation="relu", last=None, loss="mse", optimizer="adam"):
    model = hotloop.Sequential([Input((4,)), Dense(5, activation, name="hidden"), Dense(2, last)])
    model.compile(optimizer, loss)
    return model


def fails(model, x, y, **options):
    """The error's text, after checking that the weights are finite."""
    with pytest.raises(NonFiniteError) as error:
        model.fit(x, y, batch_size=4, verbose=0, **options)
    assert all(np.isfinite(w).all() for w in model.get_weights())
    return str(error.value)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_nan_in_x_is_found_behind_every_activation(activation, data, backend):
    x, y = data
    x[13, 2] = np.nan
    text = fails(model_of(activation), x, y, shuffle=False, epochs=2)
    assert "epoch 1, batch 4: x[13, 2] (row 13, column 2) is nan" in text


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_weights_are_those_of_the_batch_before(value, data, backend):
    x, y = data
    whole = model_of("linear")
    part = model_of("linear")
    part.set_weights(whole.get_weights())
    part.fit(x[:12], y[:12], batch_size=4, shuffle=False, verbose=0)
    x[13, 2] = value
    fails(whole, x, y, shuffle=False)
    assert whole.optimizer.iterations == part.optimizer.iterations == 3
    for a, b in zip(whole.get_weights(), part.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(whole.optimizer.variables, part.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_shuffled_rows_are_named_as_the_user_knows_them(data):
    x, y = data
    x[17, 3] = np.inf
    text = fails(model_of(), x, y)
    assert "x[17, 3] (row 17, column 3) is inf" in text


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_later_epoch_is_named(epoch, data):
    x, y = data

    class Spoil(hotloop.callbacks.Callback):
        def on_epoch_begin(self, number, logs=None):
            if number == epoch - 1:
                x[2, 0] = np.nan

    text = fails(model_of(), x, y, shuffle=False, epochs=4, callbacks=[Spoil()])
    assert f"epoch {epoch}, batch 1: x[2, 0]" in text


def test_images_have_the_place_in_the_image_and_the_column():
    x = np.zeros((6, 3, 4))
    x[5, 2, 1] = np.nan
    model = hotloop.Sequential([hotloop.layers.Flatten(input_shape=(3, 4)), Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(NonFiniteError, match=r"x\[5, 2, 1\] \(row 5, column 9\) is nan"):
        model.fit(x, np.zeros(6), verbose=0)


LOSSES = [
    ("mse", None, lambda y: y),
    ("mae", None, lambda y: y),
    ("huber", None, lambda y: y),
    ("log_cosh", None, lambda y: y),
    ("binary_crossentropy", "sigmoid", lambda y: (y > 0) * 1.0),
    ("categorical_crossentropy", "softmax", lambda y: np.eye(2)[(y[:, 0] > 0) * 1]),
    ("kl_divergence", "softmax", lambda y: np.eye(2)[(y[:, 0] > 0) * 1]),
    ("poisson", "exponential", lambda y: (y > 0) * 1.0),
    ("hinge", None, lambda y: np.sign(y)),
]


@pytest.mark.parametrize(("loss", "last", "targets"), LOSSES, ids=[case[0] for case in LOSSES])
def test_a_nan_in_y(loss, last, targets, data, backend):
    x, y = data
    y = targets(y)
    y[7, 1] = np.nan
    text = fails(model_of(last=last, loss=loss), x, y, shuffle=False)
    assert "epoch 1, batch 2: y[7, 1] (row 7, column 1) is nan" in text


def test_y_without_the_last_axis():
    model = hotloop.Sequential([Dense(1, input_shape=(1,))])
    model.compile("sgd", "mse")
    with pytest.raises(NonFiniteError, match=r"y\[2\] \(row 2, column 0\) is nan"):
        model.fit(np.zeros((3, 1)), np.array([0.0, 1.0, np.nan]), verbose=0)


def test_a_bad_weight(data, backend):
    model = model_of()
    weights = model.get_weights()
    weights[0][1, 2] = np.nan
    model.set_weights(weights)
    with pytest.raises(NonFiniteError, match=r"epoch 1, batch 1: the weight hidden/kernel\[1, 2\]"):
        model.fit(*data, verbose=0)
    assert model.optimizer.iterations == 0


def test_weights_that_an_earlier_batch_has_ruined(data):
    x, y = data
    x[1, 2] = np.inf  # tanh makes 1 of it, so that the loss is finite; the gradient is not
    model = model_of("tanh")
    with pytest.raises(NonFiniteError) as error:
        model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    assert "epoch 1, batch 2: the weight hidden/kernel[2, 0] was not finite" in str(error.value)
    assert "x[1, 2] (row 1, column 2) is inf" in str(error.value)


def test_outputs_that_overflow(data, backend):
    x, y = data
    text = fails(model_of(optimizer=hotloop.optimizers.SGD(1.0)), x * 1e18, y)
    assert "overflowed" in text
    assert "learning rate" in text


def test_validation_is_named_with_its_own_rows(data):
    x, y = data
    x[18, 0] = np.nan
    text = fails(model_of(), x, y, validation_split=0.25, epochs=2)
    assert "the validation after epoch 1, batch 1: x[18, 0] (row 18, column 0) is nan" in text


def test_single_batches(data, backend):
    x, y = data
    x[3, 1] = np.nan
    model = model_of()
    before = model.get_weights()
    for method in (model.train_on_batch, model.test_on_batch):
        with pytest.raises(NonFiniteError, match=r"batch 1: x\[3, 1\]"):
            method(x, y)
    with pytest.raises(NonFiniteError, match=r"at batch 5: x\[19, 1\]"):
        model.evaluate(_at(x, 19), y, batch_size=4, verbose=0)
    assert model.optimizer.iterations == 0
    assert all(map(np.array_equal, before, model.get_weights()))


def _at(x, row):
    """x with its one bad value in another row."""
    clean = np.nan_to_num(x)
    clean[row, 1] = np.nan
    return clean


def test_training_can_go_on_once_the_data_are_clean(data):
    x, y = data
    x[3, 1] = np.nan
    model = model_of()
    fails(model, x, y)
    steps = model.optimizer.iterations
    model.fit(np.nan_to_num(x), y, batch_size=4, verbose=0)
    assert model.optimizer.iterations == steps + 5


def test_a_last_batch_that_ruins_the_weights_is_not_passed_over(backend):
    x = np.ones((4, 2), np.float32)
    x[3, 1] = np.inf
    model = hotloop.Sequential([hotloop.layers.Dense(3, "tanh"), hotloop.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(hotloop.NonFiniteError, match=r"last batch: x\[3, 1\] .* is inf"):
        model.fit(x, np.zeros(4), epochs=1, batch_size=4, verbose=0)


@pytest.mark.parametrize("wide_first", [False, True])
def test_a_bad_batch_is_not_counted_whatever_dtype_its_loss_has(wide_first, backend):
    """A plan of two dtypes: the loss of either may be the one that finds it."""
    x = np.random.default_rng(0).normal(size=(12, 5)).astype("f4")
    inputs = [Input((5,)), Input((5,))]
    wide = hotloop.graph.ops.cast(Dense(3)(inputs[1]), "float64")
    outputs = [Dense(2)(inputs[0]), Dense(2, dtype="float64")(wide)]
    for bad in (0, 1):
        model = hotloop.Model(inputs, outputs[:: -1 if wide_first else 1])
        model.compile("sgd", ["mse", "mse"])
        given = [x.copy(), x.copy()]
        given[bad][5, 0] = np.nan
        y = np.zeros((12, 2))
        with pytest.raises(NonFiniteError, match=rf"batch 2: x\[{bad}\]\[5, 0\]"):
            model.fit(given, [y, y], batch_size=4, shuffle=False, verbose=0)
        assert model.optimizer.iterations == 1
