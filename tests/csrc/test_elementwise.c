/* Activations and their gradients, additions. */
#include "references.h"

#include <string.h>

const hl_activation activations[] = {HL_LINEAR, HL_ACTIVATIONS(HL_ENUMERATOR)};
static const hl_merge merges[] = {HL_MERGES(HL_ENUMERATOR)};

static double sigmoid(double x) {
    return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
}

static double clip(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

static const double selu_scale = 1.0507009873554804934, selu_alpha = 1.6732632423543772848;

/* gelu_tanh is x sigmoid(2 u): 2 u, and its derivative. */
static double gelu_argument(double x) {
    return 2 * sqrt(2 / M_PI) * (1 + 0.044715 * x * x) * x;
}
static double gelu_slope(double x) {
    return 2 * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
}

static double normal_cdf(double x) {
    return 0.5 * erfc(-x * sqrt(0.5));
}
static double normal_density(double x) {
    return exp(-0.5 * x * x) / sqrt(2 * M_PI);
}

/* t = tanh(softplus(x)) and 1 - t, without cancellation. */
static double tanh_softplus(double x) {
    const double e = exp(-fabs(x)), a = x < 0 ? e * (e + 2) : 1 + 2 * e;
    return a / (a + (x < 0 ? 2 : 2 * e * e));
}
static double tanh_softplus_rest(double x) {
    const double e = exp(-fabs(x)), b = x < 0 ? 2 : 2 * e * e;
    return b / (b + (x < 0 ? e * (e + 2) : 1 + 2 * e));
}

/* Below 0 the two terms would cancel. */
static double squareplus(double x, double b) {
    const double half = fabs(x) / 2 + hypot(x, sqrt(b)) / 2;
    return x < 0 ? b / 4 / half : half;
}

double expected_activation(hl_activation kind, double alpha, double x) {
    switch (kind) {
    case HL_LINEAR: return x;
    case HL_RELU: return x < 0 ? 0 : x;
    case HL_CLIPPED_RELU: return clip(x, 0, alpha);
    case HL_THRESHOLD: return x <= alpha ? 0 : x;
    case HL_HARD_SHRINK: return fabs(x) <= alpha ? 0 : x;
    case HL_SOFT_SHRINK: return x - clip(x, -alpha, alpha);
    case HL_LEAKY_RELU: return x < 0 ? alpha * x : x;
    case HL_ELU: return x > 0 ? x : alpha * expm1(x);
    case HL_CELU: return x > 0 ? x : alpha * expm1(x / alpha);
    case HL_SELU: return selu_scale * (x > 0 ? x : selu_alpha * expm1(x));
    case HL_GELU: return (x < -50 ? -50 : x) * normal_cdf(x);
    case HL_GELU_TANH: return (x < -50 ? -50 : x) * sigmoid(gelu_argument(x));
    case HL_SILU: return (x < -1000 ? -1000 : x) * sigmoid(x);
    case HL_HARD_SILU: return (x < -3 ? -3 : x) * clip(x / 6 + 0.5, 0, 1);
    case HL_MISH: return (x < -1000 ? -1000 : x) * tanh_softplus(x);
    case HL_LOG_SIGMOID: return x < 0 ? x - log1p(exp(x)) : -log1p(exp(-x));
    case HL_SQUAREPLUS: return squareplus(x, alpha);
    case HL_SPARSE_PLUS: return x > 1 ? x : (clip(x, -1, 1) + 1) * (clip(x, -1, 1) + 1) / 4;
    case HL_SOFTPLUS: return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
    case HL_SOFTSIGN: return isinf(x) ? copysign(1, x) : x / (1 + fabs(x));
    case HL_SIGMOID: return sigmoid(x);
    case HL_HARD_SIGMOID: return clip(x / 6 + 0.5, 0, 1);
    case HL_SPARSE_SIGMOID: return clip(x / 2 + 0.5, 0, 1);
    case HL_TANH: return tanh(x);
    case HL_HARD_TANH: return clip(x, -1, 1);
    case HL_TANH_SHRINK: return x - tanh(x);
    case HL_ABSOLUTE: return fabs(x);
    case HL_EXPONENTIAL: return exp(x);
    }
    return NAN;
}

/* How far the result may be off, in epsilons of size: the function's bound in csrc/README.md, and
 * half for each product, quotient, sum and constant that is rounded after it. Where terms cancel or
 * an error in an exponent grows with it, size says so. */
double activation_slack(hl_activation kind, double x, double y) {
    double ulps = 0, size = fabs(y);
    switch (kind) {
    case HL_LINEAR:
    case HL_RELU:
    case HL_CLIPPED_RELU:
    case HL_THRESHOLD:
    case HL_HARD_SHRINK:
    case HL_HARD_TANH:
    case HL_ABSOLUTE: break;
    case HL_SOFT_SHRINK: ulps = 0.5; break;
    case HL_LEAKY_RELU: ulps = 0.5; break;
    case HL_ELU: ulps = 1.6; break;
    case HL_CELU: ulps = 3, size *= 1 + fabs(x); break;
    case HL_SELU: ulps = 4; break;
    case HL_GELU: ulps = 3, size = fabs(x); break;
    case HL_GELU_TANH: ulps = 6, size *= 1 + fabs(gelu_argument(x)); break;
    case HL_SILU: ulps = 3; break;
    case HL_HARD_SILU: ulps = 2, size = fmin(fabs(x), 3) + size; break;
    case HL_MISH: ulps = 6; break;
    case HL_SOFTPLUS: ulps = 1.7; break;
    case HL_LOG_SIGMOID: ulps = 1.7; break;
    case HL_SQUAREPLUS: ulps = 5; break;
    case HL_SPARSE_PLUS: ulps = 3; break;
    case HL_SOFTSIGN: ulps = 1.1; break;
    case HL_SIGMOID: ulps = 2.5; break;
    case HL_HARD_SIGMOID: ulps = 1.5, size = 1; break;
    case HL_SPARSE_SIGMOID: ulps = 0.5; break;
    case HL_TANH: ulps = 2.6; break;
    case HL_TANH_SHRINK: ulps = 3, size = fabs(tanh(x)) + size; break;
    case HL_EXPONENTIAL: ulps = 1.1; break;
    }
    /* Denormal results lose up to the smallest number, times what they are multiplied by. */
    const double lost = ulps == 0 ? 0 : isfinite(x) ? tiny() * (3 + fabs(x)) : tiny();
    /* The reference itself is the C library's double. */
    return (ulps + (K->itemsize == 8 && ulps > 0)) * epsilon() * size + lost;
}

static int can_die(hl_activation kind) {
    switch (kind) {
    case HL_RELU:
    case HL_CLIPPED_RELU:
    case HL_THRESHOLD:
    case HL_HARD_SHRINK:
    case HL_SOFT_SHRINK:
    case HL_HARD_SILU:
    case HL_SQUAREPLUS:
    case HL_SPARSE_PLUS:
    case HL_HARD_SIGMOID:
    case HL_SPARSE_SIGMOID:
    case HL_HARD_TANH:
    case HL_ABSOLUTE: return 1;
    default: return 0;
    }
}

double expected_gradient(hl_activation kind, double alpha, double dy, double saved, double *slack) {
    const double y = saved, x = saved;
    double ulps = 0, slope = NAN, size;
    switch (kind) {
    case HL_LINEAR: slope = 1; break;
    case HL_RELU: slope = y > 0; break;
    case HL_CLIPPED_RELU: slope = y > 0 && y < alpha; break;
    case HL_THRESHOLD: slope = x > alpha; break;
    case HL_HARD_SHRINK:
    case HL_SOFT_SHRINK: slope = y != 0; break;
    case HL_HARD_TANH: slope = fabs(y) < 1; break;
    case HL_ABSOLUTE: slope = (x > 0) - (x < 0); break;
    case HL_LEAKY_RELU: slope = y > 0 ? 1 : alpha, ulps = 0.5; break;
    case HL_ELU: slope = y > 0 ? 1 : y + alpha, ulps = 1; break;
    case HL_CELU: slope = y > 0 ? 1 : y / alpha + 1, ulps = 3; break;
    default: ulps = 3;
    }
    size = kind == HL_CELU ? 1 : fabs(slope);
    switch (kind) {
    case HL_SELU:
        slope = y > 0 ? selu_scale : y + selu_scale * selu_alpha;
        size = 2 + fabs(y);
        break;
    case HL_GELU: {
        const double c = clip(x, -50, 50);
        slope = c * normal_density(c) + normal_cdf(c);
        size = 1 + fabs(c) * (1 + c * c) * normal_density(c);
        break;
    }
    case HL_GELU_TANH: {
        const double c = clip(x, -50, 50), u = gelu_argument(c), s = sigmoid(u);
        slope = s * (c * gelu_slope(c) * sigmoid(-u) + 1);
        size = 3 * s * (1 + fabs(u)) * (1 + fabs(c * gelu_slope(c)));
        break;
    }
    case HL_SILU: {
        const double c = clip(x, -1000, 1000);
        slope = sigmoid(c) * (c * sigmoid(-c) + 1);
        size = 2 * sigmoid(c) * (1 + fabs(c));
        break;
    }
    case HL_HARD_SILU:
        slope = x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5;
        size = slope == 0 ? 0 : fabs(x) + 1;
        break;
    case HL_MISH: {
        const double t = tanh_softplus(x), up = tanh_softplus_rest(x) * (1 + t) * sigmoid(x);
        slope = t + x * up;
        size = 3 * (t + fabs(x) * up);
        break;
    }
    case HL_LOG_SIGMOID: slope = -expm1(y), size = slope; break;
    case HL_SQUAREPLUS: slope = y * y / (y * y + alpha / 4), size = slope; break;
    case HL_SPARSE_PLUS: slope = sqrt(fmin(y, 1)), size = slope; break;
    case HL_SPARSE_SIGMOID: slope = y > 0 && y < 1 ? 0.5 : 0, size = slope; break;
    case HL_TANH_SHRINK: slope = tanh(x) * tanh(x), size = 3 * slope; break;
    case HL_SOFTPLUS: slope = -expm1(-y), size = slope; break;
    case HL_SOFTSIGN: slope = (1 - fabs(y)) * (1 - fabs(y)), size = slope; break;
    case HL_SIGMOID: slope = y * (1 - y), size = slope; break;
    case HL_HARD_SIGMOID: slope = y > 0 && y < 1 ? 1.0 / 6 : 0, size = slope; break;
    case HL_TANH: slope = (1 - y) * (1 + y), size = fabs(slope); break;
    case HL_EXPONENTIAL: slope = y, size = fabs(y); break;
    default: break;
    }
    *slack = (ulps + (K->itemsize == 8 && ulps > 0)) * epsilon() * size * fabs(dy);
    if (ulps > 0)
        *slack += tiny() * (2 + fabs(dy)) * (2 + fabs(x));
    /* Dead elements are 0 whatever comes back, infinity included. */
    const int dead = slope == 0 && can_die(kind);
    return dead ? 0 : dy * slope;
}

int keeps_input(hl_activation kind) {
    enum { output, input };
    switch (kind) {
    case HL_LINEAR: return 0;
#define KEEPS(NAME, value, gradient, reads)                                                        \
    case HL_##NAME: return reads;
        HL_ACTIVATIONS(KEEPS)
    }
    return 0;
}

static void fill_inputs(void *x, ptrdiff_t n) {
    fill_special(x, n, -4, 4);
    for (ptrdiff_t i = 0; i < n; i++)
        if (below(4) == 0)
            put(x, i, uniform(-110, 110));
}

static void activation_case(hl_activation kind, ptrdiff_t rows, ptrdiff_t cols, int in_place) {
    const double alpha = 0.25 + 0.25 * (double)below(4);
    begin("activation kind=%d alpha=%g rows=%td cols=%td in place=%d", kind, alpha, rows, cols,
          in_place);
    const ptrdiff_t x_ld = cols + below(3), y_ld = in_place ? x_ld : cols + below(3);
    const ptrdiff_t x_length = rows == 0 || cols == 0 ? 0 : (rows - 1) * x_ld + cols;
    const ptrdiff_t y_length = rows == 0 || cols == 0 ? 0 : (rows - 1) * y_ld + cols;
    void *x = room(x_length);
    for (ptrdiff_t i = 0; i < rows && cols > 0; i++)
        fill_inputs((char *)x + i * x_ld * K->itemsize, cols);
    const void *x_was = copy_of(x, x_length);
    void *y = in_place ? x : room(y_length);
    K->activation(kind, alpha, x, x_ld, y, y_ld, rows, cols);
    int clean = 1;
    for (ptrdiff_t i = 0; i < rows && cols > 0; i++) {
        for (ptrdiff_t j = 0; j < cols; j++) {
            const double x_ij = get(x_was, i * x_ld + j);
            const double want = expected_activation(kind, alpha, x_ij);
            expect_near("y", i * y_ld + j, get(y, i * y_ld + j), want,
                        activation_slack(kind, x_ij, want));
        }
        for (ptrdiff_t j = cols; j < y_ld && i + 1 < rows; j++)
            clean &= is_untouched(y, i * y_ld + j);
    }
    expect(clean, "activation leaves what lies between rows");
    end();
}

/* An element's bits do not depend on what stands beside it. */
static void cut_case(hl_activation kind, ptrdiff_t n) {
    begin("activation in pieces, kind=%d n=%td", kind, n);
    void *x = room(n), *dy = room(n), *whole = room(n), *pieces = room(n), *dx_whole = room(n),
         *dx_pieces = room(n);
    fill_sizes(x, n, -4, 4);
    fill(dy, n, -1, 1);
    K->activation(kind, 1, x, n, whole, n, 1, n);
    K->activation_gradient(kind, 1, dy, x, dx_whole, n, 1, n);
    for (ptrdiff_t i = 0, count; i < n; i += count) {
        count = any_piece(n - i);
        const ptrdiff_t b = i * K->itemsize;
        K->activation(kind, 1, (char *)x + b, count, (char *)pieces + b, count, 1, count);
        K->activation_gradient(kind, 1, (char *)dy + b, (char *)x + b, (char *)dx_pieces + b, count,
                               1, count);
    }
    expect_equal("y", pieces, whole, n);
    expect_equal("dx", dx_pieces, dx_whole, n);
    end();
}

static void gradient_case(hl_activation kind, ptrdiff_t rows, ptrdiff_t cols, int in_place) {
    const double alpha = 0.25 + 0.25 * (double)below(4);
    begin("activation_gradient kind=%d alpha=%g rows=%td cols=%td in place=%d", kind, alpha, rows,
          cols, in_place);
    const ptrdiff_t ld = cols + below(3);
    const ptrdiff_t n = rows == 0 || cols == 0 ? 0 : (rows - 1) * ld + cols;
    void *dy = room(n), *saved = room(n);
    fill_special(dy, n, -2, 2);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double x = below(16) == 0 ? 0 : uniform(-9, 9);
        put(saved, i, keeps_input(kind) ? x : expected_activation(kind, alpha, x));
    }
    const void *dy_was = copy_of(dy, n);
    void *dx = in_place ? dy : room(n);
    K->activation_gradient(kind, alpha, dy, saved, dx, ld, rows, cols);
    int clean = 1;
    for (ptrdiff_t at = 0; at < n; at++) {
        if (at % ld >= cols) {
            clean &= in_place || is_untouched(dx, at);
            continue;
        }
        double slack;
        const double want = expected_gradient(kind, alpha, get(dy_was, at), get(saved, at), &slack);
        expect_near("dx", at, get(dx, at), want, slack);
    }
    expect(clean, "activation_gradient leaves what lies between rows");
    end();
}

