"""Any model as an estimator: what the model function gets, losses, classes, parameters."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, make_multilabel_classification
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

import hotloop
from hotloop import Sequential, layers
from hotloop.sklearn import KerasStyleClassifier, KerasStyleRegressor


def digits(rows=500):
    x, y = load_digits(return_X_y=True)
    return x[:rows] / 16, y[:rows]


def build(meta, units=16, last=None, activation="softmax"):
    last = meta["n_outputs_"] if last is None else last
    return Sequential([layers.Dense(units, "relu"), layers.Dense(last, activation)])


TRAINED = {"epochs": 30, "random_state": 0}


def test_what_the_model_function_is_told():
    told = {}

    def note(meta):
        told.update(meta)
        return build(meta)

    x, y = digits(50)
    KerasStyleClassifier(note).fit(x, y)
    assert told.pop("classes_").tolist() == list(range(10))
    assert told == {
        "n_features_in_": 64,
        "X_shape_": (50, 64),
        "target_type_": "multiclass",
        "n_classes_": 10,
        "n_outputs_": 10,
    }
    told.clear()
    KerasStyleRegressor(note).fit(x, np.c_[y, y])
    assert told == {"n_features_in_": 64, "X_shape_": (50, 64), "n_outputs_": 2}


@pytest.mark.parametrize(
    ("loss", "last", "activation"),
    [
        (None, 10, "softmax"),
        ("sparse_categorical_crossentropy", 10, "softmax"),
        ("categorical_crossentropy", 10, "softmax"),
        ("crossentropy", 10, "softmax"),
        ("mse", 10, "softmax"),
        (hotloop.losses.SparseCategoricalCrossentropy(from_logits=True), 10, None),
        (hotloop.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1), 10, None),
    ],
    ids=str,
)
def test_many_classes(loss, last, activation):
    x, y = digits()
    names = np.array([f"class {i}" for i in range(10)])
    estimator = KerasStyleClassifier(
        build, loss=loss, model__last=last, model__activation=activation, **TRAINED
    ).fit(x, names[y])
    assert estimator.classes_.tolist() == names.tolist()
    assert estimator.score(x, names[y]) > 0.85
    assert len(estimator.history_["loss"]) == 30
    chances = estimator.predict_proba(x)
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(names[chances.argmax(axis=1)], estimator.predict(x))


@pytest.mark.parametrize(
    ("loss", "last", "activation"),
    [
        (None, 1, "sigmoid"),
        (hotloop.losses.BinaryCrossentropy(from_logits=True), 1, None),
        (None, 2, "softmax"),
        ("categorical_crossentropy", 2, "softmax"),
        ("binary_crossentropy", 2, "sigmoid"),
    ],
    ids=str,
)
def test_two_classes(loss, last, activation):
    x, y = digits()
    y = np.where(y < 5, "low", "high")
    estimator = KerasStyleClassifier(
        build, loss=loss, model__last=last, model__activation=activation, **TRAINED
    ).fit(x, y)
    assert estimator.score(x, y) > 0.85
    assert estimator.predict_proba(x).shape == (500, 2)


def test_several_labels():
    x, y = make_multilabel_classification(300, n_classes=4, random_state=0)
    estimator = KerasStyleClassifier(
        build, optimizer="rmsprop", batch_size=8, model__activation="sigmoid", **TRAINED
    ).fit(scale(x), y)
    assert estimator.predict(scale(x)).shape == (300, 4)
    assert (estimator.predict(scale(x)) == y).mean() > 0.8
    logits = KerasStyleClassifier(
        build, loss=hotloop.losses.BinaryCrossentropy(from_logits=True), model__activation=None
    ).fit(scale(x), y)
    chances = logits.predict_proba(scale(x))
    assert ((chances > 0) & (chances < 1)).all()


@pytest.mark.parametrize("targets", [1, 3])
def test_quantities(targets):
    x, y = load_diabetes(return_X_y=True)
    y = scale(y) if targets == 1 else scale(np.c_[y, x[:, 0], x[:, 3]])
    model = Sequential([layers.Dense(16, "relu"), layers.Dense(targets)])
    estimator = KerasStyleRegressor(
        model, optimizer=hotloop.optimizers.Adam(0.01), epochs=60, random_state=0
    ).fit(x, y)
    assert estimator.predict(x).shape == y.shape
    assert estimator.score(x, y) > 0.4
    assert estimator.model_ is not model
    assert not model.built


def test_a_model_is_trained_as_it_was_compiled_or_as_the_estimator_says():
    x, y = digits(50)
    model = Sequential([layers.Dense(10, "softmax", input_dim=64)])
    before = model.get_weights()
    model.compile("rmsprop", "categorical_crossentropy", metrics=["accuracy"])
    one = KerasStyleClassifier(model, random_state=0).fit(x, y)
    assert set(one.history_) == {"loss", "accuracy"}
    assert isinstance(one.model_.optimizer, hotloop.optimizers.RMSprop)
    assert one.model_.compile_arguments()["loss"] == "categorical_crossentropy"
    other = KerasStyleClassifier(model, optimizer="sgd", metrics=["mse"]).fit(x, y)
    assert set(other.history_) == {"loss", "mse"}
    assert isinstance(other.model_.optimizer, hotloop.optimizers.SGD)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    assert model.optimizer.iterations == 0
    # Uncompiled: Adam.
    assert isinstance(
        KerasStyleClassifier(build).fit(x, y).model_.optimizer, hotloop.optimizers.Adam
    )


def test_it_is_model_fit():
    """The same steps as the model's own fit, from the same random numbers."""
    x, y = digits()
    estimator = KerasStyleClassifier(build, epochs=3, batch_size=50, random_state=4).fit(x, y)
    source = np.random.RandomState(4).randint(np.iinfo(np.int32).max)
    with hotloop.random.drawing_from(np.random.default_rng(source)):
        model = build({"n_outputs_": 10})
        model.build((None, 64))
        model.compile("adam", "sparse_categorical_crossentropy")
        history = model.fit(x, y, batch_size=50, epochs=3, verbose=0)
    outputs = model.predict(x, verbose=0)
    np.testing.assert_allclose(outputs, estimator.predict_proba(x), atol=1e-7)
    assert estimator.history_ == history.history


