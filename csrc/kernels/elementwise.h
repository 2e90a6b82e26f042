/* Functions of each element, merges of two arrays, and scaling.
 *
 * What there is stands in two lists; below them, for each T, its vector code. All else is made of
 * the lists: the enums, whose numbers mean nothing, what Cython calls their members by, and every
 * switch. Every element goes through the same vector code, wherever a loop over it starts or ends. */
#ifndef HL_ACTIVATIONS

/* NAME, value, gradient, and what the gradient reads: the function's input or its output. Those that
 * take an option call it alpha. */
/* clang-format off */
#define HL_ACTIVATIONS(X)                                                                          \
    X(RELU, relu, relu_gradient, output)                                                           \
    X(CLIPPED_RELU, clipped_relu, clipped_relu_gradient, output) /* alpha = largest value >= 0 */  \
    X(THRESHOLD, threshold, threshold_gradient, input) /* 0 unless x > alpha */                    \
    X(HARD_SHRINK, hard_shrink, shrink_gradient, output) /* 0 unless |x| > alpha >= 0 */           \
    X(SOFT_SHRINK, soft_shrink, shrink_gradient, output) /* alpha >= 0 nearer to 0 */              \
    X(LEAKY_RELU, leaky_relu, leaky_relu_gradient, output) /* alpha = negative slope > 0 */        \
    X(ELU, elu, elu_gradient, output) /* alpha > 0 */                                              \
    X(CELU, celu, celu_gradient, output) /* alpha > 0 */                                           \
    X(SELU, selu, selu_gradient, output)                                                           \
    X(GELU, gelu, gelu_gradient, input)                                                            \
    X(GELU_TANH, gelu_tanh, gelu_tanh_gradient, input)                                             \
    X(SILU, silu, silu_gradient, input)                                                            \
    X(HARD_SILU, hard_silu, hard_silu_gradient, input)                                             \
    X(MISH, mish, mish_gradient, input)                                                            \
    X(SOFTPLUS, softplus, softplus_gradient, output)                                               \
    X(LOG_SIGMOID, log_sigmoid, log_sigmoid_gradient, output)                                      \
    X(SQUAREPLUS, squareplus, squareplus_gradient, output) /* alpha >= 0 */                        \
    X(SPARSE_PLUS, sparse_plus, sparse_plus_gradient, output)                                      \
    X(SOFTSIGN, softsign, softsign_gradient, output)                                               \
    X(SIGMOID, sigmoid, sigmoid_gradient, output)                                                  \
    X(HARD_SIGMOID, hard_sigmoid, hard_sigmoid_gradient, output)                                   \
    X(SPARSE_SIGMOID, sparse_sigmoid, sparse_sigmoid_gradient, output)                             \
    X(TANH, tanh, tanh_gradient, output)                                                           \
    X(HARD_TANH, hard_tanh, hard_tanh_gradient, output)                                            \
    X(TANH_SHRINK, tanh_shrink, tanh_shrink_gradient, input)                                       \
    X(ABSOLUTE, absolute, absolute_gradient, input)                                                \
    X(EXPONENTIAL, exponential, exponential_gradient, output)

/* NAME and function of two numbers. A NaN in either is a NaN of the result. */
#define HL_MERGES(X)                                                                               \
    X(ADD, add)                                                                                    \
    X(SUBTRACT, subtract)                                                                          \
    X(MULTIPLY, multiply)                                                                          \
    X(MAXIMUM, maximum)                                                                            \
    X(MINIMUM, minimum)
/* clang-format on */

#define HL_ENUMERATOR(NAME, ...) HL_##NAME,
#endif

#ifdef T

static HL_INLINE vec N(relu)(vec x, vec alpha) {
    (void)alpha;
    return only(~(ivec)(x < 0), x); /* NaN stays NaN */
}

static HL_INLINE vec N(clipped_relu)(vec x, vec alpha) {
    return vmin(alpha, vmax(splat(0), x));
}

static HL_INLINE vec N(threshold)(vec x, vec alpha) {
    return only(~(ivec)(x <= alpha), x);
}

static HL_INLINE vec N(hard_shrink)(vec x, vec alpha) {
    return only(~(ivec)(vabs(x) <= alpha), x);
}

static HL_INLINE vec N(soft_shrink)(vec x, vec alpha) {
    return x - vmin(alpha, vmax(-alpha, x));
}

static HL_INLINE vec N(leaky_relu)(vec x, vec alpha) {
    return select((ivec)(x < 0), x * alpha, x);
}

