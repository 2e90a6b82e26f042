/* A tile of one weight gradient, while the weights of the last one are updated.
 *
 * Square roots and divisions occupy the divider, multiply-adds the rest of the unit: done side by
 * side they take little longer than the multiply-adds alone. */

#if HL_REGISTERS >= 32

/* Whole tiles, MR rows of two vectors, of a transposed. */
static void N(tile_adam)(ptrdiff_t k, const T *const *a, ptrdiff_t at, const T *b, T *c,
                         const double *h_, T *w, const T *g, T *s0, T *s1, ptrdiff_t vectors) {
    const T h[] = {(T)h_[0], (T)h_[1], (T)h_[2], (T)h_[3], (T)h_[4]};
    vec acc[MR][2];
    HL_UNROLL for (int i = 0; i < MR; i++)
        acc[i][0] = acc[i][1] = splat(0);
    const ptrdiff_t both = k < vectors ? k : vectors;
    for (ptrdiff_t p = 0; p < k; p++) {
        const T *const column = a[p] + at;
        __builtin_prefetch(column + AHEAD);
        const vec b_p[2] = {load(b), load(b + VL)};
        HL_UNROLL for (int i = 0; i < MR; i++)
            N(step_row)(2, acc[i], column[i], b_p);
        b += 2 * VL;
        if (p < both) {
            N(update_vector)(HL_ADAM, h, w, load(g), s0, s1, NULL, 0, VL);
            w += VL;
            g += VL;
            s0 += VL;
            s1 += VL;
        }
    }
    HL_UNROLL for (int i = 0; i < MR; i++) {
        store(c + i * 2 * VL, acc[i][0]);
        store(c + i * 2 * VL + VL, acc[i][1]);
    }
    N(update_loop)(HL_ADAM, h_, w, g, s0, s1, NULL, (vectors - both) * VL);
}

#endif

static void N(gemm_update)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const void *const *a,
                           ptrdiff_t at, const void *b, void *c, hl_optimizer kind,
                           const double *h, void *w, const void *g, void *s0, void *s1, void *s2,
                           ptrdiff_t count) {
#if HL_REGISTERS >= 32
    if (kind == HL_ADAM && m == MR && n == 2 * VL && count % VL == 0) {
        N(tile_adam)(k, (const T *const *)a, at, b, c, h, w, g, s0, s1, count / VL);
        return;
    }
#endif
    N(gemm)(m, n, k, a, at, 1, b, NULL, 0, c, n);
    N(update)(kind, h, w, g, s0, s1, s2, count);
}
