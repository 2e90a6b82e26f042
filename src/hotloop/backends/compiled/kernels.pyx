# cython: language_level=3, freethreading_compatible=True, cdivision=True
"""The ops of the compiled backend by themselves, with the signatures of the NumPy backend.

Models do not come this way: the executor runs their plans whole. Here each call builds one
step and runs it on a team.
"""

from cpython.buffer cimport PyBUF_SIMPLE
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

import inspect

from ... import backends
from ..formulas import ACTIVATIONS as ACTIVATION_FORMULAS
from ..formulas import LOSSES as LOSS_FORMULAS
from ..formulas import OPTIMIZERS as RULES
from ..labels import check_labels
from ..numpy import OPS as REFERENCE
from ..numpy import WHOLE_UPDATES, alpha_dropout_line, check_whole, with_settings
from .executor import Executor
from .runtime import cpu_count, cpu_name, isa
from .steps import (
    ACTIVATIONS,
    BATCH_LOSSES,
    CROSSENTROPIES,
    LOSSES,
    MERGES,
    METRICS,
    ROW_LOSSES,
    ROWWISE,
    STEPS,
    UPDATES,
)

from .csrc cimport (
    HL_F32,
    HL_F64,
    HL_LINEAR,
    HL_MAX_HYPER,
    hl_activation,
    hl_kernels,
    hl_optimizer,
    hl_powers,
    hl_team,
)
from .matmul cimport padded, product, product_scratch_bytes
from .runtime cimport (
    Buffer,
    PackedArray,
    forbid_between,
    kernels_of,
    numbers_of,
    prepare_update,
    random_order,
    run_on_team,
    set_dims,
    spaced,
)
from .steps cimport (
    ACTIVATION,
    ACTIVATION_GRADIENT,
    ADD_BIAS,
    ALPHA_DROPOUT,
    BIAS_GRADIENT,
    CHOICE_GRADIENT,
    COLUMN_MOMENTS,
    CIRCLE,
    CTC,
    COLUMNS,
    CONCATENATE,
    DROPOUT,
    GAUSSIAN,
    LAYER_NORM,
    LAYER_NORM_GRADIENT,
    LAYER_NORM_SCALE_GRADIENT,
    GLU,
    GLU_GRADIENT,
    ENCODE,
    INDICES,
    LOOKUP,
    LOOKUP_GRADIENT,
    LOSS,
    MERGE,
    METRIC,
    MOVING_AVERAGE,
    NORMALIZE,
    NORMALIZE_GRADIENT,
    NORMALIZE_SCALE_GRADIENT,
    PENALTY_GRADIENT,
    PRELU,
    PRELU_ALPHA_GRADIENT,
    PRELU_GRADIENT,
    ROW_LOSS,
    PERMUTE,
    ROW_PRODUCTS,
    SCALE,
    SOFTMAX_CROSSENTROPY,
    STANDARDIZE,
    UPDATE,
    WHOLE_UPDATE,
    Batch,
    Step,
    describe_whole,
    run_step,
)
from .worker cimport Worker

__all__ = ["OPS", "Executor", "cpu_count", "cpu_name", "isa"]

# Elements of an elementwise op, and multiply-adds of a product, for each thread.
cdef ptrdiff_t GRAIN = 1 << 15
cdef int64_t PRODUCT_GRAIN = 1 << 20


cdef struct Call:
    const Step *step
    Batch *batch
    char *scratch
    size_t scratch_bytes


cdef struct Product:
    const hl_kernels *kernels
    ptrdiff_t m
    ptrdiff_t n
    ptrdiff_t k
    char *a
    ptrdiff_t a_row
    ptrdiff_t a_col
    char *b
    ptrdiff_t b_row
    ptrdiff_t b_col
    char *bias
    int activation
    double alpha
    char *c
    char *scratch
    size_t scratch_bytes


cdef void run_call(void *argument, hl_team *team, int thread, int n_threads) noexcept nogil:
    cdef Call *call = <Call *> argument
    cdef Worker worker
    memset(&worker, 0, sizeof(Worker))
    worker.number, worker.n_workers, worker.team = thread, n_threads, team
    worker.scratch = call.scratch + thread * spaced(call.scratch_bytes)
    run_step(call.step, call.batch, &worker)


cdef void run_product(void *argument, hl_team *team, int thread, int n_threads) noexcept nogil:
    cdef Product *p = <Product *> argument
    cdef Worker worker
    memset(&worker, 0, sizeof(Worker))
    worker.number, worker.n_workers, worker.team = thread, n_threads, team
    worker.scratch = p.scratch + thread * spaced(p.scratch_bytes)
    product(p.kernels, p.m, p.n, p.k, p.a, p.a_row, p.a_col, p.b, p.b_row, p.b_col, p.bias,
            <hl_activation> p.activation, p.alpha, p.c, &worker)


cdef char *_address(array, dtype) except? NULL:
    """Where an array begins; ValueError unless it is contiguous and of this dtype."""
    if array is None:
        return NULL
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise ValueError(
            f"the compiled ops need C-contiguous arrays of one dtype ({dtype}), got "
            f"{array.dtype} of shape {array.shape} and strides {array.strides}"
        )
    return <char *> numbers_of(array, array.itemsize, PyBUF_SIMPLE)


