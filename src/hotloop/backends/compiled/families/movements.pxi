# Numbers in other places, the same for each example, and matrices out of their panels.

ctypedef fused Bits:
    uint8_t
    uint32_t
    uint64_t


ctypedef fused Real:
    float
    double


# y[i] = x[places[i]] for `moved` numbers of `item` bytes, or those of `fill` where a place is -1;
# back: y[places[i]] += x[i] instead, y having `size` numbers.
cdef struct hl_move_args:
    ptrdiff_t size, moved, item
    const int64_t *places
    char fill[8]
    const char *x
    char *y


# The same bytes for each example.
cdef struct hl_each_example_args:
    ptrdiff_t bytes
    const char *x
    char *y


cdef inline void _move_rows(const hl_move_args *a, Bits fill, ptrdiff_t first,
                            ptrdiff_t n) noexcept nogil:
    cdef const Bits *x = <const Bits *> a.x + first * a.size
    cdef Bits *y = <Bits *> a.y + first * a.moved
    cdef ptrdiff_t row, i
    for row in range(n):
        for i in range(a.moved):
            y[i] = fill if a.places[i] < 0 else x[a.places[i]]
        x += a.size
        y += a.moved


cdef void run_move(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                   Worker *worker) noexcept nogil:
    cdef const hl_move_args *a = <const hl_move_args *> args
    if a.item == 1:
        _move_rows(a, (<const uint8_t *> a.fill)[0], first, n)
    elif a.item == 4:
        _move_rows(a, (<const uint32_t *> a.fill)[0], first, n)
    else:
        _move_rows(a, (<const uint64_t *> a.fill)[0], first, n)


cdef inline void _move_rows_back(const hl_move_args *a, const Real *x, Real *y,
                                 ptrdiff_t n) noexcept nogil:
    cdef ptrdiff_t row, i
    memset(y, 0, n * a.size * sizeof(Real))
    for row in range(n):
        for i in range(a.moved):
            if a.places[i] >= 0:
                y[a.places[i]] += x[i]
        x += a.moved
        y += a.size


cdef void run_move_back(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                        Worker *worker) noexcept nogil:
    cdef const hl_move_args *a = <const hl_move_args *> args
    if a.item == 4:
        _move_rows_back(a, <const float *> a.x + first * a.moved,
                        <float *> a.y + first * a.size, n)
    else:
        _move_rows_back(a, <const double *> a.x + first * a.moved,
                        <double *> a.y + first * a.size, n)


cdef hl_move_args *_take_move(Lowering to, Run run, Operand x, Operand y,
                              Operand numbered) except NULL:
    """The args of a movement; the places of one of the two are numbered."""
    cdef hl_move_args *a = <hl_move_args *> to.fill(run, HL_BY_EXAMPLE, sizeof(hl_move_args))
    attributes = to.node.attributes
    at = places(attributes["how"], tuple(attributes["options"].items()), numbered.dims)
    cdef bytes numbers = at.tobytes()
    cdef char *kept = to.room(max(len(numbers), 1))
    memcpy(kept, <const char *> numbers, len(numbers))
    a.size, a.moved, a.item = numbered.size, at.size, x.itemsize
    a.places, a.x, a.y = <const int64_t *> kept, x.data, y.data
    return a


@lowers("move")
def _move(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_move_args *a = _take_move(to, run_move, x, y, x)
    cdef bytes fill = np.array(attributes["fill"], to.node.output.dtype).tobytes()
    memcpy(a.fill, <const char *> fill, len(fill))


@lowers("move_back")
def _move_back(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    _take_move(to, run_move_back, x, y, y)


cdef void run_each_example(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                           Worker *worker) noexcept nogil:
    cdef const hl_each_example_args *a = <const hl_each_example_args *> args
    cdef ptrdiff_t i
    for i in range(first, first + n):
        memcpy(a.y + i * a.bytes, a.x, a.bytes)


@lowers("each_example")
def _each_example(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_each_example_args *a = <hl_each_example_args *> to.fill(
        run_each_example, HL_BY_EXAMPLE, sizeof(hl_each_example_args)
    )
    a.bytes, a.x, a.y = y.size * y.itemsize, x.data, y.data


@lowers("unpack", "pack")
def _pack(Lowering to, list inputs, list outputs, dict attributes):
    """As a matrix is assigned to what keeps it otherwise."""
    _assign(to, [outputs[0], inputs[0]], [], attributes)
