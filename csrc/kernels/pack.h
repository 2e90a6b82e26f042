/* Panels: see hl_kernels.pack and unpack. */

#undef HL_SHUFFLE
#if defined __clang__ || __GNUC__ >= 12
#define HL_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define HL_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
#endif

/* Two-operand shuffles that instruction sets have as one instruction. SMALL interleaves the
 * elements within each 128 bits, PAIR the 64-bit halves within each 128 bits, CHUNK the 128-bit
 * chunks within each 256 bits, HALF the 256-bit halves. */
#undef SMALL_LOW
#undef SMALL_HIGH
#undef PAIR_LOW
#undef PAIR_HIGH
#undef CHUNK_LOW
#undef CHUNK_HIGH
#undef HALF_LOW
#undef HALF_HIGH
#if T_BITS == 32 && HL_VECTOR_BYTES == 64
#define SMALL_LOW 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define SMALL_HIGH 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define PAIR_LOW 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define PAIR_HIGH 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define CHUNK_LOW 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27
#define CHUNK_HIGH 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31
#define HALF_LOW 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define HALF_HIGH 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#elif T_BITS == 64 && HL_VECTOR_BYTES == 64
#define PAIR_LOW 0, 8, 2, 10, 4, 12, 6, 14
#define PAIR_HIGH 1, 9, 3, 11, 5, 13, 7, 15
#define CHUNK_LOW 0, 1, 8, 9, 4, 5, 12, 13
#define CHUNK_HIGH 2, 3, 10, 11, 6, 7, 14, 15
#define HALF_LOW 0, 1, 2, 3, 8, 9, 10, 11
#define HALF_HIGH 4, 5, 6, 7, 12, 13, 14, 15
#elif T_BITS == 32 && HL_VECTOR_BYTES == 32
#define SMALL_LOW 0, 8, 1, 9, 4, 12, 5, 13
#define SMALL_HIGH 2, 10, 3, 11, 6, 14, 7, 15
#define PAIR_LOW 0, 1, 8, 9, 4, 5, 12, 13
#define PAIR_HIGH 2, 3, 10, 11, 6, 7, 14, 15
#define CHUNK_LOW 0, 1, 2, 3, 8, 9, 10, 11
#define CHUNK_HIGH 4, 5, 6, 7, 12, 13, 14, 15
#elif T_BITS == 64 && HL_VECTOR_BYTES == 32
#define PAIR_LOW 0, 4, 2, 6
#define PAIR_HIGH 1, 5, 3, 7
#define CHUNK_LOW 0, 1, 4, 5
#define CHUNK_HIGH 2, 3, 6, 7
#elif T_BITS == 32
#define SMALL_LOW 0, 4, 1, 5
#define SMALL_HIGH 2, 6, 3, 7
#define PAIR_LOW 0, 1, 4, 5
#define PAIR_HIGH 2, 3, 6, 7
#else
#define PAIR_LOW 0, 2
#define PAIR_HIGH 1, 3
#endif

#undef HL_EXCHANGE
#define HL_EXCHANGE(a, b, low, high)                                                               \
    do {                                                                                           \
        const vec first_ = HL_SHUFFLE(a, b, low), second_ = HL_SHUFFLE(a, b, high);                \
        (a) = first_;                                                                              \
        (b) = second_;                                                                             \
    } while (0)

/* r[i][j] <-> r[j][i]. First each 128-bit column of chunks holds small transposed squares, then
 * the squares change places. */
static HL_INLINE void N(transpose)(vec r[VL]) {
    enum { square = 128 / T_BITS };
    HL_UNROLL for (int q = 0; q < VL; q += square) {
#if T_BITS == 32
        HL_EXCHANGE(r[q], r[q + 1], SMALL_LOW, SMALL_HIGH);
        HL_EXCHANGE(r[q + 2], r[q + 3], SMALL_LOW, SMALL_HIGH);
        HL_EXCHANGE(r[q], r[q + 2], PAIR_LOW, PAIR_HIGH);
        HL_EXCHANGE(r[q + 1], r[q + 3], PAIR_LOW, PAIR_HIGH);
        const vec middle = r[q + 1];
        r[q + 1] = r[q + 2];
        r[q + 2] = middle;
#else
        HL_EXCHANGE(r[q], r[q + 1], PAIR_LOW, PAIR_HIGH);
#endif
    }
#if HL_VECTOR_BYTES >= 32
    HL_UNROLL for (int q = 0; q < VL; q += 2 * square)
        HL_UNROLL for (int i = q; i < q + square; i++)
            HL_EXCHANGE(r[i], r[i + square], CHUNK_LOW, CHUNK_HIGH);
#endif
#if HL_VECTOR_BYTES == 64
    HL_UNROLL for (int i = 0; i < 2 * square; i++)
        HL_EXCHANGE(r[i], r[i + 2 * square], HALF_LOW, HALF_HIGH);
#endif
}

/* Lane l of the result is the sum of v[l]'s lanes, folded by the shuffles of a transposition. */
#undef HL_FOLD
#define HL_FOLD(n, low, high)                                                                      \
    HL_UNROLL for (int i = 0; i < (n); i++)                                                        \
        v[i] = HL_SHUFFLE(v[2 * i], v[2 * i + 1], low) + HL_SHUFFLE(v[2 * i], v[2 * i + 1], high)

