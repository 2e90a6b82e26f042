# The matrix products of layers, biases, and the updates that are fused with their gradients.


cdef inline const void *const *_rows_of(const hl_rows *x, Batch *batch,
                                        Worker *worker) noexcept nogil:
    """Where the rows of a product's first matrix stand: in the user's array, or one by one."""
    if x.in_place:
        return worker.in_place
    addresses_of(x.data, x.row * batch.kernels.itemsize, batch.rows * x.rows, worker.addresses)
    return worker.addresses


cdef _take_rows(Lowering to, hl_rows *rows, Operand x, ptrdiff_t inputs, ptrdiff_t units):
    """The rows of x for a product with a weight of inputs x units, which may find them in place."""
    rows.data, rows.rows, rows.cols, rows.row = x.data, x.rows, x.cols, x.row
    rows.parts = parts_of(to.kernels, inputs, units)
    rows.panels = (units + to.kernels.nr - 1) // to.kernels.nr
    to.step.rows = rows
    to.asking_flops += 2 * x.rows * inputs * units
    _need_product_scratch(to, x.rows, inputs, units)


cdef _need_product_scratch(Lowering to, ptrdiff_t rows, ptrdiff_t inputs, ptrdiff_t units):
    rows *= to.examples
    to.n_addresses = max(to.n_addresses, rows)
    to.need_scratch(product_scratch(to.kernels, rows, inputs, units))


# y = f(x w + bias)
cdef struct hl_dense_args:
    hl_rows x
    ptrdiff_t units
    const char *w
    const char *bias
    hl_activation activation
    double alpha
    char *y
    ptrdiff_t y_row
    char *partial  # room for sums that are cut into parts


cdef void run_dense(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                    Worker *worker) noexcept nogil:
    cdef const hl_dense_args *a = <const hl_dense_args *> args
    dense_forward(batch.kernels, batch.rows * a.x.rows, a.x.cols, a.units,
                  _rows_of(&a.x, batch, worker), a.w, a.bias, a.activation, a.alpha, a.y, a.y_row,
                  a.partial, worker)


@lowers("dense", "matmul")
def _dense(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], w = inputs[1], y = outputs[0]
    cdef hl_dense_args *a = <hl_dense_args *> to.fill(run_dense, HL_BY_ALL, sizeof(hl_dense_args))
    cdef ptrdiff_t rows = to.examples * x.rows
    _take_rows(to, &a.x, x, w.rows, w.cols)
    a.units, a.w, a.bias = w.cols, w.data, _of(inputs, 2).data
    a.y, a.y_row = y.data, y.row
    a.activation = <hl_activation> <int> ACTIVATIONS[attributes.get("activation", "linear")]
    a.alpha = attributes.get("alpha", 0.0)
    if a.x.parts > 1:
        a.partial = to.room(partial_bytes(to.kernels, rows, w.rows, w.cols))
    # Of parts that are added up, all rows at once.
    if shares_rows(to.kernels, w.rows, w.cols) or (
        a.x.parts > 1 and rows_at_once(to.kernels, rows, w.rows, w.cols) == rows
    ):
        to.writes_apart = x.rows
    if a.x.parts == 1:
        to.reads_apart = to.writes_apart


# dx = f'(saved) * dy w^T
cdef struct hl_input_gradient_args:
    ptrdiff_t rows, inputs, units, dy_row
    const char *dy
    const char *w
    const char *saved
    hl_activation activation
    double alpha
    char *dx


cdef void run_input_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                             Worker *worker) noexcept nogil:
    cdef const hl_input_gradient_args *a = <const hl_input_gradient_args *> args
    cdef ptrdiff_t rows = batch.rows * a.rows
    addresses_of(a.dy, a.dy_row * batch.kernels.itemsize, rows, worker.addresses)
    input_gradient(batch.kernels, rows, a.inputs, a.units, worker.addresses, a.w, a.saved,
                   a.activation, a.alpha, a.dx, worker)


