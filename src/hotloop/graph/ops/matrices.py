"""Linear algebra: functions of the matrices that stand in the last two axes, by NumPy's LAPACK.

Their gradients are written with products, as Giles (2008) has them and, of singular values,
Townsend (2016).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..op import OPS, Array, Dims, Gradients, Op, Run
from ..trace import Node, Value, apply
from .dense import BATCH_MATMUL, batch_matmul, of_product
from .elementwise import scale
from .merges import add, multiply, subtract
from .movements import move
from .shapes import reshape

__all__ = [
    "product",
]

_LAPACK = {
    "cython": "LAPACK does it, by NumPy",
    "numba": "LAPACK does it, by NumPy",
    "profile": "Python does it",
}


# -------------------------------------------------------------------- parts of formulas


def product(a: Value, b: Value, *, transpose_a: bool = False, transpose_b: bool = False) -> Value:
    """a @ b of the last two axes, of two values that both have a batch, or neither."""
    if a.batched:
        return batch_matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b)
    return apply(MATRIX_PRODUCT, a, b, transpose_a=transpose_a, transpose_b=transpose_b)


def _product(run: Run, node: Node) -> None:
    a, b = (run.array(value) for value in node.inputs)
    a = a.swapaxes(-1, -2) if node.attributes["transpose_a"] else a
    b = b.swapaxes(-1, -2) if node.attributes["transpose_b"] else b
    run.array(node.output)[...] = a @ b


MATRIX_PRODUCT: Op = Op(
    "matrix_product",
    "a @ b over the last two axes of two values without a batch.",
    shape=BATCH_MATMUL.shape,
    gradient=lambda node, wanted, dy: of_product(product, node, dy),
    flops=BATCH_MATMUL.flops,
    reference=_product,
    why_not=_LAPACK,
)


def transposed(a: Value) -> Value:
    """The last two axes in turn."""
    axes = tuple(range(len(a.dims)))
    return move(a, "permute", axes=(*axes[:-2], axes[-1], axes[-2]))


def triangle(a: Value, *, upper: bool = False, k: int = 0) -> Value:
    """a, and 0 below, or above, a diagonal."""
    return move(a, "triangle", k=k, upper=upper)


def _diagonal(a: Value) -> Value:
    """a with zeros beside the diagonal."""
    return triangle(triangle(a), upper=True)


def _columns(a: Value, factors: Value) -> Value:
    """Each column of a times a factor."""
    return multiply(a, reshape(factors, (*factors.dims[:-1], 1, factors.dims[-1])))


def _rows(a: Value, factors: Value) -> Value:
    """Each row of a times a factor."""
    return multiply(a, reshape(factors, (*factors.dims, 1)))


def _total(terms: Sequence[Value | None]) -> Value:
    there = [term for term in terms if term is not None]
    total = there[0]
    for term in there[1:]:
        total = add(total, term)
    return total


# --------------------------------------------------------------------------- the records


def _square(node: Node) -> Dims:
    dims = node.inputs[0].dims
    if len(dims) < 2 or dims[-1] != dims[-2]:
        raise ValueError(f"{node.op.name} needs square matrices, not {node.inputs[0].shape}")
    return dims


def _symmetric(a: Array) -> Array:
    """The nearest symmetric matrices."""
    half: Array = (a + a.swapaxes(-1, -2)) / 2
    return half


def _record(
    name: str,
    summary: str,
    function: Callable[..., Any],
    shape: Callable[[Node], Sequence[Dims]],
    gradient: Callable[..., Gradients] | None,
    why_not: str = "",
    **record: Any,
) -> Op:
    def reference(run: Run, node: Node) -> None:
        options = {key: node.attributes[key] for key in node.op.options}
        made = function(*(run.array(value) for value in node.inputs), **options)
        for value, array in zip(
            node.outputs, made if len(node.outputs) > 1 else (made,), strict=True
        ):
            out = run.output(value)
            if out is not None:
                out[...] = array

    return Op(
        name,
        summary,
        shape=shape,
        gradient=gradient,
        reference=reference,
        why_not=_LAPACK | ({"gradient": why_not} if why_not else {}),
        **record,
    )


def _of_inverse(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    y = node.output
    return (scale(product(product(y, dy, transpose_a=True), y, transpose_b=True), -1.0),)


INVERSE = _record(
    "inv", "The inverse of a matrix.", np.linalg.inv, lambda node: (_square(node),), _of_inverse
)


def _of_determinant(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    (a,) = node.inputs
    factor = multiply(dy, node.output) if node.op is DETERMINANT else dy
    return (multiply(transposed(apply(INVERSE, a)), reshape(factor, (*factor.dims, 1, 1))),)


DETERMINANT: Op = _record(
    "det",
    "The determinant of a matrix.",
    np.linalg.det,
    lambda node: (_square(node)[:-2],),
    _of_determinant,
)
LOG_DETERMINANT = _record(
    "log_abs_det",
    "The logarithm of the size of a matrix's determinant.",
    lambda a: np.linalg.slogdet(a)[1],
    lambda node: (_square(node)[:-2],),
    _of_determinant,
)


def _of_cholesky(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    low = node.output
    p = triangle(product(low, dy, transpose_a=True))
    p = subtract(p, scale(_diagonal(p), 0.5))
    up = transposed(low)
    s = apply(SOLVE, up, transposed(apply(SOLVE, up, p)))
    return (scale(add(s, transposed(s)), 0.5),)


CHOLESKY = _record(
    "cholesky",
    "The lower triangle L of a positive definite matrix L L'.",
    lambda a: np.linalg.cholesky(_symmetric(a)),
    lambda node: (_square(node),),
    _of_cholesky,
)


def _solved(node: Node) -> tuple[Dims, ...]:
    a, b = _square(node), node.inputs[1].dims
    if len(b) != len(a) or b[:-1] != a[:-1]:
        raise ValueError(
            f"{node.op.name} needs as many rows on the right as on the left, not "
            f"{node.inputs[0].shape} and {node.inputs[1].shape}"
        )
    return (b,)


def _of_solve(node: Node, wanted: tuple[bool, ...], dy: Value) -> Gradients:
    a, _ = node.inputs
    db = apply(SOLVE, transposed(a), dy)
    return scale(product(db, node.output, transpose_b=True), -1.0), db


SOLVE: Op = _record(
    "solve",
    "x of a x = b, for matrices a and b.",
    np.linalg.solve,
    _solved,
    _of_solve,
)


def _gaps(w: Array) -> Array:
    with np.errstate(divide="ignore"):
        gaps = w[..., None, :] - w[..., :, None]
        return np.where(gaps == 0, 0, 1 / gaps)


GAPS = _record(
    "inverse_gaps",
    "1 / (w[j] - w[i]) of each pair of numbers of a row, 0 of equal ones.",
    _gaps,
    lambda node: ((*node.inputs[0].dims, node.inputs[0].dims[-1]),),
    None,
    "of a gradient",
)


def _of_eigh(node: Node, wanted: tuple[bool, ...], dw: Value | None, dv: Value | None) -> Gradients:
    w, v = node.outputs
    inner: list[Value | None] = [None, None]
    if dw is not None:
        inner[0] = _diagonal_of(dw)
    if dv is not None:
        inner[1] = multiply(apply(GAPS, w), product(v, dv, transpose_a=True))
    da = product(product(v, _total(inner)), v, transpose_b=True)
    return (scale(add(da, transposed(da)), 0.5),)


def _diagonal_of(w: Value) -> Value:
    """Matrices with these numbers on their diagonals."""
    n = w.dims[-1]
    square = move(reshape(w, (*w.dims, 1)), "broadcast", dims=(*w.dims, n))
    return _diagonal(square)


EIGH = _record(
    "eigh",
    "The eigenvalues, in order, and the eigenvectors of a symmetric matrix.",
    lambda a: np.linalg.eigh(_symmetric(a)),
    lambda node: (_square(node)[:-1], _square(node)),
    _of_eigh,
    always=(0, 1),
)


def _sides(node: Node) -> tuple[Dims, int, int, int]:
    *lead, m, n = node.inputs[0].dims
    return tuple(lead), m, n, min(m, n)


def _qr_shapes(node: Node) -> tuple[Dims, ...]:
    lead, m, n, k = _sides(node)
    return (*lead, m, k), (*lead, k, n)


def _of_qr(node: Node, wanted: tuple[bool, ...], dq: Value | None, dr: Value | None) -> Gradients:
    (a,), (q, r) = node.inputs, node.outputs
    if a.dims[-2] < a.dims[-1]:
        raise ValueError(f"qr has a gradient of matrices at least as tall as wide, not {a.shape}")
    terms: list[Value | None] = [None, None]
    if dr is not None:
        terms[0] = product(r, dr, transpose_b=True)
    if dq is not None:
        terms[1] = scale(product(dq, q, transpose_a=True), -1.0)
    m = _total(terms)
    low = triangle(m)
    even = add(low, transposed(triangle(m, k=-1)))
    inner: list[Value | None] = [dq, product(q, even)]
    return (transposed(apply(SOLVE, r, transposed(_total(inner)))),)


QR = _record(
    "qr",
    "Q with orthonormal columns and upper R of a matrix Q R.",
    np.linalg.qr,
    _qr_shapes,
    _of_qr,
    always=(0, 1),
)


def _svd_shapes(node: Node) -> tuple[Dims, ...]:
    lead, m, n, k = _sides(node)
    return (*lead, m, k), (*lead, k), (*lead, k, n)


def _of_svd(
    node: Node,
    wanted: tuple[bool, ...],
    du: Value | None,
    ds: Value | None,
    dvt: Value | None,
) -> Gradients:
    u, s, vt = node.outputs
    terms: list[Value | None] = []
    if ds is not None:
        terms.append(product(_columns(u, ds), vt))
    gaps = apply(GAPS, multiply(s, s)) if du is not None or dvt is not None else None
    if du is not None and gaps is not None:
        p = product(u, du, transpose_a=True)
        inner = multiply(gaps, subtract(p, transposed(p)))
        terms.append(product(product(u, _columns(inner, s)), vt))
        rest = subtract(du, product(u, p))
        terms.append(product(_columns(rest, apply(OPS["reciprocal"], s)), vt))
    if dvt is not None and gaps is not None:
        p = product(vt, dvt, transpose_b=True)
        inner = multiply(gaps, subtract(p, transposed(p)))
        terms.append(product(u, product(_rows(inner, s), vt)))
        rest = subtract(dvt, product(transposed(p), vt))
        terms.append(product(u, _rows(rest, apply(OPS["reciprocal"], s))))
    return (_total(terms),)


SVD = _record(
    "svd",
    "U, s and V' of a matrix U diag(s) V'.",
    lambda a: np.linalg.svd(a, full_matrices=False),
    _svd_shapes,
    _of_svd,
    always=(0, 1, 2),
)
