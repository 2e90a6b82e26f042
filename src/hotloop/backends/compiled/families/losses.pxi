# Losses with their gradients, metrics, and the running sums of both.

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
OF_PROBABILITIES = ("categorical_crossentropy", "sparse_categorical_crossentropy")
OF_LOGITS = ("softmax_crossentropy", "sparse_softmax_crossentropy")
CROSSENTROPIES = OF_PROBABILITIES + OF_LOGITS
METRICS = {
    "binary_accuracy": csrc.HL_BINARY_ACCURACY,
    "categorical_accuracy": csrc.HL_CATEGORICAL_ACCURACY,
    "sparse_categorical_accuracy": csrc.HL_SPARSE_CATEGORICAL_ACCURACY,
    "top_k_accuracy": csrc.HL_TOP_K_ACCURACY,
    "sparse_top_k_accuracy": csrc.HL_SPARSE_TOP_K_ACCURACY,
    "pearson_correlation": csrc.HL_PEARSON_CORRELATION,
    "concordance_correlation": csrc.HL_CONCORDANCE_CORRELATION,
}

# Numbers that a loss of the user's own is computed of at a time.
cdef enum:
    OWN_LOSS_BLOCK = 1024


# What losses and metrics compare, and the value of each row. One of y_true and label is NULL.
cdef struct hl_compared:
    const char *y_true
    const int32_t *label
    const char *y_pred
    const char *weight  # of each example
    ptrdiff_t rows, cols
    char *values


cdef _take_compared(hl_compared *of, list inputs, Operand values):
    cdef Operand y_true = inputs[0], y_pred = inputs[1]
    if y_true.dtype == HL_I32:
        of.label = <const int32_t *> y_true.data
    else:
        of.y_true = y_true.data
    of.y_pred, of.weight, of.values = y_pred.data, _of(inputs, 2).data, values.data
    of.rows, of.cols = y_pred.rows, y_pred.cols


# The gradient of a loss: factor times that of the sum over rows, or of their mean.
cdef struct hl_slope:
    int summed
    double factor
    char *gradient


cdef _take_slope(hl_slope *slope, list outputs, dict attributes):
    slope.summed = attributes.get("reduction") == "sum"
    slope.factor = attributes.get("loss_weight", 1.0)
    slope.gradient = _of(outputs, 1).data


cdef inline hl_compared _from(const hl_compared *of, ptrdiff_t first,
                              ptrdiff_t item) noexcept nogil:
    """The same from an example on."""
    cdef hl_compared part = of[0]
    cdef ptrdiff_t row = first * of.rows, at = row * of.cols * item
    if of.label != NULL:
        part.label = of.label + row
    if of.y_true != NULL:
        part.y_true = of.y_true + at
    if of.weight != NULL:
        part.weight = of.weight + first * item
    part.y_pred = of.y_pred + at
    part.values = of.values + row * item
    return part


cdef inline double _scale_of(const hl_slope *slope, ptrdiff_t values) noexcept nogil:
    """What the gradients of a batch with so many values are multiplied by."""
    return slope.factor if slope.summed else slope.factor / values


cdef inline char *_gradient_from(const hl_slope *slope, const hl_compared *of, ptrdiff_t first,
                                 ptrdiff_t item) noexcept nogil:
    return moved(slope.gradient, first * of.rows * of.cols * item)


# The lowering of each kind of loss or metric.
COMPARISONS = {}


def compares(*kinds):
    """Registers a function as the lowering of these kinds of losses or metrics."""

    def register(function):
        COMPARISONS.update(dict.fromkeys(kinds, function))
        return function

    return register


@lowers("loss", "metric")
def _compare(Lowering to, list inputs, list outputs, dict attributes):
    """Losses may be metrics too, without a gradient."""
    COMPARISONS[attributes["kind"]](to, inputs, outputs, attributes)


cdef hl_share _share_of(dict attributes) except *:
    return HL_BY_ONE if attributes["kind"] in BATCH_LOSSES else HL_BY_EXAMPLE


cdef struct hl_loss_args:
    hl_compared of
    hl_slope slope
    hl_loss kind
    double param