static HL_INLINE vec N(elu)(vec x, vec alpha) {
    return select((ivec)(x > 0), x, vexpm1_negative(x) * alpha);
}

static HL_INLINE vec N(celu)(vec x, vec alpha) {
    return select((ivec)(x > 0), x, vexpm1_negative(x / alpha) * alpha);
}

/* Klambauer et al. 2017: the fixed point with mean 0 and variance 1. */
#undef SELU_SCALE
#undef SELU_ALPHA
#define SELU_SCALE ((T)1.0507009873554804934)
#define SELU_ALPHA ((T)1.6732632423543772848)

static HL_INLINE vec N(selu)(vec x, vec alpha) {
    (void)alpha;
    return N(elu)(x, splat(SELU_ALPHA)) * SELU_SCALE;
}

static HL_INLINE vec N(normal_cdf)(vec x) {
    return (verf(x * (T)0.70710678118654752440) + 1) * (T)0.5;
}

static HL_INLINE vec N(gelu)(vec x, vec alpha) {
    (void)alpha;
    return vmax(splat(-50), x) * N(normal_cdf)(x); /* not -infinity * 0 */
}

#undef GELU_SCALE
#undef GELU_CUBIC
#define GELU_SCALE ((T)0.79788456080286535588) /* sqrt(2 / pi) */
#define GELU_CUBIC ((T)0.044715)

static HL_INLINE vec N(gelu_tanh)(vec x, vec alpha) {
    (void)alpha;
    /* (1 + tanh(u)) / 2 = sigmoid(2 u), which does not cancel for negative u. */
    const vec s = vsigmoid(mul_add(x * x, splat(GELU_CUBIC), splat(1)) * x * (2 * GELU_SCALE));
    return vmax(splat(-50), x) * s;
}

static HL_INLINE vec N(silu)(vec x, vec alpha) {
    (void)alpha;
    return vmax(splat(-1000), x) * vsigmoid(x);
}

static HL_INLINE vec N(hard_sigmoid)(vec x, vec alpha) {
    (void)alpha;
    return clamp(mul_add(x, splat((T)(1.0 / 6)), splat((T)0.5)), 0, 1);
}

static HL_INLINE vec N(hard_silu)(vec x, vec alpha) {
    return vmax(splat(-3), x) * N(hard_sigmoid)(x, alpha); /* not -infinity * 0 */
}

/* tanh(softplus(x)) = ((1 + exp(x))^2 - 1) / ((1 + exp(x))^2 + 1) is numerator / (numerator + rest),
 * with exponents that are not positive. */
static HL_INLINE vec N(tanh_softplus)(vec x, vec *rest) {
    const vec e = vexp(-vabs(x));
    const ivec negative = (ivec)(x < 0);
    *rest = select(negative, splat(2), e * e * 2);
    return select(negative, e * (e + 2), mul_add(e, splat(2), splat(1)));
}

static HL_INLINE vec N(mish)(vec x, vec alpha) {
    (void)alpha;
    vec rest;
    const vec numerator = N(tanh_softplus)(x, &rest);
    return vmax(splat(-1000), x) * (numerator / (numerator + rest));
}

static HL_INLINE vec N(softplus)(vec x, vec alpha) {
    (void)alpha;
    return vsoftplus(x);
}

static HL_INLINE vec N(log_sigmoid)(vec x, vec alpha) {
    (void)alpha;
    return -vsoftplus(-x);
}

/* The root is of the larger of x^2 and alpha, so that no square overflows; below 0, where x and the
 * root cancel, the product of both signs' values is alpha / 4. */
static HL_INLINE vec N(squareplus)(vec x, vec alpha) {
    const vec size = vabs(x), root = vsqrt(alpha);
    const vec larger = vmax(root, size), smaller = vmin(root, size);
    const vec ratio = smaller / select((ivec)(larger == 0), splat(1), larger);
    const vec stretch = vsqrt(mul_add(ratio, ratio, splat(1)));
    const vec half = mul_add(larger * (T)0.5, stretch, size * (T)0.5);
    return select((ivec)(x < 0), alpha * (T)0.25 / half, half);
}

static HL_INLINE vec N(sparse_plus)(vec x, vec alpha) {
    (void)alpha;
    const vec u = clamp(x, -1, 1) + 1;
    return select((ivec)(x > 1), x, u * u * (T)0.25);
}

static HL_INLINE vec N(softsign)(vec x, vec alpha) {
    (void)alpha;
    x = clamp(x, (T)-1e30, (T)1e30); /* not infinity / infinity */
    return x / (vabs(x) + 1);
}

