/* softmax, log_softmax, sparsemax and glu, and their gradients. */
#include "check.h"

/* Infinities and NaN once in a while, in one row; its others must not notice. */
static void fill_rows(void *x, ptrdiff_t rows, ptrdiff_t cols) {
    static const double special[] = {INFINITY, -INFINITY, NAN, 3e4, -3e4};
    fill(x, rows * cols, -6, 6);
    if (below(2))
        for (ptrdiff_t some = 0; some < 1 + cols / 8; some++)
            put(x, below(rows) * cols + below(cols), special[below(COUNT(special))]);
}

/* One row's largest element and the sum of exp(x - most), in double. */
static double sum_exp(const void *x, ptrdiff_t first, ptrdiff_t cols, double *most) {
    double sum = 0;
    *most = -INFINITY;
    for (ptrdiff_t j = 0; j < cols; j++)
        *most = fmax(*most, get(x, first + j));
    for (ptrdiff_t j = 0; j < cols; j++)
        sum += exp(get(x, first + j) - *most);
    return sum;
}

/* x - most is rounded, which exp turns into a relative error of |x - most| / 2 epsilons; the sum of
 * the terms adds half an epsilon for each of them, exp and the division a few more. */
static void forward_case(ptrdiff_t rows, ptrdiff_t cols, int in_place) {
    begin("softmax rows=%td cols=%td in place=%d", rows, cols, in_place);
    const ptrdiff_t n = rows * cols;
    void *x = room(n);
    fill_rows(x, rows, cols);
    const void *x_was = copy_of(x, n);
    void *y = in_place ? x : room(n), *log_y = in_place ? copy_of(x, n) : room(n);
    K->log_softmax(in_place ? log_y : x, log_y, rows, cols);
    K->softmax(x, y, rows, cols);
    for (ptrdiff_t i = 0; i < rows; i++) {
        double most;
        const double sum = sum_exp(x_was, i * cols, cols, &most);
        for (ptrdiff_t j = 0; j < cols; j++) {
            const ptrdiff_t at = i * cols + j;
            const double d = get(x_was, at) - most, want = exp(d) / sum;
            const double relative = epsilon() * ((double)cols + 5);
            const double grown = isfinite(d) ? epsilon() * fabs(d) : 0;
            expect_near("softmax", at, get(y, at), want, (relative + grown) * want + 2 * tiny());
            expect_near("log_softmax", at, get(log_y, at), d - log(sum),
                        relative + epsilon() * log(sum) + grown);
        }
    }
    end();
}

static void gradient_case(ptrdiff_t rows, ptrdiff_t cols, int in_place) {
    begin("softmax_gradient rows=%td cols=%td in place=%d", rows, cols, in_place);
    const ptrdiff_t n = rows * cols;
    void *dy = room(n), *y = room(n), *log_y = room(n);
    fill(dy, n, -1, 1);
    fill(log_y, n, -9, 0);
    for (ptrdiff_t i = 0; i < n; i++)
        put(y, i, exp(get(log_y, i)));
    if (below(4) == 0)
        put(dy, below(n), NAN);
    const void *dy_was = copy_of(dy, n);
    void *dx = in_place ? dy : room(n), *dx_log = in_place ? copy_of(dy, n) : room(n);
    K->log_softmax_gradient(in_place ? dx_log : dy, log_y, dx_log, rows, cols);
    K->softmax_gradient(dy, y, dx, rows, cols);
    for (ptrdiff_t i = 0; i < rows; i++) {
        double dot = 0, dot_size = 0, sum = 0, sum_size = 0;
        for (ptrdiff_t at = i * cols; at < (i + 1) * cols; at++) {
            const double dy_j = get(dy_was, at);
            dot += dy_j * get(y, at);
            dot_size += fabs(dy_j * get(y, at));
            sum += dy_j;
            sum_size += fabs(dy_j);
        }
        const double relative = epsilon() * ((double)cols + 4);
        for (ptrdiff_t at = i * cols; at < (i + 1) * cols; at++) {
            const double dy_j = get(dy_was, at), y_j = get(y, at), e = exp(get(log_y, at));
            expect_near("softmax dx", at, get(dx, at), y_j * (dy_j - dot),
                        relative * y_j * (fabs(dy_j) + dot_size));
            expect_near("log_softmax dx", at, get(dx_log, at), dy_j - e * sum,
                        relative * (fabs(dy_j) + e * sum_size));
        }
    }
    end();
}

/* The sum of max(x - tau, 0) falls as tau grows: the tau at which it is 1, by bisection. */
static double simplex_threshold(const void *x, ptrdiff_t first, ptrdiff_t cols) {
    double high = -INFINITY;
    for (ptrdiff_t j = 0; j < cols; j++)
        high = fmax(high, get(x, first + j));
    double low = high - 1;
    for (int step = 0; step < 80; step++) {
        const double middle = (low + high) / 2;
        double sum = 0;
        for (ptrdiff_t j = 0; j < cols; j++)
            sum += fmax(get(x, first + j) - middle, 0);
        *(sum > 1 ? &low : &high) = middle;
    }
    return low;
}

