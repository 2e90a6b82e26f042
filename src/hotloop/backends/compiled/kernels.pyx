# cython: language_level=3, freethreading_compatible=True, cdivision=True
"""The ops of the compiled backend by themselves, with the signatures of the NumPy backend.

Models do not come this way: the executor runs their plans whole. Here each call makes one step, by
the same lowering, of NumPy arrays, and runs it on a team. What has another shape on purpose stands
by itself: products of matrices that are not packed, penalties, updates, and random orders.
"""

from cpython.buffer cimport PyBUF_SIMPLE
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

import inspect
import re
from math import prod

import numpy as np

from ... import backends
from ..formulas import LOSSES as LOSS_FORMULAS
from ..formulas import OPTIMIZERS as RULES
from ..labels import check_labels
from ..numpy import OPS as REFERENCE
from ..numpy import WHOLE_UPDATES, check_whole, with_settings
from .executor import Executor
from .runtime import cpu_count, cpu_name, isa
from .steps import ACTIVATIONS, ARRAYS, LOWERINGS, METRICS, ROW_LOSSES, UPDATES

from .csrc cimport (
    HL_F32,
    HL_F64,
    HL_I32,
    HL_LINEAR,
    HL_MAX_HYPER,
    hl_activation,
    hl_dtype,
    hl_kernels,
    hl_optimizer,
    hl_powers,
    hl_team,
)
from .matmul cimport Matrices, matrices, padded, product_scratch_bytes, products
from .runtime cimport (
    Buffer,
    PackedArray,
    forbid_between,
    kernels_of,
    numbers_of,
    prepare_update,
    random_order,
    run_on_team,
    spaced,
)
from .steps cimport (
    ARGS_BYTES,
    HL_BY_ALL,
    HL_BY_ONE,
    Batch,
    Lowering,
    Operand,
    Step,
    do_step,
    operand,
)
from .worker cimport Worker

__all__ = ["OPS", "Executor", "cpu_count", "cpu_name", "isa"]

# Elements of a step, and multiply-adds of a product, for each thread.
cdef ptrdiff_t GRAIN = 1 << 15
cdef int64_t PRODUCT_GRAIN = 1 << 20


cdef struct Call:
    const Step *step
    Batch *batch
    char *scratch
    size_t scratch_bytes


# A product of matrices that are not packed. bias may be NULL, and has room for whole panels.
cdef struct Product:
    ptrdiff_t m
    ptrdiff_t n
    ptrdiff_t k
    Matrices a
    Matrices b
    char *bias
    int activation
    double alpha
    char *c


cdef void run_call(void *argument, hl_team *team, int thread, int n_threads) noexcept nogil:
    cdef Call *call = <Call *> argument
    cdef Worker worker, alone
    memset(&worker, 0, sizeof(Worker))
    worker.number, worker.n_workers, worker.team = thread, n_threads, team
    worker.scratch = call.scratch + thread * spaced(call.scratch_bytes)
    alone = worker
    alone.n_workers = 1
    do_step(call.step, call.batch, &worker, &alone)


cdef void run_product(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                      Worker *worker) noexcept nogil:
    cdef const Product *p = <const Product *> args
    products(batch.kernels, 1, p.m, p.n, p.k, &p.a, &p.b, p.bias, <hl_activation> p.activation,
             p.alpha, p.c, worker)


cdef _on_team(const Step *step, Batch *batch, size_t scratch_bytes, int n_threads):
    """Runs a step. Each thread has so much memory for itself, which nobody clears."""
    cdef Call call
    call.step, call.batch, call.scratch, call.scratch_bytes = step, batch, NULL, scratch_bytes
    if scratch_bytes:
        call.scratch = <char *> malloc(spaced(scratch_bytes) * n_threads)
        if call.scratch == NULL:
            raise MemoryError(f"cannot allocate {spaced(scratch_bytes) * n_threads} bytes")
        forbid_between(call.scratch, scratch_bytes, n_threads)
    with nogil:
        run_on_team(run_call, &call, n_threads)
    free(call.scratch)


