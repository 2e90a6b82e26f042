"""Linear algebra, as `keras.ops.linalg` has it: by LAPACK, which NumPy brings along."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..graph import ops as graph_ops
from ..graph.op import OPS
from ..graph.ops import matrices as _matrices_records  # noqa: F401 - makes the records
from ..graph.trace import Value, apply, emit
from .elements import absolute, cast, greater, not_equal, power, sign, sqrt, square, where
from .products import matmul
from .reductions import max as _max
from .reductions import min as _min
from .reductions import sum as _sum
from .shaping import expand_dims, moveaxis, squeeze, swapaxes, tril, triu
from .tensors import (
    Tensor,
    array,
    float_dtype,
    only_arrays,
    rank,
    recorded,
    shown,
    symbolic,
    together,
    value,
)


def _matrices(x: Tensor, who: str, *, square_: bool = False) -> Any:
    """x as floats; ValueError unless it holds matrices, square ones if asked for."""
    dtype = float_dtype(x)
    found = value(x, dtype) if symbolic(x) else array(x, dtype)
    axes = rank(found) if isinstance(found, Value) else found.ndim
    dims = found.shape
    if axes < 2 or (square_ and dims[-1] != dims[-2]):
        kind = "square matrices in the last two axes" if square_ else "at least two axes"
        raise ValueError(f"{who} needs {kind}, not the shape {shown(x)}")
    if isinstance(found, Value) and found.batched and len(found.dims) < 2:
        raise ValueError(
            f"{who}: the rows of {shown(x)} are the examples of a batch, which a model does not "
            "take for a matrix"
        )
    return found


def _simple(name: str, function: Callable[..., Any], summary: str) -> Any:
    def call(x: Tensor) -> Any:
        a = _matrices(x, name, square_=True)
        if isinstance(a, Value):
            return apply(OPS[name], a)
        return np.asarray(function(a)).astype(a.dtype)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = summary
    return recorded(call)


det = _simple("det", np.linalg.det, "The determinants of matrices.")
inv = _simple("inv", np.linalg.inv, "The inverses of matrices; LinAlgError where there is none.")


@recorded
def cholesky(x: Tensor, upper: bool = False) -> Any:
    """The lower triangle L of each positive definite matrix L L', or its transpose."""
    a = _matrices(x, "cholesky", square_=True)
    low = apply(OPS["cholesky"], a) if isinstance(a, Value) else np.linalg.cholesky(a)
    return swapaxes(low, -1, -2) if upper else low


@recorded
def cholesky_inverse(x: Tensor, upper: bool = False) -> Any:
    """The inverse of L L', of triangles L; of L' L, if they are upper ones."""
    a = _matrices(x, "cholesky_inverse", square_=True)
    a = triu(a) if upper else tril(a)
    other = swapaxes(a, -1, -2)
    return inv(matmul(other, a) if upper else matmul(a, other))


@recorded
def logdet(x: Tensor) -> Any:
    """The logarithms of the determinants of matrices; NaN where one is negative."""
    a = _matrices(x, "logdet", square_=True)
    if isinstance(a, Value):
        found = apply(OPS["log_abs_det"], a)
        return where(greater(apply(OPS["det"], a), 0.0), found, float("nan"))
    side, size = np.linalg.slogdet(a)
    return np.asarray(np.where(side > 0, size, np.nan)).astype(a.dtype)


@recorded
def slogdet(x: Tensor) -> Any:
    """The signs of the determinants of matrices, and the logarithms of their sizes."""
    a = _matrices(x, "slogdet", square_=True)
    if isinstance(a, Value):
        return sign(apply(OPS["det"], a)), apply(OPS["log_abs_det"], a)
    return tuple(np.asarray(part).astype(a.dtype) for part in np.linalg.slogdet(a))


@recorded
def eigh(x: Tensor) -> Any:
    """The eigenvalues, in order, and the eigenvectors, as columns, of symmetric matrices."""
    a = _matrices(x, "eigh", square_=True)
    return tuple(emit(OPS["eigh"], a)) if isinstance(a, Value) else tuple(np.linalg.eigh(a))


@recorded
def eig(x: Tensor) -> Any:
    """The eigenvalues and eigenvectors of square matrices, complex where they are; of arrays."""
    only_arrays("eig", x)
    found = np.linalg.eig(_matrices(x, "eig", square_=True))
    kind = np.result_type(found[0].dtype, np.complex64)
    return tuple(part.astype(kind) for part in found)


@recorded
def qr(x: Tensor, mode: str = "reduced") -> Any:
    """Q with orthonormal columns and upper R of matrices Q R."""
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: mode must be 'reduced' or 'complete', not {mode!r}")
    a = _matrices(x, "qr")
    if not isinstance(a, Value):
        return tuple(np.linalg.qr(a, mode=mode))  # type: ignore[call-overload]
    if mode == "complete" and a.dims[-2] > a.dims[-1]:
        raise ValueError("qr: mode='complete' is for arrays; a model has 'reduced'")
    return tuple(emit(OPS["qr"], a))


