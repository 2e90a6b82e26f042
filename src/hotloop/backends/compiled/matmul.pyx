# cython: language_level=3, freethreading_compatible=True, cdivision=True
"""The three matrix products of a dense layer, blocked and packed over the C micro-kernels.

Weights stand in packed panels of nr columns (see runtime.PackedArray) for as long as a
model trains, so no product packs them. Each product is cut into tiles of at most mr x nr;
a team's threads take consecutive tiles. Every element is one chain of multiply-adds in a
fixed order, or a few such chains whose sums are added in order, so the number of threads
cannot change a bit of the result.
"""

from libc.string cimport memcpy

from .csrc cimport HL_LINEAR, hl_activation, hl_kernels
from .runtime cimport barrier
from .worker cimport Ahead, Worker, ask_ahead, ask_for, ask_to_write, share


# Rows this many bytes apart share one set of a first-level cache, which holds fewer of them
# than a tile has.
cdef ptrdiff_t SET_BYTES = 4096


# Larger matrices stay in no second-level cache together with their optimizer's state.
cdef ptrdiff_t NEAR_WEIGHT_BYTES = 1 << 20

# Lines that are asked for at once: as many as the CPU has requests to memory under way.
cdef ptrdiff_t LINES_AT_ONCE = 24
# Terms of a product that are summed without a pause, at least.
cdef ptrdiff_t SHORTEST_PIECE = 128


# Block of a matrix that is packed at once: terms of the sum, and columns.
cdef ptrdiff_t DEPTH = 1024
cdef ptrdiff_t WIDTH = 1024


cdef inline ptrdiff_t blocks_of(ptrdiff_t n, ptrdiff_t most) noexcept nogil:
    """How many blocks of at most `most` cover n."""
    return n > 0 if n <= most else (n + most - 1) // most


cdef inline ptrdiff_t tiles_of(ptrdiff_t n, ptrdiff_t most, ptrdiff_t panels,
                               ptrdiff_t n_workers) noexcept nogil:
    """How many tiles, at most `most` high and at least a row each, cover n rows of a few panels.

    Where a worker gets only a few of them, as many more as give each worker the same number.
    """
    cdef ptrdiff_t tiles = blocks_of(n, most)
    if panels * tiles < 8 * n_workers:
        while panels * tiles % n_workers and tiles < n:
            tiles += 1
    return tiles


cdef inline ptrdiff_t first_tile(const hl_kernels *kernels, ptrdiff_t cols, ptrdiff_t tiles,
                                 ptrdiff_t part, ptrdiff_t parts) noexcept nogil:
    """Where one of equal parts of a matrix begins, in panels of so many tiles each.

    A last panel that is narrower counts as the columns that it is computed as.
    """
    cdef ptrdiff_t nr = kernels.nr, whole = cols // nr
    cdef ptrdiff_t width = panel_width(kernels, cols - whole * nr)
    cdef ptrdiff_t begin = share((whole * nr + width) * tiles, part, parts)
    if begin <= whole * nr * tiles:
        return blocks_of(begin, nr)
    return whole * tiles + blocks_of(begin - whole * nr * tiles, width)


cdef ptrdiff_t scratch_bytes(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t inputs,
                             ptrdiff_t units) noexcept nogil:
    """What one thread needs for the products of a layer with up to this many rows."""
    cdef ptrdiff_t item = kernels.itemsize, nr = kernels.nr
    # Weight gradient: a panel of dy, and two tiles of the gradient.
    cdef ptrdiff_t most = min(rows, <ptrdiff_t> ROWS_AT_ONCE)
    cdef ptrdiff_t weight = (most + 2 * kernels.mr) * nr * item
    # Input gradient: a panel of W^T, and dy. Forward: a block of x.
    cdef ptrdiff_t back = units * nr * item + spread_bytes(
        kernels, rows_of_dy(kernels, rows, units), units
    )
    cdef ptrdiff_t block = rows_at_once(kernels, rows, inputs, units)
    return max(weight, back, spread_bytes(kernels, block, inputs))


