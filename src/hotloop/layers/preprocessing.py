"""Layers that prepare raw inputs."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.adapters import as_array
from ..data.tables import is_table
from ..graph import ops
from ..graph.trace import Value
from ..masks import refuse_masks
from ..variables import Variable, first_values
from .base import Layer, Shape, check_count, check_has_features


class Rescaling(Layer):
    """``y = x * scale + offset``: pixels from 0 to 255 become numbers from 0 to 1, for one.

    Parameters
    ----------
    scale, offset : float
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        If one of them is no finite number.

    Examples
    --------
    >>> from hotloop.layers import Rescaling
    >>> Rescaling(0.5, offset=1.0)([[0, 2, 4]])
    array([[1., 2., 3.]], dtype=float32)
    """

    def __init__(self, scale: float, offset: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        for name, value in (("scale", scale), ("offset", offset)):
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(
                    f"{self.describe()}: {name} must be a finite number, not {value!r}"
                )
        self.scale = float(scale)
        self.offset = float(offset)

    def call(self, x: Value) -> Any:
        return ops.scale(x, self.scale, self.offset)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"scale": self.scale, "offset": self.offset}


class Normalization(Layer):
    """Shifts and scales numbers so that each feature has mean 0 and variance 1.

    ``y = (x - mean) / max(sqrt(variance), 1e-7)``, with the mean and variance that `adapt` found
    in data or that were given. They are weights that nobody trains: `mean`, `variance` and
    `count`, how many numbers each was found from.

    Parameters
    ----------
    axis : int, tuple of int or None
        The axes that keep a mean and variance for each of their positions, the batch being axis
        0; all others are averaged over. -1 is the features; None means a single mean and variance.
        Several axes must be neighbours.
    mean, variance : float or array-like, optional
        Both or none.
    invert : bool
        Whether to go back: ``y = x * max(sqrt(variance), 1e-7) + mean``.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        If only one of mean and variance is given or they have different shapes, for axes that the
        inputs do not have, and when used before it has a mean and variance.

    Examples
    --------
    >>> from hotloop.layers import Normalization
    >>> layer = Normalization()
    >>> layer.adapt([[1.0, 10.0], [3.0, 30.0]])
    >>> layer([[3.0, 20.0]])
    array([[1., 0.]], dtype=float32)
    """

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if axis is None:
            axis = ()
        self.axis = (int(axis),) if isinstance(axis, int | np.integer) else tuple(axis)
        if (mean is None) != (variance is None):
            raise ValueError(
                f"{self.describe()}: mean and variance must be given both, or neither, and then "
                "be found by adapt(data)"
            )
        if mean is not None and np.shape(mean) != np.shape(variance):
            raise ValueError(
                f"{self.describe()}: mean has shape {np.shape(mean)} but variance "
                f"{np.shape(variance)}"
            )
        refuse_masks(mean, f"{self.describe()}: mean")
        refuse_masks(variance, f"{self.describe()}: variance")
        self.input_mean = mean
        self.input_variance = variance
        self.invert = bool(invert)

    def build(self, input_shape: Shape) -> None:
        self._kept = self._axes(len(input_shape))
        shape: Any = tuple(input_shape[axis] for axis in self._kept)
        if None in shape:
            raise ValueError(
                f"{self.describe()}: axis={self.axis} asks for a mean at each place of an axis "
                f"whose length data decide, of inputs of shape {input_shape}; give Input its length"
            )
        found = self.input_mean is None
        given = (0.0, 1.0) if found else (self.input_mean, self.input_variance)
        try:
            numbers = [np.broadcast_to(np.asarray(part, self.dtype), shape) for part in given]
        except ValueError:
            raise ValueError(
                f"{self.describe()}: mean has shape {np.shape(self.input_mean)}, which does not "
                f"fit {shape}, the axes {self.axis} of inputs of shape {input_shape}"
            ) from None
        self.mean, self.variance = (
            self._made(first_values(functools.partial(np.copy, value), shape, self.dtype), name)
            for value, name in zip(numbers, ("mean", "variance"), strict=True)
        )
        if found:
            self.count = self._made(np.zeros((), np.int32), "count")
            self._weights += [self.mean, self.variance, self.count]

    def _made(self, value: Any, name: str) -> Variable:
        variable = Variable(value, name, trainable=False, row_axes=0)
        variable.path = f"{self.name}/{name}"
        return variable

    def _axes(self, rank: int) -> tuple[int, ...]:
        """The axes that are kept, as numbers from 1."""
        kept = sorted(axis if axis >= 0 else axis + rank for axis in self.axis)
        if any(not 0 <= axis < rank for axis in kept):
            raise ValueError(
                f"{self.describe()}: there is no axis {self.axis} in inputs of {rank} axes"
            )
        if 0 in kept:
            raise ValueError(
                f"{self.describe()}: axis {self.axis} of inputs of {rank} axes is the batch; give "
                "the inputs an axis of features, or pass axis=None"
            )
        if kept != list(range(kept[0], kept[-1] + 1) if kept else ()):
            raise ValueError(
                f"{self.describe()}: the axes that are kept must be neighbours, not {self.axis}"
            )
        return tuple(kept)

    def adapt(self, data: Any) -> None:
        """Finds mean and variance; what was found before is forgotten.

        Sums are taken in float64, and arrays are read a part at a time.

        Parameters
        ----------
        data : array-like or iterable of array-like
            Examples; a list or an iterator of arrays holds batches of them. Of a batch that is a
            tuple, as (x, y), the first is taken.

        Raises
        ------
        ValueError
            If there are no examples, for numbers that are not finite, for shapes that differ
            from those that the layer was built for, and if a mean was given when it was made.
        """
        if self.input_mean is not None:
            raise ValueError(
                f"{self.describe()} has the mean and variance that it was given; make a new layer "
                "without them to adapt it"
            )
        moments = None
        for batch in batches_of(data):
            if not self.built:
                self.build((None, *batch.shape[1:]))
            kept = self._axes(batch.ndim)
            if tuple(batch.shape[axis] for axis in kept) != self.mean.shape:
                raise ValueError(
                    f"{self.describe()} was built for {self.mean.shape} means, one for each "
                    f"position of the axes {self.axis}, but data have shape {batch.shape}"
                )
            for part in parts_of(batch):
                moments = _merged(moments, _moments(part, kept))
        if moments is None or not moments[0]:
            raise ValueError(f"{self.describe()}: adapt() got no examples")
        count, mean, square = moments
        if not np.isfinite(square).all():
            raise ValueError(
                f"{self.describe()}: the data hold numbers that are not finite (NaN or infinity); "
                "remove or fill them first"
            )
        self.mean.assign(mean)
        self.variance.assign(square / count)
        self.count.assign(min(count, np.iinfo(np.int32).max))

    def check_ready(self) -> None:
        # A file that Keras wrote has the count 0.
        if not self.built or self.input_mean is not None or self.count.numpy():
            return
        if not self.mean.numpy().any() and (self.variance.numpy() == 1).all():
            raise ValueError(
                f"{self.describe()} has no mean and variance yet: call its adapt(data) first, or "
                "give them when making it"
            )

    def call(self, x: Value) -> Any:
        kept = [axis - 1 for axis in self._axes(len(x.dims) + 1)]
        first, end = (kept[0], kept[-1] + 1) if kept else (0, 0)
        if x.dims[first:end] != self.mean.shape:
            raise ValueError(
                f"{self.describe()} was built for {self.mean.shape} means, one for each position "
                f"of the axes {self.axis}, got an input of shape {x.shape}"
            )
        view = ops.reshape(x, (math.prod(x.dims[:first]), self.mean.size, math.prod(x.dims[end:])))
        y = ops.standardize(view, self.mean, self.variance, invert=self.invert)
        return ops.reshape(y, x.dims)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "axis": list(self.axis),
            "mean": _listed(self.input_mean),
            "variance": _listed(self.input_variance),
            "invert": self.invert,
        }


class CategoryEncoding(Layer):
    """Turns category numbers into vectors that say which of them there are.

    Parameters
    ----------
    num_tokens : int
        How many categories there are: inputs are whole numbers from 0 to num_tokens - 1.
    output_mode : {"multi_hot", "one_hot", "count"}
        ``"one_hot"`` makes a vector of each number, with a 1 at its position: (batch, n) becomes
        (batch, n, num_tokens), and (batch, 1) becomes (batch, num_tokens). The others make one
        vector of all numbers along the axis behind the batch: ``"multi_hot"`` has a 1 for each
        that there is, ``"count"`` how often: (batch, n) becomes (batch, num_tokens), and
        (batch, n, m) becomes (batch, m, num_tokens).
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        For another num_tokens or output_mode, and, naming row and value, for numbers out of range.

    Examples
    --------
    >>> from hotloop.layers import CategoryEncoding
    >>> CategoryEncoding(4, output_mode="count")([[0, 1, 1], [3, 2, 0]])
    array([[1., 2., 0., 0.],
           [1., 0., 1., 1.]], dtype=float32)
    """

    def __init__(
        self,
        num_tokens: int | None = None,
        output_mode: str = "multi_hot",
        sparse: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.num_tokens = check_count(self, "num_tokens", num_tokens)
        check_output_mode(self, output_mode, ENCODINGS)
        check_dense(self, sparse)
        self.output_mode = output_mode

    def call(self, x: Value) -> Any:
        return encoded(self, x, self.num_tokens, self.output_mode)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "num_tokens": self.num_tokens,
            "output_mode": self.output_mode,
        }


class Discretization(Layer):
    """Turns numbers into the numbers of the bins that they fall into.

    Bin i holds what is at least boundary i - 1 and below boundary i; NaN falls into the last.
    In a model it must be called on one of the model's inputs: it works on whole arrays, before
    the model runs.

    Parameters
    ----------
    bin_boundaries : sequence of float, optional
        In increasing order: one fewer than there are bins.
    num_bins : int, optional
        How many bins `adapt` makes of about equally many examples each; if no boundaries are given.
    epsilon : float
        The error of those quantiles, as a share of the examples.
    output_mode : {"int", "one_hot", "multi_hot", "count"}
        The bins' numbers, or vectors as `CategoryEncoding` makes them.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        Unless either boundaries or a number of bins is given, for another output_mode, and when
        used before it has boundaries.

    Examples
    --------
    >>> from hotloop.layers import Discretization
    >>> Discretization([0.0, 1.0, 2.0])([[-1.5, 1.0, 3.4, 0.5]])
    array([[0, 2, 3, 1]], dtype=int32)
    """

    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if (bin_boundaries is None) == (num_bins is None):
            raise ValueError(
                f"{self.describe()}: give either bin_boundaries or num_bins, and then call "
                "adapt(data)"
            )
        check_output_mode(self, output_mode, ("int", *ENCODINGS))
        check_dense(self, sparse)
        self.num_bins = None if num_bins is None else check_count(self, "num_bins", num_bins)
        self.epsilon = epsilon
        self.output_mode = output_mode
        self.bin_boundaries = None if bin_boundaries is None else self._ordered(bin_boundaries)

    def _ordered(self, boundaries: Sequence[float]) -> list[float]:
        found = [float(boundary) for boundary in boundaries]
        if not found or not all(a < b for a, b in itertools.pairwise(found)):
            raise ValueError(
                f"{self.describe()}: bin_boundaries must be numbers in increasing order, not "
                f"{boundaries!r}"
            )
        return found

    def adapt(self, data: Any) -> None:
        """Finds the boundaries of bins that hold about equally many numbers each.

        Parameters
        ----------
        data : array-like or iterable of array-like
            As `Normalization.adapt`.

        Raises
        ------
        ValueError
            If the boundaries were given when the layer was made, and if there are no numbers.
        """
        if self.num_bins is None:
            raise ValueError(
                f"{self.describe()} has the boundaries that it was given; make a new layer with "
                "num_bins to adapt it"
            )
        summary = np.zeros((2, 0))
        for batch in batches_of(data):
            values = np.sort(batch.astype(np.float32), axis=None)
            if len(values):
                step = max(len(values) * self.epsilon, 1.0)
                kept = values[int(step - 1) :: int(step)]
                part = np.stack([kept, np.full(len(kept), step)])
                joined = np.concatenate([part, summary], axis=1)
                order = np.argsort(joined[0], kind="stable")
                summary = _summary(joined[:, order], self.epsilon)
        if summary.size == 0:
            raise ValueError(f"{self.describe()}: adapt() got no numbers")
        boundaries = _summary(summary, 1.0 / self.num_bins)[0, :-1]
        self.bin_boundaries = boundaries.tolist()

    def check_ready(self) -> None:
        if self.bin_boundaries is None:
            raise ValueError(
                f"{self.describe()} has no boundaries yet: call its adapt(data) first, or give "
                "bin_boundaries when making it"
            )

    def prepare(self, array: NDArray[Any]) -> NDArray[Any]:
        """The bins' numbers, of an array of numbers."""
        self.check_ready()
        bins: NDArray[Any] = np.digitize(array, np.asarray(self.bin_boundaries))
        return bins.astype(np.int32)

    def __call__(self, x: Any, training: Any = None) -> Any:
        if isinstance(x, Value) or self.output_mode != "int":
            return super().__call__(x, training=training)
        array = as_array(x, "x")
        check_has_features(self, array.shape)
        return self.prepare(array)

    def call(self, x: Value) -> Any:
        y = prepared(self, x, self.prepare)
        if self.output_mode == "int":
            return y
        self.check_ready()
        assert self.bin_boundaries is not None
        return encoded(self, y, len(self.bin_boundaries) + 1, self.output_mode)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "bin_boundaries": self.bin_boundaries,
            "num_bins": self.num_bins,
            "epsilon": self.epsilon,
            "output_mode": self.output_mode,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Discretization:
        boundaries, given = config.get("bin_boundaries"), dict(config)
        if config.get("num_bins") is not None:
            given["bin_boundaries"] = None
        layer = cls(**given)
        layer.bin_boundaries = boundaries
        return layer


