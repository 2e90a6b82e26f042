/* Functions of elements that the C library works out, in double: one copy for every CPU and both
 * types. They are rare, and a call of each costs more than all else. */
#include "hotloop.h"

#include <math.h>

static double erfinv(double x) {
    const double size = fabs(x);
    if (!(size < 1))
        return size == 1 ? copysign(INFINITY, x) : NAN;
    /* Winitzki's formula, whose error is below 0.005, then Newton's method with Halley's correction,
     * on erfc, whose digits near 1 are those of 1 - x. */
    const double rest = log1p(-size * size), half = 2 / (M_PI * 0.147) + rest / 2;
    double y = sqrt(sqrt(half * half - rest / 0.147) - half);
    for (int i = 0; i < 3; i++) {
        const double error = size < 0.5 ? size - erf(y) : erfc(y) - (1 - size);
        const double step = error * 0.88622692545275801365 * exp(y * y); /* sqrt(pi) / 2 */
        y += step / (1 - y * step);
    }
    return copysign(y, x);
}

static double sinc(double x) {
    return x == 0 ? 1 : sin(M_PI * x) / (M_PI * x);
}

static double mod(double a, double b) {
    const double rest = fmod(a, b);
    if (rest == 0)
        return copysign(0, b);
    return (rest < 0) != (b < 0) ? rest + b : rest;
}

/* As NumPy rounds it: the quotient of what is left without the rest is whole but for rounding. */
static double floor_divide(double a, double b) {
    const double rest = fmod(a, b);
    if (b == 0)
        return a / b;
    double quotient = (a - rest) / b;
    if (rest != 0 && (rest < 0) != (b < 0))
        quotient -= 1;
    return quotient == 0 ? copysign(0, a / b) : quotient - floor(quotient) > 0.5 ? ceil(quotient) : floor(quotient);
}

static double logaddexp2(double a, double b) {
    if (a == b)
        return a + 1;
    if (isnan(a) || isnan(b))
        return NAN;
    return fmax(a, b) + log1p(exp2(-fabs(a - b))) * M_LOG2E;
}

typedef double (*one)(double x);
typedef double (*two)(double a, double b);

static one of_one(hl_function kind) {
    switch (kind) {
    case HL_FN_EXP2: return exp2;
    case HL_FN_LOG2: return log2;
    case HL_FN_LOG10: return log10;
    case HL_FN_CBRT: return cbrt;
    case HL_FN_TAN: return tan;
    case HL_FN_ARCSIN: return asin;
    case HL_FN_ARCCOS: return acos;
    case HL_FN_ARCTAN: return atan;
    case HL_FN_SINH: return sinh;
    case HL_FN_COSH: return cosh;
    case HL_FN_ARCSINH: return asinh;
    case HL_FN_ARCCOSH: return acosh;
    case HL_FN_ARCTANH: return atanh;
    case HL_FN_ERFC: return erfc;
    case HL_FN_ERFINV: return erfinv;
    case HL_FN_SINC: return sinc;
    default: return 0;
    }
}

static two of_two(hl_function kind) {
    switch (kind) {
    case HL_FN_FLOOR_DIVIDE: return floor_divide;
    case HL_FN_MOD: return mod;
    case HL_FN_FMOD: return fmod;
    case HL_FN_POWER: return pow;
    case HL_FN_ARCTAN2: return atan2;
    case HL_FN_HYPOT: return hypot;
    case HL_FN_LOGADDEXP2: return logaddexp2;
    default: return nextafter;
    }
}

void hl_library_function(hl_function kind, hl_dtype dtype, const void *a, const void *b, void *y,
                         ptrdiff_t n) {
    const one f = of_one(kind);
    const two g = of_two(kind);
    if (dtype == HL_F64) {
        const double *p = a, *q = b;
        for (ptrdiff_t i = 0; i < n; i++)
            ((double *)y)[i] = f ? f(p[i]) : g(p[i], q[i]);
        return;
    }
    const float *p = a, *q = b;
    for (ptrdiff_t i = 0; i < n; i++)
        if (kind == HL_FN_NEXTAFTER)
            ((float *)y)[i] = nextafterf(p[i], q[i]);
        else
            ((float *)y)[i] = (float)(f ? f(p[i]) : g(p[i], q[i]));
}
