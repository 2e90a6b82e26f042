/* Update rules as in Keras 3, and weight penalties. h[] is what hl_optimizer_prepare wrote. */

/* One step on count weights from the i-th on, up to a vector of them; g are their gradients. kind
 * is constant where this is inlined. */
static HL_INLINE void N(update_vector)(const hl_optimizer kind, const T *h, T *w, vec g, T *s0,
                                       T *s1, T *s2, ptrdiff_t i, int count) {
    const vec h0 = splat(h[0]), h1 = splat(h[1]), h2 = splat(h[2]);
    const vec h3 = splat(h[3]), h4 = splat(h[4]);
    vec w_i = load_n(w + i, count);
    switch (kind) {
    case HL_SGD: /* h: learning rate */
        w_i = mul_add(-g, h0, w_i);
        break;
    case HL_SGD_MOMENTUM: /* h: learning rate, momentum */
    case HL_SGD_NESTEROV: {
        const vec step = -h0 * g, velocity = mul_add(h1, load_n(s0 + i, count), step);
        store_n(s0 + i, velocity, count);
        w_i += kind == HL_SGD_NESTEROV ? mul_add(h1, velocity, step) : velocity;
        break;
    }
    case HL_ADAM: /* h: corrected learning rate, 1 - beta_1, 1 - beta_2, epsilon, decay */
    case HL_ADAM_AMSGRAD: {
        vec m = load_n(s0 + i, count), v = load_n(s1 + i, count);
        m = mul_add(g - m, h1, m);
        v = mul_add(-mul_add(-g, g, v), h2, v);
        store_n(s0 + i, m, count);
        store_n(s1 + i, v, count);
        if (kind == HL_ADAM_AMSGRAD) {
            v = vmax(load_n(s2 + i, count), v); /* NaN in v stays */
            store_n(s2 + i, v, count);
        }
        w_i = mul_add(-w_i, h4, w_i);
        w_i -= h0 * m / (vsqrt(v) + h3);
        break;
    }
    case HL_RMSPROP: /* h: learning rate, rho, 1 - rho, epsilon, momentum */
    case HL_RMSPROP_MOMENTUM:
    case HL_RMSPROP_CENTERED:
    case HL_RMSPROP_CENTERED_MOMENTUM: {
        const int centered = kind == HL_RMSPROP_CENTERED || kind == HL_RMSPROP_CENTERED_MOMENTUM;
        const vec square = mul_add(h1, load_n(s0 + i, count), h2 * (g * g));
        store_n(s0 + i, square, count);
        vec spread = square + h3;
        if (centered) {
            const vec mean = mul_add(h1, load_n(s1 + i, count), h2 * g);
            store_n(s1 + i, mean, count);
            spread = mul_add(-mean, mean, square) + h3;
        }
        vec step = h0 * g / vsqrt(spread);
        if (kind == HL_RMSPROP_MOMENTUM || kind == HL_RMSPROP_CENTERED_MOMENTUM) {
            T *slot = centered ? s2 : s1;
            step = mul_add(h4, load_n(slot + i, count), step);
            store_n(slot + i, step, count);
        }
        w_i -= step;
        break;
    }
    case HL_ADAGRAD: { /* h: learning rate, epsilon */
        const vec square = mul_add(g, g, load_n(s0 + i, count));
        store_n(s0 + i, square, count);
        w_i -= h0 * g / vsqrt(square + h1);
        break;
    }
    case HL_ADADELTA: { /* h: learning rate, rho, 1 - rho, epsilon */
        const vec square = mul_add(h1, load_n(s0 + i, count), h2 * (g * g));
        vec move = load_n(s1 + i, count);
        const vec step = vsqrt(move + h3) / vsqrt(square + h3) * g;
        move = mul_add(h1, move, h2 * (step * step));
        store_n(s0 + i, square, count);
        store_n(s1 + i, move, count);
        w_i = mul_add(-step, h0, w_i);
        break;
    }
    case HL_ADAMAX: { /* h: corrected learning rate, 1 - beta_1, beta_2, epsilon */
        vec m = load_n(s0 + i, count);
        m = mul_add(g - m, h1, m);
        const vec most = vmax(h2 * load_n(s1 + i, count), vabs(g)); /* NaN in g stays */
        store_n(s0 + i, m, count);
        store_n(s1 + i, most, count);
        w_i -= h0 * m / (most + h3);
        break;
    }
    case HL_NADAM: { /* h: learning rate of m, 1 - beta_1, 1 - beta_2, epsilon, rate of g */
        vec m = load_n(s0 + i, count), v = load_n(s1 + i, count);
        m = mul_add(g - m, h1, m);
        v = mul_add(-mul_add(-g, g, v), h2, v);
        store_n(s0 + i, m, count);
        store_n(s1 + i, v, count);
        w_i -= mul_add(h0, m, h4 * g) / (vsqrt(v) + h3);
        break;
    }
    case HL_LION: { /* h: learning rate, beta_1, 1 - beta_1, beta_2, 1 - beta_2 */
        const vec m = load_n(s0 + i, count);
        const vec way = mul_add(h1, m, h2 * g);
        store_n(s0 + i, mul_add(h3, m, h4 * g), count);
        /* The sign of 0 and of NaN is itself. */
        const vec sign = select((ivec)(way > 0), splat(1), select((ivec)(way < 0), splat(-1), way));
        w_i = mul_add(-sign, h0, w_i);
        break;
    }
    case HL_FTRL: { /* h: learning rate, -power, l1, 2 (l2 + beta / (2 rate)), 2 shrinkage */
        const vec square = load_n(s0 + i, count), sum = mul_add(g, g, square);
        const vec root = N(power)(sum, h[1]);
        const vec growth = (root - N(power)(square, h[1])) / h0;
        const vec linear =
            mul_add(-growth, w_i, load_n(s1 + i, count) + mul_add(h4, w_i, g));
        store_n(s0 + i, sum, count);
        store_n(s1 + i, linear, count);
        w_i = (clamp(linear, -h[2], h[2]) - linear) / (root / h0 + h3);
        break;
    }
    case HL_SCHEDULE_FREE_ADAMW: {
        /* h: corrected learning rate, 1 - beta_2, corrected epsilon, share of z, weights' step */
        vec z = load_n(s0 + i, count), v = load_n(s1 + i, count);
        v = mul_add(-mul_add(-g, g, v), h1, v);
        const vec step = h0 * g / (vsqrt(v) + h2);
        w_i = mul_add(z - w_i, h3, w_i);
        w_i = mul_add(-step, h4, w_i);
        store_n(s0 + i, z - step, count);
        store_n(s1 + i, v, count);
        break;
    }
    case HL_KEEP_GRADIENT:
        store_n(s0 + i, g, count);
        break;
    case HL_ADAFACTOR: /* they take whole weights: whole_update.h */
    case HL_LAMB:
    case HL_MUON:
        break;
    }
    store_n(w + i, w_i, count);
}

