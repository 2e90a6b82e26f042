/* Dropout in its two forms, and normal numbers: the very draws, and their moments. */
#include "check.h"

static double draw(uint64_t key, ptrdiff_t i) {
    return (double)(hl_random_bits(key, (uint64_t)i) >> 40) * 0x1p-24;
}

static void dropout_case(double rate, ptrdiff_t n, int in_place) {
    const uint64_t key = random_word();
    const ptrdiff_t first = below(1000);
    begin("dropout rate=%g first=%td n=%td in place=%d", rate, first, n, in_place);
    void *x = room(n);
    fill_special(x, n, -1, 1);
    const void *x_was = copy_of(x, n);
    void *y = in_place ? x : room(n);
    K->dropout(rate, key, first, x, y, n);
    const double scale = rounded(1 / (1 - rate));
    for (ptrdiff_t i = 0; i < n; i++)
        expect_same("y", i, get(y, i),
                    draw(key, first + i) >= rate ? rounded(get(x_was, i) * scale) : 0);
    end();
}

static void alpha_dropout_case(double rate, ptrdiff_t n, int in_place) {
    const uint64_t key = random_word();
    const ptrdiff_t first = below(1000);
    begin("alpha_dropout rate=%g first=%td n=%td in place=%d", rate, first, n, in_place);
    void *x = room(n);
    fill(x, n, -1, 1);
    const void *x_was = copy_of(x, n);
    void *y = in_place ? x : room(n);
    K->alpha_dropout(rate, 0.7, 0.3, -1.1, key, first, x, y, n);
    for (ptrdiff_t i = 0; i < n; i++)
        expect_same("y", i, get(y, i),
                    draw(key, first + i) >= rate
                        ? multiply_add(get(x_was, i), rounded(0.7), rounded(0.3))
                        : rounded(-1.1));
    end();
}

static double normal(uint64_t key, ptrdiff_t i) {
    const uint64_t bits = hl_random_bits(key, (uint64_t)i);
    const double u = (double)((bits >> 40) + 1) * 0x1p-24;
    const double turn = (double)(bits >> 16 & 0xffffff) * 0x1p-24;
    return sqrt(-2 * log(u)) * cos(2 * M_PI * turn);
}

/* The logarithm's bound, root, sine or cosine and product are off by less than 5 epsilons; double
 * arithmetic of the reference by as many of its own near the zeros of the cosine. */
static void gaussian_case(int multiply, double stddev, ptrdiff_t n, int in_place) {
    const uint64_t key = random_word();
    const ptrdiff_t first = below(1000);
    begin("gaussian multiply=%d stddev=%g first=%td n=%td in place=%d", multiply, stddev, first, n,
          in_place);
    void *x = room(n);
    fill(x, n, -1, 1);
    const void *x_was = copy_of(x, n);
    void *y = in_place ? x : room(n);
    K->gaussian(multiply, stddev, key, first, x, y, n);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double noise = stddev * normal(key, first + i), v = get(x_was, i);
        expect_near("y", i, get(y, i), multiply ? v * (1 + noise) : v + noise,
                    6 * epsilon() * ((1 + fabs(noise)) * fabs(v) + fabs(noise)) + 0x1p-49);
    }
    char *pieces = copy_of(x_was, n);
    for (ptrdiff_t i = 0, count; i < n; i += count) {
        count = any_piece(n - i);
        char *at = pieces + i * K->itemsize;
        K->gaussian(multiply, stddev, key, first + i, at, at, count);
    }
    expect_equal("y in pieces", pieces, y, n);
    end();
}

/* Of 2^16 normal numbers, each moment is off by less than five of its standard deviations. */
static void moments_case(void) {
    enum { N = 1 << 16 };
    begin("moments of gaussian");
    void *x = room(N);
    fill(x, N, 0, 0);
    K->gaussian(0, 1, random_word(), 0, x, x, N);
    double sum[5] = {0};
    for (ptrdiff_t i = 0; i < N; i++)
        for (int power = 1; power < 5; power++)
            sum[power] += pow(get(x, i), power) / N;
    static const double want[] = {0, 0, 1, 0, 3}, variance[] = {0, 1, 2, 15, 96};
    for (int power = 1; power < 5; power++)
        expect_near("moment", power, sum[power], want[power], 5 * sqrt(variance[power] / N));
    end();
}

void test_noise(void) {
    static const double rates[] = {0, 0.1, 0.5, 0.9};
    for (int s = 0; s < COUNT(sizes); s++)
        for (int r = 0; r < COUNT(rates); r++) {
            dropout_case(rates[r], sizes[s], r & 1);
            alpha_dropout_case(rates[r], sizes[s], r & 1);
            gaussian_case(0, rates[r], sizes[s], r & 1);
            gaussian_case(1, rates[r], sizes[s], r & 1);
        }
    dropout_case(0.5, 0, 0);
    alpha_dropout_case(0.5, 0, 0);
    gaussian_case(0, 0.5, 0, 0);
    moments_case();
}
