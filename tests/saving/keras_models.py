"""Models that are made alike in Keras and in hotloop, for the tests of files."""

from __future__ import annotations

import numpy as np
import pytest

import hotloop

keras = pytest.importorskip("keras")

# For each layer: its arguments, and the shapes of what it is called on.
LAYERS = {
    "Activation": [({"activation": a}, [(5,)]) for a in ("relu", "gelu", "softmax", "log_softmax")],
    "ActivityRegularization": [({"l1": 0.1, "l2": 0.2}, [(5,)])],
    "Add": [({}, [(5,), (5,), (5,)])],
    "EinsumDense": [
        ({"equation": "abc,cd->abd", "output_shape": [3, 4], "bias_axes": "d"}, [(3, 5)])
    ],
    "GlobalAvgPool1D": [({}, [(3, 5)])],
    "GlobalMaxPool1D": [({}, [(3, 5)])],
    "AlphaDropout": [({"rate": 0.3}, [(5,)])],
    "Average": [({}, [(3, 5), (3, 5)])],
    "BatchNormalization": [
        ({}, [(5,)]),
        ({"center": False, "epsilon": 0.01}, [(5,)]),
        ({"scale": False, "momentum": 0.9}, [(3, 5)]),
    ],
    "CategoryEncoding": [({"num_tokens": 4, "output_mode": "multi_hot"}, [(3,)])],
    "Concatenate": [({}, [(5,), (1,), (2,)]), ({"axis": 1}, [(2, 3), (1, 3)])],
    "Dense": [
        ({"units": 7, "activation": "tanh"}, [(5,)]),
        ({"units": 1, "use_bias": False}, [(3, 5)]),
        (
            {
                "units": 3,
                "kernel_initializer": "he_normal",
                "bias_initializer": "ones",
                "kernel_regularizer": "l1",
                "bias_regularizer": "l2",
                "trainable": False,
            },
            [(5,)],
        ),
    ],
    "Discretization": [({"bin_boundaries": [-0.5, 0.1, 0.7]}, [(5,)])],
    "Dot": [({"axes": 1}, [(5,), (5,)]), ({"axes": -1}, [(5,), (5,)])],
    "Dropout": [({"rate": 0.3}, [(5,)]), ({"rate": 0.0, "seed": 4}, [(5,)])],
    "ELU": [({"alpha": 0.7}, [(5,)])],
    "Embedding": [({"input_dim": 4, "output_dim": 3}, [(3,)])],
    "Flatten": [({}, [(3, 5)]), ({}, [(5,)])],
    "GaussianDropout": [({"rate": 0.3}, [(5,)])],
    "GaussianNoise": [({"stddev": 0.3}, [(5,)])],
    "GlobalAveragePooling1D": [({}, [(3, 5)])],
    "GlobalMaxPooling1D": [({}, [(3, 5)])],
    "Identity": [({}, [(3, 5)])],
    "LayerNormalization": [
        ({}, [(5,)]),
        ({"epsilon": 0.01, "center": False}, [(3, 5)]),
        ({"scale": False}, [(5,)]),
    ],
    "LeakyReLU": [({"negative_slope": 0.1}, [(5,)])],
    "Maximum": [({}, [(5,), (5,)])],
    "Minimum": [({}, [(5,), (5,)])],
    "Multiply": [({}, [(5,), (5,), (5,)])],
    "Normalization": [({}, [(5,)]), ({"mean": 0.5, "variance": 2.0}, [(5,)])],
    "PReLU": [({}, [(5,)]), ({"shared_axes": [1], "alpha_constraint": "non_neg"}, [(3, 5)])],
    "Permute": [({"dims": [2, 1]}, [(3, 5)])],
    "RMSNormalization": [({}, [(5,)]), ({"epsilon": 0.01}, [(3, 5)])],
    "ReLU": [({"max_value": 0.5, "negative_slope": 0.1}, [(5,)])],
    "RepeatVector": [({"n": 3}, [(5,)])],
    "Rescaling": [({"scale": 0.3, "offset": -0.1}, [(5,)])],
    "Reshape": [({"target_shape": (5, 3)}, [(3, 5)]), ({"target_shape": (-1,)}, [(3, 5)])],
    "Softmax": [({}, [(5,)])],
    "Subtract": [({}, [(5,), (5,)])],
    "UnitNormalization": [({}, [(3, 5)])],
}
CASES = [
    (name, i)
    for name, cases in LAYERS.items()
    if hasattr(hotloop.layers, name)
    for i in range(len(cases))
]


