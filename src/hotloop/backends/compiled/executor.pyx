# cython: language_level=3, freethreading_compatible=True, cdivision=True
"""The executor: lowers a plan to steps with addresses, and runs batches without the GIL.

All threads of a team walk the list of steps together, each doing its share of every step;
`waits` finds out where they wait for each other, when the plan is lowered.
"""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_STRIDES,
    PyBUF_WRITABLE,
    PyBuffer_FillInfo,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.stdint cimport PTRDIFF_MAX, int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

import sys

from ... import backends
from ..interpreter import PythonSteps
from .steps import DTYPES, UPDATES, VALUE_DTYPES, lowering
from .waits import VERDICT, Touched, waits

from .csrc cimport (
    HL_F32,
    HL_F64,
    HL_MAX_HYPER,
    hl_dtype,
    hl_kernels,
    hl_optimizer,
    hl_powers,
    hl_source,
    hl_team,
)
from .runtime cimport (
    Buffer,
    PackedArray,
    barrier,
    flush_denormals,
    forbid,
    forbid_between,
    kernels_of,
    numbers_of,
    prepare_update,
    restore_denormals,
    run_on_team,
    set_dims,
    spaced,
)
from .steps cimport (
    ARGS_BYTES,
    HL_BY_ELEMENT,
    HL_BY_ONE,
    Batch,
    Lowering,
    Operand,
    Step,
    do_step,
    hl_gather_args,
    hl_network_args,
    hl_rows,
    operand,
)
from .worker cimport CACHE_LINE, Ahead, Worker, look_ahead

# Floating-point operations of a batch from which a second thread pays for the waits that it brings.
cdef int64_t FLOPS_PER_THREAD = 300_000

# Batches with fewer floating-point operations take about as long as a look at the clock.
cdef int64_t CLOCK_FLOPS = 20_000

# Rates of a schedule that are asked for at once.
cdef Py_ssize_t SCHEDULED_BATCHES = 1 << 14

include "sources.pxi"
include "run_loop.pxi"


cdef class _Memory:
    """The bytes of a buffer for NumPy; keeps them for as long as there is an array of them."""

    cdef Buffer buffer

    def __init__(self, Buffer buffer):
        self.buffer = buffer

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.buffer.data, self.buffer.size, False, flags)


