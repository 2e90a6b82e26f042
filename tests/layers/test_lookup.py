"""StringLookup and IntegerLookup: vocabularies, look-ups, models of strings.

Keras's own lookups need TensorFlow; the expected numbers are those of its documentation.
"""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import hotloop
from hotloop import layers
from hotloop.layers import (
    CategoryEncoding,
    Dense,
    Embedding,
    Flatten,
    IntegerLookup,
    StringLookup,
)

LETTERS = ["a", "b", "c", "d"]
NUMBERS = [12, 36, 1138, 42]


@pytest.mark.parametrize(
    "make",
    [
        np.array,
        lambda x: np.array(x, object),
        lambda x: np.array(x, "S"),
        lambda x: np.array([[s.encode() for s in row] for row in x], object),
        lambda x: x,
        lambda x: np.asfortranarray(x),
        lambda x: np.array(x, np.dtypes.StringDType()),
    ],
)
def test_strings_of_any_kind_are_numbered(make):
    layer = StringLookup(vocabulary=LETTERS)
    found = layer(make([["a", "c", "d"], ["d", "z", "b"]]))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, [[1, 3, 4], [4, 0, 2]])


def test_integers_are_numbered():
    data = np.array([[12, 1138, 42], [42, 1000, 36]])
    for given in (data, data.astype("f4"), data.astype(">i2"), data.tolist()):
        found = IntegerLookup(vocabulary=NUMBERS)(given)
        np.testing.assert_array_equal(found, [[1, 3, 4], [4, 0, 2]])
    found = IntegerLookup(vocabulary=NUMBERS, num_oov_indices=2)([[12, 1138, 42], [37, 1000, 36]])
    np.testing.assert_array_equal(found, [[2, 4, 5], [1, 0, 3]])
    large = [2**62, -(2**62), 2**53 + 1]
    np.testing.assert_array_equal(IntegerLookup(vocabulary=large)(large), [1, 2, 3])
    assert IntegerLookup(vocabulary=large)([2**53])[0] == 0


def test_masks_come_first():
    layer = StringLookup(vocabulary=LETTERS, mask_token="")
    np.testing.assert_array_equal(layer(["", "a", "z", "d"]), [0, 2, 1, 5])
    assert layer.get_vocabulary() == ["", "[UNK]", *LETTERS]
    assert layer.get_vocabulary(include_special_tokens=False) == LETTERS
    assert layer.vocabulary_size() == 6
    layer = IntegerLookup(vocabulary=NUMBERS, mask_token=0, num_oov_indices=2)
    np.testing.assert_array_equal(layer([0, 12, 5, 6]), [0, 3, 2, 1])
    assert layer.get_vocabulary() == [0, -1, -1, *NUMBERS]
    # Where vectors are made, masked terms are in none.
    layer = StringLookup(vocabulary=LETTERS, mask_token="", output_mode="count")
    np.testing.assert_array_equal(layer([["", "a", "z", "a"]]), [[1, 2, 0, 0, 0]])
    assert layer.get_vocabulary() == ["[UNK]", *LETTERS]


