# The user's arrays, from which batches are gathered.

# Arrays up to this size stay in the second-level cache from one epoch to the next.
cdef ptrdiff_t NEAR_BYTES = 256 * 1024

# What NumPy calls numbers in memory -> what the gather kernels call them, and whether their bytes
# are to be swapped.
_NATIVE = "|<" if sys.byteorder == "little" else "|>"
_SOURCE_DTYPES = {
    order + kind: (dtype, order not in _NATIVE) for kind, dtype in DTYPES.items() for order in "|<>"
}


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
