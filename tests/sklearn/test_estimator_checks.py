"""scikit-learn's own checks of what an estimator must do."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import hotloop
from hotloop.sklearn import (
    KerasStyleClassifier,
    KerasStyleRegressor,
    MLPClassifier,
    MLPRegressor,
)

# These compare to 1e-7 of each number; float32 has 6e-8, and rounds sums in their order.
FLOAT32 = dict.fromkeys(
    [
        "check_sample_weight_equivalence_on_dense_data",
        "check_sample_weight_equivalence_on_sparse_data",
    ],
    "compares to more digits than float32",
)


class Perceptron:
    """A model function whose name is the same in every process."""

    def __call__(self, meta):
        last = {"multiclass": "softmax", "binary": "sigmoid", "multilabel": "sigmoid"}
        return hotloop.Sequential(
            [
                hotloop.layers.Dense(20, "relu"),
                hotloop.layers.Dense(meta["n_outputs_"], last.get(meta.get("target_type_"))),
            ]
        )

    def __repr__(self):
        return "Perceptron()"


KERAS_STYLE = {"epochs": 200, "batch_size": 200, "optimizer": hotloop.optimizers.Adam(0.01)}

ESTIMATORS = [
    MLPClassifier(),
    MLPClassifier(dtype="float64"),
    MLPRegressor(),
    MLPRegressor(dtype="float64"),
    KerasStyleClassifier(Perceptron(), **KERAS_STYLE),
    KerasStyleClassifier(Perceptron(), dtype="float64", **KERAS_STYLE),
    KerasStyleRegressor(Perceptron(), **KERAS_STYLE),
    KerasStyleRegressor(Perceptron(), dtype="float64", **KERAS_STYLE),
]


def expected(estimator):
    """Nothing but what float32 cannot do by its nature."""
    return {} if estimator.dtype == "float64" else FLOAT32


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected)
def test_estimator(estimator, check):
    check(estimator)