cdef char *_address(array, dtype) except? NULL:
    """Where an array begins; ValueError unless it is contiguous and of this dtype."""
    found = array.dtype
    if found is dtype or found == dtype:
        try:
            return <char *> numbers_of(array, array.itemsize, PyBUF_SIMPLE)
        except (BufferError, ValueError):
            if array.flags.c_contiguous:
                raise
    raise ValueError(
        f"the compiled ops need C-contiguous arrays of one dtype ({dtype}), got "
        f"{array.dtype} of shape {array.shape} and strides {array.strides}"
    )


cdef const hl_kernels *_kernels(array) except NULL:
    if array.dtype.char not in "fd" or not array.dtype.isnative:
        raise ValueError(f"the compiled ops work on float32 and float64, not on {array.dtype}")
    return kernels_of(array.dtype.char == "d")


cdef int _team_size(int64_t work, int64_t grain):
    return 1 if work < 2 * grain else min(backends.num_threads(), work // grain)


# Lowerings that no call has. A call takes one, or makes one, and puts it back at its end, so there
# are as many as there were calls at once.
cdef list _idle = []


cdef Lowering _take_lowering():
    cdef Lowering to
    try:
        to = _idle.pop()
    except IndexError:
        to = Lowering()
        to.block = Buffer(ARGS_BYTES)
    memset(to.block.data, 0, to.block.size)
    to.used = to.scratch_bytes = 0
    to.rooms.clear()
    return to


cdef _run(str name, list inputs, list outputs, dict attributes, const hl_kernels *kernels,
          ptrdiff_t examples, ptrdiff_t size, const double *h=NULL):
    """Makes and runs one step on so many examples, with threads for an array of this size."""
    cdef Lowering to = _take_lowering()
    cdef Batch batch
    cdef Step step
    memset(&batch, 0, sizeof(Batch))
    memset(&step, 0, sizeof(Step))
    to.kernels, to.examples = kernels, examples
    to.begin(&step, name, None)
    LOWERINGS[name](to, inputs, outputs, attributes)
    batch.kernels, batch.rows = kernels, examples
    if h != NULL:
        memcpy(batch.h, h, sizeof(batch.h))
    _on_team(&step, &batch, to.scratch_bytes,
             1 if step.share == HL_BY_ONE else _team_size(size, GRAIN))
    to.rooms.clear()
    _idle.append(to)


# ------------------------------------------------------------------ ops as steps


cdef class _Array:
    """One array of an op's signature, as a word of `lowers` says it."""

    cdef readonly str name, lead
    cdef readonly bint batched, optional, packed, labels
    cdef readonly list axes

    def __init__(self, str word):
        self.name, marks, axes = re.fullmatch(r"(\w+)([?!#]*) (\S+)", word.strip()).groups()
        self.optional, self.packed, self.labels = (mark in marks for mark in "?!#")
        self.lead = axes[0] if axes[0] in "*^" else ""
        self.batched = bool(self.lead)
        self.axes = re.findall(r"\w|\(\w\+\w\)|\(2\w\)", axes[len(self.lead) :])

    cdef tuple expected(self, dict sizes):
        """The shape that the array must have, as far as sizes of axes are known."""
        lead = sizes["*"] if self.lead else ()
        if self.lead == "^":
            lead = lead[: len(sizes["^"])]
        return (*lead, *(_size(axis, sizes) for axis in self.axes))

    cdef learn(self, tuple shape, dict sizes):
        """Takes sizes from its shape that are not known yet."""
        at = max(len(shape) - len(self.axes), 0)
        if self.lead:
            sizes.setdefault(self.lead, shape[:at])
        for axis, size in zip(self.axes, shape[at if self.lead else 0 :]):
            if len(axis) == 1:
                sizes.setdefault(axis, size)


def _size(axis, sizes):
    """The size of an axis, its name if it is not known."""
    if len(axis) == 1:
        return sizes.get(axis, axis)
    first, second = axis[1], axis[-2]
    if "+" in axis:
        return sizes[first] + sizes[second] if first in sizes and second in sizes else axis
    return 2 * sizes[second] if second in sizes else axis


cdef object INT32 = np.dtype(np.int32)

# Shapes that an op remembers as fitting: calls in a loop have few.
cdef Py_ssize_t REMEMBERED = 64


cdef class _Fit:
    """What all calls of an op with arrays of the same shapes and dtype have in common."""

    cdef const hl_kernels *kernels
    cdef list dims  # of each operand
    cdef ptrdiff_t examples
    cdef ptrdiff_t size  # the most elements of an array; 0 if there is nothing to do


cdef class _Op:
    """An op that is one step, called with arrays as the reference is."""

    cdef readonly str __name__
    cdef str words  # what `arrays` is read from, by the first call
    cdef list arrays  # inputs, then outputs
    cdef Py_ssize_t n_inputs
    cdef object attributes_of
    cdef object signature
    cdef dict defaults  # of options that have one
    cdef tuple required  # the others
    cdef dict fits  # shapes and dtype -> _Fit
    cdef str op
    cdef double empty

    def __init__(self, str name, str words, attributes_of=None, str op="", double empty=0.0):
        self.__name__, self.op = name, op or name  # as the table and as graphs call it
        self.words, self.attributes_of, self.empty = words, attributes_of, empty
        self.fits = {}

    @property
    def __signature__(self):
        if self.signature is None:
            self.signature = inspect.signature(REFERENCE[self.__name__])
        return self.signature

    cdef _read(self):
        """Reads words and signature. Another thread that does so meanwhile finds the same."""
        given, written = (side.split(",") for side in self.words.split("->"))
        arrays = [_Array(word) for word in (*given, *written)]
        names = {array.name for array in arrays}
        options = [p for p in self.__signature__.parameters.values() if p.name not in names]
        self.n_inputs = len(given)
        self.required = tuple(p.name for p in options if p.default is p.empty)
        self.defaults = {p.name: p.default for p in options if p.default is not p.empty}
        self.arrays = arrays  # at last: those who see them see all

    def __call__(self, *given, **named):
        cdef Py_ssize_t i
        cdef _Array array
        cdef _Fit fit
        cdef list found = list(given), seen = []
        if self.arrays is None:
            self._read()
        if len(found) > self.n_inputs:
            raise TypeError(f"{self.__name__} takes {self.n_inputs} arrays, got {len(found)}")
        for i in range(len(found), len(self.arrays)):
            array = self.arrays[i]
            found.append(named.pop(array.name, None))
        options = self._with_defaults(named)
        for one in found:
            seen.append(None if one is None else one.shape)
        array = self.arrays[0]
        first = found[1] if array.labels else found[0]
        seen.append(None if first is None else first.dtype)
        key = tuple(seen)
        fit = self.fits.get(key)
        if fit is None:
            fit = self._fit(found, first)
            if len(self.fits) >= REMEMBERED:
                self.fits.clear()
            self.fits[key] = fit
        if self.attributes_of is not None:
            by_name = {}
            for i in range(len(found)):
                array = self.arrays[i]
                by_name[array.name] = found[i]
            options = self.attributes_of(self.__name__, by_name, options)
            found = [*by_name.values()]
        self._step(found, first.dtype, fit, options)

    cdef dict _with_defaults(self, dict named):
        """All options of a call; TypeError if there are others, or one is missing."""
        cdef dict options = self.defaults | named if self.defaults else named
        cdef Py_ssize_t missing = 0
        for name in self.required:
            missing += name not in options
        if len(options) + missing > len(self.defaults) + len(self.required):
            known = ", ".join((*self.required, *self.defaults))
            raise TypeError(f"{self.__name__} takes {known}; got {[*named]}")
        if missing:
            names = ", ".join(name for name in self.required if name not in options)
            raise TypeError(f"{self.__name__} needs {names}")
        return options

    cdef _Fit _fit(self, list found, first):
        """ValueError unless the shapes fit each other, and the core has such numbers."""
        cdef _Array array
        cdef _Fit fit = _Fit()
        cdef dict sizes = {}
        cdef list there = []
        for array, one in zip(self.arrays, found):
            if one is not None:
                there.append((array, _shape(array, one)))
            elif not array.optional:
                raise TypeError(f"{self.__name__} needs {array.name}")
        for array, shape in there:
            array.learn(shape, sizes)
        for array, shape in there:
            expected = array.expected(sizes)
            if shape != expected:
                raise ValueError(
                    f"{self.__name__}: shapes differ and do not fit: {array.name} has shape "
                    f"{shape}, expected {expected}"
                )
        lead = sizes.get("*", ())
        # Weights of examples that are several rows say how many of the axes are the batch's.
        of_batch = len(sizes.get("^", lead))
        fit.dims = [
            None if one is None else _shape(array, one)[of_batch if array.batched else 0 :]
            for array, one in zip(self.arrays, found)
        ]
        written = self.n_inputs if self.arrays[self.n_inputs].batched else 0
        fit.kernels, fit.examples = _kernels(first), prod(lead[:of_batch])
        fit.size = max(prod(shape) for _, shape in there) if found[written].size else 0
        return fit

    cdef _step(self, list found, dtype, _Fit fit, dict attributes):
        cdef list inputs = [], outputs = [], stored = None
        cdef Py_ssize_t i
        cdef Operand made
        cdef _Array array
        cdef hl_dtype floats = HL_F64 if fit.kernels.itemsize == 8 else HL_F32
        for i in range(len(found)):
            array, one = self.arrays[i], found[i]
            if one is None:
                if i >= self.n_inputs:
                    outputs.append(operand(NULL, (), True))
                continue
            data = _address(one, INT32 if array.labels else dtype)
            made = operand(data, fit.dims[i], array.batched, HL_I32 if array.labels else floats)
            if array.packed:
                packed = PackedArray(one.shape, dtype, 1)
                made.data = (<PackedArray> packed).data()
                if i < self.n_inputs:
                    packed.load(one)
                else:
                    stored = [packed, one]
            (inputs if i < self.n_inputs else outputs).append(made)
        if fit.size:
            _run(self.op, inputs, outputs, attributes, fit.kernels, fit.examples, fit.size)
        elif stored is None and not self.arrays[self.n_inputs].batched:
            for one in found[self.n_inputs :]:
                one[...] = self.empty
        if stored is not None:
            stored[0].store(stored[1])


cdef tuple _shape(_Array array, one):
    """A number alone is a row of one."""
    return one.shape or (1,) * bool(array.axes)


# What becomes of a call's options, where these alone are not an op's attributes.


def _normalization(name, arrays, options):
    """Whether there are gamma and beta; the sums of a gradient are both there or neither."""
    if arrays.get("dgamma") is None or arrays.get("dbeta") is None:
        arrays.update({sums: None for sums in ("dgamma", "dbeta") if sums in arrays})
    return options | {
        "scale": arrays.get("gamma") is not None, "center": arrays.get("beta") is not None
    }


def _columns(name, arrays, options):
    cols, taken, first = arrays["x"].shape[-1], arrays["out"].shape[-1], options["first"]
    if not 0 <= first <= first + taken <= cols:
        raise ValueError(f"columns {first} to {first + taken} of {cols} do not fit out")
    return options


def _some_steps(name, arrays, options):
    """The largest of nothing is an error, as it is in NumPy."""
    if not arrays["x"].shape[-2]:
        raise ValueError(f"{name}: x of shape {arrays['x'].shape} has no steps")
    return options


# Whose labels are checked: others find no such class, or read none.
_CHECKED = frozenset(
    {
        "ctc",
        "generalized_crossentropy",
        "sparse_categorical_crossentropy",
        "sparse_softmax_crossentropy",
        "sparse_top_k_accuracy",
    }
)


def _loss(name, arrays, options):
    """The gradient is that of the sum of all rows, times scale."""
    _check_rows(name, arrays)
    scale = options.pop("scale")
    return {"kind": name, "options": options, "reduction": "sum", "loss_weight": scale}


def _metric(name, arrays, options):
    _check_rows(name, arrays)
    return {"kind": name, "options": options}


def _check_rows(name, arrays):
    """That there is something in each row, and that labels are classes."""
    scores = arrays["x"] if "x" in arrays else arrays["y_pred"]
    if not scores.shape[-1]:
        raise ValueError("predictions have no columns")
    if name in _CHECKED:
        _check_labels(arrays["label"], scores.shape[-1])


cdef _check_labels(array, int32_t classes):
    cdef const int32_t *label = <const int32_t *> _address(array, INT32)
    cdef ptrdiff_t i, n = array.size
    for i in range(n):
        if not 0 <= label[i] < classes:
            check_labels(array, classes)  # which says what is wrong


# What becomes of the options of an op's calls; others are its attributes as they are.
_OPTIONS = {
    "columns": _columns,
    "layer_norm": _normalization,
    "layer_norm_gradient": _normalization,
    "max_steps": _some_steps,
    "normalize": _normalization,
    "normalize_gradient": _normalization,
}
# What an op makes of no rows, if not zeros.
_EMPTY = {"column_moments": float("nan")}
# The arrays of losses, ^ being the first of the axes that * stands for: the examples'.
_DENSE_LOSS = "y_true *c, y_pred *c, weight? ^ -> values *, gradient? *c"
_LOSSES = dict.fromkeys((*LOSS_FORMULAS, *ROW_LOSSES, "categorical_crossentropy"), _DENSE_LOSS) | {
    "softmax_crossentropy": "y_true *c, x *c, weight? ^ -> values *, gradient? *c, probability? *c",
    "sparse_softmax_crossentropy": (
        "label# *, x *c, weight? ^ -> values *, gradient? *c, probability? *c"
    ),
    "sparse_categorical_crossentropy": "label# *, y_pred *c, weight? ^ -> values *, gradient? *c",
    "generalized_crossentropy": "label# *, y_pred *c, weight? ^ -> values *, gradient? *c",
    "circle": "label# *, x *c, weight? ^ -> values *, gradient? *c",
    "ctc": "label# *l, x *sc, weight? * -> values *, gradient? *sc",
}
_METRICS = {
    name: ("label# *" if name.startswith("sparse_") else "y_true *c")
    + ", y_pred *c, weight? ^ -> values *"
    for name in METRICS
}

_OPS = {
    name: _Op(name, words, _OPTIONS.get(name), empty=_EMPTY.get(name, 0.0))
    for name, words in ARRAYS.items()
}
_OPS |= {name: _Op(name, words, _loss, "loss") for name, words in _LOSSES.items()}
_OPS |= {name: _Op(name, words, _metric, "metric") for name, words in _METRICS.items()}


def permute(x, *, axes, out):
    shape = (len(x), *(x.shape[1 + axis] for axis in axes))
    _check_shape("out", out, shape)
    if x.size:
        _run(
            "permute", [operand(_address(x, x.dtype), x.shape[1:], True)],
            [operand(_address(out, x.dtype), shape[1:], True)], {"axes": axes}, _kernels(x),
            len(x), x.size,
        )


def ctc(label, x, weight, *, values, gradient=None, scale=1.0):
    """Examples stand one after the other: their steps as rows of x, their labels in one row."""
    examples, (rows, cols) = len(values), x.shape
    if not examples or rows % examples or len(label) % examples:
        raise ValueError(
            f"labels {label.shape} and logits {x.shape} are not those of {examples} examples"
        )
    if gradient is not None:
        _address(gradient, x.dtype)
        gradient = gradient.reshape(examples, -1, cols)
    _OPS["ctc"](
        label.reshape(examples, -1), x.reshape(examples, -1, cols), weight, values=values,
        gradient=gradient, scale=scale,
    )


cdef _check_shape(str name, array, shape):
    if array.shape != tuple(shape):
        raise ValueError(f"{name} has shape {array.shape}, expected {tuple(shape)}")


# ------------------------------------------------------------------- matrix product


cdef inline bint _apart(const char *a, ptrdiff_t a_bytes, const char *b, ptrdiff_t b_bytes):
    return a + a_bytes <= b or b + b_bytes <= a


cdef _product(a, b, bias, out, bint transpose_a, bint transpose_b, int activation, double alpha):
    cdef Product p
    cdef Step step
    cdef Batch batch
    cdef Buffer room, aside
    cdef const hl_kernels *kernels = _kernels(a)
    cdef char *left
    cdef char *right
    cdef char *result
    memset(&p, 0, sizeof(Product))
    p.m, p.k = a.shape[::-1] if transpose_a else a.shape
    inner, p.n = b.shape[::-1] if transpose_b else b.shape
    if inner != p.k or out.shape != (p.m, p.n):
        raise ValueError(f"shapes {(p.m, p.k)}, {(inner, p.n)} and {out.shape} do not fit")
    if p.m == 0 or p.n == 0:
        return
    left, right, result = _address(a, a.dtype), _address(b, a.dtype), _address(out, a.dtype)
    p.c = result
    if not (
        _apart(result, out.nbytes, left, a.nbytes) and _apart(result, out.nbytes, right, b.nbytes)
    ):
        aside = Buffer(out.nbytes)
        p.c = aside.data
    p.a = matrices(left, p.m, p.k, p.m if transpose_a else p.k, transpose_a)
    p.b = matrices(right, p.k, p.n, p.k if transpose_b else p.n, transpose_b)
    if bias is not None:
        if bias.shape != (p.n,):
            raise ValueError(f"the bias has shape {bias.shape}, expected {(p.n,)}")
        room = Buffer(padded(kernels, p.n) * kernels.itemsize)
        memcpy(room.data, _address(bias, a.dtype), p.n * kernels.itemsize)
        p.bias = room.data
    p.activation, p.alpha = activation, alpha
    memset(&step, 0, sizeof(Step))
    memset(&batch, 0, sizeof(Batch))
    step.run, step.args, step.share = run_product, &p, HL_BY_ALL
    batch.kernels = kernels
    _on_team(&step, &batch, product_scratch_bytes(kernels, p.m, p.n, p.k),
             _team_size(p.m * p.n * max(p.k, 1), PRODUCT_GRAIN))
    if p.c != result:
        memcpy(result, p.c, out.nbytes)


def matmul(a, b, *, out, transpose_a=False, transpose_b=False):
    _product(a, b, None, out, transpose_a, transpose_b, HL_LINEAR, 0.0)


def batch_matmul(a, b, *, out, transpose_a=False, transpose_b=False):
    cdef char *left
    cdef char *right
    cdef char *result
    *lead, m, k = (*a.shape[:-2], *a.shape[:-3:-1]) if transpose_a else a.shape
    n = b.shape[-2 if transpose_b else -1]
    _check_shape("b", b, (*lead, n, k) if transpose_b else (*lead, k, n))
    _check_shape("out", out, (*lead, m, n))
    if not out.size:
        return
    left, right, result = _address(a, a.dtype), _address(b, a.dtype), _address(out, a.dtype)
    if not (
        _apart(result, out.nbytes, left, a.nbytes) and _apart(result, out.nbytes, right, b.nbytes)
    ):
        aside = out.copy()
        batch_matmul(a, b, out=aside, transpose_a=transpose_a, transpose_b=transpose_b)
        out[...] = aside
        return
    _run(
        "batch_matmul",
        [operand(left, a.shape[-2:], True), operand(right, b.shape[-2:], True)],
        [operand(result, (m, n), True)], {"transpose_a": transpose_a, "transpose_b": transpose_b},
        _kernels(a), prod(lead), out.size * max(k, 1) // (PRODUCT_GRAIN // GRAIN),
    )


def dense(x, w, b=None, *, out, activation="linear", alpha=0.0):
    _product(_matrix(x), w, b, _matrix(out), False, False, ACTIVATIONS[activation], alpha)


def input_gradient(dy, w, *, out):
    _product(_matrix(dy), w, None, _matrix(out), False, True, HL_LINEAR, 0.0)


def weight_gradient(x, dy, *, out):
    _product(_matrix(x), _matrix(dy), None, out, True, False, HL_LINEAR, 0.0)


cdef _matrix(array):
    """All rows of an array, whatever axes they have."""
    if array.ndim == 2:
        return array
    _address(array, array.dtype)  # it is contiguous: the matrix is no copy
    return array.reshape(prod(array.shape[:-1]), array.shape[-1])


# ----------------------------------------------------------- weights: arrays without a batch


cdef Operand _whole(array, like):
    """An array that all threads divide by elements."""
    return operand(_address(array, like.dtype), array.shape, False)


def moving_average_update(average, value, *, momentum):
    _check_shape("value", value, average.shape)
    if value.size:
        _run("moving_average_update", [_whole(average, value), _whole(value, value)], [],
             {"momentum": momentum}, _kernels(value), 1, value.size)


def penalty(w, *, l1, l2):
    cdef const hl_kernels *kernels = _kernels(w)
    return kernels.penalty(l1, l2, _address(w, w.dtype), w.size)


def penalty_gradient(w, g, *, l1, l2):
    _check_shape("g", g, w.shape)
    if w.size:
        _run("penalty_gradient", [_whole(g, w), _whole(w, w)], [_whole(g, w)],
             {"l1": l1, "l2": l2}, _kernels(w), 1, w.size)


cdef _updated(str op, str name, fields, w, g, slots, int64_t iteration, dict hyper):
    """One step of a rule on a weight, its gradient and its state."""
    cdef const hl_kernels *kernels = _kernels(w)
    cdef double given[HL_MAX_HYPER]
    cdef double h[HL_MAX_HYPER]
    cdef hl_powers powers[2]
    cdef int rule = UPDATES[name]
    if set(hyper) != set(fields):
        raise TypeError(f"{name} takes {', '.join(fields)}, got {', '.join(hyper)}")
    memset(given, 0, sizeof(given))
    for i, field in enumerate(fields):
        given[i] = hyper[field]
    memset(powers, 0, sizeof(powers))
    prepare_update(<hl_optimizer> rule, given, iteration, powers, h)
    if w.size:
        _run(op, [_whole(w, w), _whole(g, w), *(_whole(slot, w) for slot in slots)], [],
             {"rule": name}, kernels, 1, w.size, h)


def _update(name, fields, n_slots):
    def update(w, g, slots, *, iteration, **hyper):
        if len(slots) != n_slots:
            raise ValueError(f"{name} keeps {n_slots} arrays of state, got {len(slots)}")
        _check_shape("g", g, w.shape)
        for i, slot in enumerate(slots):
            _check_shape(f"slot {i}", slot, w.shape)
        _updated("update", name, fields, w, g, slots, iteration, hyper)

    return with_settings(update, fields)


def _whole_update(name, fields):
    def update(w, g, slots, *, iteration, **hyper):
        check_whole(name, w, g, slots)
        _updated("whole_update", name, fields, w, g, slots, iteration, hyper)

    return with_settings(update, fields)


def permutations(keys, *, out):
    cdef ptrdiff_t i, rows, n
    rows, n = out.shape
    _check_shape("keys", keys, (rows,))
    cdef const uint64_t *key = <const uint64_t *> _address(keys, np.dtype(np.uint64))
    cdef int64_t *order = <int64_t *> _address(out, np.dtype(np.int64))
    with nogil:
        for i in range(rows):
            random_order(key[i], n, order + i * n)


# ------------------------------------------------------------------------ the table


def _table():
    """Every op that the reference has and the core too."""
    table = _OPS | {
        op.__name__: op
        for op in (
            matmul,
            batch_matmul,
            dense,
            input_gradient,
            weight_gradient,
            permute,
            ctc,
            moving_average_update,
            penalty,
            penalty_gradient,
            permutations,
        )
    }
    table |= {name: _update(name, rule.hyper, rule.slots) for name, rule in RULES.items()}
    table |= {name: _whole_update(name, rule.hyper) for name, rule in WHOLE_UPDATES.items()}
    return {name: op for name, op in table.items() if name in REFERENCE}


OPS = _table()
