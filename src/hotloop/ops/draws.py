"""Random numbers, with `keras.random`'s names: `hotloop.random` has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import config
from ..graph.ops.draws import drawn
from ..graph.trace import is_recording
from ..random import as_seed, next_key
from .choosing import argsort, take_along_axis
from .dtypes import name_of, narrowed
from .elements import add, cast, divide, greater_equal, log, multiply, negative, where
from .reductions import argmax
from .shaping import broadcast_to, expand_dims
from .tensors import (
    Tensor,
    array,
    batch_of,
    float_dtype,
    inner_axis,
    inner_shape,
    recorded,
    shape_of,
    symbolic,
    value,
)


class SeedGenerator:
    """A row of seeds: each call of a random function with it draws by the next one.

    Parameters
    ----------
    seed : int, optional
        At least 0; drawn from the library's generator if not given.
    name : str, optional

    Examples
    --------
    >>> one, other = SeedGenerator(3), SeedGenerator(3)
    >>> bool((normal((2,), seed=one) == normal((2,), seed=other)).all())
    True
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any) -> None:
        if kwargs:
            raise TypeError(f"SeedGenerator takes no argument {next(iter(kwargs))!r}")
        self.initial_seed = next_key() % 2**32 if seed is None else as_seed(seed)
        self.name = name or "seed_generator"
        self.count = 0

    def next(self, ordered: bool = True) -> int:
        """The next key, from 0 to 2**64 - 1."""
        self.count += 1
        words = np.random.SeedSequence((self.initial_seed, self.count)).generate_state(1, np.uint64)
        return int(words[0])

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs to make one that begins anew."""
        return {"seed": self.initial_seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        return cls(**config)


def _key_of(seed: Any, who: str) -> int:
    """The key that is next of a seed: the same one again of a whole number."""
    if seed is None:
        return next_key()
    if isinstance(seed, SeedGenerator):
        return seed.next()
    try:
        return as_seed(seed)
    except ValueError:
        raise ValueError(
            f"{who}: seed must be a whole number of at least 0, a SeedGenerator or None, not "
            f"{seed!r}"
        ) from None


def _drawing(
    who: str,
    shape: Any,
    dtype: str,
    seed: Any,
    draw: Callable[[np.random.Generator, tuple[int, ...]], Any],
) -> Any:
    """Random numbers of a shape: now, or in a call that is recorded, for each batch."""

    def numbers(of: tuple[int, ...]) -> Any:
        source = np.random.Generator(np.random.Philox(key=_key_of(seed, who)))
        return np.asarray(draw(source, of)).astype(dtype)

    like = batch_of(shape)
    if like is None and not is_recording():
        return numbers(tuple(shape) if isinstance(shape, list | tuple) else (shape,))
    dims, _ = inner_shape(shape, like, who)
    _key_of(seed if not isinstance(seed, SeedGenerator) else 0, who)  # that it is one
    return drawn(numbers, dims, dtype, like)


def _float(dtype: Any) -> str:
    return config.floatx() if dtype is None else narrowed(name_of(dtype))


@recorded
def normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None
) -> Any:
    """Normal numbers.

    Parameters
    ----------
    shape : tuple of int
        In a model, ``ops.shape(x)[0]`` as its first length is the batch.
    mean, stddev : float
    dtype : str, optional
        Of floats; `hotloop.config.floatx` if not given.
    seed : int or SeedGenerator, optional
        A whole number draws the same numbers each time; without one they are those of
        `hotloop.utils.set_random_seed`.

    Examples
    --------
    >>> normal((2, 3), seed=1).shape
    (2, 3)
    """
    kind = _float(dtype)
    found = _drawing("normal", shape, kind, seed, lambda source, of: source.normal(size=of))
    return add(multiply(found, stddev), mean)


@recorded
def truncated_normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None
) -> Any:
    """Normal numbers that are drawn again where they are over two stddev from the mean."""

    def draw(source: np.random.Generator, of: tuple[int, ...]) -> Any:
        found = np.asarray(source.normal(size=of))
        while (far := np.abs(found) > 2).any():
            found = np.where(far, source.normal(size=of), found)
        return found

    found = _drawing("truncated_normal", shape, _float(dtype), seed, draw)
    return add(multiply(found, stddev), mean)


@recorded
def uniform(
    shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None
) -> Any:
    """Numbers from minval up to maxval, all alike; whole ones of a whole dtype."""
    kind = _float(dtype)
    if not kind.startswith("float"):
        return randint(shape, minval, maxval, kind, seed)
    found = _drawing("uniform", shape, kind, seed, lambda source, of: source.random(of, np.float32))
    return add(multiply(found, maxval - minval), minval)


@recorded
def randint(shape: Any, minval: int, maxval: int, dtype: Any = "int32", seed: Any = None) -> Any:
    """Whole numbers from minval up to maxval, which is not among them."""
    low, high = int(minval), int(maxval)
    kind = narrowed(name_of(dtype))
    return _drawing("randint", shape, kind, seed, lambda source, of: source.integers(low, high, of))


@recorded
def gamma(shape: Any, alpha: Any, dtype: Any = None, seed: Any = None) -> Any:
    """Numbers of the gamma distribution with shape alpha, which is known, and scale 1."""
    a = array(alpha)
    return _drawing(
        "gamma", shape, _float(dtype), seed, lambda source, of: source.standard_gamma(a, of)
    )


@recorded
def beta(shape: Any, alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> Any:
    """Numbers of the beta distribution with alpha and beta, which are known."""
    a, b = array(alpha), array(beta)
    return _drawing("beta", shape, _float(dtype), seed, lambda source, of: source.beta(a, b, of))


@recorded
def binomial(
    shape: Any, counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None
) -> Any:
    """How many of so many tries succeed, each with a probability; both are known."""
    n, p = array(counts), array(probabilities)
    return _drawing(
        "binomial",
        shape,
        _float(dtype),
        seed,
        lambda source, of: source.binomial(n.astype(np.int64), p.astype(float), of),
    )


@recorded
def categorical(logits: Tensor, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Any:
    """Class numbers, drawn by logits (batch, classes): (batch, num_samples)."""
    kind = float_dtype(logits)
    scores = value(logits, kind) if symbolic(logits) else array(logits, kind)
    batch, classes = shape_of(scores)
    noise = uniform((batch, num_samples, classes), 1e-20, 1.0, kind, seed)
    gumbel = negative(log(negative(log(noise))))
    found = argmax(add(expand_dims(scores, 1), gumbel), axis=-1)
    return cast(found, dtype)


@recorded
def dropout(inputs: Tensor, rate: float, noise_shape: Any = None, seed: Any = None) -> Any:
    """Each number 0 with the probability `rate`, else divided by 1 - rate."""
    if not 0 <= rate < 1:
        raise ValueError(f"dropout: rate must be from 0 to below 1, not {rate!r}")
    kind = float_dtype(inputs)
    x = value(inputs, kind) if symbolic(inputs) else array(inputs, kind)
    if not rate:
        return x
    shape = shape_of(x)
    if noise_shape is not None:
        shape = tuple(
            n if given is None else given for n, given in zip(shape, noise_shape, strict=True)
        )
    kept = greater_equal(uniform(shape, dtype=kind, seed=seed), rate)
    return where(broadcast_to(kept, shape_of(x)), divide(x, 1.0 - rate), 0.0)


@recorded
def shuffle(x: Tensor, axis: int = 0, seed: Any = None) -> Any:
    """The parts along an axis in random order."""
    if not symbolic(x):
        source = np.random.Generator(np.random.Philox(key=_key_of(seed, "shuffle")))
        return source.permutation(array(x), axis=axis)
    x = value(x)
    at = inner_axis(x, axis, "shuffle")
    length = tuple(n if i == at else 1 for i, n in enumerate(x.dims))
    order = argsort(uniform((shape_of(x)[0], *length) if x.batched else length, seed=seed), axis)
    return take_along_axis(x, order, axis)


__all__ = [
    "SeedGenerator", "beta", "binomial", "categorical", "dropout", "gamma", "normal", "randint",
    "shuffle", "truncated_normal", "uniform",
]  # fmt: skip