@pytest.mark.parametrize(
    ("mode", "data", "expected"),
    [
        (
            "one_hot",
            ["a", "b", "c", "d", "z"],
            [
                [0, 1, 0, 0, 0],
                [0, 0, 1, 0, 0],
                [0, 0, 0, 1, 0],
                [0, 0, 0, 0, 1],
                [1, 0, 0, 0, 0],
            ],
        ),
        ("one_hot", [["a"], ["z"]], [[0, 1, 0, 0, 0], [1, 0, 0, 0, 0]]),
        ("multi_hot", [["a", "c", "d", "d"], ["d", "z", "b", "z"]],
         [[0, 1, 0, 1, 1], [1, 0, 1, 0, 1]]),
        ("count", [["a", "c", "d", "d"], ["d", "z", "b", "z"]],
         [[0, 1, 0, 1, 2], [2, 0, 1, 0, 1]]),
    ],
)  # fmt: skip
def test_terms_become_vectors(backend, mode, data, expected):
    layer = StringLookup(vocabulary=LETTERS, output_mode=mode)
    np.testing.assert_array_equal(layer(np.array(data)), expected)
    model = hotloop.Sequential([StringLookup(vocabulary=LETTERS, output_mode=mode)])
    np.testing.assert_array_equal(model.predict(np.array(data), verbose=0), expected)
    padded = StringLookup(7, vocabulary=LETTERS, output_mode=mode, pad_to_max_tokens=True)
    np.testing.assert_array_equal(padded(data), np.pad(expected, ((0, 0), (0, 2))))
    numbers = dict(zip("abcdz", [*NUMBERS, 7], strict=True))
    of_numbers = IntegerLookup(vocabulary=NUMBERS, output_mode=mode)
    given = np.vectorize(numbers.get)(np.array(data))
    np.testing.assert_array_equal(of_numbers(given), expected)


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
@pytest.mark.parametrize("shape", [(3, 2), (1, 2), (3, 1), (2, 3, 2)])
def test_indices_of_several_axes_are_encoded_as_categories_are(backend, mode, shape):
    x = np.random.default_rng(5).choice([*NUMBERS, 7], (6, *shape))
    index = IntegerLookup(vocabulary=NUMBERS)(x)
    expected = CategoryEncoding(len(NUMBERS) + 1, mode)(index)
    layer = IntegerLookup(vocabulary=NUMBERS, output_mode=mode)
    np.testing.assert_array_equal(layer(x), expected)
    np.testing.assert_array_equal(hotloop.Sequential([layer]).predict(x, verbose=0), expected)


def test_indices_become_terms_again():
    layer = StringLookup(vocabulary=LETTERS, invert=True)
    found = layer([[1, 3, 4], [4, 0, 2]])
    assert found.tolist() == [["a", "c", "d"], ["d", "[UNK]", "b"]]
    assert layer([5, -1, 9]).tolist() == ["[UNK]"] * 3
    layer = IntegerLookup(vocabulary=NUMBERS, invert=True)
    np.testing.assert_array_equal(layer([[1, 3, 4], [4, 0, 2]]), [[12, 1138, 42], [42, -1, 36]])
    layer = StringLookup(vocabulary=LETTERS, invert=True, mask_token="")
    assert layer([0, 1, 2, 5]).tolist() == ["", "[UNK]", "a", "d"]
    whole = StringLookup(vocabulary=layer.get_vocabulary(), invert=True, mask_token="")
    assert whole.get_vocabulary() == layer.get_vocabulary()


def test_vocabularies_are_found_in_data():
    """The most frequent first; of equals, the larger."""
    data = np.array([["a", "c", "d"], ["d", "z", "b"], ["d", "[UNK]", "c"]])
    for given in (data, data.astype(object), [data[:1], data[1:]], iter([data])):
        layer = StringLookup()
        layer.adapt(given)
        assert layer.get_vocabulary() == ["[UNK]", "d", "c", "z", "b", "a"]
    layer = StringLookup(max_tokens=3)
    layer.adapt(data)
    assert layer.get_vocabulary() == ["[UNK]", "d", "c"]
    layer = StringLookup(mask_token="d")
    layer.adapt(data)
    assert layer.get_vocabulary() == ["d", "[UNK]", "c", "z", "b", "a"]
    layer = IntegerLookup()
    layer.adapt(np.array([[12, 1138, 42], [42, 1000, 36], [-1, 5, 5]]))
    assert layer.get_vocabulary() == [-1, 42, 5, 1138, 1000, 36, 12]
    layer.adapt([[1, 1, 2]])
    assert layer.get_vocabulary() == [-1, 1, 2]


def test_vocabularies_are_read_from_files(tmp_path):
    (tmp_path / "words.txt").write_text("red\ngrün\n", encoding="utf-8")
    (tmp_path / "numbers.txt").write_text("5\n7\n")
    layer = StringLookup(vocabulary=str(tmp_path / "words.txt"))
    np.testing.assert_array_equal(layer(np.array(["grün".encode(), b"red"])), [2, 1])
    layer = IntegerLookup(vocabulary=str(tmp_path / "numbers.txt"))
    np.testing.assert_array_equal(layer([7, 5]), [2, 1])


