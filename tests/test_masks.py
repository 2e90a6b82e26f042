"""Masked arrays are refused wherever arrays come in."""

import numpy as np
import pytest

import hotloop
from hotloop import initializers, kernels, layers, losses, metrics, optimizers, utils
from hotloop.sklearn import MLPClassifier, MLPRegressor
from hotloop.variables import Variable

ROW = np.ma.array([1.0, 0.0], mask=[False, True])
MATRIX = np.ma.array([[1.0, 0.0], [0.0, 1.0]], mask=[[False, True], [False, False]])
PLAIN, ROWS = np.eye(2), np.array([1.0, 0.0])


def _fitted(**options):
    model = hotloop.Sequential([layers.Input((2,)), layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(PLAIN, ROWS, verbose=0, **options)


USES = {
    "kernel": lambda: kernels.matmul(MATRIX, PLAIN),
    "kernel's labels": lambda: kernels.softmax_cross_entropy(PLAIN, ROW),
    "kernel's weights": lambda: kernels.softmax_cross_entropy(PLAIN, [1, 0], sample_weight=ROW),
    "kernel's gradient": lambda: kernels.sgd(np.ones(2), ROW, (), learning_rate=1.0),
    "variable": lambda: Variable(ROW),
    "assign": lambda: Variable(ROWS).assign(ROW),
    "set_weights": lambda: layers.Dense(2).set_weights([MATRIX]),
    "loss of y_true": lambda: losses.MeanSquaredError()(MATRIX, PLAIN),
    "loss of y_pred": lambda: losses.MeanSquaredError()(PLAIN, MATRIX),
    "loss of weights": lambda: losses.MeanSquaredError()(PLAIN, PLAIN, ROW),
    "sparse loss": lambda: losses.SparseCategoricalCrossentropy()(ROW, PLAIN),
    "rows of a loss": lambda: losses.MeanSquaredError().values(MATRIX, PLAIN),
    "mean": lambda: metrics.Mean()(ROW),
    "sum": lambda: metrics.Sum()(ROW),
    "weights of a mean": lambda: metrics.Mean()(ROWS, sample_weight=ROW),
    "activation": lambda: hotloop.activations.relu(ROW),
    "constant": lambda: initializers.Constant(ROW),
    "apply": lambda: optimizers.SGD().apply([ROW], [Variable(ROWS)]),
    "normalization": lambda: layers.Normalization(mean=ROW, variance=ROWS),
    "normalization's variance": lambda: layers.Normalization(mean=ROWS, variance=ROW),
    "to_categorical": lambda: utils.to_categorical(ROW),
    "class weights": lambda: _fitted(class_weight={0: 1.0, 1: np.ma.masked}),
    "sample weights": lambda: _fitted(sample_weight=ROW),
    "layer": lambda: layers.Dense(2)(MATRIX),
    "estimator's X": lambda: MLPClassifier().fit(MATRIX, [0, 1]),
    "estimator's y": lambda: MLPRegressor().fit(PLAIN, ROW),
    "estimator's weights": lambda: MLPClassifier().fit(PLAIN, [0, 1], sample_weight=ROW),
    "estimator's prediction": lambda: MLPRegressor(max_iter=1).fit(PLAIN, ROWS).predict(MATRIX),
}


@pytest.mark.filterwarnings("ignore:.*max_iter")
@pytest.mark.parametrize("name", USES)
def test_masked_values_are_refused(name):
    with pytest.raises(ValueError, match="is a NumPy masked array with masked values: fill"):
        USES[name]()


@pytest.mark.parametrize(
    "kind",
    [
        metrics.MeanSquaredError,
        metrics.BinaryAccuracy,
        metrics.CategoricalAccuracy,
        metrics.AUC,
        metrics.Precision,
        metrics.F1Score,
        metrics.R2Score,
        metrics.RootMeanSquaredError,
        metrics.CosineSimilarity,
    ],
)
def test_masked_values_are_refused_by_every_kind_of_metric(kind):
    for given in [(MATRIX, PLAIN), (PLAIN, MATRIX), (PLAIN, PLAIN, ROW)]:
        with pytest.raises(ValueError, match="masked array with masked values"):
            kind().update_state(*given)


def test_a_masked_array_that_masks_nothing_is_an_array():
    whole = np.ma.array([1.0, 2.0])
    assert metrics.Mean()(whole) == 1.5
    assert Variable(whole).numpy().tolist() == [1.0, 2.0]
    assert kernels.matmul(np.ma.array(PLAIN), PLAIN).tolist() == PLAIN.tolist()
