/* Products of one row: see hl_kernels.gemm_row and gemm_row_transposed. */

/* One row by whole panels, side by side: a single panel would wait for each multiply-add. */
static HL_INLINE void N(row_of_panels)(const int panels, ptrdiff_t k, const T *a, const T *b,
                                       ptrdiff_t b_panel, const T *init, T *c) {
    vec acc[8];
    HL_UNROLL for (int v = 0; v < 2 * panels; v++)
        acc[v] = init ? load(init + v * VL) : splat(0);
    for (ptrdiff_t p = 0; p < k; p++) {
        const vec a_p = splat(a[p]);
        HL_UNROLL for (int q = 0; q < panels; q++) {
            const T *b_p = b + q * b_panel + p * 2 * VL;
            acc[2 * q] = mul_add(a_p, load(b_p), acc[2 * q]);
            acc[2 * q + 1] = mul_add(a_p, load(b_p + VL), acc[2 * q + 1]);
        }
    }
    HL_UNROLL for (int v = 0; v < 2 * panels; v++)
        store(c + v * VL, acc[v]);
}

static void N(gemm_row)(int panels, ptrdiff_t k, const void *a, const void *b_, ptrdiff_t b_panel,
                        const void *init_, void *c_) {
    const T *b = b_, *init = init_;
    T *c = c_;
    while (panels > 0) {
        const int some = panels >= 4 ? 4 : panels >= 2 ? 2 : 1;
        switch (some) {
        case 4: N(row_of_panels)(4, k, a, b, b_panel, init, c); break;
        case 2: N(row_of_panels)(2, k, a, b, b_panel, init, c); break;
        case 1: N(row_of_panels)(1, k, a, b, b_panel, init, c); break;
        }
        panels -= some;
        b += some * b_panel;
        init = init ? init + some * 2 * VL : NULL;
        c += some * 2 * VL;
    }
}

/* Elements i .. i + count - 1 of dy w^T: up to VL rows of w side by side, lane by lane, then folded.
 * Without a whole vector of them, the first one stands in for those that are missing. */
static HL_INLINE vec N(rows_by_row)(const int whole, int count, ptrdiff_t i, ptrdiff_t units,
                                    ptrdiff_t inputs, const T *dy, const T *w) {
    vec sum[VL];
    HL_UNROLL for (int q = 0; q < VL; q++)
        sum[q] = splat(0);
    ptrdiff_t u = 0;
    for (; u + 2 * VL <= units; u += 2 * VL) {
        const T *row = w + u * inputs + i * 2 * VL;
        const vec low = load(dy + u), high = load(dy + u + VL);
        HL_UNROLL for (int q = 0; q < VL; q++) {
            const T *row_q = row + (whole || q < count ? q : 0) * 2 * VL;
            if (q % 2 == 0) /* the next panel's: too far off for the CPU to foresee */
                __builtin_prefetch(row_q + inputs * 2 * VL);
            sum[q] = mul_add(low, load(row_q), sum[q]);
            sum[q] = mul_add(high, load(row_q + VL), sum[q]);
        }
    }
    const int left = (int)(units - u), width = (int)N(panel_width)(left);
    const T *row = w + u * inputs + i * width;
    for (int v = 0; left > 1 && v < left; v += VL) {
        const vec dy_v = load_n(dy + u + v, lanes_left(left - v));
        HL_UNROLL for (int q = 0; q < VL; q++) {
            const T *row_q = row + (whole || q < count ? q : 0) * width + v;
            sum[q] = mul_add(dy_v, load_n(row_q, lanes_left(left - v)), sum[q]);
        }
    }
    vec folded = N(sums_of_lanes)(sum);
    if (left == 1) /* a panel of one column: one number for each row */
        folded = mul_add(splat(dy[u]), load_n(row, count), folded);
    return folded;
}

static void N(gemm_row_transposed)(ptrdiff_t first, ptrdiff_t n, ptrdiff_t units,
                                   ptrdiff_t inputs, const void *dy_, const void *w_,
                                   void *dx_) {
    const T *dy = dy_, *w = w_;
    T *dx = dx_;
    ptrdiff_t i = 0;
    for (; i + VL <= n; i += VL)
        store(dx + i, N(rows_by_row)(1, VL, first + i, units, inputs, dy, w));
    if (i < n) {
        const int count = (int)(n - i);
        store_n(dx + i, N(rows_by_row)(0, count, first + i, units, inputs, dy, w), count);
    }
}
