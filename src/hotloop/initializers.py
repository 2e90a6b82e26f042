"""Initial values of weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import config, registry
from .doors import door
from .files.models import deserialized, serialized
from .masks import refuse_masks
from .naming import instantiate
from .random import as_seed, generator
from .variables import enter_initialize, kept_dtype

Array = NDArray[Any]
InitializerLike = str | Mapping[str, Any] | Callable[..., Any] | Array | None

# Standard deviation of the standard normal distribution cut off at -2 and 2:
# sqrt(1 - 4 * pdf(2) / (cdf(2) - cdf(-2))).
TRUNCATED_STDDEV = 0.87962566103423978

_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")


class Initializer(registry.Configured):
    """Base of all initializers: a callable from a shape and a dtype to an array.

    Subclasses override ``__call__(shape, dtype=None)``, and `get_config` where they have
    arguments. The dtype is float32 by default.

    Examples
    --------
    >>> class Halves(Initializer):
    ...     def __call__(self, shape, dtype=None):
    ...         return np.full(shape, 0.5, dtype or "float32")
    >>> Halves()((2,))
    array([0.5, 0.5], dtype=float32)
    """

    def __call__(self, shape: Sequence[int], dtype: DTypeLike | None = None) -> Array:
        """New array of that shape and dtype."""
        raise NotImplementedError(f"{type(self).__name__} must override __call__(shape, dtype)")

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {}

    def clone(self) -> Self:
        """Initializer of the same class and arguments."""
        return self.from_config(self.get_config())


class Zeros(Initializer):
    """All zeros.

    Examples
    --------
    >>> Zeros()((2,))
    array([0., 0.], dtype=float32)
    """

    def __call__(self, shape: Sequence[int], dtype: DTypeLike | None = None) -> Array:
        """New array of that shape and dtype."""
        return np.zeros(shape, dtype or np.float32)


class Ones(Initializer):
    """All ones.

    Examples
    --------
    >>> Ones()((2,))
    array([1., 1.], dtype=float32)
    """

    def __call__(self, shape: Sequence[int], dtype: DTypeLike | None = None) -> Array:
        """New array of that shape and dtype."""
        return np.ones(shape, dtype or np.float32)


class Constant(Initializer):
    """One value everywhere.

    Parameters
    ----------
    value : float or array_like
        The value, or an array that broadcasts to the shape asked for.

    Examples
    --------
    >>> Constant(0.5)((2,))
    array([0.5, 0.5], dtype=float32)
    """

    def __init__(self, value: ArrayLike = 0.0) -> None:
        refuse_masks(value, "Constant: value")
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: DTypeLike | None = None) -> Array:
        """New array of that shape and dtype."""
        return np.full(shape, self.value, dtype or np.float32)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        value = self.value
        return {"value": value.tolist() if isinstance(value, np.ndarray) else value}


class Identity(Initializer):
    """Identity matrix times a factor; ones on the main diagonal where it is not square.

    Parameters
    ----------
    gain : float
        The factor.

    Raises
    ------
    ValueError
        When called for a shape that is not two-dimensional.

    Examples
    --------
    >>> Identity(2.0)((2, 3))
    array([[2., 0., 0.],
           [0., 2., 0.]], dtype=float32)
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: DTypeLike | None = None) -> Array:
        """New array of that shape and dtype."""
        if len(shape) != 2:
            raise ValueError(f"Identity makes matrices only, got the shape {tuple(shape)}")
        return np.asarray(self.gain * np.eye(shape[0], shape[1]), dtype or np.float32)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {"gain": self.gain}


