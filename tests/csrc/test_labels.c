/* hl_gather_labels and hl_gather_masks: the nearest whole number that an int32 or a byte holds; of
 * NaN the smallest. hl_gather_booleans: 0 of 0 and 1 of all others. */
#include "check.h"
#include "sources.h"

#include <string.h>

static int32_t label_of(long double value) {
    return value >= INT32_MAX ? INT32_MAX : value > INT32_MIN ? (int32_t)value : INT32_MIN;
}

static uint8_t byte_of(long double value) {
    return value >= 255 ? 255 : value > 0 ? (uint8_t)value : 0;
}

static void check_labels(const hl_source *source, const int64_t *order, ptrdiff_t first,
                         ptrdiff_t n) {
    const ptrdiff_t length = row_length(source);
    int32_t *out = room_of(n * length, sizeof *out);
    uint8_t *byte = room_of(n * length, sizeof *byte);
    uint8_t *boolean = room_of(n * length, sizeof *boolean);
    hl_gather_labels(source, order, first, n, out);
    hl_gather_masks(source, order, first, n, byte);
    hl_gather_booleans(source, order, first, n, boolean);
    for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t row = order ? (ptrdiff_t)order[first + i] : first + i;
        ptrdiff_t index[HL_MAX_RANK] = {0};
        for (ptrdiff_t j = 0; j < length; j++) {
            expect_same("label", i * length + j, out[i * length + j],
                        label_of(source_value(source, row, index)));
            expect_same("mask", i * length + j, byte[i * length + j],
                        byte_of(source_value(source, row, index)));
            expect_same("boolean", i * length + j, boolean[i * length + j],
                        source_value(source, row, index) != 0);
            next_index(source, index);
        }
    }
}

static void random_case(hl_dtype dtype, int swapped, int ordered) {
    const int rank = 1 + (int)below(2);
    const ptrdiff_t rows = any_size(), dim[] = {rank + below(3), 2 + below(3)};
    begin("labels dtype=%d swapped=%d rank=%d rows=%td ordered=%d", dtype, swapped, rank, rows,
          ordered);
    const hl_source source = random_source(dtype, swapped, rows, rank, dim);
    const ptrdiff_t first = below(rows), n = ordered ? 31 : rows - first;
    check_labels(&source, ordered ? random_order(first, n, rows) : NULL, first, n);
    end();
}

/* Random bytes are seldom class numbers: here are some, and their neighbours. */
static void edge_case(void) {
    static const double edges[] = {0,   -0.0, 1, 9.75,       255,  2147483647.0, 2147483648.0,
                                   NAN, -0.5, -1, INFINITY, -INFINITY, 1e300, 2147483647.5,
                                   -7.5, -2147483648.0, -2147483649.0};
    begin("labels at the edges");
    double *values = room_of(COUNT(edges), sizeof *values);
    memcpy(values, edges, sizeof edges);
    const hl_source source = {.data = (const char *)values,
                              .dtype = HL_F64,
                              .rank = 1,
                              .row_stride = sizeof *values,
                              .dim = {1},
                              .stride = {sizeof *values}};
    check_labels(&source, NULL, 0, COUNT(edges));
    end();
}

void test_labels(void) {
    for (int place = 0; place < PLACES; place++) {
        use_place(place);
        for (int dtype = 0; dtype < DTYPES; dtype++)
            for (int round = 0; round < 16; round++)
                random_case((hl_dtype)dtype, round & 1, (round & 2) != 0);
        edge_case();
    }
}