@recorded
def svd(x: Tensor, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """U, the singular values and V' of matrices; the values alone without compute_uv."""
    a = _matrices(x, "svd")
    if not isinstance(a, Value):
        found = np.linalg.svd(a, full_matrices, compute_uv)  # type: ignore[call-overload]
        return tuple(found) if compute_uv else found
    if not compute_uv:
        return emit(OPS["svd"], a)[1]
    if full_matrices and a.dims[-1] != a.dims[-2]:
        raise ValueError("svd: full_matrices=True is for arrays; a model has full_matrices=False")
    return tuple(emit(OPS["svd"], a))


def _columns(b: Any, vector: bool) -> Any:
    return expand_dims(b, -1) if vector else b


@recorded
def solve(a: Tensor, b: Tensor) -> Any:
    """x of a x = b: matrices a, and b of matrices or, with an axis less, of vectors."""
    dtype = float_dtype(a, b)
    if not symbolic(a, b):
        left, right = _matrices(array(a, dtype), "solve", square_=True), array(b, dtype)
        vector = right.ndim == left.ndim - 1
        found = np.linalg.solve(left, _columns(right, vector))
        return found[..., 0] if vector else found
    left = _matrices(value(a, dtype), "solve", square_=True)
    return _solved(left, value(b, dtype))


def _solved(left: Value, right: Value) -> Value:
    vector = rank(right) == rank(left) - 1
    left, right = together(left, _columns(right, vector))
    found = apply(OPS["solve"], left, right)
    return graph_ops.reshape(found, found.dims[:-1]) if vector else found


@recorded
def solve_triangular(a: Tensor, b: Tensor, lower: bool = False) -> Any:
    """As `solve`, of the upper triangles of a, or of the lower ones."""
    dtype = float_dtype(a, b)
    left = value(a, dtype) if symbolic(a, b) else array(a, dtype)
    return solve(tril(left) if lower else triu(left), b)


@recorded
def pinv(x: Tensor, rcond: float | None = None) -> Any:
    """The pseudoinverses of matrices; of arrays."""
    only_arrays("pinv", x)
    a = _matrices(x, "pinv")
    least = max(a.shape[-2:]) * float(np.finfo(a.dtype).eps) if rcond is None else rcond
    return np.linalg.pinv(a, least)


@recorded
def matrix_rank(x: Tensor, tol: float | None = None) -> Any:
    """How many singular values of matrices are above a tolerance; of arrays."""
    only_arrays("matrix_rank", x)
    return np.asarray(np.linalg.matrix_rank(_matrices(x, "matrix_rank"), tol)).astype("int32")


@recorded
def lstsq(a: Tensor, b: Tensor, rcond: float | None = None) -> Any:
    """x for which a x is nearest to b; of arrays."""
    only_arrays("lstsq", a, b)
    dtype = float_dtype(a, b)
    return np.linalg.lstsq(array(a, dtype), array(b, dtype), rcond)[0]


@recorded
def lu_factor(x: Tensor) -> Any:
    """Both triangles of square matrices P L U in one, and which rows were exchanged; of arrays."""
    only_arrays("lu_factor", x)
    a = _matrices(x, "lu_factor").copy()
    *lead, m, n = a.shape
    pivots = np.zeros((*lead, min(m, n)), "int32")
    for place in np.ndindex(*lead):
        one = a[place]
        for k in range(min(m, n)):
            p = k + int(np.argmax(np.abs(one[k:, k])))
            pivots[(*place, k)] = p
            if p != k:
                one[[k, p]] = one[[p, k]]
            if one[k, k]:
                one[k + 1 :, k] /= one[k, k]
                one[k + 1 :, k + 1 :] -= np.outer(one[k + 1 :, k], one[k, k + 1 :])
    return a, pivots


@recorded
def norm(x: Tensor, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The norm of vectors along an axis, of matrices in two axes, or of all numbers.

    Parameters
    ----------
    x : array, Variable or symbolic value
    ord : float, "fro" or "nuc", optional
        As `numpy.linalg.norm`; the root of the sum of squares if not given.
    axis : int or pair of int, optional
    keepdims : bool
    """
    dtype = float_dtype(x)
    if not symbolic(x):
        return np.asarray(np.linalg.norm(array(x, dtype), ord, axis, keepdims)).astype(dtype)
    x = value(x, dtype)
    axes = (
        tuple(range(rank(x)))
        if axis is None
        else axis
        if isinstance(axis, list | tuple)
        else (axis,)
    )
    if ord is None or (ord == "fro" and len(axes) == 2) or (ord == 2 and len(axes) == 1):
        return sqrt(_sum(square(x), axis=axes, keepdims=keepdims))
    if len(axes) == 1:
        if ord in (float("inf"), float("-inf")):
            return (_max if ord > 0 else _min)(absolute(x), axis=axes, keepdims=keepdims)
        if ord == 0:
            return _sum(cast(not_equal(x, 0.0), dtype), axis=axes, keepdims=keepdims)
        if ord == 1:
            return _sum(absolute(x), axis=axes, keepdims=keepdims)
        return power(_sum(power(absolute(x), ord), axis=axes, keepdims=keepdims), 1.0 / ord)
    if len(axes) == 2 and ord in (1, -1, float("inf"), float("-inf")):
        one, other = (i % rank(x) for i in axes)
        summed, rest = (one, other) if ord in (1, -1) else (other, one)
        sums = _sum(absolute(x), axis=summed, keepdims=True)
        found = (_max if ord > 0 else _min)(sums, axis=rest, keepdims=True)
    elif len(axes) == 2 and ord in (2, -2, "nuc"):
        values = svd(moveaxis(x, axes, (-2, -1)), False, False)
        many = {2: _max, -2: _min, "nuc": _sum}[ord]
        found = expand_dims(expand_dims(many(values, axis=-1), -1), -1)
        found = moveaxis(found, (-2, -1), axes)
    else:
        raise ValueError(f"norm: there is no norm ord={ord!r} of {len(axes)} axes")
    return found if keepdims else squeeze(found, axes)


__all__ = [
    "cholesky", "cholesky_inverse", "det", "eig", "eigh", "inv", "logdet", "lstsq",
    "lu_factor", "matrix_rank", "norm", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd",
]  # fmt: skip
