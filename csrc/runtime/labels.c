/* hl_gather_labels: the gathering of kernels/gather.h, cast to int32. */
#include "hotloop.h"
#include "kernels/source.h"

/* What no int32 class number can be (negative, too large, NaN) becomes -1, which is no class. */
static inline int32_t label_of(double x) {
    return x >= 0 && x <= INT32_MAX ? (int32_t)x : -1;
}

#define T int32_t
#define N(name) hl_##name##_label
#define HL_CAST(x) label_of((double)(x))
#include "kernels/gather.h"

void hl_gather_labels(const hl_source *source, const int64_t *order, ptrdiff_t first, ptrdiff_t n,
                      int32_t *out) {
    hl_gather_label(source, order, first, n, out);
}
