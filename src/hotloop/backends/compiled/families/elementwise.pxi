# Functions of each element, or of two.


cdef dict _by_name(const char *names):
    """The places of words."""
    return {name: place for place, name in enumerate((<bytes> names).decode().split())}


# Names to hl_activation and hl_merge: kernels/elementwise.h has the lists.
ACTIVATIONS = _by_name(kernels_of(False).activations)
MERGES = _by_name(kernels_of(False).merges)


cdef void run_activation(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                         Worker *worker) noexcept nogil:
    cdef const hl_activation_args *a = <const hl_activation_args *> args
    cdef ptrdiff_t at = first * a.size * batch.kernels.itemsize
    batch.kernels.activation(a.kind, a.alpha, a.x + at, a.size, a.y + at, a.size, n, a.size)


@lowers(*ACTIVATIONS, arrays="x *c -> out *c")
def _activation(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_activation_args *a = <hl_activation_args *> to.fill(
        run_activation, HL_BY_EXAMPLE, sizeof(hl_activation_args)
    )
    a.kind = <hl_activation> <int> ACTIVATIONS[to.name]
    a.alpha, a.size, a.x, a.y = attributes["alpha"], x.size, x.data, y.data


cdef void run_activation_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                                  Worker *worker) noexcept nogil:
    cdef const hl_activation_gradient_args *a = <const hl_activation_gradient_args *> args
    cdef ptrdiff_t at = first * a.size * batch.kernels.itemsize
    batch.kernels.activation_gradient(a.kind, a.alpha, a.dy + at, a.saved + at, a.dx + at, a.size,
                                      n, a.size)


@lowers(*(name + "_gradient" for name in ACTIVATIONS), arrays="dy *c, saved *c -> out *c")
def _activation_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], saved = inputs[1], dx = outputs[0]
    cdef hl_activation_gradient_args *a = <hl_activation_gradient_args *> to.fill(
        run_activation_gradient, HL_BY_EXAMPLE, sizeof(hl_activation_gradient_args)
    )
    a.kind = <hl_activation> <int> ACTIVATIONS[to.name.removesuffix("_gradient")]
    a.alpha, a.size = attributes["alpha"], dy.size
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
    a.size, a.x, a.y = x.size, x.data, y.data


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
    a.size, a.dy, a.x, a.dx = dy.size, dy.data, x.data, dx.data


cdef void run_merge(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                    Worker *worker) noexcept nogil:
    cdef const hl_merge_args *a = <const hl_merge_args *> args
    cdef ptrdiff_t at = first * a.size * batch.kernels.itemsize
    batch.kernels.merge(a.kind, a.a + at, a.b + at, a.y + at, n * a.size)


@lowers(*MERGES, arrays="a *c, b *c -> out *c")
def _merge(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], b = inputs[1], y = outputs[0]
    cdef hl_share divided = HL_BY_EXAMPLE if y.batched else HL_BY_ELEMENT
    cdef hl_merge_args *a = <hl_merge_args *> to.fill(run_merge, divided, sizeof(hl_merge_args))
    a.kind = <hl_merge> <int> MERGES[to.name]
    to.step.length = y.stored
    a.size = y.size if y.batched else 1
    a.a, a.b, a.y = x.data, b.data, y.data


cdef void run_choice_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                              Worker *worker) noexcept nogil:
    cdef const hl_choice_gradient_args *a = <const hl_choice_gradient_args *> args
    cdef ptrdiff_t at = first * a.size * batch.kernels.itemsize
    batch.kernels.choice_gradient(a.kind, a.dy + at, a.a + at, a.b + at, a.da + at, n * a.size)


@lowers("maximum_gradient", "minimum_gradient", arrays="dy *c, a *c, b *c -> out *c")
def _choice_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], x = inputs[1], b = inputs[2], da = outputs[0]
    cdef hl_choice_gradient_args *a = <hl_choice_gradient_args *> to.fill(
        run_choice_gradient, HL_BY_EXAMPLE, sizeof(hl_choice_gradient_args)
    )
    a.kind = <hl_merge> <int> MERGES[to.name.removesuffix("_gradient")]
    a.size, a.dy, a.a, a.b, a.da = dy.size, dy.data, x.data, b.data, da.data


cdef void run_scale(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                    Worker *worker) noexcept nogil:
    cdef const hl_scale_args *a = <const hl_scale_args *> args
    cdef ptrdiff_t at = first * a.size * batch.kernels.itemsize
    batch.kernels.scale(a.factor, a.offset, a.x + at, a.y + at, n * a.size)


@lowers("scale", arrays="x *c -> out *c")
def _scale(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_scale_args *a = <hl_scale_args *> to.fill(
        run_scale, HL_BY_EXAMPLE, sizeof(hl_scale_args)
    )
    a.factor, a.offset = attributes["factor"], attributes["offset"]
    a.size, a.x, a.y = x.size, x.data, y.data


cdef void run_prelu(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                    Worker *worker) noexcept nogil:
    cdef const hl_prelu_args *a = <const hl_prelu_args *> args
    cdef ptrdiff_t at = first * a.rows * a.cols * batch.kernels.itemsize
    batch.kernels.prelu(a.x + at, a.alpha, a.y + at, n * a.rows, a.cols)


@lowers("prelu", arrays="x *c, alpha c -> out *c")
def _prelu(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], alpha = inputs[1], y = outputs[0]
    cdef hl_prelu_args *a = <hl_prelu_args *> to.fill(
        run_prelu, HL_BY_EXAMPLE, sizeof(hl_prelu_args)
    )
    a.rows, a.cols, a.x, a.alpha, a.y = x.rows, x.cols, x.data, alpha.data, y.data


cdef void run_prelu_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                             Worker *worker) noexcept nogil:
    cdef const hl_prelu_gradient_args *a = <const hl_prelu_gradient_args *> args
    cdef ptrdiff_t at = first * a.rows * a.cols * batch.kernels.itemsize
    batch.kernels.prelu_gradient(a.dy + at, a.x + at, a.alpha, a.dx + at, n * a.rows, a.cols)


@lowers("prelu_gradient", arrays="dy *c, x *c, alpha c -> out *c")
def _prelu_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], x = inputs[1], alpha = inputs[2], dx = outputs[0]
    cdef hl_prelu_gradient_args *a = <hl_prelu_gradient_args *> to.fill(
        run_prelu_gradient, HL_BY_EXAMPLE, sizeof(hl_prelu_gradient_args)
    )
    a.rows, a.cols = x.rows, x.cols
    a.dy, a.x, a.alpha, a.dx = dy.data, x.data, alpha.data, dx.data


cdef void run_prelu_alpha_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                                   Worker *worker) noexcept nogil:
    cdef const hl_prelu_alpha_gradient_args *a = <const hl_prelu_alpha_gradient_args *> args
    cdef ptrdiff_t at = first * batch.kernels.itemsize
    batch.kernels.prelu_alpha_gradient(a.dy + at, a.x + at, a.cols, batch.rows * a.rows, n,
                                       a.dalpha + at)


@lowers("prelu_alpha_gradient", arrays="dy *c, x *c -> out c")
def _prelu_alpha_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], x = inputs[1], dalpha = outputs[0]
    cdef hl_prelu_alpha_gradient_args *a = <hl_prelu_alpha_gradient_args *> to.fill(
        run_prelu_alpha_gradient, HL_BY_COLUMN, sizeof(hl_prelu_alpha_gradient_args)
    )
    to.step.length = x.cols
    a.rows, a.cols, a.dy, a.x, a.dalpha = x.rows, x.cols, dy.data, x.data, dalpha.data
