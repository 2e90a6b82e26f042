/* Normalisation over columns and over rows, and PReLU: values, gradients, cuts between threads. */
#include "check.h"

#include <string.h>

/* Epsilons by which a sum of n terms may be off, in units of the sum of their sizes, and a few
 * roundings of each term. */
static double sum_slack(ptrdiff_t n) {
    return epsilon() * ((double)(n < 64 ? n : 64 + n / 64) + 8);
}

/* A vector of factors, or none. */
static void *maybe(int there, ptrdiff_t n) {
    void *x = there ? room(n) : NULL;
    if (there)
        fill(x, n, 0.5, 2);
    return x;
}

static double or_value(const void *x, ptrdiff_t i, double missing) {
    return x ? get(x, i) : missing;
}

/* A batch whose columns have means far from 0. */
static void *batch_of(ptrdiff_t rows, ptrdiff_t cols) {
    void *x = room(rows * cols);
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < cols; j++)
            put(x, i * cols + j, (double)(j % 5) * 3 + uniform(-1, 1));
    return x;
}

/* Columns j .. j + count - 1, by themselves. */
static void take_columns(const char *x, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t j,
                         ptrdiff_t count, char *out) {
    const size_t item = (size_t)K->itemsize;
    for (ptrdiff_t i = 0; i < rows; i++)
        memcpy(out + (size_t)(i * count) * item, x + (size_t)(i * cols + j) * item,
               (size_t)count * item);
}

static void moments_case(ptrdiff_t rows, ptrdiff_t cols) {
    begin("column_moments rows=%td cols=%td", rows, cols);
    const void *x = batch_of(rows, cols);
    void *mean = room(cols), *variance = room(cols);
    K->column_moments(x, cols, rows, cols, mean, variance);
    for (ptrdiff_t j = 0; j < cols; j++) {
        double sum = 0, spread = 0;
        for (ptrdiff_t i = 0; i < rows; i++)
            sum += get(x, i * cols + j);
        const double center = sum / (double)rows;
        for (ptrdiff_t i = 0; i < rows; i++)
            spread += pow(get(x, i * cols + j) - center, 2);
        /* A mean that is off by d makes the variance larger by d^2. */
        const double off = sum_slack(rows) * 14;
        expect_near("mean", j, get(mean, j), center, off);
        expect_near("variance", j, get(variance, j), spread / (double)rows,
                    sum_slack(rows) * 2 + 4 * epsilon() * 14 + off * off);
    }
    /* Threads cut the columns. */
    const ptrdiff_t cut = below(cols + 1);
    void *other_mean = room(cols), *other_variance = room(cols);
    const size_t item = (size_t)K->itemsize;
    K->column_moments(x, cols, rows, cut, other_mean, other_variance);
    K->column_moments((const char *)x + (size_t)cut * item, cols, rows, cols - cut,
                      (char *)other_mean + (size_t)cut * item,
                      (char *)other_variance + (size_t)cut * item);
    expect_equal("mean of a cut", other_mean, mean, cols);
    expect_equal("variance of a cut", other_variance, variance, cols);
    end();
}

static void constant_columns_case(ptrdiff_t rows, ptrdiff_t cols) {
    begin("column_moments of constants rows=%td cols=%td", rows, cols);
    void *x = room(rows * cols), *mean = room(cols), *variance = room(cols), *zeros = room(cols);
    fill(x, cols, -3, 3);
    fill(zeros, cols, 0, 0);
    for (ptrdiff_t i = 1; i < rows; i++)
        memcpy((char *)x + (size_t)(i * cols) * (size_t)K->itemsize, x,
               (size_t)cols * (size_t)K->itemsize);
    K->column_moments(x, cols, rows, cols, mean, variance);
    expect_equal("mean", mean, x, cols);
    expect_equal("variance", variance, zeros, cols);
    end();
}

static void normalize_case(ptrdiff_t rows, ptrdiff_t cols, int scale, int center, int in_place) {
    begin("normalize rows=%td cols=%td scale=%d center=%d in place=%d", rows, cols, scale, center,
          in_place);
    void *x = batch_of(rows, cols), *mean = room(cols), *variance = maybe(1, cols);
    fill(mean, cols, -1, 1);
    const void *gamma = maybe(scale, cols), *beta = maybe(center, cols);
    const void *x_was = copy_of(x, rows * cols);
    void *y = in_place ? x : room(rows * cols);
    K->normalize(1e-3, x, mean, variance, gamma, beta, y, rows, cols);
    for (ptrdiff_t i = 0; i < rows * cols; i++) {
        const ptrdiff_t j = i % cols;
        const double factor = or_value(gamma, j, 1) / sqrt(get(variance, j) + 1e-3);
        const double normal = (get(x_was, i) - get(mean, j)) * factor, b = or_value(beta, j, 0);
        expect_near("y", i, get(y, i), normal + b, 8 * epsilon() * (fabs(normal) + fabs(b)));
    }
    end();
}

