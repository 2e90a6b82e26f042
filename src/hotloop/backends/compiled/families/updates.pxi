# Updates of weights, and what stands around them: see hotloop.graph.updates.

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

# What the update of a weight counts for where no product does it, as that of embeddings. Adam takes
# 1.1 ns for each (AVX-512, beside products of 25 to 50 GFLOP/s), and rules with less state less.
cdef int64_t FLOPS_OF_AN_UPDATE = 16

# Elements of a weight from which a step that all threads do, with waits of its own, is worth them.
cdef Py_ssize_t SHARED_WEIGHTS = 1 << 14


cdef _take_updated(Lowering to, hl_updated *updated, Operand w, list state, dict attributes):
    """A weight, its state, and how it is updated."""
    updated.rule = _rule_of(to, w, attributes)
    updated.w = w.data
    for i, kept in enumerate(state):
        updated.state[i] = (<Operand> kept).data


cdef hl_optimizer _rule_of(Lowering to, Operand w, dict attributes) except *:
    """The rule that a single call names, or the optimizer's for this weight."""
    cdef int rule = UPDATES[attributes.get("rule") or to.optimizer.rule(w.variable)]
    return <hl_optimizer> rule


cdef _count_update(Lowering to, Operand w):
    """The work of an update that no product does meanwhile."""
    if w.variable is not None:
        to.update_flops += FLOPS_OF_AN_UPDATE * w.size + to.optimizer.product_flops(w.variable)


cdef inline void _update_elements(const hl_updated *updated, const char *g, ptrdiff_t at,
                                  ptrdiff_t n, Batch *batch) noexcept nogil:
    """n numbers of a weight from byte `at` on, g being the gradient of these."""
    batch.kernels.update(updated.rule, &batch.h[0], updated.w + at, g,
                         moved(updated.state[0], at), moved(updated.state[1], at),
                         moved(updated.state[2], at), n)


# The whole update's are hl_whole.
cdef struct hl_update_args:
    const char *g
    hl_updated weight


cdef void run_update(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                     Worker *worker) noexcept nogil:
    cdef const hl_update_args *a = <const hl_update_args *> args
    cdef ptrdiff_t at = first * batch.kernels.itemsize
    _update_elements(&a.weight, a.g + at, at, n, batch)


