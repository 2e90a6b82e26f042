# cython: language_level=3, freethreading_compatible=True
"""The one module that links the C core: kernel tables, threads, and memory.

The other modules reach C through the functions declared here, so that there is one pool
of threads and one choice of instruction set.
"""

import os
import threading

from ...forks import kept_over_forks

cimport cython

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from .csrc cimport (
    HL_F32,
    HL_F64,
    HL_MAX_RANK,
    hl_cpu_count,
    hl_cpu_name,
    hl_flush_denormals,
    hl_gather_booleans,
    hl_gather_labels,
    hl_gather_masks,
    hl_isa_available,
    hl_kernels,
    hl_kernels_for,
    hl_optimizer_prepare,
    hl_pool_run,
    hl_pool_size,
    hl_random_bits,
    hl_random_order,
    hl_restore_denormals,
    hl_sum,
    hl_team_barrier,
)
from .matmul cimport padded

cdef extern from *:
    """
    #include <sys/mman.h>
    static void use_huge_pages(void *start, size_t size) {
    #ifdef MADV_HUGEPAGE
        madvise(start, size, MADV_HUGEPAGE); /* advice: it may fail */
    #else
        (void)start, (void)size;
    #endif
    }
    """
    void use_huge_pages(void *start, size_t size) noexcept nogil

cdef extern from *:
    """
    #ifdef __SANITIZE_ADDRESS__
    #include <sanitizer/asan_interface.h>
    #define HL_RED_ZONE 64
    #define hl_poison(start, size) __asan_poison_memory_region((start), (size))
    #else
    #define HL_RED_ZONE 0
    #define hl_poison(start, size) ((void)(start), (void)(size))
    #endif
    """
    const size_t HL_RED_ZONE
    void hl_poison(void *start, size_t size) noexcept nogil

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void **pointer, size_t alignment, size_t size)


cdef const hl_kernels *_f32 = NULL
cdef const hl_kernels *_f64 = NULL


def isa_available():
    """Names of the instruction sets that are compiled in and run here, best first."""
    cdef const char *const *name = hl_isa_available()
    names = []
    while name[0] != NULL:
        names.append((<bytes> name[0]).decode())
        name += 1
    return tuple(names)


def _select_isa(wanted):
    """Takes the kernels of the instruction set `wanted`, the best one if it is empty."""
    global _f32, _f64
    names = isa_available()
    if wanted and wanted not in names:
        raise ValueError(
            f"HOTLOOP_ISA={wanted!r} cannot be used: this build and CPU have {', '.join(names)}"
        )
    name = (wanted or names[0]).encode()
    _f32 = hl_kernels_for(name, HL_F32)
    _f64 = hl_kernels_for(name, HL_F64)


_select_isa(os.environ.get("HOTLOOP_ISA", ""))


def isa():
    """The instruction set in use."""
    return (<bytes> _f32.isa).decode()


def cpu_name():
    """What the CPU calls itself."""
    return (<bytes> hl_cpu_name()).decode("utf-8", "replace")


def cpu_count():
    """Cores that this process may use."""
    return hl_cpu_count()


def pool_size():
    """Threads that the pool holds, besides the caller's."""
    return hl_pool_size()


cdef const hl_kernels *kernels_of(bint double_precision) noexcept nogil:
    return _f64 if double_precision else _f32


cdef void run_on_team(hl_task task, void *argument, int n_threads) noexcept nogil:
    hl_pool_run(task, argument, n_threads)


cdef void barrier(hl_team *team) noexcept nogil:
    hl_team_barrier(team)


cdef void gather_labels(const hl_source *source, const int64_t *order, ptrdiff_t first,
                        ptrdiff_t n, int32_t *out) noexcept nogil:
    hl_gather_labels(source, order, first, n, out)


cdef void gather_masks(const hl_source *source, const int64_t *order, ptrdiff_t first,
                       ptrdiff_t n, uint8_t *out) noexcept nogil:
    hl_gather_masks(source, order, first, n, out)


cdef void gather_booleans(const hl_source *source, const int64_t *order, ptrdiff_t first,
                          ptrdiff_t n, uint8_t *out) noexcept nogil:
    hl_gather_booleans(source, order, first, n, out)