static void normalize_gradient_case(ptrdiff_t rows, ptrdiff_t cols, int scale, int own,
                                    int in_place) {
    begin("normalize_gradient rows=%td cols=%td scale=%d own=%d in place=%d", rows, cols, scale,
          own, in_place);
    const ptrdiff_t n = rows * cols, total = rows + below(9);
    const void *x = batch_of(rows, cols), *variance = maybe(1, cols), *gamma = maybe(scale, cols);
    void *dy = room(n), *mean = room(cols), *dgamma = room(cols);
    const void *dbeta = own ? maybe(1, cols) : NULL;
    fill(dy, n, -1, 1);
    fill(mean, cols, -1, 1);
    K->normalize_scale_gradient(1e-3, dy, x, mean, variance, cols, rows, cols, dgamma);
    const void *dy_was = copy_of(dy, n);
    void *dx = in_place ? dy : room(n);
    K->normalize_gradient(1e-3, total, dy, x, mean, variance, gamma, own ? dgamma : NULL, dbeta,
                          dx, rows, cols);
    for (ptrdiff_t j = 0; j < cols; j++) {
        const double inverse = 1 / sqrt(get(variance, j) + 1e-3);
        double sum = 0, size = 0;
        for (ptrdiff_t i = j; i < n; i += cols) {
            const double term = get(dy_was, i) * (get(x, i) - get(mean, j)) * inverse;
            sum += term;
            size += fabs(term);
        }
        expect_near("dgamma", j, get(dgamma, j), sum, sum_slack(rows) * size);
        for (ptrdiff_t i = j; i < n; i += cols) {
            double rest = get(dy_was, i), scale_of = fabs(rest);
            if (own) {
                const double normal = (get(x, i) - get(mean, j)) * inverse;
                const double slope = normal * get(dgamma, j) / (double)total;
                rest -= get(dbeta, j) / (double)total + slope;
                scale_of += get(dbeta, j) / (double)total + fabs(slope);
            }
            const double factor = inverse * or_value(gamma, j, 1);
            expect_near("dx", i, get(dx, i), rest * factor, 10 * epsilon() * scale_of * factor);
        }
    }
    end();
}

/* A column's bits do not depend on those beside it. */
static void cut_case(ptrdiff_t rows, ptrdiff_t cols) {
    begin("normalization in pieces, rows=%td cols=%td", rows, cols);
    const ptrdiff_t n = rows * cols, item = K->itemsize;
    char *x = batch_of(rows, cols), *dy = room(n), *mean = room(cols), *row_mean = room(rows);
    char *variance = maybe(1, cols), *gamma = maybe(1, cols), *beta = maybe(1, cols);
    const void *inverse = maybe(1, rows);
    fill(dy, n, -1, 1);
    fill(mean, cols, -1, 1);
    fill(row_mean, rows, -1, 1);
    char *y = room(n), *dx = room(n), *dgamma = room(cols), *of_rows = room(cols);
    char *dalpha = room(cols);
    K->normalize(1e-3, x, mean, variance, gamma, beta, y, rows, cols);
    K->normalize_scale_gradient(1e-3, dy, x, mean, variance, cols, rows, cols, dgamma);
    K->normalize_gradient(1e-3, rows, dy, x, mean, variance, gamma, dgamma, beta, dx, rows, cols);
    K->layer_norm_scale_gradient(dy, x, row_mean, inverse, cols, rows, cols, of_rows);
    K->prelu_alpha_gradient(dy, x, cols, rows, cols, dalpha);
    char *some_x = room(n), *some_dy = room(n), *some = room(n), *want = room(n);
    for (ptrdiff_t j = 0, count; j < cols; j += count) {
        count = any_piece(cols - j);
        const ptrdiff_t at = j * item;
        K->normalize_scale_gradient(1e-3, dy + at, x + at, mean + at, variance + at, cols, rows,
                                    count, some);
        expect_equal("dgamma", some, dgamma + at, count);
        K->layer_norm_scale_gradient(dy + at, x + at, row_mean, inverse, cols, rows, count, some);
        expect_equal("dgamma of rows", some, of_rows + at, count);
        K->prelu_alpha_gradient(dy + at, x + at, cols, rows, count, some);
        expect_equal("dalpha", some, dalpha + at, count);
        take_columns(x, rows, cols, j, count, some_x);
        take_columns(y, rows, cols, j, count, want);
        K->normalize(1e-3, some_x, mean + at, variance + at, gamma + at, beta + at, some, rows,
                     count);
        expect_equal("y", some, want, rows * count);
        take_columns(dy, rows, cols, j, count, some_dy);
        take_columns(dx, rows, cols, j, count, want);
        K->normalize_gradient(1e-3, rows, some_dy, some_x, mean + at, variance + at, gamma + at,
                              dgamma + at, beta + at, some, rows, count);
        expect_equal("dx", some, want, rows * count);
    }
    end();
}

