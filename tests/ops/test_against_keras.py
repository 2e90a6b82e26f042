"""`hotloop.ops` beside `keras.ops`: each name, on arrays, recorded, and differentiated."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from recorded import gradients, record, run

from hotloop import backends, ops, random

keras = pytest.importorskip("keras")
torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
B = 3


def f(*shape: int) -> Any:
    """Numbers that are apart from each other and from kinks."""
    size = int(np.prod(shape))
    return (RNG.permutation(size).reshape(shape) * (4.0 / size) - 1.93).astype("float32")


def p(*shape: int) -> Any:
    return RNG.uniform(0.2, 0.9, shape).astype("float32")


def i(*shape: int) -> Any:
    return RNG.integers(1, 4, shape).astype("int32")


def b(*shape: int) -> Any:
    return RNG.integers(0, 2, shape).astype(bool)


def definite(n: int = 3) -> Any:
    a = RNG.normal(size=(B, n, n))
    return (a @ a.transpose(0, 2, 1) + 2 * np.eye(n)).astype("float32")


class Case:
    """A function of a module of ops and arrays, whose first axis is that of examples."""

    def __init__(self, name: str, function: Callable[..., Any], *arrays: Any) -> None:
        self.name, self.function, self.arrays = name, function, arrays


CASES: list[Case] = []
W = np.arange(8, dtype="float32").reshape(4, 2)


def case(name: str, *arrays: Any, call: Callable[..., Any] | None = None) -> None:
    plain = lambda m, *given: getattr(m, name)(*given)  # noqa: E731
    CASES.append(Case(name, call or plain, *arrays))


for _name in [
    "abs",
    "absolute",
    "ceil",
    "cos",
    "cosh",
    "exp",
    "exp2",
    "expm1",
    "fabs",
    "floor",
    "negative",
    "sign",
    "sin",
    "sinh",
    "square",
    "tan",
    "tanh",
    "trunc",
    "arcsinh",
    "arctan",
    "cbrt",
    "sinc",
    "deg2rad",
    "rad2deg",
    "round",
    "nan_to_num",
    "real",
    "conj",
    "conjugate",
    "erf",
    "erfc",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "swish",
    "softplus",
    "softsign",
    "log_sigmoid",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "tanh_shrink",
    "sparse_plus",
    "sparse_sigmoid",
    "leaky_relu",
    "elu",
    "celu",
    "gelu",
    "hard_shrink",
    "soft_shrink",
    "squareplus",
    "glu",
    "softmax",
    "log_softmax",
    "normalize",
    "layer_normalization",
    "rms_normalization",
    "zeros_like",
    "ones_like",
    "sum",
    "mean",
    "var",
    "std",
    "reciprocal",
    "isnan",
    "isinf",
    "isfinite",
    "isposinf",
    "isneginf",
    "signbit",
    "logical_not",
    "copy",
]:
    case(_name, f(B, 2, 4))
for _name in [
    "log",
    "log2",
    "log10",
    "log1p",
    "sqrt",
    "rsqrt",
    "arcsin",
    "arccos",
    "arctanh",
    "erfinv",
]:
    case(_name, p(B, 2, 4))
case("arccosh", p(B, 4) + np.float32(1))
for _name in ["any", "all", "count_nonzero"]:
    for _axis in (1, None):
        case(_name, b(B, 4), call=lambda m, x, n=_name, a=_axis: getattr(m, n)(x, axis=a))
for _name in [
    "add",
    "subtract",
    "multiply",
    "divide",
    "true_divide",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "mod",
    "fmod",
    "arctan2",
    "hypot",
    "logaddexp",
    "logaddexp2",
    "power",
]:
    case(_name, p(B, 2, 4), f(B, 2, 4) + np.float32(0.05))
    case(_name, p(B, 2, 4), p(B, 1, 4))
    case(_name, i(B, 4), i(B, 4))
    case(_name, p(B, 4), call=lambda m, x, n=_name: getattr(m, n)(x, 2.0))
    case(_name, p(B, 4), call=lambda m, x, n=_name: getattr(m, n)(1.5, x))
    case(_name, p(B, 4), call=lambda m, x, n=_name: getattr(m, n)(x, W[:, 1]))
for _name in [
    "floor_divide",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "left_shift",
    "right_shift",
    "bitwise_left_shift",
    "bitwise_right_shift",
    "gcd",
    "lcm",
]:
    case(_name, i(B, 4), i(B, 4))
for _name in ["bitwise_not", "bitwise_invert"]:
    case(_name, i(B, 4))
for _name in [
    "sum",
    "mean",
    "max",
    "min",
    "amax",
    "amin",
    "prod",
    "var",
    "std",
    "logsumexp",
    "median",
    "ptp",
    "nansum",
    "nanprod",
    "nanmax",
    "nanmin",
    "nanmean",
]:
    for _axis in (1, -1):
        case(_name, f(B, 3, 4), call=lambda m, x, n=_name, a=_axis: getattr(m, n)(x, axis=a))
        case(
            _name,
            f(B, 3, 4),
            call=lambda m, x, n=_name, a=_axis: getattr(m, n)(x, axis=a, keepdims=True),
        )
for _name in ["sum", "mean", "var", "std"]:
    case(_name, f(B, 3, 4), call=lambda m, x, n=_name: getattr(m, n)(x, axis=0))
    case(_name, f(B, 3, 4), call=lambda m, x, n=_name: getattr(m, n)(x, axis=(0, 2), keepdims=True))
    case(_name, f(B, 3, 4), call=lambda m, x, n=_name: getattr(m, n)(x, axis=(1, 2)))
for _name in ["sum", "max", "prod", "mean"]:
    case(_name, i(B, 4), call=lambda m, x, n=_name: getattr(m, n)(x, axis=1))
for _name in ["argmax", "argmin", "argsort", "cumsum", "cumprod", "sort"]:
    for _axis in (1, -1):
        case(_name, f(B, 3, 4), call=lambda m, x, n=_name, a=_axis: getattr(m, n)(x, axis=a))

case("reshape", f(B, 2, 4), call=lambda m, x: m.reshape(x, (-1, 8)))
case("shape", f(B, 2, 4), call=lambda m, x: m.reshape(x, (m.shape(x)[0], 4, 2)))
case("expand_dims", f(B, 4), call=lambda m, x: m.expand_dims(x, 1))
case("squeeze", f(B, 1, 4), call=lambda m, x: m.squeeze(x, 1))
case("transpose", f(B, 2, 4), call=lambda m, x: m.transpose(x, (0, 2, 1)))
case("swapaxes", i(B, 2, 4), call=lambda m, x: m.swapaxes(x, 1, 2))
case("moveaxis", f(B, 2, 4), call=lambda m, x: m.moveaxis(x, 1, -1))
case("broadcast_to", f(B, 1, 4), call=lambda m, x: m.broadcast_to(x, (m.shape(x)[0], 2, 4)))
_all = slice(None)
for _key in (
    (_all, -1),
    (_all, slice(1, None)),
    (_all, _all, slice(None, None, 2)),
    (Ellipsis, None),
    (_all, None),
    (_all, 0, slice(1, 3)),
    (Ellipsis, 0),
):
    case("get_item", f(B, 3, 4), call=lambda m, x, k=_key: m.get_item(x, k))
case("slice", f(B, 4), call=lambda m, x: m.slice(x, (0, 1), (B, 2)))
case("flip", f(B, 3, 4), call=lambda m, x: m.flip(x, 1))
case("fliplr", f(B, 3, 4))
case("roll", f(B, 3, 4), call=lambda m, x: m.roll(x, 2, 1))
case("tile", f(B, 2, 4), call=lambda m, x: m.tile(x, (1, 2, 1)))
case("repeat", f(B, 3, 4), call=lambda m, x: m.repeat(x, 2, axis=1))
case("pad", f(B, 2, 4), call=lambda m, x: m.pad(x, ((0, 0), (1, 0), (0, 2)), constant_values=2.0))
case("pad", f(B, 2, 4), call=lambda m, x: m.pad(x, ((0, 0), (0, 0), (1, 2)), mode="reflect"))
case("concatenate", f(B, 2, 4), f(B, 3, 4), call=lambda m, x, y: m.concatenate([x, y, x], 1))
case("append", f(B, 2, 4), f(B, 3, 4), call=lambda m, x, y: m.append(x, y, 1))
case("stack", f(B, 4), f(B, 4), call=lambda m, x, y: m.stack([x, y, x], 1))
case("hstack", f(B, 2), f(B, 3), call=lambda m, x, y: m.hstack([x, y]))
case("dstack", f(B, 2, 1), f(B, 2, 2), call=lambda m, x, y: m.dstack([x, y]))
case("split", f(B, 2, 4), call=lambda m, x: m.split(x, 2, axis=-1)[1])
case("array_split", f(B, 5), call=lambda m, x: m.array_split(x, 2, axis=1)[1])
case("hsplit", f(B, 4), call=lambda m, x: m.hsplit(x, 2)[1])
case("dsplit", f(B, 2, 4), call=lambda m, x: m.dsplit(x, 2)[1])
case("unstack", f(B, 3, 4), call=lambda m, x: m.unstack(x, axis=1)[1])
case("tril", f(B, 3, 4))
case("triu", f(B, 3, 4), call=lambda m, x: m.triu(x, 1))
case("diagonal", f(B, 3, 3), call=lambda m, x: m.diagonal(x, 0, 1, 2))
case("trace", f(B, 3, 3), call=lambda m, x: m.trace(x, 0, 1, 2))
case("diff", f(B, 3, 4), call=lambda m, x: m.diff(x, axis=1))
case("rot90", f(B, 3, 4), call=lambda m, x: m.rot90(x, 1, (1, 2)))
case("top_k", f(B, 4), call=lambda m, x: m.top_k(x, 2)[0])
case("top_k", f(B, 4), call=lambda m, x: m.top_k(x, 2)[1])
case("take", f(B, 3, 4), call=lambda m, x: m.take(x, [0, 2], axis=1))
case("take", i(B, 3), call=lambda m, x: m.take(W, x, axis=0))
case("take_along_axis", f(B, 4, 2), call=lambda m, x: m.take_along_axis(x, m.argsort(x, 1), 1))
case("one_hot", i(B, 3), call=lambda m, x: m.one_hot(x, 4))
case("multi_hot", i(B, 3), call=lambda m, x: m.multi_hot(x, 4))
case("in_top_k", i(B), f(B, 4), call=lambda m, t, x: m.in_top_k(t, x, 2))
case("segment_sum", f(B, 4), i(B), call=lambda m, x, n: m.segment_sum(x, n, num_segments=4))
case("matmul", f(B, 4), call=lambda m, x: m.matmul(x, W))
case("matmul", f(B, 4), call=lambda m, x: m.matmul(x, W[:, 0]))
case("matmul", f(B, 2, 2, 4), f(B, 1, 4, 3))
case("matmul", f(B, 4, 4), call=lambda m, x: m.matmul(W.T, x))
case("dot", f(B, 2, 4), call=lambda m, x: m.dot(x, W))
case("tensordot", f(B, 2, 4), call=lambda m, x: m.tensordot(x, W, 1))
for _letters, _x, _y in (
    ("bij,bkj->bik", f(B, 2, 4), f(B, 3, 4)),
    ("bqhd,bkhd->bhqk", f(B, 2, 3, 4), f(B, 5, 3, 4)),
    ("bi,bi->b", f(B, 4), f(B, 4)),
    ("bi,bj->ij", f(B, 4), f(B, 3)),
):
    case("einsum", _x, _y, call=lambda m, x, y, s=_letters: m.einsum(s, x, y))
case("einsum", f(B, 3, 3), call=lambda m, x: m.einsum("bii->bi", x))
case("einsum", f(B, 2, 4), call=lambda m, x: m.einsum("...i,ij->...j", x, W))
case("cdist", f(B, 2, 4), f(B, 3, 4))
case("trapezoid", f(B, 4))
for _name in ["det", "inv", "cholesky", "logdet"]:
    case(_name, definite())
case("slogdet", definite(), call=lambda m, x: m.slogdet(x)[1])
case("solve", definite(), f(B, 3, 2))
case("solve_triangular", definite(), f(B, 3, 2))
case("eigh", definite(), call=lambda m, x: m.eigh(x)[0])
case("eigh", definite(), call=lambda m, x: m.abs(m.eigh(x)[1]))
case("svd", f(B, 3, 4), call=lambda m, x: m.svd(x, compute_uv=False))
for _part in (0, 2):
    case("svd", f(B, 4, 3), call=lambda m, x, k=_part: m.abs(m.svd(x, full_matrices=False)[k]))
for _part in (0, 1):
    case("qr", f(B, 4, 3), call=lambda m, x, k=_part: m.abs(m.qr(x)[k]))
for _ord in (None, 1, 2, 3, np.inf):
    case("norm", f(B, 4), call=lambda m, x, o=_ord: m.norm(x, ord=o, axis=1))
for _ord in ("fro", 1, np.inf, 2, "nuc"):
    case("norm", f(B, 3, 4), call=lambda m, x, o=_ord: m.norm(x, ord=o, axis=(1, 2)))
case("clip", f(B, 4), call=lambda m, x: m.clip(x, -0.5, 0.5))
case("where", b(B, 4), f(B, 4), f(B, 4))
case("where", b(B, 4), i(B, 4), call=lambda m, c, x: m.where(c, x, 1))
case("select", b(B, 4), f(B, 4), call=lambda m, c, x: m.select([c], [x], 5.0))
case("isclose", f(B, 4), call=lambda m, x: m.isclose(x, x * 1.000001))
case("divide_no_nan", f(B, 4), p(B, 4))
case("cast", f(B, 4), call=lambda m, x: m.cast(x, "int32"))
case("saturate_cast", f(B, 4), call=lambda m, x: m.saturate_cast(x * 300, "uint8"))
for _logits in (False, True):
    case(
        "binary_crossentropy",
        p(B, 4),
        p(B, 4),
        call=lambda m, t, x, g=_logits: m.binary_crossentropy(t, x, g),
    )
    case(
        "categorical_crossentropy",
        p(B, 4),
        p(B, 4),
        call=lambda m, t, x, g=_logits: m.categorical_crossentropy(t, x, g),
    )
    case(
        "sparse_categorical_crossentropy",
        i(B),
        p(B, 4),
        call=lambda m, t, x, g=_logits: m.sparse_categorical_crossentropy(t, x, g),
    )
case("moments", f(B, 2, 4), call=lambda m, x: m.moments(x, [0, 1])[1])
case("softmax", f(B, 3, 4), call=lambda m, x: m.softmax(x, axis=(1, 2)))
case(
    "batch_normalization",
    f(B, 2, 4),
    call=lambda m, x: m.batch_normalization(x, W[:, 0], W[:, 1], -1),
)
case(
    "dot_product_attention",
    f(B, 3, 2, 4),
    f(B, 5, 2, 4),
    call=lambda m, q, k: m.dot_product_attention(q, k, k),
)
case(
    "dot_product_attention",
    f(B, 3, 2, 4),
    call=lambda m, q: m.dot_product_attention(q, q, q, is_causal=True),
)
case("threshold", f(B, 4), call=lambda m, x: m.threshold(x, 0.1, 5.0))
case("space_to_depth", f(B, 4, 4, 2), call=lambda m, x: m.space_to_depth(x, 2))
case("depth_to_space", f(B, 2, 2, 8), call=lambda m, x: m.depth_to_space(x, 2))
case("extract_sequences", f(B, 4), call=lambda m, x: m.extract_sequences(x, 2, 1))
case("quantile", f(B, 4), call=lambda m, x: m.quantile(x, 0.3, axis=1))
case("percentile", f(B, 4), call=lambda m, x: m.percentile(x, 30.0, axis=1))
case("associative_scan", f(B, 4), call=lambda m, x: m.associative_scan(m.add, x, axis=1))
case("searchsorted", f(B, 4), call=lambda m, x: m.searchsorted(m.convert_to_tensor(W[:, 0]), x))
case("digitize", f(B, 4), call=lambda m, x: m.digitize(x, m.convert_to_tensor(W[:, 0])))
case("isin", i(B, 4), call=lambda m, x: m.isin(x, [1, 2]))
case("zeros", f(B, 4), call=lambda m, x: m.add(x, m.zeros((m.shape(x)[0], 4))))
case("ones", f(B, 4), call=lambda m, x: m.add(x, m.ones((m.shape(x)[0], 4))))
case(
    "slice_update", f(B, 4), call=lambda m, x: m.slice_update(x, (0, 1), m.ones((m.shape(x)[0], 2)))
)
case("fori_loop", f(B, 4), call=lambda m, x: m.fori_loop(0, 3, lambda _, v: v * x, x))
case("vectorized_map", f(B, 4), call=lambda m, x: m.vectorized_map(lambda v: m.sum(v * v), x))
case("full_like", f(B, 4), call=lambda m, x: m.full_like(x, 2))
case("average", f(B, 4), call=lambda m, x: m.average(x, axis=1, weights=W[:, 1]))


@pytest.mark.parametrize("given", CASES, ids=lambda given: given.name)
def test_values_and_gradients_are_keras_s(given: Case) -> None:
    tensors = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in given.arrays]
    expected = given.function(keras.ops, *tensors)
    dtype = {"int64": "int32"}.get(str(expected.dtype).removeprefix("torch."))
    dtype = dtype or str(expected.dtype).removeprefix("torch.")
    if given.name not in ("vectorized_map", "fori_loop"):  # * of arrays is NumPy's
        found = given.function(ops, *given.arrays)
        np.testing.assert_allclose(found, expected.detach().numpy(), 1e-4, 1e-4)
        assert np.asarray(found).dtype == dtype
    y, feeds = record(lambda *values: given.function(ops, *values), given.arrays)
    assert y.dtype == dtype
    kept, slopes = [y], []
    if expected.requires_grad:
        dy = np.random.default_rng(1).normal(size=tuple(expected.shape)).astype("float32")
        found_slopes, feeds = gradients(y, feeds, dy)
        expected.backward(torch.tensor(dy))
        slopes = [t.grad.numpy() for t in tensors if t.grad is not None]
        if not any(slope.any() for slope in slopes):  # flat: there is none here
            slopes = slopes[: len(found_slopes)]
        assert len(found_slopes) == len(slopes)
        kept += found_slopes
    for backend in ("numpy", "cython"):
        if not backends.available(backend):
            continue
        for got, wanted in zip(
            run(kept, feeds, backend), [expected.detach().numpy(), *slopes], strict=True
        ):
            np.testing.assert_allclose(got, wanted, 2e-3, 2e-4)


x, y, m = f(3, 4), f(3, 4), f(2, 3, 3)
ON_ARRAYS: dict[str, Callable[[Any], Any]] = {
    "allclose": lambda k: k.allclose(x, x),
    "angle": lambda k: k.angle(x),
    "arange": lambda k: k.arange(1.0, 2.0, 0.25),
    "array": lambda k: k.array([1, 2]),
    "bartlett": lambda k: k.bartlett(5),
    "bincount": lambda k: k.bincount(i(6)[:3] * 0 + 2),
    "blackman": lambda k: k.blackman(5),
    "corrcoef": lambda k: k.corrcoef(x),
    "correlate": lambda k: k.correlate(x[0], y[0, :2], mode="full"),
    "cholesky_inverse": lambda k: k.cholesky_inverse(
        np.linalg.cholesky(m @ m.swapaxes(1, 2) + np.eye(3, dtype="float32"))
    ),
    "cond": lambda k: k.cond(k.array(True), lambda: k.array(1.0), lambda: k.array(2.0)),
    "convert_to_numpy": lambda k: k.convert_to_numpy(x),
    "convert_to_tensor": lambda k: k.convert_to_tensor([1.0, 2.0]),
    "diag": lambda k: k.diag(x),
    "diagflat": lambda k: k.diagflat(x),
    "dtype": lambda k: k.convert_to_numpy(k.array(x)).dtype == k.dtype(x),
    "eig": lambda k: k.convert_to_numpy(k.eig(m)[0]).real.sum(),
    "empty": lambda k: k.shape(k.empty((2, 3))),
    "empty_like": lambda k: k.shape(k.empty_like(x)),
    "eye": lambda k: k.eye(3, 4, 1),
    "fft": lambda k: k.fft((x, y))[1],
    "fft2": lambda k: k.fft2((m, m))[0],
    "flipud": lambda k: k.flipud(x),
    "full": lambda k: k.full((2,), 3.0),
    "geomspace": lambda k: k.geomspace(1, 8, 4),
    "hamming": lambda k: k.hamming(5),
    "hanning": lambda k: k.hanning(5),
    "heaviside": lambda k: k.heaviside(x, y),
    "histogram": lambda k: k.histogram(x[0], range=(-3.0, 3.0))[0],
    "i0": lambda k: k.i0(x),
    "identity": lambda k: k.identity(3),
    "ifft2": lambda k: k.ifft2((m, m))[0],
    "inner": lambda k: k.inner(x, y),
    "irfft": lambda k: k.irfft((x, y)),
    "is_tensor": lambda k: k.is_tensor(k.array(x)),
    "isreal": lambda k: k.isreal(x),
    "kaiser": lambda k: k.kaiser(5, 3.0),
    "kron": lambda k: k.kron(x, y),
    "ldexp": lambda k: k.ldexp(x, np.arange(4)),
    "linspace": lambda k: k.linspace(x, y, 3),
    "logspace": lambda k: k.logspace(0, 1, 5),
    "lstsq": lambda k: k.lstsq(x, y),
    "lu_factor": lambda k: k.lu_factor(m)[0],
    "map": lambda k: k.map(lambda v: k.sum(v), k.array(x)),
    "matrix_rank": lambda k: k.matrix_rank(x),
    "meshgrid": lambda k: k.meshgrid(x[0], y[0])[1],
    "ndim": lambda k: k.ndim(x),
    "nextafter": lambda k: k.nextafter(x, y),
    "nonzero": lambda k: k.nonzero(b(4) * 0 + np.array([0, 1, 1, 0]))[0],
    "outer": lambda k: k.outer(x, y),
    "pinv": lambda k: k.pinv(x),
    "polar": lambda k: k.convert_to_numpy(k.polar(np.abs(x), y)).imag,
    "psnr": lambda k: k.psnr(x, y, 2.0),
    "ravel": lambda k: k.ravel(x),
    "rfft": lambda k: k.rfft(x, 6)[1],
    "scan": lambda k: k.scan(lambda c, v: (c + v, c * v), k.array(0.0), k.array(x[0]))[1],
    "scatter": lambda k: k.scatter([[0], [2], [0]], [1.0, 2.0, 3.0], (4,)),
    "scatter_update": lambda k: k.scatter_update(x, [[0, 1], [2, 2]], [1.0, 2.0]),
    "segment_max": lambda k: k.segment_max(x, np.array([0, 1, 0]), num_segments=3),
    "segment_min": lambda k: k.segment_min(x, np.array([0, 1, 0]), num_segments=3),
    "segment_prod": lambda k: k.segment_prod(x, np.array([0, 1, 0]), num_segments=3),
    "size": lambda k: k.size(x),
    "stft": lambda k: k.stft(np.tile(x, (1, 16)), 8, 4, 16)[0],
    "stop_gradient": lambda k: k.stop_gradient(k.array(x)),
    "switch": lambda k: k.switch(k.array(1), [lambda v: v, lambda v: v * 2], k.array(x)),
    "tri": lambda k: k.tri(3, 4),
    "unique": lambda k: k.unique(np.array([3, 1, 3])),
    "unravel_index": lambda k: k.unravel_index(np.array([3, 5]), (3, 4))[1],
    "vander": lambda k: k.vander(x[0]),
    "vdot": lambda k: k.vdot(x[0], y[0]),
    "vectorize": lambda k: k.vectorize(lambda v: v * 2)(k.array(x)),
    "view": lambda k: k.view(x, "int32"),
    "vsplit": lambda k: k.vsplit(x, 3)[1],
    "vstack": lambda k: k.vstack([x, y]),
    "while_loop": lambda k: k.while_loop(lambda v: v < 9, lambda v: (v * 2,), (k.array(1),))[0],
    "imag": lambda k: k.imag((x + 1j * y).astype("complex64")),
    "view_as_complex": lambda k: k.convert_to_numpy(k.view_as_complex(x[:, :2])).imag,
    "view_as_real": lambda k: k.view_as_real((x + 1j * y).astype("complex64")),
    "nanmedian": lambda k: k.nanmedian(x),
    "nanquantile": lambda k: k.nanquantile(x, 0.3),
    "nanpercentile": lambda k: k.nanpercentile(x, 30),
    "nanargmax": lambda k: k.nanargmax(x),
    "nanargmin": lambda k: k.nanargmin(x),
    "nancumsum": lambda k: k.nancumsum(x),
    "nancumprod": lambda k: k.nancumprod(x),
    "nanvar": lambda k: k.nanvar(x, axis=1),
    "nanstd": lambda k: k.nanstd(x, axis=1),
}


@pytest.mark.parametrize("name", ON_ARRAYS)
def test_arrays_are_computed_as_keras_does(name: str) -> None:
    expected = ON_ARRAYS[name](keras.ops)
    if isinstance(expected, torch.Tensor):
        expected = expected.detach().numpy()
    np.testing.assert_allclose(ON_ARRAYS[name](ops), expected, 1e-4, 1e-4)


# Of these, Keras on torch gives something else than NumPy's function of the name, or nothing.
ELSEWHERE = {
    "argpartition",
    "cross",
    "custom_gradient",
    "fold",
    "istft",
    "linalg",
    "nn",
    "sparsemax",
    "unfold",
}
DOCS = pathlib.Path(__file__).parents[2] / "docs" / "coming-from-keras.md"


def test_every_name_is_here_or_in_the_docs() -> None:
    text = DOCS.read_text()
    tested = {given.name for given in CASES} | ON_ARRAYS.keys() | ELSEWHERE
    for name in (name for name in dir(keras.ops) if not name.startswith("_")):
        if f"`ops.{name}`" in text:
            assert not hasattr(ops, name)
        else:
            assert hasattr(ops, name), name
            assert name in tested, name
    for name in (name for name in dir(keras.random) if not name.startswith("_")):
        assert hasattr(random, name), name
