/* Examples of several rows: repeated, maxima, sums so far, inner products, lengths; standardising. */
#include "check.h"

static void repeat_case(ptrdiff_t rows, ptrdiff_t steps, ptrdiff_t cols) {
    begin("repeat_steps rows=%td steps=%td cols=%td", rows, steps, cols);
    void *x = room(rows * cols), *y = room(rows * steps * cols);
    fill_special(x, rows * cols, -1, 1);
    K->repeat_steps(x, rows, steps, cols, y);
    for (ptrdiff_t i = 0; i < rows * steps * cols; i++)
        expect_same("y", i, get(y, i), get(x, i / (steps * cols) * cols + i % cols));
    end();
}

/* The largest of one column's steps, NaN if one is, and how many are as large. */
static double largest(const void *x, ptrdiff_t at, ptrdiff_t steps, ptrdiff_t cols, int *equal) {
    double most = get(x, at);
    for (ptrdiff_t t = 1; t < steps; t++) {
        const double other = get(x, at + t * cols);
        most = isnan(most) || isnan(other) ? NAN : other > most ? other : most;
    }
    *equal = 0;
    for (ptrdiff_t t = 0; t < steps; t++)
        *equal += get(x, at + t * cols) == most;
    return most;
}

static void max_case(ptrdiff_t rows, ptrdiff_t steps, ptrdiff_t cols) {
    begin("max_steps rows=%td steps=%td cols=%td", rows, steps, cols);
    void *x = room(rows * steps * cols), *y = room(rows * cols);
    void *dy = room(rows * cols), *dx = room(rows * steps * cols);
    fill_special(x, rows * steps * cols, -1, 1);
    for (ptrdiff_t i = 0; i + cols < rows * steps * cols; i += 3) /* equal steps */
        put(x, i + cols, get(x, i));
    fill(dy, rows * cols, -1, 1);
    K->max_steps(x, rows, steps, cols, y);
    K->max_steps_gradient(dy, x, y, rows, steps, cols, dx);
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < cols; j++) {
            int equal;
            const ptrdiff_t first = i * steps * cols + j;
            const double most = largest(x, first, steps, cols, &equal);
            const double found = get(y, i * cols + j);
            expect(isnan(most) ? isnan(found) : found == most, "the largest");
            for (ptrdiff_t t = 0; t < steps; t++) {
                const ptrdiff_t at = first + t * cols;
                const double share = rounded(get(dy, i * cols + j) / equal);
                expect_same("dx", at, get(dx, at), get(x, at) == most ? share : 0);
            }
        }
    end();
}

static void cumulative_case(ptrdiff_t rows, ptrdiff_t steps, ptrdiff_t cols, int reverse,
                            int in_place) {
    begin("cumulative_sum rows=%td steps=%td cols=%td reverse=%d", rows, steps, cols, reverse);
    const ptrdiff_t n = rows * steps * cols;
    void *x = room(n), *given = room(n), *y = in_place ? x : room(n);
    fill(x, n, -1, 1);
    for (ptrdiff_t i = 0; i < n; i++)
        put(given, i, get(x, i));
    K->cumulative_sum(reverse, x, rows, steps, cols, y);
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < cols; j++) {
            double sum = 0;
            for (ptrdiff_t t = 0; t < steps; t++) {
                const ptrdiff_t step = reverse ? steps - 1 - t : t, at = (i * steps + step) * cols + j;
                sum = rounded(sum + get(given, at));
                expect_same("y", at, get(y, at), sum);
            }
        }
    end();
}

static double product(const void *a, ptrdiff_t i, const void *b, ptrdiff_t j, ptrdiff_t k) {
    double sum = 0;
    for (ptrdiff_t p = 0; p < k; p++)
        sum += get(a, i + p) * get(b, j + p);
    return sum;
}

