/* hl_gather_masks: the gathering of kernels/gather.h, cast to uint8. */
#include "hotloop.h"
#include "kernels/source.h"

/* The nearest number that a byte holds, rounded towards 0; 0 of NaN. */
static inline uint8_t byte_of(double x) {
    return x >= UINT8_MAX ? UINT8_MAX : x > 0 ? (uint8_t)x : 0;
}

#define T uint8_t
#define N(name) hl_##name##_mask
#define HL_CAST(x) byte_of((double)(x))
#include "kernels/gather.h"

void hl_gather_masks(const hl_source *source, const int64_t *order, ptrdiff_t first, ptrdiff_t n,
                     uint8_t *out) {
    hl_gather_mask(source, order, first, n, out);
}