# ------------------------------------------------------------------------ encodings

ENCODINGS = ("one_hot", "multi_hot", "count")


def check_output_mode(layer: Layer, given: Any, modes: Sequence[str]) -> None:
    """That an output_mode is one of these; ValueError otherwise."""
    if given not in modes:
        names = ", ".join(repr(mode) for mode in modes)
        raise ValueError(f"{layer.describe()}: output_mode must be one of {names}, not {given!r}")


def check_dense(layer: Layer, sparse: Any) -> None:
    """That no sparse output is asked for; ValueError otherwise."""
    if sparse:
        raise ValueError(f"{layer.describe()}: sparse=True is not supported; outputs are dense")


def prepared(layer: Layer, x: Value, function: Callable[[NDArray[Any]], NDArray[Any]]) -> Value:
    """What a function of whole arrays makes of a model's input, one number for each element."""
    source, _ = ops.source_of(x)
    if source.role != "input":
        raise ValueError(
            f"{layer.describe()} looks its input up before the model runs, so it must be called "
            "on one of the model's inputs, not on what other layers compute"
        )
    return ops.prepare(x, function, x.dims)


def encoded(layer: Layer, x: Value, depth: int, mode: str, *, least: int = 0) -> Value:
    """Category numbers as vectors; numbers below 0, where there may be any, are in none."""
    if mode == "one_hot":
        if x.dims[-1:] != (1,):
            x = ops.reshape(x, (*x.dims, 1))
    elif not x.dims:
        raise ValueError(
            f"{layer.describe()} makes one vector of the numbers along the axis behind the batch, "
            f"so inputs must have one besides the batch: shape (batch, n), not {x.shape}"
        )
    else:
        x = ops.permute(x, (*range(1, len(x.dims)), 0))
    return ops.encode(x, depth, layer.describe(), counts=mode == "count", least=least)


