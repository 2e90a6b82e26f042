/* Metrics of each row: those that count exactly, correlations nearly. */
#include "check.h"

static ptrdiff_t argmax(const void *x, ptrdiff_t first, ptrdiff_t cols) {
    ptrdiff_t best = 0;
    for (ptrdiff_t j = 0; j < cols; j++) {
        if (isnan(get(x, first + j)))
            return -1;
        if (get(x, first + j) > get(x, first + best))
            best = j;
    }
    return best;
}

static int in_top_k(const void *score, ptrdiff_t first, ptrdiff_t label, double k, ptrdiff_t cols) {
    const double own = get(score, first + label);
    double greater = 0;
    for (ptrdiff_t j = 0; j < cols; j++)
        greater += get(score, first + j) > own;
    return isfinite(own) && greater < k;
}

static double reference(hl_metric kind, double param, const void *y_true, const int32_t *labels,
                        const void *y_pred, ptrdiff_t i, ptrdiff_t cols) {
    if (kind == HL_BINARY_ACCURACY) {
        double matches = 0;
        for (ptrdiff_t at = i * cols; at < (i + 1) * cols; at++)
            matches += get(y_true, at) == (get(y_pred, at) > rounded(param));
        return matches / (double)cols;
    }
    const int sparse = kind == HL_SPARSE_CATEGORICAL_ACCURACY || kind == HL_SPARSE_TOP_K_ACCURACY;
    const ptrdiff_t label = sparse ? labels[i] : argmax(y_true, i * cols, cols);
    if (label < 0 || label >= cols)
        return 0;
    if (kind == HL_TOP_K_ACCURACY || kind == HL_SPARSE_TOP_K_ACCURACY)
        return in_top_k(y_pred, i * cols, label, param, cols);
    return label == argmax(y_pred, i * cols, cols);
}

/* Few different scores, so that ties are common. */
static void fill_scores(void *x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++)
        put(x, i, (double)below(6) / 4);
    if (n > 0 && below(2))
        put(x, below(n), below(2) ? NAN : INFINITY);
}

static void one_case(hl_metric kind, ptrdiff_t rows, ptrdiff_t cols) {
    const double param = kind == HL_BINARY_ACCURACY ? 0.5 : 1 + (double)below(cols + 1);
    const ptrdiff_t group = (ptrdiff_t[]){1, 3, 7}[below(3)];
    const int weighted = (int)below(2);
    begin("metric kind=%d param=%g rows=%td cols=%td group=%td weighted=%d", kind, param, rows,
          cols, group, weighted);
    void *y_true = room(rows * cols), *y_pred = room(rows * cols), *values = room(rows);
    int32_t *labels = room_of(rows, sizeof *labels);
    void *weight = weighted ? room((rows + group - 1) / group) : NULL;
    fill_scores(y_pred, rows * cols);
    fill_scores(y_true, rows * cols);
    for (ptrdiff_t i = 0; i < rows * cols && kind == HL_BINARY_ACCURACY; i++)
        put(y_true, i, (double)below(2));
    for (ptrdiff_t i = 0; i < rows; i++)
        labels[i] = below(8) == 0 ? (int32_t[]){-1, INT32_MIN, INT32_MAX, (int32_t)cols}[below(4)]
                    : below(2)    ? (int32_t)below(cols)
                                  : (int32_t)argmax(y_pred, i * cols, cols);
    if (weighted)
        fill(weight, (rows + group - 1) / group, 0, 2);
    K->metric(kind, param, y_true, labels, y_pred, weight, group, values, rows, cols);
    for (ptrdiff_t i = 0; i < rows; i++) {
        const double w = weighted ? get(weight, i / group) : 1;
        const double want = w * reference(kind, param, y_true, labels, y_pred, i, cols);
        /* A mean is divided and then multiplied, each rounded. */
        expect_near("values", i, get(values, i), want,
                    kind == HL_BINARY_ACCURACY ? epsilon() * want : 0);
    }
    end();
}

static double correlation(hl_metric kind, const void *y, const void *p, ptrdiff_t first,
                          ptrdiff_t cols) {
    double y_mean = 0, p_mean = 0, yy = 0, pp = 0, yp = 0;
    for (ptrdiff_t at = first; at < first + cols; at++)
        y_mean += get(y, at) / (double)cols, p_mean += get(p, at) / (double)cols;
    for (ptrdiff_t at = first; at < first + cols; at++) {
        const double u = get(y, at) - y_mean, v = get(p, at) - p_mean;
        yy += u * u / (double)cols, pp += v * v / (double)cols, yp += u * v / (double)cols;
    }
    const double apart = y_mean - p_mean;
    return kind == HL_PEARSON_CORRELATION ? yp / sqrt(yy * pp)
                                          : 2 * yp / (yy + pp + apart * apart + rounded(1e-7));
}

static void correlation_case(hl_metric kind, ptrdiff_t rows, ptrdiff_t cols) {
    begin("metric kind=%d rows=%td cols=%td", kind, rows, cols);
    void *y = room(rows * cols), *p = room(rows * cols), *weight = room(rows), *values = room(rows);
    fill(y, rows * cols, -1, 1);
    fill(p, rows * cols, -1, 1);
    fill(weight, rows, 0.1, 2);
    const ptrdiff_t spoilt = below(3) == 0 ? below(rows) : -1;
    if (spoilt >= 0)
        put(p, spoilt * cols + below(cols), NAN);
    K->metric(kind, 0, y, NULL, p, weight, 1, values, rows, cols);
    for (ptrdiff_t i = 0; i < rows; i++) {
        const double want = i == spoilt ? NAN : correlation(kind, y, p, i * cols, cols);
        expect_near("values", i, get(values, i), want * get(weight, i),
                    epsilon() * (16 + 2 * (double)cols) * 4);
    }
    end();
}

void test_metrics(void) {
    for (int kind = HL_PEARSON_CORRELATION; kind <= HL_CONCORDANCE_CORRELATION; kind++)
        for (int c = 0; c < COUNT(sizes); c++)
            if (sizes[c] > 2) /* of one or two numbers the variance may be next to nothing */
                correlation_case((hl_metric)kind, any_size() % 40 + 1, sizes[c]);
    for (int kind = HL_BINARY_ACCURACY; kind <= HL_SPARSE_TOP_K_ACCURACY; kind++)
        for (int c = 0; c < COUNT(sizes); c++)
            for (int round = 0; round < 6; round++)
                one_case((hl_metric)kind, round == 0 ? 1 : any_size() % 40 + 1, sizes[c]);
    for (int kind = HL_BINARY_ACCURACY; kind <= HL_SPARSE_TOP_K_ACCURACY; kind++)
        one_case((hl_metric)kind, 0, 7);
}
