# cython: language_level=3, freethreading_compatible=True, cdivision=True
"""Every step of a plan, as one thread of a team does its share of it."""

from libc.math cimport isfinite, sqrt
from libc.stdint cimport int32_t
from libc.string cimport memcpy, memset

from math import prod

from . cimport csrc
from .csrc cimport (
    hl_activation,
    hl_loss,
    hl_merge,
    hl_metric,
    hl_optimizer,
    hl_row_loss,
    hl_whole,
)
from .matmul cimport (
    Update,
    addresses_of,
    dense_forward,
    input_gradient,
    moved,
    panel_width,
    weight_gradient,
)
from .runtime cimport (
    barrier,
    flush_denormals,
    gather_labels,
    random_bits,
    restore_denormals,
    sum_of,
)
from .worker cimport Worker, share

# What graphs call things -> what C calls them.
ACTIVATIONS = {
    "linear": csrc.HL_LINEAR,
    "relu": csrc.HL_RELU,
    "clipped_relu": csrc.HL_CLIPPED_RELU,
    "threshold": csrc.HL_THRESHOLD,
    "hard_shrink": csrc.HL_HARD_SHRINK,
    "soft_shrink": csrc.HL_SOFT_SHRINK,
    "leaky_relu": csrc.HL_LEAKY_RELU,
    "elu": csrc.HL_ELU,
    "celu": csrc.HL_CELU,
    "selu": csrc.HL_SELU,
    "gelu": csrc.HL_GELU,
    "gelu_tanh": csrc.HL_GELU_TANH,
    "silu": csrc.HL_SILU,
    "hard_silu": csrc.HL_HARD_SILU,
    "mish": csrc.HL_MISH,
    "softplus": csrc.HL_SOFTPLUS,
    "log_sigmoid": csrc.HL_LOG_SIGMOID,
    "squareplus": csrc.HL_SQUAREPLUS,
    "sparse_plus": csrc.HL_SPARSE_PLUS,
    "softsign": csrc.HL_SOFTSIGN,
    "sigmoid": csrc.HL_SIGMOID,
    "hard_sigmoid": csrc.HL_HARD_SIGMOID,
    "sparse_sigmoid": csrc.HL_SPARSE_SIGMOID,
    "tanh": csrc.HL_TANH,
    "hard_tanh": csrc.HL_HARD_TANH,
    "tanh_shrink": csrc.HL_TANH_SHRINK,
    "exponential": csrc.HL_EXPONENTIAL,
}
MERGES = {
    "add": csrc.HL_ADD,
    "subtract": csrc.HL_SUBTRACT,
    "multiply": csrc.HL_MULTIPLY,
    "maximum": csrc.HL_MAXIMUM,
    "minimum": csrc.HL_MINIMUM,
}
BINARY_FOCAL = ("gamma", "positive", "negative", "smoothing")
FOCAL = ("gamma", "alpha", "smoothing")
TVERSKY = ("alpha", "beta", "epsilon")
LOSSES = {
    "mean_squared_error": csrc.HL_MEAN_SQUARED_ERROR,
    "mean_absolute_error": csrc.HL_MEAN_ABSOLUTE_ERROR,
    "mean_absolute_percentage_error": csrc.HL_MEAN_ABSOLUTE_PERCENTAGE_ERROR,
    "mean_squared_logarithmic_error": csrc.HL_MEAN_SQUARED_LOGARITHMIC_ERROR,
    "huber": csrc.HL_HUBER,
    "log_cosh": csrc.HL_LOG_COSH,
    "binary_crossentropy": csrc.HL_BINARY_CROSSENTROPY,
    "binary_crossentropy_logits": csrc.HL_BINARY_CROSSENTROPY_LOGITS,
    "kl_divergence": csrc.HL_KL_DIVERGENCE,
    "poisson": csrc.HL_POISSON,
    "hinge": csrc.HL_HINGE,
    "squared_hinge": csrc.HL_SQUARED_HINGE,
}
# Losses that look at all of the batch: at its labels, to tell 0/1 from -1/1, or at everything.
BATCH_LOSSES = ("hinge", "squared_hinge", "batch_tversky")
# What C calls them, and their options in its order.
ROW_LOSSES = {
    "binary_focal_crossentropy": (csrc.HL_BINARY_FOCAL_CROSSENTROPY, BINARY_FOCAL),
    "binary_focal_crossentropy_logits": (csrc.HL_BINARY_FOCAL_CROSSENTROPY_LOGITS, BINARY_FOCAL),
    "categorical_focal_crossentropy": (csrc.HL_CATEGORICAL_FOCAL_CROSSENTROPY, FOCAL),
    "categorical_focal_crossentropy_logits": (csrc.HL_CATEGORICAL_FOCAL_CROSSENTROPY_LOGITS, FOCAL),
    "generalized_crossentropy": (csrc.HL_GENERALIZED_CROSSENTROPY, ("q",)),
    "categorical_hinge": (csrc.HL_CATEGORICAL_HINGE, ()),
    "cosine_similarity": (csrc.HL_COSINE_SIMILARITY, ()),
    "tversky": (csrc.HL_TVERSKY, TVERSKY),
    "batch_tversky": (csrc.HL_BATCH_TVERSKY, TVERSKY),
}
CIRCLE_OPTIONS = ("gamma", "margin", "remove_diagonal", "over_positive")
CROSSENTROPIES = {
    "categorical_crossentropy": CROSSENTROPY,
    "sparse_categorical_crossentropy": CROSSENTROPY,
    "softmax_crossentropy": SOFTMAX_CROSSENTROPY,
    "sparse_softmax_crossentropy": SOFTMAX_CROSSENTROPY,
}
ROWWISE = {
    "softmax": SOFTMAX,
    "log_softmax": LOG_SOFTMAX,
    "sparsemax": SPARSEMAX,
    "softmax_gradient": SOFTMAX_GRADIENT,
    "log_softmax_gradient": LOG_SOFTMAX_GRADIENT,
    "sparsemax_gradient": SPARSEMAX_GRADIENT,
    "unit_rows": UNIT_ROWS,
    "unit_rows_gradient": UNIT_ROWS_GRADIENT,
}
NORMALIZATIONS = {
    "normalize": NORMALIZE,
    "normalize_scale_gradient": NORMALIZE_SCALE_GRADIENT,
    "normalize_gradient": NORMALIZE_GRADIENT,
    "layer_norm": LAYER_NORM,
    "layer_norm_scale_gradient": LAYER_NORM_SCALE_GRADIENT,
    "layer_norm_gradient": LAYER_NORM_GRADIENT,
}
STEPS = {
    "sum_steps": SUM_STEPS,
    "repeat_steps": REPEAT_STEPS,
    "max_steps": MAX_STEPS,
    "max_steps_gradient": MAX_STEPS_GRADIENT,
}
METRICS = {
    "binary_accuracy": csrc.HL_BINARY_ACCURACY,
    "categorical_accuracy": csrc.HL_CATEGORICAL_ACCURACY,
    "sparse_categorical_accuracy": csrc.HL_SPARSE_CATEGORICAL_ACCURACY,
    "top_k_accuracy": csrc.HL_TOP_K_ACCURACY,
    "sparse_top_k_accuracy": csrc.HL_SPARSE_TOP_K_ACCURACY,
    "pearson_correlation": csrc.HL_PEARSON_CORRELATION,
    "concordance_correlation": csrc.HL_CONCORDANCE_CORRELATION,
}
UPDATES = {
    "sgd": csrc.HL_SGD,
    "sgd_momentum": csrc.HL_SGD_MOMENTUM,
    "sgd_nesterov": csrc.HL_SGD_NESTEROV,
    "adam": csrc.HL_ADAM,
    "adam_amsgrad": csrc.HL_ADAM_AMSGRAD,
    "rmsprop": csrc.HL_RMSPROP,
    "rmsprop_momentum": csrc.HL_RMSPROP_MOMENTUM,
    "rmsprop_centered": csrc.HL_RMSPROP_CENTERED,
    "rmsprop_centered_momentum": csrc.HL_RMSPROP_CENTERED_MOMENTUM,
    "adagrad": csrc.HL_ADAGRAD,
    "adadelta": csrc.HL_ADADELTA,
    "adamax": csrc.HL_ADAMAX,
    "nadam": csrc.HL_NADAM,
    "lion": csrc.HL_LION,
    "ftrl": csrc.HL_FTRL,
    "schedule_free_adamw": csrc.HL_SCHEDULE_FREE_ADAMW,
    "keep_gradient": csrc.HL_KEEP_GRADIENT,
    "adafactor": csrc.HL_ADAFACTOR,
    "lamb": csrc.HL_LAMB,
    "muon": csrc.HL_MUON,
}
DTYPES = {
    "f4": csrc.HL_F32,
    "f8": csrc.HL_F64,
    "f2": csrc.HL_F16,
    "i1": csrc.HL_I8,
    "i2": csrc.HL_I16,
    "i4": csrc.HL_I32,
    "i8": csrc.HL_I64,
    "u1": csrc.HL_U8,
    "u2": csrc.HL_U16,
    "u4": csrc.HL_U32,
    "u8": csrc.HL_U64,
    "b1": csrc.HL_BOOL,
}

