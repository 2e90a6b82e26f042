"""Random parameters and data for the estimators: they are fitted, or refuse with a clear error."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

import hotloop
from hotloop.errors import NonFiniteError
from hotloop.sklearn import (
    KerasStyleClassifier,
    KerasStyleRegressor,
    MLPClassifier,
    MLPRegressor,
)

# Why data may be refused, where everything else about them is valid.
REASONS = [
    "all sample weights are zero",
    "all sample weights of the validation set are zero",
    "must contain at least one non-zero number",  # scikit-learn's, of weights
    "leaves nothing to train or validate on",
    "is less than 2; pass more data",
    "With n_samples=1",  # of scikit-learn's train_test_split, as the next ones
    "The least populated class",
    "least populated classes in y have only 1 member",
    "should be greater or equal to the number of classes",
]

KINDS = [MLPClassifier, MLPRegressor, KerasStyleClassifier, KerasStyleRegressor]


def build(meta):
    classes = "classes_" in meta
    kinds = {"multiclass": "softmax", "binary": "sigmoid", "multilabel": "sigmoid"}
    return hotloop.Sequential(
        [
            hotloop.layers.Dense(4, "tanh"),
            hotloop.layers.Dense(
                meta["n_outputs_"], kinds[meta["target_type_"]] if classes else None
            ),
        ]
    )


def parameters(kind, draw):
    settings = {
        "random_state": int(draw.integers(100)),
        "dtype": str(draw.choice(["float32", "float64"])),
    }
    if kind in (KerasStyleClassifier, KerasStyleRegressor):
        return settings | {
            "model": build,
            "epochs": int(draw.integers(1, 3)),
            "batch_size": [None, 1, 7][draw.integers(3)],
            "validation_split": [0.0, 0.2][draw.integers(2)],
        }
    solver = str(draw.choice(["adam", "sgd", "lbfgs", "rmsprop"]))
    return settings | {
        "hidden_layer_sizes": tuple(int(n) for n in draw.integers(1, 6, draw.integers(0, 3))),
        "activation": str(draw.choice(["relu", "tanh", "logistic", "identity"])),
        "solver": solver,
        "alpha": float(draw.choice([0.0, 1e-4, 1.0])),
        "batch_size": ["auto", 1, 7][draw.integers(3)],
        "learning_rate": str(draw.choice(["constant", "invscaling", "adaptive"])),
        "max_iter": int(draw.integers(1, 4)),
        "early_stopping": bool(draw.integers(2)),
        "shuffle": bool(draw.integers(2)),
        "dropout": 0.0 if solver == "lbfgs" else float(draw.choice([0.0, 0.3])),
    }


def examples(kind, draw):
    rows, features = int(draw.choice([1, 2, 3, 10, 40])), int(draw.integers(1, 6))
    x = draw.normal(size=(rows, features)) * 10.0 ** draw.integers(-3, 3)
    x[draw.random(x.shape) < draw.choice([0.0, 0.5, 1.0])] = 0
    x = x.astype(draw.choice(["f4", "f8", "i4"]))
    if kind in (MLPClassifier, KerasStyleClassifier):
        names = np.array(["a", "b", "c"][: draw.integers(1, 4)])
        y = [draw.choice(names, rows), draw.integers(0, 2, (rows, 3))][draw.integers(2)]
    else:
        y = draw.normal(size=[(rows,), (rows, 2)][draw.integers(2)]) * draw.choice([0.0, 1.0, 1e3])
    weight = [None, draw.random(rows), (draw.random(rows) < 0.5).astype(float)][draw.integers(3)]
    form = [np.asarray, sp.csr_array, sp.csc_matrix, sp.coo_array][draw.integers(4)]
    return form(x), y, weight


@pytest.mark.parametrize("kind", KINDS)
def test_fitted_or_refused(kind, seeds):
    refused = []
    for seed in seeds(40):
        draw = np.random.default_rng(seed)
        estimator = kind(**parameters(kind, draw))
        x, y, weight = examples(kind, draw)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                estimator.fit(x, y, weight)
            except ValueError as error:  # too few examples, or weights that are all zero
                refused.append(str(error))
                continue
            except NonFiniteError:
                # Plain steps along gradients of numbers like these are too long.
                large = max(abs(x).max(), np.abs(y).max() if np.issubdtype(y.dtype, float) else 0)
                assert getattr(estimator, "solver", None) == "sgd"
                assert large > 10
                continue
        found = estimator.predict(x)
        assert found.shape == np.shape(y)
        if kind in (MLPRegressor, KerasStyleRegressor):
            assert np.isfinite(found).all()
            continue
        assert np.isin(found, estimator.classes_ if np.ndim(y) == 1 else [0, 1]).all()
        shares = estimator.predict_proba(x)
        assert shares.shape == (x.shape[0], len(estimator.classes_))
        assert ((shares >= 0) & (shares <= 1)).all()
        if np.ndim(y) == 1:
            np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    for message in refused:
        assert any(words in message for words in REASONS), message
