"""Embedding and what is made of it: indices, look-ups, errors, training, on every backend."""

import numpy as np
import pytest

import hotloop
from hotloop import layers
from hotloop.errors import NonFiniteError
from hotloop.layers import Dense, Embedding, GlobalAveragePooling1D

SIZES = [1, 2, 3, 7, 16, 17, 33, 70]


def table(rows, cols, dtype="float32"):
    return np.random.default_rng(4).normal(size=(rows, cols)).astype(dtype)


@pytest.mark.parametrize("cols", SIZES)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 5)])
def test_rows_are_looked_up(backend, cols, shape):
    w = table(11, cols)
    index = np.random.default_rng(1).integers(0, 11, (9, *shape))
    np.testing.assert_array_equal(Embedding(11, cols, weights=w)(index), w[index])


@pytest.mark.parametrize(
    "dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_indices_may_have_any_dtype_and_layout(backend, dtype, order):
    w = table(7, 3)
    index = np.random.default_rng(1).integers(0, 7, (10, 6)).astype(order + dtype)
    index.flags.writeable = False
    layer = Embedding(7, 3, weights=[w])
    for given in (index, index[::2, ::-3], np.asfortranarray(index)):
        np.testing.assert_array_equal(layer(given), w[given.astype(int)])
    flags = np.array([[True, False]])
    np.testing.assert_array_equal(layer(flags), w[[[1, 0]]])


def test_large_indices_are_exact(backend):
    """Beyond 2^24, where float32 has only even numbers."""
    rows = 2**24 + 6
    layer = Embedding(rows, 1, weights=(np.arange(rows) % 1000)[:, None])
    index = np.arange(2**24 - 3, rows)[:, None]
    x = hotloop.Input((1,))
    for answer in (layer(index), hotloop.Model(x, layer(x)).predict(index, verbose=0)):
        np.testing.assert_array_equal(answer[:, 0], index % 1000)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (5, r"Embedding 'words' needs whole numbers from 0 to 4, but x\[2, 1\] \(row 2\) is 5"),
        (-1, r"x\[2, 1\] \(row 2\) is -1"),
        (1.5, r"x\[2, 1\] \(row 2\) is 1.5"),
        (np.nan, r"x\[2, 1\] \(row 2\) is nan"),
        (np.inf, r"x\[2, 1\] \(row 2\) is inf"),
        (2**40, r"x\[2, 1\] \(row 2\) is 1099511627776"),
    ],
)
def test_indices_out_of_range_are_refused_before_anything_is_trained(backend, bad, told):
    x = np.zeros((4, 3), np.float64 if isinstance(bad, float) else np.int64)
    x[2, 1] = bad
    y = np.zeros((4, 1))
    words = Embedding(5, 2, name="words")
    model = hotloop.Sequential([words, GlobalAveragePooling1D(), Dense(1)])
    model.compile("adam", "mse")
    model.build((None, 3))
    before = model.get_weights()
    for call in (
        lambda: model.fit(x, y, 2, verbose=0),
        lambda: model.fit(x[:2], y[:2], validation_data=(x, y), verbose=0),
        lambda: model.train_on_batch(x, y),
        lambda: model.evaluate(x, y, verbose=0),
        lambda: model.predict(x, verbose=0),
        lambda: model(x),
        lambda: words(x),
    ):
        with pytest.raises(ValueError, match=told):
            call()
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_error_names_the_input_and_the_row_of_large_data():
    a, b = hotloop.Input((2,)), hotloop.Input((700,))
    y = layers.Flatten()(Embedding(3, 1, name="second")(b))
    model = hotloop.Model([a, b], layers.concatenate([a, y]))
    x = np.zeros((3000, 700), np.uint8)
    x[2999, 699] = 3
    with pytest.raises(ValueError, match=r"'second' .* x\[1\]\[2999, 699\] \(row 2999\) is 3"):
        model.predict([np.zeros((3000, 2)), x], verbose=0)


