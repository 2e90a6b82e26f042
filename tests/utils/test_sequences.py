"""Padded sequences and windows, beside Keras's."""

import numpy as np
import pytest

import hotloop
from hotloop.utils import pad_sequences, timeseries_dataset_from_array

keras = pytest.importorskip("keras")

GIVEN = [
    [[1], [2, 3], [4, 5, 6]],
    [[], [1, 2]],
    [np.ones((2, 3)), np.zeros((4, 3)), []],
    [(1.5, 2.5), (3.5,)],
]


@pytest.mark.parametrize("sequences", GIVEN, ids=range(4))
@pytest.mark.parametrize("maxlen", [None, 1, 2, 5])
@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("truncating", ["pre", "post"])
def test_padding_is_that_of_keras(sequences, maxlen, padding, truncating):
    for options in ({}, {"dtype": "float32", "value": -1.0}):
        options = options | {"padding": padding, "truncating": truncating, "maxlen": maxlen}
        ours = pad_sequences(sequences, **options)
        wanted = keras.utils.pad_sequences(sequences, **options)
        assert ours.dtype == wanted.dtype
        np.testing.assert_array_equal(ours, wanted)


def test_words():
    options = {"dtype": object, "value": "-", "padding": "post"}
    assert pad_sequences([["a"], ["b", "c"]], **options).tolist() == [["a", "-"], ["b", "c"]]


@pytest.mark.parametrize(
    ("sequences", "options", "words"),
    [
        ([1, 2], {}, "list of lists"),
        (3, {}, "list of lists"),
        ([[1]], {"padding": "left"}, "padding"),
        ([[1]], {"truncating": "left"}, "truncating"),
        ([[1]], {"value": "x"}, "dtype=object"),
        ([[[1, 2]], [[1]]], {}, "sequence 1 have shape"),
    ],
)
def test_what_cannot_be_padded(sequences, options, words):
    with pytest.raises(ValueError, match=words):
        pad_sequences(sequences, **options)


def test_windows():
    data = np.arange(20).reshape(10, 2)
    targets = np.arange(10) * 10
    windows = timeseries_dataset_from_array(
        data, targets, 3, sequence_stride=2, sampling_rate=2, batch_size=2, start_index=1
    )
    assert len(windows) == windows.num_batches == 2
    x, y = windows[0]
    np.testing.assert_array_equal(x, [data[[1, 3, 5]], data[[3, 5, 7]]])
    assert y.tolist() == [10, 30]
    assert windows[1][1].tolist() == [50]
    with pytest.raises(IndexError, match="2 batches"):
        windows[2]
    single = timeseries_dataset_from_array(data, None, 3, batch_size=None)
    np.testing.assert_array_equal(single[4], data[4:7])
    assert sum(1 for _ in single) == len(single) == 8
    mixed = timeseries_dataset_from_array(data, targets, 3, shuffle=True, seed=1, batch_size=8)
    x, y = mixed[0]
    assert sorted(y) == list(range(0, 80, 10))
    np.testing.assert_array_equal(x[:, 0, 0], y / 5)
    with pytest.raises(ValueError, match="no window of 30 steps"):
        timeseries_dataset_from_array(data, None, 30)
    with pytest.raises(ValueError, match="sampling_rate must be at least 1"):
        timeseries_dataset_from_array(data, None, 3, sampling_rate=0)


def test_a_model_trains_on_windows():
    series = np.sin(np.arange(200) / 5).astype("float32")
    windows = timeseries_dataset_from_array(series[:-5], series[5:], 5, batch_size=16)
    model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=5)])
    model.compile(hotloop.optimizers.Adam(0.05), "mse")
    losses = model.fit(windows, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < 0.1 * losses[0]
