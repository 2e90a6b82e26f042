#include "hotloop.h"
#include "random_bits.h"

uint64_t hl_random_bits(uint64_t key, uint64_t index) {
    return hl_random_bits_inline(key, index);
}
