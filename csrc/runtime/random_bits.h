/* hl_random_bits, to be inlined: SplitMix64 (Steele, Lea and Flood 2014) as a counter-based
 * generator. */
#ifndef HL_RANDOM_BITS_H
#define HL_RANDOM_BITS_H

#include <stdint.h>

static inline uint64_t hl_random_bits_inline(uint64_t key, uint64_t index) {
    uint64_t z = key + (index + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

#endif
