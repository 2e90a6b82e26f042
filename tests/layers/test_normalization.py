"""Layers that normalise, against Keras and by hand, on every backend."""

from __future__ import annotations

import numpy as np
import pytest

import hotloop
from hotloop import layers
from hotloop.layers import BatchNormalization, Dense, Input

KINDS = ["BatchNormalization", "LayerNormalization", "RMSNormalization", "UnitNormalization"]


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def model_of(*parts, optimizer="sgd", loss="mse", shape=(5,)):
    model = hotloop.Sequential([Input(shape), *parts])
    model.compile(optimizer, loss)
    return model


# ------------------------------------------------------------------------ batch


def test_training_uses_the_batch_and_prediction_the_moving_averages(backend):
    layer = BatchNormalization(momentum=0.75, epsilon=0.0, input_shape=(2,))
    model = hotloop.Sequential([layer])
    model.compile(hotloop.optimizers.SGD(0.0), "mse", metrics=["mae"])
    x = np.array([[1.0, 10.0], [3.0, 10.5], [5.0, 11.0], [7.0, 11.5]])
    mean, variance = x.mean(axis=0), x.var(axis=0)
    normal = (x - mean) / np.sqrt(variance)
    logs = model.train_on_batch(x, np.zeros((4, 2)), return_dict=True)
    assert logs["mae"] == pytest.approx(np.abs(normal).mean(), rel=1e-5)
    moving = (mean * 0.25, 0.75 + variance * 0.25)
    np.testing.assert_allclose(layer.moving_mean.numpy(), moving[0], rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance.numpy(), moving[1], rtol=1e-6)
    expected = (x - moving[0]) / np.sqrt(moving[1])
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5)
    assert model.evaluate(x, expected, verbose=0)[0] == pytest.approx(0, abs=1e-9)
    # Neither of them has moved the averages.
    np.testing.assert_allclose(layer.moving_mean.numpy(), moving[0], rtol=1e-6)


def test_every_step_moves_the_averages_the_last_smaller_batch_too(backend, rng):
    layer = BatchNormalization(momentum=0.9)
    model = model_of(layer, optimizer=hotloop.optimizers.SGD(0.0))
    x = rng.normal(2.0, 3.0, (23, 5))
    model.fit(x, x, batch_size=8, epochs=2, shuffle=False, verbose=0)
    mean, variance = np.zeros(5), np.ones(5)
    for start in (0, 8, 16) * 2:
        part = x[start : start + 8]
        mean = mean * 0.9 + part.mean(axis=0) * 0.1
        variance = variance * 0.9 + part.var(axis=0) * 0.1
    np.testing.assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=1e-5)


def test_a_batch_of_one_row_has_no_variance(backend):
    layer = BatchNormalization(momentum=0.0, beta_initializer="ones")
    model = model_of(layer, optimizer=hotloop.optimizers.SGD(0.0))
    x = np.arange(5.0)[np.newaxis]
    assert model.train_on_batch(x, np.ones((1, 5))) == 0.0
    np.testing.assert_array_equal(layer.moving_mean.numpy(), x[0])
    np.testing.assert_array_equal(layer.moving_variance.numpy(), np.zeros(5))


def test_a_large_mean_does_not_drown_the_variance(backend, rng):
    noise = rng.normal(size=(4000, 3))
    x = (noise + 3000.0).astype("float32")
    layer = BatchNormalization(momentum=0.0, epsilon=0.0, input_shape=(3,))
    model = hotloop.Sequential([layer])
    model.compile(hotloop.optimizers.SGD(0.0), "mse")
    model.train_on_batch(x, np.zeros((4000, 3)))
    exact = x.astype("float64")
    np.testing.assert_allclose(layer.moving_mean.numpy(), exact.mean(axis=0), rtol=2e-7)
    np.testing.assert_allclose(layer.moving_variance.numpy(), exact.var(axis=0), rtol=1e-5)


