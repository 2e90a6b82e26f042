#include "sources.h"

#include "check.h"

#include <string.h>

const int dtype_bytes[DTYPES] = {
    [HL_F32] = 4, [HL_F64] = 8, [HL_F16] = 2, [HL_I8] = 1, [HL_I16] = 2, [HL_I32] = 4,
    [HL_I64] = 8, [HL_U8] = 1, [HL_U16] = 2, [HL_U32] = 4, [HL_U64] = 8, [HL_BOOL] = 1,
};

static long double half_value(uint16_t bits) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const long double sign = bits >> 15 ? -1 : 1;
    if (exponent == 31)
        return fraction ? (long double)NAN : sign * (long double)INFINITY;
    if (exponent == 0)
        return sign * ldexpl(fraction, -24);
    return sign * ldexpl(1024 + fraction, exponent - 25);
}

/* The low bytes of an integer, as the dtype reads them. */
static long double value_of(hl_dtype dtype, uint64_t bits) {
    switch (dtype) {
    case HL_F32: {
        const uint32_t low = (uint32_t)bits;
        float value;
        memcpy(&value, &low, sizeof value);
        return value;
    }
    case HL_F64: {
        double value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    case HL_F16: return half_value((uint16_t)bits);
    case HL_I8: return (int8_t)bits;
    case HL_I16: return (int16_t)bits;
    case HL_I32: return (int32_t)bits;
    case HL_I64: return (long double)(int64_t)bits;
    case HL_U8: return (uint8_t)bits;
    case HL_U16: return (uint16_t)bits;
    case HL_U32: return (uint32_t)bits;
    case HL_U64: return (long double)bits;
    case HL_BOOL: return (uint8_t)bits != 0;
    }
    return NAN;
}

/* Both byte orders by arithmetic: the machines that the core supports are little-endian. */
long double source_value(const hl_source *source, ptrdiff_t row, const ptrdiff_t *index) {
    const char *at = source->data + row * source->row_stride;
    for (int d = 0; d < source->rank; d++)
        at += index[d] * source->stride[d];
    const int bytes = dtype_bytes[source->dtype];
    uint64_t bits = 0;
    for (int b = 0; b < bytes; b++) {
        const int place = source->swapped ? bytes - 1 - b : b;
        bits |= (uint64_t)(unsigned char)at[b] << 8 * place;
    }
    return value_of(source->dtype, bits);
}

static char *random_bytes(ptrdiff_t n) {
    char *bytes = room_of(n, 1);
    for (ptrdiff_t i = 0; i < n; i++)
        bytes[i] = (char)random_word();
    return bytes;
}

/* Neither of two neighbouring dimensions may continue the other: see hl_source. */
static int is_minimal(const hl_source *source) {
    for (int d = 0; d + 1 < source->rank; d++)
        if (source->stride[d] == source->stride[d + 1] * source->dim[d + 1])
            return 0;
    return 1;
}

/* Lays out the dimensions and the rows; returns the bytes that they span and how many of those lie
 * before the first element. */
static ptrdiff_t lay_out(hl_source *source, ptrdiff_t rows, ptrdiff_t *before) {
    ptrdiff_t *stride[HL_MAX_RANK + 1], extent[HL_MAX_RANK + 1];
    for (int d = 0; d < source->rank; d++) {
        extent[d] = source->dim[d];
        stride[d] = &source->stride[d];
    }
    stride[source->rank] = &source->row_stride;
    extent[source->rank] = rows;

    /* From the dimension whose elements lie closest outwards, in random order. */
    ptrdiff_t span = dtype_bytes[source->dtype];
    *before = 0;
    for (int left = source->rank + 1; left > 0; left--) {
        const ptrdiff_t d = below(left);
        const ptrdiff_t step = below(8) == 0 ? 0 : span + (below(2) ? 0 : 1 + below(5));
        const ptrdiff_t reach = step * (extent[d] - 1);
        const int backwards = below(4) == 0;
        *stride[d] = backwards ? -step : step;
        *before += backwards ? reach : 0;
        span += reach;
        stride[d] = stride[left - 1];
        extent[d] = extent[left - 1];
    }
    return span;
}

hl_source random_source(hl_dtype dtype, int swapped, ptrdiff_t rows, int rank,
                        const ptrdiff_t *dim) {
    hl_source source = {.dtype = dtype, .swapped = swapped, .rank = rank};
    memcpy(source.dim, dim, (size_t)rank * sizeof *dim);
    ptrdiff_t bytes, before;
    do
        bytes = lay_out(&source, rows, &before);
    while (!is_minimal(&source));
    source.data = random_bytes(bytes) + before;
    return source;
}

hl_source plain_source(hl_dtype dtype, int swapped, ptrdiff_t rows, ptrdiff_t length) {
    const ptrdiff_t bytes = dtype_bytes[dtype];
    return (hl_source){.data = random_bytes(rows * length * bytes),
                       .dtype = dtype,
                       .swapped = swapped,
                       .rank = 1,
                       .row_stride = length * bytes,
                       .dim = {length},
                       .stride = {bytes}};
}

ptrdiff_t row_length(const hl_source *source) {
    ptrdiff_t length = 1;
    for (int d = 0; d < source->rank; d++)
        length *= source->dim[d];
    return length;
}

void next_index(const hl_source *source, ptrdiff_t *index) {
    for (int d = source->rank - 1; d >= 0; d--) {
        if (++index[d] < source->dim[d])
            return;
        index[d] = 0;
    }
}

int64_t *random_order(ptrdiff_t first, ptrdiff_t n, ptrdiff_t rows) {
    int64_t *order = room_of(first + n, sizeof *order);
    for (ptrdiff_t i = 0; i < first; i++)
        order[i] = INT64_MAX; /* not asked for: must not be read */
    for (ptrdiff_t i = first; i < first + n; i++)
        order[i] = below(rows);
    return order;
}
