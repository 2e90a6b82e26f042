/* Losses and their gradients. */
#include "references.h"

static double clip(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

/* Bounds of probabilities, as K's type has them. */
static double least(void) {
    return rounded(1e-7);
}
static double most(void) {
    return rounded(1 - 1e-7);
}

static double softplus(double x) {
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

static term probability_term(double t, double p) {
    const double q = clip(p, least(), most());
    const double inside = p >= least() && p <= most();
    return (term){-t * log(q) - (1 - t) * log(1 - q), inside ? (q - t) / (q * (1 - q)) : 0,
                  t * (1 - log(q)) + (1 - t) * (1 - log(1 - q)), (q + t) / (q * (1 - q))};
}

term expected_loss(hl_loss kind, double param, double y, double p) {
    const double e = p - y, size = fabs(e), t = y * (1 - param) + param / 2;
    switch (kind) {
    case HL_MEAN_SQUARED_ERROR: return (term){e * e, 2 * e, e * e, 2 * size};
    case HL_MEAN_ABSOLUTE_ERROR: return (term){size, (e > 0) - (e < 0), size, 0};
    case HL_MEAN_ABSOLUTE_PERCENTAGE_ERROR: {
        const double share = 100 / fmax(fabs(y), least());
        return (term){size * share, ((e > 0) - (e < 0)) * share, 2 * size * share, share};
    }
    case HL_MEAN_SQUARED_LOGARITHMIC_ERROR: {
        const double q = clip(p, least(), INFINITY), of_q = log1p(q);
        const double of_t = log1p(fmax(y, least())), d = of_q - of_t, sum = of_q + of_t;
        return (term){d * d, p < least() ? 0 : 2 * d / (1 + q), 4 * fabs(d) * sum + d * d,
                      p < least() ? 0 : 2 * sum / (1 + q)};
    }
    case HL_HUBER:
        return (term){size > param ? param * (size - param / 2) : e * e / 2,
                      clip(e, -param, param), size * (size + param), size + param};
    case HL_LOG_COSH:
        return (term){size + log1p(exp(-2 * size)) - log(2), tanh(e), size + 2, fabs(tanh(e))};
    case HL_BINARY_CROSSENTROPY: return probability_term(t, p);
    case HL_BINARY_CROSSENTROPY_LOGITS:
        return (term){softplus(p) - p * t, 1 / (1 + exp(-p)) - t, softplus(p) + fabs(p) * (t + 1),
                      1 + t};
    case HL_KL_DIVERGENCE: {
        const double ty = clip(y, least(), 1), q = clip(p, least(), 1);
        const double slope = p >= least() && p <= 1 ? -ty / q : 0;
        return (term){ty * log(ty / q), slope, ty * (1 + fabs(log(ty / q))), fabs(slope)};
    }
    case HL_POISSON: {
        const double q = p + least();
        return (term){p - y * log(q), 1 - y / q, p + y * (1 + fabs(log(q))), 1 + y / q};
    }
    case HL_HINGE: { /* param: whether labels are 0 and 1 */
        const double sign = param ? 2 * y - 1 : y, margin = 1 - sign * p;
        return (term){clip(margin, 0, INFINITY), margin > 0 ? -sign : 0, 1 + fabs(sign * p), 0};
    }
    case HL_SQUARED_HINGE: {
        const double sign = param ? 2 * y - 1 : y, margin = clip(1 - sign * p, 0, INFINITY);
        const double room = 1 + fabs(sign * p);
        return (term){margin * margin, -2 * sign * margin, margin * margin + 2 * margin * room,
                      2 * room};
    }
    }
    return (term){NAN, NAN, 0, 0};
}

static int is_signed(int kind) {
    return kind == HL_HINGE || kind == HL_SQUARED_HINGE;
}

/* What a gradient jumps at is kept out of random inputs, but for the absolute error of equal
 * numbers, which all compute exactly. */
static void fill_loss(hl_loss kind, int binary, void *y, void *p, ptrdiff_t n) {
    static const double edges[] = {0, 1, -0.5, 1.5};
    for (ptrdiff_t i = 0; i < n; i++) {
        switch (kind) {
        case HL_BINARY_CROSSENTROPY:
        case HL_KL_DIVERGENCE:
            put(y, i, below(2) ? (double)below(2) : uniform(0, 1));
            put(p, i, below(8) == 0 ? edges[below(COUNT(edges))] : uniform(0.001, 0.999));
            break;
        case HL_BINARY_CROSSENTROPY_LOGITS:
            put(y, i, (double)below(2));
            put(p, i, below(8) == 0 ? uniform(-200, 200) : uniform(-9, 9));
            break;
        case HL_POISSON:
            put(y, i, (double)below(5));
            put(p, i, below(8) == 0 ? 0 : uniform(0, 9));
            break;
        case HL_MEAN_ABSOLUTE_PERCENTAGE_ERROR:
            put(y, i, below(8) == 0 ? 0 : uniform(-3, 3));
            put(p, i, below(8) == 0 ? get(y, i) : uniform(-3, 3));
            break;
        case HL_MEAN_SQUARED_LOGARITHMIC_ERROR:
            put(y, i, uniform(-0.5, 9));
            put(p, i, below(8) == 0 ? uniform(-1, -0.1) : uniform(0.01, 9));
            break;
        case HL_HINGE:
        case HL_SQUARED_HINGE:
            put(y, i, binary ? (double)below(2) : 2 * (double)below(2) - 1);
            put(p, i, uniform(-2, 2));
            if (fabs(fabs(get(p, i)) - 1) < 1e-5)
                put(p, i, 0.5);
            break;
        default:
            put(y, i, uniform(-3, 3));
            put(p, i, below(8) == 0 ? get(y, i) : uniform(-3, 3));
        }
    }
    if (is_signed(kind) && !binary)
        put(y, 0, -1);
}

static double weight_of(const void *weight, ptrdiff_t group, ptrdiff_t i) {
    return weight ? get(weight, i / group) : 1;
}

/* How a gradient is asked for. */
enum { NO_GRADIENT, OWN_GRADIENT, GRADIENT_IN_PLACE, GRADIENTS };

static void *gradient_room(int asked, void *y_pred, ptrdiff_t n) {
    return asked == NO_GRADIENT ? NULL : asked == OWN_GRADIENT ? room(n) : y_pred;
}

static void *random_weight(ptrdiff_t rows, ptrdiff_t group) {
    if (below(2))
        return NULL;
    void *weight = room((rows + group - 1) / group);
    fill(weight, (rows + group - 1) / group, 0.1, 2);
    return weight;
}

static ptrdiff_t random_group(void) {
    return (ptrdiff_t[]){1, 3, 7}[below(3)];
}

static void loss_case(hl_loss kind, ptrdiff_t rows, ptrdiff_t cols, int asked) {
    const int smoothed = kind == HL_BINARY_CROSSENTROPY || kind == HL_BINARY_CROSSENTROPY_LOGITS;
    const int binary = (int)below(2), sum = kind == HL_KL_DIVERGENCE;
    const double param = kind == HL_HUBER ? 0.75 : smoothed && below(2) ? 0.125 : 0;
    const double scale = uniform(0.1, 2);
    const ptrdiff_t group = random_group(), n = rows * cols;
    begin("loss kind=%d param=%g rows=%td cols=%td group=%td gradient=%d", kind, param, rows, cols,
          group, asked);
    void *y = room(n), *p = room(n), *values = room(rows);
    fill_loss(kind, binary, y, p, n);
    const ptrdiff_t spoilt = below(3) == 0 ? below(n) : -1;
    if (spoilt >= 0)
        put(p, spoilt, NAN);
    const void *p_was = copy_of(p, n), *weight = random_weight(rows, group);
    void *gradient = gradient_room(asked, p, n);
    K->loss(kind, param, y, p, weight, group, scale, values, gradient, rows, cols);

    /* A sum over the row, and the functions' own errors; a reference in double has one too. */
    const double relative = epsilon() * ((double)cols + 8);
    const double share = sum ? 1 : 1 / (double)cols;
    const double used = is_signed(kind) ? binary : param;
    for (ptrdiff_t i = 0; i < rows; i++) {
        const double w = weight_of(weight, group, i);
        double total = 0, size = 0;
        for (ptrdiff_t at = i * cols; at < (i + 1) * cols; at++) {
            const term e = expected_loss(kind, used, get(y, at), get(p_was, at));
            total += e.value;
            size += e.value_size;
            /* A NaN's own gradient is NaN or, where it counts as clipped, 0. */
            if (gradient && at != spoilt)
                expect_near("gradient", at, get(gradient, at), w * scale * share * e.slope,
                            8 * epsilon() * w * scale * share *
                                (fabs(e.slope) + e.slope_size));
        }
        expect_near("values", i, get(values, i), w * share * total, relative * w * share * size);
    }
    end();
}

/* ------------------------------------------------------------ over the classes */

typedef struct {
    void *y_true;
    int32_t *labels;
    double smoothing;
} targets;

/* One row in eight has a label that is no class. */
static targets random_targets(ptrdiff_t rows, ptrdiff_t cols, int sparse) {
    targets t = {NULL, NULL, 0};
    if (sparse) {
        t.labels = room_of(rows, sizeof *t.labels);
        for (ptrdiff_t i = 0; i < rows; i++)
            t.labels[i] = below(8) ? (int32_t)below(cols)
                                   : (int32_t[]){-1, INT32_MIN, INT32_MAX, (int32_t)cols}[below(4)];
        return t;
    }
    t.y_true = room(rows * cols);
    t.smoothing = below(2) ? 0.125 : 0;
    for (ptrdiff_t i = 0; i < rows * cols; i++)
        put(t.y_true, i, 0);
    for (ptrdiff_t i = 0; i < rows; i++)
        put(t.y_true, i * cols + below(cols), 1);
    return t;
}

static double target(const targets *t, ptrdiff_t i, ptrdiff_t j, ptrdiff_t cols) {
    if (!t->y_true)
        return t->labels[i] == j;
    return get(t->y_true, i * cols + j) * (1 - t->smoothing) + t->smoothing / (double)cols;
}

static int has_class(const targets *t, ptrdiff_t i, ptrdiff_t cols) {
    return t->y_true || (t->labels[i] >= 0 && t->labels[i] < cols);
}

static void expect_nan_row(const char *what, const void *x, ptrdiff_t first, ptrdiff_t cols) {
    for (ptrdiff_t j = 0; j < cols; j++)
        expect_near(what, first + j, get(x, first + j), NAN, 0);
}

/* Where rounding decides on which side of a bound a probability lies, and with it a jump of the
 * gradient: rest is 1 - q. In float the upper bound is one step below 1, and 1 itself is clear. */
static int on_the_edge(double q, double rest) {
    const int near_one = K->itemsize == 4 ? rest < 1e-4 && rest > epsilon() / 64
                                          : fabs(rest / 1e-7 - 1) < 1e-3;
    return near_one || fabs(q / least() - 1) < 1e-3;
}

static void crossentropy_case(ptrdiff_t rows, ptrdiff_t cols, int sparse, int asked) {
    const ptrdiff_t group = random_group(), n = rows * cols;
    const double scale = uniform(0.1, 2);
    begin("crossentropy rows=%td cols=%td sparse=%d group=%td gradient=%d", rows, cols, sparse,
          group, asked);
    const targets t = random_targets(rows, cols, sparse);
    void *p = room(n), *values = room(rows);
    for (ptrdiff_t i = 0; i < n; i++)
        put(p, i, cols > 1 && below(8) == 0 ? 0 : uniform(0.1, 1));
    const ptrdiff_t spoilt = below(3) == 0 ? below(n) / cols : -1;
    for (ptrdiff_t i = 0; i < rows; i++)
        put(p, i * cols, i == spoilt ? NAN : 0.5);
    const void *p_was = copy_of(p, n), *weight = random_weight(rows, group);
    void *gradient = gradient_room(asked, p, n);
    K->crossentropy(t.smoothing, t.y_true, t.labels, p, weight, group, scale, values, gradient,
                    rows, cols);
    const double relative = epsilon() * ((double)cols + 8);
    for (ptrdiff_t i = 0; i < rows; i++) {
        const double w = has_class(&t, i, cols) ? weight_of(weight, group, i) : NAN;
        double sum = 0, loss = 0, size = 0, mass = 0;
        for (ptrdiff_t j = 0; j < cols; j++)
            sum += get(p_was, i * cols + j);
        for (ptrdiff_t j = 0; j < cols; j++) {
            const double q = get(p_was, i * cols + j) / sum, c = clip(q, least(), most());
            const double t_j = target(&t, i, j, cols);
            loss -= t_j * log(c);
            size += t_j * (1 + fabs(log(c)));
            mass += q >= least() && q <= most() ? t_j : 0;
        }
        /* A sparse target leaves out the other columns, NaN among them. */
        if (i != spoilt)
            expect_near("values", i, get(values, i), w * loss, relative * fabs(w) * size);
        else
            expect(isnan(get(values, i)), "a NaN in a row makes its loss NaN");
        for (ptrdiff_t j = 0; j < cols && gradient && i != spoilt; j++) {
            const double q = get(p_was, i * cols + j) / sum;
            const double own = q >= least() && q <= most() ? target(&t, i, j, cols) / q : 0;
            expect_near("gradient", i * cols + j, get(gradient, i * cols + j),
                        w * scale * (mass - own) / sum,
                        isnan(w) ? 0 : 2 * relative * w * scale * (mass + own) / sum);
        }
    }
    end();
}

static void softmax_case(ptrdiff_t rows, ptrdiff_t cols, int clipped, int sparse, int asked,
                         int with_probability) {
    const ptrdiff_t group = random_group(), n = rows * cols;
    const double scale = uniform(0.1, 2);
    begin("softmax_crossentropy rows=%td cols=%td clip=%d sparse=%d group=%td gradient=%d "
          "probability=%d",
          rows, cols, clipped, sparse, group, asked, with_probability);
    const targets t = random_targets(rows, cols, sparse);
    void *x = room(n), *values = room(rows), *probability = with_probability ? room(n) : NULL;
    fill(x, n, -6, 6);
    if (below(2)) /* far apart: probabilities of 0 and of 1 */
        put(x, below(n), 300);
    const ptrdiff_t spoilt = below(3) == 0 ? below(n) : -1;
    if (spoilt >= 0)
        put(x, spoilt, below(2) ? NAN : INFINITY);
    const void *x_was = copy_of(x, n), *weight = random_weight(rows, group);
    void *gradient = gradient_room(asked, x, n);
    K->softmax_crossentropy(clipped, t.smoothing, t.y_true, t.labels, x, weight, group, scale,
                            values, probability, gradient, rows, cols);
    for (ptrdiff_t i = 0; i < rows; i++) {
        const ptrdiff_t first = i * cols;
        const double w = weight_of(weight, group, i);
        if (spoilt >= 0 && spoilt / cols == i) {
            expect_nan_row("values", values, i, 1);
            if (gradient)
                expect_nan_row("gradient", gradient, first, cols);
            if (probability)
                expect_nan_row("probability", probability, first, cols);
            continue;
        }
        double top = -INFINITY, sum = 0, furthest = 0;
        for (ptrdiff_t j = 0; j < cols; j++)
            top = fmax(top, get(x_was, first + j));
        for (ptrdiff_t j = 0; j < cols; j++) {
            const double d = get(x_was, first + j) - top;
            sum += exp(d);
            /* Rounding d moves exp(d) by |d| epsilons of it, and the loss by as much. */
            furthest = fmax(furthest, fabs(d));
        }
        const double relative = epsilon() * ((double)cols + 10 + furthest);
        double loss = 0, size = 0, mass = 0;
        int edge = 0;
        for (ptrdiff_t j = 0; j < cols; j++) {
            const double d = get(x_was, first + j) - top, q = exp(d) / sum;
            const double log_q = d - log(sum), t_j = target(&t, i, j, cols);
            const int inside = q >= least() && q <= most();
            const double log_c = clipped && !inside ? log(clip(q, least(), most())) : log_q;
            loss -= t_j == 0 ? 0 : t_j * log_c;
            size += t_j * (1 + fabs(log_c));
            mass += inside || !clipped ? t_j : 0;
            edge |= clipped && on_the_edge(q, (sum - exp(d)) / sum);
        }
        for (ptrdiff_t j = 0; j < cols && probability; j++) {
            const double q = exp(get(x_was, first + j) - top) / sum;
            expect_near("probability", first + j, get(probability, first + j), q,
                        relative * q + 2 * tiny());
        }
        if (!has_class(&t, i, cols)) {
            expect_nan_row("values", values, i, 1);
            if (gradient)
                expect_nan_row("gradient", gradient, first, cols);
            continue;
        }
        expect_near("values", i, get(values, i), w * loss, relative * w * size);
        for (ptrdiff_t j = 0; j < cols && gradient && !edge; j++) {
            const double q = exp(get(x_was, first + j) - top) / sum;
            const int inside = q >= least() && q <= most();
            const double own = inside || !clipped ? target(&t, i, j, cols) : 0;
            expect_near("gradient", first + j, get(gradient, first + j),
                        w * scale * (q * mass - own),
                        relative * w * scale * (q * mass + own) + 2 * tiny());
        }
    }
    end();
}

/* ------------------------------------------------------------------ in pieces */

/* A call on all rows, or on those from first on; the second set of results is the pieces'. */
typedef struct {
    int kind; /* of a loss, or past all of those a cross-entropy */
    targets t;
    ptrdiff_t cols;
    double param, scale;
    const void *y, *p;
    void *values[2], *gradient[2], *probability[2];
} cut;

static void *from_row(const void *x, ptrdiff_t row, ptrdiff_t cols) {
    return x ? (char *)x + row * cols * K->itemsize : NULL;
}

static void run_cut(const cut *c, int piece, ptrdiff_t first, ptrdiff_t rows) {
    const void *p = from_row(c->p, first, c->cols);
    const void *y_true = from_row(c->t.y_true, first, c->cols);
    const int32_t *labels = c->t.labels ? c->t.labels + first : NULL;
    void *values = from_row(c->values[piece], first, 1);
    void *gradient = from_row(c->gradient[piece], first, c->cols);
    const int clip_probabilities = c->kind == HL_SQUARED_HINGE + 3;
    if (c->kind <= HL_SQUARED_HINGE)
        K->loss((hl_loss)c->kind, c->param, from_row(c->y, first, c->cols), p, NULL, 1, c->scale,
                values, gradient, rows, c->cols);
    else if (c->kind == HL_SQUARED_HINGE + 1)
        K->crossentropy(c->t.smoothing, y_true, labels, p, NULL, 1, c->scale, values, gradient,
                        rows, c->cols);
    else
        K->softmax_crossentropy(clip_probabilities, c->t.smoothing, y_true, labels, p, NULL, 1,
                                c->scale, values, from_row(c->probability[piece], first, c->cols),
                                gradient, rows, c->cols);
}

/* A row's bits do not depend on the rows that one call takes beside it. The hinge losses look at
 * all labels: none is 0 or 1 here. */
static void cut_case(int kind, ptrdiff_t rows, ptrdiff_t cols, int sparse) {
    begin("loss in pieces, kind=%d rows=%td cols=%td sparse=%d", kind, rows, cols, sparse);
    const ptrdiff_t n = rows * cols;
    void *y = room(n), *p = room(n);
    fill(y, n, 0.1, 0.9);
    fill(p, n, 0.1, 0.9);
    cut c = {.kind = kind, .cols = cols, .y = y, .p = p};
    c.param = uniform(0.1, 0.9);
    c.scale = uniform(0.1, 2);
    c.t = random_targets(rows, cols, sparse);
    for (int piece = 0; piece < 2; piece++) {
        c.values[piece] = room(rows);
        c.gradient[piece] = room(n);
        c.probability[piece] = kind > HL_SQUARED_HINGE + 1 ? room(n) : NULL;
    }
    run_cut(&c, 0, 0, rows);
    for (ptrdiff_t first = 0, count; first < rows; first += count) {
        count = any_piece(rows - first);
        run_cut(&c, 1, first, count);
    }
    expect_equal("values", c.values[1], c.values[0], rows);
    expect_equal("gradient", c.gradient[1], c.gradient[0], n);
    if (c.probability[0])
        expect_equal("probability", c.probability[1], c.probability[0], n);
    end();
}

static void test_cuts(void) {
    for (int c = 0; c < COUNT(sizes); c++)
        for (int r = 0; r < COUNT(sizes) - 1; r++)
            for (int kind = HL_MEAN_SQUARED_ERROR; kind <= HL_SQUARED_HINGE + 3; kind++)
                cut_case(kind, sizes[r], sizes[c], (int)below(2));
}

void test_losses(void) {
    test_cuts();
    for (int c = 0; c < COUNT(sizes); c++)
        for (int asked = 0; asked < GRADIENTS; asked++) {
            const ptrdiff_t cols = sizes[c];
            for (int kind = HL_MEAN_SQUARED_ERROR; kind <= HL_SQUARED_HINGE; kind++) {
                loss_case((hl_loss)kind, 1, cols, asked);
                loss_case((hl_loss)kind, any_size() % 40 + 1, cols, asked);
            }
            for (int mode = 0; mode < 8; mode++) {
                const ptrdiff_t rows = mode == 0 ? 1 : 1 + below(12);
                crossentropy_case(rows, cols, mode & 1, asked);
                softmax_case(rows, cols, mode & 1, (mode & 2) != 0, asked, (mode & 4) != 0);
            }
        }
}
