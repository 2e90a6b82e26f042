/* hl_gather_booleans: the gathering of kernels/gather.h, cast to truth values. */
#include "hotloop.h"
#include "kernels/source.h"

#define T uint8_t
#define N(name) hl_##name##_boolean
#define HL_CAST(x) ((uint8_t)((x) != 0))
#include "kernels/gather.h"

void hl_gather_booleans(const hl_source *source, const int64_t *order, ptrdiff_t first,
                        ptrdiff_t n, uint8_t *out) {
    hl_gather_boolean(source, order, first, n, out);
}
