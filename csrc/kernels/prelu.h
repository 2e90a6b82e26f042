/* PReLU: a slope below 0 for each column, and its gradients. */

static void N(prelu)(const void *x_, const void *alpha, void *y, ptrdiff_t rows, ptrdiff_t cols) {
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec x = load_n((const T *)x_ + i * cols + j, count);
            const vec below = x * load_n((const T *)alpha + j, count);
            store_n((T *)y + i * cols + j, select((ivec)(x < 0), below, x), count);
        }
}

static void N(prelu_gradient)(const void *dy_, const void *x_, const void *alpha, void *dx,
                              ptrdiff_t rows, ptrdiff_t cols) {
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec x = load_n((const T *)x_ + i * cols + j, count);
            const vec dy = load_n((const T *)dy_ + i * cols + j, count);
            const vec below = dy * load_n((const T *)alpha + j, count);
            store_n((T *)dx + i * cols + j,
                    only((ivec)(x != 0), select((ivec)(x < 0), below, dy)), count);
        }
}

static HL_INLINE vec N(add_weighted_negative)(vec sum, vec x, vec dy, vec shift) {
    (void)shift;
    return sum + only((ivec)(x < 0), dy * x);
}

static HL_INLINE void N(prelu_alpha_gradient_at)(const int vecs, ptrdiff_t j, int last,
                                                 const T *dy, const T *x, ptrdiff_t ld,
                                                 ptrdiff_t rows, T *dalpha) {
    const vec none[4] = {splat(0), splat(0), splat(0), splat(0)};
    vec sum[4];
    N(sum_terms)(vecs, N(add_weighted_negative), x + j, dy + j, none, ld, rows, last, sum);
    HL_UNROLL for (int v = 0; v < vecs; v++)
        store_n(dalpha + j + v * VL, sum[v], v == vecs - 1 ? last : VL);
}

static void N(prelu_alpha_gradient)(const void *dy, const void *x, ptrdiff_t ld, ptrdiff_t rows,
                                    ptrdiff_t cols, void *dalpha) {
    HL_BY_COLUMNS(N(prelu_alpha_gradient_at), dy, x, ld, rows, dalpha);
}
