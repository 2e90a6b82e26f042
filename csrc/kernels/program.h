/* Programs: runs of elementwise functions, done block by block in registers of memory that stay in the
 * first-level cache, each instruction a loop over a block.
 *
 * The functions that only programs have stand in a list; those of one element or two whose vector
 * code is here in its first part, those that the C library works out in its second. */
#ifndef HL_VECTOR_FUNCTIONS

/* NAME, value, and of how many elements. */
/* clang-format off */
#define HL_VECTOR_FUNCTIONS(X)                                                                     \
    X(FN_EXPM1, expm1, 1)                                                                          \
    X(FN_LOG, log, 1)                                                                              \
    X(FN_LOG1P, log1p, 1)                                                                          \
    X(FN_SQRT, sqrt, 1)                                                                            \
    X(FN_RSQRT, rsqrt, 1)                                                                          \
    X(FN_SQUARE, square, 1)                                                                        \
    X(FN_RECIPROCAL, reciprocal, 1)                                                                \
    X(FN_NEGATIVE, negative, 1)                                                                    \
    X(FN_SIGN, sign, 1)                                                                            \
    X(FN_FLOOR, floor, 1)                                                                          \
    X(FN_CEIL, ceil, 1)                                                                            \
    X(FN_ROUND, round, 1)                                                                          \
    X(FN_TRUNC, trunc, 1)                                                                          \
    X(FN_SIN, sin, 1)                                                                              \
    X(FN_COS, cos, 1)                                                                              \
    X(FN_ERF, erf, 1)                                                                              \
    X(FN_ISNAN, isnan, 1)                                                                          \
    X(FN_ISINF, isinf, 1)                                                                          \
    X(FN_ISFINITE, isfinite, 1)                                                                    \
    X(FN_ISPOSINF, isposinf, 1)                                                                    \
    X(FN_ISNEGINF, isneginf, 1)                                                                    \
    X(FN_SIGNBIT, signbit, 1)                                                                      \
    X(FN_LOGICAL_NOT, logical_not, 1)                                                              \
    X(FN_DIVIDE, divide, 2)                                                                        \
    X(FN_LOGADDEXP, logaddexp, 2)                                                                  \
    X(FN_FMAX, fmax, 2)                                                                            \
    X(FN_FMIN, fmin, 2)                                                                            \
    X(FN_HEAVISIDE, heaviside, 2)                                                                  \
    X(FN_EQUAL, equal, 2)                                                                          \
    X(FN_NOT_EQUAL, not_equal, 2)                                                                  \
    X(FN_LESS, less, 2)                                                                            \
    X(FN_LESS_EQUAL, less_equal, 2)                                                                \
    X(FN_GREATER, greater, 2)                                                                      \
    X(FN_GREATER_EQUAL, greater_equal, 2)                                                          \
    X(FN_LOGICAL_AND, logical_and, 2)                                                              \
    X(FN_LOGICAL_OR, logical_or, 2)                                                                \
    X(FN_LOGICAL_XOR, logical_xor, 2)

#define HL_LIBRARY_FUNCTIONS(X)                                                                    \
    X(FN_EXP2, exp2, 1)                                                                            \
    X(FN_LOG2, log2, 1)                                                                            \
    X(FN_LOG10, log10, 1)                                                                          \
    X(FN_CBRT, cbrt, 1)                                                                            \
    X(FN_TAN, tan, 1)                                                                              \
    X(FN_ARCSIN, arcsin, 1)                                                                        \
    X(FN_ARCCOS, arccos, 1)                                                                        \
    X(FN_ARCTAN, arctan, 1)                                                                        \
    X(FN_SINH, sinh, 1)                                                                            \
    X(FN_COSH, cosh, 1)                                                                            \
    X(FN_ARCSINH, arcsinh, 1)                                                                      \
    X(FN_ARCCOSH, arccosh, 1)                                                                      \
    X(FN_ARCTANH, arctanh, 1)                                                                      \
    X(FN_ERFC, erfc, 1)                                                                            \
    X(FN_ERFINV, erfinv, 1)                                                                        \
    X(FN_SINC, sinc, 1)                                                                            \
    X(FN_FLOOR_DIVIDE, floor_divide, 2)                                                            \
    X(FN_MOD, mod, 2)                                                                              \
    X(FN_FMOD, fmod, 2)                                                                            \
    X(FN_POWER, power, 2)                                                                          \
    X(FN_ARCTAN2, arctan2, 2)                                                                      \
    X(FN_HYPOT, hypot, 2)                                                                          \
    X(FN_LOGADDEXP2, logaddexp2, 2)                                                                \
    X(FN_NEXTAFTER, nextafter, 2)
