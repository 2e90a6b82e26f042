"""Normalization, CategoryEncoding and Discretization, against NumPy and Keras."""

import tracemalloc

import numpy as np
import pytest

import hotloop
from hotloop import layers
from hotloop.layers import CategoryEncoding, Dense, Discretization, Normalization


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


def numbers(*shape, seed=3):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) * rng.uniform(0.1, 9, shape[-1]) + rng.normal()).astype("f4")


# -------------------------------------------------------------------- Normalization

AXES = [
    ((5,), -1),
    ((1,), 1),
    ((5,), None),
    ((4, 3), -1),
    ((4, 3), 1),
    ((4, 3), (1, 2)),
    ((4, 3), (-1, -2)),
    ((4, 3), None),
    ((2, 17, 3), 2),
    ((2, 17, 3), (2, 3)),
    ((2, 17, 33), (1, 2)),
]


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize(("shape", "axis"), AXES)
def test_normalization_is_that_of_keras(backend, keras, shape, axis, invert):
    x = numbers(37, *shape)
    theirs = keras.layers.Normalization(axis, invert=invert)
    ours = Normalization(axis, invert=invert)
    for layer in (theirs, ours):
        layer.adapt(x)
    expected = np.asarray(theirs(x[:11]))
    np.testing.assert_allclose(ours(x[:11]), expected, rtol=1e-4, atol=1e-4)
    for found, wanted in zip(ours.get_weights()[:2], theirs.get_weights()[:2], strict=True):
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert [w.name for w in ours.weights] == ["mean", "variance", "count"]
    assert ours.trainable_weights == []
    assert ours.count_params() == theirs.count_params()


@pytest.mark.parametrize(
    ("shape", "axis", "mean", "variance"),
    [
        ((3,), -1, 2.0, 4.0),
        ((3,), -1, [1.0, 2.0, 3.0], [1.0, 4.0, 0.0]),
        ((3,), None, 1.0, 2.0),
        ((2, 3), (1, 2), [[1.0], [2.0]], [[4.0], [9.0]]),
        ((2, 3), (1, 2), [1.0, 2.0, 3.0], [4.0, 9.0, 1.0]),
    ],
)
def test_given_means_are_those_of_keras(backend, keras, shape, axis, mean, variance):
    x = numbers(9, *shape)
    ours = Normalization(axis, mean, variance)
    theirs = keras.layers.Normalization(axis, mean, variance)
    np.testing.assert_allclose(ours(x), np.asarray(theirs(x)), rtol=1e-5, atol=1e-5)
    assert ours.weights == []
    again = Normalization.from_config(ours.get_config())
    np.testing.assert_array_equal(again(x), ours(x))
    with pytest.raises(ValueError, match="has the mean and variance that it was given"):
        ours.adapt(x)


def test_batches_are_adapted_to_as_one_array(backend):
    x = numbers(101, 4)
    whole = Normalization()
    whole.adapt(x)
    for batches in (
        [x[:1], x[1:50], x[50:50], x[50:]],
        iter([x[:30], x[30:]]),
        ((x[i : i + 7], np.zeros(7)) for i in range(0, 101, 7)),
    ):
        layer = Normalization()
        layer.adapt(batches)
        for one, other in zip(layer.get_weights(), whole.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)
    np.testing.assert_allclose(whole.get_weights()[0], x.mean(axis=0, dtype="f8"), rtol=1e-6)
    np.testing.assert_allclose(whole.get_weights()[1], x.var(axis=0, dtype="f8"), rtol=1e-6)
    assert whole.get_weights()[2] == 101