static void add_case(ptrdiff_t rows, ptrdiff_t cols, int into) {
    const ptrdiff_t n = rows * cols;
    begin("add rows=%td cols=%td into=%d", rows, cols, into);
    void *a = room(n), *b = room(n), *bias = room(cols);
    fill_special(a, n, -1, 1);
    fill_special(b, n, -1, 1);
    fill_special(bias, cols, -1, 1);
    const void *a_was = copy_of(a, n), *b_was = copy_of(b, n);
    void *biased = into == 0 ? room(n) : copy_of(a, n);
    K->add_bias(into == 0 ? a : biased, bias, biased, rows, cols);
    void *sum = into == 0 ? room(n) : into == 1 ? a : b;
    K->merge(HL_ADD, a, b, sum, n);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double x = get(a_was, i);
        expect_same("x + b", i, get(biased, i), rounded(x + get(bias, i % cols)));
        expect_same("a + b", i, get(sum, i), rounded(x + get(b_was, i)));
    }
    end();
}

static double merged(hl_merge kind, double a, double b) {
    if (isnan(a) || isnan(b))
        return NAN;
    switch (kind) {
    case HL_ADD: return rounded(a + b);
    case HL_SUBTRACT: return rounded(a - b);
    case HL_MULTIPLY: return rounded(a * b);
    case HL_MAXIMUM: return a > b ? a : b;
    case HL_MINIMUM: return a < b ? a : b;
    }
    return NAN;
}

