# Other columns, axes or rows than before, and examples of several rows.


# y = [a b]; NULL: it stands there already. All but rows are bytes.
cdef struct hl_concatenate_args:
    ptrdiff_t rows, left, right
    ptrdiff_t a_row, b_row, y_row
    const char *a
    const char *b
    char *y


cdef void run_concatenate(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                          Worker *worker) noexcept nogil:
    cdef const hl_concatenate_args *a = <const hl_concatenate_args *> args
    cdef ptrdiff_t i
    for i in range(first * a.rows, (first + n) * a.rows):
        if a.a != NULL:
            memcpy(a.y + i * a.y_row, a.a + i * a.a_row, a.left)
        if a.b != NULL:
            memcpy(a.y + i * a.y_row + a.left, a.b + i * a.b_row, a.right)


@lowers("concatenate", arrays="a *l, b *r -> out *(l+r)")
def _concatenate(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], b = inputs[1], y = outputs[0]
    cdef hl_concatenate_args *a = <hl_concatenate_args *> to.fill(
        run_concatenate, HL_BY_EXAMPLE, sizeof(hl_concatenate_args)
    )
    a.rows, a.left, a.right = to.apart(y.rows), x.cols * x.itemsize, b.cols * b.itemsize
    a.a_row, a.b_row = x.row * x.itemsize, b.row * b.itemsize
    a.y_row, a.y = y.row * y.itemsize, y.data
    if x.data != y.data:
        a.a = x.data
    if b.data != y.data + a.left:
        a.b = b.data


# y = x[:, first : first + cols]; all but rows are bytes.
cdef struct hl_columns_args:
    ptrdiff_t rows, x_row, first, cols
    const char *x
    char *y


cdef void run_columns(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                      Worker *worker) noexcept nogil:
    cdef const hl_columns_args *a = <const hl_columns_args *> args
    cdef ptrdiff_t i
    for i in range(first * a.rows, (first + n) * a.rows):
        memcpy(a.y + i * a.cols, a.x + i * a.x_row + a.first, a.cols)


