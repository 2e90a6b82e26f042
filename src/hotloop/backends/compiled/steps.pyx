# cython: language_level=3, freethreading_compatible=True, cdivision=True
"""Every step: how it is run, and how it is made of operands and attributes.

For each op, or family of ops with the very same arguments, a struct of these args and two functions
stand side by side in `families`. One reads the args and does a thread's share of the step; the
other, the op's lowering, fills them and says how threads share the step. Whole plans and single
calls are made by the same lowering: it is given `Operand`s, from addresses in an arena or from
NumPy arrays.

Addresses in args are those of a batch's first example; NULL where there is nothing, or nobody reads
it. `rows` are rows of one example, `cols` what one row has, `size` what one example has.
"""

from libc.math cimport isfinite, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from math import prod

import numpy as np

from ...constraints import NormConstraint
from ..movements import places
from ..numpy import alpha_dropout_line
from .instructions import Kinds, instructions

from . cimport csrc
from .csrc cimport *
from .matmul cimport (
    ROWS_AT_ONCE,
    Matrices,
    Update,
    addresses_of,
    dense_forward,
    input_gradient,
    matrices,
    moved,
    panel_width,
    partial_bytes,
    parts_of,
    products,
    rows_at_once,
    shares_rows,
    weight_gradient,
)
from .matmul cimport product_scratch_bytes as products_scratch
from .matmul cimport scratch_bytes as product_scratch
from .runtime cimport (
    barrier,
    copy_panels,
    flush_denormals,
    gather_booleans,
    gather_labels,
    gather_masks,
    kernels_of,
    random_bits,
    restore_denormals,
    set_dims,
    sum_of,
)
from .worker cimport Worker, share

# The lowering of each op that the core has, by the op's name.
LOWERINGS = {}
# The arrays of those that are called by themselves too: name, marks and axes. ? may be None; ! is
# packed, as weights are; # has int32. * stands for any axes, whose rows are the batch; a letter for
# one axis. An array without * has no batch.
ARRAYS = {}


def lowers(*names, arrays=None):
    """Registers a function (to, inputs, outputs, attributes) as the lowering of these ops.

    Inputs and outputs are operands in the order of the graph's values, those at the end that
    there are not left out. The function fills one step of `to`, a Lowering. With arrays, single
    calls of these ops are made by it too.
    """

    def register(function):
        LOWERINGS.update(dict.fromkeys(names, function))
        if arrays is not None:
            ARRAYS.update(dict.fromkeys(names, arrays))
        return function

    return register


cdef Operand operand(char *data, tuple dims, bint batched, hl_dtype dtype=HL_F32,
                     int row_axes=0):
    """An array row after row, or a packed matrix whose rows are so many axes."""
    cdef Operand made = Operand.__new__(Operand)
    cdef ptrdiff_t n
    cdef int i, rank = len(dims)
    made.data, made.dims, made.batched, made.dtype = data, dims, batched, dtype
    made.itemsize = 8 if dtype == HL_F64 else 1 if dtype in (HL_U8, HL_BOOL) else 4
    made.row_axes, made.packed = row_axes, row_axes > 0
    made.rows = made.cols = 1
    for i in range(rank):
        n = dims[i]
        if i < (row_axes or rank - 1):
            made.rows *= n
        else:
            made.cols *= n
    made.size = made.stored = made.rows * made.cols
    made.row = made.cols
    return made


# What there is not.
cdef Operand NOTHING = operand(NULL, (), False)


cdef Operand _of(list operands, Py_ssize_t i):
    """One of these operands, or nothing."""
    return operands[i] if i < len(operands) else NOTHING


cdef class Lowering:

    def __cinit__(self):
        self.rooms = []
        self.read_by_all = set()
        self.n_addresses = 1

    cdef begin(self, Step *step, str name, node):
        """From now on this step is made, of an op with this name."""
        self.step, self.name, self.node = step, name, node
        self.decides = self.in_python = False

    cdef void *fill(self, Run run, hl_share divided, size_t size) except NULL:
        """Says how the step is run; returns its args, all zero."""
        cdef char *args = self.block.data + self.used
        self.used += (size + 15) // 16 * 16
        if self.used > self.block.size:
            raise MemoryError("a plan's steps have more arguments than there is room for")
        self.step.run, self.step.share, self.step.args = run, divided, args
        self.reads_apart = self.writes_apart = divided == HL_BY_EXAMPLE
        return args

    cdef char *room(self, size_t size) except NULL:
        """Memory that the step has for itself."""
        cdef Buffer room = Buffer(size)
        self.rooms.append(room)
        return room.data

    cdef void need_scratch(self, size_t size) noexcept:
        self.scratch_bytes = max(self.scratch_bytes, size)

    cdef ptrdiff_t apart(self, ptrdiff_t rows) noexcept:
        """Lets threads divide the rows of few examples; returns the rows of what they divide.

        For steps by example whose args have an example's rows in that one place.
        """
        if rows == 1 or self.examples >= FEW_EXAMPLES:
            return rows
        self.step.share, self.step.length = HL_BY_ROW, rows
        self.reads_apart = self.writes_apart = rows
        return 1

    cdef int turns(self) except -1:
        """Batches that one update is for, as steps of updates have it."""
        return 0 if self.optimizer is None else self.optimizer.gradient_accumulation_steps or 0


include "families/data.pxi"
include "families/dense.pxi"
include "families/elementwise.pxi"
include "families/programs.pxi"
include "families/random.pxi"
include "families/rows.pxi"
include "families/normalization.pxi"
include "families/indices.pxi"
include "families/shapes.pxi"
include "families/movements.pxi"
include "families/losses.pxi"
include "families/updates.pxi"
include "families/network.pxi"
include "families/python.pxi"