def test_a_loss_that_is_not_finite_leaves_the_averages(backend):
    layer = BatchNormalization()
    model = model_of(layer, Dense(1))
    before = model.get_weights()
    with pytest.raises(hotloop.NonFiniteError):
        model.fit(np.ones((4, 5)), [[1.0], [2.0], [np.inf], [0.0]], verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_frozen_it_is_a_fixed_line(backend, rng):
    layer = BatchNormalization(momentum=0.5)
    model = model_of(layer, Dense(2))
    x, y = rng.normal(1, 2, (16, 5)), rng.normal(size=(16, 2))
    model.fit(x, y, 8, verbose=0)
    layer.trainable = False
    assert layer.trainable_weights == []
    assert len(layer.non_trainable_weights) == 4
    before, loss = layer.get_weights(), model.evaluate(x, y, 16, verbose=0)
    # In inference mode the step's loss is that of evaluate.
    assert model.train_on_batch(x, y) == pytest.approx(loss, rel=1e-6)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    layer.trainable = True
    model.train_on_batch(x, y)
    assert all((old != new).any() for old, new in zip(before, layer.get_weights(), strict=True))


@pytest.mark.parametrize("center", [False, True])
def test_it_can_be_frozen_and_freed_without_weights_of_its_own(backend, center, rng):
    layer = BatchNormalization(center=center, scale=False)
    model = model_of(layer, Dense(2))
    x, y = rng.normal(1, 2, (16, 5)), rng.normal(size=(16, 2))
    for trainable in (True, False, True):
        layer.trainable = trainable
        before = layer.moving_mean.numpy()
        model.train_on_batch(x, y)
        assert (before != layer.moving_mean.numpy()).any() == trainable


def test_a_frozen_model_inside_another_keeps_its_averages(backend, rng):
    inner = hotloop.Sequential([Input((5,)), Dense(4), BatchNormalization()])
    model = model_of(inner, Dense(2))
    x, y = rng.normal(1, 2, (16, 5)), rng.normal(size=(16, 2))
    for trainable in (True, False):
        inner.trainable = trainable
        before = inner.get_weights()
        model.train_on_batch(x, y)
        moved = [(a != b).any() for a, b in zip(before, inner.get_weights(), strict=True)]
        assert moved[2:] == [trainable] * 4


def test_used_twice_it_moves_twice(backend, rng):
    layer, x = BatchNormalization(momentum=0.5, center=False, scale=False), Input((3,))
    model = hotloop.Model(x, layers.Concatenate()([layer(x), layer(layers.Rescaling(2.0)(x))]))
    model.compile("sgd", "mse")
    data = rng.normal(1, 1, (9, 3))
    model.train_on_batch(data, np.zeros((9, 6)))
    expected = data.mean(axis=0) * 0.25 + 2 * data.mean(axis=0) * 0.5
    np.testing.assert_allclose(layer.moving_mean.numpy(), expected, rtol=1e-5)


def test_weights_are_in_the_order_of_keras_and_counted():
    layer = BatchNormalization(name="bn")
    model = model_of(layer)
    names = ["bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance"]
    assert [w.path for w in layer.weights] == names
    assert [w.path for w in layer.trainable_weights] == names[:2]
    assert [w.path for w in model.non_trainable_weights] == names[2:]
    assert model.count_params() == 20


def test_the_summary_counts_averages_as_not_trainable(capsys):
    model_of(BatchNormalization()).summary()
    printed = capsys.readouterr().out
    assert "Trainable params: 10 (" in printed
    assert "Non-trainable params: 10 (" in printed


def test_the_training_profile_leaves_the_averages(rng):
    layer = BatchNormalization()
    model = model_of(layer, Dense(2))
    before = layer.get_weights()
    model.profile(rng.normal(size=(32, 5)), np.ones((32, 2)), steps=3)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# ------------------------------------------------------------------------ rows


@pytest.mark.parametrize("size", [1, 2, 7, 16, 17, 33, 257])
def test_rows_by_hand(backend, size, rng):
    x = rng.normal(2, 3, (6, 3, size))
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    square = np.mean(x * x, axis=-1, keepdims=True)
    close = {"rtol": 1e-4, "atol": 1e-5}
    found = layers.LayerNormalization(epsilon=0.1, beta_initializer="ones")(x)
    np.testing.assert_allclose(found, (x - mean) / np.sqrt(variance + 0.1) + 1, **close)
    found = layers.RMSNormalization(epsilon=0.1)(x)
    np.testing.assert_allclose(found, x / np.sqrt(square + 0.1), **close)
    found = layers.UnitNormalization()(x)
    np.testing.assert_allclose(found, x / np.sqrt(square * size), **close)


def test_rows_of_zeros(backend):
    x = np.zeros((2, 3))
    for kind in KINDS:
        np.testing.assert_array_equal(getattr(layers, kind)()(x), x)


def test_nan_stays_in_its_row(backend):
    x = np.ones((3, 4))
    x[1, 2] = np.nan
    for kind in KINDS[1:]:
        found = getattr(layers, kind)()(x)
        assert np.isnan(found).any(axis=1).tolist() == [False, True, False]


# ------------------------------------------------------------------------ all


def keras_module():
    return pytest.importorskip("keras")


BATCH, ROW, RMS, UNIT, PRELU = *KINDS, "PReLU"
# The shape of an example, three layers with their options, and whether the second one is frozen.
CASES = [
    (
        (5,),
        (BATCH, {}),
        (BATCH, {"momentum": 0.6, "epsilon": 0.1, "gamma_regularizer": "l2"}),
        (ROW, {}),
        False,
    ),
    (
        (3, 5),
        (BATCH, {"center": False}),
        (ROW, {"epsilon": 0.1, "center": False}),
        (RMS, {}),
        False,
    ),
    (
        (3, 5),
        (ROW, {"scale": False, "beta_regularizer": "l1"}),
        (BATCH, {}),
        (BATCH, {"scale": False, "beta_regularizer": "l1"}),
        True,
    ),
    (
        (3, 5),
        (PRELU, {"alpha_regularizer": "l2"}),
        (BATCH, {"center": False, "scale": False}),
        (RMS, {"epsilon": 0.1}),
        True,
    ),
    (
        (5,),
        (UNIT, {}),
        (BATCH, {"center": False, "scale": False}),
        (ROW, {"center": False, "scale": False}),
        False,
    ),
]


def chain(k, case):
    """The layers first, in the middle, and before an activation."""
    shape, *made, frozen = CASES[case]
    first, second, third = (getattr(k.layers, kind)(**options) for kind, options in made)
    second.trainable = not frozen
    middle = [k.layers.Dense(9, "tanh"), second, k.layers.Dense(7), third]
    last = [k.layers.Activation("relu"), k.layers.Flatten(), k.layers.Dense(2)]
    return k.Sequential([k.layers.Input(shape), first, *middle, *last])


ROWS = 37  # no multiple of the batch size
SEEN: dict[int, dict[str, list[np.ndarray]]] = {}  # what Keras makes of each case, for all backends


def first_weights(shapes):
    rng = np.random.default_rng(8)
    return [
        rng.uniform(0.5, 1.5, shape) if len(shape) == 1 else rng.normal(0, 0.4, shape)
        for shape in shapes
    ]


def trained(k, case):
    """Predictions before and after training, losses, and weights."""
    rng = np.random.default_rng(9)
    x, y = rng.normal(1, 2, (ROWS, *CASES[case][0])), rng.normal(size=(ROWS, 2))
    model = chain(k, case)
    model.set_weights(first_weights([w.shape for w in model.get_weights()]))
    model.compile(k.optimizers.SGD(0.02, momentum=0.5), "mse")
    before = model.predict(x, verbose=0)
    losses = model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0).history["loss"]
    return {
        "before": [before],
        "losses": [*losses, model.evaluate(x, y, verbose=0)],
        "weights": [np.asarray(w) for w in model.get_weights()],
        "after": [model.predict(x, verbose=0)],
    }