cdef void addresses_of(const char *x, ptrdiff_t stride, ptrdiff_t rows,
                       const void **addresses) noexcept nogil:
    """Where rows stand that are `stride` bytes apart."""
    cdef ptrdiff_t i
    for i in range(rows):
        addresses[i] = x + i * stride


cdef inline ptrdiff_t spread_bytes(const hl_kernels *kernels, ptrdiff_t rows,
                                   ptrdiff_t cols) noexcept nogil:
    """Scratch that `spread` needs."""
    if cols * kernels.itemsize % SET_BYTES:
        return 0
    return rows * ((cols + kernels.nr) * kernels.itemsize + <ptrdiff_t> sizeof(void *))


cdef inline const void *const *spread(const hl_kernels *kernels, const void *const *x,
                                      ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t first,
                                      ptrdiff_t last, char *scratch) noexcept nogil:
    """Rows as they stand, or where they would meet in one set of the cache, moved apart.

    Of those moved, only the columns from `first` to `last` may be read, at their old places.
    """
    cdef ptrdiff_t item = kernels.itemsize, wide = (cols + kernels.nr) * item, i
    cdef const void **addresses = <const void **> (scratch + rows * wide)
    if cols * item % SET_BYTES:
        return x
    for i in range(rows):
        memcpy(scratch + i * wide + first * item, <const char *> x[i] + first * item,
               (last - first) * item)
    addresses_of(scratch, wide, rows, addresses)
    return addresses


cdef inline ptrdiff_t piece(const Ahead *ahead, ptrdiff_t k, ptrdiff_t flops) noexcept nogil:
    """Terms to sum between two looks ahead, out of k that each take `flops`."""
    cdef double lines = ahead.lines_per_flop * flops
    if k * lines <= LINES_AT_ONCE:
        return k
    return max(SHORTEST_PIECE, <ptrdiff_t> (LINES_AT_ONCE / lines))


cdef inline ptrdiff_t part_start(const hl_kernels *kernels, ptrdiff_t inputs, ptrdiff_t part,
                                 ptrdiff_t parts) noexcept nogil:
    """The input that a part of a layer's sums begins with: the first of a tile of its gradient."""
    return min(inputs, share(blocks_of(inputs, kernels.mr), part, parts) * kernels.mr)


