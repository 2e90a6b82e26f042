"""hotloop.datasets.digits: the shipped set is scikit-learn's, whole."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from hotloop.datasets import digits


def test_shapes_types_and_range():
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    assert (x_train.shape, x_test.shape) == ((1437, 8, 8), (360, 8, 8))
    assert (y_train.shape, y_test.shape) == ((1437,), (360,))
    assert x_train.dtype == y_train.dtype == np.uint8
    assert (x_train.min(), x_train.max()) == (0, 16)
    assert set(y_test) == set(range(10))


def test_every_row_of_scikit_learns_set_is_there_once():
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    rows = np.c_[np.concatenate([x_train, x_test]).reshape(-1, 64), np.r_[y_train, y_test]]
    images, labels = load_digits(return_X_y=True)
    expected = np.c_[images.astype(np.uint8), labels]
    np.testing.assert_array_equal(sorted(rows.tolist()), sorted(expected.tolist()))


def test_the_split_is_fixed_and_follows_the_seed():
    (_, first), _ = digits.load_data()
    (_, again), _ = digits.load_data()
    (_, other), _ = digits.load_data(seed=1)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_another_file(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.zeros((4, 8, 8)), y=np.arange(4))
    (x_train, _), (x_test, _) = digits.load_data(tmp_path / "d.npz", test_split=0.25)
    assert (len(x_train), len(x_test)) == (3, 1)
    with pytest.raises(FileNotFoundError):
        digits.load_data(tmp_path / "missing.npz")
