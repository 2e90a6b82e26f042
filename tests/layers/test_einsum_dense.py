"""Products that letters tell, beside Keras's layer."""

import numpy as np
import pytest

import hotloop
from hotloop import layers

keras = pytest.importorskip("keras")

CASES = [
    ((5, 3), "abc,cd->abd", (None, 4), "d"),
    ((3,), "ab,bc->ac", 4, "c"),
    ((5, 3), "...x,xy->...y", 4, "y"),
    ((2, 5, 3), "abcd,cde->abe", (2, 4), "be"),
    ((5, 3), "abc,cde->abde", (None, 2, 4), "de"),
    ((5, 3), "abc,cd->adb", (4, None), "d"),
    ((5, 3), "abc,bc->ab", 5, None),
    ((5, 3), "abc,bcd->abd", (5, 4), "bd"),
    ((3, 5), "ab...,bc->ac...", 4, "c"),
    ((5, 3), "abc,dc->abd", (5, 4), None),
]


@pytest.mark.parametrize(("shape", "equation", "output", "bias"), CASES)
def test_it_trains_as_keras_does(shape, equation, output, bias, backend):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, *shape)).astype("float32")
    models = []
    for k in (hotloop, keras):
        given = k.layers.Input(shape)
        layer = k.layers.EinsumDense(equation, output, "tanh", bias)
        model = k.Model(given, layer(given))
        model.compile(k.optimizers.SGD(0.5), "mse")
        models.append(model)
    ours, theirs = models
    weights = [rng.normal(size=w.shape).astype("float32") for w in theirs.get_weights()]
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in weights]
    for model in models:
        model.set_weights(weights)
    assert len(ours.output_shape) == len(theirs.output_shape)
    y = np.zeros_like(theirs.predict(x, verbose=0))
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), 1e-4, 1e-5)
    for model in models:
        model.fit(x, y, batch_size=3, epochs=2, shuffle=False, verbose=0)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, 1e-4, 1e-5)


def test_it_is_made_anew(tmp_path):
    given = hotloop.Input((5, 3))
    made = layers.EinsumDense("abc,cd->abd", (None, 4), "relu", "d", kernel_regularizer="l2")(given)
    model = hotloop.Model(given, made)
    x = np.ones((2, 5, 3))
    for name in ("m.hotloop", "m.keras"):
        model.save(tmp_path / name)
        loaded = hotloop.models.load_model(tmp_path / name)
        np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    theirs = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(theirs.predict(x, verbose=0), model.predict(x, verbose=0), 1e-5)


@pytest.mark.parametrize(
    ("equation", "output", "bias", "words"),
    [
        ("abc->abd", (5, 4), None, "must be of the form"),
        ("...abc,cd->abd", (5, 4), None, "must be of the form"),
        ("ab,bc->ac", 4, None, "names 2 axes"),
        ("abcd,de->abce", (5, 3, 4), None, "names 4 axes"),
        ("abc,cd->abd", 4, None, "expected those of 'bd'"),
        ("abc,cd->abd", (6, 4), None, "'b' has the length 5 in the input and 6"),
        ("abc,cd->abd", (5, None), None, "'d' is not known"),
        ("abc,ce->abd", (5, 4), None, "'e' is in neither input nor output"),
        ("abc,cd->abe", (5, 4), None, "kernel"),
        ("abc,cd->abd", (5, 4), "x", "bias_axes has 'x'"),
    ],
)
def test_equations_that_do_not_fit(equation, output, bias, words):
    layer = layers.EinsumDense(equation, output, bias_axes=bias, name="mine")
    with pytest.raises(ValueError, match=words) as caught:
        layer(hotloop.Input((5, 3)))
    assert "EinsumDense 'mine'" in str(caught.value)