def test_indices_that_layers_compute_give_nan_where_they_are_out_of_range(backend):
    x = hotloop.Input((1,))
    w = table(4, 3)
    y = Embedding(4, 3, weights=w)(layers.Rescaling(2.0)(x))
    model = hotloop.Model(x, layers.Flatten()(y))
    found = model.predict(
        np.array([[0.0], [1.0], [1.9], [2.0], [-1.0], [np.nan], [1e20]]), verbose=0
    )
    np.testing.assert_array_equal(found[:3], w[[0, 2, 3]])
    assert np.isnan(found[3:]).all()
    model.compile("sgd", "mse")
    with pytest.raises(NonFiniteError):
        model.fit(np.array([[2.0]]), np.zeros((1, 3)), verbose=0)
    model.fit(np.array([[1.0]]), np.zeros((1, 3)), verbose=0)


def test_an_input_may_be_numbers_and_indices_at_once(backend):
    x = hotloop.Input((2,))
    w = table(6, 3)
    vectors = Embedding(6, 3, weights=w)(x)
    model = hotloop.Model(x, [layers.concatenate([x, layers.Flatten()(vectors)]), x])
    index = np.array([[5, 0], [2, 3]])
    found, same = model.predict(index, verbose=0)
    np.testing.assert_array_equal(same, index)
    np.testing.assert_array_equal(found, np.hstack([index, w[index].reshape(2, 6)]))


def test_indices_pass_through_layers_of_shapes(backend):
    w = table(6, 3)
    x = hotloop.Input((2, 3))
    y = Embedding(6, 3, weights=w)(layers.Reshape((3, 2))(layers.Flatten()(x)))
    model = hotloop.Model(x, y)
    index = np.random.default_rng(0).integers(0, 6, (5, 2, 3))
    np.testing.assert_array_equal(model.predict(index, verbose=0), w[index.reshape(5, 3, 2)])
    index[1, 1, 2] = 6
    with pytest.raises(ValueError, match=r"x\[1, 2, 1\] \(row 1\) is 6"):
        model.predict(index, verbose=0)


def test_a_model_with_an_embedding_is_a_layer_too(backend):
    w = table(6, 3)
    inner = hotloop.Sequential([hotloop.Input((2,)), Embedding(6, 3, weights=w, name="inside")])
    a, b = hotloop.Input((2,)), hotloop.Input((2,))
    direct = hotloop.Model(a, layers.Flatten()(inner(a)))
    joined = hotloop.Model([a, b], inner(layers.Maximum()([a, b])))
    index = np.array([[5, 0], [2, 3]])
    np.testing.assert_array_equal(direct.predict(index, verbose=0), w[index].reshape(2, 6))
    found = joined.predict([index, index[::-1]], verbose=0)
    np.testing.assert_array_equal(found, w[np.maximum(index, index[::-1])])
    with pytest.raises(ValueError, match=r"'inside' needs .* from 0 to 5, but x\[0, 0\]"):
        direct.predict(index + 1, verbose=0)


def test_frozen_tables_stay_and_unused_rows_move_on_with_momentum(backend):
    def trained(**options):
        layer = Embedding(5, 2, weights=table(5, 2), **options)
        model = hotloop.Sequential([layer, layers.Flatten(), Dense(1)])
        model.compile(hotloop.optimizers.Adam(0.1), "mse")
        model.fit(np.array([[0, 1]]), np.ones((1, 1)), verbose=0)
        first = layer.get_weights()[0]
        model.fit(np.array([[2, 2]]), np.ones((1, 1)), verbose=0)
        return first, layer.get_weights()[0]

    first, second = trained(trainable=False)
    np.testing.assert_array_equal(first, table(5, 2))
    np.testing.assert_array_equal(second, table(5, 2))
    first, second = trained()
    assert (first[:2] != table(5, 2)[:2]).all()
    np.testing.assert_array_equal(first[2:], table(5, 2)[2:])
    assert (second[:3] != first[:3]).all()
    np.testing.assert_array_equal(second[3:], first[3:])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((0, 2), "input_dim must be a whole number of at least 1, not 0"),
        ((2.0, 2), "input_dim must be a whole number"),
        ((2, True), "output_dim must be a whole number"),
        ((2**31, 1), r"input_dim must be below 2\*\*31"),
    ],
)
def test_bad_sizes_are_refused(arguments, told):
    with pytest.raises(ValueError, match=told):
        Embedding(*arguments)


