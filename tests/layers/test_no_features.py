"""Arrays without features, and without rows."""

import numpy as np
import pytest

import hotloop
from hotloop import kernels, layers, losses, metrics
from hotloop.data.feed import Feed
from hotloop.graph.plan import build

ARGUMENTS = {
    "Dense": (4,), "Activation": ("relu",), "Reshape": ((-1,),), "RepeatVector": (2,),
    "Permute": ((2, 1),), "Embedding": (5, 3), "Lambda": (lambda x: x,), "CategoryEncoding": (3,),
    "Rescaling": (2.0,), "Dropout": (0.5,), "AlphaDropout": (0.5,), "GaussianNoise": (0.5,),
    "GaussianDropout": (0.5,), "Dot": (1,), "EinsumDense": ("...x,xy->...y", 4),
}  # fmt: skip
OPTIONS = {
    "Discretization": {"bin_boundaries": [0.0, 1.0]},
    "IntegerLookup": {"vocabulary": [1, 2]},
    "StringLookup": {"vocabulary": ["a"]},
    "Normalization": {"mean": 0.0, "variance": 1.0},
}
NAMES = [
    name
    for name, kind in ((name, getattr(layers, name)) for name in layers.__all__)
    if isinstance(kind, type) and issubclass(kind, layers.Layer)
    if name not in ("Layer", "InputLayer", "Wrapper")
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(3, 0), (3, 0, 5), (3, 5, 0)])
def test_layers_refuse_them(backend, name, shape):
    layer = getattr(layers, name)(*ARGUMENTS.get(name, ()), **OPTIONS.get(name, {}))
    x = np.zeros(shape, str if name == "StringLookup" else "f4")
    with pytest.raises(ValueError, match="has no features") as raised:
        layer([x, x] if layer.takes_list else x)
    assert layer.name in str(raised.value)


def test_models_and_layers_of_ones_own_refuse_them(backend):
    chain = hotloop.Sequential([layers.Dense(4, "relu"), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"Sequential 'sequential.*has no features"):
        chain.predict(np.zeros((3, 0), "f4"), verbose=0)

    class Own(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight((input_shape[-1], 2))

        def call(self, x):
            return x @ self.w

    with pytest.raises(ValueError, match=r"Own 'own.*has no features"):
        Own()(np.zeros((3, 0)))
    with pytest.raises(ValueError, match=r"Own 'own.*has no features"):
        Own().build((None, 0))
    with pytest.raises(ValueError, match="the weight 'weight' would have shape"):
        Own().add_weight((0, 2))


def test_no_rows_are_no_error_of_a_layer(backend):
    assert layers.Dense(4)(np.zeros((0, 5))).shape == (0, 4)


def test_products_without_features_are_bias_alone(backend):
    assert kernels.matmul(np.zeros((3, 0)), np.zeros((0, 2))).tolist() == [[0.0, 0.0]] * 3
    y = kernels.dense_forward(np.zeros((3, 0)), np.zeros((0, 2)), np.ones(2))
    assert y.tolist() == [[1.0, 1.0]] * 3


@pytest.mark.parametrize(("arrays", "rows"), [([(3, 0)], 3), ([(0, 5)], 0), ([(3, 5)], 4), ([], 3)])
def test_an_executor_refuses_arrays_that_are_not_its_feeds(backend, arrays, rows):
    value = hotloop.Input((5,))
    executor = hotloop.backends.executor(
        build([value], [layers.Dense(2)(value)], 3, hotloop.backends.traits())
    )
    feed = Feed([np.zeros(shape, "f4") for shape in arrays], rows)
    with pytest.raises(ValueError, match=r"feed|reads"):
        executor.run(feed, 0, 1, np.zeros(0), outputs=[np.empty((3, 2), "f4")])


def test_a_plan_needs_a_batch():
    value = hotloop.Input((5,))
    with pytest.raises(ValueError, match="at least 1 example"):
        build([value], [layers.Dense(2)(value)], 0, hotloop.backends.traits())


@pytest.mark.parametrize("name", ["MeanSquaredError", "CategoricalCrossentropy", "Dice", "Hinge"])
def test_losses_name_what_has_no_features(name):
    loss = getattr(losses, name)()
    for shape in ((3, 0), (0,), (2, 3, 0), (2, 0, 3)):
        with pytest.raises(ValueError, match=rf"{loss.name}: y_pred: .* has no features"):
            loss(np.zeros(shape), np.zeros(shape))
    with pytest.raises(ValueError, match=r"y_pred: .* has no features"):
        losses.SparseCategoricalCrossentropy()(np.zeros(3), np.zeros((3, 0)))


@pytest.mark.parametrize("name", ["MeanSquaredError", "CategoricalAccuracy", "R2Score", "AUC"])
def test_metrics_name_what_has_no_features(name):
    metric = getattr(metrics, name)()
    with pytest.raises(ValueError, match=rf"{metric.name}: y_pred: .* has no features"):
        metric(np.zeros((3, 0)), np.zeros((3, 0)))
    with pytest.raises(ValueError, match=r"y_pred: .* has no features"):
        metrics.SparseCategoricalAccuracy()(np.zeros(3), np.zeros((3, 0)))
