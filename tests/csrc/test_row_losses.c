/* Losses with several options, of rows and of whole calls: values against plain references, gradients
 * against differences of those. */
#include "check.h"

#include <string.h>

static double clip(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

static double least(void) {
    return rounded(1e-7);
}
static double most(void) {
    return rounded(1 - 1e-7);
}

enum { MOST_COLS = 300 };

typedef struct {
    hl_row_loss kind;
    double option[HL_MAX_OPTIONS];
    ptrdiff_t rows, cols; /* that share a value */
    const double *y, *p;
    ptrdiff_t label;
} problem;

static int of_logits(hl_row_loss kind) {
    return kind == HL_BINARY_FOCAL_CROSSENTROPY_LOGITS ||
           kind == HL_CATEGORICAL_FOCAL_CROSSENTROPY_LOGITS;
}

static double binary_focal(const problem *a) {
    double sum = 0;
    for (ptrdiff_t j = 0; j < a->cols; j++) {
        const double smoothing = a->option[3], t = a->y[j] * (1 - smoothing) + smoothing / 2;
        const double p = of_logits(a->kind) ? 1 / (1 + exp(-a->p[j])) : a->p[j];
        const double q = clip(p, least(), most());
        sum += (t * a->option[1] + (1 - t) * a->option[2]) *
               pow(t * (1 - p) + (1 - t) * p, a->option[0]) *
               (-t * log(q) - (1 - t) * log(1 - q));
    }
    return sum / (double)a->cols;
}

static double categorical_focal(const problem *a) {
    double sum = 0, loss = 0;
    for (ptrdiff_t j = 0; j < a->cols; j++)
        sum += of_logits(a->kind) ? exp(a->p[j]) : a->p[j];
    for (ptrdiff_t j = 0; j < a->cols; j++) {
        const double share = (of_logits(a->kind) ? exp(a->p[j]) : a->p[j]) / sum;
        const double q = clip(share, least(), most());
        const double t = a->y[j] * (1 - a->option[2]) + a->option[2] / (double)a->cols;
        loss -= a->option[1] * t * pow(1 - q, a->option[0]) * log(q);
    }
    return loss;
}

/* Of a row. Where it is 0 the loss has no slope. */
static double hinge_margin(const problem *a) {
    double wrong = -INFINITY, right = 0;
    for (ptrdiff_t j = 0; j < a->cols; j++) {
        wrong = fmax(wrong, (1 - a->y[j]) * a->p[j]);
        right += a->y[j] * a->p[j];
    }
    return 1 + wrong - right;
}

static double reference(const problem *a) {
    double yy = 0, pp = 0, yp = 0, y_sum = 0, p_sum = 0;
    for (ptrdiff_t at = 0; at < a->rows * a->cols; at++) {
        const double y = a->y[at], p = a->p[at];
        yy += y * y, pp += p * p, yp += y * p, y_sum += y, p_sum += p;
    }
    switch (a->kind) {
    case HL_BINARY_FOCAL_CROSSENTROPY:
    case HL_BINARY_FOCAL_CROSSENTROPY_LOGITS: return binary_focal(a);
    case HL_CATEGORICAL_FOCAL_CROSSENTROPY:
    case HL_CATEGORICAL_FOCAL_CROSSENTROPY_LOGITS: return categorical_focal(a);
    case HL_GENERALIZED_CROSSENTROPY:
        return (1 - pow(a->p[a->label], a->option[0])) / a->option[0];
    case HL_CATEGORICAL_HINGE: return fmax(hinge_margin(a), 0);
    case HL_COSINE_SIMILARITY: return -yp / fmax(sqrt(yy), 1e-7) / fmax(sqrt(pp), 1e-7);
    case HL_TVERSKY:
    case HL_BATCH_TVERSKY:
        return 1 - yp / (yp + a->option[0] * (y_sum - yp) + a->option[1] * (p_sum - yp) +
                         a->option[2]);
    }
    return NAN;
}

static double slope(problem a, double *p, ptrdiff_t at) {
    const double was = p[at], h = 1e-5;
    a.p = p;
    p[at] = was + h;
    const double above = reference(&a);
    p[at] = was - h;
    const double below_it = reference(&a);
    p[at] = was;
    return (above - below_it) / (2 * h);
}

static void choose_options(problem *a) {
    const double gamma = (double[]){0, 1, 2, 0.5, 3}[below(5)];
    const double smoothing = below(2) ? 0.125 : 0;
    double *o = a->option;
    switch (a->kind) {
    case HL_BINARY_FOCAL_CROSSENTROPY:
    case HL_BINARY_FOCAL_CROSSENTROPY_LOGITS:
        o[0] = gamma, o[1] = below(2) ? 1 : 0.3, o[2] = below(2) ? 1 : 0.7, o[3] = smoothing;
        break;
    case HL_CATEGORICAL_FOCAL_CROSSENTROPY:
    case HL_CATEGORICAL_FOCAL_CROSSENTROPY_LOGITS:
        o[0] = gamma, o[1] = 0.75, o[2] = smoothing;
        break;
    case HL_GENERALIZED_CROSSENTROPY: o[0] = (double[]){0.25, 0.5, 0.9}[below(3)]; break;
    default: o[0] = 0.25, o[1] = 0.75, o[2] = 1e-7;
    }
}

static void loss_case(hl_row_loss kind, ptrdiff_t rows, ptrdiff_t cols, int asked) {
    const ptrdiff_t group = (ptrdiff_t[]){1, 3, 7}[below(3)], n = rows * cols;
    const int together = kind == HL_BATCH_TVERSKY, weighted = (int)below(2);
    const double scale = uniform(0.1, 2);
    begin("row_loss kind=%d rows=%td cols=%td group=%td weighted=%d gradient=%d", kind, rows, cols,
          group, weighted, asked);
    void *y = room(n), *p = room(n), *values = room(rows);
    void *weight = weighted ? room((rows + group - 1) / group) : NULL;
    int32_t *labels = room_of(rows, sizeof *labels);
    static double y_was[40 * MOST_COLS], p_was[40 * MOST_COLS];
    for (ptrdiff_t at = 0; at < n; at++) {
        put(y, at, kind == HL_COSINE_SIMILARITY ? uniform(-1, 1) : (double)below(2));
        double p_at = of_logits(kind) ? uniform(-3, 3) : uniform(0.05, 0.95);
        if (kind == HL_COSINE_SIMILARITY) /* of one column near 0, it is all rounding */
            p_at = (below(2) ? 1 : -1) * uniform(0.05, 3);
        if (kind == HL_CATEGORICAL_HINGE) /* no two so close that steps of `slope` change places */
            p_at = 6 * ((below(100) * cols + at % cols) + uniform(0.2, 0.8)) / (100 * cols) - 3;
        put(p, at, p_at);
        y_was[at] = get(y, at), p_was[at] = get(p, at);
    }
    double all_weights = 0;
    if (weighted)
        fill(weight, (rows + group - 1) / group, 0.1, 2);
    for (ptrdiff_t i = 0; i < rows; i++) {
        labels[i] = below(8) ? (int32_t)below(cols)
                             : (int32_t[]){-1, INT32_MIN, INT32_MAX, (int32_t)cols}[below(4)];
        all_weights += weighted ? get(weight, i / group) : 1;
    }
    problem a = {.kind = kind, .rows = together ? rows : 1, .cols = cols};
    choose_options(&a);
    void *gradient = asked == 0 ? NULL : asked == 1 ? room(n) : p;
    K->row_loss(kind, a.option, y, labels, p, weight, group, scale, values, gradient, rows, cols);

    const double relative = K->itemsize == 4 ? 1e-4 : 1e-6;
    for (ptrdiff_t i = 0; i < rows; i++) {
        const ptrdiff_t first = together ? 0 : i * cols;
        double w = weighted ? get(weight, i / group) : 1;
        if (kind == HL_GENERALIZED_CROSSENTROPY && (labels[i] < 0 || labels[i] >= cols))
            w = NAN;
        a.y = y_was + first, a.p = p_was + first;
        a.label = isnan(w) ? 0 : labels[i];
        const double want = reference(&a);
        expect_near("values", i, get(values, i), w * want, isnan(w) ? 0 : relative * (1 + fabs(want)));
        /* Some of the columns: each costs two losses. */
        for (ptrdiff_t j = below(1 + cols / 4); j < cols && gradient; j += 1 + below(1 + cols / 4)) {
            if (kind == HL_CATEGORICAL_HINGE && fabs(hinge_margin(&a)) < 1e-4)
                continue;
            const double by_p = slope(a, p_was + first, i * cols + j - first);
            expect_near("gradient", i * cols + j, get(gradient, i * cols + j),
                        (together ? all_weights : w) * scale * by_p,
                        isnan(w) ? 0 : relative * scale * (together ? all_weights : 2) *
                                           (1 + 4 * fabs(by_p)));
        }
    }
    end();
}

/* A row's bits do not depend on the rows that one call takes beside it. */
static void cut_case(hl_row_loss kind, ptrdiff_t rows, ptrdiff_t cols) {
    begin("row_loss in pieces, kind=%d rows=%td cols=%td", kind, rows, cols);
    const ptrdiff_t n = rows * cols, item = K->itemsize;
    problem a = {.kind = kind};
    choose_options(&a);
    void *y = room(n), *p = room(n), *values[2], *gradient[2];
    int32_t *labels = room_of(rows, sizeof *labels);
    fill(y, n, 0.1, 0.9);
    fill(p, n, 0.1, 0.9);
    for (ptrdiff_t i = 0; i < rows; i++)
        labels[i] = (int32_t)below(cols);
    for (int piece = 0; piece < 2; piece++)
        values[piece] = room(rows), gradient[piece] = room(n);
    K->row_loss(kind, a.option, y, labels, p, NULL, 1, 0.5, values[0], gradient[0], rows, cols);
    for (ptrdiff_t first = 0, count; first < rows; first += count) {
        count = any_piece(rows - first);
        const ptrdiff_t at = first * cols * item;
        K->row_loss(kind, a.option, (char *)y + at, labels + first, (char *)p + at, NULL, 1, 0.5,
                    (char *)values[1] + first * item, (char *)gradient[1] + at, count, cols);
    }
    expect_equal("values", values[1], values[0], rows);
    expect_equal("gradient", gradient[1], gradient[0], n);
    end();
}

static void nan_case(hl_row_loss kind, ptrdiff_t cols) {
    begin("row_loss of NaN, kind=%d cols=%td", kind, cols);
    problem a = {.kind = kind};
    choose_options(&a);
    void *y = room(3 * cols), *p = room(3 * cols), *values = room(3), *gradient = room(3 * cols);
    int32_t *labels = room_of(3, sizeof *labels);
    fill(y, 3 * cols, 0.1, 0.9);
    fill(p, 3 * cols, 0.1, 0.9);
    const ptrdiff_t spoilt = below(cols);
    labels[0] = labels[1] = labels[2] = (int32_t)spoilt;
    put(p, cols + spoilt, NAN);
    K->row_loss(kind, a.option, y, labels, p, NULL, 1, 1, values, gradient, 3, cols);
    expect(isnan(get(values, 1)), "a NaN in a row makes its loss NaN");
    if (kind != HL_BATCH_TVERSKY)
        expect(isfinite(get(values, 0)) && isfinite(get(values, 2)), "and no other's");
    end();
}

void test_row_losses(void) {
    for (int kind = HL_BINARY_FOCAL_CROSSENTROPY; kind <= HL_BATCH_TVERSKY; kind++)
        for (int c = 0; c < COUNT(sizes); c++) {
            const ptrdiff_t cols = sizes[c];
            if (cols > MOST_COLS)
                continue;
            nan_case((hl_row_loss)kind, cols);
            for (int asked = 0; asked < 3; asked++) {
                loss_case((hl_row_loss)kind, 1, cols, asked);
                loss_case((hl_row_loss)kind, any_size() % 39 + 1, cols, asked);
            }
            if (kind != HL_BATCH_TVERSKY)
                cut_case((hl_row_loss)kind, any_size() % 39 + 1, cols);
        }
}
