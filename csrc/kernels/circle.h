/* Circle loss (Sun et al., 2020): the rows of a batch are compared with each other. */

/* What a row counts of its pairs of one kind, the same label or another: exp(exponent), and 0 for
 * those of the other kind. */
typedef struct N(pairs) {
    T *exponent, most, sum;
} N(pairs);

static size_t N(circle_room)(ptrdiff_t rows) {
    return (size_t)rows * 3 * sizeof(T);
}

/* Makes exp(exponent - most) of the exponents, of which those of no pair are -infinity; false if all
 * of them are. */
static int N(count_pairs)(N(pairs) *pairs, ptrdiff_t n) {
    vec most = splat(-(T)INFINITY), sum = splat(0);
    int any = 0;
    for (ptrdiff_t j = 0; j < n; j++)
        any |= !(pairs->exponent[j] == -(T)INFINITY);
    if (!any)
        return 0;
    for (ptrdiff_t j = 0; j < n; j += VL) {
        const int count = lanes_left(n - j);
        const vec e = load_n(pairs->exponent + j, count);
        most = vmax(most, select(first_lanes(count), e, most));
    }
    pairs->most = max_lanes(most);
    for (ptrdiff_t j = 0; j < n; j += VL) {
        const int count = lanes_left(n - j);
        const vec e = vexp(load_n(pairs->exponent + j, count) - pairs->most);
        store_n(pairs->exponent + j, e, count);
        sum += only(first_lanes(count), e);
    }
    pairs->sum = sum_lanes(sum);
    return 1;
}

/* y += a x. */
static HL_INLINE void N(add_multiple)(T a, const T *x, T *y, ptrdiff_t n) {
    for (ptrdiff_t j = 0; j < n; j += VL) {
        const int count = lanes_left(n - j);
        store_n(y + j, mul_add(splat(a), load_n(x + j, count), load_n(y + j, count)), count);
    }
}

static HL_RARE void N(circle)(const double *option, const int32_t *label, const void *x_,
                      const void *weight, double scale, void *values_, void *gradient_, void *room,
                      ptrdiff_t rows, ptrdiff_t cols) {
    const T gamma = (T)option[0], margin = (T)option[1];
    const int remove_diagonal = option[2] != 0, over_positive = option[3] != 0;
    const T *x = x_;
    T *values = values_, *gradient = gradient_, *distance = room;
    N(pairs) alike = {.exponent = distance + rows}, other = {.exponent = distance + 2 * rows};
    ptrdiff_t positive = 0;
    if (gradient)
        memset(gradient, 0, (size_t)(rows * cols) * sizeof(T));
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T *x_i = x + i * cols, w = weight ? ((const T *)weight)[i] : 1;
        for (ptrdiff_t j = 0; j < rows; j++) {
            const T apart = 1 - N(inner_product)(x_i, x + j * cols, cols);
            const T d = apart < 0 ? 0 : apart, far = 1 + margin - d;
            const int same = label[j] == label[i];
            distance[j] = d;
            alike.exponent[j] = same && !(j == i && remove_diagonal)
                                    ? gamma * (d + margin) * (d - margin)
                                    : -(T)INFINITY;
            other.exponent[j] =
                same ? -(T)INFINITY : gamma * (far < 0 ? 0 : far) * (1 - margin - d);
        }
        values[i] = 0;
        if (!N(count_pairs)(&alike, rows) || !N(count_pairs)(&other, rows))
            continue;
        const vec whole = splat(alike.most + other.most) + vlog(splat(alike.sum)) +
                          vlog(splat(other.sum));
        const T value = vsoftplus(whole)[0];
        positive += value > 0;
        values[i] = value * w;
        if (!gradient)
            continue;
        /* What the row's pairs count, times the slope of their exponents by the inner product. */
        const T share = -vsigmoid(whole)[0] * w * (T)scale * 2 * gamma;
        for (ptrdiff_t j = 0; j < rows; j++) {
            const T d = distance[j];
            const T pull = alike.exponent[j] / alike.sum * d;
            const T push = d < 1 + margin ? other.exponent[j] / other.sum * (d - 1) : 0;
            const T slope = d == 0 ? 0 * share : (pull + push) * share;
            if (slope == 0)
                continue;
            N(add_multiple)(slope, x + j * cols, gradient + i * cols, cols);
            N(add_multiple)(slope, x_i, gradient + j * cols, cols);
        }
    }
    if (!over_positive || !positive || positive == rows)
        return;
    const T factor = (T)rows / (T)positive;
    for (ptrdiff_t i = 0; i < rows; i++)
        values[i] *= factor;
    for (ptrdiff_t i = 0; gradient && i < rows * cols; i++)
        gradient[i] *= factor;
}
