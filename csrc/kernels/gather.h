/* Rows of a user's array, cast to T: see hl_kernels.gather.
 *
 * Also included by runtime/labels.c with T = int32_t. HL_CAST(x) converts a number to T. The data
 * may be unaligned: elements are read through types of alignment 1, or by memcpy. */

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

typedef void N(run_function)(const char *restrict from, ptrdiff_t stride, int swapped, ptrdiff_t n,
                             T *restrict out);

#undef HL_RUN_NAME
#define HL_RUN_NAME(name, type, bits, cast) N(run_##name),
static N(run_function) *const N(runs)[] = {HL_EACH_DTYPE(HL_RUN_NAME)};

static void N(gather)(const hl_source *source, const int64_t *order, ptrdiff_t first, ptrdiff_t n,
                      void *out_) {
    N(run_function) *const run = N(runs)[source->dtype];
    hl_row row = hl_row_of(source);
    T *out = out_;
    if (row.size == 0 || n <= 0)
        return;
    if (row.size == 1)
        row.stride[0] = source->row_stride;
    if (!order && row.rank == 1 && source->row_stride == row.dim[0] * row.stride[0]) {
        run(source->data + first * source->row_stride, row.stride[0], source->swapped,
            n * row.size, out);
        return;
    }
    const int inner = row.rank - 1;
    const ptrdiff_t length = row.dim[inner], stride = row.stride[inner];
    for (ptrdiff_t i = 0; i < n; i++) {
        const int64_t number = order ? order[first + i] : first + i;
        const char *from = source->data + number * source->row_stride;
        if (order && i + 1 < n)
            hl_prefetch_row(source->data + order[first + i + 1] * source->row_stride, &row);
        ptrdiff_t index[HL_MAX_RANK] = {0};
        for (ptrdiff_t done = 0; done < row.size; done += length) {
            run(from, stride, source->swapped, length, out);
            out += length;
            /* To the next run: count the outer dimensions up like an odometer. */
            for (int d = inner - 1; d >= 0; d--) {
                from += row.stride[d];
                if (++index[d] < row.dim[d])
                    break;
                from -= row.dim[d] * row.stride[d];
                index[d] = 0;
            }
        }
    }
}
