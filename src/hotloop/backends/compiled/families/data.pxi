# What comes in and goes out: rows of the user's arrays, and of the plan's outputs.

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
# Those of a plan's values.
VALUE_DTYPES = {
    "float32": csrc.HL_F32,
    "float64": csrc.HL_F64,
    "int32": csrc.HL_I32,
    "uint8": csrc.HL_U8,
    "bool": csrc.HL_BOOL,
}


cdef void run_gather(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                     Worker *worker) noexcept nogil:
    cdef const hl_gather_args *a = <const hl_gather_args *> args
    batch.kernels.gather(&batch.sources[a.source], batch.order, batch.first + first, n,
                         a.out + first * a.size * batch.kernels.itemsize)


cdef void run_gather_labels(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                            Worker *worker) noexcept nogil:
    cdef const hl_gather_args *a = <const hl_gather_args *> args
    gather_labels(&batch.sources[a.source], batch.order, batch.first + first, n,
                  <int32_t *> a.out + first * a.size)


cdef void run_gather_masks(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                           Worker *worker) noexcept nogil:
    cdef const hl_gather_args *a = <const hl_gather_args *> args
    gather_masks(&batch.sources[a.source], batch.order, batch.first + first, n,
                 <uint8_t *> a.out + first * a.size)


cdef void run_gather_booleans(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                              Worker *worker) noexcept nogil:
    cdef const hl_gather_args *a = <const hl_gather_args *> args
    gather_booleans(&batch.sources[a.source], batch.order, batch.first + first, n,
                    <uint8_t *> a.out + first * a.size)


@lowers("gather")
def _gather(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand out = outputs[0]
    cdef Run run = run_gather
    if out.dtype == HL_I32:
        run = run_gather_labels
    elif out.dtype == HL_U8:
        run = run_gather_masks
    elif out.dtype == HL_BOOL:
        run = run_gather_booleans
    cdef hl_gather_args *a = <hl_gather_args *> to.fill(run, HL_BY_EXAMPLE, sizeof(hl_gather_args))
    a.source, a.size, a.out = attributes["source"], out.size, out.data


cdef struct hl_copy_out_args:
    int output  # which of the plan's
    ptrdiff_t bytes  # of an example
    const char *x


cdef void run_copy_out(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                       Worker *worker) noexcept nogil:
    cdef const hl_copy_out_args *a = <const hl_copy_out_args *> args
    memcpy(batch.outputs[a.output] + (batch.first - batch.outputs_first + first) * a.bytes,
           a.x + first * a.bytes, n * a.bytes)


@lowers("copy_out")
def _copy_out(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0]
    cdef hl_copy_out_args *a = <hl_copy_out_args *> to.fill(
        run_copy_out, HL_BY_EXAMPLE, sizeof(hl_copy_out_args)
    )
    a.output, a.bytes, a.x = attributes["output"], x.size * x.itemsize, x.data


ctypedef fused Whole:
    int32_t
    uint8_t


ctypedef fused Number:
    float
    double
    int32_t
    uint8_t


cdef inline void _as_whole(const Number *x, Whole *y, ptrdiff_t n, Whole least,
                           Whole most) noexcept nogil:
    """Rounded towards 0, to the nearest that there is; 0 of NaN."""
    cdef ptrdiff_t i
    cdef double number
    for i in range(n):
        number = <double> x[i]
        if number >= most:
            y[i] = most
        elif number <= least:
            y[i] = least
        elif number != number:
            y[i] = 0
        else:
            y[i] = <Whole> number


cdef inline void _cast_to(const hl_source *from_, const char *x, Whole *y, ptrdiff_t n,
                          Whole least, Whole most) noexcept nogil:
    if from_.dtype == HL_F32:
        _as_whole(<const float *> x, y, n, least, most)
    elif from_.dtype == HL_F64:
        _as_whole(<const double *> x, y, n, least, most)
    elif from_.dtype == HL_I32:
        _as_whole(<const int32_t *> x, y, n, least, most)
    else:
        _as_whole(<const uint8_t *> x, y, n, least, most)


# Numbers of one dtype as those of another. x is as the user's arrays are.
cdef struct hl_cast_args:
    hl_source x
    ptrdiff_t size
    char *y


cdef void run_cast_to_int32(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                            Worker *worker) noexcept nogil:
    cdef const hl_cast_args *a = <const hl_cast_args *> args
    _cast_to(&a.x, a.x.data + first * a.x.row_stride, <int32_t *> a.y + first * a.size,
             n * a.size, <int32_t> -2147483648, <int32_t> 2147483647)


cdef void run_cast_to_uint8(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                            Worker *worker) noexcept nogil:
    cdef const hl_cast_args *a = <const hl_cast_args *> args
    _cast_to(&a.x, a.x.data + first * a.x.row_stride, <uint8_t *> a.y + first * a.size,
             n * a.size, <uint8_t> 0, <uint8_t> 255)


cdef void run_cast_to_bool(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                           Worker *worker) noexcept nogil:
    cdef const hl_cast_args *a = <const hl_cast_args *> args
    gather_booleans(&a.x, NULL, first, n, <uint8_t *> a.y + first * a.size)


cdef void run_cast_to_floats(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                             Worker *worker) noexcept nogil:
    cdef const hl_cast_args *a = <const hl_cast_args *> args
    batch.kernels.gather(&a.x, NULL, first, n, a.y + first * a.size * batch.kernels.itemsize)


@lowers("cast")
def _cast(Lowering to, list inputs, list outputs, dict attributes):
    """To floats, numbers are gathered as the user's are."""
    cdef Operand x = inputs[0], y = outputs[0]
    cdef Run run = run_cast_to_floats
    cdef ptrdiff_t size = x.size if x.batched else x.stored
    if y.dtype == HL_I32:
        run = run_cast_to_int32
    elif y.dtype == HL_U8:
        run = run_cast_to_uint8
    elif y.dtype == HL_BOOL:
        run = run_cast_to_bool
    else:
        to.kernels = kernels_of(y.dtype == HL_F64)
    cdef hl_cast_args *a = <hl_cast_args *> to.fill(run, HL_BY_EXAMPLE, sizeof(hl_cast_args))
    a.x.data, a.x.dtype, a.x.row_stride = x.data, x.dtype, size * x.itemsize
    a.x.rank, a.x.dim[0], a.x.stride[0] = 1, size, x.itemsize
    a.size, a.y = size, y.data