static HL_INLINE vec N(sigmoid)(vec x, vec alpha) {
    (void)alpha;
    return vsigmoid(x);
}

static HL_INLINE vec N(sparse_sigmoid)(vec x, vec alpha) {
    (void)alpha;
    return clamp(mul_add(x, splat((T)0.5), splat((T)0.5)), 0, 1);
}

static HL_INLINE vec N(tanh)(vec x, vec alpha) {
    (void)alpha;
    return vtanh(x);
}

static HL_INLINE vec N(hard_tanh)(vec x, vec alpha) {
    (void)alpha;
    return clamp(x, -1, 1);
}

static HL_INLINE vec N(tanh_shrink)(vec x, vec alpha) {
    (void)alpha;
    return x - vtanh(x);
}

static HL_INLINE vec N(absolute)(vec x, vec alpha) {
    (void)alpha;
    return vabs(x);
}

static HL_INLINE vec N(exponential)(vec x, vec alpha) {
    (void)alpha;
    return vexp(x);
}

static HL_INLINE void N(map)(vec (*f)(vec x, vec alpha), T alpha, const T *x, ptrdiff_t x_ld, T *y,
                             ptrdiff_t y_ld, ptrdiff_t rows, ptrdiff_t cols) {
    if (x_ld == cols && y_ld == cols) {
        cols *= rows;
        rows = cols > 0;
    }
    for (ptrdiff_t i = 0; i < rows; i++) {
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            store_n(y + j, f(load_n(x + j, count), splat(alpha)), count);
        }
        x += x_ld;
        y += y_ld;
    }
}

static void N(activation)(hl_activation kind, double alpha_, const void *x, ptrdiff_t x_ld, void *y,
                          ptrdiff_t y_ld, ptrdiff_t rows, ptrdiff_t cols) {
    const T alpha = (T)alpha_;
    switch (kind) {
    case HL_LINEAR:
        if (x != y)
            for (ptrdiff_t i = 0; i < rows; i++)
                memcpy((T *)y + i * y_ld, (const T *)x + i * x_ld, (size_t)cols * sizeof(T));
        break;
#undef HL_CASE
#define HL_CASE(NAME, value, ...)                                                                  \
    case HL_##NAME: N(map)(N(value), alpha, x, x_ld, y, y_ld, rows, cols); break;
        HL_ACTIVATIONS(HL_CASE)
    }
}

/* Gradients: dy * f'. A clipped or dead element gives 0 even where dy is infinite. */

static HL_INLINE vec N(relu_gradient)(vec dy, vec y, vec alpha) {
    (void)alpha;
    return only((ivec)(y > 0), dy);
}

static HL_INLINE vec N(clipped_relu_gradient)(vec dy, vec y, vec alpha) {
    return only((ivec)(y > 0) & (ivec)(y < alpha), dy);
}

static HL_INLINE vec N(threshold_gradient)(vec dy, vec x, vec alpha) {
    return only((ivec)(x > alpha), dy);
}

static HL_INLINE vec N(shrink_gradient)(vec dy, vec y, vec alpha) {
    (void)alpha;
    return only((ivec)(y != 0), dy);
}

static HL_INLINE vec N(leaky_relu_gradient)(vec dy, vec y, vec alpha) {
    return select((ivec)(y > 0), dy, dy * alpha);
}

static HL_INLINE vec N(elu_gradient)(vec dy, vec y, vec alpha) {
    return select((ivec)(y > 0), dy, dy * (y + alpha));
}

static HL_INLINE vec N(celu_gradient)(vec dy, vec y, vec alpha) {
    return select((ivec)(y > 0), dy, dy * (y / alpha + 1));
}

static HL_INLINE vec N(selu_gradient)(vec dy, vec y, vec alpha) {
    (void)alpha;
    return dy * select((ivec)(y > 0), splat(SELU_SCALE), y + SELU_SCALE * SELU_ALPHA);
}

static HL_INLINE vec N(gelu_gradient)(vec dy, vec x, vec alpha) {
    (void)alpha;
    x = clamp(x, -50, 50); /* 0 or 1 beyond, not infinity * 0 */
    const vec density = vexp(x * x * (T)-0.5) * (T)0.39894228040143267794; /* 1 / sqrt(2 pi) */
    return dy * mul_add(x, density, N(normal_cdf)(x));
}