@pytest.mark.parametrize("case", range(len(CASES)))
def test_same_as_keras(backend, case):
    if case not in SEEN:
        SEEN[case] = trained(keras_module(), case)
    ours = trained(hotloop, case)
    for name, expected in SEEN[case].items():
        for one, other in zip(ours[name], expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5, err_msg=name)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: BatchNormalization(1), r"last axis of its input of shape \(None, 3, 5\); axis=1"),
        (lambda: layers.LayerNormalization([1, 2]), r"axis=\[1, 2\] is not supported"),
        (lambda: layers.RMSNormalization(0), "axis=0 is not supported"),
        (lambda: layers.UnitNormalization(-2), "axis=-2 is not supported"),
        (lambda: BatchNormalization(momentum=1.5), "momentum must be from 0 to 1, not 1.5"),
        (lambda: BatchNormalization(epsilon=-1e-3), "epsilon must be at least 0, not -0.001"),
        (lambda: layers.RMSNormalization(epsilon="x"), "epsilon must be at least 0, not 'x'"),
        (lambda: BatchNormalization(gamma_constraint="x"), "Unknown constraint 'x'"),
        (lambda: layers.LayerNormalization(beta_constraint="x"), "Unknown constraint 'x'"),
    ],
)
def test_what_is_refused(made, message):
    with pytest.raises(ValueError, match=message):
        made()(Input((3, 5)))


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_that_do_not_fit(kind):
    layer = getattr(layers, kind)(name="n")
    with pytest.raises(ValueError, match=r"'n' needs inputs of shape \(batch, features\)"):
        layer(np.ones(3))
    layer(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"built for 3 input features but got .*\(None, 4\)"):
        layer(np.ones((2, 4)))
    if layer.weights:
        with pytest.raises(ValueError, match="is float32 but its input is float64"):
            layer(Input((3,), dtype="float64"))