cdef const hl_kernels *_kernels(array) except NULL:
    if array.dtype.char not in "fd" or not array.dtype.isnative:
        raise ValueError(f"the compiled ops work on float32 and float64, not on {array.dtype}")
    return kernels_of(array.dtype.char == "d")


cdef int _team_size(int64_t work, int64_t grain):
    return min(backends.num_threads(), max(1, work // grain))


cdef _run(Step *step, const hl_kernels *kernels, ptrdiff_t rows, const double *h=NULL,
          size_t scratch_bytes=0):
    """Runs one step on `rows` examples, with so much scratch memory for each thread."""
    cdef Batch batch
    cdef Buffer scratch
    cdef Call call
    cdef ptrdiff_t size = step.cols * (rows * step.group if step.group else 1)
    cdef int n_threads
    if size == 0:
        return
    memset(&batch, 0, sizeof(Batch))
    batch.kernels = kernels
    batch.rows = rows
    if h != NULL:
        memcpy(batch.h, h, sizeof(batch.h))
    n_threads = 1 if step.by_one else _team_size(size, GRAIN)
    call.step, call.batch = step, &batch
    call.scratch_bytes = scratch_bytes
    call.scratch = NULL
    if scratch_bytes:
        scratch = Buffer(spaced(scratch_bytes) * n_threads)
        call.scratch = scratch.data
        forbid_between(call.scratch, scratch_bytes, n_threads)
    with nogil:
        run_on_team(run_call, &call, n_threads)


cdef Step _elementwise(int code, a, b, out) except *:
    """A step on whole arrays of one shape, as rows of their last axis."""
    cdef Step step
    _kernels(a)
    memset(&step, 0, sizeof(Step))
    step.code = code
    step.group = 1
    for other in (b, out):
        if other is not None and other.shape != a.shape:
            raise ValueError(f"shapes {a.shape} and {other.shape} differ")
    step.cols = a.shape[-1] if a.ndim else 1
    step.in0 = _address(a, a.dtype)
    step.in1 = _address(b, a.dtype)
    step.out0 = _address(out, a.dtype)
    return step


cdef ptrdiff_t _rows(array):
    return array.size // max(array.shape[-1], 1) if array.ndim else 1


# ------------------------------------------------------------------- matrix product


cdef inline bint _apart(const char *a, ptrdiff_t a_bytes, const char *b, ptrdiff_t b_bytes):
    return a + a_bytes <= b or b + b_bytes <= a


cdef _product(a, b, bias, out, bint transpose_a, bint transpose_b, int activation, double alpha):
    cdef Product p
    cdef Buffer room, aside
    cdef const hl_kernels *kernels = _kernels(a)
    cdef char *result
    cdef int n_threads
    memset(&p, 0, sizeof(Product))
    p.kernels = kernels
    p.m, p.k = a.shape[::-1] if transpose_a else a.shape
    inner, p.n = b.shape[::-1] if transpose_b else b.shape
    if inner != p.k or out.shape != (p.m, p.n):
        raise ValueError(f"shapes {(p.m, p.k)}, {(inner, p.n)} and {out.shape} do not fit")
    if p.m == 0 or p.n == 0:
        return
    p.a, p.b, result = _address(a, a.dtype), _address(b, a.dtype), _address(out, a.dtype)
    p.c = result
    if not (
        _apart(result, out.nbytes, p.a, a.nbytes) and _apart(result, out.nbytes, p.b, b.nbytes)
    ):
        aside = Buffer(out.nbytes)
        p.c = aside.data
    p.a_row, p.a_col = p.k, 1
    if transpose_a:
        p.a_row, p.a_col = 1, p.m
    p.b_row, p.b_col = p.n, 1
    if transpose_b:
        p.b_row, p.b_col = 1, p.k
    if bias is not None:
        if bias.shape != (p.n,):
            raise ValueError(f"the bias has shape {bias.shape}, expected {(p.n,)}")
        room = Buffer(padded(kernels, p.n) * kernels.itemsize)
        memcpy(room.data, _address(bias, a.dtype), p.n * kernels.itemsize)
        p.bias = room.data
    p.activation, p.alpha = activation, alpha
    n_threads = _team_size(p.m * p.n * max(p.k, 1), PRODUCT_GRAIN)
    p.scratch_bytes = product_scratch_bytes(kernels, p.m, p.n, p.k)
    p.scratch = <char *> malloc(spaced(p.scratch_bytes) * n_threads)
    if p.scratch == NULL:
        raise MemoryError()
    forbid_between(p.scratch, p.scratch_bytes, n_threads)
    with nogil:
        run_on_team(run_product, &p, n_threads)
    free(p.scratch)
    if p.c != result:
        memcpy(result, p.c, out.nbytes)


def matmul(a, b, *, out, transpose_a=False, transpose_b=False):
    _product(a, b, None, out, transpose_a, transpose_b, HL_LINEAR, 0.0)


def dense(x, w, b=None, *, out, activation="linear", alpha=0.0):
    _product(x, w, b, out, False, False, ACTIVATIONS[activation], alpha)


def input_gradient(dy, w, *, out):
    _product(dy, w, None, out, False, True, HL_LINEAR, 0.0)


def weight_gradient(x, dy, *, out):
    _product(x, dy, None, out, True, False, HL_LINEAR, 0.0)


def bias_gradient(dy, *, out):
    cdef Step step
    cdef const hl_kernels *kernels = _kernels(dy)
    memset(&step, 0, sizeof(Step))
    if out.shape != dy.shape[1:]:
        raise ValueError(f"out has shape {out.shape}, expected {dy.shape[1:]}")
    step.code = BIAS_GRADIENT
    step.group = 1
    step.cols = dy.shape[1]
    step.in0, step.out0 = _address(dy, dy.dtype), _address(out, dy.dtype)
    if dy.shape[0] == 0:
        out[...] = 0
    _run(&step, kernels, dy.shape[0])


# ---------------------------------------------------------------------- elementwise


def add_bias(x, b, *, out):
    cdef Step step = _elementwise(ADD_BIAS, x, None, out)
    if b.shape != x.shape[1:]:
        raise ValueError(f"b has shape {b.shape}, expected {x.shape[1:]}")
    step.in1 = _address(b, x.dtype)
    _run(&step, _kernels(x), _rows(x))


def _merge(name):
    def merge(a, b, *, out):
        cdef Step step = _elementwise(MERGE, a, b, out)
        step.kind = MERGES[name]
        _run(&step, _kernels(a), _rows(a))

    return merge


def _choice_gradient(name):
    def gradient(dy, a, b, *, out):
        cdef Step step = _elementwise(CHOICE_GRADIENT, dy, a, out)
        if b.shape != dy.shape:
            raise ValueError(f"shapes {dy.shape} and {b.shape} differ")
        step.kind, step.in2 = MERGES[name], _address(b, dy.dtype)
        _run(&step, _kernels(dy), _rows(dy))

    return gradient


def scale(x, *, factor, offset, out):
    cdef Step step = _elementwise(SCALE, x, None, out)
    step.factor, step.option = factor, offset
    _run(&step, _kernels(x), _rows(x))


def concatenate(a, b, *, out):
    cdef Step step
    memset(&step, 0, sizeof(Step))
    rows, left = a.shape
    if out.shape != (rows, left + b.shape[1]) or b.shape[0] != rows:
        raise ValueError(f"shapes {a.shape}, {b.shape} and {out.shape} do not fit")
    step.code, step.group, step.inputs, step.cols = CONCATENATE, 1, left, out.shape[1]
    step.in0, step.in1 = _address(a, a.dtype), _address(b, a.dtype)
    step.out0 = _address(out, a.dtype)
    _run(&step, _kernels(a), rows)


def columns(x, *, first, out):
    cdef Step step
    memset(&step, 0, sizeof(Step))
    rows, cols = x.shape
    if out.shape[0] != rows or not 0 <= first <= first + out.shape[1] <= cols:
        raise ValueError(
            f"columns {first} to {first + out.shape[1]} of {x.shape} do not fit {out.shape}"
        )
    step.code, step.group, step.inputs, step.cols = COLUMNS, 1, cols, out.shape[1]
    step.slot = first
    step.in0, step.out0 = _address(x, x.dtype), _address(out, x.dtype)
    _run(&step, _kernels(x), rows)


def dropout(x, *, rate, key, out):
    cdef Step step = _elementwise(DROPOUT, x, None, out)
    cdef const hl_kernels *kernels = _kernels(x)
    cdef uint64_t bits = key % 2**64
    cdef double share = rate
    cdef ptrdiff_t n = x.size
    with nogil:
        kernels.dropout(share, bits, 0, step.in0, step.out0, n)


def alpha_dropout(x, *, rate, key, out):
    _alpha_dropout(x, rate, key, out, alpha_dropout_line(rate))


def alpha_dropout_gradient(dy, *, rate, key, out):
    _alpha_dropout(dy, rate, key, out, (alpha_dropout_line(rate)[0], 0.0, 0.0))


cdef _alpha_dropout(x, double rate, key, out, line):
    cdef Step step = _elementwise(ALPHA_DROPOUT, x, None, out)
    cdef const hl_kernels *kernels = _kernels(x)
    cdef uint64_t bits = key % 2**64
    cdef ptrdiff_t n = x.size
    step.factor, step.offset, step.dropped = line
    with nogil:
        kernels.alpha_dropout(rate, step.factor, step.offset, step.dropped, bits, 0, step.in0,
                              step.out0, n)


def gaussian_noise(x, *, stddev, key, out):
    _gaussian(False, x, stddev, key, out)


def gaussian_dropout(x, *, stddev, key, out):
    _gaussian(True, x, stddev, key, out)


cdef _gaussian(bint multiply, x, double stddev, key, out):
    cdef Step step = _elementwise(GAUSSIAN, x, None, out)
    cdef const hl_kernels *kernels = _kernels(x)
    cdef uint64_t bits = key % 2**64
    cdef ptrdiff_t n = x.size
    with nogil:
        kernels.gaussian(multiply, stddev, bits, 0, step.in0, step.out0, n)


def prelu(x, alpha, *, out):
    cdef Step step = _elementwise(PRELU, x, None, out)
    step.in1 = _vector("alpha", alpha, x, 1)
    _run(&step, _kernels(x), _rows(x))


def prelu_gradient(dy, x, alpha, *, out):
    cdef Step step = _elementwise(PRELU_GRADIENT, dy, x, out)
    step.in2 = _vector("alpha", alpha, x, 1)
    _run(&step, _kernels(x), _rows(x))


def prelu_alpha_gradient(dy, x, *, out):
    cdef Step step = _elementwise(PRELU_ALPHA_GRADIENT, dy, x, None)
    _sum_columns(&step, x, out)


def _activation(name, default):
    def value(x, *, out, alpha=default):
        cdef Step step = _elementwise(ACTIVATION, x, None, out)
        step.kind, step.option = ACTIVATIONS[name], alpha
        _run(&step, _kernels(x), _rows(x))

    def gradient(dy, saved, *, out, alpha=default):
        cdef Step step = _elementwise(ACTIVATION_GRADIENT, dy, saved, out)
        step.kind, step.option = ACTIVATIONS[name], alpha
        _run(&step, _kernels(dy), _rows(dy))

    return value, gradient


cdef _rowwise(str name, a, b, out):
    cdef Step step = _elementwise(ROWWISE[name], a, b, out)
    _run(&step, _kernels(a), _rows(a))


def softmax(x, *, out):
    _rowwise("softmax", x, None, out)


def softmax_gradient(dy, y, *, out):
    _rowwise("softmax_gradient", dy, y, out)


def log_softmax(x, *, out):
    _rowwise("log_softmax", x, None, out)


def log_softmax_gradient(dy, y, *, out):
    _rowwise("log_softmax_gradient", dy, y, out)


# -------------------------------------------------------------------- normalisation


cdef char *_vector(str name, array, like, int axis) except? NULL:
    """Address of a vector with a number for each row (axis 0) or column (axis 1) of a matrix."""
    if array is None:
        return NULL
    if array.shape != like.shape[axis:axis + 1]:
        raise ValueError(f"{name} has shape {array.shape}, expected {like.shape[axis:axis + 1]}")
    return _address(array, like.dtype)


cdef _sum_columns(Step *step, x, out):
    """A step whose output has a sum for each column."""
    step.out0 = _vector("out", out, x, 1)
    if x.shape[0] == 0:
        out[...] = 0
    _run(step, _kernels(x), _rows(x))


def column_moments(x, *, mean, variance):
    cdef Step step = _elementwise(COLUMN_MOMENTS, x, None, None)
    step.out0, step.out1 = _vector("mean", mean, x, 1), _vector("variance", variance, x, 1)
    if x.shape[0] == 0:
        mean[...] = variance[...] = float("nan")
    _run(&step, _kernels(x), _rows(x))


def normalize(x, mean, variance, gamma, beta, *, epsilon, out):
    cdef Step step = _elementwise(NORMALIZE, x, None, out)
    _of_columns(&step, x, mean, variance, gamma)
    step.in2, step.option = _vector("beta", beta, x, 1), epsilon
    _run(&step, _kernels(x), _rows(x))


def normalize_scale_gradient(dy, x, mean, variance, *, epsilon, out):
    cdef Step step = _elementwise(NORMALIZE_SCALE_GRADIENT, dy, x, None)
    _of_columns(&step, x, mean, variance, None)
    step.option = epsilon
    _sum_columns(&step, x, out)


def normalize_gradient(dy, x, mean, variance, gamma, dgamma, dbeta, *, epsilon, out):
    cdef Step step = _elementwise(NORMALIZE_GRADIENT, dy, x, out)
    _of_columns(&step, x, mean, variance, gamma)
    if dgamma is not None and dbeta is not None:
        step.out1, step.in2 = _vector("dgamma", dgamma, x, 1), _vector("dbeta", dbeta, x, 1)
    step.option = epsilon
    _run(&step, _kernels(x), _rows(x))


cdef _of_columns(Step *step, x, mean, variance, gamma):
    step.state[0], step.state[1] = _vector("mean", mean, x, 1), _vector("variance", variance, x, 1)
    step.state[2] = _vector("gamma", gamma, x, 1)


def moving_average_update(average, value, *, momentum):
    cdef Step step = _elementwise(MOVING_AVERAGE, value, None, average)
    step.group, step.cols, step.option = 0, value.size, momentum
    _run(&step, _kernels(value), 1)


def layer_norm(x, gamma, beta, *, epsilon, centered=True, out, mean=None, inverse=None):
    cdef Step step = _elementwise(LAYER_NORM, x, None, out)
    _of_rows(&step, x, mean, inverse, gamma)
    step.in2, step.option, step.centered = _vector("beta", beta, x, 1), epsilon, centered
    _run(&step, _kernels(x), _rows(x))


def layer_norm_scale_gradient(dy, x, mean, inverse, *, out):
    cdef Step step = _elementwise(LAYER_NORM_SCALE_GRADIENT, dy, x, None)
    _of_rows(&step, x, mean, inverse, None)
    _sum_columns(&step, x, out)


def layer_norm_gradient(dy, x, mean, inverse, gamma, *, centered=True, out):
    cdef Step step = _elementwise(LAYER_NORM_GRADIENT, dy, x, out)
    _of_rows(&step, x, mean, inverse, gamma)
    step.centered = centered
    _run(&step, _kernels(x), _rows(x))


cdef _of_rows(Step *step, x, mean, inverse, gamma):
    step.state[0], step.state[1] = _vector("mean", mean, x, 0), _vector("inverse", inverse, x, 0)
    step.state[2] = _vector("gamma", gamma, x, 1)


def sparsemax(x, *, out):
    _rowwise("sparsemax", x, None, out)


def sparsemax_gradient(dy, y, *, out):
    _rowwise("sparsemax_gradient", dy, y, out)


cdef Step _gated(int code, x, half, second, out) except *:
    """A step on glu's input, or what has its shape, and what has half of its columns."""
    cdef Step step
    memset(&step, 0, sizeof(Step))
    rows, cols = half.shape
    if x.shape != (rows, 2 * cols):
        raise ValueError(f"shapes {x.shape} and {half.shape} do not fit")
    step.code, step.group, step.cols = code, 1, cols
    step.in1 = _address(second, x.dtype)
    step.out0 = _address(out, x.dtype)
    return step


def glu(x, *, out):
    cdef Step step = _gated(GLU, x, out, None, out)
    step.in0 = _address(x, x.dtype)
    _run(&step, _kernels(x), out.shape[0])


def glu_gradient(dy, x, *, out):
    cdef Step step = _gated(GLU_GRADIENT, x, dy, x, out)
    if out.shape != x.shape:
        raise ValueError(f"shapes {x.shape} and {out.shape} differ")
    step.in0 = _address(dy, x.dtype)
    _run(&step, _kernels(x), dy.shape[0])


def unit_rows(x, *, out):
    _rowwise("unit_rows", x, None, out)


def unit_rows_gradient(dy, x, *, out):
    _rowwise("unit_rows_gradient", dy, x, out)


# ------------------------------------------------- indices, and examples of several rows


cdef Step _of_shapes(int code, ptrdiff_t inputs, ptrdiff_t cols, out, shape) except *:
    """A step that writes an output of this shape, as rows of its last axis."""
    cdef Step step
    memset(&step, 0, sizeof(Step))
    _check_shape("out", out, shape)
    step.code, step.group, step.inputs, step.cols = code, 1, inputs, cols
    return step


cdef _check_shape(str name, array, shape):
    if array.shape != tuple(shape):
        raise ValueError(f"{name} has shape {array.shape}, expected {tuple(shape)}")


cdef _read_in_order(Step *step, x, axes):
    """The rows of x as a step reads them, their axes being taken in this order."""
    cdef const hl_kernels *kernels = _kernels(x)
    step.source.data = _address(x, x.dtype)
    step.source.dtype = HL_F64 if kernels.itemsize == 8 else HL_F32
    step.source.row_stride = x.strides[0] if x.ndim else 0
    set_dims(&step.source, [(x.shape[a], x.strides[a]) for a in axes], kernels.itemsize)


def indices(x, *, out):
    cdef Step step = _of_shapes(INDICES, 0, x[:1].size, out, x.shape)
    _read_in_order(&step, x, range(1, x.ndim))
    step.out0 = _address(out, "int32")
    _run(&step, _kernels(x), len(x))


def lookup(index, w, *, out):
    cdef Step step = _of_shapes(LOOKUP, len(w), w.shape[1], out, (*index.shape, w.shape[1]))
    table = PackedArray(w.shape, w.dtype)
    table.load(w)
    step.in0, step.in1 = _address(index, "int32"), (<PackedArray> table).data()
    step.out0 = _address(out, w.dtype)
    _run(&step, _kernels(w), index.size)


def lookup_gradient(dy, index, *, out):
    cdef Step step = _of_shapes(
        LOOKUP_GRADIENT, len(out), out.shape[1], dy, (*index.shape, out.shape[1])
    )
    table = PackedArray(out.shape, out.dtype)
    step.in0, step.in1 = _address(dy, out.dtype), _address(index, "int32")
    step.out0 = (<PackedArray> table).data()
    _run(&step, _kernels(out), index.size)
    table.store(out)


def encode(index, *, counts, out):
    shape = (*index.shape[:-1], out.shape[-1])
    cdef Step step = _of_shapes(ENCODE, index.shape[-1], out.shape[-1], out, shape)
    step.kind = counts
    step.in0, step.out0 = _address(index, "int32"), _address(out, out.dtype)
    _run(&step, _kernels(out), _rows(out))


def permute(x, *, axes, out):
    shape = (len(x), *(x.shape[1 + axis] for axis in axes))
    cdef Step step = _of_shapes(PERMUTE, 0, x[:1].size, out, shape)
    _read_in_order(&step, x, [1 + axis for axis in axes])
    step.out0 = _address(out, x.dtype)
    _run(&step, _kernels(x), len(x))


def _steps(name):
    def run(x, *, out):
        *_, steps, cols = out.shape if name == "repeat_steps" else x.shape
        cdef Step step = _of_shapes(STEPS[name], steps, cols, x, x.shape)
        few, many = (x, out) if name == "repeat_steps" else (out, x)
        _check_shape("out or x", few, (*many.shape[:-2], cols))
        step.in0, step.out0 = _address(x, x.dtype), _address(out, x.dtype)
        _run(&step, _kernels(x), _rows(few))

    return run


def max_steps_gradient(dy, x, y, *, out):
    cdef Step step = _of_shapes(
        STEPS["max_steps_gradient"], x.shape[-2], x.shape[-1], out, x.shape
    )
    for name, array in (("dy", dy), ("y", y)):
        _check_shape(name, array, (*x.shape[:-2], x.shape[-1]))
    step.in0, step.in1 = _address(dy, x.dtype), _address(x, x.dtype)
    step.in2, step.out0 = _address(y, x.dtype), _address(out, x.dtype)
    _run(&step, _kernels(x), _rows(dy))


def row_products(a, b, *, out):
    shape = (*a.shape[:-1], b.shape[-2])
    cdef Step step = _of_shapes(ROW_PRODUCTS, a.shape[-1], a.shape[-2] * b.shape[-2], out, shape)
    _check_shape("b", b, (*a.shape[:-2], *b.shape[-2:-1], a.shape[-1]))
    step.slot = b.shape[-2]
    step.in0, step.in1 = _address(a, a.dtype), _address(b, a.dtype)
    step.out0 = _address(out, a.dtype)
    _run(&step, _kernels(a), out.size // max(step.cols, 1))


def standardize(x, mean, variance, *, invert, out):
    _standardize(x, mean, variance, invert, out)


def standardize_gradient(dy, variance, *, invert, out):
    _standardize(dy, None, variance, invert, out)


cdef _standardize(x, mean, variance, invert, out):
    cdef Step step = _of_shapes(STANDARDIZE, x.shape[-2], x.shape[-2] * x.shape[-1], out, x.shape)
    for name, array in (("mean", mean), ("variance", variance)):
        if array is not None:
            _check_shape(name, array, x.shape[-2:-1])
    step.kind = invert
    step.in0, step.in1 = _address(x, x.dtype), _address(mean, x.dtype)
    step.in2, step.out0 = _address(variance, x.dtype), _address(out, x.dtype)
    _run(&step, _kernels(x), x.size // max(step.cols, 1))


# --------------------------------------------------------------- losses and metrics


cdef Step _rows_of_loss(int code, y_true, y_pred, weight, values, bint sparse) except *:
    """A step with targets, predictions, weights and one value for each row."""
    cdef Step step
    memset(&step, 0, sizeof(Step))
    rows, cols = y_pred.shape
    if y_true.shape != ((rows,) if sparse else (rows, cols)) or values.shape != (rows,):
        raise ValueError(
            f"targets {y_true.shape}, predictions {y_pred.shape} and values {values.shape} do "
            "not fit"
        )
    if weight is not None and weight.shape != (rows,):
        raise ValueError(f"weight has shape {weight.shape}, expected {(rows,)}")
    if cols == 0:
        raise ValueError("predictions have no columns")
    step.code = code
    step.group = 1
    step.cols = cols
    step.sparse = sparse
    step.in0 = _address(y_true, "int32" if sparse else y_pred.dtype)
    step.in1 = _address(y_pred, y_pred.dtype)
    step.in2 = _address(weight, y_pred.dtype)
    step.out0 = _address(values, y_pred.dtype)
    return step


cdef _run_loss(Step *step, y_pred, gradient, probability, double scale):
    for out in (gradient, probability):
        if out is not None and out.shape != y_pred.shape:
            raise ValueError(f"an output has shape {out.shape}, expected {y_pred.shape}")
    step.out1 = _address(gradient, y_pred.dtype)
    step.out2 = _address(probability, y_pred.dtype)
    step.summed = True
    step.factor = scale
    _run(step, _kernels(y_pred), y_pred.shape[0])


def _loss(name, default):
    def loss(y_true, y_pred, weight, *, values, gradient=None, scale=1.0, param=default):
        cdef Step step = _rows_of_loss(LOSS, y_true, y_pred, weight, values, False)
        step.kind, step.option = LOSSES[name], param
        step.by_one = name in BATCH_LOSSES
        _run_loss(&step, y_pred, gradient, None, scale)

    return loss


def categorical_crossentropy(
    y_true, y_pred, weight, *, values, gradient=None, scale=1.0, smoothing=0.0
):
    cdef Step step = _rows_of_loss(
        CROSSENTROPIES["categorical_crossentropy"], y_true, y_pred, weight, values, False
    )
    step.option = smoothing
    _run_loss(&step, y_pred, gradient, None, scale)


def sparse_categorical_crossentropy(label, y_pred, weight, *, values, gradient=None, scale=1.0):
    check_labels(label, y_pred.shape[1])
    cdef Step step = _rows_of_loss(
        CROSSENTROPIES["sparse_categorical_crossentropy"], label, y_pred, weight, values, True
    )
    _run_loss(&step, y_pred, gradient, None, scale)


def softmax_crossentropy(
    y_true, x, weight, *, values, probability=None, gradient=None, scale=1.0, smoothing=0.0,
    clip=False,
):
    cdef Step step = _rows_of_loss(SOFTMAX_CROSSENTROPY, y_true, x, weight, values, False)
    step.option, step.clip = smoothing, clip
    _run_loss(&step, x, gradient, probability, scale)


def sparse_softmax_crossentropy(
    label, x, weight, *, values, probability=None, gradient=None, scale=1.0, clip=False
):
    check_labels(label, x.shape[1])
    cdef Step step = _rows_of_loss(SOFTMAX_CROSSENTROPY, label, x, weight, values, True)
    step.clip = clip
    _run_loss(&step, x, gradient, probability, scale)


def _row_loss(name, reference):
    """The signature, options and their defaults included, is the reference's."""
    signature = inspect.signature(reference)
    code, options = ROW_LOSSES[name]
    defaults = {option: signature.parameters[option].default for option in options}
    sparse = name == "generalized_crossentropy"

    def loss(y_true, y_pred, weight, *, values, gradient=None, scale=1.0, **given):
        if sparse:
            check_labels(y_true, y_pred.shape[1])
        cdef Step step = _rows_of_loss(ROW_LOSS, y_true, y_pred, weight, values, sparse)
        if not given.keys() <= defaults.keys():
            raise TypeError(f"{name} takes {', '.join(options)}, got {', '.join(given)}")
        for i, option in enumerate(options):
            step.options[i] = given.get(option, defaults[option])
        step.kind = code
        step.by_one = name in BATCH_LOSSES
        _run_loss(&step, y_pred, gradient, None, scale)

    loss.__signature__ = signature
    return loss


def ctc(label, x, weight, *, values, gradient=None, scale=1.0):
    cdef Step step
    cdef const hl_kernels *kernels = _kernels(x)
    examples, (rows, cols) = len(values), x.shape
    if not examples or rows % examples or len(label) % examples:
        raise ValueError(
            f"labels {label.shape} and logits {x.shape} are not those of {examples} examples"
        )
    if weight is not None and weight.shape != values.shape:
        raise ValueError(f"weight has shape {weight.shape}, expected {values.shape}")
    check_labels(label, cols)
    memset(&step, 0, sizeof(Step))
    step.code = CTC
    step.group, step.inputs, step.cols = rows // examples, len(label) // examples, cols
    step.sparse = True
    step.in0, step.in1 = _address(label, "int32"), _address(x, x.dtype)
    step.in2, step.out0 = _address(weight, x.dtype), _address(values, x.dtype)
    step.out1 = _address(gradient, x.dtype)
    step.summed, step.factor = True, scale
    _run(&step, kernels, examples, NULL, kernels.ctc_room(step.group, step.inputs))


def circle(
    label, x, weight, *, values, gradient=None, scale=1.0, gamma=80.0, margin=0.4,
    remove_diagonal=True, over_positive=False,
):
    cdef Step step = _rows_of_loss(CIRCLE, label, x, weight, values, True)
    for i, option in enumerate((gamma, margin, remove_diagonal, over_positive)):
        step.options[i] = option
    step.by_one = True
    step.out1 = _address(gradient, x.dtype)
    step.summed, step.factor = True, scale
    _run(&step, _kernels(x), len(x), NULL, _kernels(x).circle_room(len(x)))


cdef _metric(str name, y_true, y_pred, weight, values, double param, bint sparse):
    cdef Step step = _rows_of_loss(METRIC, y_true, y_pred, weight, values, sparse)
    step.kind, step.option = METRICS[name], param
    _run(&step, _kernels(y_pred), y_pred.shape[0])


def binary_accuracy(y_true, y_pred, weight, *, values, param=0.5):
    _metric("binary_accuracy", y_true, y_pred, weight, values, param, False)


def categorical_accuracy(y_true, y_pred, weight, *, values):
    _metric("categorical_accuracy", y_true, y_pred, weight, values, 0.0, False)


def sparse_categorical_accuracy(label, y_pred, weight, *, values):
    _metric("sparse_categorical_accuracy", label, y_pred, weight, values, 0.0, True)


def top_k_accuracy(y_true, y_pred, weight, *, values, param=5.0):
    _metric("top_k_accuracy", y_true, y_pred, weight, values, param, False)


def sparse_top_k_accuracy(label, y_pred, weight, *, values, param=5.0):
    check_labels(label, y_pred.shape[1])
    _metric("sparse_top_k_accuracy", label, y_pred, weight, values, param, True)


def pearson_correlation(y_true, y_pred, weight, *, values):
    _metric("pearson_correlation", y_true, y_pred, weight, values, 0.0, False)


def concordance_correlation(y_true, y_pred, weight, *, values):
    _metric("concordance_correlation", y_true, y_pred, weight, values, 0.0, False)


# ----------------------------------------------------------------------- optimizers


def _check_settings(name, fields, hyper):
    if set(hyper) != set(fields):
        raise TypeError(f"{name} takes {', '.join(fields)}, got {', '.join(hyper)}")


def _update(name, fields, n_slots):
    def update(w, g, slots, *, iteration, **hyper):
        cdef Step step = _elementwise(UPDATE, w, g, None)
        cdef double given[HL_MAX_HYPER]
        cdef double h[HL_MAX_HYPER]
        cdef hl_powers powers[2]
        step.kind = UPDATES[name]
        _check_settings(name, fields, hyper)
        for i, field in enumerate(fields):
            given[i] = hyper[field]
        if len(slots) != n_slots:
            raise ValueError(f"{name} keeps {n_slots} arrays of state, got {len(slots)}")
        memset(powers, 0, sizeof(powers))
        prepare_update(<hl_optimizer> step.kind, given, iteration, powers, h)
        step.group = 0
        step.cols = w.size
        step.in0, step.out0 = step.in1, step.in0
        for i, slot in enumerate(slots):
            if slot.shape != w.shape:
                raise ValueError(f"slot {i} has shape {slot.shape}, expected {w.shape}")
            step.state[i] = _address(slot, w.dtype)
        _run(&step, _kernels(w), 1, h)

    return with_settings(update, fields)


def _whole_update(name, fields):
    def update(w, g, slots, *, iteration, **hyper):
        cdef Step step
        cdef const hl_kernels *kernels = _kernels(w)
        cdef double given[HL_MAX_HYPER]
        cdef double h[HL_MAX_HYPER]
        cdef hl_powers powers[2]
        _check_settings(name, fields, hyper)
        memset(given, 0, sizeof(given))
        for i, field in enumerate(fields):
            given[i] = hyper[field]
        check_whole(name, w, g, slots)
        memset(powers, 0, sizeof(powers))
        memset(&step, 0, sizeof(Step))
        step.code, step.kind = WHOLE_UPDATE, UPDATES[name]
        prepare_update(<hl_optimizer> step.kind, given, iteration, powers, h)
        step.in0, step.out0 = _address(g, w.dtype), _address(w, w.dtype)
        for i, slot in enumerate(slots):
            step.state[i] = _address(slot, w.dtype)
        describe_whole(&step, w.shape)
        room = Buffer(kernels.whole_update_room(&step.whole))
        step.whole.room = room.data
        step.cols = w.size
        _run(&step, kernels, 1, h)

    return with_settings(update, fields)


def penalty(w, *, l1, l2):
    cdef const hl_kernels *kernels = _kernels(w)
    return kernels.penalty(l1, l2, _address(w, w.dtype), w.size)


def penalty_gradient(w, g, *, l1, l2):
    cdef Step step = _elementwise(PENALTY_GRADIENT, g, w, g)
    step.option, step.factor = l1, l2
    step.group = 0
    step.cols = w.size
    _run(&step, _kernels(w), 1)


def permutations(keys, *, out):
    cdef const uint64_t[::1] key = keys
    cdef int64_t[:, ::1] order = out
    cdef ptrdiff_t i
    if order.shape[1]:
        with nogil:
            for i in range(order.shape[0]):
                random_order(key[i], order.shape[1], &order[i, 0])


def _table():
    table = {
        op.__name__: op
        for op in (
            matmul,
            add_bias,
            bias_gradient,
            scale,
            concatenate,
            columns,
            dense,
            input_gradient,
            weight_gradient,
            dropout,
            alpha_dropout,
            alpha_dropout_gradient,
            gaussian_noise,
            gaussian_dropout,
            prelu,
            prelu_gradient,
            prelu_alpha_gradient,
            column_moments,
            normalize,
            normalize_scale_gradient,
            normalize_gradient,
            moving_average_update,
            layer_norm,
            layer_norm_scale_gradient,
            layer_norm_gradient,
            softmax,
            softmax_gradient,
            log_softmax,
            log_softmax_gradient,
            sparsemax,
            sparsemax_gradient,
            glu,
            glu_gradient,
            unit_rows,
            unit_rows_gradient,
            indices,
            lookup,
            lookup_gradient,
            encode,
            permute,
            max_steps_gradient,
            row_products,
            standardize,
            standardize_gradient,
            categorical_crossentropy,
            sparse_categorical_crossentropy,
            softmax_crossentropy,
            sparse_softmax_crossentropy,
            ctc,
            circle,
            binary_accuracy,
            categorical_accuracy,
            sparse_categorical_accuracy,
            top_k_accuracy,
            sparse_top_k_accuracy,
            pearson_correlation,
            concordance_correlation,
            penalty,
            penalty_gradient,
            permutations,
        )
    }
    for name, formula in ACTIVATION_FORMULAS.items():
        default = 0.0 if formula.alpha is None else formula.alpha
        table[name], table[name + "_gradient"] = _activation(name, default)
    for name, formula in LOSS_FORMULAS.items():
        table[name] = _loss(name, 0.0 if formula.param is None else formula.param)
    table |= {name: _row_loss(name, REFERENCE[name]) for name in ROW_LOSSES}
    table |= {name: _merge(name) for name in MERGES}
    table |= {name: _steps(name) for name in ("sum_steps", "repeat_steps", "max_steps")}
    for name in ("maximum", "minimum"):
        table[name + "_gradient"] = _choice_gradient(name)
    table |= {name: _update(name, rule.hyper, rule.slots) for name, rule in RULES.items()}
    table |= {name: _whole_update(name, rule.hyper) for name, rule in WHOLE_UPDATES.items()}
    return table


OPS = _table()
