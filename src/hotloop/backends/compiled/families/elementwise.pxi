# Functions of each element, or of two.


cdef dict _by_name(const char *names):
    """The places of words."""
    return {name: place for place, name in enumerate((<bytes> names).decode().split())}


# Names to hl_activation and hl_merge: kernels/elementwise.h has the lists.
ACTIVATIONS = _by_name(kernels_of(False).activations)
MERGES = _by_name(kernels_of(False).merges)


cdef struct hl_activation_args:
    hl_activation kind
    double alpha
    ptrdiff_t rows, cols, x_row, y_row
    const char *x
    char *y


cdef void run_activation(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                         Worker *worker) noexcept nogil:
    cdef const hl_activation_args *a = <const hl_activation_args *> args
    cdef ptrdiff_t item = batch.kernels.itemsize, size = n * a.rows * a.cols
    first *= a.rows
    if a.x_row == a.cols and a.y_row == a.cols:
        batch.kernels.activation(a.kind, a.alpha, a.x + first * a.cols * item, size,
                                 a.y + first * a.cols * item, size, 1, size)
    else:
        batch.kernels.activation(a.kind, a.alpha, a.x + first * a.x_row * item, a.x_row,
                                 a.y + first * a.y_row * item, a.y_row, n * a.rows, a.cols)


@lowers(*ACTIVATIONS, arrays="x *c -> out *c")
def _activation(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_activation_args *a = <hl_activation_args *> to.fill(
        run_activation, HL_BY_EXAMPLE, sizeof(hl_activation_args)
    )
    a.kind = <hl_activation> <int> ACTIVATIONS[to.name]
    a.alpha, a.rows, a.cols = attributes["alpha"], to.apart(x.rows), x.cols
    a.x, a.x_row, a.y, a.y_row = x.data, x.row, y.data, y.row


cdef struct hl_activation_gradient_args:
    hl_activation kind
    double alpha
    ptrdiff_t rows, cols, dy_row, saved_row
    const char *dy
    const char *saved
    char *dx


cdef void run_activation_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                                  Worker *worker) noexcept nogil:
    cdef const hl_activation_gradient_args *a = <const hl_activation_gradient_args *> args
    cdef ptrdiff_t item = batch.kernels.itemsize, size = a.cols, i
    first *= a.rows
    n *= a.rows
    if a.dy_row == a.cols and a.saved_row == a.cols:
        first *= size
        size *= n
        batch.kernels.activation_gradient(a.kind, a.alpha, a.dy + first * item,
                                          a.saved + first * item, a.dx + first * item, size, 1,
                                          size)
        return
    for i in range(first, first + n):
        batch.kernels.activation_gradient(
            a.kind, a.alpha, a.dy + i * a.dy_row * item, a.saved + i * a.saved_row * item,
            a.dx + i * size * item, size, 1, size,
        )


@lowers(*(name + "_gradient" for name in ACTIVATIONS), arrays="dy *c, saved *c -> out *c")
def _activation_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], saved = inputs[1], dx = outputs[0]
    cdef hl_activation_gradient_args *a = <hl_activation_gradient_args *> to.fill(
        run_activation_gradient, HL_BY_EXAMPLE, sizeof(hl_activation_gradient_args)
    )
    a.kind = <hl_activation> <int> ACTIVATIONS[to.name.removesuffix("_gradient")]
    a.alpha, a.rows, a.cols = attributes["alpha"], to.apart(dy.rows), dy.cols
    a.dy, a.saved, a.dx = dy.data, saved.data, dx.data
    a.dy_row, a.saved_row = dy.row, saved.row


# Loops of a function of the user's own, of n numbers; the last pointer is written.
ctypedef void (*hl_unary_loop)(const char *x, char *y, ptrdiff_t n) noexcept nogil


cdef struct hl_own_activation_args:
    hl_unary_loop loop
    ptrdiff_t size
    const char *x
    char *y


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


ctypedef void (*hl_binary_loop)(const char *a, const char *b, char *y, ptrdiff_t n) noexcept nogil


cdef struct hl_own_activation_gradient_args:
    hl_binary_loop loop
    ptrdiff_t size
    const char *dy
    const char *x
    char *dx


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


# Bytes of a number that is broadcast along the last axis: repeated as often as fits.
cdef enum:
    REPEATED_BYTES = 512


# How operands are broadcast to an output: along its axes, of which those that all operands pass
# alike are one. The last axis has strides of 1 and 0.
cdef struct hl_broadcast:
    int operands, rank
    ptrdiff_t dim[HL_MAX_BROADCAST]
    hl_strides of[3]