class STFT(Initializer):
    """Kernel of a convolution that is a short-time Fourier transform.

    ``cos(2 pi f t / n) w[t] / s`` for the shape (T, 1, F), t = 0 .. T - 1 and f = 0 .. F - 1, with
    ``n = 2 (F - 1)`` and a window w; ``-sin(2 pi f t / n)`` for the imaginary part.

    Parameters
    ----------
    side : {"real", "imag"}
        Which part.
    window : str or array_like of length T, optional
        The window, or the name of one in ``scipy.signal.windows``, which needs SciPy: ``pip
        install scipy``. None: no window and no scaling.
    scaling : {"density", "spectrum"}, optional
        s: the root of the sum of the window's squares, or the sum of its absolute values. None: 1.
    periodic : bool
        Whether a window that is named is one period, or symmetric.

    Raises
    ------
    ValueError
        For arguments that are none of these; when called, for a shape that is not (T, 1, F) with F
        of at least 2, or a window of another length.
    ImportError
        When called, for the name of a window without SciPy.

    Examples
    --------
    >>> STFT(window=None)((3, 1, 3))[:, 0].round(3) + 0.0
    array([[ 1.,  1.,  1.],
           [ 1.,  0., -1.],
           [ 1., -1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        side: str = "real",
        window: str | ArrayLike | None = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        if side not in ("real", "imag"):
            raise ValueError(f"STFT: side must be 'real' or 'imag', not {side!r}")
        if scaling not in (None, "density", "spectrum"):
            raise ValueError(
                f"STFT: scaling must be 'density', 'spectrum' or None, not {scaling!r}"
            )
        self.side = side
        self.window = window
        self.scaling = scaling
        self.periodic = bool(periodic)

    def __call__(self, shape: Sequence[int], dtype: DTypeLike | None = None) -> Array:
        """New array of that shape and dtype."""
        if len(shape) != 3 or shape[1] != 1 or shape[2] < 2:
            raise ValueError(
                f"STFT: the shape must be (frame length, 1, frequencies), two or more, not {shape}"
            )
        steps, _, frequencies = shape
        # Multiples of a whole turn are left out of the angle before it is rounded.
        turns = np.outer(np.arange(steps), np.arange(frequencies)) % (2 * (frequencies - 1))
        angle = turns * (math.pi / (frequencies - 1))
        kernel = np.cos(angle) if self.side == "real" else -np.sin(angle)
        if self.window is not None:
            kernel *= self._window(steps)[:, np.newaxis]
        made: Array = kernel[:, np.newaxis].astype(dtype or np.float32)
        return made

    def _window(self, steps: int) -> NDArray[np.float64]:
        """The window, scaled."""
        if isinstance(self.window, str):
            try:
                from scipy.signal import get_window
            except ImportError:
                raise ImportError(
                    f"STFT: the window {self.window!r} comes from SciPy: pip install "
                    "scipy, or give the window as an array"
                ) from None
            window = np.asarray(get_window(self.window, steps, self.periodic), np.float64)
        else:
            window = np.asarray(self.window, np.float64)
        if window.shape != (steps,):
            raise ValueError(
                f"STFT: the window has shape {window.shape}; frames of {steps} need ({steps},)"
            )
        size = 1.0
        if self.scaling is not None:
            density = self.scaling == "density"
            size = float(np.linalg.norm(window) if density else np.abs(window).sum())
        scaled: NDArray[np.float64] = window / size
        return scaled

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        window = self.window
        return {
            "side": self.side,
            "window": window
            if window is None or isinstance(window, str)
            else np.asarray(window).tolist(),
            "scaling": self.scaling,
            "periodic": self.periodic,
        }


class RandomInitializer(Initializer):
    """Base of the random initializers.

    Values are drawn in float64 and rounded to the dtype, so that one seed means the same
    weights in every precision. An initializer gives the same values each time it is called;
    without a seed it draws one from `hotloop.random` when it is made.

    Parameters
    ----------
    seed : int, optional
        Seed of the values, at least 0.

    Raises
    ------
    ValueError
        If the seed is not a whole number of at least 0.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._given_seed = None if seed is None else as_seed(seed)
        self.seed = int(generator().integers(2**63)) if seed is None else as_seed(seed)

    def __call__(self, shape: Sequence[int], dtype: DTypeLike | None = None) -> Array:
        """New array of that shape and dtype."""
        draws = self.draw(np.random.default_rng(self.seed), tuple(shape))
        return draws.astype(dtype or np.float32, copy=False)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Values of that shape, drawn from rng."""
        raise NotImplementedError(f"{type(self).__name__} must override draw(rng, shape)")

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {"seed": self._given_seed}


class RandomNormal(RandomInitializer):
    """Normal distribution.

    Parameters
    ----------
    mean, stddev : float
        Mean and standard deviation.
    seed : int, optional
        Seed of the values.

    Examples
    --------
    >>> RandomNormal(stddev=1.0, seed=0)((2,))
    array([ 0.12573022, -0.13210486], dtype=float32)
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Values of that shape, drawn from rng."""
        return self.mean + self.stddev * rng.standard_normal(shape)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


class TruncatedNormal(RandomInitializer):
    """Normal distribution whose values beyond two standard deviations are drawn again.

    Parameters
    ----------
    mean, stddev : float
        Mean and standard deviation before the cut; after it the standard deviation is
        0.8796 times as large.
    seed : int, optional
        Seed of the values.

    Examples
    --------
    >>> bool(abs(TruncatedNormal(stddev=0.5, seed=0)((1000,))).max() <= 1.0)
    True
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Values of that shape, drawn from rng."""
        return self.mean + self.stddev * _truncated_normal(rng, shape)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


class RandomUniform(RandomInitializer):
    """Uniform distribution from `minval` to `maxval`.

    Parameters
    ----------
    minval, maxval : float
        Bounds.
    seed : int, optional
        Seed of the values.

    Examples
    --------
    >>> RandomUniform(0.0, 1.0, seed=0)((2,))
    array([0.6369617 , 0.26978672], dtype=float32)
    """

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Values of that shape, drawn from rng."""
        return rng.uniform(self.minval, self.maxval, shape)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {"minval": self.minval, "maxval": self.maxval, **super().get_config()}


