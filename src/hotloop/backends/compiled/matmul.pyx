# cython: language_level=3, freethreading_compatible=True, cdivision=True
"""The three matrix products of a dense layer, blocked and packed over the C micro-kernels.

Weights stand in packed panels of nr columns (see runtime.PackedArray) for as long as a
model trains, so no product packs them. Each product is cut into tiles of at most mr x nr;
a team's threads take consecutive tiles. Every element is one chain of multiply-adds in a
fixed order, so no cut can change a bit of the result.
"""

from .csrc cimport HL_LINEAR, hl_activation, hl_kernels


# Bytes of x that are read again for each panel: a part of the L2 cache, which holds the
# panel of weights besides. Half of the smallest L2 among the CPUs of the last ten years.
cdef ptrdiff_t BLOCK_BYTES = 128 * 1024


cdef inline ptrdiff_t blocks_of(ptrdiff_t n, ptrdiff_t most) noexcept nogil:
    """How many blocks of at most `most` cover n."""
    return (n + most - 1) // most


cdef ptrdiff_t scratch_bytes(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t inputs,
                             ptrdiff_t units) noexcept nogil:
    """What one thread needs for the gradients of a layer: a panel of dy and a tile, or of W^T."""
    cdef ptrdiff_t panel = rows + kernels.mr
    return max(panel, units) * kernels.nr * kernels.itemsize