def test_parameters_of_the_model_function():
    estimator = KerasStyleClassifier(build, model__units=8, epochs=2)
    assert estimator.get_params()["model__units"] == 8
    assert clone(estimator).get_params() == estimator.get_params()
    estimator.set_params(model__units=9, epochs=1, model__last=10)
    x, y = digits(50)
    assert estimator.fit(x, y).model_.layers[0].units == 9
    assert "model__units=9" in repr(estimator)
    with pytest.raises(ValueError, match="did you mean model__units"):
        estimator.set_params(model__unit=3)
    with pytest.raises(ValueError, match="did you mean model__units"):
        KerasStyleClassifier(build, model__unit=3).fit(x, y)
    with pytest.raises(TypeError, match=r"no argument 'units'.*model__units"):
        KerasStyleClassifier(build, units=3)
    with pytest.raises(ValueError, match="Invalid parameter"):
        estimator.set_params(epoch=3)
    anything = KerasStyleClassifier(lambda **given: build({}, last=10, **given), model__units=3)
    assert anything.fit(x, y).model_.layers[0].units == 3


def test_grid_search_over_the_model_function():
    x, y = digits(200)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), KerasStyleClassifier(build, random_state=0)),
        {"kerasstyleclassifier__model__units": [2, 32], "kerasstyleclassifier__epochs": [1, 20]},
        cv=2,
    ).fit(x, y)
    assert search.best_params_ == {
        "kerasstyleclassifier__model__units": 32,
        "kerasstyleclassifier__epochs": 20,
    }
    assert search.score(x, y) > 0.9


def test_validation_and_callbacks():
    x, y = digits()
    y = np.array(list("abcdefghij"))[y]
    stop = hotloop.callbacks.EarlyStopping(patience=1, min_delta=0.05)
    estimator = KerasStyleClassifier(
        build, metrics=["accuracy"], callbacks=[stop], epochs=200, random_state=0
    ).fit(x[:400], y[:400], validation_data=(x[400:], y[400:], np.ones(100)))
    assert stop.stopped_epoch == len(estimator.history_["val_loss"]) - 1 < 199
    assert estimator.history_["val_accuracy"][-1] == pytest.approx(
        estimator.score(x[400:], y[400:]), abs=1e-6
    )
    split = KerasStyleClassifier(build, validation_split=0.2, loss="categorical_crossentropy")
    assert "val_loss" in split.fit(x, y).history_


