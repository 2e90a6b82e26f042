"""Model: symbolic inputs to outputs, weights, layers, files."""

from __future__ import annotations

import numpy as np
import pytest

import hotloop
from hotloop.layers import Dense, Flatten, Input

X = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")


def functional():
    x = Input((4,), name="x")
    hidden = Dense(3, "relu", name="hidden")(x)
    return hotloop.Model(inputs=x, outputs=Dense(2, name="out")(hidden), name="net")


def test_by_hand(backend):
    model = functional()
    w, b, v, c = model.get_weights()
    expected = np.maximum(X @ w + b, 0) @ v + c
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model(X), expected, rtol=1e-5, atol=1e-6)


def test_names_shapes_and_layers():
    model = functional()
    assert [layer.name for layer in model.layers] == ["x", "hidden", "out"]
    assert model.input_names == ["x"]
    assert model.output_names == ["out"]
    assert model.input_shape == (None, 4)
    assert model.output_shape == (None, 2)
    assert model.count_params() == 4 * 3 + 3 + 3 * 2 + 2
    assert [w.path for w in model.weights] == [
        "hidden/kernel",
        "hidden/bias",
        "out/kernel",
        "out/bias",
    ]
    assert model.get_layer("out") is model.layers[2] is model.get_layer(index=-1)
    assert repr(model) == "<Model name=net, built=True>"


def test_default_names_are_those_of_keras():
    x = Input((4,))
    assert hotloop.Model(x, Dense(1)(x)).name.startswith("functional")
    assert hotloop.Sequential().name.startswith("sequential")
    assert Dense(1).name.startswith("dense")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "nobody"}, "no layer named 'nobody'; the layers are: x, hidden, out"),
        ({"index": 3}, "no layer 3: the model has 3"),
        ({}, "a name or an index"),
        ({"name": "out", "index": 0}, "a name or an index"),
    ],
)
def test_get_layer_errors(arguments, words):
    with pytest.raises(ValueError, match=words):
        functional().get_layer(**arguments)


def test_features_of_a_trained_model():
    model = functional()
    features = hotloop.Model(model.input, model.get_layer("hidden").output)
    model.layers[1](X)  # a use of its own changes nothing
    again = hotloop.Model(model.inputs, model.layers[1].output)
    for part in (features, again):
        np.testing.assert_array_equal(part.predict(X, verbose=0), model.layers[1](X))
    model.compile("sgd", "mse")
    model.fit(X, X[:, :2], verbose=0)
    np.testing.assert_array_equal(features.predict(X, verbose=0), model.layers[1](X))
    assert model.output is model.outputs[0]


def test_a_shared_layer(backend):
    x = Input((4,))
    layer = Dense(4, "tanh")
    model = hotloop.Model(x, layer(layer(x)))
    w, b = model.get_weights()
    expected = np.tanh(np.tanh(X @ w + b) @ w + b)
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-5, atol=1e-6)
    model.compile(hotloop.optimizers.SGD(0.1), "mse")
    loss = model.evaluate(X, X, verbose=0)
    model.fit(X, X, epochs=20, verbose=0)
    assert model.evaluate(X, X, verbose=0) < loss
    assert len(model.weights) == 2


def test_a_model_used_twice_shares_its_weights():
    inner = functional()
    x = Input((4,))
    back = Dense(4)
    model = hotloop.Model(x, inner(back(inner(x))))
    assert len(model.weights) == 6
    once = inner.predict(X, verbose=0)
    twice = inner.predict(back(once), verbose=0)
    np.testing.assert_allclose(model.predict(X, verbose=0), twice, rtol=1e-4, atol=1e-6)


