"""Layers that make one value of several, on every backend."""

import numpy as np
import pytest

import hotloop
from hotloop import layers

SIZES = [(1,), (2,), (3,), (7,), (17,), (33,), (257,), (3, 5), (2, 3, 4)]
BINARY = {
    "Add": np.add,
    "Subtract": np.subtract,
    "Multiply": np.multiply,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
}


def arrays(shape, count=2, rows=11):
    rng = np.random.default_rng(5)
    return [rng.normal(size=(rows, *shape)).astype("float32") for _ in range(count)]


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("name", BINARY)
def test_two_arrays_are_merged_as_numpy_does(backend, name, shape):
    a, b = arrays(shape)
    np.testing.assert_array_equal(getattr(layers, name)()([a, b]), BINARY[name](a, b))
    np.testing.assert_array_equal(getattr(layers, name.lower())([a, b]), BINARY[name](a, b))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_many_arrays(backend, count):
    parts = arrays((4,), count)
    np.testing.assert_allclose(layers.Add()(parts), sum(parts), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layers.Multiply()(parts), np.prod(parts, axis=0), rtol=1e-5)
    np.testing.assert_allclose(
        layers.Average()(parts), np.mean(parts, axis=0), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(layers.Maximum()(parts), np.max(parts, axis=0))
    np.testing.assert_array_equal(layers.Minimum()(parts), np.min(parts, axis=0))
    np.testing.assert_array_equal(layers.Concatenate()(parts), np.concatenate(parts, axis=1))


@pytest.mark.parametrize(
    "shapes",
    [
        [(5, 3), (1, 3)],
        [(1, 3), (5, 1)],
        [(5, 3), (3,)],
        [(3,), (5, 3)],
        [(1,), (7,)],
        [(2, 1, 4), (3, 1), (1, 1, 1)],
        [(2, 3, 4), (2, 1, 1), (4,)],
        [(17, 33), (17, 1)],
    ],
)
def test_shapes_are_broadcast_as_numpy_does(backend, shapes):
    parts = [arrays(shape, 1)[0] for shape in shapes]
    rank = max(map(len, shapes))
    aligned = [
        part.reshape(11, *(1,) * (rank - len(s)), *s) for part, s in zip(parts, shapes, strict=True)
    ]
    np.testing.assert_allclose(layers.Add()(parts), sum(aligned), rtol=1e-5, atol=1e-6)
    for name, function in BINARY.items():
        found = getattr(layers, name)()(parts[:2])
        np.testing.assert_array_equal(found, function(*aligned[:2]))


SHAPES_OF_DOT = [
    ((4,), (4,), 1),
    ((4,), (4,), -1),
    ((3, 4), (5, 4), 2),
    ((3, 4), (5, 4), -1),
    ((4, 3), (4, 5), 1),
    ((3, 4), (4, 5), (2, 1)),
    ((4, 3), (5, 4), (1, -1)),
    ((4,), (5, 4), (1, 2)),
    ((5, 4), (4,), (2, 1)),
    ((17, 33), (31, 33), 2),
    ((1, 7), (1, 7), 2),
    ((2, 4, 3), (5, 4), (2, 2)),
]


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(("a", "b", "axes"), SHAPES_OF_DOT)
def test_inner_products_are_those_of_keras(backend, a, b, axes, normalize):
    keras = pytest.importorskip("keras")
    parts = [arrays(shape, 1)[0] + 0.5 for shape in (a, b)]
    given = [keras.ops.convert_to_tensor(part) for part in parts]
    expected = np.asarray(keras.layers.Dot(axes, normalize=normalize)(given))
    found = layers.Dot(axes, normalize=normalize)(parts)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_vector_of_zeros_has_a_similarity_of_zero(backend):
    a, b = np.zeros((1, 3)), np.ones((1, 3))
    np.testing.assert_array_equal(layers.Dot(1, normalize=True)([a, b]), [[0.0]])


def test_nan_is_kept_by_every_merge(backend):
    a = np.array([[np.nan, 1.0, np.inf]], "float32")
    b = np.array([[1.0, np.nan, -np.inf]], "float32")
    for name, function in BINARY.items():
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(getattr(layers, name)()([a, b]), function(a, b))


@pytest.mark.parametrize("axis", [1, 2, 3, -1, -2, -3])
def test_arrays_are_joined_along_any_axis_but_the_batch(backend, axis):
    shapes = [[3, 4, 5] for _ in range(3)]
    for i, shape in enumerate(shapes):
        shape[axis - 1 if axis > 0 else axis] = 1 + 2 * i
    parts = [arrays(shape, 1)[0] for shape in shapes]
    np.testing.assert_array_equal(layers.Concatenate(axis)(parts), np.concatenate(parts, axis=axis))


@pytest.mark.parametrize("size", [1, 7, 257])
def test_the_inner_product_of_vectors(backend, size):
    a, b = arrays((size,))
    expected = np.sum(a * b, axis=1, keepdims=True)
    np.testing.assert_allclose(layers.Dot(1)([a, b]), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layers.dot([a, b], axes=(1, -1)), expected, rtol=1e-4, atol=1e-5)
    assert layers.Dot(1).weights == []


def test_a_value_may_be_merged_with_itself(backend):
    x = hotloop.Input((3,))
    parts = [layers.Add()([x, x]), layers.Multiply()([x, x]), layers.Subtract()([x, x])]
    model = hotloop.Model(x, layers.Concatenate()(parts))
    (a,) = arrays((3,), 1)
    expected = np.concatenate([2 * a, a * a, 0 * a], axis=1)
    np.testing.assert_array_equal(model.predict(a, verbose=0), expected)


@pytest.mark.parametrize("name", ["Maximum", "Minimum"])
def test_equal_values_share_the_gradient(backend, name):
    x = hotloop.Input((2,))
    ends = [layers.Dense(1, use_bias=False, kernel_initializer="ones")(x) for _ in range(2)]
    model = hotloop.Model(x, getattr(layers, name)()(ends))
    model.compile(hotloop.optimizers.SGD(1.0), "mae")
    model.train_on_batch([[1.0, 2.0]], [[0.0]])
    for kernel in model.get_weights():
        np.testing.assert_allclose(kernel, [[0.5], [0.0]])


@pytest.mark.parametrize(
    ("made", "shapes", "message"),
    [
        (
            layers.Add,
            [(2,), (3,)],
            r"Add 'add.*' needs inputs of one shape, or .*, got \(None, 2\)",
        ),
        (layers.Subtract, [(2,)], "takes exactly 2 inputs, got 1"),
        (layers.Subtract, [(2,)] * 3, "takes exactly 2 inputs, got 3"),
        (layers.Multiply, [(2,), (4, 3)], "needs inputs of one shape"),
        (layers.Maximum, [(2, 3), (2, 1), (3, 1)], "or of shapes that can be broadcast to one"),
        (layers.Concatenate, [(2, 3), (3, 2)], "differ in axis -1 only"),
        (layers.Concatenate, [(2, 3), (2,)], "differ in axis -1 only"),
        (lambda: layers.Concatenate(3), [(2, 3)] * 2, "there is no axis 3 in inputs of shape"),
        (lambda: layers.Dot(1), [(2,), (3,)], "whose axes 1 have one length, got"),
        (lambda: layers.Dot((1, 2)), [(2, 2), (3, 4)], r"whose axes \(1, 2\) have one length"),
        (lambda: layers.Dot(2), [(2, 2), (2,)], r"no axis 2 in inputs of shape \(None, 2\)"),
        (lambda: layers.Dot(-3), [(2, 2)] * 2, "there is no axis -3 in inputs of shape"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(made, shapes, message):
    with pytest.raises(ValueError, match=message):
        made()([hotloop.Input(shape) for shape in shapes])
    with pytest.raises(ValueError, match=message):
        made()([np.ones((4, *shape)) for shape in shapes])


def test_other_bad_calls_are_refused():
    x = hotloop.Input((2,))
    with pytest.raises(ValueError, match=r"is called on a list of inputs, as in layer\(\[a, b\]\)"):
        layers.Add()(x)
    with pytest.raises(ValueError, match="needs at least 1 input, got an empty list"):
        layers.Add()([])
    with pytest.raises(ValueError, match="takes one input, got a list of 2; merge them first"):
        layers.Dense(3)([x, x])
    with pytest.raises(ValueError, match="inputs of one dtype, got float32 and float64"):
        layers.Add()([x, hotloop.Input((2,), dtype="float64")])
    with pytest.raises(ValueError, match="as many examples each, got 3 and 4"):
        layers.Add()([np.ones((3, 2)), np.ones((4, 2))])
    for axis in (0, 1.5, True, None):
        with pytest.raises(ValueError, match="axis must be a whole number other than 0"):
            layers.Concatenate(axis)
    for axes in (0, (1, 0), (1, 2, 3), "1", 1.5, True, (1, None)):
        with pytest.raises(ValueError, match="axes must be one or two whole numbers other than 0"):
            layers.Dot(axes)


@pytest.mark.parametrize(
    "layer", [layers.Concatenate(1, name="c"), layers.Dot((1, -1), normalize=True, name="d")]
)
def test_configurations_make_the_same_layer(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_branches_train_to_the_same_bits_on_any_number_of_threads(threads):
    def train(count):
        before = hotloop.config.num_threads()
        hotloop.set_num_threads(count)
        try:
            hotloop.utils.set_random_seed(2)
            x = hotloop.Input((40,))
            a, b, c = (layers.Dense(64, kind)(x) for kind in ("relu", "tanh", "sigmoid"))
            joined = layers.concatenate(
                [layers.add([a, b]), layers.multiply([b, c]), layers.maximum([a, c]), x]
            )
            model = hotloop.Model(x, layers.Dense(3)(layers.Dropout(0.2, seed=1)(joined)))
            model.compile("adam", "mse")
            rng = np.random.default_rng(1)
            model.fit(rng.normal(size=(300, 40)), rng.normal(size=(300, 3)), 64, verbose=0)
            return model.get_weights()
        finally:
            hotloop.set_num_threads(before)

    for one, other in zip(train(threads), train(1), strict=True):
        np.testing.assert_array_equal(one, other)


def test_many_axes_are_broadcast_in_turns(backend):
    """More than vectors of strides had room for."""
    shapes = [(2,) * 9, (2, 1) * 4 + (2,)]
    inputs = [layers.Input(shape) for shape in shapes]
    model = hotloop.Model(inputs, layers.Multiply()(inputs))
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(3, *shape)).astype("f4") for shape in shapes]
    np.testing.assert_array_equal(model.predict(x, verbose=0), x[0] * x[1])
