/* Matrix-product tiles: see hl_kernels.gemm.
 *
 * One function per tile shape, so that the compiler keeps every accumulator in a register: rows
 * from 1 to MR, one or two vectors of columns, and the two layouts of a. 2 * MR accumulators, two
 * vectors of b and one broadcast element of a fit the register file: 6 rows with 16 registers, 12
 * with 32.
 */

#undef MR
#undef HL_EACH_ROWS
#if HL_REGISTERS == 32
#define MR 12
#define HL_EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#else
#define MR 6
#define HL_EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#endif

/* The next term of every sum: acc[i] += a[i, p] * b[p]. Element (i, p) of a is
 * group[i / 3][i % 3 * a_row] or, transposed, group[0][i]. */
static HL_INLINE void N(tile_step)(const int rows, const int vecs, const int transposed,
                                   vec acc[MR][2], const T *const *group, ptrdiff_t a_row,
                                   const T *b) {
    vec b_p[2];
    HL_UNROLL for (int v = 0; v < vecs; v++)
        b_p[v] = load(b + v * VL);
    HL_UNROLL for (int i = 0; i < rows; i++) {
        const vec a_ip = splat(transposed ? group[0][i] : group[i / 3][i % 3 * a_row]);
        HL_UNROLL for (int v = 0; v < vecs; v++)
            acc[i][v] += a_ip * b_p[v];
    }
}

static HL_INLINE void N(tile)(const int rows, const int vecs, const int transposed, ptrdiff_t n,
                              ptrdiff_t k, const T *a, ptrdiff_t a_stride, const T *b,
                              const T *init, int accumulate, T *c, ptrdiff_t c_row) {
    const int width = vecs * VL;
    const int last = (int)n - (width - VL); /* columns of the last vector */
    vec acc[MR][2];
    HL_UNROLL for (int i = 0; i < rows; i++) {
        HL_UNROLL for (int v = 0; v < vecs; v++) {
            if (accumulate)
                acc[i][v] = load_n(c + i * c_row + v * VL, v == vecs - 1 ? last : VL);
            else
                acc[i][v] = init ? load(init + v * VL) : splat(0);
        }
    }

    const ptrdiff_t a_step = transposed ? a_stride : 1;
    const T *group[(MR + 2) / 3];
    HL_UNROLL for (int g = 0; g < (rows + 2) / 3; g++)
        group[g] = a + (transposed ? 0 : 3 * g * a_stride);
    for (ptrdiff_t p = 0; p < k; p++) {
        N(tile_step)(rows, vecs, transposed, acc, group, a_stride, b);
        HL_UNROLL for (int g = 0; g < (rows + 2) / 3; g++)
            group[g] += a_step;
        b += width;
    }

    HL_UNROLL for (int i = 0; i < rows; i++) {
        HL_UNROLL for (int v = 0; v < vecs; v++)
            store_n(c + i * c_row + v * VL, acc[i][v], v == vecs - 1 ? last : VL);
    }
}

typedef void N(tile_function)(ptrdiff_t n, ptrdiff_t k, const T *a, ptrdiff_t a_stride, const T *b,
                              const T *init, int accumulate, T *c, ptrdiff_t c_row);

#undef HL_TILE
#undef HL_TILES
#define HL_TILE(name, rows, vecs, transposed)                                                      \
    static void N(name)(ptrdiff_t n, ptrdiff_t k, const T *a, ptrdiff_t a_stride, const T *b,      \
                        const T *init, int accumulate, T *c, ptrdiff_t c_row) {                    \
        N(tile)(rows, vecs, transposed, n, k, a, a_stride, b, init, accumulate, c, c_row);         \
    }
#define HL_TILES(rows)                                                                             \
    HL_TILE(tile_##rows##x1, rows, 1, 0)                                                           \
    HL_TILE(tile_##rows##x2, rows, 2, 0)                                                           \
    HL_TILE(tile_##rows##x1_transposed, rows, 1, 1)                                                \
    HL_TILE(tile_##rows##x2_transposed, rows, 2, 1)
HL_EACH_ROWS(HL_TILES)

#undef HL_X1
#undef HL_X2
#undef HL_X1_TRANSPOSED
#undef HL_X2_TRANSPOSED
#define HL_X1(rows) N(tile_##rows##x1),
#define HL_X2(rows) N(tile_##rows##x2),
#define HL_X1_TRANSPOSED(rows) N(tile_##rows##x1_transposed),
#define HL_X2_TRANSPOSED(rows) N(tile_##rows##x2_transposed),

static N(tile_function) *const N(tiles)[2][2][MR] = {
    {{HL_EACH_ROWS(HL_X1)}, {HL_EACH_ROWS(HL_X2)}},
    {{HL_EACH_ROWS(HL_X1_TRANSPOSED)}, {HL_EACH_ROWS(HL_X2_TRANSPOSED)}},
};

static void N(gemm)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const void *a, ptrdiff_t a_row,
                    ptrdiff_t a_col, const void *b, const void *init, int accumulate, void *c,
                    ptrdiff_t c_row) {
    if (m <= 0 || n <= 0)
        return;
    const int transposed = a_col != 1;
    N(tiles)[transposed][n > VL][m - 1](n, k, a, transposed ? a_col : a_row, b, init, accumulate, c,
                                        c_row);
}
