# Functions of each element, or of two.

ACTIVATIONS = {
    "linear": csrc.HL_LINEAR,
    "relu": csrc.HL_RELU,
    "clipped_relu": csrc.HL_CLIPPED_RELU,
    "threshold": csrc.HL_THRESHOLD,
    "hard_shrink": csrc.HL_HARD_SHRINK,
    "soft_shrink": csrc.HL_SOFT_SHRINK,
    "leaky_relu": csrc.HL_LEAKY_RELU,
    "elu": csrc.HL_ELU,
    "celu": csrc.HL_CELU,
    "selu": csrc.HL_SELU,
    "gelu": csrc.HL_GELU,
    "gelu_tanh": csrc.HL_GELU_TANH,
    "silu": csrc.HL_SILU,
    "hard_silu": csrc.HL_HARD_SILU,
    "mish": csrc.HL_MISH,
    "softplus": csrc.HL_SOFTPLUS,
    "log_sigmoid": csrc.HL_LOG_SIGMOID,
    "squareplus": csrc.HL_SQUAREPLUS,
    "sparse_plus": csrc.HL_SPARSE_PLUS,
    "softsign": csrc.HL_SOFTSIGN,
    "sigmoid": csrc.HL_SIGMOID,
    "hard_sigmoid": csrc.HL_HARD_SIGMOID,
    "sparse_sigmoid": csrc.HL_SPARSE_SIGMOID,
    "tanh": csrc.HL_TANH,
    "hard_tanh": csrc.HL_HARD_TANH,
    "tanh_shrink": csrc.HL_TANH_SHRINK,
    "exponential": csrc.HL_EXPONENTIAL,
}
MERGES = {
    "add": csrc.HL_ADD,
    "subtract": csrc.HL_SUBTRACT,
    "multiply": csrc.HL_MULTIPLY,
    "maximum": csrc.HL_MAXIMUM,
    "minimum": csrc.HL_MINIMUM,
}


cdef void run_activation(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                         Worker *worker) noexcept nogil:
    cdef const hl_activation_args *a = <const hl_activation_args *> args
    cdef ptrdiff_t at = first * a.size * batch.kernels.itemsize, size = n * a.size
    batch.kernels.activation(a.kind, a.alpha, a.x + at, size, a.y + at, size, 1, size)


@lowers(*ACTIVATIONS)
def _activation(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_activation_args *a = <hl_activation_args *> to.fill(
        run_activation, HL_BY_EXAMPLE, sizeof(hl_activation_args)
    )
    a.kind = <hl_activation> <int> ACTIVATIONS[to.name]
    a.alpha, a.size = attributes["alpha"], to.apart(x.rows) * x.cols
    a.x, a.y = x.data, y.data


cdef void run_activation_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                                  Worker *worker) noexcept nogil:
    cdef const hl_activation_gradient_args *a = <const hl_activation_gradient_args *> args
    cdef ptrdiff_t at = first * a.size * batch.kernels.itemsize, size = n * a.size
    batch.kernels.activation_gradient(a.kind, a.alpha, a.dy + at, a.saved + at, a.dx + at, size, 1,
                                      size)


@lowers(*(name + "_gradient" for name in ACTIVATIONS))
def _activation_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], saved = inputs[1], dx = outputs[0]
    cdef hl_activation_gradient_args *a = <hl_activation_gradient_args *> to.fill(
        run_activation_gradient, HL_BY_EXAMPLE, sizeof(hl_activation_gradient_args)
    )
    a.kind = <hl_activation> <int> ACTIVATIONS[to.name.removesuffix("_gradient")]
    a.alpha, a.size = attributes["alpha"], to.apart(dy.rows) * dy.cols
    a.dy, a.saved, a.dx = dy.data, saved.data, dx.data


cdef void run_own_activation(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                             Worker *worker) noexcept nogil:
    cdef const hl_own_activation_args *a = <const hl_own_activation_args *> args
    cdef ptrdiff_t at = first * a.size * batch.kernels.itemsize
    a.loop(a.x + at, a.y + at, n * a.size)


@lowers("own_activation")
def _own_activation(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_own_activation_args *a
    loops = _loops_of(to, attributes["function"])
    if not loops.compiled:
        _do_in_python(to)
        return
    a = <hl_own_activation_args *> to.fill(
        run_own_activation, HL_BY_EXAMPLE, sizeof(hl_own_activation_args)
    )
    a.loop = <hl_unary_loop> <size_t> loops.value.address
    a.size, a.x, a.y = to.apart(x.rows) * x.cols, x.data, y.data


cdef _loops_of(Lowering to, function):
    """The loops of a function of the user's own, kept while steps have their addresses."""
    loops = function.loops(to.dtype)
    to.rooms.append(loops)
    return loops


cdef void run_own_activation_gradient(const void *args, ptrdiff_t first, ptrdiff_t n,
                                      Batch *batch, Worker *worker) noexcept nogil:
    cdef const hl_own_activation_gradient_args *a = <const hl_own_activation_gradient_args *> args
    cdef ptrdiff_t at = first * a.size * batch.kernels.itemsize
    a.loop(a.dy + at, a.x + at, a.dx + at, n * a.size)


@lowers("own_activation_gradient")
def _own_activation_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], x = inputs[1], dx = outputs[0]
    cdef hl_own_activation_gradient_args *a
    loops = _loops_of(to, attributes["function"])
    if not loops.compiled:
        _do_in_python(to)
        return
    a = <hl_own_activation_gradient_args *> to.fill(
        run_own_activation_gradient, HL_BY_EXAMPLE, sizeof(hl_own_activation_gradient_args)
    )
    a.loop = <hl_binary_loop> <size_t> loops.gradient.address
    a.size, a.dy, a.x, a.dx = to.apart(dy.rows) * dy.cols, dy.data, x.data, dx.data