static void unit_case(ptrdiff_t rows, ptrdiff_t cols, int in_place) {
    begin("unit_rows rows=%td cols=%td in_place=%d", rows, cols, in_place);
    void *x = room(rows * cols), *dy = room(rows * cols);
    fill(x, rows * cols, -1, 1);
    for (ptrdiff_t j = 0; j < cols && rows > 1; j++) { /* two that are too short */
        put(x, j, 0);
        put(x, cols + j, j ? 0 : 1e-9);
    }
    fill(dy, rows * cols, -1, 1);
    const void *x_was = copy_of(x, rows * cols), *dy_was = copy_of(dy, rows * cols);
    void *dx = in_place ? dy : room(rows * cols), *y = in_place ? x : room(rows * cols);
    K->unit_rows_gradient(dy, x, dx, rows, cols);
    K->unit_rows(x, y, rows, cols);
    for (ptrdiff_t i = 0; i < rows * cols; i++) {
        const ptrdiff_t first = i / cols * cols;
        const double length = sqrt(product(x_was, first, x_was, first, cols));
        const double limited = length > 1e-7 ? length : 1e-7;
        const double along = length > 1e-7 ? product(dy_was, first, x_was, first, cols) : 0;
        const double across = get(dy_was, i) - get(x_was, i) * along / (limited * limited);
        const double slack = epsilon() * (double)(cols + 8);
        expect_near("y", i, get(y, i), get(x_was, i) / limited, slack);
        expect_near("dx", i, get(dx, i), across / limited, slack * 2 / limited);
    }
    end();
}

static void standardize_case(int invert, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t run,
                             int with_mean) {
    begin("standardize invert=%d rows=%td cols=%td run=%td mean=%d", invert, rows, cols, run,
          with_mean);
    const ptrdiff_t n = rows * cols * run;
    void *x = room(n), *mean = room(cols), *variance = room(cols);
    fill(x, n, -1, 1);
    fill(mean, cols, -1, 1);
    fill(variance, cols, 0.1, 2);
    for (ptrdiff_t j = 0; j < cols; j += 5)
        put(variance, j, j % 2 ? 0 : NAN);
    const void *x_was = copy_of(x, n);
    void *y = below(2) ? x : room(n);
    K->standardize(invert, x, with_mean ? mean : NULL, variance, rows, cols, run, y);
    for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t j = i / run % cols;
        const double root = rounded(sqrt(get(variance, j))), m = with_mean ? get(mean, j) : 0;
        const double s = isnan(root) || root > 1e-7 ? root : rounded(1e-7);
        const double v = get(x_was, i);
        expect_same("y", i, get(y, i),
                    invert ? multiply_add(v, s, m) : rounded(rounded(v - m) / s));
    }
    end();
}

void test_steps(void) {
    for (int s = 0; s < COUNT(sizes); s++) {
        repeat_case(1 + below(5), 1 + below(9), sizes[s]);
        repeat_case(1 + below(5), sizes[s], 1);
        max_case(1 + below(5), 1 + below(9), sizes[s]);
        for (int how = 0; how < 4; how++) {
            cumulative_case(1 + below(5), 1 + below(9), sizes[s], how & 1, how & 2);
            cumulative_case(1 + below(5), sizes[s], 1, how & 1, how & 2);
        }
        for (int invert = 0; invert < 2; invert++) {
            unit_case(1 + below(9), sizes[s], invert);
            for (int with_mean = 0; with_mean < 2; with_mean++) {
                standardize_case(invert, 1 + below(9), sizes[s], 1, with_mean);
                standardize_case(invert, 1 + below(5), 1 + below(5), sizes[s], with_mean);
            }
        }
    }
    repeat_case(0, 3, 4);
    repeat_case(3, 0, 4);
    repeat_case(3, 2, 0);
    max_case(0, 3, 4);
    cumulative_case(0, 3, 4, 1, 0);
    cumulative_case(3, 0, 4, 1, 0);
    cumulative_case(3, 2, 0, 1, 0);
    max_case(3, 2, 0);
    unit_case(0, 5, 0);
    unit_case(3, 0, 0);
    standardize_case(0, 0, 3, 1, 1);
    standardize_case(0, 3, 0, 1, 1);
}
