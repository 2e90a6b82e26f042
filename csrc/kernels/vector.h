/* Vectors of T: the compilers' vector extensions, plus the few operations they lack.
 *
 * T_BITS is 32 or 64; T_INT and T_UINT are the integers of that size. A comparison gives an ivec
 * of lanes that are all ones (true) or zero.
 */

/* As sources name T. */
#undef HL_OWN_DTYPE
#if T_BITS == 32
#define HL_OWN_DTYPE HL_F32
#else
#define HL_OWN_DTYPE HL_F64
#endif

#define VL (HL_VECTOR_BYTES * 8 / T_BITS)

/* Keras's epsilon: probabilities are kept this far from 0 and 1, and divisors from 0. */
#define EPSILON ((T)1e-7)

typedef T vec __attribute__((vector_size(HL_VECTOR_BYTES)));
typedef T_INT ivec __attribute__((vector_size(HL_VECTOR_BYTES)));
typedef T_UINT uvec __attribute__((vector_size(HL_VECTOR_BYTES)));
typedef T vec_unaligned
    __attribute__((vector_size(HL_VECTOR_BYTES), aligned(T_BITS / 8), may_alias));

/* x - 0 is x for every x, -0 and NaN included, so this is one broadcast. */
static HL_INLINE vec splat(T x) {
    return x - (vec){0};
}

static HL_INLINE vec load(const T *p) {
    return *(const vec_unaligned *)p;
}

static HL_INLINE void store(T *p, vec v) {
    *(vec_unaligned *)p = v;
}

/* min(n, VL): how many lanes the vector at the start of n elements fills. */
static HL_INLINE int lanes_left(ptrdiff_t n) {
    return n < VL ? (int)n : VL;
}