def one_layer(api, name, case):
    """A model of one layer, and data for it."""
    arguments, shapes = LAYERS[name][case]
    inputs = [api.Input(shape) for shape in shapes]
    layer = getattr(api.layers, name)(**arguments)
    model = api.Model(inputs, layer(inputs if len(inputs) > 1 else inputs[0]))
    rng = np.random.default_rng(case)
    model.set_weights([draw(rng, w) for w in model.get_weights()])
    if hasattr(model.layers[-1], "finalize_state"):  # Keras's Normalization computes from weights
        model.layers[-1].finalize_state()
    whole = name in ("Embedding", "CategoryEncoding")
    x = [
        rng.integers(0, 4, (6, *shape)) if whole else rng.normal(size=(6, *shape)).astype("f4")
        for shape in shapes
    ]
    return model, x


def draw(rng, weight):
    """Above 0, as the variances among the weights must be; counts stay as they are."""
    return rng.uniform(0.3, 1.5, weight.shape) if weight.dtype.kind == "f" else weight


def same(one, other, x):
    """Asserts that two models, of whatever library, predict the same."""
    found = predictions(one, x)
    for a, b in zip(found, predictions(other, x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    assert all(np.isfinite(a).all() for a in found)


def predictions(model, x):
    x = x if len(x) > 1 else x[0]
    # Keras's predict compiles for seconds what its call computes at once.
    found = model.predict(x, verbose=0) if isinstance(model, hotloop.Model) else model(x)
    found = found if isinstance(found, list) else [found]
    return [keras.ops.convert_to_numpy(a) for a in found]


def random_model(api, seed):
    """A model of several inputs and outputs, shared layers, models within, the same in both."""
    rng = np.random.default_rng(seed)
    layers = api.layers
    known = [api.Input((int(rng.integers(1, 12)),)) for _ in range(rng.integers(1, 4))]
    inputs = list(known)
    shared = []
    for _ in range(rng.integers(3, 14)):
        x = known[rng.integers(len(known))]
        width = x.shape[-1]
        units = int(rng.integers(1, 12))
        kind = rng.integers(9)
        alike = [v for v in known if v.shape[-1] == width]
        other = alike[rng.integers(len(alike))]
        if kind == 0:
            merge = ("Add", "Multiply", "Average", "Maximum", "Subtract")[rng.integers(5)]
            y = getattr(layers, merge)()([x, other])
        elif kind == 1:
            y = layers.Concatenate()([x, known[rng.integers(len(known))]])
        elif kind == 2:
            chain = [api.Input((width,)), layers.Dense(units, "relu"), layers.Dense(3, "tanh")]
            y = api.Sequential(chain[bool(seed % 2) :])(x)
        elif kind == 3:
            a, b = api.Input((width,)), api.Input((width,))
            ends = [layers.Dense(units)(layers.Add()([a, b])), layers.Dense(2)(b)]
            inner = api.Model([a, b], ends)
            y = inner([x, other])[0]
            known.append(inner([other, x])[rng.integers(2)])
        elif kind == 4 and shared:
            fitting = [layer for layer, features in shared if features == width]
            y = fitting[0](x) if fitting else layers.LeakyReLU(0.2)(x)
        elif kind == 5:
            y = layers.Flatten()(layers.Dense(units, "elu")(layers.RepeatVector(3)(x)))
        else:
            names = ("relu", "sigmoid", "selu", "softplus", "gelu", "linear", "silu", "softsign")
            layer = layers.Dense(units, names[rng.integers(8)], use_bias=bool(rng.integers(2)))
            shared.append((layer, width))
            y = layer(x)
        known.append(y)
    made = known[len(inputs) :]
    outputs = [made[-1], *(made[i] for i in rng.choice(len(made), min(2, len(made) - 1), False))]
    outputs = list({id(value): value for value in outputs}.values())
    model = api.Model(inputs, outputs)
    model.set_weights([rng.uniform(-1, 1, w.shape) for w in model.get_weights()])
    return model, [rng.normal(size=(5, *v.shape[1:])).astype("f4") for v in inputs]


def trained(api, optimizer, **options):
    layers = api.layers
    x = api.Input((4,))
    shared = layers.Dense(4, "tanh")
    joined = layers.Concatenate()([shared(x), shared(shared(x))])
    model = api.Model(x, layers.Dense(3)(joined))
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    model.compile(optimizer, **({"loss": "mse"} | options))
    fit(model)
    return model


def data():
    rng = np.random.default_rng(2)
    return rng.normal(size=(37, 4)).astype("f4"), rng.normal(size=(37, 3)).astype("f4")


def fit(model):
    x, y = data()
    return model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)


def go_on_alike(one, other):
    for model in (one, other):  # Keras's `iterations` are updates, `_iterations` are batches
        steps = getattr(model.optimizer, "_iterations", model.optimizer.iterations)
        assert int(np.asarray(steps)) == 10
    mine, theirs = fit(one).history, fit(other).history
    assert mine.keys() == theirs.keys()
    for name in mine:
        np.testing.assert_allclose(mine[name], theirs[name], rtol=1e-4, err_msg=name)
    x = [data()[0]]
    for a, b in zip(predictions(one, x), predictions(other, x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)
