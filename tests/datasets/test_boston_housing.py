"""hotloop.datasets.boston_housing, from tables that the tests make."""

from __future__ import annotations

import numpy as np
import pytest

from hotloop.datasets import boston_housing


def table(rows=10):
    return np.arange(rows * 14, dtype=float).reshape(rows, 14) / 4


def test_the_split_of_the_whole_set_has_kerass_shapes(tmp_path):
    x, y = table(506)[:, :-1], table(506)[:, -1]
    np.savez(tmp_path / "boston_housing.npz", x=x, y=y)
    (x_train, y_train), (x_test, y_test) = boston_housing.load_data(tmp_path)
    assert (x_train.shape, x_test.shape) == ((404, 13), (102, 13))
    assert (y_train.shape, y_test.shape) == ((404,), (102,))
    assert x_train.dtype == y_train.dtype == np.float64


def test_kerass_rows_come_first_with_the_default_seed():
    data = pytest.importorskip("mlxtend.data")
    x, y = data.boston_housing_data()
    (x_train, y_train), _ = boston_housing.files.shuffled_split(x, y, 0.2, 113)
    assert y_train[:5].tolist() == [15.2, 42.3, 50.0, 21.1, 17.7]
    assert x_train[0, :3].tolist() == [1.23247, 0.0, 8.14]


@pytest.mark.parametrize("name", ["boston_housing.csv", "boston.csv", "housing.csv"])
@pytest.mark.parametrize("header", [True, False])
def test_a_csv_table(tmp_path, name, header):
    names = ",".join((*boston_housing.FEATURES, "MEDV"))
    np.savetxt(tmp_path / name, table(), delimiter=",", header=names if header else "", comments="")
    (x_train, y_train), (x_test, y_test) = boston_housing.load_data(tmp_path, test_split=0.5)
    rows = np.concatenate([np.c_[x_train, y_train], np.c_[x_test, y_test]])
    np.testing.assert_array_equal(rows[rows[:, 0].argsort()], table())
    assert len(x_test) == 5


def test_a_table_with_blanks_between_the_cells(tmp_path):
    np.savetxt(tmp_path / "housing.data", table(), fmt="%10.4f")
    (x_train, _), _ = boston_housing.load_data(tmp_path / "housing.data", test_split=0.0)
    assert x_train.shape == (10, 13)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no rows"),
        ("a,b,c\n", "no rows"),
        ("1,2,3\n", "line 1: expected 14 numbers, got 3"),
        (",".join("1" * 14) + "\n1,x\n", "line 2: a cell is not a number"),
    ],
)
def test_a_damaged_table_is_named(tmp_path, text, message):
    (tmp_path / "boston.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        boston_housing.load_data(tmp_path)


def test_nowhere_to_be_had():
    with pytest.raises(FileNotFoundError, match=r"boston_housing\.npz"):
        boston_housing.load_data()
