"""Products of matrices and their like, as `keras.ops` has them."""

from __future__ import annotations

import string
from typing import Any

import numpy as np

from ..graph import ops as graph_ops
from ..graph.op import OPS
from ..graph.ops.matrices import product
from ..graph.ops.movements import as_matrix_kept, each_example, move, sum_of_examples
from ..graph.trace import Value, apply
from ..lengths import broadcast, common
from ..variables import Variable
from .elements import add, divide, multiply, sqrt, square, subtract
from .reductions import mean
from .reductions import sum as _sum
from .shaping import cut, expand_dims, moveaxis, permuted, stack, take_last
from .tensors import (
    Tensor,
    array,
    cast_value,
    common_dtype,
    done,
    float_dtype,
    inner_axis,
    of_variable,
    only_arrays,
    rank,
    recorded,
    shown,
    size_of,
    symbolic,
    value,
)


def _kind(*tensors: Tensor) -> str:
    dtype = common_dtype(*tensors)
    return "int32" if dtype == "bool" else dtype


@recorded
def matmul(x1: Tensor, x2: Tensor) -> Any:
    """The product of the matrices that stand in the last two axes.

    Parameters
    ----------
    x1, x2 : array, Variable or symbolic value
        (..., m, k) and (..., k, n), the axes in front being broadcast; a vector counts as a matrix
        of one row on the left, of one column on the right.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    ValueError
        Where the shapes do not fit.

    Examples
    --------
    >>> matmul([[1.0, 2.0]], [[3.0], [4.0]])
    array([[11.]], dtype=float32)
    """
    dtype = _kind(x1, x2)
    if not symbolic(x1, x2):
        return done(np.matmul(array(x1, dtype), array(x2, dtype)))
    if not dtype.startswith("float"):
        wide = _matmul(value(x1, "float64"), value(x2, "float64"))
        return cast_value(wide, dtype)
    if isinstance(x2, Variable) and x2.row_axes == 1 and x2.dtype.name == dtype:
        a = value(x1, dtype)
        if rank(a) >= 2 and len(x2.shape) == 2:
            return _by_matrix(a, of_variable(x2))
    return _matmul(value(x1, dtype), value(x2, dtype))


def _by_matrix(a: Value, w: Value) -> Value:
    """Rows with the weight of a product, kept as a matrix."""
    if common(a.dims[-1:], w.dims[:1]) is None:
        raise _unfit(a, w)
    return apply(OPS["matmul"], a, w)


def _unfit(a: Value, b: Value) -> ValueError:
    return ValueError(
        f"matmul: the shapes {shown(a)} and {shown(b)} do not fit: the last axis of the first must "
        "be as long as the last but one of the second, and the axes in front the same, or 1"
    )


def _matmul(a: Value, b: Value) -> Value:
    if not rank(a) or not rank(b):
        raise _unfit(a, b)
    if rank(b) == 1 and not b.batched:
        found = _matmul(a, graph_ops.reshape(b, (*b.dims, 1)))
        return graph_ops.reshape(found, found.dims[:-1])
    if rank(a) == 1 and not a.batched:
        found = _matmul(graph_ops.reshape(a, (1, *a.dims)), b)
        return graph_ops.reshape(found, (*found.dims[:-2], found.dims[-1]))
    if not b.batched and rank(b) == 2 and (a.batched or rank(a) > 2):
        return _by_matrix(a, as_matrix_kept(b))
    if a.batched and rank(a) == 2:
        raise ValueError(
            f"matmul: the rows of {shown(a)} are the examples of a batch; a model multiplies them "
            f"by a matrix without a batch, not by {shown(b)}; of each example's vectors, "
            "expand_dims makes matrices"
        )
    if b.batched and rank(b) < 3:
        raise ValueError(f"matmul: {shown(b)} has a vector for each example; use expand_dims")
    if a.batched or b.batched:
        like = a if a.batched else b
        a, b = (_with_batch(x, like, rank(a), rank(b)) for x in (a, b))
    lead = _common_lead(a, b)
    return product(_widened(a, lead), _widened(b, lead))


def _with_batch(x: Value, like: Value, *ranks: int) -> Value:
    if x.batched:
        if rank(x) != max(ranks):
            raise ValueError(
                f"matmul: the batch of {shown(x)} does not stand beside that of the other; add "
                "axes with expand_dims behind the first"
            )
        return x
    if rank(x) == rank(like):
        if x.dims[0] != 1:
            raise ValueError(f"matmul: {shown(x)} has {x.dims[0]} matrices for a batch; use 1")
        x = graph_ops.reshape(x, x.dims[1:])
    return each_example(x, like)


