/* Losses: see hl_kernels.loss, crossentropy and softmax_crossentropy. */

#define ONE_MINUS_EPSILON ((T)(1 - 1e-7))

/* One element's loss and its derivative with respect to the prediction p. */
typedef struct {
    vec value, slope;
} N(term);

/* param is the loss's one option, where it has one. */
typedef N(term) N(term_function)(vec y, vec p, vec param);

static HL_INLINE ivec N(within)(vec p, T low, T high) {
    return (ivec)(p >= low) & (ivec)(p <= high);
}

static HL_INLINE N(term) N(squared_error)(vec y, vec p, vec param) {
    (void)param;
    const vec e = p - y;
    return (N(term)){e * e, e + e};
}

static HL_INLINE vec N(sign)(vec x) {
    return only((ivec)(x > 0), splat(1)) - only((ivec)(x < 0), splat(1));
}

static HL_INLINE N(term) N(absolute_error)(vec y, vec p, vec param) {
    (void)param;
    const vec e = p - y;
    return (N(term)){vabs(e), N(sign)(e)};
}

static HL_RARE N(term) N(percentage_error)(vec y, vec p, vec param) {
    (void)param;
    const vec e = p - y;
    const vec size = vmax(splat(EPSILON), vabs(y));
    return (N(term)){vabs(e / size) * 100, N(sign)(e) * 100 / size};
}

static HL_RARE N(term) N(squared_logarithmic_error)(vec y, vec p, vec param) {
    (void)param;
    const vec q = vmax(splat(EPSILON), p);
    const vec e = vlog1p(q) - vlog1p(vmax(splat(EPSILON), y));
    return (N(term)){e * e, only(~(ivec)(p < EPSILON), (e + e) / (q + 1))};
}

static HL_INLINE N(term) N(huber)(vec y, vec p, vec delta) {
    const vec e = p - y;
    const vec size = vabs(e);
    const vec slope = vmin(delta, vmax(-delta, e));
    const vec outer = delta * (size - delta * (T)0.5);
    return (N(term)){select((ivec)(size > delta), outer, e * e * (T)0.5), slope};
}

static HL_RARE N(term) N(log_cosh)(vec y, vec p, vec param) {
    (void)param;
    const vec e = p - y;
    const vec size = vabs(e);
    const vec value = size + vlog1p_unit(vexp(size * -2)) - (T)0.69314718055994530942;
    return (N(term)){value, vtanh(e)};
}

static HL_INLINE N(term) N(binary_crossentropy)(vec y, vec p, vec smoothing) {
    const vec t = mul_add(y, 1 - smoothing, smoothing * (T)0.5);
    const vec q = clamp(p, EPSILON, ONE_MINUS_EPSILON);
    const vec value = mul_add(-t, vlog(q), (t - 1) * vlog(1 - q));
    const vec slope = (q - t) / (q * (1 - q));
    return (N(term)){value, only(N(within)(p, EPSILON, ONE_MINUS_EPSILON), slope)};
}

static HL_INLINE N(term) N(binary_crossentropy_logits)(vec y, vec x, vec smoothing) {
    const vec t = mul_add(y, 1 - smoothing, smoothing * (T)0.5);
    return (N(term)){mul_add(-x, t, vsoftplus(x)), vsigmoid(x) - t};
}

static HL_RARE N(term) N(kl_divergence)(vec y, vec p, vec param) {
    (void)param;
    const vec t = clamp(y, EPSILON, 1);
    const vec q = clamp(p, EPSILON, 1);
    return (N(term)){t * vlog(t / q), only(N(within)(p, EPSILON, 1), -t / q)};
}

static HL_RARE N(term) N(poisson)(vec y, vec p, vec param) {
    (void)param;
    const vec q = p + EPSILON;
    return (N(term)){mul_add(-y, vlog(q), p), 1 - y / q};
}

/* binary: 1 where labels 0 and 1 stand for -1 and +1, else 0. */
static HL_RARE N(term) N(hinge)(vec y, vec p, vec binary) {
    const vec t = mul_add(y, binary + 1, -binary);
    const vec margin = mul_add(-t, p, splat(1));
    return (N(term)){vmax(splat(0), margin), only((ivec)(margin > 0), -t)};
}

