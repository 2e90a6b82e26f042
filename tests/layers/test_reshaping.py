"""Flatten, Reshape and Permute."""

from __future__ import annotations

import numpy as np
import pytest

from hotloop.layers import Flatten, Input, Permute, Reshape


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 1, 3), (1,)])
def test_flatten_keeps_the_order(shape, backend):
    x = np.arange(float(3 * np.prod(shape))).reshape(3, *shape)
    np.testing.assert_array_equal(Flatten()(x), x.reshape(3, -1))
    assert Flatten()(Input(shape)).shape == (None, int(np.prod(shape)))


def test_flatten_of_single_numbers():
    assert Flatten()(Input(())).shape == (None, 1)


@pytest.mark.parametrize(
    ("target", "result"),
    [((2, 3), (2, 3)), ((-1,), (6,)), ((3, -1), (3, 2)), ((-1, 1), (6, 1)), ((1, 6, 1), (1, 6, 1))],
)
def test_reshape(target, result, backend):
    x = np.arange(12.0).reshape(2, 6)
    np.testing.assert_array_equal(Reshape(target)(x), x.reshape(2, *result))


@pytest.mark.parametrize(("target", "words"), [((4,), "6 elements"), ((4, -1), "6 elements")])
def test_elements_that_do_not_fit(target, words):
    with pytest.raises(ValueError, match=f"Reshape 'r'.*{words}.*must stay the same"):
        Reshape(target, name="r")(Input((6,)))


@pytest.mark.parametrize("target", [(0,), (-2, 3), (-1, -1)])
def test_bad_targets(target):
    with pytest.raises(ValueError, match="target_shape must hold whole numbers"):
        Reshape(target)


def test_data_format():
    assert Flatten("channels_last").name.startswith("flatten")
    with pytest.raises(ValueError, match="channels_last"):
        Flatten("channels_first")


@pytest.mark.parametrize(
    ("shape", "dims"),
    [
        ((5,), (1,)),
        ((3, 4), (2, 1)),
        ((3, 4), (1, 2)),
        ((17, 33), (2, 1)),
        ((2, 3, 4), (3, 1, 2)),
        ((2, 3, 4), (3, 2, 1)),
        ((1, 3, 1), (3, 1, 2)),
        ((2, 3, 4, 5), (2, 4, 1, 3)),
    ],
)
def test_axes_are_put_in_another_order(backend, shape, dims):
    x = np.random.default_rng(1).normal(size=(11, *shape)).astype("float32")
    layer = Permute(dims)
    np.testing.assert_array_equal(layer(x), x.transpose(0, *dims))
    value = layer(Input(shape))
    assert value.shape == (None, *(shape[d - 1] for d in dims))
    assert Permute.from_config(layer.get_config()).get_config() == layer.get_config()


def test_orders_of_axes_that_do_not_fit_are_refused():
    for dims in ((0, 1), (1, 1), (1, 3), (2,)):
        with pytest.raises(ValueError, match="dims must be the numbers from 1"):
            Permute(dims)
    with pytest.raises(ValueError, match=r"puts 2 axes besides the batch in order, got an input"):
        Permute((2, 1))(Input((3,)))