/* clang-format on */
#endif

#ifdef T

/* What is true is 1 in a register, and what is not is 0. */
static HL_INLINE vec N(truth)(ivec condition) {
    return only(condition, splat(1));
}

static HL_INLINE vec N(fn_expm1)(vec x) {
    ivec n_bits;
    const vec p = expm1_reduced(clamp(x, EXPM1_FLOOR, -(EXPM1_FLOOR)), &n_bits);
    const vec scale = (vec)(((uvec)n_bits + EXPONENT_BIAS) << DIGITS);
    return select((ivec)(x > (T)-(EXPM1_FLOOR)), vexp(x), mul_add(p, scale, scale - 1));
}

static HL_INLINE vec N(fn_log)(vec x) {
    return vlog(x);
}

/* What rounding takes from x in 1 + x is put back. */
static HL_INLINE vec N(fn_log1p)(vec x) {
    const vec u = x + 1;
    return vlog(u) + only((ivec)(u < (T)INFINITY) & (ivec)(u > 0), (x - (u - 1)) / u);
}

static HL_INLINE vec N(fn_sqrt)(vec x) {
    return vsqrt(x);
}

static HL_INLINE vec N(fn_rsqrt)(vec x) {
    return 1 / vsqrt(x);
}

static HL_INLINE vec N(fn_square)(vec x) {
    return x * x;
}

static HL_INLINE vec N(fn_reciprocal)(vec x) {
    return 1 / x;
}

static HL_INLINE vec N(fn_negative)(vec x) {
    return -x;
}

static HL_INLINE vec N(fn_sign)(vec x) {
    return select((ivec)(x != x), x, N(truth)((ivec)(x > 0)) - N(truth)((ivec)(x < 0)));
}

/* The nearest whole number, of two the even one. The sum of |x| and 2^DIGITS has no room for
 * anything behind the point; what is larger is whole, infinite or NaN. */
static HL_INLINE vec N(fn_round)(vec x) {
    const T whole = (T)(INT64_C(1) << DIGITS);
    const vec size = vabs(x);
    const vec rounded = size + whole - whole;
    return select((ivec)(size < whole), (vec)((ivec)rounded | sign_bits(x)), x);
}

static HL_INLINE vec N(fn_floor)(vec x) {
    const vec near = N(fn_round)(x);
    return near - N(truth)((ivec)(near > x));
}

static HL_INLINE vec N(fn_ceil)(vec x) {
    const vec near = N(fn_round)(x);
    return near + N(truth)((ivec)(near < x));
}

static HL_INLINE vec N(fn_trunc)(vec x) {
    const vec size = vabs(x);
    return (vec)((ivec)N(fn_floor)(size) | sign_bits(x));
}

/* Half pi in three parts, of which the first two leave room for n up to 2^13 or 2^30; and where n
 * gets there. */
#undef HALF_PI_HIGH
#undef HALF_PI_MIDDLE
#undef HALF_PI_LOW
#undef LARGEST_ANGLE
#if T_BITS == 32
#define HALF_PI_HIGH 1.5703125f
#define HALF_PI_MIDDLE 4.837512969970703125e-4f
#define HALF_PI_LOW 7.5497899548918821691e-8f
#define LARGEST_ANGLE 8192.0f
#else
#define HALF_PI_HIGH 1.57079625129699707031
#define HALF_PI_MIDDLE 7.54978941586159635335e-8
#define HALF_PI_LOW 5.39030285815811905290e-15
#define LARGEST_ANGLE 1e5
#endif