static HL_RARE N(term) N(squared_hinge)(vec y, vec p, vec binary) {
    const N(term) plain = N(hinge)(y, p, binary);
    return (N(term)){plain.value * plain.value, plain.slope * plain.value * 2};
}

static int N(is_binary)(const T *y, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++)
        if (y[i] != 0 && y[i] != 1)
            return 0;
    return 1;
}

static HL_INLINE T N(row_weight)(const T *weight, ptrdiff_t group, ptrdiff_t i) {
    return weight ? weight[group == 1 ? i : i / group] : 1;
}

/* The same for count rows from i on, zero in the other lanes. */
static HL_INLINE vec N(row_weights)(const T *weight, ptrdiff_t group, ptrdiff_t i, int count) {
    if (!weight)
        return only(first_lanes(count), splat(1));
    if (group == 1)
        return load_n(weight + i, count);
    T w[VL] = {0};
    for (int l = 0; l < count; l++)
        w[l] = N(row_weight)(weight, group, i + l);
    return load(w);
}

/* Losses without a loop of their own: what is called for each vector. */
static N(term_function) *N(rare_term)(hl_loss kind) {
    switch (kind) {
    case HL_MEAN_ABSOLUTE_PERCENTAGE_ERROR: return N(percentage_error);
    case HL_MEAN_SQUARED_LOGARITHMIC_ERROR: return N(squared_logarithmic_error);
    case HL_LOG_COSH: return N(log_cosh);
    case HL_KL_DIVERGENCE: return N(kl_divergence);
    case HL_POISSON: return N(poisson);
    case HL_HINGE: return N(hinge);
    default: return N(squared_hinge);
    }
}

static HL_INLINE N(term) N(term_of)(hl_loss kind, vec y, vec p, vec param) {
    switch (kind) {
    case HL_MEAN_SQUARED_ERROR: return N(squared_error)(y, p, param);
    case HL_MEAN_ABSOLUTE_ERROR: return N(absolute_error)(y, p, param);
    case HL_HUBER: return N(huber)(y, p, param);
    case HL_BINARY_CROSSENTROPY: return N(binary_crossentropy)(y, p, param);
    case HL_BINARY_CROSSENTROPY_LOGITS: return N(binary_crossentropy_logits)(y, p, param);
    default: return N(rare_term)(kind)(y, p, param);
    }
}

/* Whether a row's loss is the mean of its terms, not their sum. */
static HL_INLINE int N(is_mean)(hl_loss kind) {
    return kind != HL_KL_DIVERGENCE;
}

/* The mean or sum of f over each row. Rows of one element are taken VL at a time. */
static HL_INLINE void N(rows_of_terms)(N(term_function) *f, int mean, T param, const T *y,
                                       const T *p, const T *weight, ptrdiff_t group, double scale,
                                       T *values, T *gradient, ptrdiff_t rows, ptrdiff_t cols) {
    const T slope_scale = (T)(mean ? scale / (double)cols : scale);
    if (cols == 1) {
        for (ptrdiff_t i = 0; i < rows; i += VL) {
            const int count = lanes_left(rows - i);
            const N(term) term = f(load_n(y + i, count), load_n(p + i, count), splat(param));
            const vec w = N(row_weights)(weight, group, i, count);
            store_n(values + i, term.value * w, count);
            if (gradient)
                store_n(gradient + i, term.slope * (w * slope_scale), count);
        }
        return;
    }
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T w = N(row_weight)(weight, group, i);
        vec sum = splat(0);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const ptrdiff_t at = i * cols + j;
            const N(term) term = f(load_n(y + at, count), load_n(p + at, count), splat(param));
            sum += count == VL ? term.value : only(first_lanes(count), term.value);
            if (gradient)
                store_n(gradient + at, term.slope * (w * slope_scale), count);
        }
        const T value = sum_lanes(sum);
        values[i] = (mean ? value / (T)cols : value) * w;
    }
}