static HL_INLINE ivec lane_numbers(void) {
#if HL_VECTOR_BYTES * 8 / T_BITS == 2
    return (ivec){0, 1};
#elif HL_VECTOR_BYTES * 8 / T_BITS == 4
    return (ivec){0, 1, 2, 3};
#elif HL_VECTOR_BYTES * 8 / T_BITS == 8
    return (ivec){0, 1, 2, 3, 4, 5, 6, 7};
#else
    return (ivec){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#endif
}

/* True in lanes 0 .. count - 1. */
static HL_INLINE ivec first_lanes(ptrdiff_t count) {
    return (ivec)(lane_numbers() < (T_INT)count);
}

static HL_INLINE vec select(ivec condition, vec yes, vec no) {
    return (vec)((condition & (ivec)yes) | (~condition & (ivec)no));
}

/* x where the condition holds, else +0. */
static HL_INLINE vec only(ivec condition, vec x) {
    return (vec)(condition & (ivec)x);
}

#undef HL_X86
#if HL_VECTOR_BYTES == 64 && T_BITS == 32
#define HL_X86(op) _mm512_##op##_ps
#elif HL_VECTOR_BYTES == 64
#define HL_X86(op) _mm512_##op##_pd
#elif HL_VECTOR_BYTES == 32 && T_BITS == 32
#define HL_X86(op) _mm256_##op##_ps
#elif HL_VECTOR_BYTES == 32
#define HL_X86(op) _mm256_##op##_pd
#elif defined __SSE2__ && T_BITS == 32
#define HL_X86(op) _mm_##op##_ps
#elif defined __SSE2__
#define HL_X86(op) _mm_##op##_pd
#endif

/* a > b ? a : b, and a < b ? a : b: where one is NaN, the result is b. */
#ifdef HL_X86
static HL_INLINE vec vmax(vec a, vec b) {
    return (vec)HL_X86(max)(a, b);
}
static HL_INLINE vec vmin(vec a, vec b) {
    return (vec)HL_X86(min)(a, b);
}
#else
static HL_INLINE vec vmax(vec a, vec b) {
    return select((ivec)(a > b), a, b);
}
static HL_INLINE vec vmin(vec a, vec b) {
    return select((ivec)(a < b), a, b);
}
#endif

static HL_INLINE vec vsqrt(vec x) {
#ifdef HL_X86
    return (vec)HL_X86(sqrt)(x);
#elif defined __aarch64__ && T_BITS == 32
    return (vec)vsqrtq_f32((float32x4_t)x);
#elif defined __aarch64__
    return (vec)vsqrtq_f64((float64x2_t)x);
#else
    for (int l = 0; l < VL; l++)
        x[l] = (T)sqrt(x[l]);
    return x;
#endif
}

/* a * b + c, rounded once where the instruction set fuses the two. Compilers may not fuse by
 * themselves (-ffp-contract=off): they would choose anew in each copy of a loop, such as that for
 * the end of a range, and give it other bits. A minus before an argument costs no instruction but
 * that of c on aarch64. */
static HL_INLINE vec mul_add(vec a, vec b, vec c) {
#if defined __FMA__
    return (vec)HL_X86(fmadd)(a, b, c);
#elif defined __aarch64__ && T_BITS == 32
    return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#elif defined __aarch64__
    return (vec)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
    return a * b + c;
#endif
}

/* The first count elements at p, zero in the other lanes; nothing beyond them is read. */
static HL_INLINE vec load_n(const T *p, int count) {
    if (count == VL)
        return load(p);
#if HL_VECTOR_BYTES == 64
    return (vec)HL_X86(maskz_loadu)((1u << count) - 1, p);
#elif HL_VECTOR_BYTES == 32 && T_BITS == 32
    return (vec)_mm256_maskload_ps(p, (__m256i)first_lanes(count));
#elif HL_VECTOR_BYTES == 32
    return (vec)_mm256_maskload_pd(p, (__m256i)first_lanes(count));
#else
    vec v = splat(0);
    HL_UNROLL for (int l = 0; l < VL - 1; l++)
        if (l < count)
            v[l] = p[l];
    return v;
#endif
}

/* Writes the first count lanes; nothing beyond them is touched. */
static HL_INLINE void store_n(T *p, vec v, int count) {
    if (count == VL) {
        store(p, v);
        return;
    }
#if HL_VECTOR_BYTES == 64
    HL_X86(mask_storeu)(p, (1u << count) - 1, v);
#elif HL_VECTOR_BYTES == 32 && T_BITS == 32
    _mm256_maskstore_ps(p, (__m256i)first_lanes(count), v);
#elif HL_VECTOR_BYTES == 32
    _mm256_maskstore_pd(p, (__m256i)first_lanes(count), v);
#else
    HL_UNROLL for (int l = 0; l < VL - 1; l++)
        if (l < count)
            p[l] = v[l];
#endif
}

/* The sign bit of each lane. */
static HL_INLINE ivec sign_bits(vec x) {
    return (ivec)x & (ivec)splat(-(T)0);
}

static HL_INLINE vec vabs(vec x) {
    return (vec)((ivec)x ^ sign_bits(x));
}

/* x limited to [low, high]; NaN stays NaN. */
static HL_INLINE vec clamp(vec x, T low, T high) {
    return vmin(splat(high), vmax(splat(low), x));
}

/* Lane l of the result is lane (l + by) mod VL of v. by is a constant, so this is one shuffle. */
static HL_INLINE vec rotate_lanes(vec v, int by) {
#ifdef __clang__
    vec r = v;
    HL_UNROLL for (int l = 0; l < VL; l++)
        r[l] = v[(l + by) % VL];
    return r;
#else
    return __builtin_shuffle(v, (lane_numbers() + by) & (VL - 1));
#endif
}

/* Lane l of the result is lane l ^ by of v; by is a constant. */
static HL_INLINE vec swap_lanes(vec v, int by) {
#ifdef __clang__
    vec r = v;
    HL_UNROLL for (int l = 0; l < VL; l++)
        r[l] = v[l ^ by];
    return r;
#else
    return __builtin_shuffle(v, lane_numbers() ^ by);
#endif
}

/* Every second of the lanes of a and then b, from lane first on, which is 0 or 1 and a constant. */
static HL_INLINE vec every_second(vec a, vec b, int first) {
#ifdef __clang__
    vec r = a;
    HL_UNROLL for (int l = 0; l < VL; l++)
        r[l] = 2 * l < VL ? a[(2 * l + first) % VL] : b[(2 * l + first) % VL];
    return r;
#else
    return __builtin_shuffle(a, b, lane_numbers() * 2 + first);
#endif
}

/* Reductions over the lanes fold the upper half onto the lower one, so their order is fixed. */
static HL_INLINE T sum_lanes(vec v) {
    HL_UNROLL for (int half = VL / 2; half; half /= 2)
        v += rotate_lanes(v, half);
    return v[0];
}

/* The same sum in every lane: both lanes of a pair add the same two numbers. */
static HL_INLINE vec splat_sum(vec v) {
    HL_UNROLL for (int half = VL / 2; half; half /= 2)
        v += swap_lanes(v, half);
    return v;
}

static HL_INLINE T max_lanes(vec v) {
    HL_UNROLL for (int half = VL / 2; half; half /= 2)
        v = vmax(v, rotate_lanes(v, half));
    return v[0];
}

/* Whether a comparison holds anywhere. */
static HL_INLINE int any_lane(ivec v) {
#if HL_VECTOR_BYTES == 64 && T_BITS == 32
    return _mm512_movepi32_mask((__m512i)v) != 0;
#elif HL_VECTOR_BYTES == 64
    return _mm512_movepi64_mask((__m512i)v) != 0;
#elif defined HL_X86
    return HL_X86(movemask)((vec)v) != 0;
#else
    T_INT any = 0;
    HL_UNROLL for (int l = 0; l < VL; l++)
        any |= v[l];
    return any != 0;
#endif
}

static HL_INLINE ptrdiff_t add_lanes(ivec v) {
    T_INT sum = 0;
    HL_UNROLL for (int l = 0; l < VL; l++)
        sum += v[l];
    return (ptrdiff_t)sum;
}
