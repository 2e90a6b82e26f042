"""Questions about symbolic values."""

import numpy as np
import pytest

import hotloop
from hotloop import layers, utils


def test_inputs_that_a_value_is_made_of():
    a, b = hotloop.Input((3,), name="a"), hotloop.Input((3,), name="b")
    h = layers.Dense(2)(a)
    assert utils.get_source_inputs(h) == [a]
    assert set(utils.get_source_inputs(layers.Concatenate()([h, b]))) == {a, b}
    assert utils.get_source_inputs(a) == [a]
    with pytest.raises(TypeError, match="symbolic value"):
        utils.get_source_inputs(np.ones(3))
