"""Recorded graphs: what their nodes say, and how they are laid out anew."""

from __future__ import annotations

import pytest

import hotloop
from hotloop.graph import ops
from hotloop.graph.trace import Node, Value, replay
from hotloop.layers import Dense, Flatten, GlobalAveragePooling1D, Input, LayerNormalization


def test_a_recorded_graph_is_laid_out_for_another_length() -> None:
    x = Input((5, 4))
    y = GlobalAveragePooling1D()(LayerNormalization()(Dense(3, "gelu")(x)))
    model = hotloop.Model(x, [Dense(2)(y), Dense(6)(x)])
    longer = Value((9, 4), "float32", role="input")
    found = replay(model.outputs, {x: longer})
    assert [value.dims for value in found] == [(2,), (9, 6)]
    assert all(value.batched and value.dtype == "float32" for value in found)


def test_what_fixes_a_length_is_not_laid_out_for_another() -> None:
    x = Input((5, 4))
    y = Flatten()(x)
    with pytest.raises(ValueError, match=r"cannot reshape \(9, 4\) \(36 elements\) into \(20,\)"):
        replay([y], {x: Value((9, 4), "float32", role="input")})


def test_values_of_two_shapes_are_not_added() -> None:
    a, b = (Value(dims, "float32") for dims in ((2,), (3,)))
    with pytest.raises(ValueError, match=r"add needs values .* not of \(None, 2\) and"):
        ops.add(a, b)


def test_a_node_names_its_op() -> None:
    a = Value((2,), "float32")
    assert repr(Node(ops.ADD, (a, a), (a,), {})) == "<Node add of None -> [(None, 2)]>"