static void average_case(ptrdiff_t n) {
    begin("moving_average n=%td", n);
    void *value = room(n), *average = room(n);
    fill_special(value, n, -1, 1);
    fill(average, n, -1, 1);
    const void *was = copy_of(average, n);
    K->moving_average(0.99, value, average, n);
    for (ptrdiff_t i = 0; i < n; i++)
        expect_same("average", i, get(average, i),
                    multiply_add(get(value, i), rounded(1 - 0.99),
                                 rounded(get(was, i) * rounded(0.99))));
    end();
}

static void layer_norm_case(ptrdiff_t rows, ptrdiff_t cols, int centered, int scale, int in_place) {
    begin("layer_norm rows=%td cols=%td centered=%d scale=%d in place=%d", rows, cols, centered,
          scale, in_place);
    const ptrdiff_t n = rows * cols;
    void *x = room(n), *mean = room(rows), *inverse = room(rows), *dgamma = room(cols);
    for (ptrdiff_t i = 0; i < n; i++)
        put(x, i, (double)(i / cols % 7) + uniform(-1, 1));
    const void *x_was = copy_of(x, n), *gamma = maybe(scale, cols), *beta = maybe(scale, cols);
    void *y = in_place ? x : room(n), *dy = room(n);
    K->layer_norm(centered, 1e-3, x, gamma, beta, y, mean, inverse, rows, cols);
    const void *saved = copy_of(y, n);
    if (in_place)
        memcpy(y, x_was, (size_t)(n * K->itemsize));
    K->layer_norm(centered, 1e-3, x, gamma, beta, y, NULL, NULL, rows, cols);
    expect_equal("y without mean and inverse", y, saved, n);
    fill(dy, n, -1, 1);
    const void *dy_was = copy_of(dy, n);
    void *dx = in_place ? dy : room(n);
    K->layer_norm_scale_gradient(dy, x_was, mean, inverse, cols, rows, cols, dgamma);
    K->layer_norm_gradient(centered, dy, x_was, mean, inverse, gamma, dx, rows, cols);
    const double relative = epsilon() * ((double)cols + 12);
    for (ptrdiff_t i = 0; i < rows; i++) {
        double center = 0, spread = 0, size = 0;
        for (ptrdiff_t at = i * cols; at < (i + 1) * cols; at++) {
            center += centered ? get(x_was, at) / (double)cols : 0;
            size = fmax(size, fabs(get(x_was, at)));
        }
        for (ptrdiff_t at = i * cols; at < (i + 1) * cols; at++)
            spread += pow(get(x_was, at) - center, 2) / (double)cols;
        const double r = 1 / sqrt(spread + 1e-3);
        expect_near("mean", i, get(mean, i), center, centered ? relative * size : 0);
        expect_near("inverse", i, get(inverse, i), r, relative * (size * r + 1) * r);
        double sum = 0, dot = 0;
        const double m = get(mean, i), f = get(inverse, i);
        for (ptrdiff_t j = 0; j < cols; j++) {
            const double g = get(dy_was, i * cols + j) * or_value(gamma, j, 1);
            sum += centered ? g : 0;
            dot += g * (get(x_was, i * cols + j) - m) * f;
        }
        for (ptrdiff_t j = 0; j < cols; j++) {
            const ptrdiff_t at = i * cols + j;
            const double normal = (get(x_was, at) - m) * f, factor = or_value(gamma, j, 1);
            expect_near("y", at, get(y, at), normal * factor + or_value(beta, j, 0),
                        8 * epsilon() * (fabs(normal) * factor + or_value(beta, j, 0)));
            const double want = get(dy_was, at) * factor - (sum + normal * dot) / (double)cols;
            expect_near("dx", at, get(dx, at), want * f,
                        relative * f * 2 * (2 + (1 + fabs(normal)) * (2 + size * f)));
        }
    }
    for (ptrdiff_t j = 0; j < cols; j++) {
        double sum = 0, size = 0;
        for (ptrdiff_t i = 0; i < rows; i++) {
            const ptrdiff_t at = i * cols + j;
            const double term = get(dy_was, at) * (get(x_was, at) - get(mean, i)) * get(inverse, i);
            sum += term;
            size += fabs(term);
        }
        expect_near("dgamma", j, get(dgamma, j), sum, sum_slack(rows) * size);
    }
    end();
}

