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

/* IEEE half precision, by its bits: exponent and fraction move to their places in a float, and the
 * exponent gains the difference of the biases. A denormal half takes the exponent of 2^-14, which
 * is then subtracted: exact, and no float on the way is denormal, so that flushing those to zero
 * changes nothing. */
static inline float hl_half_to_float(uint16_t half) {
    const uint32_t rest = (uint32_t)(half & 0x7fff) << 13;
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    const int denormal = rest < 0x400u << 13, special = rest >= 0x7c00u << 13;
    uint32_t bits = rest + ((denormal ? 113u : special ? 224u : 112u) << 23);
    float value;
    memcpy(&value, &bits, sizeof value);
    value -= denormal ? 0x1p-14f : 0;
    memcpy(&bits, &value, sizeof bits);
    bits |= sign;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
