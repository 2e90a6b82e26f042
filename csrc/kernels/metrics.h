/* Per-row metric values: see hl_metric. */

static HL_INLINE N(term) N(binary_match)(vec y, vec p, vec threshold) {
    const vec predicted = only((ivec)(p > threshold), splat(1));
    return (N(term)){only((ivec)(y == predicted), splat(1)), splat(0)};
}

/* The first column of the largest element, -1 where one is NaN. */
static ptrdiff_t N(argmax)(const T *x, ptrdiff_t cols) {
    ptrdiff_t best = 0;
    for (ptrdiff_t j = 0; j < cols; j++) {
        if (x[j] != x[j])
            return -1;
        if (x[j] > x[best])
            best = j;
    }
    return best;
}

/* The same for each lane of columns that rows_to_lanes made. */
static HL_INLINE ivec N(narrow_argmax)(const vec x[NARROW], int cols) {
    vec most = splat(-(T)INFINITY);
    ivec best = (ivec)splat(0), nan = (ivec)splat(0);
    for (int j = 0; j < cols; j++) {
        const ivec more = (ivec)(x[j] > most);
        nan |= ~(ivec)(x[j] == x[j]);
        most = select(more, x[j], most);
        best = (best & ~more) | (more & j);
    }
    return best | nan; /* all ones are -1 */
}

/* Whether label is the first column of the largest score: no column before it reaches its score,
 * none after it exceeds it, and none is NaN. */
static HL_INLINE int N(is_argmax)(const T *score, ptrdiff_t label, ptrdiff_t cols) {
    const vec own = splat(score[label]);
    ivec better = (ivec)splat(0);
    for (ptrdiff_t j = 0; j < cols; j += VL) {
        const int count = lanes_left(cols - j);
        const vec v = load_n(score + j, count);
        const ivec before = (ivec)(lane_numbers() < (T_INT)(label - j));
        const ivec beaten = (before & (ivec)(v < own)) | (~before & (ivec)(v <= own));
        better |= ~beaten & first_lanes(count);
    }
    return !any_lane(better);
}

/* Whether fewer than k scores exceed the label's, which must be finite. */
static HL_INLINE int N(is_in_top_k)(const T *score, ptrdiff_t label, double k, ptrdiff_t cols) {
    if (!isfinite(score[label]))
        return 0;
    const vec own = splat(score[label]);
    ivec greater = (ivec)splat(0);
    for (ptrdiff_t j = 0; j < cols; j += VL) {
        const int count = lanes_left(cols - j);
        greater -= (ivec)(load_n(score + j, count) > own) & first_lanes(count);
    }
    return (double)add_lanes(greater) < k;
}

/* Categorical accuracy of up to VL narrow rows: 1 where the label is the argmax of the scores. */
static HL_INLINE vec N(narrow_accuracy)(const T *y_true, const int32_t *label, const T *score,
                                        int rows, int cols) {
    vec x[NARROW];
    ivec wanted;
    if (label) {
        wanted = N(labels_to_lanes)(label, rows);
    } else {
        N(rows_to_lanes)(y_true, rows, cols, x);
        wanted = N(narrow_argmax)(x, cols);
    }
    N(rows_to_lanes)(score, rows, cols, x);
    const ivec match = (ivec)(N(narrow_argmax)(x, cols) == wanted) & (ivec)(wanted >= 0);
    return only(match, splat(1));
}

static HL_INLINE vec N(scaled_by)(const int scaled, vec x, T size) {
    return scaled ? x / size : x;
}

static HL_INLINE T N(row_mean)(const int scaled, const T *x, T size, ptrdiff_t cols) {
    vec sum = splat(0);
    for (ptrdiff_t j = 0; j < cols; j += VL)
        sum += N(scaled_by)(scaled, load_n(x + j, lanes_left(cols - j)), size);
    return sum_lanes(sum) / (T)cols;
}

/* Pearson's correlation of two rows, or Lin's: see hl_metric. Where they are scaled, both are
 * divided by these sizes first; where not, and squares overflow or vanish, *fits is 0. */