static HL_INLINE vec N(gelu_tanh_gradient)(vec dy, vec x, vec alpha) {
    (void)alpha;
    x = clamp(x, -50, 50); /* 0 or 1 beyond, where the square may overflow */
    const vec square = x * x;
    const vec one = splat(1);
    const vec s = vsigmoid(mul_add(square, splat(GELU_CUBIC), one) * x * (2 * GELU_SCALE));
    const vec inner = mul_add(square, splat(3 * GELU_CUBIC), one) * (2 * GELU_SCALE);
    return dy * s * mul_add(x * inner, 1 - s, one);
}

static HL_INLINE vec N(silu_gradient)(vec dy, vec x, vec alpha) {
    (void)alpha;
    x = clamp(x, -1000, 1000);
    const vec s = vsigmoid(x);
    return dy * s * mul_add(x, 1 - s, splat(1));
}

static HL_INLINE vec N(hard_silu_gradient)(vec dy, vec x, vec alpha) {
    (void)alpha;
    const vec slope = mul_add(x, splat((T)(1.0 / 3)), splat((T)0.5));
    return only(~(ivec)(x <= -3), select((ivec)(x >= 3), dy, dy * slope));
}

static HL_INLINE vec N(mish_gradient)(vec dy, vec x, vec alpha) {
    (void)alpha;
    x = clamp(x, -1000, 1000);
    vec rest;
    const vec numerator = N(tanh_softplus)(x, &rest), whole = numerator + rest;
    const vec t = numerator / whole;
    return dy * mul_add(x * (rest / whole) * (t + 1), vsigmoid(x), t);
}

static HL_INLINE vec N(softplus_gradient)(vec dy, vec y, vec alpha) {
    (void)alpha;
    return dy * -vexpm1_negative(-y); /* sigmoid(x) = 1 - exp(-y) */
}

static HL_INLINE vec N(log_sigmoid_gradient)(vec dy, vec y, vec alpha) {
    (void)alpha;
    return dy * -vexpm1_negative(y); /* sigmoid(-x) = 1 - exp(y) */
}

static HL_INLINE vec N(squareplus_gradient)(vec dy, vec y, vec alpha) {
    return only(~(ivec)(y == 0), dy / (alpha * (T)0.25 / y / y + 1));
}

static HL_INLINE vec N(sparse_plus_gradient)(vec dy, vec y, vec alpha) {
    (void)alpha;
    return only(~(ivec)(y == 0), dy * vsqrt(vmin(splat(1), y)));
}

static HL_INLINE vec N(softsign_gradient)(vec dy, vec y, vec alpha) {
    (void)alpha;
    const vec rest = 1 - vabs(y);
    return dy * rest * rest;
}

static HL_INLINE vec N(sigmoid_gradient)(vec dy, vec y, vec alpha) {
    (void)alpha;
    return dy * y * (1 - y);
}

static HL_INLINE vec N(hard_sigmoid_gradient)(vec dy, vec y, vec alpha) {
    (void)alpha;
    return only((ivec)(y > 0) & (ivec)(y < 1), dy * (T)(1.0 / 6));
}

static HL_INLINE vec N(sparse_sigmoid_gradient)(vec dy, vec y, vec alpha) {
    (void)alpha;
    return only((ivec)(y > 0) & (ivec)(y < 1), dy * (T)0.5);
}

static HL_INLINE vec N(tanh_gradient)(vec dy, vec y, vec alpha) {
    (void)alpha;
    return dy * ((1 - y) * (1 + y));
}

static HL_INLINE vec N(hard_tanh_gradient)(vec dy, vec y, vec alpha) {
    (void)alpha;
    return only((ivec)(vabs(y) < 1), dy);
}

static HL_INLINE vec N(tanh_shrink_gradient)(vec dy, vec x, vec alpha) {
    (void)alpha;
    const vec t = vtanh(x);
    return dy * (t * t);
}

static HL_INLINE vec N(absolute_gradient)(vec dy, vec x, vec alpha) {
    (void)alpha;
    return only((ivec)(x > 0) | (ivec)(x < 0), (vec)((ivec)dy ^ sign_bits(x)));
}

static HL_INLINE vec N(exponential_gradient)(vec dy, vec y, vec alpha) {
    (void)alpha;
    return dy * y;
}