/* sin(x + quarters half pi). The C library knows more digits of pi, for large angles. */
static HL_RARE vec N(sine)(vec x, int quarters) {
    if (any_lane((ivec)(vabs(x) > LARGEST_ANGLE))) {
        for (int l = 0; l < VL; l++)
            x[l] = (T)(quarters ? cos((double)x[l]) : sin((double)x[l]));
        return x;
    }
    const vec n = N(fn_round)(x * (T)0.63661977236758134308);
    const ivec quarter = (ivec)(n + ROUND) + quarters;
    vec r = mul_add(n, splat(-HALF_PI_HIGH), x), sine, cosine;
    r = mul_add(n, splat(-HALF_PI_MIDDLE), r);
    r = mul_add(n, splat(-HALF_PI_LOW), r);
    vsincos(r, &sine, &cosine);
    const ivec odd = (ivec)((quarter & 1) == 1), minus = (ivec)((quarter & 2) == 2);
    return (vec)((ivec)select(odd, cosine, sine) ^ (minus & (ivec)splat(-(T)0)));
}

static HL_INLINE vec N(fn_sin)(vec x) {
    return N(sine)(x, 0);
}

static HL_INLINE vec N(fn_cos)(vec x) {
    return N(sine)(x, 1);
}

static HL_INLINE vec N(fn_erf)(vec x) {
    return verf(x);
}

static HL_INLINE vec N(fn_isnan)(vec x) {
    return N(truth)((ivec)(x != x));
}

static HL_INLINE vec N(fn_isinf)(vec x) {
    return N(truth)((ivec)(vabs(x) == (T)INFINITY));
}

static HL_INLINE vec N(fn_isfinite)(vec x) {
    return N(truth)((ivec)(vabs(x) < (T)INFINITY));
}

static HL_INLINE vec N(fn_isposinf)(vec x) {
    return N(truth)((ivec)(x == (T)INFINITY));
}

static HL_INLINE vec N(fn_isneginf)(vec x) {
    return N(truth)((ivec)(x == -(T)INFINITY));
}

static HL_INLINE vec N(fn_signbit)(vec x) {
    return N(truth)((ivec)(sign_bits(x) != 0));
}

static HL_INLINE vec N(fn_logical_not)(vec x) {
    return N(truth)((ivec)(x == 0));
}

static HL_INLINE vec N(fn_divide)(vec a, vec b) {
    return a / b;
}

/* Of two equal numbers, which may be infinite, the difference is taken for 0. */
static HL_INLINE vec N(fn_logaddexp)(vec a, vec b) {
    const vec apart = select((ivec)(a == b), splat(0), vabs(a - b));
    return select((ivec)(a > b), a, b) + vlog1p_unit(vexp(-apart));
}

static HL_INLINE vec N(fn_fmax)(vec a, vec b) {
    return select((ivec)(a > b) | (ivec)(b != b), a, b);
}

static HL_INLINE vec N(fn_fmin)(vec a, vec b) {
    return select((ivec)(a < b) | (ivec)(b != b), a, b);
}

static HL_INLINE vec N(fn_heaviside)(vec a, vec b) {
    return select((ivec)(a == 0), b, select((ivec)(a != a), a, N(truth)((ivec)(a > 0))));
}

static HL_INLINE vec N(fn_equal)(vec a, vec b) {
    return N(truth)((ivec)(a == b));
}

static HL_INLINE vec N(fn_not_equal)(vec a, vec b) {
    return N(truth)((ivec)(a != b));
}

static HL_INLINE vec N(fn_less)(vec a, vec b) {
    return N(truth)((ivec)(a < b));
}

static HL_INLINE vec N(fn_less_equal)(vec a, vec b) {
    return N(truth)((ivec)(a <= b));
}

static HL_INLINE vec N(fn_greater)(vec a, vec b) {
    return N(truth)((ivec)(a > b));
}

static HL_INLINE vec N(fn_greater_equal)(vec a, vec b) {
    return N(truth)((ivec)(a >= b));
}

static HL_INLINE vec N(fn_logical_and)(vec a, vec b) {
    return N(truth)((ivec)(a != 0) & (ivec)(b != 0));
}

static HL_INLINE vec N(fn_logical_or)(vec a, vec b) {
    return N(truth)((ivec)(a != 0) | (ivec)(b != 0));
}

static HL_INLINE vec N(fn_logical_xor)(vec a, vec b) {
    return N(truth)((ivec)(a != 0) ^ (ivec)(b != 0));
}

/* A function of whole vectors, and then of what is left, in rooms of a vector each, where zeros stand
 * beside it: one copy of its code, and a loop without masks. */