def test_several_outputs_and_an_output_that_another_layer_reads(backend):
    x = Input((4,))
    first = Dense(3, "relu", name="first")(x)
    second = Dense(2, name="second")(first)
    model = hotloop.Model(x, [first, second])
    a, b = model.predict(X, verbose=0)
    np.testing.assert_allclose(model.layers[2](a), b, rtol=1e-5, atol=1e-6)
    model.compile("adam", ["mse", "mse"])
    logs = model.evaluate(X, [X[:, :3], X[:, :2]], verbose=0, return_dict=True)
    assert set(logs) == {"loss", "first_loss", "second_loss"}
    assert logs["loss"] == pytest.approx(logs["first_loss"] + logs["second_loss"], rel=1e-6)


def test_an_output_that_is_the_input():
    x = Input((4,))
    model = hotloop.Model(x, [x, Dense(1)(x)])
    np.testing.assert_array_equal(model.predict(X, verbose=0)[0], X)


def test_an_input_that_nobody_reads():
    x, unused = Input((4,)), Input((2,))
    model = hotloop.Model([x, unused], Dense(1)(x))
    assert model.predict([X, np.zeros((5, 2))], verbose=0).shape == (5, 1)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda x: hotloop.Model(X, x), TypeError, "inputs must be symbolic.*ndarray"),
        (lambda x: hotloop.Model(x, X), TypeError, "outputs must be symbolic"),
        (lambda x: hotloop.Model(x, None), TypeError, "outputs must be symbolic.*NoneType"),
        (lambda x: hotloop.Model([], x), ValueError, "inputs is empty"),
        (
            lambda x: hotloop.Model(x, Dense(1)(Input((4,), name="other"))),
            ValueError,
            "depend on the input 'other'",
        ),
        (
            lambda x: hotloop.Model(x, Dense(1, name="a")(Dense(1, name="a")(x))),
            ValueError,
            "2 layers named 'a'",
        ),
        (lambda x: functional()([x, x]), ValueError, "has 1 inputs but was called on 2"),
        (lambda x: functional()(Input((3,))), ValueError, r"\(None, 4\).*\(None, 3\)"),
        (lambda x: np.maximum(x, 0), TypeError, "symbolic value.*hotloop's layers"),
    ],
)
def test_what_is_no_model(make, error, words):
    with pytest.raises(error, match=words):
        make(Input((4,)))


def test_weights_are_copies():
    model = functional()
    weights = model.get_weights()
    weights[0][:] = 7.0
    assert not np.array_equal(model.get_weights()[0], weights[0])
    model.set_weights(weights)
    weights[0][:] = 8.0
    assert np.all(model.get_weights()[0] == 7.0)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda w: w[:3], ValueError, "has 4 weights, got 3"),
        (lambda w: [*w[:3], w[3][:1]], ValueError, r"'out/bias' has shape \(2,\), got \(1,\)"),
        (lambda w: [*w[:3], ["a", "b"]], TypeError, r"weights\[3\] holds strings"),
        (lambda w: [*w[:3], None], TypeError, r"weights\[3\] is None"),
        (lambda w: [w[0].T, *w[1:]], ValueError, r"'hidden/kernel' has shape \(4, 3\)"),
    ],
)
def test_set_weights_is_all_or_nothing(change, error, words, backend):
    model = functional()
    before = model.get_weights()
    with pytest.raises(error, match=words):
        model.set_weights(change([w + 1 for w in before]))
    assert all(map(np.array_equal, before, model.get_weights()))


def test_set_weights_before_the_next_batch(backend):
    model = functional()
    model.compile("sgd", "mse")
    model.fit(X, X[:, :2], verbose=0)
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    assert not model.predict(X, verbose=0).any()


def test_models_of_different_threads():
    from concurrent.futures import ThreadPoolExecutor

    model = functional()
    expected = model.predict(X, verbose=0)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: model.predict(X, verbose=0), range(40)))
    assert all(np.array_equal(r, expected) for r in results)


def test_flatten_before_dense():
    x = Input((2, 2))
    model = hotloop.Model(x, Dense(1, kernel_initializer="ones")(Flatten()(x)))
    np.testing.assert_allclose(
        model.predict(X.reshape(5, 2, 2), verbose=0)[:, 0], X.sum(1), 1e-4, 1e-5
    )
