"""Several optimizers for one model, beside Keras's."""

import numpy as np
import pytest

import hotloop
from hotloop import optimizers

keras = pytest.importorskip("keras")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 4)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
WEIGHTS = [RNG.normal(size=shape).astype("float32") for shape in [(4, 5), (5,), (5, 1), (1,)]]


def chosen(k):
    o = k.optimizers
    return o.OptimizerMap(o.SGD(0.05, momentum=0.9), {".*first/.*": o.Adam(0.01)})


def by_function(k):
    adam, sgd = k.optimizers.Adam(0.01), k.optimizers.SGD(0.05)
    return lambda weight: adam if weight.path.endswith("kernel") else sgd


def model_of(k, make):
    model = k.Sequential(
        [
            k.layers.Input((4,)),
            k.layers.Dense(5, "tanh", name="first"),
            k.layers.Dense(1, name="second"),
        ]
    )
    model.set_weights(WEIGHTS)
    model.compile(k.optimizers.MultiOptimizer(make(k)), "mse", metrics=["mae"])
    return model


@pytest.mark.parametrize("make", [chosen, by_function])
def test_it_trains_as_keras_does(make, backend):
    models, logs = [], []
    for k in (hotloop, keras):
        model = model_of(k, make)
        fit = model.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0)
        models.append(model)
        logs.append(fit.history)
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(one, other, 1e-4, 1e-5)
    for name, values in logs[1].items():
        np.testing.assert_allclose(logs[0][name], values, 1e-4)
    optimizer = models[0].optimizer
    assert optimizer.iterations == 9
    assert len(optimizer.optimizers) == 2
    with pytest.raises(AttributeError, match="each of its optimizers"):
        _ = optimizer.learning_rate


def test_it_comes_back_from_a_file(tmp_path):
    model = model_of(hotloop, chosen)
    model.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    model.save(tmp_path / "m.hotloop")
    loaded = hotloop.models.load_model(tmp_path / "m.hotloop")
    assert loaded.optimizer.iterations == 3
    model.save(tmp_path / "m.keras")
    other = hotloop.models.load_model(tmp_path / "m.keras")
    assert other.optimizer.optimizers[0].get_config() == loaded.optimizer.optimizers[0].get_config()
    np.testing.assert_array_equal(other.get_weights()[0], loaded.get_weights()[0])
    for one in (model, loaded):
        one.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_maps():
    for k in (hotloop, keras):
        o = k.optimizers
        sgd, adam = o.SGD(), o.Adam()
        made = o.OptimizerMap(sgd, {"a/.*": adam})
        assert made["a/kernel"] is adam
        assert made["b/kernel"] is sgd
        made["b/kernel"] = adam
        assert made["b/kernel"] is adam
        assert list(made) == ["a/.*", "b/kernel"]
        with pytest.raises(ValueError, match="b/kernel"):
            made["b/kernel"] = sgd
        del made["b/kernel"]
        made["a/k.*"] = sgd
        with pytest.raises(ValueError, match="a/kernel"):
            made["a/kernel"]
        with pytest.raises(TypeError):
            o.OptimizerMap("sgd")
    with pytest.raises(TypeError, match="of a single rule"):
        optimizers.OptimizerMap(
            optimizers.MultiOptimizer(optimizers.OptimizerMap(optimizers.SGD()))
        )