class VarianceScaling(RandomInitializer):
    """Distribution of mean 0 whose variance is ``scale / n``, n being counted by `mode`.

    Uniform on ``[-sqrt(3 * scale / n), sqrt(3 * scale / n)]``, or normal; the truncated normal
    distribution is widened so that its variance after the cut is ``scale / n``.

    Parameters
    ----------
    scale : float
        Factor, greater than 0.
    mode : {"fan_in", "fan_out", "fan_avg"}
        n is the number of inputs, of outputs, or their mean; at least 1. See `compute_fans`.
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
        Shape of the distribution; "normal" means "truncated_normal".
    seed : int, optional
        Seed of the values.
    input_axes, output_axes : sequence of int, optional
        Axes whose lengths are multiplied to count inputs and outputs.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Examples
    --------
    >>> w = VarianceScaling(mode="fan_in", distribution="uniform", seed=0)((300, 5))
    >>> bool(abs(w).max() <= 0.1)
    True
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        if not scale > 0:
            raise ValueError(f"scale must be greater than 0, got {scale!r}")
        if mode not in _MODES:
            raise ValueError(f"mode must be one of {', '.join(_MODES)}, got {mode!r}")
        distribution = distribution.lower()
        if distribution == "normal":
            distribution = "truncated_normal"
        if distribution not in _DISTRIBUTIONS:
            raise ValueError(
                f"distribution must be one of {', '.join(_DISTRIBUTIONS)}, got {distribution!r}"
            )
        super().__init__(seed)
        self.scale = scale
        self.mode = mode
        self.distribution = distribution
        self.input_axes = input_axes
        self.output_axes = output_axes

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Values of that shape, drawn from rng."""
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        stddev = math.sqrt(self.scale / max(1.0, n))
        if self.distribution == "uniform":
            limit = math.sqrt(3.0) * stddev
            return rng.uniform(-limit, limit, shape)
        if self.distribution == "truncated_normal":
            return stddev / TRUNCATED_STDDEV * _truncated_normal(rng, shape)
        return stddev * rng.standard_normal(shape)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            **super().get_config(),
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


