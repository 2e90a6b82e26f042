/* Sums over rows, and the softmax family: reductions over the columns of each row.
 *
 * A row's sum runs over its vectors from left to right, then over the lanes: an order that depends
 * on the row's length alone. */

static HL_INLINE void N(sum_columns)(const int vecs, const T *x, ptrdiff_t ld, ptrdiff_t rows,
                                     int last, T *out) {
    vec sum[4] = {splat(0), splat(0), splat(0), splat(0)};
    for (ptrdiff_t i = 0; i < rows; i++)
        HL_UNROLL for (int v = 0; v < vecs; v++)
            sum[v] += load_n(x + i * ld + v * VL, v == vecs - 1 ? last : VL);
    HL_UNROLL for (int v = 0; v < vecs; v++)
        store_n(out + v * VL, sum[v], v == vecs - 1 ? last : VL);
}

static void N(sum_rows)(const void *x, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t cols, void *out) {
    ptrdiff_t j = 0;
    /* Four columns of vectors at a time hide the latency of the additions. */
    for (; cols - j >= 4 * VL; j += 4 * VL)
        N(sum_columns)(4, (const T *)x + j, ld, rows, VL, (T *)out + j);
    for (; j < cols; j += VL)
        N(sum_columns)(1, (const T *)x + j, ld, rows, lanes_left(cols - j), (T *)out + j);
}

static void N(add_parts)(const void *x_, int parts, ptrdiff_t part, ptrdiff_t ld, ptrdiff_t rows,
                         ptrdiff_t cols, void *y_, ptrdiff_t y_ld) {
    const T *x = x_;
    T *y = y_;
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            vec sum = load_n(x + i * ld + j, count);
            for (int q = 1; q < parts; q++)
                sum += load_n(x + q * part + i * ld + j, count);
            store_n(y + i * y_ld + j, sum, count);
        }
}

/* The largest element that is not NaN. */
static HL_INLINE T N(row_max)(const T *x, ptrdiff_t cols) {
    vec most = splat(-(T)INFINITY);
    for (ptrdiff_t j = 0; j < cols; j += VL) {
        const int count = lanes_left(cols - j);
        const vec v = load_n(x + j, count);
        most = vmax(count == VL ? v : select(first_lanes(count), v, most), most);
    }
    return max_lanes(most);
}

/* Squares of large numbers overflow, and those of small ones vanish. Where a sum of them tells that,
 * it is made again of a row divided by its largest element. */

/* x where it is finite, else other. */
static vec N(finite_or)(vec x, vec other) {
    return select((ivec)(x - x == 0), x, other);
}

/* Whether so small a sum of squares may lack some of them. */
static HL_INLINE int N(is_minute)(T squares) {
    return squares < (T)(T_BITS == 32 ? FLT_MIN / FLT_EPSILON : DBL_MIN / DBL_EPSILON);
}

/* The largest |x_j| that is not NaN, if a row can be divided by it; else 0. */
static T N(row_size)(const T *x, ptrdiff_t cols) {
    vec most = splat(0);
    for (ptrdiff_t j = 0; j < cols; j += VL)
        most = vmax(vabs(load_n(x + j, lanes_left(cols - j))), most);
    const T size = max_lanes(most);
    return isfinite(size) ? size : 0;
}

/* 1 / |x|, x's squares adding up to this; at most 1 / EPSILON, so that a row of zeros has one. */
static HL_INLINE T N(inverse_length)(const T *x, T squares, ptrdiff_t cols) {
    T size = 1;
    if (!isfinite(squares) && (size = N(row_size)(x, cols)) > 0) {
        vec sum = splat(0);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const vec x_j = load_n(x + j, lanes_left(cols - j)) / size;
            sum = mul_add(x_j, x_j, sum);
        }
        squares = sum_lanes(sum);
    }
    const T inverse = 1 / vsqrt(splat(squares))[0];
    return inverse > 1 / EPSILON ? 1 / EPSILON : size > 0 ? inverse / size : inverse;
}

/* sum_j (x_j of_x) (y_j of_y): of numbers whose own products overflow. */
static T N(unit_product)(const T *x, T of_x, const T *y, T of_y, ptrdiff_t cols) {
    vec sum = splat(0);
    for (ptrdiff_t j = 0; j < cols; j += VL) {
        const int count = lanes_left(cols - j);
        sum = mul_add(load_n(x + j, count) * of_x, load_n(y + j, count) * of_y, sum);
    }
    return sum_lanes(sum);
}

/* sum_j exp(x_j - shift); the terms go to out where it is not NULL (it may be x). */
static HL_INLINE T N(sum_exp)(const T *x, T shift, T *out, ptrdiff_t cols) {
    vec sum = splat(0);
    for (ptrdiff_t j = 0; j < cols; j += VL) {
        const int count = lanes_left(cols - j);
        const vec e = vexp(load_n(x + j, count) - shift);
        if (out)
            store_n(out + j, e, count);
        sum += count == VL ? e : only(first_lanes(count), e);
    }
    return sum_lanes(sum);
}

