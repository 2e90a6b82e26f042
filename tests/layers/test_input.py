"""Input."""

from __future__ import annotations

import pytest

import hotloop
from hotloop.layers import Input, InputLayer


def test_shape_dtype_and_name():
    x = hotloop.Input((28, 28), name="image", dtype="float64")
    assert (x.shape, x.dtype, x.name) == ((None, 28, 28), "float64", "image")
    assert isinstance(x.layer, InputLayer)
    assert Input(shape=(3,), batch_size=8).shape == (None, 3)
    assert Input(3).shape == (None, 3)


def test_data_types_are_cast_so_integers_are_no_dtype_of_a_model():
    assert Input((3,), dtype="uint8").dtype == "float32"


def test_a_missing_shape():
    with pytest.raises(ValueError, match=r"shape is missing.*Input\(\(4,\)\)"):
        Input()


@pytest.mark.parametrize("shape", [(None, 0), (0,), (-1,), (1.5,)])
def test_bad_shapes(shape):
    with pytest.raises(ValueError, match="shape must hold whole numbers"):
        Input(shape)


def test_config():
    layer = InputLayer((2, 3), name="x")
    assert InputLayer.from_config(layer.get_config()).get_config() == layer.get_config()
