"""Arithmetic on symbolic values, as in Keras."""

from __future__ import annotations

import numpy as np
import pytest

import hotloop

keras = pytest.importorskip("keras")

X, Z = np.random.default_rng(2).normal(size=(2, 5, 3)).astype("float32")

EXPRESSIONS = {
    "x + y": lambda x, y: x + y,
    "x + 1": lambda x, y: x + 1,
    "1 + x": lambda x, y: 1 + x,
    "x - y": lambda x, y: x - y,
    "x - 0.5": lambda x, y: x - 0.5,
    "2 - x": lambda x, y: 2 - x,
    "x * y": lambda x, y: x * y,
    "x * -3": lambda x, y: x * -3,
    "float32 * x": lambda x, y: np.float32(0.3) * x,
    "float64 - x": lambda x, y: np.float64(0.3) - x,
    "x / 4": lambda x, y: x / 4,
    "x / array": lambda x, y: x / np.array(3.0),
    "-x": lambda x, y: -x,
    "abs(x)": lambda x, y: abs(x),
    "sum": lambda x, y: sum([x, y, x]),
    "several": lambda x, y: (x * y - 2 * x + 1) / 3 - (-y),
}


def model_of(k, expression):
    x, y = k.Input((3,)), k.Input((3,))
    return k.Model([x, y], expression(x, y))


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_same_as_keras(name, backend):
    expression = EXPRESSIONS[name]
    ours = model_of(hotloop, expression)
    got = ours.predict([X, Z], verbose=0)
    np.testing.assert_allclose(got, expression(X, Z), 1e-5, 1e-6)
    if not name.startswith("float"):  # where Keras makes an array of objects
        theirs = model_of(keras, expression)
        np.testing.assert_allclose(got, theirs.predict([X, Z], verbose=0), 1e-5, 1e-6)
    again = hotloop.models.clone_model(ours)
    np.testing.assert_array_equal(again.predict([X, Z], verbose=0), got)


@pytest.mark.parametrize(
    ("name", "layer", "kind"),
    [
        ("x + y", "add", "Add"),
        ("1 + x", "add", "Rescaling"),
        ("x - y", "subtract", "Subtract"),
        ("2 - x", "subtract", "Rescaling"),
        ("x * y", "multiply", "Multiply"),
        ("x * -3", "multiply", "Rescaling"),
        ("x / 4", "true_divide", "Rescaling"),
        ("-x", "negative", "Rescaling"),
        ("abs(x)", "absolute", "Activation"),
    ],
)
def test_names_are_those_of_keras(name, layer, kind):
    hotloop.naming.clear_names()
    keras.backend.clear_session()
    ours, theirs = (model_of(k, EXPRESSIONS[name]) for k in (hotloop, keras))
    assert (ours.layers[-1].name, type(ours.layers[-1]).__name__) == (layer, kind)
    assert theirs.output_names == ours.output_names == [layer]


def test_learns_through_operators(backend):
    x = hotloop.Input((3,))
    y = hotloop.layers.Dense(3, kernel_initializer="identity")(x)
    model = hotloop.Model(x, (y - x) * 2 / 4 - (-y))
    model.compile(hotloop.optimizers.SGD(0.1), "mse")
    history = model.fit(X, X * 3, epochs=30, verbose=0).history["loss"]
    assert history[-1] < 0.1 * history[0]


def test_double_precision_stays():
    x = hotloop.Input((3,), dtype="float64")
    got = hotloop.Model(x, x / 3).predict(X, verbose=0)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, X.astype(float) / 3, 1e-12)
    with pytest.raises(ValueError, match="inputs of one dtype"):
        x + hotloop.Input((3,), dtype="float32")


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (lambda x: x + "a", "and str is not supported.*a symbolic value"),
        (lambda x: x @ "a", "str is not supported"),
        (lambda x: max(x, x), "cannot branch"),
        (lambda x: list(x), "a loop over x"),
        (lambda x: len(x), r"len\(x\)"),
        (lambda x: float(x), r"float\(x\)"),
        (lambda x: not x, "cannot branch"),
        (lambda x: np.exp(x), "symbolic value.*hotloop's layers"),
        (lambda x: x + 1j, "complex"),
    ],
)
def test_what_is_refused(expression, words):
    with pytest.raises(TypeError, match=words):
        expression(hotloop.Input((3,)))


def test_values_are_the_same_only_if_they_are_one():
    x, y = hotloop.Input((3,)), hotloop.Input((3,))
    assert x == x
    assert x != y
    assert x in [y, x]