static HL_RARE void N(rare_loss)(hl_loss kind, T param, const T *y, const T *p, const T *w,
                                 ptrdiff_t group, double scale, T *values, T *gradient,
                                 ptrdiff_t rows, ptrdiff_t cols) {
    if (kind == HL_HINGE || kind == HL_SQUARED_HINGE)
        param = (T)N(is_binary)(y, rows * cols);
    N(rows_of_terms)(N(rare_term)(kind), N(is_mean)(kind), param, y, p, w, group, scale, values,
                     gradient, rows, cols);
}

static void N(loss)(hl_loss kind, double param_, const void *y, const void *p, const void *w,
                    ptrdiff_t group, double scale, void *values, void *gradient, ptrdiff_t rows,
                    ptrdiff_t cols) {
    const T param = (T)param_;
#undef HL_CASE
#define HL_CASE(KIND, f)                                                                           \
    case KIND:                                                                                     \
        N(rows_of_terms)(N(f), N(is_mean)(KIND), param, y, p, w, group, scale, values, gradient,   \
                         rows, cols);                                                              \
        break;
    switch (kind) {
        HL_CASE(HL_MEAN_SQUARED_ERROR, squared_error)
        HL_CASE(HL_MEAN_ABSOLUTE_ERROR, absolute_error)
        HL_CASE(HL_HUBER, huber)
        HL_CASE(HL_BINARY_CROSSENTROPY, binary_crossentropy)
        HL_CASE(HL_BINARY_CROSSENTROPY_LOGITS, binary_crossentropy_logits)
    default: N(rare_loss)(kind, param, y, p, w, group, scale, values, gradient, rows, cols);
    }
}

/* Row i's targets from column j on: smoothed y_true where it is given, else one-hot. */
typedef struct {
    const T *y_true;
    const int32_t *label;
    T keep, share;
} N(targets);

static HL_INLINE N(targets) N(targets_of)(const void *y_true, const int32_t *label,
                                          double smoothing, ptrdiff_t cols) {
    return (N(targets)){y_true, label, (T)(1 - smoothing), (T)(smoothing / (double)cols)};
}

static HL_INLINE vec N(targets_at)(const N(targets) *t, ptrdiff_t i, ptrdiff_t j, ptrdiff_t cols,
                                   int count) {
    if (!t->y_true)
        return only((ivec)(lane_numbers() == (T_INT)(t->label[i] - j)), splat(1));
    const vec y = load_n(t->y_true + i * cols + j, count);
    const vec smoothed = mul_add(y, splat(t->keep), splat(t->share));
    return count == VL ? smoothed : only(first_lanes(count), smoothed);
}

/* A label outside 0 .. cols - 1 has no loss: NaN says so, and nothing outside the row is read. */
static HL_INLINE T N(labelled_weight)(const N(targets) *t, T w, ptrdiff_t i, ptrdiff_t cols) {
    return t->y_true || (t->label[i] >= 0 && t->label[i] < cols) ? w : (T)NAN;
}

/* -log(q) of one probability, clipped; *inside tells whether clipping left it as it was. */
static HL_INLINE T N(clipped_loss)(T q, int *inside) {
    *inside = q >= EPSILON && q <= ONE_MINUS_EPSILON;
    return -vlog(clamp(splat(q), EPSILON, ONE_MINUS_EPSILON))[0];
}

static HL_INLINE void N(fill)(T *x, T value, ptrdiff_t n) {
    for (ptrdiff_t j = 0; j < n; j++)
        x[j] = value;
}

