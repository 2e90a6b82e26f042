# Programs: runs of elementwise nodes, and single ones that are functions of programs alone.

# Names to hl_function: kernels/program.h has the list.
FUNCTIONS = _by_name(kernels_of(False).functions)

# Bytes of all registers: they and what streams through stay in the first-level cache.
cdef enum:
    REGISTER_BYTES = 16384
    LONGEST_BLOCK = 2048


# Of what has no batch, an example is one element.
cdef struct hl_program_args:
    ptrdiff_t size
    const hl_program *program


cdef void run_program(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                      Worker *worker) noexcept nogil:
    cdef const hl_program_args *a = <const hl_program_args *> args
    batch.kernels.program(a.program, first * a.size, n * a.size, worker.scratch)


cdef object KINDS = Kinds(ACTIVATIONS, MERGES, FUNCTIONS)
cdef dict FAMILIES = {
    "load": HL_DO_LOAD,
    "fill": HL_DO_FILL,
    "activation": HL_DO_ACTIVATION,
    "activation_gradient": HL_DO_ACTIVATION_GRADIENT,
    "merge": HL_DO_MERGE,
    "choice_gradient": HL_DO_CHOICE_GRADIENT,
    "scale": HL_DO_SCALE,
    "function": HL_DO_FUNCTION,
    "choose": HL_DO_CHOOSE,
    "tell": HL_DO_TELL,
    "sum": HL_DO_SUM,
}


cdef bint _is_float(Operand x):
    return x.dtype == HL_F32 or x.dtype == HL_F64