def _common_lead(a: Value, b: Value) -> tuple[Any, ...]:
    lead = broadcast(a.dims[:-2], b.dims[:-2])
    if lead is None or common(a.dims[-1:], b.dims[-2:-1]) is None:
        raise _unfit(a, b)
    return lead


def _widened(x: Value, lead: tuple[Any, ...]) -> Value:
    dims = (*lead, *x.dims[-2:])
    if x.dims == dims:
        return x
    padded = (1,) * (len(dims) - len(x.dims)) + x.dims
    return move(graph_ops.reshape(x, padded), "broadcast", dims=dims)


@recorded
def dot(x1: Tensor, x2: Tensor) -> Any:
    """The sum of products over the last axis of x1 and the last but one of x2."""
    dtype = _kind(x1, x2)
    if not symbolic(x1, x2):
        return done(np.dot(array(x1, dtype), array(x2, dtype)))
    a, b = value(x1, dtype), value(x2, dtype)
    if not rank(a) or not rank(b):
        return multiply(a, b)
    if rank(b) <= 2:
        return matmul(x1 if isinstance(x1, Value) else a, x2 if rank(b) == 2 else b)
    return tensordot(a, b, axes=[[-1], [-2]])


@recorded
def inner(x1: Tensor, x2: Tensor) -> Any:
    """The sum of products over the last axes."""
    dtype = _kind(x1, x2)
    if not symbolic(x1, x2):
        return done(np.inner(array(x1, dtype), array(x2, dtype)))
    return tensordot(value(x1, dtype), value(x2, dtype), axes=[[-1], [-1]])


@recorded
def outer(x1: Tensor, x2: Tensor) -> Any:
    """The products of all numbers of x1 with all of x2."""
    dtype = _kind(x1, x2)
    if not symbolic(x1, x2):
        return done(np.outer(array(x1, dtype), array(x2, dtype)))
    a, b = value(x1, dtype), value(x2, dtype)
    if a.batched or b.batched:
        raise ValueError(
            f"outer: {shown(a)} and {shown(b)} have a batch, whose numbers are not multiplied with "
            "each other; for each example, multiply(x[:, :, None], y[:, None, :])"
        )
    return multiply(graph_ops.reshape(a, (a.size, 1)), graph_ops.reshape(b, (b.size,)))


@recorded
def vdot(x1: Tensor, x2: Tensor) -> Any:
    """The sum of the products of all numbers."""
    dtype = _kind(x1, x2)
    if not symbolic(x1, x2):
        return done(np.vdot(array(x1, dtype), array(x2, dtype)))
    return _sum(multiply(value(x1, dtype), value(x2, dtype)))


@recorded
def tensordot(x1: Tensor, x2: Tensor, axes: Any = 2) -> Any:
    """The sum of products over axes of both: the last n and the first n, or a list of each."""
    dtype = _kind(x1, x2)
    if not symbolic(x1, x2):
        return done(np.tensordot(array(x1, dtype), array(x2, dtype), axes))
    a, b = value(x1, dtype), value(x2, dtype)
    ra, rb = rank(a), rank(b)
    if isinstance(axes, int):
        of_a, of_b = [*range(ra - axes, ra)], [*range(axes)]
    else:
        of_a, of_b = (list(x) if isinstance(x, list | tuple) else [x] for x in axes)
        of_a, of_b = [i % ra for i in of_a], [i % rb for i in of_b]
    names = iter(string.ascii_letters)
    first = [next(names) for _ in range(ra)]
    second = [next(names) for _ in range(rb)]
    for i, j in zip(of_a, of_b, strict=True):
        second[j] = first[i]
    out = [n for i, n in enumerate(first) if i not in of_a]
    out += [n for j, n in enumerate(second) if j not in of_b]
    return einsum(f"{''.join(first)},{''.join(second)}->{''.join(out)}", a, b)


@recorded
def einsum(subscripts: str, *operands: Tensor, **kwargs: Any) -> Any:
    """Sums of products that letters for axes tell, as NumPy's.

    Parameters
    ----------
    subscripts : str
        As ``"bij,bjk->bik"``, with ``...`` for any axes.
    *operands : array, Variable or symbolic value
        The batch of symbolic values is one letter, the first of each that has it.

    Examples
    --------
    >>> einsum("ij,j->i", [[1.0, 2.0]], [3.0, 4.0])
    array([11.], dtype=float32)
    """
    dtype = _kind(*operands)
    if not symbolic(operands):
        return done(np.einsum(subscripts, *(array(x, dtype) for x in operands), optimize=True))
    if not dtype.startswith("float"):
        wide = einsum(subscripts, *(value(x, "float64") for x in operands))
        return cast_value(wide, dtype)
    values = [value(x, dtype) for x in operands]
    terms, out = _letters(subscripts, values)
    return _einsum(subscripts, terms, out, values)