cdef hl_broadcast *_broadcast_of(Lowering to, list operands, Operand y) except? NULL:
    """How these are broadcast to y; NULL where all go alike, number after number."""
    cdef Operand x
    cdef hl_broadcast *made
    cdef list axes = []  # lengths, and each operand's stride
    alike = True
    for x in operands:
        alike = alike and x.batched == y.batched and x.dims == y.dims and x.row == x.cols
    if alike:
        return NULL
    strides = [_strides_along(x, len(y.dims)) for x in operands]
    for axis, n in enumerate(y.dims):
        of_axis = [stride[axis] for stride in strides]
        if n == 1:
            continue
        if axes and axes[-1][1] == [n * stride for stride in of_axis]:
            axes[-1] = axes[-1][0] * n, of_axis
        else:
            axes.append((n, of_axis))
    if not axes or max(axes[-1][1]) > 1:  # a run's numbers stand beside each other
        axes.append((1, [1] * len(operands)))
    if len(axes) > HL_MAX_BROADCAST:
        shapes = " and ".join(str((<Operand> x).dims) for x in operands)
        raise ValueError(f"{to.name} of shapes {shapes}: too many axes are broadcast in turns")
    made = <hl_broadcast *> to.room(sizeof(hl_broadcast))
    made.operands, made.rank = len(operands), len(axes)
    for axis, (n, of_axis) in enumerate(axes):
        made.dim[axis] = n
        for i, stride in enumerate(of_axis):
            made.of[i].axis[axis] = stride
    for i, x in enumerate(operands):
        made.of[i].example = x.rows * x.row if x.batched else 0
    return made


cdef list _strides_along(Operand x, int rank):
    """Elements from one index to the next of so many axes, 0 where x has the same for all."""
    strides = [0] * rank
    step = 1
    for i, n in enumerate(reversed(x.dims), 1):
        if n != 1:
            strides[-i] = step
        step *= n if i > 1 or x.packed else x.row
    return strides


cdef void _merge_broadcast(const hl_kernels *kernels, hl_merge kind, const hl_broadcast *s,
                           const char **of, char *y, ptrdiff_t size, ptrdiff_t first,
                           ptrdiff_t n) noexcept nogil:
    """Examples of a merge, or of three operands the gradient of a choice, run by run."""
    cdef ptrdiff_t item = kernels.itemsize, length = s.dim[s.rank - 1], runs = 1, example, run
    cdef ptrdiff_t index[HL_MAX_BROADCAST]
    cdef const char *at[3]
    cdef int axis, i
    for axis in range(s.rank - 1):
        runs *= s.dim[axis]
    y += first * size * item
    for example in range(first, first + n):
        for i in range(s.operands):
            at[i] = of[i] + example * s.of[i].example * item
        memset(index, 0, sizeof(index))
        for run in range(runs):
            _merge_run(kernels, kind, s, at, y, length)
            y += length * item
            # To the next run: count the outer axes up like an odometer.
            axis = s.rank - 2
            while axis >= 0:
                index[axis] += 1
                for i in range(s.operands):
                    at[i] += s.of[i].axis[axis] * item
                if index[axis] < s.dim[axis]:
                    break
                for i in range(s.operands):
                    at[i] -= s.dim[axis] * s.of[i].axis[axis] * item
                index[axis] = 0
                axis -= 1