cdef class Executor:
    """Runs a plan in the compiled core.

    Parameters
    ----------
    plan : hotloop.graph.plan.Plan
    """

    cdef readonly object plan
    cdef const hl_kernels *kernels
    cdef Buffer arena
    cdef Buffer scratch
    cdef Step *steps
    cdef int _room
    cdef readonly int n_steps
    cdef int n_steps_without_outputs
    cdef int _in_place  # the feed whose rows products may read where they stand, or -1
    cdef Buffer _addresses
    cdef Buffer _sums  # of a batch, for each of two in turns
    cdef Buffer _destinations  # of outputs
    cdef list _output_items  # bytes of a number of each
    cdef Lowering _lowering  # keeps what the steps' args and rooms stand in
    cdef dict _operands
    cdef list _touched  # by each step: see waits
    cdef object _python  # does the steps that only Python can do; None if there are none
    cdef int _not_gathered  # as the steps' waits assume
    cdef readonly list nodes  # for each step its node, or the value that it gathers or copies out
    cdef list _packed
    cdef int _scratch_threads
    cdef hl_powers _powers[2]
    cdef int64_t _flops

    def __cinit__(self, plan):
        self.plan = plan
        self.kernels = kernels_of(plan.dtype == "float64")
        self.arena = Buffer(plan.placement.arena_bytes)
        for start, end in plan.placement.gaps():
            forbid(self.arena.data + <size_t> start, end - start)
        self._sums = Buffer(2 * len(plan.slots) * sizeof(double))
        self._destinations = Buffer(len(plan.outputs) * sizeof(char *))
        self._packed = []
        self._scratch_threads = 0
        self._room = len(plan.feeds) + len(plan.steps) + len(plan.outputs)
        self.steps = <Step *> calloc(max(self._room, 1), sizeof(Step))
        if self.steps == NULL:
            raise MemoryError()
        self._lower()

    def __dealloc__(self):
        free(self.steps)

    # -- lowering ---------------------------------------------------------------

    def _lower(self):
        """Makes the steps: gathers, the plan's own, copies of outputs."""
        cdef Lowering to = Lowering()
        self._lowering = None  # until all of it is done: a Ctrl-C may end it
        memset(self.steps, 0, self._room * sizeof(Step))
        to.kernels, to.dtype = self.kernels, self.plan.dtype
        to.examples, to.optimizer = self.plan.batch_size, self.plan.optimizer
        to.scratch_bytes = 64
        to.block = Buffer(self._room * ARGS_BYTES + sizeof(hl_network_args))
        self._packed = [(v, v.packed(PackedArray)) for v in self.plan.variables]
        self._operands = {}
        self._touched = []
        self.nodes = []
        self.n_steps = 0
        for i, value in enumerate(self.plan.feeds):
            self._make(to, "gather", value, (), (value,), {"source": i})
        for node in self.plan.steps:
            if not self.plan.placement.is_done(node):
                self._make(
                    to, node.op.name, node, node.inputs, node.outputs, node.attributes,
                    node.op.changes,
                )
        self.n_steps_without_outputs = self.n_steps
        for i, value in enumerate(self.plan.outputs):
            self._make(to, "copy_out", value, (value,), (), {"output": i})
        self._output_items = [self._operand(value).itemsize for value in self.plan.outputs]
        self._in_place = self._feed_of_products()
        self._operands = {}
        self._flops = self.plan.flops + to.update_flops
        self._set_waits(-1)
        self._lowering = to

    cdef _make(self, Lowering to, str op, node, inputs, outputs, dict attributes,
               bint changes=False):
        """One step more, of an op with this name, for a node or for a value that comes or goes."""
        cdef Step *step = &self.steps[self.n_steps]
        # Of floats, that of the plan or the other.
        kinds = [v.dtype for v in (*inputs, *outputs) if v.dtype.startswith("float")]
        dtype = kinds[0] if kinds else self.plan.dtype
        to.dtype, to.kernels = dtype, kernels_of(dtype == "float64")
        to.begin(step, op, node)
        lowering(op)(
            to, [self._operand(v) for v in inputs], [self._operand(v) for v in outputs], attributes
        )
        if to.kernels != self.kernels:
            step.kernels = to.kernels
        if (outputs or changes) and step.share != HL_BY_ELEMENT and step.share != HL_BY_ONE:
            step.once = not any(v.batched for v in (*inputs, *outputs))
        reads, writes = self._bytes(inputs, to.reads_apart), self._bytes(outputs, to.writes_apart)
        if changes:
            # Weights and their state, unless the loss is not finite.
            writes += self._bytes([v for v in inputs if v.variable is not None], 0)
            reads.append(VERDICT)
        if to.decides:
            writes.append(VERDICT)
        if to.in_python and self._python is None:
            self._python = PythonSteps(self.plan, _Memory(self.arena))
        self._touched.append(Touched(reads, writes, to.decides))
        self.nodes.append(node)
        self.n_steps += 1

    cdef Operand _operand(self, value):
        """What a step is told of a value."""
        cdef Operand made = self._operands.get(value)
        cdef PackedArray packed
        if made is not None:
            return made
        place = self.plan.placement
        offset, root = place.offset(value), place.root(value)
        made = operand(NULL, value.dims, value.batched, <hl_dtype> <int> VALUE_DTYPES[value.dtype],
                       value.row_axes)
        if root.variable is not None:
            made.variable = root.variable
            packed = next(p for variable, p in self._packed if variable is root.variable)
            made.data, made.stored = packed.data(), packed.nelements
        elif offset is not None:
            made.data = self.arena.data + <size_t> offset
            if place.is_window(value):
                made.row = place.row(value)
            if not value.batched:
                made.stored = place.bytes(value) // made.itemsize
        self._operands[value] = made
        return made

    cdef list _bytes(self, values, ptrdiff_t pieces):
        """The bytes of these values, as `waits` has them; of a variable, one stands for all.

        Of a window, those of all rows of what it is a window of.
        """
        cdef size_t start
        cdef Operand made
        place = self.plan.placement
        found = []
        for value in values:
            if place.is_window(value):  # its rows lie between those of others
                value = place.root(value)
            made = self._operand(value)
            start = <size_t> made.data
            if start:
                size = 1 if made.variable is not None else place.bytes(value)
                found.append((start, start + max(size, 1), pieces if value.batched else 0))
        return found

    cdef _set_waits(self, int not_gathered):
        """Marks the steps before which the team waits, where one of the feeds is not gathered."""
        for at, (wait, verdict) in enumerate(waits(self._touched, not_gathered)):
            self.steps[at].wait, self.steps[at].verdict = wait, verdict
        self._not_gathered = not_gathered

    cdef int _feed_of_products(self):
        """The first feed that only products read, and all as the same rows; -1 if there is none."""
        cdef const hl_rows *rows
        cdef int slot, i
        for slot, feed in enumerate(self.plan.feeds):
            place = self._bytes([feed], 0)
            uses = set()  # as rows of so many columns; 0: as something else
            for i in range(len(self.plan.feeds), self.n_steps):
                rows = self.steps[i].rows
                node = self.nodes[i]
                inputs = (node,) if i >= self.n_steps_without_outputs else node.inputs
                for at, value in enumerate(inputs):
                    if self._bytes([value], 0) == place:
                        whole = rows != NULL and at == 0 and rows.row == rows.cols
                        uses.add(rows.cols if whole else 0)
            if feed.dtype == self.plan.dtype and len(uses) == 1 and all(uses):
                return slot
        return -1

    # -- running ----------------------------------------------------------------

    @property
    def scratch_bytes(self):
        """Bytes that each thread of a run has for itself."""
        return 0 if self._lowering is None else self._lowering.scratch_bytes

    cpdef int threads(self):
        """How many threads a run has that finds the pool free."""
        if self._lowering is None:
            self._lower()
        if self._lowering.network != NULL:  # trained in one step, which one thread does
            return 1
        if self._flops < 2 * FLOPS_PER_THREAD:
            return 1
        return min(backends.num_threads(), self._flops // FLOPS_PER_THREAD)

    def run(
        self,
        feed,
        Py_ssize_t first,
        Py_ssize_t count,
        sums,
        *,
        double seconds=float("inf"),
        outputs=None,
        Py_ssize_t outputs_first=0,
        clock=None,
    ):
        """Runs up to `count` batches from batch number `first` on; see Interpreter.run."""
        cdef Run run
        cdef _Sources sources
        cdef double hyper[HL_MAX_HYPER]
        cdef char **destinations = <char **> self._destinations.data
        cdef int n_threads, n_slots = len(self.plan.slots), i
        if count <= 0:
            return 0, True
        if self._lowering is None:
            self._lower()
        for variable, packed in self._packed:
            if not variable.is_packed_as(packed):
                self._lower()
                break
        sources = _Sources(feed.arrays)
        self._check_sources(sources, feed.rows)
        memset(&run, 0, sizeof(Run))
        run.steps = self.steps
        run.n_steps = self.n_steps if outputs is not None else self.n_steps_without_outputs
        run.network = self._lowering.network
        run.finite = True
        run.at_once = self.plan.batches_at_once
        run.batch_size = self.plan.batch_size
        for i in range(2):
            run.batches[i].kernels = self.kernels
            run.batches[i].size = run.batch_size
            run.batches[i].hyper = hyper
            run.batches[i].powers = self._powers
            run.batches[i].finite = &run.finite
            run.batches[i].sources = sources.sources
            run.batches[i].sums = <double *> self._sums.data + i * n_slots
            run.batches[i].python = <void *> self._python
        run.epoch_rows = feed.rows
        if feed.order is not None:
            run.order = <const int64_t *> numbers_of(feed.order, 8, PyBUF_C_CONTIGUOUS)
            run.ahead.sources = sources.sources
            run.ahead.row_bytes = sources.row_bytes
            run.ahead.n_sources = len(feed.arrays)
            run.ahead.lines_per_flop = (
                sources.far_lines / <double> max(self._lowering.asking_flops, 1)
            )
        run.epoch_batches = (run.epoch_rows + run.batch_size - 1) // run.batch_size
        run.first_batch = first
        run.count = count
        run.n_slots = n_slots
        if n_slots:
            run.sums = <double *> numbers_of(sums, 8, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
        optimizer = self.plan.optimizer
        run.turns = 1
        if optimizer is not None:
            run.turns = optimizer.gradient_accumulation_steps or 1
            if optimizer.schedule is not None:
                count = min(count, SCHEDULED_BATCHES)
                rates = optimizer.learning_rates(count)
                run.rates = <const double *> numbers_of(rates, 8, PyBUF_C_CONTIGUOUS)
                run.at_once = 1  # a network's step has one rate for all
                run.count = count
            run.updates = True
            run.rule = <hl_optimizer> UPDATES[optimizer.op]
            for i, value in enumerate(optimizer.hyper().values()):
                hyper[i] = value
            run.hyper = hyper
            run.powers = self._powers
        counter = optimizer if optimizer is not None else self.plan.counter
        if counter is not None:
            run.iteration = counter.iterations
        if outputs is not None:
            for i, out in enumerate(outputs):
                destinations[i] = <char *> numbers_of(
                    out, self._output_items[i], PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE
                )
            for i in range(2):
                run.batches[i].outputs = destinations
                run.batches[i].outputs_first = outputs_first

        n_threads = self.threads()
        if clock is not None:
            if len(clock) < n_threads or clock.shape[1:] != (run.n_steps, 2):
                raise ValueError("clock must have the shape (threads, steps, 2)")
            run.clock = <int64_t *> numbers_of(clock, 8, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
        run.scratch_bytes = self._lowering.scratch_bytes
        run.address_bytes = self._lowering.n_addresses * sizeof(void *)
        if n_threads > self._scratch_threads:
            self.scratch = Buffer(spaced(run.scratch_bytes) * n_threads)
            self._addresses = Buffer(spaced(run.address_bytes) * 2 * n_threads)
            forbid_between(self.scratch.data, run.scratch_bytes, n_threads)
            forbid_between(self._addresses.data, run.address_bytes, 2 * n_threads)
            self._scratch_threads = n_threads
        run.addresses = self._addresses.data
        self._read_in_place(&run, sources)
        run.scratch = self.scratch.data
        run.clock_every = 1 if self._flops > CLOCK_FLOPS else 16
        run.end = nanoseconds() + <int64_t> (min(seconds, 1e9) * 1e9)
        with nogil:
            run_on_team(run_on_thread, &run, n_threads)
        if counter is not None:
            # Here and not in the caller, past the optimizer's own `__setattr__` and behind its
            # property: a Ctrl-C is raised as soon as this function returns, or calls one of
            # Python's.
            object.__setattr__(counter, "_iterations", run.iteration + run.done)
        if self._python is not None:
            self._python.raise_error()
        return run.done, run.finite

    cdef _check_sources(self, _Sources sources, ptrdiff_t rows):
        """That these are the plan's feeds: what is read beside an array is garbage."""
        cdef ptrdiff_t size
        cdef int i, axis
        if rows < 1 or sources.rows < rows:
            raise ValueError(f"a feed of {rows} rows needs that many rows in each array")
        if len(sources.arrays) != len(self.plan.feeds):
            raise ValueError(
                f"the plan reads {len(self.plan.feeds)} arrays, not {len(sources.arrays)}"
            )
        for i in range(len(sources.arrays)):
            size = 1
            for axis in range(sources.sources[i].rank):
                size *= sources.sources[i].dim[axis]
            if size != (<const hl_gather_args *> self.steps[i].args).size:
                raise ValueError(
                    f"the plan reads rows of shape {self.plan.feeds[i].dims} from array {i} of the "
                    f"feed, whose shape is {sources.arrays[i].shape}"
                )

    cdef _read_in_place(self, Run *run, _Sources sources):
        """Spares the products' rows the gathering, if the user's array is as the core wants it."""
        cdef hl_rows *rows
        cdef const char *gathered = NULL
        cdef bint possible = self._in_place >= 0 and sources.is_plain(self._in_place, self.kernels)
        cdef int i
        run.not_gathered = self._in_place if possible else -1
        if run.not_gathered != self._not_gathered:
            self._set_waits(run.not_gathered)
        if possible:
            gathered = (<const hl_gather_args *> self.steps[self._in_place].args).out
        for i in range(self.n_steps):
            rows = self.steps[i].rows
            if rows == NULL:
                continue
            rows.in_place = possible and rows.data == gathered
            if rows.in_place:
                run.in_place = &sources.sources[self._in_place]
                run.pieces = rows.rows
                run.piece_bytes = rows.cols * self.kernels.itemsize
                if run.panels == 0 or rows.panels < run.panels:
                    run.panels = rows.panels
                    run.parts = rows.parts
