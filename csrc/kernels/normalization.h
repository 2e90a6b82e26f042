/* Normalisation: over the rows of a batch, column by column, and over the columns of each row.
 *
 * A column's sum adds blocks of SUM_BLOCK rows: of many rows, what one more adds is not lost in
 * the rounding of what there is already. */

#undef SUM_BLOCK
#define SUM_BLOCK 64

/* What stands for a missing vector of factors or summands. */
static HL_INLINE vec N(load_or)(const T *p, ptrdiff_t j, int count, T missing) {
    return p ? load_n(p + j, count) : splat(missing);
}

/* What a sum over a column is with one more term; shift is the column's mean or near it. */
static HL_INLINE vec N(add_distance)(vec sum, vec x, vec dy, vec shift) {
    (void)dy;
    return sum + (x - shift);
}

static HL_INLINE vec N(add_squared_distance)(vec sum, vec x, vec dy, vec shift) {
    (void)dy;
    return mul_add(x - shift, x - shift, sum);
}

static HL_INLINE vec N(add_weighted_distance)(vec sum, vec x, vec dy, vec shift) {
    return mul_add(dy, x - shift, sum);
}

/* sum[v] = what add makes of all rows, for vecs vectors of columns, the last of `last` lanes. */
static HL_INLINE void N(sum_terms)(const int vecs, vec (*add)(vec sum, vec x, vec dy, vec shift),
                                   const T *x, const T *dy, const vec *shift, ptrdiff_t ld,
                                   ptrdiff_t rows, int last, vec *sum) {
    HL_UNROLL for (int v = 0; v < vecs; v++)
        sum[v] = splat(0);
    for (ptrdiff_t start = 0; start < rows; start += SUM_BLOCK) {
        const ptrdiff_t stop = rows - start < SUM_BLOCK ? rows : start + SUM_BLOCK;
        vec part[4] = {splat(0), splat(0), splat(0), splat(0)};
        for (ptrdiff_t i = start; i < stop; i++)
            HL_UNROLL for (int v = 0; v < vecs; v++) {
                const int count = v == vecs - 1 ? last : VL;
                const ptrdiff_t at = i * ld + v * VL;
                part[v] = add(part[v], load_n(x + at, count), load_n(dy + at, count), shift[v]);
            }
        HL_UNROLL for (int v = 0; v < vecs; v++)
            sum[v] += part[v];
    }
}

/* Runs body(vecs, j, last) on all columns: four vectors at a time hide the latency of additions. */
#undef HL_BY_COLUMNS
#define HL_BY_COLUMNS(body, ...)                                  \
    do {                                                          \
        ptrdiff_t j = 0;                                          \
        for (; cols - j >= 4 * VL; j += 4 * VL)                   \
            body(4, j, VL, __VA_ARGS__);                          \
        for (; j < cols; j += VL)                                 \
            body(1, j, lanes_left(cols - j), __VA_ARGS__);        \
    } while (0)

/* Variances whose sums overflow before they are divided by the rows; they may be infinite. */
static vec N(large_variances)(const T *x, ptrdiff_t ld, ptrdiff_t rows, int count, vec center) {
    const T share = 1 / vsqrt(splat((T)rows))[0];
    vec sum = splat(0);
    for (ptrdiff_t i = 0; i < rows; i++) {
        const vec d = (load_n(x + i * ld, count) - center) * share;
        sum = mul_add(d, d, sum);
    }
    return sum;
}

static HL_INLINE void N(moments_at)(const int vecs, ptrdiff_t j, int last, const T *x, ptrdiff_t ld,
                                    ptrdiff_t rows, T *mean, T *variance) {
    vec center[4], apart[4], spread[4];
    x += j;
    /* As distances from the first row, equal numbers have themselves for a mean, and no variance:
     * their rounding errors, over the root of epsilon, would be a column's values. */
    HL_UNROLL for (int v = 0; v < vecs; v++)
        center[v] = load_n(x + v * VL, v == vecs - 1 ? last : VL);
    N(sum_terms)(vecs, N(add_distance), x, x, center, ld, rows, last, apart);
    HL_UNROLL for (int v = 0; v < vecs; v++)
        center[v] += apart[v] / (T)rows;
    N(sum_terms)(vecs, N(add_squared_distance), x, x, center, ld, rows, last, spread);
    HL_UNROLL for (int v = 0; v < vecs; v++) {
        const int count = v == vecs - 1 ? last : VL;
        store_n(mean + j + v * VL, center[v], count);
        spread[v] /= (T)rows;
        if (!isfinite(sum_lanes(spread[v])))
            spread[v] = N(finite_or)(
                spread[v], N(large_variances)(x + v * VL, ld, rows, count, center[v]));
        store_n(variance + j + v * VL, spread[v], count);
    }
}

