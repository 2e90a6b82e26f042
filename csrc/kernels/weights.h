/* What happens to gradients and weights around an update: see hl_kernels. */

static void N(clip)(double limit, const void *x, void *y, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const int count = lanes_left(n - i);
        const vec clipped = clamp(load_n((const T *)x + i, count), (T)-limit, (T)limit);
        store_n((T *)y + i, clipped, count);
    }
}

/* The norms of columns whose rows are ld apart, where their squares overflow: of columns divided by
 * their largest elements. A single column may stand in all lanes of its rows. */
static HL_RARE vec N(large_norms)(const T *w, ptrdiff_t k, ptrdiff_t ld, int count, int single) {
    vec most = splat(0), sum = splat(0);
    for (ptrdiff_t p = 0; p < k; p++)
        most = vmax(vabs(single ? splat(w[p]) : load_n(w + p * ld, count)), most);
    most = N(finite_or)(select((ivec)(most > 0), most, splat(1)), splat(1));
    for (ptrdiff_t p = 0; p < k; p++) {
        const vec w_p = (single ? splat(w[p]) : load_n(w + p * ld, count)) / most;
        sum = mul_add(w_p, w_p, sum);
    }
    return vsqrt(sum) * most;
}

/* What columns of these norms are multiplied by. */
static HL_INLINE vec N(norm_factor)(double low, double high, double rate, vec norm) {
    const vec limited = clamp(norm, (T)low, (T)high);
    const vec wanted = mul_add(limited, splat((T)rate), norm * (T)(1 - rate));
    return wanted / (norm + EPSILON);
}

static HL_RARE void N(limit_norms)(double low, double high, double rate, ptrdiff_t k, ptrdiff_t n,
                           ptrdiff_t ld, void *w_) {
    T *w = w_;
    if (ld == 1) {
        vec squares = splat(0);
        for (ptrdiff_t p = 0; p < k; p += VL) {
            const vec w_p = load_n(w + p, lanes_left(k - p));
            squares = mul_add(w_p, w_p, squares);
        }
        squares = splat_sum(squares);
        const vec norm = isfinite(squares[0]) ? vsqrt(squares) : N(large_norms)(w, k, 1, 1, 1);
        const vec factor = N(norm_factor)(low, high, rate, norm);
        for (ptrdiff_t p = 0; p < k; p += VL) {
            const int count = lanes_left(k - p);
            store_n(w + p, load_n(w + p, count) * factor, count);
        }
        return;
    }
    for (ptrdiff_t j = 0; j < n; j += VL) {
        const int count = lanes_left(n - j);
        vec squares = splat(0);
        for (ptrdiff_t p = 0; p < k; p++) {
            const vec w_p = load_n(w + p * ld + j, count);
            squares = mul_add(w_p, w_p, squares);
        }
        vec norm = vsqrt(squares);
        if (!isfinite(sum_lanes(norm)))
            norm = N(finite_or)(norm, N(large_norms)(w + j, k, ld, count, 0));
        const vec factor = N(norm_factor)(low, high, rate, norm);
        for (ptrdiff_t p = 0; p < k; p++)
            store_n(w + p * ld + j, load_n(w + p * ld + j, count) * factor, count);
    }
}