static HL_INLINE void N(map_gradient)(vec (*f)(vec dy, vec saved, vec alpha), T alpha, const T *dy,
                                      const T *saved, T *dx, ptrdiff_t ld, ptrdiff_t rows,
                                      ptrdiff_t cols) {
    if (ld == cols) {
        cols *= rows;
        rows = cols > 0;
    }
    for (ptrdiff_t i = 0; i < rows; i++) {
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const ptrdiff_t at = i * ld + j;
            store_n(dx + at, f(load_n(dy + at, count), load_n(saved + at, count), splat(alpha)),
                    count);
        }
    }
}

static void N(activation_gradient)(hl_activation kind, double alpha_, const void *dy,
                                   const void *saved, void *dx, ptrdiff_t ld, ptrdiff_t rows,
                                   ptrdiff_t cols) {
    const T alpha = (T)alpha_;
    switch (kind) {
    case HL_LINEAR:
        if (dx != dy)
            for (ptrdiff_t i = 0; i < rows; i++)
                memcpy((T *)dx + i * ld, (const T *)dy + i * ld, (size_t)cols * sizeof(T));
        break;
#undef HL_CASE
#define HL_CASE(NAME, value, gradient, ...)                                                        \
    case HL_##NAME: N(map_gradient)(N(gradient), alpha, dy, saved, dx, ld, rows, cols); break;
        HL_ACTIVATIONS(HL_CASE)
    }
}

#undef HL_READS_input
#undef HL_READS_output
#define HL_READS_input 1
#define HL_READS_output 0

static int N(gradient_reads_input)(hl_activation kind) {
    switch (kind) {
    case HL_LINEAR: return 0;
#undef HL_CASE
#define HL_CASE(NAME, value, gradient, reads)                                                      \
    case HL_##NAME: return HL_READS_##reads;
        HL_ACTIVATIONS(HL_CASE)
    }
    return 0;
}

static HL_INLINE vec N(add)(vec a, vec b) {
    return a + b;
}

static HL_INLINE vec N(subtract)(vec a, vec b) {
    return a - b;
}

static HL_INLINE vec N(multiply)(vec a, vec b) {
    return a * b;
}

/* A comparison with NaN is false: that of b is taken there, that of a by itself. */
static HL_INLINE vec N(maximum)(vec a, vec b) {
    return select((ivec)(a > b) | (ivec)(a != a), a, b);
}

static HL_INLINE vec N(minimum)(vec a, vec b) {
    return select((ivec)(a < b) | (ivec)(a != a), a, b);
}

static HL_INLINE void N(map_pairs)(vec (*f)(vec a, vec b), const T *a, const T *b, T *y,
                                   ptrdiff_t n) {
    ptrdiff_t i = 0;
    for (; i <= n - VL; i += VL)
        store(y + i, f(load(a + i), load(b + i)));
    const int count = (int)(n - i);
    if (count)
        store_n(y + i, f(load_n(a + i, count), load_n(b + i, count)), count);
}

static void N(merge)(hl_merge kind, const void *a, const void *b, void *y, ptrdiff_t n) {
    switch (kind) {
#undef HL_CASE
#define HL_CASE(NAME, value)                                                                       \
    case HL_##NAME: N(map_pairs)(N(value), a, b, y, n); break;
        HL_MERGES(HL_CASE)
    }
}

static void N(choice_gradient)(hl_merge kind, const void *dy, const void *a_, const void *b_,
                               void *da, ptrdiff_t n) {
    /* The smaller of two is the larger of their opposites. */
    const T sign = kind == HL_MINIMUM ? -1 : 1;
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const int count = lanes_left(n - i);
        const vec a = load_n((const T *)a_ + i, count) * sign;
        const vec b = load_n((const T *)b_ + i, count) * sign;
        const vec g = load_n((const T *)dy + i, count);
        const vec half = only((ivec)(a == b), g * (T)0.5);
        store_n((T *)da + i, select((ivec)(a > b), g, half), count);
    }
}

static void N(scale)(double factor, double offset, const void *x, void *y, ptrdiff_t n) {
    const vec slope = splat((T)factor), shift = splat((T)offset);
    ptrdiff_t i = 0;
    for (; i <= n - VL; i += VL)
        store((T *)y + i, mul_add(load((const T *)x + i), slope, shift));
    const int count = (int)(n - i);
    if (count)
        store_n((T *)y + i, mul_add(load_n((const T *)x + i, count), slope, shift), count);
}

static void N(add_bias)(const void *x, const void *b, void *y, ptrdiff_t rows, ptrdiff_t cols) {
    for (ptrdiff_t i = 0; i < rows; i++)
        N(map_pairs)(N(add), (const T *)x + i * cols, b, (T *)y + i * cols, cols);
}

#endif
