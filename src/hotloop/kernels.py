"""The library's kernels, for people who want them without the model.

Every function takes arrays of one float type, float32 or float64; ``backend=`` names the
backend that is to run it (``"cython"``, ``"numba"`` or ``"numpy"``; the selected one if not
given), and ``out=`` an array of the right shape and type that receives the result. Beside
the functions below there are, for each activation NAME of `ACTIVATIONS`, ``NAME(x)`` and
``NAME_gradient(dy, saved)``, and for each update rule NAME of `OPTIMIZERS`,
``NAME(w, g, slots, ...)``, which works in place.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import backends, config
from .backends import formulas
from .backends.numpy import WHOLE_UPDATES
from .masks import refuse_masks

Array = NDArray[Any]

ACTIVATIONS = tuple(formulas.ACTIVATIONS)
OPTIMIZERS = tuple(formulas.OPTIMIZERS)
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def _floats(*arrays: ArrayLike) -> list[Array]:
    """The arrays, contiguous and of one float type: float32 only if all of them are."""
    for array in arrays:
        if type(array) is not np.ndarray or not array.flags.c_contiguous:
            break
        if array.dtype is not arrays[0].dtype or array.dtype not in _FLOATS:  # type: ignore[union-attr]
            break
    else:  # a quick look, as most calls are of such arrays
        return list(arrays)  # type: ignore[arg-type]
    for array in arrays:
        refuse_masks(array, "an array given to a kernel")
    given = [np.asarray(a) for a in arrays]
    for array in given:
        if array.dtype.kind not in "biuf":
            raise TypeError(f"kernels work on numbers, not on an array of dtype {array.dtype}")
    floats = [a.dtype for a in given if a.dtype.kind == "f"] or [np.dtype(config.floatx())]
    dtype = np.float32 if all(f.itemsize <= 4 for f in floats) else np.float64
    return [np.asarray(a, dtype, order="C") for a in given]


def _output(out: Array | None, shape: tuple[int, ...], like: Array, name: str = "out") -> Array:
    """`out` if it can take the result, or a new array.

    Raises
    ------
    ValueError
        If it has another shape or dtype, or is not contiguous or writeable.
    """
    if out is None:
        return np.empty(shape, like.dtype)
    _check_writeable(out, shape, like.dtype, name)
    return out


def _check_writeable(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> None:
    if type(out) is not np.ndarray:
        refuse_masks(out, name)
    if (
        not isinstance(out, np.ndarray)
        or out.shape != shape
        or out.dtype != dtype
        or not out.flags.c_contiguous
        or not out.flags.writeable
    ):
        got = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ValueError(
            f"{name} must be a writeable, C-contiguous array of {dtype} {shape}, got {got}"
        )


def _check_weight(w: Any) -> None:
    """Raises ValueError unless w can be updated in place."""
    if not isinstance(w, np.ndarray) or w.dtype not in (np.float32, np.float64):
        got = w.dtype if isinstance(w, np.ndarray) else type(w).__name__
        raise ValueError(
            f"w must be a writeable, C-contiguous array of float32 or float64, got {got}"
        )
    _check_writeable(w, w.shape, w.dtype, "w")


def _run(op: str, backend: str | None, *arguments: Any, **keywords: Any) -> Any:
    if backend is None:
        return backends.call(op, *arguments, **keywords)
    table = backends.operations(backend)
    if op not in table:  # numba leaves matrix products and others to NumPy
        table = backends.operations("numpy")
    return table[op](*arguments, **keywords)


def _check_rank(name: str, array: Array, rank: int) -> None:
    if array.ndim != rank:
        raise ValueError(f"{name} must have {rank} axes, got an array of shape {array.shape}")


# ------------------------------------------------------------------- matrix product


def matmul(
    a: ArrayLike,
    b: ArrayLike,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    out: Array | None = None,
    backend: str | None = None,
) -> Array:
    """The matrix product of a and b, either of them transposed first.

    Parameters
    ----------
    a, b : array-like of shape (m, k) and (k, n), before transposing
    transpose_a, transpose_b : bool
    out : ndarray of shape (m, n), optional
    backend : str, optional

    Raises
    ------
    ValueError
        If the shapes do not fit, or `out` cannot take the result.

    Examples
    --------
    >>> matmul([[1.0, 2.0]], [[3.0], [4.0]])
    array([[11.]])
    """
    x, y = _floats(a, b)
    _check_rank("a", x, 2)
    _check_rank("b", y, 2)
    m, k = x.shape[::-1] if transpose_a else x.shape
    k2, n = y.shape[::-1] if transpose_b else y.shape
    if k != k2:
        raise ValueError(f"matmul: shapes {(m, k)} and {(k2, n)} do not fit: {k} is not {k2}")
    out = _output(out, (m, n), x)
    _run("matmul", backend, x, y, out=out, transpose_a=transpose_a, transpose_b=transpose_b)
    return out


def dense_forward(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    activation: str = "linear",
    alpha: float | None = None,
    out: Array | None = None,
    backend: str | None = None,
) -> Array:
    """A fully connected layer: ``f(xW + b)``.

    Parameters
    ----------
    x : array-like of shape (batch, inputs)
    w : array-like of shape (inputs, units)
    b : array-like of shape (units,), optional
    activation : str
        f, one of `ACTIVATIONS`; alpha is its option, if it has one.
    out : ndarray of shape (batch, units), optional
    backend : str, optional

    Raises
    ------
    ValueError
        If the shapes do not fit, the activation is not known, or `out` does not fit.

    Examples
    --------
    >>> dense_forward([[1.0, -2.0]], [[1.0], [1.0]], activation="relu")
    array([[0.]])
    """
    x_bi, w_io, *bias = _floats(x, w, *([] if b is None else [b]))
    _check_rank("x", x_bi, 2)
    _check_rank("w", w_io, 2)
    if x_bi.shape[1] != w_io.shape[0] or (bias and bias[0].shape != (w_io.shape[1],)):
        raise ValueError(
            f"dense_forward: x {x_bi.shape}, w {w_io.shape} and b "
            f"{bias[0].shape if bias else None} do not fit: expected (batch, inputs), "
            "(inputs, units) and (units,)"
        )
    alpha = _alpha(activation, alpha)
    out = _output(out, (x_bi.shape[0], w_io.shape[1]), x_bi)
    b_o = bias[0] if bias else None
    _run("dense", backend, x_bi, w_io, b_o, out=out, activation=activation, alpha=alpha)
    return out


def dense_backward(
    x: ArrayLike,
    w: ArrayLike,
    dy: ArrayLike,
    *,
    dx: Array | None = None,
    dw: Array | None = None,
    db: Array | None = None,
    backend: str | None = None,
) -> tuple[Array, Array, Array]:
    """The gradients of ``xW + b``: dx = dy W^T, dw = x^T dy, db = the sum of dy's rows.

    Parameters
    ----------
    x : array-like of shape (batch, inputs)
    w : array-like of shape (inputs, units)
    dy : array-like of shape (batch, units)
        The gradient with respect to xW + b, before any activation.
    dx, dw, db : ndarray, optional
        Where the gradients go.
    backend : str, optional

    Returns
    -------
    dx, dw, db : ndarray

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> dx, dw, db = dense_backward([[1.0, 2.0]], [[3.0], [4.0]], [[1.0]])
    >>> dx, dw, db
    (array([[3., 4.]]), array([[1.],
           [2.]]), array([1.]))
    """
    x_bi, w_io, dy_bo = _floats(x, w, dy)
    for name, array in (("x", x_bi), ("w", w_io), ("dy", dy_bo)):
        _check_rank(name, array, 2)
    if dy_bo.shape != (x_bi.shape[0], w_io.shape[1]) or x_bi.shape[1] != w_io.shape[0]:
        raise ValueError(
            f"dense_backward: x {x_bi.shape}, w {w_io.shape} and dy {dy_bo.shape} do not fit: "
            "expected (batch, inputs), (inputs, units) and (batch, units)"
        )
    dx = _output(dx, x_bi.shape, x_bi, "dx")
    dw = _output(dw, w_io.shape, x_bi, "dw")
    db = _output(db, w_io.shape[1:], x_bi, "db")
    _run("input_gradient", backend, dy_bo, w_io, out=dx)
    _run("weight_gradient", backend, x_bi, dy_bo, out=dw)
    _run("bias_gradient", backend, dy_bo, out=db)
    return dx, dw, db


# --------------------------------------------------------------------------- softmax


def softmax(x: ArrayLike, *, out: Array | None = None, backend: str | None = None) -> Array:
    """``exp(x) / sum exp(x)`` over the columns of x (rows, columns).

    Examples
    --------
    >>> softmax([[1.0, 1.0]])
    array([[0.5, 0.5]])
    """
    return _rowwise("softmax", backend, out, x)


def softmax_gradient(
    dy: ArrayLike, y: ArrayLike, *, out: Array | None = None, backend: str | None = None
) -> Array:
    """``y (dy - sum(dy y))``, y being softmax's output.

    Examples
    --------
    >>> softmax_gradient([[1.0, 0.0]], [[0.5, 0.5]])
    array([[ 0.25, -0.25]])
    """
    return _rowwise("softmax_gradient", backend, out, dy, y)


def log_softmax(x: ArrayLike, *, out: Array | None = None, backend: str | None = None) -> Array:
    """The logarithm of `softmax`, without overflow.

    Examples
    --------
    >>> log_softmax([[1.0, 1.0]]).round(4)
    array([[-0.6931, -0.6931]])
    """
    return _rowwise("log_softmax", backend, out, x)


def log_softmax_gradient(
    dy: ArrayLike, y: ArrayLike, *, out: Array | None = None, backend: str | None = None
) -> Array:
    """``dy - exp(y) sum(dy)``, y being log_softmax's output.

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax_gradient([[1.0, 0.0]], np.log([[0.5, 0.5]]))
    array([[ 0.5, -0.5]])
    """
    return _rowwise("log_softmax_gradient", backend, out, dy, y)


def _rowwise(op: str, backend: str | None, out: Array | None, *given: ArrayLike) -> Array:
    arrays = _floats(*given)
    for array in arrays:
        _check_rank("the input", array, 2)
        if array.shape != arrays[0].shape:
            raise ValueError(f"{op}: shapes {arrays[0].shape} and {array.shape} differ")
    out = _output(out, arrays[0].shape, arrays[0])
    if out.size:
        _run(op, backend, *arrays, out=out)
    return out


def softmax_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    gradient: Array | None = None,
    backend: str | None = None,
) -> tuple[float, Array]:
    """Mean cross-entropy of softmax(logits), and its gradient with respect to the logits.

    ``-1/n sum_i w_i sum_j p_ij log softmax(x_i)_j``; the gradient is
    ``w_i (softmax(x_i) - p_i) / n``. Computed in one pass, without overflow.

    Parameters
    ----------
    logits : array-like of shape (batch, classes)
    labels : array-like
        Class numbers of shape (batch,), or probabilities p of shape (batch, classes).
    sample_weight : array-like of shape (batch,), optional
    label_smoothing : float
        s of probabilities: p is read as ``p (1 - s) + s / classes``.
    gradient : ndarray of shape (batch, classes), optional
        Where the gradient goes.
    backend : str, optional

    Returns
    -------
    loss : float
    gradient : ndarray of shape (batch, classes)

    Raises
    ------
    ValueError
        If shapes do not fit or a label is out of range.

    Examples
    --------
    >>> loss, gradient = softmax_cross_entropy([[0.0, 0.0]], [1])
    >>> round(loss, 4), gradient
    (0.6931, array([[ 0.5, -0.5]]))
    """
    (x,) = _floats(logits)
    _check_rank("logits", x, 2)
    rows, classes = x.shape
    if not classes:
        raise ValueError(f"logits have no columns: their shape is {x.shape}")
    refuse_masks(labels, "labels")
    refuse_masks(sample_weight, "sample_weight")
    given = np.asarray(labels)
    gradient = _output(gradient, x.shape, x, "gradient")
    values = np.empty(rows, x.dtype)
    weight = None
    if sample_weight is not None:
        weight = np.ascontiguousarray(sample_weight, x.dtype)
        if weight.shape != (rows,):
            raise ValueError(f"sample_weight must have shape ({rows},), got {weight.shape}")
    keywords = {"values": values, "gradient": gradient, "scale": 1.0 / max(rows, 1)}
    if given.shape == (rows,):
        with np.errstate(invalid="ignore"):  # NaN and numbers too large become others
            integral = given.astype(np.int32)
        if not np.array_equal(integral, given) or (
            rows and (integral.min() < 0 or integral.max() >= classes)
        ):
            raise ValueError(f"labels must be whole numbers from 0 to {classes - 1}")
        _run("sparse_softmax_crossentropy", backend, integral, x, weight, **keywords)
    elif given.shape == x.shape:
        p = np.ascontiguousarray(given, x.dtype)
        _run("softmax_crossentropy", backend, p, x, weight, smoothing=label_smoothing, **keywords)
    else:
        raise ValueError(
            f"labels must have shape ({rows},) or {x.shape} to fit the logits, not {given.shape}"
        )
    return float(values.sum(dtype=np.float64)) / max(rows, 1), gradient


# ---------------------------------------------------------------- activations, updates


def _alpha(activation: str, alpha: float | None) -> float:
    """An activation's option, its usual value if not given."""
    known = formulas.ACTIVATIONS.get(activation)
    if known is None:
        raise ValueError(
            f"unknown activation {activation!r}; the elementwise ones are {', '.join(ACTIVATIONS)}"
        )
    default = 0.0 if known.alpha is None else known.alpha
    return default if alpha is None else float(alpha)


