/* exp, log and their relatives on vectors of T.
 *
 * Polynomials are minimax fits (Remez exchange at 60 digits) over the reduced range named beside
 * them. README.md gives the measured error bounds.
 */

/* Constants of one T: ln 2 as high + low, the high part with zero bits at its end so that n * high
 * is exact for every exponent n also without fused multiply-add. ROUND is 1.5 * 2^(digits - 1):
 * adding it leaves the nearest integer in the low bits. */
#undef LN2_HIGH
#undef LN2_LOW
#undef ROUND
#undef DIGITS
#undef EXPONENT_BIAS
#undef EXP_OVERFLOW
#undef EXP_UNDERFLOW
#undef EXP_SMALL
#undef EXP_LIFT
#undef EXP_UNLIFT
#undef EXPM1_FLOOR
#undef SMALLEST_NORMAL
#undef DENORMAL_LIFT
#undef SQRT_HALF_BITS
#if T_BITS == 32
#define LN2_HIGH 0x1.62e4p-1f
#define LN2_LOW 0x1.7f7d1cp-20f
#define ROUND 0x1.8p23f
#define DIGITS 23
#define EXPONENT_BIAS 127
#define EXP_OVERFLOW 0x1.62e42ep+6f /* exp of the next number is infinite */
#define EXP_UNDERFLOW -104.0f       /* exp rounds to 0 below */
#define EXP_SMALL -80.0f            /* exp is normal, with room, above */
#define EXP_LIFT 64                 /* 2^lift brings any denormal result into the normal range */
#define EXP_UNLIFT 0x1p-64f
#define EXPM1_FLOOR -20.0f          /* expm1 rounds to -1 below */
#define SMALLEST_NORMAL 0x1p-126f
#define DENORMAL_LIFT 24
#define SQRT_HALF_BITS UINT32_C(0x3f3504f3)
#else
#define LN2_HIGH 0x1.62e42fee00000p-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define ROUND 0x1.8p52
#define DIGITS 52
#define EXPONENT_BIAS 1023
#define EXP_OVERFLOW 0x1.62e42fefa39efp+9
#define EXP_UNDERFLOW -746.0
#define EXP_SMALL -700.0
#define EXP_LIFT 128
#define EXP_UNLIFT 0x1p-128
#define EXPM1_FLOOR -40.0
#define SMALLEST_NORMAL 0x1p-1022
#define DENORMAL_LIFT 54
#define SQRT_HALF_BITS UINT64_C(0x3fe6a09e667f3bcd)
#endif

/* A polynomial in x by Horner's rule; its coefficients, from the highest power down. */
#undef HL_POLYNOMIAL
#define HL_POLYNOMIAL(x, ...)                                                                      \
    polynomial(x, (const T[]){__VA_ARGS__}, sizeof((const T[]){__VA_ARGS__}) / sizeof(T))

static HL_INLINE vec polynomial(vec x, const T *coefficient, const int count) {
    vec y = splat(coefficient[0]);
    HL_UNROLL for (int i = 1; i < count; i++)
        y = mul_add(y, x, splat(coefficient[i]));
    return y;
}

/* x = n ln 2 + r with |r| <= ln(2) / 2: returns exp(r) - 1, and n in the low bits of *n_bits. */
static HL_INLINE vec expm1_reduced(vec x, ivec *n_bits) {
    const vec shifted = mul_add(x, splat((T)1.4426950408889634), splat(ROUND));
    *n_bits = (ivec)shifted;
    const vec n = shifted - ROUND;
    const vec r = mul_add(n, splat(-LN2_LOW), mul_add(n, splat(-LN2_HIGH), x));
#if T_BITS == 32
    const vec q = HL_POLYNOMIAL(r, 0x1.6db452p-10f, 0x1.123b92p-7f, 0x1.55545ep-5f, 0x1.55548ep-3f,
                                0.5f);
#else
    const vec q = HL_POLYNOMIAL(r, 0x1.af85c10466ccep-26, 0x1.28b0722291e6ep-22,
                                0x1.71dddfa8316b5p-19, 0x1.a0199668a0de7p-16, 0x1.a01a01baf1ed5p-13,
                                0x1.6c16c185b6b92p-10, 0x1.111111110d60cp-7, 0x1.555555554ffecp-5,
                                0x1.5555555555561p-3, 0x1.000000000000cp-1);
#endif
    return mul_add(r * r, q, r);
}

