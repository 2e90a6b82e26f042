"""Tables of pandas, polars and Arrow: their numbers, in place where the library can, and errors."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import hotloop
from hotloop import layers
from hotloop.data import adapters, tables

COLUMNS = {
    "whole": np.array([3, 1, 2], np.int64),
    "real": np.array([0.5, -1.0, 7.25], np.float32),
    "yes": np.array([True, False, True]),
}
NUMBERS = np.array([[3, 0.5, 1], [1, -1, 0], [2, 7.25, 1]])

TABLES = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "Arrow table": pa.table,
    "Arrow batch": pa.RecordBatch.from_pydict,
}
SERIES = {
    "pandas": pd.Series,
    "pandas index": pd.Index,
    "polars": pl.Series,
    "Arrow": pa.array,
    "Arrow chunks": lambda values: pa.chunked_array([values]),
}


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_the_columns_of_a_table_in_one_matrix(make):
    found = adapters.as_array(make(COLUMNS), "x")
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, NUMBERS)


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "int8", "uint64", "bool"])
def test_columns_of_one_dtype_keep_it(make, dtype):
    found = adapters.as_array(make({c: np.array([0, 1]).astype(dtype) for c in "ab"}), "x")
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.array([[0, 0], [1, 1]]).astype(dtype))


@pytest.mark.parametrize("make", SERIES.values(), ids=SERIES)
@pytest.mark.parametrize("name", COLUMNS)
def test_a_column(make, name):
    found = adapters.as_array(make(COLUMNS[name]), "y")
    assert found.dtype == COLUMNS[name].dtype
    np.testing.assert_array_equal(found, COLUMNS[name])


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_one_column_and_no_rows(make):
    assert adapters.as_array(make({"a": np.arange(3.0)}), "x").shape == (3, 1)
    assert adapters.as_array(make({"a": np.zeros(0), "b": np.zeros(0)}), "x").shape == (0, 2)
    with pytest.raises(ValueError, match="x is a table without columns"):
        adapters.as_array(make({}), "x")


def test_many_rows_and_columns_of_an_arrow_table():
    numbers = np.random.default_rng(0).normal(size=(2 * tables._COPIED_ROWS + 3, 5))
    table = pa.table({str(i): column for i, column in enumerate(numbers.T)})
    chunked = pa.concat_tables([table[:100], table[100:]])
    np.testing.assert_array_equal(adapters.as_array(table, "x"), numbers)
    np.testing.assert_array_equal(adapters.as_array(chunked, "x"), numbers)
    np.testing.assert_array_equal(adapters.as_array(table[7:9], "x"), numbers[7:9])


def test_what_the_library_can_show_is_not_copied():
    numbers = np.arange(6.0).reshape(3, 2)
    frame = pd.DataFrame(numbers, copy=False)
    assert np.shares_memory(adapters.as_array(frame, "x"), numbers)
    column = frame.iloc[:, 1]
    assert np.shares_memory(adapters.as_array(column, "x"), numbers)
    for table in (pa.table({"a": numbers[:, 0].copy()}), pl.DataFrame({"a": numbers[:, 0]})):
        first, again = (adapters.as_array(table, "x") for _ in range(2))
        assert np.shares_memory(first, again)
    series = pl.Series([1.0, 2.0])
    assert np.shares_memory(adapters.as_array(series, "y"), series.to_numpy())
    array = pa.array([1.0, 2.0])
    assert np.shares_memory(adapters.as_array(array, "y"), array.to_numpy())


def test_pandas_dtypes_that_are_not_numpys():
    frame = pd.DataFrame(
        {
            "nullable": pd.array([1, 2], "Int16"),
            "real": pd.array([0.5, 1.5], "Float32"),
            "yes": pd.array([True, False], "boolean"),
            "arrow": pd.array([7, 8], "int32[pyarrow]"),
            "sparse": pd.arrays.SparseArray([0.0, 3.0]),
        }
    )
    found = adapters.as_array(frame, "x")
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [[1, 0.5, 1, 7, 0], [2, 1.5, 0, 8, 3]])
    assert adapters.as_array(frame["nullable"], "y").dtype == np.int16


def test_names_of_columns_may_repeat():
    frame = pd.DataFrame([[1.0, 2.0]], columns=["a", "a"])
    np.testing.assert_array_equal(adapters.as_array(frame, "x"), [[1.0, 2.0]])
    with pytest.raises(ValueError, match="column 'a' has a missing value"):
        adapters.as_array(pd.DataFrame([[1, None]], columns=["a", "a"], dtype="Int64"), "x")


DATES = np.array(["2020-01-01", "2020-01-02"], "datetime64[ms]")
STRINGS = {
    "pandas": pd.DataFrame({"size": [1, 2], "town": ["a", "b"]}),
    "pandas objects": pd.DataFrame({"town": np.array(["a", 1], object)}),
    "pandas Arrow": pd.DataFrame({"town": pd.array(["a", "b"], "string[pyarrow]")}),
    "polars": pl.DataFrame({"size": [1, 2], "town": ["a", "b"]}),
    "Arrow": pa.table({"size": [1, 2], "town": ["a", "b"]}),
    "large Arrow": pa.table({"town": pa.array(["a", "b"], pa.large_string())}),
}
CATEGORIES = {
    "pandas": pd.DataFrame({"town": pd.Categorical([1, 2])}),
    "polars": pl.DataFrame({"town": pl.Series(["a", "b"], dtype=pl.Categorical)}),
    "polars enum": pl.DataFrame({"town": pl.Series(["a", "b"], dtype=pl.Enum(["a", "b"]))}),
    "Arrow": pa.table({"town": pa.array(["a", "b"]).dictionary_encode()}),
}
TIMES = {
    "pandas": pd.DataFrame({"town": DATES}),
    "pandas zone": pd.DataFrame({"town": pd.to_datetime(DATES, utc=True)}),
    "pandas duration": pd.DataFrame({"town": DATES - DATES[0]}),
    "pandas period": pd.DataFrame({"town": pd.period_range("2020", periods=2)}),
    "polars": pl.DataFrame({"town": DATES}),
    "polars date": pl.DataFrame({"town": DATES}).cast(pl.Date),
    "polars duration": pl.DataFrame({"town": DATES - DATES[0]}),
    "Arrow": pa.table({"town": DATES}),
    "Arrow date": pa.table({"town": pa.array(DATES).cast(pa.date32())}),
}


@pytest.mark.parametrize("table", STRINGS.values(), ids=STRINGS)
def test_strings_name_the_column_and_the_layer(table):
    with pytest.raises(TypeError, match=r"column 'town' holds strings.*StringLookup.*CategoryEnc"):
        adapters.as_array(table, "x")


@pytest.mark.parametrize("table", CATEGORIES.values(), ids=CATEGORIES)
def test_categories_name_the_column_and_the_layer(table):
    with pytest.raises(
        TypeError, match=r"column 'town' holds categories.*Lookup.*CategoryEncoding"
    ):
        adapters.as_array(table, "x")


@pytest.mark.parametrize("table", TIMES.values(), ids=TIMES)
def test_times_name_the_column_and_the_layer(table):
    with pytest.raises(
        TypeError, match=r"column 'town' holds dates or times.*layers.Normalization"
    ):
        adapters.as_array(table, "x")


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pd.Series(["a"]), r"^y holds strings \(dtype"),
        (pd.Series([Fraction(1, 2)]), "y holds Python objects"),
        (pd.Series([1j]), "y holds complex numbers"),
        (pd.interval_range(0, 2), "y holds values of another kind"),
        (pl.Series([[1]]), r"y holds values of another kind \(dtype List"),
        (pl.Series([1], dtype=pl.Decimal(9, 2)), "y holds decimal numbers"),
        (pl.Series([1], dtype=pl.Int128), "y holds values of another kind"),
        (pl.LazyFrame({"a": [1]}), r"y is a polars LazyFrame.*\.collect\(\)"),
        (pl.col("a"), "y is a polars Expr"),
        (pa.array([b"a"]), "y holds values of another kind"),
        (pa.schema([]), "y is a pyarrow Schema"),
        (pd.DataFrame({"a": [1]}).groupby("a"), "y is a pandas DataFrameGroupBy"),
    ],
)
def test_other_things_that_are_no_numbers(column, words):
    with pytest.raises(TypeError, match=words):
        adapters.as_array(column, "y")


MISSING = {
    "pandas": pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [1, None, 3, None]}),
    "pandas nullable": pd.DataFrame({"b": pd.array([1, None, 3, None], "Int64")}),
    "pandas Arrow": pd.DataFrame({"b": pd.array([1, None, 3, None], "int64[pyarrow]")}),
    "polars": pl.DataFrame({"a": [1, 2, 3, 4], "b": [1, None, 3, None]}),
    "polars NaN": pl.DataFrame({"a": [1, 2, 3, 4], "b": [1.0, np.nan, 3.0, np.nan]}),
    "polars, nothing else": pl.DataFrame({"a": [1, 2, 3], "b": [None] * 3})[1:],
    "Arrow": pa.table({"a": [1, 2, 3, 4], "b": [1, None, 3, None]}),
    "Arrow NaN": pa.table({"a": [1, 2, 3, 4], "b": [1.0, np.nan, 3.0, np.nan]}),
}


@pytest.mark.parametrize("table", MISSING.values(), ids=MISSING)
def test_missing_values_name_the_column_and_say_what_to_do(table):
    with pytest.raises(ValueError, match=r"x: the column 'b' has 2 missing values.*fill.*drop"):
        adapters.as_array(table, "x")


def test_the_first_missing_value_of_a_column():
    with pytest.raises(ValueError, match=r"^y has a missing value \(NaN or null\), in row 2: fill"):
        adapters.as_array(pd.Series([1.0, np.inf, np.nan]), "y")
    with pytest.raises(ValueError, match=r"the first in row 0.*\.fill_null.*\.drop_nulls"):
        adapters.as_array(pl.Series([None, None, 1]), "y")


def test_infinite_values_are_not_missing():
    found = adapters.as_array(pd.DataFrame({"a": [np.inf, -np.inf]}), "x")
    np.testing.assert_array_equal(found, [[np.inf], [-np.inf]])


# ------------------------------------------------------------------------------ with a model


def model():
    hotloop.utils.set_random_seed(1)
    found = hotloop.Sequential([layers.Dense(4, "tanh"), layers.Dense(3, "softmax")])
    found.compile("adam", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    return found


@pytest.mark.parametrize("make", ["pandas", "polars", "Arrow table"])
def test_a_model_is_the_same_on_a_table_as_on_its_array(make):
    rng = np.random.default_rng(0)
    x = {f"x{i}": rng.normal(size=50).astype(np.float32) for i in range(3)}
    y, weight = rng.integers(0, 3, 50), rng.random(50)
    kind = {"pandas": "pandas", "polars": "polars", "Arrow table": "Arrow"}[make]
    table, series = TABLES[make](x), SERIES[kind]
    array = np.stack(list(x.values()), axis=1)
    results = []
    for data in ((array, y, weight), (table, series(y), series(weight))):
        trained = model()
        history = trained.fit(
            *data[:2], sample_weight=data[2], epochs=2, validation_split=0.2, verbose=0
        )
        results.append(
            [
                history.history,
                trained.evaluate(*data[:2], sample_weight=data[2], verbose=0),
                trained.train_on_batch(*data),
                trained.test_on_batch(*data),
                trained.predict(data[0], verbose=0).tolist(),
                trained.predict([data[0]], verbose=0).tolist(),
                trained(data[0]).tolist(),
            ]
        )
    assert results[0] == results[1]


def test_columns_by_the_names_of_several_inputs():
    a, b = hotloop.Input((1,), name="a"), hotloop.Input((2,), name="b")
    both = hotloop.Model([a, b], layers.Concatenate()([a, b]))
    frame = pd.DataFrame(np.arange(6.0).reshape(2, 3), columns=["p", "q", "r"])
    found = both.predict({"a": frame["p"], "b": frame[["q", "r"]]}, verbose=0)
    np.testing.assert_array_equal(found, frame)
    with pytest.raises(TypeError, match=r"x\['a'\] holds strings"):
        both.predict({"a": pd.Series(["?"]), "b": frame}, verbose=0)


def test_the_libraries_are_not_imported():
    program = """
import sys
import numpy as np
import hotloop
model = hotloop.Sequential([hotloop.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
model.fit(iter([(np.ones((4, 2)), np.ones(4))]), verbose=0)
print([name for name in ("pandas", "polars", "pyarrow", "torch") if name in sys.modules])
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