def test_terms_outside_the_vocabulary_may_be_an_error():
    layer = StringLookup(vocabulary=LETTERS, num_oov_indices=0, name="colours")
    np.testing.assert_array_equal(layer(["a", "d"]), [0, 3])
    with pytest.raises(ValueError, match="'colours' has no index for 'x', 'y', which its vocab"):
        layer(["a", "y", "x", "y"])
    layer = IntegerLookup(vocabulary=NUMBERS, num_oov_indices=0, mask_token=0)
    np.testing.assert_array_equal(layer([0, 42]), [0, 4])
    with pytest.raises(ValueError, match=r"has no index for 1, 2, 3, 4, 5, \.\.\., which"):
        layer([0, *range(1, 9)])


def test_a_model_takes_strings(backend, tmp_path):
    colours = np.array(["red", "green", "blue"])
    rng = np.random.default_rng(1)
    x = colours[rng.integers(0, 3, (60, 1))]
    y = (x == "red").astype("float32")
    lookup = StringLookup(name="colour")
    lookup.adapt(x)
    model = hotloop.Sequential([lookup, Embedding(4, 2), Flatten(), Dense(1, "sigmoid")])
    model.compile(hotloop.optimizers.Adam(0.1), "binary_crossentropy", metrics=["accuracy"])
    for given in (x, x.astype(object), np.char.encode(x)):
        model.fit(given, y, epochs=15, validation_split=0.2, verbose=0)
    assert model.evaluate(x, y, verbose=0)[1] == 1.0
    found = model.predict(np.array([["red"], ["blue"], ["pink"]]), verbose=0)
    assert found[0] > 0.5 > found[1]
    profile = model.profile(x, y, steps=2)
    if backend == "cython":
        assert {row.backend for row in profile.rows} == {"cython"}
    assert next(row.layer for row in profile.rows).startswith("embedding")
    model.save(tmp_path / "m.hotloop")
    again = hotloop.models.load_model(tmp_path / "m.hotloop")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert again.get_layer("colour").get_vocabulary() == lookup.get_vocabulary()
    with pytest.raises(TypeError, match="'colour' takes strings, not int64; IntegerLookup takes"):
        model.predict(np.array([[1]]), verbose=0)
    missing = np.array([["red"], [None]], object)
    with pytest.raises(TypeError, match="takes strings, but element 1 is None; replace missing"):
        model.predict(missing, verbose=0)


def test_strings_and_numbers_go_to_inputs_of_their_own(backend):
    word, number, amount = hotloop.Input((2,)), hotloop.Input((1,)), hotloop.Input((3,))
    parts = [
        StringLookup(vocabulary=LETTERS, output_mode="multi_hot")(word),
        IntegerLookup(vocabulary=NUMBERS, output_mode="one_hot")(number),
        amount,
    ]
    model = hotloop.Model([word, number, amount], layers.concatenate(parts))
    x = [np.array([["a", "z"]]), np.array([[42]]), np.array([[1.0, 2.0, 3.0]])]
    expected = [[1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3]]
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
    by_name = dict(zip(model.input_names, x, strict=True))
    np.testing.assert_array_equal(model.predict(by_name, verbose=0), expected)
    for wrong in (1, 2):
        given = list(x)
        given[wrong] = x[0]
        with pytest.raises(TypeError, match=rf"x\[{wrong}\] holds strings"):
            model.predict(given, verbose=0)


def test_a_lookup_alone_is_a_model_of_indices(backend):
    model = hotloop.Sequential([StringLookup(vocabulary=LETTERS)])
    np.testing.assert_array_equal(model.predict(np.array([["b"], ["z"]]), verbose=0), [[2], [0]])


def test_a_lookup_of_what_other_layers_compute_is_refused():
    x = hotloop.Input((2,))
    told = "looks its input up before the model runs, so it must be called on one of the model's"
    for layer in (StringLookup(vocabulary=LETTERS), IntegerLookup(vocabulary=NUMBERS)):
        with pytest.raises(ValueError, match=told):
            layer(Dense(2)(x))
    inner = hotloop.Sequential([hotloop.Input((2,)), IntegerLookup(vocabulary=NUMBERS)])
    outer = hotloop.Model(x, inner(layers.Rescaling(2.0)(x)))
    with pytest.raises(ValueError, match=told):
        outer.predict(np.ones((1, 2)), verbose=0)
    inside = hotloop.Model(x, inner(layers.Reshape((2,))(x)))
    np.testing.assert_array_equal(inside.predict([[42, 12]], verbose=0), [[4, 1]])


