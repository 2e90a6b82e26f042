from .csrc cimport hl_activation, hl_kernels, hl_optimizer
from .worker cimport Worker


# What the weight gradient does with each tile while it is in the cache.
cdef struct Update:
    hl_optimizer rule
    const double *h
    char *w
    bint shared  # other threads have read these weights in this batch
    char *s0
    char *s1
    char *s2


cdef inline ptrdiff_t panel_width(const hl_kernels *kernels, ptrdiff_t cols) noexcept nogil:
    """Columns that a panel of `cols` occupies: 0, 1, or whole vectors, at most nr."""
    if cols <= 1:
        return max(cols, 0)
    return kernels.vl if cols <= kernels.vl else kernels.nr


# A product of one panel cuts its sums into so many parts, each of at least so many terms.
cdef enum:
    MAX_PARTS = 4
    PART_TERMS = 64


cdef inline bint is_one_panel(const hl_kernels *kernels, ptrdiff_t units) noexcept nogil:
    """Whether a layer's columns are too few to be shared out by panels."""
    return units <= kernels.nr


cdef inline ptrdiff_t parts_of(const hl_kernels *kernels, ptrdiff_t inputs,
                               ptrdiff_t units) noexcept nogil:
    """Parts that the sums of a layer's forward product are cut into: see dense_forward.

    It depends on the layer alone, as the order of a sum decides its last bits.
    """
    if units < 2 or not is_one_panel(kernels, units) or inputs < 2 * PART_TERMS:
        return 1
    return min(<ptrdiff_t> MAX_PARTS, inputs // PART_TERMS)


cdef inline ptrdiff_t partial_bytes(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t inputs,
                                    ptrdiff_t units) noexcept nogil:
    """Room for the partial sums of a layer, if it has any."""
    cdef ptrdiff_t parts = parts_of(kernels, inputs, units)
    return parts * rows * panel_width(kernels, units) * kernels.itemsize if parts > 1 else 0


cdef inline char *moved(char *address, ptrdiff_t offset) noexcept nogil:
    """An address further on; NULL, for what there is not, stays NULL."""
    return address + offset if address != NULL else NULL


cdef void addresses_of(const char *x, ptrdiff_t stride, ptrdiff_t rows,
                       const void **addresses) noexcept nogil
cdef ptrdiff_t scratch_bytes(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t inputs,
                             ptrdiff_t units) noexcept nogil
cdef void dense_forward(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t inputs,
                        ptrdiff_t units, const void *const *x, const char *w,
                        const char *bias, hl_activation activation, double alpha, char *y,
                        char *partial, Worker *worker) noexcept nogil
cdef void input_gradient(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t inputs,
                         ptrdiff_t units, const void *const *dy, const char *w,
                         const char *saved, hl_activation activation, double alpha, char *dx,
                         Worker *worker) noexcept nogil
cdef void weight_gradient(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t inputs,
                          ptrdiff_t units, const void *const *x, const char *dy, char *dw,
                          const Update *update, Worker *worker) noexcept nogil
cdef ptrdiff_t product_scratch_bytes(const hl_kernels *kernels, ptrdiff_t m, ptrdiff_t n,
                                     ptrdiff_t k) noexcept nogil
cdef void product(const hl_kernels *kernels, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k,
                  const char *a, ptrdiff_t a_row, ptrdiff_t a_col,
                  const char *b, ptrdiff_t b_row, ptrdiff_t b_col, const char *bias,
                  hl_activation activation, double alpha, char *c,
                  Worker *worker) noexcept nogil