def test_a_large_mean_loses_no_digits_of_the_variance():
    x = np.random.default_rng(2).normal([1e8, -1e4], size=(100_000, 2))
    layer = Normalization(dtype="float64")
    layer.adapt([x[:7], x[7:60_000], x[60_000:]])
    mean, variance, _ = layer.get_weights()
    np.testing.assert_allclose(mean, x.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(variance, x.var(axis=0), rtol=1e-7)
    found = layer(x)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(found.std(axis=0), 1, rtol=1e-6)


def test_data_larger_than_memory_are_read_a_part_at_a_time(tmp_path):
    shape = (400_000, 20)
    data = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "float32", shape)
    data[:] = np.arange(20)
    data[::2] += 1
    layer = Normalization()
    tracemalloc.start()
    layer.adapt(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < data.nbytes
    np.testing.assert_allclose(layer.get_weights()[0], np.arange(20) + 0.5)
    np.testing.assert_allclose(layer.get_weights()[1], 0.25)


def test_new_statistics_are_used_at_once(backend):
    x = numbers(20, 3)
    layer = Normalization(input_shape=(3,))
    model = hotloop.Sequential([layer, Dense(2, use_bias=False, kernel_initializer="ones")])
    layer.adapt(x)
    first = model.predict(x, verbose=0)
    layer.adapt(2 * x + 1)
    np.testing.assert_allclose(model.predict(2 * x + 1, verbose=0), first, rtol=1e-4, atol=1e-4)
    layer.set_weights([np.zeros(3), np.ones(3), 7])
    np.testing.assert_allclose(
        model.predict(x, verbose=0), np.repeat(x.sum(1, keepdims=True), 2, 1), rtol=1e-4, atol=1e-4
    )


def test_it_is_an_error_to_use_it_before_it_has_seen_data(backend, tmp_path):
    x = numbers(8, 3)
    model = hotloop.Sequential([Normalization(input_shape=(3,), name="norm"), Dense(1)])
    outer = hotloop.Sequential([model, Dense(1)])
    model.compile("sgd", "mse")
    told = r"Normalization 'norm' has no mean and variance yet: call its adapt\(data\) first"
    for call in (
        lambda: model.predict(x, verbose=0),
        lambda: model.fit(x, x[:, :1], verbose=0),
        lambda: outer.predict(x, verbose=0),
        lambda: Normalization(name="norm")(x),
    ):
        with pytest.raises(ValueError, match=told):
            call()
    model.layers[0].adapt(x)
    model.fit(x, x[:, :1], verbose=0)
    model.save(tmp_path / "m.hotloop")
    again = hotloop.models.load_model(tmp_path / "m.hotloop")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    with pytest.raises(ValueError, match=told):
        hotloop.models.clone_model(model).predict(x, verbose=0)


@pytest.mark.parametrize(
    ("options", "shape", "told"),
    [
        ({"mean": 1.0}, (3,), "mean and variance must be given both, or neither"),
        ({"mean": 1.0, "variance": [1.0]}, (3,), r"mean has shape \(\) but variance \(1,\)"),
        ({"mean": [1.0, 2.0], "variance": [1.0, 2.0]}, (3,), r"does not fit \(3,\), the axes"),
        ({"axis": 2}, (3,), r"there is no axis \(2,\) in inputs of 2 axes"),
        ({"axis": 0}, (3,), r"axis \(0,\) of inputs of 2 axes is the batch"),
        ({}, (), r"of inputs of 1 axes is the batch; give the inputs an axis of features"),
        ({"axis": (1, 3)}, (2, 3, 4), "the axes that are kept must be neighbours"),
    ],
)
def test_bad_axes_and_means_are_refused(options, shape, told):
    with pytest.raises(ValueError, match=told):
        Normalization(**options)(hotloop.Input(shape))


def test_bad_data_are_refused():
    layer = Normalization()
    with pytest.raises(ValueError, match=r"adapt\(\) got no examples"):
        layer.adapt(np.zeros((0, 3)))
    with pytest.raises(ValueError, match=r"adapt\(\) got no examples"):
        Normalization().adapt(iter([]))
    with pytest.raises(ValueError, match=r"are not finite \(NaN or infinity\)"):
        layer.adapt([[1.0, np.nan, 2.0]])
    with pytest.raises(
        ValueError, match=r"was built for \(3,\) means.* but data have shape \(2, 4"
    ):
        layer.adapt(np.zeros((2, 4)))
    with pytest.raises(TypeError, match="holds strings"):
        layer.adapt(np.array([["a"]]))
    with pytest.raises(TypeError, match=r"adapt\(\) takes an array or an iterable"):
        layer.adapt(object())
    with pytest.raises(ValueError, match="not single numbers"):
        layer.adapt(3.0)
    layer.adapt(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"was built for \(3,\) means, one for each position"):
        layer(np.zeros((2, 4)))


def test_gradients_pass_through_it(backend):
    """Between trained layers it divides them by the deviation."""
    layer = Normalization(mean=[1.0, 2.0], variance=[4.0, 0.25])
    first = Dense(2, use_bias=False, kernel_initializer="ones", input_dim=1)
    model = hotloop.Sequential([first, layer])
    model.compile(hotloop.optimizers.SGD(1.0), hotloop.losses.MeanAbsoluteError(reduction="sum"))
    model.train_on_batch([[10.0]], [[0.0, 0.0]])
    np.testing.assert_allclose(first.get_weights()[0], [[1 - 10 / 2 / 2, 1 - 10 / 0.5 / 2]])


# ------------------------------------------------------------------ CategoryEncoding

# Of one example: ranks 2 to 5 with the batch, with and without axes of length 1.
SHAPES = [(1,), (3,), (17,), (3, 2), (1, 2), (3, 1), (1, 1), (2, 3, 2), (2, 1, 2), (1, 2, 1)]
SHAPES += [(2, 1, 3, 2)]


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tokens", [1, 2, 7, 33])
def test_categories_are_encoded_as_in_keras(backend, keras, mode, shape, tokens):
    x = np.random.default_rng(5).integers(0, tokens, (11, *shape))
    theirs = np.asarray(keras.layers.CategoryEncoding(tokens, mode)(x))
    layer = CategoryEncoding(tokens, mode)
    for found in (
        layer(x),
        hotloop.Sequential([layer]).predict(x, verbose=0),
        CategoryEncoding.from_config(layer.get_config())(x.astype("u1")),
        layer(x.astype("f4")),
        layer(np.asfortranarray(x)),
    ):
        assert found.shape == theirs.shape
        np.testing.assert_array_equal(found, theirs)


def test_single_categories_and_several_axes(backend):
    x = np.array([2, 0])
    np.testing.assert_array_equal(CategoryEncoding(3, "one_hot")(x), np.eye(3)[x])
    x = np.random.default_rng(5).integers(0, 4, (6, 2, 3))
    np.testing.assert_array_equal(CategoryEncoding(4, "one_hot")(x), np.eye(4)[x])
    np.testing.assert_array_equal(CategoryEncoding(4, "count")(x), np.eye(4)[x].sum(axis=1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", ["multi_hot", "count"])
def test_what_layers_compute_is_counted_over_the_same_axis(backend, mode, shape):
    x = np.random.default_rng(5).integers(0, 4, (6, *shape))
    layer = CategoryEncoding(4, mode)
    inner = hotloop.Sequential([hotloop.Input(shape), layer])
    for last in (layer, inner):
        model = hotloop.Sequential([hotloop.layers.Rescaling(1.0), last])
        found = model.predict(x, verbose=0)
        np.testing.assert_array_equal(found, layer(x))


def test_moved_axes_are_encoded_and_checked(backend):
    x = np.random.default_rng(5).integers(0, 4, (6, 2, 3))
    model = hotloop.Sequential([hotloop.layers.Permute((2, 1)), CategoryEncoding(4, "count")])
    np.testing.assert_array_equal(model.predict(x, verbose=0), np.eye(4)[x].sum(axis=2))
    x[4, 1, 2] = 4
    for encoder in (model.predict, CategoryEncoding(4)):
        with pytest.raises(ValueError, match=r"from 0 to 3, but x\[4, 1, 2\] \(row 4\) is 4"):
            encoder(x)


def test_bad_categories_are_refused(backend):
    layer = CategoryEncoding(3, name="kinds")
    for bad in (3, -1, 0.5, np.nan):
        with pytest.raises(ValueError, match=r"'kinds' needs whole .* from 0 to 2, but x\[1, 0\]"):
            layer(np.array([[0, 1], [bad, 2]]))
    with pytest.raises(ValueError, match=r"inputs must have one besides the batch"):
        layer(np.array([0, 1]))
    for tokens in (None, 0, 1.5, True):
        with pytest.raises(ValueError, match="num_tokens must be a whole number of at least 1"):
            CategoryEncoding(tokens)
    with pytest.raises(ValueError, match="output_mode must be one of 'one_hot', 'multi_hot', "):
        CategoryEncoding(3, "int")
    with pytest.raises(ValueError, match="sparse=True is not supported"):
        CategoryEncoding(3, sparse=True)


# -------------------------------------------------------------------- Discretization


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
@pytest.mark.parametrize("shape", SHAPES)
def test_bins_are_those_of_keras(backend, keras, mode, shape):
    x = np.random.default_rng(5).choice([-1.5, 0.0, 3.4, 0.5, 0.2, 1.3, 1.0, 2.0], (6, *shape))
    theirs = np.asarray(keras.layers.Discretization([0.0, 1.0, 2.0], output_mode=mode)(x))
    layer = Discretization([0.0, 1.0, 2.0], output_mode=mode)
    for found in (layer(x), hotloop.Sequential([layer]).predict(x, verbose=0)):
        np.testing.assert_array_equal(found, theirs)
    assert layer(x).dtype == theirs.dtype
    again = Discretization.from_config(layer.get_config())
    np.testing.assert_array_equal(again(x), theirs)


@pytest.mark.parametrize("rows", [1, 5, 100, 1000, 5001])
@pytest.mark.parametrize("bins", [1, 3, 10])
def test_boundaries_are_found_as_in_keras(keras, rows, bins):
    x = numbers(rows, 2)
    theirs, ours = keras.layers.Discretization(num_bins=bins), Discretization(num_bins=bins)
    theirs.update_state(x)
    theirs.finalize_state()
    ours.adapt(x)
    np.testing.assert_allclose(ours.bin_boundaries, theirs.bin_boundaries, rtol=1e-5, atol=1e-6)
    again = Discretization.from_config(ours.get_config())
    assert again.bin_boundaries == ours.bin_boundaries
    np.testing.assert_array_equal(again(x), ours(x))


def test_batches_give_about_the_same_bins():
    x = numbers(10_000, 1)
    layer = Discretization(num_bins=4)
    layer.adapt([x[:3000], x[3000:]])
    share = np.bincount(layer(x)[:, 0]) / len(x)
    np.testing.assert_allclose(share, 0.25, atol=0.03)


def test_bad_bins_are_refused():
    with pytest.raises(ValueError, match="give either bin_boundaries or num_bins"):
        Discretization()
    with pytest.raises(ValueError, match="give either bin_boundaries or num_bins"):
        Discretization([1.0], num_bins=3)
    with pytest.raises(ValueError, match="numbers in increasing order"):
        Discretization([1.0, 1.0])
    with pytest.raises(ValueError, match="num_bins must be a whole number of at least 1"):
        Discretization(num_bins=0)
    layer = Discretization(num_bins=3, name="bins")
    with pytest.raises(ValueError, match=r"'bins' has no boundaries yet: call its adapt\(data\)"):
        layer([[1.0]])
    with pytest.raises(ValueError, match=r"adapt\(\) got no numbers"):
        layer.adapt(np.zeros((0, 2)))
    with pytest.raises(ValueError, match="has the boundaries that it was given"):
        Discretization([1.0]).adapt([[1.0]])
    with pytest.raises(ValueError, match="must be called on one of the model's inputs"):
        Discretization([1.0])(Dense(2)(hotloop.Input((3,))))


# ------------------------------------------------------------------------ all together


def test_a_table_of_numbers_and_categories_trains_in_the_selected_backend(backend):
    rng = np.random.default_rng(4)
    price, kind, age = rng.lognormal(size=(90, 2)), rng.integers(0, 5, 90), rng.uniform(0, 90, 90)
    y = (price[:, :1] > 1).astype("float32")
    norm = Normalization()
    norm.adapt(price)
    inputs = [hotloop.Input((2,)), hotloop.Input((1,)), hotloop.Input((1,))]
    parts = [
        norm(inputs[0]),
        CategoryEncoding(5, "one_hot")(inputs[1]),
        layers.Flatten()(
            layers.Embedding(4, 3)(Discretization([20.0, 40.0, 60.0])(inputs[2])),
        ),
    ]
    model = hotloop.Model(inputs, Dense(1, "sigmoid")(layers.concatenate(parts)))
    model.compile(hotloop.optimizers.Adam(0.05), "binary_crossentropy")
    x = [price, kind[:, None], age[:, None]]
    losses = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 0.6 * losses[0]
    profile = model.profile(x, y, steps=2)
    if backend == "cython":
        assert {row.backend for row in profile.rows} == {"cython"}
    assert {"standardize", "encode", "lookup"} <= {row.op for row in profile.rows}
