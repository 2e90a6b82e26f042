import numpy as np
import pytest

import hotloop
from hotloop import regularizers

W = np.array([[1.0, -2.0], [0.0, 3.0]])


@pytest.mark.parametrize(
    ("regularizer", "penalty"),
    [
        (regularizers.L1(0.5), 3.0),
        (regularizers.L2(0.5), 7.0),
        (regularizers.L1L2(0.5, 0.25), 6.5),
        (regularizers.L1L2(), 0.0),
        (regularizers.L1(None), 0.06),
        (regularizers.Regularizer(), 0.0),
    ],
)
def test_penalties_are_the_hand_computed_ones(regularizer, penalty):
    assert regularizer(W) == pytest.approx(penalty, rel=1e-15)
    assert isinstance(regularizer(W), float)


def test_sums_are_in_float64_and_of_any_shape():
    w = np.full((100, 10, 10), 0.1, np.float32)
    assert regularizers.L2(1.0)(w) == pytest.approx(1e4 * float(np.float32(0.1)) ** 2, rel=1e-12)
    assert regularizers.L1(1.0)(w[::-1, ::2]) == pytest.approx(5e3 * float(np.float32(0.1)))
    assert regularizers.L1(1.0)(np.zeros((0, 3))) == 0.0


@pytest.mark.parametrize(
    ("name", "l1", "l2"),
    [("l1", 0.01, 0), ("L1", 0.01, 0), ("l2", 0, 0.01), ("l1_l2", 0, 0), ("L1L2", 0, 0)],
)
def test_names_mean_what_they_mean_in_keras(name, l1, l2):
    regularizer = regularizers.get(name)
    assert (regularizer.l1, regularizer.l2) == (l1, l2)


def test_get_takes_everything_else_that_keras_takes():
    instance = regularizers.L2(0.3)
    assert regularizers.get(None) is None
    assert regularizers.get(instance) is instance
    assert regularizers.get(regularizers.L1).l1 == 0.01
    assert regularizers.get({"class_name": "L2", "config": {"l2": 0.5}}).l2 == 0.5
    assert regularizers.get(np.sum) is np.sum
    with pytest.raises(ValueError, match="Did you mean 'l1_l2'"):
        regularizers.get("l1l3")
    with pytest.raises(ValueError, match="one regularizer"):
        regularizers.get(0.01)


def test_lower_case_names_are_the_classes():
    assert regularizers.l1 is regularizers.L1
    assert regularizers.l2 is regularizers.L2
    assert regularizers.l1_l2 is regularizers.L1L2


@pytest.mark.parametrize(
    "regularizer", [regularizers.L1(0.1), regularizers.L2(0.2), regularizers.L1L2(0.1, 0.2)]
)
def test_a_configuration_gives_the_same_again(regularizer):
    again = type(regularizer).from_config(regularizer.get_config())
    assert (again.l1, again.l2) == (regularizer.l1, regularizer.l2)


@pytest.mark.parametrize("factor", [-0.1, np.nan, np.inf, "0.1", [0.1]])
@pytest.mark.parametrize("make", [regularizers.L1, regularizers.L2, regularizers.L1L2])
def test_factors_must_be_finite_and_not_negative(make, factor):
    with pytest.raises(ValueError, match="finite number of at least 0"):
        make(factor)


@pytest.mark.parametrize("mode", ["rows", "columns"])
def test_orthogonal_vectors_beside_keras(mode):
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(0)
    w = rng.normal(size=(4, 3)).astype("float32")
    ours = hotloop.regularizers.OrthogonalRegularizer(0.5, mode)
    theirs = keras.regularizers.OrthogonalRegularizer(0.5, mode)
    assert float(ours(w)) == pytest.approx(float(theirs(keras.ops.convert_to_tensor(w))), rel=1e-5)
    assert ours.get_config() == theirs.get_config()
    with pytest.raises(ValueError, match="mode"):
        hotloop.regularizers.OrthogonalRegularizer(mode="both")
    with pytest.raises(ValueError, match="matrices"):
        ours(np.ones(3))


@pytest.mark.parametrize("mode", ["rows", "columns"])
def test_orthogonal_weights_are_trained_as_by_keras(backend, mode):
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(1)
    w = rng.normal(size=(4, 3)).astype("f4")
    x, y = rng.normal(size=(8, 4)).astype("f4"), rng.normal(size=(8, 3)).astype("f4")
    found = []
    for library in (hotloop, keras):
        regularizer = library.regularizers.OrthogonalRegularizer(0.5, mode)
        layer = library.layers.Dense(3, kernel_regularizer=regularizer)
        model = library.Sequential([library.layers.Input((4,)), layer])
        model.set_weights([w, np.zeros(3)])
        model.compile(library.optimizers.SGD(0.3), "mse")
        fit = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        found.append((fit.history["loss"], *model.get_weights()))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, 1e-4, 1e-5)