cdef void dense_forward(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t inputs,
                        ptrdiff_t units, const void *const *x, const char *w,
                        const char *bias, hl_activation activation, double alpha, char *y,
                        ptrdiff_t y_row, char *partial, Worker *worker) noexcept nogil:
    """y = f(x w + bias), (rows, inputs) by packed (inputs, units); bias may be NULL.

    x holds the addresses of its rows; those of y are y_row elements apart. Workers take tiles of
    one panel after the other. Where sums are cut into parts they do so part after part, wait, and
    add up the parts, each for its share of the rows: a worker meets the same weights and columns
    of x here and in the weight gradient, and neither passes from core to core; partial sums do,
    but those are few. Where there are neither parts nor panels to share out, workers take rows.
    """
    cdef ptrdiff_t item = kernels.itemsize, n_workers = worker.n_workers
    cdef ptrdiff_t parts = parts_of(kernels, inputs, units)
    cdef ptrdiff_t high = rows_at_once(kernels, rows, inputs, units)
    cdef ptrdiff_t row = padded(kernels, units), size = parts * high * row * item
    cdef ptrdiff_t begin = worker.number * parts, part, here, first, last, top = 0, end = rows
    cdef bint by_rows = shares_rows(kernels, inputs, units)
    cdef char *corner
    cdef Part p
    if by_rows:
        top = share(rows, worker.number, n_workers)
        end = share(rows, worker.number + 1, n_workers)
    while top < end:
        here = min(high, end - top)
        for part in range(begin // n_workers, blocks_of(begin + parts, n_workers)):
            p.first = part_start(kernels, inputs, part, parts)
            p.last = part_start(kernels, inputs, part + 1, parts)
            p.begin, p.end, p.of = 0, 1, 1
            if not by_rows:
                p.begin = max(begin - part * n_workers, 0)
                p.end = min(begin + parts - part * n_workers, n_workers)
                p.of = n_workers
            p.n_workers = blocks_of(p.of, parts)
            if parts > 1:
                forward_part(kernels, here, inputs, units, x + top, w, bias if part == 0 else NULL,
                             HL_LINEAR, 0, partial + part * here * row * item, row, &p, worker)
            else:
                forward_part(kernels, here, inputs, units, x + top, w, bias, activation, alpha,
                             y + top * y_row * item, y_row, &p, worker)
        if parts > 1:
            if n_workers > 1:
                barrier(worker.team)
            first = share(here, worker.number, n_workers)
            last = share(here, worker.number + 1, n_workers)
            corner = y + (top + first) * y_row * item
            kernels.add_parts(partial + first * row * item, <int> parts, here * row, row,
                              last - first, units, corner, y_row)
            if activation != HL_LINEAR and first < last:
                kernels.activation(activation, alpha, corner, y_row, corner, y_row, last - first,
                                   units)
            # The next rows' parts stand elsewhere: others may still be adding up these.
            partial += size
            size = -size
        top += here


# What one worker does of a layer's product: which of equal parts of the tiles, for some inputs.
cdef struct Part:
    ptrdiff_t first, last
    ptrdiff_t begin, end, of
    ptrdiff_t n_workers  # that share these tiles


cdef void forward_part(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t inputs,
                       ptrdiff_t units, const void *const *x, const char *w, const char *bias,
                       hl_activation activation, double alpha, char *y, ptrdiff_t y_row,
                       const Part *part, Worker *worker) noexcept nogil:
    """dense_forward of some inputs.

    A tile starts from the bias, and f is applied while it is in the first-level cache.
    """
    cdef ptrdiff_t item = kernels.itemsize, nr = kernels.nr
    cdef ptrdiff_t panels = blocks_of(units, nr)
    # A single column is one tile.
    cdef ptrdiff_t tiles = tiles_of(rows, kernels.mr if units > 1 else rows, panels,
                                    part.n_workers)
    cdef ptrdiff_t first = first_tile(kernels, units, tiles, part.begin, part.of)
    cdef ptrdiff_t last = first_tile(kernels, units, tiles, part.end, part.of)
    cdef ptrdiff_t tile, panel, i, j, n, tall
    cdef char *corner
    if first == last:
        return
    x = spread(kernels, x, rows, inputs, part.first, part.last, worker.scratch)
    if rows == 1 and panels > 1:
        # What is left are the columns that fill no panel.
        first += forward_row(kernels, min(last, units // nr) - first, inputs, x[0], part,
                             w + first * nr * inputs * item,
                             moved(<char *> bias, first * nr * item), activation, alpha,
                             y + first * nr * item, &worker.ahead)
    for tile in range(first, last):
        panel = tile // tiles
        # Tiles of nearly equal height: 32 rows are 11 + 11 + 10, not 12 + 12 + 8.
        i = share(rows, tile - panel * tiles, tiles)
        tall = share(rows, tile - panel * tiles + 1, tiles) - i
        j = panel * nr
        n = min(nr, units - j)
        corner = y + (i * y_row + j) * item
        forward_tile(kernels, tall, n, x + i, part, w + j * inputs * item,
                     moved(<char *> bias, j * item), corner, y_row, &worker.ahead)
        if activation != HL_LINEAR:
            kernels.activation(activation, alpha, corner, y_row, corner, y_row, tall, n)


cdef void forward_tile(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t n,
                       const void *const *x, const Part *part, const char *w,
                       const char *bias, char *y, ptrdiff_t y_row, Ahead *ahead) noexcept nogil:
    """y = x w + bias of one tile and some inputs; w is its panel.

    Where there is something to ask for meanwhile, the sum is made in pieces short enough to do
    so in between.
    """
    cdef ptrdiff_t width = panel_width(kernels, n), k = part.first, depth = part.last - k
    # A single column is summed at once: pieces would change the order.
    cdef ptrdiff_t most = piece(ahead, depth, 2 * rows * n) if n > 1 else depth
    while k == part.first or k < part.last:
        depth = min(most, part.last - k)
        kernels.gemm(rows, n, depth, x, k, False, w + k * width * kernels.itemsize, bias,
                     k > part.first, y, y_row)
        ask_ahead(ahead, 2 * rows * n * depth)
        k += max(depth, 1)


cdef ptrdiff_t forward_row(const hl_kernels *kernels, ptrdiff_t panels, ptrdiff_t inputs,
                           const void *x, const Part *part, const char *w, const char *bias,
                           hl_activation activation, double alpha, char *y,
                           Ahead *ahead) noexcept nogil:
    """y = f(x w + bias) of one row and whole panels, if there are any; returns how many."""
    cdef ptrdiff_t units = panels * kernels.nr, item = kernels.itemsize
    if panels <= 0:
        return 0
    kernels.gemm_row(<int> panels, part.last - part.first, <const char *> x + part.first * item,
                     w + part.first * kernels.nr * item, inputs * kernels.nr, bias, y)
    ask_ahead(ahead, 2 * (part.last - part.first) * units)
    if activation != HL_LINEAR:
        kernels.activation(activation, alpha, y, units, y, units, 1, units)
    return panels


cdef void input_gradient(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t inputs,
                         ptrdiff_t units, const void *const *dy, const char *w,
                         const char *saved, hl_activation activation, double alpha, char *dx,
                         Worker *worker) noexcept nogil:
    """dx = f'(saved) * dy w^T; each thread transposes the panels of w^T that it needs.

    dy holds the addresses of its rows. For one row, transposing would be most of the work.
    f is the activation of the layer below; f' is applied while a tile is in the first-level
    cache.
    """
    cdef ptrdiff_t item = kernels.itemsize, top = 0, here, first, last, j, n
    if rows == 1:
        first = first_tile(kernels, inputs, 1, worker.number, worker.n_workers)
        last = first_tile(kernels, inputs, 1, worker.number + 1, worker.n_workers)
        if first < last:
            j = first * kernels.nr
            n = min(last * kernels.nr, inputs) - j
            kernels.gemm_row_transposed(j, n, units, inputs, dy[0], w, dx + j * item)
            if activation != HL_LINEAR:
                kernels.activation_gradient(activation, alpha, dx + j * item, saved + j * item,
                                            dx + j * item, n, 1, n)
        return
    while top < rows:
        here = min(rows_of_dy(kernels, rows, units), rows - top)
        input_gradient_of_rows(kernels, here, inputs, units, dy + top, w,
                               moved(<char *> saved, top * inputs * item), activation, alpha,
                               dx + top * inputs * item, worker)
        top += here


cdef inline ptrdiff_t rows_of_dy(const hl_kernels *kernels, ptrdiff_t rows,
                                 ptrdiff_t units) noexcept nogil:
    """Rows that an input gradient takes at once: all of them, or few where `spread` moves them."""
    return min(rows, <ptrdiff_t> BLOCK_OF_ROWS) if spread_bytes(kernels, 1, units) else rows


cdef void input_gradient_of_rows(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t inputs,
                                 ptrdiff_t units, const void *const *dy, const char *w,
                                 const char *saved, hl_activation activation, double alpha,
                                 char *dx, Worker *worker) noexcept nogil:
    """input_gradient of rows that are taken at once."""
    cdef ptrdiff_t item = kernels.itemsize, nr = kernels.nr
    cdef ptrdiff_t panels = blocks_of(inputs, nr)
    cdef ptrdiff_t tiles = tiles_of(rows, kernels.mr, panels, worker.n_workers)
    cdef ptrdiff_t first = first_tile(kernels, inputs, tiles, worker.number, worker.n_workers)
    cdef ptrdiff_t last = first_tile(kernels, inputs, tiles, worker.number + 1, worker.n_workers)
    cdef ptrdiff_t tile, panel, i, j, n, tall, u, width, at, packed = -1
    if first < last:
        dy = spread(kernels, dy, rows, units, 0, units, worker.scratch + units * nr * item)
    for tile in range(first, last):
        panel = tile // tiles
        j = panel * nr
        n = min(nr, inputs - j)
        if j != packed:
            packed = j
            u = 0
            while u < units:
                width = panel_width(kernels, units - u)
                kernels.pack(
                    min(nr, units - u), n, w + (u * inputs + j * width) * item, 1, width,
                    worker.scratch + u * panel_width(kernels, n) * item,
                )
                u += nr
        i = share(rows, tile - panel * tiles, tiles)
        tall = share(rows, tile - panel * tiles + 1, tiles) - i
        at = (i * inputs + j) * item
        kernels.gemm(
            tall, n, units, dy + i, 0, False, worker.scratch, NULL, 0, dx + at, inputs,
        )
        if activation != HL_LINEAR:
            kernels.activation_gradient(activation, alpha, dx + at, saved + at, dx + at, inputs,
                                        tall, n)


cdef void weight_gradient(const hl_kernels *kernels, ptrdiff_t rows, ptrdiff_t inputs,
                          ptrdiff_t units, const void *const *x, const char *dy, ptrdiff_t dy_row,
                          char *dw, const Update *update, Worker *worker) noexcept nogil:
    """dw = x^T dy in packed panels; with an update, each tile is used up when it is complete.

    x holds the addresses of its rows; those of dy are dy_row elements apart. Many rows are summed
    block by block, each on top of those before it: the same sums, in the same order. With an
    update, dw is room for these, and may be NULL for rows of one block: then the update of one
    tile and the product of the next are done together.
    """
    cdef ptrdiff_t item = kernels.itemsize, nr = kernels.nr
    # A single column is one row of tiles, each as long as a tile has elements.
    cdef ptrdiff_t high = kernels.mr if units > 1 else kernels.mr * nr
    cdef ptrdiff_t parts = parts_of(kernels, inputs, units), n_workers = worker.n_workers
    cdef ptrdiff_t tiles = blocks_of(inputs, high), top, below, begin = worker.number * parts
    cdef ptrdiff_t part, first, last, tile, panel, i, j, tall, width = 0, packed
    cdef ptrdiff_t at = 0, n = 0, last_at = 0, last_n = 0
    cdef ptrdiff_t most = gradient_rows(rows), row = 0, here
    cdef bint far = update != NULL and inputs * units * item > NEAR_WEIGHT_BYTES
    cdef bint complete
    cdef char *gradient = worker.scratch
    cdef char *last_gradient = gradient + kernels.mr * nr * item
    cdef char *dy_packed = last_gradient + kernels.mr * nr * item
    while row == 0 or row < rows:
        here = min(most, rows - row)
        complete = row + here == rows
        packed = -1
        for part in range(begin // n_workers, blocks_of(begin + parts, n_workers)):
            top = share(tiles, part, parts)
            below = share(tiles, part + 1, parts) - top
            first = first_tile(kernels, units, below, max(begin - part * n_workers, 0), n_workers)
            last = first_tile(kernels, units, below,
                              min(begin + parts - part * n_workers, n_workers), n_workers)
            for tile in range(first, last):
                panel = tile // below
                j = panel * nr
                if j != packed:
                    packed = j
                    width = panel_width(kernels, units - j)
                    kernels.pack(here, min(nr, units - j), dy + (row * dy_row + j) * item, dy_row,
                                 1, dy_packed)
                i = (top + tile - panel * below) * high
                tall = min(high, inputs - i)
                at = (j * inputs + i * width) * item
                n = tall * width
                if update != NULL and complete:
                    if far:
                        ask_for_weights(update, at, n * item)
                    # Of a panel that is cut, all who have a part of it have read the whole.
                    if update.shared or panel * below < first or (panel + 1) * below > last:
                        ask_to_write(update.w + at, n * item)
                # All columns of the panel are computed: those beyond the units are zero, as in
                # the weights.
                if update == NULL or most < rows:
                    kernels.gemm(tall, width, here, x + row, i, True, dy_packed, NULL, row > 0,
                                 dw + at, width)
                    if update != NULL and complete:
                        update_tile(kernels, update, at, dw + at, n)
                else:
                    kernels.gemm_update(
                        tall, width, rows, x, i, dy_packed, gradient, update.rule, update.h,
                        update.w + last_at, last_gradient, moved(update.s0, last_at),
                        moved(update.s1, last_at), moved(update.s2, last_at), last_n,
                    )
                    gradient, last_gradient = last_gradient, gradient
                    last_at, last_n = at, n
                ask_ahead(&worker.ahead, 2 * n * here)
        row += max(here, 1)
    if last_n:
        update_tile(kernels, update, last_at, last_gradient, last_n)


cdef inline void update_tile(const hl_kernels *kernels, const Update *update, ptrdiff_t at,
                             const char *gradient, ptrdiff_t n) noexcept nogil:
    """Updates n weights, which stand `at` so many bytes."""
    kernels.update(update.rule, update.h, update.w + at, gradient, moved(update.s0, at),
                   moved(update.s1, at), moved(update.s2, at), n)


cdef inline void ask_for_weights(const Update *update, ptrdiff_t at,
                                 ptrdiff_t size) noexcept nogil:
    """Asks for a tile's weights and state, which are wanted when its product is done."""
    ask_for(update.w + at, size)
    ask_for(moved(update.s0, at), size)
    ask_for(moved(update.s1, at), size)


cdef ptrdiff_t product_scratch_bytes(const hl_kernels *kernels, ptrdiff_t m, ptrdiff_t n,
                                     ptrdiff_t k) noexcept nogil:
    """What one worker needs for a product: panels of b, rows or tiles of a, and addresses."""
    cdef ptrdiff_t depth = min(k, DEPTH), nr = kernels.nr
    cdef ptrdiff_t wide = min(blocks_of(n, nr) * nr, WIDTH)
    cdef ptrdiff_t block = min(m, block_rows(kernels, m, depth * kernels.itemsize))
    cdef ptrdiff_t tall = blocks_of(block, kernels.mr) * max(nr, <ptrdiff_t> kernels.mr)
    # Those of spread, and of a's rows or columns.
    cdef ptrdiff_t addresses = block + max(block, depth)
    return ((wide * depth + tall * (depth + nr)) * kernels.itemsize
            + addresses * <ptrdiff_t> sizeof(void *))


cdef void products(const hl_kernels *kernels, ptrdiff_t count, ptrdiff_t m, ptrdiff_t n,
                   ptrdiff_t k, const Matrices *a, const Matrices *b, const char *bias,
                   hl_activation activation, double alpha, char *c,
                   Worker *worker) noexcept nogil:
    """c = f(a b + bias) of matrices that are not packed, count times (m, k) by (k, n).

    Workers share out the longer sides of all c, in tiles or panels. bias, which may be NULL, has
    room for whole panels.
    """
    cdef bint by_rows = m > n
    cdef ptrdiff_t nr = kernels.nr, item = kernels.itemsize
    cdef ptrdiff_t pieces = blocks_of(n, nr)  # that a matrix is shared out in
    cdef ptrdiff_t at, end, i, first, last
    if by_rows:
        pieces = tiles_of(m, kernels.mr, count, worker.n_workers)
    at = share(count * pieces, worker.number, worker.n_workers)
    end = share(count * pieces, worker.number + 1, worker.n_workers)
    while at < end:
        i = at // pieces
        first = at - i * pieces
        last = min(pieces, end - i * pieces)
        if by_rows:
            product_of_part(
                kernels, i, share(m, first, pieces), share(m, last, pieces), 0, n, n, k, a, b,
                bias, activation, alpha, c + i * m * n * item, worker,
            )
        else:
            product_of_part(
                kernels, i, 0, m, first * nr, min(n, last * nr), n, k, a, b, bias, activation,
                alpha, c + i * m * n * item, worker,
            )
        at = i * pieces + last


cdef void product_of_part(const hl_kernels *kernels, ptrdiff_t number, ptrdiff_t top,
                          ptrdiff_t bottom, ptrdiff_t left, ptrdiff_t right, ptrdiff_t n,
                          ptrdiff_t k, const Matrices *a, const Matrices *b, const char *bias,
                          hl_activation activation, double alpha, char *c,
                          Worker *worker) noexcept nogil:
    """Some rows and columns of one of these products; c has n columns.

    Packs a block of b, up to DEPTH x WIDTH, and goes down the rows of a with it, a block at a
    time (Goto and van de Geijn 2008).
    """
    cdef ptrdiff_t item = kernels.itemsize, nr = kernels.nr, j = left, p, i, wide, deep, high
    cdef const char *a_here = a.data + number * a.matrix * item
    cdef const char *b_here = b.data + number * b.matrix * item
    cdef const char *panels
    cdef char *aside
    # As many columns as a panel has, row after row, are one as they stand.
    cdef bint packed = b.row == n and (b.col == 1 or n == 1) and panel_width(kernels, n) == n
    while j < right:
        wide = min(WIDTH, right - j)
        p = 0
        while p == 0 or p < k:
            deep = min(DEPTH, k - p)
            panels, aside = b_here + (p * b.row + j * b.col) * item, worker.scratch
            if not packed:
                pack_panels(kernels, deep, wide, panels, b.row, b.col, aside)
                panels, aside = aside, aside + blocks_of(wide, nr) * nr * deep * item
            i = top
            while i < bottom:
                # As for a whole block's depth, also of the last terms: scratch is for that many.
                high = min(block_rows(kernels, bottom - i, min(DEPTH, k) * item), bottom - i)
                block_product(
                    kernels, high, wide, deep, a_here + (i * a.row + p * a.col) * item, a.row,
                    a.col, panels, aside, bias + j * item if bias != NULL and p == 0 else NULL,
                    p > 0, activation if p + deep >= k else HL_LINEAR, alpha,
                    c + (i * n + j) * item, n,
                )
                i += high
            p += max(deep, 1)
        j += wide


cdef void pack_panels(const hl_kernels *kernels, ptrdiff_t k, ptrdiff_t n, const char *b,
                      ptrdiff_t b_row, ptrdiff_t b_col, char *out) noexcept nogil:
    """Packs a block of b, panel after panel."""
    cdef ptrdiff_t j = 0
    while j < n:
        kernels.pack(k, min(<ptrdiff_t> kernels.nr, n - j), b + j * b_col * kernels.itemsize,
                     b_row, b_col, out + j * k * kernels.itemsize)
        j += kernels.nr


cdef void block_product(const hl_kernels *kernels, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k,
                        const char *a, ptrdiff_t a_row, ptrdiff_t a_col, const char *b,
                        char *scratch, const char *bias, bint accumulate, hl_activation activation,
                        double alpha, char *c, ptrdiff_t c_row) noexcept nogil:
    """One block of rows of a by packed panels, tile by tile."""
    cdef ptrdiff_t item = kernels.itemsize, nr = kernels.nr
    cdef ptrdiff_t tiles = blocks_of(m, kernels.mr), panels = blocks_of(n, nr), step, tile, panel
    cdef ptrdiff_t tall, i, j, at, wide, width, found = 0
    cdef const void **addresses = <const void **> scratch
    cdef char *aside = <char *> (addresses + max(m, k))
    cdef const void *const *rows = addresses
    cdef char *corner
    # Columns that several panels read are packed, tile after tile.
    cdef bint transposed = a_col != 1, packs = transposed and n > nr and kernels.mr <= nr
    # Small panels stay near while all of them meet a tile, so that c is written row after row: the
    # scores of 256 steps with heads of 16 take half the time.
    cdef bint by_tiles = n * k * item <= BLOCK_BYTES
    if transposed:
        addresses_of(a, a_col * item, k, addresses)
    else:
        addresses_of(a, a_row * item, m, addresses)
        rows = spread(kernels, addresses, m, k, 0, k, aside)
    for step in range(tiles * panels):
        tile, panel = step % tiles, step // tiles
        if by_tiles:
            tile, panel = step // panels, step % panels
        j = panel * nr
        wide = min(nr, n - j)
        i = share(m, tile, tiles)
        tall = share(m, tile + 1, tiles) - i
        corner = c + (i * c_row + j) * item
        at = i if transposed else 0
        if packs:
            at = tile * k * nr
            width = panel_width(kernels, tall)
            if j == 0:
                kernels.pack(k, tall, a + i * item, a_col, 1, aside + at * item)
            if width != found:
                addresses_of(aside, width * item, k, addresses)
                found = width
        kernels.gemm(tall, wide, k, rows if transposed else rows + i, at, transposed,
                     b + j * k * item, bias + j * item if bias != NULL else NULL, accumulate,
                     corner, c_row)
        if activation != HL_LINEAR:
            kernels.activation(activation, alpha, corner, c_row, corner, c_row, tall, wide)