def test_going_on():
    x, y = digits()
    settings = {"random_state": 0, "shuffle": False}
    whole = KerasStyleClassifier(build, epochs=4, **settings).fit(x, y)
    parts = KerasStyleClassifier(build, epochs=2, warm_start=True, **settings).fit(x, y).fit(x, y)
    single = KerasStyleClassifier(build, **settings)
    for _ in range(4):
        single.partial_fit(x, y, classes=range(10))
    for estimator in (parts, single):
        np.testing.assert_array_equal(estimator.predict_proba(x), whole.predict_proba(x))
        assert estimator.history_ == whole.history_
    with pytest.raises(ValueError, match="needs classes"):
        KerasStyleClassifier(build).partial_fit(x, y)
    with pytest.raises(ValueError, match="balance"):
        KerasStyleClassifier(build, class_weight="balanced").partial_fit(x, y, classes=range(10))
    regressor = KerasStyleRegressor(Sequential([layers.Dense(1)]), **settings)
    assert regressor.partial_fit(x, y).partial_fit(x, y).model_.optimizer.iterations == 32


def test_weights_are_as_scikit_learn_means_them():
    x, y = digits(60)
    w = np.random.default_rng(0).integers(1, 4, 60)
    repeated = np.repeat(np.arange(60), w)
    settings = {"model": lambda: Sequential([layers.Dense(10, "softmax", dtype="float64")])}
    settings |= {"epochs": 20, "optimizer": "sgd", "random_state": 0}
    one = KerasStyleClassifier(batch_size=60, **settings).fit(x, y, w)
    two = KerasStyleClassifier(batch_size=len(repeated), **settings).fit(x[repeated], y[repeated])
    np.testing.assert_allclose(one.predict_proba(x), two.predict_proba(x), atol=1e-12)
    factors = dict(zip(range(10), np.arange(1, 11), strict=True))
    one = KerasStyleClassifier(class_weight=factors, **settings).fit(x, y)
    two = KerasStyleClassifier(**settings).fit(x, y, y + 1)
    np.testing.assert_array_equal(one.predict_proba(x), two.predict_proba(x))


def test_images():
    x, y = digits()
    model = Sequential([layers.Flatten(), layers.Dense(10, "softmax")])
    estimator = KerasStyleClassifier(model, epochs=20).fit(x.reshape(-1, 8, 8), y)
    assert estimator.score(x.reshape(-1, 8, 8), y) > 0.8


def test_models_that_do_not_fit():
    x, y = digits(50)
    with pytest.raises(ValueError, match="last layer has 3 units, but there are 10 classes"):
        KerasStyleClassifier(build, model__last=3).fit(x, y)
    with pytest.raises(ValueError, match="give it 2, or 1 with a sigmoid"):
        KerasStyleClassifier(build, model__last=3).fit(x, y > 4)
    a = hotloop.Input((64,))
    two = hotloop.Model(a, [layers.Dense(10)(a), layers.Dense(10)(a)])
    with pytest.raises(ValueError, match="one output"):
        KerasStyleClassifier(two).fit(x, y)
    with pytest.raises(ValueError, match=r"'model' parameter .* must be a function"):
        KerasStyleClassifier().fit(x, y)
    with pytest.raises(TypeError, match="must return a hotloop model, but it returned 3"):
        KerasStyleClassifier(lambda: 3).fit(x, y)
    with pytest.raises(ValueError, match="model__units needs a model function"):
        KerasStyleClassifier(Sequential([layers.Dense(10)]), model__units=3).fit(x, y)


def test_a_history_of_the_users_own_is_not_counted_twice():
    x, y = digits(50)
    record = hotloop.callbacks.History()
    estimator = KerasStyleClassifier(build, callbacks=[record], epochs=2, random_state=0)
    estimator.partial_fit(x, y, classes=range(10)).partial_fit(x, y)
    assert len(estimator.history_["loss"]) == 2
    assert estimator.history_ == record.history