# Loops of the user's own functions, of n numbers: the last pointer is written.
ctypedef void (*unary_loop)(const char *, char *, ptrdiff_t) noexcept nogil
ctypedef void (*binary_loop)(const char *, const char *, char *, ptrdiff_t) noexcept nogil


cdef describe_whole(Step *step, tuple shape):
    """A step's weight of this shape, as an update of the whole of it sees it."""
    cdef hl_whole *weight = &step.whole
    weight.kind = <hl_optimizer> step.kind
    weight.matrices, weight.rows = prod(shape[:-2]), shape[-2] if len(shape) > 1 else 1
    weight.cols = shape[-1] if shape else 1
    weight.w, weight.g = step.out0, step.in0
    if weight.kind == csrc.HL_LAMB or weight.kind == csrc.HL_MUON:
        weight.m, weight.v = step.state[0], step.state[1]
    elif len(shape) > 1:
        weight.row, weight.column = step.state[0], step.state[1]
    else:
        weight.column = step.state[0]


cdef void run_step(const Step *s, Batch *batch, Worker *worker) noexcept nogil:
    """Does the share of a worker; the caller waits for the team where the step says so."""
    cdef const hl_kernels *kernels = batch.kernels
    cdef ptrdiff_t item = kernels.itemsize
    # Rows of the step: examples times their rows; 1 where there is no batch.
    cdef ptrdiff_t rows = batch.rows * s.group if s.group else 1
    cdef ptrdiff_t first, n
    cdef Update update

    if s.code == DENSE:
        dense_forward(kernels, rows, s.inputs, s.cols, _rows_of(s, batch, s.inputs, worker),
                      s.in1, s.in2, <hl_activation> s.kind, s.option, s.out0, s.out1, worker)
    elif s.code == INPUT_GRADIENT:
        input_gradient(kernels, rows, s.inputs, s.cols, _rows_of(s, batch, s.cols, worker),
                       s.in1, s.in2, <hl_activation> s.kind, s.option, s.out0, worker)
    elif s.code == WEIGHT_GRADIENT:
        weight_gradient(kernels, rows, s.inputs, s.cols, _rows_of(s, batch, s.inputs, worker),
                        s.in1, s.out0, NULL, worker)
    elif s.code == WEIGHT_UPDATE:
        update.rule, update.h, update.w = <hl_optimizer> s.kind, &batch.h[0], s.out0
        update.s0, update.s1, update.s2 = s.state[0], s.state[1], s.state[2]
        update.shared = s.shared and worker.n_workers > 1
        weight_gradient(kernels, rows, s.inputs, s.cols, _rows_of(s, batch, s.inputs, worker),
                        s.in1, NULL, &update, worker)
    elif s.code == BIAS_GRADIENT or s.code == BIAS_UPDATE:
        _bias_gradient(s, batch, rows, worker)
    elif s.code in (
        COLUMN_MOMENTS, NORMALIZE_SCALE_GRADIENT, LAYER_NORM_SCALE_GRADIENT, PRELU_ALPHA_GRADIENT
    ):
        _run_columns(s, batch, rows, worker)
    elif s.code == LOOKUP_GRADIENT:
        kernels.lookup_gradient(<const int32_t *> s.in1, rows, s.in0, s.inputs, s.cols,
                                worker.number, worker.n_workers, s.out0)
    elif s.code == WHOLE_UPDATE:
        _whole_update(s, batch, worker)
    elif s.code == NETWORK:
        _train_network(s, batch, worker)
    elif s.code == ACCUMULATE:
        _accumulate(s, batch)
    elif s.code == SQUARE_SUM:
        (<double *> s.out0)[0] = _penalty(s, kernels)
        if s.in1 != NULL:
            (<double *> s.out0)[0] += (<const double *> s.in1)[0]
    elif s.code == CONSTRAIN:
        _constrain(s, kernels, worker)
    elif s.code == PYTHON:
        _call_python(s, batch, worker)
    elif s.code == PENALTY:
        batch.sums[s.slot] += _penalty(s, kernels) * batch.rows
    elif s.group:
        # What is left works on each row, or on each element, by itself. Rows are shared out by
        # whole examples.
        first = share(batch.rows, worker.number, worker.n_workers) * s.group
        n = share(batch.rows, worker.number + 1, worker.n_workers) * s.group - first
        if n:
            _run_rows(s, batch, first, n, first * s.cols * item, worker.scratch)
    else:
        first = share(s.cols, worker.number, worker.n_workers)
        n = share(s.cols, worker.number + 1, worker.n_workers) - first
        if n:
            _run_elements(s, batch, n, first * item)