static void N(column_moments)(const void *x, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t cols,
                              void *mean, void *variance) {
    HL_BY_COLUMNS(N(moments_at), x, ld, rows, mean, variance);
}

/* What the rows of a block of columns have in common. */
static HL_INLINE vec N(inverse_deviation)(T epsilon, const T *variance, ptrdiff_t j, int count) {
    return 1 / vsqrt(load_n(variance + j, count) + epsilon);
}

static HL_INLINE void N(normalize_at)(const int vecs, ptrdiff_t j, int last, T epsilon, const T *x,
                                      const T *mean, const T *variance, const T *gamma,
                                      const T *beta, T *y, ptrdiff_t rows, ptrdiff_t cols) {
    vec center[4], factor[4], offset[4];
    HL_UNROLL for (int v = 0; v < vecs; v++) {
        const int count = v == vecs - 1 ? last : VL;
        const ptrdiff_t at = j + v * VL;
        center[v] = load_n(mean + at, count);
        factor[v] = N(inverse_deviation)(epsilon, variance, at, count) *
                    N(load_or)(gamma, at, count, 1);
        offset[v] = N(load_or)(beta, at, count, 0);
    }
    for (ptrdiff_t i = 0; i < rows; i++)
        HL_UNROLL for (int v = 0; v < vecs; v++) {
            const int count = v == vecs - 1 ? last : VL;
            const ptrdiff_t at = i * cols + j + v * VL;
            const vec distance = load_n(x + at, count) - center[v];
            store_n(y + at, mul_add(distance, factor[v], offset[v]), count);
        }
}

static void N(normalize)(double epsilon, const void *x, const void *mean, const void *variance,
                         const void *gamma, const void *beta, void *y, ptrdiff_t rows,
                         ptrdiff_t cols) {
    HL_BY_COLUMNS(N(normalize_at), (T)epsilon, x, mean, variance, gamma, beta, y, rows, cols);
}

static HL_INLINE void N(scale_gradient_at)(const int vecs, ptrdiff_t j, int last, T epsilon,
                                           const T *dy, const T *x, const T *mean,
                                           const T *variance, ptrdiff_t ld, ptrdiff_t rows,
                                           T *dgamma) {
    vec center[4], sum[4];
    HL_UNROLL for (int v = 0; v < vecs; v++)
        center[v] = load_n(mean + j + v * VL, v == vecs - 1 ? last : VL);
    N(sum_terms)(vecs, N(add_weighted_distance), x + j, dy + j, center, ld, rows, last, sum);
    HL_UNROLL for (int v = 0; v < vecs; v++) {
        const int count = v == vecs - 1 ? last : VL;
        const ptrdiff_t at = j + v * VL;
        store_n(dgamma + at, sum[v] * N(inverse_deviation)(epsilon, variance, at, count), count);
    }
}

static void N(normalize_scale_gradient)(double epsilon, const void *dy, const void *x,
                                        const void *mean, const void *variance, ptrdiff_t ld,
                                        ptrdiff_t rows, ptrdiff_t cols, void *dgamma) {
    HL_BY_COLUMNS(N(scale_gradient_at), (T)epsilon, dy, x, mean, variance, ld, rows, dgamma);
}

