/* The functions' largest errors, against csrc/README.md.
 *
 * Single precision steps through all 2^32 bit patterns, double precision takes random ones and the
 * useful range. Each is compared with the next wider type. The functions are reached through the
 * kernels that apply them to an element as they are:
 *   expm1 is elu with alpha 1; log is Poisson's loss with targets so large that the rest of it,
 *   being the prediction itself, vanishes; erf is inside gelu. */
#include "check.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 4096 };

/* Units: of the exact result's last place, or, for gelu, epsilons of its argument. */
typedef struct {
    const char *name;
    long double (*exact)(long double x);
    double (*exact_double)(double x); /* the same, fast, for floats */
    hl_activation kernel;             /* unless it is log */
    double low, high;                 /* arguments */
    double float_bound, double_bound;
} function;

static long double softplus_l(long double x) {
    return x > 0 ? x + log1pl(expl(-x)) : log1pl(expl(x));
}
static double softplus_d(double x) {
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}
static long double log_sigmoid_l(long double x) {
    return -softplus_l(-x);
}
static double log_sigmoid_d(double x) {
    return -softplus_d(-x);
}
/* x tanh(softplus(x)), -infinity giving 0. */
static long double mish_l(long double x) {
    const long double e = expl(-fabsl(x)), a = x < 0 ? e * (e + 2) : 1 + 2 * e;
    return isinf(x) && x < 0 ? 0 : x * (a / (a + (x < 0 ? 2 : 2 * e * e)));
}
static double mish_d(double x) {
    const double e = exp(-fabs(x)), a = x < 0 ? e * (e + 2) : 1 + 2 * e;
    return isinf(x) && x < 0 ? 0 : x * (a / (a + (x < 0 ? 2 : 2 * e * e)));
}
/* With b = 1, the alpha that all kernels get here. */
static long double squareplus_l(long double x) {
    const long double half = (fabsl(x) + hypotl(x, 1)) / 2;
    return x < 0 ? 0.25L / half : half;
}
static double squareplus_d(double x) {
    const double half = fabs(x) / 2 + hypot(x, 1) / 2;
    return x < 0 ? 0.25 / half : half;
}
static long double sigmoid_l(long double x) {
    return 1 / (1 + expl(-x));
}
static double sigmoid_d(double x) {
    return 1 / (1 + exp(-x));
}
static long double gelu_l(long double x) {
    return isinf(x) && x < 0 ? 0 : x * erfcl(-x * sqrtl(0.5L)) / 2;
}
static double gelu_d(double x) {
    return isinf(x) && x < 0 ? 0 : x * erfc(-x * sqrt(0.5)) / 2;
}

/* gelu's bound: x / sqrt(2) is off by 1/2 + 1/2 halves of an epsilon, which erf's slope times its
 * argument, at most 0.49, carries on; erf is off by its 2.44 halves, 1 + erf by one, which halve;
 * the last product adds one: 1.6 epsilons, 1.3 with the C library's erf. */
static const function functions[] = {
    {"exp", expl, exp, HL_EXPONENTIAL, -INFINITY, INFINITY, 1.05, 1.08},
    {"expm1", expm1l, expm1, HL_ELU, -INFINITY, 0, 1.02, 1.09},
    {"log", logl, log, HL_LINEAR, 0, 0x1p90, 0.86, 0.85},
    {"tanh", tanhl, tanh, HL_TANH, -INFINITY, INFINITY, 2.50, 2.52},
    {"sigmoid", sigmoid_l, sigmoid_d, HL_SIGMOID, -INFINITY, INFINITY, 2.41, 2.45},
    {"softplus", softplus_l, softplus_d, HL_SOFTPLUS, -INFINITY, INFINITY, 1.70, 1.70},
    {"logsigm", log_sigmoid_l, log_sigmoid_d, HL_LOG_SIGMOID, -INFINITY, INFINITY, 1.70, 1.70},
    {"mish", mish_l, mish_d, HL_MISH, -80, INFINITY, 5.2, 5.2},
    {"sqrplus", squareplus_l, squareplus_d, HL_SQUAREPLUS, -INFINITY, INFINITY, 2.9, 2.9},
    {"gelu", gelu_l, gelu_d, HL_GELU, -INFINITY, INFINITY, 1.6, 1.3},
};

static int is_log(const function *f) {
    return f->exact == logl;
}

/* What the last place of a result is worth. */
static long double unit(long double y) {
    const int digits = K->itemsize == 4 ? FLT_MANT_DIG : DBL_MANT_DIG;
    const int least = K->itemsize == 4 ? FLT_MIN_EXP : DBL_MIN_EXP;
    int exponent = least;
    if (y != 0)
        frexpl(y, &exponent);
    return ldexpl(1, (exponent > least ? exponent : least) - digits);
}