class _NamedScaling(VarianceScaling):
    """A variance scaling whose scale, mode and distribution are fixed by its name."""

    fixed: tuple[float, str, str]

    def __init__(
        self,
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(*self.fixed, seed, input_axes, output_axes)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        config = super().get_config()
        return {name: config[name] for name in ("seed", "input_axes", "output_axes")}


class GlorotUniform(_NamedScaling):
    """Uniform on ``[-limit, limit]``, ``limit = sqrt(6 / (fan_in + fan_out))``.

    Glorot and Bengio, 2010. The default for kernels.

    Examples
    --------
    >>> bool(abs(GlorotUniform(seed=0)((100, 50))).max() <= 0.2)
    True
    """

    fixed = (1.0, "fan_avg", "uniform")


class GlorotNormal(_NamedScaling):
    """Truncated normal of standard deviation ``sqrt(2 / (fan_in + fan_out))``.

    Glorot and Bengio, 2010.

    Examples
    --------
    >>> GlorotNormal(seed=0)((4, 2)).shape
    (4, 2)
    """

    fixed = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_NamedScaling):
    """Uniform on ``[-limit, limit]``, ``limit = sqrt(6 / fan_in)``.

    He et al., 2015: for relu.

    Examples
    --------
    >>> bool(abs(HeUniform(seed=0)((600, 50))).max() <= 0.1)
    True
    """

    fixed = (2.0, "fan_in", "uniform")


class HeNormal(_NamedScaling):
    """Truncated normal of standard deviation ``sqrt(2 / fan_in)``.

    He et al., 2015: for relu.

    Examples
    --------
    >>> HeNormal(seed=0)((4, 2)).shape
    (4, 2)
    """

    fixed = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_NamedScaling):
    """Uniform on ``[-limit, limit]``, ``limit = sqrt(3 / fan_in)``.

    LeCun et al., 1998.

    Examples
    --------
    >>> bool(abs(LecunUniform(seed=0)((300, 50))).max() <= 0.1)
    True
    """

    fixed = (1.0, "fan_in", "uniform")


class LecunNormal(_NamedScaling):
    """Truncated normal of standard deviation ``sqrt(1 / fan_in)``.

    LeCun et al., 1998: for selu.

    Examples
    --------
    >>> LecunNormal(seed=0)((4, 2)).shape
    (4, 2)
    """

    fixed = (1.0, "fan_in", "truncated_normal")