cdef void run_merge(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                    Worker *worker) noexcept nogil:
    cdef const hl_merge_args *a = <const hl_merge_args *> args
    cdef ptrdiff_t at = first * a.size * batch.kernels.itemsize
    batch.kernels.merge(a.kind, a.a + at, a.b + at, a.y + at, n * a.size)


@lowers(*MERGES)
def _merge(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], b = inputs[1], y = outputs[0]
    cdef hl_share divided = HL_BY_EXAMPLE if y.batched else HL_BY_ELEMENT
    cdef hl_merge_args *a = <hl_merge_args *> to.fill(run_merge, divided, sizeof(hl_merge_args))
    a.kind = <hl_merge> <int> MERGES[to.name]
    to.step.length = y.stored
    a.size = to.apart(y.rows) * y.cols if y.batched else 1
    a.a, a.b, a.y = x.data, b.data, y.data


cdef void run_choice_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                              Worker *worker) noexcept nogil:
    cdef const hl_choice_gradient_args *a = <const hl_choice_gradient_args *> args
    cdef ptrdiff_t at = first * a.size * batch.kernels.itemsize
    batch.kernels.choice_gradient(a.kind, a.dy + at, a.a + at, a.b + at, a.da + at, n * a.size)


@lowers("maximum_gradient", "minimum_gradient")
def _choice_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], x = inputs[1], b = inputs[2], da = outputs[0]
    cdef hl_choice_gradient_args *a = <hl_choice_gradient_args *> to.fill(
        run_choice_gradient, HL_BY_EXAMPLE, sizeof(hl_choice_gradient_args)
    )
    a.kind = <hl_merge> <int> MERGES[to.name.removesuffix("_gradient")]
    a.size, a.dy, a.a = to.apart(dy.rows) * dy.cols, dy.data, x.data
    a.b, a.da = b.data, da.data


cdef void run_scale(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                    Worker *worker) noexcept nogil:
    cdef const hl_scale_args *a = <const hl_scale_args *> args
    cdef ptrdiff_t at = first * a.size * batch.kernels.itemsize
    batch.kernels.scale(a.factor, a.offset, a.x + at, a.y + at, n * a.size)


@lowers("scale")
def _scale(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_scale_args *a = <hl_scale_args *> to.fill(
        run_scale, HL_BY_EXAMPLE, sizeof(hl_scale_args)
    )
    a.factor, a.offset = attributes["factor"], attributes["offset"]
    a.size, a.x, a.y = to.apart(x.rows) * x.cols, x.data, y.data


cdef void run_prelu(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                    Worker *worker) noexcept nogil:
    cdef const hl_prelu_args *a = <const hl_prelu_args *> args
    cdef ptrdiff_t at = first * a.rows * a.cols * batch.kernels.itemsize
    batch.kernels.prelu(a.x + at, a.alpha, a.y + at, n * a.rows, a.cols)


@lowers("prelu")
def _prelu(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], alpha = inputs[1], y = outputs[0]
    cdef hl_prelu_args *a = <hl_prelu_args *> to.fill(
        run_prelu, HL_BY_EXAMPLE, sizeof(hl_prelu_args)
    )
    a.rows, a.cols, a.x, a.alpha, a.y = to.apart(x.rows), x.cols, x.data, alpha.data, y.data


cdef void run_prelu_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                             Worker *worker) noexcept nogil:
    cdef const hl_prelu_gradient_args *a = <const hl_prelu_gradient_args *> args
    cdef ptrdiff_t at = first * a.rows * a.cols * batch.kernels.itemsize
    batch.kernels.prelu_gradient(a.dy + at, a.x + at, a.alpha, a.dx + at, n * a.rows, a.cols)


@lowers("prelu_gradient")
def _prelu_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], x = inputs[1], alpha = inputs[2], dx = outputs[0]
    cdef hl_prelu_gradient_args *a = <hl_prelu_gradient_args *> to.fill(
        run_prelu_gradient, HL_BY_EXAMPLE, sizeof(hl_prelu_gradient_args)
    )
    a.rows, a.cols = to.apart(x.rows), x.cols
    a.dy, a.x, a.alpha, a.dx = dy.data, x.data, alpha.data, dx.data


cdef void run_prelu_alpha_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                                   Worker *worker) noexcept nogil:
    cdef const hl_prelu_alpha_gradient_args *a = <const hl_prelu_alpha_gradient_args *> args
    cdef ptrdiff_t at = first * batch.kernels.itemsize
    batch.kernels.prelu_alpha_gradient(a.dy + at, a.x + at, a.cols, batch.rows * a.rows, n,
                                       a.dalpha + at)


@lowers("prelu_alpha_gradient")
def _prelu_alpha_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], x = inputs[1], dalpha = outputs[0]
    cdef hl_prelu_alpha_gradient_args *a = <hl_prelu_alpha_gradient_args *> to.fill(
        run_prelu_alpha_gradient, HL_BY_COLUMN, sizeof(hl_prelu_alpha_gradient_args)
    )
    to.step.length = x.cols
    a.rows, a.cols, a.dy, a.x, a.dalpha = x.rows, x.cols, dy.data, x.data, dalpha.data
