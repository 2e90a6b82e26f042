/* Noise drawn by element number: dropout, and normal numbers by Box and Muller (1958). */

/* One normal number from each of VL random words: sqrt(-2 ln u) cos(2 pi t), u = (a + 1) / 2^24
 * and t = b / 2^24 with a and b the top 24 bits and the next 24. All arguments are exact. */
static HL_INLINE vec N(normal)(uint64_t key, ptrdiff_t first) {
    T u[VL], rest[VL];
    T_INT quarter[VL];
    for (int l = 0; l < VL; l++) {
        const uint64_t bits = hl_random_bits_inline(key, (uint64_t)(first + l));
        const int32_t turn = (int32_t)(bits >> 16 & 0xffffff);
        const int32_t nearest = (turn + (1 << 21)) >> 22; /* quarter turn */
        u[l] = (T)(int32_t)((bits >> 40) + 1);
        quarter[l] = nearest;
        rest[l] = (T)(turn - nearest * (1 << 22));
    }
    ivec quarters;
    memcpy(&quarters, quarter, sizeof quarters);
    const vec radius = vsqrt(vlog(load(u) * (T)0x1p-24) * -2);
    vec sine, cosine;
    vsincos(load(rest) * (T)(6.283185307179586477 * 0x1p-24), &sine, &cosine);
    /* cos, -sin, -cos, sin of what is left of the turn. */
    const vec size = select(-(quarters & 1), sine, cosine);
    const ivec negative = -((quarters + 1) >> 1 & 1);
    return radius * select(negative, -size, size);
}

static void N(gaussian)(int multiply, double stddev, uint64_t key, ptrdiff_t first, const void *x_,
                        void *y, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const int count = lanes_left(n - i);
        const vec x = load_n((const T *)x_ + i, count);
        const vec noise = N(normal)(key, first + i) * (T)stddev;
        store_n((T *)y + i, multiply ? x * (noise + 1) : x + noise, count);
    }
}

/* True in the lanes that are kept: those whose top 24 bits, as a fraction, are >= rate, or, as an
 * integer, >= rate * 2^24. */
static HL_INLINE ivec N(kept)(double rate, uint64_t key, ptrdiff_t first) {
    const uint64_t threshold = (uint64_t)ceil(rate * 0x1p24);
    T_INT keep[VL];
    for (int l = 0; l < VL; l++)
        keep[l] = hl_random_bits_inline(key, (uint64_t)(first + l)) >> 40 >= threshold;
    ivec kept;
    memcpy(&kept, keep, sizeof kept);
    return -kept;
}

static void N(dropout)(double rate, uint64_t key, ptrdiff_t first, const void *x, void *y,
                       ptrdiff_t n) {
    const vec scale = splat((T)(1 / (1 - rate)));
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const int count = lanes_left(n - i);
        const vec scaled = load_n((const T *)x + i, count) * scale;
        store_n((T *)y + i, only(N(kept)(rate, key, first + i), scaled), count);
    }
}

static void N(alpha_dropout)(double rate, double factor, double offset, double dropped,
                             uint64_t key, ptrdiff_t first, const void *x, void *y, ptrdiff_t n) {
    const vec slope = splat((T)factor), shift = splat((T)offset);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const int count = lanes_left(n - i);
        const vec scaled = mul_add(load_n((const T *)x + i, count), slope, shift);
        store_n((T *)y + i,
                select(N(kept)(rate, key, first + i), scaled, splat((T)dropped)), count);
    }
}
