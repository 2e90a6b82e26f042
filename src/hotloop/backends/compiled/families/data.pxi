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


@lowers("gather")
def _gather(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand out = outputs[0]
    cdef Run run = run_gather_labels if out.integers else run_gather
    cdef hl_gather_args *a = <hl_gather_args *> to.fill(run, HL_BY_EXAMPLE, sizeof(hl_gather_args))
    a.source, a.size, a.out = attributes["source"], out.size, out.data


cdef void run_copy_out(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                       Worker *worker) noexcept nogil:
    cdef const hl_copy_out_args *a = <const hl_copy_out_args *> args
    cdef ptrdiff_t row = a.size * batch.kernels.itemsize
    memcpy(batch.outputs[a.output] + (batch.first - batch.outputs_first + first) * row,
           a.x + first * row, n * row)


@lowers("copy_out")
def _copy_out(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0]
    cdef hl_copy_out_args *a = <hl_copy_out_args *> to.fill(
        run_copy_out, HL_BY_EXAMPLE, sizeof(hl_copy_out_args)
    )
    a.output, a.size, a.x = attributes["output"], x.size, x.data