def _activation(name: str) -> tuple[Callable[..., Array], Callable[..., Array]]:
    def value(
        x: ArrayLike,
        *,
        alpha: float | None = None,
        out: Array | None = None,
        backend: str | None = None,
    ) -> Array:
        (array,) = _floats(x)
        out = _output(out, array.shape, array)
        flat, result = array.reshape(1, -1), out.reshape(1, -1)
        _run(name, backend, flat, out=result, alpha=_alpha(name, alpha))
        return out

    def gradient(
        dy: ArrayLike,
        saved: ArrayLike,
        *,
        alpha: float | None = None,
        out: Array | None = None,
        backend: str | None = None,
    ) -> Array:
        upstream, kept = _floats(dy, saved)
        if upstream.shape != kept.shape:
            raise ValueError(f"{name}_gradient: shapes {upstream.shape} and {kept.shape} differ")
        out = _output(out, upstream.shape, upstream)
        flat, other, result = (a.reshape(1, -1) for a in (upstream, kept, out))
        _run(name + "_gradient", backend, flat, other, out=result, alpha=_alpha(name, alpha))
        return out

    formula = formulas.ACTIVATIONS[name]
    value.__name__ = value.__qualname__ = name
    value.__doc__ = formula.value.__doc__
    gradient.__name__ = gradient.__qualname__ = name + "_gradient"
    saved_is = "its output" if formula.reads == "y" else "its input"
    gradient.__doc__ = f"dy times the derivative of {name}; `saved` is {saved_is}."
    return value, gradient