cdef void run_loss(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                   Worker *worker) noexcept nogil:
    cdef const hl_loss_args *a = <const hl_loss_args *> args
    cdef ptrdiff_t item = batch.kernels.itemsize
    cdef hl_compared of = _from(&a.of, first, item)
    batch.kernels.loss(a.kind, a.param, of.y_true, of.y_pred, of.weight, of.rows,
                       _scale_of(&a.slope, batch.rows * of.rows), of.values,
                       _gradient_from(&a.slope, &of, first, item), n * of.rows, of.cols)


@compares(*LOSSES)
def _loss(Lowering to, list inputs, list outputs, dict attributes):
    cdef hl_loss_args *a = <hl_loss_args *> to.fill(
        run_loss, _share_of(attributes), sizeof(hl_loss_args)
    )
    _take_compared(&a.of, inputs, outputs[0])
    _take_slope(&a.slope, outputs, attributes)
    a.kind = <hl_loss> <int> LOSSES[attributes["kind"]]
    a.param = attributes["options"].get("param", 0.0)


cdef struct hl_row_loss_args:
    hl_compared of
    hl_slope slope
    hl_row_loss kind
    double option[HL_MAX_OPTIONS]


cdef void run_row_loss(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                       Worker *worker) noexcept nogil:
    cdef const hl_row_loss_args *a = <const hl_row_loss_args *> args
    cdef ptrdiff_t item = batch.kernels.itemsize
    cdef hl_compared of = _from(&a.of, first, item)
    batch.kernels.row_loss(a.kind, a.option, of.y_true, of.label, of.y_pred, of.weight, of.rows,
                           _scale_of(&a.slope, batch.rows * of.rows), of.values,
                           _gradient_from(&a.slope, &of, first, item), n * of.rows, of.cols)


@compares(*ROW_LOSSES)
def _row_loss(Lowering to, list inputs, list outputs, dict attributes):
    cdef hl_row_loss_args *a = <hl_row_loss_args *> to.fill(
        run_row_loss, _share_of(attributes), sizeof(hl_row_loss_args)
    )
    _take_compared(&a.of, inputs, outputs[0])
    _take_slope(&a.slope, outputs, attributes)
    kind, names = ROW_LOSSES[attributes["kind"]]
    a.kind = <hl_row_loss> <int> kind
    for i, name in enumerate(names):
        a.option[i] = attributes["options"][name]


cdef struct hl_crossentropy_args:
    hl_compared of
    hl_slope slope
    double smoothing


cdef void run_crossentropy(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                           Worker *worker) noexcept nogil:
    cdef const hl_crossentropy_args *a = <const hl_crossentropy_args *> args
    cdef ptrdiff_t item = batch.kernels.itemsize
    cdef hl_compared of = _from(&a.of, first, item)
    batch.kernels.crossentropy(a.smoothing, of.y_true, of.label, of.y_pred, of.weight, of.rows,
                               _scale_of(&a.slope, batch.rows * of.rows), of.values,
                               _gradient_from(&a.slope, &of, first, item), n * of.rows, of.cols)


@compares(*OF_PROBABILITIES)
def _crossentropy(Lowering to, list inputs, list outputs, dict attributes):
    cdef hl_crossentropy_args *a = <hl_crossentropy_args *> to.fill(
        run_crossentropy, HL_BY_EXAMPLE, sizeof(hl_crossentropy_args)
    )
    _take_compared(&a.of, inputs, outputs[0])
    _take_slope(&a.slope, outputs, attributes)
    a.smoothing = attributes["options"].get("smoothing", 0.0)


cdef struct hl_softmax_crossentropy_args:
    hl_compared of
    hl_slope slope
    double smoothing
    int clip
    char *probability


cdef void run_softmax_crossentropy(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                                   Worker *worker) noexcept nogil:
    cdef const hl_softmax_crossentropy_args *a = <const hl_softmax_crossentropy_args *> args
    cdef ptrdiff_t item = batch.kernels.itemsize
    cdef hl_compared of = _from(&a.of, first, item)
    batch.kernels.softmax_crossentropy(
        a.clip, a.smoothing, of.y_true, of.label, of.y_pred, of.weight, of.rows,
        _scale_of(&a.slope, batch.rows * of.rows), of.values,
        moved(a.probability, first * of.rows * of.cols * item),
        _gradient_from(&a.slope, &of, first, item), n * of.rows, of.cols,
    )