def _letters(subscripts: str, values: list[Value]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, with those that ... stands for."""
    written = subscripts.replace(" ", "")
    left, arrow, out = written.partition("->")
    terms = left.split(",")
    if len(terms) != len(values):
        raise ValueError(f"einsum: {subscripts!r} is about {len(terms)} arrays, not {len(values)}")
    free = [c for c in string.ascii_letters if c not in written]
    most = 0
    for i, (term, x) in enumerate(zip(terms, values, strict=True)):
        if "..." in term:
            n = rank(x) - len(term.replace("...", ""))
            most = max(most, n)
            terms[i] = term.replace("...", "".join(free[:most][most - n :]) if n else "")
        if len(terms[i]) != rank(x):
            raise ValueError(
                f"einsum: {subscripts!r} names {len(terms[i])} axes of an array of shape {shown(x)}"
            )
    if arrow:
        out = out.replace("...", "".join(free[:most]))
    else:
        every = "".join(terms)
        once = sorted(c for c in set(every) if every.count(c) == 1 and c not in free[:most])
        out = "".join(free[:most]) + "".join(once)
    return terms, out


def _einsum(subscripts: str, terms: list[str], out: str, values: list[Value]) -> Value:
    batches = {term[0] for term, x in zip(terms, values, strict=True) if x.batched}
    batch = next(iter(batches), "")
    inside = [term[1:] if x.batched else term for term, x in zip(terms, values, strict=True)]
    if len(batches) > 1 or any(batch and batch in term for term in inside) or batch in out[1:]:
        raise ValueError(
            f"einsum: in {subscripts!r} the batch, the first axis of "
            f"{' and '.join(map(shown, values))}, must be one letter, the first of the result too"
        )
    wanted = out[1:] if batch and out[:1] == batch else out
    held, term = values[0], inside[0]
    held, term = _alone(held, term, set(wanted).union(*inside[1:]))
    for i in range(1, len(values)):
        later = set(wanted).union(*inside[i + 1 :])
        other, letters = _alone(values[i], inside[i], later | set(term))
        held, term = _pair(held, term, other, letters, later)
    held, term = _alone(held, term, set(wanted))
    found = permuted(held, tuple(term.index(c) for c in wanted)) if term != wanted else held
    return found if out[:1] == batch or not found.batched else sum_of_examples(found)


def _alone(x: Value, term: str, needed: set[str]) -> tuple[Value, str]:
    """Diagonals of letters that stand twice, and sums over those that nobody else needs."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            i = term.index(letter)
            j = term.index(letter, i + 1)
            x = move(x, "diagonal", offset=0, axes=(i, j))
            term = term[:i] + term[i + 1 : j] + term[j + 1 :] + letter
    gone = [i for i, letter in enumerate(term) if letter not in needed]
    if gone:
        x = _sum(x, axis=[i + x.batched for i in gone])
        term = "".join(letter for letter in term if letter in needed)
    return x, term


def _pair(a: Value, of_a: str, b: Value, of_b: str, later: set[str]) -> tuple[Value, str]:
    """The product of two, over the letters that are in both and that nobody needs later."""
    shared = [c for c in of_a if c in of_b and c in later]
    over = [c for c in of_a if c in of_b and c not in later]
    left = [c for c in of_a if c not in of_b]
    right = [c for c in of_b if c not in of_a]
    lengths = dict(zip(of_a + of_b, (*a.dims, *b.dims), strict=True))
    lengths.update({c: n for c, n in zip(of_a, a.dims, strict=True) if n != 1})
    a = permuted(a, tuple(of_a.index(c) for c in (*shared, *left, *over)))
    b = permuted(b, tuple(of_b.index(c) for c in (*shared, *over, *right)))
    lead = [lengths[c] for c in shared]
    m, k, n = (size_of([lengths[c] for c in part]) for part in (left, over, right))
    rows = graph_ops.reshape(a, (*lead, m, k))
    cols = graph_ops.reshape(b, (*lead, k, n))
    made = _matmul_of(rows, cols)
    dims = (*lead, *(lengths[c] for c in left), *(lengths[c] for c in right))
    return graph_ops.reshape(made, dims), "".join([*shared, *left, *right])


def _matmul_of(a: Value, b: Value) -> Value:
    """Of values with the same axes in front."""
    if a.batched and not b.batched and len(b.dims) == 2:
        return _by_matrix(a, as_matrix_kept(b))
    if a.batched != b.batched:
        like = a if a.batched else b
        a, b = each_example(a, like), each_example(b, like)
    return product(a, b)


@recorded
def kron(x1: Tensor, x2: Tensor) -> Any:
    """Each number of x1 times the whole of x2, in its place."""
    dtype = _kind(x1, x2)
    if not symbolic(x1, x2):
        return done(np.kron(array(x1, dtype), array(x2, dtype)))
    a, b = value(x1, dtype), value(x2, dtype)
    if a.batched or b.batched:
        raise ValueError(f"kron: {shown(a)} and {shown(b)} have a batch; use multiply")
    axes = max(rank(a), rank(b))
    a = graph_ops.reshape(a, (1,) * (axes - rank(a)) + a.dims)
    b = graph_ops.reshape(b, (1,) * (axes - rank(b)) + b.dims)
    wide_a = graph_ops.reshape(a, tuple(n for d in a.dims for n in (d, 1)))
    wide_b = graph_ops.reshape(b, tuple(n for d in b.dims for n in (1, d)))
    dims = tuple(n * m for n, m in zip(a.dims, b.dims, strict=True))
    return graph_ops.reshape(multiply(wide_a, wide_b), dims)


@recorded
def cross(
    x1: Tensor,
    x2: Tensor,
    axisa: int = -1,
    axisb: int = -1,
    axisc: int = -1,
    axis: int | None = None,
) -> Any:
    """The cross products of vectors of two or three numbers along an axis."""
    dtype = _kind(x1, x2)
    if axis is not None:
        axisa = axisb = axisc = axis
    if not symbolic(x1, x2):
        return done(np.cross(array(x1, dtype), array(x2, dtype), axisa, axisb, axisc))
    a, b = (moveaxis(value(x, dtype), at, -1) for x, at in ((x1, axisa), (x2, axisb)))
    u, v = take_last(a), take_last(b)
    if len(u) == 2 and len(v) == 2:
        return subtract(multiply(u[0], v[1]), multiply(u[1], v[0]))
    zero = multiply(u[0], 0.0)
    u, v = ([*part, zero][:3] for part in (u, v))
    parts = [
        subtract(multiply(u[i], v[j]), multiply(u[j], v[i])) for i, j in ((1, 2), (2, 0), (0, 1))
    ]
    return moveaxis(stack(parts, axis=-1), -1, axisc)


@recorded
def cdist(x: Tensor, y: Tensor) -> Any:
    """The distances between all rows of x, (..., n, d), and all of y, (..., m, d): (..., n, m)."""
    dtype = float_dtype(x, y)
    if not symbolic(x, y):
        a, b = array(x, dtype), array(y, dtype)
        return np.sqrt(np.square(a[..., :, None, :] - b[..., None, :, :]).sum(-1))
    a, b = value(x, dtype), value(y, dtype)
    gaps = subtract(expand_dims(a, -2), expand_dims(b, -3))
    return sqrt(_sum(square(gaps), axis=-1))


@recorded
def trapezoid(y: Tensor, x: Tensor = None, dx: float = 1.0, axis: int = -1) -> Any:
    """The area below points along an axis, by trapezoids."""
    dtype = float_dtype(y) if x is None else float_dtype(y, x)
    if not symbolic(y, x):
        heights = np.moveaxis(array(y, dtype), axis, -1)
        widths = dx if x is None else np.diff(array(x, dtype))
        return np.asarray(((heights[..., 1:] + heights[..., :-1]) / 2 * widths).sum(-1))
    heights = value(y, dtype)
    at = inner_axis(heights, axis, "trapezoid")
    middles = multiply(add(cut(heights, at, 1, None), cut(heights, at, None, -1)), 0.5)
    if x is None:
        return multiply(_sum(middles, axis=axis), dx)
    places = value(x, dtype)
    last = len(places.dims) - 1
    widths = subtract(cut(places, last, 1, None), cut(places, last, None, -1))
    if not widths.batched and len(widths.dims) == 1:
        after = len(heights.dims) - 1 - at
        widths = graph_ops.reshape(widths, (*widths.dims, *(1,) * after))
    return _sum(multiply(middles, widths), axis=axis)


@recorded
def correlate(x1: Tensor, x2: Tensor, mode: str = "valid") -> Any:
    """The sums of products of a row and another one, moved along it; of arrays."""
    only_arrays("correlate", x1, x2)
    dtype = float_dtype(x1, x2)
    return np.correlate(array(x1, dtype), array(x2, dtype), mode)  # type: ignore[call-overload]


@recorded
def corrcoef(x: Tensor) -> Any:
    """The correlations of the rows of a matrix with each other."""
    dtype = float_dtype(x)
    if not symbolic(x):
        return np.corrcoef(array(x, dtype)).astype(dtype)
    rows = value(x, dtype)
    if rows.batched or rank(rows) != 2:
        raise ValueError(f"corrcoef: expected a matrix without a batch, not {shown(rows)}")
    rows = subtract(rows, mean(rows, axis=1, keepdims=True))
    lengths = sqrt(_sum(square(rows), axis=1, keepdims=True))
    unit = divide(rows, lengths)
    return product(unit, unit, transpose_b=True)