def _update(name: str) -> Callable[..., None]:
    def update(
        w: Array,
        g: ArrayLike,
        slots: Sequence[Array] = (),
        *,
        iteration: int = 1,
        backend: str | None = None,
        **hyper: float,
    ) -> None:
        wanted = formulas.OPTIMIZERS[name].slots
        if len(slots) != wanted:
            raise ValueError(f"{name}: expected {wanted} slots, got {len(slots)}")
        _check_weight(w)
        for i, slot in enumerate(slots):
            _check_writeable(slot, w.shape, w.dtype, f"slots[{i}]")
        gradient = np.asarray(_floats(g)[0], w.dtype, order="C")
        if gradient.shape != w.shape:
            raise ValueError(f"{name}: g has shape {gradient.shape}, expected {w.shape}")
        _run(
            name,
            backend,
            np.asarray(w),
            gradient,
            tuple(map(np.asarray, slots)),
            iteration=iteration,
            **hyper,
        )

    update.__name__ = update.__qualname__ = name
    # Without the formula's example: the formula returns what the kernel does in place.
    rule, _, _ = inspect.cleandoc(formulas.OPTIMIZERS[name].update.__doc__ or "").partition(">>>")
    update.__doc__ = f"{rule.rstrip()}\n\nw and the slots receive the new values in place."
    return update


