/* Matrix-product tiles: see hl_kernels.gemm.
 *
 * One function per tile shape, so that the compiler keeps every accumulator in a register: rows
 * from 1 to MR, one or two vectors of columns, and the two layouts of a. 2 * MR accumulators, two
 * vectors of b and one broadcast element of a fit the register file: 6 rows with 16 registers, 12
 * with 32. Rows are spelled out by HL_EACH_ROW, not looped over: an array indexed by constants is
 * registers to every compiler, one indexed by an unrolled loop is memory to some.
 */

#undef MR
#undef HL_EACH_ROW
#undef AHEAD
/* Elements of a column further on that are asked for while it is read: those of the tile after the
 * next, in lines that another core may hold. */
#define AHEAD (128 / (ptrdiff_t)sizeof(T))
#if HL_REGISTERS == 32
#define MR 12
#define HL_EACH_ROW(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#else
#define MR 6
#define HL_EACH_ROW(X) X(1) X(2) X(3) X(4) X(5) X(6)
#endif

static HL_INLINE void N(start_row)(const int vecs, vec acc[2], const T *init, int accumulate,
                                   const T *c, int last) {
    acc[0] = accumulate ? load_n(c, vecs == 1 ? last : VL) : init ? load(init) : splat(0);
    if (vecs == 2)
        acc[1] = accumulate ? load_n(c + VL, last) : init ? load(init + VL) : splat(0);
}

static HL_INLINE void N(step_row)(const int vecs, vec acc[2], T a_ip, const vec b_p[2]) {
    acc[0] = mul_add(splat(a_ip), b_p[0], acc[0]);
    if (vecs == 2)
        acc[1] = mul_add(splat(a_ip), b_p[1], acc[1]);
}

static HL_INLINE void N(finish_row)(const int vecs, const vec acc[2], T *c, int last) {
    store_n(c, acc[0], vecs == 1 ? last : VL);
    if (vecs == 2)
        store_n(c + VL, acc[1], last);
}

