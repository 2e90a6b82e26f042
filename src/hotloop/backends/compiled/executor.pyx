# cython: language_level=3, freethreading_compatible=True, cdivision=True
"""The executor: lowers a plan to steps with addresses, and runs batches without the GIL.

All threads of a team walk the list of steps together, each doing its share of every step;
they wait for each other only where a step touches bytes that another thread wrote or read
since the last wait (`_Waits` finds out where, when the plan is lowered).
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
from math import prod

from ... import backends
from ...constraints import NormConstraint
from ..numpy import alpha_dropout_line
from ..interpreter import PythonSteps
from .steps import (
    ACTIVATIONS,
    BATCH_LOSSES,
    CIRCLE_OPTIONS,
    CROSSENTROPIES,
    DTYPES,
    LOSSES,
    MERGES,
    METRICS,
    NORMALIZATIONS,
    ROW_LOSSES,
    ROWWISE,
    STEPS,
    UPDATES,
)

from .csrc cimport (
    HL_F32,
    HL_F64,
    HL_MAX_HYPER,
    hl_activation,
    hl_kernels,
    hl_layer,
    hl_loss,
    hl_network,
    hl_optimizer,
    hl_powers,
    hl_source,
    hl_team,
)
from .matmul cimport partial_bytes, parts_of, rows_at_once, scratch_bytes, shares_rows
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
    ACCUMULATE,
    ACCUMULATE_GRADIENT,
    ACTIVATION,
    ACTIVATION_GRADIENT,
    ADD_BIAS,
    AVERAGE,
    BIAS_GRADIENT,
    BIAS_UPDATE,
    CHOICE_GRADIENT,
    CLIP_BY_NORM,
    CLIP_BY_VALUE,
    ALPHA_DROPOUT,
    COLUMN_MOMENTS,
    CIRCLE,
    CTC,
    COLUMNS,
    CONCATENATE,
    CONSTRAIN,
    COPY_OUT,
    DECAY,
    DENSE,
    DROPOUT,
    ENCODE,
    GATHER,
    GATHER_LABELS,
    GAUSSIAN,
    GLU,
    GLU_GRADIENT,
    INPUT_GRADIENT,
    LAYER_NORM_SCALE_GRADIENT,
    INDICES,
    LOOKUP,
    LOOKUP_GRADIENT,
    LOSS,
    MAX_STEPS_GRADIENT,
    MERGE,
    METRIC,
    MOVING_AVERAGE,
    NETWORK,
    OVERWRITE,
    NORMALIZE_SCALE_GRADIENT,
    PENALTY,
    PENALTY_GRADIENT,
    PRELU,
    PRELU_ALPHA_GRADIENT,
    PRELU_GRADIENT,
    ROW_LOSS,
    OWN_ACTIVATION,
    OWN_ACTIVATION_GRADIENT,
    OWN_LOSS,
    OWN_LOSS_BLOCK,
    PYTHON,
    SCALE,
    SQUARE_SUM,
    PERMUTE,
    REPEAT_STEPS,
    ROW_PRODUCTS,
    STANDARDIZE,
    UPDATE,
    WEIGHT_GRADIENT,
    WEIGHT_UPDATE,
    WHOLE_UPDATE,
    Batch,
    Step,
    describe_whole,
    run_step,
)
from .worker cimport CACHE_LINE, Ahead, Worker, look_ahead

# Cython's posix.time names <sys/time.h>, which declares all this only where Python.h happens to
# bring <time.h> with it: that of 3.13 does not.
cdef extern from "<time.h>" nogil:
    ctypedef int clockid_t
    const clockid_t CLOCK_MONOTONIC
    cdef struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(clockid_t clock, timespec *now)

# Floating-point operations of a batch from which a second thread pays for the waits that it brings.
cdef int64_t FLOPS_PER_THREAD = 300_000

# What the update of a weight counts for where no product does it, as that of embeddings. Adam takes
# 1.1 ns for each (AVX-512, beside products of 25 to 50 GFLOP/s), and rules with less state less.
cdef int64_t FLOPS_OF_AN_UPDATE = 16

# Elements of a weight from which a step that all threads do, with waits of its own, is worth them.
cdef Py_ssize_t SHARED_WEIGHTS = 1 << 14

# Room for what a run adds up and copies out.
cdef enum:
    MAX_SLOTS = 64
    MAX_OUTPUTS = 16

# Batches with fewer floating-point operations take about as long as a look at the clock.
cdef int64_t CLOCK_FLOPS = 20_000

# Rates of a schedule that are asked for at once.
cdef Py_ssize_t SCHEDULED_BATCHES = 1 << 14

# Arrays up to this size stay in the second-level cache from one epoch to the next.
cdef ptrdiff_t NEAR_BYTES = 256 * 1024


# What a call of run shares with its team.
cdef struct Run:
    const Step *steps
    int n_steps
    const Step *network  # the step that trains a small network, on one thread; NULL: none
    Batch batches[2]  # one is run while thread 0 prepares the next in the other, in turns
    bint finite
    const int64_t *order  # of each epoch, one after the other
    ptrdiff_t epoch_rows
    ptrdiff_t epoch_batches
    ptrdiff_t batch_size
    ptrdiff_t first_batch
    int n_slots
    double *sums  # of each epoch
    hl_optimizer rule
    double *hyper  # the learning rate first
    const double *rates  # of each batch, where that changes
    hl_powers *powers
    bint updates
    int turns  # batches that one update is for
    int64_t iteration
    char *scratch
    size_t scratch_bytes
    char *addresses
    size_t address_bytes  # of each thread, for each of the two uses that a worker has for them
    const hl_source *in_place  # whose rows are read where they stand; NULL: gathered, as all
    int not_gathered  # its step, or -1
    ptrdiff_t pieces, piece_bytes  # rows that each of its examples is, for the products
    ptrdiff_t panels  # of the narrowest layer that reads them
    ptrdiff_t parts  # that its sums are cut into
    Ahead ahead
    int64_t end  # on the clock, in nanoseconds
    ptrdiff_t clock_every  # walks over the steps between two looks at the clock
    ptrdiff_t at_once  # batches of a walk, at most
    ptrdiff_t done  # batches
    ptrdiff_t count  # to be done
    int64_t *clock  # nanoseconds by thread, step, and waiting or working; NULL: not wanted


cdef void run_on_thread(void *argument, hl_team *team, int thread, int n_threads) noexcept nogil:
    """What each thread of the team does."""
    cdef Run *run = <Run *> argument
    cdef uint64_t control = flush_denormals()
    cdef Worker worker
    worker.number, worker.n_workers, worker.team = thread, n_threads, team
    worker.scratch = run.scratch + thread * spaced(run.scratch_bytes)
    worker.addresses = <const void **> (run.addresses + 2 * thread * spaced(run.address_bytes))
    worker.in_place = <const void **> (<char *> worker.addresses + spaced(run.address_bytes))
    worker.ahead = run.ahead
    worker.control = control
    cdef ptrdiff_t parts = max(run.parts, 1), begin = thread * parts
    worker.ahead.first_part = begin // n_threads
    worker.ahead.last_part = (begin + parts + n_threads - 1) // n_threads
    worker.ahead.parts = parts
    # Where a layer has a part of its sums or a panel for each thread, all of them read all rows.
    worker.ahead.all_rows = parts > 1 or n_threads <= run.panels
    if worker.ahead.all_rows:
        worker.ahead.lines_per_flop *= (
            n_threads * (worker.ahead.last_part - worker.ahead.first_part) / <double> parts
        )
    # Between two batches, the weights of a small network stay in the room of its step.
    if run.network != NULL:
        run.batches[0].kernels.exchange_network(False, run.network.network, run.network.out2)
    run_batches(run, team, &worker)
    if run.network != NULL:
        run.batches[0].kernels.exchange_network(True, run.network.network, run.network.out2)
    restore_denormals(control)


cdef void run_batches(Run *run, hl_team *team, Worker *worker) noexcept nogil:
    """Every batch, every step; thread 0 keeps the books besides."""
    cdef Batch *batch
    cdef const Step *step
    cdef Worker alone = worker[0]
    cdef int64_t *clock = NULL
    cdef int64_t then = 0
    cdef ptrdiff_t turn = 0
    cdef int i
    alone.n_workers = 1
    if worker.number == 0:
        begin_batch(run, &run.batches[0])
    barrier(team)
    if run.clock != NULL:
        clock = run.clock + 2 * worker.number * run.n_steps
        then = nanoseconds()
    while True:
        batch = &run.batches[turn % 2]
        if batch.next_order != NULL:
            look_ahead(worker, batch.next_order, batch.next_rows)
        if run.in_place != NULL:
            find_rows(run, batch, worker.in_place)
        for i in range(run.n_steps):
            if i == run.not_gathered:
                continue
            step = &run.steps[i]
            if step.wait:
                if worker.n_workers > 1:
                    barrier(team)
                if step.verdict and not run.finite:
                    break
            if step.turns and not is_turn_of(step, batch):
                continue
            if clock != NULL:
                then = lap(&clock[2 * i], then)
            if not step.by_one:
                run_step(step, batch, worker)
            elif worker.number == 0:
                run_step(step, batch, &alone)
            if clock != NULL:
                then = lap(&clock[2 * i + 1], then)
        if worker.number == 0:
            end_batch(run, batch)
            batch.last = (
                not run.finite
                or run.done == run.count
                or (turn % run.clock_every == 0 and nanoseconds() >= run.end)
            )
            if not batch.last:
                begin_batch(run, &run.batches[(turn + 1) % 2])
        turn += 1
        barrier(team)
        # Not a variable of the run: thread 0 may have done the next batch before others look.
        if batch.last:
            return


cdef inline bint is_turn_of(const Step *step, const Batch *batch) noexcept nogil:
    """Whether a step that is not done for every batch is done for this one."""
    if (batch.iteration + 1) % step.turns:
        return False
    return not step.frequency or (batch.updates + 1) % step.frequency == 0


cdef inline int64_t nanoseconds() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t> now.tv_sec * 1_000_000_000 + now.tv_nsec


cdef inline int64_t lap(int64_t *total, int64_t then) noexcept nogil:
    """Adds the time since `then`; returns the time now."""
    cdef int64_t now = nanoseconds()
    total[0] += now - then
    return now


cdef void begin_batch(Run *run, Batch *batch) noexcept nogil:
    """Describes the next batch, or the next few of the epoch."""
    cdef ptrdiff_t number = run.first_batch + run.done
    cdef ptrdiff_t epoch = number // run.epoch_batches
    cdef ptrdiff_t within = number - epoch * run.epoch_batches
    cdef ptrdiff_t left = run.epoch_rows - within * run.batch_size
    batch.count = min(run.at_once, run.epoch_batches - within, run.count - run.done)
    batch.first = within * run.batch_size
    batch.rows = min(batch.count * run.batch_size, left)
    batch.next_order = NULL
    if run.order != NULL:
        batch.order = run.order + epoch * run.epoch_rows
        if run.done + batch.count < run.count:
            # Orders stand one after the other, so the next batch begins where this one ends.
            batch.next_order = batch.order + batch.first + batch.rows
            left -= batch.rows
            batch.next_rows = min(run.batch_size, left if left > 0 else run.epoch_rows)
    batch.iteration = run.iteration + run.done
    batch.updates = batch.iteration // run.turns
    if run.at_once > 1:
        batch.sums = run.sums + epoch * run.n_slots
        return
    memset(batch.sums, 0, run.n_slots * sizeof(double))
    if run.updates:
        if run.rates != NULL:
            run.hyper[0] = run.rates[run.done]
        batch.learning_rate = run.hyper[0]
        prepare_update(run.rule, run.hyper, batch.updates + 1, run.powers, batch.h)


cdef void find_rows(const Run *run, const Batch *batch, const void **rows) noexcept nogil:
    """Where the rows of a batch stand in the user's array."""
    cdef const hl_source *source = run.in_place
    cdef const char *example
    cdef ptrdiff_t i, piece
    cdef int64_t number
    for i in range(batch.rows):
        number = batch.first + i
        if batch.order != NULL:
            number = batch.order[number]
        example = source.data + number * source.row_stride
        for piece in range(run.pieces):
            rows[0] = example + piece * run.piece_bytes
            rows += 1