def adafactor(
    w: Array,
    g: ArrayLike,
    slots: Sequence[Array],
    *,
    learning_rate: float,
    beta_2_decay: float = -0.8,
    epsilon_1: float = 1e-30,
    epsilon_2: float = 1e-3,
    clip_threshold: float = 1.0,
    iteration: int = 1,
    backend: str | None = None,
) -> None:
    """The update rule of `hotloop.optimizers.Adafactor`, for a whole weight of any shape.

    Parameters
    ----------
    w : ndarray
        Receives the new weights.
    g : array-like
        Their gradient.
    slots : sequence of ndarray
        Mean squares of rows (of w's shape without its last axis) and of columns (without the last
        but one), or, of a vector, of its elements; they receive the new ones.

    Raises
    ------
    ValueError
        For other shapes and dtypes, and what cannot be written to.

    Examples
    --------
    >>> w, row, column = np.ones((2, 2)), np.zeros(2), np.zeros(2)
    >>> adafactor(w, [[1.0, -1.0], [1.0, 1.0]], (row, column), learning_rate=0.5)
    >>> w
    array([[0.5, 1.5],
           [0.5, 0.5]])
    """
    _whole_update(
        "adafactor",
        backend,
        w,
        g,
        slots,
        iteration=iteration,
        learning_rate=learning_rate,
        beta_2_decay=beta_2_decay,
        epsilon_1=epsilon_1,
        epsilon_2=epsilon_2,
        clip_threshold=clip_threshold,
    )