static void merge_case(hl_merge kind, ptrdiff_t n, int into) {
    begin("merge kind=%d n=%td into=%d", kind, n, into);
    void *a = room(n), *b = room(n);
    fill_special(a, n, -1, 1);
    fill_special(b, n, -1, 1);
    const void *a_was = copy_of(a, n), *b_was = copy_of(b, n);
    void *y = into == 0 ? room(n) : into == 1 ? a : b;
    K->merge(kind, a, b, y, n);
    for (ptrdiff_t i = 0; i < n; i++)
        expect_same("y", i, get(y, i), merged(kind, get(a_was, i), get(b_was, i)));
    end();
}

static void choice_gradient_case(hl_merge kind, ptrdiff_t n, int in_place) {
    begin("choice_gradient kind=%d n=%td in_place=%d", kind, n, in_place);
    void *dy = room(n), *a = room(n), *b = room(n);
    fill(dy, n, -1, 1);
    fill(a, n, -1, 1);
    fill(b, n, -1, 1);
    for (ptrdiff_t i = 0; i < n; i += 3)
        put(b, i, get(a, i));
    const void *dy_was = copy_of(dy, n);
    void *da = in_place ? dy : room(n);
    K->choice_gradient(kind, dy, a, b, da, n);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double g = get(dy_was, i), left = get(a, i), right = get(b, i);
        const int chosen = kind == HL_MAXIMUM ? left > right : left < right;
        expect_same("da", i, get(da, i), chosen ? g : left == right ? g / 2 : 0);
    }
    end();
}