cdef void end_batch(Run *run, const Batch *batch) noexcept nogil:
    """Counts what was done, and adds up the sums of a single batch, which may not count."""
    cdef ptrdiff_t epoch = (run.first_batch + run.done) // run.epoch_batches
    cdef int i
    if run.at_once == 1 and batch.count:
        for i in range(run.n_slots):
            run.sums[epoch * run.n_slots + i] += batch.sums[i]
    run.done += batch.count


cdef class _Sources:
    """The user's arrays as the gather kernels read them; keeps them alive."""

    cdef hl_source *sources
    cdef ptrdiff_t *row_bytes  # to be asked for ahead: see Ahead
    cdef ptrdiff_t far_lines  # cache lines that those are, for one example
    cdef ptrdiff_t rows  # of the shortest
    cdef list arrays

    def __cinit__(self, list arrays):
        self.sources = <hl_source *> calloc(max(len(arrays), 1), sizeof(hl_source))
        self.row_bytes = <ptrdiff_t *> calloc(max(len(arrays), 1), sizeof(ptrdiff_t))
        if self.sources == NULL or self.row_bytes == NULL:
            raise MemoryError()
        self.arrays = arrays
        self.far_lines = 0
        self.rows = PTRDIFF_MAX
        for i, array in enumerate(arrays):
            self._describe(i, array)

    def __dealloc__(self):
        free(self.sources)
        free(self.row_bytes)

    cdef bint is_plain(self, int i, const hl_kernels *kernels) noexcept:
        """Whether rows are of the core's own numbers, one after another."""
        cdef const hl_source *source = &self.sources[i]
        cdef ptrdiff_t item = kernels.itemsize
        return (
            source.dtype == (HL_F64 if item == 8 else HL_F32)
            and not source.swapped
            and source.rank == 1
            and source.stride[0] == item
            and <size_t> source.data % item == 0
            and source.row_stride % item == 0
        )

    cdef _describe(self, int i, array):
        cdef hl_source *source = &self.sources[i]
        cdef Py_buffer view
        cdef int axis
        source.dtype, source.swapped = _SOURCE_DTYPES[array.dtype.str]
        PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
        try:
            source.data = <const char *> view.buf
            source.row_stride = view.strides[0]
            self.rows = min(self.rows, view.shape[0])
            axes = [(view.shape[axis], view.strides[axis]) for axis in range(1, view.ndim)]
            set_dims(source, axes, view.itemsize)
            if source.rank == 1 and source.stride[0] == view.itemsize and view.len > NEAR_BYTES:
                self.row_bytes[i] = source.dim[0] * view.itemsize
                self.far_lines += self.row_bytes[i] // CACHE_LINE + 2
        finally:
            PyBuffer_Release(&view)