cdef void dense_forward(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t inputs,
                        ptrdiff_t units, const char *x, const char *w, const char *bias,
                        hl_activation activation, double alpha, char *y,
                        int thread, int n_threads) noexcept nogil:
    """y = f(x w + bias), (rows, inputs) by packed (inputs, units); bias may be NULL.

    A tile starts from the bias, and f is applied while it is in the first-level cache.
    """
    cdef ptrdiff_t item = kernels.itemsize, nr = kernels.nr
    cdef ptrdiff_t panels = blocks_of(units, nr)
    cdef ptrdiff_t high = max(<ptrdiff_t> kernels.mr, BLOCK_BYTES // max(inputs * item, 1))
    cdef ptrdiff_t top = 0, here, tall, tile, last, panel, i, j, n, tiles
    cdef char *corner
    while top < rows:
        here = min(high, rows - top)
        tiles = blocks_of(here, kernels.mr)
        last = share(panels * tiles, thread + 1, n_threads)
        for tile in range(share(panels * tiles, thread, n_threads), last):
            panel = tile // tiles
            # Tiles of nearly equal height: 32 rows are 11 + 11 + 10, not 12 + 12 + 8.
            i = top + share(here, tile % tiles, tiles)
            tall = top + share(here, tile % tiles + 1, tiles) - i
            j = panel * nr
            n = min(nr, units - j)
            corner = y + (i * units + j) * item
            kernels.gemm(
                tall, n, inputs, x + i * inputs * item, inputs, 1, w + j * inputs * item,
                bias + j * item if bias != NULL else NULL, 0, corner, units,
            )
            if activation != HL_LINEAR:
                kernels.activation(activation, alpha, corner, units, corner, units, tall, n)
        top += here


cdef void input_gradient(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t inputs,
                         ptrdiff_t units, const char *dy, const char *w, char *dx,
                         char *scratch, int thread, int n_threads) noexcept nogil:
    """dx = dy w^T. Each thread transposes the panels of w^T that it needs, once."""
    cdef ptrdiff_t item = kernels.itemsize, nr = kernels.nr
    cdef ptrdiff_t panels = blocks_of(inputs, nr), tiles = blocks_of(rows, kernels.mr)
    cdef ptrdiff_t first = share(panels * tiles, thread, n_threads)
    cdef ptrdiff_t last = share(panels * tiles, thread + 1, n_threads)
    cdef ptrdiff_t tile, i, j, n, tall, u, width, packed = -1
    for tile in range(first, last):
        j = tile // tiles * nr
        n = min(nr, inputs - j)
        if j != packed:
            packed = j
            u = 0
            while u < units:
                width = panel_width(kernels, units - u)
                kernels.pack(
                    min(nr, units - u), n, w + (u * inputs + j * width) * item, 1, width,
                    scratch + u * panel_width(kernels, n) * item,
                )
                u += nr
        i = share(rows, tile % tiles, tiles)
        tall = share(rows, tile % tiles + 1, tiles) - i
        kernels.gemm(
            tall, n, units, dy + i * units * item, units, 1, scratch, NULL, 0,
            dx + (i * inputs + j) * item, inputs,
        )


cdef void weight_gradient(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t inputs,
                          ptrdiff_t units, const char *x, const char *dy, char *dw,
                          const Update *update, char *scratch,
                          int thread, int n_threads) noexcept nogil:
    """dw = x^T dy in packed panels; with an update, each tile is used up at once instead."""
    cdef ptrdiff_t item = kernels.itemsize, nr = kernels.nr
    # A single column is one row of tiles, each as long as a tile has elements.
    cdef ptrdiff_t high = kernels.mr if units > 1 else kernels.mr * nr
    cdef ptrdiff_t panels = blocks_of(units, nr), tiles = blocks_of(inputs, high)
    cdef ptrdiff_t first = share(panels * tiles, thread, n_threads)
    cdef ptrdiff_t last = share(panels * tiles, thread + 1, n_threads)
    cdef ptrdiff_t tile, i, j, n, tall, width = 0, packed = -1, at
    cdef char *gradient = scratch + rows * nr * item
    for tile in range(first, last):
        j = tile // tiles * nr
        n = min(nr, units - j)
        if j != packed:
            packed = j
            width = panel_width(kernels, n)
            kernels.pack(rows, n, dy + j * item, units, 1, scratch)
        i = tile % tiles * high
        tall = min(high, inputs - i)
        at = (j * inputs + i * width) * item
        if update == NULL:
            gradient = dw + at
        # All columns of the panel are computed: those beyond n are zero, as in the weights.
        kernels.gemm(
            tall, width, rows, x + i * item, 1, inputs, scratch, NULL, 0, gradient, width,
        )
        if update != NULL:
            kernels.update(
                update.rule, update.h, update.w + at, gradient,
                update.s0 + at if update.s0 != NULL else NULL,
                update.s1 + at if update.s1 != NULL else NULL,
                update.s2 + at if update.s2 != NULL else NULL,
                tall * width,
            )


cdef void product(const hl_kernels *kernels, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k,
                  const char *a, ptrdiff_t a_row, ptrdiff_t a_col,
                  const char *b, ptrdiff_t b_row, ptrdiff_t b_col, const char *bias,
                  hl_activation activation, double alpha, char *c, char *scratch,
                  int thread, int n_threads) noexcept nogil:
    """c = f(a b + bias) of matrices that are not packed, (m, k) by (k, n), by their strides.

    scratch holds one panel of b, k x nr; bias, which may be NULL, has room for whole panels.
    """
    cdef ptrdiff_t item = kernels.itemsize, nr = kernels.nr, mr = kernels.mr
    cdef ptrdiff_t panels = blocks_of(n, nr), tiles = blocks_of(m, mr)
    cdef ptrdiff_t first = share(panels * tiles, thread, n_threads)
    cdef ptrdiff_t last = share(panels * tiles, thread + 1, n_threads)
    cdef ptrdiff_t tile, i, j, wide, tall, packed = -1
    cdef char *corner
    for tile in range(first, last):
        j = tile // tiles * nr
        wide = min(nr, n - j)
        if j != packed:
            packed = j
            kernels.pack(k, wide, b + j * b_col * item, b_row, b_col, scratch)
        i = tile % tiles * mr
        tall = min(mr, m - i)
        corner = c + (i * n + j) * item
        kernels.gemm(
            tall, wide, k, a + i * a_row * item, a_row, a_col, scratch,
            bias + j * item if bias != NULL else NULL, 0, corner, n,
        )
        if activation != HL_LINEAR:
            kernels.activation(activation, alpha, corner, n, corner, n, tall, wide)