cdef inline const void *const *_rows_of(const Step *s, Batch *batch, ptrdiff_t cols,
                                        Worker *worker) noexcept nogil:
    """Where the rows of a product's first matrix stand: in the user's array, or one by one."""
    if s.in_place:
        return worker.in_place
    addresses_of(s.in0, cols * batch.kernels.itemsize, batch.rows * s.group, worker.addresses)
    return worker.addresses


cdef void _train_network(const Step *s, Batch *batch, Worker *worker) noexcept nogil:
    """All batches up to one whose loss is not finite; the steps behind see the rows of those."""
    cdef ptrdiff_t done = batch.kernels.train_network(
        s.network, batch.hyper, batch.iteration, batch.powers, batch.rows, batch.size, s.in0,
        NULL if s.sparse else s.in1, <const int32_t *> s.in1 if s.sparse else NULL, s.in2,
        s.out0, s.out1, s.out2,
    )
    if done < batch.count:
        batch.finite[0] = False
        batch.count = done
        batch.rows = done * batch.size


cdef void _accumulate(const Step *s, Batch *batch) noexcept nogil:
    """One batch after another: how many are handled at once changes no bit."""
    cdef ptrdiff_t item = batch.kernels.itemsize, first = 0, n
    cdef double total, added = batch.sums[s.slot]  # in a register from batch to batch
    while first < batch.rows:
        n = min(batch.size, batch.rows - first)
        total = sum_of(s.in0 + first * s.group * item, <int> item, n * s.group)
        if s.check and not isfinite(total):
            batch.finite[0] = False
            batch.count = 0
        added += total * n if s.summed else total / s.group
        first += n
    batch.sums[s.slot] = added


