# Normalisation: of columns over the batch, and of each row. Gamma and beta may be nothing.


cdef struct hl_column_moments_args:
    ptrdiff_t rows, cols
    const char *x
    char *mean
    char *variance


cdef void run_column_moments(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                             Worker *worker) noexcept nogil:
    cdef const hl_column_moments_args *a = <const hl_column_moments_args *> args
    cdef ptrdiff_t at = first * batch.kernels.itemsize
    batch.kernels.column_moments(a.x + at, a.cols, batch.rows * a.rows, n, a.mean + at,
                                 a.variance + at)


@lowers("column_moments", arrays="x *c -> mean c, variance c")
def _column_moments(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], mean = outputs[0], variance = outputs[1]
    cdef hl_column_moments_args *a = <hl_column_moments_args *> to.fill(
        run_column_moments, HL_BY_COLUMN, sizeof(hl_column_moments_args)
    )
    to.step.length = x.cols
    a.rows, a.cols, a.x, a.mean, a.variance = x.rows, x.cols, x.data, mean.data, variance.data


cdef struct hl_normalize_args:
    double epsilon
    ptrdiff_t rows, cols
    const char *x
    const char *mean
    const char *variance
    const char *gamma
    const char *beta
    char *y


cdef void run_normalize(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                        Worker *worker) noexcept nogil:
    cdef const hl_normalize_args *a = <const hl_normalize_args *> args
    cdef ptrdiff_t at = first * a.rows * a.cols * batch.kernels.itemsize
    batch.kernels.normalize(a.epsilon, a.x + at, a.mean, a.variance, a.gamma, a.beta, a.y + at,
                            n * a.rows, a.cols)


@lowers("normalize", arrays="x *c, mean c, variance c, gamma? c, beta? c -> out *c")
def _normalize(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], mean = inputs[1], variance = inputs[2], y = outputs[0]
    cdef hl_normalize_args *a = <hl_normalize_args *> to.fill(
        run_normalize, HL_BY_EXAMPLE, sizeof(hl_normalize_args)
    )
    a.epsilon, a.rows, a.cols = attributes["epsilon"], to.apart(x.rows), x.cols
    a.x, a.mean, a.variance, a.y = x.data, mean.data, variance.data, y.data
    _take_weights(inputs, 3, attributes, &a.gamma, &a.beta)


cdef _take_weights(list inputs, int at, dict attributes, const char **gamma, const char **beta):
    """Gamma and beta, which stand from this input on as far as there are any."""
    if attributes["scale"]:
        gamma[0] = (<Operand> inputs[at]).data
        at += 1
    if attributes["center"]:
        beta[0] = (<Operand> inputs[at]).data


cdef struct hl_normalize_scale_gradient_args:
    double epsilon
    ptrdiff_t rows, cols
    const char *dy
    const char *x
    const char *mean
    const char *variance
    char *dgamma


cdef void run_normalize_scale_gradient(const void *args, ptrdiff_t first, ptrdiff_t n,
                                       Batch *batch, Worker *worker) noexcept nogil:
    cdef const hl_normalize_scale_gradient_args *a = <const hl_normalize_scale_gradient_args *> args
    cdef ptrdiff_t at = first * batch.kernels.itemsize
    batch.kernels.normalize_scale_gradient(
        a.epsilon, a.dy + at, a.x + at, a.mean + at, a.variance + at, a.cols, batch.rows * a.rows,
        n, a.dgamma + at,
    )


@lowers("normalize_scale_gradient", arrays="dy *c, x *c, mean c, variance c -> out c")
def _normalize_scale_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], x = inputs[1], mean = inputs[2], variance = inputs[3]
    cdef Operand dgamma = outputs[0]
    cdef hl_normalize_scale_gradient_args *a = <hl_normalize_scale_gradient_args *> to.fill(
        run_normalize_scale_gradient, HL_BY_COLUMN, sizeof(hl_normalize_scale_gradient_args)
    )
    to.step.length = x.cols
    a.epsilon, a.rows, a.cols = attributes["epsilon"], x.rows, x.cols
    a.dy, a.x, a.mean, a.variance = dy.data, x.data, mean.data, variance.data
    a.dgamma = dgamma.data


cdef struct hl_normalize_gradient_args:
    double epsilon
    ptrdiff_t rows, cols
    ptrdiff_t of_example  # rows, where `rows` are those that threads divide
    const char *dy
    const char *x
    const char *mean
    const char *variance
    const char *gamma
    const char *dgamma
    const char *dbeta
    char *dx


cdef void run_normalize_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                                 Worker *worker) noexcept nogil:
    cdef const hl_normalize_gradient_args *a = <const hl_normalize_gradient_args *> args
    cdef ptrdiff_t at = first * a.rows * a.cols * batch.kernels.itemsize
    batch.kernels.normalize_gradient(
        a.epsilon, batch.rows * a.of_example, a.dy + at, a.x + at, a.mean, a.variance, a.gamma,
        a.dgamma, a.dbeta, a.dx + at, n * a.rows, a.cols,
    )


