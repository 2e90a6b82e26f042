# Rows of a table by their numbers.


# The numbers of x one by one, as the source says that an example's stand: cast to int32_t, or as
# they are.
cdef struct hl_permute_args:
    hl_source x
    ptrdiff_t size
    char *y


cdef void run_indices(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                      Worker *worker) noexcept nogil:
    cdef const hl_permute_args *a = <const hl_permute_args *> args
    gather_labels(&a.x, NULL, first, n, <int32_t *> a.y + first * a.size)


@lowers("indices", arrays="x *c -> out# *c")
def _indices(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0]
    _read_one_by_one(to, run_indices, x, outputs[0], range(len(x.dims)))


cdef _read_one_by_one(Lowering to, Run run, Operand x, Operand y, axes):
    """A step on the numbers of each example, its axes being taken in this order."""
    cdef hl_permute_args *a = <hl_permute_args *> to.fill(
        run, HL_BY_EXAMPLE, sizeof(hl_permute_args)
    )
    cdef ptrdiff_t item = to.kernels.itemsize
    strides = [item * prod(x.dims[axis + 1 :]) for axis in range(len(x.dims))]
    a.x.data = x.data
    a.x.dtype = HL_F64 if item == 8 else HL_F32
    a.x.row_stride = x.size * item
    set_dims(&a.x, [(x.dims[axis], strides[axis]) for axis in axes], item)
    a.size, a.y = x.size, y.data


# The table, w, is packed; there are `size` numbers in an example.
cdef struct hl_lookup_args:
    ptrdiff_t size, rows, cols
    const int32_t *index
    const char *w
    char *y


cdef void run_lookup(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                     Worker *worker) noexcept nogil:
    cdef const hl_lookup_args *a = <const hl_lookup_args *> args
    batch.kernels.lookup(a.index + first * a.size, n * a.size, a.w, a.rows, a.cols,
                         a.y + first * a.size * a.cols * batch.kernels.itemsize)


@lowers("lookup", arrays="index# *, w! rc -> out *c")
def _lookup(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand index = inputs[0], w = inputs[1], y = outputs[0]
    cdef hl_lookup_args *a = <hl_lookup_args *> to.fill(
        run_lookup, HL_BY_EXAMPLE, sizeof(hl_lookup_args)
    )
    a.size, a.rows, a.cols = to.apart(index.size), w.rows, w.cols
    a.index, a.w, a.y = <const int32_t *> index.data, w.data, y.data


cdef struct hl_lookup_gradient_args:
    ptrdiff_t size, rows, cols
    const int32_t *index
    const char *dy
    char *dw


cdef void run_lookup_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                              Worker *worker) noexcept nogil:
    cdef const hl_lookup_gradient_args *a = <const hl_lookup_gradient_args *> args
    batch.kernels.lookup_gradient(a.index, batch.rows * a.size, a.dy, a.rows, a.cols,
                                  worker.number, worker.n_workers, a.dw)


@lowers("lookup_gradient", arrays="dy *c, index# * -> out! rc")
def _lookup_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], index = inputs[1], dw = outputs[0]
    cdef hl_lookup_gradient_args *a = <hl_lookup_gradient_args *> to.fill(
        run_lookup_gradient, HL_BY_ALL, sizeof(hl_lookup_gradient_args)
    )
    a.size, a.rows, a.cols = index.size, dw.rows, dw.cols
    a.index, a.dy, a.dw = <const int32_t *> index.data, dy.data, dw.data


cdef struct hl_encode_args:
    int counts
    ptrdiff_t rows, n, depth
    const int32_t *index
    char *y


cdef void run_encode(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                     Worker *worker) noexcept nogil:
    cdef const hl_encode_args *a = <const hl_encode_args *> args
    cdef ptrdiff_t row = first * a.rows
    batch.kernels.encode(a.counts, a.index + row * a.n, n * a.rows, a.n, a.depth,
                         a.y + row * a.depth * batch.kernels.itemsize)


@lowers("encode", arrays="index# *k -> out *d")
def _encode(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand index = inputs[0], y = outputs[0]
    cdef hl_encode_args *a = <hl_encode_args *> to.fill(
        run_encode, HL_BY_EXAMPLE, sizeof(hl_encode_args)
    )
    a.counts, a.rows, a.n, a.depth = attributes["counts"], to.apart(y.rows), index.cols, y.cols
    a.index, a.y = <const int32_t *> index.data, y.data