/* Rows that differ by a factor of which T has no square. */
static void large_case(ptrdiff_t rows, ptrdiff_t cols, int centered) {
    begin("layer_norm of large numbers rows=%td cols=%td centered=%d", rows, cols, centered);
    const ptrdiff_t n = rows * cols;
    const double factor = K->itemsize == 4 ? 0x1p90 : 0x1p700;
    const double factors[] = {factor, 1 / factor};
    void *x = room(n), *scaled = room(n), *y = room(n), *want = room(n);
    void *mean = room(rows), *inverse = room(rows);
    fill(x, n, -1, 1);
    K->layer_norm(centered, 0, x, NULL, NULL, want, NULL, NULL, rows, cols);
    for (int f = 0; f < 2; f++) {
        for (ptrdiff_t i = 0; i < n; i++)
            put(scaled, i, get(x, i) * factors[f]);
        K->layer_norm(centered, 0, scaled, NULL, NULL, y, mean, inverse, rows, cols);
        for (ptrdiff_t i = 0; i < n; i++) {
            const double r = get(inverse, i / cols) * factors[f];
            const double slack = epsilon() * ((double)cols + 12) * 2 * (1 + r) * (1 + r);
            expect_near("y", i, get(y, i), get(want, i), slack);
        }
        K->unit_rows(scaled, y, f == 0 ? rows : 0, cols);
        for (ptrdiff_t i = 0; i < (f == 0 ? rows : 0); i++) {
            double squares = 0;
            for (ptrdiff_t j = 0; j < cols; j++)
                squares += pow(get(y, i * cols + j), 2);
            expect_near("length", i, squares, 1, epsilon() * ((double)cols + 12));
        }
    }
    end();
}

static void prelu_case(ptrdiff_t rows, ptrdiff_t cols, int in_place) {
    begin("prelu rows=%td cols=%td in place=%d", rows, cols, in_place);
    const ptrdiff_t n = rows * cols;
    void *x = room(n), *alpha = room(cols), *dy = room(n), *dalpha = room(cols);
    fill_special(x, n, -1, 1);
    fill(alpha, cols, -2, 2);
    fill(dy, n, -1, 1);
    const void *x_was = copy_of(x, n), *dy_was = copy_of(dy, n);
    void *y = in_place ? x : room(n), *dx = in_place ? dy : room(n);
    K->prelu_gradient(dy, x, alpha, dx, rows, cols);
    K->prelu(x, alpha, y, rows, cols);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double v = get(x_was, i), a = get(alpha, i % cols), g = get(dy_was, i);
        expect_same("y", i, get(y, i), v < 0 ? rounded(v * a) : v);
        expect_same("dx", i, get(dx, i), v == 0 ? 0 : v < 0 ? rounded(g * a) : g);
    }
    void *plain = room(n);
    fill(plain, n, -1, 1);
    K->prelu_alpha_gradient(dy_was, plain, cols, rows, cols, dalpha);
    for (ptrdiff_t j = 0; j < cols; j++) {
        double sum = 0, size = 0;
        for (ptrdiff_t i = j; i < n; i += cols) {
            sum += get(dy_was, i) * fmin(get(plain, i), 0);
            size += fabs(get(dy_was, i) * fmin(get(plain, i), 0));
        }
        expect_near("dalpha", j, get(dalpha, j), sum, sum_slack(rows) * size);
    }
    end();
}

void test_normalization(void) {
    for (int s = 0; s < COUNT(sizes); s++) {
        const ptrdiff_t cols = sizes[s];
        const ptrdiff_t many[] = {1, 1 + below(9), 64 + below(70)};
        average_case(cols);
        for (int r = 0; r < COUNT(many); r++) {
            moments_case(many[r], cols);
            constant_columns_case(many[r], cols);
            cut_case(many[r], cols);
            for (int bits = 0; bits < 8; bits++) {
                normalize_case(many[r], cols, bits & 1, bits >> 1 & 1, bits >> 2);
                normalize_gradient_case(many[r], cols, bits & 1, bits >> 1 & 1, bits >> 2);
                layer_norm_case(many[r], cols, bits & 1, bits >> 1 & 1, bits >> 2);
            }
            prelu_case(many[r], cols, r & 1);
            if (cols > 1) {
                large_case(many[r], cols, 0);
                large_case(many[r], cols, 1);
            }
        }
    }
    normalize_case(0, 7, 1, 1, 0);
    layer_norm_case(0, 7, 1, 1, 0);
    prelu_case(0, 7, 0);
}