static HL_INLINE void N(map_whole)(vec (*f)(vec a, vec b), int arity, const T *a, const T *b, T *y,
                                   ptrdiff_t n) {
    T room[3][VL] = {{0}};
    const ptrdiff_t whole = n / VL * VL, left = n - whole;
    T *const end = y + whole;
    if (left) {
        memcpy(room[0], a + whole, (size_t)left * sizeof(T));
        if (arity == 2)
            memcpy(room[1], b + whole, (size_t)left * sizeof(T));
    }
    ptrdiff_t count = whole;
    for (int part = 0; part < 1 + (left > 0); part++) {
        for (ptrdiff_t i = 0; i < count; i += VL)
            store(y + i, f(load(a + i), arity == 2 ? load(b + i) : splat(0)));
        a = room[0], b = room[1], y = room[2], count = VL;
    }
    if (left)
        memcpy(end, room[2], (size_t)left * sizeof(T));
}

/* All of two elements, the second of which some do not read. */
#undef HL_WRAP
#undef HL_CALL_1
#undef HL_CALL_2
#define HL_CALL_1(f, a, b) ((void)(b), f(a))
#define HL_CALL_2(f, a, b) f(a, b)
#define HL_WRAP(NAME, value, arity)                                                                \
    static HL_INLINE vec N(of_two_##value)(vec a, vec b) {                                         \
        return HL_CALL_##arity(N(fn_##value), a, b);                                               \
    }
HL_VECTOR_FUNCTIONS(HL_WRAP)


static HL_RARE void N(function)(hl_function kind, const T *a, const T *b, T *y, ptrdiff_t n) {
    switch (kind) {
#undef HL_CASE
#define HL_CASE(NAME, value, arity)                                                                \
    case HL_##NAME: N(map_whole)(N(of_two_##value), arity, a, b, y, n); break;
        HL_VECTOR_FUNCTIONS(HL_CASE)
    default: hl_library_function(kind, HL_OWN_DTYPE, a, b, y, n);
    }
}

static HL_RARE void N(choose)(const T *condition, const T *a, const T *b, T *y, ptrdiff_t n) {
    ptrdiff_t i = 0;
    for (; i <= n - VL; i += VL)
        store(y + i, select((ivec)(load(condition + i) != 0), load(a + i), load(b + i)));
    const int count = (int)(n - i);
    if (count)
        store_n(y + i, select((ivec)(load_n(condition + i, count) != 0), load_n(a + i, count),
                              load_n(b + i, count)), count);
}

/* n elements of an input that stand one after another, as T. */
static HL_RARE void N(convert)(hl_dtype dtype, const char *x, T *y, ptrdiff_t n) {
    if (dtype == HL_I32)
        for (ptrdiff_t i = 0; i < n; i++)
            y[i] = (T)((const int32_t *)x)[i];
    else if (dtype == HL_OWN_DTYPE)
        memcpy(y, x, (size_t)n * sizeof(T));
    else /* a byte, that may be a truth value */
        for (ptrdiff_t i = 0; i < n; i++)
            y[i] = (T)((const uint8_t *)x)[i];
}

/* Elements first .. first + n - 1 of the output's shape, of an input that is broadcast to it: run by
 * run along the last axis, the outer ones being counted up like an odometer. */
static HL_RARE void N(broadcast)(const hl_program *p, const hl_program_input *x, ptrdiff_t first, ptrdiff_t n,
                         T *y) {
    const ptrdiff_t item = x->dtype == HL_OWN_DTYPE ? (ptrdiff_t)sizeof(T) : x->dtype == HL_I32 ? 4 : 1;
    const ptrdiff_t length = p->dim[p->rank - 1], step = x->strides.axis[p->rank - 1];
    ptrdiff_t index[HL_MAX_BROADCAST], run = first / length, within = first % length, at = 0;
    for (int axis = p->rank - 2; axis >= 0; axis--) {
        index[axis] = run % p->dim[axis];
        at += index[axis] * x->strides.axis[axis];
        run /= p->dim[axis];
    }
    at += run * x->strides.example;
    while (n > 0) {
        const ptrdiff_t count = length - within < n ? length - within : n;
        const char *from = x->data + (at + within * step) * item;
        if (step) {
            N(convert)(x->dtype, from, y, count);
        } else {
            N(convert)(x->dtype, from, y, 1);
            for (ptrdiff_t i = 1; i < count; i++)
                y[i] = y[0];
        }
        y += count;
        n -= count;
        within = 0;
        int axis = p->rank - 2;
        for (; axis >= 0; axis--) {
            at += x->strides.axis[axis];
            if (++index[axis] < p->dim[axis])
                break;
            at -= p->dim[axis] * x->strides.axis[axis];
            index[axis] = 0;
        }
        if (axis < 0)
            at += x->strides.example;
    }
}

