# Noise, which draws random bits by each element's number: how threads share it changes no bit.


# The key of a batch is drawn by its number, or is the seed itself where that is `final`.
cdef struct hl_draws:
    uint64_t seed
    int final


cdef _take_draws(hl_draws *draws, dict attributes):
    """A layer's seed, or in a single call the key itself."""
    draws.final = "key" in attributes
    draws.seed = <uint64_t> (attributes["key" if draws.final else "seed"] % 2**64)


cdef inline uint64_t _key(const hl_draws *draws, const Batch *batch) noexcept nogil:
    return draws.seed if draws.final else random_bits(draws.seed, batch.iteration)


cdef struct hl_dropout_args:
    double rate
    hl_draws draws
    ptrdiff_t size
    const char *x
    char *y


cdef void run_dropout(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                      Worker *worker) noexcept nogil:
    cdef const hl_dropout_args *a = <const hl_dropout_args *> args
    cdef ptrdiff_t at = first * a.size * batch.kernels.itemsize
    batch.kernels.dropout(a.rate, _key(&a.draws, batch), first * a.size, a.x + at, a.y + at,
                          n * a.size)


@lowers("dropout", arrays="x *c -> out *c")
def _dropout(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_dropout_args *a = <hl_dropout_args *> to.fill(
        run_dropout, HL_BY_EXAMPLE, sizeof(hl_dropout_args)
    )
    _take_draws(&a.draws, attributes)
    a.rate, a.size = attributes["rate"], to.apart(x.rows) * x.cols
    a.x, a.y = x.data, y.data


cdef struct hl_alpha_dropout_args:
    double rate, factor, offset, dropped
    hl_draws draws
    ptrdiff_t size
    const char *x
    char *y


cdef void run_alpha_dropout(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                            Worker *worker) noexcept nogil:
    cdef const hl_alpha_dropout_args *a = <const hl_alpha_dropout_args *> args
    cdef ptrdiff_t at = first * a.size * batch.kernels.itemsize
    batch.kernels.alpha_dropout(a.rate, a.factor, a.offset, a.dropped, _key(&a.draws, batch),
                                first * a.size, a.x + at, a.y + at, n * a.size)


@lowers("alpha_dropout", arrays="x *c -> out *c")
@lowers("alpha_dropout_gradient", arrays="dy *c -> out *c")
def _alpha_dropout(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_alpha_dropout_args *a = <hl_alpha_dropout_args *> to.fill(
        run_alpha_dropout, HL_BY_EXAMPLE, sizeof(hl_alpha_dropout_args)
    )
    _take_draws(&a.draws, attributes)
    a.rate, a.size = attributes["rate"], to.apart(x.rows) * x.cols
    a.x, a.y = x.data, y.data
    line = alpha_dropout_line(attributes["rate"])
    a.factor = line[0]
    if to.name == "alpha_dropout":
        a.offset, a.dropped = line[1:]


cdef struct hl_gaussian_args:
    int multiply
    double stddev
    hl_draws draws
    ptrdiff_t size
    const char *x
    char *y


cdef void run_gaussian(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                       Worker *worker) noexcept nogil:
    cdef const hl_gaussian_args *a = <const hl_gaussian_args *> args
    cdef ptrdiff_t at = first * a.size * batch.kernels.itemsize
    batch.kernels.gaussian(a.multiply, a.stddev, _key(&a.draws, batch), first * a.size, a.x + at,
                           a.y + at, n * a.size)


@lowers("gaussian_noise", "gaussian_dropout", arrays="x *c -> out *c")
def _gaussian(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_gaussian_args *a = <hl_gaussian_args *> to.fill(
        run_gaussian, HL_BY_EXAMPLE, sizeof(hl_gaussian_args)
    )
    _take_draws(&a.draws, attributes)
    a.multiply = to.name == "gaussian_dropout"
    a.stddev, a.size = attributes["stddev"], to.apart(x.rows) * x.cols
    a.x, a.y = x.data, y.data
