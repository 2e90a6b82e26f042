"""From callers' arrays to what plans read: nothing copied, everything checked, prepared once."""

import numpy as np
import pytest

import hotloop
from hotloop import layers
from hotloop.graph import ops
from hotloop.layers import Dense, Embedding, Flatten, Input, Rescaling
from hotloop.models.intake import Intake


def intake_of(model):
    return Intake(model.inputs, model.outputs)


def test_numbers_go_through_as_they_are():
    a, b = Input((2,)), Input((3,))
    model = hotloop.Model([a, b], Dense(1)(layers.concatenate([a, b])))
    arrays = [np.ones((4, 2), "i1"), np.ones((4, 3), "f8")]
    intake = intake_of(model)
    assert intake.values == [a, b]
    assert intake.text == {}
    assert all(one is other for one, other in zip(intake(arrays), arrays, strict=True))


def test_indices_are_read_in_place_as_integers():
    x = Input((3,))
    intake = intake_of(hotloop.Model(x, Embedding(5, 2)(x)))
    (value,) = intake.values
    assert (value.dtype, value.dims) == ("int32", (3,))
    array = np.zeros((4, 3), ">u2")
    assert intake([array])[0] is array


def test_what_is_read_twice_comes_twice_and_what_is_not_read_does_not_come():
    a, b = Input((2,)), Input((2,))
    model = hotloop.Model([a, b], layers.concatenate([a, Flatten()(Embedding(5, 2)(a))]))
    intake = intake_of(model)
    assert [value.dtype for value in intake.values] == ["float32", "int32"]
    x = np.ones((3, 2))
    first, second = intake([x, np.zeros((3, 2))])
    assert first is x
    assert second is x


def test_one_array_is_checked_for_each_layer_that_reads_it():
    x = Input((2,))
    parts = [Flatten()(Embedding(n, 1, name=f"of_{n}")(x)) for n in (9, 4)]
    model = hotloop.Model(x, layers.add(parts))
    model.predict([[3, 3]], verbose=0)
    with pytest.raises(ValueError, match=r"'of_4' needs whole numbers from 0 to 3, but x\[0, 1\]"):
        model.predict([[3, 4]], verbose=0)


def test_a_function_of_arrays_is_called_once_for_all_batches(backend):
    class Ranked(layers.Layer):
        calls = 0

        def rank(self, array):
            Ranked.calls += 1
            return array.argsort(axis=0).argsort(axis=0)

        def call(self, x):
            return ops.prepare(x, self.rank, x.dims)

    model = hotloop.Sequential([Input((1,)), Ranked(), Rescaling(1.0)])
    x = np.random.default_rng(1).normal(size=(50, 1))
    found = model.predict(x, batch_size=7, verbose=0)
    np.testing.assert_array_equal(found, x.argsort(axis=0).argsort(axis=0))
    assert Ranked.calls == 1


def test_it_is_made_anew_when_a_model_grows(backend):
    model = hotloop.Sequential([Input((2,)), Rescaling(1.0)])
    np.testing.assert_array_equal(model.predict([[7.0, 1.0]], verbose=0), [[7.0, 1.0]])
    model.add(Embedding(3, 1, weights=[[5.0], [6.0], [7.0]]))
    np.testing.assert_array_equal(model.predict([[2, 1]], verbose=0), [[[7.0], [6.0]]])
    model = hotloop.Sequential([Input((2,))])
    model.add(Embedding(3, 1, weights=[[5.0], [6.0], [7.0]]))
    model.predict([[2, 1]], verbose=0)
    model.add(Flatten())
    np.testing.assert_array_equal(model.predict([[2, 1]], verbose=0), [[7.0, 6.0]])


def test_inputs_of_strings_are_those_that_only_lookups_of_strings_read():
    a, b, c = Input((1,)), Input((1,)), Input((1,))
    words = layers.StringLookup(vocabulary=["x"])
    model = hotloop.Model([a, b, c], layers.concatenate([words(a), words(b), b, c]))
    assert intake_of(model).text == {0: False}
    declared = Input((1,), dtype="string")
    found = hotloop.Model(declared, words(declared)).predict(np.array([["x"]]), verbose=0)
    np.testing.assert_array_equal(found, [[1.0]])