/* y[i] = the sum of row i, from left to right in the lanes of a vector, divided by that number. */
static HL_RARE void N(sum_each)(const T *x, ptrdiff_t rows, ptrdiff_t cols, T divisor, T *y) {
    for (ptrdiff_t i = 0; i < rows; i++, x += cols) {
        vec sum = splat(0);
        for (ptrdiff_t j = 0; j < cols; j += VL)
            sum += load_n(x + j, lanes_left(cols - j));
        y[i] = sum_lanes(sum) / divisor;
    }
}

/* Padding of a packed matrix is 0, whatever a function makes of 0. */
static HL_RARE void N(clear_padding)(const hl_program *p, ptrdiff_t first, ptrdiff_t n) {
    for (int i = 0; i < p->outputs; i++)
        for (ptrdiff_t j = first > p->panel ? first : p->panel; j < first + n; j++)
            if ((j - p->panel) % p->panel_width >= p->panel_columns)
                ((T *)p->output[i].data)[j] = 0;
}

static HL_RARE void N(program)(const hl_program *p, ptrdiff_t first, ptrdiff_t n, void *room) {
    T *at[HL_MAX_PLACES];
    for (int r = 0; r < p->registers; r++)
        at[r] = (T *)room + r * p->stride;
    T **const given = at + p->registers, **const made = given + p->inputs;
    for (; n > 0; first += p->block, n -= p->block) {
        const ptrdiff_t count = n < p->block ? n : p->block;
        for (int i = 0; i < p->inputs; i++)
            given[i] = p->input[i].loaded ? NULL : (T *)p->input[i].data + first;
        for (int i = 0; i < p->outputs; i++)
            made[i] = p->output[i].apart ? NULL : (T *)p->output[i].data + first;
        for (const hl_instruction *i = p->instruction; i < p->instruction + p->length; i++) {
            T *const y = at[i->y];
            const T *const a = at[i->a], *const b = at[i->b], *const c = at[i->c];
            switch (i->family) {
            case HL_DO_LOAD: {
                const hl_program_input *x = &p->input[i->kind];
                if (x->broadcast)
                    N(broadcast)(p, x, first, count, y);
                else
                    N(convert)(x->dtype, x->data + first * (x->dtype == HL_I32 ? 4 : 1), y, count);
                break;
            }
            case HL_DO_FILL:
                for (ptrdiff_t j = 0; j < count; j++)
                    y[j] = (T)i->alpha;
                break;
            case HL_DO_ACTIVATION:
                N(activation)((hl_activation)i->kind, i->alpha, a, count, y, count, 1, count);
                break;
            case HL_DO_ACTIVATION_GRADIENT:
                N(activation_gradient)((hl_activation)i->kind, i->alpha, a, b, y, count, 1, count);
                break;
            case HL_DO_MERGE: N(merge)((hl_merge)i->kind, a, b, y, count); break;
            case HL_DO_CHOICE_GRADIENT:
                N(choice_gradient)((hl_merge)i->kind, a, b, c, y, count);
                break;
            case HL_DO_SCALE: N(scale)(i->alpha, i->offset, a, y, count); break;
            case HL_DO_FUNCTION: N(function)((hl_function)i->kind, a, b, y, count); break;
            case HL_DO_CHOOSE: N(choose)(a, b, c, y, count); break;
            case HL_DO_TELL: {
                uint8_t *bytes = (uint8_t *)p->output[i->kind].data + first;
                for (ptrdiff_t j = 0; j < count; j++)
                    bytes[j] = a[j] != 0;
                break;
            }
            case HL_DO_SUM:
                N(sum_each)(a, count / p->row, p->row, (T)i->alpha,
                            (T *)p->output[i->kind].data + first / p->row);
                break;
            }
        }
        if (p->panel_width)
            N(clear_padding)(p, first, count);
    }
}

#endif