static void sparsemax_case(ptrdiff_t rows, ptrdiff_t cols, int in_place) {
    begin("sparsemax rows=%td cols=%td in place=%d", rows, cols, in_place);
    const ptrdiff_t n = rows * cols;
    void *x = room(n), *dy = room(n);
    fill(x, n, -2, 2);
    if (below(2))
        put(x, below(n), -INFINITY);
    if (cols > 1 && below(2))
        put(x, 1, get(x, 0)); /* a tie */
    const ptrdiff_t spoilt = below(3) == 0 ? below(n) : -1;
    if (spoilt >= 0)
        put(x, spoilt, below(2) ? NAN : INFINITY);
    fill(dy, n, -1, 1);
    const void *x_was = copy_of(x, n), *dy_was = copy_of(dy, n);
    void *y = in_place ? x : room(n), *dx = in_place ? dy : room(n);
    K->sparsemax(x, y, rows, cols);
    K->sparsemax_gradient(dy, y, dx, rows, cols);
    for (ptrdiff_t i = 0; i < rows; i++) {
        const double slack = epsilon() * (2 * (double)cols + 8);
        const double tau = simplex_threshold(x_was, i * cols, cols);
        double sum = 0, counted = 0;
        /* -infinity alone is no number either. */
        const int nan = (spoilt >= 0 && spoilt / cols == i) || isinf(tau);
        for (ptrdiff_t at = i * cols; at < (i + 1) * cols; at++) {
            const double want = nan ? NAN : fmax(get(x_was, at) - tau, 0);
            expect_near("sparsemax", at, get(y, at), want, slack);
            sum += get(y, at) > 0 ? get(dy_was, at) : 0;
            counted += get(y, at) > 0;
        }
        for (ptrdiff_t at = i * cols; at < (i + 1) * cols; at++)
            expect_near("sparsemax dx", at, get(dx, at),
                        get(y, at) > 0 ? get(dy_was, at) - sum / counted : 0, slack * 4);
    }
    end();
}

static void glu_case(ptrdiff_t rows, ptrdiff_t cols, int in_place) {
    begin("glu rows=%td cols=%td in place=%d", rows, cols, in_place);
    const ptrdiff_t n = rows * cols;
    void *x = room(2 * n), *dy = room(n), *y = room(n);
    fill(x, 2 * n, -9, 9);
    fill(dy, n, -1, 1);
    const void *x_was = copy_of(x, 2 * n);
    K->glu(x, y, rows, cols);
    void *dx = in_place ? x : room(2 * n);
    K->glu_gradient(dy, x, dx, rows, cols);
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < cols; j++) {
            const ptrdiff_t first = 2 * i * cols + j, second = first + cols, at = i * cols + j;
            const double a = get(x_was, first), b = get(x_was, second), g = get(dy, at);
            const double s = 1 / (1 + exp(-b)), rest = 1 / (1 + exp(b));
            expect_near("glu", at, get(y, at), a * s, 4 * epsilon() * fabs(a * s));
            expect_near("glu dx", first, get(dx, first), g * s, 4 * epsilon() * fabs(g * s));
            expect_near("glu dx", second, get(dx, second), g * a * s * rest,
                        8 * epsilon() * fabs(g * a * s * rest));
        }
    end();
}

void test_rows(void) {
    for (int c = 0; c < COUNT(sizes); c++)
        for (int round = 0; round < 4; round++) {
            forward_case(round == 0 ? 1 : any_size() % 40 + 1, sizes[c], round & 1);
            gradient_case(round == 0 ? 1 : any_size() % 40 + 1, sizes[c], round & 1);
            sparsemax_case(round == 0 ? 1 : any_size() % 40 + 1, sizes[c], round & 1);
            glu_case(round == 0 ? 1 : any_size() % 40 + 1, sizes[c], round & 1);
        }
    /* No rows, or rows of nothing: nothing is read or written. */
    begin("softmax of nothing");
    void *x = room(0), *y = room(0);
    for (ptrdiff_t rows = 0; rows < 8; rows += 7) {
        const ptrdiff_t cols = 7 - rows;
        K->softmax(x, y, rows, cols);
        K->log_softmax(x, y, rows, cols);
        K->softmax_gradient(x, x, y, rows, cols);
        K->log_softmax_gradient(x, x, y, rows, cols);
        K->sparsemax(x, y, rows, cols);
        K->sparsemax_gradient(x, x, y, rows, cols);
        K->glu(x, y, rows, cols);
        K->glu_gradient(x, x, y, rows, cols);
    }
    end();
}
