# Functions of whole rows: over the columns of each.


# softmax, log_softmax, sparsemax, unit_rows
cdef struct hl_row_args:
    void (*kernel)(const void *x, void *y, ptrdiff_t rows, ptrdiff_t cols) noexcept nogil
    ptrdiff_t rows, cols
    const char *x
    char *y


cdef void run_row(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                  Worker *worker) noexcept nogil:
    cdef const hl_row_args *a = <const hl_row_args *> args
    cdef ptrdiff_t at = first * a.rows * a.cols * batch.kernels.itemsize
    a.kernel(a.x + at, a.y + at, n * a.rows, a.cols)


@lowers("softmax", "log_softmax", "sparsemax", "unit_rows", arrays="x *c -> out *c")
def _row(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_row_args *a = <hl_row_args *> to.fill(run_row, HL_BY_EXAMPLE, sizeof(hl_row_args))
    if to.name == "softmax":
        a.kernel = to.kernels.softmax
    elif to.name == "log_softmax":
        a.kernel = to.kernels.log_softmax
    elif to.name == "sparsemax":
        a.kernel = to.kernels.sparsemax
    else:
        a.kernel = to.kernels.unit_rows
    a.rows, a.cols, a.x, a.y = to.apart(x.rows), x.cols, x.data, y.data


# Their gradients; saved is the input or the output, as the kernel says.
cdef struct hl_row_gradient_args:
    void (*kernel)(const void *dy, const void *saved, void *dx, ptrdiff_t rows,
                   ptrdiff_t cols) noexcept nogil
    ptrdiff_t rows, cols
    const char *dy
    const char *saved
    char *dx


cdef void run_row_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                           Worker *worker) noexcept nogil:
    cdef const hl_row_gradient_args *a = <const hl_row_gradient_args *> args
    cdef ptrdiff_t at = first * a.rows * a.cols * batch.kernels.itemsize
    a.kernel(a.dy + at, a.saved + at, a.dx + at, n * a.rows, a.cols)


@lowers(
    "softmax_gradient", "log_softmax_gradient", "sparsemax_gradient",
    arrays="dy *c, y *c -> out *c",
)
@lowers("unit_rows_gradient", arrays="dy *c, x *c -> out *c")
def _row_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], saved = inputs[1], dx = outputs[0]
    cdef hl_row_gradient_args *a = <hl_row_gradient_args *> to.fill(
        run_row_gradient, HL_BY_EXAMPLE, sizeof(hl_row_gradient_args)
    )
    if to.name == "softmax_gradient":
        a.kernel = to.kernels.softmax_gradient
    elif to.name == "log_softmax_gradient":
        a.kernel = to.kernels.log_softmax_gradient
    elif to.name == "sparsemax_gradient":
        a.kernel = to.kernels.sparsemax_gradient
    else:
        a.kernel = to.kernels.unit_rows_gradient
    a.rows, a.cols = to.apart(dy.rows), dy.cols
    a.dy, a.saved, a.dx = dy.data, saved.data, dx.data


# x has 2 * cols columns.
cdef struct hl_glu_args:
    ptrdiff_t rows, cols
    const char *x
    char *y


cdef void run_glu(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                  Worker *worker) noexcept nogil:
    cdef const hl_glu_args *a = <const hl_glu_args *> args
    cdef ptrdiff_t at = first * a.rows * a.cols * batch.kernels.itemsize
    batch.kernels.glu(a.x + 2 * at, a.y + at, n * a.rows, a.cols)


@lowers("glu", arrays="x *(2c) -> out *c")
def _glu(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_glu_args *a = <hl_glu_args *> to.fill(run_glu, HL_BY_EXAMPLE, sizeof(hl_glu_args))
    a.rows, a.cols, a.x, a.y = to.apart(y.rows), y.cols, x.data, y.data


cdef struct hl_glu_gradient_args:
    ptrdiff_t rows, cols
    const char *dy
    const char *x
    char *dx


cdef void run_glu_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                           Worker *worker) noexcept nogil:
    cdef const hl_glu_gradient_args *a = <const hl_glu_gradient_args *> args
    cdef ptrdiff_t at = first * a.rows * a.cols * batch.kernels.itemsize
    batch.kernels.glu_gradient(a.dy + at, a.x + 2 * at, a.dx + 2 * at, n * a.rows, a.cols)


@lowers("glu_gradient", arrays="dy *c, x *(2c) -> out *(2c)")
def _glu_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], x = inputs[1], dx = outputs[0]
    cdef hl_glu_gradient_args *a = <hl_glu_gradient_args *> to.fill(
        run_glu_gradient, HL_BY_EXAMPLE, sizeof(hl_glu_gradient_args)
    )
    a.rows, a.cols, a.dy, a.x, a.dx = to.apart(dy.rows), dy.cols, dy.data, x.data, dx.data