static HL_INLINE T N(correlation_of)(const int scaled, hl_metric kind, const T *y, const T *p,
                                     T y_size, T p_size, ptrdiff_t cols, int *fits) {
    const T y_mean = N(row_mean)(scaled, y, y_size, cols);
    const T p_mean = N(row_mean)(scaled, p, p_size, cols), n = (T)cols;
    vec yy = splat(0), pp = splat(0), yp = splat(0);
    for (ptrdiff_t j = 0; j < cols; j += VL) {
        const int count = lanes_left(cols - j);
        const vec y_j = N(scaled_by)(scaled, load_n(y + j, count), y_size);
        const vec p_j = N(scaled_by)(scaled, load_n(p + j, count), p_size);
        const vec u = only(first_lanes(count), y_j - y_mean);
        const vec v = only(first_lanes(count), p_j - p_mean);
        yy = mul_add(u, u, yy);
        pp = mul_add(v, v, pp);
        yp = mul_add(u, v, yp);
    }
    const T y_variance = sum_lanes(yy) / n, p_variance = sum_lanes(pp) / n;
    const T covariance = sum_lanes(yp) / n, apart = y_mean - p_mean;
    if (kind == HL_CONCORDANCE_CORRELATION) {
        const T least = scaled ? (T)(1e-7 / (double)y_size / (double)y_size) : EPSILON;
        const T whole = y_variance + p_variance + apart * apart + least;
        *fits = isfinite(whole);
        return 2 * covariance / whole;
    }
    *fits = isfinite(y_variance + p_variance) && !N(is_minute)(y_variance) &&
            !N(is_minute)(p_variance);
    return covariance / (vsqrt(splat(y_variance)) * vsqrt(splat(p_variance)))[0];
}

static HL_RARE T N(correlation)(hl_metric kind, const T *y, const T *p, ptrdiff_t cols) {
    int fits;
    const T plain = N(correlation_of)(0, kind, y, p, 1, 1, cols, &fits);
    if (fits)
        return plain;
    T y_size = N(row_size)(y, cols), p_size = N(row_size)(p, cols);
    if (kind == HL_CONCORDANCE_CORRELATION)
        y_size = p_size = y_size > p_size ? y_size : p_size;
    if (y_size == 0 || p_size == 0)
        return plain;
    return N(correlation_of)(1, kind, y, p, y_size, p_size, cols, &fits);
}

static void N(metric)(hl_metric kind, double param, const void *y_true, const int32_t *label,
                      const void *y_pred, const void *weight, ptrdiff_t group, void *values,
                      ptrdiff_t rows, ptrdiff_t cols) {
    if (kind == HL_BINARY_ACCURACY) {
        N(rows_of_terms)(N(binary_match), 1, (T)param, y_true, y_pred, weight, group, 1, values,
                         NULL, rows, cols);
        return;
    }
    if (cols <= NARROW &&
        (kind == HL_CATEGORICAL_ACCURACY || kind == HL_SPARSE_CATEGORICAL_ACCURACY)) {
        for (ptrdiff_t i = 0; i < rows; i += VL) {
            const int count = lanes_left(rows - i);
            const vec match = N(narrow_accuracy)(
                kind == HL_CATEGORICAL_ACCURACY ? (const T *)y_true + i * cols : NULL,
                kind == HL_CATEGORICAL_ACCURACY ? NULL : label + i, (const T *)y_pred + i * cols,
                count, (int)cols);
            /* A weight that is not finite counts only where there is a match. */
            store_n((T *)values + i,
                    only((ivec)(match != 0), N(row_weights)(weight, group, i, count)), count);
        }
        return;
    }
    if (kind == HL_PEARSON_CORRELATION || kind == HL_CONCORDANCE_CORRELATION) {
        for (ptrdiff_t i = 0; i < rows; i++)
            ((T *)values)[i] = N(correlation)(kind, (const T *)y_true + i * cols,
                                              (const T *)y_pred + i * cols, cols) *
                               N(row_weight)(weight, group, i);
        return;
    }
    const int sparse = kind == HL_SPARSE_CATEGORICAL_ACCURACY || kind == HL_SPARSE_TOP_K_ACCURACY;
    const int top_k = kind == HL_TOP_K_ACCURACY || kind == HL_SPARSE_TOP_K_ACCURACY;
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T *score = (const T *)y_pred + i * cols;
        const ptrdiff_t l = sparse ? label[i] : N(argmax)((const T *)y_true + i * cols, cols);
        int match = 0;
        if (l >= 0 && l < cols)
            match = top_k ? N(is_in_top_k)(score, l, param, cols) : N(is_argmax)(score, l, cols);
        ((T *)values)[i] = match ? N(row_weight)(weight, group, i) : 0;
    }
}
