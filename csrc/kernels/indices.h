/* Rows that are looked up by their numbers, and what numbers are turned into.
 *
 * A table of embeddings is a packed matrix: panels of columns, each stored row after row. */

/* The panel that begins at column j: how many columns it has, and how many it occupies. */
static HL_INLINE ptrdiff_t N(panel_columns)(ptrdiff_t cols, ptrdiff_t j) {
    return cols - j < 2 * VL ? cols - j : 2 * VL;
}

static HL_INLINE ptrdiff_t N(panel_room)(ptrdiff_t columns) {
    return columns == 1 ? 1 : columns <= VL ? VL : 2 * VL;
}

static void N(lookup)(const int32_t *index, ptrdiff_t n, const void *table, ptrdiff_t rows,
                      ptrdiff_t cols, void *y_) {
    const T *panel = table;
    for (ptrdiff_t j = 0; j < cols; j += 2 * VL) {
        const ptrdiff_t columns = N(panel_columns)(cols, j), room = N(panel_room)(columns);
        for (ptrdiff_t i = 0; i < n; i++) {
            T *y = (T *)y_ + i * cols + j;
            const int known = index[i] >= 0 && index[i] < rows;
            const T *row = known ? panel + index[i] * room : NULL;
            for (ptrdiff_t c = 0; c < columns; c += VL) {
                const int count = lanes_left(columns - c);
                store_n(y + c, known ? load_n(row + c, count) : splat((T)NAN), count);
            }
        }
        panel += rows * room;
    }
}

/* Rows of a table are dealt out to threads in blocks, which share no cache line, as their numbers
 * fall: those that stand first, often the most frequent ones, are spread over all threads. */
#undef BLOCK_ROWS
#define BLOCK_ROWS 16

static HL_INLINE int N(part_of)(ptrdiff_t row, int parts) {
    const uint32_t scattered = (uint32_t)(row / BLOCK_ROWS) * UINT32_C(2654435769); /* 2^32 / phi */
    return (int)(((uint64_t)scattered * (uint64_t)parts) >> 32);
}

static void N(lookup_gradient)(const int32_t *index, ptrdiff_t n, const void *dy_, ptrdiff_t rows,
                               ptrdiff_t cols, int part, int parts, void *dw) {
    T *panel = dw;
    for (ptrdiff_t j = 0; j < cols; j += 2 * VL) {
        const ptrdiff_t columns = N(panel_columns)(cols, j), room = N(panel_room)(columns);
        for (ptrdiff_t first = 0; first < rows; first += BLOCK_ROWS)
            if (N(part_of)(first, parts) == part) {
                const ptrdiff_t count = rows - first < BLOCK_ROWS ? rows - first : BLOCK_ROWS;
                memset(panel + first * room, 0, (size_t)(count * room) * sizeof(T));
            }
        for (ptrdiff_t i = 0; i < n; i++) {
            if (index[i] < 0 || index[i] >= rows || N(part_of)(index[i], parts) != part)
                continue;
            const T *dy = (const T *)dy_ + i * cols + j;
            T *row = panel + index[i] * room;
            for (ptrdiff_t c = 0; c < columns; c += VL) {
                const int count = lanes_left(columns - c);
                store_n(row + c, load_n(row + c, count) + load_n(dy + c, count), count);
            }
        }
        panel += rows * room;
    }
}

static void N(encode)(int counts, const int32_t *index, ptrdiff_t rows, ptrdiff_t n,
                      ptrdiff_t depth, void *y_) {
    T *y = y_;
    memset(y, 0, (size_t)(rows * depth) * sizeof(T));
    for (ptrdiff_t i = 0; i < rows; i++, y += depth)
        for (ptrdiff_t p = 0; p < n; p++) {
            const int32_t k = index[i * n + p];
            if (k >= 0 && k < depth)
                y[k] = counts ? y[k] + 1 : 1;
        }
}