static void N(crossentropy)(double smoothing, const void *y_true, const int32_t *label,
                            const void *y_pred, const void *weight, ptrdiff_t group, double scale,
                            void *values_, void *gradient, ptrdiff_t rows, ptrdiff_t cols) {
    const N(targets) t = N(targets_of)(y_true, label, smoothing, cols);
    T *values = values_;
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T w = N(labelled_weight)(&t, N(row_weight)(weight, group, i), i, cols);
        const T *p = (const T *)y_pred + i * cols;
        vec total = splat(0);
        for (ptrdiff_t j = 0; j < cols; j += VL)
            total += load_n(p + j, lanes_left(cols - j));
        const T sum = sum_lanes(total);

        vec loss = splat(0), mass = splat(0); /* mass: of the targets that have a gradient */
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec q = load_n(p + j, count) / sum;
            const vec t_j = N(targets_at)(&t, i, j, cols, count);
            loss = mul_add(-t_j, vlog(clamp(q, EPSILON, ONE_MINUS_EPSILON)), loss);
            mass += only(N(within)(q, EPSILON, ONE_MINUS_EPSILON), t_j);
        }
        values[i] = sum_lanes(loss) * w;
        if (!gradient)
            continue;

        /* With q = p / sum(p): dloss/dp_j = (sum_inside(t) - t_j / q_j) / sum(p). */
        const T inside_mass = sum_lanes(mass);
        const T factor = w * (T)scale / sum;
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec q = load_n(p + j, count) / sum;
            const vec t_j = N(targets_at)(&t, i, j, cols, count);
            const vec own = only(N(within)(q, EPSILON, ONE_MINUS_EPSILON), t_j / q);
            store_n((T *)gradient + i * cols + j, (inside_mass - own) * factor, count);
        }
    }
}

/* softmax_crossentropy of up to VL narrow rows from row i on, side by side in the lanes: e holds
 * their scores and receives the probabilities, w holds their weights, gradient is written. Returns
 * the weighted losses. */
static vec N(softmax_crossentropy_in_lanes)(int clip, const N(targets) *t, ptrdiff_t i, vec w,
                                            T scale, vec e[NARROW], vec gradient[NARROW], int rows,
                                            int cols) {
    vec *target = gradient;
    if (t->y_true) {
        N(rows_to_lanes)(t->y_true + i * cols, rows, cols, target);
        for (int j = 0; j < cols; j++)
            target[j] = mul_add(target[j], splat(t->keep), splat(t->share));
    } else {
        const ivec label = N(labels_to_lanes)(t->label + i, rows);
        w = select((ivec)(label >= 0) & (ivec)(label < cols), w, splat((T)NAN));
        for (int j = 0; j < cols; j++)
            target[j] = only((ivec)(label == j), splat(1));
    }

    vec most = splat(-(T)INFINITY);
    for (int j = 0; j < cols; j++)
        most = vmax(e[j], most);
    vec sum = splat(0), mass = splat(0), dots = splat(0);
    for (int j = 0; j < cols; j++) {
        const vec d = e[j] - most;
        e[j] = vexp(d);
        sum += e[j];
        mass += target[j];
        dots += only((ivec)(target[j] != 0), target[j] * d); /* 0 * log 0 = 0 */
    }
    const vec inverse = 1 / sum;

    vec loss;
    if (!clip) {
        loss = mul_add(mass, vlog(sum), -dots);
    } else if (!t->y_true) {
        vec own = splat(0);
        for (int j = 0; j < cols; j++)
            own += only((ivec)(target[j] != 0), e[j]);
        own *= inverse;
        mass = only(N(within)(own, EPSILON, ONE_MINUS_EPSILON), splat(1));
        loss = -vlog(clamp(own, EPSILON, ONE_MINUS_EPSILON));
    } else {
        loss = mass = splat(0);
        for (int j = 0; j < cols; j++) {
            const vec q = e[j] * inverse;
            loss = mul_add(-target[j], vlog(clamp(q, EPSILON, ONE_MINUS_EPSILON)), loss);
            mass += only(N(within)(q, EPSILON, ONE_MINUS_EPSILON), target[j]);
        }
    }

    const vec factor = w * scale;
    for (int j = 0; j < cols; j++) {
        e[j] *= inverse;
        const vec own =
            clip ? only(N(within)(e[j], EPSILON, ONE_MINUS_EPSILON), target[j]) : target[j];
        gradient[j] = mul_add(e[j], mass, -own) * factor;
    }
    return loss * w;
}