cdef class _Memory:
    """The bytes of a buffer for NumPy; keeps them for as long as there is an array of them."""

    cdef Buffer buffer

    def __init__(self, Buffer buffer):
        self.buffer = buffer

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.buffer.data, self.buffer.size, False, flags)


# What NumPy calls numbers in memory -> what the gather kernels call them, and whether their bytes
# are to be swapped.
_NATIVE = "|<" if sys.byteorder == "little" else "|>"
_SOURCE_DTYPES = {
    order + kind: (dtype, order not in _NATIVE) for kind, dtype in DTYPES.items() for order in "|<>"
}

# Stands for the bytes that say whether the loss is finite.
_VERDICT = (-1, 0, False)


class _Waits:
    """Finds the steps before which the team must wait.

    Remembers the bytes that were read and written since the last wait, as (start, end, by
    example): of what is shared out by examples, each thread meets only itself. Numbers that each
    thread works out for itself need no waiting for.
    """

    def __init__(self):
        self._read = []
        self._written = []

    def needed(self, reads, writes):
        """Whether this step must wait; then remembers what it touches."""
        wait = (
            _meet(reads, self._written)
            or _meet(writes, self._written)
            or _meet(writes, self._read)
        )
        if wait:
            self._read, self._written = [], []
        self._read += reads
        self._written += writes
        return wait

    def also_reads(self, what):
        """Remembers something more that the last step reads."""
        self._read.append(what)


