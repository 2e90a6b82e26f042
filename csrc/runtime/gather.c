/* The gathering of kernels/gather.h, cast to whole numbers, rounded towards 0, to the nearest that
 * there is; and to truth values. */
#include "hotloop.h"
#include "kernels/source.h"

/* The smallest of NaN, which is no class. */
static inline int32_t label_of(double x) {
    return x >= INT32_MAX ? INT32_MAX : x > INT32_MIN ? (int32_t)x : INT32_MIN;
}

static inline uint8_t byte_of(double x) {
    return x >= UINT8_MAX ? UINT8_MAX : x > 0 ? (uint8_t)x : 0;
}

#define T int32_t
#define N(name) hl_##name##_label
#define HL_CAST(x) label_of((double)(x))
#include "kernels/gather.h"

#undef T
#undef N
#undef HL_CAST

#define T uint8_t
#define N(name) hl_##name##_mask
#define HL_CAST(x) byte_of((double)(x))
#include "kernels/gather.h"

#undef T
#undef N
#undef HL_CAST

#define T uint8_t
#define N(name) hl_##name##_boolean
#define HL_CAST(x) ((uint8_t)((x) != 0))
#include "kernels/gather.h"

void hl_gather_labels(const hl_source *source, const int64_t *order, ptrdiff_t first, ptrdiff_t n,
                      int32_t *out) {
    hl_gather_label(source, order, first, n, out);
}

void hl_gather_masks(const hl_source *source, const int64_t *order, ptrdiff_t first, ptrdiff_t n,
                     uint8_t *out) {
    hl_gather_mask(source, order, first, n, out);
}

void hl_gather_booleans(const hl_source *source, const int64_t *order, ptrdiff_t first,
                        ptrdiff_t n, uint8_t *out) {
    hl_gather_boolean(source, order, first, n, out);
}
