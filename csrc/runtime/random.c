#include "hotloop.h"
#include "random_bits.h"

uint64_t hl_random_bits(uint64_t key, uint64_t index) {
    return hl_random_bits_inline(key, index);
}

void hl_random_order(uint64_t key, int64_t n, int64_t *order) {
    for (int64_t i = 0; i < n; i++) {
        const uint64_t bits = hl_random_bits_inline(key, (uint64_t)i);
        const int64_t j = (int64_t)((unsigned __int128)bits * (uint64_t)(i + 1) >> 64);
        order[i] = order[j];
        order[j] = i;
    }
}