def _meet(these, those):
    return any(
        one[0] < other[1] and other[0] < one[1] and not (one == other and one[2])
        for one in these
        for other in those
    )


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
    cdef size_t _n_addresses
    cdef Buffer _addresses
    cdef list _touched  # by each step: (reads, writes), see _Waits
    cdef list _rooms  # of single steps: sums of layers that are cut into parts, of whole updates
    cdef list _loops  # of the user's own functions, kept while steps have their addresses
    cdef object _python  # does the steps that only Python can do; None if there are none
    cdef int _not_gathered  # as the steps' waits assume
    cdef readonly list nodes  # for each step its node, or the value that it gathers or copies out
    cdef list _packed
    cdef size_t _scratch_bytes
    cdef int _scratch_threads
    cdef hl_powers _powers[2]
    cdef hl_network _network
    cdef int _network_step  # which trains it
    cdef int64_t _flops
    cdef int64_t _asking_flops  # of the products that ask for the next rows meanwhile

    def __cinit__(self, plan):
        self.plan = plan
        if len(plan.outputs) > MAX_OUTPUTS or len(plan.slots) > MAX_SLOTS:
            raise ValueError(
                f"a plan can have {MAX_OUTPUTS} outputs and {MAX_SLOTS} running sums, not "
                f"{len(plan.outputs)} and {len(plan.slots)}"
            )
        self.kernels = kernels_of(plan.dtype == "float64")
        self.arena = Buffer(plan.placement.arena_bytes)
        for start, end in plan.placement.gaps():
            forbid(self.arena.data + <size_t> start, end - start)
        changed = [step for step in plan.steps if step.op.name in ("update", "whole_update")]
        self._flops = plan.flops + FLOPS_OF_AN_UPDATE * sum(s.inputs[0].size for s in changed)
        self._flops += sum(plan.optimizer.product_flops(s.inputs[0].variable) for s in changed)
        self._asking_flops = plan.batch_size * sum(
            step.op.flops(step)
            for step in plan.steps
            if step.op.name not in ("input_gradient", "row_products")
        )
        self._packed = []
        self._scratch_threads = 0
        self._n_addresses = 1
        self._scratch_bytes = 64
        self._room = len(plan.feeds) + len(plan.steps) + len(plan.outputs)
        self.steps = <Step *> calloc(self._room, sizeof(Step))
        if self.steps == NULL:
            raise MemoryError()
        self._lower()

    def __dealloc__(self):
        free(self.steps)

    # -- lowering ---------------------------------------------------------------

    def _lower(self):
        """Fills in the steps: gathers, the plan's own, copies of outputs."""
        cdef Step *step
        memset(self.steps, 0, self._room * sizeof(Step))
        self._touched = []
        self._rooms = []
        self._loops = []
        self._packed = [(v, v.packed(PackedArray)) for v in self.plan.variables]
        self.nodes = [*self.plan.feeds]
        at = 0
        for slot, value in enumerate(self.plan.feeds):
            step = &self.steps[at]
            step.code = GATHER_LABELS if value.dtype == "int32" else GATHER
            step.slot = slot
            step.group = 1
            step.cols = value.size
            step.out0 = self._address(value)
            self._touched.append(([], self._accesses([value], True)))
            at += 1
        for node in self.plan.steps:
            if node.op.view:
                continue
            step = &self.steps[at]
            self.nodes.append(node)
            _LOWER[node.op.name](self, at, node)
            by_example = self._is_shared_out_by_examples(step)
            of_columns = step.code == DENSE and self._parts(step) > 1
            reads = self._accesses(node.inputs, by_example and not of_columns)
            writes = self._accesses(node.outputs, by_example)
            if node.op.changes:
                # It changes the weight and its state, unless the loss is not finite.
                writes += self._accesses([v for v in node.inputs if v.variable], False)
                reads.append(_VERDICT)
            if step.check:
                writes.append(_VERDICT)
            self._touched.append((reads, writes))
            at += 1
        self._in_place = self._feed_of_products()
        self.n_steps_without_outputs = at
        self.nodes += self.plan.outputs
        for slot, value in enumerate(self.plan.outputs):
            step = &self.steps[at]
            step.code = COPY_OUT
            step.slot = slot
            step.group = 1
            step.cols = value.size
            step.in0 = self._address(value)
            self._touched.append((self._accesses([value], True), []))
            at += 1
        self.n_steps = at
        self._set_waits(-1)

    cdef _set_waits(self, int not_gathered):
        """Marks the steps before which the team waits, where one of the feeds is not gathered."""
        cdef Step *step
        waits = _Waits()
        undecided = False
        for at, (reads, writes) in enumerate(self._touched):
            if at == not_gathered:
                continue
            step = &self.steps[at]
            step.wait = waits.needed(reads, writes)
            step.verdict = undecided and step.wait and not step.check
            if step.verdict:
                waits.also_reads(_VERDICT)
            undecided = (undecided or step.check) and not step.verdict
        self._not_gathered = not_gathered

    cdef bint _is_shared_out_by_examples(self, const Step *step):
        """Whether threads divide a step's batch as they divide those of gathering and of losses."""
        if step.code == DENSE:
            rows = self.plan.batch_size
            # Of parts that are added up, all rows at once.
            return step.group == 1 and (
                shares_rows(self.kernels, step.inputs, step.cols)
                or self._parts(step) > 1
                and rows_at_once(self.kernels, rows, step.inputs, step.cols) == rows
            )
        return not step.by_one and step.group > 0 and step.code not in _SHARED_OUT_OTHERWISE

    def _accesses(self, values, bint by_example):
        """Bytes of these values, and whether each thread touches those of its examples only."""
        return [
            (start, end, by_example and value.batched)
            for value in values
            for start, end in self._bytes(value)
        ]

    def _feed_of_products(self):
        """The first feed that only products read, and all as the same rows; -1 if there is none."""
        for slot, feed in enumerate(self.plan.feeds):
            place = self._bytes(feed)
            uses = {
                (node.op.name in _PRODUCTS and i == 0 and value.dims[-1:])
                for node in self.plan.steps
                if not node.op.view
                for i, value in enumerate(node.inputs)
                if value.variable is None and self._bytes(value) == place
            }
            copied = any(self._bytes(value) == place for value in self.plan.outputs)
            if feed.dtype == self.plan.dtype and len(uses) == 1 and all(uses) and not copied:
                return slot
        return -1

    cdef char *_address(self, value) except? NULL:
        """Where a value stands; NULL for an output that nobody reads."""
        if value.variable is not None:
            for variable, packed in self._packed:
                if variable is value.variable:
                    return (<PackedArray> packed).data()
        offset = self.plan.placement.offset(value)
        return self.arena.data + <size_t> offset if offset is not None else NULL

    def _bytes(self, value):
        """The addresses that a value occupies, as a list of none or one interval."""
        cdef size_t start = <size_t> self._address(value)
        if start == 0:
            return []
        if value.variable is not None:
            return [(start, start + 1)]
        return [(start, start + max(self.plan.placement.bytes(value), 1))]

    def _need_scratch(self, size_t size):
        self._scratch_bytes = max(self._scratch_bytes, size)

    cdef _need_product_scratch(self, const Step *step):
        rows = self.plan.batch_size * step.group
        self._n_addresses = max(self._n_addresses, rows)
        self._need_scratch(scratch_bytes(self.kernels, rows, step.inputs, step.cols))

    def _dense(self, int at, node):
        cdef Step *step = &self.steps[at]
        x, w = node.inputs[:2]
        step.code = DENSE
        step.kind = ACTIVATIONS[node.attributes.get("activation", "linear")]
        step.option = node.attributes.get("alpha", 0.0)
        step.group = x.group
        step.inputs, step.cols = w.dims
        self._need_product_scratch(step)
        step.in0, step.in1 = self._address(x), self._address(w)
        if len(node.inputs) > 2:
            step.in2 = self._address(node.inputs[2])
        step.out0 = self._address(node.output)
        if self._parts(step) > 1:
            rows = self.plan.batch_size * step.group
            sums = Buffer(partial_bytes(self.kernels, rows, step.inputs, step.cols))
            step.out1 = sums.data
            self._rooms.append(sums)

    cdef ptrdiff_t _parts(self, const Step *step):
        """Parts that the sums of a layer are cut into."""
        return parts_of(self.kernels, step.inputs, step.cols)

    def _network_update(self, int at, node):
        cdef Step *step = &self.steps[at]
        cdef hl_layer *layer
        cdef hl_network *network = &self._network
        loss = node.attributes
        options = loss["options"]
        variables = [v for v in node.inputs if v.variable is not None]
        x, y_true, *weight = [v for v in node.inputs if v.variable is None]
        network.inputs = x.size
        network.depth = len(loss["layers"])
        for i, layered in enumerate(loss["layers"]):
            layer = &network.layer[i]
            layer.units = layered.shape[1]
            layer.activation = <hl_activation> ACTIVATIONS[layered.activation]
            layer.alpha = layered.alpha
            layer.w = self._weight_and_state(variables, layer.w_state)
            if layered.b is not None:
                layer.b = self._weight_and_state(variables, layer.b_state)
        network.softmax = loss["kind"] in CROSSENTROPIES
        if network.softmax:
            network.clip = options.get("clip", False)
            network.param = options.get("smoothing", 0.0)
        else:
            network.loss = <hl_loss> LOSSES[loss["kind"]]
            network.param = options.get("param", 0.0)
        network.loss_weight = loss["loss_weight"]
        network.rule = <hl_optimizer> UPDATES[self.plan.optimizer.op]
        step.code = NETWORK
        step.by_one = True
        step.network = network
        step.group = 1
        step.sparse = y_true.dtype == "int32"
        step.in0, step.in1 = self._address(x), self._address(y_true)
        if weight:
            step.in2 = self._address(weight[0])
        step.out0, step.out1 = self._address(node.outputs[0]), self._address(node.outputs[1])
        room = Buffer(self.kernels.network_scratch(network))
        self._rooms.append(room)
        step.out2 = (<Buffer> room).data
        self._network_step = at

    cdef void *_weight_and_state(self, list variables, void **state) except NULL:
        """Address of the first of these variables; takes it and its state from the list."""
        cdef int i
        weight = variables.pop(0)
        for i in range(3):
            state[i] = NULL
        for i in range(len(self.plan.optimizer.slot_values())):
            state[i] = self._address(variables.pop(0))
        return self._address(weight)

    def _add_bias(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, ADD_BIAS, node)
        step.group = node.output.group
        step.cols = node.output.dims[-1]

    def _input_gradient(self, int at, node):
        cdef Step *step = &self.steps[at]
        dy, w = node.inputs[:2]
        self._plain(at, INPUT_GRADIENT, node)
        step.kind = ACTIVATIONS[node.attributes.get("activation", "linear")]
        step.option = node.attributes.get("alpha", 0.0)
        step.group = dy.group
        step.inputs, step.cols = w.dims
        self._need_product_scratch(step)

    def _weight_gradient(self, int at, node):
        cdef Step *step = &self.steps[at]
        x, dy = node.inputs[:2]
        fused = node.op.name == "weight_gradient_update"
        self._plain(at, WEIGHT_UPDATE if fused else WEIGHT_GRADIENT, node)
        step.group = x.group
        step.inputs, step.cols = x.dims[-1], dy.dims[-1]
        if fused:
            self._updates(at, node.inputs[2:])
            by_rows = shares_rows(self.kernels, step.inputs, step.cols)
            step.shared = by_rows or self._parts(step) == 1 and any(
                other.op.name == "input_gradient"
                and other.inputs[1].variable is node.inputs[2].variable
                for other in self.plan.steps
            )
        self._need_product_scratch(step)

    def _bias_gradient(self, int at, node):
        cdef Step *step = &self.steps[at]
        dy = node.inputs[0]
        fused = node.op.name == "bias_gradient_update"
        self._plain(at, BIAS_UPDATE if fused else BIAS_GRADIENT, node)
        step.group = dy.group
        step.cols = dy.dims[-1]
        if fused:
            self._updates(at, node.inputs[1:])
        self._need_scratch(step.cols * self.kernels.itemsize)

    def _update(self, int at, node):
        cdef Step *step = &self.steps[at]
        step.code = UPDATE
        step.in0 = self._address(node.inputs[1])
        step.cols = self._elements(node.inputs[0])
        step.turns = self._turns()
        self._updates(at, (node.inputs[0], *node.inputs[2:]))

    def _whole_update(self, int at, node):
        cdef Step *step = &self.steps[at]
        weight, gradient, *state = node.inputs
        step.code = WHOLE_UPDATE
        step.turns = self._turns()
        step.by_one = weight.size < SHARED_WEIGHTS
        step.in0 = self._address(gradient)
        self._updates(at, (weight, *state))
        describe_whole(step, weight.variable.shape)
        step.whole.packed = len(weight.dims) == 2
        room = Buffer(self.kernels.whole_update_room(&step.whole))
        step.whole.room = room.data
        self._rooms.append(room)

    def _updates(self, int at, values):
        """The weight that a step updates, and its state."""
        cdef Step *step = &self.steps[at]
        step.kind = UPDATES[self.plan.optimizer.rule(values[0].variable)]
        step.out0 = self._address(values[0])
        for i, slot in enumerate(values[1:]):
            step.state[i] = self._address(slot)

    def _elements(self, value):
        """Elements of an array without a batch, padding included."""
        for variable, packed in self._packed:
            if variable is value.variable:
                return packed.nelements
        raise AssertionError(f"{value} is no variable of this plan")

    def _penalty(self, int at, node):
        cdef Step *step = &self.steps[at]
        step.code = PENALTY
        step.by_one = True
        step.slot = node.attributes["slot"]
        step.in0 = self._address(node.inputs[0])
        dims = node.inputs[0].dims
        step.inputs, step.cols = dims if len(dims) == 2 else (1, node.inputs[0].size)
        step.option, step.factor = node.attributes["l1"], node.attributes["l2"]

    def _penalty_gradient(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, PENALTY_GRADIENT, node)
        step.group = 0
        step.cols = self._elements(node.inputs[1])
        step.option, step.factor = node.attributes["l1"], node.attributes["l2"]

    def _accumulate_gradient(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, ACCUMULATE_GRADIENT, node)
        step.group = 0
        step.cols = self._elements(node.inputs[1])
        step.kind = node.attributes["batches"]

    def _square_sum(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, SQUARE_SUM, node)
        step.by_one = True
        dims = node.inputs[0].dims
        step.inputs, step.cols = dims if len(dims) == 2 else (1, node.inputs[0].size)
        step.option, step.factor = 0, 1
        step.turns = self._turns()

    def _clip(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, CLIP_BY_NORM if node.op.name == "clip_by_norm" else CLIP_BY_VALUE, node)
        step.group = 0
        step.cols = self.plan.placement.bytes(node.output) // self.kernels.itemsize
        step.option = node.attributes["limit"]
        step.turns = self._turns()

    def _decay(self, int at, node):
        cdef Step *step = &self.steps[at]
        step.code = DECAY
        step.out0 = self._address(node.inputs[0])
        step.cols = self._elements(node.inputs[0])
        step.option = node.attributes["weight_decay"]
        step.turns = self._turns()

    def _average(self, int at, node):
        """Of the first input with the second, or the second alone."""
        cdef Step *step = &self.steps[at]
        step.code = AVERAGE if node.op.name == "average" else OVERWRITE
        step.out0, step.in0 = self._address(node.inputs[0]), self._address(node.inputs[1])
        step.cols = self._elements(node.inputs[0])
        if step.code == AVERAGE:
            step.option = node.attributes["momentum"]
        else:
            step.turns, step.frequency = 1, node.attributes["frequency"]

    def _constrain(self, int at, node):
        cdef Step *step = &self.steps[at]
        step.code = CONSTRAIN
        weight = node.inputs[0]
        step.out0 = self._address(weight)
        step.packed = len(weight.dims) == 2
        # The norms of Keras go over the first axis; a vector is one column.
        first, *rest = weight.variable.shape or (1,)
        step.inputs, step.cols = first, prod(rest)
        constraint = node.attributes["constraint"]
        if isinstance(constraint, NormConstraint):
            step.low, step.high, step.factor = constraint.low, constraint.high, constraint.rate
        else:
            step.clip = True  # at zero

    cdef int _turns(self) except -1:
        """Batches that one update is for, as steps of updates have it."""
        return self.plan.optimizer.gradient_accumulation_steps or 0

    def _loss(self, int at, node):
        cdef Step *step = &self.steps[at]
        kind = node.attributes["kind"]
        options = node.attributes["options"]
        if kind == "own_loss":
            self._own_loss(at, node)
            return
        if kind == "array_loss":
            self._in_python(at, node)
            return
        if kind == "ctc":
            self._rows_of_loss(at, CTC, node)
            step.inputs = node.inputs[0].size
            self._need_scratch(self.kernels.ctc_room(step.group, step.inputs))
        elif kind == "circle":
            self._rows_of_loss(at, CIRCLE, node)
            for i, name in enumerate(CIRCLE_OPTIONS):
                step.options[i] = options[name]
            self._need_scratch(self.kernels.circle_room(self.plan.batch_size))
        elif kind in CROSSENTROPIES:
            self._rows_of_loss(at, CROSSENTROPIES[kind], node)
            step.option = options.get("smoothing", 0.0)
            step.clip = options.get("clip", False)
        elif kind in ROW_LOSSES:
            self._rows_of_loss(at, ROW_LOSS, node)
            step.kind, names = ROW_LOSSES[kind]
            for i, name in enumerate(names):
                step.options[i] = options[name]
        else:
            self._rows_of_loss(at, LOSS, node)
            step.kind = LOSSES[kind]
            step.option = options.get("param", 0.0)
        step.by_one = kind in BATCH_LOSSES or kind == "circle"
        step.summed = node.attributes.get("reduction") == "sum"
        step.factor = node.attributes.get("loss_weight", 1.0)

    def _own_activation(self, int at, node):
        cdef Step *step = &self.steps[at]
        if not self._have_loops(at, node.attributes["function"]):
            self._in_python(at, node)
            return
        gradient = node.op.name == "own_activation_gradient"
        self._plain(at, OWN_ACTIVATION_GRADIENT if gradient else OWN_ACTIVATION, node)
        step.cols = node.output.size

    def _own_loss(self, int at, node):
        cdef Step *step = &self.steps[at]
        if not self._have_loops(at, node.attributes["options"]["function"]):
            self._in_python(at, node)
            return
        self._rows_of_loss(at, OWN_LOSS, node)
        step.summed = node.attributes["reduction"] == "sum"
        step.factor = node.attributes["loss_weight"]
        self._need_scratch(max(OWN_LOSS_BLOCK, step.cols) * self.kernels.itemsize)

    def _have_loops(self, int at, function):
        """Whether a function of the user's own is compiled; then the step has its loops."""
        cdef Step *step = &self.steps[at]
        loops = function.loops(self.plan.dtype)
        self._loops.append(loops)
        step.value = <void *> <size_t> loops.value.address
        step.gradient = <void *> <size_t> loops.gradient.address
        return loops.compiled

    def _in_python(self, int at, node):
        """A step that takes the GIL."""
        cdef Step *step = &self.steps[at]
        if self._python is None:
            self._python = PythonSteps(self.plan, _Memory(self.arena))
        step.code = PYTHON
        step.by_one = True
        step.check = True
        step.group = 1
        step.node = <void *> node  # which the plan keeps

    def _metric(self, int at, node):
        cdef Step *step = &self.steps[at]
        kind = node.attributes["kind"]
        if kind not in METRICS:
            self._loss(at, node)
            return
        self._rows_of_loss(at, METRIC, node)
        step.kind = METRICS[kind]
        step.option = node.attributes["options"].get("param", 0.0)

    def _rows_of_loss(self, int at, int code, node):
        cdef Step *step = &self.steps[at]
        y_true, y_pred = node.inputs[:2]
        self._plain(at, code, node)
        step.sparse = y_true.dtype == "int32"
        step.group = y_pred.group
        step.cols = y_pred.dims[-1]
        if len(node.outputs) > 1:
            step.out1 = self._address(node.outputs[1])
        if len(node.outputs) > 2:
            step.out2 = self._address(node.outputs[2])

    def _accumulate(self, int at, node):
        cdef Step *step = &self.steps[at]
        step.code = ACCUMULATE
        step.by_one = True
        step.slot = node.attributes["slot"]
        step.summed = node.attributes["reduction"] == "sum"
        # A network's step has looked already, and left out what is not finite.
        step.check = node.attributes["check"] and not self._network.depth
        step.in0 = self._address(node.inputs[0])
        step.group = node.inputs[0].size

    def _elementwise(self, int at, node):
        cdef Step *step = &self.steps[at]
        gradient = node.op.name.endswith("_gradient")
        self._plain(at, ACTIVATION_GRADIENT if gradient else ACTIVATION, node)
        step.kind = ACTIVATIONS[node.op.name.removesuffix("_gradient")]
        step.option = node.attributes["alpha"]
        step.cols = node.output.size

    def _dropout(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, DROPOUT, node)
        step.option = node.attributes["rate"]
        step.seed = <uint64_t> node.attributes["seed"]
        step.cols = node.output.size

    def _alpha_dropout(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._dropout(at, node)
        step.code = ALPHA_DROPOUT
        line = alpha_dropout_line(node.attributes["rate"])
        step.factor = line[0]
        if node.op.name == "alpha_dropout":
            step.offset, step.dropped = line[1:]

    def _gaussian(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, GAUSSIAN, node)
        step.kind = node.op.name == "gaussian_dropout"
        step.option = node.attributes["stddev"]
        step.seed = <uint64_t> node.attributes["seed"]
        step.cols = node.output.size

    def _prelu(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, PRELU if node.op.name == "prelu" else PRELU_GRADIENT, node)
        step.group, step.cols = node.output.group, node.output.dims[-1]

    def _prelu_alpha_gradient(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, PRELU_ALPHA_GRADIENT, node)
        step.group, step.cols = node.inputs[0].group, node.inputs[0].dims[-1]

    def _column_moments(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, COLUMN_MOMENTS, node)
        step.group, step.cols = node.inputs[0].group, node.inputs[0].dims[-1]
        step.out1 = self._address(node.outputs[1])

    def _normalization(self, int at, node):
        """Forwards and back; where its arrays go stands with Step."""
        cdef Step *step = &self.steps[at]
        options = node.attributes
        values = list(node.inputs)
        self._plain(at, NORMALIZATIONS[node.op.name], node)
        step.in1 = step.in2 = NULL
        step.group, step.cols = values[0].group, values.pop(0).dims[-1]
        step.option = options.get("epsilon", 0.0)
        step.centered = options.get("centered", True)
        if "gradient" in node.op.name:
            step.in1 = self._address(values.pop(0))
        saved = node.outputs[1:] if node.op.name == "layer_norm" else (values.pop(0), values.pop(0))
        for i, value in enumerate(saved):
            step.state[i] = self._address(value)
        if options.get("scale"):
            step.state[2] = self._address(values.pop(0))
        if values:
            step.in2 = self._address(values.pop())
        if values:
            step.out1 = self._address(values.pop())

    def _moving_average(self, int at, node):
        cdef Step *step = &self.steps[at]
        average, value = node.inputs
        step.code = MOVING_AVERAGE
        step.in0, step.out0 = self._address(value), self._address(average)
        step.cols = self._elements(average)
        step.option = node.attributes["momentum"]

    def _merge(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, MERGE, node)
        step.kind = MERGES[node.op.name]
        step.cols = node.output.size
        if not node.output.batched:
            step.group = 0
            step.cols = self.plan.placement.bytes(node.output) // self.kernels.itemsize

    def _choice_gradient(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, CHOICE_GRADIENT, node)
        step.kind = MERGES[node.op.name.removesuffix("_gradient")]
        step.cols = node.output.size

    def _scale(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, SCALE, node)
        step.factor, step.option = node.attributes["factor"], node.attributes["offset"]
        step.cols = node.output.size

    def _concatenate(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, CONCATENATE, node)
        step.group = node.output.group
        step.inputs, step.cols = node.inputs[0].dims[-1], node.output.dims[-1]

    def _columns(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, COLUMNS, node)
        step.group = node.output.group
        step.inputs, step.cols = node.inputs[0].dims[-1], node.output.dims[-1]
        step.slot = node.attributes["first"]

    def _indices(self, int at, node):
        self._plain(at, INDICES, node)
        self._read_one_by_one(at, node.inputs[0].dims, range(len(node.inputs[0].dims)))

    def _permute(self, int at, node):
        self._plain(at, PERMUTE, node)
        self._read_one_by_one(at, node.inputs[0].dims, node.attributes["axes"])

    cdef _read_one_by_one(self, int at, dims, axes):
        """How a step finds the numbers of its examples, their axes being taken in this order."""
        cdef Step *step = &self.steps[at]
        item = self.kernels.itemsize
        strides = [item * prod(dims[axis + 1 :]) for axis in range(len(dims))]
        moved = [(dims[axis], strides[axis]) for axis in axes]
        step.cols = prod(dims)
        step.source.data = step.in0
        step.source.dtype = HL_F64 if item == 8 else HL_F32
        step.source.row_stride = step.cols * item
        set_dims(&step.source, moved, item)

    def _lookup(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, LOOKUP, node)
        step.group = node.inputs[0].size
        step.inputs, step.cols = node.inputs[1].dims

    def _lookup_gradient(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, LOOKUP_GRADIENT, node)
        step.group = node.inputs[1].size
        step.inputs, step.cols = node.output.dims

    def _encode(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, ENCODE, node)
        step.kind = node.attributes["counts"]
        step.group = node.output.group
        step.inputs, step.cols = node.inputs[0].dims[-1], node.output.dims[-1]

    def _steps(self, int at, node):
        """Between examples of rows and examples of as many times as many steps."""
        cdef Step *step = &self.steps[at]
        self._plain(at, STEPS[node.op.name], node)
        several = node.output if step.code in (REPEAT_STEPS, MAX_STEPS_GRADIENT) else node.inputs[0]
        step.inputs, step.cols = several.dims[-2:]
        step.group = prod(several.dims[:-2])

    def _row_products(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, ROW_PRODUCTS, node)
        step.inputs, step.cols = node.inputs[0].dims[-1], node.output.size
        step.slot = node.output.dims[-1]

    def _standardize(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, STANDARDIZE, node)
        if node.op.name == "standardize_gradient":
            step.in1, step.in2 = NULL, step.in1
        step.kind = node.attributes["invert"]
        step.inputs, run = node.output.dims[-2:]
        step.cols = step.inputs * run
        step.group = prod(node.output.dims[:-2])

    def _rowwise(self, int at, node):
        cdef Step *step = &self.steps[at]
        self._plain(at, ROWWISE[node.op.name], node)
        step.group = node.output.group
        step.cols = node.output.dims[-1]

    def _glu(self, int at, node):
        cdef Step *step = &self.steps[at]
        gradient = node.op.name == "glu_gradient"
        self._plain(at, GLU_GRADIENT if gradient else GLU, node)
        step.group = node.output.group
        step.cols = node.inputs[0].dims[-1] if gradient else node.output.dims[-1]

    def _plain(self, int at, int code, node):
        """A step that reads its node's inputs in order and writes its first output."""
        cdef Step *step = &self.steps[at]
        step.code = code
        step.group = 1
        step.in0 = self._address(node.inputs[0])
        if len(node.inputs) > 1:
            step.in1 = self._address(node.inputs[1])
        if len(node.inputs) > 2:
            step.in2 = self._address(node.inputs[2])
        if node.outputs:
            step.out0 = self._address(node.output)

    # -- running ----------------------------------------------------------------

    cpdef int threads(self):
        """How many threads a run has that finds the pool free."""
        if self._network.depth:  # trained in one step, which one thread does
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
        int64_t[:, :, ::1] clock=None,
    ):
        """Runs up to `count` batches from batch number `first` on; see Interpreter.run."""
        cdef Run run
        cdef _Sources sources
        cdef double hyper[HL_MAX_HYPER]
        cdef double batch_sums[2][MAX_SLOTS]
        cdef char *destinations[MAX_OUTPUTS]
        cdef int n_threads, i
        if count <= 0:
            return 0, True
        for variable, packed in self._packed:
            if not variable.is_packed_as(packed):
                self._lower()
                break
        sources = _Sources(feed.arrays)
        self._check_sources(sources, feed.rows)
        memset(&run, 0, sizeof(Run))
        run.steps = self.steps
        run.n_steps = self.n_steps if outputs is not None else self.n_steps_without_outputs
        if self._network.depth:
            run.network = &self.steps[self._network_step]
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
            run.batches[i].sums = batch_sums[i]
            run.batches[i].python = <void *> self._python
        run.epoch_rows = feed.rows
        if feed.order is not None:
            run.order = <const int64_t *> numbers_of(feed.order, 8, PyBUF_C_CONTIGUOUS)
            run.ahead.sources = sources.sources
            run.ahead.row_bytes = sources.row_bytes
            run.ahead.n_sources = len(feed.arrays)
            run.ahead.lines_per_flop = (
                sources.far_lines * run.batch_size / <double> max(self._asking_flops, 1)
            )
        run.epoch_batches = (run.epoch_rows + run.batch_size - 1) // run.batch_size
        run.first_batch = first
        run.count = count
        run.n_slots = len(self.plan.slots)
        if run.n_slots:
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
            run.iteration = optimizer.iterations
            run.rule = <hl_optimizer> UPDATES[optimizer.op]
            for i, value in enumerate(optimizer.hyper().values()):
                hyper[i] = value
            run.hyper = hyper
            run.powers = self._powers
        if outputs is not None:
            for i, out in enumerate(outputs):
                destinations[i] = <char *> numbers_of(
                    out, self.kernels.itemsize, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE
                )
            for i in range(2):
                run.batches[i].outputs = destinations
                run.batches[i].outputs_first = outputs_first

        n_threads = self.threads()
        if clock is not None:
            if clock.shape[0] < n_threads or clock.shape[1] != run.n_steps or clock.shape[2] != 2:
                raise ValueError("clock must have the shape (threads, steps, 2)")
            run.clock = &clock[0, 0, 0]
        run.scratch_bytes = self._scratch_bytes
        run.address_bytes = self._n_addresses * sizeof(void *)
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
        if optimizer is not None:
            # Here and not in the caller, and past the optimizer's own `__setattr__`: a Ctrl-C is
            # raised as soon as this function returns, or calls one of Python's.
            object.__setattr__(optimizer, "iterations", run.iteration + run.done)
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
            if size != self.steps[i].cols:
                raise ValueError(
                    f"the plan reads rows of shape {self.plan.feeds[i].dims} from array {i} of the "
                    f"feed, whose shape is {sources.arrays[i].shape}"
                )

    cdef _read_in_place(self, Run *run, _Sources sources):
        """Spares the products' rows the gathering, if the user's array is as the core wants it."""
        cdef Step *step
        cdef bint possible = self._in_place >= 0 and sources.is_plain(self._in_place, self.kernels)
        cdef ptrdiff_t panels
        cdef int i
        run.not_gathered = self._in_place if possible else -1
        if run.not_gathered != self._not_gathered:
            self._set_waits(run.not_gathered)
        for i in range(self.n_steps):
            step = &self.steps[i]
            step.in_place = (
                possible
                and step.code in (DENSE, WEIGHT_GRADIENT, WEIGHT_UPDATE)
                and step.in0 == self.steps[self._in_place].out0
            )
            if step.in_place:
                run.in_place = &sources.sources[self._in_place]
                run.pieces = step.group
                run.piece_bytes = step.inputs * self.kernels.itemsize
                panels = (step.cols + self.kernels.nr - 1) // self.kernels.nr
                if run.panels == 0 or panels < run.panels:
                    run.panels = panels
                    run.parts = self._parts(step)