@lowers("program", "constant", "where", *FUNCTIONS)
def _program(Lowering to, list inputs, list outputs, dict attributes):
    """Truth values and whole numbers become floats in registers: of int32, those of doubles."""
    cdef Operand x, y
    cdef hl_program *p
    cdef hl_program_args *a
    cdef hl_program_input *given
    cdef hl_program_output *made
    cdef hl_instruction *step
    if not all([_is_float(x) or (<Operand> x).dtype == HL_BOOL for x in outputs]):
        _by_reference(to, inputs, outputs, attributes)
        return
    if not any([_is_float(x) for x in (*inputs, *outputs)]):
        to.kernels = kernels_of(True)
    floats = HL_F64 if to.kernels == kernels_of(True) else HL_F32
    nodes = attributes.get("nodes", (to.node,))
    y = _elementwise_output(to, nodes, outputs)
    given_of = dict(zip(to.node.inputs, inputs))  # each once
    values, operands = list(given_of), list(given_of.values())
    alike, loaded = [], set()
    for value, x in zip(values, operands):
        alike.append(x.batched == y.batched and x.dims == y.dims and x.row == x.cols)
        if not alike[-1] or x.dtype != floats:
            loaded.add(value)
    names = attributes.get("names", {})
    code, registers = instructions(nodes, values, to.node.outputs, loaded, names, KINDS)
    before = {"register": 0, "input": registers, "output": registers + len(operands)}
    if before["output"] + len(outputs) > HL_MAX_PLACES:
        raise ValueError(f"{to.name} has more values than there are places: {len(nodes)} nodes")

    p = <hl_program *> to.room(sizeof(hl_program))
    p.registers, p.inputs, p.outputs = registers, len(operands), len(outputs)
    p.length = len(code)
    given = <hl_program_input *> to.room(p.inputs * sizeof(hl_program_input))
    made = <hl_program_output *> to.room(p.outputs * sizeof(hl_program_output))
    step = <hl_instruction *> to.room(p.length * sizeof(hl_instruction))
    p.input, p.output, p.instruction = given, made, step
    for i, x in enumerate(operands):
        given[i].data, given[i].dtype = x.data, x.dtype
        given[i].loaded, given[i].broadcast = values[i] in loaded, not alike[i]
    _set_strides(to, p, given, operands, y)
    for i, x in enumerate(outputs):
        made[i].data, made[i].apart = x.data, x.dtype == HL_BOOL or x.dims != y.dims
    for i, one in enumerate(code):
        numbers = [before[kind] + which for kind, which in (one.y, *one.operands)] + [0, 0, 0]
        step[i].family, step[i].kind = <hl_family> <int> FAMILIES[one.family], one.kind
        step[i].y, step[i].a, step[i].b, step[i].c = numbers[:4]
        step[i].alpha, step[i].offset = one.alpha, one.offset
    p.block = LONGEST_BLOCK
    if p.registers:
        p.block = REGISTER_BYTES // (p.registers * to.kernels.itemsize) // 64 * 64
        p.block = max(64, min(<ptrdiff_t> LONGEST_BLOCK, p.block))
    if any([one.family == "sum" for one in code]):
        p.row = y.cols
        p.block = max(<ptrdiff_t> 1, p.block // p.row) * p.row
    p.stride = (p.block + 63) // 64 * 64
    to.need_scratch(p.registers * p.stride * to.kernels.itemsize)

    a = <hl_program_args *> to.fill(
        run_program, HL_BY_EXAMPLE if y.batched else HL_BY_ELEMENT, sizeof(hl_program_args)
    )
    a.program, a.size, to.step.length = p, 1, y.stored
    if y.batched:
        # What is broadcast has other rows than y: those are divided by examples alone.
        by_row = True
        for x, same in zip(operands, alike):
            by_row = by_row and (same or not x.batched)
        a.size = to.apart(y.rows) * y.cols if by_row else y.size
    if y.packed:
        _set_padding(p, y.rows, y.cols, to.kernels)


cdef Operand _elementwise_output(Lowering to, nodes, list outputs):
    """An output that is no sum; where there is none, what it would be."""
    for value, x in zip(to.node.outputs, outputs):
        if value.node is None or value.node.op.elementwise:
            return x
    value = next(node.output for node in nodes if node.op.elementwise and node.inputs)
    return operand(NULL, value.dims, value.batched)


cdef _set_strides(Lowering to, hl_program *p, hl_program_input *given, list operands, Operand y):
    """How those inputs are broadcast that are; axes that all of them pass alike become one."""
    cdef Operand x
    which = [i for i in range(p.inputs) if given[i].broadcast]
    strides = [_strides_along(operands[i], len(y.dims)) for i in which]
    axes = []  # lengths, and each one's stride
    for axis, n in enumerate(y.dims):
        of_axis = [stride[axis] for stride in strides]
        if n == 1:
            continue
        if axes and axes[-1][1] == [n * stride for stride in of_axis]:
            axes[-1] = axes[-1][0] * n, of_axis
        else:
            axes.append((n, of_axis))
    if not axes or max(axes[-1][1], default=1) > 1:  # a run's numbers stand beside each other
        axes.append((1, [1] * len(which)))
    if len(axes) > HL_MAX_BROADCAST:
        shapes = " and ".join(str((<Operand> operands[i]).dims) for i in which)
        raise ValueError(f"{to.name} of shapes {shapes}: too many axes are broadcast in turns")
    p.rank = len(axes)
    for axis, (n, of_axis) in enumerate(axes):
        p.dim[axis] = n
        for i, stride in zip(which, of_axis):
            given[i].strides.axis[axis] = stride
    for i in which:
        x = operands[i]
        given[i].strides.example = x.rows * x.row if x.batched else 0


cdef void _set_padding(hl_program *p, ptrdiff_t rows, ptrdiff_t cols, const hl_kernels *kernels):
    """Where the padding of a packed matrix stands: in its last panel, if that is not full."""
    cdef ptrdiff_t rest = cols % kernels.nr
    cdef ptrdiff_t width = kernels.nr if rest > kernels.vl else 1 if rest == 1 else kernels.vl
    if rest and rest != width:
        p.panel, p.panel_width, p.panel_columns = (cols - rest) * rows, width, rest
