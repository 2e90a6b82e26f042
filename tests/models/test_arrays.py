"""Which batches of arrays an epoch has."""

from __future__ import annotations

import numpy as np
import pytest

import hotloop
from hotloop.data.feed import BLOCK_ROWS
from hotloop.layers import Dense
from hotloop.models.arrays import ArrayEpochs
from hotloop.models.task import Task

x = np.arange(20.0).reshape(10, 2).astype("f4")
y = x[:, :1]


def epochs_of(batch_size=4, steps_per_epoch=None, shuffle=False):
    model = hotloop.Sequential([Dense(1, input_dim=2)])
    model.compile("sgd", "mse")
    task = Task(model, model._plans, "train", model._compilation)
    return ArrayEpochs(task, task.read(x, y, None), batch_size, steps_per_epoch, shuffle)


def test_an_epoch_has_all_batches():
    source = epochs_of()
    assert (source.steps, source.batch_size) == (3, 4)
    for _ in range(2):
        [part] = source.parts()
        assert (part.first, part.count, part.rows(3)) == (0, 3, 10)


@pytest.mark.filterwarnings("ignore:the data ran out after 1 of 2 steps")
def test_an_epoch_goes_on_where_the_last_one_stopped():
    source = epochs_of(steps_per_epoch=2)
    parts = [source.parts()[0] for _ in range(4)]
    assert [(part.first, part.count) for part in parts] == [(0, 2), (2, 1), (0, 2), (2, 1)]
    assert [part.rows(part.count) for part in parts] == [8, 2, 8, 2]


def test_a_new_order_whenever_the_examples_begin_anew():
    source = epochs_of(batch_size=5, steps_per_epoch=1, shuffle=True)
    orders = [source.parts()[0].feed.order for _ in range(4)]
    assert orders[0] is orders[1]
    assert orders[2] is orders[3]
    assert sorted(orders[0]) == sorted(orders[2]) == list(range(10))
    assert not np.array_equal(orders[0], orders[2])


@pytest.mark.filterwarnings("ignore:the data ran out after 1 of 2 steps")
@pytest.mark.parametrize("repeat", [False, True])
def test_goes_on_from_a_state(repeat):
    source = epochs_of(batch_size=2, steps_per_epoch=2, shuffle=True)
    parts = [source.parts()[0] for _ in range(2)]
    state = source.state()
    order = parts[-1].feed.order.copy()
    other = epochs_of(batch_size=2, steps_per_epoch=2, shuffle=True)
    other.go_on(state, repeat=repeat)
    [part] = other.parts()
    expected = parts[-1] if repeat else source.parts()[0]
    assert (part.first, part.count) == (expected.first, expected.count)
    np.testing.assert_array_equal(part.feed.order, order)


def test_a_block_of_epochs():
    source = epochs_of(shuffle=True)
    assert source.at_once == BLOCK_ROWS // 10
    [part] = source.block(3)
    assert (part.first, part.count) == (0, 9)
    assert sorted(part.feed.order[10:20]) == list(range(10))
    assert epochs_of(steps_per_epoch=2).at_once == 0
