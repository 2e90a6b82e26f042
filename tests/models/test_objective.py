"""What compile's arguments become for given outputs and targets."""

from __future__ import annotations

import numpy as np
import pytest

import hotloop
from hotloop.layers import Dense, Input
from hotloop.models.forms import Form
from hotloop.models.objective import Compilation

ONE = np.zeros((4, 1), "float32")


def model_of(**units):
    x = Input((3,))
    return Form([x], [Dense(n, name=name)(x) for name, n in units.items()], list(units))


def bound(
    loss, weights=None, metrics=None, weighted_metrics=None, y=(ONE,), weighted=False, **units
):
    model = model_of(**(units or {"out": 1}))
    compilation = Compilation(loss, weights, metrics, weighted_metrics)
    return compilation.bind(model, y, weighted)


@pytest.mark.parametrize(
    "loss", ["mse", "mean_squared_error", hotloop.losses.MeanSquaredError, ["mse"], {"out": "mse"}]
)
def test_one_loss_in_every_spelling(loss):
    objective = bound(loss)
    assert [type(term.loss) for term in objective.losses] == [hotloop.losses.MeanSquaredError]
    assert objective.loss_names == ["out_loss"]


def test_a_list_and_a_dict_mean_the_same_for_two_outputs():
    for loss, factors in (
        (["mse", "mae"], [1.0, 0.5]),
        ({"b": "mae", "a": "mse"}, {"b": 0.5}),
    ):
        objective = bound(loss, factors, y=(ONE, ONE), a=1, b=1)
        assert [term.loss.name for term in objective.losses] == [
            "mean_squared_error",
            "mean_absolute_error",
        ]
        assert [term.loss_weight for term in objective.losses] == [1.0, 0.5]


def test_a_target_is_fed_once_for_all_who_read_it():
    objective = bound("mse", None, ["mae", "mse"])
    assert len(objective.targets) == 1
    assert len(objective.terms) == 2
    assert not objective.records_outputs


def test_the_sample_weight_comes_last():
    objective = bound("mse", None, ["mae"], ["mse"], weighted=True)
    weight = np.ones(4)
    target, fed = objective.feeds([ONE], weight)
    assert target is ONE
    assert fed is weight
    assert [use.weighted for use in objective.metrics] == [False, True]
    assert objective.terms[0].sample_weight is None
    assert objective.terms[1].sample_weight is objective.sample_weight


def test_metrics_that_the_plan_cannot_compute_are_recorded():
    objective = bound("mse", None, [hotloop.metrics.AUC(), "mse"])
    assert objective.records_outputs
    assert [use.term for use in objective.metrics] == [None, 0]


def test_bound_once_for_each_shape():
    model = model_of(out=1)
    compilation = Compilation("mse", None, None, None)
    first = compilation.bind(model, [ONE], False)
    assert compilation.bind(model, [ONE[:2]], False) is first
    assert compilation.bind(model, [ONE], True) is not first
    assert compilation.bind(model, [ONE[:, 0]], False) is not first


@pytest.mark.parametrize(
    ("y", "units", "name"),
    [
        (np.zeros(4), 1, "binary_crossentropy"),
        (np.zeros((4, 1)), 1, "binary_crossentropy"),
        (np.zeros(4), 3, "sparse_categorical_crossentropy"),
        (np.zeros((4, 1)), 3, "sparse_categorical_crossentropy"),
        (np.zeros((4, 3)), 3, "categorical_crossentropy"),
    ],
)
def test_crossentropy_and_accuracy_by_shape(y, units, name):
    objective = bound("crossentropy", None, ["accuracy"], y=(y,), out=units)
    assert objective.losses[0].loss.name == name
    accuracy = name.replace("crossentropy", "accuracy").title().replace("_", "")
    assert type(objective.metrics[0].metric).__name__ == accuracy


def test_names_are_unique_and_those_of_keras():
    objective = bound(
        {"a": "mse", "b": "mse"},
        None,
        {"a": ["mae", "mae"], "b": "mae"},
        {"b": ["mae", "mae"]},
        y=(ONE, ONE),
        a=1,
        b=1,
    )
    names = ["a_mae", "a_mae_1", "b_mae", "b_weighted_mae", "b_weighted_mae_1"]
    assert [use.name for use in objective.metrics] == names


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"loss": ["mse"]}, "loss must have one entry for each.*2 outputs.*a, b"),
        ({"loss": {"c": "mse"}}, "loss names the outputs c; the model's outputs are a, b"),
        ({"loss": "mse"}, "loss must have one entry"),
        ({"loss": ["mse"] * 2, "weights": [1.0]}, "loss_weights must have one entry"),
        ({"loss": ["mse"] * 2, "metrics": {"c": "mae"}}, "metrics names the outputs c"),
        ({"loss": ["mse"] * 2, "metrics": ["mae"]}, "metrics must have one entry"),
        ({"loss": ["mse"] * 2, "weighted_metrics": ["mae"]}, "weighted_metrics must have"),
    ],
)
def test_entries_that_fit_no_output(arguments, words):
    with pytest.raises(ValueError, match=words):
        bound(**arguments, y=(ONE, ONE), a=1, b=1)


def test_outputs_without_an_axis():
    model = model_of(out=1)
    model.outputs = [hotloop.layers.Input((), name="scalar")]
    with pytest.raises(ValueError, match=r"needs outputs of shape \(batch, features\)"):
        Compilation("mse", None, None, None).bind(model, [np.zeros(4)], False)