def lamb(
    w: Array,
    g: ArrayLike,
    slots: Sequence[Array],
    *,
    learning_rate: float,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    iteration: int = 1,
    backend: str | None = None,
) -> None:
    """The update rule of `hotloop.optimizers.Lamb`, for a whole weight of any shape.

    Parameters
    ----------
    w : ndarray
        Receives the new weights.
    g : array-like
        Their gradient.
    slots : sequence of ndarray
        The means of gradients and of their squares, of w's shape; they receive the new ones.

    Raises
    ------
    ValueError
        For other shapes and dtypes, and what cannot be written to.

    Examples
    --------
    >>> w, m, v = np.array([3.0, 4.0]), np.zeros(2), np.zeros(2)
    >>> lamb(w, [7.0, -7.0], (m, v), learning_rate=0.1, epsilon=0.0)
    >>> w.round(4)
    array([2.6464, 4.3536])
    """
    _whole_update(
        "lamb",
        backend,
        w,
        g,
        slots,
        iteration=iteration,
        learning_rate=learning_rate,
        beta_1=beta_1,
        beta_2=beta_2,
        epsilon=epsilon,
    )


def muon(
    w: Array,
    g: ArrayLike,
    slots: Sequence[Array],
    *,
    learning_rate: float,
    momentum: float = 0.95,
    nesterov: bool = True,
    muon_a: float = 3.4445,
    muon_b: float = -4.775,
    muon_c: float = 2.0315,
    ns_steps: int = 5,
    rms_rate: float | None = 0.2,
    iteration: int = 1,
    backend: str | None = None,
) -> None:
    """The update rule of `hotloop.optimizers.Muon`, for a matrix.

    Parameters
    ----------
    w : ndarray
        Receives the new weights.
    g : array-like
        Their gradient.
    slots : sequence of ndarray
        The momentum, of w's shape; it receives the new one.

    Raises
    ------
    ValueError
        For other shapes and dtypes, and what cannot be written to.

    Examples
    --------
    >>> w, m = np.ones((2, 2)), np.zeros((2, 2))
    >>> curve = {"muon_a": 1.5, "muon_b": -0.5, "muon_c": 0.0, "ns_steps": 20, "rms_rate": None}
    >>> muon(w, [[0.0, 2.0], [5.0, 0.0]], (m,), learning_rate=1.0, **curve)
    >>> w.round(4)
    array([[1., 0.],
           [0., 1.]])
    """
    _whole_update(
        "muon",
        backend,
        w,
        g,
        slots,
        iteration=iteration,
        learning_rate=learning_rate,
        momentum=momentum,
        nesterov=nesterov,
        muon_a=muon_a,
        muon_b=muon_b,
        muon_c=muon_c,
        ns_steps=ns_steps,
        rms_rate=rms_rate or 0.0,
    )


def _whole_update(
    name: str,
    backend: str | None,
    w: Array,
    g: ArrayLike,
    slots: Sequence[Array],
    **settings: float,
) -> None:
    _check_weight(w)
    shapes = WHOLE_UPDATES[name].slot_shapes(w.shape)
    if len(slots) != len(shapes):
        raise ValueError(f"{name}: expected {len(shapes)} slots, got {len(slots)}")
    for i, (slot, shape) in enumerate(zip(slots, shapes, strict=True)):
        _check_writeable(slot, shape, w.dtype, f"slots[{i}]")
    gradient = np.asarray(_floats(g)[0], w.dtype, order="C")
    if gradient.shape != w.shape:
        raise ValueError(f"{name}: g has shape {gradient.shape}, expected {w.shape}")
    _run(name, backend, np.asarray(w), gradient, tuple(map(np.asarray, slots)), **settings)


for _name in ACTIVATIONS:
    globals()[_name], globals()[_name + "_gradient"] = _activation(_name)
for _name in OPTIMIZERS:
    globals()[_name] = _update(_name)
