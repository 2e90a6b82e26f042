"""A step of a plan, what the steps of a batch share, and how they are made."""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy

from .csrc cimport (
    HL_F32,
    HL_MAX_HYPER,
    hl_dtype,
    hl_kernels,
    hl_network,
    hl_powers,
    hl_source,
)
from .runtime cimport Buffer
from .worker cimport Worker, share


# How a team's threads divide a step. Each does consecutive ones.
cdef enum hl_share:
    HL_BY_EXAMPLE  # of the batch
    HL_BY_ROW  # of these examples; the args then speak of one row as of an example
    HL_BY_COLUMN  # each over all rows of the batch
    HL_BY_ELEMENT  # of an array that has no batch
    HL_BY_ONE  # thread 0 does all of it
    HL_BY_ALL  # all threads walk it, and it divides itself: panels, tiles, stages


cdef struct hl_gather_args:
    int source  # which of the user's arrays
    ptrdiff_t size
    char *out  # numbers of the core, int32_t or uint8_t


# The rows of a product's first matrix. They may stand in the user's own array instead.
cdef struct hl_rows:
    const char *data
    int in_place
    ptrdiff_t rows, cols
    ptrdiff_t row  # elements from one to the next, as of all that may be a window
    ptrdiff_t panels  # of the weight that they meet
    ptrdiff_t parts  # that the sums over the columns are cut into


cdef struct hl_network_args:
    hl_network network
    const char *x
    const char *y_true
    const int32_t *label
    const char *weight
    char *values
    char *y_pred
    char *room


# What the steps of one batch share.
cdef struct Batch:
    const hl_kernels *kernels
    const hl_source *sources
    const int64_t *order
    ptrdiff_t first  # position of its first row in the epoch
    ptrdiff_t rows
    # Batches that those rows are: several where a small network is trained in one step. A loss
    # that is not finite makes it fewer.
    ptrdiff_t count
    ptrdiff_t size  # rows of one, but for the last of an epoch
    int64_t iteration  # batches done before
    int64_t updates  # of the weights, done before
    const double *hyper
    hl_powers *powers
    double h[HL_MAX_HYPER]
    double learning_rate
    double *sums
    bint *finite  # set to False by a loss that is not
    const int64_t *next_order  # of the batch after it; NULL if there is none or it is in order
    ptrdiff_t next_rows
    char **outputs  # where the plan's outputs go, for position outputs_first on
    ptrdiff_t outputs_first
    void *python  # does the steps that only Python can do
    bint last  # the run ends with it; known when it is done, so that it stands behind the others


# Does a thread's share of a step: n of what the threads divide, from `first` on. args is the
# struct of the step's op.
ctypedef void (*Run)(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                     Worker *worker) noexcept nogil


# Room for the args of a step: the largest, but for those of a network, take 180 bytes.
cdef enum:
    ARGS_BYTES = 256


# Batches of fewer examples are divided by rows where an op allows it: so many, on two threads or
# four, come out nearly even by themselves, and steps that are all cut alike need no waits.
cdef enum:
    FEW_EXAMPLES = 16


cdef struct Step:
    Run run
    void *args
    hl_share share
    ptrdiff_t length  # the columns or elements that threads divide, or an example's rows
    bint wait  # for the whole team before this step
    bint verdict  # after that wait it is known whether the loss is finite
    int turns  # done only at each so many-th batch; 0: at every one
    int frequency  # and only at each so many-th update
    hl_rows *rows  # those in args that may stand in the user's array; NULL: none
    const hl_kernels *kernels  # if others than the batch's
    bint once  # not for each example: it is of what has no batch


cdef inline void do_step(const Step *step, Batch *batch, Worker *worker,
                         Worker *alone) noexcept nogil:
    """A worker's share of a step; `alone` is the same worker as a team of one."""
    cdef ptrdiff_t length, first, n
    cdef Batch other
    if step.once or step.kernels != NULL:
        # Not what comes last, which another thread may write by now.
        memcpy(&other, batch, <char *> &batch.last - <char *> batch)
        if step.once:
            other.rows = 1
        if step.kernels != NULL:
            other.kernels = step.kernels
        batch = &other
    length = batch.rows
    if step.share == HL_BY_ALL:
        step.run(step.args, 0, length, batch, worker)
    elif step.share == HL_BY_ONE:
        if worker.number == 0:
            step.run(step.args, 0, length, batch, alone)
    else:
        if step.share == HL_BY_ROW:
            length *= step.length
        elif step.share != HL_BY_EXAMPLE:
            length = step.length
        first = share(length, worker.number, worker.n_workers)
        n = share(length, worker.number + 1, worker.n_workers) - first
        if n:
            step.run(step.args, first, n, batch, worker)


cdef class Operand:
    """An array that a step reads or writes."""

    cdef char *data  # NULL: there is none, or nobody reads it
    cdef tuple dims  # of one example if batched
    cdef bint batched
    cdef hl_dtype dtype
    cdef ptrdiff_t itemsize
    cdef int row_axes  # the leading axes that are the rows of a packed matrix
    cdef bint packed  # a matrix in panels, not row after row
    cdef object variable
    # As dims say. Rows are those of a packed matrix, or of the last axis.
    cdef ptrdiff_t size, rows, cols
    cdef ptrdiff_t row  # elements from one row to the next: more than cols, of a window
    cdef ptrdiff_t stored  # elements in memory of what has no batch, padding included


cdef Operand operand(char *data, tuple dims, bint batched, hl_dtype dtype=*, int row_axes=*)


cdef class Lowering:
    """Makes steps, one after the other, and knows what they have in common."""

    cdef const hl_kernels *kernels
    cdef str dtype
    cdef ptrdiff_t examples  # of a batch, at most
    cdef object optimizer
    cdef Buffer block  # of all args
    cdef size_t used
    # Of all steps so far.
    cdef size_t scratch_bytes  # that each thread needs
    cdef ptrdiff_t n_addresses  # of rows
    cdef list rooms  # memory, and loops of the user's functions, that steps have addresses of
    cdef set read_by_all  # addresses of weights that any thread may have read in this batch
    cdef ptrdiff_t asking_flops  # of products that ask for the next rows meanwhile, an example
    cdef int64_t update_flops  # of weights that no product updates
    cdef hl_network_args *network  # of the step that trains a small network; NULL: none
    # Of the step that is made.
    cdef Step *step
    cdef str name
    cdef object node
    # Into how many pieces threads cut each example that they read or write, so that each meets only
    # its own ones; 0: it meets those of others.
    cdef ptrdiff_t reads_apart, writes_apart
    cdef bint decides  # whether the loss is finite, or the run goes on
    cdef bint in_python

    cdef begin(self, Step *step, str name, node)
    cdef void *fill(self, Run run, hl_share divided, size_t size) except NULL
    cdef char *room(self, size_t size) except NULL
    cdef void need_scratch(self, size_t size) noexcept
    cdef ptrdiff_t apart(self, ptrdiff_t rows) noexcept
    cdef int turns(self) except -1
