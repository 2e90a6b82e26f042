"""Layers around another one, and what layers expect of their input."""

import numpy as np
import pytest

import hotloop
from hotloop import layers, saving

keras = pytest.importorskip("keras")


class Twice(layers.Wrapper):
    def call(self, x):
        return self.layer(self.layer(x))


@pytest.mark.parametrize("name", ["m.hotloop", "m.keras"])
def test_a_wrapper_has_the_weights_of_its_layer(name, tmp_path):
    x = hotloop.Input((3,))
    layer = Twice(layers.Dense(3, "tanh", name="inner"), name="outer")
    model = hotloop.Model(x, layer(x))
    assert model.count_params() == 12
    data = np.random.default_rng(0).normal(size=(4, 3))
    model.compile("sgd", "mse")
    model.fit(data, data, verbose=0)
    model.save(tmp_path / name)
    with saving.custom_object_scope({"Twice": Twice}):
        loaded = hotloop.models.load_model(tmp_path / name)
    np.testing.assert_array_equal(loaded.predict(data, verbose=0), model.predict(data, verbose=0))
    assert loaded.layers[1].layer.name == "inner"
    with pytest.raises(ValueError, match="wraps a layer"):
        layers.Wrapper("dense")


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        ({"ndim": 3}, [(None, 2, 3), (None, 2)]),
        ({"shape": (None, 28, 28)}, [(None, 28, 28), (None, 28, 27), (None, 28)]),
        ({"min_ndim": 2, "max_ndim": 3}, [(None, 2), (None, 2, 3), (None,), (None, 2, 3, 4)]),
        ({"axes": {-1: 4, 1: None}}, [(None, 3, 4), (None, 4, 3), (None, 4)]),
        (
            {"shape": (None, 4, 1), "allow_last_axis_squeeze": True},
            [(None, 4, 1), (None, 4), (None, 4, 2), (None, 4, 1, 1)],
        ),
    ],
)
def test_specifications_fit_what_they_fit_in_keras(options, shapes):
    from keras.src.layers.input_spec import assert_input_compatibility

    ours, theirs = layers.InputSpec(**options), keras.layers.InputSpec(**options)
    assert repr(ours) == repr(theirs)
    assert layers.InputSpec.from_config(ours.get_config()).get_config() == ours.get_config()
    for shape in shapes:
        try:
            assert_input_compatibility(theirs, keras.KerasTensor(shape), "layer")
        except ValueError:
            assert ours.fault(shape, "float32") is not None, shape
        else:
            assert ours.fault(shape, "float32") is None, shape


def test_a_layer_of_ones_own_says_what_it_expects():
    class Picky(layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.input_spec = hotloop.InputSpec(ndim=2, axes={-1: 3})

        def call(self, x):
            return x * 2.0

    assert Picky()(np.ones((2, 3))).shape == (2, 3)
    with pytest.raises(ValueError, match=r"Picky 'p' expects an input of ndim=2.*\(None, 2, 3\)"):
        Picky(name="p")(hotloop.Input((2, 3)))
    with pytest.raises(ValueError, match=r"axes=\{-1: 3\}"):
        Picky()(np.ones((2, 4)))
    for module in (layers, keras.layers):
        with pytest.raises(TypeError, match="axes"):
            module.InputSpec(axes=3)
        with pytest.raises(ValueError, match="3"):
            module.InputSpec(ndim=2, axes={3: 1})