class Orthogonal(RandomInitializer):
    """Matrix with orthonormal rows or columns, whichever are fewer, times a factor.

    All axes but the last are flattened into rows. It is the Q of the QR decomposition of a
    normal random matrix, with the signs that make it uniform over all such matrices
    (Saxe et al., 2014).

    Parameters
    ----------
    gain : float
        The factor.
    seed : int, optional
        Seed of the values.

    Raises
    ------
    ValueError
        When called for a shape of fewer than two dimensions.

    Examples
    --------
    >>> w = Orthogonal(seed=0)((5, 3), "float64")
    >>> np.allclose(w.T @ w, np.eye(3))
    True
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Values of that shape, drawn from rng."""
        if len(shape) < 2:
            raise ValueError(f"Orthogonal needs at least two dimensions, got the shape {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        normal = rng.standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(normal)
        q *= np.sign(np.diagonal(r))
        return self.gain * (q if rows >= columns else q.T).reshape(shape)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {"gain": self.gain, **super().get_config()}


# Keras offers every class under its snake-case name, too, and two under older ones.
zeros = Zeros
ones = Ones
constant = Constant
identity = Identity
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
glorot_uniform = GlorotUniform
glorot_normal = GlorotNormal
he_uniform = HeUniform
he_normal = HeNormal
lecun_uniform = LecunUniform
lecun_normal = LecunNormal
orthogonal = Orthogonal
IdentityInitializer = Identity
OrthogonalInitializer = Orthogonal
STFTInitializer = STFT
stft = STFT


def compute_fans(
    shape: Sequence[int],
    input_axes: Sequence[int] | None = None,
    output_axes: Sequence[int] | None = None,
) -> tuple[int, int]:
    """Numbers of inputs and outputs that one weight array connects.

    A matrix is (inputs, outputs), a vector has its length as both, a convolution kernel is
    (..., input channels, output channels) and counts every position of its window.

    Parameters
    ----------
    shape : sequence of int
        Shape of the weights.
    input_axes, output_axes : sequence of int, optional
        Where both are given: the axes whose lengths are multiplied instead.

    Examples
    --------
    >>> compute_fans((784, 128)), compute_fans((3, 3, 8, 16))
    ((784, 128), (72, 144))
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[i] for i in input_axes), math.prod(shape[i] for i in output_axes)
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def get(identifier: InitializerLike) -> Any:
    """Initializer of a name, a configuration, a class, an instance, a function or an array.

    A function is called as ``f(shape, dtype=...)``. An array stands for itself and must have
    the shape of the weights. None gives None.

    Raises
    ------
    ValueError
        If the name is unknown or the identifier is none of these.

    Examples
    --------
    >>> get("zeros")((2,))
    array([0., 0.], dtype=float32)
    >>> get(np.array([1, 2]))((2,))
    array([1., 2.], dtype=float32)
    """
    if identifier is None:
        return None
    if isinstance(identifier, (np.ndarray, np.generic)):
        return _Given(identifier)
    return instantiate("initializer", identifier, _TABLE)


def _first_value(initializer: Any, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """What a `Variable` begins with; of floatx, if no dtype is given."""
    kept = kept_dtype(dtype or config.floatx())
    return np.array(get(initializer)(shape, kept), kept, order="C")


enter_initialize(_first_value)


def serialize(initializer: Any) -> Any:
    """Plain data in Keras's form, of which `deserialize` makes an equal object."""
    return serialized(initializer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """What `serialize` described, here or in Keras: as `get`.

    Parameters
    ----------
    config : dict or str
    custom_objects : mapping of str to class or function, optional
        Those of your own that are not registered.
    """
    return deserialized(config, custom_objects, get)


class _Given(Constant):
    """The user's own array, which must have the shape of the weights."""

    def __call__(self, shape: Sequence[int], dtype: DTypeLike | None = None) -> Array:
        """Copy of the array in that dtype."""
        if np.shape(self.value) != tuple(shape):
            raise ValueError(
                f"An array of shape {np.shape(self.value)} was given as initializer of weights "
                f"of shape {tuple(shape)}; the two must be the same"
            )
        return super().__call__(shape, dtype)


def _truncated_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Standard normal values from -2 to 2."""
    values = rng.standard_normal(math.prod(shape))
    beyond = np.flatnonzero(np.abs(values) > 2.0)
    while beyond.size:
        values[beyond] = rng.standard_normal(beyond.size)
        beyond = beyond[np.abs(values[beyond]) > 2.0]
    return values.reshape(shape)


_TABLE = {
    "zeros": Zeros,
    "ones": Ones,
    "constant": Constant,
    "identity": Identity,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
    "orthogonal": Orthogonal,
    "IdentityInitializer": Identity,
    "OrthogonalInitializer": Orthogonal,
    "STFT": STFT,
    "STFTInitializer": STFT,
    "stft": STFT,
    "zero": Zeros,
    "one": Ones,
    "normal": RandomNormal,
    "uniform": RandomUniform,
}


if not TYPE_CHECKING:  # which knows all names
    __getattr__ = door(__name__)