/* exp(x), denormal results included. */
static HL_INLINE vec vexp(vec x) {
    ivec n_bits;
    const vec p = expm1_reduced(clamp(x, EXP_UNDERFLOW, EXP_OVERFLOW), &n_bits) + 1;
    /* n is added to p's exponent. Near underflow the sum would leave the normal range, so
     * EXP_LIFT is added too and its power of two multiplied off after: one more rounding, exact
     * unless the result is denormal. */
    const ivec small = (ivec)(x < EXP_SMALL);
    const vec y = (vec)((uvec)p + (((uvec)n_bits + (uvec)(small & EXP_LIFT)) << DIGITS));
    const vec finite = y * select(small, splat(EXP_UNLIFT), splat(1));
    return select((ivec)(x <= EXP_OVERFLOW), finite, x + (T)INFINITY);
}

/* exp(x) - 1 for x <= 0, without cancellation. */
static HL_INLINE vec vexpm1_negative(vec x) {
    ivec n_bits;
    const vec p = expm1_reduced(vmax(splat(EXPM1_FLOOR), x), &n_bits);
    const vec scale = (vec)(((uvec)n_bits + EXPONENT_BIAS) << DIGITS);
    return mul_add(p, scale, scale - 1);
}

/* e ln 2 + log(1 + f) for 1 + f in [sqrt(1/2), sqrt(2)], after Tang: with s = f / (2 + f),
 * log(1 + f) = 2 atanh(s) = f - s (f - s^2 r(s^2)). */
static HL_INLINE vec log_near_one(vec f, vec e) {
    const vec s = f / (f + 2);
    const vec z = s * s;
#if T_BITS == 32
    const vec r = HL_POLYNOMIAL(z, 0x1.31e686p-2f, 0x1.995e9ap-2f, 0x1.55557ap-1f);
#else
    const vec r = HL_POLYNOMIAL(z, 0x1.2f0d8d9b414b8p-3, 0x1.39a0f51f655fep-3, 0x1.7466462b47d94p-3,
                                0x1.c71c51e7fe70ap-3, 0x1.2492494217965p-2, 0x1.999999997fb33p-2,
                                0x1.5555555555593p-1);
#endif
    const vec half_square = f * f * (T)0.5;
    const vec low = mul_add(s, mul_add(r, z, half_square), e * LN2_LOW);
    return mul_add(e, splat(LN2_HIGH), f - (half_square - low));
}

/* log(x), denormal arguments included; -infinity at 0, NaN below. */
static HL_INLINE vec vlog(vec x) {
    const ivec denormal = (ivec)(x < SMALLEST_NORMAL);
    const vec lifted = x * select(denormal, splat((T)(INT64_C(1) << DENORMAL_LIFT)), splat(1));
    /* x = 2^e (1 + f), the cut between two exponents lying at sqrt(1/2). */
    const T_UINT one = (T_UINT)EXPONENT_BIAS << DIGITS;
    const uvec bits = (uvec)lifted + (one - SQRT_HALF_BITS);
    const vec f = (vec)((bits & (((T_UINT)1 << DIGITS) - 1)) + SQRT_HALF_BITS) - 1;
    const vec e = (vec)((bits >> DIGITS) + (uvec)splat(ROUND)) - (ROUND + EXPONENT_BIAS) -
                  only(denormal, splat(DENORMAL_LIFT));
    const vec y = log_near_one(f, e);
    const vec special =
        select((ivec)(x == 0), splat(-(T)INFINITY), select((ivec)(x < 0), splat((T)NAN), x));
    return select((ivec)(x > 0) & (ivec)(x < (T)INFINITY), y, special);
}