def test_a_lookup_without_a_vocabulary_is_refused(backend):
    told = r"'terms' has no vocabulary yet: pass vocabulary=..., or call its adapt\(data\) first"
    model = hotloop.Sequential([IntegerLookup(name="terms"), Embedding(3, 1)])
    with pytest.raises(ValueError, match=told):
        model.predict(np.array([[1]]), verbose=0)
    with pytest.raises(ValueError, match=told):
        IntegerLookup(name="terms", output_mode="one_hot")(hotloop.Input((1,)))
    model.layers[0].adapt([[1, 2]])
    assert model.predict(np.array([[1]]), verbose=0).shape == (1, 1, 1)


def test_a_vocabulary_may_not_outgrow_its_model():
    layer = IntegerLookup(vocabulary=NUMBERS, output_mode="count", name="terms")
    layer(hotloop.Input((2,)))
    with pytest.raises(ValueError, match="'terms' has been called with a vocabulary of 4 terms"):
        layer.adapt([[1, 2]])
    assert layer.get_vocabulary() == [-1, *NUMBERS]
    layer.set_vocabulary([1, 2, 3, 4])
    np.testing.assert_array_equal(layer([[2, 2]]), [[0, 0, 2, 0, 0]])


@pytest.mark.parametrize("cls", [StringLookup, IntegerLookup])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_tokens": 1}, "max_tokens must be above 1, not 1"),
        ({"num_oov_indices": -1}, "num_oov_indices must be at least 0"),
        ({"pad_to_max_tokens": True}, "pad_to_max_tokens=True needs max_tokens"),
        ({"output_mode": "tf_idf"}, "'tf_idf' and idf_weights are not supported"),
        ({"output_mode": "sum"}, "output_mode must be one of 'int', 'one_hot'"),
        ({"sparse": True}, "sparse=True is not supported"),
        ({"invert": True, "output_mode": "count"}, "output_mode must be 'int', not 'count'"),
        ({"salt": 1}, "salt None"),
    ],
)
def test_options_that_do_not_fit_are_refused(cls, options, told):
    with pytest.raises(ValueError, match=told):
        cls(**options)


def test_bad_vocabularies_and_terms_are_refused():
    for vocabulary, told in (
        ([], "the vocabulary is empty"),
        (["a", "b", "a"], "the vocabulary repeats 'a'"),
        (["a", "-", "b"], "has the reserved token '-' at 1; leave such tokens out"),
        (["a", "b", "c", "d", "e"], "has 7 terms, those for others included, but max_tokens is 6"),
    ):
        with pytest.raises(ValueError, match=told):
            StringLookup(6, vocabulary=np.array(vocabulary, object), mask_token="-")
    with pytest.raises(ValueError, match="num_oov_indices must be 0 or 1"):
        StringLookup(num_oov_indices=2)
    with pytest.raises(ValueError, match="oov_method must be 'floormod'"):
        IntegerLookup(oov_method="farmhash")
    with pytest.raises(TypeError, match="takes strings, not int64"):
        StringLookup(vocabulary=LETTERS)([1])
    with pytest.raises(TypeError, match="holds strings"):
        IntegerLookup(vocabulary=NUMBERS)(["a"])
    for bad in (1.5, np.nan, np.inf):
        with pytest.raises(ValueError, match="takes whole numbers, but element 1 is"):
            IntegerLookup(vocabulary=NUMBERS)([1.0, bad])
    for empty in (np.zeros((0, 2), "U1"), ["[UNK]"]):
        with pytest.raises(ValueError, match=r"adapt\(\) got no strings"):
            StringLookup().adapt(empty)
    with pytest.raises(ValueError, match="works on arrays, not in a model"):
        StringLookup(vocabulary=LETTERS, invert=True)(hotloop.Input((1,)))