static HL_INLINE vec N(sums_of_lanes)(vec v[VL]) {
#if T_BITS == 32
    HL_FOLD(VL / 2, SMALL_LOW, SMALL_HIGH);
    HL_FOLD(VL / 4, PAIR_LOW, PAIR_HIGH);
#else
    HL_FOLD(VL / 2, PAIR_LOW, PAIR_HIGH);
#endif
#if HL_VECTOR_BYTES == 32
    HL_FOLD(1, CHUNK_LOW, CHUNK_HIGH);
#elif HL_VECTOR_BYTES == 64
    HL_FOLD(2, CHUNK_LOW, CHUNK_HIGH);
    HL_FOLD(1, HALF_LOW, HALF_HIGH);
#endif
    return v[0];
}

static HL_INLINE void N(transpose_block)(const T *x, ptrdiff_t x_ld, int in_rows, int in_cols,
                                         T *out, ptrdiff_t out_ld, int out_rows, int out_cols) {
    vec r[VL];
    HL_UNROLL for (int i = 0; i < VL; i++)
        r[i] = i < in_rows ? load_n(x + i * x_ld, in_cols) : splat(0);
    N(transpose)(r);
    HL_UNROLL for (int i = 0; i < VL; i++)
        if (i < out_rows)
            store_n(out + i * out_ld, r[i], out_cols);
}

/* Kept out of the callers' loops, where compilers would turn the row addresses into as many loop
 * variables, in memory. */
static __attribute__((noinline)) void N(transpose_full)(const T *x, ptrdiff_t x_ld, T *out,
                                                        ptrdiff_t out_ld) {
    N(transpose_block)(x, x_ld, VL, VL, out, out_ld, VL, VL);
}

static __attribute__((noinline)) void N(transpose_part)(const T *x, ptrdiff_t x_ld, int in_rows,
                                                        int in_cols, T *out, ptrdiff_t out_ld,
                                                        int out_rows, int out_cols) {
    N(transpose_block)(x, x_ld, in_rows, in_cols, out, out_ld, out_rows, out_cols);
}

/* Writes the transpose of a block of in_rows x in_cols elements, at most VL x VL, as out_rows rows
 * of out_cols elements: what the block lacks is zero. */
static void N(transpose_to)(const T *x, ptrdiff_t x_ld, int in_rows, int in_cols, T *out,
                            ptrdiff_t out_ld, int out_rows, int out_cols) {
    if (in_rows == VL && in_cols == VL && out_rows == VL && out_cols == VL)
        N(transpose_full)(x, x_ld, out, out_ld);
    else
        N(transpose_part)(x, x_ld, in_rows, in_cols, out, out_ld, out_rows, out_cols);
}

/* Columns that a panel of n occupies: see hl_kernels. */
static HL_INLINE ptrdiff_t N(panel_width)(ptrdiff_t n) {
    return n <= 1 ? n : n <= VL ? VL : 2 * VL;
}

static void N(pack)(ptrdiff_t k, ptrdiff_t n, const void *x_, ptrdiff_t row, ptrdiff_t col,
                    void *out_) {
    const T *x = x_;
    T *out = out_;
    const ptrdiff_t w = N(panel_width)(n);
    if (n == 1) {
        for (ptrdiff_t p = 0; p < k; p++)
            out[p] = x[p * row];
    } else if (col == 1 && n == w) {
        for (ptrdiff_t p = 0; p < k; p++)
            for (ptrdiff_t j = 0; j < w; j += VL)
                store(out + p * w + j, load(x + p * row + j));
    } else if (col == 1) {
        for (ptrdiff_t p = 0; p < k; p++)
            for (ptrdiff_t j = 0; j < w; j += VL)
                store(out + p * w + j, load_n(x + p * row + j, lanes_left(n - j)));
    } else if (row == 1) {
        for (ptrdiff_t p = 0; p < k; p += VL) {
            const int depth = lanes_left(k - p);
            for (ptrdiff_t j = 0; j < w; j += VL) {
                const int columns = lanes_left(n - j);
                N(transpose_to)(x + p + j * col, col, columns, depth, out + p * w + j, w, depth,
                                VL);
            }
        }
    } else {
        for (ptrdiff_t p = 0; p < k; p++)
            for (ptrdiff_t j = 0; j < w; j++)
                out[p * w + j] = j < n ? x[p * row + j * col] : 0;
    }
}

static void N(unpack)(ptrdiff_t k, ptrdiff_t n, const void *packed_, void *x_, ptrdiff_t row,
                      ptrdiff_t col) {
    const T *packed = packed_;
    T *x = x_;
    const ptrdiff_t w = N(panel_width)(n);
    if (n == 1) {
        for (ptrdiff_t p = 0; p < k; p++)
            x[p * row] = packed[p];
    } else if (col == 1) {
        for (ptrdiff_t p = 0; p < k; p++)
            for (ptrdiff_t j = 0; j < n; j += VL)
                store_n(x + p * row + j, load(packed + p * w + j), lanes_left(n - j));
    } else if (row == 1) {
        for (ptrdiff_t p = 0; p < k; p += VL) {
            const int depth = lanes_left(k - p);
            for (ptrdiff_t j = 0; j < n; j += VL) {
                const int columns = lanes_left(n - j);
                N(transpose_to)(packed + p * w + j, w, depth, VL, x + p + j * col, col, columns,
                                depth);
            }
        }
    } else {
        for (ptrdiff_t p = 0; p < k; p++)
            for (ptrdiff_t j = 0; j < n; j++)
                x[p * row + j * col] = packed[p * w + j];
    }
}