static void N(softmax)(const void *x, void *y, ptrdiff_t rows, ptrdiff_t cols) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T *x_i = (const T *)x + i * cols;
        T *y_i = (T *)y + i * cols;
        const T inverse = 1 / N(sum_exp)(x_i, N(row_max)(x_i, cols), y_i, cols);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            store_n(y_i + j, load_n(y_i + j, count) * inverse, count);
        }
    }
}

static void N(log_softmax)(const void *x, void *y, ptrdiff_t rows, ptrdiff_t cols) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T *x_i = (const T *)x + i * cols;
        T *y_i = (T *)y + i * cols;
        const T most = N(row_max)(x_i, cols);
        const vec log_sum = vlog(splat(N(sum_exp)(x_i, most, NULL, cols)));
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            store_n(y_i + j, load_n(x_i + j, count) - most - log_sum, count);
        }
    }
}

static void N(softmax_gradient)(const void *dy, const void *y, void *dx, ptrdiff_t rows,
                                ptrdiff_t cols) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T *dy_i = (const T *)dy + i * cols, *y_i = (const T *)y + i * cols;
        T *dx_i = (T *)dx + i * cols;
        vec dot = splat(0);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            dot = mul_add(load_n(dy_i + j, count), load_n(y_i + j, count), dot);
        }
        const T sum = sum_lanes(dot);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            store_n(dx_i + j, load_n(y_i + j, count) * (load_n(dy_i + j, count) - sum), count);
        }
    }
}

static void N(log_softmax_gradient)(const void *dy, const void *y, void *dx, ptrdiff_t rows,
                                    ptrdiff_t cols) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T *dy_i = (const T *)dy + i * cols, *y_i = (const T *)y + i * cols;
        T *dx_i = (T *)dx + i * cols;
        vec total = splat(0);
        for (ptrdiff_t j = 0; j < cols; j += VL)
            total += load_n(dy_i + j, lanes_left(cols - j));
        const T sum = sum_lanes(total);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec share = vexp(load_n(y_i + j, count));
            store_n(dx_i + j, mul_add(-share, splat(sum), load_n(dy_i + j, count)), count);
        }
    }
}

/* The nearest point of the simplex is max(x - tau, 0), tau being such that it sums to 1. From below:
 * the columns that a too small tau leaves are those that count and perhaps others, so that the tau
 * that they have is not too large either; Michelot (1986). x is measured from its largest element. */
static HL_INLINE T N(simplex_threshold)(const T *x, T most, ptrdiff_t cols) {
    T tau = -1, before;
    do {
        vec sum = splat(0);
        ivec counted = (ivec)splat(0);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec d = load_n(x + j, count) - most;
            const ivec above = ~(ivec)(d <= tau) & first_lanes(count); /* a NaN is */
            sum += only(above, d);
            counted -= above;
        }
        before = tau;
        tau = (sum_lanes(sum) - 1) / (T)add_lanes(counted);
    } while (tau > before);
    return tau;
}

static HL_RARE void N(sparsemax)(const void *x, void *y, ptrdiff_t rows, ptrdiff_t cols) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T *x_i = (const T *)x + i * cols;
        const T most = N(row_max)(x_i, cols), tau = N(simplex_threshold)(x_i, most, cols);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec d = load_n(x_i + j, count) - most;
            store_n((T *)y + i * cols + j, vmax(splat(0), d - tau), count);
        }
    }
}

static HL_RARE void N(sparsemax_gradient)(const void *dy, const void *y, void *dx, ptrdiff_t rows,
                                  ptrdiff_t cols) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T *dy_i = (const T *)dy + i * cols, *y_i = (const T *)y + i * cols;
        vec sum = splat(0);
        ivec counted = (ivec)splat(0);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const ivec above = (ivec)(load_n(y_i + j, count) > 0);
            sum += only(above, load_n(dy_i + j, count));
            counted -= above;
        }
        const T mean = sum_lanes(sum) / (T)add_lanes(counted);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const ivec above = (ivec)(load_n(y_i + j, count) > 0);
            store_n((T *)dx + i * cols + j, only(above, load_n(dy_i + j, count) - mean), count);
        }
    }
}

static void N(glu)(const void *x, void *y, ptrdiff_t rows, ptrdiff_t cols) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T *value = (const T *)x + 2 * i * cols, *gate = value + cols;
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec v = load_n(value + j, count) * vsigmoid(load_n(gate + j, count));
            store_n((T *)y + i * cols + j, v, count);
        }
    }
}

static void N(glu_gradient)(const void *dy, const void *x, void *dx, ptrdiff_t rows,
                            ptrdiff_t cols) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T *value = (const T *)x + 2 * i * cols, *gate = value + cols;
        T *d_value = (T *)dx + 2 * i * cols, *d_gate = d_value + cols;
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec g = load_n((const T *)dy + i * cols + j, count);
            const vec v = load_n(value + j, count), x_j = load_n(gate + j, count);
            const vec s = vsigmoid(x_j);
            store_n(d_value + j, g * s, count);
            store_n(d_gate + j, g * v * s * vsigmoid(-x_j), count);
        }
    }
}