@lowers("columns", arrays="x *c -> out *k")
def _columns(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_columns_args *a = <hl_columns_args *> to.fill(
        run_columns, HL_BY_EXAMPLE, sizeof(hl_columns_args)
    )
    a.rows, a.x_row, a.cols = to.apart(y.rows), x.row * x.itemsize, y.cols * y.itemsize
    a.first, a.x, a.y = attributes["first"] * x.itemsize, x.data, y.data


cdef void run_permute(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                      Worker *worker) noexcept nogil:
    cdef const hl_permute_args *a = <const hl_permute_args *> args
    batch.kernels.gather(&a.x, NULL, first, n, a.y + first * a.size * batch.kernels.itemsize)


@lowers("permute")
def _permute(Lowering to, list inputs, list outputs, dict attributes):
    _read_one_by_one(to, run_permute, inputs[0], outputs[0], attributes["axes"])


# Between `rows` times `steps` rows and `rows` rows
cdef struct hl_steps_args:
    ptrdiff_t rows, steps, cols
    const char *x
    char *y


cdef hl_steps_args *_take_steps(Lowering to, Run run, Operand few, Operand several) except NULL:
    """The args of a step between rows and as many times as many steps."""
    cdef hl_steps_args *a = <hl_steps_args *> to.fill(run, HL_BY_EXAMPLE, sizeof(hl_steps_args))
    a.rows, a.steps, a.cols = to.apart(prod(several.dims[:-2])), several.dims[-2], several.dims[-1]
    return a


cdef void run_sum_steps(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                        Worker *worker) noexcept nogil:
    cdef const hl_steps_args *a = <const hl_steps_args *> args
    cdef ptrdiff_t row = a.cols * batch.kernels.itemsize, i
    for i in range(first * a.rows, (first + n) * a.rows):
        batch.kernels.sum_rows(a.x + i * a.steps * row, a.cols, a.steps, a.cols, a.y + i * row)


@lowers("sum_steps", arrays="x *sc -> out *c")
def _sum_steps(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_steps_args *a = _take_steps(to, run_sum_steps, y, x)
    a.x, a.y = x.data, y.data


cdef void _divide(char *y, ptrdiff_t by, ptrdiff_t n, ptrdiff_t itemsize) noexcept nogil:
    """Not a product with 1 / by, which would be rounded twice."""
    cdef ptrdiff_t i
    if itemsize == sizeof(double):
        for i in range(n):
            (<double *> y)[i] /= <double> by
    else:
        for i in range(n):
            (<float *> y)[i] /= <float> by


cdef void run_mean_steps(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                         Worker *worker) noexcept nogil:
    cdef const hl_steps_args *a = <const hl_steps_args *> args
    cdef char *y = a.y + first * a.rows * a.cols * batch.kernels.itemsize
    run_sum_steps(args, first, n, batch, worker)
    _divide(y, a.steps, n * a.rows * a.cols, batch.kernels.itemsize)


@lowers("mean_steps", arrays="x *sc -> out *c")
def _mean_steps(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_steps_args *a = _take_steps(to, run_mean_steps, y, x)
    a.x, a.y = x.data, y.data


cdef void run_repeat_steps(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                           Worker *worker) noexcept nogil:
    cdef const hl_steps_args *a = <const hl_steps_args *> args
    cdef ptrdiff_t at = first * a.rows * a.cols * batch.kernels.itemsize
    batch.kernels.repeat_steps(a.x + at, n * a.rows, a.steps, a.cols, a.y + at * a.steps)


@lowers("repeat_steps", arrays="x *c -> out *sc")
def _repeat_steps(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_steps_args *a = _take_steps(to, run_repeat_steps, x, y)
    a.x, a.y = x.data, y.data


cdef void run_max_steps(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                        Worker *worker) noexcept nogil:
    cdef const hl_steps_args *a = <const hl_steps_args *> args
    cdef ptrdiff_t at = first * a.rows * a.cols * batch.kernels.itemsize
    batch.kernels.max_steps(a.x + at * a.steps, n * a.rows, a.steps, a.cols, a.y + at)


@lowers("max_steps", arrays="x *sc -> out *c")
def _max_steps(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_steps_args *a = _take_steps(to, run_max_steps, y, x)
    a.x, a.y = x.data, y.data


# Between `rows` times `steps` rows and themselves
cdef struct hl_cumulative_sum_args:
    int reverse
    ptrdiff_t rows, steps, cols
    const char *x
    char *y


cdef void run_cumulative_sum(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                             Worker *worker) noexcept nogil:
    cdef const hl_cumulative_sum_args *a = <const hl_cumulative_sum_args *> args
    cdef ptrdiff_t at = first * a.rows * a.steps * a.cols * batch.kernels.itemsize
    batch.kernels.cumulative_sum(a.reverse, a.x + at, n * a.rows, a.steps, a.cols, a.y + at)


@lowers("cumulative_sum", arrays="x *sc -> out *sc")
def _cumulative_sum(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_cumulative_sum_args *a = <hl_cumulative_sum_args *> to.fill(
        run_cumulative_sum, HL_BY_EXAMPLE, sizeof(hl_cumulative_sum_args)
    )
    axis = len(x.dims) + attributes["axis"]
    if not 0 <= axis < len(x.dims):
        raise ValueError(
            f"cumulative_sum goes along axes -1 to {-len(x.dims)} here, not {attributes['axis']}"
        )
    a.reverse = attributes["reverse"]
    a.rows, a.steps = to.apart(prod(x.dims[:axis])), x.dims[axis]
    a.cols = prod(x.dims[axis + 1 :])
    a.x, a.y = x.data, y.data


cdef struct hl_max_steps_gradient_args:
    ptrdiff_t rows, steps, cols
    const char *dy
    const char *x
    const char *y
    char *dx


cdef void run_max_steps_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                                 Worker *worker) noexcept nogil:
    cdef const hl_max_steps_gradient_args *a = <const hl_max_steps_gradient_args *> args
    cdef ptrdiff_t at = first * a.rows * a.cols * batch.kernels.itemsize
    batch.kernels.max_steps_gradient(a.dy + at, a.x + at * a.steps, a.y + at, n * a.rows, a.steps,
                                     a.cols, a.dx + at * a.steps)


@lowers("max_steps_gradient", arrays="dy *c, x *sc, y *c -> out *sc")
def _max_steps_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], x = inputs[1], y = inputs[2], dx = outputs[0]
    cdef hl_max_steps_gradient_args *a = <hl_max_steps_gradient_args *> to.fill(
        run_max_steps_gradient, HL_BY_EXAMPLE, sizeof(hl_max_steps_gradient_args)
    )
    a.rows, a.steps, a.cols = to.apart(prod(x.dims[:-2])), x.dims[-2], x.dims[-1]
    a.dy, a.x, a.y, a.dx = dy.data, x.data, y.data, dx.data


cdef struct hl_standardize_args:
    int invert
    ptrdiff_t rows, cols, run
    const char *x
    const char *mean
    const char *variance
    char *y


cdef void run_standardize(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                          Worker *worker) noexcept nogil:
    cdef const hl_standardize_args *a = <const hl_standardize_args *> args
    cdef ptrdiff_t at = first * a.rows * a.cols * a.run * batch.kernels.itemsize
    batch.kernels.standardize(a.invert, a.x + at, a.mean, a.variance, n * a.rows, a.cols, a.run,
                              a.y + at)


@lowers("standardize", arrays="x *cr, mean c, variance c -> out *cr")
@lowers("standardize_gradient", arrays="dy *cr, variance c -> out *cr")
def _standardize(Lowering to, list inputs, list outputs, dict attributes):
    """The gradient is the same of dy, with means of zero."""
    cdef Operand x = inputs[0], variance = inputs[-1], y = outputs[0]
    cdef hl_standardize_args *a = <hl_standardize_args *> to.fill(
        run_standardize, HL_BY_EXAMPLE, sizeof(hl_standardize_args)
    )
    a.invert = attributes["invert"]
    a.rows, a.cols, a.run = to.apart(prod(y.dims[:-2])), y.dims[-2], y.dims[-1]
    a.x, a.variance, a.y = x.data, variance.data, y.data
    if to.name == "standardize":
        a.mean = (<Operand> inputs[1]).data