@compares(*OF_LOGITS)
def _softmax_crossentropy(Lowering to, list inputs, list outputs, dict attributes):
    cdef hl_softmax_crossentropy_args *a = <hl_softmax_crossentropy_args *> to.fill(
        run_softmax_crossentropy, HL_BY_EXAMPLE, sizeof(hl_softmax_crossentropy_args)
    )
    _take_compared(&a.of, inputs, outputs[0])
    _take_slope(&a.slope, outputs, attributes)
    a.smoothing = attributes["options"].get("smoothing", 0.0)
    a.clip = attributes["options"].get("clip", False)
    a.probability = _of(outputs, 2).data


cdef struct hl_ctc_args:
    hl_compared of  # its rows are the steps of an example, which has one value
    hl_slope slope
    ptrdiff_t length  # labels of an example


cdef void run_ctc(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                  Worker *worker) noexcept nogil:
    """An example has one value, however many rows it has."""
    cdef const hl_ctc_args *a = <const hl_ctc_args *> args
    cdef const hl_compared *of = &a.of
    cdef ptrdiff_t item = batch.kernels.itemsize
    batch.kernels.ctc(of.rows, a.length, of.label + first * a.length,
                      of.y_pred + first * of.rows * of.cols * item,
                      of.weight + first * item if of.weight != NULL else NULL,
                      _scale_of(&a.slope, batch.rows), of.values + first * item,
                      _gradient_from(&a.slope, of, first, item), worker.scratch, n, of.cols)


@compares("ctc")
def _ctc(Lowering to, list inputs, list outputs, dict attributes):
    cdef hl_ctc_args *a = <hl_ctc_args *> to.fill(run_ctc, HL_BY_EXAMPLE, sizeof(hl_ctc_args))
    _take_compared(&a.of, inputs, outputs[0])
    _take_slope(&a.slope, outputs, attributes)
    a.length = (<Operand> inputs[0]).size
    to.need_scratch(to.kernels.ctc_room(a.of.rows, a.length))


cdef struct hl_circle_args:
    hl_compared of
    hl_slope slope
    double option[HL_MAX_OPTIONS]


cdef void run_circle(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                     Worker *worker) noexcept nogil:
    cdef const hl_circle_args *a = <const hl_circle_args *> args
    batch.kernels.circle(a.option, a.of.label, a.of.y_pred, a.of.weight,
                         _scale_of(&a.slope, n * a.of.rows), a.of.values, a.slope.gradient,
                         worker.scratch, n * a.of.rows, a.of.cols)


@compares("circle")
def _circle(Lowering to, list inputs, list outputs, dict attributes):
    cdef hl_circle_args *a = <hl_circle_args *> to.fill(
        run_circle, HL_BY_ONE, sizeof(hl_circle_args)
    )
    _take_compared(&a.of, inputs, outputs[0])
    _take_slope(&a.slope, outputs, attributes)
    for i, name in enumerate(CIRCLE_OPTIONS):
        a.option[i] = attributes["options"][name]
    to.need_scratch(to.kernels.circle_room(to.examples))


cdef struct hl_metric_args:
    hl_compared of
    hl_metric kind
    double param


cdef void run_metric(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                     Worker *worker) noexcept nogil:
    cdef const hl_metric_args *a = <const hl_metric_args *> args
    cdef hl_compared of = _from(&a.of, first, batch.kernels.itemsize)
    batch.kernels.metric(a.kind, a.param, of.y_true, of.label, of.y_pred, of.weight, of.rows,
                         of.values, n * of.rows, of.cols)


@compares(*METRICS)
def _metric(Lowering to, list inputs, list outputs, dict attributes):
    cdef hl_metric_args *a = <hl_metric_args *> to.fill(
        run_metric, HL_BY_EXAMPLE, sizeof(hl_metric_args)
    )
    _take_compared(&a.of, inputs, outputs[0])
    a.kind = <hl_metric> <int> METRICS[attributes["kind"]]
    a.param = attributes["options"].get("param", 0.0)


cdef struct hl_own_loss_args:
    hl_compared of
    hl_slope slope
    hl_binary_loop value, derivative


