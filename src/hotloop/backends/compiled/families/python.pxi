# Steps that only Python can do.


# A step that only Python can do: its node.
cdef struct hl_python_args:
    void *node


cdef void run_python(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                     Worker *worker) noexcept nogil:
    """Takes the GIL; an error that is raised ends the run, as a loss does that is not finite."""
    cdef const hl_python_args *a = <const hl_python_args *> args
    with gil:
        restore_denormals(worker.control)
        if not (<object> batch.python).attempt(<object> a.node, batch.rows, batch.iteration):
            batch.finite[0] = False
            batch.count = 0
        flush_denormals()


cdef _do_in_python(Lowering to):
    cdef hl_python_args *a = <hl_python_args *> to.fill(
        run_python, HL_BY_ONE, sizeof(hl_python_args)
    )
    a.node = <void *> to.node  # which the plan keeps
    to.decides = to.in_python = True


def _by_reference(Lowering to, list inputs, list outputs, dict attributes):
    """The lowering of an op that the core has no step for: Python runs its reference."""
    cdef Operand value
    for value in (*inputs, *outputs):
        if value.packed and value.variable is None:
            raise NotImplementedError(
                f"{to.name} has no step in the compiled core, and Python does not read values that "
                "are kept as matrices for products"
            )
    _do_in_python(to)


def lowering(name):
    """How an op is lowered: to a step of the core, or to one that Python does."""
    return LOWERINGS.get(name, _by_reference)
