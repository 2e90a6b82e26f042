"""Batches of a user's class, split data, and what a batch is."""

import threading
import time

import numpy as np
import pytest

import hotloop
from hotloop import utils

keras = pytest.importorskip("keras")


class Squares(utils.PyDataset):
    def __init__(self, **options):
        super().__init__(**options)
        self.threads, self.events = set(), []

    def __len__(self):
        return 7

    def __getitem__(self, index):
        self.threads.add(threading.get_ident())
        time.sleep(0.002 * (7 - index))  # later ones are ready first
        x = np.full((4, 1), index, "float32")
        return x, x**2

    def on_epoch_begin(self):
        self.events.append("begin")

    def on_epoch_end(self):
        self.events.append("end")


def test_batches_of_many_workers_come_in_their_order():
    histories = []
    for workers in (1, 3):
        hotloop.utils.set_random_seed(0)
        model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=1)])
        model.compile("sgd", "mse")
        data = Squares(workers=workers, max_queue_size=2)
        fit = model.fit(data, epochs=2, shuffle=False, verbose=0, validation_data=data)
        histories.append(fit.history)
        assert len(data.threads) >= workers
        assert model.predict(data, verbose=0).shape == (28, 1)
        assert data.events.count("begin") == data.events.count("end")
    assert histories[0] == histories[1]


def test_an_error_of_a_worker_is_raised():
    class Failing(Squares):
        def __getitem__(self, index):
            if index == 3:
                raise RuntimeError("no batch 3")
            return super().__getitem__(index)

    model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=1)])
    model.compile("sgd", "mse")
    with pytest.raises(RuntimeError, match="no batch 3"):
        model.fit(Failing(workers=2), shuffle=False, verbose=0)


def test_what_a_subclass_must_define():
    assert utils.Sequence is utils.PyDataset
    with pytest.raises(NotImplementedError, match="__getitem__"):
        utils.PyDataset()[0]
    with pytest.raises(NotImplementedError, match="num_batches"):
        len(utils.PyDataset())


@pytest.mark.parametrize(
    ("sizes", "lengths"),
    [
        ({"left_size": 0.6}, (6, 4)),
        ({"left_size": 3}, (3, 7)),
        ({"right_size": 0.3}, (7, 3)),
        ({"left_size": 2, "right_size": 3}, (2, 3)),
        ({"left_size": 0.25, "right_size": 0.25}, (2, 2)),
    ],
)
def test_data_of_every_form_is_split(sizes, lengths):
    x, y = np.arange(20).reshape(10, 2), np.arange(10)
    for given in (x, (x, y), {"a": x, "b": y}):
        left, right = utils.split_dataset(given, **sizes)
        assert type(left) is type(given)
        for part, length in zip((left, right), lengths, strict=True):
            assert {len(leaf) for leaf in hotloop.tree.flatten(part)} == {length}
    left, right = utils.split_dataset((x, y), shuffle=True, seed=3, **sizes)
    np.testing.assert_array_equal(left[0][:, 0], left[1] * 2)
    assert len({*left[1], *right[1]}) == sum(lengths)
    again = utils.split_dataset((x, y), shuffle=True, seed=3, **sizes)
    np.testing.assert_array_equal(again[0][1], left[1])
    halves = utils.split_dataset([[1], [2], [3], [4]], 0.5)
    assert halves == ([[1], [2]], [[3], [4]])


@pytest.mark.parametrize(
    ("given", "sizes", "words"),
    [
        (np.ones(4), {}, "left_size, right_size"),
        (np.ones(4), {"left_size": 5}, "from 0 to 4"),
        (np.ones(4), {"left_size": 1.5}, "from 0 to 1"),
        (np.ones(4), {"left_size": 3, "right_size": 3}, "more than the 4"),
        (np.ones(4), {"left_size": 4}, "one part would have 4"),
        ((np.ones(4), np.ones(5)), {"left_size": 1}, "4, 5"),
    ],
)
def test_sizes_that_do_not_fit(given, sizes, words):
    with pytest.raises(ValueError, match=words):
        utils.split_dataset(given, **sizes)


def test_what_a_batch_is():
    for module in (utils, keras.utils):
        assert module.pack_x_y_sample_weight(1) == 1
        assert module.pack_x_y_sample_weight([1, 2]) == ([1, 2],)
        assert module.pack_x_y_sample_weight(1, 2) == (1, 2)
        assert module.pack_x_y_sample_weight(1, 2, 3) == (1, 2, 3)
        assert module.unpack_x_y_sample_weight(5) == (5, None, None)
        assert module.unpack_x_y_sample_weight((1,)) == (1, None, None)
        assert module.unpack_x_y_sample_weight((1, 2, 3)) == (1, 2, 3)
        with pytest.raises(ValueError, match="sample_weight"):
            module.unpack_x_y_sample_weight((1, 2, 3, 4))