static void scale_case(double factor, double offset, ptrdiff_t n, int in_place) {
    begin("scale factor=%g offset=%g n=%td in_place=%d", factor, offset, n, in_place);
    void *x = room(n);
    fill(x, n, -1, 1);
    const void *x_was = copy_of(x, n);
    void *y = in_place ? x : room(n);
    K->scale(factor, offset, x, y, n);
    for (ptrdiff_t i = 0; i < n; i++)
        expect_same("y", i, get(y, i),
                    multiply_add(get(x_was, i), rounded(factor), rounded(offset)));
    end();
}

void test_elementwise(void) {
    for (int kind = 0; kind < ACTIVATIONS; kind++)
        for (int s = 0; s < COUNT(sizes); s++) {
            const hl_activation f = activations[kind];
            activation_case(f, 1, sizes[s], s & 1);
            activation_case(f, 1 + below(9), sizes[s], 0);
            activation_case(f, 1 + below(9), sizes[s], 1);
            gradient_case(f, 1, sizes[s], 0);
            gradient_case(f, 1 + below(9), sizes[s], 0);
            gradient_case(f, 1 + below(9), sizes[s], 1);
            cut_case(f, sizes[s]);
            if (s == 0) {
                activation_case(f, 0, 7, 0);
                activation_case(f, 7, 0, 0);
                gradient_case(f, 0, 7, 0);
                gradient_case(f, 7, 0, 0);
            }
        }
    for (int s = 0; s < COUNT(sizes); s++) {
        for (int into = 0; into < 3; into++)
            add_case(1 + below(9), sizes[s], into);
        for (int kind = 0; kind < COUNT(merges); kind++)
            for (int into = 0; into < 3; into++)
                merge_case(merges[kind], sizes[s], into);
        for (int in_place = 0; in_place < 2; in_place++) {
            choice_gradient_case(HL_MAXIMUM, sizes[s], in_place);
            choice_gradient_case(HL_MINIMUM, sizes[s], in_place);
            scale_case(0.25, 0, sizes[s], in_place);
            scale_case(-1.7, 0.3, sizes[s], in_place);
        }
    }
    add_case(0, 7, 0);
    add_case(3, 0, 0);
}
