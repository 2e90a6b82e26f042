from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from .csrc cimport hl_kernels, hl_optimizer, hl_powers, hl_source, hl_task, hl_team


cdef const hl_kernels *kernels_of(bint double_precision) noexcept nogil
cdef void run_on_team(hl_task task, void *argument, int n_threads) noexcept nogil
cdef void barrier(hl_team *team) noexcept nogil
cdef void gather_labels(const hl_source *source, const int64_t *order, ptrdiff_t first,
                        ptrdiff_t n, int32_t *out) noexcept nogil
cdef void gather_masks(const hl_source *source, const int64_t *order, ptrdiff_t first,
                       ptrdiff_t n, uint8_t *out) noexcept nogil
cdef void gather_booleans(const hl_source *source, const int64_t *order, ptrdiff_t first,
                          ptrdiff_t n, uint8_t *out) noexcept nogil
cdef double sum_of(const void *x, int itemsize, ptrdiff_t n) noexcept nogil
cdef uint64_t flush_denormals() noexcept nogil
cdef void restore_denormals(uint64_t before) noexcept nogil
cdef void prepare_update(hl_optimizer kind, const double *hyper, int64_t iteration,
                         hl_powers *kept, double *h) noexcept nogil
cdef void random_order(uint64_t key, int64_t n, int64_t *order) noexcept nogil
cdef uint64_t random_bits(uint64_t key, uint64_t index) noexcept nogil
cdef void *numbers_of(array, Py_ssize_t itemsize, int flags) except? NULL
cdef size_t spaced(size_t size) noexcept nogil
cdef void forbid(char *start, size_t size) noexcept nogil
cdef void forbid_between(char *pieces, size_t size, int count) noexcept nogil
cdef void copy_panels(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t first,
                      ptrdiff_t last, char *packed, char *plain, bint pack) noexcept nogil
cdef set_dims(hl_source *source, axes, ptrdiff_t itemsize)


cdef class Chunk:
    cdef char *data
    cdef size_t size
    cdef size_t used


cdef class Buffer:
    cdef char *data
    cdef Chunk chunk
    cdef _take(self, size_t size)
    cdef readonly size_t size


cdef class PackedArray:
    cdef Buffer buffer
    cdef const hl_kernels *kernels
    cdef readonly tuple shape
    cdef bint packed, floats
    cdef ptrdiff_t rows, cols  # of the matrix; numbers one after another are one row
    cdef ptrdiff_t length, itemsize
    cdef char *data(self) noexcept
    cdef void _transfer(self, char *plain, bint load) noexcept
