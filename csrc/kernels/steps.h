/* Examples of several rows: steps of a sequence. */

static void N(repeat_steps)(const void *x_, ptrdiff_t rows, ptrdiff_t steps, ptrdiff_t cols,
                            void *y_) {
    T *y = y_;
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T *x = (const T *)x_ + i * cols;
        if (cols == 1) {
            for (ptrdiff_t t = 0; t < steps; t += VL)
                store_n(y + t, splat(*x), lanes_left(steps - t));
            y += steps;
            continue;
        }
        for (ptrdiff_t t = 0; t < steps; t++, y += cols)
            for (ptrdiff_t j = 0; j < cols; j += VL) {
                const int count = lanes_left(cols - j);
                store_n(y + j, load_n(x + j, count), count);
            }
    }
}

static void N(max_steps)(const void *x_, ptrdiff_t rows, ptrdiff_t steps, ptrdiff_t cols,
                         void *y_) {
    const T *x = x_;
    T *y = y_;
    for (ptrdiff_t i = 0; i < rows; i++, x += steps * cols, y += cols)
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            vec most = splat(-(T)INFINITY);
            for (ptrdiff_t t = 0; t < steps; t++)
                most = N(maximum)(most, load_n(x + t * cols + j, count));
            store_n(y + j, most, count);
        }
}

static void N(max_steps_gradient)(const void *dy_, const void *x_, const void *y_, ptrdiff_t rows,
                                  ptrdiff_t steps, ptrdiff_t cols, void *dx_) {
    const T *dy = dy_, *x = x_, *y = y_;
    T *dx = dx_;
    const vec one = splat(1);
    for (ptrdiff_t i = 0; i < rows; i++, dy += cols, y += cols, x += steps * cols, dx += steps * cols)
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec most = load_n(y + j, count);
            vec equal = splat(0);
            for (ptrdiff_t t = 0; t < steps; t++)
                equal += only((ivec)(load_n(x + t * cols + j, count) == most), one);
            const vec share = load_n(dy + j, count) / equal;
            for (ptrdiff_t t = 0; t < steps; t++) {
                const ptrdiff_t at = t * cols + j;
                store_n(dx + at, only((ivec)(load_n(x + at, count) == most), share), count);
            }
        }
}

static HL_RARE void N(cumulative_sum)(int reverse, const void *x_, ptrdiff_t rows, ptrdiff_t steps,
                                      ptrdiff_t cols, void *y_) {
    const ptrdiff_t first = reverse && steps ? (steps - 1) * cols : 0;
    const ptrdiff_t on = reverse ? -cols : cols;
    const T *x = (const T *)x_ + first;
    T *y = (T *)y_ + first;
    for (ptrdiff_t i = 0; i < rows; i++, x += steps * cols, y += steps * cols) {
        if (cols == 1) {
            T sum = 0;
            for (ptrdiff_t t = 0; t < steps; t++)
                y[t * on] = sum += x[t * on];
            continue;
        }
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            vec sum = splat(0);
            for (ptrdiff_t t = 0; t < steps; t++) {
                sum += load_n(x + t * on + j, count);
                store_n(y + t * on + j, sum, count);
            }
        }
    }
}

/* The inner product of two rows, in an order that depends on their length alone. */
static HL_INLINE T N(inner_product)(const T *a, const T *b, ptrdiff_t n) {
    vec sum[2] = {splat(0), splat(0)};
    ptrdiff_t p = 0;
    for (; n - p > VL; p += 2 * VL) {
        const int count = lanes_left(n - p - VL);
        sum[0] = mul_add(load(a + p), load(b + p), sum[0]);
        sum[1] = mul_add(load_n(a + p + VL, count), load_n(b + p + VL, count), sum[1]);
    }
    if (p < n) {
        const int count = lanes_left(n - p);
        sum[0] = mul_add(load_n(a + p, count), load_n(b + p, count), sum[0]);
    }
    return sum_lanes(sum[0] + sum[1]);
}

static void N(unit_rows)(const void *x_, void *y_, ptrdiff_t rows, ptrdiff_t cols) {
    const T *x = x_;
    T *y = y_;
    for (ptrdiff_t i = 0; i < rows; i++, x += cols, y += cols) {
        const T factor = N(inverse_length)(x, N(inner_product)(x, x, cols), cols);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            store_n(y + j, load_n(x + j, count) * factor, count);
        }
    }
}

static void N(unit_rows_gradient)(const void *dy_, const void *x_, void *dx_, ptrdiff_t rows,
                                  ptrdiff_t cols) {
    const T *dy = dy_, *x = x_;
    T *dx = dx_;
    for (ptrdiff_t i = 0; i < rows; i++, dy += cols, x += cols, dx += cols) {
        const T factor = N(inverse_length)(x, N(inner_product)(x, x, cols), cols);
        T cosine = N(inner_product)(dy, x, cols) * factor;
        if (!isfinite(cosine))
            cosine = N(unit_product)(dy, 1, x, factor, cols);
        /* A length that is taken for EPSILON does not depend on x. */
        const T along = factor < 1 / EPSILON ? cosine * factor : 0;
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec across =
                mul_add(-load_n(x + j, count), splat(along), load_n(dy + j, count));
            store_n(dx + j, across * factor, count);
        }
    }
}

/* max(sqrt(v), EPSILON); NaN where v is. */
static HL_INLINE vec N(deviation)(vec v) {
    return vmax(splat(EPSILON), vsqrt(v));
}

static HL_INLINE vec N(standardized)(const int invert, vec x, vec mean, vec deviation) {
    return invert ? mul_add(x, deviation, mean) : (x - mean) / deviation;
}

static HL_INLINE void N(standardize_rows)(const int invert, const T *x, const T *mean,
                                          const T *variance, ptrdiff_t rows, ptrdiff_t cols, T *y) {
    for (ptrdiff_t j = 0; j < cols; j += VL) {
        const int count = lanes_left(cols - j);
        const vec shift = mean ? load_n(mean + j, count) : splat(0);
        const vec deviation = N(deviation)(load_n(variance + j, count));
        for (ptrdiff_t i = 0; i < rows; i++) {
            const ptrdiff_t at = i * cols + j;
            store_n(y + at, N(standardized)(invert, load_n(x + at, count), shift, deviation),
                    count);
        }
    }
}

static HL_INLINE void N(standardize_runs)(const int invert, const T *x, const T *mean,
                                          const T *variance, ptrdiff_t rows, ptrdiff_t cols,
                                          ptrdiff_t run, T *y) {
    for (ptrdiff_t i = 0; i < rows * cols; i++, x += run, y += run) {
        const vec shift = splat(mean ? mean[i % cols] : 0);
        const vec deviation = N(deviation)(splat(variance[i % cols]));
        for (ptrdiff_t j = 0; j < run; j += VL) {
            const int count = lanes_left(run - j);
            store_n(y + j, N(standardized)(invert, load_n(x + j, count), shift, deviation), count);
        }
    }
}

static HL_RARE void N(standardize)(int invert, const void *x, const void *mean, const void *variance,
                           ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t run, void *y) {
    if (run == 1 && invert)
        N(standardize_rows)(1, x, mean, variance, rows, cols, y);
    else if (run == 1)
        N(standardize_rows)(0, x, mean, variance, rows, cols, y);
    else if (invert)
        N(standardize_runs)(1, x, mean, variance, rows, cols, run, y);
    else
        N(standardize_runs)(0, x, mean, variance, rows, cols, run, y);
}