static HL_INLINE void N(normalize_gradient_at)(const int vecs, ptrdiff_t j, int last, T epsilon,
                                               T share, const T *dy, const T *x, const T *mean,
                                               const T *variance, const T *gamma, const T *dgamma,
                                               const T *dbeta, T *dx, ptrdiff_t rows,
                                               ptrdiff_t cols) {
    vec center[4], factor[4], shift[4], slope[4];
    HL_UNROLL for (int v = 0; v < vecs; v++) {
        const int count = v == vecs - 1 ? last : VL;
        const ptrdiff_t at = j + v * VL;
        const vec inverse = N(inverse_deviation)(epsilon, variance, at, count);
        center[v] = load_n(mean + at, count);
        factor[v] = inverse * N(load_or)(gamma, at, count, 1);
        shift[v] = N(load_or)(dbeta, at, count, 0) * share;
        slope[v] = N(load_or)(dgamma, at, count, 0) * inverse * share;
    }
    for (ptrdiff_t i = 0; i < rows; i++)
        HL_UNROLL for (int v = 0; v < vecs; v++) {
            const int count = v == vecs - 1 ? last : VL;
            const ptrdiff_t at = i * cols + j + v * VL;
            const vec rest = load_n(dy + at, count) - shift[v];
            const vec below = center[v] - load_n(x + at, count);
            store_n(dx + at, mul_add(below, slope[v], rest) * factor[v], count);
        }
}

static void N(normalize_gradient)(double epsilon, ptrdiff_t total, const void *dy, const void *x,
                                  const void *mean, const void *variance, const void *gamma,
                                  const void *dgamma, const void *dbeta, void *dx, ptrdiff_t rows,
                                  ptrdiff_t cols) {
    HL_BY_COLUMNS(N(normalize_gradient_at), (T)epsilon, 1 / (T)total, dy, x, mean, variance, gamma,
                  dgamma, dbeta, dx, rows, cols);
}

static void N(moving_average)(double momentum_, const void *value, void *average, ptrdiff_t n) {
    const vec momentum = splat((T)momentum_), rest = splat((T)(1 - momentum_));
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const int count = lanes_left(n - i);
        const vec kept = load_n((const T *)average + i, count) * momentum;
        store_n((T *)average + i, mul_add(load_n((const T *)value + i, count), rest, kept), count);
    }
}

/* layer_norm of one row that is divided by its largest element first. */
static void N(layer_norm_scaled)(int centered, double epsilon, T size, const T *x, const T *gamma,
                                 const T *beta, T *y, T *mean, T *inverse, ptrdiff_t cols) {
    vec sum = splat(0), squares = splat(0);
    for (ptrdiff_t j = 0; centered && j < cols; j += VL)
        sum += load_n(x + j, lanes_left(cols - j)) / size;
    const T center = sum_lanes(sum) / (T)cols;
    for (ptrdiff_t j = 0; j < cols; j += VL) {
        const int count = lanes_left(cols - j);
        const vec d = only(first_lanes(count), load_n(x + j, count) / size - center);
        squares = mul_add(d, d, squares);
    }
    const double variance = (double)sum_lanes(squares) / (double)cols;
    const T factor = (T)(1 / sqrt(variance + epsilon / (double)size / (double)size));
    for (ptrdiff_t j = 0; j < cols; j += VL) {
        const int count = lanes_left(cols - j);
        const vec normal = (load_n(x + j, count) / size - center) * factor;
        const vec scale = N(load_or)(gamma, j, count, 1);
        store_n(y + j, mul_add(normal, scale, N(load_or)(beta, j, count, 0)), count);
    }
    *mean = center * size;
    *inverse = factor / size;
}