def test_what_is_not_supported_is_refused():
    with pytest.raises(ValueError, match="mask_zero=True is not supported"):
        Embedding(2, 2, mask_zero=True)
    with pytest.raises(ValueError, match="Unknown constraint 'x'"):
        Embedding(2, 2, embeddings_constraint="x")
    with pytest.raises(TypeError, match="takes no argument 'lora_rank'"):
        Embedding(2, 2, lora_rank=2)
    with pytest.raises(ValueError, match=r"has shape \(2, 2\), got \(2, 3\)"):
        Embedding(2, 2, weights=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="float64 but its input is float32"):
        Embedding(2, 2, dtype="float64")(hotloop.Input((3,)))


def test_structure_weights_and_files_come_back(tmp_path):
    model = hotloop.Sequential(
        [
            hotloop.Input((4,)),
            Embedding(9, 3, "normal", "l2", name="words"),
            layers.GlobalMaxPooling1D(),
            Dense(2),
        ]
    )
    model.compile("adam", "mse")
    x, y = np.arange(40).reshape(10, 4) % 9, np.ones((10, 2))
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "m.hotloop")
    again = hotloop.models.load_model(tmp_path / "m.hotloop")
    clone = hotloop.models.clone_model(model)
    clone.set_weights(model.get_weights())
    assert again.get_layer("words").get_config() == model.get_layer("words").get_config()
    assert again.count_params() == 9 * 3 + 3 * 2 + 2
    for other in (again, clone):
        np.testing.assert_array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))
    model.fit(x, y, shuffle=False, verbose=0)
    again.fit(x, y, shuffle=False, verbose=0)
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_training_step_is_all_in_the_selected_backend(backend):
    model = hotloop.Sequential([Embedding(50, 8), GlobalAveragePooling1D(), Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    rng = np.random.default_rng(1)
    profile = model.profile(rng.integers(0, 50, (64, 9)), rng.integers(0, 2, (64, 1)), steps=2)
    rows = {row.op: row for row in profile.rows}
    assert {"lookup", "mean_steps", "repeat_steps", "lookup_gradient", "update"} <= set(rows)
    if backend == "cython":
        assert {row.backend for row in profile.rows} == {"cython"}
    assert rows["lookup"].bytes == 32 * 9 * (4 + 8 * 4 + 8 * 4)
    for op in ("lookup", "lookup_gradient"):
        assert rows[op].layer == model.layers[0].name


def test_the_summary_knows_it(capsys):
    model = hotloop.Sequential([hotloop.Input((9,)), Embedding(50, 8), layers.Flatten()])
    model.summary()
    out = capsys.readouterr().out
    assert "(None, 9, 8)" in out
    assert "400" in out


def test_the_classic_of_film_reviews_learns_as_in_keras():
    """Embedding, GlobalAveragePooling1D, Dense: words of two kinds tell good reviews from bad."""
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(3)
    words, length, rows = 300, 40, 500
    y = rng.integers(0, 2, rows)
    common = rng.integers(100, words, (rows, length))
    telling = rng.integers(0, 50, (rows, length)) + 50 * y[:, None]
    x = np.where(rng.random((rows, length)) < 0.3, telling, common)
    models, histories, first = [], [], None
    for k in (hotloop, keras):
        model = k.Sequential(
            [
                k.layers.Embedding(words, 16),
                k.layers.GlobalAveragePooling1D(),
                k.layers.Dense(16, activation="relu"),
                k.layers.Dense(1, activation="sigmoid"),
            ]
        )
        model.build((None, length))
        models.append(model)
        first = first or model.get_weights()
        model.set_weights(first)
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        found = model.fit(x, y, 64, epochs=12, validation_split=0.2, shuffle=False, verbose=0)
        histories.append(found.history)
    assert histories[0]["val_accuracy"][-1] > 0.9
    for name, values in histories[1].items():
        np.testing.assert_allclose(histories[0][name], values, 1e-3, 1e-3, err_msg=name)
    for ours, theirs in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(ours, theirs, 1e-3, 1e-3)
