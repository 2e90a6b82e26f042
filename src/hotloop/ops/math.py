"""Special functions and Fourier transforms, as `keras.ops.math` has them."""

from __future__ import annotations

import math as _math
from typing import Any

import numpy as np

from ..backends.formulas import erf as _erf
from ..backends.functions import erfc as _erfc
from ..backends.functions import erfinv as _erfinv
from .core import stop_gradient
from .elements import add, exp, floats, isfinite, log, subtract, where
from .linalg import logdet
from .reductions import max as _max
from .reductions import sum as _sum
from .shaping import squeeze
from .tensors import Tensor, array, float_dtype, only_arrays, recorded, symbolic, value

erf = floats("erf", "The error function of x.", _erf)
erfc = floats("erfc", "1 - erf(x), without cancellation.", _erfc)
erfinv = floats("erfinv", "The number whose erf is x.", _erfinv)
rsqrt = floats("rsqrt", "1 / sqrt(x).", lambda x: 1 / np.sqrt(x))


@recorded
def logsumexp(x: Tensor, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) over axes, over all of them if None, without overflow.

    Examples
    --------
    >>> logsumexp([0.0, 0.0])
    array(0.6931472, dtype=float32)
    """
    dtype = float_dtype(x)
    x = value(x, dtype) if symbolic(x) else array(x, dtype)
    largest = stop_gradient(_max(x, axis, True))
    largest = where(isfinite(largest), largest, 0.0)
    found = add(log(_sum(exp(subtract(x, largest)), axis, True)), largest)
    if keepdims:
        return found
    if axis is None:
        return np.reshape(found, ()) if not symbolic(found) else squeeze(found)
    return squeeze(found, axis)


# ------------------------------------------------------------------------------- transforms


def _complex(x: Any, who: str) -> Any:
    only_arrays(who, x)
    real, imag = x
    return array(real, float_dtype(real)) + 1j * array(imag, float_dtype(imag))


def _parts(z: Any, like: Any) -> Any:
    kind = float_dtype(like)
    return z.real.astype(kind), z.imag.astype(kind)


@recorded
def fft(x: Any) -> Any:
    """The Fourier transform along the last axis, of real and imaginary parts; of arrays."""
    return _parts(np.fft.fft(_complex(x, "fft")), x[0])


@recorded
def fft2(x: Any) -> Any:
    """The Fourier transform along the last two axes; see `fft`."""
    return _parts(np.fft.fft2(_complex(x, "fft2")), x[0])


@recorded
def ifft2(x: Any) -> Any:
    """The inverse of `fft2`."""
    return _parts(np.fft.ifft2(_complex(x, "ifft2")), x[0])


@recorded
def rfft(x: Tensor, fft_length: int | None = None) -> Any:
    """The Fourier transform of real numbers along the last axis: real and imaginary parts."""
    only_arrays("rfft", x)
    return _parts(np.fft.rfft(array(x, float_dtype(x)), fft_length), x)


@recorded
def irfft(x: Any, fft_length: int | None = None) -> Any:
    """The inverse of `rfft`."""
    return np.fft.irfft(_complex(x, "irfft"), fft_length).astype(float_dtype(x[0]))


def _window(window: Any, length: int, fft_length: int, dtype: str) -> Any:
    """A window of so many numbers, in the middle of as many as a transform has."""
    if window is None:
        found = np.ones(length)
    elif isinstance(window, str):
        if window not in ("hann", "hamming"):
            raise ValueError(f"window must be 'hann', 'hamming', None or numbers, not {window!r}")
        turn = np.cos(2 * _math.pi * np.arange(length) / length)
        found = 0.5 - 0.5 * turn if window == "hann" else 0.54 - 0.46 * turn
    else:
        found = array(window)
        if found.shape != (length,):
            raise ValueError(f"window must have sequence_length, {length} numbers: {found.shape}")
    left = (fft_length - length) // 2
    return np.pad(found, (left, fft_length - length - left)).astype(dtype)


@recorded
def stft(
    x: Tensor,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    window: Any = "hann",
    center: bool = True,
) -> Any:
    """Fourier transforms of windows along the last axis: real and imaginary parts; of arrays.

    Parameters
    ----------
    x : array of shape (..., samples)
    sequence_length, sequence_stride, fft_length : int
        Of a window, between two of them, and of the transforms.
    window : {"hann", "hamming"} or array or None
    center : bool
        Whether the samples are continued at both ends, by reflection.
    """
    only_arrays("stft", x)
    kind = float_dtype(x)
    samples = array(x, kind)
    if center:
        widths = [(0, 0)] * (samples.ndim - 1) + [(fft_length // 2, fft_length // 2)]
        samples = np.pad(samples, widths, mode="reflect")
    shape = _window(window, sequence_length, fft_length, kind)
    starts = np.arange(0, samples.shape[-1] - fft_length + 1, sequence_stride)
    frames = samples[..., starts[:, None] + np.arange(fft_length)] * shape
    return _parts(np.fft.rfft(frames, fft_length), x)


@recorded
def istft(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> Any:
    """The samples whose `stft` is nearest to x."""
    frames = np.fft.irfft(_complex(x, "istft"), fft_length)
    shape = _window(window, sequence_length, fft_length, "float64")
    *lead, n, _ = frames.shape
    whole = fft_length + sequence_stride * (n - 1)
    total, weight = np.zeros((*lead, whole)), np.zeros(whole)
    for i in range(n):
        part = slice(i * sequence_stride, i * sequence_stride + fft_length)
        total[..., part] += frames[..., i, :] * shape
        weight[part] += shape * shape
    found = total / np.where(weight < 1e-10, 1.0, weight)
    first = fft_length // 2 if center else 0
    last = whole - first if center else whole
    last = last if length is None else first + length
    return found[..., first:last].astype(float_dtype(x[0]))


@recorded
def view_as_complex(x: Tensor) -> Any:
    """Pairs of real and imaginary parts along the last axis as complex numbers; of arrays."""
    only_arrays("view_as_complex", x)
    parts = array(x, float_dtype(x))
    if parts.shape[-1:] != (2,):
        raise ValueError(f"view_as_complex: the last axis must have 2 parts, not {parts.shape}")
    return (parts[..., 0] + 1j * parts[..., 1]).astype(
        "complex128" if parts.dtype == np.float64 else "complex64"
    )


@recorded
def view_as_real(x: Tensor) -> Any:
    """Real and imaginary parts along a new last axis; of arrays."""
    only_arrays("view_as_real", x)
    z = array(x)
    return np.stack([z.real, z.imag], -1)


__all__ = [
    "erf", "erfc", "erfinv", "fft", "fft2", "ifft2", "irfft", "istft", "logdet", "logsumexp",
    "rfft", "rsqrt", "stft", "view_as_complex", "view_as_real",
]  # fmt: skip
