/* What gathering needs that no element type changes. */
#ifndef HL_SOURCE_H
#define HL_SOURCE_H

#include "hotloop.h"

#include <string.h>

static inline uint8_t hl_swap_uint8_t(uint8_t x) {
    return x;
}
static inline uint16_t hl_swap_uint16_t(uint16_t x) {
    return __builtin_bswap16(x);
}
static inline uint32_t hl_swap_uint32_t(uint32_t x) {
    return __builtin_bswap32(x);
}
static inline uint64_t hl_swap_uint64_t(uint64_t x) {
    return __builtin_bswap64(x);
}

/* IEEE half precision, by its bits. Exponent and fraction moved to their places in a float make
 * the value times 2^-112, denormals included; infinity and NaN need the largest exponent. */
static inline float hl_half_to_float(uint16_t half) {
    const uint32_t rest = (uint32_t)(half & 0x7fff) << 13;
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    float value;
    uint32_t bits;
    memcpy(&value, &rest, sizeof value);
    value *= 0x1p112f;
    memcpy(&bits, &value, sizeof bits);
    bits |= sign | (rest >= 0x7c00u << 13 ? 0x7f800000u : 0);
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* One row of a source, with as few dimensions as its memory needs: a contiguous row has one. */
typedef struct hl_row {
    int rank; /* at least 1 */
    ptrdiff_t size;
    ptrdiff_t dim[HL_MAX_RANK];
    ptrdiff_t stride[HL_MAX_RANK];
} hl_row;

static inline ptrdiff_t hl_dtype_size(hl_dtype dtype) {
    switch (dtype) {
    case HL_F64: case HL_I64: case HL_U64: return 8;
    case HL_F32: case HL_I32: case HL_U32: return 4;
    case HL_F16: case HL_I16: case HL_U16: return 2;
    default: return 1;
    }
}

static inline hl_row hl_row_of(const hl_source *source) {
    hl_row row = {.rank = 1, .size = 1, .dim = {1}, .stride = {hl_dtype_size(source->dtype)}};
    int used = 0;
    for (int d = 0; d < source->rank; d++) {
        const ptrdiff_t dim = source->dim[d], stride = source->stride[d];
        row.size *= dim;
        if (dim == 1)
            continue;
        if (used && row.stride[used - 1] == dim * stride) {
            row.dim[used - 1] *= dim;
            row.stride[used - 1] = stride;
        } else {
            row.dim[used] = dim;
            row.stride[used] = stride;
            used++;
        }
    }
    if (used)
        row.rank = used;
    return row;
}

/* Asks for the next row's memory while this one is being cast. Only where it is one run forward:
 * others are left to the hardware. 4 KiB: a page, beyond which the hardware's own prefetching has
 * long caught on. */
static inline void hl_prefetch_row(const char *from, const hl_row *row) {
    const ptrdiff_t bytes = row->dim[row->rank - 1] * row->stride[row->rank - 1];
    for (ptrdiff_t at = 0; at < bytes && at < 4096; at += 64)
        __builtin_prefetch(from + at);
}

#endif