/* log(1 + x) for 0 <= x <= 1. */
static HL_INLINE vec vlog1p_unit(vec x) {
    const ivec upper = (ivec)(x > (T)0.41421356);
    return log_near_one(select(upper, (x - 1) * (T)0.5, x), only(upper, splat(1)));
}

/* log(1 + x) for x >= 0: what rounding takes from x in 1 + x is put back. */
static HL_INLINE vec vlog1p(vec x) {
    const vec u = x + 1;
    return vlog(u) + only((ivec)(u < (T)INFINITY), (x - (u - 1)) / u);
}

static HL_INLINE vec vtanh(vec x) {
    const vec t = vexpm1_negative(vabs(x) * -2);
    return (vec)((ivec)(vabs(t) / (t + 2)) | sign_bits(x));
}

/* 1 / (1 + exp(-x)), small results included. */
static HL_INLINE vec vsigmoid(vec x) {
    const vec e = vexp(-vabs(x));
    return select((ivec)(x < 0), e, splat(1)) / (e + 1);
}

/* log(1 + exp(x)). */
static HL_INLINE vec vsoftplus(vec x) {
    return vmax(splat(0), x) + vlog1p_unit(vexp(-vabs(x)));
}

/* sin(x) and cos(x) for |x| <= pi / 4, by Taylor's series: the first term left out is below 2^-24
 * or 2^-53 of the smallest result. */
static HL_INLINE void vsincos(vec x, vec *sine, vec *cosine) {
    const vec z = x * x;
#if T_BITS == 32
    const vec s = HL_POLYNOMIAL(z, (T)(1 / 362880.), (T)(-1 / 5040.), (T)(1 / 120.), (T)(-1 / 6.));
    const vec c = HL_POLYNOMIAL(z, (T)(-1 / 3628800.), (T)(1 / 40320.), (T)(-1 / 720.),
                                (T)(1 / 24.));
#else
    const vec s = HL_POLYNOMIAL(z, 1 / 355687428096000., -1 / 1307674368000., 1 / 6227020800.,
                                -1 / 39916800., 1 / 362880., -1 / 5040., 1 / 120., -1 / 6.);
    const vec c = HL_POLYNOMIAL(z, -1 / 6402373705728000., 1 / 20922789888000., -1 / 87178291200.,
                                1 / 479001600., -1 / 3628800., 1 / 40320., -1 / 720., 1 / 24.);
#endif
    *sine = mul_add(x * z, s, x);
    *cosine = mul_add(z * z, c, mul_add(z, splat((T)-0.5), splat(1)));
}

static HL_INLINE vec verf(vec x) {
#if T_BITS == 32
    const vec t = vabs(x);
    const vec z = x * x;
    const vec near = HL_POLYNOMIAL(z, 0x1.496a16p-14f, -0x1.a3f6f6p-11f, 0x1.5405b0p-8f,
                                   -0x1.b7f90cp-6f, 0x1.ce2cf8p-4f, -0x1.81273ep-2f,
                                   0x1.20dd74p+0f) * x;
    /* -log(1 - erf(t)) over [1, 4]; erf rounds to 1 beyond. */
    const vec u = vmin(splat(4), t);
    const vec g = HL_POLYNOMIAL(u, -0x1.852bd4p-13f, 0x1.814bf8p-9f, -0x1.6541b2p-6f,
                                0x1.a60a4ap-4f, 0x1.46c58cp-1f, 0x1.2085b0p+0f, 0x1.72f04ep-12f);
    const vec far = -vexpm1_negative(-g);
    return select((ivec)(t < 1), near, select((ivec)(x < 0), -far, far));
#else
    /* A double-precision polynomial would need three ranges; GELU's exact form in double is
     * for checking, so the C library serves. */
    for (int l = 0; l < VL; l++)
        x[l] = erf(x[l]);
    return x;
#endif
}
