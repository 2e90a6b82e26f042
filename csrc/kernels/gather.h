/* Rows of a user's array, cast to T: see hl_kernels.gather.
 *
 * Also included by runtime/gather.c with T = int32_t, and with T = uint8_t. HL_CAST(x) converts a
 * number to T. The data may be unaligned: elements are read through types of alignment
 * 1, or by memcpy. */

#undef HL_EACH_DTYPE
#define HL_EACH_DTYPE(X)                                                                           \
    X(f32, float, uint32_t, HL_CAST)                                                               \
    X(f64, double, uint64_t, HL_CAST)                                                              \
    X(f16, uint16_t, uint16_t, HL_CAST_F16)                                                        \
    X(i8, int8_t, uint8_t, HL_CAST)                                                                \
    X(i16, int16_t, uint16_t, HL_CAST)                                                             \
    X(i32, int32_t, uint32_t, HL_CAST)                                                             \
    X(i64, int64_t, uint64_t, HL_CAST)                                                             \
    X(u8, uint8_t, uint8_t, HL_CAST)                                                               \
    X(u16, uint16_t, uint16_t, HL_CAST)                                                            \
    X(u32, uint32_t, uint32_t, HL_CAST)                                                            \
    X(u64, uint64_t, uint64_t, HL_CAST)                                                            \
    X(bool, uint8_t, uint8_t, HL_CAST_BOOL)

#undef HL_CAST_F16
#undef HL_CAST_BOOL
#define HL_CAST_F16(x) HL_CAST(hl_half_to_float(x))
#define HL_CAST_BOOL(x) HL_CAST((x) != 0)

/* n elements, stride bytes apart. */
#undef HL_RUN
#define HL_RUN(name, type, bits, cast)                                                             \
    static void N(run_##name)(const char *restrict from, ptrdiff_t stride, int swapped,            \
                              ptrdiff_t n, T *restrict out) {                                      \
        typedef type unaligned_type __attribute__((aligned(1), may_alias));                        \
        const unaligned_type *x = (const unaligned_type *)from;                                    \
        if (stride == sizeof(type) && !swapped) {                                                  \
            for (ptrdiff_t i = 0; i < n; i++)                                                      \
                out[i] = cast(x[i]);                                                               \
            return;                                                                                \
        }                                                                                          \
        for (ptrdiff_t i = 0; i < n; i++) {                                                        \
            bits b;                                                                                \
            type value;                                                                            \
            memcpy(&b, from + i * stride, sizeof b);                                               \
            if (swapped)                                                                           \
                b = hl_swap_##bits(b);                                                             \
            memcpy(&value, &b, sizeof value);                                                      \
            out[i] = cast(value);                                                                  \
        }                                                                                          \
    }
HL_EACH_DTYPE(HL_RUN)

#ifdef HL_OWN_DTYPE
/* Rows of a few bytes; bytes is a constant. */
static HL_INLINE void N(copy_short_rows)(const size_t bytes, const hl_source *source,
                                         const int64_t *order, ptrdiff_t first, ptrdiff_t n,
                                         char *out) {
    const char *const data = source->data;
    const ptrdiff_t stride = source->row_stride; /* for all that is known, out might be source */
    for (ptrdiff_t i = first; i < first + n; i++, out += bytes)
        memcpy(out, data + (order ? order[i] : i) * stride, bytes);
}

/* Rows that need no cast: what most programs pass, and where rows are short, all of the cost. */
static void N(copy_rows)(const hl_source *source, const int64_t *order, ptrdiff_t first,
                         ptrdiff_t n, T *out) {
    const ptrdiff_t length = source->dim[0];
    if (length == 1) {
        N(copy_short_rows)(sizeof(T), source, order, first, n, (char *)out);
        return;
    }
    if (length == 2) {
        N(copy_short_rows)(2 * sizeof(T), source, order, first, n, (char *)out);
        return;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        const int64_t number = order ? order[first + i] : first + i;
        const T *from = (const T *)(source->data + number * source->row_stride);
        ptrdiff_t j = 0;
        for (; j + VL <= length; j += VL)
            store(out + j, load(from + j));
        if (j < length)
            store_n(out + j, load_n(from + j, (int)(length - j)), (int)(length - j));
        out += length;
    }
}
#endif

typedef void N(run_function)(const char *restrict from, ptrdiff_t stride, int swapped, ptrdiff_t n,
                             T *restrict out);

#undef HL_RUN_NAME
#define HL_RUN_NAME(name, type, bits, cast) N(run_##name),
static N(run_function) *const N(runs)[] = {HL_EACH_DTYPE(HL_RUN_NAME)};

static void N(gather)(const hl_source *source, const int64_t *order, ptrdiff_t first, ptrdiff_t n,
                      void *out_) {
    N(run_function) *const run = N(runs)[source->dtype];
    const int inner = source->rank - 1;
    const ptrdiff_t length = source->dim[inner], stride = source->stride[inner];
    ptrdiff_t runs = 1; /* in a row */
    for (int d = 0; d < inner; d++)
        runs *= source->dim[d];
    T *out = out_;
    if (length == 0 || runs == 0 || n <= 0)
        return;
    if (!order && runs == 1 && source->row_stride == length * stride) {
        run(source->data + first * source->row_stride, stride, source->swapped, n * length, out);
        return;
    }
#ifdef HL_OWN_DTYPE
    const int aligned = ((uintptr_t)source->data | (uintptr_t)source->row_stride) % sizeof(T) == 0;
    if (runs == 1 && source->dtype == HL_OWN_DTYPE && stride == sizeof(T) && !source->swapped &&
        aligned) {
        N(copy_rows)(source, order, first, n, out);
        return;
    }
#endif
    for (ptrdiff_t i = 0; i < n; i++) {
        const int64_t number = order ? order[first + i] : first + i;
        const char *from = source->data + number * source->row_stride;
        ptrdiff_t index[HL_MAX_RANK] = {0};
        for (ptrdiff_t done = 0; done < runs; done++) {
            run(from, stride, source->swapped, length, out);
            out += length;
            /* To the next run: count the outer dimensions up like an odometer. */
            for (int d = inner - 1; d >= 0; d--) {
                from += source->stride[d];
                if (++index[d] < source->dim[d])
                    break;
                from -= source->dim[d] * source->stride[d];
                index[d] = 0;
            }
        }
    }
}