/* kind is constant where this is inlined: one loop per rule. */
static HL_INLINE void N(update_loop)(const hl_optimizer kind, const double *h_, T *w, const T *g,
                                     T *s0, T *s1, T *s2, ptrdiff_t n) {
    const T h[] = {(T)h_[0], (T)h_[1], (T)h_[2], (T)h_[3], (T)h_[4]};
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const int count = lanes_left(n - i);
        N(update_vector)(kind, h, w, load_n(g + i, count), s0, s1, s2, i, count);
    }
}

static void N(update)(hl_optimizer kind, const double *h, void *w, const void *g, void *s0,
                      void *s1, void *s2, ptrdiff_t n) {
    switch (kind) {
    case HL_SGD: N(update_loop)(HL_SGD, h, w, g, s0, s1, s2, n); break;
    case HL_SGD_MOMENTUM: N(update_loop)(HL_SGD_MOMENTUM, h, w, g, s0, s1, s2, n); break;
    case HL_SGD_NESTEROV: N(update_loop)(HL_SGD_NESTEROV, h, w, g, s0, s1, s2, n); break;
    case HL_ADAM: N(update_loop)(HL_ADAM, h, w, g, s0, s1, s2, n); break;
    case HL_ADAM_AMSGRAD: N(update_loop)(HL_ADAM_AMSGRAD, h, w, g, s0, s1, s2, n); break;
    case HL_RMSPROP: N(update_loop)(HL_RMSPROP, h, w, g, s0, s1, s2, n); break;
    case HL_RMSPROP_MOMENTUM: N(update_loop)(HL_RMSPROP_MOMENTUM, h, w, g, s0, s1, s2, n); break;
    case HL_RMSPROP_CENTERED: N(update_loop)(HL_RMSPROP_CENTERED, h, w, g, s0, s1, s2, n); break;
    case HL_RMSPROP_CENTERED_MOMENTUM:
        N(update_loop)(HL_RMSPROP_CENTERED_MOMENTUM, h, w, g, s0, s1, s2, n);
        break;
    case HL_ADAGRAD: N(update_loop)(HL_ADAGRAD, h, w, g, s0, s1, s2, n); break;
    case HL_ADADELTA: N(update_loop)(HL_ADADELTA, h, w, g, s0, s1, s2, n); break;
    case HL_ADAMAX: N(update_loop)(HL_ADAMAX, h, w, g, s0, s1, s2, n); break;
    case HL_NADAM: N(update_loop)(HL_NADAM, h, w, g, s0, s1, s2, n); break;
    case HL_LION: N(update_loop)(HL_LION, h, w, g, s0, s1, s2, n); break;
    case HL_FTRL: N(update_loop)(HL_FTRL, h, w, g, s0, s1, s2, n); break;
    case HL_SCHEDULE_FREE_ADAMW:
        N(update_loop)(HL_SCHEDULE_FREE_ADAMW, h, w, g, s0, s1, s2, n);
        break;
    case HL_KEEP_GRADIENT: N(update_loop)(HL_KEEP_GRADIENT, h, w, g, s0, s1, s2, n); break;
    case HL_ADAFACTOR:
    case HL_LAMB:
    case HL_MUON: break;
    }
}

static double N(penalty)(double l1, double l2, const void *w_, ptrdiff_t n) {
    /* Sixteen partial sums, whatever the instruction set: one fixed order, and enough lanes. */
    enum { lanes = 16 };
    const T *w = w_;
    double size[lanes] = {0}, square[lanes] = {0};
    for (ptrdiff_t i = 0; i < n; i += lanes) {
        const int count = n - i < lanes ? (int)(n - i) : lanes;
        for (int l = 0; l < count; l++) {
            const double x = (double)w[i + l];
            size[l] += fabs(x);
            square[l] += x * x;
        }
    }
    double sizes = 0, squares = 0;
    for (int l = 0; l < lanes; l++) {
        sizes += size[l];
        squares += square[l];
    }
    return l1 * sizes + l2 * squares;
}

static void N(penalty_gradient)(double l1, double l2, const void *w, void *g, ptrdiff_t n) {
    const vec step = splat((T)l1), slope = splat((T)(2 * l2));
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const int count = lanes_left(n - i);
        const vec w_i = load_n((const T *)w + i, count);
        const vec sign = only((ivec)(w_i > 0), step) - only((ivec)(w_i < 0), step);
        store_n((T *)g + i, load_n((T *)g + i, count) + mul_add(w_i, slope, sign), count);
    }
}