@pytest.mark.parametrize("axis", [-1, 2, [-1], [2]])
def test_the_last_axis_may_be_named_in_every_way(axis):
    x = np.ones((2, 3, 4))
    layer = layers.LayerNormalization(axis)
    assert layer(x).shape == x.shape
    assert layer.get_config()["axis"] == axis


@pytest.mark.parametrize(
    "layer",
    [
        BatchNormalization(
            momentum=0.9,
            epsilon=0.01,
            center=False,
            gamma_initializer=hotloop.initializers.Constant(2.0),
            moving_mean_initializer="ones",
            moving_variance_initializer="zeros",
            gamma_regularizer=hotloop.regularizers.L2(0.1),
            name="b",
        ),
        layers.LayerNormalization(epsilon=0.01, scale=False, beta_regularizer="l1", name="l"),
        layers.RMSNormalization(epsilon=0.01, name="r"),
        layers.UnitNormalization(name="u"),
        layers.PReLU("ones", "l2", shared_axes=1, name="p"),
        layers.GaussianNoise(0.3, seed=2, name="n"),
        layers.GaussianDropout(0.3, name="g"),
        layers.AlphaDropout(0.3, seed=4, name="a"),
    ],
)
def test_configurations_make_the_same_layer(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def everything(dtype="float32"):
    """Each layer of this family and the noisy ones, as a compiled model."""
    old = hotloop.config.floatx()
    hotloop.config.set_floatx(dtype)
    hotloop.utils.set_random_seed(3)
    try:
        model = model_of(
            Dense(130),
            BatchNormalization(momentum=0.8),
            layers.PReLU(),
            layers.GaussianNoise(0.1, seed=1),
            Dense(65),
            layers.LayerNormalization(),
            layers.GaussianDropout(0.2, seed=1),
            layers.RMSNormalization(),
            layers.AlphaDropout(0.2, seed=1),
            layers.UnitNormalization(),
            layers.Flatten(),
            Dense(3),
            shape=(3, 40),
            optimizer="adam",
        )
    finally:
        hotloop.config.set_floatx(old)
    return model


def examples(rows=300):
    rng = np.random.default_rng(1)
    return rng.normal(size=(rows, 3, 40)), rng.normal(size=(rows, 3))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_on_any_number_of_threads(dtype):
    x, y = examples()
    before, found = hotloop.config.num_threads(), []
    for threads in (1, 2, 3, 8):
        hotloop.set_num_threads(threads)
        try:
            model = everything(dtype)
            model.fit(x, y, 64, epochs=2, verbose=0)
            found.append([*model.get_weights(), model.predict(x, verbose=0)])
        finally:
            hotloop.set_num_threads(before)
    for other in found[1:]:
        for one, another in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, another)


def test_no_step_is_one_of_python():
    x, y = examples(64)
    profile = everything().profile(x, y, 32, steps=3)
    served = {row.backend for row in profile.rows}
    assert served == {"cython"} or hotloop.config.backend() != "cython"
    assert {
        "column_moments",
        "normalize",
        "normalize_gradient",
        "moving_average_update",
        "layer_norm",
        "layer_norm_gradient",
        "prelu",
        "prelu_alpha_gradient",
        "gaussian_noise",
        "gaussian_dropout",
        "alpha_dropout",
    } <= {row.op for row in profile.rows}
    assert all(row.bytes > 0 for row in profile.rows)


def test_backends_agree():
    x, y = examples(100)
    before, found = hotloop.config.backend(), {}
    for name, state in hotloop.backends.availability().items():
        if state == "available":
            hotloop.config.set_backend(name)
            try:
                model = everything("float64")
                model.fit(x, y, 32, epochs=2, verbose=0)
                found[name] = [*model.get_weights(), model.predict(x, verbose=0)]
            finally:
                hotloop.config.set_backend(before)
    for weights in found.values():
        for one, other in zip(found["numpy"], weights, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)


def test_saved_and_cloned_models_go_on_to_the_bit(tmp_path):
    x, y = examples(100)
    model = everything()
    model.fit(x, y, 32, verbose=0)
    model.save(tmp_path / "m.hotloop")
    again = hotloop.models.load_model(tmp_path / "m.hotloop")
    clone = hotloop.models.clone_model(model)
    clone.compile("adam", "mse")
    clone.set_weights(model.get_weights())
    for other in (again, clone):
        np.testing.assert_array_equal(model.predict(x, verbose=0), other.predict(x, verbose=0))
    for one in (model, again):
        one.fit(x, y, 32, shuffle=False, verbose=0)
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [w.path for w in clone.weights] == [w.path for w in model.weights]