static long double error_of(const function *f, double x, double got, long double want) {
    const int largest = K->itemsize == 4 ? FLT_MAX_EXP : DBL_MAX_EXP;
    const long double overflow = ldexpl(1, largest);
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got) ? 0 : (long double)INFINITY;
    if (fabsl(want) > overflow)
        want = copysignl(overflow, want);
    const long double value = isinf(got) ? copysignl(overflow, got) : (long double)got;
    if (value == want)
        return 0;
    const long double scale =
        f->kernel == HL_GELU ? fabsl(x) * epsilon() + 2 * tiny() : unit(want);
    return fabsl(value - want) / scale;
}

/* log: the scale's power of two puts x itself below half a unit of the result. */
static double log_scale(void) {
    return K->itemsize == 4 ? 0x1p120 : 0x1p200;
}

static void apply(const function *f, const void *x, void *y, ptrdiff_t n) {
    static double targets[BLOCK];
    if (!is_log(f)) {
        K->activation(f->kernel, 1, x, n, y, n, 1, n);
        return;
    }
    for (ptrdiff_t i = 0; i < n; i++)
        put(targets, i, -log_scale());
    K->loss(HL_POISSON, 0, targets, x, NULL, 1, 1, y, NULL, n, 1);
    for (ptrdiff_t i = 0; i < n; i++)
        put(y, i, get(y, i) / log_scale());
}

/* The loss is x less the target times the log of x + 1e-7: x itself is left where that log is 0. */
static long double exact_of(const function *f, double x) {
    if (is_log(f))
        return logl(rounded(x + rounded(1e-7))) + x / log_scale();
    return K->itemsize == 4 ? (long double)f->exact_double(x) : f->exact(x);
}

typedef struct {
    long double error;
    double x;
} worst;

/* One block through each table of a type; exact results are computed once for all. */
static void take_block(const function *f, hl_dtype type, const void *x, const long double *want,
                       ptrdiff_t n, worst *found) {
    static double y[BLOCK];
    int table = 0;
    for (const char *const *name = hl_isa_available(); *name; name++, table++) {
        K = hl_kernels_for(*name, type);
        apply(f, x, y, n);
        for (ptrdiff_t i = 0; i < n; i++) {
            const long double error = error_of(f, get(x, i), get(y, i), want[i]);
            if (error > found[table].error)
                found[table] = (worst){error, get(x, i)};
        }
    }
}

/* The largest error of each table, and whether it is within the bound. */
static void report(const function *f, hl_dtype type, const worst *found) {
    const char *const type_name = type == HL_F32 ? "float" : "double";
    const double bound = type == HL_F32 ? f->float_bound : f->double_bound;
    const char *const *const names = hl_isa_available();
    printf("  %-8s %-6s at most %.2f:", f->name, type_name, bound);
    for (int i = 0; names[i]; i++)
        printf("  %s %.3Lf", names[i], found[i].error);
    printf("\n");
    for (int i = 0; names[i]; i++) {
        K = hl_kernels_for(names[i], type);
        begin("accuracy of %s, worst at %a", f->name, found[i].x);
        expect_near("units", 0, (double)found[i].error, 0, bound);
    }
}

enum { MOST_TABLES = 8 };

static void floats(const function *f, int64_t every) {
    static float x[BLOCK];
    static long double want[BLOCK];
    worst found[MOST_TABLES] = {{0, 0}};
    ptrdiff_t n = 0;
    K = hl_kernels_for(NULL, HL_F32);
    for (int64_t bits = 0; bits < INT64_C(1) << 32; bits += every) {
        const uint32_t low = (uint32_t)bits;
        memcpy(&x[n], &low, sizeof low);
        if (!((double)x[n] < f->low || (double)x[n] > f->high)) {
            want[n] = exact_of(f, (double)x[n]);
            n++;
        }
        if (n == BLOCK) {
            take_block(f, HL_F32, x, want, n, found);
            n = 0;
        }
    }
    take_block(f, HL_F32, x, want, n, found);
    report(f, HL_F32, found);
}

static void doubles(const function *f, int64_t count) {
    static double x[BLOCK];
    static long double want[BLOCK];
    worst found[MOST_TABLES] = {{0, 0}};
    ptrdiff_t n = 0;
    K = hl_kernels_for(NULL, HL_F64);
    for (int64_t i = 0; i < count; i++) {
        const uint64_t bits = random_word();
        memcpy(&x[n], &bits, sizeof bits);
        if (i % 2)
            x[n] = uniform(-40, 40);
        if (!(x[n] < f->low || x[n] > f->high)) {
            want[n] = exact_of(f, x[n]);
            n++;
        }
        if (n == BLOCK) {
            take_block(f, HL_F64, x, want, n, found);
            n = 0;
        }
    }
    take_block(f, HL_F64, x, want, n, found);
    report(f, HL_F64, found);
}

void test_accuracy(int64_t every) {
    for (int i = 0; i < COUNT(functions); i++) {
        floats(&functions[i], every);
        doubles(&functions[i], (INT64_C(1) << 32) / every / 16);
    }
    K = NULL;
}