cdef void run_own_loss(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                       Worker *worker) noexcept nogil:
    """A loss that is the mean of the user's own function over a row, and its gradient."""
    cdef const hl_own_loss_args *a = <const hl_own_loss_args *> args
    cdef const hl_kernels *kernels = batch.kernels
    cdef ptrdiff_t item = kernels.itemsize, cols = a.of.cols, row = cols * item, done = 0, rows, i
    cdef hl_compared of = _from(&a.of, first, item)
    cdef char *gradient = _gradient_from(&a.slope, &of, first, item)
    cdef double factor, scale = _scale_of(&a.slope, batch.rows * of.rows)
    n *= of.rows
    while done < n:
        rows = min(max(OWN_LOSS_BLOCK // cols, 1), n - done)
        a.value(of.y_true + done * row, of.y_pred + done * row, worker.scratch, rows * cols)
        for i in range(rows):
            factor = _weight_of(of.weight, (done + i) // of.rows, item) / cols
            factor *= sum_of(worker.scratch + i * row, <int> item, cols)
            if item == sizeof(float):
                (<float *> of.values)[done + i] = <float> factor
            else:
                (<double *> of.values)[done + i] = factor
        done += rows
    if gradient == NULL:
        return
    a.derivative(of.y_true, of.y_pred, gradient, n * cols)
    if of.weight == NULL:
        kernels.scale(scale / cols, 0.0, gradient, gradient, n * cols)
        return
    for i in range(n):
        factor = scale * _weight_of(of.weight, i // of.rows, item) / cols
        kernels.scale(factor, 0.0, gradient + i * row, gradient + i * row, cols)


cdef inline double _weight_of(const char *weight, ptrdiff_t i, ptrdiff_t item) noexcept nogil:
    if weight == NULL:
        return 1.0
    return (<const float *> weight)[i] if item == sizeof(float) else (<const double *> weight)[i]


@compares("own_loss")
def _own_loss(Lowering to, list inputs, list outputs, dict attributes):
    cdef hl_own_loss_args *a
    loops = _loops_of(to, attributes["options"]["function"])
    if not loops.compiled:
        _do_in_python(to)
        return
    a = <hl_own_loss_args *> to.fill(run_own_loss, HL_BY_EXAMPLE, sizeof(hl_own_loss_args))
    _take_compared(&a.of, inputs, outputs[0])
    _take_slope(&a.slope, outputs, attributes)
    a.value = <hl_binary_loop> <size_t> loops.value.address
    a.derivative = <hl_binary_loop> <size_t> loops.gradient.address
    to.need_scratch(max(OWN_LOSS_BLOCK, a.of.cols) * to.kernels.itemsize)


@compares("array_loss")
def _array_loss(Lowering to, list inputs, list outputs, dict attributes):
    _do_in_python(to)


# sum += the total or the mean of x, times the batch's examples
cdef struct hl_accumulate_args:
    int sum  # which of the plan's
    int summed  # the total, not the mean
    int check  # what is not finite ends the run
    ptrdiff_t size
    const char *x


cdef void run_accumulate(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                         Worker *worker) noexcept nogil:
    """One batch after another: how many are handled at once changes no bit."""
    cdef const hl_accumulate_args *a = <const hl_accumulate_args *> args
    cdef ptrdiff_t item = batch.kernels.itemsize
    cdef double total, added = batch.sums[a.sum]  # in a register from batch to batch
    first = 0
    while first < batch.rows:
        n = min(batch.size, batch.rows - first)
        total = sum_of(a.x + first * a.size * item, <int> item, n * a.size)
        if a.check and not isfinite(total):
            batch.finite[0] = False
            batch.count = 0
        added += total * n if a.summed else total / a.size
        first += n
    batch.sums[a.sum] = added


cdef void run_accumulate_whole(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                               Worker *worker) noexcept nogil:
    """Of what has no examples: as much for each of the batch."""
    cdef const hl_accumulate_args *a = <const hl_accumulate_args *> args
    cdef double total = sum_of(a.x, <int> batch.kernels.itemsize, a.size)
    if a.check and not isfinite(total):
        batch.finite[0] = False
        batch.count = 0
    batch.sums[a.sum] += (total if a.summed else total / a.size) * batch.rows


@lowers("accumulate")
def _accumulate(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0]
    cdef hl_accumulate_args *a = <hl_accumulate_args *> to.fill(
        run_accumulate if to.node.inputs[0].batched else run_accumulate_whole,
        HL_BY_ONE,
        sizeof(hl_accumulate_args),
    )
    a.sum, a.summed = attributes["slot"], attributes["reduction"] == "sum"
    # A network's step has looked already, and left out what is not finite.
    a.check = to.decides = attributes["check"] and to.network == NULL
    a.size, a.x = x.size, x.data