@pytest.mark.parametrize(
    "layer",
    [
        StringLookup(9, 0, "-", "?", LETTERS, output_mode="count", pad_to_max_tokens=True),
        IntegerLookup(None, 3, 0, -7, NUMBERS, invert=False),
        StringLookup(encoding="latin-1"),
    ],
)
def test_configurations_make_the_same_layer(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert again.get_vocabulary() == layer.get_vocabulary()


def test_empty_batches_have_the_shapes_of_full_ones():
    layer = StringLookup(vocabulary=LETTERS)
    assert layer(np.zeros((0, 3), "U1")).shape == (0, 3)
    assert IntegerLookup(vocabulary=NUMBERS, output_mode="count")(np.zeros((0, 3))).shape == (0, 5)


WORDS = ["a", "b", "a", "c"]
COLUMNS = {
    "pandas": pd.Series(WORDS),
    "pandas object": pd.Series(WORDS, dtype=object),
    "pandas string": pd.Series(WORDS, dtype="string"),
    "pandas category": pd.Series(WORDS, dtype="category"),
    "pandas Arrow": pd.Series(WORDS, dtype=pd.ArrowDtype(pa.string())),
    "pandas index": pd.Index(WORDS),
    "pandas frame": pd.DataFrame({"job": WORDS}),
    "polars": pl.Series(WORDS),
    "polars categorical": pl.Series(WORDS, dtype=pl.Categorical),
    "polars enum": pl.Series(WORDS, dtype=pl.Enum(["a", "b", "c"])),
    "polars frame": pl.DataFrame({"job": WORDS}),
    "Arrow": pa.array(WORDS),
    "Arrow large": pa.array(WORDS, pa.large_string()),
    "Arrow dictionary": pa.array(WORDS).dictionary_encode(),
    "Arrow chunks": pa.chunked_array([WORDS[:1], WORDS[1:]]),
    "Arrow table": pa.table({"job": WORDS}),
    "NumPy strings": np.array(WORDS, np.dtypes.StringDType()),
    "list": WORDS,
}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_columns_of_strings(column):
    lookup = StringLookup()
    lookup.adapt(column)
    assert lookup.get_vocabulary() == ["[UNK]", "a", "c", "b"]
    assert np.ravel(lookup(column)).tolist() == [1, 3, 1, 2]
    job, age = hotloop.Input((1,), name="job"), hotloop.Input((1,), name="age")
    one_hot = StringLookup(vocabulary=["a", "b", "c"], output_mode="one_hot")(job)
    model = hotloop.Model([job, age], Dense(1)(layers.concatenate([one_hot, age])))
    model.compile("adam", "mse")
    x, y = {"job": column, "age": pd.Series([1, 2, 3, 4])}, np.ones(4)
    model.fit(x, y, verbose=0)
    model.fit(iter([(x, y)]), verbose=0)
    expected = model.predict({"job": np.array(WORDS), "age": x["age"]}, verbose=0)
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
    alone = hotloop.Sequential([lookup, Embedding(4, 2), Flatten(), Dense(1)])
    if np.ndim(lookup(column)) == 2:
        alone.compile("adam", "mse")
        alone.fit(column, y, verbose=0)
        assert alone.predict(column, verbose=0).shape == (4, 1)


MISSING = {
    "pandas": pd.DataFrame({"job": ["a", None]}),
    "pandas NA": pd.DataFrame({"job": pd.Series(["a", pd.NA], dtype="string")}),
    "pandas category": pd.DataFrame({"job": pd.Series(["a", None], dtype="category")}),
    "polars": pl.DataFrame({"job": ["a", None]}),
    "Arrow": pa.table({"job": ["a", None]}),
}


@pytest.mark.parametrize("frame", MISSING.values(), ids=MISSING)
def test_missing_strings_are_the_mask_or_an_error_that_names_them(frame):
    layer = StringLookup(vocabulary=["a"], mask_token="")
    assert layer(frame).tolist() == [[2], [0]]
    for use in (StringLookup(vocabulary=["a"]), StringLookup().adapt):
        with pytest.raises(
            ValueError, match=r"column 'job' has a missing value.*row 1.*mask_token"
        ):
            use(frame)
    with pytest.raises(TypeError, match="element 1 is None"):
        StringLookup(vocabulary=["a"])(["a", None])


def test_numbers_beside_strings_are_named():
    frame = pd.DataFrame({"job": ["a"], "age": [1]})
    with pytest.raises(TypeError, match=r"column 'age' holds numbers .* beside columns of strings"):
        StringLookup(vocabulary=["a"])(frame)
    for column in (np.array(["a"]), pd.Series(["a"]), ["a"]):
        with pytest.raises(TypeError, match="StringLookup"):
            layers.CategoryEncoding(3)(column)