cdef void _bias_gradient(const Step *s, Batch *batch, ptrdiff_t rows,
                         Worker *worker) noexcept nogil:
    """Columns are shared out: each sum runs over all rows."""
    cdef const hl_kernels *kernels = batch.kernels
    cdef ptrdiff_t first = share(s.cols, worker.number, worker.n_workers)
    cdef ptrdiff_t n = share(s.cols, worker.number + 1, worker.n_workers) - first
    cdef ptrdiff_t at = first * kernels.itemsize
    if n == 0:
        return
    if s.code == BIAS_GRADIENT:
        kernels.sum_rows(s.in0 + at, s.cols, rows, n, s.out0 + at)
        return
    kernels.sum_rows(s.in0 + at, s.cols, rows, n, worker.scratch)
    kernels.update(<hl_optimizer> s.kind, &batch.h[0], s.out0 + at, worker.scratch,
                   moved(s.state[0], at), moved(s.state[1], at), moved(s.state[2], at), n)


cdef void _whole_update(const Step *s, Batch *batch, Worker *worker) noexcept nogil:
    """What all workers found in one stage is what each reads in the next."""
    cdef int stage
    for stage in range(batch.kernels.whole_update_stages(&s.whole, &batch.h[0])):
        if stage and worker.n_workers > 1:
            barrier(worker.team)
        batch.kernels.whole_update(&s.whole, &batch.h[0], stage, worker.number, worker.n_workers)


cdef void _run_columns(const Step *s, Batch *batch, ptrdiff_t rows,
                       Worker *worker) noexcept nogil:
    """The other steps whose columns are shared out."""
    cdef const hl_kernels *kernels = batch.kernels
    cdef ptrdiff_t first = share(s.cols, worker.number, worker.n_workers)
    cdef ptrdiff_t n = share(s.cols, worker.number + 1, worker.n_workers) - first
    cdef ptrdiff_t at = first * kernels.itemsize
    if n == 0:
        return
    if s.code == COLUMN_MOMENTS:
        kernels.column_moments(s.in0 + at, s.cols, rows, n, s.out0 + at, s.out1 + at)
    elif s.code == NORMALIZE_SCALE_GRADIENT:
        kernels.normalize_scale_gradient(s.option, s.in0 + at, s.in1 + at, s.state[0] + at,
                                         s.state[1] + at, s.cols, rows, n, s.out0 + at)
    elif s.code == LAYER_NORM_SCALE_GRADIENT:
        kernels.layer_norm_scale_gradient(s.in0 + at, s.in1 + at, s.state[0], s.state[1], s.cols,
                                          rows, n, s.out0 + at)
    else:
        kernels.prelu_alpha_gradient(s.in0 + at, s.in1 + at, s.cols, rows, n, s.out0 + at)