@lowers("update")
def _update(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand w = inputs[0], g = inputs[1]
    cdef hl_update_args *a = <hl_update_args *> to.fill(
        run_update, HL_BY_ELEMENT, sizeof(hl_update_args)
    )
    to.step.length, to.step.turns = w.stored, to.turns()
    a.g = g.data
    _take_updated(to, &a.weight, w, inputs[2:], attributes)
    _count_update(to, w)


cdef void run_whole_update(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                           Worker *worker) noexcept nogil:
    """What all workers found in one stage is what each reads in the next."""
    _walk_whole_update(<const hl_whole *> args, batch, worker)


cdef void _walk_whole_update(const hl_whole *a, Batch *batch, Worker *worker) noexcept nogil:
    cdef int stage
    for stage in range(batch.kernels.whole_update_stages(a, &batch.h[0])):
        if stage and worker.n_workers > 1:
            barrier(worker.team)
        batch.kernels.whole_update(a, &batch.h[0], stage, worker.number, worker.n_workers)


# A packed weight of rows x cols that its rule reads one number after another: w, g and m of `plain`
# are copies of the packed ones.
cdef struct hl_plain_whole:
    hl_whole plain
    ptrdiff_t rows, cols
    char *w
    char *m
    const char *g


cdef void run_plain_whole_update(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                                 Worker *worker) noexcept nogil:
    """The same on copies that are not packed; each worker copies its own panels."""
    cdef const hl_plain_whole *a = <const hl_plain_whole *> args
    cdef const hl_kernels *kernels = batch.kernels
    cdef ptrdiff_t panels = (a.cols + kernels.nr - 1) // kernels.nr
    cdef ptrdiff_t last = share(panels, worker.number + 1, worker.n_workers)
    first = share(panels, worker.number, worker.n_workers)
    copy_panels(kernels, a.rows, a.cols, first, last, a.w, <char *> a.plain.w, False)
    copy_panels(kernels, a.rows, a.cols, first, last, <char *> a.g, <char *> a.plain.g, False)
    if a.m != NULL:
        copy_panels(kernels, a.rows, a.cols, first, last, a.m, <char *> a.plain.m, False)
    if worker.n_workers > 1:
        barrier(worker.team)
    _walk_whole_update(&a.plain, batch, worker)
    if worker.n_workers > 1:
        barrier(worker.team)
    copy_panels(kernels, a.rows, a.cols, first, last, a.w, <char *> a.plain.w, True)
    if a.m != NULL:
        copy_panels(kernels, a.rows, a.cols, first, last, a.m, <char *> a.plain.m, True)


@lowers("whole_update")
def _whole_update(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand w = inputs[0], g = inputs[1]
    cdef hl_share divided = HL_BY_ONE if w.size < SHARED_WEIGHTS else HL_BY_ALL
    cdef hl_optimizer kind = _rule_of(to, w, attributes)
    cdef tuple shape = w.dims
    cdef ptrdiff_t item = to.kernels.itemsize
    cdef hl_plain_whole *copies
    cdef hl_whole *a
    # A rule that looks at single rows and columns finds them in panels if those are the last axes.
    if not w.packed or kind == HL_LAMB or w.row_axes == len(shape) - 1:
        a = <hl_whole *> to.fill(run_whole_update, divided, sizeof(hl_whole))
        a.packed, a.w, a.g, a.m = w.packed, w.data, g.data, _of(inputs, 2).data
    else:
        copies = <hl_plain_whole *> to.fill(
            run_plain_whole_update, divided, sizeof(hl_plain_whole)
        )
        copies.rows, copies.cols, copies.w, copies.g = w.rows, w.cols, w.data, g.data
        a = &copies.plain
        a.w, a.g = to.room(w.size * item), to.room(w.size * item)
        if kind == HL_MUON:
            copies.m, a.m = _of(inputs, 2).data, to.room(w.size * item)
    to.step.turns = to.turns()
    a.kind = kind
    if kind == HL_LAMB and w.packed:
        a.matrices, a.rows, a.cols = 1, w.rows, w.cols
    else:
        a.matrices, a.rows = prod(shape[:-2]), shape[-2] if len(shape) > 1 else 1
        a.cols = shape[-1] if shape else 1
    if kind == HL_LAMB:
        a.v = _of(inputs, 3).data
    elif kind == HL_ADAFACTOR:
        a.m = NULL
        if len(shape) > 1:
            a.row, a.column = _of(inputs, 2).data, _of(inputs, 3).data
        else:
            a.column = _of(inputs, 2).data
    a.room = to.room(to.kernels.whole_update_room(a))
    _count_update(to, w)


cdef double _penalty_of(const hl_kernels *kernels, double l1, double l2, const char *w,
                        ptrdiff_t rows, ptrdiff_t cols) noexcept nogil:
    """Of a matrix in panels; what an update makes of its padding, 0 / 0 perhaps, is left out."""
    cdef ptrdiff_t full = cols // kernels.nr * kernels.nr
    cdef ptrdiff_t rest = cols - full, width = panel_width(kernels, rest), i
    cdef const char *last = w + rows * full * kernels.itemsize
    cdef double total = kernels.penalty(l1, l2, w, rows * full)
    if rest:
        for i in range(rows):
            total += kernels.penalty(l1, l2, last + i * width * kernels.itemsize, rest)
    return total


cdef _as_matrix(Operand w, ptrdiff_t *rows, ptrdiff_t *cols):
    """A matrix, which is packed; of anything else, one row."""
    rows[0], cols[0] = 1, w.size
    if w.packed:
        rows[0], cols[0] = w.rows, w.cols


# w is one matrix in panels, or a row.
cdef struct hl_penalty_args:
    int sum
    double l1, l2
    ptrdiff_t rows, cols
    const char *w


cdef void run_penalty(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                      Worker *worker) noexcept nogil:
    cdef const hl_penalty_args *a = <const hl_penalty_args *> args
    cdef double penalty = _penalty_of(batch.kernels, a.l1, a.l2, a.w, a.rows, a.cols)
    batch.sums[a.sum] += penalty * batch.rows


@lowers("penalty")
def _penalty(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand w = inputs[0]
    cdef hl_penalty_args *a = <hl_penalty_args *> to.fill(
        run_penalty, HL_BY_ONE, sizeof(hl_penalty_args)
    )
    a.sum, a.l1, a.l2, a.w = attributes["slot"], attributes["l1"], attributes["l2"], w.data
    _as_matrix(w, &a.rows, &a.cols)


cdef struct hl_penalty_gradient_args:
    double l1, l2
    const char *g
    const char *w
    char *out


cdef void run_penalty_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                               Worker *worker) noexcept nogil:
    cdef const hl_penalty_gradient_args *a = <const hl_penalty_gradient_args *> args
    cdef ptrdiff_t at = first * batch.kernels.itemsize
    if a.out != a.g:
        memcpy(a.out + at, a.g + at, n * batch.kernels.itemsize)
    batch.kernels.penalty_gradient(a.l1, a.l2, a.w + at, a.out + at, n)


@lowers("penalty_gradient")
def _penalty_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand g = inputs[0], w = inputs[1], out = outputs[0]
    cdef hl_penalty_gradient_args *a = <hl_penalty_gradient_args *> to.fill(
        run_penalty_gradient, HL_BY_ELEMENT, sizeof(hl_penalty_gradient_args)
    )
    to.step.length = w.stored
    a.l1, a.l2, a.g, a.w, a.out = attributes["l1"], attributes["l2"], g.data, w.data, out.data


# total += g; at every so many-th batch, mean = total / batches and total = 0.
cdef struct hl_accumulate_gradient_args:
    int batches
    const char *g
    char *total
    char *mean


cdef void run_accumulate_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                                  Worker *worker) noexcept nogil:
    cdef const hl_accumulate_gradient_args *a = <const hl_accumulate_gradient_args *> args
    cdef const hl_kernels *kernels = batch.kernels
    cdef ptrdiff_t at = first * kernels.itemsize
    kernels.merge(HL_ADD, a.g + at, a.total + at, a.total + at, n)
    if (batch.iteration + 1) % a.batches == 0:
        kernels.scale(1.0 / a.batches, 0, a.total + at, a.mean + at, n)
        memset(a.total + at, 0, n * kernels.itemsize)


@lowers("accumulate_gradient")
def _accumulate_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand g = inputs[0], total = inputs[1], mean = outputs[0]
    cdef hl_accumulate_gradient_args *a = <hl_accumulate_gradient_args *> to.fill(
        run_accumulate_gradient, HL_BY_ELEMENT, sizeof(hl_accumulate_gradient_args)
    )
    to.step.length = total.stored
    a.batches, a.g, a.total, a.mean = attributes["batches"], g.data, total.data, mean.data


# sum = before + the squares of x, a matrix in panels, or a row
cdef struct hl_square_sum_args:
    ptrdiff_t rows, cols
    const char *x
    const double *before
    double *sum


cdef void run_square_sum(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                         Worker *worker) noexcept nogil:
    cdef const hl_square_sum_args *a = <const hl_square_sum_args *> args
    a.sum[0] = _penalty_of(batch.kernels, 0, 1, a.x, a.rows, a.cols)
    if a.before != NULL:
        a.sum[0] += a.before[0]


@lowers("square_sum")
def _square_sum(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], total = outputs[0]
    cdef hl_square_sum_args *a = <hl_square_sum_args *> to.fill(
        run_square_sum, HL_BY_ONE, sizeof(hl_square_sum_args)
    )
    to.step.turns = to.turns()
    _as_matrix(x, &a.rows, &a.cols)
    a.x, a.before, a.sum = x.data, <double *> _of(inputs, 1).data, <double *> total.data


# y = x * limit / max(sqrt(squares), limit)
cdef struct hl_clip_by_norm_args:
    double limit
    const double *squares
    const char *x
    char *y


cdef void run_clip_by_norm(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                           Worker *worker) noexcept nogil:
    cdef const hl_clip_by_norm_args *a = <const hl_clip_by_norm_args *> args
    cdef ptrdiff_t at = first * batch.kernels.itemsize
    cdef double factor = a.limit / max(sqrt(a.squares[0]), a.limit)
    batch.kernels.scale(factor, 0, a.x + at, a.y + at, n)


@lowers("clip_by_norm")
def _clip_by_norm(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], squares = inputs[1], y = outputs[0]
    cdef hl_clip_by_norm_args *a = <hl_clip_by_norm_args *> to.fill(
        run_clip_by_norm, HL_BY_ELEMENT, sizeof(hl_clip_by_norm_args)
    )
    to.step.length, to.step.turns = y.stored, to.turns()
    a.limit, a.squares = attributes["limit"], <const double *> squares.data
    a.x, a.y = x.data, y.data


cdef struct hl_clip_by_value_args:
    double limit
    const char *x
    char *y


cdef void run_clip_by_value(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                            Worker *worker) noexcept nogil:
    cdef const hl_clip_by_value_args *a = <const hl_clip_by_value_args *> args
    cdef ptrdiff_t at = first * batch.kernels.itemsize
    batch.kernels.clip(a.limit, a.x + at, a.y + at, n)


@lowers("clip_by_value")
def _clip_by_value(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_clip_by_value_args *a = <hl_clip_by_value_args *> to.fill(
        run_clip_by_value, HL_BY_ELEMENT, sizeof(hl_clip_by_value_args)
    )
    to.step.length, to.step.turns = y.stored, to.turns()
    a.limit, a.x, a.y = attributes["limit"], x.data, y.data


cdef struct hl_decay_args:
    double weight_decay
    char *w


cdef void run_decay(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                    Worker *worker) noexcept nogil:
    cdef const hl_decay_args *a = <const hl_decay_args *> args
    cdef char *w = a.w + first * batch.kernels.itemsize
    batch.kernels.scale(1 - a.weight_decay * batch.learning_rate, 0, w, w, n)


@lowers("decay")
def _decay(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand w = inputs[0]
    cdef hl_decay_args *a = <hl_decay_args *> to.fill(
        run_decay, HL_BY_ELEMENT, sizeof(hl_decay_args)
    )
    to.step.length, to.step.turns = w.stored, to.turns()
    a.weight_decay, a.w = attributes["weight_decay"], w.data


cdef struct hl_moving_average_args:
    double momentum
    const char *value
    char *average


cdef void run_moving_average(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                             Worker *worker) noexcept nogil:
    cdef const hl_moving_average_args *a = <const hl_moving_average_args *> args
    cdef ptrdiff_t at = first * batch.kernels.itemsize
    batch.kernels.moving_average(a.momentum, a.value + at, a.average + at, n)


cdef void run_average(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                      Worker *worker) noexcept nogil:
    """The first updates have nothing to average with."""
    cdef const hl_moving_average_args *a = <const hl_moving_average_args *> args
    cdef ptrdiff_t at = first * batch.kernels.itemsize
    batch.kernels.moving_average(a.momentum if batch.updates else 0, a.value + at, a.average + at,
                                 n)


@lowers("average", "moving_average_update")
def _average(Lowering to, list inputs, list outputs, dict attributes):
    """Of weights over updates, and of the moments of batches."""
    cdef Operand average = inputs[0], value = inputs[1]
    cdef Run run = run_average if to.name == "average" else run_moving_average
    cdef hl_moving_average_args *a = <hl_moving_average_args *> to.fill(
        run, HL_BY_ELEMENT, sizeof(hl_moving_average_args)
    )
    to.step.length = average.stored
    a.momentum, a.value, a.average = attributes["momentum"], value.data, average.data


cdef struct hl_overwrite_args:
    const char *value
    char *w


cdef void run_overwrite(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                        Worker *worker) noexcept nogil:
    cdef const hl_overwrite_args *a = <const hl_overwrite_args *> args
    cdef ptrdiff_t at = first * batch.kernels.itemsize
    memcpy(a.w + at, a.value + at, n * batch.kernels.itemsize)


@lowers("overwrite")
def _overwrite(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand w = inputs[0], value = inputs[1]
    cdef hl_overwrite_args *a = <hl_overwrite_args *> to.fill(
        run_overwrite, HL_BY_ELEMENT, sizeof(hl_overwrite_args)
    )
    to.step.length = w.stored
    to.step.turns, to.step.frequency = 1, attributes["frequency"]
    a.value, a.w = value.data, w.data


# w = value: bytes as they are, or those of a matrix of rows x cols that only one of them packs.
cdef struct hl_assign_args:
    ptrdiff_t item, rows, cols
    int packs
    const char *value
    char *w


cdef void run_assign(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                     Worker *worker) noexcept nogil:
    cdef const hl_assign_args *a = <const hl_assign_args *> args
    memcpy(a.w + first * a.item, a.value + first * a.item, n * a.item)


cdef void run_assign_panels(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                            Worker *worker) noexcept nogil:
    cdef const hl_assign_args *a = <const hl_assign_args *> args
    cdef char *packed = a.w if a.packs else <char *> a.value
    cdef char *plain = <char *> a.value if a.packs else a.w
    copy_panels(batch.kernels, a.rows, a.cols, first, first + n, packed, plain, a.packs)


@lowers("assign")
def _assign(Lowering to, list inputs, list outputs, dict attributes):
    """Bytes, or panels where one of the two is packed."""
    cdef Operand w = inputs[0], value = inputs[1]
    cdef Operand packed = w if w.packed else value
    cdef Run run = run_assign if w.packed == value.packed else run_assign_panels
    cdef hl_assign_args *a = <hl_assign_args *> to.fill(
        run, HL_BY_ELEMENT, sizeof(hl_assign_args)
    )
    to.step.length = w.stored
    if w.packed != value.packed:
        to.step.length = (packed.cols + to.kernels.nr - 1) // to.kernels.nr
    a.item, a.rows, a.cols, a.packs = w.itemsize, packed.rows, packed.cols, w.packed
    a.value, a.w = value.data, w.data


# Norms go over each `apart`-th row of each column; not_negative sets numbers below 0 to 0 instead.
cdef struct hl_constrain_args:
    int packed, not_negative
    double low, high, rate
    ptrdiff_t rows, cols, apart
    char *w


cdef void run_constrain(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                        Worker *worker) noexcept nogil:
    """Workers take panels, or as many columns of a weight that is not packed."""
    cdef const hl_constrain_args *a = <const hl_constrain_args *> args
    cdef const hl_kernels *kernels = batch.kernels
    cdef ptrdiff_t nr = kernels.nr, panels = (a.cols + nr - 1) // nr, panel, ld = a.cols, i
    cdef char *w
    for panel in range(share(panels, worker.number, worker.n_workers),
                       share(panels, worker.number + 1, worker.n_workers)):
        w = a.w + panel * nr * (a.rows if a.packed else 1) * kernels.itemsize
        n = min(nr, a.cols - panel * nr)
        if a.packed:
            n = ld = panel_width(kernels, n)
        if a.not_negative:
            kernels.activation(HL_RELU, 0, w, ld, w, ld, a.rows, n)
        else:
            for i in range(a.apart):
                kernels.limit_norms(a.low, a.high, a.rate, a.rows // a.apart, n, ld * a.apart,
                                    w + i * ld * kernels.itemsize)


@lowers("constrain")
def _constrain(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand w = inputs[0]
    cdef hl_constrain_args *a = <hl_constrain_args *> to.fill(
        run_constrain, HL_BY_ALL, sizeof(hl_constrain_args)
    )
    a.packed, a.w = w.packed, w.data
    # The norms of Keras go over the first axis; a vector is one column.
    first, *rest = w.dims or (1,)
    a.rows, a.cols, a.apart = first, prod(rest), 1
    if w.packed:
        a.rows, a.cols, a.apart = w.rows, w.cols, w.rows // first
    constraint = attributes["constraint"]
    if isinstance(constraint, NormConstraint):
        a.low, a.high, a.rate = constraint.low, constraint.high, constraint.rate
    else:
        a.not_negative = True
