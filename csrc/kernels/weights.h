/* What happens to gradients and weights around an update: see hl_kernels. */

static void N(clip)(double limit, const void *x, void *y, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const int count = lanes_left(n - i);
        const vec clipped = clamp(load_n((const T *)x + i, count), (T)-limit, (T)limit);
        store_n((T *)y + i, clipped, count);
    }
}

/* What a column whose squares add up to these is multiplied by. */
static HL_INLINE vec N(norm_factor)(double low, double high, double rate, vec squares) {
    const vec norm = vsqrt(squares);
    const vec limited = clamp(norm, (T)low, (T)high);
    const vec wanted = mul_add(limited, splat((T)rate), norm * (T)(1 - rate));
    return wanted / (norm + EPSILON);
}

static void N(limit_norms)(double low, double high, double rate, ptrdiff_t k, ptrdiff_t n,
                           ptrdiff_t ld, void *w_) {
    T *w = w_;
    if (ld == 1) {
        vec squares = splat(0);
        for (ptrdiff_t p = 0; p < k; p += VL) {
            const vec w_p = load_n(w + p, lanes_left(k - p));
            squares = mul_add(w_p, w_p, squares);
        }
        const vec factor = N(norm_factor)(low, high, rate, splat_sum(squares));
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
        const vec factor = N(norm_factor)(low, high, rate, squares);
        for (ptrdiff_t p = 0; p < k; p++)
            store_n(w + p * ld + j, load_n(w + p * ld + j, count) * factor, count);
    }
}