static void N(softmax_crossentropy)(int clip, double smoothing, const void *y_true,
                                    const int32_t *label, const void *x_, const void *weight,
                                    ptrdiff_t group, double scale, void *values_,
                                    void *probability_, void *gradient_, ptrdiff_t rows,
                                    ptrdiff_t cols) {
    const N(targets) t = N(targets_of)(y_true, label, smoothing, cols);
    T *values = values_;
    if (cols <= NARROW) {
        for (ptrdiff_t i = 0; i < rows; i += VL) {
            const int count = lanes_left(rows - i);
            const vec w = N(row_weights)(weight, group, i, count);
            vec e[NARROW], slope[NARROW];
            N(rows_to_lanes)((const T *)x_ + i * cols, count, (int)cols, e);
            const vec loss = N(softmax_crossentropy_in_lanes)(clip, &t, i, w, (T)scale, e, slope,
                                                              count, (int)cols);
            store_n(values + i, loss, count);
            if (gradient_)
                N(lanes_to_rows)(slope, (T *)gradient_ + i * cols, count, (int)cols);
            if (probability_)
                N(lanes_to_rows)(e, (T *)probability_ + i * cols, count, (int)cols);
        }
        return;
    }
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T w = N(labelled_weight)(&t, N(row_weight)(weight, group, i), i, cols);
        const T *x = (const T *)x_ + i * cols;
        T *probability = probability_ ? (T *)probability_ + i * cols : NULL;
        T *gradient = gradient_ ? (T *)gradient_ + i * cols : NULL;
        T *kept = gradient ? gradient : probability; /* holds exp(x - most); may be x itself */
        const T most = N(row_max)(x, cols);

        vec exps = splat(0), targets = splat(0), dots = splat(0);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec d = load_n(x + j, count) - most;
            const vec e = vexp(d);
            const vec t_j = N(targets_at)(&t, i, j, cols, count);
            exps += count == VL ? e : only(first_lanes(count), e);
            targets += t_j;
            dots += only((ivec)(t_j != 0), t_j * d); /* 0 * log 0 = 0 */
            if (kept)
                store_n(kept + j, e, count);
        }
        const T sum = sum_lanes(exps);
        const T inverse = 1 / sum;
        T mass; /* of the targets that have a gradient */

        if (!clip) {
            mass = y_true ? sum_lanes(targets) : 1;
            values[i] =
                mul_add(splat(mass), vlog(splat(sum)), splat(-sum_lanes(dots)))[0] * w;
        } else if (!y_true) {
            int inside = 0;
            const ptrdiff_t l = w == w ? label[i] : 0;
            const T e = kept ? kept[l] : vexp(splat(x[l] - most))[0];
            values[i] = N(clipped_loss)(e * inverse, &inside) * w;
            mass = (T)inside;
        } else {
            vec loss = splat(0), inside = splat(0);
            for (ptrdiff_t j = 0; j < cols; j += VL) {
                const int count = lanes_left(cols - j);
                const vec e = kept ? load_n(kept + j, count) : vexp(load_n(x + j, count) - most);
                const vec q = e * inverse;
                const vec t_j = N(targets_at)(&t, i, j, cols, count);
                loss = mul_add(-t_j, vlog(clamp(q, EPSILON, ONE_MINUS_EPSILON)), loss);
                inside += only(N(within)(q, EPSILON, ONE_MINUS_EPSILON), t_j);
            }
            values[i] = sum_lanes(loss) * w;
            mass = sum_lanes(inside);
        }
        if (!kept)
            continue;

        const T factor = w * (T)scale;
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec q = load_n(kept + j, count) * inverse;
            if (gradient) {
                const vec t_j = N(targets_at)(&t, i, j, cols, count);
                const vec own = clip ? only(N(within)(q, EPSILON, ONE_MINUS_EPSILON), t_j) : t_j;
                store_n(gradient + j, mul_add(q, splat(mass), -own) * factor, count);
            }
            if (probability)
                store_n(probability + j, q, count);
        }
    }
}
