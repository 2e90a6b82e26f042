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


cdef inline ptrdiff_t padded(const hl_kernels *kernels, ptrdiff_t cols) noexcept nogil:
    """Columns that panels occupy."""
    cdef ptrdiff_t whole = cols - cols % kernels.nr
    return whole + panel_width(kernels, cols - whole)


# Sums of a layer's forward product are cut into parts of at least so many terms where its few
# panels do not come out even for two threads. Of many panels, the one that two threads must share
# is a small part, and partial sums are many.
cdef enum:
    PARTS_OF_ONE_PANEL = 4
    PARTS_OF_FEW_PANELS = 2
    FEW_PANELS = 15
    PART_TERMS = 64


# Bytes that are read again for each panel or tile: a part of the L2 cache, which holds the
# weights besides. Half of the smallest L2 among the CPUs of the last ten years.
cdef enum:
    BLOCK_BYTES = 131072


cdef inline ptrdiff_t parts_of(const hl_kernels *kernels, ptrdiff_t inputs,
                               ptrdiff_t units) noexcept nogil:
    """Parts that the sums of a layer's forward product are cut into: see dense_forward.

    It depends on the layer alone, as the order of a sum decides its last bits.
    """
    cdef ptrdiff_t nr = kernels.nr
    cdef bint even = padded(kernels, units) % (2 * nr) == 0
    if units < 2 or even or units > FEW_PANELS * nr or inputs < 2 * PART_TERMS:
        return 1
    return min(inputs // PART_TERMS,
               <ptrdiff_t> PARTS_OF_ONE_PANEL if units <= nr else PARTS_OF_FEW_PANELS)


cdef inline bint shares_rows(const hl_kernels *kernels, ptrdiff_t inputs,
                             ptrdiff_t units) noexcept nogil:
    """Whether threads take rows of a layer's forward product."""
    return units <= kernels.nr and parts_of(kernels, inputs, units) == 1


cdef inline ptrdiff_t block_rows(const hl_kernels *kernels, ptrdiff_t rows,
                                 ptrdiff_t row_bytes) noexcept nogil:
    """Rows of a block that is read again for each panel; whole tiles where possible."""
    if rows * row_bytes <= BLOCK_BYTES:
        return rows
    return max(<ptrdiff_t> kernels.mr, BLOCK_BYTES // row_bytes)


cdef inline ptrdiff_t rows_at_once(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t inputs,
                                   ptrdiff_t units) noexcept nogil:
    """Rows of a layer's forward product that are done with before the next ones."""
    cdef ptrdiff_t parts = parts_of(kernels, inputs, units)
    cdef ptrdiff_t read = inputs // parts, written = parts * units if parts > 1 else 0
    return block_rows(kernels, rows, max(read, written) * kernels.itemsize)


# A weight gradient sums so many rows at once; of more, one block after the other, so that both a
# panel of dy and the rows of x stay in the second-level cache. In float32 on one thread (512 KB of
# it), 25,088 rows of 288, 576 and 1,152 numbers take 8, 3 and 6 times as long at once as in
# blocks of 256, and 3,136 rows 1.2 times. Blocks of 512 are level, those of 2,048 and 128 slower.
cdef enum:
    ROWS_AT_ONCE = 1024
    BLOCK_OF_ROWS = 256


cdef inline ptrdiff_t gradient_rows(ptrdiff_t rows) noexcept nogil:
    """Rows of a block that a weight gradient sums at once."""
    return rows if rows <= ROWS_AT_ONCE else BLOCK_OF_ROWS


cdef inline ptrdiff_t partial_bytes(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t inputs,
                                    ptrdiff_t units) noexcept nogil:
    """Room for the partial sums of a layer, if it has any: of one block of rows and the next."""
    cdef ptrdiff_t parts = parts_of(kernels, inputs, units)
    cdef ptrdiff_t high = rows_at_once(kernels, rows, inputs, units)
    if parts == 1:
        return 0
    return (1 + (high < rows)) * parts * high * padded(kernels, units) * kernels.itemsize


# Matrices that stand one after the other: elements from one row, column and matrix to the next.
cdef struct Matrices:
    const char *data
    ptrdiff_t row, col, matrix


cdef inline Matrices matrices(const char *data, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t row,
                              bint transposed) noexcept nogil:
    """Matrices of rows x cols, or those of cols x rows that they are the transposes of.

    As they stand, it is `row` elements from one row to the next.
    """
    cdef Matrices found
    found.data, found.row, found.col, found.matrix = data, row, 1, rows * row
    if transposed:
        found.row, found.col, found.matrix = 1, row, cols * row
    return found


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
                        ptrdiff_t y_row, char *partial, Worker *worker) noexcept nogil
cdef void input_gradient(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t inputs,
                         ptrdiff_t units, const void *const *dy, const char *w,
                         const char *saved, hl_activation activation, double alpha, char *dx,
                         Worker *worker) noexcept nogil
cdef void weight_gradient(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t inputs,
                          ptrdiff_t units, const void *const *x, const char *dy, ptrdiff_t dy_row,
                          char *dw, const Update *update, Worker *worker) noexcept nogil
cdef ptrdiff_t product_scratch_bytes(const hl_kernels *kernels, ptrdiff_t m, ptrdiff_t n,
                                     ptrdiff_t k) noexcept nogil
cdef void products(const hl_kernels *kernels, ptrdiff_t count, ptrdiff_t m, ptrdiff_t n,
                   ptrdiff_t k, const Matrices *a, const Matrices *b, const char *bias,
                   hl_activation activation, double alpha, char *c,
                   Worker *worker) noexcept nogil