@lowers(
    "normalize_gradient",
    arrays="dy *c, x *c, mean c, variance c, gamma? c, dgamma? c, dbeta? c -> out *c",
)
def _normalize_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], x = inputs[1], mean = inputs[2], variance = inputs[3]
    cdef Operand dx = outputs[0]
    cdef int sums = 5 if attributes["scale"] else 4
    cdef hl_normalize_gradient_args *a = <hl_normalize_gradient_args *> to.fill(
        run_normalize_gradient, HL_BY_EXAMPLE, sizeof(hl_normalize_gradient_args)
    )
    a.epsilon, a.rows, a.cols = attributes["epsilon"], to.apart(x.rows), x.cols
    a.of_example = x.rows
    a.dy, a.x, a.mean, a.variance = dy.data, x.data, mean.data, variance.data
    if attributes["scale"]:
        a.gamma = (<Operand> inputs[4]).data
    a.dgamma, a.dbeta, a.dx = _of(inputs, sums).data, _of(inputs, sums + 1).data, dx.data


cdef struct hl_layer_norm_args:
    int centered
    double epsilon
    ptrdiff_t rows, cols
    const char *x
    const char *gamma
    const char *beta
    char *y
    char *mean
    char *inverse


cdef void run_layer_norm(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                         Worker *worker) noexcept nogil:
    cdef const hl_layer_norm_args *a = <const hl_layer_norm_args *> args
    cdef ptrdiff_t row = first * a.rows * batch.kernels.itemsize, at = row * a.cols
    batch.kernels.layer_norm(a.centered, a.epsilon, a.x + at, a.gamma, a.beta, a.y + at,
                             moved(a.mean, row), moved(a.inverse, row), n * a.rows, a.cols)


@lowers("layer_norm", arrays="x *c, gamma? c, beta? c -> out *c, mean? *, inverse? *")
def _layer_norm(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_layer_norm_args *a = <hl_layer_norm_args *> to.fill(
        run_layer_norm, HL_BY_EXAMPLE, sizeof(hl_layer_norm_args)
    )
    a.centered, a.epsilon = attributes["centered"], attributes["epsilon"]
    a.rows, a.cols, a.x, a.y = to.apart(x.rows), x.cols, x.data, y.data
    a.mean, a.inverse = _of(outputs, 1).data, _of(outputs, 2).data
    _take_weights(inputs, 1, attributes, &a.gamma, &a.beta)


cdef struct hl_layer_norm_scale_gradient_args:
    ptrdiff_t rows, cols
    const char *dy
    const char *x
    const char *mean
    const char *inverse
    char *dgamma


cdef void run_layer_norm_scale_gradient(const void *args, ptrdiff_t first, ptrdiff_t n,
                                        Batch *batch, Worker *worker) noexcept nogil:
    cdef const hl_layer_norm_scale_gradient_args *a = (
        <const hl_layer_norm_scale_gradient_args *> args
    )
    cdef ptrdiff_t at = first * batch.kernels.itemsize
    batch.kernels.layer_norm_scale_gradient(a.dy + at, a.x + at, a.mean, a.inverse, a.cols,
                                            batch.rows * a.rows, n, a.dgamma + at)


@lowers("layer_norm_scale_gradient", arrays="dy *c, x *c, mean *, inverse * -> out c")
def _layer_norm_scale_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], x = inputs[1], mean = inputs[2], inverse = inputs[3]
    cdef Operand dgamma = outputs[0]
    cdef hl_layer_norm_scale_gradient_args *a = <hl_layer_norm_scale_gradient_args *> to.fill(
        run_layer_norm_scale_gradient, HL_BY_COLUMN, sizeof(hl_layer_norm_scale_gradient_args)
    )
    to.step.length = x.cols
    a.rows, a.cols, a.dy, a.x = x.rows, x.cols, dy.data, x.data
    a.mean, a.inverse, a.dgamma = mean.data, inverse.data, dgamma.data


cdef struct hl_layer_norm_gradient_args:
    int centered
    ptrdiff_t rows, cols
    const char *dy
    const char *x
    const char *mean
    const char *inverse
    const char *gamma
    char *dx


cdef void run_layer_norm_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                                  Worker *worker) noexcept nogil:
    cdef const hl_layer_norm_gradient_args *a = <const hl_layer_norm_gradient_args *> args
    cdef ptrdiff_t row = first * a.rows * batch.kernels.itemsize, at = row * a.cols
    batch.kernels.layer_norm_gradient(a.centered, a.dy + at, a.x + at, a.mean + row,
                                      a.inverse + row, a.gamma, a.dx + at, n * a.rows, a.cols)


@lowers("layer_norm_gradient", arrays="dy *c, x *c, mean *, inverse *, gamma? c -> out *c")
def _layer_norm_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], x = inputs[1], mean = inputs[2], inverse = inputs[3]
    cdef Operand dx = outputs[0]
    cdef hl_layer_norm_gradient_args *a = <hl_layer_norm_gradient_args *> to.fill(
        run_layer_norm_gradient, HL_BY_EXAMPLE, sizeof(hl_layer_norm_gradient_args)
    )
    a.centered, a.rows, a.cols = attributes["centered"], to.apart(x.rows), x.cols
    a.dy, a.x, a.mean, a.inverse, a.dx = dy.data, x.data, mean.data, inverse.data, dx.data
    if attributes["scale"]:
        a.gamma = (<Operand> inputs[4]).data