/* i counts rows from 1, as HL_EACH_ROW does. */
static HL_INLINE void N(tile)(const int rows, const int vecs, const int transposed, ptrdiff_t n,
                              ptrdiff_t k, const T *const *a, ptrdiff_t at, const T *b,
                              const T *init, int accumulate, T *c, ptrdiff_t c_row) {
    const int last = (int)n - (vecs - 1) * VL; /* columns of the last vector */
    vec acc[MR][2];
#undef HL_START
#define HL_START(i)                                                                                \
    if (i <= rows)                                                                                 \
        N(start_row)(vecs, acc[i - 1], init, accumulate, c + (i - 1) * c_row, last);
    HL_EACH_ROW(HL_START)

#undef HL_ROW
#define HL_ROW(i) const T *const row_##i = !transposed && i <= rows ? a[i - 1] + at : NULL;
    HL_EACH_ROW(HL_ROW)
    for (ptrdiff_t p = 0; p < k; p++) {
        const T *const column = transposed ? a[p] + at : NULL;
        if (transposed)
            __builtin_prefetch(column + AHEAD);
        const vec b_p[2] = {load(b), vecs == 2 ? load(b + VL) : splat(0)};
#undef HL_STEP
#define HL_STEP(i)                                                                                 \
    if (i <= rows)                                                                                 \
        N(step_row)(vecs, acc[i - 1], transposed ? column[i - 1] : row_##i[p], b_p);
        HL_EACH_ROW(HL_STEP)
        b += vecs * VL;
    }

#undef HL_FINISH
#define HL_FINISH(i)                                                                               \
    if (i <= rows)                                                                                 \
        N(finish_row)(vecs, acc[i - 1], c + (i - 1) * c_row, last);
    HL_EACH_ROW(HL_FINISH)
}

typedef void N(tile_function)(ptrdiff_t n, ptrdiff_t k, const T *const *a, ptrdiff_t at, const T *b,
                              const T *init, int accumulate, T *c, ptrdiff_t c_row);

#undef HL_TILE
#undef HL_TILES
#define HL_TILE(name, rows, vecs, transposed)                                                      \
    static void N(name)(ptrdiff_t n, ptrdiff_t k, const T *const *a, ptrdiff_t at, const T *b,     \
                        const T *init, int accumulate, T *c, ptrdiff_t c_row) {                    \
        N(tile)(rows, vecs, transposed, n, k, a, at, b, init, accumulate, c, c_row);               \
    }
#define HL_TILES(rows)                                                                             \
    HL_TILE(tile_##rows##x1, rows, 1, 0)                                                           \
    HL_TILE(tile_##rows##x2, rows, 2, 0)                                                           \
    HL_TILE(tile_##rows##x1_transposed, rows, 1, 1)                                                \
    HL_TILE(tile_##rows##x2_transposed, rows, 2, 1)
HL_EACH_ROW(HL_TILES)

#undef HL_X1
#undef HL_X2
#undef HL_X1_TRANSPOSED
#undef HL_X2_TRANSPOSED
#define HL_X1(rows) N(tile_##rows##x1),
#define HL_X2(rows) N(tile_##rows##x2),
#define HL_X1_TRANSPOSED(rows) N(tile_##rows##x1_transposed),
#define HL_X2_TRANSPOSED(rows) N(tile_##rows##x2_transposed),

static N(tile_function) *const N(tiles)[2][2][MR] = {
    {{HL_EACH_ROW(HL_X1)}, {HL_EACH_ROW(HL_X2)}},
    {{HL_EACH_ROW(HL_X1_TRANSPOSED)}, {HL_EACH_ROW(HL_X2_TRANSPOSED)}},
};

/* One column: dot products of rows, or a sum of columns. Padding it to a vector would make all
 * work on its weights, the optimizer's most of all, VL times as much. */
static HL_INLINE T N(dot)(ptrdiff_t k, const T *a, const T *b) {
    enum { chains = 4 }; /* as many as hide the latency of a multiply-add */
    vec sum[chains] = {splat(0), splat(0), splat(0), splat(0)};
    ptrdiff_t p = 0;
    for (; p + chains * VL <= k; p += chains * VL)
        HL_UNROLL for (int q = 0; q < chains; q++)
            sum[q] = mul_add(load(a + p + q * VL), load(b + p + q * VL), sum[q]);
    for (; p < k; p += VL) {
        const int count = lanes_left(k - p);
        sum[0] = mul_add(load_n(a + p, count), load_n(b + p, count), sum[0]);
    }
    return sum_lanes((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

static void N(column)(ptrdiff_t m, ptrdiff_t k, const T *const *a, ptrdiff_t at, int transposed,
                      const T *b, const T *init, int accumulate, T *c, ptrdiff_t c_row) {
    if (!transposed && k <= VL) {
        const int count = (int)k;
        const vec b_all = load_n(b, count);
        for (ptrdiff_t i = 0; i < m; i++) {
            const T start = accumulate ? c[i * c_row] : init ? init[0] : 0;
            c[i * c_row] = start + sum_lanes(load_n(a[i] + at, count) * b_all);
        }
        return;
    }
    if (!transposed) {
        for (ptrdiff_t i = 0; i < m; i++) {
            const T start = accumulate ? c[i * c_row] : init ? init[0] : 0;
            c[i * c_row] = start + N(dot)(k, a[i] + at, b);
        }
        return;
    }
    for (ptrdiff_t i = 0; i < m; i += VL) {
        const int count = lanes_left(m - i);
        T column[VL] = {0};
        if (accumulate)
            for (int l = 0; l < count; l++)
                column[l] = c[(i + l) * c_row];
        vec sum = accumulate ? load(column) : splat(init ? init[0] : 0);
        for (ptrdiff_t p = 0; p < k; p++)
            sum = mul_add(load_n(a[p] + at + i, count), splat(b[p]), sum);
        if (c_row == 1) {
            store_n(c + i, sum, count);
            continue;
        }
        store(column, sum);
        for (int l = 0; l < count; l++)
            c[(i + l) * c_row] = column[l];
    }
}

static void N(gemm)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const void *const *a_, ptrdiff_t at,
                    int transposed, const void *b, const void *init, int accumulate, void *c,
                    ptrdiff_t c_row) {
    const T *const *a = (const T *const *)a_;
    if (m <= 0 || n <= 0)
        return;
    if (n == 1)
        N(column)(m, k, a, at, transposed, b, init, accumulate, c, c_row);
    else
        N(tiles)[transposed][n > VL][m - 1](n, k, a, at, b, init, accumulate, c, c_row);
}