# ----------------------------------------------------------------------------- data

_CHUNK = 1 << 20  # numbers that are worked on at once: bounds the memory that they take

Moments = tuple[int, NDArray[np.float64], NDArray[np.float64]]  # count, mean, sum of squares


def batches_of(data: Any, *, text: bool = False, missing: bool = False) -> Iterator[NDArray[Any]]:
    """The batches of what adapt() is given: an array is one, a list of arrays holds several."""
    several = isinstance(data, list | tuple) and any(
        isinstance(part, np.ndarray) or is_table(part) for part in data
    )
    is_array = is_table(data) or any(
        hasattr(data, name) for name in ("__array__", "to_numpy", "dtype")
    )
    if not several and (is_array or isinstance(data, list | tuple | str | int | float)):
        data = [data]
    elif not hasattr(data, "__iter__"):
        raise TypeError(
            f"adapt() takes an array or an iterable of arrays, not {type(data).__name__}"
        )
    for batch in data:
        first = batch[0] if isinstance(batch, tuple) and batch else batch
        array = as_array(first, "data", text=text, missing=missing)
        if array.ndim == 0:
            raise ValueError("adapt() takes arrays of examples, not single numbers")
        yield array


def parts_of(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """An array, a few rows at a time."""
    rows = max(1, _CHUNK // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def _moments(array: NDArray[Any], kept: Sequence[int]) -> Moments:
    """Of the numbers at each position of the axes that are kept."""
    over = tuple(axis for axis in range(array.ndim) if axis not in kept)
    count = math.prod(array.shape[axis] for axis in over)
    wide = array.astype(np.float64)
    with np.errstate(invalid="ignore"):
        mean = wide.mean(axis=over, keepdims=True)
        square = ((wide - mean) ** 2).sum(axis=over)
    return count, mean.reshape(square.shape), square


def _merged(a: Moments | None, b: Moments) -> Moments:
    """The moments of two parts together (Chan et al., 1983)."""
    if a is None:
        return b
    count = a[0] + b[0]
    apart = b[1] - a[1]
    mean = a[1] + apart * (b[0] / count)
    return count, mean, a[2] + b[2] + apart**2 * (a[0] * b[0] / count)


def _summary(summary: NDArray[Any], epsilon: float) -> NDArray[Any]:
    """Values and weights (2, n), brought down to 1 / epsilon values at even steps of the weight."""
    if summary.shape[1] * epsilon < 1:
        return summary
    wanted = epsilon + np.arange(0.0, 1.0, epsilon)
    weight = summary[1].cumsum()
    share = weight / weight[-1]
    values = np.interp(wanted, share, summary[0])
    weights = np.diff(np.interp(wanted, share, weight), prepend=0.0)
    return np.stack([values, weights]).astype(np.float32)


def _listed(given: Any) -> Any:
    """Numbers as JSON can hold them."""
    return None if given is None else np.asarray(given).tolist()