# Steps whose threads divide panels, tiles, columns or weights.
_SHARED_OUT_OTHERWISE = frozenset(
    {
        INPUT_GRADIENT,
        WEIGHT_GRADIENT,
        WEIGHT_UPDATE,
        BIAS_GRADIENT,
        BIAS_UPDATE,
        COLUMN_MOMENTS,
        NORMALIZE_SCALE_GRADIENT,
        LAYER_NORM_SCALE_GRADIENT,
        PRELU_ALPHA_GRADIENT,
        LOOKUP_GRADIENT,
        ACCUMULATE,
        PENALTY,
        NETWORK,
        PYTHON,
    }
)

# Ops whose first input may stand row by row anywhere.
_PRODUCTS = frozenset({"dense", "matmul", "weight_gradient", "weight_gradient_update"})

_LOWER = {
    "accumulate": Executor._accumulate,
    "accumulate_gradient": Executor._accumulate_gradient,
    "add_bias": Executor._add_bias,
    "average": Executor._average,
    "bias_gradient": Executor._bias_gradient,
    "bias_gradient_update": Executor._bias_gradient,
    "clip_by_norm": Executor._clip,
    "clip_by_value": Executor._clip,
    "alpha_dropout": Executor._alpha_dropout,
    "alpha_dropout_gradient": Executor._alpha_dropout,
    "column_moments": Executor._column_moments,
    "columns": Executor._columns,
    "concatenate": Executor._concatenate,
    "constrain": Executor._constrain,
    "decay": Executor._decay,
    "dense": Executor._dense,
    "dropout": Executor._dropout,
    "gaussian_dropout": Executor._gaussian,
    "gaussian_noise": Executor._gaussian,
    "glu": Executor._glu,
    "glu_gradient": Executor._glu,
    "encode": Executor._encode,
    "indices": Executor._indices,
    "input_gradient": Executor._input_gradient,
    "lookup": Executor._lookup,
    "lookup_gradient": Executor._lookup_gradient,
    "lambda": Executor._in_python,
    "lambda_gradient": Executor._in_python,
    "loss": Executor._loss,
    "maximum_gradient": Executor._choice_gradient,
    "minimum_gradient": Executor._choice_gradient,
    "matmul": Executor._dense,
    "metric": Executor._metric,
    "moving_average_update": Executor._moving_average,
    "network_update": Executor._network_update,
    "overwrite": Executor._average,
    "own_activation": Executor._own_activation,
    "own_activation_gradient": Executor._own_activation,
    "penalty": Executor._penalty,
    "penalty_gradient": Executor._penalty_gradient,
    "prelu": Executor._prelu,
    "prelu_alpha_gradient": Executor._prelu_alpha_gradient,
    "prelu_gradient": Executor._prelu,
    "scale": Executor._scale,
    "square_sum": Executor._square_sum,
    "permute": Executor._permute,
    "row_products": Executor._row_products,
    "standardize": Executor._standardize,
    "standardize_gradient": Executor._standardize,
    "update": Executor._update,
    "whole_update": Executor._whole_update,
    "weight_gradient": Executor._weight_gradient,
    "weight_gradient_update": Executor._weight_gradient,
}
_LOWER |= dict.fromkeys(MERGES, Executor._merge)
_LOWER |= dict.fromkeys(NORMALIZATIONS, Executor._normalization)
_LOWER |= dict.fromkeys(ROWWISE, Executor._rowwise)
_LOWER |= dict.fromkeys(STEPS, Executor._steps)
_LOWER |= dict.fromkeys(
    (name + suffix for name in ACTIVATIONS for suffix in ("", "_gradient")), Executor._elementwise
)