cdef double sum_of(const void *x, int itemsize, ptrdiff_t n) noexcept nogil:
    return hl_sum(x, itemsize, n)


cdef uint64_t flush_denormals() noexcept nogil:
    return hl_flush_denormals()


cdef void restore_denormals(uint64_t before) noexcept nogil:
    hl_restore_denormals(before)


cdef void prepare_update(hl_optimizer kind, const double *hyper, int64_t iteration,
                         hl_powers *kept, double *h) noexcept nogil:
    hl_optimizer_prepare(kind, hyper, iteration, kept, h)


cdef void random_order(uint64_t key, int64_t n, int64_t *order) noexcept nogil:
    hl_random_order(key, n, order)


cdef uint64_t random_bits(uint64_t key, uint64_t index) noexcept nogil:
    return hl_random_bits(key, index)


cdef void *numbers_of(array, Py_ssize_t itemsize, int flags) except? NULL:
    """Where an array's numbers stand; the caller keeps it. Quicker than a typed memoryview."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, flags)
    PyBuffer_Release(&view)
    if view.itemsize != itemsize:
        raise ValueError(f"expected numbers of {itemsize} bytes, not of {view.itemsize}")
    return view.buf


cdef set_dims(hl_source *source, axes, ptrdiff_t itemsize):
    """The axes of a row, as (length, stride); those that it does not need are left out."""
    cdef ptrdiff_t dim, stride
    source.rank = 0
    for dim, stride in axes:
        if dim == 1:
            continue
        if source.rank and source.stride[source.rank - 1] == dim * stride:
            source.dim[source.rank - 1] *= dim
            source.stride[source.rank - 1] = stride
            continue
        if source.rank == HL_MAX_RANK:
            raise ValueError(
                f"an array with {len(axes) + 1} axes is too scattered; make it contiguous"
            )
        source.dim[source.rank], source.stride[source.rank] = dim, stride
        source.rank += 1
    if source.rank == 0:
        source.rank, source.dim[0], source.stride[0] = 1, 1, itemsize


# Buffers from this size on share huge pages: a second-level cache holds less of what stands on
# pages that are scattered over physical memory, and each access costs a longer look-up.
cdef size_t LARGE = 32 * 1024
cdef size_t HUGE_PAGE = 2 * 1024 * 1024


cdef class Chunk:
    """Whole huge pages, where the system has them, that buffers take pieces of."""

    def __cinit__(self, size_t size):
        self.size = (size + HUGE_PAGE - 1) // HUGE_PAGE * HUGE_PAGE
        self.used = 0
        if posix_memalign(<void **> &self.data, HUGE_PAGE, self.size) != 0:
            self.data = NULL
            raise MemoryError(f"cannot allocate {size} bytes")
        use_huge_pages(self.data, self.size)

    def __dealloc__(self):
        free(self.data)


cdef Chunk _chunk = None
# A thread may come back while it holds this: an allocation may collect garbage, and run a __del__.
_chunk_lock = kept_over_forks(threading.RLock())


# Under AddressSanitizer, bytes that nobody may touch lie behind each piece of memory; else there
# are none, and what is said of them here costs nothing.
red_zone = HL_RED_ZONE


cdef size_t spaced(size_t size) noexcept nogil:
    """What a piece of `size` bytes takes of a row of them, each beginning on a cache line."""
    return (size + 63) // 64 * 64 + HL_RED_ZONE


cdef void forbid(char *start, size_t size) noexcept nogil:
    """Nobody may touch these bytes."""
    if HL_RED_ZONE:
        hl_poison(start, size)


cdef void forbid_between(char *pieces, size_t size, int count) noexcept nogil:
    """Nobody may touch what lies behind each of so many pieces that are `spaced`."""
    cdef int i
    for i in range(count if HL_RED_ZONE else 0):
        forbid(pieces + i * spaced(size) + size, spaced(size) - size)


@cython.no_gc  # a chunk refers to nothing; and a collector would clear `chunk` before its use
cdef class Buffer:
    """Bytes that begin on a cache line, zero at first."""

    def __cinit__(self, size_t size):
        self.size = size
        size = max(size, 1)
        if not HL_RED_ZONE:
            size = (size + 63) // 64 * 64
        if size >= LARGE and not HL_RED_ZONE:
            self._take(size)
        elif posix_memalign(<void **> &self.data, 64, size) != 0:
            self.data = NULL
            raise MemoryError(f"cannot allocate {size} bytes")
        memset(self.data, 0, size)

    def __dealloc__(self):
        if self.chunk is None:
            free(self.data)

    cdef _take(self, size_t size):
        """A chunk of its own, or a piece of the current one, or of a new one."""
        global _chunk
        if size > HUGE_PAGE // 2:
            self.chunk = Chunk(size)
            self.data = self.chunk.data
            return
        with _chunk_lock:
            if _chunk is None or _chunk.used + size > _chunk.size:
                _chunk = Chunk(size)
            self.chunk = _chunk
            self.data = _chunk.data + _chunk.used
            _chunk.used += size


def packed_elements(ptrdiff_t rows, ptrdiff_t cols, dtype):
    """Elements of a packed matrix, padding included."""
    return rows * padded(kernels_of(dtype == "float64"), cols)


cdef void copy_panels(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t first,
                      ptrdiff_t last, char *packed, char *plain, bint pack) noexcept nogil:
    """Packs these panels of a matrix whose rows stand one after another, or unpacks them."""
    cdef ptrdiff_t item = kernels.itemsize, j, n, panel
    for panel in range(first, last):
        j = panel * kernels.nr
        n = min(<ptrdiff_t> kernels.nr, cols - j)
        if pack:
            kernels.pack(rows, n, plain + j * item, cols, 1, packed + rows * j * item)
        else:
            kernels.unpack(rows, n, packed + rows * j * item, plain + j * item, cols, 1)


cdef class PackedArray:
    """A variable's numbers as the products want them.

    A matrix, whose rows are so many of the leading axes, is cut into panels of columns, each
    stored row after row and padded with zeros to whole vectors. Without rows, numbers are stored
    one after another, with room for the panels of a bias behind them.
    """

    def __init__(self, tuple shape, dtype, int row_axes):
        self.kernels = kernels_of(dtype == "float64")
        self.itemsize = dtype.itemsize
        self.floats = dtype.kind == "f"
        self.shape = shape
        self.packed = row_axes > 0
        self.rows = self.cols = 1
        for i, n in enumerate(shape):
            if i < row_axes:
                self.rows *= n
            else:
                self.cols *= n
        self.length = self.rows * self.cols
        if self.packed:
            self.length = packed_elements(self.rows, self.cols, dtype)
        self.buffer = Buffer(max(self.length, padded(self.kernels, self.cols)) * self.itemsize)

    cdef char *data(self) noexcept:
        return self.buffer.data

    @property
    def nbytes(self):
        """Bytes of its elements, padding included."""
        return self.length * self.itemsize

    @property
    def nelements(self):
        """Elements, padding included."""
        return self.length

    def is_surely_finite(self):
        """False if a number is not finite, or where only padding is not or a sum overflows."""
        if not self.floats:
            return True
        return bool(isfinite(hl_sum(self.buffer.data, self.kernels.itemsize, self.length)))

    def load(self, array):
        """Takes the numbers of a C-contiguous array of its shape and dtype."""
        cdef Py_buffer view
        PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS)
        try:
            self._check(view.len)
            self._transfer(<char *> view.buf, True)
        finally:
            PyBuffer_Release(&view)

    def store(self, array):
        """Writes the numbers into a C-contiguous array of its shape and dtype."""
        cdef Py_buffer view
        PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
        try:
            self._check(view.len)
            self._transfer(<char *> view.buf, False)
        finally:
            PyBuffer_Release(&view)

    def _check(self, Py_ssize_t size):
        if size != self.rows * self.cols * self.itemsize:
            raise ValueError(f"expected an array of shape {self.shape}, got one of {size} bytes")

    cdef void _transfer(self, char *plain, bint load) noexcept:
        cdef ptrdiff_t nr = self.kernels.nr
        if self.packed:
            copy_panels(self.kernels, self.rows, self.cols, 0, (self.cols + nr - 1) // nr,
                        self.buffer.data, plain, load)
        elif load:
            memcpy(self.buffer.data, plain, self.length * self.itemsize)
        else:
            memcpy(plain, self.buffer.data, self.length * self.itemsize)
