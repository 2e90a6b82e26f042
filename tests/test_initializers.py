import sys

import numpy as np
import pytest

from hotloop import initializers, random
from hotloop.naming import snake_case

RANDOM = [
    initializers.RandomNormal,
    initializers.RandomUniform,
    initializers.TruncatedNormal,
    initializers.VarianceScaling,
    initializers.GlorotUniform,
    initializers.GlorotNormal,
    initializers.HeUniform,
    initializers.HeNormal,
    initializers.LecunUniform,
    initializers.LecunNormal,
    initializers.Orthogonal,
]
FIXED = [initializers.Zeros, initializers.Ones, initializers.Constant, initializers.Identity]


def test_fixed_values():
    np.testing.assert_array_equal(initializers.Zeros()((2, 1)), [[0], [0]])
    np.testing.assert_array_equal(initializers.Ones()((2,)), [1, 1])
    np.testing.assert_array_equal(initializers.Constant(2.5)((2,)), [2.5, 2.5])
    np.testing.assert_array_equal(initializers.Constant([1, 2])((2, 2)), [[1, 2], [1, 2]])
    np.testing.assert_array_equal(initializers.Identity(3.0)((2, 3)), [[3, 0, 0], [0, 3, 0]])


@pytest.mark.parametrize(
    ("shape", "fans"),
    [
        ((), (1, 1)),
        ((7,), (7, 7)),
        ((784, 128), (784, 128)),
        ((3, 8, 16), (24, 48)),
        ((3, 3, 8, 16), (72, 144)),
    ],
)
def test_fans(shape, fans):
    assert initializers.compute_fans(shape) == fans


def test_fans_of_given_axes():
    assert initializers.compute_fans((2, 3, 5), [0, 1], [2]) == (6, 5)


@pytest.mark.parametrize(
    ("make", "variance"),
    [
        (initializers.GlorotUniform, 2 / 500),
        (initializers.GlorotNormal, 2 / 500),
        (initializers.HeUniform, 2 / 300),
        (initializers.HeNormal, 2 / 300),
        (initializers.LecunUniform, 1 / 300),
        (initializers.LecunNormal, 1 / 300),
        (lambda seed: initializers.VarianceScaling(3.0, "fan_out", "normal", seed), 3 / 200),
        (
            lambda seed: initializers.VarianceScaling(3.0, "fan_in", "untruncated_normal", seed),
            3 / 300,
        ),
        (lambda seed: initializers.RandomNormal(1.0, 0.2, seed), 0.04),
        (lambda seed: initializers.RandomUniform(1.0, 1.6, seed), 0.03),
        (lambda seed: initializers.TruncatedNormal(1.0, 0.2, seed), 0.04 * 0.8796256610**2),
    ],
)
def test_variances(make, variance):
    w = make(seed=1)((300, 200), "float64")
    # 60,000 values: the standard error of the variance is at most 0.6 %.
    assert w.var() == pytest.approx(variance, rel=0.03)


@pytest.mark.parametrize(
    ("make", "limit"),
    [
        (initializers.GlorotUniform, (6 / 500) ** 0.5),
        (initializers.HeUniform, (6 / 300) ** 0.5),
        (initializers.LecunUniform, (3 / 300) ** 0.5),
        (initializers.HeNormal, 2 * (2 / 300) ** 0.5 / 0.8796256610342398),
        (initializers.TruncatedNormal, 0.1),
    ],
)
def test_limits_are_kept_and_nearly_reached(make, limit):
    w = np.abs(make(seed=2)((300, 200), "float64"))
    assert 0.99 * limit < w.max() <= limit


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 3, 4), (4, 4), (1, 1)])
def test_orthogonal(shape):
    w = initializers.Orthogonal(2.0, seed=0)(shape, "float64").reshape(-1, shape[-1]) / 2.0
    product = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    np.testing.assert_allclose(product, np.eye(min(w.shape)), atol=1e-14)


def test_some_shapes_make_no_sense():
    with pytest.raises(ValueError, match="at least two dimensions"):
        initializers.Orthogonal()((3,))
    with pytest.raises(ValueError, match="matrices only"):
        initializers.Identity()((3,))


@pytest.mark.parametrize("make", RANDOM)
def test_a_seed_repeats_and_precision_does_not_matter(make):
    w = make(seed=3)((6, 4), "float64")
    np.testing.assert_array_equal(make(seed=3)((6, 4), "float64"), w)
    np.testing.assert_array_equal(make(seed=3)((6, 4)), w.astype("float32"))
    assert (make(seed=4)((6, 4), "float64") != w).any()


@pytest.mark.parametrize("make", RANDOM)
def test_without_a_seed_one_is_drawn_once(make):
    random.set_random_seed(9)
    first, second = make(), make()
    w = first((6, 4))
    np.testing.assert_array_equal(first((6, 4)), w)
    assert (second((6, 4)) != w).any()
    random.set_random_seed(9)
    np.testing.assert_array_equal(make()((6, 4)), w)
    assert first.get_config()["seed"] is None


@pytest.mark.parametrize("make", RANDOM + FIXED)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shape_and_dtype_are_those_asked_for(make, dtype):
    w = make()((5, 2), dtype)
    assert w.shape == (5, 2)
    assert w.dtype == dtype
    assert make()([5, 2]).dtype == np.float32
    assert w.flags.writeable