cdef double _penalty(const Step *s, const hl_kernels *kernels) noexcept nogil:
    """Of a matrix in panels; what an update makes of its padding, 0 / 0 perhaps, is left out."""
    cdef ptrdiff_t full = s.cols // kernels.nr * kernels.nr
    cdef ptrdiff_t rest = s.cols - full, width = panel_width(kernels, rest), i
    cdef const char *last = s.in0 + s.inputs * full * kernels.itemsize
    cdef double total = kernels.penalty(s.option, s.factor, s.in0, s.inputs * full)
    if rest:
        for i in range(s.inputs):
            total += kernels.penalty(s.option, s.factor, last + i * width * kernels.itemsize, rest)
    return total


cdef void _constrain(const Step *s, const hl_kernels *kernels, Worker *worker) noexcept nogil:
    """Workers take panels, or as many columns of a weight that is not packed."""
    cdef ptrdiff_t nr = kernels.nr, panels = (s.cols + nr - 1) // nr, n, panel, ld = s.cols
    cdef char *w
    for panel in range(share(panels, worker.number, worker.n_workers),
                       share(panels, worker.number + 1, worker.n_workers)):
        w = s.out0 + panel * nr * (s.inputs if s.packed else 1) * kernels.itemsize
        n = min(nr, s.cols - panel * nr)
        if s.packed:
            n = ld = panel_width(kernels, n)
        if s.clip:
            kernels.activation(csrc.HL_RELU, 0, w, ld, w, ld, s.inputs, n)
        else:
            kernels.limit_norms(s.low, s.high, s.factor, s.inputs, n, ld, w)


cdef inline double _norm_factor(const Step *s) noexcept nogil:
    """What brings gradients whose squares were added up down to a norm."""
    return s.option / max(sqrt((<const double *> s.in1)[0]), s.option)


cdef void _run_elements(const Step *s, Batch *batch, ptrdiff_t n, ptrdiff_t at) noexcept nogil:
    """The steps on arrays that have no batch: gradients of weights, averages over batches."""
    cdef const hl_kernels *kernels = batch.kernels
    if s.code == UPDATE:
        kernels.update(<hl_optimizer> s.kind, &batch.h[0], s.out0 + at, s.in0 + at,
                       moved(s.state[0], at), moved(s.state[1], at), moved(s.state[2], at), n)
    elif s.code == PENALTY_GRADIENT:
        if s.out0 != s.in0:
            memcpy(s.out0 + at, s.in0 + at, n * kernels.itemsize)
        kernels.penalty_gradient(s.option, s.factor, s.in1 + at, s.out0 + at, n)
    elif s.code == MERGE:
        kernels.merge(<hl_merge> s.kind, s.in0 + at, s.in1 + at, s.out0 + at, n)
    elif s.code == ACCUMULATE_GRADIENT:
        kernels.merge(csrc.HL_ADD, s.in0 + at, s.in1 + at, s.in1 + at, n)
        if (batch.iteration + 1) % s.kind == 0:
            kernels.scale(1.0 / s.kind, 0, s.in1 + at, s.out0 + at, n)
            memset(s.in1 + at, 0, n * kernels.itemsize)
    elif s.code == CLIP_BY_NORM:
        kernels.scale(_norm_factor(s), 0, s.in0 + at, s.out0 + at, n)
    elif s.code == CLIP_BY_VALUE:
        kernels.clip(s.option, s.in0 + at, s.out0 + at, n)
    elif s.code == DECAY:
        kernels.scale(1 - s.option * batch.learning_rate, 0, s.out0 + at, s.out0 + at, n)
    elif s.code == AVERAGE:
        # The first updates have nothing to average with.
        kernels.moving_average(s.option if batch.updates else 0, s.in0 + at, s.out0 + at, n)
    elif s.code == OVERWRITE:
        memcpy(s.out0 + at, s.in0 + at, n * kernels.itemsize)
    elif s.code == MOVING_AVERAGE:
        kernels.moving_average(s.option, s.in0 + at, s.out0 + at, n)


cdef void _call_python(const Step *s, Batch *batch, Worker *worker) noexcept nogil:
    """Takes the GIL; an error that is raised ends the run, as a loss does that is not finite."""
    with gil:
        restore_denormals(worker.control)
        if not (<object> batch.python).attempt(<object> s.node, batch.rows):
            batch.finite[0] = False
            batch.count = 0
        flush_denormals()


