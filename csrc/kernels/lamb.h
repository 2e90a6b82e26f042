/* Lamb: see hl_kernels.whole_update. h: learning rate, 1 - beta_1, 1 - beta_2, corrected epsilon,
 * what m is multiplied by to be corrected. */

/* What the rate and the ratio of norms are still to be multiplied by. */
static HL_INLINE vec N(lamb_direction)(const T *h, vec m, vec v) {
    return h[4] * m / (vsqrt(v) + h[3]);
}

static vec N(lamb_directions_at)(const hl_whole *weight, const T *h, ptrdiff_t at, int count) {
    return N(lamb_direction)(h, load_n((const T *)weight->m + at, count),
                             load_n((const T *)weight->v + at, count));
}

/* Rows of an area that follow one another are one. */
static N(area) N(lamb_area)(const hl_whole *weight, N(block) block, ptrdiff_t j) {
    N(area) area = N(area_of)(weight, block, j);
    if (area.cols == area.ld) {
        area.cols = area.ld = area.rows * area.cols;
        area.rows = 1;
    }
    return area;
}

/* The block's new m and v, and the squares of its weights and of its directions. */
static void N(lamb_moments)(const hl_whole *weight, const T *h, ptrdiff_t number,
                            double *of_weights, double *of_steps) {
    /* Sums of few vectors at a time, which lose nothing that matters. */
    enum { few = 64 };
    const N(block) block = N(block_of)(weight, number);
    const T *w = weight->w, *g = weight->g;
    T *m = weight->m, *v = weight->v;
    vec weights = splat(0), steps = splat(0);
    double all_weights = 0, all_steps = 0;
    int vectors = 0;
    for (ptrdiff_t c = 0; c < weight->cols; c += N(cols_of_area)(weight)) {
        const N(area) area = N(lamb_area)(weight, block, c);
        for (ptrdiff_t i = 0; i < area.rows; i++)
            for (ptrdiff_t j = 0; j < area.cols; j += VL) {
                const ptrdiff_t at = area.at + i * area.ld + j;
                const int count = lanes_left(area.cols - j);
                const vec w_i = load_n(w + at, count), g_i = load_n(g + at, count);
                vec m_i = load_n(m + at, count), v_i = load_n(v + at, count);
                m_i = mul_add(g_i - m_i, splat(h[1]), m_i);
                v_i = mul_add(-mul_add(-g_i, g_i, v_i), splat(h[2]), v_i);
                store_n(m + at, m_i, count);
                store_n(v + at, v_i, count);
                /* Without epsilon, a lane that is no weight's divides 0 by 0. */
                const vec u = only(first_lanes(count), N(lamb_direction)(h, m_i, v_i));
                weights = mul_add(w_i, w_i, weights);
                steps = mul_add(u, u, steps);
                if (++vectors == few) {
                    all_weights += (double)sum_lanes(weights);
                    all_steps += (double)sum_lanes(steps);
                    weights = steps = splat(0);
                    vectors = 0;
                }
            }
    }
    all_weights += (double)sum_lanes(weights);
    all_steps += (double)sum_lanes(steps);
    if (N(lacks_squares)(all_weights))
        all_weights = N(wide_squares)(weight, h, number, N(weights_at));
    if (N(lacks_squares)(all_steps))
        all_steps = N(wide_squares)(weight, h, number, N(lamb_directions_at));
    of_weights[number] = all_weights;
    of_steps[number] = all_steps;
}

static void N(lamb_step)(const hl_whole *weight, const T *h, ptrdiff_t number, T rate) {
    const N(block) block = N(block_of)(weight, number);
    const T *m = weight->m, *v = weight->v;
    T *w = weight->w;
    for (ptrdiff_t c = 0; c < weight->cols; c += N(cols_of_area)(weight)) {
        const N(area) area = N(lamb_area)(weight, block, c);
        for (ptrdiff_t i = 0; i < area.rows; i++)
            for (ptrdiff_t j = 0; j < area.cols; j += VL) {
                const ptrdiff_t at = area.at + i * area.ld + j;
                const int count = lanes_left(area.cols - j);
                const vec u = N(lamb_direction)(h, load_n(m + at, count), load_n(v + at, count));
                store_n(w + at, mul_add(-u, splat(rate), load_n(w + at, count)), count);
            }
    }
}

static size_t N(lamb_room)(const hl_whole *weight) {
    return (size_t)N(blocks_of_weight)(weight) * 2 * sizeof(double);
}

static void N(lamb)(const hl_whole *weight, const double *h_, int stage, int part, int parts) {
    const T h[] = {(T)h_[0], (T)h_[1], (T)h_[2], (T)h_[3], (T)h_[4]};
    const ptrdiff_t blocks = N(blocks_of_weight)(weight);
    const ptrdiff_t first = blocks * part / parts, end = blocks * (part + 1) / parts;
    double *of_weights = weight->room, *of_steps = of_weights + blocks;
    if (stage == 0) {
        for (ptrdiff_t number = first; number < end; number++)
            N(lamb_moments)(weight, h, number, of_weights, of_steps);
        return;
    }
    const double weights = sqrt(N(sum_of_blocks)(of_weights, blocks));
    const double steps = sqrt(N(sum_of_blocks)(of_steps, blocks));
    const T rate = (T)(h_[0] * (weights > 0 && steps > 0 ? weights / steps : 1));
    for (ptrdiff_t number = first; number < end; number++)
        N(lamb_step)(weight, h, number, rate);
}
