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


class _Code:
    """The instructions of nodes, in places: ("register", i), ("input", i) or ("output", i).

    Parameters
    ----------
    nodes : sequence of Node
    inputs, outputs : sequence of Value
        What they read that they do not make, and what others read of what they make.
    loaded : set of Value
        The inputs that are not read where they stand.
    """

    def __init__(self, nodes, inputs, outputs, loaded):
        self.inputs, self.outputs, self.loaded = inputs, outputs, loaded
        self.lines = []  # (family, kind, value, operands, alpha, offset)
        self.names = {}  # casts of truth values and whole numbers to themselves
        for node in nodes:
            self._add(node)
        self.instructions = []
        self.registers = 0
        self._place()

    def _add(self, node):
        """The line of a node, in terms of values."""
        name, operands = node.op.name, tuple(self.names.get(v, v) for v in node.inputs)
        alpha = node.attributes.get("alpha", 0.0)
        if name == "cast":
            self.names[node.output] = operands[0]
            if node.output not in self.outputs:
                return
            line = HL_DO_ACTIVATION, HL_LINEAR, alpha, 0.0
        elif name == "constant":
            line = HL_DO_FILL, 0, float(node.attributes["number"]), 0.0
        elif name == "scale":
            line = HL_DO_SCALE, 0, node.attributes["factor"], node.attributes["offset"]
        elif name == "where":
            line = HL_DO_CHOOSE, 0, 0.0, 0.0
        elif name in ACTIVATIONS:
            line = HL_DO_ACTIVATION, ACTIVATIONS[name], alpha, 0.0
        elif name == "add_bias":
            line = HL_DO_MERGE, MERGES["add"], 0.0, 0.0
        elif name in MERGES:
            line = HL_DO_MERGE, MERGES[name], 0.0, 0.0
        elif name in FUNCTIONS:
            line = HL_DO_FUNCTION, FUNCTIONS[name], 0.0, 0.0
            if name == "power" and _number_of(operands[1]) == 2.0:
                line = HL_DO_MERGE, MERGES["multiply"], 0.0, 0.0
                operands = operands[0], operands[0]
        else:
            kind = name.removesuffix("_gradient")
            if kind in ACTIVATIONS:
                line = HL_DO_ACTIVATION_GRADIENT, ACTIVATIONS[kind], alpha, 0.0
            else:
                line = HL_DO_CHOICE_GRADIENT, MERGES[kind], 0.0, 0.0
        family, kind, alpha, offset = line
        self.lines.append((family, kind, node.output, operands, alpha, offset))

    def _place(self):
        """Gives each value its place, a register only for as long as somebody reads it."""
        last = {value: i for i, line in enumerate(self.lines) for value in line[3]}
        places = {v: ("input", i) for i, v in enumerate(self.inputs) if v not in self.loaded}
        free = []

        def register():
            if not free:
                free.append(("register", self.registers))
                self.registers += 1
            return free.pop()

        for i, (family, kind, value, operands, alpha, offset) in enumerate(self.lines):
            wanted = value in self.outputs
            if value not in last and not wanted:
                continue
            for operand in operands:
                if operand not in places:
                    places[operand] = register()
                    load = HL_DO_LOAD, self.inputs.index(operand), places[operand], (), 0.0, 0.0
                    self.instructions.append(load)
            read = [places[operand] for operand in operands]
            done = [places[v] for v in dict.fromkeys(operands) if last[v] == i]
            free += [place for place in done if place[0] == "register"]
            tells = wanted and value.dtype == "bool"
            if wanted and not tells:
                places[value] = "output", self.outputs.index(value)
            else:
                places[value] = register()
            self.instructions.append((family, kind, places[value], read, alpha, offset))
            if tells:
                line = HL_DO_TELL, self.outputs.index(value), places[value], [places[value]], 0., 0.
                self.instructions.append(line)
                if value not in last:
                    free.append(places[value])

    def number(self, place):
        """A place as instructions have it."""
        kind, i = place
        before = {"register": 0, "input": self.registers}
        return i + before.get(kind, self.registers + len(self.inputs))


cdef _number_of(value):
    """The number that a value always is; None if there is none."""
    constant = value.node is not None and value.node.op.name == "constant"
    return value.node.attributes["number"] if constant else None


cdef bint _is_float(Operand x):
    return x.dtype == HL_F32 or x.dtype == HL_F64


@lowers("program", "constant", "where", *FUNCTIONS)
def _program(Lowering to, list inputs, list outputs, dict attributes):
    """Truth values and whole numbers become floats in registers: of int32, those of doubles."""
    cdef Operand x, y = outputs[0]
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
    values = list(dict.fromkeys(to.node.inputs))
    operands = [inputs[to.node.inputs.index(value)] for value in values]
    alike, loaded = [], set()
    for value, x in zip(values, operands):
        alike.append(x.batched == y.batched and x.dims == y.dims)
        if not alike[-1] or x.dtype != floats:
            loaded.add(value)
    code = _Code(attributes.get("nodes", (to.node,)), values, list(to.node.outputs), loaded)
    if code.registers + len(operands) + len(outputs) > HL_MAX_PLACES:
        raise ValueError(f"{to.name} has too many values: {len(code.instructions)} instructions")

    p = <hl_program *> to.room(sizeof(hl_program))
    memset(p, 0, sizeof(hl_program))
    p.registers, p.inputs, p.outputs = code.registers, len(operands), len(outputs)
    p.length = len(code.instructions)
    given = <hl_program_input *> to.room(max(p.inputs, 1) * sizeof(hl_program_input))
    made = <hl_program_output *> to.room(p.outputs * sizeof(hl_program_output))
    step = <hl_instruction *> to.room(p.length * sizeof(hl_instruction))
    p.input, p.output, p.instruction = given, made, step
    memset(given, 0, max(p.inputs, 1) * sizeof(hl_program_input))
    for i, x in enumerate(operands):
        given[i].data, given[i].dtype = x.data, x.dtype
        given[i].loaded, given[i].broadcast = values[i] in loaded, not alike[i]
    _set_strides(to, p, given, operands, y)
    for i, x in enumerate(outputs):
        made[i].data, made[i].tells = x.data, x.dtype == HL_BOOL
    for i, (family, kind, place, read, alpha, offset) in enumerate(code.instructions):
        numbers = [code.number(one) for one in read] + 3 * [0]
        step[i].family, step[i].kind, step[i].y = <hl_family> <int> family, kind, code.number(place)
        step[i].a, step[i].b, step[i].c = numbers[0], numbers[1], numbers[2]
        step[i].alpha, step[i].offset = alpha, offset
    p.block = LONGEST_BLOCK
    if p.registers:
        p.block = REGISTER_BYTES // (p.registers * to.kernels.itemsize) // 64 * 64
        p.block = max(64, min(<ptrdiff_t> LONGEST_BLOCK, p.block))
    to.need_scratch(p.registers * p.block * to.kernels.itemsize)

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
    axes = axes or [(1, [1] * len(which))]
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
        given[i].strides.example = x.size if x.batched else 0


cdef void _set_padding(hl_program *p, ptrdiff_t rows, ptrdiff_t cols, const hl_kernels *kernels):
    """Where the padding of a packed matrix stands: in its last panel, if that is not full."""
    cdef ptrdiff_t rest = cols % kernels.nr
    cdef ptrdiff_t width = kernels.nr if rest > kernels.vl else 1 if rest == 1 else kernels.vl
    if rest and rest != width:
        p.panel, p.panel_width, p.panel_columns = (cols - rest) * rows, width, rest