cdef void _run_rows(const Step *s, Batch *batch, ptrdiff_t first, ptrdiff_t n,
                    ptrdiff_t at, char *scratch) noexcept nogil:
    """The steps on n rows of the batch; `at` is where the first one begins."""
    cdef const hl_kernels *kernels = batch.kernels
    cdef ptrdiff_t item = kernels.itemsize
    cdef char *weight
    cdef char *y_true
    cdef const int32_t *label
    cdef double scale

    if s.code == GATHER:
        kernels.gather(&batch.sources[s.slot], batch.order, batch.first + first, n, s.out0 + at)
    elif s.code == GATHER_LABELS:
        _gather_labels(s, batch, first, n)
    elif s.code == COPY_OUT:
        memcpy(batch.outputs[s.slot] + (batch.first - batch.outputs_first + first) * s.cols * item,
               s.in0 + at, n * s.cols * item)
    elif s.code == ACTIVATION:
        kernels.activation(<hl_activation> s.kind, s.option, s.in0 + at, s.cols, s.out0 + at,
                           s.cols, n, s.cols)
    elif s.code == ACTIVATION_GRADIENT:
        kernels.activation_gradient(<hl_activation> s.kind, s.option, s.in0 + at, s.in1 + at,
                                    s.out0 + at, s.cols, n, s.cols)
    elif s.code == OWN_ACTIVATION:
        (<unary_loop> s.value)(s.in0 + at, s.out0 + at, n * s.cols)
    elif s.code == OWN_ACTIVATION_GRADIENT:
        (<binary_loop> s.gradient)(s.in0 + at, s.in1 + at, s.out0 + at, n * s.cols)
    elif s.code == ADD_BIAS:
        kernels.add_bias(s.in0 + at, s.in1, s.out0 + at, n, s.cols)
    elif s.code == MERGE:
        kernels.merge(<hl_merge> s.kind, s.in0 + at, s.in1 + at, s.out0 + at, n * s.cols)
    elif s.code == CHOICE_GRADIENT:
        kernels.choice_gradient(<hl_merge> s.kind, s.in0 + at, s.in1 + at, s.in2 + at,
                                s.out0 + at, n * s.cols)
    elif s.code == SCALE:
        kernels.scale(s.factor, s.option, s.in0 + at, s.out0 + at, n * s.cols)
    elif s.code == CONCATENATE or s.code == COLUMNS:
        _move_columns(s, first, n, item)
    elif s.code == DROPOUT:
        kernels.dropout(s.option, random_bits(s.seed, batch.iteration), first * s.cols,
                        s.in0 + at, s.out0 + at, n * s.cols)
    elif s.code == ALPHA_DROPOUT:
        kernels.alpha_dropout(s.option, s.factor, s.offset, s.dropped,
                              random_bits(s.seed, batch.iteration), first * s.cols, s.in0 + at,
                              s.out0 + at, n * s.cols)
    elif s.code == GAUSSIAN:
        kernels.gaussian(s.kind, s.option, random_bits(s.seed, batch.iteration), first * s.cols,
                         s.in0 + at, s.out0 + at, n * s.cols)
    elif s.code == PRELU:
        kernels.prelu(s.in0 + at, s.in1, s.out0 + at, n, s.cols)
    elif s.code == PRELU_GRADIENT:
        kernels.prelu_gradient(s.in0 + at, s.in1 + at, s.in2, s.out0 + at, n, s.cols)
    elif s.code == NORMALIZE:
        kernels.normalize(s.option, s.in0 + at, s.state[0], s.state[1], s.state[2], s.in2,
                          s.out0 + at, n, s.cols)
    elif s.code == NORMALIZE_GRADIENT:
        kernels.normalize_gradient(s.option, batch.rows * s.group, s.in0 + at, s.in1 + at,
                                   s.state[0], s.state[1], s.state[2], s.out1, s.in2,
                                   s.out0 + at, n, s.cols)
    elif s.code == LAYER_NORM:
        kernels.layer_norm(s.centered, s.option, s.in0 + at, s.state[2], s.in2, s.out0 + at,
                           moved(s.state[0], first * item), moved(s.state[1], first * item), n,
                           s.cols)
    elif s.code == LAYER_NORM_GRADIENT:
        kernels.layer_norm_gradient(s.centered, s.in0 + at, s.in1 + at, s.state[0] + first * item,
                                    s.state[1] + first * item, s.state[2], s.out0 + at, n,
                                    s.cols)
    elif s.code >= INDICES and s.code <= STANDARDIZE:
        _run_examples(s, kernels, first, n)
    elif s.code == SOFTMAX:
        kernels.softmax(s.in0 + at, s.out0 + at, n, s.cols)
    elif s.code == LOG_SOFTMAX:
        kernels.log_softmax(s.in0 + at, s.out0 + at, n, s.cols)
    elif s.code == SPARSEMAX:
        kernels.sparsemax(s.in0 + at, s.out0 + at, n, s.cols)
    elif s.code == SPARSEMAX_GRADIENT:
        kernels.sparsemax_gradient(s.in0 + at, s.in1 + at, s.out0 + at, n, s.cols)
    elif s.code == GLU:
        kernels.glu(s.in0 + 2 * at, s.out0 + at, n, s.cols)
    elif s.code == GLU_GRADIENT:
        kernels.glu_gradient(s.in0 + at, s.in1 + 2 * at, s.out0 + 2 * at, n, s.cols)
    elif s.code == SOFTMAX_GRADIENT:
        kernels.softmax_gradient(s.in0 + at, s.in1 + at, s.out0 + at, n, s.cols)
    elif s.code == LOG_SOFTMAX_GRADIENT:
        kernels.log_softmax_gradient(s.in0 + at, s.in1 + at, s.out0 + at, n, s.cols)
    else:
        # Losses and metrics: in0 targets, in1 predictions, in2 weights of examples.
        weight = s.in2 + first // s.group * item if s.in2 != NULL else NULL
        label = <const int32_t *> s.in0 + first if s.sparse else NULL
        y_true = NULL if s.sparse else s.in0 + at
        scale = s.factor if s.summed else s.factor / (batch.rows * s.group)
        if s.code == CTC:
            # Whole examples: group are the steps of one, inputs its labels.
            scale = s.factor if s.summed else s.factor / batch.rows
            label = <const int32_t *> s.in0 + first // s.group * s.inputs
            kernels.ctc(s.group, s.inputs, label, s.in1 + at, weight, scale,
                        s.out0 + first // s.group * item, moved(s.out1, at), scratch,
                        n // s.group, s.cols)
        elif s.code == CIRCLE:
            kernels.circle(s.options, label, s.in1, weight, scale, s.out0, s.out1, scratch, n,
                           s.cols)
        elif s.code == METRIC:
            kernels.metric(<hl_metric> s.kind, s.option, y_true, label, s.in1 + at, weight,
                           s.group, s.out0 + first * item, n, s.cols)
        elif s.code == LOSS:
            kernels.loss(<hl_loss> s.kind, s.option, y_true, s.in1 + at, weight, s.group, scale,
                         s.out0 + first * item, moved(s.out1, at), n, s.cols)
        elif s.code == ROW_LOSS:
            kernels.row_loss(<hl_row_loss> s.kind, s.options, y_true, label, s.in1 + at, weight,
                             s.group, scale, s.out0 + first * item, moved(s.out1, at), n, s.cols)
        elif s.code == OWN_LOSS:
            _own_loss(s, kernels, y_true, s.in1 + at, weight, scale, s.out0 + first * item,
                      moved(s.out1, at), n, scratch)
        elif s.code == CROSSENTROPY:
            kernels.crossentropy(s.option, y_true, label, s.in1 + at, weight, s.group, scale,
                                 s.out0 + first * item, moved(s.out1, at), n, s.cols)
        elif s.code == SOFTMAX_CROSSENTROPY:
            kernels.softmax_crossentropy(s.clip, s.option, y_true, label, s.in1 + at, weight,
                                         s.group, scale, s.out0 + first * item,
                                         moved(s.out2, at), moved(s.out1, at), n, s.cols)


cdef void _own_loss(const Step *s, const hl_kernels *kernels, const char *y_true,
                    const char *y_pred, const char *weight, double scale, char *values,
                    char *gradient, ptrdiff_t n, char *scratch) noexcept nogil:
    """A loss that is the mean of the user's own function over a row, and its gradient."""
    cdef ptrdiff_t item = kernels.itemsize, row = s.cols * item, done = 0, rows, i
    cdef double factor
    while done < n:
        rows = min(max(OWN_LOSS_BLOCK // s.cols, 1), n - done)
        (<binary_loop> s.value)(y_true + done * row, y_pred + done * row, scratch, rows * s.cols)
        for i in range(rows):
            factor = _weight_of(weight, (done + i) // s.group, item) / s.cols
            factor *= sum_of(scratch + i * row, <int> item, s.cols)
            if item == sizeof(float):
                (<float *> values)[done + i] = <float> factor
            else:
                (<double *> values)[done + i] = factor
        done += rows
    if gradient == NULL:
        return
    (<binary_loop> s.gradient)(y_true, y_pred, gradient, n * s.cols)
    if weight == NULL:
        kernels.scale(scale / s.cols, 0.0, gradient, gradient, n * s.cols)
        return
    for i in range(n):
        factor = scale * _weight_of(weight, i // s.group, item) / s.cols
        kernels.scale(factor, 0.0, gradient + i * row, gradient + i * row, s.cols)


cdef inline double _weight_of(const char *weight, ptrdiff_t i, ptrdiff_t item) noexcept nogil:
    if weight == NULL:
        return 1.0
    return (<const float *> weight)[i] if item == sizeof(float) else (<const double *> weight)[i]


cdef void _move_columns(const Step *s, ptrdiff_t first, ptrdiff_t n,
                        ptrdiff_t item) noexcept nogil:
    """Rows of two matrices side by side, or some columns of one."""
    cdef ptrdiff_t left = s.inputs * item, whole = s.cols * item, start = s.slot * item, i
    for i in range(first, first + n):
        if s.code == CONCATENATE:
            memcpy(s.out0 + i * whole, s.in0 + i * left, left)
            memcpy(s.out0 + i * whole + left, s.in1 + i * (whole - left), whole - left)
        else:
            memcpy(s.out0 + i * whole, s.in0 + i * left + start, whole)


cdef void _run_examples(const Step *s, const hl_kernels *kernels, ptrdiff_t first,
                        ptrdiff_t n) noexcept nogil:
    """The steps whose inputs and outputs have rows of different lengths."""
    cdef ptrdiff_t item = kernels.itemsize, i
    # Of one row: s.inputs is its steps, the rows of a table, or numbers; see the executor.
    cdef ptrdiff_t at = first * s.cols * item, wide = at * s.inputs
    if s.code == INDICES:
        gather_labels(&s.source, NULL, first, n, <int32_t *> s.out0 + first * s.cols)
    elif s.code == PERMUTE:
        kernels.gather(&s.source, NULL, first, n, s.out0 + at)
    elif s.code == LOOKUP:
        kernels.lookup(<const int32_t *> s.in0 + first, n, s.in1, s.inputs, s.cols,
                       s.out0 + at)
    elif s.code == ENCODE:
        kernels.encode(s.kind, <const int32_t *> s.in0 + first * s.inputs, n, s.inputs, s.cols,
                       s.out0 + at)
    elif s.code == SUM_STEPS:
        for i in range(n):
            kernels.sum_rows(s.in0 + wide + i * s.inputs * s.cols * item, s.cols, s.inputs,
                             s.cols, s.out0 + at + i * s.cols * item)
    elif s.code == REPEAT_STEPS:
        kernels.repeat_steps(s.in0 + at, n, s.inputs, s.cols, s.out0 + wide)
    elif s.code == MAX_STEPS:
        kernels.max_steps(s.in0 + wide, n, s.inputs, s.cols, s.out0 + at)
    elif s.code == MAX_STEPS_GRADIENT:
        kernels.max_steps_gradient(s.in0 + at, s.in1 + wide, s.in2 + at, n, s.inputs,
                                   s.cols, s.out0 + wide)
    elif s.code == ROW_PRODUCTS:
        for i in range(first, first + n):
            kernels.row_products(
                s.cols // s.slot, s.slot, s.inputs,
                s.in0 + i * (s.cols // s.slot) * s.inputs * item,
                s.in1 + i * s.slot * s.inputs * item,
                s.out0 + i * s.cols * item,
            )
    elif s.code == UNIT_ROWS:
        kernels.unit_rows(s.in0 + at, s.out0 + at, n, s.cols)
    elif s.code == UNIT_ROWS_GRADIENT:
        kernels.unit_rows_gradient(s.in0 + at, s.in1 + at, s.out0 + at, n, s.cols)
    elif s.code == STANDARDIZE:
        kernels.standardize(s.kind, s.in0 + at, s.in1, s.in2, n, s.inputs, s.cols // s.inputs,
                            s.out0 + at)


cdef void _gather_labels(const Step *s, Batch *batch, ptrdiff_t first,
                         ptrdiff_t n) noexcept nogil:
    gather_labels(&batch.sources[s.slot], batch.order, batch.first + first, n,
                  <int32_t *> s.out0 + first * s.cols)