@pytest.mark.parametrize(
    "initializer",
    [
        initializers.Constant(2.0),
        initializers.Constant(np.array([1.0, 2.0])),
        initializers.Identity(2.0),
        initializers.RandomNormal(1.0, 2.0, seed=3),
        initializers.RandomUniform(1.0, 2.0, seed=3),
        initializers.TruncatedNormal(1.0, 2.0, seed=3),
        initializers.VarianceScaling(2.0, "fan_out", "uniform", seed=3),
        initializers.HeNormal(seed=3),
        initializers.Orthogonal(2.0, seed=3),
    ],
)
def test_a_configuration_gives_the_same_again(initializer):
    again = type(initializer).from_config(initializer.get_config())
    assert again.get_config() == initializer.get_config()
    np.testing.assert_array_equal(again((2, 2)), initializer((2, 2)))
    np.testing.assert_array_equal(initializer.clone()((2, 2)), initializer((2, 2)))


@pytest.mark.parametrize("make", RANDOM + FIXED)
def test_names_in_both_spellings(make):
    snake = snake_case(make.__name__)
    assert type(initializers.get(make.__name__)) is make
    assert type(initializers.get(snake)) is make
    assert getattr(initializers, snake) is make


def test_get_takes_everything_that_keras_takes():
    assert initializers.get(None) is None
    assert isinstance(initializers.get("glorot_uniform"), initializers.GlorotUniform)
    assert isinstance(initializers.get("zero"), initializers.Zeros)
    assert isinstance(initializers.get(initializers.Ones), initializers.Ones)
    config = {"class_name": "Constant", "config": {"value": 4}}
    np.testing.assert_array_equal(initializers.get(config)((1,)), [4])
    function = initializers.get(lambda shape, dtype=None: np.full(shape, 7, dtype))
    np.testing.assert_array_equal(function((2,), "float32"), [7, 7])
    assert initializers.he_normal is initializers.HeNormal


def test_an_array_stands_for_itself():
    given = np.array([[1, 2], [3, 4]])
    w = initializers.get(given)((2, 2), "float32")
    np.testing.assert_array_equal(w, given)
    assert w.dtype == np.float32
    w[0, 0] = 9
    assert given[0, 0] == 1
    with pytest.raises(ValueError, match=r"\(2, 2\).*\(4,\)"):
        initializers.get(given)((4,))


def test_unknown_names_and_things():
    with pytest.raises(ValueError, match="Did you mean 'glorot_uniform'"):
        initializers.get("glorot_unifrom")
    with pytest.raises(ValueError, match="one initializer"):
        initializers.get(3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 0}, "scale must be greater"),
        ({"scale": np.nan}, "scale must be greater"),
        ({"mode": "fan"}, "mode must be one of"),
        ({"distribution": "cauchy"}, "distribution must be one of"),
        ({"seed": 1.5}, "seed must be"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        initializers.VarianceScaling(**arguments)


def test_no_initializer_of_keras_is_missing():
    keras = pytest.importorskip("keras")
    names = {name for name in dir(keras.initializers) if not name.startswith("_")}
    assert names <= set(dir(initializers))


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"window": None},
        {"window": "hamming", "scaling": "spectrum", "periodic": True},
        {"window": np.linspace(-1.0, 2.0, 16), "scaling": None},
    ],
)
def test_stft_is_that_of_keras(side, options):
    pytest.importorskip("scipy")
    keras = pytest.importorskip("keras")
    for frequencies in (2, 9, 17):
        shape = (16, 1, frequencies)
        wanted = keras.initializers.STFT(side, **options)(shape)
        found = initializers.STFT(side, **options)
        np.testing.assert_allclose(found(shape), np.asarray(wanted), atol=2e-5)
        again = initializers.get({"class_name": "STFT", "config": found.get_config()})
        np.testing.assert_array_equal(again(shape, "float64"), found(shape, "float64"))


def test_stft_transforms():
    frame, window = np.random.default_rng(1).normal(size=16), np.hanning(16)
    parts = (initializers.STFT(side, window, None) for side in ("real", "imag"))
    real, imaginary = (frame @ part((16, 1, 9), "float64")[:, 0] for part in parts)
    np.testing.assert_allclose(real + 1j * imaginary, np.fft.rfft(frame * window), atol=1e-12)


def test_stft_refuses(monkeypatch):
    for arguments, words in (
        (("complex",), "side must be"),
        (("real", None, "power"), "scaling must be"),
    ):
        with pytest.raises(ValueError, match=words):
            initializers.STFT(*arguments)
    for shape in ((16, 9), (16, 2, 9), (16, 1, 1)):
        with pytest.raises(ValueError, match="frame length, 1, frequencies"):
            initializers.STFT()(shape)
    with pytest.raises(ValueError, match=r"shape \(3,\); frames of 16"):
        initializers.STFT(window=[1, 2, 3])((16, 1, 9))
    monkeypatch.setitem(sys.modules, "scipy.signal", None)
    with pytest.raises(ImportError, match=r"comes from SciPy: pip install scipy"):
        initializers.STFT()((16, 1, 9))