@lowers("input_gradient")
def _input_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], w = inputs[1], dx = outputs[0]
    cdef hl_input_gradient_args *a = <hl_input_gradient_args *> to.fill(
        run_input_gradient, HL_BY_ALL, sizeof(hl_input_gradient_args)
    )
    a.rows, a.inputs, a.units, a.dy_row = dy.rows, w.rows, w.cols, dy.row
    a.dy, a.w, a.saved, a.dx = dy.data, w.data, _of(inputs, 2).data, dx.data
    a.activation = <hl_activation> <int> ACTIVATIONS[attributes.get("activation", "linear")]
    a.alpha = attributes.get("alpha", 0.0)
    to.read_by_all.add(<size_t> w.data)
    _need_product_scratch(to, dy.rows, w.rows, w.cols)


# dw = x^T dy
cdef struct hl_weight_gradient_args:
    hl_rows x
    ptrdiff_t units, dy_row
    const char *dy
    char *dw


cdef void run_weight_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                              Worker *worker) noexcept nogil:
    cdef const hl_weight_gradient_args *a = <const hl_weight_gradient_args *> args
    weight_gradient(batch.kernels, batch.rows * a.x.rows, a.x.cols, a.units,
                    _rows_of(&a.x, batch, worker), a.dy, a.dy_row, a.dw, NULL, worker)


@lowers("weight_gradient")
def _weight_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], dy = inputs[1], dw = outputs[0]
    cdef hl_weight_gradient_args *a = <hl_weight_gradient_args *> to.fill(
        run_weight_gradient, HL_BY_ALL, sizeof(hl_weight_gradient_args)
    )
    _take_rows(to, &a.x, x, x.cols, dy.cols)
    a.units, a.dy, a.dy_row, a.dw = dy.cols, dy.data, dy.row, dw.data


# A weight, what its optimizer keeps of it, and the rule.
cdef struct hl_updated:
    hl_optimizer rule
    char *w
    char *state[3]


# The update of w by x^T dy.
cdef struct hl_weight_update_args:
    hl_rows x
    ptrdiff_t units, dy_row
    const char *dy
    hl_updated weight
    char *dw  # room for it while blocks of rows are summed; NULL: they are one block
    int read_by_all  # threads have read the weights that others update


cdef void run_weight_update(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                            Worker *worker) noexcept nogil:
    cdef const hl_weight_update_args *a = <const hl_weight_update_args *> args
    cdef Update update
    update.rule, update.h, update.w = a.weight.rule, &batch.h[0], a.weight.w
    update.s0, update.s1, update.s2 = a.weight.state[0], a.weight.state[1], a.weight.state[2]
    update.shared = a.read_by_all and worker.n_workers > 1
    weight_gradient(batch.kernels, batch.rows * a.x.rows, a.x.cols, a.units,
                    _rows_of(&a.x, batch, worker), a.dy, a.dy_row, a.dw, &update, worker)


@lowers("weight_gradient_update")
def _weight_update(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], dy = inputs[1], w = inputs[2]
    cdef hl_weight_update_args *a = <hl_weight_update_args *> to.fill(
        run_weight_update, HL_BY_ALL, sizeof(hl_weight_update_args)
    )
    _take_rows(to, &a.x, x, x.cols, dy.cols)
    a.units, a.dy, a.dy_row = dy.cols, dy.data, dy.row
    if to.examples * x.rows > ROWS_AT_ONCE:
        a.dw = to.room(w.stored * to.kernels.itemsize)
    _take_updated(to, &a.weight, w, inputs[3:], attributes)
    # Its input gradient, if there is one, comes before this.
    a.read_by_all = shares_rows(to.kernels, x.cols, dy.cols) or (
        a.x.parts == 1 and <size_t> w.data in to.read_by_all
    )


# y (m, n) = a (m, k) times b (k, n), for each matrix of each example
cdef struct hl_batch_matmul_args:
    ptrdiff_t matrices  # of an example
    ptrdiff_t m, n, k
    ptrdiff_t a_row, b_row
    int transpose_a, transpose_b  # they stand as (k, m) and as (n, k)
    const char *a
    const char *b
    char *y