static void N(layer_norm)(int centered, double epsilon, const void *x_, const void *gamma,
                          const void *beta, void *y_, void *mean, void *inverse, ptrdiff_t rows,
                          ptrdiff_t cols) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T *x = (const T *)x_ + i * cols;
        T *y = (T *)y_ + i * cols;
        vec sum = splat(0), squares = splat(0);
        for (ptrdiff_t j = 0; centered && j < cols; j += VL)
            sum += load_n(x + j, lanes_left(cols - j));
        T center = sum_lanes(sum) / (T)cols;
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec d = only(first_lanes(count), load_n(x + j, count) - center);
            squares = mul_add(d, d, squares);
        }
        const T spread = sum_lanes(squares) / (T)cols + (T)epsilon;
        T factor = (1 / vsqrt(splat(spread)))[0], size;
        if ((!isfinite(spread) || N(is_minute)(spread)) && (size = N(row_size)(x, cols)) > 0)
            N(layer_norm_scaled)(centered, epsilon, size, x, gamma, beta, y, &center, &factor,
                                 cols);
        else
            for (ptrdiff_t j = 0; j < cols; j += VL) {
                const int count = lanes_left(cols - j);
                const vec normal = (load_n(x + j, count) - center) * factor;
                const vec scale = N(load_or)(gamma, j, count, 1);
                store_n(y + j, mul_add(normal, scale, N(load_or)(beta, j, count, 0)), count);
            }
        if (mean)
            ((T *)mean)[i] = center;
        if (inverse)
            ((T *)inverse)[i] = factor;
    }
}

static HL_INLINE void N(layer_scale_gradient_at)(const int vecs, ptrdiff_t j, int last, const T *dy,
                                                 const T *x, const T *mean, const T *inverse,
                                                 ptrdiff_t ld, ptrdiff_t rows, T *dgamma) {
    vec sum[4] = {splat(0), splat(0), splat(0), splat(0)};
    for (ptrdiff_t start = 0; start < rows; start += SUM_BLOCK) {
        const ptrdiff_t stop = rows - start < SUM_BLOCK ? rows : start + SUM_BLOCK;
        vec part[4] = {splat(0), splat(0), splat(0), splat(0)};
        for (ptrdiff_t i = start; i < stop; i++)
            HL_UNROLL for (int v = 0; v < vecs; v++) {
                const int count = v == vecs - 1 ? last : VL;
                const ptrdiff_t at = i * ld + j + v * VL;
                const vec normal = (load_n(x + at, count) - mean[i]) * inverse[i];
                part[v] = mul_add(load_n(dy + at, count), normal, part[v]);
            }
        HL_UNROLL for (int v = 0; v < vecs; v++)
            sum[v] += part[v];
    }
    HL_UNROLL for (int v = 0; v < vecs; v++)
        store_n(dgamma + j + v * VL, sum[v], v == vecs - 1 ? last : VL);
}

static void N(layer_norm_scale_gradient)(const void *dy, const void *x, const void *mean,
                                         const void *inverse, ptrdiff_t ld, ptrdiff_t rows,
                                         ptrdiff_t cols, void *dgamma) {
    HL_BY_COLUMNS(N(layer_scale_gradient_at), dy, x, mean, inverse, ld, rows, dgamma);
}

static void N(layer_norm_gradient)(int centered, const void *dy_, const void *x_, const void *mean,
                                   const void *inverse, const void *gamma, void *dx_,
                                   ptrdiff_t rows, ptrdiff_t cols) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T *dy = (const T *)dy_ + i * cols, *x = (const T *)x_ + i * cols;
        T *dx = (T *)dx_ + i * cols;
        const T center = ((const T *)mean)[i], factor = ((const T *)inverse)[i];
        vec sum = splat(0), dot = splat(0);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec g = load_n(dy + j, count) * N(load_or)(gamma, j, count, 1);
            sum += g;
            /* g is 0 in lanes beyond the end. */
            dot = mul_add(g, load_n(x + j, count) - center, dot);
        }
        const T shift = centered ? sum_lanes(sum) / (T)cols : 0;
        T along = sum_lanes(dot) * factor;
        if (!isfinite(along)) {
            dot = splat(0);
            for (ptrdiff_t j = 0; j < cols; j += VL) {
                const int count = lanes_left(cols - j);
                const vec g = load_n(dy + j, count) * N(load_or)(gamma, j, count, 1);
                dot = mul_add(g, (load_n(x + j, count) - center) * factor, dot);
            }
            along = sum_lanes(dot);
        }
        const T slope = along * factor / (T)cols;
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec g = load_n(dy + j, count) * N(load_or)(gamma, j, count, 1);
            const vec below = center - load_n(x + j, count);
            store_n(dx + j, mul_add(below, splat(slope), g - shift) * factor, count);
        }
    }
}