cdef inline void _merge_run(const hl_kernels *kernels, hl_merge kind, const hl_broadcast *s,
                            const char **at, char *y, ptrdiff_t length) noexcept nogil:
    cdef char repeated[3][REPEATED_BYTES]
    cdef ptrdiff_t item = kernels.itemsize, most = length, done = 0, n
    cdef const char *x[3]
    cdef int i
    for i in range(s.operands):
        if not s.of[i].axis[s.rank - 1]:
            most = min(length, <ptrdiff_t> REPEATED_BYTES // item)
            for n in range(most):
                memcpy(&repeated[i][n * item], at[i], item)
    while done < length:
        n = min(most, length - done)
        for i in range(s.operands):
            x[i] = at[i] + done * item if s.of[i].axis[s.rank - 1] else &repeated[i][0]
        if s.operands == 3:
            kernels.choice_gradient(kind, x[0], x[1], x[2], y + done * item, n)
        else:
            kernels.merge(kind, x[0], x[1], y + done * item, n)
        done += n


# Arrays without a batch have a size of 1: their threads divide elements. strides is NULL where all
# go alike, number after number.
cdef struct hl_merge_args:
    hl_merge kind
    const hl_broadcast *strides
    ptrdiff_t size
    const char *a
    const char *b
    char *y


cdef void run_merge(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                    Worker *worker) noexcept nogil:
    cdef const hl_merge_args *a = <const hl_merge_args *> args
    cdef ptrdiff_t at = first * a.size * batch.kernels.itemsize
    cdef const char *of[2]
    if a.strides != NULL:
        of[0], of[1] = a.a, a.b
        _merge_broadcast(batch.kernels, a.kind, a.strides, of, a.y, a.size, first, n)
        return
    batch.kernels.merge(a.kind, a.a + at, a.b + at, a.y + at, n * a.size)


@lowers(*MERGES, arrays="a *c, b *c -> out *c")
def _merge(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], b = inputs[1], y = outputs[0]
    cdef const hl_broadcast *strides = _broadcast_of(to, inputs, y)
    cdef bint by_example = y.batched or strides != NULL
    cdef hl_share divided = HL_BY_EXAMPLE if by_example else HL_BY_ELEMENT
    cdef hl_merge_args *a = <hl_merge_args *> to.fill(run_merge, divided, sizeof(hl_merge_args))
    a.kind, a.strides = <hl_merge> <int> MERGES[to.name], strides
    to.step.length = y.stored
    # An operand that is broadcast has other rows than y: those are divided by examples alone.
    a.size = y.size if by_example else 1
    if y.batched and strides == NULL:
        a.size = to.apart(y.rows) * y.cols
    a.a, a.b, a.y = x.data, b.data, y.data


cdef struct hl_choice_gradient_args:
    hl_merge kind
    const hl_broadcast *strides
    ptrdiff_t size
    const char *dy
    const char *a
    const char *b
    char *da


cdef void run_choice_gradient(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                              Worker *worker) noexcept nogil:
    cdef const hl_choice_gradient_args *a = <const hl_choice_gradient_args *> args
    cdef ptrdiff_t at = first * a.size * batch.kernels.itemsize
    cdef const char *of[3]
    if a.strides != NULL:
        of[0], of[1], of[2] = a.dy, a.a, a.b
        _merge_broadcast(batch.kernels, a.kind, a.strides, of, a.da, a.size, first, n)
        return
    batch.kernels.choice_gradient(a.kind, a.dy + at, a.a + at, a.b + at, a.da + at, n * a.size)


@lowers("maximum_gradient", "minimum_gradient", arrays="dy *c, a *c, b *c -> out *c")
def _choice_gradient(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand dy = inputs[0], x = inputs[1], b = inputs[2], da = outputs[0]
    cdef const hl_broadcast *strides = _broadcast_of(to, inputs, da)
    cdef bint by_example = da.batched or strides != NULL
    cdef hl_choice_gradient_args *a = <hl_choice_gradient_args *> to.fill(
        run_choice_gradient, HL_BY_EXAMPLE if by_example else HL_BY_ELEMENT,
        sizeof(hl_choice_gradient_args),
    )
    to.step.length = da.stored
    a.kind = <hl_merge> <int> MERGES[to.name.removesuffix("_gradient")]
    a.strides = strides
    a.size, a.dy, a.a, a.b, a.da = da.size if by_example else 1, dy.data, x.data, b.data, da.data
    if da.batched and strides == NULL:
        a.size = to.apart(da.rows) * da.cols


cdef struct hl_scale_args:
    double factor, offset
    ptrdiff_t size
    const char *x
    char *y


cdef void run_scale(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                    Worker *worker) noexcept nogil:
    cdef const hl_scale_args *a = <const hl_scale_args *> args
    cdef ptrdiff_t at = first * a.size * batch.kernels.itemsize
    batch.kernels.scale(a.factor, a.offset, a.x + at, a.y + at, n * a.size)


@lowers("scale", arrays="x *c -> out *c")
def _scale(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_share divided = HL_BY_EXAMPLE if y.batched else HL_BY_ELEMENT
    cdef hl_scale_args *a = <hl_scale_args *> to.fill(run_scale, divided, sizeof(hl_scale_args))
    to.step.length = y.stored
    a.factor, a.offset = attributes["factor"], attributes["offset"]
    a.size, a.x, a.y = to.apart(x.rows) * x.cols if y.batched else 1, x.data, y.data


# Of arrays without a batch.
cdef struct hl_over_examples_args:
    const char *x
    char *y


cdef void run_over_examples(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                            Worker *worker) noexcept nogil:
    cdef const hl_over_examples_args *a = <const hl_over_examples_args *> args
    cdef ptrdiff_t at = first * batch.kernels.itemsize
    batch.kernels.scale(1.0 / batch.rows, 0, a.x + at, a.y + at, n)


@lowers("over_examples")
def _over_examples(Lowering to, list inputs, list outputs, dict attributes):
    cdef Operand x = inputs[0], y = outputs[0]
    cdef hl_over_examples_args *a = <hl_over_examples_args *> to.fill(
        run_over_examples, HL_BY_ELEMENT, sizeof(hl_over_examples_args)
    )
    to.step.length = y.stored
    a.x, a.y = x.data, y.data


cdef struct hl_prelu_args:
    ptrdiff_t rows, cols
    const char *x
    const char *alpha
    char *y


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
    a.rows, a.cols, a.x, a.alpha, a.y = to.apart(x.rows), x.cols, x.data, alpha.data, y.data


cdef struct hl_prelu_gradient_args:
    ptrdiff_t rows, cols
    const char *dy
    const char *x
    const char *alpha
    char *dx


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
    a.rows, a.cols = to.apart(x.rows), x.cols
    a.dy, a.x, a.alpha, a.dx = dy.data, x.data, alpha.data, dx.data


cdef struct hl_prelu_alpha_gradient_args:
    ptrdiff_t rows, cols
    const char *dy
    const char *x
    char *dalpha


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