cdef void run_batch_matmul(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                           Worker *worker) noexcept nogil:
    cdef const hl_batch_matmul_args *a = <const hl_batch_matmul_args *> args
    cdef Matrices x = matrices(a.a, a.m, a.k, a.a_row, a.transpose_a)
    cdef Matrices b = matrices(a.b, a.k, a.n, a.b_row, a.transpose_b)
    products(batch.kernels, batch.rows * a.matrices, a.m, a.n, a.k, &x, &b, NULL, HL_LINEAR, 0,
             a.y, worker)


@lowers("batch_matmul")
def _batch_matmul(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], b = inputs[1], y = outputs[0]
    cdef hl_batch_matmul_args *a = <hl_batch_matmul_args *> to.fill(
        run_batch_matmul, HL_BY_ALL, sizeof(hl_batch_matmul_args)
    )
    a.matrices = prod(y.dims[:-2])
    a.m, a.n, a.a, a.b, a.y = y.dims[-2], y.dims[-1], x.data, b.data, y.data
    a.transpose_a, a.transpose_b = attributes["transpose_a"], attributes["transpose_b"]
    a.a_row, a.b_row = x.row, b.row
    a.k = x.dims[-2] if a.transpose_a else x.dims[-1]
    to.need_scratch(products_scratch(to.kernels, a.m, a.n, a.k))


cdef struct hl_bias_gradient_args:
    ptrdiff_t rows, cols, dy_row
    const char *dy
    char *db


cdef void run_bias_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                            Worker *worker) noexcept nogil:
    cdef const hl_bias_gradient_args *a = <const hl_bias_gradient_args *> args
    cdef ptrdiff_t at = first * batch.kernels.itemsize
    batch.kernels.sum_rows(a.dy + at, a.dy_row, batch.rows * a.rows, n, a.db + at)


@lowers("bias_gradient", arrays="dy *c -> out c")
def _bias_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], db = outputs[0]
    cdef hl_bias_gradient_args *a = <hl_bias_gradient_args *> to.fill(
        run_bias_gradient, HL_BY_COLUMN, sizeof(hl_bias_gradient_args)
    )
    to.step.length = dy.cols
    a.rows, a.cols, a.dy, a.dy_row, a.db = dy.rows, dy.cols, dy.data, dy.row, db.data


cdef struct hl_bias_update_args:
    ptrdiff_t rows, cols, dy_row
    const char *dy
    hl_updated bias


cdef void run_bias_update(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                          Worker *worker) noexcept nogil:
    cdef const hl_bias_update_args *a = <const hl_bias_update_args *> args
    cdef ptrdiff_t at = first * batch.kernels.itemsize
    batch.kernels.sum_rows(a.dy + at, a.dy_row, batch.rows * a.rows, n, worker.scratch)
    _update_elements(&a.bias, worker.scratch, at, n, batch)


@lowers("bias_gradient_update")
def _bias_update(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], b = inputs[1]
    cdef hl_bias_update_args *a = <hl_bias_update_args *> to.fill(
        run_bias_update, HL_BY_COLUMN, sizeof(hl_bias_update_args)
    )
    to.step.length = dy.cols
    a.rows, a.cols, a.dy, a.dy_row = dy.rows, dy.cols, dy.data, dy.row
    _take_updated(to, &a.bias, b, inputs[2:], attributes)
    to.need_scratch(dy.cols * to.kernels.itemsize)


cdef struct hl_add_bias_args:
    ptrdiff_t rows, cols
    const char *x
    const char *b
    char *y


cdef void run_add_bias(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                       Worker *worker) noexcept nogil:
    cdef const hl_add_bias_args *a = <const hl_add_bias_args *> args
    cdef ptrdiff_t at = first * a.rows * a.cols * batch.kernels.itemsize
    batch.kernels.add_bias(a.x + at, a.b, a.y + at, n * a.rows, a.cols)


@lowers("add_bias", arrays="x *c, b c -> out *c")
def _add_bias(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], b = inputs[1], y = outputs[0]
    cdef hl_add_bias_args *a = <hl_add_bias_args *> to.fill(
        run_add_bias, HL_BY_EXAMPLE, sizeof(hl_add_bias_args)
    )
    a.rows, a.cols, a.x, a.b, a.y = to.apart(x.rows), x.cols, x.data, b.data, y.data
