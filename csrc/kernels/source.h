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

#endif
