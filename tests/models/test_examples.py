"""What users pass, as checked examples."""

from __future__ import annotations

import numpy as np
import pytest

import hotloop
from hotloop.layers import Dense
from hotloop.models import examples
from hotloop.models.examples import Examples
from hotloop.models.task import Task

x = np.arange(20.0).reshape(10, 2)
y = np.arange(10.0)


def new_model():
    model = hotloop.Sequential([Dense(1, input_dim=2)])
    model.compile("sgd", "mse")
    return model


FORM = new_model().forms.recorded


def read(*arguments):
    model = new_model()
    return examples.read(model, model._compilation, *arguments)


@pytest.mark.parametrize(
    "form",
    [lambda a: a, lambda a: a.tolist(), lambda a: [a], lambda a: np.asfortranarray(a)],
    ids=["array", "list", "list of one", "columns"],
)
def test_the_same_in_every_form(form):
    data = read(form(x), form(y[:, np.newaxis]))
    np.testing.assert_array_equal(data.x[0], x)
    np.testing.assert_array_equal(np.reshape(data.y[0], -1), y)
    assert (data.rows, data.weight, data.first_row) == (10, None, 0)


def test_arrays_are_not_copied():
    data = read(x, y, y)
    assert data.x[0] is x
    assert data.y[0] is y
    assert np.shares_memory(data.weight, y)


def test_parts_know_their_rows():
    training, validation = Examples([x], [y], y, 10, FORM).split(0.25)
    assert (training.rows, validation.rows) == (7, 3)
    assert (training.first_row, validation.first_row) == (0, 7)
    np.testing.assert_array_equal(validation.x[0], x[7:])
    np.testing.assert_array_equal(validation.weight, y[7:])


@pytest.mark.parametrize("share", [1, 1.5, -0.1, "half", 0.99])
def test_shares_that_leave_nothing(share):
    with pytest.raises(ValueError, match="validation_split"):
        Examples([x], [y], None, 10, FORM).split(share)


def test_class_weights():
    labels = np.arange(10) % 2
    data = Examples([x], [labels], None, 10, FORM)
    assert data.with_class_weights(None) is data
    weighted = data.with_class_weights({1: 3.0})
    np.testing.assert_array_equal(weighted.weight, 1.0 + 2.0 * labels)
    with pytest.raises(ValueError, match="cannot both be given"):
        weighted.with_class_weights({1: 3.0})
    with pytest.raises(ValueError, match="single output"):
        Examples([x], [y, y], None, 10, FORM).with_class_weights({0: 1.0})


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        ("sparse_categorical_crossentropy", np.arange(12).reshape(4, 3) % 5),
        ("categorical_crossentropy", np.eye(5)[np.arange(12).reshape(4, 3) % 5]),
    ],
)
def test_class_weights_are_not_for_labels_of_each_step(loss, y):
    model = hotloop.Sequential([hotloop.Input((3, 2)), Dense(5, "softmax")])
    model.compile("sgd", loss)
    data = examples.read(model, model._compilation, np.zeros((4, 3, 2)), y)
    with pytest.raises(ValueError, match=r"outputs, of shape \(3, 5\) .* 3 rows .* sample_weight"):
        data.with_class_weights({0: 2.0})
    with pytest.raises(ValueError, match="class_weight weighs each example"):
        model.fit(np.zeros((4, 3, 2)), y, class_weight={0: 2.0}, verbose=0)


@pytest.mark.parametrize(
    ("given", "steps", "expected"), [(None, None, 10), (4, None, 4), (64, None, 10), (None, 3, 4)]
)
def test_batch_size(given, steps, expected):
    assert examples.batch_size(given, 10, steps) == expected


def test_batch_size_of_many_rows():
    assert examples.batch_size(None, 1000, None) == 32


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3", None])
def test_counts(value):
    with pytest.raises(ValueError, match="steps must be a whole number of at least 1, not"):
        examples.check_count("steps", value, 1)
    examples.check_count("steps", np.int64(3), 1)


def test_validation_data_is_named():
    model = new_model()
    task = Task(model, model._plans, "evaluate", model._compilation)
    with pytest.raises(ValueError, match=r"^validation_data: x, y and sample_weight must have"):
        examples.read_validation(task, (x, y[:3]))
    with pytest.raises(ValueError, match="must be a tuple"):
        examples.read_validation(task, x)
